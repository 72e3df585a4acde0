@seat:clearing-agent @seat:market-participant
Feature: A message is refused when its context says too little, or what nobody understands
  Before the right message, one comes that is rightly signed and cannot be acted on. It is
  refused as a bad request; the right one is accepted and the trade goes on.

  Background:
    Given the message sequence
      | row | from               | to                 | action                 | carries                     | after  |
      | 1   | market participant | clearing agent     | discover               | interval                    |        |
      | 2   | clearing agent     | market participant | on_discover            | offer                       | 1      |
      | 3   | market participant | clearing agent     | init                   | offer curve                 | 2      |
      | 4   | clearing agent     | utility            | init                   | requested power             | 3      |
      | 5   | utility            | clearing agent     | on_init                | approval, charges           | 4      |
      | 6   | clearing agent     | market participant | on_init                | approval, charges           | 5      |
      | 7   | market participant | clearing agent     | confirm                | offer curve                 | 6      |
      | 8   | clearing agent     | utility            | confirm                | cleared power               | all 7  |
      | 9   | utility            | clearing agent     | on_confirm             | lock                        | 8      |
      | 10  | clearing agent     | market participant | on_confirm             | cleared power               | 7, 9   |
      | 11  | market participant | clearing agent     | status                 |                             | 10     |
      | 12  | clearing agent     | utility            | status                 |                             | 9, 10  |
      | 13  | utility            | clearing agent     | on_status              | meter reading               | 12     |
      | 14  | clearing agent     | market participant | on_status or on_update | meter reading, settlement   | 13     |
    And a delivery of 60 minutes
    And the market participants
      | name  | meter  | sanctioned | offer curve (INR/kWh)                        |
      | house | 100200 | 30 kW      | -10 kW at 2.00, 0 kW at 4.00, 10 kW at 6.00  |

  Scenario Outline: A message <spoilt> is a bad request
    When a message <spoilt> comes in a trade
    Then the exchange keeps <rule>
    And the refusal says why, and nothing follows it
    And the messages follow the sequence

    Examples:
      | spoilt                                         | rule    |
      | whose context lacks the action                 | ENV-020 |
      | whose context lacks the version                | ENV-020 |
      | whose context lacks the id of who asks         | ENV-020 |
      | whose context lacks the address of who asks    | ENV-020 |
      | whose context lacks the id of who answers      | ENV-020 |
      | whose context lacks the address of who answers | ENV-020 |
      | whose context lacks the transaction id         | ENV-020 |
      | whose context lacks the message id             | ENV-020 |
      | whose context lacks the timestamp              | ENV-020 |
      | of version 1.1.0                               | ENV-021 |
      | of version 9.9.9                               | ENV-021 |
      | sent to the place of another action            | ENV-022 |
      | with an action that nobody knows               | ENV-023 |

  Scenario Outline: A message <spoilt> cannot be read and is refused
    When a message <spoilt> comes in a trade
    Then the exchange keeps ENV-024, ACK-004
    And the messages follow the sequence

    Examples:
      | spoilt                          |
      | cut in the middle               |
      | in a dialect that nobody speaks |

@seat:clearing-agent
Feature: A request that comes too late, twice or about nothing has no effect of its own
  The trade around it is whole: it is settled as if that request had never come.

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

  Scenario: A request whose time is over is refused
    When a message whose time is over comes in a trade
    Then the exchange keeps ENV-025
    And the refusal says why, and nothing follows it
    And the messages follow the sequence

  Scenario Outline: A request <spoilt> is answered with an error
    When a message <spoilt> comes in a trade
    Then the exchange keeps <rule>
    And the messages follow the sequence

    Examples:
      | spoilt                              | rule    |
      | about a contract that nobody agreed | COR-011 |
      | about an offer that nobody made     | COR-011 |

  Scenario Outline: A request <spoilt> has one effect
    When a message <spoilt> comes in a trade
    Then the exchange keeps <rule>
    And the messages follow the sequence
    And every trade is locked once before it binds
    And the money balances to the last minor unit

    Examples:
      | spoilt                             | rule    |
      | that offers the same once more     | COR-010 |
      | that commits to the same once more | COR-010 |

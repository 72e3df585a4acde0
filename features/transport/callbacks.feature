@seat:market-participant
Feature: News is welcome in a trade under way, and nowhere else
  A provider may tell how a trade goes without being asked. Who asks accepts that, and
  refuses what belongs to no trade of its own.

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

  Scenario: News of the trade that nobody asked for is accepted
    When a message that nobody asked for comes in a trade
    Then the exchange keeps COR-012
    And the messages follow the sequence

  Scenario: News of a trade that nobody opened is refused
    When a message in a transaction that nobody opened comes in a trade
    Then the exchange keeps COR-013
    And the messages follow the sequence

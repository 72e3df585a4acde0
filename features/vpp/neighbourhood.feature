@seat:clearing-agent @seat:market-participant @seat:grid-node
Feature: A neighbourhood is one power plant below its transformer
  Roofs, cars and batteries of one neighbourhood stand below one transformer and trade with one
  another and with the world outside. Each is told what it cleared as a setpoint. Together they
  never give more, or draw more, than the transformer lets through.

  Background:
    Given the message sequence
      | row | from               | to                 | action      | carries                              | after          |
      | 1   | market participant | clearing agent     | discover    | interval                             |                |
      | 2   | clearing agent     | market participant | on_discover | offer                                | 1              |
      | 3   | market participant | clearing agent     | init        | offer curve                          | 2              |
      | 4   | clearing agent     | utility            | init        | requested power                      | 3              |
      | 5   | utility            | clearing agent     | on_init     | approval, charges                    | 4              |
      | 6   | clearing agent     | market participant | on_init     | approval, charges                    | 5              |
      | 7   | market participant | clearing agent     | confirm     | offer curve                          | 6              |
      | 8   | clearing agent     | grid node          | discover    | interval                             | all 7          |
      | 9   | grid node          | clearing agent     | on_discover | grid node                            | 8              |
      | 10  | clearing agent     | grid node          | confirm     | flow                                 | 9              |
      | 11  | grid node          | clearing agent     | on_confirm  | flow                                 | 10             |
      | 12  | clearing agent     | utility            | confirm     | cleared power                        | all 7, all 11  |
      | 13  | utility            | clearing agent     | on_confirm  | lock                                 | 12             |
      | 14  | clearing agent     | market participant | on_confirm  | cleared power, local price, setpoint | 7, 13          |
      | 15  | market participant | clearing agent     | status      |                                      | 14             |
      | 16  | clearing agent     | utility            | status      |                                      | 13, 14         |
      | 17  | utility            | clearing agent     | on_status   | meter reading                        | 16             |
      | 18  | clearing agent     | grid node          | status      |                                      | 11             |
      | 19  | grid node          | clearing agent     | on_status   |                                      | 18             |
      | 20  | clearing agent     | market participant | on_status   | meter reading, settlement            | 17             |
    And a delivery of 15 minutes
    And the grid
      | node           | forward limit | reverse limit |
      | lime-grove     | 25 kW         | 12 kW         |

  Scenario: A neighbourhood at noon gives back all that its transformer takes
    Given the market participants
      | name      | meter  | sanctioned | node       | offer curve (INR/kWh)                        |
      | roof-a    | 100301 | 10 kW      | lime-grove | 0 kW at 1.00, 10 kW at 3.00                  |
      | roof-b    | 100302 | 10 kW      | lime-grove | 0 kW at 1.00, 10 kW at 3.00                  |
      | battery   | 100401 | 6 kW       | lime-grove | -5 kW at 2.00, 5 kW at 6.00                  |
      | car       | 100201 | 12 kW      | lime-grove | -7 kW at 2.50, 0 kW at 4.50                  |
      | outside   | 100501 | 100 kW     |            | -80 kW at 3.00, 80 kW at 7.00                |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the grid's limits are kept
    And the money balances to the last minor unit

  Scenario: A neighbourhood in the evening trades within its transformer at one price
    Given the market participants
      | name      | meter  | sanctioned | node       | offer curve (INR/kWh)                        | metered  |
      | roof      | 100301 | 10 kW      | lime-grove | 0 kW at 3.00, 1 kW at 3.00                   |          |
      | battery-a | 100401 | 6 kW       | lime-grove | -5 kW at 2.00, 5 kW at 6.00                  | 0.7 kWh  |
      | battery-b | 100402 | 6 kW       | lime-grove | -5 kW at 2.00, 5 kW at 6.00                  |          |
      | car-a     | 100201 | 12 kW      | lime-grove | -11 kW at 4.00, 0 kW at 8.00                 |          |
      | car-b     | 100202 | 12 kW      | lime-grove | -11 kW at 4.00, -3 kW at 9.00                | -2 kWh   |
      | outside   | 100501 | 100 kW     |            | -80 kW at 3.00, 80 kW at 7.00                |          |
    When the market runs
    Then every message is well formed, signed and answered
    And the messages follow the sequence
    And the market is in equilibrium
    And the grid's limits are kept
    And every trade is locked once before it binds
    And the money balances to the last minor unit

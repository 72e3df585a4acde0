@seat:clearing-agent @seat:market-participant @seat:grid-node
Feature: A transformer's limits and its adder make the price of a place
  The utility says at which node of the grid a meter hangs. Before the market clears, the
  clearing agent asks each of these nodes, and those above it, what may flow through and what
  the node adds to the price. It clears within the limits, tells each node its flow and the
  price there, and each participant its own price. Where a limit binds, the local price departs
  from that of the market, and what this leaves is owed to the grid operator.

  Background:
    Given the message sequence
      | row | from               | to                 | action      | carries                                    | after          |
      | 1   | market participant | clearing agent     | discover    | interval                                   |                |
      | 2   | clearing agent     | market participant | on_discover | offer                                      | 1              |
      | 3   | market participant | clearing agent     | init        | offer curve                                | 2              |
      | 4   | clearing agent     | utility            | init        | requested power                            | 3              |
      | 5   | utility            | clearing agent     | on_init     | approval, charges                          | 4              |
      | 6   | clearing agent     | market participant | on_init     | approval, charges                          | 5              |
      | 7   | market participant | clearing agent     | confirm     | offer curve                                | 6              |
      | 8   | clearing agent     | grid node          | discover    | interval                                   | all 7          |
      | 9   | grid node          | clearing agent     | on_discover | grid node                                  | 8              |
      | 10  | clearing agent     | grid node          | confirm     | flow                                       | 9              |
      | 11  | grid node          | clearing agent     | on_confirm  | flow                                       | 10             |
      | 12  | clearing agent     | utility            | confirm     | cleared power                              | all 7, all 11  |
      | 13  | utility            | clearing agent     | on_confirm  | lock                                       | 12             |
      | 14  | clearing agent     | market participant | on_confirm  | cleared power, local price, setpoint       | 7, 13          |
      | 15  | market participant | clearing agent     | status      |                                            | 14             |
      | 16  | clearing agent     | utility            | status      |                                            | 13, 14         |
      | 17  | utility            | clearing agent     | on_status   | meter reading                              | 16             |
      | 18  | clearing agent     | grid node          | status      |                                            | 11             |
      | 19  | grid node          | clearing agent     | on_status   |                                            | 18             |
      | 20  | clearing agent     | market participant | on_status   | meter reading, settlement                  | 17             |
    And a delivery of 60 minutes

  Scenario: No limit binds and the prices of two streets agree
    Given the grid
      | node       | forward limit | reverse limit |
      | elm-street | 30 kW         | 20 kW         |
      | oak-street | 30 kW         | 20 kW         |
    And the market participants
      | name | meter  | sanctioned | node       | offer curve (INR/kWh)                        |
      | car  | 100200 | 30 kW      | elm-street | -11 kW at 0.08, -5 kW at 0.10, 0 kW at 0.12  |
      | roof | 100300 | 5 kW       | oak-street | 0 kW at 0.05, 2 kW at 0.06, 5 kW at 0.07     |
    When the market runs
    Then every message is well formed, signed and answered
    And the messages follow the sequence
    And the market is in equilibrium
    And the grid's limits are kept
    And every trade is locked once before it binds
    And the money balances to the last minor unit

  Scenario: Cars below a transformer draw more than it lets through
    Given the grid
      | node       | forward limit | reverse limit |
      | elm-street | 6 kW          | 20 kW         |
    And the market participants
      | name  | meter  | sanctioned | node       | offer curve (INR/kWh)                       |
      | car-a | 100201 | 30 kW      | elm-street | -11 kW at 4.00, -5 kW at 6.00, 0 kW at 9.00 |
      | car-b | 100202 | 30 kW      | elm-street | -7 kW at 5.00, 0 kW at 8.00                 |
      | wind  | 100301 | 40 kW      |            | 0 kW at 2.00, 30 kW at 5.00                 |
      | works | 100203 | 40 kW      |            | -12 kW at 3.00, 0 kW at 6.00                |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the grid's limits are kept
    And the money balances to the last minor unit

  Scenario: Roofs below a transformer give more than it lets back
    Given a delivery of 15 minutes
    And the grid
      | node       | parent    | forward limit | reverse limit |
      | west-feeder |             | 50 kW         | 10 kW         |
      | ash-lane   | west-feeder | 30 kW       | 8 kW          |
    And the market participants
      | name   | meter  | sanctioned | node        | offer curve (INR/kWh)          | metered    |
      | roof-a | 100301 | 10 kW      | ash-lane    | 0 kW at 2.00, 10 kW at 4.00    | 1.2 kWh    |
      | roof-b | 100302 | 10 kW      | ash-lane    | 0 kW at 2.00, 10 kW at 4.00    |            |
      | mill   | 100303 | 15 kW      | west-feeder | 0 kW at 3.00, 12 kW at 5.00    |            |
      | works  | 100203 | 20 kW      |             | -15 kW at 5.00, 0 kW at 8.00   | -2.4 kWh   |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the grid's limits are kept
    And the money balances to the last minor unit

  Scenario: A loaded transformer publishes an adder and its street pays it
    Given the grid
      | node        | parent      | forward limit | reverse limit | load       | base price (INR/kWh) | adder per percent (INR/kWh) |
      | east-feeder |             | 60 kW         | 40 kW         | 40 percent | 4.10                 |                             |
      | fir-close   | east-feeder | 20 kW         | 15 kW         | 85 percent | 4.10                 | 0.004                       |
    And the market participants
      | name    | meter  | sanctioned | node        | offer curve (INR/kWh)                        | metered  |
      | car     | 100201 | 30 kW      | fir-close   | -9 kW at 4.00, -3 kW at 6.00, 0 kW at 6.00   | -6.1 kWh |
      | roof    | 100301 | 10 kW      | fir-close   | 0 kW at 3.00, 4 kW at 5.50                   |          |
      | battery | 100401 | 12 kW      | east-feeder | -6 kW at 3.50, 6 kW at 5.50                  |          |
      | wind    | 100302 | 20 kW      | east-feeder | 0 kW at 2.00, 12 kW at 7.00                  |          |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the grid's limits are kept
    And the exchange keeps AMT-011
    And the money balances to the last minor unit

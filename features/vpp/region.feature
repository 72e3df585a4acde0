@seat:market-participant @seat:aggregator @seat:grid-node
Feature: A region clears cities of neighbourhoods
  What an aggregator does for households, another does for aggregators: a city sums up its
  neighbourhoods' curves, keeps them within its own substation, and sends one curve up. Price and
  power come down the same way, level by level, and the powers of each level sum to the one above.

  Background:
    Given the message sequence
      | row | from               | to                 | action       | carries                              | after   |
      | 1   | market participant | aggregator         | discover     | interval                             |         |
      | 2   | aggregator         | aggregator         | discover     | interval                             |         |
      | 3   | aggregator         | clearing agent     | discover     | interval                             |         |
      | 4   | clearing agent     | aggregator         | on_discover  | offer                                | 3       |
      | 5   | aggregator         | aggregator         | on_discover  | offer                                | 2, 4    |
      | 6   | aggregator         | market participant | on_discover  | offer                                | 1, 5    |
      | 7   | market participant | aggregator         | init         | offer curve                          | 6       |
      | 8   | aggregator         | utility            | init         | requested power                      | 7       |
      | 9   | utility            | aggregator         | on_init      | approval, charges                    | 8       |
      | 10  | aggregator         | market participant | on_init      | approval, charges                    | 9       |
      | 11  | market participant | aggregator         | confirm      | offer curve                          | 10      |
      | 12  | aggregator         | aggregator         | aggregate    | curves                               | 11      |
      | 13  | aggregator         | grid node          | discover     | interval                             | 12      |
      | 14  | grid node          | aggregator         | on_discover  | grid node                            | 13      |
      | 15  | aggregator         | clearing agent     | aggregate    | curves                               | 12, 14  |
      | 16  | clearing agent     | aggregator         | on_aggregate | price and powers                     | all 15  |
      | 17  | aggregator         | grid node          | confirm      | flow                                 | 16      |
      | 18  | grid node          | aggregator         | on_confirm   | flow                                 | 17      |
      | 19  | aggregator         | aggregator         | on_aggregate | price and powers                     | 16, 18  |
      | 20  | aggregator         | utility            | confirm      | cleared power                        | 19      |
      | 21  | utility            | aggregator         | on_confirm   | lock                                 | 20      |
      | 22  | aggregator         | market participant | on_confirm   | cleared power, setpoint              | 11, 21  |
      | 23  | market participant | aggregator         | status       |                                      | 22      |
      | 24  | aggregator         | utility            | status       |                                      | 22      |
      | 25  | utility            | aggregator         | on_status    | meter reading                        | 24      |
      | 26  | aggregator         | market participant | on_status    | meter reading, settlement            | 25      |
    And the aggregators
      | aggregator | above          | node       |
      | quay       | river-city     |            |
      | mill-bank  | river-city     |            |
      | ridge      | hill-city      |            |
      | river-city | clearing agent | river-sub  |
      | hill-city  | clearing agent | hill-sub   |
    And a delivery of 60 minutes
    And the grid
      | node      | forward limit | reverse limit |
      | river-sub | 5 kW          | 50 kW         |
      | hill-sub  | 50 kW         | 50 kW         |

  Scenario: A city behind a loaded substation pays more than the region
    Given the market participants
      | name    | meter  | sanctioned | agent     | offer curve (INR/kWh)                       | metered  |
      | car-q1  | 100201 | 12 kW      | quay      | -8 kW at 4.00, 0 kW at 9.00                 |          |
      | car-q2  | 100202 | 12 kW      | quay      | -6 kW at 5.00, 0 kW at 8.00                 | -2.5 kWh |
      | roof-m  | 100301 | 10 kW      | mill-bank | 0 kW at 3.00, 5 kW at 6.00                  |          |
      | shop-m  | 100203 | 12 kW      | mill-bank | -4 kW at 7.00, -1 kW at 9.00                |          |
      | wind-r  | 100302 | 30 kW      | ridge     | 0 kW at 2.00, 20 kW at 6.00                 |          |
      | works-r | 100204 | 20 kW      | ridge     | -9 kW at 3.00, 0 kW at 7.00                 |          |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And every trade is locked once before it binds
    And the money balances to the last minor unit

  @seat:clearing-agent
  Scenario: Cities with room in their substations have the price of the region
    Given the aggregators
      | aggregator | above          | node       |
      | river-city | clearing agent | river-sub  |
      | hill-city  | clearing agent | hill-sub   |
      | quay       | river-city     |            |
      | mill-bank  | river-city     |            |
      | ridge      | hill-city      |            |
    And the market participants
      | name    | meter  | sanctioned | agent     | offer curve (INR/kWh)                       | metered  |
      | car-q   | 100201 | 12 kW      | quay      | -8 kW at 4.00, 0 kW at 9.00                 | -3.9 kWh |
      | roof-q  | 100303 | 6 kW       | quay      | 0 kW at 5.00, 4 kW at 5.00                  |          |
      | roof-m  | 100301 | 10 kW      | mill-bank | 0 kW at 3.00, 5 kW at 6.00                  |          |
      | shop-m  | 100203 | 12 kW      | mill-bank | -4 kW at 7.00, -1 kW at 9.00                |          |
      | wind-r  | 100302 | 30 kW      | ridge     | 0 kW at 4.50, 3 kW at 6.00                  |          |
      | works-r | 100204 | 20 kW      | ridge     | -1 kW at 3.00, 0 kW at 7.00                 |          |
    When the market runs
    Then the messages follow the sequence
    And the exchange keeps AGG-001, AGG-002, AGG-003, AGG-004, AGG-005, AGG-006

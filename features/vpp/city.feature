@seat:market-participant @seat:aggregator @seat:grid-node
Feature: A city clears the curves of its neighbourhoods
  Each neighbourhood has an aggregator, to which its households offer as to a clearing agent. It
  sends one curve up for all of them, as far as its transformer lets it through, to the city's
  clearing agent, which knows nobody below. What comes back is a price and one power for the
  neighbourhood; the aggregator shares the power out among the households at the price there.
  Prices agree where no limit binds.

  Background:
    Given the message sequence
      | row | from               | to                 | action       | carries                              | after   |
      | 1   | market participant | aggregator         | discover     | interval                             |         |
      | 2   | aggregator         | clearing agent     | discover     | interval                             |         |
      | 3   | clearing agent     | aggregator         | on_discover  | offer                                | 2       |
      | 4   | aggregator         | market participant | on_discover  | offer                                | 1, 3    |
      | 5   | market participant | aggregator         | init         | offer curve                          | 4       |
      | 6   | aggregator         | utility            | init         | requested power                      | 5       |
      | 7   | utility            | aggregator         | on_init      | approval, charges                    | 6       |
      | 8   | aggregator         | market participant | on_init      | approval, charges                    | 7       |
      | 9   | market participant | aggregator         | confirm      | offer curve                          | 8       |
      | 10  | aggregator         | grid node          | discover     | interval                             | 9       |
      | 11  | grid node          | aggregator         | on_discover  | grid node                            | 10      |
      | 12  | aggregator         | clearing agent     | aggregate    | curves                               | 9, 11   |
      | 13  | clearing agent     | aggregator         | on_aggregate | price and powers                     | all 12  |
      | 14  | aggregator         | grid node          | confirm      | flow                                 | 13      |
      | 15  | grid node          | aggregator         | on_confirm   | flow                                 | 14      |
      | 16  | aggregator         | utility            | confirm      | cleared power                        | 9, 15   |
      | 17  | utility            | aggregator         | on_confirm   | lock                                 | 16      |
      | 18  | aggregator         | market participant | on_confirm   | cleared power, local price, setpoint | 9, 17   |
      | 19  | market participant | aggregator         | status       |                                      | 18      |
      | 20  | aggregator         | utility            | status       |                                      | 18      |
      | 21  | utility            | aggregator         | on_status    | meter reading                        | 20      |
      | 22  | aggregator         | grid node          | status       |                                      | 15      |
      | 23  | grid node          | aggregator         | on_status    |                                      | 22      |
      | 24  | aggregator         | market participant | on_status    | meter reading, settlement            | 21      |
    And the aggregators
      | aggregator | above          |
      | north      | clearing agent |
      | south      | clearing agent |
    And a delivery of 30 minutes

  @seat:clearing-agent
  Scenario: Two neighbourhoods trade with one another at one price
    Given the grid
      | node        | forward limit | reverse limit |
      | north-trafo | 40 kW         | 40 kW         |
      | south-trafo | 40 kW         | 40 kW         |
    And the market participants
      | name      | meter  | sanctioned | agent | node        | offer curve (INR/kWh)                        |
      | roof-n1   | 100301 | 10 kW      | north | north-trafo | 0 kW at 2.00, 9 kW at 5.00                   |
      | roof-n2   | 100302 | 10 kW      | north | north-trafo | 0 kW at 2.50, 7 kW at 4.00                   |
      | battery-n | 100401 | 6 kW       | north | north-trafo | -5 kW at 3.00, 5 kW at 6.00                  |
      | car-s1    | 100201 | 12 kW      | south | south-trafo | -11 kW at 4.00, -5 kW at 6.00, 0 kW at 8.00  |
      | car-s2    | 100202 | 12 kW      | south | south-trafo | -7 kW at 3.00, 0 kW at 6.00                  |
      | roof-s    | 100303 | 5 kW       | south | south-trafo | 0 kW at 3.00, 4 kW at 3.00                   |
    When the market runs
    Then the messages follow the sequence
    And the grid's limits are kept
    And the exchange keeps AGG-001, AGG-002, AGG-003, AGG-004, AGG-005

  Scenario: A neighbourhood whose transformer binds has a price of its own
    Given the grid
      | node        | forward limit | reverse limit |
      | north-trafo | 40 kW         | 6 kW          |
      | south-trafo | 40 kW         | 40 kW         |
    And the market participants
      | name      | meter  | sanctioned | agent | node        | offer curve (INR/kWh)                        | metered  |
      | roof-n1   | 100301 | 10 kW      | north | north-trafo | 0 kW at 2.00, 9 kW at 5.00                   | 2.1 kWh  |
      | roof-n2   | 100302 | 10 kW      | north | north-trafo | 0 kW at 2.50, 7 kW at 4.00                   |          |
      | battery-n | 100401 | 6 kW       | north | north-trafo | -5 kW at 3.00, 5 kW at 6.00                  |          |
      | car-s1    | 100201 | 12 kW      | south | south-trafo | -11 kW at 4.00, -5 kW at 6.00, 0 kW at 8.00  | -3.3 kWh |
      | car-s2    | 100202 | 12 kW      | south | south-trafo | -7 kW at 3.00, 0 kW at 6.00                  |          |
      | roof-s    | 100303 | 5 kW       | south | south-trafo | 0 kW at 3.00, 4 kW at 3.00                   |          |
    When the market runs
    Then every message is well formed, signed and answered
    And the messages follow the sequence
    And the market is in equilibrium
    And the grid's limits are kept
    And every trade is locked once before it binds
    And the money balances to the last minor unit

@seat:aggregator @seat:utility
Feature: A reduction is settled once the last page of its meters is read
  The usage of many meters comes in pages, and what the resources behind the meters say of
  themselves comes beside it. Neither a page that others follow nor telemetry of resources is
  a reason to pay: the settlement rests on all meters that take part.

  Background:
    Given the message sequence
      | row | from       | to         | action      | carries                                                                      | after |
      | 1   | aggregator | utility    | discover    | interval                                                                     |       |
      | 2   | utility    | aggregator | on_discover | offer, wanted capacity per interval, posted price per interval, shortfall penalty per interval | 1 |
      | 3   | aggregator | utility    | init        | offered capacity per interval, meters taking part                            | 2     |
      | 4   | utility    | aggregator | on_init     | payment formulas, offered capacity per interval                              | 3     |
      | 5   | aggregator | utility    | confirm     | payment formulas, offered capacity per interval                              | 4     |
      | 6   | utility    | aggregator | on_confirm  | lock, payment formulas, offered capacity per interval, meters taking part    | 5     |
      | 7   | utility    | aggregator | on_status   | part of the usage                                                            | 6     |
      | 8   | utility    | aggregator | on_status   | rest of the usage                                                            | 7     |
      | 9   | utility    | aggregator | on_status   | resource telemetry                                                           | 8     |
      | 10  | utility    | aggregator | on_status   | usage, settlement, completed                                                 | 9     |
    And the parties
      | name    | role       |
      | pool    | aggregator |
      | network | utility    |
    And the payments
      | from    | to         | kind      | formula                                                                                                                                  |
      | utility | aggregator | REDUCTION | posted_price * min(delivered, offered_capacity * interval) - shortfall_penalty * max(0, offered_capacity * interval - delivered) |
    And a delivery from 19:00 to 20:00

  Scenario: Four chargers on two pages are settled together
    Given the intervals
      | from  | until | wanted capacity | posted price | shortfall penalty | offered capacity |
      | 19:00 | 19:20 | 30 kW           | 6.10 INR/kWh | 0.90 INR/kWh      | 24 kW            |
      | 19:20 | 19:40 | 30 kW           | 6.10 INR/kWh | 0.90 INR/kWh      | 24 kW            |
      | 19:40 | 20:00 | 18 kW           | 5.30 INR/kWh | 0.90 INR/kWh      | 12 kW            |
    And the telemetry
      | meter  | from  | until | usual load             | usage  | resource | page |
      | 200701 | 19:00 | 19:20 | 11 kW, 10 kW, 11 kW    | 3 kW   | 2.4 kW   | 1    |
      | 200701 | 19:20 | 19:40 | 11 kW, 11 kW, 10 kW    | 3 kW   | 2.4 kW   | 1    |
      | 200701 | 19:40 | 20:00 | 7 kW, 8 kW, 7 kW       | 4 kW   | 3.1 kW   | 1    |
      | 200702 | 19:00 | 19:20 | 7 kW, 7 kW, 7 kW       | 0.6 kW | 0 kW     | 1    |
      | 200702 | 19:20 | 19:40 | 7 kW, 6 kW, 7 kW       | 0.6 kW | 0 kW     | 1    |
      | 200702 | 19:40 | 20:00 | 5 kW, 4 kW, 5 kW       | 0.6 kW | 0 kW     | 1    |
      | 200703 | 19:00 | 19:20 | 22 kW, 21 kW, 20 kW    | 15 kW  |          | 2    |
      | 200703 | 19:20 | 19:40 | 22 kW, 22 kW, 21 kW    | 18 kW  |          | 2    |
      | 200703 | 19:40 | 20:00 | 11 kW, 12 kW, 12 kW    | 9 kW   |          | 2    |
      | 200704 | 19:00 | 19:20 | 3.7 kW, 3.7 kW, 3.7 kW | 0 kW   |          | 2    |
      | 200704 | 19:20 | 19:40 | 3.7 kW, 3.7 kW, 3.7 kW | 3.7 kW |          | 2    |
      | 200704 | 19:40 | 20:00 | 3.7 kW, 0 kW, 3.7 kW   | 0 kW   |          | 2    |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps DFX-002, BIL-001

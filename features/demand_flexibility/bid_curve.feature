@seat:aggregator @seat:utility
Feature: A utility clears the stepped offer of an aggregator
  The utility posts how much it wants, and pays one price for what is cleared. The aggregator
  offers capacity in steps when it asks for the terms, so that its confirmation binds it to what
  is known already. The utility's confirmation says what is cleared, and at what price: at
  least what was asked for the step. What is cleared and not delivered costs a penalty.

  Background:
    Given the message sequence
      | row | from       | to         | action      | carries                                                                     | after |
      | 1   | aggregator | utility    | discover    | interval                                                                    |       |
      | 2   | utility    | aggregator | on_discover | offer, wanted capacity per interval                                         | 1     |
      | 3   | aggregator | utility    | init        | offered price per interval, offered capacity per interval, meters taking part | 2   |
      | 4   | utility    | aggregator | on_init     | terms, payment formulas, offered price per interval, offered capacity per interval | 3 |
      | 5   | aggregator | utility    | confirm     | terms, payment formulas, offered price per interval, offered capacity per interval | 4 |
      | 6   | utility    | aggregator | on_confirm  | lock, terms, payment formulas, clearing price per interval, cleared capacity per interval | 5 |
      | 7   | utility    | aggregator | on_status   | baselines                                                                   | 6     |
      | 8   | utility    | aggregator | on_status   | usage                                                                       | 7     |
      | 9   | utility    | aggregator | on_status   | usage, settlement, completed                                                | 8     |
    And the parties
      | name    | role       |
      | pool    | aggregator |
      | network | utility    |
    And the terms
      | role    | term         | value        |
      | utility | penalty_rate | 0.50 INR/kWh |
    And the payments
      | from    | to         | kind      | formula                                                                                                                    |
      | utility | aggregator | REDUCTION | clearing_price * min(delivered, cleared_capacity * interval) - penalty_rate * max(0, cleared_capacity * interval - delivered) |
    And a delivery from 18:00 to 20:00

  Scenario: The third step is cleared in both hours, and a tenth is missing in one
    Given the intervals
      | from  | until | wanted capacity | offered price                                            | offered capacity           | clearing price | cleared capacity |
      | 18:00 | 19:00 | 200 kW          | 1.50 INR/kWh, 2.50 INR/kWh, 3.50 INR/kWh, 5.00 INR/kWh   | 20 kW, 35 kW, 50 kW, 80 kW | 3.50 INR/kWh   | 50 kW            |
      | 19:00 | 20:00 | 200 kW          | 1.50 INR/kWh, 2.50 INR/kWh, 3.50 INR/kWh, 5.00 INR/kWh   | 20 kW, 35 kW, 50 kW, 80 kW | 3.70 INR/kWh   | 50 kW            |
    And the telemetry
      | meter  | from  | until | usual load                        | usage   |
      | 200100 | 18:00 | 19:00 | 55 kW, 53 kW, 57 kW, 54 kW, 52 kW | 28 kW   |
      | 200100 | 19:00 | 20:00 | 50 kW, 52 kW, 51 kW, 49 kW, 53 kW | 29.5 kW |
      | 200200 | 18:00 | 19:00 | 50 kW, 49 kW, 51 kW, 48 kW, 50 kW | 21.3 kW |
      | 200200 | 19:00 | 20:00 | 46 kW, 47 kW, 45 kW, 48 kW, 46 kW | 24.5 kW |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps DFX-001, DFX-005, BIL-001

  Scenario: Half a step is cleared, and more than that is delivered for nothing
    Given the intervals
      | from  | until | wanted capacity | offered price              | offered capacity | clearing price | cleared capacity |
      | 18:00 | 20:00 | 22.5 kW         | 2.20 INR/kWh, 4.15 INR/kWh | 15 kW, 30 kW     | 4.15 INR/kWh   | 22.5 kW          |
    And the telemetry
      | meter  | from  | until | usual load          | usage  |
      | 200100 | 18:00 | 20:00 | 31 kW, 29 kW, 33 kW | 4.4 kW |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps DFX-005, BIL-001

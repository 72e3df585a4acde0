@seat:aggregator @seat:utility
Feature: A utility buys less load from an aggregator at a posted price
  The utility posts a need, interval by interval: capacity, the price it pays and the penalty
  for what is missing. The aggregator offers capacity of its own and names the meters that take
  part; before the event some opt in or out. The utility tells each meter's baseline, with the
  days that it rests on, before the event, and what was drawn after it. Delivered is what each
  meter drew less than its baseline, never below nothing, added up over the meters. Nothing is
  paid before every meter that takes part is read.

  Background:
    Given the message sequence
      | row | from       | to         | action      | carries                                                                      | after |
      | 1   | aggregator | utility    | discover    | interval                                                                     |       |
      | 2   | utility    | aggregator | on_discover | offer, wanted capacity per interval, posted price per interval, shortfall penalty per interval | 1 |
      | 3   | aggregator | utility    | init        | offered capacity per interval, meters taking part                            | 2     |
      | 4   | utility    | aggregator | on_init     | payment formulas, offered capacity per interval, posted price per interval   | 3     |
      | 5   | aggregator | utility    | confirm     | payment formulas, offered capacity per interval, meters taking part          | 4     |
      | 6   | utility    | aggregator | on_confirm  | lock, payment formulas, offered capacity per interval, meters taking part    | 5     |
      | 7   | aggregator | utility    | update      | changed meters                                                               | 6     |
      | 8   | utility    | aggregator | on_update   | changed meters                                                               | 7     |
      | 9   | utility    | aggregator | on_status   | baselines                                                                    | 8     |
      | 10  | utility    | aggregator | on_status   | usage                                                                        | 9     |
      | 11  | utility    | aggregator | on_status   | usage, settlement, completed                                                 | 10    |
    And the parties
      | name    | role       |
      | pool    | aggregator |
      | network | utility    |
    And the payments
      | from    | to         | kind      | formula                                                                                                                                  |
      | utility | aggregator | REDUCTION | posted_price * min(delivered, offered_capacity * interval) - shortfall_penalty * max(0, offered_capacity * interval - delivered) |
    And a delivery from 14:00 to 15:00

  Scenario: Two factories deliver a little less than they offered
    Given the intervals
      | from  | until | wanted capacity | posted price | shortfall penalty | offered capacity |
      | 14:00 | 14:30 | 180 kW          | 3.60 INR/kWh | 1.40 INR/kWh      | 150 kW           |
      | 14:30 | 15:00 | 220 kW          | 4.20 INR/kWh | 1.40 INR/kWh      | 125 kW           |
    And the telemetry
      | meter  | from  | until | usual load                                               | usage |
      | 200100 | 14:00 | 14:30 | 82 kW, 74 kW, 90 kW, 79 kW, 61 kW, 77 kW, 83 kW, 70 kW, 88 kW, 85 kW | 5.6 kW  |
      | 200100 | 14:30 | 15:00 | 80 kW, 76 kW, 91 kW, 75 kW, 60 kW, 79 kW, 81 kW, 72 kW, 86 kW, 84 kW | 21.4 kW |
      | 200200 | 14:00 | 14:30 | 98 kW, 101 kW, 95 kW, 104 kW, 99 kW, 96 kW, 105 kW, 97 kW, 102 kW, 103 kW | 41 kW |
      | 200200 | 14:30 | 15:00 | 97 kW, 102 kW, 94 kW, 103 kW, 98 kW, 95 kW, 106 kW, 99 kW, 101 kW, 100 kW | 46 kW |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps DFX-001, BIL-001

  Scenario: A meter that draws more than usual takes nothing from what the others deliver
    Given the intervals
      | from  | until | wanted capacity | posted price | shortfall penalty | offered capacity |
      | 14:00 | 15:00 | 60 kW           | 5.35 INR/kWh | 2.10 INR/kWh      | 45 kW            |
    And the telemetry
      | meter  | from  | until | usual load                            | usage   |
      | 200100 | 14:00 | 15:00 | 41 kW, 44 kW, 39 kW, 42 kW, 40 kW     | 12.5 kW |
      | 200200 | 14:00 | 15:00 | 22 kW, 22 kW, 21 kW, 22 kW, 22 kW     | 31 kW   |
      | 200300 | 14:00 | 15:00 | 15 kW, 12 kW, 14 kW, 16 kW, 9 kW      | 3.75 kW |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps DFX-001, BIL-001

  Scenario: One meter opts out before the event and another opts in
    Given the intervals
      | from  | until | wanted capacity | posted price | shortfall penalty | offered capacity |
      | 14:00 | 15:00 | 40 kW           | 4.80 INR/kWh | 1.20 INR/kWh      | 30 kW            |
    And the telemetry
      | meter  | from  | until | usual load                        | usage | changes  |
      | 200100 | 14:00 | 15:00 | 41 kW, 44 kW, 39 kW, 42 kW, 40 kW | 26 kW |          |
      | 200200 | 14:00 | 15:00 | 22 kW, 22 kW, 21 kW, 22 kW, 22 kW | 4 kW  | opts out |
      | 200400 | 14:00 | 15:00 | 25 kW, 24 kW, 26 kW, 23 kW, 25 kW | 11 kW | opts in  |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps DFX-003, DFX-004, BIL-001

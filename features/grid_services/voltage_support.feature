@seat:prosumer @seat:utility
Feature: A utility buys reactive power where the voltage leaves its band
  The inverter of a roof or a battery answers the voltage at its feeder: reactive power of so
  many kvar for each V beyond a deadband, fed in where the voltage is low and drawn where it is
  high, at most its capacity. Being available is paid by how well the voltage was followed, and
  what was asked for and given is paid as reactive energy.

  Background:
    Given the message sequence
      | row | from     | to       | action      | carries                                      | after |
      | 1   | utility  | prosumer | discover    | interval                                     |       |
      | 2   | prosumer | utility  | on_discover | offer, terms                                 | 1     |
      | 3   | utility  | prosumer | init        | terms                                        | 2     |
      | 4   | prosumer | utility  | on_init     | terms, payment formulas                      | 3     |
      | 5   | utility  | prosumer | confirm     | terms, payment formulas                      | 4     |
      | 6   | prosumer | utility  | on_confirm  | lock, terms, payment formulas                | 5     |
      | 7   | utility  | prosumer | update      | signals                                      | 6     |
      | 8   | prosumer | utility  | on_update   | signals, response                            | 7     |
      | 9   | prosumer | utility  | on_status   | signals, response, billing report, completed | 8     |
    And the parties
      | name    | role     | meter  |
      | network | utility  |        |
      | roof    | prosumer | 300300 |
    And the payments
      | from    | to       | kind            | formula                             |
      | utility | prosumer | AVAILABILITY    | capacity_price * capacity * score   |
      | utility | prosumer | REACTIVE_ENERGY | energy_price * followed             |
    And a delivery from 11:00 to 12:00

  Scenario: A roof lowers a voltage that the sun has raised, to its last kvar
    Given the terms
      | role     | term           | value          |
      | utility  | energy_price   | 0.65 INR/kvarh |
      | prosumer | capacity       | 4.4 kvar       |
      | prosumer | droop          | 0.8 kvar/V     |
      | prosumer | deadband       | 4.6 V          |
      | prosumer | nominal        | 230 V          |
      | prosumer | tolerance      | 0.25 kvar      |
      | prosumer | capacity_price | 1.85 INR/kvar  |
    And the signals
      | name    | kind    | at    | value   |
      | voltage | voltage | 11:00 | 236.2 V |
      | voltage | voltage | 11:15 | 239.9 V |
      | voltage | voltage | 11:30 | 241.1 V |
      | voltage | voltage | 11:45 | 233.8 V |
    And the telemetry
      | meter  | from  | until | reactive power |
      | 300300 | 11:00 | 11:15 | -1.2 kvar      |
      | 300300 | 11:15 | 11:30 | -4.24 kvar     |
      | 300300 | 11:30 | 11:45 | -4.4 kvar      |
      | 300300 | 11:45 | 12:00 | 0 kvar         |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps SVC-002, SVC-005, BIL-001

  Scenario: A battery lifts a low voltage, and too much of it is not paid
    Given the terms
      | role     | term           | value          |
      | utility  | energy_price   | 0.72 INR/kvarh |
      | prosumer | capacity       | 6 kvar         |
      | prosumer | droop          | 0.75 kvar/V    |
      | prosumer | deadband       | 3 V            |
      | prosumer | nominal        | 230 V          |
      | prosumer | capacity_price | 2.05 INR/kvar  |
    And the signals
      | name    | kind    | at    | value   |
      | voltage | voltage | 11:00 | 223.4 V |
      | voltage | voltage | 11:40 | 225.8 V |
    And the telemetry
      | meter  | from  | until | reactive power |
      | 300300 | 11:00 | 11:20 | 2.7 kvar       |
      | 300300 | 11:20 | 11:40 | 3.1 kvar       |
      | 300300 | 11:40 | 12:00 | 0.6 kvar       |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps SVC-001, SVC-003, BIL-001

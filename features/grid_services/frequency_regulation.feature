@seat:aggregator @seat:utility
Feature: A utility buys frequency regulation from an aggregator
  The aggregator keeps capacity ready and answers the frequency, or the set power that the
  utility sends: by a droop of so many kW for each Hz beyond a deadband, at most the capacity.
  Afterwards the utility tells its record of the signal and the aggregator what it gave, minute
  by minute. Capacity is paid by how well the signal was followed, what was asked for and given
  is paid as energy, and who follows it worse than agreed pays a penalty.

  Background:
    Given the message sequence
      | row | from       | to         | action      | carries                                        | after |
      | 1   | utility    | aggregator | discover    | interval                                       |       |
      | 2   | aggregator | utility    | on_discover | offer                                          | 1     |
      | 3   | utility    | aggregator | init        | terms                                          | 2     |
      | 4   | aggregator | utility    | on_init     | terms, payment formulas                        | 3     |
      | 5   | utility    | aggregator | confirm     | terms, payment formulas                        | 4     |
      | 6   | aggregator | utility    | on_confirm  | lock, terms, payment formulas                  | 5     |
      | 7   | utility    | aggregator | update      | signals                                        | 6     |
      | 8   | aggregator | utility    | on_update   | signals, response                              | 7     |
      | 9   | aggregator | utility    | on_status   | signals, response, billing report, completed   | 8     |
    And the parties
      | name    | role       | meter  |
      | network | utility    |        |
      | fleet   | aggregator | 300100 |
    And the payments
      | from       | to         | kind         | formula                                               |
      | utility    | aggregator | AVAILABILITY | capacity_price * capacity * score                     |
      | utility    | aggregator | ENERGY       | energy_price * followed                               |
      | aggregator | utility    | PENALTY      | penalty * capacity * max(0, least_score - score)      |
    And a delivery from 18:00 to 18:05

  Scenario: Batteries follow the frequency within the tolerance, up to their capacity
    Given the terms
      | role       | term           | value        |
      | utility    | least_score    | 0.75         |
      | utility    | energy_price   | 6.40 INR/kWh |
      | aggregator | capacity       | 60 kW        |
      | aggregator | droop          | 500 kW/Hz    |
      | aggregator | deadband       | 0.02 Hz      |
      | aggregator | nominal        | 50 Hz        |
      | aggregator | tolerance      | 1.5 kW       |
      | aggregator | capacity_price | 3.20 INR/kW  |
      | aggregator | penalty        | 4.00 INR/kW  |
    And the signals
      | name      | kind      | at    | value    |
      | frequency | frequency | 18:00 | 49.97 Hz |
      | frequency | frequency | 18:01 | 49.85 Hz |
      | frequency | frequency | 18:02 | 50.01 Hz |
      | frequency | frequency | 18:03 | 50.06 Hz |
      | frequency | frequency | 18:04 | 49.94 Hz |
    And the telemetry
      | meter  | from  | until | power    |
      | 300100 | 18:00 | 18:01 | 5.2 kW   |
      | 300100 | 18:01 | 18:02 | 58.7 kW  |
      | 300100 | 18:02 | 18:03 | 0 kW     |
      | 300100 | 18:03 | 18:04 | -19.1 kW |
      | 300100 | 18:04 | 18:05 | 20 kW    |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps SVC-002, SVC-005, BIL-001

  Scenario: A car park runs empty, and the penalty takes back part of what it earned
    Given the terms
      | role       | term           | value        |
      | utility    | least_score    | 0.8          |
      | utility    | energy_price   | 5.75 INR/kWh |
      | aggregator | capacity       | 40 kW        |
      | aggregator | droop          | 400 kW/Hz    |
      | aggregator | deadband       | 0.03 Hz      |
      | aggregator | nominal        | 50 Hz        |
      | aggregator | capacity_price | 2.85 INR/kW  |
      | aggregator | penalty        | 5.10 INR/kW  |
    And the signals
      | name      | kind      | at    | value    |
      | frequency | frequency | 18:00 | 49.90 Hz |
      | frequency | frequency | 18:02 | 49.88 Hz |
      | frequency | frequency | 18:04 | 49.92 Hz |
    And the telemetry
      | meter  | from  | until | power   |
      | 300100 | 18:00 | 18:01 | 28 kW   |
      | 300100 | 18:01 | 18:02 | 27.4 kW |
      | 300100 | 18:02 | 18:03 | 31 kW   |
      | 300100 | 18:03 | 18:04 | 12.5 kW |
      | 300100 | 18:04 | 18:05 | 0 kW    |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps SVC-001, SVC-005, BIL-001

  Scenario: A set power is followed both ways, and nobody gives more than the capacity
    Given the terms
      | role       | term           | value        |
      | utility    | least_score    | 0.9          |
      | utility    | energy_price   | 6.05 INR/kWh |
      | aggregator | capacity       | 25 kW        |
      | aggregator | tolerance      | 2 kW         |
      | aggregator | capacity_price | 3.45 INR/kW  |
      | aggregator | penalty        | 4.20 INR/kW  |
    And the signals
      | name      | kind         | at    | value  |
      | set_power | agc setpoint | 18:00 | 12 kW  |
      | set_power | agc setpoint | 18:01 | 31 kW  |
      | set_power | agc setpoint | 18:02 | -8 kW  |
      | set_power | agc setpoint | 18:03 | -20 kW |
    And the telemetry
      | meter  | from  | until | power    |
      | 300100 | 18:00 | 18:01 | 11.4 kW  |
      | 300100 | 18:01 | 18:02 | 25 kW    |
      | 300100 | 18:02 | 18:03 | -7.1 kW  |
      | 300100 | 18:03 | 18:04 | -20 kW   |
      | 300100 | 18:04 | 18:05 | -21.3 kW |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps SVC-002, SVC-003, BIL-001

@seat:ev-app @seat:charging-operator
Feature: A car is charged at a destination
  A driver finds a charger near a place, with the right connector and power, for the hours
  of a visit, is quoted by the operator's tariff, reserves it, starts and stops. What is
  paid follows from the charge detail record and the tariff in force in each minute.

  Background:
    Given the message sequence
      | row | from              | to                | action      | carries                                                              | after |
      | 1   | ev app            | charging operator | discover    | search, interval                                                     |       |
      | 2   | charging operator | ev app            | on_discover | offer                                                                | 1     |
      | 3   | ev app            | charging operator | select      | terms                                                                | 2     |
      | 4   | charging operator | ev app            | on_select   | tariff, quote                                                        | 3     |
      | 5   | ev app            | charging operator | init        | terms                                                                | 4     |
      | 6   | charging operator | ev app            | on_init     | tariff, payment formulas                                             | 5     |
      | 7   | ev app            | charging operator | confirm     | terms, payment formulas                                              | 6     |
      | 8   | charging operator | ev app            | on_confirm  | tariff, payment formulas                                             | 7     |
      | 9   | ev app            | charging operator | update      | session requested                                                    | 8     |
      | 10  | charging operator | ev app            | on_update   | session active                                                       | 9     |
      | 11  | charging operator | ev app            | on_status   | session active, telemetry                                            | 10    |
      | 12  | ev app            | charging operator | update      | session stopping                                                     | 11    |
      | 13  | charging operator | ev app            | on_update   | session completed, charge detail record, bill, settlement, completed | 12    |
    And the parties
      | name     | role              | meter  | place              | connector | power |
      | driver   | ev app            |        |                    |           |       |
      | car park | charging operator | 200100 | 77.5946 E, 12.97 N | CCS2      | 60 kW |
    And the search
      | near               | within | connector | power |
      | 77.6033 E, 12.97 N | 2 km   | CCS2      | 50 kW |
    And the payments
      | from   | to                | kind   | formula |
      | ev app | charging operator | ENERGY | bill    |

  Scenario: A visit over the evening peak is billed by the price of each minute
    Given a delivery from 17:00 to 20:00
    And the terms
      | role   | term   | value  |
      | ev app | wanted | 15 kWh |
    And the tariff
      | dimension    | price         | VAT | from  | until |
      | flat         | 10.00 INR     | 18% |       |       |
      | energy       | 22.00 INR/kWh | 18% | 18:00 | 22:00 |
      | energy       | 14.50 INR/kWh | 18% |       |       |
      | parking time | 30.00 INR/h   | 18% |       |       |
    And the charging session
      | from  | until | energy    | car  |
      | 17:10 | 17:55 | 5.4 kWh   |      |
      | 17:55 | 18:20 | 3.15 kWh  |      |
      | 18:20 | 19:05 | 6.003 kWh |      |
      | 19:05 | 19:25 | 0 kWh     | full |
    When the exchange runs
    Then every message is well formed, signed and answered
    And the messages follow the sequence
    And the exchange keeps BIL-006, EVC-015

  Scenario: A short stop is billed in whole steps of energy and of parking
    Given a delivery from 12:00 to 13:00
    And the terms
      | role   | term   | value  |
      | ev app | wanted | 12 kWh |
    And the tariff
      | dimension    | price         | VAT | step   |
      | energy       | 18.40 INR/kWh | 18% | 500 Wh |
      | parking time | 45.00 INR/h   | 18% | 900 s  |
    And the charging session
      | from  | until | energy     | car  |
      | 12:03 | 12:31 | 11.237 kWh |      |
      | 12:31 | 12:52 | 0 kWh      | full |
    When the exchange runs
    Then the exchange keeps BIL-003, EVC-004, EVC-005, EVC-006

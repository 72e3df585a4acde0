@seat:ev-app @seat:charging-operator
Feature: A car is charged on its way
  A driver looks for chargers along a route and reserves one for a window of arrival. The
  operator holds it until the grace after the window is over.

  Background:
    Given the message sequence
      | row | from              | to                | action      | carries                                                              | after |
      | 1   | ev app            | charging operator | discover    | search, interval                                                     |       |
      | 2   | charging operator | ev app            | on_discover | offer                                                                | 1     |
      | 3   | ev app            | charging operator | select      | terms                                                                | 2     |
      | 4   | charging operator | ev app            | on_select   | tariff, quote                                                        | 3     |
      | 5   | ev app            | charging operator | init        | terms, arrival window                                                | 4     |
      | 6   | charging operator | ev app            | on_init     | tariff, payment formulas, arrival window                             | 5     |
      | 7   | ev app            | charging operator | confirm     | terms, payment formulas, arrival window                              | 6     |
      | 8   | charging operator | ev app            | on_confirm  | tariff, payment formulas, arrival window                             | 7     |
      | 9   | ev app            | charging operator | update      | session requested                                                    | 8     |
      | 10  | charging operator | ev app            | on_update   | session active                                                       | 9     |
      | 11  | charging operator | ev app            | on_status   | session active, telemetry                                            | 10    |
      | 12  | ev app            | charging operator | update      | session stopping                                                     | 11    |
      | 13  | charging operator | ev app            | on_update   | session completed, charge detail record, bill, settlement, completed | 12    |
    And the parties
      | name    | role              | meter  | place            | connector | power  |
      | driver  | ev app            |        |                  |           |        |
      | highway | charging operator | 200500 | 76.90 E, 12.52 N | CCS2      | 120 kW |
    And the search
      | along                              | within | connector | power  |
      | 77.59 E, 12.97 N; 76.64 E, 12.30 N | 8 km   | CCS2      | 100 kW |
    And the payments
      | from   | to                | kind   | formula |
      | ev app | charging operator | ENERGY | bill    |
    And a delivery from 18:00 to 20:00
    And the stay
      | arrives from | arrives until | grace  |
      | 18:05        | 18:20         | 10 min |
    And the terms
      | role   | term   | value  |
      | ev app | wanted | 31 kWh |
    And the tariff
      | dimension    | price         | VAT | from  | until |
      | energy       | 24.90 INR/kWh | 18% | 18:00 | 18:30 |
      | energy       | 21.15 INR/kWh | 18% |       |       |
      | parking time | 90.00 INR/h   | 18% |       |       |

  Scenario Outline: A driver <who> finds the charger reserved
    Given the charging session
      | from      | until | energy     | car  |
      | <arrives> | 18:47 | 26.533 kWh |      |
      | 18:47     | 18:55 | 4.467 kWh  |      |
      | 18:55     | 19:02 | 0 kWh      | full |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps EVC-009, EVC-010, EVC-015

    Examples:
      | who                                   | arrives |
      | who comes in time                     | 18:11   |
      | who comes in the last minute of grace | 18:30   |

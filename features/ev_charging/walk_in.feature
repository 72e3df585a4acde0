@seat:ev-app @seat:charging-operator
Feature: A car is charged without a reservation
  A driver stands at a free charger, agrees to its tariff and starts at once. Nothing is
  selected and nothing reserved; there is no window and no grace.

  Background:
    Given the message sequence
      | row | from              | to                | action      | carries                                                              | after |
      | 1   | ev app            | charging operator | discover    | search, interval                                                     |       |
      | 2   | charging operator | ev app            | on_discover | offer                                                                | 1     |
      | 3   | ev app            | charging operator | confirm     | terms, session requested                                             | 2     |
      | 4   | charging operator | ev app            | on_confirm  | tariff, payment formulas, session active                             | 3     |
      | 5   | charging operator | ev app            | on_status   | session active, telemetry                                            | 4     |
      | 6   | ev app            | charging operator | update      | session stopping                                                     | 5     |
      | 7   | charging operator | ev app            | on_update   | session completed, charge detail record, bill, settlement, completed | 6     |
    And the parties
      | name     | role              | meter  | place              | connector | power |
      | driver   | ev app            |        |                    |           |       |
      | car park | charging operator | 200100 | 77.5946 E, 12.97 N | Type 2    | 22 kW |
    And the search
      | near               | within | connector | power |
      | 77.6033 E, 12.97 N | 2 km   | Type 2    | 11 kW |
    And the payments
      | from   | to                | kind   | formula |
      | ev app | charging operator | ENERGY | bill    |

  Scenario: A driver who walks in is charged at once and pays by energy and time
    Given a delivery from 06:00 to 22:00
    And the terms
      | role   | term   | value |
      | ev app | wanted | 9 kWh |
    And the tariff
      | dimension | price         | VAT | from  | until |
      | energy    | 16.20 INR/kWh | 18% |       |       |
      | time      | 55.00 INR/h   | 18% | 12:00 | 15:00 |
      | time      | 25.00 INR/h   | 18% |       |       |
    And the charging session
      | from  | until | energy    |
      | 14:41 | 15:07 | 8.941 kWh |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-003, EVC-001, EVC-005

@seat:ev-app @seat:charging-operator
Feature: A charge is interrupted and goes on
  The power is cut off in the middle of a session. The operator says so unasked, and says
  when it goes on; what is paid is what was delivered before and after.

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
      | 12  | charging operator | ev app            | on_status   | session interrupted                                                  | 11    |
      | 13  | charging operator | ev app            | on_status   | session active                                                       | 12    |
      | 14  | charging operator | ev app            | on_status   | session active, telemetry                                            | 13    |
      | 15  | ev app            | charging operator | update      | session stopping                                                     | 14    |
      | 16  | charging operator | ev app            | on_update   | session completed, charge detail record, bill, settlement, completed | 15    |
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

  Scenario: An interrupted charge is billed for what was delivered before and after
    Given a delivery from 14:00 to 16:00
    And the terms
      | role   | term   | value  |
      | ev app | wanted | 20 kWh |
    And the tariff
      | dimension | price         | VAT | from energy | to energy |
      | flat      | 12.50 INR     | 18% |             |           |
      | energy    | 19.75 INR/kWh | 18% |             | 10 kWh    |
      | energy    | 17.35 INR/kWh | 18% | 10 kWh      |           |
    And the charging session
      | from  | until | energy     | car     |
      | 14:00 | 14:24 | 7.2 kWh    |         |
      | 14:24 | 14:41 | 0 kWh      | cut off |
      | 14:41 | 15:20 | 11.817 kWh |         |
      | 15:20 | 15:25 | 0 kWh      | full    |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps EVC-002, EVC-003, EVC-007

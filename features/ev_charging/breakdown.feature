@seat:ev-app @seat:charging-operator
Feature: A charge breaks off and is not resumed
  The power is cut off and does not come back. The operator ends the session unasked; the
  driver pays what was delivered, and is paid for what was promised and is missing.

  Background:
    Given the message sequence
      | row | from              | to                | action      | carries                                                                             | after |
      | 1   | ev app            | charging operator | discover    | search, interval                                                                    |       |
      | 2   | charging operator | ev app            | on_discover | offer                                                                               | 1     |
      | 3   | ev app            | charging operator | select      | terms                                                                               | 2     |
      | 4   | charging operator | ev app            | on_select   | tariff, quote                                                                       | 3     |
      | 5   | ev app            | charging operator | init        | terms                                                                               | 4     |
      | 6   | charging operator | ev app            | on_init     | terms, tariff, payment formulas                                                     | 5     |
      | 7   | ev app            | charging operator | confirm     | terms, payment formulas                                                             | 6     |
      | 8   | charging operator | ev app            | on_confirm  | terms, tariff, payment formulas                                                     | 7     |
      | 9   | ev app            | charging operator | update      | session requested                                                                   | 8     |
      | 10  | charging operator | ev app            | on_update   | session active                                                                      | 9     |
      | 11  | charging operator | ev app            | on_status   | session active, telemetry                                                           | 10    |
      | 12  | charging operator | ev app            | on_status   | session interrupted                                                                 | 11    |
      | 13  | charging operator | ev app            | on_update   | session completed, charge detail record, meter reading, bill, settlement, completed | 12    |
    And the parties
      | name     | role              | meter  | place              | connector | power |
      | driver   | ev app            |        |                    |           |       |
      | car park | charging operator | 200100 | 77.5946 E, 12.97 N | Type 2    | 22 kW |
    And the search
      | near               | within | connector | power |
      | 77.6033 E, 12.97 N | 2 km   | Type 2    | 11 kW |
    And the payments
      | from              | to                | kind         | formula                                 |
      | ev app            | charging operator | ENERGY       | bill                                    |
      | charging operator | ev app            | COMPENSATION | compensation * max(0, wanted - charged) |

  Scenario: A charge that breaks off is billed for what was delivered
    Given a delivery from 14:00 to 16:00
    And the terms
      | role              | term         | value        |
      | ev app            | wanted       | 20 kWh       |
      | charging operator | compensation | 1.45 INR/kWh |
    And the tariff
      | dimension | price         | VAT |
      | energy    | 19.75 INR/kWh | 18% |
    And the charging session
      | from  | until | energy    | car     |
      | 14:02 | 14:31 | 8.477 kWh |         |
      | 14:31 | 14:40 | 0 kWh     | cut off |
    And the meter readings
      | name    | meter  | energy    |
      | charged | 200100 | 8.477 kWh |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps EVC-007, EVC-013

@seat:ev-app @seat:charging-operator
Feature: A driver does not come
  When the grace after the window of arrival is over, the operator gives the charger to
  others. It says so unasked, and asks for the fee that was agreed for that.

  Background:
    Given the message sequence
      | row | from              | to                | action      | carries                                         | after |
      | 1   | ev app            | charging operator | discover    | search, interval                                |       |
      | 2   | charging operator | ev app            | on_discover | offer                                           | 1     |
      | 3   | ev app            | charging operator | select      | terms                                           | 2     |
      | 4   | charging operator | ev app            | on_select   | tariff, quote                                   | 3     |
      | 5   | ev app            | charging operator | init        | terms, arrival window                           | 4     |
      | 6   | charging operator | ev app            | on_init     | terms, tariff, payment formulas, arrival window | 5     |
      | 7   | ev app            | charging operator | confirm     | terms, payment formulas, arrival window         | 6     |
      | 8   | charging operator | ev app            | on_confirm  | terms, tariff, payment formulas, arrival window | 7     |
      | 9   | charging operator | ev app            | on_cancel   | notice, bill, settlement                        | 8     |
    And the parties
      | name     | role              | meter  | place              | connector | power |
      | driver   | ev app            |        |                    |           |       |
      | car park | charging operator | 200100 | 77.5946 E, 12.97 N | Type 2    | 22 kW |
    And the search
      | near               | within | connector | power |
      | 77.6033 E, 12.97 N | 2 km   | Type 2    | 11 kW |
    And the payments
      | from   | to                | kind         | formula                                        |
      | ev app | charging operator | ENERGY       | bill                                           |
      | ev app | charging operator | CANCELLATION | min(most, late * max(0, free_before - notice)) |
    And the terms
      | role              | term        | value       |
      | ev app            | wanted      | 15.3 kWh    |
      | charging operator | free_before | 3 h         |
      | charging operator | late        | 40.00 INR/h |
      | charging operator | most        | 180.00 INR  |
    And the tariff
      | dimension | price         | VAT |
      | energy    | 19.75 INR/kWh | 18% |
    And a delivery from 18:00 to 20:00
    And the stay
      | arrives from | arrives until | grace  | given up |
      | 18:05        | 18:20         | 12 min | 18:32    |

  Scenario: A reservation lapses with its fee once the grace is over
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps LIF-002, BIL-001, EVC-008, EVC-009

@seat:ev-app @seat:charging-operator
Feature: A driver cancels a reservation
  Until some hours before it a reservation is given up for nothing; later every hour of
  notice that is missing costs, up to a limit. Nothing else is paid.

  Background:
    Given the message sequence
      | row | from              | to                | action      | carries                         | after |
      | 1   | ev app            | charging operator | discover    | search, interval                |       |
      | 2   | charging operator | ev app            | on_discover | offer                           | 1     |
      | 3   | ev app            | charging operator | select      | terms                           | 2     |
      | 4   | charging operator | ev app            | on_select   | tariff, quote                   | 3     |
      | 5   | ev app            | charging operator | init        | terms                           | 4     |
      | 6   | charging operator | ev app            | on_init     | terms, tariff, payment formulas | 5     |
      | 7   | ev app            | charging operator | confirm     | terms, payment formulas         | 6     |
      | 8   | charging operator | ev app            | on_confirm  | terms, tariff, payment formulas | 7     |
      | 9   | ev app            | charging operator | cancel      | notice                          | 8     |
      | 10  | charging operator | ev app            | on_cancel   | bill, settlement                | 9     |
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
      | charging operator | most        | 110.00 INR  |
    And the tariff
      | dimension | price         | VAT |
      | energy    | 19.75 INR/kWh | 18% |
    And a delivery from 17:00 to 20:00

  Scenario Outline: A driver <who> before the reserved hours pays <what>
    Given the stay
      | given up |
      | <at>     |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps LIF-002, BIL-001, BIL-005, EVC-008

    Examples:
      | who                    | what                           | at    |
      | who cancels long       | nothing                        | 13:50 |
      | who cancels 73 minutes | for the notice that is missing | 15:47 |
      | who cancels a minute   | no more than the limit         | 16:59 |

@seat:ev-app @seat:charging-operator
Feature: A car is charged at home on a rate
  The driver wants so much energy by a deadline at no more than a price. Who operates the
  home charger asks the utility for the tariff of the hours that it plans, and charges in
  these; the utility's meter has the last word.

  Background:
    Given the message sequence
      | row | from              | to                | action      | carries                                                                                        | after  |
      | 1   | ev app            | charging operator | discover    | interval                                                                                       |        |
      | 2   | charging operator | ev app            | on_discover | offer                                                                                          | 1      |
      | 3   | ev app            | charging operator | init        | terms, objective                                                                               | 2      |
      | 4   | charging operator | utility           | init        | terms, plan                                                                                    | 3      |
      | 5   | utility           | charging operator | on_init     | tariff                                                                                         | 4      |
      | 6   | charging operator | ev app            | on_init     | terms, tariff, payment formulas, plan, quote, objective                                        | 3, 5   |
      | 7   | ev app            | charging operator | confirm     | terms, payment formulas, objective                                                             | 6      |
      | 8   | charging operator | utility           | confirm     | terms                                                                                          | 7      |
      | 9   | utility           | charging operator | on_confirm  | tariff, lock                                                                                   | 8      |
      | 10  | charging operator | ev app            | on_confirm  | terms, tariff, payment formulas, objective                                                     | 7, 9   |
      | 11  | ev app            | charging operator | update      | session requested                                                                              | 10     |
      | 12  | charging operator | ev app            | on_update   | session active                                                                                 | 11     |
      | 13  | charging operator | ev app            | on_status   | session active, telemetry                                                                      | 12     |
      | 14  | ev app            | charging operator | update      | session stopping                                                                               | 13     |
      | 15  | charging operator | utility           | status      |                                                                                                | 9, 14  |
      | 16  | utility           | charging operator | on_status   | meter reading                                                                                  | 15     |
      | 17  | charging operator | ev app            | on_update   | session completed, charge detail record, meter reading, shortfall, bill, settlement, completed | 14, 16 |
    And the parties
      | name      | role              | meter  | connector | power  |
      | household | ev app            |        |           |        |
      | home box  | charging operator | 300100 | Type 2    | 7.4 kW |
      | supplier  | utility           |        |           |        |
    And the payments
      | from              | to                | kind         | formula               |
      | ev app            | utility           | ENERGY       | bill                  |
      | ev app            | charging operator | FEE          | platform * metered    |
      | charging operator | ev app            | COMPENSATION | guarantee * shortfall |
    And the terms
      | role              | term      | value        |
      | ev app            | wanted    | 23 kWh       |
      | charging operator | platform  | 0.35 INR/kWh |
      | charging operator | guarantee | 2.50 INR/kWh |

  Scenario: A charge waits for the night and is billed by tiers of energy and by the hour
    Given a delivery from 22:00 to 07:00 next day
    And the stay
      | parked from | parked until   | to charge | by             | at most      |
      | 18:30       | 08:00 next day | 23 kWh    | 07:00 next day | 5.25 INR/kWh |
    And the tariff
      | dimension | price        | VAT | from  | until | to energy |
      | energy    | 9.15 INR/kWh | 5%  | 18:00 | 22:00 |           |
      | energy    | 4.05 INR/kWh | 5%  | 22:00 | 06:00 | 12 kWh    |
      | energy    | 4.90 INR/kWh | 5%  | 22:00 | 06:00 |           |
      | energy    | 6.70 INR/kWh | 5%  |       |       |           |
    And the charging session
      | from  | until          | energy    |
      | 22:05 | 23:50          | 12.6 kWh  |
      | 23:50 | 01:20 next day | 10.71 kWh |
    And the meter readings
      | name    | meter  | energy    |
      | metered | 300100 | 23.31 kWh |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps EVC-014, EVC-016

  Scenario: What is missing at the deadline of a weekend is stated and made good
    Given a delivery from 22:00 on Friday to 09:00 on Saturday
    And the stay
      | to charge | by                | at most      |
      | 23 kWh    | 07:00 on Saturday | 6.00 INR/kWh |
    And the tariff
      | dimension | price        | VAT | days             | from  | until |
      | energy    | 4.55 INR/kWh | 5%  | SATURDAY, SUNDAY |       |       |
      | energy    | 5.65 INR/kWh | 5%  |                  | 22:00 | 06:00 |
      | energy    | 7.20 INR/kWh | 5%  |                  |       |       |
    And the charging session
      | from              | until             | energy   |
      | 22:10 on Friday   | 23:55 on Friday   | 7.35 kWh |
      | 23:55 on Friday   | 05:50 on Saturday | 8.4 kWh  |
      | 05:50 on Saturday | 07:30 on Saturday | 4 kWh    |
    And the meter readings
      | name    | meter  | energy   | from            | until             |
      | metered | 300100 | 7.35 kWh | 22:10 on Friday | 23:55 on Friday   |
      | metered | 300100 | 12.4 kWh | 23:55 on Friday | 07:30 on Saturday |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps EVC-011, EVC-012, EVC-013

@seat:consumer @seat:prosumer
Feature: A neighbour sells energy by a tariff
  A prosumer offers energy by the time of use. A consumer is quoted what it wants, taken evenly;
  what it pays follows from what the meter registered in each interval and the price in force
  there and then, with tax. The utility is paid for its wires by the prosumer.

  Background:
    Given the message sequence
      | row | from     | to       | action      | carries                                    | after  |
      | 1   | consumer | prosumer | discover    | interval                                   |        |
      | 2   | prosumer | consumer | on_discover | offer                                      | 1      |
      | 3   | consumer | prosumer | select      | terms                                      | 2      |
      | 4   | prosumer | consumer | on_select   | tariff, quote                              | 3      |
      | 5   | consumer | prosumer | init        | terms                                      | 4      |
      | 6   | prosumer | utility  | init        | terms                                      | 5      |
      | 7   | utility  | prosumer | on_init     | terms                                      | 6      |
      | 8   | prosumer | consumer | on_init     | tariff, payment formulas                   | 5, 7   |
      | 9   | consumer | prosumer | confirm     | terms, tariff, payment formulas            | 8      |
      | 10  | prosumer | utility  | confirm     | terms                                      | 9      |
      | 11  | utility  | prosumer | on_confirm  | lock                                       | 10     |
      | 12  | prosumer | consumer | on_confirm  | lock, tariff, payment formulas             | 9, 11  |
      | 13  | consumer | prosumer | status      |                                            | 12     |
      | 14  | prosumer | utility  | status      |                                            | 13     |
      | 15  | utility  | prosumer | on_status   | meter reading                              | 14     |
      | 16  | prosumer | consumer | on_status   | meter reading, bill, settlement, completed | 13, 15 |
    And the parties
      | name    | role     | meter  |
      | shop    | consumer | 100200 |
      | school  | prosumer | 100300 |
      | utility | utility  |        |
    And the payments
      | from     | to       | kind     | formula              |
      | consumer | prosumer | ENERGY   | bill                 |
      | prosumer | utility  | WHEELING | wheeling * delivered |

  Scenario: A reading across the change of price is billed at both prices
    Given a delivery from 17:00 to 19:00
    And the terms
      | role     | term       | value        |
      | consumer | wanted     | 7.2 kWh      |
      | consumer | contracted | 7.2 kWh      |
      | utility  | approved   | 10 kWh       |
      | utility  | wheeling   | 0.42 INR/kWh |
    And the tariff
      | dimension | price        | VAT | from  | until |
      | energy    | 9.45 INR/kWh | 18% | 18:00 | 22:00 |
      | energy    | 5.15 INR/kWh | 18% |       |       |
    And the meter readings
      | name      | meter  | energy    | from  | until |
      | delivered | 100300 | 1.805 kWh | 17:00 | 17:30 |
      | delivered | 100300 | 3.333 kWh | 17:30 | 18:30 |
      | delivered | 100300 | 1.42 kWh  | 18:30 | 19:00 |
    When the exchange runs
    Then the messages follow the sequence
    And what was agreed is carried to the end
    And the exchange keeps BIL-005, BIL-006

  Scenario: A night into the weekend is billed by the day it is
    Given a delivery from 22:00 on Friday to 02:00 on Saturday
    And the terms
      | role     | term       | value        |
      | consumer | wanted     | 8 kWh        |
      | consumer | contracted | 8 kWh        |
      | utility  | approved   | 8 kWh        |
      | utility  | wheeling   | 0.42 INR/kWh |
    And the tariff
      | dimension | price        | VAT | from  | until | days               |
      | energy    | 4.20 INR/kWh | 18% |       |       | saturday, sunday   |
      | energy    | 6.35 INR/kWh | 18% | 22:00 | 06:00 |                    |
      | energy    | 7.90 INR/kWh | 18% |       |       |                    |
    And the meter readings
      | name      | meter  | energy    | from            | until             |
      | delivered | 100300 | 2.013 kWh | 22:00 on Friday | 23:00 on Friday |
      | delivered | 100300 | 1.977 kWh | 23:00 on Friday | 00:00 on Saturday |
      | delivered | 100300 | 2.25 kWh  | 00:00 on Saturday | 01:00 on Saturday |
      | delivered | 100300 | 1.6 kWh   | 01:00 on Saturday | 02:00 on Saturday |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001, BIL-005

  Scenario: The first energy is cheaper, and a flat fee is billed once
    Given a delivery from 10:00 to 13:00
    And the terms
      | role     | term       | value        |
      | consumer | wanted     | 9 kWh        |
      | consumer | contracted | 9 kWh        |
      | utility  | approved   | 12 kWh       |
      | utility  | wheeling   | 0.42 INR/kWh |
    And the tariff
      | dimension | price         | VAT | to energy |
      | flat      | 12.00 INR     | 18% |           |
      | energy    | 3.60 INR/kWh  | 5%  | 5 kWh     |
      | energy    | 6.85 INR/kWh  | 18% |           |
    And the meter readings
      | name      | meter  | energy    | from  | until |
      | delivered | 100300 | 2.75 kWh  | 10:00 | 11:00 |
      | delivered | 100300 | 3.505 kWh | 11:00 | 12:00 |
      | delivered | 100300 | 2.49 kWh  | 12:00 | 13:00 |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-005, BIL-006

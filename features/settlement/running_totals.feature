@seat:consumer @seat:prosumer
Feature: What was used before decides what is paid now
  A contract runs over several deliveries and keeps an account: the energy of the month, a
  credit paid in advance. Each report says how the account stood and how it stands, and the
  next one goes on from there.

  Background:
    Given the message sequence
      | row | from     | to       | action      | carries                                                        | after  |
      | 1   | consumer | prosumer | discover    | interval                                                       |        |
      | 2   | prosumer | consumer | on_discover | offer                                                          | 1      |
      | 3   | consumer | prosumer | init        | terms                                                          | 2      |
      | 4   | prosumer | utility  | init        | terms                                                          | 3      |
      | 5   | utility  | prosumer | on_init     | terms                                                          | 4      |
      | 6   | prosumer | consumer | on_init     | terms, payment formulas                                        | 5      |
      | 7   | consumer | prosumer | confirm     | terms, payment formulas                                        | 6      |
      | 8   | prosumer | utility  | confirm     | terms                                                          | 7      |
      | 9   | utility  | prosumer | on_confirm  | lock                                                           | 8      |
      | 10  | prosumer | consumer | on_confirm  | terms, payment formulas                                        | 7, 9   |
      | 11  | consumer | prosumer | status      |                                                                | 10     |
      | 12  | prosumer | utility  | status      |                                                                | 9, 11  |
      | 13  | utility  | prosumer | on_status   | meter reading                                                  | 12     |
      | 14  | prosumer | consumer | on_status   | meter reading, running totals, bill, billing report            | 13     |
      | 15  | consumer | prosumer | status      |                                                                | 14     |
      | 16  | prosumer | utility  | status      |                                                                | 13, 15 |
      | 17  | utility  | prosumer | on_status   | meter reading                                                  | 16     |
      | 18  | prosumer | consumer | on_status   | meter reading, running totals, bill, billing report, completed | 17     |
    And the parties
      | name    | role     | meter  |
      | laundry | consumer | 100200 |
      | school  | prosumer | 100300 |
      | utility | utility  |        |
    And a delivery from 17:00 to 21:00

  Scenario: The second delivery uses the allowance up and goes on at the higher price
    Given the terms
      | role     | term      | value        |
      | consumer | allowance | 150 kWh      |
      | prosumer | low       | 4.15 INR/kWh |
      | prosumer | high      | 6.85 INR/kWh |
      | utility  | wheeling  | 0.42 INR/kWh |
    And the signals
      | name | kind  | at    | value     | becomes          |
      | used | state | 17:00 | 132.5 kWh | used + delivered |
    And the meter readings
      | name      | meter  | energy    | from  | until | report |
      | delivered | 100300 | 11.25 kWh | 17:00 | 19:00 | 1      |
      | delivered | 100300 | 14.61 kWh | 19:00 | 21:00 | 2      |
    And the payments
      | from     | to       | kind     | formula                                             |
      | consumer | prosumer | ENERGY   | low * min(delivered, max(0, allowance - used))      |
      | consumer | prosumer | ABOVE    | high * max(0, delivered - max(0, allowance - used)) |
      | consumer | utility  | WHEELING | wheeling * delivered                                |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps STL-004, STL-005, STL-007

  Scenario: A credit is drawn on until it is used up, and the rest is paid
    Given the terms
      | role     | term       | value        |
      | consumer | contracted | 20 kWh       |
      | prosumer | price      | 5.35 INR/kWh |
    And the signals
      | name   | kind  | at    | value     | becomes                            |
      | credit | state | 17:00 | 60.00 INR | max(0, credit - price * delivered) |
    And the meter readings
      | name      | meter  | energy   | from  | until | report |
      | delivered | 100300 | 8.47 kWh | 17:00 | 19:00 | 1      |
      | delivered | 100300 | 5.93 kWh | 19:00 | 21:00 | 2      |
    And the payments
      | from     | to       | kind   | formula                            |
      | consumer | prosumer | ENERGY | max(0, price * delivered - credit) |
    When the exchange runs
    Then the exchange keeps STL-004, STL-005

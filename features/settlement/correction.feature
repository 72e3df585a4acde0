@seat:consumer @seat:prosumer
Feature: A meter is read again, and the difference is paid
  The first report rests on a reading that the utility amends later. A second report replaces
  the first: it settles the whole again, and says what remains to be paid.

  Background:
    Given the message sequence
      | row | from     | to       | action      | carries                                              | after  |
      | 1   | consumer | prosumer | discover    | interval                                             |        |
      | 2   | prosumer | consumer | on_discover | offer                                                | 1      |
      | 3   | consumer | prosumer | init        | terms                                                | 2      |
      | 4   | prosumer | utility  | init        | terms                                                | 3      |
      | 5   | utility  | prosumer | on_init     | terms                                                | 4      |
      | 6   | prosumer | consumer | on_init     | terms, payment formulas                              | 5      |
      | 7   | consumer | prosumer | confirm     | terms, payment formulas                              | 6      |
      | 8   | prosumer | utility  | confirm     | terms                                                | 7      |
      | 9   | utility  | prosumer | on_confirm  | lock                                                 | 8      |
      | 10  | prosumer | consumer | on_confirm  | terms, payment formulas                              | 7, 9   |
      | 11  | consumer | prosumer | status      |                                                      | 10     |
      | 12  | prosumer | utility  | status      |                                                      | 9, 11  |
      | 13  | utility  | prosumer | on_status   | meter reading                                        | 12     |
      | 14  | prosumer | consumer | on_status   | meter reading, bill, billing report                  | 13     |
      | 15  | consumer | prosumer | status      |                                                      | 14     |
      | 16  | prosumer | utility  | status      |                                                      | 13, 15 |
      | 17  | utility  | prosumer | on_status   | meter reading                                        | 16     |
      | 18  | prosumer | consumer | on_status   | meter reading, billing report, correction, completed | 17     |
    And the parties
      | name     | role       | meter  |
      | library  | consumer   | 100200 |
      | school   | prosumer   | 100300 |
      | utility  | utility    |        |
      | treasury | government |        |

  Scenario: Less was delivered than the first report says, and everybody pays some back
    Given the terms
      | role       | term       | value        |
      | consumer   | contracted | 12.5 kWh     |
      | prosumer   | price      | 5.35 INR/kWh |
      | utility    | wheeling   | 0.42 INR/kWh |
      | government | tax        | 0.18         |
      | prosumer   | penalty    | 1.10 INR/kWh |
    And the meter readings
      | name      | meter  | energy    | report |
      | delivered | 100300 | 12.5 kWh  | 1      |
      | delivered | 100300 | 11.86 kWh | 2      |
    And the payments
      | from     | to         | kind      | formula                                     |
      | consumer | prosumer   | ENERGY    | price * min(delivered, contracted)          |
      | consumer | utility    | WHEELING  | wheeling * min(delivered, contracted)       |
      | consumer | government | TAX       | tax * wheeling * min(delivered, contracted) |
      | prosumer | consumer   | SHORTFALL | penalty * max(0, contracted - delivered)    |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001, STL-006, STL-007

@seat:consumer @seat:prosumer
Feature: A utility curtails a trade under way
  When the grid cannot carry a trade to its end, the utility says so unasked, and the prosumer
  passes it on to its customer. What flowed until then is paid, and nothing else.

  Background:
    Given the message sequence
      | row | from     | to       | action      | carries                                        | after  |
      | 1   | consumer | prosumer | discover    | interval                                       |        |
      | 2   | prosumer | consumer | on_discover | offer                                          | 1      |
      | 3   | consumer | prosumer | init        | terms                                          | 2      |
      | 4   | prosumer | utility  | init        | terms                                          | 3      |
      | 5   | utility  | prosumer | on_init     | terms                                          | 4      |
      | 6   | prosumer | consumer | on_init     | terms, payment formulas                        | 3, 5   |
      | 7   | consumer | prosumer | confirm     | terms, payment formulas                        | 6      |
      | 8   | prosumer | utility  | confirm     | terms                                          | 7      |
      | 9   | utility  | prosumer | on_confirm  | lock                                           | 8      |
      | 10  | prosumer | consumer | on_confirm  | lock, terms, payment formulas                  | 7, 9   |
      | 11  | consumer | prosumer | status      |                                                | 10     |
      | 12  | prosumer | utility  | status      |                                                | 11     |
      | 13  | utility  | prosumer | on_status   | delivery under way                             | 12     |
      | 14  | prosumer | consumer | on_status   | delivery under way                             | 11, 13 |
      | 15  | utility  | prosumer | on_update   | delivery curtailed                             | 13     |
      | 16  | prosumer | consumer | on_update   | delivery curtailed                             | 14, 15 |
      | 17  | utility  | prosumer | on_status   | meter reading                                  | 15     |
      | 18  | prosumer | consumer | on_status   | meter reading, bill, settlement, completed     | 16, 17 |
    And the parties
      | name    | role     | meter  |
      | shop    | consumer | 100200 |
      | school  | prosumer | 100300 |
      | utility | utility  |        |
    And a delivery from 12:00 to 15:00

  Scenario: What flowed before the curtailment is paid
    Given the terms
      | role     | term       | value        |
      | consumer | contracted | 15 kWh       |
      | prosumer | price      | 5.85 INR/kWh |
      | utility  | approved   | 18 kWh       |
      | utility  | wheeling   | 0.37 INR/kWh |
    And the payments
      | from     | to       | kind     | formula                               |
      | consumer | prosumer | ENERGY   | price * min(delivered, contracted)    |
      | consumer | utility  | WHEELING | wheeling * min(delivered, contracted) |
    And the meter readings
      | name      | meter  | energy    | from  | until |
      | delivered | 100300 | 4.985 kWh | 12:00 | 13:00 |
      | delivered | 100300 | 3.51 kWh  | 13:00 | 14:00 |
      | delivered | 100300 | 0 kWh     | 14:00 | 15:00 |
    When the exchange runs
    Then every message is well formed, signed and answered
    And the messages follow the sequence
    And the exchange keeps BIL-001, BIL-007

  Scenario: A consumer who is curtailed is owed a share of what does not come
    Given the terms
      | role     | term         | value        |
      | consumer | contracted   | 9 kWh        |
      | prosumer | price        | 6.10 INR/kWh |
      | utility  | approved     | 9 kWh        |
      | utility  | compensation | 0.75 INR/kWh |
    And the payments
      | from     | to       | kind         | formula                                           |
      | consumer | prosumer | ENERGY       | price * min(delivered, contracted)                |
      | utility  | consumer | COMPENSATION | compensation * max(0, contracted - delivered) / 2 |
      | utility  | prosumer | COMPENSATION | compensation * max(0, contracted - delivered) / 2 |
    And the meter readings
      | name      | meter  | energy  |
      | delivered | 100300 | 3.7 kWh |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001, BIL-002

@seat:consumer @seat:prosumer
Feature: A neighbour sells solar energy at a fixed price
  A prosumer offers energy at a price, a consumer takes some of it, and the utility that
  reads the meters is paid for its wires. The utility approves how much may flow before the
  terms are told, and keeps the trade before it binds. What is paid follows from the price,
  the wheeling charge and what the meters registered, and is never for more than was agreed.

  Background:
    Given the message sequence
      | row | from     | to       | action      | carries                                        | after |
      | 1   | consumer | prosumer | discover    | interval                                       |       |
      | 2   | prosumer | consumer | on_discover | offer                                          | 1     |
      | 3   | consumer | prosumer | select      | terms                                          | 2     |
      | 4   | prosumer | consumer | on_select   | terms, quote                                   | 3     |
      | 5   | consumer | prosumer | init        | terms                                          | 4     |
      | 6   | prosumer | utility  | init        | terms                                          | 5     |
      | 7   | utility  | prosumer | on_init     | terms                                          | 6     |
      | 8   | prosumer | consumer | on_init     | terms, payment formulas                        | 7     |
      | 9   | consumer | prosumer | confirm     | terms, payment formulas                        | 8     |
      | 10  | prosumer | utility  | confirm     | terms                                          | 9     |
      | 11  | utility  | prosumer | on_confirm  | lock                                           | 10    |
      | 12  | prosumer | consumer | on_confirm  | terms, payment formulas                        | 9, 11 |
      | 13  | consumer | prosumer | status      |                                                | 12    |
      | 14  | prosumer | utility  | status      |                                                | 11, 13 |
      | 15  | utility  | prosumer | on_status   | meter reading                                  | 14    |
      | 16  | prosumer | consumer | on_status   | meter reading, bill, settlement, completed     | 15    |
    And the parties
      | name    | role     | meter  |
      | shop    | consumer | 100200 |
      | school  | prosumer | 100300 |
      | utility | utility  |        |
    And the payments
      | from     | to       | kind     | formula                             |
      | consumer | prosumer | ENERGY   | price * min(delivered, contracted)  |
      | consumer | utility  | WHEELING | wheeling * min(delivered, contracted) |

  Scenario: What is delivered in full is paid in full
    Given the terms
      | role     | term       | value        |
      | consumer | wanted     | 12.5 kWh     |
      | consumer | contracted | 12.5 kWh     |
      | prosumer | price      | 5.35 INR/kWh |
      | utility  | wheeling   | 0.42 INR/kWh |
    And the meter readings
      | name      | meter  | energy   |
      | delivered | 100300 | 12.5 kWh |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001

  Scenario: What is delivered in part is paid as far as it flowed
    Given the terms
      | role     | term       | value        |
      | consumer | wanted     | 12.5 kWh     |
      | consumer | contracted | 12.5 kWh     |
      | prosumer | price      | 5.35 INR/kWh |
      | utility  | approved   | 20 kWh       |
      | utility  | wheeling   | 0.42 INR/kWh |
    And a delivery from 11:00 to 13:00
    And the meter readings
      | name      | meter  | energy    | from  | until |
      | delivered | 100300 | 6.125 kWh | 11:00 | 12:00 |
      | delivered | 100300 | 3.2 kWh   | 12:00 | 13:00 |
    When the exchange runs
    Then every message is well formed, signed and answered
    And the messages follow the sequence
    And the exchange keeps BIL-001, ALC-001

  Scenario: What is delivered beyond the contract earns nothing
    Given the terms
      | role     | term       | value        |
      | consumer | wanted     | 8.75 kWh     |
      | consumer | contracted | 8.75 kWh     |
      | prosumer | price      | 6.18 INR/kWh |
      | utility  | approved   | 8.75 kWh     |
      | utility  | wheeling   | 0.42 INR/kWh |
    And the meter readings
      | name      | meter  | energy   |
      | delivered | 100300 | 11.4 kWh |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001, BIL-005

  Scenario: More energy than the utility approves is not sold
    Given the terms
      | role     | term       | value        |
      | consumer | wanted     | 15 kWh       |
      | consumer | contracted | 15 kWh       |
      | prosumer | price      | 5.35 INR/kWh |
      | utility  | approved   | 14.5 kWh     |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps ALC-001

  Scenario: A trade that the utility does not keep binds nobody
    Given the parties
      | name    | role     | meter  | refuses |
      | shop    | consumer | 100200 |         |
      | school  | prosumer | 100300 |         |
      | utility | utility  |        | confirm |
    And the terms
      | role     | term       | value        |
      | consumer | wanted     | 4 kWh        |
      | consumer | contracted | 4 kWh        |
      | prosumer | price      | 5.35 INR/kWh |
      | utility  | approved   | 20 kWh       |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps ALC-002

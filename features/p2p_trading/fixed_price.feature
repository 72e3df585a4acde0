@seat:consumer @seat:prosumer
Feature: A neighbour sells solar energy at a fixed price
  A prosumer offers energy at a price, a consumer takes some of it, and the utility
  that reads both meters is paid for its wires. What is paid follows from the price,
  the wheeling charge and what the meters registered.

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

@seat:consumer @seat:prosumer
Feature: Energy is sold at the price of an exchange
  The price is not agreed but a signal: what the day-ahead auction comes to in each hour.
  Who reads the meters tells the prices too, and the report states both, so that anybody
  computes the bill again from that message alone.

  Background:
    Given the message sequence
      | row | from     | to       | action      | carries                                                 | after |
      | 1   | consumer | prosumer | discover    | interval                                                |       |
      | 2   | prosumer | consumer | on_discover | offer                                                   | 1     |
      | 3   | consumer | prosumer | init        | terms                                                   | 2     |
      | 4   | prosumer | utility  | init        | terms                                                   | 3     |
      | 5   | utility  | prosumer | on_init     | terms                                                   | 4     |
      | 6   | prosumer | consumer | on_init     | terms, payment formulas                                 | 5     |
      | 7   | consumer | prosumer | confirm     | terms, payment formulas                                 | 6     |
      | 8   | prosumer | utility  | confirm     | terms                                                   | 7     |
      | 9   | utility  | prosumer | on_confirm  | lock                                                    | 8     |
      | 10  | prosumer | consumer | on_confirm  | terms, payment formulas                                 | 7, 9  |
      | 11  | consumer | prosumer | status      |                                                         | 10    |
      | 12  | prosumer | utility  | status      |                                                         | 9, 11 |
      | 13  | utility  | prosumer | on_status   | meter reading, signals                                  | 12    |
      | 14  | prosumer | consumer | on_status   | meter reading, signals, bill, billing report, completed | 13    |
    And the parties
      | name    | role     | meter  |
      | dairy   | consumer | 100200 |
      | turbine | prosumer | 100300 |
      | utility | utility  |        |
    And a delivery from 17:00 to 19:00
    And the terms
      | role     | term       | value        |
      | consumer | contracted | 40 kWh       |
      | prosumer | margin     | 0.35 INR/kWh |
      | utility  | wheeling   | 0.42 INR/kWh |

  Scenario: The price of the auction and a margin are paid
    Given the signals
      | name      | kind  | at    | value         |
      | day_ahead | price | 17:00 | 4.217 INR/kWh |
    And the meter readings
      | name      | meter  | energy   |
      | delivered | 100300 | 38.4 kWh |
    And the payments
      | from     | to       | kind     | formula                                           |
      | consumer | prosumer | ENERGY   | (day_ahead + margin) * min(delivered, contracted) |
      | consumer | utility  | WHEELING | wheeling * min(delivered, contracted)             |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001

  Scenario: In an hour of too much wind the buyer is paid for taking energy
    Given the signals
      | name      | kind  | at    | value          |
      | day_ahead | price | 17:00 | -3.905 INR/kWh |
      | day_ahead | price | 18:00 | 0.881 INR/kWh  |
    And the meter readings
      | name      | meter  | energy    | from  | until | priced by |
      | delivered | 100300 | 21.37 kWh | 17:00 | 18:00 | day_ahead |
      | delivered | 100300 | 12.06 kWh | 18:00 | 19:00 | day_ahead |
    And the payments
      | from     | to       | kind     | formula                                     |
      | consumer | prosumer | ENERGY   | delivered_at_day_ahead + margin * delivered |
      | consumer | utility  | WHEELING | wheeling * delivered                        |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps STL-002, STL-003

@seat:consumer @seat:prosumer
Feature: Six parties share what a neighbour's energy is sold for
  A household sells the surplus of its roof through an aggregator. Wires, market and state
  have their part in each delivery. Every amount is rounded by itself, and what is left to
  the six sums to zero to the last minor unit.

  Background:
    Given the message sequence
      | row | from     | to       | action      | carries                                        | after |
      | 1   | consumer | prosumer | discover    | interval                                       |       |
      | 2   | prosumer | consumer | on_discover | offer                                          | 1     |
      | 3   | consumer | prosumer | init        | terms                                          | 2     |
      | 4   | prosumer | utility  | init        | terms                                          | 3     |
      | 5   | utility  | prosumer | on_init     | terms                                          | 4     |
      | 6   | prosumer | consumer | on_init     | terms, payment formulas                        | 5     |
      | 7   | consumer | prosumer | confirm     | terms, payment formulas                        | 6     |
      | 8   | prosumer | utility  | confirm     | terms                                          | 7     |
      | 9   | utility  | prosumer | on_confirm  | lock                                           | 8     |
      | 10  | prosumer | consumer | on_confirm  | terms, payment formulas                        | 7, 9  |
      | 11  | consumer | prosumer | status      |                                                | 10    |
      | 12  | prosumer | utility  | status      |                                                | 9, 11 |
      | 13  | utility  | prosumer | on_status   | meter reading                                  | 12    |
      | 14  | prosumer | consumer | on_status   | meter reading, bill, billing report, completed | 13    |
    And the parties
      | name       | role           | meter  |
      | bakery     | consumer       | 100200 |
      | household  | prosumer       | 100300 |
      | utility    | utility        |        |
      | collective | aggregator     |        |
      | exchange   | clearing agent |        |
      | treasury   | government     |        |

  Scenario: Every rounded amount finds its party, and nothing is left over
    Given the terms
      | role           | term       | value         |
      | consumer       | contracted | 13.7 kWh      |
      | prosumer       | price      | 5.355 INR/kWh |
      | aggregator     | share      | 0.035         |
      | utility        | wheeling   | 0.427 INR/kWh |
      | clearing agent | fee        | 0.049 INR/kWh |
      | government     | duty       | 0.06          |
      | government     | tax        | 0.18          |
    And the meter readings
      | name      | meter  | energy     |
      | delivered | 100300 | 13.137 kWh |
    And the payments
      | from       | to             | kind      | formula                         |
      | consumer   | prosumer       | ENERGY    | price * delivered               |
      | prosumer   | aggregator     | SHARE     | share * price * delivered       |
      | consumer   | utility        | WHEELING  | wheeling * delivered            |
      | consumer   | clearing agent | FEE       | fee * delivered                 |
      | consumer   | government     | DUTY      | duty * price * delivered        |
      | consumer   | government     | TAX       | tax * fee * delivered           |
      | aggregator | government     | SHARE_TAX | tax * share * price * delivered |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001, BIL-002, STL-001

  Scenario: What is not delivered is refunded, and what is missing beyond a tenth costs a penalty
    Given the terms
      | role     | term       | value        |
      | consumer | contracted | 25 kWh       |
      | prosumer | price      | 5.35 INR/kWh |
      | prosumer | penalty    | 1.95 INR/kWh |
    And the meter readings
      | name      | meter  | energy    |
      | delivered | 100300 | 19.29 kWh |
    And the payments
      | from     | to       | kind      | formula                                        |
      | consumer | prosumer | ENERGY    | price * contracted                             |
      | prosumer | consumer | REFUND    | price * max(0, contracted - delivered)         |
      | prosumer | consumer | SHORTFALL | penalty * max(0, 0.9 * contracted - delivered) |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001, BIL-005

  Scenario Outline: A currency of <decimals> decimals is shared in whole units of its own
    Given the terms
      | role           | term       | value                  |
      | consumer       | contracted | 13.7 kWh               |
      | prosumer       | price      | <price> <currency>/kWh |
      | aggregator     | share      | 0.035                  |
      | clearing agent | fee        | <fee> <currency>/kWh   |
      | government     | tax        | 0.1                    |
    And the meter readings
      | name      | meter  | energy     |
      | delivered | 100300 | 13.137 kWh |
    And the payments
      | from     | to             | kind   | formula                         |
      | consumer | prosumer       | ENERGY | price * delivered               |
      | prosumer | aggregator     | SHARE  | share * price * delivered       |
      | consumer | clearing agent | FEE    | fee * delivered                 |
      | consumer | government     | TAX    | tax * (price + fee) * delivered |
    When the exchange runs
    Then the exchange keeps BIL-001, BIL-008

    Examples:
      | currency | decimals | price   | fee     |
      | JPY      | 0        | 27.5    | 0.35    |
      | KWD      | 3        | 0.02945 | 0.00045 |

  Scenario: A penalty is paid for the promise that was missed, and none for the one that was kept
    Given the terms
      | role     | term       | value        |
      | consumer | contracted | 25 kWh       |
      | prosumer | price      | 5.35 INR/kWh |
      | prosumer | sorry      | 0.75 INR/kWh |
      | prosumer | excess     | 2.10 INR/kWh |
    And the meter readings
      | name      | meter  | energy    |
      | delivered | 100300 | 22.91 kWh |
    And the payments
      | from     | to       | kind     | formula                              | unless                     | is                           |
      | consumer | prosumer | ENERGY   | price * delivered                    |                            |                              |
      | prosumer | consumer | SERVICE  | sorry * (target - share) * contracted | share at least 0.95        | delivered / contracted       |
      | prosumer | consumer | OVERFLOW | excess * (surplus - target)          | surplus at most 0.5 kWh    | max(0, delivered - contracted) |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001

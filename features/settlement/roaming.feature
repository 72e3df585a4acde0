@seat:ev-app @seat:charging-operator
Feature: A charge is shared between operator, roaming hub, utility and state
  A driver charges by a hub's card. What the driver pays follows from the charge detail
  record and the tariff; what the others are due follows from the same record.

  Background:
    Given the message sequence
      | row | from              | to                | action      | carries                                                                  | after |
      | 1   | ev app            | charging operator | discover    | interval                                                                 |       |
      | 2   | charging operator | ev app            | on_discover | offer                                                                    | 1     |
      | 3   | ev app            | charging operator | select      | terms                                                                    | 2     |
      | 4   | charging operator | ev app            | on_select   | tariff, quote                                                            | 3     |
      | 5   | ev app            | charging operator | init        | terms                                                                    | 4     |
      | 6   | charging operator | ev app            | on_init     | terms, tariff, payment formulas                                          | 5     |
      | 7   | ev app            | charging operator | confirm     | terms, payment formulas                                                  | 6     |
      | 8   | charging operator | ev app            | on_confirm  | terms, tariff, payment formulas                                          | 7     |
      | 9   | ev app            | charging operator | update      | session requested                                                        | 8     |
      | 10  | charging operator | ev app            | on_update   | session active                                                           | 9     |
      | 11  | ev app            | charging operator | update      | session stopping                                                         | 10    |
      | 12  | charging operator | ev app            | on_update   | session completed, charge detail record, bill, billing report, completed | 11    |
    And the parties
      | name      | role              | meter  |
      | driver    | ev app            |        |
      | forecourt | charging operator | 200100 |
      | hub       | roaming hub       |        |
      | wires     | utility           |        |
      | treasury  | government        |        |

  Scenario: One record pays five parties
    Given a delivery from 17:00 to 20:00
    And the terms
      | role        | term      | value        |
      | ev app      | wanted    | 15 kWh       |
      | roaming hub | hub_share | 0.025        |
      | utility     | network   | 1.15 INR/kWh |
      | government  | tax       | 0.18         |
    And the tariff
      | dimension    | price         | VAT | from  | until |
      | flat         | 10.00 INR     | 18% |       |       |
      | energy       | 22.00 INR/kWh | 18% | 18:00 | 22:00 |
      | energy       | 14.50 INR/kWh | 18% |       |       |
      | parking time | 30.00 INR/h   | 18% |       |       |
    And the charging session
      | from  | until | energy    | car  |
      | 17:10 | 17:55 | 5.4 kWh   |      |
      | 17:55 | 18:20 | 3.15 kWh  |      |
      | 18:20 | 19:05 | 6.003 kWh |      |
      | 19:05 | 19:25 | 0 kWh     | full |
    And the payments
      | from              | to                | kind    | formula                      |
      | ev app            | charging operator | ENERGY  | bill                         |
      | charging operator | roaming hub       | ROAMING | hub_share * bill / (1 + tax) |
      | charging operator | utility           | NETWORK | network * charged            |
      | charging operator | government        | TAX     | tax * bill / (1 + tax)       |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps BIL-001, STL-001

@dialect:contract
@seat:buyer-platform @seat:seller-platform
Feature: Neighbours of two utilities trade through their platforms
  Each utility keeps the trades of its own customers: the seller's before a trade binds, the
  buyer's as soon as it does. After delivery each reads its meters and shares what they
  registered among the trades of a meter, pro rata. The smaller of both shares is final; it is
  paid at the price of its interval, with wheeling to both utilities, and a penalty for what
  is missing.

  Background:
    Given the message sequence
      | row | from            | to              | action      | carries                                                | after    |
      | 1   | buyer platform  | seller platform | discover    | interval                                               |          |
      | 2   | seller platform | buyer platform  | on_discover | offer, price per interval, available per interval      | 1        |
      | 3   | buyer platform  | seller platform | init        | requested per interval                                 | 2        |
      | 4   | seller platform | buyer platform  | on_init     | terms, payment formulas, requested per interval        | 3        |
      | 5   | buyer platform  | seller platform | confirm     | payment formulas, requested per interval               | 4        |
      | 6   | seller platform | seller utility  | confirm     | requested per interval                                 | 5        |
      | 7   | seller utility  | seller platform | on_confirm  | lock, requested per interval                           | 6        |
      | 8   | seller platform | buyer platform  | on_confirm  | lock, payment formulas, requested per interval         | 5, 7     |
      | 9   | buyer platform  | buyer utility   | confirm     | requested per interval                                 | 8        |
      | 10  | buyer utility   | buyer platform  | on_confirm  | lock, requested per interval                           | 9        |
      | 11  | buyer platform  | seller platform | status      |                                                        | 10       |
      | 12  | seller platform | seller utility  | status      |                                                        | 7, 11    |
      | 13  | seller utility  | seller platform | on_status   | meter reading                                          | 12       |
      | 14  | seller utility  | seller platform | on_status   | seller's allocation per interval                       | 13, all 6 |
      | 15  | seller platform | buyer platform  | on_status   | seller's allocation per interval                       | 11, 14   |
      | 16  | buyer platform  | buyer utility   | status      |                                                        | 15       |
      | 17  | buyer utility   | buyer platform  | on_status   | meter reading                                          | 16       |
      | 18  | buyer utility   | buyer platform  | on_status   | buyer's allocation per interval                        | 17, all 9 |
      | 19  | buyer platform  | seller platform | update      | buyer's allocation per interval                        | 18       |
      | 20  | seller platform | seller utility  | update      | buyer's allocation per interval                        | 19       |
      | 21  | seller utility  | seller platform | on_update   | final allocation per interval                          | 20       |
      | 22  | seller platform | buyer platform  | on_update   | final allocation per interval, settlement, completed   | 19, 21   |
    And the payments
      | from            | to             | kind              | formula                                |
      | buyer platform  | seller platform | ENERGY           | price * final_allocation               |
      | buyer platform  | buyer utility  | WHEELING          | wheeling_in * final_allocation         |
      | seller platform | seller utility | WHEELING          | wheeling_out * final_allocation        |
      | seller platform | seller utility | DEVIATION_PENALTY | penalty * (requested - final_allocation) |
    And the terms
      | role            | term         | value        |
      | seller platform | wheeling_in  | 0.28 INR/kWh |
      | seller platform | wheeling_out | 0.32 INR/kWh |
      | seller platform | penalty      | 0.65 INR/kWh |
    And a delivery from 10:00 to 12:00

  Scenario: One trade is delivered a little short and settled to the paisa
    Given the parties
      | name           | role            | meter  |
      | shop           | buyer platform  | 100200 |
      | school         | seller platform | 100300 |
      | city utility   | buyer utility   |        |
      | valley utility | seller utility  |        |
    And the intervals
      | party | from  | until | price         | available | requested |
      |       | 10:00 | 11:00 | 11.85 INR/kWh | 28 kWh    |           |
      |       | 11:00 | 12:00 | 13.40 INR/kWh | 24 kWh    |           |
      | shop  | 10:00 | 11:00 |               |           | 19.3 kWh  |
      | shop  | 11:00 | 12:00 |               |           | 16.4 kWh  |
    And the meter readings
      | name   | meter  | energy    | from  | until |
      | sold   | 100300 | 17.9 kWh  | 10:00 | 11:00 |
      | sold   | 100300 | 16.85 kWh | 11:00 | 12:00 |
      | bought | 100200 | -18.25 kWh | 10:00 | 11:00 |
      | bought | 100200 | -15.725 kWh | 11:00 | 12:00 |
    When the exchange runs
    Then every message is well formed, signed and answered
    And the messages follow the sequence
    And the exchange keeps ALC-003, ALC-009, AMT-023

  @seat:buyer-utility @seat:seller-utility
  Scenario: Two trades share what the meters of a school and a market hall registered
    Given the parties
      | name           | role            | meter  |
      | baker          | buyer platform  | 100201 |
      | butcher        | buyer platform  | 100201 |
      | school         | seller platform | 100300 |
      | city utility   | buyer utility   |        |
      | valley utility | seller utility  |        |
    And the intervals
      | party   | from  | until | price         | available | requested |
      |         | 10:00 | 11:00 | 12.20 INR/kWh | 30 kWh    |           |
      |         | 11:00 | 12:00 | 13.75 INR/kWh | 24 kWh    |           |
      | baker   | 10:00 | 11:00 |               |           | 10 kWh    |
      | baker   | 11:00 | 12:00 |               |           | 8 kWh     |
      | butcher | 10:00 | 11:00 |               |           | 7 kWh     |
      | butcher | 11:00 | 12:00 |               |           | 5 kWh     |
    And the meter readings
      | name   | meter  | energy    | from  | until |
      | sold   | 100300 | 15.3 kWh  | 10:00 | 11:00 |
      | sold   | 100300 | 14.2 kWh  | 11:00 | 12:00 |
      | bought | 100201 | -16.2 kWh | 10:00 | 11:00 |
      | bought | 100201 | -12.4 kWh | 11:00 | 12:00 |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps ALC-004, ALC-007, ALC-008, BIL-001

  Scenario: A trade that its own utility does not keep is not sold
    Given the parties
      | name           | role            | meter  | refuses |
      | shop           | buyer platform  | 100200 |         |
      | school         | seller platform | 100300 |         |
      | city utility   | buyer utility   |        |         |
      | valley utility | seller utility  |        | confirm |
    And the intervals
      | from  | until | price         | available | requested |
      | 10:00 | 11:00 | 11.80 INR/kWh | 6 kWh     | 6 kWh     |
      | 11:00 | 12:00 | 11.80 INR/kWh | 6 kWh     | 4.5 kWh   |
    When the exchange runs
    Then the messages follow the sequence
    And the exchange keeps ALC-002

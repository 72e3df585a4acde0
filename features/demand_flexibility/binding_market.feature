@seat:clearing-agent @seat:market-participant
Feature: A grid operator buys less load in a pay-as-clear market
  The grid operator states how much load is to fall, in which interval, and the highest price it
  pays. Households and shops offer to draw less than usual, as curves: less consumption counts
  as injection. Who confirms has opted in. The market buys the whole target, or all that
  is offered at the highest price where that is less. After delivery the grid operator states
  for each meter what it drew in the days before, the baseline that follows from them, and
  what was drawn. Paid is the reduction that was delivered, up to the one that was cleared.

  Background:
    Given the message sequence
      | row | from               | to                 | action                 | carries                             | after |
      | 1   | utility            | clearing agent     | discover               | interval                            |       |
      | 2   | clearing agent     | utility            | on_discover            | offer                               | 1     |
      | 3   | utility            | clearing agent     | init                   | objective, offer curve, charges     | 2     |
      | 4   | clearing agent     | utility            | on_init                | objective, charges                  | 3     |
      | 5   | market participant | clearing agent     | discover               | interval                            | all 4 |
      | 6   | clearing agent     | market participant | on_discover            | offer, objective                    | 5     |
      | 7   | market participant | clearing agent     | init                   | offer curve                         | 6     |
      | 8   | clearing agent     | utility            | init                   | requested power                     | 7     |
      | 9   | utility            | clearing agent     | on_init                | approval, charges                   | 8     |
      | 10  | clearing agent     | market participant | on_init                | approval, charges                   | 9     |
      | 11  | utility            | clearing agent     | confirm                | objective, offer curve              | 4     |
      | 12  | market participant | clearing agent     | confirm                | offer curve                         | 10    |
      | 13  | clearing agent     | utility            | confirm                | cleared power                       | all 11, all 12 |
      | 14  | utility            | clearing agent     | on_confirm             | lock                                | 13    |
      | 15  | clearing agent     | market participant | on_confirm             | cleared power                       | 12, 14 |
      | 16  | clearing agent     | utility            | on_confirm             | cleared power                       | 11, all 14 |
      | 17  | market participant | clearing agent     | status                 |                                     | 15    |
      | 18  | utility            | clearing agent     | status                 |                                     | 16    |
      | 19  | clearing agent     | utility            | status                 |                                     | 14    |
      | 20  | utility            | clearing agent     | on_status              | meter reading, baseline             | 19    |
      | 21  | clearing agent     | market participant | on_status or on_update | meter reading, baseline, settlement | 20    |
      | 22  | clearing agent     | utility            | on_status or on_update | settlement                          | 18, all 20 |
    And a delivery of 120 minutes
    And the charges
      | settled by         | penalty      | band |
      | what was delivered | 1.50 INR/kWh | 10 % |

  @seat:utility
  Scenario: A supermarket and a cold store share the target and deliver it
    Given the objective
      | reduction | highest price | baseline    |
      | 12 kW     | 6.00 INR/kWh  | 3 of 5 days |
    And the market participants
      | name        | meter  | sanctioned | usual load                          | offer curve (INR/kWh)        |
      | supermarket | 200100 | 60 kW      | 41 kW, 44 kW, 39 kW, 42 kW, 40 kW   | 0 kW at 2.00, 10 kW at 4.00  |
      | cold store  | 200200 | 30 kW      | 22 kW, 22 kW, 21 kW, 22 kW, 22 kW   | 0 kW at 1.00, 6 kW at 4.00   |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And every trade is locked once before it binds
    And the exchange keeps FLX-001, FLX-002, FLX-003, FLX-004, FLX-005, FLX-006, FLX-008
    And the money balances to the last minor unit

  Scenario: A target beyond all offers is bought as far as it is offered at the highest price
    Given the objective
      | reduction | highest price | baseline    |
      | 30 kW     | 5.00 INR/kWh  | 3 of 5 days |
    And the market participants
      | name        | meter  | sanctioned | committed | usual load                        | offer curve (INR/kWh)                      |
      | supermarket | 200100 | 60 kW      |           | 41 kW, 44 kW, 39 kW, 42 kW, 40 kW | 0 kW at 2.00, 10 kW at 4.00                |
      | cold store  | 200200 | 30 kW      | 26 kW     | 22 kW, 22 kW, 21 kW, 22 kW, 22 kW | 0 kW at 1.00, 6 kW at 4.00                 |
      | laundry     | 200400 | 25 kW      |           | 15 kW, 12 kW, 14 kW, 16 kW, 9 kW  | 0 kW at 3.00, 3 kW at 4.50, 9 kW at 6.00   |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And every trade is locked once before it binds
    And the exchange keeps FLX-001, FLX-002, FLX-003, FLX-004, FLX-005, FLX-006, FLX-008
    And the money balances to the last minor unit

  Scenario: Who delivers less than the band allows is penalised, who delivers more is paid no more
    Given the objective
      | reduction | highest price | baseline    |
      | 18 kW     | 8.00 INR/kWh  | 3 of 5 days |
    And the market participants
      | name        | meter  | sanctioned | usual load                        | offer curve (INR/kWh)       | metered |
      | supermarket | 200100 | 60 kW      | 41 kW, 44 kW, 39 kW, 42 kW, 40 kW | 0 kW at 2.00, 8 kW at 4.00  | -73 kWh |
      | cold store  | 200200 | 30 kW      | 22 kW, 22 kW, 21 kW, 22 kW, 22 kW | 0 kW at 2.00, 5 kW at 4.00  | -30 kWh |
      | laundry     | 200400 | 25 kW      | 15 kW, 12 kW, 14 kW, 16 kW, 9 kW  | 0 kW at 2.00, 4 kW at 4.00  | -23 kWh |
      | office      | 200500 | 25 kW      | 10 kW, 11 kW, 10 kW, 12 kW, 10 kW | 0 kW at 2.00, 3 kW at 4.00  | -25 kWh |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the exchange keeps FLX-001, FLX-002, FLX-003, FLX-004, FLX-005, FLX-006, FLX-008
    And the money balances to the last minor unit

  Scenario: Three alike shops share an odd paisa of a quarter of an hour
    Given a delivery of 15 minutes
    And the objective
      | reduction | highest price | baseline    |
      | 10 kW     | 7.77 INR/kWh  | 2 of 3 days |
    And the market participants
      | name   | meter  | sanctioned | usual load         | offer curve (INR/kWh)       |
      | shop-a | 200601 | 20 kW      | 8 kW, 9 kW, 8 kW   | 0 kW at 3.33, 7 kW at 3.33  |
      | shop-b | 200602 | 20 kW      | 7 kW, 7 kW, 9 kW   | 0 kW at 3.33, 7 kW at 3.33  |
      | shop-c | 200603 | 20 kW      | 9 kW, 11 kW, 10 kW | 0 kW at 3.33, 7 kW at 3.33  |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the exchange keeps FLX-001, FLX-002, FLX-003, FLX-004, FLX-005, FLX-006, FLX-008
    And the money balances to the last minor unit

  Scenario: Nobody is called when all ask for more than the highest price
    Given the objective
      | reduction | highest price | baseline    |
      | 12 kW     | 1.50 INR/kWh  | 3 of 5 days |
    And the market participants
      | name        | meter  | sanctioned | usual load                        | offer curve (INR/kWh)        |
      | supermarket | 200100 | 60 kW      | 41 kW, 44 kW, 39 kW, 42 kW, 40 kW | 0 kW at 2.00, 10 kW at 4.00  |
      | cold store  | 200200 | 30 kW      | 22 kW, 22 kW, 21 kW, 22 kW, 22 kW | 0 kW at 1.80, 6 kW at 4.00   |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the money balances to the last minor unit

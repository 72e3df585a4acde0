@seat:clearing-agent @seat:market-participant
Feature: A participant opts out of a reduction
  Who has offered to draw less may withdraw until the market has cleared. The others then
  fill what they can of the target, and who has left is neither paid nor penalised,
  whatever its meter shows. No sequence is stated here, for nobody has to leave.

  Background:
    Given a delivery of 60 minutes
    And the charges
      | settled by         | penalty      | band |
      | what was delivered | 1.50 INR/kWh | 10 % |
    And the objective
      | reduction | highest price | baseline    |
      | 12 kW     | 6.00 INR/kWh  | 3 of 5 days |

  Scenario: A bakery that opts out in time owes nothing for the load it keeps
    Given the market participants
      | name        | meter  | sanctioned | usual load                        | offer curve (INR/kWh)        | metered | cancels |
      | supermarket | 200100 | 60 kW      | 41 kW, 44 kW, 39 kW, 42 kW, 40 kW | 0 kW at 2.00, 10 kW at 4.00  |         |         |
      | bakery      | 200300 | 40 kW      | 18 kW, 19 kW, 18 kW, 20 kW, 18 kW | 0 kW at 1.00, 8 kW at 3.00   | -21 kWh | before  |
    When the market runs
    Then the exchange keeps FLX-007
    And what was agreed is carried to the end
    And the market is in equilibrium
    And the exchange keeps FLX-001, FLX-002, FLX-003, FLX-004, FLX-005, FLX-006, FLX-008
    And the money balances to the last minor unit

  Scenario: A bakery that opts out too late is held to its reduction
    Given the market participants
      | name        | meter  | sanctioned | usual load                        | offer curve (INR/kWh)        | metered | cancels |
      | supermarket | 200100 | 60 kW      | 41 kW, 44 kW, 39 kW, 42 kW, 40 kW | 0 kW at 2.00, 10 kW at 4.00  |         |         |
      | bakery      | 200300 | 40 kW      | 18 kW, 19 kW, 18 kW, 20 kW, 18 kW | 0 kW at 1.00, 8 kW at 3.00   | -18 kWh | after   |
    When the market runs
    Then what was agreed is carried to the end
    And the market is in equilibrium
    And the exchange keeps FLX-001, FLX-002, FLX-003, FLX-004, FLX-005, FLX-006, FLX-008
    And the money balances to the last minor unit

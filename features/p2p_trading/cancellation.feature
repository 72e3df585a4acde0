@seat:clearing-agent @seat:market-participant
Feature: A participant cancels in a pay-as-clear market
  Who has confirmed may cancel until the market has cleared. The agent withdraws
  its offer, the market clears among the others, and no result is told to who has
  left. Once the market has cleared a cancel is refused, for the others' trades
  rest on it. No sequence is stated here: the life cycle itself is judged.

  Background:
    Given a delivery of 60 minutes

  Scenario: A battery that cancels in time is left out and the others trade
    Given the market participants
      | name    | meter  | sanctioned | offer curve (INR/kWh)                        | cancels |
      | battery | 100400 | 10 kW      | -8 kW at 0.06, 8 kW at 0.11                  | before  |
      | car     | 100200 | 30 kW      | -11 kW at 0.08, -5 kW at 0.10, 0 kW at 0.12  |         |
      | roof    | 100300 | 5 kW       | 0 kW at 0.05, 2 kW at 0.06, 5 kW at 0.07     |         |
    When the market runs
    Then what was agreed is carried to the end
    And every message is well formed, signed and answered
    And the market is in equilibrium
    And the money balances to the last minor unit

  Scenario: A car that cancels too late is refused and its trade stands
    Given the market participants
      | name    | meter  | sanctioned | offer curve (INR/kWh)                        | cancels |
      | car     | 100200 | 30 kW      | -11 kW at 0.08, -5 kW at 0.10, 0 kW at 0.12  | after   |
      | roof    | 100300 | 5 kW       | 0 kW at 0.05, 2 kW at 0.06, 5 kW at 0.07     |         |
    When the market runs
    Then the exchange keeps COR-005
    And what was agreed is carried to the end
    And the market is in equilibrium
    And the money balances to the last minor unit

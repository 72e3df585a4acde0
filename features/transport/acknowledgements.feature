@seat:market-participant
Feature: Who is turned away goes on without insisting
  Not every request can be served. The answer says so at once, and that nothing will follow.

  Background:
    Given a delivery interval of 60 minutes
    And the market participants
      | name  | meter  | sanctioned | offer curve (INR/kWh)                        |
      | car   | 100200 | 30 kW      | -11 kW at 0.08, -5 kW at 0.10, 0 kW at 0.12  |
      | roof  | 100300 | 5 kW       | 0 kW at 0.05, 2 kW at 0.06, 5 kW at 0.07     |

  Scenario: A search that nobody will answer ends there
    When a message that gets no callback comes in a trade
    Then the exchange keeps COR-014

@seat:market-participant
Feature: Who is turned away goes on without insisting
  Not every request can be served. The answer says so at once, and that nothing will follow.

  Background:
    Given a delivery of 60 minutes
    And the market participants
      | name  | meter  | sanctioned | offer curve (INR/kWh)                        |
      | house | 100200 | 30 kW      | -10 kW at 2.00, 0 kW at 4.00, 10 kW at 6.00  |

  Scenario: A search that nobody will answer ends there
    When a message that gets no callback comes in a trade
    Then the exchange keeps COR-014

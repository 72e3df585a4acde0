@seat:clearing-agent @seat:market-participant
Feature: Energy is traded between neighbours in a pay-as-clear market
  Participants offer curves and commit to them. When all have committed, the
  clearing agent finds one price, has every trade locked by the utility, and
  tells each participant what it trades. After delivery the utility reads the
  meters and the agent settles. Nothing is selected from a catalogue: the curve
  itself is the choice.

  Background:
    Given the message sequence
      | row | from               | to                 | action                 | carries                     | after  |
      | 1   | market participant | clearing agent     | discover               | interval                    |        |
      | 2   | clearing agent     | market participant | on_discover            | offer                       | 1      |
      | 3   | market participant | clearing agent     | init                   | offer curve                 | 2      |
      | 4   | clearing agent     | utility            | init                   | requested power             | 3      |
      | 5   | utility            | clearing agent     | on_init                | approval, charges           | 4      |
      | 6   | clearing agent     | market participant | on_init                | approval, charges           | 5      |
      | 7   | market participant | clearing agent     | confirm                | offer curve                 | 6      |
      | 8   | clearing agent     | utility            | confirm                | cleared power               | all 7  |
      | 9   | utility            | clearing agent     | on_confirm             | lock                        | 8      |
      | 10  | clearing agent     | market participant | on_confirm             | cleared power               | 7, 9   |
      | 11  | market participant | clearing agent     | status                 |                             | 10     |
      | 12  | clearing agent     | utility            | status                 |                             | 9, 10  |
      | 13  | utility            | clearing agent     | on_status              | meter reading               | 12     |
      | 14  | clearing agent     | market participant | on_status or on_update | meter reading, settlement   | 13     |
    And a delivery of 60 minutes

  Scenario: A car and a roof clear at one price
    Given the market participants
      | name  | meter  | sanctioned | offer curve (INR/kWh)                        |
      | car   | 100200 | 30 kW      | -11 kW at 0.08, -5 kW at 0.10, 0 kW at 0.12  |
      | roof  | 100300 | 5 kW       | 0 kW at 0.05, 2 kW at 0.06, 5 kW at 0.07     |
    When the market runs
    Then every message is well formed, signed and answered
    And the messages follow the sequence
    And the market is in equilibrium
    And every trade is locked once before it binds
    And the money balances to the last minor unit

  Scenario: Three roofs share what one household takes, to the last paisa
    Given a delivery of 15 minutes
    And the market participants
      | name      | meter  | sanctioned | offer curve (INR/kWh)                        | metered    |
      | household | 100200 | 20 kW      | -10 kW at 5.00, -10 kW at 9.00, 0 kW at 9.00 | -2.5 kWh   |
      | roof-a    | 100301 | 10 kW      | 0 kW at 4.00, 7 kW at 4.00                   | 0.8 kWh    |
      | roof-b    | 100302 | 10 kW      | 0 kW at 4.00, 7 kW at 4.00                   | 0.7 kWh    |
      | roof-c    | 100303 | 10 kW      | 0 kW at 4.00, 7 kW at 4.00                   | 1.1 kWh    |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the money balances to the last minor unit

  Scenario: A meter that is partly committed elsewhere trades only the rest
    Given the market participants
      | name    | meter  | sanctioned | committed | offer curve (INR/kWh)         |
      | battery | 100400 | 10 kW      | 6 kW      | -8 kW at 4.00, 8 kW at 6.00   |
      | shop    | 100200 | 30 kW      |           | -20 kW at 5.00, 0 kW at 7.00  |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And every trade is locked once before it binds
    And the money balances to the last minor unit

  Scenario: A market waits for the last of its participants
    Given the market participants
      | name  | meter  | sanctioned | offer curve (INR/kWh)                        | confirms |
      | car   | 100200 | 30 kW      | -11 kW at 0.08, -5 kW at 0.10, 0 kW at 0.12  |          |
      | roof  | 100300 | 5 kW       | 0 kW at 0.05, 2 kW at 0.06, 5 kW at 0.07     | late     |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium

  Scenario: A market in which nobody agrees on a price clears without trade
    Given the market participants
      | name | meter  | sanctioned | offer curve (INR/kWh)         |
      | car  | 100200 | 30 kW      | -10 kW at 2.00, 0 kW at 4.00  |
      | roof | 100300 | 10 kW      | 0 kW at 6.00, 10 kW at 8.00   |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium

  Scenario: An offer that falls in power as the price rises is refused and the others trade
    Given the market participants
      | name   | meter  | sanctioned | offer curve (INR/kWh)                       | spoilt                             |
      | device | 100500 | 10 kW      | 0 kW at 0.08, -2 kW at 0.10, -5 kW at 0.12  | its power falls as the price rises |
      | car    | 100200 | 30 kW      | -11 kW at 0.08, -5 kW at 0.10, 0 kW at 0.12 |                                    |
      | roof   | 100300 | 5 kW       | 0 kW at 0.05, 2 kW at 0.06, 5 kW at 0.07    |                                    |
    When the market runs
    Then the exchange keeps MKT-002
    And the messages follow the sequence
    And the market is in equilibrium

  Scenario: An offer that was changed after it was signed is refused and the others trade
    Given the market participants
      | name   | meter  | sanctioned | offer curve (INR/kWh)                       | spoilt                      |
      | forger | 100500 | 10 kW      | -9 kW at 0.08, 0 kW at 0.12                 | changed after it was signed |
      | car    | 100200 | 30 kW      | -11 kW at 0.08, -5 kW at 0.10, 0 kW at 0.12 |                             |
      | roof   | 100300 | 5 kW       | 0 kW at 0.05, 2 kW at 0.06, 5 kW at 0.07    |                             |
    When the market runs
    Then the exchange keeps COR-005
    And the messages follow the sequence
    And the market is in equilibrium

  Scenario: What the meters deviate is bought and sold at the prices of an imbalance
    Given the charges
      | settled by       | wheeling       | short        | long         |
      | imbalance prices | 0.025 INR/kWh  | 7.50 INR/kWh | 2.15 INR/kWh |
    And the market participants
      | name      | meter  | sanctioned | offer curve (INR/kWh)                     | metered    |
      | household | 100200 | 20 kW      | -10 kW at 3.00, -4 kW at 5.00             | -6.3 kWh   |
      | roof      | 100301 | 10 kW      | 0 kW at 4.00, 7 kW at 5.50                | 3.333 kWh  |
      | wind      | 100302 | 10 kW      | 0 kW at 3.00, 5 kW at 5.00                | 4.001 kWh  |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the money balances to the last minor unit

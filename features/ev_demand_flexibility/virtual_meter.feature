@seat:clearing-agent @seat:market-participant
Feature: Cars and roofs follow setpoints, and the agent answers for what is left
  Charging operators and owners of roofs offer curves and commit to them. The power that each
  clears is its setpoint. The clearing agent holds a virtual meter that is to stay at
  zero: after delivery it reports to the utility what all meters sum to, and
  pays for that. Who leaves the band around its own setpoint pays a penalty on the energy
  beyond it, and both sides pay the agent's fee. Nothing is selected from a catalogue.

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
      | 14  | clearing agent     | utility            | update                 | virtual meter, settlement   | all 13 |
      | 15  | utility            | clearing agent     | on_update              | virtual meter, settlement   | 14     |
      | 16  | clearing agent     | market participant | on_status or on_update | meter reading, settlement   | 13     |
    And a delivery of 30 minutes
    And the charges
      | settled by      | wheeling      | penalty      | band | virtual meter |
      | a virtual meter | 0.25 INR/kWh  | 1.20 INR/kWh | 5 %  | 2.50 INR/kWh  |

  Scenario: A car and a roof keep their setpoints and nothing is left
    Given the market participants
      | name  | meter  | sanctioned | offer curve (INR/kWh)                           |
      | car   | 300100 | 30 kW      | -11 kW at 8.00, -5 kW at 10.00, 0 kW at 12.00   |
      | roof  | 300200 | 5 kW       | 0 kW at 5.00, 2 kW at 6.00, 5 kW at 7.00        |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And every trade is locked once before it binds
    And the exchange keeps SET-009
    And the money balances to the last minor unit

  Scenario: A car that falls short of its setpoint pays, and the agent pays for the rest
    Given the market participants
      | name  | meter  | sanctioned | offer curve (INR/kWh)                           | metered    |
      | car   | 300100 | 30 kW      | -11 kW at 8.00, -5 kW at 10.00, 0 kW at 12.00   | -1.8 kWh   |
      | roof  | 300200 | 5 kW       | 0 kW at 5.00, 2 kW at 6.00, 5 kW at 7.00        |            |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the exchange keeps SET-009
    And the money balances to the last minor unit

  Scenario: Deviations that cancel cost their owners and leave the agent nothing to pay
    Given the market participants
      | name   | meter  | sanctioned | offer curve (INR/kWh)                           | metered    |
      | depot  | 300300 | 80 kW      | -40 kW at 8.00, -20 kW at 9.00, 0 kW at 11.00   | -11.4 kWh  |
      | roof-a | 300401 | 15 kW      | 0 kW at 6.00, 15 kW at 8.50                     | 6.2 kWh    |
      | roof-b | 300402 | 12 kW      | 0 kW at 5.50, 12 kW at 8.00                     | 5.2 kWh    |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the exchange keeps SET-009
    And the money balances to the last minor unit

  Scenario: Many small deviations within the band cost nobody but the agent
    Given the market participants
      | name    | meter  | sanctioned | offer curve (INR/kWh)                           | metered     |
      | car-a   | 300101 | 30 kW      | -11 kW at 8.00, -5 kW at 10.00, 0 kW at 12.00   | -2.417 kWh  |
      | car-b   | 300102 | 30 kW      | -11 kW at 8.00, -5 kW at 10.00, 0 kW at 12.00   | -2.403 kWh  |
      | roof-a  | 300201 | 5 kW       | 0 kW at 5.00, 2 kW at 6.00, 5 kW at 7.00        | 2.531 kWh   |
      | roof-b  | 300202 | 5 kW       | 0 kW at 5.00, 2 kW at 6.00, 5 kW at 7.00        | 2.499 kWh   |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the exchange keeps SET-009
    And the money balances to the last minor unit

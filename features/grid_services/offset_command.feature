@seat:clearing-agent @seat:market-participant
Feature: A grid operator commands an offset and the balance holds
  After the market has cleared, the grid operator may move a participant by an offset. Along a
  flat part of the own curve, where several powers are offered at one price, this costs nobody
  anything: others on such a part take up what is missing. Whoever is moved off the own curve is
  redispatched; that is declared, and the grid operator makes good what it loses. The command
  goes to the clearing agent, which has every moved trade locked anew before it tells anyone.

  Background:
    Given the message sequence
      | row | from               | to                 | action      | carries                       | after  |
      | 1   | market participant | clearing agent     | discover    | interval                      |        |
      | 2   | clearing agent     | market participant | on_discover | offer                         | 1      |
      | 3   | market participant | clearing agent     | init        | offer curve                   | 2      |
      | 4   | clearing agent     | utility            | init        | requested power               | 3      |
      | 5   | utility            | clearing agent     | on_init     | approval, charges             | 4      |
      | 6   | clearing agent     | market participant | on_init     | approval, charges             | 5      |
      | 7   | market participant | clearing agent     | confirm     | offer curve                   | 6      |
      | 8   | clearing agent     | utility            | confirm     | cleared power                 | all 7  |
      | 9   | utility            | clearing agent     | on_confirm  | lock                          | 8      |
      | 10  | clearing agent     | market participant | on_confirm  | cleared power, setpoint       | 7, 9   |
      | 11? | utility            | clearing agent     | update      | offset command                | 10     |
      | 12? | clearing agent     | utility            | update      | setpoint                      | 10     |
      | 13? | utility            | clearing agent     | on_update   | lock                          | 12     |
      | 14? | clearing agent     | market participant | on_update   | setpoint                      | 13     |
      | 15? | clearing agent     | utility            | on_update   | offset command, setpoint      | 11, 14 |
      | 16  | market participant | clearing agent     | status      |                               | 10     |
      | 17  | clearing agent     | utility            | status      |                               | 9, 10  |
      | 18  | utility            | clearing agent     | on_status   | meter reading                 | 17     |
      | 19  | clearing agent     | market participant | on_status   | meter reading, settlement     | 18     |
    And a delivery of 30 minutes

  Scenario: A battery is moved along its plateau and two others take up what is missing
    Given the market participants
      | name      | meter  | sanctioned | offer curve (INR/kWh)                                     | metered  | offset command |
      | battery-a | 100401 | 12 kW      | -10 kW at 2.00, -10 kW at 5.00, 10 kW at 5.00             |          | -2.5 kW        |
      | battery-b | 100402 | 12 kW      | -4 kW at 3.00, 0 kW at 5.00, 9 kW at 5.00                 |          |                |
      | battery-c | 100403 | 12 kW      | 0 kW at 5.00, 6 kW at 5.00                                | 2.3 kWh  |                |
      | works     | 100203 | 30 kW      | -8 kW at 5.00, -8 kW at 9.00, 0 kW at 9.00                |          |                |
    When the market runs
    Then every message is well formed, signed and answered
    And the messages follow the sequence
    And the market is in equilibrium
    And the grid's commands are kept
    And every trade is locked once before it binds
    And the money balances to the last minor unit

  Scenario: A roof is held below its curve and made good
    Given the market participants
      | name    | meter  | sanctioned | offer curve (INR/kWh)                          | metered | offset command |
      | roof    | 100301 | 10 kW      | 0 kW at 1.00, 8 kW at 3.40                     |         | -2.3 kW        |
      | battery | 100401 | 12 kW      | -3 kW at 5.00, 9 kW at 5.00                    |         |                |
      | works   | 100203 | 30 kW      | -9 kW at 5.00, -9 kW at 8.00, 0 kW at 8.00     | -4.4 kWh |                |
    When the market runs
    Then the messages follow the sequence
    And the market is in equilibrium
    And the grid's commands are kept
    And every trade is locked once before it binds
    And the money balances to the last minor unit

  Scenario: Two commands follow one another
    Given the market participants
      | name      | meter  | sanctioned | offer curve (INR/kWh)                          | offset command |
      | battery-a | 100401 | 12 kW      | -10 kW at 5.00, 10 kW at 5.00                  | 3.2 kW         |
      | battery-b | 100402 | 12 kW      | -10 kW at 5.00, 10 kW at 5.00                  |                |
      | battery-c | 100403 | 12 kW      | -10 kW at 5.00, 10 kW at 5.00                  | -4 kW          |
      | shop      | 100203 | 30 kW      | -7 kW at 2.00, -7 kW at 9.00                   |                |
    When the market runs
    Then the messages follow the sequence
    And the grid's commands are kept
    And the money balances to the last minor unit

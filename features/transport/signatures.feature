@seat:clearing-agent @seat:market-participant
Feature: A signature is believed when it is right, and only then
  Before the right message, one comes whose signature is wrong. It is refused, and says so
  in its status; the right one is accepted and the trade goes on to its settlement. What only
  looks odd, but is rightly signed, is accepted at once. Who answers gets a wrong
  request; who asks gets a wrong answer.

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
    And the market participants
      | name  | meter  | sanctioned | offer curve (INR/kWh)                        |
      | house | 100200 | 30 kW      | -10 kW at 2.00, 0 kW at 4.00, 10 kW at 6.00  |

  Scenario Outline: A message <spoilt> is refused and the right one is accepted
    When a message <spoilt> comes in a trade
    Then the exchange keeps <rule>
    And the refusal says why, and nothing follows it
    And the messages follow the sequence

    Examples:
      | spoilt                                       | rule    |
      | without a signature                          | SIG-006 |
      | with a header that is no signature           | SIG-007 |
      | whose key id has two parts                   | SIG-007 |
      | whose header ends before the signature       | SIG-007 |
      | whose signature is not base64                | SIG-007 |
      | whose signature has expired                  | SIG-008 |
      | that expires before it was created           | SIG-008 |
      | signed a minute ahead                        | SIG-009 |
      | signed with a key that nobody registered     | SIG-010 |
      | signed with another algorithm                | SIG-011 |
      | signed with the key of another               | SIG-012 |
      | changed after it was signed                  | SIG-012 |
      | written anew after it was signed             | SIG-012 |
      | chained to a message that it does not answer | SIG-012 |
      | signed by another                            | SIG-013 |
      | whose signature covers the digest alone      | SIG-014 |

  Scenario Outline: A message <spoilt> is accepted
    When a message <spoilt> comes in a trade
    Then the exchange keeps <rule>
    And the messages follow the sequence

    Examples:
      | spoilt                                  | rule    |
      | with unusual white space                | SIG-015 |
      | with an escaped character               | SIG-015 |
      | signed three seconds ahead              | SIG-016 |
      | that calls its digest by the other name | SIG-016 |
      | with spaces in its signature header     | SIG-016 |

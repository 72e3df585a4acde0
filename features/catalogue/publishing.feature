@seat:catalogue @seat:consumer @seat:prosumer
Feature: What a provider publishes last is what its catalogue holds
  A publication stands in the place of the one before: a price changes, an offer is
  withdrawn, less is left to sell. What is over is not found either, and publishing the
  same again changes nothing.

  Background:
    Given the message sequence
      | row | from      | to        | action                                   | carries      | after |
      | 1   | prosumer  | catalogue | catalog_publish or catalog/publish       | catalogue    |       |
      | 2   | catalogue | prosumer  | on_catalog_publish or catalog/on_publish | result       | 1     |
      | 3   | consumer  | catalogue | discover                                 | search       | all 2 |
      | 4   | catalogue | consumer  | on_discover                              | catalogue    | 3     |
      | 5   | consumer  | prosumer  | select                                   | terms        | 4     |
      | 6   | prosumer  | consumer  | on_select                                | terms, quote | 5     |

  Scenario: An offer that was withdrawn is not found
    Given the providers publish
      | provider | publication | offer        | energy | price        | state     |
      | school   | 1           | school-early | 8 kWh  | 4.40 INR/kWh |           |
      | school   | 1           | school-rest  | 4 kWh  | 5.40 INR/kWh |           |
      | school   | 2           | school-early | 8 kWh  | 4.40 INR/kWh | withdrawn |
      | school   | 2           | school-rest  | 4 kWh  | 5.40 INR/kWh |           |
      | temple   | 1           | temple-noon  | 3 kWh  | 5.60 INR/kWh |           |
    When the catalogue is searched
    Then the messages follow the sequence
    And the exchange keeps CAT-002, CAT-008

  Scenario: An offer that is over is not found
    Given the providers publish
      | provider | offer       | energy | price        | valid                |
      | school   | school-old  | 8 kWh  | 6.40 INR/kWh | until 10 minutes ago |
      | school   | school-new  | 8 kWh  | 5.20 INR/kWh | for 45 minutes       |
      | temple   | temple-noon | 3 kWh  | 5.60 INR/kWh | for 1440 minutes     |
    When the catalogue is searched
    Then the messages follow the sequence
    And the exchange keeps CAT-003, CAT-009, CAT-014

  Scenario: A second publication takes the place of the first
    Given the providers publish
      | provider | publication | offer        | energy  | there is | price        |
      | school   | 1           | school-early | 8 kWh   | 20 kWh   | 4.40 INR/kWh |
      | school   | 1           | school-rest  | 12 kWh  | 20 kWh   | 4.30 INR/kWh |
      | school   | 2           | school-early | 6.5 kWh | 6.5 kWh  | 5.85 INR/kWh |
      | temple   | 1           | temple-noon  | 3 kWh   | 3 kWh    | 5.60 INR/kWh |
    When the catalogue is searched
    Then the messages follow the sequence
    And the exchange keeps CAT-002, CAT-007, CAT-010

  Scenario: The same publication twice is found once
    Given the providers publish
      | provider | publication | offer        | energy | price        |
      | school   | 1           | school-early | 8 kWh  | 4.40 INR/kWh |
      | school   | 2           | school-early | 8 kWh  | 4.40 INR/kWh |
      | temple   | 1           | temple-noon  | 3 kWh  | 5.60 INR/kWh |
      | temple   | 2           | temple-noon  | 3 kWh  | 5.60 INR/kWh |
    When the catalogue is searched
    Then the messages follow the sequence
    And the exchange keeps CAT-004, CAT-006

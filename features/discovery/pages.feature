@seat:consumer
Feature: A long answer comes in pages, and every page of it counts
  A catalogue may answer one search several times, each time with more of what it found.
  Who searches keeps every page: the cheapest may stand on the last. How many offers make
  a page is the catalogue's own affair, so nothing is asked of it but that they add up.

  Background:
    Given the message sequence
      | row | from      | to        | action                                   | carries      | after |
      | 1   | prosumer  | catalogue | catalog_publish or catalog/publish       | catalogue    |       |
      | 2   | catalogue | prosumer  | on_catalog_publish or catalog/on_publish | result       | 1     |
      | 3   | consumer  | catalogue | discover                                 | search       | all 2 |
      | 4   | catalogue | consumer  | on_discover                              | catalogue    | 3     |
      | 5   | consumer  | prosumer  | select                                   | terms        | 4     |
      | 6   | prosumer  | consumer  | on_select                                | terms, quote | 5     |

  @seat:catalogue @seat:prosumer
  Scenario: Seven offers come on three pages, each offer once
    Given the providers publish
      | provider | offer    | energy  | price        |
      | school   | school-a | 2 kWh   | 6.10 INR/kWh |
      | school   | school-b | 2 kWh   | 6.05 INR/kWh |
      | temple   | temple-a | 3 kWh   | 5.95 INR/kWh |
      | temple   | temple-b | 3 kWh   | 5.90 INR/kWh |
      | farm     | farm-a   | 9 kWh   | 5.85 INR/kWh |
      | farm     | farm-b   | 9 kWh   | 5.80 INR/kWh |
      | mill     | mill-a   | 1.5 kWh | 5.75 INR/kWh |
    And the search
      | page     |
      | 3 offers |
    When the catalogue is searched
    Then the messages follow the sequence
    And the exchange keeps CAT-004, CAT-006

  Scenario: The cheapest offer stands on the last of four pages
    Given the providers publish
      | provider | offer    | energy  | price        |
      | school   | school-a | 2 kWh   | 6.10 INR/kWh |
      | school   | school-b | 2 kWh   | 6.05 INR/kWh |
      | temple   | temple-a | 3 kWh   | 5.95 INR/kWh |
      | temple   | temple-b | 3 kWh   | 5.90 INR/kWh |
      | farm     | farm-a   | 9 kWh   | 5.85 INR/kWh |
      | farm     | farm-b   | 9 kWh   | 6.00 INR/kWh |
      | mill     | mill-a   | 1.5 kWh | 5.75 INR/kWh |
    And the search
      | page     |
      | 2 offers |
    When the catalogue is searched
    Then the messages follow the sequence
    And the exchange keeps CAT-012, CAT-013

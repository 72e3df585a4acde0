@seat:catalogue @seat:consumer @seat:prosumer
Feature: Who searches a catalogue finds what all providers have published
  Neighbours publish what they sell for an hour of delivery; a consumer searches once
  and hears of all of them, by the terms of each. It selects the cheapest, whose seller
  quotes what it costs.

  Background:
    Given the message sequence
      | row | from      | to        | action                                   | carries      | after |
      | 1   | prosumer  | catalogue | catalog_publish or catalog/publish       | catalogue    |       |
      | 2   | catalogue | prosumer  | on_catalog_publish or catalog/on_publish | result       | 1     |
      | 3   | consumer  | catalogue | discover                                 | search       | all 2 |
      | 4   | catalogue | consumer  | on_discover                              | catalogue    | 3     |
      | 5   | consumer  | prosumer  | select                                   | terms        | 4     |
      | 6   | prosumer  | consumer  | on_select                                | terms, quote | 5     |

  Scenario: The offers of three roofs are found by one search
    Given the providers publish
      | provider | offer         | energy   | there is | price        |
      | school   | school-early  | 7.5 kWh  | 12 kWh   | 5.40 INR/kWh |
      | school   | school-rest   | 4.5 kWh  | 12 kWh   | 5.15 INR/kWh |
      | temple   | temple-noon   | 3.25 kWh | 3.25 kWh | 4.95 INR/kWh |
      | farm     | farm-pump     | 22 kWh   | 30 kWh   | 5.00 INR/kWh |
    When the catalogue is searched
    Then the messages follow the sequence
    And the exchange keeps CAT-001, CAT-004

  Scenario: A search by place, connector and power finds only what is near and fits
    Given the providers publish
      | provider | offer      | from       | energy | price         | place            | connector | power |
      | mall     | mall-fast  | charger-m1 | 40 kWh | 18.50 INR/kWh | 77.61 E, 12.98 N | CCS2      | 60 kW |
      | mall     | mall-slow  | charger-m2 | 20 kWh | 11.00 INR/kWh | 77.61 E, 12.98 N | CCS2      | 25 kW |
      | station  | station-ac | charger-s1 | 22 kWh | 9.75 INR/kWh  | 77.57 E, 12.97 N | Type 2    | 50 kW |
      | station  | station-dc | charger-s2 | 45 kWh | 17.25 INR/kWh | 77.57 E, 12.97 N | CCS2      | 50 kW |
      | airport  | airport-dc | charger-a1 | 60 kWh | 16.00 INR/kWh | 77.71 E, 13.20 N | CCS2      | 60 kW |
    And the search
      | near             | within | connector | power |
      | 77.59 E, 12.97 N | 5 km   | CCS2      | 50 kW |
    When the catalogue is searched
    Then the messages follow the sequence
    And the exchange keeps CAT-004, CAT-005

  Scenario: A search for one provider and one hour finds nothing else
    Given the providers publish
      | provider | offer        | energy | price        | delivered        |
      | school   | school-early | 8 kWh  | 5.40 INR/kWh |                  |
      | school   | school-late  | 8 kWh  | 4.10 INR/kWh | 60 minutes later |
      | temple   | temple-early | 8 kWh  | 4.20 INR/kWh |                  |
    And the search
      | provider |
      | school   |
    When the catalogue is searched
    Then the messages follow the sequence
    And the exchange keeps CAT-005

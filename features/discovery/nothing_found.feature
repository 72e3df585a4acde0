@seat:consumer
Feature: A search that nothing fits ends without a trade
  The protocol has two answers to it: a page with nothing on it, or the word at once that
  no answer will follow. No sequence is stated here, for it ends in either way.

  @seat:catalogue @seat:prosumer
  Scenario: A search that nothing fits is answered by an empty page
    Given the providers publish
      | provider | offer        | energy | price        | connector | power |
      | school   | school-early | 8 kWh  | 5.40 INR/kWh |           |       |
      | mall     | mall-slow    | 20 kWh | 9.00 INR/kWh | CCS2      | 25 kW |
    And the search
      | connector | power | nothing found         |
      | CCS2      | 50 kW | told on an empty page |
    When the catalogue is searched
    Then the exchange keeps ACK-001, CAT-005

  Scenario: A search that nothing fits is turned away at once
    Given the providers publish
      | provider | offer        | energy | price        | connector | power |
      | school   | school-early | 8 kWh  | 5.40 INR/kWh |           |       |
      | mall     | mall-slow    | 20 kWh | 9.00 INR/kWh | CCS2      | 25 kW |
    And the search
      | connector | power | nothing found |
      | CCS2      | 50 kW | told at once  |
    When the catalogue is searched
    Then the exchange keeps CAT-005, COR-014

"""What the numbers are: curves, clearing, its correctness, grid, tariff, contract, settlement.

Belongs here: market arithmetic as pure functions on exact numbers. Does not
belong here: HTTP, clocks, randomness, messages, pytest.

Power is signed, in kW: export positive, consumption negative. Energy likewise,
in kWh. Prices are per kWh. Numbers come in as Decimal, are computed as
Fraction, and leave as Decimal in a stated quantum, so that sums are exact. Where a
market is national (`book*`, `settlement_many`) they are arrays of whole steps.
"""

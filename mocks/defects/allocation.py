"""Defects of trades between two: what the utilities approve, keep and allocate.

Belongs here: ways to break the rules of the family ALC. Does not belong here: amounts that do
not follow from what was said (billing).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_deal
from gridwitness.story import (
    BUYER_PLATFORM,
    PROSUMER,
    SELLER_PLATFORM,
    SELLER_UTILITY,
)
from gridwitness.views import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gridwitness.mocks.defects.base import ChangeDeal
    from gridwitness.views import Deal, Reading

    Values = tuple[Decimal, ...]

FIXED = "p2p_trading/fixed_price.feature"
RETAILERS = "p2p_trading/two_retailers.feature"
SHORT = "One trade is delivered a little short"
SHARED = "Two trades share"


def _in_column(name: str, change: Callable[[Decimal], Decimal]) -> ChangeDeal:
    """Change every value of a column of the interval table."""

    def changed(deal: Deal) -> Deal:
        if deal.table is None:
            return deal
        rows = tuple(_changed(row, name, change) for row in deal.table.rows)
        return replace(deal, table=replace(deal.table, rows=rows))

    return changed


def _changed(
    row: Mapping[str, Values], name: str, change: Callable[[Decimal], Decimal]
) -> Mapping[str, Values]:
    return {**row, name: tuple(map(change, row[name]))} if name in row else row


def _to_utility(change: ChangeDeal) -> Conduct:
    """Change the deal in messages to a utility: in those that tell no payment."""

    def views(_: str, reading: Reading) -> Reading:
        deal = reading.deal
        return reading if deal is None or deal.dues else replace(reading, deal=change(deal))

    return Conduct(views=views)


def _price_told(deal: Deal) -> Deal:
    """Tell the price of every interval, too."""
    if deal.table is None:
        return deal
    column = Column(name="price", unit="INR/kWh", role=SELLER_PLATFORM)
    prices = (Decimal("11.85"), Decimal("13.40"))
    rows = ({**row, "price": (price,)} for row, price in zip(deal.table.rows, prices, strict=True))
    columns = (*deal.table.columns, column)
    return replace(deal, table=replace(deal.table, columns=columns, rows=tuple(rows)))


def _signed_by_the_utility(deal: Deal) -> Deal:
    """Call the requested energy the seller's own."""
    if deal.table is None:
        return deal
    columns = tuple(
        replace(one, role=SELLER_PLATFORM) if one.name == "requested" else one
        for one in deal.table.columns
    )
    return replace(deal, table=replace(deal.table, columns=columns))


DEFECTS = (
    Defect(
        "sells-beyond-the-approval",
        "ALC-001",
        "sells more energy than the utility has approved",
        Conduct(heeds_approval=False),
        role=PROSUMER,
        feature=FIXED,
        scenario="More energy than",
    ),
    Defect(
        "binds-what-the-utility-refused",
        "ALC-002",
        "tells its customer that a trade binds which the utility has refused",
        Conduct(binds_refused_locks=True),
        role=PROSUMER,
        also=("ALC-003", "ORD-001"),
        feature=FIXED,
        scenario="A trade that the utility does not keep",
    ),
    Defect(
        "binds-before-the-ledger",
        "ALC-003",
        "tells its customer that a trade binds before its utility keeps it",
        Conduct(binds_before_lock=True),
        role=SELLER_PLATFORM,
        also=("ORD-001",),
        feature=RETAILERS,
        scenario=SHORT,
    ),
    Defect(
        "keeps-less-in-the-ledger",
        "ALC-004",
        "has its utility keep less than was agreed",
        _to_utility(_in_column("requested", lambda kwh: kwh - 1)),
        role=SELLER_PLATFORM,
        feature=RETAILERS,
        scenario=SHORT,
    ),
    Defect(
        "tells-the-utility-the-price",
        "ALC-005",
        "tells the utility of its customer the price of every interval",
        _to_utility(_price_told),
        role=BUYER_PLATFORM,
        feature=RETAILERS,
        scenario=SHORT,
    ),
    Defect(
        "writes-in-the-name-of-another",
        "ALC-006",
        "says that the other platform has written what it requests itself",
        in_deal("init", _signed_by_the_utility),
        role=BUYER_PLATFORM,
        feature=RETAILERS,
        scenario=SHORT,
    ),
    Defect(
        "passes-on-another-allocation",
        "ALC-007",
        "passes on a smaller allocation than its utility told",
        in_deal("update", _in_column("buyer's allocation", lambda kwh: kwh / 2)),
        role=BUYER_PLATFORM,
        feature=RETAILERS,
        scenario=SHORT,
    ),
    Defect(
        "favours-one-trade",
        "ALC-008",
        "allocates to a trade more than its share of the meter",
        in_deal("on_status", _in_column("seller's allocation", lambda kwh: kwh + Decimal("0.5"))),
        role=SELLER_UTILITY,
        feature=RETAILERS,
        scenario=SHARED,
    ),
    Defect(
        "finally-allocates-less",
        "ALC-009",
        "finally allocates less than both utilities allocate",
        in_deal("on_update", _in_column("final allocation", lambda kwh: kwh - Decimal("0.2"))),
        role=SELLER_UTILITY,
        feature=RETAILERS,
        scenario=SHARED,
    ),
)

"""The columns of an interval table, as an actor writes them.

Belongs here: what a party states of its own interval by interval, what a utility allocates to a
trade. Does not belong here: everything else that a row may carry (words), the names of columns
(dialects.tables), the arithmetic (reference_impl.allocation).

A column that somebody else has written is passed on as it was told.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.dialects.tables import COLUMNS
from gridwitness.errors import UserError
from gridwitness.reference_impl.allocation import Trade, pro_rata
from gridwitness.story import BUYER_UTILITY, SELLER_UTILITY
from gridwitness.views import Column, IntervalTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.mocks.words import Known
    from gridwitness.views import Deal


def _column(name: str) -> Callable[[Known], None]:
    """Write one column of the interval table, as the scenario states it for this party."""

    def write(known: Known) -> None:
        tables = known.facts.tables
        told, stated = known.deal.table, tables.get(known.party.name) or tables.get("")
        there, column = told and told.column(name), stated and stated.column(name)
        if stated is None or column is None or None in stated.values(name):
            if there is not None:
                return  # passed on as it was told
            raise UserError(
                f"a row carries {name!r} per interval, and nobody states it for all of them",
                where="the message sequence",
                mend="fill the column in the table of the intervals",
            )
        if there is not None and there.role != known.party.role:
            return
        own = replace(column, role=known.party.role)
        known.deal = with_column(known.deal, stated, own)

    return write


def _allocation(own: str, name: str) -> Callable[[Known], None]:
    """Allocate what the meter of a trade registered, pro rata to the trades of that meter."""

    def write(known: Known) -> None:
        deal = known.deal
        if known.party.role != own or deal.table is None:
            return  # passed on as it was told
        meter = next((role.meter_id for role in deal.roles if role.meter_id), "")
        kept = {
            contract_id: other.table.values("requested")
            for contract_id, other in known.ledger.items()
            if other.table and meter in {role.meter_id for role in other.roles}
        }
        read = sorted(
            known.own_meters(known.facts.readings), key=lambda reading: reading.start or ""
        )
        column = Column(name=name, unit="kWh", role=own)
        mine: list[Decimal] = []
        for place, reading in enumerate(one for one in read if one.meter_id == meter):
            sides = ("the buyer's", meter) if own == SELLER_UTILITY else (meter, "the seller's")
            trades = [
                Trade(contract_id, place, *sides, wanted[place] or Decimal(0), Decimal(0))
                for contract_id, wanted in kept.items()
            ]
            shares = pro_rata(meter, trades, -reading.energy_kwh)
            mine.append(shares[deal.contract_id or ""])
        known.deal = _with_values(deal, column, mine)

    return write


def _final_allocation(known: Known) -> None:
    """Allocate the smaller of both sides' shares, where this party writes what is final."""
    table = known.deal.table
    if known.party.role != SELLER_UTILITY or table is None:
        return
    shares = (table.values(f"{side}'s allocation") for side in ("buyer", "seller"))
    final = [min(x or Decimal(0), y or Decimal(0)) for x, y in zip(*shares, strict=True)]
    column = Column(name="final allocation", unit="kWh", role=SELLER_UTILITY)
    known.deal = _with_values(known.deal, column, final)


def _with_values(deal: Deal, column: Column, values: list[Decimal]) -> Deal:
    rows = tuple({column.name: (value,)} for value in values)
    return with_column(deal, IntervalTable(interval=None, columns=(), rows=rows), column)


def with_column(deal: Deal, source: IntervalTable, column: Column) -> Deal:
    """Write a column of another table into the table of a deal, which may have none yet."""
    empty = IntervalTable(interval=source.interval, columns=(), rows=tuple({} for _ in source.rows))
    table = deal.table or empty
    others = tuple(one for one in table.columns if one.name != column.name)
    rows = tuple(
        {**row, column.name: values[column.name]} if column.name in values else row
        for row, values in zip(table.rows, source.rows, strict=False)
    )
    return replace(deal, table=replace(table, columns=(*others, column), rows=rows, at={}))


COLUMN_WORDS: dict[str, Callable[[Known], None]] = {
    **{f"{name} per interval": _column(name) for name in COLUMNS},
    "buyer's allocation per interval": _allocation(BUYER_UTILITY, "buyer's allocation"),
    "seller's allocation per interval": _allocation(SELLER_UTILITY, "seller's allocation"),
    "final allocation per interval": _final_allocation,
}
"""How a reference actor fills each column that a row may carry."""

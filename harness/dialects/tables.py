"""The interval table of a commitment, written alike in both dialects.

Belongs here: the columns by the names that people have for them, their units, the rows. Does
not belong here: the slot it sits in (order, contract), what follows from it (deals, rules).

Rows are joined by their place, which is their id: 0, 1, 2 and so on (AMT-029).

Source: beckn/DEG, BecknTimeSeries v1.0, EnergyTradeOffer v2.0, DemandFlexNeed v2.0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gridwitness.dialects.blocks import iso_duration, read_window, typed
from gridwitness.views import Column, IntervalTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from decimal import Decimal

    from gridwitness.dialects.base import Cursor, Json

COLUMNS = {
    "price": "PRICE_PER_KWH",
    "available": "AVAILABLE_QTY",
    "requested": "REQUESTED_QTY",
    "buyer's allocation": "BUYER_DISCOM_ALLOC",
    "seller's allocation": "SELLER_DISCOM_ALLOC",
    "final allocation": "FINAL_ALLOC",
    "posted price": "PRICE",
    "shortfall penalty": "SHORTFALL_PENALTY",
    "wanted capacity": "CAPACITY_REQUESTED",
    "offered price": "OFFER_PRICE",
    "offered capacity": "CAPACITY_OFFERED",
    "clearing price": "CLEARING_PRICE",
    "cleared capacity": "CAPACITY_CLEARED",
}
"""The payload type of each column; one that has no name here goes by its payload type."""

NEEDED = ("wanted capacity", "posted price", "shortfall penalty")
"""The columns that say what is needed, where a dialect keeps them apart from what is agreed."""

_NAMES = {kind: name for name, kind in COLUMNS.items()}
_UNITS = {"kWh": "KWH", "kW": "KW"}
_WORDS = {code: unit for unit, code in _UNITS.items()}
_PER_KWH, _IN_KIND = "_PER_KWH", "/kWh"


def read_table(cursor: Cursor, words: Callable[[str], str]) -> IntervalTable | None:
    """Read a time series as an interval table; None where it is none.

    words: reads a role as it is spelt. Values that are no numbers are left out.
    """
    if not isinstance((cursor / "intervals").value, list):
        return None
    return IntervalTable(
        interval=read_window(cursor / "intervalPeriod", "start", "duration"),
        columns=tuple(_read_columns(cursor / "payloadDescriptors", words)),
        rows=tuple(_read_row(item) for item in (cursor / "intervals").items()),
        at={
            "": cursor.pointer,
            "columns": (cursor / "payloadDescriptors").pointer,
            "rows": (cursor / "intervals").pointer,
        },
    )


def _read_columns(descriptors: Cursor, words: Callable[[str], str]) -> Iterator[Column]:
    for item in descriptors.items():
        kind, role = (item / "payloadType").text(), (item / "insertedBy").text()
        if kind is None:
            continue
        currency, units = (item / "currency").text(), (item / "units").text()
        unit = _WORDS.get(units or "", units)
        if currency is not None:
            unit = f"{currency}{_IN_KIND}" if kind.endswith(_PER_KWH) else currency
        elif units is not None and units.endswith(_PER_KWH):
            unit = f"{units.removesuffix(_PER_KWH)}{_IN_KIND}"
        yield Column(
            name=_NAMES.get(kind, kind),
            unit=unit,
            role=words(role) if role is not None else None,
            at={"": item.pointer},
        )


def _read_row(interval: Cursor) -> Mapping[str, tuple[Decimal, ...]]:
    row: dict[str, tuple[Decimal, ...]] = {}
    for payload in (interval / "payloads").items():
        kind = (payload / "type").text()
        if kind is not None:
            numbers = (value.number() for value in (payload / "values").items())
            row[_NAMES.get(kind, kind)] = tuple(n for n in numbers if n is not None)
    return row


def only(table: IntervalTable | None, names: tuple[str, ...]) -> IntervalTable | None:
    """Give a table with some of its columns alone; None where it has none of them."""
    columns = tuple(one for one in table.columns if one.name in names) if table else ()
    if table is None or not columns:
        return None
    rows = tuple({name: row[name] for name in row if name in names} for row in table.rows)
    return replace(table, columns=columns, rows=rows)


def without(table: IntervalTable | None, names: tuple[str, ...]) -> IntervalTable | None:
    """Give a table without some of its columns; None where it has no others."""
    return only(table, tuple(c.name for c in table.columns if c.name not in names) if table else ())


def joined(one: IntervalTable | None, other: IntervalTable | None) -> IntervalTable | None:
    """Join two tables of the same intervals by their places; where they differ, the second."""
    if one is None or other is None or len(one.rows) != len(other.rows):
        return other or one
    names = {column.name for column in other.columns}
    columns = (*(column for column in one.columns if column.name not in names), *other.columns)
    rows = tuple({**mine, **theirs} for mine, theirs in zip(one.rows, other.rows, strict=True))
    return replace(other, columns=columns, rows=rows)


def write_table(table: IntervalTable | None, spell: Callable[[str], str]) -> dict[str, Json] | None:
    """Write an interval table as a time series."""
    if table is None:
        return None
    interval = table.interval
    return typed(
        "TimeSeries",
        {
            "intervalPeriod": interval
            and {"start": interval.start, "duration": iso_duration(interval.duration_h)},
            "payloadDescriptors": [_write_column(column, spell) for column in table.columns],
            "intervals": [
                {
                    "id": number,
                    "payloads": [
                        {"type": COLUMNS.get(name, name), "values": list(values)}
                        for name, values in row.items()
                    ],
                }
                for number, row in enumerate(table.rows)
            ],
        },
    )


def _write_column(column: Column, spell: Callable[[str], str]) -> dict[str, Json]:
    kind, unit = COLUMNS.get(column.name, column.name), column.unit
    written: dict[str, Json] = {"payloadType": kind}
    if unit is not None and unit.endswith(_IN_KIND):
        currency = unit.removesuffix(_IN_KIND)
        # A payload type that says what it is priced by has its currency alone.
        own = kind.endswith(_PER_KWH)
        written |= {"currency": currency} if own else {"units": f"{currency}{_PER_KWH}"}
    elif unit is not None:
        written["units"] = _UNITS.get(unit, unit)
    return written | ({"insertedBy": spell(column.role)} if column.role is not None else {})

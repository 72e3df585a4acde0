"""Dues: what the published formulas make of what one message states.

Belongs here: the value of a trade, the settlement of flexibility, minor units; exact
numbers and how they are told. Does not belong here: whether a message keeps to them (rules);
the settlement of our own market (reference_impl).

Source: beckn/DEG, specification/policies: p2p-trading-ies-wave2-contractpolicy.rego,
demand-flex-contractpolicy.rego, demand-flex-pac-contractpolicy.rego.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gridwitness.trace import Message
    from gridwitness.views import Amounts, CommittedTable, Performance, Table

DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "KWD": 3, "BHD": 3, "OMR": 3, "JOD": 3}
"""The decimals of currencies that have not two, by ISO 4217."""

_WIDE = Context(prec=100)
"""Wide enough for a sum of products of whatever is read."""


def minor_unit(message: Message, currency: str | None) -> Fraction:
    """Give the minor unit of a currency: as the message's charges state it, else by ISO 4217."""
    contract = message.reading.contract
    charges = contract.charges if contract else None
    decimals = charges.minor_unit if charges else None
    if decimals is None:
        decimals = DECIMALS.get(currency or "", 2)
    return Fraction(1, 10**decimals)


def trade_value(one: CommittedTable) -> Fraction | None:
    """Give what the energy of a commitment is worth at the price of each interval."""
    table = one.table
    if table is None:
        return None
    for energy, price in (
        ("FINAL_ALLOC", "PRICE_PER_KWH"),
        ("CAPACITY_CLEARED", "CLEARING_PRICE"),
        ("REQUESTED_QTY", "PRICE_PER_KWH"),
    ):
        amounts, prices = table.column(energy), table.column(price)
        if complete(amounts) and complete(prices):
            hours = Fraction(1) if energy != "CAPACITY_CLEARED" else table.duration_h
            if hours is None:
                return None
            pairs = zip(amounts, prices, strict=True)
            return hours * total_of(Fraction(a or 0) * Fraction(p or 0) for a, p in pairs)
    return None


def settling(amounts: Amounts) -> Performance | None:
    """Give the one measurement that settles; None where there is none, or are several."""
    found = [one for one in amounts.performances if one.settles and one.meters]
    return found[0] if len(found) == 1 else None


def flexibility(amounts: Amounts) -> Fraction | None:
    """Give what a seller of flexibility is due; None where the message holds not all inputs."""
    measured = settling(amounts)
    if measured is None or len(amounts.commitments) != 1:
        return None
    one = amounts.commitments[0]
    if one.table is None or one.table.duration_h is None:
        return None
    delivered = _reductions(measured.meters, len(one.table.rows))
    if delivered is None:
        return None
    due = _cleared_dues(one, one.table, delivered)
    if due is None and one.need is not None:
        due = _posted_dues(one.need, one.table, delivered)
    return None if due is None else due * one.table.duration_h


def _cleared_dues(one: CommittedTable, table: Table, delivered: list[Fraction]) -> Fraction | None:
    """Settle cleared capacity, per hour: what is delivered of it, less the penalty rate."""
    prices, powers = table.column("CLEARING_PRICE"), table.column("CAPACITY_CLEARED")
    if not complete(prices) or not complete(powers):
        return None
    rate = Fraction(one.penalty_rate_per_kwh or 0)
    due = Fraction()
    for price, power, kw in zip(prices, powers, delivered, strict=True):
        cleared = Fraction(power or 0)
        due += Fraction(price or 0) * min(kw, cleared) - rate * max(Fraction(), cleared - kw)
    return due


def _posted_dues(need: Table, table: Table, delivered: list[Fraction]) -> Fraction | None:
    """Settle offered capacity at a posted price, per hour, less a penalty on the shortfall."""
    columns = (
        table.column("CAPACITY_OFFERED"),
        need.column("PRICE"),
        need.column("SHORTFALL_PENALTY"),
    )
    if not all(map(complete, columns)) or len({len(column) for column in columns}) != 1:
        return None
    due = Fraction()
    for power, price, penalty, kw in zip(*columns, delivered, strict=True):
        offered = Fraction(power or 0)
        due += min(kw, offered) * Fraction(price or 0)
        due -= max(Fraction(), offered - kw) * Fraction(penalty or 0)
    return due


def _reductions(meters: Iterable[Table], intervals: int) -> list[Fraction] | None:
    """Give the reduction in kW of each interval, clamped meter by meter; None if one is unread."""
    total = [Fraction()] * intervals
    for meter in meters:
        if len(meter.rows) != intervals:
            return None
        for number, row in enumerate(meter.rows):
            baseline, usage = row.get("BASELINE", ()), row.get("USAGE", ())
            if not baseline or not usage:
                return None
            less = total_of(baseline) / len(baseline) - total_of(usage) / len(usage)
            total[number] += max(Fraction(), less)
    return total


def by_interval(table: Table, kind: str) -> Mapping[Decimal | None, Decimal]:
    """Give a column by the ids of its intervals, by which tables are joined."""
    pairs = zip(table.ids, table.column(kind), strict=True)
    return {number: value for number, value in pairs if value is not None}


def complete(column: tuple[Decimal | None, ...]) -> bool:
    return bool(column) and all(value is not None for value in column)


def total_of(numbers: Iterable[Decimal | Fraction]) -> Fraction:
    return sum((Fraction(number) for number in numbers), Fraction())


def plain(number: Fraction) -> str:
    """Write a number as a reader expects it, with at most six decimals."""
    exact = _WIDE.divide(Decimal(number.numerator), Decimal(number.denominator))
    text = f"{_WIDE.quantize(exact, Decimal('0.000001')):f}"
    return text.rstrip("0").rstrip(".")


def instant(text: str | None) -> datetime | None:
    """Read an instant with a zone; None where there is none."""
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else None

"""Reductions of load: the baseline of a meter, and how much less than that it drew.

Belongs here: the way from meter readings as views to the arithmetic of
reference_impl.baseline, and back. Does not belong here: that arithmetic, blocks (dialects),
what is right (rules).

Readings are in kWh, export positive; consumption there is positive.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dialects.flexibility import baseline_in
from gridwitness.reference_impl.baseline import (
    BaselineError,
    Commitment,
    Day,
    Reading,
    average_kw,
    high_days,
    parse_methodology,
    settle_flex,
)
from gridwitness.reference_impl.rounding import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gridwitness.views import EnergyContract, Interval, MeterReading

NOTHING_OWED = Commitment(0, Decimal(0), Decimal(0), Decimal(0))
"""What was measured is asked for, not its money."""


def baseline_of(stated: Iterable[MeterReading], interval: Interval) -> MeterReading | None:
    """Find what would have flowed in the interval itself; None where it is not stated."""
    start = in_utc(interval.start)
    return next((one for one in stated if start and in_utc(one.start) == start), None)


def baseline_kwh(
    methodology: str | None, stated: Iterable[MeterReading], interval: Interval
) -> Fraction:
    """Compute the baseline of an interval from the days before it, export positive.

    Raises BaselineError where the methodology, an instant or a day is missing.
    """
    event = in_utc(interval.start)
    if event is None:
        raise BaselineError("E_NO_INSTANT", f"{interval.start} is no instant; give a time zone")
    # One value a day, in kWh: a mean has the unit of what it is the mean of.
    days = [
        Day(start.date(), (one.energy_kwh.copy_negate(),))
        for one in stated
        if (start := in_utc(one.start)) is not None and start < event
    ]
    chosen = high_days(parse_methodology(methodology or ""), event.date(), days, ())
    return -average_kw(chosen)[0]


def reduction_kwh(baseline: MeterReading, reading: MeterReading) -> Decimal:
    """Give the energy by which a meter drew less than its baseline, never below zero."""
    drawn = [one.energy_kwh.copy_negate() for one in (baseline, reading)]
    read = Reading((drawn[0],), (drawn[1],))
    settled = settle_flex(Fraction(1), [NOTHING_OWED], {"meter": {0: read}})
    exact = settled.delivered[0].delivered_kwh
    return EXACT.divide(Decimal(exact.numerator), Decimal(exact.denominator))


def counted_kwh(contract: EnergyContract) -> Decimal | None:
    """Give what counts as metered of a contract: its reading, or the reduction below a baseline.

    None where the contract states no reading.
    """
    if not contract.readings:
        return None
    reading = contract.readings[0]
    stated = baseline_in(contract.blocks)
    usual = baseline_of(stated, contract.interval) if contract.interval else None
    return reduction_kwh(usual, reading) if usual else reading.energy_kwh


def in_utc(text: str | None) -> datetime | None:
    """Read an instant in UTC; None when it is none, has no zone, or is not of this calendar."""
    try:
        read = datetime.fromisoformat(text or "")
        return read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError):
        return None

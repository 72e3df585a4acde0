"""A charging session as messages tell it: its states, its telemetry, its record, its objective.

Belongs here: reading what was told of one charge, and what follows from it. Does not belong
here: money (deals), what is right about it (rules.charging).

Source: OCPI 2.2.1, mod_sessions and mod_cdrs; beckn/DEG, EV charging, ChargingSession.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from gridwitness import deals
from gridwitness.deals import DealError
from gridwitness.dialects.base import Cursor
from gridwitness.dialects.blocks import duration_s
from gridwitness.dues import instant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from gridwitness.deals import Record
    from gridwitness.trace import Message
    from gridwitness.views import Deal, Interval

LONGEST_S = 10**9
"""No interval of a session is longer."""

FOLLOW: dict[str | None, tuple[str, ...]] = {
    None: ("PENDING", "ACTIVE"),
    "PENDING": ("ACTIVE", "STOP"),
    "ACTIVE": ("INTERRUPTED", "STOP", "COMPLETED"),
    "INTERRUPTED": ("ACTIVE", "STOP", "COMPLETED"),
    "STOP": ("COMPLETED",),
    "COMPLETED": (),
}
"""The states that may follow each: asked for, under way, cut off or not, stopped, over."""


CONNECTOR: dict[str, tuple[str, ...]] = {
    "PENDING": ("Available", "Preparing", "Reserved", "Occupied"),
    "ACTIVE": ("Charging", "SuspendedEV", "SuspendedEVSE", "Occupied"),
    "INTERRUPTED": ("SuspendedEV", "SuspendedEVSE", "Faulted", "Unavailable", "Occupied"),
    "STOP": ("Finishing", "Occupied"),
    "COMPLETED": ("Finishing", "Available", "Reserved", "Occupied", "Unavailable", "Faulted"),
}
"""The states in which a connector can be in each state of its session (OCPP 1.6, section 4.9)."""


class Span(NamedTuple):
    """What was measured from one instant to another; power is the mean."""

    start: datetime
    end: datetime
    energy_kwh: Decimal
    power_kw: Decimal | None


def state(deal: Deal) -> str | None:
    """Give the state of the session that a message tells."""
    block = deal.block("fulfilment", "sessionStatus")
    return block.data if block and isinstance(block.data, str) else None


def observed_at(deal: Deal) -> datetime | None:
    """Give when what a message tells was so, if it says."""
    block = deal.block("fulfilment", "observedAt")
    return instant(block.data if block and isinstance(block.data, str) else None)


def told_at(message: Message, deal: Deal) -> datetime | None:
    """Give when what a message tells was so: as it says, or else when it was sent."""
    return observed_at(deal) or instant(message.reading.envelope.timestamp)


def hours(length: timedelta) -> Fraction:
    """Give a length in hours, exactly."""
    return Fraction(length // timedelta(microseconds=1), 3_600_000_000)


def telemetry(deal: Deal) -> tuple[Span, ...]:
    """Read the energy of each interval of a session's telemetry; what is no energy is left out."""
    block = deal.block("fulfilment", "telemetry")
    series = Cursor(block.data if block else None, "", [])
    period = series / "intervalPeriod"
    begin, length_s = (
        instant((period / "start").text()),
        duration_s((period / "duration").text() or ""),
    )
    if begin is None or length_s is None or not 0 < length_s <= LONGEST_S:
        return ()
    return tuple(_spans(series, begin, timedelta(seconds=float(length_s))))


def _spans(series: Cursor, begin: datetime, length: timedelta) -> Iterator[Span]:
    for number, item in enumerate((series / "intervals").items()):
        values = {
            (payload / "type").text(): (payload / "values" / 0).number()
            for payload in (item / "payloads").items()
        }
        energy_kwh = values.get("ENERGY")
        try:
            start = begin + number * length
            end = start + length
        except OverflowError:
            return
        if energy_kwh is not None:
            yield Span(start, end, energy_kwh, values.get("POWER"))


def record_of(deal: Deal) -> Record | None:
    """Read the charge detail record of a deal; None where it has none that can be read."""
    try:
        return deals.record_in(deal)
    except DealError:
        return None  # BIL-003 says so


def currency_of_record(deal: Deal) -> str | None:
    """Give the currency of a deal's charge detail record."""
    block = deal.block("fulfilment", "chargeDetailRecord")
    return (Cursor(block.data if block else None, "", []) / "currency").text()


class Meter:
    """What a record's session had taken by any instant, each period's energy evenly, in kWh."""

    def __init__(self, record: Record) -> None:
        taken = (Fraction(period.energy_kwh) for period in record.periods)
        self._periods = record.periods
        self._starts = [period.start for period in record.periods]
        self._before = [Fraction(0), *accumulate(taken)]
        self.total_kwh = self._before[-1]

    def until(self, at: datetime) -> Fraction:
        """Give the energy taken up to an instant."""
        number = bisect_right(self._starts, at) - 1
        if number < 0:
            return Fraction(0)
        period = self._periods[number]
        share = hours(min(at, period.end) - period.start) / hours(period.end - period.start)
        return self._before[number] + Fraction(period.energy_kwh) * share


def end_of(interval: Interval | None) -> datetime | None:
    """Give when an interval ends; None where that is no instant."""
    start = instant(interval.start) if interval else None
    if interval is None or start is None:
        return None
    try:
        return start + timedelta(seconds=float(interval.duration_h * 3600))
    except OverflowError:
        return None


def objective(deal: Deal) -> Cursor | None:
    """Give the objective of a deal, to read from."""
    block = deal.block("contract", "objective")
    return Cursor(block.data, block.pointer(), []) if block else None


def shortfall_kwh(deal: Deal) -> Decimal | None:
    """Give what the record lacks of the target at the deadline; None where there is no target."""
    wanted, record = objective(deal), record_of(deal)
    target_kwh = (wanted / "targetChargeKWh").number() if wanted else None
    if wanted is None or record is None or target_kwh is None:
        return None
    meter, deadline = Meter(record), instant((wanted / "deadline").text())
    charged_kwh = meter.until(deadline) if deadline else meter.total_kwh
    missing = max(Fraction(0), Fraction(target_kwh) - charged_kwh)
    return round(Decimal(missing.numerator) / Decimal(missing.denominator), 3)

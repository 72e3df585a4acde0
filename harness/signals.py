"""Signals: values from elsewhere that a deal counts with, and totals that it keeps running.

Belongs here: reading the signals of a deal, which value is in force when. Does not belong
here: what formulas make of them (deals), whether they were passed on as told (rules).

A value is in force from its instant until the next one. A signal of the kind STATE is a
running total: told at the beginning and at the end of what is delivered; its source may be
the formula that leads from the one to the other.

Source: beckn/DEG, building blocks, EnergyContract v1, InputSignal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridwitness.dialects.base import Json
    from gridwitness.views import Deal

STATE = "STATE"
KINDS = ("PRICE", STATE, "COMMAND", "FREQUENCY", "VOLTAGE", "AGC_SETPOINT", "CARBON")
"""The kinds of signal, as the drafts call them."""

LARGEST = 30
"""Digits before and after the point of a value that is counted with."""


class Signal(NamedTuple):
    """A signal, or one value of it.

    kind as in KINDS. value: in its unit, None where it is only referred to. instant: from when
    the value holds, ISO 8601. formula: of a running total, what it becomes by a delivery.
    """

    name: str
    kind: str
    value: Decimal | None = None
    unit: str | None = None
    instant: str | None = None
    formula: str | None = None
    pointer: str = ""

    @property
    def begins(self) -> datetime | None:
        """When the value comes into force; None where that is not told, or has no zone."""
        return moment(self.instant)


class Period(NamedTuple):
    """From an instant until another."""

    start: datetime
    end: datetime


def moment(text: str | None) -> datetime | None:
    """Read an instant that has a zone, in UTC; None for anything else."""
    try:
        read = datetime.fromisoformat(text or "")
        return read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError):
        return None


def signals_in(deal: Deal, slot: str = "fulfilment") -> tuple[Signal, ...]:
    """Read the signals that a deal tells in a slot: fulfilment has values, contract what is meant.

    What is no signal is passed over.
    """
    block = deal.block(slot, "externalSignals")
    return tuple(_read(block.data, block.pointer())) if block else ()


def _read(data: object, pointer: str) -> Iterator[Signal]:
    entries: list[object] = cast("list[object]", data) if isinstance(data, list) else [data]
    for n, item in enumerate(entries):
        if not isinstance(item, Mapping):
            continue
        members = cast("Mapping[str, object]", item)
        name, source = members.get("signalId"), members.get("source")
        if not isinstance(name, str):
            continue
        by_formula = isinstance(source, Mapping)
        formula = cast("Mapping[str, object]", source).get("formula") if by_formula else None
        yield Signal(
            name=name,
            kind=_text(members.get("signalType")) or "",
            value=_number(members.get("value")),
            unit=_text(members.get("unit")),
            instant=_text(members.get("timestamp")),
            formula=_text(formula),
            pointer=f"{pointer}/{n}" if isinstance(data, list) else pointer,
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    return number if number.is_finite() and abs(number.adjusted()) < LARGEST else None


def write_signal(signal: Signal) -> dict[str, Json]:
    """Write a signal, or a value of it, as an ExternalSignal block."""
    members: dict[str, Json] = {
        "signalId": signal.name,
        "signalType": signal.kind,
        "source": {"formula": signal.formula} if signal.formula else None,
        "value": signal.value,
        "unit": signal.unit,
        "timestamp": signal.instant,
    }
    return {key: value for key, value in members.items() if value is not None}


def period_of(deal: Deal) -> Period | None:
    """Give when was delivered what a message tells: of its readings, else of the deal."""
    starts = [moment(reading.start) for reading in deal.readings]
    ends = [moment(reading.end) for reading in deal.readings]
    if starts and None not in (*starts, *ends):
        return Period(min(s for s in starts if s), max(e for e in ends if e))
    start = moment(deal.interval.start) if deal.interval else None
    if start is None or deal.interval is None:
        return None
    try:
        return Period(start, start + timedelta(hours=float(deal.interval.duration_h)))
    except OverflowError:
        return None


class Course:
    """The values of one signal in time, each in force until the next."""

    def __init__(self, values: Sequence[Signal]) -> None:
        known = [(s.begins, s.value) for s in values if s.value is not None]
        dated = {begins: value for begins, value in known if begins is not None}
        self._begins = sorted(dated)
        self._values = [dated[begins] for begins in self._begins]
        # A value without an instant holds throughout, if it is the only one.
        self._always = known[0][1] if len(known) == 1 and not dated else None

    def at(self, instant: datetime) -> Decimal | None:
        """Give the value in force at an instant; None before the first."""
        place = bisect_right(self._begins, instant)
        return self._values[place - 1] if place else self._always

    def over(self, period: Period) -> Fraction | None:
        """Give the mean over a period, by time; None where some of it has no value."""
        inside = [t for t in self._begins if period.start < t < period.end]
        cuts = [period.start, *inside, period.end]
        length = Fraction((period.end - period.start) // _TICK)
        if length <= 0:
            return None
        total = Fraction()
        for begin, end in pairwise(cuts):
            value = self.at(begin)
            if value is None:
                return None
            total += Fraction(value) * ((end - begin) // _TICK)
        return total / length


_TICK = timedelta(microseconds=1)
_NEVER = datetime.max.replace(tzinfo=UTC)


def courses(signals: Sequence[Signal]) -> dict[str, tuple[Signal, Course]]:
    """Give each signal that has a value: its earliest, and how it goes on."""
    by_name: dict[str, list[Signal]] = {}
    for signal in signals:
        if signal.value is not None:
            by_name.setdefault(signal.name, []).append(signal)
    for values in by_name.values():
        values.sort(key=lambda s: s.begins or _NEVER)
    return {name: (values[0], Course(values)) for name, values in by_name.items()}


def during(signals: Sequence[Signal], period: Period) -> tuple[Signal, ...]:
    """Give the values that are in force within a period, in order."""
    dated = sorted(
        ((begins, s) for s in signals if (begins := s.begins) and begins < period.end),
        key=lambda pair: pair[0],
    )
    last_before = {s.name: begins for begins, s in dated if begins <= period.start}
    return tuple(s for begins, s in dated if begins >= last_before.get(s.name, begins))

"""Responses: what a signal asks of a resource, and what the resource gives, instant by instant.

Belongs here: from the terms, signals and telemetry that one message states to what was asked
for, how well it was followed, and the energy of it. Does not belong here: how signals are read
(signals), money (deals), what is right (rules).

A frequency or a voltage asks by a droop: nothing within the deadband around the nominal
value, beyond it so much power for each unit, against the deviation, at most the capacity. A
set power (AGC_SETPOINT, COMMAND) asks for itself, at most the capacity. Positive is what is
fed in: power in kW, or reactive power in kvar where the signal is a voltage.

Source: IEEE 2030.5-2018, DERControl opModFreqDroop, opModVoltVar; schemas/README.md,
ExternalSignal.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from gridwitness.dialects.base import Cursor
from gridwitness.dialects.deals import words
from gridwitness.dialects.tables import read_table
from gridwitness.signals import courses, moment, signals_in

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from gridwitness.signals import Signal
    from gridwitness.views import Deal, IntervalTable

TELEMETRY = "telemetry"
POWER, REACTIVE_POWER = "POWER", "REACTIVE_POWER"
DROOPS = ("FREQUENCY", "VOLTAGE")
SETS = ("AGC_SETPOINT", "COMMAND")
SCORE_UNIT = "1"

MOST_FOLLOWED = 20
"""How many signals a resource is seen to follow."""


class Moment(NamedTuple):
    """What was asked for and what was given in one interval of the telemetry."""

    place: int
    begin: datetime
    asked: Fraction
    given: Fraction


class Response(NamedTuple):
    """A response to one signal: interval by interval, all as long."""

    moments: tuple[Moment, ...]
    duration_h: Fraction
    pointer: str

    @property
    def score(self) -> Fraction:
        """How well the signal was followed: 1 less the share of what was asked that was missed.

        Too much is as bad as too little; never below zero.
        """
        asked = sum((abs(one.asked) for one in self.moments), Fraction())
        missed = sum((abs(one.given - one.asked) for one in self.moments), Fraction())
        if not asked:
            return Fraction(not missed)
        return max(Fraction(), 1 - missed / asked)

    @property
    def energy(self) -> Fraction:
        """The energy of what was both asked for and given, in kWh or kvarh, either way."""
        return self.duration_h * sum(
            (min(abs(one.asked), abs(one.given)) for one in self.moments if _agree(one)),
            Fraction(),
        )


def _agree(one: Moment) -> bool:
    return one.asked * one.given > 0


def response_to(deal: Deal, name: str) -> Response | None:
    """Give the response to a signal; None where a message lacks some of it.

    That is a value of the signal when an interval begins, the power in every interval, or a
    term of the droop.
    """
    table, pointer = telemetry_in(deal)
    told = courses(signals_in(deal)).get(name)
    first = moment(table.interval.start) if table and table.interval else None
    if table is None or table.interval is None or first is None or told is None:
        return None
    signal, course = told
    given = table.values(REACTIVE_POWER if signal.kind == "VOLTAGE" else POWER)
    moments: list[Moment] = []
    for place, power in enumerate(given):
        try:
            begin = first + place * timedelta(hours=float(table.interval.duration_h))
        except OverflowError:
            return None
        value = course.at(begin)
        asked = None if value is None else asked_for(deal, signal, value)
        if asked is None or power is None:
            return None
        moments.append(Moment(place, begin, asked, Fraction(power)))
    return Response(tuple(moments), table.interval.duration_h, pointer) if moments else None


def followed(deal: Deal) -> dict[str, Response]:
    """Give the responses to the signals that the sources of a deal follow, the first few."""
    named = (s.signal for s in deal.sources if s.kind == "INVERTER_DATA" and s.signal)
    names = islice(dict.fromkeys(named), MOST_FOLLOWED)
    return {name: found for name in names if (found := response_to(deal, name)) is not None}


def asked_for(deal: Deal, signal: Signal, value: Decimal) -> Fraction | None:
    """Give what a value of a signal asks for by the terms of a deal; None where they lack one."""
    capacity = _term(deal, "capacity")
    if capacity is None or capacity < 0:
        return None
    if signal.kind in SETS:
        return max(-capacity, min(capacity, Fraction(value)))
    droop, nominal, deadband = (_term(deal, name) for name in ("droop", "nominal", "deadband"))
    if signal.kind not in DROOPS or droop is None or nominal is None or deadband is None:
        return None
    deviation = nominal - Fraction(value)
    beyond = max(Fraction(), abs(deviation) - deadband)
    return max(-capacity, min(capacity, droop * (beyond if deviation > 0 else -beyond)))


def telemetry_in(deal: Deal) -> tuple[IntervalTable | None, str]:
    """Read the telemetry of a deal as a table, and where it stands."""
    block = deal.block("fulfilment", TELEMETRY)
    if block is None:
        return None, ""
    return read_table(Cursor(block.data, block.pointer(), []), words), block.pointer()


def _term(deal: Deal, name: str) -> Fraction | None:
    term = deal.term(name)
    return Fraction(term.value) if term else None

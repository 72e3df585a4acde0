"""SVC: services of a resource to the grid: what a signal asks of it, what it gives.

Belongs here: responses to frequency, voltage and set powers, as a deal tells them. Does not
belong here: signals as such (settlement_report), what is paid (billing).

How well a signal is followed is paid for, by the score in the formulas; a poor response is
no breach unless the contract states a tolerance.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.response import (
    POWER,
    REACTIVE_POWER,
    SCORE_UNIT,
    followed,
    telemetry_in,
)
from gridwitness.rules import outcome, rule
from gridwitness.signals import moment
from gridwitness.story import deals_told
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.response import Response
    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Deal

MODES = "IEEE 2030.5-2018, DERControl (opModFreqDroop, opModVoltVar)"
BLOCKS = "beckn/DEG, building blocks, EnergyContract v1"
OURS = "schemas/README.md, ExternalSignal"


@once
def _told(trace: Trace) -> list[tuple[Message, Deal]]:
    """Give what was said of services, honestly and not as an error, in order."""
    return [
        (message, deal)
        for message, deal in deals_told(trace)
        if any(source.kind == "INVERTER_DATA" and source.signal for source in deal.sources)
    ]


@once
def _responses(trace: Trace) -> list[tuple[Message, Deal, Response]]:
    """Give each response to a signal that a message tells, once a signal."""
    return [
        (message, deal, response)
        for message, deal in _told(trace)
        for response in followed(deal).values()
    ]


@rule("SVC-001", "MUST", source=f"{MODES}; {BLOCKS}, roleInputs", when_stated=True)
def response_is_within_the_capacity(trace: Trace) -> Iterator[Outcome]:
    """A resource gives no more power than the capacity that was agreed, either way."""
    for message, deal in _told(trace):
        table, pointer = telemetry_in(deal)
        capacity = deal.term("capacity")
        if table is None or capacity is None:
            continue
        name = REACTIVE_POWER if table.column(REACTIVE_POWER) else POWER
        given = [value for value in table.values(name) if value is not None]
        if given:
            most = max(given, key=abs)
            yield outcome(
                abs(most) <= capacity.value,
                by=message.sender,
                message=message,
                observed=f"{most} {capacity.unit or ''}",
                expected=f"at most {capacity.value} {capacity.unit or ''}, as agreed",
                pointer=pointer,
            )


@rule("SVC-002", "MUST", source=f"{OURS}; {MODES}", when_stated=True)
def response_is_within_the_tolerance(trace: Trace) -> Iterator[Outcome]:
    """Where a tolerance is agreed, a resource gives what the signal asks for within it."""
    for message, deal, response in _responses(trace):
        tolerance = deal.term("tolerance")
        if tolerance is None:
            continue
        worst = max(response.moments, key=lambda one: abs(one.given - one.asked))
        unit = tolerance.unit or ""
        yield outcome(
            abs(worst.given - worst.asked) <= Fraction(tolerance.value),
            by=message.sender,
            message=message,
            observed=f"{float(worst.given):g} {unit} in interval {worst.place}",
            expected=f"{float(worst.asked):g} {unit}, give or take {tolerance.value}",
            pointer=response.pointer,
        )


@rule("SVC-003", "SHOULD", source=MODES, when_stated=True)
def response_helps(trace: Trace) -> Iterator[Outcome]:
    """A resource never works against the signal that it follows."""
    for message, deal, response in _responses(trace):
        against = [one for one in response.moments if one.asked * one.given < 0]
        capacity = deal.term("capacity")
        unit = (capacity and capacity.unit) or ""
        one = against[0] if against else response.moments[0]
        yield outcome(
            not against,
            by=message.sender,
            message=message,
            observed=f"{float(one.given):g} {unit} in interval {one.place}",
            expected=f"{float(one.asked):g} {unit}, or nothing",
            pointer=response.pointer,
        )


@rule("SVC-004", "MUST", source=f"{BLOCKS}, telemetrySources", when_stated=True)
def telemetry_covers_the_delivery(trace: Trace) -> Iterator[Outcome]:
    """What is settled by telemetry is told from the beginning of the delivery to its end."""
    for message, deal in _told(trace):
        table, pointer = telemetry_in(deal)
        if deal.settlement is None or deal.interval is None:
            continue
        first = moment(table.interval.start) if table and table.interval else None
        begin = moment(deal.interval.start)
        covered_h = (
            table.interval.duration_h * len(table.rows) if table and table.interval else Fraction()
        )
        yield outcome(
            first is not None and first == begin and covered_h == deal.interval.duration_h,
            by=message.sender,
            message=message,
            observed=f"{float(covered_h):g} h from {first and first.isoformat()}",
            expected=f"{float(deal.interval.duration_h):g} h from {begin and begin.isoformat()}",
            pointer=pointer or deal.pointer(),
        )


@rule("SVC-005", "MUST", source=f"{BLOCKS}, quality metrics; {OURS}", when_stated=True)
def response_has_its_score(trace: Trace) -> Iterator[Outcome]:
    """A report states the score that its signal and its telemetry give, to nine decimals."""
    for message, deal in _told(trace):
        report = deal.settlement
        stated = {term.name: term for term in report.inputs} if report else {}
        responses = followed(deal) if stated else {}
        for source in deal.sources:
            told = stated.get(source.name)
            if told is None or source.kind != "INVERTER_DATA" or source.unit != SCORE_UNIT:
                continue
            response = responses.get(source.signal or "")
            yield outcome(
                response is not None and abs(Fraction(told.value) - response.score) <= NINE,
                by=message.sender,
                message=message,
                observed=f"{told.value}",
                expected=f"{float(response.score):.9g}" if response else "signal and telemetry",
                pointer=told.pointer(),
            )


NINE = Fraction(1, 10**9)


@rule("SVC-006", "MUST", source=f"{OURS}, telemetry is told once", when_stated=True)
def telemetry_stays_as_it_was_told(trace: Trace) -> Iterator[Outcome]:
    """What a resource gave at an instant is settled by as it was told first."""
    first: dict[tuple[str | None, str, object], object] = {}
    for message, deal in _told(trace):
        table, pointer = telemetry_in(deal)
        begin = moment(table.interval.start) if table and table.interval else None
        if table is None or table.interval is None or begin is None:
            continue
        changed: list[str] = []
        known = 0
        for place, row in enumerate(table.rows):
            try:
                at = begin + place * timedelta(hours=float(table.interval.duration_h))
            except OverflowError:
                break
            for name, values in row.items():
                before = first.setdefault((deal.contract_id, name, at), values)
                known += before is not values
                if before != values:
                    changed.append(f"{name} {', '.join(map(str, values))} at {at.isoformat()}")
        if known:
            yield outcome(
                not changed,
                by=message.sender,
                message=message,
                observed="; ".join(changed[:9]),
                expected="what was told before",
                pointer=pointer,
            )

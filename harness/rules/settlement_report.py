"""STL: a billing report rests on what it states, and accounts go on from one report to the next.

Belongs here: quantities of a report, signals and running totals, corrections of a deal. Does
not belong here: what the payments of one message come to (billing), markets that clear (money).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness import deals
from gridwitness.deals import DealError
from gridwitness.reference_impl.rounding import EXACT
from gridwitness.rules import outcome, rule
from gridwitness.signals import STATE, moment, period_of, signals_in
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from gridwitness.rules import Outcome
    from gridwitness.signals import Signal
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Deal, RevenueFlow, SettlementReport

DEG = "beckn/DEG, building blocks"
SIGNALS = f"{DEG}, EnergyContract v1, InputSignal"
SETTLEMENT = f"{DEG}, EnergyCoordination v1, Settlement"
BLOCK = "schemas/README.md, SettlementReport"


@once
def _told(trace: Trace) -> list[tuple[Message, Deal]]:
    """Give what was said of deals, honestly and not as an error, in order."""
    return [
        (message, message.reading.deal)
        for message in trace.beckn
        if message.deliberate is None and message.reading.deal and message.reading.error is None
    ]


@once
def _reported(trace: Trace) -> list[tuple[Message, Deal, SettlementReport]]:
    """Give the billing reports: the settlements that have an id."""
    return [
        (message, deal, report)
        for message, deal in _told(trace)
        if (report := deal.settlement) and report.report_id
    ]


@rule("STL-001", "MUST", source=f"{BLOCK}; reference_impl/README.md, Contracts", when_stated=True)
def report_states_what_it_rests_on(trace: Trace) -> Iterator[Outcome]:
    """A billing report states every quantity that its formulas use, as its message gives it."""
    for message, deal, report in _reported(trace):
        try:
            right = deals.inputs(deal)
        except DealError as error:
            yield _unknown(message, error, report.pointer("inputs"))
            continue
        stated = {term.name: (term.value, term.unit) for term in report.inputs}
        wrong = [name for name, one in right.items() if stated.get(name) != (one.value, one.unit)]
        name = wrong[0] if wrong else next(iter(right), "")
        yield outcome(
            not wrong,
            by=message.sender,
            message=message,
            observed=f"{name}: {_amount(stated.get(name))}",
            expected=f"{name}: {_amount(right.get(name))}",
            pointer=report.pointer("inputs"),
        )


def _amount(quantity: tuple[Decimal, str | None] | None) -> str:
    if quantity is None:
        return "nothing"
    return f"{quantity[0]} {quantity[1] or ''}".rstrip()


def _unknown(message: Message, error: DealError, pointer: str) -> Outcome:
    return outcome(
        kept=False,
        by=message.sender,
        message=message,
        observed=str(error),
        expected="quantities that can be known from the message",
        pointer=pointer,
    )


@rule("STL-002", "MUST", source=SIGNALS, when_stated=True)
def signals_are_passed_on_unchanged(trace: Trace) -> Iterator[Outcome]:
    """The value of a signal that a party was told is passed on as it was told."""
    given: dict[tuple[str | None, str, datetime], tuple[Decimal, str | None]] = {}
    for message, deal in _told(trace):
        for signal in signals_in(deal):
            begins = signal.begins
            if signal.kind == STATE or begins is None or signal.value is None:
                continue
            value = signal.value, signal.unit
            heard = given.get((message.sender, signal.name, begins))
            if heard is not None:
                yield outcome(
                    value == heard,
                    by=message.sender,
                    message=message,
                    observed=f"{signal.name}: {_amount(value)}",
                    expected=f"{_amount(heard)}, as it was told",
                    pointer=signal.pointer,
                )
            given[message.receiver, signal.name, begins] = value


@rule("STL-003", "MUST", source=f"{SIGNALS}; {BLOCK}", when_stated=True)
def signals_are_of_what_is_settled(trace: Trace) -> Iterator[Outcome]:
    """A signal that a bill counts with is in force from the beginning to the end of what it bills.

    A value that comes into force at the end or later is of something else.
    """
    for message, deal in _told(trace):
        period = period_of(deal)
        if deal.settlement is None or period is None:
            continue
        told = [s for s in signals_in(deal) if s.kind != STATE and s.value is not None]
        by_name: dict[str, list[Signal]] = {}
        for signal in told:
            by_name.setdefault(signal.name, []).append(signal)
        for name, values in by_name.items():
            instants = [begins for s in values if (begins := s.begins)]
            if not instants:
                continue
            right = min(instants) <= period.start and max(instants) < period.end
            yield outcome(
                right,
                by=message.sender,
                message=message,
                observed=f"{name} from {min(instants)} and last at {max(instants)}",
                expected=f"values in force from {period.start} until {period.end}",
                pointer=values[0].pointer,
            )


def _totals(deal: Deal) -> Iterator[tuple[Signal, Signal]]:
    """Give each running total before and after what a message tells."""
    by_name: dict[str, list[tuple[datetime, Signal]]] = {}
    for signal in signals_in(deal):
        begins = signal.begins
        if signal.kind == STATE and begins is not None and signal.value is not None:
            by_name.setdefault(signal.name, []).append((begins, signal))
    for values in by_name.values():
        values.sort(key=lambda pair: pair[0])
        if len(values) > 1:
            yield values[0][1], values[-1][1]


@rule("STL-004", "MUST", source=f"{SIGNALS}; {BLOCK}", when_stated=True)
def totals_grow_by_what_was_delivered(trace: Trace) -> Iterator[Outcome]:
    """A running total becomes what its formula makes of it and of what was delivered."""
    for message, deal in _told(trace):
        for _, after in _totals(deal):
            try:
                right = deals.total_after(deal, after.name)
            except DealError as error:
                yield _unknown(message, error, after.pointer)
                continue
            yield outcome(
                after.value == right,
                by=message.sender,
                message=message,
                observed=f"{after.name}: {after.value} {after.unit or ''}".rstrip(),
                expected=f"{right}, from what was delivered",
                pointer=after.pointer,
            )


@rule("STL-005", "MUST", source=f"{SIGNALS}; {BLOCK}", when_stated=True)
def totals_go_on_where_they_were(trace: Trace) -> Iterator[Outcome]:
    """A running total begins with what it was when the delivery before ended."""
    known: dict[tuple[str | None, str | None, str], Signal] = {}
    for message, deal in _told(trace):
        for before, after in _totals(deal):
            key = deal.contract_id, message.sender, before.name
            last = known.get(key)
            begins, ended = before.begins, last.begins if last else None
            if last is not None and begins and ended and begins >= ended:
                yield outcome(
                    before.value == last.value,
                    by=message.sender,
                    message=message,
                    observed=f"{before.name}: {before.value} {before.unit or ''}".rstrip(),
                    expected=f"{last.value}, where it was left",
                    pointer=before.pointer,
                )
            known[key] = after


@rule("STL-006", "MUST", source=f"{SETTLEMENT}; {BLOCK}", when_stated=True)
def correction_pays_the_difference(trace: Trace) -> Iterator[Outcome]:
    """A report that corrects another pays what is owed by the new one less what the old one paid.

    It names a report of the same contract that was told before and is not corrected yet.
    """
    standing: dict[tuple[str | None, str | None], dict[str, SettlementReport]] = {}
    corrected: dict[tuple[str | None, str | None, str], str] = {}
    for message, deal, report in _reported(trace):
        own = standing.setdefault((deal.contract_id, message.sender), {})
        own_id = report.report_id or ""
        if report.replaces is not None and own_id not in own:
            key = deal.contract_id, message.sender, report.replaces
            old = own.get(report.replaces)
            free = old is not None and key not in corrected
            right = deals.difference(old, report) if old else ()
            yield outcome(
                free and _summed(report.adjustments) == _summed(right),
                by=message.sender,
                message=message,
                observed=_payments(report.adjustments) if free else f"replaces {report.replaces}",
                expected=_payments(right) if free else "a report that still stands",
                pointer=report.pointer("adjustments"),
            )
            corrected[key] = own_id
        own.setdefault(own_id, report)


def _summed(flows: Iterable[RevenueFlow]) -> dict[tuple[str, str, str, str], Decimal]:
    """Sum payments by who pays whom for what, in which currency; what is nothing is left out."""
    total: dict[tuple[str, str, str, str], Decimal] = {}
    for flow in flows:
        key = flow.payer, flow.payee, flow.kind, flow.currency
        total[key] = EXACT.add(total.get(key, Decimal(0)), flow.amount)
    return {key: amount for key, amount in total.items() if amount}


def _payments(flows: Iterable[RevenueFlow]) -> str:
    told = (f"{flow.kind}: {flow.amount} from {flow.payer} to {flow.payee}" for flow in flows)
    return ", ".join(told) or "nothing"


@rule("STL-007", "MUST", source=f"{SETTLEMENT}; {BLOCK}", when_stated=True)
def nothing_is_settled_twice(trace: Trace) -> Iterator[Outcome]:
    """What a meter registered in an interval is settled by one report, unless that is corrected."""
    settled: dict[tuple[str | None, str | None, str, object, object], str] = {}
    for message, deal, report in _reported(trace):
        own_id = report.report_id or ""
        period = period_of(deal)
        twice: list[str] = []
        for reading in deal.readings:
            start = moment(reading.start) or (period and period.start)
            end = moment(reading.end) or (period and period.end)
            key = deal.contract_id, message.sender, reading.meter_id, start, end
            before = settled.get(key)
            if before is not None and before not in (own_id, report.replaces):
                twice.append(before)
            settled[key] = own_id
        if deal.readings:
            yield outcome(
                not twice,
                by=message.sender,
                message=message,
                observed=f"{own_id} settles what {twice[0] if twice else ''} settled",
                expected="a report of something else, or one that names what it replaces",
                pointer=report.pointer("report_id"),
            )

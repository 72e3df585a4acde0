"""STL: a billing report rests on what it states, and accounts go on from one report to the next.

Belongs here: quantities of a report, signals and running totals, corrections of a deal. Does
not belong here: what the payments of one message come to (billing), markets that clear (money).
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness import accounts
from gridwitness.deals import DealError
from gridwitness.reference_impl.rounding import EXACT
from gridwitness.rules import outcome, rule
from gridwitness.signals import STATE, courses, moment, period_of, signals_in
from gridwitness.story import deals_told
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from gridwitness.rules import Outcome
    from gridwitness.signals import Signal
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Deal, RevenueFlow, SettlementReport

DEG = "beckn/DEG, building blocks"
SIGNALS = f"{DEG}, EnergyContract v1, InputSignal"
SETTLEMENT = f"{DEG}, EnergyCoordination v1, Settlement"
BLOCK = "schemas/README.md, SettlementReport"

Value = tuple[Decimal, "str | None"]
"""Of a signal, with its unit."""


@once
def _reported(trace: Trace) -> list[tuple[Message, Deal, SettlementReport]]:
    """Give the billing reports: the settlements that have an id."""
    return [
        (message, deal, report)
        for message, deal in deals_told(trace)
        if (report := deal.settlement) and report.report_id
    ]


@rule("STL-001", "MUST", source=f"{BLOCK}; reference_impl/README.md, Contracts", when_stated=True)
def report_states_what_it_rests_on(trace: Trace) -> Iterator[Outcome]:
    """A billing report states every quantity that its formulas use, as its message gives it."""
    for message, deal, report in _reported(trace):
        try:
            right = accounts.inputs(deal)
        except DealError as error:
            yield _unknown(message, error, report.pointer("inputs"))
            continue
        named = {term.name: (term.value, term.unit) for term in report.inputs}
        stated = {path: _by_ending(named, path) for path in right}
        wrong = [path for path, one in right.items() if not _alike(stated[path], one)]
        path = wrong[0] if wrong else ""
        yield outcome(
            not wrong,
            by=message.sender,
            message=message,
            observed=f"{path}: {_amount(stated.get(path))}",
            expected=f"{path}: {_amount(right.get(path))}",
            pointer=report.pointer("inputs"),
        )


def _alike(stated: tuple[Decimal, str | None] | None, right: accounts.Input) -> bool:
    """Tell whether a quantity is the right one; its unit may be left to its name."""
    if stated is None or abs(Fraction(stated[0]) - Fraction(right.value)) > accounts.FINEST:
        return False
    return stated[1] is None or accounts.same_unit(stated[1], right.unit)


def _by_ending(
    named: Mapping[str, tuple[Decimal, str | None]], path: str
) -> tuple[Decimal, str | None] | None:
    """Find a quantity by its path, or by an ending of it as formulas may call it."""
    parts = path.split(".")
    endings = (".".join(parts[start:]) for start in range(len(parts)))
    return next((named[ending] for ending in endings if ending in named), None)


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
    """The value of a signal that a party was told is passed on as it was told.

    Where several told it, as one of them did last. A name is that of the contract alone.
    """
    given: dict[tuple[str | None, str | None, str, datetime], dict[str | None, Value]] = {}
    for message, deal in deals_told(trace):
        for signal in signals_in(deal):
            begins = signal.begins
            if signal.kind == STATE or begins is None or signal.value is None:
                continue
            value = signal.value, signal.unit
            heard = given.get((message.sender, deal.contract_id, signal.name, begins))
            if heard is not None:
                yield outcome(
                    value in heard.values(),
                    by=message.sender,
                    message=message,
                    observed=f"{signal.name}: {_amount(value)}",
                    expected=f"{_amount(next(iter(heard.values())))}, as it was told",
                    pointer=signal.pointer,
                )
            key = message.receiver, deal.contract_id, signal.name, begins
            given.setdefault(key, {})[message.sender] = value


@rule("STL-003", "MUST", source=f"{SIGNALS}; {BLOCK}", when_stated=True)
def signals_are_of_what_is_settled(trace: Trace) -> Iterator[Outcome]:
    """A signal that a bill counts with is in force when what it bills begins."""
    for message, deal in deals_told(trace):
        period = period_of(deal)
        if deal.settlement is None or period is None:
            continue
        counts = _named(deal)
        for name, (first, course) in courses(signals_in(deal)).items():
            if first.kind == STATE or name not in counts:
                continue
            yield outcome(
                course.at(period.start) is not None,
                by=message.sender,
                message=message,
                observed=f"{name} from {first.instant}",
                expected=f"a value in force from {period.start.isoformat()}",
                pointer=first.pointer,
            )


def _named(deal: Deal) -> set[str]:
    """Give what the formulas and the sources of a deal name."""
    formulas = [due.formula for due in deal.dues]
    formulas += [f for promise in deal.promises for f in (promise.formula, promise.due.formula)]
    named = {word for formula in formulas for word in _WORD.findall(formula)}
    return named | {source.signal for source in deal.sources if source.signal is not None}


_WORD = re.compile(r"\w+(?:-\w+)*")


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
    for message, deal in deals_told(trace):
        ends = [after for _, after in _totals(deal)]
        if not ends:
            continue
        try:
            right = accounts.totals_after(deal)
        except DealError as error:
            yield _unknown(message, error, ends[0].pointer)
            continue
        for after in ends:
            yield outcome(
                after.value == right.get(after.name),
                by=message.sender,
                message=message,
                observed=f"{after.name}: {after.value} {after.unit or ''}".rstrip(),
                expected=f"{right.get(after.name, 'a formula that says what it becomes')}",
                pointer=after.pointer,
            )


@rule("STL-005", "MUST", source=f"{SIGNALS}; {BLOCK}", when_stated=True)
def totals_go_on_where_they_were(trace: Trace) -> Iterator[Outcome]:
    """A running total begins with what it was when the delivery before ended."""
    known: dict[tuple[str | None, str | None, str], Signal] = {}
    for message, deal in deals_told(trace):
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
            right = accounts.difference(old, report) if old else ()
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
            if start is None and end is None:
                continue  # nobody can tell what it is of
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

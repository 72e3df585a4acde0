"""DFX: less load, as a utility buys it of an aggregator: meters, baselines, what is settled.

Belongs here: what the deal of one buyer and one seller says of meters and capacity. Does not
belong here: a market that clears (flexibility), the formula itself (interval_tables, billing).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness import loads
from gridwitness.loads import BASELINE, USAGE
from gridwitness.reference_impl.baseline import BaselineError
from gridwitness.rules import outcome, rule
from gridwitness.story import deals_told
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Deal, MeterReading

DEG = "beckn/DEG"
PERFORMANCE = f"{DEG}, DemandFlexPerformance v2.0"
POLICY = f"{DEG}, devkits demand-flex, contract policies demand_flex and demand_flex_pac"
NEED = f"{DEG}, DemandFlexBuyOffer v2.0"
HALF_A_WATT = Fraction(1, 2000)
"""A baseline is a mean of days: it is stated to the W."""

COLUMNS = ("posted price", "shortfall penalty", "offered price", "offered capacity")
"""What of a need and of an offer is agreed once it is confirmed."""


@once
def _measured(trace: Trace) -> list[tuple[Message, Deal]]:
    """Give what was said of loads below a baseline, as it is settled by."""
    return [(message, deal) for message, deal in deals_told(trace) if loads.is_to_settle_by(deal)]


@rule("DFX-001", "MUST", source=f"{PERFORMANCE}, methodology", when_stated=True)
def baseline_follows_from_the_days_before(trace: Trace) -> Iterator[Outcome]:
    """The baseline of a meter is what its methodology makes of the days that are stated, to a W."""
    for message, deal in _measured(trace):
        history, methodology = loads.history_in(deal), loads.methodology_in(deal)
        if not history:
            continue
        by_meter: dict[str, list[MeterReading]] = {}
        for reading in history:
            by_meter.setdefault(reading.meter_id, []).append(reading)
        for load in loads.loads_in(deal):
            if not load.is_told(BASELINE):
                continue
            stated = load.table.values(BASELINE)
            try:
                own = tuple(by_meter.get(load.meter_id, ()))
                right = loads.baseline_kw(methodology, own, load)
            except BaselineError as error:
                right, why = (), str(error)
            else:
                why = f"{', '.join(f'{float(kw):g}' for kw in right[:9])} kW by {methodology}"
            yield outcome(
                len(right) == len(stated)
                and all(
                    abs(Fraction(told or 0) - kw) <= HALF_A_WATT
                    for told, kw in zip(stated, right, strict=True)
                ),
                by=message.sender,
                message=message,
                observed=f"{', '.join(map(str, stated[:9]))} kW of meter {load.meter_id}",
                expected=why,
                pointer=load.pointer,
            )


@rule("DFX-002", "MUST", source=f"{POLICY}: S1, S2; BecknPageInfo: isLast", when_stated=True)
def nothing_is_paid_before_all_is_measured(trace: Trace) -> Iterator[Outcome]:
    """A reduction is settled when every meter that takes part was read, on the last page."""
    reduced = {
        deal.contract_id
        for _, deal in deals_told(trace)
        if any(s.kind == "METER_READING" and s.meter_id is None for s in deal.sources)
    }
    for message, deal in deals_told(trace):
        if deal.settlement is None or deal.contract_id not in reduced:
            continue
        grade = loads.is_to_settle_by(deal)
        told = {load.meter_id: load for load in loads.loads_in(deal)} if grade else {}
        wanted = loads.taking_part(deal)
        unread = [
            meter
            for meter in (tuple(told) if wanted is None else wanted)
            if meter not in told
            or not (told[meter].is_told(BASELINE) and told[meter].is_told(USAGE))
            or len(told[meter].table.rows) < len(deal.table.rows if deal.table else ())
        ]
        yield outcome(
            bool(told) and not unread and loads.is_complete(deal),
            by=message.sender,
            message=message,
            observed=f"a settlement without all of meter {unread[0]}"
            if unread
            else "a settlement "
            + ("on a page that others follow" if told else "without baseline and usage"),
            expected="baseline and usage of every meter that takes part, in every interval",
            pointer=deal.settlement.pointer(),
        )


@rule("DFX-003", "MUST", source=f"{NEED}, participatingMeters: opt-in", when_stated=True)
def who_takes_part_changes_by_an_update(trace: Trace) -> Iterator[Outcome]:
    """The meters that take part, once agreed, change by an update that is answered."""
    agreed: dict[str | None, frozenset[str]] = {}
    for message, deal in deals_told(trace):
        named = loads.taking_part(deal)
        if named is None or message.action == "update":
            continue
        now, before = frozenset(named), agreed.get(deal.contract_id)
        if message.action in ("on_confirm", "on_update"):
            agreed[deal.contract_id] = now
        elif before is not None:
            more, fewer = sorted(now - before), sorted(before - now)
            yield outcome(
                now == before,
                by=message.sender,
                message=message,
                observed=", ".join(
                    [f"meter {m} more" for m in more] + [f"{m} less" for m in fewer]
                ),
                expected=f"the meters that were agreed: {', '.join(sorted(before)[:9])}",
                pointer=deal.pointer(),
            )


@rule("DFX-004", "MUST", source=f"{PERFORMANCE}: meters; {NEED}", when_stated=True)
def only_who_takes_part_is_measured(trace: Trace) -> Iterator[Outcome]:
    """What is settled by is told of the meters that take part, and of no others."""
    for message, deal in _measured(trace):
        wanted = loads.taking_part(deal)
        if wanted is None:
            continue
        known = frozenset(wanted)
        strange = [one for one in loads.loads_in(deal) if one.meter_id not in known]
        yield outcome(
            not strange,
            by=message.sender,
            message=message,
            observed=", ".join(f"meter {one.meter_id}" for one in strange[:9]),
            expected=f"one of {', '.join(wanted[:9]) or 'none'}",
            pointer=strange[0].pointer if strange else "",
        )


@rule("DFX-005", "MUST", source=f"{DEG}, BecknTimeSeries v1.0 (insertedBy)", when_stated=True)
def what_was_offered_stays(trace: Trace) -> Iterator[Outcome]:
    """Prices, penalties and offered capacity stay as they were confirmed, interval by interval."""
    agreed: dict[str | None, dict[str, tuple[tuple[Decimal, ...], ...]]] = {}
    for message, deal in deals_told(trace):
        if deal.table is None:
            continue
        told = {
            name: tuple(row.get(name, ()) for row in deal.table.rows)
            for name in COLUMNS
            if any(name in row for row in deal.table.rows)
        }
        first = agreed.get(deal.contract_id)
        if message.action == "confirm":
            agreed.setdefault(deal.contract_id, told)
            continue
        both = [name for name in told if first and name in first]
        wrong = [name for name in both if first and told[name] != first[name]]
        if first and both:
            name = wrong[0] if wrong else both[0]
            yield outcome(
                not wrong,
                by=message.sender,
                message=message,
                observed=f"{name} {_steps(told[name])}",
                expected=f"{name} {_steps(first[name])}, as confirmed",
                pointer=deal.table.pointer("rows"),
            )


def _steps(rows: tuple[tuple[Decimal, ...], ...]) -> str:
    return "; ".join(", ".join(map(str, row[:9])) for row in rows[:9])


@rule("DFX-006", "MUST", source=f"{PERFORMANCE}: BASELINE before the event", when_stated=True)
def baseline_stays_as_it_was_told(trace: Trace) -> Iterator[Outcome]:
    """A baseline and a usage that were told are settled by as they were told first."""
    first: dict[tuple[str | None, str, str], tuple[Decimal | None, ...]] = {}
    for message, deal in _measured(trace):
        for load in loads.loads_in(deal):
            for column in (BASELINE, USAGE):
                if not load.is_told(column):
                    continue
                key = deal.contract_id, load.meter_id, column
                now, before = load.table.values(column), first.get(key)
                first.setdefault(key, now)
                if before is not None:
                    yield outcome(
                        now == before,
                        by=message.sender,
                        message=message,
                        observed=f"{column.lower()} {', '.join(map(str, now[:9]))} kW"
                        f" of meter {load.meter_id}",
                        expected=f"{', '.join(map(str, before[:9]))} kW, as told before",
                        pointer=load.pointer,
                    )


@rule("DFX-007", "SHOULD", source=f"{NEED}; {POLICY}: CAPACITY_REQUESTED", when_stated=True)
def no_more_is_cleared_than_wanted(trace: Trace) -> Iterator[Outcome]:
    """No more capacity is cleared in an interval than the need of it states."""
    for message, deal in deals_told(trace):
        if deal.table is None:
            continue
        pairs = zip(
            deal.table.values("cleared capacity"),
            deal.table.values("wanted capacity"),
            strict=True,
        )
        for place, (cleared, wanted) in enumerate(pairs):
            if cleared is not None and wanted is not None:
                yield outcome(
                    cleared <= wanted,
                    by=message.sender,
                    message=message,
                    observed=f"{cleared} kW in interval {place}",
                    expected=f"at most {wanted} kW, as is wanted",
                    pointer=deal.table.pointer("rows"),
                )

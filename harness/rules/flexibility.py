"""FLX: less load, as a grid operator buys it: what is sought, bought, measured and paid.

Where nobody states an objective to reduce load there is nothing to judge. That the result is
an equilibrium with the grid operator as a buyer is MKT's, the amounts are SET's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dialects.flexibility import baseline_in, objective_in
from gridwitness.reduction import baseline_kwh, baseline_of, counted_kwh, in_utc
from gridwitness.reference_impl.baseline import BaselineError
from gridwitness.reference_impl.clearing import Bid
from gridwitness.reference_impl.curves import OfferError
from gridwitness.rules import outcome, rule
from gridwitness.story import AGENT, PARTICIPANT, UTILITY, accepted, story
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.reference_impl.curves import Curve
    from gridwitness.rules import Outcome
    from gridwitness.story import Chapter, Said
    from gridwitness.trace import Trace
    from gridwitness.views import EnergyContract, Interval, MeterReading, Objective

OBJECTIVES = "beckn/DEG, building blocks, EnergyCoordination v1, EnergyObjectives"
POLICY = "beckn/DEG, devkits demand-flex, contract policy demand_flex_pac"
BASELINES = "reference_impl/README.md, Baselines; beckn/DEG, DemandFlexPerformance v2.0"
HALF_A_WH = Fraction(1, 2000)
"""A baseline is a mean of days: it is stated to the Wh, as meters count."""


@once
def _sought(trace: Trace) -> list[tuple[Chapter, Said, Objective]]:
    """Find who buys less load, and the last accepted word of what is sought."""
    found: list[tuple[Chapter, Said, Objective]] = []
    for chapter in story(trace).values():
        stated = [
            (said, objective)
            for said in chapter.offered
            if (objective := objective_in(said.contract.blocks)) is not None
        ]
        if stated and not chapter.is_metered:
            found.append((chapter, *stated[-1]))
    return found


@rule("FLX-001", "MUST", source=f"{OBJECTIVES}; DemandFlexNeed", judges=(AGENT,), when_stated=True)
def offer_shows_what_is_sought(trace: Trace) -> Iterator[Outcome]:
    """An offer shows the objective that the grid operator has stated for its interval."""
    for _, stated, objective in _sought(trace):
        interval = _when(stated.contract.interval)
        for message in trace.of("on_discover"):
            offers = [o for o in message.reading.offers if _when(o.interval) == interval]
            later = message.number > stated.message.number
            if not offers or not later or trace.role(message.receiver) != PARTICIPANT:
                continue
            shown = [objective_in(offer.blocks) for offer in offers]
            yield outcome(
                _plain(objective) in map(_plain, shown),
                by=message.sender,
                message=message,
                observed=" and ".join(_objective(one) for one in shown),
                expected=_objective(objective),
                pointer=offers[0].pointer(),
            )


def _when(interval: Interval | None) -> tuple[object, object] | None:
    """Give an interval such that equal ones are equal however they were written."""
    return interval and (in_utc(interval.start) or interval.start, interval.duration_h)


def _plain(objective: Objective | None) -> object:
    if objective is None:
        return None
    return (replace(objective, interval=None), _when(objective.interval))


def _objective(objective: Objective | None) -> str:
    if objective is None:
        return "no objective"
    price, currency = objective.max_price_per_kwh, objective.currency or ""
    return f"{objective.target_kw} kW less at no more than {price} {currency} per kWh".replace(
        "  ", " "
    )


@rule("FLX-002", "MUST", source=OBJECTIVES, judges=(UTILITY,), when_stated=True)
def bid_is_the_objective(trace: Trace) -> Iterator[Outcome]:
    """A grid operator bids for the whole target up to its highest price, and for nothing above."""
    for _, stated, objective in _sought(trace):
        if (curve := _curve(stated.contract)) is None:
            continue  # MKT-001 tells of a curve that is none
        limit, target = Fraction(objective.max_price_per_kwh), -Fraction(objective.target_kw)
        prices = {Fraction(point.price_per_kwh) for point in curve.points} | {limit}
        around = {min(prices) - 1, max(prices) + 1, *prices} - {limit}
        wrong = [
            price
            for price in sorted(around)
            if tuple(curve.powers_at(price)) != ((target,) * 2 if price < limit else (0, 0))
        ]
        at_limit = tuple(curve.powers_at(limit)) == (target, 0)
        yield outcome(
            at_limit and not wrong,
            by=stated.message.sender,
            message=stated.message,
            observed=f"another power at {float((*wrong, limit)[0]):g} per kWh",
            expected=_objective(objective),
            pointer=stated.contract.curve.pointer() if stated.contract.curve else "",
        )


def _curve(contract: EnergyContract) -> Curve | None:
    try:
        return contract.curve.curve() if contract.curve else None
    except OfferError:
        return None


@rule("FLX-003", "MUST", source=f"{OBJECTIVES}; {POLICY}", judges=(AGENT,), when_stated=True)
def what_is_sought_is_bought(trace: Trace) -> Iterator[Outcome]:
    """The market buys the target, or all that is offered at the highest price, at no more than it.

    What is offered is what the others who were told a result offer within their approval.
    """
    tick, step = Fraction(trace.scene.price_tick), Fraction(trace.scene.power_step)
    for chapter, _, objective in _sought(trace):
        bound = [said for said in chapter.bound if said.contract.clearing]
        if not bound or (said := bound[-1]).contract.clearing is None:
            continue
        others = _bids(trace, chapter)
        limit, target = Fraction(objective.max_price_per_kwh), Fraction(objective.target_kw)
        slack = step * (len(others) + 1)
        least, most = (
            min(target, max(Fraction(), sum((end(bid, price) for bid in others), Fraction())))
            for end, price in ((_low, limit - tick / 2), (_high, limit + tick / 2))
        )
        result = said.contract.clearing
        bought = -Fraction(result.cleared_power_kw)
        price = result.clearing_price_per_kwh
        dear = bought > 0 and price is not None and price > limit + tick / 2
        yield outcome(
            least - slack <= bought <= most + slack and not dear,
            by=said.message.sender,
            message=said.message,
            observed=f"{-result.cleared_power_kw} kW bought at {price} per kWh",
            expected=f"{float(most):g} kW at no more than {objective.max_price_per_kwh} per kWh",
            pointer=result.pointer("cleared_power_kw"),
        )


def _bids(trace: Trace, buyer: Chapter) -> list[Bid]:
    """Collect what the others who were told a result offer."""
    bids: list[Bid] = []
    for chapter in story(trace).values():
        curve = _curve(chapter.offered[-1].contract) if chapter.offered else None
        if chapter is buyer or curve is None or not chapter.bound:
            continue
        granted = [said.contract.approval for said in chapter.approved if said.contract.approval]
        limit_kw = granted[-1].approved_max_trade_kw if granted else None
        if chapter.bound[-1].contract.clearing is not None and (limit_kw or 0) >= 0:
            bids.append(Bid(chapter.name, curve, limit_kw))
    return bids


def _low(bid: Bid, price: Fraction) -> Fraction:
    return Fraction(bid.powers_at(price)[0])


def _high(bid: Bid, price: Fraction) -> Fraction:
    return Fraction(bid.powers_at(price)[1])


@rule("FLX-004", "MUST", source=BASELINES, judges=(UTILITY,), when_stated=True)
def baseline_is_that_of_the_method(trace: Trace) -> Iterator[Outcome]:
    """A baseline is what the declared method makes of the days that are stated with it."""
    for objective in (objective for _, _, objective in _sought(trace)):
        for chapter in story(trace).values():
            for said in chapter.metered:
                interval = chapter.offered[-1].contract.interval if chapter.offered else None
                stated = baseline_in(said.contract.blocks)
                if interval is None or not stated:
                    continue
                usual = baseline_of(stated, interval)
                try:
                    right = baseline_kwh(objective.methodology, stated, interval)
                except BaselineError as problem:
                    expected, kept = f"days from which it follows ({problem})", False
                else:
                    expected = f"{float(right):g} kWh, by {objective.methodology}"
                    off = Fraction(usual.energy_kwh) - right if usual else None
                    kept = off is not None and abs(off) <= HALF_A_WH
                yield outcome(
                    kept,
                    by=said.message.sender,
                    message=said.message,
                    observed=f"{usual.energy_kwh} kWh" if usual else "none for the interval",
                    expected=expected,
                    pointer=(usual or stated[0]).pointer(),
                )


@rule("FLX-005", "MUST", source=f"{POLICY}: BASELINE and USAGE", judges=(AGENT,), when_stated=True)
def settlement_rests_on_the_baseline(trace: Trace) -> Iterator[Outcome]:
    """The settlement of a reduction states the baseline that the grid operator gave."""
    for chapter in story(trace).values():
        given = _told(chapter.metered[-1].contract) if chapter.metered else ()
        for said in chapter.settled[-1:] if given else ():
            stated = _told(said.contract)
            yield outcome(
                _same_baseline(stated) == _same_baseline(given),
                by=said.message.sender,
                message=said.message,
                observed=_baseline(stated),
                expected=f"{_baseline(given)}, as the grid operator gave it",
                pointer=said.contract.pointer(),
            )


def _told(contract: EnergyContract) -> tuple[MeterReading, ...]:
    return baseline_in(contract.blocks)


def _same_baseline(stated: tuple[MeterReading, ...]) -> Counter[tuple[object, ...]]:
    """Give a baseline such that equal ones are equal, in any order and any zone."""
    return Counter(
        (one.meter_id, one.energy_kwh, *(in_utc(at) or at for at in (one.start, one.end)))
        for one in stated
    )


def _baseline(stated: tuple[MeterReading, ...]) -> str:
    return f"{', '.join(str(one.energy_kwh) for one in stated)} kWh" if stated else "no baseline"


@rule(
    "FLX-006",
    "MUST",
    source=f"{POLICY}: delivered up to cleared; {BASELINES}",
    judges=(AGENT,),
    when_stated=True,
)
def billed_is_what_was_delivered(trace: Trace) -> Iterator[Outcome]:
    """What is billed of a reduction is baseline less reading, at most what was cleared.

    Where it is settled by what was delivered.
    """
    for chapter in story(trace).values():
        given = chapter.metered[-1].contract if chapter.metered else None
        cleared = [said.contract.clearing for said in chapter.bound if said.contract.clearing]
        interval = chapter.offered[-1].contract.interval if chapter.offered else None
        if given is None or not cleared or interval is None or not _told(given):
            continue
        delivered, charges = counted_kwh(given), _charges(chapter)
        if delivered is None or charges != "ACTUALS_CAPPED" or cleared[0].cleared_power_kw < 0:
            continue
        most = Fraction(cleared[0].cleared_power_kw) * interval.duration_h
        right = min(Fraction(delivered), most)
        for said in chapter.settled[-1:]:
            billed = said.contract.bill.energy_kwh if said.contract.bill else None
            if billed is None:
                continue
            yield outcome(
                abs(Fraction(billed) - right) <= HALF_A_WH,
                by=said.message.sender,
                message=said.message,
                observed=f"{billed} kWh",
                expected=f"{float(right):g} kWh",
                pointer=said.contract.bill.pointer() if said.contract.bill else "",
            )


def _charges(chapter: Chapter) -> str | None:
    """Tell by which mode a participant is settled, as it was agreed."""
    agreed = [said.contract.charges for said in chapter.agreed if said.contract.charges]
    return agreed[-1].mode if agreed else None


@rule(
    "FLX-007", "MUST", source=f"{POLICY}: only who was cleared", judges=(AGENT,), when_stated=True
)
def who_opted_out_is_left_alone(trace: Trace) -> Iterator[Outcome]:
    """Who withdrew before the market cleared, or never confirmed, is neither paid nor charged."""
    if not _sought(trace):
        return
    out = {trace.scene.ids.get(name): name for name in _opted_out(trace)}
    reports = [said for chapter in story(trace).values() for said in chapter.settled[-1:]]
    for said in reports if out else ():
        report = said.contract.settlement
        if report is None:
            continue
        moved = [
            flow for flow in report.flows if flow.amount and {flow.payer, flow.payee} & out.keys()
        ]
        parties = {
            party: name
            for flow in moved
            for party in (flow.payer, flow.payee)
            if (name := out.get(party))
        }
        yield outcome(
            not moved,
            by=said.message.sender,
            message=said.message,
            observed=", ".join(f"{flow.kind} {flow.amount}" for flow in moved),
            expected=f"no payment of {', '.join(parties.values())}, who opted out",
            pointer=moved[0].pointer() if moved else "",
        )


def _opted_out(trace: Trace) -> list[str]:
    """Name those who offered and did not stay: cancelled in time, or never confirmed."""
    confirmed = {m.sender for m in trace.of("confirm") if accepted(m)}
    left = {
        message.receiver
        for message in trace.of("on_cancel")
        if message.reading.contract and message.reading.contract.status == "TERMINATED"
    }
    return [
        chapter.name
        for chapter in story(trace).values()
        if chapter.is_metered
        and chapter.offered
        and (chapter.name in left or chapter.name not in confirmed)
    ]


@rule(
    "FLX-008",
    "MUST",
    source=f"{POLICY}: settled once BASELINE and USAGE are there",
    judges=(AGENT,),
    when_stated=True,
)
def nothing_is_paid_unmeasured(trace: Trace) -> Iterator[Outcome]:
    """Nothing is billed or paid for a reduction before it was measured.

    It is measured when the grid operator has given reading and baseline.
    """
    if not _sought(trace):
        return
    for chapter in story(trace).values():
        if not chapter.is_metered:
            continue
        measured = [
            said.message.number
            for said in chapter.metered
            if said.contract.readings and _told(said.contract)
        ]
        for said in (*chapter.agreed, *chapter.bound, *chapter.news, *chapter.settled):
            report, bill = said.contract.settlement, said.contract.bill
            due = bill is not None and bill.is_due
            if report is None and not due:
                continue
            yield outcome(
                any(number < said.message.number for number in measured),
                by=said.message.sender,
                message=said.message,
                observed=f"{said.message.action} with its money",
                expected="no money before the reading and the baseline",
                pointer=said.contract.pointer(),
            )

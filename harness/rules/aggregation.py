"""AGG: curves that are sent up, and prices and powers that come back down.

Belongs here: what an aggregator sends up against what stands below it, and a result against
the curves that it answers. Does not belong here: what an aggregator tells its participants
(MKT, GRD, which judge its market with what it exchanges above).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.reference_impl.clearing import ROOT, Bid, Quantum
from gridwitness.reference_impl.curves import OfferError, Powers, aggregate
from gridwitness.reference_impl.equilibrium import Claim, Local, Tolerance, of_one
from gridwitness.reference_impl.grid import supply
from gridwitness.rules import outcome, rule
from gridwitness.story import AGENTS, AGGREGATOR, accepted, story
from gridwitness.told_market import adder, bid_of, grid_of, last_result, node_states, told_markets
from gridwitness.trace import first_told, once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridwitness.reference_impl.curves import Curve
    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import AggregationRequest, AggregationResult

SUMS = "reference_impl/README.md, Aggregation"
CLEARING = "reference_impl/README.md, Clearing"
DRAFT = "beckn/DEG, building blocks, EnergyCoordination v1"


@dataclass(frozen=True)
class Answered:
    """A request that was accepted, and the result that came back."""

    asked: Message
    request: AggregationRequest
    told: Message
    result: AggregationResult


@once
def _answered(trace: Trace) -> dict[str, list[Answered]]:
    """Collect the requests that were answered by a result, by the agent that answered."""
    found: dict[str, list[Answered]] = {}
    for message in first_told(trace):
        if message.action != "aggregate":
            continue
        request, agent = message.reading.request, message.receiver
        if request is None or agent is None or not accepted(message):
            continue
        for told in trace.callbacks_of(message)[:1]:
            if told.reading.result is not None:
                one = Answered(message, request, told, told.reading.result)
                found.setdefault(agent, []).append(one)
    return found


@rule("AGG-001", "MUST", source=SUMS, judges=(AGGREGATOR,), when_stated=True)
def curve_is_the_sum_of_those_below(trace: Trace) -> Iterator[Outcome]:
    """What an aggregator sends up is the sum of the curves below, as its nodes let it through."""
    sent = [one for answers in _answered(trace).values() for one in answers]
    for one in sent:
        sender = one.asked.sender or ""
        right, claimed = _below(trace, sender, one.asked.number), _sum(one.request)
        if trace.role(sender) != AGGREGATOR or right is None or claimed is None:
            continue
        price = _differs(trace, claimed, right)
        at = Fraction(0) if price is None else price
        yield outcome(
            price is None,
            by=sender,
            message=one.asked,
            observed=f"{_told(claimed.powers_at(at))} at {float(at):g} per kWh",
            expected=f"{_told(right.powers_at(at))}, the sum of what is below",
            pointer=one.request.pointer(),
        )


def _told(powers: Powers) -> str:
    low, high = powers
    return f"{float(low):g} kW" if low == high else f"{float(low):g} to {float(high):g} kW"


def _below(trace: Trace, agent: str, before: int) -> Curve | None:
    """Give what had confirmed below an aggregator before a message; None where that is nothing."""
    grid = grid_of(node_states(trace, agent))
    confirmed = {
        message.sender
        for message in trace.of("confirm")
        if message.receiver == agent and accepted(message) and message.number < before
    }
    chapters = [chapter for name, chapter in story(trace).items() if name in confirmed]
    bids = [bid for chapter in chapters if (bid := bid_of(chapter, grid)) is not None]
    # Who sends a curve up to an agent with a node stands at that node, which is but one.
    node = next(iter(grid.nodes), ROOT) if len(grid.nodes) == 1 else ROOT
    bids += [
        Bid(member.member_id, curve, None, node)
        for one in _answered(trace).get(agent, [])
        for member in one.request.members
        if (curve := _curve(member.curve.curve)) is not None
    ]
    names = {bid.participant for bid in bids}
    if not bids or len(names) < len(bids) or len({bid.curve.currency for bid in bids}) > 1:
        return None
    try:
        return supply(bids, grid)
    except OfferError:
        return None


def _curve(made: Callable[[], Curve]) -> Curve | None:
    try:
        return made()
    except OfferError:
        return None


def _sum(request: AggregationRequest) -> Curve | None:
    curves = [_curve(member.curve.curve) for member in request.members]
    valid = [curve for curve in curves if curve is not None]
    if not valid or len(valid) < len(curves) or len({curve.currency for curve in valid}) > 1:
        return None
    return aggregate(valid)


def _differs(trace: Trace, claimed: Curve, right: Curve) -> Fraction | None:
    """Give a price at which two curves offer something else, beyond what rounding explains."""
    half_tick = Fraction(trace.scene.price_tick) / 2
    step = Fraction(trace.scene.power_step)
    for one, other in ((claimed, right), (right, claimed)):
        for point in one.points:
            price = Fraction(point.price_per_kwh)
            low = other.powers_at(price - half_tick).low_kw - step
            high = other.powers_at(price + half_tick).high_kw + step
            if not low <= Fraction(point.power_kw) <= high:
                return price
    return None


@rule("AGG-002", "MUST", source=f"{DRAFT}, AggregationResult", judges=AGENTS, when_stated=True)
def result_answers_the_curves(trace: Trace) -> Iterator[Outcome]:
    """A result has a price and one power for each of the curves that it answers, and no other."""
    for answers in _answered(trace).values():
        for one in answers:
            asked = sorted(member.member_id for member in one.request.members)
            told = sorted(setpoint.member_id for setpoint in one.result.setpoints)
            priced = one.result.clearing_price_per_kwh is not None
            yield outcome(
                asked == told and priced,
                by=one.told.sender,
                message=one.told,
                observed=f"powers for {', '.join(told) or 'nobody'}"
                + ("" if priced else ", no price"),
                expected=f"a price, and one power for {', '.join(asked)}",
                pointer=one.result.pointer(),
            )


@rule("AGG-003", "MUST", source=f"{CLEARING}, C2; {SUMS}", judges=AGENTS, when_stated=True)
def powers_sum_to_what_is_above(trace: Trace) -> Iterator[Outcome]:
    """The powers that an agent sends down sum to what came from above, or to zero at the top."""
    for agent, answers in _answered(trace).items():
        own = _own_power(trace, agent)
        if own is None:
            continue
        powers = [Fraction(s.power_kw) for one in answers for s in one.result.setpoints]
        for market in told_markets(trace):
            if market.agent == agent:
                results = [said.contract.clearing for said in market.bound.values()]
                powers += [Fraction(r.cleared_power_kw) for r in results if r is not None]
        total, last = sum(powers, Fraction()), answers[-1]
        yield outcome(
            abs(total - own) <= Fraction(trace.scene.power_step) / 2,
            by=last.told.sender,
            message=last.told,
            observed=f"{float(total):g} kW together",
            expected=f"{float(own):g} kW",
            pointer=last.result.pointer(),
        )


def _own_power(trace: Trace, agent: str) -> Fraction | None:
    """Give what all below an agent are to sum to; None where it was told nothing from above."""
    if trace.role(agent) != AGGREGATOR:
        return Fraction()
    result, own_id = last_result(trace, agent), trace.scene.ids.get(agent)
    mine = [s.power_kw for s in result.setpoints if s.member_id == own_id] if result else []
    return Fraction(mine[0]) if mine else None


@rule("AGG-004", "MUST", source=f"{CLEARING}, C1, and Tolerance", judges=AGENTS, when_stated=True)
def power_is_on_the_curve_sent_up(trace: Trace) -> Iterator[Outcome]:
    """A power that comes down is one that the curve sent up offers at the price beside it."""
    tolerance = Tolerance.of(
        Quantum(Decimal(trace.scene.price_tick), Decimal(trace.scene.power_step))
    )
    for answers in _answered(trace).values():
        for one in answers:
            price, curves = _price_here(one.result), {m.member_id: m for m in one.request.members}
            for setpoint in one.result.setpoints:
                member = curves.get(setpoint.member_id)
                curve = _curve(member.curve.curve) if member else None
                if curve is None or price is None:
                    continue
                bid = Bid(setpoint.member_id, curve)
                local = Local(Fraction(price), 2 * tolerance.price_per_kwh)
                claim = Claim("CLEARED", price, {setpoint.member_id: setpoint.power_kw})
                found = next(of_one(bid, local, claim, tolerance), None)
                yield outcome(
                    found is None,
                    by=one.told.sender,
                    message=one.told,
                    observed=found.message if found else "",
                    expected="a power on the curve that was sent up",
                    pointer=setpoint.pointer("power_kw"),
                )


def _price_here(result: AggregationResult) -> Decimal | None:
    local = result.local_price_per_kwh
    return result.clearing_price_per_kwh if local is None else local


@rule(
    "AGG-005",
    "MUST",
    source=f"{CLEARING}: one price for everyone",
    judges=(AGGREGATOR,),
    when_stated=True,
)
def price_of_the_market_is_passed_on(trace: Trace) -> Iterator[Outcome]:
    """An aggregator tells those below it the clearing price that it was told from above."""
    for agent in trace.actors(AGGREGATOR):
        result = last_result(trace, agent)
        if result is None:
            continue
        right = result.clearing_price_per_kwh
        name = "clearing_price_per_kwh"
        told = [
            (one.told, one.result.clearing_price_per_kwh, one.result.pointer(name))
            for one in _answered(trace).get(agent, [])
        ]
        told += [
            (said.message, clearing.clearing_price_per_kwh, clearing.pointer(name))
            for market in told_markets(trace)
            if market.agent == agent
            for said in market.bound.values()
            if (clearing := said.contract.clearing) is not None
        ]
        for message, price, pointer in told:
            yield outcome(
                price == right,
                by=agent,
                message=message,
                observed=f"{price} per kWh",
                expected=f"{right} per kWh, as it was told",
                pointer=pointer,
            )


@rule(
    "AGG-006",
    "MUST",
    source="reference_impl/README.md, Grid, C6",
    judges=(AGGREGATOR,),
    when_stated=True,
)
def price_here_is_the_price_above(trace: Trace) -> Iterator[Outcome]:
    """Where no limit of its own binds, an aggregator sends down the price that came from above.

    What its node publishes is added. Its participants' local prices are GRD-003's, where
    they stand at nodes.
    """
    half_tick = Fraction(trace.scene.price_tick) / 2
    for agent in trace.actors(AGGREGATOR):
        result, own = last_result(trace, agent), _own_power(trace, agent)
        price_above = _price_here(result) if result else None
        if own is None or price_above is None or _binds(trace, agent, own):
            continue
        states = node_states(trace, agent)
        published = sum((adder(state) for state in states.values()), Decimal(0))
        right = price_above + (published if len(states) == 1 else 0)
        for message, price, pointer in _prices_below(trace, agent):
            yield outcome(
                abs(Fraction(price) - Fraction(right)) <= half_tick,
                by=agent,
                message=message,
                observed=f"{price} per kWh here",
                expected=f"{right} per kWh, as above: no limit binds",
                pointer=pointer,
            )


def _prices_below(trace: Trace, agent: str) -> Iterator[tuple[Message, Decimal, str]]:
    for one in _answered(trace).get(agent, []):
        price = _price_here(one.result)
        if price is not None:
            yield one.told, price, one.result.pointer("local_price_per_kwh")
    for market in told_markets(trace):
        for bid in market.bids if market.agent == agent and not market.grid.nodes else ():
            said = market.bound.get(bid.participant)
            clearing = said.contract.clearing if said else None
            price = clearing.own_price_per_kwh if clearing else None
            if said is not None and clearing is not None and price is not None:
                yield said.message, price, clearing.pointer("local_price_per_kwh")


def _binds(trace: Trace, agent: str, power_kw: Fraction) -> bool:
    """Tell whether a limit of a node that an aggregator asked lets just this power through."""
    step = Fraction(trace.scene.power_step)
    limits = [
        limit_kw
        for state in node_states(trace, agent).values()
        for limit_kw in (
            None if state.max_forward_kw is None else -Fraction(state.max_forward_kw),
            None if state.max_reverse_kw is None else Fraction(state.max_reverse_kw),
        )
        if limit_kw is not None
    ]
    return any(abs(power_kw - limit_kw) <= step for limit_kw in limits)

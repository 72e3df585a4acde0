"""Correctness of a claimed clearing result: a set of conditions, not one number.

Belongs here: the conditions and their tolerances. Does not belong here: solving;
nothing in this module computes a clearing of its own, and each condition takes
one pass over the participants or the nodes (only the claim that a bound stopped the
market takes their sum).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from gridwitness.reference_impl.clearing import NO_PRICE, ROOT, Bounds, Quantum
from gridwitness.reference_impl.curves import Powers, Prices
from gridwitness.reference_impl.grid import Grid, supply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gridwitness.reference_impl.clearing import Bid


class Violation(NamedTuple):
    """A condition that does not hold: code, participant (None: the market), size, sentence."""

    code: str
    participant: str | None
    size: Fraction
    message: str


@dataclass(frozen=True)
class Tolerance:
    """How far a right result may be off: what its own resolution explains, and no more.

    price_per_kwh: half a price tick. power_kw: how far a power may lie from what its curve
    offers within that price. balance_kw: how far a sum of powers may be off.
    """

    price_per_kwh: Fraction
    power_kw: Fraction
    balance_kw: Fraction

    @classmethod
    def of(cls, quantum: Quantum) -> Tolerance:
        """Allow half a tick, a whole power step, and half a step in a sum.

        A whole step, because whole steps that sum to zero cannot all be nearer.
        """
        step = Fraction(quantum.power_kw)
        return cls(Fraction(quantum.price_per_kwh) / 2, step, step / 2)


@dataclass(frozen=True)
class Market:
    """What a result is judged by: the bids, the bounds of the price, the grid."""

    bids: Sequence[Bid]
    bounds: Bounds = field(default_factory=Bounds)
    grid: Grid = field(default_factory=Grid)


@dataclass(frozen=True)
class Claim:
    """A result as somebody claims it.

    status: CLEARED (or CLEARED_ZERO), CURTAILED_AT_FLOOR, CURTAILED_AT_CAP, or
        NOT_CLEARABLE (or NOT_CLEARABLE_SURPLUS, NOT_CLEARABLE_DEFICIT).
    adders: what is added at each node to the price of its parent, beyond what is published.
    node_prices, flows_kw: as published for each node, where they are.
    off_curve: who was commanded off the own curve, as declared.
    """

    status: str
    price_per_kwh: Decimal | None = None
    power_kw: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    adders: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    node_prices: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    flows_kw: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    off_curve: frozenset[str] = frozenset()

    @cached_property
    def numbers(self) -> list[Decimal]:
        """Every number that is claimed."""
        parts = (self.power_kw, self.adders, self.node_prices, self.flows_kw)
        prices = [] if self.price_per_kwh is None else [self.price_per_kwh]
        return prices + [number for part in parts for number in part.values()]


def violations(market: Market, claim: Claim, tolerance: Tolerance) -> Iterator[Violation]:
    """Yield every condition that a claimed result violates.

    Everyone has one finite power; powers sum to zero; each lies on its own curve at its
    local price, within its bounds and its approved limit; flows keep within the limits of the
    grid, and a local price departs from its parent's only where a limit binds. A power is on its
    curve when it lies in the box of the tolerances around it. A market that can
    clear has cleared; one that is curtailed rations the long side alone, at the bound.

    A result without a price is correct where no power depends on it: nobody trades, and
    there is a price at which nobody wants to; or no curve has more than one power.

    Source: reference_impl/README.md, Clearing, Grid, and Tolerance.
    """
    if claim.status.startswith("NOT_CLEARABLE"):
        yield from _not_clearable(market, claim)
        return
    known = {bid.participant for bid in market.bids}
    for name in sorted(known - claim.power_kw.keys()):
        yield Violation("V_MISSING_PARTICIPANT", name, Fraction(1), f"{name} has no cleared power")
    for name in sorted(claim.power_kw.keys() - known):
        yield Violation("V_UNKNOWN_PARTICIPANT", name, Fraction(1), f"{name} made no offer")
    if not all(number.is_finite() for number in claim.numbers):
        yield Violation("V_NOT_FINITE", None, Fraction(1), "the result holds no finite number")
        return
    local = local_prices(market, claim, tolerance)
    yield from of_the_whole(market, claim, tolerance, local)
    for bid in market.bids:
        if bid.participant in claim.power_kw:
            yield from of_one(bid, local[bid.node], claim, tolerance)


def of_the_whole(
    market: Market, claim: Claim, tolerance: Tolerance, local: Mapping[str, Local]
) -> Iterator[Violation]:
    """Yield the conditions violated by powers and price together, whosoever they are.

    local: the price at each node, from `local_prices`.
    """
    yield from _balance(claim, tolerance)
    traded = max((abs(Fraction(power)) for power in claim.power_kw.values()), default=Fraction())
    if claim.status == "CLEARED_ZERO" and traded > tolerance.power_kw:
        yield Violation("V_STATUS", None, traded, "somebody trades, in a market cleared at zero")
    for name in sorted(claim.off_curve - claim.power_kw.keys()):
        message = f"{name} is said to be commanded, and has no cleared power"
        yield Violation("V_UNKNOWN_PARTICIPANT", name, Fraction(1), message)
    yield from _flows(market, claim, tolerance)
    if claim.status.startswith("CURTAILED"):
        yield from _curtailed(market, claim, tolerance)
    if claim.price_per_kwh is None:
        yield from _without_price(market, claim.power_kw)
    else:
        yield from _prices(market, claim, tolerance, local)


def _not_clearable(market: Market, claim: Claim) -> Iterator[Violation]:
    """Judge the claim that nothing balances, from the ends of the curves alone.

    Where limits and a bound on the price come together it is right, too, if nothing balances
    within the bound: how to curtail across limits is not defined.
    """
    if any(claim.power_kw.values()):
        message = "somebody is cleared at a power, in a market that is said not to clear"
        yield Violation("V_STATUS", None, Fraction(1), message)
    balances = feasible(market.bids, market.grid)
    if balances and market.bids and market.grid.nodes and market.bounds != Bounds():
        root = supply(market.bids, market.grid)
        prices = None if root is None else root.prices_at(Fraction())
        balances = prices is not None and market.bounds.allowed(prices) is not None
    if balances:
        message = "there are powers that balance, within everyone's bounds and limits"
        yield Violation("V_SHOULD_HAVE_CLEARED", None, Fraction(1), message)
    elif claim.status != "NOT_CLEARABLE" and not market.grid.nodes:
        low = sum((Fraction(bid.limited.min_export_kw) for bid in market.bids), Fraction())
        if claim.status.endswith("SURPLUS") != (low > 0):
            message = f"the powers sum to {float(low):+g} kW at least"
            yield Violation("V_STATUS", None, abs(low), message)


def feasible(bids: Sequence[Bid], grid: Grid) -> bool:
    """Tell whether any powers balance: intervals of power, added up from the leaves."""
    low: defaultdict[str, Fraction] = defaultdict(Fraction)
    high: defaultdict[str, Fraction] = defaultdict(Fraction)
    for bid in bids:
        at = bid.node if bid.node in grid.nodes else ROOT
        low[at] += Fraction(bid.limited.min_export_kw)
        high[at] += Fraction(bid.limited.max_export_kw)
    for name in reversed(grid.top_down):
        node = grid.nodes[name]
        forward_kw, reverse_kw = node.max_forward_kw, node.max_reverse_kw
        least = low[name] if forward_kw is None else max(low[name], -Fraction(forward_kw))
        most = high[name] if reverse_kw is None else min(high[name], Fraction(reverse_kw))
        if least > most:
            return False
        low[node.parent] += least
        high[node.parent] += most
    return low[ROOT] <= 0 <= high[ROOT]


def _balance(claim: Claim, tolerance: Tolerance) -> Iterator[Violation]:
    net = sum((Fraction(power) for power in claim.power_kw.values()), Fraction())
    if abs(net) > tolerance.balance_kw:
        message = f"the cleared powers sum to {float(net):+g} kW"
        yield Violation("V_NOT_BALANCED", None, abs(net), message)


def _flows(market: Market, claim: Claim, tolerance: Tolerance) -> Iterator[Violation]:
    """Judge each node's flow by its limits, and its adder by the limit that is to explain it."""
    flow_kw: defaultdict[str, Fraction] = defaultdict(Fraction)
    for bid in market.bids:
        flow_kw[bid.node] += Fraction(claim.power_kw.get(bid.participant, 0))
    for name in reversed(market.grid.top_down):
        node, flow = market.grid.nodes[name], flow_kw[name]
        flow_kw[node.parent] += flow
        told = claim.flows_kw.get(name)
        if told is not None and abs(Fraction(told) - flow) > tolerance.balance_kw:
            message = f"the flow at {name} is told as {told} kW, the powers sum to {float(flow):g}"
            yield Violation("V_FLOW_INCONSISTENT", None, abs(Fraction(told) - flow), message)
        adder = Fraction(claim.adders.get(name, 0))
        for code, limit_kw, to_limit_kw, wrong_adder in (
            ("V_FORWARD_FLOW_EXCEEDED", node.max_forward_kw, -flow, adder > 0),
            ("V_REVERSE_FLOW_EXCEEDED", node.max_reverse_kw, flow, adder < 0),
        ):
            slack = None if limit_kw is None else Fraction(limit_kw) - to_limit_kw
            if slack is not None and slack < -tolerance.balance_kw:
                message = f"{float(to_limit_kw):g} kW flow through {name}, allowed are {limit_kw}"
                yield Violation(code, None, -slack, message)
            binds = slack is not None and slack <= tolerance.balance_kw
            if wrong_adder and abs(adder) > tolerance.price_per_kwh and not binds:
                message = (
                    f"the adder of {name} is {float(adder):+g} per kWh, its flow is"
                    f" {float(flow):+g} kW, and no limit binds there"
                )
                yield Violation("V_ADDER_WITHOUT_CONGESTION", None, abs(adder), message)


def _curtailed(market: Market, claim: Claim, tolerance: Tolerance) -> Iterator[Violation]:
    """Judge a curtailment by its reason: at the bound, one side is too long for the other."""
    at_floor = claim.status == "CURTAILED_AT_FLOOR"
    bounds = market.bounds
    bound = bounds.floor_per_kwh if at_floor else bounds.cap_per_kwh
    if bound is None:
        message = f"the market has no {'floor' if at_floor else 'cap'} to curtail at"
        yield Violation("V_CURTAILED_OFF_BOUND", None, Fraction(1), message)
        return
    price = claim.price_per_kwh
    off = Fraction(1) if price is None else abs(Fraction(price) - Fraction(bound))
    if price is None or off > tolerance.price_per_kwh:
        message = f"it is curtailed at {price} per kWh, the bound is {bound}"
        yield Violation("V_CURTAILED_OFF_BOUND", None, off, message)
    whole = supply(market.bids, market.grid) if market.bids else None
    low, high = (Fraction(), Fraction()) if whole is None else whole.powers_at(Fraction(bound))
    if not (low > 0 if at_floor else high < 0):
        code = "V_CURTAILED_WITHOUT_" + ("SURPLUS" if at_floor else "DEFICIT")
        message = f"at {bound} per kWh the offers sum to {float(low):g} to {float(high):g} kW"
        yield Violation(code, None, max(abs(low), abs(high)), message)


def _without_price(market: Market, power_kw: Mapping[str, Decimal]) -> Iterator[Violation]:
    """Judge a result without a price by whether there is anything a price would decide."""
    if all(bid.curve.min_export_kw == bid.curve.max_export_kw for bid in market.bids):
        return  # the bounds say all
    for name, power in power_kw.items():
        if power:
            message = f"{name} trades {power} kW at no price"
            yield Violation("V_NO_PRICE_BUT_TRADE", name, abs(Fraction(power)), message)
    if any(power_kw.values()):
        return
    idle: Prices | None = NO_PRICE
    for bid in market.bids:
        by = _published(market.grid, bid.node)
        own = bid.limited.shifted(-by).prices_at(Fraction())
        idle = None if own is None or idle is None else idle.shared_with(own)
    if idle is None or market.bounds.allowed(idle) is None:
        message = "nobody trades, although there is no price at which nobody wants to"
        yield Violation("V_SHOULD_HAVE_CLEARED", None, Fraction(1), message)


def _published(grid: Grid, node: str) -> Fraction:
    return Fraction(grid.adders_per_kwh.get(node, 0))


def _prices(
    market: Market, claim: Claim, tolerance: Tolerance, local: Mapping[str, Local]
) -> Iterator[Violation]:
    """Judge the price by the market's bounds, and published node prices by their formula."""
    price = Fraction(claim.price_per_kwh or 0)
    for name, bound, side in (
        ("floor", market.bounds.floor_per_kwh, 1),
        ("cap", market.bounds.cap_per_kwh, -1),
    ):
        beyond = Fraction() if bound is None else side * (Fraction(bound) - price)
        if beyond > tolerance.price_per_kwh:
            message = f"the price {claim.price_per_kwh} is beyond the {name} {bound}"
            yield Violation("V_PRICE_OUT_OF_BOUNDS", None, beyond, message)
    grid = market.grid
    for name, adder in claim.adders.items():
        off = abs(Fraction(adder) - _published(grid, name))
        if name not in grid.nodes and off > tolerance.price_per_kwh:
            message = (
                f"{name} has an adder of {adder} per kWh; neither limit nor publication says so"
            )
            yield Violation("V_NODE_PRICE_INCONSISTENT", None, off, message)
    for name, published in claim.node_prices.items():
        price, allowed = local.get(name, (None, Fraction()))
        off = Fraction(1) if price is None else abs(Fraction(published) - price)
        if off > allowed + tolerance.price_per_kwh:
            parts = "it is no node" if price is None else f"its parts make {float(price):g} per kWh"
            message = f"the price at {name} is {published}; {parts}"
            yield Violation("V_NODE_PRICE_INCONSISTENT", None, off, message)


class Local(NamedTuple):
    """The price at a node, and how far it may be off: half a tick for each of its parts."""

    price_per_kwh: Fraction
    tolerance_per_kwh: Fraction


def local_prices(market: Market, claim: Claim, tolerance: Tolerance) -> dict[str, Local]:
    """Give the price at each node; an adder within half a tick of none is no part of it."""
    half_tick, grid = tolerance.price_per_kwh, market.grid
    local = {ROOT: Local(Fraction(claim.price_per_kwh or 0), half_tick)}
    for name in grid.top_down:
        price, off = local[grid.nodes[name].parent]
        adder = Fraction(claim.adders.get(name, 0))
        local[name] = Local(price + adder, off + (half_tick if abs(adder) > half_tick else 0))
    for name, adder in grid.adders_per_kwh.items():
        price, off = local.get(name, local[ROOT])
        local[name] = Local(price + Fraction(adder), off)
    return local


def of_one(bid: Bid, local: Local, claim: Claim, tolerance: Tolerance) -> Iterator[Violation]:
    """Yield the conditions violated by one participant's power: own bounds, limit, and curve.

    local: the price where the participant stands.
    """
    name, power = bid.participant, Fraction(claim.power_kw[bid.participant])
    least = Fraction(bid.curve.min_export_kw)
    most = Fraction(bid.curve.max_export_kw)
    low, high = _rationed(Powers(least, most), claim.status)
    beyond = max(low - power, power - high)
    if beyond > tolerance.power_kw:
        message = (
            f"{name} is cleared at {float(power):g} kW,"
            f" its bounds are {float(least):g} to {float(most):g} kW"
        )
        yield Violation("V_OUTSIDE_MIN_MAX_EXPORT", name, beyond, message)
    if bid.limit_kw is not None and abs(power) - Fraction(bid.limit_kw) > tolerance.power_kw:
        excess = abs(power) - Fraction(bid.limit_kw)
        message = f"{name} is cleared at {float(power):g} kW, approved are {bid.limit_kw} kW"
        yield Violation("V_EXCEEDS_APPROVED_LIMIT", name, excess, message)
    if claim.price_per_kwh is None or name in claim.off_curve:
        return
    price, width = local
    below, above = bid.powers_at(price - width), bid.powers_at(price + width)
    box = _rationed(Powers(below.low_kw, above.high_kw), claim.status)
    beyond = max(box.low_kw - power, power - box.high_kw)
    if beyond > tolerance.power_kw:
        exact = bid.powers_at(price)
        offered = (
            f"{float(exact.low_kw):g}"
            if exact.low_kw == exact.high_kw
            else f"{float(exact.low_kw):g} to {float(exact.high_kw):g}"
        )
        message = (
            f"{name} is cleared at {float(power):g} kW,"
            f" its curve gives {offered} kW at {float(price):g} per kWh"
        )
        yield Violation("V_OFF_CURVE", name, beyond - tolerance.power_kw, message)


def _rationed(powers: Powers, status: str) -> Powers:
    """Widen an interval towards zero on the side that a curtailment rations."""
    if status == "CURTAILED_AT_FLOOR":
        return Powers(min(powers.low_kw, Fraction()), powers.high_kw)
    if status == "CURTAILED_AT_CAP":
        return Powers(powers.low_kw, max(powers.high_kw, Fraction()))
    return powers

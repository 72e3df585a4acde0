"""Markets as they were told: by each agent, to whom it told a result, in which grid.

Belongs here: gathering from a trace what a result has to be judged by: bids, the state
that grid nodes told, prices and flows that were told to them, what came from above. Does not
belong here: the conditions (reference_impl.equilibrium), judging (rules).

An aggregator's market is closed by what it exchanges with the market above it, so that it
can be judged by itself, and what is wrong above is not held against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dialects.grid import (
    read_local_price,
    read_node_id,
    read_node_state,
    read_setpoint_kw,
)
from gridwitness.reference_impl.clearing import ROOT, Bid
from gridwitness.reference_impl.curves import Curve, OfferError, Point
from gridwitness.reference_impl.equilibrium import Claim
from gridwitness.reference_impl.grid import Grid, Node, load_adder, supply
from gridwitness.story import AGGREGATOR, GRID_NODE, story
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridwitness.story import Chapter, Said
    from gridwitness.trace import Message, Trace
    from gridwitness.views import AggregationResult, Deal, NodeState

ABOVE = "the market above"
"""Who takes what an aggregator's market gives, in that market."""


@dataclass(frozen=True)
class Booked:
    """What an agent told a node: the flow through it, and the price there."""

    message: Message
    deal: Deal
    flow_kw: Decimal | None
    price_per_kwh: Decimal | None


@dataclass(frozen=True)
class ToldMarket:
    """One agent's market: bids and results by participant, and its part of the grid.

    states and booked go by node id. price_above and exchange_kw are what an aggregator was
    told, None for a clearing agent.
    """

    agent: str
    bids: list[Bid]
    bound: dict[str, Said]
    states: Mapping[str, NodeState] = field(default_factory=dict[str, "NodeState"])
    booked: Mapping[str, Booked] = field(default_factory=dict[str, Booked])
    grid: Grid = field(default_factory=Grid)
    price_above: Decimal | None = None
    exchange_kw: Decimal | None = None

    def claim(self, price_per_kwh: Decimal | None, powers_kw: Mapping[str, Decimal]) -> Claim:
        """Give the result as it was told, with the adders that the told prices lead to."""
        if self.exchange_kw is not None:
            powers_kw = {**powers_kw, ABOVE: -self.exchange_kw}
        prices = self._told_prices()
        flows = {n: one.flow_kw for n, one in self.booked.items() if one.flow_kw is not None}
        return Claim(
            "CLEARED", price_per_kwh, powers_kw, self._adders(price_per_kwh, prices), {}, flows
        )

    def _told_prices(self) -> dict[str, Decimal]:
        """Give the price at each node: as the node was told, else as somebody there was."""
        prices: dict[str, Decimal] = {}
        for bid in self.bids:
            said = self.bound.get(bid.participant)
            clearing = said.contract.clearing if said else None
            if clearing is not None and clearing.local_price_per_kwh is not None:
                prices.setdefault(bid.node, clearing.local_price_per_kwh)
        told = {n: one.price_per_kwh for n, one in self.booked.items()}
        return prices | {n: price for n, price in told.items() if price is not None}

    def _adders(self, price: Decimal | None, prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Give what each node adds to the price of its parent, beyond what it publishes."""
        if price is None:
            return {}
        path, adders = {ROOT: price}, dict[str, Decimal]()
        for name in self.grid.top_down:
            above = path[self.grid.nodes[name].parent]
            published = self.grid.adders_per_kwh.get(name, Decimal(0))
            path[name] = prices[name] - published if name in prices else above
            adders[name] = path[name] - above
        return adders


@once
def told_markets(trace: Trace) -> list[ToldMarket]:
    """Collect the markets of those who told participants a result, one an agent."""
    chapters: dict[str, list[Chapter]] = {}
    for chapter in story(trace).values():
        if chapter.bound and chapter.bound[-1].contract.clearing is not None:
            chapters.setdefault(chapter.bound[-1].message.sender or "", []).append(chapter)
    return [
        market
        for agent, own in chapters.items()
        if (market := _market(trace, agent, own)) is not None
    ]


def _market(trace: Trace, agent: str, chapters: list[Chapter]) -> ToldMarket | None:
    states, bids = node_states(trace, agent), list[Bid]()
    grid, bound = grid_of(states), dict[str, "Said"]()
    for chapter in chapters:
        bid = bid_of(chapter, grid)
        if bid is not None:
            bids.append(bid)
            bound[chapter.name] = chapter.bound[-1]
    booked = _booked(trace, agent)
    if not bids or trace.role(agent) != AGGREGATOR:
        return ToldMarket(agent, bids, bound, states, booked, grid) if bids else None
    result = last_result(trace, agent)
    mine = (
        [one for one in result.setpoints if one.member_id == trace.scene.ids[agent]]
        if result
        else []
    )
    if result is None or not mine:
        return None
    price = result.local_price_per_kwh
    price = result.clearing_price_per_kwh if price is None else price
    if not _is_offered(trace, bids, grid, price, mine[0].power_kw):
        return None  # nobody could share that out: AGG-004 tells, or AGG-001
    power_kw = -mine[0].power_kw
    point = Point(price or Decimal(0), power_kw)
    bids.append(Bid(ABOVE, Curve(bids[0].curve.currency, power_kw, power_kw, (point,))))
    return ToldMarket(agent, bids, bound, states, booked, grid, price, mine[0].power_kw)


def bid_of(chapter: Chapter, grid: Grid) -> Bid | None:
    """Give what a participant offered, at its node if that told its state; None for no offer."""
    curve = chapter.offered[-1].contract.curve if chapter.offered else None
    try:
        valid = curve.curve() if curve else None
    except OfferError:
        return None  # an invalid offer that was accepted is the finding of MKT-002
    node = node_of(chapter) or ROOT
    at = node if node in grid.nodes else ROOT
    return Bid(chapter.name, valid, approved_kw(chapter), at) if valid else None


def _is_offered(
    trace: Trace, bids: list[Bid], grid: Grid, price: Decimal | None, power_kw: Decimal
) -> bool:
    """Tell whether those below offer a power together, at the price that came with it."""
    if len({bid.curve.currency for bid in bids}) > 1:
        return False
    whole = supply(bids, grid)
    if whole is None or price is None:
        return whole is not None
    half_tick, step = Fraction(trace.scene.price_tick) / 2, Fraction(trace.scene.power_step)
    low = whole.powers_at(Fraction(price) - half_tick).low_kw - step
    high = whole.powers_at(Fraction(price) + half_tick).high_kw + step
    return low <= Fraction(power_kw) <= high


def lets_through(state: NodeState, flow_kw: Decimal) -> bool:
    """Tell whether a flow is within the limits that a node told."""
    forward_kw, reverse_kw = state.max_forward_kw, state.max_reverse_kw
    return (forward_kw is None or -flow_kw <= forward_kw) and (
        reverse_kw is None or flow_kw <= reverse_kw
    )


def approved_kw(chapter: Chapter) -> Decimal | None:
    """Give the limit that the utility approved last."""
    granted = [said.contract.approval for said in chapter.approved if said.contract.approval]
    limit_kw = granted[-1].approved_max_trade_kw if granted else None
    return None if limit_kw is None or limit_kw < 0 else limit_kw


def node_of(chapter: Chapter) -> str | None:
    """Give the node at which the utility says that a participant stands."""
    named = [read_node_id(said.contract) for said in chapter.approved]
    return named[-1] if named else None


def last_result(trace: Trace, agent: str) -> AggregationResult | None:
    """Give what an aggregator was told from above, last."""
    told = [m.reading.result for m in trace.of("on_aggregate") if m.receiver == agent]
    return next((result for result in reversed(told) if result is not None), None)


def node_states(trace: Trace, agent: str) -> dict[str, NodeState]:
    """Give what each grid node told an agent of itself, last, by the node's own id."""
    found: dict[str, NodeState] = {}
    for message in trace.of("on_discover"):
        if message.receiver != agent or trace.role(message.sender) != GRID_NODE:
            continue
        own_id = trace.scene.ids.get(message.sender or "")
        for offer in message.reading.offers:
            state = read_node_state(offer)
            if state is not None and state.node_id == own_id:
                found[state.node_id] = state
    return found


def grid_of(states: Mapping[str, NodeState]) -> Grid:
    """Make the tree that the nodes tell; what leads nowhere, or in a circle, hangs at the root."""
    nodes: dict[str, Node] = {}
    for name, state in states.items():
        if name in ("", ROOT):
            continue
        limits = [
            None if limit_kw is None or limit_kw < 0 else limit_kw
            for limit_kw in (state.max_forward_kw, state.max_reverse_kw)
        ]
        nodes[name] = Node(_parent(states, name), *limits)
    return Grid(
        nodes, {n: by for n, state in states.items() if n in nodes and (by := adder(state))}
    )


def _parent(states: Mapping[str, NodeState], name: str) -> str:
    seen, above = {name}, states[name].parent_id
    parent = above if above in states and above not in ("", ROOT) else ROOT
    while above in states and above is not None:
        if above in seen:
            return ROOT
        seen.add(above)
        above = states[above].parent_id
    return parent


def adder(state: NodeState) -> Decimal:
    """Give what a node publishes to be added at it, per kWh; 0 where that has no meaning."""
    if state.load_percent is None or state.adder_per_percent is None:
        return Decimal(0)
    try:
        return load_adder(state.load_percent, state.adder_per_percent)
    except OfferError:
        return Decimal(0)


def _booked(trace: Trace, agent: str) -> dict[str, Booked]:
    """Collect what an agent told the nodes, last, by node id."""
    found: dict[str, Booked] = {}
    for message in trace.of("confirm"):
        deal = message.reading.deal
        if message.sender != agent or deal is None or trace.role(message.receiver) != GRID_NODE:
            continue
        node_id = trace.scene.ids.get(message.receiver or "", "")
        flow_kw, price = read_setpoint_kw(deal), read_local_price(deal)
        found[node_id] = Booked(message, deal, flow_kw, price)
    return found


def setpoint_kw(chapter: Chapter) -> Decimal | None:
    """Give the power that a participant was told to run at, last; what it cleared, if no other."""
    told = [read_setpoint_kw(said.contract) for said in (*chapter.bound, *chapter.news)]
    cleared = [said.contract.clearing for said in chapter.bound if said.contract.clearing]
    last = next((power for power in reversed(told) if power is not None), None)
    if last is not None:
        return last
    return cleared[-1].cleared_power_kw if cleared else None

"""The grid: a radial tree of nodes with flow limits, its local prices, and commands in it.

Belongs here: the tree, published adders, clearing within limits, offset commands
and what a redispatch costs. Does not belong here: what makes a result correct
(equilibrium).

A node's curve, as its parent sees it, is the sum of what stands below it, clipped by
its flow limits. That is a curve like any other, so a feeder, a city and a nation
are the same function at different heights: a subtree can be aggregated apart, and
its share disaggregated apart.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from gridwitness.reference_impl.clearing import (
    NO_PRICE,
    ROOT,
    Bounds,
    Clearing,
    Quantum,
    curtailed,
    is_surplus,
    unclearable,
)
from gridwitness.reference_impl.curves import (
    Curve,
    OfferError,
    OfferProblem,
    Point,
    Prices,
    aggregate,
    apportion,
    disaggregate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gridwitness.reference_impl.clearing import Bid

Member = tuple[str, str]  # ("bid", participant) or ("node", node)
FULL_LOAD_PERCENT = 100


@dataclass(frozen=True)
class Node:
    """A transformer or a region: its parent, and how much may flow through, in kW; None: any.

    Forward is towards the loads below it, reverse is towards its parent.
    """

    parent: str = ROOT
    max_forward_kw: Decimal | None = None
    max_reverse_kw: Decimal | None = None


@dataclass(frozen=True)
class Grid:
    """A radial tree below the root, and the adders published for single nodes.

    adders_per_kwh: what whoever stands at the node pays, or is paid, beyond the price
        of the market; it is a fact, not a result.

    Raises OfferError for a parent that is no node (E_UNKNOWN_NODE), for parents in a
    circle and a second root (E_NOT_RADIAL), and for a limit below zero (E_NEGATIVE_LIMIT).
    """

    nodes: Mapping[str, Node] = field(default_factory=dict[str, Node])
    adders_per_kwh: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])

    def __post_init__(self) -> None:
        for name, node in self.nodes.items():
            if name in ("", ROOT):
                message = f"no node is called {name!r}: the root is there by itself"
                raise OfferError(OfferProblem("E_NOT_RADIAL", None, message))
            if node.parent != ROOT and node.parent not in self.nodes:
                message = f"the parent {node.parent} of the node {name} is no node"
                raise OfferError(OfferProblem("E_UNKNOWN_NODE", None, message))
            for limit_kw in (node.max_forward_kw, node.max_reverse_kw):
                if limit_kw is not None and limit_kw < 0:
                    message = f"the node {name} lets {limit_kw} kW through"
                    raise OfferError(OfferProblem("E_NEGATIVE_LIMIT", None, message))
        _ = self.top_down

    @cached_property
    def top_down(self) -> tuple[str, ...]:
        """Every node below the root, parents before their children."""
        children: defaultdict[str, list[str]] = defaultdict(list)
        for name, node in self.nodes.items():
            children[node.parent].append(name)
        order = list(children[ROOT])
        for name in order:  # grows while it is walked
            order.extend(children[name])
        if len(order) < len(self.nodes):
            circle = ", ".join(sorted(self.nodes.keys() - set(order)))
            message = f"the nodes {circle} do not lead to the root"
            raise OfferError(OfferProblem("E_NOT_RADIAL", None, message))
        return tuple(order)

    def path(self, node: str) -> list[str]:
        """Give the nodes from here up to the root, which is left out."""
        found: list[str] = []
        while node in self.nodes:
            found.append(node)
            node = self.nodes[node].parent
        return found

    def node_prices(self, at: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Add the published adders to the prices at the root and the nodes; to none, nothing.

        A place that is no node stands at the root.
        """
        if not at:
            return {}
        adders = self.adders_per_kwh.items()
        return {**at, **{name: at.get(name, at[ROOT]) + by for name, by in adders}}

    def strangers(self, bids: Sequence[Bid]) -> Iterator[OfferError]:
        """Yield an error (E_UNKNOWN_NODE) for each bid at a node that there is not."""
        known = {ROOT, *self.nodes, *self.adders_per_kwh}
        for bid in bids:
            if bid.node not in known:
                message = f"{bid.participant} stands at {bid.node}, which is no node"
                yield OfferError(OfferProblem("E_UNKNOWN_NODE", None, message), bid.participant)


@dataclass(frozen=True)
class GridClearing(Clearing):
    """One interval cleared within the limits of a grid.

    node_prices: at each node, the price of the root, its published adder, and the
        adders on the path.
    adders: what a binding limit adds at a node: above zero where the forward limit
        binds, below where the reverse one does, else 0; of all that are right, the
        smallest in size.
    flows_kw: net export of each node's subtree.
    """

    node_prices: Mapping[str, Decimal]
    adders: Mapping[str, Decimal]
    flows_kw: Mapping[str, Decimal]


@dataclass(frozen=True)
class Redispatch:
    """What commands lead to: powers in kW, and the uplift per hour of who left the own curve."""

    power_kw: Mapping[str, Fraction]
    uplift_per_h: Mapping[str, Fraction]


def load_adder(
    load_percent: Decimal, per_percent: Decimal, multiplier: Decimal = Decimal(1)
) -> Decimal:
    """Give the published adder of a loaded node, per kWh: load times its price, times congestion.

    Raises OfferError (E_LOAD_PERCENT) for a load that is not between 0 and 100 percent.

    Source: beckn/DEG, building blocks, GridNode (locationalPriceAdder).
    """
    if not 0 <= load_percent <= FULL_LOAD_PERCENT:
        message = f"a load of {load_percent} percent is not between 0 and 100"
        raise OfferError(OfferProblem("E_LOAD_PERCENT", None, message))
    return load_percent * per_percent * multiplier


class _Stuck(Exception):
    """A subtree that cannot keep within its limits: it must give, or take, more than they let."""

    def __init__(self, *, surplus: bool) -> None:
        super().__init__()
        self.surplus = surplus


class _Branch:
    """A node with what stands below it: its members' curves at its own price, and their sum."""

    def __init__(self, currency: str) -> None:
        nobody = Point(Decimal(0), Decimal(0))
        self.members: dict[Member, Curve] = {}
        self._empty = Curve(currency, Decimal(0), Decimal(0), (nobody,))

    @cached_property
    def supply(self) -> Curve:
        return aggregate(list(self.members.values()) or [self._empty])

    def through(self, node: Node) -> Curve | None:
        """The supply as the parent sees it; None where the limits let nothing of it by."""
        forward_kw = node.max_forward_kw
        low_kw = None if forward_kw is None else -Fraction(forward_kw)
        return self.supply.clipped(low_kw, node.max_reverse_kw)


def _branches(bids: Sequence[Bid], grid: Grid) -> dict[str, _Branch]:
    """Add up from the leaves; raises _Stuck."""
    currency = bids[0].curve.currency
    branches = {name: _Branch(currency) for name in (ROOT, *grid.top_down)}
    for bid in bids:
        # Where an adder of a is published, what is offered at p + a is offered at the price p.
        curve = bid.limited.shifted(-Fraction(grid.adders_per_kwh.get(bid.node, 0)))
        at = bid.node if bid.node in branches else ROOT
        branches[at].members["bid", bid.participant] = curve
    stuck: set[bool] = set()
    for name in reversed(grid.top_down):
        node, curve = grid.nodes[name], branches[name].through(grid.nodes[name])
        if curve is None:
            stuck.add(branches[name].supply.min_export_kw > 0)
        else:
            branches[node.parent].members["node", name] = curve
    if stuck:
        raise _Stuck(surplus=True in stuck)
    return branches


def supply(bids: Sequence[Bid], grid: Grid, node: str = ROOT) -> Curve | None:
    """Give what a node's subtree offers, as its parent sees it; None where it cannot balance.

    Whole subtrees may so be aggregated apart, and combined as if each were one bid.
    """
    try:
        branches = _branches(bids, grid)
        return branches[node].through(grid.nodes.get(node, Node()))
    except _Stuck:
        return None


def clear_grid(
    bids: Sequence[Bid], grid: Grid, quantum: Quantum | None = None, bounds: Bounds | None = None
) -> GridClearing:
    """Clear one interval within the flow limits of a radial grid.

    From the leaves up, each node's supply is clipped by its limits and added to its
    parent's; at the root the market balances as without a grid; from the root down,
    each node's share is disaggregated, at its parent's price where its limits allow, else at
    the nearest price at which it offers just what the limit lets through.

    A subtree that cannot keep within its limits makes the market not clearable, and so
    do bounds that no balancing price respects, where there are limits: curtailment across
    them is not defined.

    Raises OfferError as `clear`, and for a bid at an unknown node (E_UNKNOWN_NODE).

    Source: reference_impl/README.md, Grid.
    """
    quantum, bounds = quantum or Quantum(), bounds or Bounds()
    for error in (*unclearable(bids, bounds), *grid.strangers(bids)):
        raise error
    if not bids:
        return GridClearing("CLEARED_ZERO", NO_PRICE, None, {}, {}, {}, {})
    try:
        branches = _branches(bids, grid)
    except _Stuck as stuck:
        return _not_clearable(surplus=stuck.surplus)
    market = branches[ROOT].supply
    balancing = market.prices_at(Fraction())
    prices = bounds.allowed(balancing) if balancing is not None else None
    if prices is None and not grid.nodes:
        curves = {name: curve for (_, name), curve in branches[ROOT].members.items()}
        flat = curtailed(curves, bounds, quantum, surplus=is_surplus(market, bounds))
        at = {} if flat.price_per_kwh is None else {ROOT: flat.price_per_kwh}
        return GridClearing(**vars(flat), node_prices=grid.node_prices(at), adders={}, flows_kw={})
    if prices is None:
        return _not_clearable(surplus=is_surplus(market, bounds))
    result = _descend(branches, grid, prices, quantum)
    return replace(result, power_kw={b.participant: result.power_kw[b.participant] for b in bids})


def share_out(
    bids: Sequence[Bid],
    grid: Grid,
    price_per_kwh: Decimal,
    power_kw: Decimal,
    quantum: Quantum | None = None,
) -> GridClearing:
    """Disaggregate what a subtree was given: the price above it, and the power it is to give.

    The root is where the subtree hangs. The price there is the one that is told, as long as
    the power is offered at it, to its own tick; a power beyond what is offered is shared as
    far as it is.

    Raises OfferError for a subtree that cannot keep within its limits (E_LIMIT_INFEASIBLE).

    Source: reference_impl/README.md, Aggregation and Grid.
    """
    quantum = quantum or Quantum()
    if not bids:
        return GridClearing("CLEARED_ZERO", NO_PRICE, price_per_kwh, {}, {}, {}, {})
    try:
        branches = _branches(bids, grid)
    except _Stuck as stuck:
        side = "give" if stuck.surplus else "take"
        message = f"a subtree must {side} more than its limits let through"
        raise OfferError(OfferProblem("E_LIMIT_INFEASIBLE", None, message)) from stuck
    whole = branches[ROOT].supply
    share = min(max(Fraction(power_kw), Fraction(whole.min_export_kw)), whole.max_export_kw)
    offered_at = whole.prices_at(Fraction(share)) or NO_PRICE
    price = offered_at.nearest(Fraction(price_per_kwh))
    exact = Prices(price, price)
    found = _descend(branches, grid, exact, quantum, (Fraction(share), power_kw, price_per_kwh))
    return replace(found, power_kw={b.participant: found.power_kw[b.participant] for b in bids})


def _not_clearable(*, surplus: bool) -> GridClearing:
    status = "NOT_CLEARABLE_SURPLUS" if surplus else "NOT_CLEARABLE_DEFICIT"
    return GridClearing(status, NO_PRICE, None, {}, {}, {}, {})


def _descend(
    branches: Mapping[str, _Branch],
    grid: Grid,
    prices: Prices,
    quantum: Quantum,
    told: tuple[Fraction, Decimal, Decimal] | None = None,
) -> GridClearing:
    """Give every node its share and its price, from the root down.

    told: where the root hangs under something else, its share, its flow, and the price there.
    """
    root_price = prices.middle or Fraction()
    share, flow, above = told or (Fraction(), Decimal(0), quantum.to_tick(root_price))
    price = {ROOT: root_price}
    share_kw: dict[str, Fraction] = {ROOT: share}
    flow_kw: dict[str, Decimal] = {ROOT: flow}
    power_kw: dict[str, Decimal] = {}
    for name in (ROOT, *grid.top_down):
        if name != ROOT:
            offered_at = branches[name].supply.prices_at(share_kw[name])
            price[name] = (offered_at or NO_PRICE).nearest(price[grid.nodes[name].parent])
        shares = disaggregate(branches[name].members, price[name], share_kw[name])
        steps = int(Fraction(flow_kw[name]) / Fraction(quantum.power_kw))
        for (kind, member), power in apportion(shares, quantum.power_kw, steps).items():
            if kind == "bid":
                power_kw[member] = power
            else:
                share_kw[member], flow_kw[member] = shares[kind, member], power
    ticked = {
        name: above if exact == root_price else quantum.to_tick(exact)
        for name, exact in price.items()
    }
    adders = {name: ticked[name] - ticked[grid.nodes[name].parent] for name in grid.top_down}
    no_price = prices == NO_PRICE and not any(adders.values())
    return GridClearing(
        "CLEARED" if any(power_kw.values()) else "CLEARED_ZERO",
        prices,
        None if no_price else ticked[ROOT],
        power_kw,
        {} if no_price else grid.node_prices(ticked),
        adders,
        {name: flow_kw[name] for name in grid.top_down},
    )


def command_offsets(
    bids: Sequence[Bid],
    price_at: Mapping[str, Fraction],
    power_kw: Mapping[str, Decimal],
    offset_kw: Mapping[str, Decimal],
) -> Redispatch:
    """Carry out a grid operator's commands to single participants, and keep the balance.

    price_at: each participant's local price. offset_kw: the command, added to the power.

    What the commands leave missing is taken up, pro rata, by those who offer more than
    one power at their price; they lose nothing by it. Whoever is commanded off the own
    curve is redispatched: named, and made good (`uplift_per_h`).

    Raises OfferError for a command beyond bounds or limit (E_OFFSET_BEYOND_LIMIT), and
    where nobody else can take up what is missing (E_OFFSET_UNBALANCED).

    Source: reference_impl/README.md, Commands.
    """
    by_name = {bid.participant: bid for bid in bids}
    moved = {name: Fraction(power) for name, power in power_kw.items()}
    for name, offset in offset_kw.items():
        moved[name] += Fraction(offset)
        bid = by_name[name]
        if not bid.limited.min_export_kw <= moved[name] <= bid.limited.max_export_kw:
            message = f"{name} cannot be moved by {offset} kW to {float(moved[name]):g} kW"
            raise OfferError(OfferProblem("E_OFFSET_BEYOND_LIMIT", None, message), name)
    missing_kw = -sum(moved.values(), Fraction())
    room = {
        name: (high if missing_kw > 0 else low) - moved[name]
        for name, (low, high) in (
            (bid.participant, bid.powers_at(price_at[bid.participant]))
            for bid in bids
            if bid.participant not in offset_kw
        )
    }
    room = {name: kw for name, kw in room.items() if kw * missing_kw > 0}
    room_kw = sum(room.values(), Fraction())
    if abs(room_kw) < abs(missing_kw):
        message = (
            f"the commands leave {float(missing_kw):+g} kW missing, others offer"
            f" {float(room_kw):+g} kW at their price"
        )
        raise OfferError(OfferProblem("E_OFFSET_UNBALANCED", None, message))
    for name, kw in room.items():
        moved[name] += kw * missing_kw / room_kw
    uplift = {name: uplift_per_h(by_name[name], price_at[name], moved[name]) for name in offset_kw}
    return Redispatch(moved, {name: amount for name, amount in uplift.items() if amount})


def uplift_per_h(bid: Bid, price_per_kwh: Fraction, power_kw: Fraction) -> Fraction:
    """Give what a participant loses by being held at a power, per hour, in the currency.

    It is the surplus of its best power at the price, less that of the power it is held
    at: the area between its curve and the price. Never below zero, and zero on its curve.
    """
    low, high = bid.powers_at(price_per_kwh)
    best_kw = min(max(power_kw, low), high)
    between = bid.limited.clipped(min(best_kw, power_kw), max(best_kw, power_kw))
    if between is None or bid.limited.prices_at(power_kw) is None:
        raise ValueError(f"{bid.participant} offers {float(power_kw):g} kW at no price")
    exact = [(Fraction(price), Fraction(power)) for price, power in between.points]
    return sum(
        (
            abs((left + right) / 2 - price_per_kwh) * (end - start)
            for (left, start), (right, end) in pairwise(exact)
        ),
        Fraction(),
    )

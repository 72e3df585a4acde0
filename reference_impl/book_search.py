"""Searching markets in arrays for the lowest and the highest price at which they balance.

Belongs here: narrowing brackets of prices, for one market, many at once, or trees with
flow limits. Does not belong here: what a result says (book_clearing, book_grid).

Whether a price is too low is decided by evaluating all curves; samples only choose which
price to try. Where the balance does not change with the price, nothing slopes; then all
powers are whole steps, their sum is exact, and so are the ends of that range of prices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gridwitness.reference_impl.book import in_blocks, offered

if TYPE_CHECKING:
    from gridwitness.reference_impl.book import Flags, Floats, Ints

FAR = float(np.finfo(np.float64).max / 4)
"""Beyond all prices, and yet the distance of two such is a number."""
FEW = 1 << 12
"""So many curves are looked at one by one; of more, a sample is."""
GOLDEN = 0.6180339887498949
"""Its multiples, less their whole parts, lie evenly, and in step with no pattern."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees of nodes: each tree a market, each node with limits on the flow through it.

    parent: -1 for the root of a tree. least, most: the limits of each node's net export in
    steps, infinite where there is none; a root has none.
    """

    parent: Ints
    least: Floats
    most: Floats

    @cached_property
    def root(self) -> Ints:
        """The root of the tree in which each node stands."""
        root = np.where(self.parent < 0, np.arange(len(self.parent)), self.parent)
        while (root != root[root]).any():
            root = root[root]
        return root

    @cached_property
    def floors(self) -> list[Ints]:
        """The nodes below the roots, floor by floor, the highest first."""
        floors: list[Ints] = []
        above = self.parent < 0
        while len(floor := np.flatnonzero((self.parent >= 0) & above[self.parent])):
            floors.append(floor)
            above = np.zeros_like(above)
            above[floor] = True
        return floors

    def mirrored(self) -> Forest:
        """Turn powers round: what was the least is the most."""
        return replace(self, least=-self.most, most=-self.least)

    def within(self, flows: Floats) -> Floats:
        """Give the flows within the limits."""
        return np.clip(flows, self.least, self.most)

    def flows(self, own: Floats) -> Floats:
        """Add up from the leaves: each node's own power, and its children's within their limits."""
        flows = own.copy()
        for floor in reversed(self.floors):
            limited = np.clip(flows[floor], self.least[floor], self.most[floor])
            flows += by_node(limited, self.parent[floor], len(flows))
        return flows


def markets(count: int) -> Forest:
    """Give so many markets without a grid."""
    return Forest(np.full(count, -1), np.full(count, -np.inf), np.full(count, np.inf))


class Curves(NamedTuple):
    """Curves in columns, and the node at which each stands. A price is one for all, or by node.

    grain: in the binary place of a number of this size parts of steps are cut off, so that
    the sum of so many is exact, whatever is added or taken away.
    """

    prices: Floats
    steps: Floats
    home: Ints
    grain: float

    @classmethod
    def at(cls, prices: Floats, steps: Floats, home: Ints) -> Curves:
        """Put curves at their nodes."""
        return cls(prices, steps, home, 1.5 * 2.0 ** len(home).bit_length())

    def of(self, which: Ints) -> Curves:
        """Give some of the curves."""
        prices, steps = self.prices.take(which, 1), self.steps.take(which, 1)
        return Curves(prices, steps, self.home[which], self.grain)

    def facing(self, upwards: Flags) -> Curves:
        """Turn the others' prices and powers round: what was the lowest price is the highest."""
        prices = np.where(upwards, self.prices, -self.prices[::-1])
        return self._replace(prices=prices, steps=np.where(upwards, self.steps, -self.steps[::-1]))

    def sample(self, markets: int) -> Curves:
        """Give all curves where they are few, else some from all over."""
        count = len(self.home)
        size = max(FEW // 4, 16 * markets, int(count ** (2 / 3)))
        if count <= max(FEW, size):
            return self
        return self.of((np.arange(size) * GOLDEN % 1 * count).astype(np.int64))

    def points_between(
        self, low: Floats | float, high: Floats | float, block: slice = slice(None)
    ) -> Flags:
        """Tell which points lie between two prices."""
        prices, home = self.prices[:, block], self.home[block]
        return (prices > at_home(low, home)) & (prices < at_home(high, home))

    def that_bend(self, low: Floats | float, high: Floats | float, threads: int) -> Curves:
        """Give the curves that bend between two prices."""

        def of_block(block: slice) -> Ints:
            return np.flatnonzero(self.points_between(low, high, block).any(axis=0)) + block.start

        found = in_blocks(of_block, len(self.home), threads)
        return self.of(np.concatenate([np.zeros(0, np.int64), *found]))

    def sums(self, price: Floats | float, nodes: int, threads: int) -> tuple[Floats, Floats]:
        """Sum up, by node, the least and the most that is offered at a price."""

        def of_block(block: slice) -> tuple[Floats, Floats]:
            home = self.home[block]
            least, more = offered(self.prices[:, block], self.steps[:, block], at_home(price, home))
            whole = np.floor(least)
            parts = (least - whole + self.grain) - self.grain
            low = np.stack([by_node(whole, home, nodes), by_node(parts, home, nodes)])
            high = low.copy()
            if more is not None:
                high[0] += by_node(more, home, nodes)
            return low, high

        total = np.zeros((2, 2, nodes))
        for ends in in_blocks(of_block, len(self.home), threads):
            total += ends
        return total[0], total[1]


def at_home(price: Floats | float, home: Ints) -> Floats | float:
    """Give each curve the price at its node."""
    return price[home] if isinstance(price, np.ndarray) else price


def by_node(powers: Floats, home: Ints, nodes: int) -> Floats:
    """Sum powers by node."""
    if nodes == 1:
        return powers.sum(keepdims=True)
    return np.bincount(home, powers, nodes).astype(np.float64, copy=False)


class Between(NamedTuple):
    """A closed interval of prices; None is unbounded."""

    low: float | None
    high: float | None

    @classmethod
    def of(cls, low: float, high: float) -> Between:
        """Give the interval between two numbers that may be infinite."""
        return cls(*(float(end) if np.isfinite(end) else None for end in (low, high)))

    @property
    def middle(self) -> float | None:
        """The midpoint; the finite end where the other is open; None where both are."""
        ends = [end for end in self if end is not None]
        return sum(ends) / len(ends) if ends else None


class Ends(NamedTuple):
    """Where each market first has no deficit: the lowest such price, -inf where all are.

    beyond: what that price lacks as a float. surplus: the most that may be left over there.
    """

    price: Floats
    beyond: Floats
    surplus: Floats


def price_ends(
    forest: Forest, curves: Curves, target: Floats, threads: int = 1
) -> tuple[Ends, Floats]:
    """Give the lowest and the highest price at which each market comes to its target."""
    ends = low_ends(forest, curves, target, threads)
    highest = ends.price.copy()
    flat = (ends.surplus <= 0) | np.isneginf(ends.price)
    if flat.any():
        turned = low_ends(
            forest.mirrored(), curves.facing(np.zeros(1, dtype=np.bool_)), -target, threads
        )
        highest[flat] = -turned.price[flat]
    return ends, highest


class _Bound(NamedTuple):
    """One end of each market's bracket.

    Its price, what is offered there by the curves that no longer bend in the bracket, and by
    all; by node, as parted sums.
    """

    price: Floats
    straight: Floats
    total: Floats

    def moved(self, those: Flags, price: Floats, straight: Floats, total: Floats) -> _Bound:
        pairs = zip((price, straight, total), self, strict=True)
        return _Bound(*(np.where(those, new, old) for new, old in pairs))


def low_ends(forest: Forest, curves: Curves, target: Floats, threads: int = 1) -> Ends:
    """Narrow each market's bracket until no curve bends in it, then interpolate.

    Once three in four of the curves are straight within their bracket, they live on as a sum
    alone: all in all, each curve is evaluated some three times, however many there are.
    """
    root, nodes = forest.root, len(forest.root)
    trees = int(np.count_nonzero(forest.parent < 0))
    nothing, surplus = np.zeros(nodes), np.full(nodes, np.inf)
    rest = np.stack([-target, nothing])
    least, most = (
        np.stack([by_node(curves.steps[end], curves.home, nodes), nothing]) for end in (0, -1)
    )
    low = _Bound(np.full(nodes, -FAR), rest, rest + least)
    high = _Bound(np.full(nodes, FAR), rest, rest + most)

    def each(price: Floats) -> Floats | float:
        return float(price[0]) if trees == 1 else price

    some, turn = curves.sample(trees), 0
    while True:
        inside = some.points_between(each(low.price), each(high.price))
        if 4 * np.count_nonzero(inside.any(axis=0)) <= len(some.home):
            curves = curves.that_bend(each(low.price), each(high.price), threads)
            if not len(curves.home):
                break
            _, most = curves.sums(each(low.price), nodes, threads)
            least, _ = curves.sums(each(high.price), nodes, threads)
            low = low._replace(straight=low.total - most)
            high = high._replace(straight=high.total - least)
            some = curves.sample(trees)
            continue
        if trees == 1 and turn % 3 < 2:  # noqa: PLR2004 (two guesses, then surely a half)
            nets = [forest.flows(b.total.sum(0))[0] if turn else b.total.sum() for b in (low, high)]
            tries = _guesses(some, len(curves.home) / len(some.home), low, high, nets)
        else:
            tries = [_mean_points(some, inside, root, nodes)]
        turn += 1
        for price in tries:
            tried = (low.price < price) & (price < high.price)
            way = np.divide(
                price - low.price, high.price - low.price, out=nothing.copy(), where=tried
            )
            straight = low.straight.copy()
            straight[1] += (high.straight - low.straight).sum(axis=0) * way
            least, most = (straight + powers for powers in curves.sums(each(price), nodes, threads))
            under, over = (forest.flows(net.sum(axis=0))[root] for net in (least, most))
            up, down = tried & (over < 0), tried & (over >= 0)
            low = low.moved(up, price, straight, most).moved(
                down & (under < 0), price, straight, least
            )
            high = high.moved(down, price, straight, least)
            surplus = np.where(down, over, surplus)
    return _crossings(forest, low, high, surplus)


def _mean_points(some: Curves, inside: Flags, root: Ints, nodes: int) -> Floats:
    """Choose a price for each market: the mean of the points that remain.

    It lies between two of them, or on all, so that at least one point is done with.
    """
    bend = np.flatnonzero(inside.any(axis=0))
    inside, market = inside[:, bend], root[some.home[bend]]
    first = some.prices[inside.argmax(axis=0), bend]
    last = some.prices[len(inside) - 1 - inside[::-1].argmax(axis=0), bend]
    lowest, highest = np.full((2, nodes), [[FAR], [-FAR]])
    np.minimum.at(lowest, market, first)
    np.maximum.at(highest, market, last)
    points = np.maximum(2 * np.bincount(market, minlength=nodes), 1)
    return np.clip(np.bincount(market, first + last, nodes) / points, lowest, highest)[root]


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def _guesses(
    some: Curves, weight: float, low: _Bound, high: _Bound, nets: list[float]
) -> list[Floats]:
    """Choose two prices, below and above where a sample of one market says that it balances.

    From its balance at the low end of the bracket, the market climbs as the sample does, and
    to the balance at the high end. In between a sample is off by some square roots of
    its points; where it is everyone, not at all.
    """
    prices, steps = some.prices, some.steps
    start, end = float(low.price[0]), float(high.price[0])
    inside = some.points_between(start, end)
    run, rise = prices[1:] - prices[:-1], steps[1:] - steps[:-1]
    slope = np.where(run > 0, rise / run, 0.0)
    bends, jumps = np.zeros_like(prices), np.zeros_like(prices)
    bends[:-1] += slope
    bends[1:] -= slope
    jumps[:-1] = np.where(run > 0, 0.0, rise)
    order = np.argsort(prices[inside])
    price, bend, jump = (part[inside][order] for part in (prices, bends, jumps))
    slopes = np.cumsum(np.append(bends[prices <= start].sum(), bend[:-1]))
    climb = weight * np.cumsum(jump + slopes * np.diff(price, prepend=start))
    climb += (high.straight - low.straight).sum() * ((price - start) / (end - start))
    if weight > 1:
        climb *= (nets[1] - nets[0]) / max(climb[-1], 1.0)
    at = np.searchsorted(climb, -nets[0] - 0.25)
    off = int(2 * np.sqrt(len(price) * (1 - 1 / weight)))
    pair = max(at - 1 - off, 0), min(at + off, len(price) - 1)
    return [np.full(len(low.price), price[each]) for each in pair]


def _crossings(forest: Forest, low: _Bound, high: _Bound, surplus: Floats) -> Ends:
    """Find where markets of straight curves cross zero within their brackets.

    Only the limits of nodes bend there: halve until the same ones bind at both ends.
    """
    at_low: Floats = low.total.sum(axis=0)
    at_high: Floats = high.total.sum(axis=0)
    root, rise = forest.root, at_high - at_low
    start, end = np.zeros_like(rise), np.ones_like(rise)
    before, after = forest.flows(at_low), forest.flows(at_high)
    open_below = (before[root] >= 0) & (low.price == -FAR)
    for _ in range(64):
        binding = np.sign(before - forest.within(before)), np.sign(after - forest.within(after))
        if np.array_equal(*binding):
            break
        middle = (start + end) / 2
        between = forest.flows(at_low + rise * middle)
        short = between[root] < 0
        start, before = np.where(short, middle, start), np.where(short, between, before)
        end, after = np.where(short, end, middle), np.where(short, after, between)
    lack, over = -before[root], after[root]
    crosses = (lack > 0) & (over > 0)
    part = np.divide(lack, lack + over, out=np.ones_like(lack), where=crosses)
    share = start + (end - start) * part
    way = share * (high.price - low.price)
    price = low.price + way
    made = price - low.price
    beyond = (low.price - (price - made)) + (way - made)  # Knuth's TwoSum: what rounding took
    at_end = (over < 0) | (share >= 1)
    return Ends(
        np.where(open_below, -np.inf, np.where(at_end, high.price, price)),
        np.where(open_below | at_end, 0.0, beyond),
        np.where(at_end, surplus, over),
    )

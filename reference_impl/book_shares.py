"""Whole steps: powers in float64 made into integers that sum to exactly what they must.

Belongs here: largest remainders, over one market and down a tree. Does not belong here: prices.
"""

from __future__ import annotations

from dataclasses import replace
from math import fsum
from typing import TYPE_CHECKING

import numpy as np

from gridwitness.reference_impl.book import in_blocks
from gridwitness.reference_impl.book_search import by_node

if TYPE_CHECKING:
    from gridwitness.reference_impl.book import Floats, Ints
    from gridwitness.reference_impl.book_search import Forest


def exact_sum(power: Floats) -> float:
    """Sum whole steps and parts of steps apart, so that the large do not swallow the small."""
    whole = np.floor(power)
    return float(whole.sum() + (power - whole).sum())


def whole_steps(power: Floats, threads: int = 1) -> tuple[Ints, float]:
    """Round powers that sum to nearly zero to whole steps that do so exactly.

    Each is rounded down, and the steps then missing go to the largest remainders, ties in
    order. What no remainder can take is rounding of float64 and goes to the largest power. The
    second result is what the powers summed to; the first argument is used up.
    """
    steps = np.empty(len(power), dtype=np.int64)

    def round_down(block: slice) -> tuple[float, float, Floats]:
        rest = power[block]
        whole = np.floor(rest)
        steps[block] = whole
        rest -= whole
        return float(whole.sum()), float(rest.sum()), rest[rest > 0]

    def round_up(block: slice) -> Ints:
        steps[block] += power[block] > edge
        return np.flatnonzero(power[block] == edge) + block.start

    found = in_blocks(round_down, len(power), threads)
    missing = -int(sum(whole for whole, _, _ in found))
    rests = np.concatenate([np.empty(0), *(above_zero for _, _, above_zero in found)])
    ups = min(max(missing, 0), len(rests))
    if ups:
        edge = np.partition(rests, len(rests) - ups)[len(rests) - ups]
        at_edge = np.concatenate(in_blocks(round_up, len(power), threads))
        steps[at_edge[: ups - np.count_nonzero(rests > edge)]] += 1
    if missing != ups:
        steps[np.abs(steps).argmax()] += missing - ups
    return steps, fsum(part for whole, rest, _ in found for part in (whole, rest))


def steps_by_node(forest: Forest, home: Ints, least: Floats, more: Floats) -> tuple[Ints, Floats]:
    """Share out zero over each tree, pro rata within what its nodes and curves offer.

    least, more: what the curves offer at the price of their home. A node that reaches a limit has
    exactly that limit, and nobody is off by a whole step. Gives the whole steps of each
    curve and, at the roots, what they summed to before they were rounded.
    """
    nodes, roots = len(forest.parent), np.flatnonzero(forest.parent < 0)
    under = forest.flows(by_node(least, home, nodes))
    over = forest.flows(by_node(least + more, home, nodes))
    low, high = forest.within(under), forest.within(over)
    flow, part = np.zeros((2, nodes))
    for floor in [roots, *forest.floors]:
        if floor is not roots:
            flow[floor] = low[floor] + part[forest.parent[floor]] * (high - low)[floor]
        span = (over - under)[floor]
        share = np.divide((flow - under)[floor], span, out=part[floor], where=span > 0)
        part[floor] = np.clip(share, 0, 1)

    rest = least + part[home] * more
    whole = np.floor(rest)
    rest -= whole
    have, left = by_node(whole, home, nodes), by_node(rest, home, nodes)
    fixed = (forest.parent < 0) | (flow <= forest.least) | (flow >= forest.most)
    goal, spill = np.where(fixed, flow, 0.0), np.zeros(nodes)
    for floor in reversed(forest.floors):
        above, free = forest.parent[floor], ~fixed[floor]
        goal[floor] += free * (have + np.floor(left))[floor]
        spill[floor] = free * (left % 1)[floor]
        have += by_node(goal[floor], above, nodes)
        left += by_node(spill[floor], above, nodes)

    missing = goal - have
    uneven, spilling = np.flatnonzero(rest), np.flatnonzero(spill)
    holder = np.concatenate([home[uneven], forest.parent[spilling]])
    rank, count = _ranks(np.concatenate([rest[uneven], spill[spilling]]), holder, nodes)
    rank_of_node = np.full(nodes, np.inf)
    rank_of_node[spilling] = rank[len(uneven) :]
    for floor in forest.floors:
        missing[floor] += rank_of_node[floor] < missing[forest.parent[floor]]
    steps = whole.astype(np.int64)
    steps[uneven[rank[: len(uneven)] < missing[home[uneven]]]] += 1
    beyond = missing - np.clip(missing, 0, count)
    for node in np.flatnonzero(beyond):  # rounding of float64, as in `whole_steps`
        apart = replace(forest, parent=np.where(fixed, -1, forest.parent))
        steps[np.where(apart.root[home] == node, np.abs(steps), -1).argmax()] += int(beyond[node])
    return steps, have + left


def _ranks(rests: Floats, holder: Ints, holders: int) -> tuple[Ints, Ints]:
    """Rank what each holder has, the largest first, ties in order; and count it.

    A remainder counts to 2**-32 of a step, finer than float64 knows it of a large power; keys
    of two bytes are sorted by radix, in linear time.
    """
    smallness = ~(rests * 2.0**32).astype(np.uint32)
    fine, coarse = smallness.astype(np.uint16), (smallness >> 16).astype(np.uint16)
    order = np.lexsort((fine, coarse, holder.astype(np.min_scalar_type(holders))))
    count = np.bincount(holder, minlength=holders)
    rank = np.empty(len(rests), dtype=np.int64)
    rank[order] = np.arange(len(rests)) - np.repeat(np.cumsum(count) - count, count)
    return rank, count

"""Clearing a market in arrays within the flow limits of a radial grid.

Belongs here: the same results as `clear_grid`, at national scale. Does not belong here: markets
without a grid (book_clearing), how a price is searched for (book_search).

What a node's subtree offers its parent at a price is what stands below offers at that price,
kept within the node's limits. So one price searched from the root settles all that no
limit binds. Where one binds, the node is a market of its own, which must come to the limit;
all such nodes are searched at once, and then those within them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gridwitness.reference_impl.book import in_steps, offered_by_all
from gridwitness.reference_impl.book_search import (
    Between,
    Curves,
    Forest,
    by_node,
    low_ends,
    price_ends,
)
from gridwitness.reference_impl.book_shares import steps_by_node
from gridwitness.reference_impl.curves import OfferError, OfferProblem

if TYPE_CHECKING:
    from gridwitness.reference_impl.book import Book, Flags, Floats, Ints
    from gridwitness.reference_impl.clearing import Status


class TreeClearing(NamedTuple):
    """One interval cleared within flow limits.

    status, prices, price_per_kwh, power_steps: as of `BookClearing`, at the root. Of each node:
    its price, what its own limit adds to its parent's (above zero where the forward limit
    binds, below where the reverse one does, the smallest in size that is right), and the
    net export of its subtree in whole steps.
    """

    status: Status
    prices: Between
    price_per_kwh: float | None
    power_steps: Ints
    node_price: Floats
    adder: Floats
    flow_steps: Ints


def clear_tree(  # noqa: PLR0913 (each is an array of the grid)
    book: Book,
    node_of: Ints,
    parent: Ints,
    max_forward_kw: Floats,
    max_reverse_kw: Floats,
    threads: int = 1,
) -> TreeClearing:
    """Clear one interval within the flow limits of a radial grid.

    Parameters
    ----------
    node_of : int64, shape (participants,)
        Where each stands; -1 is the root.
    parent : int64, shape (nodes,)
        The node above each; -1 is the root.
    max_forward_kw, max_reverse_kw : float64, shape (nodes,)
        How much may flow towards the loads, and back; infinite where there is no limit.

    A subtree that cannot keep within its limits makes the market not clearable. Raises
    OfferError for a node that there is not (E_UNKNOWN_NODE), nodes in a circle (E_NOT_RADIAL),
    and a limit below zero (E_NEGATIVE_LIMIT) or finer than a step (E_FINER_THAN_STEP).

    Source: reference_impl/README.md, Grid.
    """
    forest, home = _rooted(book, node_of, parent, max_forward_kw, max_reverse_kw)
    nodes = len(forest.parent)
    stuck = _stuck(forest, home, book)
    if stuck is not None:
        return stuck
    curves = Curves.at(book.prices, book.steps, home)
    ends, highest = price_ends(forest, curves, np.zeros(nodes), threads)
    prices = Between.of(ends.price[0], highest[0])
    price, beyond = np.full(nodes, prices.middle or 0.0), np.full(nodes, ends.beyond[0])
    here, past = float(price[0]), float(beyond[0])
    least, more = offered_by_all(book.prices, book.steps, here, past, threads)
    low, high = by_node(least, home, nodes), by_node(least + more, home, nodes)
    bound, fixed = np.zeros(nodes, dtype=np.bool_), forest
    while True:
        lacking, excess = fixed.flows(high) < fixed.least, fixed.flows(low) > fixed.most
        new = _highest(forest, (lacking | excess) & ~bound)
        if not new.any():
            break
        bound |= new
        limit = np.where(lacking, fixed.least, fixed.most)
        floor, ceiling = np.where(new, limit, fixed.least), np.where(new, limit, fixed.most)
        fixed = replace(fixed, least=floor, most=ceiling)
        part, chosen, sign = _bound_trees(forest, bound, new, lacking)
        number = np.full(nodes, -1)
        number[chosen] = np.arange(len(chosen))
        mine = np.flatnonzero(number[home] >= 0)
        own = curves.of(mine)
        at = number[own.home]
        facing = own._replace(home=at).facing(sign[at] > 0)
        found = low_ends(part, facing, sign * np.where(new, limit, 0.0)[chosen], threads)
        higher = found.price[part.root] > sign * price[chosen]  # but for rounding, it always is
        price[chosen] = np.where(higher, (sign * found.price)[part.root], price[chosen])
        beyond[chosen] = np.where(higher, (sign * found.beyond)[part.root], beyond[chosen])
        here, past = price[own.home], beyond[own.home]
        least[mine], more[mine] = offered_by_all(own.prices, own.steps, here, past, threads)
        low[chosen] = by_node(least[mine], at, len(chosen))
        high[chosen] = low[chosen] + by_node(more[mine], at, len(chosen))
    steps, _ = steps_by_node(fixed, home, least, more)
    unlimited = replace(forest, least=np.full(nodes, -np.inf), most=np.full(nodes, np.inf))
    flows = unlimited.flows(by_node(steps.astype(np.float64), home, nodes)).astype(np.int64)
    no_price = prices == Between(None, None) and not bound.any()
    return TreeClearing(
        "CLEARED" if steps.any() else "CLEARED_ZERO",
        prices,
        None if no_price else float(price[0]),
        steps,
        np.full(nodes - 1, np.nan) if no_price else price[1:],
        np.where(bound, price - price[forest.parent], 0.0)[1:],
        flows[1:],
    )


def _rooted(
    book: Book, node_of: Ints, parent: Ints, max_forward_kw: Floats, max_reverse_kw: Floats
) -> tuple[Forest, Ints]:
    """Put the root before all nodes, and give where each participant then stands."""
    limits = in_steps(np.stack([max_forward_kw, max_reverse_kw]), book.step_kw)
    nodes = np.append(-1, parent + 1)
    forest = Forest(nodes, np.append(-np.inf, -limits[0]), np.append(np.inf, limits[1]))
    everyone = np.concatenate([parent, node_of])
    for code, wrong, message in (
        ("E_UNKNOWN_NODE", (everyone < -1) | (everyone >= len(parent)), "stands at no node"),
        ("E_NEGATIVE_LIMIT", ~(limits >= 0), "lets less than nothing through"),
        ("E_FINER_THAN_STEP", np.floor(limits) != limits, "has a limit finer than a step"),
    ):
        if wrong.any():
            raise OfferError(OfferProblem(code, None, f"a node or participant {message}"))
    if sum(map(len, forest.floors)) < len(parent):
        raise OfferError(OfferProblem("E_NOT_RADIAL", None, "some nodes do not lead to the root"))
    return forest, node_of + 1


def _stuck(forest: Forest, home: Ints, book: Book) -> TreeClearing | None:
    """Tell whether the least below some node is too much for it, or the most too little."""
    nothing, nowhere = np.zeros(0, dtype=np.int64), np.full(len(forest.parent) - 1, np.nan)
    none = Between(None, None)
    sides: list[tuple[Status, Forest, Floats]] = [
        ("NOT_CLEARABLE_SURPLUS", forest, book.steps[0]),
        ("NOT_CLEARABLE_DEFICIT", forest.mirrored(), -book.steps[-1]),
    ]
    for status, turned, powers in sides:
        most = np.append(0.0, turned.most[1:])
        if (turned.flows(by_node(powers, home, len(most))) > most).any():
            return TreeClearing(status, none, None, nothing, nowhere, nowhere, nothing)
    return None


def _highest(forest: Forest, nodes: Flags) -> Flags:
    """Keep those of the nodes that have none of them above."""
    below = np.zeros_like(nodes)
    for floor in forest.floors:
        above = forest.parent[floor]
        below[floor] = nodes[above] | below[above]
    return nodes & ~below


def _bound_trees(
    forest: Forest, bound: Flags, new: Flags, lacking: Flags
) -> tuple[Forest, Ints, Floats]:
    """Take the subtrees of newly bound nodes as markets of their own, each turned upwards.

    Where the forward limit binds, the lowest price at which enough is offered is sought. Where
    the reverse one does, it is the highest at which little enough is: the same, with prices
    and powers turned round. Gives the markets, their nodes, and the sign of each.
    """
    apart = replace(forest, parent=np.where(bound, -1, forest.parent))
    chosen = np.flatnonzero(new[apart.root])
    above, up = apart.parent[chosen], lacking[apart.root[chosen]]
    parent = np.where(above < 0, -1, np.searchsorted(chosen, above))
    least, most = forest.least[chosen], forest.most[chosen]
    part = Forest(parent, np.where(up, least, -most), np.where(up, most, -least))
    return part, chosen, np.where(up, 1.0, -1.0)

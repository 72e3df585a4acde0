"""Large market files: the same answers as of small ones, by arrays.

Belongs here: the typed reader of a market file, its way into arrays and back. Does not
belong here: what is wrong with a file (market_file reads it again, carefully, to say so).

A market of thousands is read as float64 and computed in whole steps of its
resolution; what looks wrong in a claimed result is judged again, exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gridwitness.errors import UserError
from gridwitness.reference_impl.book import Book, suspects
from gridwitness.reference_impl.book_clearing import clear_book
from gridwitness.reference_impl.book_grid import clear_tree
from gridwitness.reference_impl.clearing import ROOT, Bid, Bounds, Clearing
from gridwitness.reference_impl.curves import Curve, OfferError, Point, Prices
from gridwitness.reference_impl.equilibrium import local_prices, of_one, of_the_whole
from gridwitness.reference_impl.grid import GridClearing
from gridwitness.user_json import LARGEST, SMALLEST, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gridwitness.dialects.base import Json
    from gridwitness.reference_impl.book import Floats
    from gridwitness.reference_impl.book_clearing import BookClearing
    from gridwitness.reference_impl.book_grid import TreeClearing
    from gridwitness.reference_impl.clearing import Quantum
    from gridwitness.reference_impl.equilibrium import Claim, Market, Tolerance, Violation
    from gridwitness.reference_impl.grid import Grid

COARSER = 3
"""A book that is too large at its resolution is held at one this many powers of ten coarser."""


class _Point(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    price: float
    powerKW: float  # noqa: N815 (the file's own key)


class _Offer(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    currency: str
    minExport: float  # noqa: N815
    maxExport: float  # noqa: N815
    curve: list[_Point]


class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    offerCurve: _Offer  # noqa: N815
    approvedMaxTradeKW: float = math.inf  # noqa: N815
    node: str | None = None


class _File(msgspec.Struct):
    participants: list[_Row]
    market: msgspec.Raw = msgspec.Raw(b"null")
    result: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, eq=False)
class LargeBids:
    """Many bids as they were read: names, nodes, and offers in kW as float64.

    prices, powers_kw: shape (points, participants); a curve with fewer points repeats
    its last one. limits_kw: infinite where there is none. market, result: the rest of the file.
    """

    names: list[str]
    nodes: list[str]
    currency: str
    prices: Floats
    powers_kw: Floats
    limits_kw: Floats
    market: Json
    result: Json

    def book(self, bounds: Bounds, grid: Grid, quantum: Quantum) -> Book | None:
        """Put the bids into a book at their own nodes' published prices.

        The steps are those of the quantum, or larger up to a thousand times where there would
        be too many. None where arrays cannot hold the market, or somebody has to look closer.
        """
        floor, known = bounds.floor_per_kwh, {ROOT, *grid.nodes, *grid.adders_per_kwh}
        if (floor is not None and self.prices[0].min() < float(floor)) or set(self.nodes) - known:
            return None
        adders = grid.adders_per_kwh
        shift = np.array([float(adders.get(node, 0)) for node in self.nodes]) if adders else None
        for larger in range(COARSER + 1):
            step_kw = quantum.power_kw.scaleb(larger)
            try:
                return Book.of_kw(self.prices, self.powers_kw, self.limits_kw, shift, step_kw)
            except OfferError as error:
                if error.problem.code != "E_TOO_MANY_STEPS":
                    return None
        return None

    def bid(self, index: int) -> Bid:
        """Give one bid exactly as it was read: each number the shortest of its float64."""
        pairs = zip(self.prices[:, index].tolist(), self.powers_kw[:, index].tolist(), strict=True)
        points = tuple(Point(_decimal(price), _decimal(power)) for price, power in pairs)
        limit = float(self.limits_kw[index])
        return Bid(
            self.names[index],
            Curve(self.currency, points[0].power_kw, points[-1].power_kw, points),
            None if math.isinf(limit) else _decimal(limit),
            self.nodes[index],
        )


def _decimal(number: float) -> Decimal:
    return Decimal(int(number) if number.is_integer() else repr(number))


def read_large(raw: bytes) -> LargeBids | None:
    """Read the bids of a file fast; None where anything in them needs a careful look."""
    try:
        file = msgspec.json.decode(raw, type=_File)
        market, result = parse(bytes(file.market)), parse(bytes(file.result))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, UserError):
        return None
    rows = file.participants
    names = [row.id for row in rows]
    offers = [row.offerCurve for row in rows]
    currencies = {offer.currency for offer in offers}
    points = np.array([len(offer.curve) for offer in offers], dtype=np.int64)
    if len(currencies) != 1 or not all(currencies) or not all(names) or not points.all():
        return None
    if len(set(names)) < len(names):
        return None
    flat = np.fromiter(
        (number for offer in offers for p in offer.curve for number in (p.price, p.powerKW)),
        np.float64,
        2 * int(points.sum()),
    ).reshape(-1, 2)
    last = np.cumsum(points) - 1
    at = np.minimum(last - points + 1 + np.arange(int(points.max()))[:, None], last)
    flat += 0.0  # a zero has no sign
    sizes = np.abs(flat[flat != 0])
    if sizes.size and not SMALLEST <= sizes.min() <= sizes.max() < LARGEST:
        return None
    prices, powers_kw = flat[at, 0], flat[at, 1]
    ends = np.array([(offer.minExport, offer.maxExport) for offer in offers]).T
    if not np.array_equal(ends, powers_kw[[0, -1]]):
        return None
    return LargeBids(
        names,
        [ROOT if row.node is None else row.node for row in rows],
        currencies.pop(),
        prices,
        powers_kw,
        np.array([row.approvedMaxTradeKW for row in rows]),
        market,
        result,
    )


def clear_large(
    bids: LargeBids, book: Book, bounds: Bounds, grid: Grid, quantum: Quantum
) -> Clearing | None:
    """Clear by arrays; None where they do not go: bounds on the price of a grid with limits."""
    if not (grid.nodes or grid.adders_per_kwh):
        return _result(bids, book, quantum, clear_book(book, bounds))
    if bounds != Bounds():
        return None
    places = {name: index for index, name in enumerate(grid.nodes)}
    nodes = list(grid.nodes.values())
    try:
        tree = clear_tree(
            book,
            np.array([places.get(node, -1) for node in bids.nodes], dtype=np.int64),
            np.array([places.get(node.parent, -1) for node in nodes], dtype=np.int64),
            _limits(node.max_forward_kw for node in nodes),
            _limits(node.max_reverse_kw for node in nodes),
        )
    except OfferError:  # a limit finer than the steps of the book
        return None
    root = _result(bids, book, quantum, tree)
    if not root.power_kw:
        return GridClearing(**vars(root), node_prices={}, adders={}, flows_kw={})
    priced = root.price_per_kwh is not None
    at = {ROOT: root.price_per_kwh or Decimal(0)}
    for name, k in places.items():
        at[name] = quantum.to_tick(Fraction(tree.node_price[k])) if priced else at[ROOT]
    return GridClearing(
        **vars(root),
        node_prices=grid.node_prices(at) if priced else {},
        adders={name: at[name] - at[node.parent] for name, node in grid.nodes.items()},
        flows_kw={name: int(tree.flow_steps[k]) * book.step_kw for name, k in places.items()},
    )


def _limits(limits_kw: Iterable[Decimal | None]) -> Floats:
    return np.array([math.inf if limit is None else float(limit) for limit in limits_kw])


def _result(
    bids: LargeBids, book: Book, quantum: Quantum, found: BookClearing | TreeClearing
) -> Clearing:
    low, high = (None if end is None else Fraction(end) for end in found.prices)
    price = found.price_per_kwh
    return Clearing(
        found.status,
        Prices(low, high),
        None if price is None else quantum.to_tick(Fraction(price)),
        {
            name: steps * book.step_kw
            for name, steps in zip(bids.names, found.power_steps.tolist(), strict=False)
        },
    )


def judge_large(
    bids: LargeBids, book: Book, market: Market, claim: Claim, tolerance: Tolerance
) -> list[Violation] | None:
    """Judge a claim by arrays, and exactly whom they suspect; None where arrays do not go.

    They go where a market is claimed to have cleared at one price, without limits on flows,
    for just those who bid.
    """
    plain = claim.status in ("CLEARED", "CLEARED_ZERO") and claim.price_per_kwh is not None
    if not plain or market.grid.nodes or set(claim.power_kw) != set(bids.names):
        return None
    if not all(number.is_finite() for number in claim.numbers):
        return None
    powers = np.array([float(claim.power_kw[name]) for name in bids.names])
    _, whom = suspects(
        book,
        float(claim.price_per_kwh or 0),
        powers,
        float(tolerance.price_per_kwh),
        float(tolerance.power_kw),
    )
    suspected = [
        bids.bid(index) for index in whom.tolist() if bids.names[index] not in claim.off_curve
    ]
    local = local_prices(market, claim, tolerance)
    return [
        *of_the_whole(market, claim, tolerance, local),
        *(v for bid in suspected for v in of_one(bid, local[bid.node], claim, tolerance)),
    ]

"""Trees in arrays: worked examples of congestion, the exact reference, and a linear program."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridwitness.reference_impl.book import Book
from gridwitness.reference_impl.book_clearing import clear_book
from gridwitness.reference_impl.book_grid import TreeClearing, clear_tree
from gridwitness.reference_impl.clearing import ROOT, Bid
from gridwitness.reference_impl.curves import OfferError
from gridwitness.reference_impl.grid import Grid, Node, clear_grid
from tests.test_book import MILLIWATT, agrees, bids, book, steps_of

FREE = np.inf


def tree(
    curves: list[tuple[int, tuple[tuple[float, float], ...]]], *nodes: tuple[int, float, float]
) -> TreeClearing:
    """Clear curves, each at a node; a node is its parent, and its forward and reverse limit."""
    parent, forward, reverse = (np.array(part) for part in zip(*nodes, strict=True))
    home = np.array([node for node, _ in curves])
    offers = book(*(curve for _, curve in curves))
    return clear_tree(offers, home, parent, forward.astype(float), reverse.astype(float))


def kw(steps: np.ndarray) -> list[float]:
    return [one / 1e6 for one in steps.tolist()]


SELLER = ((1, 0), (3, 20))  # 10 kW more for each currency unit
BUYER = ((5, -12), (9, 0))  # 3 kW less for each


def test_where_imports_are_limited_the_local_price_is_higher():
    # 5 kW may flow to the node: the root's seller gives them at 1.5. Below, at p, are sold
    # 2 (p - 4) and wanted 3 (9 - p) kW: the 5 kW between them are missing at 6.
    result = tree([(-1, SELLER), (0, ((4, 0), (8, 8))), (0, BUYER)], (-1, 5, 100))
    assert result.price_per_kwh == pytest.approx(1.5)
    assert kw(result.power_steps) == [5, 4, -9]
    assert (result.node_price, result.adder) == (pytest.approx([6]), pytest.approx([4.5]))
    assert kw(result.flow_steps) == [-5]


def test_where_exports_are_limited_the_local_price_is_lower():
    # 8 kW may flow up: they are offered at 1.8, and wanted at 9 - 8 / 3.75 = 103/15.
    result = tree([(0, SELLER), (-1, ((5, -15), (9, 0)))], (-1, 100, 8))
    assert result.price_per_kwh == pytest.approx(103 / 15)
    assert (result.node_price, result.adder) == (pytest.approx([1.8]), pytest.approx([-76 / 15]))
    assert kw(result.power_steps) == [8, -8]


def test_a_limit_that_is_just_reached_adds_nothing():
    result = tree([(0, steps_of(2, 8)), (-1, steps_of(6, -8))], (-1, 100, 8))
    assert (result.prices, result.price_per_kwh) == ((2, 6), 4)
    assert (result.node_price.tolist(), result.adder.tolist()) == ([4], [0])
    assert kw(result.flow_steps) == [8]


def test_an_adder_jumps_across_a_range_where_power_does_not_change():
    # The battery gives 6 kW from 0.12 to 0.30, and 4 kW at 0.1 + 0.02 * 4/6.
    battery = ((0.1, 0), (0.12, 6), (0.3, 6), (0.35, 9))
    result = tree([(0, battery), (-1, steps_of(0.4, -6))], (-1, 50, 4))
    assert result.price_per_kwh == 0.4
    assert result.node_price == pytest.approx([0.34 / 3])
    assert kw(result.power_steps) == [4, -4]


def test_a_limit_within_a_limit_binds_at_a_price_of_its_own():
    # The city may export 6 kW and its feeder 2 of them. The feeder's seller gives them at
    # 1.2, the city's the other 4 at 1.4, and 6 are wanted at 9 - 6/3 = 7.
    sellers = [(1, SELLER), (0, SELLER)]
    result = tree([*sellers, (-1, BUYER)], (-1, FREE, 6), (0, FREE, 2))
    assert result.price_per_kwh == pytest.approx(7)
    assert result.node_price == pytest.approx([1.4, 1.2])
    assert result.adder == pytest.approx([-5.6, -0.2])
    assert kw(result.power_steps) == [2, 4, -6]
    assert kw(result.flow_steps) == [6, 2]


def test_where_a_limit_ends_the_climb_any_higher_price_will_do():
    # The seller gives 3 kW at 1.9, and lets no more through; 3 are wanted at any price.
    result = tree([(0, ((1, 0), (4, 10))), (-1, ((5, -3),))], (-1, FREE, 3))
    assert result.prices == (pytest.approx(1.9, rel=1e-12), None)
    assert result.adder.tolist() == [0]
    assert kw(result.power_steps) == [3, -3]


def test_a_tie_at_one_price_is_shared_within_the_limits():
    # 9 kW are wanted of two sellers of 10 at one price, of which one can export but 3.
    result = tree([(0, steps_of(5, 10)), (-1, steps_of(5, 10)), (-1, steps_of(8, -9))], (-1, 0, 3))
    assert result.price_per_kwh == 5
    assert result.adder.tolist() == [0]
    # Of 13 kW that come to the root at 5, 9 are wanted: 9/13 of each.
    assert result.power_steps.tolist() == [2_076_923, 6_923_077, -9_000_000]


def test_where_nothing_depends_on_the_price_there_is_none():
    result = tree([(0, ((5, 2),)), (-1, ((5, -2),))], (-1, 3, 3))
    assert (result.status, result.price_per_kwh) == ("CLEARED", None)
    assert np.isnan(result.node_price).all()


def test_a_tree_without_nodes_is_a_market():
    random = np.random.default_rng(6)
    prices = np.sort(random.random((3, 500)), axis=0)
    steps = np.sort(random.integers(-(10**7), 10**7, (3, 500)), axis=0).astype(float)
    market, none = Book(prices, steps), np.zeros(0)
    flat = clear_book(market)
    result = clear_tree(market, np.full(500, -1), np.zeros(0, dtype=np.int64), none, none)
    assert result[:3] == flat[:3]
    assert np.abs(result.power_steps - flat.power_steps).max() <= 1


@pytest.mark.parametrize(
    ("status", "curves", "nodes"),
    [
        ("NOT_CLEARABLE_SURPLUS", [(0, ((5, 4), (6, 9))), (-1, steps_of(8, -9))], [(-1, 9, 3)]),
        ("NOT_CLEARABLE_DEFICIT", [(0, ((5, -9), (6, -4))), (-1, steps_of(3, 9))], [(-1, 3, 9)]),
        # Each side could balance within the limits, but not both through them.
        ("NOT_CLEARABLE_DEFICIT", [(0, steps_of(1, 9)), (-1, ((5, -9), (6, -4)))], [(-1, 9, 3)]),
        ("NOT_CLEARABLE_SURPLUS", [(0, steps_of(1, -9)), (-1, ((5, 4), (6, 9)))], [(-1, 3, 9)]),
    ],
)
def test_what_cannot_keep_within_its_limits_is_not_clearable(status: str, curves, nodes):
    result = tree(curves, *nodes)
    assert (result.status, result.prices, result.price_per_kwh) == (status, (None, None), None)
    assert len(result.power_steps) == len(result.flow_steps) == 0


@pytest.mark.parametrize(
    ("code", "home", "node"),
    [
        ("E_UNKNOWN_NODE", 0, (1, 5, 5)),
        ("E_UNKNOWN_NODE", 0, (-2, 5, 5)),
        ("E_UNKNOWN_NODE", 1, (-1, 5, 5)),
        ("E_NEGATIVE_LIMIT", 0, (-1, -5, 5)),
        ("E_NEGATIVE_LIMIT", 0, (-1, 5, np.nan)),
        ("E_FINER_THAN_STEP", 0, (-1, 5, 0.0000005)),
        ("E_NOT_RADIAL", 0, (0, 5, 5)),
    ],
)
def test_a_grid_that_is_none_is_refused(code: str, home: int, node: tuple[int, float, float]):
    with pytest.raises(OfferError, match=code):
        tree([(home, SELLER)], node)


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[Bid], list[int], Grid]:
    """Give bids, their nodes, and a grid whose nodes are numbered in any order."""
    count = draw(st.integers(1, 5))
    label = draw(st.permutations(range(count)))
    above = [draw(st.integers(-1, node - 1)) for node in range(count)]
    limit = st.none() | st.integers(0, 60).map(lambda n: Decimal(n) / 4)
    nodes = {
        f"n{label[node]}": Node(
            ROOT if above[node] < 0 else f"n{label[above[node]]}", draw(limit), draw(limit)
        )
        for node in range(count)
    }
    market = draw(st.lists(bids(), min_size=1, max_size=10))
    home = [draw(st.integers(-1, count - 1)) for _ in market]
    named = [
        Bid(f"p{i}", bid.curve, bid.limit_kw, ROOT if node < 0 else f"n{node}")
        for i, (bid, node) in enumerate(zip(market, home, strict=True))
    ]
    return named, home, Grid(dict(sorted(nodes.items())))


def cleared(market: list[Bid], home: list[int], grid: Grid) -> TreeClearing:
    parent = [-1 if node.parent == ROOT else int(node.parent[1:]) for node in grid.nodes.values()]
    limits = [(node.max_forward_kw, node.max_reverse_kw) for node in grid.nodes.values()]
    forward, reverse = (
        np.array([FREE if limit is None else float(limit) for limit in side])
        for side in zip(*limits, strict=True)
    )
    return clear_tree(Book.of(market), np.array(home), np.array(parent), forward, reverse)


@settings(max_examples=300, deadline=None)
@given(trees())
def test_a_tree_clears_as_the_exact_reference_does(case: tuple[list[Bid], list[int], Grid]):
    market, _, grid = case
    exact, result = clear_grid(market, grid, MILLIWATT), cleared(*case)
    assert result.status[:13] == exact.status[:13]
    if result.status.startswith("NOT_CLEARABLE"):
        return
    assert all(map(agrees, exact.price_interval, result.prices))
    assert (result.price_per_kwh is None) == (exact.price_per_kwh is None)
    assert int(result.power_steps.sum()) == 0
    for power_kw, steps in zip(exact.power_kw.values(), result.power_steps, strict=True):
        assert abs(power_kw * 10**6 - int(steps)) <= 1
    for k, (name, node) in enumerate(grid.nodes.items()):
        adder, flow = result.adder[k], int(result.flow_steps[k])
        assert adder == pytest.approx(float(exact.adders[name]), abs=2e-9)
        assert abs(exact.flows_kw[name] * 10**6 - flow) <= 1
        low, high = node.max_forward_kw, node.max_reverse_kw
        assert low is None or flow >= -low * 10**6
        assert high is None or flow <= high * 10**6
        assert adder <= 0 or flow == -low * 10**6
        assert adder >= 0 or flow == high * 10**6


OFFERS = st.lists(
    st.tuples(st.integers(-1, 2), st.integers(1, 20), st.integers(-9, 9)), min_size=2, max_size=8
)


@settings(max_examples=100, deadline=None)
@given(OFFERS, st.lists(st.integers(0, 12), min_size=6, max_size=6))
def test_a_tree_of_steps_gains_as_much_as_a_linear_program(offers, limits):
    # Three nodes: 1 and 2 below 0. Whoever sells w kW at a price, or buys -w, gains most in sum.
    nodes = [(-1, *limits[:2]), (0, *limits[2:4]), (0, *limits[4:])]
    curves = [(home, steps_of(price, width)) for home, price, width in offers]
    result = tree(curves, *nodes)
    price, width = (np.array([float(offer[k]) for offer in offers]) for k in (1, 2))
    below = {-1: [], 0: [0], 1: [0, 1], 2: [0, 2]}
    inside = np.array([[node in below[home] for home, _, _ in offers] for node in range(3)], float)
    best = linprog(
        price,
        A_ub=np.concatenate([inside, -inside]),
        b_ub=[*(reverse for _, _, reverse in nodes), *(forward for _, forward, _ in nodes)],
        A_eq=[np.ones(len(offers))],
        b_eq=[0],
        bounds=[(min(w, 0), max(w, 0)) for w in width],
    )
    assert best.success
    assert price @ (result.power_steps / 1e6) == pytest.approx(best.fun, abs=1e-4)
    assert np.array_equal(inside @ result.power_steps, result.flow_steps)


def test_many_feeders_keep_their_limits_to_the_step():
    random = np.random.default_rng(7)
    count, feeders, cities = 20_000, 200, 10
    prices = np.sort(random.random((3, count)), axis=0)
    steps = np.sort(random.integers(-(10**7), 10**7, (3, count)), axis=0).astype(float)
    home = random.integers(0, cities + feeders, count)
    parent = np.concatenate([np.full(cities, -1), np.arange(feeders) % cities])
    limit = np.concatenate([np.full(cities, 50.0), np.full(feeders, 40.0)])
    result = clear_tree(Book(prices, steps), home, parent, limit, limit, threads=2)
    bound = result.adder != 0
    assert bound[:cities].any()
    assert bound[cities:].any()
    assert not bound.all()
    assert np.array_equal(np.abs(result.flow_steps[bound]), limit[bound] * 1e6)
    assert (np.abs(result.flow_steps) <= limit * 1e6).all()
    assert result.power_steps.sum() == 0

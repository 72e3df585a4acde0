"""The grid: worked examples of congestion, commands, and an independent solver that agrees."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridwitness.reference_impl.clearing import ROOT, Bid, Bounds, Quantum, clear
from gridwitness.reference_impl.curves import OfferError, aggregate
from gridwitness.reference_impl.equilibrium import (
    Claim,
    Market,
    Tolerance,
    feasible,
    violations,
)
from gridwitness.reference_impl.grid import (
    Grid,
    GridClearing,
    Node,
    clear_grid,
    command_offsets,
    load_adder,
    supply,
    uplift_per_h,
)
from tests.test_clearing import bid as bid_at_root
from tests.test_clearing import books, powers

if TYPE_CHECKING:
    from collections.abc import Mapping

FINE = Quantum(Decimal("1e-9"), Decimal("1e-6"))
SELLER = (("1", "0"), ("3", "20"))  # 10 kW more for each currency unit
BUYER = (("5", "-12"), ("9", "0"))  # 3 kW less for each


def bid(name: str, *points: tuple[str, str], node: str = ROOT, limit: str | None = None) -> Bid:
    plain = bid_at_root(name, *points, limit=limit)
    return Bid(name, plain.curve, plain.limit_kw, node)


def node(forward: str | None, reverse: str | None, parent: str = ROOT) -> Node:
    return Node(
        parent, *(None if limit is None else Decimal(limit) for limit in (forward, reverse))
    )


def claimed(result: GridClearing) -> Claim:
    return Claim(
        result.status, result.price_per_kwh, result.power_kw, result.adders, result.node_prices
    )


def violated(bids: list[Bid], grid: Grid, result: GridClearing) -> list[str]:
    found = violations(Market(bids, grid=grid), claimed(result), Tolerance.of(FINE))
    return [f"{one.code}: {one.message}" for one in found]


def shown(numbers: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: f"{number.normalize():f}" for name, number in numbers.items()}


IMPORTING = [
    bid("far", *SELLER),
    bid("near", ("4", "0"), ("8", "8"), node="B"),
    bid("load", *BUYER, node="B"),
]


def test_where_the_forward_limit_binds_the_local_price_is_higher():
    # 5 kW come in, from the far seller at 1.5. Inside, the near seller gives 2 (p - 4) and the
    # load draws 3 (9 - p): 27 - 3p = 5 + 2p - 8, so p = 6.
    grid = Grid({"B": node("5", "100")})
    result = clear_grid(IMPORTING, grid, FINE)
    assert shown(result.node_prices) == {"root": "1.5", "B": "6"}
    assert shown(result.adders) == {"B": "4.5"}
    assert powers(result) == {"far": "5", "near": "4", "load": "-9"}
    assert shown(result.flows_kw) == {"B": "-5"}
    assert violated(IMPORTING, grid, result) == []


def test_where_the_reverse_limit_binds_the_local_price_is_lower():
    # 8 of 20 kW get out, offered from 1.8 up; outside, 15 - 15/4 (p - 5) = 8 at p = 103/15.
    bids = [bid("roof", *SELLER, node="B"), bid("load", ("5", "-15"), ("9", "0"))]
    grid = Grid({"B": node("100", "8")})
    result = clear_grid(bids, grid, FINE)
    assert result.price_interval == (Fraction(103, 15), Fraction(103, 15))
    assert shown(result.node_prices) == {"root": "6.866666667", "B": "1.8"}
    assert powers(result) == {"roof": "8", "load": "-8"}
    assert violated(bids, grid, result) == []


def test_a_limit_that_is_just_reached_adds_nothing():
    bids = [
        bid("roof", ("2", "0"), ("2", "8"), node="B"),
        bid("load", ("6", "-8"), ("6", "0")),
    ]
    result = clear_grid(bids, Grid({"B": node("100", "8")}), FINE)
    assert result.price_interval == (2, 6)
    assert shown(result.adders) == {"B": "0"}


def test_an_adder_jumps_over_a_flat_stretch():
    # 6 kW are offered from 0.12 to 0.30: to let out 4, the local price has to fall below
    # 0.12, to 0.10 + 0.02 * 4/6.
    bids = [
        bid("store", ("0.10", "0"), ("0.12", "6"), ("0.30", "6"), ("0.35", "9"), node="B"),
        bid("load", ("0.40", "-6"), ("0.40", "0")),
    ]
    result = clear_grid(bids, Grid({"B": node("50", "4")}), FINE)
    assert shown(result.node_prices) == {"root": "0.4", "B": "0.113333333"}


def test_limits_bind_one_inside_the_other():
    # The street lets 3 kW out, the town 2: the town's limit costs more on top.
    bids = [
        bid("roof", *SELLER, node="street"),
        bid("wind", ("2", "0"), ("4", "20"), node="town"),
        bid("load", *BUYER),
    ]
    grid = Grid({"street": node("9", "1", parent="town"), "town": node("9", "2")})
    result = clear_grid(bids, grid, FINE)
    assert shown(result.flows_kw) == {"town": "2", "street": "1"}
    assert shown(result.node_prices) == {"root": "8.333333333", "town": "2.1", "street": "1.1"}
    assert violated(bids, grid, result) == []


def test_a_published_adder_moves_the_price_of_its_node_alone():
    # The seller gives 10 (p - 1); at p + 1.5 the load draws 12 as long as p is below 3.5.
    bids = [bid("s", *SELLER), bid("b", *BUYER, node="Z")]
    grid = Grid(adders_per_kwh={"Z": Decimal("1.5")})
    result = clear_grid(bids, grid, FINE)
    assert result.price_per_kwh == Decimal("2.2")
    assert shown(result.node_prices) == {"root": "2.2", "Z": "3.7"}
    assert powers(result) == {"s": "12", "b": "-12"}
    assert violated(bids, grid, result) == []


def test_a_surplus_beside_a_published_adder_does_not_clear_without_a_bound():
    result = clear_grid([bid("wind", ("0", "3"), node="Z")], Grid({}, {"Z": Decimal(1)}))
    assert (result.status, result.node_prices) == ("NOT_CLEARABLE_SURPLUS", {})


def test_published_adders_alone_are_curtailed_at_a_bound():
    # At the cap 2 the seller gives 10 kW; at Z the price is then 3.5, and the buyer draws 12.
    bids = [bid("s", *SELLER), bid("b", *BUYER, node="Z")]
    cap = Bounds(cap_per_kwh=Decimal(2))
    result = clear_grid(bids, Grid({}, {"Z": Decimal("1.5")}), FINE, cap)
    assert result.status == "CURTAILED_AT_CAP"
    assert powers(result) == {"s": "10", "b": "-10"}
    assert shown(result.node_prices) == {"root": "2", "Z": "3.5"}


def test_a_grid_without_limits_is_no_grid():
    plain = clear(IMPORTING, FINE)
    result = clear_grid(IMPORTING, Grid({"B": node(None, None)}), FINE)
    assert (result.price_interval, result.power_kw) == (plain.price_interval, plain.power_kw)


def test_an_empty_node_lets_nothing_through():
    result = clear_grid(IMPORTING, Grid({"B": node("5", "5"), "C": node("1", "1", "B")}), FINE)
    assert shown(result.flows_kw) == {"B": "-5", "C": "0"}


def test_a_grid_without_participants_is_cleared():
    assert clear_grid([], Grid({"B": node("5", "5")})).status == "CLEARED_ZERO"


def test_must_run_behind_too_narrow_a_node_does_not_clear():
    bids = [bid("wind", ("0", "9"), node="B"), bid("b", ("8", "-20"), ("8", "0"))]
    grid = Grid({"B": node("5", "5")})
    assert clear_grid(bids, grid).status == "NOT_CLEARABLE_SURPLUS"
    assert not feasible(bids, grid)
    assert supply(bids, grid, "B") is None


def test_where_one_branch_has_too_much_and_another_too_little_it_is_called_a_surplus():
    bids = [bid("load", ("0", "-9"), node="B"), bid("wind", ("0", "9"), node="C")]
    grid = Grid({"B": node("5", "5"), "C": node("5", "5")})
    assert clear_grid(bids, grid).status == "NOT_CLEARABLE_SURPLUS"
    grid = Grid({"C": node("5", "5"), "B": node("5", "5")})
    assert clear_grid(bids, grid).status == "NOT_CLEARABLE_SURPLUS"


def test_a_load_behind_too_narrow_a_node_does_not_clear():
    bids = [bid("load", ("0", "-9"), node="B"), bid("s", ("8", "0"), ("8", "20"))]
    assert clear_grid(bids, Grid({"B": node("5", "5")})).status == "NOT_CLEARABLE_DEFICIT"


def test_a_grid_that_cannot_balance_at_the_root_does_not_clear():
    bids = [bid("wind", ("0", "3"), node="B"), bid("b", ("8", "-2"), ("8", "0"))]
    assert clear_grid(bids, Grid({"B": node("5", "5")})).status == "NOT_CLEARABLE_SURPLUS"


def test_a_balancing_price_beyond_the_bounds_does_not_clear_a_grid():
    bids = [bid("s", ("6", "0"), ("7", "4"), node="B"), bid("b", ("8", "-2"), ("8", "0"))]
    grid, low = Grid({"B": node("5", "5")}), Bounds(cap_per_kwh=Decimal(6))
    assert clear_grid(bids, grid, FINE, low).status == "NOT_CLEARABLE_DEFICIT"


def test_an_island_has_a_price_of_its_own_where_the_root_has_none():
    # Nothing passes B; inside, the load draws 12 kW up to 5, and 10 (p - 1) is 12 at 2.2.
    bids = [bid("s", *SELLER, node="B"), bid("b", *BUYER, node="B")]
    result = clear_grid(bids, Grid({"B": node("0", "0")}), FINE)
    assert result.price_interval == (None, None)
    assert shown(result.node_prices) == {"root": "0", "B": "2.2"}
    assert powers(result) == {"s": "12", "b": "-12"}


def test_where_nothing_has_a_price_no_node_has():
    bids = [bid("idle", ("1", "0"), node="B")]
    result = clear_grid(bids, Grid({"B": node("1", "1")}), FINE)
    assert (result.price_per_kwh, result.node_prices) == (None, {})


@pytest.mark.parametrize(
    ("nodes", "code"),
    [
        ({"B": node("1", "1", "C")}, "E_UNKNOWN_NODE"),
        ({"B": node("1", "1", "C"), "C": node("1", "1", "B")}, "E_NOT_RADIAL"),
        ({"B": node("1", "1", "B")}, "E_NOT_RADIAL"),
        ({"root": node("1", "1")}, "E_NOT_RADIAL"),
        ({"": node("1", "1")}, "E_NOT_RADIAL"),
        ({"B": node("-1", "1")}, "E_NEGATIVE_LIMIT"),
        ({"B": node("1", "-1")}, "E_NEGATIVE_LIMIT"),
    ],
)
def test_a_grid_that_is_no_tree_is_refused(nodes: dict[str, Node], code: str):
    with pytest.raises(OfferError) as caught:
        Grid(nodes)
    assert caught.value.problem.code == code


def test_a_bid_at_no_node_is_refused():
    with pytest.raises(OfferError, match="far away") as caught:
        clear_grid([bid("x", *SELLER, node="far away")], Grid())
    assert caught.value.problem.code == "E_UNKNOWN_NODE"


def test_a_published_adder_is_load_times_price():
    assert load_adder(Decimal(85), Decimal("0.001")) == Decimal("0.085")
    assert load_adder(Decimal(85), Decimal("0.001"), Decimal(2)) == Decimal("0.17")


@pytest.mark.parametrize("percent", ["-1", "100.1"])
def test_a_load_is_between_none_and_all(percent: str):
    with pytest.raises(OfferError, match="percent"):
        load_adder(Decimal(percent), Decimal("0.001"))


@st.composite
def grids(draw: st.DrawFn) -> tuple[list[Bid], Grid]:
    names = [f"n{number}" for number in range(draw(st.integers(1, 5)))]
    limits = st.none() | st.integers(0, 60).map(lambda tenths: Decimal(tenths) / 10)
    nodes = {
        name: Node(draw(st.sampled_from([ROOT, *names[:index]])), draw(limits), draw(limits))
        for index, name in enumerate(names)
    }
    adders = draw(
        st.dictionaries(st.sampled_from(names), st.integers(-9, 9).map(lambda n: Decimal(n) / 100))
    )
    bids = [
        Bid(one.participant, one.curve, one.limit_kw, draw(st.sampled_from([ROOT, *names])))
        for one in draw(books())
    ]
    return bids, Grid(nodes, adders)


@given(grids())
@settings(max_examples=150, deadline=None)
def test_what_is_cleared_in_a_grid_violates_nothing(market: tuple[list[Bid], Grid]):
    bids, grid = market
    result = clear_grid(bids, grid, FINE)
    assert feasible(bids, grid) == result.cleared
    assert violated(bids, grid, result) == []


@given(grids())
@settings(max_examples=60, deadline=None)
def test_subtrees_cleared_apart_are_the_whole(market: tuple[list[Bid], Grid]):
    bids, grid = market
    whole = supply(bids, grid)
    tops = [name for name, node in grid.nodes.items() if node.parent == ROOT]
    apart = [
        supply([one for one in bids if top in grid.path(one.node)], grid, top)
        for top in tops
        if any(top in grid.path(one.node) for one in bids)
    ]
    own = [one.limited for one in bids if not grid.path(one.node)]
    if whole is None:
        assert None in apart
    else:
        assert aggregate([*own, *(curve for curve in apart if curve is not None)]) == whole


def traded_by_linear_programme(bids: list[Bid], grid: Grid) -> float | None:
    """Maximise the gains from trade of step offers with HiGHS; None where it is infeasible."""
    steps = [
        (
            one,
            float(left.power_kw),
            float(right.power_kw - left.power_kw),
            float(left.price_per_kwh),
        )
        for one in bids
        for left, right in pairwise(one.limited.points)
        if left.price_per_kwh == right.price_per_kwh
    ]
    fixed = {one.participant: float(one.limited.points[0].power_kw) for one in bids}
    price = [step[3] - float(grid.adders_per_kwh.get(step[0].node, 0)) for step in steps]
    rows, limits = [], []
    for name, one in grid.nodes.items():
        inside = [1.0 if name in grid.path(step[0].node) else 0.0 for step in steps]
        base = sum(fixed[b.participant] for b in bids if name in grid.path(b.node))
        if one.max_reverse_kw is not None:
            rows.append(inside)
            limits.append(float(one.max_reverse_kw) - base)
        if one.max_forward_kw is not None:
            rows.append([-x for x in inside])
            limits.append(float(one.max_forward_kw) + base)
    total = sum(fixed.values())
    if not steps:
        return 0.0 if total == 0 and all(limit >= 0 for limit in limits) else None
    solved = linprog(
        price,
        A_ub=np.array(rows) if rows else None,
        b_ub=limits or None,
        A_eq=[[1.0] * len(steps)],
        b_eq=[-total],
        bounds=[(0, step[2]) for step in steps],
        method="highs",
    )
    return float(solved.fun) if solved.status == 0 else None


@given(grids())
@settings(max_examples=80, deadline=None)
def test_an_independent_solver_finds_no_better_trade(market: tuple[list[Bid], Grid]):
    bids = [steps_of(one) for one in market[0]]
    grid = market[1]
    best = traded_by_linear_programme(bids, grid)
    result = clear_grid(bids, grid, FINE)
    assert result.cleared == (best is not None)
    if best is not None:
        cost = sum(cost_of(one, Fraction(result.power_kw[one.participant]), grid) for one in bids)
        assert float(cost) == pytest.approx(best, abs=1e-3)


def steps_of(one: Bid) -> Bid:
    """Make a bid of steps alone: each of its powers from a price on."""
    points = one.curve.points
    corners = [
        pair
        for before, after in pairwise(points)
        for pair in (
            (f"{after.price_per_kwh}", f"{before.power_kw}"),
            (f"{after.price_per_kwh}", f"{after.power_kw}"),
        )
    ]
    first = (f"{points[0].price_per_kwh}", f"{points[0].power_kw}")
    limit = None if one.limit_kw is None else f"{one.limit_kw}"
    return bid(one.participant, first, *corners, node=one.node, limit=limit)


def cost_of(one: Bid, power: Fraction, grid: Grid) -> Fraction:
    """Add up the price of each step of power from the lowest on, less the published adder."""
    cost = Fraction()
    points = [(Fraction(price), Fraction(kw)) for price, kw in one.limited.points]
    for (_, start), (price, end) in pairwise(points):
        taken = min(max(power - start, Fraction()), end - start)
        cost += taken * (price - Fraction(grid.adders_per_kwh.get(one.node, 0)))
    return cost


STORES = [
    bid("one", ("5", "0"), ("5", "10")),
    bid("two", ("5", "0"), ("5", "10")),
    bid("load", ("9", "-12"), ("9", "0")),
]
AT_FIVE = dict.fromkeys(("one", "two", "load"), Fraction(5))
SHARED = {"one": Decimal(6), "two": Decimal(6), "load": Decimal(-12)}


def test_a_command_on_a_plateau_is_taken_up_by_the_others_and_costs_nothing():
    moved = command_offsets(STORES, AT_FIVE, SHARED, {"one": Decimal(-2)})
    assert moved.power_kw == {"one": 4, "two": 8, "load": -12}
    assert moved.uplift_per_h == {}


def test_a_command_that_nobody_can_take_up_is_refused():
    with pytest.raises(OfferError, match=r"leave \+6 kW missing, others offer \+4") as caught:
        command_offsets(STORES, AT_FIVE, SHARED, {"one": Decimal(-6)})
    assert caught.value.problem.code == "E_OFFSET_UNBALANCED"


def test_a_command_beyond_what_a_curve_holds_is_refused():
    with pytest.raises(OfferError, match="cannot be moved") as caught:
        command_offsets(STORES, AT_FIVE, SHARED, {"one": Decimal(5)})
    assert caught.value.problem.code == "E_OFFSET_BEYOND_LIMIT"


def test_whoever_is_commanded_off_the_curve_is_made_good():
    # At 0.10 the roof offers 5 kW; held at 3, it loses what the last 2 kW earn above its
    # curve, from 0.07 down to 0.06 + 1/300: 2 * (0.10 - (0.07 + 19/300) / 2) = 1/15.
    bids = [
        bid("roof", ("0.05", "0"), ("0.06", "2"), ("0.07", "5")),
        bid("store", ("0.10", "0"), ("0.10", "4")),
        bid("ev", ("0.08", "-11"), ("0.10", "-5"), ("0.12", "0")),
    ]
    prices = dict.fromkeys(("roof", "store", "ev"), Fraction(1, 10))
    cleared = {"roof": Decimal(5), "store": Decimal(0), "ev": Decimal(-5)}
    moved = command_offsets(bids, prices, cleared, {"roof": Decimal(-2)})
    assert moved.power_kw == {"roof": 3, "store": 2, "ev": -5}
    assert moved.uplift_per_h == {"roof": Fraction(1, 15)}


@given(books(), st.data())
@settings(max_examples=80, deadline=None)
def test_uplift_is_the_surplus_lost_and_never_negative(bids: list[Bid], data: st.DataObject):
    one = bids[0]
    price = data.draw(st.fractions(-1, 1, max_denominator=100))
    low, high = Fraction(one.limited.min_export_kw), Fraction(one.limited.max_export_kw)
    power = low + (high - low) * data.draw(st.fractions(0, 1, max_denominator=20))
    lost = uplift_per_h(one, price, power)
    on_curve = one.powers_at(price).low_kw <= power <= one.powers_at(price).high_kw
    assert lost >= 0
    assert on_curve == (lost == 0)


def test_a_power_that_no_curve_holds_has_no_uplift():
    with pytest.raises(ValueError, match="offers 11 kW at no price"):
        uplift_per_h(STORES[0], Fraction(5), Fraction(11))

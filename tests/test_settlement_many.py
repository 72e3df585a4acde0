"""Settlement of many intervals: the same as one at a time, and never a wrapped number."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.settlement import positions, settle
from gridwitness.reference_impl.settlement_many import settle_intervals, settle_many
from gridwitness.reference_impl.terms import Inputs, Parties, Tax, Terms, Trade

PARTIES = Parties("agent", "grid")
FREE = Terms("INR")
RATES = st.decimals(-1, 2, places=4)


def wh(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int64)


def test_an_interval_is_settled_as_by_hand():
    # 1.25 kWh at 6.00 is 7.50; a fee of 0.01 is 0.0125, hence 0.01; 0.25 kWh short at 2.00.
    terms = replace(FREE, fee_per_kwh=Decimal("0.01"), penalty_per_kwh=Decimal("2.00"))
    money = settle_many(terms, [Decimal(6)], wh([1250, -1250]), wh([1000, -1250]))
    assert money.energy.tolist() == [750, -750]
    assert money.fee.tolist() == [1, 1]
    assert money.penalty.tolist() == [50, 0]
    assert money.positions.tolist() == [699, -751]
    assert (money.clearing_agent, money.grid_operator) == (2, 50)


def test_a_thousand_small_amounts_leave_nothing_with_the_agent():
    energy = wh([333_000, *[-333] * 1000])
    money = settle_many(FREE, [Decimal("0.0625")], energy, None)
    assert money.energy.tolist() == [2081, *[-3] * 81, *[-2] * 919]
    assert money.clearing_agent == 0


def test_intervals_are_summed():
    # 1 kWh at 1.00 one way, 2 kWh at 3.00 the other.
    prices = [Decimal(1), Decimal(3)]
    money = settle_many(FREE, prices, wh([1000, -1000], [-2000, 2000]), None)
    assert money.energy.tolist() == [-500, 500]


@st.composite
def markets(draw: st.DrawFn) -> tuple[Terms, list[Decimal], np.ndarray, np.ndarray | None]:
    intervals, participants = draw(st.integers(0, 4)), draw(st.integers(1, 6))
    rows = st.lists(st.integers(-40, 40) | st.integers(-40_000, 40_000), min_size=participants)
    cleared, metered = (
        np.array([draw(rows)[:participants] for _ in range(intervals)], np.int64).reshape(
            intervals, participants
        )
        for _ in range(2)
    )
    cleared[:, -1] -= cleared.sum(axis=1)
    terms = Terms(
        "INR",
        fee_per_kwh=draw(RATES),
        wheeling_buyer_per_kwh=draw(RATES),
        wheeling_seller_per_kwh=draw(RATES),
        penalty_per_kwh=draw(RATES),
        penalty_band=draw(st.decimals(0, 1, places=2)),
        rounding=draw(st.sampled_from(["HALF_UP", "HALF_EVEN"])),
        minor_unit=draw(st.integers(0, 4)),
    )
    prices = draw(st.lists(st.decimals(-20, 20, places=4), min_size=intervals, max_size=intervals))
    return terms, prices, cleared, draw(st.sampled_from([None, metered]))


def one_by_one(terms, prices, cleared, metered) -> list[dict[str, Decimal]]:
    left: list[dict[str, Decimal]] = []
    for t, price in enumerate(prices):
        trades = [
            Trade(
                f"p{n}",
                Decimal(int(cleared[t, n])) / 1000,
                None if metered is None else Decimal(int(metered[t, n])) / 1000,
            )
            for n in range(cleared.shape[1])
        ]
        left.append(positions(settle(Inputs(terms, Fraction(1), price, trades, PARTIES))))
    return left


@given(markets())
@settings(max_examples=150, deadline=None)
def test_many_intervals_are_settled_like_each_alone(market):
    unit = Decimal(1).scaleb(-market[0].minor_unit)
    alone = one_by_one(*market)
    for money, expected in zip(settle_intervals(*market), alone, strict=True):
        for n, units in enumerate(money.positions.tolist()):
            assert units * unit == expected.get(f"p{n}", 0)
        assert money.clearing_agent * unit == expected.get("agent", 0)
        assert money.grid_operator * unit == expected.get("grid", 0)
    money = settle_many(*market)
    for n, units in enumerate(money.positions.tolist()):
        assert units * unit == sum((one.get(f"p{n}", Decimal()) for one in alone), Decimal())


@given(markets())
@settings(max_examples=80, deadline=None)
def test_positions_sum_to_exactly_zero(market):
    money = settle_many(*market)
    assert sum(money.positions.tolist()) + money.clearing_agent + money.grid_operator == 0


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.decimals(-1000, 1000, places=6),
    st.integers(0, 9),
)
@settings(max_examples=150, deadline=None)
def test_a_number_that_does_not_fit_is_refused_never_wrapped(energy, read, price, minor_unit):
    terms = replace(
        FREE,
        minor_unit=minor_unit,
        fee_per_kwh=Decimal("0.0101"),
        penalty_per_kwh=Decimal("0.7"),
        penalty_band=Decimal("0.05"),
    )
    market = (terms, [price], wh([energy]), wh([read]))
    try:
        money = settle_many(*market)
    except OverflowError:
        # what is refused is at least within sight of the limit
        assert max(abs(energy), abs(read)) > 10**6
        return
    units = Decimal(1).scaleb(-minor_unit)
    assert int(money.positions[0]) * units == one_by_one(*market)[0].get("p0", 0)


def test_sums_that_do_not_fit_are_refused():
    prices = [Decimal("0.01")] * 3
    energy = wh(*[[2**62, 0]] * 3)
    terms = replace(FREE, minor_unit=5)
    assert len(list(settle_intervals(terms, prices, energy, None))) == 3
    with pytest.raises(OverflowError, match="does not fit 64 bits"):
        settle_many(terms, prices, energy, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "TWO_SETTLEMENT"},
        {"tax": Tax(Decimal("0.18"), ("FEE",), "line")},
        {"platform_fee_per_kwh": Decimal(1)},
        {"penalty_payee": "discom"},
    ],
)
def test_terms_that_are_not_for_many_are_refused(changes):
    with pytest.raises(ValueError, match="one interval at a time"):
        settle_many(replace(FREE, **changes), [Decimal(1)], wh([1, -1]), None)


@pytest.mark.parametrize(
    ("prices", "metered"), [(2, None), (1, wh([1, -1, 0])), (0, None), (1, wh([1, -1], [1, -1]))]
)
def test_shapes_that_differ_are_refused(prices, metered):
    with pytest.raises(ValueError, match="shapes"):
        settle_many(FREE, [Decimal(1)] * prices, wh([1, -1]), metered)

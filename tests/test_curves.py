"""Offer curves: every reason for which one is refused, and its powers at a price."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.curves import Curve, OfferError, Point, Powers, curve_problems

SOLAR = (("0.05", "0"), ("0.06", "2"), ("0.07", "5"))


def points_of(*points: tuple[str, str]) -> tuple[Point, ...]:
    return tuple(Point(Decimal(price), Decimal(power)) for price, power in points)


def curve_of(*points: tuple[str, str]) -> Curve:
    read = points_of(*points)
    return Curve("INR", read[0].power_kw, read[-1].power_kw, read)


def problems(
    *points: tuple[str, str], low: str = "0", high: str = "5", currency: str | None = "INR"
) -> list[tuple[str, int | None]]:
    found = curve_problems(currency, Decimal(low), Decimal(high), points_of(*points))
    return [(problem.code, problem.position) for problem in found]


def powers(curve: Curve, price: str) -> tuple[Fraction, Fraction]:
    return curve.powers_at(Fraction(price))


def test_a_rising_curve_within_its_bounds_has_no_problem():
    assert problems(*SOLAR) == []


def test_points_may_repeat():
    assert problems(("0.05", "0"), ("0.05", "0"), ("0.07", "5"), ("0.07", "5")) == []


@pytest.mark.parametrize("currency", [None, ""])
def test_a_curve_without_a_currency_is_refused(currency: str | None):
    assert problems(*SOLAR, currency=currency) == [("E_NO_CURRENCY", None)]


def test_a_curve_without_points_is_refused():
    assert problems() == [("E_EMPTY_CURVE", None)]


def test_a_curve_without_currency_and_points_is_refused_for_both():
    assert problems(currency=None) == [("E_NO_CURRENCY", None), ("E_EMPTY_CURVE", None)]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(number: str):
    refused = [("E_NOT_FINITE", None)]
    assert problems((number, "0"), ("0.07", "5")) == refused
    assert problems(("0.05", "0"), ("0.07", number)) == refused
    assert problems(*SOLAR, low=number) == refused
    assert problems(*SOLAR, high=number) == refused


def test_a_lowest_power_above_the_highest_is_refused():
    assert ("E_MIN_GT_MAX", None) in problems(("0.05", "5"), low="5", high="0")


def test_a_falling_price_is_refused_at_the_point_where_it_falls():
    assert problems(("0.05", "0"), ("0.07", "2"), ("0.06", "5")) == [("E_NOT_SORTED", 2)]


def test_a_falling_power_is_refused_at_the_point_where_it_falls():
    found = problems(("0.05", "0"), ("0.06", "2"), ("0.07", "1"), ("0.08", "5"))
    assert found == [("E_NOT_MONOTONE", 2)]


def test_a_power_that_falls_at_one_price_is_refused():
    found = problems(("0.05", "0"), ("0.06", "3"), ("0.06", "2"), ("0.08", "5"))
    assert found == [("E_NOT_MONOTONE", 2)]


def test_a_point_where_price_and_power_fall_is_named_once():
    assert problems(("0.05", "0"), ("0.07", "3"), ("0.06", "2"), ("0.08", "5")) == [
        ("E_NOT_SORTED", 2)
    ]


def test_every_fall_is_named():
    found = problems(("0.05", "0"), ("0.04", "3"), ("0.06", "2"), ("0.03", "5"))
    assert found == [("E_NOT_SORTED", 1), ("E_NOT_MONOTONE", 2), ("E_NOT_SORTED", 3)]


@pytest.mark.parametrize(("low", "high"), [("-1", "5"), ("0", "6"), ("1", "4")])
def test_bounds_that_are_not_the_ends_of_the_curve_are_refused(low: str, high: str):
    assert problems(*SOLAR, low=low, high=high) == [("E_BOUNDS", None)]


def test_a_problem_says_what_is_wrong():
    found = list(curve_problems("INR", Decimal(0), Decimal(1), points_of(("2", "0"), ("1", "1"))))
    assert [problem.message for problem in found] == ["price falls from 2 to 1"]


def test_a_curve_with_a_problem_cannot_be_made():
    with pytest.raises(OfferError, match="E_EMPTY_CURVE: the curve has no points") as caught:
        Curve("INR", Decimal(0), Decimal(0), ())
    assert caught.value.problem.code == "E_EMPTY_CURVE"


def test_the_first_of_several_problems_refuses_a_curve():
    with pytest.raises(OfferError) as caught:
        Curve("", Decimal(0), Decimal(0), ())
    assert caught.value.problem.code == "E_NO_CURRENCY"


@pytest.mark.parametrize(
    ("price", "power"),
    [
        ("0.05", Fraction(0)),
        ("0.055", Fraction(1)),  # half way from 0 to 2
        ("0.06", Fraction(2)),
        ("0.0625", Fraction(11, 4)),  # a quarter of the way from 2 to 5
        ("0.07", Fraction(5)),
    ],
)
def test_between_two_points_the_power_is_on_the_line(price: str, power: Fraction):
    assert powers(curve_of(*SOLAR), price) == (power, power)


def test_a_third_is_exact():
    rise = curve_of(("0", "0"), ("3", "1"))
    assert powers(rise, "1") == (Fraction(1, 3), Fraction(1, 3))


@pytest.mark.parametrize("price", ["-1000", "0", "0.0499999999999999999999"])
def test_below_its_first_price_a_curve_is_flat(price: str):
    assert powers(curve_of(*SOLAR), price) == (0, 0)


@pytest.mark.parametrize("price", ["0.0700000000000000000001", "1000"])
def test_above_its_last_price_a_curve_is_flat(price: str):
    assert powers(curve_of(*SOLAR), price) == (5, 5)


@pytest.mark.parametrize("price", ["-1", "0.05", "1"])
def test_a_single_point_offers_one_power_at_any_price(price: str):
    assert powers(curve_of(("0.05", "-3")), price) == (-3, -3)


def test_a_vertical_step_offers_every_power_between_its_ends():
    step = curve_of(("5", "0"), ("5", "10"))
    assert powers(step, "4.999") == (0, 0)
    assert powers(step, "5") == (0, 10)
    assert powers(step, "5.001") == (10, 10)


def test_a_step_of_three_points_offers_from_the_first_to_the_last():
    step = curve_of(("5", "-4"), ("5", "1"), ("5", "10"))
    assert step.powers_at(Fraction(5)) == Powers(Fraction(-4), Fraction(10))


def test_a_step_stands_between_linear_parts():
    curve = curve_of(("1", "0"), ("2", "2"), ("2", "6"), ("4", "7"))
    assert powers(curve, "1.5") == (1, 1)
    assert powers(curve, "2") == (2, 6)
    assert powers(curve, "3") == (Fraction(13, 2), Fraction(13, 2))


def test_a_flat_part_offers_one_power_over_a_range_of_prices():
    curve = curve_of(("1", "0"), ("2", "3"), ("4", "3"), ("5", "9"))
    assert [powers(curve, price) for price in ("2", "3", "4")] == [(3, 3)] * 3


@given(
    prices=st.lists(st.integers(-20, 20), min_size=5, max_size=5).map(sorted),
    offered=st.lists(st.integers(-20, 20), min_size=5, max_size=5).map(sorted),
    asked=st.tuples(*[st.fractions(-25, 25, max_denominator=12)] * 2),
)
@settings(max_examples=60, deadline=None)
def test_a_higher_price_never_offers_less(
    prices: list[int], offered: list[int], asked: tuple[Fraction, Fraction]
):
    curve = curve_of(*((str(p), str(x)) for p, x in zip(prices, offered, strict=True)))
    lower, higher = (curve.powers_at(price) for price in sorted(asked))
    assert offered[0] <= lower.low_kw <= lower.high_kw <= offered[-1]
    assert lower.low_kw <= higher.low_kw
    assert lower.high_kw <= higher.high_kw
    assert asked[0] == asked[1] or lower.high_kw <= higher.low_kw

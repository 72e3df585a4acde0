"""The algebra of curves: prices of a power, clip, shift, aggregate, disaggregate, readings."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.curves import (
    Curve,
    OfferError,
    Point,
    Prices,
    aggregate,
    bid_curve,
    disaggregate,
    series_curve,
)
from tests.test_clearing import EV, SOLAR, books
from tests.test_curves import curve_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridwitness.reference_impl.clearing import Bid

STEP = curve_of(("5", "0"), ("5", "10"))
FLAT_BETWEEN = curve_of(("1", "0"), ("2", "6"), ("4", "6"), ("5", "9"))


def refusal(read: object, *arguments: object) -> str:
    assert callable(read)
    with pytest.raises(OfferError) as caught:
        read(*arguments)
    return caught.value.problem.code


def test_on_a_slope_a_power_has_one_price():
    assert curve_of(*SOLAR).prices_at(Fraction(1)) == (Fraction(11, 200), Fraction(11, 200))


def test_where_the_power_is_flat_it_has_a_range_of_prices():
    assert FLAT_BETWEEN.prices_at(Fraction(6)) == (2, 4)


def test_the_lowest_and_the_highest_power_have_open_ranges():
    assert FLAT_BETWEEN.prices_at(Fraction(0)) == (None, 1)
    assert FLAT_BETWEEN.prices_at(Fraction(9)) == (5, None)
    assert curve_of(("3", "4")).prices_at(Fraction(4)) == (None, None)


def test_a_power_that_is_never_offered_has_no_price():
    assert STEP.prices_at(Fraction(-1)) is None
    assert STEP.prices_at(Fraction(11)) is None


def test_the_middle_of_prices_is_their_finite_end_where_one_is_open():
    assert Prices(Fraction(5), Fraction(8)).middle == Fraction(13, 2)
    assert Prices(None, Fraction(8)).middle == 8
    assert Prices(None, None).middle is None


@pytest.mark.parametrize(("price", "nearest"), [(1, 5), (6, 6), (9, 8)])
def test_the_nearest_of_an_interval_of_prices(price: int, nearest: int):
    assert Prices(Fraction(5), Fraction(8)).nearest(Fraction(price)) == nearest
    assert Prices(None, None).nearest(Fraction(price)) == price


def test_a_clipped_curve_ends_where_it_reaches_its_limits():
    clipped = curve_of(*EV).clipped(Fraction(-8), Fraction(-2))
    assert clipped is not None
    assert clipped.points[0] == (Fraction("0.08"), -8)
    assert Point(Fraction("0.09"), Fraction(-8)) in clipped.points
    assert Point(Fraction("0.112"), Fraction(-2)) in clipped.points
    assert clipped.powers_at(Fraction("0.10")) == (-5, -5)


def test_a_step_is_clipped_at_its_own_price():
    clipped = STEP.clipped(Fraction(2), Fraction(3))
    assert clipped is not None
    assert clipped.powers_at(Fraction(5)) == (2, 3)


def test_nothing_is_left_of_a_curve_beyond_its_limits():
    assert STEP.clipped(Fraction(11), None) is None
    assert STEP.clipped(None, Fraction(-1)) is None


def test_a_shifted_curve_offers_the_same_at_another_price():
    shifted = STEP.shifted(Decimal("1.5"))
    assert shifted.powers_at(Fraction("6.5")) == (0, 10)


def test_two_roofs_and_a_car_add_up():
    # At 0.06 the roofs give 2 kW each, the car draws 11; at 0.10, 5 each and 5.
    total = aggregate([curve_of(*SOLAR), curve_of(*SOLAR), curve_of(*EV)])
    assert total.points == (
        (Fraction("0.05"), -11),
        (Fraction("0.06"), -7),
        (Fraction("0.07"), -1),
        (Fraction("0.08"), -1),
        (Fraction("0.10"), 5),
        (Fraction("0.12"), 10),
    )


def test_fixed_powers_add_up_to_a_fixed_power():
    total = aggregate([curve_of(("3", "4")), curve_of(("1", "-6"))])
    assert total.points == ((0, -2),)


def test_points_that_bend_nothing_are_left_out_of_a_sum():
    straight = curve_of(("1", "0"), ("2", "1"), ("3", "2"))
    assert aggregate([straight]) == aggregate([curve_of(("1", "0"), ("3", "2"))])


def test_nothing_cannot_be_added_up():
    assert refusal(aggregate, []) == "E_EMPTY_CURVE"


def test_currencies_cannot_be_added_up():
    dollars = Curve("USD", Decimal(1), Decimal(1), (Point(Decimal(1), Decimal(1)),))
    assert refusal(aggregate, [STEP, dollars]) == "E_MIXED_CURRENCY"


def curves_of(bids: Sequence[Bid]) -> list[Curve]:
    return [bid.limited for bid in bids]


@given(books(), books())
@settings(max_examples=60, deadline=None)
def test_aggregating_parts_is_aggregating_the_whole(some: list[Bid], others: list[Bid]):
    first, second = curves_of(some), curves_of(others)
    whole = aggregate([*first, *second])
    assert aggregate([aggregate(first), aggregate(second)]) == whole
    assert aggregate([*reversed(second), *first]) == whole


@given(books(), st.fractions(-1, 1, max_denominator=997))
@settings(max_examples=60, deadline=None)
def test_the_aggregate_offers_what_its_parts_offer(bids: list[Bid], price: Fraction):
    offered = [bid.powers_at(price) for bid in bids]
    assert aggregate(curves_of(bids)).powers_at(price) == (
        sum(powers.low_kw for powers in offered),
        sum(powers.high_kw for powers in offered),
    )


@given(books(steps_only=True), st.data())
@settings(max_examples=60, deadline=None)
def test_setpoints_sum_to_what_the_aggregate_offers(bids: list[Bid], data: st.DataObject):
    curves = {bid.participant: bid.limited for bid in bids}
    total = aggregate(curves_of(bids))
    price = data.draw(st.sampled_from([Fraction(point.price_per_kwh) for point in total.points]))
    low, high = total.powers_at(price)
    wanted = low + (high - low) * data.draw(st.fractions(0, 1, max_denominator=50))
    shares = disaggregate(curves, price, wanted)
    assert sum(shares.values()) == wanted
    for bid in bids:
        assert bid.powers_at(price).low_kw <= shares[bid.participant]
        assert shares[bid.participant] <= bid.powers_at(price).high_kw


def test_what_is_not_offered_cannot_be_shared():
    with pytest.raises(ValueError, match="offer 0 to 10 kW together, not 11 kW"):
        disaggregate({"s": STEP}, Fraction(5), Fraction(11))


def test_a_bid_curve_is_bounded_by_its_own_ends():
    points = [Point(Decimal(price), Decimal(power)) for price, power in SOLAR]
    assert bid_curve("INR", points) == bid_curve("INR", points, Decimal(0), Decimal(5))
    assert bid_curve("INR", points).max_export_kw == 5


def test_a_bid_curve_is_clipped_to_its_device():
    points = [Point(Decimal(price), Decimal(power)) for price, power in SOLAR]
    assert bid_curve("INR", points, Decimal(0), Decimal(3)).max_export_kw == 3


def test_a_bid_curve_that_its_device_cannot_follow_is_refused():
    points = [Point(Decimal(price), Decimal(power)) for price, power in SOLAR]
    assert refusal(bid_curve, "INR", points, Decimal(6), Decimal(8)) == "E_BOUNDS"
    assert refusal(bid_curve, "INR", []) == "E_EMPTY_CURVE"


PRICES = [Decimal(price) for price in ("1.5", "2.5", "3.5")]
CAPACITIES = [Decimal(capacity) for capacity in (30, 50, 70)]


def test_capacities_may_be_levels():
    curve = series_curve("INR", PRICES, CAPACITIES, "LEVELS")
    assert curve.powers_at(Fraction(2)) == (30, 30)
    assert curve.powers_at(Fraction("2.5")) == (30, 50)
    assert curve.powers_at(Fraction(9)) == (70, 70)
    assert curve.powers_at(Fraction(1)) == (0, 0)


def test_capacities_may_be_increments():
    curve = series_curve("INR", PRICES, CAPACITIES, "INCREMENTS")
    assert curve.powers_at(Fraction("2.5")) == (30, 80)
    assert curve.powers_at(Fraction(9)) == (150, 150)


def test_several_capacities_without_a_reading_are_refused_not_guessed():
    assert refusal(series_curve, "INR", PRICES, CAPACITIES) == "E_AMBIGUOUS"


def test_a_single_step_needs_no_reading():
    assert series_curve("INR", PRICES[:1], CAPACITIES[:1]).powers_at(Fraction("1.5")) == (0, 30)


def test_levels_that_fall_are_refused():
    falling = [Decimal(capacity) for capacity in (90, 70, 50)]
    assert refusal(series_curve, "INR", PRICES, falling, "LEVELS") == "E_NOT_MONOTONE"


def test_columns_of_different_length_are_refused():
    assert refusal(series_curve, "INR", PRICES, CAPACITIES[:2], "LEVELS") == "E_LENGTHS"


def test_no_steps_are_no_curve():
    assert refusal(series_curve, "INR", [], []) == "E_EMPTY_CURVE"

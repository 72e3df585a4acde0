"""Clearing: worked examples, and a slow oracle that agrees on random markets."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridwitness.reference_impl.clearing import NO_PRICE, Bid, Bounds, Clearing, Quantum, clear
from gridwitness.reference_impl.curves import Curve, OfferError, Point, apportion
from gridwitness.reference_impl.equilibrium import Claim, Market, Tolerance, violations

EV = (("0.08", "-11"), ("0.10", "-5"), ("0.12", "0"))
SOLAR = (("0.05", "0"), ("0.06", "2"), ("0.07", "5"))


def bid(
    name: str, *points: tuple[str, str], limit: str | None = None, currency: str = "INR"
) -> Bid:
    read = tuple(Point(Decimal(price), Decimal(power)) for price, power in points)
    curve = Curve(currency, read[0].power_kw, read[-1].power_kw, read)
    return Bid(name, curve, None if limit is None else Decimal(limit))


def powers(result: Clearing) -> dict[str, str]:
    """Give the powers as text without trailing zeros."""
    return {name: f"{power.normalize():f}" for name, power in result.power_kw.items()}


def violated(bids: list[Bid], result: Clearing, quantum: Quantum) -> list[str]:
    """Judge a result of ours as if somebody else claimed it."""
    claim = Claim(result.status, result.price_per_kwh, result.power_kw)
    return [one.message for one in violations(Market(bids), claim, Tolerance.of(quantum))]


def test_a_car_and_a_roof_clear_at_ten_cents():
    # From 0.07 up the roof gives 5 kW. The car draws 5 kW at 0.10 exactly, and its
    # curve bends there: it draws more below, less above. Hence one price.
    result = clear([bid("ev", *EV), bid("solar", *SOLAR)])
    assert result.status == "CLEARED"
    assert result.price_interval == (Fraction(1, 10), Fraction(1, 10))
    assert result.price_per_kwh == Decimal("0.1")
    assert powers(result) == {"ev": "-5", "solar": "5"}


def test_a_steep_consumer_and_a_roof_clear_between_two_ticks():
    # The consumer draws 50 kW at 0.06 and nothing at 0.07: x = -50 + 5000 (p - 0.06).
    # The roof gives 2 kW at 0.06 and 5 kW at 0.07:         y = 2 + 300 (p - 0.06).
    # Balance: 5300 (p - 0.06) = 48, so p = 0.06 + 48/5300 = 366/5300 = 183/2650,
    # and y = 2 + 300 * 48/5300 = 250/53 = 4.71698 kW.
    result = clear([bid("consumer", ("0.06", "-50"), ("0.07", "0")), bid("solar", *SOLAR)])
    assert result.price_interval == (Fraction(183, 2650), Fraction(183, 2650))
    assert result.price_per_kwh == Decimal("0.0691")
    assert powers(result) == {"consumer": "-4.717", "solar": "4.717"}


def test_two_roofs_and_a_car_clear_at_a_twelfth():
    # Both roofs give 10 kW from 0.07 up; the car draws 11 - 300 (p - 0.08) = 10 kW
    # at p = 0.08 + 1/300 = 1/12.
    result = clear([bid("ev", *EV), bid("roof-1", *SOLAR), bid("roof-2", *SOLAR)])
    assert result.price_interval == (Fraction(1, 12), Fraction(1, 12))
    assert powers(result) == {"ev": "-10", "roof-1": "5", "roof-2": "5"}


def test_a_tie_is_shared_pro_rata():
    # Three sellers offer 10, 20 and 30 kW at 5; 24 of the 60 kW are wanted: 2/5 of each.
    sellers = [bid(f"s{n}", ("5", "0"), ("5", f"{n}0")) for n in (1, 2, 3)]
    result = clear([*sellers, bid("b", ("8", "-24"), ("8", "0"))])
    assert result.price_interval == (Fraction(5), Fraction(5))
    assert powers(result) == {"s1": "4", "s2": "8", "s3": "12", "b": "-24"}


def test_a_tie_that_does_not_divide_still_sums_to_zero():
    # 10 kW from three equal sellers is 3.333... each; the watt left over goes to the first.
    sellers = [bid(name, ("5", "0"), ("5", "10")) for name in ("c", "a", "b")]
    result = clear([*sellers, bid("z", ("8", "-10"), ("8", "0"))])
    assert powers(result) == {"a": "3.334", "b": "3.333", "c": "3.333", "z": "-10"}


def test_steps_that_match_leave_a_range_of_prices():
    # 10 kW offered at 5, 10 kW wanted up to 8: everyone trades all at any price between.
    result = clear(
        [bid("s", ("5", "0"), ("5", "10")), bid("b", ("8", "-10"), ("8", "0"))],
    )
    assert result.price_interval == (Fraction(5), Fraction(8))
    assert result.price_per_kwh == Decimal("6.5")
    assert powers(result) == {"s": "10", "b": "-10"}


def test_an_approved_limit_clips_both_directions():
    # Approved for 3 kW, the roof gives 3 kW from 0.06 + 1/300 up. The car draws 3 kW
    # where -5 + 250 (p - 0.10) = -3: p = 0.108.
    result = clear([bid("ev", *EV), bid("solar", *SOLAR, limit="3")])
    assert result.price_interval == (Fraction(27, 250), Fraction(27, 250))
    assert powers(result) == {"ev": "-3", "solar": "3"}
    # Approved for 3 kW, the car draws 3 kW up to 0.108, where the roof, giving 3 kW from
    # 0.06 + 1/300 = 19/300 on and more above, meets it at that price.
    result = clear([bid("ev", *EV, limit="3"), bid("solar", *SOLAR)])
    assert result.price_interval == (Fraction(19, 300), Fraction(19, 300))
    assert powers(result) == {"ev": "-3", "solar": "3"}


def test_a_limit_of_zero_lets_nobody_trade():
    result = clear([bid("ev", *EV), bid("solar", *SOLAR, limit="0")])
    assert powers(result) == {"ev": "0", "solar": "0"}
    # The car wants something up to 0.12, the roof is not let: only from there on is it even.
    assert result.price_interval == (Fraction(3, 25), None)


def test_buyers_below_all_sellers_clear_without_trade_in_the_gap():
    # Wanted up to 4, offered from 6: at any price between, nobody trades.
    result = clear([bid("s", ("6", "0"), ("6", "10")), bid("b", ("4", "-10"), ("4", "0"))])
    assert result.status == "CLEARED_ZERO"
    assert result.price_interval == (Fraction(4), Fraction(6))
    assert result.price_per_kwh == Decimal(5)
    assert powers(result) == {"s": "0", "b": "0"}


def test_a_price_may_be_negative():
    # The must-run 3 kW are taken in only where the store is paid for it: x = -6 + 6 (p + 1)
    # is -3 at p = -1/2.
    result = clear([bid("wind", ("0", "3")), bid("store", ("-1", "-6"), ("0", "0"))])
    assert result.price_interval == (Fraction(-1, 2), Fraction(-1, 2))
    assert powers(result) == {"wind": "3", "store": "-3"}


def test_a_must_run_surplus_does_not_clear():
    result = clear([bid("wind", ("0", "3")), bid("b", ("4", "-2"), ("4", "0"))])
    assert result == Clearing("NOT_CLEARABLE_SURPLUS", NO_PRICE, None, {})


def test_a_fixed_demand_that_nobody_meets_does_not_clear():
    result = clear([bid("load", ("0", "-3")), bid("s", ("4", "0"), ("4", "2"))])
    assert result == Clearing("NOT_CLEARABLE_DEFICIT", NO_PRICE, None, {})


def test_a_surplus_of_the_smallest_amount_does_not_clear():
    result = clear([bid("wind", ("0", "2.000000001")), bid("b", ("4", "-2"), ("4", "0"))])
    assert result.status == "NOT_CLEARABLE_SURPLUS"


def test_a_market_without_participants_clears_at_no_price():
    assert clear([]) == Clearing("CLEARED_ZERO", NO_PRICE, None, {})


def test_a_seller_alone_clears_at_any_low_price():
    result = clear([bid("solar", *SOLAR)])
    assert result.price_interval == (None, Fraction(1, 20))
    assert result.price_per_kwh == Decimal("0.05")
    assert powers(result) == {"solar": "0"}


def test_a_buyer_alone_clears_at_any_high_price():
    result = clear([bid("ev", *EV)])
    assert result.price_interval == (Fraction(3, 25), None)
    assert result.price_per_kwh == Decimal("0.12")
    assert powers(result) == {"ev": "0"}


def test_who_neither_gives_nor_takes_leaves_the_price_open_on_both_sides():
    result = clear([bid("idle", ("0.05", "0"))])
    assert result == Clearing("CLEARED_ZERO", NO_PRICE, None, {"idle": Decimal(0)})


def test_fixed_powers_that_match_leave_the_price_open_on_both_sides():
    result = clear([bid("wind", ("3", "5")), bid("load", ("9", "-5"))])
    assert result.price_interval == (None, None)
    assert powers(result) == {"wind": "5", "load": "-5"}


def test_a_price_is_rounded_to_the_declared_tick():
    bids = [bid("s", ("5", "0"), ("5", "10")), bid("b", ("5.3", "-10"), ("5.3", "0"))]
    assert clear(bids, Quantum(Decimal("0.01"), Decimal(1))).price_per_kwh == Decimal("5.15")
    assert clear(bids, Quantum(Decimal("0.2"), Decimal(1))).price_per_kwh == Decimal("5.2")


def test_powers_are_rounded_to_the_declared_step():
    sellers = [bid(name, ("5", "0"), ("5", "10")) for name in ("a", "b", "c")]
    result = clear(
        [*sellers, bid("z", ("8", "-10"), ("8", "0"))], Quantum(Decimal("0.01"), Decimal("0.5"))
    )
    assert powers(result) == {"a": "3.5", "b": "3.5", "c": "3", "z": "-10"}


def test_the_small_are_not_lost_beside_the_large():
    # 1000000000.001 kW are offered from 2 up, as much is wanted up to 3.
    large, small = ("2", "1000000000"), ("2.001", "0.001")
    result = clear(
        [
            bid("large", ("2", "0"), large),
            bid("small", ("2.001", "0"), small),
            bid("buyer", ("3", "-1000000000.001"), ("3", "0")),
        ]
    )
    assert result.price_interval == (Fraction(2001, 1000), Fraction(3))
    assert powers(result)["small"] == "0.001"


def test_who_bids_twice_is_refused():
    with pytest.raises(OfferError, match="ev bids twice") as caught:
        clear([bid("ev", *EV), bid("solar", *SOLAR), bid("ev", *EV)])
    assert caught.value.problem.code == "E_DUPLICATE_ID"


def test_bids_in_two_currencies_are_refused():
    with pytest.raises(OfferError, match="EUR and INR") as caught:
        clear([bid("ev", *EV), bid("solar", *SOLAR, currency="EUR")])
    assert caught.value.problem.code == "E_MIXED_CURRENCY"


def test_a_limit_below_zero_is_refused():
    with pytest.raises(OfferError, match="ev is approved for -5 kW") as caught:
        bid("ev", *EV, limit="-5")
    assert caught.value.problem.code == "E_NEGATIVE_LIMIT"


def test_a_limited_bid_bends_where_its_curve_reaches_the_limit():
    # On the first part 3 kW are drawn at 0.04, on the second 3 kW given at 0.08.
    limited = bid("x", ("0.02", "-6"), ("0.06", "0"), ("0.10", "6"), limit="3")
    assert [point.price_per_kwh * 50 for point in limited.limited.points] == [1, 2, 3, 4, 5]
    assert [limited.powers_at(Fraction(n, 50))[0] for n in (1, 2, 3, 4, 5)] == [-3, -3, 0, 3, 3]


def test_a_step_that_crosses_the_limit_bends_at_its_own_price():
    limited = bid("x", ("5", "-10"), ("5", "10"), limit="4")
    assert {point.price_per_kwh for point in limited.limited.points} == {5}
    assert limited.powers_at(Fraction(5)) == (-4, 4)


def test_what_is_apportioned_sums_to_zero():
    third = Fraction(1, 3)
    shares = {"c": third, "b": third, "a": third, "z": Fraction(-1)}
    assert apportion(shares, Decimal("0.1")) == {
        "a": Decimal("0.4"),
        "b": Decimal("0.3"),
        "c": Decimal("0.3"),
        "z": Decimal(-1),
    }


def test_the_largest_remainder_is_served_first():
    shares = {"a": Fraction("0.2"), "b": Fraction("0.7"), "c": Fraction("0.1"), "z": Fraction(-1)}
    assert apportion(shares, Decimal(1)) == {"a": 0, "b": 1, "c": 0, "z": -1}


@given(
    st.lists(st.fractions(-9, 9, max_denominator=50), max_size=7),
    st.sampled_from(["0.001", "0.1", "1"]),
)
@settings(max_examples=60, deadline=None)
def test_nobody_is_apportioned_a_step_more_or_less(shares: list[Fraction], step: str):
    exact = {f"p{n}": share for n, share in enumerate([*shares, -sum(shares, Fraction())])}
    given_kw = apportion(exact, Decimal(step))
    assert sum(given_kw.values()) == 0
    assert given_kw.keys() == exact.keys()
    assert all(abs(Fraction(given_kw[name]) - exact[name]) < Fraction(step) for name in exact)
    assert all(power % Decimal(step) == 0 for power in given_kw.values())


# Random markets. Prices are whole cents and powers whole tenths of a kW. A limit leaves
# room for some power of the curve: a bid without any is no bid.


@st.composite
def bid_points(draw: st.DrawFn, *, steps_only: bool) -> list[tuple[int, int]]:
    size = draw(st.integers(1, 4))
    prices = sorted(draw(st.lists(st.integers(-30, 30), min_size=size, max_size=size)))
    offered = sorted(draw(st.lists(st.integers(-40, 40), min_size=size, max_size=size)))
    points = list(zip(prices, offered, strict=True))
    if not steps_only:
        return points
    corners = [(price, before) for (price, _), (_, before) in zip(points[1:], points, strict=False)]
    return sorted([*points, *corners])


@st.composite
def books(draw: st.DrawFn, *, steps_only: bool = False) -> list[Bid]:
    found: list[Bid] = []
    for number in range(draw(st.integers(1, 6))):
        points = draw(bid_points(steps_only=steps_only))
        needed = max(points[0][1], -points[-1][1], 0)
        limit = draw(st.none() | st.integers(0, 25).map(lambda room, needed=needed: needed + room))
        read = tuple(Point(Decimal(p) / 100, Decimal(x) / 10) for p, x in points)
        curve = Curve("INR", read[0].power_kw, read[-1].power_kw, read)
        found.append(Bid(f"p{number}", curve, None if limit is None else Decimal(limit) / 10))
    return found


def offered_at(one: Bid, price: Fraction) -> tuple[Fraction, Fraction]:
    """Say what a bid offers, straight from its points: the oracle's own reading of a curve."""
    points = [(Fraction(p), Fraction(x)) for p, x in one.curve.points]
    at_price = [x for p, x in points if p == price]
    before = [point for point in points if point[0] < price]
    after = [point for point in points if point[0] > price]
    if at_price:
        ends = min(at_price), max(at_price)
    elif not before:
        ends = (after[0][1],) * 2
    elif not after:
        ends = (before[-1][1],) * 2
    else:
        (p, x), (q, y) = before[-1], after[0]
        ends = ((x * (q - price) + y * (price - p)) / (q - p),) * 2
    if one.limit_kw is None:
        return ends
    limit = Fraction(one.limit_kw)
    return max(-limit, min(limit, ends[0])), max(-limit, min(limit, ends[1]))


def least(bids: list[Bid], price: Fraction) -> Fraction:
    return sum((offered_at(one, price)[0] for one in bids), Fraction())


def most(bids: list[Bid], price: Fraction) -> Fraction:
    return sum((offered_at(one, price)[1] for one in bids), Fraction())


FAR = Fraction(10)  # beyond every price of a random market


def halve(below: Fraction, above: Fraction, is_above) -> tuple[Fraction, Fraction]:
    """Narrow the place where a condition begins to hold."""
    for _ in range(45):
        middle = (below + above) / 2
        below, above = (below, middle) if is_above(middle) else (middle, above)
    return below, above


@given(books())
@settings(max_examples=60, deadline=None)
def test_halving_finds_the_same_prices(bids: list[Bid]):
    result = clear(bids)
    if least(bids, -FAR) > 0 or most(bids, FAR) < 0:
        assert result.status.startswith("NOT_CLEARABLE")
        return
    assert result.cleared
    low, high = result.price_interval
    if most(bids, -FAR) >= 0:
        assert low is None
    else:
        below, above = halve(-FAR, FAR, lambda price: most(bids, price) >= 0)
        assert low is not None
        assert below < low <= above
        assert least(bids, low) <= 0 <= most(bids, low)
    if least(bids, FAR) <= 0:
        assert high is None
    else:
        below, above = halve(-FAR, FAR, lambda price: least(bids, price) > 0)
        assert high is not None
        assert below <= high < above
        assert least(bids, high) <= 0 <= most(bids, high)


@given(books())
@settings(max_examples=60, deadline=None)
def test_powers_sum_to_exactly_zero(bids: list[Bid]):
    result = clear(bids)
    assert sum(result.power_kw.values()) == 0
    if result.cleared:
        assert result.power_kw.keys() == {one.participant for one in bids}


@given(books())
@settings(max_examples=60, deadline=None)
def test_everyone_trades_what_they_offer_within_one_step(bids: list[Bid]):
    result = clear(bids)
    ends = [end for end in result.price_interval if end is not None]
    middle = sum(ends, Fraction()) / (len(ends) or 1)
    for one in bids if result.cleared else ():
        low, high = offered_at(one, middle)
        power = Fraction(result.power_kw[one.participant])
        assert low - Fraction("0.001") < power < high + Fraction("0.001")


@given(books(), st.sampled_from(["0.0001", "0.01"]), st.sampled_from(["0.001", "0.1"]))
@settings(max_examples=60, deadline=None)
def test_what_is_cleared_violates_nothing_within_one_power_step(
    bids: list[Bid], tick: str, step: str
):
    result = clear(bids, Quantum(Decimal(tick), Decimal(step)))
    allowed = Quantum(Decimal(tick), Decimal(step))
    if result.cleared:
        assert not violated(bids, result, allowed)


@given(books(steps_only=True), st.sampled_from(["0.0001", "0.01"]))
@settings(max_examples=60, deadline=None)
def test_what_is_cleared_from_steps_violates_nothing(bids: list[Bid], tick: str):
    quantum = Quantum(Decimal(tick), Decimal("0.1"))
    result = clear(bids, quantum)
    if result.cleared:
        assert not violated(bids, result, quantum)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_bids_changes_nothing(data: st.DataObject):
    bids = data.draw(books())
    assert clear(data.draw(st.permutations(bids))) == clear(bids)


def test_a_curve_wholly_beyond_its_limit_is_refused():
    with pytest.raises(OfferError) as caught:
        clear([bid("s", ("5", "10"), limit="5"), bid("b", ("5", "-10"), ("6", "0"))])
    assert caught.value.problem.code == "E_LIMIT_INFEASIBLE"


FLOOR_ZERO = Bounds(floor_per_kwh=Decimal(0))
MUST_RUN = [
    bid("g1", ("0", "6")),
    bid("g2", ("0", "4")),
    bid("b", ("0", "-6"), ("0.1", "0")),
]


def test_a_surplus_at_the_floor_is_rationed_by_one_ratio():
    # 10 kW must run, 6 are wanted at 0: six tenths of each.
    result = clear(MUST_RUN, bounds=FLOOR_ZERO)
    assert result.status == "CURTAILED_AT_FLOOR"
    assert result.price_per_kwh == 0
    assert result.price_interval == (0, 0)
    assert powers(result) == {"g1": "3.6", "g2": "2.4", "b": "-6"}
    assert not result.cleared


def test_a_deficit_at_the_cap_is_rationed_by_one_ratio():
    # 8 kW have to be served, 2 more are wanted up to 9; 5 kW are offered up to 4.
    loads = [bid("l1", ("0", "-6")), bid("l2", ("0", "-2")), bid("b", ("9", "-2"), ("9", "0"))]
    result = clear(
        [*loads, bid("s", ("1", "0"), ("4", "5"))], bounds=Bounds(cap_per_kwh=Decimal(9))
    )
    assert result.status == "CURTAILED_AT_CAP"
    assert result.price_per_kwh == 9
    assert powers(result) == {"l1": "-3.75", "l2": "-1.25", "b": "0", "s": "5"}


def test_a_balance_above_the_cap_is_curtailed_there():
    # They meet at 6, with 2 kW; up to 5, 1 kW is offered and 3 are wanted.
    result = clear(
        [bid("s", ("4", "0"), ("6", "2")), bid("b", ("5", "-3"), ("7", "-1"))],
        bounds=Bounds(cap_per_kwh=Decimal(5)),
    )
    assert (result.status, result.price_per_kwh) == ("CURTAILED_AT_CAP", 5)
    assert powers(result) == {"s": "1", "b": "-1"}


def test_bounds_narrow_the_balancing_prices():
    step = [bid("s", ("5", "0"), ("5", "10")), bid("b", ("8", "-10"), ("8", "0"))]
    result = clear(step, bounds=Bounds(Decimal(1), Decimal(6)))
    assert result.price_interval == (5, 6)
    assert clear(step, bounds=Bounds(Decimal(5), None)).price_interval == (5, 8)


def test_bounds_close_an_open_end():
    result = clear([bid("solar", *SOLAR)], bounds=Bounds(Decimal("0.01"), None))
    assert result.price_interval == (Fraction(1, 100), Fraction(1, 20))


def test_a_surplus_has_nowhere_to_stop_at_a_cap():
    result = clear(MUST_RUN, bounds=Bounds(cap_per_kwh=Decimal(1)))
    assert result.status == "NOT_CLEARABLE_SURPLUS"


def test_a_point_below_the_floor_is_refused():
    with pytest.raises(OfferError, match=r"pv names the price -0.05, the floor is 0") as caught:
        clear([bid("pv", ("-0.05", "0"), ("0.01", "1"))], bounds=FLOOR_ZERO)
    assert (caught.value.problem.code, caught.value.participant) == ("E_PRICE_BELOW_FLOOR", "pv")


def test_a_floor_above_the_cap_is_refused():
    with pytest.raises(OfferError) as caught:
        Bounds(Decimal(2), Decimal(1))
    assert caught.value.problem.code == "E_FLOOR_ABOVE_CAP"


def test_a_bid_beyond_its_limit_is_held_at_it():
    assert bid("g", ("1", "5"), ("2", "9"), limit="3").powers_at(Fraction(1)) == (3, 3)
    assert bid("l", ("1", "-9"), ("2", "-5"), limit="3").powers_at(Fraction(1)) == (-3, -3)


BOUNDS = st.builds(
    lambda floor, room: Bounds(floor, None if room is None else (floor or Decimal(0)) + room),
    st.none() | st.just(Decimal("-0.3")),
    st.none() | st.integers(30, 60).map(lambda cents: Decimal(cents) / 100),
)


@given(books(), BOUNDS)
@settings(max_examples=100, deadline=None)
def test_within_bounds_what_is_cleared_or_curtailed_violates_nothing(
    bids: list[Bid], bounds: Bounds
):
    quantum = Quantum(Decimal("1e-9"), Decimal("1e-6"))
    result = clear(bids, quantum, bounds)
    claim = Claim(result.status, result.price_per_kwh, result.power_kw)
    tolerance = Tolerance.of(quantum)
    assert [*violations(Market(bids, bounds), claim, tolerance)] == []


@given(books(), st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_who_splits_into_equal_parts_trades_the_same(bids: list[Bid], parts: int):
    fine = Quantum(Decimal("1e-9"), Decimal("1e-9"))
    whole, first = clear(bids, fine), bids[0]
    share = [
        Point(point.price_per_kwh, Fraction(point.power_kw) / parts)
        for point in first.limited.points
    ]
    curve = Curve("INR", share[0].power_kw, share[-1].power_kw, tuple(share))
    split = clear([*(Bid(f"part-{n}", curve) for n in range(parts)), *bids[1:]], fine)
    assert split.price_interval == whole.price_interval
    assert split.status == whole.status
    if whole.cleared:
        together = sum(power for name, power in split.power_kw.items() if name.startswith("part-"))
        assert abs(together - whole.power_kw[first.participant]) <= parts * Decimal("1e-9")


@given(books(), st.integers(1, 50), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_other_units_of_price_and_power_change_nothing_else(
    bids: list[Bid], price: int, power: int
):
    scaled = [
        Bid(
            one.participant,
            Curve(
                "INR",
                one.curve.min_export_kw * power,
                one.curve.max_export_kw * power,
                tuple(Point(p * price, x * power) for p, x in one.curve.points),
            ),
            None if one.limit_kw is None else one.limit_kw * power,
        )
        for one in bids
    ]
    plain, other = clear(bids), clear(scaled, Quantum(Decimal("0.0001"), Decimal("0.001") * power))
    assert other.status == plain.status
    assert [None if end is None else end / price for end in other.price_interval] == [
        *plain.price_interval
    ]
    assert {name: kw / power for name, kw in other.power_kw.items()} == plain.power_kw


@given(books())
@settings(max_examples=25, deadline=None)
def test_another_solver_finds_the_same_price(bids: list[Bid]):
    # HiGHS trades on staircases of forty steps a line: its price is right within a step.
    result = clear(bids, Quantum(Decimal("1e-9"), Decimal("1e-9")))
    stairs = [stair for one in bids for stair in staircase(one, 40)]
    fixed = sum(float(one.limited.min_export_kw) for one in bids)
    if not stairs:
        assert result.cleared == (fixed == 0)
        return
    solved = linprog(
        [price for price, _ in stairs],
        A_eq=[[1.0] * len(stairs)],
        b_eq=[-fixed],
        bounds=[(0, kw) for _, kw in stairs],
        method="highs",
    )
    assert result.cleared == (solved.status == 0)
    if solved.status == 0:
        price = solved.eqlin.marginals[0]
        low, high = result.price_interval
        coarse = 0.02
        assert low is None or price >= float(low) - coarse
        assert high is None or price <= float(high) + coarse


def staircase(one: Bid, steps: int) -> list[tuple[float, float]]:
    """Cut a curve into steps of power, each at its middle price."""
    found: list[tuple[float, float]] = []
    for (left, start), (right, end) in pairwise(one.limited.points):
        if end > start:
            width = float(end - start) / steps
            slope = float(right - left) / steps
            found += [(float(left) + (n + 0.5) * slope, width) for n in range(steps)]
    return found

"""Markets in arrays: worked examples, and the exact reference that agrees on random books."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl import book as book_module
from gridwitness.reference_impl import book_search
from gridwitness.reference_impl.book import Book, suspects
from gridwitness.reference_impl.book_clearing import BookClearing, clear_book, clear_intervals
from gridwitness.reference_impl.book_shares import whole_steps
from gridwitness.reference_impl.clearing import Bid, Bounds, Quantum, clear
from gridwitness.reference_impl.curves import Curve, OfferError, Point

MILLIWATT = Quantum(Decimal("1e-9"), Decimal("1e-6"))
EV = ((0.08, -11), (0.10, -5), (0.12, 0))
SOLAR = ((0.05, 0), (0.06, 2), (0.07, 5))


@pytest.fixture(params=[4096, 4], ids=["all looked at", "sampled"], autouse=True)
def _how_many_are_few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(book_search, "FEW", request.param)


def book(*curves: tuple[tuple[float, float], ...], **options: object) -> Book:
    """Make a book of curves of points (price, kW), the last point repeated where they are short."""
    most = max(map(len, curves))
    points = np.array([curve + curve[-1:] * (most - len(curve)) for curve in curves], dtype=float)
    return Book.of_kw(points[..., 0].T, points[..., 1].T, **options)


def steps_of(offer: float, width_kw: float) -> tuple[tuple[float, float], ...]:
    return ((offer, min(width_kw, 0)), (offer, max(width_kw, 0)))


def kw(result: BookClearing) -> list[float]:
    return [steps / 1e6 for steps in result.power_steps.tolist()]


def test_a_car_and_a_roof_clear_at_ten_cents():
    # From 0.07 up the roof gives 5 kW. The car draws 5 kW at 0.10 exactly, and bends there.
    result = clear_book(book(EV, SOLAR))
    assert result.status == "CLEARED"
    assert result.prices == (0.1, 0.1)
    assert result.price_per_kwh == 0.1
    assert kw(result) == [-5, 5]


def test_a_small_ramp_beside_a_gigawatt_keeps_its_price():
    # 1e9 kW are offered at 1 and wanted up to 3; one watt more is offered from 2 to 2.001, and
    # wanted at 3: any price from 2.001 to 3 will do.
    giants = steps_of(1, 1e9), steps_of(3, -1e9)
    result = clear_book(book(*giants, ((2, 0), (2.001, 0.001)), ((3, -0.001), (3.5, 0))))
    assert result.prices == (2.001, 3.0)
    assert kw(result) == [1e9, -1e9, 0.001, -0.001]


def test_a_crossing_on_a_small_ramp_beside_a_gigawatt_is_as_exact():
    # Of the one watt that is offered from 2 to 2.001, a quarter is wanted.
    giants = steps_of(1, 1e9), steps_of(3, -1e9)
    wanted = ((5.0, -0.00025),)
    result = clear_book(book(*giants, ((2, 0), (2.001, 0.001)), wanted))
    assert result.price_per_kwh == pytest.approx(2.00025, rel=1e-15)
    assert kw(result) == [1e9, -1e9, 0.00025, -0.00025]


@pytest.mark.parametrize("n", [1000, 100_000])
def test_a_staircase_clears_between_two_of_its_steps(n: int):
    # Seller k of n asks k/n for 1 kW; half as many buyers want 1 kW at 2 each.
    asks = np.arange(n) / n
    prices = np.concatenate([np.stack([asks, asks]), np.full((2, n // 2), 2.0)], axis=1)
    kilowatt = np.full(n, 1e6)
    steps = np.stack([np.zeros(n), kilowatt])
    book = Book(prices, np.concatenate([steps, steps[::-1, : n // 2] * -1], axis=1))
    result = clear_book(book)
    assert result.prices == ((n / 2 - 1) / n, 0.5)
    assert result.price_per_kwh == pytest.approx((n - 1) / (2 * n), rel=1e-15)
    sold = np.arange(n) < n // 2
    assert np.array_equal(result.power_steps, np.concatenate([sold * 1e6, np.full(n // 2, -1e6)]))


def test_what_several_offer_at_the_price_is_shared_pro_rata():
    # 24 of the 60 kW that are offered at 5 are wanted: two fifths of each.
    sellers = [steps_of(5, width_kw) for width_kw in (10, 20, 30)]
    assert kw(clear_book(book(*sellers, steps_of(8, -24)))) == [4, 8, 12, -24]


def test_a_share_that_does_not_divide_goes_to_the_first():
    result = clear_book(book(*[steps_of(5, 10)] * 3, steps_of(8, -10)))
    assert kw(result) == [3.333334, 3.333333, 3.333333, -10]


def test_a_steep_ramp_is_followed_between_two_floats():
    # 1 GW comes within 4e-15 of the price 5: two prices that a float can tell apart are
    # hundreds of megawatts off each other. The powers are as if the price were exact.
    ramp = ((5.0, 0), (5.000000000000004, 1e6))
    result = clear_book(book(ramp, ((4.0, -123_456.789),)))
    assert kw(result) == [123_456.789, -123_456.789]


def test_a_range_of_prices_after_many_small_ramps_keeps_both_ends():
    # Ramps of a few milliwatts hold thirds of a step, whose sum a float does not hold: still,
    # where all have ended, from 17 to 30, the sum is exactly zero.
    random = np.random.default_rng(0)
    size, start = random.integers(1, 4, 2000).astype(float), random.random(2000)
    end = 1 + random.random(2000)
    end[::20] = 3 + np.arange(100) / 7
    wanted = np.array([[-size.sum()], [0.0]])
    steps = np.concatenate([np.stack([0 * size, size]), wanted], axis=1)
    prices = np.concatenate([np.stack([start, end]), [[30.0], [40.0]]], axis=1)
    assert clear_book(Book(prices, steps)).prices == (end.max(), 30.0)


def test_few_giants_among_many_small_ones_are_found():
    # Nobody would meet the power station in a sample of roofs.
    random = np.random.default_rng(1)
    start = np.sort(random.random((2, 20_000)), axis=0)
    roofs = np.stack([np.zeros(20_000), np.full(20_000, 1e6)])
    station = [[0.5, 2.0], [0.7, 2.0]], [[0.0, -2.5e10], [2e10, 0.0]]
    result = clear_book(
        Book(*(np.concatenate(pair, axis=1) for pair in ((start, station[0]), (roofs, station[1]))))
    )
    assert 0.5 < result.price_per_kwh < 0.7
    assert result.power_steps.sum() == 0


@pytest.mark.parametrize(
    ("curves", "status", "prices", "powers"),
    [
        ([steps_of(5, 10), steps_of(8, -10)], "CLEARED", (5, 8), [10, -10]),
        ([steps_of(8, 10), steps_of(5, -10)], "CLEARED_ZERO", (5, 8), [0, 0]),
        ([((5, 2),), ((5, -2),)], "CLEARED", (None, None), [2, -2]),
        ([steps_of(5, 10)], "CLEARED_ZERO", (None, 5), [0]),
        ([steps_of(5, -10)], "CLEARED_ZERO", (5, None), [0]),
        ([((1, -2), (3, 2))], "CLEARED_ZERO", (2, 2), [0]),
        ([((5, 2), (6, 9)), steps_of(8, -1)], "NOT_CLEARABLE_SURPLUS", (None, None), []),
        ([((5, -9), (6, -2)), steps_of(8, 1)], "NOT_CLEARABLE_DEFICIT", (None, None), []),
    ],
)
def test_a_market_ends_in_one_of_few_ways(curves, status: str, prices, powers: list[float]):
    result = clear_book(book(*curves))
    assert (result.status, result.prices, kw(result)) == (status, prices, powers)


def test_a_market_without_participants_clears_at_no_price():
    assert clear_book(Book(np.zeros((1, 0)), np.zeros((1, 0)))).prices == (None, None)
    assert clear_book(Book.of([])).status == "CLEARED_ZERO"


def test_at_the_floor_sellers_are_rationed():
    # 10 kW must run; at 0 the buyer takes 6 of them, three fifths.
    surplus = book(((0, 6),), ((0, 4),), ((0, -6), (0.1, 0)))
    result = clear_book(surplus, Bounds(floor_per_kwh=Decimal(0)))
    assert (result.status, result.price_per_kwh) == ("CURTAILED_AT_FLOOR", 0)
    assert kw(result) == [3.6, 2.4, -6]


def test_at_the_cap_buyers_are_rationed():
    # At 2 the sellers offer 6 kW on their step, of the 10 that are wanted at any price.
    deficit = book(((0, -6),), ((0, -4),), ((1, 0), (2, 5), (2, 6)))
    result = clear_book(deficit, Bounds(cap_per_kwh=Decimal(2)))
    assert (result.status, result.price_per_kwh) == ("CURTAILED_AT_CAP", 2)
    assert kw(result) == [-3.6, -2.4, 6]


def test_a_point_below_the_floor_is_refused():
    with pytest.raises(OfferError, match="participant 1 names a price below") as caught:
        clear_book(book(EV, SOLAR), Bounds(floor_per_kwh=Decimal("0.06")))
    assert (caught.value.problem.code, caught.value.participant) == ("E_PRICE_BELOW_FLOOR", "1")


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(book_module, "BLOCK", 64)
    random = np.random.default_rng(2)
    prices = np.sort(random.random((3, 1000)), axis=0)
    steps = np.sort(random.integers(-(10**7), 10**7, (3, 1000)).astype(float), axis=0)
    once, twice, again = (clear_book(Book(prices, steps), threads=n) for n in (1, 2, 2))
    assert once[:3] == twice[:3] == again[:3]
    assert once.residual_steps == twice.residual_steps == again.residual_steps
    assert np.array_equal(once.power_steps, twice.power_steps)
    assert np.array_equal(twice.power_steps, again.power_steps)


def test_powers_that_floats_hardly_hold_still_sum_to_zero():
    # Near 2**53 steps a float holds no parts, and rounding may take whole steps.
    random = np.random.default_rng(3)
    for _ in range(50):
        width = random.integers(2**47, 2**49, 8).astype(float)
        prices = np.sort(random.random((2, 8)), axis=0)
        sells = random.random(8) < 0.5
        steps = np.stack([np.where(sells, 0, -width), np.where(sells, width, 0)])
        (part,) = clear_intervals(Book(prices, steps), np.array([0, 8]))
        assert clear_book(Book(prices, steps)).power_steps.sum() == part.power_steps.sum() == 0


def test_what_no_remainder_can_take_goes_to_the_largest_power():
    steps, residual = whole_steps(np.array([2.5, 2.0**52, 1.0 - 2.0**52]))
    assert steps.tolist() == [2, 2**52 - 3, 1 - 2**52]
    assert residual == 3.5


# Random books of few digits, many ties, steps, points alone, and limits.

PRICE = st.integers(-4, 12).map(lambda n: Decimal(n) / 4)
POWER = st.one_of(
    st.integers(-9, 9).map(Decimal), st.integers(-9999, 9999).map(lambda n: n / Decimal(1000))
)


@st.composite
def bids(draw: st.DrawFn, name: str = "p") -> Bid:
    prices = sorted(draw(st.lists(PRICE, min_size=1, max_size=4)))
    powers = sorted(draw(st.lists(POWER, min_size=len(prices), max_size=len(prices))))
    limit = draw(st.none() | st.integers(0, 9).map(Decimal))
    if limit is not None and (powers[0] > limit or powers[-1] < -limit):
        limit = None
    points = tuple(map(Point, prices, powers))
    return Bid(name, Curve("INR", powers[0], powers[-1], points), limit)


books = st.lists(bids(), max_size=12).map(
    lambda book: [Bid(f"p{i}", one.curve, one.limit_kw) for i, one in enumerate(book)]
)
bounds = st.builds(
    lambda floor, width: Bounds(floor, width if floor is None or width is None else floor + width),
    st.none() | st.just(Decimal(-1)),
    st.none() | st.integers(0, 4).map(Decimal),
)


def agrees(end: Fraction | float | None, ours: float | None) -> bool:
    """Tell whether a price is exact to a float's rounding, which exact ones of few digits are."""
    return ours is None if end is None else ours == pytest.approx(float(end), rel=1e-12, abs=1e-15)


def assert_same(result: BookClearing, market: list[Bid], limits: Bounds) -> None:
    exact = clear(market, MILLIWATT, limits)
    assert result.status == exact.status
    assert all(map(agrees, exact.price_interval, result.prices))
    assert agrees(exact.price_interval.middle, result.price_per_kwh)
    assert int(result.power_steps.sum()) == 0
    for power_kw, steps in zip(exact.power_kw.values(), result.power_steps, strict=True):
        assert abs(power_kw * 10**6 - int(steps)) <= 1


@settings(max_examples=200, deadline=None)
@given(books, bounds)
def test_a_book_clears_as_the_exact_reference_does(market: list[Bid], limits: Bounds):
    assert_same(clear_book(Book.of(market), limits), market, limits)


@settings(max_examples=60, deadline=None)
@given(st.lists(books, min_size=1, max_size=6), bounds)
def test_many_intervals_clear_as_each_alone(markets: list[list[Bid]], limits: Bounds):
    everyone = [bid for market in markets for bid in market]
    named = [Bid(str(i), bid.curve, bid.limit_kw) for i, bid in enumerate(everyone)]
    offsets = np.cumsum([0, *map(len, markets)])
    results = clear_intervals(Book.of(named), offsets, limits)
    for result, market in zip(results, markets, strict=True):
        assert_same(result, market, limits)


@settings(max_examples=60, deadline=None)
@given(books, st.randoms(use_true_random=False))
def test_the_order_of_the_bids_does_not_matter(market: list[Bid], random):
    shuffled = random.sample(market, len(market))
    there, here = clear_book(Book.of(market)), clear_book(Book.of(shuffled))
    assert there.status == here.status
    assert all(map(agrees, there.prices, here.prices))
    at = {bid.participant: steps for bid, steps in zip(market, there.power_steps, strict=False)}
    for bid, steps in zip(shuffled, here.power_steps, strict=False):
        assert abs(at[bid.participant] - steps) <= 1


@settings(max_examples=60, deadline=None)
@given(books)
def test_a_participant_in_two_halves_trades_the_same(market: list[Bid]):
    whole = Book.of(market, step_kw=Decimal("5e-7"))
    halves = Book(whole.prices.repeat(2, axis=1), whole.steps.repeat(2, axis=1), whole.step_kw)
    there, here = clear_book(whole), clear_book(halves)
    assert there.status == here.status
    assert all(map(agrees, there.prices, here.prices))
    pairs = here.power_steps.reshape(-1, 2)
    assert (np.abs(pairs - there.power_steps[:, np.newaxis]) <= 1).all()


def test_many_intervals_agree_with_each_alone_bar_rounding():
    random = np.random.default_rng(4)
    prices = np.sort(random.random((3, 3000)), axis=0)
    steps = np.sort(random.integers(-(10**7), 10**7, (3, 3000)).astype(float), axis=0)
    offsets = np.array([0, 1, 100, 1500, 1500, 3000])
    for k, result in enumerate(clear_intervals(Book(prices, steps), offsets)):
        those = slice(offsets[k], offsets[k + 1])
        alone = clear_book(Book(prices[:, those], steps[:, those]))
        assert result.status == alone.status
        assert result.price_per_kwh == (alone.price_per_kwh and pytest.approx(alone.price_per_kwh))
        assert np.abs(result.power_steps - alone.power_steps).max(initial=0) <= 1


@pytest.mark.parametrize("offsets", [[1, 2], [0, 1], [0, 2, 1, 2]])
def test_intervals_are_parts_of_the_whole_book(offsets: list[int]):
    with pytest.raises(ValueError, match="the intervals must part 0 to 2"):
        clear_intervals(book(EV, SOLAR), np.array(offsets))


# What is no book.


@pytest.mark.parametrize(
    ("code", "prices", "steps"),
    [
        ("E_NOT_FINITE", [[0, 1], [1, np.nan]], [[0, 0], [1, 1]]),
        ("E_NOT_FINITE", [[0, 1], [1, 2]], [[0, 0], [1, np.inf]]),
        ("E_NOT_SORTED", [[0, 2], [1, 1]], [[0, 0], [1, 1]]),
        ("E_NOT_MONOTONE", [[0, 1], [1, 2]], [[0, 1], [1, 0]]),
        ("E_FINER_THAN_STEP", [[0, 1], [1, 2]], [[0, 0], [1, 0.5]]),
    ],
)
def test_a_wrong_curve_is_refused_by_code_and_participant(code: str, prices, steps):
    with pytest.raises(OfferError, match=r"participant 1, point \d") as caught:
        Book(np.array(prices, dtype=float), np.array(steps, dtype=float))
    assert (caught.value.problem.code, caught.value.participant) == (code, "1")


def test_a_book_has_as_many_prices_as_powers():
    with pytest.raises(ValueError, match=r"prices are \(1, 2\), powers \(2, 1\)"):
        Book(np.zeros((1, 2)), np.zeros((2, 1)))


def test_a_book_has_points():
    with pytest.raises(OfferError, match="E_EMPTY_CURVE"):
        Book(np.zeros((0, 2)), np.zeros((0, 2)))


def test_powers_that_cannot_be_summed_exactly_are_refused():
    with pytest.raises(OfferError, match=r"E_TOO_MANY_STEPS: .* take larger ones"):
        book(steps_of(1, 5e9), steps_of(2, -5e9))
    assert clear_book(book(steps_of(1, 5e9), steps_of(2, -5e9), step_kw=Decimal("0.001")))


def test_a_limit_clips_a_curve_on_its_ramp():
    # The ramp from -10 to 10 kW between 0 and 2 meets 5 kW at 1.5 and -5 kW at 0.5.
    limited = book(((0, -10), (2, 10)), limits_kw=np.array([5.0]))
    assert limited.prices[:, 0].tolist() == [0, 0.5, 1.5, 2]
    assert (limited.steps[:, 0] / 1e6).tolist() == [-5, -5, 5, 5]


@pytest.mark.parametrize(
    ("code", "limit_kw"), [("E_NEGATIVE_LIMIT", -1), ("E_LIMIT_INFEASIBLE", 1)]
)
def test_a_limit_that_no_curve_can_keep_is_refused(code: str, limit_kw: float):
    with pytest.raises(OfferError, match=f"{code}: participant 1 ") as caught:
        book(steps_of(1, 5), ((1, 2), (2, 5)), limits_kw=np.array([np.inf, limit_kw]))
    assert caught.value.participant == "1"


def test_a_published_adder_is_part_of_the_local_price():
    # The seller's node pays 1.5 more than the market: what it offers at 5 is offered at 3.5.
    shifted = book(steps_of(5, 10), steps_of(8, -10), adders=np.array([1.5, 0]))
    assert clear_book(shifted).prices == (3.5, 8)


def test_nobody_bids_twice():
    twice = Bid("a", Curve("INR", Decimal(0), Decimal(0), (Point(Decimal(1), Decimal(0)),)))
    with pytest.raises(OfferError, match="E_DUPLICATE_ID") as caught:
        Book.of([twice, twice])
    assert caught.value.participant == "a"


def test_bids_in_several_currencies_make_no_book():
    euro = Bid("b", Curve("EUR", Decimal(0), Decimal(0), (Point(Decimal(1), Decimal(0)),)))
    rupee = Bid("a", Curve("INR", Decimal(0), Decimal(0), (Point(Decimal(1), Decimal(0)),)))
    with pytest.raises(OfferError, match="E_MIXED_CURRENCY"):
        Book.of([rupee, euro])


def test_each_bid_has_the_adder_of_its_node():
    curve = Curve(
        "INR",
        Decimal(0),
        Decimal(1),
        (Point(Decimal("0.3"), Decimal(0)), Point(Decimal("0.3"), Decimal(1))),
    )
    shifted = Book.of([Bid("a", curve, node="Z"), Bid("b", curve)], {"Z": Decimal("0.1")})
    assert shifted.prices[0].tolist() == [0.2, 0.3]


# The sieve.


def market_of(count: int) -> tuple[Book, BookClearing]:
    random = np.random.default_rng(5)
    prices = np.sort(random.integers(0, 10**4, (3, count)) / 10**4, axis=0)
    steps = np.sort(random.integers(-(10**7), 10**7, (3, count)), axis=0).astype(float)
    found = Book(prices, steps)
    return found, clear_book(found)


def test_our_own_result_has_no_suspects():
    found, result = market_of(1000)
    sieved = suspects(found, result.price_per_kwh, result.power_steps / 1e6, 1e-9, 1e-6)
    assert (sieved.net_steps, sieved.participants.tolist()) == (0, [])


def test_whoever_is_moved_off_the_curve_is_a_suspect(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(book_module, "BLOCK", 64)
    found, result = market_of(1000)
    claimed = result.power_steps / 1e6
    claimed[[7, 70, 700]] += [0.000003, -1, 1e15]
    claimed[8:10] = np.nan, 0.0000005
    for threads in (1, 2):
        price = np.full(1000, result.price_per_kwh)
        sieved = suspects(found, price, claimed, 1e-9, 1e-6, threads)
        assert sieved.participants.tolist() == [7, 8, 9, 70, 700]
    before = [int(result.power_steps[k]) for k in (8, 9, 700)]
    assert sieved.net_steps == 3 - 10**6 + int(claimed[700] / 1e-6) - sum(before)


@settings(max_examples=100, deadline=None)
@given(
    books,
    PRICE,
    st.sampled_from([Decimal(0), Decimal("0.05")]),
    st.sampled_from([Decimal(0), Decimal("0.001")]),
    st.data(),
)
def test_whoever_is_off_the_box_is_a_suspect(market, price, half_tick, step, data):
    claimed = data.draw(st.lists(POWER, min_size=len(market), max_size=len(market)))
    off = {
        i
        for i, (bid, power) in enumerate(zip(market, claimed, strict=True))
        if not bid.powers_at(Fraction(price - half_tick)).low_kw - Fraction(step)
        <= Fraction(power)
        <= bid.powers_at(Fraction(price + half_tick)).high_kw + Fraction(step)
    }
    numbers = np.array([float(power) for power in claimed])
    sieved = suspects(Book.of(market), float(price), numbers, float(half_tick), float(step))
    assert off <= set(sieved.participants.tolist())
    assert sieved.net_steps == sum(claimed) * 10**6


@pytest.mark.parametrize("price", [float("nan"), float("inf")])
def test_at_no_price_everyone_is_a_suspect(price: float):
    found, result = market_of(10)
    assert len(suspects(found, price, result.power_steps / 1e6, 1e-9, 1e-6).participants) == 10


def test_a_tolerance_names_nobody_who_is_well_within_it():
    found, result = market_of(1000)
    claimed = result.power_steps / 1e6
    claimed[::2] += 0.0004
    assert not len(suspects(found, result.price_per_kwh, claimed, 1e-9, 0.0005).participants)

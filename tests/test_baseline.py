"""Baselines and reductions: worked by hand, and against the definition searched out in full."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.baseline import (
    Adjustment,
    BaselineError,
    Commitment,
    Day,
    Delivered,
    Methodology,
    Reading,
    Unmeasured,
    adjusted_kw,
    average_kw,
    high_days,
    parse_methodology,
    settle_flex,
)

EVENT = date(2026, 4, 1)
HALF, HOUR = Fraction(1, 2), Fraction(1)


def kw(*texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts))


def day(before: int, *window: str, earlier: tuple[str, ...] = ()) -> Day:
    return Day(EVENT - timedelta(days=before), kw(*window), kw(*earlier))


def dates(days: list[Day]) -> list[int]:
    return [(EVENT - one.date).days for one in days]


# Which days.


@pytest.mark.parametrize("text", ["5of10", "5 of 10", "high 5 of 10", "High 5of10", "5 OF 10"])
def test_a_methodology_is_read_as_it_is_written(text: str):
    assert parse_methodology(text) == Methodology(5, 10)


@pytest.mark.parametrize(
    "text", ["", "of", "5of", "5/10", "11of10", "0of10", "0of0", "-5of10", "5.0of10", "x5of10x"]
)
def test_what_names_no_methodology_is_refused(text: str):
    with pytest.raises(BaselineError, match="E_METHODOLOGY"):
        parse_methodology(text)


def test_a_baseline_is_the_average_of_the_highest_days():
    # Of the three most recent, 1 day ago drew 30 in sum, 2 days 50 and 3 days 40: the high
    # two are 2 and 3 days ago, and draw (20 + 10) / 2 and (30 + 30) / 2.
    history = [
        day(1, "15", "15"),
        day(2, "20", "30"),
        day(3, "10", "30"),
        day(4, "99", "99"),
    ]
    chosen = high_days(Methodology(2, 3), EVENT, history, ())
    assert dates(chosen) == [2, 3]
    assert average_kw(chosen) == (15, 30)


def test_five_of_ten():
    # Day n before the event draws n kW; the last ten are 1 to 10, the high five 6 to 10.
    history = [day(before, f"{before}") for before in range(1, 15)]
    chosen = high_days(parse_methodology("5of10"), EVENT, history, ())
    assert dates(chosen) == [10, 9, 8, 7, 6]
    assert average_kw(chosen) == (8,)


def test_an_average_is_exact():
    history = [day(1, "1"), day(2, "1"), day(3, "2")]
    assert average_kw(high_days(Methodology(3, 3), EVENT, history, ())) == (Fraction(4, 3),)


def test_of_two_days_alike_the_more_recent_counts():
    history = [day(3, "7", "3"), day(1, "5", "5"), day(2, "4", "6"), day(4, "1", "1")]
    assert dates(high_days(Methodology(2, 4), EVENT, history, ())) == [1, 2]


def test_excluded_days_make_room_for_older_ones():
    history = [day(before, "1") for before in range(1, 6)]
    excluded = {EVENT - timedelta(days=1), EVENT - timedelta(days=3)}
    assert dates(high_days(Methodology(3, 3), EVENT, history, excluded)) == [2, 4, 5]


def test_the_event_day_and_what_follows_are_no_history():
    history = [day(-1, "9"), day(0, "9"), day(1, "1")]
    assert dates(high_days(Methodology(1, 1), EVENT, history, ())) == [1]
    with pytest.raises(BaselineError, match="E_TOO_FEW_DAYS: 1 days are eligible, 2 are needed"):
        high_days(Methodology(1, 2), EVENT, history, ())


def test_a_date_is_given_once():
    with pytest.raises(BaselineError, match="E_DUPLICATE_DAY"):
        high_days(Methodology(1, 2), EVENT, [day(1, "1"), day(1, "2")], ())


@pytest.mark.parametrize("rows", [(("1", "2"), ("1",)), ((), ())])
def test_a_day_that_lacks_intervals_is_not_averaged(rows):
    history = [day(1, *rows[0]), day(2, *rows[1])]
    with pytest.raises(BaselineError, match="E_INCOMPLETE_DAY"):
        high_days(Methodology(1, 2), EVENT, history, ())


def test_a_day_that_is_too_old_to_count_may_lack_intervals():
    history = [day(1, "1", "2"), day(2, "1")]
    assert dates(high_days(Methodology(1, 1), EVENT, history, ())) == [1]


powers = st.integers(0, 4).map(Decimal)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_other_choice_of_days_draws_more_or_is_more_recent(data: st.DataObject):
    offsets = data.draw(st.lists(st.integers(-2, 12), min_size=1, max_size=9, unique=True))
    history = [Day(EVENT - timedelta(days=n), (data.draw(powers), Decimal(1))) for n in offsets]
    excluded = {one.date for one in history if data.draw(st.booleans())}
    eligible = sorted(one for one in history if one.date < EVENT and one.date not in excluded)
    out_of = data.draw(st.integers(1, 6))
    methodology = Methodology(data.draw(st.integers(1, out_of)), out_of)
    if len(eligible) < out_of:
        with pytest.raises(BaselineError) as refused:
            high_days(methodology, EVENT, history, excluded)
        assert refused.value.code == "E_TOO_FEW_DAYS"
        return
    best = max(
        combinations(reversed(eligible[-out_of:]), methodology.best),
        key=lambda days: (sum(one.window_kw[0] for one in days), [one.date for one in days]),
    )
    assert set(high_days(methodology, EVENT, history, excluded)) == set(best)


# The event day.

CHOSEN = [day(1, "10", "20", earlier=("8", "12")), day(2, "30", "20", earlier=("6", "14"))]
"""20 kW in either interval; 10 kW in the hours before."""


@pytest.mark.parametrize(
    ("kind", "cap", "observed", "expected"),
    [
        ("ADDITIVE", "5", ("11", "15"), (23, 23)),  # 13 observed, 10 usual
        ("ADDITIVE", "5", ("7", "7"), (17, 17)),
        ("ADDITIVE", "2", ("11", "15"), (22, 22)),
        ("ADDITIVE", "2", ("7", "7"), (18, 18)),
        ("ADDITIVE", "0", ("99", "99"), (20, 20)),
        ("MULTIPLICATIVE", "0.4", ("11", "15"), (26, 26)),
        ("MULTIPLICATIVE", "0.4", ("7", "7"), (14, 14)),
        ("MULTIPLICATIVE", "0.2", ("11", "15"), (24, 24)),
        ("MULTIPLICATIVE", "0.2", ("7", "7"), (16, 16)),
        ("MULTIPLICATIVE", "0.2", ("0", "0"), (16, 16)),
    ],
)
def test_a_baseline_follows_the_event_day_within_the_cap(kind, cap, observed, expected):
    adjustment = Adjustment(kind, Decimal(cap))
    assert adjusted_kw(CHOSEN, kw(*observed), adjustment) == expected


@pytest.mark.parametrize(
    ("days", "observed", "adjustment", "code"),
    [
        (CHOSEN, ("1", "1"), Adjustment("ADDITIVE", Decimal("-0.1")), "E_NEGATIVE"),
        (CHOSEN, ("1",), Adjustment("ADDITIVE", Decimal(1)), "E_INCOMPLETE_DAY"),
        ([day(1, "1")], (), Adjustment("ADDITIVE", Decimal(1)), "E_INCOMPLETE_DAY"),
        (
            [day(1, "1", earlier=("0",))],
            ("1",),
            Adjustment("MULTIPLICATIVE", Decimal(1)),
            "E_NO_RATIO",
        ),
    ],
)
def test_an_adjustment_that_has_no_meaning_is_refused(days, observed, adjustment, code):
    with pytest.raises(BaselineError) as refused:
        adjusted_kw(days, kw(*observed), adjustment)
    assert refused.value.code == code


def test_a_day_that_begins_as_usual_is_not_adjusted():
    for kind in ("ADDITIVE", "MULTIPLICATIVE"):
        same = adjusted_kw(CHOSEN, kw("9", "11"), Adjustment(kind, Decimal(1)))
        assert same == average_kw(CHOSEN)


# What a reduction is worth.


def read(baseline: str, *usage: str) -> Reading:
    return Reading(kw(baseline), kw(*usage))


def owed(interval: int, committed: str, price: str, penalty: str) -> Commitment:
    return Commitment(interval, Decimal(committed), Decimal(price), Decimal(penalty))


POSTED = [owed(0, "150", "3.5", "1.5"), owed(1, "120", "4.0", "1.5")]
METERS = {
    "m1": {0: read("75", "5"), 1: read("100", "50")},
    "m2": {0: read("75", "5"), 1: read("100", "45")},
}


def test_the_published_example_at_a_posted_price():
    # 140 of 150 kW and 105 of 120 kW for half an hour each: 245.00 - 7.50 and 210.00 - 11.25.
    settled = settle_flex(HALF, POSTED, METERS)
    assert settled.delivered == (
        Delivered(0, Fraction(70), Fraction(245), Fraction("7.5")),
        Delivered(1, Fraction("52.5"), Fraction(210), Fraction("11.25")),
    )
    assert settled.seller_receives == Decimal("436.25")
    assert settled.unmeasured == ()


def test_the_published_example_of_pay_as_clear():
    # 25 + 25 of 50 kW and 22.5 + 22.5 of 45 kW, an hour each, at 3.5: 175.00 + 157.50.
    cleared = [owed(0, "50", "3.5", "0.5"), owed(1, "45", "3.5", "0.5")]
    meters = {
        "m1": {0: read("55", "30"), 1: read("47.5", "25")},
        "m2": {0: read("50", "25"), 1: read("47.5", "25")},
    }
    settled = settle_flex(HOUR, cleared, meters)
    assert [one.payment for one in settled.delivered] == [175, Decimal("157.5")]
    assert settled.seller_receives == Decimal("332.50")


@pytest.mark.parametrize(
    ("usage", "net"),
    [
        ("60", "135"),  # 40 of 50 kWh: 140 less 10 at 0.5
        ("40", "175"),  # 60 kWh, of which 50 are paid
        ("50", "175"),
        ("100", "-25"),
        ("120", "-25"),  # drawing more than the baseline is no negative reduction
    ],
)
def test_what_is_missing_costs_and_what_is_too_much_is_not_paid(usage: str, net: str):
    settled = settle_flex(HOUR, [owed(0, "50", "3.5", "0.5")], {"m": {0: read("100", usage)}})
    assert settled.seller_receives == Decimal(net)


def test_meters_are_clamped_before_they_are_summed():
    # 30 less from one and 20 more from the other are 30, not 10.
    meters = {"m1": {0: read("50", "20")}, "m2": {0: read("50", "70")}}
    settled = settle_flex(HOUR, [owed(0, "30", "1", "1")], meters)
    assert settled.seller_receives == 30


def test_several_values_of_an_interval_are_averaged():
    settled = settle_flex(HOUR, [owed(0, "9", "1", "0")], {"m": {0: read("10", "1", "2", "6")}})
    assert settled.delivered[0].delivered_kwh == 7


def test_power_counts_by_the_time_it_lasts():
    settled = settle_flex(
        Fraction(1, 4), [owed(0, "50", "3.5", "0.5")], {"m": {0: read("100", "60")}}
    )
    assert settled.seller_receives == Decimal("33.75")


@pytest.mark.parametrize(
    "lacking",
    [
        {0: read("75", "5")},
        {0: read("75", "5"), 1: read("100")},
        {0: read("75", "5"), 1: Reading((), kw("45"))},
    ],
)
def test_an_interval_that_a_meter_lacks_is_not_settled(lacking):
    settled = settle_flex(HALF, POSTED, METERS | {"m2": lacking})
    assert [one.interval for one in settled.delivered] == [0]
    assert settled.unmeasured == (Unmeasured(1, ("m2",)),)
    assert settled.seller_receives == Decimal("237.50")


def test_baselines_alone_are_worth_nothing():
    # Published policy and adapter would here charge the seller 202.50 before the event begins.
    announced = {
        name: {number: replace_usage(one) for number, one in by_id.items()}
        for name, by_id in METERS.items()
    }
    settled = settle_flex(HALF, POSTED, announced)
    assert settled.delivered == ()
    assert settled.unmeasured == (Unmeasured(0, ("m1", "m2")), Unmeasured(1, ("m1", "m2")))
    assert settled.seller_receives == 0


def replace_usage(one: Reading) -> Reading:
    return one._replace(usage_kw=())


def test_a_meter_that_has_sent_nothing_is_awaited():
    settled = settle_flex(HALF, POSTED, METERS | {"m3": {}})
    assert settled.unmeasured == (Unmeasured(0, ("m3",)), Unmeasured(1, ("m3",)))


def test_intervals_are_joined_by_id():
    assert settle_flex(HALF, POSTED[::-1], METERS).seller_receives == Decimal("436.25")


@pytest.mark.parametrize(
    ("commitments", "meters", "code"),
    [
        (POSTED, {}, "E_NO_METERS"),
        ([POSTED[0], POSTED[0]], METERS, "E_DUPLICATE_INTERVAL"),
        ([owed(0, "-1", "1", "1")], METERS, "E_NEGATIVE"),
        ([owed(0, "1", "1", "-1")], METERS, "E_NEGATIVE"),
    ],
)
def test_what_cannot_be_settled_is_refused(commitments, meters, code: str):
    with pytest.raises(BaselineError) as refused:
        settle_flex(HOUR, commitments, meters)
    assert refused.value.code == code


def test_a_methodology_is_checked_however_it_is_made():
    with pytest.raises(BaselineError, match="E_METHODOLOGY: 11 days out of 10"):
        Methodology(11, 10)


numbers = st.decimals(0, 100, places=3)


@given(
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5),
    numbers,
    st.decimals(-10, 10, places=4),
    st.decimals(0, 10, places=4),
)
@settings(max_examples=100, deadline=None)
def test_payment_and_penalty_split_the_commitment(pairs, committed, price, penalty):
    meters = {f"m{n}": {0: Reading((a,), (b,))} for n, (a, b) in enumerate(pairs)}
    one = settle_flex(HALF, [Commitment(0, committed, price, penalty)], meters).delivered[0]
    delivered = sum((Fraction(a - b) / 2 for a, b in pairs if a > b), Fraction())
    paid = min(delivered, Fraction(committed) / 2)
    assert one.delivered_kwh == delivered
    assert one.payment == paid * Fraction(price)
    assert one.penalty == (Fraction(committed) / 2 - paid) * Fraction(penalty)

"""Allocation: the published vectors, sums to the Wh, and the money of one trade."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.allocation import (
    ROLES,
    AllocationError,
    Rates,
    Rounds,
    Trade,
    allocate,
    pro_rata,
    role_values,
    settle_trade,
)
from gridwitness.reference_impl.terms import Flow


def kwh(text: str) -> Decimal:
    return Decimal(text)


def trade(name: str, seller: str, buyer: str, quantity: str, interval: int = 0) -> Trade:
    return Trade(name, interval, buyer, seller, kwh(quantity), Decimal("12.5"))


def sells(*quantities: str) -> list[Trade]:
    return [trade(f"t{n}", "m", f"b{n}", quantity) for n, quantity in enumerate(quantities)]


def buys(*quantities: str) -> list[Trade]:
    return [trade(f"t{n}", f"s{n}", "m", quantity) for n, quantity in enumerate(quantities)]


def shares(trades: list[Trade], imported: str) -> list[str]:
    return [str(one) for one in pro_rata("m", trades, kwh(imported)).values()]


@pytest.mark.parametrize(
    ("trades", "imported", "expected"),
    [
        (sells("6", "4"), "-8", ["4.8", "3.2"]),
        (buys("7", "3"), "12.5", ["7", "3"]),
        (sells("6", "4"), "8", ["0", "0"]),
        (buys("7", "3"), "-8", ["0", "0"]),
        (sells("6", "4"), "-12", ["6", "4"]),
        (sells("6", "4"), "0", ["0", "0"]),
        (sells("10", "10"), "-15", ["7.5", "7.5"]),
        (buys("0"), "5", ["0"]),
        ([], "5", []),
    ],
)
def test_a_reading_is_shared_in_proportion(trades, imported: str, expected: list[str]):
    assert shares(trades, imported) == expected


def test_who_buys_as_much_as_is_sold_needs_no_meter():
    both = [trade("in", "s", "m", "5"), trade("out", "m", "b", "5")]
    assert pro_rata("m", both, kwh("-3")) == {"in": kwh("5"), "out": kwh("5")}


def test_purchases_and_sales_of_one_meter_are_reduced_alike():
    # It sells 10 and buys 4, so 6 should leave it; 3 do: half of everything.
    both = [trade("in", "s", "m", "4"), trade("out", "m", "b", "10")]
    assert pro_rata("m", both, kwh("-3")) == {"in": kwh("2"), "out": kwh("5")}


def test_the_odd_watt_hours_go_to_the_largest_remainders():
    # 10 of 30 Wh: 3.333 each of three trades of 10; one Wh is missing, ties by name.
    assert shares(sells("0.010", "0.010", "0.010"), "-0.010") == ["0.004", "0.003", "0.003"]
    assert shares(sells("0.010", "0.010", "0.010")[::-1], "-0.010") == ["0.003", "0.003", "0.004"]
    # 10 of 21 Wh: 2.857, 3.333, 3.81 are 2, 3, 3; the two missing go to 0.857 and 0.81.
    assert shares(sells("0.006", "0.007", "0.008"), "-0.010") == ["0.003", "0.003", "0.004"]


def test_energy_that_was_not_metered_is_not_allocated():
    assert shares(sells("1"), "-0.0009") == ["0"]


@pytest.mark.parametrize(
    ("trades", "code"),
    [
        ([trade("t", "m", "b", "1"), trade("t", "m", "c", "1")], "E_DUPLICATE_TRADE"),
        ([trade("t", "m", "m", "1")], "E_SAME_METER"),
        ([trade("t", "m", "b", "-1")], "E_NEGATIVE"),
        ([trade("t", "m", "b", "0.0005")], "E_NOT_WHOLE_WH"),
    ],
)
def test_trades_that_cannot_be_allocated_are_refused(trades, code: str):
    for act in (
        lambda: pro_rata("m", trades, kwh("-1")),
        lambda: allocate(trades, {}),
        lambda: settle_trade(Rates(), trades, {0: kwh("0")}),
    ):
        with pytest.raises(AllocationError) as refused:
            act()
        assert refused.value.code == code


@pytest.mark.parametrize(
    "trades",
    [[trade("t", "s", "b", "1")], [trade("t", "m", "b", "1", 0), trade("t", "m", "b", "1", 1)]],
)
def test_a_reading_is_of_one_meter_and_one_interval(trades):
    with pytest.raises(AllocationError, match="E_OTHER_METER"):
        pro_rata("m", trades, kwh("-1"))


# The rounds.


def test_the_buyer_stays_within_the_seller():
    # The seller gives 15 of 20: 7.5 each. The first buyer takes 5 of 10, the second 12.
    trades = [trade("t1", "s", "b1", "10"), trade("t2", "s", "b2", "10")]
    readings = {("s", 0): kwh("-15"), ("b1", 0): kwh("5"), ("b2", 0): kwh("12")}
    assert allocate(trades, readings) == {
        ("t1", 0): Rounds(kwh("7.5"), kwh("5")),
        ("t2", 0): Rounds(kwh("7.5"), kwh("7.5")),
    }


@pytest.mark.parametrize(
    ("readings", "rounds"),
    [
        ({}, Rounds(None, None)),
        ({("b", 0): "8"}, Rounds(None, None)),
        ({("s", 0): "-6"}, Rounds(kwh("6"), None)),
        ({("s", 0): "-6", ("b", 1): "8"}, Rounds(kwh("6"), None)),
        ({("s", 0): "-6", ("b", 0): "8"}, Rounds(kwh("6"), kwh("6"))),
        ({("s", 0): "-6", ("b", 0): "4", ("x", 0): "1"}, Rounds(kwh("6"), kwh("4"))),
    ],
)
def test_a_trade_waits_until_both_its_meters_are_read(readings, rounds: Rounds):
    read = {place: kwh(reading) for place, reading in readings.items()}
    assert allocate([trade("t", "s", "b", "10")], read) == {("t", 0): rounds}


def test_the_published_example_by_the_published_rule():
    # Its meters read -10 and -12, 5 and 7; by the rule 5 and 7 kWh are final, which at 12.5
    # and 14.5 are 62.50 + 101.50, where the example allocates 18.5 and 14.2 kWh.
    first, second = trade("t", "s", "b", "20.5", 0), trade("t", "s", "b", "15.5", 1)
    trades = [first, second._replace(price_per_kwh=Decimal("14.5"))]
    readings = {("s", 0): "-10", ("s", 1): "-12", ("b", 0): "5", ("b", 1): "7"}
    rounds = allocate(trades, {place: kwh(reading) for place, reading in readings.items()})
    final = {interval: one.final_kwh for (_, interval), one in rounds.items()}
    assert final == {0: 5, 1: 7}
    assert role_values(settle_trade(Rates(), trades, final))["sellerPlatform"] == Decimal("164.00")


# The money of one trade.

TRADES = [
    Trade("t", 0, "b", "s", kwh("20.5"), Decimal("12.5")),
    Trade("t", 1, "b", "s", kwh("15.5"), Decimal("14.5")),
]
FINAL = {0: kwh("18.5"), 1: kwh("14.2")}
TEMPLATE = Rates(Decimal("0.25"), Decimal("0.30"), Decimal("0.50"))


def values(rates: Rates, trades: list[Trade], final: dict[int, Decimal]) -> list[str]:
    return [str(one) for one in role_values(settle_trade(rates, trades, final)).values()]


def test_the_published_example_as_allocated():
    # 231.25 + 205.90, and no charges.
    assert values(Rates(), TRADES, FINAL) == ["-437.15", "437.15", "0", "0"]


def test_the_published_example_with_the_rates_of_the_guide():
    # 32.7 kWh: wheeling 8.175, hence 8.18, and 9.81; 3.3 kWh short: 1.65.
    assert settle_trade(TEMPLATE, TRADES, FINAL) == [
        Flow("buyerPlatform", "sellerPlatform", "ENERGY", Decimal("437.15")),
        Flow("buyerPlatform", "buyerDiscom", "WHEELING", Decimal("8.18")),
        Flow("sellerPlatform", "sellerDiscom", "WHEELING", Decimal("9.81")),
        Flow("sellerPlatform", "sellerDiscom", "DEVIATION_PENALTY", Decimal("1.65")),
    ]
    assert values(TEMPLATE, TRADES, FINAL) == ["-445.33", "425.69", "8.18", "11.46"]


def test_the_published_vector_of_one_interval():
    # 20 of 20.5 kWh at 12.5.
    final = {0: kwh("20")}
    assert values(Rates(), TRADES[:1], final) == ["-250.00", "250.00", "0", "0"]
    assert values(TEMPLATE, TRADES[:1], final) == ["-255.00", "243.75", "5.00", "6.25"]


def test_intervals_are_joined_by_id():
    assert settle_trade(TEMPLATE, TRADES[::-1], dict(reversed(FINAL.items()))) == settle_trade(
        TEMPLATE, TRADES, FINAL
    )


def test_at_a_negative_price_the_seller_pays():
    negative = [TRADES[0]._replace(price_per_kwh=Decimal(-2))]
    assert values(TEMPLATE, negative, {0: kwh("20.5")}) == ["35.87", "-47.15", "5.13", "6.15"]


def test_nothing_delivered_costs_the_penalty_alone():
    assert values(TEMPLATE, TRADES[:1], {0: kwh("0")}) == ["0", "-10.25", "0", "10.25"]


@pytest.mark.parametrize(
    ("rounding", "energy", "amount"),
    [
        ("HALF_UP", "0.5", "0.03"),  # 0.025
        ("HALF_EVEN", "0.5", "0.02"),
        ("HALF_EVEN", "0.7", "0.04"),  # 0.035
        ("HALF_UP", "0.48", "0.02"),  # 0.024
        ("HALF_EVEN", "0.52", "0.03"),  # 0.026
    ],
)
def test_half_a_unit_is_rounded_as_declared(rounding: str, energy: str, amount: str):
    cheap = [TRADES[0]._replace(price_per_kwh=Decimal("0.05"), quantity_kwh=kwh(energy))]
    flows = settle_trade(Rates(rounding=rounding), cheap, {0: kwh(energy)})
    assert [str(one.amount) for one in flows] == [amount]


def test_yen_have_no_decimals():
    assert values(replace(TEMPLATE, minor_unit=0), TRADES, FINAL) == ["-445", "425", "8", "12"]


def test_a_rounding_that_is_none_is_refused():
    with pytest.raises(AllocationError, match="E_ROUNDING: UP is no rounding"):
        Rates(rounding="UP")


@pytest.mark.parametrize(
    ("trades", "final", "code"),
    [
        ([], {}, "E_NOT_ONE_TRADE"),
        ([TRADES[0], trade("u", "s", "b", "1", 1)], FINAL, "E_NOT_ONE_TRADE"),
        (TRADES, {0: kwh("18.5")}, "E_INTERVALS"),
        (TRADES, FINAL | {2: kwh("1")}, "E_INTERVALS"),
        (TRADES, FINAL | {1: kwh("15.501")}, "E_OVER_ALLOCATED"),
        (TRADES, FINAL | {1: kwh("-0.001")}, "E_OVER_ALLOCATED"),
    ],
)
def test_what_cannot_be_settled_is_refused(trades, final, code: str):
    with pytest.raises(AllocationError) as refused:
        settle_trade(Rates(), trades, final)
    assert refused.value.code == code


# Random trades between few meters, so that they overlap.

METERS = ("a", "b", "c", "d")
wh = st.integers(0, 60)


def as_kwh(number: int) -> Decimal:
    return Decimal(number) / 1000


@st.composite
def markets(draw: st.DrawFn):
    places = draw(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=12, unique=True)
    )
    trades = []
    for number, interval in places:
        buyer, seller = draw(st.permutations(METERS))[:2]
        trades.append(
            Trade(
                f"t{number}",
                interval,
                buyer,
                seller,
                as_kwh(draw(wh)),
                draw(st.decimals(-9, 20, places=3)),
            )
        )
    readings = {
        (meter, interval): Decimal(draw(st.integers(-900, 900))) / 10_000
        for meter in METERS
        for interval in range(3)
        if draw(st.integers(0, 5))
    }
    return trades, readings


@given(markets())
@settings(max_examples=150, deadline=None)
def test_shares_are_the_exact_ones_to_the_watt_hour(market):
    trades, readings = market
    for (meter, interval), reading in readings.items():
        mine = [one for one in trades if one.interval == interval and meter in one[2:4]]
        bought = [one for one in mine if one.buyer_meter == meter]
        sold = [one for one in mine if one.seller_meter == meter]
        amount = sum(one.quantity_kwh for one in bought) - sum(one.quantity_kwh for one in sold)
        part = Fraction(1) if amount == 0 else Fraction(reading) / Fraction(amount)
        part = min(max(part, Fraction(0)), Fraction(1))
        got = pro_rata(meter, mine, reading)
        for side in (bought, sold):
            exact = [Fraction(one.quantity_kwh) * 1000 * part for one in side]
            given_wh = [Fraction(got[one.trade]) * 1000 for one in side]
            assert sum(given_wh) == floor(sum(exact))
            for one, whole, share in zip(side, given_wh, exact, strict=True):
                assert whole % 1 == 0
                assert abs(whole - share) < 1
                assert 0 <= whole <= one.quantity_kwh * 1000
        net = sum(got[one.trade] for one in bought) - sum(got[one.trade] for one in sold)
        if 0 < part < 1:
            assert abs(net - reading) < Decimal("0.001")
            assert net == reading or reading * 1000 % 1


@given(markets(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_final_allocation_is_the_smaller_of_both_sides(market, random):
    trades, readings = market
    rounds = allocate(trades, readings)
    assert list(rounds) == [(one.trade, one.interval) for one in trades]
    of_meter = defaultdict(list)
    for one in trades:
        for meter in one[2:4]:
            of_meter[meter, one.interval].append(one)
    for one in trades:
        places = (one.seller_meter, one.interval), (one.buyer_meter, one.interval)
        told = rounds[one.trade, one.interval]
        if all(place in readings for place in places):
            sides = [
                pro_rata(place[0], of_meter[place], readings[place])[one.trade] for place in places
            ]
            assert told == (sides[0], min(sides))
        else:
            assert (told.seller_kwh is None) == (places[0] not in readings)
            assert told.final_kwh is None
    mixed = random.sample(trades, len(trades))
    assert allocate(mixed, readings) == rounds


@given(
    markets(),
    st.lists(st.decimals(0, 2, places=4), min_size=3, max_size=3),
    st.sampled_from(["HALF_UP", "HALF_EVEN"]),
    st.integers(0, 4),
)
@settings(max_examples=150, deadline=None)
def test_every_trade_balances_to_exactly_zero(market, charges, rounding, minor_unit):
    trades, readings = market
    rates = Rates(*charges, rounding, minor_unit)
    rounds = allocate(trades, readings)
    for name in {one.trade for one in trades}:
        mine = [one for one in trades if one.trade == name]
        final = {one.interval: rounds[name, one.interval].final_kwh for one in mine}
        if None in final.values():
            continue
        flows = settle_trade(rates, mine, final)
        left = role_values(flows)
        assert tuple(left) == ROLES
        assert sum(left.values()) == 0
        assert all(one.amount > 0 and one.payer != one.payee for one in flows)
        money = sum(Fraction(final[o.interval]) * Fraction(o.price_per_kwh) for o in mine)
        paid = sum(one.amount for one in flows if one.kind == "ENERGY")
        assert abs(Fraction(paid) - abs(money)) * 2 <= Fraction(1, 10**minor_unit)
        energy = sum(Fraction(kwh) for kwh in final.values())
        wheeling = left["buyerDiscom"]
        assert abs(Fraction(wheeling) - energy * Fraction(charges[0])) * 2 <= Fraction(
            1, 10**minor_unit
        )

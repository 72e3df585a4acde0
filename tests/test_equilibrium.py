"""Correctness of a clearing: each condition bites where it is broken, and only there."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.clearing import Bid, Bounds, Quantum, clear
from gridwitness.reference_impl.equilibrium import Claim, Market, Tolerance, violations
from gridwitness.reference_impl.grid import Grid, Node, clear_grid
from tests.test_clearing import EV, SOLAR, bid, books, least, most, offered_at
from tests.test_grid import bid as bid_at
from tests.test_grid import grids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridwitness.reference_impl.equilibrium import Violation

CAR_AND_ROOF = [bid("ev", *EV, limit="30"), bid("solar", *SOLAR, limit="5")]
HALF_TICK, HALF_STEP = Fraction("0.00005"), Fraction("0.0005")


def judged(
    bids: list[Bid],
    price: Decimal | None,
    powers: Mapping[str, Decimal],
    quantum: Quantum | None = None,
) -> list[Violation]:
    """Judge a plain result: one price, nobody curtailed, no grid."""
    tolerance = Tolerance.of(quantum or Quantum())
    return list(violations(Market(bids), Claim("CLEARED", price, powers), tolerance))


def found(bids: list[Bid], price: str | None, **powers: str) -> list[Violation]:
    claimed = {name: Decimal(power) for name, power in powers.items()}
    return judged(bids, None if price is None else Decimal(price), claimed)


def codes(bids: list[Bid], price: str | None, **powers: str) -> list[tuple[str, str | None]]:
    return [(one.code, one.participant) for one in found(bids, price, **powers)]


def test_the_correct_result_violates_nothing():
    assert codes(CAR_AND_ROOF, "0.10", ev="-5", solar="5") == []


def test_powers_that_do_not_sum_to_zero_are_caught():
    # The published example: 0.075 is the middle of nothing, and -8 + 3.5 is not zero.
    # At 0.075 the car draws 11 kW and the roof gives 5.
    assert codes(CAR_AND_ROOF, "0.075", ev="-8", solar="3.5") == [
        ("V_NOT_BALANCED", None),
        ("V_OFF_CURVE", "ev"),
        ("V_OFF_CURVE", "solar"),
    ]


def test_the_imbalance_is_the_size():
    (violation,) = found([bid("s", ("5", "0"), ("5", "10"))], "5", s="4.5")
    assert violation.code == "V_NOT_BALANCED"
    assert violation.size == Fraction(9, 2)
    assert violation.message == "the cleared powers sum to +4.5 kW"


def test_a_price_at_which_the_powers_are_not_offered_is_caught():
    assert codes(CAR_AND_ROOF, "0.09", ev="-5", solar="5") == [("V_OFF_CURVE", "ev")]


def test_off_curve_says_what_the_curve_gives():
    (violation,) = found(CAR_AND_ROOF, "0.09", ev="-5", solar="5")
    assert violation.message == "ev is cleared at -5 kW, its curve gives -8 kW at 0.09 per kWh"
    step = [bid("s", ("5", "0"), ("5", "10")), bid("b", ("5", "-12"))]
    (violation,) = [one for one in found(step, "5", s="12", b="-12") if one.code == "V_OFF_CURVE"]
    assert violation.message == "s is cleared at 12 kW, its curve gives 0 to 10 kW at 5 per kWh"


def test_a_power_beyond_the_bounds_and_the_limit_is_caught_as_both():
    # 8 kW is more than the roof has and more than it is approved for; at 0.09 the car
    # draws 8 kW indeed.
    assert codes(CAR_AND_ROOF, "0.09", ev="-8", solar="8") == [
        ("V_OUTSIDE_MIN_MAX_EXPORT", "solar"),
        ("V_EXCEEDS_APPROVED_LIMIT", "solar"),
        ("V_OFF_CURVE", "solar"),
    ]


def test_a_power_below_the_lowest_is_caught():
    bids = [bid("s", ("0", "4"), ("5", "10")), bid("b", ("9", "-10"), ("9", "0"))]
    assert codes(bids, "9", s="3", b="-3") == [
        ("V_OUTSIDE_MIN_MAX_EXPORT", "s"),
        ("V_OFF_CURVE", "s"),
    ]


def test_an_approved_limit_binds_the_one_who_draws():
    bids = [bid("ev", *EV, limit="3"), bid("solar", *SOLAR)]
    assert codes(bids, "0.10", ev="-5", solar="5") == [
        ("V_EXCEEDS_APPROVED_LIMIT", "ev"),
        ("V_OFF_CURVE", "ev"),
    ]


def test_who_is_left_out_is_caught():
    bids = [*CAR_AND_ROOF, bid("idle", ("0.05", "0"))]
    assert codes(bids, "0.10", ev="-5", solar="5") == [("V_MISSING_PARTICIPANT", "idle")]


def test_who_made_no_offer_is_caught():
    claimed = {"ev": "-5", "solar": "5", "ghost": "0"}
    assert codes(CAR_AND_ROOF, "0.10", **claimed) == [("V_UNKNOWN_PARTICIPANT", "ghost")]


def test_what_a_stranger_is_given_counts_in_the_balance():
    claimed = {"ev": "-5", "solar": "5", "ghost": "1"}
    assert codes(CAR_AND_ROOF, "0.10", **claimed) == [
        ("V_UNKNOWN_PARTICIPANT", "ghost"),
        ("V_NOT_BALANCED", None),
    ]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_a_number_that_is_not_finite_is_caught_and_ends_the_search(number: str):
    caught = [("V_NOT_FINITE", None)]
    assert codes(CAR_AND_ROOF, number, ev="-5", solar="5") == caught
    assert codes(CAR_AND_ROOF, "0.10", ev=number, solar="5") == caught
    assert codes(CAR_AND_ROOF, None, ev="-8", solar=number) == caught


def test_trade_at_no_price_is_caught_for_everyone_who_trades():
    bids = [*CAR_AND_ROOF, bid("idle", ("0.05", "0"))]
    assert codes(bids, None, ev="-5", solar="5", idle="0") == [
        ("V_NO_PRICE_BUT_TRADE", "ev"),
        ("V_NO_PRICE_BUT_TRADE", "solar"),
    ]


def test_no_trade_at_no_price_is_caught_where_there_is_one_to_trade_at():
    assert codes(CAR_AND_ROOF, None, ev="0", solar="0") == [("V_SHOULD_HAVE_CLEARED", None)]


def test_no_trade_at_no_price_is_right_where_nobody_agrees():
    apart = [bid("b", ("2", "-10"), ("4", "0")), bid("s", ("6", "0"), ("8", "10"))]
    assert codes(apart, None, b="0", s="0") == []


def test_no_trade_at_no_price_is_caught_where_somebody_cannot_stand_still():
    bids = [bid("must", ("5", "2"), ("6", "4")), bid("b", ("5", "-10"), ("7", "0"))]
    assert ("V_SHOULD_HAVE_CLEARED", None) in codes(bids, None, must="0", b="0")


def test_fixed_powers_that_match_need_no_price():
    bids = [bid("s", ("3", "5")), bid("b", ("9", "-5"))]
    assert codes(bids, None, s="5", b="-5") == []
    assert codes(bids, None, s="6", b="-6") == [
        ("V_OUTSIDE_MIN_MAX_EXPORT", "s"),
        ("V_OUTSIDE_MIN_MAX_EXPORT", "b"),
    ]


def test_an_empty_market_has_an_empty_result():
    assert codes([], None) == []
    assert codes([], "0.10") == []


@pytest.mark.parametrize(("power", "caught"), [("4.999", False), ("4.9989", True)])
def test_a_power_step_below_the_curve_is_allowed(power: str, *, caught: bool):
    bids = [bid("s", ("1", "5")), bid("b", ("5", "-10"), ("5", "0"))]
    assert codes(bids, "5", s=power, b=f"-{power}") == (
        [("V_OUTSIDE_MIN_MAX_EXPORT", "s"), ("V_OFF_CURVE", "s")] if caught else []
    )


@pytest.mark.parametrize(("power", "caught"), [("5.001", False), ("5.0011", True)])
def test_a_power_step_above_the_curve_is_allowed(power: str, *, caught: bool):
    bids = [bid("s", ("1", "5")), bid("b", ("5", "-10"), ("5", "0"))]
    assert codes(bids, "5", s=power, b=f"-{power}") == (
        [("V_OUTSIDE_MIN_MAX_EXPORT", "s"), ("V_OFF_CURVE", "s")] if caught else []
    )


@pytest.mark.parametrize(("power", "caught"), [("3.001", False), ("3.0011", True)])
def test_a_power_step_above_the_limit_is_allowed(power: str, *, caught: bool):
    bids = [bid("s", ("5", "0"), ("5", "10"), limit="3"), bid("b", ("5", "-10"), ("5", "0"))]
    assert codes(bids, "5", s=power, b=f"-{power}") == (
        [("V_EXCEEDS_APPROVED_LIMIT", "s"), ("V_OFF_CURVE", "s")] if caught else []
    )


@pytest.mark.parametrize(
    ("price", "caught"),
    [("4.99995", []), ("4.99994", ["s"]), ("5.00005", []), ("5.00006", ["b", "s"])],
)
def test_half_a_price_tick_beside_a_step_is_allowed(price: str, caught: list[str]):
    # 4 of 10 kW at 5 for the seller, and for the buyer, who is fixed below 5, from 5 up free.
    bids = [bid("b", ("5", "-4"), ("5", "0")), bid("s", ("5", "0"), ("5", "10"))]
    assert [who for _, who in codes(bids, price, s="4", b="-4")] == caught


@pytest.mark.parametrize(
    ("power", "caught"), [("4.9985", False), ("4.9984", True), ("5.0015", False), ("5.0016", True)]
)
def test_on_a_slope_both_tolerances_add_up(power: str, *, caught: bool):
    # 10 kW over a price of 1: half a tick of 0.0001 is worth 0.0005 kW, half a step.
    bids = [bid("s", ("5", "0"), ("6", "10")), bid("b", ("5.5", "-10"), ("5.5", "0"))]
    assert codes(bids, "5.5", s=power, b=f"-{power}") == ([("V_OFF_CURVE", "s")] if caught else [])


@pytest.mark.parametrize(
    ("power", "caught"), [("5.0005", False), ("5.0006", True), ("4.9995", False), ("4.9994", True)]
)
def test_the_sum_may_be_off_by_half_a_power_step(power: str, *, caught: bool):
    bids = [bid("s", ("5", "0"), ("5", "10")), bid("b", ("5", "-10"), ("5", "0"))]
    assert codes(bids, "5", s=power, b="-5") == ([("V_NOT_BALANCED", None)] if caught else [])


def test_the_sum_of_many_is_allowed_no_more_than_that_of_two():
    bids = [bid(f"s{n}", ("5", "0"), ("5", "10")) for n in range(100)]
    claimed = {f"s{n}": "0.0001" for n in range(100)}
    assert codes(bids, "5", **claimed) == [("V_NOT_BALANCED", None)]


def test_a_coarser_quantum_allows_more():
    bids = [bid("s", ("1", "5")), bid("b", ("5", "-10"), ("5", "0"))]
    claimed = {"s": Decimal("5.4"), "b": Decimal("-5.4")}
    coarse = Quantum(Decimal("0.01"), Decimal(1))
    assert judged(bids, Decimal("5.004"), claimed, coarse) == []


def test_the_size_is_what_lies_beyond_the_box():
    bids = [bid("s", ("1", "5")), bid("b", ("5", "-10"), ("5", "0"))]
    sizes = {one.code: one.size for one in found(bids, "5", s="6", b="-6")}
    assert sizes == {"V_OUTSIDE_MIN_MAX_EXPORT": 1, "V_OFF_CURVE": Fraction("0.999")}


@given(books(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_power_beyond_its_tolerance_is_always_caught(bids: list[Bid], data: st.DataObject):
    result = clear(bids)
    assume(result.price_per_kwh is not None)
    price = Fraction(result.price_per_kwh)
    moved = data.draw(st.sampled_from(bids))
    low = offered_at(moved, price - HALF_TICK)[0] - 2 * HALF_STEP
    high = offered_at(moved, price + HALF_TICK)[1] + 2 * HALF_STEP
    beyond = data.draw(st.integers(1, 10**6)) * Fraction("0.00001")
    power = data.draw(st.sampled_from([low - beyond, high + beyond]))
    # Five decimals, rounded away from the curve.
    units = power // Fraction("0.00001") + (power > high)
    claimed = result.power_kw | {moved.participant: Decimal(int(units)) / 100_000}
    caught = {(one.code, one.participant) for one in judged(bids, result.price_per_kwh, claimed)}
    assert ("V_OFF_CURVE", moved.participant) in caught


@given(books(), st.integers(-2000, 2000), st.data())
@settings(max_examples=60, deadline=None)
def test_at_a_price_that_cannot_balance_every_result_is_caught(
    bids: list[Bid], cents: int, data: st.DataObject
):
    price = Fraction(cents, 1000)
    spare = (len(bids) + 1) * HALF_STEP
    assume(least(bids, price - HALF_TICK) > spare or most(bids, price + HALF_TICK) < -spare)
    powers = st.decimals(-5, 5, places=3)
    claimed = {one.participant: data.draw(powers) for one in bids[1:]}
    claimed[bids[0].participant] = -sum(claimed.values(), Decimal())
    assert judged(bids, Decimal(cents) / 1000, claimed)


FLOOR = Bounds(floor_per_kwh=Decimal(0))
MUST_RUN = [bid("g1", ("0", "6")), bid("g2", ("0", "4")), bid("b", ("0", "-6"), ("0.1", "0"))]
RATIONED = {"g1": "3.6", "g2": "2.4", "b": "-6"}


def caught(
    bids: list[Bid],
    claim: Claim,
    bounds: Bounds | None = None,
    grid: Grid | None = None,
) -> list[tuple[str, str | None]]:
    market = Market(bids, bounds or Bounds(), grid or Grid())
    found = violations(market, claim, Tolerance.of(Quantum(Decimal("2e-9"), Decimal("1e-6"))))
    return [(one.code, one.participant) for one in found]


def claim(status: str, price: str | None, powers: dict[str, str], **more: object) -> Claim:
    read = {name: Decimal(power) for name, power in powers.items()}
    price_read = None if price is None else Decimal(price)
    for name, value in more.items():
        if isinstance(value, dict):
            more[name] = {key: Decimal(number) for key, number in value.items()}
    return Claim(status, price_read, read, **more)  # type: ignore[arg-type]


def test_a_declared_curtailment_of_the_long_side_is_right():
    assert caught(MUST_RUN, claim("CURTAILED_AT_FLOOR", "0", RATIONED), FLOOR) == []


def test_any_rationing_of_the_long_side_is_right():
    uneven = {"g1": "6", "g2": "0", "b": "-6"}
    assert caught(MUST_RUN, claim("CURTAILED_AT_FLOOR", "0", uneven), FLOOR) == []


def test_an_undeclared_curtailment_is_off_the_curves():
    assert caught(MUST_RUN, claim("CLEARED", "0", RATIONED), FLOOR) == [
        ("V_OUTSIDE_MIN_MAX_EXPORT", "g1"),
        ("V_OFF_CURVE", "g1"),
        ("V_OUTSIDE_MIN_MAX_EXPORT", "g2"),
        ("V_OFF_CURVE", "g2"),
    ]


def test_a_curtailment_that_rations_the_short_side_is_caught():
    less = {"g1": "3", "g2": "2", "b": "-5"}
    assert caught(MUST_RUN, claim("CURTAILED_AT_FLOOR", "0", less), FLOOR) == [("V_OFF_CURVE", "b")]


def test_a_curtailment_beside_the_bound_is_caught():
    codes_found = caught(MUST_RUN, claim("CURTAILED_AT_FLOOR", "0.05", RATIONED), FLOOR)
    assert ("V_CURTAILED_OFF_BOUND", None) in codes_found
    assert ("V_CURTAILED_OFF_BOUND", None) in caught(
        MUST_RUN, claim("CURTAILED_AT_FLOOR", None, RATIONED), FLOOR
    )


def test_a_curtailment_where_there_is_no_bound_is_caught():
    assert caught(MUST_RUN, claim("CURTAILED_AT_FLOOR", "0", RATIONED)) == [
        ("V_CURTAILED_OFF_BOUND", None)
    ]
    assert caught(MUST_RUN, claim("CURTAILED_AT_CAP", "0", RATIONED), FLOOR)[0] == (
        "V_CURTAILED_OFF_BOUND",
        None,
    )


@pytest.mark.parametrize(("side", "missing"), [("FLOOR", "SURPLUS"), ("CAP", "DEFICIT")])
def test_a_curtailment_without_a_reason_is_caught(side: str, missing: str):
    at_ten_cents = Decimal("0.10")
    bounds = Bounds(at_ten_cents, None) if side == "FLOOR" else Bounds(None, at_ten_cents)
    bids = [bid("ev", *EV), bid("solar", ("0.10", "0"), ("0.10", "5"))]
    right = claim(f"CURTAILED_AT_{side}", "0.10", {"ev": "-5", "solar": "5"})
    assert caught(bids, right, bounds) == [(f"V_CURTAILED_WITHOUT_{missing}", None)]


def test_a_shortage_at_the_cap_rations_those_who_draw():
    bids = [bid("l1", ("0", "-6")), bid("s", ("1", "0"), ("4", "5"))]
    right = claim("CURTAILED_AT_CAP", "9", {"l1": "-5", "s": "5"})
    assert caught(bids, right, Bounds(cap_per_kwh=Decimal(9))) == []


@pytest.mark.parametrize(
    ("bounds", "price", "expected"),
    [
        (Bounds(Decimal(4), Decimal(6)), "6", []),
        (Bounds(Decimal(4), Decimal(6)), "7", [("V_PRICE_OUT_OF_BOUNDS", None)]),
        (Bounds(Decimal(4), None), "4", []),
        (Bounds(Decimal(4), None), "3.9", [("V_PRICE_OUT_OF_BOUNDS", None)]),
    ],
)
def test_a_price_beyond_the_bounds_is_caught(
    bounds: Bounds, price: str, expected: list[tuple[str, str | None]]
):
    bids = [bid("s", ("3", "0"), ("3", "10")), bid("b", ("8", "-10"), ("8", "0"))]
    assert caught(bids, claim("CLEARED", price, {"s": "10", "b": "-10"}), bounds) == expected


@pytest.mark.parametrize("status", ["NOT_CLEARABLE", "NOT_CLEARABLE_SURPLUS"])
def test_a_market_that_can_clear_has_to(status: str):
    assert caught(CAR_AND_ROOF, Claim(status)) == [("V_SHOULD_HAVE_CLEARED", None)]
    assert caught([bid("wind", ("0", "3"))], Claim(status)) == []


STREET = [
    bid_at("roof", ("1", "0"), ("3", "20"), node="B"),
    bid("load", ("5", "-15"), ("9", "0")),
]
NARROW = Grid({"B": Node(max_forward_kw=Decimal(100), max_reverse_kw=Decimal(8))})
THROUGH = {"roof": "8", "load": "-8"}
PRICE, ADDER = "6.8666666667", "-5.0666666667"


def test_a_congested_street_with_its_adder_is_right():
    right = claim("CLEARED", PRICE, THROUGH, adders={"B": ADDER}, node_prices={"B": "1.8"})
    assert caught(STREET, right, grid=NARROW) == []


def test_a_congestion_ignored_is_caught():
    ignored = claim("CLEARED", "5", {"roof": "15", "load": "-15"})
    assert caught(STREET, ignored, grid=NARROW) == [
        ("V_REVERSE_FLOW_EXCEEDED", None),
        ("V_OFF_CURVE", "roof"),
    ]


def test_a_forward_flow_beyond_its_limit_is_caught():
    bids = [bid("s", ("5", "0"), ("5", "9")), bid_at("b", ("5", "-9"), ("5", "0"), node="B")]
    grid = Grid({"B": Node(max_forward_kw=Decimal(5))})
    assert caught(bids, claim("CLEARED", "5", {"s": "7", "b": "-7"}), grid=grid) == [
        ("V_FORWARD_FLOW_EXCEEDED", None)
    ]


@pytest.mark.parametrize("adder", ["0.5", "-0.5"])
def test_an_adder_that_no_limit_explains_is_caught(adder: str):
    bids = [bid("s", ("1", "0"), ("1", "9")), bid_at("b", ("5", "-9"), ("5", "0"), node="B")]
    grid = Grid({"B": Node(max_forward_kw=Decimal(50), max_reverse_kw=Decimal(50))})
    found = caught(
        bids, claim("CLEARED", "3", {"s": "9", "b": "-9"}, adders={"B": adder}), grid=grid
    )
    assert found == [("V_ADDER_WITHOUT_CONGESTION", None)]


def test_an_adder_of_the_wrong_sign_is_caught_where_the_other_limit_binds():
    wrong = claim("CLEARED", "1.3", THROUGH, adders={"B": "0.5"})
    assert ("V_ADDER_WITHOUT_CONGESTION", None) in caught(STREET, wrong, grid=NARROW)


def test_an_adder_of_a_node_without_limits_is_caught():
    grid = Grid({"B": Node()})
    free = claim("CLEARED", "2.4", {"roof": "14", "load": "-14"}, adders={"B": "0"})
    assert ("V_ADDER_WITHOUT_CONGESTION", None) not in caught(STREET, free, grid=grid)
    priced = claim("CLEARED", "2.4", {"roof": "14", "load": "-14"}, adders={"B": "0.1"})
    assert ("V_ADDER_WITHOUT_CONGESTION", None) in caught(STREET, priced, grid=grid)


def test_a_published_node_price_is_the_sum_of_its_parts():
    wrong = claim("CLEARED", PRICE, THROUGH, adders={"B": ADDER}, node_prices={"B": "1.9"})
    assert caught(STREET, wrong, grid=NARROW) == [("V_NODE_PRICE_INCONSISTENT", None)]


def test_an_adder_that_was_published_may_be_repeated_and_no_other():
    bids = [bid("s", ("1", "0"), ("3", "20")), bid_at("b", ("5", "-12"), ("9", "0"), node="Z")]
    grid = Grid(adders_per_kwh={"Z": Decimal("1.5")})
    powers = {"s": "12", "b": "-12"}
    repeated = claim("CLEARED", "2.2", powers, adders={"Z": "1.5"}, node_prices={"Z": "3.7"})
    assert caught(bids, repeated, grid=grid) == []
    other = claim("CLEARED", "2.2", powers, adders={"Z": "1"})
    assert caught(bids, other, grid=grid) == [("V_NODE_PRICE_INCONSISTENT", None)]


def test_whoever_is_declared_commanded_may_leave_the_curve():
    held = {"ev": "-4", "solar": "4"}
    assert caught(CAR_AND_ROOF, claim("CLEARED", "0.104", held)) == [("V_OFF_CURVE", "solar")]
    declared = claim("CLEARED", "0.104", held, off_curve=frozenset({"solar"}))
    assert caught(CAR_AND_ROOF, declared) == []


def test_whoever_is_commanded_keeps_within_the_own_bounds():
    declared = claim("CLEARED", "0.10", {"ev": "-5", "solar": "6"}, off_curve=frozenset({"solar"}))
    assert caught(CAR_AND_ROOF, declared) == [
        ("V_NOT_BALANCED", None),
        ("V_OUTSIDE_MIN_MAX_EXPORT", "solar"),
        ("V_EXCEEDS_APPROVED_LIMIT", "solar"),
    ]


def test_a_deep_price_may_be_off_by_half_a_tick_for_each_of_its_parts():
    grid = Grid({"B": Node(max_reverse_kw=Decimal(8))})
    coarse = Tolerance.of(Quantum(Decimal("0.01"), Decimal("0.001")))
    for adder, expected in (("-5.07", set()), ("-5.09", {"V_OFF_CURVE"})):
        told = claim("CLEARED", "6.87", THROUGH, adders={"B": adder})
        found = {one.code for one in violations(Market(STREET, grid=grid), told, coarse)}
        assert found == expected


def test_a_status_that_the_powers_belie_is_caught():
    surplus = [bid("wind", ("0", "3"))]
    assert caught(surplus, Claim("NOT_CLEARABLE_SURPLUS")) == []
    assert caught(surplus, Claim("NOT_CLEARABLE_DEFICIT")) == [("V_STATUS", None)]
    assert caught(surplus, claim("NOT_CLEARABLE", None, {"wind": "3"})) == [("V_STATUS", None)]
    traded = {"ev": "-5", "solar": "5"}
    assert caught(CAR_AND_ROOF, claim("CLEARED_ZERO", "0.10", traded)) == [("V_STATUS", None)]


def test_where_limits_meet_a_bound_that_nothing_respects_no_clearing_is_right():
    bids = [bid_at("s", ("6", "0"), ("7", "4"), node="B"), bid("b", ("8", "-2"), ("8", "0"))]
    grid = Grid({"B": Node(max_reverse_kw=Decimal(5))})
    low, high = Bounds(cap_per_kwh=Decimal(6)), Bounds(cap_per_kwh=Decimal(9))
    assert caught(bids, Claim("NOT_CLEARABLE"), low, grid) == []
    assert caught(bids, Claim("NOT_CLEARABLE"), high, grid) == [("V_SHOULD_HAVE_CLEARED", None)]


def test_a_flow_that_is_told_is_the_sum_of_its_powers():
    told = claim("CLEARED", PRICE, THROUGH, adders={"B": ADDER}, flows_kw={"B": "8"})
    assert caught(STREET, told, grid=NARROW) == []
    wrong = claim("CLEARED", PRICE, THROUGH, adders={"B": ADDER}, flows_kw={"B": "-8"})
    assert caught(STREET, wrong, grid=NARROW) == [("V_FLOW_INCONSISTENT", None)]


def test_a_price_at_a_node_that_there_is_not_is_caught():
    told = claim("CLEARED", "0.10", {"ev": "-5", "solar": "5"}, node_prices={"moon": "0.10"})
    assert caught(CAR_AND_ROOF, told) == [("V_NODE_PRICE_INCONSISTENT", None)]


def test_who_is_commanded_and_not_cleared_is_caught():
    told = claim("CLEARED", "0.10", {"ev": "-5", "solar": "5"}, off_curve=frozenset({"ghost"}))
    assert caught(CAR_AND_ROOF, told) == [("V_UNKNOWN_PARTICIPANT", "ghost")]


@pytest.mark.parametrize(
    ("adder", "points", "right"),
    [
        ("1.5", (("1.9", "-12"), ("2", "0")), True),  # idle from 0.5 up, and up to 1
        ("-1", (("1", "-12"), ("1.5", "0")), False),  # idle from 2.5 up only
    ],
)
def test_no_price_is_needed_where_published_adders_leave_one_to_stand_still_at(
    adder: str, points: tuple[tuple[str, str], ...], *, right: bool
):
    bids = [bid("s", ("1", "0"), ("3", "20")), bid_at("b", *points, node="Z")]
    idle = claim("CLEARED", None, {"s": "0", "b": "0"})
    found = caught(bids, idle, grid=Grid(adders_per_kwh={"Z": Decimal(adder)}))
    assert found == ([] if right else [("V_SHOULD_HAVE_CLEARED", None)])


def test_no_price_is_no_way_around_the_cap():
    bids = [bid("b", ("4", "-5"), ("5", "0")), bid("s", ("6", "0"), ("7", "1"))]
    idle = claim("CLEARED", None, {"s": "0", "b": "0"})
    assert caught(bids, idle) == []
    assert caught(bids, idle, Bounds(cap_per_kwh=Decimal(4))) == [("V_SHOULD_HAVE_CLEARED", None)]


def test_adders_of_nothing_widen_no_tolerance():
    bids = [bid_at("c", ("0.06", "-50"), ("0.07", "0"), node="E"), bid("s", ("0.06", "4.717"))]
    grid = Grid({"B": Node(), "D": Node("B"), "E": Node("D")})
    coarse = Tolerance.of(Quantum(Decimal("0.0001"), Decimal("0.001")))
    for adders in ({}, dict.fromkeys("BDE", "0")):
        told = claim("CLEARED", "0.0692", {"c": "-4.717", "s": "4.717"}, adders=adders)
        found = [one.code for one in violations(Market(bids, grid=grid), told, coarse)]
        assert found == ["V_OFF_CURVE"]


def test_a_long_chain_of_nodes_is_judged_in_one_pass():
    names = [f"n{number}" for number in range(20_000)]
    nodes = {name: Node(above) for name, above in zip(names, ["root", *names], strict=False)}
    prices = dict.fromkeys(names, "0.10")
    told = claim("CLEARED", "0.10", {"ev": "-5", "solar": "5"}, node_prices=prices)
    assert caught(CAR_AND_ROOF, told, grid=Grid(nodes)) == []


@given(grids(), st.data())
@settings(max_examples=80, deadline=None)
def test_a_power_that_leaves_its_curve_in_a_grid_is_always_caught(
    market: tuple[list[Bid], Grid], data: st.DataObject
):
    bids, grid = market
    fine = Quantum(Decimal("1e-9"), Decimal("1e-6"))
    result = clear_grid(bids, grid, fine)
    assume(result.cleared and result.price_per_kwh is not None)
    one, other = data.draw(st.sampled_from(bids)), data.draw(st.sampled_from(bids))
    price = result.node_prices.get(one.node, result.price_per_kwh)
    low, high = one.powers_at(Fraction(price))
    moved = dict(result.power_kw)
    moved[one.participant] = Decimal(float(high)) + data.draw(st.sampled_from([1, 3]))
    if data.draw(st.booleans()):
        moved[one.participant] = Decimal(float(low)) - 1
    if other != one:  # somebody else makes up for it, or nobody does
        moved[other.participant] += result.power_kw[one.participant] - moved[one.participant]
    told = Claim(result.status, result.price_per_kwh, moved, result.adders)
    found = {v.code for v in violations(Market(bids, grid=grid), told, Tolerance.of(fine))}
    assert "V_OFF_CURVE" in found

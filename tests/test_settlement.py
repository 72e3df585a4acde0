"""Settlement: worked by hand, balanced at random, and every wrong payment named."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.settlement import (
    Flow,
    Parties,
    Terms,
    Trade,
    discrepancies,
    positions,
    settle,
)

PARTIES = Parties("agent", "grid")
HOUR, QUARTER = Fraction(1), Fraction(1, 4)
FREE = Terms("INR")


def trade(name: str, cleared_kw: str, metered_kwh: str = "0") -> Trade:
    return Trade(name, Decimal(cleared_kw), Decimal(metered_kwh))


def settled(terms: Terms, price: str, *trades: Trade, hours: Fraction = HOUR) -> list[Flow]:
    return settle(terms, hours, Decimal(price), trades, PARTIES)


def flow(payer: str, payee: str, kind: str, amount: str) -> Flow:
    return Flow(payer, payee, kind, Decimal(amount))


def amounts(flows: list[Flow], kind: str) -> dict[str, str]:
    """Give the amounts of a kind by the party that is not the clearing agent."""
    found = [one for one in flows if one.kind == kind]
    return {one.payee if one.payer == "agent" else one.payer: str(one.amount) for one in found}


def test_energy_passes_through_the_clearing_agent():
    # 5 kWh at 6.00.
    assert settled(FREE, "6.00", trade("s", "5"), trade("b", "-5")) == [
        flow("agent", "s", "ENERGY", "30.00"),
        flow("b", "agent", "ENERGY", "30.00"),
    ]


def test_power_is_paid_by_the_time_it_flows():
    # 5 kW for 15 minutes is 1.25 kWh; at 6.00 that is 7.50.
    flows = settled(FREE, "6.00", trade("s", "5"), trade("b", "-5"), hours=QUARTER)
    assert amounts(flows, "ENERGY") == {"s": "7.50", "b": "7.50"}


def test_both_sides_pay_the_fee_and_the_agent_keeps_exactly_the_fee():
    # 8 kW for 15 minutes is 2 kWh: energy 12.00, and a fee of 2 x 0.10 from either side.
    terms = replace(FREE, fee_per_kwh=Decimal("0.10"))
    flows = settled(terms, "6.00", trade("s", "8"), trade("b", "-8"), hours=QUARTER)
    assert amounts(flows, "FEE") == {"s": "0.20", "b": "0.20"}
    assert all(one.payee == "agent" for one in flows if one.kind == "FEE")
    assert positions(flows) == {
        "s": Decimal("11.80"),
        "b": Decimal("-12.20"),
        "agent": Decimal("0.40"),
    }


def test_wheeling_is_remitted_whole():
    # 2 kWh: the seller owes 2 x 0.25, the buyer 2 x 0.50; the network is passed both.
    terms = replace(
        FREE, wheeling_seller_per_kwh=Decimal("0.25"), wheeling_buyer_per_kwh=Decimal("0.50")
    )
    flows = settled(terms, "6.00", trade("s", "8"), trade("b", "-8"), hours=QUARTER)
    assert amounts(flows, "WHEELING") == {"s": "0.50", "b": "1.00"}
    remitted = [one for one in flows if one.kind == "WHEELING_REMIT"]
    assert {(one.payer, one.payee) for one in remitted} == {("agent", "grid")}
    assert sum(one.amount for one in remitted) == Decimal("1.50")
    assert positions(flows)["agent"] == 0
    assert positions(flows)["grid"] == Decimal("1.50")


def test_three_sellers_share_ten_by_largest_remainder():
    # 1 kWh at 3.3333 is 333.33 units each; the total 999.99 rounds to 1000, so one unit is
    # missing from 3 x 333, and all remainders being equal the first by name has it.
    sellers = [trade(name, "1") for name in ("c", "a", "b")]
    flows = settled(FREE, "3.3333", *sellers, trade("z", "-3"))
    assert amounts(flows, "ENERGY") == {"a": "3.34", "b": "3.33", "c": "3.33", "z": "10.00"}


def test_the_largest_remainder_is_rounded_up_first():
    # At 1.00: 0.103 + 0.108 + 0.104 = 0.315, which rounds to 0.32. Rounded down they are
    # 0.10 each; two units are missing and go to 0.108 and 0.104.
    sellers = [trade("a", "0.103"), trade("b", "0.108"), trade("c", "0.104")]
    flows = settled(FREE, "1.00", *sellers, trade("z", "-0.315"))
    assert amounts(flows, "ENERGY") == {"a": "0.10", "b": "0.11", "c": "0.11", "z": "0.32"}


def test_a_thousand_small_amounts_leave_nothing_with_the_agent():
    # 0.333 kWh at 0.0625 is 0.0208125; rounded alone, a thousand would pay 20.00 of 20.81.
    # 81 units are missing, and the first 81 by name pay them.
    buyers = [trade(f"b{number:04}", "-0.333") for number in range(1000)]
    flows = settled(FREE, "0.0625", *buyers, trade("s", "333"))
    paid = amounts(flows, "ENERGY")
    assert paid.pop("s") == "20.81"
    assert list(paid.values()) == ["0.03"] * 81 + ["0.02"] * 919
    assert positions(flows)["agent"] == 0


@pytest.mark.parametrize(
    ("rounding", "power", "amount"),
    [
        ("HALF_UP", "0.5", "0.03"),  # 0.025
        ("HALF_EVEN", "0.5", "0.02"),
        ("HALF_UP", "0.7", "0.04"),  # 0.035
        ("HALF_EVEN", "0.7", "0.04"),
        ("HALF_UP", "0.48", "0.02"),  # 0.024
        ("HALF_EVEN", "0.52", "0.03"),  # 0.026
    ],
)
def test_half_a_unit_is_rounded_as_declared(rounding: str, power: str, amount: str):
    terms = replace(FREE, rounding=rounding)
    flows = settled(terms, "0.05", trade("s", power), trade("b", f"-{power}"))
    assert amounts(flows, "ENERGY") == {"s": amount, "b": amount}


def test_yen_have_no_decimals():
    # 3.3 kWh at 15.4 is 50.82, hence 51; 16.94 and 33.88 are 17 and 34. The fee of 0.5 is
    # 1.65 for the seller, hence 2; 0.55 and 1.10 are 1.65 in sum, hence 2: 1 and 1.
    terms = Terms("JPY", fee_per_kwh=Decimal("0.5"), minor_unit=0)
    flows = settled(terms, "15.4", trade("s", "3.3"), trade("b1", "-1.1"), trade("b2", "-2.2"))
    assert amounts(flows, "ENERGY") == {"s": "51", "b1": "17", "b2": "34"}
    assert amounts(flows, "FEE") == {"s": "2", "b1": "1", "b2": "1"}


def test_dinars_have_three_decimals():
    # 3.3 kWh at 0.0154 is 0.05082; 1.1 is 0.01694, 2.2 is 0.03388.
    terms = Terms("KWD", minor_unit=3)
    flows = settled(terms, "0.0154", trade("s", "3.3"), trade("b1", "-1.1"), trade("b2", "-2.2"))
    assert amounts(flows, "ENERGY") == {"s": "0.051", "b1": "0.017", "b2": "0.034"}


def test_at_a_negative_price_the_seller_pays():
    terms = replace(FREE, fee_per_kwh=Decimal("0.10"))
    assert settled(terms, "-2.00", trade("s", "5"), trade("b", "-5")) == [
        flow("s", "agent", "ENERGY", "10.00"),
        flow("agent", "b", "ENERGY", "10.00"),
        flow("s", "agent", "FEE", "0.50"),
        flow("b", "agent", "FEE", "0.50"),
    ]


def test_at_a_price_of_zero_only_charges_are_paid():
    terms = replace(FREE, fee_per_kwh=Decimal("0.10"))
    flows = settled(terms, "0", trade("s", "5"), trade("b", "-5"))
    assert {one.kind for one in flows} == {"FEE"}


@pytest.mark.parametrize(
    ("metered", "penalty"),
    [
        ("4", {"s": "1.00"}),  # 1 kWh short, half of it within the band, at 2.00
        ("6", {"s": "1.00"}),  # as much too much
        ("4.5", {}),
        ("5.5", {}),
        ("4.49", {"s": "0.02"}),  # 0.01 kWh beyond
        ("0", {"s": "9.00"}),
        ("-1", {"s": "11.00"}),  # drawn instead of given
    ],
)
def test_only_what_lies_beyond_the_band_is_penalised(metered: str, penalty: dict[str, str]):
    terms = replace(FREE, penalty_per_kwh=Decimal("2.00"), penalty_band=Decimal("0.1"))
    flows = settled(terms, "6.00", trade("s", "5", metered), trade("b", "-5", "-5"))
    assert amounts(flows, "DEVIATION_PENALTY") == penalty
    assert all(one.payee == "grid" for one in flows if one.kind == "DEVIATION_PENALTY")


def test_a_buyer_who_takes_more_is_penalised():
    # 5 kWh cleared in 15 minutes at 20 kW, 6 taken, no band: 1 kWh at 2.00.
    terms = replace(FREE, penalty_per_kwh=Decimal("2.00"))
    trades = trade("s", "20", "5"), trade("b", "-20", "-6")
    flows = settled(terms, "6.00", *trades, hours=QUARTER)
    assert amounts(flows, "DEVIATION_PENALTY") == {"b": "2.00"}


def test_who_cleared_nothing_pays_nothing():
    terms = replace(FREE, fee_per_kwh=Decimal(1), wheeling_buyer_per_kwh=Decimal(1))
    assert settled(terms, "5.00", trade("s", "0"), trade("b", "0")) == []


def test_a_market_without_trades_settles_to_nothing():
    assert settled(FREE, "5.00") == []
    assert positions([]) == {}


def test_positions_are_what_is_left_of_all_payments():
    flows = [flow("a", "b", "ENERGY", "3.00"), flow("b", "a", "FEE", "0.50")]
    assert positions(flows) == {"a": Decimal("-2.50"), "b": Decimal("2.50")}


# What is wrong with a claimed settlement: 5 kWh at 6.00, with a fee and wheeling.

CHARGED = Terms(
    "INR",
    fee_per_kwh=Decimal("0.10"),
    wheeling_buyer_per_kwh=Decimal("0.20"),
    wheeling_seller_per_kwh=Decimal("0.20"),
)
TRADES = (trade("s", "5", "5"), trade("b", "-5", "-5"))
RIGHT = (
    flow("agent", "s", "ENERGY", "30.00"),
    flow("b", "agent", "ENERGY", "30.00"),
    flow("s", "agent", "FEE", "0.50"),
    flow("b", "agent", "FEE", "0.50"),
    flow("s", "agent", "WHEELING", "1.00"),
    flow("b", "agent", "WHEELING", "1.00"),
    flow("agent", "grid", "WHEELING_REMIT", "2.00"),
)


def codes(flows: list[Flow] | tuple[Flow, ...], price: str = "6.00") -> list[str]:
    found = discrepancies(flows, CHARGED, HOUR, Decimal(price), TRADES, PARTIES)
    return sorted(one.code for one in found)


def without(*kinds: str) -> list[Flow]:
    return [one for one in RIGHT if one.kind not in kinds]


def test_a_correct_settlement_has_no_discrepancy():
    assert codes(RIGHT) == []


def test_the_order_of_payments_is_free():
    assert codes(RIGHT[::-1]) == []


def test_wheeling_may_be_remitted_in_parts():
    part = flow("agent", "grid", "WHEELING_REMIT", "1.00")
    assert codes([*without("WHEELING_REMIT"), part, part]) == []


def test_a_payment_of_zero_changes_nothing():
    assert codes([*RIGHT, flow("s", "grid", "DEVIATION_PENALTY", "0.00")]) == []


@pytest.mark.parametrize(
    ("wrong", "also"),
    [
        (flow("s", "stranger", "ENERGY", "1.00"), ["K4_AMOUNT"]),
        (flow("stranger", "s", "ENERGY", "1.00"), ["K4_AMOUNT"]),
        (flow("s", "s", "ENERGY", "1.00"), ["K4_AMOUNT"]),
        (flow("s", "grid", "DEVIATION_PENALTY", "-1.00"), ["K4_AMOUNT"]),
        (flow("s", "grid", "DEVIATION_PENALTY", "0.005"), ["K4_AMOUNT"]),
        (flow("s", "stranger", "ENERGY", "0"), []),
    ],
)
def test_a_payment_that_is_none_is_caught(wrong: Flow, also: list[str]):
    assert codes([*RIGHT, wrong]) == ["K1_FLOW", *also]


def test_a_unit_kept_by_the_agent_is_caught():
    claimed = [flow("agent", "s", "ENERGY", "29.99"), *RIGHT[1:]]
    assert codes(claimed) == ["K3_MCA_CONDUIT", "K4_AMOUNT", "K6_ENERGY_LEG_UNBALANCED"]


def test_a_fee_paid_to_a_participant_is_caught():
    claimed = [*RIGHT[:2], flow("agent", "s", "FEE", "0.50"), *RIGHT[3:]]
    # The conduit keeps 0.50 - 0.50, while 0.50 of fees came in; the seller's own fee is
    # missing, and the one it receives runs the wrong way.
    assert codes(claimed) == [
        "K3_FEE_PAID_TO_PARTICIPANT",
        "K3_MCA_CONDUIT",
        "K4_AMOUNT",
        "K5_DIRECTION",
    ]


def test_a_wrong_amount_that_balances_is_caught():
    claimed = [flow("agent", "s", "ENERGY", "31.00"), flow("b", "agent", "ENERGY", "31.00")]
    assert codes([*claimed, *RIGHT[2:]]) == ["K4_AMOUNT", "K4_AMOUNT"]


def test_power_paid_as_energy_is_caught():
    # 5 kW for 15 minutes, paid as 5 kWh.
    claimed = settled(FREE, "6.00", *TRADES)
    found = list(discrepancies(claimed, FREE, QUARTER, Decimal("6.00"), TRADES, PARTIES))
    assert [(one.code, one.observed, one.expected) for one in found] == [
        ("K4_AMOUNT", "30.00", "7.50"),
        ("K4_AMOUNT", "30.00", "7.50"),
    ]


def test_a_missing_payment_is_caught():
    assert codes(without("FEE")) == ["K4_AMOUNT", "K4_AMOUNT"]


def test_a_payment_of_an_unknown_kind_is_caught():
    assert codes([*RIGHT, flow("s", "grid", "TIP", "1.00")]) == ["K4_AMOUNT"]


def test_energy_paid_the_wrong_way_is_caught():
    claimed = [flow("s", "agent", "ENERGY", "30.00"), flow("agent", "b", "ENERGY", "30.00")]
    assert codes([*claimed, *RIGHT[2:]]) == [
        "K4_AMOUNT",
        "K4_AMOUNT",
        "K5_DIRECTION",
        "K5_DIRECTION",
    ]


def test_a_negative_price_settled_as_a_positive_one_is_caught():
    assert codes(RIGHT, price="-6.00").count("K5_DIRECTION") == 2


def test_energy_that_is_paid_for_once_is_caught():
    assert codes(RIGHT[1:]) == ["K3_MCA_CONDUIT", "K4_AMOUNT", "K6_ENERGY_LEG_UNBALANCED"]


def test_wheeling_that_is_kept_is_caught():
    claimed = without("WHEELING_REMIT")
    assert codes(claimed) == ["K3_MCA_CONDUIT", "K4_AMOUNT", "K8_WHEELING_UNFUNDED"]


def test_wheeling_that_nobody_paid_is_caught():
    found = codes(without("WHEELING"))
    assert found == ["K3_MCA_CONDUIT", "K4_AMOUNT", "K4_AMOUNT", "K8_WHEELING_UNFUNDED"]


def test_a_discrepancy_names_the_payment_and_both_amounts():
    claimed = [flow("agent", "s", "ENERGY", "29.99"), *RIGHT[1:]]
    found = discrepancies(claimed, CHARGED, HOUR, Decimal("6.00"), TRADES, PARTIES)
    first = next(iter(found))
    assert first == ("K4_AMOUNT", "agent", "s", "ENERGY", "29.99", "30.00")


# Random markets: sellers, and buyers who take what they give.

RATES = st.decimals(0, 2, places=4)


@st.composite
def markets(draw: st.DrawFn) -> tuple[Terms, Fraction, Decimal, list[Trade]]:
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
    powers = draw(st.lists(st.integers(-50_000, 50_000), max_size=7))
    powers.append(-sum(powers))
    trades = [
        Trade(f"p{number}", Decimal(watts) / 1000, draw(st.decimals(-20, 20, places=3)))
        for number, watts in enumerate(powers)
    ]
    hours = draw(st.sampled_from([HOUR, QUARTER, Fraction(1, 2), Fraction(1, 12)]))
    return terms, hours, draw(st.decimals(-20, 20, places=4)), trades


@given(markets())
@settings(max_examples=60, deadline=None)
def test_positions_sum_to_exactly_zero(market: tuple[Terms, Fraction, Decimal, list[Trade]]):
    flows = settle(*market, PARTIES)
    assert sum(positions(flows).values()) == 0


@given(markets())
@settings(max_examples=60, deadline=None)
def test_what_is_settled_has_no_discrepancy(market: tuple[Terms, Fraction, Decimal, list[Trade]]):
    assert list(discrepancies(settle(*market, PARTIES), *market, PARTIES)) == []


@given(markets())
@settings(max_examples=60, deadline=None)
def test_the_agent_keeps_the_fees_and_the_network_the_rest(
    market: tuple[Terms, Fraction, Decimal, list[Trade]],
):
    flows = settle(*market, PARTIES)
    left = positions(flows)
    fees = sum(one.amount for one in flows if one.kind == "FEE")
    kept = ("WHEELING", "DEVIATION_PENALTY")
    assert left.get("agent", 0) == fees
    assert left.get("grid", 0) == sum(one.amount for one in flows if one.kind in kept)


@given(markets())
@settings(max_examples=60, deadline=None)
def test_nobody_pays_a_unit_more_or_less_than_exact(
    market: tuple[Terms, Fraction, Decimal, list[Trade]],
):
    terms, hours, price, trades = market
    unit = Fraction(1, 10**terms.minor_unit)
    paid = amounts(settle(*market, PARTIES), "ENERGY")
    for one in trades:
        exact = abs(Fraction(one.cleared_kw) * hours * Fraction(price))
        assert abs(Fraction(paid.get(one.participant, "0")) - exact) < unit


@given(markets(), st.data())
@settings(max_examples=60, deadline=None)
def test_one_unit_more_is_always_caught(
    market: tuple[Terms, Fraction, Decimal, list[Trade]], data: st.DataObject
):
    flows = settle(*market, PARTIES)
    if not flows:
        return
    place = data.draw(st.integers(0, len(flows) - 1))
    unit = Decimal(1).scaleb(-market[0].minor_unit)
    flows[place] = flows[place]._replace(amount=flows[place].amount + unit)
    found = {one.code for one in discrepancies(flows, *market, PARTIES)}
    assert "K4_AMOUNT" in found


def test_an_amount_that_is_no_number_is_refused():
    flows = [Flow("s", "agent", "FEE", Decimal("NaN"))]
    trades = [Trade("s", Decimal(5), Decimal(5)), Trade("b", Decimal(-5), Decimal(-5))]
    parties = Parties("agent", "grid")
    with pytest.raises(ValueError, match="NaN is no amount"):
        list(discrepancies(flows, Terms("INR"), Fraction(1), Decimal(1), trades, parties))

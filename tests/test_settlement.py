"""Settlement: worked by hand, balanced at random, and every wrong payment named."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.settlement import (
    audit_flows,
    audit_positions,
    audit_role_values,
    positions,
    settle,
    settle_fixed,
    settled_kwh,
)
from gridwitness.reference_impl.terms import (
    MODES,
    Due,
    Flow,
    Inputs,
    Parties,
    Tax,
    Terms,
    Trade,
)

PARTIES = Parties("agent", "grid")
HOUR, QUARTER = Fraction(1), Fraction(1, 4)
FREE = Terms("INR")


def trade(
    name: str, cleared_kw: str, metered_kwh: str | None = None, price: str | None = None
) -> Trade:
    metered = None if metered_kwh is None else Decimal(metered_kwh)
    return Trade(name, Decimal(cleared_kw), metered, None if price is None else Decimal(price))


def of(terms: Terms, price: str, *trades: Trade, hours: Fraction = HOUR) -> Inputs:
    return Inputs(terms, hours, Decimal(price), trades, PARTIES)


def settled(terms: Terms, price: str, *trades: Trade, hours: Fraction = HOUR) -> list[Flow]:
    return settle(of(terms, price, *trades, hours=hours))


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
    return sorted(one.code for one in audit_flows(flows, of(CHARGED, price, *TRADES)))


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
        (flow("s", "grid", "DEVIATION_PENALTY", "-1.00"), ["K4_AMOUNT", "K9_PENALTY"]),
        (
            flow("s", "grid", "DEVIATION_PENALTY", "0.005"),
            ["K1_SUB_MINOR_UNIT", "K4_AMOUNT", "K9_PENALTY"],
        ),
        (flow("s", "stranger", "ENERGY", "0"), []),
    ],
)
def test_a_payment_that_is_none_is_caught(wrong: Flow, also: list[str]):
    assert codes([*RIGHT, wrong]) == ["K1_FLOW", *also]


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (flow("s", "x", "TIP", "1.00"), "1.00 (unknown party x)"),
        (flow("x", "x", "TIP", "1"), "1 (unknown party x, pays itself)"),
        (flow("s", "b", "TIP", "-1.00"), "-1.00 (below zero)"),
        (flow("s", "b", "TIP", "0.005"), "0.005 (finer than 0.01)"),
    ],
)
def test_a_payment_that_is_none_is_told_with_its_fault(wrong: Flow, fault: str):
    first = audit_flows([*RIGHT, wrong], of(CHARGED, "6.00", *TRADES))[0]
    assert (first.code, first.observed) == ("K1_FLOW", fault)


def test_a_unit_kept_by_the_agent_is_caught():
    claimed = [flow("agent", "s", "ENERGY", "29.99"), *RIGHT[1:]]
    assert codes(claimed) == ["K3_MCA_CONDUIT", "K4_AMOUNT", "K6_ENERGY_LEG_UNBALANCED"]


def test_a_fee_paid_to_a_participant_is_caught():
    claimed = [*RIGHT[:2], flow("agent", "s", "FEE", "0.50"), *RIGHT[3:]]
    # The conduit keeps 0.50 - 0.50, while 0.50 of fees came in; the seller's own fee is
    # missing, and one that it has no right to is there.
    assert codes(claimed) == [
        "K3_FEE_PAID_TO_PARTICIPANT",
        "K3_MCA_CONDUIT",
        "K4_AMOUNT",
        "K4_AMOUNT",
    ]


def test_a_wrong_amount_that_balances_is_caught():
    claimed = [flow("agent", "s", "ENERGY", "31.00"), flow("b", "agent", "ENERGY", "31.00")]
    assert codes([*claimed, *RIGHT[2:]]) == ["K4_AMOUNT", "K4_AMOUNT"]


def test_power_paid_as_energy_is_caught():
    # 5 kW for 15 minutes, paid as 5 kWh.
    trades = (trade("s", "5"), trade("b", "-5"))
    claimed = settled(FREE, "6.00", *trades)
    found = audit_flows(claimed, of(FREE, "6.00", *trades, hours=QUARTER))
    assert [(one.code, one.observed, one.expected) for one in found] == [
        ("K4_AMOUNT", "30.00", "7.50"),
        ("K11_POWER_AS_ENERGY", "30.00", "7.50"),
    ] * 2


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
    first = audit_flows(claimed, of(CHARGED, "6.00", *TRADES))[0]
    assert first == ("K4_AMOUNT", "agent", "s", "ENERGY", "29.99", "30.00", Decimal("0.01"))


# Random markets: sellers, and buyers who take what they give, in every mode, taxed or not.

RATES = st.decimals(0, 2, places=4)
PRICES = st.decimals(-20, 20, places=4)
CHARGES = ("FEE", "PLATFORM_FEE", "WHEELING", "DEVIATION_PENALTY")


@st.composite
def terms_of(draw: st.DrawFn) -> Terms:
    return Terms(
        "INR",
        fee_per_kwh=draw(RATES),
        wheeling_buyer_per_kwh=draw(RATES),
        wheeling_seller_per_kwh=draw(RATES),
        penalty_per_kwh=draw(RATES),
        penalty_band=draw(st.decimals(0, 1, places=2)),
        rounding=draw(st.sampled_from(["HALF_UP", "HALF_EVEN"])),
        minor_unit=draw(st.integers(0, 4)),
        platform_fee_per_kwh=draw(RATES),
        mode=draw(st.sampled_from(MODES)),
        short_price_per_kwh=draw(PRICES),
        long_price_per_kwh=draw(PRICES),
        virtual_meter_per_kwh=draw(RATES),
        penalty_payee=draw(st.sampled_from(["", "discom", "agent", "p0"])),
        tax=draw(st.sampled_from([None, Tax(Decimal("0.18"), CHARGES, "line")]))
        or draw(st.sampled_from([None, Tax(Decimal("0.18"), (*CHARGES, "ENERGY"), "invoice")])),
    )


@st.composite
def markets(draw: st.DrawFn) -> Inputs:
    powers = draw(st.lists(st.integers(-50_000, 50_000), max_size=7))
    powers.append(-sum(powers))
    nodal = draw(st.booleans())
    trades = [
        Trade(
            f"p{number}",
            Decimal(watts) / 1000,
            draw(st.decimals(-20, 20, places=3)),
            draw(PRICES) if nodal else None,
        )
        for number, watts in enumerate(powers)
    ]
    hours = draw(st.sampled_from([HOUR, QUARTER, Fraction(1, 2), Fraction(1, 12)]))
    return Inputs(draw(terms_of()), hours, draw(PRICES), trades, PARTIES)


@given(markets())
@settings(max_examples=100, deadline=None)
def test_positions_sum_to_exactly_zero(market: Inputs):
    assert sum(positions(settle(market)).values()) == 0


@given(markets(), st.randoms())
@settings(max_examples=100, deadline=None)
def test_what_is_settled_has_no_discrepancy(market: Inputs, order: Random):
    flows = settle(market)
    order.shuffle(flows)
    assert audit_flows(flows, market) == []


WH = Fraction(1, 1000)


@given(markets())
@settings(max_examples=60, deadline=None)
def test_as_much_is_bought_as_is_sold_and_nobody_settles_a_wh_more_than_it_cleared(market: Inputs):
    energies = settled_kwh(market)
    assert sum(energies.values()) == 0
    for one in market.trades:
        cleared = Fraction(one.cleared_kw) * market.hours
        assert min(0, cleared) - WH < energies[one.participant] <= max(0, cleared)


@given(markets())
@settings(max_examples=60, deadline=None)
def test_shares_of_whole_watt_hours_are_whole_or_as_cleared(market: Inputs):
    energies = settled_kwh(market)
    sold = sum(energy for energy in energies.values() if energy > 0)
    cleared = {one.participant: Fraction(one.cleared_kw) * market.hours for one in market.trades}
    bought = {name: energy for name, energy in energies.items() if cleared[name] < 0}
    as_cleared = all(energy == cleared[name] for name, energy in bought.items())
    assert as_cleared or sold % WH or not any(energy % WH for energy in bought.values())


@given(markets())
@settings(max_examples=60, deadline=None)
def test_the_agent_keeps_its_fees_and_pays_its_own_deviation(market: Inputs):
    flows = settle(market)
    own = {"FEE": 1, "VIRTUAL_METER_DEVIATION": -1}
    own["DEVIATION_PENALTY"] = market.terms.penalty_payee == "agent"
    kept = sum(one.amount * own[one.kind] for one in flows if one.kind in own)
    assert positions(flows).get("agent", 0) == kept


@given(markets())
@settings(max_examples=60, deadline=None)
def test_nobody_pays_a_unit_more_or_less_than_exact(market: Inputs):
    unit = Fraction(1, 10**market.terms.minor_unit)
    paid = amounts(settle(market), "ENERGY")
    energies = settled_kwh(market)
    for name, _, _, price in market.trades:
        exact = abs(energies[name] * Fraction(market.price_per_kwh if price is None else price))
        assert abs(Fraction(paid.get(name, "0")) - exact) < unit


@given(markets(), st.data())
@settings(max_examples=100, deadline=None)
def test_one_unit_more_is_always_caught(market: Inputs, data: st.DataObject):
    flows = settle(market)
    if not flows:
        return
    place = data.draw(st.integers(0, len(flows) - 1))
    unit = Decimal(1).scaleb(-market.terms.minor_unit)
    flows[place] = flows[place]._replace(amount=flows[place].amount + unit)
    assert "K4_AMOUNT" in {one.code for one in audit_flows(flows, market)}


@given(markets(), st.randoms())
@settings(max_examples=100, deadline=None)
def test_who_traded_alike_may_share_the_odd_units_in_any_order(market: Inputs, order: Random):
    twins = [
        one._replace(participant=f"{one.participant}-{twin}")
        for one in market.trades
        for twin in range(3)
    ]
    market = market._replace(trades=twins)
    order.shuffle(twins)
    renamed = {one.participant: other.participant for one, other in alike_pairs(twins, order)}
    flows = [
        one._replace(
            payer=renamed.get(one.payer, one.payer), payee=renamed.get(one.payee, one.payee)
        )
        for one in settle(market)
    ]
    assert audit_flows(flows, market) == []


def alike_pairs(twins: list[Trade], order: Random) -> list[tuple[Trade, Trade]]:
    """Pair everyone with one of those who traded alike, and everyone once."""
    groups: dict[str, list[Trade]] = {}
    for one in twins:
        groups.setdefault(one.participant.partition("-")[0], []).append(one)
    pairs: list[tuple[Trade, Trade]] = []
    for group in groups.values():
        pairs += zip(group, order.sample(group, len(group)), strict=True)
    return pairs


# Other prices, other modes, other charges.


def test_what_node_prices_leave_is_the_congestion_rent():
    # 4 kWh from north at 3.00 and 1 kWh from south at 5.00, 5 kWh to south: 25 - 12 - 5 = 8.
    flows = settled(
        FREE,
        "0",
        *(trade("n", "4", price="3.00"), trade("s", "1", price="5.00")),
        trade("b", "-5", price="5.00"),
    )
    assert flows == [
        flow("agent", "n", "ENERGY", "12.00"),
        flow("agent", "s", "ENERGY", "5.00"),
        flow("b", "agent", "ENERGY", "25.00"),
        flow("agent", "grid", "CONGESTION_RENT", "8.00"),
    ]
    assert positions(flows)["agent"] == 0


def test_a_node_price_below_zero_turns_the_payments_of_that_node_alone():
    # 2 kWh at -1.00 in the north: its seller pays 2.00; the buyer in the south pays 6.00.
    flows = settled(FREE, "0", trade("n", "2", price="-1.00"), trade("b", "-2", price="3.00"))
    assert flows == [
        flow("n", "agent", "ENERGY", "2.00"),
        flow("b", "agent", "ENERGY", "6.00"),
        flow("agent", "grid", "CONGESTION_RENT", "8.00"),
    ]


def test_powers_that_do_not_quite_balance_are_no_congestion():
    trades = (trade("s", "5.001", price="6.00"), trade("b", "-5", price="6.00"))
    idle = trade("idle", "0", price="9.00")
    inputs = of(FREE, "0", *trades, idle)
    assert {one.kind for one in settle(inputs)} == {"ENERGY"}
    paid_by_the_grid = [*settle(inputs), flow("grid", "agent", "CONGESTION_RENT", "0.01")]
    assert "K4_AMOUNT" in {one.code for one in audit_flows(paid_by_the_grid, inputs)}


def test_rent_that_the_agent_keeps_is_caught():
    inputs = of(FREE, "0", trade("n", "2", price="1.00"), trade("b", "-2", price="3.00"))
    claimed = [one for one in settle(inputs) if one.kind != "CONGESTION_RENT"]
    found = {one.code for one in audit_flows(claimed, inputs)}
    assert found == {"K3_MCA_CONDUIT", "K4_AMOUNT", "K6_ENERGY_LEG_UNBALANCED"}


TWO_SETTLEMENT = replace(
    FREE,
    mode="TWO_SETTLEMENT",
    short_price_per_kwh=Decimal("9.00"),
    long_price_per_kwh=Decimal("3.00"),
)


def test_a_deviation_is_bought_and_sold_at_the_short_and_the_long_price():
    # The seller gives 0.5 kWh too little, the buyer takes 1 kWh too little.
    trades = (trade("s", "5", "4.5"), trade("b", "-5", "-4"))
    flows = settled(TWO_SETTLEMENT, "6.00", *trades)
    assert [one for one in flows if one.kind != "ENERGY"] == [
        flow("s", "grid", "IMBALANCE_SHORT", "4.50"),
        flow("grid", "b", "IMBALANCE_LONG", "3.00"),
    ]


def test_a_long_price_below_zero_is_paid_by_who_is_long():
    terms = replace(TWO_SETTLEMENT, long_price_per_kwh=Decimal("-1.00"))
    flows = settled(terms, "6.00", trade("s", "5", "7"), trade("b", "-5", "-5"))
    assert flow("s", "grid", "IMBALANCE_LONG", "2.00") in flows


def test_who_is_not_metered_deviates_in_nothing():
    terms = replace(TWO_SETTLEMENT, penalty_per_kwh=Decimal(1))
    flows = settled(terms, "6.00", trade("s", "5"), trade("b", "-5"))
    assert {one.kind for one in flows} == {"ENERGY"}


CAPPED = replace(FREE, mode="ACTUALS_CAPPED", penalty_per_kwh=Decimal("0.50"))


def test_buyers_share_what_was_delivered_in_whole_watt_hours():
    # 9 kWh of 12 delivered; 6, 3 and 3 kW wanted: halves and quarters of 9 kWh.
    trades = [trade("s1", "7", "4"), trade("s2", "5", "6"), trade("b1", "-6"), trade("b2", "-3")]
    inputs = of(CAPPED, "6.00", *trades, trade("b3", "-3"))
    assert settled_kwh(inputs) == {
        "s1": 4,
        "s2": 5,
        "b1": Fraction("-4.5"),
        "b2": Fraction("-2.25"),
        "b3": Fraction("-2.25"),
    }
    flows = settle(inputs)
    assert amounts(flows, "ENERGY") == {
        "s1": "24.00",
        "s2": "30.00",
        "b1": "27.00",
        "b2": "13.50",
        "b3": "13.50",
    }
    assert amounts(flows, "DEVIATION_PENALTY") == {"s1": "1.50"}


def test_the_odd_watt_hours_go_to_the_first_by_name():
    # 10 kWh of 12 for three equal buyers: 3333.33 Wh each, one Wh is left over.
    buyers = [trade(name, "-4") for name in ("b3", "b1", "b2")]
    inputs = of(CAPPED, "6.00", trade("s", "12", "10"), *buyers)
    assert {name: float(energy) for name, energy in settled_kwh(inputs).items()} == {
        "s": 10,
        "b1": -3.334,
        "b2": -3.333,
        "b3": -3.333,
    }


def test_who_cleared_a_fraction_of_a_watt_hour_still_shares_whole_ones():
    # 400 of 500 Wh, for 333.325 and 166.675: 266.66 and 133.34, the odd one to 0.66.
    trades = (trade("s", "2", "0.4"), trade("b1", "-1.3333"), trade("b2", "-0.6667"))
    inputs = of(CAPPED, "100", *trades, hours=QUARTER)
    assert settled_kwh(inputs) == {"s": 400 * WH, "b1": -267 * WH, "b2": -133 * WH}
    assert amounts(settle(inputs), "ENERGY") == {"s": "40.00", "b1": "26.70", "b2": "13.30"}


def test_only_a_delivery_finer_than_a_watt_hour_is_shared_finer():
    # 1.5 Wh of 2, for two equal buyers.
    trades = (trade("s", "0.002", "0.0015"), trade("b1", "-0.001"), trade("b2", "-0.001"))
    assert settled_kwh(of(CAPPED, "1", *trades)) == {
        "s": WH * 3 / 2,
        "b1": -WH,
        "b2": -WH / 2,
    }


def test_what_was_delivered_whole_is_bought_as_cleared():
    trades = (trade("s", "2", "0.5"), trade("b1", "-1.3333"), trade("b2", "-0.6667"))
    energies = settled_kwh(of(CAPPED, "100", *trades, hours=QUARTER))
    assert energies == {
        "s": Fraction("0.5"),
        "b1": Fraction("-0.333325"),
        "b2": Fraction("-0.166675"),
    }


def test_a_capped_buyer_never_pays_for_more_than_it_cleared():
    inputs = of(CAPPED, "6.00", trade("s", "5.001", "6"), trade("b", "-5"))
    assert settled_kwh(inputs)["b"] == -5
    inputs = of(CAPPED, "6.00", trade("s", "9", "8"), trade("b", "-5"))
    assert settled_kwh(inputs)["b"] == -5


def test_a_capped_buyer_who_takes_more_pays_no_penalty():
    flows = settled(CAPPED, "6.00", trade("s", "5", "5"), trade("b", "-5", "-7"))
    assert {one.kind for one in flows} == {"ENERGY"}


def test_sellers_who_cleared_alike_and_delivered_otherwise_are_not_alike():
    inputs = of(CAPPED, "6.00", trade("s1", "5", "4"), trade("s2", "5", "5"), trade("b", "-10"))
    other = {"s1": "s2", "s2": "s1"}
    swapped = [
        one._replace(payee=other.get(one.payee, one.payee)) if one.kind == "ENERGY" else one
        for one in settle(inputs)
    ]
    found = {(one.code, one.payee) for one in audit_flows(swapped, inputs)}
    assert {("K4_AMOUNT", "s1"), ("K4_AMOUNT", "s2")} <= found


def test_the_odd_watt_hour_may_be_settled_by_any_of_the_buyers_who_cleared_alike():
    # 5 Wh for two at 10.00: 0.03 and 0.02.
    trades = (trade("s", "0.006", "0.005"), trade("b1", "-0.003"), trade("b2", "-0.003"))
    inputs = of(replace(FREE, mode="ACTUALS_CAPPED"), "10.00", *trades)
    flows = settle(inputs)
    assert amounts(flows, "ENERGY") == {"s": "0.05", "b1": "0.03", "b2": "0.02"}
    other = {"b1": "b2", "b2": "b1"}
    swapped = [one._replace(payer=other.get(one.payer, one.payer)) for one in flows]
    assert audit_flows(swapped, inputs) == []


def test_a_seller_who_draws_delivers_nothing():
    flows = settled(CAPPED, "6.00", trade("s", "5", "-1"), trade("b", "-5"))
    assert flows == [flow("s", "grid", "DEVIATION_PENALTY", "3.00")]


def test_the_band_is_free_for_a_capped_seller_too():
    terms = replace(CAPPED, penalty_band=Decimal("0.1"))
    trades = (trade("s", "10", "9.1"), trade("b", "-10"))
    assert amounts(settled(terms, "6.00", *trades), "DEVIATION_PENALTY") == {}
    trades = (trade("s", "10", "8"), trade("b", "-10"))
    assert amounts(settled(terms, "6.00", *trades), "DEVIATION_PENALTY") == {"s": "0.50"}


def test_a_seller_paid_for_deliveries_has_to_be_metered():
    with pytest.raises(ValueError, match="s is paid for what it delivered"):
        settled(CAPPED, "6.00", trade("s", "5"), trade("b", "-5"))


def test_the_clearing_agent_pays_for_what_all_meters_sum_to():
    # -8 and +3.5 kWh: 4.5 at 0.05 is 0.225.
    terms = replace(FREE, mode="VIRTUAL_METER", virtual_meter_per_kwh=Decimal("0.05"))
    inputs = of(terms, "6.00", trade("s", "5", "3.5"), trade("b", "-5", "-8"))
    flows = settle(inputs)
    assert flows[2:] == [flow("agent", "grid", "VIRTUAL_METER_DEVIATION", "0.23")]
    turned = [*flows[:2], flow("grid", "agent", "VIRTUAL_METER_DEVIATION", "0.23")]
    found = {one.code for one in audit_flows(turned, inputs)}
    assert found == {"K3_MCA_CONDUIT", "K4_AMOUNT", "K5_DIRECTION", "K9_PENALTY"}


def test_a_penalty_goes_to_the_declared_payee():
    terms = replace(CAPPED, penalty_payee="discom")
    flows = settled(terms, "6.00", trade("s", "5", "4"), trade("b", "-5"))
    assert flow("s", "discom", "DEVIATION_PENALTY", "0.50") in flows
    terms = replace(CAPPED, penalty_payee="s")
    assert "s" not in amounts(
        settled(terms, "6.00", trade("s", "5", "4"), trade("b", "-5")), "DEVIATION_PENALTY"
    )


def test_both_sides_pay_the_platform():
    terms = replace(FREE, platform_fee_per_kwh=Decimal("0.42"))
    flows = settled(terms, "6.00", trade("s", "5"), trade("b", "-5"))
    assert flows[2:] == [
        flow("s", "PLATFORM", "PLATFORM_FEE", "2.10"),
        flow("b", "PLATFORM", "PLATFORM_FEE", "2.10"),
    ]


@pytest.mark.parametrize(("per", "buyer"), [("line", "0.06"), ("invoice", "0.07")])
def test_tax_is_rounded_by_line_or_by_invoice(per: str, buyer: str):
    # 18 % of 0.13 is 0.0234, of 0.24 is 0.0432; of their sum, 0.0666.
    terms = replace(
        FREE,
        fee_per_kwh=Decimal("0.13"),
        wheeling_buyer_per_kwh=Decimal("0.24"),
        tax=Tax(Decimal("0.18"), ("FEE", "WHEELING"), per),
    )
    inputs = of(terms, "4.15", trade("s", "1"), trade("b", "-1"))
    flows = settle(inputs)
    assert [one for one in flows if one.kind == "TAX"] == [
        flow("s", "GOVERNMENT", "TAX", "0.02"),
        flow("b", "GOVERNMENT", "TAX", buyer),
    ]
    wrong = [one._replace(amount=Decimal("0.05")) if one.kind == "TAX" else one for one in flows]
    assert {one.code for one in audit_flows(wrong, inputs)} == {"K4_AMOUNT", "K10_TAX"}


def test_tax_follows_the_odd_unit_wherever_it_went():
    # 0.0625 each: 0.13 in sum, 0.07 and 0.06. Ten times the fee is taxed: 0.70 and 0.60.
    terms = replace(FREE, fee_per_kwh=Decimal("0.0625"), tax=Tax(Decimal(10), ("FEE",), "line"))
    inputs = of(terms, "1", trade("s1", "1"), trade("s2", "1"), trade("b", "-2"))
    flows = settle(inputs)
    assert {one.payer: str(one.amount) for one in flows if one.kind == "TAX"} == {
        "s1": "0.70",
        "s2": "0.60",
        "b": "1.30",
    }
    other = {"s1": "s2", "s2": "s1"}
    swapped = [one._replace(payer=other.get(one.payer, one.payer)) for one in flows]
    assert audit_flows(swapped, inputs) == []
    untaxed = [one for one in flows if one.kind != "TAX"]
    unfair = [*untaxed, *(one for one in swapped if one.kind == "TAX")]
    assert {one.code for one in audit_flows(unfair, inputs)} == {"K4_AMOUNT", "K10_TAX"}


def test_the_metered_quantity_paid_in_place_of_the_settled_one_is_named():
    inputs = of(TWO_SETTLEMENT, "6.00", trade("s", "5", "6.2"), trade("b", "-5", "-4.5"))
    claimed = [
        flow("b", "agent", "ENERGY", "27.00"),
        flow("agent", "s", "ENERGY", "37.20"),
        *settle(inputs)[2:],
    ]
    assert sorted(one.code for one in audit_flows(claimed, inputs)) == [
        *("K3_MCA_CONDUIT", "K4_AMOUNT", "K4_AMOUNT", "K6_ENERGY_LEG_UNBALANCED"),
        *("K7_QUANTITY", "K7_QUANTITY"),
    ]


def test_the_cleared_quantity_paid_for_a_partial_delivery_is_named():
    inputs = of(CAPPED, "6.00", trade("s", "5", "4"), trade("b", "-5"))
    claimed = [*settled(FREE, "6.00", trade("s", "5"), trade("b", "-5")), *settle(inputs)[2:]]
    found = [(one.code, one.payer, one.payee) for one in audit_flows(claimed, inputs)]
    assert sorted(found) == [
        ("K4_AMOUNT", "agent", "s"),
        ("K4_AMOUNT", "b", "agent"),
        ("K7_QUANTITY", "agent", "s"),
        ("K7_QUANTITY", "b", "agent"),
    ]


def test_a_penalty_within_the_band_is_caught():
    terms = replace(FREE, penalty_per_kwh=Decimal(2), penalty_band=Decimal("0.1"))
    inputs = of(terms, "6.00", trade("s", "5", "4.6"), trade("b", "-5", "-5"))
    claimed = [*settle(inputs), flow("s", "grid", "DEVIATION_PENALTY", "0.80")]
    assert {one.code for one in audit_flows(claimed, inputs)} == {"K4_AMOUNT", "K9_PENALTY"}


@pytest.mark.parametrize(
    ("decimals", "amount", "found"),
    [
        (0, "50.82", {"K1_FLOW", "K1_SUB_MINOR_UNIT", "K4_AMOUNT", "K12_MINOR_UNIT"}),
        (3, "50.82", set()),
        (2, "51", {"K4_AMOUNT", "K12_MINOR_UNIT"}),
    ],
)
def test_the_decimals_of_another_currency_are_named(decimals: int, amount: str, found: set[str]):
    inputs = of(replace(FREE, minor_unit=decimals), "15.4", trade("s", "3.3"), trade("b", "-3.3"))
    claimed = [flow("agent", "s", "ENERGY", amount), flow("b", "agent", "ENERGY", amount)]
    assert {one.code for one in audit_flows(claimed, inputs)} == found


@pytest.mark.parametrize(
    ("decimals", "price", "code"), [(0, "15.4", "K1_FLOW"), (3, "0.0154", "K4_AMOUNT")]
)
def test_yen_and_dinars_settled_in_two_decimals_are_named(decimals: int, price: str, code: str):
    # 50.82 for 51, and 0.05 for 0.051.
    inputs = of(replace(FREE, minor_unit=decimals), price, trade("s", "3.3"), trade("b", "-3.3"))
    claimed = settle(inputs._replace(terms=FREE))
    found = [(one.code, one.payee) for one in audit_flows(claimed, inputs)]
    assert {(code, "s"), ("K4_AMOUNT", "s"), ("K12_MINOR_UNIT", "s")} <= {*found}


def test_a_payment_in_another_currency_is_caught():
    inputs = of(FREE, "6.00", trade("s", "5"), trade("b", "-5"))
    flows = settle(inputs)
    assert audit_flows([one._replace(currency="INR") for one in flows], inputs) == []
    mixed = [flows[0]._replace(currency="USD"), flows[1]]
    assert {one.code for one in audit_flows(mixed, inputs)} == {"K4_AMOUNT", "K12_CURRENCY"}


def test_where_no_currency_is_agreed_there_is_still_but_one():
    inputs = of(replace(FREE, currency=""), "6.00", trade("s", "5"), trade("b", "-5"))
    flows = settle(inputs)
    assert audit_flows([one._replace(currency="EUR") for one in flows], inputs) == []
    mixed = [flows[0]._replace(currency="EUR"), flows[1]._replace(currency="USD")]
    assert "K12_CURRENCY" in {one.code for one in audit_flows(mixed, inputs)}


def test_what_an_unbalanced_clearing_leaves_is_not_held_against_the_agent():
    inputs = of(FREE, "6.01", trade("s", "5"), trade("b", "-5.001"))  # 30.05 and 30.056
    flows = settle(inputs)
    assert positions(flows)["agent"] == Decimal("0.01")
    assert audit_flows(flows, inputs) == []
    balanced = [flows[0], flows[1]._replace(amount=flows[0].amount)]
    assert {one.code for one in audit_flows(balanced, inputs)} == {"K4_AMOUNT"}


def test_amounts_of_any_length_stay_exact():
    price = "123456789012345.123456789012345"
    inputs = of(FREE, price, trade("s", "987654321098765.4"), trade("b", "-987654321098765.4"))
    flows = settle(inputs)
    exact = Fraction(price) * Fraction("987654321098765.4")
    assert abs(Fraction(flows[0].amount) - exact) <= Fraction(1, 200)
    assert audit_flows(flows, inputs) == []


def test_a_fixed_price_is_paid_by_the_buyer_to_the_seller():
    # 20 kWh at 12.5; a tariff of 1.005 rounds up, and 18 % of it is 0.18.
    terms = replace(FREE, tax=Tax(Decimal("0.18"), ("TARIFF",), "line"))
    dues = [
        Due("b", "s", "ENERGY", 20 * Fraction("12.5")),
        Due("b", "s", "TARIFF", Fraction("1.005")),
        Due("b", "s", "ENERGY", -2 * Fraction("0.5")),
        Due("b", "s", "ENERGY", Fraction("0.004")),
    ]
    assert settle_fixed(terms, dues) == [
        flow("b", "s", "ENERGY", "250.00"),
        flow("b", "s", "TARIFF", "1.01"),
        flow("s", "b", "ENERGY", "1.00"),
        flow("b", "GOVERNMENT", "TAX", "0.18"),
    ]


def test_positions_that_do_not_follow_from_the_flows_are_named():
    claimed = positions(RIGHT) | {"s": Decimal("29.00"), "x": Decimal("-0.50")}
    found = [(one.code, one.payer, one.size) for one in audit_positions(claimed, RIGHT)]
    assert found == [
        ("K2_NOT_FROM_FLOWS", "s", Decimal("0.50")),
        ("K2_NOT_FROM_FLOWS", "x", Decimal("0.50")),
    ]
    assert audit_positions(positions(RIGHT), RIGHT) == []
    assert [one.observed for one in audit_positions({}, [flow("s", "b", "FEE", "1.00")])] == [
        "0"
    ] * 2


def test_role_values_sum_to_zero_as_decimals():
    values = [("a", Decimal("0.1")), ("b", Decimal("0.2")), ("c", Decimal("-0.3"))]
    assert audit_role_values(values) == []
    leak = audit_role_values([("a", Decimal("10.00")), ("b", Decimal("-9.99"))])
    assert [(one.code, one.size) for one in leak] == [("K2_NOT_NET_ZERO", Decimal("0.01"))]


def test_role_values_come_in_whole_minor_units():
    values = [("a", Decimal("0.005")), ("b", Decimal("-0.005"))]
    found = audit_role_values(values)
    assert [(one.code, one.payer) for one in found] == [
        ("K1_SUB_MINOR_UNIT", "a"),
        ("K1_SUB_MINOR_UNIT", "b"),
    ]
    assert audit_role_values(values, minor_unit=3) == []


@pytest.mark.parametrize("changes", [{"rounding": "DOWN"}, {"mode": "HOPE"}])
def test_unknown_terms_are_refused(changes: dict[str, str]):
    with pytest.raises(ValueError, match="known are HALF_UP, HALF_EVEN, AS_CLEARED"):
        replace(FREE, **changes)


def test_an_amount_that_is_no_number_is_refused():
    inputs = of(FREE, "1", trade("s", "5"), trade("b", "-5"))
    with pytest.raises(ValueError, match="NaN is no amount"):
        audit_flows([flow("s", "agent", "FEE", "NaN")], inputs)


def test_the_odd_units_of_two_thousand_sellers_may_be_anyones():
    sellers = [trade(f"s{number:05}", "0.333") for number in range(2000)]
    inputs = of(FREE, "0.0625", *sellers, trade("b", "-666"))
    flows = settle(inputs)
    reversed_names = {f"s{number:05}": f"s{1999 - number:05}" for number in range(2000)}
    other = [one._replace(payee=reversed_names.get(one.payee, one.payee)) for one in flows]
    assert other != flows
    assert audit_flows(other, inputs) == []

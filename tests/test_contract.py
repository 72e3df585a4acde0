"""Contracts: published ones worked by hand, their life, and money that sums to zero."""

# ruff: noqa: RUF001, RUF003 (× is a published sign, not a slip of the keyboard)

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.contract import (
    FOLLOWS,
    ContractError,
    EnergyContract,
    Payment,
    Quality,
    QualityMetric,
    RevenueFlow,
    Role,
    missing_inputs,
    move,
    quality,
    revenue_flows,
    role_values,
    rounded_role_values,
    unfilled,
)
from gridwitness.reference_impl.formula import FormulaError, Quantity, Unit


def number(text: str, unit: str | None = None) -> Quantity:
    return Quantity(Decimal(text), unit)


POWER = QualityMetric(
    "averagePower",
    "telemetrySources.cdr-1.energyKWh / ((cdr-1.endTime - cdr-1.startTime) / 3600)",
    "kW",
)
CHARGING = EnergyContract(
    contract_id="charge-1",
    status="ACTIVE",
    roles=(
        Role("SELLER", "cpo.example", {"pricePerKWh": number("18", "INR/kWh")}),
        Role("BUYER", "driver.example", {}),
    ),
    flows=(
        RevenueFlow(
            "BUYER",
            "SELLER",
            "roles.SELLER.roleInputs.pricePerKWh × telemetrySources.cdr-1.energyKWh",
        ),
    ),
    metrics=(POWER,),
    telemetry={
        "cdr-1": {
            "energyKWh": number("12.5", "kWh"),
            "startTime": Quantity("2025-01-27T10:00:00Z"),
            "endTime": Quantity("2025-01-27T10:30:00Z"),
        }
    },
)


def traded(kw: str, *, units: bool, hours: str = "") -> EnergyContract:
    """Give a market trade of a consumer: price 6.00, fee 0.25, wheeling 0.50, all per kWh."""
    per_kwh, power = ("INR/kWh", "kW") if units else (None, None)
    cleared = "roles.AGENT.roleInputs.clearedPower[PROSUMER.era]"
    return EnergyContract(
        contract_id="market-1",
        status="ACTIVE",
        roles=(
            Role(
                "AGENT",
                "agent.example",
                {
                    "clearingPrice": number("6.00", per_kwh),
                    "marketMakingFee": number("0.25", per_kwh),
                    "clearedPower": Quantity({"bap.home.example": Decimal(kw)}, power),
                },
            ),
            Role("PROSUMER", "bap.home.example", {}),
            Role("GRID", "grid.example", {"wheelingCharges": number("0.50", per_kwh)}),
        ),
        flows=(
            RevenueFlow(
                "PROSUMER",
                "AGENT",
                "(roles.AGENT.roleInputs.clearingPrice + roles.AGENT.roleInputs.marketMakingFee)"
                f" × {cleared}{hours}",
            ),
            RevenueFlow(
                "AGENT", "GRID", f"abs({cleared}) × roles.GRID.roleInputs.wheelingCharges{hours}"
            ),
        ),
        parameters={"hours": number("0.25", "h")},
    )


def measured(value: str, **changes: object) -> Quality:
    """Give the quality of a wait in minutes, with a target of 5."""
    metric = QualityMetric("waitTime", "waited", "min", number("5", "min"))._replace(**changes)
    contract = EnergyContract(
        "wait-1",
        "PENDING",
        (Role("SELLER", None, {}),),
        metrics=(metric,),
        parameters={"waited": number(value), "rate": number("1.5", "INR/min")},
    )
    (only,) = quality(contract)
    return only


LATE = {"penalty": "max(0, (waitTime - target) * rate)", "penalty_applied_to": "SELLER"}


def code_of(act, *arguments: object, **named: object) -> str:
    with pytest.raises((ContractError, FormulaError)) as caught:
        act(*arguments, **named)
    return caught.value.code


# Money


def test_a_charging_session_costs_energy_by_price():
    # 12.5 kWh at 18.
    assert revenue_flows(CHARGING) == [("BUYER", "SELLER", 225)]
    assert role_values(revenue_flows(CHARGING)) == {"BUYER": -225, "SELLER": 225}


def test_a_flow_below_zero_is_paid_back():
    # As published: (6.00 + 0.25) × -8 = -50, so the agent pays; and 8 × 0.50.
    payments = revenue_flows(traded("-8", units=False))
    assert payments == [("AGENT", "PROSUMER", 50), ("AGENT", "GRID", 4)]
    assert role_values(payments) == {"AGENT": -54, "PROSUMER": 50, "GRID": 4}


def test_power_by_price_is_refused_where_units_are_declared():
    with pytest.raises(FormulaError, match="comes to INR/h, which is no money"):
        revenue_flows(traded("-8", units=True))


def test_power_by_price_by_hours_is_money():
    payments = revenue_flows(traded("8", units=True, hours=" × hours"))
    assert payments == [("PROSUMER", "AGENT", Fraction("12.5")), ("AGENT", "GRID", 1)]


def test_a_tariff_prices_a_flow():
    contract = EnergyContract(
        "tariff-1",
        "PENDING",
        (Role("SELLER", None, {"tariff": Quantity({"flat": Decimal("0.2")})}),),
        (RevenueFlow("BUYER", "SELLER", "computeTariffPrice(tariff, start, end, qty) × qty"),),
        parameters={
            "start": Quantity("2024-10-04T18:00:00Z"),
            "end": Quantity("2024-10-05T06:00:00Z"),
            "qty": number("100", "kWh"),
        },
    )
    assert code_of(revenue_flows, contract) == "E_UNKNOWN_FUNCTION"
    flat = revenue_flows(contract, lambda tariff, *_: Quantity(tariff["flat"], "INR/kWh"))
    assert flat == [("BUYER", "SELLER", 20)]


def test_a_signal_prices_a_flow():
    # 12.5 kWh at a signal of 4, less a rebate of 10 among the parameters.
    flow = RevenueFlow(
        "BUYER",
        "SELLER",
        "inputSignals[spot-price].value × energyKWh - inputParameters[rebate]",
    )
    contract = replace(
        CHARGING,
        flows=(flow,),
        signals={"spot-price": number("4", "INR/kWh")},
        parameters={"rebate": number("10", "INR")},
    )
    assert revenue_flows(contract) == [("BUYER", "SELLER", 40)]


def test_flows_are_in_one_currency():
    flow = CHARGING.flows[0]
    dollars = {"fee": number("3", "USD")}
    mixed = replace(CHARGING, parameters=dollars, flows=(flow, flow._replace(formula="fee")))
    assert code_of(revenue_flows, mixed) == "E_MIXED_CURRENCY"


@given(
    st.lists(
        st.tuples(
            st.permutations(["BUYER", "SELLER", "GRID"]),
            st.decimals(-1000, 1000, places=4),
            st.integers(1, 30),
        )
    )
)
@settings(max_examples=150, deadline=None)
def test_values_of_roles_sum_to_zero_exact_and_rounded(rows):
    contract = EnergyContract(
        "random",
        "PENDING",
        (),
        tuple(
            RevenueFlow(names[0], names[1], f"amount-{position} / {divisor}")
            for position, (names, _, divisor) in enumerate(rows)
        ),
        parameters={f"amount-{i}": Quantity(amount) for i, (_, amount, _) in enumerate(rows)},
    )
    payments = revenue_flows(contract)
    assert all(payment.amount >= 0 for payment in payments)
    exact = role_values(payments)
    assert sum(exact.values()) == 0
    paid = [Fraction(amount) / divisor for _, amount, divisor in rows]
    buyer = sum(
        (names[1] == "BUYER") * amount - (names[0] == "BUYER") * amount
        for (names, _, _), amount in zip(rows, paid, strict=True)
    )
    assert exact.get("BUYER", 0) == buyer
    rounded = rounded_role_values(payments, 2)
    assert sum(rounded.values()) == 0
    assert all(abs(Fraction(rounded[name]) - exact[name]) < Fraction("0.01") for name in exact)


def test_values_are_rounded_by_largest_remainder():
    # Thirds of 1.00: 0.333… each; the first of equals gets the odd unit.
    thirds = [Payment("BUYER", name, Fraction(1, 3)) for name in ("GRID", "SELLER", "AGENT")]
    assert rounded_role_values(thirds, 2) == {
        "BUYER": Decimal("-1.00"),
        "AGENT": Decimal("0.34"),
        "GRID": Decimal("0.33"),
        "SELLER": Decimal("0.33"),
    }


# Quality


def test_average_power_is_measured_in_its_declared_unit():
    # 12.5 kWh in half an hour.
    assert list(quality(CHARGING)) == [("averagePower", 25, Unit.read("kW"), None, None)]


def test_a_metric_without_declared_unit_has_that_of_its_formula():
    metric = QualityMetric("energy", "energyKWh")
    (only,) = quality(replace(CHARGING, metrics=(metric,)))
    assert only.unit == Unit.read("kWh")
    price = metric._replace(formula="energyKWh × pricePerKWh", unit="kWh")
    with pytest.raises(FormulaError, match="energy comes to INR, declared is kWh"):
        list(quality(replace(CHARGING, metrics=(price,))))


@pytest.mark.parametrize(
    ("waited", "bound", "met", "penalty"),
    [
        ("7", "AT_MOST", False, 3),
        ("5", "AT_MOST", True, 0),
        ("4", "AT_MOST", True, 0),
        ("7", "AT_LEAST", True, 0),
        ("5", "AT_LEAST", True, 0),
        ("4", "AT_LEAST", False, 0),
        ("7", None, None, 3),
        ("4", None, None, 0),
    ],
)
def test_a_target_is_met_on_its_declared_side(waited, bound, met, penalty):
    # Beyond 5 minutes, each costs 1.5.
    result = measured(waited, bound=bound, **LATE)
    assert (result.met, result.penalty) == (met, penalty)
    assert measured(waited, bound=bound).penalty is None


def test_a_target_has_the_unit_of_its_metric():
    with pytest.raises(FormulaError, match="the target of waitTime comes to s, declared is min"):
        measured("7", bound="AT_MOST", target=number("300", "s"))
    assert measured("7", bound="AT_MOST", target=number("7")).met


def test_a_penalty_is_money_and_never_negative():
    signed = {"bound": None, "penalty": "(waitTime - target) * rate"}
    assert measured("7", **signed).penalty == 3
    assert code_of(measured, "4", **signed) == "E_NEGATIVE_PENALTY"
    assert code_of(measured, "7", penalty="waitTime - target") == "E_UNIT"
    assert code_of(measured, "7", target=None, **LATE) == "E_NO_VALUE"


# What a contract lacks


def test_a_contract_names_the_roles_that_nobody_holds():
    pending = replace(
        CHARGING,
        status="PENDING",
        roles=(CHARGING.roles[0], Role("BUYER", None, {})),
        flows=(*CHARGING.flows, RevenueFlow("BUYER", "GRID", "1")),
        metrics=(POWER._replace(penalty_applied_to="AGENT"),),
    )
    assert unfilled(pending) == ["BUYER", "GRID", "AGENT"]
    assert unfilled(CHARGING) == []


def test_a_contract_names_the_inputs_that_it_waits_for():
    assert missing_inputs(CHARGING) == []
    waiting = replace(
        CHARGING,
        roles=(Role("SELLER", "cpo.example", {"pricePerKWh": Quantity(None)}), CHARGING.roles[1]),
        telemetry={"cdr-1": {"energyKWh": Quantity(None)}},
        metrics=(POWER._replace(penalty="(averagePower - target) × rate"),),
    )
    assert missing_inputs(waiting) == [
        "roles.SELLER.roleInputs.pricePerKWh",
        "telemetrySources.cdr-1.energyKWh",
        "cdr-1.endTime",
        "cdr-1.startTime",
        "target",
        "rate",
    ]
    assert code_of(revenue_flows, waiting) == "E_NO_VALUE"


def test_a_cleared_power_waits_for_who_holds_the_role():
    market = traded("-8", units=False)
    nobody = (market.roles[0], Role("PROSUMER", None, {}), market.roles[2])
    assert missing_inputs(replace(market, status="PENDING", roles=nobody)) == ["roles.PROSUMER.era"]


def test_a_formula_that_cannot_be_read_is_no_missing_input():
    broken = replace(CHARGING, flows=(RevenueFlow("BUYER", "SELLER", "1 +"),))
    assert code_of(missing_inputs, broken) == "E_SYNTAX"


# Its life


def test_a_contract_is_confirmed_completed_or_terminated():
    pending = replace(CHARGING, status="PENDING")
    assert move(pending, "ACTIVE") == CHARGING
    assert move(CHARGING, "COMPLETED").status == "COMPLETED"
    assert move(pending, "TERMINATED").status == move(CHARGING, "TERMINATED").status


@pytest.mark.parametrize("status", FOLLOWS)
def test_no_other_status_follows(status):
    contract = replace(CHARGING, status=status)
    for other in set(FOLLOWS) - set(FOLLOWS[status]):
        with pytest.raises(ContractError, match=f"{other} does not follow {status}"):
            move(contract, other)


def test_a_contract_in_force_has_every_role_filled():
    pending = replace(CHARGING, status="PENDING", roles=(*CHARGING.roles, Role("GRID", None, {})))
    with pytest.raises(ContractError, match="E_UNFILLED: ACTIVE with nobody as GRID"):
        move(pending, "ACTIVE")
    assert code_of(replace, pending, status="COMPLETED") == "E_UNFILLED"
    assert move(pending, "TERMINATED").status == "TERMINATED"


def test_a_contract_that_contradicts_itself_is_refused():
    assert code_of(replace, CHARGING, status="DRAFT") == "E_STATUS"
    assert code_of(replace, CHARGING, roles=CHARGING.roles * 2) == "E_DUPLICATE"
    assert code_of(replace, CHARGING, metrics=(POWER, POWER)) == "E_DUPLICATE"
    own = (RevenueFlow("BUYER", "BUYER", "1"),)
    assert code_of(replace, CHARGING, flows=own) == "E_SAME_ROLE"


def test_a_payment_says_who_pays_whom():
    assert revenue_flows(CHARGING)[0] == Payment(
        payer="BUYER", payee="SELLER", amount=Fraction(225)
    )

"""The files of `settle` and `check-settlement`: read exactly, answered exactly, mistakes told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gridwitness.cli import app
from gridwitness.errors import UserError
from gridwitness.settlement_file import (
    read_claim,
    read_settlement,
    settlement_answer,
    violations_answer,
)

PROFILE = {"rounding": "HALF_UP", "minorUnit": 2, "energyRounding": "LARGEST_REMAINDER"}


def who(name: str, cleared: Any, **more: Any) -> dict[str, Any]:
    return {"id": name, "clearedKW": cleared, **more}


def market(*participants: dict[str, Any], profile: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "profile": PROFILE | (profile or {}),
        "intervalHours": "1",
        "clearingPrice": "6.00",
        "participants": list(participants or (who("s", "5"), who("b", "-5"))),
        **more,
    }


def raw(body: Any) -> bytes:
    return json.dumps(body).encode()


def answer(body: dict[str, Any]) -> dict[str, Any]:
    return settlement_answer(read_settlement(raw(body), "market.json"))


def lines(body: dict[str, Any]) -> list[tuple[str, ...]]:
    return [tuple(flow.values()) for flow in answer(body)["flows"]]


def violations(body: dict[str, Any]) -> list[dict[str, str]]:
    return violations_answer(read_claim(raw(body), "claim.json"))["violations"]


def flow(payer: str, payee: str, kind: str, amount: Any, **more: str) -> dict[str, Any]:
    return {"from": payer, "to": payee, "kind": kind, "amount": amount, **more}


def test_a_market_is_settled_in_decimal_strings():
    # 5 kW for 15 minutes is 1.25 kWh.
    assert answer(market(intervalHours="0.25")) == {
        "flows": [
            {"from": "MCA", "to": "s", "kind": "ENERGY", "amount": "7.50"},
            {"from": "b", "to": "MCA", "kind": "ENERGY", "amount": "7.50"},
        ],
        "positions": {"MCA": "0.00", "s": "7.50", "b": "-7.50"},
        "settledKWh": {"s": "1.25", "b": "-1.25"},
        "netZero": True,
    }


def test_numbers_and_strings_of_digits_are_the_same():
    assert answer(market(who("s", 5), who("b", -5), clearingPrice=6.00, intervalHours=1)) == answer(
        market()
    )


def test_numbers_are_read_digit_by_digit():
    # As floats, 0.1 + 0.2 kWh at 1.15 would be 0.34499999…, hence 0.34.
    body = b"""{"profile": {"rounding": "HALF_UP", "minorUnit": 2}, "intervalHours": 1,
        "clearingPrice": 1.15, "participants": [{"id": "s1", "clearedKW": 0.1},
        {"id": "s2", "clearedKW": 0.2}, {"id": "b", "clearedKW": -0.3}]}"""
    inputs = read_settlement(body, "market.json")
    assert settlement_answer(inputs)["positions"]["b"] == "-0.35"


def test_energy_keeps_the_digits_it_was_given_in():
    trades = (who("s", "5.0", meteredKWh="4.50"), who("b1", "-3"), who("b2", "-2.0"))
    capped = {"imbalance": {"mode": "ACTUALS_CAPPED"}}
    assert answer(market(*trades))["settledKWh"] == {"s": "5.0", "b1": "-3", "b2": "-2.0"}
    settled = answer(market(*trades, profile=capped))["settledKWh"]
    assert settled == {"s": "4.50", "b1": "-2.700", "b2": "-1.800"}


def test_energy_finer_than_a_watt_hour_is_written_out():
    capped = {"imbalance": {"mode": "ACTUALS_CAPPED"}}
    trades = (who("s", "0.0006", meteredKWh="-1"), who("b", "-0.0006"))
    assert answer(market(*trades, profile=capped))["settledKWh"] == {"s": "0", "b": "0.000"}
    trades = (who("s", "0.0006", meteredKWh="1"), who("b", "-0.0006"))
    assert answer(market(*trades, profile=capped))["settledKWh"] == {"s": "0.0006", "b": "-0.0006"}


def test_a_currency_has_its_own_decimals():
    yen = answer(market(profile={"minorUnit": 0}, clearingPrice="3.333"))
    assert yen["positions"] == {"MCA": "0", "s": "17", "b": "-17"}
    dinar = answer(market(profile={"minorUnit": 3}, clearingPrice="0.0001"))
    assert dinar["positions"] == {"MCA": "0.000", "s": "0.001", "b": "-0.001"}


def test_who_has_no_flows_has_no_position():
    body = market(who("s", "0"), who("b", "0"), clearingPrice=None)
    assert answer(body) == {
        "flows": [],
        "positions": {},
        "settledKWh": {"s": "0", "b": "0"},
        "netZero": True,
    }


def test_everyone_is_paid_at_the_price_of_the_own_node():
    trades = (who("n", "4", node="NORTH"), who("s", "1", node="SOUTH"), who("b", "-5"))
    body = market(*trades, nodePrices={"NORTH": "3.00", "SOUTH": 5}, clearingPrice="5.00")
    assert lines(body) == [
        ("MCA", "n", "ENERGY", "12.00"),
        ("MCA", "s", "ENERGY", "5.00"),
        ("b", "MCA", "ENERGY", "25.00"),
        ("MCA", "GRID_OPERATOR", "CONGESTION_RENT", "8.00"),
    ]


@pytest.mark.parametrize("price", [None, "missing"])
def test_no_market_price_is_needed_where_every_node_has_one(price: str | None):
    trades = (who("s", "5", node="N"), who("b", "-5", node="N"), who("idle", "0"))
    body = market(*trades, nodePrices={"N": "6.00"}, clearingPrice=price)
    if price:
        del body["clearingPrice"]
    assert lines(body) == lines(market())


def test_wheeling_is_one_charge_or_one_for_each_side():
    both = lines(market(profile={"wheelingPerKWh": "0.10"}))
    assert [one for one in both if one[2] == "WHEELING"] == [
        ("s", "MCA", "WHEELING", "0.50"),
        ("b", "MCA", "WHEELING", "0.50"),
    ]
    buyer = lines(market(profile={"wheelingPerKWh": {"buyer": 0.10}}))
    assert [one[0] for one in buyer if one[2] == "WHEELING"] == ["b"]


@pytest.mark.parametrize("band", ["penaltyBand", "band", "bandFraction"])
@pytest.mark.parametrize("mode", ["DEVIATION_PENALTY", "AS_CLEARED"])
def test_a_band_has_several_spellings(band: str, mode: str):
    # 1 kWh short of 5, 0.5 of it within the band.
    imbalance = {"mode": mode, "penaltyPerKWh": "2.00", band: "0.1", "payee": "DISCOM"}
    trades = (who("s", "5", meteredKWh="4"), who("b", "-5", meteredKWh=None))
    assert lines(market(*trades, profile={"imbalance": imbalance}))[2:] == [
        ("s", "DISCOM", "DEVIATION_PENALTY", "1.00")
    ]


def test_every_mode_is_read():
    trades = (who("s", "5", meteredKWh="4"), who("b", "-5", meteredKWh="-5"))

    def imbalance(**stated: str) -> list[tuple[str, ...]]:
        return lines(market(*trades, profile={"imbalance": stated}))

    assert imbalance(mode="TWO_SETTLEMENT", shortPrice="9.00", longPrice="-3.00")[2:] == [
        ("s", "GRID_OPERATOR", "IMBALANCE_SHORT", "9.00")
    ]
    assert imbalance(mode="ACTUALS_CAPPED", penaltyPerKWh="0.5") == [
        ("MCA", "s", "ENERGY", "24.00"),
        ("b", "MCA", "ENERGY", "24.00"),
        ("s", "GRID_OPERATOR", "DEVIATION_PENALTY", "0.50"),
    ]
    assert imbalance(mode="VIRTUAL_METER", deviationPerKWh="0.05")[2:] == [
        ("MCA", "GRID_OPERATOR", "VIRTUAL_METER_DEVIATION", "0.05")
    ]


def test_taxes_and_the_platform_are_read():
    tax = {"rate": "0.18", "base": ["PLATFORM_FEE"], "per": "invoice"}
    profile = {"platformFeePerKWh": "0.42", "tax": tax, "currency": "INR"}
    assert lines(market(profile=profile))[2:] == [
        ("s", "PLATFORM", "PLATFORM_FEE", "2.10"),
        ("b", "PLATFORM", "PLATFORM_FEE", "2.10"),
        ("s", "GOVERNMENT", "TAX", "0.38"),
        ("b", "GOVERNMENT", "TAX", "0.38"),
    ]


def test_the_own_answer_violates_nothing():
    body = market()
    assert violations(body | answer(body)) == []


def test_a_violation_names_code_participant_size_and_payment():
    body = market(flows=[flow("MCA", "s", "ENERGY", 29.99), flow("b", "MCA", "ENERGY", "30")])
    assert violations(body) == [
        {
            "code": "K4_AMOUNT",
            "participant": "s",
            "size": "0.01",
            "message": "ENERGY MCA to s: 29.99, right is 30.00",
        },
        {
            "code": "K6_ENERGY_LEG_UNBALANCED",
            "size": "0.01",
            "message": "energy received less paid by MCA: 0.01, right is 0.00",
        },
        {
            "code": "K3_MCA_CONDUIT",
            "size": "0.01",
            "message": "kept by MCA: 0.01, right is 0.00",
        },
    ]


def test_positions_follow_from_the_flows_beside_them():
    body = market() | answer(market())
    wrong = body | {"positions": {"s": "30.01", "b": "-30.00", "x": "1"}}
    found = {one["participant"]: one["message"] for one in violations(wrong)}
    assert found == {
        "s": "POSITION s: 30.01, right is 30.00",
        "x": "POSITION x: 1, right is 0",
    }
    assert {one["code"] for one in violations(wrong)} == {"K2_NOT_FROM_FLOWS"}
    assert len(violations(body | {"positions": {}})) == 2


def test_powers_may_be_as_unbalanced_as_their_rounding_explains():
    body = market(who("s", "5"), who("b", "-5.001"), clearingPrice="6.01")
    assert violations(body | {"flows": answer(body)["flows"]}) == []
    body = market(*(who(name, "1.6665") for name in ("s1", "s2", "s3")), who("b", "-5"))
    assert violations(body | {"flows": answer(body)["flows"]}) == []


def test_a_flow_may_name_its_currency():
    body = market(profile={"currency": "INR"})
    flows = [one | {"currency": "USD"} for one in answer(body)["flows"]]
    assert "K12_CURRENCY" in {one["code"] for one in violations(body | {"flows": flows})}


def test_role_values_need_no_market():
    values = [{"role": "a", "value": 0.1}, {"role": "b", "value": "0.2"}]
    assert violations({"roleValues": [*values, {"role": "c", "value": -0.3}]}) == []
    assert violations({"roleValues": values}) == [
        {"code": "K2_NOT_NET_ZERO", "size": "0.3", "message": "POSITION: 0.3, right is 0"}
    ]


def test_role_values_are_in_the_minor_unit_of_the_profile():
    values = [{"role": "a", "value": "0.005"}, {"role": "b", "value": "-0.005"}]
    codes = [(one["code"], one["participant"]) for one in violations({"roleValues": values})]
    assert codes == [("K1_SUB_MINOR_UNIT", "a"), ("K1_SUB_MINOR_UNIT", "b")]
    assert violations({"roleValues": values, "profile": {"minorUnit": 3}}) == []


def test_flows_and_role_values_are_both_judged():
    body = market(flows=[], roleValues=[{"role": "a", "value": 1}])
    assert [one["code"] for one in violations(body)] == [
        "K2_NOT_NET_ZERO",
        "K4_AMOUNT",
        "K4_AMOUNT",
    ]


def test_keys_of_the_user_s_own_are_left_alone():
    body = market(id="S01", title="One seller", note="…", verifiedBy=[], reject=[])
    assert lines(body) == lines(market())


def mistake(body: Any, *, claim: bool = False) -> UserError:
    with pytest.raises(UserError) as caught:
        (read_claim if claim else read_settlement)(
            body if isinstance(body, bytes) else raw(body), "market.json"
        )
    return caught.value


def imbalance(**stated: Any) -> dict[str, Any]:
    return market(who("s", "5"), who("b", "-5"), profile={"imbalance": stated})


def tax(**stated: Any) -> dict[str, Any]:
    return market(profile={"tax": {"rate": "0.1", "base": ["FEE"], "per": "line"} | stated})


@pytest.mark.parametrize(
    ("body", "pointer", "what", "mend"),
    [
        ([], "", "is []", "give an object"),
        (market(profile={"rounding": "DOWN"}), "/profile/rounding", "DOWN", "HALF_UP, HALF_EVEN"),
        (market(profile={"rounding": None}), "/profile/rounding", "missing", "HALF_UP, HALF_EVEN"),
        (market(profile={"energyRounding": "UP"}), "/profile/energyRounding", "UP", "LARGEST"),
        (market(profile={"minorUnit": 2.5}), "/profile/minorUnit", "2.5", "whole number"),
        (market(profile={"minorUnit": -1}), "/profile/minorUnit", "-1", "0 to 9"),
        (market(profile={"minorUnit": None}), "/profile/minorUnit", "missing", "number"),
        (market(profile={"feePerKwh": 1}), "/profile/feePerKwh", "not known", "mean feePerKWh"),
        (market(profile={"a/b~": 1}), "/profile/a~1b~0", "not known", "known here: rounding"),
        (market(profile={"feePerKWh": "-0.1"}), "/profile/feePerKWh", "-0.1", "zero or more"),
        (market(profile={"feePerKWh": True}), "/profile/feePerKWh", "true", "a number"),
        (
            market(profile={"wheelingPerKWh": {"by": 1}}),
            "/profile/wheelingPerKWh/by",
            "not",
            "buyer",
        ),
        (market(profile={"currency": 5}), "/profile/currency", "is 5", "a text"),
        (market(profile={"imbalance": "none"}), "/profile/imbalance", "none", "an object"),
        (imbalance(), "/profile/imbalance/mode", "missing", "TWO_SETTLEMENT"),
        (imbalance(mode="HOPE"), "/profile/imbalance/mode", "HOPE", "ACTUALS_CAPPED"),
        (
            imbalance(mode="TWO_SETTLEMENT", shortPrice=1),
            "/profile/imbalance/longPrice",
            "mis",
            "nu",
        ),
        (
            imbalance(mode="ACTUALS_CAPPED", shortPrice=1),
            "/profile/imbalance/shortPrice",
            "no",
            "kn",
        ),
        (
            imbalance(mode="VIRTUAL_METER"),
            "/profile/imbalance/deviationPerKWh",
            "missing",
            "number",
        ),
        (
            imbalance(mode="AS_CLEARED", band="0.1", bandFraction="0.2"),
            *("/profile/imbalance/bandFraction", "said already", "give penaltyBand only"),
        ),
        (imbalance(mode="ACTUALS_CAPPED"), "/participants/0/meteredKWh", "missing", "a number"),
        (
            imbalance(mode="VIRTUAL_METER", ratePerKWh="0.1"),
            *("/participants/0/meteredKWh", "missing", "a number"),
        ),
        (
            imbalance(mode="AS_CLEARED", penaltyBand="1.01"),
            *("/profile/imbalance/penaltyBand", "is 1.01", "from 0 to 1"),
        ),
        (
            imbalance(mode="VIRTUAL_METER", ratePerKWh="0.1", payee="DISCOM"),
            *("/profile/imbalance/payee", "not known", "deviationPerKWh"),
        ),
        (tax(rate="-1"), "/profile/tax/rate", "-1", "zero or more"),
        (tax(rate="18"), "/profile/tax/rate", "is 18", "from 0 to 1"),
        (tax(base=["FEE", "TAX"]), "/profile/tax/base/1", "TAX", "ENERGY, FEE, PLATFORM_FEE"),
        (tax(base=["WHEELING_REMIT"]), "/profile/tax/base/0", "WHEELING_REMIT", "ENERGY"),
        (tax(base=["CONGESTION_RENT"]), "/profile/tax/base/0", "CONGESTION_RENT", "ENERGY"),
        (
            tax(base=["VIRTUAL_METER_DEVIATION"]),
            *("/profile/tax/base/0", "VIRTUAL_METER_DEVIATION", "ENERGY"),
        ),
        (tax(base=["LUCK"]), "/profile/tax/base/0", "LUCK", "ENERGY"),
        (tax(base="FEE"), "/profile/tax/base", "FEE", "an array"),
        (tax(per="year"), "/profile/tax/per", "year", "line, invoice"),
        (market(intervalHours=0), "/intervalHours", "is 0", "how long"),
        (market(intervalHours=None), "/intervalHours", "missing", "a number"),
        (market(clearingPrice=None), "/clearingPrice", "missing", "a number"),
        (market(clearingPrice="six"), "/clearingPrice", '"six"', "a number"),
        (market(clearingPrice="NaN"), "/clearingPrice", "NaN", "a number"),
        (market(clearingPrice="1e999"), "/clearingPrice", "1e999", "15 digits"),
        (market(clearingPrice="1e9999999999"), "/clearingPrice", "1e99", "a number"),
        (market(clearingPrice="1e-16"), "/clearingPrice", "1e-16", "15 decimals"),
        (market(clearingPrice="1." + 30 * "3"), "/clearingPrice", "1.3", "15 decimals"),
        (market(clearingPrice={"$rawNumber": "1e999"}), "/clearingPrice", "1e999", "15 digits"),
        (market(clearingPrice={"$rawNumber": "Infinity"}), "/clearingPrice", "Inf", "a number"),
        (market(clearingPrice={}), "/clearingPrice", "{}", "a number"),
        (market(nodePrices={"N": "x"}), "/nodePrices/N", '"x"', "a number"),
        (market(nodePrices=[]), "/nodePrices", "[]", "an object"),
        (
            market(who("s", 1, node="M"), nodePrices={"N": 1}),
            "/participants/0/node",
            "M",
            "nodePrices",
        ),
        (market(who("s", 1, node="M")), "/participants/0/node", "no price", "nodePrices"),
        (market(who("s", 1, node="M"), nodePrices={}), "/participants/0/node", "no p", "nodeP"),
        (market(nodeprices={}), "/nodeprices", "not known", "did you mean nodePrices?"),
        (market(clearingprice=None), "/clearingprice", "not known", "mean clearingPrice?"),
        (market(participant=[]), "/participant", "not known", "mean participants?"),
        (market(who("s", 5), who("b", -4)), "/participants", "sum to 1", "explains 0.001 at"),
        (
            market(who("s", "5"), who("b", "-5.0011")),
            *("/participants", "sum to -0.0011", "0.001 at most"),
        ),
        (market(participants=None), "/participants", "missing", "an array"),
        (market(who("s", 1), who("s", -1)), "/participants/1/id", "s is taken", "name"),
        (market(who("MCA", 1)), "/participants/0/id", "MCA is taken", "name"),
        (market(who("", 1)), "/participants/0/id", '""', "a text"),
        (market({"clearedKW": 1}), "/participants/0/id", "missing", "a text"),
        (market({"id": "s"}), "/participants/0/clearedKW", "missing", "a number"),
        (market(who("s", 1, meteredkWh=1)), "/participants/0/meteredkWh", "no", "mean meteredKWh"),
        (market("s"), "/participants/0", '"s"', "an object"),
        ({}, "/profile", "missing", "an object"),
    ],
)
def test_a_mistake_is_told_with_its_place(body: Any, pointer: str, what: str, mend: str):
    told = mistake(body)
    assert told.where == f"market.json#{pointer}"
    assert what in told.what
    assert mend in told.mend


@pytest.mark.parametrize(
    ("body", "pointer", "what", "mend"),
    [
        (market(), "", "claims nothing", "flows, or roleValues"),
        (market(flows={}), "/flows", "{}", "an array"),
        (market(flows=[{"...": "1001 flows"}]), "/flows/0/...", "not known", "known here: from"),
        (market(flows=[{"to": "s"}]), "/flows/0/from", "missing", "a text"),
        (
            market(flows=[flow("s", "b", "FEE", 1, curency="INR")]),
            *("/flows/0/curency", "not known", "mean currency?"),
        ),
        (market(flows=[], positions=[]), "/positions", "[]", "an object"),
        (market(flows=[], positions={"s": "x"}), "/positions/s", "x", "a number"),
        (market(flows=[flow("s", "b", "FEE", "x")]), "/flows/0/amount", '"x"', "a number"),
        (market(flows=[flow("s", "b", "FEE", None)]), "/flows/0/amount", "missing", "a number"),
        ({"flows": []}, "/profile", "missing", "an object"),
        ({"roleValues": [{"role": "a"}]}, "/roleValues/0/value", "missing", "a number"),
        ({"roleValues": [{"value": 1}]}, "/roleValues/0/role", "missing", "a text"),
        ({"roleValues": [1]}, "/roleValues/0", "is 1", "an object"),
        (
            {"roleValues": [], "profile": {"minorUnit": 10}},
            *("/profile/minorUnit", "is 10", "0 to 9"),
        ),
    ],
)
def test_a_mistake_of_a_claim_is_told_with_its_place(body: Any, pointer: str, what: str, mend: str):
    told = mistake(body, claim=True)
    assert told.where == f"market.json#{pointer}"
    assert what in told.what
    assert mend in told.mend


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"clearingPrice": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_refused(body: bytes):
    told = mistake(body)
    assert told.where == "market.json"
    assert told.what.startswith("is not JSON: ")


EXAMPLE = Path(__file__).parent.parent / "examples" / "settlements" / "evening-quarter.json"


def test_the_example_settles_as_it_claims():
    raw = EXAMPLE.read_bytes()
    claimed = json.loads(raw)["flows"]
    assert settlement_answer(read_settlement(raw, EXAMPLE.name))["flows"] == claimed
    assert violations_answer(read_claim(raw, EXAMPLE.name)) == {"violations": []}


def test_the_commands_answer_with_the_exit_status(tmp_path: Path):
    right = CliRunner().invoke(app, ["check-settlement", str(EXAMPLE)])
    assert (right.exit_code, json.loads(right.stdout)) == (0, {"violations": []})
    wrong = tmp_path / "wrong.json"
    body = json.loads(EXAMPLE.read_text("utf-8"))
    body["flows"][0]["amount"] = "0.01"
    wrong.write_text(json.dumps(body), "utf-8")
    told = CliRunner().invoke(app, ["check-settlement", str(wrong)])
    assert told.exit_code == 1
    codes = {violation["code"] for violation in json.loads(told.stdout)["violations"]}
    assert {"K4_AMOUNT", "K6_ENERGY_LEG_UNBALANCED"} <= codes
    settled = CliRunner().invoke(app, ["settle", "-"], input=EXAMPLE.read_bytes())
    assert settled.exit_code == 0
    assert json.loads(settled.stdout)["netZero"] is True

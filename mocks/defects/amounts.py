"""Defects of stated amounts: bills that do not add up, tables that do not say what they hold.

Belongs here: ways to break the arithmetic that one message states by itself. Does not
belong here: the clearing and the settlement of a market (market).

Each is tried where a car and a roof clear. What no scenario of ours states cannot be broken
here; tests/test_amounts.py breaks it in messages of its own.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridwitness.mocks.defects.base import Defect, in_body, in_contract

if TYPE_CHECKING:
    from gridwitness.dialects.base import Json
    from gridwitness.mocks.conduct import Conduct
    from gridwitness.views import EnergyContract

SCENARIO = "A car and a roof clear"
CENT = Decimal("0.01")


def _value_off(contract: EnergyContract) -> EnergyContract:
    bill = contract.bill
    return replace(contract, bill=bill and replace(bill, value=bill.value + CENT))


def _dearer_energy(contract: EnergyContract) -> EnergyContract:
    """Bill a paisa more for the energy; the components still sum to the value."""
    bill = contract.bill
    if bill is None:
        return contract
    unit, *rest = bill.parts
    parts = (replace(unit, amount=unit.amount + CENT), *rest)
    return replace(contract, bill=replace(bill, value=bill.value + CENT, parts=parts))


def _percentage(contract: EnergyContract) -> EnergyContract:
    """Call a fee a share of the energy that it is not."""
    bill = contract.bill
    if bill is None:
        return contract
    unit, *rest = bill.parts
    parts = (unit, *(replace(part, text=f"{part.text} (99%)") for part in rest))
    return replace(contract, bill=replace(bill, parts=parts))


def _pays_more(body: dict[str, Any]) -> Json:
    message = body.get("message", {})
    for payment in (message.get("order", {}).get("beckn:payment"),):
        if payment:
            payment["beckn:amount"]["value"] += CENT
    for settlement in message.get("contract", {}).get("settlements", []):
        if settlement["id"] == "payment":
            settlement["settlementAttributes"]["amount"]["value"] += CENT
    return body


def _dangling(body: dict[str, Any]) -> Json:
    for settlement in body.get("message", {}).get("contract", {}).get("settlements", []):
        if settlement["id"] == "settlement":
            settlement["considerationId"] = "another-contract"
    return body


def _table(action: str, change: str) -> Conduct:
    """Spoil the interval table of a commitment; the order dialect has none."""

    def changed(body: dict[str, Any]) -> Json:
        for commitment in body.get("message", {}).get("contract", {}).get("commitments", []):
            table = commitment.get("commitmentAttributes")
            if table and change == "undeclared":
                table["payloadDescriptors"].pop()
            elif table and change == "renumbered":
                table["intervals"][0]["id"] = 1
            elif table:
                descriptors = table["payloadDescriptors"]
                next(d for d in descriptors if d["payloadType"] == "CAPACITY_CLEARED")["units"] = (
                    "KWH"
                )
        return body

    return in_body(action, changed)


DEFECTS = (
    Defect(
        "bills-a-wrong-sum",
        "AMT-001",
        "bills a paisa more than the components sum to",
        in_contract("on_status", _value_off),
        scenario=SCENARIO,
    ),
    Defect(
        "bills-dearer-energy",
        "AMT-002",
        "bills a paisa more for the energy than quantity times price",
        in_contract("on_status", _dearer_energy),
        scenario=SCENARIO,
    ),
    Defect(
        "asks-for-more-than-is-due",
        "AMT-003",
        "asks for a payment of another amount than the value it states",
        in_body("on_status", _pays_more),
        scenario=SCENARIO,
    ),
    Defect(
        "uses-an-undeclared-column",
        "AMT-028",
        "uses a column of the interval table that it does not declare",
        _table("on_confirm", "undeclared"),
        scenario=SCENARIO,
    ),
    Defect(
        "numbers-intervals-from-one",
        "AMT-029",
        "numbers the intervals of a table from one",
        _table("on_confirm", "renumbered"),
        scenario=SCENARIO,
    ),
    Defect(
        "gives-power-in-kilowatt-hours",
        "AMT-030",
        "declares the cleared power in kilowatt-hours",
        _table("on_confirm", "unit"),
        scenario=SCENARIO,
    ),
    Defect(
        "names-a-wrong-percentage",
        "AMT-013",
        "calls a fee a percentage that it is not",
        in_contract("on_status", _percentage),
        scenario=SCENARIO,
    ),
    Defect(
        "settles-another-consideration",
        "AMT-016",
        "refers a settlement to a consideration that its contract does not hold",
        in_body("on_status", _dangling),
        scenario=SCENARIO,
    ),
)

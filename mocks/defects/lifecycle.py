"""Defects of the life cycle: states that do not exist, do not fit or do not follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_body, in_contract
from gridwitness.story import PARTICIPANT

CANCELLATION = "p2p_trading/cancellation.feature"
IN_TIME = "A battery that cancels in time"
ONE_PRICE = "A car and a roof clear"


def _still_created(body: dict[str, Any]) -> dict[str, Any]:
    """Leave the order as it was created, whatever its energy contract says."""
    order = body["message"].get("order")
    if order is not None:
        order["beckn:orderStatus"] = "CREATED"
    return body


def _asks_to_be_paid(body: dict[str, Any]) -> dict[str, Any]:
    """Put a link to pay beside the first offer of a catalogue."""
    catalogue = body["message"]["catalogs"][0]
    if "beckn:offers" in catalogue:
        payment = {"beckn:paymentURL": "https://pay.example/now"}
        catalogue["beckn:offers"][0]["beckn:payment"] = payment
    else:
        terms = catalogue["offers"][0]["offerAttributes"]
        terms["paymentUrl"] = "https://pay.example/now"
    return body


DEFECTS = (
    Defect(
        "invents-a-state",
        "LIF-001",
        "calls a settled contract by a state that does not exist",
        in_contract("on_status", lambda c: replace(c, status="SETTLED")),
        scenario=ONE_PRICE,
        also=(
            "SHP-001",
            "SHP-002",
        ),
    ),
    Defect(
        "activates-what-is-only-offered",
        "LIF-002",
        "answers an offer with a contract that it calls active",
        in_contract("on_init", lambda c: replace(c, status="ACTIVE")),
        also=("LIF-004",),
        scenario=ONE_PRICE,
    ),
    Defect(
        "goes-back-to-draft",
        "LIF-003",
        "calls a contract that was active pending again",
        in_contract("on_status", lambda c: replace(c, status="PENDING")),
        also=("LIF-004",),
        scenario=ONE_PRICE,
    ),
    Defect(
        "leaves-the-order-created",
        "LIF-004",
        "binds an order that it still calls created",
        in_body("on_confirm", _still_created),
        scenario=ONE_PRICE,
    ),
    Defect(
        "asks-for-readings-too-early",
        "LIF-005",
        "asks the utility how a trade ended that it has not confirmed",
        Conduct(asks_status_too_early=True),
        feature=CANCELLATION,
        scenario=IN_TIME,
    ),
    Defect(
        "answers-twice",
        "LIF-006",
        "calls back twice for one offer",
        Conduct(answers_twice=frozenset({"init"})),
        scenario=ONE_PRICE,
    ),
    Defect(
        "binds-a-cancelled-trade",
        "LIF-007",
        "tells a participant who has cancelled what it trades",
        Conduct(forgets_cancellations=True),
        feature=CANCELLATION,
        scenario=IN_TIME,
    ),
    Defect(
        "binds-without-an-id",
        "LIF-008",
        "binds a contract without saying which",
        in_contract("on_confirm", lambda c: replace(c, contract_id=None)),
        scenario=ONE_PRICE,
        also=("SHP-008",),
    ),
    Defect(
        "asks-to-be-paid-at-once",
        "LIF-009",
        "asks for a payment in its catalogue",
        in_body("on_discover", _asks_to_be_paid),
        scenario=ONE_PRICE,
        also=(
            "LD-002",
            "SHP-001",
        ),
    ),
    Defect(
        "activates-its-own-offer",
        "LIF-002",
        "commits to a contract that it calls active before it is bound",
        in_contract("confirm", lambda c: replace(c, status="ACTIVE")),
        role=PARTICIPANT,
        also=("LIF-004",),
        scenario=ONE_PRICE,
    ),
)

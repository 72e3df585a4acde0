"""Defects of lineage: what was offered or agreed is not what is said later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_body, in_contract
from gridwitness.reference_impl.curves import Point
from gridwitness.story import PARTICIPANT

if TYPE_CHECKING:
    from gridwitness.views import EnergyContract, Reading

CANCELLATION = "p2p_trading/cancellation.feature"
IN_TIME = "A battery that cancels in time"
ONE_PRICE = "A car and a roof clear"


def _moves_house(action: str, reading: Reading) -> Reading:
    """Ask to be called back under another name of the same host, from the lock on."""
    uri = reading.envelope.bap_uri
    if action not in ("confirm", "status") or uri is None:
        return reading
    moved = uri.replace("127.0.0.1", "localhost")
    return replace(reading, envelope=replace(reading.envelope, bap_uri=moved))


def _dated_back(wanted: str) -> Conduct:
    """Date one kind of message 8 s back: more than clocks may differ, less than it may live."""

    def views(action: str, reading: Reading) -> Reading:
        if action != wanted:
            return reading
        earlier = (datetime.now(UTC) - timedelta(seconds=8)).isoformat(timespec="milliseconds")
        return replace(reading, envelope=replace(reading.envelope, timestamp=earlier))

    return Conduct(views=views)


class _Recalls:
    """Answer a confirm with the message id that the init of its transaction had."""

    def __init__(self) -> None:
        self._ids: dict[str | None, str | None] = {}

    def __call__(self, action: str, reading: Reading) -> Reading:
        envelope = reading.envelope
        if action == "on_init":
            self._ids[envelope.transaction_id] = envelope.message_id
        if action != "on_confirm":
            return reading
        recalled = self._ids.pop(envelope.transaction_id, envelope.message_id)
        return replace(reading, envelope=replace(envelope, message_id=recalled))


def _in_megawatt_hours(body: dict[str, Any]) -> dict[str, Any]:
    message = body["message"]
    if "order" in message:
        message["order"]["beckn:orderItems"][0]["beckn:quantity"]["unitCode"] = "MWH"
    elif "contract" in message:
        resource = message["contract"]["commitments"][0]["resources"][0]
        resource["quantity"]["unitCode"] = "MWH"
    return body


def _in_dollars(contract: EnergyContract) -> EnergyContract:
    curve = contract.curve
    return replace(contract, curve=replace(curve, currency="USD", at={}) if curve else None)


def _an_hour_later(contract: EnergyContract) -> EnergyContract:
    interval = contract.interval
    if interval is None:
        return contract
    return replace(contract, interval=replace(interval, duration_h=interval.duration_h * 2))


def _steeper(contract: EnergyContract) -> EnergyContract:
    """Raise the last price of a curve: still a curve, but not the one that was offered."""
    curve = contract.curve
    if curve is None:
        return contract
    *most, last = curve.points
    points = (*most, Point(last.price_per_kwh + 1, last.power_kw))
    return replace(contract, curve=replace(curve, points=points, at={}))


def _less_limited(contract: EnergyContract) -> EnergyContract:
    approval = contract.approval
    if approval is None:
        return contract
    more_kw = approval.approved_max_trade_kw + 1
    return replace(contract, approval=replace(approval, approved_max_trade_kw=more_kw))


DEFECTS = (
    Defect(
        "changes-its-address",
        "LIN-001",
        "asks to be called back elsewhere in the middle of a transaction",
        Conduct(views=_moves_house),
        scenario=ONE_PRICE,
    ),
    Defect(
        "locks-another-contract",
        "LIN-002",
        "has a trade locked under another contract id than it was approved under",
        in_contract("confirm", lambda c: replace(c, contract_id=f"{c.contract_id}-2")),
        scenario=ONE_PRICE,
        also=("SHP-007",),
    ),
    Defect(
        "confirms-another-offer",
        "LIN-003",
        "confirms by an offer that is in no catalogue",
        in_contract("on_init", lambda c: replace(c, offer_id="offer-of-nobody")),
        scenario=ONE_PRICE,
    ),
    Defect(
        "changes-the-unit",
        "LIN-004",
        "binds megawatt hours where kilowatt hours were offered",
        in_body("on_confirm", _in_megawatt_hours),
        scenario=ONE_PRICE,
    ),
    Defect(
        "changes-the-currency",
        "LIN-005",
        "repeats a curve in another currency than it was offered in",
        in_contract("on_confirm", _in_dollars),
        scenario=ONE_PRICE,
    ),
    Defect(
        "cancels-another-interval",
        "LIN-006",
        "answers a cancel with an interval of twice the length",
        in_contract("on_cancel", _an_hour_later),
        feature=CANCELLATION,
        scenario=IN_TIME,
    ),
    Defect(
        "swaps-the-meter",
        "LIN-007",
        "binds a trade of another meter than was offered",
        in_contract("on_confirm", lambda c: replace(c, meter_id=f"{c.meter_id}-other")),
        scenario=ONE_PRICE,
    ),
    Defect(
        "answers-before-it-is-asked",
        "LIN-008",
        "dates a result eight seconds before it was asked for",
        _dated_back("on_confirm"),
        scenario=ONE_PRICE,
    ),
    Defect(
        "answers-under-another-exchange",
        "LIN-009",
        "gives the result the message id of an earlier exchange",
        Conduct(views=_Recalls()),
        also=("COR-001",),
        scenario=ONE_PRICE,
    ),
    Defect(
        "retouches-the-curve",
        "LIN-010",
        "repeats a participant's curve with a higher last price",
        in_contract("on_confirm", _steeper),
        scenario=ONE_PRICE,
    ),
    Defect(
        "names-another-utility",
        "LIN-011",
        "binds a trade on the network of another utility",
        in_contract("on_confirm", lambda c: replace(c, grid_operator_id="elsewhere.example")),
        scenario=ONE_PRICE,
    ),
    Defect(
        "asks-from-the-past",
        "LIN-012",
        "dates the question for a lock eight seconds before the approval",
        _dated_back("confirm"),
        scenario=ONE_PRICE,
    ),
    Defect(
        "thinks-again-about-its-curve",
        "LIN-010",
        "commits to another curve than it offered",
        in_contract("confirm", _steeper),
        role=PARTICIPANT,
        scenario=ONE_PRICE,
    ),
    Defect(
        "moves-to-another-meter",
        "LIN-007",
        "commits by another meter than it offered",
        in_contract("confirm", lambda c: replace(c, meter_id=f"{c.meter_id}-other")),
        role=PARTICIPANT,
        scenario=ONE_PRICE,
    ),
    Defect(
        "improves-its-terms",
        "LIN-013",
        "confirms under a limit that nobody approved",
        in_contract("confirm", _less_limited),
        role=PARTICIPANT,
    ),
)

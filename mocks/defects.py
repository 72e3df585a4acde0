"""Named defects: ways to break a reference actor, one at least for every rule.

Belongs here: a defect's name, the rule it breaks, who misbehaves and how. Does not
belong here: the seams (conduct), what the rules say.

A rule without a biting defect does not merge: a test takes each defect and demands
that its rule fires, and no MUST rule that the defect does not name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from gridwitness.dialects.base import dump_json
from gridwitness.mocks.conduct import Conduct
from gridwitness.reference_impl.curves import Point
from gridwitness.story import AGENT, UTILITY

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.dialects.base import Json
    from gridwitness.trace import Answer
    from gridwitness.views import EnergyContract, Reading

    ChangeContract = Callable[[EnergyContract], EnergyContract]


@dataclass(frozen=True)
class Defect:
    """A way to misbehave.

    breaks    the rule that must fire
    also      rules that the same misbehaviour breaks by their nature
    role      who misbehaves, and who is judged
    """

    name: str
    breaks: str
    says: str
    conduct: Conduct
    role: str = AGENT
    also: tuple[str, ...] = ()

    @property
    def is_silent(self) -> bool:
        """Whether it is known by a callback that never comes."""
        return "COR-004" in (self.breaks, *self.also)


# -- helpers: changing one thing of one message ------------------------------------------


def _contract(action: str, change: ChangeContract) -> Conduct:
    """Change the contract in one kind of message, if it carries one."""

    def views(sent: str, reading: Reading) -> Reading:
        if sent != action or reading.contract is None:
            return reading
        return replace(reading, contract=change(reading.contract))

    return Conduct(views=views)


def _envelope(prefix: str, **fields: str | None) -> Conduct:
    """Change fields of the context of every message whose action begins with the prefix."""

    def views(sent: str, reading: Reading) -> Reading:
        if not sent.startswith(prefix):
            return reading
        return replace(reading, envelope=replace(reading.envelope, **fields))

    return Conduct(views=views)


def _body(action: str, change: Callable[[dict[str, Any]], Json]) -> Conduct:
    """Change the JSON of one kind of message."""
    return Conduct(bodies=lambda sent, body: change(body) if sent == action else body)


def _cleared(change: Callable[[Decimal], Decimal]) -> ChangeContract:
    def changed(contract: EnergyContract) -> EnergyContract:
        if contract.clearing is None:
            return contract
        power = change(contract.clearing.cleared_power_kw)
        return replace(contract, clearing=replace(contract.clearing, cleared_power_kw=power))

    return changed


def _sellers_price(contract: EnergyContract) -> EnergyContract:
    clearing = contract.clearing
    if clearing is None or clearing.clearing_price_per_kwh is None:
        return contract
    if clearing.cleared_power_kw <= 0:
        return contract
    price = clearing.clearing_price_per_kwh - Decimal("0.0001")
    return replace(contract, clearing=replace(clearing, clearing_price_per_kwh=price))


def _swapped(contract: EnergyContract) -> EnergyContract:
    """Give everyone a quarter more than they want: balanced, but off the curves."""
    return _cleared(lambda power: power + power / 4)(contract)


def _falling(contract: EnergyContract) -> EnergyContract:
    curve = contract.curve
    if curve is None:
        return contract
    powers = [point.power_kw for point in reversed(curve.points)]
    points = tuple(Point(p.price_per_kwh, x) for p, x in zip(curve.points, powers, strict=True))
    return replace(
        contract,
        curve=replace(
            curve, points=points, min_export_kw=powers[0], max_export_kw=powers[-1], at={}
        ),
    )


def _more_approved(contract: EnergyContract) -> EnergyContract:
    approval = contract.approval
    if approval is None:
        return contract
    more_kw = approval.approved_max_trade_kw + 1
    return replace(contract, approval=replace(approval, approved_max_trade_kw=more_kw))


def _position_off(contract: EnergyContract) -> EnergyContract:
    report = contract.settlement
    if report is None or not report.positions:
        return contract
    first = report.positions[0]
    off = replace(first, value=first.value + Decimal("0.01"))
    return replace(contract, settlement=replace(report, positions=(off, *report.positions[1:])))


def _positions_exchanged(contract: EnergyContract) -> EnergyContract:
    """Move a paisa from one party's position to another's: it still sums to zero."""
    report = contract.settlement
    if report is None or len(report.positions) < 2:  # noqa: PLR2004
        return contract
    one, other, *rest = report.positions
    cent = Decimal("0.01")
    moved = (replace(one, value=one.value + cent), replace(other, value=other.value - cent))
    return replace(contract, settlement=replace(report, positions=(*moved, *rest)))


def _flows(
    contract: EnergyContract, kind: str, change: Callable[[Decimal], Decimal]
) -> EnergyContract:
    """Change the amounts of one kind of flow, and the positions with them."""
    report = contract.settlement
    if report is None:
        return contract
    flows = tuple(
        replace(flow, amount=change(flow.amount)) if flow.kind == kind else flow
        for flow in report.flows
    )
    left = {position.party: Decimal(0) for position in report.positions}
    for flow in flows:
        left[flow.payer] -= flow.amount
        left[flow.payee] += flow.amount
    positions = tuple(replace(p, value=left[p.party]) for p in report.positions)
    return replace(contract, settlement=replace(report, flows=flows, positions=positions))


def _kept_from_sellers(contract: EnergyContract) -> EnergyContract:
    """Pay the seller a paisa less for its energy than the buyers paid."""
    clearing = contract.clearing
    if clearing is None or clearing.cleared_power_kw <= 0:
        return contract
    return _flows(contract, "ENERGY", lambda amount: max(Decimal(0), amount - Decimal("0.01")))


def _other_reading(contract: EnergyContract) -> EnergyContract:
    readings = tuple(replace(r, energy_kwh=r.energy_kwh + 1) for r in contract.readings)
    return replace(contract, readings=readings)


def _foreign_meter(contract: EnergyContract) -> EnergyContract:
    readings = tuple(replace(r, meter_id=f"{r.meter_id}-other") for r in contract.readings)
    return replace(contract, readings=readings)


def _dearer(contract: EnergyContract) -> EnergyContract:
    charges = contract.charges
    if charges is None or charges.fee_per_kwh is None:
        return contract
    return replace(contract, charges=replace(charges, fee_per_kwh=charges.fee_per_kwh * 2))


def _longer(contract: EnergyContract) -> EnergyContract:
    if contract.interval is None:
        return contract
    hours = contract.interval.duration_h * 2
    return replace(contract, interval=replace(contract.interval, duration_h=hours))


def _in_dollars(contract: EnergyContract) -> EnergyContract:
    report = contract.settlement
    if report is None:
        return contract
    flows = tuple(replace(flow, currency="USD") for flow in report.flows)
    positions = tuple(replace(position, currency="USD") for position in report.positions)
    return replace(contract, settlement=replace(report, flows=flows, positions=positions))


def _offer(**fields: str | None) -> Conduct:
    def views(_sent: str, reading: Reading) -> Reading:
        return replace(reading, offers=tuple(replace(o, **fields) for o in reading.offers))

    return Conduct(views=views)


def _answer(change: Callable[[Answer], Answer]) -> Conduct:
    return Conduct(answers=change)


def _as_html(answer: Answer) -> Answer:
    return replace(
        answer, headers={"content-type": "text/html"}, raw=b"<html><body>It works!</body></html>"
    )


def _other_form(answer: Answer) -> Answer:
    """Answer in a form that no edition asks for in strictness `strict` but some stack sends."""
    status = "NACK" if b"NACK" in answer.raw else "ACK"
    error: Json = {"code": "SCH_INVALID_JSON", "message": "refused"} if status == "NACK" else None
    body: dict[str, Json] = {"message": {"ack": {"status": status}}}
    return replace(answer, raw=dump_json(body | ({"error": error} if error else {})))


def _always_ok(answer: Answer) -> Answer:
    return replace(answer, status=200)


def _without_reason(answer: Answer) -> Answer:
    if b"NACK" not in answer.raw:
        return answer
    return replace(answer, raw=_without_error(answer))


def _without_error(answer: Answer) -> bytes:
    body = cast("dict[str, Json]", answer.body)
    if "message" in body:
        inner = cast("dict[str, Json]", body["message"])
        body = body | {"message": {k: v for k, v in inner.items() if k != "error"}}
    return dump_json({key: value for key, value in body.items() if key != "error"})


def _text_price(body: dict[str, Any]) -> Json:
    """Write the first decimal number below the message as text."""

    def change(value: Json) -> tuple[Json, bool]:
        if isinstance(value, dict):
            result: dict[str, Json] = {}
            done = False
            for key, item in cast("dict[str, Json]", value).items():
                result[key], hit = (item, False) if done else change(item)
                done = done or hit
            return result, done
        if isinstance(value, list | tuple):
            items: list[Json] = []
            done = False
            for item in cast("list[Json]", value):
                new, hit = (item, False) if done else change(item)
                items.append(new)
                done = done or hit
            return items, done
        return (f"{value} INR", True) if isinstance(value, Decimal) else (value, False)

    return body | {"message": change(body["message"])[0]}


_ALL = (
    # -- ENV
    Defect(
        "says-nothing",
        "ENV-001",
        "sends on_init with neither message nor error",
        _body("on_init", lambda body: {"context": body["context"]}),
        also=("ORD-003", "ORD-004"),
    ),
    Defect(
        "forgets-a-context-field",
        "ENV-002",
        "leaves the timestamp out of its callbacks",
        _envelope("on_", timestamp=None),
        also=("ORD-003",),
    ),
    Defect(
        "misnames-the-action",
        "ENV-003",
        "writes on_select into the context of its on_confirm",
        _envelope("on_confirm", action="on_select"),
        also=("ORD-003",),
    ),
    Defect(
        "speaks-an-old-version",
        "ENV-004",
        "writes version 1.1.0 into the context of its callbacks",
        _envelope("on_", version="1.1.0"),
    ),
    Defect(
        "forgets-the-zone",
        "ENV-005",
        "writes timestamps without a zone",
        _envelope("on_", timestamp="2026-04-01T08:30:00"),
    ),
    Defect(
        "writes-a-bare-ttl",
        "ENV-006",
        "writes the ttl of its callbacks as a number of seconds",
        _envelope("on_", ttl="30"),
    ),
    Defect(
        "numbers-its-messages",
        "ENV-007",
        "answers with message ids that are no UUIDs",
        _envelope("on_discover", message_id="msg-on-discover-001"),
        also=("COR-001",),
    ),
    Defect(
        "speaks-another-dialect",
        "ENV-008",
        "spells the context of its on_discover as no dialect does",
        _body("on_discover", lambda body: body | {"context": {"action": "on_discover"}}),
        also=("COR-002", "COR-004", "ORD-003", "ORD-004"),
    ),
    Defect(
        "gives-a-wrong-address",
        "ENV-009",
        "names an address of its own that is not its own",
        _envelope("on_", bpp_uri="http://elsewhere.example"),
    ),
    Defect(
        "writes-numbers-as-text",
        "ENV-010",
        "writes a number of its on_confirm as text with a unit",
        _body("on_confirm", _text_price),
        also=("MKT-006", "MKT-010", "SET-003"),
    ),
    # -- ACK
    Defect(
        "answers-html",
        "ACK-001",
        "answers every request with a web page",
        _answer(_as_html),
    ),
    Defect(
        "acknowledges-in-another-form",
        "ACK-002",
        "acknowledges in a form that its edition does not know",
        _answer(_other_form),
    ),
    Defect(
        "refuses-with-200",
        "ACK-003",
        "sends its NACKs with HTTP 200",
        _answer(_always_ok),
        also=("SIG-003",),
    ),
    Defect(
        "refuses-without-a-reason",
        "ACK-004",
        "sends NACKs without an error",
        _answer(_without_reason),
    ),
    # -- SIG
    Defect(
        "signs-something-else",
        "SIG-001",
        "changes its on_confirm after signing it",
        Conduct(bytes_=lambda sent, raw: raw + b" " if sent == "on_confirm" else raw),
        also=("ORD-003",),
    ),
    Defect(
        "signs-for-another",
        "SIG-002",
        "names the utility as the signer of its own messages",
        Conduct(signs_as="utility.gridwitness.example"),
        also=("ORD-003", "SIG-001"),
    ),
    Defect(
        "believes-everyone",
        "SIG-003",
        "accepts messages whose signature does not verify",
        Conduct(verifies_signatures=False),
        also=("COR-004", "ORD-003"),
    ),
    Defect(
        "signs-for-ever",
        "SIG-004",
        "signs with an expiry ten years ahead",
        Conduct(signature_life_s=315_360_000),
    ),
    Defect(
        "does-not-chain",
        "SIG-005",
        "signs callbacks without the signature of the request",
        Conduct(chains=False),
    ),
    # -- COR
    Defect(
        "forgets-the-message-id",
        "COR-001",
        "answers with a message id of its own",
        _envelope("on_init", message_id="00000000-0000-4000-8000-000000000000"),
    ),
    Defect(
        "changes-the-transaction",
        "COR-002",
        "answers under a transaction that nobody opened",
        _envelope("on_discover", transaction_id="00000000-0000-4000-8000-000000000000"),
        also=("COR-004", "ORD-003"),
    ),
    Defect(
        "repeats-message-ids",
        "COR-003",
        "sends the utility several requests with one message id",
        Conduct(reuses_message_ids=True),
    ),
    Defect(
        "never-calls-back",
        "COR-004",
        "acknowledges init and then stays silent",
        Conduct(silent_on=frozenset({"on_init"})),
        also=("ORD-003",),
    ),
    Defect(
        "calls-back-elsewhere",
        "COR-004",
        "sends on_discover to a path that nobody named",
        Conduct(urls=lambda _, url: url.replace("/on_", "/callbacks/on_")),
        also=("ORD-003", "ENV-003", "ORD-002"),
    ),
    Defect(
        "calls-back-after-refusing",
        "COR-005",
        "refuses a message and acts on it all the same",
        Conduct(calls_back_after_refusal=True),
        also=("COR-004", "MKT-001", "ORD-003"),
    ),
    Defect(
        "renames-the-contract",
        "COR-006",
        "answers status with another contract id",
        _contract(
            "on_status",
            lambda c: replace(c, contract_id="00000000-0000-4000-8000-000000000000"),
        ),
    ),
    # -- ORD
    Defect(
        "does-not-wait",
        "ORD-001",
        "clears as soon as the first participant has confirmed",
        Conduct(waits_for_all=False),
        also=("COR-004", "ORD-003"),
    ),
    Defect(
        "asks-for-a-choice",
        "ORD-002",
        "sends on_select although nothing was selected",
        Conduct(urls=lambda _, url: url.replace("/on_discover", "/on_select")),
        also=("COR-004", "ENV-003", "ORD-003"),
    ),
    Defect(
        "skips-the-utility",
        "ORD-003",
        "settles without asking the utility for meter readings",
        Conduct(locks=0),
        also=("LCK-001", "ORD-001"),
    ),
    Defect(
        "hides-the-approval",
        "ORD-004",
        "leaves the approved limit out of on_init",
        _contract("on_init", lambda contract: replace(contract, approval=None)),
        also=("ORD-003",),
    ),
    Defect(
        "refuses-honest-offers",
        "ORD-005",
        "refuses a valid offer",
        Conduct(refuses_actions=frozenset({"init"})),
    ),
    # -- MKT
    Defect(
        "turns-the-curve-round",
        "MKT-001",
        "repeats a participant's curve with the powers the other way round",
        _contract("on_init", _falling),
    ),
    Defect(
        "takes-any-curve",
        "MKT-002",
        "accepts a curve that falls in power as the price rises",
        Conduct(refuses_bad_offers=False),
        also=("COR-004", "MKT-001", "ORD-003"),
    ),
    Defect(
        "promises-more",
        "MKT-003",
        "tells the participant a higher limit than the utility approved",
        _contract("on_init", _more_approved),
    ),
    Defect(
        "ignores-the-approval",
        "MKT-004",
        "clears beyond the power that the utility approved",
        Conduct(heeds_approval=False, binds_refused_locks=True),
        also=("LCK-001", "LCK-004", "MKT-006", "ORD-001"),
    ),
    Defect(
        "loses-a-kilowatt",
        "MKT-005",
        "announces cleared powers that do not sum to zero",
        _contract("on_confirm", _cleared(lambda power: power + 1 if power < 0 else power)),
        also=("LCK-002", "MKT-006", "MKT-010", "SET-003"),
    ),
    Defect(
        "leaves-the-curve",
        "MKT-006",
        "clears everyone a quarter beyond what they offered at the price",
        _contract("on_confirm", _swapped),
        also=("LCK-002", "MKT-004", "MKT-010", "SET-003"),
    ),
    Defect(
        "has-two-prices",
        "MKT-007",
        "tells sellers a lower price than buyers",
        _contract("on_confirm", _sellers_price),
        also=("MKT-006", "MKT-010"),
    ),
    Defect(
        "hides-its-pricing",
        "MKT-008",
        "offers without saying that it is paid as cleared",
        _offer(clearing_agent_id=None),
    ),
    Defect(
        "approves-twice",
        "MKT-009",
        "approves a meter beyond what is left of its sanctioned load",
        _contract("on_init", _more_approved),
        role=UTILITY,
        also=("ORD-003", "ORD-004"),
    ),
    Defect(
        "changes-its-mind",
        "MKT-010",
        "repeats another cleared power in its settlement",
        _contract("on_status", _cleared(lambda power: power + 1)),
    ),
    Defect(
        "moves-the-interval",
        "MKT-011",
        "settles an interval of twice the length",
        _contract("on_status", _longer),
    ),
    # -- LCK
    Defect(
        "binds-before-the-lock",
        "LCK-001",
        "tells participants their trade before the utility has locked it",
        Conduct(binds_before_lock=True),
        also=("ORD-001",),
    ),
    Defect(
        "locks-something-else",
        "LCK-002",
        "has less locked than it tells the participant",
        _contract("confirm", _cleared(lambda power: power / 2)),
    ),
    Defect(
        "locks-twice",
        "LCK-003",
        "has the same trade deducted twice",
        Conduct(locks=2),
        also=("LCK-004",),
    ),
    Defect(
        "forgets-commitments",
        "LCK-004",
        "locks a trade beside what the meter has already committed",
        Conduct(forgets_commitments=True),
        role=UTILITY,
        also=("MKT-009",),
    ),
    Defect(
        "leaves-it-pending",
        "LCK-005",
        "tells the result of a contract that it still calls pending",
        _contract("on_confirm", lambda c: replace(c, status="PENDING")),
    ),
    # -- SET
    Defect(
        "loses-a-paisa",
        "SET-001",
        "states positions that sum to one paisa",
        _contract("on_status", _position_off),
        also=("SET-002",),
    ),
    Defect(
        "moves-a-paisa",
        "SET-002",
        "states positions that do not follow from the flows",
        _contract("on_status", _positions_exchanged),
    ),
    Defect(
        "bills-too-much",
        "SET-003",
        "bills a fee a paisa too high",
        _contract("on_status", lambda c: _flows(c, "FEE", lambda a: a + Decimal("0.01"))),
    ),
    Defect(
        "keeps-a-paisa",
        "SET-004",
        "pays sellers a paisa less than buyers paid for the energy",
        _contract("on_status", _kept_from_sellers),
        also=("SET-003",),
    ),
    Defect(
        "misreads-the-meter",
        "SET-005",
        "settles on another reading than the utility gave",
        _contract("on_status", _other_reading),
    ),
    Defect(
        "raises-its-fee",
        "SET-006",
        "doubles the fee after the trade",
        _contract("on_status", _dearer),
    ),
    Defect(
        "settles-in-dollars",
        "SET-008",
        "settles in another currency than was agreed",
        _contract("on_status", _in_dollars),
    ),
    Defect(
        "reads-another-meter",
        "SET-007",
        "gives the reading of another meter",
        _contract("on_status", _foreign_meter),
        role=UTILITY,
    ),
)

DEFECTS = {defect.name: defect for defect in _ALL}

"""Defects of the wire: envelopes, acknowledgements, signatures, correlation, order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from gridwitness.acks import read_ack
from gridwitness.dialects.base import dump_json
from gridwitness.mocks.actor import UNVERIFIED
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_answer, in_body, in_contract, in_envelope

if TYPE_CHECKING:
    from gridwitness.dialects.base import Json
    from gridwitness.trace import Answer


def as_html(answer: Answer) -> Answer:
    return replace(
        answer, headers={"content-type": "text/html"}, raw=b"<html><body>It works!</body></html>"
    )


def other_form(answer: Answer) -> Answer:
    """Answer in a form that no edition asks for in strictness `strict` but some stack sends."""
    status = "NACK" if b"NACK" in answer.raw else "ACK"
    ack = read_ack(answer.body)
    code = ack.error_code if ack else None
    error: Json = {"code": code, "message": "refused"} if status == "NACK" else None
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


def text_price(body: dict[str, Any]) -> Json:
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


def _to_another(answer: Answer) -> Answer:
    other = "00000000-0000-4000-8000-000000000000"
    body = cast("dict[str, Json]", answer.body)
    if "transaction_id" in body:
        return replace(answer, raw=dump_json(body | {"transaction_id": other}))
    return answer


DEFECTS = (
    # -- ENV
    Defect(
        "says-nothing",
        "ENV-001",
        "sends on_init with neither message nor error",
        in_body("on_init", lambda body: {"context": body["context"]}),
        also=("ORD-003", "ORD-004"),
    ),
    Defect(
        "forgets-a-context-field",
        "ENV-002",
        "leaves the timestamp out of its callbacks",
        in_envelope("on_", timestamp=None),
        also=("ORD-003",),
    ),
    Defect(
        "misnames-the-action",
        "ENV-003",
        "writes on_select into the context of its on_confirm",
        in_envelope("on_confirm", action="on_select"),
        also=("ORD-003",),
    ),
    Defect(
        "speaks-an-old-version",
        "ENV-004",
        "writes version 1.1.0 into the context of its callbacks",
        in_envelope("on_", version="1.1.0"),
        also=("ORD-003",),
    ),
    Defect(
        "forgets-the-zone",
        "ENV-005",
        "writes timestamps without a zone",
        in_envelope("on_", timestamp="2026-04-01T08:30:00"),
    ),
    Defect(
        "lives-in-the-future",
        "ENV-013",
        "dates its callbacks a year ahead",
        in_envelope("on_", timestamp="2031-04-01T08:30:00Z"),
    ),
    Defect(
        "writes-a-bare-ttl",
        "ENV-006",
        "writes the ttl of its callbacks as a number of seconds",
        in_envelope("on_", ttl="30"),
    ),
    Defect(
        "numbers-its-messages",
        "ENV-007",
        "answers with message ids that are no UUIDs",
        in_envelope("on_discover", message_id="msg-on-discover-001"),
        also=("COR-001",),
    ),
    Defect(
        "speaks-another-dialect",
        "ENV-008",
        "spells the context of its on_discover as no dialect does",
        in_body("on_discover", lambda body: body | {"context": {"action": "on_discover"}}),
        also=("COR-002", "COR-004", "ORD-003", "ORD-004"),
    ),
    Defect(
        "gives-a-wrong-address",
        "ENV-009",
        "names an address of its own that is not its own",
        in_envelope("on_", bpp_uri="http://elsewhere.example"),
    ),
    Defect(
        "writes-numbers-as-text",
        "ENV-010",
        "writes a number of its on_confirm as text with a unit",
        in_body("on_confirm", text_price),
        also=("MKT-006", "MKT-010", "SET-003"),
    ),
    # -- ACK
    Defect(
        "answers-html",
        "ACK-001",
        "answers every request with a web page",
        in_answer(as_html),
    ),
    Defect(
        "acknowledges-in-another-form",
        "ACK-002",
        "acknowledges in a form that its edition does not know",
        in_answer(other_form),
    ),
    Defect(
        "refuses-with-200",
        "ACK-003",
        "sends its NACKs with HTTP 200",
        in_answer(_always_ok),
        also=("SIG-003", "SIG-012"),
        scenario="An offer that was changed",
    ),
    Defect(
        "refuses-without-a-reason",
        "ACK-004",
        "sends NACKs without an error",
        in_answer(_without_reason),
        scenario="An offer that was changed",
    ),
    Defect(
        "answers-another-message",
        "ACK-010",
        "acknowledges under an id that nobody asked under",
        in_answer(_to_another),
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
        Conduct(overlooks=UNVERIFIED),
        also=("SIG-012",),
        scenario="An offer that was changed",
        stalls=True,
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
        in_envelope("on_init", message_id="00000000-0000-4000-8000-000000000000"),
    ),
    Defect(
        "changes-the-transaction",
        "COR-002",
        "answers under a transaction that nobody opened",
        in_envelope("on_discover", transaction_id="00000000-0000-4000-8000-000000000000"),
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
        also=("MKT-001",),
        scenario="An offer that falls",
        stalls=True,
    ),
    Defect(
        "renames-the-contract",
        "COR-006",
        "answers status with another contract id",
        in_contract(
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
        also=("ORD-003", "ORD-004"),
        scenario="A market waits",
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
        in_contract("on_init", lambda contract: replace(contract, approval=None)),
        also=("ORD-003",),
    ),
    Defect(
        "refuses-honest-offers",
        "ORD-005",
        "refuses a valid offer",
        Conduct(refuses_actions=frozenset({"init"})),
    ),
)

"""Defects of a market participant, who asks first and is called back.

Belongs here: what a BAP can do wrong. Does not belong here: the same in a clearing
agent (wire, market).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_answer, in_body, in_contract, in_envelope
from gridwitness.mocks.defects.market import falling, longer
from gridwitness.mocks.defects.wire import as_html, other_form, text_price
from gridwitness.story import PARTICIPANT

if TYPE_CHECKING:
    from gridwitness.trace import Answer


def _defect(
    name: str, breaks: str, says: str, conduct: Conduct, also: tuple[str, ...] = ()
) -> Defect:
    return Defect(name, breaks, says, conduct, role=PARTICIPANT, also=also)


def _accepted(answer: Answer) -> Answer:
    return replace(answer, status=202)


def _empty(body: dict[str, Any]) -> dict[str, Any]:
    return {"context": body["context"]}


DEFECTS = (
    # -- ENV
    _defect(
        "asks-for-nothing",
        "ENV-001",
        "sends init with neither message nor error",
        in_body("init", _empty),
        also=("ORD-004",),
    ),
    _defect(
        "asks-at-no-time",
        "ENV-002",
        "leaves the timestamp out of its init",
        in_envelope("init", timestamp=None),
    ),
    _defect(
        "misnames-its-request",
        "ENV-003",
        "writes select into the context of its init",
        in_envelope("init", action="select"),
    ),
    _defect(
        "asks-in-an-old-version",
        "ENV-004",
        "writes version 1.1.0 into the context of its requests",
        in_envelope("", version="1.1.0"),
    ),
    _defect(
        "asks-without-a-zone",
        "ENV-005",
        "writes the timestamps of its requests without a zone",
        in_envelope("", timestamp="2026-04-01T08:30:00"),
    ),
    _defect(
        "waits-for-a-bare-number",
        "ENV-006",
        "writes the ttl of its requests as a number of seconds",
        in_envelope("", ttl="30"),
    ),
    _defect(
        "numbers-its-requests",
        "ENV-007",
        "asks with message ids that are no UUIDs",
        in_envelope("discover", message_id="msg-discover-001"),
    ),
    _defect(
        "asks-in-another-dialect",
        "ENV-008",
        "spells the context of its discover as no dialect does",
        in_body("discover", lambda body: body | {"context": {"action": "discover"}}),
        also=("ORD-004",),
    ),
    _defect(
        "moves-its-callbacks",
        "ENV-009",
        "names the agent at an address that is not the agent's",
        in_envelope("", bpp_uri="http://elsewhere.example"),
    ),
    _defect(
        "offers-numbers-as-text",
        "ENV-010",
        "writes a number of its init as text with a unit",
        in_body("init", text_price),
        also=("LIN-010", "ORD-004"),
    ),
    # -- ACK
    _defect(
        "thanks-with-a-web-page",
        "ACK-001",
        "answers every callback with a web page",
        in_answer(as_html),
    ),
    _defect(
        "thanks-in-another-form",
        "ACK-002",
        "acknowledges callbacks in a form that its edition does not know",
        in_answer(other_form),
    ),
    _defect(
        "thanks-with-202",
        "ACK-003",
        "acknowledges callbacks with HTTP 202",
        in_answer(_accepted),
        also=("SHP-004",),
    ),
    # -- SIG
    _defect(
        "signs-another-offer",
        "SIG-001",
        "changes its init after signing it",
        Conduct(bytes_=lambda sent, raw: raw + b" " if sent == "init" else raw),
    ),
    _defect(
        "asks-for-another",
        "SIG-002",
        "names the utility as the signer of its own requests",
        Conduct(signs_as="utility.gridwitness.example"),
        also=("SIG-001",),
    ),
    _defect(
        "asks-for-ever",
        "SIG-004",
        "signs its requests with an expiry ten years ahead",
        Conduct(signature_life_s=315_360_000),
    ),
    # -- COR
    _defect(
        "asks-with-one-id",
        "COR-003",
        "sends all its requests with one message id",
        Conduct(reuses_message_ids=True),
    ),
    # -- ORD
    _defect(
        "skips-the-offer",
        "ORD-001",
        "offers its curve without having asked what is on offer",
        Conduct(leaves_out=frozenset({"discover"})),
        also=("SHP-008",),
    ),
    _defect(
        "selects",
        "ORD-002",
        "sends select although the curve is the choice",
        Conduct(urls=lambda _, url: url.replace("/init", "/select")),
        also=("ENV-003", "ORD-003"),
    ),
    _defect(
        "looks-and-leaves",
        "ORD-003",
        "asks what is on offer and then offers nothing",
        Conduct(leaves_out=frozenset({"init"})),
    ),
    _defect(
        "offers-no-curve",
        "ORD-004",
        "sends init without a curve",
        in_contract("init", lambda contract: replace(contract, curve=None)),
    ),
    _defect(
        "refuses-its-result",
        "ORD-005",
        "refuses a right on_confirm",
        Conduct(refuses_actions=frozenset({"on_confirm"})),
    ),
    # -- MKT
    _defect(
        "offers-a-falling-curve",
        "MKT-001",
        "offers a curve that falls in power as the price rises",
        in_contract("init", falling),
    ),
    _defect(
        "confirms-another-interval",
        "LIN-006",
        "confirms its curve for an interval of twice the length",
        in_contract("confirm", longer),
    ),
)

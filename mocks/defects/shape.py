"""Defects of shape: members, values, blocks and slots that no schema of the dialect allows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from gridwitness.dialects.base import dump_json
from gridwitness.dialects.blocks import typed
from gridwitness.mocks.defects.base import Defect, in_answer, in_body, in_envelope

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.dialects.base import Json
    from gridwitness.trace import Answer

    Body = dict[str, Any]

MARKET = "A car and a roof clear"
REFUSAL = "An offer that falls in power"


def _each(
    order: Callable[[Body], None], contract: Callable[[Body], None]
) -> Callable[[Body], Json]:
    """Change the order, or the contract, of a body; other bodies stay as they are."""

    def change(body: Body) -> Json:
        content = body.get("message", {})
        if "order" in content:
            order(content["order"])
        elif "contract" in content:
            contract(content["contract"])
        return body

    return change


def _with_mood(agreed: Body) -> None:
    agreed["mood"] = "hopeful"


def _half_sure_order(order: Body) -> None:
    order["beckn:orderStatus"] = "PERHAPS"


def _half_sure_contract(contract: Body) -> None:
    contract["commitments"][0]["status"] = {"descriptor": {"code": "PERHAPS"}}


def _filled_in_words(attributes: str) -> Callable[[Body], None]:
    def change(agreed: Body) -> None:
        for role in agreed[attributes]["roles"]:
            role["filled"] = "certainly"

    return change


_TARIFF = typed(
    "Tariff",
    {"currency": "INR", "elements": [{"priceComponents": [{"type": "ENERGY", "price": 5}]}]},
)


def _tariff_of_the_buyer(order: Body) -> None:
    order["beckn:buyer"]["beckn:buyerAttributes"] = _TARIFF


def _tariff_as_performance(contract: Body) -> None:
    contract["performance"] = [{"id": "prices", "performanceAttributes": _TARIFF}]


def _numbered_reason(answer: Answer) -> Answer:
    """Give the reason of a refusal as a number."""
    if b"NACK" not in answer.raw:
        return answer
    body = cast("Body", answer.body)
    inner = body.get("message", body)
    error = inner.get("error") or body["error"]
    error["errorMessage" if "errorMessage" in error else "message"] = 42
    return replace(answer, raw=dump_json(body))


def _untyped(attributes: str) -> Callable[[Body], None]:
    def change(agreed: Body) -> None:
        del agreed[attributes]["@type"]

    return change


def _names_schemas_loosely(body: Body) -> Json:
    key = "schemaContext" if "messageId" in body["context"] else "schema_context"
    return body | {"context": body["context"] | {key: ["energy schemas, version 1"]}}


def _statusless_order(order: Body) -> None:
    del order["beckn:orderStatus"]


def _statusless_contract(contract: Body) -> None:
    del contract["commitments"][0]["status"]


DEFECTS = (
    Defect(
        "adds-members-of-its-own",
        "SHP-001",
        "writes a member into its on_confirm that no dialect knows",
        in_body("on_confirm", _each(_with_mood, _with_mood)),
        scenario=MARKET,
        also=("LD-002",),
    ),
    Defect(
        "invents-a-status",
        "SHP-001",
        "gives what is agreed a status that the protocol does not have",
        in_body("on_init", _each(_half_sure_order, _half_sure_contract)),
        scenario=MARKET,
        also=("LIF-001",),
    ),
    Defect(
        "answers-flags-in-words",
        "SHP-002",
        "says in words, not with true or false, that a role is filled",
        in_body(
            "on_init",
            _each(
                _filled_in_words("beckn:orderAttributes"), _filled_in_words("contractAttributes")
            ),
        ),
        scenario=MARKET,
    ),
    Defect(
        "puts-a-block-elsewhere",
        "SHP-003",
        "states a tariff where buyers and deliveries are described",
        in_body("on_init", _each(_tariff_of_the_buyer, _tariff_as_performance)),
        scenario=MARKET,
    ),
    Defect(
        "numbers-its-reasons",
        "SHP-004",
        "gives the reason of a refusal as a number",
        in_answer(_numbered_reason),
        scenario=REFUSAL,
    ),
    Defect(
        "leaves-its-blocks-unnamed",
        "SHP-005",
        "does not say of what type the agreed terms are",
        in_body(
            "on_confirm", _each(_untyped("beckn:orderAttributes"), _untyped("contractAttributes"))
        ),
        scenario=MARKET,
    ),
    Defect(
        "speaks-an-old-action",
        "SHP-006",
        "calls its on_discover on_search, as the protocol did before version 2",
        in_envelope("on_discover", action="on_search"),
        also=("ENV-003", "ORD-003"),
        scenario=MARKET,
    ),
    Defect(
        "names-schemas-loosely",
        "SHP-007",
        "names the schemas it uses by a title, not by an address",
        in_body("on_confirm", _names_schemas_loosely),
        scenario=MARKET,
    ),
    Defect(
        "forgets-a-required-member",
        "SHP-008",
        "leaves out the status of what is agreed",
        in_body("on_init", _each(_statusless_order, _statusless_contract)),
        scenario=MARKET,
    ),
)

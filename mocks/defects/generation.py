"""Defects of generation and of JSON itself: what an older stack or a careless writer sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridwitness.mocks.defects.base import Defect, in_body

if TYPE_CHECKING:
    from gridwitness.dialects.base import Json

PRE_RC = {
    "beckn:orderItems": "beckn:items",
    "beckn:fulfillment": "beckn:fulfillments",
    "beckn:payment": "beckn:payments",
}


class _Again(str):
    """A key that is equal to itself alone, so that a dict holds it beside its like."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def _as_before_rc(body: dict[str, Any]) -> Json:
    """Write the order as it was written in November 2025: in either dialect an `order`."""
    message: dict[str, Json] = body["message"]
    said: dict[str, Json] = message.get("order") or message.get("contract") or {}
    order: dict[str, Json] = {PRE_RC.get(key, key): value for key, value in said.items()}
    return body | {"message": {"order": {"beckn:fulfillments": None} | order}}


def _repeats_the_version(body: dict[str, Any]) -> Json:
    context: dict[str, Json] = body["context"]
    return body | {"context": {_Again("version"): "1.1.0"} | context}


DEFECTS = (
    Defect(
        "repeats-a-key",
        "ENV-011",
        "writes the version twice into the context of its on_discover",
        in_body("on_discover", _repeats_the_version),
        scenario="A car and a roof clear",
    ),
    Defect(
        "writes-the-last-generation",
        "ENV-012",
        "writes its on_confirm as an order of the generation before the release candidate",
        in_body("on_confirm", _as_before_rc),
        also=("ORD-003", "ORD-004"),
        scenario="A car and a roof clear",
    ),
)

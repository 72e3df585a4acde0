"""Defects against a specification laid beside: the one in examples/specification.

Each breaks a wish of that operator's own, which nobody else has: durations and times to
live in one written form, contexts from one place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gridwitness.mocks.defects.base import Defect, in_body, in_envelope

if TYPE_CHECKING:
    from gridwitness.dialects.base import Json

CLEARS = "A car and a roof clear"
ELSEWHERE = "https://elsewhere.example/energy/v9/context.jsonld"


def _in_hours(value: Json) -> Json:
    """Write every duration of sixty minutes as one hour: the same time in another form."""
    if isinstance(value, dict):
        members = cast("dict[str, Json]", value)
        return {
            key: "PT1H" if key == "duration" and item == "PT60M" else _in_hours(item)
            for key, item in members.items()
        }
    if isinstance(value, list):
        return [_in_hours(item) for item in cast("list[Json]", value)]
    return value


def _from_elsewhere(body: dict[str, Any]) -> Json:
    context = cast("dict[str, Json]", body["context"])
    key = "schemaContext" if "messageId" in context else "schema_context"
    return body | {"context": context | {key: [ELSEWHERE]}}


DEFECTS = (
    Defect(
        "lives-in-days",
        "SPC-001",
        "writes its time to live with days, where the operator wants seconds",
        in_envelope("on_init", ttl="P0DT10S"),
        scenario=CLEARS,
    ),
    Defect(
        "counts-in-hours",
        "SPC-002",
        "writes the interval in hours, where the operator's pack wants minutes",
        in_body("on_init", _in_hours),
        scenario=CLEARS,
    ),
    Defect(
        "refers-elsewhere",
        "SPC-003",
        "refers to a context that the operator does not have",
        in_body("on_discover", _from_elsewhere),
        scenario=CLEARS,
    ),
)

"""Generations: which published shape of the protocol a message is written in.

Belongs here: telling the generations apart by what a body holds. Does not belong here:
reading a body (dialects), what an edition asks (rules).

Beckn 1.x     order and catalog without prefixes; ids beside them such as `order_id`
pre-rc        November 2025: `beckn:items`, `beckn:offers`, `beckn:fulfillments`, `beckn:payments`
order         Beckn 2.0.0 rc: `beckn:orderItems`, `beckn:fulfillment`, `beckn:payment`
contract      Beckn 2.0.0 LTS: `message.contract`

The last three all write version "2.0.0", so the version decides only where a body
holds nothing that is of one generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, cast

from gridwitness.dialects import recognise

if TYPE_CHECKING:
    from gridwitness.dialects.base import Json

Generation = Literal["1.x", "pre-rc", "order", "contract", "unknown"]

_PRE_RC = frozenset({"beckn:items", "beckn:offers", "beckn:fulfillments", "beckn:payments"})
_1X_ORDER = frozenset({"billing", "fulfillments", "id", "items", "payments", "provider", "quote"})
_RC_MESSAGE = frozenset({"filters", "text_search", "spatial", "media_search"})
_1X_MESSAGE = frozenset({"catalog", "order_id", "cancellation_reason_id"})


def generation_of(body: Json) -> Generation:
    """Tell the generation of a parsed body: by its content, else by the spelling of its context."""
    dialect = recognise(body)
    if dialect is None:
        return "unknown"
    spelt: Generation = "contract" if dialect.name == "contract" else "order"
    message = _object(_object(body).get("message"))
    told = _by_content(message)
    if told is not None:
        return told
    if "catalogs" in message or spelt == "contract":
        return spelt
    version = _object(_object(body).get("context")).get("version")
    return "1.x" if isinstance(version, str) and version.startswith("1.") else spelt


def _by_content(message: Mapping[str, Json]) -> Generation | None:
    if "contract" in message:
        return "contract"
    order = _object(message.get("order"))
    if not _PRE_RC.isdisjoint(order):
        return "pre-rc"
    if any(key.startswith(("beckn:", "@")) for key in order):
        return "order"
    if not _RC_MESSAGE.isdisjoint(message):
        return "order"
    is_old = not (_1X_ORDER.isdisjoint(order) and _1X_MESSAGE.isdisjoint(message))
    return "1.x" if is_old else None


def _object(value: Json) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", value) if isinstance(value, Mapping) else {}

"""The registry: answers key look-ups in both shapes that are in use.

Belongs here: the two look-up answers. Does not belong here: the records
(gridwitness.registry), subscription.

Source: registry.yaml of Beckn v1 (POST); the DeDi look-up of beckn-onix (GET).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwitness.acks import Refusal
from gridwitness.dialects.base import BadJson, Cursor, parse_json
from gridwitness.wire import json_answer, refused

if TYPE_CHECKING:
    from gridwitness.registry import Directory, Record
    from gridwitness.trace import Answer, Kind
    from gridwitness.wire import Inbound

LIFE = {"valid_from": "2020-01-01T00:00:00Z", "valid_until": "2099-12-31T23:59:59Z"}
CACHE_S = 300


class Registry:
    """`POST lookup` with a partial subscription, or `GET lookup/{id}/{registry}/{key}`."""

    slug = "registry"
    name = "registry"
    kind: Kind = "registry"
    methods: tuple[str, ...] = ("GET", "POST")

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def receive(self, inbound: Inbound) -> Answer:
        path = inbound.action.split("/")
        if path[0] != "lookup":
            return refused(Refusal(404, "NET_NOT_FOUND", "the registry answers lookup"))
        if inbound.method == "POST":
            try:
                asked = (Cursor(parse_json(inbound.raw), "", []) / "subscriber_id").text()
            except BadJson as error:
                return refused(Refusal(400, "SCH_INVALID_JSON", str(error)))
            record = self._directory.here(asked)
            return json_answer(200, [_subscription(record)] if record else [])
        record = self._directory.here(path[1]) if len(path) > 1 else None
        if record is None or path[-1] != record.key_id:
            return refused(Refusal(404, "AUT_SUBSCRIBER_NOT_FOUND", "no such subscriber or key"))
        return json_answer(200, {"data": {"details": _details(record), "ttl": CACHE_S}})


def _details(record: Record) -> dict[str, str]:
    return {
        "subscriber_id": record.subscriber_id,
        "url": record.url,
        "type": record.type,
        "signing_public_key": record.public_key,
    }


def _subscription(record: Record) -> dict[str, str]:
    return {**_details(record), "key_id": record.key_id, "status": "SUBSCRIBED", **LIFE}

"""Who is who: subscribers, where they are, and their public keys.

Belongs here: the records of this process and the look-up at a remote registry in
both shapes in use. Does not belong here: serving look-ups (mocks.registry).

Source: registry.yaml of Beckn v1 (POST); the DeDi look-up of beckn-onix (GET).
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import httpx

from gridwitness.signing import KeyProblem, read_public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LOOKUP_TIMEOUT_S = 5.0
DEDI_REGISTRY = "subscribers.beckn.one"


@dataclass(frozen=True)
class Record:
    """One subscriber: address, role on the network (BAP or BPP), key as base64 of 32 bytes."""

    subscriber_id: str
    url: str
    type: str
    key_id: str
    public_key: str


class Directory:
    """The records this process knows; asks a remote registry for those it does not."""

    def __init__(self, registry_url: str | None = None) -> None:
        self._records: dict[str, Record] = {}
        self._registry_url = registry_url
        self._looked_up: dict[str, Record] = {}

    def add(self, record: Record) -> None:
        self._records[record.subscriber_id] = record

    def remove(self, subscriber_id: str) -> None:
        self._records.pop(subscriber_id, None)

    def here(self, subscriber_id: str | None) -> Record | None:
        """Give a record of this process, without asking anyone."""
        return self._records.get(subscriber_id or "")

    async def record(self, subscriber_id: str, key_id: str | None = None) -> Record | None:
        """Give a subscriber's record, looked up remotely if need be; None if unknown.

        A record that was looked up serves until another key id is asked for.
        """
        known = self._records.get(subscriber_id) or self._looked_up.get(subscriber_id)
        stale = known is not None and key_id is not None and known.key_id != key_id
        if (known is None or stale) and self._registry_url is not None:
            known = await look_up(self._registry_url, subscriber_id, key_id or "")
            if known is not None:
                self._looked_up[subscriber_id] = known
        return known

    async def find(self, subscriber_id: str, key_id: str) -> Ed25519PublicKey | None:
        """Find a subscriber's key by its id."""
        record = await self.record(subscriber_id, key_id)
        if record is None or record.key_id != key_id:
            return None
        return read_public_key(record.public_key)


async def look_up(registry_url: str, subscriber_id: str, key_id: str = "") -> Record | None:
    """Look a subscriber up: POST {url}/lookup, or GET {url}/lookup/{id}/{registry}/{key}.

    None when the registry does not know it, does not answer, or answers something else.
    """
    async with httpx.AsyncClient(timeout=LOOKUP_TIMEOUT_S, trust_env=False) as client:
        try:
            response = await client.post(
                f"{registry_url}/lookup", json={"subscriber_id": subscriber_id}
            )
            if response.status_code == HTTPStatus.OK:
                return _record(_first(response.json()), subscriber_id)
            path = f"{subscriber_id}/{DEDI_REGISTRY}/{key_id}"
            response = await client.get(f"{registry_url}/lookup/{path}")
            details: Any = response.json()["data"]["details"]
            return _record(details | {"key_id": key_id}, subscriber_id)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None


def _first(answer: Any) -> Any:  # noqa: ANN401 (a stranger's JSON)
    return cast("list[Any]", answer)[0] if isinstance(answer, list) and answer else {}


def _record(details: Any, subscriber_id: str) -> Record | None:  # noqa: ANN401 (a stranger's JSON)
    texts = [
        details.get(name)
        for name in ("subscriber_id", "url", "type", "key_id", "signing_public_key")
    ]
    if not all(isinstance(text, str) for text in texts) or texts[0] != subscriber_id:
        return None
    try:
        read_public_key(texts[4])
    except KeyProblem:
        return None
    return Record(*texts)

"""A wire without a network: messages pass in this process, whole and one after another.

Belongs here: what makes the order of messages the same in every run. Does not belong
here: recording them, checking signatures (wire).

A message is handed over without giving up the loop, so that nothing depends on how fast a
socket is; actors that act at once take turns in the order in which they began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import httpx
from anyio.from_thread import start_blocking_portal
from starlette.requests import Request

from gridwitness.trace import Answer
from gridwitness.wire import Keys, Recorder, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Message as Event
    from starlette.types import Scope


class LocalWire(Wire):
    """One loop, no server and no client. Use as a context manager.

    domain: every listener has a host of its own in it, by its slug, which nobody looks up.
    """

    def __init__(self, keys: Keys, domain: str) -> None:
        super().__init__(keys)
        self._domain = domain

    def url_of(self, slug: str) -> str:
        return f"https://{slug}.{self._domain}"

    def __enter__(self) -> Self:
        self._portal = self._stack.enter_context(start_blocking_portal())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def _exchange(
        self, url: str, raw: bytes, headers: Mapping[str, str], recorder: Recorder
    ) -> Answer:
        slug, _, domain = (urlsplit(url).hostname or "").partition(".")
        if domain != self._domain:
            raise httpx.ConnectError(f"there is no host of {url}")

        async def whole() -> Event:
            return {"type": "http.request", "body": raw, "more_body": False}

        self.clock.tick()
        response = await self._serve(Request(_scope(slug, url, headers), whole))
        told = dict(response.headers)
        return Answer(response.status_code, told, bytes(response.body), recorder.now_s())


def _scope(slug: str, url: str, headers: Mapping[str, str]) -> Scope:
    """Describe a POST as a server would; see the specification of ASGI."""
    parts = urlsplit(url)
    return {
        "type": "http",
        "method": "POST",
        "scheme": parts.scheme,
        "server": (parts.hostname, None),
        "path": parts.path,
        "path_params": {"path": slug + parts.path},
        "query_string": parts.query.encode(),
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
    }

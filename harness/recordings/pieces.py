"""Pieces: one recorded message, as a file, a line or an archive holds it.

Belongs here: the three forms of a record, and what each leaves unknown. Does not belong
here: what a trace makes of it (flows), where it was found (files, lines).

The forms:
body       the body of the message and nothing else, as JSON
envelope   {"body", "url", "method", "headers", "at", "response": {"status", "headers", "body"}};
           only body is needed, which may also be called "request". A body that is a text is
           kept to the byte; one that is an object is written again.
HAR        an entry of an HTTP Archive 1.2: request, response, startedDateTime
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, cast

from gridwitness.dialects import recognise
from gridwitness.dialects.base import Json, Parsed, dump_json, parse_noting

if TYPE_CHECKING:
    from gridwitness.trace import Recorded

MOST_MESSAGE_BYTES = 4 * 1024 * 1024
"""No message is larger; of one that is, only the beginning is kept, which is no JSON."""

KEPT_BYTES = 4096
"""What is kept of a message that is too large."""

ACTIONS = (
    "catalog/publish", "catalog_publish", "search", "discover", "select", "init", "confirm",
    "status", "track", "update", "cancel", "rating", "rate", "support",
)  # fmt: skip
"""The actions in the order in which a flow may take them; a callback follows its request."""

_NAMES = frozenset(action.rpartition("/")[2] for action in ACTIONS)


@dataclass(frozen=True)
class Reply:
    """A recorded answer."""

    status: int
    headers: Mapping[str, str]
    raw: bytes


@dataclass(frozen=True)
class Piece:
    """One recorded message.

    place    where it stands, for a person
    at       when it was sent, as recorded; None when that is not known
    reply    its answer; with recorded "whole" and no reply, none came
    is_cut   whether it is larger than any message, and only its beginning is kept
    lost     what of it was not recorded, so that nothing can be said about it
    """

    raw: bytes
    place: str
    recorded: Recorded = "body"
    method: str = "POST"
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    at: str | None = None
    reply: Reply | None = None
    is_cut: bool = False
    lost: str = ""

    @cached_property
    def parsed(self) -> Parsed:
        if self.is_cut:
            return Parsed(None, problem=f"larger than {MOST_MESSAGE_BYTES >> 20} MB")
        return parse_noting(self.raw)

    @property
    def context(self) -> Mapping[str, Json]:
        """The context of the body; empty where there is none."""
        return _object(_object(self.parsed.body).get("context"))

    def said(self, *keys: str) -> str | None:
        """Give the first of some members of the context that is a text."""
        values = (self.context.get(key) for key in keys)
        return next((value for value in values if isinstance(value, str) and value), None)

    @property
    def transaction_id(self) -> str | None:
        return self.said("transaction_id", "transactionId")

    @property
    def action(self) -> str:
        """What it is: the end of its address, else the action in its context."""
        named = self.said("action") or ""
        path = self.url.partition("?")[0].rstrip("/")
        if path.endswith(f"/{named}"):
            return named
        return path.rpartition("/")[2] or named

    @property
    def no_message(self) -> str:
        """Why it is no protocol message; empty when it is one, or may have been meant as one."""
        body: object = self.parsed.body
        if self.lost:
            return self.lost
        if body is None:
            return "" if self.recorded == "body" else self._no_request
        if not isinstance(body, dict):
            return "JSON, but no object"
        if "context" not in body:
            return "an object without a context"
        is_meant = self.recorded != "body" and (self._is_addressed or _is_action(self.action))
        if not is_meant and recognise(cast("Json", body)) is None:
            return "its context names neither a transaction, a message nor a party"
        return ""

    @property
    def _no_request(self) -> str:
        """Why a request whose body is no JSON is none of the protocol either."""
        if self.method != "POST":
            return f"a {self.method} without a message"
        is_json = "json" in self.headers.get("content-type", "").lower()
        return "" if is_json or self._is_addressed else "a POST of no JSON, to no known action"

    @property
    def _is_addressed(self) -> bool:
        """Whether it was sent to an action, or to an address that was not recorded."""
        return not self.url or _is_action(self.url.partition("?")[0].rstrip("/"))


def _is_action(path: str) -> bool:
    return path.rpartition("/")[2].removeprefix("on_") in _NAMES


def from_bytes(raw: bytes, place: str) -> Piece:
    """Read one message of a file of messages: a bare body, or an envelope."""
    if len(raw) > MOST_MESSAGE_BYTES:
        return Piece(raw[:KEPT_BYTES], place, is_cut=True)
    piece = Piece(raw, place)
    record = _object(piece.parsed.body)
    body = record.get("body", record.get("request"))
    if body is None or "context" in record:
        return piece
    response = record.get("response")
    return Piece(
        _bytes(body),
        place,
        recorded="request" if response is None else "whole",
        method=_text(record.get("method")) or "POST",
        url=_text(record.get("url")),
        headers=_headers(record.get("headers")),
        at=_text(record.get("at")) or None,
        reply=_reply(_object(response)),
        is_cut=record.get("is_cut") is True,
    )


def from_entry(entry: Json, place: str) -> Piece:
    """Read an entry of an HTTP Archive.

    Browsers leave texts out and tell their sizes all the same: that is not recorded, which
    is not the same as empty.
    """
    asked = _object(_object(entry).get("request"))
    response = _object(_object(entry).get("response"))
    posted, content = _object(asked.get("postData")), _object(response.get("content"))
    raw = _content(posted)
    headers, kind = _headers(asked.get("headers")), _text(posted.get("mimeType"))
    is_answered = bool(response) and (_status(response) is None or _is_recorded(content))
    return Piece(
        raw if len(raw) <= MOST_MESSAGE_BYTES else raw[:KEPT_BYTES],
        place,
        recorded="whole" if is_answered else "request",
        method=_text(asked.get("method")) or "POST",
        url=_text(asked.get("url")),
        headers={"content-type": kind, **headers} if kind else headers,
        at=_text(_object(entry).get("startedDateTime")) or None,
        reply=_reply({**response, "body": _content(content)}) if is_answered else None,
        is_cut=len(raw) > MOST_MESSAGE_BYTES,
        lost="its body was not recorded" if not raw and _is_size(asked.get("bodySize")) else "",
    )


def _is_recorded(content: Mapping[str, Json]) -> bool:
    """Tell whether the text of an answer is there, or is known to be empty."""
    return bool(_text(content.get("text"))) or content.get("size") == 0


def _is_size(value: Json) -> bool:
    """Tell whether an archive tells a size; -1, which means unknown, is none."""
    return isinstance(value, int | Decimal) and value > 0


def as_envelope(piece: Piece) -> bytes:
    """Write a piece as an envelope in one line; `from_bytes` reads it back."""
    record: dict[str, Json] = {
        "body": {"base64": base64.b64encode(piece.raw).decode()},
        "method": piece.method,
        "url": piece.url,
        "headers": dict(piece.headers),
        "at": piece.at,
        "is_cut": piece.is_cut,
    }
    if piece.recorded == "whole":
        reply = piece.reply
        record["response"] = {}
        if reply is not None:
            body = {"base64": base64.b64encode(reply.raw).decode()}
            headers = dict(reply.headers)
            record["response"] = {"status": reply.status, "headers": headers, "body": body}
    return dump_json(record)


def _reply(response: Mapping[str, Json]) -> Reply | None:
    status = _status(response)
    if status is None:
        return None
    raw = _bytes(response.get("body"))[:MOST_MESSAGE_BYTES]
    return Reply(status, _headers(response.get("headers")), raw)


def _status(response: Mapping[str, Json]) -> int | None:
    """Give the status of an answer; None when none came, which an archive writes as 0."""
    status = response.get("status")
    return status if isinstance(status, int) and 100 <= status <= 999 else None  # noqa: PLR2004


def _content(content: Mapping[str, Json]) -> bytes:
    """Read the text of a HAR postData or content, which may be in base64."""
    text = _text(content.get("text"))
    return _base64(text) if content.get("encoding") == "base64" else _utf8(text)


def _bytes(value: Json) -> bytes:
    """Give the bytes of a body: a text, {"base64": text}, or any JSON."""
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _utf8(value)
    inner = _object(value)
    if set(inner) == {"base64"} and isinstance(inner["base64"], str):
        return _base64(inner["base64"])
    try:
        return dump_json(value)
    except (ValueError, RecursionError):
        return b""


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (ValueError, binascii.Error):
        return _utf8(text)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _headers(value: Json) -> dict[str, str]:
    """Read headers: an object of texts, or the list of name and value that HAR writes."""
    if isinstance(value, list):
        pairs = [
            (_object(item).get("name"), _object(item).get("value"))
            for item in cast("list[Json]", value)
        ]
    else:
        pairs = list(_object(value).items())
    return {
        name.lower(): text
        for name, text in pairs
        if isinstance(name, str) and isinstance(text, str)
    }


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _object(value: Json) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", value) if isinstance(value, Mapping) else {}

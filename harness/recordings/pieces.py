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
    """

    raw: bytes
    place: str
    recorded: Recorded = "body"
    method: str = "POST"
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    at: str | None = None
    reply: Reply | None = None

    @cached_property
    def parsed(self) -> Parsed:
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
        if body is None and self.recorded != "body":
            return "" if self.method == "POST" else f"a {self.method} without a message"
        if body is None:
            return ""
        if not isinstance(body, dict):
            return "JSON, but no object"
        if "context" not in body:
            return "an object without a context"
        if self.recorded == "body" and recognise(cast("Json", body)) is None:
            return "its context names neither a transaction, a message nor a party"
        return ""


def from_bytes(raw: bytes, place: str) -> Piece:
    """Read one message of a file of messages: a bare body, or an envelope."""
    if len(raw) > MOST_MESSAGE_BYTES:
        return Piece(raw[:KEPT_BYTES], place)
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
    )


def from_entry(entry: Json, place: str) -> Piece:
    """Read an entry of an HTTP Archive."""
    request, response = _object(entry).get("request"), _object(_object(entry).get("response"))
    asked = _object(request)
    raw = _content(_object(asked.get("postData")))
    return Piece(
        raw if len(raw) <= MOST_MESSAGE_BYTES else raw[:KEPT_BYTES],
        place,
        recorded="whole",
        method=_text(asked.get("method")) or "POST",
        url=_text(asked.get("url")),
        headers=_headers(asked.get("headers")),
        at=_text(_object(entry).get("startedDateTime")) or None,
        reply=_reply({**response, "body": _content(_object(response.get("content")))}),
    )


def as_envelope(piece: Piece) -> bytes:
    """Write a piece as an envelope in one line; `from_bytes` reads it back."""
    record: dict[str, Json] = {
        "body": {"base64": base64.b64encode(piece.raw).decode()},
        "method": piece.method,
        "url": piece.url,
        "headers": dict(piece.headers),
        "at": piece.at,
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
    status = response.get("status")
    if not isinstance(status, int) or not 100 <= status <= 999:  # noqa: PLR2004 (three digits)
        return None
    raw = _bytes(response.get("body"))[:MOST_MESSAGE_BYTES]
    return Reply(status, _headers(response.get("headers")), raw)


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

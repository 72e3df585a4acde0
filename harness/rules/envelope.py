"""ENV: the context of a message, and whether the rest can be read at all."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from gridwitness.address import is_http_address
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import Cursor
from gridwitness.dialects.blocks import duration_s
from gridwitness.dues import instant
from gridwitness.formats import is_date_time, is_uuid
from gridwitness.protocol import VERSION, open_context, request_of
from gridwitness.rules import outcome, rule
from gridwitness.story import BAP, BUYER_UTILITY, CATALOGUE, PARTICIPANT, SELLER_UTILITY
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace

D12 = "Beckn v2 docs, 12, section 3 (mandatory context fields)"


@rule("ENV-001", "MUST", source="Beckn v2.0.0, api, request bodies: context and message")
def body_has_context_and_content(trace: Trace) -> Iterator[Outcome]:
    """A message is a JSON object with a context, and a message or an error."""
    for message in trace.beckn:
        body = Cursor(message.body, "", [])
        content = body / "message" or body / "error"
        context = (body / "context").object()
        yield outcome(
            context is not None and content.object() is not None,
            by=message.sender,
            message=message,
            observed=_content(message),
            expected="the members context and message (or error), each an object",
        )


def _content(message: Message) -> str:
    body: object = message.body
    if body is None:
        problem = message.parsed.problem
        return f"no JSON: {problem}" if problem else "no JSON object"
    names = sorted(cast("dict[str, object]", body)) if isinstance(body, dict) else ["none"]
    return f"members {', '.join(names)}"


@rule("ENV-002", "MUST", source=D12)
def mandatory_fields_are_there(trace: Trace) -> Iterator[Outcome]:
    """The context carries every mandatory field."""
    for message in trace.beckn:
        if message.dialect is None or message.is_foreign:
            continue
        envelope = message.reading.envelope
        mandatory = DIALECTS[message.dialect].mandatory_context
        missing = [
            name
            for name in mandatory
            if getattr(envelope, name) is None and not _is_open(message, name)
        ]
        keys = [DIALECTS[message.dialect].context_key(name) for name in missing]
        yield outcome(
            not missing,
            by=message.sender,
            message=message,
            observed=f"{message.action} without {', '.join(keys)}",
            expected="every mandatory field",
            pointer="/context",
        )


def _is_open(message: Message, name: str) -> bool:
    """Tell whether a field may be left out, because who is asked is no party to a trade.

    That is a discovery service, of which in recorded traffic nobody knows whether it was
    asked, and whoever a catalogue is published to.
    """
    if message.action == "discover":
        return name in ("bpp_id", "bpp_uri") and message.recorded != "ours"
    return name in open_context(message.action)


@rule("ENV-003", "MUST", source="Beckn v2 docs, 12, section 7; NFH-008, CTX_ACTION_MISMATCH")
def action_names_the_endpoint(trace: Trace) -> Iterator[Outcome]:
    """The action in the context is that of the endpoint the message is posted to."""
    for message in trace.beckn:
        action = message.reading.envelope.action
        if action is not None and message.recorded != "body":
            yield outcome(
                action == message.action,
                by=message.sender,
                message=message,
                observed=f"action {action!r} posted to /{message.action}",
                expected=message.action,
                pointer="/context/action",
            )


@rule("ENV-004", "MUST", source="Beckn v2.0.0, api, Context.version")
def version_is_that_of_the_protocol(trace: Trace) -> Iterator[Outcome]:
    """The version in the context is 2.0.0."""
    for message in trace.beckn:
        version = message.reading.envelope.version
        if version is not None and not message.is_foreign:
            yield outcome(
                version == VERSION,
                by=message.sender,
                message=message,
                observed=version,
                expected=VERSION,
                pointer="/context/version",
            )


@rule("ENV-005", "MUST", source="Beckn v2.0.0, api, Context.timestamp (date-time); RFC 3339")
def timestamp_has_a_zone(trace: Trace) -> Iterator[Outcome]:
    """The timestamp is an RFC 3339 date-time with a zone."""
    for message in trace.beckn:
        timestamp = message.reading.envelope.timestamp
        if timestamp is not None:
            yield outcome(
                is_date_time(timestamp),
                by=message.sender,
                message=message,
                observed=timestamp,
                expected="for instance 2026-04-01T08:30:00Z",
                pointer="/context/timestamp",
            )


@rule("ENV-013", "SHOULD", source="Beckn v2.0.0, api, Context.timestamp: the instant of sending")
def timestamp_is_not_ahead(trace: Trace) -> Iterator[Outcome]:
    """A message is dated no more than a minute ahead of when it came."""
    for message in trace.beckn:
        told = message.reading.envelope.timestamp
        if told is not None and instant(told) is not None and message.recorded == "ours":
            yield outcome(
                not is_dated_ahead(message),
                by=message.sender,
                message=message,
                observed=f"dated {told}, came {message.at}",
                expected=f"at most {AHEAD.total_seconds():g} s ahead",
                pointer=message.context_pointer("timestamp"),
            )


AHEAD = timedelta(minutes=1)


def is_dated_ahead(message: Message) -> bool:
    """Tell whether a message that we saw come is dated well after that."""
    told, came = instant(message.reading.envelope.timestamp), instant(message.at)
    if told is None or came is None or message.recorded != "ours":
        return False
    return told > came + AHEAD


@rule("ENV-006", "MUST", source="Beckn v2.0.0, api, Context.ttl (ISO 8601 duration)")
def ttl_is_a_duration(trace: Trace) -> Iterator[Outcome]:
    """The ttl, where there is one, is an ISO 8601 duration."""
    for message in trace.beckn:
        ttl = message.reading.envelope.ttl
        if ttl is not None:
            yield outcome(
                duration_s(ttl) is not None,
                by=message.sender,
                message=message,
                observed=ttl,
                expected="for instance PT30S",
                pointer="/context/ttl",
            )


@rule(
    "ENV-007",
    "MUST",
    source="Beckn v2.0.0, api, Context (format uuid); NFH-013, 21 and 22",
    spares=(CATALOGUE,),
)
def ids_are_uuids(trace: Trace) -> Iterator[Outcome]:
    """Transaction and message ids are UUIDs."""
    for message in trace.beckn:
        for field in ("transaction_id", "message_id"):
            value = getattr(message.reading.envelope, field)
            right = value is not None and is_uuid(value)
            # Who echoes what is no UUID is not to blame for it.
            if value is not None and (right or not _echoes(trace, message, field)):
                yield outcome(
                    right,
                    by=message.sender,
                    message=message,
                    observed=value,
                    expected="a UUID",
                    pointer=message.context_pointer(field),
                )


@rule("ENV-008", "MUST", source="Beckn v2.0.0, api: the shape of Context in each published line")
def dialect_is_the_claimed_one(trace: Trace) -> Iterator[Outcome]:
    """A message is written in the dialect of the edition that is claimed."""
    for message in trace.beckn:
        yield outcome(
            message.dialect == trace.scene.dialect,
            by=message.sender,
            message=message,
            observed=f"dialect {message.dialect or 'unknown'}",
            expected=f"dialect {trace.scene.dialect} of edition {trace.scene.edition}",
            pointer="/context",
        )


@rule(
    "ENV-009",
    "MUST",
    source="Beckn v2.0.0, api, Context: bap and bpp id and uri",
    spares=(CATALOGUE, BUYER_UTILITY, SELLER_UTILITY),
)
def parties_are_those_of_the_exchange(trace: Trace) -> Iterator[Outcome]:
    """The context names the two parties between whom the message passes."""
    scene = trace.scene
    for message in trace.beckn:
        envelope = message.reading.envelope
        caller, called = message.sender, message.receiver
        if message.from_provider:
            caller, called = called, caller
        for field, actor, book in (
            ("bap_id", caller, scene.ids),
            ("bpp_id", called, scene.ids),
            ("bap_uri", caller, scene.uris),
            ("bpp_uri", called, scene.uris),
        ):
            value, right = getattr(envelope, field), book.get(actor or "")
            if value is None or right is None:
                continue
            # Who is known as a BPP may be called back elsewhere: adapters have a receiver a side.
            elsewhere = field == "bap_uri" and trace.role(actor) not in (PARTICIPANT, BAP)
            kept = is_http_address(value) if elsewhere else value.rstrip("/") == right.rstrip("/")
            if not kept and _echoes(trace, message, field):
                continue
            yield outcome(
                kept,
                by=message.sender,
                message=message,
                observed=value,
                expected=f"{right}, the {field.replace('_', ' ')} of {actor}",
                pointer=message.context_pointer(field),
            )


@rule("ENV-010", "MUST", source="Beckn v2.0.0, api, message bodies; beckn/DEG, building blocks")
def slots_can_be_read(trace: Trace) -> Iterator[Outcome]:
    """What a message carries can be read: objects, numbers and texts where they belong."""
    for message in trace.beckn:
        if message.dialect is None or message.is_foreign:
            continue
        problems = message.reading.problems
        first = problems[0] if problems else None
        yield outcome(
            first is None,
            by=message.sender,
            message=message,
            observed=f"{first.pointer.rpartition('/')[2]} {first.message}" if first else "",
            expected=f"a value of the right type, here and in {len(problems) - 1} further places",
            pointer=first.pointer if first else "",
        )


@rule("ENV-011", "SHOULD", source="RFC 8259, section 4 (names are unique); RFC 7493, section 2.3")
def keys_are_unique(trace: Trace) -> Iterator[Outcome]:
    """No object of a message repeats a key, which two readers may read differently."""
    for message in trace.beckn:
        if message.body is None:
            continue
        repeated = message.parsed.repeated
        yield outcome(
            not repeated,
            by=message.sender,
            message=message,
            observed=f"a key again, here and in {len(repeated) - 1} further places",
            expected="each key once in an object",
            pointer=repeated[0] if repeated else "",
        )


@rule("ENV-012", "MUST", source="Beckn v2.0.0 rc and LTS, api, message bodies: order and contract")
def generation_is_that_of_the_edition(trace: Trace) -> Iterator[Outcome]:
    """A message is of the generation of the protocol that its edition speaks."""
    for message in trace.beckn:
        if message.dialect != trace.scene.dialect:
            continue
        yield outcome(
            message.generation == trace.scene.dialect,
            by=message.sender,
            message=message,
            observed=f"a message of generation {message.generation}",
            expected=f"generation {trace.scene.dialect}, which {trace.scene.edition} speaks",
            pointer="/message",
        )


def _echoes(trace: Trace, message: Message, field: str) -> bool:
    """Tell whether a callback only repeats what the request it answers said."""
    if not message.is_callback:
        return False
    asked, value = request_of(message.action), getattr(message.reading.envelope, field)
    said = _said(trace).get((asked, message.receiver, field, value), message.number)
    return said < message.number


@once
def _said(trace: Trace) -> dict[tuple[str, str | None, str, str], int]:
    """Find where a request of a sender first said something in its context."""
    first: dict[tuple[str, str | None, str, str], int] = {}
    for request in trace.requests:
        for field, value in request.reading.envelope.__dict__.items():
            if field != "at":
                first.setdefault((request.action, request.sender, field, value), request.number)
    return first

"""ACK: what an answer says beside its status, and what it must not say.

Belongs here: error codes, error texts, data that has no place in an answer. Does not
belong here: that and in which form a message is answered (acknowledgement).
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from gridwitness.dialects.base import Cursor
from gridwitness.editions import editions
from gridwitness.protocol import code_is_listed
from gridwitness.rules import outcome, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace

LISTED = {"free": "any", "numbers": "a number of document 15", "names": "a name of NFH-008"}


def _errors(trace: Trace) -> Iterator[tuple[Message, str | None, str | None, bool]]:
    """Give each error that was told: its message, code, text, and whether in the answer."""
    for message in trace.beckn:
        ack = message.ack
        if ack is not None and (ack.error_code is not None or ack.error_text is not None):
            yield message, ack.error_code, ack.error_text, True
        error = message.reading.error
        if error is not None:
            yield message, error.code, error.text, False


@rule(
    "ACK-005",
    "MUST",
    source="NFH-008, CON-008-02 and CON-008-03; Beckn v2 docs, 15; certification draft, C-BPP-05",
    on_refusal=True,
)
def error_code_is_listed(trace: Trace) -> Iterator[Outcome]:
    """An error has a code that the edition lists, in an answer and in a callback alike."""
    listed = editions()[trace.scene.edition].error_codes
    for message, code, _, in_answer in _errors(trace):
        # Who cannot read a message cannot know by which edition to answer it.
        if code is not None and message.dialect is not None:
            yield outcome(
                code_is_listed(code, listed),
                by=message.receiver if in_answer else message.sender,
                message=message,
                observed=f"the error code {code}",
                expected=LISTED[listed],
                in_answer=in_answer,
            )


@rule("ACK-006", "MUST", source="NFH-008, CON-021-03 and its security section", on_refusal=True)
def error_text_leaks_nothing(trace: Trace) -> Iterator[Outcome]:
    """An error's text tells nothing of the inside: no stack, no file, no inner address, no key."""
    for message, _, text, in_answer in _errors(trace):
        if text is not None:
            leak = _LEAK.search(text[:_MOST_SEARCHED])
            if leak is not None and leak[0].encode() in message.raw and in_answer:
                leak = None  # it only quotes what was sent
            yield outcome(
                leak is None,
                by=message.receiver if in_answer else message.sender,
                message=message,
                observed=f"an error text that says {leak[0]!r}" if leak else "",
                expected="what is wrong with the message, in words",
                in_answer=in_answer,
            )


_MOST_SEARCHED = 10_000
_LEAK = re.compile(
    r"Traceback \(most recent call last\)|File \"/|goroutine \d|^panic: |Exception in thread"
    r"|\bat [\w.$<>]{1,80}\([\w.$ ]{1,80}:\d+\)|\.(?:py|js|ts|go|java|rb|php|cs):\d+"
    r"|\b(?:localhost|127\.0\.0\.1|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+)\b"
    r"|\b172\.(?:1[6-9]|2\d|3[01])\.\d+\.\d+\b|\.svc\.cluster\.local\b|\b[A-Z]:\\\\\w"
    r"|\b\w*SQL\w*Exception\b|\bat [\w.$]{1,80}\([\w$]{1,80}\.(?:java|kt|scala)\)"
    r"|\b(?:postgres(?:ql)?|mysql|mongodb|redis|amqp)://|PRIVATE KEY"
    r"|(?:^|[\s\"'(])/(?:home|usr|var|opt|app|root|srv)/\w",
    re.MULTILINE,
)
"""Traces of the usual languages, private addresses, data stores, keys, paths."""


@rule("ACK-007", "MUST", source="NFH-013, CON-013-02 and CON-013-08; CON-015-02")
def answer_holds_no_business_data(trace: Trace) -> Iterator[Outcome]:
    """An answer says only whether the message is accepted; what was asked for comes later."""
    for message in trace.beckn:
        if message.ack is None or message.answer is None:
            continue
        found = sorted(_members(message.answer.body) & _BUSINESS)
        yield outcome(
            not found,
            by=message.receiver,
            message=message,
            observed=f"an answer with {', '.join(found)}",
            expected="an acknowledgement alone",
            in_answer=True,
        )


_BUSINESS = frozenset(
    [
        "order",
        "contract",
        "catalog",
        "catalogs",
        "catalogue",
        "catalogues",
        "items",
        "offers",
        "orders",
        "contracts",
        "intent",
        "tracking",
        "support",
        "ratings",
        "ratingInputs",
        "results",
        "quote",
        "fulfillment",
        "payment",
    ]
)


def _members(body: object) -> set[str]:
    """Give the members of an answer, and of the message in it."""
    if not isinstance(body, dict):
        return set()
    members = cast("dict[str, object]", body)
    inner = members.get("message")
    return set(members) | (
        set(cast("dict[str, object]", inner)) if isinstance(inner, dict) else set()
    )


@rule(
    "ACK-008", "MUST", source="certification draft, C-ALL-04; NFH-008: 500 is a fault of one's own"
)
def nobody_fails_over_a_message(trace: Trace) -> Iterator[Outcome]:
    """No message, whatever is wrong with it, is answered with 500."""
    for message in trace.beckn:
        if message.receiver is not None and message.answer is not None:
            yield outcome(
                message.answer.status != HTTPStatus.INTERNAL_SERVER_ERROR,
                by=message.receiver,
                message=message,
                observed="HTTP 500",
                expected="a refusal that says what is wrong with the message",
                in_answer=True,
            )


@rule("ACK-009", "SHOULD", source="BECKN-006, errors of authentication: 401", on_refusal=True)
def who_is_unauthorized_is_told_how(trace: Trace) -> Iterator[Outcome]:
    """An answer with 401 says in WWW-Authenticate what has to be signed."""
    for message in trace.beckn:
        answer = message.answer
        if answer is not None and answer.status == HTTPStatus.UNAUTHORIZED:
            told = {name.lower(): value for name, value in answer.headers.items()}
            challenge = told.get("www-authenticate", "")
            yield outcome(
                challenge.startswith("Signature "),
                by=message.receiver,
                message=message,
                observed=f"WWW-Authenticate: {challenge}" if challenge else "no WWW-Authenticate",
                expected='WWW-Authenticate: Signature realm="...",headers="..."',
                in_answer=True,
            )


@rule(
    "ACK-010",
    "MUST",
    source="Beckn v2.0.0, api, AckResponse; NFH-008: messageId of an answer",
    when_stated=True,
)
def answer_names_its_message(trace: Trace) -> Iterator[Outcome]:
    """An acknowledgement that names a message or transaction names the one it answers."""
    for message in trace.beckn:
        if message.ack is None or message.answer is None:
            continue
        body = Cursor(message.answer.body, "", [])
        named = {
            "transaction_id": (body / "transaction_id").value,
            "message_id": (body / "message" / "messageId").value,
        }
        envelope = message.reading.envelope
        for field, value in named.items():
            asked = getattr(envelope, field)
            if value is not None and asked is not None:
                yield outcome(
                    value == asked,
                    by=message.receiver,
                    message=message,
                    observed=f"an answer to {value}",
                    expected=f"{asked}, as asked",
                    in_answer=True,
                )

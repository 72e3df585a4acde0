"""SIG: who signed a message, and what becomes of one that nobody did."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from gridwitness import signing
from gridwitness.dialects.base import Cursor
from gridwitness.editions import editions
from gridwitness.protocol import request_of
from gridwitness.rules import outcome, rule
from gridwitness.story import ASKED
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace

D13 = "Beckn v2 docs, 13 and 14 (signing)"


@rule("SIG-001", "MUST", source=f"{D13}; certification draft, C-ALL-02")
def every_message_is_signed(trace: Trace) -> Iterator[Outcome]:
    """Every message is signed, and verifies with the sender's registered key."""
    for message in trace.beckn:
        check = message.signature
        if check is not None:
            yield outcome(
                check.is_valid,
                by=message.sender,
                message=message,
                observed=f"signature {check.status}: {check.detail}",
                expected="an Ed25519 signature over the digest of the body as sent",
            )


@rule(
    "SIG-002", "MUST", source="NFH trust model; beckn-onix 806 (signer is the context's identity)"
)
def signer_is_the_sender(trace: Trace) -> Iterator[Outcome]:
    """Who signs a message is the sender that its context names; who signs an answer answers."""
    for message in trace.beckn:
        check, named = message.signature, message.named_sender
        if check is not None and check.subscriber_id is not None and named is not None:
            yield outcome(
                check.subscriber_id == named,
                by=message.sender,
                message=message,
                observed=f"signed as {check.subscriber_id}",
                expected=f"signed as {named}",
            )
        owner, signer = trace.scene.ids.get(message.receiver or ""), _signer_of_answer(message)
        if owner is not None and signer is not None:
            yield outcome(
                signer == owner,
                by=message.receiver,
                message=message,
                observed=f"an answer signed as {signer}",
                expected=f"signed as {owner}",
                in_answer=True,
            )


def _signer_of_answer(message: Message) -> str | None:
    """Tell who signed an acknowledgement, in its header or in its body."""
    if message.answer_signature is not None:
        return message.answer_signature.subscriber_id
    body = message.answer.body if message.answer else None
    signature = (Cursor(body, "", []) / "signature").value
    header = signing.parse_header(signature) if isinstance(signature, str) else None
    return header.subscriber_id if header else None


@rule(
    "SIG-003",
    "MUST",
    source=f"{D13}; certification draft, C-ALL-04",
    on_refusal=True,
)
def bad_signature_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message whose signature does not verify is refused with 401."""
    for message in trace.beckn:
        check, answer = message.signature, message.answer
        if check is None or check.is_valid or message.receiver is None:
            continue
        if check.status in ("malformed", "wrong algorithm"):
            continue  # rules of their own: published adapters fail over these
        status = answer.status if answer else None
        yield outcome(
            status == HTTPStatus.UNAUTHORIZED,
            by=message.receiver,
            message=message,
            observed=f"HTTP {status} to a message whose signature is {check.status}",
            expected="HTTP 401 with a NACK",
            in_answer=answer is not None,
        )


@rule("SIG-004", "SHOULD", source="Beckn v2 docs, 13, section on created and expires")
def signature_is_short_lived(trace: Trace) -> Iterator[Outcome]:
    """A signature expires after it was created, and within a day."""
    for message in trace.beckn:
        header = signing.parse_header(message.headers.get("authorization", ""))
        if header is not None:
            life_s = header.expires_s - header.created_s
            yield outcome(
                0 < life_s <= _DAY_S,
                by=message.sender,
                message=message,
                observed=f"a life of {life_s} s",
                expected=f"more than 0 s, at most {_DAY_S} s",
            )


_DAY_S = 86_400


@rule("SIG-005", "MUST", source="NFH-007, sections 4 and 5: CON-004-09, CON-004-10", judges=ASKED)
def answers_are_chained(trace: Trace) -> Iterator[Outcome]:
    """A callback and an acknowledgement are signed over the signature of what they answer."""
    edition = editions()[trace.scene.edition]
    for message in trace.beckn:
        check = message.signature
        if _answers_a_request(trace, message) and check is not None and check.is_valid:
            yield outcome(
                check.lines == edition.callback_lines,
                by=message.sender,
                message=message,
                observed=f"a signature over {check.lines} lines",
                expected=f"a signature over {edition.callback_lines} lines",
            )
        ack = message.ack
        # Nothing is chained to what has no signature, or is in nobody's dialect.
        header = signing.parse_header(message.headers.get("authorization", ""))
        chainable = header is not None and message.dialect is not None
        signed = message.answer is not None and "signature" in message.answer.headers
        unchecked = signed and message.recorded != "ours"
        accepts = message.answer is not None and message.answer.status in _ACCEPTED
        due = chainable and accepts and ack is not None and not unchecked
        if edition.ack_form == "signed-header" and due:
            answered = message.answer_signature
            chained = answered is not None and answered.lines == edition.callback_lines
            yield outcome(
                answered is not None and answered.is_valid and chained,
                by=message.receiver,
                message=message,
                observed=f"an acknowledgement with the signature {_status(answered)}",
                expected="a Signature header over digest and request signature",
                in_answer=True,
            )


_ACCEPTED = (HTTPStatus.OK, HTTPStatus.ACCEPTED)
"""The answers that are signed: a refusal need not be."""


def _answers_a_request(trace: Trace, message: Message) -> bool:
    """Tell whether a callback is solicited: it has the message id of a request."""
    asked = request_of(message.action), message.reading.envelope.message_id
    return message.is_callback and asked in _asked(trace)


@once
def _asked(trace: Trace) -> set[tuple[str, str | None]]:
    return {(request.action, request.reading.envelope.message_id) for request in trace.requests}


def _status(check: signing.SignatureCheck | None) -> str:
    return check.status if check else "missing"

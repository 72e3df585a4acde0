"""SIG and ENV: what becomes of a message that nobody may accept, and of one that only looks so.

Belongs here: one rule for each reason to refuse a message, told from the message itself.
Does not belong here: the form of the refusal (acknowledgement), what follows it
(correlation).

A signature comes first: what a context says is judged only where its signer is known.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from gridwitness import signing
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.blocks import duration_s
from gridwitness.dues import instant
from gridwitness.editions import editions
from gridwitness.protocol import VERSION, is_known, open_context
from gridwitness.rules import outcome, rule
from gridwitness.story import ASKED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.signing import CheckStatus
    from gridwitness.trace import Message, Trace

C_ALL_04 = "certification draft, C-ALL-04"
CLOCKS_DIFFER_S = 5
"""How far the clocks of two parties may be apart (NFH-007, CON-004-13)."""


def _refused(message: Message, reason: str, *right: int) -> Outcome:
    """Say whether a message was refused with one of the right statuses."""
    answer = message.answer
    status = answer.status if answer else None
    return outcome(
        status in right,
        by=message.receiver,
        message=message,
        observed=f"HTTP {status} to a message {reason}" if answer else "no answer",
        expected=f"HTTP {' or '.join(str(int(one)) for one in right)} with a NACK",
        in_answer=answer is not None,
    )


# -- the signature ----------------------------------------------------------------------


def _unverified(trace: Trace, status: CheckStatus, reason: str) -> Iterator[Outcome]:
    for message in trace.beckn:
        check = message.signature
        if check is not None and check.status == status and message.receiver is not None:
            yield _refused(message, reason, HTTPStatus.UNAUTHORIZED)


@rule("SIG-006", "MUST", source=f"{C_ALL_04}; Beckn v2 docs, 13", on_refusal=True)
def unsigned_message_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message without a signature is refused with 401."""
    yield from _unverified(trace, "missing", "without a signature")


@rule(
    "SIG-007", "MUST", source=f"{C_ALL_04}; NFH-007, section 3.2 (grammar, key id)", on_refusal=True
)
def malformed_signature_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message whose signature header or key id is malformed is refused with 401."""
    for message in trace.beckn:
        check = message.signature
        if check is None or check.status != "malformed" or message.receiver is None:
            continue
        if not _covers_too_little(message):
            yield _refused(message, f"whose signature is no good: {check.detail}", 401)


@rule("SIG-008", "MUST", source=f"{C_ALL_04}; NFH-007, clock skew", on_refusal=True)
def expired_signature_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message whose signature has expired is refused with 401, with no tolerance."""
    yield from _unverified(trace, "expired", "whose signature has expired")


@rule("SIG-009", "MUST", source="NFH-007, CON-004-13; Beckn v2 docs, 13", on_refusal=True)
def signature_from_the_future_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message that is signed more than five seconds ahead is refused with 401."""
    yield from _unverified(trace, "from the future", "signed in the future")


@rule("SIG-010", "MUST", source="certification draft, C-ALL-03 and C-ALL-04", on_refusal=True)
def unknown_key_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message signed with a key that the registry does not hold is refused with 401."""
    yield from _unverified(trace, "unknown key", "signed with a key that nobody registered")


@rule("SIG-011", "MUST", source="NFH-007, CON-004-03; Beckn v2 docs, 13", on_refusal=True)
def other_algorithm_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message signed with another algorithm than Ed25519 is refused with 401."""
    yield from _unverified(trace, "wrong algorithm", "signed with another algorithm")


@rule(
    "SIG-012",
    "MUST",
    source=f"{C_ALL_04}; Beckn v2 docs, 14 (raw bytes); NFH-007, CON-004-11",
    on_refusal=True,
)
def wrong_signature_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message whose signature does not fit its bytes, its key or its request is refused with 401.

    That is one signed with another's key, changed or written anew after it was signed,
    or chained to a message that it does not answer.
    """
    yield from _unverified(trace, "wrong signature", "whose signature does not fit")


@rule("SIG-013", "MUST", source="NFH trust model; beckn-onix 806", on_refusal=True)
def foreign_signer_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message that is rightly signed by another than its sender is refused with 401."""
    for message in trace.beckn:
        check, named = message.signature, message.named_sender
        if check is None or not check.is_valid or message.receiver is None:
            continue
        if named is not None and named != check.subscriber_id:
            reason = f"of {named} signed by {check.subscriber_id}"
            yield _refused(message, reason, HTTPStatus.UNAUTHORIZED)


@rule("SIG-014", "MUST", source="Beckn v2 docs, 14, CON-013-03 (headers list)", on_refusal=True)
def signature_that_covers_too_little_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message whose signature says that it covers less than it must is refused with 401."""
    for message in trace.beckn:
        check = message.signature
        if check is None or check.status != "malformed" or message.receiver is None:
            continue
        if _covers_too_little(message):
            yield _refused(message, "whose signature covers too little", HTTPStatus.UNAUTHORIZED)


def _covers_too_little(message: Message) -> bool:
    header = signing.parse_header(message.headers.get("authorization", ""))
    return header is not None and not header.covers_enough


@rule("SIG-015", "MUST", source=f"{C_ALL_04}; Beckn v2 docs, 14; NFH-007, section 3.1")
def valid_signature_is_not_refused(trace: Trace) -> Iterator[Outcome]:
    """A message that is rightly signed by its sender is not refused for its signature.

    Its bytes may be any JSON: unusual white space and escapes change nothing.
    """
    for message in trace.beckn:
        if _is_welcome(message) and not _is_unusual(trace, message):
            yield _not_refused(message)


@rule(
    "SIG-016",
    "SHOULD",
    source="Beckn v2 docs, 13, and NFH-007, section 3.1: two digest prefixes",
    on_refusal=True,
)
def unusual_signature_is_not_refused(trace: Trace) -> Iterator[Outcome]:
    """A signature is read with either digest prefix, with spaces, and up to 5 s ahead."""
    for message in trace.beckn:
        if _is_welcome(message) and _is_unusual(trace, message):
            yield _not_refused(message)


def _is_welcome(message: Message) -> bool:
    if message.deliberate is not None or message.receiver is None or message.answer is None:
        return False
    return _is_authentic(message)


def _is_unusual(trace: Trace, message: Message) -> bool:
    check = message.signature
    usual = editions()[trace.scene.edition].digest_prefix
    if check is not None and check.digest_prefix not in (None, usual):
        return True
    text = message.headers.get("authorization", "")
    return _SPACED.search(text) is not None or is_ahead(message)


def is_ahead(message: Message) -> bool:
    """Tell whether a message says that it was signed after it was sent."""
    header = signing.parse_header(message.headers.get("authorization", ""))
    sent = instant(message.at)
    return header is not None and sent is not None and header.created_s > sent.timestamp()


_SPACED = re.compile(r'",\s')


def _not_refused(message: Message) -> Outcome:
    ack, answer = message.ack, message.answer
    code = ack.error_code if ack else None
    refused = answer is not None and answer.status == HTTPStatus.UNAUTHORIZED
    return outcome(
        not refused or code in _OTHER_REASONS,
        by=message.receiver,
        message=message,
        observed=f"HTTP 401 ({code}) to a message that is rightly signed",
        expected="no refusal for its signature",
        in_answer=True,
    )


_OTHER_REASONS = frozenset(
    f"AUT_{name}"
    for name in ("UNAUTHORIZED_ACTION", "DOMAIN_NOT_ALLOWED", "REPLAY_DETECTED", "RATE_LIMITED")
)
"""What else may be answered with 401."""


# -- the context ------------------------------------------------------------------------


def _is_authentic(message: Message) -> bool:
    """Tell whether a message is signed by the sender that its context names, if it names one."""
    check = message.signature
    if check is None or not check.is_valid:
        return False
    return message.named_sender in (None, check.subscriber_id)


def _read_by_someone(trace: Trace) -> Iterator[Message]:
    """Give the messages whose context matters: authentic, and delivered to an actor."""
    return (m for m in trace.beckn if m.receiver is not None and _is_authentic(m))


@rule("ENV-020", "MUST", source="Beckn v2 docs, 12, section 3; document 27, 8.4", on_refusal=True)
def incomplete_context_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message whose context lacks a mandatory field is refused with 400."""
    for message in _read_by_someone(trace):
        if message.dialect is None:
            continue
        envelope = message.reading.envelope
        mandatory = DIALECTS[message.dialect].mandatory_context
        missing = [
            name
            for name in mandatory
            if getattr(envelope, name) is None and name not in open_context(message.action)
        ]
        if missing:
            reason = f"without {', '.join(missing).replace('_', ' ')}"
            right = [HTTPStatus.BAD_REQUEST]
            if message.named_sender is None:  # nobody can tell whether its sender signed it
                right.append(HTTPStatus.UNAUTHORIZED)
            yield _refused(message, reason, *right)


@rule("ENV-021", "MUST", source="Beckn v2 docs, 25, section 8; document 27, 8.4", on_refusal=True)
def unsupported_version_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message of another version of the protocol is refused with 400."""
    for message in _read_by_someone(trace):
        version = message.reading.envelope.version
        if version not in (None, VERSION):
            yield _refused(message, f"of version {version}", HTTPStatus.BAD_REQUEST)


@rule("ENV-022", "MUST", source="Beckn v2 docs, 12, section 7; NFH-008", on_refusal=True)
def action_of_another_endpoint_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message posted to the endpoint of another action is refused, and not with 500."""
    for message in _read_by_someone(trace):
        action = message.reading.envelope.action
        if action not in (None, message.action) and is_known(message.action):
            reason = f"with the action {action} at {message.action}"
            # Who does not serve that endpoint at all says so.
            right = HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED
            yield _refused(message, reason, *right)


@rule("ENV-023", "MUST", source="certification draft, C-BPP-01; NFH-008", on_refusal=True)
def unknown_action_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message with an action that the protocol does not know is refused, and not with 500."""
    for message in _read_by_someone(trace):
        action = message.reading.envelope.action
        if action == message.action and not is_known(message.action):
            right = HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED
            yield _refused(message, f"with the action {action}", *right)


@rule("ENV-024", "MUST", source="NFH-008, CON-008-01; Beckn v2.0.0, api, 400", on_refusal=True)
def unreadable_body_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A message that is no JSON, or in no dialect of the protocol, is refused with 400."""
    for message in trace.beckn:
        check = message.signature
        if check is None or not check.is_valid or message.receiver is None:
            continue
        if message.dialect is None:  # nor can anyone tell whether its sender signed it
            right = HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED
            yield _refused(message, "that cannot be read", *right)


@rule(
    "ENV-025",
    "SHOULD",
    source="Beckn v2.0.0 LTS, api, Context.ttl; NFH-008",
    judges=ASKED,
    on_refusal=True,
)
def stale_request_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A request that arrives after its time to live is refused."""
    for message in trace.requests:
        if message.receiver is None or message.answer is None or not _is_authentic(message):
            continue
        late_s = _late_s(message)
        if late_s is not None and late_s > CLOCKS_DIFFER_S:
            yield outcome(
                message.answer.status >= HTTPStatus.BAD_REQUEST,
                by=message.receiver,
                message=message,
                observed=f"HTTP {message.answer.status} to a request {late_s:.0f} s too late",
                expected="a NACK",
                in_answer=True,
            )


def _late_s(message: Message) -> float | None:
    """Tell by how much a message came after its ttl; None when that cannot be told."""
    envelope = message.reading.envelope
    lives_s = duration_s(envelope.ttl) if envelope.ttl else None
    written, arrived = _instant(envelope.timestamp), _instant(message.at)
    if lives_s is None or written is None or arrived is None:
        return None
    return (arrived - written).total_seconds() - float(lives_s)


def _instant(text: str | None) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text or "")
        return instant.astimezone(UTC) if instant.tzinfo else None
    except (ValueError, OverflowError):
        return None

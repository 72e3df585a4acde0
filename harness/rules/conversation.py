"""COR: what one makes of the repeated, the unknown, the unasked, and of being turned away.

Belongs here: the effect of a message, seen in what follows it. Does not belong here: that
a callback fits its request (correlation), the order of a flow (sequence).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gridwitness.protocol import callback_of
from gridwitness.rules import outcome, rule
from gridwitness.story import ASKED, CONSUMER, PARTICIPANT
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace

BINDING = ("select", "init", "confirm", "update", "cancel")
"""The requests that change something; to the others, several callbacks may be an answer."""

MOST_ATTEMPTS = 3
"""How often one may ask again after being turned away."""


@rule(
    "COR-010",
    "MUST",
    source="NFH-007, section 10.1 (CTX_MESSAGE_ID_DUPLICATE); Beckn v2 docs, 13 (replay cache)",
    judges=ASKED,
    on_refusal=True,
)
def repeated_request_has_one_effect(trace: Trace) -> Iterator[Outcome]:
    """A request that comes twice, byte for byte, is refused or acted on once."""
    said = _answers_by_id(trace)
    first: dict[tuple[str | None, str, bytes], Message] = {}
    for message in trace.requests:
        message_id = message.reading.envelope.message_id
        if message_id is None or message.action not in BINDING:
            continue
        original = first.setdefault((message.sender, message_id, message.raw), message)
        if original is message or original.ends_here or message.ack is None:
            continue
        times = said[callback_of(message.action), message.receiver, message_id]
        yield outcome(
            message.ends_here or times <= 1,
            by=message.receiver,
            message=message,
            observed=f"{message.action} was accepted again, and answered {times} times",
            expected="a NACK, or no second effect",
        )


def _answers_by_id(trace: Trace) -> Counter[tuple[str, str | None, str | None]]:
    """Count the callbacks by action, sender and message id."""
    return Counter(
        (message.action, message.sender, message.reading.envelope.message_id)
        for message in trace.beckn
        if message.is_callback
    )


@rule(
    "COR-011",
    "MUST",
    source="certification draft, C-BPP-04 and C-BPP-05; NFH-008, CON-021-04",
    judges=ASKED,
    on_refusal=True,
)
def unknown_thing_is_an_error(trace: Trace) -> Iterator[Outcome]:
    """A request about a contract or an offer that does not exist is answered with an error.

    The error comes at once, or as the callback. Only what was asked on purpose is looked
    at: a recording may begin after the contract was made.
    """
    known: set[str] = set()
    for message in trace.beckn:
        contract = message.reading.contract
        if message.deliberate is None:
            known |= {offer.offer_id for offer in message.reading.offers}
            known |= {id_ for id_ in (contract and contract.contract_id,) if id_ is not None}
        elif not message.is_callback and contract is not None and message.ack is not None:
            opens = message.action in ("select", "init")  # the contract may be new, the offer not
            named = contract.offer_id if opens else contract.contract_id
            if named is not None and named not in known:
                yield _an_error(trace, message, f"the {'offer' if opens else 'contract'} {named}")


def _an_error(trace: Trace, request: Message, what: str) -> Outcome:
    callbacks = trace.callbacks_of(request)
    told = request.ends_here or any(callback.reading.error is not None for callback in callbacks)
    seen = f"{callbacks[0].action} without an error" if callbacks else "nothing but an ACK"
    return outcome(
        told,
        by=request.receiver,
        message=request,
        observed=f"{seen} to {request.action} about {what}, which nobody knows",
        expected="an error at once, or in the callback",
    )


@rule(
    "COR-012",
    "MUST",
    source="Beckn v2.0.0 LTS, api, on_status and on_update; NFH-013, CON-013-12 and CON-013-13",
    judges=(PARTICIPANT,),
    on_refusal=True,
)
def news_is_accepted(trace: Trace) -> Iterator[Outcome]:
    """News that nobody asked for is accepted, when it is of a trade under way."""
    for message in _unasked(trace):
        if _opened(trace, message) and message.action in ("on_status", "on_update"):
            yield outcome(
                not message.ends_here,
                by=message.receiver,
                message=message,
                observed=f"{message.action} was refused",
                expected="an ACK: its message id is new, its transaction is not",
                in_answer=True,
            )


@rule(
    "COR-013",
    "SHOULD",
    source="NFH-007, section 10.3 (CTX_TRANSACTION_ID_UNKNOWN)",
    judges=(PARTICIPANT,),
    on_refusal=True,
)
def callback_of_no_transaction_is_refused(trace: Trace) -> Iterator[Outcome]:
    """A callback in a transaction that its receiver never opened is refused."""
    for message in trace.beckn:
        if (
            not message.is_callback
            or message.ack is None
            or not _is_for_a_participant(trace, message)
        ):
            continue
        if message.reading.envelope.transaction_id is None or not _is_valid(message):
            continue
        if not _opened(trace, message):
            yield outcome(
                message.ends_here,
                by=message.receiver,
                message=message,
                observed="an ACK to a callback that nobody asked for",
                expected="a NACK",
                in_answer=True,
            )


def _unasked(trace: Trace) -> Iterator[Message]:
    """Give a participant's honest callbacks whose message id no request of its own has."""
    asked = {(request.sender, request.reading.envelope.message_id) for request in trace.requests}
    for message in trace.beckn:
        own = message.receiver, message.reading.envelope.message_id
        honest = message.deliberate is None and message.ack is not None and _is_valid(message)
        unasked = message.is_callback and own not in asked
        if unasked and honest and _is_for_a_participant(trace, message):
            yield message


def _is_for_a_participant(trace: Trace, message: Message) -> bool:
    return trace.role(message.receiver) == PARTICIPANT


def _is_valid(message: Message) -> bool:
    return message.signature is not None and message.signature.is_valid


def _opened(trace: Trace, callback: Message) -> bool:
    """Tell whether the receiver of a callback has asked something in its transaction before."""
    key = callback.receiver, callback.reading.envelope.transaction_id
    return _openings(trace).get(key, callback.number) < callback.number


@once
def _openings(trace: Trace) -> dict[tuple[str | None, str | None], int]:
    """Find the first request of each sender in each transaction."""
    first: dict[tuple[str | None, str | None], int] = {}
    for request in trace.requests:
        first.setdefault((request.sender, request.reading.envelope.transaction_id), request.number)
    return first


@rule(
    "COR-014",
    "MUST",
    source="certification draft, C-BAP-05: an answer after which no callback comes",
    judges=(PARTICIPANT, CONSUMER),
    on_refusal=True,
)
def who_is_turned_away_does_not_insist(trace: Trace) -> Iterator[Outcome]:
    """Who is told that no callback will come asks three times more at the most."""
    attempts: Counter[tuple[str | None, str | None, str]] = Counter()
    for message in trace.requests:
        if trace.role(message.sender) not in (PARTICIPANT, CONSUMER):
            continue
        if message.deliberate is None and message.ends_here:
            key = message.sender, message.receiver, message.action
            attempts[key] += 1
            yield outcome(
                attempts[key] <= 1 + MOST_ATTEMPTS,
                by=message.sender,
                message=message,
                observed=f"{message.action} for the {attempts[key]}th time",
                expected="another request, or the end",
            )

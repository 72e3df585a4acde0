"""COR: requests and the callbacks that answer them."""

from __future__ import annotations

from bisect import bisect
from typing import TYPE_CHECKING

from gridwitness.protocol import callback_of, request_of
from gridwitness.rules import outcome, rule
from gridwitness.story import ASKED, ASKING, CATALOGUE
from gridwitness.trace import once

MOST_CALLBACKS = 3
"""How many callbacks are looked at for one that answers a refused request."""

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace


@rule(
    "COR-001",
    "MUST",
    source="Beckn v2.0.0, api, Context.messageId; NFH-013, CON-013-04",
    judges=ASKED,
)
def callback_echoes_the_message_id(trace: Trace) -> Iterator[Outcome]:
    """A callback carries the message id of the request it answers."""
    for request in trace.requests:
        asked = request.reading.envelope.message_id
        callbacks = trace.callbacks_of(request)
        if not callbacks or asked is None:
            continue
        answered = callbacks[0].reading.envelope.message_id  # any that echoes it comes first
        yield outcome(
            answered == asked,
            by=callbacks[0].sender,
            message=callbacks[0],
            observed=f"{callbacks[0].action} carried {answered!r}",
            expected=f"{asked!r}, as in {request.action}",
            pointer=callbacks[0].context_pointer("message_id"),
        )


@rule(
    "COR-002",
    "MUST",
    source="Beckn v2.0.0, api, Context.transactionId; NFH-013, CON-013-05",
    judges=ASKED,
)
def callback_keeps_the_transaction(trace: Trace) -> Iterator[Outcome]:
    """A callback carries a transaction id under which its receiver asked something."""
    for message in trace.beckn:
        if not message.is_callback or message.receiver is None:
            continue
        if message.recorded != "ours" and not _asks(trace, message):
            continue  # what it answers may have been said before the recording began
        transaction_id = message.reading.envelope.transaction_id
        opened = _opened(trace).get((message.receiver, transaction_id), message.number)
        yield outcome(
            opened < message.number,
            by=message.sender,
            message=message,
            observed=f"transaction {transaction_id!r}",
            expected=f"a transaction that {message.receiver} opened",
            pointer=message.context_pointer("transaction_id"),
        )


def _asks(trace: Trace, callback: Message) -> bool:
    """Tell whether the receiver of a callback asked something that it may answer, anywhere."""
    asked = callback.receiver, request_of(callback.action)
    return _first_asked(trace).get(asked, callback.number) < callback.number


@once
def _first_asked(trace: Trace) -> dict[tuple[str | None, str], int]:
    """Find the first request of each sender and action."""
    first: dict[tuple[str | None, str], int] = {}
    for request in trace.requests:
        first.setdefault((request.sender, request.action), request.number)
    return first


@once
def _opened(trace: Trace) -> dict[tuple[str | None, str | None], int]:
    """Find the first request of each sender in each transaction."""
    first: dict[tuple[str | None, str | None], int] = {}
    for request in trace.requests:
        first.setdefault((request.sender, request.reading.envelope.transaction_id), request.number)
    return first


@rule(
    "COR-003",
    "MUST",
    source="NFH-013, CON-013-16: a request has a message id of its own",
    judges=ASKING,
)
def message_ids_are_fresh(trace: Trace) -> Iterator[Outcome]:
    """A request carries a message id that no earlier request of its sender carried."""
    seen: set[tuple[str | None, str]] = set()
    for request in trace.requests:
        message_id = request.reading.envelope.message_id
        if message_id is None:
            continue
        key = request.sender, message_id
        yield outcome(
            key not in seen,
            by=request.sender,
            message=request,
            observed=f"{request.action} carries {message_id!r} again",
            expected="an id of its own",
            pointer=request.context_pointer("message_id"),
        )
        seen.add(key)


def _withdrawn(trace: Trace) -> set[str | None]:
    """Name the transactions whose contract was cancelled: their confirm is answered by that."""
    return {
        message.reading.envelope.transaction_id
        for message in trace.of("on_cancel")
        if message.reading.error is None
    }


@rule(
    "COR-004",
    "MUST",
    source="NFH-013, CON-013-03: an ACK is followed by a callback; ttl",
    judges=ASKED,
)
def acknowledged_request_is_called_back(trace: Trace) -> Iterator[Outcome]:
    """A request that was acknowledged gets its callback before its ttl has passed.

    A confirm whose contract is cancelled before it binds is answered by on_cancel.
    """
    withdrawn = _withdrawn(trace)
    for request in trace.requests:
        if request.ack is None or request.ends_here or request.deadline_s is None:
            continue
        if request.action == "confirm" and request.reading.envelope.transaction_id in withdrawn:
            continue
        callbacks = trace.callbacks_of(request)
        in_time = any(callback.sent_s <= request.deadline_s for callback in callbacks)
        waited_s = request.deadline_s - request.sent_s
        where = trace.scene.uris.get(request.sender or "", "")
        seen = f"no {callback_of(request.action)} within {waited_s:.1f} s"
        if callbacks and not in_time:
            late_s = callbacks[0].sent_s - request.sent_s
            seen = f"{callback_of(request.action)} came {late_s:.1f} s later"
        elif strays := _misdirected(trace, request):
            seen += f"; a {strays[0].method} to {strays[0].url} is no callback"
        yield outcome(
            in_time,
            by=request.receiver,
            message=request,
            observed=seen,
            expected=f"a POST to {where}/{callback_of(request.action)}",
        )


@rule(
    "COR-006",
    "MUST",
    source="Beckn v2.0.0, api: order and contract are known by their id",
    judges=ASKED,
    spares=(CATALOGUE,),
)
def contract_keeps_its_id(trace: Trace) -> Iterator[Outcome]:
    """A callback speaks of the contract that its request spoke of."""
    for request in trace.requests:
        asked = request.reading.contract
        for callback in trace.callbacks_of(request):
            answered = callback.reading.contract
            if (
                asked is None
                or answered is None
                or None in (asked.contract_id, answered.contract_id)
            ):
                continue
            if callback.reading.envelope.message_id != request.reading.envelope.message_id:
                continue
            yield outcome(
                answered.contract_id == asked.contract_id,
                by=callback.sender,
                message=callback,
                observed=f"contract {answered.contract_id}",
                expected=f"contract {asked.contract_id}, as in {request.action}",
                pointer=answered.pointer("contract_id"),
            )


def _misdirected(trace: Trace, request: Message) -> list[Message]:
    """Find what may have been meant as the callback, but went elsewhere."""
    astray = _astray(trace).get(callback_of(request.action).rpartition("/")[2], [])
    return astray[bisect(astray, request.number, key=lambda message: message.number) :][:1]


@once
def _astray(trace: Trace) -> dict[str, list[Message]]:
    """Find what ends like a callback but reached nobody, or another path."""
    found: dict[str, list[Message]] = {}
    for message in trace.messages:
        last = message.action.rpartition("/")[2]
        if message.receiver is None or message.action != last:
            found.setdefault(last, []).append(message)
    return found


@rule(
    "COR-005",
    "MUST",
    source="NFH-013, CON-013-09: a NACK, or an ACK that says so, is not followed by a callback",
    judges=ASKED,
    on_refusal=True,
)
def refused_request_is_not_called_back(trace: Trace) -> Iterator[Outcome]:
    """A request that was refused gets no callback."""
    for request in trace.requests:
        if not request.ends_here:
            continue
        # One that may answer another request, asked again in the same transaction, answers that.
        callbacks = [
            callback
            for callback in trace.callbacks_of(request)[:MOST_CALLBACKS]
            if all(asked.ends_here for asked in trace.asked_by(callback))
        ]
        yield outcome(
            not callbacks,
            by=request.receiver,
            message=callbacks[0] if callbacks else request,
            observed=f"{callback_of(request.action)} although {request.action} was refused",
            expected="no callback",
        )

"""ORD: the order of messages, as a partial order that the feature's table states.

Several participants act at once, so the table is no script: a row says which rows
must have come before it, of the same participant or of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwitness.acks import ACK, read_ack
from gridwitness.dialects import DIALECTS
from gridwitness.rules import outcome, rule
from gridwitness.story import PARTICIPANT, accepted, participant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Step, Trace
    from gridwitness.views import Reading

NFH13 = "NFH-013, section 4; facts/protocol, section D"

CARRIES: dict[str, Callable[[Reading], object]] = {
    "interval": lambda said: said.intent and said.intent.interval,
    "offer": lambda said: said.offers,
    "offer curve": lambda said: said.contract and said.contract.curve,
    "requested power": lambda said: said.contract and said.contract.requested_kw is not None,
    "approval": lambda said: said.contract and said.contract.approval,
    "charges": lambda said: said.contract and said.contract.charges,
    "cleared power": lambda said: said.contract and said.contract.clearing,
    "lock": lambda said: said.contract and said.contract.status == "ACTIVE",
    "meter reading": lambda said: said.contract and said.contract.readings,
    "settlement": lambda said: said.contract and said.contract.settlement,
}
"""What a row of the table may demand a message to carry."""


def _step(trace: Trace, message: Message) -> Step | None:
    roles = trace.role(message.sender), trace.role(message.receiver)
    for step in trace.scene.sequence:
        if (step.sender, step.receiver) == roles and message.action in step.actions:
            return step
    return None


def _missing_content(step: Step, message: Message) -> list[str]:
    return [word for word in step.carries if not CARRIES[word](message.reading)]


def _counts(message: Message) -> bool:
    """Tell whether a message moves the flow on: callbacks always, requests when accepted."""
    return message.is_callback or accepted(message)


def _on_time(trace: Trace, message: Message) -> bool:
    if not message.is_callback:
        return True
    asked = [
        request
        for request in trace.beckn
        if f"on_{request.action}" == message.action
        and request.number < message.number
        and request.sender == message.receiver
        and request.reading.envelope.transaction_id == message.reading.envelope.transaction_id
    ]
    return not asked or any(
        request.deadline_s is None or message.sent_s <= request.deadline_s for request in asked
    )


def _first(trace: Trace) -> dict[tuple[str, str | None], int]:
    """Find when each row was first fulfilled, by row and participant."""
    first: dict[tuple[str, str | None], int] = {}
    for message in trace.beckn:
        step = _step(trace, message)
        if step is None or not _counts(message) or not _on_time(trace, message):
            continue
        if not _missing_content(step, message):
            first.setdefault((step.name, participant_of(trace, message)), message.number)
    return first


@rule("ORD-001", "MUST", source=NFH13)
def nothing_comes_too_early(trace: Trace) -> Iterator[Outcome]:
    """A message comes after everything that the flow says must come before it."""
    first = _first(trace)
    for message in trace.beckn:
        step = _step(trace, message)
        if step is None or message.deliberate is not None:
            continue
        name = participant_of(trace, message)
        missing = [
            f"{row} of {who}"
            for row, who in _prerequisites(step, name, first)
            if first.get((row, who), message.number) >= message.number
        ]
        yield outcome(
            not missing,
            by=message.sender,
            message=message,
            observed=f"{message.action} before {', '.join(missing)}",
            expected=f"row {step.name} of the sequence after {', '.join(missing)}",
        )


def _prerequisites(
    step: Step, name: str | None, first: dict[tuple[str, str | None], int]
) -> Iterator[tuple[str, str | None]]:
    yield from ((row, name) for row in step.after)
    for row in step.after_all:
        yield from (key for key in first if key[0] == row)


@rule("ORD-002", "MUST", source=NFH13)
def nothing_foreign_to_the_flow_comes(trace: Trace) -> Iterator[Outcome]:
    """Every message is one that the flow knows; a pay-as-clear market has no select."""
    if not trace.scene.sequence:
        return
    for message in trace.beckn:
        if message.receiver is None or message.deliberate is not None:
            continue
        yield outcome(
            _step(trace, message) is not None,
            by=message.sender,
            message=message,
            observed=f"{message.action} from {message.sender} to {message.receiver}",
            expected="a message of the flow's sequence",
        )


@rule("ORD-003", "MUST", source=NFH13)
def nothing_is_left_out(trace: Trace) -> Iterator[Outcome]:
    """Every message of the flow comes, once what must come before it has come."""
    first = _first(trace)
    sent = {
        (step.name, participant_of(trace, message))
        for message in trace.beckn
        if (step := _step(trace, message)) is not None and not message.is_callback
    }
    for step in trace.scene.sequence:
        for name in trace.actors(PARTICIPANT):
            due = [(row, name) for row in step.after]
            if not due or not all(key in first for key in due):
                continue
            last = max(first[key] for key in due)
            yield outcome(
                (step.name, name) in first or (step.name, name) in sent,
                by=_sender(trace, step, name),
                message=trace.messages[last - 1],
                observed=f"no {' or '.join(step.actions)} to {step.receiver} for {name}",
                expected=f"row {step.name} of the sequence after row {step.after[-1]}",
            )


def _sender(trace: Trace, step: Step, name: str) -> str | None:
    if step.sender == PARTICIPANT:
        return name
    actors = trace.actors(step.sender)
    return actors[0] if actors else None


@rule("ORD-004", "MUST", source="facts/protocol, sections E3 and E6; architecture, section 5")
def message_carries_what_the_flow_needs(trace: Trace) -> Iterator[Outcome]:
    """A message carries what its place in the flow demands."""
    for message in trace.beckn:
        step = _step(trace, message)
        if step is None or not step.carries or message.deliberate is not None:
            continue
        error = message.reading.error
        missing = _missing_content(step, message)
        yield outcome(
            not missing,
            by=message.sender,
            message=message,
            observed=f"the error {error.code}: {error.text}"
            if error
            else f"{message.action} without {' and '.join(missing)}",
            expected=" and ".join(step.carries),
            pointer=error.pointer() if error else "/message",
        )


@rule("ORD-005", "MUST", source="Beckn v2.0.0, api, responses; NFH-013, section 2")
def what_is_right_is_accepted(trace: Trace) -> Iterator[Outcome]:
    """A message that is right, and in its place in the flow, is acknowledged with an ACK."""
    for message in trace.beckn:
        step, check = _step(trace, message), message.signature
        ack = read_ack(message.answer.body) if message.answer else None
        if step is None or ack is None or message.deliberate is not None:
            continue
        if _missing_content(step, message) or check is None or not check.is_valid:
            continue
        envelope = message.reading.envelope
        mandatory = DIALECTS[message.dialect or "order"].mandatory_context
        if envelope.action != message.action or not all(getattr(envelope, n) for n in mandatory):
            continue
        sender_id = envelope.bpp_id if message.is_callback else envelope.bap_id
        curve = message.reading.contract and message.reading.contract.curve
        if check.subscriber_id != sender_id or (curve and any(curve.problems())):
            continue
        yield outcome(
            ack.status == ACK,
            by=message.receiver,
            message=message,
            observed=f"{message.action} was refused: {ack.error_code} {ack.error_text or ''}",
            expected="an ACK",
            in_answer=True,
        )

"""SHP: messages, answers and building blocks laid against the schemas of their dialect.

Each fault has one name: what the dialect cannot read is told by ENV-010, the
mandatory fields of the context and how they are written by ENV-002 to ENV-007, the
form and the reasons of an answer by ACK-002 to ACK-004. It is not told again here.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from gridwitness.protocol import request_of
from gridwitness.rules import outcome, rule
from gridwitness.shape import MOST_ERRORS, known_action, places_of_blocks, validator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gridwitness.rules import Outcome
    from gridwitness.shape import ShapeError, Slot
    from gridwitness.trace import Message, Trace

API = "Beckn v2.0.0, api/beckn.yaml, request bodies"
ATTRIBUTES = "Beckn v2.0.0, attributes.yaml and beckn.yaml, Attributes"
MOST_TOLD = 5
"""No more errors of one message are told by one rule: the first are the most telling.

The last of them tells how many more were found; the search ends at MOST_ERRORS.
"""

ROOM_FOR_VALUE = 200
"""So much of what was observed is told where a count follows, which must not be cut off."""

NO_CALLBACK = (202, 409)
"""The statuses with which NFH-013 and Beckn 2.0.0 LTS promise no callback."""


@rule("SHP-001", "MUST", source=f"{API}; schemas/order, schemas/contract")
def message_has_the_shape_of_its_action(trace: Trace) -> Iterator[Outcome]:
    """A message holds only members and values that its dialect gives its action."""
    yield from _shapes(trace, lambda error: error.keyword not in ("format", "required"))


@rule("SHP-002", "MUST", source="schemas/energy, one document a block; beckn/DEG, building blocks")
def blocks_have_the_shape_of_their_type(trace: Trace) -> Iterator[Outcome]:
    """A building block has the shape of its type."""
    for message, errors in _own_errors(trace, _errors_in_blocks):
        if any(slot.block for slot in message.shape.slots):
            yield from _outcomes(errors, message, message.sender)


def _errors_in_blocks(message: Message) -> list[ShapeError]:
    errors = (
        error.below(slot.pointer)
        for slot in message.shape.slots
        if slot.block is not None
        for error in validator(f"energy/{slot.block}.json").errors(slot.value)
    )
    return list(islice(errors, MOST_ERRORS))


@rule("SHP-003", "MUST", source="schemas/slots.toml; architecture, section 4")
def blocks_sit_where_they_may(trace: Trace) -> Iterator[Outcome]:
    """A building block sits in a slot where its type may sit."""
    for message, slot in _slots(trace):
        if slot.block is not None:
            right = places_of_blocks()[slot.block]
            yield outcome(
                slot.name in right,
                by=message.sender,
                message=message,
                observed=f"{slot.block} in the slot {slot.name}",
                expected=f"{slot.block} in one of {', '.join(right)}",
                pointer=message.meaning.raw_pointer(slot.pointer),
            )


@rule("SHP-004", "MUST", source="Beckn v2.0.0, api, responses; NFH-008; schemas: answers.json")
def answers_have_the_shape_of_their_form(trace: Trace) -> Iterator[Outcome]:
    """An answer holds the members of its form, and a promise of no callback says why."""
    for message in trace.beckn:
        ack, answer = message.ack, message.answer
        if ack is None or answer is None:
            continue
        where = ANSWERS[ack.form]
        if answer.status in NO_CALLBACK and where.startswith("contract"):
            where += "-no-callback"
        errors = validator(where).errors(answer.body)
        yield from _outcomes(errors, message, message.receiver, in_answer=True)


ANSWERS = {
    "flat": "order/answers.json#/$defs/flat",
    "nested": "order/answers.json#/$defs/nested",
    "signed-body": "contract/answers.json#/$defs/signed-body",
    "signed-header": "contract/answers.json#/$defs/signed-header",
}


@rule("SHP-005", "MUST", source=f"{ATTRIBUTES}: @context and @type required")
def slots_name_context_and_type(trace: Trace) -> Iterator[Outcome]:
    """What stands in a slot names its @context and its @type."""
    for message, slot in _slots(trace):
        absent = [key for key in ("@context", "@type") if not slot.value.get(key)]
        yield outcome(
            not absent,
            by=message.sender,
            message=message,
            observed=f"the slot {slot.name} without {' and '.join(absent)}",
            expected="a context, and the name of a type",
            pointer=message.meaning.raw_pointer(slot.pointer),
        )


@rule("SHP-006", "MUST", source="Beckn v2.0.0, api, paths; Context.action")
def action_is_known(trace: Trace) -> Iterator[Outcome]:
    """The action is one that the dialect knows."""
    for message in trace.beckn:
        if message.dialect is None:
            continue
        action = message.reading.envelope.action or message.action
        yield outcome(
            known_action(message.dialect, action) is not None,
            by=message.sender,
            message=message,
            observed=f"the action {action!r}",
            expected=f"an action of the dialect {message.dialect}",
            pointer="/context/action",
        )


@rule("SHP-007", "MUST", source=f"{API}: format; schemas/order, schemas/contract")
def texts_are_in_their_format(trace: Trace) -> Iterator[Outcome]:
    """Ids, addresses and times of a message are written in the format its dialect names."""
    yield from _shapes(trace, lambda error: error.keyword == "format")


@rule("SHP-008", "MUST", source=f"{API}: required; schemas/order, schemas/contract")
def nothing_required_is_missing(trace: Trace) -> Iterator[Outcome]:
    """A message holds every member that its dialect requires of its action."""
    yield from _shapes(trace, lambda error: error.keyword == "required")


def _shapes(trace: Trace, mine: Callable[[ShapeError], bool]) -> Iterator[Outcome]:
    for message, errors in _own_errors(trace, lambda message: message.shape.errors):
        if message.shape.action is not None:
            yield from _outcomes(filter(mine, errors), message, message.sender)


def _slots(trace: Trace) -> Iterator[tuple[Message, Slot]]:
    return ((message, slot) for message in trace.beckn for slot in message.shape.slots)


def _own_errors(
    trace: Trace, find: Callable[[Message], Iterable[ShapeError]]
) -> Iterator[tuple[Message, list[ShapeError]]]:
    """Yield each message with its errors, without those that are told or made elsewhere.

    ENV-010 tells what the dialect could not read; and a callback that only repeats what
    the request it answers got wrong is not at fault.
    """
    asked: dict[tuple[str | None, ...], set[tuple[str, ...]]] = {}
    for message in trace.beckn:
        place = message.meaning.raw_pointer
        errors = [replace(error, pointer=place(error.pointer)) for error in find(message)]
        if errors:
            told = {problem.pointer for problem in message.reading.problems}
            errors = [error for error in errors if error.place not in told]
            asker, answerer = message.sender, message.receiver
            if message.is_callback:
                asker, answerer = answerer, asker
            action = request_of(message.action)
            about = (asker, answerer, action, message.reading.envelope.transaction_id)
            wrong = asked.setdefault(about, set())
            if message.is_callback:
                errors = [e for e in errors if (e.place, e.keyword) not in wrong]
            else:
                wrong |= {(error.place, error.keyword) for error in errors}
        yield message, errors


def _outcomes(
    errors: Iterable[ShapeError], message: Message, actor: str | None, *, in_answer: bool = False
) -> Iterator[Outcome]:
    """Yield one outcome an error, or a single one that says that there is none."""
    found = list(errors)
    told = found[:MOST_TOLD]
    for error in told or [None]:
        observed = error.observed if error else ""
        if len(found) > MOST_TOLD and error is told[-1]:
            observed = f"{observed[:ROOM_FOR_VALUE]}; {len(found) - MOST_TOLD} more were found"
        yield outcome(
            error is None,
            by=actor,
            message=message,
            observed=observed,
            expected=f"{error.expected} ({error.schema}, {error.keyword})" if error else "",
            pointer=error.pointer if error else "",
            in_answer=in_answer,
        )

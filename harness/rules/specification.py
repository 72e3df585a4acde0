"""SPC: messages against a specification that an operator lays beside.

Without one nothing here applies. Our own schemas are judged by SHP; what a rule here
finds is what the operator's documents say, faults of theirs included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwitness.rules import outcome, rule
from gridwitness.specification import faults_of_the_value, references, slots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Trace

PACKS = "Beckn v2 docs, attribute packs: attributes.yaml and context.jsonld of one folder"


@rule(
    "SPC-001",
    "MUST",
    source="Beckn v2.0.0, api: the request body of each action, as laid beside",
    needs_specification="api",
)
def message_keeps_the_specification(trace: Trace) -> Iterator[Outcome]:
    """A message conforms to the request body that the specification laid beside has for it."""
    beside = trace.specification
    for message in trace.beckn:
        if beside is None or message.dialect is None:
            continue
        errors = faults_of_the_value(
            beside.message_errors(message.dialect, message.action, message.body)
        )
        if errors is None:
            continue  # the report tells what of the specification is missing
        first = errors[0] if errors else None
        yield outcome(
            first is None,
            by=message.sender,
            message=message,
            observed=f"{_name(first.pointer)} {first.sentence}" if first else "",
            expected=f"{message.action} as in {beside.name}; {len(errors) - 1} more are wrong",
            pointer=first.pointer if first else "",
        )


@rule("SPC-002", "MUST", source=PACKS, needs_specification="packs")
def slots_keep_their_packs(trace: Trace) -> Iterator[Outcome]:
    """What stands in a slot conforms to the attribute pack of its context."""
    beside = trace.specification
    for message in trace.beckn:
        for pointer, slot in slots(message.body) if beside is not None else ():
            found = beside.slot_errors(slot) if beside is not None else None
            errors = faults_of_the_value(found) if found is not None else None
            if errors is None:
                continue  # SPC-003 tells that there is no pack, the report what is wrong with it
            first = errors[0] if errors else None
            yield outcome(
                first is None,
                by=message.sender,
                message=message,
                observed=f"{_name(pointer + first.pointer)} {first.sentence}" if first else "",
                expected=f"what its attribute pack allows; {len(errors) - 1} more are wrong",
                pointer=pointer + (first.pointer if first else ""),
            )


@rule("SPC-003", "SHOULD", source=PACKS, needs_specification="packs")
def references_are_laid_beside(trace: Trace) -> Iterator[Outcome]:
    """Every context and schema that a message refers to is in the specification laid beside."""
    beside = trace.specification
    for message in trace.beckn:
        for pointer, url in references(message.body) if beside is not None else ():
            fault = beside.reference_fault(url) if beside is not None else None
            yield outcome(
                fault is None,
                by=message.sender,
                message=message,
                observed=f"{url}: {fault}",
                expected="one document of the specification laid beside",
                pointer=pointer,
            )


def _name(pointer: str) -> str:
    """Give the last part of a pointer, as one would call it."""
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~") or "it"

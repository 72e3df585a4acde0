"""What messages state about money and energy, as the rules about it go through it.

Belongs here: whose messages such a rule judges, and how it says what it found. Does not
belong here: a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwitness.rules import outcome
from gridwitness.story import AGENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Amounts, View


def stated(trace: Trace) -> Iterator[tuple[Message, Amounts]]:
    """Yield each message with what it states."""
    for message in trace.beckn:
        yield message, message.amounts


def stated_by_others(trace: Trace) -> Iterator[tuple[Message, Amounts]]:
    """Yield the messages of what is not our own market: that one has rules of its own."""
    if AGENT not in trace.scene.roles.values():
        yield from stated(trace)


def say(  # noqa: PLR0913 (what a finding says)
    kept: bool,  # noqa: FBT001 (reads as a sentence)
    message: Message,
    view: View,
    name: str = "",
    *,
    observed: str,
    expected: str,
) -> Outcome:
    return outcome(
        kept,
        by=message.sender,
        message=message,
        observed=observed,
        expected=expected,
        pointer=view.pointer(name),
    )

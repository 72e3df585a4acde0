"""Rules: what conformance means, one pure function a rule.

Belongs here: the registry of rules, and what a rule yields. Each module beside
this one holds one family. Does not belong here: verdicts (judgement), I/O.

A rule looks at a trace and yields an `Outcome` for everything it examined, kept or
broken, each attributed to one actor. A rule that yields nothing was not exercised;
silence is never a pass.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from gridwitness.trace import Message, Trace

    Check = Callable[[Trace], Iterator["Outcome"]]

Level = Literal["MUST", "SHOULD", "MAY"]
Needs = Literal["", "api", "packs"]
"""Nothing, or a part of a specification laid beside: API documents, attribute packs."""

FAMILIES = (
    "envelope",
    "shape",
    "acknowledgement",
    "answer",
    "signature",
    "refusal",
    "correlation",
    "conversation",
    "sequence",
    "market",
    "locking",
    "money",
    "linked_data",
    "amounts",
    "interval_tables",
    "blocks",
    "specification",
    "lifecycle",
    "lineage",
    "grid",
    "aggregation",
    "billing",
    "allocation",
    "charging",
    "catalogue",
    "flexibility",
    "settlement_report",
    "bilateral_flexibility",
    "services",
)
"""The modules that define rules; a test holds the list complete."""

STANDS_FOR = {"aggregator": "clearing agent"}
"""Who is judged by the rules about another as well."""

MOST_SHOWN = 300
EVERYONE: tuple[str, ...] = ()
"""No roles named: a rule that can find fault with any of them."""


@dataclass(frozen=True)
class Outcome:
    """What a rule found where it looked: kept, or observed against expected.

    pointer is a JSON Pointer into the body of the message, or into its answer's body
    when in_answer is set. advisory: a breach that its actor cannot mend, and is only
    warned of.
    """

    kept: bool
    actor: str | None
    message: Message
    observed: str = ""
    expected: str = ""
    pointer: str = ""
    in_answer: bool = False
    advisory: bool = False


@dataclass(frozen=True)
class Rule:
    """One requirement: id, level, source, sentence, and the check.

    judges names the roles it can find fault with, none when it may be any; in another
    seat it does not apply. spares names roles that have no part in what it is about.
    on_refusal: only a message that ought to be refused, or is unusual, exercises it.
    when_stated: it judges what a message need not state at all; unexercised it does not
    apply, rather than being untestable.
    needs_specification: what has to be laid beside for it to apply, nothing when "".
    """

    id: str
    level: Level
    source: str
    sentence: str
    judges: tuple[str, ...]
    on_refusal: bool
    check: Check
    when_stated: bool = False
    needs_specification: Needs = ""
    spares: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        return self.id.partition("-")[0]

    def can_judge(self, role: str | None) -> bool:
        """Tell whether it can find fault with a role; an aggregator is an agent to its own."""
        stands_for = STANDS_FOR.get(role or "")
        judged = not self.judges or role in self.judges or stands_for in self.judges
        return role not in self.spares and judged

    def applies_beside(self, parts: Collection[str]) -> bool:
        """Tell whether the parts of a specification that are laid beside suffice for it."""
        return not self.needs_specification or self.needs_specification in parts


_RULES: dict[str, Rule] = {}


def rule(  # noqa: PLR0913 (what a rule says of itself)
    id_: str,
    level: Level,
    *,
    source: str,
    judges: tuple[str, ...] = EVERYONE,
    on_refusal: bool = False,
    when_stated: bool = False,
    needs_specification: Needs = "",
    spares: tuple[str, ...] = (),
) -> Callable[[Check], Check]:
    """Register a check as a rule; its docstring's first line is the sentence."""

    def register(check: Check) -> Check:
        if id_ in _RULES:
            raise ValueError(f"two rules are called {id_}")
        sentence = (inspect.getdoc(check) or "").partition("\n")[0]
        _RULES[id_] = Rule(
            id_,
            level,
            source,
            sentence,
            judges,
            on_refusal,
            check,
            when_stated,
            needs_specification,
            spares,
        )
        return check

    return register


def rules() -> dict[str, Rule]:
    """Give every rule by its id, in the order of the families."""
    for family in FAMILIES:
        importlib.import_module(f"{__name__}.{family}")
    return dict(_RULES)


def outcome(  # noqa: PLR0913 (what a finding says)
    kept: bool,  # noqa: FBT001 (reads as a sentence: outcome(kept, by=...))
    *,
    by: str | None,
    message: Message,
    observed: str = "",
    expected: str = "",
    pointer: str = "",
    in_answer: bool = False,
    advisory: bool = False,
) -> Outcome:
    """Say what was found at one place."""
    if kept:
        return Outcome(kept, by, message)
    return Outcome(kept, by, message, _cut(observed), _cut(expected), pointer, in_answer, advisory)


def _cut(text: str) -> str:
    """Cut what a participant may have made endless."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."

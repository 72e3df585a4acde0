"""Judgement: what the rules find in a trace, as verdicts.

Belongs here: running the rules of an edition over a trace, attributing what they
find, the words for the result. Does not belong here: the rules, writing reports.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gridwitness.editions import editions
from gridwitness.rules import rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from gridwitness.rules import Outcome, Rule
    from gridwitness.trace import Trace

Verdict = Literal[
    "passed",
    "nonconformant",
    "warning",
    "not_applicable",
    "not_exercised",
    "untestable",
    "harness_error",
]
RED: frozenset[Verdict] = frozenset({"nonconformant", "untestable", "harness_error"})
SEVERITY: tuple[Verdict, ...] = (
    "harness_error",
    "nonconformant",
    "untestable",
    "warning",
    "passed",
    "not_exercised",
    "not_applicable",
)
"""The gravest first; the verdict of a whole is that of its gravest part.

not_exercised is for rules that nobody demanded and that had nothing to judge: in recorded
traffic, and in the features of others.
"""


@dataclass(frozen=True)
class Finding:
    """A rule that does not hold at one place, attributed to one actor.

    pointer is a JSON Pointer into the message's body, or into the body of its
    answer when in_answer is set.
    """

    rule: str
    level: str
    verdict: Verdict
    sentence: str
    source: str
    actor: str
    observed: str
    expected: str
    message: int
    pointer: str
    in_answer: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Judgement:
    """What one trace shows.

    verdicts holds one word a rule of the edition; a rule that examined nothing is
    missing. exercised counts what each rule examined of the participant under test,
    examined of anybody.
    """

    findings: tuple[Finding, ...]
    verdicts: Mapping[str, Verdict]
    exercised: Mapping[str, int]
    examined: Mapping[str, int]

    @property
    def verdict(self) -> Verdict:
        return gravest(["passed", *(finding.verdict for finding in self.findings)])

    def untested(self, families: Iterable[str]) -> list[Rule]:
        """Give the rules of some families that examined nothing of the participant."""
        return [
            rule
            for rule in rules().values()
            if rule.family in families
            and rule.id in self.verdicts
            and not self.exercised[rule.id]
            and not rule.when_stated
        ]


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """Give the gravest of some verdicts."""
    return min(verdicts, key=SEVERITY.index)


def required(edition_id: str, role: str, parts: Collection[str] = ()) -> list[Rule]:
    """Give the rules of an edition that a role must exercise.

    They are those that can find fault with it, apart from those about what it need not
    state. parts names what of a specification is laid beside; without it some rules do
    not apply.
    """
    wanted = editions()[edition_id].rules
    return [
        rule
        for rule in rules().values()
        if rule.id in wanted
        and rule.can_judge(role)
        and not rule.when_stated
        and rule.applies_beside(parts)
    ]


def judge(trace: Trace, subject: str | None) -> Judgement:
    """Judge a trace by every rule of its edition.

    subject is the actor in the seat. What a rule finds at another actor is a fault
    of the harness, and so is a rule that fails; what is wrong on purpose is none.
    None judges everybody alike: in recorded traffic no actor is ours.
    """
    edition = editions()[trace.scene.edition]
    findings: list[Finding] = []
    verdicts: dict[str, Verdict] = {}
    exercised: dict[str, int] = {}
    examined: dict[str, int] = {}
    parts = trace.specification.parts(trace.scene.dialect) if trace.specification else ()
    roles = [trace.role(subject)] if subject else list(trace.scene.roles.values())
    for rule in rules().values():
        if rule.id not in edition.rules:
            continue
        if not rule.applies_beside(parts):
            verdicts[rule.id] = "not_applicable"
            exercised[rule.id] = examined[rule.id] = 0
            continue
        lenient = trace.scene.strictness == "deployed" and rule.id in edition.deployed
        outcomes, broken = _examine(rule, trace)
        if subject is None:  # a rule about clearing agents says nothing of a party of no known role
            outcomes = [item for item in outcomes if rule.can_judge(trace.role(item.actor))]
        found = [
            _finding(rule, item, subject, lenient=lenient)
            for item in outcomes
            if not item.kept and not _on_purpose(item)
        ]
        if broken:
            found.append(_our_fault(rule, broken))
        findings += found
        mine = [item for item in outcomes if subject in (None, item.actor)]
        exercised[rule.id], examined[rule.id] = len(mine), len(outcomes)
        applies = any(map(rule.can_judge, roles)) and (mine or not rule.when_stated)
        if found:
            verdicts[rule.id] = gravest(finding.verdict for finding in found)
        elif applies:
            verdicts[rule.id] = "passed" if mine else "untestable"
        else:
            verdicts[rule.id] = "not_applicable"
    return Judgement(tuple(findings), verdicts, exercised, examined)


def _examine(rule: Rule, trace: Trace) -> tuple[list[Outcome], str]:
    try:
        return list(rule.check(trace)), ""
    except Exception:  # noqa: BLE001 (a rule that fails is our fault, and must not hide the others)
        return [], traceback.format_exc()


def _on_purpose(item: Outcome) -> bool:
    return item.message.deliberate is not None and item.actor == item.message.sender


def _finding(rule: Rule, item: Outcome, subject: str | None, *, lenient: bool) -> Finding:
    verdict: Verdict = "nonconformant"
    if lenient or item.advisory or rule.level != "MUST":
        verdict = "warning"
    elif subject not in (None, item.actor):
        verdict = "harness_error"
    return Finding(
        rule=rule.id,
        level=rule.level,
        verdict=verdict,
        sentence=rule.sentence,
        source=rule.source,
        actor=item.actor or "nobody known",
        observed=item.observed,
        expected=item.expected,
        message=item.message.number,
        pointer=item.pointer,
        in_answer=item.in_answer,
    )


def _our_fault(rule: Rule, detail: str) -> Finding:
    return Finding(
        rule=rule.id,
        level=rule.level,
        verdict="harness_error",
        sentence=rule.sentence,
        source=rule.source,
        actor="gridwitness",
        observed=detail.strip().splitlines()[-1],
        expected="a rule that can judge any trace",
        message=0,
        pointer="",
        detail=detail,
    )


def explain(finding: Finding, trace_file: str, rerun: str) -> str:
    """Tell a finding in five lines."""
    return five_lines(
        rule=finding.rule,
        sentence=finding.sentence,
        observed=f"{finding.observed}; expected {finding.expected}",
        evidence=place(trace_file, finding.message, finding.pointer, in_answer=finding.in_answer),
        source=finding.source,
        rerun=rerun,
    ) + (f"\n{finding.detail}" if finding.detail else "")


def place(trace_file: str, message: int, pointer: str, *, in_answer: bool) -> str:
    """Tell where a message stands: file, line, and the JSON Pointer into it."""
    if not message:
        return trace_file
    # The first line of a trace tells the scenario, so message 1 stands in line 2.
    return f"{trace_file}:{message + 1}#{pointer}{' (in the answer)' if in_answer else ''}"


def five_lines(  # noqa: PLR0913 (the parts of the form)
    *, rule: str, sentence: str, observed: str, evidence: str, source: str, rerun: str
) -> str:
    """Tell what is wrong: rule, observed, evidence, source, and the command to rerun it."""
    return (
        f"{rule}: {sentence}\n"
        f"  observed  {observed}\n"
        f"  evidence  {evidence}\n"
        f"  source    {source}\n"
        f"  rerun     {rerun}"
    )

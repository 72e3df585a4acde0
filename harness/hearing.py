"""A hearing: one scenario's evidence, what is demanded of it, and how it ends.

Belongs here: what a step may ask about an exchange. Does not belong here: the
rules, the report.
"""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from gridwitness.errors import HarnessFault, Nonconformance, Untestable
from gridwitness.judgement import Judgement, Verdict, explain, five_lines, gravest, judge
from gridwitness.rules import rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gridwitness.judgement import Finding
    from gridwitness.rules import Rule
    from gridwitness.specification import Specification
    from gridwitness.trace import Trace


class Hearing:
    """The judge's view of one scenario.

    subject is the role that is judged, and once something was played the name of its
    actor, as the trace tells it. absent maps a rule's id to the reason why the
    participant declares that it does not apply. specification is what is laid beside.
    """

    def __init__(
        self,
        subject: str,
        trace_file: str,
        rerun: str,
        absent: dict[str, str],
        specification: Specification | None = None,
    ) -> None:
        self.subject = subject
        self.trace_file = trace_file
        self.rerun = rerun
        self.trace: Trace | None = None
        self.judgement: Judgement | None = None
        self.faults: list[str] = []
        self.specification = specification
        self._absent = absent
        self._untested: dict[str, Rule] = {}
        self._demanded: set[str] = set()

    def hear(self, trace: Trace, faults: Sequence[BaseException] = ()) -> None:
        """Take the evidence: the trace, and what failed in our own code."""
        self.trace = trace = replace(trace, specification=self.specification)
        self.subject = trace.scene.subject or self.subject
        self.judgement = judge(trace, self.subject)
        self.faults += ["".join(traceback.format_exception(fault)) for fault in faults]

    def demand(self, chosen: Iterable[Rule]) -> None:
        """Demand that some rules were exercised and kept; raises Red otherwise.

        What need not be stated is judged at whoever states it: there it is enough that the
        exchange exercised the rule at all.
        """
        if self.judgement is None:
            raise Untestable("nothing was played before something is demanded of it")
        if self.faults:
            raise HarnessFault("\n".join(self.faults))
        wanted = {rule.id: rule for rule in chosen if self._applies(rule)}
        self._demanded |= wanted.keys()
        findings = [f for f in self.judgement.findings if f.rule in wanted]
        for rule in wanted.values():
            judged = self.judgement
            shown = (judged.examined if rule.when_stated else judged.exercised)[rule.id]
            if not shown and rule.id not in self._absent:
                self._untested[rule.id] = rule
        self._raise(findings, [r for r in self._untested.values() if r.id in wanted])

    def close(self) -> None:
        """End the hearing: whatever was found, demanded or not, counts; raises Red."""
        if self.faults:
            raise HarnessFault("\n".join(self.faults))
        self._raise(self.findings, list(self._untested.values()))
        if not self._demanded:
            raise Untestable(
                f"nothing is demanded of {self.subject}: no rule of the Then sentences can"
                f" find fault with it\n  rerun     {self.rerun}"
            )

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.judgement.findings if self.judgement else ()

    @property
    def verdict(self) -> Verdict:
        """The verdict of the scenario, apart from exceptions that escaped."""
        if self.faults:
            return "harness_error"
        found: list[Verdict] = [self.judgement.verdict if self.judgement else "untestable"]
        silent = self._untested or not self._demanded
        return gravest([*found, *(["untestable"] if silent else [])])

    def rule_verdict(self, rule_id: str) -> Verdict:
        if rule_id in self._absent and not any(f.rule == rule_id for f in self.findings):
            return "not_applicable"
        return self.judgement.verdicts[rule_id] if self.judgement else "untestable"

    def _applies(self, rule: Rule) -> bool:
        return (
            self.judgement is not None
            and rule.id in self.judgement.verdicts
            and (self.judgement.verdicts[rule.id] != "not_applicable" or self._is_silent(rule))
        )

    def _is_silent(self, rule: Rule) -> bool:
        """Tell whether a rule could have judged the subject, had it stated anything."""
        role = self.trace.role(self.subject) if self.trace else None
        return rule.when_stated and rule.can_judge(role)

    def _raise(self, findings: Sequence[Finding], untested: Sequence[Rule]) -> None:
        red = [f for f in findings if f.verdict in ("nonconformant", "harness_error")]
        texts = [explain(f, self.trace_file, self.rerun) for f in red]
        if any(f.verdict == "harness_error" for f in red):
            raise HarnessFault("\n".join(texts))
        if red:
            raise Nonconformance("\n".join(texts))
        if untested:
            raise Untestable("\n".join(self._silence(rule) for rule in untested))

    def _silence(self, rule: Rule) -> str:
        return five_lines(
            rule=rule.id,
            sentence=rule.sentence,
            observed="nothing that this rule applies to; silence is not a pass",
            evidence=self.trace_file,
            source=rule.source,
            rerun=self.rerun,
        )


def family(*names: str) -> list[Rule]:
    """Give the rules of some families that every trade exercises."""
    return [
        rule
        for rule in rules().values()
        if rule.family in names and not rule.on_refusal and not rule.when_stated
    ]

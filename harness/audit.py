"""The audit of recorded traffic: every flow judged by the rules, the report written as it goes.

Belongs here: judging flows in several processes, what a flow's and a message's verdict is,
`report.json` of an audit. Does not belong here: reading recordings (recordings), the
rules, printing (terminal).

An audit certifies nothing by silence: it tells what it found in what was recorded, and
how many rules had something to judge there. A fragment is not red because a rule did
not apply to it; it is red when a rule is broken, or when it cannot be read.

A trace of ours is judged as its run was: what is wrong at another actor than its subject
is a fault of the harness there, so it is one here, although the file may have been changed.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections import Counter, deque
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from gridwitness import __version__
from gridwitness.editions import editions
from gridwitness.errors import UserError
from gridwitness.judgement import SEVERITY, Finding, Judgement, Verdict, five_lines, gravest, judge
from gridwitness.recordings.files import MEND, Flow, Heard, PassedOver, read_flow, recorded
from gridwitness.recordings.flows import EDITION_OF, Terms
from gridwitness.report import SCHEMA, describe, finding_record, write_streamed
from gridwitness.rules import rules
from gridwitness.specification import laid_beside
from gridwitness.trace import Scene, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gridwitness.trace import Message

BATCH_MESSAGES = 256
"""How many messages go to a process at once; what a folder holds counts as many as its files."""

FEW_BATCHES = 8
"""So many batches are judged here: starting processes would take longer."""

PARTS = ("scenarios", "findings", "passed_over")
"""The members of the report that grow with the recording; each is written as it goes."""

AHEAD = 3
"""How many batches a process are under way; the rest is not yet read."""


@dataclass(frozen=True)
class Audited:
    """What became of a flow, ready to be written: one record a flow, a finding or a message.

    first holds the first finding of each rule and verdict.
    spoken counts messages by generation, broken findings by rule, examined what each rule
    of the edition looked at. read and unresolved tell what of the specification laid
    beside was read for this flow, and which references led nowhere.
    """

    verdict: Verdict
    title: str
    scenario: str
    findings: tuple[str, ...]
    first: tuple[dict[str, Any], ...]
    lines: tuple[str, ...]
    editions: dict[str, str]
    messages: int
    spoken: Counter[str]
    broken: Counter[str]
    examined: dict[str, int]
    verdicts: dict[str, Verdict]
    passed_over: tuple[PassedOver, ...]
    read: tuple[str, ...] = ()
    unresolved: dict[str, str] = field(default_factory=dict[str, str])


def audit_flow(flow: Flow, terms: Terms) -> Audited:
    """Read a flow and judge it; a trace of ours by its own scene, for its own subject."""
    begun_s = time.perf_counter()
    try:
        heard = read_flow(flow, terms)
    except UserError as error:
        scene = Scene(flow.source, flow.name, "everybody", "order", EDITION_OF["order"], "strict")
        rerun = terms.rerun(flow.source)
        return _told(flow, Heard(Trace(scene, ()), ()), None, rerun, begun_s, str(error))
    if terms.specification is None:
        judgement = judge(heard.trace, heard.trace.scene.subject)
        return _told(flow, heard, judgement, terms.rerun(flow.source), begun_s)
    beside = laid_beside(terms.specification)
    known, lost = set(beside.read), beside.unresolved.keys()
    scene = replace(heard.trace.scene, specification=beside.label)
    trace = replace(heard.trace, scene=scene, specification=beside)
    judgement = judge(trace, scene.subject)
    return replace(
        _told(flow, replace(heard, trace=trace), judgement, terms.rerun(flow.source), begun_s),
        read=tuple(set(beside.read) - known),
        unresolved={url: why for url, why in beside.unresolved.items() if url not in lost},
    )


def _told(  # noqa: PLR0913 (what is known of a flow)
    flow: Flow,
    heard: Heard,
    judgement: Judgement | None,
    rerun: str,
    begun_s: float,
    problem: str = "",
) -> Audited:
    scene, beckn = heard.trace.scene, heard.trace.beckn
    findings = judgement.findings if judgement else ()
    by_message: dict[int, list[Finding]] = {}
    for finding in findings:
        by_message.setdefault(finding.message, []).append(finding)
    verdict: Verdict = judgement.verdict if judgement else "untestable"
    if judgement and not beckn:
        verdict = "not_applicable"
    elif judgement and verdict == "passed" and not any(judgement.exercised.values()):
        # Silence of every rule is no pass.
        verdict, problem = "untestable", "no rule had anything to judge in it"
    records = [_finding(finding, flow, heard, rerun) for finding in findings]
    first = {(one["rule"], one["verdict"]): one for one in reversed(records)}
    messages = [_message(one, heard.places, by_message.get(one.number, [])) for one in beckn]
    scenario = {
        "feature": flow.source,
        "name": flow.name,
        "seat": scene.seat,
        "dialect": scene.dialect,
        "edition": scene.edition,
        "strictness": scene.strictness,
        "defect": None,
        "verdict": verdict,
        "duration_s": round(time.perf_counter() - begun_s, 4),
        "trace": None,
        "trace_sha256": None,
        "message": problem or _message_of(findings, heard, rerun),
        "rerun": rerun,
        "messages": messages,
        "passed_over": [{"place": one.place, "why": one.why} for one in heard.passed_over],
    }
    return Audited(
        verdict=verdict,
        title=f"{flow.source}: {flow.name}" if flow.form == "lines" else flow.source,
        scenario=_json(scenario),
        findings=tuple(map(_json, records)),
        first=tuple(first.values()),
        lines=tuple(_lines(beckn, heard, by_message)) or ((problem,) if problem else ()),
        editions={scene.dialect: scene.edition} if beckn else {},
        messages=len(beckn),
        spoken=Counter(message.generation for message in beckn),
        broken=Counter(finding.rule for finding in findings),
        examined=dict(judgement.exercised) if judgement else {},
        verdicts=dict(judgement.verdicts) if judgement else {},
        passed_over=heard.passed_over,
    )


def _message(message: Message, places: tuple[str, ...], found: list[Finding]) -> dict[str, Any]:
    return {
        "number": message.number,
        "place": places[message.number - 1],
        "action": message.action[:100],
        "generation": message.generation,
        "verdict": gravest(["passed", *(finding.verdict for finding in found)]),
        "findings": dict(Counter(finding.rule for finding in found)),
    }


def _finding(finding: Finding, flow: Flow, heard: Heard, rerun: str) -> dict[str, Any]:
    record = finding_record(finding, flow.name, None)
    record["evidence"] |= {"place": _place(finding, heard)}
    return record | {"dialect": heard.trace.scene.dialect, "rerun": rerun}


def _place(finding: Finding, heard: Heard) -> str:
    if not finding.message:
        return heard.trace.scene.feature
    where = f"{heard.places[finding.message - 1]}#{finding.pointer}"
    return f"{where} (in the answer)" if finding.in_answer else where


def _message_of(findings: Iterable[Finding], heard: Heard, rerun: str) -> str:
    """Tell the first finding that makes a flow red; the others stand in the report."""
    red = [f for f in findings if f.verdict in ("nonconformant", "harness_error")]
    if not red:
        return ""
    first = red[0]
    more = f"\n... and {len(red) - 1} more" if len(red) > 1 else ""
    return five_lines(
        rule=first.rule,
        sentence=first.sentence,
        observed=f"{first.observed}; expected {first.expected}",
        evidence=_place(first, heard),
        source=first.source,
        rerun=rerun,
    ) + (f"\n{first.detail}" if first.detail else more)


def _lines(
    beckn: Iterable[Message], heard: Heard, by_message: dict[int, list[Finding]]
) -> Iterator[str]:
    """Tell each message with findings in one line: its verdict, where it stands, the rules."""
    for message in beckn:
        found = by_message.get(message.number)
        if found:
            counted = Counter(finding.rule for finding in found)
            rules_ = ", ".join(f"{r} x{n}" if n > 1 else r for r, n in counted.items())
            verdict = gravest(finding.verdict for finding in found)
            place = heard.places[message.number - 1]
            yield f"{verdict:<14} {message.action[:40]:<14} {rules_}  {place}"
    if 0 in by_message:
        yield f"{'harness_error':<14} {by_message[0][0].rule}: {by_message[0][0].observed}"


def audited(flows: Iterable[Flow], terms: Terms, processes: int) -> Iterator[Audited]:
    """Judge flows, in their order; in several processes when there are many."""
    batches = _batches(flows)
    first = list(islice(batches, FEW_BATCHES))
    if processes == 1 or len(first) < FEW_BATCHES:
        for batch in chain(first, batches):
            yield from _audit_batch(batch, terms)
        return
    waiting: deque[Future[list[Audited]]] = deque()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for batch in chain(first, batches):
                waiting.append(pool.submit(_audit_batch, batch, terms))
                if len(waiting) > AHEAD * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _batches(flows: Iterable[Flow]) -> Iterator[list[Flow]]:
    batch: list[Flow] = []
    size = 0
    for flow in flows:
        batch.append(flow)
        size += max(len(flow.files), len(flow.lines), _TRACE_MESSAGES, _messages_of_trace(flow))
        if size >= BATCH_MESSAGES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


_TRACE_MESSAGES = 16
"""What any flow counts for at least."""

_TRACE_BYTES = 6000
"""What a message takes in a trace, roughly."""


def _messages_of_trace(flow: Flow) -> int:
    """Guess by its size how many messages a trace holds."""
    if flow.form != "trace":
        return 0
    try:
        return Path(flow.folder, flow.files[0]).stat().st_size // _TRACE_BYTES
    except OSError:
        return 0  # whoever reads it will say so


def _audit_batch(batch: list[Flow], terms: Terms) -> list[Audited]:
    return [audit_flow(flow, terms) for flow in batch]


@dataclass
class Totals:
    """What an audit found, in numbers that do not grow with it."""

    flows: Counter[Verdict] = field(default_factory=Counter[Verdict])
    spoken: Counter[str] = field(default_factory=Counter[str])
    broken: Counter[str] = field(default_factory=Counter[str])
    examined: Counter[str] = field(default_factory=Counter[str])
    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    editions: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    findings: int = 0
    files: int = 0
    passed_over: int = 0
    instead: str = ""
    """What was found first that is no message."""
    read: set[str] = field(default_factory=set[str])
    unresolved: dict[str, str] = field(default_factory=dict[str, str])

    first: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The first finding of each rule of the gravest kind it has."""

    def add(self, one: Audited) -> None:
        self.flows[one.verdict] += 1
        self.spoken += one.spoken
        self.broken += one.broken
        self.findings += len(one.findings)
        for record in one.first:
            known = self.first.setdefault(record["rule"], record)
            if SEVERITY.index(record["verdict"]) < SEVERITY.index(known["verdict"]):
                self.first[record["rule"]] = record
        for passed in one.passed_over:
            self.pass_over(passed)
        self.read.update(one.read)
        self.unresolved |= one.unresolved
        for dialect, edition in one.editions.items():
            self.editions.setdefault(dialect, set()).add(edition)
        for rule_id, number in one.examined.items():
            self.examined[rule_id] += number
            if number or one.broken[rule_id]:
                known = self.verdicts.get(rule_id, one.verdicts[rule_id])
                self.verdicts[rule_id] = gravest([known, one.verdicts[rule_id]])

    def pass_over(self, one: PassedOver) -> None:
        self.passed_over += one.number
        self.instead = self.instead or f"; {one.place}: {one.why}"

    @property
    def messages(self) -> int:
        return self.spoken.total()

    @property
    def verdict(self) -> str:
        for word in ("harness_error", "nonconformant", "untestable"):
            if self.flows[cast("Verdict", word)]:
                return word
        return "conformant" if self.messages else "untestable"


def audit(  # noqa: PLR0913 (what the command knows)
    paths: Sequence[Path],
    terms: Terms,
    out: Path,
    *,
    tell: Callable[[Audited], None],
    clear: Callable[[], None] = lambda: None,
    processes: int | None = None,
) -> dict[str, Any]:
    """Judge what is recorded at some paths, and write the report into the folder out.

    tell gets every flow as soon as it and all before it are judged; clear is called once
    all are, before anything is written. Gives the report, without the members that grow
    with the recording but for the first finding of each rule. Raises UserError when there
    is no message at some path.
    """
    begun_s = time.perf_counter()
    totals = Totals()
    if terms.specification:
        # A single file is read to be sure that it can be: by every process, before any flow.
        totals.read.update(laid_beside(terms.specification).read)
    with tempfile.TemporaryDirectory(prefix="gridwitness-") as folder:
        parts = {name: Path(folder, name) for name in PARTS}
        spool = Path(folder, "spool")
        spool.mkdir()
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(part.open("w", encoding="utf-8"))
                for name, part in parts.items()
            }
            found = _counted(recorded(paths, spool), totals, files["passed_over"])
            for one in audited(found, terms, processes or os.cpu_count() or 1):
                totals.add(one)
                _append(files["scenarios"], one.scenario)
                for finding in one.findings:
                    _append(files["findings"], finding)
                for passed in one.passed_over:
                    _append(files["passed_over"], _passed(passed))
                tell(one)
        if not totals.messages and not totals.flows["untestable"]:
            raise UserError(
                f"holds no recorded message{totals.instead}",
                where=", ".join(map(str, paths)),
                mend=MEND,
            )
        report = _report(paths, terms, totals, time.perf_counter() - begun_s)
        clear()
        write_streamed(report, parts, out)
    return report | {"findings": list(totals.first.values())}


def _counted(
    found: Iterable[Flow | PassedOver], totals: Totals, passed_over: TextIO
) -> Iterator[Flow]:
    for one in found:
        if isinstance(one, PassedOver):
            totals.pass_over(one)
            _append(passed_over, _passed(one))
        else:
            totals.files += len(one.files)
            yield one


def _passed(one: PassedOver) -> str:
    return _json({"place": one.place, "why": one.why, "number": one.number})


def _append(part: TextIO, record: str) -> None:
    part.write(f"{',' if part.tell() else ''}\n  {record}")


def _json(record: dict[str, Any]) -> str:
    # Names of files and texts of others may hold halves of characters that UTF-8 has not.
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "replace").decode()


def _report(
    paths: Sequence[Path], terms: Terms, totals: Totals, duration_s: float
) -> dict[str, Any]:
    """Build the report but for its scenarios and findings."""
    asked = {
        rule for known in totals.editions.values() for e in known for rule in editions()[e].rules
    }
    rule_lines = [
        {
            "id": rule.id,
            "level": rule.level,
            "verdict": totals.verdicts.get(rule.id, "not_exercised"),
            "exercised": totals.examined[rule.id],
            "sentence": rule.sentence,
            "source": rule.source,
        }
        for rule in rules().values()
        if rule.id in asked
    ]
    judged = Counter(str(line["verdict"]) for line in rule_lines)
    return {
        "$schema": SCHEMA,
        "version": 1,
        "tool": {
            "name": "gridwitness",
            "version": __version__,
            "python": platform.python_version(),
        },
        "verdict": totals.verdict,
        "participant": {
            "name": "recorded traffic",
            "subscriber_id": None,
            "url": None,
            "seats": [],
        },
        "edition": {
            dialect: ", ".join(sorted(known)) for dialect, known in sorted(totals.editions.items())
        },
        "strictness": terms.strictness,
        "command": terms.rerun(*map(str, paths)),
        "specification": describe(laid_beside(terms.specification), totals.read, totals.unresolved)
        if terms.specification
        else None,
        "audit": {
            "paths": [str(path) for path in paths],
            "files": totals.files,
            "flows": totals.flows.total(),
            "generations": dict(totals.spoken.most_common()),
            "findings": dict(totals.broken.most_common()),
            "passed_over": totals.passed_over,
            "duration_s": round(duration_s, 2),
        },
        "rules": rule_lines,
        "left_out": [],
        "broken": [],
        "summary": {
            "scenarios": {word: totals.flows[word] for word in SEVERITY if totals.flows[word]},
            "rules": dict(judged),
            "findings": totals.findings,
            "messages": totals.messages,
        },
        "traces": {},
    }

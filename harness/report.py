"""The report: what a run found, as `report.json`, and what is derived from it.

Belongs here: scenario records, the verdict of the whole, writing the outputs. Does
not belong here: printing (terminal), judging (judgement).

report.json and the traces are the only truth; everything else can be rebuilt from
them (`rebuild`).
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gridwitness import __version__
from gridwitness.editions import editions
from gridwitness.errors import UserError
from gridwitness.judgement import RED, SEVERITY, Finding, Verdict, gravest, required
from gridwitness.junit import write_junit, write_junit_streamed
from gridwitness.rules import rules
from gridwitness.specification import laid_beside
from gridwitness.specification.faults import count

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gridwitness.hearing import Hearing
    from gridwitness.plan import Casting, Plan
    from gridwitness.specification import Specification

SCHEMA = "https://gridwitness.example/schemas/report/1"
WIRE = "transport/"
"""The features whose messages are spoilt on purpose, to be refused."""

NOT_SHOWN = ("rules", "findings", "read", "unresolved")
"""What a record holds for the report as a whole, not for its scenario."""

EXIT_STATUS = {"conformant": 0, "nonconformant": 1, "untestable": 1, "harness_error": 3}


@dataclass(frozen=True)
class ScenarioRecord:
    """One scenario as it ended. rules maps an id to its verdict and what it examined.

    read and unresolved tell of the specification laid beside: the documents that were
    needed, and the references that led nowhere, each with the reason.
    """

    feature: str
    name: str
    seat: str
    dialect: str
    edition: str
    strictness: str
    defect: str | None
    verdict: str
    duration_s: float
    trace: str | None
    trace_sha256: str | None
    message: str
    rerun: str
    rules: dict[str, tuple[str, int]]
    findings: list[dict[str, Any]]
    read: list[str] = field(default_factory=list[str])
    unresolved: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(  # noqa: PLR0913 (what is known when a scenario ends)
        cls,
        *,
        feature: str,
        name: str,
        casting: Casting,
        hearing: Hearing | None,
        duration_s: float,
        message: str,
        escaped: bool,
        out: Path,
    ) -> ScenarioRecord:
        verdict: Verdict = hearing.verdict if hearing and not escaped else "harness_error"
        judged = hearing.judgement if hearing else None
        beside = hearing.specification if hearing else None
        trace = hearing.trace_file if hearing and hearing.trace is not None else None
        return cls(
            feature=feature,
            name=name,
            seat=casting.seat,
            dialect=casting.dialect,
            edition=casting.edition,
            strictness=casting.strictness,
            defect=casting.defect,
            verdict=verdict,
            duration_s=round(duration_s, 4),
            trace=trace,
            trace_sha256=_sha256(out / trace) if trace else None,
            message=message,
            rerun=hearing.rerun if hearing else "",
            rules={
                rule_id: (hearing.rule_verdict(rule_id), judged.exercised[rule_id])
                for rule_id in judged.verdicts
            }
            if hearing and judged
            else {},
            findings=[finding_record(f, name, trace) for f in hearing.findings] if hearing else [],
            read=list(beside.read) if beside else [],
            unresolved=beside.unresolved if beside else {},
        )

    def as_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass
class Results:
    """The scenarios of a run as they come in.

    broken tells what failed around a scenario, in our own code; mistakes, what is wrong with
    the features of others; asked_for names every scenario of the plan: feature, name, seat,
    dialect, defect; features gives the SHA-256 of each file that was played, by path.
    """

    records: list[ScenarioRecord] = field(default_factory=list[ScenarioRecord])
    broken: list[str] = field(default_factory=list[str])
    mistakes: list[str] = field(default_factory=list[str])
    features: dict[str, str] = field(default_factory=dict[str, str])
    asked_for: set[tuple[str, str, str, str, str | None]] = field(
        default_factory=set[tuple[str, str, str, str, str | None]]
    )

    def left_out(self) -> list[dict[str, str]]:
        """Give the scenarios that were asked for and did not run."""
        ran = {(r.feature, r.name, r.seat, r.dialect, r.defect) for r in self.records}
        return [
            {"feature": feature, "name": name, "seat": seat, "dialect": dialect}
            for feature, name, seat, dialect, _ in sorted(self.asked_for - ran, key=str)
        ]


def finding_record(finding: Finding, scenario: str, trace: str | None) -> dict[str, Any]:
    """Write a finding as the report holds it, but for the dialect and how to repeat it."""
    return {
        "rule": finding.rule,
        "level": finding.level,
        "verdict": finding.verdict,
        "sentence": finding.sentence,
        "scenario": scenario,
        "actor": finding.actor,
        "observed": finding.observed,
        "expected": finding.expected,
        "evidence": {
            "trace": trace,
            "message": finding.message,
            "pointer": finding.pointer,
            "in_answer": finding.in_answer,
        },
        "source": finding.source,
    } | ({"detail": finding.detail} if finding.detail else {})


def build(plan: Plan, results: Results) -> dict[str, Any]:
    """Build the report of a run from its scenarios."""
    records = sorted(
        results.records, key=lambda r: (r.feature, r.name, r.seat, r.dialect, r.defect or "")
    )
    rule_lines = _rules(plan, records)
    verdicts: list[Verdict] = [cast("Verdict", record.verdict) for record in records]
    verdicts += [line["verdict"] for line in rule_lines]
    left_out = results.left_out()
    if left_out or not records:
        verdicts.append("untestable")
    if results.broken:
        verdicts.append("harness_error")
    worst = gravest(verdicts)
    findings = [
        finding
        | {"seat": record.seat, "dialect": record.dialect, "rerun": record.rerun}
        | ({"defect": record.defect} if record.defect else {})
        for record in records
        for finding in record.findings
    ]
    scenarios = [
        {name: value for name, value in asdict(record).items() if name not in NOT_SHOWN}
        for record in records
    ]
    participant = plan.participant
    return {
        "$schema": SCHEMA,
        "version": 1,
        "tool": {
            "name": "gridwitness",
            "version": __version__,
            "python": platform.python_version(),
        },
        "verdict": worst if worst in RED else "conformant",
        "participant": {
            "name": plan.name,
            "subscriber_id": participant.subscriber_id if participant else None,
            "url": participant.url if participant else None,
            "seats": sorted({casting.seat for casting in plan.castings}),
        },
        "edition": {casting.dialect: casting.edition for casting in plan.castings},
        "strictness": plan.castings[0].strictness,
        "command": plan.command,
        "features": {
            "folder": Path(plan.features).name if plan.features else None,
            "files": results.features,
        },
        "specification": _specification(plan, records),
        "scenarios": scenarios,
        "rules": rule_lines,
        "findings": findings,
        "left_out": left_out,
        "broken": results.broken,
        "summary": {
            "scenarios": _count(verdicts[: len(records)]),
            "rules": _count([line["verdict"] for line in rule_lines]),
            "findings": len(findings),
            "messages": None,
        },
        "traces": {r.trace: r.trace_sha256 for r in records if r.trace is not None},
    }


def _specification(plan: Plan, records: list[ScenarioRecord]) -> dict[str, Any] | None:
    """Tell what was laid beside and how the documents that were needed are themselves."""
    if plan.specification is None:
        return None
    beside = laid_beside(plan.specification)
    read = {document for record in records for document in record.read}
    return describe(beside, read, {k: v for r in records for k, v in r.unresolved.items()})


def describe(
    beside: Specification, read: Collection[str], unresolved: Mapping[str, str]
) -> dict[str, Any]:
    """Describe a specification laid beside: what was read of it, what it lacks, its faults.

    A document that does not parse is told whether or not a message needed it: nobody
    knows what it would have said.
    """
    faults = beside.faults((*read, *beside.library.unparsed))
    return {
        "name": beside.name,
        "sha256": beside.digest,
        "documents": len(beside.library.files),
        "read": sorted(read),
        "unresolved": dict(sorted(unresolved.items())),
        "faults": [asdict(fault) for fault in faults],
        "summary": count(faults),
    }


def _rules(plan: Plan, records: list[ScenarioRecord]) -> list[dict[str, Any]]:
    """Tell for each required rule what the whole run shows, in every seat and dialect.

    A rule must be exercised in each seat that it can judge, and there in each dialect;
    in one where no scenario did, it is untestable whatever the others show. What only a
    message that ought to be refused exercises is asked of the seats to which some are sent.
    Of the features of others no rule is asked but what their scenarios demand: what they do
    not exercise was not judged, and is told as such.
    """
    lines: list[dict[str, Any]] = []
    beside = laid_beside(plan.specification) if plan.specification else None
    parts = {c.dialect: beside.parts(c.dialect) if beside else () for c in plan.castings}
    places = sorted({(c.seat, c.dialect, c.edition) for c in plan.castings})
    refusing = {record.seat for record in records if record.feature.startswith(WIRE)}
    judged = {
        (seat, dialect, rule.id)
        for seat, dialect, edition in places
        for rule in required(edition, seat, parts[dialect])
        if plan.features or seat in refusing or not rule.on_refusal
    }
    seen: dict[tuple[str, str, str], list[tuple[str, int]]] = {}
    for record in records:
        for rule_id, shown in record.rules.items():
            seen.setdefault((record.seat, record.dialect, rule_id), []).append(shown)
    for rule in rules().values():
        by_seat: list[dict[str, Any]] = []
        for seat, dialect, edition in places:
            if rule.id not in editions()[edition].rules:
                continue
            place = seat, dialect, rule.id
            shown = seen.get(place, [])
            count = sum(number for _, number in shown)
            found: list[Verdict] = [
                cast("Verdict", verdict) for verdict, _ in shown if verdict != "untestable"
            ]
            if rule.id in plan.absent and not set(found) & RED:
                found = ["not_applicable"]
            elif place not in judged:
                found = [*found, "not_applicable"]
            elif not count:
                found = [*found, "not_exercised" if plan.features else "untestable"]
            by_seat.append(
                {"seat": seat, "dialect": dialect, "verdict": gravest(found), "exercised": count}
            )
        if not by_seat:
            continue
        lines.append(
            {
                "id": rule.id,
                "level": rule.level,
                "verdict": gravest(place["verdict"] for place in by_seat),
                "exercised": sum(place["exercised"] for place in by_seat),
                "sentence": rule.sentence,
                "source": rule.source,
                "by_seat": by_seat,
            }
            | ({"absent": plan.absent[rule.id]} if rule.id in plan.absent else {})
        )
    return lines


def _count(verdicts: list[Verdict]) -> dict[str, int]:
    return {verdict: verdicts.count(verdict) for verdict in SEVERITY if verdict in verdicts}


def write_outputs(plan: Plan, results: Results, out: Path) -> None:
    """Write report.json and everything that is derived from it."""
    report = build(plan, results)
    report["summary"]["messages"] = sum(_messages(out / trace) for trace in report["traces"])
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    unfinished = out / "report.json.part"
    unfinished.write_text(text, "utf-8", errors="replace")
    unfinished.replace(out / "report.json")
    write_junit(report, out / "junit.xml")


def write_streamed(report: dict[str, Any], parts: Mapping[str, Path], out: Path) -> None:
    """Write the report of an audit, and its JUnit XML, a record at a time.

    parts maps a member of the report to a file of its records, one a line, with the
    commas between them.
    """
    unfinished = out / "report.json.part"
    with unfinished.open("w", encoding="utf-8", errors="replace") as file:
        file.write(json.dumps(report, indent=1, ensure_ascii=False).removesuffix("\n}"))
        for name, part in parts.items():
            file.write(f',\n "{name}": [')
            with part.open(encoding="utf-8") as records:
                shutil.copyfileobj(records, file)
            file.write("\n ]")
        file.write("\n}\n")
    unfinished.replace(out / "report.json")
    with parts["scenarios"].open(encoding="utf-8") as records:
        # Only "\n" ends a line here; a text may hold other separators, which json keeps.
        lines = (line.strip().rstrip(",") for line in records)
        write_junit_streamed((json.loads(line) for line in lines if line), out / "junit.xml")


def read_report(out: Path) -> dict[str, Any]:
    """Read the report in a folder and check it against its schema and its traces.

    Raises UserError when there is none, or when it or a trace was changed.
    """
    import jsonschema  # noqa: PLC0415 (only this command needs it)

    file = out / "report.json"
    mend = "name the folder that a run wrote (its --out), as the run left it"
    try:
        report: dict[str, Any] = json.loads(_text(file))
        schema = json.loads(
            files("gridwitness.schemas").joinpath("own/report.schema.json").read_text("utf-8")
        )
        jsonschema.validate(report, schema)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"is not a report ({error})", where=str(file), mend=mend) from error
    except jsonschema.ValidationError as error:
        what = f"is not a report: {error.json_path}: {error.message}"
        raise UserError(what, where=str(file), mend=mend) from error
    listed = {rule["id"] for rule in report["rules"]}
    if unknown := report.get("audit", {"findings": {}})["findings"].keys() - listed:
        what = f"is not a report: {min(unknown):.80} is none of the rules it lists"
        raise UserError(what, where=str(file), mend=mend)
    for trace, sha256 in report["traces"].items():
        if not _is_as_it_was(out / trace, sha256):
            raise UserError("is not the trace that was judged", where=str(out / trace), mend=mend)
    return report


def _text(file: Path) -> str:
    if file.exists() and not file.is_file():
        raise ValueError("no file")  # to open a pipe would be to wait for who writes into it
    return file.read_text("utf-8")


def rebuild(out: Path) -> dict[str, Any]:
    """Derive every artefact of a run again, from its report and traces alone."""
    report = read_report(out)
    if "audit" in report:
        write_junit_streamed(report["scenarios"], out / "junit.xml")
    else:
        write_junit(report, out / "junit.xml")
    return report


def _is_as_it_was(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and _sha256(path) == sha256
    except OSError:  # a name without end, a file that nobody may read
        return False


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _messages(path: Path) -> int:
    return path.read_bytes().count(b"\n") - 1

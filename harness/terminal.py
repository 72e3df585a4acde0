"""What a person reads in the terminal: progress, the verdict, each failure.

Belongs here: turning records and reports into text. Does not belong here: deciding
anything. Strings of a participant are shown with control characters replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gridwitness.judgement import SEVERITY, five_lines, place

if TYPE_CHECKING:
    from gridwitness.report import ScenarioRecord

STYLES = {
    "conformant": "bold green",
    "passed": "green",
    "warning": "yellow",
    "not_applicable": "dim",
    "untestable": "magenta",
    "nonconformant": "bold red",
    "harness_error": "bold white on red",
}
SHOWN_FAILURES = 10


def safe(text: str) -> str:
    """Replace what could move a terminal's cursor or change its colours."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def scenario_line(record: ScenarioRecord) -> str:
    """Tell one scenario in one line."""
    what = f"{record.name} [{record.seat}, {record.dialect}]"
    if record.defect:
        what = f"{record.defect}: {what}"
    return f"{record.verdict:<14} {record.duration_s:6.2f} s  {safe(what)}"


def print_report(report: dict[str, Any], out: str, console: Console | None = None) -> None:
    """Print the verdict table, and the findings that make it red."""
    console = console or Console(highlight=False)
    failures = _failures(report)
    if failures:
        console.print()
    for text in failures[:SHOWN_FAILURES]:
        console.print(Text(safe(text)), soft_wrap=True)
        console.print()
    if len(failures) > SHOWN_FAILURES:
        console.print(f"... and {len(failures) - SHOWN_FAILURES} more in {out}/report.json\n")
    console.print(_summary(report, out))


def _failures(report: dict[str, Any]) -> list[str]:
    """Tell each red rule once, where it first fired; then what escaped, and what was silent."""
    told: list[str] = []
    red = [f for f in report["findings"] if f["verdict"] in ("nonconformant", "harness_error")]
    for finding in {finding["rule"]: finding for finding in reversed(red)}.values():
        alike = sum(other["rule"] == finding["rule"] for other in red) - 1
        told.insert(0, _finding(finding) + (f"\n  ... and {alike} more like it" if alike else ""))
    found = {finding["rule"] for finding in red}
    escaped = [s for s in report["scenarios"] if s["verdict"] == "harness_error" and s["message"]]
    told += [s["message"] for s in escaped if not any(f"{rule}:" in s["message"] for rule in found)]
    told += report["broken"]
    if report["verdict"] != "harness_error":
        told += [_silence(report, r) for r in report["rules"] if r["verdict"] == "untestable"]
        silent = [s["message"] for s in report["scenarios"] if s["verdict"] == "untestable"]
        told += [one for one in dict.fromkeys(silent) if not _is_told(one, told)]
    return told


def _is_told(message: str, told: list[str]) -> bool:
    """Tell whether the rule that a scenario's message begins with was told of already."""
    rule = message.partition(":")[0]
    return any(text.startswith(f"{rule}:") for text in told)


def _finding(finding: dict[str, Any]) -> str:
    evidence = finding["evidence"]
    traced = place(
        evidence["trace"] or "no trace",
        evidence["message"],
        evidence["pointer"],
        in_answer=evidence["in_answer"],
    )
    return five_lines(
        rule=finding["rule"],
        sentence=finding["sentence"],
        observed=f"{finding['observed']}; expected {finding['expected']}",
        evidence=evidence.get("place", traced),
        source=finding["source"],
        rerun=finding["rerun"],
    )


def _silence(report: dict[str, Any], rule: dict[str, Any]) -> str:
    return five_lines(
        rule=rule["id"],
        sentence=rule["sentence"],
        observed=f"no scenario of this run exercised it{_where(rule)}; silence is not a pass",
        evidence="report.json",
        source=rule["source"],
        rerun=report["command"],
    )


def _where(rule: dict[str, Any]) -> str:
    silent = [
        f"{place['seat']}, {place['dialect']}"
        for place in rule.get("by_seat", [])
        if place["verdict"] == "untestable"
    ]
    return f" in the seat {'; '.join(silent)}" if silent else ""


def flow_line(verdict: str, messages: int, title: str) -> str:
    """Tell one audited flow in one line."""
    return f"{verdict:<14} {messages:>5} messages  {safe(title)}"


def print_audit(report: dict[str, Any], out: str, console: Console | None = None) -> None:
    """Print what an audit found: the first case of each broken rule, and the numbers."""
    console = console or Console(highlight=False)
    found, summary = report["audit"], report["summary"]
    cases = _cases(report)
    console.print()
    for text in cases[:SHOWN_FAILURES]:
        console.print(Text(safe(text)), soft_wrap=True)
        console.print()
    if len(cases) > SHOWN_FAILURES:
        console.print(f"... and {len(cases) - SHOWN_FAILURES} more in {out}/report.json\n")
    broken = Table("rule", "findings", "verdict", "sentence", box=None, pad_edge=False)
    known = {rule["id"]: rule for rule in report["rules"]}
    for rule_id, number in found["findings"].items():
        rule = known[rule_id]
        verdict = Text(rule["verdict"].replace("_", " "), STYLES.get(rule["verdict"], ""))
        broken.add_row(rule_id, str(number), verdict, rule["sentence"])
    if found["findings"]:
        console.print(broken)
    silent = [rule["id"] for rule in report["rules"] if rule["verdict"] == "not_exercised"]
    judging = len(report["rules"]) - len(silent)
    fault = "no fault found" if report["verdict"] == "conformant" else "faults found"
    verdict = report["verdict"]
    editions = " and ".join(report["edition"].values())
    words = {
        "flows": f"{found['flows']} flows ({_words(summary['scenarios'])})",
        "messages": f"{summary['messages']} messages ({_words(found['generations'])})",
        "passed over": f"{found['passed_over']} records or files that are no message",
        "silent": f"{len(silent)} rules had nothing to judge: {', '.join(silent)}",
    }
    console.print()
    console.print(
        Text.assemble((verdict, STYLES[verdict]), f": {editions}, {report['strictness']}")
    )
    console.print(
        f"{fault} in {summary['messages']} messages of {found['files']} files"
        f" by {judging} rules that had something to judge; {found['duration_s']:.1f} s"
    )
    if report["specification"]:
        words["specification"] = specification_line(report["specification"])
    for text in words.values():
        console.print(Text(safe(text)), soft_wrap=True)
    console.print(Text(f"report: {out}/report.json"))


def _cases(report: dict[str, Any]) -> list[str]:
    """Tell the first case of each broken rule, the gravest rules first."""
    first: dict[str, dict[str, Any]] = {}
    for finding in report["findings"]:
        known = first.setdefault(finding["rule"], finding)
        if SEVERITY.index(finding["verdict"]) < SEVERITY.index(known["verdict"]):
            first[finding["rule"]] = finding
    told: list[str] = []
    for finding in sorted(first.values(), key=lambda one: SEVERITY.index(one["verdict"])):
        alike = report["audit"]["findings"].get(finding["rule"], 1) - 1
        more = f"\n  ... and {alike} more like it" if alike else ""
        told.append(_finding(finding) + more)
    return told


def _summary(report: dict[str, Any], out: str) -> Group:
    dialects = list(report["edition"])
    scenarios = Table("scenario", "seat", *dialects, box=None, pad_edge=False)
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for scenario in report["scenarios"]:
        key = scenario["name"], scenario["seat"]
        rows.setdefault(key, {})[scenario["dialect"]] = scenario["verdict"]
    for (name, seat), verdicts in rows.items():
        words = [verdicts.get(dialect, "") for dialect in dialects]
        cells = [Text(word.replace("_", " "), STYLES.get(word, "")) for word in words]
        scenarios.add_row(escape(safe(name)), escape(safe(seat)), *cells)
    summary, verdict = report["summary"], report["verdict"]
    line = Text.assemble((verdict, STYLES[verdict]), f": {_claim(report)}")
    counts = (
        f"{len(report['scenarios'])} scenarios ({_words(summary['scenarios'])}), "
        f"{len(report['rules'])} rules ({_words(summary['rules'])}), "
        f"{summary['messages']} messages"
    )
    lines = [Text(counts)]
    if _of_others(report):
        lines.append(Text(_no_certificate(report)))
    if report["specification"]:
        lines.append(Text(safe(specification_line(report["specification"]))))
    if report["left_out"]:
        number = len(report["left_out"])
        lines.append(Text(f"{number} scenarios were left out: such a run is never conformant"))
    return Group(scenarios, Text(), line, *lines, Text(f"report: {out}/report.json"))


def _of_others(report: dict[str, Any]) -> str | None:
    """Give the folder of others whose features were played; None when ours were."""
    folder: str | None = report.get("features", {}).get("folder")
    return folder


def _claim(report: dict[str, Any]) -> str:
    """Tell what the verdict is about: an edition, or no more than the features of others."""
    name = safe(report["participant"]["name"])
    editions = " and ".join(report["edition"].values())
    folder = _of_others(report)
    if folder is None:
        return f"{name}, {editions}, {report['strictness']}"
    return f"{name} in the features of {safe(folder)} alone, by {editions}, {report['strictness']}"


def _no_certificate(report: dict[str, Any]) -> str:
    judging = sum(rule["exercised"] > 0 for rule in report["rules"])
    return (
        f"no certificate of an edition: {judging} of its {len(report['rules'])} rules"
        " had something to judge in these features"
    )


def specification_line(beside: dict[str, Any]) -> str:
    """Tell in one line what was laid beside and what is wrong with it itself."""
    codes = ", ".join(f"{code} {number}" for code, number in beside["summary"].items())
    faults = f"{len(beside['faults'])} faults of its own" + (f" ({codes})" if codes else "")
    unresolved = len(beside["unresolved"])
    return (
        f"specification {beside['name']}: {len(beside['read'])} of {beside['documents']} documents"
        f" read, {faults}, {unresolved} references unresolved"
    )


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {verdict.replace('_', ' ')}" for verdict, number in counts.items())

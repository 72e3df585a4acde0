"""Whatever a folder, a report or a scene holds: it is read, or it is the user's mistake."""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from gridwitness.errors import UserError
from gridwitness.judgement import judge
from gridwitness.plan import Plan
from gridwitness.profile import DEFAULT_EDITIONS, SEATS, castings
from gridwitness.report import Results, ScenarioRecord, build, describe, finding_record, rebuild
from gridwitness.specification import read_specification
from gridwitness.specification.reading import read_document
from gridwitness.terminal import print_audit, print_report
from gridwitness.trace import Trace, read_trace, write_trace
from tests.conftest import small_market, small_scene
from tests.test_recordings_fuzz import cut_up, places, put_at, some, spoilt, values
from tests.test_shape import message_of

few = settings(some, max_examples=10)
EXAMPLE = Path(str(files("gridwitness.examples"))) / "specification"
DOCUMENTS = {
    file.relative_to(EXAMPLE).as_posix(): file.read_bytes()
    for file in sorted(EXAMPLE.rglob("*.*"))
    if file.is_file()
}
PARSED = {name: read_document(EXAMPLE / name) for name in DOCUMENTS}

SCHEMAS: list[Any] = [
    *({"$ref": to} for to in ("#", "", "./", "../..", "#/components", "#nowhere", "http://[", "%")),
    *({"allOf": [{"$ref": to}]} for to in ("#", "#/components/schemas")),
    *({"type": kind} for kind in ([], "thing", ["object", 5], {})),
    *({"pattern": text} for text in ("(", "(?<a>", "[[:alpha:]]", "(?i)a", "\ud800")),
    *({"format": kind} for kind in (5, "regex", "")),
    *({name: [{}]} for name in ("properties", "required", "enum", "items", "$defs", "x-jsonld")),
    *({name: 5} for name in ("required", "enum", "allOf", "minimum", "maxLength", "multipleOf")),
    *({"@context": of} for of in (None, [], "./context.jsonld", ["http://["], {"@import": 5})),
    *({"@id": name} for name in (5, "@type", "a:b", ":", "")),
    {"$id": "http://["},
    {"$dynamicRef": "#x", "$dynamicAnchor": "x"},
    {"x-jsonld": {"@type": ["a"], "@context": {}}},
    {"multipleOf": 0},
    {"requestBody": {"$ref": 5}},
    {"requestBody": {"$ref": "#/paths"}},
    True,
    float("inf"),
]
changes = values | st.sampled_from(SCHEMAS)


@st.composite
def folders(draw: st.DrawFn) -> dict[str, bytes]:
    """Draw a specification of which one or two documents are not as they were."""
    found = DOCUMENTS.copy()
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(DOCUMENTS)))
        if draw(st.booleans()):
            found[name] = draw(cut_up(DOCUMENTS[name]))
        else:
            spot = draw(st.sampled_from(places(PARSED[name])))
            found[name] = json.dumps(put_at(PARSED[name], spot, draw(changes))).encode()
    return found


@pytest.fixture(scope="module", params=["order", "contract"])
def trace(request: pytest.FixtureRequest, sandbox) -> Trace:
    return small_market(sandbox, request.param)


@few
@given(data=st.data())
def test_any_specification(trace: Trace, data: st.DataObject):
    documents = data.draw(folders())
    with tempfile.TemporaryDirectory() as folder:
        for name, content in documents.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        for path in (Path(folder), *map(Path(folder).joinpath, sorted(documents))):
            name = path.relative_to(folder).as_posix()
            if path.is_dir() or documents[name] != DOCUMENTS[name]:
                judged_by(path, trace)


def judged_by(path: Path, trace: Trace) -> None:
    """Lay a path beside a trace, and tell all that can be told of it."""
    try:
        beside = read_specification(path)
    except UserError:
        return
    few_messages = replace(trace, messages=trace.messages[:4], specification=beside)
    no_rule_fails(few_messages)
    told = describe(beside, beside.read, beside.unresolved)
    json.dumps(told)
    assert beside.faults() is not None


def no_rule_fails(trace: Trace) -> None:
    failed = [f for f in judge(trace, None).findings if f.verdict == "harness_error"]
    assert not failed, failed[0].detail


@pytest.fixture(scope="module", params=["run", "audit"])
def report(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A report with everything in it that a report may have."""
    trace = Trace(small_scene("order"), (message_of(b"{}", "init"),))
    found = [finding_record(f, "a scenario", None) for f in judge(trace, None).findings]
    assert found
    casting = castings(SEATS["clearing-agent"], DEFAULT_EDITIONS, "strict")[0]
    record = ScenarioRecord(
        feature="a.feature",
        name="a scenario",
        seat=casting.seat,
        dialect=casting.dialect,
        edition=casting.edition,
        strictness="strict",
        defect=None,
        verdict="nonconformant",
        duration_s=0.5,
        trace=None,
        trace_sha256=None,
        message="ENV-001: a text",
        rerun="again",
        rules={"ENV-001": ("nonconformant", 1)},
        findings=found[:3],
    )
    plan = Plan("out", (casting,), "gridwitness demo", "somebody", specification=str(EXAMPLE))
    left_out = ("a.feature", "another", casting.seat, casting.dialect, None)
    results = Results([record], ["something of ours"], {left_out})
    whole = build(plan, results)
    whole["summary"]["messages"] = 1
    if request.param == "audit":
        numbers = {"files": 1, "flows": 1, "passed_over": 1, "duration_s": 0.5}
        counts = {"generations": {"order": 1}, "findings": {found[0]["rule"]: 1}}
        whole["audit"] = {"paths": ["a.json"]} | numbers | counts
        whole["passed_over"] = [{"place": "a.json", "why": "it is none"}]
    return whole


def told_again(raw: bytes) -> None:
    """Read bytes as a report, and tell it as `gridwitness report` does."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "report.json").write_bytes(raw)
        try:
            found = rebuild(Path(folder))
        except UserError:
            return
        tell = print_audit if "audit" in found else print_report
        tell(found, folder, Console(file=io.StringIO()))


def test_a_report_that_nobody_touched_is_told_again(report: dict[str, Any]):
    raw = json.dumps(report).encode()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "report.json").write_bytes(raw)
        assert rebuild(Path(folder)) == report
    told_again(raw)


NAMES = ("", "\ud800", "\x00", "[/b]", "[red", "\n]]>", "traces/a.jsonl", "a" * 5_000)


@st.composite
def like(draw: st.DrawFn, honest: Any) -> Any:
    """Draw a value in which some places hold another of the same kind, as a schema may ask."""
    for _ in range(draw(st.integers(1, 4))):
        spot = draw(st.sampled_from(places(honest)))
        old = honest
        for key in spot:
            old = old[key]
        if isinstance(old, str):
            new = draw(st.sampled_from(NAMES))
        elif isinstance(old, int | float):
            new = draw(st.sampled_from([0, -1, 10**30, 1e300, float("nan")]))
        elif isinstance(old, dict):
            new = old | draw(st.dictionaries(st.sampled_from(NAMES), st.just(1), max_size=1))
        else:
            new = []
        honest = put_at(honest, spot, new)
    return honest


ODD: list[tuple[tuple[str | int, ...], Any]] = [
    (("scenarios", 0, "feature"), "\ud800"),
    (("scenarios", 0, "feature"), "\x00"),
    (("scenarios", 0, "seat"), "[/b]"),
    (("audit", "findings"), {"XYZ-001": 1}),
    (("traces",), {f"traces/{'a' * 5_000}.jsonl": "0" * 64}),
]


@pytest.mark.parametrize(("spot", "new"), ODD)
def test_a_report_may_hold_anything(report: dict[str, Any], spot: tuple[str | int, ...], new: Any):
    if spot[0] in report:
        told_again(json.dumps(put_at(report, spot, new)).encode())


@few
@given(data=st.data())
def test_any_report(report: dict[str, Any], data: st.DataObject):
    told_again(json.dumps(data.draw(like(report) | spoilt(report))).encode())


@few
@given(data=st.data())
def test_any_piece_of_a_report(report: dict[str, Any], data: st.DataObject):
    told_again(data.draw(cut_up(json.dumps(report).encode())))


@some
@given(data=st.data())
def test_any_scene(trace: Trace, data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "t.jsonl")
        write_trace(replace(trace, messages=trace.messages[:2]), file)
        first, *rest = file.read_bytes().split(b"\n")
        spoilt_scene = data.draw(spoilt(json.loads(first)))
        file.write_bytes(b"\n".join([json.dumps(spoilt_scene).encode(), *rest]))
        try:
            found = read_trace(file)
        except UserError:
            return
        no_rule_fails(found)

"""Whatever the bytes of a recording are: flows, or a user's mistake; and no rule fails on them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwitness.errors import UserError
from gridwitness.judgement import judge
from gridwitness.recordings.files import Flow, read_flow, recorded
from gridwitness.recordings.flows import Terms
from gridwitness.recordings.pieces import from_entry
from gridwitness.trace import write_trace
from tests.conftest import small_market
from tests.test_recordings import archive, body, entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.trace import Trace

some = settings(
    derandomize=True,
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
few = settings(some, max_examples=30)

WORDS = "2.0.0 ACK init on_confirm INR é -1 NaN 1e400 P1D PT0S {} ../.. beckn:order @context"
texts = st.text(max_size=12) | st.sampled_from(
    ["", "\x00", "9" * 40, "2026-04-01T08:30:00Z", *WORDS.split()]
)
numbers = st.integers() | st.sampled_from([0, -1, 10**30, -(10**400)]) | st.floats(width=32)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Give the path of everything within a value, itself included."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    return [path, *(place for key in keys for place in places(value[key], (*path, key)))]


def put_at(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """Give a value with something else at one place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = put_at(value[path[0]], path[1:], new)
    return copy


@st.composite
def spoilt(draw: st.DrawFn, honest: Any) -> Any:
    """Draw a value in which one to three places hold something else, or nothing."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(honest)))
        honest = put_at(honest, path, draw(values))
    return honest


@st.composite
def cut_up(draw: st.DrawFn, honest: bytes) -> bytes:
    """Draw bytes with a stretch taken out, doubled, or replaced by anything."""
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(honest))] * 2)))
    end = min(end, start + 2000)
    between = draw(st.binary(max_size=20) | st.just(honest[start:end] * 2) | st.just(b""))
    return honest[:start] + between + honest[end:]


def survives(raw: bytes, name: str) -> None:
    """Read bytes as a file and in a folder, and judge what comes of either."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "in", name)
        file.parent.mkdir()
        file.write_bytes(raw)
        for number, path in enumerate((file, file.parent)):
            spool = Path(folder, str(number))
            spool.mkdir()
            try:
                found = [one for one in recorded([path], spool) if isinstance(one, Flow)]
                traces = [read_flow(one, Terms({})).trace for one in found]
            except UserError:
                continue
            for trace in traces:
                no_rule_fails(trace)


def no_rule_fails(trace: Trace) -> None:
    failed = [f for f in judge(trace, None).findings if f.verdict == "harness_error"]
    assert not failed, failed[0].detail


@some
@given(raw=st.binary(max_size=300), name=st.sampled_from(["a.json", "a.jsonl", "a.har"]))
def test_any_bytes(raw: bytes, name: str):
    survives(raw, name)


@some
@given(
    record=spoilt(body("init"))
    | spoilt({"body": body("on_init"), "url": "u", "response": {"status": 200, "body": {}}}),
    text=st.booleans(),
)
def test_any_message(record: Any, text: bool):
    written = json.dumps(record, indent=None if text else 1)
    survives(f"{written}\n{written}".encode() if text else written.encode(), "a.json")


@some
@given(record=spoilt(archive(entry(body("init")), entry(body("on_init")))))
def test_any_archive(record: Any):
    survives(json.dumps(record).encode(), "a.har")


@given(record=spoilt(entry(body("init"))))
def test_any_entry(record: Any):
    piece = from_entry(record, "x:1")
    assert isinstance(piece.no_message, str)
    assert isinstance(piece.action, str)


@pytest.fixture(scope="module", params=["order", "contract"])
def recording(request: pytest.FixtureRequest, sandbox) -> tuple[Trace, list[Any]]:
    trace = small_market(sandbox, request.param)
    with tempfile.TemporaryDirectory() as folder:
        write_trace(trace, Path(folder, "t"))
        text = Path(folder, "t").read_text("utf-8")
    return trace, [json.loads(row) for row in text.split("\n")[:-1]]


def written(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def drawn(data: st.DataObject, rows: list[Any], draw: Callable[[Any], Any]) -> list[Any]:
    number = data.draw(st.integers(0, len(rows) - 1))
    return [*rows[:number], data.draw(draw(rows[number])), *rows[number + 1 :]]


@few
@given(data=st.data())
def test_any_trace(recording: tuple[Trace, list[Any]], data: st.DataObject):
    survives(written(drawn(data, recording[1], spoilt)), "a.jsonl")


@few
@given(data=st.data())
def test_any_piece_of_a_trace(recording: tuple[Trace, list[Any]], data: st.DataObject):
    survives(data.draw(cut_up(written(recording[1]))), "a.jsonl")


@few
@given(data=st.data())
def test_any_body_in_a_trace(recording: tuple[Trace, list[Any]], data: st.DataObject):
    def body_of(row: Any) -> st.SearchStrategy[Any]:
        said = json.loads(row["raw"]) if row.get("raw") else {}
        return spoilt(said).map(lambda new: row | {"raw": json.dumps(new)})

    scene, *rows = recording[1]
    survives(written([scene, *drawn(data, rows, body_of)]), "a.jsonl")

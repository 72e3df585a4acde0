"""A trace on disk is the trace that was recorded, and is judged alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gridwitness.errors import UserError
from gridwitness.judgement import judge
from gridwitness.mocks.conduct import Conduct
from gridwitness.trace import Trace, read_trace, write_trace
from tests.conftest import small_market

AGENT = "clearing agent"


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_a_trace_survives_the_disk(sandbox, tmp_path, dialect: str):
    trace = small_market(sandbox, dialect)
    write_trace(trace, tmp_path / "trace.jsonl")
    assert read_trace(tmp_path / "trace.jsonl") == trace
    assert len((tmp_path / "trace.jsonl").read_text().splitlines()) == len(trace.messages) + 1


def test_bytes_that_are_no_text_survive_the_disk(sandbox, tmp_path):
    trace = small_market(sandbox)
    odd = replace(trace.messages[0], raw=b"\xff\x00\xfe")
    write_trace(Trace(trace.scene, (odd,)), tmp_path / "trace.jsonl")
    assert read_trace(tmp_path / "trace.jsonl").messages[0].raw == b"\xff\x00\xfe"


@pytest.mark.parametrize("locks", [1, 2])
def test_a_recording_is_judged_as_the_live_run_was(sandbox, tmp_path, locks: int):
    trace = small_market(sandbox, broken=(AGENT, Conduct(locks=locks)))
    write_trace(trace, tmp_path / "trace.jsonl")
    assert judge(read_trace(tmp_path / "trace.jsonl"), AGENT) == judge(trace, AGENT)
    assert bool(judge(trace, AGENT).findings) == (locks > 1)


@pytest.mark.parametrize("content", ["", "{}\n", "not json\n", '{"scene": {}}\n', '{"scene": 1}\n'])
def test_a_file_that_is_no_trace_is_a_users_mistake(tmp_path, content: str):
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"x\.jsonl: is not a trace"):
        read_trace(tmp_path / "x.jsonl")


def test_a_missing_file_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError):
        read_trace(tmp_path / "none.jsonl")

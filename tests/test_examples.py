"""The example flows: as they are made, well formed, clean in an audit, the same in every run."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gridwitness.audit import audit
from gridwitness.clock import CountedClock
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import dump_json, parse_json
from gridwitness.example_flows import Flows, differences, flows_of, write
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.recordings.flows import Terms
from gridwitness.shape import shape_of, validator
from gridwitness.shown import shown
from gridwitness.steps import tables
from gridwitness.trace import write_trace
from tests.conftest import SEED, SPEAKS, small_market

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
FLOWS = sorted({file.parent for d in DIALECTS for file in EXAMPLES.glob(f"**/{d}/[0-9]*.json")})
FLOW_NAMES = [folder.relative_to(EXAMPLES).as_posix() for folder in FLOWS]
UUID_VERSION = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[89ab][0-9a-f]{3}-")
MEASURED = re.compile(r'"endDateTime": "([^"]+)"')
each_flow = pytest.mark.parametrize("flow", FLOWS, ids=FLOW_NAMES)


def audited(flow: Path, out: Path, specification: str | None = None) -> dict[str, Any]:
    told: list[Any] = []
    terms = Terms({}, specification=specification)
    report = audit([flow], terms, out, tell=told.append, processes=1)
    whole = json.loads((out / "report.json").read_text("utf-8"))
    return report | {"findings": whole["findings"], "passed_over": whole["passed_over"]}


def block_errors(block: str, value: Any) -> list[Any]:
    return list(validator(f"energy/{block}.json").errors(value))


# The files of the repository


def test_the_examples_are_as_they_are_made(gridwitness):
    ran = gridwitness("examples", "--check")
    assert (ran.status, ran.err.count("passed")) == (0, len(FLOWS)), ran.out
    assert ran.out.startswith(f"{sum(len(list(flow.iterdir())) for flow in FLOWS)} messages")


def test_every_use_case_that_states_a_sequence_has_its_flow():
    features = shown(set((ROOT / "features").rglob("*.feature")))
    wanted = {path.relative_to(ROOT / "features").with_suffix("").as_posix() for path in features}
    assert {Path(name).parent.as_posix() for name in FLOW_NAMES} == wanted
    assert "p2p_trading/pay_as_clear" in wanted
    assert not any(name.startswith("transport/") for name in FLOW_NAMES)


@each_flow
def test_a_flow_is_numbered_from_one_by_its_actions(flow: Path):
    files = sorted(flow.iterdir())
    width = max(2, len(str(len(files))))
    for number, file in enumerate(files, start=1):
        context = json.loads(file.read_text("utf-8"))["context"]
        assert file.name == f"{number:0{width}}_{context['action'].replace('/', '_')}.json"


@each_flow
def test_every_message_is_valid_against_our_schemas(flow: Path):
    for file in sorted(flow.iterdir()):
        body = parse_json(file.read_bytes())
        found = shape_of(flow.name, body["context"]["action"], body)
        assert found.action is not None, file.name
        assert found.errors == (), file.name
        wrong = [e for s in found.slots if s.block for e in block_errors(s.block, s.value)]
        assert wrong == [], file.name


@each_flow
def test_an_audit_finds_nothing(flow: Path, tmp_path: Path):
    report = audited(flow, tmp_path)
    assert report["verdict"] == "conformant"
    assert report["findings"] == []
    assert report["passed_over"] == []
    assert report["audit"]["flows"] == 1
    judged = {line["id"].partition("-")[0] for line in report["rules"] if line["exercised"]}
    assert {"ENV", "SHP", "LD", "COR", "LIN", "LIF"} <= judged
    assert judged & {"AMT", "BIL"}


@each_flow
def test_nothing_in_a_flow_is_of_one_run(flow: Path):
    text = "".join(file.read_text("utf-8") for file in flow.iterdir())
    assert "127.0.0.1" not in text
    assert "localhost" not in text
    # An id of version 4 was drawn at random: actors draw theirs by `new_id`.
    assert set(UUID_VERSION.findall(text)) == {"5"}


NO_WORD_FOR_IT = {
    ("LD-002", "type means nothing in its context"),
    ("LD-002", "description means nothing in its context"),
}
"""The published core context of the order dialect has no word for what the published schema
lets a component of a price say."""

NO_SUCH_ACTION = {
    "order": ("on_catalog_publish", "aggregate", "on_aggregate"),
    "contract": ("aggregate", "on_aggregate"),
}
"""Actions of the building blocks' drafts, and of devkits, that the official documents lack."""


@pytest.mark.skipif("GRIDWITNESS_UPSTREAM" not in os.environ, reason="no specifications here")
@each_flow
def test_the_official_specification_finds_nothing(flow: Path, tmp_path: Path):
    # order: beckn-2.0.0-rc, contract: beckn-2.0.0-lts-tag (harness/specification/addresses.toml)
    report = audited(flow, tmp_path, os.environ["GRIDWITNESS_UPSTREAM"])
    exercised = {line["id"]: line["exercised"] for line in report["rules"]}
    assert exercised["SPC-001"] == len(list(flow.iterdir()))
    found = {
        (finding["rule"], finding["observed"])
        for finding in report["findings"]
        if finding["level"] == "MUST" and finding["verdict"] != "warning"
    }
    lacking = {
        (rule, told)
        for rule, told in found
        if rule == "SPC-001"
        and any(told.startswith(f"action is an action '{a}'") for a in NO_SUCH_ACTION[flow.name])
    }
    assert found - lacking <= (NO_WORD_FOR_IT if flow.name == "order" else set())


# The command


def test_what_is_not_as_made_is_told(gridwitness, tmp_path):
    shutil.copytree(EXAMPLES / "p2p_trading", tmp_path / "there" / "p2p_trading")
    flow = tmp_path / "there" / "p2p_trading" / "pay_as_clear" / "order"
    changed = flow / "27_on_status.json"
    changed.write_text(changed.read_text("utf-8").replace("0.1", "0.2"), "utf-8")
    (flow / "01_discover.json").unlink()
    (flow / "29_cancel.json").write_text("{}", "utf-8")
    (flow / "notes.json").write_text("{}", "utf-8")
    ran = gridwitness("examples", "--check", "--out", "there")
    assert ran.status == 1
    told = [line.split() for line in ran.out.splitlines() if "pay_as_clear/order" in line]
    assert [(words[0], words[-1].rpartition("/")[2]) for words in told] == [
        ("differs", "27_on_status.json"),
        ("left", "29_cancel.json"),
        ("missing", "01_discover.json"),
    ]
    assert (flow / "29_cancel.json").exists()  # it compares, and touches nothing

    assert gridwitness("examples", "--out", "there").status == 0
    assert (flow / "notes.json").exists()  # it is not named as a message is
    assert gridwitness("examples", "--check", "--out", "there").status == 0


def test_a_place_that_cannot_be_written_to_is_a_mistake_of_the_user(gridwitness, tmp_path):
    (tmp_path / "a-file").write_text("", "utf-8")
    ran = gridwitness("examples", "--out", "a-file")
    assert ran.status == 2
    assert "cannot be written to" in ran.err
    assert "Traceback" not in ran.err


def test_outside_a_source_tree_a_folder_must_be_named(monkeypatch, tmp_path):
    from gridwitness import cli, examples
    from gridwitness.errors import UserError

    monkeypatch.setattr(examples, "__file__", str(tmp_path / "examples" / "__init__.py"))
    with pytest.raises(UserError, match="--out"):
        cli.examples()


# The parts


def report_of(played: Any, out: Path, **changes: Any) -> dict[str, Any]:
    write_trace(played, out / "traces" / "one.jsonl")
    record = {"feature": "street/market.feature", "dialect": "order", "verdict": "passed"}
    record |= {"trace": "traces/one.jsonl", "name": "a title", "message": ""}
    return {"scenarios": [record | changes]}


def test_a_file_holds_the_body_as_it_was_sent(sandbox, tmp_path):
    trace = small_market(sandbox)
    files = flows_of(report_of(trace, tmp_path), tmp_path).files
    assert len(files) == len(trace.beckn)
    assert next(iter(files)) == "street/market/order/01_discover.json"
    for message, raw in zip(trace.beckn, files.values(), strict=True):
        assert dump_json(parse_json(raw)) == message.raw  # to the last digit, in the same order


@pytest.mark.parametrize(
    "changes", [{"verdict": "nonconformant"}, {"trace": None}, {"verdict": "warning"}]
)
def test_what_did_not_pass_is_no_example(sandbox, tmp_path, changes):
    flows = flows_of(report_of(small_market(sandbox), tmp_path, **changes), tmp_path)
    assert flows.files == {}
    assert "street/market.feature" in flows.failed[0]


def test_what_is_spoilt_on_purpose_is_no_example(sandbox, tmp_path):
    from gridwitness.mocks.spoilt import FAULTS

    spoilt = small_market(sandbox, spoilt=FAULTS["without a signature"])
    flows = flows_of(report_of(spoilt, tmp_path), tmp_path)
    assert (flows.files, len(flows.failed)) == ({}, 1)
    assert "on purpose" in flows.failed[0]


def test_writing_again_changes_nothing(tmp_path):
    flows = Flows({"a/b/order/01_discover.json": b"{}\n"})
    write(flows, tmp_path)
    (file,) = tmp_path.glob("**/*.json")
    written = file.stat().st_mtime_ns
    write(flows, tmp_path)
    assert file.stat().st_mtime_ns == written
    assert differences(flows, tmp_path) == []


# The seams: what is new in every run, and is not here


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_begun_by_one_name_is_the_same_again(dialect: str):
    bodies: list[list[bytes]] = []
    for earlier in ("nothing", "something else"):
        with Sandbox(SEED, speaks=SPEAKS, repeatable=True) as sandbox:
            if earlier != "nothing":
                sandbox.begin(earlier)
                small_market(sandbox, dialect)
            sandbox.begin("a market")
            bodies.append([message.raw for message in small_market(sandbox, dialect).beckn])
    assert bodies[0] == bodies[1]


def test_what_is_begun_by_another_name_has_other_ids():
    ids: list[set[str | None]] = []
    with Sandbox(SEED, speaks=SPEAKS, repeatable=True) as sandbox:
        for name in ("a market", "another"):
            sandbox.begin(name)
            envelopes = [m.reading.envelope for m in small_market(sandbox).beckn]
            ids.append({e.transaction_id for e in envelopes} | {e.message_id for e in envelopes})
    assert not ids[0] & ids[1]


def test_a_network_and_the_wire_without_one_carry_the_same_messages(sandbox):
    """What is said does not depend on how it is carried; only the order within a phase may."""
    with Sandbox(SEED, speaks=SPEAKS, repeatable=True) as local:
        local.begin("a market")
        quiet, loud = small_market(local), small_market(sandbox)
    assert sorted((m.sender, m.receiver, m.action) for m in quiet.beckn) == sorted(
        (m.sender, m.receiver, m.action) for m in loud.beckn
    )
    assert all(m.signature.is_valid and m.answer.status == 200 for m in quiet.beckn)


def test_without_a_network_there_are_no_other_hosts(played_utility):
    import asyncio

    from gridwitness.local_wire import LocalWire

    with LocalWire(played_utility.setting.directory, "gridwitness.example") as wire:
        for url in ("https://elsewhere.org/discover", "https://[broken", "nowhere"):
            sent = asyncio.run(
                wire.post(url, b"{}", {}, sender="car", receiver=None, action="discover")
            )
            assert sent.answer is None
            assert sent.failure
        known = "https://nobody.gridwitness.example/discover"
        sent = asyncio.run(
            wire.post(known, b"{}", {}, sender="car", receiver=None, action="discover")
        )
        assert sent.answer is not None
        assert sent.answer.status == 404


def test_a_counted_clock_goes_on_by_messages_and_never_back():
    clock = CountedClock()
    first = clock.now()
    assert clock.now() == first
    clock.tick()
    second = clock.now()
    assert second - first == CountedClock.MESSAGE
    clock.skip_to(first)
    assert clock.now() == second
    clock.skip_to(tables.instant("17:30"))
    assert clock.now().isoformat() == "2031-05-12T12:00:00+00:00"


def test_deals_are_made_before_the_day_of_the_features():
    ahead = tables.instant("00:00") - CountedClock.START
    assert timedelta(0) < ahead < timedelta(days=1)


def test_what_was_measured_is_told_afterwards():
    told = [
        (file.name, datetime.fromisoformat(text), parse_json(file.read_bytes())["context"])
        for flow in FLOWS
        for file in flow.iterdir()
        for text in MEASURED.findall(file.read_text("utf-8"))
    ]
    assert told
    for name, end, context in told:
        assert end <= datetime.fromisoformat(context["timestamp"]), name

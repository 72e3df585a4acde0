"""A run in which something went wrong never ends green, and touches nothing of others."""

from __future__ import annotations

import json

import pytest

from tests.conftest import environment

CRASH = """
import os

def pytest_bdd_before_step(request, step):
    if step.name == "the market runs" and "roofs" in request.node.name:
        os._exit(1)
"""
FAILS_AFTERWARDS = """
import pytest

@pytest.fixture(autouse=True)
def fails_afterwards(request):
    yield
    if "roofs" in request.node.name:
        raise RuntimeError("after the scenario")
"""
FAILS_IN_A_HOOK = """
def pytest_runtest_logreport(report):
    raise RuntimeError("in a hook")
"""


def run_with(monkeypatch, gridwitness, tmp_path, plugin: str, *arguments: str):
    (tmp_path / "a_plugin.py").write_text(plugin)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert environment()["PYTHONPATH"] == str(tmp_path)
    return gridwitness("demo", "-p", "a_plugin", *arguments, within_s=120)


def test_a_process_that_dies_is_a_fault_of_ours(monkeypatch, gridwitness, tmp_path):
    ran = run_with(monkeypatch, gridwitness, tmp_path, CRASH, "-n", "2", "-k", "pay_as_clear")
    assert ran.status == 3
    assert "harness_error: the reference participants" in ran.out
    assert "conformant:" not in ran.out.replace("nonconformant:", "")


def test_a_failure_after_a_scenario_is_a_fault_of_ours(monkeypatch, gridwitness, tmp_path):
    ran = run_with(monkeypatch, gridwitness, tmp_path, FAILS_AFTERWARDS, "-k", "pay_as_clear")
    assert ran.status == 3
    assert "after the scenario" in ran.out
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert (report["verdict"], len(report["broken"])) == ("harness_error", 4)


def test_a_failure_in_pytest_itself_is_a_fault_of_ours(monkeypatch, gridwitness, tmp_path):
    ran = run_with(
        monkeypatch,
        gridwitness,
        tmp_path,
        FAILS_IN_A_HOOK,
        "-k",
        "three_roofs_share and clearing-agent-order",
    )
    assert ran.status == 3


@pytest.mark.parametrize(
    "selection", ["pay_as_clear and not waits_for", "transport and lacks and not action"]
)
def test_a_partial_run_never_ends_conformant(gridwitness, selection: str):
    ran = gridwitness("demo", "--json", "-k", selection)
    assert (ran.status, ran.json["verdict"]) == (1, "untestable")
    assert ran.json["left_out"]
    assert {scenario["verdict"] for scenario in ran.json["scenarios"]} == {"passed"}


def test_what_others_keep_in_the_folder_stays(gridwitness, tmp_path):
    for name in ("traces", "allure-results"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "notes-1.txt").write_text("mine")
    for _ in range(2):
        gridwitness("demo", "--out", "mine", "-k", "three_roofs_share and clearing-agent-order")
    assert (tmp_path / "mine" / "traces" / "notes-1.txt").read_text() == "mine"
    assert (tmp_path / "mine" / "allure-results" / "notes-1.txt").read_text() == "mine"
    assert len(list((tmp_path / "mine" / "traces").glob("*.jsonl"))) == 1
    assert len(list((tmp_path / "mine" / "allure-results").glob("*-result.json"))) == 1


def test_a_folder_with_a_report_of_others_is_a_users_mistake(gridwitness, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text('{"theirs": 1}')
    ran = gridwitness("demo")
    assert ran.status == 2
    assert (tmp_path / "out" / "report.json").read_text() == '{"theirs": 1}'


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/x", "http://[::1", "ftp://x", "http://"])
def test_an_address_that_is_none_is_a_users_mistake(gridwitness, tmp_path, url: str):
    key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    (tmp_path / "agent.toml").write_text(
        f'[participant]\nid = "a"\nendpoint = "{url}"\nseat = "clearing-agent"\n'
        f'[participant.key]\npublic = "{key}"\n'
    )
    ran = gridwitness("certify", "agent.toml")
    assert ran.status == 2
    assert "agent.toml: participant.endpoint" in ran.err


def test_a_port_that_is_none_is_a_users_mistake(gridwitness):
    ran = gridwitness("play", "clearing-agent", "--registry", "http://x", "--port", "99999")
    assert ran.status == 2
    assert ran.err.startswith("port 99999: cannot listen there")

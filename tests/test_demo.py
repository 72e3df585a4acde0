"""The first thing a stranger runs: `gridwitness demo`, and what it leaves behind."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from gridwitness import profile
from gridwitness.editions import editions
from gridwitness.fixtures import every_scenario
from gridwitness.plan import Plan
from gridwitness.profile import DEFAULT_EDITIONS, castings
from gridwitness.rules import rules
from tests.conftest import Ran, command, environment

ROOT = Path(__file__).parent.parent
SEATS = set(profile.SEATS.values())
PLAYED = [
    (feature, name, seat, dialect)
    for feature, name, seat, dialect, _ in every_scenario(
        Plan(
            out="",
            castings=tuple(c for seat in SEATS for c in castings(seat, DEFAULT_EDITIONS, "strict")),
            command="",
            name="",
        )
    )
]
SCENARIOS = len(PLAYED)
REFUSING = {seat for feature, _, seat, _ in PLAYED if feature.startswith("transport/")}
FEATURES = {feature for feature, _, _, _ in PLAYED}


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    import subprocess

    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        command("demo", "-n", "2"),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    (folder / "stdout.txt").write_text(done.stdout, "utf-8")
    return folder


@pytest.fixture
def report(out: Path) -> dict:
    return json.loads((out / "out" / "report.json").read_text("utf-8"))


def test_it_ends_conformant_and_says_so(out: Path):
    lines = (out / "stdout.txt").read_text("utf-8").splitlines()
    assert len([line for line in lines if line.startswith("passed")]) == SCENARIOS
    assert any(line.startswith("conformant: the reference participants") for line in lines)


def test_the_report_follows_its_schema(report: dict):
    schema = json.loads(
        files("gridwitness.schemas").joinpath("own/report.schema.json").read_text("utf-8")
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(report, schema)


def test_the_report_says_what_was_run(report: dict):
    assert report["verdict"] == "conformant"
    assert report["edition"] == {"order": "beckn-2.0.0-rc", "contract": "beckn-2.0.0-lts"}
    assert report["summary"]["scenarios"] == {"passed": SCENARIOS}
    assert report["summary"]["messages"] > 400
    assert {scenario["dialect"] for scenario in report["scenarios"]} == {"order", "contract"}
    assert set(report["participant"]["seats"]) == SEATS
    assert {scenario["seat"] for scenario in report["scenarios"]} == SEATS
    assert {s["feature"] for s in report["scenarios"]} == FEATURES
    folders = {file.parent.name for file in (ROOT / "features").rglob("*.feature")}
    assert {name.partition("/")[0] for name in FEATURES} == folders


def test_every_rule_is_exercised_in_every_seat_that_it_judges(report: dict):
    assert {line["id"] for line in report["rules"]} == rules().keys()
    played = [editions()[name] for name in DEFAULT_EDITIONS]
    for line in report["rules"]:
        places = {(place["seat"], place["dialect"]) for place in line["by_seat"]}
        asking = [edition for edition in played if line["id"] in edition.rules]
        dialects = {one.dialect for one in asking}
        assert places == {(seat, d) for _, _, seat, d in PLAYED if d in dialects}
        rule = rules()[line["id"]]
        for place in line["by_seat"]:
            can = rule.can_judge(place["seat"]) and not rule.needs_specification
            verdict = "passed" if place["exercised"] and can else "not_applicable"
            assert place["verdict"] == verdict, (line["id"], place)
            if can and not rule.when_stated and (place["seat"] in REFUSING or not rule.on_refusal):
                assert place["exercised"], line


def test_every_trace_is_there_and_hashed(out: Path, report: dict):
    assert len(report["traces"]) == SCENARIOS
    assert {s["trace"] for s in report["scenarios"]} == report["traces"].keys()
    for name in report["traces"]:
        assert (out / "out" / name).is_file()


def test_no_private_key_is_written(out: Path):
    text = "".join(file.read_text("utf-8") for file in (out / "out").rglob("*") if file.is_file())
    assert '"seed"' not in text
    assert "PRIVATE" not in text


def test_junit_holds_a_case_for_each_scenario(out: Path):
    root = ET.parse(out / "out" / "junit.xml").getroot()
    cases = root.findall(".//testcase")
    assert len(cases) == SCENARIOS
    assert not root.findall(".//failure")
    dotted = {feature.removesuffix(".feature").replace("/", ".") for feature in FEATURES}
    assert {case.get("classname") for case in cases} == dotted


def test_allure_shows_title_steps_parameters_and_the_trace(out: Path):
    results = [
        json.loads(file.read_text("utf-8"))
        for file in (out / "out" / "allure-results").glob("*-result.json")
    ]
    assert len(results) == SCENARIOS
    for result in results:
        assert result["status"] == "passed"
        steps = [step["name"] for step in result["steps"]]
        assert any(step.startswith("When ") for step in steps)
        assert any(step.startswith("Then ") for step in steps)
        assert {p["name"] for p in result["parameters"]} >= {"seat", "dialect"}
        [attached] = [a for a in result["attachments"] if a["name"] == "trace"]
        assert (out / "out" / "allure-results" / attached["source"]).read_text("utf-8")
    titles = {result["name"] for result in results}
    assert "A car and a roof clear at one price (clearing-agent-order)" in titles


def test_the_report_is_told_again_from_the_files_alone(out: Path, gridwitness):
    junit = out / "out" / "junit.xml"
    before = junit.read_bytes()
    junit.unlink()
    ran: Ran = gridwitness("report", str(out / "out"))
    assert ran.status == 0
    assert "conformant: the reference participants" in ran.out
    assert junit.read_bytes() == before


def test_a_changed_trace_is_noticed(out: Path, gridwitness, tmp_path: Path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(out / "out", copy)
    trace = next(file for file in (copy / "traces").iterdir() if b"roof" in file.read_bytes())
    trace.write_bytes(trace.read_bytes().replace(b"roof", b"root", 1))
    ran = gridwitness("report", "copy")
    assert ran.status == 2
    assert "is not the trace that was judged" in ran.err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"verdict": "conformant"}'])
def test_what_is_no_report_is_a_users_mistake(gridwitness, tmp_path: Path, content: str):
    (tmp_path / "report.json").write_text(content)
    ran = gridwitness("report", ".")
    assert ran.status == 2
    assert "is not a report" in ran.err


def test_a_parallel_run_finds_the_same(report: dict, gridwitness):
    ran = gridwitness("demo", "--json", "-n", "2")
    assert ran.status == 0

    def essence(found: dict) -> list:
        return sorted(
            (s["name"], s["seat"], s["dialect"], s["verdict"], s["rerun"])
            for s in found["scenarios"]
        )

    assert essence(ran.json) == essence(report)
    assert ran.json["rules"] == report["rules"]


def test_a_selection_cannot_end_conformant(gridwitness):
    ran = gridwitness("demo", "--json", "-k", "three_roofs_share and clearing-agent-order")
    assert (ran.status, ran.json["verdict"]) == (1, "untestable")
    assert [s["verdict"] for s in ran.json["scenarios"]] == ["passed"]


def test_a_selection_of_nothing_is_a_users_mistake(gridwitness):
    ran = gridwitness("demo", "-k", "nothing_like_this")
    assert ran.status == 2
    assert "no scenario is selected" in ran.err


def test_an_option_that_pytest_does_not_know_is_a_users_mistake(gridwitness):
    assert gridwitness("demo", "--no-such-option").status == 2


def test_a_folder_that_cannot_be_written_is_a_users_mistake(gridwitness, tmp_path: Path):
    (tmp_path / "taken").write_text("a file")
    ran = gridwitness("demo", "--out", "taken")
    assert ran.status == 2
    assert "--out taken" in ran.err


def test_another_projects_settings_do_not_reach_the_run(gridwitness, tmp_path: Path):
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError\n")
    ran = gridwitness("demo", "-k", "three_roofs_share and clearing-agent-order")
    assert ran.status == 1
    assert "passed" in ran.out


def test_the_plugin_is_inert_in_another_projects_run(tmp_path: Path):
    import subprocess
    import sys

    (tmp_path / "x.feature").write_text("Feature: none of ours\n")
    (tmp_path / "test_x.py").write_text("def test_x(): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--fixtures", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "capsys" in done.stdout
    assert "gridwitness" not in done.stdout.partition("rootdir")[2].partition("capsys")[2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("rules",), "The cleared powers sum to zero."),
        (("rules", "MKT-005"), "loses-a-kilowatt"),
        (("steps",), "the market runs"),
        (("version",), "gridwitness 0."),
    ],
)
def test_what_there_is_can_be_listed(gridwitness, arguments: tuple[str, ...], told: str):
    ran = gridwitness(*arguments)
    assert ran.status == 0
    assert told in ran.out


def test_rules_as_json_name_editions_and_defects(gridwitness):
    listed = gridwitness("rules", "--json").json
    assert len(listed) == len(rules())
    assert all(line["defects"] or rules()[line["id"]].when_stated for line in listed)
    for line in listed:
        asking = {name for name, edition in editions().items() if line["id"] in edition.rules}
        assert set(line["editions"]) == asking != set()


def test_an_unknown_rule_is_a_users_mistake(gridwitness):
    ran = gridwitness("rules", "XYZ-001")
    assert (ran.status, "there is no rule 'XYZ-001'" in ran.err) == (2, True)

"""The market participant's seat: one of several is judged, and only that one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gridwitness import cli
from gridwitness.errors import Nonconformance, UserError
from gridwitness.fixtures import every_scenario
from gridwitness.hearing import Hearing, family
from gridwitness.judgement import judge, required
from gridwitness.mocks.actor import Fault
from gridwitness.mocks.defects import DEFECTS, participant
from gridwitness.mocks.market import play
from gridwitness.mocks.participant import Wish
from gridwitness.plan import Casting, Plan
from gridwitness.profile import DEFAULT_EDITIONS, SEATS, castings
from gridwitness.report import Results, ScenarioRecord, build
from gridwitness.rules import rules
from gridwitness.story import AGENT, PARTICIPANT, UTILITY
from gridwitness.trace import Trace, read_trace, write_trace
from tests.conftest import curve, small_cast, small_scene
from tests.test_fairness import SEQUENCE, three

DIALECTS = ("order", "contract")
FALLING = Wish("m-odd", curve(("0.08", "0"), ("0.12", "-5")), Fault("falls on purpose"))
BROKEN = DEFECTS["signs-another-offer"]


def heard(sandbox, seat: str, dialect: str = "order", **changes) -> Trace:
    scene = small_scene(dialect, seat=seat, subject=seat)
    trace, faults = play(sandbox, scene, SEQUENCE, small_cast(**{"patience": 0.1} | changes))
    assert faults == []
    return trace


def by_verdict(trace: Trace) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for finding in judge(trace, trace.scene.subject).findings:
        found.setdefault((finding.actor, finding.verdict), set()).add(finding.rule)
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_broken_participant_is_nonconformant_in_its_seat(sandbox, dialect: str):
    trace = heard(sandbox, PARTICIPANT, dialect, broken=(PARTICIPANT, BROKEN.conduct))
    assert by_verdict(trace) == {("car", "nonconformant"): {"SIG-001"}}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_participant_is_a_fault_of_ours_when_the_agent_is_judged(sandbox, dialect: str):
    trace = heard(sandbox, AGENT, dialect, broken=(PARTICIPANT, BROKEN.conduct))
    assert trace.scene.subject == AGENT
    assert by_verdict(trace) == {("car", "harness_error"): {"SIG-001"}}


def test_a_broken_agent_is_a_fault_of_ours_when_a_participant_is_judged(sandbox):
    conduct = DEFECTS["loses-a-kilowatt"].conduct
    trace = heard(sandbox, PARTICIPANT, broken=(AGENT, conduct))
    assert {key: "MKT-005" in found for key, found in by_verdict(trace).items()} == {
        (AGENT, "harness_error"): True
    }


def test_the_other_participants_are_played_by_us(sandbox):
    trace = heard(sandbox, PARTICIPANT, broken=(PARTICIPANT, BROKEN.conduct))
    assert by_verdict(replace(trace, scene=replace(trace.scene, subject="roof"))) == {
        ("car", "harness_error"): {"SIG-001"}
    }


def test_the_first_honest_participant_takes_the_seat(sandbox):
    wishes = {"odd": FALLING, **small_cast().wishes}
    meters = {**small_cast().meters, "m-odd": three()["meters"]["m-home"]}
    trace = heard(sandbox, PARTICIPANT, wishes=wishes, meters=meters)
    assert (trace.scene.seat, trace.scene.subject) == (PARTICIPANT, "car")
    assert by_verdict(trace) == {}


def test_a_market_without_an_honest_participant_has_no_such_seat(sandbox):
    with pytest.raises(UserError, match="nobody honest takes part"):
        heard(sandbox, PARTICIPANT, wishes={"odd": FALLING})


def test_a_hearing_judges_the_actor_that_the_trace_names(sandbox):
    trace = heard(sandbox, PARTICIPANT, broken=(PARTICIPANT, BROKEN.conduct))
    hearing = Hearing(PARTICIPANT, "traces/x.jsonl", "gridwitness demo", {})
    hearing.hear(trace)
    assert hearing.subject == "car"
    with pytest.raises(Nonconformance, match="SIG-001"):
        hearing.demand(family("SIG"))


def test_a_trace_read_again_gives_the_same_findings(sandbox, tmp_path):
    trace = heard(sandbox, PARTICIPANT, broken=(PARTICIPANT, BROKEN.conduct))
    write_trace(trace, tmp_path / "t.jsonl")
    again = read_trace(tmp_path / "t.jsonl")
    assert again.scene.subject == "car"
    assert judge(again, again.scene.subject) == judge(trace, trace.scene.subject)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_right_participant_exercises_every_rule_of_its_seat(sandbox, dialect: str):
    trace = heard(sandbox, PARTICIPANT, dialect, patience=1.0)
    judgement = judge(trace, trace.scene.subject)
    assert judgement.findings == ()
    silent = [r.id for r in required(trace.scene.edition, PARTICIPANT) if not r.on_refusal]
    assert [rule for rule in silent if not judgement.exercised[rule]] == []


def test_what_only_who_is_asked_can_break_does_not_apply_to_who_asks(sandbox):
    trace = heard(sandbox, PARTICIPANT)
    verdicts = judge(trace, trace.scene.subject).verdicts
    for rule in ("COR-001", "COR-004", "MKT-005", "SET-001"):
        assert (verdicts[rule], rules()[rule].can_judge(AGENT)) == ("not_applicable", True)


@pytest.mark.parametrize("left_out", ["init", "confirm"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_who_stops_midway_is_blamed_and_the_others_trade(sandbox, dialect: str, left_out: str):
    conduct = replace(BROKEN.conduct, bytes_=lambda _, raw: raw, leaves_out=frozenset({left_out}))
    trace = heard(sandbox, PARTICIPANT, dialect, broken=(PARTICIPANT, conduct))
    assert by_verdict(trace) == {("car", "nonconformant"): {"ORD-003"}}
    told = [m for m in trace.of("on_confirm") if m.receiver == "roof"]
    assert [m.reading.error for m in told] == [None]


def test_who_refuses_what_is_right_is_blamed_alone(sandbox):
    conduct = replace(BROKEN.conduct, bytes_=lambda _, raw: raw)
    for refused in ("on_discover", "on_init", "on_confirm", "on_status"):
        breaks = replace(conduct, refuses_actions=frozenset({refused}))
        trace = heard(sandbox, PARTICIPANT, broken=(PARTICIPANT, breaks))
        assert by_verdict(trace) == {("car", "nonconformant"): {"ORD-005"}}, refused


def test_a_defect_is_tried_in_the_seat_of_who_misbehaves():
    assert {cli.seat_to_try(defect) for defect in participant.DEFECTS} == {PARTICIPANT}
    of_the_utility = [d for d in DEFECTS.values() if d.role == UTILITY]
    assert {cli.seat_to_try(d) for d in of_the_utility if d.seat} == {AGENT}
    assert {cli.seat_to_try(d) for d in of_the_utility if not d.seat} <= {UTILITY}


def plan_of(*seats: str) -> Plan:
    cast = tuple(c for seat in seats for c in castings(seat, DEFAULT_EDITIONS, "strict"))
    return Plan("out", cast, "gridwitness demo", "the reference participants")


def test_every_seat_and_dialect_of_a_scenario_is_asked_for():
    asked = every_scenario(plan_of(*SEATS.values()))
    title = "A car and a roof clear at one price"
    assert {(seat, dialect) for _, name, seat, dialect, _ in asked if name == title} == {
        (seat, dialect) for seat in (AGENT, PARTICIPANT) for dialect in DIALECTS
    }


def record(casting: Casting, **shown: tuple[str, int]) -> ScenarioRecord:
    return ScenarioRecord(
        feature="f",
        name="n",
        seat=casting.seat,
        dialect=casting.dialect,
        edition=casting.edition,
        strictness=casting.strictness,
        defect=None,
        verdict="passed",
        duration_s=0.0,
        trace=None,
        trace_sha256=None,
        message="",
        rerun="",
        rules={name.replace("_", "-"): value for name, value in shown.items()},
        findings=[],
    )


def test_a_rule_that_one_seat_exercised_is_untestable_in_the_silent_one():
    plan = plan_of(AGENT, PARTICIPANT)
    records = [
        record(c, ENV_001=("passed", 3), MKT_005=("passed", 1))
        if c.seat == AGENT
        else record(c, MKT_005=("not_applicable", 0))
        for c in plan.castings
    ]
    lines = {line["id"]: line for line in build(plan, Results(records))["rules"]}
    assert (lines["ENV-001"]["verdict"], lines["MKT-005"]["verdict"]) == ("untestable", "passed")
    assert {(p["seat"], p["verdict"]) for p in lines["ENV-001"]["by_seat"]} == {
        (AGENT, "passed"),
        (PARTICIPANT, "untestable"),
    }

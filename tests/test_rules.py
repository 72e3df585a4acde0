"""The rules: complete, cited, in an edition, each with a defect; silence is no pass."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gridwitness.editions import editions
from gridwitness.errors import HarnessFault, Nonconformance, Untestable
from gridwitness.hearing import Hearing, family
from gridwitness.judgement import judge, required
from gridwitness.mocks.defects import DEFECTS
from gridwitness.mocks.market import play
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.rules import Rule, outcome, rule, rules
from gridwitness.story import ASKED, ASKING
from gridwitness.trace import Trace
from tests.conftest import SEED, small_cast, small_market, small_scene
from tests.stated import WRONG
from tests.test_blocks import FOUND_BY

RULES = rules()
AGENT = "clearing agent"
NOT_ASKED = {
    "beckn-2.0.0-rc": {"ACK-005"},
    "beckn-2.0.0-lts": {"LIF-004"},
    "beckn-2.0.0-nfh": {"LIF-004"},
}
"""What an edition does not ask: one lists no error codes, two have no states of an order."""
ROLES = {*ASKING, *ASKED}


@pytest.mark.parametrize("one", RULES.values(), ids=RULES)
def test_a_rule_is_complete(one: Rule):
    assert re.fullmatch(r"[A-Z]{2,3}-\d{3}", one.id)
    assert one.sentence.endswith(".")
    assert not re.search(r"\b(should|checks?|tests?|ensures?)\b", one.sentence, re.IGNORECASE)
    assert len(one.source) > 10
    assert set(one.judges) <= ROLES


@pytest.mark.parametrize("rule_id", RULES)
def test_a_rule_has_a_defect(rule_id: str):
    named = [defect for defect in DEFECTS.values() if defect.breaks == rule_id]
    # What no scenario of ours states is broken in messages of the tests (test_amounts), or
    # in the broken examples of building blocks (test_blocks).
    broken = WRONG.get(rule_id) or rule_id in FOUND_BY.values()
    assert named or (RULES[rule_id].when_stated and broken)


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_a_defect_names_rules_that_exist(defect):
    assert {defect.breaks, *defect.also} <= RULES.keys()
    assert RULES[defect.breaks].can_judge(defect.role)
    assert defect.breaks not in defect.also


@pytest.mark.parametrize("edition", editions().values(), ids=editions())
def test_editions_and_rules_agree(edition):
    assert set(edition.rules) == RULES.keys() - NOT_ASKED.get(edition.id, set())
    assert len(edition.rules) == len(set(edition.rules))
    assert edition.deployed.keys() <= set(edition.rules)
    assert all(len(reason) > 20 for reason in edition.deployed.values())


def test_two_rules_cannot_share_an_id():
    with pytest.raises(ValueError, match="ENV-001"):
        rule("ENV-001", "MUST", source="nowhere")(lambda trace: iter(()))


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_silence_is_not_a_pass(dialect: str):
    scene = small_scene(dialect, roles={AGENT: AGENT}, ids={AGENT: "a"}, uris={AGENT: "u"})
    judgement = judge(Trace(scene, ()), AGENT)
    expected = {one.id for one in required(scene.edition, AGENT)}
    assert {r for r, verdict in judgement.verdicts.items() if verdict == "untestable"} == expected
    assert "passed" not in judgement.verdicts.values()


def test_an_unexercised_rule_that_is_demanded_is_untestable():
    hearing = Hearing(AGENT, "traces/none.jsonl", "again", {})
    hearing.hear(Trace(small_scene(roles={AGENT: AGENT}), ()))
    with pytest.raises(Untestable, match="silence is not a pass"):
        hearing.demand(family("MKT"))
    assert hearing.verdict == "untestable"


def test_nothing_can_be_demanded_of_what_was_not_played():
    hearing = Hearing(AGENT, "traces/none.jsonl", "again", {})
    with pytest.raises(Untestable):
        hearing.demand(family("MKT"))
    assert hearing.verdict == "untestable"


def test_a_rule_that_is_declared_absent_is_not_demanded():
    absent = {one.id: "the reason, in a sentence" for one in family("MKT")}
    hearing = Hearing(AGENT, "traces/none.jsonl", "again", absent)
    hearing.hear(Trace(small_scene(roles={AGENT: AGENT}), ()))
    hearing.demand(family("MKT"))
    assert hearing.rule_verdict("MKT-005") == "not_applicable"


def test_a_rule_that_fails_is_our_fault_and_hides_no_other(sandbox, monkeypatch):
    trace = small_market(sandbox)

    def fails(trace):
        yield outcome(True, by=AGENT, message=trace.messages[0])
        raise ZeroDivisionError

    broken = {
        **RULES,
        "MKT-005": Rule("MKT-005", "MUST", "s", "A sentence.", (AGENT,), False, fails),
    }
    monkeypatch.setattr("gridwitness.judgement.rules", lambda: broken)
    judgement = judge(trace, AGENT)
    assert judgement.verdicts["MKT-005"] == "harness_error"
    assert judgement.verdicts["MKT-006"] == "passed"


def test_a_fault_of_ours_is_never_blamed_on_the_participant(sandbox):
    trace = small_market(sandbox)
    kept = [m for m in trace.messages if m.action != "on_init" or m.sender != AGENT]
    with_the_utility_in_the_seat = judge(Trace(trace.scene, tuple(kept)), "utility")
    assert {f.verdict for f in with_the_utility_in_the_seat.findings} == {"harness_error"}
    assert {f.actor for f in with_the_utility_in_the_seat.findings} == {AGENT}


def test_a_hearing_ends_as_its_gravest_finding(sandbox):
    trace = small_market(sandbox)
    lonely = Trace(trace.scene, tuple(m for m in trace.messages if m.action != "on_confirm"))
    hearing = Hearing(AGENT, "traces/x.jsonl", "gridwitness demo", {})
    hearing.hear(lonely)
    with pytest.raises(HarnessFault) as caught:  # the utility's on_confirm is missing as well
        hearing.close()
    assert len(str(caught.value).splitlines()) % 5 == 0


def test_a_broken_rule_is_told_in_five_lines(sandbox):
    trace = small_market(sandbox)
    lost = [m for m in trace.messages if m.action == "on_discover"]
    hearing = Hearing(AGENT, "traces/x.jsonl", "gridwitness demo -k x", {})
    hearing.hear(Trace(trace.scene, tuple(m for m in trace.messages if m not in lost)))
    with pytest.raises(Nonconformance) as caught:
        hearing.close()
    told = str(caught.value).splitlines()
    assert told[0] == "COR-004: " + RULES["COR-004"].sentence
    assert [line.split()[0] for line in told[1:5]] == ["observed", "evidence", "source", "rerun"]


def test_what_deployed_networks_break_is_a_warning_there():
    broken = AGENT, DEFECTS["forgets-the-message-id"].conduct
    scene = small_scene(strictness="deployed")
    with Sandbox(SEED, speaks=[("beckn-2.0.0-rc", "deployed")]) as sandbox:
        trace, _ = play(sandbox, scene, (), small_cast(broken=broken))
    assert judge(trace, AGENT).verdicts["COR-001"] == "warning"
    assert judge(trace, AGENT).verdict == "warning"
    strict = Trace(replace(trace.scene, strictness="strict"), trace.messages)
    assert judge(strict, AGENT).verdicts["COR-001"] == "nonconformant"

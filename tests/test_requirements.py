"""The requirement ledger, the rules and the editions: nothing is lost between them."""

from __future__ import annotations

import re
import subprocess

import pytest

from gridwitness.editions import editions
from gridwitness.ledger import Row, ledger
from gridwitness.rules import rules
from tests.conftest import command, environment

LEDGER = ledger()
ROWS = {row.id: row for row in LEDGER.rows}
LENGTHS = {"ALL": 8, "BAP": 5, "BPP": 5, "PS": 6, "DS": 6, "REG": 5}
"""How many requirements the certification document has for each role."""

OWN = {
    "ORD",
    "MKT",
    "LCK",
    "SET",
    "AMT",
    "LIN",
    "SPC",
    "BIL",
    "BLK",
    "EVC",
    "FLX",
    "ALC",
    "STL",
    "DFX",
    "SVC",
}
"""Families that come from the use cases and from arithmetic, not from the protocol's documents."""


def test_every_requirement_has_a_row_and_no_other_is_there():
    certification = {
        f"C-{role}-{n:02}" for role, most in LENGTHS.items() for n in range(1, most + 1)
    }
    further = {f"X-{n:02}" for n in range(1, 57)}
    assert ROWS.keys() == certification | further
    assert len(ROWS) == len(LEDGER.rows)


@pytest.mark.parametrize("row", LEDGER.rows, ids=ROWS)
def test_a_row_is_judged_by_rules_that_exist_or_says_why_not(row: Row):
    assert set(row.rules) <= rules().keys()
    assert row.rules or len(row.reason) > 20
    assert not (row.unobservable and row.out_of_scope)
    assert row.asks.endswith(".")
    assert len(row.source) > 5


def test_every_rule_about_the_protocol_stands_in_a_row():
    named = {rule_id for row in LEDGER.rows for rule_id in row.rules}
    assert {id_ for id_, rule in rules().items() if rule.family not in OWN} <= named


@pytest.mark.parametrize("edition", editions().values(), ids=editions())
def test_what_the_ledger_judges_is_asked_by_an_edition(edition):
    judged = {rule_id for row in LEDGER.rows for rule_id in row.rules}
    assert judged <= {rule_id for one in editions().values() for rule_id in one.rules}
    assert judged & set(edition.rules)


def test_a_contradiction_names_both_texts_and_what_is_held():
    assert len({one.id for one in LEDGER.contradictions}) == len(LEDGER.contradictions) > 20
    for one in LEDGER.contradictions:
        assert re.fullmatch(r"D-\d\d", one.id)
        assert one.one != one.other
        assert all(len(text) > 3 for text in (one.about, one.one, one.other, one.held))
        named = set(re.findall(r"\b[A-Z]{2,3}-\d{3}\b", one.held)) - {"NFH-013"}
        assert named <= rules().keys()


def test_the_coverage_adds_up():
    assert sum(LEDGER.coverage().values()) == len(LEDGER.rows)
    assert LEDGER.coverage()["judged"] > 40


def test_the_ledger_can_be_listed(gridwitness):
    ran = gridwitness("rules", "--ledger")
    assert ran.status == 0
    assert "X-23" in ran.out
    assert "COR-001" in ran.out
    assert f"judged {LEDGER.coverage()['judged']}" in ran.out
    listed = gridwitness("rules", "--ledger", "--json").json
    assert len(listed["rows"]) == len(LEDGER.rows)
    assert listed["rows"][0]["state"] == LEDGER.rows[0].state
    assert {one["id"] for one in listed["contradictions"]} >= {"D-01", "D-02"}
    assert listed["coverage"] == LEDGER.coverage()


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_terminal_that_lacks_characters_is_shown_others(more):
    ran = subprocess.run(
        command("rules", "--ledger", *more),
        env=environment() | {"PYTHONIOENCODING": "ascii", "COLUMNS": "60"},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0
    assert not ran.stderr
    assert ran.stdout.isascii()
    assert b"X-56" in ran.stdout

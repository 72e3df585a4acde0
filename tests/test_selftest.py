"""The proof that the harness would have noticed: every defect, in both dialects."""

from __future__ import annotations

from gridwitness.mocks.defects import DEFECTS


def test_every_defect_is_caught_by_its_rule_and_by_no_unrelated_one(gridwitness):
    ran = gridwitness("selftest", "--json", within_s=500)
    rows = {row["defect"]: row for row in ran.json}
    assert rows.keys() == DEFECTS.keys()
    assert [name for name, row in rows.items() if not row["caught"]] == []
    assert {name: row["unrelated"] for name, row in rows.items() if row["unrelated"]} == {}
    claimed = {name: sorted(defect.also) for name, defect in DEFECTS.items()}
    assert {name: row["also"] for name, row in rows.items()} == claimed
    assert ran.status == 0

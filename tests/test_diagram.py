"""Diagrams: drawn from the tables of the features, and current where they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridwitness.diagram import draw, page, sequences
from gridwitness.errors import UserError
from gridwitness.feature_folder import feature_files
from gridwitness.sequence_table import COLUMNS, read_sequence

FEATURES = Path(__file__).parent.parent / "features"
FOLDERS = sorted({file.parent for file in feature_files(FEATURES)})

TABLE = [
    COLUMNS,
    ["1", "market participant", "clearing agent", "confirm", "offer curve", ""],
    ["2", "clearing agent", "utility", "confirm", "", "all 1"],
    ["3", "clearing agent", "market participant", "on_status or on_update", "meter reading", "1,2"],
]
DRAWN = """\
sequenceDiagram
    participant market_participant as market participant
    participant clearing_agent as clearing agent
    participant utility as utility
    market_participant->>clearing_agent: confirm: offer curve
    Note over clearing_agent: once the market participant's confirm has come for all
    clearing_agent->>utility: confirm
    clearing_agent-->>market_participant: on_status or on_update: meter reading
"""

B = "<!-- diagram: b.feature -->\n<!-- end -->\n"


def written(folder: Path, name: str, *tables: list) -> Path:
    """Write a feature with a sequence in the background, and further ones in scenarios."""
    lines = ["Feature: A flow", "  Background:", *told(tables[0] if tables else None)]
    for number, table in enumerate(tables[1:]):
        lines += [f"  Scenario: Number {number}", *told(table)]
    file = folder / name
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def told(table: list | None) -> list[str]:
    rows = [f"      | {' | '.join(row)} |" for row in table or []]
    return ["    Given the message sequence" if table else "    Given nothing", *rows]


def test_a_sequence_is_drawn_with_callbacks_dashed_and_barriers_noted():
    assert draw(read_sequence(TABLE)) == DRAWN


def test_a_title_is_quoted():
    assert (
        draw(read_sequence(TABLE), 'A "flow": two')
        == f'---\ntitle: "A \\"flow\\": two"\n---\n{DRAWN}'
    )


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_readme_of_a_use_case_is_current(folder: Path):
    assert (folder / "README.md").read_text("utf-8") == page(folder)


def test_a_feature_has_the_sequences_of_its_background_and_its_scenarios_once(tmp_path):
    file = written(tmp_path, "a.feature", TABLE, TABLE[:3], TABLE)
    assert list(sequences(file).values()) == ["", "Number 0"]
    assert [len(steps) for steps in sequences(file)] == [3, 2]
    assert sequences(written(tmp_path, "b.feature")) == {}


def test_a_page_is_rewritten_between_its_markers_and_nowhere_else(tmp_path):
    written(tmp_path, "a.feature", TABLE)
    written(tmp_path, "b.feature", TABLE)
    text = "# Mine\n\n<!-- diagram: a.feature, b.feature -->\nold\n<!-- end -->\nThe end, \\1.\n"
    (tmp_path / "README.md").write_text(text, "utf-8")
    drawn = text.replace("old\n", f"```mermaid\n{DRAWN}```\n")
    assert page(tmp_path) == drawn
    (tmp_path / "README.md").write_text(drawn, "utf-8")
    assert page(tmp_path) == drawn


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nothing", "a.feature has a message sequence and no diagram"),
        ("<!-- diagram: a.feature -->\n", "a diagram has no end"),
        ("<!-- diagram: a.feature, b.feature -->\n<!-- end -->\n", "one and the same"),
        (f"{B}<!-- diagram: a.feature, none.feature -->\n<!-- end -->\n", "one and the same"),
        (f"{B}<!-- diagram: a.feature, gone.feature -->\n<!-- end -->\n", "cannot be read"),
    ],
)
def test_a_page_that_does_not_fit_its_features_is_a_users_mistake(tmp_path, text: str, told: str):
    written(tmp_path, "a.feature", TABLE)
    written(tmp_path, "b.feature", TABLE[:3])
    written(tmp_path, "none.feature")
    (tmp_path / "README.md").write_text(text, "utf-8")
    with pytest.raises(UserError, match=told):
        page(tmp_path)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (["1", "utility", "clearing agent", "on_init", "", ""], "needs a name of its own"),
        (["4", "utlity", "clearing agent", "on_init", "", ""], "'utlity' is no role"),
        (["4", "utility", "clearing agent", "on_inti", "", ""], "'on_inti' is no action"),
        (["4", "utility", "clearing agent", "on_init", "aproval", ""], "nothing carries 'aproval'"),
        (["4", "utility", "clearing agent", "on_init", "", "5"], "no row above it"),
        (["4", "utility", "clearing agent", "on_init", "", "all 4"], "no row above it"),
    ],
)
def test_a_row_that_nothing_could_fulfil_is_a_users_mistake(row: list[str], told: str):
    with pytest.raises(UserError, match=told):
        read_sequence([*TABLE, row])


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ([COLUMNS], "holds no row"),
        ([COLUMNS[:-1], TABLE[1][:-1]], r"missing columns \['after'\]"),
        ([[*COLUMNS, "after"], [*TABLE[1], ""]], r"twice columns \['after'\]"),
    ],
)
def test_a_table_that_is_none_is_a_users_mistake(table: list, told: str):
    with pytest.raises(UserError, match=told):
        read_sequence(table)


@pytest.mark.parametrize("name", ["p2p_trading/pay_as_clear.feature", "p2p_trading"])
def test_the_command_draws_a_feature_or_a_folder_of_ours(gridwitness, name: str):
    ran = gridwitness("diagram", name)
    assert ran.status == 0, ran.err
    assert (ran.out.count("sequenceDiagram") == 1) == name.endswith(".feature")
    assert ("title: " in ran.out) == (not name.endswith(".feature"))
    assert "    market_participant->>clearing_agent: discover: interval\n" in ran.out


def test_the_command_redraws_the_pages_of_others(gridwitness, tmp_path):
    written(tmp_path, "a.feature", TABLE)
    (tmp_path / "README.md").write_text("<!-- diagram: a.feature -->\n<!-- end -->\n", "utf-8")
    ran = gridwitness("diagram", "--write", ".")
    assert (ran.status, ran.out) == (0, "")
    assert (tmp_path / "README.md").read_text("utf-8").count(DRAWN) == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere.feature", "nowhere.feature: is no feature"),
        ("none.feature", "states no message sequence"),
        ("bad.feature", "bad.feature:3: row 1 of the message sequence: comes after '9'"),
        ("text.feature", "text.feature:1: is no Gherkin"),
    ],
)
def test_what_cannot_be_drawn_is_a_users_mistake(gridwitness, tmp_path, name: str, told: str):
    written(tmp_path, "none.feature")
    written(tmp_path, "bad.feature", [COLUMNS, [*TABLE[1][:-1], "9"]])
    (tmp_path / "text.feature").write_text("no feature", "utf-8")
    ran = gridwitness("diagram", name)
    assert ran.status == 2
    assert told in ran.err

"""Features of others: played in place of ours, and never passed over in silence."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from gridwitness.editions import editions
from gridwitness.errors import UserError
from gridwitness.feature_folder import FEATURES, check_folder, feature_files
from gridwitness.fixtures import every_scenario, has_a_place, where_played
from gridwitness.plan import Plan
from gridwitness.profile import DEFAULT_EDITIONS, SEATS, castings
from gridwitness.steps import MODULES
from tests.conftest import Ran
from tests.test_certify import agent

HEAD = """\
@seat:clearing-agent @seat:market-participant
Feature: A street

  Background:
    Given a delivery of 15 minutes
    And the market participants
      | name    | meter | sanctioned | offer curve (INR/kWh)       |
      | battery | b-1   | 10 kW      | -8 kW at 4.00, 8 kW at 6.00 |
      | roof    | r-1   | 5 kW       | 0 kW at 3.00, 5 kW at 3.50  |
"""
TRADES = """
  Scenario: A battery takes what the roof gives: all of it
    When the market runs
    Then the market is in equilibrium
"""
STEPS = """
from pytest_bdd import given, parsers, then

@given(parsers.parse("{number:d} more like {name}"), target_fixture="participants")
def more_like(number, name, participants):
    [model] = [row for row in participants if row["name"] == name]
    further = [(f"{name}-{n}", f"{model['meter']}-{n}") for n in range(2, number + 2)]
    return [*participants, *({**model, "name": who, "meter": meter} for who, meter in further)]
"""
MORE = TRADES.replace("  When", "  Given 2 more like roof\n    When")


def put(folder: Path, text: str, name: str = "street.feature", steps: str = "") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")
    if steps:
        (folder / "steps.py").write_text(steps, "utf-8")
    return folder


def rules_of(ran: Ran) -> dict[str, str]:
    return {rule["id"]: rule["verdict"] for rule in ran.json["rules"]}


# -- what is played ---------------------------------------------------------------------


def test_a_folder_of_others_is_played_in_the_seats_and_dialects_it_names(gridwitness, tmp_path):
    text = HEAD.replace("@seat:market-participant", "@dialect:contract") + MORE
    put(tmp_path / "mine", text, "deep/street.feature")
    put(tmp_path / "mine", HEAD, ".git/hidden.feature", STEPS)
    put(tmp_path / "mine", "raise RuntimeError", "conftest.py")
    put(tmp_path / "mine", "raise RuntimeError", "test_theirs.py")
    ran = gridwitness("demo", "--features", "mine", "--json")
    assert ran.status == 0, ran.err
    report = ran.json
    schema = files("gridwitness.schemas").joinpath("own/report.schema.json").read_text("utf-8")
    jsonschema.validate(report, json.loads(schema))
    [scenario] = report["scenarios"]
    assert scenario["feature"] == "deep/street.feature"
    assert scenario["name"] == "A battery takes what the roof gives: all of it"
    assert (scenario["seat"], scenario["dialect"]) == ("clearing agent", "contract")
    assert scenario["rerun"].startswith("gridwitness demo --features mine -k ")
    assert report["edition"] == {"contract": "beckn-2.0.0-lts"}
    assert report["features"]["folder"] == "mine"
    assert report["features"]["files"].keys() == {"deep/street.feature", "steps.py"}
    trace = (tmp_path / "out" / scenario["trace"]).read_text("utf-8")
    assert json.loads(trace.splitlines()[0])["scene"]["feature"] == "deep/street.feature"
    assert "roof-3" in trace
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        ".git",
        "conftest.py",
        "deep",
        "steps.py",
        "test_theirs.py",
    ]


def test_what_features_of_others_do_not_exercise_is_not_asked_and_told_as_such(
    gridwitness, tmp_path
):
    put(tmp_path / "mine", HEAD + TRADES)
    ran = gridwitness("demo", "--features", "mine")
    assert ran.status == 0, ran.out + ran.err
    told = " ".join(ran.out.split())
    assert "conformant: the reference participants in the features of mine alone, by" in told
    assert "no certificate of an edition: " in told
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    verdicts = {rule["id"]: rule["verdict"] for rule in report["rules"]}
    assert (verdicts["MKT-005"], verdicts["SIG-012"]) == ("passed", "not_exercised")
    assert verdicts.keys() == {rule for name in DEFAULT_EDITIONS for rule in editions()[name].rules}
    assert gridwitness("report", "out").out.splitlines()[-6:] == ran.out.splitlines()[-6:]


def test_what_features_of_others_demand_is_asked(gridwitness, tmp_path):
    text = HEAD + TRADES + "    And the exchange keeps SIG-012\n"
    put(tmp_path / "mine", text)
    ran = gridwitness("demo", "--features", "mine", "-k", "contract")
    assert ran.status == 1
    assert "untestable: the reference participants in the features of mine alone" in ran.out
    assert "SIG-012: " in ran.out


def test_a_scenario_that_demands_nothing_of_who_is_judged_is_untestable(gridwitness, tmp_path):
    text = HEAD + TRADES.replace("the market is in equilibrium", "the exchange keeps LCK-001")
    put(tmp_path / "mine", text)
    ran = gridwitness("demo", "--features", "mine")
    assert ran.status == 1
    assert "nothing is demanded of battery" in ran.out
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    verdicts = {(one["seat"], one["verdict"]) for one in report["scenarios"]}
    assert verdicts == {("clearing agent", "passed"), ("market participant", "untestable")}


def test_a_participant_is_judged_by_features_of_others(gridwitness, tmp_path):
    put(tmp_path / "mine", HEAD + TRADES)
    with agent(tmp_path) as profile:
        ran = gridwitness("certify", str(profile), "--features", "mine", "--json")
    assert ran.status == 0, ran.err
    assert {one["seat"] for one in ran.json["scenarios"]} == {"clearing agent"}
    assert ran.json["command"].endswith("--features mine")
    with agent(tmp_path, "--defect", "loses-a-kilowatt") as profile:
        ran = gridwitness("certify", str(profile), "--features", "mine", "--json")
    assert (ran.status, rules_of(ran)["MKT-005"]) == (1, "nonconformant")


def test_an_edition_for_which_nothing_is_played_cannot_be_certified(gridwitness, tmp_path):
    put(
        tmp_path / "mine",
        HEAD.replace("@seat:clearing", "@dialect:contract @seat:clearing") + TRADES,
    )
    with agent(tmp_path) as profile:
        ran = gridwitness("certify", str(profile), "--features", "mine")
    assert ran.status == 2
    assert "no scenario" not in ran.out
    assert "has a scenario for the seat of the clearing agent in the order dialect" in ran.err
    assert "leave beckn-2.0.0-rc out" in ran.err


@pytest.mark.parametrize(
    ("tags", "played"),
    [
        (set(), set()),
        ({"seat:clearing-agent"}, {"order", "contract"}),
        ({"seat:clearing-agent", "dialect:order"}, {"order"}),
        ({"seat:clearing-agent", "dialect:order", "dialect:contract"}, {"order", "contract"}),
        ({"seat:market-participant", "dialect:order"}, set()),
    ],
)
def test_a_tag_narrows_the_dialects(tags: set[str], played: set[str]):
    cast = castings("clearing agent", DEFAULT_EDITIONS, "strict")
    assert {one.dialect for one in cast if has_a_place(one, tags)} == played


def test_a_plan_asks_for_what_is_tagged_and_casts_nobody_else(tmp_path):
    text = HEAD.replace(" @seat:market-participant", "") + TRADES
    put(tmp_path, text.replace("  Scenario", "  @dialect:order\n  Scenario"))
    cast = tuple(one for s in SEATS.values() for one in castings(s, DEFAULT_EDITIONS, "strict"))
    plan = Plan(out="", castings=cast, command="", name="", features=str(tmp_path))
    assert [place[2:4] for place in every_scenario(plan)] == [("clearing agent", "order")]
    assert [one.label for one in where_played(plan).castings] == ["clearing-agent-order"]


def test_our_own_features_pass_what_is_asked_of_those_of_others():
    from gridwitness.cli import _sentences

    check_folder(FEATURES, _sentences(MODULES), SEATS)
    assert len(feature_files(FEATURES)) > 1


# -- what cannot be played --------------------------------------------------------------


def checked(folder: Path) -> str:
    from gridwitness.cli import _checked_features

    with pytest.raises(UserError) as raised:
        _checked_features(folder)
    return str(raised.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "street.feature: holds no feature"),
        ("Feature: x\n  Scenari: y\n    Given z\n", "street.feature:1: has no scenario"),
        (HEAD + TRADES + "    Whenever\n", "street.feature:14: is no Gherkin: expected: "),
        ("@seat:clearing-agent\nFeature: x\n  Scenario: y\n    And z\n", "street.feature:4: First"),
        (HEAD, "street.feature:2: has no scenario"),
        (HEAD[HEAD.index("Feature") :] + TRADES, "street.feature:10: has no seat"),
        ("@seat:pilot " + HEAD + TRADES, "street.feature:1: nobody knows the tag @seat:pilot"),
        ("@dialect:xml " + HEAD + TRADES, "one of: @seat:clearing-agent, @seat:market-participant"),
        ("@slow " + HEAD + TRADES, "street.feature:1: nobody knows the tag @slow"),
        (HEAD + TRADES + TRADES, "street.feature:15: has no title of its own"),
        (HEAD + "  Rule: z\n" + TRADES, "street.feature:10: has a Rule"),
        (
            HEAD + TRADES.replace("When", "Given the market runs\n    When"),
            "nobody knows the sentence 'Given the market runs'",
        ),
        (HEAD + TRADES.replace("runs", "rans"), "the nearest: 'When the market runs'"),
        (HEAD + TRADES.replace("runs", "rans"), "street.feature:12: nobody knows"),
        (HEAD + TRADES + "    When the market runs\n", "needs one When"),
        (HEAD + TRADES[: TRADES.index("    Then")], "needs one When, and a Then"),
        (HEAD + TRADES + "      | a |\n", "takes no table"),
        (HEAD[: HEAD.index("      | name")] + TRADES, "street.feature:6: 'the market part"),
        (
            HEAD + TRADES + "\n    Examples:\n      | a |\n",
            "street.feature:15: has tags, or no rows",
        ),
        (HEAD + TRADES + "\n    @x\n    Examples:\n      | a |\n      | b |\n", "has tags"),
        (
            HEAD + TRADES + "\n    Examples:\n      | a |\n      | b |\n      | c |\n",
            "share a title",
        ),
        (
            HEAD
            + TRADES.replace("equilibrium", "<x>")
            + "\n    Examples:\n      | a |\n      | b |\n",
            "street.feature:13: <x> is no column",
        ),
    ],
)
def test_a_feature_that_cannot_be_played_is_a_users_mistake(tmp_path, text: str, told: str):
    assert told in checked(put(tmp_path, text))


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("import nothing_like_it\n", "steps.py:1: cannot be loaded: ModuleNotFoundError"),
        ("def (:\n", "steps.py:1: cannot be loaded: SyntaxError"),
        (STEPS.replace("def more", "async def more"), "is a coroutine"),
        (STEPS + STEPS.replace("def more_like", "def others_like"), "is defined twice"),
        (STEPS.replace("{number:d} more like {name}", "the market participants"), "defined twice"),
        (STEPS.replace("{number:d} more like {name}", "the market {x}"), "can be read as"),
    ],
)
def test_steps_that_cannot_be_added_are_a_users_mistake(tmp_path, steps: str, told: str):
    assert told in checked(put(tmp_path, HEAD + TRADES, steps=steps))


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_features_is_a_users_mistake(gridwitness, tmp_path, name: str):
    (tmp_path / "empty").mkdir()
    ran = gridwitness("demo", "--features", name)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"--features {name}: ")
    assert "mend: " in ran.err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("10 kW", "10 MW", "street.feature:13: a table: '10 MW' is no quantity in kW"),
        ("sanctioned", "sanct.", "street.feature:6: a table of the feature: unknown columns"),
        (
            "keeps ENV-001",
            "keeps ENV-999",
            "street.feature:15: a sentence of the feature: there is",
        ),
        ("like roof", "like rof", "street.feature:12: steps.py:6: ValueError"),
        ("the market participants\n", "nobody at all\n", "nobody knows"),
    ],
)
def test_what_only_a_run_can_find_is_a_users_mistake_too(
    gridwitness, tmp_path, old: str, new: str, told: str
):
    text = HEAD + MORE + "    And the exchange keeps ENV-001\n"
    assert old in text
    put(tmp_path / "mine", text.replace(old, new, 1), steps=STEPS)
    ran = gridwitness("demo", "--features", "mine", "-n", "0")
    assert ran.status == 2, ran.out + ran.err
    assert told in ran.err
    assert "Traceback" not in ran.err
    assert not list((tmp_path / "out").glob("report.json"))
    assert not list((tmp_path / "out").glob("traces/*"))


def test_a_sentence_that_lacks_another_before_it_is_a_users_mistake(gridwitness, tmp_path):
    start, end = HEAD.index("    And the market"), len(HEAD)
    put(tmp_path / "mine", HEAD[:start] + HEAD[end:] + TRADES)
    ran = gridwitness("demo", "--features", "mine", "-n", "2")
    assert ran.status == 2
    assert "street.feature:8: needs participants, of which no sentence before it tells" in ran.err
    assert "write before it: the market participants" in ran.err


def test_sentences_of_a_folder_are_listed_with_ours(gridwitness, tmp_path):
    put(tmp_path / "mine", HEAD + MORE, steps=STEPS)
    ran = gridwitness("steps", "--features", "mine")
    assert ran.status == 0
    assert "{number:d} more like {name}" in ran.out
    assert "the market runs" in ran.out
    assert "more like" not in gridwitness("steps").out
    ran = gridwitness("steps", "--features", "nowhere")
    assert (ran.status, "--features nowhere: is no folder" in ran.err) == (2, True)

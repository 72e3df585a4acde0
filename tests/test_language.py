"""The features: a closed vocabulary, titles that state facts, one When."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
from gherkin.parser import Parser
from pytest_bdd.steps import step_function_context_registry

from gridwitness import steps
from gridwitness.cli import vocabulary

ROOT = Path(__file__).parent.parent
BUDGET = 32
MOST_STEPS = 9


def features() -> list[tuple[str, dict]]:
    return [
        (str(file.relative_to(ROOT)), Parser().parse(file.read_text("utf-8"))["feature"])
        for file in sorted((ROOT / "features").rglob("*.feature"))
    ]


def scenarios() -> list[tuple[str, dict]]:
    found = []
    for name, feature in features():
        for child in feature["children"]:
            if "scenario" in child:
                found.append((f"{name}: {child['scenario']['name']}", child["scenario"]))
    return found


def sentences() -> list[tuple[str, str, str]]:
    found = []
    for name, feature in features():
        for child in feature["children"]:
            block = child.get("scenario") or child.get("background")
            kind = ""
            for step in block["steps"]:
                word = step["keyword"].strip().lower()
                kind = word if word in ("given", "when", "then") else kind
                found.append((f"{name}:{step['location']['line']}", kind, step["text"]))
    return found


def definitions() -> list:
    for name in steps.MODULES:
        import_module(name)
    return [
        definition
        for definition in step_function_context_registry.values()
        if definition.step_func.__module__ in steps.MODULES
    ]


def matching(kind: str, text: str) -> list:
    return [d for d in definitions() if d.type == kind and d.parser.is_matching(text)]


@pytest.mark.parametrize(("where", "kind", "text"), sentences())
def test_a_sentence_has_exactly_one_definition(where: str, kind: str, text: str):
    assert len(matching(kind, text)) == 1, where


def test_every_definition_is_used():
    used = {id(d) for _, kind, text in sentences() for d in matching(kind, text)}
    assert [d.parser.name for d in definitions() if id(d) not in used] == []


def test_the_vocabulary_stays_within_its_budget():
    assert 0 < len(definitions()) <= BUDGET
    assert len(vocabulary()) == len(definitions())


def test_no_step_is_a_coroutine():
    assert not [d for d in definitions() if inspect.iscoroutinefunction(d.step_func)]


@pytest.mark.parametrize("file", sorted((ROOT / "steps").glob("*.py")), ids=lambda f: f.name)
def test_steps_do_not_look_at_the_test_that_runs_them(file: Path):
    text = file.read_text("utf-8")
    assert not re.search(r"request\.node|get_closest_marker|parsers\.re\b|sleep\(", text)


@pytest.mark.parametrize(("name", "feature"), features())
def test_titles_state_facts(name: str, feature: dict):
    titles = [feature["name"]]
    titles += [c["scenario"]["name"] for c in feature["children"] if "scenario" in c]
    assert titles[1:], name
    for title in titles:
        assert not re.search(r"\b(should|verify|verifies|tests?|checks?)\b", title, re.IGNORECASE)
        assert ": " not in title  # pytest-bdd writes "feature: scenario"


def test_scenario_titles_are_unique():
    titles = [scenario["name"] for _, scenario in scenarios()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(("name", "scenario"), scenarios())
def test_a_scenario_has_one_when_and_few_steps(name: str, scenario: dict):
    keywords = [step["keyword"].strip() for step in scenario["steps"]]
    assert keywords.count("When") == 1, name
    assert len(keywords) <= MOST_STEPS, name


@pytest.mark.parametrize(("where", "kind", "text"), sentences())
def test_sentences_hold_no_wire_detail(where: str, kind: str, text: str):
    assert not re.search(r"http|json|message_?id|context\.|/on_", text, re.IGNORECASE), (
        where,
        kind,
    )

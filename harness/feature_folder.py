"""A folder of features: its files, and whether what others wrote in theirs can be played.

Belongs here: finding features, and telling who wrote them what to mend before anything is
played. Does not belong here: playing them (run), the vocabulary (steps).

A folder outside this repository may hold `steps.py`: sentences of its own, added to the
vocabulary for a run.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import re
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from gherkin.errors import CompositeParserException
from gherkin.parser import Parser
from pytest_bdd.exceptions import GherkinParseError
from pytest_bdd.feature import get_features
from pytest_bdd.steps import step_function_context_registry

from gridwitness.dialects import DIALECTS
from gridwitness.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_bdd.parser import Feature, ScenarioTemplate, Step
    from pytest_bdd.steps import StepFunctionContext

FEATURES = Path(inspect.getfile(import_module("gridwitness.features"))).parent
"""The features of this repository."""

STEPS = "steps.py"

NEAREST, NEAR = 3, 0.4
"""How many known sentences are named beside one that nobody knows, and how near they are."""


def feature_files(folder: Path) -> list[Path]:
    """Find the features below a folder, in order of path; what is hidden is left alone."""
    return [
        file
        for file in sorted(folder.rglob("*.feature"))
        if file.is_file() and not any(p.startswith(".") for p in file.relative_to(folder).parts)
    ]


def digests(folder: Path) -> dict[str, str]:
    """Give the SHA-256 of each feature below a folder, and of its own steps, by path."""
    own = folder / STEPS
    files = [*feature_files(folder), *([own] if own.is_file() else [])]
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def parse(file: Path) -> dict[str, Any]:
    """Parse a feature into the tree that Gherkin makes of it; raises UserError if it is none."""
    try:
        parsed: Any = Parser().parse(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot be read ({error})", where=str(file), mend="name a feature that exists"
        ) from error
    except CompositeParserException as error:
        first: Any = cast("Any", error).errors[0]
        raise UserError(
            f"is no Gherkin: {str(first).partition(': ')[2]}",
            where=f"{file}:{first.location['line']}",
            mend="write Feature, Background, Scenario, and steps with Given, When, Then, And",
        ) from error
    if "feature" not in parsed:
        raise UserError("holds no feature", where=str(file), mend="begin with 'Feature: a title'")
    found: dict[str, Any] = parsed["feature"]
    return found


def load_steps(folder: Path) -> ModuleType | None:
    """Load the sentences that a folder brings along; None where it brings none.

    The module is named by its file, so that its sentences are told from all others.
    Raises UserError for a folder that is none, and for what Python cannot load.
    """
    if not folder.is_dir():
        raise UserError("is no folder", where=f"--features {folder}", mend="name one that exists")
    file = folder / STEPS
    if not file.is_file():
        return None
    module = ModuleType(str(file))
    module.__file__ = str(file)
    try:
        # Not imported: nothing is to be written into the folder of others.
        exec(compile(file.read_text("utf-8"), str(file), "exec"), module.__dict__)  # noqa: S102
    except Exception as error:
        where = line_of(error, file)
        what = f"cannot be loaded: {type(error).__name__}: {error}"
        raise UserError(what, where=where, mend="correct it") from error
    return module


def line_of(error: BaseException, file: Path) -> str:
    """Tell at which line of a file an error came up; the file alone if it did elsewhere."""
    if isinstance(error, SyntaxError):
        return f"{file}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    return f"{file}:{lines[-1]}" if lines else str(file)


def definitions(modules: Collection[str]) -> list[StepFunctionContext]:
    """Give the sentences that some modules define."""
    return [
        definition
        for definition in step_function_context_registry.values()
        if definition.step_func.__module__ in modules
    ]


def check_folder(folder: Path, known: Sequence[StepFunctionContext], seats: Iterable[str]) -> None:
    """Make sure that every scenario below a folder of others can be played.

    known is the vocabulary, their own sentences with it; seats are the tags that there
    are. Raises UserError for the first thing that cannot, and for what would be passed
    over without a word.
    """
    files = feature_files(folder)
    if not files:
        what = "holds no feature: nothing would be judged"
        raise UserError(what, where=f"--features {folder}", mend="write one: features/README.md")
    _check_steps(folder / STEPS, known)
    tags = [*(f"seat:{seat}" for seat in seats), *(f"dialect:{name}" for name in DIALECTS)]
    for file in files:
        tree = parse(file)
        _check_tree(file, tree, tags)
        _check_scenarios(file, _read(file), known)


def _read(file: Path) -> Feature:
    try:
        [feature] = get_features([str(file)])
    except GherkinParseError as error:
        raise UserError(error.message, where=f"{file}:{error.line}", mend="correct it") from error
    return feature


def _check_steps(file: Path, known: Sequence[StepFunctionContext]) -> None:
    own = [one for one in known if one.step_func.__module__ == str(file)]
    for one in own:
        where = f"{file}:{one.step_func.__code__.co_firstlineno}"
        if inspect.iscoroutinefunction(one.step_func):
            what = f"{_told(one)!r} is a coroutine: it would pass without being run"
            raise UserError(what, where=where, mend="write def without async")
        alike = [two for two in known if two is not one and two.parser.name == one.parser.name]
        if any(None in (one.type, two.type) or one.type == two.type for two in alike):
            where_else = " and ".join(two.step_func.__module__ for two in alike)
            what = f"{_told(one)!r} is defined twice: here and in {where_else}"
            raise UserError(what, where=where, mend="use the one that exists, or other words")


def _check_tree(file: Path, feature: dict[str, Any], tags: Sequence[str]) -> None:
    """Find what the runner of the scenarios would pass over: it keeps one a title."""
    titles: set[str] = set()
    _check_tags(file, feature, tags)
    for child in feature["children"]:
        if "rule" in child:
            raise _mistake(
                file,
                child["rule"],
                "has a Rule, which no run knows",
                "write the scenarios below the Feature, and 'Then the exchange keeps XYZ-001'",
            )
        if "scenario" not in child:
            continue
        scenario: dict[str, Any] = child["scenario"]
        _check_tags(file, scenario, tags)
        if not scenario["name"] or scenario["name"] in titles:
            raise _mistake(file, scenario, "has no title of its own", "say what it shows")
        titles.add(scenario["name"])
        for examples in scenario["examples"]:
            if examples["tags"] or not examples.get("tableBody"):
                raise _mistake(file, examples, "has tags, or no rows", "write rows, and no tags")
        if not any(tag.startswith("seat:") for one in (feature, scenario) for tag in _tags(one)):
            raise _mistake(
                file, scenario, "has no seat: nobody would play it", f"tag it @{tags[0]}"
            )
    if not titles:
        raise _mistake(file, feature, "has no scenario", "write one, or remove the file")


def _check_tags(file: Path, tagged: dict[str, Any], tags: Sequence[str]) -> None:
    for tag in tagged["tags"]:
        if tag["name"].removeprefix("@") not in tags:
            known = ", ".join(f"@{name}" for name in tags)
            raise _mistake(file, tag, f"nobody knows the tag {tag['name']}", f"one of: {known}")


def _tags(tagged: dict[str, Any]) -> list[str]:
    return [tag["name"].removeprefix("@") for tag in tagged["tags"]]


def _mistake(file: Path, node: dict[str, Any], what: str, mend: str) -> UserError:
    return UserError(what, where=f"{file}:{node['location']['line']}", mend=mend)


def _check_scenarios(file: Path, feature: Feature, known: Sequence[StepFunctionContext]) -> None:
    for scenario in feature.scenarios.values():
        where = f"{file}:{scenario.line_number}"
        titles = [one.name for one in rendered(scenario)]
        if len(set(titles)) < len(titles):
            what = "has examples that share a title: one could be left out unseen"
            raise UserError(what, where=where, mend="write a <column> of the examples into it")
        kinds = [step.type for step in scenario.steps]
        if kinds.count("when") != 1 or "then" not in kinds[kinds.index("when") :]:
            what = "needs one When, and a Then after it that says what is demanded"
            raise UserError(what, where=where, mend="split it, or complete it")
        for one in rendered(scenario):
            for step in one.steps:
                _check_step(f"{file}:{step.line_number}", step, known)


def rendered(scenario: ScenarioTemplate) -> list[Any]:
    """Give a scenario as it is played: of an outline, one for each of its examples."""
    examples = [example for table in scenario.examples for example in table.as_contexts()]
    return [scenario.render(example) for example in examples or [{}]]


def _check_step(where: str, step: Step, known: Sequence[StepFunctionContext]) -> None:
    if unfilled := re.search(r"<[^<>]+>", step.name):
        what = f"{unfilled[0]} is no column of the examples"
        raise UserError(what, where=where, mend="name a column of the examples below")
    fitting = [
        one for one in known if one.type in (None, step.type) and one.parser.is_matching(step.name)
    ]
    if not fitting:
        sentence = f"{step.type.title()} {step.name}"
        near = difflib.get_close_matches(sentence, list(map(_told, known)), NEAREST, NEAR)
        nearest = f"the nearest: {'; '.join(map(repr, near))}; all: " if near else ""
        raise UserError(
            f"nobody knows the sentence {sentence!r}",
            where=where,
            mend=f"{nearest}gridwitness steps; or define it in {STEPS}",
        )
    if len(fitting) > 1:
        told = " and ".join(f"{_told(one)!r} ({one.step_func.__module__})" for one in fitting)
        raise UserError(
            f"{step.name!r} can be read as {told}", where=where, mend="tell them apart in words"
        )
    table = inspect.signature(fitting[0].step_func).parameters.get("datatable")
    if table is None and step.datatable is not None:
        raise UserError(f"{step.name!r} takes no table", where=where, mend="remove the table")
    if table and table.default is table.empty and step.datatable is None:
        raise UserError(f"{step.name!r} needs a table", where=where, mend="write one below it")


def _told(definition: StepFunctionContext) -> str:
    return f"{(definition.type or 'step').title()} {definition.parser.name}"

"""A run under pytest: features become tests, tests become scenario records.

Belongs here: the hooks of pytest and pytest-bdd. Does not belong here: fixtures
(fixtures), what a scenario means (steps), what is reported (report).

A feature file is collected as a module of its own; the step definitions are put
into its namespace, so that our sentences exist nowhere else.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import allure
import pytest
from pytest_bdd.steps import StepNamePrefix

from gridwitness.errors import HarnessFault, Red, UserError
from gridwitness.feature_folder import STEPS, definitions, digests, line_of, load_steps
from gridwitness.fixtures import (
    PLAN,
    every_scenario,
    feature_path,
    folder_of,
    has_a_place,
    is_cast,
    may_be_cast,
    scenario_name,
)
from gridwitness.hearing import Hearing
from gridwitness.plan import Casting
from gridwitness.report import Results, ScenarioRecord, write_outputs
from gridwitness.steps import MODULES
from gridwitness.terminal import scenario_line
from gridwitness.trace import write_trace

if TYPE_CHECKING:
    from collections.abc import Generator

    from gridwitness.plan import Plan

SCENARIOS = "from pytest_bdd import scenarios\nscenarios({path!r})\n"


class FeatureModule(pytest.Module):
    """A feature file as a test module: the steps, and one test a scenario."""

    def _getobj(self) -> ModuleType:
        module = ModuleType(self.path.stem)
        module.__file__ = str(self.path)
        for name in MODULES:
            for key, value in vars(import_module(name)).items():
                if key.startswith(StepNamePrefix.step_def.value):
                    if hasattr(module, key):
                        raise ValueError(f"{key} is defined twice")
                    setattr(module, key, value)
        # pytest-bdd puts the tests into the namespace that calls it, and finds it by its frame.
        source = SCENARIOS.format(path=str(self.path))
        exec(compile(source, str(self.path), "exec"), module.__dict__)  # noqa: S102
        return module


def _casting(item: pytest.Item) -> Casting | None:
    """Give the casting of a test; None for the one that pytest makes where nobody is cast."""
    callspec = getattr(item, "callspec", None)
    casting = callspec.params.get("casting") if callspec else None
    return casting if isinstance(casting, Casting) else None


class Run:
    """The hooks of one run; registered only when there is a plan."""

    def __init__(self, plan: Plan, config: pytest.Config) -> None:
        config.stash[PLAN] = plan
        self.plan = plan
        self.out = Path(plan.out)
        self.is_worker = hasattr(config, "workerinput")
        self.results = Results()
        self._steps: dict[int, ExitStack] = {}
        self._mistakes: dict[str, str] = {}
        own = load_steps(folder_of(plan)) if plan.features else None
        self._own_steps = own.__name__ if own else ""
        if own is not None:
            config.pluginmanager.register(own, self._own_steps)

    # -- collection -----------------------------------------------------------------

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Collector | None:
        if file_path.suffix != ".feature":
            return None
        module: FeatureModule = FeatureModule.from_parent(parent, path=file_path)
        return module

    @pytest.hookimpl(tryfirst=True)
    def pytest_bdd_apply_tag(self, tag: str, function: Any) -> bool | None:  # noqa: ANN401
        kind, _, name = tag.partition(":")
        if kind in ("seat", "dialect"):
            pytest.mark.played(tag=f"{kind}:{name}")(function)
            return True
        return None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "casting" not in metafunc.fixturenames:
            return
        test = metafunc.definition
        tags = {mark.kwargs["tag"] for mark in test.iter_markers("played")}
        path = feature_path(self.plan, test.path)
        castings = [
            casting
            for casting in self.plan.castings
            if has_a_place(casting, tags) and may_be_cast(casting, path, scenario_name(test))
        ]
        labels = [casting.label for casting in castings]
        metafunc.parametrize("casting", castings, ids=labels, indirect=True, scope="function")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop the scenarios, and the examples of outlines, that no casting plays."""
        items[:] = [item for item in items if self._is_played(item)]

    def _is_played(self, item: pytest.Item) -> bool:
        """Tell whether somebody is cast for a test, and of an outline for its example."""
        casting = _casting(item)
        return casting is not None and is_cast(
            casting, feature_path(self.plan, item.path), scenario_name(item)
        )

    # -- one scenario ---------------------------------------------------------------

    def pytest_bdd_before_scenario(
        self,
        request: pytest.FixtureRequest,
        feature: Any,  # noqa: ANN401 (pytest-bdd's)
        scenario: Any,  # noqa: ANN401 (pytest-bdd's)
    ) -> None:
        casting: Casting = request.getfixturevalue("casting")
        allure.dynamic.title(f"{scenario.name} ({casting.label})")
        allure.dynamic.feature(feature.name)
        allure.dynamic.story(scenario.name)
        allure.dynamic.parameter("seat", casting.seat)
        allure.dynamic.parameter("dialect", casting.dialect)

    def pytest_bdd_before_step(self, request: pytest.FixtureRequest, step: Any) -> None:  # noqa: ANN401
        stack = self._steps[id(request.node)] = ExitStack()
        stack.enter_context(allure.step(f"{step.keyword} {step.name}"))

    def pytest_bdd_after_step(self, request: pytest.FixtureRequest) -> None:
        self._steps.pop(id(request.node)).close()

    def pytest_bdd_step_error(
        self,
        request: pytest.FixtureRequest,
        feature: Any,  # noqa: ANN401 (pytest-bdd's)
        step: Any,  # noqa: ANN401 (pytest-bdd's)
        step_func: Any,  # noqa: ANN401 (pytest-bdd's)
        exception: Exception,
    ) -> None:
        stack = self._steps.pop(id(request.node))
        stack.__exit__(type(exception), exception, exception.__traceback__)
        if self.plan.features:
            place = f"{feature_path(self.plan, Path(feature.filename))}:{step.line_number}"
            is_own = step_func.__module__ == self._own_steps
            mistake = self._mistake(place, is_own, exception)
            if mistake is not None:
                self._mistakes[request.node.nodeid] = str(mistake)

    def _mistake(self, place: str, is_own: bool, error: Exception) -> UserError | None:  # noqa: FBT001
        """Tell what is wrong with a feature of others when a step of it fails; None if nothing."""
        if isinstance(error, UserError):
            return UserError(error.what, where=f"{place}: {error.where}", mend=error.mend)
        if isinstance(error, pytest.FixtureLookupError):
            known = [one for one in definitions((*MODULES, self._own_steps)) if one.target_fixture]
            giving = [one.parser.name for one in known if one.target_fixture == error.argname]
            what = f"needs {error.argname}, of which no sentence before it tells"
            mend = f"write before it: {' or: '.join(giving)}" if giving else f"correct {STEPS}"
            return UserError(what, where=place, mend=mend)
        if is_own and not isinstance(error, Red):
            folder = folder_of(self.plan)
            where = f"{place}: {line_of(error, folder / STEPS).removeprefix(f'{folder}/')}"
            return UserError(f"{type(error).__name__}: {error}", where=where, mend="correct it")
        return None

    def pytest_bdd_step_func_lookup_error(self, request: pytest.FixtureRequest) -> None:
        self._steps.pop(id(request.node), None)

    def pytest_bdd_after_scenario(self, request: pytest.FixtureRequest) -> None:
        hearing: Hearing = request.getfixturevalue("hearing")
        if hearing.trace is None:
            return
        path = self.out / hearing.trace_file
        write_trace(hearing.trace, path)
        allure.attach.file(str(path), "trace", "application/jsonl", "jsonl")

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        result = yield
        hearing = pyfuncitem.funcargs.get("hearing")
        if isinstance(hearing, Hearing):
            hearing.close()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        report = yield
        record = self._record(item, call, report)
        if call.when == "call" and item.nodeid in self._mistakes:
            report.gridwitness_mistake = self._mistakes.pop(item.nodeid)
            self._remove_trace(record)
        elif record is not None:
            report.gridwitness = record.as_json()
        return report

    def _record(
        self,
        item: pytest.Item,
        call: pytest.CallInfo[None],
        report: Any,  # noqa: ANN401
    ) -> ScenarioRecord | None:
        """Record a scenario once: when it was called, or when it could not be."""
        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, Red):
            report.longrepr = str(error)
        if call.when != "call" and not (call.when == "setup" and error is not None):
            return None
        arguments: dict[str, Any] = getattr(item, "funcargs", {})
        hearing: Hearing | None = arguments.get("hearing")
        parameters: dict[str, Casting] = getattr(item, "callspec").params  # noqa: B009 (untyped)
        escaped = "" if error is None or isinstance(error, Red) else str(report.longrepr)
        if isinstance(error, HarnessFault) and hearing is not None and hearing.faults:
            escaped = str(error)
        if isinstance(error, UserError):
            escaped = str(error)
        return ScenarioRecord.of(
            feature=feature_path(self.plan, item.path),
            name=scenario_name(item),
            casting=parameters["casting"],
            hearing=hearing,
            duration_s=call.duration,
            message=str(error) if isinstance(error, Red) else escaped,
            escaped=bool(escaped),
            out=self.out,
        )

    # -- the whole run --------------------------------------------------------------

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """Keep pytest from printing letters between our lines."""
        category = report.outcome if report.when == "call" or report.failed else ""
        return category, "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = getattr(report, "gridwitness", None)
        if self.is_worker:
            return
        if mistake := getattr(report, "gridwitness_mistake", None):
            self.results.mistakes.append(mistake)
            return
        if data is None:
            if report.failed:
                self.results.broken.append(f"{report.nodeid} ({report.when}): {report.longrepr}")
            return
        record = ScenarioRecord(**json.loads(data))
        self.results.records.append(record)
        print(scenario_line(record), flush=True)  # noqa: T201 (the live progress)

    def _remove_trace(self, record: ScenarioRecord | None) -> None:
        """Leave no trace where there will be no report that names it."""
        if record is not None and record.trace is not None:
            (self.out / record.trace).unlink(missing_ok=True)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.is_worker:
            return
        if self.results.mistakes:  # nobody was judged by what its author did not mean
            print("\n".join(dict.fromkeys(self.results.mistakes)), file=sys.stderr)  # noqa: T201
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
            for record in self.results.records:
                self._remove_trace(record)
            return
        self.results.asked_for = every_scenario(self.plan)
        self.results.features = digests(folder_of(self.plan))
        write_outputs(self.plan, self.results, self.out)

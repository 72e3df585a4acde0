"""The fixtures that steps are written against, for a run that has a plan.

Belongs here: the cast of a run and of a scenario as pytest fixtures. Does not
belong here: hooks (run), sentences (steps).
"""

from __future__ import annotations

import hashlib
import inspect
import re
import shlex
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_bdd.feature import get_features
from pytest_bdd.parser import render_string

from gridwitness.editions import editions
from gridwitness.feature_folder import FEATURES, feature_files, rendered
from gridwitness.hearing import Hearing
from gridwitness.mocks.defects import DEFECTS
from gridwitness.mocks.market import OPEN_CHARGES, fresh_interval
from gridwitness.mocks.sandbox import Outsider, Sandbox
from gridwitness.mocks.stay import Stay
from gridwitness.plan import Plan
from gridwitness.registry import Record
from gridwitness.rules import rules
from gridwitness.signing import read_private_key
from gridwitness.specification import laid_beside
from gridwitness.trace import Scene
from gridwitness.views import (
    Interval,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_bdd.parser import ScenarioTemplate

    from gridwitness.mocks.conduct import Conduct
    from gridwitness.mocks.grid_node import Place
    from gridwitness.mocks.market import Below
    from gridwitness.mocks.telemetered import Telemetered
    from gridwitness.mocks.words import Metered
    from gridwitness.plan import Casting
    from gridwitness.reference_impl.tariff import ChargingPeriod
    from gridwitness.signals import Signal
    from gridwitness.specification import Specification
    from gridwitness.trace import Step
    from gridwitness.views import (
        Charges,
        Due,
        IntervalTable,
        Objective,
        Promise,
        Term,
    )

TRACE_NAME_LENGTH = 40
PLAN = pytest.StashKey[Plan]()
EXAMPLE = Path(inspect.getfile(import_module("gridwitness.examples"))).parent / "specification"
"""The specification that our own messages keep; defects are tried against it."""


@pytest.fixture(scope="session")
def plan(request: pytest.FixtureRequest) -> Plan:
    return request.config.stash[PLAN]


@pytest.fixture(scope="session")
def sandbox(plan: Plan, request: pytest.FixtureRequest) -> Sandbox:
    """One wire for all scenarios of a process."""
    sandbox = sandbox_for(plan, worker_number(request.config))
    sandbox.__enter__()
    # Not the fixture's own end: it must close also when pytest itself fails.
    request.config.add_cleanup(sandbox.__exit__)
    return sandbox


@pytest.fixture
def casting(request: pytest.FixtureRequest) -> Casting:
    """The seat, edition and defect of this scenario; the run parametrizes it."""
    return request.param


@pytest.fixture
def patience(casting: Casting) -> float:
    """What scales every deadline that follows from a message's ttl."""
    return casting.patience


@pytest.fixture
def broken(casting: Casting) -> tuple[str, Conduct] | None:
    """Who misbehaves and how, when a defect is tried."""
    if casting.defect is None:
        return None
    defect = DEFECTS[casting.defect]
    return defect.role, defect.conduct


@pytest.fixture
def sequence() -> tuple[Step, ...]:
    """The expected message sequence; a Given may state one."""
    return ()


@pytest.fixture
def charges() -> Charges:
    """What the utility charges; a Given may state it."""
    return OPEN_CHARGES


@pytest.fixture
def objective() -> Objective | None:
    """What the utility wants to buy; a Given may state it."""
    return None


@pytest.fixture
def terms() -> dict[str, tuple[Term, ...]]:
    """What each role states; a Given may say so."""
    return {}


@pytest.fixture
def dues() -> tuple[Due | Promise, ...]:
    """Who is to pay whom; a Given may say so."""
    return ()


@pytest.fixture
def readings() -> tuple[Metered, ...]:
    """What the meters will register, by the name that formulas use; a Given may say so."""
    return ()


@pytest.fixture
def tariff() -> dict[str, object] | None:
    """The tariff in force; a Given may state one."""
    return None


@pytest.fixture
def intervals() -> dict[str, IntervalTable]:
    """What holds in each interval, by the party that it is about; a Given may state it."""
    return {}


@pytest.fixture
def session() -> tuple[ChargingPeriod, ...]:
    """The periods of a charging session; a Given may state them."""
    return ()


@pytest.fixture
def telemetry() -> tuple[Telemetered, ...]:
    """What is measured of each meter; a Given may say so."""
    return ()


@pytest.fixture
def signals() -> tuple[Signal, ...]:
    """The values of signals; a Given may state them."""
    return ()


@pytest.fixture
def delivery() -> Fraction | Interval:
    """When is delivered, or how many hours at any time; a Given may say so."""
    return Fraction(1)


@pytest.fixture
def interval(delivery: Fraction | Interval, sandbox: Sandbox) -> Interval:
    """When is delivered: at any time, unless a Given says when."""
    if isinstance(delivery, Interval):
        return delivery
    return fresh_interval(sandbox.setting.draws, delivery)


@pytest.fixture
def duration_h(delivery: Fraction | Interval) -> Fraction:
    """How long is delivered."""
    return delivery.duration_h if isinstance(delivery, Interval) else delivery


@pytest.fixture
def specification(casting: Casting, plan: Plan) -> Specification | None:
    """What is laid beside: what the plan says, or our example where a defect of it is tried."""
    if casting.defect and rules()[DEFECTS[casting.defect].breaks].needs_specification:
        return laid_beside(str(EXAMPLE))
    return laid_beside(plan.specification) if plan.specification else None


@pytest.fixture
def stay() -> Stay:
    """What a driver says of a stay at a charger; a Given may say so."""
    return Stay()


@pytest.fixture
def nodes() -> dict[str, Place]:
    """The nodes of the grid, by name; a Given may state them."""
    return {}


@pytest.fixture
def aggregators() -> dict[str, Below]:
    """Who aggregates below the clearing agent, by name; a Given may state them."""
    return {}


@pytest.fixture
def search() -> dict[str, str]:
    """What a catalogue is searched for, beside the interval; a Given may say so."""
    return {}


@pytest.fixture(autouse=True)
def hearing(
    request: pytest.FixtureRequest,
    casting: Casting,
    plan: Plan,
    specification: Specification | None,
) -> Hearing:
    """The judge of this scenario."""
    node: pytest.Function = request.node
    test_name = node.originalname
    short = test_name.removeprefix("test_")[:TRACE_NAME_LENGTH].rstrip("_")
    digest = hashlib.blake2b(node.nodeid.encode(), digest_size=3).hexdigest()
    return Hearing(
        subject=_subject(casting),
        trace_file=f"traces/{short}-{casting.label}-{digest}.jsonl",
        rerun=f"{plan.command} -k {shlex.quote(_selects(node, casting))}",
        absent=plan.absent,
        specification=specification,
    )


def _selects(node: pytest.Function, casting: Casting) -> str:
    """Give the expression that selects this test, and of an outline its example, for -k."""
    values = " ".join(example_of(node).values())
    words = [word for word in re.findall(r"[\w.]+", values) if word not in ("and", "or", "not")]
    return " and ".join([node.originalname, casting.label, *words])


def _subject(casting: Casting) -> str:
    """Give the role that is judged: the seat's, or that of who misbehaves on purpose."""
    return DEFECTS[casting.defect].role if casting.defect else casting.seat


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    casting: Casting,
    plan: Plan,
    specification: Specification | None,
) -> Scene:
    """What the trace of this scenario is the trace of."""
    return Scene(
        feature=feature_path(plan, request.node.path),
        scenario=scenario_name(request.node),
        seat=casting.seat,
        dialect=casting.dialect,
        edition=casting.edition,
        strictness=casting.strictness,
        subject=_subject(casting),
        price_tick=plan.price_tick,
        power_step=plan.power_step,
        specification=specification.label if specification else None,
    )


def every_scenario(plan: Plan) -> set[tuple[str, str, str, str, str | None]]:
    """Give what a plan asks for: feature, scenario, seat, dialect and defect of each."""
    return {
        (path, name, casting.seat, casting.dialect, casting.defect)
        for feature in get_features([str(file) for file in feature_files(folder_of(plan))])
        for path in [feature_path(plan, Path(feature.filename))]
        for scenario in feature.scenarios.values()
        for name in titles(scenario)
        for casting in plan.castings
        if has_a_place(casting, feature.tags | scenario.tags) and is_cast(casting, path, name)
    }


def where_played(plan: Plan) -> Plan:
    """Leave the castings out of a plan for which no feature has a scenario."""
    played = {(seat, dialect) for _, _, seat, dialect, _ in every_scenario(plan)}
    kept = (one for one in plan.castings if (one.seat, one.dialect) in played)
    return replace(plan, castings=tuple(kept))


def has_a_place(casting: Casting, tags: Collection[str]) -> bool:
    """Tell whether what is tagged so has the seat of a casting, and is played in its dialect."""
    dialects = {tag for tag in tags if tag.startswith("dialect:")}
    return f"seat:{casting.seat.replace(' ', '-')}" in tags and (
        not dialects or f"dialect:{casting.dialect}" in dialects
    )


def titles(scenario: ScenarioTemplate) -> set[str]:
    """Give the titles of a scenario: of an outline, one for each of its examples."""
    return {one.name for one in rendered(scenario)}


def is_cast(casting: Casting, feature: str, scenario: str) -> bool:
    """Tell whether a casting plays a scenario: a defect is tried in its own only."""
    return casting.defect is None or DEFECTS[casting.defect].is_tried_in(feature, scenario)


def may_be_cast(casting: Casting, feature: str, title: str) -> bool:
    """Tell whether a casting plays a scenario, or some example of an outline by this title."""
    if casting.defect is None or "<" not in title:
        return is_cast(casting, feature, title)
    defect, known = DEFECTS[casting.defect], title.partition("<")[0]
    wanted = defect.scenario or ""
    return defect.feature == feature and (wanted.startswith(known) or known.startswith(wanted))


def folder_of(plan: Plan) -> Path:
    """Give the folder whose features a plan plays."""
    return Path(plan.features) if plan.features else FEATURES


def feature_path(plan: Plan, path: Path) -> str:
    """Give a feature's path below the folder that a plan plays."""
    return path.relative_to(folder_of(plan)).as_posix()


def worker_number(config: pytest.Config) -> int:
    """Give the number of this xdist worker, 0 when there is but one process."""
    workerinput: dict[str, str] = getattr(config, "workerinput", {})
    return int(workerinput.get("workerid", "gw0").removeprefix("gw"))


def sandbox_for(plan: Plan, worker: int = 0) -> Sandbox:
    """Set the sandbox of a plan up; workers beyond the first listen on further ports."""
    outsider = None
    if plan.participant is not None:
        who = plan.participant
        outsider = Outsider(
            plan.castings[0].seat,
            Record(who.subscriber_id, who.url, "BPP", who.key_id, who.public_key),
        )
    speaks = {(casting.edition, casting.strictness) for casting in plan.castings}
    return Sandbox(
        plan.seed_bytes,
        port=plan.port + worker if plan.port else 0,
        callback_host=plan.callback_host,
        speaks=sorted(speaks, key=lambda pair: editions()[pair[0]].dialect),
        outsider=outsider,
        key=read_private_key(plan.key) if plan.key else None,
        repeatable=plan.example,
    )


def scenario_name(item: pytest.Item) -> str:
    """Give the title of a test's scenario: pytest-bdd writes "feature: scenario" as docstring.

    As "feature" it writes the path of the file. A test that is one example of an outline has
    the title of the example; the test's definition, which stands for all of them, has the
    outline's.
    """
    docstring: str = getattr(item, "function").__doc__ or item.name  # noqa: B009 (untyped)
    title = docstring.removeprefix(f"{item.path}: ")
    return render_string(title, example_of(item))


def example_of(item: pytest.Item) -> dict[str, str]:
    """Give the example of an outline that a test plays; empty when it is no outline's."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("_pytest_bdd_example", {}) if callspec else {}

"""A run of examples: which scenarios are shown, and that they are the same in every run.

Belongs here: what such a run has beside any other, as a part of the pytest plugin. Does
not belong here: the files that are made of it (example_flows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pytest_bdd.feature import get_features

from gridwitness.fixtures import scenario_name
from gridwitness.report import WIRE

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from gridwitness.mocks.sandbox import Sandbox
    from gridwitness.plan import Casting
    from gridwitness.trace import Scene

SEQUENCE = "the message sequence"
"""The sentence by which a scenario states its sequence."""


class Shown:
    """Plays one scenario of a feature and dialect, in the first seat, and repeatably."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        wanted = shown({item.path for item in items})
        found: dict[tuple[Path, str], pytest.Item] = {}
        for item in items:
            casting: Casting = getattr(item, "callspec").params["casting"]  # noqa: B009 (untyped)
            if wanted.get(item.path) == scenario_name(item):
                found.setdefault((item.path, casting.dialect), item)
        items[:] = found.values()

    @pytest.fixture(autouse=True)
    def begun(self, sandbox: Sandbox, scene: Scene) -> None:
        """Begin anew, so that nothing depends on what was played before."""
        sandbox.begin(f"{scene.feature} {scene.scenario} {scene.dialect}")


def shown(features: Collection[Path]) -> dict[Path, str]:
    """Give the scenario that is shown of each feature: the first that states a sequence.

    Of an outline it is the first example. What is about the wire shows no use case.
    """
    found: dict[Path, str] = {}
    for path in sorted(path for path in features if f"{path.parent.name}/" != WIRE):
        (feature,) = get_features([str(path)])
        for scenario in feature.scenarios.values():
            if any(step.name == SEQUENCE for step in scenario.steps):
                examples = [one for table in scenario.examples for one in table.as_contexts()]
                found[path] = scenario.render(examples[0] if examples else {}).name
                break
    return found

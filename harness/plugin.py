"""The pytest plugin: inert in any session that is not ours.

Belongs here: the one option by which the command hands over its plan. Without it
nothing is registered: no fixture, no collector, no sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--gridwitness-plan", metavar="FILE", help="run the plan in FILE (internal)")


def pytest_configure(config: pytest.Config) -> None:
    file: str | None = config.getoption("--gridwitness-plan")
    if file is None:
        return
    # Imported here: another project's session must not pay for ours.
    from gridwitness import fixtures  # noqa: PLC0415
    from gridwitness.plan import read_plan  # noqa: PLC0415
    from gridwitness.run import Run  # noqa: PLC0415
    from gridwitness.shown import Shown  # noqa: PLC0415

    config.pluginmanager.register(fixtures, "gridwitness-fixtures")
    plan = read_plan(Path(file))
    config.pluginmanager.register(Run(plan, config), "gridwitness-run")
    if plan.example:
        config.pluginmanager.register(Shown(), "gridwitness-shown")

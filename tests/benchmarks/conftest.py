"""The figures of the benchmarks, told at the end of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Keep a figure; it is told under the name of the test."""
    kept = request.config.stash.setdefault(FIGURES, [])
    return lambda what, figures: kept.append(f"{request.node.name}\n    {what}: {figures}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for figure in terminalreporter.config.stash.get(FIGURES, []):
        terminalreporter.write_line(figure)

"""What several tests share: a sandbox on one wire, and the command as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from gridwitness.mocks.market import Cast, play
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.mocks.utility import Meter, Utility
from gridwitness.reference_impl.curves import Point
from gridwitness.trace import Scene, Trace
from gridwitness.views import OfferCurve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEAKS = (("beckn-2.0.0-rc", "strict"), ("beckn-2.0.0-lts", "strict"))
SEED = b"a seed for tests, and only tests"


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from gridwitness.cli import main; main()", *arguments]


def environment() -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV"))}
    return inherited | {"COLUMNS": "200"}


@pytest.fixture
def gridwitness(tmp_path: Path):
    """Run the command in an empty folder."""

    def run(*arguments: str, within_s: float = 240) -> Ran:
        done = subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@contextmanager
def played(*arguments: str) -> Iterator[dict[str, str]]:
    """Play a seat in a process of its own; gives what it printed, by name."""
    process = subprocess.Popen(
        command("play", *arguments), env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines: dict[str, str] = {}
    try:
        while "registry" not in lines:
            line = process.stdout.readline()
            assert line, "the actor ended before it listened"
            name, _, value = line.strip().partition("  ")
            lines[name] = value.strip()
        yield lines
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SEED, speaks=SPEAKS) as sandbox:
        yield sandbox


@pytest.fixture
def played_utility(sandbox: Sandbox) -> Iterator[Utility]:
    """A utility that listens and is found in the registry."""
    cast = small_cast()
    signer = sandbox.signer("utility")
    actor = Utility(sandbox.setting, "utility", signer, cast.meters, cast.charges)
    actor.join()
    yield actor
    sandbox.wire.call(actor.leave)


def curve(*points: tuple[str, str]) -> OfferCurve:
    read = tuple(Point(Decimal(price), Decimal(power)) for price, power in points)
    return OfferCurve(
        currency="INR",
        min_export_kw=read[0].power_kw,
        max_export_kw=read[-1].power_kw,
        points=read,
    )


def small_cast(**changes: Any) -> Cast:
    """A car and a roof: the only balancing price is 0.10, at 5 kW."""
    wishes = {
        "car": Wish("m-car", curve(("0.08", "-11"), ("0.10", "-5"), ("0.12", "0"))),
        "roof": Wish("m-roof", curve(("0.05", "0"), ("0.06", "2"), ("0.07", "5"))),
    }
    meters = {
        "m-car": Meter("m-car", Decimal(30)),
        "m-roof": Meter("m-roof", Decimal(30), metered_kwh=Decimal("4.5")),
    }
    return Cast(**{"wishes": wishes, "meters": meters} | changes)


def small_scene(dialect: str = "order", **changes: Any) -> Scene:
    edition = {"order": "beckn-2.0.0-rc", "contract": "beckn-2.0.0-lts"}[dialect]
    names = {"feature": "tests", "scenario": "a small market", "seat": "clearing agent"}
    scene = {"dialect": dialect, "edition": edition, "strictness": "strict"} | names
    return Scene(**scene | changes)


def small_market(sandbox: Sandbox, dialect: str = "order", **changes: Any) -> Trace:
    """Play a small market to its end."""
    trace, faults = play(sandbox, small_scene(dialect), (), small_cast(**changes))
    assert not faults
    return trace

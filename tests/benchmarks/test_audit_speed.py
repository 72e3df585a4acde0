"""How fast recorded traffic is judged, in what memory, and where the time goes.

Run alone: python -m pytest tests/benchmarks/test_audit_speed.py -p no:randomly -s
"""

from __future__ import annotations

import cProfile
import io
import json
import os
import pstats
import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import pytest

from gridwitness.audit import audit
from gridwitness.recordings.flows import Terms
from tests.benchmarks.recorded_market import played_market, write_copies, write_lines
from tests.conftest import command, environment

if TYPE_CHECKING:
    from gridwitness.trace import Trace

MESSAGES = 10_000
PARTICIPANTS, POINTS = 10, 40
SLOWEST_PER_S = 1000
SHOWN = 15


@pytest.fixture(scope="module", params=["order", "contract"])
def trace(request: pytest.FixtureRequest) -> Trace:
    return played_market(request.param, PARTICIPANTS, POINTS)


def copies(trace: Trace, messages: int) -> int:
    return -(-messages // len(trace.messages))


def peak_mb(*arguments: str, folder: Path) -> float:
    """Run the command in a process of its own; gives the peak memory of the largest process."""
    told = (
        "import resource, sys; from gridwitness.cli import main\n"
        "try: main()\n"
        "finally:\n"
        " own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        " print(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", told, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return int(done.stderr.split()[-1]) / 1024


@pytest.mark.parametrize("form", ["traces", "lines"])
def test_ten_thousand_messages_in_the_commands_own_way(trace, tmp_path, record, form: str):
    """The wall clock on all cores; the figure of the processor's time holds on a busy machine."""
    number = copies(trace, MESSAGES)
    size = write_copies(trace, tmp_path / "traces", number)
    if form == "lines":
        write_lines(trace, tmp_path / "lines", number)
    begun_s, used = perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command("audit", form, "--out", "audit"),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s, after = perf_counter() - begun_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = json.loads((tmp_path / "audit" / "report.json").read_text())
    judged = report["summary"]["messages"]
    assert judged >= MESSAGES
    assert not report["findings"]
    cpu_s = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    cores = os.cpu_count() or 1
    record(
        f"{judged} messages of {size} bytes",
        f"{judged / wall_s:.0f} a second on {cores} cores ({wall_s:.1f} s); "
        f"{judged / cpu_s:.0f} a second of one core's time",
    )
    assert 2 * judged / cpu_s > SLOWEST_PER_S


def test_memory_does_not_grow_with_the_number_of_flows(trace, tmp_path, record):
    peaks: list[float] = []
    for times in (1, 4):
        folder = tmp_path / str(times)
        write_copies(trace, folder / "traces", times * copies(trace, MESSAGES // 4))
        peaks.append(peak_mb("audit", "traces", folder=folder))
    record("peak memory, 1x and 4x the flows", f"{peaks[0]:.0f} and {peaks[1]:.0f} MB")
    assert peaks[1] < 1.2 * peaks[0]


def test_where_the_time_goes(trace, tmp_path, record):
    write_copies(trace, tmp_path / "traces", copies(trace, MESSAGES // 10))
    profile = cProfile.Profile(process_time)
    profile.enable()
    report = audit([tmp_path / "traces"], Terms({}), tmp_path, tell=str, processes=1)
    profile.disable()
    assert report["summary"]["messages"] >= MESSAGES // 10
    for order in ("tottime", "cumulative"):
        text = io.StringIO()
        pstats.Stats(profile, stream=text).strip_dirs().sort_stats(order).print_stats(SHOWN)
        record(f"profile by {order}", text.getvalue().partition("ncalls")[2])

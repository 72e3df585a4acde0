"""The traces of the example flows, one a feature and dialect, with their casts and answers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridwitness.dialects.base import dump_json, parse_json
from gridwitness.trace import read_trace
from tests.conftest import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.trace import Message, Trace

PLAY = """
import base64, sys
from pathlib import Path
from gridwitness import cli
from gridwitness.plan import Plan

plan = Plan(
    out=sys.argv[1],
    castings=tuple(
        casting
        for seat in cli.SEATS.values()
        for casting in cli.castings(seat, cli.DEFAULT_EDITIONS, "strict")
    ),
    command="gridwitness examples",
    name="the examples",
    seed=base64.b64encode(b"the keys of the examples").decode(),
    example=True,
)
sys.exit(cli._run(plan, Path(sys.argv[1]), [], quiet=True))
"""


@cache
def traces() -> tuple[Trace, ...]:
    """Play every feature that has an example, once in each dialect it is written for."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(
            [sys.executable, "-c", PLAY, out], env=environment(), capture_output=True, check=True
        )
        found = map(read_trace, sorted(Path(out, "traces").glob("*.jsonl")))
        by_flow = {(trace.scene.feature, trace.scene.dialect): trace for trace in found}
        return tuple(by_flow.values())


def rewritten(trace: Trace, change: Callable[[Message, Any], Any]) -> Trace:
    """Give a trace in which every parsed body went through a change."""
    return replace(
        trace,
        messages=tuple(
            replace(message, raw=dump_json(change(message, parse_json(message.raw))))
            if message.kind == "beckn" and message.raw
            else message
            for message in trace.messages
        ),
    )

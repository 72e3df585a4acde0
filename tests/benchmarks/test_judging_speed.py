"""Judging takes time in proportion to the length of the trace."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.judgement import judge
from gridwitness.mocks.market import play
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.mocks.utility import Meter
from gridwitness.trace import Trace
from tests.conftest import SEED, SPEAKS, curve, small_cast, small_scene

if TYPE_CHECKING:
    from gridwitness.trace import Message

FEW, MANY = 8, 64
MOST = 1.6
"""How much longer a message may take in the long trace than in the short one."""


def market(participants: int) -> Trace:
    """Play a market of cars and roofs."""
    shapes = (("0.08", "-11"), ("0.10", "-5"), ("0.12", "0")), (("0.05", "0"), ("0.07", "5"))
    names = [f"participant-{number}" for number in range(participants)]
    wishes = {name: Wish(f"m-{name}", curve(*shapes[n % 2])) for n, name in enumerate(names)}
    meters = {wish.meter_id: Meter(wish.meter_id, Decimal(30)) for wish in wishes.values()}
    with Sandbox(SEED, speaks=SPEAKS) as sandbox:
        cast = small_cast(wishes=wishes, meters=meters, patience=10.0)
        trace, faults = play(sandbox, small_scene(subject="clearing agent"), (), cast)
    assert not faults
    return trace


def fresh(message: Message) -> Message:
    """Give a message of which nothing has been read yet."""
    return type(message)(**{name: getattr(message, name) for name in message.__dataclass_fields__})


def seconds_a_message(trace: Trace) -> float:
    def once() -> float:
        unread = Trace(trace.scene, tuple(map(fresh, trace.messages)))
        start = time.perf_counter()
        assert judge(unread, "clearing agent").verdict == "passed"
        return (time.perf_counter() - start) / len(trace.messages)

    return min(once() for _ in range(5))


def test_a_message_of_a_long_trace_takes_no_longer():
    short, long = seconds_a_message(market(FEW)), seconds_a_message(market(MANY))
    print(f"\n{short * 1e6:.0f} us a message of {FEW}, {long * 1e6:.0f} us of {MANY} participants")
    assert long < MOST * short

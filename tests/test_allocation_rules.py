"""The rules about trades between two utilities: on the example flow, and whatever becomes of it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwitness.acks import write_ack
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import dump_json, parse_json
from gridwitness.rules import rules
from gridwitness.story import BUYER_PLATFORM, BUYER_UTILITY, SELLER_PLATFORM, SELLER_UTILITY
from gridwitness.trace import Answer, Message, Scene, Trace
from tests.test_recordings_fuzz import spoilt

ALC = {id_: rule for id_, rule in rules().items() if rule.family == "ALC"}
FLOW = files("gridwitness.examples") / "p2p_trading/two_retailers/contract"
BODIES = [
    parse_json(path.read_bytes()) for path in sorted(FLOW.iterdir(), key=lambda path: path.name)
]
ROLES = {
    "shop": BUYER_PLATFORM,
    "school": SELLER_PLATFORM,
    "city-utility": BUYER_UTILITY,
    "valley-utility": SELLER_UTILITY,
}


def trace_of(bodies: list[Any]) -> Trace:
    """Give the trace of a flow in which everybody is who the honest messages say."""
    messages: list[Message] = []
    for number, (body, honest) in enumerate(zip(bodies, BODIES, strict=True), start=1):
        context = honest["context"]
        ends = [context[key].removesuffix(".gridwitness.example") for key in ("bapId", "bppId")]
        if context["action"].startswith("on_"):
            ends.reverse()
        ack = write_ack("nested", DIALECTS["contract"].read(honest).envelope, "", None)
        messages.append(
            Message(
                number,
                "beckn",
                *ends,
                context["action"],
                "POST",
                "https://bap.example/",
                {},
                dump_json(body),
                "2031-05-12T08:00:00Z",
                0.0,
                answer=Answer(200, {}, json.dumps(ack).encode()),
            )
        )
    scene = Scene("x", "x", "", "contract", "beckn-2.0.0-lts", "strict", roles=ROLES)
    return Trace(scene, tuple(messages))


def test_the_example_flow_exercises_and_keeps_them():
    kept = {id_: [one.kept for one in rule.check(trace_of(BODIES))] for id_, rule in ALC.items()}
    assert all(all(outcomes) for outcomes in kept.values())
    # What is approved and refused is a matter of other flows.
    assert {id_ for id_, outcomes in kept.items() if not outcomes} == {"ALC-001", "ALC-002"}


def test_a_reading_of_less_is_shared_by_less():
    bodies = json.loads(json.dumps(BODIES, default=float))
    told = bodies[12]["message"]["contract"]["performance"][0]["performanceAttributes"]
    for reading in told["meterReadings"]:
        reading["allocatedEnergy"] = 10
    broken = [one for one in ALC["ALC-008"].check(trace_of(bodies)) if not one.kept]
    assert {one.actor for one in broken} == {"valley-utility"}
    assert broken[0].expected.startswith("10 kWh, 10 kWh")


@pytest.mark.parametrize("id_", ALC)
@given(data=st.data())
@settings(
    derandomize=True,
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_message_brings_a_rule_down(id_: str, data: st.DataObject):
    bodies = list(BODIES)
    for place in data.draw(st.sets(st.integers(0, len(BODIES) - 1), min_size=1, max_size=3)):
        body = json.loads(json.dumps(BODIES[place], default=float))
        body["message"] = data.draw(spoilt(body["message"]))
        bodies[place] = body
    try:
        trace = trace_of(bodies)
    except (ValueError, OverflowError):
        return  # it could not be sent
    list(ALC[id_].check(trace))

"""Whatever stands in the messages of a use case, every rule judges it, and soon."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwitness.judgement import judge
from tests.example_traces import rewritten, traces
from tests.test_recordings_fuzz import places, put_at, values

if TYPE_CHECKING:
    from gridwitness.trace import Message, Trace

LONG_S = 8.0
"""Far more than any trace of an example takes, also on a busy machine."""

some = settings(
    derandomize=True,
    max_examples=120,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

finite = values.filter(lambda value: not any(no in repr(value) for no in ("nan", "inf")))
strange = finite | st.sampled_from(
    [
        *(Decimal("1E+999999"), Decimal("1E-999999"), Decimal("1E+25"), 10**30, -(10**400)),
        *("1e9999999", "price / 0", "((((", "min()", "x" * 3000, "INR/kWh", "Mars/X"),
        *("9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "P9999999Y", "-PT1H", "PT0S"),
        *([None], [[]], [{}], {"value": {}}, {"@type": "Tariff"}, {"a": [{"b": None}]}),
    ]
)


def judged_soon(trace: Trace) -> None:
    began = time.perf_counter()
    found = judge(trace, None).findings
    took_s = time.perf_counter() - began
    assert [finding.detail for finding in found if finding.detail] == []
    assert took_s < LONG_S


@some
@given(data=st.data())
def test_no_rule_fails_whatever_a_message_holds(data: st.DataObject):
    trace = traces()[data.draw(st.integers(0, len(traces()) - 1), label="flow")]
    number = data.draw(st.sampled_from([m.number for m in trace.beckn if m.raw]), label="message")

    def spoilt(message: Message, body: Any) -> Any:
        if message.number != number:
            return body
        for _ in range(data.draw(st.integers(1, 2))):
            below = [path for path in places(body) if path[:1] != ("context",) and path]
            path = data.draw(st.sampled_from(below))
            elsewhere = at(body, data.draw(st.sampled_from(below)))
            body = put_at(body, path, data.draw(strange | st.just(elsewhere)))
        return body

    judged_soon(rewritten(trace, spoilt))


def at(body: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        body = body[key]
    return body


@pytest.mark.parametrize("number", [Decimal("1E+999999"), "1e9999999", "1E-9999999"])
def test_a_tariff_beyond_this_world_costs_no_time(number: Any):
    def dear(_message: Message, body: Any) -> Any:
        found = [path for path in places(body) if path[-1:] in (("vat",), ("price",))]
        for path in found:
            body = put_at(body, path, number)
        return body

    for trace in traces():
        if trace.scene.feature.startswith(("ev_charging/home", "settlement/roaming")):
            judged_soon(rewritten(trace, dear))

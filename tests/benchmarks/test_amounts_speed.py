"""Reading and judging what a message states takes time in proportion to its length."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import pytest

from gridwitness.judgement import judge
from tests.stated import RIGHT, recorded

MANY = (
    ("order", "message/order/beckn:orderItems"),
    ("order", "message/order/beckn:orderValue/components"),
    ("delivery", "message/order/beckn:fulfillments"),
    ("delivery", "message/order/beckn:fulfillments/0/beckn:attributes/meterReadings"),
    ("cleared", "message/order/beckn:orderAttributes/roles"),
    ("traded", "message/contract/commitments"),
    ("traded", "message/contract/commitments/0/commitmentAttributes/intervals"),
    ("traded", "message/contract/consideration"),
    ("traded", "message/contract/settlements"),
    ("flexed", "message/contract/performance/0/performanceAttributes/meters"),
)


@pytest.mark.parametrize(("name", "place"), MANY)
def test_long_messages_take_time_in_proportion(name: str, place: str):
    def took_s(times: int) -> float:
        body = deepcopy(RIGHT[name])
        inner: Any = body
        for key in place.split("/"):
            inner = inner[int(key) if isinstance(inner, list) else key]
        inner *= times
        trace = recorded(body)
        begun = time.process_time()
        assert judge(trace, None).exercised
        return time.process_time() - begun

    few, many = min(took_s(50) for _ in range(3)), took_s(1000)
    print(f"\n{name}, {place}: {few * 1e3:.1f} ms for 50, {many * 1e3:.1f} ms for 1 000")
    assert many < 80 * few  # 20 times as long, and 400 times if it were quadratic

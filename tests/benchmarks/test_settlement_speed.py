"""How fast a day of quarter hours settles for a hundred thousand participants, on one core.

Run alone: python -m pytest tests/benchmarks/test_settlement_speed.py -p no:randomly
"""

from __future__ import annotations

import tracemalloc
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pytest

from gridwitness.reference_impl.settlement_many import settle_many
from gridwitness.reference_impl.terms import Terms

PARTICIPANTS, INTERVALS = 100_000, 96
AIM_NS = 100
SLACK = 3
"""What a busy or a slower machine is granted on top of the aim."""

CHARGED = Terms(
    "INR",
    fee_per_kwh=Decimal("0.01"),
    wheeling_buyer_per_kwh=Decimal("0.25"),
    wheeling_seller_per_kwh=Decimal("0.30"),
    penalty_per_kwh=Decimal("0.50"),
    penalty_band=Decimal("0.05"),
)


class Day(NamedTuple):
    """What `settle_many` takes."""

    terms: Terms
    prices_per_kwh: list[Decimal]
    cleared_wh: np.ndarray
    metered_wh: np.ndarray


@pytest.fixture(scope="module")
def day() -> Day:
    random = np.random.default_rng(96)
    cleared = random.integers(-5000, 5000, (INTERVALS, PARTICIPANTS))
    cleared[:, -1] -= cleared.sum(axis=1)
    metered = cleared + random.integers(-500, 500, cleared.shape)
    prices = [Decimal(int(price)) / 10_000 for price in random.integers(-10_000, 90_000, INTERVALS)]
    return Day(CHARGED, prices, cleared, metered)


def test_a_day_settles_in_a_hundred_nanoseconds_a_participant_and_interval(benchmark, day: Day):
    money = benchmark.pedantic(settle_many, args=day, rounds=5, warmup_rounds=1)
    each_ns = benchmark.stats["min"] / day.cleared_wh.size * 1e9
    benchmark.extra_info["ns per participant and interval"] = round(each_ns, 1)
    assert int(money.positions.sum()) + money.clearing_agent + money.grid_operator == 0
    assert each_ns < AIM_NS * SLACK


def test_no_more_than_an_interval_is_in_memory_at_a_time(day: Day):
    tracemalloc.start()
    settle_many(*day)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < day.cleared_wh.nbytes / 4

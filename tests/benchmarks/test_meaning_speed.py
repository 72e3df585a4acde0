"""How fast a message's meaning is found, as a share of what reading its JSON takes.

Run alone: python -m pytest tests/benchmarks/test_meaning_speed.py -p no:randomly
"""

from __future__ import annotations

import json
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from gridwitness.context_documents import Documents
from gridwitness.dialects.base import dump_json
from gridwitness.meaning import Reader, read_meaning
from gridwitness.mocks.sandbox import Sandbox
from tests.conftest import SEED, SPEAKS, small_market
from tests.test_aliases import in_other_words

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 300


def seconds(work: Callable[[], object]) -> float:
    """Give the median time of one of many."""
    taken: list[float] = []
    for _ in range(TIMES):
        start = perf_counter()
        work()
        taken.append(perf_counter() - start)
    return median(taken)


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_a_message_is_walked_in_less_time_than_its_json_is_read(record, dialect: str):
    with Sandbox(SEED, speaks=SPEAKS) as sandbox:
        trace = small_market(sandbox, dialect)
    message = max(trace.beckn, key=lambda one: len(one.raw))
    assert message.canonical is message.body
    other = in_other_words(message.action, message.body)
    first = perf_counter()
    Reader(Documents()).read(message.body)
    first_s = perf_counter() - first
    other_raw = dump_json(other)
    json_s, other_json_s = (
        seconds(lambda: json.loads(message.raw)),
        seconds(lambda: json.loads(other_raw)),
    )
    same_s = seconds(lambda: read_meaning(message.body))
    other_s = seconds(lambda: read_meaning(other))
    record(
        f"{dialect}, {len(message.raw)} bytes: JSON, meaning, the first time (ms)",
        [1e3 * json_s, 1e3 * same_s, 1e3 * first_s],
    )
    record(
        f"{dialect}, in other words, {len(other_raw)} bytes: JSON, meaning (ms)",
        [1e3 * other_json_s, 1e3 * other_s],
    )
    assert same_s <= 2 * json_s
    assert other_s <= 10 * other_json_s

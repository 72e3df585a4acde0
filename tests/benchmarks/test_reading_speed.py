"""How fast a large market file is read, apart from clearing it.

Run alone: python -m pytest tests/benchmarks/test_reading_speed.py -p no:randomly
"""

from __future__ import annotations

import json
from statistics import median
from time import perf_counter

from gridwitness.market_book import read_large
from gridwitness.market_file import clear, read_market
from tests.benchmarks.baseline import random_book

BIDS = 100_000


def market_file() -> bytes:
    book = random_book(BIDS)
    powers = book.steps / 1e6
    rows = [
        {
            "id": f"p{n}",
            "offerCurve": {
                "currency": "INR",
                "minExport": powers[0, n],
                "maxExport": powers[-1, n],
                "curve": [
                    {"price": book.prices[k, n], "powerKW": powers[k, n]}
                    for k in range(len(powers))
                ],
            },
        }
        for n in range(BIDS)
    ]
    return json.dumps({"participants": rows}).encode()


def seconds(work) -> float:
    taken: list[float] = []
    for _ in range(3):
        start = perf_counter()
        work()
        taken.append(perf_counter() - start)
    return median(taken)


def test_a_large_file_is_read_faster_than_json_alone_reads_it(record):
    raw = market_file()
    assert read_large(raw) is not None
    typed_s, plain_s = seconds(lambda: read_large(raw)), seconds(lambda: json.loads(raw))
    whole_s = seconds(lambda: clear(read_market(raw, "market.json")))
    record(
        f"{BIDS} bids, {len(raw) / 1e6:.0f} MB: read, json.loads, the whole command (s)",
        [typed_s, plain_s, whole_s],
    )
    assert typed_s <= plain_s

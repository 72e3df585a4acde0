"""How fast a market clears in arrays, as a share of what sorting it takes in the same run.

Run alone: python -m pytest tests/benchmarks/test_clearing_speed.py -p no:randomly
With GRIDWITNESS_BENCH_FULL=1, ten million participants are cleared too (a minute, 4 GB).
"""

from __future__ import annotations

import os
import resource
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from gridwitness.reference_impl.book import Book, suspects
from gridwitness.reference_impl.book_clearing import clear_book, clear_intervals
from gridwitness.reference_impl.book_grid import clear_tree
from tests.benchmarks.baseline import Kind, clear_by_sorting, random_book

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.reference_impl.book import Floats

MILLION = 1_000_000
GIBIBYTE_KIB = 2**20
full = pytest.mark.skipif(
    "GRIDWITNESS_BENCH_FULL" not in os.environ, reason="GRIDWITNESS_BENCH_FULL is not set"
)
book_of = cache(random_book)


def medians(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Do each work in turn, round after round, and give the median seconds of each."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, seconds, strict=True):
            start = perf_counter()
            work()
            taken.append(perf_counter() - start)
    return [median(taken) for taken in seconds]


def sieve(book: Book, price: float, claimed_kw: Floats, threads: int = 1) -> None:
    found = suspects(book, price, claimed_kw, 1e-9, 1e-6, threads)
    assert found.net_steps == len(found.participants) == 0


@pytest.mark.parametrize("kind", ["ramps", "ticks"])
@pytest.mark.parametrize(
    ("count", "rounds", "share"),
    [(10_000, 101, 1.0), (100_000, 15, 0.6), (MILLION, 5, 0.2)],
)
def test_clearing_takes_a_share_of_sorting(
    count: int, rounds: int, share: float, kind: Kind, record
):
    book = book_of(count, kind)
    result, (price, power) = clear_book(book), clear_by_sorting(book)
    assert result.price_per_kwh == pytest.approx(price, rel=1e-9)
    assert np.abs(result.power_steps - power).max() <= 2
    sorting_s, clearing_s, threads_s = medians(
        rounds,
        lambda: clear_by_sorting(book),
        lambda: clear_book(book),
        lambda: clear_book(book, threads=2),
    )
    record(
        "sorting, clearing, with two threads (ms)",
        [sorting_s * 1e3, clearing_s * 1e3, threads_s * 1e3],
    )
    assert clearing_s <= share * sorting_s


def test_the_time_to_clear_grows_with_the_market():
    small, large = book_of(MILLION // 10), book_of(MILLION)
    small_s, large_s = medians(7, lambda: clear_book(small), lambda: clear_book(large))
    assert large_s <= 15 * small_s


@pytest.mark.parametrize("kind", ["ramps", "ticks"])
def test_no_bit_depends_on_threads_or_run(kind: Kind):
    book = book_of(MILLION, kind)
    once, again, threaded = clear_book(book), clear_book(book), clear_book(book, threads=2)
    for other in (again, threaded):
        assert once[:3] == other[:3]
        assert once.residual_steps == other.residual_steps
        assert np.array_equal(once.power_steps, other.power_steps)


def test_a_claimed_result_is_sieved_no_slower_than_it_is_found(record):
    book = book_of(MILLION)
    result = clear_book(book)
    claim = result.price_per_kwh or 0.0, result.power_steps / 1e6
    clearing_s, sieving_s = medians(5, lambda: clear_book(book), lambda: sieve(book, *claim))
    record("clearing, sieving (ms)", [round(clearing_s * 1e3, 1), round(sieving_s * 1e3, 1)])
    assert sieving_s <= clearing_s


def test_a_tree_clears_in_five_times_a_flat_market(record):
    # 100 cities of 100 feeders each; a tenth of either would carry more than they may.
    book, feeders, cities = book_of(MILLION), 10_000, 100
    node_of = np.random.default_rng(1).integers(cities, cities + feeders, MILLION)
    parent = np.concatenate([np.full(cities, -1), np.arange(feeders) % cities])
    feeder_steps = np.bincount(node_of, clear_book(book).power_steps, cities + feeders)[cities:]
    flow_steps = np.concatenate([feeder_steps.reshape(-1, cities).sum(axis=0), feeder_steps])
    limit = np.repeat(
        [
            np.quantile(np.abs(flow_steps[part]), 0.9) // 1e6
            for part in (slice(cities), slice(cities, None))
        ],
        [cities, feeders],
    )

    def clear():
        return clear_tree(book, node_of, parent, limit, limit)

    flat_s, tree_s = medians(3, lambda: clear_book(book), clear)
    result = clear()
    bound = result.adder != 0
    assert bound[:cities].any()
    assert bound[cities:].sum() > feeders // 20
    assert np.array_equal(np.abs(result.flow_steps[bound]), limit[bound] * 1e6)
    assert result.power_steps.sum() == 0
    record("flat, tree (ms), limits that bind", [flat_s * 1e3, tree_s * 1e3, int(bound.sum())])
    assert tree_s <= 5 * flat_s


def test_a_day_of_small_markets_clears_sooner_together(record):
    book, offsets = book_of(96_000), np.arange(97) * 1000
    parts = [
        Book(book.prices[:, start : start + 1000], book.steps[:, start : start + 1000])
        for start in offsets[:-1]
    ]
    together_s, apart_s = medians(
        5, lambda: clear_intervals(book, offsets), lambda: [clear_book(part) for part in parts]
    )
    record("together, apart (ms)", [together_s * 1e3, apart_s * 1e3])
    assert together_s <= apart_s


def test_a_staircase_of_a_million_steps_keeps_both_ends_of_its_price():
    asks = np.arange(MILLION) / MILLION
    prices = np.concatenate([np.stack([asks, asks]), np.full((2, MILLION // 2), 2.0)], axis=1)
    sold, bought = np.full(MILLION, 1e6), np.full(MILLION // 2, 1e6)
    steps = np.stack([np.append(0 * sold, -bought), np.append(sold, 0 * bought)])
    assert clear_book(Book(prices, steps)).prices == (499_999 / MILLION, 0.5)


class Measured(NamedTuple):
    """What a process of its own took: seconds by work, and the most memory it held, in KiB."""

    seconds: dict[str, float]
    peak_kib: int


def clear_ten_million(threads: int) -> Measured:
    book = random_book(10 * MILLION)
    result = clear_book(book, threads=threads)
    assert result.power_steps.sum() == 0
    claim = result.price_per_kwh or 0.0, result.power_steps / 1e6, threads
    clearing_s, sieving_s = medians(
        3, lambda: clear_book(book, threads=threads), lambda: sieve(book, *claim)
    )
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured({"clearing": clearing_s, "sieving": sieving_s}, peak_kib)


def sort_ten_million() -> Measured:
    book = random_book(10 * MILLION)
    (sorting_s,) = medians(1, lambda: clear_by_sorting(book))
    return Measured({"sorting": sorting_s}, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


@full
def test_ten_million_clear_in_a_tenth_of_sorting_and_two_gibibytes(record):
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as process:
        one = process.submit(clear_ten_million, 1).result()
        two = process.submit(clear_ten_million, 2).result()
        sorting = process.submit(sort_ten_million).result()
    record("ten million", [one, two, sorting])
    for measured in (one, two):
        assert measured.seconds["clearing"] <= 0.1 * sorting.seconds["sorting"]
        assert measured.seconds["sieving"] <= measured.seconds["clearing"]
        assert measured.peak_kib < 2 * GIBIBYTE_KIB

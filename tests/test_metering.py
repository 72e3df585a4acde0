"""Metering: readings of any rhythm settle an interval of any length, exactly."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwitness.reference_impl.metering import Reading, metered_kwh

QUARTER_S, HOUR_S = 900, 3600


def readings(*pieces: tuple[int, int, str]) -> list[Reading]:
    return [Reading(start, end, Decimal(energy)) for start, end, energy in pieces]


def every(rhythm_s: int, *energies: str) -> list[Reading]:
    return readings(*((n * rhythm_s, (n + 1) * rhythm_s, e) for n, e in enumerate(energies)))


def test_four_quarters_make_an_hour():
    quarters = every(QUARTER_S, "0.1", "0.2", "0.3", "0.4", "9")
    assert metered_kwh(quarters, 0, HOUR_S) == 1


def test_readings_come_in_any_order_and_sign():
    # A battery gives 2 kWh, and takes 3.
    quarters = every(QUARTER_S, "2", "-3")
    assert metered_kwh(quarters[::-1], 0, 2 * QUARTER_S) == -1


def test_a_reading_across_the_boundary_counts_by_its_time_within():
    # 20 minutes of each hour: a third of 3 kWh, and a third of 6.
    hours = every(HOUR_S, "3", "6")
    assert metered_kwh(hours, HOUR_S - 1200, HOUR_S + 1200) == 3


def test_an_interval_within_one_reading_is_its_share():
    assert metered_kwh(every(HOUR_S, "1"), 600, 1800) == Fraction(1, 3)


def test_readings_outside_do_not_count():
    pieces = readings((-900, 0, "7"), (0, 900, "1"), (1800, 2700, "7"))
    assert metered_kwh(pieces, 0, 900) == 1


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([], "the readings end at 0 s"),
        ([(0, 800, "1")], "the readings end at 800 s, the interval at 900 s"),
        ([(100, 900, "1")], "from 100 s leaves a gap behind the one to 0 s"),
        ([(0, 400, "1"), (500, 900, "1")], "from 500 s leaves a gap behind the one to 400 s"),
        ([(0, 500, "1"), (400, 900, "1")], "from 400 s overlaps the one to 500 s"),
        ([(-100, 500, "1"), (-50, 900, "1")], "from -50 s overlaps the one to 500 s"),
        ([(0, 900, "1"), (300, 600, "1")], "from 300 s overlaps the one to 900 s"),
        ([(0, 900, "1"), (0, 900, "1")], "from 0 s overlaps the one to 900 s"),
        ([(0, 900, "1"), (5, 5, "1")], "from 5 s ends at 5 s"),
    ],
)
def test_gaps_and_overlaps_are_refused(pieces: list[tuple[int, int, str]], message: str):
    with pytest.raises(ValueError, match=message):
        metered_kwh(readings(*pieces), 0, QUARTER_S)


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.decimals(-9, 9, places=3)), min_size=1),
    st.data(),
)
def test_an_interval_is_the_sum_of_its_parts(pieces, data):
    meter: list[Reading] = []
    end = 0
    for length, energy in pieces:
        meter.append(Reading(end, end + length, energy))
        end += length
    cut = data.draw(st.integers(0, end))
    parts = metered_kwh(meter, 0, cut) + metered_kwh(meter, cut, end)
    assert parts == sum(Fraction(one.energy_kwh) for one in meter)

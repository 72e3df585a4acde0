"""Metering: what a meter registered within an interval, whatever its own rhythm.

Belongs here: summing readings over an interval that is not theirs. Does not belong here:
what the energy costs (settlement).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal


class Reading(NamedTuple):
    """The energy that a meter registered between two instants, in seconds of one clock."""

    start_s: int
    end_s: int
    energy_kwh: Decimal


def metered_kwh(readings: Iterable[Reading], start_s: int, end_s: int) -> Fraction:
    """Sum what a meter registered between two instants, signed as the readings are.

    A reading that reaches beyond them counts in proportion to its time within; readings
    wholly outside do not count. 15-minute readings settle an hour exactly, hourly readings
    settle a quarter of it as if the power had been constant.

    Raises ValueError for a reading that does not end after it starts, and where the
    readings leave a gap or overlap.

    Source: reference_impl/README.md, Settlement.
    """
    reached_s, energy = start_s, Fraction()
    for reading in sorted(readings):
        first_s, last_s, energy_kwh = reading
        if last_s <= first_s:
            raise ValueError(f"the reading from {first_s} s ends at {last_s} s")
        if last_s <= start_s or first_s >= end_s:
            continue
        if max(first_s, start_s) != reached_s:
            fault = "overlaps" if first_s < reached_s else "leaves a gap behind"
            raise ValueError(f"the reading from {first_s} s {fault} the one to {reached_s} s")
        within_s = min(last_s, end_s) - reached_s
        energy += Fraction(energy_kwh) * Fraction(within_s, last_s - first_s)
        reached_s = last_s
    if reached_s < end_s:
        raise ValueError(f"the readings end at {reached_s} s, the interval at {end_s} s")
    return energy

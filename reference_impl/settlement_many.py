"""Settlement of many intervals: the same money as `settlement.settle`, in whole numbers.

Belongs here: energy, fees, wheeling and penalties of many participants, interval by interval,
in int64: energy in Wh, money in minor units. Does not belong here: nodes, taxes and the other
modes (settlement). What 64 bits might not hold is refused before it is computed.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gridwitness.reference_impl.rounding import whole
from gridwitness.reference_impl.settlement import WH_PER_KWH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    from numpy.typing import NDArray

    from gridwitness.reference_impl.terms import Terms

    Ints = NDArray[np.int64]

LIMIT = 2**63


class Money(NamedTuple):
    """What each participant receives for energy (who pays: below zero), and pays for the rest.

    Each is int64, shape (participants,), in minor units.
    """

    energy: Ints
    fee: Ints
    wheeling: Ints
    penalty: Ints

    @property
    def positions(self) -> Ints:
        return self.energy - self.fee - self.wheeling - self.penalty

    @property
    def clearing_agent(self) -> int:
        return int(self.fee.sum()) - int(self.energy.sum())

    @property
    def grid_operator(self) -> int:
        return int(self.wheeling.sum()) + int(self.penalty.sum())


def settle_many(
    terms: Terms, prices_per_kwh: Sequence[Decimal], cleared_wh: Ints, metered_wh: Ints | None
) -> Money:
    """Settle every interval and sum; of `settle_intervals`, only one is in memory at a time."""
    sums, most = [np.zeros(cleared_wh.shape[1], np.int64) for _ in Money._fields], 0
    for money in settle_intervals(terms, prices_per_kwh, cleared_wh, metered_wh):
        most += sum(_largest(amounts) * amounts.size for amounts in money)
        _refuse_beyond(most)
        for so_far, amounts in zip(sums, money, strict=True):
            np.add(so_far, amounts, out=so_far)
    return Money(*sums)


def settle_intervals(
    terms: Terms, prices_per_kwh: Sequence[Decimal], cleared_wh: Ints, metered_wh: Ints | None
) -> Iterator[Money]:
    """Settle interval by interval: what `settle` gives for each, ties by column.

    prices_per_kwh: one for each interval, of any sign.
    cleared_wh, metered_wh: int64, shape (intervals, participants), in Wh, export positive;
        None is metered as cleared.

    Raises ValueError for shapes that differ, and for terms with a mode, a tax, a platform fee
    or a payee of penalties of their own; OverflowError for what 64 bits might not hold.

    Source: reference_impl/README.md, Settlement and Rounding.
    """
    if terms.mode != "AS_CLEARED" or terms.tax or terms.platform_fee_per_kwh or terms.penalty_payee:
        raise ValueError("these terms are settled one interval at a time, by settle")
    shapes = {energy.shape for energy in (cleared_wh, metered_wh) if energy is not None}
    if shapes != {(len(prices_per_kwh), *cleared_wh.shape[1:])}:
        raise ValueError(f"{len(prices_per_kwh)} prices for energies of the shapes {shapes}")
    for t, price in enumerate(prices_per_kwh):
        yield _interval(terms, price, cleared_wh[t], None if metered_wh is None else metered_wh[t])


def _interval(terms: Terms, price: Decimal, cleared: Ints, metered: Ints | None) -> Money:
    _refuse_beyond(_largest(cleared))
    energy, fee, wheeling, penalty = (np.zeros_like(cleared) for _ in Money._fields)
    wheeling_rates = {1: terms.wheeling_seller_per_kwh, -1: terms.wheeling_buyer_per_kwh}
    for sign, rate in wheeling_rates.items():
        side = np.flatnonzero(cleared * sign > 0)
        traded = cleared[side] * sign
        energy[side] = _shared(traded, price, terms) * sign
        fee[side] = _shared(traded, terms.fee_per_kwh, terms)
        wheeling[side] = _shared(traded, rate, terms)
    penalty = penalty if metered is None else _penalty(cleared, metered, terms)
    return Money(energy, fee, wheeling, penalty)


def _shared(energy: Ints, rate_per_kwh: Decimal, terms: Terms) -> Ints | int:
    """Round a side's amounts so that they sum to the rounded exact total."""
    rate = _per_wh(abs(rate_per_kwh), terms)
    if not rate or not energy.size:
        return 0
    _refuse_beyond(_largest(energy) * energy.size * rate.numerator, rate.denominator)
    exact = energy * rate.numerator
    units = exact // rate.denominator
    narrow = np.int32 if rate.denominator < 2**31 else np.int64  # partitioned in half the time
    rest = (exact - units * rate.denominator).astype(narrow)
    due = whole(Fraction(int(exact.sum()), rate.denominator), terms.rounding)
    missing = due - int(units.sum())
    if missing:
        least = np.partition(rest, -missing)[-missing]
        units += rest > least
        units[np.flatnonzero(rest == least)[: due - int(units.sum())]] += 1
    return units if rate_per_kwh > 0 else -units


def _penalty(cleared: Ints, metered: Ints, terms: Terms) -> Ints:
    """Round each amount alone, for what lies beyond the band."""
    band = Fraction(terms.penalty_band)
    rate = _per_wh(terms.penalty_per_kwh, terms) / band.denominator
    most = (_largest(cleared) + _largest(metered)) * (band.denominator + abs(band.numerator))
    _refuse_beyond(most, 2 * most * abs(rate.numerator), 2 * rate.denominator)
    beyond = np.abs(metered - cleared) * band.denominator - np.abs(cleared) * band.numerator
    exact = np.maximum(beyond, 0) * abs(rate.numerator)
    units = exact // rate.denominator
    twice = 2 * (exact - units * rate.denominator)
    odd = units % 2 if terms.rounding == "HALF_EVEN" else 1
    units += (twice + odd) > rate.denominator
    return units if rate > 0 else -units


def _per_wh(rate_per_kwh: Decimal, terms: Terms) -> Fraction:
    return Fraction(rate_per_kwh) * Fraction(10**terms.minor_unit, WH_PER_KWH)


def _largest(numbers: Ints) -> int:
    """Give the largest magnitude; a Python int, since that of the least int64 is none."""
    return max(int(numbers.max(initial=0)), -int(numbers.min(initial=0)))


def _refuse_beyond(*magnitudes: int) -> None:
    if max(magnitudes) >= LIMIT:
        raise OverflowError(f"{max(magnitudes)} does not fit 64 bits: use settle, or fewer at once")

"""Offer curves: what a participant, or many together, would inject or draw at each price.

Belongs here: the curve, its validity, its value at a price and at a power, and
the algebra in which markets are written: clip, shift, aggregate, disaggregate.
Does not belong here: where a market balances (clearing, grid).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from gridwitness.reference_impl.rounding import Key, shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Number = Decimal | Fraction


class Point(NamedTuple):
    """One point of a curve: at this price, this power."""

    price_per_kwh: Number
    power_kw: Number


class OfferProblem(NamedTuple):
    """Why an offer is refused: a code, the position of the offending point, a sentence."""

    code: str
    position: int | None
    message: str


class OfferError(ValueError):
    """An offer that has no meaning was given where a valid one is needed.

    participant: whose offer it is, where that is known.
    """

    def __init__(self, problem: OfferProblem, participant: str | None = None) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem = problem
        self.participant = participant


class Powers(NamedTuple):
    """A closed interval of powers in kW."""

    low_kw: Fraction
    high_kw: Fraction


class Prices(NamedTuple):
    """A closed interval of prices per kWh; None is unbounded."""

    low: Fraction | None
    high: Fraction | None

    @property
    def middle(self) -> Fraction | None:
        """The midpoint; the finite end where the other is open; None where both are."""
        ends = [end for end in self if end is not None]
        return sum(ends, Fraction()) / len(ends) if ends else None

    def shared_with(self, other: Prices) -> Prices | None:
        """Keep the prices that are in another interval too; None where there are none."""
        low = max((end for end in (self.low, other.low) if end is not None), default=None)
        high = min((end for end in (self.high, other.high) if end is not None), default=None)
        return None if low is not None and high is not None and low > high else Prices(low, high)

    def nearest(self, price: Fraction) -> Fraction:
        """Give the price of the interval that is nearest to one."""
        if self.low is not None and price < self.low:
            return self.low
        return self.high if self.high is not None and price > self.high else price


def curve_problems(
    currency: str | None,
    min_export_kw: Number,
    max_export_kw: Number,
    points: Sequence[Point],
) -> Iterator[OfferProblem]:
    """Yield every reason why these numbers are not an offer curve.

    A curve has a currency, at least one point, finite numbers, prices that do
    not fall, powers that do not fall with price, and ends that are its bounds.

    Source: reference_impl/README.md, Offer curves.
    """
    if not currency:
        yield OfferProblem("E_NO_CURRENCY", None, "the curve names no currency")
    if not points:
        yield OfferProblem("E_EMPTY_CURVE", None, "the curve has no points")
        return
    numbers = [min_export_kw, max_export_kw, *(number for point in points for number in point)]
    if not all(isinstance(number, Fraction) or number.is_finite() for number in numbers):
        yield OfferProblem("E_NOT_FINITE", None, "the curve holds a number that is not finite")
        return
    if min_export_kw > max_export_kw:
        yield OfferProblem(
            "E_MIN_GT_MAX", None, f"minExport {min_export_kw} is above maxExport {max_export_kw}"
        )
    for position, (before, after) in enumerate(pairwise(points), start=1):
        if after.price_per_kwh < before.price_per_kwh:
            yield OfferProblem(
                "E_NOT_SORTED",
                position,
                f"price falls from {before.price_per_kwh} to {after.price_per_kwh}",
            )
        elif after.power_kw < before.power_kw:
            yield OfferProblem(
                "E_NOT_MONOTONE",
                position,
                f"power falls from {before.power_kw} to {after.power_kw} kW while the price rises",
            )
    if points[0].power_kw != min_export_kw or points[-1].power_kw != max_export_kw:
        yield OfferProblem(
            "E_BOUNDS",
            None,
            f"the curve runs from {points[0].power_kw} to {points[-1].power_kw} kW,"
            f" its bounds say {min_export_kw} to {max_export_kw} kW",
        )


@dataclass(frozen=True)
class Curve:
    """A valid offer curve: a non-decreasing, piecewise-linear map from price to power.

    Several points at one price are a vertical step: any power between them is
    offered. Beyond both ends the curve is flat. The curve of many participants
    together is of the same kind.

    Raises OfferError when the points are not a curve (see `curve_problems`).
    """

    currency: str
    min_export_kw: Number
    max_export_kw: Number
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        for problem in curve_problems(
            self.currency, self.min_export_kw, self.max_export_kw, self.points
        ):
            raise OfferError(problem)

    @cached_property
    def _prices(self) -> list[Fraction]:
        return [Fraction(point.price_per_kwh) for point in self.points]

    @cached_property
    def _powers(self) -> list[Fraction]:
        return [Fraction(point.power_kw) for point in self.points]

    def powers_at(self, price_per_kwh: Fraction) -> Powers:
        """Give the powers offered at a price: an interval, a single power almost everywhere."""
        first = bisect_left(self._prices, price_per_kwh)
        after = bisect_right(self._prices, price_per_kwh)
        if first < after:
            return Powers(self._powers[first], self._powers[after - 1])
        power_kw = self._between(self._prices, self._powers, after, price_per_kwh)
        return Powers(power_kw, power_kw)

    def prices_at(self, power_kw: Fraction) -> Prices | None:
        """Give the prices at which a power is offered; None where it never is."""
        if not self._powers[0] <= power_kw <= self._powers[-1]:
            return None
        first = bisect_left(self._powers, power_kw)
        after = bisect_right(self._powers, power_kw)
        if first == after:
            price = self._between(self._powers, self._prices, after, power_kw)
            return Prices(price, price)
        return Prices(
            self._prices[first] if first else None,
            self._prices[after - 1] if after < len(self._powers) else None,
        )

    def clipped(self, low_kw: Number | None, high_kw: Number | None) -> Curve | None:
        """Keep the powers from low to high (None: no limit); None where none is left."""
        low = self._powers[0] if low_kw is None else max(Fraction(low_kw), self._powers[0])
        high = self._powers[-1] if high_kw is None else min(Fraction(high_kw), self._powers[-1])
        if low > high:
            return None
        points: list[Point] = []
        for (left, start), (right, end) in pairwise(zip(self._prices, self._powers, strict=True)):
            for limit in (low, high):
                if start < limit < end:
                    price = left + (limit - start) * (right - left) / (end - start)
                    points.append(Point(price, limit))
            points.append(Point(right, min(max(end, low), high)))
        points.insert(0, Point(self._prices[0], min(max(self._powers[0], low), high)))
        return replace(self, min_export_kw=low, max_export_kw=high, points=tuple(points))

    def shifted(self, by_per_kwh: Number) -> Curve:
        """Move the curve along the price axis: what was offered at p is offered at p + by."""
        by = Fraction(by_per_kwh)
        points = zip(self._prices, self._powers, strict=True)
        return replace(self, points=tuple(Point(price + by, power) for price, power in points))

    @staticmethod
    def _between(
        known: Sequence[Fraction], wanted: Sequence[Fraction], after: int, value: Fraction
    ) -> Fraction:
        """Interpolate between two neighbouring points; flat beyond the ends."""
        if after in (0, len(known)):
            return wanted[0 if after == 0 else -1]
        share = (value - known[after - 1]) / (known[after] - known[after - 1])
        return wanted[after - 1] + share * (wanted[after] - wanted[after - 1])


def aggregate(curves: Sequence[Curve]) -> Curve:
    """Add curves up: at each price, the sum of what they offer.

    Aggregating is associative and the order does not matter, bit for bit: the sum
    has one point where it bends and two where it steps, and no others. Raises
    OfferError for curves in several currencies (E_MIXED_CURRENCY) and for none
    at all (E_EMPTY_CURVE).

    Source: reference_impl/README.md, Aggregation.
    """
    currencies = sorted({curve.currency for curve in curves})
    if not currencies:
        raise OfferError(OfferProblem("E_EMPTY_CURVE", None, "there is no curve to add up"))
    if len(currencies) > 1:
        message = f"the bids are in {' and '.join(currencies)}"
        raise OfferError(OfferProblem("E_MIXED_CURRENCY", None, message))
    steps: defaultdict[Fraction, Fraction] = defaultdict(Fraction)
    bends: defaultdict[Fraction, Fraction] = defaultdict(Fraction)
    low_kw = Fraction()
    for curve in curves:
        points = [(Fraction(price), Fraction(power)) for price, power in curve.points]
        low_kw += points[0][1]
        for (left, start), (right, end) in pairwise(points):
            if left == right:
                steps[left] += end - start
            else:
                slope = (end - start) / (right - left)
                bends[left] += slope
                bends[right] -= slope
    prices = sorted(price for price in steps.keys() | bends.keys() if steps[price] or bends[price])
    prices = prices or [Fraction()]  # where nothing bends or steps, any price will do
    points = _swept(prices, low_kw, steps, bends)
    return Curve(currencies[0], points[0].power_kw, points[-1].power_kw, tuple(points))


def _swept(
    prices: Sequence[Fraction],
    low_kw: Fraction,
    steps: Mapping[Fraction, Fraction],
    bends: Mapping[Fraction, Fraction],
) -> list[Point]:
    """Walk up the prices at which a sum steps or bends."""
    points: list[Point] = []
    power, slope, last = low_kw, Fraction(), prices[0]
    for price in prices:
        power += slope * (price - last)
        points.append(Point(price, power))
        if steps[price]:
            power += steps[price]
            points.append(Point(price, power))
        slope, last = slope + bends[price], price
    return points


def disaggregate(
    curves: Mapping[Key, Curve], price_per_kwh: Fraction, power_kw: Fraction
) -> dict[Key, Fraction]:
    """Share a power of the aggregate among its parts: setpoints that sum to it exactly.

    Everyone gets the same part of the interval that they offer at the price. Raises
    ValueError where the parts do not offer that power at that price.

    Source: reference_impl/README.md, Clearing (pro rata); Aggregation.
    """
    offered = {name: curve.powers_at(price_per_kwh) for name, curve in curves.items()}
    low_kw = sum((powers.low_kw for powers in offered.values()), Fraction())
    high_kw = sum((powers.high_kw for powers in offered.values()), Fraction())
    if not low_kw <= power_kw <= high_kw:
        raise ValueError(
            f"at {float(price_per_kwh):g} per kWh the parts offer {float(low_kw):g}"
            f" to {float(high_kw):g} kW together, not {float(power_kw):g} kW"
        )
    part = (power_kw - low_kw) / (high_kw - low_kw) if high_kw > low_kw else Fraction()
    return {name: low + part * (high - low) for name, (low, high) in offered.items()}


def apportion(
    exact_kw: Mapping[Key, Fraction], step_kw: Decimal, total_steps: int = 0
) -> dict[Key, Decimal]:
    """Round powers to whole steps that sum to a whole number of steps, by default to zero.

    Each is rounded down, and the steps then missing go to the largest remainders,
    ties by name: where the powers sum to that total, nobody is off by a whole step.
    """
    step = Fraction(step_kw)
    steps = shared({name: power / step for name, power in exact_kw.items()}, total_steps)
    return {name: count * step_kw for name, count in steps.items()}


def bid_curve(
    currency: str,
    points: Sequence[Point],
    min_power_kw: Number | None = None,
    max_power_kw: Number | None = None,
) -> Curve:
    """Read a bare list of points (`bidCurve`), within the device's own power bounds.

    The list has no bounds of its own: they are its ends, clipped to the device's.
    Raises OfferError as `Curve`, and E_BOUNDS where the device can do none of it.
    """
    if not points:
        raise OfferError(OfferProblem("E_EMPTY_CURVE", None, "the curve has no points"))
    curve = Curve(currency, points[0].power_kw, points[-1].power_kw, tuple(points))
    clipped = curve.clipped(min_power_kw, max_power_kw)
    if clipped is None:
        message = (
            f"the curve runs from {points[0].power_kw} to {points[-1].power_kw} kW,"
            f" the device from {min_power_kw} to {max_power_kw} kW"
        )
        raise OfferError(OfferProblem("E_BOUNDS", None, message))
    return clipped


Reading = Literal["LEVELS", "INCREMENTS"]


def series_curve(
    currency: str,
    offer_prices: Sequence[Decimal],
    capacities_kw: Sequence[Decimal],
    reading: Reading | None = None,
) -> Curve:
    """Read parallel columns of prices and capacities, one step each, as an export curve.

    From its price on, a step offers its capacity: in all (LEVELS), or on top of the
    steps before it (INCREMENTS). Which of the two is meant must be declared,
    unless there is but one step. Below the first price nothing is offered.

    Raises OfferError: E_LENGTHS for columns of different length, E_AMBIGUOUS for
    several steps without a declared reading, and as `Curve` (E_NOT_MONOTONE for
    levels that fall as the price rises).
    """
    problem = None
    if len(offer_prices) != len(capacities_kw):
        message = f"{len(offer_prices)} prices stand beside {len(capacities_kw)} capacities"
        problem = OfferProblem("E_LENGTHS", None, message)
    elif len(offer_prices) > 1 and reading is None:
        message = f"{len(offer_prices)} capacities may be levels or increments: none is declared"
        problem = OfferProblem("E_AMBIGUOUS", None, message)
    if problem is not None:
        raise OfferError(problem)
    points: list[Point] = []
    level_kw = Decimal(0)
    for price, capacity_kw in zip(offer_prices, capacities_kw, strict=True):
        points.append(Point(price, level_kw))
        level_kw = level_kw + capacity_kw if reading == "INCREMENTS" else capacity_kw
        points.append(Point(price, level_kw))
    return Curve(currency, Decimal(0), level_kw, tuple(points))

"""Offer curves: what a participant would inject or draw at each price.

Belongs here: the curve, its validity, its value at a price. Does not belong
here: what several curves do together (clearing).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal


class Point(NamedTuple):
    """One point of a curve: at this price, this power."""

    price_per_kwh: Decimal
    power_kw: Decimal


class OfferProblem(NamedTuple):
    """Why an offer is refused: a code, the position of the offending point, a sentence."""

    code: str
    position: int | None
    message: str


class OfferError(ValueError):
    """An offer that has no meaning was given where a valid one is needed."""

    def __init__(self, problem: OfferProblem) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem = problem


class Powers(NamedTuple):
    """A closed interval of powers in kW."""

    low_kw: Fraction
    high_kw: Fraction


def curve_problems(
    currency: str | None,
    min_export_kw: Decimal,
    max_export_kw: Decimal,
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
    if not all(number.is_finite() for number in numbers):
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
    offered. Beyond both ends the curve is flat.

    Raises OfferError when the points are not a curve (see `curve_problems`).
    """

    currency: str
    min_export_kw: Decimal
    max_export_kw: Decimal
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        for problem in curve_problems(
            self.currency, self.min_export_kw, self.max_export_kw, self.points
        ):
            raise OfferError(problem)

    def powers_at(self, price_per_kwh: Fraction) -> Powers:
        """Give the powers offered at a price: an interval, a single power almost everywhere."""
        points = self.points
        if price_per_kwh < points[0].price_per_kwh:
            return _single(Fraction(points[0].power_kw))
        if price_per_kwh > points[-1].price_per_kwh:
            return _single(Fraction(points[-1].power_kw))
        at_price = [Fraction(power) for price, power in points if price == price_per_kwh]
        if at_price:
            return Powers(at_price[0], at_price[-1])
        position = bisect_right(points, price_per_kwh, key=lambda point: point.price_per_kwh)
        before, after = points[position - 1], points[position]
        left, right = Fraction(before.price_per_kwh), Fraction(after.price_per_kwh)
        share = (price_per_kwh - left) / (right - left)
        rise_kw = Fraction(after.power_kw) - Fraction(before.power_kw)
        return _single(Fraction(before.power_kw) + share * rise_kw)


def _single(power_kw: Fraction) -> Powers:
    return Powers(power_kw, power_kw)

"""Clearing: the prices at which a market balances, and who trades how much.

Belongs here: finding a result. What makes a result correct stands apart, in
`equilibrium`: the harness judges by that, never by equality with this.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from gridwitness.reference_impl.curves import OfferError, OfferProblem, Powers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gridwitness.reference_impl.curves import Curve


@dataclass(frozen=True)
class Bid:
    """What one participant brings to the market.

    limit_kw: approved maximum trade in either direction, in kW; None is no limit.

    Raises OfferError (E_NEGATIVE_LIMIT) for a limit below zero.
    """

    participant: str
    curve: Curve
    limit_kw: Decimal | None = None

    def __post_init__(self) -> None:
        if self.limit_kw is not None and self.limit_kw < 0:
            message = f"{self.participant} is approved for {self.limit_kw} kW"
            raise OfferError(OfferProblem("E_NEGATIVE_LIMIT", None, message))

    def powers_at(self, price_per_kwh: Fraction) -> Powers:
        """Give the powers offered at a price within the approved limit, in kW."""
        low, high = self.curve.powers_at(price_per_kwh)
        return Powers(self._within_limit(low), self._within_limit(high))

    def bends(self) -> Iterator[Fraction]:
        """Yield every price at which the limited curve may change its slope."""
        points = [(Fraction(price), Fraction(power)) for price, power in self.curve.points]
        yield from (price for price, _ in points)
        if self.limit_kw is None:
            return
        for (left, low), (right, high) in pairwise(points):
            for limit in (-Fraction(self.limit_kw), Fraction(self.limit_kw)):
                if low < limit < high:
                    yield left + (limit - low) * (right - left) / (high - low)

    def _within_limit(self, power: Fraction) -> Fraction:
        if self.limit_kw is None:
            return power
        limit = Fraction(self.limit_kw)
        return max(-limit, min(limit, power))


@dataclass(frozen=True)
class Quantum:
    """The resolution a market declares: price tick per kWh, power step in kW."""

    price_per_kwh: Decimal = Decimal("0.0001")
    power_kw: Decimal = Decimal("0.001")


@dataclass(frozen=True)
class Clearing:
    """One interval cleared.

    status: CLEARED, or NOT_CLEARABLE when no price balances the market.
    price_interval: lowest and highest balancing price, exact; None is unbounded.
    price_per_kwh: the midpoint (the finite end when one side is unbounded),
        rounded to the tick; None when unbounded on both sides or not clearable.
    power_kw: signed power a participant; sums to zero exactly.
    """

    status: Literal["CLEARED", "NOT_CLEARABLE"]
    price_interval: tuple[Fraction | None, Fraction | None]
    price_per_kwh: Decimal | None
    power_kw: Mapping[str, Decimal]


_NOT_CLEARABLE = Clearing("NOT_CLEARABLE", (None, None), None, {})


def clear(bids: Sequence[Bid], quantum: Quantum | None = None) -> Clearing:
    """Clear one interval at one price, pro rata where several powers are offered at it.

    Every balancing price lies in one closed interval; the powers traded do not
    depend on which of them is taken.

    A market that cannot balance has the status NOT_CLEARABLE; one without
    participants is cleared, at no price.

    Raises OfferError for a participant who bids twice (E_DUPLICATE_ID), for bids in
    different currencies (E_MIXED_CURRENCY), and for a curve that lies wholly beyond
    its limit (E_LIMIT_INFEASIBLE).

    Source: reference_impl/README.md, Clearing; midpoint and pro rata are
    its canonical choices (levels 1 and 2).
    """
    quantum = quantum or Quantum()
    if not bids:
        return Clearing("CLEARED", (None, None), None, {})
    _refuse_mixed(bids)
    interval = balancing_prices(bids)
    if interval is None:
        return _NOT_CLEARABLE
    ends = [end for end in interval if end is not None]
    middle = sum(ends, Fraction()) / len(ends) if ends else Fraction()
    price = _to_tick(middle, quantum.price_per_kwh) if ends else None
    return Clearing(
        "CLEARED", interval, price, apportion(_pro_rata(bids, middle), quantum.power_kw)
    )


def balancing_prices(
    bids: Sequence[Bid],
) -> tuple[Fraction | None, Fraction | None] | None:
    """Give the lowest and the highest price at which the powers can sum to zero.

    None for an end is unbounded; None instead of a pair: there is no such price. The
    bends of the curves are searched by halving, and the crossing is solved exactly on
    the straight piece between two of them.
    """
    prices = sorted({price for bid in bids for price in bid.bends()})
    below, above = _net(bids, prices[0] - 1), _net(bids, prices[-1] + 1)
    if below.low_kw > 0 or above.high_kw < 0:
        return None
    low = _lowest_price(bids, prices) if below.high_kw < 0 else None
    high = _highest_price(bids, prices) if above.low_kw > 0 else None
    return low, high


def apportion(exact_kw: Mapping[str, Fraction], step_kw: Decimal) -> dict[str, Decimal]:
    """Round powers that sum to zero to whole steps that sum to zero.

    Each is rounded down, and the steps then missing go to the largest
    remainders, ties by name: nobody is off by a whole step.
    """
    step = Fraction(step_kw)
    steps = {name: power // step for name, power in exact_kw.items()}
    missing = -sum(steps.values())
    by_remainder = sorted(exact_kw, key=lambda name: (steps[name] - exact_kw[name] / step, name))
    for name in by_remainder[:missing]:
        steps[name] += 1
    return {name: count * step_kw for name, count in steps.items()}


def _refuse_mixed(bids: Sequence[Bid]) -> None:
    for name, bids_made in Counter(bid.participant for bid in bids).items():
        if bids_made > 1:
            raise OfferError(OfferProblem("E_DUPLICATE_ID", None, f"{name} bids twice"))
    currencies = sorted({bid.curve.currency for bid in bids})
    if len(currencies) > 1:
        message = f"the bids are in {' and '.join(currencies)}"
        raise OfferError(OfferProblem("E_MIXED_CURRENCY", None, message))
    for bid in bids:
        least_kw = max(bid.curve.min_export_kw, -bid.curve.max_export_kw, Decimal(0))
        if bid.limit_kw is not None and least_kw > bid.limit_kw:
            message = (
                f"{bid.participant} trades {least_kw} kW at least, approved are {bid.limit_kw}"
            )
            raise OfferError(OfferProblem("E_LIMIT_INFEASIBLE", None, message))


def _net(bids: Sequence[Bid], price: Fraction) -> Powers:
    offered = [bid.powers_at(price) for bid in bids]
    return Powers(
        sum((powers.low_kw for powers in offered), Fraction()),
        sum((powers.high_kw for powers in offered), Fraction()),
    )


def _lowest_price(bids: Sequence[Bid], prices: Sequence[Fraction]) -> Fraction:
    """Find the lowest price at which the net can be zero; below the first it is negative."""
    index = bisect_left(prices, 0, key=lambda price: _net(bids, price).high_kw)
    net = _net(bids, prices[index])
    if net.low_kw < 0:
        return prices[index]
    return _crossing(bids, prices[index - 1], prices[index])


def _highest_price(bids: Sequence[Bid], prices: Sequence[Fraction]) -> Fraction:
    """Find the highest price at which the net can be zero; above the last it is positive."""
    index = bisect_right(prices, 0, key=lambda price: _net(bids, price).low_kw) - 1
    net = _net(bids, prices[index])
    if net.high_kw > 0:
        return prices[index]
    return _crossing(bids, prices[index], prices[index + 1])


def _crossing(bids: Sequence[Bid], left: Fraction, right: Fraction) -> Fraction:
    """Solve for zero between two neighbouring breakpoints, where the net is a straight line."""
    first, last = _net(bids, left).high_kw, _net(bids, right).low_kw
    return left - first * (right - left) / (last - first)


def _pro_rata(bids: Sequence[Bid], price: Fraction) -> dict[str, Fraction]:
    """Share what is offered at the price: everyone the same part of their own interval."""
    offered = {bid.participant: bid.powers_at(price) for bid in bids}
    low = sum((powers.low_kw for powers in offered.values()), Fraction())
    high = sum((powers.high_kw for powers in offered.values()), Fraction())
    part = -low / (high - low) if high > low else Fraction()
    return {name: a + part * (b - a) for name, (a, b) in offered.items()}


def _to_tick(price: Fraction, tick: Decimal) -> Decimal:
    ticks = price / Fraction(tick)
    return Decimal(round(ticks)) * tick

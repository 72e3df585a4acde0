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
    depend on which of them is taken. The bends are searched by halving, and the
    crossing is solved exactly on the straight piece between two of them.

    A market that cannot balance has the status NOT_CLEARABLE; one without
    participants is cleared, at no price.

    Raises OfferError for a participant who bids twice (E_DUPLICATE_ID) or bids in
    different currencies (E_MIXED_CURRENCY).

    Source: reference_impl/README.md, Clearing; midpoint and pro rata are
    its canonical choices (levels 1 and 2).
    """
    quantum = quantum or Quantum()
    if not bids:
        return Clearing("CLEARED", (None, None), None, {})
    _refuse_mixed(bids)
    prices = sorted({price for bid in bids for price in bid.bends()})
    below, above = prices[0] - 1, prices[-1] + 1
    if _net(bids, below).low_kw > 0 or _net(bids, above).high_kw < 0:
        return _NOT_CLEARABLE

    low = _lowest_price(bids, prices) if _net(bids, below).high_kw < 0 else None
    high = _highest_price(bids, prices) if _net(bids, above).low_kw > 0 else None
    if low is None and high is None:
        exact, price = _pro_rata(bids, prices[0]), None
    else:
        ends = [end for end in (low, high) if end is not None]
        middle = sum(ends, Fraction()) / len(ends)
        exact, price = _pro_rata(bids, middle), _to_tick(middle, quantum.price_per_kwh)
    return Clearing("CLEARED", (low, high), price, apportion(exact, quantum.power_kw))


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
    if index == 0 or net.low_kw < 0:
        return prices[index]
    return _crossing(bids, prices[index - 1], prices[index])


def _highest_price(bids: Sequence[Bid], prices: Sequence[Fraction]) -> Fraction:
    """Find the highest price at which the net can be zero; above the last it is positive."""
    index = bisect_right(prices, 0, key=lambda price: _net(bids, price).low_kw) - 1
    net = _net(bids, prices[index])
    if index == len(prices) - 1 or net.high_kw > 0:
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

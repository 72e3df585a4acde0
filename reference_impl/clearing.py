"""Clearing: the prices at which a market balances, and who trades how much.

Belongs here: finding a result. What makes a result correct stands apart, in
`equilibrium`: the harness judges by that, never by equality with this.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from gridwitness.reference_impl.curves import (
    Curve,
    OfferError,
    OfferProblem,
    Point,
    Powers,
    Prices,
    aggregate,
    apportion,
    disaggregate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = "root"
NO_PRICE = Prices(None, None)
Status = Literal[
    "CLEARED",
    "CLEARED_ZERO",
    "CURTAILED_AT_FLOOR",
    "CURTAILED_AT_CAP",
    "NOT_CLEARABLE_SURPLUS",
    "NOT_CLEARABLE_DEFICIT",
]


@dataclass(frozen=True)
class Bid:
    """What one participant brings to the market.

    limit_kw: approved maximum trade in either direction, in kW; None is no limit.
    node: where in the grid it stands, the root unless said otherwise.

    Raises OfferError for a limit below zero (E_NEGATIVE_LIMIT).
    """

    participant: str
    curve: Curve
    limit_kw: Decimal | None = None
    node: str = ROOT

    def __post_init__(self) -> None:
        if self.limit_kw is not None and self.limit_kw < 0:
            message = f"{self.participant} is approved for {self.limit_kw} kW"
            raise OfferError(OfferProblem("E_NEGATIVE_LIMIT", None, message), self.participant)

    @cached_property
    def limited(self) -> Curve:
        """The curve within the approved limit; at the limit, where it lies wholly beyond."""
        if self.limit_kw is None:
            return self.curve
        limit_kw = Fraction(self.limit_kw)
        clipped = self.curve.clipped(-limit_kw, limit_kw)
        if clipped is not None:
            return clipped
        nearest_kw = limit_kw if self.curve.min_export_kw > 0 else -limit_kw
        point = Point(self.curve.points[0].price_per_kwh, nearest_kw)
        return Curve(self.curve.currency, nearest_kw, nearest_kw, (point,))

    def powers_at(self, price_per_kwh: Fraction) -> Powers:
        """Give the powers offered at a price within the approved limit, in kW."""
        return self.limited.powers_at(price_per_kwh)


@dataclass(frozen=True)
class Quantum:
    """The resolution a market declares: price tick per kWh, power step in kW."""

    price_per_kwh: Decimal = Decimal("0.0001")
    power_kw: Decimal = Decimal("0.001")

    def to_tick(self, price_per_kwh: Fraction) -> Decimal:
        """Round a price to the nearest tick, ties to even."""
        return Decimal(round(price_per_kwh / Fraction(self.price_per_kwh))) * self.price_per_kwh


@dataclass(frozen=True)
class Bounds:
    """The lowest and the highest price that a market allows; None is none.

    Raises OfferError for a floor above the cap (E_FLOOR_ABOVE_CAP).
    """

    floor_per_kwh: Decimal | None = None
    cap_per_kwh: Decimal | None = None

    def __post_init__(self) -> None:
        if self.allowed(NO_PRICE) is None:
            message = f"the floor {self.floor_per_kwh} is above the cap {self.cap_per_kwh}"
            raise OfferError(OfferProblem("E_FLOOR_ABOVE_CAP", None, message))

    def allowed(self, prices: Prices) -> Prices | None:
        """Keep the allowed part of an interval of prices; None where there is none."""
        ends = (self.floor_per_kwh, self.cap_per_kwh)
        return prices.shared_with(Prices(*(None if x is None else Fraction(x) for x in ends)))


@dataclass(frozen=True)
class Clearing:
    """One interval cleared.

    status: CLEARED, or CLEARED_ZERO where nobody trades; CURTAILED_AT_FLOOR or _AT_CAP
        where the price stops at a bound and the long side is rationed; NOT_CLEARABLE_SURPLUS or
        _DEFICIT where even the least that is produced, or drawn, finds no taker.
    price_interval: lowest and highest balancing price within the bounds, exact.
    price_per_kwh: their midpoint (the finite end where one is open), rounded to the
        tick; None when both are open or the market cannot be cleared.
    power_kw: signed power a participant; sums to zero exactly.
    """

    status: Status
    price_interval: Prices
    price_per_kwh: Decimal | None
    power_kw: Mapping[str, Decimal]

    @property
    def cleared(self) -> bool:
        """Whether the market balances at a price, without curtailment."""
        return self.status in ("CLEARED", "CLEARED_ZERO")


def clear(
    bids: Sequence[Bid], quantum: Quantum | None = None, bounds: Bounds | None = None
) -> Clearing:
    """Clear one interval at one price, pro rata where several powers are offered at it.

    Every balancing price lies in one closed interval; the powers traded do not depend on
    which of them is taken. A market without participants clears at no price.

    Raises OfferError for a participant who bids twice (E_DUPLICATE_ID), for bids in
    different currencies (E_MIXED_CURRENCY), for a curve that lies wholly beyond its
    limit (E_LIMIT_INFEASIBLE), and for a point below the floor (E_PRICE_BELOW_FLOOR).

    Source: reference_impl/README.md, Clearing; midpoint and pro rata are
    its canonical choices.
    """
    quantum, bounds = quantum or Quantum(), bounds or Bounds()
    for error in unclearable(bids, bounds):
        raise error
    if not bids:
        return Clearing("CLEARED_ZERO", NO_PRICE, None, {})
    curves = {bid.participant: bid.limited for bid in bids}
    market = aggregate(list(curves.values()))
    balancing = market.prices_at(Fraction())
    prices = bounds.allowed(balancing) if balancing is not None else None
    if prices is not None:
        price = prices.middle
        exact = disaggregate(curves, price or Fraction(), Fraction())
        power = apportion(exact, quantum.power_kw)
        status: Status = "CLEARED" if any(power.values()) else "CLEARED_ZERO"
        return Clearing(status, prices, None if price is None else quantum.to_tick(price), power)
    return curtailed(curves, bounds, quantum, surplus=is_surplus(market, bounds))


def is_surplus(market: Curve, bounds: Bounds) -> bool:
    """Tell, of a market without an allowed balancing price, whether too much is offered."""
    floor = bounds.floor_per_kwh
    lowest = market.powers_at(Fraction(floor)).low_kw if floor is not None else market.min_export_kw
    return lowest > 0


def unclearable(bids: Sequence[Bid], bounds: Bounds) -> Iterator[OfferError]:
    """Yield every reason why bids have no meaning together: see `clear`."""
    for name, bids_made in Counter(bid.participant for bid in bids).items():
        if bids_made > 1:
            yield OfferError(OfferProblem("E_DUPLICATE_ID", None, f"{name} bids twice"), name)
    currencies = sorted({bid.curve.currency for bid in bids})
    if len(currencies) > 1:
        message = f"the bids are in {' and '.join(currencies)}"
        yield OfferError(OfferProblem("E_MIXED_CURRENCY", None, message))
    floor = bounds.floor_per_kwh
    for bid in bids:
        name, lowest = bid.participant, bid.curve.points[0].price_per_kwh
        least_kw = max(bid.curve.min_export_kw, -bid.curve.max_export_kw)
        if bid.limit_kw is not None and least_kw > bid.limit_kw:
            message = f"{name} trades {least_kw} kW at least, approved are {bid.limit_kw}"
            yield OfferError(OfferProblem("E_LIMIT_INFEASIBLE", None, message), name)
        if floor is not None and lowest < floor:
            message = f"{name} names the price {lowest}, the floor is {floor}"
            yield OfferError(OfferProblem("E_PRICE_BELOW_FLOOR", 0, message), name)


def curtailed(
    curves: Mapping[str, Curve], bounds: Bounds, quantum: Quantum, *, surplus: bool
) -> Clearing:
    """Stop at the bound and ration the long side, everyone by the same ratio.

    Without a bound there is nowhere to stop: the market is not clearable.
    """
    bound = bounds.floor_per_kwh if surplus else bounds.cap_per_kwh
    if bound is None:
        status = "NOT_CLEARABLE_SURPLUS" if surplus else "NOT_CLEARABLE_DEFICIT"
        return Clearing(status, NO_PRICE, None, {})
    offered = {name: curve.powers_at(Fraction(bound)) for name, curve in curves.items()}
    # At the floor all sell as little and buy as much as they offer there; at the cap, the reverse.
    ends = {name: low if surplus else high for name, (low, high) in offered.items()}
    long = [name for name, end in ends.items() if (end > 0 if surplus else end < 0)]
    ratio = 1 - sum(ends.values(), Fraction()) / sum((ends[name] for name in long), Fraction())
    ends.update({name: ends[name] * ratio for name in long})
    status = "CURTAILED_AT_FLOOR" if surplus else "CURTAILED_AT_CAP"
    prices = Prices(Fraction(bound), Fraction(bound))
    return Clearing(status, prices, bound, apportion(ends, quantum.power_kw))

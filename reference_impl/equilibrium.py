"""Correctness of a claimed clearing result: a set of conditions, not one number.

Belongs here: the conditions and their tolerances. Does not belong here: solving;
nothing in this module computes a clearing of its own.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from gridwitness.reference_impl.clearing import Quantum, balancing_prices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from gridwitness.reference_impl.clearing import Bid


class Violation(NamedTuple):
    """A condition that does not hold: code, participant (None: the market), size, sentence."""

    code: str
    participant: str | None
    size: Fraction
    message: str


def violations(
    bids: Sequence[Bid],
    price_per_kwh: Decimal | None,
    power_kw: Mapping[str, Decimal],
    quantum: Quantum | None = None,
) -> Iterator[Violation]:
    """Yield every condition that a result claimed as cleared violates.

    Everyone has one finite power; powers sum to zero; each lies on its own curve
    at the price, within its bounds and its approved limit. A power is on its curve
    when it lies in the box of half a price tick and a power step around it: whole
    steps that sum to zero cannot all be nearer. A result without a price is correct
    where no power depends on it: nobody trades, and there is a price at which nobody
    wants to; or no curve has more than one power.

    Source: reference_impl/README.md, Clearing, C0 to C3, and Tolerance.
    """
    quantum = quantum or Quantum()
    half_step = Fraction(quantum.power_kw) / 2
    known = {bid.participant for bid in bids}
    for name in sorted(known - power_kw.keys()):
        yield Violation("V_MISSING_PARTICIPANT", name, Fraction(1), f"{name} has no cleared power")
    for name in sorted(power_kw.keys() - known):
        yield Violation("V_UNKNOWN_PARTICIPANT", name, Fraction(1), f"{name} made no offer")
    numbers = [*power_kw.values(), *([] if price_per_kwh is None else [price_per_kwh])]
    if not all(number.is_finite() for number in numbers):
        yield Violation("V_NOT_FINITE", None, Fraction(1), "the result holds no finite number")
        return

    net = sum((Fraction(power) for power in power_kw.values()), Fraction())
    if abs(net) > half_step:
        yield Violation(
            "V_NOT_BALANCED", None, abs(net), f"the cleared powers sum to {float(net):+g} kW"
        )
    if price_per_kwh is None:
        yield from _without_price(bids, power_kw)
    for bid in bids:
        if bid.participant not in power_kw:
            continue
        power = Fraction(power_kw[bid.participant])
        yield from _within_bounds(bid, power, 2 * half_step)
        if price_per_kwh is not None:
            yield from _on_curve(bid, power, Fraction(price_per_kwh), quantum)


def _without_price(bids: Sequence[Bid], power_kw: Mapping[str, Decimal]) -> Iterator[Violation]:
    """Judge a result without a price by whether there is anything a price would decide."""
    if all(bid.curve.min_export_kw == bid.curve.max_export_kw for bid in bids):
        return  # the bounds say all
    for name, power in power_kw.items():
        if power:
            message = f"{name} trades {power} kW at no price"
            yield Violation("V_NO_PRICE_BUT_TRADE", name, abs(Fraction(power)), message)
    if any(power_kw.values()):
        return
    idle = [balancing_prices([bid]) for bid in bids]
    lows = [interval[0] for interval in idle if interval and interval[0] is not None]
    highs = [interval[1] for interval in idle if interval and interval[1] is not None]
    if None in idle or (lows and highs and max(lows) > min(highs)):
        message = "nobody trades, although there is no price at which nobody wants to"
        yield Violation("V_SHOULD_HAVE_CLEARED", None, Fraction(1), message)


def _within_bounds(bid: Bid, power: Fraction, step: Fraction) -> Iterator[Violation]:
    points = bid.curve.points
    low, high = Fraction(points[0].power_kw), Fraction(points[-1].power_kw)
    beyond = max(low - power, power - high)
    if beyond > step:
        yield Violation(
            "V_OUTSIDE_MIN_MAX_EXPORT",
            bid.participant,
            beyond,
            f"{bid.participant} is cleared at {float(power):g} kW,"
            f" its bounds are {float(low):g} to {float(high):g} kW",
        )
    if bid.limit_kw is not None and abs(power) - Fraction(bid.limit_kw) > step:
        yield Violation(
            "V_EXCEEDS_APPROVED_LIMIT",
            bid.participant,
            abs(power) - Fraction(bid.limit_kw),
            f"{bid.participant} is cleared at {float(power):g} kW, approved are {bid.limit_kw} kW",
        )


def _on_curve(bid: Bid, power: Fraction, price: Fraction, quantum: Quantum) -> Iterator[Violation]:
    half_tick, step = Fraction(quantum.price_per_kwh) / 2, Fraction(quantum.power_kw)
    low = bid.powers_at(price - half_tick).low_kw - step
    high = bid.powers_at(price + half_tick).high_kw + step
    if not low <= power <= high:
        exact = bid.powers_at(price)
        offered = (
            f"{float(exact.low_kw):g}"
            if exact.low_kw == exact.high_kw
            else f"{float(exact.low_kw):g} to {float(exact.high_kw):g}"
        )
        yield Violation(
            "V_OFF_CURVE",
            bid.participant,
            max(low - power, power - high),
            f"{bid.participant} is cleared at {float(power):g} kW,"
            f" its curve gives {offered} kW at {float(price):g} per kWh",
        )

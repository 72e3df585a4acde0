"""A whole market in arrays: millions of offer curves, and what they offer at a price.

Belongs here: the book, its validity, its powers at a price, the sieve for claimed results.
Does not belong here: where the market balances (book_clearing, book_grid), nor the exact
numbers (curves, clearing, equilibrium), by which this is judged.

Prices are float64. Powers are whole steps of a stated resolution, held in float64 and
no more than 2**53 of them together, so that any sum of curve points is exact.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gridwitness.reference_impl.curves import OfferError, OfferProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gridwitness.reference_impl.clearing import Bid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Some = TypeVar("Some")

BLOCK = 1 << 16
"""Curves taken at a time: few enough to stay in the cache."""
MOST_STEPS = 2.0**53
MILLIWATT = Decimal("0.000001")


@dataclass(frozen=True, eq=False)
class Book:
    """The offer curves of a market, one column each.

    Parameters
    ----------
    prices : float64, shape (points, participants)
        Per kWh, not falling along a curve. A curve with fewer points repeats its last one.
    steps : float64, shape (points, participants)
        Powers in whole steps, export positive, not falling along a curve.
    step_kw
        The resolution of the powers.

    Raises OfferError as `curve_problems` tells, with the number of the participant, and for
    powers that are no whole steps (E_FINER_THAN_STEP), or too many to be summed exactly
    (E_TOO_MANY_STEPS).
    """

    prices: Floats
    steps: Floats
    step_kw: Decimal = MILLIWATT

    def __post_init__(self) -> None:
        prices, steps = self.prices, self.steps
        if prices.ndim != 2 or prices.shape != steps.shape:  # noqa: PLR2004 (points, participants)
            raise ValueError(f"prices are {prices.shape}, powers {steps.shape}: give both alike")
        if not len(prices):
            raise OfferError(OfferProblem("E_EMPTY_CURVE", None, "the curves have no points"))
        for k, (price, power) in enumerate(zip(prices, steps, strict=True)):
            _refuse("E_NOT_FINITE", k, ~(np.isfinite(price) & np.isfinite(power)), "is not finite")
            if k:
                _refuse("E_NOT_SORTED", k, price < prices[k - 1], "has a price that falls")
                _refuse("E_NOT_MONOTONE", k, power < steps[k - 1], "has a power that falls")
            finer = np.floor(power) != power
            _refuse("E_FINER_THAN_STEP", k, finer, f"is no whole multiple of {self.step_kw} kW")
        if np.maximum(-steps[0], steps[-1]).sum() > MOST_STEPS:
            message = f"the powers are more than 2**53 steps of {self.step_kw} kW: take larger ones"
            raise OfferError(OfferProblem("E_TOO_MANY_STEPS", None, message))

    @property
    def participants(self) -> int:
        """How many curves the book holds."""
        return self.prices.shape[1]

    @classmethod
    def of_kw(
        cls,
        prices: Floats,
        powers_kw: Floats,
        limits_kw: Floats | None = None,
        adders: Floats | None = None,
        step_kw: Decimal = MILLIWATT,
    ) -> Book:
        """Make a book of powers in kW, each within its limit, each local price p + adder.

        limits_kw: approved maximum trade, infinite where there is none. adders: published
        differences of local prices from the market's. Raises OfferError as `Book`, and
        E_NEGATIVE_LIMIT or E_LIMIT_INFEASIBLE as `Bid`.
        """
        steps = np.stack([in_steps(row, step_kw) for row in powers_kw])
        if limits_kw is not None:
            prices, steps = _clipped(cls(prices, steps, step_kw), in_steps(limits_kw, step_kw))
        return cls(prices if adders is None else prices - adders, steps, step_kw)

    @classmethod
    def of(
        cls,
        bids: Sequence[Bid],
        adders: Mapping[str, Decimal] | None = None,
        step_kw: Decimal = MILLIWATT,
    ) -> Book:
        """Make a book of bids, in their order, each at its own node's published adder.

        Raises OfferError as `of_kw`, for a participant who bids twice (E_DUPLICATE_ID), and for
        bids in different currencies (E_MIXED_CURRENCY).
        """
        names: set[str] = set()
        for bid in bids:
            name, currency = bid.participant, bid.curve.currency
            if name in names:
                raise OfferError(OfferProblem("E_DUPLICATE_ID", None, f"{name} bids twice"), name)
            if currency != bids[0].curve.currency:
                message = f"{name} bids in {currency}, others in {bids[0].curve.currency}"
                raise OfferError(OfferProblem("E_MIXED_CURRENCY", None, message), name)
            names.add(name)
        most = max((len(bid.curve.points) for bid in bids), default=1)
        prices, steps = np.empty((2, most, len(bids)))
        limits = np.full(len(bids), np.inf)
        for i, bid in enumerate(bids):
            adder = Fraction((adders or {}).get(bid.node, 0))
            points = bid.curve.points + bid.curve.points[-1:] * (most - len(bid.curve.points))
            prices[:, i] = [float(Fraction(price) - adder) for price, _ in points]
            steps[:, i] = [float(Fraction(power) / Fraction(step_kw)) for _, power in points]
            if bid.limit_kw is not None:
                limits[i] = Fraction(bid.limit_kw) / Fraction(step_kw)
        return cls(*_clipped(cls(prices, steps, step_kw), limits), step_kw)


def in_steps(power_kw: Floats, step_kw: Decimal) -> Floats:
    """Give powers in steps: whole where the decimal that was meant is whole.

    A decimal and the step are each off by half a unit in the last place as floats, and so
    is their quotient: what is that near to a whole number is one.
    """
    steps = power_kw / float(step_kw)
    with np.errstate(invalid="ignore"):
        whole = np.rint(steps)
        return np.where(np.abs(steps - whole) <= 2.0**-51 * np.abs(steps), whole, steps)


def _refuse(code: str, point: int | None, wrong: Flags, what: str) -> None:
    if wrong.any():
        first = int(wrong.argmax())
        where = "" if point is None else f", point {point},"
        problem = OfferProblem(code, point, f"participant {first}{where} {what}")
        raise OfferError(problem, str(first))


def _clipped(book: Book, limits: Floats) -> tuple[Floats, Floats]:
    """Keep the powers between -limit and limit, with two points more where a ramp meets them.

    Along a curve neither prices nor powers fall, so each may be sorted on its own.
    """
    prices, steps = book.prices, book.steps
    _refuse("E_NEGATIVE_LIMIT", None, limits < 0, "has a limit below zero")
    low, high = np.maximum(-limits, steps[0]), np.minimum(limits, steps[-1])
    _refuse("E_LIMIT_INFEASIBLE", None, low > high, "must trade more than its limit")
    if np.array_equal(low, steps[0]) and np.array_equal(high, steps[-1]):
        return prices, steps
    price_met = np.repeat(prices[-1:], 2, axis=0)
    power_met = np.repeat(np.clip(steps[-1:], low, high), 2, axis=0)
    for left, right, start, end in zip(prices, prices[1:], steps, steps[1:], strict=False):
        for price, power, limit in zip(price_met, power_met, (low, high), strict=True):
            on = (start < limit) & (limit < end)
            share = (limit - start)[on] / (end - start)[on]
            price[on], power[on] = left[on] + share * (right - left)[on], limit[on]
    powers = np.concatenate([np.clip(steps, low, high), power_met])
    return np.sort(np.concatenate([prices, price_met]), axis=0), np.sort(powers, axis=0)


def in_blocks(work: Callable[[slice], Some], count: int, threads: int = 1) -> list[Some]:
    """Do the work block by block; the results are in order, however many threads there are."""
    blocks = [slice(at, min(at + BLOCK, count)) for at in range(0, count, BLOCK)]
    if threads == 1 or len(blocks) < 4 * threads:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, blocks))


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def offered(
    prices: Floats, steps: Floats, price: Floats | float, beyond: Floats | float | None = None
) -> tuple[Floats, Floats | None]:
    """Give the least that each curve offers at a price, and how much more on a step just there.

    price: of all, or one for each. beyond: what the price lacks as a float; added to it, it
    tells on which side of a step the true price lies. The second result is None where
    nobody has a step at the price.

    A share is 0 up to the left point and 1 from the right point on, without rounding: off
    its ramps, a curve's power is a sum of its points, and so a whole number of steps.
    """
    least, more = steps[0].copy(), None
    for left, right, start, end in zip(prices, prices[1:], steps, steps[1:], strict=False):
        share, rise = price - left, end - start
        if beyond is not None:
            share += beyond
        share /= right - left
        undecided = np.isnan(share)  # 0 / 0: a step, at this very price
        if undecided.any():
            more = np.where(undecided, rise, 0.0) + (0.0 if more is None else more)
            share[undecided] = 0.0
        np.clip(share, 0.0, 1.0, out=share)
        share *= rise
        least += share
    return least, more


def offered_by_all(
    prices: Floats,
    steps: Floats,
    price: Floats | float,
    beyond: Floats | float | None = None,
    threads: int = 1,
) -> tuple[Floats, Floats]:
    """Give the same as `offered`, block by block, and zeros where nobody has a step."""
    least, more = np.empty(prices.shape[1]), np.zeros(prices.shape[1])

    def of_block(block: slice) -> None:
        here = price[block] if isinstance(price, np.ndarray) else price
        past = beyond[block] if isinstance(beyond, np.ndarray) else beyond
        least[block], on_step = offered(prices[:, block], steps[:, block], here, past)
        if on_step is not None:
            more[block] = on_step

    in_blocks(of_block, prices.shape[1], threads)
    return least, more


class Suspects(NamedTuple):
    """What a claimed result sums to, in whole steps, and who may not be on the own curve."""

    net_steps: int
    participants: Ints


def suspects(  # noqa: PLR0913 (a claim and its two tolerances)
    book: Book,
    price: Floats | float,
    power_kw: Floats,
    tolerance_price: float,
    tolerance_kw: float,
    threads: int = 1,
) -> Suspects:
    """Sift a claimed result in one pass: whoever is not named here is on the own curve.

    price: of all, or each one's own. A power is on its curve when it lies between what the
    curve offers at price - tolerance_price, less tolerance_kw, and what it offers at
    price + tolerance_price, plus tolerance_kw. Floats decide that but for their rounding: who is
    within so little of an end is named too, and left to the exact `violations`. So is a
    power that is no whole number of steps; the net counts it as the nearest one.

    Source: reference_impl/README.md, Tolerance.
    """
    slack = tolerance_kw / float(book.step_kw)

    @np.errstate(invalid="ignore")
    def of_block(block: slice) -> tuple[int, Ints]:
        prices, steps = book.prices[:, block], book.steps[:, block]
        here = price[block] if isinstance(price, np.ndarray) else price
        claimed = in_steps(power_kw[block], book.step_kw)
        step = np.rint(claimed)
        # Prices are off by half a unit in the last place, and so is each difference of two.
        scale = max(-prices[0].min(), prices[-1].max(), np.abs(here).max())
        inward = tolerance_price - 2.0**-48 * scale
        low, _ = offered(prices, steps, here - inward)
        high, more = offered(prices, steps, here + inward)
        margin = slack - 2.0**-48 * np.maximum(-steps[0], steps[-1])
        high += margin if more is None else margin + more
        on_curve = np.isfinite(here) & (low - margin <= step) & (step <= high) & (step == claimed)
        exact = np.abs(step).sum() <= MOST_STEPS
        net = int(step.sum()) if exact else sum(map(int, step[np.isfinite(step)].tolist()))
        return net, np.flatnonzero(~on_curve) + block.start

    found = in_blocks(of_block, book.participants, threads)
    who = np.concatenate([np.zeros(0, dtype=np.int64), *(names for _, names in found)])
    return Suspects(sum(net for net, _ in found), who)

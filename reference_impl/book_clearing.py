"""Clearing a market in arrays: the same results as `clear`, at national scale.

Belongs here: one market without a grid, and many such markets at once. Does not belong here:
how a price is searched for (book_search), flow limits (book_grid), what makes a result
correct (equilibrium).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gridwitness.reference_impl.book import Book, offered_by_all
from gridwitness.reference_impl.book_search import Between, Curves, by_node, markets, price_ends
from gridwitness.reference_impl.book_shares import exact_sum, steps_by_node, whole_steps
from gridwitness.reference_impl.curves import OfferError, OfferProblem

if TYPE_CHECKING:
    from gridwitness.reference_impl.book import Ints
    from gridwitness.reference_impl.clearing import Bounds, Status


class BookClearing(NamedTuple):
    """One interval cleared.

    status: as of `Clearing`. prices: the lowest and the highest balancing price within the
    bounds. price_per_kwh: their midpoint. power_steps: signed whole steps in the book's order;
    they sum to exactly zero. residual_steps: what they summed to before they were rounded.
    """

    status: Status
    prices: Between
    price_per_kwh: float | None
    power_steps: Ints
    residual_steps: float


def clear_book(book: Book, bounds: Bounds | None = None, threads: int = 1) -> BookClearing:
    """Clear one interval at one price, pro rata where several powers are offered at it.

    The result depends neither on the number of threads nor on the run, bit for bit. Raises
    OfferError for a point below the floor (E_PRICE_BELOW_FLOOR).

    Source: reference_impl/README.md, Clearing; midpoint and pro rata are its canonical choices.
    """
    floor, cap = _checked(book, bounds)
    if not book.participants:
        return BookClearing("CLEARED_ZERO", Between(None, None), None, np.zeros(0, np.int64), 0.0)
    home = np.broadcast_to(np.int64(0), book.participants)
    curves = Curves.at(book.prices, book.steps, home)
    ends, highest = price_ends(markets(1), curves, np.zeros(1), threads)
    low, high = float(ends.price[0]), float(highest[0])
    if book.steps[0].sum() > 0 or high < floor:
        return _curtailed(book, floor, threads, surplus=True)
    if book.steps[-1].sum() < 0 or low > cap:
        return _curtailed(book, cap, threads, surplus=False)
    prices = Between.of(max(low, floor), min(high, cap))
    price, beyond = prices.middle or 0.0, float(ends.beyond[0])
    power, more = offered_by_all(book.prices, book.steps, price, beyond, threads)
    if room := more.sum():
        power += np.clip(-exact_sum(power) / room, 0, 1) * more
    steps, residual = whole_steps(power, threads)
    return BookClearing(_status(steps), prices, prices.middle, steps, residual)


def clear_intervals(
    book: Book, offsets: Ints, bounds: Bounds | None = None, threads: int = 1
) -> list[BookClearing]:
    """Clear many markets at once: interval k is the participants offsets[k] to offsets[k + 1].

    The same as `clear_book` of each, but for rounding, and sooner where they are many and small.
    Raises ValueError for intervals that are not the whole book, and OfferError as `clear_book`.
    """
    floor, cap = _checked(book, bounds)
    count = np.diff(offsets)
    if offsets[0] != 0 or offsets[-1] != book.participants or (count < 0).any():
        raise ValueError(f"the intervals must part 0 to {book.participants}: offsets are {offsets}")
    forest, home = markets(len(count)), np.repeat(np.arange(len(count)), count)
    curves = Curves.at(book.prices, book.steps, home)
    ends, highest = price_ends(forest, curves, np.zeros(len(count)), threads)
    least, most = (by_node(book.steps[end], home, len(count)) for end in (0, -1))
    clears = (count > 0) & (least <= 0) & (most >= 0) & (ends.price <= cap) & (highest >= floor)
    pairs = zip(np.maximum(ends.price, floor), np.minimum(highest, cap), strict=True)
    prices = [Between.of(low, high) for low, high in pairs]
    price = np.array([one.middle or 0.0 for one in prices])
    power, more = offered_by_all(book.prices, book.steps, price[home], ends.beyond[home], threads)
    steps, residual = steps_by_node(forest, home, power, more)

    def result(k: int, those: slice) -> BookClearing:
        if not clears[k]:
            part = Book(book.prices[:, those], book.steps[:, those], book.step_kw)
            return clear_book(part, bounds, threads)
        own = steps[those]
        return BookClearing(_status(own), prices[k], prices[k].middle, own, float(residual[k]))

    return [result(k, slice(*ends)) for k, ends in enumerate(pairwise(offsets.tolist()))]


def _checked(book: Book, bounds: Bounds | None) -> tuple[float, float]:
    """Give floor and cap, infinite where there is none; refuse points below the floor."""
    if bounds is None:
        return -np.inf, np.inf
    floor, cap = bounds.floor_per_kwh, bounds.cap_per_kwh
    if floor is not None and (below := book.prices[0] < float(floor)).any():
        name = str(below.argmax())
        message = f"participant {name} names a price below the floor {floor}"
        raise OfferError(OfferProblem("E_PRICE_BELOW_FLOOR", 0, message), name)
    return -np.inf if floor is None else float(floor), np.inf if cap is None else float(cap)


def _status(steps: Ints) -> Status:
    return "CLEARED" if steps.any() else "CLEARED_ZERO"


def _curtailed(book: Book, bound: float, threads: int, *, surplus: bool) -> BookClearing:
    """Stop at the bound and ration the long side, everyone by the same ratio."""
    if np.isinf(bound):
        status = "NOT_CLEARABLE_SURPLUS" if surplus else "NOT_CLEARABLE_DEFICIT"
        return BookClearing(status, Between(None, None), None, np.zeros(0, np.int64), 0.0)
    power, more = offered_by_all(book.prices, book.steps, bound, threads=threads)
    if not surplus:
        power += more
    long = power > 0 if surplus else power < 0
    power[long] *= 1 - exact_sum(power) / power[long].sum()
    status = "CURTAILED_AT_FLOOR" if surplus else "CURTAILED_AT_CAP"
    return BookClearing(status, Between(bound, bound), bound, *whole_steps(power, threads))

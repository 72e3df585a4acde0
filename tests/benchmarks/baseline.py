"""What the speed is measured against: clearing a book as one would at first, and random books.

Sorting all points and summing the slopes up is the textbook way, and numpy at its best. It finds
one price, in float64; neither the range of prices nor whole steps that sum to zero.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from gridwitness.reference_impl.book import Book, Floats

Kind = Literal["ramps", "ticks"]


def clear_by_sorting(book: Book) -> tuple[float, Floats]:
    """Give a balancing price, and the power of everyone in steps."""
    prices, steps = book.prices, book.steps
    run, rise = np.diff(prices, axis=0), np.diff(steps, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(run > 0, rise / run, 0.0)
    bend, step = np.zeros_like(prices), np.zeros_like(prices)
    bend[:-1] += slope
    bend[1:] -= slope
    step[:-1] = np.where(run > 0, 0.0, rise)
    order = np.argsort(prices, axis=None)
    price, bend, step = (part.ravel()[order] for part in (prices, bend, step))
    climb = np.zeros_like(price)
    climb[1:] = np.cumsum(bend)[:-1] * np.diff(price)
    above = steps[0].sum() + np.cumsum(climb + step)
    below = above - step
    at = int(np.searchsorted(above, 0.0))
    if below[at] <= 0:  # within the steps of all who ask the same price
        found = price[at]
        low = below[np.searchsorted(price, found)]
        high = above[np.searchsorted(price, found, side="right") - 1]
        part = -low / (high - low) if low < high else 0.0
    else:
        over, lack = below[at], -above[at - 1]
        found, part = price[at - 1] + (price[at] - price[at - 1]) * lack / (lack + over), 0.0
    power = steps[0].copy()
    for k in range(len(run)):
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.clip((found - prices[k]) / run[k], 0, 1)
        power += rise[k] * np.where(np.isnan(share), part, share)
    return float(found), power


def random_book(count: int, kind: Kind = "ramps", seed: int = 2026) -> Book:
    """Draw 55 % consumers (to -11 kW), 35 % roofs (to 5 kW) and 10 % prosumers, 3 points each.

    ramps: prices of four decimals around 0.08 to 0.12 and 0.05 to 0.07 per kWh. ticks: on a grid of
    0.005, and every other curve begins with a step.
    """
    random = np.random.default_rng(seed)
    prices, powers = np.empty((3, count)), np.empty((3, count))
    for start in range(0, count, 1 << 17):  # little memory is used but for the book itself
        part = slice(start, min(start + (1 << 17), count))
        some = part.stop - part.start
        sort = random.choice(3, some, p=[0.55, 0.35, 0.10])
        least = np.array([-11.0, 0.0, -5.0])[sort] * random.uniform(0.1, 1, some)
        most = np.array([0.0, 5.0, 5.0])[sort] * random.uniform(0.1, 1, some)
        middle = least + (most - least) * random.uniform(0.2, 0.8, some)
        first = np.array([0.08, 0.05, 0.06])[sort] + random.uniform(-0.03, 0.03, some)
        widths = random.uniform(0.005, 0.035, (2, some))
        offers = np.cumsum([first, *widths], axis=0)
        if kind == "ticks":
            offers = np.rint(offers / 0.005) * 0.005
            offers[1] = np.where(random.random(some) < 0.5, offers[0], offers[1])
        prices[:, part] = np.round(offers, 4)
        powers[:, part] = np.rint(np.stack([least, middle, most]) * 1000) * 1000  # watts in mW
    return Book(prices, powers)

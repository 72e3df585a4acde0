"""The plain numpy clearing that the reference is measured against, and markets to measure with.

Belongs here: sort all points, sum up the slopes, read off the price and everyone's power.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SEED = 20_260


class Curves(NamedTuple):
    """Prices per kWh and powers in kW, shape (points, participants)."""

    prices: np.ndarray
    powers_kw: np.ndarray


def clear(curves: Curves) -> tuple[float, np.ndarray]:
    """Give the price at which all powers sum to zero, and the powers there."""
    prices, powers = curves
    run, rise = np.diff(prices, axis=0), np.diff(powers, axis=0)
    slope = np.divide(rise, run, out=np.zeros_like(run), where=run > 0)
    bend, step = np.zeros_like(prices), np.zeros_like(prices)
    bend[:-1] += slope
    bend[1:] -= slope
    step[:-1] = np.where(run > 0, 0.0, rise)
    order = np.argsort(prices, axis=None)
    price = prices.ravel()[order]
    climb = np.cumsum(bend.ravel()[order])
    net = powers[0].sum() + np.cumsum(step.ravel()[order])
    net[1:] += np.cumsum(climb[:-1] * np.diff(price))
    at = int(np.searchsorted(net, 0.0))
    below = max(at - 1, 0)
    found = (
        price[at] if climb[below] <= 0 else min(price[below] - net[below] / climb[below], price[at])
    )
    share = np.where(
        run > 0, (found - prices[:-1]) / np.where(run > 0, run, 1.0), found > prices[:-1]
    )
    return float(found), powers[0] + (np.clip(share, 0.0, 1.0) * rise).sum(axis=0)


def households(count: int) -> Curves:
    """Draw 55 % consumers, 35 % solar and 10 % prosumers, three points each."""
    draw = np.random.default_rng(SEED)
    prices = np.round(np.sort(draw.uniform(0.04, 0.14, (3, count)), axis=0), 6)
    most = np.round(draw.uniform(1.0, 11.0, count), 3)
    middle = np.round(most * draw.uniform(0.2, 0.8, count), 3)
    kind, zero = draw.random(count), np.zeros(count)
    consumer = np.stack([-most, -middle, zero])
    solar = np.stack([zero, middle, most]) / 2
    prosumer = np.stack([-most, zero, middle])
    powers = np.where(kind < 0.55, consumer, np.where(kind < 0.9, solar, prosumer))
    return Curves(prices, np.round(powers, 3))


def ties(count: int) -> Curves:
    """The same households with prices on a tick of one cent, half of them in vertical steps."""
    prices, powers = households(count)
    prices = np.round(prices, 2)
    upright = np.arange(count) % 2 == 0
    prices[:, upright] = prices[1, upright]
    return Curves(np.sort(prices, axis=0), powers)

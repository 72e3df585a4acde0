"""Rounding: exact amounts become whole units, and their sums stay right.

Belongs here: rounding by the declared rule, sharing by largest remainder, sums that never
lose a digit. Does not belong here: what an amount is paid for (settlement).
"""

from __future__ import annotations

import decimal
import functools
import math
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from fractions import Fraction

Key = TypeVar("Key", str, tuple[str, str])  # a name, or a kind and a name
ROUNDINGS = {"HALF_UP": decimal.ROUND_HALF_UP, "HALF_EVEN": decimal.ROUND_HALF_EVEN}
EXACT = decimal.Context(prec=200, traps=[decimal.Inexact, decimal.InvalidOperation])
"""Arithmetic that raises where it would have to round."""


def whole(exact: Fraction, rounding: str) -> int:
    """Round to a whole number, halves as declared and alike on both sides of zero."""
    down = math.floor(abs(exact))
    doubled = 2 * (abs(exact) - down)
    half_up = ROUNDINGS[rounding] == decimal.ROUND_HALF_UP
    up = doubled > 1 or (doubled == 1 and (half_up or down % 2 == 1))
    return (down + up) * (-1 if exact < 0 else 1)


def shared(exact: Mapping[Key, Fraction], total: int) -> dict[Key, int]:
    """Round amounts to whole numbers that sum to the total, which is theirs but for rounding.

    Each is rounded down, and the units then missing go to the largest remainders, ties by
    name: nobody is off by a whole unit.
    """
    units = {name: math.floor(amount) for name, amount in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (units[name] - exact[name], name))
    for name in by_remainder[: total - sum(units.values())]:
        units[name] += 1
    return units


def money(units: int, minor_unit: int) -> Decimal:
    """Write a number of minor units as an amount with as many decimals."""
    return EXACT.scaleb(Decimal(units), -minor_unit)


def rounded(exact: Fraction, rounding: str, minor_unit: int) -> Decimal:
    """Round an amount to the minor unit."""
    return money(whole(exact * 10**minor_unit, rounding), minor_unit)


def beyond_unit(amount: Decimal, minor_unit: int) -> Decimal:
    """Give the part of an amount that is finer than the minor unit."""
    return EXACT.remainder(amount, money(1, minor_unit))


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Sum exactly."""
    return functools.reduce(EXACT.add, amounts, Decimal())

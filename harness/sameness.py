"""Sameness: JSON of one meaning is one value, however it was written.

Belongs here: what may be written in several ways everywhere: numbers and instants. Does not
belong here: what a certain field means (dialects), whether something had to stay (rules).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from gridwitness.dialects.base import Json

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d\S*(Z|[+-]\d\d:\d\d)", re.ASCII)


def plain(value: Json) -> Json:
    """Give a value that equals, and prints as, every other of the same meaning.

    1E+1, 10 and 10.00 are one number; an instant with a zone is one in every zone; the members
    of an object have no order. What is nested too deeply is given as it is.
    """
    try:
        return _plain(value)
    except RecursionError:
        return value


def _plain(value: object) -> object:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return {key: _plain(members[key]) for key in sorted(members)}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, str):
        return _in_utc(value) if _INSTANT.fullmatch(value) else value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _number(Decimal(value))
    return value


def _number(number: Decimal) -> Decimal | int:
    """Strip the zeros behind a number, exactly: normalize() would round what is longer."""
    sign, digits, exponent = number.as_tuple()
    if not number or not isinstance(exponent, int):
        return number or 0
    stripped = "".join(map(str, digits)).rstrip("0")
    zeros = len(digits) - len(stripped)
    return Decimal((sign, tuple(map(int, stripped)), exponent + zeros))


def _in_utc(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return text

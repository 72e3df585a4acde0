"""A user's JSON file, read strictly: whatever is wrong is told with its place in the file.

Belongs here: types, numbers, choices, unknown keys. Does not belong here: the keys of any file.

Numbers may be JSON numbers or strings; both are taken digit by digit, never as floats.
`{"$rawNumber": "1e999"}` stands for that literal.
"""

from __future__ import annotations

import difflib
import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, cast

import simplejson

from gridwitness.dialects.base import MAX_DECIMALS, MAX_DIGITS, Json
from gridwitness.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SMALLEST, LARGEST = 10.0**-MAX_DECIMALS, 10.0**MAX_DIGITS
"""Every number of an energy market that is not zero lies between these."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,9})?", re.ASCII)


def parse(raw: bytes, file: str = "") -> Json:
    """Parse JSON exactly; raises UserError for what is none, and for a key that stands twice."""

    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise UserError(f"names {twice!r} twice", where=file, mend="name it once")
        return found

    def number(token: str) -> Decimal:
        try:
            return Decimal(token)
        except InvalidOperation:  # an exponent beyond all measure
            return Decimal("Infinity")

    def constant(token: str) -> Json:
        raise ValueError(f"{token} is not a JSON number")

    try:
        return json.loads(
            raw.decode("utf-8"),
            parse_float=number,
            parse_constant=constant,
            object_pairs_hook=unique,
        )
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not JSON: {error}", where=file, mend="give one JSON object") from error


class BadNumber(UserError):
    """A number that is none (E_NOT_A_NUMBER), or beyond all measure (E_NOT_FINITE)."""

    code = "E_NOT_A_NUMBER"


class Place:
    """A place in a file. What is not there, or null, is a place without a value."""

    def __init__(self, value: Json, file: str, pointer: str = "") -> None:
        self.value = value
        self._file = file
        self._pointer = pointer

    @classmethod
    def of(cls, raw: bytes, file: str) -> Place:
        """Stand on the root of a file; raises UserError where it holds no JSON object."""
        root = cls(parse(raw, file), file)
        root.object()
        return root

    def mistake(self, what: str, mend: str) -> UserError:
        """Make the error that names this place."""
        return UserError(what, where=f"{self._file}#{self._pointer}", mend=mend)

    def __bool__(self) -> bool:
        return self.value is not None

    def __truediv__(self, key: str) -> Place:
        """Go to a member of an object, or of what is not there."""
        token = key.replace("~", "~0").replace("/", "~1")
        inner = self.object().get(key) if self else None
        return Place(inner, self._file, f"{self._pointer}/{token}")

    def __iter__(self) -> Iterator[Place]:
        """Go to each item of an array."""
        if not isinstance(self.value, list):
            raise self._unlike("an array")
        for position, item in enumerate(cast("list[Json]", self.value)):
            yield Place(item, self._file, f"{self._pointer}/{position}")

    def members(self) -> Iterator[tuple[str, Place]]:
        """Go to each member of an object; what is not there has none."""
        for key in self.object() if self else ():
            yield key, self / key

    def is_object(self) -> bool:
        return isinstance(self.value, dict)

    def object(self, *known: str) -> Mapping[str, Json]:
        """Give an object; no keys but the known ones, where any are named."""
        if not isinstance(self.value, dict):
            raise self._unlike("an object")
        found = cast("dict[str, Json]", self.value)
        for key in found if known else ():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                mend = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
                raise (self / key).mistake("is not known", mend)
        return found

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self._unlike("a text")
        return self.value

    def choice(self, *options: str) -> str:
        if self.value not in options:
            raise self._unlike(f"one of {', '.join(options)}")
        return cast("str", self.value)

    def number(self) -> Decimal:
        """Read a number that some energy market could hold."""
        value = self.value
        if isinstance(value, dict):
            value = cast("dict[str, Json]", value).get("$rawNumber")
        is_number = isinstance(value, int | Decimal | str) and not isinstance(value, bool)
        if not is_number or (isinstance(value, str) and not _NUMBER.fullmatch(value)):
            raise BadNumber(**vars(self._unlike("a number")))
        number = Decimal(cast("int | Decimal | str", value))
        fits = number.is_finite() and (
            not number or -MAX_DECIMALS <= number.adjusted() < MAX_DIGITS
        )
        if not fits or len(number.as_tuple().digits) > MAX_DIGITS + MAX_DECIMALS:
            wanted = f"a number of {MAX_DIGITS} digits, and {MAX_DECIMALS} decimals"
            beyond = BadNumber(**vars(self._unlike(wanted)))
            beyond.code = "E_NOT_FINITE"
            raise beyond
        return number or Decimal()

    def at_least_zero(self) -> Decimal:
        number = self.number()
        if number < 0:
            raise self._unlike("zero or more")
        return number

    def _unlike(self, wanted: str) -> UserError:
        shown = simplejson.dumps(self.value, use_decimal=True, ensure_ascii=False, allow_nan=True)
        return self.mistake(f"is {shown:.60}" if self else "is missing", f"give {wanted}")

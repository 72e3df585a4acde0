"""What every dialect can do, and the reading and writing of JSON they share.

Belongs here: the protocol of a dialect; a cursor that reads a parsed body, keeps
the JSON Pointer and remembers what it could not read. Does not belong here: any
key of any dialect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, cast

import simplejson

from gridwitness.views import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridwitness.views import Envelope, Reading

Json = Any
"""A parsed JSON value; numbers are int or Decimal, never float."""

MOST_REPEATED = 20
"""How many repeated keys of one body are told."""

MAX_DIGITS = MAX_DECIMALS = 15
"""No price, power, energy or amount of an energy market has more, before or after the point."""


class Dialect(Protocol):
    """One way of writing the protocol's messages."""

    @property
    def name(self) -> str:
        """Its name: order or contract."""
        ...

    @property
    def mandatory_context(self) -> tuple[str, ...]:
        """The envelope's fields that must be there."""
        ...

    def recognises(self, body: Json) -> bool:
        """Tell whether a parsed body is written in this dialect."""
        ...

    def read(self, body: Json) -> Reading:
        """Read a parsed body into views; what cannot be read becomes a problem, never an error."""
        ...

    def compose(self, reading: Reading) -> dict[str, Json]:
        """Write views as a body; `read(compose(reading))` equals `reading`."""
        ...

    def context_key(self, field: str) -> str:
        """Spell the context key of an envelope's field."""
        ...


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class BadJson(ValueError):
    """Bytes that are not JSON in UTF-8, or hold NaN or Infinity."""


def parse_json(raw: bytes, members: Callable[[list[tuple[str, Json]]], Json] | None = None) -> Json:
    """Parse bytes as JSON with exact numbers; raises BadJson.

    members makes an object of its keys and values, where a dict will not do.
    """

    def refuse(token: str) -> Json:
        raise BadJson(f"{token} is not a JSON number")

    try:
        text = raw.decode("utf-8")
        if _SURROGATE.search(text):
            json.dumps(json.loads(text), ensure_ascii=False).encode()  # refuses lone halves
        return json.loads(
            text, parse_float=Decimal, parse_constant=refuse, object_pairs_hook=members
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise BadJson(str(error) or "the body is nested too deeply") from error


@dataclass(frozen=True)
class Parsed:
    """What bytes are as JSON; never an error.

    body is None when they are none, and problem then says why. repeated holds the JSON
    Pointer of every member whose key stood before in the same object; the last one counts.
    """

    body: Json
    problem: str = ""
    repeated: tuple[str, ...] = ()


def parse_noting(raw: bytes) -> Parsed:
    """Parse bytes as JSON with exact numbers, and note what `parse_json` passes over."""
    doubled: list[tuple[dict[str, Json], str]] = []

    def members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        read = dict(pairs)
        if len(read) < len(pairs) and len(doubled) < MOST_REPEATED:
            seen: set[str] = set()
            doubled.extend((read, key) for key, _ in pairs if key in seen or seen.add(key))
        return read

    try:
        body = parse_json(raw, members)
        return Parsed(body, repeated=_pointers(body, doubled[:MOST_REPEATED]) if doubled else ())
    except BadJson as error:
        return Parsed(None, problem=str(error))
    except RecursionError:
        return Parsed(None, problem="the body is nested too deeply")


def _pointers(body: Json, doubled: list[tuple[dict[str, Json], str]]) -> tuple[str, ...]:
    """Find where in a body some of its objects stand, by their identity."""
    keys: dict[int, list[str]] = {}
    for owner, key in doubled:
        keys.setdefault(id(owner), []).append(key)
    found: list[str] = []
    waiting = [Cursor(body, "", [])]
    while waiting and keys:
        here = waiting.pop()
        value: object = here.value
        if isinstance(value, dict):
            found += [(here / key).pointer for key in keys.pop(id(cast("object", value)), ())]
            waiting += [here / key for key in reversed(cast("dict[str, Json]", value))]
        elif isinstance(value, list):
            waiting += [here / index for index in reversed(range(len(cast("list[Json]", value))))]
    return tuple(found)


def dump_json(value: Json) -> bytes:
    """Write a body as compact UTF-8 JSON with the exact digits of every Decimal.

    Raises ValueError for a number that is not finite.
    """
    return simplejson.dumps(
        _finite(value), use_decimal=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()


def _finite(value: Json) -> Json:
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"{value} is no JSON number")
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in cast("Mapping[str, Json]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in cast("Sequence[Json]", value)]
    return value


class Cursor:
    """A place in a parsed body. Reading from what is not there gives None.

    Everything of the wrong type is noted as a problem once and reads as absent.
    """

    __slots__ = ("_above", "_place", "_problems", "value")

    def __init__(
        self,
        value: Json,
        place: str | int,
        problems: list[Problem],
        above: Cursor | None = None,
    ) -> None:
        self.value = value
        self._place = place
        self._problems = problems
        self._above = above

    @property
    def pointer(self) -> str:
        """The JSON Pointer of the place (RFC 6901); made only when somebody asks."""
        if self._above is None:
            return str(self._place)
        token = str(self._place).replace("~", "~0").replace("/", "~1")
        return f"{self._above.pointer}/{token}"

    def __truediv__(self, key: str | int) -> Cursor:
        """Go to a member of an object or an item of an array."""
        # Everything is read through here: what a cast would cost is felt.
        inner: Json = None
        value: Json = self.value
        if isinstance(value, dict):
            inner = value.get(key)  # pyright: ignore[reportUnknownVariableType]
        elif isinstance(value, list) and isinstance(key, int):
            size = len(value)  # pyright: ignore[reportUnknownArgumentType]
            inner = value[key] if -size <= key < size else None  # pyright: ignore[reportUnknownVariableType]
        return Cursor(inner, key, self._problems, self)

    def __bool__(self) -> bool:
        return self.value is not None

    @property
    def nowhere(self) -> Cursor:
        """Give a cursor from which everything reads as absent."""
        return Cursor(None, self._place, self._problems, self._above)

    def problem(self, message: str) -> None:
        self._problems.append(Problem(self.pointer, message))

    def items(self) -> Iterator[Cursor]:
        """Yield a cursor for each item of an array."""
        if self.value is not None and not isinstance(self.value, list):
            self.problem("is not an array")
            return
        for index, item in enumerate(cast("list[Json]", self.value or [])):
            yield Cursor(item, index, self._problems, self)

    def object(self) -> Cursor | None:
        """Give this cursor if it stands on an object."""
        if isinstance(cast("object", self.value), dict):
            return self
        if self.value is not None:
            self.problem("is not an object")
        return None

    def text(self) -> str | None:
        if self.value is None or isinstance(self.value, str):
            return self.value
        self.problem("is not a string")
        return None

    def number(self) -> Decimal | None:
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, int | Decimal):
            self.problem("is not a number")
            return None
        value = Decimal(self.value)
        if value and not -MAX_DECIMALS <= value.adjusted() < MAX_DIGITS:
            self.problem("is out of any physical range")
            return None
        if len(value.as_tuple().digits) > MAX_DIGITS + MAX_DECIMALS:
            self.problem("has more digits than any meter or market")
            return None
        return value

    def integer(self) -> int | None:
        value = self.number()
        if value is not None and value != value.to_integral_value():
            self.problem("is not a whole number")
            return None
        return None if value is None else int(value)

    def need_number(self) -> Decimal | None:
        """Read a number that has to be there once its object is."""
        if self.value is None:
            self.problem("is missing")
        return self.number()

    def need_text(self) -> str | None:
        if self.value is None:
            self.problem("is missing")
        return self.text()


def read_envelope_fields(
    context: Cursor, keys: Mapping[str, str]
) -> tuple[dict[str, str | None], dict[str, str]]:
    """Read the fields of an envelope by the dialect's spelling; also gives their pointers."""
    fields = {name: (context / key).text() for name, key in keys.items()}
    pointers = {name: (context / key).pointer for name, key in keys.items()}
    return fields, pointers | {"": context.pointer}


def compose_context(envelope: Envelope, keys: Mapping[str, str]) -> dict[str, Json]:
    """Write the fields of an envelope that are there by the dialect's spelling."""
    return {
        key: value for name, key in keys.items() if (value := getattr(envelope, name)) is not None
    }

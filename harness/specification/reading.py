"""Reading: the text of a specification document as plain data, in bounded time and memory.

Belongs here: JSON and YAML without surprises (no timestamps, no yes and no, no tags),
limits on size, depth and aliases. Does not belong here: what a document says.
"""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING, Any, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 20_000_000
MAX_NODES = 2_000_000
MAX_DEPTH = 200
"""Beyond these no specification is known; the largest published document has 250 kB."""


class Unreadable(ValueError):
    """A document that does not parse, or is beyond all measure; says where."""


_Loader = yaml.CLoader if yaml.__with_libyaml__ else yaml.Loader
"""Only its events are used: nothing is composed (in C, and deeply) or constructed."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)


def read_document(path: Path) -> Any:  # noqa: ANN401 (any JSON value)
    """Read a JSON or YAML file; raises Unreadable, with the line where there is one."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8: {error}") from error
    try:
        if path.suffix in (".yaml", ".yml"):
            events = cast("Iterator[Any]", cast("Any", yaml).parse(text, Loader=_Loader))
            return _Builder().read(events)
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON: {error.msg} at line {error.lineno}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise Unreadable(f"is not YAML: {error.problem or error.context}{where}") from error
    except yaml.YAMLError as error:
        raise Unreadable(f"is not YAML: {error}") from error
    except RecursionError as error:
        raise Unreadable("is nested too deeply") from error
    except ValueError as error:
        raise error if isinstance(error, Unreadable) else Unreadable(str(error)) from error


def read_bytes(path: Path) -> bytes:
    """Read a whole file; raises Unreadable for one that is no file, or is beyond measure."""
    raw = read_head(path, MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"is larger than {MAX_BYTES} bytes")
    return raw


def read_head(path: Path, size: int) -> bytes:
    """Read the first bytes of a regular file: to open anything else may wait forever."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable("is no regular file")
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from error


def _refuse(token: str) -> Any:  # noqa: ANN401 (never returns)
    raise Unreadable(f"{token} is not a JSON number")


class _Builder:
    """Builds plain data from the events of a YAML document, without recursion.

    An alias counts as often as it is used; one to what it stands in is refused.
    """

    def __init__(self) -> None:
        self._open: list[tuple[Any, str | None, int]] = []
        self._keys: list[str | None] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0
        self._root: Any = None

    def read(self, events: Iterator[Any]) -> Any:  # noqa: ANN401 (any JSON value)
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Unreadable("holds more than one document")
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._start(event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                value, anchor, before = self._open.pop()
                self._keys.pop()
                self._place(event, value, anchor, self._count - before)
            elif isinstance(event, yaml.ScalarEvent):
                self._grow(1)
                at_key = bool(self._open) and isinstance(self._open[-1][0], dict)
                is_key = at_key and self._keys[-1] is None
                text = cast("str", event.value)
                value = text if is_key else _scalar(event, text)
                self._place(event, value, event.anchor, 1)
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in self._anchors:
                    raise Unreadable(f"has an alias to nothing, or to itself{_line(event)}")
                value, size = self._anchors[event.anchor]
                self._grow(size)
                self._place(event, value, None, size)
        return self._root

    def _start(self, event: Any) -> None:  # noqa: ANN401 (untyped library)
        if len(self._open) >= MAX_DEPTH:
            raise Unreadable("is nested too deeply")
        if self._open and isinstance(self._open[-1][0], dict) and self._keys[-1] is None:
            raise Unreadable(f"has a key that is no text{_line(event)}")
        fresh: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append((fresh, cast("str | None", event.anchor), self._count))
        self._keys.append(None)
        self._grow(1)

    def _grow(self, number: int) -> None:
        self._count += number
        if self._count > MAX_NODES:
            raise Unreadable("holds too much: aliases of aliases?")

    def _place(self, event: Any, value: Any, anchor: str | None, size: int) -> None:  # noqa: ANN401
        """Put a finished value where it belongs: the root, an item, a key or its value."""
        if anchor is not None:
            self._anchors[anchor] = value, size
        if not self._open:
            self._root = value
            return
        within = self._open[-1][0]
        if isinstance(within, list):
            cast("list[Any]", within).append(value)
        elif self._keys[-1] is None:
            if not isinstance(value, str):
                raise Unreadable(f"has a key that is no text{_line(event)}")
            self._keys[-1] = value
        else:
            cast("dict[str, Any]", within)[self._keys[-1]] = value
            self._keys[-1] = None


def _line(event: Any) -> str:  # noqa: ANN401 (untyped library)
    return f" at line {event.start_mark.line + 1}"


def _scalar(event: Any, text: str) -> Any:  # noqa: ANN401 (untyped library; any JSON value)
    """Give a scalar as JSON has it; only what is written plainly is not a text."""
    if not event.implicit[0]:
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text

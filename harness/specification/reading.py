"""Reading: the text of a specification document as plain data, in bounded time and memory.

Belongs here: JSON and YAML without surprises (no timestamps, no yes and no, no tags),
limits on size, depth and aliases. Does not belong here: what a document says.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import yaml

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 20_000_000
MAX_NODES = 2_000_000
MAX_DEPTH = 200
"""Beyond these no specification is known; the largest published document has 250 kB."""


class Unreadable(ValueError):
    """A document that does not parse, or is beyond all measure; says where."""


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """YAML whose plain scalars are those of JSON, whatever YAML 1.1 makes of them."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def read_document(path: Path) -> Any:  # noqa: ANN401 (any JSON value)
    """Read a JSON or YAML file; raises Unreadable, with the line where there is one."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Unreadable(f"is larger than {MAX_BYTES} bytes")
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8: {error}") from error
    try:
        if path.suffix in (".yaml", ".yml"):
            return _plain(yaml.compose(text, Loader=_Loader))
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


def _refuse(token: str) -> Any:  # noqa: ANN401 (never returns)
    raise Unreadable(f"{token} is not a JSON number")


def _plain(root: yaml.Node | None) -> Any:  # noqa: ANN401 (any JSON value)
    """Turn a node graph into plain data; an alias counts as often as it is used."""
    seen = 0

    def value(node: yaml.Node | None, depth: int) -> Any:  # noqa: ANN401 (any JSON value)
        nonlocal seen
        seen += 1
        if seen > MAX_NODES:
            raise Unreadable("holds too much: aliases of aliases?")
        if depth > MAX_DEPTH:
            raise Unreadable("is nested too deeply, or within itself")
        if isinstance(node, yaml.MappingNode):
            pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
            return {_key(key): value(item, depth + 1) for key, item in pairs}
        if isinstance(node, yaml.SequenceNode):
            return [value(item, depth + 1) for item in cast("list[yaml.Node]", node.value)]
        return _scalar(node)

    return value(root, 0)


def _key(node: yaml.Node) -> str:
    """Give a key as JSON has it: a text, as it is written."""
    if not isinstance(node, yaml.ScalarNode):
        mark = cast("yaml.Mark", node.start_mark)
        raise Unreadable(f"has a key that is no text at line {mark.line + 1}")
    return cast("str", node.value)


def _scalar(node: yaml.Node | None) -> Any:  # noqa: ANN401 (any JSON value)
    if node is None:
        return None
    text = cast("str", node.value)
    kind = cast("str", node.tag).rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return int(text)
    if kind == "float":
        return float(text)
    return text

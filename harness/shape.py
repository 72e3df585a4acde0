"""Shape: a message laid against our JSON Schemas, and what is wrong, in words.

Belongs here: loading the schemas, one compiled validator an action, answer and block,
finding the slots, telling an error. Does not belong here: whose fault it is (rules),
the schemas themselves (the room `schemas`), official specifications.

A message passes a fast sieve first (jsonschema-rs); only what does not pass is looked
at by jsonschema, which says what is wrong and where. A test holds the two to agree.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache, cached_property
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urldefrag, urljoin

import jsonschema_rs
from jsonschema import Draft202012Validator, FormatChecker, exceptions, validators
from referencing import Registry, Resource

from gridwitness.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from importlib.resources.abc import Traversable

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    from gridwitness.dialects.base import Json

BASE = "https://gridwitness.example/schemas/v1/"
VOCABULARY = "https://gridwitness.example/energy/"
"""What the address of every JSON-LD context of ours begins with."""
MOST_SHOWN = 80
MOST_ERRORS = 40
"""No more errors of one value are collected, so that a hostile one costs little."""


@dataclass(frozen=True)
class ShapeError:
    """One place where a value has not the shape it is to have.

    pointer           RFC 6901, into the value that was looked at
    observed, expected
                      what is there and what is to be there, in words
    schema            the $id of the document that asks for it
    keyword           the keyword of JSON Schema that does
    missing           the member that is not there
    """

    pointer: str
    observed: str
    expected: str
    schema: str
    keyword: str
    missing: str = ""

    @property
    def place(self) -> str:
        """The pointer of what is wrong, or of the member that is not there."""
        return f"{self.pointer}/{_token(self.missing)}" if self.missing else self.pointer

    def below(self, pointer: str) -> ShapeError:
        """Give the same error seen from further out."""
        return replace(self, pointer=pointer + self.pointer)


@dataclass(frozen=True)
class Slot:
    """What stands in a slot: the logical name of the slot, the place, and the value."""

    name: str
    pointer: str
    value: dict[str, Json]

    @property
    def block(self) -> str | None:
        """The type of the building block, if it is one of our vocabulary."""
        type_ = self.value.get("@type")
        if isinstance(type_, str) and _is_ours(self.value.get("@context")):
            return type_ if type_ in places_of_blocks() else None
        return None


def _is_ours(context: Json) -> bool:
    """Tell whether a canonical type below a context is a word of ours, not a stranger's."""
    if isinstance(context, str):
        return context.startswith(VOCABULARY)
    if isinstance(context, list):
        return all(_is_ours(one) for one in cast("list[Json]", context))
    return isinstance(context, dict)


@dataclass(frozen=True)
class Shape:
    """What a body looks like to the schemas: its errors, and what stands in its slots.

    action is None when the dialect has none of that name: nothing can be said of it then.
    """

    action: str | None = None
    errors: tuple[ShapeError, ...] = ()
    slots: tuple[Slot, ...] = field(default=(), repr=False)


def shape_of(dialect: str | None, action: str, body: Json) -> Shape:
    """Lay the body of a message against the schema its dialect gives its action."""
    known = known_action(dialect, action)
    if dialect is None or known is None:
        return Shape()
    errors = validator(f"{dialect}/actions.json#/$defs/{known}").errors(body)
    return Shape(known, errors, tuple(slots_in(dialect, body)))


def known_action(dialect: str | None, action: str) -> str | None:
    """Give an action as our schemas call it; None when the dialect has none of that name.

    catalog/publish is catalog_publish; catalog/on_publish is on_catalog_publish.
    """
    if dialect is None:
        return None
    folder, _, last = action.rpartition("/")
    if folder and last.startswith("on_"):
        folder, last = f"on_{folder}", last.removeprefix("on_")
    name = f"{folder}/{last}".replace("/", "_") if folder else last
    return name if name in _actions(dialect) else None


@cache
def _actions(dialect: str) -> frozenset[str]:
    if f"{BASE}{dialect}/actions.json" not in documents():
        return frozenset()
    names = documents()[f"{BASE}{dialect}/actions.json"]["$defs"]
    return frozenset(name for name, schema in names.items() if _is_message(schema))


def _is_message(schema: Mapping[str, Json]) -> bool:
    return "context" in schema.get("required", ())


def slots_in(dialect: str, body: Json) -> Iterator[Slot]:
    """Yield the objects that stand in a dialect's slots, in the order of its table."""
    yield from _slots(body, _slot_tree(dialect), "")


def _slots(value: Json, tree: str | Mapping[str, Any], pointer: str) -> Iterator[Slot]:
    if isinstance(tree, str):
        if isinstance(value, dict):
            yield Slot(tree, pointer, cast("dict[str, Json]", value))
    elif isinstance(value, dict):
        members = cast("dict[str, Json]", value)
        for key, below in tree.items():
            if key in members:
                yield from _slots(members[key], below, f"{pointer}/{key}")
    elif isinstance(value, list) and "*" in tree:
        for index, item in enumerate(cast("list[Json]", value)):
            yield from _slots(item, tree["*"], f"{pointer}/{index}")


@cache
def _table() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_room().joinpath("slots.toml").read_text("utf-8"))


@cache
def _slot_tree(dialect: str) -> dict[str, Any]:
    """Give the table of slots as a tree by members; a leaf is the slot's name."""
    tree: dict[str, Any] = {}
    for path, slot in _table()[dialect].items():
        *way, last = path.split("/")
        node = tree
        for key in way:
            node = node.setdefault(key, {})
        node[last] = slot
    return tree


@cache
def places_of_blocks() -> dict[str, tuple[str, ...]]:
    """Tell in which slots each block of our vocabulary may sit."""
    return {block: tuple(slots) for block, slots in _table()["blocks"].items()}


def _room() -> Traversable:
    return files("gridwitness.schemas")


@cache
def documents() -> dict[str, dict[str, Any]]:
    """Read every schema of ours that speaks of messages, by its $id."""
    found: dict[str, dict[str, Any]] = {}
    for folder in ("order", "contract", "energy"):
        for file in sorted(_room().joinpath(folder).iterdir(), key=lambda file: file.name):
            if file.name.endswith(".json"):
                document = json.loads(file.read_text("utf-8"))
                found[document["$id"]] = document
    return found


@cache
def _registry() -> Registry[Any]:
    resources = ((name, Resource.from_contents(each)) for name, each in documents().items())
    empty: Registry[Any] = Registry()
    return empty.with_resources(resources)


@cache
def _fast_registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry(list(documents().items()))


def _is_integer(_checker: object, value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


_SlowValidator = cast(
    "type[Validator]",
    validators.extend(
        Draft202012Validator,
        type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
    ),
)


@cache
def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, is_right in FORMATS.items():
        checker.checks(name)(_of_texts(is_right))
    return checker


def _of_texts(is_right: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or is_right(value)


@cache
def validator(where: str) -> ShapeValidator:
    """Give the validator of a schema, by its address below our base; compiled once."""
    return ShapeValidator(urljoin(BASE, where))


class ShapeValidator:
    """One schema, compiled twice: to tell quickly that a value is valid, and to tell why not."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def _sieve(self) -> jsonschema_rs.Draft202012Validator:
        return jsonschema_rs.Draft202012Validator(
            {"$ref": self.uri},
            formats=dict(FORMATS),
            validate_formats=True,
            registry=_fast_registry(),
        )

    @cached_property
    def _slow(self) -> Validator:
        return _SlowValidator(
            {"$ref": self.uri}, registry=_registry(), format_checker=_format_checker()
        )

    def passes_sieve(self, value: Json) -> bool:
        """Tell whether the fast validator finds a value valid."""
        try:
            return self._sieve.is_valid(value)
        except ValueError:  # what it cannot take in, such as too deep a nesting
            return False

    def errors(self, value: Json) -> tuple[ShapeError, ...]:
        """Say what is wrong with a value, the most telling first; nothing when it is valid."""
        return () if self.passes_sieve(value) else self.all_errors(value)

    def all_errors(self, value: Json) -> tuple[ShapeError, ...]:
        """Say what is wrong with a value, without asking the sieve."""
        try:
            raw = list(islice(self._slow.iter_errors(value), MOST_ERRORS))
        except RecursionError:
            return (
                ShapeError("", "nested too deeply", "the depth of a message", self.uri, "depth"),
            )
        raw.sort(key=exceptions.relevance, reverse=True)
        told = (_tell(_leaf(error), self.uri) for error in raw)
        once = {(error.place, error.keyword): error for error in told}
        return tuple(once.values())


def _leaf(error: ValidationError) -> ValidationError:
    """Go down to the most telling error below one that only says that no branch fits."""
    return cast("ValidationError", exceptions.best_match([error]))


def _tell(error: ValidationError, root: str) -> ShapeError:
    pointer = "".join(f"/{_token(key)}" for key in error.absolute_path)
    keyword = str(error.validator)
    missing = _missing(error) if keyword == "required" else ""
    observed, expected = _words(error, keyword)
    if keyword == "additionalProperties":
        pointer += f"/{_token(_unknown(error)[0])}"
    return ShapeError(pointer, observed, expected, _document(error, root), keyword, missing)


def _token(key: str | int) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def _missing(error: ValidationError) -> str:
    """Name the member that an error of `required` is about."""
    # Each missing member is an error of its own, told apart by the message alone.
    name = error.message.removesuffix(" is a required property")
    wanted = cast("list[str]", error.validator_value)
    return next((member for member in wanted if repr(member) == name), wanted[0])


def _unknown(error: ValidationError) -> list[str]:
    known = cast("Mapping[str, Any]", error.schema).get("properties", {})
    return [key for key in cast("dict[str, Json]", error.instance) if key not in known]


_KINDS = {
    "object": "an object",
    "array": "an array",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}
_ASKED = {
    "const": "{}",
    "format": "a text in the format {}",
    "pattern": "a text like {}",
}
_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "minItems": "at least this many items:",
    "maxItems": "at most this many items:",
    "minLength": "at least this many characters:",
    "maxLength": "at most this many characters:",
}


def _words(error: ValidationError, keyword: str) -> tuple[str, str]:
    """Say what is there, and what is expected."""
    if keyword == "required":
        return f"no member {_missing(error)}", f"a member {_missing(error)}"
    if keyword == "additionalProperties":
        known = cast("Mapping[str, Any]", error.schema).get("properties", {})
        extra = ", ".join(islice(_unknown(error), 6))
        return f"the unknown member {extra}", f"no members but {', '.join(known)}"
    return _shown(error.instance), _asked(keyword, error.validator_value)


def _asked(keyword: str, asked: Any) -> str:  # noqa: ANN401 (whatever stands in a schema)
    if keyword in _BOUNDS:
        return f"{_BOUNDS[keyword]} {asked}"
    match keyword:
        case "type":
            kinds = [asked] if isinstance(asked, str) else asked
            text = " or ".join(_KINDS[kind] for kind in kinds)
        case "enum":
            text = f"one of {', '.join(map(str, asked))}"
        case "anyOf":
            text = _alternatives(asked)
        case "not":
            text = f"no member {', '.join(asked['required'])}"
        case _:
            text = _ASKED[keyword].format(asked)
    return text


def _alternatives(branches: list[Any]) -> str:
    members = [" and ".join(each.get("required", ())) for each in branches]
    return "a member " + ", or ".join(each for each in members if each)


def _shown(value: Json) -> str:
    """Show a value in short: a text or number as it is, of the rest its kind."""
    match cast("object", value):
        case None | bool():
            shown = json.dumps(value)
        case str():
            shown = repr(value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}...")
        case Decimal():
            shown = f"the number {value:.20g}"
        case int():
            shown = _integer(value)
        case list():
            shown = f"an array of {len(cast('list[Json]', value))}"
        case _:
            members = list(islice(cast("dict[str, Json]", value), 6))
            shown = f"an object with {', '.join(members)}" if members else "an empty object"
    return shown


def _integer(value: int) -> str:
    # A number of very many digits is slow to write out, and Python refuses to.
    return f"the number {value}" if value.bit_length() < 256 else "a huge number"  # noqa: PLR2004


def _document(error: ValidationError, root: str) -> str:
    """Find the $id of the document whose keyword failed, along the references that led to it."""
    # A path through a schema does not name the references it follows.
    current: str = root
    at: dict[Any, Any] = {"$ref": root}
    for step in error.absolute_schema_path:
        while step not in at and "$ref" in at:
            current = urljoin(current, at["$ref"])
            at = _registry().resolver().lookup(current).contents
        inner: Any = at[step]
        at = dict(enumerate(cast("list[Any]", inner))) if isinstance(inner, list) else inner
    return urldefrag(current).url

"""Validation: schemas of the library made ready, and what they find in a JSON value.

Belongs here: rewriting references so that a document stands for itself, compiling,
errors as pointer and sentence. Does not belong here: which schema a message has to
keep (the package's `Specification`), faults of the schemas themselves (faults).

A compiled validator sifts: what it finds valid is valid. What it does not, and what it
cannot compile, is looked at by `jsonschema`, which tells more.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote, urldefrag

import jsonschema
import jsonschema.exceptions
import jsonschema_rs
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from gridwitness.specification.formats import CHECKER, FORMATS
from gridwitness.specification.library import SCHEMA_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.specification.library import Found, Library

ORIGIN = "http://specification.invalid/"
"""Where documents live for the validators; a name that nothing can ever answer to."""

MARK = "x-gridwitness-unresolved"
"""What a reference that leads nowhere is replaced by carries this, and why."""

NAMES = ("properties", "patternProperties", "$defs", "definitions", "schemas", "dependentSchemas")
"""Members whose own members are named by the document, and hold a schema each."""

NOT_SCHEMAS = ("example", "examples", "enum", "const", "default")
"""Members of a schema that hold values, whatever these look like."""

UNJUDGED, UNRESOLVED = "unjudged", "unresolved"
"""Keywords of errors that tell of the specification: nothing, or not all, can be said by it."""

MOST_ERRORS = 50
LARGEST = 1.7976931348623157e308
MOST_SHOWN = 80


@dataclass(frozen=True)
class SchemaError:
    """What is wrong in a value: where (JSON Pointer), why, and which keyword said so."""

    pointer: str
    sentence: str
    keyword: str


@dataclass(frozen=True)
class Reference:
    """A `$ref`: where it stands, what it says, and what it leads to.

    fault tells why it leads nowhere; target is the document it leads to otherwise, and
    how it was found (see library.Found).
    """

    pointer: str
    text: str
    target: str | None
    fragment: str
    fault: str
    how: str = "nowhere"


class Schemas:
    """The schemas of a library, ready to validate with."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._ready: dict[str, Any] = {}
        self._leads: dict[str, set[str]] = {}
        self._validators: dict[tuple[str, str], tuple[Any, Any]] = {}

    # -- documents

    def references(self, file: str) -> Iterator[Reference]:
        """Yield every `$ref` of a document, as it is published."""
        for pointer, schema in walk_schemas(self._library.document(file)):
            text = schema.get("$ref")
            if isinstance(text, str):
                yield self.reference(file, pointer, text)

    def reference(self, file: str, pointer: str, text: str) -> Reference:
        """Follow the `$ref` that stands at a pointer of a document."""
        url, fragment = urldefrag(text)
        first: Reference | None = None
        for name in SCHEMA_FILES:  # where the address names no file, one has what is meant
            one = self._followed(
                pointer, text, self._library.resolve(url, file, (name,), note=False), fragment
            )
            if one.target is not None:
                self._library.unresolved.pop(text, None)
                return one
            first = first or one
        if first is None:
            raise AssertionError("there are files to try")
        self._library.unresolved[text] = first.fault
        return first

    def _followed(self, pointer: str, text: str, found: Found, fragment: str) -> Reference:
        if found.file is None:
            return Reference(pointer, text, None, fragment, self._library.why(found))
        document = self._library.document(found.file)
        if found.file in self._library.broken:
            fault = f"{found.file} {self._library.broken[found.file]}"
            return Reference(pointer, text, None, fragment, fault)
        place = _pointer_of(document, fragment)
        if place is None:
            fault = f"there is nothing at #{fragment} in {found.file}"
            return Reference(pointer, text, None, fragment, fault)
        return Reference(pointer, text, found.file, place, "", found.how)

    def ready(self, file: str) -> Any:  # noqa: ANN401 (any JSON value)
        """Give a document with every reference rewritten, and without ids of its own."""
        if file not in self._ready:
            self._leads[file] = set()
            self._ready[file] = self._rewritten(file, self._library.document(file), "")
        return self._ready[file]

    def _rewritten(self, file: str, node: Any, key: str) -> Any:  # noqa: ANN401 (any JSON value)
        if isinstance(node, list):
            return [self._rewritten(file, item, "") for item in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        members = cast("dict[str, Any]", node)
        if key in NAMES:
            return {name: self._rewritten(file, item, "") for name, item in members.items()}
        fresh = {
            name: item if name in NOT_SCHEMAS else self._rewritten(file, item, name)
            for name, item in members.items()
            if name not in ("$id", "$anchor", "example", "examples") or not _is_schema(members)
        }
        text = members.get("$ref")
        if isinstance(text, str):
            reference = self.reference(file, "", text)
            if reference.target is None:
                del fresh["$ref"]
                nothing: dict[str, Any] = {"not": {}, MARK: f"{text}: {reference.fault}"}
                all_of: Any = fresh.get("allOf", [])
                fresh["allOf"] = [*(all_of if isinstance(all_of, list) else []), nothing]
            else:
                self._leads[file].add(reference.target)
                fresh["$ref"] = uri(reference.target, reference.fragment)
        return fresh

    def _together(self, file: str) -> dict[str, Any]:
        """Give a document and all that it leads to, by the address each has for a validator."""
        pending, seen = [file], set[str]()
        while pending:
            one = pending.pop()
            if one not in seen:
                seen.add(one)
                self.ready(one)
                pending += self._leads[one]
        return {uri(one, ""): self._ready[one] for one in sorted(seen)}

    # -- values

    def errors(self, file: str, pointer: str, value: Any) -> list[SchemaError]:  # noqa: ANN401
        """Give what is wrong in a value by the schema at a pointer; the most telling first."""
        sieve, validator = self._validator(file, pointer)
        try:
            if sieve is not None and sieve.is_valid(value):
                return []
        except (ValueError, TypeError):  # beyond what it can hold; the other one decides
            pass
        try:
            found: list[Any] = list(islice(validator.iter_errors(value), MOST_ERRORS))
        except RecursionError:
            return [SchemaError("", "is nested too deeply to be judged", UNJUDGED)]
        except Exception as error:  # noqa: BLE001 (a schema that is none fails in any way)
            what = f"{error.__class__.__name__}: {error}"[:MOST_SHOWN]
            return [SchemaError("", f"cannot be judged, its schema is none ({what})", UNJUDGED)]
        return sorted((_telling(error) for error in found), key=_rank)

    def _validator(self, file: str, pointer: str) -> tuple[Any, Any]:
        key = (file, pointer)
        if key not in self._validators:
            schema = {"$ref": uri(file, pointer)}
            documents = self._together(file)
            try:
                sieve: Any = jsonschema_rs.Draft202012Validator(
                    schema,
                    formats=cast("Any", FORMATS),
                    validate_formats=True,
                    registry=jsonschema_rs.Registry(list(documents.items())),
                )
            except Exception:  # noqa: BLE001 (published schemas fail to compile in many ways)
                sieve = None
            registry: Any = Registry[Any]().with_resources(
                (address, Resource(document, DRAFT202012))
                for address, document in documents.items()
            )
            validator = jsonschema.Draft202012Validator(
                schema, registry=registry, format_checker=CHECKER
            )
            self._validators[key] = sieve, validator
        return self._validators[key]


def uri(file: str, pointer: str) -> str:
    """Write the place of a schema as a URI."""
    return f"{ORIGIN}{quote(os.fsencode(file))}" + (f"#{quote(pointer)}" if pointer else "")


def walk_schemas(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 (any JSON)
    """Yield every object of a document that is not a mere value, with its pointer."""
    pending: list[tuple[str, str, Any]] = [("", "", document)]
    while pending:
        pointer, key, node = pending.pop()
        if isinstance(node, list):
            items = list(enumerate(cast("list[Any]", node)))
            pending += [(f"{pointer}/{index}", "", item) for index, item in reversed(items)]
        elif isinstance(node, dict):
            members = cast("dict[str, Any]", node)
            if key not in NAMES:
                yield pointer, members
            inner = [
                (f"{pointer}/{escape(name)}", "" if key in NAMES else name, item)
                for name, item in members.items()
                if key in NAMES or name not in NOT_SCHEMAS
            ]
            pending += reversed(inner)


def _is_schema(members: dict[str, Any]) -> bool:
    """Tell a schema from an OpenAPI object that has members of the same names."""
    return "schema" not in members and "paths" not in members


def escape(token: str) -> str:
    """Write a member's name as a token of a JSON Pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def at(document: Any, pointer: str) -> Any:  # noqa: ANN401 (any JSON value)
    """Give what stands at a JSON Pointer; raises LookupError when nothing does."""
    node = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = cast("dict[str, Any]", node)[name]
        elif isinstance(node, list) and name.isdecimal():
            node = cast("list[Any]", node)[int(name)]
        else:
            raise LookupError(pointer)
    return node


def _pointer_of(document: Any, fragment: str) -> str | None:  # noqa: ANN401 (any JSON value)
    """Read a fragment as the pointer it stands for; None when there is nothing there."""
    fragment = unquote(fragment)
    if fragment and not fragment.startswith("/"):
        for pointer, schema in walk_schemas(document):
            if schema.get("$anchor") == fragment:
                return pointer
        return None
    try:
        at(document, fragment)
    except LookupError:
        return None
    return fragment


def plain(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Give a parsed body with the numbers a validator knows; a Decimal becomes a float."""
    if isinstance(value, Decimal):
        return max(-LARGEST, min(float(value), LARGEST))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [plain(item) for item in cast("list[Any]", value)]
    return value


_ORDER = ("type", "additionalProperties", "required", "const", "enum")


def _rank(error: SchemaError) -> tuple[int, int, str]:
    """Order errors: what kind of value it is, then what it has, then how a text is written."""
    place = _ORDER.index(error.keyword) if error.keyword in _ORDER else len(_ORDER)
    if error.keyword in (UNJUDGED, UNRESOLVED):
        place = len(_ORDER) + 1
    return place, error.pointer.count("/"), error.pointer


def _telling(error: Any) -> SchemaError:  # noqa: ANN401 (untyped library)
    """Tell an error in one sentence; of a choice, what is wrong in the nearest branch."""
    if error.context:
        nearest: Any = cast("Any", jsonschema.exceptions).best_match([error])
        error = nearest or error
    if not isinstance(error.schema, dict):  # the schema false
        return SchemaError(_pointer(error), "is not allowed here", "false")
    pointer = _pointer(error)
    keyword = UNRESOLVED if MARK in error.schema else str(error.validator)
    return SchemaError(pointer, _sentence(error), keyword)


def _pointer(error: Any) -> str:  # noqa: ANN401 (untyped library)
    return "".join(f"/{escape(str(part))}" for part in error.absolute_path)


def _sentence(error: Any) -> str:  # noqa: ANN401, PLR0911 (untyped; one sentence a keyword)
    instance: Any = error.instance
    keyword, wanted = str(error.validator), error.validator_value
    if MARK in error.schema:
        return f"cannot be judged: {error.schema[MARK]}"
    if keyword == "required":
        missing = [name for name in wanted if name not in instance]
        return f"lacks {', '.join(missing)}"
    if keyword in ("additionalProperties", "unevaluatedProperties"):
        unknown = re.findall(r"'([^']*)' ?(?:,|was|were)", str(error.message))
        return f"has {', '.join(unknown) or 'a member'}, which its schema does not know"
    if keyword == "type":
        return f"is {_shown(instance)}, not of type {wanted}"
    if keyword in ("enum", "const"):
        return f"is {_shown(instance)}, not {_shown(wanted)}"
    if keyword == "format":
        return f"is {_shown(instance)}, which is no {wanted}"
    return f"{str(error.message)[: 2 * MOST_SHOWN]} ({keyword})"


def _shown(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."

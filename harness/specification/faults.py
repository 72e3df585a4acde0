"""Faults: what is wrong with the documents of a specification itself, by named codes.

Belongs here: the codes, the walk over documents, what a schema says that it cannot
mean. Does not belong here: contexts (context_faults), messages, rules.

A fault of a specification is nobody's nonconformance: it tells why a verdict by that
specification may be worth less than it seems.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import jsonschema

from gridwitness.specification.context_faults import context_faults
from gridwitness.specification.fault import CODES, Fault
from gridwitness.specification.library import operations_by_action
from gridwitness.specification.validation import at, escape, walk_schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridwitness.specification.library import Library
    from gridwitness.specification.validation import Schemas

__all__ = ["CODES", "Fault", "count", "find_faults"]

KEYWORDS = frozenset(
    {
        "$ref", "$dynamicRef", "type", "enum", "const", "properties", "patternProperties",
        "additionalProperties", "unevaluatedProperties", "required", "items", "prefixItems",
        "contains", "allOf", "anyOf", "oneOf", "not", "if", "minimum", "maximum", "minLength",
        "maxLength", "pattern", "minItems", "maxItems", "minProperties", "maxProperties",
        "propertyNames", "dependentSchemas", "dependentRequired", "exclusiveMinimum",
        "exclusiveMaximum", "multipleOf", "uniqueItems", "unevaluatedItems",
    }
)  # fmt: skip
"""The keywords by which a schema can refuse anything."""

PROBES: tuple[dict[str, Any], ...] = (
    {"context": {}, "message": "gridwitness"},
    {"context": {}, "message": {"gridwitness": True}},
)
"""Messages that say nothing at all."""


def find_faults(
    library: Library, schemas: Schemas, documents: Iterable[str] | None = None
) -> list[Fault]:
    """Find the faults of some documents, of all when none are named, by document and code."""
    chosen = set(documents) if documents is not None else {*library.schemas, *library.contexts}
    found: list[Fault] = []
    for file in sorted(chosen):
        if library.document(file) is None:
            reason = library.broken.get(file, "is empty")
            found.append(Fault("SPF-01", file, "", reason))
        elif file in library.contexts:
            found += context_faults(library, file)
        else:
            found += schema_faults(library, schemas, file)
    return sorted(set(found), key=lambda fault: (fault.document, fault.code, fault.pointer))


def count(faults: Iterable[Fault]) -> dict[str, int]:
    """Count faults by code, in the order of the codes."""
    return dict(sorted(Counter(fault.code for fault in faults).items()))


def schema_faults(library: Library, schemas: Schemas, file: str) -> Iterator[Fault]:
    """Yield what is wrong with one OpenAPI document, attribute pack or JSON Schema."""
    document: Any = library.document(file)
    yield from _references(library, schemas, file)
    yield from _metaschema(document, file)
    yield from _closed_slots(library, schemas, file)
    for pointer, schema in walk_schemas(document):
        for code, where, sentence in _cannot_mean(library, schemas, file, schema):
            yield Fault(code, file, pointer + where, sentence)
    yield from _operations(schemas, document, file)


# -- references


def _references(library: Library, schemas: Schemas, file: str) -> Iterator[Fault]:
    for reference in schemas.references(file):
        if reference.fault:
            what = f"{reference.text}: {reference.fault}"
            yield Fault("SPF-02", file, reference.pointer, what)
        elif reference.how == "alike" and "://" not in reference.text:
            what = f"{reference.text} leads nowhere as it is written; {reference.target} was read"
            yield Fault("SPF-02", file, reference.pointer, what)
        elif reference.target is not None and "#" not in reference.text:
            target: Any = library.document(reference.target)
            if isinstance(target, dict) and not KEYWORDS & cast("dict[str, Any]", target).keys():
                what = f"{reference.text} is a whole document without a keyword: anything is valid"
                yield Fault("SPF-06", file, reference.pointer, what)


# -- the metaschema


@cache
def _meta() -> Any:  # noqa: ANN401 (untyped library)
    return jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA)


def _metaschema(document: Any, file: str) -> Iterator[Fault]:  # noqa: ANN401 (any JSON value)
    for pointer in _schema_places(document):
        for error in _meta().iter_errors(at(document, pointer)):
            if error.context:  # of `$dynamicRef`s the innermost tells
                continue
            inner = "".join(f"/{escape(str(part))}" for part in error.absolute_path)
            yield Fault("SPF-03", file, pointer + inner, str(error.message)[:160])


def _schema_places(document: Any) -> Iterator[str]:  # noqa: ANN401 (any JSON value)
    """Give where whole schemas stand: components, the schema of a body, or the root."""
    if not isinstance(document, dict) or "openapi" not in document:
        yield ""
        return
    for pointer, node in walk_schemas(cast("dict[str, Any]", document)):
        if pointer.startswith("/components/schemas/") and pointer.count("/") == 3:  # noqa: PLR2004
            yield pointer
        elif isinstance(node.get("schema"), dict) and not pointer.startswith("/components/schemas"):
            yield f"{pointer}/schema"


# -- what cannot mean what was intended


def _closed_slots(library: Library, schemas: Schemas, file: str) -> Iterator[Fault]:
    """Find what adapters only accept because they take @context and @type away first."""
    if not file.endswith("attributes.yaml"):
        return
    for pointer, schema in _whole_schemas(library.document(file)):
        slot = _followed(library, schemas, file, schema)
        branches: Any = slot.get("allOf")
        parts = [schema, slot, *(cast("list[Any]", branches) if isinstance(branches, list) else [])]
        if not any(_is_linked(part) for part in parts):
            continue
        closed = [part for part in parts if _is_closed(part)]
        lacking = [
            key for key in ("@context", "@type") if any(key not in _properties(p) for p in closed)
        ]
        if lacking:
            what = f"is closed and does not list {' and '.join(lacking)}: no slot is valid"
            yield Fault("SPF-04", file, pointer, what)


def _whole_schemas(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401
    """Yield the components of a pack, or its one schema where it is no OpenAPI document."""
    try:
        components: Any = at(document, "/components/schemas")
    except LookupError:
        yield "", document
        return
    for name, schema in cast("dict[str, Any]", components).items():
        if isinstance(schema, dict):
            yield f"/components/schemas/{escape(name)}", cast("dict[str, Any]", schema)


def _is_linked(schema: Any) -> bool:  # noqa: ANN401 (any JSON value)
    """Tell whether a schema declares a context or a type of its own."""
    note: Any = cast("dict[str, Any]", schema).get("x-jsonld") if isinstance(schema, dict) else None
    return isinstance(note, dict) and ("@context" in note or "@type" in note)


def _is_closed(schema: Any) -> bool:  # noqa: ANN401 (any JSON value)
    return (
        isinstance(schema, dict)
        and cast("dict[str, Any]", schema).get("additionalProperties") is False
    )


def _properties(schema: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON value)
    found: Any = (
        cast("dict[str, Any]", schema).get("properties") if isinstance(schema, dict) else None
    )
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _required(schema: dict[str, Any]) -> list[str]:
    found: Any = schema.get("required")
    return (
        [n for n in cast("list[Any]", found) if isinstance(n, str)]
        if isinstance(found, list)
        else []
    )


def _cannot_mean(
    library: Library, schemas: Schemas, file: str, schema: dict[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """Yield code, place and sentence of what one schema says and cannot mean."""
    if _is_closed(schema) and "patternProperties" not in schema:
        missing = [name for name in _required(schema) if name not in _properties(schema)]
        if missing:
            yield "SPF-05", "/required", f"requires {', '.join(missing)}, which it does not allow"
    branches: Any = schema.get("allOf")
    if isinstance(branches, list):
        yield from _closed_branches(library, schemas, file, schema)
    if schema.get("nullable") is True:
        yield (
            "SPF-07",
            "/nullable",
            "says nullable, which OpenAPI 3.1 does not know: null is refused",
        )
    for keyword in ("anyOf", "oneOf"):
        choices: Any = schema.get(keyword)
        for index, choice in enumerate(
            cast("list[Any]", choices) if isinstance(choices, list) else []
        ):
            if choice in ({}, {"required": []}):
                yield "SPF-17", f"/{keyword}/{index}", "is a branch that accepts anything"
    if isinstance(schema.get("$ref"), str) and _required(schema):
        yield from _beside_reference(library, schemas, file, schema)
    yield from _pinned(schema)


def _pinned(schema: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    pinned: Any = _properties(schema).get("@context")
    if isinstance(pinned, dict):
        wanted: Any = cast("dict[str, Any]", pinned)
        listed: Any = wanted.get("enum")
        values: list[Any] = cast("list[Any]", listed) if isinstance(listed, list) else []
        if any("/refs/heads/" in str(value) for value in [wanted.get("const"), *values]):
            yield "SPF-20", "/properties/@context", "allows the URL of one moving branch only"


def _spoken_of(schema: dict[str, Any]) -> set[str]:
    """Give the properties of a schema and of the choices it leaves."""
    found = set(_properties(schema))
    for keyword in ("anyOf", "oneOf"):
        choices: Any = schema.get(keyword)
        for choice in cast("list[Any]", choices) if isinstance(choices, list) else []:
            found |= _properties(choice).keys()
    return found


def _closed_branches(
    library: Library, schemas: Schemas, file: str, schema: dict[str, Any]
) -> Iterator[tuple[str, str, str]]:
    branches = [
        _followed(library, schemas, file, branch) for branch in cast("list[Any]", schema["allOf"])
    ]
    everywhere = set(_properties(schema)).union(*map(_spoken_of, branches))
    own = _properties(schema).keys()
    if _is_closed(schema) and everywhere - own:
        refused = ", ".join(sorted(everywhere - own)[:4])
        yield "SPF-05", "/additionalProperties", f"is closed: {refused} of its branches is refused"
    for index, branch in enumerate(branches):
        foreign = sorted(everywhere - _properties(branch).keys())
        unknown = any(not other for other in branches)  # a branch that nobody can read
        if _is_closed(branch) and (foreign or unknown):
            refused = ", ".join(foreign[:4]) or "whatever is said"
            yield "SPF-05", f"/allOf/{index}", f"is closed: {refused} of the others is refused"


def _followed(library: Library, schemas: Schemas, file: str, schema: Any) -> dict[str, Any]:  # noqa: ANN401
    """Give a schema, or the one its reference leads to."""
    if not isinstance(schema, dict):
        return {}
    members = cast("dict[str, Any]", schema)
    text = members.get("$ref")
    if not isinstance(text, str):
        return members
    reference = schemas.reference(file, "", text)
    if reference.target is None:
        return {}
    found: Any = at(library.document(reference.target), reference.fragment)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _beside_reference(
    library: Library, schemas: Schemas, file: str, schema: dict[str, Any]
) -> Iterator[tuple[str, str, str]]:
    target = _followed(library, schemas, file, {"$ref": schema["$ref"]})
    known = {*_properties(target), *_properties(schema)}
    missing = [name for name in _required(schema) if name not in known]
    if known and missing:
        what = f"requires {', '.join(missing)}, which {schema['$ref']} does not define"
        yield "SPF-18", "/required", what


# -- operations of an API


def _operations(schemas: Schemas, document: Any, file: str) -> Iterator[Fault]:  # noqa: ANN401
    for path, method in dict.fromkeys(operations_by_action(document).values()):
        pointer = f"/paths/{escape(path)}/{method}/requestBody"
        if method in ("get", "head"):
            yield Fault("SPF-15", file, pointer, f"is the body of a {method.upper()} request")
        body = f"{pointer}/content/application~1json"
        try:
            media: Any = at(document, body)
        except LookupError:
            continue
        if not isinstance(media, dict) or "schema" not in media:
            continue
        if any(not schemas.errors(file, f"{body}/schema", probe) for probe in PROBES):
            yield Fault("SPF-16", file, f"{body}/schema", "accepts a message that says nothing")
        yield from _examples(schemas, document, file, body)


def _examples(schemas: Schemas, document: Any, file: str, body: str) -> Iterator[Fault]:  # noqa: ANN401
    examples: Any = cast("dict[str, Any]", at(document, body)).get("examples")
    for name, example in cast("dict[str, Any]", examples or {}).items():
        where = f"{body}/examples/{escape(name)}"
        if not isinstance(example, dict):
            continue
        text = cast("dict[str, Any]", example).get("$ref")
        if isinstance(text, str) and text.startswith("#/"):
            where = text.removeprefix("#")
        try:
            value: Any = at(document, f"{where}/value")
        except LookupError:
            continue
        errors = schemas.errors(file, f"{body}/schema", value)
        if errors:
            what = f"is no valid example: {errors[0].pointer} {errors[0].sentence}"
            yield Fault("SPF-19", file, f"{where}/value", what)

"""Faults of contexts: what a JSON-LD 1.1 processor refuses, or reads as something else.

Belongs here: what can be said of a context by looking at it and at the schema beside
it. Does not belong here: expanding anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from gridwitness.specification.fault import Fault
from gridwitness.specification.validation import escape, walk_schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.specification.library import Library

_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
CONTEXT_KEYWORDS = frozenset(
    {
        "@base",
        "@direction",
        "@import",
        "@language",
        "@propagate",
        "@protected",
        "@version",
        "@vocab",
    }
)
DELIMITERS = tuple(":/?#[]@")
"""JSON-LD 1.1, 4.1.5: a simple term is a prefix when its IRI ends in one of these."""


def context_faults(library: Library, file: str) -> Iterator[Fault]:
    """Yield what is wrong with one context document."""
    document: Any = library.document(file)
    if not isinstance(document, dict) or "@context" not in document:
        yield Fault("SPF-01", file, "", "has no @context")
        return
    context: Any = cast("dict[str, Any]", document)["@context"]
    for pointer, definitions in _definitions(context, "/@context"):
        yield from _of_definitions(file, pointer, definitions)
    yield from _includes(library, file, context)
    yield from _beside_schema(library, file, context)


def _definitions(context: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401
    """Yield each object of term definitions, those of scoped contexts included."""
    pending: list[tuple[str, Any]] = [(pointer, context)]
    while pending:
        place, node = pending.pop()
        if isinstance(node, list):
            pending += [(f"{place}/{i}", item) for i, item in enumerate(cast("list[Any]", node))]
        elif isinstance(node, dict):
            members = cast("dict[str, Any]", node)
            yield place, members
            pending += [
                (f"{place}/{escape(term)}/@context", cast("dict[str, Any]", meaning)["@context"])
                for term, meaning in members.items()
                if isinstance(meaning, dict) and "@context" in meaning
            ]


def _iri(meaning: Any) -> str | None:  # noqa: ANN401 (any JSON value)
    """Give what a term is mapped to."""
    if isinstance(meaning, dict):
        meaning = cast("dict[str, Any]", meaning).get("@id")
    return meaning if isinstance(meaning, str) else None


def _of_definitions(file: str, pointer: str, terms: dict[str, Any]) -> Iterator[Fault]:
    for term, meaning in terms.items():
        place = f"{pointer}/{escape(term)}"
        iri = _iri(meaning)
        if term.startswith("@"):
            if term not in CONTEXT_KEYWORDS and not _is_type_container(term, meaning):
                yield Fault("SPF-09", file, place, f"defines {term}, a keyword, as a term")
        elif iri is not None:
            yield from _of_term(file, place, term, iri, terms)
    for prefix, meaning in terms.items():
        if isinstance(meaning, str) and not meaning.startswith("@") and _IRI.match(meaning):
            used = any(
                (_iri(other) or "").startswith(f"{prefix}:") or term.startswith(f"{prefix}:")
                for term, other in terms.items()
            )
            if used and not meaning.endswith(DELIMITERS) and not _expands(meaning, terms):
                what = f"{prefix} stands for {meaning}, which is no prefix: it ends in no delimiter"
                yield Fault("SPF-10", file, f"{pointer}/{escape(prefix)}", what)


def _is_type_container(term: str, meaning: Any) -> bool:  # noqa: ANN401 (any JSON value)
    return (
        term == "@type"
        and isinstance(meaning, dict)
        and cast("dict[str, Any]", meaning).keys() <= {"@container", "@protected"}
    )


def _expands(iri: str, terms: dict[str, Any]) -> bool:
    """Tell whether an IRI is itself written with a prefix of these terms."""
    prefix = iri.partition(":")[0]
    return prefix in terms and not iri.startswith(f"{prefix}://")


def _of_term(file: str, place: str, term: str, iri: str, terms: dict[str, Any]) -> Iterator[Fault]:
    if iri.startswith(("./", "../", "#", "/")):
        yield Fault("SPF-08", file, place, f"{term} is mapped to the relative IRI {iri}")
    elif "|" in iri or " " in iri:
        yield Fault("SPF-14", file, place, f"{term} is mapped to {iri}, which is no IRI")
    elif (":" in term[1:-1] or "/" in term) and _expanded(term, terms) != _expanded(iri, terms):
        yield Fault("SPF-14", file, place, f"{term} looks like an IRI and is mapped to {iri}")


def _expanded(text: str, terms: dict[str, Any]) -> str:
    prefix, colon, rest = text.partition(":")
    known = _iri(terms.get(prefix)) if colon and not rest.startswith("//") else None
    return f"{known}{rest}" if known is not None else text


# -- what a context includes


def _included(context: Any, pointer: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Yield each URL that a context includes or imports, with its place."""
    if isinstance(context, str):
        yield pointer, context
    elif isinstance(context, list):
        for index, item in enumerate(cast("list[Any]", context)):
            yield from _included(item, f"{pointer}/{index}")
    elif isinstance(context, dict):
        members = cast("dict[str, Any]", context)
        if isinstance(members.get("@import"), str):
            yield f"{pointer}/@import", members["@import"]
        for term, meaning in members.items():
            if isinstance(meaning, dict) and "@context" in meaning:
                inner: Any = cast("dict[str, Any]", meaning)["@context"]
                yield from _included(inner, f"{pointer}/{escape(term)}/@context")


def _includes(library: Library, file: str, context: Any) -> Iterator[Fault]:  # noqa: ANN401
    for pointer, url in _included(context, "/@context"):
        found = library.resolve(url, file, ("context.jsonld",))
        if found.file is None or (found.how == "alike" and "://" not in url):
            yield Fault("SPF-12", file, pointer, f"includes {url}: {library.why(found)}")
        elif _leads_to(library, found.file, file):
            yield Fault("SPF-11", file, pointer, f"includes {url}, which includes this context")


def _leads_to(library: Library, start: str, goal: str) -> bool:
    """Tell whether one context includes another, itself or through others."""
    pending, seen = [start], set[str]()
    while pending:
        file = pending.pop()
        if file == goal:
            return True
        if file in seen:
            continue
        seen.add(file)
        document: Any = library.document(file)
        if isinstance(document, dict):
            context: Any = cast("dict[str, Any]", document).get("@context")
            for _, url in _included(context, ""):
                found = library.resolve(url, file, ("context.jsonld",)).file
                pending += [found] if found else []
    return False


# -- against the schema beside it


def _beside_schema(library: Library, file: str, context: Any) -> Iterator[Fault]:  # noqa: ANN401
    schema_file = f"{file.rpartition('/')[0]}/attributes.yaml".lstrip("/")
    if schema_file not in library.names or library.document(schema_file) is None:
        return
    terms: dict[str, Any] = {}
    for _, definitions in _definitions(context, ""):
        terms |= definitions
    enumerations, properties = _declared(library.document(schema_file))
    for term, meaning in terms.items():
        kind: Any = (
            cast("dict[str, Any]", meaning).get("@type") if isinstance(meaning, dict) else None
        )
        if kind == "@id" and term in enumerations:
            what = f"{term} takes enumerated texts and reads them as relative IRIs"
            yield Fault("SPF-13", file, f"/@context/{escape(term)}", what)
    if "@vocab" in terms or any(True for _ in _included(context, "")):
        return  # what it does not define itself may be defined elsewhere
    for name in sorted(properties - terms.keys()):
        if ":" not in name and not name.startswith("@"):
            yield Fault("SPF-21", file, "/@context", f"has no term for the property {name}")


def _declared(document: Any) -> tuple[set[str], set[str]]:  # noqa: ANN401 (any JSON value)
    """Give the properties of a schema that are enumerations, and all of them."""
    enumerations: set[str] = set()
    properties: set[str] = set()
    for _, schema in walk_schemas(document):
        members: Any = schema.get("properties")
        if not isinstance(members, dict):
            continue
        for name, inner in cast("dict[str, Any]", members).items():
            properties.add(name)
            if isinstance(inner, dict) and _is_enumeration(cast("dict[str, Any]", inner)):
                enumerations.add(name)
    return enumerations, properties


def _is_enumeration(schema: dict[str, Any]) -> bool:
    items: Any = schema.get("items")
    inner = cast("dict[str, Any]", items) if isinstance(items, dict) else schema
    values: Any = inner.get("enum")
    return isinstance(values, list) and any(
        isinstance(value, str) and ":" not in value for value in cast("list[Any]", values)
    )

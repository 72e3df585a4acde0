"""A specification laid beside: the official documents, as an operator has them on disk.

Belongs here: what a message, a slot or a context has to look like by them. Does not
belong here: our own schemas, rules (rules/specification), the network.

reading      one document as plain data, bounded
addresses    which URL stands for which folders, as data
library      the files, and how references find them
validation   schemas made ready, errors as sentences
faults       what is wrong with the specification itself
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gridwitness.errors import UserError
from gridwitness.specification.faults import Fault, find_faults
from gridwitness.specification.library import (
    SCHEMA_FILES,
    Library,
    operations_by_action,
)
from gridwitness.specification.validation import (
    UNJUDGED,
    UNRESOLVED,
    SchemaError,
    Schemas,
    at,
    escape,
    plain,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    Part = Literal["api", "packs"]

__all__ = [
    "Fault",
    "SchemaError",
    "Specification",
    "faults_of_the_value",
    "read_specification",
    "references",
    "slots",
]

MOST_CONTEXTS = 20
"""An object has one context, or a few."""

MOST_SLOTS = 1_000
"""A message holds a few slots; of one that holds more, so many are judged."""


class Specification:
    """A specification laid beside. Documents are read when a message needs them."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._schemas = Schemas(library)
        self._bodies: dict[tuple[str, str], str | None] = {}
        self._components: dict[tuple[str, str], tuple[str, str] | str] = {}
        self._homes: dict[str, str | None] = {}

    @property
    def name(self) -> str:
        """The name of the file or folder; never where it lies."""
        return os.fsencode(self.library.path.resolve().name).decode(errors="replace")

    @property
    def digest(self) -> str:
        return self.library.digest

    @property
    def label(self) -> str:
        """Name and digest, as a trace tells it."""
        return f"{self.name} sha256:{self.digest}"

    def parts(self, dialect: str) -> frozenset[Part]:
        """What it holds for a dialect: API documents, attribute packs.

        What has API documents of another dialect only says nothing of this one.
        """
        if any(self.library.apis.values()) and not self.library.apis.get(dialect):
            return frozenset()
        found: set[Part] = set()
        if self.library.apis.get(dialect):
            found.add("api")
        if self.library.contexts:
            found.add("packs")
        return frozenset(found)

    @property
    def holds_contexts(self) -> bool:
        """Whether it says anything of contexts: one with API documents alone does not."""
        return bool(self.library.contexts)

    @property
    def read(self) -> tuple[str, ...]:
        """The documents that were read so far."""
        return tuple(sorted(self.library.read))

    @property
    def unresolved(self) -> dict[str, str]:
        """References that led nowhere so far, each with the reason."""
        return dict(sorted(self.library.unresolved.items()))

    def faults(self, documents: tuple[str, ...] | None = None) -> list[Fault]:
        """Find what is wrong with the specification itself: in all of it, or in some documents."""
        return find_faults(self.library, self._schemas, documents)

    # -- messages

    def message_errors(self, dialect: str, action: str, body: Any) -> list[SchemaError]:  # noqa: ANN401
        """Give what is wrong in a message by the request body of its action."""
        file, missing = self._api(dialect, body)
        if file is None:
            return [SchemaError("", missing, UNJUDGED)]
        pointer = self._body(file, action)
        if pointer is None:
            what = f"is an action {action!r} that {file} does not have"
            return [SchemaError("/context/action", what, "enum")]
        return self._errors(file, pointer, body)

    def _api(self, dialect: str, body: Any) -> tuple[str | None, str]:  # noqa: ANN401
        """Choose the API document of a message: by the core context it names, or the default."""
        for url in _core_contexts(body):
            if url not in self._homes and len(self._homes) < MOST_SLOTS:
                found = self.library.resolve(url, missing=("context.jsonld",)).file
                self._homes[url] = self.library.api_beside(found) if found else None
            home = self._homes.get(url)
            if home is not None and home in self.library.apis[dialect]:
                return home, ""
        found = self.library.api_for(dialect)
        if found.file is not None:
            return found.file, ""
        reason = self.library.why(found)
        self.library.unresolved[f"the API document of dialect {dialect}"] = reason
        return None, f"cannot be judged: {reason}"

    def _body(self, file: str, action: str) -> str | None:
        key = (file, action)
        if key not in self._bodies:
            if len(self._bodies) > MOST_SLOTS:
                self._bodies.clear()
            self._bodies[key] = self._find_body(file, action)
        return self._bodies[key]

    def _find_body(self, file: str, action: str) -> str | None:
        document = self.library.document(file)
        operation = operations_by_action(document).get(action)
        if operation is None:
            return None
        pointer = f"/paths/{escape(operation[0])}/{operation[1]}/requestBody"
        inner: Any = at(document, pointer)
        if isinstance(inner, dict) and isinstance(cast("dict[str, Any]", inner).get("$ref"), str):
            pointer = cast("dict[str, str]", inner)["$ref"].removeprefix("#")
        pointer += "/content/application~1json/schema"
        try:
            at(document, pointer)
        except LookupError:
            return None
        return pointer

    def _errors(self, file: str, pointer: str, value: Any) -> list[SchemaError]:  # noqa: ANN401
        try:
            return self._schemas.errors(file, pointer, plain(value))
        except RecursionError:
            return [SchemaError("", "is nested too deeply to be judged", UNJUDGED)]

    # -- slots

    def slot_errors(self, slot: dict[str, Any]) -> list[SchemaError] | None:
        """Give what is wrong in an object with @context and @type by its attribute pack.

        None when no pack of its context is laid beside: then nothing can be said. The
        object is valid as it stands, or without its two members, as adapters read it.
        """
        pack = self._pack(slot)
        if pack is None:
            return None
        name = _type_of(slot)
        place = self._component(pack, name)
        if isinstance(place, str):
            broken = pack in self.library.broken
            return [SchemaError("/@type", place, UNJUDGED if broken else "component")]
        as_it_is = self._errors(*place, slot)
        if not as_it_is:
            return []
        bare = {key: value for key, value in slot.items() if key not in ("@context", "@type")}
        without = self._errors(*place, bare)
        return without and min(without, as_it_is, key=len)

    def _pack(self, slot: dict[str, Any]) -> str | None:
        """Find the schema document beside the first context that has one."""
        for url in context_urls(slot):
            context = self.library.resolve(url, missing=("context.jsonld",)).file
            names = (
                [f"{context.rpartition('/')[0]}/{n}".lstrip("/") for n in SCHEMA_FILES]
                if context
                else []
            )
            beside = next((name for name in names if name in self.library.names), None)
            if beside is None and context is None:
                beside = self._pack_without_context(url)
            if beside is not None:
                return beside
        return None

    def _pack_without_context(self, url: str) -> str | None:
        stem = url.removesuffix("/context.jsonld").removesuffix("/")
        for name in SCHEMA_FILES:
            found = self.library.resolve(f"{stem}/{name}", note=False).file
            if found is not None:
                return found
        return None

    def _component(self, file: str, name: str) -> tuple[str, str] | str:
        key = (file, name)
        if key not in self._components:
            if len(self._components) > MOST_SLOTS:
                self._components.clear()
            self._components[key] = self._find_component(file, name)
        return self._components[key]

    def _find_component(self, file: str, name: str) -> tuple[str, str] | str:
        """Find a component by its name, by the @type it declares, or by its bare name."""
        document = self.library.document(file)
        if document is None:
            return f"cannot be judged: {file} {self.library.broken.get(file, 'is empty')}"
        pointer, components = _components(document)
        declared = {_declared(schema): key for key, schema in components.items()}
        bare = name.rpartition(":")[2]
        for key in (name, declared.get(name), bare, declared.get(bare)):
            if key is not None and key in components:
                return file, f"{pointer}/{escape(key)}"
        if not components and isinstance(document, dict):
            whole = cast("dict[str, Any]", document)
            itself = _declared(whole) or str(whole.get("title") or bare)
            if itself in (name, bare):
                return file, ""
            components = {itself: whole}
        known = ", ".join(components) or "none"
        return f"is {name!r:.80}, which is not among the components of {file}: {known}"

    # -- contexts

    def context_document(self, url: str) -> dict[str, Any] | None:
        """Give the JSON-LD context document of a URL; None when it is not laid beside."""
        file = self.library.resolve(url, missing=("context.jsonld",)).file
        document = self.library.document(file) if file else None
        return cast("dict[str, Any]", document) if isinstance(document, dict) else None

    def reference_fault(self, url: str) -> str | None:
        """Tell why a context or schema that a message refers to is not there; None: it is."""
        found = self.library.resolve(url, missing=("context.jsonld", *SCHEMA_FILES))
        return None if found.file else self.library.why(found)


def read_specification(path: Path | str) -> Specification:
    """Read what lies at a path: an OpenAPI file, or a folder with specifications in it.

    Raises UserError when there is none, or none that parses; a single file must parse.
    """
    try:
        library = Library(Path(path))
        library.path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, endless names
        what = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise UserError(what, where=f"{path!s:.200}", mend="name a file or a folder") from error
    if library.path.is_file():
        library.document(library.files[0])
        if library.broken:
            raise UserError(
                library.broken[library.files[0]], where=str(path), mend="correct the document"
            )
    if not library.is_usable:
        told = [f"{file} {library.broken[file]}" for file in library.unparsed]
        more = f", and {len(told) - 3} more" if len(told) > 3 else ""  # noqa: PLR2004
        raise UserError(
            "holds no specification" + (f": {'; '.join(told[:3])}{more}" if told else ""),
            where=str(path),
            mend="name an OpenAPI file, or a folder with OpenAPI files or attribute packs",
        )
    return Specification(library)


def faults_of_the_value(errors: list[SchemaError]) -> list[SchemaError] | None:
    """Give the errors that are the value's own, not the specification's.

    None when nothing can be said at all. A reference that leads nowhere accepts anything
    here: the specification's `unresolved` tells of it.
    """
    own = [error for error in errors if error.keyword not in (UNJUDGED, UNRESOLVED)]
    unjudged = any(error.keyword == UNJUDGED for error in errors)
    return None if unjudged and not own else own


def slots(body: Any) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 (any JSON value)
    """Yield every object with @context and @type below a message, with its JSON Pointer."""
    for pointer, members in _linked(body):
        if "@type" in members:
            yield pointer, members


def _linked(body: Any) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 (any JSON value)
    """Yield every object with a @context below a message."""
    message = cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else None
    pending: list[tuple[str, Any]] = [("/message", message)]
    found = 0
    while pending and found < MOST_SLOTS:
        pointer, node = pending.pop()
        inner: list[tuple[str, Any]] = []
        if isinstance(node, dict):
            members = cast("dict[str, Any]", node)
            if "@context" in members:
                found += 1
                yield pointer, members
            inner = [
                (f"{pointer}/{escape(key)}", item)
                for key, item in members.items()
                if isinstance(item, dict | list)
            ]
        elif isinstance(node, list):
            inner = [
                (f"{pointer}/{index}", item)
                for index, item in enumerate(cast("list[Any]", node))
                if isinstance(item, dict | list)
            ]
        pending += reversed(inner)


def references(body: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 (any JSON value)
    """Yield every context that a message refers to, once, with the JSON Pointer of the first."""
    context: Any = cast("dict[str, Any]", body).get("context") if isinstance(body, dict) else None
    members = cast("dict[str, Any]", context) if isinstance(context, dict) else {}
    key = "schema_context" if "schema_context" in members else "schemaContext"
    named: Any = members.get(key)
    several: list[Any] = cast("list[Any]", named) if isinstance(named, list) else [named]
    found = [(f"/context/{key}", url) for url in several[:MOST_SLOTS] if isinstance(url, str)]
    seen: set[str] = set()
    for pointer, linked in _linked(body):
        found += [(f"{pointer}/@context", url) for url in context_urls(linked)]
    for pointer, url in found:
        if url not in seen and len(seen) < MOST_SLOTS:
            seen.add(url)
            yield pointer, url


def context_urls(slot: dict[str, Any]) -> list[str]:
    """Give the URLs among an object's contexts."""
    context: Any = slot.get("@context")
    several: list[Any] = cast("list[Any]", context) if isinstance(context, list) else [context]
    return [url for url in several[:MOST_CONTEXTS] if isinstance(url, str)]


def _core_contexts(body: Any) -> Iterator[str]:  # noqa: ANN401 (any JSON value)
    for _, slot in slots(body):
        for url in context_urls(slot):
            if "/core/" in url:
                yield url
                return


def _type_of(slot: dict[str, Any]) -> str:
    kind: Any = slot["@type"]
    kinds: list[Any] = cast("list[Any]", kind) if isinstance(kind, list) else [kind]
    first: Any = kinds[0] if kinds else None
    return first if isinstance(first, str) else f"{first!r:.80}"


def _components(document: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 (any JSON value)
    for pointer in ("/components/schemas", "/$defs", "/definitions"):
        try:
            found: Any = at(document, pointer)
        except LookupError:
            continue
        if isinstance(found, dict):
            return pointer, cast("dict[str, Any]", found)
    return "", {}


def _declared(schema: Any) -> str | None:  # noqa: ANN401 (any JSON value)
    """Give the @type a component declares for itself."""
    note: Any = cast("dict[str, Any]", schema).get("x-jsonld") if isinstance(schema, dict) else None
    kind: Any = cast("dict[str, Any]", note).get("@type") if isinstance(note, dict) else None
    return kind if isinstance(kind, str) else None


@cache
def laid_beside(path: str) -> Specification:
    """Read a specification once a process; see `read_specification`."""
    return read_specification(path)

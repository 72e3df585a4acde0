"""Contexts: what a key means where a JSON-LD context holds, worked out once a context.

Belongs here: PyLD's processing of a context, the table of meanings it gives, and how a
meaning is spelt canonically. Does not belong here: which documents are held
(context_documents), walking a message (meaning), an opinion (rules).

A context is processed by PyLD when it is first met below another; afterwards a key is
looked up in a table.

Source: JSON-LD 1.1 Processing Algorithms and API, sections 4 (context processing) and
5.2 (IRI expansion).
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from pyld.context_resolver import ContextResolver
from pyld.jsonld import JsonLdError, JsonLdProcessor

from gridwitness.context_documents import (
    CORE,
    ENERGY,
    KEYWORDS,
    Flaw,
    iri_of,
    mended,
    one_core,
    shipped,
    too_big,
    unknown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridwitness.context_documents import Documents, Kind
    from gridwitness.dialects.base import Json

SCHEMA_ORG: Final = "https://schema.org/"
MAX_KEYS = 500
"""Keys a table remembers; a message may invent endlessly many."""
MAX_HELD = 250_000
"""Terms and remembered keys of all tables together; they are begun anew when it is reached."""

_SCHEMES = frozenset(("http", "https", "urn", "did", "mailto", "tag", "tel", "geo", "data", "_"))
"""What comes before a colon without being a prefix."""


# -- the canonical spelling ---------------------------------------------------------------

UNPREFIXED = frozenset(
    (
        *("address", "addressCountry", "addressLocality", "addressRegion", "aggregate"),
        *("applicableQuantity", "bbox", "bestRating", "channels", "code", "comments"),
        *("components", "coordinates", "currency", "data", "description", "details"),
        *("eligibleQuantity", "error", "expires_at", "extendedAddress", "feedback"),
        *("feedbackForm", "geo", "geometries", "hours", "max", "maxQuantity"),
        *("message", "mime_type", "min", "minQuantity", "phone", "postalCode"),
        *("received", "streetAddress", "submission_id", "tags", "tl_method"),
        *("trackingAction", "trackingStatus", "type", "unitCode", "unitQuantity"),
        *("unitText", "url", "value", "worstRating"),
    )
)
"""What the core's schema spells without its prefix (Beckn 2.0.0 rc, attributes of the core)."""
Place = str | tuple[str, bool, str]
"""What a context is found by below another: its name or text; or the term that brings it."""


class Spelling(NamedTuple):
    """How a meaning is spelt, and the container its values stand in."""

    word: str
    container: str = ""


@cache
def spellings() -> Mapping[str, Spelling]:
    """Give the canonical spelling of every IRI that our own documents define."""
    known: dict[str, Spelling] = {}
    for value in shipped("core/v2/context.jsonld")["@context"].values():
        iri = iri_of(value)
        if isinstance(iri, str) and iri.startswith(("beckn:", "schema:")):
            _, container = known.get(_absolute(iri), ("", ""))
            own = "" if isinstance(value, str) else value.get("@container", "")
            name = iri.partition(":")[2]
            word = name if iri == f"beckn:{name}" and name in UNPREFIXED else iri
            known[_absolute(iri)] = Spelling(word, container or own)
    for term, value in shipped("energy/v1/context.jsonld")["@context"].items():
        iri = iri_of(value)
        if isinstance(iri, str) and iri.startswith("energy:"):
            own = "" if isinstance(value, str) else value.get("@container", "")
            known[ENERGY + iri.removeprefix("energy:")] = Spelling(term, own)
    return known


def _absolute(compact: str) -> str:
    prefix, _, rest = compact.partition(":")
    return (CORE if prefix == "beckn" else SCHEMA_ORG) + rest


@cache
def _words() -> frozenset[str]:
    return frozenset(spelling.word for spelling in spellings().values())


def _spell(iri: str, key: str) -> Spelling:
    """Spell a meaning; a stranger keeps its key, unless that is a word of ours."""
    known = spellings().get(iri)
    if known is not None:
        return known
    if iri.startswith(CORE):
        return Spelling("beckn:" + iri.removeprefix(CORE))
    if iri.startswith(SCHEMA_ORG):
        return Spelling("schema:" + iri.removeprefix(SCHEMA_ORG))
    if key in _words() or key.startswith(("beckn:", "schema:")):
        return Spelling(iri)
    return Spelling(key)


# -- the table of meanings ----------------------------------------------------------------


class Entry(NamedTuple):
    """What one key means under one context.

    meaning  an IRI or a keyword; empty when there is none
    word     how it is spelt canonically
    plain    nothing to be done: spelt so already, and its values are values
    wraps    its values stand in an array
    maps     its values stand in a map, by name
    keeps_map
             so they do in our own context, or the word is none of ours
    opaque   its value is JSON and has no meaning of its own
    kind     the flaw of using the key
    """

    meaning: str
    word: str
    plain: bool = False
    wraps: bool = False
    maps: bool = False
    keeps_map: bool = False
    opaque: bool = False
    scoped: Any = None
    has_scope: bool = False
    container: tuple[str, ...] = ()
    kind: Kind | None = None
    observed: str = ""


@dataclass(eq=False)
class Active:
    """An active context: a table of meanings, and the contexts met below it.

    is_open: something in it is not held, so a key it does not define may still mean something
    types: the IRIs that a document laid beside defines, and so may be types
    previous: the context to go back to when a type-scoped one ends
    """

    raw: Any
    is_open: bool = False
    types: frozenset[str] = frozenset()
    previous: Active | None = None
    below: dict[Place, Under] = field(default_factory=dict["Place", "Under"])
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    kinds: dict[str, tuple[str, Kind | None]] = field(
        default_factory=dict[str, tuple[str, "Kind | None"]]
    )

    def entry(self, key: str) -> Entry:
        """Look a key up."""
        entry = self.entries.get(key)
        if entry is None:
            if len(self.entries) > MAX_KEYS:
                self.entries.clear()
            entry = self.entries[key] = _look_up(self, key)
        return entry

    def kind_of(self, type_: str) -> tuple[str, Kind | None]:
        """Give a type's canonical spelling, and the flaw of using it."""
        found = self.kinds.get(type_)
        if found is None:
            if len(self.kinds) > MAX_KEYS:
                self.kinds.clear()
            found = self.kinds[type_] = _look_up_type(self, type_)
        return found

    def scope_of_type(self, type_: str) -> Json:
        """Give the context that a type brings with it; None when there is none."""
        mapping = self.raw["mappings"].get(type_)
        return mapping.get("@context") if mapping else None


class Under(NamedTuple):
    """What a context makes of the one above it, and what is wrong with it."""

    active: Active
    flaws: tuple[Flaw, ...]


def _expand(active: Active, key: str) -> str | None:
    """Expand a word by vocabulary; None when it means nothing."""
    raw = active.raw
    if ":" not in key and key[:1] != "@" and key not in raw["mappings"] and "@vocab" not in raw:
        return None
    found = cast("str | None", _PROCESSOR.expand_word(raw, key))
    if found is None or found in KEYWORDS:
        return found
    return found if _is_iri(found) else None


_IRI = re.compile(r"(?:[A-Za-z][A-Za-z0-9+\-.]*|_):\S*")


def _is_iri(text: str) -> bool:
    return bool(_IRI.fullmatch(text))


def _prefix_flaw(active: Active, key: str, expanded: str | None) -> str:
    """Say what is wrong with the prefix of a key; empty when it has none or a good one."""
    mappings = active.raw["mappings"]
    word = (expanded or "") if key in mappings else key
    prefix, colon, rest = word.partition(":")
    if not colon or rest.startswith("//"):
        return ""
    of = f" ({word})" if word != key else ""
    mapping = mappings.get(prefix)
    if mapping and not mapping["_prefix"]:
        return f"{key}{of}: {prefix} is defined, but not as a prefix ({mapping['@id']})"
    if not mapping and expanded == word and prefix not in _SCHEMES:
        return f"{key}{of}: the prefix {prefix} is not defined"
    return ""


def _look_up(active: Active, key: str) -> Entry:
    mapping = active.raw["mappings"].get(key)
    expanded = _expand(active, key)
    prefix = _prefix_flaw(active, key, expanded)
    if expanded in KEYWORDS:
        return Entry(expanded or "", expanded or "", plain=expanded == key == "@id")
    if prefix and not active.is_open:
        return Entry("", key, kind="prefix", observed=prefix)
    if expanded is None or prefix:
        if active.is_open and key not in active.raw["mappings"]:
            return Entry(key, key, plain=True)
        return Entry("", key, kind="lost", observed=f"{key} means nothing in its context")
    iri = one_core(expanded)
    if iri.startswith(ENERGY) and iri not in spellings():
        return Entry("", key, kind="lost", observed=f"{key} is {iri}, which is no word of ours")
    word, canonical = _spell(iri, key)
    container = tuple(mapping.get("@container", ())) if mapping else ()
    opaque = bool(mapping) and mapping.get("@type") == "@json"
    has_scope = bool(mapping) and "@context" in mapping
    maps = any(kind in container for kind in ("@index", "@id", "@type", "@language"))
    return Entry(
        iri,
        word,
        plain=word == key
        and not (opaque or has_scope)
        and "@graph" not in container
        and maps == (canonical == "@index"),
        wraps=canonical in ("@list", "@set"),
        maps=maps,
        keeps_map=canonical == "@index" or iri not in spellings(),
        opaque=opaque,
        scoped=mapping["@context"] if has_scope else None,
        has_scope=has_scope,
        container=container,
    )


def _is_class(iri: str) -> bool:
    """Tell whether an IRI is a class of ours, or of schema.org, whose classes we do not list."""
    name = iri.rpartition("#")[2].rpartition("/")[2]
    return name[:1].isupper() and (iri in spellings() or iri.startswith(SCHEMA_ORG))


def _look_up_type(active: Active, type_: str) -> tuple[str, Kind | None]:
    expanded = _expand(active, type_)
    if expanded is None or expanded in KEYWORDS:
        return type_, None if active.is_open else "type"
    prefix = _prefix_flaw(active, type_, expanded)
    if prefix:
        return type_, None if active.is_open else "prefix"
    iri = one_core(expanded)
    known = _is_class(iri) or expanded in active.types
    word = _spell(iri, type_).word
    return word, None if known or active.is_open else "type"


# -- processing ---------------------------------------------------------------------------


class _Context(dict[str, Any]):
    """A context under construction: what it does not have can be taken away all the same."""

    def __delitem__(self, key: str) -> None:
        self.pop(key, None)


class _Processor(JsonLdProcessor):
    """PyLD, with those of its inner functions that are needed here."""

    def expand_word(self, raw: Json, word: str) -> Json:
        return cast("Any", self)._expand_iri(raw, word, vocab=True)  # noqa: SLF001

    def under(self, raw: Json, local: Json, options: dict[str, Json], **scope: bool) -> Json:
        return cast("Any", self)._process_context(raw, local, options, **scope)  # noqa: SLF001

    def initial(self) -> Json:
        return cast("Any", self)._get_initial_context({"processingMode": "json-ld-1.1"})  # noqa: SLF001

    def _clone_active_context(self, active_ctx: Json) -> Json:
        # A context may clear a default (@vocab: null) that none before it has set.
        return _Context(super()._clone_active_context(active_ctx))  # pyright: ignore[reportUnknownMemberType]


_PASSING = ("_uuid", "previousContext", "processingMode")
"""Members of PyLD's contexts that play no part in what words mean."""
_PROCESSOR = _Processor()
_INITIAL = _PROCESSOR.initial()


class Contexts:
    """Every context met so far, below one another, with its table."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self._root = Active(_INITIAL)
        self.open = Active(_INITIAL, is_open=True)
        """Below a context that is not held or not valid: every word may mean something."""
        self._held = 0
        self._alike: dict[bytes, Active] = {}
        """What contexts amount to, so that one which adds nothing gives what was there."""
        self._lock = threading.Lock()

    @property
    def root(self) -> Active:
        """The context of a message before any is named."""
        return self._root

    def under(self, active: Active, local: Json, name: str | None = None) -> Under:
        """Put a context of a message under the one above it.

        name is the text by which it is remembered, where it is already written.
        """
        if isinstance(local, str):
            return active.below.get(local) or self._put(active, local, local)
        place = ("", False, written(local) if name is None else name)
        found = active.below.get(place)
        if found is None and (problem := too_big(local)):
            return Under(self.open, (problem,))
        return found or self._put(active, place, local)

    def scoped(self, active: Active, local: Json, key: str, *, by_type: bool) -> Active:
        """Put the context that a term brings with it under the one that is in force."""
        place = (key, by_type, written(local))
        found = active.below.get(place)
        if found is None:
            scope = {"propagate": False} if by_type else {"override_protected": True}
            found = self._put(active, place, local, **scope)
        return found.active

    def _put(self, active: Active, place: Place, local: Json, **scope: bool) -> Under:
        with self._lock:
            found = active.below[place] = self._process(active, local, scope)
            self._held += MAX_KEYS + len(found.active.raw["mappings"])
            if self._held > MAX_HELD:
                self._held, self._root = 0, Active(_INITIAL)
                self._alike.clear()
                self.open = Active(_INITIAL, is_open=True)
            return found

    def _process(self, active: Active, local: Json, scope: dict[str, bool]) -> Under:
        if local is False:  # how PyLD keeps a null in a term's definition
            local = None
        flaws: list[Flaw] = []
        parts: list[Json] = cast("list[Json]", local) if isinstance(local, list) else [local]
        if not scope.get("propagate", True):
            # All parts of a type's context end together, so they are processed together.
            parts = [parts if len(parts) > 1 else parts[0]]
        for part in parts:
            active = self._add(active, part, scope, flaws)
        return Under(active, tuple(flaws))

    def _add(
        self, active: Active, local: Json, scope: dict[str, bool], flaws: list[Flaw]
    ) -> Active:
        url, held = "", None
        if isinstance(local, str):
            url, held = local, self.documents.find(local)
            if held is None:
                flaws.append(unknown(url))
                return self.open
            local, found = held.context, held.flaws
        else:
            local, found = mended(local, has_vocabulary="@vocab" in active.raw)
        flaws += found
        missing: list[str] = []
        try:
            raw = _PROCESSOR.under(active.raw, _copy(local), self._options(missing), **scope)
        except Exception as error:  # noqa: BLE001 (PyLD fails in many ways on what is no context)
            flaws.append(unknown(missing[0], url) if missing else _invalid(error, url))
            return self.open
        types = active.types
        if held is not None and not held.is_ours:
            types |= {m["@id"] for m in raw["mappings"].values() if m and m.get("@id")}
        previous = (active.previous or active) if "previousContext" in raw else None
        return self._one(Active(raw, active.is_open and local is not None, types, previous))

    def _one(self, active: Active) -> Active:
        """Give the context there is already that amounts to the same; else this one."""
        members = {key: value for key, value in active.raw.items() if key not in _PASSING}
        amounts_to = (members, active.is_open, sorted(active.types), id(active.previous))
        digest = hashlib.sha256(repr(amounts_to).encode()).digest()
        return self._alike.setdefault(digest, active)

    def _options(self, missing: list[str]) -> dict[str, Any]:
        def load(url: str, _options: Json) -> dict[str, Any]:
            held = self.documents.find(url)
            if held is None:
                missing.append(url)
                raise ValueError(url)
            return {
                "contextUrl": None,
                "documentUrl": url,
                "document": {"@context": _copy(held.context)},
            }

        resolver = ContextResolver({}, load)
        return {
            "base": "",
            "processingMode": "json-ld-1.1",
            "documentLoader": load,
            "contextResolver": resolver,
        }


def _copy(local: Json) -> Json:
    """Copy a context before PyLD writes into it."""
    return json.loads(json.dumps(local))


def written(local: Json) -> str:
    """Write a context as the text it is remembered by; too deep a one is too big anyway."""
    try:
        return repr(local)
    except RecursionError:
        return ""


def _invalid(error: Exception, url: str) -> Flaw:
    code, term = "", ""
    if isinstance(error, JsonLdError):
        details = cast("dict[str, Any]", error.details or {})
        code = str(cast("Any", error).code or "invalid")
        term = str(details.get("term") or details.get("iri") or "")
    elif isinstance(error, RecursionError):
        code = "a definition that never ends"
    else:
        code = "a definition that cannot be processed"
    name = url or "a context in the message"
    observed = f"{name}: {code}{f' ({term})' if term else ''}"
    return Flaw("invalid", observed, "valid JSON-LD 1.1", about=url, in_document=bool(url))

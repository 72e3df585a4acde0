"""JSON-LD contexts: what a key means where a context holds, worked out once a context.

Belongs here: which documents are held, PyLD's processing of a context, the table of
meanings it gives, and the bounds on all of it. Does not belong here: walking a message
(meaning), an opinion (rules), the network: what is not held is not fetched.

A context is processed by PyLD when it is first met; afterwards a key is looked up in a
table. Every name of the published core context is a name of our own document of it.

Source: JSON-LD 1.1 Processing Algorithms and API, sections 4 (context processing) and
5.2 (IRI expansion); beckn/protocol-specifications-v2, schema/core/v2.
"""

from __future__ import annotations

import importlib.resources
import json
import re
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast
from urllib.parse import urljoin, urlsplit

from pyld.context_resolver import ContextResolver
from pyld.jsonld import KEYWORDS, JsonLdError, JsonLdProcessor

from gridwitness.dialects.blocks import CONTEXT
from gridwitness.dialects.order import CORE_CONTEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gridwitness.dialects.base import Json

Kind = Literal["unknown", "invalid", "lost", "type", "prefix"]
"""What can be wrong: a context that is not held, or is no valid one; a key or value that
means nothing; a type that nobody knows; a prefix that is none."""

ENERGY: Final = "https://gridwitness.example/energy/v1/vocabulary.jsonld#"
CORE: Final = CORE_CONTEXT.replace("context.jsonld", "vocab.jsonld#")
SCHEMA_ORG: Final = "https://schema.org/"

MAX_TERMS = 1_000
"""No context that is written into a message needs more members, all levels together."""
MAX_SCOPED = 30
"""Nor more contexts within it: each is processed on top of all terms around it."""
MAX_CONTEXT_TEXT = 100_000
MAX_CONTEXT_DEPTH = 16
MAX_HELD = 1_000
"""Contexts whose tables are held at once; the table is begun anew when it is full."""
MAX_KEYS = 5_000
"""Keys a table remembers; a message may invent endlessly many."""

_CORE_NAME = re.compile(
    r"https?://raw\.githubusercontent\.com/beckn/protocol-specifications(?:-new|-v2)?/"
    r"(?:refs/(?:heads|tags)/|heads/|tags/)?[^/]+/schema/core/v2/context\.jsonld"
)
_CORE_TERM = re.compile(
    r"https?://raw\.githubusercontent\.com/beckn/protocol-specifications(?:-new|-v2)?/"
    r"(?:refs/(?:heads|tags)/|heads/|tags/)?[^/]+/schema/core/v2/(?:vocab|context)\.jsonld#"
)
_KEYWORDS = frozenset(KEYWORDS)
_LIKE_A_KEYWORD = re.compile(r"@[a-zA-Z]+")
_SETTINGS = frozenset(
    ("@base", "@vocab", "@language", "@direction", "@import", "@propagate", "@protected")
)
_SCHEMES = frozenset(("http", "https", "urn", "did", "mailto", "tag", "tel", "geo", "data", "_"))
"""What comes before a colon without being a prefix."""


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a context, or with what a context makes of a message.

    about is the context's address where it is a document, in_document tells whether the
    fault is in the document, which whoever names it cannot mend.
    """

    kind: Kind
    observed: str
    expected: str
    pointer: str = ""
    about: str = ""
    in_document: bool = False


# -- documents --------------------------------------------------------------------------


@cache
def _shipped(path: str) -> Json:
    folder = importlib.resources.files("gridwitness.schemas")
    return json.loads(folder.joinpath(path).read_text("utf-8"))


def shipped_document(url: str) -> Json | None:
    """Give the document of ours that a context's name stands for; None when there is none."""
    if url == CONTEXT:
        return _shipped("energy/v1/context.jsonld")
    if _CORE_NAME.fullmatch(url):
        return _shipped("core/v2/context.jsonld")
    return None


class Held(NamedTuple):
    """A document's context, mended as far as it can be; what had to be mended; whose it is."""

    context: Json
    flaws: tuple[Flaw, ...]
    is_ours: bool


class Documents:
    """The context documents that are held: ours, and those of a specification laid beside.

    more finds a document of that specification by its address, and comes first: its
    publisher says what its words mean.
    """

    def __init__(self, more: Callable[[str], Json | None] | None = None) -> None:
        self._more = more
        self._found: dict[str, Held | None] = {}

    def find(self, url: str) -> Held | None:
        """Give the context at an address; None when no document of it is held."""
        if url not in self._found:
            if len(self._found) > MAX_HELD:
                self._found.clear()
            self._found[url] = self._look_for(url)
        return self._found[url]

    def _look_for(self, url: str) -> Held | None:
        document = self._more(url) if self._more and url != CONTEXT else None
        is_ours = document is None
        if document is None:
            document = shipped_document(url)
        if document is None:
            return None
        if isinstance(document, dict) and "@context" in document:
            document = cast("dict[str, Json]", document)["@context"]
        return Held(*_mended(_plain(document), url), is_ours)


def _plain(value: Json) -> Json:
    """Copy a context with numbers as PyLD wants them, without words reserved for the future."""
    if isinstance(value, dict):
        return {
            key: _plain(item)
            for key, item in cast("dict[str, Json]", value).items()
            if not (_is_reserved(key) or _is_reserved(item))
        }
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Json]", value)]
    return float(value) if isinstance(value, Decimal) else value


def _is_reserved(word: Json) -> bool:
    return isinstance(word, str) and word not in _KEYWORDS and bool(_LIKE_A_KEYWORD.fullmatch(word))


def _mended(
    context: Json, url: str = "", *, has_vocabulary: bool = False
) -> tuple[Json, tuple[Flaw, ...]]:
    """Mend what published contexts get wrong, so that the rest of them can be judged.

    Relative prefixes are read as relative to the document; redefined keywords and terms
    that look like IRIs but stand for others are left out. The version goes, too: 1.1 is
    what is processed anyway, and PyLD cannot import a context that says so. url is empty
    for a context in a message; has_vocabulary tells that a default vocabulary is in force.
    """
    flaws: dict[str, Flaw] = {}

    def flaw(what: str, expected: str) -> None:
        text = f"{url or 'a context in the message'} {what}"
        flaws.setdefault(text, Flaw("invalid", text, expected, about=url, in_document=bool(url)))

    def definition(term: str, value: Json, vocabulary: bool) -> Json:  # noqa: FBT001
        if isinstance(value, str):
            return absolute(term, value, vocabulary)
        if isinstance(value, dict):
            mended = dict(cast("dict[str, Json]", value))
            if isinstance(mended.get("@id"), str):
                mended["@id"] = absolute(term, mended["@id"], vocabulary)
            if "@context" in mended:
                mended["@context"] = walk(mended["@context"], vocabulary)
            return mended
        return value

    def absolute(term: str, iri: str, vocabulary: bool) -> str:  # noqa: FBT001
        if vocabulary or not iri.startswith(("./", "../", "#", "/")):
            return iri
        flaw(f"defines {term} as {iri}", "an absolute IRI")
        return urljoin(url, iri) if url else f"urn:relative:{iri}"

    def walk(local: Json, vocabulary: bool) -> Json:  # noqa: FBT001
        if isinstance(local, list):
            return [walk(item, vocabulary) for item in cast("list[Json]", local)]
        if isinstance(local, str) and url:
            return urljoin(url, local)
        if not isinstance(local, dict):
            return local
        members = cast("dict[str, Json]", local)
        vocabulary = bool(members.get("@vocab", vocabulary))
        mended: dict[str, Json] = {}
        for term, value in members.items():
            if term == "@version":
                if value != 1.1:  # noqa: PLR2004 (the version of JSON-LD)
                    flaw(f"is of version {value}", "version 1.1")
            elif term == "@import" and url and isinstance(value, str):
                mended[term] = urljoin(url, value)
            elif term in _SETTINGS:
                mended[term] = value
            elif term == "@type" and _is_type_container(value):
                mended[term] = value
            elif term in _KEYWORDS:
                flaw(f"redefines {term}", "no definition of a keyword")
            elif url and _stands_for_another(term, value):
                flaw(f"defines {term} as {_iri_of(value)}", "a term without colon and slash")
            else:
                mended[term] = definition(term, value, vocabulary)
        return mended

    return walk(context, has_vocabulary), tuple(flaws.values())


def _is_type_container(value: Json) -> bool:
    return isinstance(value, dict) and set(cast("dict[str, Json]", value)) <= {
        "@container",
        "@protected",
    }


def _iri_of(value: Json) -> Json:
    return cast("dict[str, Json]", value).get("@id") if isinstance(value, dict) else value


def _stands_for_another(term: str, value: Json) -> bool:
    """Tell whether a term that looks like an IRI is given another meaning than that IRI."""
    return ("/" in term or ":" in term[1:]) and _iri_of(value) not in (None, term)


# -- the canonical spelling ---------------------------------------------------------------


class Spelling(NamedTuple):
    """How a meaning is spelt, and the container its values stand in."""

    word: str
    container: str = ""


@cache
def spellings() -> Mapping[str, Spelling]:
    """Give the canonical spelling of every IRI that our own documents define."""
    known: dict[str, Spelling] = {}
    for value in _shipped("core/v2/context.jsonld")["@context"].values():
        iri = _iri_of(value)
        if isinstance(iri, str) and iri.startswith(("beckn:", "schema:")):
            _, container = known.get(_absolute(iri), ("", ""))
            own = "" if isinstance(value, str) else value.get("@container", "")
            known[_absolute(iri)] = Spelling(iri, container or own)
    for term, value in _shipped("energy/v1/context.jsonld")["@context"].items():
        iri = _iri_of(value)
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
    """Spell a meaning; one that is nobody's we know keeps its key, unless that is a word of ours."""
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
    opaque   its value is JSON and has no meaning of its own
    kind     the flaw of using the key
    """

    meaning: str
    word: str
    plain: bool = False
    wraps: bool = False
    maps: bool = False
    opaque: bool = False
    scoped: Any = None
    has_scope: bool = False
    container: tuple[str, ...] = ()
    kind: Kind | None = None
    observed: str = ""


@dataclass(eq=False)
class Active:
    """An active context: a table of meanings, and the contexts met below it.

    open: something in it is not held, so a key it does not define may still mean something
    types: the IRIs that a document laid beside defines, and so may be types
    previous: the context to go back to when a type-scoped one ends
    """

    raw: Any
    is_open: bool = False
    types: frozenset[str] = frozenset()
    previous: Active | None = None
    below: dict[Any, Under] = field(default_factory=dict[Any, "Under"])
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

    def scope_of_type(self, type_: str) -> Any:
        """Give the context that a type brings with it; None when there is none."""
        mapping = self.raw["mappings"].get(type_)
        return mapping.get("@context") if mapping else None


class Under(NamedTuple):
    """What a context makes of the one above it, and what is wrong with it."""

    active: Active
    flaws: tuple[Flaw, ...]


def _expand(active: Active, key: str) -> str | None:
    """Expand a word by vocabulary; None when it means nothing."""
    found = cast("str | None", _PROCESSOR.expand_word(active.raw, key))
    if found is None or found in _KEYWORDS:
        return found
    return found if _is_iri(found) else None


_IRI = re.compile(r"(?:[A-Za-z][A-Za-z0-9+\-.]*|_):\S*")


def _is_iri(text: str) -> bool:
    return bool(_IRI.fullmatch(text))


def _canonical_iri(iri: str) -> str:
    return _CORE_TERM.sub(CORE, iri) if iri.startswith("http") else iri


def _prefix_flaw(active: Active, key: str, expanded: str | None) -> str:
    """Say what is wrong with the prefix of a key; empty when it has none or a good one."""
    prefix, colon, rest = key.partition(":")
    if not colon or key in active.raw["mappings"] or rest.startswith("//"):
        return ""
    mapping = active.raw["mappings"].get(prefix)
    if mapping and mapping["_prefix"]:
        return ""
    if mapping:
        return f"{key}: {prefix} is defined, but not as a prefix ({mapping['@id']})"
    if expanded is not None and expanded == key and prefix not in _SCHEMES:
        return f"{key}: the prefix {prefix} is not defined"
    return ""


def _look_up(active: Active, key: str) -> Entry:
    mapping = active.raw["mappings"].get(key)
    expanded = _expand(active, key)
    prefix = _prefix_flaw(active, key, expanded)
    if expanded in _KEYWORDS:
        return Entry(expanded or "", expanded or "", plain=expanded == key == "@id")
    if prefix and not active.is_open:
        return Entry("", key, kind="prefix", observed=prefix)
    if expanded is None or prefix:
        if active.is_open and key not in active.raw["mappings"]:
            return Entry(key, key, plain=True)
        return Entry("", key, kind="lost", observed=f"{key} means nothing in its context")
    iri = _canonical_iri(expanded)
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
    if expanded is None or expanded in _KEYWORDS:
        return type_, None if active.is_open else "type"
    prefix = _prefix_flaw(active, type_, expanded)
    if prefix:
        return type_, None if active.is_open else "prefix"
    iri = _canonical_iri(expanded)
    known = _is_class(iri) or expanded in active.types
    word = _spell(iri, type_).word
    return word, None if known or active.is_open else "type"


# -- processing ---------------------------------------------------------------------------


class _Context(dict[str, Any]):
    """A context under construction: what it does not have can be taken away all the same."""

    def __delitem__(self, key: str) -> None:
        self.pop(key, None)


class _Processor(JsonLdProcessor):
    """PyLD, with the two of its inner functions that this module needs."""

    def expand_word(self, raw: Any, word: str) -> Any:
        return cast("Any", self)._expand_iri(raw, word, vocab=True)  # noqa: SLF001

    def under(self, raw: Any, local: Json, options: dict[str, Any], **scope: bool) -> Any:
        return cast("Any", self)._process_context(raw, local, options, **scope)  # noqa: SLF001

    def _clone_active_context(self, active_ctx: Any) -> Any:
        # A context may clear a default (@vocab: null) that none before it has set.
        return _Context(super()._clone_active_context(active_ctx))  # pyright: ignore


_PROCESSOR = _Processor()
_INITIAL: Any = cast("Any", _PROCESSOR)._get_initial_context({"processingMode": "json-ld-1.1"})


class Contexts:
    """Every context met so far, below one another, with its table."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self._root = Active(_INITIAL)
        self.open = Active(_INITIAL, is_open=True)
        """Below a context that is not held or not valid: every word may mean something."""
        self._held = 0
        self._lock = threading.Lock()

    @property
    def root(self) -> Active:
        """The context of a message before any is named."""
        return self._root

    def known(self, active: Active, local: Json) -> Under | None:
        """Give what a context makes of the one above it, if it was met before."""
        return active.below.get(local if isinstance(local, str) else written(local))

    def under(self, active: Active, local: Json) -> Under:
        """Put a context of a message under the one above it."""
        key = local if isinstance(local, str) else written(local)
        return active.below.get(key) or self._put(active, key, local)

    def scoped(self, active: Active, local: Json, key: str, *, by_type: bool) -> Active:
        """Put the context that a term brings with it under the one that is in force."""
        place = (key, by_type, written(local))
        found = active.below.get(place)
        if found is None:
            scope = {"propagate": False} if by_type else {"override_protected": True}
            found = self._put(active, place, local, **scope)
        return found.active

    def _put(self, active: Active, key: Any, local: Json, **scope: bool) -> Under:
        with self._lock:
            self._held += 1
            if self._held > MAX_HELD:
                self._held, self._root = 0, Active(_INITIAL)
                self.open.below.clear()
            found = active.below[key] = self._process(active, local, scope)
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
            local, mended = held.context, held.flaws
        elif problem := too_big(local):
            flaws.append(problem)
            return self.open
        else:
            local, mended = _mended(_plain(local), has_vocabulary="@vocab" in active.raw)
        flaws += mended
        missing: list[str] = []
        try:
            raw = _PROCESSOR.under(active.raw, _copy(local), self._options(missing), **scope)
        except (JsonLdError, RecursionError, ValueError, TypeError, KeyError) as error:
            flaws.append(unknown(missing[0]) if missing else _invalid(error, url))
            return self.open
        types = active.types
        if held is not None and not held.is_ours:
            types |= {m["@id"] for m in raw["mappings"].values() if m and m.get("@id")}
        previous = (active.previous or active) if "previousContext" in raw else None
        return Active(raw, active.is_open and local is not None, types, previous)

    def _options(self, missing: list[str]) -> dict[str, Any]:
        def load(url: str, _options: Any) -> dict[str, Any]:
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
    """Write a context as the key it is remembered by."""
    return json.dumps(local, sort_keys=True, default=str)


def unknown(url: str) -> Flaw:
    return Flaw(
        "unknown",
        f"{url}, of which there is no document here",
        "a context of the protocol or of a specification laid beside; none is fetched",
        about=url,
    )


def _invalid(error: Exception, url: str) -> Flaw:
    code, term = "", ""
    if isinstance(error, JsonLdError):
        details = cast("dict[str, Any]", error.details or {})
        code, term = str(error.code or error), str(details.get("term") or details.get("iri") or "")
    elif isinstance(error, RecursionError):
        code = "a definition that never ends"
    else:
        code = "a definition that cannot be processed"
    name = url or "a context in the message"
    observed = f"{name}: {code}{f' ({term})' if term else ''}"
    return Flaw("invalid", observed, "valid JSON-LD 1.1", about=url, in_document=bool(url))


def too_big(local: Json) -> Flaw | None:
    """Say why a context in a message is too big to be processed; None when it is not."""
    members = scoped = text = 0
    levels: list[Json] = [local]
    for _ in range(MAX_CONTEXT_DEPTH):
        below: list[Json] = []
        for item in levels:
            if isinstance(item, dict):
                inner = cast("dict[str, Json]", item)
                members += len(inner)
                scoped += "@context" in inner
                text += sum(map(len, inner))
                below += inner.values()
            elif isinstance(item, list):
                members += len(cast("list[Json]", item))
                below += cast("list[Json]", item)
            elif isinstance(item, str):
                text += len(item)
        levels = below
        if members > MAX_TERMS or scoped > MAX_SCOPED or text > MAX_CONTEXT_TEXT or not below:
            break
    for size, most, what in (
        (members, MAX_TERMS, "members"),
        (scoped, MAX_SCOPED, "contexts within it"),
        (text, MAX_CONTEXT_TEXT, "characters"),
    ):
        if size > most:
            expected = f"at most {most} {what}"
            return Flaw("invalid", f"a context of the message has {size} {what}", expected)
    if levels:
        expected = f"at most {MAX_CONTEXT_DEPTH} levels"
        return Flaw("invalid", "a context of the message is nested without end", expected)
    return None


def is_published(url: str) -> bool:
    """Tell whether an address is one at which the protocol's own documents are published."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.hostname in ("schema.nfh.global", "schema.beckn.io", "schema.org") or (
        parts.hostname == "raw.githubusercontent.com" and parts.path.startswith("/beckn/")
    )

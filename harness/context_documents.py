"""Context documents: which are held here, and what is wrong with them as they stand.

Belongs here: finding a document by its address, mending what published ones get wrong,
the bounds on what a message may bring with it. Does not belong here: what a context
means (contexts), the network: what is not held is not fetched.

Every published name of the core context is a name of our own document of it.

Source: JSON-LD 1.1 Processing Algorithms and API, section 4 (context processing);
beckn/protocol-specifications-v2, schema/core/v2.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast
from urllib.parse import urljoin, urlsplit

from pyld.jsonld import KEYWORDS as _KEYWORDS

from gridwitness.dialects.blocks import CONTEXT
from gridwitness.dialects.order import CORE_CONTEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.dialects.base import Json

Kind = Literal["unknown", "invalid", "lost", "type", "prefix"]
"""What can be wrong: a context that is not held, or is no valid one; a key or value that
means nothing; a type that nobody knows; a prefix that is none."""

KEYWORDS: Final = frozenset(_KEYWORDS)
ENERGY: Final = "https://gridwitness.example/energy/v1/vocabulary.jsonld#"
CORE: Final = CORE_CONTEXT.replace("context.jsonld", "vocab.jsonld#")

MAX_TERMS = 500
"""No context that is written into a message needs more members, all levels together."""
MAX_SCOPED = 30
"""Nor more contexts within it: each is processed on top of all terms around it."""
MAX_CHARACTERS = 50_000
MAX_LEVELS = 16
MAX_CHAIN = 20
"""Terms of a context in a message that are defined one by the next; circles are longer."""
MAX_HELD = 1_000
"""Addresses that are remembered at once; a message may invent endlessly many."""

_CORE = (
    r"https?://raw\.githubusercontent\.com/beckn/protocol-specifications(?:-new|-v2)?/"
    r"(?:refs/(?:heads|tags)/|heads/|tags/)?[^/]+/schema/core/v2/"
)
_CORE_DOCUMENT = re.compile(_CORE + r"context\.jsonld")
_CORE_TERM = re.compile(_CORE + r"(?:vocab|context)\.jsonld#")
_LIKE_A_KEYWORD = re.compile(r"@[a-zA-Z]+")
_SETTINGS = frozenset(
    ("@base", "@vocab", "@language", "@direction", "@import", "@propagate", "@protected")
)
_LATEST = 1.1


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a context, or with what a context makes of a message.

    about is the context's address where it is a document; in_document tells whether the
    fault is in the document, which whoever names it cannot mend.
    """

    kind: Kind
    observed: str
    expected: str
    pointer: str = ""
    about: str = ""
    in_document: bool = False


def unknown(url: str, named_in: str = "") -> Flaw:
    """Say that a context is not held; another document may be where it is named."""
    return Flaw(
        "unknown",
        f"{url}, of which there is no document here" + (f", named in {named_in}" * bool(named_in)),
        "a context of the protocol or of a specification laid beside; none is fetched",
        about=url,
        in_document=bool(named_in),
    )


@cache
def shipped(path: str) -> Json:
    """Read a document of ours."""
    folder = importlib.resources.files("gridwitness.schemas")
    return json.loads(folder.joinpath(path).read_text("utf-8"))


def shipped_document(url: str) -> Json | None:
    """Give the document of ours that a context's name stands for; None when there is none."""
    if url == CONTEXT:
        return shipped("energy/v1/context.jsonld")
    if _CORE_DOCUMENT.fullmatch(url):
        return shipped("core/v2/context.jsonld")
    return None


def one_core(iri: str) -> str:
    """Give an IRI of the core vocabulary as our document spells it; any other as it is."""
    return _CORE_TERM.sub(CORE, iri) if iri.startswith("http") else iri


def is_published(url: str) -> bool:
    """Tell whether an address is one at which the protocol's own documents are published."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.hostname in ("schema.nfh.global", "schema.beckn.io", "schema.org") or (
        parts.hostname == "raw.githubusercontent.com" and parts.path.startswith("/beckn/")
    )


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
        return Held(*mended(document, url), is_ours)


# -- mending ------------------------------------------------------------------------------


def mended(
    context: Json, url: str = "", *, has_vocabulary: bool = False
) -> tuple[Json, tuple[Flaw, ...]]:
    """Mend what published contexts get wrong, so that the rest of them can be judged.

    Relative prefixes are read as relative to the document; redefined keywords and terms
    that look like IRIs but stand for others are left out. url is empty for a context in
    a message; has_vocabulary tells that a default vocabulary is in force around it.
    Gives a copy, and what had to be mended.
    """
    mender = _Mender(url)
    return mender.local(_plain(context), has_vocabulary), tuple(mender.flaws.values())


def _plain(value: Json) -> Json:
    """Copy a context with numbers as PyLD wants them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, Json]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Json]", value)]
    return float(value) if isinstance(value, Decimal) else value


def _is_reserved(word: Json) -> bool:
    """Tell whether a word is reserved for the future; until then it means nothing."""
    return isinstance(word, str) and word not in KEYWORDS and bool(_LIKE_A_KEYWORD.fullmatch(word))


class _Mender:
    """Goes through one document and notes each thing it mends once."""

    def __init__(self, url: str) -> None:
        self.flaws: dict[str, Flaw] = {}
        self._url = url

    def local(self, local: Json, vocabulary: bool) -> Json:  # noqa: FBT001 (see mended)
        """Mend a context, and those within it."""
        if isinstance(local, list):
            return [self.local(item, vocabulary) for item in cast("list[Json]", local)]
        if isinstance(local, str) and self._url:
            return urljoin(self._url, local)
        if not isinstance(local, dict):
            return local
        members = cast("dict[str, Json]", local)
        vocabulary = bool(members.get("@vocab", vocabulary))
        result: dict[str, Json] = {}
        for term, value in members.items():
            if term in KEYWORDS and not (term == "@type" and _is_type_container(value)):
                self._setting(term, value, result)
            elif _is_reserved(term) or _is_reserved(iri_of(value)):
                continue
            elif self._url and _stands_for_another(term, value):
                self._flaw(f"defines {term} as {iri_of(value)}", "a term that is no other IRI")
            else:
                result[term] = self._definition(term, value, vocabulary)
        return result

    def _setting(self, term: str, value: Json, result: dict[str, Json]) -> None:
        # 1.1 is what is processed anyway, and PyLD cannot import a context that says so.
        if term == "@version":
            if value != _LATEST:
                self._flaw(f"is of version {value}", "version 1.1")
        elif term in _SETTINGS:
            is_address = term == "@import" and self._url and isinstance(value, str)
            result[term] = urljoin(self._url, value) if is_address else value
        else:
            self._flaw(f"redefines {term}", "no definition of a keyword")

    def _definition(self, term: str, value: Json, vocabulary: bool) -> Json:  # noqa: FBT001
        if not isinstance(value, dict):
            return self._absolute(term, value, vocabulary)
        result = dict(cast("dict[str, Json]", value))
        if "@id" in result:
            result["@id"] = self._absolute(term, result["@id"], vocabulary)
        if "@context" in result:
            result["@context"] = self.local(result["@context"], vocabulary)
        return result

    def _absolute(self, term: str, iri: Json, vocabulary: bool) -> Json:  # noqa: FBT001
        if vocabulary or not isinstance(iri, str) or not iri.startswith(("./", "../", "#", "/")):
            return iri
        self._flaw(f"defines {term} as {iri}", "an absolute IRI")
        if not self._url:
            return f"urn:relative:{iri}"
        whole = urljoin(self._url, iri)  # which leaves an empty fragment out
        return whole + "#" if iri.endswith("#") else whole

    def _flaw(self, what: str, expected: str) -> None:
        text = f"{self._url or 'a context in the message'} {what}"
        flaw = Flaw("invalid", text, expected, about=self._url, in_document=bool(self._url))
        self.flaws.setdefault(text, flaw)


def _is_type_container(value: Json) -> bool:
    allowed = {"@container", "@protected"}
    return isinstance(value, dict) and set(cast("dict[str, Json]", value)) <= allowed


def iri_of(definition: Json) -> Json:
    """Give what a term is defined as."""
    if isinstance(definition, dict):
        return cast("dict[str, Json]", definition).get("@id")
    return definition


def _stands_for_another(term: str, value: Json) -> bool:
    """Tell whether a term that looks like an IRI is given a meaning of its own."""
    looks_like_iri = "/" in term or ":" in term[1:]
    return looks_like_iri and iri_of(value) not in (None, term)


def _longest_chain(members: dict[str, Json]) -> int:
    """Count the terms that are defined one by the next, as far as matters."""
    longest = 0
    for term in members:
        length, at = 0, term
        while length <= MAX_CHAIN:
            iri = iri_of(members[at])
            if not isinstance(iri, str):
                break
            following = iri if iri in members else iri.partition(":")[0]
            if following not in members or following == at:
                break
            length, at = length + 1, following
        longest = max(longest, length)
    return longest


_BOUNDS = {
    "members": MAX_TERMS,
    "contexts within it": MAX_SCOPED,
    "characters": MAX_CHARACTERS,
    "terms that are defined by one another": MAX_CHAIN,
}


def _count(members: dict[str, Json], counted: dict[str, int]) -> None:
    counted["members"] += len(members)
    counted["contexts within it"] += "@context" in members
    counted["characters"] += sum(map(len, members))
    if counted["members"] <= MAX_TERMS:
        chain = "terms that are defined by one another"
        counted[chain] = max(counted[chain], _longest_chain(members))


def too_big(local: Json) -> Flaw | None:
    """Say why a context in a message is too big to be processed; None when it is not."""
    if isinstance(local, str):
        return None
    counted = dict.fromkeys(_BOUNDS, 0)
    level: list[Json] = [local]
    for _ in range(MAX_LEVELS):
        below: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                members = cast("dict[str, Json]", item)
                _count(members, counted)
                below += members.values()
            elif isinstance(item, list):
                counted["members"] += len(cast("list[Json]", item))
                below += cast("list[Json]", item)
            elif isinstance(item, str):
                counted["characters"] += len(item)
        for what, most in _BOUNDS.items():
            if counted[what] > most:
                observed = f"a context of the message has more than {most} {what}"
                return Flaw("invalid", observed, f"at most {most} {what}")
        level = below
    if level:
        expected = f"at most {MAX_LEVELS} levels"
        return Flaw("invalid", "a context of the message is nested without end", expected)
    return None

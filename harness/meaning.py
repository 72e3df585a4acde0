"""Meaning: what a message says by JSON-LD, whatever its sender calls things.

Belongs here: one walk over a body that finds every context, looks every key up, and
gives the canonical body: the same message as our own contexts spell it, from which the
views are read. Does not belong here: contexts themselves (contexts), an opinion (rules).

A body that is spelt canonically already is given back as it is; that is the hot path.
A key that means nothing is not in the canonical body, so nobody can read it; below a
context that is not held every key keeps its spelling, for want of anything better.

Source: JSON-LD 1.1 Processing Algorithms and API, section 5.1 (expansion).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from gridwitness.context_documents import Documents, Flaw
from gridwitness.contexts import Contexts, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridwitness.context_documents import Kind
    from gridwitness.contexts import Active, Entry
    from gridwitness.dialects.base import Json

MAX_DEPTH = 100
"""Levels below which nothing is looked up; no message of the protocol has a fifth of them."""
MAX_OWN_CONTEXTS = 30
MAX_OWN_CHARACTERS = 100_000
"""Different contexts a message may bring with it, and their text together: each term of
them takes PyLD some 50 microseconds."""
MAX_NESTINGS = 200
"""Different nestings of contexts in a message, each of which has a table of its own."""
MAX_FLAWS = 10
"""Of each kind in a message; the rest repeats them."""


@dataclass(frozen=True)
class Meaning:
    """What a message means.

    body      the canonical body; the body itself where it is spelt so
    pointers  where a member of the canonical body stands in the message, where that differs
    flaws     what does not mean anything, or not what it should; at most MAX_FLAWS a kind
    has_context
              whether the message names any context below `message`
    """

    body: Json
    pointers: Mapping[str, str] = field(default_factory=dict[str, str])
    flaws: tuple[Flaw, ...] = ()
    has_context: bool = False

    def raw_pointer(self, pointer: str) -> str:
        """Translate a JSON Pointer into the canonical body to one into the message."""
        if not self.pointers:
            return pointer
        end = len(pointer)
        while end > 0:
            found = self.pointers.get(pointer[:end])
            if found is not None:
                return found + pointer[end:]
            end = pointer.rfind("/", 0, end)
        return pointer


class Reader:
    """Reads messages by the documents that are held."""

    def __init__(self, documents: Documents) -> None:
        self._contexts = Contexts(documents)

    def read(self, body: Json) -> Meaning:
        """Read a parsed body; whatever it holds, this gives an answer."""
        message: Json = None
        if isinstance(body, dict):
            message = cast("dict[str, Json]", body).get("message")
        if not isinstance(message, dict):
            return Meaning(body)
        message = cast("dict[str, Json]", message)
        glance = _Glance(self._contexts)
        if glance.at_message(message):
            return Meaning(body, has_context=bool(glance.seen))
        walk = _Walk(self._contexts)
        canonical = walk.message(message)
        flaws = tuple(walk.flaws.values())
        has_context = bool(walk.seen or walk.flaws)
        return Meaning(body | {"message": canonical}, walk.pointers, flaws, has_context)


class _Glance:
    """The hot path: tells whether all is spelt canonically, and gives up at the first doubt."""

    def __init__(self, contexts: Contexts) -> None:
        self.seen: set[tuple[int, str]] = set()
        self._contexts = contexts

    def at_message(self, message: dict[str, Json]) -> bool:
        active = None
        if "@context" in message:
            active = self._under(self._contexts.root, message["@context"])
            if active is None:
                return False
        return all(
            self._at(value, active, 1) for key, value in message.items() if key != "@context"
        )

    def _under(self, active: Active, local: Json) -> Active | None:
        if type(local) is not str:
            return None
        self.seen.add((id(active), local))
        if len(self.seen) > MAX_NESTINGS:
            return None
        under = active.below.get(local) or self._contexts.under(active, local)
        return None if under.flaws else under.active

    def _at(self, value: Json, active: Active | None, depth: int) -> bool:
        kind = value.__class__
        if kind is dict:
            return self._at_object(value, active, depth + 1)
        if kind is list:
            depth += 1
            for item in value:
                kind = item.__class__
                if kind is dict:
                    if not self._at_object(item, active, depth):
                        return False
                elif kind is list and not (depth < MAX_DEPTH and self._at(item, active, depth)):
                    return False
        return True

    def _at_object(self, members: dict[str, Json], active: Active | None, depth: int) -> bool:  # noqa: C901, PLR0911, PLR0912 (one pass, for speed)
        if depth > MAX_DEPTH:
            return False
        if "@context" in members:
            active = self._under(active or self._contexts.root, members["@context"])
            if active is None:
                return False
        if active is None:
            for value in members.values():
                kind = value.__class__
                if (kind is dict or kind is list) and not self._at(value, None, depth):
                    return False
            return True
        entries = active.entries
        for key, value in members.items():
            entry = entries.get(key) or active.entry(key)
            if entry.plain:
                kind = value.__class__
                if kind is dict:
                    if entry.wraps:
                        return False
                    if entry.maps:
                        if not self._at(list(value.values()), active, depth):
                            return False
                    elif not self._at_object(value, active, depth + 1):
                        return False
                elif kind is list:
                    if entry.maps or not self._at(value, active, depth):
                        return False
                elif entry.wraps and value is not None:
                    return False
            elif key == "@type":
                if not self._is_known(value, active):
                    return False
            elif key != "@context":
                return False
        return True

    @staticmethod
    def _is_known(type_: Json, active: Active) -> bool:
        if type(type_) is not str:
            return False
        word, flaw = active.kinds.get(type_) or active.kind_of(type_)
        return flaw is None and word == type_ and active.scope_of_type(type_) is None


_ABSENT: Any = object()
"""What a value leaves that means nothing."""


class _Spot(NamedTuple):
    """A place: where it stands in the message, where in the canonical body, how deep.

    whole is where an array stands of which this is to be the one item.
    """

    there: str
    here: str
    depth: int = 0
    whole: str = ""

    def member(self, key: str, word: str | None = None) -> _Spot:
        here = self.here + "/" + _token(key if word is None else word)
        return _Spot(f"{self.there}/{_token(key)}", here, self.depth + 1)

    def item(self, index: int, own_index: int) -> _Spot:
        return _Spot(f"{self.there}/{index}", f"{self.here}/{own_index}", self.depth + 1)


class _Walk:
    """The thorough path: builds the canonical body and remembers where things stood."""

    def __init__(self, contexts: Contexts) -> None:
        self.flaws: dict[tuple[str, str], Flaw] = {}
        self.pointers: dict[str, str] = {}
        self._contexts = contexts
        self.seen: set[tuple[int, str]] = set()
        self._own: set[str] = set()
        self._characters = 0
        self._noted: Counter[Kind] = Counter()

    def message(self, message: dict[str, Json]) -> Json:
        """Give the canonical form of `message`, whose own keys are the protocol's."""
        spot = _Spot("/message", "/message")
        active = None
        if "@context" in message:
            active = self._under(self._contexts.root, message["@context"], spot)
        return {
            key: value if key == "@context" else self._bare(value, active, spot.member(key))
            for key, value in message.items()
        }

    def _bare(self, value: Json, active: Active | None, spot: _Spot) -> Json:
        """Look for contexts where none is in force; keys are as they are."""
        if self._is_too_deep(spot):
            return value
        if isinstance(value, list):
            items = enumerate(cast("list[Json]", value))
            return [self._bare(item, active, spot.item(index, index)) for index, item in items]
        if not isinstance(value, dict):
            return value
        members = cast("dict[str, Json]", value)
        if active is not None or "@context" in members:
            found = self._node(members, active or self._contexts.root, None, spot)
            return None if found is _ABSENT else found
        return {key: self._bare(item, None, spot.member(key)) for key, item in members.items()}

    # -- contexts and flaws -----------------------------------------------------------

    def _flaw(self, kind: Kind, observed: str, expected: str, spot: _Spot) -> None:
        if self._noted[kind] < MAX_FLAWS:
            self._note(Flaw(kind, observed, expected), spot)

    def _note(self, flaw: Flaw, spot: _Spot) -> None:
        """Note a flaw once, at the first place where it shows."""
        place = flaw.kind, flaw.observed
        if self._noted[flaw.kind] < MAX_FLAWS and place not in self.flaws:
            self._noted[flaw.kind] += 1
            self.flaws[place] = replace(flaw, pointer=spot.there)

    def _lost(self, observed: str, spot: _Spot) -> None:
        self._flaw("lost", observed, "a key and a value that mean something", spot)

    def _is_too_deep(self, spot: _Spot) -> bool:
        if spot.depth > MAX_DEPTH:
            self._lost("something nested deeper than any message", spot)
        return spot.depth > MAX_DEPTH

    def _under(self, active: Active, local: Json, spot: _Spot) -> Active:
        """Put a context of the message in force."""
        spot = spot.member("@context")
        name = local if isinstance(local, str) else written(local)
        if not isinstance(local, str) and name not in self._own:
            self._own.add(name)
            self._characters += len(name)
        self.seen.add((id(active), name))
        if (
            len(self._own) > MAX_OWN_CONTEXTS
            or self._characters > MAX_OWN_CHARACTERS
            or len(self.seen) > MAX_NESTINGS
        ):
            expected = f"at most {MAX_OWN_CONTEXTS} of {MAX_OWN_CHARACTERS} characters together"
            self._flaw("invalid", "more contexts than one message needs", expected, spot)
            return self._contexts.open
        under = self._contexts.under(active, local, name)
        for flaw in under.flaws:
            self._note(flaw, spot)
        return under.active

    def _scoped(self, active: Active, key: str | None) -> Active:
        """Put the context in force that a key brings with it, if it does."""
        entry = active.entry(key) if key else None
        if entry is None or not entry.has_scope:
            return active
        return self._contexts.scoped(active, entry.scoped, key or "", by_type=False)

    def _typed(self, members: dict[str, Json], active: Active) -> Active:
        """Put the contexts in force that the types of an object bring with them."""
        inner = active
        for key in sorted(members):
            if inner.entry(key).meaning != "@type":
                continue
            for type_ in sorted(t for t in _array(members[key]) if isinstance(t, str)):
                scope = active.scope_of_type(type_)
                if scope is not None and scope is not False:
                    inner = self._contexts.scoped(inner, scope, type_, by_type=True)
        return inner

    # -- values -----------------------------------------------------------------------

    def _value(self, value: Json, active: Active, key: str | None, spot: _Spot) -> Json:
        """Give the canonical form of what a key holds; _ABSENT when nothing is left."""
        if self._is_too_deep(spot):
            return value
        if isinstance(value, list):
            found: list[Json] = []
            for index, item in enumerate(cast("list[Json]", value)):
                place = spot.item(index, len(found))
                one = self._value(item, active, key, place)
                if one is not _ABSENT:
                    if index != len(found):
                        self.pointers.setdefault(place.here, place.there)
                    found.append(one)
            return found
        if not isinstance(value, dict):
            return value
        return self._node(cast("dict[str, Json]", value), active, key, spot)

    def _node(
        self,
        members: dict[str, Json],
        active: Active,
        key: str | None,
        spot: _Spot,
        *,
        in_map: bool = False,
    ) -> Json:
        """Give the canonical form of an object, or of the value it wraps."""
        inner = active
        if active.previous is not None and not in_map and _ends(members, active):
            inner = active.previous
        if key and active.entry(key).has_scope:
            scope = active.entry(key).scoped
            inner = self._contexts.scoped(inner, scope, key, by_type=False)
        if "@context" in members:
            inner = self._under(inner, members["@context"], spot)
        outer, inner = inner, self._typed(members, inner)
        for name, value in members.items():
            meaning = inner.entry(name).meaning
            if meaning == "@value":
                return self._held(value, spot.here, spot.member(name))
            if meaning in ("@list", "@set"):
                place = spot.member(name)._replace(here=spot.whole or spot.here)
                self.pointers[place.here] = place.there
                if isinstance(value, list) or value is None:
                    return self._value(_array(value), active, key, place)
                place = place._replace(here=f"{place.here}/0")
                self.pointers[place.here] = place.there
                one = self._value(value, active, key, place)
                return [] if one is _ABSENT else [one]
        canonical: dict[str, Json] = {}
        if "@context" in members:
            canonical["@context"] = members["@context"]
        self._members(members, inner, outer, canonical, spot)
        return canonical

    def _held(self, value: Json, here: str, spot: _Spot) -> Json:
        """Give what a value object holds."""
        if value is None:
            self._lost("a value that is null", spot)
            return _ABSENT
        self.pointers[here] = spot.there
        return value

    # -- members ----------------------------------------------------------------------

    def _members(
        self,
        members: dict[str, Json],
        active: Active,
        typed: Active,
        canonical: dict[str, Json],
        spot: _Spot,
    ) -> None:
        """Put the members of an object into its canonical form; types are read by `typed`."""
        nests: list[str] = []
        for key in sorted(members):
            if key == "@context":
                continue
            value, entry = members[key], active.entry(key)
            place = spot.member(key, entry.word)
            if entry.kind is not None:
                self._flaw(entry.kind, entry.observed, "a word of its context", place)
            elif entry.meaning == "@nest":
                nests.append(key)
            elif entry.meaning == "@type":
                self._add(canonical, "@type", self._types(value, typed, place), place)
            elif entry.meaning.startswith("@"):
                found = self._keyword(entry.meaning, value, active, place)
                self._add(canonical, entry.meaning, found, place)
            else:
                found = self._property(key, value, entry, active, place)
                self._add(canonical, entry.word, found, place)
        for key in nests:
            for value in _array(members[key]):
                self._nested(value, self._scoped(active, key), canonical, spot.member(key))

    def _nested(self, value: Json, active: Active, canonical: dict[str, Json], spot: _Spot) -> None:
        """Put what is nested for tidiness where it belongs: into the object around it."""
        if not isinstance(value, dict) or self._is_too_deep(spot):
            self._lost("a nested value that is no object", spot)
            return
        members = cast("dict[str, Json]", value)
        if "@context" in members:
            active = self._under(active, members["@context"], spot)
        inner = self._typed(members, active)
        spot = _Spot(spot.there, spot.here.rpartition("/")[0], spot.depth)
        self._members(members, inner, active, canonical, spot)

    def _property(self, key: str, value: Json, entry: Entry, active: Active, spot: _Spot) -> Json:
        if entry.opaque or value is None:
            return value
        inner = self._scoped(active, key)
        if entry.maps and isinstance(value, dict):
            return self._map(key, cast("dict[str, Json]", value), entry, inner, spot)
        if not entry.wraps or isinstance(value, list):
            return self._value(value, inner, key, spot)
        one = spot._replace(here=f"{spot.here}/0", whole=spot.here)
        found = self._value(value, inner, key, one)
        if isinstance(found, list):  # it stood in a list or set object
            return cast("list[Json]", found)
        self.pointers.setdefault(one.here, one.there)
        return [] if found is _ABSENT else [found]

    def _map(
        self, key: str, value: dict[str, Json], entry: Entry, active: Active, spot: _Spot
    ) -> Json:
        """Give a map canonically: as a map where our context has one, else as an array."""
        mapped: dict[str, Json] = {}
        listed: list[Json] = []
        for name in sorted(value):
            is_array = isinstance(value[name], list)
            for index, item in enumerate(_array(value[name])):
                there = f"{spot.there}/{_token(name)}" + (f"/{index}" if is_array else "")
                here = f"{spot.here}/{_token(name) if entry.keeps_map else len(listed)}"
                place = _Spot(there, here, spot.depth + 2)
                if isinstance(item, dict) and not self._is_too_deep(place):
                    members = cast("dict[str, Json]", item)
                    found = self._node(members, active, key, place, in_map=True)
                else:
                    found = self._value(item, active, key, place)
                if found is _ABSENT:
                    continue
                if entry.keeps_map:
                    self._add(mapped, name, found, place)
                else:
                    self.pointers.setdefault(here, there)
                    listed.append(found)
        return mapped if entry.keeps_map else listed

    def _types(self, value: Json, typed: Active, spot: _Spot) -> Json:
        found: list[Json] = []
        for type_ in _array(value):
            if not isinstance(type_, str):
                self._flaw("type", "a type that is no text", "the name of a type", spot)
                continue
            word, flaw = typed.kind_of(type_)
            if flaw is not None:
                observed = f"type {type_}" if flaw == "type" else f"type {type_}: no such prefix"
                expected = "a type of the vocabulary, or of a specification laid beside"
                self._flaw(flaw, observed, expected, spot)
            else:
                found.append(word)
        return found if isinstance(value, list) else (found[0] if found else _ABSENT)

    def _keyword(self, keyword: str, value: Json, active: Active, spot: _Spot) -> Json:
        if keyword not in ("@graph", "@included", "@reverse"):
            return value
        if any(not isinstance(item, dict | list) for item in _array(value)):
            self._lost(f"a value in {keyword} that belongs to nothing", spot)
        return self._value(value, active, None, spot)

    def _add(self, canonical: dict[str, Json], word: str, found: Json, spot: _Spot) -> None:
        """Add a member; what is said of one thing in two ways becomes an array."""
        if found is _ABSENT:
            return
        if word not in canonical:
            canonical[word] = found
            if spot.here != spot.there:
                self.pointers.setdefault(spot.here, spot.there)
        elif word.startswith("@") and word not in ("@type", "@included", "@graph"):
            self._lost(f"a second {word} of one object", spot)
        else:
            canonical[word] = [*_array(canonical[word]), *_array(found)]


def _array(value: Json) -> list[Json]:
    return cast("list[Json]", value) if isinstance(value, list) else [value]


def _token(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def _ends(members: dict[str, Json], active: Active) -> bool:
    """Tell whether the context that a type brought ends at an object below it."""
    if len(members) > 2 or "@context" in members:  # noqa: PLR2004 (a value and its type)
        return True
    meanings = [active.entry(key).meaning for key in members]
    return "@value" not in meanings and meanings != ["@id"]


class ContextBook(Protocol):
    """An official specification that is laid beside, as far as contexts go."""

    def context_document(self, url: str) -> Json | None:
        """Give the document at an address; None when the specification has none."""
        ...


@lru_cache(maxsize=4)
def reader_beside(specification: ContextBook) -> Reader:
    """Give the reader that knows a specification's contexts beside our own."""
    return Reader(Documents(specification.context_document))


_READER = Reader(Documents())


def read_meaning(body: Json) -> Meaning:
    """Read a body by our own documents alone; views are read from this."""
    return _READER.read(body)

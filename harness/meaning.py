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

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from gridwitness.contexts import Contexts, Documents, Flaw, spellings, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridwitness.contexts import Active, Entry, Under
    from gridwitness.dialects.base import Json

MAX_DEPTH = 100
"""Levels below which nothing is looked up; no message of the protocol has a fifth of them."""
MAX_OWN_CONTEXTS = 30
"""Different contexts a message may bring with it; each new one is worth a millisecond or two."""
MAX_NESTINGS = 200
"""Different nestings of contexts in a message, each of which has a table of its own."""
MAX_FLAWS = 20
"""Of a message; the rest repeats them."""


@dataclass(frozen=True)
class Meaning:
    """What a message means.

    body      the canonical body; the body itself where it is spelt so
    pointers  where a member of the canonical body stands in the message, where that differs
    flaws     what does not mean anything, or not what it should; at most MAX_FLAWS
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
        message: Json = cast("dict[str, Json]", body).get("message") if _is_object(body) else None
        if not _is_object(message):
            return Meaning(body)
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
        kind = type(value)
        if kind is dict:
            return self._at_object(value, active, depth + 1)
        if kind is list:
            depth += 1
            for item in value:
                kind = type(item)
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
                kind = type(value)
                if (kind is dict or kind is list) and not self._at(value, None, depth):
                    return False
            return True
        entries = active.entries
        for key, value in members.items():
            entry = entries.get(key) or active.entry(key)
            if entry.plain:
                kind = type(value)
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


class _Walk:
    """The thorough path: builds the canonical body and remembers where things stood."""

    def __init__(self, contexts: Contexts) -> None:
        self.flaws: dict[tuple[str, str], Flaw] = {}
        self.pointers: dict[str, str] = {}
        self.seen: set[tuple[int, str]] = set()
        self._contexts = contexts
        self._own: set[str] = set()

    def message(self, message: dict[str, Json]) -> Json:
        active = None
        if "@context" in message:
            active = self._under(None, message["@context"], "/message")
        canonical: dict[str, Json] = {}
        for key, value in message.items():
            place = f"/message/{_token(key)}"
            canonical[key] = value if key == "@context" else self._bare(value, active, place)
        return canonical

    # -- contexts and flaws -----------------------------------------------------------

    def _flaw(self, flaw: Flaw, place: str) -> None:
        """Note a flaw once, at the first place where it shows."""
        if len(self.flaws) < MAX_FLAWS:
            noted = Flaw(
                flaw.kind, flaw.observed, flaw.expected, place, flaw.about, flaw.in_document
            )
            self.flaws.setdefault((flaw.kind, flaw.observed), noted)

    def _under(self, active: Active | None, local: Json, place: str) -> Active:
        above = active or self._contexts.root
        place = f"{place}/@context"
        name = local if isinstance(local, str) else written(local)
        if not isinstance(local, str):
            self._own.add(name)
        self.seen.add((id(above), name))
        if len(self._own) > MAX_OWN_CONTEXTS or len(self.seen) > MAX_NESTINGS:
            expected = f"at most {MAX_OWN_CONTEXTS} contexts, nested in {MAX_NESTINGS} ways"
            self._flaw(Flaw("invalid", "more contexts than one message needs", expected), place)
            return self._contexts.open
        under: Under = self._contexts.under(above, local)
        for flaw in under.flaws:
            self._flaw(flaw, place)
        return under.active

    def _lost(self, place: str, observed: str) -> None:
        self._flaw(Flaw("lost", observed, "a key and value that mean something"), place)

    # -- values -----------------------------------------------------------------------

    def _bare(self, value: Json, active: Active | None, place: str, depth: int = 1) -> Json:
        """Look for contexts where none is in force; keys are as they are."""
        if depth > MAX_DEPTH:
            self._lost(place, "something nested deeper than any message")
            return value
        if isinstance(value, list):
            items = cast("list[Json]", value)
            return [
                self._bare(item, active, f"{place}/{index}", depth + 1)
                for index, item in enumerate(items)
            ]
        if not _is_object(value):
            return value
        members = cast("dict[str, Json]", value)
        if active is not None or "@context" in members:
            found = self._node(members, active, None, place, place, depth)
            return None if found is _ABSENT else found
        return {
            key: self._bare(item, None, f"{place}/{_token(key)}", depth + 1)
            for key, item in members.items()
        }

    def _value(  # noqa: PLR0913 (where it stands, here and there)
        self, value: Json, active: Active, key: str | None, place: str, own: str, depth: int
    ) -> Json:
        """Give the canonical form of what a key holds; _ABSENT when nothing is left."""
        if depth > MAX_DEPTH:
            self._lost(place, "something nested deeper than any message")
            return value
        if isinstance(value, list):
            found: list[Json] = []
            for index, item in enumerate(cast("list[Json]", value)):
                there, here = f"{place}/{index}", f"{own}/{len(found)}"
                one = self._value(item, active, key, there, here, depth + 1)
                if one is not _ABSENT:
                    if index != len(found):
                        self.pointers.setdefault(here, there)
                    found.append(one)
            return found
        if not _is_object(value):
            return value
        return self._node(value, active, key, place, own, depth + 1)

    def _stands(self, own: str, place: str) -> None:
        if own != place:
            self.pointers[own] = place

    def _node(  # noqa: PLR0913 (see _value)
        self,
        members: dict[str, Json],
        active: Active | None,
        key: str | None,
        place: str,
        own: str,
        depth: int,
        *,
        inside_index: bool = False,
    ) -> Json:
        if depth > MAX_DEPTH:
            self._lost(place, "something nested deeper than any message")
            return members
        above = active
        if active is not None:
            entry = active.entry(key) if key else None
            if active.previous is not None and not inside_index and _ends(members, active):
                active = active.previous
            if entry is not None and entry.has_scope:
                active = self._contexts.scoped(active, entry.scoped, key or "", by_type=False)
        if "@context" in members:
            active = self._under(active, members["@context"], place)
        if active is None:
            return members
        typed, inner = active, self._typed(members, active)
        if (plain := self._unwrapped(members, inner, above, key, place, own, depth)) is not None:
            return plain[0]
        canonical: dict[str, Json] = {}
        if "@context" in members:
            canonical["@context"] = members["@context"]
        self._members(members, inner, typed, canonical, place, own, depth)
        return canonical

    def _typed(self, members: dict[str, Json], active: Active) -> Active:
        """Put the contexts that the types of an object bring with them in force."""
        inner = active
        for key in sorted(members):
            if inner.entry(key).meaning != "@type":
                continue
            for type_ in sorted(t for t in _array(members[key]) if isinstance(t, str)):
                scope = active.scope_of_type(type_)
                if scope is not None and scope is not False:
                    inner = self._contexts.scoped(inner, scope, type_, by_type=True)
        return inner

    def _unwrapped(  # noqa: PLR0913, PLR0917 (see _value)
        self,
        members: dict[str, Json],
        active: Active,
        above: Active | None,
        key: str | None,
        place: str,
        own: str,
        depth: int,
    ) -> tuple[Json] | None:
        """Give what a value, list or set object holds; None when the object is a node."""
        if len(members) > 5:  # noqa: PLR2004 (the keywords that may stand beside a value)
            return None
        for name, value in members.items():
            meaning = active.entry(name).meaning
            there = f"{place}/{_token(name)}"
            if meaning == "@value":
                if value is None:
                    self._lost(there, "a value that is null")
                    return (_ABSENT,)
                self._stands(own, there)
                return (value,)
            if meaning in ("@list", "@set"):
                self._stands(own, there)
                items = _array(value)
                return (self._value(items, above or active, key, there, own, depth + 1),)
        return None

    # -- members ----------------------------------------------------------------------

    def _members(  # noqa: PLR0913, PLR0917 (see _value)
        self,
        members: dict[str, Json],
        active: Active,
        typed: Active,
        canonical: dict[str, Json],
        place: str,
        own: str,
        depth: int,
    ) -> None:
        nested: list[tuple[str, Json, Active]] = []
        for key in sorted(members):
            if key == "@context":
                continue
            value, entry = members[key], active.entry(key)
            there = f"{place}/{_token(key)}"
            if entry.kind is not None:
                expected = "a word of its context"
                self._flaw(Flaw(entry.kind, entry.observed, expected), there)
            elif entry.meaning == "@nest":
                inner = self._below(active, entry, key)
                nested += [(f"{there}", item, inner) for item in _array(value)]
            elif entry.meaning == "@type":
                self._add(canonical, "@type", self._types(value, typed, there), own, there)
            elif entry.meaning.startswith("@"):
                self._keyword(canonical, entry.meaning, value, active, there, own, depth)
            else:
                here = f"{own}/{_token(entry.word)}"
                found = self._property(key, value, entry, active, there, here, depth)
                if found is not _ABSENT:
                    self._add(canonical, entry.word, found, own, there)
        for there, value, inner in nested:
            if _is_object(value) and depth < MAX_DEPTH:
                local = value.get("@context", _ABSENT)
                base = inner if local is _ABSENT else self._under(inner, local, there)
                inside = self._typed(value, base)
                self._members(value, inside, base, canonical, there, own, depth + 1)
            else:
                self._lost(there, "a nested value that is no object")

    def _below(self, active: Active, entry: Entry, key: str) -> Active:
        if not entry.has_scope:
            return active
        return self._contexts.scoped(active, entry.scoped, key, by_type=False)

    def _property(  # noqa: PLR0913, PLR0917 (see _value)
        self,
        key: str,
        value: Json,
        entry: Entry,
        active: Active,
        there: str,
        here: str,
        depth: int,
    ) -> Json:
        if entry.opaque:
            return value
        inner = self._below(active, entry, key)
        if entry.maps and _is_object(value):
            return self._map(key, value, entry, inner, there, here, depth)
        if entry.wraps and value is not None and not isinstance(value, list):
            own = f"{here}/0"
            found = self._value(value, inner, key, there, own, depth)
            if isinstance(found, list):  # it held an array: a list or set object
                for pointer in [p for p in self.pointers if p == own or p.startswith(own + "/")]:
                    self.pointers[here + pointer[len(own) :]] = self.pointers.pop(pointer)
                return cast("list[Json]", found)
            if found is _ABSENT:
                return []
            self.pointers.setdefault(own, there)
            return [found]
        return self._value(value, inner, key, there, here, depth)

    def _map(  # noqa: PLR0913, PLR0917 (see _value)
        self,
        key: str,
        value: dict[str, Json],
        entry: Entry,
        active: Active,
        there: str,
        here: str,
        depth: int,
    ) -> Json:
        """Give a map canonically: as a map where our context has one, else as an array."""
        keeps = not entry.wraps and self._keeps_map(entry)
        mapped: dict[str, Json] = {}
        listed: list[Json] = []
        for name in sorted(value):
            for index, item in enumerate(_array(value[name])):
                place = f"{there}/{_token(name)}"
                place += f"/{index}" if isinstance(value[name], list) else ""
                own = f"{here}/{_token(name) if keeps else len(listed)}"
                if _is_object(item):
                    found = self._node(item, active, key, place, own, depth + 1, inside_index=True)
                else:
                    found = self._value(item, active, key, place, own, depth + 1)
                if found is _ABSENT:
                    continue
                if own != place:
                    self.pointers.setdefault(own, place)
                if keeps:
                    self._add(mapped, name, found, here, place)
                else:
                    listed.append(found)
        return mapped if keeps else listed

    @staticmethod
    def _keeps_map(entry: Entry) -> bool:
        known = spellings().get(entry.meaning)
        return known is None or known.container == "@index"

    def _types(self, value: Json, typed: Active, there: str) -> Json:
        found: list[Json] = []
        for type_ in _array(value):
            if not isinstance(type_, str):
                self._flaw(Flaw("type", "a type that is no text", "the name of a type"), there)
                continue
            word, flaw = typed.kind_of(type_)
            if flaw is not None:
                observed = f"type {type_}" if flaw == "type" else f"type {type_}: no such prefix"
                expected = "a type of the vocabulary, or of a specification laid beside"
                self._flaw(Flaw(flaw, observed, expected), there)
            found.append(word)
        return found if isinstance(value, list) else (found[0] if found else _ABSENT)

    def _keyword(  # noqa: PLR0913, PLR0917 (see _value)
        self,
        canonical: dict[str, Json],
        keyword: str,
        value: Json,
        active: Active,
        there: str,
        own: str,
        depth: int,
    ) -> None:
        here = f"{own}/{keyword}"
        if keyword in ("@graph", "@included", "@reverse"):
            items = _array(value)
            if any(not isinstance(item, dict | list) for item in items):
                self._lost(there, f"a value in {keyword} that belongs to nothing")
            value = self._value(value, active, None, there, here, depth)
        self._add(canonical, keyword, value, own, there)

    def _add(
        self, canonical: dict[str, Json], word: str, found: Json, own: str, there: str
    ) -> None:
        """Add a member; what is said of one thing in two ways becomes an array."""
        if found is _ABSENT:
            return
        here = f"{own}/{_token(word)}"
        if word not in canonical:
            canonical[word] = found
            if here != there:
                self.pointers.setdefault(here, there)
            return
        if word.startswith("@") and word not in ("@type", "@included", "@graph"):
            self._lost(there, f"a second {word} of one object")
            return
        canonical[word] = [*_array(canonical[word]), *_array(found)]


def _is_object(value: Json) -> bool:
    return isinstance(value, dict)


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

"""Hostile JSON-LD: whatever a message names, nests or repeats, the answer comes soon."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.dialects.base import parse_json
from gridwitness.dialects.blocks import CONTEXT
from gridwitness.dialects.order import CORE_CONTEXT
from gridwitness.meaning import MAX_DEPTH, MAX_FLAWS, read_meaning

SOON_S = 10.0
"""Processor time a message of a megabyte may take, on a slow machine; most take a hundredth."""


def nested(times: int, around: Any) -> Any:
    inner: Any = {}
    for index in range(times):
        inner = around(inner, index)
    return inner


def terms(number: int, mark: str = "t") -> dict[str, Any]:
    return {f"{mark}{index}": f"https://x.example/{index}" for index in range(number)}


SCOPED = {f"s{i}": {"@id": f"https://x.example/{i}", "@context": terms(1)} for i in range(25)}
SELF = {
    "a": {
        "@id": "https://x.example/a",
        "@context": {"a": {"@id": "https://x.example/b", "@context": CONTEXT}},
    }
}
ATTACKS: dict[str, tuple[Any, str | None]] = {
    "the metadata service": ({"@context": "http://169.254.169.254/latest"}, "unknown"),
    "a file": ({"@context": "file:///etc/passwd"}, "unknown"),
    "a path": ({"@context": "../../../etc/passwd"}, "unknown"),
    "no address": ({"@context": "http://[::"}, "unknown"),
    "an import": ({"@context": {"@import": "http://169.254.169.254/"}}, "unknown"),
    "a scoped address": (
        {"@context": {"a": {"@id": "https://x.example/a", "@context": "http://169.254.169.254/"}}},
        "unknown",
    ),
    "many addresses": ([{"@context": f"https://a{i}.example/"} for i in range(5_000)], "unknown"),
    "terms in a circle": (
        {"@context": {f"a{i}": f"a{(i + 1) % 400}:x" for i in range(400)}},
        "invalid",
    ),
    "terms in a row": ({"@context": {f"a{i}": f"a{i + 1}:x" for i in range(400)}}, "invalid"),
    "a huge context": ({"@context": terms(50_000)}, "invalid"),
    "many contexts": ([{"@context": terms(400, f"t{j}-")} for j in range(60)], "invalid"),
    "many scoped contexts": (
        [{"@context": [CORE_CONTEXT, CONTEXT, terms(300, f"t{j}-") | SCOPED]} for j in range(40)],
        "invalid",
    ),
    "a deep context": ({"@context": nested(250, lambda x, _: {"a": {"@context": x}})}, "invalid"),
    "a deep array of contexts": ({"@context": nested(250, lambda x, _: [x])}, "invalid"),
    "a deep body": (nested(250, lambda x, _: {"@context": CONTEXT, "charges": x}), "lost"),
    "deep arrays": ({"@context": CONTEXT, "charges": nested(400, lambda x, _: [x])}, "lost"),
    "deep arrays without a context": (nested(400, lambda x, _: [x]), "lost"),
    "contexts in turn": (
        [
            nested(
                9, lambda x, k, i=i: {"@context": [CORE_CONTEXT, CONTEXT][i >> k & 1], "charges": x}
            )
            for i in range(500)
        ],
        "lost",
    ),
    "a scope within itself": ({"@context": SELF, "a": nested(60, lambda x, _: {"a": x})}, None),
    "nests": ({"@context": {"n": "@nest"}, "n": nested(200, lambda x, _: {"n": [x]})}, "lost"),
    "many lost keys": (
        {"@context": CONTEXT, "roles": [{f"k{i}": 1} for i in range(30_000)]},
        "lost",
    ),
    "many types": ({"@context": CONTEXT, "@type": [f"T{i}" for i in range(30_000)]}, "type"),
    "a long key": ({"@context": CONTEXT, "k" * 500_000: 1}, "lost"),
    "a long prefix": ({"@context": CONTEXT, "a:" * 250_000: 1}, "prefix"),
    "one word many times": (
        {"@context": terms(1) | {f"k{i}": "t0:" for i in range(200)}}
        | {f"k{i}": [1] * 100 for i in range(200)},
        None,
    ),
    "a huge number": ({"@context": {"@version": 10**400}}, "invalid"),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments: Any, **named: Any) -> Any:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_told_soon(name: str):
    order, kind = ATTACKS[name]
    body = parse_json(json.dumps({"context": {}, "message": {"order": order}}).encode())
    began_s = time.process_time()
    meaning = read_meaning(body)
    assert time.process_time() - began_s < SOON_S
    assert max(Counter(f.kind for f in meaning.flaws).values(), default=0) <= MAX_FLAWS
    if kind is not None:
        assert kind in {flaw.kind for flaw in meaning.flaws}
    assert read_meaning(body).flaws == meaning.flaws


def test_depth_is_cut_and_what_is_deeper_is_kept_as_it_is():
    order = nested(MAX_DEPTH + 20, lambda x, _: {"charges": x})
    meaning = read_meaning({"message": {"order": {"@context": CONTEXT, "charges": order}}})
    depth, place = 0, meaning.body["message"]["order"]
    while "charges" in place:
        depth, place = depth + 1, place["charges"]
    assert depth == MAX_DEPTH + 21


KEYS = st.sampled_from(
    (
        "@context",
        "@type",
        "@id",
        "@value",
        "@list",
        "@set",
        "@graph",
        "@nest",
        "@reverse",
        "@language",
        "@index",
        "@included",
        "@vocab",
        "@base",
        "@import",
        "@propagate",
        "@protected",
        "@container",
        "@version",
        "@json",
        "@none",
        "price",
        "roles",
        "curve",
        "clearedPower",
        "a",
        "a:b",
        "beckn:id",
        "x:y/z",
        "",
        ":",
        "a:",
        "~/",
        "@odd",
        "https://x.example/a",
    )
)
WORDS = st.one_of(
    KEYS,
    st.sampled_from((CONTEXT, CORE_CONTEXT, "https://no.example/", "./b#", "1.1", "_:b", "@index")),
    st.text(max_size=4),
)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.decimals(allow_nan=False, allow_infinity=False, places=2),
        WORDS,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(KEYS, WORDS), inner, max_size=6)
    ),
    max_leaves=25,
)


@given(JSON)
@settings(max_examples=400, deadline=None)
def test_any_message_is_read(order: Any):
    body = {"message": {"order": order}}
    before = repr(body)
    meaning = read_meaning(body)
    assert repr(body) == before
    assert max(Counter(f.kind for f in meaning.flaws).values(), default=0) <= MAX_FLAWS
    assert read_meaning(body) == meaning
    for flaw in meaning.flaws:
        assert at(body, flaw.pointer)
    for pointer in meaning.pointers.values():
        assert at(body, pointer)


@given(JSON, JSON)
@settings(max_examples=400, deadline=None)
def test_any_context_is_processed(local: Any, member: Any):
    order = {"@context": local, "price": member, "a": member, "a:b": 1}
    meaning = read_meaning({"message": {"order": order}})
    assert all(at({"message": {"order": order}}, flaw.pointer) for flaw in meaning.flaws)


def at(body: Any, pointer: str) -> bool:
    """Tell whether a JSON Pointer leads somewhere."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        body = body[int(key)] if isinstance(body, list) else body[key]
    return True

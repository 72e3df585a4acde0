"""The meaning of a body: aliases, prefixes, inline contexts, and agreement with PyLD."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyld import jsonld

from gridwitness.context_documents import CORE, ENERGY, Documents, shipped_document
from gridwitness.contexts import spellings
from gridwitness.dialects.blocks import CONTEXT
from gridwitness.dialects.order import CORE_CONTEXT
from gridwitness.meaning import Reader, read_meaning

RAW = "https://raw.githubusercontent.com/beckn/"


def body(order: Any) -> dict[str, Any]:
    return {"context": {"message_id": "m"}, "message": {"order": order}}


def order_of(order: Any) -> Any:
    return read_meaning(body(order)).body["message"]["order"]


def without_contexts(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_contexts(v) for k, v in value.items() if k != "@context"}
    return [without_contexts(v) for v in value] if isinstance(value, list) else value


def kinds(order: Any) -> list[str]:
    return [flaw.kind for flaw in read_meaning(body(order)).flaws]


BLOCK = {"@context": CONTEXT, "@type": "OfferCurve", "minExport": -5, "curve": [{"price": 1}]}


def test_what_is_spelt_canonically_is_the_same_object():
    whole = body({"@context": CORE_CONTEXT, "beckn:id": "o", "beckn:orderAttributes": BLOCK})
    meaning = read_meaning(whole)
    assert meaning.body is whole
    assert meaning.has_context
    assert not meaning.flaws
    assert meaning.raw_pointer("/message/order") == "/message/order"


def test_a_body_without_contexts_is_left_alone():
    whole = body({"beckn:id": "o", "anything": [{"at": ["all"]}]})
    assert read_meaning(whole).body is whole
    assert not read_meaning(whole).has_context
    for odd in (None, 5, [], {}, {"message": None}, {"message": []}):
        assert read_meaning(odd).body is odd


@pytest.mark.parametrize(
    "spelt",
    [
        {"@context": {"low": ENERGY + "minExport"}, "low": -5},
        {"@context": {"e": ENERGY}, "e:minExport": -5},
        {"@context": {"@vocab": ENERGY}, "minExport": -5},
        {"@context": {}, ENERGY + "minExport": -5},
        {"@context": [CONTEXT, {"low": "minExport"}], "low": -5},
        {"@context": [CONTEXT, {"low": {"@id": "energy:minExport"}}], "low": {"@value": -5}},
        {"@context": [None, {"e": ENERGY, "low": "e:minExport"}], "low": -5},
        {"@context": {"low": {"@id": ENERGY + "minExport", "@protected": True}}, "low": -5},
        {"@context": {"in": "@nest", "@vocab": ENERGY}, "in": {"minExport": -5}},
    ],
)
def test_another_spelling_of_the_same_meaning_reads_the_same(spelt: Any):
    assert without_contexts(order_of(spelt)) == {"minExport": -5}
    assert not kinds(spelt)


@pytest.mark.parametrize(
    ("spelt", "canonical"),
    [
        ({"@context": CONTEXT, "curve": {"price": 1}}, {"curve": [{"price": 1}]}),
        ({"@context": CONTEXT, "curve": {"@list": [{"price": 1}]}}, {"curve": [{"price": 1}]}),
        ({"@context": CONTEXT, "roles": {"@set": []}}, {"roles": []}),
        ({"@context": CONTEXT, "clearedPower": {"a": 5}}, {"clearedPower": {"a": 5}}),
        (
            {
                "@context": [CONTEXT, {"p": {"@id": "energy:roles", "@container": "@index"}}],
                "p": {"x": {"role": "A"}, "y": {"role": "B"}},
            },
            {"roles": [{"role": "A"}, {"role": "B"}]},
        ),
        ({"@context": [CONTEXT, {"type": "@type"}], "type": "OfferCurve"}, {"@type": "OfferCurve"}),
        ({"@context": {"e": ENERGY}, "@type": "e:OfferCurve"}, {"@type": "OfferCurve"}),
        ({"@context": {"b": CORE}, "b:id": "o"}, {"beckn:id": "o"}),
        ({"@context": {"s": "https://schema.org/"}, "s:name": "o"}, {"schema:name": "o"}),
        ({"@context": CORE_CONTEXT, "id": "o"}, {"beckn:id": "o"}),
        (
            {"@context": CORE_CONTEXT, "orderItems": {"id": 1}},
            {"beckn:orderItems": [{"beckn:id": 1}]},
        ),
        (
            {
                "@context": {
                    "b": RAW
                    + "protocol-specifications-new/refs/heads/draft/schema/core/v2/vocab.jsonld#"
                },
                "b:id": "o",
            },
            {"beckn:id": "o"},
        ),
        ({"@context": [CONTEXT, {"a": "energy:price"}], "a": 1, "price": 2}, {"price": [1, 2]}),
    ],
)
def test_the_canonical_spelling(spelt: Any, canonical: Any):
    assert without_contexts(order_of(spelt)) == canonical
    assert not kinds(spelt)


def test_the_same_shape_with_another_meaning_is_not_read():
    strange = {"@context": [CONTEXT, {"price": "https://shop.example/price"}], "price": 5}
    assert without_contexts(order_of(strange)) == {"https://shop.example/price": 5}
    nothing = {"@context": [CONTEXT, {"price": None}], "price": 5}
    assert without_contexts(order_of(nothing)) == {}
    assert kinds(nothing) == ["lost"]
    ours_not = {"@context": {"price": ENERGY + "prize"}, "price": 5}
    assert without_contexts(order_of(ours_not)) == {}
    assert kinds(ours_not) == ["lost"]


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        ({"@context": "https://nowhere.example/c.jsonld", "price": 5}, "unknown"),
        ({"@context": {"@import": "https://nowhere.example/c.jsonld"}, "price": 5}, "unknown"),
        ({"@context": CONTEXT, "prize": 5}, "lost"),
        ({"@context": CONTEXT, "price": {"@value": None}}, "lost"),
        ({"@context": CONTEXT, "@graph": ["floats"]}, "lost"),
        ({"@context": CONTEXT, "@type": "Prize"}, "type"),
        ({"@context": CONTEXT, "@type": "price"}, "type"),
        ({"@context": CONTEXT, "@type": 5}, "type"),
        ({"@context": {"a": "./b#"}, "a:c": 5}, "invalid"),
        ({"@context": {"@type": ENERGY + "type"}}, "invalid"),
        ({"@context": {"a": "b:x", "b": "a:x"}}, "invalid"),
        ({"@context": {"a": 5}}, "invalid"),
        ({"@context": 5}, "invalid"),
        ({"@context": {"@version": 1.0}}, "invalid"),
        ({"@context": {"a": {"@id": ENERGY + "price", "@weird": 1}}}, "invalid"),
        ({"@context": CONTEXT, "grid:zone": 5}, "prefix"),
        ({"@context": {"e": "https://a.example/context.jsonld"}, "e:price": 5}, "prefix"),
        ({"@context": CONTEXT, "@type": "grid:Zone"}, "prefix"),
    ],
)
def test_what_means_nothing_is_told(order: Any, kind: str):
    assert kinds(order) == [kind]


def test_a_context_that_is_not_held_leaves_every_key_as_it_is():
    order = {
        "@context": "https://nowhere.example/c.jsonld",
        "price": 5,
        "beckn:x": {"minExport": [{"y": {}}]},
        "block": {"@context": CONTEXT, "price": 1, "prize": 2},
    }
    assert order_of(order) == order


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/tags/x", "tags/core-v2.0.0-rc1", "draft"])
@pytest.mark.parametrize(
    "repository", ["protocol-specifications-new", "protocol-specifications-v2"]
)
def test_every_published_name_of_the_core_context_is_known(ref: str, repository: str):
    name = f"{RAW}{repository}/{ref}/schema/core/v2/context.jsonld"
    assert shipped_document(name) == shipped_document(CORE_CONTEXT)
    assert not kinds({"@context": name, "beckn:id": "o"})


def test_pointers_lead_back_into_the_message():
    order = {
        "@context": [CONTEXT, {"kurve": {"@id": "energy:curve", "@container": "@list"}}],
        "kurve": [{"price": 1}, {"energy:price": {"@value": 2}}],
        "roles": {"energy:role": "A"},
    }
    meaning = read_meaning(body(order))
    assert meaning.raw_pointer("/message/order/curve") == "/message/order/kurve"
    assert meaning.raw_pointer("/message/order/curve/0/price") == "/message/order/kurve/0/price"
    last = "/message/order/kurve/1/energy:price/@value"
    assert meaning.raw_pointer("/message/order/curve/1/price") == last
    assert meaning.raw_pointer("/message/order/roles/0/role") == "/message/order/roles/energy:role"
    assert meaning.raw_pointer("/context/ttl") == "/context/ttl"


def test_a_specification_laid_beside_comes_first_and_is_mended():
    url = "https://schema.nfh.global/Thing/v1/context.jsonld"
    published = {
        "@context": {
            "@version": 1.1,
            "own": "./vocab.jsonld#",
            "Thing": "own:Thing",
            "GB/T": "own:GBT",
            "@type": {"@id": "own:type"},
            "size": {"@id": "own:size", "@context": "./scoped.jsonld"},
        }
    }
    scoped = {"@context": {"deep": "https://schema.nfh.global/deep"}}
    book = {url: published, "https://schema.nfh.global/Thing/v1/scoped.jsonld": scoped}
    reader = Reader(Documents(book.get))
    order = {"@context": url, "@type": "Thing", "size": {"deep": 5}, "own:more": 1, "lost": 0}
    meaning = reader.read(body(order))
    assert [(f.kind, f.in_document) for f in meaning.flaws] == [
        ("invalid", True),
        ("invalid", True),
        ("invalid", True),
        ("lost", False),
    ]
    before = json.dumps(published)
    reader.read(body({"@context": {"@import": url}, "@type": "Thing"}))
    assert json.dumps(published) == before


def test_documents_that_include_one_another_are_told():
    book = {f"https://a.example/{n}": {"@context": f"https://a.example/{1 - n}"} for n in (0, 1)}
    meaning = Reader(Documents(book.get)).read(body({"@context": "https://a.example/0", "x": 1}))
    assert [(f.kind, f.in_document) for f in meaning.flaws] == [("invalid", True)]


# -- agreement with PyLD --------------------------------------------------------------------

WORDS = ("price", "powerKW", "curve", "roles", "role", "charges", "settlement", "kind")
CLASSES = ("OfferCurve", "Tariff", "Setpoint")
CONTAINERS = {w: spellings()[ENERGY + w].container for w in WORDS}
ALIASES = ("one", "two", "x:price", "y:four", "price", "kind", "role")


def _loader(url: str, _options: Any) -> dict[str, Any]:
    document = shipped_document(url)
    assert document is not None
    return {"contextUrl": None, "documentUrl": url, "document": json.loads(json.dumps(document))}


def _definition(word: str) -> st.SearchStrategy[Any]:
    iri = ENERGY + word
    container = {"@container": CONTAINERS[word]} if CONTAINERS[word] else {}
    full = {"@id": iri} | container
    return st.sampled_from([full, full | {"@protected": False}] + ([] if container else [iri]))


@st.composite
def contexts(draw: Any, depth: int = 1) -> Any:
    local: dict[str, Any] = {}
    if draw(st.booleans()):
        local |= {"x": ENERGY, "y": "https://shop.example/"}
    if draw(st.integers(0, 3)) == 0:
        local["@vocab"] = draw(st.sampled_from([ENERGY, "https://shop.example/"]))
    if draw(st.integers(0, 3)) == 0:
        local["sort"] = "@type"
    for alias in draw(st.lists(st.sampled_from(ALIASES[:2] + ALIASES[4:]), max_size=3)):
        local[alias] = draw(_definition(draw(st.sampled_from(WORDS))))
        if depth and isinstance(local[alias], dict) and draw(st.integers(0, 2)) == 0:
            local[alias]["@context"] = draw(contexts(depth=0))
    for class_ in draw(st.lists(st.sampled_from(CLASSES), max_size=1)):
        local[class_] = {"@id": ENERGY + class_}
        if depth and draw(st.booleans()):
            local[class_]["@context"] = draw(contexts(depth=0))
    choices = [local, [CONTEXT, local], [None, local], CONTEXT]
    return draw(st.sampled_from(choices if depth else [local, [local], None]))


VALUES = st.one_of(
    st.integers(-5, 5),
    st.sampled_from(["a", "b"]),
    st.builds(lambda v: {"@value": v}, st.integers(0, 3)),
)


@st.composite
def nodes(draw: Any, depth: int = 3) -> Any:
    node: dict[str, Any] = {}
    if depth == 3 or draw(st.integers(0, 3)) == 0:
        node["@context"] = draw(contexts())
    if draw(st.booleans()):
        node[draw(st.sampled_from(["@type", "sort"]))] = draw(st.sampled_from(CLASSES))
    keys = st.sampled_from(WORDS + ALIASES)
    for key in draw(st.lists(keys, max_size=4, unique=True)):
        inner = VALUES if depth == 0 else st.one_of(VALUES, nodes(depth=depth - 1))
        node[key] = draw(st.one_of(inner, st.lists(inner, max_size=3)))
    return node


def expanded(value: Any) -> Any:
    return jsonld.expand(value, {"documentLoader": _loader, "base": ""})


@given(nodes())
@settings(max_examples=300, deadline=None)
def test_the_canonical_body_expands_to_what_the_message_expands_to(node: Any):
    try:
        right = expanded({"@context": {}, "https://r.example/root": [node]})
    except jsonld.JsonLdError:
        assert any(
            flaw.kind in ("invalid", "lost", "type") for flaw in read_meaning(body(node)).flaws
        )
        return
    canonical = without_contexts(order_of(node))
    both = {"@context": [CORE_CONTEXT, CONTEXT], "https://r.example/root": [canonical]}
    assert tidy(expanded(both)) == tidy(right)


def tidy(value: Any) -> Any:
    """Leave out what is no word of ours: other vocabularies, and prefixes that are none.

    A list counts as an array: whoever forgets to say that order matters is read in order.
    """
    if isinstance(value, list):
        lists = [i["@list"] if isinstance(i, dict) and "@list" in i else [i] for i in value]
        return [tidy(item) for items in lists for item in items]
    if not isinstance(value, dict):
        return value
    ours = {key: tidy(item) for key, item in value.items() if key.startswith("@") or is_ours(key)}
    types = [type_ for type_ in ours.pop("@type", []) if is_ours(type_)]
    return ours | ({"@type": types} if types else {})


def is_ours(iri: str) -> bool:
    return iri in spellings() or iri.startswith("https://r.example/")

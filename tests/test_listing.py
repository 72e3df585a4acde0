"""Listings: what an offer is about, until when it holds, what a search finds, in both dialects."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness import listing
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import Cursor, dump_json, parse_json
from gridwitness.dialects.searching import CONTRACT_SEARCH, ORDER_SEARCH, read_search
from gridwitness.views import (
    Block,
    Catalogue,
    Deal,
    Envelope,
    Intent,
    Interval,
    Nearby,
    Offer,
    PublishResult,
    Reading,
    Role,
    Term,
)

HOUR = Interval(start="2031-05-12T10:00:00Z", duration_h=Fraction(1))
TERMS = (
    Term(name="price", value=Decimal("5.25"), unit="INR/kWh"),
    Term(name="offered", value=Decimal("7.5"), unit="kWh"),
)
CHARGER = Offer(
    offer_id="dc",
    provider_id="mall.example",
    pricing_model=None,
    clearing_agent_id=None,
    interval=None,
    charges=None,
    deal=Deal(
        status="PENDING",
        resource_id="charger-1",
        interval=HOUR,
        roles=(Role(name="prosumer", holder_id="mall.example", terms=TERMS), Role(name="consumer")),
    ),
    blocks=(
        Block(slot="item", name="maxPowerKW", data=Decimal(60)),
        Block(slot="item", name="connectorType", data="IEC_62196_T2_COMBO"),
        Block(
            slot="item",
            name="location",
            data={"geo": {"type": "Point", "coordinates": [Decimal("77.61"), Decimal("12.98")]}},
        ),
        Block(slot="item", name="availableQuantity", data=Decimal(20)),
    ),
    valid_from="2031-05-11T00:00:00Z",
    valid_until="2031-05-12T09:00:00Z",
)
ANYTHING = Intent(interval=None)
NEARBY = Nearby(longitude=Decimal("77.59"), latitude=Decimal("12.97"), within_m=Decimal(5000))

each_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


def test_an_offer_tells_what_it_is_about():
    assert listing.interval_of(CHARGER) == HOUR
    assert listing.resource_of(CHARGER) == "charger-1"
    assert listing.price_per_kwh(CHARGER) == (Decimal("5.25"), "INR")
    assert (listing.energy_kwh(CHARGER), listing.available_kwh(CHARGER)) == (Decimal("7.5"), 20)


def test_two_prices_are_no_price():
    terms = (*TERMS, Term(name="night", value=Decimal(4), unit="INR/kWh"))
    deal = replace(CHARGER.deal, roles=(Role(name="prosumer", terms=terms),))
    assert listing.price_per_kwh(replace(CHARGER, deal=deal)) is None
    assert listing.price_per_kwh(replace(CHARGER, deal=None)) is None


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, True),
        ({"provider_id": "mall.example"}, True),
        ({"provider_id": "station.example"}, False),
        ({"connector_type": "IEC_62196_T2_COMBO"}, True),
        ({"connector_type": "CHADEMO"}, False),
        ({"min_power_kw": Decimal(60)}, True),
        ({"min_power_kw": Decimal("60.1")}, False),
        ({"interval": HOUR}, True),
        ({"interval": replace(HOUR, start="2031-05-12T15:30:00+05:30")}, True),
        ({"interval": replace(HOUR, duration_h=Fraction(1, 2))}, False),
        ({"interval": replace(HOUR, start="at noon")}, None),
        ({"nearby": NEARBY}, True),
        ({"nearby": replace(NEARBY, within_m=Decimal(2000))}, False),
        ({"nearby": replace(NEARBY, within_m=Decimal(2436))}, None),
        ({"is_whole": False}, None),
        ({"connector_type": "CHADEMO", "interval": replace(HOUR, start="at noon")}, False),
    ],
)
def test_a_search_finds_what_fits_in_all_that_it_names(asked: dict[str, Any], found: bool | None):
    assert listing.fits(CHARGER, "mall.example", replace(ANYTHING, **asked)) is found


def test_a_thing_that_stands_nowhere_is_not_near():
    nowhere: list[object] = [None, {}, [], {"geo": {"coordinates": [1]}}, {"geo": "77.6, 12.9"}]
    nowhere += [{"geo": {"coordinates": [Decimal("1e400"), 12]}}, {"geo": {"coordinates": [0, 91]}}]
    for data in nowhere:
        offer = replace(CHARGER, blocks=(Block(slot="item", name="location", data=data),))
        assert listing.fits(offer, None, replace(ANYTHING, nearby=NEARBY)) is False


def test_a_degree_of_latitude_is_a_hundred_and_eleven_kilometres():
    assert listing.distance_m((77.0, 12.0), (77.0, 13.0)) == pytest.approx(111_195, rel=1e-4)
    # Bengaluru to Mysuru, as the crow flies.
    assert listing.distance_m((77.5946, 12.9716), (76.6394, 12.2958)) == pytest.approx(
        128_000, rel=0.01
    )


@pytest.mark.parametrize(
    ("minutes", "valid"),
    [(-3000, False), (-60, True), (-0.05, None), (0.05, None), (1, False), (60, False)],
)
def test_an_offer_holds_until_its_end_but_for_the_skew_of_clocks(
    minutes: float, valid: bool | None
):
    end = datetime.fromisoformat("2031-05-12T09:00:00Z")
    at = end + timedelta(minutes=minutes)
    assert listing.is_valid(CHARGER, at, at) is valid


def test_an_offer_without_an_end_holds_for_ever_and_one_with_an_odd_end_perhaps():
    at = datetime.fromisoformat("9999-12-31T23:59:59Z")
    assert listing.is_valid(replace(CHARGER, valid_until=None), at, at) is True
    assert listing.is_valid(replace(CHARGER, valid_until="tomorrow"), at, at) is None


# In both dialects.

TEXTS = st.text("abcAB-./~: é№", min_size=1, max_size=8)
OFFERS = st.builds(
    lambda name, ends, **other: replace(CHARGER, offer_id=name, valid_until=ends, **other),
    TEXTS,
    st.none() | st.just("2031-05-12T09:00:00Z"),
    valid_from=st.none() | st.just("2031-05-11T00:00:00Z"),
)
CATALOGUES = st.lists(
    st.builds(
        Catalogue,
        catalogue_id=TEXTS,
        provider_id=st.just("mall.example"),
        is_active=st.booleans(),
        offers=st.lists(OFFERS, max_size=3, unique_by=lambda offer: offer.offer_id).map(tuple),
    ),
    max_size=3,
).map(tuple)
INTENTS = st.builds(
    Intent,
    interval=st.none() | st.just(HOUR),
    nearby=st.none() | st.just(NEARBY),
    connector_type=st.none() | st.sampled_from(["CHADEMO", "IEC_62196_T2"]),
    min_power_kw=st.none() | st.decimals(0, 999, places=2),
    provider_id=st.none() | st.just("mall.example"),
).filter(lambda intent: intent != ANYTHING)


@each_dialect
@given(catalogues=CATALOGUES)
@settings(max_examples=40, deadline=None)
def test_several_catalogues_are_read_back(dialect, catalogues: tuple[Catalogue, ...]):
    reading = Reading(envelope=Envelope(action="on_discover", bap_id="b"), catalogues=catalogues)
    read = dialect.read(parse_json(dump_json(dialect.compose(reading))))
    assert read.problems == ()
    assert read.catalogues is not None
    assert [replace(one, offers=()) for one in read.catalogues] == [
        replace(one, offers=()) for one in catalogues
    ]
    assert read.offers == tuple(offer for one in read.catalogues for offer in one.offers)
    for theirs, ours in zip(read.catalogues, catalogues, strict=True):
        for found, offer in zip(theirs.offers, ours.offers, strict=True):
            assert (found.offer_id, found.blocks) == (offer.offer_id, offer.blocks)
            assert (found.valid_from, found.valid_until) == (offer.valid_from, offer.valid_until)
            assert found.deal is not None
            assert replace(found.deal, status="PENDING") == offer.deal


@each_dialect
@given(intent=INTENTS)
@settings(max_examples=60, deadline=None)
def test_a_search_is_read_back(dialect, intent: Intent):
    reading = Reading(envelope=Envelope(action="discover", bap_id="b"), intent=intent)
    read = dialect.read(parse_json(dump_json(dialect.compose(reading))))
    assert (read.intent, read.problems) == (intent, ())


@each_dialect
def test_what_became_of_a_publish_is_read_back(dialect):
    results = (
        PublishResult(catalogue_id="a", status="ACCEPTED", offer_count=2),
        PublishResult(catalogue_id="b", status="REJECTED"),
    )
    reading = Reading(envelope=Envelope(action="on_publish", bap_id="b"), results=results)
    assert dialect.read(dialect.compose(reading)).results == results


def test_who_withdraws_an_offer_says_so_as_its_dialect_does():
    withdrawn = replace(CHARGER, is_active=False)
    catalogue = Catalogue(catalogue_id="c", provider_id="p", offers=(CHARGER, withdrawn))
    reading = Reading(envelope=Envelope(action="x", bap_id="b"), catalogues=(catalogue,))
    (order,) = DIALECTS["order"].read(DIALECTS["order"].compose(reading)).catalogues or ()
    assert [offer.is_active for offer in order.offers] == [True, False]
    (contract,) = DIALECTS["contract"].read(DIALECTS["contract"].compose(reading)).catalogues or ()
    assert [offer.is_active for offer in contract.offers] == [True]


def test_a_publish_that_merges_is_told_from_one_that_replaces():
    body = {"context": {"messageId": "m"}, "message": {"catalogs": [{"id": "a"}, {"id": "b"}]}}
    for directives, merging in (
        (None, [False, False]),
        ([{"catalogId": "b", "updateMode": "MERGE"}], [False, True]),
        ({"catalogType": "regular", "updateMode": "MERGE"}, [True, True]),
        ([{"catalogId": "a", "updateMode": "FULL"}], [False, False]),
    ):
        message = body["message"] | ({"publishDirectives": directives} if directives else {})
        read = DIALECTS["contract"].read(body | {"message": message})
        assert [one.merges for one in read.catalogues or ()] == merging


EXPRESSIONS = [
    # beckn/DEG, EV charging: conditions on things, written with a colon in a path.
    (
        "$[?(@.beckn:itemAttributes.connectorType == 'CCS2' && @.itemAttributes.maxPowerKW >= 50)]",
        {"connector_type": "CCS2", "min_power_kw": Decimal(50)},
        True,
    ),
    ("$[?(@.beckn:provider.beckn:id == 'ecopower')]", {"provider_id": "ecopower"}, True),
    ("$[?(@.beckn:id == 'IND*CPO1*evse-01')]", {}, False),
    ("$[?(@.rating >= 4)]", {}, False),
    ("$[?(@.connectorType == 'A' || @.connectorType == 'B')]", {"connector_type": "A"}, False),
    ("$[?(!(@.connectorType == 'A'))]", {"connector_type": "A"}, False),
    ("$[?(@.connectorType != 'A')]", {}, False),
    ("$[?(@.maxPowerKW == 50)]", {}, False),
    ("$[?(@.maxPowerKW >= '50')]", {}, False),
    ("$[?@.stations[0].connectorType == 'A']", {}, False),
    ("", {}, True),
    ("$", {}, True),
    ("@" * 1_000_000, {}, False),
    ("@.a" * 700, {}, False),
]


@pytest.mark.parametrize("spelling", [ORDER_SEARCH, CONTRACT_SEARCH], ids=["order", "contract"])
@pytest.mark.parametrize(("expression", "asked", "whole"), EXPRESSIONS)
def test_an_expression_is_read_by_its_conditions(expression, asked, whole, spelling):
    holder = Cursor({"filters": {"type": "jsonpath", "expression": expression}}, "", [])
    read = read_search(holder, spelling)
    assert read == Intent(interval=None, is_whole=whole, **asked)


@pytest.mark.parametrize(
    "spatial",
    [
        [{"op": "s_within", "targets": "$", "geometry": {"type": "Polygon", "coordinates": [[]]}}],
        [{"op": "s_dwithin", "targets": "$", "geometry": {"type": "Point", "coordinates": [1, 2]}}],
        [{}, {}],
        [7],
    ],
)
def test_a_search_in_another_shape_is_not_whole(spatial: list[Any]):
    problems: list[Any] = []
    read = read_search(Cursor({"spatial": spatial}, "", problems), ORDER_SEARCH)
    assert read is not None
    assert (read.is_whole, read.nearby, problems) == (False, None, [])

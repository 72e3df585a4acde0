"""Dialects: what is written is read back, and no body brings a reader down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.dialects import DIALECTS, recognise
from gridwitness.dialects.base import BadJson, dump_json, parse_json
from gridwitness.dialects.contract import CONTRACT
from gridwitness.dialects.deals import HELD
from gridwitness.dialects.order import ORDER
from gridwitness.dialects.tables import COLUMNS
from gridwitness.reference_impl.curves import Point
from gridwitness.reference_impl.terms import MODES
from gridwitness.views import (
    Approval,
    Bill,
    Block,
    Charges,
    ClearingResult,
    Column,
    Deal,
    Due,
    EnergyContract,
    Envelope,
    Intent,
    Interval,
    IntervalTable,
    MeterReading,
    Offer,
    OfferCurve,
    Part,
    Position,
    ProtocolError,
    Reading,
    RevenueFlow,
    Role,
    SettlementReport,
    Source,
    Term,
    View,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridwitness.dialects.base import Dialect, Json

each_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)

# Plausible views.

NAMES = st.text("abcAB-./~: é№", min_size=1, max_size=8)
NUMBERS = st.decimals(-99999, 99999, places=4) | st.integers(-(10**9), 10**9).map(Decimal)
POSITIVE = st.decimals(0, 9999, places=3)
CURRENCIES = st.sampled_from(["INR", "EUR", "JPY"])


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


ENVELOPES = st.builds(
    Envelope,
    action=st.sampled_from(["discover", "on_discover", "init", "on_confirm", "on_status"]),
    version=optional(st.just("2.0.0")),
    bap_id=optional(NAMES),
    bap_uri=optional(st.just("https://bap.example/beckn")),
    bpp_id=optional(NAMES),
    bpp_uri=optional(st.just("https://bpp.example/beckn")),
    transaction_id=optional(st.uuids().map(str)),
    message_id=st.uuids().map(str),
    timestamp=optional(st.just("2026-01-01T00:00:00Z")),
    ttl=optional(st.sampled_from(["PT30S", "PT1M"])),
    network_id=optional(NAMES),
)
INTERVALS = st.builds(
    Interval,
    start=st.datetimes().map(lambda time: f"{time.isoformat()}+05:30"),
    duration_h=st.integers(1, 172_800).map(lambda seconds: Fraction(seconds, 3600)),
)
CHARGES = st.builds(
    Charges,
    currency=CURRENCIES,
    fee_per_kwh=optional(POSITIVE),
    wheeling_buyer_per_kwh=optional(POSITIVE),
    wheeling_seller_per_kwh=optional(POSITIVE),
    penalty_per_kwh=optional(POSITIVE),
    penalty_band=optional(st.decimals(0, 1, places=2)),
    mode=optional(st.sampled_from(MODES)),
    virtual_meter_per_kwh=optional(POSITIVE),
    short_price_per_kwh=optional(NUMBERS),
    long_price_per_kwh=optional(NUMBERS),
    rounding=optional(st.sampled_from(["HALF_UP", "HALF_EVEN"])),
    minor_unit=optional(st.integers(0, 4)),
)
OFFERS = st.builds(
    Offer,
    offer_id=NAMES,
    provider_id=optional(NAMES),
    pricing_model=st.sampled_from(["PAY_AS_CLEAR", "PAY_AS_BID", None]),
    clearing_agent_id=optional(NAMES),
    interval=optional(INTERVALS),
    charges=optional(CHARGES),
)
SETTLEMENTS = st.builds(
    SettlementReport,
    flows=st.lists(
        st.builds(
            RevenueFlow,
            payer=NAMES,
            payee=NAMES,
            kind=st.sampled_from(["ENERGY", "FEE", "WHEELING_REMIT"]),
            amount=NUMBERS,
            currency=CURRENCIES,
        ),
        max_size=3,
    ).map(tuple),
    positions=st.lists(
        st.builds(Position, party=NAMES, value=NUMBERS, currency=CURRENCIES), max_size=3
    ).map(tuple),
)
CONTRACTS = st.builds(
    EnergyContract,
    contract_id=optional(NAMES),
    status=st.sampled_from(["PENDING", "ACTIVE", "COMPLETED", "TERMINATED"]),
    offer_id=optional(NAMES),
    participant_id=NAMES,
    clearing_agent_id=optional(NAMES),
    grid_operator_id=optional(NAMES),
    meter_id=optional(NAMES),
    interval=INTERVALS,  # in the contract dialect numbers stand in the table of an interval
    requested_kw=optional(NUMBERS),
    approval=optional(
        st.builds(
            Approval,
            approved_max_trade_kw=NUMBERS,
            sanctioned_load_kw=optional(NUMBERS),
            committed_kw=optional(NUMBERS),
        )
    ),
    charges=optional(CHARGES),
    clearing=optional(
        st.builds(
            ClearingResult, cleared_power_kw=NUMBERS, clearing_price_per_kwh=optional(NUMBERS)
        )
    ),
    readings=st.lists(st.builds(MeterReading, meter_id=NAMES, energy_kwh=NUMBERS), max_size=3).map(
        tuple
    ),
    settlement=optional(SETTLEMENTS),
)


@st.composite
def curves(draw: st.DrawFn) -> OfferCurve:
    """Draw a curve, valid or not, whose bounds are its ends, as the contract dialect has it."""
    points = tuple(draw(st.lists(st.builds(Point, NUMBERS, NUMBERS), min_size=1, max_size=4)))
    return OfferCurve(
        currency=draw(CURRENCIES),
        min_export_kw=points[0].power_kw,
        max_export_kw=points[-1].power_kw,
        points=points,
    )


@st.composite
def contracts(draw: st.DrawFn) -> EnergyContract:
    return replace(draw(CONTRACTS), curve=draw(optional(curves())))


TERMS = st.builds(Term, name=NAMES, value=NUMBERS, unit=optional(st.just("INR/kWh")))
BLOCKS = st.dictionaries(
    st.sampled_from([(slot, name) for slot in ("contract", "fulfilment") for name in HELD[slot]]),
    st.dictionaries(NAMES, NUMBERS, min_size=1),
    max_size=3,
)
ROLE_NAMES = ("consumer", "charging operator", "utility", "buyer's ledger".replace("'s", ""))
DEALS = st.builds(
    Deal,
    contract_id=optional(NAMES),
    status=st.sampled_from(["PENDING", "ACTIVE", "COMPLETED", "TERMINATED"]),
    offer_id=optional(NAMES),
    resource_id=st.just("charger-1"),
    provider_id=st.just("bpp.example"),
    customer_id=st.just("bap.example"),
    interval=optional(INTERVALS),
    roles=st.lists(
        st.builds(
            Role,
            name=st.sampled_from(ROLE_NAMES),
            holder_id=st.just("bpp.example"),
            meter_id=optional(NAMES),
            terms=st.lists(TERMS, max_size=2).map(tuple),
        ),
        max_size=3,
    ).map(lambda rest: (Role(name="ev app", holder_id="bap.example"), *rest)),
    dues=st.lists(
        st.builds(
            Due,
            payer=st.sampled_from(ROLE_NAMES),
            payee=st.sampled_from(ROLE_NAMES),
            kind=st.sampled_from(["ENERGY", "FEE"]),
            formula=st.just("price * energy"),
        ),
        max_size=2,
    ).map(tuple),
    sources=st.lists(
        st.builds(Source, name=NAMES, kind=st.just("METER_READING"), meter_id=optional(NAMES)),
        max_size=2,
    ).map(tuple),
    minor_unit=optional(st.integers(0, 4)),
    rounding=optional(st.sampled_from(["HALF_UP", "HALF_EVEN"])),
    readings=st.lists(
        st.builds(
            MeterReading,
            meter_id=NAMES,
            energy_kwh=NUMBERS,
            start=optional(st.just("2031-05-12T10:00:00Z")),
        ),
        max_size=2,
    ).map(tuple),
    settlement=optional(SETTLEMENTS.filter(lambda report: report.flows and report.positions)),
    bill=optional(
        st.builds(
            Bill,
            value=NUMBERS,
            currency=CURRENCIES,
            parts=st.just((Part(kind="UNIT", amount=Decimal(1), text="Energy"),)),
            energy_kwh=optional(NUMBERS),
            is_due=st.booleans(),
        )
    ),
)


@st.composite
def interval_tables(draw: st.DrawFn) -> IntervalTable:
    """Draw a table in which some cells are empty, and some hold several values."""
    units = optional(st.sampled_from(["kWh", "kW", "INR/kWh", "PERCENT"]))
    names = draw(
        st.lists(st.sampled_from([*COLUMNS, "SOC_END"]), unique=True, min_size=1, max_size=4)
    )
    values = st.lists(NUMBERS, min_size=1, max_size=3).map(tuple)
    row = st.fixed_dictionaries({}, optional=dict.fromkeys(names, values)).filter(bool)
    return IntervalTable(
        interval=draw(INTERVALS),
        columns=tuple(
            Column(name=name, unit=draw(units), role=draw(optional(st.sampled_from(ROLE_NAMES))))
            for name in names
        ),
        rows=tuple(draw(st.lists(row, min_size=1, max_size=3))),
    )


@st.composite
def deals(draw: st.DrawFn) -> Deal:
    held = draw(BLOCKS)
    placed = sorted(held, key=lambda key: (key[0], HELD[key[0]].index(key[1])))
    blocks = tuple(Block(slot=slot, name=name, data=held[slot, name]) for slot, name in placed)
    table = draw(optional(interval_tables()))
    deal = replace(draw(DEALS), blocks=blocks, table=table)
    steps = {"offered price", "offered capacity"}
    odd = table is not None and any(steps <= row.keys() for row in table.rows)
    return replace(deal, table=None) if odd else deal


def in_order(deal: Deal | None) -> Deal | None:
    """Put the columns of its table in an order: which stands first means nothing."""
    if deal is None or deal.table is None:
        return deal
    columns = tuple(sorted(deal.table.columns, key=lambda column: column.name))
    return replace(deal, table=replace(deal.table, columns=columns))


@each_dialect
@given(deal=deals(), envelope=ENVELOPES)
@settings(max_examples=60, deadline=None)
def test_a_deal_is_read_back(dialect: Dialect, deal: Deal, envelope: Envelope):
    body = parse_json(dump_json(dialect.compose(Reading(envelope=envelope, deal=deal))))
    read = dialect.read(body)
    assert in_order(read.deal) == in_order(deal)
    assert read.problems == ()
    assert read.contract is not None
    assert (read.contract.contract_id, read.contract.status) == (deal.contract_id, deal.status)


@each_dialect
@given(deal=deals(), envelope=ENVELOPES)
@settings(max_examples=30, deadline=None)
def test_an_offered_deal_is_read_back(dialect: Dialect, deal: Deal, envelope: Envelope):
    offered = Deal(
        status="PENDING",
        resource_id=deal.resource_id,
        interval=deal.interval,
        roles=deal.roles,
        dues=deal.dues,
        sources=deal.sources,
        table=deal.table,
    )
    blocks = (
        Block(slot="offer", name="tariff", data={"currency": "INR"}),
        Block(slot="item", name="maxPowerKW", data=Decimal(22)),
    )
    offer = Offer(
        offer_id="o",
        provider_id="bpp.example",
        pricing_model=None,
        clearing_agent_id=None,
        interval=None,
        charges=None,
        deal=offered,
        blocks=blocks,
    )
    written = dialect.compose(Reading(envelope=envelope, offers=(offer,)))
    (read,) = dialect.read(parse_json(dump_json(written))).offers
    assert (read.offer_id, read.blocks) == ("o", blocks)
    assert read.deal is not None
    assert replace(read.deal, status="PENDING") == offered


READINGS = st.one_of(
    st.builds(Reading, envelope=ENVELOPES),
    st.builds(Reading, envelope=ENVELOPES, intent=st.builds(Intent, interval=INTERVALS)),
    st.builds(
        Reading, envelope=ENVELOPES, offers=st.lists(OFFERS, min_size=1, max_size=3).map(tuple)
    ),
    st.builds(Reading, envelope=ENVELOPES, contract=contracts()),
    st.builds(
        Reading,
        envelope=ENVELOPES,
        error=st.builds(ProtocolError, code=optional(NAMES), text=optional(NAMES)),
    ),
)


@each_dialect
@given(reading=READINGS)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(dialect: Dialect, reading: Reading):
    read = dialect.read(dialect.compose(reading))
    assert read == reading
    assert read.problems == ()


@each_dialect
@given(reading=READINGS)
@settings(max_examples=60, deadline=None)
def test_what_is_sent_is_read_back(dialect: Dialect, reading: Reading):
    body = parse_json(dump_json(dialect.compose(reading)))
    assert dialect.read(body) == reading
    assert recognise(body) is dialect


@given(
    curve=curves(),
    low=NUMBERS,
    high=NUMBERS,
    currency=optional(CURRENCIES),
    envelope=ENVELOPES,
)
@settings(max_examples=60, deadline=None)
def test_the_order_dialect_keeps_bounds_that_are_not_the_ends(
    curve: OfferCurve, low: Decimal, high: Decimal, currency: str | None, envelope: Envelope
):
    odd = replace(curve, min_export_kw=low, max_export_kw=high, currency=currency)
    reading = Reading(envelope=envelope, contract=EnergyContract(curve=odd, participant_id="p"))
    assert ORDER.read(ORDER.compose(reading)).contract == reading.contract


@each_dialect
def test_a_curve_without_a_currency_stays_without(dialect: Dialect):
    points = (Point(Decimal(1), Decimal(0)),)
    curve = OfferCurve(
        currency=None, min_export_kw=Decimal(0), max_export_kw=Decimal(0), points=points
    )
    contract = EnergyContract(
        status="PENDING",
        participant_id="p",
        interval=Interval(start="2026-01-01T00:00:00Z", duration_h=Fraction(1)),
        curve=curve,
    )
    reading = Reading(envelope=Envelope(action="init"), contract=contract)
    assert dialect.read(dialect.compose(reading)) == reading


@each_dialect
def test_an_envelope_is_written_by_the_keys_it_names(dialect: Dialect):
    names = [one.name for one in fields(Envelope) if one.name != "at"]
    written = Envelope(**{name: name for name in names})
    context = dialect.compose(Reading(envelope=written))["context"]
    for name in names:
        key = dialect.context_key(name)
        assert context[key] in (name, [name])
    assert set(dialect.mandatory_context) <= set(names)


# Pointers.


def resolved(body: Json, pointer: str) -> Json:
    """Follow a JSON Pointer; a KeyError or an IndexError where it leads nowhere."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        body = body[int(key)] if isinstance(body, list) else body[key]
    return body


def views_in(value: object) -> Iterator[View]:
    """Yield a view and every view in it."""
    if isinstance(value, tuple):
        for item in value:
            yield from views_in(item)
    if isinstance(value, View):
        yield value
    if is_dataclass(value):
        for one in fields(value):
            yield from views_in(getattr(value, one.name))


def assert_pointers(dialect: Dialect, reading: Reading):
    """Follow every pointer of a field that is there, and compare what it leads to."""
    body = dialect.compose(reading)
    for view in views_in(dialect.read(body)):
        for name, pointer in view.at.items():
            value = getattr(view, name) if name else view
            if value is None or value == ():
                continue
            there = resolved(body, pointer)
            if isinstance(value, Decimal) or (isinstance(value, str) and name != "status"):
                assert there == value
            elif isinstance(value, tuple):
                assert len(there) == len(value)


@each_dialect
@given(reading=READINGS)
@settings(max_examples=60, deadline=None)
def test_a_view_points_to_where_it_was_read(dialect: Dialect, reading: Reading):
    assert_pointers(dialect, reading)


def test_a_field_without_a_pointer_points_to_its_view():
    envelope = Envelope(action="init", at={"": "/context", "action": "/context/action"})
    assert envelope.pointer("action") == "/context/action"
    assert envelope.pointer("ttl") == "/context"
    assert Envelope(action="init").pointer("action") == ""


# Recognition.


@each_dialect
@pytest.mark.parametrize("version", ["2.0.0", "1.1.0", 2, None])
def test_a_dialect_is_recognised_by_its_shape_and_not_by_its_version(
    dialect: Dialect, version: Json
):
    context = dialect.compose(Reading(envelope=Envelope(action="init", message_id="m")))["context"]
    assert recognise({"context": context | {"version": version}}) is dialect


@pytest.mark.parametrize("key", ["message_id", "transaction_id", "bap_id"])
def test_the_order_dialect_is_told_by_any_key_in_snake_case(key: str):
    assert recognise({"context": {key: "x"}, "message": {"contract": {}}}) is ORDER


@pytest.mark.parametrize("key", ["messageId", "transactionId", "bapId"])
def test_the_contract_dialect_is_told_by_any_key_in_camel_case(key: str):
    assert recognise({"context": {key: "x"}, "message": {"order": {}}}) is CONTRACT


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        "context",
        0,
        {"context": None},
        {"context": []},
        {"context": "message_id"},
        {"context": {"version": "2.0.0", "action": "init"}},
        {"context": {"message_id": None}},
        [{"context": {"message_id": "x"}}],
    ],
)
def test_what_has_the_shape_of_none_is_not_recognised(body: Json):
    assert recognise(body) is None


# Hostile bodies.

WHOLE = Reading(
    envelope=Envelope(action="on_status", bap_id="a", message_id="m", network_id="n"),
    contract=EnergyContract(
        contract_id="c",
        status="COMPLETED",
        offer_id="o",
        participant_id="p",
        clearing_agent_id="a",
        grid_operator_id="g",
        meter_id="m",
        interval=Interval(start="2026-01-01T00:00:00Z", duration_h=Fraction(1, 4)),
        curve=OfferCurve(
            currency="INR",
            min_export_kw=Decimal(0),
            max_export_kw=Decimal(5),
            points=(Point(Decimal("0.05"), Decimal(0)), Point(Decimal("0.07"), Decimal(5))),
        ),
        requested_kw=Decimal(5),
        approval=Approval(
            approved_max_trade_kw=Decimal(5), sanctioned_load_kw=Decimal(9), committed_kw=Decimal(1)
        ),
        charges=Charges(
            currency="INR",
            fee_per_kwh=Decimal("0.1"),
            mode="AS_CLEARED",
            rounding="HALF_UP",
            minor_unit=2,
        ),
        clearing=ClearingResult(
            cleared_power_kw=Decimal(5), clearing_price_per_kwh=Decimal("0.07")
        ),
        readings=(MeterReading(meter_id="m", energy_kwh=Decimal("1.25")),),
        settlement=SettlementReport(
            flows=(
                RevenueFlow(
                    payer="a", payee="p", kind="ENERGY", amount=Decimal("0.09"), currency="INR"
                ),
            ),
            positions=(Position(party="p", value=Decimal("0.09"), currency="INR"),),
        ),
    ),
)
OFFERED = Reading(
    envelope=Envelope(action="on_discover", message_id="m", bpp_id="b"),
    offers=(
        Offer(
            offer_id="o",
            provider_id="b",
            pricing_model="PAY_AS_CLEAR",
            clearing_agent_id="b",
            interval=WHOLE.contract.interval if WHOLE.contract else None,
            charges=Charges(currency="INR"),
        ),
    ),
)
ASKED = Reading(
    envelope=Envelope(action="discover", message_id="m"),
    intent=Intent(interval=Interval(start="2026-01-01T00:00:00Z", duration_h=Fraction(1))),
)
REFUSED = Reading(
    envelope=Envelope(action="on_init", message_id="m"), error=ProtocolError(code="1", text="no")
)
BODIES = {"a contract": WHOLE, "offers": OFFERED, "an intent": ASKED, "an error": REFUSED}
HOSTILE = (
    None,
    True,
    "5",
    "",
    0,
    -1,
    10**400,
    Decimal("1E+400"),
    Decimal("0.5"),
    Decimal("1E-400"),
    [],
    {},
    [[]],
    [None],
    ["x", 1, None, {}],
    {"": None},
    {"id": {"id": {}}},
)


def places(value: Json, pointer: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to everything in a body, the whole included."""
    yield pointer
    items: Iterable[Any] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from places(item, (*pointer, key))


def with_replaced(value: Json, place: tuple[Any, ...], new: Json) -> Json:
    if not place:
        return new
    changed = dict(value) if isinstance(value, Mapping) else list(value)
    changed[place[0]] = with_replaced(value[place[0]], place[1:], new)
    return changed


@each_dialect
@pytest.mark.parametrize("reading", BODIES.values(), ids=BODIES)
def test_a_view_of_a_whole_body_points_to_where_it_was_read(dialect: Dialect, reading: Reading):
    assert_pointers(dialect, reading)


@each_dialect
@pytest.mark.parametrize("reading", BODIES.values(), ids=BODIES)
def test_a_wrong_value_anywhere_is_read_without_an_error(dialect: Dialect, reading: Reading):
    body = dialect.compose(reading)
    assert dialect.read(body) == reading
    for place in places(body):
        for value in HOSTILE:
            spoiled = with_replaced(body, place, value)
            recognise(spoiled)
            for reader in DIALECTS.values():
                read = reader.read(spoiled)
                assert all(one.message for one in read.problems)


@each_dialect
def test_a_missing_member_anywhere_is_read_without_an_error(dialect: Dialect):
    for reading in BODIES.values():
        body = dialect.compose(reading)
        for *path, key in filter(None, places(body)):
            inner = body
            for step in path:
                inner = inner[step]
            rest = (
                {name: item for name, item in inner.items() if name != key}
                if isinstance(inner, Mapping)
                else [item for index, item in enumerate(inner) if index != key]
            )
            dialect.read(with_replaced(body, tuple(path), rest))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["context", "message", "order", "contract", "catalogs", "intent", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@each_dialect
@given(body=JSON_VALUES)
@settings(max_examples=60, deadline=None)
def test_any_json_is_read_without_an_error(dialect: Dialect, body: Json):
    recognise(body)
    assert dialect.read(body).envelope is not None


@each_dialect
def test_a_body_nested_as_deep_as_json_may_be_is_read(dialect: Dialect):
    body = parse_json(b'{"message":' * 150 + b"[" * 150 + b"]" * 150 + b"}" * 150)
    assert dialect.read(body).contract is None


def value_of_number(value: Json) -> tuple[Decimal | None, list[str]]:
    """Read a number in the place of an approved power; also gives what was noted."""
    place = ("message", "order", "beckn:orderAttributes", "inputParameters", "approvedMaxTradeKW")
    read = ORDER.read(with_replaced(ORDER.compose(WHOLE), place, value))
    assert read.contract is not None
    approval = read.contract.approval
    return (
        approval.approved_max_trade_kw if approval else None,
        [one.message for one in read.problems],
    )


@pytest.mark.parametrize("value", ["5", True, False, [], [5], {}, {"value": 5}])
def test_what_is_not_a_number_is_absent_and_noted(value: Json):
    assert value_of_number(value) == (None, ["is not a number"])


@pytest.mark.parametrize(
    "value",
    [10**15, -(10**15), Decimal("1E+400"), 10**400, Decimal("1E-400"), Decimal("1E+1000000")],
)
def test_a_number_beyond_anything_physical_is_absent_and_noted(value: Json):
    assert value_of_number(value) == (None, ["is out of any physical range"])


@pytest.mark.parametrize("value", [10**15 - 1, -(10**15) + 1, 0, Decimal("0.001"), 5])
def test_a_number_within_reason_is_read_exactly(value: Json):
    assert value_of_number(value) == (Decimal(value), [])


def test_a_problem_points_to_where_it_is():
    place = ("message", "order", "beckn:orderAttributes", "inputParameters", "approvedMaxTradeKW")
    body = with_replaced(ORDER.compose(WHOLE), place, "5")
    (problem,) = ORDER.read(body).problems
    assert resolved(body, problem.pointer) == "5"


def problems_of(dialect: Dialect, place: str, value: Json) -> list[tuple[str, str]]:
    """Replace what a pointer leads to in the whole contract; gives every problem."""
    body = dialect.compose(WHOLE)
    path = tuple(int(key) if key.isdecimal() else key for key in place.split("/")[1:])
    found = dialect.read(with_replaced(body, path, value)).problems
    return [(one.pointer, one.message) for one in found]


BLOCK = "/message/order/beckn:orderAttributes"
PAYLOADS = "/message/contract/commitments/0/commitmentAttributes/intervals/0/payloads"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("/message/order", [], "is not an object"),
        (f"{BLOCK}/status", 1, "is not a string"),
        (f"{BLOCK}/roles", {}, "is not an array"),
        (f"{BLOCK}/inputParameters/tradeWindow", "PT1H", "is not an object"),
        (
            f"{BLOCK}/inputParameters/tradeWindow/duration",
            "an hour",
            "is not an ISO 8601 duration above zero",
        ),
        (
            f"{BLOCK}/inputParameters/tradeWindow/duration",
            "P1M",
            "is not an ISO 8601 duration above zero",
        ),
        (f"{BLOCK}/inputParameters/tradeWindow/startTime", None, "is missing"),
        (f"{BLOCK}/inputParameters/charges/currency", None, "is missing"),
        (
            f"{BLOCK}/inputParameters/charges/rounding",
            "DOWN",
            "is none of HALF_UP, HALF_EVEN",
        ),
        (
            f"{BLOCK}/inputParameters/charges/settlementMode",
            "AS_IT_COMES",
            "is none of AS_CLEARED, TWO_SETTLEMENT, ACTUALS_CAPPED, VIRTUAL_METER",
        ),
        (f"{BLOCK}/inputParameters/charges/minorUnit", 5, "is not between 0 and 4"),
        (f"{BLOCK}/inputParameters/charges/minorUnit", -1, "is not between 0 and 4"),
        (
            f"{BLOCK}/inputParameters/charges/minorUnit",
            Decimal("1.5"),
            "is not a whole number",
        ),
        (f"{BLOCK}/settlement/flows/0/amount", None, "is missing"),
        (f"{BLOCK}/settlement/flows/0/amount", "0.09", "is not a number"),
        (f"{BLOCK}/settlement/positions/0/party", None, "is missing"),
        (f"{BLOCK}/roles/1/roleInputs/offerCurve/minExport", None, "is missing"),
        (f"{BLOCK}/roles/1/roleInputs/offerCurve/curve/0/price", "0.05", "is not a number"),
    ],
)
def test_a_wrong_value_in_the_order_dialect_is_noted_where_it_stands(
    place: str, value: Json, message: str
):
    assert problems_of(ORDER, place, value) == [(place, message)]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("/message/contract", "c", "is not an object"),
        (f"{PAYLOADS}/0/values/1", "0.07", "is not a number"),
        (f"{PAYLOADS}/1/values", [0], "has not as many values as OFFER_PRICE"),
        ("/message/contract/performance/0/performanceAttributes/meters/0/meterId", 7, None),
    ],
)
def test_a_wrong_value_in_the_contract_dialect_is_noted(
    place: str, value: Json, message: str | None
):
    assert problems_of(CONTRACT, place, value)[0] == (
        place,
        message or "is not a string",
    )


# Bytes.


def test_a_decimal_of_many_digits_is_written_whole():
    many = Decimal("4.999999999999999999999")
    assert parse_json(dump_json({"power": many})) == {"power": many}


@pytest.mark.parametrize("raw", [rb'"\ud800"', rb'{"a": "\udc00x"}'])
def test_half_a_character_is_bad_json(raw: bytes):
    with pytest.raises(BadJson):
        parse_json(raw)


def test_a_whole_pair_of_halves_is_a_character():
    assert parse_json(rb'"\ud83d\ude00"') == "\N{GRINNING FACE}"


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_a_decimal_that_is_not_finite_is_refused(number: str):
    with pytest.raises(ValueError, match="is no JSON number"):
        dump_json({"price": Decimal(number)})


@pytest.mark.parametrize("raw", [b"1e9999999999999999999", b"-1e9999999999999999999"])
def test_an_exponent_beyond_reason_is_bad_json(raw: bytes):
    with pytest.raises(BadJson):
        parse_json(raw)


def test_a_number_with_endless_digits_is_absent_and_noted():
    assert value_of_number(Decimal("0." + "3" * 40)) == (
        None,
        ["has more digits than any meter or market"],
    )


def test_a_float_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_json({"price": float("nan")})


def test_what_is_written_is_json_for_others_too():
    body = ORDER.compose(WHOLE)
    assert json.loads(dump_json(body))["context"]["message_id"] == "m"


def test_a_capacity_without_a_price_of_its_own_is_no_curve():
    """Who answers a posted price offers a capacity alone."""
    payloads = [{"type": "CAPACITY_OFFERED", "values": [150]}]
    series = {"@type": "TimeSeries", "intervals": [{"id": 0, "payloads": payloads}]}
    body = {
        "context": {"messageId": "m", "action": "init"},
        "message": {"contract": {"commitments": [{"commitmentAttributes": series}]}},
    }
    reading = DIALECTS["contract"].read(body)
    assert reading.contract is not None
    assert (reading.contract.curve, reading.problems) == (None, ())

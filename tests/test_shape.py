"""Shape: the schemas are whole, the two validators agree, and each fault is told once."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from gridwitness.acks import Refusal, write_ack
from gridwitness.dialects import recognise
from gridwitness.dialects.base import dump_json, parse_json
from gridwitness.formats import FORMATS
from gridwitness.judgement import judge
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.rules import rules
from gridwitness.rules.shape import ANSWERS
from gridwitness.shape import (
    BASE,
    MOST_ERRORS,
    documents,
    known_action,
    places_of_blocks,
    shape_of,
    slots_in,
    validator,
)
from gridwitness.trace import Message, Trace
from gridwitness.views import Envelope
from tests.conftest import SEED, SPEAKS, small_market, small_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome

DOCUMENTS = documents()
ROOM = Path(__file__).parent.parent / "schemas"
SLOT_NAMES = {
    *("item", "offer", "contract", "commitment", "fulfilment", "provider", "participant"),
    *("payment", "settlement", "support", "rating", "message"),
}
each_document = pytest.mark.parametrize("name", DOCUMENTS)
each_dialect = pytest.mark.parametrize("dialect", ["order", "contract"])


def subschemas(schema: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield at, schema
        for key, inner in schema.items():
            if key not in ("enum", "const", "required"):
                yield from subschemas(inner, f"{at}/{key}")
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from subschemas(inner, f"{at}/{index}")


def registry() -> Registry[Any]:
    return Registry().with_resources(
        (name, Resource.from_contents(document)) for name, document in DOCUMENTS.items()
    )


# -- the documents


@each_document
def test_a_document_is_a_valid_schema_and_lies_where_its_id_says(name: str):
    document = DOCUMENTS[name]
    Draft202012Validator.check_schema(document)
    assert (ROOM / name.removeprefix(BASE)).is_file()
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert all(len(document[key]) > 3 for key in ("title", "description", "$comment"))


TOLD = {"required", "additionalProperties", "type", "enum", "const", "format", "pattern"}
TOLD |= {"anyOf", "not", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"}
SILENT = {"$schema", "$id", "$ref", "$defs", "$comment", "title", "description"}
SILENT |= {"properties", "items", "allOf", "if", "then", "else"}


@each_document
def test_a_keyword_is_one_whose_failure_can_be_told(name: str):
    for at, schema in subschemas(DOCUMENTS[name]):
        if not at.endswith(("/properties", "/$defs")):
            assert schema.keys() <= TOLD | SILENT, at
        for branch in schema.get("anyOf", ()):
            assert branch.keys() <= {"required"}, at


@each_document
def test_every_reference_leads_to_a_schema_of_ours(name: str):
    resolver = registry().resolver(name)
    for at, schema in subschemas(DOCUMENTS[name]):
        if "$ref" in schema:
            assert isinstance(resolver.lookup(schema["$ref"]).contents, dict), at


def test_no_schema_leads_back_to_itself():
    """Then no message, however deep, makes a validator recurse without end."""
    resolver = registry().resolver()

    def walk(uri: str, way: tuple[str, ...]) -> None:
        assert uri not in way
        if uri not in done:
            base = urldefrag(uri).url
            for _, schema in subschemas(resolver.lookup(uri).contents):
                if "$ref" in schema:
                    walk(urljoin(base, schema["$ref"]), (*way, uri))
            done.add(uri)

    done: set[str] = set()
    for name, document in DOCUMENTS.items():
        for definition in document.get("$defs", {}):
            walk(f"{name}#/$defs/{definition}", ())
        if "properties" in document:
            walk(name, ())


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if "/energy/" in name])
def test_every_quantity_of_the_vocabulary_has_a_title_a_unit_and_a_source(name: str):
    for at, schema in subschemas(DOCUMENTS[name]):
        if schema.get("type") in ("number", "integer"):
            assert name == f"{BASE}energy/quantities.json", at
            assert schema["title"]
            assert schema["description"].startswith("Unit: "), at
            assert schema["$comment"], at
        if str(schema.get("$ref", "")).startswith("quantities.json"):
            assert schema.get("title") or schema["$ref"].endswith("point"), at


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if "/energy/" not in name])
def test_a_format_is_one_that_is_checked(name: str):
    formats = {schema["format"] for _, schema in subschemas(DOCUMENTS[name]) if "format" in schema}
    assert formats <= FORMATS.keys()


def test_every_block_has_a_document_and_a_slot():
    with_type = {
        document["properties"]["@type"]["const"]
        for name, document in DOCUMENTS.items()
        if "/energy/" in name and "@type" in document.get("properties", {})
    }
    assert set(places_of_blocks()) == with_type
    assert {slot for slots in places_of_blocks().values() for slot in slots} <= SLOT_NAMES


def slot_paths(schema: Any, base: str, at: tuple[str, ...]) -> Iterator[str]:
    """Find the way to every slot below a schema, as the table of slots writes it."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        uri = urljoin(base, schema["$ref"])
        if uri.endswith("parts.json#/$defs/slot"):
            yield "/".join(at)
            return
        inner = registry().resolver().lookup(uri).contents
        yield from slot_paths(inner, urldefrag(uri).url, at)
    for key, inner in schema.get("properties", {}).items():
        yield from slot_paths(inner, base, (*at, key))
    yield from slot_paths(schema.get("items"), base, (*at, "*"))
    for inner in [*(schema.get(key) for key in ("if", "then", "else")), *schema.get("allOf", [])]:
        yield from slot_paths(inner, base, at)


@each_dialect
def test_the_table_of_slots_names_exactly_the_slots_of_the_schemas(dialect: str):
    base = f"{BASE}{dialect}/actions.json"
    found = {
        path
        for action, schema in DOCUMENTS[base]["$defs"].items()
        if known_action(dialect, action)
        for path in slot_paths(schema, base, ())
    }

    def body_with(path: str) -> Any:
        value: Any = {"@type": path}
        for key in reversed(path.split("/")):
            value = [value] if key == "*" else {key: value}
        return value

    assert len(found) >= 13
    for path in found:
        slots = list(slots_in(dialect, body_with(path)))
        assert [slot.value["@type"] for slot in slots] == [path]
        assert slots[0].name in SLOT_NAMES
        assert slots[0].pointer == "/" + path.replace("*", "0")
    assert found == set(_table_of(dialect))


def _table_of(dialect: str) -> list[str]:
    import tomllib

    return list(tomllib.loads((ROOM / "slots.toml").read_text("utf-8"))[dialect])


@pytest.mark.parametrize(
    ("dialect", "action", "known"),
    [
        ("order", "catalog_publish", "catalog_publish"),
        ("order", "catalog/publish", "catalog_publish"),
        ("order", "catalog/on_publish", "on_catalog_publish"),
        ("order", "rating", "rating"),
        ("order", "rate", None),
        ("contract", "rate", "rate"),
        ("contract", "catalog/on_subscription", "on_catalog_subscription"),
        ("contract", "catalog/master/search", "catalog_master_search"),
        ("contract", "catalog/master_search", "catalog_master_search"),
        ("contract", "search", None),
        ("contract", "intent", None),
        ("contract", "", None),
        ("elsewhere", "select", None),
        (None, "select", None),
    ],
)
def test_an_action_is_known_by_every_published_name(dialect, action, known):
    assert known_action(dialect, action) == known


# -- formats


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("uuid", "6fa459ea-ee8a-4ca4-894e-db77e160355e", "6fa459eaee8a4ca4894edb77e160355e"),
        ("uri", "urn:example:a?b#c", "//example.org/a"),
        ("uri", "https://example.org/%41[0]", "https://example.org/a b"),
        ("date-time", "2026-02-28T23:59:60Z", "2026-02-29T10:00:00Z"),
        ("date-time", "2026-02-28t10:00:00.25+05:30", "2026-02-28T10:00:00"),
        ("date", "2028-02-29", "2028-02-30"),
        ("time", "06:00:00+05:30", "06:00:00"),
        ("time", "23:59:59Z", "24:00:00Z"),
        ("time-or-instant", "06:00:00Z", "six"),
        ("time-or-instant", "2026-01-01T06:00:00Z", "2026-01-01"),
        ("duration", "PT15M", "P"),
        ("duration", "P1DT0.5S", "PT"),
        ("email", "a@example.org", "a at example.org"),
    ],
)
def test_a_format_tells_right_from_wrong(name: str, right: str, wrong: str):
    assert FORMATS[name](right)
    assert not FORMATS[name](wrong)
    assert not FORMATS[name](right + "\n")


# -- the messages of a market


@pytest.fixture(scope="module")
def traces() -> dict[str, Trace]:
    with Sandbox(SEED, speaks=SPEAKS) as sandbox:
        return {dialect: small_market(sandbox, dialect) for dialect in ("order", "contract")}


@pytest.fixture(scope="module")
def bodies(traces: dict[str, Trace]) -> dict[str, list[Any]]:
    """One body of each action of a market, by dialect."""
    return {
        dialect: list({message.action: message.body for message in trace.beckn}.values())
        for dialect, trace in traces.items()
    }


@each_dialect
def test_what_we_say_has_the_right_shape(traces, dialect: str):
    judgement = judge(traces[dialect], None)
    mine = [one.id for one in rules().values() if one.family == "SHP"]
    assert len(mine) >= 8
    assert {judgement.verdicts[rule_id] for rule_id in mine} == {"passed"}
    assert {slot.block for m in traces[dialect].beckn for slot in m.shape.slots} >= {
        "EnergyContract",
        "EnergyOffer",
        "EnergyDelivery",
    }


REFUSAL = Refusal(400, "SCH_INVALID_JSON", "the body is not JSON")
FORMS = ("flat", "nested", "signed-body", "signed-header")


@pytest.mark.parametrize(("form", "refusal"), list(product(FORMS, (None, REFUSAL))))
def test_answers_as_we_write_them_are_right(form, refusal):
    envelope = Envelope(action="init", transaction_id="t", message_id="m")
    body = write_ack(form, envelope, "2026-01-01T00:00:00Z", refusal)
    assert validator(ANSWERS[form]).errors(body) == ()


def test_a_promise_of_no_callback_gives_a_reason():
    where = ANSWERS["signed-header"] + "-no-callback"
    body = {"message": {"status": "ACK", "messageId": "m"}}
    [error] = validator(where).errors(body)
    assert (error.pointer, error.missing) == ("/message", "error")
    body["message"]["error"] = {"code": "BIZ_NO_RESULTS_FOUND", "message": "nothing found"}
    assert validator(where).errors(body) == ()


def body_of(bodies, dialect: str, action: str) -> Any:
    return copy.deepcopy(next(b for b in bodies[dialect] if b["context"]["action"] == action))


def set_at(body: Any, pointer: str, value: Any) -> None:
    *way, last = [int(key) if key.isdigit() else key for key in pointer.split("/")[1:]]
    for key in way:
        body = body[key]
    body[last] = value


ORDER, AGREED = "/message/order", "/message/contract"


@pytest.mark.parametrize(
    ("dialect", "action", "pointer", "value", "told"),
    [
        (
            "order",
            "init",
            f"{ORDER}/beckn:mood",
            1,
            ("additionalProperties", "beckn:mood", "order"),
        ),
        ("order", "init", f"{ORDER}/beckn:seller", {}, ("type", "a text", "parts")),
        ("order", "init", f"{ORDER}/beckn:orderStatus", "DONE", ("enum", "CONFIRMED", "order")),
        ("order", "init", f"{ORDER}/beckn:orderItems", [], ("minItems", "at least", "order")),
        ("order", "init", f"{ORDER}/beckn:buyer/@type", "Buyer", ("const", "beckn:Buyer", "order")),
        (
            "order",
            "on_discover",
            "/message/catalogs/0/beckn:bppUri",
            "x",
            ("format", "uri", "catalogue"),
        ),
        ("order", "discover", "/message/filters/type", "sql", ("const", "jsonpath", "actions")),
        ("contract", "init", f"{AGREED}/id", "c-1", ("format", "uuid", "contract")),
        ("contract", "init", f"{AGREED}/commitments", [], ("minItems", "at least", "contract")),
        ("contract", "init", f"{AGREED}/status/code", "DONE", ("enum", "DRAFT", "contract")),
        ("contract", "init", f"{AGREED}/mood", 1, ("additionalProperties", "mood", "contract")),
        (
            "contract",
            "on_status",
            f"{AGREED}/settlements/0/status",
            5,
            ("enum", "COMMITTED", "contract"),
        ),
        ("contract", "init", "/context/try", "no", ("type", "true or false", "context")),
        (
            "contract",
            "init",
            "/context/requestDigest",
            {"digest": "x"},
            ("pattern", "BLAKE", "context"),
        ),
    ],
)
def test_an_error_tells_place_and_reason(bodies, dialect, action, pointer, value, told):  # noqa: PLR0913
    keyword, words, document = told
    body = body_of(bodies, dialect, action)
    set_at(body, pointer, value)
    [error] = shape_of(dialect, action, body).errors
    assert error.pointer.removesuffix("/digest") == pointer
    assert error.keyword == keyword
    assert words in f"{error.observed} {error.expected}"
    assert error.schema == f"{BASE}{dialect}/{document}.json"


def test_a_missing_member_is_named_and_the_object_pointed_at(bodies):
    body = body_of(bodies, "contract", "init")
    del body["message"]["contract"]["commitments"][0]["offer"]["resourceIds"]
    del body["message"]["contract"]["commitments"][0]["offer"]["id"]
    errors = shape_of("contract", "init", body).errors
    assert {error.missing for error in errors} == {"id", "resourceIds"}
    assert {error.pointer for error in errors} == {"/message/contract/commitments/0/offer"}


def test_a_callback_may_carry_an_error_in_place_of_a_message(bodies):
    for dialect in ("order", "contract"):
        context = body_of(bodies, dialect, "on_init")["context"]
        failed = {"context": context, "error": {"code": "BIZ_ITEM_NOT_FOUND", "message": "no"}}
        assert shape_of(dialect, "on_init", failed).errors == ()
        assert [e.missing for e in shape_of(dialect, "init", failed).errors] == ["message"]


def test_times_of_day_and_instants_are_both_accepted(bodies):
    body = body_of(bodies, "contract", "on_discover")
    for start in ("06:00:00Z", "2026-01-01T06:00:00+05:30"):
        window = {"startTime": start, "endTime": "2026-01-01T07:00:00Z"}
        body["message"]["catalogs"][0]["validity"] = window
        assert shape_of("contract", "on_discover", body).errors == ()
    body["message"]["catalogs"][0]["validity"] = {"startTime": "06:00:00Z"}
    assert len(shape_of("contract", "on_discover", body).errors) == 1


BLOCKS = {
    "OfferCurve": {
        "currency": "INR",
        "minExport": -5,
        "maxExport": Decimal("5.5"),
        "curve": [
            {"price": -1, "powerKW": -5},
            {"price": Decimal("4.5"), "powerKW": Decimal("5.5")},
        ],
        "constraints": {"rampRateKWPerMin": 1},
    },
    "EnergyObjective": {
        "targetChargeKWh": 20,
        "deadline": "2026-01-01T06:00:00Z",
        "preferredSource": "SOLAR",
    },
    "LocationalPriceAdder": {
        "basePrice": Decimal("0.1"),
        "currentLoadPercent": 75,
        "priceAdderPerPercent": 0,
    },
    "GridConstraints": {"maxForwardFlowKW": 200, "maxReverseFlowKW": 50},
    "GridNode": {
        "nodeId": "street",
        "nodeType": "TRANSFORMER",
        "gridConstraints": {"maxForwardFlowKW": 9},
    },
    "OffsetCommand": {"offsetKW": -2, "mode": "opModTargetW"},
    "Approval": {"meterId": "m", "approvedMaxTradeKW": 5, "wheelingChargesBuyer": Decimal("0.1")},
    "ClearingResult": {"clearingPrice": Decimal("0.1"), "clearedPower": {"car": -5, "roof": 5}},
    "Setpoint": {"era": "battery", "setpointKW": Decimal("3.5")},
    "AggregationRequest": {
        "participants": [{"era": "roof", "bidCurve": [{"price": 1, "powerKW": 2}]}],
        "aggregationType": "MARKET_CLEARING",
    },
    "AggregationResult": {"clearingPrice": 1, "setpoints": [{"era": "roof", "setpointKW": 2}]},
    "Tariff": {
        "currency": "EUR",
        "elements": [
            {
                "priceComponents": [{"type": "ENERGY", "price": 1, "vat": 19, "stepSize": 1}],
                "restrictions": {"startTime": "22:00", "dayOfWeek": ["MONDAY"]},
            }
        ],
    },
    "ExternalSignal": {
        "signalId": "spot",
        "signalType": "PRICE",
        "source": {"era": "exchange"},
        "value": 3,
    },
    "MeterReading": {"meterId": "m", "allocatedEnergy": Decimal("-4.5"), "unit": "kWh"},
    "ChargeDetailRecord": {
        "startDateTime": "2026-01-01T06:00:00Z",
        "endDateTime": "2026-01-01T07:00:00Z",
        "currency": "EUR",
        "totalEnergy": 7,
        "connectorType": "IEC_62196_T2",
        "chargingPeriods": [
            {
                "startDateTime": "2026-01-01T06:00:00Z",
                "dimensions": [{"type": "ENERGY", "volume": 7}],
            }
        ],
    },
    "EnergyContract": {
        "roles": [{"role": "PROSUMER", "filledBy": None, "filled": False, "roleInputs": {}}],
        "status": "PENDING",
        "revenueFlows": {
            "netZero": True,
            "flows": [{"from": "BUYER", "to": "SELLER", "formula": "a * b"}],
        },
    },
    "EnergyOffer": {"pricingModel": "PAY_AS_CLEAR"},
    "EnergyDelivery": {"meterReadings": [{"meterId": "m", "allocatedEnergy": 1}]},
    "TimeSeries": {
        "intervalPeriod": {"start": "2026-01-01T06:00:00Z", "duration": "PT15M"},
        "payloadDescriptors": [{"payloadType": "USAGE", "units": "KWH"}],
        "intervals": [{"id": 0, "payloads": [{"type": "USAGE", "values": [1]}]}],
    },
    "EnergyCustomer": {"meterId": "m"},
    "EnergyResource": {
        "sourceType": "BATTERY",
        "connectorStatus": "Charging",
        "controlModes": ["opModConnect"],
    },
    "RevenueFlow": {"revenueFlows": [{"role": "buyer", "value": -5, "currency": "INR"}]},
    "SettlementReport": {
        "flows": [{"from": "a", "to": "b", "kind": "FEE", "amount": 1, "currency": "INR"}]
    },
}
"""One right block of each type."""

WRONG = [
    ("OfferCurve", "/curve/0/powerKW", "5 kW", "type"),
    ("OfferCurve", "/curve", [], "minItems"),
    ("OfferCurve", "/colour", "green", "additionalProperties"),
    ("OfferCurve", "/currency", "INR\n", "maxLength"),
    ("EnergyObjective", "/targetReductionKW", 5, "maximum"),
    ("LocationalPriceAdder", "/currentLoadPercent", 101, "maximum"),
    ("GridConstraints", "/maxForwardFlowKW", -1, "minimum"),
    ("GridNode", "/nodeType", "POLE", "enum"),
    ("OffsetCommand", "/mode", "TargetW", "enum"),
    ("Approval", "/approvedMaxTradeKW", None, "type"),
    ("ClearingResult", "/clearedPower/car", "-5", "type"),
    ("Setpoint", "/setpointKW", [], "type"),
    ("AggregationRequest", "/participants/0/bidCurve/0/price", {}, "type"),
    ("AggregationResult", "/setpoints/0/setpointKW", "", "type"),
    ("Tariff", "/elements/0/priceComponents/0/type", "POWER", "enum"),
    ("Tariff", "/elements/0/priceComponents/0/stepSize", Decimal("1.5"), "type"),
    ("Tariff", "/elements/0/restrictions/startTime", "25:00", "pattern"),
    ("ExternalSignal", "/signalType", "MOOD", "enum"),
    ("MeterReading", "/unit", "kW", "const"),
    ("ChargeDetailRecord", "/connectorType", "Type2", "enum"),
    ("EnergyContract", "/roles/0/filled", "no", "type"),
    ("EnergyContract", "/revenueFlows/flows/0/formula", "", "minLength"),
    ("EnergyOffer", "/charges", {"currency": "INR", "rounding": "DOWN"}, "enum"),
    ("EnergyDelivery", "/meterReadings/0/meterId", 5, "type"),
    ("TimeSeries", "/intervalPeriod/duration", "15 minutes", "format"),
    ("TimeSeries", "/intervals/0/id", Decimal("0.5"), "type"),
    ("EnergyCustomer", "/meterId", "", "minLength"),
    ("EnergyResource", "/connectorStatus", "AVAILABLE", "enum"),
    ("RevenueFlow", "/revenueFlows/0/value", "5", "type"),
    ("SettlementReport", "/flows/0/from", None, "type"),
]


def test_every_block_has_a_right_and_a_wrong_example():
    assert BLOCKS.keys() == places_of_blocks().keys()
    assert {block for block, *_ in WRONG} == BLOCKS.keys()


@pytest.mark.parametrize("block", BLOCKS)
def test_a_right_block_is_accepted_with_and_without_its_name(block: str):
    named = {"@context": "https://gridwitness.example/energy/v1/context.jsonld", "@type": block}
    judged = validator(f"energy/{block}.json")
    assert judged.errors(BLOCKS[block]) == ()
    assert judged.errors(named | BLOCKS[block]) == ()
    assert [e.pointer for e in judged.errors(named | BLOCKS[block] | {"@type": "Other"})] == [
        "/@type"
    ]


@pytest.mark.parametrize(("block", "pointer", "value", "keyword"), WRONG)
def test_a_wrong_block_is_refused_where_it_is_wrong(block, pointer, value, keyword):
    body = copy.deepcopy(BLOCKS[block])
    set_at(body, pointer, value)
    errors = validator(f"energy/{block}.json").errors(body)
    told = {(error.pointer.removesuffix("/rounding"), error.keyword) for error in errors}
    assert (pointer, keyword) in told


# -- each fault has one name


def message_of(raw: bytes, action: str) -> Message:
    return Message(
        number=1,
        kind="beckn",
        sender="a",
        receiver="b",
        action=action,
        method="POST",
        url="http://b.example",
        headers={},
        raw=raw,
        at="",
        sent_s=0.0,
    )


def outcomes(rule_id: str, dialect: str, body: Any) -> list[Outcome]:
    trace = Trace(small_scene(dialect), (message_of(dump_json(body), body["context"]["action"]),))
    return [o for o in rules()[rule_id].check(trace) if not o.kept]


def broken(dialect: str, body: Any) -> set[str]:
    families = ("ENV", "SHP")
    asked = [one.id for one in rules().values() if one.family in families]
    return {rule_id for rule_id in asked if outcomes(rule_id, dialect, body)}


@pytest.mark.parametrize(
    ("dialect", "pointer", "value", "names"),
    [
        ("order", "/context/timestamp", "yesterday", {"ENV-005"}),
        ("order", "/context/ttl", 30, {"ENV-010"}),
        ("order", "/context/ttl", "30", {"ENV-006"}),
        ("order", "/context/version", "1.1.0", {"ENV-004"}),
        ("order", "/context/message_id", "m-1", {"ENV-007"}),
        ("order", "/context/network_id", "net", {"ENV-010"}),
        ("contract", "/context/networkId", ["net"], {"ENV-010"}),
        ("contract", f"{AGREED}/commitments/0/offer/id", 5, {"ENV-010"}),
        ("contract", f"{AGREED}/commitments/0/offer/resourceIds", 5, {"SHP-001"}),
        ("contract", f"{AGREED}/id", "c-1", {"SHP-007"}),
        ("contract", "/message", {}, {"SHP-008"}),
        ("contract", "/message", None, {"ENV-001"}),
        ("contract", f"{AGREED}/contractAttributes/@type", None, {"SHP-005"}),
        ("contract", f"{AGREED}/contractAttributes/@type", "GridNode", {"SHP-002", "SHP-003"}),
        ("order", f"{ORDER}/beckn:orderAttributes/@context", "https://a.example/c", set()),
        ("order", f"{ORDER}/beckn:orderAttributes/roles/0/filled", "no", {"SHP-002"}),
        (
            "order",
            f"{ORDER}/beckn:orderAttributes/roles/1/roleInputs/requestedMaxTradeKW",
            "5",
            {"ENV-010"},
        ),
        ("order", "/context/action", "search", {"SHP-006", "ENV-003"}),
    ],
)
def test_each_fault_has_one_name(bodies, dialect, pointer, value, names):
    body = body_of(bodies, dialect, "init")
    set_at(body, pointer, value)
    found = broken(dialect, body)
    assert found - {"ENV-003"} == names - {"ENV-003"}


@pytest.mark.parametrize(
    ("pointer", "value", "rule_id"),
    [
        (f"{AGREED}/commitments/0/offer", {"id": "o"}, "SHP-008"),
        (f"{AGREED}/commitments/0/commitmentAttributes/intervalPeriod/start", "soon", "SHP-002"),
    ],
)
def test_a_callback_that_repeats_a_fault_of_the_request_is_not_blamed(
    bodies, pointer, value, rule_id
):
    messages: list[Message] = []
    for action, sender, receiver in (
        ("init", "a", "b"),
        ("on_init", "b", "a"),
        ("on_init", "b", "c"),
    ):
        body = body_of(bodies, "contract", action)
        body["context"]["transactionId"] = "11111111-1111-4111-8111-111111111111"
        set_at(body, pointer, value)
        one = message_of(dump_json(body), action)
        messages.append(replace(one, sender=sender, receiver=receiver))
    found = list(rules()[rule_id].check(Trace(small_scene("contract"), tuple(messages))))
    assert [o.message.receiver for o in found if not o.kept] == ["b", "c"]


def test_what_is_in_no_known_dialect_has_no_shape():
    assert outcomes("SHP-001", "order", {"context": {"action": "init"}, "message": {}}) == []


# -- two validators


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in list(items):
            yield (*way, key)
            yield from places(inner, (*way, key))


NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([Decimal("1.0"), Decimal("1e400"), Decimal("-1e-400"), Decimal("-0.0")]),
)
TEXTS = st.one_of(
    st.text(max_size=8).filter(lambda text: text.isprintable()),
    st.sampled_from(["INR", "INR\n", "PT15M", "2026-01-01T00:00:00Z", "06:00:00Z", "22:00", "ACK"]),
    st.uuids().map(str),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def mutate(data: st.DataObject, body: Any) -> Any:
    body = copy.deepcopy(body)
    for _ in range(data.draw(st.integers(0, 3))):
        ways = list(places(body))
        if not ways:
            break
        *way, last = data.draw(st.sampled_from(ways))
        inner = body
        for key in way:
            inner = inner[key]
        match data.draw(st.sampled_from(["replace", "delete", "add"])):
            case "replace":
                inner[last] = data.draw(VALUES)
            case "delete":
                del inner[last]
            case _ if isinstance(inner, dict):
                inner[data.draw(TEXTS)] = data.draw(VALUES)
    return body


def agree(where: str, value: Any) -> None:
    judged = validator(where)
    assert judged.passes_sieve(value) == (judged.all_errors(value) == ()), judged.all_errors(value)


@each_dialect
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_the_sieve_and_the_judge_agree_about_messages(bodies, dialect: str, data: st.DataObject):
    body = data.draw(st.sampled_from(bodies[dialect]))
    action = body["context"]["action"]
    agree(f"{dialect}/actions.json#/$defs/{action}", mutate(data, body))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_the_sieve_and_the_judge_agree_about_blocks(data: st.DataObject):
    block = data.draw(st.sampled_from(sorted(BLOCKS)))
    agree(f"energy/{block}.json", mutate(data, BLOCKS[block]))


# -- hostile bodies

DEEP = b"[" * 600 + b"1" + b"]" * 600
HOSTILE = {
    "a deep nesting": {"beckn:orderItems": "DEEP"},
    "a deep member nobody looks at": {"beckn:orderAttributes": {"a": "DEEP"}},
    "many wrong items": {"beckn:orderItems": [1] * 100_000},
    "a huge number": {"beckn:seller": 10**4000},
    "a huge exponent": {"beckn:id": Decimal("1e999999")},
    "a huge text": {"beckn:orderStatus": "A" * 1_000_000},
    "many members": {f"k{n}": n for n in range(100_000)},
    "names that need escapes": {"a/b~c": 1},
    "slots without end": {"beckn:acceptedOffers": [{"beckn:offerAttributes": {}}] * 20_000},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_judged_like_any_other(bodies, name: str):
    body = body_of(bodies, "order", "init") | {"message": {"order": HOSTILE[name]}}
    message = message_of(dump_json(body).replace(b'"DEEP"', DEEP), "init")
    assert message.body is not None
    assert 0 < len(message.shape.errors) <= MOST_ERRORS
    for one in rules().values():
        if one.family == "SHP":
            outcomes = [o for o in one.check(Trace(small_scene("order"), (message,))) if not o.kept]
            assert one.id == "SHP-005" or len(outcomes) <= 5
            assert all(len(o.observed) <= 310 and len(o.expected) <= 310 for o in outcomes)


@pytest.mark.parametrize(("wrong", "rest"), [(5, ""), (6, "; 1 more were found")])
def test_the_last_finding_tells_how_many_are_not_told(bodies, wrong: int, rest: str):
    body = body_of(bodies, "order", "init")
    set_at(body, "/message/order", {"beckn:orderItems": [1] * wrong})
    found = outcomes("SHP-001", "order", body)
    assert len(found) == 5
    assert [one.observed for one in found] == ["the number 1"] * 4 + [f"the number 1{rest}"]


def test_a_count_survives_a_value_without_end(bodies):
    body = body_of(bodies, "contract", "init")
    set_at(body, f"{AGREED}/performance", [{f"{'k' * 1_000}{n}": 1} for n in range(10)])
    *_, last = outcomes("SHP-001", "contract", body)
    assert last.observed.startswith("the unknown member kkk")
    assert last.observed.endswith("; 5 more were found")


def test_a_pointer_escapes_what_it_must(bodies):
    body = body_of(bodies, "order", "init")
    body["message"]["order"]["a/b~c"] = 1
    assert [e.pointer for e in shape_of("order", "init", body).errors] == [f"{ORDER}/a~1b~0c"]


# -- published messages

EXAMPLES, BUILDING = "examples", "building-blocks/examples"


def published(*only: str) -> list[Path]:
    root = Path(os.environ.get("GRIDWITNESS_UPSTREAM", os.devnull))
    folders = [root / "examples", root / "building-blocks" / "examples"]
    return [root / one for one in only] or sorted(f for x in folders for f in x.rglob("*.json"))


needs_published = pytest.mark.skipif(
    "GRIDWITNESS_UPSTREAM" not in os.environ, reason="no published messages here"
)


@needs_published
def test_every_published_message_is_judged_and_the_validators_agree():
    counted = {"order": [0, 0, 0], "contract": [0, 0, 0]}
    for file in published():
        body = parse_json(file.read_bytes())
        dialect = recognise(body) if isinstance(body, dict) else None
        if dialect is None:
            continue
        shape = shape_of(dialect.name, body["context"].get("action") or "", body)
        if shape.action is None:
            continue
        agree(f"{dialect.name}/actions.json#/$defs/{shape.action}", body)
        told = counted[dialect.name]
        told[0] += 1
        told[1] += all(error.keyword == "format" for error in shape.errors)
        told[2] += not shape.errors
    # Messages; of the right structure; with right formats, too. The official specifications
    # give the same verdict on structure but for five: see schemas/README.md.
    assert counted == {"order": [436, 312, 303], "contract": [130, 105, 78]}


@needs_published
@pytest.mark.parametrize(
    ("file", "rule_id", "seen"),
    [
        (
            f"{BUILDING}/ev_charging/09_update/ev-charging-session-start-update.json",
            "SHP-008",
            "beckn:orderItems",
        ),
        (
            f"{BUILDING}/ev_charging_demand_flexibility/confirm-with-setpoint.json",
            "SHP-001",
            "unknown member",
        ),
        (
            f"{BUILDING}/ev_charging/02_on_discover/time-based-ev-charging-slot-catalog.json",
            "SHP-008",
            "beckn:bppId",
        ),
        (
            f"{BUILDING}/ev_charging/02_on_discover/time-based-ev-charging-slot-catalog.json",
            "SHP-007",
            "06:00:00",
        ),
        (
            f"{EXAMPLES}/compute-energy/2.order/2.select/on_select-response.json",
            "SHP-001",
            "GRID-BASED",
        ),
        (
            f"{EXAMPLES}/compute-energy/2.order/2.select/on_select-response.json",
            "SHP-001",
            "buyer-compflex-001",
        ),
        (
            f"{EXAMPLES}/demand-flex-uc1/examples/on-confirm-response.json",
            "SHP-007",
            "contract-flex-001",
        ),
        (f"{EXAMPLES}/demand-flex-uc2/examples/confirm-request.json", "SHP-008", "status"),
        (
            f"{EXAMPLES}/sandbox-responses/nfh.global/testnet-evcharging/response/on_cancel.json",
            "SHP-008",
            "resourceIds",
        ),
        (
            f"{EXAMPLES}/ev-charging-devkit/examples/16_on_rating/ev-charging-session-on-rating.json",
            "SHP-007",
            "feedback-",
        ),
        (f"{EXAMPLES}/p2p-trading-wave2/responses/buyerdiscom/on_confirm.json", "SHP-001", "ack"),
    ],
)
def test_a_known_defect_of_the_published_messages_is_found(file, rule_id, seen):
    body = parse_json(published(file)[0].read_bytes())
    dialect = recognise(body)
    assert dialect is not None
    found = outcomes(rule_id, dialect.name, body)
    assert [o for o in found if seen in o.observed], [(o.pointer, o.observed) for o in found]

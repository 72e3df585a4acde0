"""Our contexts and vocabulary: every word of every building block, with its unit."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from pyld import jsonld

from gridwitness.context_documents import ENERGY, shipped_document
from gridwitness.dialects.blocks import CONTEXT
from gridwitness.dialects.order import CORE_CONTEXT
from gridwitness.meaning import read_meaning

SCHEMAS = files("gridwitness.schemas")
VOCABULARY = json.loads(SCHEMAS.joinpath("energy/v1/vocabulary.jsonld").read_text("utf-8"))
TERMS: dict[str, Any] = shipped_document(CONTEXT)["@context"]
DEFINED = {item["@id"].removeprefix("energy:"): item for item in VOCABULARY["@graph"]}

POINTS = [{"price": 1, "powerKW": 1}]
WINDOW = {"startTime": "", "endTime": "", "duration": ""}
SERIES = {
    "intervalPeriod": {"start": "", "duration": ""},
    "payloadDescriptors": [{"payloadType": "", "units": "", "insertedBy": ""}],
    "intervals": [{"id": 0, "payloads": [{"type": "", "values": [1]}]}],
}
MONEY = {"currency": "", "amount": 1}
TARIFF = {
    "tariffId": "",
    "currency": "",
    "timeZone": "",
    "energyMix": {"isGreenEnergy": True, "energySources": [{"source": "", "percentage": 1}]},
    "elements": [
        {
            "priceComponents": [{"type": "", "price": 1, "vat": 1, "stepSize": 1}],
            "restrictions": {
                "startTime": "",
                "endTime": "",
                "dayOfWeek": [""],
                "minKWh": 1,
                "maxKWh": 1,
                "reservation": "",
                "startDate": "",
                "endDate": "",
            },
        }
    ],
    "minPrice": {"exclVat": 1, "inclVat": 1},
    "maxPrice": {"exclVat": 1},
}
SIGNAL = {"signalId": "", "signalType": "", "source": "", "value": 1, "unit": "", "timestamp": ""}
BLOCKS: dict[str, dict[str, Any]] = {
    "OfferCurve": {
        "currency": "",
        "minExport": 1,
        "maxExport": 1,
        "curve": POINTS,
        "constraints": {"minPowerKW": 1, "maxPowerKW": 1, "rampRateKWPerMin": 1},
    },
    "PriceSpecification": {
        "currency": "",
        "value": 1,
        "components": [{"type": "", "value": 1, "currency": "", "description": ""}],
    },
    "SettlementTerm": {
        "amount": {"currency": "", "value": 1},
        "payTo": {"role": ""},
        "settlementStatus": "",
    },
    "EnergyObjective": {
        "targetChargeKWh": 1,
        "targetGenerationKWh": 1,
        "targetReductionKW": 1,
        "deadline": "",
        "minPricePerKWh": 1,
        "maxPricePerKWh": 1,
        "preferredSource": "",
        "targetReactiveKvar": 1,
        "tradeWindow": WINDOW,
        "currency": "",
        "baselineMethodology": "",
    },
    "GridNode": {
        "nodeId": "",
        "nodeType": "",
        "parentId": "",
        "locationalPriceAdder": {
            "basePrice": 1,
            "currentLoadPercent": 1,
            "priceAdderPerPercent": 1,
            "currentPrice": 1,
            "congestionMultiplier": 1,
            "formula": "",
        },
        "gridConstraints": {
            "maxForwardFlowKW": 1,
            "maxReverseFlowKW": 1,
            "currentLoadKW": 1,
            "capacityKW": 1,
        },
    },
    "OffsetCommand": {"offsetCommand": {"enabled": True, "offsetKW": 1, "redispatch": True}},
    "Approval": {
        "approvedMaxTradeKW": 1,
        "requestedMaxTradeKW": 1,
        "sanctionedLoadKW": 1,
        "committedKW": 1,
    },
    "ClearingResult": {
        "clearingPrice": 1,
        "clearedPower": {"bap.example": 1},
        "locationalPrice": 1,
    },
    "Setpoint": {"era": "", "setpointKW": 1, "mode": ""},
    "AggregationRequest": {
        "aggregationType": "",
        "timeWindow": {"start": "", "end": ""},
        "participants": [{"era": "", "bidCurve": POINTS, "constraints": {"minPowerKW": 1}}],
    },
    "AggregationResult": {
        "clearingPrice": 1,
        "clearingQuantityKW": 1,
        "setpoints": [{"era": "", "setpointKW": 1}],
        "locationalPrice": 1,
        "aggregatedSupplyCurve": POINTS,
        "aggregatedDemandCurve": POINTS,
        "timestamp": "",
    },
    "Tariff": TARIFF,
    "ExternalSignal": SIGNAL,
    "MeterReading": {
        "meterReadings": [{"meterId": "", "allocatedEnergy": 1, "unit": "", "timeWindow": {}}]
    },
    "EnergyDelivery": {
        "observedAt": "",
        "deliveryStatus": "",
        "meters": [{"meterId": "", "telemetry": SERIES}],
        "telemetry": SERIES,
        "methodology": "",
        "pageInfo": {"sequence": 1, "isLast": True},
        "baseline": [{"meterId": "", "allocatedEnergy": 1}],
        "chargeDetailRecord": {"evseId": ""},
        "externalSignals": [SIGNAL],
        "setpoint": {"setpointKW": 1},
    },
    "TimeSeries": SERIES,
    "ChargeDetailRecord": {
        "startDateTime": "",
        "endDateTime": "",
        "currency": "",
        "tariffs": [TARIFF],
        "chargingPeriods": [{"startDateTime": "", "dimensions": [{"type": "", "volume": 1}]}],
        "totalEnergy": 1,
        "totalTime": 1,
        "totalCost": {"exclVat": 1, "inclVat": 1},
        "totalEnergyCost": {"exclVat": 1},
        "totalTimeCost": {"exclVat": 1},
        "totalFixedCost": {"exclVat": 1},
        "totalParkingCost": {"exclVat": 1},
        "totalParkingTime": 1,
    },
    "EnergyContract": {
        "contractId": "",
        "status": "",
        "netZero": True,
        "inputSignals": [SIGNAL],
        "roles": [
            {
                "role": "",
                "filledBy": "",
                "filled": True,
                "participantId": "",
                "roleInputs": {
                    "terms": [{"name": "", "value": 1, "unit": ""}],
                    "sourceMeterId": "",
                    "targetMeterId": "",
                    "offerCurve": {},
                    "tariff": TARIFF,
                    "pricePerKWh": 1,
                    "contractedKWh": 1,
                },
            }
        ],
        "participatingMeters": [""],
        "inputParameters": {
            "pricingModel": "",
            "tradeWindow": WINDOW,
            "arrivalWindow": WINDOW,
            "gracePeriod": "",
            "approvedMaxTradeKW": 1,
        },
        "gridNode": {"nodeId": ""},
        "approval": {"approvedMaxTradeKW": 1},
        "charges": {
            "currency": "",
            "marketMakingFee": 1,
            "wheelingChargesBuyer": 1,
            "wheelingChargesSeller": 1,
            "deviationPenalty": 1,
            "deviationBand": 1,
            "settlementMode": "",
            "virtualMeterRate": 1,
            "shortPrice": 1,
            "longPrice": 1,
            "rounding": "",
            "minorUnit": 2,
            "cancellationFee": 1,
        },
        "telemetrySources": [{"sourceId": "", "sourceType": "", "signalId": "", "unit": ""}],
        "qualityMetrics": {
            "metrics": [
                {
                    "metricId": "",
                    "formula": "",
                    "target": 1,
                    "bound": "",
                    "unit": "",
                    "penalty": {"kind": "", "formula": "", "appliedTo": "", "paidTo": ""},
                }
            ]
        },
        "revenueFlows": [{"from": "", "to": "", "formula": ""}],
        "policy": {"url": "", "queryPath": ""},
    },
    "RevenueFlow": {"revenueFlows": [{"party": "", "value": 1, "currency": ""}]},
    "SettlementReport": {
        "reportId": "",
        "generatedAt": "",
        "replaces": "",
        "inputs": [{"name": "", "value": 1, "unit": ""}],
        "adjustments": [{"from": "", "to": "", "kind": ""} | MONEY],
        "flows": [{"from": "", "to": "", "kind": ""} | MONEY],
        "positions": [{"party": "", "value": 1, "currency": ""}],
    },
    "EnergyOffer": {
        "openRole": "",
        "contract": {},
        "pricingModel": "",
        "clearingAgentId": "",
        "tradeWindow": WINDOW,
        "commitmentAttributes": SERIES,
    },
    "EnergyCustomer": {"meterId": "", "utilityId": "", "utilityCustomerId": ""},
    "EnergyResource": {
        "availableQuantity": 1,
        "sourceType": "",
        "connectorType": "",
        "connectorStatus": "",
        "evseId": "",
        "reservationSupported": True,
        "location": {"geo": {"type": "", "coordinates": [1, 1]}, "address": ""},
    },
    "LocationalPriceAdder": {"basePrice": 1},
    "GridConstraints": {"maxForwardFlowKW": 1},
}


@pytest.mark.parametrize("name", BLOCKS)
def test_every_word_of_a_block_means_something(name: str):
    order = {"@context": CONTEXT, "@type": name} | BLOCKS[name]
    body = {"message": {"order": order}}
    assert read_meaning(body).flaws == ()
    assert read_meaning(body).body is body


def test_every_class_has_its_block_here():
    assert {name for name in DEFINED if name[0].isupper()} == BLOCKS.keys()


def test_context_and_vocabulary_define_the_same_words():
    assert TERMS.keys() - {"@version", "energy"} == DEFINED.keys()
    for term, definition in TERMS.items():
        if term not in ("@version", "energy"):
            iri = definition if isinstance(definition, str) else definition["@id"]
            assert iri == f"energy:{term}"


@pytest.mark.parametrize("term", DEFINED)
def test_a_word_has_a_label_a_comment_and_its_unit(term: str):
    item = DEFINED[term]
    assert item["label"]
    assert item["comment"].endswith(".")
    assert len(item["comment"]) > 10
    unit = re.search(r"PerKWh$|KWPerMin$|KWh$|KW$", term)
    if unit and item["@type"] == "rdf:Property":
        expected = {"PerKWh": "price per kWh", "KWPerMin": "kW/min", "KWh": "kWh", "KW": "kW"}
        assert item["unit"].startswith(expected[unit[0]])


def test_every_property_of_our_schemas_is_a_word():
    found: set[str] = set()

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            found.update(schema.get("properties", {}))
        inner = schema.values() if isinstance(schema, dict) else schema
        for item in inner if isinstance(schema, dict | list) else ():
            walk(item)

    for file in SCHEMAS.joinpath("energy").iterdir():
        if file.name.endswith(".json"):
            walk(json.loads(file.read_text("utf-8")))
    assert found <= TERMS.keys() | {"@context", "@type"}


def test_the_vocabulary_is_linked_data_of_its_own():
    [*nodes] = jsonld.expand(VOCABULARY)
    assert {node["@id"].removeprefix(ENERGY) for node in nodes} == DEFINED.keys()


def test_the_core_context_is_valid_where_the_published_one_is_not():
    core = {"@context": shipped_document(CORE_CONTEXT)["@context"], "beckn:id": "o", "beckn:x": 1}
    [node] = jsonld.expand(core)
    assert all(key.startswith("https://raw.githubusercontent.com/") for key in node)


def test_a_word_that_holds_several_is_an_array_wherever_a_schema_has_it():
    """Reading makes an array of what such a word holds: a schema that has one thing there fails."""
    several = {
        term
        for term, definition in TERMS.items()
        if isinstance(definition, dict) and definition.get("@container") in ("@set", "@list")
    }

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            for name, inner in schema.get("properties", {}).items():
                if name in several:
                    assert inner.get("type") == "array" or "if" in inner, name
                    assert inner.get("else", {}).get("type") != "object", name
        inner = schema.values() if isinstance(schema, dict) else schema
        for item in inner if isinstance(schema, dict | list) else ():
            walk(item)

    for file in SCHEMAS.joinpath("energy").iterdir():
        if file.name.endswith(".json"):
            walk(json.loads(file.read_text("utf-8")))

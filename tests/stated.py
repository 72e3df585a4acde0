"""Messages that state amounts: one that is right for every rule, and how to make it wrong.

No scenario of ours states most of what the rules about amounts judge, so no reference actor
can be broken. These messages stand in: every such rule has an entry, which makes it fire.
"""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

from gridwitness.dialects.base import dump_json
from gridwitness.trace import Message, Scene, Trace

Body = dict[str, Any]
EDITIONS = {"order": "beckn-2.0.0-rc", "contract": "beckn-2.0.0-lts"}
START = "2030-06-01T10:00:00Z"


def order() -> Body:
    """Write a quoted order of 4 kWh at 6.25, with a fee of a tenth and a rounded tax."""
    line = {
        "beckn:quantity": {"unitCode": "KWH", "unitQuantity": 4},
        "beckn:price": {"currency": "INR", "value": Decimal("6.25")},
        "beckn:acceptedOffer": {"beckn:offerAttributes": window("06:00", "08:00")},
    }
    components = [
        {"type": "UNIT", "value": 25, "description": "4 kWh"},
        {"type": "FEE", "value": Decimal("2.5"), "description": "Platform fee (10%)"},
        {"type": "TAX", "value": Decimal("0.33"), "description": "Tax"},
    ]
    value = {"currency": "INR", "value": Decimal("27.83"), "components": components}
    paid = {
        "beckn:amount": {"currency": "INR", "value": Decimal("27.83")},
        "beckn:paidAt": "2030-06-01T09:00:00Z",
    }
    written = {"beckn:orderItems": [line], "beckn:orderValue": value, "beckn:payment": paid}
    return message("order", "on_select", order=written)


def bare() -> Body:
    """Write an order of 4 kWh at 25 for 4 kWh, whose value has no components."""
    per = {"unitCode": "KWH", "unitQuantity": 4}
    line = {"beckn:quantity": per, "beckn:price": {"value": 25, "applicableQuantity": per}}
    value = {"currency": "INR", "value": 25}
    return message("order", "select", order={"beckn:orderItems": [line], "beckn:orderValue": value})


def window(start: str, end: str, valid_until: str = "05:00") -> Body:
    return {
        "beckn:timeWindow": period(start, end),
        "validityWindow": period("00:00", valid_until),
    }


def period(start: str, end: str) -> Body:
    return {
        "schema:startTime": f"2030-06-01T{start}:00Z",
        "schema:endTime": f"2030-06-01T{end}:00Z",
    }


def message(dialect: str, action: str, **members: Any) -> Body:
    context: Body = {"action": action, "version": "2.0.0", "timestamp": START}
    context |= {"transaction_id": "t"} if dialect == "order" else {"transactionId": "t"}
    return {"context": context, "message": members}


def delivery() -> Body:
    """Write a delivery of 5 kWh in two readings, by both meters."""
    readings = [
        {"sourceReading": 100, "targetReading": 50, "energyFlow": 0},
        {"sourceReading": Decimal("102.5"), "targetReading": 52, "energyFlow": Decimal("2.5")},
        {"sourceReading": 105, "targetReading": 54, "energyFlow": Decimal("2.5")},
    ]
    metrics = [{"name": "POWER", "unitCode": "KW"}, {"name": "ENERGY", "unitCode": "KWH"}]
    attributes = {
        "deliveredQuantity": 5,
        "meterReadings": readings,
        "telemetry": [{"metrics": metrics}],
    }
    return message(
        "order",
        "on_status",
        order={"beckn:fulfillments": [{"beckn:attributes": attributes}]},
    )


def read_in_time() -> Body:
    """Write a line whose readings lie in the window in which it was to be delivered."""
    reading = {"beckn:timeWindow": period("06:00", "07:00"), "allocatedEnergy": 4}
    line = {
        "beckn:acceptedOffer": {"beckn:offerAttributes": window("06:00", "08:00")},
        "beckn:orderItemAttributes": {
            "fulfillmentAttributes": {"deliveredQuantity": 4, "meterReadings": [reading]}
        },
    }
    return message("order", "on_status", order={"beckn:orderItems": [line]})


def incentives() -> Body:
    details = [
        {"totalIncentive": 100, "bonusIncentive": 5, "totalPayable": 105},
        {"totalIncentive": 50},
    ]
    paid = {"beckn:totalIncentive": 150, "beckn:totalPayable": 155}
    items = [
        {"beckn:orderItemAttributes": {"beckn:settlementDetails": detail}} for detail in details
    ]
    return message(
        "order",
        "on_status",
        order={
            "beckn:orderItems": items,
            "beckn:payment": {"beckn:paymentAttributes": paid},
        },
    )


def cleared() -> Body:
    """Write a market of two: at 5 a kWh the sun sells 4 kW to the car, whose contract it is."""
    curve = {
        "currency": "INR",
        "minExport": -8,
        "maxExport": 0,
        "curve": [{"price": 4, "powerKW": -8}, {"price": 6, "powerKW": 0}],
    }
    car = {"role": "PROSUMER", "filledBy": "car", "roleInputs": {"offerCurve": curve}}
    agent = {
        "role": "MARKET_CLEARING_AGENT",
        "roleInputs": {"clearingPrice": 5, "clearedPower": {"sun": 4, "car": -4}},
    }
    block = {
        "roles": [car, agent],
        "revenueFlows": {"netZero": True},
        "inputParameters": {"approvedMaxTradeKW": 4},
    }
    return message("order", "on_confirm", order={"beckn:orderAttributes": block})


def aggregated() -> Body:
    result = {
        "clearingQuantityKW": 8,
        "setpoints": [{"setpointKW": 5}, {"setpointKW": 3}, {"setpointKW": -8}],
        "aggregatedSupplyCurve": [{"price": 4, "powerKW": 10}],
        "aggregatedDemandCurve": [{"price": 4, "powerKW": -9}],
    }
    return message("order", "on_aggregate", aggregationResult=result)


def congested() -> Body:
    adder = {
        "currentPrice": Decimal("5.85"),
        "basePrice": 5,
        "currentLoadPercent": 85,
        "priceAdderPerPercent": Decimal("0.01"),
    }
    return message(
        "order", "aggregate", aggregationRequest={"participants": [{"locationalPriceAdder": adder}]}
    )


def table(units: dict[str, str | None], *rows: dict[str, list[Any]]) -> Body:
    """Write an interval table of one hour an interval."""
    return {
        "intervalPeriod": {"start": START, "duration": "PT1H"},
        "payloadDescriptors": [{"payloadType": t, "units": u} for t, u in units.items()],
        "intervals": [
            {"id": n, "payloads": [{"type": t, "values": values} for t, values in row.items()]}
            for n, row in enumerate(rows)
        ],
    }


def traded() -> Body:
    """Write a settled trade: 3 kWh at 5 and 2 kWh at 6 were allocated, of 4 and 2 requested."""
    energy = ("AVAILABLE_QTY", "REQUESTED_QTY")
    allocated = ("BUYER_DISCOM_ALLOC", "SELLER_DISCOM_ALLOC", "FINAL_ALLOC")
    units: dict[str, str | None] = {"PRICE_PER_KWH": None}
    units |= dict.fromkeys((*energy, *allocated), "KWH")
    rows = [
        {"PRICE_PER_KWH": [5], "AVAILABLE_QTY": [9], "REQUESTED_QTY": [4]}
        | {"BUYER_DISCOM_ALLOC": [3], "SELLER_DISCOM_ALLOC": [4], "FINAL_ALLOC": [3]},
        {"PRICE_PER_KWH": [6], "AVAILABLE_QTY": [9], "REQUESTED_QTY": [2]}
        | {"BUYER_DISCOM_ALLOC": [2], "SELLER_DISCOM_ALLOC": [2], "FINAL_ALLOC": [2]},
    ]
    flows = [
        {"role": "buyerPlatform", "value": Decimal("-28.5"), "currency": "INR"},
        {"role": "sellerPlatform", "value": Decimal("26.5"), "currency": "INR"},
        {"role": "buyerDiscom", "value": Decimal("1.5"), "currency": "INR"},
        {"role": "sellerDiscom", "value": Decimal("0.5"), "currency": "INR"},
    ]
    contract: Body = {
        "id": "c",
        "commitments": [
            {
                "resources": [{"quantity": {"unitCode": "KWH", "unitQuantity": 6}}],
                "commitmentAttributes": table(units, *rows),
            }
        ],
        "consideration": [
            {"id": "f", "considerationAttributes": {"revenueFlows": flows}},
            {"id": "p", "considerationAttributes": {"amount": {"currency": "INR", "value": 27}}},
        ],
        "settlements": [
            {
                "considerationId": "p",
                "settlementAttributes": {"totalPayable": 27, "paidAt": "2030-06-01T09:00:00Z"},
            }
        ],
        "contractAttributes": {
            "roles": [
                {"role": "buyerPlatform", "participantId": "b"},
                {"role": "sellerPlatform", "participantId": "s"},
            ]
        },
        "participants": [
            {"id": "b", "participantAttributes": {"meterId": "m-b"}},
            {"id": "s", "participantAttributes": {"meterId": "m-s"}},
        ],
    }
    return message("contract", "on_status", contract=contract)


def metered() -> Body:
    """Write what the seller's utility read: 4 and 2 kWh fed in."""
    payload = {"resourceName": "m-s"} | table(
        {"ENERGY_CONSUMPTION": "KWH"},
        {"ENERGY_CONSUMPTION": [-4]},
        {"ENERGY_CONSUMPTION": [-2]},
    )
    resource = {"resourceAttributes": {"dataPayload": payload}}
    return message(
        "contract", "on_status", contract={"id": "c", "commitments": [{"resources": [resource]}]}
    )


def flexed() -> Body:
    """Write a settled reduction at a posted price: 30 of 40 kW, then 20 of 20, an hour each.

    30 * 5 - 10 * 1, and 20 * 6: the second meter used more than its baseline, which counts
    for nothing.
    """
    need = table(
        {"PRICE": "INR_PER_KWH", "SHORTFALL_PENALTY": "INR_PER_KWH"},
        {"PRICE": [5], "SHORTFALL_PENALTY": [1]},
        {"PRICE": [6], "SHORTFALL_PENALTY": [1]},
    )
    offered = table(
        {"CAPACITY_OFFERED": "KW"}, {"CAPACITY_OFFERED": [40]}, {"CAPACITY_OFFERED": [20]}
    )
    return _flexibility(need, offered, 260)


def flexed_as_cleared() -> Body:
    """Write a settled reduction as it was cleared: 30 of 40 kW at 5, then 20 of 20 at 6."""
    units = dict.fromkeys(("OFFER_PRICE", "CLEARING_PRICE"), "INR_PER_KWH")
    units |= dict.fromkeys(("CAPACITY_OFFERED", "CAPACITY_CLEARED"), "KW")
    steps = {"OFFER_PRICE": [3, 5], "CAPACITY_OFFERED": [20, 40]}
    offered = table(
        dict(units),
        steps | {"CLEARING_PRICE": [5], "CAPACITY_CLEARED": [40]},
        steps | {"CLEARING_PRICE": [6], "CAPACITY_CLEARED": [20]},
    )
    body = _flexibility(table({}, {}, {}), offered, 265)
    inputs = [{"role": "buyer", "inputs": {"penaltyRate": Decimal("0.5")}}]
    body["message"]["contract"]["commitments"][0]["offer"] = {"offerAttributes": {"inputs": inputs}}
    return body


def _flexibility(need: Body, offered: Body, received: int) -> Body:
    units: dict[str, str | None] = {"BASELINE": "KW", "USAGE": "KW"}
    usage = (
        ({"BASELINE": [50], "USAGE": [20]}, {"BASELINE": [40], "USAGE": [20]}),
        ({"BASELINE": [10], "USAGE": [15]}, {"BASELINE": [10], "USAGE": [10]}),
    )
    meters = [{"meterId": f"m-{n}", "telemetry": table(units, *m)} for n, m in enumerate(usage)]
    flows = [
        {"role": "buyer", "value": -received, "currency": "INR"},
        {"role": "seller", "value": received, "currency": "INR"},
    ]
    contract = {
        "commitments": [
            {"resources": [{"resourceAttributes": need}], "commitmentAttributes": offered}
        ],
        "performance": [{"performanceAttributes": {"methodology": "5of10", "meters": meters}}],
        "contractAttributes": {"revenueFlows": flows},
    }
    return message("contract", "on_status", contract=contract)


RIGHT = {
    one.__name__: one()
    for one in (
        order,
        bare,
        delivery,
        read_in_time,
        incentives,
        cleared,
        aggregated,
        congested,
        metered,
        traded,
        flexed,
        flexed_as_cleared,
    )
}
"""Messages in which every amount is right, by name."""

ORDER, BLOCK = "message/order", "message/order/beckn:orderAttributes"
DONE = f"{ORDER}/beckn:fulfillments/0/beckn:attributes"
LINE = f"{ORDER}/beckn:orderItems/0"
ENERGY = f"{LINE}/beckn:orderItemAttributes/fulfillmentAttributes"
OFFER = f"{LINE}/beckn:acceptedOffer/beckn:offerAttributes"
CONTRACT = "message/contract"
MEASURED = f"{CONTRACT}/performance/0/performanceAttributes"
TRADE = f"{CONTRACT}/commitments/0/commitmentAttributes"

WRONG: dict[str, tuple[tuple[str, str, Any], ...]] = {
    "AMT-001": (
        ("order", f"{ORDER}/beckn:orderValue/components/2/value", Decimal("0.34")),
        ("order", f"{ORDER}/beckn:orderValue/components/2/value", -3),
    ),
    "AMT-002": (("order", f"{ORDER}/beckn:orderItems/0/beckn:quantity/unitQuantity", 5),),
    "AMT-003": (
        ("order", f"{ORDER}/beckn:payment/beckn:amount/value", 27),
        ("order", f"{ORDER}/beckn:payment/beckn:amount/currency", "USD"),
        ("traded", f"{CONTRACT}/settlements/0/settlementAttributes/totalPayable", 28),
    ),
    "AMT-004": (
        ("incentives", f"{ORDER}/beckn:payment/beckn:paymentAttributes/beckn:totalIncentive", 149),
        ("incentives", f"{ORDER}/beckn:payment/beckn:paymentAttributes/beckn:totalPayable", 150),
    ),
    "AMT-005": (("delivery", f"{DONE}/deliveredQuantity", Decimal("4.9")),),
    "AMT-006": (("delivery", f"{DONE}/meterReadings/1/sourceReading", 101),),
    "AMT-007": (
        ("cleared", f"{BLOCK}/roles/1/roleInputs/clearedPower/car", -5),
        ("aggregated", "message/aggregationResult/setpoints/2/setpointKW", -9),
    ),
    "AMT-008": (("cleared", f"{BLOCK}/roles/1/roleInputs/clearingPrice", Decimal("5.5")),),
    "AMT-009": (("cleared", f"{BLOCK}/inputParameters/approvedMaxTradeKW", 3),),
    "AMT-010": (
        ("aggregated", "message/aggregationResult/clearingQuantityKW", 9),
        ("aggregated", "message/aggregationResult/aggregatedDemandCurve/0/powerKW", -7),
    ),
    "AMT-011": (
        (
            "congested",
            "message/aggregationRequest/participants/0/locationalPriceAdder/currentPrice",
            Decimal("5.86"),
        ),
    ),
    "AMT-012": (("delivery", f"{DONE}/telemetry/0/metrics/0/unitCode", "KWH"),),
    "AMT-013": (
        ("order", f"{ORDER}/beckn:orderValue/components/1/description", "Platform fee (12%)"),
    ),
    "AMT-014": (
        (
            "read_in_time",
            f"{ENERGY}/meterReadings/0/beckn:timeWindow/schema:endTime",
            "2030-06-01T09:00:00Z",
        ),
    ),
    "AMT-015": (
        (
            "order",
            f"{OFFER}/validityWindow/schema:endTime",
            "2030-06-01T07:00:00Z",
        ),
    ),
    "AMT-016": (("traded", f"{CONTRACT}/settlements/0/considerationId", "q"),),
    "AMT-017": (("bare", f"{ORDER}/beckn:orderValue/value", 26),),
    "AMT-018": (
        ("order", f"{ORDER}/beckn:payment/beckn:paidAt", "2030-06-01T10:00:01Z"),
        (
            "traded",
            f"{CONTRACT}/settlements/0/settlementAttributes/paidAt",
            "2030-06-01T12:00:00+01:00",
        ),
    ),
    "AMT-019": (
        ("traded", f"{CONTRACT}/consideration/1/considerationAttributes/amount/value", 28),
    ),
    "AMT-020": (
        ("traded", f"{CONTRACT}/commitments/0/resources/0/quantity/unitQuantity", Decimal("5.5")),
    ),
    "AMT-021": (
        (
            "traded",
            f"{CONTRACT}/consideration/0/considerationAttributes/revenueFlows/2/value",
            Decimal("1.505"),
        ),
        ("flexed", f"{CONTRACT}/contractAttributes/revenueFlows/0/currency", "USD"),
    ),
    "AMT-022": (("traded", f"{TRADE}/intervals/0/payloads/3/values/0", 2),),
    "AMT-023": (
        (
            "traded",
            f"{CONTRACT}/consideration/0/considerationAttributes/revenueFlows/1/value",
            Decimal("26.51"),
        ),
    ),
    "AMT-024": (
        ("flexed", f"{CONTRACT}/contractAttributes/revenueFlows/1/value", 270),
        ("flexed_as_cleared", f"{CONTRACT}/contractAttributes/revenueFlows/1/value", 270),
    ),
    "AMT-025": (
        (
            "flexed",
            f"{MEASURED}/meters/0/telemetry/intervals/1/payloads/1/values",
            [],
        ),
        ("flexed", f"{MEASURED}/meters/1/telemetry", None),
        (
            "flexed",
            f"{MEASURED}/pageInfo",
            {"isLast": False},
        ),
    ),
    "AMT-026": (
        ("flexed_as_cleared", f"{TRADE}/intervals/0/payloads/2/values/0", 4),
        ("flexed_as_cleared", f"{TRADE}/intervals/0/payloads/3/values/0", 41),
        ("flexed_as_cleared", f"{TRADE}/intervals/0/payloads/0/values", [5]),
    ),
    "AMT-027": (("traded", f"{TRADE}/intervals/0/payloads/4/values/0", Decimal("4.1")),),
    "AMT-028": (("traded", f"{TRADE}/payloadDescriptors/0/payloadType", "PRICE"),),
    "AMT-029": (("traded", f"{TRADE}/intervals/1/id", 2),),
    "AMT-030": (
        ("traded", f"{TRADE}/payloadDescriptors/2/units", "KW"),
        ("flexed", f"{TRADE}/payloadDescriptors/0/units", "KWH"),
    ),
    "AMT-031": (("traded", f"{TRADE}/intervals/1/payloads/1/values/0", 1),),
    "AMT-032": (("flexed_as_cleared", f"{TRADE}/intervals/0/payloads/1/values", [40, 20]),),
}
"""For every rule about amounts: which right message, where in it, and what makes it wrong."""

ALSO = {
    "AMT-007": {"AMT-008", "AMT-009"},  # who is cleared too much leaves the curve and the limit
    "AMT-019": {"AMT-003"},  # and what is payable is another amount
    "AMT-023": {"AMT-021"},  # one flow too high, and they sum to more than zero
    "AMT-024": {"AMT-021"},
    "AMT-026": {"AMT-024"},  # cleared otherwise, and settled as before
}
"""What the same mistake breaks by its nature."""


def spoilt(name: str, place: str, value: Any) -> Body:
    """Give a right message with one value replaced."""
    body = deepcopy(RIGHT[name])
    *way, last = place.split("/")
    inner: Any = body
    for key in way:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[int(last) if isinstance(inner, list) else last] = value
    return body


def recorded(*bodies: Body, roles: dict[str, str] | None = None) -> Trace:
    """Give the trace of some messages that a stranger sent."""
    messages = [
        Message(
            number,
            "beckn",
            "stranger",
            None,
            str(body.get("context", {}).get("action")),
            "POST",
            "https://bap.example/",
            {},
            dump_json(body),
            START,
            0.0,
        )
        for number, body in enumerate(bodies, start=1)
    ]
    dialect = next((m.dialect for m in messages if m.dialect), "order")
    scene = Scene("recorded", "x", "", dialect, EDITIONS[dialect], "strict", roles=roles or {})
    return Trace(scene, tuple(messages))

"""The order dialect: snake_case context, `message.order`, keys with the prefix `beckn:`.

Belongs here: where this dialect keeps each slot. Does not belong here: the inside
of a building block (blocks), what is right (rules).

Source: schema/core/v2/attributes.yaml of Beckn 2.0.0 rc; beckn/DEG, building blocks,
market-based trading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gridwitness.dialects.base import Cursor, compose_context, read_envelope_fields
from gridwitness.dialects.blocks import (
    CONTEXT,
    iso_duration,
    read_bill,
    read_charges,
    read_curve,
    read_error,
    read_filter,
    read_flows,
    read_positions,
    read_window,
    typed,
    write_charges,
    write_components,
    write_curve,
    write_error,
    write_filter,
    write_flows,
    write_positions,
)
from gridwitness.views import (
    Approval,
    Bill,
    ClearingResult,
    EnergyContract,
    Envelope,
    Intent,
    MeterReading,
    Offer,
    Problem,
    Reading,
    SettlementReport,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from gridwitness.dialects.base import Json

CORE_CONTEXT = (
    "https://raw.githubusercontent.com/beckn/protocol-specifications-v2/refs/tags/"
    "core-2.0.0-rc-eos-release/schema/core/v2/context.jsonld"
)
ORDER_STATUS = {
    "PENDING": "PENDING",
    "ACTIVE": "CONFIRMED",
    "COMPLETED": "COMPLETED",
    "TERMINATED": "CANCELLED",
}
AGENT, PROSUMER, GRID = "MARKET_CLEARING_AGENT", "PROSUMER", "GRID_OPERATOR"
AGENT_SIDE, PARTICIPANT_SIDE = "BPP", "BAP"
"""Who is paid: a participant takes the buyer's side of the protocol even where it sells."""


class OrderDialect:
    """See the module's head."""

    name = "order"
    mandatory_context = (
        "action",
        "version",
        "bap_id",
        "bap_uri",
        "bpp_id",
        "bpp_uri",
        "transaction_id",
        "message_id",
        "timestamp",
    )
    _keys: ClassVar[Mapping[str, str]] = {
        name: name for name in (*mandatory_context, "ttl", "network_id")
    }

    def context_key(self, field: str) -> str:
        return self._keys[field]

    def recognises(self, body: Json) -> bool:
        context = Cursor(body, "", []) / "context"
        return any((context / key) for key in ("message_id", "transaction_id", "bap_id"))

    def read(self, body: Json) -> Reading:
        problems: list[Problem] = []
        root = Cursor(body, "", problems)
        keys = {name: key for name, key in self._keys.items() if name != "network_id"}
        fields, at = read_envelope_fields(root / "context", keys)
        networks = [item.text() for item in (root / "context" / "network_id").items()]
        message = root / "message"
        window = read_filter(message / "filters")
        return Reading(
            envelope=Envelope(**fields, network_id=networks[0] if networks else None, at=at),
            intent=Intent(interval=window, at={"": (message / "filters").pointer})
            if message / "filters"
            else None,
            offers=tuple(
                _read_offer(offer)
                for catalogue in (message / "catalogs").items()
                for offer in (catalogue / "beckn:offers").items()
            ),
            contract=_read_order(message / "order"),
            error=read_error(root / "error") or read_error(message / "error"),
            problems=tuple(problems),
        )

    def compose(self, reading: Reading) -> dict[str, Json]:
        context = compose_context(reading.envelope, self._keys)
        if reading.envelope.network_id:
            context["network_id"] = [reading.envelope.network_id]
        if reading.error is not None:
            return {"context": context, "error": write_error(reading.error)}
        message: dict[str, Json] = {}
        if reading.intent is not None and reading.intent.interval is not None:
            message["filters"] = write_filter(reading.intent.interval)
        if reading.offers:
            message["catalogs"] = [_write_catalogue(reading)]
        if reading.contract is not None:
            message["order"] = _write_order(reading.contract)
        return {"context": context, "message": message}


def _read_order(order: Cursor) -> EnergyContract | None:
    if order.object() is None:
        return None
    items = list((order / "beckn:orderItems").items())
    delivery = order / "beckn:fulfillment" / "beckn:deliveryAttributes"
    readings: list[MeterReading] = []
    for item in (delivery / "meterReadings").items():
        meter, energy = (item / "meterId").need_text(), (item / "allocatedEnergy").need_number()
        if meter is not None and energy is not None:
            readings.append(
                MeterReading(
                    meter_id=meter,
                    energy_kwh=energy,
                    at={"": item.pointer, "energy_kwh": (item / "allocatedEnergy").pointer},
                )
            )
    return _read_block(
        order / "beckn:orderAttributes",
        contract_id=order / "beckn:id",
        offer_id=items[0] / "beckn:acceptedOffer" / "beckn:id" if items else None,
        readings=tuple(readings),
        bill=_read_bill(order, items[0]) if items else None,
    )


def _read_bill(order: Cursor, item: Cursor) -> Bill | None:
    return read_bill(
        order / "beckn:orderValue",
        energy=item / "beckn:quantity" / "unitQuantity",
        price=item / "beckn:price" / "value",
        to_participant=(order / "beckn:payment" / "beckn:beneficiary").text() == PARTICIPANT_SIDE,
    )


def _read_block(
    block: Cursor,
    contract_id: Cursor,
    offer_id: Cursor | None = None,
    readings: tuple[MeterReading, ...] = (),
    bill: Bill | None = None,
) -> EnergyContract:
    inputs = block / "inputParameters"
    roles = {(role / "role").text(): role for role in (block / "roles").items()}
    agent, prosumer, grid = (roles.get(name, block.nowhere) for name in (AGENT, PROSUMER, GRID))
    prosumer_inputs, grid_inputs = prosumer / "roleInputs", grid / "roleInputs"
    participant_id = (prosumer / "filledBy").text()
    return EnergyContract(
        contract_id=contract_id.text(),
        status=(block / "status").text(),
        offer_id=offer_id.text() if offer_id is not None else None,
        participant_id=participant_id,
        clearing_agent_id=(agent / "filledBy").text(),
        grid_operator_id=(grid / "filledBy").text(),
        meter_id=(prosumer_inputs / "sourceMeterId").text(),
        interval=read_window(inputs / "tradeWindow", "startTime", "duration"),
        curve=read_curve(prosumer_inputs / "offerCurve"),
        requested_kw=(prosumer_inputs / "requestedMaxTradeKW").number(),
        approval=_read_approval(inputs, grid_inputs),
        charges=read_charges(inputs / "charges"),
        clearing=_read_clearing(agent / "roleInputs", participant_id),
        readings=readings,
        settlement=_read_settlement(block / "settlement"),
        bill=bill,
        at={
            "": block.pointer,
            "status": (block / "status").pointer,
            "contract_id": contract_id.pointer,
        },
    )


def _read_approval(inputs: Cursor, grid_inputs: Cursor) -> Approval | None:
    approved = (inputs / "approvedMaxTradeKW").number()
    if approved is None:
        return None
    return Approval(
        approved_max_trade_kw=approved,
        sanctioned_load_kw=(grid_inputs / "sanctionedLoadKW").number(),
        committed_kw=(grid_inputs / "committedKW").number(),
        at={"": (inputs / "approvedMaxTradeKW").pointer},
    )


def _read_clearing(agent_inputs: Cursor, participant_id: str | None) -> ClearingResult | None:
    power = agent_inputs / "clearedPower" / (participant_id or "")
    cleared_kw = power.number()
    if cleared_kw is None:
        return None
    return ClearingResult(
        cleared_power_kw=cleared_kw,
        clearing_price_per_kwh=(agent_inputs / "clearingPrice").number(),
        at={
            "": agent_inputs.pointer,
            "cleared_power_kw": power.pointer,
            "clearing_price_per_kwh": (agent_inputs / "clearingPrice").pointer,
        },
    )


def _read_settlement(cursor: Cursor) -> SettlementReport | None:
    if cursor.object() is None:
        return None
    return SettlementReport(
        flows=read_flows(cursor / "flows"),
        positions=read_positions(cursor / "positions"),
        at={
            "": cursor.pointer,
            "flows": f"{cursor.pointer}/flows",
            "positions": f"{cursor.pointer}/positions",
        },
    )


def _read_offer(offer: Cursor) -> Offer:
    block = offer / "beckn:offerAttributes" / "contract"
    contract = _read_block(block, contract_id=block / "contractId")
    return Offer(
        offer_id=(offer / "beckn:id").text() or "",
        provider_id=(offer / "beckn:provider").text(),
        pricing_model=(block / "inputParameters" / "pricingModel").text(),
        clearing_agent_id=contract.clearing_agent_id,
        interval=contract.interval,
        charges=contract.charges,
        at={
            "": offer.pointer,
            "pricing_model": (block / "inputParameters" / "pricingModel").pointer,
        },
    )


def _role(role: str, filled_by: str | None, inputs: dict[str, Json]) -> dict[str, Json]:
    present = {key: value for key, value in inputs.items() if value is not None}
    return {
        "role": role,
        "filledBy": filled_by,
        "filled": filled_by is not None,
        "roleInputs": present,
    }


def _write_block(contract: EnergyContract) -> dict[str, Json]:
    clearing, approval, interval = contract.clearing, contract.approval, contract.interval
    participant = contract.participant_id
    roles = [
        _role(
            AGENT,
            contract.clearing_agent_id,
            {
                "clearingPrice": clearing.clearing_price_per_kwh if clearing else None,
                "clearedPower": {participant: clearing.cleared_power_kw} if clearing else None,
            },
        ),
        _role(
            PROSUMER,
            participant,
            {
                "sourceMeterId": contract.meter_id,
                "offerCurve": write_curve(contract.curve),
                "requestedMaxTradeKW": contract.requested_kw,
            },
        ),
        _role(
            GRID,
            contract.grid_operator_id,
            {
                "sanctionedLoadKW": approval.sanctioned_load_kw if approval else None,
                "committedKW": approval.committed_kw if approval else None,
            },
        ),
    ]
    inputs: dict[str, Json] = {
        "pricingModel": "PAY_AS_CLEAR",
        "tradeWindow": interval
        and {"startTime": interval.start, "duration": iso_duration(interval.duration_h)},
        "approvedMaxTradeKW": approval.approved_max_trade_kw if approval else None,
        "charges": write_charges(contract.charges),
    }
    report = contract.settlement
    return typed(
        "EnergyContract",
        {
            "status": contract.status,
            "roles": roles,
            "inputParameters": {k: v for k, v in inputs.items() if v is not None},
            "settlement": report
            and typed(
                "SettlementReport",
                {"flows": write_flows(report), "positions": write_positions(report)},
            ),
        },
    )


def _write_order(contract: EnergyContract) -> dict[str, Json]:
    offer_id = contract.offer_id
    item: dict[str, Json] = {
        "beckn:orderedItem": "energy-of-the-interval",
        "beckn:quantity": {"unitText": "kWh", "unitCode": "KWH"},
    }
    if offer_id is not None:
        item["beckn:acceptedOffer"] = _offer(offer_id, contract.clearing_agent_id)
    if contract.bill is not None:
        item |= _write_line(contract.bill)
    seller, buyer = contract.clearing_agent_id, contract.participant_id
    order: dict[str, Json] = {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Order",
        "beckn:id": contract.contract_id,
        "beckn:orderStatus": ORDER_STATUS.get(contract.status or "", contract.status),
        "beckn:seller": seller,
        "beckn:buyer": {
            "@context": CORE_CONTEXT,
            "@type": "beckn:Buyer",
            "beckn:id": buyer,
            "beckn:role": "BUYER",
        },
        "beckn:orderItems": [item],
        "beckn:orderAttributes": _write_block(contract),
    } | (_write_bill(contract.bill) if contract.bill else {})
    if contract.readings:
        order["beckn:fulfillment"] = {
            "@context": CORE_CONTEXT,
            "@type": "beckn:Fulfillment",
            "beckn:mode": "DELIVERY",
            "beckn:deliveryAttributes": typed(
                "EnergyDelivery",
                {
                    "meterReadings": [
                        {
                            "meterId": reading.meter_id,
                            "allocatedEnergy": reading.energy_kwh,
                            "unit": "kWh",
                        }
                        for reading in contract.readings
                    ]
                },
            ),
        }
    return {key: value for key, value in order.items() if value is not None}


def _write_line(bill: Bill) -> dict[str, Json]:
    return {
        "beckn:quantity": _kwh(bill.energy_kwh),
        "beckn:price": {
            "currency": bill.currency,
            "value": bill.price_per_kwh,
            "applicableQuantity": _kwh(1),
        },
    }


def _kwh(quantity: Decimal | int) -> dict[str, Json]:
    return {"unitText": "kWh", "unitCode": "KWH", "unitQuantity": quantity}


def _write_bill(bill: Bill) -> dict[str, Json]:
    return {
        "beckn:orderValue": {
            "currency": bill.currency,
            "value": bill.value,
            "components": write_components(bill),
        },
        "beckn:payment": {
            "@context": CORE_CONTEXT,
            "@type": "beckn:Payment",
            "beckn:id": "payment",
            "beckn:amount": {"currency": bill.currency, "value": bill.value},
            "beckn:paymentStatus": "PENDING",
            "beckn:beneficiary": PARTICIPANT_SIDE if bill.to_participant else AGENT_SIDE,
        },
    }


def _offer(offer_id: str, provider_id: str | None) -> dict[str, Json]:
    return {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Offer",
        "beckn:id": offer_id,
        "beckn:descriptor": {
            "@type": "beckn:Descriptor",
            "schema:name": "Energy of one interval, pay as clear",
        },
        "beckn:provider": provider_id,
        "beckn:items": ["energy-of-the-interval"],
    }


def _write_catalogue(reading: Reading) -> dict[str, Json]:
    envelope = reading.envelope
    offers = [
        _offer(offer.offer_id, offer.provider_id)
        | {
            "beckn:offerAttributes": typed(
                "EnergyOffer",
                {
                    "openRole": PROSUMER,
                    "contract": _offered_block(offer),
                },
            )
        }
        for offer in reading.offers
    ]
    item = {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Item",
        "beckn:id": "energy-of-the-interval",
        "beckn:descriptor": {"@type": "beckn:Descriptor", "schema:name": "Energy"},
        "beckn:provider": {
            "beckn:id": envelope.bpp_id,
            "beckn:descriptor": {"@type": "beckn:Descriptor", "schema:name": "Clearing agent"},
        },
        "beckn:itemAttributes": {"@context": CONTEXT, "@type": "EnergyResource"},
    }
    return {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Catalog",
        "beckn:id": "market",
        "beckn:descriptor": {"@type": "beckn:Descriptor", "schema:name": "Energy market"},
        "beckn:bppId": envelope.bpp_id,
        "beckn:bppUri": envelope.bpp_uri,
        "beckn:items": [item],
        "beckn:offers": offers,
    }


def _offered_block(offer: Offer) -> dict[str, Json]:
    block = _write_block(
        EnergyContract(
            status="PENDING",
            clearing_agent_id=offer.clearing_agent_id,
            interval=offer.interval,
            charges=offer.charges,
        )
    )
    inputs = block["inputParameters"] | {"pricingModel": offer.pricing_model}
    block["inputParameters"] = {key: value for key, value in inputs.items() if value is not None}
    return block


ORDER = OrderDialect()

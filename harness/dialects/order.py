"""The order dialect: snake_case context, `message.order`, keys with the prefix `beckn:`.

Belongs here: where this dialect keeps each slot. Does not belong here: the inside
of a building block (blocks), what is right (rules).

Source: schema/core/v2/attributes.yaml of Beckn 2.0.0 rc; beckn/DEG, building blocks,
market-based trading.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from gridwitness.dialects.aggregation import read_request, read_result, write_aggregation
from gridwitness.dialects.base import Cursor, compose_context, read_envelope_fields
from gridwitness.dialects.blocks import (
    iso_duration,
    read_bill,
    read_charges,
    read_curve,
    read_error,
    read_flows,
    read_positions,
    read_readings,
    read_window,
    typed,
    write_charges,
    write_components,
    write_curve,
    write_error,
    write_positions,
    write_readings,
)
from gridwitness.dialects.deals import (
    IN_A_DEAL,
    is_deal,
    read_blocks,
    read_deal,
    read_report,
    upper,
    words,
    write_blocks,
    write_deal,
    write_report,
)
from gridwitness.dialects.listings import (
    ORDER_RESULTS,
    catalogues_of,
    read_results,
    read_validity,
    write_results,
    write_validity,
)
from gridwitness.dialects.searching import ORDER_SEARCH, read_search, write_search
from gridwitness.dialects.tables import read_table, write_table
from gridwitness.views import (
    Approval,
    Bill,
    Block,
    Catalogue,
    ClearingResult,
    Deal,
    EnergyContract,
    Envelope,
    MeterReading,
    Offer,
    Problem,
    Reading,
    SettlementReport,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
RESOURCE = "energy-of-the-interval"
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
        catalogues = _read_catalogues(message)
        return Reading(
            envelope=Envelope(**fields, network_id=networks[0] if networks else None, at=at),
            intent=read_search(message, ORDER_SEARCH),
            offers=tuple(offer for catalogue in catalogues or () for offer in catalogue.offers),
            catalogues=catalogues,
            results=read_results(message / "results", ORDER_RESULTS),
            contract=_read_order(message / "order"),
            deal=_read_deal(message / "order"),
            request=read_request(message / "aggregationRequest"),
            result=read_result(message / "aggregationResult"),
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
        if reading.intent is not None:
            message |= write_search(reading.intent, ORDER_SEARCH)
        if reading.catalogues is not None or reading.offers:
            message["catalogs"] = [_write_catalogue(one) for one in catalogues_of(reading)]
        if reading.results:
            message["results"] = write_results(reading.results, ORDER_RESULTS)
        if reading.deal is not None:
            message["order"] = _write_deal(reading.deal)
        elif reading.contract is not None:
            message["order"] = _write_order(reading.contract)
        message |= write_aggregation(reading)
        return {"context": context, "message": message}


def _read_order(order: Cursor) -> EnergyContract | None:
    if order.object() is None:
        return None
    items = list((order / "beckn:orderItems").items())
    delivery = order / "beckn:fulfillment" / "beckn:deliveryAttributes"
    block = order / "beckn:orderAttributes"
    contract = _read_block(
        block,
        contract_id=order / "beckn:id",
        offer_id=items[0] / "beckn:acceptedOffer" / "beckn:id" if items else None,
        readings=read_readings(delivery / "meterReadings"),
        bill=_read_bill(order, items[0]) if items else None,
    )
    held = (*read_blocks(block, "contract"), *read_blocks(delivery, "fulfilment"))
    return replace(contract, blocks=held)


def _read_deal(order: Cursor) -> Deal | None:
    """Read an order as a deal, where it is one."""
    block, items = order / "beckn:orderAttributes", list((order / "beckn:orderItems").items())
    item = items[0] if items else order.nowhere
    deal = read_deal(block) if is_deal(block) else None
    if deal is None:
        return None
    delivery = order / "beckn:fulfillment" / "beckn:deliveryAttributes"
    return replace(
        deal,
        contract_id=(order / "beckn:id").text(),
        offer_id=(item / "beckn:acceptedOffer" / "beckn:id").text(),
        resource_id=(item / "beckn:orderedItem").text(),
        provider_id=(order / "beckn:seller").text(),
        customer_id=(order / "beckn:buyer" / "beckn:id").text(),
        table=read_table(item / "beckn:orderItemAttributes", words),
        blocks=(*deal.blocks, *read_blocks(delivery, "fulfilment", IN_A_DEAL)),
        readings=read_readings(delivery / "meterReadings"),
        settlement=_read_settlement(block / "settlement"),
        bill=_read_bill(order, item),
    )


def _read_bill(order: Cursor, item: Cursor) -> Bill | None:
    payment = order / "beckn:payment"
    return read_bill(
        order / "beckn:orderValue",
        energy=item / "beckn:quantity" / "unitQuantity",
        price=item / "beckn:price" / "value",
        to_participant=(payment / "beckn:beneficiary").text() == PARTICIPANT_SIDE,
        is_due=bool(payment),
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
        local_price_per_kwh=(agent_inputs / "locationalPrice").number(),
        at={
            "": agent_inputs.pointer,
            "cleared_power_kw": power.pointer,
            "clearing_price_per_kwh": (agent_inputs / "clearingPrice").pointer,
            "local_price_per_kwh": (agent_inputs / "locationalPrice").pointer,
        },
    )


def _read_settlement(cursor: Cursor) -> SettlementReport | None:
    if cursor.object() is None:
        return None
    report = SettlementReport(
        flows=read_flows(cursor / "flows"),
        positions=read_positions(cursor / "positions"),
        at={
            "": cursor.pointer,
            "flows": f"{cursor.pointer}/flows",
            "positions": f"{cursor.pointer}/positions",
        },
    )
    return read_report(report, cursor)


def _read_catalogues(message: Cursor) -> tuple[Catalogue, ...] | None:
    if not message / "catalogs":
        return None
    return tuple(_read_catalogue(catalogue) for catalogue in (message / "catalogs").items())


def _read_catalogue(catalogue: Cursor) -> Catalogue:
    provider = (catalogue / "beckn:providerId").text()
    first = catalogue / "beckn:items" / 0 / "beckn:provider" / "beckn:id"
    return Catalogue(
        catalogue_id=(catalogue / "beckn:id").text(),
        provider_id=provider if provider is not None else first.text(),
        bpp_id=(catalogue / "beckn:bppId").text(),
        bpp_uri=(catalogue / "beckn:bppUri").text(),
        is_active=(catalogue / "beckn:isActive").value is not False,
        offers=tuple(_read_offers(catalogue)),
        at={
            "": catalogue.pointer,
            "bpp_id": (catalogue / "beckn:bppId").pointer,
            "bpp_uri": (catalogue / "beckn:bppUri").pointer,
        },
    )


def _read_offers(catalogue: Cursor) -> Iterator[Offer]:
    items = {(item / "beckn:id").text(): item for item in (catalogue / "beckn:items").items()}
    for offer in (catalogue / "beckn:offers").items():
        item = items.get((offer / "beckn:items" / 0).text(), catalogue.nowhere)
        yield _read_offer(offer, item / "beckn:itemAttributes")


def _read_offer(offer: Cursor, resource: Cursor) -> Offer:
    attributes = offer / "beckn:offerAttributes"
    block = attributes / "contract"
    contract = _read_block(block, contract_id=block / "contractId")
    return Offer(
        offer_id=(offer / "beckn:id").text() or "",
        provider_id=(offer / "beckn:provider").text(),
        pricing_model=(block / "inputParameters" / "pricingModel").text(),
        clearing_agent_id=contract.clearing_agent_id,
        interval=contract.interval,
        charges=contract.charges,
        deal=_read_offered_deal(offer, block),
        blocks=(*read_blocks(attributes, "offer"), *read_blocks(resource, "item")),
        is_active=(offer / "beckn:isActive").value is not False,
        resource_id=(offer / "beckn:items" / 0).text(),
        **read_validity(offer / "beckn:validity", attributes, "schema:"),
        at={
            "": offer.pointer,
            "pricing_model": (block / "inputParameters" / "pricingModel").pointer,
        },
    )


def _read_offered_deal(offer: Cursor, block: Cursor) -> Deal | None:
    deal = read_deal(block) if is_deal(block) else None
    return deal and replace(
        deal,
        resource_id=(offer / "beckn:items" / 0).text(),
        table=read_table(offer / "beckn:offerAttributes" / "commitmentAttributes", words),
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
                "locationalPrice": clearing.local_price_per_kwh if clearing else None,
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
            "settlement": _write_settlement(report),
        }
        | write_blocks(contract.blocks, "contract"),
    )


def _write_settlement(report: SettlementReport | None) -> dict[str, Json] | None:
    if report is None:
        return None
    members = write_report(report) | {"positions": write_positions(report)}
    return typed("SettlementReport", members)


def _write_deal(deal: Deal) -> dict[str, Json]:
    item: dict[str, Json] = {
        "beckn:orderedItem": deal.resource_id or RESOURCE,
        "beckn:quantity": {"unitText": "kWh", "unitCode": "KWH"},
    }
    if deal.offer_id is not None:
        item["beckn:acceptedOffer"] = _offer(deal.offer_id, deal.provider_id, deal.resource_id)
    if deal.table is not None:
        item["beckn:orderItemAttributes"] = write_table(deal.table, upper)
    block = write_deal(deal, upper, "filledBy") | {"settlement": _write_settlement(deal.settlement)}
    order: dict[str, Json] = {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Order",
        "beckn:id": deal.contract_id,
        "beckn:orderStatus": ORDER_STATUS.get(deal.status or "", deal.status),
        "beckn:seller": deal.provider_id,
        "beckn:buyer": _buyer(deal.customer_id),
        "beckn:orderItems": [item | (_write_line(deal.bill) if deal.bill else {})],
        "beckn:orderAttributes": typed("EnergyContract", block),
        "beckn:fulfillment": _write_fulfilment(deal.readings, deal.blocks),
    } | (_write_bill(deal.bill) if deal.bill else {})
    return {key: value for key, value in order.items() if value is not None}


def _buyer(buyer_id: str | None) -> dict[str, Json]:
    return {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Buyer",
        "beckn:id": buyer_id,
        "beckn:role": "BUYER",
    }


def _write_fulfilment(
    readings: tuple[MeterReading, ...], blocks: tuple[Block, ...]
) -> dict[str, Json] | None:
    held = write_blocks(blocks, "fulfilment")
    if readings:
        held = {"meterReadings": write_readings(readings)} | held
    if not held:
        return None
    return {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Fulfillment",
        "beckn:mode": "DELIVERY",
        "beckn:deliveryAttributes": typed("EnergyDelivery", held),
    }


def _write_order(contract: EnergyContract) -> dict[str, Json]:
    offer_id = contract.offer_id
    item: dict[str, Json] = {
        "beckn:orderedItem": RESOURCE,
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
        "beckn:buyer": _buyer(buyer),
        "beckn:orderItems": [item],
        "beckn:orderAttributes": _write_block(contract),
        "beckn:fulfillment": _write_fulfilment(contract.readings, contract.blocks),
    } | (_write_bill(contract.bill) if contract.bill else {})
    return {key: value for key, value in order.items() if value is not None}


def _write_line(bill: Bill) -> dict[str, Json]:
    line: dict[str, Json] = {}
    if bill.energy_kwh is not None:
        line["beckn:quantity"] = _kwh(bill.energy_kwh)
    if bill.price_per_kwh is not None:
        line["beckn:price"] = {
            "currency": bill.currency,
            "value": bill.price_per_kwh,
            "applicableQuantity": _kwh(1),
        }
    return line


def _kwh(quantity: Decimal | int) -> dict[str, Json]:
    return {"unitText": "kWh", "unitCode": "KWH", "unitQuantity": quantity}


def _write_bill(bill: Bill) -> dict[str, Json]:
    value: dict[str, Json] = {
        "beckn:orderValue": {
            "currency": bill.currency,
            "value": bill.value,
            "components": write_components(bill),
        }
    }
    if not bill.is_due:
        return value
    return value | {
        "beckn:payment": {
            "@context": CORE_CONTEXT,
            "@type": "beckn:Payment",
            "beckn:id": "payment",
            "beckn:amount": {"currency": bill.currency, "value": bill.value},
            "beckn:paymentStatus": "PENDING",
            "beckn:beneficiary": PARTICIPANT_SIDE if bill.to_participant else AGENT_SIDE,
        },
    }


def _offer(
    offer_id: str, provider_id: str | None, resource_id: str | None = None
) -> dict[str, Json]:
    return {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Offer",
        "beckn:id": offer_id,
        "beckn:descriptor": {
            "@type": "beckn:Descriptor",
            "schema:name": "Energy of one interval, pay as clear"
            if resource_id is None
            else "Energy under a contract",
        },
        "beckn:provider": provider_id,
        "beckn:items": [resource_id or RESOURCE],
    }


def _write_catalogue(catalogue: Catalogue) -> dict[str, Json]:
    offers = [
        _offer(offer.offer_id, offer.provider_id, offer.deal and offer.deal.resource_id)
        | {"beckn:offerAttributes": _offer_attributes(offer)}
        | write_validity(offer, "beckn:validity", "schema:")
        | ({} if offer.is_active else {"beckn:isActive": False})
        for offer in catalogue.offers
    ]
    is_market = all(offer.deal is None for offer in catalogue.offers) and catalogue.offers
    provider = "Clearing agent" if is_market else "Energy provider"
    resources = {
        (offer.deal and offer.deal.resource_id) or RESOURCE: write_blocks(offer.blocks, "item")
        for offer in catalogue.offers
    }
    items = [
        {
            "@context": CORE_CONTEXT,
            "@type": "beckn:Item",
            "beckn:id": resource_id,
            "beckn:descriptor": {"@type": "beckn:Descriptor", "schema:name": "Energy"},
            "beckn:provider": {
                "beckn:id": catalogue.provider_id,
                "beckn:descriptor": {"@type": "beckn:Descriptor", "schema:name": provider},
            },
            "beckn:itemAttributes": typed("EnergyResource", held),
        }
        for resource_id, held in resources.items()
    ]
    members: dict[str, Json] = {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Catalog",
        "beckn:id": catalogue.catalogue_id,
        "beckn:descriptor": {"@type": "beckn:Descriptor", "schema:name": "Energy market"},
        "beckn:providerId": catalogue.provider_id,
        "beckn:bppId": catalogue.bpp_id,
        "beckn:bppUri": catalogue.bpp_uri,
        "beckn:isActive": None if catalogue.is_active else False,
        "beckn:items": items,
        "beckn:offers": offers,
    }
    return {key: value for key, value in members.items() if value is not None}


def _offer_attributes(offer: Offer) -> dict[str, Json]:
    if offer.deal is None:
        members: dict[str, Json] = {"openRole": PROSUMER, "contract": _offered_block(offer)}
    else:
        still_open = [role.name for role in offer.deal.roles if role.holder_id is None]
        members = {
            "openRole": upper(still_open[0]) if still_open else None,
            "contract": typed("EnergyContract", write_deal(offer.deal, upper, "filledBy")),
            "commitmentAttributes": write_table(offer.deal.table, upper),
        }
    return typed("EnergyOffer", members | write_blocks(offer.blocks, "offer"))


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

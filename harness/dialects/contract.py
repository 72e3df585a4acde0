"""The contract dialect: camelCase context, `message.contract`, interval tables.

Belongs here: where this dialect keeps each slot. Does not belong here: the inside
of a building block (blocks), what is right (rules).

Numbers of an interval (curve, approval, clearing, readings) are columns of one
time series that grows from init to settlement; a column's name says who writes it.

Source: api/v2.0.0/beckn.yaml of Beckn 2.0.0 LTS; beckn/DEG, devkits demand-flex and
p2p-trading-ies-wave2.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from gridwitness.dialects.aggregation import read_request, read_result, write_aggregation
from gridwitness.dialects.base import Cursor, compose_context, read_envelope_fields
from gridwitness.dialects.blocks import (
    iso_duration,
    read_bill,
    read_charges,
    read_error,
    read_flows,
    read_positions,
    read_readings,
    read_window,
    typed,
    write_charges,
    write_components,
    write_error,
    write_positions,
    write_readings,
)
from gridwitness.dialects.deals import (
    IN_A_DEAL,
    camel,
    is_deal,
    read_blocks,
    read_deal,
    read_report,
    words,
    write_blocks,
    write_deal,
    write_report,
)
from gridwitness.dialects.listings import (
    CONTRACT_RESULTS,
    catalogues_of,
    read_results,
    read_validity,
    write_results,
    write_validity,
)
from gridwitness.dialects.searching import CONTRACT_SEARCH, read_search, write_search
from gridwitness.dialects.tables import (
    NEEDED,
    joined,
    only,
    read_table,
    without,
    write_table,
)
from gridwitness.reference_impl.curves import Number, Point
from gridwitness.views import (
    Approval,
    Bill,
    Block,
    Catalogue,
    ClearingResult,
    Deal,
    EnergyContract,
    Envelope,
    Interval,
    MeterReading,
    Offer,
    OfferCurve,
    Problem,
    Reading,
    Role,
    SettlementReport,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gridwitness.dialects.base import Json

STATUS = {
    "PENDING": ("DRAFT", "DRAFT"),
    "ACTIVE": ("ACTIVE", "ACTIVE"),
    "COMPLETED": ("COMPLETE", "CLOSED"),
    "TERMINATED": ("CANCELLED", "CLOSED"),
}
AGENT, PROSUMER, GRID = "clearingAgent", "prosumer", "gridOperator"
RESOURCE = "energy-of-the-interval"
NO_ROLES: Mapping[str, str] = {}


class ContractDialect:
    """See the module's head."""

    name = "contract"
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
        "action": "action",
        "version": "version",
        "bap_id": "bapId",
        "bap_uri": "bapUri",
        "bpp_id": "bppId",
        "bpp_uri": "bppUri",
        "transaction_id": "transactionId",
        "message_id": "messageId",
        "timestamp": "timestamp",
        "ttl": "ttl",
        "network_id": "networkId",
    }

    def context_key(self, field: str) -> str:
        return self._keys[field]

    def recognises(self, body: Json) -> bool:
        context = Cursor(body, "", []) / "context"
        return any((context / key) for key in ("messageId", "transactionId", "bapId"))

    def read(self, body: Json) -> Reading:
        problems: list[Problem] = []
        root = Cursor(body, "", problems)
        fields, at = read_envelope_fields(root / "context", self._keys)
        message = root / "message"
        catalogues = _read_catalogues(message)
        return Reading(
            envelope=Envelope(**fields, at=at),
            intent=read_search(message / "intent", CONTRACT_SEARCH),
            offers=tuple(offer for catalogue in catalogues or () for offer in catalogue.offers),
            catalogues=catalogues,
            results=read_results(message / "results", CONTRACT_RESULTS),
            contract=_read_contract(message / "contract"),
            deal=_read_deal(message / "contract", asker=fields.get("bap_id")),
            request=read_request(message / "aggregationRequest"),
            result=read_result(message / "aggregationResult"),
            error=read_error(root / "error") or read_error(message / "error"),
            problems=tuple(problems),
        )

    def compose(self, reading: Reading) -> dict[str, Json]:
        context = compose_context(reading.envelope, self._keys)
        if reading.error is not None:
            return {"context": context, "error": write_error(reading.error)}
        message: dict[str, Json] = {}
        if reading.intent is not None:
            message["intent"] = write_search(reading.intent, CONTRACT_SEARCH)
        if reading.catalogues is not None or reading.offers:
            message["catalogs"] = [_write_catalogue(one) for one in catalogues_of(reading)]
        if reading.results:
            message["results"] = write_results(reading.results, CONTRACT_RESULTS)
        if reading.deal is not None:
            message["contract"] = _write_deal(reading.deal)
        elif reading.contract is not None:
            message["contract"] = _write_contract(reading.contract)
        message |= write_aggregation(reading)
        return {"context": context, "message": message}


class _Series:
    """The first interval of a time series: its period, and each column by payload type."""

    def __init__(self, cursor: Cursor) -> None:
        self.interval = read_window(cursor / "intervalPeriod", "start", "duration")
        self.units = {
            (item / "payloadType").text(): (item / "units").text()
            for item in (cursor / "payloadDescriptors").items()
        }
        self._columns = {
            (payload / "type").text(): payload / "values"
            for payload in (cursor / "intervals" / 0 / "payloads").items()
        }
        self._nowhere = cursor.nowhere

    def column(self, payload_type: str) -> Cursor:
        return self._columns.get(payload_type, self._nowhere)

    def value(self, payload_type: str) -> Decimal | None:
        return (self.column(payload_type) / 0).number()

    def pointer(self, payload_type: str) -> str:
        return (self.column(payload_type) / 0).pointer

    def curve(self) -> OfferCurve | None:
        prices, powers = self.column("OFFER_PRICE"), self.column("CAPACITY_OFFERED")
        if not prices or not powers:
            return None  # a capacity alone is offered at a price that somebody posted
        pairs = [
            (price.number(), power.number())
            for price, power in zip(prices.items(), powers.items(), strict=False)
        ]
        if len(list(prices.items())) != len(list(powers.items())):
            powers.problem("has not as many values as OFFER_PRICE")
        points = tuple(Point(p, x) for p, x in pairs if p is not None and x is not None)
        units = self.units.get("OFFER_PRICE") or ""
        return OfferCurve(
            currency=units.removesuffix("_PER_KWH") or None,
            min_export_kw=points[0].power_kw if points else Decimal(0),
            max_export_kw=points[-1].power_kw if points else Decimal(0),
            points=points,
            at={"": powers.pointer, "points": powers.pointer},
        )


def _read_contract(contract: Cursor) -> EnergyContract | None:
    if contract.object() is None:
        return None
    commitment = contract / "commitments" / 0
    series = _Series(commitment / "commitmentAttributes")
    terms = contract / "contractAttributes"
    roles = {(role / "role").text(): role / "participantId" for role in (terms / "roles").items()}
    agent, prosumer, grid = (roles.get(n, contract.nowhere) for n in (AGENT, PROSUMER, GRID))
    return EnergyContract(
        contract_id=(contract / "id").text(),
        status=_read_status(contract),
        offer_id=(commitment / "offer" / "id").text(),
        participant_id=prosumer.text(),
        clearing_agent_id=agent.text(),
        grid_operator_id=grid.text(),
        meter_id=_meter_id(contract, prosumer.text()),
        interval=series.interval,
        curve=series.curve(),
        requested_kw=series.value("CAPACITY_REQUESTED"),
        approval=_read_approval(series),
        charges=read_charges(terms / "charges"),
        clearing=_read_clearing(series),
        readings=_read_readings(contract),
        settlement=_read_settlement(contract),
        bill=_read_bill(contract, series),
        blocks=(*read_blocks(terms, "contract"), *_read_fulfilment(contract)),
        at={
            "": contract.pointer,
            "status": (contract / "status" / "code").pointer,
            "contract_id": (contract / "id").pointer,
        },
    )


def _read_status(contract: Cursor) -> str | None:
    code = (contract / "status" / "code").text()
    return next((name for name, codes in STATUS.items() if codes[0] == code), code)


def _read_fulfilment(contract: Cursor) -> tuple[Block, ...]:
    return read_blocks(contract / "performance" / 0 / "performanceAttributes", "fulfilment")


def _read_deal(contract: Cursor, asker: str | None = None) -> Deal | None:
    """Read a contract as a deal, where it is one.

    Its customer is the asker, if that has a role, or else the first who is not the provider.
    """
    block, commitment = contract / "contractAttributes", contract / "commitments" / 0
    deal = read_deal(block) if is_deal(block) else None
    if deal is None:
        return None
    performance = contract / "performance" / 0 / "performanceAttributes"
    provider_id = (commitment / "offer" / "provider" / "id").text()
    holders = [role.holder_id for role in deal.roles if role.holder_id not in (None, provider_id)]
    return replace(
        deal,
        contract_id=(contract / "id").text(),
        status=_read_status(contract),
        offer_id=(commitment / "offer" / "id").text(),
        resource_id=(commitment / "resources" / 0 / "id").text(),
        provider_id=provider_id,
        customer_id=asker if asker in holders else next(iter(holders), None),
        table=joined(
            read_table(commitment / "resources" / 0 / "resourceAttributes", words),
            read_table(commitment / "commitmentAttributes", words),
        ),
        blocks=(*deal.blocks, *read_blocks(performance, "fulfilment", IN_A_DEAL)),
        readings=read_readings(performance / "meterReadings"),
        settlement=_read_settlement(contract),
        bill=_read_bill(contract, _Series(commitment / "commitmentAttributes"), is_market=False),
        at={**deal.at, "": contract.pointer, "status": (contract / "status" / "code").pointer},
    )


def _meter_id(contract: Cursor, participant_id: str | None) -> str | None:
    for participant in (contract / "participants").items():
        if (participant / "id").text() == participant_id:
            return (participant / "participantAttributes" / "meterId").text()
    return None


def _read_approval(series: _Series) -> Approval | None:
    approved = series.value("APPROVED_MAX_TRADE")
    if approved is None:
        return None
    return Approval(
        approved_max_trade_kw=approved,
        sanctioned_load_kw=series.value("SANCTIONED_LOAD"),
        committed_kw=series.value("CAPACITY_COMMITTED"),
        at={"": series.pointer("APPROVED_MAX_TRADE")},
    )


def _read_clearing(series: _Series) -> ClearingResult | None:
    cleared_kw = series.value("CAPACITY_CLEARED")
    if cleared_kw is None:
        return None
    return ClearingResult(
        cleared_power_kw=cleared_kw,
        clearing_price_per_kwh=series.value("CLEARING_PRICE"),
        local_price_per_kwh=series.value("LOCATIONAL_PRICE"),
        at={
            "": series.pointer("CAPACITY_CLEARED"),
            "cleared_power_kw": series.pointer("CAPACITY_CLEARED"),
            "clearing_price_per_kwh": series.pointer("CLEARING_PRICE"),
            "local_price_per_kwh": series.pointer("LOCATIONAL_PRICE"),
        },
    )


def _read_readings(contract: Cursor) -> tuple[MeterReading, ...]:
    readings: list[MeterReading] = []
    for performance in (contract / "performance").items():
        for meter in (performance / "performanceAttributes" / "meters").items():
            series = _Series(meter / "telemetry")
            meter_id, energy = (meter / "meterId").need_text(), series.value("USAGE")
            if meter_id is not None and energy is not None:
                at = {"": meter.pointer, "energy_kwh": series.pointer("USAGE")}
                readings.append(MeterReading(meter_id=meter_id, energy_kwh=energy, at=at))
    return tuple(readings)


def _read_settlement(contract: Cursor) -> SettlementReport | None:
    paid = _holding(contract / "settlements", "settlementAttributes", "flows")
    left = _holding(contract / "consideration", "considerationAttributes", "revenueFlows")
    if not paid and not left:
        return None
    report = SettlementReport(
        flows=read_flows(paid / "flows"),
        positions=read_positions(left / "revenueFlows"),
        at={
            "": paid.pointer,
            "flows": (paid / "flows").pointer,
            "positions": (left / "revenueFlows").pointer,
        },
    )
    return read_report(report, paid)


def _read_bill(contract: Cursor, series: _Series, *, is_market: bool = True) -> Bill | None:
    priced = _holding(contract / "consideration", "considerationAttributes", "value")
    paid = _holding(contract / "settlements", "settlementAttributes", "payTo")
    if not priced:
        return None
    quantity = contract / "commitments" / 0 / "resources" / 0 / "quantity"
    local, price = (series.column(kind) for kind in ("LOCATIONAL_PRICE", "CLEARING_PRICE"))
    return read_bill(
        priced,
        energy=quantity / "unitQuantity",
        price=(local or price) / 0 if is_market else contract.nowhere,
        to_participant=is_market and (paid / "payTo" / "role").text() == PROSUMER,
        is_due=bool(paid),
    )


def _holding(entries: Cursor, slot: str, member: str) -> Cursor:
    """Find the attributes of the entry that hold a member; nowhere when none does."""
    for entry in entries.items():
        if entry / slot / member:
            return entry / slot
    return entries.nowhere


def _read_catalogues(message: Cursor) -> tuple[Catalogue, ...] | None:
    if not message / "catalogs":
        return None
    merging = _merging(message / "publishDirectives")
    return tuple(
        _read_catalogue(catalogue, merging) for catalogue in (message / "catalogs").items()
    )


def _merging(directives: Cursor) -> set[str | None]:
    """Name the catalogues that are laid over the earlier ones; None where it is all of them."""
    stated = [directives] if isinstance(directives.value, dict) else []
    if isinstance(directives.value, list):
        stated = [item for item in directives.items() if isinstance(item.value, dict)]
    return {
        (item / "catalogId").text() for item in stated if (item / "updateMode").value == "MERGE"
    }


def _read_catalogue(catalogue: Cursor, merging: set[str | None]) -> Catalogue:
    catalogue_id = (catalogue / "id").text()
    return Catalogue(
        catalogue_id=catalogue_id,
        provider_id=(catalogue / "provider" / "id").text(),
        bpp_id=(catalogue / "bppId").text(),
        bpp_uri=(catalogue / "bppUri").text(),
        is_active=(catalogue / "isActive").value is not False,
        merges=not merging.isdisjoint((None, catalogue_id)),
        offers=tuple(_read_offers(catalogue)),
        at={
            "": catalogue.pointer,
            "bpp_id": (catalogue / "bppId").pointer,
            "bpp_uri": (catalogue / "bppUri").pointer,
        },
    )


def _read_offers(catalogue: Cursor) -> Iterator[Offer]:
    resources = {(item / "id").text(): item for item in (catalogue / "resources").items()}
    for offer in (catalogue / "offers").items():
        resource = resources.get((offer / "resourceIds" / 0).text(), catalogue.nowhere)
        yield _read_offer(offer, resource / "resourceAttributes")


def _read_offer(offer: Cursor, resource: Cursor) -> Offer:
    attributes = offer / "offerAttributes"
    block = attributes / "contract"
    deal = read_deal(block) if is_deal(block) else None
    return Offer(
        offer_id=(offer / "id").text() or "",
        provider_id=(offer / "provider" / "id").text(),
        pricing_model=(attributes / "pricingModel").text(),
        clearing_agent_id=(attributes / "clearingAgentId").text(),
        interval=read_window(attributes / "tradeWindow", "startTime", "duration"),
        charges=read_charges(attributes / "charges"),
        deal=deal
        and replace(
            deal,
            resource_id=(offer / "resourceIds" / 0).text(),
            table=read_table(attributes / "commitmentAttributes", words),
        ),
        blocks=(*read_blocks(attributes, "offer"), *read_blocks(resource, "item")),
        is_active=(offer / "isActive").value is not False,
        resource_id=(offer / "resourceIds" / 0).text(),
        **read_validity(offer / "validity", attributes, ""),
        at={"": offer.pointer, "pricing_model": (attributes / "pricingModel").pointer},
    )


_WRITTEN_BY = {
    "OFFER_PRICE": PROSUMER,
    "CAPACITY_OFFERED": PROSUMER,
    "CAPACITY_REQUESTED": AGENT,
    "APPROVED_MAX_TRADE": GRID,
    "SANCTIONED_LOAD": GRID,
    "CAPACITY_COMMITTED": GRID,
    "CLEARING_PRICE": AGENT,
    "LOCATIONAL_PRICE": AGENT,
    "CAPACITY_CLEARED": AGENT,
    "USAGE": GRID,
}
_PRICES = ("OFFER_PRICE", "CLEARING_PRICE", "LOCATIONAL_PRICE")


def _write_series(
    interval: Interval | None, columns: dict[str, list[Number | None]], currency: str | None
) -> dict[str, Json] | None:
    present = {
        kind: [value for value in values if value is not None]
        for kind, values in columns.items()
        if any(value is not None for value in values)
    }
    if interval is None:
        return None

    def units(kind: str) -> str | None:
        if kind in _PRICES:
            return f"{currency}_PER_KWH" if currency else None
        return "KWH" if kind == "USAGE" else "KW"

    descriptors = [
        {"payloadType": kind, "units": units(kind), "insertedBy": _WRITTEN_BY[kind]}
        for kind in present
    ]
    return typed(
        "TimeSeries",
        {
            "intervalPeriod": {
                "start": interval.start,
                "duration": iso_duration(interval.duration_h),
            },
            "payloadDescriptors": [
                {key: value for key, value in item.items() if value is not None}
                for item in descriptors
            ],
            "intervals": [
                {
                    "id": 0,
                    "payloads": [{"type": kind, "values": v} for kind, v in present.items()],
                }
            ],
        },
    )


def _write_contract(contract: EnergyContract) -> dict[str, Json]:
    curve, approval, clearing = contract.curve, contract.approval, contract.clearing
    contract_code, commitment_code = STATUS.get(contract.status or "", (contract.status,) * 2)
    columns: dict[str, list[Number | None]] = {
        "OFFER_PRICE": [point.price_per_kwh for point in curve.points] if curve else [],
        "CAPACITY_OFFERED": [point.power_kw for point in curve.points] if curve else [],
        "CAPACITY_REQUESTED": [contract.requested_kw],
        "APPROVED_MAX_TRADE": [approval.approved_max_trade_kw if approval else None],
        "SANCTIONED_LOAD": [approval.sanctioned_load_kw if approval else None],
        "CAPACITY_COMMITTED": [approval.committed_kw if approval else None],
        "CLEARING_PRICE": [clearing.clearing_price_per_kwh if clearing else None],
        "LOCATIONAL_PRICE": [clearing.local_price_per_kwh if clearing else None],
        "CAPACITY_CLEARED": [clearing.cleared_power_kw if clearing else None],
    }
    currency = contract.charges.currency if contract.charges else None
    if curve is not None:
        currency = curve.currency
    commitment: dict[str, Json] = {
        "status": {"descriptor": {"code": commitment_code}},
        "resources": [{"id": RESOURCE, "quantity": _quantity(contract.bill)}],
        "offer": {"id": contract.offer_id, "resourceIds": [RESOURCE]}
        if contract.offer_id
        else None,
        "commitmentAttributes": _write_series(contract.interval, columns, currency),
    }
    roles = {
        AGENT: contract.clearing_agent_id,
        PROSUMER: contract.participant_id,
        GRID: contract.grid_operator_id,
    }
    members: dict[str, Json] = {
        "id": contract.contract_id,
        "status": {"code": contract_code},
        "commitments": [{key: value for key, value in commitment.items() if value is not None}],
        "participants": _write_participants(contract),
        "contractAttributes": typed(
            "EnergyContract",
            {
                "roles": [{"role": role, "participantId": who} for role, who in roles.items()],
                "charges": write_charges(contract.charges),
            }
            | write_blocks(contract.blocks, "contract"),
        ),
        "performance": _write_performance(contract),
    } | _write_money(contract.settlement, contract.bill)
    return {key: value for key, value in members.items() if value is not None}


def _write_participants(contract: EnergyContract) -> list[Json] | None:
    if contract.participant_id is None:
        return None
    participant: dict[str, Json] = {"id": contract.participant_id}
    if contract.meter_id is not None:
        participant["participantAttributes"] = typed(
            "EnergyCustomer", {"meterId": contract.meter_id}
        )
    return [participant]


def _write_performance(contract: EnergyContract) -> list[Json] | None:
    held = write_blocks(contract.blocks, "fulfilment")
    if not contract.readings:
        return _performance(held) if held else None
    meters = [
        {
            "meterId": reading.meter_id,
            "telemetry": _write_series(contract.interval, {"USAGE": [reading.energy_kwh]}, None),
        }
        for reading in contract.readings
    ]
    return _performance({"meters": meters} | held)


def _performance(members: dict[str, Json]) -> list[Json]:
    return [
        {
            "id": "delivery",
            "status": {"code": "DELIVERED"},
            "performanceAttributes": typed("EnergyDelivery", members),
        }
    ]


def _write_deal(deal: Deal) -> dict[str, Json]:
    contract_code, commitment_code = STATUS.get(deal.status or "", (deal.status,) * 2)
    resource_id = deal.resource_id or RESOURCE
    offer: dict[str, Json] = {
        "id": deal.offer_id,
        "resourceIds": [resource_id],
        "provider": deal.provider_id
        and {"id": deal.provider_id, "descriptor": {"name": "Energy provider"}},
    }
    held = write_blocks(deal.blocks, "fulfilment")
    if deal.readings:
        held = {"meterReadings": write_readings(deal.readings)} | held
    block = write_deal(deal, camel, "participantId")
    block.pop("status", None)
    need = write_table(only(deal.table, NEEDED), camel)
    commitment: dict[str, Json] = {
        "status": {"descriptor": {"code": commitment_code}},
        "resources": [
            {"id": resource_id, "quantity": _dealt(deal)}
            | ({"resourceAttributes": need} if need else {})
        ],
        "offer": {key: value for key, value in offer.items() if value is not None},
        "commitmentAttributes": write_table(without(deal.table, NEEDED), camel),
    }
    members: dict[str, Json] = {
        "id": deal.contract_id,
        "status": {"code": contract_code},
        "commitments": [{key: value for key, value in commitment.items() if value is not None}],
        "participants": [_participant(role) for role in deal.roles if role.holder_id] or None,
        "contractAttributes": typed("EnergyContract", block),
        "performance": _performance(held) if held else None,
    } | _write_money(deal.settlement, deal.bill, _roles_of(deal), deal.provider_id)
    return {key: value for key, value in members.items() if value is not None}


def _participant(role: Role) -> dict[str, Json]:
    if role.meter_id is None:
        return {"id": role.holder_id}
    customer = typed("EnergyCustomer", {"meterId": role.meter_id})
    return {"id": role.holder_id, "participantAttributes": customer}


def _dealt(deal: Deal) -> dict[str, Json]:
    """Write how much energy a deal is for: what is requested in all intervals, or billed."""
    requested = deal.table.values("requested") if deal.table and deal.bill is None else ()
    known = [energy_kwh for energy_kwh in requested if energy_kwh is not None]
    return _quantity(deal.bill) | ({"unitQuantity": sum(known)} if known else {})


def _quantity(bill: Bill | None) -> dict[str, Json]:
    energy_kwh = bill.energy_kwh if bill else None
    return {"unitCode": "KWH"} | ({} if energy_kwh is None else {"unitQuantity": energy_kwh})


def _roles_of(deal: Deal) -> dict[str, str]:
    """Spell the roles of a deal by who holds them; who holds several goes by the first."""
    return {role.holder_id: camel(role.name) for role in reversed(deal.roles) if role.holder_id}


def _write_money(
    report: SettlementReport | None,
    bill: Bill | None,
    roles: Mapping[str, str] = NO_ROLES,
    provider_id: str | None = None,
) -> dict[str, Json]:
    """Write what is owed. roles: who holds which; in a deal it is the provider who is paid."""
    written = _write_report(report, roles) if report else {}
    payee = PROSUMER if bill and bill.to_participant else roles.get(provider_id or "", AGENT)
    for slot, entry in (_write_bill(bill, payee) if bill else {}).items():
        written.setdefault(slot, []).append(entry)
    return dict(written)


def _write_bill(bill: Bill, payee: str) -> dict[str, Json]:
    price: dict[str, Json] = {
        "currency": bill.currency,
        "value": bill.value,
        "components": write_components(bill),
    }
    amount: dict[str, Json] = {"currency": bill.currency, "value": bill.value}
    consideration = {
        "id": "price",
        "status": {"code": "SETTLED" if bill.is_due else "QUOTED"},
        "considerationAttributes": typed("PriceSpecification", price),
    }
    if not bill.is_due:
        return {"consideration": consideration}
    return {
        "consideration": consideration,
        "settlements": {
            "id": "payment",
            "considerationId": "price",
            "status": "COMMITTED",
            "settlementAttributes": typed(
                "SettlementTerm",
                {
                    "amount": amount,
                    "payTo": {"role": payee},
                    "settlementStatus": "PENDING",
                },
            ),
        },
    }


def _write_report(report: SettlementReport, roles: Mapping[str, str]) -> dict[str, list[Json]]:
    left = [
        ({"role": role} if (role := roles.get(position.party)) else {}) | written
        for position, written in zip(report.positions, write_positions(report), strict=True)
    ]
    return {
        "consideration": [
            {
                "id": "revenue",
                "status": {"code": "SETTLED"},
                "considerationAttributes": typed("RevenueFlow", {"revenueFlows": left}),
            }
        ],
        "settlements": [
            {
                "id": "settlement",
                "considerationId": "revenue",
                "status": "COMPLETE",
                "settlementAttributes": typed("SettlementReport", write_report(report)),
            }
        ],
    }


def _write_catalogue(catalogue: Catalogue) -> dict[str, Json]:
    # An offer has no such member here: who withdraws one publishes the catalogue without it.
    offers = [offer for offer in catalogue.offers if offer.is_active]
    resources = {_resource_id(o): write_blocks(o.blocks, "item") for o in offers}
    is_market = all(offer.deal is None for offer in offers) and offers
    return {
        "id": catalogue.catalogue_id,
        "descriptor": {"name": "Energy market"},
        "provider": {
            "id": catalogue.provider_id,
            "descriptor": {"name": "Clearing agent" if is_market else "Energy provider"},
        },
        "resources": [
            {"id": resource_id, "descriptor": {"name": "Energy"}}
            | ({"resourceAttributes": typed("EnergyResource", held)} if held else {})
            for resource_id, held in resources.items()
        ],
        "offers": [_write_offer(offer) for offer in offers],
    } | ({} if catalogue.is_active else {"isActive": False})


def _resource_id(offer: Offer) -> str:
    return (offer.deal and offer.deal.resource_id) or RESOURCE


def _write_offer(offer: Offer) -> dict[str, Json]:
    name = "Energy under a contract" if offer.deal else "Energy of one interval, pay as clear"
    provider = "Energy provider" if offer.deal else "Clearing agent"
    return {
        "id": offer.offer_id,
        "descriptor": {"name": name},
        "provider": {"id": offer.provider_id, "descriptor": {"name": provider}},
        "resourceIds": [_resource_id(offer)],
        "offerAttributes": typed("EnergyOffer", _offer_members(offer)),
    } | write_validity(offer, "validity", "")


def _offer_members(offer: Offer) -> dict[str, Json]:
    held, deal, interval = write_blocks(offer.blocks, "offer"), offer.deal, offer.interval
    if deal is not None:
        still_open = [role.name for role in deal.roles if role.holder_id is None]
        block = typed("EnergyContract", write_deal(deal, camel, "participantId"))
        members: dict[str, Json] = {
            "openRole": camel(still_open[0]) if still_open else None,
            "contract": block,
            "commitmentAttributes": write_table(deal.table, camel),
        }
        return members | held
    window = interval and {
        "startTime": interval.start,
        "duration": iso_duration(interval.duration_h),
    }
    return {
        "pricingModel": offer.pricing_model,
        "clearingAgentId": offer.clearing_agent_id,
        "tradeWindow": window,
        "charges": write_charges(offer.charges),
    } | held


CONTRACT = ContractDialect()

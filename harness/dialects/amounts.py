"""What messages of every energy use case state about money and energy, as views.

Belongs here: where the published messages of each dialect, and the drafts that the order
dialect grew from, keep amounts. Does not belong here: what is right about them (rules);
what our own market exchanges (order, contract). Nothing is composed from these views.

Whatever cannot be read is left out: a wrong type is a matter of shape, not of arithmetic.

Source: schema/core/v2/attributes.yaml of Beckn 2.0.0 rc; api/v2.0.0/beckn.yaml of Beckn 2.0.0
LTS; beckn/DEG, specification/schema, and the building blocks EnergyCoordination and
EnergyContractP2PTrade.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, cast

from gridwitness.dialects.base import Cursor
from gridwitness.dialects.blocks import hours, read_curve
from gridwitness.views import (
    Adder,
    Aggregation,
    Amounts,
    CommittedTable,
    Consideration,
    Delivery,
    EnergyFlow,
    Line,
    MeteredTable,
    Metric,
    Paid,
    Part,
    Payment,
    Performance,
    Position,
    PowerMarket,
    Quote,
    Reference,
    RoleFlows,
    Table,
    Total,
    TradeTable,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from fractions import Fraction

    from gridwitness.dialects.base import Json
    from gridwitness.views import OfferCurve

NOTHING = Amounts()
RESOURCE_TELEMETRY = "RESOURCE_TELEMETRY"
"""The methodology of a measurement that no settlement rests on."""


def read_amounts(dialect: str | None, body: Json) -> Amounts:
    """Read what a parsed body of a dialect states; never raises."""
    message = Cursor(body, "", []) / "message"
    if dialect == "order":
        return _read_order(message)
    if dialect == "contract":
        return _read_contract(message)
    return NOTHING


# -- the order dialect ------------------------------------------------------------------


def _read_order(message: Cursor) -> Amounts:
    order = message / "order"
    if not _is_object(order):
        offered = (
            _window(offer)
            for catalogue in _objects(message / "catalogs")
            for offer in _objects(catalogue / "beckn:offers")
        )
        return Amounts(
            aggregation=_aggregation(message),
            windows=tuple(window for window in offered if window is not None),
            adders=tuple(_adders(_offered_in_order(message))),
        )
    items = list(_objects(order / "beckn:orderItems"))
    places = list(_delivery_places(order))
    deliveries = [_delivery(place, order.nowhere) for place in places]
    deliveries += [
        _delivery(
            item / "beckn:orderItemAttributes" / "fulfillmentAttributes",
            _offer(item) / "beckn:offerAttributes" / "beckn:timeWindow",
        )
        for item in items
    ]
    found = tuple(one for one in deliveries if one is not None)
    value = order / "beckn:orderValue"
    lines = _lines(items) if items else _objective(order / "beckn:orderAttributes")
    delivered = any(one.delivered_kwh is not None for one in found)
    quotes = [_quote(value, lines, delivered=delivered), _old_quote(order / "beckn:quote")]
    due = (value / "value").number()
    payment = order / "beckn:payment" / "beckn:amount"
    return Amounts(
        quotes=tuple(quote for quote in quotes if quote is not None),
        payments=tuple(_payment(payment, due, (value / "currency").text()))
        if due is not None
        else (),
        totals=tuple(_totals(order, items)),
        deliveries=found,
        metrics=tuple(metric for place in places for metric in _metrics(place)),
        windows=tuple(window for item in items if (window := _window(_offer(item)))),
        market=_market(order / "beckn:orderAttributes"),
        tables=tuple(table for item in items if (table := _table_of_line(item))),
        flows=tuple(flows for place in _money_places(order) if (flows := _role_flows(place))),
        adders=tuple(_adders([order / "beckn:orderAttributes"])),
        paid=tuple(_made(order / "beckn:payment" / "beckn:paidAt")),
    )


def _offered_in_order(message: Cursor) -> Iterator[Cursor]:
    """Yield where a catalogue, or a request to aggregate, tells of things and of offers."""
    yield from _objects(message / "aggregationRequest" / "participants")
    for catalogue in _objects(message / "catalogs"):
        for item in _objects(catalogue / "beckn:items"):
            yield item / "beckn:itemAttributes"
        for offer in _objects(catalogue / "beckn:offers"):
            yield offer / "beckn:offerAttributes"


def _adders(places: Iterable[Cursor]) -> Iterator[Adder]:
    """Read the price adders of grid nodes: of each place, of its node, or the place itself."""
    for place in places:
        itself = (place / "@type").value == "LocationalPriceAdder"
        inside = (place / "locationalPriceAdder", place / "gridNode" / "locationalPriceAdder")
        for adder in (place, *inside) if itself else inside:
            keys = ("currentPrice", "basePrice", "currentLoadPercent", "priceAdderPerPercent")
            price, base, load, step = ((adder / key).number() for key in keys)
            if price is not None and base is not None and load is not None and step is not None:
                yield Adder(
                    price=price,
                    base_price=base,
                    load_percent=load,
                    adder_per_percent=step,
                    at={"": (adder / "currentPrice").pointer},
                )


def _table_of_line(item: Cursor) -> Table | None:
    return _table(item / "beckn:orderItemAttributes")


def _money_places(order: Cursor) -> Iterator[Cursor]:
    """Yield where an order keeps what is left to each party."""
    yield order / "beckn:orderAttributes" / "revenueFlows"
    yield order / "beckn:payment" / "beckn:paymentAttributes" / "revenueFlows"
    yield order / "beckn:invoice" / "beckn:invoiceAttributes" / "revenueFlows"


def _made(paid: Cursor) -> Iterator[Paid]:
    when = paid.text()
    if when is not None:
        yield Paid(at_time=when, at={"": paid.pointer})


def _offer(item: Cursor) -> Cursor:
    return item / "beckn:acceptedOffer"


def _delivery_places(order: Cursor) -> Iterator[Cursor]:
    """Yield every place where a generation of this dialect keeps what was delivered."""
    fulfilment = order / "beckn:fulfillment"
    for place in (fulfilment / "beckn:deliveryAttributes", fulfilment / "deliveryAttributes"):
        if _is_object(place):
            yield place
    for old in _objects(order / "beckn:fulfillments"):
        place = old / "beckn:attributes"
        if _is_object(place):
            yield place


def _quote(value: Cursor, lines: tuple[Line, ...], *, delivered: bool) -> Quote | None:
    amount = (value / "value").number()
    if amount is None:
        return None
    return Quote(
        value=amount,
        currency=(value / "currency").text(),
        parts=_parts(value / "components", "value", "description"),
        lines=lines,
        delivered=delivered,
        at={"": value.pointer, "value": (value / "value").pointer},
    )


def _old_quote(quote: Cursor) -> Quote | None:
    price = quote / "beckn:price"
    amount = (price / "schema:price").number()
    if amount is None:
        return None
    parts = [
        Part(kind=None, amount=part, at={"": item.pointer})
        for item in _objects(quote / "beckn:breakup")
        if (part := (item / "beckn:price" / "schema:price").number()) is not None
    ]
    return Quote(
        value=amount,
        currency=(price / "schema:priceCurrency").text(),
        parts=tuple(parts),
        at={"": quote.pointer, "value": (price / "schema:price").pointer},
    )


def _parts(cursor: Cursor, amount: str, text: str) -> tuple[Part, ...]:
    """Read the parts of a price; none where one of them cannot be read."""
    parts: list[Part] = []
    for item in _objects(cursor):
        number = (item / amount).number()
        if number is None:
            return ()
        parts.append(
            Part(
                kind=(item / "type").text(),
                amount=number,
                text=(item / text).text() or "",
                at={"": item.pointer},
            )
        )
    return tuple(parts)


def _lines(items: list[Cursor]) -> tuple[Line, ...]:
    """Read the lines of an order; none unless every one of them is priced."""
    lines: list[Line] = []
    for item in items:
        quantity = (item / "beckn:quantity" / "unitQuantity").number()
        price = next((price for price in _prices(item) if _is_object(price)), item.nowhere)
        amount = (price / "value").number()
        if amount is None:
            amount = (price / "schema:price").number()
        if quantity is None or amount is None:
            return ()
        # A price with a unit of its own is per unit, and its quantity then is a limit.
        per = (price / "applicableQuantity" / "unitQuantity").number()
        if per is None or per <= 0 or price / "unitText":
            per = Decimal(1)
        lines.append(Line(quantity=quantity, price=amount, per=per, at={"": item.pointer}))
    return tuple(lines)


def _objective(attributes: Cursor) -> tuple[Line, ...]:
    """Read an order of energy without items: so much is to be charged, at a cleared price."""
    target = attributes / "objectives" / "targetChargeKWh"
    quantity, price = target.number(), (attributes / "clearingPrice").number()
    if quantity is None or price is None:
        return ()
    return (Line(quantity=quantity, price=price, at={"": target.pointer}),)


def _prices(item: Cursor) -> Iterator[Cursor]:
    yield item / "beckn:price"
    yield _offer(item) / "beckn:price"
    yield _offer(item) / "beckn:offerAttributes" / "beckn:price"


def _payment(paid: Cursor, due: Decimal, due_currency: str | None) -> Iterator[Payment]:
    number = paid.number() if not _is_object(paid) else (paid / "value").number()
    if number is not None:
        currency = (paid / "currency").text()
        at = {"": paid.pointer}
        yield Payment(amount=number, currency=currency, due=due, due_currency=due_currency, at=at)


def _totals(order: Cursor, items: list[Cursor]) -> Iterator[Total]:
    details = [item / "beckn:orderItemAttributes" / "beckn:settlementDetails" for item in items]
    details = [detail for detail in details if _is_object(detail)]
    paid = order / "beckn:payment" / "beckn:paymentAttributes"
    currency = next((text for d in details if (text := (d / "incentiveCurrency").text())), None)
    for detail in details:
        parts = [(detail / key).number() for key in ("totalIncentive", "bonusIncentive")]
        yield from _total(
            detail / "totalPayable", "totalPayable", currency, [x for x in parts if x]
        )
    payables = [(detail / "totalPayable").number() for detail in details]
    incentives = [(detail / "totalIncentive").number() for detail in details]
    either = [
        own if own is not None else less for own, less in zip(payables, incentives, strict=True)
    ]
    for name, summands in (("totalIncentive", incentives), ("totalPayable", either)):
        known = [one for one in summands if one is not None]
        if len(known) == len(details):
            yield from _total(paid / f"beckn:{name}", name, currency, known)
    settlement = order / "beckn:orderAttributes" / "settlement"
    shares = [(flow / "amount").number() for flow in _objects(settlement / "revenueFlows")]
    report = settlement / "settlementReport"
    known = [share for share in shares if share is not None]
    if len(known) == len(shares):
        total = report / "totalAmount"
        yield from _total(total, "totalAmount", (report / "currency").text(), known)
    for place in (settlement, order / "beckn:orderAttributes"):
        yield from _report(place)


def _report(report: Cursor) -> Iterator[Total]:
    """Read the total of a settlement report, and the payments that it totals."""
    paid = [(flow / "amount").number() for flow in _objects(report / "flows")]
    known = [amount for amount in paid if amount is not None]
    if len(known) == len(paid):
        total, currency = report / "totalAmount", (report / "currency").text()
        yield from _total(total, "totalAmount", currency, known)


def _total(
    cursor: Cursor, what: str, currency: str | None, summands: list[Decimal]
) -> Iterator[Total]:
    value = cursor.number()
    if value is not None and summands:
        at = {"": cursor.pointer}
        yield Total(what=what, value=value, currency=currency, summands=tuple(summands), at=at)


def _delivery(place: Cursor, window: Cursor) -> Delivery | None:
    if not _is_object(place):
        return None
    flows = tuple(_energy_flow(item) for item in _objects(place / "meterReadings"))
    delivered = (place / "deliveredQuantity").number()
    if delivered is None and not flows:
        return None
    return Delivery(
        delivered_kwh=delivered,
        flows=flows,
        start=(window / "schema:startTime").text(),
        end=(window / "schema:endTime").text(),
        at={"": place.pointer, "delivered_kwh": (place / "deliveredQuantity").pointer},
    )


def _energy_flow(item: Cursor) -> EnergyFlow:
    flow = (item / "energyFlow").number()
    window = item / "beckn:timeWindow"
    return EnergyFlow(
        energy_kwh=flow if flow is not None else (item / "allocatedEnergy").number(),
        source_kwh=(item / "sourceReading").number(),
        target_kwh=(item / "targetReading").number(),
        start=(window / "schema:startTime").text(),
        end=(window / "schema:endTime").text(),
        at={"": item.pointer},
    )


def _metrics(place: Cursor) -> Iterator[Metric]:
    for key in ("chargingTelemetry", "telemetry"):
        for event in _objects(place / key):
            for item in _objects(event / "metrics"):
                name, unit = (item / "name").text(), (item / "unitCode").text()
                if name is not None and unit is not None:
                    yield Metric(name=name, unit=unit, at={"": item.pointer})
    for item in _objects(place / "telemetry" / "payloadDescriptors"):
        name, unit = (item / "payloadType").text(), (item / "units").text()
        if name is not None and unit is not None:
            yield Metric(name=name, unit=unit, at={"": item.pointer})


def _window(offer: Cursor) -> Window | None:
    attributes = offer / "beckn:offerAttributes"
    valid = attributes / "validityWindow" / "schema:endTime"
    until = valid.text()
    windows = (attributes / key for key in ("beckn:timeWindow", "deliveryWindow"))
    starts = ((window / "schema:startTime").text() for window in windows)
    begins = next((start for start in starts if start is not None), None)
    if until is None or begins is None:
        return None
    return Window(valid_until=until, delivered_from=begins, at={"": valid.pointer})


def _market(block: Cursor) -> PowerMarket | None:
    """Read a market that was cleared, with the curves that the message repeats."""
    roles = (role / "roleInputs" for role in _objects(block / "roles"))
    agent = next((role for role in roles if _is_object(role / "clearedPower")), None)
    if agent is None:
        return None
    cleared = agent / "clearedPower"
    powers = {
        name: number
        for name in cast("Mapping[str, Json]", cleared.value)
        if (number := (cleared / name).number()) is not None
    }
    local, price = agent / "locationalPrice", agent / "clearingPrice"
    return PowerMarket(
        powers_kw=powers,
        whole=(block / "revenueFlows" / "netZero").value is True and len(powers) > 1,
        price_per_kwh=(local or price).number(),
        approved_kw=(block / "inputParameters" / "approvedMaxTradeKW").number(),
        curves=dict(_curves(block)),
        at={name: (cleared / name).pointer for name in powers} | {"": cleared.pointer},
    )


def _curves(block: Cursor) -> Iterator[tuple[str, OfferCurve]]:
    for role in _objects(block / "roles"):
        who, curve = (role / "filledBy").text(), read_curve(role / "roleInputs" / "offerCurve")
        if who is not None and curve is not None:
            yield who, curve


def _aggregation(message: Cursor) -> Aggregation | None:
    result = message / "aggregationResult"
    if not _is_object(result):
        return None
    return Aggregation(
        quantity_kw=(result / "clearingQuantityKW").number(),
        setpoints_kw=tuple(
            power
            for item in _objects(result / "setpoints")
            if (power := (item / "setpointKW").number()) is not None
        ),
        supply_kw=_most(result / "aggregatedSupplyCurve"),
        demand_kw=_most(result / "aggregatedDemandCurve"),
        at={
            "": result.pointer,
            "quantity_kw": (result / "clearingQuantityKW").pointer,
            "setpoints_kw": (result / "setpoints").pointer,
        },
    )


def _most(curve: Cursor) -> Decimal | None:
    """Give the greatest power of an aggregate curve, generation or consumption."""
    powers = [(point / "powerKW").number() for point in _objects(curve)]
    return max((abs(power) for power in powers if power is not None), default=None)


# -- the contract dialect ---------------------------------------------------------------


def _read_contract(message: Cursor) -> Amounts:
    contract, tracking = message / "contract", message / "tracking"
    if not _is_object(contract):
        if not _is_object(tracking):
            return Amounts(
                aggregation=_aggregation(message),
                adders=tuple(_adders(_offered_in_contract(message))),
            )
        return Amounts(metrics=tuple(_metrics(tracking / "trackingAttributes")))
    considerations = list(_objects(contract / "consideration"))
    settlements = list(_objects(contract / "settlements"))
    agreed_rate = _penalty_rate(contract / "contractAttributes")
    commitments = tuple(
        _commitment(item, agreed_rate) for item in _objects(contract / "commitments")
    )
    performances = tuple(_performance(item) for item in _objects(contract / "performance"))
    terms = contract / "contractAttributes"
    flows = [item / "considerationAttributes" / "revenueFlows" for item in considerations]
    flows.append(terms / "revenueFlows")
    reports = [item / "settlementAttributes" for item in settlements]
    reports += [terms, terms / "settlement"]
    found = tuple(one for item in considerations if (one := _consideration(item)) is not None)
    lines = _priced(commitments)
    quotes = (_price(item / "considerationAttributes", lines) for item in considerations)
    return Amounts(
        quotes=tuple(quote for quote in quotes if quote is not None),
        payments=tuple(_paid(settlements, found)),
        totals=tuple(total for report in reports for total in _report(report)),
        market=_market(terms),
        adders=tuple(_adders([terms])),
        metrics=tuple(
            metric
            for item in _objects(contract / "performance")
            for metric in _metrics(item / "performanceAttributes")
        ),
        commitments=commitments,
        tables=tuple(_tables(commitments, performances)),
        performances=performances,
        considerations=found,
        declared_totals=tuple(_declared(settlements)),
        flows=tuple(one for item in flows if (one := _role_flows(item)) is not None),
        references=tuple(_references(settlements, considerations)),
        metered=tuple(_metered(contract)),
        trades=tuple(_trades(contract, commitments)),
        paid=tuple(
            paid
            for settlement in settlements
            for paid in _made(settlement / "settlementAttributes" / "paidAt")
        ),
    )


def _offered_in_contract(message: Cursor) -> Iterator[Cursor]:
    """Yield where a catalogue, or a request to aggregate, tells of things and of offers."""
    yield from _objects(message / "aggregationRequest" / "participants")
    for catalogue in _objects(message / "catalogs"):
        for resource in _objects(catalogue / "resources"):
            yield resource / "resourceAttributes"
        for offer in _objects(catalogue / "offers"):
            yield offer / "offerAttributes"


def _metered(contract: Cursor) -> Iterator[MeteredTable]:
    """Read the meter data that a utility gives as a data set, one resource a meter."""
    for commitment in _objects(contract / "commitments"):
        for resource in _objects(commitment / "resources"):
            payload = resource / "resourceAttributes" / "dataPayload"
            meter_id, table = (payload / "resourceName").text(), _table(payload)
            if meter_id is not None and table is not None:
                contract_id = (contract / "id").text()
                yield MeteredTable(contract_id=contract_id, meter_id=meter_id, table=table)


def _trades(contract: Cursor, commitments: tuple[CommittedTable, ...]) -> Iterator[TradeTable]:
    """Read the tables of peer-to-peer trades, with the meters of both platforms' customers."""
    roles = {
        (role / "role").text(): (role / "participantId").text()
        for role in _objects(contract / "contractAttributes" / "roles")
    }
    if "buyerPlatform" not in roles:
        return
    meters = {
        (one / "id").text(): (one / "participantAttributes" / "meterId").text()
        for one in _objects(contract / "participants")
    }
    for commitment in commitments:
        if commitment.table is not None:
            yield TradeTable(
                contract_id=(contract / "id").text(),
                buyer_meter_id=meters.get(roles.get("buyerPlatform")),
                seller_meter_id=meters.get(roles.get("sellerPlatform")),
                table=commitment.table,
            )


def _priced(commitments: tuple[CommittedTable, ...]) -> tuple[Line, ...]:
    """Read lines of energy; none unless each table prices one quantity for one interval."""
    lines: list[Line] = []
    for one in commitments:
        kind = "LOCATIONAL_PRICE"
        if one.table is not None and kind not in one.table.used:
            kind = "CLEARING_PRICE"
        prices = one.table.column(kind) if one.table else ()
        if len(prices) != 1 or prices[0] is None or one.quantity is None:
            return ()
        lines.append(Line(quantity=one.quantity, price=prices[0], at=one.at))
    return tuple(lines)


def _price(attributes: Cursor, lines: tuple[Line, ...]) -> Quote | None:
    total = attributes / "totalAmount"
    if total.number() is None:
        total = attributes / "value"
    amount = total.number()
    if amount is None:
        return None
    parts = _parts(attributes / "breakup", "amount", "title")
    return Quote(
        value=amount,
        currency=(attributes / "currency").text(),
        parts=parts or _parts(attributes / "components", "value", "description"),
        lines=lines,
        at={"": attributes.pointer, "value": total.pointer},
    )


def _consideration(item: Cursor) -> Consideration | None:
    attributes = item / "considerationAttributes"
    for place in (
        attributes / "amount" / "value",
        attributes / "totalAmount",
        attributes / "value",
    ):
        amount = place.number()
        if amount is not None:
            currency = (attributes / "amount" / "currency").text()
            return Consideration(
                consideration_id=(item / "id").text(),
                amount=amount,
                currency=currency or (attributes / "currency").text(),
                at={"": item.pointer, "amount": place.pointer},
            )
    return None


def _paid(settlements: list[Cursor], dues: tuple[Consideration, ...]) -> Iterator[Payment]:
    by_id = {due.consideration_id: due for due in dues}
    for settlement in settlements:
        due = by_id.get((settlement / "considerationId").text() or "")
        if due is None:
            continue
        attributes = settlement / "settlementAttributes"
        for place in (
            settlement / "amount",
            attributes / "amount",
            attributes / "beckn:amount",
            attributes / "totalPayable",
        ):
            yield from _payment(place, due.amount, due.currency)


def _declared(settlements: list[Cursor]) -> Iterator[Decimal]:
    for settlement in settlements:
        for key in ("totalPayable", "energyValue"):
            number = (settlement / "settlementAttributes" / key).number()
            if number is not None:
                yield number


def _references(settlements: list[Cursor], considerations: list[Cursor]) -> Iterator[Reference]:
    known = {(item / "id").text() for item in considerations}
    for settlement in settlements:
        place = settlement / "considerationId"
        named = place.text()
        if named is not None:
            yield Reference(consideration_id=named, found=named in known, at={"": place.pointer})


def _role_flows(flows: Cursor) -> RoleFlows | None:
    """Read a list of what each role receives; none where an entry cannot be read."""
    entries: list[Position] = []
    for item in _objects(flows):
        role, value = (item / "role").text(), (item / "value").number()
        role = role if role is not None else (item / "party").text()
        if role is None or value is None:
            return None
        currency = (item / "currency").text() or ""
        entries.append(Position(party=role, value=value, currency=currency, at={"": item.pointer}))
    return RoleFlows(entries=tuple(entries), at={"": flows.pointer}) if entries else None


def _penalty_rate(attributes: Cursor) -> Decimal | None:
    """Read what is to be paid for a shortfall where it is a term of a role."""
    for role in _objects(attributes / "roles"):
        for term in _objects(role / "roleInputs" / "terms"):
            if (term / "name").value == "penalty_rate":
                return (term / "value").number()
    return None


def _commitment(item: Cursor, agreed_rate: Decimal | None) -> CommittedTable:
    resource = item / "resources" / 0
    quantity = resource / "quantity"
    inputs = list(_objects(item / "offer" / "offerAttributes" / "inputs"))
    rates = [(one / "inputs" / "penaltyRate").number() for one in inputs]
    return CommittedTable(
        quantity=(quantity / "unitQuantity").number(),
        unit=(quantity / "unitCode").text(),
        need=_table(resource / "resourceAttributes"),
        table=_table(item / "commitmentAttributes"),
        penalty_rate_per_kwh=next((rate for rate in rates if rate is not None), agreed_rate),
        at={"": item.pointer, "quantity": (quantity / "unitQuantity").pointer},
    )


def _performance(item: Cursor) -> Performance:
    attributes = item / "performanceAttributes"
    meters = [_table(meter / "telemetry") for meter in _objects(attributes / "meters")]
    read = tuple(meter for meter in meters if meter is not None)
    return Performance(
        meters=read,
        unread=len(meters) - len(read),
        settles=(attributes / "methodology").text() != RESOURCE_TELEMETRY,
        whole=(attributes / "pageInfo" / "isLast").value is not False,
        at={"": item.pointer},
    )


def _tables(
    commitments: tuple[CommittedTable, ...], performances: tuple[Performance, ...]
) -> Iterator[Table]:
    for commitment in commitments:
        yield from (table for table in (commitment.need, commitment.table) if table is not None)
    for performance in performances:
        yield from performance.meters


def _table(cursor: Cursor) -> Table | None:
    if not isinstance((cursor / "intervals").value, list):
        return None
    period = cursor / "intervalPeriod"
    units: dict[str, str | None] = {}
    for item in _objects(cursor / "payloadDescriptors"):
        kind = (item / "payloadType").text()
        if kind is not None:
            units[kind] = (item / "units").text()
    ids: list[Decimal | None] = []
    rows: list[Mapping[str, tuple[Decimal, ...]]] = []
    used: set[str] = set()
    for interval in _objects(cursor / "intervals"):
        ids.append((interval / "id").number())
        row = _row(interval)
        used |= row.keys()
        rows.append(row)
    return Table(
        start=(period / "start").text(),
        duration_h=_hours(period / "duration"),
        units=units,
        used=frozenset(used),
        ids=tuple(ids),
        rows=tuple(rows),
        at={
            "": cursor.pointer,
            "ids": (cursor / "intervals").pointer,
            "units": (cursor / "payloadDescriptors").pointer,
        },
    )


def _row(interval: Cursor) -> dict[str, tuple[Decimal, ...]]:
    row: dict[str, tuple[Decimal, ...]] = {}
    for payload in _objects(interval / "payloads"):
        kind = (payload / "type").text()
        if kind is not None:
            values = payload / "values"
            numbers = (value.number() for value in (values.items()))
            row[kind] = tuple(number for number in numbers if number is not None)
    return row


def _hours(duration: Cursor) -> Fraction | None:
    text = duration.text()
    return hours(text) if text is not None else None


# -- both -------------------------------------------------------------------------------


def _is_object(cursor: Cursor) -> bool:
    return isinstance(cast("object", cursor.value), dict)


def _objects(cursor: Cursor) -> Iterator[Cursor]:
    """Yield the objects of an array, whatever else there is."""
    if isinstance(cursor.value, list):
        yield from (item for item in cursor.items() if _is_object(item))

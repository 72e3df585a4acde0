"""What a message states about a deal: ids, lines, prices, windows, meters, parties, states.

Belongs here: where each dialect keeps what has to be carried from the catalogue to the
settlement, in published messages as in ours. Does not belong here: what may change it
(lineage), which state may follow which (lifecycle), writing messages (order, contract).

It reads for comparison only, on demand and in one pass: a value of the wrong type is
left out, for the shape of a message is another rule's business.

Source: schema/core/v2/attributes.yaml of Beckn 2.0.0 rc; api/v2.0.0/beckn.yaml of Beckn
2.0.0 LTS; beckn/DEG, schemas EnergyTradeOffer, EnergyOrderItem, BecknTimeSeries, DEGContract.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, cast

import simplejson

from gridwitness.sameness import plain
from gridwitness.views import Stated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridwitness.dialects.base import Json

Table = tuple[tuple[int | Decimal | None, ...], ...]
"""A column of an interval table: the values of each interval."""

Entry = tuple[str, "dict[str, Json]"]
"""An object, with the pointer to it."""


def read_stated(dialect: str | None, body: Json) -> tuple[Stated, ...]:
    """Read what a parsed body states; nothing when its dialect is not known."""
    reader = _READERS.get(dialect or "")
    return tuple(reader(_object(_object(body).get("message")))) if reader else ()


# -- the order dialect ------------------------------------------------------------------


def _order_message(message: dict[str, Json]) -> Iterator[Stated]:
    for pointer, catalogue in _entries(message, "catalogs", "/message"):
        yield from _order_catalogue(catalogue, pointer)
    order = message.get("order")
    if isinstance(order, dict):
        yield from _order(_object(order), "/message/order")


def _order_catalogue(catalogue: dict[str, Json], at: str) -> Iterator[Stated]:
    for pointer, item in _entries(catalogue, "beckn:items", at):
        yield from _text("item", "", item, "beckn:id", pointer)
        yield from _provider(item.get("beckn:provider"), f"{pointer}/beckn:provider")
        inner = _object(item.get("beckn:itemAttributes"))
        name = f"item {item.get('beckn:id')}"
        yield from _text("meter", name, inner, "meterId", f"{pointer}/beckn:itemAttributes")
    for pointer, offer in _entries(catalogue, "beckn:offers", at):
        yield from _text("offer", "", offer, "beckn:id", pointer)
        yield from _provider(offer.get("beckn:provider"), f"{pointer}/beckn:provider")
        yield from _order_offer(offer, pointer)


def _provider(value: Json, at: str) -> Iterator[Stated]:
    """Read who offers: an id, or an object that has one."""
    if isinstance(value, str):
        yield Stated("provider", "", value, at)
        return
    for key in ("beckn:id", "id"):
        yield from _text("provider", "", _object(value), key, at)


def _order_offer(offer: dict[str, Json], at: str) -> Iterator[Stated]:
    name = f"offer {offer.get('beckn:id')}"
    inner, inside = _object(offer.get("beckn:offerAttributes")), f"{at}/beckn:offerAttributes"
    for place, pointer in ((offer, at), (inner, inside)):
        yield from _order_price(name, place.get("beckn:price"), f"{pointer}/beckn:price")
    yield from _window("validity", name, inner, "validityWindow", inside)
    yield from _window("validity", name, offer, "beckn:validity", at)
    yield from _window("delivery", name, inner, "beckn:timeWindow", inside)
    yield from _text("meter", name, inner, "sourceMeterId", inside)
    yield from _deal(_object(inner.get("contract")), f"{inside}/contract")


def _order_price(of: str, price: Json, at: str) -> Iterator[Stated]:
    stated = _object(price)
    for key in ("value", "schema:price"):
        yield from _number("price", of, stated, key, at)
    for key in ("currency", "schema:priceCurrency"):
        yield from _text("currency", of, stated, key, at)


def _order(order: dict[str, Json], at: str) -> Iterator[Stated]:
    yield from _text("contract id", "", order, "beckn:id", at)
    yield from _text("order state", "", order, "beckn:orderStatus", at)
    payment, paid_at = _object(order.get("beckn:payment")), f"{at}/beckn:payment"
    yield from _text("payment id", "", payment, "beckn:id", paid_at)
    yield from _order_parties(order, at)
    for pointer, item in _entries(order, "beckn:orderItems", at):
        yield from _order_line(item, pointer)
    block, inside = _object(order.get("beckn:orderAttributes")), f"{at}/beckn:orderAttributes"
    yield from _text("energy contract state", "", block, "status", inside)
    inputs = _object(block.get("inputParameters"))
    yield from _period(
        _object(inputs.get("tradeWindow")), "startTime", f"{inside}/inputParameters/tradeWindow"
    )
    yield from _deal(block, inside)
    for pointer, role in _entries(block, "roles", inside):
        yield from _order_role(role, pointer)
    for key, name in (("utilityIdBuyer", "buyer's utility"), ("utilityIdSeller", "seller's")):
        yield from _text("party", name, block, key, inside)


def _order_parties(order: dict[str, Json], at: str) -> Iterator[Stated]:
    seller = order.get("beckn:seller")
    if isinstance(seller, str):
        yield Stated("party", "seller", seller, f"{at}/beckn:seller")
        yield Stated("seller", "", seller, f"{at}/beckn:seller")
    buyer, pointer = _object(order.get("beckn:buyer")), f"{at}/beckn:buyer"
    yield from _text("buyer", "", buyer, "beckn:id", pointer)
    inner = _object(buyer.get("beckn:buyerAttributes"))
    yield from _text("meter", "buyer", inner, "meterId", f"{pointer}/beckn:buyerAttributes")


def _order_line(item: dict[str, Json], at: str) -> Iterator[Stated]:
    ordered, offer = item.get("beckn:orderedItem"), item.get("beckn:acceptedOffer")
    accepted = _object(offer)
    offer_id = accepted.get("beckn:id", offer)
    if isinstance(ordered, str):
        yield Stated("ordered item", "", ordered, f"{at}/beckn:orderedItem")
    if isinstance(offer_id, str):
        inside = f"{at}/beckn:acceptedOffer"
        yield Stated("accepted offer", "", offer_id, inside)
        yield from _order_offer(accepted, inside)
    line = f"{ordered} by offer {offer_id}" if isinstance(offer_id, str) else f"{ordered}"
    quantity, pointer = _object(item.get("beckn:quantity")), f"{at}/beckn:quantity"
    yield from _number("quantity", line, quantity, "unitQuantity", pointer)
    yield from _text("unit", line, quantity, "unitCode", pointer)
    yield from _text("unit text", line, quantity, "unitText", pointer)
    yield from _order_price(line, item.get("beckn:price"), f"{at}/beckn:price")
    inner = _object(item.get("beckn:orderItemAttributes"))
    place = f"{at}/beckn:orderItemAttributes/providerAttributes"
    customer = _object(inner.get("providerAttributes"))
    yield from _text("meter", f"provider of {line}", customer, "meterId", place)


def _order_role(role: dict[str, Json], at: str) -> Iterator[Stated]:
    name, inputs = role.get("role"), _object(role.get("roleInputs"))
    if not isinstance(name, str):
        return
    yield from _text("party", name, role, "filledBy", at)
    yield from _text("meter", name, inputs, "sourceMeterId", f"{at}/roleInputs")
    curve, pointer = _object(inputs.get("offerCurve")), f"{at}/roleInputs/offerCurve"
    if curve:
        points = [point for _, point in _entries(curve, "curve", pointer)]
        pairs = tuple((_plain(p.get("price")), _plain(p.get("powerKW"))) for p in points)
        if not any(None in pair for pair in pairs):
            yield Stated("curve", name, pairs, pointer)
        yield from _text("currency", f"curve of {name}", curve, "currency", pointer)


# -- the contract dialect ---------------------------------------------------------------


def _contract_message(message: dict[str, Json]) -> Iterator[Stated]:
    for pointer, catalogue in _entries(message, "catalogs", "/message"):
        yield from _contract_catalogue(catalogue, pointer)
    contract = message.get("contract")
    if isinstance(contract, dict):
        yield from _contract(_object(contract), "/message/contract")


def _contract_catalogue(catalogue: dict[str, Json], at: str) -> Iterator[Stated]:
    yield from _provider(catalogue.get("provider"), f"{at}/provider")
    for pointer, resource in _entries(catalogue, "resources", at):
        yield from _text("item", "", resource, "id", pointer)
        yield from _provider(resource.get("provider"), f"{pointer}/provider")
        yield from _resource(resource, pointer)
    for pointer, offer in _entries(catalogue, "offers", at):
        yield from _text("offer", "", offer, "id", pointer)
        yield from _provider(offer.get("provider"), f"{pointer}/provider")
        yield from _contract_offer(offer, pointer)


def _contract_offer(offer: dict[str, Json], at: str) -> Iterator[Stated]:
    name = f"offer {offer.get('id')}"
    inner, inside = _object(offer.get("offerAttributes")), f"{at}/offerAttributes"
    yield from _window("validity", name, inner, "validityWindow", inside)
    yield from _window("validity", name, offer, "validity", at)
    table = _object(inner.get("commitmentAttributes"))
    yield from _series(name, table, f"{inside}/commitmentAttributes")
    yield from _deal(_object(inner.get("contract")), f"{inside}/contract")


def _resource(resource: dict[str, Json], at: str) -> Iterator[Stated]:
    """Read the need or the source that a resource describes, a table of its own."""
    name = f"resource {resource.get('id')}"
    inner, inside = _object(resource.get("resourceAttributes")), f"{at}/resourceAttributes"
    yield from _series(name, inner, inside)
    yield from _text("meter", name, inner, "meterId", inside)


def _contract(contract: dict[str, Json], at: str) -> Iterator[Stated]:
    yield from _text("contract id", "", contract, "id", at)
    status = _object(contract.get("status"))
    yield from _text("contract state", "", status, "code", f"{at}/status")
    for pointer, commitment in _entries(contract, "commitments", at):
        yield from _commitment(commitment, pointer)
    for pointer, settlement in _entries(contract, "settlements", at):
        name = _name(settlement, pointer)
        yield from _text("settlement state", name, settlement, "status", pointer)
    terms, inside = _object(contract.get("contractAttributes")), f"{at}/contractAttributes"
    yield from _deal(terms, inside)
    for pointer, role in _entries(terms, "roles", inside):
        if isinstance(name := role.get("role"), str):
            yield from _text("party", name, role, "participantId", pointer)
    for pointer, participant in _entries(contract, "participants", at):
        if isinstance(name := participant.get("id"), str):
            inner = _object(participant.get("participantAttributes"))
            place = f"{pointer}/participantAttributes"
            yield from _text("meter", name, inner, "meterId", place)
            yield Stated("named", "", name, f"{pointer}/id")
            for key in ("discomId", "ledgerId"):
                yield from _text("named", "", inner, key, place)


def _commitment(commitment: dict[str, Json], at: str) -> Iterator[Stated]:
    offer = _object(commitment.get("offer"))
    name, offer_id = _name(commitment, at), offer.get("id")
    code = _object(_object(commitment.get("status")).get("descriptor"))
    yield from _text("commitment state", name, code, "code", f"{at}/status/descriptor")
    if isinstance(offer_id, str):
        yield Stated("accepted offer", "", offer_id, f"{at}/offer/id")
        yield from _contract_offer(offer, f"{at}/offer")
    seller = _object(offer.get("provider"))
    yield from _text("seller", "", seller, "id", f"{at}/offer/provider")
    for pointer, resource in _entries(commitment, "resources", at):
        yield from _text("ordered item", "", resource, "id", pointer)
        line = f"{resource.get('id')} by offer {offer_id}"
        quantity, place = _object(resource.get("quantity")), f"{pointer}/quantity"
        yield from _number("quantity", line, quantity, "unitQuantity", place)
        yield from _text("unit", line, quantity, "unitCode", place)
        yield from _resource(resource, pointer)
    table = _object(commitment.get("commitmentAttributes"))
    yield from _series(f"offer {offer_id}", table, f"{at}/commitmentAttributes")


_COLUMNS = {"PRICE_PER_KWH": "price", "PRICE": "price", "REQUESTED_QTY": "quantity"}
_CURVE = ("OFFER_PRICE", "CAPACITY_OFFERED")
_CARRIED = {*_COLUMNS, *_CURVE}


def _series(of: str, table: dict[str, Json], at: str) -> Iterator[Stated]:
    """Read the columns of an interval table that have to be carried."""
    if not table:
        return
    stated = _columns(table)
    yield from _period(_object(table.get("intervalPeriod")), "start", f"{at}/intervalPeriod", of)
    place = f"{at}/intervals"
    for kind, said in _COLUMNS.items():
        if kind in stated:
            yield Stated(said, of, stated[kind], place)
    if "OFFER_PRICE" in stated:
        yield Stated("curve", of, tuple(stated.get(kind, ()) for kind in _CURVE), place)
    elif "CAPACITY_OFFERED" in stated:
        yield Stated("quantity", of, stated["CAPACITY_OFFERED"], place)
    for pointer, column in _entries(table, "payloadDescriptors", at):
        kind, units = column.get("payloadType"), column.get("currency", column.get("units"))
        if isinstance(units, str) and kind in (*_COLUMNS, "OFFER_PRICE"):
            said = "unit" if kind == "REQUESTED_QTY" else "currency"
            yield Stated(said, f"{kind} of {of}", units, pointer)


def _columns(table: dict[str, Json]) -> dict[str, Table]:
    """Give the columns of a table that have to be carried, by payload type: a row an interval.

    None at all when one of them holds anything but numbers; empty ones are left out.
    """
    columns: dict[str, list[Json]] = {}
    for _, interval in _entries(table, "intervals", ""):
        for _, payload in _entries(interval, "payloads", ""):
            if isinstance(kind := payload.get("type"), str) and kind in _CARRIED:
                columns.setdefault(kind, []).append(payload.get("values"))
    read = {kind: _rows(values) for kind, values in columns.items()}
    if any(None in row for rows in read.values() for row in rows):
        return {}
    return {kind: rows for kind, rows in read.items() if any(rows)}


def _rows(column: list[Json]) -> Table:
    return tuple(tuple(_plain(value) for value in _list(values)) for values in column)


# -- what both share --------------------------------------------------------------------


def _deal(block: dict[str, Json], at: str) -> Iterator[Stated]:
    """Read what the contract block of a deal agrees: terms by role, formulas, the tariff.

    Formulas are those of payments, of quality and its penalties, of running totals.
    """
    for pointer, role in _entries(block, "roles", at):
        inputs, place = _object(role.get("roleInputs")), f"{pointer}/roleInputs"
        for inner, term in _entries(inputs, "terms", place):
            value = _plain(term.get("value"))
            if value is not None:
                of = f"{term.get('name')} of {role.get('role')}"
                yield Stated("term", of, (value, str(term.get("unit"))), f"{inner}/value")
    for pointer, flow in _entries(block, "revenueFlows", at):
        of = f"{flow.get('kind')} from {flow.get('from')} to {flow.get('to')}"
        yield from _text("formula", of, flow, "formula", pointer)
    quality, place = _object(block.get("qualityMetrics")), f"{at}/qualityMetrics"
    for pointer, metric in _entries(quality, "metrics", place):
        of, penalty = f"{metric.get('metricId')}", _object(metric.get("penalty"))
        yield from _text("formula", of, metric, "formula", pointer)
        yield from _text("formula", f"penalty of {of}", penalty, "formula", f"{pointer}/penalty")
    for pointer, signal in _entries(block, "externalSignals", at):
        of, source = f"signal {signal.get('signalId')}", _object(signal.get("source"))
        yield from _text("formula", of, source, "formula", f"{pointer}/source")
    tariff = block.get("tariff")
    if isinstance(tariff, dict):
        written = simplejson.dumps(plain(tariff), use_decimal=True, sort_keys=True, default=str)
        yield Stated("tariff", "", written, f"{at}/tariff")


def _object(value: Json) -> dict[str, Json]:
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return cast("list[Json]", value) if isinstance(value, list) else []


def _entries(holder: dict[str, Json], key: str, at: str) -> Iterator[Entry]:
    """Yield the objects of an array with their pointers."""
    for index, value in enumerate(_list(holder.get(key))):
        if isinstance(value, dict):
            yield f"{at}/{key}/{index}", cast("dict[str, Json]", value)


def _name(member: dict[str, Json], at: str) -> str:
    """Give the id of a member of a list, or else its place."""
    name = member.get("id")
    return name if isinstance(name, str) else at.rpartition("/")[2]


def _text(kind: str, of: str, holder: dict[str, Json], key: str, at: str) -> Iterator[Stated]:
    if isinstance(value := holder.get(key), str):
        yield Stated(kind, of, value, f"{at}/{key}")


def _number(kind: str, of: str, holder: dict[str, Json], key: str, at: str) -> Iterator[Stated]:
    value = holder.get(key)
    if _plain(value) is not None:
        yield Stated(kind, of, value, f"{at}/{key}")


def _window(kind: str, of: str, holder: dict[str, Json], key: str, at: str) -> Iterator[Stated]:
    """Read a window by its two ends, whatever they are called; either may be open."""
    window = _object(holder.get(key))
    ends = tuple(
        next((value for name in names if isinstance(value := window.get(name), str)), "")
        for names in (
            ("schema:startTime", "startTime", "startDate"),
            ("schema:endTime", "endTime", "endDate"),
        )
    )
    if any(ends):
        yield Stated(kind, of, ends, f"{at}/{key}")


def _period(period: dict[str, Json], start: str, at: str, of: str = "") -> Iterator[Stated]:
    begins, length = period.get(start), period.get("duration")
    if isinstance(begins, str) and isinstance(length, str):
        yield Stated("delivery", of, (begins, length), at)


def _plain(value: Json) -> int | Decimal | None:
    """Give a number; whatever else is none."""
    return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


_READERS: dict[str, Callable[[dict[str, Json]], Iterator[Stated]]] = {
    "order": _order_message,
    "contract": _contract_message,
}

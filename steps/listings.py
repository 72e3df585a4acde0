"""Reading the tables of a catalogue: what is published, until when, where, what is searched for.

Belongs here: converters from the cells of those tables to views. Does not belong here:
sentences (catalogue), cells that other tables have too (tables).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.errors import UserError
from gridwitness.mocks.catalogue import PAGE_OFFERS
from gridwitness.steps import tables
from gridwitness.story import CONSUMER, PROSUMER
from gridwitness.views import Block, Deal, Intent, Interval, Nearby, Offer, Role, Term

if TYPE_CHECKING:
    from collections.abc import Iterable

CONNECTORS = {
    "CCS2": "IEC_62196_T2_COMBO",
    "Type 2": "IEC_62196_T2",
    "CHAdeMO": "CHADEMO",
}
"""How connectors are called, and how OCPI 2.2.1 calls them."""

_NUMBER = r"-?\d+(?:\.\d+)?"


def publications(
    table: Iterable[tables.Row], interval: Interval, now: datetime
) -> dict[str, list[list[Offer]]]:
    """Read what each provider publishes, one publication after another.

    A row is an offer. Those of a second publication replace the provider's first; one that it
    has withdrawn says so there.
    """
    found: dict[str, list[list[Offer]]] = {}
    for row in table:
        number = _count(row.get("publication", "") or "1", "publication")
        shelves = found.setdefault(row["provider"], [])
        while len(shelves) < number:
            shelves.append([])
        shelves[number - 1].append(_offer(row, interval, now))
    return found


def _offer(row: tables.Row, interval: Interval, now: datetime) -> Offer:
    price = re.fullmatch(rf"({_NUMBER}) (\S+/kWh)", row["price"])
    if price is None:
        raise _mistake(row["price"], "is no price", "write '6.50 INR/kWh'")
    terms = (
        Term(name="price", value=Decimal(price[1]), unit=price[2]),
        Term(name="offered", value=tables.quantity(row["energy"], "kWh"), unit="kWh"),
    )
    delivered = _later(interval, row.get("delivered", ""))
    return Offer(
        offer_id=row["offer"],
        provider_id=None,
        pricing_model=None,
        clearing_agent_id=None,
        interval=None,
        charges=None,
        deal=Deal(
            status="PENDING",
            resource_id=row.get("from") or f"energy-of-{row['provider']}",
            interval=delivered,
            roles=(Role(name=PROSUMER, terms=terms), Role(name=CONSUMER)),
        ),
        blocks=tuple(thing(row)),
        valid_until=_until(row.get("valid", ""), delivered, now),
        is_active=row.get("state", "") != "withdrawn",
    )


def thing(row: tables.Row) -> Iterable[Block]:
    """Give what a thing is, in the order in which its block is read."""
    if row.get("power"):
        yield Block(slot="item", name="maxPowerKW", data=tables.quantity(row["power"], "kW"))
    if row.get("connector"):
        yield Block(slot="item", name="connectorType", data=_connector(row["connector"]))
    if row.get("place"):
        longitude, latitude = _place(row["place"])
        geo = {"type": "Point", "coordinates": [longitude, latitude]}
        yield Block(slot="item", name="location", data={"geo": geo})
    if row.get("there is"):
        amount = tables.quantity(row["there is"], "kWh")
        yield Block(slot="item", name="availableQuantity", data=amount)


def intent(row: tables.Row, interval: Interval, ids: dict[str, str]) -> Intent:
    """Read what is searched for: offers of the interval, and of what the row names.

    ids gives the subscriber ids of providers by their names.
    """
    near, nearby = row.get("along") or row.get("near", ""), None
    if near:
        (longitude, latitude), *onward = (_place(place) for place in near.split("; "))
        within_m = tables.quantity(row["within"], "km") * 1000
        nearby = Nearby(
            longitude=longitude, latitude=latitude, within_m=within_m, onward=tuple(onward)
        )
    provider = row.get("provider", "")
    if provider and provider not in ids:
        raise _mistake(provider, "publishes nothing", "name a provider that does")
    power, connector = row.get("power", ""), row.get("connector", "")
    return Intent(
        interval=interval,
        nearby=nearby,
        connector_type=_connector(connector) if connector else None,
        min_power_kw=tables.quantity(power, "kW") if power else None,
        provider_id=ids[provider] if provider else None,
    )


def page_offers(row: tables.Row) -> int:
    """Read how many offers stand on a page."""
    told = row.get("page", "")
    return _count(told.removesuffix(" offers"), "page") if told else PAGE_OFFERS


def turns_away(row: tables.Row) -> bool:
    """Read whether a search that finds nothing is told so at once, and gets no callback."""
    told = row.get("nothing found", "")
    if told not in ("", "told at once", "told on an empty page"):
        raise _mistake(told, "is no answer", "write 'told at once' or 'told on an empty page'")
    return told == "told at once"


def _later(interval: Interval, text: str) -> Interval:
    """Read '60 minutes later' as an interval that begins so much later."""
    if not text:
        return interval
    match = re.fullmatch(r"(\d+) minutes later", text)
    if match is None:
        raise _mistake(text, "is no time of delivery", "write '60 minutes later'")
    start = datetime.fromisoformat(interval.start) + timedelta(minutes=int(match[1]))
    return replace(interval, start=_written(start))


def _until(text: str, delivered: Interval, now: datetime) -> str:
    """Read until when an offer holds: from now, or, if nothing is said, until its delivery."""
    if not text:
        return delivered.start
    match = re.fullmatch(r"(?:for (\d+) minutes|until (\d+) minutes ago)", text)
    if match is None:
        raise _mistake(text, "is no validity", "write 'for 60 minutes' or 'until 60 minutes ago'")
    away = int(match[1]) if match[1] else -int(match[2])
    return _written(now + timedelta(minutes=away))


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _connector(text: str) -> str:
    if text not in CONNECTORS:
        raise _mistake(text, "is no connector", f"write one of: {', '.join(CONNECTORS)}")
    return CONNECTORS[text]


def _place(text: str) -> tuple[Decimal, Decimal]:
    """Read '77.59 E, 12.97 N' as longitude and latitude."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ([EW]), (\d+(?:\.\d+)?) ([NS])", text)
    if match is None:
        raise _mistake(text, "is no place", "write '77.59 E, 12.97 N'")
    longitude, latitude = Decimal(match[1]), Decimal(match[3])
    return longitude if match[2] == "E" else -longitude, latitude if match[4] == "N" else -latitude


def _count(text: str, what: str) -> int:
    if not re.fullmatch(r"[1-9]\d?", text):
        raise _mistake(text, f"is no number of a {what}", "write a whole number from 1 to 99")
    return int(text)


def _mistake(text: str, what: str, mend: str) -> UserError:
    return UserError(f"{text!r} {what}", where="a table of the catalogue", mend=mend)

"""Listings: what an offer of a catalogue is about, until when it holds, and what a search finds.

Belongs here: the meaning of an offer and of a search, as pure functions of views. Does not
belong here: who published what and when (rules.catalogue), how it is written (dialects).

What is met on an edge, of a circle or of a validity, is left open: it may be found or not.
"""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from gridwitness.dialects.base import Cursor
from gridwitness.dues import instant

if TYPE_CHECKING:
    from datetime import datetime

    from gridwitness.views import Block, Intent, Interval, Nearby, Offer, Term

EARTH_RADIUS_M = 6_371_009
"""The mean radius of WGS 84; a sphere of it is right to half a per cent."""

EDGE = 0.01
"""So much of a distance is the edge of a circle: no two formulas agree on it."""

LARGEST = 10**15
"""No resource gives or takes as much, in whatever unit."""

CLOCKS_DIFFER = timedelta(seconds=5)
"""How far two clocks may be apart (NFH-007, CON-004-13)."""


def interval_of(offer: Offer) -> Interval | None:
    """Give when an offer is delivered."""
    return (offer.deal and offer.deal.interval) or offer.interval


def resource_of(offer: Offer) -> str | None:
    """Give what an offer is of, by its id."""
    return offer.deal.resource_id if offer.deal else offer.resource_id


def price_per_kwh(offer: Offer) -> tuple[Decimal, str] | None:
    """Give the price of a kWh and its currency; None where no one price is stated."""
    priced = [term for term in _terms(offer) if (term.unit or "").endswith("/kWh")]
    if len(priced) != 1:
        return None
    return priced[0].value, (priced[0].unit or "").removesuffix("/kWh")


def energy_kwh(offer: Offer) -> Decimal | None:
    """Give how much is offered; None where no one quantity is stated."""
    amounts = [term.value for term in _terms(offer) if term.unit == "kWh"]
    if offer.deal is None:
        amounts = _published_kwh(offer)
    return amounts[0] if len(amounts) == 1 else None


def _published_kwh(offer: Offer) -> list[Decimal]:
    """Give the most that may be had of an offer, as EnergyTradeOffer v0.2 has it."""
    most = next((b.data for b in offer.blocks if b.name == "beckn:maxQuantity"), None)
    quantity = Cursor(most, "", [])
    value, unit = (quantity / "unitQuantity").number(), (quantity / "unitCode").text()
    return [] if value is None or unit != "KWH" else [value]


def available_kwh(offer: Offer) -> Decimal | None:
    """Give how much its resource has to give in all."""
    return _number(_item(offer, "availableQuantity"))


def max_power_kw(offer: Offer) -> Decimal | None:
    """Give the highest power that its resource can give or take."""
    return _number(_item(offer, "maxPowerKW"))


def _terms(offer: Offer) -> list[Term]:
    return [term for role in offer.deal.roles for term in role.terms] if offer.deal else []


def _item(offer: Offer, name: str) -> Block | None:
    return next((b for b in offer.blocks if (b.slot, b.name) == ("item", name)), None)


def _number(block: Block | None) -> Decimal | None:
    value = block.data if block else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value) if abs(value) < LARGEST else None


def is_valid(offer: Offer, earliest: datetime, latest: datetime) -> bool | None:
    """Tell whether an offer holds at some moment between two; None when that is left open."""
    begins, ends = instant(offer.valid_from), instant(offer.valid_until)
    told = (offer.valid_from, begins), (offer.valid_until, ends)
    if any(text is not None and read is None for text, read in told):
        return None
    # Differences: at the ends of the calendar nothing can be added to an instant.
    if ends is not None and earliest - ends > CLOCKS_DIFFER:
        return False
    if begins is not None and begins - latest > CLOCKS_DIFFER:
        return False
    surely_begun = begins is None or earliest - begins > CLOCKS_DIFFER
    surely_goes_on = ends is None or ends - latest > CLOCKS_DIFFER
    return True if surely_begun and surely_goes_on else None


def fits(offer: Offer, provider_id: str | None, intent: Intent) -> bool | None:
    """Tell whether a search asks for an offer; None when that cannot be told or is left open."""
    if not intent.is_whole:
        return None
    answers = [
        intent.provider_id in (None, provider_id),
        _is_text(_item(offer, "connectorType"), intent.connector_type),
        intent.min_power_kw is None or _reaches(offer, intent.min_power_kw),
        intent.interval is None or _is_delivered(offer, intent.interval),
        intent.nearby is None or _is_near(_item(offer, "location"), intent.nearby),
    ]
    if False in answers:
        return False
    return None if None in answers else True


def _is_text(block: Block | None, wanted: str | None) -> bool:
    return wanted is None or (block is not None and block.data == wanted)


def _reaches(offer: Offer, min_kw: Decimal) -> bool:
    power_kw = max_power_kw(offer)
    return power_kw is not None and power_kw >= min_kw


def _is_delivered(offer: Offer, wanted: Interval) -> bool | None:
    offered = interval_of(offer)
    if offered is None:
        return False
    begins, wished = instant(offered.start), instant(wanted.start)
    if begins is None or wished is None:
        return None
    return (begins, offered.duration_h) == (wished, wanted.duration_h)


def _is_near(location: Block | None, wanted: Nearby) -> bool | None:
    """Tell whether a thing stands near a point or a route; one that stands nowhere does not."""
    place = _coordinates(location)
    if place is None:
        return False
    start = float(wanted.longitude), float(wanted.latitude)
    away_m = off_route_m(place, [start, *((float(x), float(y)) for x, y in wanted.onward)])
    within_m = float(wanted.within_m)
    if abs(away_m - within_m) <= EDGE * within_m:
        return None
    return away_m < within_m


def _coordinates(location: Block | None) -> tuple[float, float] | None:
    """Read the longitude and latitude of a location; None when it is no place on earth."""
    at = Cursor(location.data if location else None, "", []) / "geo" / "coordinates"
    longitude, latitude = (at / 0).number(), (at / 1).number()
    if longitude is None or latitude is None or abs(longitude) > 180 or abs(latitude) > 90:  # noqa: PLR2004
        return None
    return float(longitude), float(latitude)


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Give the way between two points, each longitude and latitude in degrees, on a sphere."""
    (lon_a, lat_a), (lon_b, lat_b) = (tuple(map(math.radians, point)) for point in (one, other))
    half = (
        math.sin((lat_b - lat_a) / 2) ** 2
        + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, half)))


def off_route_m(place: tuple[float, float], route: list[tuple[float, float]]) -> float:
    """Give the way from a point to the nearest of a route, each longitude and latitude in degrees.

    Between two points a route runs straight on a map of equal scale at the place; over a few
    hundred kilometres that is the great circle to less than the edge.
    """
    scale = math.cos(math.radians(place[1]))
    nearest = [distance_m(place, point) for point in route]
    for one, other in pairwise(route):
        ax, ay = (one[0] - place[0]) * scale, one[1] - place[1]
        dx, dy = (other[0] - one[0]) * scale, other[1] - one[1]
        length = dx * dx + dy * dy
        share = -(ax * dx + ay * dy) / length if length else 0.0
        if 0 < share < 1:
            foot = one[0] + share * (other[0] - one[0]), one[1] + share * (other[1] - one[1])
            nearest.append(distance_m(place, foot))
    return min(nearest)

"""What a discover asks for, written alike in both dialects: a JSONPath, a circle or a route.

Belongs here: the expression that names connector, power, provider and interval, and the
spatial constraint. Does not belong here: where a dialect keeps them (order, contract), what
they find (gridwitness.listing).

An expression is read by its conditions, for it may be written in many ways; one that says
more than is understood here is not whole, and nobody is judged by it.

Source: Beckn 2.0.0, api/beckn.yaml, filters and SpatialConstraint; RFC 9535; beckn/DEG, EV
charging, 01_discover.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.dialects.blocks import iso_duration, read_filter, write_filter
from gridwitness.views import Intent, Nearby

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.dialects.base import Cursor, Json

LONGEST_EXPRESSION = 2000
"""No expression that is understood here takes more characters."""

MOST_POINTS = 100
"""No route that is understood here has more."""


@dataclass(frozen=True)
class Spelling:
    """How a dialect spells a search of catalogues: its things, their attributes, the provider."""

    things: str
    attributes: str
    provider: str
    within: str


ORDER_SEARCH = Spelling(
    "['beckn:items']", "['beckn:itemAttributes']", "['beckn:providerId']", "s_dwithin"
)
CONTRACT_SEARCH = Spelling(".resources", ".resourceAttributes", ".provider.id", "S_DWITHIN")


def write_search(intent: Intent, spelling: Spelling) -> dict[str, Json]:
    """Write the filters and the spatial constraint of an intent; empty when it asks for nothing."""
    written: dict[str, Json] = {}
    conditions = list(_conditions(intent, spelling))
    if conditions:
        written["filters"] = {"type": "jsonpath", "expression": f"$[?({' && '.join(conditions)})]"}
    if intent.interval is not None and len(conditions) == 1:  # as markets have it
        written["filters"] = write_filter(intent.interval)
    if intent.nearby is not None:
        near = intent.nearby
        written["spatial"] = [
            {
                "op": spelling.within,
                "targets": f"$[*]{spelling.things}[*]{spelling.attributes}.location.geo",
                "geometry": _write_geometry(near),
                "distanceMeters": near.within_m,
            }
        ]
    return written


def _write_geometry(near: Nearby) -> dict[str, Json]:
    start = [near.longitude, near.latitude]
    if not near.onward:
        return {"type": "Point", "coordinates": start}
    return {"type": "LineString", "coordinates": [start, *map(list, near.onward)]}


def _conditions(intent: Intent, spelling: Spelling) -> Iterator[str]:
    """Give what a catalogue has to hold, each as a condition on it."""
    of_things: list[str] = []
    if intent.connector_type is not None:
        of_things.append(f"@{spelling.attributes}.connectorType == '{intent.connector_type}'")
    if intent.min_power_kw is not None:
        of_things.append(f"@{spelling.attributes}.maxPowerKW >= {intent.min_power_kw:f}")
    if of_things:
        yield f"@{spelling.things}[?({' && '.join(of_things)})]"
    if intent.provider_id is not None:
        yield f"@{spelling.provider} == '{intent.provider_id}'"
    interval = intent.interval
    if interval is not None:
        length = iso_duration(interval.duration_h)
        window = f"@.startTime == '{interval.start}' && @.duration == '{length}'"
        yield f"@..tradeWindow[?({window})]"


_CONDITION = re.compile(r"@([\w:.'\[\]?(]*(?:@[\w:.'\[\]]+)?) (==|>=) ('[^']*'|\d+(?:\.\d+)?)")
_REST = re.compile(r"[$@.\[\]*?()\s]*(?:&&[$@.\[\]*?()\s]*)*")
_NAMED = re.compile(r"'?(?:beckn:)?(?:items|resources|tradeWindow)'?")
_NAME = re.compile(r"[\w:]+")


def read_search(holder: Cursor, spelling: Spelling) -> Intent | None:
    """Read what stands beside one another in a discover or its intent; None when nothing does."""
    filters, spatial = holder / "filters", holder / "spatial"
    if not filters and not spatial:
        return None
    expression = (filters / "expression").text() or ""
    asked, is_whole = _read_expression(expression)
    nearby = _read_nearby(spatial, spelling)
    others = ("text_search", "textSearch", "media_search", "mediaSearch")
    return Intent(
        interval=read_filter(filters),
        nearby=nearby,
        connector_type=asked.get("connectorType"),
        min_power_kw=Decimal(asked["maxPowerKW"]) if "maxPowerKW" in asked else None,
        provider_id=asked.get("provider"),
        is_whole=is_whole
        and (nearby is not None or not spatial)
        and not any(holder / name for name in others),
        at={"": filters.pointer if filters else spatial.pointer},
    )


def _read_expression(expression: str) -> tuple[dict[str, str], bool]:
    """Give the conditions of an expression by what they are about, and whether that is all."""
    if len(expression) > LONGEST_EXPRESSION:
        return {}, False
    asked: dict[str, str] = {}
    is_whole = True
    for match in _CONDITION.finditer(expression):
        names = [name.removeprefix("beckn:") for name in _NAME.findall(match[1])]
        is_provider = names[-2:] == ["provider", "id"] or names[-1:] == ["providerId"]
        about = "provider" if is_provider else (names or [""])[-1]
        known = _KNOWN.get(about) == match[2] and _WAY.issuperset(names[:-1])
        is_text = match[3].startswith("'")
        if not known or about in asked or is_text is (about == "maxPowerKW"):
            is_whole = False
        else:
            asked[about] = match[3].strip("'")
    rest = _NAMED.sub("", _CONDITION.sub("", expression))
    return asked, is_whole and _REST.fullmatch(rest) is not None


_WAY = {"items", "itemAttributes", "resources", "resourceAttributes", "provider", "tradeWindow"}
"""What a path may lead through; a path through anything else is about something else."""

_KNOWN = {
    "connectorType": "==",
    "maxPowerKW": ">=",
    "provider": "==",
    "startTime": "==",
    "duration": "==",
}


def _read_nearby(spatial: Cursor, spelling: Spelling) -> Nearby | None:
    """Read one circle around a point, or one way around a line; None when it is anything else."""
    constraints = list(spatial.items())
    if len(constraints) != 1:
        return None
    one, geometry = constraints[0], constraints[0] / "geometry"
    coordinates = geometry / "coordinates"
    kind = (geometry / "type").text()
    if (one / "op").text() != spelling.within or kind not in ("Point", "LineString"):
        return None  # before anything is read: the coordinates of an area are no numbers
    points = list(coordinates.items())[: MOST_POINTS + 1] if kind == "LineString" else [coordinates]
    read = [_read_point(point) for point in points]
    way = [point for point in read if point is not None]
    distance = (one / "distanceMeters").number()
    if not way or len(way) != len(points) or len(way) > MOST_POINTS or distance is None:
        return None
    (longitude, latitude), *onward = way
    return Nearby(
        longitude=longitude,
        latitude=latitude,
        within_m=distance,
        onward=tuple(onward),
        at={"": one.pointer},
    )


def _read_point(point: Cursor) -> tuple[Decimal, Decimal] | None:
    longitude, latitude = (point / 0).number(), (point / 1).number()
    return None if longitude is None or latitude is None else (longitude, latitude)

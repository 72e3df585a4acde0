"""What both dialects write alike of a catalogue: validity, and what became of a publish.

Belongs here: reading and writing it by a dialect's spelling. Does not belong here: the
catalogue itself (order, contract), what is right about it (gridwitness.listing).

Source: Beckn 2.0.0 rc and LTS, Catalog, Offer, TimePeriod, CatalogProcessingResult.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridwitness.views import Catalogue, PublishResult

if TYPE_CHECKING:
    from gridwitness.dialects.base import Cursor, Json
    from gridwitness.views import Offer, Reading


@dataclass(frozen=True)
class ResultSpelling:
    """How a dialect spells what became of a publish."""

    catalogue: str
    count: tuple[str, ...]


ORDER_RESULTS = ResultSpelling("catalog_id", ("item_count",))
CONTRACT_RESULTS = ResultSpelling("catalogId", ("stats", "itemCount"))


def catalogues_of(reading: Reading) -> tuple[Catalogue, ...]:
    """Give the catalogues to write; offers alone are a market's, in one catalogue."""
    if reading.catalogues is not None:
        return reading.catalogues
    envelope = reading.envelope
    market = Catalogue(
        catalogue_id="market",
        provider_id=envelope.bpp_id,
        bpp_id=envelope.bpp_id,
        bpp_uri=envelope.bpp_uri,
        offers=reading.offers,
    )
    return (market,)


def read_validity(own: Cursor, attributes: Cursor, prefix: str) -> dict[str, str | None]:
    """Read since and until when an offer holds: from its own period, or its attributes'."""
    window = attributes / "validityWindow"
    periods = [(own, prefix), (window, prefix), (window, "schema:")]
    return {
        "valid_from": _end(periods, ("startDate", "startTime")),
        "valid_until": _end(periods, ("endDate", "endTime")),
    }


def _end(periods: list[tuple[Cursor, str]], names: tuple[str, str]) -> str | None:
    for period, prefix in periods:
        for name in names:
            if period / f"{prefix}{name}":
                return (period / f"{prefix}{name}").text()
    return None


def write_validity(offer: Offer, key: str, prefix: str) -> dict[str, Json]:
    """Write since and until when an offer holds; nothing when it holds for ever."""
    ends = {"startDate": offer.valid_from, "endDate": offer.valid_until}
    period = {f"{prefix}{name}": value for name, value in ends.items() if value is not None}
    if not period:
        return {}
    return {key: ({"@type": "beckn:TimePeriod"} if prefix else {}) | period}


def read_results(results: Cursor, spelling: ResultSpelling) -> tuple[PublishResult, ...]:
    """Read what became of each published catalogue."""
    found: list[PublishResult] = []
    for item in results.items():
        count = item
        for key in spelling.count:
            count /= key
        found.append(
            PublishResult(
                catalogue_id=(item / spelling.catalogue).text(),
                status=(item / "status").text(),
                offer_count=count.integer(),
                at={"": item.pointer, "status": (item / "status").pointer},
            )
        )
    return tuple(found)


def write_results(results: tuple[PublishResult, ...], spelling: ResultSpelling) -> list[Json]:
    """Write what became of each published catalogue."""
    written: list[Json] = []
    for result in results:
        count: Json = result.offer_count
        for key in reversed(spelling.count):
            count = None if count is None else {key: count}
        item: dict[str, Json] = {
            spelling.catalogue: result.catalogue_id,
            "status": result.status,
            **(count or {}),
        }
        written.append({key: value for key, value in item.items() if value is not None})
    return written

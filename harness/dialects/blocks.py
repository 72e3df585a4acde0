"""Energy building blocks that are written alike wherever a dialect puts them.

Belongs here: one read and one write function a block, for a cursor that stands on
it. Does not belong here: the slot a block sits in (each dialect's module).

Source: beckn/DEG, building blocks: OfferCurve, EnergyContract, Settlement.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import isodate

from gridwitness.reference_impl.curves import Point
from gridwitness.reference_impl.rounding import ROUNDINGS
from gridwitness.reference_impl.terms import MODES
from gridwitness.views import (
    Bill,
    Charges,
    Interval,
    MeterReading,
    OfferCurve,
    Part,
    Position,
    ProtocolError,
    RevenueFlow,
    SettlementReport,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gridwitness.dialects.base import Cursor, Json

CONTEXT = "https://gridwitness.example/energy/v1/context.jsonld"
"""The JSON-LD context of our building blocks; a name, never fetched."""

MAX_MINOR_UNIT = 4
"""No currency of ISO 4217 has more decimals."""


def typed(kind: str, members: dict[str, Json]) -> dict[str, Json]:
    """Write a block with its context and type; absent members are left out."""
    present = {key: value for key, value in members.items() if value is not None}
    return {"@context": CONTEXT, "@type": kind} | present


def read_curve(cursor: Cursor) -> OfferCurve | None:
    if cursor.object() is None:
        return None
    points: list[Point] = []
    for item in (cursor / "curve").items():
        price, power = (item / "price").need_number(), (item / "powerKW").need_number()
        if price is None or power is None:
            return None
        points.append(Point(price, power))
    low, high = (cursor / "minExport").need_number(), (cursor / "maxExport").need_number()
    if low is None or high is None:
        return None
    return OfferCurve(
        currency=(cursor / "currency").text(),
        min_export_kw=low,
        max_export_kw=high,
        points=tuple(points),
        at={"": cursor.pointer, "points": f"{cursor.pointer}/curve"},
    )


def write_curve(curve: OfferCurve | None) -> dict[str, Json] | None:
    if curve is None:
        return None
    block: dict[str, Json] = {"currency": curve.currency} if curve.currency else {}
    return block | {
        "minExport": curve.min_export_kw,
        "maxExport": curve.max_export_kw,
        "curve": [{"price": price, "powerKW": power} for price, power in curve.points],
    }


_CHARGES = {
    "fee_per_kwh": "marketMakingFee",
    "wheeling_buyer_per_kwh": "wheelingChargesBuyer",
    "wheeling_seller_per_kwh": "wheelingChargesSeller",
    "penalty_per_kwh": "deviationPenalty",
    "penalty_band": "deviationBand",
    "virtual_meter_per_kwh": "virtualMeterRate",
}
_PRICES = {"short_price_per_kwh": "shortPrice", "long_price_per_kwh": "longPrice"}
"""What a deviation is bought and sold at; a price may be below zero."""


def read_charges(cursor: Cursor) -> Charges | None:
    if cursor.object() is None:
        return None
    currency = (cursor / "currency").need_text()
    if currency is None:
        return None
    return Charges(
        currency=currency,
        mode=_choice(cursor / "settlementMode", MODES),
        rounding=_choice(cursor / "rounding", ROUNDINGS),
        minor_unit=_minor_unit(cursor / "minorUnit"),
        at={name: (cursor / key).pointer for name, key in (_CHARGES | _PRICES).items()}
        | {"": cursor.pointer},
        **{name: _rate(cursor / key) for name, key in _CHARGES.items()},
        **{name: (cursor / key).number() for name, key in _PRICES.items()},
    )


def _rate(cursor: Cursor) -> Decimal | None:
    rate = cursor.number()
    if rate is not None and rate < 0:
        cursor.problem("is below zero")
        return None
    return rate


def _choice(cursor: Cursor, known: Collection[str]) -> str | None:
    text = cursor.text()
    if text is not None and text not in known:
        cursor.problem(f"is none of {', '.join(known)}")
        return None
    return text


def _minor_unit(cursor: Cursor) -> int | None:
    decimals = cursor.integer()
    if decimals is not None and not 0 <= decimals <= MAX_MINOR_UNIT:
        cursor.problem(f"is not between 0 and {MAX_MINOR_UNIT}")
        return None
    return decimals


def write_charges(charges: Charges | None) -> dict[str, Json] | None:
    if charges is None:
        return None
    block: dict[str, Json] = {"currency": charges.currency}
    block |= {key: getattr(charges, name) for name, key in (_CHARGES | _PRICES).items()}
    block |= {
        "settlementMode": charges.mode,
        "rounding": charges.rounding,
        "minorUnit": charges.minor_unit,
    }
    return {key: value for key, value in block.items() if value is not None}


def read_flows(cursor: Cursor) -> tuple[RevenueFlow, ...]:
    flows: list[RevenueFlow] = []
    for item in cursor.items():
        texts = [(item / key).need_text() for key in ("from", "to", "kind", "currency")]
        amount = (item / "amount").need_number()
        if amount is not None and all(text is not None for text in texts):
            payer, payee, kind, currency = (text or "" for text in texts)
            flows.append(
                RevenueFlow(
                    payer=payer,
                    payee=payee,
                    kind=kind,
                    amount=amount,
                    currency=currency,
                    at={"": item.pointer, "amount": (item / "amount").pointer},
                )
            )
    return tuple(flows)


def read_readings(cursor: Cursor) -> tuple[MeterReading, ...]:
    readings: list[MeterReading] = []
    for item in cursor.items():
        meter, energy = (item / "meterId").need_text(), (item / "allocatedEnergy").need_number()
        if meter is not None and energy is not None:
            readings.append(
                MeterReading(
                    meter_id=meter,
                    energy_kwh=energy,
                    start=(item / "start").text(),
                    end=(item / "end").text(),
                    at={"": item.pointer, "energy_kwh": (item / "allocatedEnergy").pointer},
                )
            )
    return tuple(readings)


def write_readings(readings: Iterable[MeterReading]) -> list[Json]:
    written = [
        {
            "meterId": reading.meter_id,
            "allocatedEnergy": reading.energy_kwh,
            "unit": "kWh",
            "start": reading.start,
            "end": reading.end,
        }
        for reading in readings
    ]
    return [{key: value for key, value in item.items() if value is not None} for item in written]


def read_positions(cursor: Cursor) -> tuple[Position, ...]:
    found: list[Position] = []
    for item in cursor.items():
        party, currency = (item / "party").need_text(), (item / "currency").need_text()
        value = (item / "value").need_number()
        if party is not None and currency is not None and value is not None:
            found.append(
                Position(
                    party=party,
                    value=value,
                    currency=currency,
                    at={"": item.pointer, "value": (item / "value").pointer},
                )
            )
    return tuple(found)


def read_bill(
    price_block: Cursor, *, energy: Cursor, price: Cursor, to_participant: bool, is_due: bool
) -> Bill | None:
    """Read what a participant pays or is paid: value and components, and the line beside them."""
    value, currency = (price_block / "value").number(), (price_block / "currency").text()
    if value is None or currency is None:
        return None
    parts: list[Part] = []
    for item in (price_block / "components").items():
        amount = (item / "value").need_number()
        if amount is None:
            return None
        parts.append(
            Part(
                kind=(item / "type").text(),
                amount=amount,
                text=(item / "description").text() or "",
                at={"": item.pointer},
            )
        )
    return Bill(
        value=value,
        currency=currency,
        parts=tuple(parts),
        energy_kwh=energy.number(),
        price_per_kwh=price.number(),
        to_participant=to_participant,
        is_due=is_due,
        at={"": price_block.pointer, "value": (price_block / "value").pointer},
    )


def write_components(bill: Bill) -> list[Json]:
    return [
        {
            "type": part.kind,
            "value": part.amount,
            "currency": bill.currency,
            "description": part.text,
        }
        for part in bill.parts
    ]


def write_flows(flows: Iterable[RevenueFlow]) -> list[Json]:
    return [
        {
            "from": flow.payer,
            "to": flow.payee,
            "kind": flow.kind,
            "amount": flow.amount,
            "currency": flow.currency,
        }
        for flow in flows
    ]


def write_positions(report: SettlementReport) -> list[Json]:
    return [
        {"party": position.party, "value": position.value, "currency": position.currency}
        for position in report.positions
    ]


def read_error(cursor: Cursor) -> ProtocolError | None:
    if cursor.object() is None:
        return None
    return ProtocolError(
        code=(cursor / "code").text() or (cursor / "errorCode").text(),
        text=(cursor / "message").text() or (cursor / "errorMessage").text(),
        at={"": cursor.pointer},
    )


def write_error(error: ProtocolError) -> dict[str, Json]:
    return {"code": error.code, "message": error.text}


def hours(duration: str) -> Fraction | None:
    """Read an ISO 8601 duration as hours; None when it is none, or has no fixed length above 0."""
    seconds = duration_s(duration)
    return None if seconds is None or seconds <= 0 else Fraction(seconds) / 3600


def duration_s(duration: str) -> Decimal | None:
    """Read an ISO 8601 duration as seconds; None when it is none or has no fixed length."""
    return _duration_s(duration) if len(duration) <= LONGEST_DURATION else None


LONGEST_DURATION = 64
"""No duration takes more characters."""


@lru_cache(maxsize=1024)
def _duration_s(duration: str) -> Decimal | None:
    try:
        parsed: timedelta | isodate.Duration = isodate.parse_duration(duration)
    except (ValueError, TypeError, OverflowError):
        return None
    if not isinstance(parsed, timedelta):
        return None
    return Decimal(parsed.days * 86400 + parsed.seconds) + Decimal(parsed.microseconds) / 1_000_000


def iso_duration(hours_: Fraction) -> str:
    """Write hours as an ISO 8601 duration, in minutes where they are whole."""
    minutes, seconds = divmod(round(hours_ * 3600), 60)
    return f"PT{minutes}M" if not seconds else f"PT{minutes}M{seconds}S"


_WINDOW = re.compile(r"startTime == '([^']+)' && @\.duration == '([^']+)'")


def write_filter(interval: Interval) -> dict[str, Json]:
    """Write an intent as the JSONPath filter that both dialects search catalogues by."""
    window = (
        f"@.startTime == '{interval.start}' && @.duration == '{iso_duration(interval.duration_h)}'"
    )
    return {"type": "jsonpath", "expression": f"$..tradeWindow[?({window})]"}


def read_filter(cursor: Cursor) -> Interval | None:
    expression = (cursor / "expression").text()
    match = _WINDOW.search(expression or "")
    duration = hours(match[2]) if match else None
    if match is None or duration is None:
        return None
    return Interval(start=match[1], duration_h=duration, at={"": (cursor / "expression").pointer})


def read_window(cursor: Cursor, start: str, duration: str) -> Interval | None:
    if cursor.object() is None:
        return None
    begin, length = (cursor / start).need_text(), (cursor / duration).need_text()
    if begin is None or length is None:
        return None
    duration_h = hours(length)
    if duration_h is None:
        (cursor / duration).problem("is not an ISO 8601 duration above zero")
        return None
    return Interval(start=begin, duration_h=duration_h, at={"": cursor.pointer})

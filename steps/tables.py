"""Reading tables: units are parsed once, exactly, and a wrong one is told how to be right.

Belongs here: converters from the cells of a table to values. Does not belong here:
sentences.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gridwitness import sequence_table
from gridwitness.dialects.blocks import typed
from gridwitness.errors import UserError
from gridwitness.mocks.grid_node import Place
from gridwitness.mocks.market import AFTER, BEFORE
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.spoilt import FAULTS, Fault
from gridwitness.mocks.utility import Meter
from gridwitness.mocks.words import Party
from gridwitness.reference_impl.curves import Point
from gridwitness.reference_impl.tariff import ChargingPeriod
from gridwitness.views import Due, Interval, MeterReading, OfferCurve, Source, Term

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row, rows = sequence_table.Row, sequence_table.rows

_NUMBER = r"-?\d+(?:\.\d+)?"
_POINT = re.compile(rf"({_NUMBER}) kW at ({_NUMBER})")


SPOILT = {
    fault.words: fault
    for fault in (
        Fault("its power falls as the price rises"),
        FAULTS["changed after it was signed"],
    )
}
"""What may be wrong with an offer on purpose; the first is wrong in the table already."""


def quantity(text: str, unit: str) -> Decimal:
    """Read '30 kW' with the unit kW as 30; a price has its unit in the heading."""
    match = re.fullmatch(rf"({_NUMBER}) {re.escape(unit)}" if unit else f"({_NUMBER})", text)
    if match is None:
        example = f"30 {unit}" if unit else "0.12"
        raise UserError(
            f"{text!r} is no quantity in {unit or 'the unit of its column'}",
            where="a table",
            mend=f"write '{example}'",
        )
    return Decimal(match[1])


def curve(text: str, currency: str) -> OfferCurve:
    """Read '-11 kW at 0.08, 0 kW at 0.12' as an offer curve; prices per kWh."""
    points = [_POINT.fullmatch(part.strip()) for part in text.split(",")]
    read = [Point(Decimal(match[2]), Decimal(match[1])) for match in points if match]
    if len(read) != len(points):
        raise UserError(
            f"{text!r} is no offer curve",
            where="a table",
            mend="write '-11 kW at 0.08, 0 kW at 0.12'",
        )
    return OfferCurve(
        currency=currency,
        min_export_kw=read[0].power_kw,
        max_export_kw=read[-1].power_kw,
        points=tuple(read),
    )


def moment(text: str) -> str:
    """Read when a participant cancels."""
    if text not in (BEFORE, AFTER):
        raise UserError(
            f"{text!r} is no moment to cancel",
            where="a sentence of the feature",
            mend=f"write '{BEFORE}' or '{AFTER}'",
        )
    return text


def wish(row: Mapping[str, str]) -> Wish:
    """Read what a participant of a market offers."""
    words = row.get("spoilt", "")
    if words and words not in SPOILT:
        raise UserError(
            f"{words!r} is no known way to spoil an offer",
            where="a table",
            mend=f"write one of: {'; '.join(SPOILT)}",
        )
    return Wish(row["meter"], curve(row["offer curve (INR/kWh)"], "INR"), SPOILT.get(words))


def meter(row: Mapping[str, str]) -> Meter:
    """Read what the utility knows of a participant's meter."""
    committed, metered = row.get("committed", ""), row.get("metered", "")
    return Meter(
        meter_id=row["meter"],
        sanctioned_load_kw=quantity(row["sanctioned"], "kW"),
        committed_kw=quantity(committed, "kW") if committed else Decimal(0),
        metered_kwh=quantity(metered, "kWh") if metered else None,
        node_id=row.get("node") or None,
    )


def place(row: Mapping[str, str]) -> Place:
    """Read what a node of a grid is: its parent, limits, load and prices."""

    def limit(name: str) -> Decimal | None:
        return quantity(row[name], "kW") if row.get(name) else None

    def number(name: str, unit: str = "") -> Decimal:
        return quantity(row[name], unit) if row.get(name) else Decimal(0)

    return Place(
        parent=row.get("parent") or None,
        max_forward_kw=limit("forward limit"),
        max_reverse_kw=limit("reverse limit"),
        load_percent=number("load", "percent"),
        base_price=number("base price (INR/kWh)"),
        adder_per_percent=number("adder per percent (INR/kWh)"),
    )


# -- exchanges --------------------------------------------------------------------------

DAY = date(2031, 5, 12)
"""The day on which exchanges with a time of day are played: a Monday."""

MINUTE = timedelta(minutes=1)
ZONE = ZoneInfo("Asia/Kolkata")


def party(row: Row) -> Party:
    """Read who takes part in an exchange."""
    return Party(row["name"], row["role"], row.get("meter") or None)


def terms(table: Sequence[Row]) -> dict[str, tuple[Term, ...]]:
    """Read what each role states: '6.50 INR/kWh', '10 kWh', '0.02'."""
    found: dict[str, tuple[Term, ...]] = {}
    for row in table:
        match = re.fullmatch(rf"({_NUMBER})(?: (\S+))?", row["value"])
        if match is None:
            raise UserError(
                f"{row['value']!r} is no quantity", where="the terms", mend="write '6.50 INR/kWh'"
            )
        one = Term(name=row["term"], value=Decimal(match[1]), unit=match[2])
        found[row["role"]] = (*found.get(row["role"], ()), one)
    return found


def due(row: Row) -> Due:
    """Read who pays whom, and by which formula."""
    return Due(payer=row["from"], payee=row["to"], kind=row["kind"], formula=row["formula"])


def reading(row: Row) -> tuple[Source, MeterReading]:
    """Read what a meter registers, and the name that formulas have for it."""
    start, end = row.get("from", ""), row.get("until", "")
    return (
        Source(name=row["name"], kind="METER_READING", meter_id=row["meter"]),
        MeterReading(
            meter_id=row["meter"],
            energy_kwh=quantity(row["energy"], "kWh"),
            start=instant(start).isoformat() if start else None,
            end=instant(end).isoformat() if end else None,
        ),
    )


def sources(
    readings: Sequence[tuple[Source, MeterReading]], *, session: Sequence[ChargingPeriod]
) -> tuple[Source, ...]:
    """Give every source once, in order; a session's cost is called bill."""
    named = tuple(dict.fromkeys((s.name, s.kind, s.meter_id) for s, _ in readings))
    found = tuple(Source(name=name, kind=kind, meter_id=meter) for name, kind, meter in named)
    return (*found, Source(name="bill", kind="CHARGE_DATA_RECORD")) if session else found


def instant(text: str) -> datetime:
    """Read a time of the day of the exchange: '17:30', or '01:15 next day'."""
    match = re.fullmatch(r"(\d\d):(\d\d)( next day)?", text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:  # noqa: PLR2004
        raise UserError(
            f"{text!r} is no time of day", where="a table", mend="write '17:30' or '01:15 next day'"
        )
    day = DAY + timedelta(days=1) if match[3] else DAY
    return datetime.combine(day, time(int(match[1]), int(match[2])), ZONE)


def interval(start: str, end: str) -> Interval:
    """Read a delivery from one time of day to another."""
    begin, until = instant(start), instant(end)
    if until <= begin:
        raise UserError(
            f"a delivery from {start} to {end} has no length",
            where="a sentence of the feature",
            mend="write a later end",
        )
    return Interval(start=begin.isoformat(), duration_h=Fraction((until - begin) / MINUTE) / 60)


def tariff(table: Sequence[Row]) -> dict[str, object]:
    """Read a tariff: a row an element, with one price; the first that applies is in force."""
    return typed(
        "Tariff",
        {
            "tariffId": "tariff",
            "currency": "INR",
            "timeZone": str(ZONE),
            "elements": [_element(row) for row in table],
        },
    )


_UNITS = {"ENERGY": "INR/kWh", "TIME": "INR/h", "PARKING_TIME": "INR/h", "FLAT": "INR"}


def _element(row: Row) -> dict[str, object]:
    kind = row["dimension"].upper().replace(" ", "_")
    if kind not in _UNITS:
        raise UserError(
            f"{row['dimension']!r} is no dimension of a tariff",
            where="the tariff",
            mend="write energy, time, parking time or flat",
        )
    component: dict[str, object] = {"type": kind, "price": quantity(row["price"], _UNITS[kind])}
    if row.get("VAT"):
        component["vat"] = quantity(row["VAT"].replace("%", " %"), "%")
    if row.get("step"):
        component["stepSize"] = int(row["step"].partition(" ")[0])
    limits: dict[str, object] = {
        key: row[column]
        for column, key in (("from", "startTime"), ("until", "endTime"))
        if row.get(column)
    }
    limits |= {
        key: quantity(row[column], "kWh")
        for column, key in (("from energy", "minKWh"), ("to energy", "maxKWh"))
        if row.get(column)
    }
    if row.get("days"):
        limits["dayOfWeek"] = [day.strip().upper() for day in row["days"].split(",")]
    element: dict[str, object] = {"priceComponents": [component]}
    return element | ({"restrictions": limits} if limits else {})


def period(row: Row) -> ChargingPeriod:
    """Read a period of a charging session; a car that is 'full' is parked."""
    return ChargingPeriod(
        instant(row["from"]),
        instant(row["until"]),
        quantity(row["energy"], "kWh"),
        parked=row.get("car") == "full",
    )

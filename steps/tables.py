"""Reading tables: units are parsed once, exactly, and a wrong one is told how to be right.

Belongs here: converters from the cells of a table to values. Does not belong here:
sentences.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gridwitness import sequence_table
from gridwitness.dialects.blocks import typed
from gridwitness.dialects.tables import COLUMNS
from gridwitness.dues import DECIMALS
from gridwitness.errors import UserError
from gridwitness.mocks.grid_node import Place
from gridwitness.mocks.market import AFTER, BEFORE
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.spoilt import FAULTS, Fault
from gridwitness.mocks.stay import Stay
from gridwitness.mocks.telemetered import OPTS_IN, OPTS_OUT, Telemetered
from gridwitness.mocks.utility import Meter
from gridwitness.mocks.words import Metered, Party
from gridwitness.reference_impl.curves import Point
from gridwitness.reference_impl.tariff import DAYS, ChargingPeriod
from gridwitness.response import SCORE_UNIT
from gridwitness.signals import KINDS, Signal
from gridwitness.views import (
    Charges,
    Column,
    Due,
    Interval,
    IntervalTable,
    MeterReading,
    Objective,
    OfferCurve,
    Promise,
    Source,
    Term,
)

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


def row(table: Sequence[Sequence[str]], *, needs: Sequence[str], may: Sequence[str]) -> Row:
    """Read a table of one row below its heading."""
    read = rows(table, needs=needs, may=may)
    if len(read) != 1:
        raise UserError(
            f"{len(read)} rows below the heading", where="a table of the feature", mend="write one"
        )
    return read[0]


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


def cancels(table: Sequence[Row]) -> dict[str, str]:
    """Read who cancels, before or after the market has cleared."""
    found = {row["name"]: row["cancels"] for row in table if row.get("cancels")}
    for moment in found.values():
        if moment not in (BEFORE, AFTER):
            raise UserError(
                f"{moment!r} is no moment to cancel",
                where="the market participants",
                mend=f"write '{BEFORE}' or '{AFTER}', as the market has cleared",
            )
    return found


def confirms_late(table: Sequence[Row]) -> bool:
    """Read whether the last participant keeps the market waiting."""
    late = [row for row in table if row.get("confirms")]
    if any(row["confirms"] != "late" or row is not table[-1] for row in late):
        raise UserError(
            "who confirms late is the last of the table",
            where="the market participants",
            mend="write 'late' in the last row, column confirms, or nothing",
        )
    return bool(late)


def commands(table: Sequence[Row]) -> dict[str, Decimal]:
    """Read what the grid operator commands, in kW by participant, in the order of the table."""
    found = {row["name"]: row.get("offset command", "") for row in table}
    return {name: quantity(text, "kW") for name, text in found.items() if text}


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
    usual = row.get("usual load", "")
    return Meter(
        meter_id=row["meter"],
        sanctioned_load_kw=quantity(row["sanctioned"], "kW"),
        committed_kw=quantity(committed, "kW") if committed else Decimal(0),
        metered_kwh=quantity(metered, "kWh") if metered else None,
        usual_kw=tuple(quantity(part.strip(), "kW") for part in usual.split(",") if part.strip()),
        node_id=row.get("node") or None,
    )


SETTLED_BY = {
    "what was cleared": "AS_CLEARED",
    "what was delivered": "ACTUALS_CAPPED",
    "a virtual meter": "VIRTUAL_METER",
    "imbalance prices": "TWO_SETTLEMENT",
}
"""What a deviation changes, by the words for it."""


def charges(row: Mapping[str, str]) -> Charges:
    """Read what a utility charges, in INR; what is not stated is free."""
    mode = row.get("settled by", "what was cleared")
    if mode not in SETTLED_BY:
        raise UserError(
            f"nobody settles by {mode!r}",
            where="the charges",
            mend=f"write one of: {', '.join(SETTLED_BY)}",
        )

    def rate(name: str) -> Decimal | None:
        return quantity(row[name], "INR/kWh") if row.get(name) else None

    band = row.get("band", "")
    return Charges(
        currency="INR",
        mode=SETTLED_BY[mode],
        wheeling_buyer_per_kwh=rate("wheeling"),
        penalty_per_kwh=rate("penalty"),
        penalty_band=quantity(band, "%") / 100 if band else None,
        virtual_meter_per_kwh=rate("virtual meter"),
        short_price_per_kwh=rate("short"),
        long_price_per_kwh=rate("long"),
        rounding="HALF_UP",
        minor_unit=2,
    )


def objective(row: Mapping[str, str]) -> Objective:
    """Read what a grid operator wants to buy: less load, up to a price, below a baseline."""
    days = re.fullmatch(r"(\d+) of (\d+) days", row["baseline"])
    if days is None:
        raise UserError(
            f"{row['baseline']!r} is no baseline", where="the objective", mend="write '3 of 5 days'"
        )
    return Objective(
        target_kw=quantity(row["reduction"], "kW"),
        max_price_per_kwh=quantity(row["highest price"], "INR/kWh"),
        currency="INR",
        methodology=f"{days[1]}of{days[2]}",
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

_WEEK = {
    f"on {name.capitalize()}": DAY + timedelta(days=number) for number, name in enumerate(DAYS)
}
_DAYS = {"": DAY, "next day": DAY + timedelta(days=1)} | _WEEK

MINUTE = timedelta(minutes=1)
ZONE = ZoneInfo("Asia/Kolkata")


def party(row: Row) -> Party:
    """Read who takes part in an exchange."""
    return Party(row["name"], row["role"], row.get("meter") or None, refuses=row.get("refuses", ""))


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


def signal(row: Row) -> Signal:
    """Read a value of a signal and from when it holds; a total, and what it becomes."""
    kind = row["kind"].upper().replace(" ", "_")
    match = re.fullmatch(rf"({_NUMBER})(?: (\S+))?", row["value"])
    if kind not in KINDS or match is None:
        raise UserError(
            f"{row['kind']!r} of {row['value']!r} is no signal",
            where="the signals",
            mend="write 'price' and '4.20 INR/kWh', or another kind: "
            + ", ".join(known.lower().replace("_", " ") for known in KINDS),
        )
    at = instant(row["at"]).isoformat()
    formula = row.get("becomes") or None
    return Signal(row["name"], kind, Decimal(match[1]), match[2], at, formula)


def money(terms: Mapping[str, Sequence[Term]]) -> tuple[str, int]:
    """Give the currency that the terms are in, rupees where none has one, and its decimals."""
    units = (term.unit or "" for stated in terms.values() for term in stated)
    heads = (unit.partition("/")[0] for unit in units)
    currency = next((head for head in heads if re.fullmatch("[A-Z]{3}", head)), "INR")
    return currency, DECIMALS.get(currency, 2)


def telemetered(row: Row) -> Telemetered:
    """Read what is measured of a meter in an interval, and whether it opts in or out before."""
    change, page = row.get("changes", ""), row.get("page", "")
    if change not in ("", OPTS_IN, OPTS_OUT) or page not in ("", "1", "2"):
        raise UserError(
            f"{change or page!r} says nothing",
            where="the telemetry",
            mend=f"write {OPTS_IN!r} or {OPTS_OUT!r} below changes, 1 or 2 below page",
        )

    def known(column: str, unit: str) -> Decimal | None:
        return quantity(row[column], unit) if row.get(column) else None

    usual = row.get("usual load", "")
    return Telemetered(
        meter_id=row["meter"],
        start=instant(row["from"]).isoformat(),
        end=instant(row["until"]).isoformat(),
        usual_kw=tuple(quantity(part.strip(), "kW") for part in usual.split(",") if part.strip()),
        usage_kw=known("usage", "kW"),
        resource_kw=known("resource", "kW"),
        power_kw=known("power", "kW"),
        reactive_kvar=known("reactive power", "kvar"),
        change=change,
        page=int(page or 1),
    )


def due(row: Row) -> Due:
    """Read who pays whom, and by which formula."""
    return Due(payer=row["from"], payee=row["to"], kind=row["kind"], formula=row["formula"])


def promise(row: Row) -> Promise:
    """Read a penalty, unless a measure is as promised: 'availability at least 0.95'."""
    match = re.fullmatch(rf"(\w+) (at least|at most) ({_NUMBER})(?: (\S+))?", row["unless"])
    if match is None or not row.get("is"):
        raise UserError(
            f"{row['unless']!r} is no promise",
            where="the payments",
            mend="write 'availability at least 0.95', and in the column 'is' how it is measured",
        )
    return Promise(
        name=match[1],
        formula=row["is"],
        target=Decimal(match[3]),
        bound=match[2].upper().replace(" ", "_"),
        due=due(row),
        unit=match[4],
    )


def reading(row: Row) -> Metered:
    """Read what a meter registers; it is told in the first report, or in a later one."""
    start, end, report = (row.get(column, "") for column in ("from", "until", "report"))
    if not re.fullmatch(r"[1-9]?", report):
        raise UserError(
            f"{report!r} is no report", where="the meter readings", mend="write 1, 2 or 3"
        )
    return Metered(
        Source(
            name=row["name"],
            kind="METER_READING",
            meter_id=row["meter"],
            signal=row.get("priced by") or None,
        ),
        MeterReading(
            meter_id=row["meter"],
            energy_kwh=quantity(row["energy"], "kWh"),
            start=instant(start).isoformat() if start else None,
            end=instant(end).isoformat() if end else None,
        ),
        int(report or 1),
    )


def portions(readings: Sequence[Metered]) -> tuple[tuple[MeterReading, ...], ...]:
    """Give the readings that each report tells, the first one first."""
    numbers = sorted({metered.report for metered in readings})
    return tuple(tuple(m.reading for m in readings if m.report == n) for n in numbers)


def sources(
    readings: Sequence[Metered],
    *,
    session: Sequence[ChargingPeriod],
    dues: Sequence[Due | Promise] = (),
    tariff: object = None,
) -> tuple[Source, ...]:
    """Give every source once, in order.

    What is priced by a signal is called delivered_at_day_ahead; what a session costs by tariff, or
    what the first meter registered where there is none, is called bill, and a session's energy
    charged, where a payment counts with it.
    """
    found = dict[str, Source]()
    for source, _, _ in readings:
        found.setdefault(source.name, replace(source, signal=None))
        if source.signal is not None:
            name = f"{source.name}_at_{source.signal}"
            found.setdefault(name, replace(source, name=name))
    metered = next(iter(found.values()), None) if tariff is not None and not session else None
    if session or metered:
        meter_id = metered and metered.meter_id
        found["bill"] = Source(name="bill", kind="CHARGE_DATA_RECORD", meter_id=meter_id)
    if session and any("charged" in d.formula.split() for d in dues):
        found["charged"] = Source(name="charged", kind="CHARGE_DATA_RECORD", unit="kWh")
    return tuple(found.values())


FOLLOWED = ("FREQUENCY", "VOLTAGE", "AGC_SETPOINT")
"""The kinds of signal that a resource responds to."""


def sources_of_telemetry(
    telemetry: Sequence[Telemetered], signals: Sequence[Signal]
) -> tuple[Source, ...]:
    """Give what formulas may count of telemetry.

    The reduction of load is called delivered. Of a response to a signal, its energy is called
    followed, and how well it follows score.
    """
    found: list[Source] = []
    if any(one.usage_kw is not None for one in telemetry):
        found.append(Source(name="delivered", kind="METER_READING"))
    asked = next((one for one in signals if one.kind in FOLLOWED), None)
    if asked is not None and any(one.usage_kw is None for one in telemetry):
        unit = "kvarh" if asked.kind == "VOLTAGE" else "kWh"
        for name, of in (("followed", unit), ("score", SCORE_UNIT)):
            found.append(Source(name=name, kind="INVERTER_DATA", signal=asked.name, unit=of))
    return tuple(found)


def instant(text: str) -> datetime:
    """Read a time of the day of the exchange: '17:30', '01:15 next day' or '22:00 on Friday'."""
    match = re.fullmatch(r"(\d\d):(\d\d)(?: (next day|on \w+day))?", text)
    day = match and _DAYS.get(match[3] or "")
    if match is None or day is None or int(match[1]) > 23 or int(match[2]) > 59:  # noqa: PLR2004
        raise UserError(
            f"{text!r} is no time of day",
            where="a table",
            mend="write '17:30', '01:15 next day' or '22:00 on Friday'",
        )
    return datetime.combine(day, time(int(match[1]), int(match[2])), ZONE)


def delivery(when: str) -> Fraction | Interval:
    """Read 'of 60 minutes', at any time, in hours; or 'from 17:00 to 20:00'."""
    if match := re.fullmatch(r"of (\d+) minutes", when):
        return Fraction(int(match[1]), 60)
    if match := re.fullmatch(r"from (.+) to (.+)", when):
        return interval(match[1], match[2])
    raise UserError(
        f"a delivery {when!r} is none",
        where="a sentence of the feature",
        mend="write 'of 60 minutes' or 'from 17:00 to 20:00'",
    )


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


def intervals(table: Sequence[Row]) -> dict[str, IntervalTable]:
    """Read what holds in each interval, by the name of the party that it is about.

    What stands in a row of nobody holds for all. Raises UserError where the intervals are not
    equally long and in a row, or a column changes its unit.
    """
    spans = list(dict.fromkeys((row["from"], row["until"]) for row in table))
    first = interval(*spans[0])
    _follow_one_another(spans, first)
    units: dict[str, str | None] = {}
    rows: dict[str, list[dict[str, tuple[Decimal, ...]]]] = {}
    for row in table:
        mine = rows.setdefault(row.get("party", ""), [{} for _ in spans])
        place = spans.index((row["from"], row["until"]))
        for name in COLUMNS:
            if row.get(name):
                mine[place][name] = _values(name, row[name], units)
    columns = tuple(Column(name=name, unit=unit) for name, unit in units.items())
    common = rows.pop("", [{} for _ in spans])
    every = {"": common} | {
        party: [alike | own for alike, own in zip(common, mine, strict=True)]
        for party, mine in rows.items()
    }
    return {
        party: IntervalTable(interval=first, columns=columns, rows=tuple(mine))
        for party, mine in every.items()
    }


def _follow_one_another(spans: Sequence[tuple[str, str]], first: Interval) -> None:
    ends = [spans[0][0], *(until for _, until in spans)]
    for begin, (start, until) in zip(ends, spans, strict=False):
        if start != begin or interval(start, until).duration_h != first.duration_h:
            raise UserError(
                f"the interval from {start} to {until} does not follow the one before",
                where="the intervals",
                mend="write intervals that are equally long and follow one another",
            )


def _values(name: str, text: str, units: dict[str, str | None]) -> tuple[Decimal, ...]:
    """Read '4.5 kWh', or the steps of an offer '20 kW, 50 kW'; remember the unit."""
    found = [re.fullmatch(rf"({_NUMBER})(?: (\S+))?", part.strip()) for part in text.split(",")]
    read = [(Decimal(match[1]), match[2]) for match in found if match]
    unit = units.setdefault(name, read[0][1] if read else None)
    if len(read) != len(found) or any(other != unit for _, other in read):
        raise UserError(
            f"{text!r} is no quantity in {unit}",
            where=f"the intervals, column {name}",
            mend="write '4.5 kWh', in one unit all down the column",
        )
    return tuple(value for value, _ in read)


def stay(table: Sequence[Row]) -> Stay:
    """Read what a driver says of a stay, in one row; no cell of it has to be there."""
    if len(table) != 1:
        raise UserError(f"{len(table)} rows", where="the stay", mend="write one row")
    row = {column: cell for column, cell in table[0].items() if cell}
    arrival = [row[column] for column in ("arrives from", "arrives until") if column in row]
    grace, target = row.get("grace"), row.get("to charge")
    hours = [row[column] for column in ("parked from", "parked until") if column in row]
    return Stay(
        hours=interval(hours[0], hours[-1]) if hours else None,
        arrival=interval(arrival[0], arrival[-1]) if arrival else None,
        grace_h=Fraction(quantity(grace, "min")) / 60 if grace else None,
        objective=_objective(row, target) if target else None,
        given_up=instant(row["given up"]) if "given up" in row else None,
    )


def _objective(row: Row, target: str) -> dict[str, object]:
    members: dict[str, object] = {"targetChargeKWh": quantity(target, "kWh")}
    if "by" in row:
        members["deadline"] = instant(row["by"]).isoformat()
    if "at most" in row:
        limit = {"maxPricePerKWh": quantity(row["at most"], "INR/kWh"), "currency": "INR"}
        members |= limit
    return members


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
    if row.get("car", "") not in ("", "full", "cut off"):
        raise UserError(
            f"{row['car']!r} is no state of a car",
            where="the charging session",
            mend="write 'full', 'cut off' or nothing",
        )
    return ChargingPeriod(
        instant(row["from"]),
        instant(row["until"]),
        quantity(row["energy"], "kWh"),
        parked=row.get("car") == "full",
    )

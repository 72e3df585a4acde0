"""Loads: what meters were to draw and what they drew, interval by interval, as a deal tells it.

Belongs here: from the measurement that one message states to baselines and reductions, through
reference_impl.baseline. Does not belong here: that arithmetic, the market's own reductions, who
is paid what (deals), what is right (rules).

A measurement is a table a meter with the columns BASELINE and USAGE in kW, the methodology of
the baseline, and the readings of the days that it rests on. A deal names the meters that take
part; where it names none, all that are told do.

Source: beckn/DEG, DemandFlexPerformance v2.0, DemandFlexBuyOffer v2.0 (participatingMeters).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, cast

from gridwitness.dialects.base import Cursor
from gridwitness.dialects.blocks import read_readings
from gridwitness.dialects.deals import words
from gridwitness.dialects.tables import read_table
from gridwitness.reference_impl.baseline import (
    BaselineError,
    Commitment,
    Day,
    Reading,
    average_kw,
    high_days,
    parse_methodology,
    settle_flex,
)
from gridwitness.signals import moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from gridwitness.views import Block, Deal, IntervalTable, MeterReading

METERS, METHODOLOGY, PAGE, HISTORY = "meters", "methodology", "pageInfo", "baseline"
TAKING_PART = "participatingMeters"
RESOURCE_TELEMETRY = "RESOURCE_TELEMETRY"
"""The methodology of a measurement that no settlement rests on."""

BASELINE, USAGE = "BASELINE", "USAGE"
DAY = timedelta(days=1)


class Load(NamedTuple):
    """What one meter was to draw and drew."""

    meter_id: str
    table: IntervalTable
    pointer: str

    def is_told(self, column: str) -> bool:
        """Tell whether a column has a value in every interval."""
        return bool(self.table.rows) and None not in self.table.values(column)


def loads_in(deal: Deal) -> tuple[Load, ...]:
    """Read what is told of each meter; what is no table is passed over."""
    found: list[Load] = []
    for item in _cursor(deal.block("fulfilment", METERS)).items():
        meter_id = (item / "meterId").text()
        table = read_table(item / "telemetry", words)
        if meter_id is not None and table is not None:
            found.append(Load(meter_id, table, item.pointer))
    return tuple(found)


def methodology_in(deal: Deal) -> str | None:
    """Give how the baselines were found, as 5of10."""
    return _cursor(deal.block("fulfilment", METHODOLOGY)).text()


def is_to_settle_by(deal: Deal) -> bool:
    """Tell whether a measurement is one that is settled by, not of the resources behind meters."""
    return bool(loads_in(deal)) and methodology_in(deal) != RESOURCE_TELEMETRY


def is_complete(deal: Deal) -> bool:
    """Tell whether a measurement is on one page, or this is the last one."""
    return (_cursor(deal.block("fulfilment", PAGE)) / "isLast").value is not False


def taking_part(deal: Deal) -> tuple[str, ...] | None:
    """Name the meters that take part; None where the deal names none."""
    block = deal.block("contract", TAKING_PART)
    if block is None or not isinstance(block.data, list):
        return None
    named = cast("list[object]", block.data)
    return tuple(dict.fromkeys(one for one in named if isinstance(one, str)))


def reductions_kwh(deal: Deal) -> dict[int, Fraction]:
    """Give by how much less than their baselines the meters that take part drew, by interval.

    An interval in which one of them lacks a value is left out.
    """
    told = {load.meter_id: load for load in loads_in(deal)}
    counted = taking_part(deal)
    names = tuple(told) if counted is None else counted
    if not names or not is_to_settle_by(deal) or not is_complete(deal):
        return {}
    table = deal.table or next(iter(told.values())).table
    if table.interval is None:
        return {}
    unread: Mapping[int, Reading] = {}
    read = {name: _readings(told[name].table) if name in told else unread for name in names}
    asked = [Commitment(n, Decimal(0), Decimal(0), Decimal(0)) for n in range(len(table.rows))]
    settled = settle_flex(table.interval.duration_h, asked, read)
    return {one.interval: one.delivered_kwh for one in settled.delivered}


def _readings(table: IntervalTable) -> Mapping[int, Reading]:
    return {
        place: Reading(row.get(BASELINE, ()), row.get(USAGE, ()))
        for place, row in enumerate(table.rows)
    }


def baseline_kw(
    methodology: str | None, history: tuple[MeterReading, ...], load: Load
) -> tuple[Fraction, ...]:
    """Compute a meter's baseline from the days before, in kW, interval by interval.

    history: readings of any meters, export positive. Raises BaselineError.
    """
    interval = load.table.interval
    event = moment(interval.start) if interval else None
    if interval is None or event is None or not load.table.rows:
        raise BaselineError("E_NO_INSTANT", "the measurement has no intervals; state them")
    try:
        length = timedelta(hours=float(interval.duration_h))
    except OverflowError as error:
        raise BaselineError("E_NO_INSTANT", "an interval is longer than all time") from error
    if length <= timedelta() or len(load.table.rows) * interval.duration_h > DAY_H:
        raise BaselineError("E_NO_INSTANT", "an event is at most a day long; split it")
    days: dict[date, dict[int, Decimal]] = {}
    for reading in history:
        start = moment(reading.start)
        if reading.meter_id != load.meter_id or start is None or start >= event:
            continue
        place, rest = divmod((start - event) % DAY, length)
        if rest or place >= len(load.table.rows):
            continue
        with suppress(OverflowError):  # before the first day there is
            day = (start - place * length).date()
            days.setdefault(day, {})[place] = reading.energy_kwh
    # In kWh: a mean has the unit of what it is the mean of.
    usual = [
        Day(day, tuple(by_place[place].copy_negate() for place in sorted(by_place)))
        for day, by_place in days.items()
    ]
    chosen = high_days(parse_methodology(methodology or ""), event.date(), usual, ())
    return tuple(energy_kwh / interval.duration_h for energy_kwh in average_kw(chosen))


DAY_H = 24


def history_in(deal: Deal) -> tuple[MeterReading, ...]:
    """Read the readings of the days before that the baselines rest on."""
    block = deal.block("fulfilment", HISTORY)
    if block is None or not isinstance(block.data, list):
        return ()
    return read_readings(_cursor(block))


def _cursor(block: Block | None) -> Cursor:
    return Cursor(block.data if block else None, block.pointer() if block else "", [])

"""What a party tells of loads and responses: who takes part, baselines, usage, what was given.

Belongs here: the words of a row that are about telemetry of demand flexibility and of grid
services. Does not belong here: the other words (words, accounts), arithmetic
(gridwitness.loads, gridwitness.response).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dialects.blocks import write_readings
from gridwitness.dialects.tables import write_table
from gridwitness.errors import UserError
from gridwitness.loads import (
    BASELINE,
    HISTORY,
    METERS,
    METHODOLOGY,
    PAGE,
    RESOURCE_TELEMETRY,
    TAKING_PART,
    USAGE,
    Load,
    baseline_kw,
)
from gridwitness.mocks.telemetered import OPTS_IN, OPTS_OUT
from gridwitness.reference_impl.baseline import BaselineError
from gridwitness.reference_impl.rounding import rounded
from gridwitness.response import POWER, REACTIVE_POWER, TELEMETRY
from gridwitness.views import Block, Column, Interval, IntervalTable, MeterReading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from gridwitness.dialects.base import Json
    from gridwitness.mocks.telemetered import Telemetered
    from gridwitness.mocks.words import Known

DECIMALS = 3
"""A baseline is stated to the W, energy to the Wh, as meters count."""

AFTERWARDS = (
    "part of the usage",
    "rest of the usage",
    "usage",
    "resource telemetry",
    "signals",
    "response",
)
"""The words that tell of what is measured until the end of a delivery."""


def _of_meters(known: Known) -> dict[str, list[Telemetered]]:
    """Give what is measured, by meter, in the order of time."""
    found: dict[str, list[Telemetered]] = {}
    for one in sorted(known.facts.telemetry, key=lambda one: one.start):
        found.setdefault(one.meter_id, []).append(one)
    if not found:
        raise UserError(
            "a row carries telemetry, and none is stated",
            where="the message sequence",
            mend="state the telemetry, a row for each meter and interval",
        )
    return found


# -- who takes part -------------------------------------------------------------------


def taking_part(known: Known) -> None:
    """Name the meters that take part from the beginning."""
    _name(known, but=OPTS_IN)


def changed(known: Known) -> None:
    """Name the meters that take part after some opted in or out."""
    _name(known, but=OPTS_OUT)


def _name(known: Known, *, but: str) -> None:
    if known.party != known.facts.customer:
        return  # passed on as it was told
    meters = [m for m, rows in _of_meters(known).items() if all(r.change != but for r in rows)]
    block = Block(slot="contract", name=TAKING_PART, data=meters)
    others = tuple(b for b in known.deal.blocks if (b.slot, b.name) != (block.slot, block.name))
    known.deal = known.with_blocks((*others, block))


def _those_taking_part(known: Known) -> dict[str, list[Telemetered]]:
    block = known.deal.block("contract", TAKING_PART)
    of_meters = _of_meters(known)
    if block is None or not isinstance(block.data, list):
        return of_meters
    return {meter: rows for meter, rows in of_meters.items() if meter in block.data}


# -- loads ----------------------------------------------------------------------------


def baselines(known: Known) -> None:
    """Tell the baseline of each meter, and the days that it rests on."""
    meters = _those_taking_part(known)
    _tell(known, _measured(meters, (BASELINE,)))


def usage(known: Known) -> None:
    """Tell baseline and usage of each meter."""
    _tell(known, _measured(_those_taking_part(known), (BASELINE, USAGE)))


def page(*, last: bool) -> Callable[[Known], None]:
    """Tell the meters of the first page, or those of the last one."""

    def tell(known: Known) -> None:
        meters = {
            meter: rows
            for meter, rows in _those_taking_part(known).items()
            if (rows[0].page > 1) == last
        }
        told = _measured(meters, (BASELINE, USAGE))
        _tell(known, told | {PAGE: {"sequence": 2 if last else 1, "isLast": last}})

    return tell


def resources(known: Known) -> None:
    """Tell what the resources behind the meters draw, by which nothing is settled."""
    meters = {
        f"resource behind {meter}": [row._replace(usage_kw=row.resource_kw) for row in rows]
        for meter, rows in _those_taking_part(known).items()
        if all(row.resource_kw is not None for row in rows)
    }
    told = [
        _meter(meter, rows, {USAGE: [r.usage_kw for r in rows]}) for meter, rows in meters.items()
    ]
    _tell(known, {METERS: told, METHODOLOGY: RESOURCE_TELEMETRY}, keep=False)


def _measured(
    meters: Mapping[str, Sequence[Telemetered]], columns: tuple[str, ...]
) -> dict[str, Json]:
    days = max((len(rows[0].usual_kw) for rows in meters.values()), default=0)
    methodology = f"{(days + 1) // 2}of{days}"
    history: list[MeterReading] = []
    told: list[Json] = []
    for meter, rows in meters.items():
        own = _history(meter, rows)
        history.extend(own)
        empty = IntervalTable(interval=_first(rows), columns=(), rows=tuple({} for _ in rows))
        try:
            usual = baseline_kw(methodology, tuple(own), Load(meter, empty, ""))
        except BaselineError as error:
            raise UserError(
                f"the baseline of meter {meter} does not follow: {error}",
                where="the telemetry",
                mend="state the usual load of as many days for every meter and interval",
            ) from error
        values: dict[str, Sequence[Decimal | None]] = {
            BASELINE: [rounded(kw, "HALF_UP", DECIMALS) for kw in usual],
            USAGE: [row.usage_kw for row in rows],
        }
        told.append(_meter(meter, rows, {name: values[name] for name in columns}))
    return {METERS: told, METHODOLOGY: methodology, HISTORY: write_readings(history)}


def _history(meter: str, rows: Sequence[Telemetered]) -> list[MeterReading]:
    """Read a meter on the days before, the oldest first; export positive."""
    return [
        MeterReading(
            meter_id=meter,
            energy_kwh=rounded(-Fraction(kw) * row.hours, "HALF_UP", DECIMALS),
            start=(datetime.fromisoformat(row.start) - timedelta(days=ago)).isoformat(),
            end=(datetime.fromisoformat(row.end) - timedelta(days=ago)).isoformat(),
        )
        for row in rows
        for ago, kw in zip(range(len(row.usual_kw), 0, -1), row.usual_kw, strict=True)
    ]


def _meter(
    meter: str, rows: Sequence[Telemetered], columns: Mapping[str, Sequence[Decimal | None]]
) -> Json:
    return {"meterId": meter, "telemetry": _series(rows, columns, "kW")}


def _series(
    rows: Sequence[Telemetered], columns: Mapping[str, Sequence[Decimal | None]], unit: str
) -> Json:
    table = IntervalTable(
        interval=_first(rows),
        columns=tuple(Column(name=name, unit=unit) for name in columns),
        rows=tuple(
            {
                name: (value,)
                for name, values in columns.items()
                if (value := values[place]) is not None
            }
            for place in range(len(rows))
        ),
    )
    return write_table(table, str)


def _first(rows: Sequence[Telemetered]) -> Interval:
    return Interval(start=rows[0].start, duration_h=rows[0].hours)


def _tell(known: Known, told: Mapping[str, Json], *, keep: bool = True) -> None:
    """Tell a measurement in the place of any earlier one; what is kept is settled by."""
    blocks = tuple(Block(slot="fulfilment", name=name, data=data) for name, data in told.items())
    before: tuple[Block, ...] = known.telling.get("blocks", known.deal.blocks)
    known.telling["blocks"] = (*_without(before), *blocks)
    if keep:
        known.delivered = (*_without(known.delivered), *blocks)


def _without(blocks: Sequence[Block]) -> tuple[Block, ...]:
    names = (METERS, METHODOLOGY, PAGE, HISTORY)
    return tuple(b for b in blocks if b.slot != "fulfilment" or b.name not in names)


# -- responses ------------------------------------------------------------------------


def response(known: Known) -> None:
    """Tell what was fed in, instant by instant: power, or reactive power where that is asked."""
    (rows,) = list(_of_meters(known).values())[:1]
    if all(row.reactive_kvar is not None for row in rows):
        series = _series(rows, {REACTIVE_POWER: [row.reactive_kvar for row in rows]}, "KVAR")
    else:
        series = _series(rows, {POWER: [row.power_kw for row in rows]}, "kW")
    block = Block(slot="fulfilment", name=TELEMETRY, data=series)
    blocks: tuple[Block, ...] = known.telling.get("blocks", known.deal.blocks)
    known.telling["blocks"] = (*_but_telemetry(blocks), block)
    known.delivered = (*_but_telemetry(known.delivered), block)


def _but_telemetry(blocks: Sequence[Block]) -> tuple[Block, ...]:
    return tuple(b for b in blocks if (b.slot, b.name) != ("fulfilment", TELEMETRY))


WORDS: dict[str, Callable[[Known], None]] = {
    "meters taking part": taking_part,
    "changed meters": changed,
    "baselines": baselines,
    "part of the usage": page(last=False),
    "rest of the usage": page(last=True),
    "usage": usage,
    "resource telemetry": resources,
    "response": response,
}
"""How a reference actor fills each word of this kind."""

"""The blocks of demand flexibility, written alike in both dialects: objective and baseline.

Belongs here: reading them from a `Block`, and writing them as one. Does not belong here: the
slot they stand in (deals), what is right about them (rules.flexibility).

A baseline is a list of meter readings: the one of the contract's own interval tells what would
have flowed, those of earlier days what that rests on.

Source: beckn/DEG, building blocks, EnergyCoordination v1, EnergyObjectives; DemandFlexPerformance
v2.0 (methodology).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwitness.dialects.base import Cursor
from gridwitness.dialects.blocks import iso_duration, read_readings, read_window, write_readings
from gridwitness.views import Block, MeterReading, Objective

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gridwitness.dialects.base import Json

OBJECTIVE, BASELINE = "objective", "baseline"


def objective_in(blocks: Iterable[Block]) -> Objective | None:
    """Read the first objective that is to reduce load; None where there is none."""
    for block in blocks:
        if block.name == OBJECTIVE:
            return _read_objective(Cursor(block.data, block.pointer(), []))
    return None


def _read_objective(cursor: Cursor) -> Objective | None:
    if not isinstance(cursor.value, dict):
        return None
    target, price = (cursor / "targetReductionKW").number(), (cursor / "maxPricePerKWh").number()
    if target is None or target > 0 or price is None:
        return None
    return Objective(
        target_kw=-target,
        max_price_per_kwh=price,
        currency=(cursor / "currency").text(),
        interval=read_window(cursor / "tradeWindow", "startTime", "duration"),
        methodology=(cursor / "baselineMethodology").text(),
        at={"": cursor.pointer},
    )


def write_objective(objective: Objective, slot: str) -> Block:
    interval = objective.interval
    members: dict[str, Json] = {
        "targetReductionKW": -objective.target_kw,
        "maxPricePerKWh": objective.max_price_per_kwh,
        "currency": objective.currency,
        "baselineMethodology": objective.methodology,
        "tradeWindow": interval
        and {"startTime": interval.start, "duration": iso_duration(interval.duration_h)},
    }
    present = {key: value for key, value in members.items() if value is not None}
    return Block(slot=slot, name=OBJECTIVE, data=present)


def baseline_in(blocks: Iterable[Block]) -> tuple[MeterReading, ...]:
    """Read the first baseline, and the days it rests on; empty where there is none."""
    for block in blocks:
        if block.name == BASELINE and isinstance(block.data, list):
            return read_readings(Cursor(block.data, block.pointer(), []))
    return ()


def write_baseline(readings: Iterable[MeterReading]) -> Block:
    return Block(slot="fulfilment", name=BASELINE, data=write_readings(readings))

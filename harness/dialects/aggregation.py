"""What is sent up to be cleared with others, and what comes back; alike in both dialects.

Belongs here: the inside of `aggregate` and `on_aggregate`. Does not belong here: a contract
(deals, blocks), what follows from a result (rules).

Source: beckn/DEG, building blocks, EnergyCoordination v1; draft aggregate action. There a
message tells neither who asks nor who is asked for; here `era` is a subscriber id.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dialects.blocks import read_curve, typed, write_curve
from gridwitness.views import (
    AggregationRequest,
    AggregationResult,
    Gathered,
    Interval,
    MemberSetpoint,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.dialects.base import Cursor, Json
    from gridwitness.views import Reading


def read_request(cursor: Cursor) -> AggregationRequest | None:
    """Read the curves that are sent up; None where there are none."""
    if not isinstance(cursor.value, dict):
        return None
    return AggregationRequest(
        members=tuple(_members(cursor / "participants")),
        interval=_interval(cursor / "timeWindow"),
        at={"": cursor.pointer},
    )


def _members(participants: Cursor) -> Iterator[Gathered]:
    if not isinstance(participants.value, list):
        return
    for item in participants.items():
        if not isinstance(item.value, dict):
            continue
        offered = item / "offerCurve" or item / "bidCurve"
        if not isinstance(offered.value, dict):
            continue  # a bare list of points, as a draft has it, or an adder alone
        member_id, curve = (item / "era").text(), read_curve(offered)
        if member_id is not None and curve is not None:
            yield Gathered(member_id=member_id, curve=curve, at={"": item.pointer})


def _interval(window: Cursor) -> Interval | None:
    if not isinstance(window.value, dict):
        return None
    start, end = (window / "start").text(), (window / "end").text()
    try:
        length = datetime.fromisoformat(end or "") - datetime.fromisoformat(start or "")
    except (ValueError, TypeError, OverflowError):
        return None
    seconds = Fraction(length / timedelta(seconds=1))
    if start is None or seconds <= 0:
        return None
    return Interval(start=start, duration_h=seconds / 3600, at={"": window.pointer})


def read_result(cursor: Cursor) -> AggregationResult | None:
    """Read what came back down; None where nothing did."""
    if not isinstance(cursor.value, dict):
        return None
    return AggregationResult(
        clearing_price_per_kwh=(cursor / "clearingPrice").number(),
        setpoints=tuple(_setpoints(cursor / "setpoints")),
        local_price_per_kwh=(cursor / "locationalPrice").number(),
        currency=(cursor / "currency").text(),
        at={
            "": cursor.pointer,
            "clearing_price_per_kwh": (cursor / "clearingPrice").pointer,
            "local_price_per_kwh": (cursor / "locationalPrice").pointer,
        },
    )


def _setpoints(setpoints: Cursor) -> Iterator[MemberSetpoint]:
    if not isinstance(setpoints.value, list):
        return
    for item in setpoints.items():
        if not isinstance(item.value, dict):
            continue
        member_id = (item / "era").text() or (item / "participantId").text()
        power_kw = (item / "setpointKW").number()
        if member_id is not None and power_kw is not None:
            at = {"": item.pointer, "power_kw": (item / "setpointKW").pointer}
            yield MemberSetpoint(member_id=member_id, power_kw=power_kw, at=at)


def write_aggregation(reading: Reading) -> dict[str, Json]:
    """Write the members of a message that aggregates; none for any other."""
    members: dict[str, Json] = {}
    if reading.request is not None:
        members["aggregationRequest"] = _write_request(reading.request)
    if reading.result is not None:
        members["aggregationResult"] = _write_result(reading.result)
    return members


def _write_request(request: AggregationRequest) -> dict[str, Json]:
    return typed(
        "AggregationRequest",
        {
            "participants": [
                {"era": one.member_id, "offerCurve": write_curve(one.curve)}
                for one in request.members
            ],
            "aggregationType": "MARKET_CLEARING",
            "timeWindow": request.interval and _write_window(request.interval),
        },
    )


def _write_window(interval: Interval) -> dict[str, Json]:
    start = datetime.fromisoformat(interval.start)
    end = start + timedelta(seconds=round(interval.duration_h * 3600))
    return {"start": interval.start, "end": end.isoformat().replace("+00:00", "Z")}


def _write_result(result: AggregationResult) -> dict[str, Json]:
    return typed(
        "AggregationResult",
        {
            "clearingPrice": result.clearing_price_per_kwh,
            "currency": result.currency,
            "setpoints": [
                {"era": one.member_id, "setpointKW": one.power_kw} for one in result.setpoints
            ],
            "locationalPrice": result.local_price_per_kwh,
        },
    )

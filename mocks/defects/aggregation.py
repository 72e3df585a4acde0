"""Defects of aggregation: curves that are sent up, and what comes back down.

Belongs here: what an aggregator, or the clearing agent above it, can do wrong about both.
Does not belong here: what either does wrong with its own participants (market).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect
from gridwitness.reference_impl.curves import Point
from gridwitness.story import AGGREGATOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.views import AggregationRequest, AggregationResult, EnergyContract, Reading

CITY, REGION = "vpp/city.feature", "vpp/region.feature"
TICK = Decimal("0.01")


def _in_request(change: Callable[[AggregationRequest], AggregationRequest]) -> Conduct:
    def views(_sent: str, reading: Reading) -> Reading:
        return (
            reading
            if reading.request is None
            else replace(reading, request=change(reading.request))
        )

    return Conduct(views=views)


def _in_result(change: Callable[[AggregationResult], AggregationResult]) -> Conduct:
    def views(_sent: str, reading: Reading) -> Reading:
        return (
            reading if reading.result is None else replace(reading, result=change(reading.result))
        )

    return Conduct(views=views)


def _half(request: AggregationRequest) -> AggregationRequest:
    """Send half of every curve up."""
    members = tuple(
        replace(
            one,
            curve=replace(
                one.curve,
                min_export_kw=Decimal(one.curve.min_export_kw) / 2,
                max_export_kw=Decimal(one.curve.max_export_kw) / 2,
                points=tuple(Point(p, Decimal(x) / 2) for p, x in one.curve.points),
            ),
        )
        for one in request.members
    )
    return replace(request, members=members)


def _for_a_stranger(result: AggregationResult) -> AggregationResult:
    extra = tuple(replace(one, member_id="nobody.example") for one in result.setpoints)
    return replace(result, setpoints=(*result.setpoints, *extra))


def _a_little_more(result: AggregationResult) -> AggregationResult:
    more = tuple(replace(one, power_kw=one.power_kw + TICK) for one in result.setpoints)
    return replace(result, setpoints=more)


def _dearer_result(result: AggregationResult) -> AggregationResult:
    price = result.local_price_per_kwh
    return replace(result, local_price_per_kwh=None if price is None else price + TICK)


def _dearer(name: str) -> Callable[[EnergyContract], EnergyContract]:
    def changed(contract: EnergyContract) -> EnergyContract:
        clearing = contract.clearing
        price = getattr(clearing, name, None)
        if clearing is None or price is None:
            return contract
        return replace(contract, clearing=replace(clearing, **{name: price + TICK}))

    return changed


def _in_results(change: Callable[[EnergyContract], EnergyContract]) -> Conduct:
    def views(sent: str, reading: Reading) -> Reading:
        if sent not in ("on_confirm", "on_status") or reading.contract is None:
            return reading
        return replace(reading, contract=change(reading.contract))

    return Conduct(views=views)


DEFECTS = (
    Defect(
        "sends-half-up",
        "AGG-001",
        "sends half of the curve up that stands below it",
        _in_request(_half),
        role=AGGREGATOR,
        feature=CITY,
        scenario="Two neighbourhoods",
    ),
    Defect(
        "answers-for-a-stranger",
        "AGG-002",
        "gives a power to somebody who sent no curve up",
        _in_result(_for_a_stranger),
        feature=CITY,
        scenario="Two neighbourhoods",
    ),
    Defect(
        "gives-a-little-more",
        "AGG-003",
        "sends powers down that do not sum to zero",
        _in_result(_a_little_more),
        also=("AGG-004",),
        feature=CITY,
        scenario="Two neighbourhoods",
    ),
    Defect(
        "prices-off-the-curve",
        "AGG-004",
        "sends a price down at which the curve offers another power",
        _in_result(_dearer_result),
        feature=CITY,
        scenario="Two neighbourhoods",
    ),
    Defect(
        "adds-to-the-price",
        "AGG-005",
        "tells those below another clearing price than it was told",
        _in_results(_dearer("clearing_price_per_kwh")),
        role=AGGREGATOR,
        feature=CITY,
        scenario="A neighbourhood whose transformer",
    ),
    Defect(
        "prices-a-free-place",
        "AGG-006",
        "adds to the price of its place although no limit binds",
        _in_results(_dearer("local_price_per_kwh")),
        role=AGGREGATOR,
        also=(
            "AMT-002",
            "SET-003",
            "SET-004",
        ),
        feature=REGION,
        scenario="A city behind",
    ),
)

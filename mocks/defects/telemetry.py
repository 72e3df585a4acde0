"""Defects of telemetry: of loads below a baseline, and of responses to a signal of the grid."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridwitness.loads import BASELINE, HISTORY, METERS, PAGE, TAKING_PART, USAGE
from gridwitness.mocks.defects.base import Defect, in_deal
from gridwitness.response import POWER, TELEMETRY
from gridwitness.story import AGGREGATOR, UTILITY
from gridwitness.views import Block

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.mocks.conduct import Conduct
    from gridwitness.views import Deal, Reading

    Change = Callable[[Any], Any]

POSTED = "demand_flexibility/posted_price.feature"
OPTING = "One meter opts out"
PAGED = "demand_flexibility/paged_usage.feature"
STEPPED = "demand_flexibility/bid_curve.feature"
HALF = "Half a step"
REGULATED = "grid_services/frequency_regulation.feature"
BATTERIES, CAR_PARK, SET_POWER = "Batteries follow", "A car park runs", "A set power"
WORSE = ("BIL-001", "STL-001", "SVC-005")
"""Who changes a response has the score and the payments of what it was."""


def _block(deal: Deal, name: str, change: Change) -> Deal:
    """Change what a block says, of whichever slot, where it is there."""

    def changed(block: Block) -> Block:
        return replace(block, data=change(block.data)) if block.name == name else block

    return replace(deal, blocks=tuple(map(changed, deal.blocks)))


def _values(series: Any, kind: str, change: Callable[[int, Decimal], Decimal]) -> Any:  # noqa: ANN401 (JSON)
    """Change a column of a time series: by place and value."""
    return series | {
        "intervals": [
            interval
            | {
                "payloads": [
                    one | {"values": [change(place, value) for value in one["values"]]}
                    if one["type"] == kind
                    else one
                    for one in interval["payloads"]
                ]
            }
            for place, interval in enumerate(series["intervals"])
        ]
    }


def _more(deal: Deal, kind: str, more: str) -> Deal:
    """Tell more in a column of every meter."""
    return _block(
        deal,
        METERS,
        lambda meters: [
            meter
            | {"telemetry": _values(meter["telemetry"], kind, lambda _, kw: kw + Decimal(more))}
            for meter in meters
        ],
    )


def _gives(place: int, power_kw: str, *actions: str) -> Conduct:
    """Tell another power in one interval of a response."""

    def change(deal: Deal) -> Deal:
        return _block(
            deal,
            TELEMETRY,
            lambda series: _values(
                series, POWER, lambda n, kw: Decimal(power_kw) if n == place else kw
            ),
        )

    first, *others = (in_deal(action, change) for action in actions)
    for other in others:
        first = replace(first, views=_both(first, other))
    return first


def _both(one: Conduct, other: Conduct) -> Callable[[str, Reading], Reading]:
    def views(action: str, reading: Reading) -> Reading:
        return other.views(action, one.views(action, reading))

    return views


def _before_payment(change: Callable[[Deal], Deal]) -> Callable[[Deal], Deal]:
    return lambda deal: change(deal) if deal.settlement is None else deal


def _at_payment(change: Callable[[Deal], Deal]) -> Callable[[Deal], Deal]:
    return lambda deal: change(deal) if deal.settlement is not None else deal


def _on_a_page(deal: Deal) -> Deal:
    page = Block(slot="fulfilment", name=PAGE, data={"sequence": 1, "isLast": False})
    return replace(deal, blocks=(*deal.blocks, page))


def _counts_who_left(deal: Deal) -> Deal:
    return _block(deal, TAKING_PART, lambda meters: [*meters, "200200"])


def _measures_who_left(deal: Deal) -> Deal:
    """Tell a load and a history of a meter that opted out, as of the first."""
    copied = _block(deal, METERS, lambda meters: [*meters, meters[0] | {"meterId": "200200"}])
    return _block(
        copied,
        HISTORY,
        lambda days: [
            *days,
            *(day | {"meterId": "200200"} for day in days if day["meterId"] == days[0]["meterId"]),
        ],
    )


def _column(deal: Deal, name: str, factor: str) -> Deal:
    """Tell other values in a column of the interval table."""
    table = deal.table
    if table is None:
        return deal
    rows = tuple(
        {
            key: tuple(value * Decimal(factor) for value in values) if key == name else values
            for key, values in row.items()
        }
        for row in table.rows
    )
    return replace(deal, table=replace(table, rows=rows))


def _shorter(deal: Deal) -> Deal:
    return _block(deal, TELEMETRY, lambda series: series | {"intervals": series["intervals"][:-1]})


def _flattered(deal: Deal) -> Deal:
    report = deal.settlement
    if report is None:
        return deal
    inputs = tuple(
        replace(one, value=one.value + Decimal("0.01")) if one.name == "score" else one
        for one in report.inputs
    )
    return replace(deal, settlement=replace(report, inputs=inputs))


DEFECTS = (
    Defect(
        name="raises-a-baseline",
        breaks="DFX-001",
        says="A baseline is higher than the days that it rests on give.",
        conduct=in_deal("on_status", lambda deal: _more(deal, BASELINE, "0.5")),
        role=UTILITY,
        feature=STEPPED,
        scenario=HALF,
    ),
    Defect(
        name="settles-on-a-page",
        breaks="DFX-002",
        says="A settlement comes on a page that others follow.",
        conduct=in_deal("on_status", _at_payment(_on_a_page)),
        role=UTILITY,
        also=("AMT-025", "BIL-001"),
        feature=PAGED,
        scenario=None,
    ),
    Defect(
        name="counts-a-meter-that-opted-out",
        breaks="DFX-003",
        says="A meter that opted out is said to take part.",
        conduct=in_deal("on_status", _before_payment(_counts_who_left)),
        role=UTILITY,
        feature=POSTED,
        scenario=OPTING,
    ),
    Defect(
        name="measures-a-meter-that-opted-out",
        breaks="DFX-004",
        says="The usage of a meter that opted out is told with the others.",
        conduct=in_deal("on_status", _before_payment(_measures_who_left)),
        role=UTILITY,
        feature=POSTED,
        scenario=OPTING,
    ),
    Defect(
        name="raises-the-shortfall-penalty",
        breaks="DFX-005",
        says="The penalty for what is missing is higher once the offer is confirmed.",
        conduct=in_deal(
            "on_status", _before_payment(lambda deal: _column(deal, "shortfall penalty", "1.5"))
        ),
        role=UTILITY,
        feature=POSTED,
        scenario=OPTING,
    ),
    Defect(
        name="settles-another-usage",
        breaks="DFX-006",
        says="What is settled by is not the usage that was told.",
        conduct=in_deal("on_status", _at_payment(lambda deal: _more(deal, USAGE, "0.1"))),
        role=UTILITY,
        feature=STEPPED,
        scenario=HALF,
    ),
    Defect(
        name="clears-more-than-is-wanted",
        breaks="DFX-007",
        says="More capacity is cleared than the need states.",
        conduct=in_deal("on_confirm", lambda deal: _column(deal, "cleared capacity", "1.2")),
        role=UTILITY,
        feature=STEPPED,
        scenario=HALF,
    ),
    Defect(
        name="gives-more-than-its-capacity",
        breaks="SVC-001",
        says="A resource gives more power than was agreed.",
        conduct=_gives(1, "26", "on_update", "on_status"),
        role=AGGREGATOR,
        also=WORSE,
        feature=REGULATED,
        scenario=SET_POWER,
    ),
    Defect(
        name="leaves-the-droop",
        breaks="SVC-002",
        says="A resource gives other than the droop asks for, beyond the tolerance.",
        conduct=_gives(3, "-15", "on_update", "on_status"),
        role=AGGREGATOR,
        also=WORSE,
        feature=REGULATED,
        scenario=BATTERIES,
    ),
    Defect(
        name="works-against-the-grid",
        breaks="SVC-003",
        says="A resource draws power while the frequency is low.",
        conduct=_gives(4, "-3", "on_update", "on_status"),
        role=AGGREGATOR,
        also=WORSE,
        feature=REGULATED,
        scenario=CAR_PARK,
    ),
    Defect(
        name="leaves-out-the-last-minute",
        breaks="SVC-004",
        says="Telemetry that is settled by ends before the delivery does.",
        conduct=in_deal("on_status", _shorter),
        role=AGGREGATOR,
        also=WORSE,
        feature=REGULATED,
        scenario=CAR_PARK,
    ),
    Defect(
        name="flatters-its-score",
        breaks="SVC-005",
        says="A report states a better score than signal and telemetry give.",
        conduct=in_deal("on_status", _flattered),
        role=AGGREGATOR,
        also=("STL-001",),
        feature=REGULATED,
        scenario=CAR_PARK,
    ),
    Defect(
        name="mends-what-it-gave",
        breaks="SVC-006",
        says="What is settled by is not the response that was told.",
        conduct=_gives(1, "27.9", "on_update"),
        role=AGGREGATOR,
        feature=REGULATED,
        scenario=CAR_PARK,
    ),
)

"""Defects of billing reports: what they rest on, how accounts go on, how they are corrected."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.mocks.defects.base import Defect, in_deal
from gridwitness.signals import STATE, period_of, signals_in, write_signal
from gridwitness.story import PROSUMER

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.signals import Signal
    from gridwitness.views import Deal, SettlementReport

SHARED, SIX = "settlement/several_parties.feature", "Every rounded amount"
PRICED, AUCTION = "settlement/price_signals.feature", "The price of the auction"
RUNNING, TIERS = "settlement/running_totals.feature", "The second delivery uses"
CORRECTED, AMENDED = "settlement/correction.feature", "Less was delivered"


def _report(deal: Deal, change: Callable[[SettlementReport], SettlementReport]) -> Deal:
    return replace(deal, settlement=change(deal.settlement)) if deal.settlement else deal


def _signals(deal: Deal, change: Callable[[Signal], Signal]) -> Deal:
    """Change every value of a signal that a message tells."""
    changed = [write_signal(change(signal)) for signal in signals_in(deal)]
    return replace(
        deal,
        blocks=tuple(
            replace(b, data=changed) if (b.slot, b.name) == ("fulfilment", "externalSignals") else b
            for b in deal.blocks
        ),
    )


def _without_first_input(deal: Deal) -> Deal:
    return _report(deal, lambda report: replace(report, inputs=report.inputs[1:]))


def _dearer(signal: Signal) -> Signal:
    return signal._replace(value=(signal.value or Decimal(0)) + Decimal("0.1"))


def _of_later(deal: Deal) -> Deal:
    """Count with the price that is in force when the delivery is over."""
    period = period_of(deal)
    end = period.end.isoformat() if period else None
    return _signals(deal, lambda signal: signal._replace(instant=end))


def _last_delivery(change: Callable[[Deal], Deal]) -> Callable[[Deal], Deal]:
    return lambda deal: change(deal) if deal.status == "COMPLETED" else deal


def _grown_twice(deal: Deal) -> Deal:
    """Let a total grow by ten more than was delivered."""
    ends = [signal.instant for signal in signals_in(deal) if signal.kind == STATE]
    return _signals(
        deal,
        lambda signal: (
            signal._replace(value=(signal.value or Decimal(0)) + 10)
            if signal.instant == ends[-1]
            else signal
        ),
    )


def _forgotten(signal: Signal) -> Signal:
    return signal._replace(value=(signal.value or Decimal(0)) - 10)


def _undated(deal: Deal) -> Deal:
    readings = tuple(replace(reading, start=None, end=None) for reading in deal.readings)
    return replace(deal, readings=readings)


def _nothing_back(deal: Deal) -> Deal:
    return _report(deal, lambda report: replace(report, adjustments=()))


DEFECTS = (
    Defect(
        "keeps-a-price-to-itself",
        breaks="STL-001",
        says="leaves a quantity out of its report that the bill rests on",
        conduct=in_deal("on_status", _without_first_input),
        role=PROSUMER,
        feature=SHARED,
        scenario=SIX,
    ),
    Defect(
        "passes-on-a-dearer-index",
        breaks="STL-002",
        says="passes on a price of the exchange that is higher than it was told",
        conduct=in_deal("on_status", lambda deal: _signals(deal, _dearer)),
        role=PROSUMER,
        also=("BIL-001", "BIL-005", "STL-001"),
        feature=PRICED,
        scenario=AUCTION,
    ),
    Defect(
        "bills-at-a-price-of-later",
        breaks="STL-003",
        says="bills at a price that comes into force when the delivery is over",
        conduct=in_deal("on_status", _of_later),
        role=PROSUMER,
        also=("BIL-001", "BIL-005", "STL-001"),
        feature=PRICED,
        scenario=AUCTION,
    ),
    Defect(
        "adds-to-the-total-twice",
        breaks="STL-004",
        says="lets a running total grow by more than was delivered",
        conduct=in_deal("on_status", _last_delivery(_grown_twice)),
        role=PROSUMER,
        feature=RUNNING,
        scenario=TIERS,
    ),
    Defect(
        "forgets-what-was-used",
        breaks="STL-005",
        says="begins a running total with less than it was before",
        conduct=in_deal("on_status", _last_delivery(lambda deal: _signals(deal, _forgotten))),
        role=PROSUMER,
        also=("BIL-001", "BIL-005", "STL-001"),
        feature=RUNNING,
        scenario=TIERS,
    ),
    Defect(
        "corrects-without-paying-back",
        breaks="STL-006",
        says="replaces a report by one that is lower, and pays nothing back",
        conduct=in_deal("on_status", _nothing_back),
        role=PROSUMER,
        feature=CORRECTED,
        scenario=AMENDED,
    ),
    Defect(
        "bills-readings-without-times",
        breaks="STL-007",
        says="settles in two reports what may be the same energy, for neither says when it flowed",
        conduct=in_deal("on_status", _undated),
        role=PROSUMER,
        feature=RUNNING,
        scenario=TIERS,
    ),
)

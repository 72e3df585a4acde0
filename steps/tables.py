"""Reading tables: units are parsed once, exactly, and a wrong one is told how to be right.

Belongs here: converters from the cells of a table to values. Does not belong here:
sentences.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.errors import UserError
from gridwitness.mocks.market import AFTER, BEFORE
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.spoilt import FAULTS, Fault
from gridwitness.mocks.utility import Meter
from gridwitness.reference_impl.curves import Point
from gridwitness.views import OfferCurve

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Read '30 kW' with the unit kW as 30."""
    match = re.fullmatch(rf"({_NUMBER}) {re.escape(unit)}", text)
    if match is None:
        raise UserError(
            f"{text!r} is no quantity in {unit}", where="a table", mend=f"write '30 {unit}'"
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
    )

"""What a scenario says that is measured of a meter.

Belongs here: one interval of one meter, and whether that opts in or out. Does not belong here:
what a party makes of it (measuring).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from decimal import Decimal

OPTS_IN, OPTS_OUT = "opts in", "opts out"


class Telemetered(NamedTuple):
    """What is measured of a meter in one interval; start and end are ISO 8601.

    usual_kw: what it drew in the same hours of the days before, the oldest first. usage_kw:
    what it draws. resource_kw: what the resource behind it draws. power_kw, reactive_kvar: what
    is fed in. change: whether it opts in or out before the delivery. page: of the usage.
    """

    meter_id: str
    start: str
    end: str
    usual_kw: tuple[Decimal, ...] = ()
    usage_kw: Decimal | None = None
    resource_kw: Decimal | None = None
    power_kw: Decimal | None = None
    reactive_kvar: Decimal | None = None
    change: str = ""
    page: int = 1

    @property
    def hours(self) -> Fraction:
        length = datetime.fromisoformat(self.end) - datetime.fromisoformat(self.start)
        return Fraction(length // timedelta(microseconds=1), 3_600_000_000)

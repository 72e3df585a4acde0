"""A stay at a charger: what its driver says of it beforehand, and how its session goes on.

Belongs here: who comes when and wants what, and what is under way at which instant. Does not
belong here: what a message tells of it (words), what is right about it (rules.charging).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from fractions import Fraction

    from gridwitness.dialects.base import Json
    from gridwitness.reference_impl.tariff import ChargingPeriod
    from gridwitness.views import Interval


@dataclass(frozen=True)
class Stay:
    """What a driver says of a stay: when it comes, what it wants to have charged by when.

    hours: from when to when the car is there, where it is longer than it is charged. objective:
    an EnergyObjective's members. given_up: when somebody gives the reservation up.
    """

    hours: Interval | None = None
    arrival: Interval | None = None
    grace_h: Fraction | None = None
    objective: Mapping[str, Json] | None = None
    given_up: datetime | None = None


@dataclass
class Course:
    """How far a session has come, as one party tells it: the number of the period under way.

    A period that takes nothing, and in which nobody is merely parked, is an interruption.
    """

    number: int = 0

    def moved(self, state: str, session: tuple[ChargingPeriod, ...]) -> datetime:
        """Give the instant at which the session comes to be in a state."""
        if state in ("STOP", "COMPLETED"):
            return session[-1].end
        if state == "INTERRUPTED":
            while not _is_gap(session[self.number]) and self.number < len(session) - 1:
                self.number += 1
            self.number += 1
            return session[self.number - 1].start
        return session[min(self.number, len(session) - 1)].start

    def measured(self, session: tuple[ChargingPeriod, ...]) -> ChargingPeriod:
        """Give the period that is measured next, and go on to the one after it."""
        self.number += 1
        return session[min(self.number, len(session)) - 1]


def _is_gap(period: ChargingPeriod) -> bool:
    return not period.energy_kwh and not period.parked

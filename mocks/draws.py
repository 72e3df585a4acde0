"""Draws: what is new in every run, as no scenario states it.

Belongs here: ids, and when energy is delivered. Does not belong here: the time of day
(gridwitness.clock), keys (sandbox).
"""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gridwitness.clock import CountedClock

if TYPE_CHECKING:
    from gridwitness.views import Interval

TEN_YEARS_MINUTES = 10 * 365 * 24 * 60


class Draws:
    """Drawn at random: nothing of one run, or of one scenario, is met in another."""

    def new_id(self, who: str) -> str:
        """Draw an id, a UUID; who is the actor that draws it."""
        del who
        return str(uuid.uuid4())

    def delivery(self) -> datetime:
        """Draw when a delivery begins: a full minute, in the future, that nobody else trades."""
        minutes = secrets.randbelow(TEN_YEARS_MINUTES)
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)


class RepeatedDraws(Draws):
    """The same in every run: an actor's ids follow from what is played, its name, their number."""

    def __init__(self, played: str) -> None:
        self._played = played
        self._drawn = Counter[str]()
        self._deliveries = 0

    def new_id(self, who: str) -> str:
        self._drawn[who] += 1
        name = f"https://gridwitness.example/{self._played}/{who}/{self._drawn[who]}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))

    def delivery(self) -> datetime:
        self._deliveries += 1
        return CountedClock.START + timedelta(days=self._deliveries)


AT_RANDOM = Draws()


def end_of(interval: Interval) -> datetime:
    """Give when the delivery of an interval of ours ends."""
    return datetime.fromisoformat(interval.start) + timedelta(hours=float(interval.duration_h))

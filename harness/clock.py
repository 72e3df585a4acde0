"""The time of day: the system's, or one that goes on by messages alone.

Belongs here: what messages are dated by and signatures live by. Does not belong here:
how long anybody waits (that is the event loop's time).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """The system's time of day. Nobody waits for an hour of it to pass."""

    def now(self) -> datetime:
        """Give the instant, in UTC."""
        return datetime.now(UTC)

    def tick(self) -> None:
        """Note that a message is on its way."""

    def skip_to(self, instant: datetime) -> None:
        """Note that nobody acts before an instant."""


class CountedClock(Clock):
    """The same time of day in every run: a message takes a moment, and nothing else any time."""

    START = datetime(2031, 5, 11, 8, tzinfo=UTC)
    """The day before that of the features (steps.tables.DAY): deals are made a day ahead."""

    MESSAGE = timedelta(milliseconds=100)

    def __init__(self) -> None:
        self._now = self.START

    def now(self) -> datetime:
        return self._now

    def tick(self) -> None:
        self._now += self.MESSAGE

    def skip_to(self, instant: datetime) -> None:
        self._now = max(self._now, instant.astimezone(UTC))

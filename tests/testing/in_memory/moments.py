"""Moments: times of which no two are the same, as records want them.

Start at `Moments.next`.
"""

from datetime import UTC, datetime, timedelta

TICK = timedelta(microseconds=1)


class Moments:
    """The time of day, with a time zone; each later than the one before."""

    def __init__(self) -> None:
        self.last = datetime.now(UTC)

    def next(self) -> datetime:
        self.last = max(datetime.now(UTC), self.last + TICK)
        return self.last

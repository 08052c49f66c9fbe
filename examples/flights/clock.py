"""Clock: when the event of a flight happened, in seconds since the epoch, UTC.

The rule is "known at the gate": an event happens when its outcome is known.

    departed     the scheduled departure plus the delay, the instant at which it left;
                 one that left a day late happened a day later, an early one earlier
    cancelled    the scheduled departure: it has no other time

The schedule is New York's wall clock. The delay is added to the instant, never to the
wall clock, so a delay across midnight or across a change of the clocks stays right.
Arrival delays are left out: nobody at the gate knows them, and 1,175 of the flights
that left carry none.

Knows no file and no flight.  Start at `scheduled_departure`.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def scheduled_departure(year: int, month: int, day: int, hour: int, minute: int) -> int:
    """Return the instant of a wall-clock time in New York.

    An hour that the clocks run through twice is the first of the two; one that they
    skip is read as if they had not been changed yet.

    >>> scheduled_departure(2013, 7, 1, 8, 0) - scheduled_departure(2013, 1, 1, 8, 0)
    15634800
    """
    return int(datetime(year, month, day, hour, minute, tzinfo=NEW_YORK).timestamp())


def event_time(scheduled: int, delay: int | None) -> int:
    """Return when the event happened; `delay` is in minutes, None if cancelled."""
    return scheduled if delay is None else scheduled + 60 * delay


def wall_clock(instant: int) -> datetime:
    """Return what New York's clocks show at `instant`."""
    return datetime.fromtimestamp(instant, NEW_YORK)

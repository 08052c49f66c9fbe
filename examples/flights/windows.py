"""Windows: what the operator keeps and what it answers; the rules of both versions.

Events are counted in windows of one hour, per route and carrier. Each window entry is
stored under two keys with the same value, integers of keys big-endian. One entry more
counts all events, for ever:

    t | window start, 8 bytes | route, 6 | carrier, 2     a day is one range
    r | route, 6 | window start, 8 bytes | carrier, 2     a route's week is one prefix
    a                                                     all there ever was

    value     minutes, 8 bytes | departed, 4 | cancelled, 4 | late, 4 | longest, 4
              in the machine's own byte order, without padding

The first event of an hour opens its window. Then the operator first answers for the
worst routes of the day, the 24 windows before the open one, and forgets what is older
than the week, the 168 windows that end with the open one. Hours without an event open
nothing. After every event it answers with the week of the event's route.

The store says how many events it has counted, which is the place in the stream, and all
else that an operator knows follows from it. So one that is made with another's store, or
with a snapshot of it between two events, goes on as the other would have: no event is
lost, none is counted twice.

All arithmetic is on integers, so that two versions cannot differ by a rounding.

Knows neither store nor data.  Start at `Operator`.
"""

from typing import NamedTuple, Protocol

from latency_kv import InMemoryStore

HOUR = 3_600
DAY = 24 * HOUR
WEEK = 7 * DAY

TIME_TABLE = b"t"
ROUTE_TABLE = b"r"
ALL_KEY = b"a"
ROUTE_SIZE = 6
CARRIER_SIZE = 2

# From 15 minutes on the US Department of Transportation counts a departure as late.
LATE_MINUTES = 15

# A mean of fewer departures in a day says more about one aircraft than about a route.
MINIMUM_DEPARTURES = 10

WORST_COUNT = 5


class Delays(NamedTuple):
    """The departures of a window, a day or a week, summed."""

    minutes: int = 0  # of delay; an early departure counts as on time
    departed: int = 0
    cancelled: int = 0
    late: int = 0
    longest: int = 0  # minutes

    @property
    def mean_seconds(self) -> int:
        """The mean delay of what departed, rounded down; 0 if nothing did."""
        return 60 * self.minutes // self.departed if self.departed else 0


class RouteDelays(NamedTuple):
    """One line of the answer to which routes were the worst."""

    route: bytes
    delays: Delays


class Operator(Protocol):
    """What `compiled.DelayOperator` and `plain.DelayOperator` both are."""

    @property
    def store(self) -> InMemoryStore:
        """All the state there is: another operator goes on from it, or a copy of it."""

    @property
    def total(self) -> Delays:
        """All flights there ever were, summed."""

    @property
    def position(self) -> int:
        """How many events were counted: the index of the next one in the stream."""

    @property
    def open_window(self) -> int:
        """The start of the window that counts now; 0 before the first event."""

    @property
    def worst_routes(self) -> tuple[RouteDelays, ...]:
        """The worst routes of the day before the open window, the worst first.

        Ranked by `mean_seconds`, then by name; only routes with enough departures.
        """

    def observe(
        self, at: int, route: bytes, carrier: bytes, delay: int | None, /
    ) -> Delays:
        """Count one flight and return its route's week.

        `delay` is in minutes, None if cancelled. Raises ValueError if `at` lies before
        the open window, or if the route or carrier is of another size; nothing is
        counted then.
        """

    def route_week(self, route: bytes, /) -> Delays:
        """Return the sum over the windows of the last seven days of `route`."""

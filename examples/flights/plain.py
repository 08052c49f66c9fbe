"""Plain: the operator in pure Python, on the store's methods.

The same as compiled.pyx, line by line where the language allows it; windows.py has the
rules of both.  Start at `DelayOperator.observe`.
"""

from collections.abc import Iterable
from struct import Struct

from flights.windows import (
    ALL_KEY,
    CARRIER_SIZE,
    DAY,
    HOUR,
    LATE_MINUTES,
    MINIMUM_DEPARTURES,
    ROUTE_SIZE,
    ROUTE_TABLE,
    TIME_TABLE,
    WEEK,
    WORST_COUNT,
    Delays,
    RouteDelays,
)
from latency_kv import InMemoryStore

_TIME_KEY = Struct(f">cq{ROUTE_SIZE}s{CARRIER_SIZE}s")
_TIME_START = Struct(">cq")
_ROUTE_KEY = Struct(f">c{ROUTE_SIZE}sq{CARRIER_SIZE}s")
_VALUE = Struct("=qIIII")
_NOTHING = _VALUE.pack(*Delays())


class DelayOperator:
    """Keeps windowed delays in `store` and answers from it: see windows.Operator."""

    def __init__(self, store: InMemoryStore) -> None:
        self.store = store
        self.open_window = 0
        self.worst_routes: tuple[RouteDelays, ...] = ()
        newest = store.last(TIME_TABLE)
        if newest is not None:
            window = _TIME_KEY.unpack(newest[0])[1]
            self.worst_routes = self._worst_routes(window - DAY, window)
            self.open_window = window

    @property
    def total(self) -> Delays:
        """All flights there ever were, summed."""
        return Delays(*_VALUE.unpack(self.store.get(ALL_KEY, _NOTHING)))

    @property
    def position(self) -> int:
        """How many events were counted: the index of the next one in the stream."""
        total = self.total
        return total.departed + total.cancelled

    def observe(
        self, at: int, route: bytes, carrier: bytes, delay: int | None, /
    ) -> Delays:
        """Count one flight and return its route's week."""
        _check_sizes(route, carrier)
        if at < self.open_window:
            raise ValueError(
                f"{at} is before the open window, {self.open_window}: "
                "feed the flights in event-time order"
            )
        window = at - at % HOUR
        flight = _totals_of_flight(delay)
        if window > self.open_window:
            self._open(window)
        self._count(window, route, carrier, flight)
        return self.route_week(route)

    def route_week(self, route: bytes, /) -> Delays:
        """Return the sum over the windows of the last seven days of `route`."""
        _check_sizes(route)
        scan = self.store.prefix_scan(ROUTE_TABLE + route)
        return _sum(_VALUE.unpack(value) for _, value in scan)

    def _open(self, window: int) -> None:
        self.worst_routes = self._worst_routes(window - DAY, window)
        self._forget(window - WEEK + HOUR)
        self.open_window = window

    def _count(self, window: int, route: bytes, carrier: bytes, flight: Delays) -> None:
        value = self._add(_TIME_KEY.pack(TIME_TABLE, window, route, carrier), flight)
        self.store.put(_ROUTE_KEY.pack(ROUTE_TABLE, route, window, carrier), value)
        self._add(ALL_KEY, flight)

    def _add(self, key: bytes, flight: Delays) -> bytes:
        """Add a flight to what is stored under a key, and return the new value."""
        totals = _VALUE.unpack(self.store.get(key, _NOTHING))
        value = _VALUE.pack(*_sum((totals, flight)))
        self.store.put(key, value)
        return value

    def _worst_routes(self, start: int, stop: int) -> tuple[RouteDelays, ...]:
        day: dict[bytes, list[tuple[int, ...]]] = {}
        for key, value in self.store.range_scan(_time_start(start), _time_start(stop)):
            route = _TIME_KEY.unpack(key)[2]
            day.setdefault(route, []).append(_VALUE.unpack(value))
        totals = (RouteDelays(route, _sum(values)) for route, values in day.items())
        enough = [each for each in totals if each.delays.departed >= MINIMUM_DEPARTURES]
        enough.sort(key=lambda each: (-each.delays.mean_seconds, each.route))
        return tuple(enough[:WORST_COUNT])

    def _forget(self, stop: int) -> None:
        """Delete the windows before `stop` from both tables."""
        for key in self.store.range_keys(TIME_TABLE, _time_start(stop)):
            _, window, route, carrier = _TIME_KEY.unpack(key)
            self.store.delete(_ROUTE_KEY.pack(ROUTE_TABLE, route, window, carrier))
        self.store.delete_range(TIME_TABLE, _time_start(stop))


def _time_start(window: int) -> bytes:
    """Return the first key that a window can have in the time table."""
    return _TIME_START.pack(TIME_TABLE, max(window, 0))


def _totals_of_flight(delay: int | None) -> Delays:
    """Return what one flight adds."""
    if delay is None:
        return Delays(cancelled=1)
    minutes = max(delay, 0)
    return Delays(minutes, 1, 0, int(minutes >= LATE_MINUTES), minutes)


def _sum(values: Iterable[tuple[int, ...]]) -> Delays:
    minutes = departed = cancelled = late = longest = 0
    for value in values:
        minutes += value[0]
        departed += value[1]
        cancelled += value[2]
        late += value[3]
        longest = max(longest, value[4])
    return Delays(minutes, departed, cancelled, late, longest)


def _check_sizes(route: bytes, carrier: bytes = b"\0" * CARRIER_SIZE) -> None:
    if len(route) != ROUTE_SIZE or len(carrier) != CARRIER_SIZE:
        raise ValueError(
            f"a route is {ROUTE_SIZE} bytes and a carrier {CARRIER_SIZE}, "
            f"not {route!r} and {carrier!r}"
        )

"""Compiled: the operator in Cython, on the store's C level.

Keys and values are built on the stack, looked up by pointer and summed under a cursor:
no Python object is made for an entry. windows.py has the rules and both layouts, and
plain.py the same in Python.  Start at `DelayOperator.observe`.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

from latency_kv cimport Cursor, InMemoryStore, cursor_next

from flights import windows
from flights.windows import Delays, RouteDelays

cdef enum:
    ROUTE_SIZE = 6
    CARRIER_SIZE = 2
    WINDOW_SIZE = 8
    START_SIZE = 1 + WINDOW_SIZE  # the table and the window: where a scan begins
    KEY_SIZE = START_SIZE + ROUTE_SIZE + CARRIER_SIZE
    WORST_COUNT = 5

cdef int64_t HOUR = windows.HOUR
cdef int64_t DAY = windows.DAY
cdef int64_t WEEK = windows.WEEK
cdef uint32_t LATE_MINUTES = windows.LATE_MINUTES
cdef uint32_t MINIMUM_DEPARTURES = windows.MINIMUM_DEPARTURES
cdef char TIME_TABLE = ord(windows.TIME_TABLE)
cdef char ROUTE_TABLE = ord(windows.ROUTE_TABLE)
cdef char ALL_KEY = ord(windows.ALL_KEY)

# Sizes of arrays are known to the compiler, so they stand here a second time.
if (ROUTE_SIZE, CARRIER_SIZE, WORST_COUNT) != (
    windows.ROUTE_SIZE, windows.CARRIER_SIZE, windows.WORST_COUNT
):
    raise ImportError("compiled.pyx and windows.py disagree: build the operator again")


cdef packed struct Totals:
    int64_t minutes
    uint32_t departed
    uint32_t cancelled
    uint32_t late
    uint32_t longest


cdef struct Ranked:
    char route[ROUTE_SIZE]
    Totals totals


@cython.final
cdef class DelayOperator:
    """Keeps windowed delays in `store` and answers from it: see windows.Operator."""

    cdef readonly InMemoryStore store
    cdef readonly int64_t open_window
    cdef readonly tuple worst_routes
    cdef InMemoryStore _day  # totals by route while a day is summed, else empty

    def __init__(self, InMemoryStore store not None):
        self.store = store
        self.open_window = 0
        self.worst_routes = ()
        self._day = InMemoryStore()
        newest = store.last(windows.TIME_TABLE)
        if newest is not None:
            window = int.from_bytes(newest[0][1:START_SIZE], "big")
            self.worst_routes = self._worst_routes(window - DAY, window)
            self.open_window = window

    @property
    def total(self):
        """All flights there ever were, summed."""
        cdef Totals totals
        find_totals(self.store, &ALL_KEY, 1, &totals)
        return delays_of(&totals)

    @property
    def position(self):
        """How many events were counted: the index of the next one in the stream."""
        cdef Totals totals
        find_totals(self.store, &ALL_KEY, 1, &totals)
        return <int64_t>totals.departed + totals.cancelled

    def observe(
        self, int64_t at, bytes route not None, bytes carrier not None, delay, /
    ):
        """Count one flight and return its route's week."""
        cdef Totals flight
        cdef int64_t window = at - at % HOUR
        check_sizes(route, carrier)
        if at < self.open_window:
            raise ValueError(
                f"{at} is before the open window, {self.open_window}: "
                "feed the flights in event-time order"
            )
        flight = totals_of_flight(delay)
        if window > self.open_window:
            self._open(window)
        self._count(window, route, carrier, &flight)
        return self._week(route)

    def route_week(self, bytes route not None, /):
        """Return the sum over the windows of the last seven days of `route`."""
        check_sizes(route, None)
        return self._week(route)

    cdef int _open(self, int64_t window) except -1:
        self.worst_routes = self._worst_routes(window - DAY, window)
        self._forget(window - WEEK + HOUR)
        self.open_window = window
        return 0

    cdef int _count(
        self, int64_t window, const char* route, const char* carrier, Totals* flight
    ) except -1:
        cdef char key[KEY_SIZE]
        cdef Totals totals
        write_time_key(key, window, route, carrier)
        self._add(key, KEY_SIZE, flight, &totals)
        write_route_key(key, window, route, carrier)
        self.store.c_put(key, KEY_SIZE, <const char*>&totals, sizeof(Totals))
        self._add(&ALL_KEY, 1, flight, &totals)
        return 0

    cdef int _add(
        self, const char* key, Py_ssize_t key_size, const Totals* flight, Totals* totals
    ) except -1:
        """Add a flight to what is stored under a key; `totals` is the new value."""
        find_totals(self.store, key, key_size, totals)
        totals_add(totals, flight)
        self.store.c_put(key, key_size, <const char*>totals, sizeof(Totals))
        return 0

    cdef object _week(self, const char* route):
        cdef char prefix[1 + ROUTE_SIZE]
        cdef Totals week
        cdef Cursor cursor
        prefix[0] = ROUTE_TABLE
        memcpy(prefix + 1, route, ROUTE_SIZE)
        totals_clear(&week)
        self.store.open_prefix(&cursor, prefix, sizeof(prefix))
        try:
            while cursor_next(&cursor):
                totals_add_value(&week, cursor.value)
        finally:
            self.store.close_cursor(&cursor)
        return delays_of(&week)

    cdef tuple _worst_routes(self, int64_t start, int64_t stop):
        """Sum the day by route, then keep the worst; the range is read once."""
        cdef Ranked[WORST_COUNT] worst
        cdef Ranked each
        cdef Py_ssize_t count = 0
        cdef Cursor cursor
        try:
            self._sum_day(start, stop)
            self._day.open_prefix(&cursor, b"", 0)
            try:
                while cursor_next(&cursor):
                    count = rank(worst, count, &cursor)
            finally:
                self._day.close_cursor(&cursor)
        finally:
            self._day.clear()
        return tuple([
            RouteDelays(each.route[:ROUTE_SIZE], delays_of(&each.totals))
            for each in worst[:count]
        ])

    cdef int _sum_day(self, int64_t start, int64_t stop) except -1:
        cdef char first[START_SIZE]
        cdef char end[START_SIZE]
        cdef const char* route
        cdef Totals totals
        cdef Cursor cursor
        write_start(first, start)
        write_start(end, stop)
        self.store.open_range(&cursor, first, START_SIZE, end, START_SIZE)
        try:
            while cursor_next(&cursor):
                route = cursor.key + START_SIZE
                find_totals(self._day, route, ROUTE_SIZE, &totals)
                totals_add_value(&totals, cursor.value)
                self._day.c_put(
                    route, ROUTE_SIZE, <const char*>&totals, sizeof(Totals)
                )
        finally:
            self.store.close_cursor(&cursor)
        return 0

    cdef int _forget(self, int64_t stop) except -1:
        """Delete the windows before `stop` from both tables."""
        cdef char end[START_SIZE]
        cdef char key[KEY_SIZE]
        cdef Cursor cursor
        write_start(end, stop)
        self.store.open_range(&cursor, &TIME_TABLE, 1, end, START_SIZE)
        try:
            while cursor_next(&cursor):
                turn_time_key(key, cursor.key)
                self.store.c_delete(key, KEY_SIZE)
        finally:
            self.store.close_cursor(&cursor)
        self.store.c_delete_range(&TIME_TABLE, 1, end, START_SIZE)
        return 0


cdef int check_sizes(bytes route, bytes carrier) except -1:
    """Refuse what the keys have no room for; `carrier` may be None."""
    if len(route) != ROUTE_SIZE or (
        carrier is not None and len(carrier) != CARRIER_SIZE
    ):
        raise ValueError(
            f"a route is {ROUTE_SIZE} bytes and a carrier {CARRIER_SIZE}, "
            f"not {route!r} and {carrier!r}"
        )
    return 0


cdef inline void write_window(char* place, int64_t window) noexcept nogil:
    """Write a window's start so that bytes are ordered as the windows are."""
    cdef int index
    for index in range(WINDOW_SIZE):
        place[index] = <char>((window >> (8 * (WINDOW_SIZE - 1 - index))) & 0xFF)


cdef inline void write_start(char* key, int64_t window) noexcept nogil:
    """Write the first key that a window can have in the time table."""
    key[0] = TIME_TABLE
    write_window(key + 1, max(window, 0))


cdef inline void write_time_key(
    char* key, int64_t window, const char* route, const char* carrier
) noexcept nogil:
    write_start(key, window)
    memcpy(key + START_SIZE, route, ROUTE_SIZE)
    memcpy(key + START_SIZE + ROUTE_SIZE, carrier, CARRIER_SIZE)


cdef inline void write_route_key(
    char* key, int64_t window, const char* route, const char* carrier
) noexcept nogil:
    key[0] = ROUTE_TABLE
    memcpy(key + 1, route, ROUTE_SIZE)
    write_window(key + 1 + ROUTE_SIZE, window)
    memcpy(key + 1 + ROUTE_SIZE + WINDOW_SIZE, carrier, CARRIER_SIZE)


cdef inline void turn_time_key(char* key, const char* time_key) noexcept nogil:
    """Write the key of the same entry in the route table."""
    memcpy(key, time_key, KEY_SIZE)
    key[0] = ROUTE_TABLE
    memcpy(key + 1, time_key + START_SIZE, ROUTE_SIZE)
    memcpy(key + 1 + ROUTE_SIZE, time_key + 1, WINDOW_SIZE)


cdef inline void totals_clear(Totals* totals) noexcept nogil:
    totals.minutes = 0
    totals.departed = totals.cancelled = totals.late = totals.longest = 0


cdef inline void totals_add(Totals* totals, const Totals* other) noexcept nogil:
    totals.minutes += other.minutes
    totals.departed += other.departed
    totals.cancelled += other.cancelled
    totals.late += other.late
    totals.longest = max(totals.longest, other.longest)


cdef inline void totals_add_value(Totals* totals, const char* value) noexcept nogil:
    """Add a stored value, which may lie at any address."""
    cdef Totals other
    memcpy(&other, value, sizeof(Totals))
    totals_add(totals, &other)


cdef Totals totals_of_flight(delay) except *:
    """Return what one flight adds; OverflowError if no window can hold its delay."""
    cdef Totals flight
    cdef uint32_t minutes
    totals_clear(&flight)
    if delay is None:
        flight.cancelled = 1
        return flight
    minutes = max(delay, 0)
    flight.minutes = minutes
    flight.departed = 1
    flight.late = minutes >= LATE_MINUTES
    flight.longest = minutes
    return flight


cdef inline void find_totals(
    InMemoryStore store, const char* key, Py_ssize_t key_size, Totals* totals
) noexcept:
    """Copy out what is stored under `key`, nothing if it is absent."""
    cdef Py_ssize_t size
    cdef const char* value = store.find(key, key_size, &size)
    if value == NULL:
        totals_clear(totals)
    else:
        memcpy(totals, value, sizeof(Totals))


cdef inline int64_t mean_seconds(const Totals* totals) noexcept nogil:
    """Return the mean delay, rounded down; `departed` is not 0."""
    return 60 * totals.minutes // <int64_t>totals.departed


cdef Py_ssize_t rank(Ranked* worst, Py_ssize_t count, const Cursor* cursor) noexcept:
    """Insert the cursor's route among the worst, and return how many there are.

    Routes come in order of their names, so an equal mean goes behind.
    """
    cdef Totals totals
    cdef Py_ssize_t place
    memcpy(&totals, cursor.value, sizeof(Totals))
    if totals.departed < MINIMUM_DEPARTURES:
        return count
    if count < WORST_COUNT:
        count += 1
    elif mean_seconds(&totals) <= mean_seconds(&worst[count - 1].totals):
        return count
    place = count - 1
    while place > 0 and mean_seconds(&worst[place - 1].totals) < mean_seconds(&totals):
        worst[place] = worst[place - 1]
        place -= 1
    memcpy(worst[place].route, cursor.key, ROUTE_SIZE)
    worst[place].totals = totals
    return count


cdef object delays_of(const Totals* totals):
    return Delays(
        totals.minutes, totals.departed, totals.cancelled, totals.late, totals.longest
    )

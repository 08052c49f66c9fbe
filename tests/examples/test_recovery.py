"""Recovery: an operator that goes on from a checkpoint is the one that was interrupted.

In one process at every event, and killed at random in processes of its own. Start at
`test_operator_goes_on_from_any_event`.
"""

import struct
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import cycle
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from flights import plain
from flights.checkpoints import Checkpoints, pickle_pauses, restored_store
from flights.data import Flight
from flights.life import CHECKPOINTS, STREAM, live, open_trace
from flights.measure import measure, percentiles
from flights.recovery import (
    Life,
    RecoveryError,
    check_lives,
    check_recovered,
    recover,
)
from flights.stream import read_stream, write_stream
from flights.windows import HOUR, Operator
from latency_kv import CheckpointDirectory, InMemoryStore, StateSnapshot

MakeOperator = Callable[[InMemoryStore], Operator]

# Three weeks: windows are forgotten, and the store is as large as it gets.
FEW_FLIGHTS = 20_000

KILLS = 5


@pytest.fixture(params=["compiled", "plain", "in turn"])
def operators(
    request: pytest.FixtureRequest, compiled: ModuleType
) -> Iterator[MakeOperator]:
    """The operators that go on from each other, without an end."""
    chosen = {"compiled": [compiled], "plain": [plain]}
    modules = chosen.get(request.param, [compiled, plain])
    return cycle([module.DelayOperator for module in modules])


@pytest.fixture
def few(flights: list[Flight]) -> list[Flight]:
    return flights[:FEW_FLIGHTS]


def run(flights: list[Flight]) -> Operator:
    operator = plain.DelayOperator(InMemoryStore())
    for flight in flights:
        operator.observe(*flight)
    return operator


def gone_on(operator: Operator, make_operator: MakeOperator) -> Operator:
    """An operator made from a copy of the state that left the process."""
    image = operator.store.snapshot().to_bytes()
    return make_operator(InMemoryStore.from_snapshot(StateSnapshot.from_bytes(image)))


class TestOperator:
    @pytest.mark.parametrize(("events", "step"), [(500, 1), (FEW_FLIGHTS, 97)])
    def test_operator_goes_on_from_any_event(
        self,
        operators: Iterator[MakeOperator],
        few: list[Flight],
        events: int,
        step: int,
    ) -> None:
        whole = plain.DelayOperator(InMemoryStore())
        parted = next(operators)(InMemoryStore())
        for number, flight in enumerate(few[:events]):
            if number % step == 0:
                parted = gone_on(parted, next(operators))
                assert parted.position == number
            assert parted.observe(*flight) == whole.observe(*flight)
            assert parted.open_window == whole.open_window
            assert parted.worst_routes == whole.worst_routes
        check_recovered(parted, whole)
        assert list(parted.store.items()) == list(whole.store.items())
        parted.store.check()

    def test_operator_goes_on_before_the_first_event(
        self, operators: Iterator[MakeOperator], few: list[Flight]
    ) -> None:
        operator = gone_on(next(operators)(InMemoryStore()), next(operators))
        assert (operator.position, operator.open_window) == (0, 0)
        assert operator.worst_routes == ()
        assert operator.observe(*few[0]).departed == 1

    def test_state_between_two_events_counts_each_flight_once_in_each_table(
        self, operators: Iterator[MakeOperator], few: list[Flight]
    ) -> None:
        operator = next(operators)(InMemoryStore())
        week = [each for each in few if each.at < few[0].at + 24 * HOUR]
        for number, flight in enumerate(week, 1):
            operator.observe(*flight)
            snapshot = operator.store.snapshot()
            for table in (b"t", b"r", b"a"):
                counted = 0
                for _, value in snapshot.prefix_scan(table):
                    _, departed, cancelled, *_ = struct.unpack("=qIIII", value)
                    counted += departed + cancelled
                assert counted == number

    def test_refused_flight_is_refused_after_going_on_too(
        self, operators: Iterator[MakeOperator], few: list[Flight]
    ) -> None:
        operator = gone_on(run(few[:1_000]), next(operators))
        with pytest.raises(ValueError, match="event-time order"):
            operator.observe(*few[0])
        assert operator.position == 1_000


class TestStream:
    def test_stream_is_read_from_any_event_on(
        self, few: list[Flight], tmp_path: Path
    ) -> None:
        write_stream(tmp_path / STREAM, few)
        for start, stop in ((0, len(few)), (1, 1), (7, 4_000), (len(few) - 1, 10**6)):
            assert list(read_stream(tmp_path / STREAM, start, stop)) == few[start:stop]

    def test_stream_is_not_written_over_another(
        self, few: list[Flight], tmp_path: Path
    ) -> None:
        write_stream(tmp_path / STREAM, few[:1])
        with pytest.raises(FileExistsError):
            write_stream(tmp_path / STREAM, few)


class TestCheckpoints:
    def test_checkpoints_are_taken_and_timed_every_so_many_events(
        self, few: list[Flight], tmp_path: Path
    ) -> None:
        directory = CheckpointDirectory(tmp_path)
        durable: list[int] = []
        with directory.background() as writer:
            checkpoints = Checkpoints(writer.submit, 300, durable.append)
            operator = plain.DelayOperator(InMemoryStore())
            measured = measure("", operator, few[:1_000], checkpoints=checkpoints)
        assert len(checkpoints.pauses) == 4
        assert checkpoints.taken == durable[-1] == 1_000
        assert [start for start, _ in checkpoints.writes] == durable
        assert restored_store(directory) == operator.store
        spans = [(0, 3), (2, 5), (999, 1_000)]
        within = [*measured.latencies[:5], measured.latencies[999]]
        assert list(measured.latencies_within(spans)) == within

    def test_last_checkpoint_that_fails_is_told(self) -> None:
        def submit(snapshot: StateSnapshot) -> Future[None]:
            future: Future[None] = Future()
            future.set_exception(OSError("the disk is full"))
            return future

        checkpoints = Checkpoints(submit, 1)
        operator = plain.DelayOperator(InMemoryStore())
        with pytest.raises(OSError, match="the disk is full"):
            measure("", operator, [], checkpoints=checkpoints)
        assert not checkpoints.writes

    def test_pickling_is_timed_at_the_same_moments(self, few: list[Flight]) -> None:
        steps: list[int] = []
        operator = plain.DelayOperator(InMemoryStore())
        pauses = pickle_pauses(operator, few[:1_000], 300, steps.append)
        assert len(pauses) == 3
        assert min(pauses) > 0
        assert steps == [300, 300, 300, 100]

    def test_percentiles_of_nothing_are_zero(self) -> None:
        assert percentiles(array("q"), 0.5, 1) == [0, 0]


class TestLife:
    def test_life_goes_on_where_the_one_before_it_stopped(
        self, few: list[Flight], tmp_path: Path
    ) -> None:
        write_stream(tmp_path / STREAM, few)
        trace = open_trace(tmp_path, new=True)
        waited: list[tuple[int, int, int]] = []

        def wait() -> None:
            waited.append((trace.restored, trace.taken, trace.reached))

        for stop in (700, 700, 2_000):
            live(tmp_path, plain.DelayOperator, 300, stop, wait)
            assert trace.durable == stop
        assert waited == [(0, 700, 700), (700, 700, 700), (700, 2_000, 2_000)]
        store = restored_store(CheckpointDirectory(tmp_path / CHECKPOINTS))
        check_recovered(plain.DelayOperator(store), run(few[:2_000]))


class TestRecover:
    @pytest.mark.parametrize(
        ("name", "events"), [("compiled", 336_776), ("plain", 50_000)]
    )
    def test_killed_operator_ends_with_the_table_of_an_uninterrupted_run(
        self,
        built: None,
        compiled: ModuleType,
        flights: list[Flight],
        tmp_path: Path,
        seed: int,
        name: str,
        events: int,
    ) -> None:
        # Lives that last, and checkpoints so often that kills fall into the writes.
        stream = flights[:events]
        whole = compiled.DelayOperator(InMemoryStore())
        for flight in stream:
            whole.observe(*flight)
        reached: list[int] = []
        lives, recovered = recover(
            tmp_path,
            stream,
            operator=name,
            every=200,
            kills=KILLS,
            random=Random(seed),
            progress=reached.append,
        )
        assert len(lives) == KILLS + 1
        assert lives[0].restored == 0
        assert [life for life in lives if life.durable <= life.restored] == []
        assert lives[-1].durable == lives[-1].reached == events
        assert max(reached) <= events
        check_recovered(recovered, whole)

    def test_fewer_events_than_kills_are_enough(
        self, few: list[Flight], tmp_path: Path, seed: int
    ) -> None:
        lives, recovered = recover(
            tmp_path,
            few[:3],
            operator="plain",
            every=1_000,
            kills=KILLS,
            random=Random(seed),
        )
        assert len(lives) == KILLS + 1
        check_recovered(recovered, run(few[:3]))

    def test_life_that_ends_by_itself_is_told(
        self, few: list[Flight], tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        out_of_order = [*few[500:700], few[0], *few[701:1_000]]
        with pytest.raises(RecoveryError, match="after event 200, with exit status 1"):
            recover(
                tmp_path,
                out_of_order,
                operator="plain",
                every=1_000,
                kills=0,
                random=Random(0),
            )
        assert "feed the flights in event-time order" in capfd.readouterr().err

    def test_checkpoint_that_was_acknowledged_and_lost_is_told(self) -> None:
        life = Life(restored=0, durable=500, taken=700, reached=799, left=600)
        following = Life(restored=600, durable=900, taken=900, reached=900, left=900)
        check_lives([life, following])
        for left in (0, 499, 800):
            with pytest.raises(RecoveryError, match=f"left a checkpoint of {left},"):
                check_lives([life._replace(left=left)])
        with pytest.raises(RecoveryError, match="went on from event 500, but the last"):
            check_lives([life, following._replace(restored=500)])

    def test_table_that_differs_is_told(self, few: list[Flight]) -> None:
        expected = run(few[:100])
        check_recovered(run(few[:100]), expected)
        changed, longer, shorter = (run(few[:100]) for _ in range(3))
        key, _ = changed.store.first(b"r") or (b"", b"")
        changed.store.put(key, b"other")
        longer.store.put(b"r", b"new")
        shorter.store.delete(key)
        for found in (changed, longer, shorter):
            with pytest.raises(RecoveryError, match="event 100, 1 entries differ"):
                check_recovered(found, expected)

    def test_answers_that_differ_are_told(self, few: list[Flight]) -> None:
        found = plain.DelayOperator(InMemoryStore(run(few[:100]).store))
        check_recovered(found, run(few[:100]))
        found.open_window = 0
        with pytest.raises(RecoveryError, match="but open_window is 0, not 13"):
            check_recovered(found, run(few[:100]))

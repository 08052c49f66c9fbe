"""BackgroundWriter: at most one write and one waiting, and nothing goes unsaid.

What has to come in an order is held by gates, so that no test depends on time. Most
tests give the writer a function that writes nothing. Start at `Slow`.
"""

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, as_completed, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fresh import run_fresh
from kills import quick_folder
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.checkpoints import (
    BackgroundWriter,
    CheckpointDirectory,
    CheckpointInfo,
)

# A test that waits longer than this hangs.
PATIENCE_S = 60


@pytest.fixture
def directory() -> Iterator[CheckpointDirectory]:
    with quick_folder() as folder:
        yield CheckpointDirectory(folder)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def snapshot_of(number: int) -> StateSnapshot:
    return InMemoryStore({b"number": b"%d" % number}).snapshot()


class Moment:
    """Stands in for a snapshot where it is to be seen whether it is let go of."""


def moment() -> Any:
    return Moment()


class Slow:
    """A function that writes nothing, and waits for `may_go_on` each time."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)
        self.written: list[object] = []
        self.error: BaseException | None = None

    def __call__(self, snapshot: StateSnapshot) -> CheckpointInfo:
        self.begun.release()
        assert self.may_go_on.acquire(timeout=PATIENCE_S)
        if self.error is not None:
            raise self.error
        self.written.append(id(snapshot))
        return CheckpointInfo(len(self.written), Path("none"), 0, 0)

    def wait_begun(self) -> None:
        assert self.begun.acquire(timeout=PATIENCE_S)

    def go_on(self, times: int = 1) -> None:
        for _ in range(times):
            self.may_go_on.release()


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.go_on(100)


def test_what_is_submitted_is_written(directory: CheckpointDirectory) -> None:
    with directory.background() as writer:
        for number in range(1, 20):
            future = writer.submit(snapshot_of(number))
            info = future.result(PATIENCE_S)
            assert info == directory.list()[0]
            assert info.generation == number
    assert writer.superseded == 0


def test_what_is_no_snapshot_is_refused_at_once(
    directory: CheckpointDirectory,
) -> None:
    store: Any = InMemoryStore()
    with directory.background() as writer:
        with pytest.raises(
            TypeError, match=r"InMemoryStore.*: call store.snapshot\(\)"
        ):
            writer.submit(store)
        assert writer.submit(store.snapshot()).result(PATIENCE_S).generation == 1
    assert writer.superseded == 0


def test_newer_snapshot_takes_the_place_of_one_that_waits(
    slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    moments = [moment() for _ in range(6)]
    with BackgroundWriter(slow) as writer:
        futures = [writer.submit(moments[0])]
        slow.wait_begun()
        futures += [writer.submit(later) for later in moments[1:4]]
        assert [future.cancelled() for future in futures] == [False, True, True, False]
        assert writer.superseded == 2
        assert not caplog.records
        slow.go_on()
        slow.wait_begun()
        assert futures[0].result(PATIENCE_S).generation == 1
        futures += [writer.submit(later) for later in moments[4:]]
        assert writer.superseded == 3
        slow.go_on(2)
    assert slow.written == [id(moments[number]) for number in (0, 3, 5)]
    assert futures[5].result().generation == 3
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "the writer falls behind: 2 snapshots gave way to newer ones",
        "the writer falls behind: 1 snapshot gave way to a newer one",
    ]


def test_superseded_future_ends_every_way_of_waiting(slow: Slow) -> None:
    with BackgroundWriter(slow) as writer:
        writer.submit(moment())
        slow.wait_begun()
        superseded = writer.submit(moment())
        writer.submit(moment())
        assert wait([superseded], timeout=PATIENCE_S).done == {superseded}
        assert list(as_completed([superseded], timeout=PATIENCE_S)) == [superseded]
        with pytest.raises(CancelledError):
            superseded.result(PATIENCE_S)
        slow.go_on(2)


def test_cancelled_future_is_not_written_and_not_counted(slow: Slow) -> None:
    with BackgroundWriter(slow) as writer:
        first = writer.submit(moment())
        slow.wait_begun()
        assert not first.cancel(), "it has begun"
        waiting = writer.submit(moment())
        assert waiting.cancel()
        last = writer.submit(moment())
        assert wait([waiting], timeout=PATIENCE_S).done == {waiting}
        assert last.cancel()
        slow.go_on()
        assert wait([last], timeout=PATIENCE_S).done == {last}
    assert len(slow.written) == 1
    assert writer.superseded == 0


def test_callback_of_a_superseded_future_may_submit(slow: Slow) -> None:
    """It runs in the thread that submits, so nothing of the writer's may be locked."""
    with BackgroundWriter(slow) as writer:
        writer.submit(moment())
        slow.wait_begun()
        again: list[Future[CheckpointInfo]] = []
        waiting = writer.submit(moment())
        waiting.add_done_callback(lambda _: again.append(writer.submit(moment())))
        writer.submit(moment())
        assert writer.superseded == 2
        slow.go_on(2)
        assert again[0].result(PATIENCE_S).generation == 2


def test_failure_is_the_futures_and_the_writer_goes_on(
    slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    with BackgroundWriter(slow) as writer:
        slow.go_on()
        slow.error = OSError("the disk is full")
        future = writer.submit(moment())
        with pytest.raises(OSError, match="full"):
            future.result(PATIENCE_S)
        slow.error = None
        slow.go_on()
        assert writer.submit(moment()).result(PATIENCE_S).generation == 1
    (record,) = caplog.records
    assert "the disk is full" in record.getMessage()


def test_last_failure_that_nobody_asked_for_is_raised_at_the_end(slow: Slow) -> None:
    slow.error = OSError("the disk is full")
    slow.go_on()
    writer = BackgroundWriter(slow)
    writer.submit(moment())
    with pytest.raises(OSError, match="full"):
        writer.close()
    writer.close()


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_last_failure_that_somebody_asked_for_is_not_raised_again(
    slow: Slow, ask: str
) -> None:
    slow.error = OSError("the disk is full")
    slow.go_on()
    with BackgroundWriter(slow) as writer:
        future = writer.submit(moment())
        with suppress(OSError):
            getattr(future, ask)(PATIENCE_S)


def test_asking_too_early_is_not_asking(slow: Slow) -> None:
    slow.error = OSError("the disk is full")
    writer = BackgroundWriter(slow)
    future = writer.submit(moment())
    for ask in (future.result, future.exception):
        with pytest.raises(TimeoutError):
            ask(timeout=0)
    slow.go_on()
    with pytest.raises(OSError, match="full"):
        writer.close()


def test_failure_that_a_later_write_made_good_is_not_raised(slow: Slow) -> None:
    with BackgroundWriter(slow) as writer:
        slow.error = OSError("the disk is full")
        writer.submit(moment())
        slow.wait_begun()
        writer.submit(moment())
        slow.go_on()
        slow.wait_begun()
        slow.error = None
        slow.go_on()


def test_last_failure_is_raised_at_the_end_of_the_block(slow: Slow) -> None:
    slow.error = OSError("the disk is full")
    slow.go_on()
    with pytest.raises(OSError, match="full"), BackgroundWriter(slow) as writer:
        writer.submit(moment())


def test_failure_does_not_hide_what_ended_the_block(slow: Slow) -> None:
    slow.error = OSError("the disk is full")
    slow.go_on()
    with pytest.raises(ZeroDivisionError), BackgroundWriter(slow) as writer:
        writer.submit(moment())
        _ = 1 / 0


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_no_exception_ends_the_thread(slow: Slow, error: BaseException) -> None:
    with BackgroundWriter(slow) as writer:
        slow.error = error
        slow.go_on()
        assert writer.submit(moment()).exception(PATIENCE_S) is error
        slow.error = None
        slow.go_on()
        assert writer.submit(moment()).result(PATIENCE_S).generation == 1


def test_closing_waits_for_what_was_submitted(slow: Slow) -> None:
    writer = BackgroundWriter(slow)
    futures = [writer.submit(moment())]
    slow.wait_begun()
    futures.append(writer.submit(moment()))
    closing = threading.Thread(target=writer.close)
    closing.start()
    slow.go_on()
    slow.wait_begun()
    assert closing.is_alive()
    slow.go_on()
    closing.join(PATIENCE_S)
    assert [future.result(0).generation for future in futures] == [1, 2]
    with pytest.raises(RuntimeError, match="closed"):
        writer.submit(moment())
    writer.close()


def test_unused_writer_closes() -> None:
    with BackgroundWriter(Slow()) as writer:
        pass
    assert writer.superseded == 0


def test_dropped_writer_ends_its_thread(slow: Slow) -> None:
    before = set(threading.enumerate())
    writer = BackgroundWriter(slow)
    (thread,) = set(threading.enumerate()) - before
    slow.go_on()
    future = writer.submit(moment())
    del writer
    assert future.result(PATIENCE_S).generation == 1
    gc.collect()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert not thread.daemon


def test_forked_child_is_told_that_the_thread_is_elsewhere(
    directory: CheckpointDirectory,
) -> None:
    """Its end waits for no write, not for one that goes on; and that does go on."""
    program = (
        "import os, signal, sys, threading, warnings\n"
        "from latency_kv import *\n"
        "warnings.simplefilter('ignore')  # threads and forks\n"
        "begun, may_go_on = threading.Event(), threading.Event()\n"
        "progress = lambda *_: begun.set() or may_go_on.wait()\n"
        "snapshot = InMemoryStore({b'number': b'7'}).snapshot()\n"
        "with CheckpointDirectory(sys.argv[1]).background(progress) as writer:\n"
        "    writer.submit(snapshot)\n"
        "    begun.wait()\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        f"        signal.alarm({PATIENCE_S})\n"
        "        try:\n"
        "            writer.submit(snapshot)\n"
        "        except RuntimeError as error:\n"
        "            sys.exit(42 * ('fork' in str(error)))\n"
        "    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "    may_go_on.set()\n"
        "    assert code == 42, code\n"
        "    writer.submit(snapshot).result()\n"
    )
    run_fresh("-c", program, str(directory.path))
    assert directory.latest() == {b"number": b"7"}


def submitted(writer: BackgroundWriter) -> tuple[Future[CheckpointInfo], list[bool]]:
    """The future of a snapshot, and whether that is gone when the future is done."""
    snapshot = moment()
    alive = weakref.ref(snapshot)
    future = writer.submit(snapshot)
    gone: list[bool] = []
    # In the writer's thread, before anybody can have been told.
    future.add_done_callback(lambda _: gone.append(alive() is None))
    return future, gone


def test_written_snapshot_is_let_go_of(slow: Slow) -> None:
    with BackgroundWriter(slow) as writer:
        future, gone = submitted(writer)
        slow.go_on()
        future.result(PATIENCE_S)
    assert gone == [True]


def test_snapshot_that_was_not_written_is_let_go_of() -> None:
    """Although its frames are in the traceback of the error, and of its causes."""

    def inner(snapshot: StateSnapshot) -> CheckpointInfo:
        gate.acquire()
        raise OSError("the disk is full")

    def failing(snapshot: StateSnapshot) -> CheckpointInfo:
        try:
            return inner(snapshot)
        except OSError as error:
            raise ValueError("no") from error

    gate = threading.Semaphore(0)
    with BackgroundWriter(failing) as writer:
        future, gone = submitted(writer)
        gate.release()
        assert isinstance(future.exception(PATIENCE_S), ValueError)
    assert gone == [True]


@pytest.mark.parametrize("is_superseded", [True, False])
def test_snapshot_that_is_not_to_be_written_is_let_go_of(
    slow: Slow, is_superseded: bool
) -> None:
    with BackgroundWriter(slow) as writer:
        writer.submit(moment())
        slow.wait_begun()
        snapshot = moment()
        alive = weakref.ref(snapshot)
        future = writer.submit(snapshot)
        del snapshot
        assert alive() is not None
        if is_superseded:
            writer.submit(moment())
        else:
            future.cancel()
        assert alive() is None
        slow.go_on(2)


@pytest.mark.parametrize("fails", [False, True])
def test_state_snapshot_is_let_go_of(
    directory: CheckpointDirectory, fails: bool
) -> None:
    def progress(done: int, total: int) -> None:
        if fails:
            raise ZeroDivisionError

    with directory.background(progress=progress) as writer:
        snapshot = snapshot_of(1)
        before = sys.getrefcount(snapshot)
        future = writer.submit(snapshot)
        assert (future.exception(PATIENCE_S) is None) == (not fails)
        assert sys.getrefcount(snapshot) == before


def test_progress_is_called_in_the_writers_thread(
    directory: CheckpointDirectory,
) -> None:
    calls: list[tuple[int, int, int]] = []

    def progress(done: int, total: int) -> None:
        calls.append((done, total, threading.get_ident()))

    with directory.background(progress=progress) as writer:
        writer.submit(snapshot_of(1)).result(PATIENCE_S)
    assert calls[-1][:2] == (1, 1)
    assert calls[-1][2] != threading.get_ident()


def test_progress_that_raises_fails_one_write(directory: CheckpointDirectory) -> None:
    errors = [ZeroDivisionError()]

    def progress(done: int, total: int) -> None:
        if errors:
            raise errors.pop()

    with directory.background(progress=progress) as writer:
        with pytest.raises(ZeroDivisionError):
            writer.submit(snapshot_of(1)).result(PATIENCE_S)
        assert writer.submit(snapshot_of(2)).result(PATIENCE_S).generation == 1


def test_future_is_awaitable_in_asyncio(directory: CheckpointDirectory) -> None:
    async def main() -> None:
        with directory.background() as writer:
            info = await asyncio.wrap_future(writer.submit(snapshot_of(1)))
            assert info.generation == 1
            with pytest.raises(TypeError):
                await asyncio.wrap_future(writer.submit(None))  # type: ignore[arg-type]

    asyncio.run(main())


def test_many_threads_submit(directory: CheckpointDirectory) -> None:
    """Each snapshot is written or superseded, and the last submitted is written."""
    futures: list[Future[CheckpointInfo]] = []
    guard = threading.Lock()

    def work() -> None:
        for number in range(100):
            with guard:
                futures.append(writer.submit(snapshot_of(number)))

    with directory.background() as writer:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    written = [future.result(0) for future in futures if not future.cancelled()]
    assert len(written) + writer.superseded == len(futures) == 400
    assert [info.generation for info in written] == list(range(1, len(written) + 1))
    assert written[-1] == directory.list()[0] == futures[-1].result(0)


def test_forgotten_writer_ends_with_the_program(directory: CheckpointDirectory) -> None:
    """And writes what it was handed: the thread is no daemon."""
    program = (
        "import sys; from latency_kv import *\n"
        "writer = CheckpointDirectory(sys.argv[1]).background()\n"
        "writer.submit(InMemoryStore({b'number': b'7'}).snapshot())"
    )
    run_fresh("-c", program, str(directory.path))
    latest = directory.latest()
    assert latest is not None
    assert latest[b"number"] == b"7"

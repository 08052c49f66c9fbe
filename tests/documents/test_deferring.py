"""Deferring: saves that wait for the last of many calls."""

import threading
from pathlib import Path

import anyio
import pytest
import trio
import trio.testing

from documents.operations import Operation, by_operation
from documents.scenes import PATIENCE_S, Witness, data_in, document, files, put
from latency_kv import FileSystemStateStore
from latency_kv.documents.events import StateErrorEvent, StateEvent, StateSavedEvent
from latency_kv.errors import StateFormatError, StateWriteError

pytestmark = pytest.mark.anyio

# Nothing in a test waits for so long: what is put off by it is written for another
# reason.
LONG_S = 3600.0


async def test_save_later_returns_before_it_writes(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save_later("clock", 1, delay=LONG_S, max_delay=LONG_S)
    assert (files(store.state_dir), witness.heard) == ({}, [])


async def test_save_later_writes_after_the_delay(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save_later("clock", 1, delay=0.01)
    await witness.wait_for("state.saved")
    assert data_in(store) == 1


async def test_save_later_writes_after_the_longest_delay(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save_later("clock", 1, delay=LONG_S, max_delay=0.01)
    await witness.wait_for("state.saved")
    assert data_in(store) == 1


async def test_save_later_again_and_again_writes_the_last_once(
    store: FileSystemStateStore, witness: Witness
) -> None:
    for number in range(10):
        await store.save_later("clock", number, delay=LONG_S, max_delay=LONG_S)
    await store.flush()
    assert witness.names == ["state.saved"]
    assert list(files(store.state_dir)) == ["clock.json"]
    assert data_in(store) == 9
    await store.flush()
    assert witness.names == ["state.saved"]


async def test_save_later_takes_the_data_as_they_are_at_the_call(
    store: FileSystemStateStore,
) -> None:
    data = [1]
    await store.save_later("clock", data, delay=LONG_S)
    data.append(2)
    await store.flush()
    assert data_in(store) == [1]


async def test_save_later_refuses_what_is_no_json_at_once(
    store: FileSystemStateStore, witness: Witness
) -> None:
    with pytest.raises(StateWriteError) as caught:
        await store.save_later("clock", {1})
    assert witness.saw_error("save", caught.value)


@pytest.mark.parametrize("version", [None, 7])
async def test_save_later_keeps_the_version_unless_given_one(
    store: FileSystemStateStore, version: int | None
) -> None:
    await store.save("clock", 1, 3)
    await store.save_later("clock", 2, version)
    await store.flush()
    state = await store.load("clock")
    assert state is not None
    assert (state.data, state.version) == (2, version or 3)


@by_operation
async def test_any_operation_writes_what_was_put_off_first(
    store: FileSystemStateStore, witness: Witness, operation: Operation
) -> None:
    await store.save("clock", "early")
    witness.forget()
    await store.save_later("clock", "late", 9, delay=LONG_S, max_delay=LONG_S)
    await operation(store, "clock")
    assert witness.names[:2] == ["state.backup.created", "state.saved"]
    saved = witness.payloads[1]
    assert isinstance(saved, StateSavedEvent) and saved.version == 9
    told = len(witness.heard)
    await store.flush()
    assert len(witness.heard) == told


async def test_operation_on_another_plugin_leaves_what_was_put_off(
    store: FileSystemStateStore,
) -> None:
    await store.save_later("clock", 1, delay=LONG_S, max_delay=LONG_S)
    await store.save("watch", 2)
    assert list(files(store.state_dir)) == ["watch.json"]


async def test_save_later_that_fails_is_announced_and_logged(
    store: FileSystemStateStore, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, "clock.json", document(1, format=2))
    await store.save_later("clock", 2, delay=0.01)
    await witness.wait_for("state.error")
    await anyio.wait_all_tasks_blocked()
    error = witness.only(StateErrorEvent)
    assert error.operation == "save"
    assert isinstance(error.error, StateFormatError)
    assert caplog.records
    await store.save("watch", 1)


async def test_flush_raises_what_failed(store: FileSystemStateStore) -> None:
    put(store, "clock.json", document(1, format=2))
    await store.save_later("clock", 2, delay=LONG_S)
    await store.save_later("watch", 3, delay=LONG_S)
    with pytest.raises(StateFormatError):
        await store.flush()
    assert data_in(store, "watch.json") == 3


async def test_flush_raises_a_group_of_all_that_failed(
    store: FileSystemStateStore,
) -> None:
    for name in ("clock", "watch"):
        put(store, f"{name}.json", document(1, plugin_name=name, format=2))
        await store.save_later(name, 2, delay=LONG_S)
    with pytest.raises(ExceptionGroup) as caught:
        await store.flush()
    failed = [
        e.plugin_name
        for e in caught.value.exceptions
        if isinstance(e, StateFormatError)
    ]
    assert sorted(failed) == ["clock", "watch"]


async def test_save_later_needs_an_open_store(folder: Path) -> None:
    store = FileSystemStateStore(state_dir=folder)
    with pytest.raises(RuntimeError, match="async with"):
        await store.save_later("clock", 1)


class TimedWitness(Witness):
    """Writes down the time of trio's clock too, and lets a thread wait."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []
        self.saved = threading.Semaphore(0)

    def emit(self, event: str, payload: StateEvent, /) -> None:
        super().emit(event, payload)
        if isinstance(payload, StateSavedEvent):
            self.times.append(trio.current_time())
            self.saved.release()

    async def wait_saved(self) -> None:
        """Wait in real time: trio's own may stand still."""
        assert await trio.to_thread.run_sync(self.saved.acquire, True, PATIENCE_S)


def test_save_later_is_put_off_by_each_call_until_the_longest_delay(
    folder: Path,
) -> None:
    """A clock that stands still but for jumps: 4 calls, then 8 more."""
    witness = TimedWitness()
    clock = trio.testing.MockClock()

    async def later(store: FileSystemStateStore, data: int) -> None:
        await store.save_later("clock", data, delay=1.0, max_delay=5.0)

    async def jump(seconds: float) -> None:
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(seconds)
        await trio.testing.wait_all_tasks_blocked()

    async def main() -> None:
        async with FileSystemStateStore(witness, state_dir=folder) as store:
            start = trio.current_time()
            for number in range(4):
                await later(store, number)
                await jump(0.75)
            await jump(0.25)
            await witness.wait_saved()
            assert (witness.times, data_in(store)) == ([start + 3.25], 3)
            for number in range(4, 12):
                await later(store, number)
                await jump(0.75)
                if number == 10:
                    await witness.wait_saved()
            assert data_in(store) == 10
        assert witness.times[1] == start + 8.5
        assert (len(witness.times), data_in(store)) == (3, 11)

    trio.run(main, clock=clock)

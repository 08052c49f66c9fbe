"""Closing: what was put off is written, what runs is waited for, nothing stays open."""

import gc
import os
import threading
from pathlib import Path

import anyio
import pytest

from documents.disk import Gate, refused, watched
from documents.scenes import PATIENCE_S, Witness, data_in, files, one_by_one
from latency_kv import FileSystemStateStore
from latency_kv.errors import StateWriteError

pytestmark = pytest.mark.anyio

# Nothing in a test waits for so long: what is put off by it is written for another
# reason.
LONG_S = 3600.0


async def test_closing_writes_what_was_put_off(folder: Path, witness: Witness) -> None:
    async with FileSystemStateStore(witness, state_dir=folder) as store:
        for name in ("clock", "watch"):
            await store.save_later(name, name, delay=LONG_S, max_delay=LONG_S)
    assert (data_in(store), data_in(store, "watch.json")) == ("clock", "watch")
    assert witness.names == ["state.saved"] * 2


async def test_closing_raises_what_could_not_be_written(folder: Path) -> None:
    with pytest.raises(StateWriteError):
        async with FileSystemStateStore(state_dir=folder) as store:
            await store.save_later("clock", 1, delay=LONG_S)
            full = refused(folder, lambda ask: ask.name == "write")
            full.__enter__()
    full.__exit__(None, None, None)
    assert files(folder) == {}


async def test_closing_by_an_exception_writes_and_raises_it_as_it_was(
    folder: Path,
) -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async with FileSystemStateStore(state_dir=folder) as store:
            await store.save_later("clock", 1, delay=LONG_S)
            raise error
    assert caught.value is error
    assert data_in(store) == 1


async def test_closing_by_cancellation_writes_what_was_put_off(
    folder: Path,
) -> None:
    with anyio.CancelScope() as scope:
        async with FileSystemStateStore(state_dir=folder) as store:
            await store.save_later("clock", 1, delay=LONG_S)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert data_in(store) == 1


async def test_closing_waits_for_what_runs(folder: Path, witness: Witness) -> None:
    gate = Gate(lambda ask: ask.name == "fsync" and "clock" in ask.path.name)
    async with anyio.create_task_group() as group:
        with watched(folder, gate):
            async with FileSystemStateStore(witness, state_dir=folder) as store:
                group.start_soon(store.save, "clock", 1)
                await gate.wait_begun()
                threading.Timer(0.05, gate.may_go_on.set).start()
        assert (data_in(store), witness.names) == (1, ["state.saved"])


async def test_closing_waits_for_those_in_line(folder: Path) -> None:
    may_end = anyio.Event()

    async def wait(data: object) -> str:
        await may_end.wait()
        return "first"

    async def end_it() -> None:
        await anyio.wait_all_tasks_blocked()
        may_end.set()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            async with FileSystemStateStore(state_dir=folder) as store:
                await one_by_one(
                    group,
                    lambda: store.update("clock", wait),
                    lambda: store.save("clock", "second"),
                )
                group.start_soon(end_it)
            assert data_in(store) == "second"
            assert data_in(store, "clock.backup.1.json") == "first"


async def test_operation_after_closing_is_a_runtime_error(folder: Path) -> None:
    async with FileSystemStateStore(state_dir=folder) as store:
        await store.save("clock", 1)
    for operation in (
        lambda: store.save("clock", 2),
        lambda: store.save_later("clock", 2),
        lambda: store.load("clock"),
        lambda: store.exists("clock"),
        lambda: store.list_backups("clock"),
        lambda: store.update("clock", lambda data: data),
        lambda: store.flush(),
    ):
        with pytest.raises(RuntimeError):
            await operation()
    assert data_in(store) == 1


async def test_closing_leaves_no_descriptor(folder: Path) -> None:
    async def use() -> None:
        async with FileSystemStateStore(state_dir=folder) as store:
            await store.save("clock", 1)
            await store.save("clock", 2)
            await store.save_later("watch", 1, delay=LONG_S)
            await store.restore("clock")

    await use()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await use()
    assert len(os.listdir("/proc/self/fd")) == before

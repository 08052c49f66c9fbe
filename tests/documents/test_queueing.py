"""Queueing: one plugin's operations one at a time in call order, plugins side by side.

Document 4, unit tests 8: multiple saves to same plugin, save and load concurrently,
verify operations are serialized.
"""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from documents.disk import Gate, watched
from documents.scenes import (
    PATIENCE_S,
    Witness,
    data_in,
    files,
    held,
    occupied,
    one_by_one,
)
from fresh import call_fresh
from latency_kv import FileSystemStateStore
from latency_kv.documents.events import StateLoadedEvent, StateSavedEvent

pytestmark = pytest.mark.anyio


async def test_many_saves_to_one_plugin_all_succeed_and_the_last_wins(
    store: FileSystemStateStore, witness: Witness
) -> None:
    called: list[int] = []

    async def save(number: int) -> None:
        called.append(number)
        await store.save("clock", number, number)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(save, number)
    saved = [p.version for p in witness.payloads if isinstance(p, StateSavedEvent)]
    assert saved == called
    assert data_in(store) == called[-1]
    assert data_in(store, "clock.backup.1.json") == called[-2]


async def test_saves_and_loads_at_once_see_what_was_saved_before_them(
    store: FileSystemStateStore,
) -> None:
    seen: list[Any] = []

    async def load() -> None:
        state = await store.load("clock")
        seen.append(None if state is None else state.data)

    async with anyio.create_task_group() as group, occupied(store):
        for number in range(5):
            await one_by_one(group, partial(store.save, "clock", number), load)
    assert seen == [0, 1, 2, 3, 4]


async def test_operations_are_serialized_in_call_order(
    store: FileSystemStateStore, witness: Witness
) -> None:
    async with anyio.create_task_group() as group, occupied(store):
        await one_by_one(
            group,
            lambda: store.save("clock", "a", 1),
            lambda: store.clear("clock"),
            lambda: store.restore("clock"),
            lambda: store.migrate("clock", 2, {2: lambda data, v: data + "b"}),
            lambda: store.update("clock", lambda data: data + "c"),
            lambda: store.load("clock"),
        )
        assert witness.heard == []
    backup = "state.backup.created"
    assert witness.names == [
        *("state.saved", backup, "state.saved", backup, "state.cleared"),
        *("state.restored", backup, "state.saved", "state.migrated"),
        *(backup, "state.saved", "state.loaded"),
    ]
    assert data_in(store) == "abc"


async def test_operation_that_fails_lets_the_next_one_run(
    store: FileSystemStateStore,
) -> None:
    results: list[str] = []

    async def fail() -> None:
        with pytest.raises(Exception, match="set"):
            await store.save("clock", {1})
        results.append("failed")

    async with anyio.create_task_group() as group, occupied(store):
        await one_by_one(group, fail, lambda: store.save("clock", "next"))
    assert (results, data_in(store)) == (["failed"], "next")


async def test_plugin_that_is_busy_holds_up_no_other(
    store: FileSystemStateStore,
) -> None:
    async with occupied(store, "clock"):
        await store.save("watch", 1)
        await store.update("watch", lambda data: data + 1)
        assert data_in(store, "watch.json") == 2


async def test_plugin_on_a_slow_disk_holds_up_no_other(
    store: FileSystemStateStore,
) -> None:
    gate = Gate(lambda ask: ask.name == "fsync" and "clock" in ask.path.name)
    with watched(store.state_dir, gate):
        async with anyio.create_task_group() as group:
            group.start_soon(store.save, "clock", 1)
            await gate.wait_begun()
            try:
                with anyio.fail_after(PATIENCE_S):
                    await store.save("watch", 2)
                    await store.load("watch")
                assert "clock.json" not in files(store.state_dir)
            finally:
                gate.may_go_on.set()
    assert data_in(store) == 1


async def test_plugins_that_wait_for_their_locks_hold_up_no_other(
    store: FileSystemStateStore,
) -> None:
    """More of them than a pool of threads has threads."""
    await store.save("watch", 1)
    names = [f"clock-{number}" for number in range(60)]
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            with ExitStack() as locks:
                for name in names:
                    locks.enter_context(held(store.state_dir, name))
                for name in names:
                    group.start_soon(store.save, name, 1)
                await anyio.sleep(0.05)
                await store.save("watch", 2)
                assert data_in(store, "watch.json") == 2
                assert list(files(store.state_dir)).count("clock-0.json") == 0
    assert len(files(store.state_dir)) == len(names) + 2


async def test_writer_waits_for_the_lock_of_another_process(
    store: FileSystemStateStore, witness: Witness
) -> None:
    async with anyio.create_task_group() as group:
        with held(store.state_dir):
            group.start_soon(store.save, "clock", 1)
            await anyio.sleep(0.05)
            assert witness.heard == []
    assert (data_in(store), witness.names) == (1, ["state.saved"])


async def test_two_stores_of_one_folder_do_not_lose_updates(
    store: FileSystemStateStore,
) -> None:
    async with (
        FileSystemStateStore(state_dir=store.state_dir) as other,
        anyio.create_task_group() as group,
    ):
        for each in (store, other):
            for _ in range(10):
                group.start_soon(each.update, "clock", increment)
    assert data_in(store) == 20


async def test_two_processes_of_one_folder_do_not_lose_updates(
    folder: Path,
) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(
                anyio.to_thread.run_sync,
                call_fresh,
                "documents.test_queueing:increment_in",
                str(folder),
            )
    store = FileSystemStateStore(state_dir=folder)
    assert await store.load("clock") is not None
    assert data_in(store) == 100


def increment(data: int | None) -> int:
    return (data or 0) + 1


def increment_in(folder: str) -> None:
    """Increment the plugin's number many times: another process does the same."""

    async def main() -> None:
        async with FileSystemStateStore(state_dir=folder) as store:
            for _ in range(50):
                await store.update("clock", increment)

    anyio.run(main)


async def test_events_are_emitted_in_the_order_of_the_operations(
    store: FileSystemStateStore, witness: Witness
) -> None:
    async with anyio.create_task_group() as group, occupied(store):
        for version in range(5, 10):
            await one_by_one(
                group,
                partial(store.save, "clock", version, version),
                lambda: store.load("clock"),
            )
    told = [
        p.version
        for p in witness.payloads
        if isinstance(p, StateSavedEvent | StateLoadedEvent)
    ]
    assert told == [1, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]

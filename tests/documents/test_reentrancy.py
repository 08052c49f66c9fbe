"""Reentrancy, cancellation: what would wait for itself, and what is waited for no more.

An operation inside another on the same plugin is refused; a cancelled one is done or
not done, and in either case the next one runs.
"""

import asyncio
from contextlib import suppress
from typing import Any

import anyio
import pytest

from documents.disk import Gate, watched
from documents.operations import Operation, by_operation
from documents.scenes import (
    PATIENCE_S,
    Witness,
    data_in,
    files,
    held,
    occupied,
    one_by_one,
)
from latency_kv import FileSystemStateStore

pytestmark = pytest.mark.anyio


@by_operation
async def test_update_that_uses_its_plugin_is_refused_without_deadlock(
    store: FileSystemStateStore, operation: Operation
) -> None:
    async def greedy(data: Any) -> str:
        with pytest.raises(RuntimeError):
            await operation(store, "clock")
        return "outer"

    await store.save("clock", "before")
    with anyio.fail_after(PATIENCE_S):
        await store.update("clock", greedy)
    assert data_in(store) == "outer"


async def test_update_that_uses_its_plugin_in_a_child_task_is_refused(
    store: FileSystemStateStore,
) -> None:
    refusals: list[str] = []

    async def child() -> None:
        with pytest.raises(RuntimeError) as caught:
            await store.load("clock")
        refusals.append(str(caught.value))

    async def greedy(data: Any) -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(child)
        return "outer"

    with anyio.fail_after(PATIENCE_S):
        await store.update("clock", greedy)
    assert len(refusals) == 1 and "clock" in refusals[0]


async def test_save_that_an_update_puts_off_is_written_after_it(
    store: FileSystemStateStore,
) -> None:
    """It is called later, and nobody waits for it there."""

    async def greedy(data: Any) -> str:
        await store.save_later("clock", "inner")
        return "outer"

    await store.update("clock", greedy)
    assert data_in(store) == "outer"
    await store.flush()
    assert data_in(store) == "inner"


async def test_flush_inside_an_update_does_not_wait_for_it(
    store: FileSystemStateStore,
) -> None:
    """What it would flush waits for the update; refused or not, it has to come back."""
    may_put_off, is_put_off = anyio.Event(), anyio.Event()

    async def greedy(data: Any) -> str:
        may_put_off.set()
        await is_put_off.wait()
        with suppress(RuntimeError):
            await store.flush()
        return "outer"

    async def put_off() -> None:
        await may_put_off.wait()
        await store.save_later("clock", "later")
        is_put_off.set()

    with anyio.fail_after(PATIENCE_S / 4):
        async with anyio.create_task_group() as group:
            group.start_soon(put_off)
            await store.update("clock", greedy)
    await store.flush()
    assert data_in(store) == "later"


async def test_update_may_use_other_plugins(store: FileSystemStateStore) -> None:
    async def generous(data: Any) -> str:
        await store.save("watch", "inner")
        return "outer"

    await store.update("clock", generous)
    assert (data_in(store), data_in(store, "watch.json")) == ("outer", "inner")


async def test_task_that_an_update_started_may_use_the_plugin_afterwards(
    store: FileSystemStateStore,
) -> None:
    may_save = anyio.Event()

    async def later() -> None:
        await may_save.wait()
        await store.save("clock", "later")

    async with anyio.create_task_group() as group:

        async def starting(data: Any) -> str:
            group.start_soon(later)
            return "outer"

        await store.update("clock", starting)
        may_save.set()
    assert data_in(store) == "later"


async def test_update_that_uses_its_plugin_out_of_turn_may_go_on_afterwards(
    store: FileSystemStateStore,
) -> None:
    async def greedy(data: Any) -> Any:
        await store.save("clock", "inner")

    with pytest.raises(RuntimeError):
        await store.update("clock", greedy)
    await store.save("clock", "next")
    assert list(files(store.state_dir)) == ["clock.json"]


async def test_operation_cancelled_while_it_waits_is_not_done(
    store: FileSystemStateStore, witness: Witness
) -> None:
    async with anyio.create_task_group() as group, occupied(store):
        scope = anyio.CancelScope()

        async def cancelled() -> None:
            with scope:
                await store.save("clock", "cancelled")

        await one_by_one(group, cancelled, lambda: store.save("clock", "next"))
        scope.cancel()
    assert scope.cancelled_caught
    assert (data_in(store), data_in(store, "clock.backup.1.json")) == (
        "next",
        "occupied",
    )
    assert witness.names.count("state.saved") == 2
    assert "state.error" not in witness.names


async def test_operation_cancelled_on_the_disk_is_done_and_announced(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1)
    witness.forget()
    gate = Gate(lambda ask: ask.name == "fsync")
    with watched(store.state_dir, gate):
        async with anyio.create_task_group() as group:
            group.start_soon(store.save, "clock", 2)
            await gate.wait_begun()
            group.cancel_scope.cancel()
            gate.may_go_on.set()
    state = await store.load("clock")
    assert state is not None and state.data == 2
    assert witness.names == ["state.backup.created", "state.saved", "state.loaded"]


async def test_operation_cancelled_while_it_waits_for_the_lock_is_not_done(
    store: FileSystemStateStore, witness: Witness
) -> None:
    with held(store.state_dir):
        async with anyio.create_task_group() as group:
            group.start_soon(store.save, "clock", "cancelled")
            await anyio.sleep(0.02)
            group.cancel_scope.cancel()
    assert (files(store.state_dir), witness.heard) == ({}, [])
    await store.save("clock", "after")
    assert list(files(store.state_dir)) == ["clock.json"]


async def test_update_cancelled_while_it_reads_lets_go_of_the_lock(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", "before")
    gate = Gate(lambda ask: ask.name == "open" and ask.path.name == "clock.json")
    with watched(store.state_dir, gate):
        async with anyio.create_task_group() as group:
            group.start_soon(store.update, "clock", lambda data: "after")
            await gate.wait_begun()
            group.cancel_scope.cancel()
            gate.may_go_on.set()
    assert data_in(store) == "before"
    with held(store.state_dir):
        pass
    await store.save("clock", "after")
    assert data_in(store) == "after"


async def test_update_cancelled_in_its_function_changes_nothing(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", "before")
    before = files(store.state_dir)
    begun = anyio.Event()

    async def wait(data: Any) -> Any:
        begun.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(store.update, "clock", wait)
        await begun.wait()
        group.cancel_scope.cancel()
    assert files(store.state_dir) == before
    await store.save("clock", "after")
    assert data_in(store) == "after"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancellation_of_asyncios_own_leaves_the_queue_usable(
    store: FileSystemStateStore, witness: Witness
) -> None:
    """Tasks of asyncio's own know nothing of anyio's shields."""
    gate = Gate(lambda ask: ask.name == "fsync")
    with watched(store.state_dir, gate):
        task = asyncio.create_task(store.save("clock", "on the disk"))
        await gate.wait_begun()
        waiting = asyncio.create_task(store.save("clock", "waiting"))
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        waiting.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        gate.may_go_on.set()
        for each in (task, waiting):
            with pytest.raises(asyncio.CancelledError):
                await each
    state = await store.load("clock")
    assert state is not None and state.data == "on the disk"
    assert witness.names == ["state.saved", "state.loaded"]

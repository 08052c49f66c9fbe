"""write_async: a write in a thread, which a cancellation finds done or not begun.

Start at `Gate`.
"""

import asyncio
import threading

import anyio
import pytest

from checkpoints.numbered import names, number_of, snapshot_of
from latency_kv.checkpoints import CheckpointDirectory


@pytest.mark.anyio
async def test_write_async_writes(directory: CheckpointDirectory) -> None:
    threads: list[int] = []

    def progress(done: int, total: int) -> None:
        threads.append(threading.get_ident())

    info = await directory.write_async(snapshot_of(1), progress=progress)
    assert info == directory.list()[0]
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.anyio
async def test_write_async_raises_what_write_does(
    directory: CheckpointDirectory,
) -> None:
    with pytest.raises(TypeError, match="StateSnapshot"):
        await directory.write_async(None)  # type: ignore[arg-type]

    def progress(done: int, total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await directory.write_async(snapshot_of(1), progress=progress)


@pytest.mark.anyio
async def test_write_async_cancelled_before_it_begins_writes_nothing(
    directory: CheckpointDirectory,
) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await directory.write_async(snapshot_of(1))
    assert scope.cancelled_caught
    assert names(directory.path) == []


class Gate:
    """A progress callback that waits in the writer's thread until it may go on."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, done: int, total: int) -> None:
        self.begun.set()
        assert self.may_go_on.wait(60)

    async def wait_begun(self) -> None:
        while not self.begun.is_set():
            await anyio.sleep(0.001)


@pytest.mark.anyio
async def test_write_async_cancelled_later_ends_its_write_first(
    directory: CheckpointDirectory,
) -> None:
    gate = Gate()

    async def write() -> None:
        await directory.write_async(snapshot_of(1), progress=gate)

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        await gate.wait_begun()
        group.cancel_scope.cancel()
        gate.may_go_on.set()
    assert number_of(directory.latest()) == 1


def test_write_async_cancelled_by_asyncio_ends_its_write_first(
    directory: CheckpointDirectory,
) -> None:
    """Tasks and timeouts of asyncio's own know nothing of anyio's shields."""
    gate = Gate()

    async def main() -> None:
        task = asyncio.create_task(directory.write_async(snapshot_of(1), progress=gate))
        await gate.wait_begun()
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        gate.may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert number_of(directory.latest()) == 1

    asyncio.run(main())

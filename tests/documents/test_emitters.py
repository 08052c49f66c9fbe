"""Emitters: listeners that fail, that are slow, or that use the store themselves."""

import logging
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from pyee.asyncio import AsyncIOEventEmitter

from documents.scenes import PATIENCE_S, data_in
from latency_kv import FileSystemStateStore
from latency_kv.documents.events import StateEvents
from latency_kv.errors import StateError

pytestmark = pytest.mark.anyio

LOGGER = "latency_kv"


def listening(folder: Path) -> tuple[FileSystemStateStore, StateEvents]:
    """A store with an emitter of its own."""
    store = FileSystemStateStore(state_dir=folder)
    assert isinstance(store.events, StateEvents)
    return store, store.events


async def test_failing_listener_affects_nobody(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []
    store, events = listening(folder)
    for name in ("state.saved", "*"):
        events.on(name, lambda event: 1 / 0)
        events.on(name, lambda event: heard.append(event.type))
    with caplog.at_level(logging.ERROR, LOGGER):
        await store.save("clock", 1)
        await store.save("clock", 2)
    assert heard == [
        *("state.saved", "state.saved"),
        *("state.backup.created", "state.saved", "state.saved"),
    ]
    assert data_in(store) == 2
    assert "ZeroDivisionError" in caplog.text


class Broken:
    """A bus of a host's own that is out of order."""

    def emit(self, event: str, payload: Any, /) -> None:
        raise ConnectionError(event)


async def test_failing_emitter_fails_no_operation(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with FileSystemStateStore(Broken(), state_dir=folder) as store:
        with caplog.at_level(logging.ERROR, LOGGER):
            await store.save("clock", 1)
            await store.save("clock", 2)
            with pytest.raises(StateError):
                await store.save("clock", {3})
    assert data_in(store) == 2
    assert caplog.text.count("ConnectionError") >= 4


class Slow:
    """An emitter that is awaited; it fails where it is told to."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.log: list[str] = []

    async def emit(self, event: str, payload: Any, /) -> None:
        self.log.append(f"{event} begins")
        await anyio.sleep(0.001)
        if event == self.failing:
            raise ConnectionError(event)
        self.log.append(f"{event} ends")


async def test_async_emitter_is_awaited_one_event_after_the_other(
    folder: Path,
) -> None:
    slow = Slow()
    async with FileSystemStateStore(slow, state_dir=folder) as store:
        await store.save("clock", 1)
        await store.save("clock", 2)
    assert slow.log == [
        f"{event} {word}"
        for event in ("state.saved", "state.backup.created", "state.saved")
        for word in ("begins", "ends")
    ]


async def test_async_emitter_that_fails_fails_no_operation(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow("state.saved")
    async with FileSystemStateStore(slow, state_dir=folder) as store:
        with caplog.at_level(logging.ERROR, LOGGER):
            await store.save("clock", 1)
            await store.load("clock")
    assert slow.log == [
        "state.saved begins",
        "state.loaded begins",
        "state.loaded ends",
    ]
    assert "ConnectionError" in caplog.text


async def test_async_emitter_keeps_the_order_of_the_operations(folder: Path) -> None:
    slow = Slow()
    async with (
        FileSystemStateStore(slow, state_dir=folder) as store,
        anyio.create_task_group() as group,
    ):
        for _ in range(5):
            group.start_soon(store.update, "clock", lambda data: (data or 0) + 1)
    begun, ended = slow.log[::2], slow.log[1::2]
    assert [line.split()[0] for line in begun] == [line.split()[0] for line in ended]
    assert all(line.endswith("begins") for line in begun)


async def test_async_emitter_hears_what_was_done_when_the_caller_is_cancelled(
    folder: Path,
) -> None:
    class Cancelling(Slow):
        """Cancels its caller amid the first event."""

        async def emit(self, event: str, payload: Any, /) -> None:
            group.cancel_scope.cancel()
            await super().emit(event, payload)

    async with FileSystemStateStore(state_dir=folder) as store:
        await store.save("clock", 1)
    cancelling = Cancelling()
    async with FileSystemStateStore(cancelling, state_dir=folder) as store:
        async with anyio.create_task_group() as group:
            group.start_soon(store.save, "clock", 2)
        assert cancelling.log[0] == "state.backup.created begins"
    assert data_in(store) == 2
    assert cancelling.log[-1] == "state.saved ends"


async def test_emitter_that_uses_the_store_does_not_hang(folder: Path) -> None:
    class Curious:
        """Answered or refused, it must not wait for what waits for it."""

        async def emit(self, event: str, payload: Any, /) -> None:
            if event == "state.saved":
                await store.load("clock")

    store = FileSystemStateStore(Curious(), state_dir=folder)
    with anyio.fail_after(PATIENCE_S / 4):
        await store.save("clock", 1)
    assert data_in(store) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncio_emitter_of_pyee_runs_coroutines(folder: Path) -> None:
    heard: list[str] = []
    done = anyio.Event()
    emitter = AsyncIOEventEmitter()

    async def listen(event: Any) -> None:
        await anyio.lowlevel.checkpoint()
        heard.append(event.type)
        done.set()

    def fail(event: Any) -> None:
        raise ZeroDivisionError

    emitter.add_listener("state.saved", listen)
    emitter.add_listener("state.loaded", fail)
    async with FileSystemStateStore(emitter, state_dir=folder) as store:
        assert store.events is emitter
        await store.save("clock", 1)
        await store.load("clock")
        with anyio.fail_after(PATIENCE_S):
            await done.wait()
    assert heard == ["state.saved"]


async def test_events_come_in_the_thread_of_the_event_loop(folder: Path) -> None:
    threads: list[int] = []
    store, events = listening(folder)
    events.on("*", lambda event: threads.append(threading.get_ident()))
    await store.save("clock", 1)
    await store.save("clock", 2)
    assert set(threads) == {threading.get_ident()}


async def test_stores_have_emitters_of_their_own(folder: Path) -> None:
    one = FileSystemStateStore(state_dir=folder)
    other = FileSystemStateStore(state_dir=folder)
    assert one.events is not other.events

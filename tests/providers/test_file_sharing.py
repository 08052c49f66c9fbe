"""FileStateStore: writes that share a document's write, reads that share a read.

Start at `test_writes_that_wait_are_made_in_one`.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from latency_kv.documents.store import FileSystemStateStore
from latency_kv.errors import StateParseError, StateWriteError
from latency_kv.providers import file
from latency_kv.providers.file import FileStateStore

pytestmark = pytest.mark.anyio


class Gate:
    """Lets a document's updates or loads through when it is open, and counts them."""

    def __init__(self) -> None:
        self.count = 0
        self.opened = anyio.Event()

    def before(self, function: Callable[..., Awaitable[Any]]) -> Any:
        async def gated(*arguments: Any) -> Any:
            self.count += 1
            await self.opened.wait()
            return await function(*arguments)

        return gated


@pytest.fixture
def states(folder: Path) -> FileStateStore:
    documents_dir = folder / "states"
    documents_dir.mkdir(mode=0o700)
    return FileStateStore(documents_dir, durable=False)


@pytest.fixture
def updates(states: FileStateStore, monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    documents = states._documents
    monkeypatch.setattr(documents, "update", gate.before(documents.update))
    return gate


@pytest.fixture
def loads(states: FileStateStore, monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    documents = states._documents
    monkeypatch.setattr(documents, "load", gate.before(documents.load))
    gate.opened.set()
    return gate


@asynccontextmanager
async def begun(
    states: FileStateStore, values: dict[str, Any]
) -> AsyncIterator[list[BaseException]]:
    """Set values in tasks of their own, begun in this order; collect what they raise."""
    errors: list[BaseException] = []

    async def set_one(key: str, value: Any) -> None:
        try:
            await states.set(key, value)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for key, value in values.items():
            tasks.start_soon(set_one, key, value)
            await anyio.wait_all_tasks_blocked()
        yield errors


async def test_writes_that_wait_are_made_in_one(
    states: FileStateStore, updates: Gate
) -> None:
    values = {f"key:{number:02}": number for number in range(30)}
    async with begun(states, values) as errors:
        assert updates.count == 1
        updates.opened.set()
    assert not errors and updates.count == 1
    assert await states.get_many(values) == [*range(30)]


async def test_they_are_made_in_the_order_of_their_calls(
    states: FileStateStore, updates: Gate
) -> None:
    outcomes: list[bool] = []

    async def claim(value: int) -> None:
        outcomes.append(await states.set_if_absent("key", value))

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(claim, number)
            await anyio.wait_all_tasks_blocked()
        updates.opened.set()
    assert outcomes == [True, False, False, False, False]
    assert await states.get("key") == 0
    assert updates.count == 1


async def test_failure_is_told_to_each_with_its_key(
    states: FileStateStore, updates: Gate
) -> None:
    states.documents_dir.rmdir()
    states.documents_dir.write_text("no folder")
    async with begun(states, {"a": 1, "b": 2}) as errors:
        updates.opened.set()
    assert updates.count == 1
    assert all(isinstance(error, StateWriteError) for error in errors)
    assert errors[0] is not errors[1]
    keys = [error.key for error in errors if isinstance(error, StateWriteError)]
    assert sorted(map(str, keys)) == ["a", "b"]
    assert all(error.__cause__ is not None for error in errors)


async def test_who_comes_amid_a_failure_has_a_write_of_its_own(
    states: FileStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = states._documents
    update = documents.update
    amid, come = anyio.Event(), anyio.Event()

    async def failing(name: str, change: Callable[[Any], Any]) -> None:
        change(None)
        monkeypatch.setattr(documents, "update", update)
        amid.set()
        await come.wait()
        raise StateWriteError(name, "the disk is full")

    monkeypatch.setattr(documents, "update", failing)
    async with (
        begun(states, {"first": 0}) as errors,
        begun(states, {"late": 1}) as late,
    ):
        await amid.wait()
        come.set()
    assert [type(error) for error in errors] == [StateWriteError] and not late
    assert await states.keys() == ["late"]


async def test_failure_of_one_is_not_the_others(
    states: FileStateStore, updates: Gate
) -> None:
    folder = states.documents_dir
    async with FileSystemStateStore(state_dir=folder, max_backups=0) as documents:
        fields = {"values": {}, "ends": {}, "encoded": {"deep": "no JSON"}}
        await documents.save("default", fields)
    failed: list[StateParseError] = []

    async def compare() -> None:
        try:
            await states.compare_and_set("deep", 1, 2)
        except StateParseError as error:
            failed.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(compare)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(states.set, "a", 1)
        await anyio.wait_all_tasks_blocked()
        updates.opened.set()
    assert [error.key for error in failed] == ["deep"]
    assert await states.get("a") == 1


async def test_who_is_cancelled_before_it_began_leaves_the_others_theirs(
    states: FileStateStore, updates: Gate
) -> None:
    scope = anyio.CancelScope()

    async def cancelled() -> None:
        with scope:
            await states.set("first", 0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancelled)
        await anyio.wait_all_tasks_blocked()
        async with begun(states, {"a": 1, "b": 2}) as errors:
            scope.cancel()
            with anyio.fail_after(10):
                while updates.count < 2:
                    await anyio.lowlevel.checkpoint()
            updates.opened.set()
    assert not errors
    assert await states.keys() == ["a", "b"]


@pytest.mark.parametrize("is_native", [False, True])
async def test_who_is_cancelled_amid_it_has_written_for_all(
    states: FileStateStore, updates: Gate, is_native: bool, anyio_backend_name: str
) -> None:
    scope = anyio.CancelScope()
    first: list[asyncio.Task[Any] | None] = []
    is_cancelled = False

    async def leading() -> None:
        nonlocal is_cancelled
        with scope:
            if anyio_backend_name == "asyncio":
                first.append(asyncio.current_task())
            try:
                await states.set("first", 0)
            except anyio.get_cancelled_exc_class():
                is_cancelled = True
                raise

    def clock() -> float:
        # Asked when all have been taken, and before they are written.
        if is_native and first and first[0] is not None:
            first[0].cancel()
        else:
            scope.cancel()
        return 1.0

    if is_native and anyio_backend_name != "asyncio":
        pytest.skip("asyncio's own")
    states.clock = clock
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leading)
        await anyio.wait_all_tasks_blocked()
        async with begun(states, {"a": 1, "b": 2}) as errors:
            updates.opened.set()
    # A scope is looked at where something waits, and nothing does after the write.
    assert is_cancelled or not is_native
    assert not errors and updates.count == 1
    scope = anyio.CancelScope()
    assert await FileStateStore(states.documents_dir).keys() == ["a", "b", "first"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_is_cancelled_amid_a_failure_leaves_it_to_the_others(
    states: FileStateStore, updates: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader: list[asyncio.Task[Any]] = []

    def clock() -> float:
        leader[0].cancel()
        return 1.0

    def write(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    states.clock = clock
    monkeypatch.setattr(states._documents._files, "write", write)
    leader.append(asyncio.create_task(states.set("first", 0)))
    await anyio.wait_all_tasks_blocked()
    async with begun(states, {"a": 1, "b": 2}) as errors:
        updates.opened.set()
    assert [type(error) for error in errors] == [StateWriteError] * 2
    with pytest.raises(asyncio.CancelledError):
        await leader[0]


async def test_end_waits_for_writes_that_wait(
    states: FileStateStore, updates: Gate
) -> None:
    async with (
        begun(states, {"a": 1, "b": 2}) as errors,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(states.aclose)
        await anyio.wait_all_tasks_blocked()
        updates.opened.set()
    assert not errors
    assert await FileStateStore(states.documents_dir).keys() == ["a", "b"]


async def test_end_that_was_cancelled_can_be_called_again(
    states: FileStateStore, updates: Gate
) -> None:
    async with begun(states, {"a": 1}) as errors:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await states.aclose()
        with pytest.raises(RuntimeError, match="is closed"):
            await states.get("a")
        updates.opened.set()
    assert not errors and not states._ended
    await states.aclose()
    assert states._ended


async def test_settled_document_is_read_once(
    states: FileStateStore, loads: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    await states.set_many({"a": [1], "b": 2})
    monkeypatch.setattr(file, "_SETTLED_NS", -1)
    for _ in range(5):
        value = await states.get("a")
        assert value == [1]
        value.append("not in the store")
        assert await states.keys() == ["a", "b"]
    assert loads.count == 1
    await FileStateStore(states.documents_dir, durable=False).set("a", [3])
    assert await states.get("a") == [3]
    assert loads.count == 2
    (states.documents_dir / "default.json").unlink()
    assert await states.get("a") is None


async def test_document_that_was_just_written_is_read_again(
    states: FileStateStore, loads: Gate
) -> None:
    """Another one may have its number, its size and its time."""
    await states.set("a", 1)
    path = states.documents_dir / "default.json"
    # Later than now, whatever this machine is up to.
    ahead = os.stat(path).st_mtime + 3_600
    os.utime(path, (ahead, ahead))
    for _ in range(3):
        assert await states.get("a") == 1
    assert loads.count == 3


async def test_document_that_is_replaced_amid_a_read_is_not_held(
    states: FileStateStore, loads: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_SETTLED_NS", -1)
    await states.set("a", "old")
    loads.opened = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(states.get, "a")
        await anyio.wait_all_tasks_blocked()
        await states.set("a", "new")
        loads.opened.set()
    assert states._held is None
    assert await states.get("a") == "new"

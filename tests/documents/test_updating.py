"""Updating: read-modify-write under one lock."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from documents.scenes import Witness, data_in, files
from latency_kv import FileSystemStateStore
from latency_kv.errors import StateWriteError

pytestmark = pytest.mark.anyio

# Nothing in a test waits for so long: what is put off by it is written for another
# reason.
LONG_S = 3600.0


async def test_update_gives_the_data_and_saves_what_comes_back(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", {"count": 1}, 5)
    witness.forget()
    new = await store.update("clock", lambda data: {"count": data["count"] + 1})
    state = await store.load("clock")
    assert state is not None
    assert new == state.data == {"count": 2}
    assert state.version == 5
    assert witness.names == ["state.backup.created", "state.saved", "state.loaded"]


async def test_update_without_a_document_is_given_none(
    store: FileSystemStateStore,
) -> None:
    assert await store.update("clock", lambda data: [data]) == [None]
    assert data_in(store) == [None]


async def test_update_awaits_a_coroutine(store: FileSystemStateStore) -> None:
    async def add(data: list[int]) -> list[int]:
        await anyio.lowlevel.checkpoint()
        return [*data, 1]

    await store.save("clock", [0])
    assert await store.update("clock", add) == [0, 1]
    assert data_in(store) == [0, 1]


async def test_update_may_change_the_data_in_place(store: FileSystemStateStore) -> None:
    def add(data: list[int]) -> list[int]:
        data.append(1)
        return data

    await store.save("clock", [0])
    await store.update("clock", add)
    assert data_in(store) == [0, 1]
    assert data_in(store, "clock.backup.1.json") == [0]


async def test_update_sets_the_version_it_is_given(
    store: FileSystemStateStore,
) -> None:
    await store.update("clock", lambda data: "x", 4)
    await store.update("clock", lambda data: "y")
    state = await store.load("clock")
    assert state is not None and state.version == 4


async def test_update_that_raises_raises_the_same_and_writes_nothing(
    store: FileSystemStateStore, witness: Witness
) -> None:
    error = KeyError("count")

    def fail(data: Any) -> Any:
        data["count"] = "half done"
        raise error

    await store.save("clock", {})
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(KeyError) as caught:
        await store.update("clock", fail)
    assert caught.value is error
    assert files(store.state_dir) == before
    assert witness.saw_error("update", error)


async def test_update_to_what_is_no_json_writes_nothing(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1)
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(StateWriteError) as caught:
        await store.update("clock", lambda data: {data})
    assert files(store.state_dir) == before
    assert witness.saw_error("update", caught.value)


async def test_updates_at_once_are_all_counted(store: FileSystemStateStore) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(store.update, "clock", lambda data: (data or 0) + 1)
    assert data_in(store) == 20

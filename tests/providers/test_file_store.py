"""FileStateStore: the contract, the document that it leaves, and others who write in it.

Start at `test_document_is_read_by_eye`.
"""

import errno
import json
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from documents.values import nested
from fresh import call_fresh
from latency_kv import FileSystemStateStore
from latency_kv.errors import (
    JsonValueError,
    StateFormatError,
    StateParseError,
    StateReadError,
    StateWriteError,
)
from latency_kv.facets.stores import OpenedStateStore
from latency_kv.json_values import MAX_DEPTH, encode_value
from latency_kv.providers.file import FileStateStore
from latency_kv.testing import StateStoreContract

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states(folder: Path, clock: Clock) -> FileStateStore:
    return FileStateStore(folder, durable=False, clock=clock)


def document_of(folder: Path, namespace: str = "default") -> Any:
    return json.loads((folder / f"{namespace}.json").read_bytes())


class TestContract(StateStoreContract):
    capabilities = (OpenedStateStore,)
    strict = True
    many = 300
    steps = 100

    @pytest.fixture
    def provider(self, folder: Path) -> FileStateStore:
        return FileStateStore(folder, durable=False, clock=Clock())

    async def pass_time(self, provider: Any, seconds: float) -> None:
        provider.clock.now += seconds

    def beside(self, provider: Any) -> Any:
        return FileStateStore(
            provider.documents_dir, durable=False, clock=provider.clock
        )


async def test_document_is_read_by_eye(states: FileStateStore, folder: Path) -> None:
    await states.set("seat:12A", {"sold": True, "price": 1.0})
    await states.set("theme", "dark", ttl=60)
    assert document_of(folder)["data"] == {
        "values": {"seat:12A": {"sold": True, "price": 1.0}, "theme": "dark"},
        "ends": {"theme": 1_700_000_060_000_000},
        "encoded": {},
    }
    assert sorted(os.listdir(folder)) == [".locks", "default.json"]
    if os.name == "posix":
        assert stat.S_IMODE((folder / "default.json").stat().st_mode) == 0o600


async def test_document_that_somebody_wrote_is_read(
    states: FileStateStore, folder: Path
) -> None:
    async with FileSystemStateStore(state_dir=folder) as documents:
        data = {"values": {"a": [1.0], "b": 1}, "ends": {"b": 1}, "encoded": {"c": "2"}}
        await documents.save("default", data)
    assert await states.keys() == ["a", "c"]
    assert await states.get_many(["a", "b", "c"]) == [[1.0], None, 2]
    await states.set("c", {})
    assert document_of(folder)["data"] == {
        "values": {"a": [1.0], "c": {}},
        "ends": {},
        "encoded": {},
    }


async def test_state_outlives_its_store(folder: Path, clock: Clock) -> None:
    async with FileStateStore(folder, clock=clock) as states:
        await states.set("a", None)
        await states.set("b", 1, ttl=10)
    async with FileStateStore(folder, clock=clock) as states:
        assert await states.get("a", "gone") is None
        clock.now += 9.5
        assert await states.keys() == ["a", "b"]
        clock.now += 0.5
        assert await states.keys() == ["a"]


async def test_reads_make_nothing(folder: Path) -> None:
    async with FileStateStore(folder / "new") as states:
        assert await states.get("a", 1) == 1
        assert await states.keys() == []
        assert await states.delete("a") is False
        assert await states.compare_and_set("a", 1, 2) is False
        await states.set_many({})
    assert not (folder / "new" / "default.json").exists()


async def test_write_that_changes_nothing_leaves_the_document(
    states: FileStateStore, folder: Path
) -> None:
    await states.set("a", 1)
    before = (folder / "default.json").stat()
    assert await states.set_if_absent("a", 2) is False
    assert await states.compare_and_set("a", 2, 3) is False
    assert await states.delete("b") is False
    after = (folder / "default.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


async def test_no_copy_of_what_was_deleted_is_kept(
    states: FileStateStore, folder: Path
) -> None:
    await states.set("a", "hunter2")
    await states.set("b", 1)
    await states.delete("a")
    texts = [path.read_text() for path in folder.glob("*") if path.is_file()]
    assert len(texts) == 1
    assert "hunter2" not in texts[0]


async def test_what_is_over_goes_with_the_next_write(
    states: FileStateStore, folder: Path, clock: Clock
) -> None:
    for number in range(5):
        await states.set(f"{number}", number, ttl=1)
    clock.now += 1
    await states.set("a", 1)
    assert document_of(folder)["data"]["values"] == {"a": 1}
    assert document_of(folder)["data"]["ends"] == {}


@pytest.mark.parametrize("depth", [97, 98, 99, 100])
async def test_values_may_be_as_deep_as_elsewhere(
    states: FileStateStore, folder: Path, depth: int, seed: int
) -> None:
    deep: Any = nested(Random(seed), depth, "\xe9")
    await states.set("a", deep, ttl=100)
    assert await states.get("a") == deep
    assert await states.get_many(["a", "a"]) == [deep, deep]
    assert bool(document_of(folder)["data"]["encoded"]) == (depth > MAX_DEPTH - 2)
    assert await states.compare_and_set("a", deep, [deep][0])
    assert await states.keys() == ["a"]
    await states.set("a", 1)
    assert document_of(folder)["data"] == {
        "values": {"a": 1},
        "ends": {},
        "encoded": {},
    }
    await states.set("a", deep)
    assert await states.delete("a")
    assert not await states.has("a")
    with pytest.raises(JsonValueError, match="^value.*deeper than 100"):
        await states.set("a", nested(Random(seed), 101, 1))


async def test_value_that_is_asked_for_twice_is_two(states: FileStateStore) -> None:
    await states.set("a", [1])
    one, other = await states.get_many(["a", "a"])
    one.append(2)
    assert other == [1]


OTHERS: list[Any] = [
    {"theme": "dark"},
    None,
    [],
    {"values": {}, "ends": {}},
    {"values": {}, "ends": {}, "encoded": {}, "more": {}},
    {"values": [], "ends": {}, "encoded": {}},
    {"values": {}, "ends": {"a": 1}, "encoded": {}},
    {"values": {"a": 1}, "ends": {"a": 1.0}, "encoded": {}},
    {"values": {"a": 1}, "ends": {"a": True}, "encoded": {}},
    {"values": {"a": 1}, "ends": {}, "encoded": {"a": "1"}},
    {"values": {}, "ends": {}, "encoded": {"a": 1}},
]


@pytest.mark.parametrize("data", OTHERS)
async def test_document_of_somebody_else_is_refused_and_stays(
    states: FileStateStore, folder: Path, data: Any
) -> None:
    """A plugin of the namespace's name has its document in the same folder, say."""
    async with FileSystemStateStore(state_dir=folder) as documents:
        await documents.save("default", {"first": 1})
        await documents.save("default", data)
    before = {path: path.read_bytes() for path in folder.glob("*.json")}
    for call in (lambda: states.set("a", 1), lambda: states.get("a", 1)):
        with pytest.raises(StateParseError) as caught:
            await call()
        assert str(caught.value).startswith(f"key 'a' of file:{folder}?namespace=d")
        assert "not a state store's" in caught.value.reason
    with pytest.raises(StateParseError):
        await states.__aenter__()
    assert {path: path.read_bytes() for path in folder.glob("*.json")} == before


async def test_encoded_text_that_is_no_value_is_told(
    states: FileStateStore, folder: Path
) -> None:
    async with FileSystemStateStore(state_dir=folder) as documents:
        data = {"values": {}, "ends": {}, "encoded": {"a": "[1"}}
        await documents.save("default", data)
    with pytest.raises(StateParseError, match=r"^key 'a' of file:.*it is no JSON"):
        await states.get("a")
    assert await states.has("a")


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"{}"])
async def test_damaged_document_is_refused_and_stays(
    states: FileStateStore, folder: Path, raw: bytes
) -> None:
    path = folder / "default.json"
    path.write_bytes(raw)
    for call in (
        lambda: states.set("a", 1),
        lambda: states.get("a", 1),
        lambda: states.set_many({"a": 1}),
        states.keys,
    ):
        with pytest.raises(StateParseError) as caught:
            await call()
        assert caught.value.path == path
        assert caught.value.store == f"file:{folder}?namespace=default"
    assert path.read_bytes() == raw
    path.write_bytes(b'{"format": 2}')
    with pytest.raises(StateFormatError, match="newer release"):
        await states.get("a")


async def test_folder_that_is_none_is_told_with_key_and_store(folder: Path) -> None:
    (folder / "file").write_text("")
    states = FileStateStore(folder / "file")
    with pytest.raises(StateWriteError, match=f"^key 'a' of file:{folder}/file") as no:
        await states.set("a", 1)
    assert no.value.errno in (errno.ENOTDIR, errno.EEXIST)
    with pytest.raises(StateReadError, match="^key 'a' of file:"):
        await states.get("a")


async def test_value_that_is_too_large_is_told(
    states: FileStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await states.set("a", 1)
    monkeypatch.setattr("latency_kv.documents.document.MAX_SIZE", 1_000)
    with pytest.raises(StateWriteError, match="^key 'b' of file:.* at most 1000"):
        await states.set("b", "x" * 1_000)
    assert await states.keys() == ["a"]


async def test_url_in_messages_is_one_that_opens_the_store(folder: Path) -> None:
    strange = folder / "a b?#%@\xe9"
    async with FileStateStore(strange, "n") as states:
        await states.set("a", 1)
        url = repr(states).removeprefix("FileStateStore('").removesuffix("')")
    from latency_kv.providers.state_stores import open_state_store

    async with open_state_store(url) as again:
        assert repr(again) == repr(states)
        assert await again.get("a") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
async def test_folder_may_have_any_name(folder: Path) -> None:
    strange = os.fsdecode(os.fsencode(folder) + b"/\xff")
    async with FileStateStore(strange, durable=False) as states:
        await states.set("a", 1)
        repr(states).encode()
    assert os.listdir(os.fsencode(strange)).count(b"default.json") == 1


async def test_changes_of_stores_side_by_side_are_all_made(folder: Path) -> None:
    first, second = (FileStateStore(folder, durable=False) for _ in range(2))
    async with first, second, anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(first.set, f"a{number}", number)
            tasks.start_soon(second.set, f"b{number}", number)
    assert len(await FileStateStore(folder).keys()) == 40


def count_up(folder: str, times: str) -> None:
    """Add to a number by compare_and_set, as often as it takes."""

    async def main() -> None:
        async with FileStateStore(folder, durable=False) as states:
            await states.set_if_absent("n", 0)
            for _ in range(int(times)):
                while True:
                    old = await states.get("n")
                    if await states.compare_and_set("n", old, old + 1):
                        break

    anyio.run(main)


async def test_processes_count_without_losing_one(folder: Path) -> None:
    function = "providers.test_file_store:count_up"
    async with anyio.create_task_group() as processes:
        for _ in range(2):
            processes.start_soon(
                anyio.to_thread.run_sync, call_fresh, function, str(folder), "25"
            )
    assert await FileStateStore(folder).get("n") == 50


async def test_stored_value_is_compared_as_json(
    states: FileStateStore, folder: Path
) -> None:
    await states.set("a", {"x": 1, "y": [0.0]})
    assert not await states.compare_and_set("a", {"x": 1, "y": [0]}, 1)
    assert not await states.compare_and_set("a", {"x": True, "y": [0.0]}, 1)
    assert await states.compare_and_set("a", {"y": [0.0], "x": 1}, None)
    assert document_of(folder)["data"]["values"] == {"a": None}


async def test_value_that_is_refused_changes_nothing(
    states: FileStateStore, folder: Path
) -> None:
    for value in ((1,), float("nan"), "\ud800", {1: 1}):
        with pytest.raises(JsonValueError, match="^value"):
            encode_value(value)
        with pytest.raises(JsonValueError, match="^value"):
            await states.set("a", value)
        with pytest.raises(JsonValueError, match="^value"):
            await states.set_many({"b": 1, "a": value})
    assert not (folder / "default.json").exists()


async def test_end_is_an_end(states: FileStateStore) -> None:
    keys = states.iter_keys()
    async with states as entered:
        assert entered is states
        await states.set("a", 1)
    await states.aclose()
    await states.aclose()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: states.get("a"),
        lambda: states.set("a", 1),
        lambda: states.delete("a"),
        lambda: states.has("a"),
        states.keys,
        lambda: states.set_if_absent("a", 1),
        lambda: states.compare_and_set("a", 1, 1),
        lambda: states.get_many([]),
        lambda: states.set_many({}),
        states.__aenter__,
        lambda: anext(keys),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="FileStateStore.*is closed"):
            await call()
    with pytest.raises(RuntimeError, match="is closed"):
        states.iter_keys()


async def test_end_waits_for_what_goes_on(folder: Path) -> None:
    states = FileStateStore(folder, durable=False)
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(states.set, f"{number}", number)
        # Each waits for its turn or for its thread.
        await anyio.wait_all_tasks_blocked()
        await states.aclose()
        found = await FileStateStore(folder).keys()
    assert len(found) == 10


async def test_store_that_was_never_used_ends_too(folder: Path) -> None:
    states = FileStateStore(folder / "none")
    await states.aclose()
    assert not (folder / "none").exists()

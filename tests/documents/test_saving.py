"""Saving: what a save leaves on disk.

Document 4, unit tests 2: save new state, overwrite existing state, create backup before
overwrite, rotate backups when limit exceeded, emit save events. Its write errors are in
test_failing_saves.py.
"""

import json
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any

import anyio
import pytest

from documents.scenes import Witness, data_in, files, occupied
from latency_kv import FileSystemStateStore
from latency_kv.documents.events import StateSavedEvent
from latency_kv.errors import StateWriteError

pytestmark = pytest.mark.anyio


class Colour(IntEnum):
    RED = 3


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
DEEP: Any = 1
for _ in range(200):
    DEEP = [DEEP]

NO_JSON: dict[str, Any] = {
    "a tuple": {"a": (1, 2)},
    "a set": {"users": [1, 2, {3}]},
    "bytes": b"raw",
    "a date": datetime(2024, 1, 1, tzinfo=UTC),
    "an integer key": {1: "one"},
    "a key None": {None: 1},
    "NaN": [float("nan")],
    "infinity": -float("inf"),
    "a lone surrogate": "\ud800",
    "a lone surrogate in a key": {"\udfff": 1},
    "too deep": DEEP,
    "a circle": CIRCLE,
    "an object": object(),
}


async def test_save_of_new_state_writes_a_document(store: FileSystemStateStore) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    await store.save("clock", {"nested": {"b\u00fc": [1, 2.5, None, True]}})
    assert list(files(store.state_dir)) == ["clock.json"]
    whole = json.loads((store.state_dir / "clock.json").read_bytes())
    assert list(whole) == ["version", "data", "metadata"]
    assert whole["version"] == 1
    assert whole["data"] == {"nested": {"b\u00fc": [1, 2.5, None, True]}}
    assert list(whole["metadata"]) == ["lastModified", "pluginName"]
    assert whole["metadata"]["pluginName"] == "clock"
    moment = datetime.strptime(
        whole["metadata"]["lastModified"], "%Y-%m-%dT%H:%M:%S.%fZ"
    ).replace(tzinfo=UTC)
    assert before <= moment <= datetime.now(UTC)


async def test_save_over_existing_state_replaces_it(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", {"old": 1})
    await store.save("clock", {"new": 2})
    assert data_in(store) == {"new": 2}


async def test_save_creates_backup_of_what_it_replaces(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", 1)
    before = (store.state_dir / "clock.json").read_bytes()
    await store.save("clock", 2)
    assert (store.state_dir / "clock.backup.1.json").read_bytes() == before


async def test_save_rotates_backups_beyond_the_limit(
    store: FileSystemStateStore,
) -> None:
    for number in range(7):
        await store.save("clock", number)
    kept = {name: data_in(store, name) for name in files(store.state_dir)}
    assert kept == {
        "clock.json": 6,
        "clock.backup.1.json": 5,
        "clock.backup.2.json": 4,
        "clock.backup.3.json": 3,
    }


async def test_save_emits_saved_with_version_and_size(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", {"a": "\u00fc"}, 4)
    size = (store.state_dir / "clock.json").stat().st_size
    assert witness.heard == [("state.saved", StateSavedEvent("clock", 4, size))]


@pytest.mark.parametrize("version", [0, 1, 7])
async def test_save_without_version_keeps_the_stored_one(
    store: FileSystemStateStore, version: int
) -> None:
    await store.save("clock", "a", version=version)
    await store.save("clock", "b")
    state = await store.load("clock")
    assert state is not None
    assert (state.version, state.data) == (version, "b")


async def test_first_save_without_version_is_version_1(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", "a", 9)
    await store.clear("clock")
    await store.save("clock", "b")
    state = await store.load("clock")
    assert state is not None
    assert state.version == 1


@pytest.mark.parametrize("version", [-1, True, 1.0, "1"], ids=repr)
async def test_save_refuses_what_is_no_version(
    store: FileSystemStateStore, version: Any
) -> None:
    with pytest.raises((TypeError, ValueError)):
        await store.save("clock", 1, version)
    assert files(store.state_dir) == {}


@pytest.mark.parametrize("data", NO_JSON.values(), ids=NO_JSON.keys())
async def test_save_of_what_is_no_json_raises_and_writes_nothing(
    store: FileSystemStateStore, witness: Witness, data: Any
) -> None:
    await store.save("clock", "good")
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(StateWriteError) as caught:
        await store.save("clock", data)
    assert caught.value.plugin_name == "clock"
    assert files(store.state_dir) == before
    assert witness.saw_error("save", caught.value)


async def test_save_takes_subclasses_as_their_base(store: FileSystemStateStore) -> None:
    await store.save("clock", OrderedDict(colour=Colour.RED))
    state = await store.load("clock")
    assert state is not None
    assert state.data == {"colour": 3}
    assert type(state.data["colour"]) is int


async def test_save_takes_the_data_as_it_is_at_the_call(
    store: FileSystemStateStore,
) -> None:
    data = {"users": ["ann"]}
    async with anyio.create_task_group() as group, occupied(store):
        group.start_soon(store.save, "clock", data)
        await anyio.wait_all_tasks_blocked()
        data["users"].append("bob")
    assert data_in(store) == {"users": ["ann"]}


async def test_save_pretty_prints_unless_told_otherwise(
    store: FileSystemStateStore, folder: Path
) -> None:
    await store.save("clock", {"a": 1})
    assert '\n  "version": 1,\n' in (folder / "clock.json").read_text()
    async with FileSystemStateStore(state_dir=folder, pretty_print=False) as terse:
        await terse.save("clock", {"a": "\u00fc"})
    raw = (folder / "clock.json").read_bytes()
    assert raw.endswith(b"}\n") and raw.count(b"\n") == 1
    assert "\u00fc".encode() in raw

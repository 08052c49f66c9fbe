"""StateManager: a store as one plugin sees it, whatever store that is.

Document 4, unit tests 9: verify scoped access, verify plugin name injection, verify all
methods work. Integration tests 1: a plugin saves state, loads state on restart,
migrates state, validates state.
"""

import inspect
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from latency_kv import FileSystemStateStore, StateData, StateManager
from latency_kv.errors import StateParseError
from latency_kv.facets.stores import (
    DocumentStateStore,
    Migration,
    StateMetadata,
    Validator,
)

pytestmark = pytest.mark.anyio

STATE = StateData(
    3, {"kept": "elsewhere"}, StateMetadata(datetime(2024, 1, 1, tzinfo=UTC), "clock")
)


class Elsewhere:
    """A store with the eight methods and no more, which notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def save(
        self, plugin_name: str, data: Any, /, version: int | None = None
    ) -> None:
        self.asked.append(("save", plugin_name, data, version))

    async def load(self, plugin_name: str, /) -> StateData[Any] | None:
        self.asked.append(("load", plugin_name))
        return STATE

    async def exists(self, plugin_name: str, /) -> bool:
        self.asked.append(("exists", plugin_name))
        return True

    async def clear(self, plugin_name: str, /) -> None:
        self.asked.append(("clear", plugin_name))

    async def migrate(
        self,
        plugin_name: str,
        /,
        target_version: int,
        migrations: Mapping[int, Migration],
    ) -> None:
        self.asked.append(("migrate", plugin_name, target_version, migrations))

    async def validate(self, plugin_name: str, validator: Validator, /) -> bool:
        self.asked.append(("validate", plugin_name, validator))
        return False

    async def restore(self, plugin_name: str, /, backup_index: int = 1) -> None:
        self.asked.append(("restore", plugin_name, backup_index))

    async def list_backups(self, plugin_name: str, /) -> list[str]:
        self.asked.append(("list_backups", plugin_name))
        return ["backup"]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileSystemStateStore]:
    async with FileSystemStateStore(state_dir=tmp_path / "state") as store:
        yield store


def check_types(elsewhere: Elsewhere) -> None:
    store: DocumentStateStore = elsewhere
    StateManager(store, "clock")


async def test_manager_injects_its_plugin_name_into_every_call() -> None:
    elsewhere = Elsewhere()
    manager = StateManager(elsewhere, "clock")
    migrations: dict[int, Migration] = {2: lambda data, version: data}

    def validator(data: Any) -> bool:
        return False

    await manager.save({"a": 1})
    await manager.save({"a": 2}, 4)
    await manager.save({"a": 3}, version=5)
    assert await manager.load() is STATE
    assert await manager.exists() is True
    await manager.clear()
    await manager.migrate(2, migrations)
    await manager.migrate(target_version=3, migrations=migrations)
    assert await manager.validate(validator) is False
    await manager.restore()
    await manager.restore(2)
    await manager.restore(backup_index=3)
    assert await manager.list_backups() == ["backup"]
    assert elsewhere.asked == [
        ("save", "clock", {"a": 1}, None),
        ("save", "clock", {"a": 2}, 4),
        ("save", "clock", {"a": 3}, 5),
        ("load", "clock"),
        ("exists", "clock"),
        ("clear", "clock"),
        ("migrate", "clock", 2, migrations),
        ("migrate", "clock", 3, migrations),
        ("validate", "clock", validator),
        ("restore", "clock", 1),
        ("restore", "clock", 2),
        ("restore", "clock", 3),
        ("list_backups", "clock"),
    ]


async def test_manager_tells_its_store_and_its_plugin() -> None:
    elsewhere = Elsewhere()
    manager = StateManager(elsewhere, "clock")
    assert manager.store is elsewhere
    assert manager.plugin_name == "clock"


async def test_manager_gives_access_to_its_plugin_alone(
    store: FileSystemStateStore,
) -> None:
    clock, watch = StateManager(store, "clock"), StateManager(store, "watch")
    await clock.save("tick")
    assert await watch.load() is None
    assert not await watch.exists()
    await watch.save("tock")
    await watch.save("tock tock")
    await watch.clear()
    state = await clock.load()
    assert state is not None and state.data == "tick"
    assert await clock.list_backups() == []


def test_no_method_of_the_manager_asks_for_a_plugin_name() -> None:
    for name, method in inspect.getmembers(StateManager, inspect.isfunction):
        if not name.startswith("_"):
            assert "plugin_name" not in inspect.signature(method).parameters, name


async def test_all_methods_work_over_files(store: FileSystemStateStore) -> None:
    manager = StateManager(store, "clock")
    await manager.save("a", 1)
    await manager.migrate(2, {2: lambda data, version: data + "b"})
    assert await manager.validate(lambda data: data == "ab") is True
    assert await manager.update(lambda data: data + "c") == "abc"
    state = await manager.load()
    assert state is not None
    assert (state.data, state.version) == ("abc", 2)
    assert len(await manager.list_backups()) == 2
    await manager.restore(2)
    state = await manager.load()
    assert state is not None
    assert (state.data, state.version) == ("a", 1)
    await manager.save_later("later", 7, delay=3600, max_delay=3600)
    state = await manager.load()
    assert state is not None
    assert (state.data, state.version) == ("later", 7)
    await manager.clear()
    assert await manager.exists() is False


async def test_manager_updates_with_a_version(store: FileSystemStateStore) -> None:
    manager = StateManager(store, "clock")
    assert await manager.update(lambda data: [data], version=4) == [None]
    state = await manager.load()
    assert state is not None and state.version == 4


async def test_manager_recovers(store: FileSystemStateStore) -> None:
    manager = StateManager(store, "clock")
    await manager.save("good")
    await manager.save("better")
    (store.state_dir / "clock.json").write_bytes(b"damage")
    with pytest.raises(StateParseError):
        await manager.load()
    state = await manager.load(recover=True)
    assert state is not None and state.data == "good"


async def test_manager_over_a_plain_store_says_what_it_cannot() -> None:
    manager = StateManager(Elsewhere(), "clock")
    with pytest.raises(TypeError, match="Elsewhere.*update"):
        await manager.update(lambda data: data)
    with pytest.raises(TypeError, match="Elsewhere.*save.later"):
        await manager.save_later(1)
    with pytest.raises(TypeError, match="Elsewhere.*recover"):
        await manager.load(recover=True)
    assert await manager.load(recover=False) is STATE


class Counter:
    """A plugin that counts how often it was loaded; its second release wants steps."""

    migrations: Mapping[int, Migration] = {
        2: lambda data, version: {"count": data},
        3: lambda data, version: {**data, "step": 1},
    }

    def __init__(self, release: int) -> None:
        self.release = release
        self.data: Any = None

    async def load(self, state: StateManager) -> None:
        if not await state.exists():
            await state.save(1 if self.release == 1 else {"count": 1, "step": 1})
        elif self.release == 1:
            await state.update(lambda count: count + 1)
        else:
            await state.migrate(3, self.migrations)
            await state.update(lambda d: {**d, "count": d["count"] + d["step"]})
            assert await state.validate(lambda data: {"count", "step"} == {*data})
        stored = await state.load()
        assert stored is not None
        self.data = stored.data


async def run_once(folder: Path, plugin: Counter) -> Any:
    """One life of a host."""
    async with FileSystemStateStore(state_dir=folder) as store:
        await plugin.load(StateManager(store, "counter"))
    return plugin.data


async def test_plugin_saves_state(tmp_path: Path) -> None:
    assert await run_once(tmp_path, Counter(1)) == 1
    assert json.loads((tmp_path / "counter.json").read_bytes())["data"] == 1


async def test_plugin_loads_state_on_restart(tmp_path: Path) -> None:
    assert [await run_once(tmp_path, Counter(1)) for _ in range(3)] == [1, 2, 3]


async def test_plugin_migrates_and_validates_state(tmp_path: Path) -> None:
    await run_once(tmp_path, Counter(1))
    assert await run_once(tmp_path, Counter(2)) == {"count": 2, "step": 1}
    assert await run_once(tmp_path, Counter(2)) == {"count": 3, "step": 1}
    assert json.loads((tmp_path / "counter.json").read_bytes())["version"] == 3

"""Documents and plugin state: what loads gives, and who is which kind of store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import reveal_type

from latency_kv import (
    DocumentStateStore,
    FileSystemStateStore,
    InMemoryStore,
    PluginStateStore,
    StateData,
    StateManager,
    StateStore,
)
from latency_kv.facets.stores import StateMetadata, UpdatableDocumentStateStore
from latency_kv.plugins import ObjectPluginState, StoredPluginState


async def managed(manager: StateManager) -> None:
    """A plugin's document by its manager."""
    state = await manager.load()
    reveal_type(state)  # StateData[Any] | None
    print(state.data)  # error: there may be none
    if state is not None:
        reveal_type(state.version)  # int
        reveal_type(state.data)  # Any
        reveal_type(state.metadata.plugin_name)  # str
        reveal_type(state.metadata.last_modified)  # datetime
        state.version = 2  # error: frozen
    reveal_type(await manager.load(recover=True))  # StateData[Any] | None
    reveal_type(await manager.update(lambda data: {**data, "seen": True}))  # Any
    reveal_type(await manager.list_backups())  # list[str]
    reveal_type(await manager.exists())  # bool
    reveal_type(await manager.validate(lambda data: "seen" in data))  # bool
    await manager.save({"seen": True}, 2)
    await manager.migrate(2, {2: lambda data, version: data})
    await manager.save({}, "2")  # error: a version is an int
    await manager.migrate(2, {2: lambda data: data})  # error: it is told the version


async def stored(store: DocumentStateStore) -> None:
    """The interface asks for the plugin's name."""
    reveal_type(await store.load("plugin"))  # StateData[Any] | None
    reveal_type(await store.list_backups("plugin"))  # list[str]
    await store.load()  # error: whose?
    await store.save({"seen": True})  # error: whose?


async def on_disk(store: FileSystemStateStore) -> None:
    """The store that is here does more than the interface."""
    reveal_type(await store.load("plugin", recover=True))  # StateData[Any] | None


def kept(state: PluginStateStore) -> None:
    """A plugin's own values are whatever it has set."""
    reveal_type(state.get("key"))  # Any
    reveal_type(state.get("key", 0))  # Any
    reveal_type(state.has("key"))  # bool
    reveal_type(state.delete("key"))  # bool
    state.set("key", object())
    state.set(b"key", 1)  # error: keys are str


async def shared(state: StateStore) -> None:
    """The facet is async."""
    reveal_type(await state.get("key"))  # Any
    reveal_type(await state.has("key"))  # bool
    reveal_type(await state.keys("prefix"))  # list[str]
    await state.set(b"key", 1)  # error: keys are str


# A document's type is the reader's to say; what is read as a subtype is read right.
MINE = StateData[dict[str, int]](1, {}, StateMetadata(datetime.now(UTC), "plugin"))
reveal_type(MINE.data)  # dict[str, int]
ANYBODYS: StateData[object] = MINE
StateData(1, {})  # error: no metadata
ON_DISK: UpdatableDocumentStateStore = FileSystemStateStore(state_dir=Path("state"))
DOCUMENTS: DocumentStateStore = ON_DISK
BY_REFERENCE: PluginStateStore = ObjectPluginState()
IN_THE_STORE: PluginStateStore = StoredPluginState(InMemoryStore(), "plugin")
SYNC: StateStore = ObjectPluginState()  # error: its methods are not async
BYTES: PluginStateStore = InMemoryStore()  # error: it keeps bytes alone
FileSystemStateStore(Path("state"))  # error: first comes who is told of events
NAMED: StateManager = StateManager(ON_DISK)  # error: whose?

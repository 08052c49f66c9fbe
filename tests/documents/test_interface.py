"""Interface: a store is what the protocol says, for readers and for type checkers.

Document 4, unit tests 1: verify interface contract, test type safety. `isinstance` sees
names only; that the signatures fit is for mypy, in the function that is never called.
"""

import inspect
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

import pytest

import latency_kv
from latency_kv import FileSystemStateStore, StateData, StateManager, documents
from latency_kv.documents import events
from latency_kv.facets.stores import DocumentStateStore, Migration, StateMetadata

METHODS = ["save", "load", "exists", "clear", "migrate", "validate", "restore"]
METHODS += ["list_backups"]


async def check_types(store: FileSystemStateStore) -> None:
    interface: DocumentStateStore = store
    migrations: Mapping[int, Migration] = {2: lambda data, version: data}
    state = await store.load("clock", recover=True)
    assert_type(state, StateData[Any] | None)
    assert state is not None
    assert_type(state.version, int)
    assert_type(state.metadata.last_modified, datetime)
    assert_type(await store.exists("clock"), bool)
    assert_type(await store.validate("clock", lambda data: True), bool)
    assert_type(await store.list_backups("clock"), list[str])
    assert_type(store.state_dir, Path)
    await interface.migrate("clock", 2, migrations)
    await store.save(1, "clock")  # type: ignore[arg-type]
    await store.save("clock", 1, "2")  # type: ignore[arg-type]


def test_store_is_a_document_store() -> None:
    assert isinstance(FileSystemStateStore(), DocumentStateStore)


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_what_the_protocol_says(name: str) -> None:
    promised = inspect.signature(getattr(DocumentStateStore, name)).parameters
    given = inspect.signature(getattr(FileSystemStateStore, name)).parameters
    assert inspect.iscoroutinefunction(getattr(FileSystemStateStore, name))
    for parameter, other in zip(promised.values(), given.values(), strict=False):
        assert (parameter.kind, parameter.default) == (other.kind, other.default)
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            assert parameter.name == other.name
    later = list(given.values())[len(promised) :]
    assert all(parameter.default is not parameter.empty for parameter in later)


def test_package_lends_what_users_name() -> None:
    assert {"FileSystemStateStore", "StateManager", "StateData"} <= {
        *latency_kv.__all__
    }
    assert latency_kv.StateManager is StateManager
    assert latency_kv.StateData is StateData
    for name in ("StateSavedEvent", "StateErrorEvent", "StateEvents"):
        assert getattr(documents, name) is getattr(events, name)


@pytest.mark.anyio
async def test_loaded_state_is_a_frozen_record(store: FileSystemStateStore) -> None:
    await store.save("clock", 1)
    state = await store.load("clock")
    assert isinstance(state, StateData) and isinstance(state.metadata, StateMetadata)
    with pytest.raises(AttributeError):
        state.version = 2  # type: ignore[misc]

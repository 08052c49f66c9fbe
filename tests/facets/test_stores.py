"""Stores: the engine satisfies its protocol, the records are frozen, names are told.

`isinstance` sees names only; that the signatures fit is for mypy, in the functions that
are never called.
"""

import dataclasses
import pickle
from datetime import UTC, datetime
from types import FunctionType
from typing import Any

import pytest

from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.facets import stores
from latency_kv.facets.stores import (
    ByteStateSnapshot,
    ByteStateStore,
    DocumentStateStore,
    PluginStateStore,
    ReadableByteState,
    StateData,
    StateMetadata,
    StateStore,
)

MEMBERS = (FunctionType, property)
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
DATA = StateData(1, {"count": 0}, StateMetadata(MOMENT, "my-plugin"))


class Values:
    """The smallest PluginStateStore."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value

    def delete(self, key: str) -> bool:
        return self.values.pop(key, self) is not self

    def has(self, key: str) -> bool:
        return key in self.values


def check_signatures(store: InMemoryStore, snapshot: StateSnapshot) -> None:
    bytes_store: ByteStateStore = store
    frozen: ByteStateSnapshot = snapshot
    values: PluginStateStore = Values()
    del bytes_store, frozen, values


def test_engine_is_a_byte_store() -> None:
    store = InMemoryStore()
    assert isinstance(store, ByteStateStore)
    assert isinstance(store, ReadableByteState)
    assert isinstance(store.snapshot(), ByteStateSnapshot)
    assert not isinstance(store.snapshot(), ByteStateStore)
    assert not isinstance(store, (DocumentStateStore, StateStore))
    assert not isinstance({}, ByteStateStore)


def test_byte_store_keeps_what_the_protocol_says() -> None:
    store: ByteStateStore = InMemoryStore()
    store.put(b"a", b"1")
    snapshot = store.snapshot()
    store.put(bytearray(b"b"), memoryview(b"22"))
    assert (len(store), store.size_bytes()) == (2, 5)
    assert list(store.range_scan(None, b"b")) == [(b"a", b"1")]
    assert list(store.prefix_scan(b"", reverse=True, limit=1)) == [(b"b", b"22")]
    assert store.delete(b"a") and not store.delete(b"a")
    assert (store.get(b"a"), store.get(b"a", 7)) == (None, 7)
    store.restore(snapshot)
    assert list(store.prefix_scan(b"")) == [(b"a", b"1")]
    assert store.contains(b"a") and not store.contains(b"b")
    assert snapshot.timestamp_ns > 0 and snapshot.version == 1
    store.clear()
    assert (len(store), len(snapshot)) == (0, 1)


def test_members_tell_the_stores_apart() -> None:
    values = Values()
    assert isinstance(values, PluginStateStore)
    assert not isinstance(values, (StateStore, ByteStateStore, DocumentStateStore))


def test_records_are_frozen_and_compare_by_content() -> None:
    assert DATA == StateData(1, {"count": 0}, StateMetadata(MOMENT, "my-plugin"))
    assert pickle.loads(pickle.dumps(DATA)) == DATA
    for record, name in [(DATA, "data"), (DATA.metadata, "plugin_name")]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, name, None)
    assert StateData[int](0, 0, DATA.metadata).data == 0


def test_every_member_of_a_protocol_is_documented() -> None:
    for name in stores.__all__:
        for member, value in vars(getattr(stores, name)).items():
            if not member.startswith("_") and isinstance(value, MEMBERS):
                assert value.__doc__, f"{name}.{member}"

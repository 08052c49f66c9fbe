"""Stores: the engine satisfies its protocol, the records are frozen, names are told.

`isinstance` sees names only; that the signatures fit is for mypy, in the functions that
are never called.
"""

import dataclasses
import inspect
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from types import FunctionType
from typing import Any

import pytest

from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.facets import stores
from latency_kv.facets.stores import (
    AtomicStateStore,
    BatchStateStore,
    ByteStateSnapshot,
    ByteStateStore,
    DocumentStateStore,
    ExpiringStateStore,
    OpenedStateStore,
    PagedStateStore,
    PluginStateStore,
    ReadableByteState,
    StateData,
    StateMetadata,
    StateStore,
)

MEMBERS = (FunctionType, property)

# What each capability adds to the five methods of a StateStore; `?` may be left out, and
# comes by its name where there is a star before it.
CAPABILITIES: dict[type, dict[str, str | None]] = {
    AtomicStateStore: {
        "set_if_absent": "key value",
        "compare_and_set": "key expected new",
    },
    BatchStateStore: {
        "set_many_is_atomic": None,
        "get_many": "keys",
        "set_many": "values",
    },
    ExpiringStateStore: {"ttl_resolution": None, "set": "key value *ttl?"},
    PagedStateStore: {"iter_keys": "prefix?"},
}
FIVE = ["get", "set", "delete", "has", "keys"]
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


def own_members(protocol: type) -> dict[str, str | None]:
    """The members that a Protocol adds, each with its parameters, None if it has none."""
    return {
        name: None if isinstance(member, property) else parameters_of(member)
        for name, member in vars(protocol).items()
        if not name.startswith("_") and isinstance(member, MEMBERS)
    }


def parameters_of(method: Callable[..., Any]) -> str:
    _, *parameters = inspect.signature(method).parameters.values()
    return " ".join(
        ("*" if each.kind is each.KEYWORD_ONLY else "")
        + each.name
        + ("" if each.default is each.empty else "?")
        for each in parameters
    )


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_capability_adds_its_members_and_no_others(capability: type) -> None:
    assert own_members(capability) == CAPABILITIES[capability]


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_isinstance_asks_for_every_member_of_a_capability(capability: type) -> None:
    """Also for those of a StateStore; that `set` has a ttl is not seen by its name."""
    members = {*FIVE, *CAPABILITIES[capability]}
    provider = type("Provider", (), dict.fromkeys(members, lambda self: None))()
    assert isinstance(provider, capability)
    assert isinstance(provider, StateStore)
    assert not isinstance(provider, OpenedStateStore)
    for missing in members:
        rest = dict.fromkeys(members - {missing}, lambda self: None)
        assert not isinstance(type("Provider", (), rest)(), capability), missing


def test_bare_store_has_no_capability() -> None:
    store = type("Provider", (), dict.fromkeys(FIVE, lambda self: None))()
    assert isinstance(store, StateStore)
    assert not isinstance(store, (*CAPABILITIES, OpenedStateStore))


def test_opened_store_has_all_capabilities_and_an_end() -> None:
    assert {*OpenedStateStore.__mro__} >= {*CAPABILITIES, StateStore}
    assert {"aclose", "__aenter__", "__aexit__"} <= {*vars(OpenedStateStore)}
    assert parameters_of(OpenedStateStore.set) == "key value *ttl?"


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

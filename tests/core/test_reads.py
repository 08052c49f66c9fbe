"""Reads: get, contains, get_many and the sizes of a store.

Keys and values come from any contiguous buffer and go out as bytes. Ordered reads are
in test_scans.py.
"""

import array
import sys

import pytest

from core.keys import FIXED_KEYS, LONGEST
from core.waiting import eventually
from latency_kv import InMemoryStore

BUFFERS = [
    bytes,
    bytearray,
    memoryview,
    lambda data: memoryview(bytearray(data)),
    lambda data: memoryview(b"xx" + data + b"xx")[2:-2],
    lambda data: array.array("B", data),
]


@pytest.mark.parametrize("key", [*FIXED_KEYS, b"k" * LONGEST], ids=lambda key: key[:9])
def test_any_bytes_are_a_key(key: bytes) -> None:
    store = InMemoryStore({key: b"value"})
    assert store.get(key) == b"value"
    assert store.contains(key)
    assert key in store
    assert list(store) == [key]


def test_neighbouring_keys_are_different_keys() -> None:
    entries = {key: b"%d" % number for number, key in enumerate(FIXED_KEYS)}
    store = InMemoryStore(entries)
    assert store == entries
    assert not store.contains(b"a\x00\x00\x00")
    assert b"\xff" * 3 not in store


@pytest.mark.parametrize("size", [0, 1, 15, 16, 1_023, 1_024, 1_025, 70_000])
def test_values_of_any_size_come_back_as_bytes(size: int) -> None:
    value = bytes(range(256)) * (size // 256 + 1)
    value = value[:size]
    store = InMemoryStore({b"key": value, b"other": bytearray(value)})
    assert type(store.get(b"key")) is type(store[b"other"]) is bytes
    assert store[b"key"] == store[b"other"] == value


@pytest.mark.parametrize("make", BUFFERS)
def test_any_contiguous_buffer_is_a_key_and_a_value(make: object) -> None:
    assert callable(make)
    store = InMemoryStore()
    store.put(make(b"key"), make(b"value"))
    assert store.get(make(b"key")) == b"value"
    assert store.contains(make(b"key"))
    assert make(b"key") in store
    assert store.get_many([make(b"key")]) == [b"value"]
    assert store.delete(make(b"key"))


def test_numpy_arrays_are_buffers() -> None:
    numpy = pytest.importorskip("numpy")
    rows = numpy.frombuffer(b"key1key2", dtype=numpy.uint8).reshape(2, 4)
    store = InMemoryStore((row, row) for row in rows)
    assert store == {b"key1": b"key1", b"key2": b"key2"}
    with pytest.raises((BufferError, ValueError)):
        store.put(rows[:, ::2], b"value")


def test_subclass_of_bytes_is_stored_as_bytes() -> None:
    class Text(bytes):
        pass

    store = InMemoryStore({Text(b"key"): Text(b"v" * 5_000)})
    assert [type(part) for part in next(iter(store.items()))] == [bytes, bytes]
    assert store == {b"key": b"v" * 5_000}


def test_get_many_keeps_order_and_repeats() -> None:
    store = InMemoryStore({b"a": b"1", b"b": b"2"})
    keys = [b"b", b"absent", b"a", b"b", b""]
    expected = [b"2", None, b"1", b"2", None]
    assert store.get_many(keys) == expected
    assert store.get_many(iter(keys)) == expected
    assert store.get_many(tuple(keys)) == expected
    assert store.get_many([]) == []
    assert store.snapshot().get_many(keys) == expected


def test_get_many_of_more_keys_than_a_batch_prefetches() -> None:
    entries = {number.to_bytes(8, "big"): b"%d" % number for number in range(5_000)}
    store = InMemoryStore(entries)
    keys = [number.to_bytes(8, "big") for number in range(6_000)]
    assert store.get_many(keys) == [entries.get(key) for key in keys]


def test_get_many_takes_the_keys_of_a_dict_and_of_a_store() -> None:
    entries = {b"b": b"2", b"a": b"1"}
    store = InMemoryStore(entries)
    assert store.get_many(entries) == [b"2", b"1"]
    assert store.get_many(store) == [b"1", b"2"]


def test_size_bytes_counts_live_keys_and_values() -> None:
    store = InMemoryStore()
    assert store.size_bytes() == 0
    store.put(b"four", b"value")
    assert store.size_bytes() == 9
    store.put(b"four", b"longer value")
    assert store.size_bytes() == 16
    store.put(b"four", bytes(5_000))
    assert store.size_bytes() == 5_004
    store.put(b"", b"")
    assert store.size_bytes() == 5_004
    store.delete(b"absent")
    store.delete(b"four")
    assert store.size_bytes() == 0
    assert len(store) == 1


def test_memory_bytes_grows_with_the_store_and_is_its_sizeof() -> None:
    store = InMemoryStore()
    empty = store.memory_bytes()
    store.put_many((number.to_bytes(8, "big"), bytes(64)) for number in range(10_000))
    assert store.memory_bytes() > empty + store.size_bytes()
    assert sys.getsizeof(store) >= store.memory_bytes()


def test_memory_of_a_cleared_store_comes_back() -> None:
    store = InMemoryStore()
    store.put_many((number.to_bytes(8, "big"), bytes(64)) for number in range(10_000))
    full = store.memory_bytes()
    store.clear()
    assert eventually(lambda: store.memory_bytes() < full / 4)


def test_emptiness() -> None:
    store = InMemoryStore()
    assert store.is_empty()
    store.put(b"", b"")
    assert not store.is_empty()
    store.clear()
    assert store.is_empty()
    assert len(store) == 0


def test_stats_agree_with_the_store() -> None:
    store = InMemoryStore({b"key": b"value"})
    assert not store.stats().indexed
    scan, snapshot = store.prefix_scan(), store.snapshot()
    stats = store.stats()
    assert stats.indexed
    assert (stats.entries, stats.size_bytes) == (1, 8)
    assert stats.memory_bytes == store.memory_bytes()
    assert (stats.open_scans, stats.holders) == (1, 1)
    del scan, snapshot
    assert (store.stats().open_scans, store.stats().holders) == (0, 0)


def test_values_that_someone_holds_stay_as_they_were() -> None:
    """get writes the bytes objects that it gave anew, but only those that it holds alone."""
    entries = {b"key:%04d" % number: b"value%04d" % number for number in range(400)}
    for reader in (InMemoryStore(entries), InMemoryStore(entries).snapshot()):
        held = {}
        for number, key in enumerate(entries):
            value = reader.get(key)
            assert value is not None
            assert hash(value) == hash(bytes(bytearray(value)))
            if number % 3 == 0:
                held[key] = value
            elif number % 3 == 1:
                held[key] = memoryview(value)
        assert held == {key: entries[key] for key in held}

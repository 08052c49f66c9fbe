"""Large values: bytes above the threshold are held by reference, all else is copied.

The exception to "objects passed in are never kept alive" is an optimisation: it must not
show but in identity and time.
"""

import gc
import sys

import pytest

from core.waiting import eventually
from latency_kv import InMemoryStore

MEBIBYTE = bytes(1 << 20)


def test_large_bytes_are_put_and_got_without_a_copy() -> None:
    value = b"x" + MEBIBYTE
    store = InMemoryStore({b"key": value})
    assert store.get(b"key") is value
    assert store[b"key"] is value
    assert store.get_many([b"key"])[0] is value
    assert next(store.prefix_scan())[1] is value
    assert store.snapshot().get(b"key") is value
    assert store.copy().get(b"key") is value
    assert store.pop(b"key") is value


@pytest.mark.parametrize("size", [1_025, 5_000])
def test_every_writer_holds_by_reference(size: int) -> None:
    values = [bytes([number]) * size for number in range(6)]
    store = InMemoryStore()
    store.put(b"0", values[0])
    store[b"1"] = values[1]
    store.put_many({b"2": values[2]})
    store.put_if_absent(b"3", values[3])
    store.compare_and_swap(b"4", None, values[4])
    store.compute(b"5", lambda current: values[5])
    for number, value in enumerate(values):
        assert store[b"%d" % number] is value


@pytest.mark.parametrize("make", [bytearray, memoryview])
def test_other_buffers_are_copied(make: type[object]) -> None:
    source = bytearray(MEBIBYTE)
    store = InMemoryStore({b"key": make(source)})
    source[0] = 1
    assert store[b"key"] == MEBIBYTE
    assert type(store[b"key"]) is bytes


def test_subclass_of_bytes_is_not_kept_alive() -> None:
    alive = []

    class Counted(bytes):
        def __del__(self) -> None:
            alive.append(self)

    store = InMemoryStore({b"key": Counted(MEBIBYTE)})
    gc.collect()
    assert len(alive) == 1
    assert type(store[b"key"]) is bytes


def test_reference_is_given_back_by_every_way_out() -> None:
    value = b"y" + MEBIBYTE
    before = sys.getrefcount(value)
    store = InMemoryStore({b"%d" % number: value for number in range(6)})
    assert sys.getrefcount(value) == before + 6
    store.put(b"0", b"small")
    store.delete(b"1")
    store.pop(b"2")
    store.compare_and_swap(b"3", value, None)
    store.delete_range(b"4", b"5")
    store.first()
    assert eventually(lambda: sys.getrefcount(value) == before + 1)
    snapshot, copy, scan = store.snapshot(), store.copy(), store.prefix_scan()
    store.clear()
    copy.clear()
    del store, copy
    assert sys.getrefcount(value) == before + 1
    del snapshot, scan
    assert eventually(lambda: sys.getrefcount(value) == before)


def test_large_values_count_in_full() -> None:
    store = InMemoryStore({b"key": MEBIBYTE})
    assert store.size_bytes() == len(b"key") + len(MEBIBYTE)
    assert store.memory_bytes() >= len(MEBIBYTE)
    store.delete(b"key")
    assert store.size_bytes() == 0

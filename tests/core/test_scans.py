"""Scans: entries in bytewise key order, as they were when the scan was created.

Bounds, directions and limits first, then promise 4: whatever is written meanwhile, a
scan never skips, repeats or invents an entry. Held scans at random are in
test_model.py.
"""

import gc
from collections.abc import Callable, Iterator
from random import Random

import pytest

from core.keys import FIXED_KEYS, key_pool
from core.waiting import eventually
from latency_kv import InMemoryStore, StateSnapshot
from model import Model

Reads = InMemoryStore | StateSnapshot
MANY = {b"key/%05d" % number: b"value %d" % number for number in range(3_000)}


@pytest.fixture(params=["store", "ordered", "snapshot", "ordered snapshot", "copy"])
def reads(request: pytest.FixtureRequest) -> Reads:
    """FIXED_KEYS, each with itself for its value, in whatever can be scanned."""
    entries = {key: key for key in FIXED_KEYS}
    store = InMemoryStore(entries, ordered="ordered" in request.param)
    if "snapshot" in request.param:
        return store.snapshot()
    return store.copy() if request.param == "copy" else store


def own(keys: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(key, key) for key in keys]


def test_empty_prefix_is_everything(reads: Reads) -> None:
    everything = own(sorted(FIXED_KEYS))
    assert list(reads.prefix_scan(b"")) == everything
    assert list(reads.prefix_scan()) == everything
    assert list(reads.range_scan()) == everything
    assert list(reads.range_scan(None, None)) == everything
    assert list(reads.range_scan(b"")) == everything


@pytest.mark.parametrize("prefix", [*FIXED_KEYS, b"a\x00\x01", b"\xff\xfe", b"c"])
def test_prefix_scan_gives_exactly_the_prefix(reads: Reads, prefix: bytes) -> None:
    expected = sorted(key for key in FIXED_KEYS if key.startswith(prefix))
    assert list(reads.prefix_scan(prefix)) == own(expected)
    assert list(reads.prefix_keys(prefix)) == expected
    assert list(reads.prefix_scan(prefix, reverse=True)) == own(expected[::-1])


def test_prefix_of_0xff_does_not_run_over() -> None:
    store = InMemoryStore({b"\xfe\xff": b"", b"\xff": b"", b"\xff\xff\x00": b""})
    assert list(store.prefix_keys(b"\xff")) == [b"\xff", b"\xff\xff\x00"]
    assert list(store.prefix_keys(b"\xff\xff")) == [b"\xff\xff\x00"]
    assert list(store.prefix_keys(b"\xfe")) == [b"\xfe\xff"]
    assert store.delete_prefix(b"\xff") == 2
    assert list(store) == [b"\xfe\xff"]


@pytest.mark.parametrize("start", [None, *FIXED_KEYS[:8], b"a\x00", b"zz"])
@pytest.mark.parametrize("stop", [None, *FIXED_KEYS[4:], b"a\x01"])
def test_range_is_half_open(
    reads: Reads, start: bytes | None, stop: bytes | None
) -> None:
    model = Model(own(list(FIXED_KEYS)))
    for reverse in (False, True):
        expected = list(model.range_keys(start, stop, reverse=reverse))
        assert list(reads.range_keys(start, stop, reverse=reverse)) == expected
        scan = reads.range_scan(start, stop, reverse=reverse)
        assert list(scan) == own(expected)


def test_inverted_and_equal_ranges_are_empty(reads: Reads) -> None:
    assert list(reads.range_scan(b"b", b"a")) == []
    assert list(reads.range_scan(b"b", b"a", reverse=True)) == []
    assert list(reads.range_keys(b"a", b"a")) == []
    assert list(reads.range_keys(b"", b"")) == []
    assert list(reads.range_keys(b"\xff\xff", b"")) == []


@pytest.mark.parametrize("limit", [0, 1, 2, 12, 13, 14, 1 << 40, None])
def test_limit_counts_from_the_end_that_the_scan_starts_at(
    reads: Reads, limit: int | None
) -> None:
    keys = sorted(FIXED_KEYS)
    assert list(reads.prefix_keys(limit=limit)) == keys[:limit]
    assert list(reads.range_keys(limit=limit)) == keys[:limit]
    backwards = keys[::-1][:limit]
    assert list(reads.prefix_keys(reverse=True, limit=limit)) == backwards
    assert list(reads.range_scan(reverse=True, limit=limit)) == own(backwards)


def test_first_last_floor_ceiling_equal_the_model() -> None:
    random = Random(2)
    keys = key_pool(random, 500)
    store = InMemoryStore(own(keys[::2]))
    model = Model(own(keys[::2]))
    for key in keys:
        assert store.floor(key) == model.floor(key)
        assert store.ceiling(key) == model.ceiling(key)
        assert store.first(key) == model.first(key)
        assert store.last(key) == model.last(key)


def test_ends_of_an_empty_store_are_none() -> None:
    for empty in (InMemoryStore(), InMemoryStore(ordered=True).snapshot()):
        assert empty.first() is empty.last() is None
        assert empty.floor(b"key") is empty.ceiling(b"") is None
        assert list(empty.prefix_scan()) == list(empty.range_scan(reverse=True)) == []


def test_scan_is_an_iterator_that_stays_finished(reads: Reads) -> None:
    scan = reads.prefix_scan(b"a")
    assert iter(scan) is scan
    assert isinstance(scan, Iterator)
    assert len(list(scan)) == 4
    assert list(scan) == []
    with pytest.raises(StopIteration):
        next(scan)


def put_everything_again(store: InMemoryStore) -> None:
    store.put_many({key: b"other" for key in MANY})


def put_over_each(store: InMemoryStore) -> None:
    """With values of the same size, which a store that nobody sees writes in place."""
    for key, value in MANY.items():
        store.put(key, value.swapcase())


def put_between(store: InMemoryStore) -> None:
    store.put_many({key + b"+": b"new" for key in MANY})


def delete_everything(store: InMemoryStore) -> None:
    assert store.delete_many(MANY) == len(MANY)


def delete_by_prefix(store: InMemoryStore) -> None:
    assert store.delete_prefix(b"key/") == len(MANY)


def delete_and_put_back(store: InMemoryStore) -> None:
    delete_everything(store)
    store.put_many({key: b"other" for key in MANY})
    store.first()


def restore_another(store: InMemoryStore) -> None:
    store.restore(InMemoryStore({b"key/00001": b"other"}).snapshot())


def read_in_order_after_each_put(store: InMemoryStore) -> None:
    for number in range(300):
        store.put(b"key/%05d+" % number, b"new")
        store.delete(b"key/%05d" % number)
        store.ceiling(b"key/%05d" % number)


DISTURBANCES = [
    put_everything_again,
    put_over_each,
    put_between,
    delete_everything,
    delete_by_prefix,
    delete_and_put_back,
    restore_another,
    read_in_order_after_each_put,
    InMemoryStore.clear,
]


@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda call: call.__name__)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("read_before", [0, 1, 1_000])
def test_scan_sees_the_store_as_it_was(
    disturb: Callable[[InMemoryStore], None], reverse: bool, read_before: int
) -> None:
    store = InMemoryStore(MANY)
    expected = sorted(MANY.items(), reverse=reverse)
    scan = store.prefix_scan(b"key/", reverse=reverse)
    read = [next(scan) for _ in range(read_before)]
    disturb(store)
    store.check()
    assert read + list(scan) == expected
    store.check()


def test_scan_does_not_see_a_counter_go_on() -> None:
    store = InMemoryStore()
    store.increment(b"counter")
    scan = store.prefix_scan()
    assert store.increment(b"counter") == 2
    assert list(scan) == [(b"counter", (1).to_bytes(8, "little"))]


def test_scans_of_different_moments_live_side_by_side() -> None:
    store = InMemoryStore()
    scans = []
    for number in range(200):
        store.put(b"%04d" % number, b"")
        scans.append(store.range_keys())
        if number % 2:
            store.delete(b"%04d" % (number // 2))
    counts = [len(list(scan)) for scan in reversed(scans)][::-1]
    assert counts == [number + 1 - number // 2 for number in range(200)]
    store.check()


def test_scan_outlives_its_store() -> None:
    store = InMemoryStore(MANY)
    scan, backwards = store.prefix_scan(), store.snapshot().range_scan(reverse=True)
    next(scan)
    del store
    gc.collect()
    assert len(list(scan)) == len(MANY) - 1
    assert next(backwards) == max(MANY.items())


def test_scan_that_is_dropped_half_way_frees_what_it_held() -> None:
    store = InMemoryStore(MANY)
    store.first()
    before = store.memory_bytes()
    for _ in range(50):
        scan = store.prefix_scan()
        next(scan)
        store.put_many(MANY)
        del scan
    store.check()
    assert eventually(lambda: store.memory_bytes() < 2 * before + (1 << 16))


def test_large_store_is_scanned_in_order_after_random_writes() -> None:
    random = Random(4)
    keys = [random.randbytes(random.choice((4, 8, 12))) for _ in range(20_000)]
    store = InMemoryStore(own(keys[:10_000]))
    store.first()
    store.put_many(own(keys[10_000:]))
    store.delete_many(keys[5_000:12_000])
    expected = sorted({*keys} - {*keys[5_000:12_000]})
    assert list(store.prefix_keys()) == expected
    assert list(store.range_keys(reverse=True)) == expected[::-1]
    store.check()


def test_parts_that_someone_holds_stay_as_they_were() -> None:
    """A scan writes its own bytes objects anew, but only those that it alone holds."""
    entries = {b"key:%04d" % number: b"value%04d" % number for number in range(400)}
    store = InMemoryStore(entries)
    held: list[object] = []
    number = 0
    # No enumerate: it would hold each pair for a step, and nothing would be written anew.
    for key, value in store.prefix_scan():
        held.append([key, memoryview(value), (key, value), b"", key][number % 5])
        number += 1  # noqa: SIM113 - see above
    expected: list[object] = []
    for number, (key, value) in enumerate(sorted(entries.items())):
        expected.append([key, value, (key, value), b"", key][number % 5])
    assert held == expected


def test_parts_of_a_scan_have_hashes_of_their_own() -> None:
    store = InMemoryStore((b"key:%04d" % number, b"") for number in range(100))
    for key, _ in store.prefix_scan():
        assert hash(key) == hash(bytes(bytearray(key)))

"""Writes: what each changes, what it answers, and that a failing one changes nothing.

The store's own verbs; the mapping's are in test_mapping.py, wrong types in
test_bad_input.py. Start anywhere: each test is one sentence of docs/design.md.
"""

from collections.abc import Iterator

import pytest

from core.calls import Refused, refuse
from latency_kv import InMemoryStore

ENTRIES = {b"a": b"1", b"b": b"2", b"c": b"3"}
COUNTER_MIN, COUNTER_MAX = -(1 << 63), (1 << 63) - 1


@pytest.fixture
def store() -> Iterator[InMemoryStore]:
    store = InMemoryStore(ENTRIES)
    yield store
    store.check()


def test_put_overwrites_with_any_size(store: InMemoryStore) -> None:
    for size in (1, 0, 40, 3, 5_000, 2, 1_024, 1_025, 1_024):
        store.put(b"a", b"x" * size)
        assert store[b"a"] == b"x" * size
        assert store.size_bytes() == 5 + size
    assert len(store) == 3


def test_put_copies_its_input(store: InMemoryStore) -> None:
    for size in (3, 5_000):
        key, value = bytearray(b"key"), bytearray(size)
        store.put(key, value)
        key[:], value[:] = b"xxx", b"x" * size
        assert store[b"key"] == bytes(size)
        assert b"xxx" not in store


def test_put_of_a_values_own_bytes(store: InMemoryStore) -> None:
    store.put(b"a", store[b"a"])
    store.put(b"a", memoryview(store[b"a"]))
    store.put(b"b", b"x" * 5_000)
    store.put(b"b", store[b"b"])
    assert store == {**ENTRIES, b"b": b"x" * 5_000}


def test_delete_tells_whether_it_was_there(store: InMemoryStore) -> None:
    assert store.delete(b"a") is True
    assert store.delete(b"a") is False
    assert store == {b"b": b"2", b"c": b"3"}


def test_delete_of_absent_keys_leaves_the_store_as_it_was(store: InMemoryStore) -> None:
    memory = store.memory_bytes()
    for number in range(10_000):
        assert not store.delete(b"absent %d" % number)
    assert store.memory_bytes() == memory
    assert store == ENTRIES


def test_putting_and_deleting_for_ever_does_not_grow_the_store() -> None:
    store = InMemoryStore()
    for number in range(20_000):
        store.put(b"%d" % number, b"value")
        assert store.delete(b"%d" % (number - 50)) is (number >= 50)
        if number == 2_000:
            early = store.memory_bytes()
    assert store.memory_bytes() < 4 * early
    assert len(store) == 50
    store.check()


def test_put_if_absent_puts_once(store: InMemoryStore) -> None:
    assert store.put_if_absent(b"d", b"4") is True
    assert store.put_if_absent(b"d", b"5") is False
    assert store.put_if_absent(b"a", b"5") is False
    assert store == {**ENTRIES, b"d": b"4"}


def test_put_if_absent_takes_an_empty_value_for_present(store: InMemoryStore) -> None:
    assert store.put_if_absent(b"empty", b"")
    assert not store.put_if_absent(b"empty", b"value")


@pytest.mark.parametrize(
    ("key", "expected", "new", "swapped"),
    [
        (b"a", b"1", b"9", True),
        (b"a", b"1", b"1", True),
        (b"a", b"2", b"9", False),
        (b"a", b"", b"9", False),
        (b"a", b"1", None, True),
        (b"a", b"2", None, False),
        (b"a", None, b"9", False),
        (b"a", None, None, False),
        (b"z", None, b"9", True),
        (b"z", None, None, True),
        (b"z", b"1", b"9", False),
        (b"z", b"", None, False),
        (b"a", bytearray(b"1"), memoryview(b"x" * 5_000), True),
    ],
)
def test_compare_and_swap(
    store: InMemoryStore,
    key: bytes,
    expected: bytes | None,
    new: bytes | None,
    swapped: bool,
) -> None:
    assert store.compare_and_swap(key, expected, new) is swapped
    after = dict(ENTRIES)
    if swapped and new is None:
        after.pop(key, None)
    elif swapped and new is not None:
        after[key] = bytes(new)
    assert store == after


def test_compare_and_swap_compares_large_values(store: InMemoryStore) -> None:
    store.put(b"large", b"x" * 5_000)
    assert not store.compare_and_swap(b"large", b"x" * 4_999 + b"y", b"")
    assert not store.compare_and_swap(b"large", b"x" * 4_999, b"")
    assert store.compare_and_swap(b"large", b"x" * 5_000, b"")
    assert store[b"large"] == b""


def test_increment_counts_from_zero(store: InMemoryStore) -> None:
    assert store.increment(b"counter") == 1
    assert store.increment(b"counter", 41) == 42
    assert store.increment(b"counter", delta=-50) == -8
    assert store.increment(b"counter", 0) == -8
    assert store[b"counter"] == (-8).to_bytes(8, "little", signed=True)


def test_increment_reaches_both_ends(store: InMemoryStore) -> None:
    assert store.increment(b"top", COUNTER_MAX) == COUNTER_MAX
    assert store.increment(b"bottom", COUNTER_MIN) == COUNTER_MIN
    assert store.increment(b"bottom", COUNTER_MAX) == -1


@pytest.mark.parametrize(
    ("start", "delta"),
    [
        (COUNTER_MAX, 1),
        (COUNTER_MIN, -1),
        (COUNTER_MAX, COUNTER_MAX),
        (COUNTER_MIN, COUNTER_MIN),
        (0, COUNTER_MAX + 1),
        (0, COUNTER_MIN - 1),
        (-1, 1 << 64),
        (0, 1 << 200),
    ],
)
def test_increment_that_overflows_changes_nothing(
    store: InMemoryStore, start: int, delta: int
) -> None:
    store.increment(b"counter", start)
    before = dict(store)
    with pytest.raises(OverflowError):
        store.increment(b"counter", delta)
    assert store == before


@pytest.mark.parametrize("size", [0, 1, 4, 7, 9, 16, 5_000])
def test_increment_of_another_width_changes_nothing(
    store: InMemoryStore, size: int
) -> None:
    store.put(b"counter", bytes(size))
    with pytest.raises(ValueError, match="8"):
        store.increment(b"counter")
    assert store[b"counter"] == bytes(size)


def test_increment_takes_any_index(store: InMemoryStore) -> None:
    class Seven:
        def __index__(self) -> int:
            return 7

    assert store.increment(b"counter", Seven()) == 7  # type: ignore[arg-type]
    assert store.increment(b"counter", True) == 8


def test_increment_does_not_change_what_was_read(store: InMemoryStore) -> None:
    store.increment(b"counter", 1)
    read, snapshot = store[b"counter"], store.snapshot()
    scan = store.prefix_scan(b"counter")
    assert store.increment(b"counter", 1) == 2
    assert read == snapshot[b"counter"] == (1).to_bytes(8, "little")
    assert list(scan) == [(b"counter", read)]


def test_compute_gets_the_value_and_stores_the_new_one(store: InMemoryStore) -> None:
    seen: list[bytes | None] = []

    def function(current: bytes | None) -> bytes:
        seen.append(current)
        return (current or b"") + b"!"

    assert store.compute(b"a", function) == b"1!"
    assert store.compute(b"new", function) == b"!"
    assert seen == [b"1", None]
    assert store == {**ENTRIES, b"a": b"1!", b"new": b"!"}


def test_compute_of_none_deletes(store: InMemoryStore) -> None:
    assert store.compute(b"a", lambda current: None) is None
    assert store.compute(b"absent", lambda current: None) is None
    assert store == {b"b": b"2", b"c": b"3"}


def test_compute_takes_any_buffer(store: InMemoryStore) -> None:
    store.compute(b"a", lambda current: bytearray(b"buffer"))
    assert store[b"a"] == b"buffer"


def test_compute_that_raises_changes_nothing(store: InMemoryStore) -> None:
    with pytest.raises(Refused):
        store.compute(b"a", refuse)
    assert store == ENTRIES


@pytest.mark.parametrize("pairs", [dict, list, iter, InMemoryStore])
def test_put_many_takes_mappings_and_pairs(
    store: InMemoryStore, pairs: type[object]
) -> None:
    new = {b"a": b"new", b"d": bytes(5_000)}
    store.put_many(pairs(new if pairs in (dict, InMemoryStore) else new.items()))
    assert store == {**ENTRIES, **new}


def test_put_many_takes_pairs_of_any_sequence(store: InMemoryStore) -> None:
    store.put_many([[b"d", bytearray(b"4")], (memoryview(b"e"), b"5")])  # type: ignore[list-item]
    assert store == {**ENTRIES, b"d": b"4", b"e": b"5"}


def test_put_many_of_one_key_keeps_the_last(store: InMemoryStore) -> None:
    store.put_many([(b"a", b"first"), (b"b", b""), (b"a", b"last")])
    assert store == {**ENTRIES, b"a": b"last", b"b": b""}
    assert store.size_bytes() == len(b"alastbc3")


def test_put_many_of_itself_and_of_its_scan(store: InMemoryStore) -> None:
    store.put_many(store)
    store.put_many(store.prefix_scan())
    store.put_many((key + b"+", value) for key, value in store.prefix_scan())
    expected = {**ENTRIES, **{key + b"+": value for key, value in ENTRIES.items()}}
    assert store == expected


def test_put_many_of_nothing_changes_nothing(store: InMemoryStore) -> None:
    store.put_many({})
    store.put_many([])
    assert store == ENTRIES


@pytest.mark.parametrize("place", [0, 1, 500, 999])
@pytest.mark.parametrize("bad", [(b"key", 7), (7, b"value"), ("text", b""), 7, None])
def test_put_many_with_a_bad_entry_changes_nothing(
    store: InMemoryStore, place: int, bad: object
) -> None:
    entries: list[object] = [(b"%d" % number, b"new") for number in range(999)]
    entries.insert(place, bad)
    before = store.memory_bytes()
    with pytest.raises((TypeError, ValueError)):
        store.put_many(entries)  # type: ignore[arg-type]
    assert store == ENTRIES
    assert store.memory_bytes() <= before + (1 << 16)


def test_put_many_of_a_failing_iterable_changes_nothing(store: InMemoryStore) -> None:
    def failing() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b"new"
        yield b"d", b"new"
        raise Refused

    with pytest.raises(Refused):
        store.put_many(failing())
    with pytest.raises(Refused):
        store.update(failing())
    with pytest.raises(Refused):
        InMemoryStore(failing())
    assert store == ENTRIES


def test_delete_many_counts_what_was_there(store: InMemoryStore) -> None:
    assert store.delete_many([b"a", b"absent", b"a", b"c"]) == 2
    assert store.delete_many([]) == 0
    assert store == {b"b": b"2"}
    assert store.delete_many(store) == 1
    assert store.is_empty()


def test_delete_many_of_a_failing_iterable_changes_nothing(
    store: InMemoryStore,
) -> None:
    def failing() -> Iterator[bytes]:
        yield b"a"
        raise Refused

    with pytest.raises(Refused):
        store.delete_many(failing())
    with pytest.raises(TypeError):
        store.delete_many([b"a", 7])  # type: ignore[list-item]
    assert store == ENTRIES


def test_delete_prefix_and_range_take_what_a_scan_would_give() -> None:
    keys = [b"%c%c" % (high, low) for high in b"\x00ab\xff" for low in range(0, 256, 5)]
    for start, stop in [
        (b"a", b"b"),
        (None, b"a"),
        (b"b", None),
        (b"b", b"a"),
        (b"", b""),
    ]:
        store = InMemoryStore((key, key) for key in keys)
        doomed = list(store.range_keys(start, stop))
        assert store.delete_range(start, stop) == len(doomed)
        assert list(store) == sorted({*keys} - {*doomed})
        store.check()
    for prefix in (b"a", b"\xff", b"a\x05", b"absent"):
        store = InMemoryStore((key, key) for key in keys)
        doomed = list(store.prefix_keys(prefix))
        assert store.delete_prefix(prefix) == len(doomed)
        assert list(store) == sorted({*keys} - {*doomed})
        store.check()


def test_delete_of_the_whole_range_empties_the_store(store: InMemoryStore) -> None:
    assert store.copy().delete_prefix(b"") == 3
    assert store.delete_range(None, None) == 3
    assert store.is_empty()
    assert store.size_bytes() == 0


def test_clear_leaves_a_store_to_go_on_with(store: InMemoryStore) -> None:
    store.first()
    store.clear()
    store.clear()
    assert list(store) == []
    assert store.size_bytes() == 0
    store.put(b"a", b"again")
    assert list(store.items()) == [(b"a", b"again")]

"""Re-entrancy: code of the caller that runs in the middle of a call.

A function given to compute, an iterable, an index, a destructor, a buffer that changes
while it is read: each may write to the store. The call then ends as if it had taken its
arguments first, and the store is valid. Threads are in test_threads.py.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.calls import Refused, contents
from latency_kv import InMemoryStore

SMALL, LARGE = b"value", b"v" * 5_000


def put_many(store: InMemoryStore) -> None:
    store.put_many({b"inner/%04d" % number: b"" for number in range(2_000)})


def clear(store: InMemoryStore) -> None:
    store.clear()


def delete_all(store: InMemoryStore) -> None:
    store.delete_prefix(b"")


def restore_empty(store: InMemoryStore) -> None:
    store.restore(InMemoryStore().snapshot())


def restore_itself(store: InMemoryStore) -> None:
    store.restore(store.snapshot())


def read_in_order(store: InMemoryStore) -> None:
    assert list(store) == sorted(store)


def overwrite(store: InMemoryStore) -> None:
    for key in store:
        store.put(key, LARGE)


MEDDLERS = [
    put_many,
    clear,
    delete_all,
    restore_empty,
    restore_itself,
    read_in_order,
    overwrite,
]
Meddler = Callable[[InMemoryStore], None]

meddled = pytest.mark.parametrize("meddle", MEDDLERS, ids=lambda call: call.__name__)


@pytest.fixture
def store() -> Iterator[InMemoryStore]:
    store = InMemoryStore(contents(), ordered=True)
    yield store
    store.check()


def after(meddle: Meddler) -> dict[bytes, bytes]:
    """What a meddler alone makes of the store."""
    store = InMemoryStore(contents())
    meddle(store)
    return dict(store)


@meddled
@pytest.mark.parametrize("key", [b"large", b"route/JFK/0007", b"absent"])
def test_compute_that_writes_is_applied_on_top(
    store: InMemoryStore, meddle: Meddler, key: bytes
) -> None:
    seen = store.get(key)

    def function(current: bytes | None) -> bytes:
        meddle(store)
        assert current == seen
        return b"computed"

    assert store.compute(key, function) == b"computed"
    assert store == {**after(meddle), key: b"computed"}


@meddled
def test_compute_that_writes_then_deletes_or_raises(
    store: InMemoryStore, meddle: Meddler
) -> None:
    def delete(current: bytes | None) -> None:
        meddle(store)

    def fail(current: bytes | None) -> bytes:
        meddle(store)
        raise Refused

    expected = after(meddle)
    with pytest.raises(Refused):
        store.compute(b"large", fail)
    assert store == expected
    store.compute(b"large", delete)
    expected = dict(store)
    expected.pop(b"large", None)
    assert store == expected


def test_compute_within_compute_of_the_same_key(store: InMemoryStore) -> None:
    def outer(current: bytes | None) -> bytes:
        inner = store.compute(b"key", lambda value: b"inner")
        assert inner is not None
        assert store.delete(b"key")
        return inner + b" outer"

    assert store.compute(b"key", outer) == b"inner outer"
    assert store[b"key"] == b"inner outer"


def test_compute_key_is_taken_before_the_function_runs(store: InMemoryStore) -> None:
    key = bytearray(b"key")

    def function(current: bytes | None) -> bytes:
        key[:] = b"yek"
        return b"computed"

    store.compute(key, function)
    assert store.get(b"key") == b"computed"
    assert b"yek" not in store


@meddled
def test_iterable_that_writes_while_it_is_taken(
    store: InMemoryStore, meddle: Meddler
) -> None:
    def entries() -> Iterator[tuple[bytes, bytes]]:
        yield b"outer/1", SMALL
        meddle(store)
        yield b"outer/2", LARGE

    store.put_many(entries())
    assert store == {**after(meddle), b"outer/1": SMALL, b"outer/2": LARGE}


@meddled
def test_keys_that_write_while_they_are_taken(
    store: InMemoryStore, meddle: Meddler
) -> None:
    def keys() -> Iterator[bytes]:
        yield b"large"
        meddle(store)
        yield b"counter"

    expected = after(meddle)
    assert store.get_many(keys()) == [expected.get(b"large"), expected.get(b"counter")]
    meddle(store)
    expected = dict(store)
    present = sum(expected.pop(key, None) is not None for key in (b"large", b"counter"))
    assert store.delete_many([b"large", b"counter"]) == present
    assert store == expected


@meddled
def test_delete_many_of_keys_that_write(store: InMemoryStore, meddle: Meddler) -> None:
    def keys() -> Iterator[bytes]:
        yield b"large"
        meddle(store)

    expected = after(meddle)
    assert store.delete_many(keys()) == (expected.pop(b"large", None) is not None)
    assert store == expected


@meddled
def test_mapping_that_writes_while_it_is_read(
    store: InMemoryStore, meddle: Meddler
) -> None:
    class Meddling(dict[bytes, bytes]):
        def items(self) -> Any:
            meddle(store)
            return super().items()

        def keys(self) -> Any:
            meddle(store)
            return super().keys()

        def __getitem__(self, key: bytes) -> bytes:
            meddle(store)
            return super().__getitem__(key)

    store.update(Meddling({b"outer": SMALL}))
    assert store[b"outer"] == SMALL
    store.put_many(Meddling({b"outer/2": LARGE}))
    assert store[b"outer/2"] == LARGE


@meddled
def test_index_that_writes(store: InMemoryStore, meddle: Meddler) -> None:
    class Meddling:
        def __index__(self) -> int:
            meddle(store)
            return 1

    one: Any = Meddling()
    counter = after(meddle).get(b"counter", b"")
    if len(counter) in (0, 8):
        expected = int.from_bytes(counter, "little") + 1
        assert store.increment(b"counter", one) == expected
    assert len(list(store.prefix_scan(limit=one))) <= 1


@meddled
def test_destructor_that_writes(store: InMemoryStore, meddle: Meddler) -> None:
    class Meddling(bytes):
        def __del__(self) -> None:
            meddle(store)

    store.put(Meddling(b"outer"), Meddling(LARGE))
    store.get(Meddling(b"large"))
    store.put_many((Meddling(b"%d" % number), Meddling(LARGE)) for number in range(20))
    store.get_many(Meddling(b"%d" % number) for number in range(20))
    store.delete_many([Meddling(b"large"), Meddling(b"counter")])
    store.compare_and_swap(Meddling(b"a"), None, Meddling(LARGE))
    store.compute(Meddling(b"a"), lambda current: Meddling(LARGE))
    list(store.prefix_scan(Meddling(b"")))
    store.pop(Meddling(b"a"), None)
    store.setdefault(Meddling(b"a"), Meddling(LARGE))


def test_one_buffer_used_for_every_entry(store: InMemoryStore) -> None:
    """The natural way to build keys without allocating must not be a trap."""
    buffer = bytearray(8)

    def entries() -> Iterator[tuple[bytearray, bytearray]]:
        for number in range(300):
            buffer[:] = b"%08d" % number
            yield buffer, buffer

    def keys() -> Iterator[bytearray]:
        for key, _ in entries():
            yield key

    expected = {b"%08d" % number: b"%08d" % number for number in range(300)}
    store.clear()
    store.put_many(entries())
    assert store == expected
    assert store.get_many(keys()) == list(expected.values())
    assert store.delete_many(keys()) == 300


def test_buffer_may_be_resized_while_an_iterable_goes_on(store: InMemoryStore) -> None:
    key, value = bytearray(b"k"), bytearray(b"v" * 2_000)

    def entries() -> Iterator[tuple[bytearray, bytearray]]:
        for _ in range(20):
            yield key, value
            key.extend(b"k")
            value.extend(b"v" * 2_000)

    store.put_many(entries())
    for count in range(1, 21):
        assert store[b"k" * count] == b"v" * 2_000 * count
    key.clear()
    value.clear()


def test_no_buffer_stays_exported_after_a_call(store: InMemoryStore) -> None:
    key, value = bytearray(b"key"), bytearray(LARGE)
    calls: list[Callable[[], object]] = [
        lambda: store.put(key, value),
        lambda: store.get(key),
        lambda: store.put_many([(key, value)]),
        lambda: store.put_many([(key, value), (key, 7)]),  # type: ignore[list-item]
        lambda: store.get_many([key, 7]),  # type: ignore[list-item]
        lambda: store.put(key, 7),  # type: ignore[arg-type]
        lambda: store.prefix_scan(key),
        lambda: store.range_scan(key, 7),  # type: ignore[arg-type]
        lambda: store.compare_and_swap(key, value, 7),  # type: ignore[arg-type]
        lambda: store.increment(key),
        lambda: store.compute(key, lambda current: value),
        lambda: store.delete(key),
    ]
    held = []
    for call in calls:
        try:
            held.append(call())
        except (TypeError, ValueError):
            pass
        key.append(0)
        value.append(0)
        del key[-1], value[-1]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs __buffer__")
@meddled
def test_buffer_exporter_that_writes(store: InMemoryStore, meddle: Meddler) -> None:
    class Meddling:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def __buffer__(self, flags: int) -> memoryview:
            meddle(store)
            return memoryview(self.data)

        def __release_buffer__(self, view: memoryview) -> None:
            meddle(store)
            view.release()

    key: Any = Meddling(b"large")
    value: Any = Meddling(LARGE)
    store.put(key, value)
    store.get(key)
    store.contains(key)
    store.put_many([(key, value)] * 3)
    store.get_many([key] * 3)
    store.compare_and_swap(key, value, value)
    store.compute(key, lambda current: value)
    list(store.prefix_scan(key))
    list(store.range_scan(key, key))
    store.floor(key)
    store.delete_prefix(key)
    store.put_if_absent(key, value)
    store.delete_many([key] * 3)
    store.pop(key, None)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs __buffer__")
def test_buffer_exporter_that_raises_changes_nothing(store: InMemoryStore) -> None:
    class Failing:
        def __buffer__(self, flags: int) -> memoryview:
            raise Refused

    bad: Any = Failing()
    for call in (
        lambda: store.put(b"key", bad),
        lambda: store.put_many([(b"key", b"value"), (b"key", bad)]),
        lambda: store.get_many([b"key", bad]),
        lambda: store.delete_many([b"large", bad]),
        lambda: store.compare_and_swap(b"large", LARGE, bad),
        lambda: store.compute(b"large", lambda current: bad),
    ):
        with pytest.raises(Refused):
            call()
    assert store == contents()

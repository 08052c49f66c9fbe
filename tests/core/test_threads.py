"""Threads: under the GIL every call is atomic, and snapshots belong to every thread.

The interpreter is made to switch as often as it can. ThreadSanitizer looks at the same
tests for what does not fail by chance.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from latency_kv import InMemoryStore

THREADS = 4
SMALL_ROUNDS, FULL_ROUNDS = 1_500, 60_000


@pytest.fixture
def rounds(full: bool) -> int:
    return FULL_ROUNDS if full else SMALL_ROUNDS


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def together(*workers: Callable[[], None]) -> None:
    """Run all at once; raise what any of them raised."""
    with ThreadPoolExecutor(len(workers)) as pool:
        for future in [pool.submit(worker) for worker in workers]:
            future.result()


def test_increments_of_all_threads_are_counted(rounds: int) -> None:
    store = InMemoryStore()

    def count() -> None:
        for _ in range(rounds):
            store.increment(b"counter")

    together(*[count] * THREADS)
    assert store.increment(b"counter", 0) == THREADS * rounds


def test_one_thread_wins_each_swap(rounds: int) -> None:
    store = InMemoryStore()
    wins: list[int] = []

    def race() -> None:
        wins.append(sum(store.put_if_absent(b"%d" % n, b"") for n in range(rounds)))

    together(*[race] * THREADS)
    assert sum(wins) == rounds == len(store)


def test_threads_write_and_scan_one_store(rounds: int) -> None:
    store = InMemoryStore()

    def work(name: bytes) -> None:
        for number in range(rounds):
            store.put(b"%s/%05d" % (name, number), b"value")
            if number % 3 == 0:
                assert store.delete(b"%s/%05d" % (name, number))
            if number % 50 == 0:
                keys = list(store.prefix_keys(name))
                assert keys == sorted(keys)
                assert len(keys) == number + 1 - (number // 3 + 1)

    together(*[lambda name=name: work(name) for name in (b"a", b"b", b"c", b"d")])  # type: ignore[misc]
    assert len(store) == THREADS * (rounds - (rounds + 2) // 3)
    store.check()


def test_many_threads_share_one_scan(rounds: int) -> None:
    store = InMemoryStore({b"%06d" % number: b"" for number in range(rounds)})
    scan, read = store.prefix_keys(), list[bytes]()

    def take() -> None:
        for key in scan:
            read.append(key)
            store.delete(key)

    together(*[take] * THREADS)
    assert sorted(read) == [b"%06d" % number for number in range(rounds)]
    assert store.is_empty()
    store.check()


def test_snapshots_are_read_while_the_store_is_written(rounds: int) -> None:
    """Each transaction keeps two entries equal, so every snapshot has them equal."""
    store = InMemoryStore({b"left": b"0", b"right": b"0"}, ordered=True)
    done = Event()

    def write() -> None:
        try:
            for number in range(rounds):
                value = b"%d" % number
                other = b"%d" % (number % 300)
                store.put_many({b"left": value, b"right": value, other: value})
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            snapshot = store.snapshot()
            assert snapshot[b"left"] == snapshot[b"right"]
            entries = list(snapshot.prefix_scan())
            assert len(entries) == len(snapshot)
            assert dict(entries) == snapshot

    together(write, read, read)
    store.check()


def test_snapshot_is_dropped_in_another_thread(rounds: int) -> None:
    store = InMemoryStore({b"%04d" % number: b"" for number in range(500)})

    def take_and_drop() -> None:
        for number in range(rounds // 10):
            held = store.snapshot(), store.copy(), store.prefix_scan()
            store.put(b"%04d" % (number % 500), b"%d" % number)
            del held

    together(*[take_and_drop] * THREADS)
    assert len(store) == 500
    store.check()

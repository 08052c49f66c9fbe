"""Encoding: its progress, its failures, and what threads see of it.

The callback runs in the thread that encodes; if it raises nothing is kept, and if it
asks for the image that it reports on, that is refused. Start at
`test_progress_rises_to_the_end`.
"""

import pickle
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, current_thread

import pytest

from image import encode
from latency_kv import InMemoryStore, StateSnapshot

# Enough for the progress to be told several times.
COUNT = 150_000
ENTRIES = {b"key/%06d" % (n * 7919 % COUNT): b"value %d" % n for n in range(COUNT)}
SMALL = {b"a": b"1", b"b": b"2"}

# Enough for the encoding to take longer than Python waits before it switches threads.
MANY = 400_000

Told = list[tuple[int, int]]


class Refused(Exception):
    """Raised by callbacks."""


@pytest.fixture(params=[False, True], ids=["unordered", "ordered"])
def store(request: pytest.FixtureRequest) -> InMemoryStore:
    return InMemoryStore(ENTRIES, ordered=request.param)


def into(told: Told) -> Callable[[int, int], None]:
    return lambda done, total: told.append((done, total))


def assert_holds(
    image: bytes, entries: dict[bytes, bytes], snapshot: StateSnapshot
) -> None:
    """By the engine's own decoder, which test_images.py holds to the oracle."""
    decoded = StateSnapshot.from_bytes(image)
    assert decoded == entries
    assert list(decoded) == sorted(entries)
    assert decoded.timestamp_ns == snapshot.timestamp_ns


def test_progress_rises_to_the_end(store: InMemoryStore) -> None:
    told: Told = []
    store.snapshot().to_bytes(progress=into(told))
    done = [done for done, _ in told]
    assert done == sorted(done)
    assert {total for _, total in told} == {len(ENTRIES)}
    assert told[-1] == (len(ENTRIES), len(ENTRIES))
    assert len(told) > 1
    assert 0 <= done[0] < len(ENTRIES)
    assert done.count(len(ENTRIES)) == 1
    assert all(type(number) is int for pair in told for number in pair)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_progress_of_few_entries_is_told_at_the_end(count: int) -> None:
    told: Told = []
    entries = dict(list(SMALL.items())[:count])
    InMemoryStore(entries).snapshot().to_bytes(progress=into(told))
    assert told[-1] == (count, count)
    assert told.count((count, count)) == 1


def test_progress_changes_nothing_in_the_image(store: InMemoryStore) -> None:
    snapshot = store.snapshot()
    image = snapshot.to_bytes(progress=lambda done, total: None)
    assert_holds(image, ENTRIES, snapshot)
    assert image[32:] == store.snapshot().to_bytes()[32:]


def test_progress_is_told_in_the_thread_that_encodes(store: InMemoryStore) -> None:
    threads = set()
    snapshot = store.snapshot()
    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(current_thread).result()
        pool.submit(
            snapshot.to_bytes, progress=lambda *_: threads.add(current_thread())
        ).result()
    assert threads == {worker}


def test_image_that_exists_is_given_without_progress(store: InMemoryStore) -> None:
    snapshot = store.snapshot()
    told: Told = []
    image = snapshot.to_bytes()
    assert snapshot.to_bytes(progress=into(told)) is image
    StateSnapshot.from_bytes(image).to_bytes(progress=into(told))
    assert told == []


@pytest.mark.parametrize("when", ["first", "in the middle", "last"])
def test_progress_that_raises_leaves_no_image(store: InMemoryStore, when: str) -> None:
    snapshot = store.snapshot()
    told: Told = []

    def refuse(done: int, total: int) -> None:
        told.append((done, total))
        if when == "first" or (when == "last" and done == total) or len(told) == 2:
            raise Refused(done)

    for _ in range(3):
        told.clear()
        with pytest.raises(Refused) as raised:
            snapshot.to_bytes(progress=refuse)
        assert raised.value.args == (told[-1][0],)
    told.clear()
    image = snapshot.to_bytes(progress=into(told))
    assert told[-1] == (len(ENTRIES), len(ENTRIES))
    assert_holds(image, ENTRIES, snapshot)
    assert snapshot.to_bytes() is image
    store.check()


def test_keyboard_interrupt_out_of_progress_comes_through() -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    snapshot = InMemoryStore(SMALL).snapshot()
    with pytest.raises(KeyboardInterrupt):
        snapshot.to_bytes(progress=interrupt)
    assert snapshot.to_bytes() == encode(SMALL, snapshot.timestamp_ns)


@pytest.mark.parametrize("wrong", [7, "text", lambda: None, lambda done: None])
def test_progress_that_cannot_be_called_raises(wrong: object) -> None:
    snapshot = InMemoryStore(SMALL).snapshot()
    with pytest.raises(TypeError):
        snapshot.to_bytes(progress=wrong)  # type: ignore[arg-type]
    assert snapshot.to_bytes() == encode(SMALL, snapshot.timestamp_ns)


def test_progress_is_given_by_its_name() -> None:
    snapshot = InMemoryStore(SMALL).snapshot()
    with pytest.raises(TypeError):
        snapshot.to_bytes(lambda *_: None)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "ask",
    [
        lambda snapshot: snapshot.to_bytes(),
        lambda snapshot: snapshot.to_bytes(progress=lambda *_: None),
        memoryview,
        pickle.dumps,
    ],
    ids=["to_bytes", "to_bytes_progress", "memoryview", "pickle"],
)
def test_progress_that_asks_for_its_image_is_refused(
    store: InMemoryStore, ask: Callable[[StateSnapshot], object]
) -> None:
    snapshot = store.snapshot()
    with pytest.raises(RuntimeError):
        snapshot.to_bytes(progress=lambda *_: ask(snapshot))
    refusals = []

    def ask_and_go_on(done: int, total: int) -> None:
        try:
            ask(snapshot)
        except RuntimeError as error:
            refusals.append(error)

    image = snapshot.to_bytes(progress=ask_and_go_on)
    assert refusals
    assert_holds(image, ENTRIES, snapshot)


def test_progress_may_do_everything_else(store: InMemoryStore) -> None:
    """Write the store, read the snapshot, encode another: the image does not move."""
    snapshot = store.snapshot()
    scan = snapshot.prefix_scan()

    def live(done: int, total: int) -> None:
        store.put(b"key/000000", b"%d" % done)
        store.delete(b"key/%06d" % (done // 3))
        store.put_many({b"%d/%d" % (done, n): b"new" for n in range(200)})
        assert snapshot[b"key/000000"] == ENTRIES[b"key/000000"]
        assert len(snapshot) == total
        next(scan)
        other = store.snapshot()
        assert len(StateSnapshot.from_bytes(other.to_bytes())) == len(store)

    image = snapshot.to_bytes(progress=live)
    assert_holds(image, ENTRIES, snapshot)
    store.check()
    store.restore(snapshot)
    assert store == ENTRIES


def test_threads_get_one_image(store: InMemoryStore) -> None:
    for _ in range(5):
        snapshot = store.snapshot()
        told: Told = []
        with ThreadPoolExecutor(4) as pool:
            asked = [
                pool.submit(snapshot.to_bytes, progress=into(told)) for _ in range(4)
            ]
            images = [future.result() for future in asked]
        assert all(image is images[0] for image in images)
        assert told.count((len(ENTRIES), len(ENTRIES))) == 1
        store.put(b"key", b"")
        store.delete(b"key")


def while_encoding(
    snapshot: StateSnapshot, ending: Callable[[], None]
) -> tuple[Future[bytes], Future[bytes]]:
    """Have one thread encode, another ask meanwhile, and the first go on to its end."""
    inside, asking = Event(), Event()

    def wait_for_the_other(done: int, total: int) -> None:
        inside.set()
        asking.wait(60)
        time.sleep(0.02)
        ending()

    def ask() -> bytes:
        asking.set()
        return snapshot.to_bytes()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(snapshot.to_bytes, progress=wait_for_the_other)
        assert inside.wait(60)
        second = pool.submit(ask)
    return first, second


def test_second_thread_waits_without_the_gil() -> None:
    """With it the first could never go on."""
    snapshot = InMemoryStore(SMALL).snapshot()
    first, second = while_encoding(snapshot, lambda: None)
    assert first.result() is second.result()


def test_second_thread_encodes_where_the_first_failed() -> None:
    snapshot = InMemoryStore(SMALL).snapshot()

    def refuse() -> None:
        raise Refused

    first, second = while_encoding(snapshot, refuse)
    with pytest.raises(Refused):
        first.result()
    assert second.result() == encode(SMALL, snapshot.timestamp_ns)


@pytest.mark.parametrize("ordered", [False, True])
def test_encoding_lets_other_threads_run(ordered: bool) -> None:
    """The longest pause that a busy thread sees is far shorter than the encoding.

    A loaded machine makes pauses of its own, hence the attempts.
    """
    store = InMemoryStore(
        {b"%08d" % (n * 7919 % MANY): bytes(40) for n in range(MANY)}, ordered=ordered
    )

    def share_of_longest_pause() -> float:
        snapshot = store.snapshot()
        started, finished = Event(), Event()

        def work() -> None:
            started.set()
            snapshot.to_bytes()
            finished.set()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(work)
            started.wait()
            longest = 0.0
            begin = last = time.perf_counter()
            while not finished.is_set():
                now = time.perf_counter()
                longest, last = max(longest, now - last), now
        return longest / (last - begin)

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        assert any(share_of_longest_pause() < 0.5 for _ in range(10))
    finally:
        sys.setswitchinterval(usual)


def test_store_is_written_while_its_snapshots_are_encoded(
    seed: int, full: bool
) -> None:
    """Copy-on-write under an encoder that holds no GIL: each image is of its moment."""
    store = InMemoryStore(ENTRIES, ordered=seed % 2 == 0)
    expected = dict(ENTRIES)
    keys = list(ENTRIES)
    with ThreadPoolExecutor(2) as pool:
        asked = []
        for number in range(200 if full else 12):
            snapshot = store.snapshot()
            asked.append((snapshot, dict(expected), pool.submit(snapshot.to_bytes)))
            changes = {key: b"changed %d" % number for key in keys[number::11]}
            store.put_many(changes)
            expected |= changes
            for key in keys[number * 13 :: 97]:
                store.delete(key)
                expected.pop(key, None)
            if number % 3 == 0:
                store.first()
            while len(asked) > 3:
                taken, entries, future = asked.pop(0)
                assert_holds(future.result(), entries, taken)
    for taken, entries, future in asked:
        assert_holds(future.result(), entries, taken)
    store.check()


def test_snapshot_dropped_while_it_is_encoded_is_freed_later() -> None:
    store = InMemoryStore(ENTRIES)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(store.snapshot().to_bytes) for _ in range(6)]
        store.clear()
        assert all(
            StateSnapshot.from_bytes(future.result()) == ENTRIES for future in futures
        )
    store.check()

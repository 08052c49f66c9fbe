"""Lifetimes: who keeps what alive, and what other code may do in between.

Each of these was once a use after free, a leak or a lost entry; most need a sanitizer's
build to be seen at once, and `make sanitize` runs them there.
"""

import gc
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from core.waiting import eventually
from fresh import run_fresh
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.core.reader import ByteReader

COUNT = 2_000

# Long enough for a sweep that clear() began: closing the scan has to begin another.
SWEEP_S = 0.3

needs_buffers = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="needs __buffer__ in Python"
)


def numbered(count: int = COUNT) -> Iterator[tuple[bytes, bytes]]:
    return ((b"%06d" % number, b"value") for number in range(count))


def test_scan_in_a_cycle_outlives_its_store() -> None:
    store = InMemoryStore(numbered())
    cycle: list[object] = [iter(store)]
    cycle.append(cycle)
    del store, cycle
    gc.collect()


def test_scan_goes_on_when_its_store_is_gone() -> None:
    store = InMemoryStore(numbered())
    scan = store.prefix_keys()
    next(scan)
    del store
    assert len(list(scan)) == COUNT - 1


def test_scan_without_memory_skips_no_entry() -> None:
    run_fresh(
        "-c",
        "import _testcapi, gc\n"
        "from latency_kv import InMemoryStore\n"
        "store = InMemoryStore((b'%04d' % i, b'v' * 600) for i in range(40))\n"
        "gc.disable()\n"
        "for n in range(12):\n"
        "    for reverse in (False, True):\n"
        "        scan = store.prefix_scan(reverse=reverse)\n"
        "        hold = [(object(), i) for i in range(5000)]  # no free tuples left\n"
        "        first = None\n"
        "        _testcapi.set_nomemory(n, n + 1)\n"
        "        try:\n"
        "            first = next(scan)\n"
        "        except MemoryError:\n"
        "            pass\n"
        "        finally:\n"
        "            _testcapi.remove_mem_hooks()\n"
        "        count = (first is not None) + len(list(scan))\n"
        "        assert count == 40, (n, reverse, count)\n",
    )


@pytest.mark.parametrize("kind", [StateSnapshot, ByteReader])
def test_reader_that_nobody_filled_is_empty(kind: type[ByteReader]) -> None:
    reader = kind.__new__(kind)
    assert b"key" not in reader
    assert list(reader) == []
    reader.check()


def test_clock_that_writes_does_not_reach_into_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = InMemoryStore(numbered(), ordered=True)

    def clock() -> int:
        store.put(b"new", b"value")
        return 0

    monkeypatch.setattr(time, "time_ns", clock)
    snapshot = store.snapshot()
    monkeypatch.undo()
    store.delete(b"new")
    assert len(list(store)) == COUNT
    assert list(snapshot) == [*list(store), b"new"]
    snapshot.check()
    store.check()


def test_restore_of_a_snapshot_that_sorts_lets_writers_in() -> None:
    # Sorting gives up the GIL: what the store is must be looked at afterwards.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    source = InMemoryStore((b"%06d" % (n * 7919 % 60_013), b"v") for n in range(60_000))
    try:
        for _ in range(3):
            snapshot = source.snapshot()
            store = InMemoryStore(numbered(), ordered=True)
            stopped = threading.Event()
            writer = threading.Thread(target=write_until, args=(store, stopped))
            writer.start()
            store.restore(snapshot)
            stopped.set()
            writer.join()
            store.check()
    finally:
        sys.setswitchinterval(interval)
    source.check()


def write_until(store: InMemoryStore, stopped: threading.Event) -> None:
    while not stopped.is_set():
        store.clear()
        store.put_many(numbered(50))


def test_closing_the_last_scan_gives_back_what_it_held() -> None:
    value = bytes(5_000)
    references = partial(sys.getrefcount, value)
    before = references()
    store = InMemoryStore({b"%06d" % n: value for n in range(COUNT)})
    scan = store.prefix_keys()
    next(scan)
    store.clear()
    time.sleep(SWEEP_S)
    assert references() > before
    scan.close()
    assert eventually(lambda: references() == before)


def test_sweeping_starts_again_after_its_sleep_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    monkeypatch.setattr(time, "sleep", lambda _: 1 / 0)
    InMemoryStore(numbered(20_000)).clear()
    monkeypatch.undo()
    value = bytes(5_000)
    references = partial(sys.getrefcount, value)
    before = references()
    InMemoryStore({b"%06d" % n: value for n in range(COUNT)}).clear()
    assert eventually(lambda: references() == before)


def test_large_store_that_lives_to_the_end_says_nothing() -> None:
    output = run_fresh(
        "-c",
        "import sys\n"
        "from latency_kv import InMemoryStore\n"
        "sys.keep = InMemoryStore((b'%d' % n, b'v') for n in range(50000))\n",
    )
    assert output == ""


@needs_buffers
def test_deletion_by_a_prefix_whose_release_writes() -> None:
    store = InMemoryStore(numbered())

    class Prefix:
        def __buffer__(self, flags: int) -> memoryview:
            return memoryview(b"0000")

        def __release_buffer__(self, view: memoryview) -> None:
            store.put_many(numbered(100))

    assert store.delete_prefix(Prefix()) == 100  # type: ignore[arg-type]
    assert len(store) == COUNT
    store.check()


@needs_buffers
def test_put_many_takes_a_large_value_once() -> None:
    answers = iter([b"A" * 200_000, b"B"])

    class Value:
        def __buffer__(self, flags: int) -> memoryview:
            return memoryview(next(answers))

    store = InMemoryStore()
    store.put_many([(b"key", Value())])  # type: ignore[list-item]
    assert store.get(b"key") == b"A" * 200_000
    assert next(answers) == b"B"


@needs_buffers
def test_setdefault_takes_its_key_once() -> None:
    taken = []

    class Key:
        def __buffer__(self, flags: int) -> memoryview:
            taken.append(flags)
            return memoryview(b"key")

    store = InMemoryStore()
    assert store.setdefault(Key(), b"value") == b"value"  # type: ignore[arg-type]
    assert len(taken) == 1


# Keys in which one word counts and the other stands still, as operators build them.
PATTERNS: dict[str, Callable[[int], bytes]] = {
    "<QI": lambda n: struct.pack("<QI", n, 3),
    "<QQ": lambda n: struct.pack("<QQ", n, 7),
    "<IH": lambda n: struct.pack("<IH", n, 0),
    ">QQ": lambda n: struct.pack(">QQ", 7, n),
    ">QQQQ": lambda n: struct.pack(">QQQQ", 7, 7, 7, n),
    "decimal": lambda n: b"user:%d" % n,
}


def test_counting_keys_are_no_attack(full: bool) -> None:
    """A hash of one product made them one, in a few of a hundred processes."""
    program = (
        "from core.test_lifetimes import PATTERNS, InMemoryStore\n"
        "for name, key in PATTERNS.items():\n"
        "    store = InMemoryStore((key(n), b'') for n in range(30000))\n"
        "    assert store.stats().hash == 'fast', name\n"
        "    assert store.stats().page_fill > 0.26, name\n"
    )
    for _ in range(100 if full else 4):
        run_fresh("-c", program)


def large_image() -> StateSnapshot:
    """A snapshot whose image was asked for, of more bytes than malloc keeps."""
    store = InMemoryStore(
        (b"%06d" % number, bytes([7]) * 4_000) for number in range(9_000)
    )
    snapshot = store.snapshot()
    assert len(memoryview(snapshot)) > 33 << 20
    return snapshot


@pytest.mark.parametrize("hold", [StateSnapshot.to_bytes, memoryview])
def test_image_that_somebody_holds_outlives_its_snapshot(
    hold: Callable[[StateSnapshot], bytes | memoryview],
) -> None:
    snapshot = large_image()
    image = hold(snapshot)
    again = bytes(image)
    del snapshot
    assert image == again


def test_snapshot_brought_back_encodes_its_image_anew() -> None:
    snapshot = large_image()
    view = memoryview(snapshot)
    image = bytes(view)
    snapshot.__del__()  # type: ignore[attr-defined]
    assert view == image
    del view
    snapshot.__del__()  # type: ignore[attr-defined]
    assert snapshot.to_bytes() == image


def test_others_run_while_a_large_image_is_freed() -> None:
    run_fresh(
        "-c",
        "import _thread, sys, time\n"
        "from latency_kv import InMemoryStore\n"
        "store = InMemoryStore((b'%06d' % i, b'v' * 4000) for i in range(20_000))\n"
        "def other():\n"
        "    gate.acquire()\n"
        "    ran.append(1)\n"
        "sys.setswitchinterval(1000)  # only who lets go of the GIL lets others in\n"
        "ran = []\n"
        "for _ in range(500):\n"
        "    snapshot = store.snapshot()\n"
        "    snapshot.to_bytes()\n"
        "    gate = _thread.allocate_lock()\n"
        "    gate.acquire()\n"
        "    _thread.start_new_thread(other, ())\n"
        "    time.sleep(0.01)\n"
        "    gate.release()\n"
        "    del snapshot\n"
        "    if ran:\n"
        "        break\n"
        "    while not ran:\n"
        "        time.sleep(0.001)\n"
        "    ran.clear()\n"
        "else:\n"
        "    raise SystemExit('the GIL was held all the time')\n",
    )

"""Process: what one fresh process measures of one engine, filled to one size.

    python -m latency_kv.bench.scale.process KIND SIZE FOLDER

    store        everything that a store does; leaves a checkpoint in the folder
    restore      comes back from that checkpoint
    puts         fills with a clock around every put
    reads        the beginning of `store`, for huge pages
    dict, dict-puts

Every answer is checked, outside of what is timed.  Prints the values by row, as JSON.
"""

from __future__ import annotations

import _thread
import json
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from heapq import nlargest
from itertools import chain, cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter_ns, thread_time_ns
from typing import Any, Final, TypeAlias

from latency_kv.bench.goals.footprint import resident
from latency_kv.bench.keys import (
    BATCH,
    GROUP,
    KEY_SIZE,
    VALUE_SIZE,
    batches,
    fresh,
    pairs,
    random_block,
)
from latency_kv.bench.native import operator
from latency_kv.bench.peers import STORE, Engine, peer
from latency_kv.bench.scale.entries import Entries
from latency_kv.bench.scale.memory import in_huge_pages, peak
from latency_kv.bench.timing import percentile, spans_loop, timed_loop
from latency_kv.checkpoints.directory import CheckpointDirectory
from latency_kv.core.snapshot import StateSnapshot
from latency_kv.core.store import InMemoryStore

SAMPLE: Final = 500_000
"""Entries that are read and overwritten: with their pages far more than caches hold."""

ROUNDS: Final = 5
"""Parts of the sample, each read once: a figure is their median."""

SCANS: Final = 10_000

SNAPSHOTS: Final = 15
COPIES: Final = 3
BETWEEN: Final = 1_000
"""Overwrites between two snapshots: one of an unchanged store could cost nothing."""

_CHECKED: Final = 1_000

_CHUNK: Final = 1 << 20
"""Spans that are kept before the longest are picked out."""

_POLL: Final = 1e-3
_GRACE: Final = 50_000_000
"""How long a thread may take to start, in ns."""

_MEGA: Final = 1e6

_Values: TypeAlias = dict[str, float | None]
_Batches: TypeAlias = Iterator[tuple[list[bytes], ...]]


class WrongAnswerError(Exception):
    """What was measured did not do what it should."""


class _Longest:
    """The longest thousandth of `count` spans."""

    def __init__(self, count: int) -> None:
        self._most = max(1, count // 1_000)
        self._kept: list[int] = []

    def add(self, spans: array[int]) -> None:
        self._kept = nlargest(self._most, chain(self._kept, spans))

    def values(self) -> tuple[int, int]:
        """Return the longest span, and the one that 99.9 % do not exceed."""
        return self._kept[0], self._kept[-1]


def _filled(engine: Engine, entries: Entries, values: _Values) -> Any:
    """Fill a new engine and weigh it."""
    run = timed_loop(engine.name, "key, value", engine.put)
    # What a first use brings into memory is not the engine's.
    run(engine.make(()), [*islice(entries.batches(), 1)])
    before, huge_before = resident(), in_huge_pages()
    target = engine.make(())
    spent = run(target, entries.batches())
    values["fill"] = entries.size / spent * 1e9
    grown, huge = resident() - before, in_huge_pages()
    values["memory"] = grown / entries.size
    if huge is not None and huge_before is not None:
        # A tiny store fits into what was there before; and pages of that may be joined.
        share = (huge - huge_before) / grown if grown > 0 else 0.0
        values["share"] = 100 * min(1.0, share)
    if len(target) != entries.size:
        raise WrongAnswerError(f"{len(target)} entries are there")
    return target


def _puts(engine: Engine, entries: Entries) -> _Values:
    """Fill a new engine with a clock around every put."""
    target, longest = engine.make(()), _Longest(entries.size)
    _spans(engine, target, entries.batches(), longest)
    if len(target) != entries.size:
        raise WrongAnswerError(f"{len(target)} entries are there")
    most, p999 = longest.values()
    return {"fill-longest": most, "fill-p999": p999}


def _spans(engine: Engine, target: Any, source: _Batches, longest: _Longest) -> None:
    run = spans_loop(engine.name, "key, value", engine.put, thread_time_ns)
    while True:
        spans = array("q")
        run(target, islice(source, _CHUNK // BATCH), spans.append)
        if not spans:
            return
        longest.add(spans)


def _get(name: str, call: str, target: Any, keys: bytes) -> float:
    """Return the ns of a get, each of the keys once."""
    run = timed_loop(name, "key", call)
    parts = _parts(keys)
    return median(run(target, fresh(part)) / _count(part) for part in parts)


def _find(store: InMemoryStore, keys: bytes) -> float | None:
    """Return the ns of a find; None where no operator can be compiled."""
    try:
        find_all = operator().find_all
    except ImportError as error:
        print(error, file=sys.stderr)
        return None
    spans = []
    for part in _parts(keys):
        begin = perf_counter_ns()
        size = find_all(store, part, KEY_SIZE, KEY_SIZE, _count(part), False)
        spans.append((perf_counter_ns() - begin) / _count(part))
        if size != _count(part) * VALUE_SIZE:
            raise WrongAnswerError("find: other values than were put")
    return median(spans)


def _scan(store: InMemoryStore, entries: Entries) -> float:
    """Return the ns of an entry of a scan of 100."""
    run = timed_loop(STORE.name, "start", STORE.scan)
    prefixes = entries.prefixes(SCANS)
    for prefix in prefixes[:_CHECKED]:
        keys = [key for key, _ in store.prefix_scan(prefix)]
        if len(keys) != GROUP or keys != sorted(keys):
            raise WrongAnswerError(f"scan: {len(keys)} keys, or in another order")
    step = len(prefixes) // ROUNDS
    parts = [prefixes[step * n : step * (n + 1)] for n in range(ROUNDS)]
    return median(run(store, [part]) / step / GROUP for part in parts)


def _pause(
    target: Any, take: Callable[[], object], some: bytes, values: bytes, rounds: int
) -> float:
    """Take snapshots, or copies, each after overwrites; the ns of one."""
    changes = cycle(batches(some, values, batch=BETWEEN))
    spans = []
    for _ in range(rounds):
        for key, value in zip(*next(changes), strict=True):
            target[key] = value
        begin = perf_counter_ns()
        taken = take()
        spans.append(perf_counter_ns() - begin)
        del taken
    return median(spans)


def _hold(store: InMemoryStore, keys: bytes, values: bytes, beside: int) -> _Values:
    """Overwrite under a snapshot, then drop it and wait until nothing is left of it.

    beside is how many threads there are without the one that releases.
    """
    _settle(beside)
    taken = store.snapshot()
    spans = array("q")
    run = spans_loop(STORE.name, "key, value", STORE.put, thread_time_ns)
    run(store, batches(keys, values), spans.append)
    begin = perf_counter_ns()
    del taken
    pause = perf_counter_ns() - begin
    return {
        "held-p50": percentile(spans, 0.5),
        "held-p999": percentile(spans, 0.999),
        "held-longest": max(spans),
        "drop": pause,
        "reclaim": pause + _settle(beside),
    }


def _settle(beside: int) -> int:
    """Wait until the thread that releases what nobody holds has ended; the ns of that.

    It is not counted before it first has the interpreter.
    """
    begin = seen = now = perf_counter_ns()
    while now - begin < _GRACE or _thread._count() > beside:
        if _thread._count() > beside:
            seen = now
        time.sleep(_POLL)
        now = perf_counter_ns()
    return seen - begin


def _encode(store: InMemoryStore) -> _Values:
    snapshot = store.snapshot()
    begin = perf_counter_ns()
    image = snapshot.to_bytes()
    return {"encode": perf_counter_ns() - begin, "image": len(image) / _MEGA}


def _checkpoint(
    store: InMemoryStore, keys: bytes, values: bytes, folder: Path
) -> _Values:
    """Let a thread write a checkpoint while this one overwrites."""
    run = spans_loop(STORE.name, "key, value", STORE.put, perf_counter_ns)
    source = cycle(batches(keys, values))
    ended = longest = 0

    def end(_: object) -> None:
        nonlocal ended
        ended = perf_counter_ns()

    with CheckpointDirectory(folder, keep=1).background() as writer:
        begin = perf_counter_ns()
        future = writer.submit(store.snapshot())
        future.add_done_callback(end)
        while not future.done():
            spans = array("q")
            run(store, [next(source)], spans.append)
            longest = max(longest, *spans)
    future.result()
    return {"checkpoint": ended - begin, "checkpoint-longest": longest}


def _store(entries: Entries, folder: Path) -> _Values:
    values: _Values = {}
    beside = _thread._count()
    store: InMemoryStore = _filled(STORE, entries, values)
    # Before the sample, whose memory the index could use again.
    _index(store, values)
    keys, stored = _read(store, entries, values)
    values["scan"] = _scan(store, entries)
    values["snapshot"] = _pause(store, store.snapshot, keys, stored, SNAPSHOTS)
    values |= _hold(store, keys, _others(keys), beside)
    values |= _encode(store)
    values |= _checkpoint(store, keys, stored, folder)
    values["peak"] = peak() / _MEGA
    return values


def _reads(entries: Entries) -> _Values:
    values: _Values = {}
    store: InMemoryStore = _filled(STORE, entries, values)
    _read(store, entries, values)
    return values


def _index(store: InMemoryStore, values: _Values) -> None:
    """Make the first ordered access, and weigh what it has built."""
    before, begin = resident(), perf_counter_ns()
    next(iter(store))
    values["index"] = perf_counter_ns() - begin
    grown = (resident() - before) / len(store)
    values["memory-index"] = (values["memory"] or 0.0) + grown


def _read(
    store: InMemoryStore, entries: Entries, values: _Values
) -> tuple[bytes, bytes]:
    """Read a sample from Python and from Cython; return it."""
    keys, stored = _sampled(entries)
    _check(store, keys, stored)
    values["get"] = _get(STORE.name, STORE.get, store, keys)
    values["find"] = _find(store, keys)
    return keys, stored


def _restore(entries: Entries, folder: Path) -> _Values:
    (info,) = CheckpointDirectory(folder).list()
    keys, _ = _sampled(entries)
    others = _others(keys)
    begin = perf_counter_ns()
    snapshot = StateSnapshot.open(info.path)
    snapshot.get(keys[:KEY_SIZE])
    values: _Values = {"open": perf_counter_ns() - begin}
    _check(snapshot, keys, others)
    # From its own loop: a snapshot is another type than a store.
    values["mapped-get"] = _get("StateSnapshot", STORE.get, snapshot, keys)
    del snapshot
    image = info.path.read_bytes()
    begin = perf_counter_ns()
    store = InMemoryStore.from_snapshot(StateSnapshot.from_bytes(image))
    values["restore"] = perf_counter_ns() - begin
    if len(store) != entries.size:
        raise WrongAnswerError(f"{len(store)} entries were restored")
    _check(store, keys, others)
    return values


def _dict(entries: Entries) -> _Values:
    values: _Values = {}
    engine = peer("dict")
    target = _filled(engine, entries, values)
    keys, stored = _sampled(entries)
    _check(target, keys, stored)
    values["get"] = _get(engine.name, engine.get, target, keys)
    values["snapshot"] = _pause(target, target.copy, keys, stored, COPIES)
    values["peak"] = peak() / _MEGA
    return values


def _sampled(entries: Entries) -> tuple[bytes, bytes]:
    return entries.sample(min(SAMPLE, entries.size))


def _others(keys: bytes) -> bytes:
    """Return other values than the first, one for each key."""
    return random_block(_count(keys), 1)


def _check(target: Any, keys: bytes, values: bytes) -> None:
    """Raise WrongAnswerError unless the first of these keys have these values."""
    for key, value in islice(pairs(keys, values), _CHECKED):
        if target.get(key) != value:
            raise WrongAnswerError(f"get: not what was put under {key!r}")


def _parts(block: bytes) -> list[bytes]:
    size = _count(block) // ROUNDS * KEY_SIZE
    return [block[size * number : size * (number + 1)] for number in range(ROUNDS)]


def _count(block: bytes) -> int:
    return len(block) // KEY_SIZE


def measure(kind: str, entries: Entries, folder: Path) -> _Values:
    """Return what a process of this kind measures, by row."""
    if kind == "store":
        return _store(entries, folder)
    if kind == "restore":
        return _restore(entries, folder)
    if kind == "reads":
        return _reads(entries)
    if kind == "dict":
        return _dict(entries)
    return _puts(peer("dict") if kind == "dict-puts" else STORE, entries)


def _main(kind: str, size: int, folder: Path) -> None:
    print(json.dumps(measure(kind, Entries(size), folder)))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

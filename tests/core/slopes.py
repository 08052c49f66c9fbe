"""Slopes: what a thousand repetitions of a call leave behind in the process.

Each call runs on a store that is put back before the next one, until every cache is
warm, then a thousand times between two measurements: blocks of Python's allocator and
the store's own bytes. A leak of one block a call is a slope of a thousand; noise is a
few dozen. Runs in a fresh interpreter: see test_leaks.py. Start at `slope`.
"""

import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from operator import sub
from pathlib import Path
from typing import NamedTuple

from core.calls import (
    CALLS,
    ENGINE_CALLS,
    MISTAKES,
    OVERSIZED_MISTAKES,
    TEXT_MISTAKES,
    contents,
)
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.errors import SnapshotCorruptError

WARM_UP = 150
REPETITIONS = 1_000

# A leak grows each time; what was only waiting to be freed does not.
ATTEMPTS = 4
SETTLING_S = 0.3

# One leaked block in four calls already fails.
MOST_BLOCKS = REPETITIONS // 4

# A leaked entry of the smallest size class in every other call fails.
MOST_STORE_BYTES = REPETITIONS * 16

# Python's own arenas come and go in steps of 1 MiB; a leaked large value a call, 12,000
# bytes, would be 12 MB.
MOST_RESIDENT_BYTES = 6 << 20
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Resident memory of this process, 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_SIZE
    except FileNotFoundError:
        return 0


def repeat(run: Callable[[InMemoryStore], object], store: InMemoryStore) -> None:
    """Run once, under a scan, and put the store back as it was."""
    snapshot = store.snapshot()
    scan = store.prefix_scan()
    next(scan)
    with suppress(Exception):
        result = run(store)
        if hasattr(result, "__next__"):
            next(result)  # type: ignore[call-overload]
    store.restore(snapshot)


class Slope(NamedTuple):
    """What the repetitions added: blocks of Python's, bytes of the store, all bytes."""

    blocks: int
    store_bytes: int
    resident_bytes: int

    def is_level(self) -> bool:
        return (
            self.blocks <= MOST_BLOCKS
            and self.store_bytes <= MOST_STORE_BYTES
            and self.resident_bytes <= MOST_RESIDENT_BYTES
        )


def measured(store: InMemoryStore) -> Slope:
    gc.collect()
    return Slope(sys.getallocatedblocks(), store.memory_bytes(), resident_bytes())


def slope(run: Callable[[InMemoryStore], object]) -> Slope:
    """Repeat, wait for what is given back later, and measure again.

    Memory that went back to the store's slabs stays resident, so what looks like a leak
    is repeated on top: only a leak goes on growing.
    """
    store = InMemoryStore(contents(), ordered=True)
    for _ in range(WARM_UP):
        repeat(run, store)
    for _ in range(ATTEMPTS):
        before = measured(store)
        for _ in range(REPETITIONS):
            repeat(run, store)
        latest = Slope(*map(sub, measured(store), before))
        if latest.is_level():
            break
        time.sleep(SETTLING_S)
    return latest


def find_leaks() -> None:
    """Raise with every call of every table that leaves something behind."""
    tables = [*CALLS, *ENGINE_CALLS, *MISTAKES, *TEXT_MISTAKES, *OVERSIZED_MISTAKES]
    slopes = {call.name: slope(call.run) for call in tables}
    leaks = {name: found for name, found in slopes.items() if not found.is_level()}
    assert not leaks, leaks


def find_leaks_of_stores() -> None:
    """Raise if making and dropping stores, snapshots and scans leaves any behind."""
    entries = contents()

    def make(_: InMemoryStore) -> None:
        store = InMemoryStore(entries, ordered=True)
        copy, snapshot, scan = store.copy(), store.snapshot(), store.prefix_scan()
        copy.put(b"key", b"value")
        next(scan)
        store.clear()
        del store, copy
        list(scan)
        list(snapshot.items())

    found = slope(make)
    assert found.is_level(), found


def find_leaks_of_refused_restores(folder: str) -> None:
    """Raise if restoring from a file that changed under its reader leaves entries."""
    store = InMemoryStore(contents())
    store.put_many({b"\xff/1": b"", b"\xff/2": b""})
    path = Path(folder, "state.lkv")
    path.write_bytes(store.snapshot().to_bytes())
    opened = StateSnapshot.open(path)
    path.write_bytes(path.read_bytes().replace(b"\xff/1", b"\xff/3"))

    def refused(target: InMemoryStore) -> None:
        try:
            target.restore(opened)
        except SnapshotCorruptError:
            return
        raise AssertionError("the last key is below the one before")

    refused(store)
    found = slope(refused)
    assert found.is_level(), found

"""Footprint: what an engine weighs, and what importing it costs, in fresh processes.

Run as `python -m latency_kv.bench.goals.footprint ENGINE COUNT`, it fills one engine and
prints how much the process grew, and what the engine itself says it weighs.  Growth of
the resident set is what decides, for both sides alike: it holds the allocator's waste.
"""

import gc
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from latency_kv.bench.children import output
from latency_kv.bench.figures import Pair, Plan
from latency_kv.bench.keys import KEY_SIZE, VALUE_SIZE
from latency_kv.bench.peers import STORE, peer

_STATM = Path("/proc/self/statm")

_IMPORT = """
from time import perf_counter_ns
begin = perf_counter_ns()
from latency_kv import InMemoryStore
print(perf_counter_ns() - begin)
"""


def memory(size: int, peer_name: str, plan: Plan) -> Pair:
    """Weigh an entry of a store that was never scanned, in bytes."""
    return _weigh(STORE.name, size, peer_name)


def memory_with_index(size: int, peer_name: str, plan: Plan) -> Pair:
    """Weigh an entry of a store that was scanned, in bytes."""
    return _weigh("index", size, peer_name)


def _weigh(ours: str, size: int, peer_name: str) -> Pair:
    here, there = (
        json.loads(output("-m", __name__, name, str(size)))
        for name in (ours, peer_name)
    )
    note = (
        f"resident set; by their own account {here['told']:.0f} (memory_bytes) "
        f"and {there['told']:.0f} (sys.getsizeof)"
    )
    return Pair(here["grown"], there["grown"], note)


def importing(size: int, _: str, plan: Plan) -> Pair:
    """Import the store in a fresh process; the first one warms the file cache."""
    spans = [int(output("-c", _IMPORT)) for _ in range(plan.rounds + 1)]
    return Pair(median(spans[1:]))


def resident() -> int:
    """Return this process's bytes in memory, or their peak where no more is told."""
    gc.collect()
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _told_by_store(store: Any) -> int:
    told: int = store.memory_bytes()
    return told


def _told_by_dict(entries: dict[bytes, bytes]) -> int:
    objects = chain(entries, entries.values())
    return sys.getsizeof(entries) + sum(map(sys.getsizeof, objects))


def _entries(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield new entries one by one: a block, once freed, would be room to grow into."""
    source = random.Random(1)
    for _ in range(count):
        yield source.randbytes(KEY_SIZE), source.randbytes(VALUE_SIZE)


def main(name: str, count: int) -> None:
    """Fill one engine and print its bytes an entry."""
    engine = STORE if name == "index" else peer(name)
    told: Callable[[Any], int] = _told_by_dict if name == "dict" else _told_by_store
    before = resident()
    target = engine.make(_entries(count))
    if name == "index":
        target.first()
    grown = resident() - before
    print(json.dumps({"grown": grown / count, "told": told(target) / count}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

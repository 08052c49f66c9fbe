"""Weigh: what an entry of one engine weighs, in a process of its own.

    python -m latency_kv.bench.workloads.weigh ENGINE ENTRIES KEY_BYTES VALUE_BYTES

The growth of the resident set while the engine is filled, divided by the entries; for
Redis that of its server.  Keys and values are made before, as blocks, and stay.
"""

import sys
import tempfile
from pathlib import Path

from latency_kv.bench.children import output
from latency_kv.bench.goals.footprint import resident
from latency_kv.bench.workloads.content import Content, Shape
from latency_kv.bench.workloads.redis_server import Redis
from latency_kv.bench.workloads.table import ENGINES

__all__ = ["LEAST_ENTRIES", "weigh"]

LEAST_ENTRIES = 100_000
"""Below, what a process needs besides would be most of it."""


def weigh(engine: str, shape: Shape) -> float:
    """Return the bytes of an entry."""
    return float(output("-m", __name__, engine, *map(str, shape)))


def _main(name: str, shape: Shape) -> None:
    """Fill one engine and print its bytes an entry."""
    content = Content(shape)
    with tempfile.TemporaryDirectory() as folder:
        engine = ENGINES[name](shape, Path(folder))
        before = engine.memory() if isinstance(engine, Redis) else resident()
        engine.fill(content.keys, content.values)
        after = engine.memory() if isinstance(engine, Redis) else resident()
        engine.close()
    print((after - before) / shape.entries)


if __name__ == "__main__":
    _main(sys.argv[1], Shape(*map(int, sys.argv[2:])))

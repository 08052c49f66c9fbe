"""Scans: entries in key order.

The keys come in groups of 100 that share a random prefix of 8 bytes.  Every index is
built before its first timed call; peers that have no prefix scan are handed the two
ends of the group, made beforehand.
"""

from collections.abc import Callable, Iterator
from itertools import count

from latency_kv.bench.figures import Pair, Plan
from latency_kv.bench.keys import (
    GROUP,
    KEY_SIZE,
    PREFIX_SIZE,
    batches,
    cut,
    grouped_block,
    pairs,
    picked,
    random_block,
)
from latency_kv.bench.peers import STORE, Engine, versus
from latency_kv.bench.timing import duel, timed_loop

NEAR = 10
"""Entries of the short scan after a put; the phrases of peers.py say the same."""

FEW = 10
"""Entries of the small store that an opened scan is held against."""


def prefix_scan(size: int, peer_name: str, plan: Plan) -> Pair:
    """Scan groups by random prefixes; ns an entry."""
    keys, prefixes = grouped_block(size, 1)
    scans = max(1, plan.calls // GROUP)
    asked = picked(prefixes, scans, 3, PREFIX_SIZE)
    return _scan(keys, asked, peer_name, plan)


def same_prefix(size: int, peer_name: str, plan: Plan) -> Pair:
    """Scan one group again and again; ns an entry."""
    keys, prefixes = grouped_block(size, 1)
    scans = max(1, plan.calls // GROUP)
    return _scan(keys, prefixes[:PREFIX_SIZE] * scans, peer_name, plan)


def _scan(keys: bytes, asked: bytes, peer_name: str, plan: Plan) -> Pair:
    values = random_block(len(keys) // KEY_SIZE, 2)
    scanned = len(asked) // PREFIX_SIZE * GROUP

    def side(engine: Engine) -> Callable[[], float]:
        target = engine.make(pairs(keys, values))
        run = timed_loop(engine.name, "start, stop", engine.scan)
        return lambda: run(target, _ends(asked)) / scanned

    return versus(side, peer_name, plan.rounds)


def _ends(asked: bytes) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield the two ends of one group at a time; no key is as long as the stop."""
    after_all = b"\xff" * KEY_SIZE
    for prefix in cut(asked, PREFIX_SIZE):
        yield [prefix], [prefix + after_all]


def walk(size: int, peer_name: str, plan: Plan) -> Pair:
    """Walk all entries in key order; ns an entry."""
    keys, values = random_block(size, 1), random_block(size, 2)

    def side(engine: Engine) -> Callable[[], float]:
        target = engine.make(pairs(keys, values))
        run = timed_loop(engine.name, "_", engine.walk)
        return lambda: run(target, [[None]]) / size

    return versus(side, peer_name, plan.passes)


def put_and_scan(size: int, peer_name: str, plan: Plan) -> Pair:
    """Put a new entry, then scan ten from a random place; ns for both."""
    keys, values = random_block(size, 1), random_block(size, 2)
    steps = max(1, plan.calls // (2 * NEAR))
    starts = picked(keys, steps, 3)

    def side(engine: Engine) -> Callable[[], float]:
        target = engine.make(pairs(keys, values))
        run = timed_loop(
            engine.name, "key, value, start", f"{engine.put}\n{engine.near}"
        )
        seeds = count(4)

        def steps_with_new_keys() -> float:
            news = random_block(steps, next(seeds))
            return run(target, batches(news, news, starts)) / steps

        return steps_with_new_keys

    return versus(side, peer_name, plan.rounds)


def open_scan(size: int, _: str, plan: Plan) -> Pair:
    """Open a scan of everything and take its first entry, against a store of ten."""

    def side(entries: int) -> Callable[[], float]:
        target = STORE.make(pairs(random_block(entries, 1), random_block(entries, 2)))
        run = timed_loop(f"{entries} entries", "_", "next(target.prefix_scan())")
        return lambda: run(target, [[None] * plan.calls]) / plan.calls

    return duel(side(size), side(FEW), plan.rounds)

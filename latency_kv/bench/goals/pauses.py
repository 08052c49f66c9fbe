"""Pauses: the longest single call, and what a snapshot costs its operator.

Single puts are timed by the CPU time of their thread, which a machine that pauses does
not lengthen; the clock's own price is inside every span.  What happens once, taking or
dropping a snapshot, is timed by the wall clock.
"""

from array import array
from collections.abc import Callable
from functools import cache
from itertools import cycle
from statistics import median
from time import perf_counter_ns
from typing import Any, NamedTuple

from latency_kv.bench.figures import Pair, Plan
from latency_kv.bench.keys import KEY_SIZE, batches, pairs, random_block, shuffled
from latency_kv.bench.peers import STORE, Engine, peer, versus
from latency_kv.bench.timing import duel, percentile, race, spans_loop

DROPPED_AFTER = 200_000
"""Overwrites under a snapshot before it is dropped."""

TAKEN = 9
"""Snapshots of a round, of which the median counts: one alone is mostly cache misses."""

BETWEEN = 1_000
"""Overwrites between two snapshots: one of an unchanged store could cost nothing."""


def longest_put(size: int, peer_name: str, plan: Plan) -> Pair:
    """Grow from empty to `size` entries; the longest single put."""
    keys, values = random_block(size, 1), random_block(size, 2)

    def side(engine: Engine) -> Callable[[], float]:
        run = spans_loop(engine.name, "key, value", engine.put)

        def grow() -> float:
            spans = array("q")
            run(engine.make(()), batches(keys, values), spans.append)
            return max(spans)

        return grow

    return versus(side, peer_name, plan.passes, warm=False)


def snapshot(size: int, _: str, plan: Plan) -> Pair:
    """Take a snapshot, or a copy, each after a thousand overwrites."""
    keys, values = random_block(size, 1), random_block(size, 2)

    def side(target: Any, take: Callable[[], object]) -> Callable[[], float]:
        changes = cycle(batches(shuffled(keys, 3), values, batch=BETWEEN))

        def pause() -> float:
            for key, value in zip(*next(changes), strict=True):
                target[key] = value
            begin = perf_counter_ns()
            taken = take()
            span = perf_counter_ns() - begin
            del taken
            return span

        return lambda: median(pause() for _ in range(TAKEN))

    store = STORE.make(pairs(keys, values))
    other = peer("dict").make(pairs(keys, values))
    return duel(side(store, store.snapshot), side(other, other.copy), plan.rounds)


class _Overwrites(NamedTuple):
    longest_free: float
    longest_held: float
    p999_held: float


@cache
def _overwrites(size: int, passes: int) -> _Overwrites:
    """Overwrite every entry at random, without a snapshot and while one is held."""
    keys, values = random_block(size, 1), random_block(size, 2)
    again, others = shuffled(keys, 3), random_block(size, 4)
    store = STORE.make(pairs(keys, values))
    run = spans_loop(STORE.name, "key, value", STORE.put)
    results = []
    for _ in range(passes):
        free, held = array("q"), array("q")
        run(store, batches(again, others), free.append)
        taken = store.snapshot()
        run(store, batches(again, values), held.append)
        del taken
        _settle(store, again, values)
        results.append(_Overwrites(max(free), max(held), percentile(held, 0.999)))
    return _Overwrites(*map(median, zip(*results, strict=True)))


def _settle(store: Any, keys: bytes, values: bytes) -> None:
    """Overwrite everything once, so that nothing waits to be released any more."""
    for key, value in pairs(keys, values):
        store.put(key, value)


def held_p999(size: int, _: str, plan: Plan) -> Pair:
    """Overwrite every entry while a snapshot is held; p99.9 of a put."""
    return Pair(_overwrites(size, plan.passes).p999_held)


def held_longest(size: int, _: str, plan: Plan) -> Pair:
    """Overwrite every entry with and without a snapshot; the longest put of each."""
    result = _overwrites(size, plan.passes)
    return Pair(result.longest_held, result.longest_free)


def drop_snapshot(size: int, _: str, plan: Plan) -> Pair:
    """Drop a snapshot that holds the last versions of 200,000 entries."""
    keys, values = random_block(size, 1), random_block(size, 2)
    some = shuffled(keys, 3)[: DROPPED_AFTER * KEY_SIZE]
    store = STORE.make(pairs(keys, values))

    def pause() -> float:
        taken = store.snapshot()
        _settle(store, some, values)
        begin = perf_counter_ns()
        del taken
        span = perf_counter_ns() - begin
        _settle(store, some, values)
        return span

    (ours,) = race([pause], plan.passes)
    return Pair(ours)

"""Finds: single reads at C level, from Cython and from Rust.

Both sides find every key of one block and get a borrowed value.  Where a row says so,
both look into it, as an operator does; else neither reads a byte of it.  Each loop runs
as compiled code from end to end.
"""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, NamedTuple

from latency_kv.bench.figures import Pair, Plan
from latency_kv.bench.keys import (
    HOT_KEY,
    HOT_VALUE,
    KEY_SIZE,
    VALUE_SIZE,
    pairs,
    picked,
    random_block,
)
from latency_kv.bench.native import operator, reference
from latency_kv.bench.peers import STORE
from latency_kv.bench.timing import duel, race

MORE = 5
"""A compiled loop makes more calls than one of Python in the same time."""

_NO_SPANS = 0


def find(size: int, _: str, plan: Plan) -> Pair:
    """Find random keys, against Rust."""
    return _find_random(size, plan, read=False)


def find_read(size: int, _: str, plan: Plan) -> Pair:
    """Find random keys and look into their values, against Rust."""
    return _find_random(size, plan, read=True)


def _find_random(size: int, plan: Plan, *, read: bool, ours: str = "find_all") -> Pair:
    keys, values = random_block(size, 1), random_block(size, 2)
    asked = picked(keys, MORE * plan.calls, 3)
    blocks = _Blocks(keys, KEY_SIZE, values, VALUE_SIZE, size)
    return _find(blocks, asked, KEY_SIZE, plan, read=read, ours=ours)


def find_many(size: int, _: str, plan: Plan) -> Pair:
    """Find random keys many at a time, against one after the other in Rust."""
    return _find_random(size, plan, read=False, ours="find_many_all")


def find_hot(size: int, _: str, plan: Plan) -> Pair:
    """Find one hot key, against Rust."""
    keys = b"".join([HOT_KEY % number for number in range(size)])
    values = b"".join([HOT_VALUE % number for number in range(size)])
    hot = HOT_KEY % (size // 2)
    blocks = _Blocks(keys, len(hot), values, len(values) // size, size)
    return _find(blocks, hot, 0, plan, read=False)


class _Blocks(NamedTuple):
    """Entries side by side, in the order of the reference's arguments."""

    keys: bytes
    key_size: int
    values: bytes
    value_size: int
    entries: int


def _find(
    blocks: _Blocks,
    asked: bytes,
    stride: int,
    plan: Plan,
    *,
    read: bool,
    ours: str = "find_all",
) -> Pair:
    count = MORE * plan.calls
    keys, key_size, values, value_size, _ = blocks
    arguments = (asked, key_size, stride, count, read, _NO_SPANS)
    store = STORE.make(pairs(keys, values, key_size, value_size))

    def side(find_all: Callable[..., int], target: Any) -> Callable[[], float]:
        def span() -> float:
            begin = perf_counter_ns()
            found = find_all(target, *arguments)
            elapsed = perf_counter_ns() - begin
            if found != count * value_size:
                raise RuntimeError(f"{found} bytes of values found by {find_all}")
            return elapsed / count

        return span

    finding = side(getattr(operator(), ours), store)
    try:
        rust = reference()
    except ImportError as error:
        (alone,) = race([finding], plan.rounds)
        return Pair(alone, note=str(error))
    target = rust.map_new(*blocks)
    try:
        return duel(finding, side(rust.map_find_all, target), plan.rounds)
    finally:
        rust.map_free(target)

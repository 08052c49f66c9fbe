"""Points: single entries read and written, one at a time and in batches.

The keys are cut from blocks of bytes just before their use, or, where a row says so,
the same objects are asked for again and again: a bytes object caches its hash, which
flatters dict.
"""

import random
from collections.abc import Callable, Iterator
from itertools import repeat

from latency_kv.bench.figures import Pair, Plan
from latency_kv.bench.keys import (
    HOT_KEY,
    HOT_VALUE,
    KEY_SIZE,
    VALUE_SIZE,
    batches,
    cut,
    fresh,
    pairs,
    picked,
    random_block,
    shuffled,
)
from latency_kv.bench.native import operator
from latency_kv.bench.peers import STORE, Engine, peer, versus
from latency_kv.bench.timing import duel, timed_loop

MANY = 1_000
"""Keys of one get_many."""


def get_fresh(size: int, peer_name: str, plan: Plan) -> Pair:
    """Get by key objects made just before the call."""
    keys, values = random_block(size, 1), random_block(size, 2)
    asked = picked(keys, plan.calls, 3)

    def side(engine: Engine) -> Callable[[], float]:
        target = engine.make(pairs(keys, values))
        run = timed_loop(engine.name, "key", engine.get)
        return lambda: run(target, fresh(asked)) / plan.calls

    return versus(side, peer_name, plan.rounds)


def get_same(size: int, peer_name: str, plan: Plan) -> Pair:
    """Get by the very objects that were put."""
    keys, values = cut(random_block(size, 1)), cut(random_block(size, 2))
    asked = random.Random(3).choices(keys, k=plan.calls)

    def side(engine: Engine) -> Callable[[], float]:
        target = engine.make(zip(keys, values, strict=True))
        run = timed_loop(engine.name, "key", engine.get)
        return lambda: run(target, [asked]) / plan.calls

    return versus(side, peer_name, plan.rounds)


def get_idle(size: int, _: str, plan: Plan) -> Pair:
    """Get by the same objects, against a compiled method that does nothing."""
    keys, values = cut(random_block(size, 1)), cut(random_block(size, 2))
    asked = random.Random(3).choices(keys, k=plan.calls)
    store = STORE.make(zip(keys, values, strict=True))
    idle = operator().Idle()
    get = timed_loop("latency_kv", "key", "target.get(key)")
    nothing = timed_loop("a method that does nothing", "key", "target.get(key)")
    return duel(
        lambda: get(store, [asked]) / plan.calls,
        lambda: nothing(idle, [asked]) / plan.calls,
        plan.rounds,
    )


def get_hot(size: int, peer_name: str, plan: Plan) -> Pair:
    """Get one hot key: the same object every time."""
    hot = HOT_KEY % (size // 2)

    def side(engine: Engine) -> Callable[[], float]:
        target = engine.make((HOT_KEY % i, HOT_VALUE % i) for i in range(size))
        run = timed_loop(engine.name, "key", engine.get)
        return lambda: run(target, [repeat(hot, plan.calls)]) / plan.calls

    return versus(side, peer_name, plan.rounds)


def get_many(size: int, peer_name: str, plan: Plan) -> Pair:
    """Get a thousand random keys at once; ns a key, the list's end included."""
    keys, values = random_block(size, 1), random_block(size, 2)
    asked = picked(keys, plan.calls, 3)
    other = peer(peer_name)
    store, target = STORE.make(pairs(keys, values)), other.make(pairs(keys, values))
    at_once = timed_loop("latency_kv", "keys", "target.get_many(keys)")
    each = timed_loop(other.name, "keys", "[target.get(key) for key in keys]")

    def thousands() -> Iterator[list[list[bytes]]]:
        return ([keys] for keys in fresh(asked, MANY))

    return duel(
        lambda: at_once(store, thousands()) / plan.calls,
        lambda: each(target, thousands()) / plan.calls,
        plan.rounds,
    )


def get_array(size: int, peer_name: str, plan: Plan) -> Pair:
    """Get a thousand random keys by an array of them; ns a key."""
    keys, values = random_block(size, 1), random_block(size, 2)
    asked = picked(keys, plan.calls, 3)
    other = peer(peer_name)
    store, target = STORE.make(pairs(keys, values)), other.make(pairs(keys, values))
    into = bytearray(MANY * VALUE_SIZE)
    at_once = timed_loop("latency_kv", "keys, into", "target.get_array(keys, into)")
    each = timed_loop(other.name, "keys", "[target.get(key) for key in keys]")

    def arrays() -> Iterator[tuple[list[memoryview], list[memoryview]]]:
        for start in range(0, len(asked), MANY * KEY_SIZE):
            part = memoryview(asked)[start : start + MANY * KEY_SIZE]
            rows = len(part) // KEY_SIZE
            yield (
                [part.cast("B", (rows, KEY_SIZE))],
                [memoryview(into)[: rows * VALUE_SIZE].cast("B", (rows, VALUE_SIZE))],
            )

    def thousands() -> Iterator[list[list[bytes]]]:
        return ([keys] for keys in fresh(asked, MANY))

    return duel(
        lambda: at_once(store, arrays()) / plan.calls,
        lambda: each(target, thousands()) / plan.calls,
        plan.rounds,
    )


def put_array(size: int, peer_name: str, plan: Plan) -> Pair:
    """Put an array of keys and one of values into an empty store; ns an entry."""
    keys, values = random_block(size, 1), random_block(size, 2)
    arrays = (
        memoryview(keys).cast("B", (size, KEY_SIZE)),
        memoryview(values).cast("B", (size, VALUE_SIZE)),
    )
    other = peer(peer_name)
    at_once = timed_loop("latency_kv", "pair", "target.put_array(*pair)")
    each = timed_loop(other.name, "key, value", other.put)
    return duel(
        lambda: at_once(STORE.make(()), [[arrays]]) / size,
        lambda: each(other.make(()), batches(keys, values)) / size,
        plan.passes,
    )


def put_new(size: int, peer_name: str, plan: Plan) -> Pair:
    """Put into an empty engine until it holds `size` entries."""
    keys, values = random_block(size, 1), random_block(size, 2)

    def side(engine: Engine) -> Callable[[], float]:
        run = timed_loop(engine.name, "key, value", engine.put)
        return lambda: run(engine.make(()), batches(keys, values)) / size

    return versus(side, peer_name, plan.passes)


def put_over(size: int, peer_name: str, plan: Plan) -> Pair:
    """Overwrite every entry once, in an order of its own."""
    keys, values = random_block(size, 1), random_block(size, 2)
    again, others = shuffled(keys, 3), random_block(size, 4)

    def side(engine: Engine) -> Callable[[], float]:
        target = engine.make(pairs(keys, values))
        run = timed_loop(engine.name, "key, value", engine.put)
        return lambda: run(target, batches(again, others)) / size

    return versus(side, peer_name, plan.passes)

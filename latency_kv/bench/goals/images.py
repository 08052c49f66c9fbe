"""Images: writing a snapshot out and reading it back, beside pickle; by the wall clock.

What a side returns is dropped outside the timed part.  A snapshot is encoded once, so
each round takes a new one.  Pickle is asked for its newest protocol.
"""

import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from time import perf_counter_ns

from latency_kv.bench.figures import Pair, Plan
from latency_kv.bench.keys import BATCH, batches, pairs, random_block, shuffled
from latency_kv.bench.peers import STORE, peer
from latency_kv.bench.timing import duel, timed_loop
from latency_kv.core.snapshot import StateSnapshot
from latency_kv.core.store import InMemoryStore

PUTS_SHARE = 250
"""Entries for each put beside an encoder: it is not done before the puts are."""


def encode(size: int, _: str, plan: Plan) -> Pair:
    """Encode a snapshot of a store that was never scanned: sorting is part of it."""
    return _encode(size, plan, ordered=False)


def encode_indexed(size: int, _: str, plan: Plan) -> Pair:
    """Encode a snapshot of a store that has its index."""
    return _encode(size, plan, ordered=True)


def _encode(size: int, plan: Plan, *, ordered: bool) -> Pair:
    keys, values = random_block(size, 1), random_block(size, 2)
    store = InMemoryStore(pairs(keys, values), ordered=ordered)
    other = peer("dict").make(pairs(keys, values))
    return duel(
        lambda: _span(store.snapshot().to_bytes),
        lambda: _span(lambda: pickle.dumps(other, pickle.HIGHEST_PROTOCOL)),
        plan.passes,
    )


def restore(size: int, _: str, plan: Plan) -> Pair:
    """Check an image and make a store of it."""
    return _restore(size, plan, ordered=False)


def restore_indexed(size: int, _: str, plan: Plan) -> Pair:
    """Check an image and make a store with its index of it."""
    return _restore(size, plan, ordered=True)


def _restore(size: int, plan: Plan, *, ordered: bool) -> Pair:
    keys, values = random_block(size, 1), random_block(size, 2)
    image = InMemoryStore(pairs(keys, values)).snapshot().to_bytes()
    pickled = pickle.dumps(
        peer("dict").make(pairs(keys, values)), pickle.HIGHEST_PROTOCOL
    )

    def restored() -> InMemoryStore:
        return InMemoryStore.from_snapshot(
            StateSnapshot.from_bytes(image), ordered=ordered
        )

    return duel(
        lambda: _span(restored),
        lambda: _span(lambda: pickle.loads(pickled)),
        plan.passes,
    )


def _span(work: Callable[[], object]) -> float:
    begin = perf_counter_ns()
    result = work()
    span = perf_counter_ns() - begin
    del result
    return span


def put_beside(size: int, _: str, plan: Plan) -> Pair:
    """Overwrite at random while another thread encodes, and while none does.

    Both sides make as many puts under a snapshot that was just taken, when each put
    copies what the snapshot holds: what differs is the other thread alone.
    """
    keys, values = random_block(size, 1), random_block(size, 2)
    store = InMemoryStore(pairs(keys, values), ordered=True)
    run = timed_loop(STORE.name, "key, value", STORE.put)
    supply = cycle(batches(shuffled(keys, 3), random_block(size, 4)))
    count = size // PUTS_SHARE // BATCH + 1
    early = 0

    def alone() -> float:
        snapshot = store.snapshot()
        spent = run(store, [next(supply) for _ in range(count)])
        del snapshot
        return spent / (count * BATCH)

    def beside() -> float:
        nonlocal early
        snapshot = store.snapshot()
        some = [next(supply) for _ in range(count)]
        thread = threading.Thread(target=snapshot.to_bytes)
        thread.start()
        spent = run(store, some)
        early += not thread.is_alive()
        thread.join()
        return spent / (count * BATCH)

    pair = duel(beside, alone, plan.rounds)
    note = f"{early} of {plan.rounds + 1} images were done before the puts"
    return replace(pair, note=note if early else "")

"""Images: writing a snapshot out and reading it back, beside pickle; by the wall clock.

What a side returns is dropped outside the timed part.  A snapshot is encoded once, so
each round takes a new one.  Pickle is asked for its newest protocol.
"""

import pickle
import threading
from collections.abc import Callable
from itertools import cycle
from time import perf_counter_ns

from latency_kv.bench.figures import Pair, Plan
from latency_kv.bench.keys import batches, pairs, random_block, shuffled
from latency_kv.bench.peers import STORE, peer
from latency_kv.bench.timing import duel, timed_loop
from latency_kv.core.snapshot import StateSnapshot
from latency_kv.core.store import InMemoryStore

BETWEEN_BATCHES = 8
"""Batches of puts between two looks at whether the image is done."""


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

    A snapshot is held in both: what differs is the other thread alone.
    """
    keys, values = random_block(size, 1), random_block(size, 2)
    store = InMemoryStore(pairs(keys, values), ordered=True)
    run = timed_loop(STORE.name, "key, value", STORE.put)
    supply = cycle(batches(shuffled(keys, 3), random_block(size, 4)))

    def side(encoding: bool) -> Callable[[], float]:
        def rate() -> float:
            snapshot = store.snapshot()
            done = threading.Event()

            def encode_beside() -> None:
                snapshot.to_bytes()
                done.set()

            thread = threading.Thread(target=encode_beside)
            puts = spent = 0
            if encoding:
                thread.start()
            while not done.is_set() if encoding else puts < plan.calls:
                some = [next(supply) for _ in range(BETWEEN_BATCHES)]
                spent += run(store, some)
                puts += sum(len(batch[0]) for batch in some)
            if encoding:
                thread.join()
            return spent / puts

        return rate

    return duel(side(True), side(False), plan.rounds)

"""Overlap: encoders, readers and droppers of snapshots beside a writer, at once.

What runs without the GIL must touch nothing that the writer writes. The answers are
held against the moment of each snapshot here; `make sanitize` runs this file under
ThreadSanitizer, which sees the races that leave answers right. The overlap is counted:
a run in which the writer stood still proves nothing. Start at `Play`.
"""

import operator
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise

import pytest

from latency_kv import InMemoryStore, StateSnapshot

# Progress is told so often, and between two reports are some milliseconds.
STEPS = 3
STEP_ENTRIES = 65_536
TRIES = 50
NEVER_S = 100.0

# Encoding takes long enough for the writer to do thousands of puts meanwhile.
ENTRIES = 30_000
ROUNDS = 6
LARGE_VALUE = b"large" * 500


def key_of(number: int) -> bytes:
    return b"key/%07d" % number


class Play:
    """A store that one thread writes to, and threads that use its snapshots."""

    def __init__(self, ordered: bool, seed: int) -> None:
        self.random = random.Random(seed)
        self.store = InMemoryStore(
            {key_of(number): b"first" for number in range(ENTRIES)}, ordered=ordered
        )
        self.written = 0
        self.overlapped = 0
        self.stop = threading.Event()

    def write(self) -> None:
        """Overwrite, delete and put back, small values and large, until told to end."""
        for number in count():
            if self.stop.is_set():
                return
            key = key_of(self.random.randrange(ENTRIES))
            if number % 7 == 0:
                self.store.delete(key)
            elif number % 50 == 0:
                self.store.put(key, LARGE_VALUE)
            else:
                self.store.put(key, b"value %d" % number)
            self.written += 1

    def encode(self) -> None:
        """Encode snapshots while they are written away from under the encoder."""
        for _ in range(ROUNDS):
            snapshot = self.store.snapshot()
            before = self.written
            image = snapshot.to_bytes()
            self.overlapped += self.written - before
            again = StateSnapshot.from_bytes(image)
            again.check()
            assert again == snapshot
            InMemoryStore.from_snapshot(again).check()

    def encode_together(self) -> None:
        """Ask one snapshot for its image and its order at once: one object for all."""
        for _ in range(ROUNDS):
            snapshot = self.store.snapshot()
            with ThreadPoolExecutor(4) as pool:
                sorting = pool.submit(snapshot.first)
                asked = [pool.submit(snapshot.to_bytes) for _ in range(3)]
            assert sorting.result() == snapshot.first()
            images = [future.result() for future in asked]
            assert all(image is images[0] for image in images)

    def read(self) -> None:
        """Sort, scan and look up in snapshots that others drop."""
        for _ in range(ROUNDS):
            snapshot = self.store.snapshot()
            keys = list(snapshot.prefix_keys(b"key/00"))
            assert keys == sorted(keys)
            assert all(snapshot.get_many(keys))

    def drop(self) -> None:
        """Take snapshots and let go of them, so that releasing goes on all the time."""
        for _ in range(ROUNDS * 20):
            snapshots = [self.store.snapshot() for _ in range(3)]
            copy = self.store.copy()
            copy.put(b"mine", b"alone")
            del snapshots, copy

    def run(self, *parts: Callable[[], None]) -> None:
        """Run the parts at once, beside the writer; raise what any of them raised."""
        with ThreadPoolExecutor(len(parts) + 1) as pool:
            writer = pool.submit(self.write)
            try:
                for future in [pool.submit(part) for part in parts]:
                    future.result()
            finally:
                self.stop.set()
            writer.result()


@pytest.mark.parametrize("ordered", [False, True])
def test_encoders_readers_and_droppers_overlap_with_a_writer(
    ordered: bool, seed: int
) -> None:
    play = Play(ordered, seed)
    play.run(play.encode, play.encode, play.encode_together, play.read, play.drop)
    assert play.overlapped > ROUNDS, "the writer stood still while images were encoded"
    play.store.check()


@pytest.mark.parametrize("ordered", [False, True])
def test_every_step_of_encoding_lets_go_of_the_gil(ordered: bool) -> None:
    """Another thread has turns between any two reports of progress.

    It could not take the GIL by itself: threads are made to wait for ever for one that
    holds on to it. What the machine's scheduler spoils is tried again.
    """
    store = InMemoryStore(
        {key_of(number): b"" for number in range(STEPS * STEP_ENTRIES)}, ordered=ordered
    )
    turns = [0]
    seen = [False] * STEPS
    usual = sys.getswitchinterval()
    sys.setswitchinterval(NEVER_S)
    try:
        for _ in range(TRIES):
            marks = turns[:]

            def mark(_done: int, _all: int, marks: list[int] = marks) -> None:
                marks.append(turns[0])

            thread = threading.Thread(
                target=store.snapshot().to_bytes, kwargs={"progress": mark}
            )
            thread.start()
            while thread.is_alive():
                turns[0] += 1
                time.sleep(0)
            passed = [after > before for before, after in pairwise(marks)]
            seen = list(map(operator.or_, seen, passed))
            if all(seen):
                return
    finally:
        sys.setswitchinterval(usual)
    raise AssertionError(f"steps during which another thread ran: {seen}")

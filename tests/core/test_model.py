"""Random play: stores and models do the same, scans and snapshots held meanwhile.

A `Play` keeps a few stores, each beside its model, and what was opened on them: scans
half read, snapshots, copies. Every answer is compared as it comes, everything held is
compared when it is let go, and `check()` runs every few steps. It does not know the
engine. Start at `Play.step`; one seed repeats one play.
"""

import os
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import pytest

from core.keys import key_pool, large_value, value_pool
from latency_kv import InMemoryStore, StateSnapshot
from model import Model, ModelSnapshot, answer

CHECK_EVERY = 200
MOST_STORES = 4
MOST_HELD = 12
LONGEST_BATCH = 24
PHASE = 750
SMALL_OPERATIONS = 12_000
FULL_OPERATIONS = 250_000

Hold = Callable[["Play", "Twin"], None]


class Twin(NamedTuple):
    """A store and the model that it has to equal."""

    store: InMemoryStore
    model: Model


class HeldScan(NamedTuple):
    """A scan partly read, and the entries that it still owes."""

    scan: Iterator[object]
    owed: Iterator[object]


class HeldSnapshot(NamedTuple):
    """A snapshot and the model's at the same moment."""

    snapshot: StateSnapshot
    model: ModelSnapshot


class Play:
    """Some stores under play, what is held open on them, and the dice."""

    def __init__(self, seed: int, pool_size: int) -> None:
        self.random = Random(seed)
        self.keys = key_pool(self.random, pool_size)
        self.values = value_pool(self.random)
        self.large = large_value(self.random)
        self.twins = [Twin(InMemoryStore(ordered=seed % 2 == 0), Model())]
        self.scans: list[HeldScan] = []
        self.snapshots: list[HeldSnapshot] = []
        self.growing = True
        self.holds: tuple[Hold, ...] = ()

    def step(self, number: int) -> None:
        """Do one thing to one store, and look at what it left."""
        if number % PHASE == 0:
            self.turn()
        twin = self.random.choice(self.twins)
        kind = self.random.random()
        if kind < 0.5:
            (self.write if self.random.random() < 0.6 else self.read)(twin)
        elif kind < 0.85 or not self.holds:
            (self.fill if self.growing else self.drain)(twin)
        else:
            self.random.choice(self.holds)(self, twin)
        if number % CHECK_EVERY == 0:
            self.examine(twin)

    def write(self, twin: Twin) -> None:
        self.same(twin, self.random.choice(WRITES)(self))

    def read(self, twin: Twin) -> None:
        self.same(twin, self.random.choice(READS)(self))

    def fill(self, twin: Twin) -> None:
        key, value = self.key(), self.value()
        self.same(twin, lambda store: store.put(key, value))

    def drain(self, twin: Twin) -> None:
        key = self.key()
        self.same(twin, lambda store: store.delete(key))

    def same(self, twin: Twin, call: Callable[[Any], object]) -> None:
        assert answer(call, twin.store) == answer(call, twin.model)

    def examine(self, twin: Twin) -> None:
        twin.store.check()
        assert len(twin.store) == len(twin.model)
        assert twin.store.size_bytes() == twin.model.size_bytes()
        assert list(twin.store.items()) == list(twin.model.items())

    def turn(self) -> None:
        """Begin a phase: grow or shrink, and hold only some kinds of things open.

        A store writes in place only while nobody can see, so holding everything all the
        time would never find what is wrong with that.
        """
        self.let_go()
        self.growing = not self.growing or self.random.random() < 0.3
        self.holds = self.random.choice(REGIMES)

    def let_go(self) -> None:
        """Let everything go, in any order, and compare what it still had to say."""
        held = [*self.scans, *self.snapshots, *self.twins[1:]]
        self.scans, self.snapshots = [], []
        del self.twins[1:]
        self.random.shuffle(held)
        while held:
            last = held.pop()
            if isinstance(last, HeldScan):
                assert list(last.scan) == list(last.owed)
            elif isinstance(last, HeldSnapshot):
                assert list(last.snapshot.items()) == list(last.model.items())
            else:
                self.examine(last)
            del last
            self.twins[0].store.check()
        self.examine(self.twins[0])

    def key(self) -> bytes:
        """A key of the pool, or now and then one that is nobody's."""
        key = self.random.choice(self.keys)
        chance = self.random.random()
        if chance > 0.1 or len(key) > 64:
            return key
        return key + b"\x00" if chance < 0.05 else key[: len(key) // 2]

    def bound(self) -> bytes | None:
        return None if self.random.random() < 0.15 else self.key()

    def value(self) -> bytes:
        if self.random.random() < 0.000_5:
            return self.large
        return self.random.choice(self.values)

    def maybe(self) -> bytes | None:
        return None if self.random.random() < 0.3 else self.value()

    def limit(self) -> int | None:
        return self.random.choice((None, None, 0, 1, 2, 7, 1_000_000))

    def batch(self) -> list[bytes]:
        return [self.key() for _ in range(self.random.randrange(LONGEST_BATCH))]

    def scan(self) -> Callable[[Any], Iterator[object]]:
        """Open one of the four scans, with bounds, direction and limit at random."""
        ranged, keys_only = self.random.random() < 0.5, self.random.random() < 0.3
        bounds = (self.bound(), self.bound()) if ranged else (self.prefix(),)
        name = f"{'range' if ranged else 'prefix'}_{'keys' if keys_only else 'scan'}"
        reverse, limit = self.random.random() < 0.4, self.limit()
        return lambda store: getattr(store, name)(*bounds, reverse=reverse, limit=limit)

    def prefix(self) -> bytes:
        key = self.key()
        return key[: self.random.choice((0, 1, 2, 7, 8, 9, 16, len(key)))]

    def near_value(self, key: bytes) -> bytes | None:
        """The value of `key` in some store, so that a swap may succeed."""
        return self.random.choice(self.twins).model.get(key)


def put_many(play: Play) -> Callable[[Any], object]:
    entries = [(key, play.value()) for key in play.batch()]
    argument = dict(entries) if play.random.random() < 0.5 else entries
    return lambda store: store.put_many(argument)


def delete_many(play: Play) -> Callable[[Any], object]:
    keys = play.batch()
    return lambda store: store.delete_many(keys)


def delete_prefix(play: Play) -> Callable[[Any], object]:
    prefix = play.prefix() if play.random.random() < 0.1 else play.key()
    return lambda store: store.delete_prefix(prefix)


def delete_range(play: Play) -> Callable[[Any], object]:
    start = play.key()
    stop = start + b"\xff" if play.random.random() < 0.95 else play.bound()
    return lambda store: store.delete_range(start, stop)


def put_if_absent(play: Play) -> Callable[[Any], object]:
    key, value = play.key(), play.value()
    return lambda store: store.put_if_absent(key, value)


def compare_and_swap(play: Play) -> Callable[[Any], object]:
    key, new = play.key(), play.maybe()
    expected = play.near_value(key) if play.random.random() < 0.7 else play.maybe()
    return lambda store: store.compare_and_swap(key, expected, new)


def increment(play: Play) -> Callable[[Any], object]:
    key = play.key()
    delta = play.random.choice((1, -1, 1_000, -(1 << 63), (1 << 63) - 1))
    return lambda store: store.increment(key, delta)


def compute(play: Play) -> Callable[[Any], object]:
    key, new = play.key(), play.maybe()
    return lambda store: store.compute(key, lambda current: new)


def pop(play: Play) -> Callable[[Any], object]:
    key = play.key()
    defaults = (None,) if play.random.random() < 0.5 else ()
    return lambda store: store.pop(key, *defaults)


def setdefault(play: Play) -> Callable[[Any], object]:
    key, value = play.key(), play.value()
    return lambda store: store.setdefault(key, value)


def update(play: Play) -> Callable[[Any], object]:
    entries = {key: bytearray(play.value()) for key in play.batch()}
    return lambda store: store.update(entries)


def delete_item(play: Play) -> Callable[[Any], object]:
    key = play.key()
    return lambda store: store.__delitem__(key)


def clear(play: Play) -> Callable[[Any], object]:
    """Clear seldom: a play that is always empty shows nothing."""
    if play.random.random() < 0.98:
        return increment(play)
    return lambda store: store.clear()


def get(play: Play) -> Callable[[Any], object]:
    key = play.key()
    return lambda store: (store.get(key), store.contains(key), key in store)


def get_many(play: Play) -> Callable[[Any], object]:
    keys = play.batch()
    return lambda store: store.get_many(keys)


def ends(play: Play) -> Callable[[Any], object]:
    prefix = play.prefix()
    return lambda store: (store.first(prefix), store.last(prefix))


def neighbours(play: Play) -> Callable[[Any], object]:
    key = play.key()
    return lambda store: (store.floor(key), store.ceiling(key))


def sizes(play: Play) -> Callable[[Any], object]:
    return lambda store: (len(store), store.size_bytes(), store.is_empty())


def open_scan(play: Play, twin: Twin) -> None:
    opened = play.scan()
    held = HeldScan(opened(twin.store), opened(twin.model))
    if len(play.scans) < MOST_HELD:
        play.scans.append(held)
    else:
        assert list(held.scan) == list(held.owed)


def read_scan(play: Play, twin: Twin) -> None:
    if not play.scans:
        return
    held = play.random.choice(play.scans)
    for _ in range(play.random.randrange(LONGEST_BATCH)):
        assert next(held.scan, None) == next(held.owed, None)


def close_scan(play: Play, twin: Twin) -> None:
    if play.scans:
        held = play.scans.pop(play.random.randrange(len(play.scans)))
        if play.random.random() < 0.5:
            assert list(held.scan) == list(held.owed)


def take_snapshot(play: Play, twin: Twin) -> None:
    if len(play.snapshots) < MOST_HELD:
        held = HeldSnapshot(twin.store.snapshot(), twin.model.snapshot())
        play.snapshots.append(held)


def read_snapshot(play: Play, twin: Twin) -> None:
    if play.snapshots:
        held = play.random.choice(play.snapshots)
        call = play.random.choice(READS)(play)
        assert answer(call, held.snapshot) == answer(call, held.model)


def drop_snapshot(play: Play, twin: Twin) -> None:
    if play.snapshots:
        held = play.snapshots.pop(play.random.randrange(len(play.snapshots)))
        assert list(held.snapshot.items()) == list(held.model.items())


def restore(play: Play, twin: Twin) -> None:
    """Restore seldom, or the play forgets what it built."""
    if play.snapshots and play.random.random() < 0.2:
        held = play.random.choice(play.snapshots)
        twin.store.restore(held.snapshot)
        twin.model.restore(held.model)


def copy(play: Play, twin: Twin) -> None:
    if len(play.twins) < MOST_STORES:
        play.twins.append(Twin(twin.store.copy(), twin.model.copy()))


def drop_copy(play: Play, twin: Twin) -> None:
    if len(play.twins) > 1:
        play.examine(play.twins.pop(play.random.randrange(len(play.twins))))


WRITES = (
    *[put_many] * 8,
    *[put_if_absent, compare_and_swap, increment, compute] * 3,
    delete_many,
    delete_prefix,
    delete_range,
    pop,
    setdefault,
    update,
    delete_item,
    clear,
)
READS = (get, get, get_many, ends, neighbours, sizes, Play.scan, Play.scan)
SCAN_HOLDS = (open_scan, read_scan, read_scan, close_scan)
SNAPSHOT_HOLDS = (take_snapshot, read_snapshot, drop_snapshot, restore)
COPY_HOLDS = (copy, drop_copy)
REGIMES = (
    (),
    SCAN_HOLDS,
    SCAN_HOLDS,
    SNAPSHOT_HOLDS,
    (*SCAN_HOLDS, *SNAPSHOT_HOLDS, *COPY_HOLDS),
)


# The four plays of `make check` are one million operations together.
@pytest.mark.parametrize("pool_size", [12, 60, 400, 3_000])
def test_any_sequence_of_operations_equals_the_model(
    seed: int, full: bool, pool_size: int
) -> None:
    default = FULL_OPERATIONS if full else SMALL_OPERATIONS
    operations = int(os.environ.get("LATENCY_KV_OPERATIONS", default))
    play = Play(seed, pool_size)
    for number in range(operations):
        play.step(number)
    play.let_go()

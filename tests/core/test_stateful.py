"""State machine: hypothesis plays the store against the model, and shrinks what fails.

The volume is in test_model.py; here a failure comes as the shortest program that shows
it. Keys are short and few, so that pages and leaves fill with neighbours. Start at
`StoreMachine`.
"""

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from latency_kv import InMemoryStore, StateSnapshot
from model import Model, ModelSnapshot, answer

Scans = tuple[Iterator[object], Iterator[object]]

KEYS = st.one_of(
    st.binary(max_size=3),
    st.sampled_from([b"\xff", b"\xff\xff", b"\x00" * 8, b"\x00" * 9, b"k" * 300]),
    st.builds(lambda n: b"prefixes" + n.to_bytes(2, "big"), st.integers(0, 300)),
    st.builds(lambda n: n.to_bytes(8, "big"), st.integers(0, 300)),
)
VALUES = st.one_of(
    st.binary(max_size=20),
    st.builds(bytes, st.sampled_from([0, 1_023, 1_024, 1_025, 9_000])),
    st.builds(lambda n: n.to_bytes(8, "little", signed=True), st.integers(-9, 9)),
)
BOUNDS = st.none() | KEYS
PREFIXES = st.just(b"") | KEYS
LIMITS = st.sampled_from([None, 0, 1, 3])


class StoreMachine(RuleBasedStateMachine):
    """One store and its model; scans and snapshots wait in bundles."""

    scans = Bundle("scans")
    snapshots = Bundle("snapshots")

    @initialize(
        ordered=st.booleans(), entries=st.dictionaries(KEYS, VALUES, min_size=1)
    )
    def open(self, ordered: bool, entries: dict[bytes, bytes]) -> None:
        self.store = InMemoryStore(entries, ordered=ordered)
        self.model = Model(entries)

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        self.store.put(key, value)
        self.model.put(key, value)

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        assert self.store.delete(key) == self.model.delete(key)

    @rule(start=st.integers(0, 300), count=st.integers(0, 300), ascending=st.booleans())
    def put_run(self, start: int, count: int, ascending: bool) -> None:
        numbers = range(start, start + count)[:: 1 if ascending else -1]
        entries = {number.to_bytes(8, "big"): b"run" for number in numbers}
        self.store.put_many(entries)
        self.model.put_many(entries)

    @rule(fill=st.integers(0, 255))
    def put_over_each(self, fill: int) -> None:
        """With values of the same sizes, for which an engine need not move an entry."""
        for key, value in dict(self.model).items():
            self.store.put(key, bytes([fill]) * len(value))
            self.model.put(key, bytes([fill]) * len(value))

    @rule(keys=st.lists(KEYS))
    def delete_many(self, keys: list[bytes]) -> None:
        assert self.store.delete_many(keys) == self.model.delete_many(keys)

    @rule(start=BOUNDS, stop=BOUNDS)
    def delete_range(self, start: bytes | None, stop: bytes | None) -> None:
        deleted = self.store.delete_range(start, stop)
        assert deleted == self.model.delete_range(start, stop)

    @rule(prefix=KEYS)
    def delete_prefix(self, prefix: bytes) -> None:
        assert self.store.delete_prefix(prefix) == self.model.delete_prefix(prefix)

    @rule()
    def clear(self) -> None:
        self.store.clear()
        self.model.clear()

    @rule(key=KEYS, expected=BOUNDS, new=st.none() | VALUES)
    def swap(self, key: bytes, expected: bytes | None, new: bytes | None) -> None:
        swapped = self.store.compare_and_swap(key, expected, new)
        assert swapped == self.model.compare_and_swap(key, expected, new)

    @rule(key=KEYS, new=st.none() | VALUES)
    def swap_from_current(self, key: bytes, new: bytes | None) -> None:
        assert self.store.compare_and_swap(key, self.model.get(key), new)
        assert self.model.compare_and_swap(key, self.model.get(key), new)

    @rule(key=KEYS, delta=st.integers(-(1 << 63), (1 << 63) - 1))
    def increment(self, key: bytes, delta: int) -> None:
        self.same(lambda store: store.increment(key, delta))

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        self.same(lambda store: (store.get(key), key in store))

    @rule(keys=st.lists(KEYS))
    def get_many(self, keys: list[bytes]) -> None:
        assert self.store.get_many(keys) == self.model.get_many(keys)

    @rule(key=KEYS)
    def neighbours(self, key: bytes) -> None:
        self.same(lambda store: (store.floor(key), store.ceiling(key)))
        self.same(lambda store: (store.first(key), store.last(key)))

    @rule(target=scans, prefix=PREFIXES, reverse=st.booleans(), limit=LIMITS)
    def scan_prefix(self, prefix: bytes, reverse: bool, limit: int | None) -> Scans:
        return (
            self.store.prefix_scan(prefix, reverse=reverse, limit=limit),
            self.model.prefix_scan(prefix, reverse=reverse, limit=limit),
        )

    @rule(target=scans, start=BOUNDS, stop=BOUNDS, reverse=st.booleans(), limit=LIMITS)
    def scan_range(
        self,
        start: bytes | None,
        stop: bytes | None,
        reverse: bool,
        limit: int | None,
    ) -> Scans:
        return (
            self.store.range_scan(start, stop, reverse=reverse, limit=limit),
            self.model.range_scan(start, stop, reverse=reverse, limit=limit),
        )

    @rule(pair=scans, steps=st.integers(1, 9))
    def read_scan(self, pair: Scans, steps: int) -> None:
        for _ in range(steps):
            assert next(pair[0], None) == next(pair[1], None)

    @rule(pair=consumes(scans))
    def finish_scan(self, pair: Scans) -> None:
        assert list(pair[0]) == list(pair[1])

    @rule(target=snapshots)
    def snapshot(self) -> tuple[StateSnapshot, ModelSnapshot]:
        return self.store.snapshot(), self.model.snapshot()

    @rule(pair=snapshots)
    def read_snapshot(self, pair: tuple[StateSnapshot, ModelSnapshot]) -> None:
        assert list(pair[0].items()) == list(pair[1].items())

    @rule(pair=snapshots)
    def restore(self, pair: tuple[StateSnapshot, ModelSnapshot]) -> None:
        self.store.restore(pair[0])
        self.model.restore(pair[1])

    @rule(pair=consumes(snapshots))
    def drop_snapshot(self, pair: tuple[StateSnapshot, ModelSnapshot]) -> None:
        del pair

    @rule(back=st.booleans())
    def go_on_with_a_copy(self, back: bool) -> None:
        """Write to one side of a copy, and go on with the other or with that one."""
        copy, entries = self.store.copy(), dict(self.model)
        if back:
            copy.put_many({b"copy": b"written", b"": b""})
            del copy
        else:
            self.store.clear()
            self.store = copy
        assert dict(self.store) == entries

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "store"):
            self.store.check()
            assert len(self.store) == len(self.model)
            assert self.store.size_bytes() == self.model.size_bytes()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert list(self.store.items()) == list(self.model.items())

    def same(self, call: Callable[[Any], object]) -> None:
        assert answer(call, self.store) == answer(call, self.model)


TestStore = StoreMachine.TestCase

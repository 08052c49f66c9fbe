"""Snapshots and copies: a store as it was, whatever becomes of the store.

Independence, restore in every direction, and every order of dropping. The encoded image
is not here. Reads that a snapshot shares with the store are tested with the store's.
"""

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from core.waiting import eventually
from latency_kv import InMemoryStore, StateSnapshot

ENTRIES = {b"key/%04d" % number: b"value %d" % number for number in range(2_000)}
OTHER = {b"key/%04d" % number: b"other" for number in range(1_000, 3_000)}


@pytest.fixture(params=[False, True], ids=["unordered", "ordered"])
def store(request: pytest.FixtureRequest) -> InMemoryStore:
    return InMemoryStore(ENTRIES, ordered=request.param)


def spoil(store: InMemoryStore) -> None:
    """Overwrite, delete and add, then read in order, so that every part is written."""
    store.put_many({key: b"spoilt" for key in itertools.islice(ENTRIES, 0, None, 3)})
    store.delete_many(itertools.islice(ENTRIES, 1, None, 3))
    store.put_many({key + b"+": bytes(2_000) for key in ENTRIES})
    store.first()
    store.check()


def test_snapshot_does_not_follow_the_store(store: InMemoryStore) -> None:
    snapshot = store.snapshot()
    spoil(store)
    assert list(snapshot.items()) == sorted(ENTRIES.items())
    assert snapshot.size_bytes() == InMemoryStore(ENTRIES).size_bytes()
    store.clear()
    assert snapshot == ENTRIES
    assert snapshot.get(b"key/0001") == b"value 1"
    assert not snapshot.contains(b"key/0001+")


def test_snapshots_of_different_moments_stay_apart(store: InMemoryStore) -> None:
    taken = []
    for number in range(60):
        store.put(b"key/%04d" % (number * 30), b"moment %d" % number)
        taken.append((store.snapshot(), dict(store)))
    for snapshot, expected in reversed(taken):
        assert snapshot == expected
        assert list(snapshot) == sorted(expected)
    store.check()


def test_snapshot_tells_its_moment_and_size(store: InMemoryStore) -> None:
    before = time.time_ns()
    snapshot = store.snapshot()
    assert before <= snapshot.timestamp_ns <= time.time_ns()
    assert isinstance(snapshot.created_at, datetime)
    assert snapshot.created_at.utcoffset() == UTC.utcoffset(None)
    seconds = snapshot.timestamp_ns / 1e9
    assert snapshot.created_at.timestamp() == pytest.approx(seconds, abs=0.001)
    assert snapshot.version == 1
    assert len(snapshot) == len(ENTRIES)


@pytest.mark.parametrize(
    "write",
    [
        lambda snapshot: snapshot.put(b"a", b""),
        lambda snapshot: snapshot.clear(),
        lambda snapshot: snapshot.pop(b"a"),
        lambda snapshot: snapshot.__setitem__(b"a", b""),
        lambda snapshot: snapshot.__delitem__(b"a"),
        lambda snapshot: setattr(snapshot, "version", 2),
        lambda snapshot: setattr(snapshot, "timestamp_ns", 2),
    ],
)
def test_snapshot_is_read_only(
    store: InMemoryStore, write: Callable[[StateSnapshot], object]
) -> None:
    snapshot = store.snapshot()
    with pytest.raises((AttributeError, TypeError)):
        write(snapshot)
    assert snapshot == ENTRIES


def test_snapshot_is_not_made_by_hand() -> None:
    with pytest.raises(TypeError):
        StateSnapshot()


def test_restore_replaces_everything(store: InMemoryStore) -> None:
    snapshot = store.snapshot()
    spoil(store)
    store.put(b"only here", b"")
    store.restore(snapshot)
    assert store == ENTRIES
    assert store.size_bytes() == snapshot.size_bytes()
    assert list(store.items()) == sorted(ENTRIES.items())
    store.check()


def test_restore_into_another_store_leaves_both_apart(store: InMemoryStore) -> None:
    snapshot = store.snapshot()
    other = InMemoryStore(OTHER)
    other.restore(snapshot)
    assert other == store == ENTRIES
    spoil(other)
    assert store == snapshot == ENTRIES
    store.clear()
    assert snapshot == ENTRIES
    assert len(other) > len(ENTRIES)
    other.check()


def test_restored_store_can_be_written_and_restored_again(
    store: InMemoryStore,
) -> None:
    snapshot = store.snapshot()
    for _ in range(5):
        spoil(store)
        store.restore(snapshot)
        assert store == ENTRIES
    assert snapshot == ENTRIES
    store.check()


def test_chain_of_snapshots_and_restores(store: InMemoryStore) -> None:
    states = [dict(store)]
    snapshots = [store.snapshot()]
    for number in range(20):
        store.restore(snapshots[number // 2])
        store.put(b"chain/%d" % number, b"link")
        store.delete(b"key/%04d" % number)
        states.append(dict(store))
        snapshots.append(store.snapshot())
    for snapshot, state in zip(snapshots, states, strict=True):
        store.restore(snapshot)
        assert store == snapshot == state
        store.check()


def test_restore_of_an_empty_snapshot_empties(store: InMemoryStore) -> None:
    store.restore(InMemoryStore().snapshot())
    assert store.is_empty()
    store.put_many(OTHER)
    assert list(store.items()) == sorted(OTHER.items())
    store.check()


def test_restore_of_a_wrong_type_changes_nothing(store: InMemoryStore) -> None:
    for wrong in (None, store, ENTRIES, b"image", 7):
        with pytest.raises(TypeError):
            store.restore(wrong)  # type: ignore[arg-type]
    assert store == ENTRIES


def test_open_scan_outlives_a_restore(store: InMemoryStore) -> None:
    other = InMemoryStore(OTHER).snapshot()
    scan = store.prefix_scan()
    next(scan)
    store.restore(other)
    assert list(scan) == sorted(ENTRIES.items())[1:]
    assert store == OTHER


def test_copies_are_apart_in_both_directions(store: InMemoryStore) -> None:
    copy = store.copy()
    copy_of_copy = copy.copy()
    spoil(copy)
    assert store == copy_of_copy == ENTRIES
    store.clear()
    assert copy_of_copy == ENTRIES
    spoil(copy_of_copy)
    assert copy == copy_of_copy
    for each in (store, copy, copy_of_copy):
        each.check()


def test_copy_overwrites_in_place_only_what_is_its_own(store: InMemoryStore) -> None:
    """Same-size puts and counters are where an engine would write in place."""
    store.put(b"counter", bytes(8))
    copy, snapshot = store.copy(), store.snapshot()
    for each, first in ((store, b"S"), (copy, b"C")):
        each.put(b"key/0000", first + b"alue 0")
        each.increment(b"counter", first[0])
    assert store[b"key/0000"] == b"Salue 0"
    assert copy[b"key/0000"] == b"Calue 0"
    assert snapshot[b"key/0000"] == b"value 0"
    assert snapshot[b"counter"] == bytes(8)
    assert store[b"counter"][0] == ord("S")
    assert copy[b"counter"][0] == ord("C")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_holders_are_dropped_in_any_order(order: tuple[int, ...]) -> None:
    store = InMemoryStore(ENTRIES)
    states = [dict(ENTRIES)]
    holders: list[object] = [store.snapshot()]
    spoil(store)
    states.append(dict(store))
    holders.append(store.copy())
    store.delete_prefix(b"key/00")
    states.append(dict(store))
    holders.append(store.snapshot().prefix_scan())
    store.put_many(OTHER)
    states.append(dict(store))
    holders.append(store)
    del store
    for place in order:
        holder = holders[place]
        assert dict(holder) == states[place]  # type: ignore[call-overload]
        if isinstance(holder, InMemoryStore):
            holder.check()
            spoil(holder)
        holders[place] = holder = None


def test_snapshot_and_drop_leave_no_memory_behind() -> None:
    store = InMemoryStore(ENTRIES)
    store.first()
    for _ in range(3):
        store.put_many(ENTRIES)
    before = store.memory_bytes()
    for _ in range(50):
        snapshot = store.snapshot()
        store.put_many(ENTRIES)
        store.first()
        del snapshot
    assert eventually(lambda: store.memory_bytes() < 2 * before + (1 << 16))
    store.check()


def test_store_grows_while_a_dropped_snapshot_is_still_being_let_go() -> None:
    """What waits to be let go counts pages that the store is about to split."""
    entries = {b"%08d" % number: b"" for number in range(30_000)}
    store = InMemoryStore(entries)
    for moment in range(12):
        new = {b"%d/%05d" % (moment, number): b"" for number in range(3_000)}
        snapshot = store.snapshot()
        store.put(b"00000000", b"moment %d" % moment)
        del snapshot
        store.put_many(new)
        entries.update(new)
        for number in range(2_000):
            store.put(b"00000000", b"again %d" % number)
    store.check()
    entries[b"00000000"] = b"again 1999"
    assert store == entries


def test_snapshot_outlives_its_store() -> None:
    snapshots = []
    for number in range(10):
        store = InMemoryStore(ENTRIES, ordered=number % 2 == 0)
        snapshots.append(store.snapshot())
        del store
    for snapshot in snapshots:
        assert snapshot == ENTRIES


def test_scans_and_puts_under_a_held_snapshot_stop_copying() -> None:
    """Each page and node is copied once for the snapshot, not once more a scan."""
    keys = [b"key/%04d" % number for number in range(2_000)]
    store = InMemoryStore(dict.fromkeys(keys, b"first"), ordered=True)
    held = store.snapshot()

    def round_of_work() -> int:
        before = store.stats().copies
        for key in keys:
            assert store.first(key) is not None
            store.put(key, b"again")
        return store.stats().copies - before

    round_of_work()
    assert round_of_work() == 0
    assert set(held.values()) == {b"first"}

"""Restoring: a store out of an image, all of it or nothing, and ordinary afterwards.

Restoring a live snapshot is tested in test_snapshots.py. Start at
`test_restored_store_is_an_ordinary_store`.
"""

import gc
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from core.goldens import CREATED_NS, EDGES, GOLDENS, Golden
from core.keys import key_pool, value_pool
from core.test_model import Play, Twin
from image import encode
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.errors import SnapshotCorruptError
from model import Model

ENTRIES = {b"key/%04d" % number: b"value %d" % number for number in range(2_000)}
BEFORE = {b"before/%04d" % number: b"old" for number in range(1_000)}
LARGE = {b"large/%d" % number: bytes([number]) * 2_000 for number in range(20)}

Source = Callable[[dict[bytes, bytes], Path], StateSnapshot]


def from_bytes(entries: dict[bytes, bytes], folder: Path) -> StateSnapshot:
    return StateSnapshot.from_bytes(encode(entries, CREATED_NS))


def from_own_bytes(entries: dict[bytes, bytes], folder: Path) -> StateSnapshot:
    return StateSnapshot.from_bytes(InMemoryStore(entries).snapshot().to_bytes())


def from_map(entries: dict[bytes, bytes], folder: Path) -> StateSnapshot:
    path = folder / "state.lkv"
    path.write_bytes(encode(entries, CREATED_NS))
    return StateSnapshot.open(path)


def from_file(entries: dict[bytes, bytes], folder: Path) -> StateSnapshot:
    path = folder / "state.lkv"
    path.write_bytes(encode(entries, CREATED_NS))
    return StateSnapshot.open(path, mmap=False)


SOURCES = [from_bytes, from_own_bytes, from_map, from_file]
each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda call: call.__name__)
golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)


@each_source
@pytest.mark.parametrize("ordered", [False, True])
def test_restore_replaces_everything(
    source: Source, ordered: bool, tmp_path: Path
) -> None:
    snapshot = source(ENTRIES | LARGE, tmp_path)
    store = InMemoryStore(BEFORE, ordered=ordered)
    store.restore(snapshot)
    store.check()
    assert store == ENTRIES | LARGE
    assert list(store.items()) == sorted((ENTRIES | LARGE).items())
    assert store.size_bytes() == snapshot.size_bytes()
    assert not store.contains(b"before/0000")
    store.check()


@golden
@pytest.mark.parametrize("ordered", [False, True])
def test_from_snapshot_makes_a_store_of_every_golden_image(
    golden: Golden, ordered: bool
) -> None:
    snapshot = StateSnapshot.from_bytes(golden.image())
    store = InMemoryStore.from_snapshot(snapshot, ordered=ordered)
    store.check()
    assert store == golden.entries
    assert list(store.items()) == sorted(golden.entries.items())
    assert store.snapshot().to_bytes()[32:] == golden.image()[32:]


@each_source
def test_restored_store_is_an_ordinary_store(
    source: Source, tmp_path: Path, seed: int
) -> None:
    """Everything may follow: the whole play of test_model.py does."""
    play = Play(seed, 300)
    entries = {key: play.random.choice(play.values) for key in play.keys[::2]}
    store = InMemoryStore.from_snapshot(
        source(entries, tmp_path), ordered=seed % 2 == 0
    )
    play.twins = [Twin(store, Model(entries.items()))]
    for number in range(1, 4_000):
        play.step(number)
    play.let_go()


def test_restored_store_grows_far_beyond_the_image() -> None:
    store = InMemoryStore.from_snapshot(
        StateSnapshot.from_bytes(encode(ENTRIES, CREATED_NS))
    )
    more = {b"more/%05d" % number: b"" for number in range(20_000)}
    store.put_many(more)
    store.check()
    assert store == ENTRIES | more
    assert store.delete_prefix(b"more/") == len(more)
    assert store == ENTRIES
    store.check()


@pytest.mark.parametrize("size", [*range(18), 95, 96, 97, 110, 111, 112, 113, 5_000])
def test_stores_of_every_size_come_back(size: int, seed: int) -> None:
    """Page by page: also where a page is just full, or just too full."""
    entries = {Random(f"{seed}/{n}").randbytes(9): b"%d" % n for n in range(size)}
    for ordered in (False, True):
        store = InMemoryStore.from_snapshot(
            StateSnapshot.from_bytes(encode(entries, CREATED_NS)), ordered=ordered
        )
        store.check()
        assert store == entries
        store.put(b"one more", b"")
        assert len(store) == size + 1
        store.check()


def test_any_entries_come_back(seed: int, full: bool) -> None:
    random = Random(seed)
    values = value_pool(random)
    for _ in range(100 if full else 6):
        keys = key_pool(random, random.choice((20, 500, 8_000)))
        entries = {key: random.choice(values) for key in keys}
        store = InMemoryStore(BEFORE, ordered=random.random() < 0.5)
        store.restore(StateSnapshot.from_bytes(encode(entries, CREATED_NS)))
        store.check()
        assert list(store.items()) == sorted(entries.items())
        assert store.get_many(keys) == list(entries.values())


def test_ordered_store_gets_its_index() -> None:
    snapshot = StateSnapshot.from_bytes(encode(ENTRIES, CREATED_NS))
    assert InMemoryStore.from_snapshot(snapshot, ordered=True).stats().indexed
    store = InMemoryStore(BEFORE, ordered=True)
    store.restore(snapshot)
    assert store.stats().indexed
    store.check()


def test_from_snapshot_takes_live_snapshots_too() -> None:
    original = InMemoryStore(ENTRIES | LARGE)
    store = InMemoryStore.from_snapshot(original.snapshot())
    original.clear()
    store.put(b"new", b"")
    assert store == ENTRIES | LARGE | {b"new": b""}
    store.check()
    ordered = InMemoryStore.from_snapshot(store.snapshot(), ordered=True)
    assert ordered.stats().indexed
    assert ordered == store


@pytest.mark.parametrize("wrong", [None, b"image", {}, 7, InMemoryStore()])
def test_what_is_no_snapshot_is_not_restored(wrong: object) -> None:
    store = InMemoryStore(BEFORE)
    with pytest.raises(TypeError):
        store.restore(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        InMemoryStore.from_snapshot(wrong)  # type: ignore[arg-type]
    assert store == BEFORE


def test_refused_image_leaves_the_store_as_it_was() -> None:
    store = InMemoryStore(BEFORE, ordered=True)
    scan, snapshot = store.prefix_scan(), store.snapshot()
    image = bytearray(encode(ENTRIES, CREATED_NS))
    for place in range(0, len(image), 997):
        image[place] ^= 0x10
        with pytest.raises(ValueError, match=r"\w"):
            store.restore(StateSnapshot.from_bytes(bytes(image)))
        image[place] ^= 0x10
    assert store == snapshot == BEFORE
    assert len(list(scan)) == len(BEFORE)
    store.put(b"still", b"usable")
    store.check()


def test_refused_file_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.lkv"
    path.write_bytes(encode(ENTRIES, CREATED_NS)[:-1])
    store = InMemoryStore(BEFORE)
    with pytest.raises(SnapshotCorruptError):
        store.restore(StateSnapshot.open(path))
    assert store == BEFORE


@each_source
def test_stores_of_one_image_are_apart(source: Source, tmp_path: Path) -> None:
    snapshot = source(ENTRIES | LARGE, tmp_path)
    first, second = (InMemoryStore.from_snapshot(snapshot) for _ in range(2))
    first.put_many({key: b"first" for key in ENTRIES})
    second.delete_prefix(b"key/")
    copy = first.copy()
    first.clear()
    assert copy == {key: b"first" for key in ENTRIES} | LARGE
    assert second == LARGE
    assert snapshot == ENTRIES | LARGE
    for store in (first, second, copy):
        store.check()


@each_source
def test_restored_store_outlives_its_image(source: Source, tmp_path: Path) -> None:
    store = InMemoryStore.from_snapshot(source(ENTRIES | LARGE, tmp_path))
    (tmp_path / "state.lkv").unlink(missing_ok=True)
    gc.collect()
    litter = [bytes(100_000) for _ in range(20)]
    assert store == ENTRIES | LARGE
    store.check()
    assert len(litter) == 20


def test_restored_store_does_not_follow_its_file(tmp_path: Path) -> None:
    snapshot = from_map(ENTRIES | LARGE, tmp_path)
    store = InMemoryStore.from_snapshot(snapshot)
    del snapshot
    path = tmp_path / "state.lkv"
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert store == ENTRIES | LARGE
    store.check()


def test_open_scans_and_snapshots_outlive_a_restore_from_an_image() -> None:
    store = InMemoryStore(BEFORE)
    scan, snapshot, copy = store.prefix_scan(), store.snapshot(), store.copy()
    next(scan)
    store.restore(StateSnapshot.from_bytes(encode(ENTRIES, CREATED_NS)))
    store.put(b"key/0000", b"after")
    assert [key for key, _ in scan] == sorted(BEFORE)[1:]
    assert snapshot == copy == BEFORE
    copy.check()
    store.restore(snapshot)
    assert store == BEFORE
    store.check()


def test_restored_values_of_any_size_can_be_changed_in_place() -> None:
    entries = {**EDGES, b"counter": bytes(8), b"large": bytes(5_000)}
    snapshot = StateSnapshot.from_bytes(encode(entries, CREATED_NS))
    store = InMemoryStore.from_snapshot(snapshot)
    assert store.increment(b"counter", 5) == 5
    store.put(b"large", b"x" * 5_000)
    store.put(b"seat:12AB", b"NINE")
    assert snapshot == entries
    assert store[b"seat:12AB"] == b"NINE"
    store.check()


def test_generations_of_images_stay_the_same() -> None:
    """Image, store, image again: only the stamp moves on."""
    image = InMemoryStore(ENTRIES | LARGE | EDGES).snapshot().to_bytes()
    for ordered in (False, True, False):
        store = InMemoryStore.from_snapshot(
            StateSnapshot.from_bytes(image), ordered=ordered
        )
        store.put(b"passing", b"")
        store.delete(b"passing")
        again = store.snapshot().to_bytes()
        assert again[32:] == image[32:]
        image = again

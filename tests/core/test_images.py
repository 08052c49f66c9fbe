"""Images: whatever a store went through, its image is the oracle's, byte for byte.

Golden images first, since users have files like them; then every way to come to an
image, against tests/image.py; then images from buffers and as buffers. Reads are in
test_image_reads.py, files in test_image_files.py, restoring in test_restoring.py,
damage in test_damage.py. Start at `test_golden_images_read_to_what_they_hold`.
"""

import array
import gc
import hashlib
import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.goldens import CREATED_NS, EDGES, GOLDENS, Golden
from core.keys import key_pool, value_pool
from core.test_model import Play
from fresh import run_fresh
from image import decode, encode
from latency_kv import InMemoryStore, StateSnapshot

Entries = dict[bytes, bytes]

KEYS = st.one_of(
    st.binary(max_size=3),
    st.sampled_from([b"\xff", b"\xff\xff", b"\x00" * 8, b"\x00" * 9, b"k" * 300]),
    st.builds(lambda n: b"prefixes" + n.to_bytes(2, "big"), st.integers(0, 300)),
)
VALUES = st.one_of(
    st.binary(max_size=20),
    st.builds(bytes, st.sampled_from([0, 1_023, 1_024, 1_025, 9_000])),
)
BOUNDS = sorted([*EDGES, b"a\xff", b"seat:12A\x00\x00", b"\xff\xff", b"zz"])
SMALL_READS, FULL_READS = 4_000, 100_000

golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)


def image_of(entries: Entries) -> StateSnapshot:
    return StateSnapshot.from_bytes(encode(entries, CREATED_NS))


def assert_image_is_the_oracles(store: InMemoryStore, entries: Entries) -> None:
    snapshot = store.snapshot()
    assert snapshot.to_bytes() == encode(entries, snapshot.timestamp_ns)
    snapshot.check()
    store.check()


@golden
def test_golden_images_read_to_what_they_hold(golden: Golden) -> None:
    snapshot = StateSnapshot.from_bytes(golden.image())
    assert list(snapshot.items()) == sorted(golden.entries.items())
    assert snapshot.timestamp_ns == CREATED_NS
    assert snapshot.created_at == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    assert snapshot.version == 1
    snapshot.check()


@golden
def test_golden_images_are_written_again_to_the_same_bytes(golden: Golden) -> None:
    image = golden.image()
    assert StateSnapshot.from_bytes(image).to_bytes() == image


@golden
@pytest.mark.parametrize("ordered", [False, True])
def test_stores_of_golden_contents_make_golden_images(
    golden: Golden, ordered: bool
) -> None:
    """All that differs is the stamp, and with it the checksum."""
    store = InMemoryStore(golden.entries, ordered=ordered)
    assert store.snapshot().to_bytes()[32:] == golden.image()[32:]
    assert_image_is_the_oracles(store, golden.entries)


@given(
    entries=st.dictionaries(KEYS, VALUES),
    removed=st.sets(KEYS),
    added=st.dictionaries(KEYS, VALUES),
    ordered=st.booleans(),
    scanned=st.booleans(),
)
def test_image_of_any_contents_is_the_oracles(
    entries: Entries, removed: set[bytes], added: Entries, ordered: bool, scanned: bool
) -> None:
    store = InMemoryStore(entries, ordered=ordered)
    if scanned:
        store.first()
    store.delete_many(removed)
    store.put_many(added)
    expected = {key: entries[key] for key in entries.keys() - removed} | added
    assert_image_is_the_oracles(store, expected)


@pytest.mark.parametrize("pool_size", [3, 40, 900])
def test_image_after_any_play_is_the_oracles(seed: int, pool_size: int) -> None:
    play = Play(seed, pool_size)
    for number in range(3_000):
        play.step(number)
        if number % 300 == 0:
            for twin in play.twins:
                assert_image_is_the_oracles(twin.store, dict(twin.model))
            for held in play.snapshots:
                expected = encode(dict(held.model), held.snapshot.timestamp_ns)
                assert held.snapshot.to_bytes() == expected


@pytest.mark.parametrize("ordered", [False, True])
def test_image_of_many_entries_is_the_oracles(seed: int, ordered: bool) -> None:
    random = Random(seed)
    values = value_pool(random)
    entries = {key: random.choice(values) for key in key_pool(random, 20_000)}
    store = InMemoryStore(entries, ordered=ordered)
    assert_image_is_the_oracles(store, entries)
    for key in random.sample(list(entries), 15_000):
        del store[key], entries[key]
    assert_image_is_the_oracles(store, entries)


def test_image_of_values_held_by_reference_is_the_oracles() -> None:
    entries = {
        b"%d" % size: bytes([7]) * size for size in (1_023, 1_024, 1_025, 1 << 20)
    }
    store = InMemoryStore(entries)
    store.put(b"copied", bytearray(b"copied" * 1_000))
    assert_image_is_the_oracles(store, entries | {b"copied": b"copied" * 1_000})


def test_images_of_copies_and_restored_stores_are_the_oracles() -> None:
    entries = {b"%04d" % number: b"value %d" % number for number in range(3_000)}
    store = InMemoryStore(entries)
    copy, snapshot = store.copy(), store.snapshot()
    copy.delete_prefix(b"00")
    store.clear()
    assert_image_is_the_oracles(store, {})
    store.restore(snapshot)
    store.put(b"0000", b"after")
    rest = {key: entries[key] for key in entries if not key.startswith(b"00")}
    assert_image_is_the_oracles(copy, rest)
    assert_image_is_the_oracles(store, entries | {b"0000": b"after"})
    assert snapshot.to_bytes() == encode(entries, snapshot.timestamp_ns)


def test_image_is_of_the_snapshots_moment() -> None:
    entries = {b"%04d" % number: b"before" for number in range(3_000)}
    store = InMemoryStore(entries, ordered=True)
    snapshot = store.snapshot()
    store.put_many({key: b"after!" for key in entries})
    store.delete_range(b"1000", b"2000")
    assert snapshot.to_bytes() == encode(entries, snapshot.timestamp_ns)
    del store
    gc.collect()
    assert StateSnapshot.from_bytes(snapshot.to_bytes()) == entries


def test_equal_content_gives_equal_bytes_in_every_process() -> None:
    """Neither the hash's secret nor the order of insertion is in an image."""
    entries = {b"key/%d" % number: b"%d" % number for number in range(2_000)}
    program = (
        "from hashlib import sha256; from latency_kv import InMemoryStore\n"
        "store = InMemoryStore()\n"
        "for number in reversed(range(2_500)):\n"
        "    store.put(b'key/%d' % number, b'%d' % number)\n"
        "for number in range(2_000, 2_500): del store[b'key/%d' % number]\n"
        "print(sha256(store.snapshot().to_bytes()[32:]).hexdigest())"
    )
    here = InMemoryStore(entries).snapshot().to_bytes()
    assert run_fresh("-c", program).strip() == hashlib.sha256(here[32:]).hexdigest()


def test_image_is_encoded_once() -> None:
    snapshot = InMemoryStore(EDGES).snapshot()
    assert snapshot.to_bytes() is snapshot.to_bytes()


@pytest.mark.parametrize("stamp", [-(2**63), -1, 0, 2**63 - 1])
def test_any_stamp_is_kept(stamp: int) -> None:
    image = encode(EDGES, stamp)
    snapshot = StateSnapshot.from_bytes(image)
    assert snapshot.timestamp_ns == stamp
    assert snapshot.created_at.tzinfo == UTC
    assert snapshot.created_at.timestamp() == pytest.approx(stamp / 1e9, abs=0.001)
    assert snapshot.to_bytes() == image


@pytest.mark.parametrize(
    "make",
    [
        bytearray,
        memoryview,
        lambda image: memoryview(bytearray(b"xx" + image + b"xx"))[2:-2],
        lambda image: array.array("B", image),
        lambda image: type("Text", (bytes,), {})(image),
    ],
    ids=["bytearray", "memoryview", "slice", "array", "subclass"],
)
def test_from_bytes_takes_any_buffer(make: Callable[[bytes], bytes]) -> None:
    image = encode(EDGES, CREATED_NS)
    snapshot = StateSnapshot.from_bytes(make(image))
    assert snapshot == EDGES
    assert snapshot.to_bytes() == image
    assert type(snapshot.to_bytes()) is bytes


def test_from_bytes_copies_what_may_change() -> None:
    source = bytearray(encode(EDGES, CREATED_NS))
    snapshot = StateSnapshot.from_bytes(source)
    whole = StateSnapshot.from_bytes(memoryview(source))
    source[:] = bytes(len(source))
    source.clear()
    assert snapshot == whole == EDGES


@pytest.mark.parametrize("wrong", ["text", None, 7, [1], {}, object()])
def test_from_bytes_of_no_buffer_raises(wrong: object) -> None:
    with pytest.raises(TypeError):
        StateSnapshot.from_bytes(wrong)  # type: ignore[arg-type]


def test_from_bytes_of_a_strided_buffer_raises() -> None:
    doubled = bytes(byte for byte in encode(EDGES, CREATED_NS) for _ in range(2))
    with pytest.raises((BufferError, TypeError, ValueError)):
        StateSnapshot.from_bytes(memoryview(doubled)[::2])


@pytest.mark.parametrize("live", [False, True])
def test_memoryview_is_the_image(live: bool) -> None:
    snapshot = InMemoryStore(EDGES).snapshot() if live else image_of(EDGES)
    view = memoryview(snapshot)
    assert view.readonly
    assert view.contiguous
    assert (view.format, view.itemsize, view.ndim) == ("B", 1, 1)
    assert view.shape == (len(view),) == (view.nbytes,)
    assert view == snapshot.to_bytes()
    assert bytes(view[:8]) == b"\x89LKVS\r\n\x1a"
    with pytest.raises(TypeError):
        view[0] = 0
    assert decode(bytes(view)) == (EDGES, snapshot.timestamp_ns)


@pytest.mark.parametrize("live", [False, True])
def test_memoryview_keeps_the_image_alive(live: bool) -> None:
    store = InMemoryStore(EDGES)
    snapshot = store.snapshot() if live else image_of(EDGES)
    expected = encode(EDGES, snapshot.timestamp_ns)
    views = [memoryview(snapshot), memoryview(snapshot)[128:200], memoryview(snapshot)]
    views[2].release()
    store.clear()
    del snapshot, store
    gc.collect()
    litter = [bytes(len(expected)) for _ in range(100)]
    assert views[0] == expected
    assert views[1] == expected[128:200]
    assert len(litter) == 100


def test_image_is_never_written_through_its_buffer() -> None:
    snapshot = InMemoryStore(EDGES).snapshot()
    image = bytes(bytearray(snapshot.to_bytes()))
    with pytest.raises((BufferError, TypeError)):
        io.BytesIO(bytes(100)).readinto(snapshot)
    assert snapshot.to_bytes() == image


def test_bytes_are_given_back_with_the_snapshot() -> None:
    image = bytes(bytearray(encode(EDGES, CREATED_NS)))
    damaged = bytearray(image)
    damaged[-1] ^= 1
    refused = bytes(damaged)
    before = sys.getrefcount(image), sys.getrefcount(refused)
    for _ in range(50):
        with pytest.raises(ValueError, match="checksum"):
            StateSnapshot.from_bytes(refused)
    snapshot = StateSnapshot.from_bytes(image)
    scan, view = snapshot.prefix_scan(), memoryview(snapshot)
    next(scan)
    assert sys.getrefcount(image) > before[0]
    del snapshot, scan, view
    gc.collect()
    assert (sys.getrefcount(image), sys.getrefcount(refused)) == before


def test_memoryview_of_a_large_image_is_no_copy() -> None:
    snapshot = InMemoryStore({b"key": bytes(1 << 20)}).snapshot()
    np = pytest.importorskip("numpy")
    views = [memoryview(snapshot), memoryview(snapshot), snapshot.to_bytes()]
    arrays = [np.frombuffer(view, dtype=np.uint8) for view in views]
    assert len({array.ctypes.data for array in arrays}) == 1


def test_image_goes_into_a_file_by_its_buffer(tmp_path: Path) -> None:
    path = tmp_path / "written.lkv"
    snapshot = InMemoryStore(EDGES).snapshot()
    with path.open("wb") as file:
        file.write(snapshot)
    assert path.read_bytes() == snapshot.to_bytes()

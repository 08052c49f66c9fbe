"""Crafted images: lies with the checksum set right, each against one rule.

The rules are those of docs/snapshot-format.md. Sizes and counts that wrap around,
sections that overlap, keys out of order: refused at once, without the memory that they
ask for. Start at `crafted`.
"""

import tracemalloc
from pathlib import Path

import pytest

from core.damage import FIELDS, LIES, WORD_LIMIT, edited, field
from core.goldens import CREATED_NS, EDGES
from image import LARGEST_VALUE, decode, encode, repaired
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.errors import SnapshotCorruptError

EMPTY = encode({}, CREATED_NS)
TWO = encode({b"ka": b"1", b"kb": b"22"}, CREATED_NS)

# All of the header behind the stamp.
NUMBERS = list(FIELDS)[5:]

# Checksums by xxHash 0.8.1 of images with a value of so many zeroes.
LARGE_VALUES = {LARGEST_VALUE: 0x35406878FD211C1E, 2**31: 0x6396BC3D7A4F7680}

# Far more than reading any crafted image takes, far less than what a lie claims.
MOST_BYTES = 1 << 16


def with_offsets(image: bytes, section: str, *offsets: int) -> bytes:
    """Write a section's offsets over those that are there."""
    start = field(image, f"{section}_at")
    words = b"".join((n % WORD_LIMIT).to_bytes(8, "little") for n in offsets)
    return repaired(image[:start] + words + image[start + len(words) :])


def with_byte(image: bytes, place: int, byte: int) -> bytes:
    return repaired(image[:place] + bytes([byte]) + image[place + 1 :])


def long_key() -> bytes:
    """A key of 65,536 bytes: a valid image but for that, and for the checksum then."""
    image = encode({b"k" * 65_535: b"1", b"kz": b"2"}, CREATED_NS)
    return with_offsets(image, "key_offsets", 0, 65_536, 65_537)


def wrong_sizes() -> dict[str, bytes]:
    """Each count, size and place of the header, off by little or by all there is."""
    lies = {}
    for name in NUMBERS:
        truth = field(TWO, name)
        near = [truth + change for change in (-64, -8, -1, 1, 8, 64)]
        for number in {number % WORD_LIMIT for number in (*LIES, *near)} - {truth}:
            lies[f"{name} {number:#x}"] = edited(TWO, **{name: number})
    for bits in (61, 62, 63):
        # Times eight, these wrap around to the true size of the offsets.
        lies[f"count + 2**{bits}"] = edited(TWO, count=2 + 2**bits)
        lies[f"count 2**{bits} of none"] = edited(EMPTY, count=2**bits)
    return lies


def wrong_places() -> dict[str, bytes]:
    """Fields that are wrong together, so that each agrees with its neighbours."""
    places = {name: field(TWO, name) for name in NUMBERS}
    return {
        "sections at one place": edited(
            TWO, keys_at=128, value_offsets_at=128, values_at=128
        ),
        "values over the header": edited(TWO, values_at=0),
        "keys and values swapped": edited(
            TWO,
            keys_at=places["values_at"],
            keys_size=places["values_size"],
            values_at=places["keys_at"],
            values_size=places["keys_size"],
        ),
        "offsets swapped": edited(
            TWO,
            key_offsets_at=places["value_offsets_at"],
            value_offsets_at=places["key_offsets_at"],
        ),
        "keys around the whole of memory": edited(
            EMPTY[:192],
            keys_size=WORD_LIMIT - 64,
            value_offsets_at=128,
            values_at=192,
            size=192,
        ),
        "values around half of memory": edited(TWO, values_size=3 - 2**63),
        "sections further apart": edited(
            TWO[:320] + bytes(64) + TWO[320:], values_at=384, size=len(TWO) + 64
        ),
        "sections unaligned": edited(
            TWO[:160] + TWO[192:],
            keys_at=160,
            value_offsets_at=224,
            values_at=288,
            size=len(TWO) - 32,
        ),
        "one entry more": edited(
            TWO, count=3, key_offsets_size=32, value_offsets_size=32
        ),
        "one entry less": edited(
            TWO, count=1, key_offsets_size=16, value_offsets_size=16
        ),
        "no entries at all": edited(TWO, count=WORD_LIMIT - 1, key_offsets_size=0),
    }


def wrong_offsets() -> dict[str, bytes]:
    lies = {}
    for section in ("key_offsets", "value_offsets"):
        total = field(TWO, section.replace("_offsets", "s_size"))
        for name, offsets in {
            "not from 0": (1, 1, total),
            "from below 0": (-1, 1, total),
            "below 0": (0, -1, total),
            "far below 0": (0, -(2**63), total),
            "beyond the end": (0, total + 1, total),
            "far beyond the end": (0, 2**63 - 1, total),
            "ending early": (0, 1, total - 1),
            "ending late": (0, 1, total + 1),
            "ending at 2**63 - 1": (0, 1, 2**63 - 1),
            "ending at -1": (0, 1, -1),
            "all 0": (0, 0, 0),
        }.items():
            lies[f"{section} {name}"] = with_offsets(TWO, section, *offsets)
    return lies


def wrong_keys() -> dict[str, bytes]:
    two_empty = encode({b"": b"", b"k": b""}, CREATED_NS)
    return {
        "keys descending": repaired(TWO.replace(b"kakb", b"kbka")),
        "keys descending late": repaired(TWO.replace(b"kakb", b"kak\x00")),
        "keys ascending as signed": repaired(TWO.replace(b"kakb", b"\xffakb")),
        "keys equal": repaired(TWO.replace(b"kakb", b"kaka")),
        "longer key before its prefix": with_offsets(
            TWO.replace(b"kakb", b"kkkk"), "key_offsets", 0, 3, 4
        ),
        "empty key second": with_offsets(TWO, "key_offsets", 0, 4, 4),
        "empty key twice": edited(
            with_offsets(two_empty, "key_offsets", 0, 0, 0)[:192] + two_empty[256:],
            keys_size=0,
            value_offsets_at=192,
            values_at=256,
            size=256,
        ),
        "key too long": long_key(),
    }


def wrong_padding() -> dict[str, bytes]:
    unused = [*range(112, 128), *range(152, 192), *range(196, 256), *range(280, 320)]
    return {f"padding at {place}": with_byte(TWO, place, 1) for place in unused}


def crafted() -> dict[str, bytes]:
    """Lies by name, each told of an image that is right otherwise."""
    return (
        wrong_sizes()
        | wrong_places()
        | wrong_offsets()
        | wrong_keys()
        | wrong_padding()
    )


def refusal(lie: bytes) -> SnapshotCorruptError | None:
    try:
        StateSnapshot.from_bytes(lie)
    except SnapshotCorruptError as error:
        return error
    return None


def test_crafted_images_are_refused_without_memory() -> None:
    tracemalloc.start()
    try:
        for name, lie in crafted().items():
            with pytest.raises(ValueError, match=r"\w"):
                decode(lie)
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            error = refusal(lie)
            _, peak = tracemalloc.get_traced_memory()
            assert error is not None, name
            assert error.path is None
            assert peak - before < MOST_BYTES, name
    finally:
        tracemalloc.stop()


def test_crafted_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "crafted.lkv"
    store = InMemoryStore(EDGES)
    for number, lie in enumerate(crafted().values()):
        path.write_bytes(lie)
        with pytest.raises(SnapshotCorruptError):
            store.restore(StateSnapshot.open(path, mmap=number % 2 == 0))
    assert store == EDGES
    store.check()


def test_longest_key_and_the_next_are_told_apart() -> None:
    longest = encode({b"k" * 65_535: b"1", b"kz": b"2"}, CREATED_NS)
    store = InMemoryStore.from_snapshot(StateSnapshot.from_bytes(longest))
    assert store == {b"k" * 65_535: b"1", b"kz": b"2"}
    with pytest.raises(SnapshotCorruptError, match="key"):
        StateSnapshot.from_bytes(long_key())


def test_value_beyond_the_largest_is_refused(full: bool, tmp_path: Path) -> None:
    """In sparse files: zeroes up to the largest value's size, then one more."""
    if not full:
        pytest.skip("reads 4 GiB: make check")
    path = tmp_path / "large.lkv"
    base = encode({b"key": b""}, 0)
    for value_size, digest in LARGE_VALUES.items():
        size = len(base) + value_size
        lie = edited(base, values_size=value_size, size=size)
        head = bytearray(with_offsets(lie, "value_offsets", 0, value_size))
        head[8:16] = digest.to_bytes(8, "little")
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)
        if value_size == LARGEST_VALUE:
            assert len(StateSnapshot.open(path)[b"key"]) == value_size
        else:
            with pytest.raises(SnapshotCorruptError, match="value"):
                StateSnapshot.open(path)
        path.unlink()

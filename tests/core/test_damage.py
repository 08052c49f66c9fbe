"""Damage: any bytes at all are a valid snapshot or one documented exception.

Every bit and every length of the golden images, other versions, then bytes at random
against the oracle: what it accepts is accepted with the same entries, what it refuses
is refused. Lies that were thought out are in test_crafted_images.py. Start at
`test_every_changed_bit_is_refused`.
"""

from random import Random

import pytest

from core.damage import (
    Damage,
    edited,
    field,
    lied,
    mangled,
    worried,
)
from core.goldens import CREATED_NS, GOLDENS, Golden
from image import HEADER, MAGIC, checksum, decode, encode, repaired
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.errors import (
    LatencyKVError,
    SnapshotCorruptError,
    SnapshotError,
    SnapshotVersionError,
)

Entries = dict[bytes, bytes]

EMPTY = encode({}, CREATED_NS)
TWO = encode({b"ka": b"1", b"kb": b"22"}, CREATED_NS)
BASES = [
    EMPTY,
    TWO,
    encode({b"": b""}, -1),
    encode({b"%d" % number: b"value" * number for number in range(7)}, CREATED_NS),
    encode({bytes(number): b"" for number in range(12)}, 0),
    encode({b"aaaaaaaa" + bytes([number]): b"x" for number in range(0, 250, 25)}, 1),
]

# 10^5 and 10^7 together, a third of each kind.
SMALL_CORRUPTIONS, FULL_CORRUPTIONS = 34_000, 3_400_000
USED_EVERY = 16

VERSION_AND_FLAGS = range(16, 24)


golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)


def refusal(image: bytes) -> type[Exception] | None:
    """The exception that an image gets, None if it is read; any other class fails."""
    try:
        StateSnapshot.from_bytes(image)
    except SnapshotCorruptError as error:
        assert error.path is None
        assert error.reason
        return SnapshotCorruptError
    except SnapshotVersionError as error:
        assert (error.version, error.flags) == (
            field(image, "version"),
            field(image, "flags"),
        )
        return SnapshotVersionError
    return None


def expected_refusal(image: bytes) -> type[Exception] | None:
    """What the format's page says of an image, by the oracle."""
    known = (field(image, "version"), field(image, "flags")) == (1, 0)
    if len(image) >= HEADER.size and image.startswith(MAGIC) and not known:
        return SnapshotVersionError
    try:
        decode(image)
    except ValueError:
        return SnapshotCorruptError
    return None


def assert_usable(image: bytes, entries: Entries) -> None:
    """An accepted image holds what the oracle reads, and makes a whole store of it."""
    snapshot = StateSnapshot.from_bytes(image)
    snapshot.check()
    assert list(snapshot.items()) == sorted(entries.items())
    assert snapshot.get_many(list(entries)) == list(entries.values())
    store = InMemoryStore.from_snapshot(snapshot)
    store.check()
    assert store == entries
    store.put(b"one more", b"")
    store.delete_many(list(entries)[::2])
    store.check()


@golden
def test_every_changed_bit_is_refused(golden: Golden) -> None:
    image = bytearray(golden.image())
    for place in range(len(image)):
        in_version = place in VERSION_AND_FLAGS
        expected = SnapshotVersionError if in_version else SnapshotCorruptError
        for bit in range(8):
            image[place] ^= 1 << bit
            assert refusal(bytes(image)) is expected, (place, bit)
            image[place] ^= 1 << bit


@golden
def test_every_truncation_is_refused(golden: Golden) -> None:
    image = golden.image()
    for size in range(len(image)):
        assert refusal(image[:size]) is SnapshotCorruptError, size


@golden
def test_everything_behind_the_end_is_refused(golden: Golden) -> None:
    image = golden.image()
    for tail in (b"\x00", b"\n", bytes(64), bytes(4_096), image):
        longer = image + tail
        assert refusal(longer) is SnapshotCorruptError
        assert refusal(edited(longer, size=len(longer))) is SnapshotCorruptError


@pytest.mark.parametrize("name", ["empty", "one", "edges"])
def test_every_changed_bit_with_its_checksum_is_read_as_the_oracle_reads_it(
    name: str,
) -> None:
    image = next(golden for golden in GOLDENS if golden.name == name).image()
    for place in range(16, len(image)):
        for bit in range(8):
            changed = bytearray(image)
            changed[place] ^= 1 << bit
            lie = repaired(bytes(changed))
            expected = expected_refusal(lie)
            assert refusal(lie) is expected, (place, bit)
            if expected is None and bit == place % 8:
                assert_usable(lie, decode(lie)[0])


@pytest.mark.parametrize("size", range(HEADER.size))
def test_less_than_a_header_is_refused(size: int) -> None:
    assert refusal(edited(EMPTY, version=9)[:size]) is SnapshotCorruptError
    assert refusal(bytes(size)) is SnapshotCorruptError


def test_other_files_are_refused() -> None:
    for start in (
        b"\x89PNG\r\n\x1a\n",
        b"LKVS",
        b"\x80\x05",
        b"{}",
        MAGIC[:-1] + b"\n",
    ):
        assert refusal(start + EMPTY[len(start) :]) is SnapshotCorruptError
        assert refusal(start + bytes(1_000)) is SnapshotCorruptError


@golden
def test_transfer_as_text_is_refused(golden: Golden) -> None:
    image = golden.image()
    for damaged in (
        image.replace(b"\r\n", b"\n"),
        image.replace(b"\n", b"\r\n"),
        image.replace(b"\r", b"\n"),
        image.decode("latin-1").encode(),
        bytes(byte & 0x7F for byte in image),
    ):
        assert refusal(damaged) is SnapshotCorruptError


@pytest.mark.parametrize(
    ("version", "flags"),
    [(0, 0), (2, 0), (2**32 - 1, 0), (1, 1), (1, 2**31), (7, 2**32 - 1)],
)
def test_unknown_version_or_flags_are_told(version: int, flags: int) -> None:
    """Before all that a later version may have changed, the checksum included."""
    image = edited(TWO, version=version, flags=flags)
    for newer in (image, image[:-1], image[:128], image + b"more", image[:128] * 2):
        assert refusal(newer) is SnapshotVersionError
    changed = bytearray(image)
    changed[40:] = b"\xff" * (len(image) - 40)
    changed[8:16] = bytes(8)
    assert refusal(bytes(changed)) is SnapshotVersionError


def test_refusals_are_value_errors_of_one_tree() -> None:
    for image in (TWO[:-1], edited(TWO, version=2)):
        with pytest.raises(ValueError, match=r"\w") as raised:
            StateSnapshot.from_bytes(image)
        assert isinstance(raised.value, SnapshotError)
        assert isinstance(raised.value, LatencyKVError)


def repaired_worried(random: Random, image: bytes) -> bytes:
    return repaired(worried(random, image))


def repaired_lied(random: Random, image: bytes) -> bytes:
    return repaired(lied(random, image))


@pytest.mark.parametrize(
    "damage",
    [mangled, repaired_worried, repaired_lied],
    ids=["blind", "repaired", "lied"],
)
def test_random_damage_is_refused_or_read_as_the_oracle_reads_it(
    damage: Damage, seed: int, full: bool
) -> None:
    random = Random(seed)
    accepted = 0
    for _ in range(FULL_CORRUPTIONS if full else SMALL_CORRUPTIONS):
        image = damage(random, random.choice(BASES))
        refused = refusal(image)
        # No blind damage makes another checksum right, so the oracle need not look.
        if damage is mangled and refused is SnapshotCorruptError:
            assert image not in BASES
            continue
        assert refused is expected_refusal(image), image.hex()
        if refused is None:
            accepted += 1
            entries, stamp = decode(image)
            snapshot = StateSnapshot.from_bytes(image)
            assert dict(snapshot) == entries, image.hex()
            assert snapshot.timestamp_ns == stamp
            assert snapshot.to_bytes() == image
            if accepted % USED_EVERY == 0:
                assert_usable(image, entries)
    assert accepted


def test_noise_is_refused(seed: int, full: bool) -> None:
    random = Random(seed)
    for _ in range(100_000 if full else 3_000):
        noise = random.randbytes(random.randrange(400))
        assert refusal(noise) is SnapshotCorruptError
        version_1 = MAGIC + noise[:8] + b"\x01\x00\x00\x00\x00\x00\x00\x00" + noise
        assert refusal(version_1) is SnapshotCorruptError
        if len(version_1) > HEADER.size:
            sized = edited(version_1, size=len(version_1))
            assert refusal(sized) is SnapshotCorruptError
            assert checksum(sized[16:]) == field(sized, "checksum")

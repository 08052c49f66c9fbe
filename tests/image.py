"""Image: format 1 of a snapshot's bytes, as plainly as Python can; the format's oracle.

    encode(entries, created_ns)     the one image of these entries and this stamp
    decode(image)                   the entries and the stamp, or ValueError
    checksum(data)                  XXH64, from the algorithm's own description
    repaired(image)                 the same image with the checksum set right

`encode` is docs/snapshot-format.md in code. `decode` needs no list of what is wrong: an
image has one form only, so it reads whatever it meets and believes it if writing it
again gives the same bytes. It does not know the engine. Start at `encode`.
"""

import struct
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

MAGIC = b"\x89LKVS\r\n\x1a"
VERSION = 1
FLAGS = 0
ALIGNMENT = 64
LONGEST_KEY = 65_535
LARGEST_VALUE = 2**31 - 1

# Magic, checksum, version, flags, created, count, image size; four times a section's
# offset and size; zeroes.
HEADER = struct.Struct("<8sQIIqQQ8Q16x")
CHECKSUM = slice(8, 16)
CHECKED = slice(16, None)
OFFSET_SIZE = 8

MASK = 2**64 - 1
PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
STRIPE = struct.Struct("<4Q")


def encode(entries: Mapping[bytes, bytes], created_ns: int) -> bytes:
    """Write the image of `entries`; ValueError for a key or value that is too large."""
    keys = sorted(entries)
    values = [entries[key] for key in keys]
    if any(len(key) > LONGEST_KEY for key in keys):
        raise ValueError("a key is too long")
    if any(len(value) > LARGEST_VALUE for value in values):
        raise ValueError("a value is too large")
    image = bytearray(HEADER.size)
    places: list[int] = []
    for section in (ends(keys), b"".join(keys), ends(values), b"".join(values)):
        image += bytes(-len(image) % ALIGNMENT)
        places += len(image), len(section)
        image += section
    HEADER.pack_into(
        image, 0, MAGIC, 0, VERSION, FLAGS, created_ns, len(keys), len(image), *places
    )
    return repaired(bytes(image))


def ends(parts: Sequence[bytes]) -> bytes:
    """Where each part ends, after a first 0: part i is at [ends[i], ends[i + 1])."""
    numbers = list(accumulate(map(len, parts), initial=0))
    return struct.pack(f"<{len(numbers)}q", *numbers)


def decode(image: bytes) -> tuple[dict[bytes, bytes], int]:
    """Read an image's entries and stamp; ValueError for all that `encode` never writes.

    What is read here is wrong wherever the image lies: slices of Python's end where the
    image does, or count from its end. The last line finds that out.
    """
    if len(image) < HEADER.size:
        raise ValueError("the image is shorter than a header")
    _, _, _, _, created_ns, count, _, *places = HEADER.unpack_from(image)
    if checksum(image[CHECKED]) != int.from_bytes(image[CHECKSUM], "little"):
        raise ValueError("the checksum does not match")
    key_ends, keys, value_ends, values = (
        image[start : start + length]
        for start, length in zip(places[::2], places[1::2], strict=True)
    )
    if not len(key_ends) == len(value_ends) == (count + 1) * OFFSET_SIZE:
        raise ValueError("the offsets are not as many as the entries")
    entries = dict(zip(cut(keys, key_ends), cut(values, value_ends), strict=True))
    if encode(entries, created_ns) != image:
        raise ValueError("the image is not the one image of its entries")
    return entries, created_ns


def cut(parts: bytes, part_ends: bytes) -> list[bytes]:
    numbers = struct.unpack(f"<{len(part_ends) // OFFSET_SIZE}q", part_ends)
    return [parts[start:stop] for start, stop in pairwise(numbers)]


def repaired(image: bytes) -> bytes:
    """The image with the checksum that its bytes, right or wrong, ought to have."""
    right = checksum(image[CHECKED]).to_bytes(8, "little")
    return image[: CHECKSUM.start] + right + image[CHECKED]


def checksum(data: bytes) -> int:
    """XXH64 of `data`, seed 0.

    https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md

    >>> f"{checksum(b'abc'):x}"
    '44bc2cf5ad770999'
    """
    first, second, third, fourth, fifth = PRIMES
    striped = len(data) - len(data) % STRIPE.size
    total = fifth
    if striped:
        lanes = [(first + second) & MASK, second, 0, -first & MASK]
        for stripe in STRIPE.iter_unpack(data[:striped]):
            lanes = [mixed(*pair) for pair in zip(lanes, stripe, strict=True)]
        total = sum(map(rotated, lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            total = ((total ^ mixed(0, lane)) * first + fourth) & MASK
    total = (total + len(data)) & MASK
    words = striped + (len(data) - striped) // 8 * 8
    for (word,) in struct.iter_unpack("<Q", data[striped:words]):
        total = (rotated(total ^ mixed(0, word), 27) * first + fourth) & MASK
    rest = data[words:]
    if len(rest) >= 4:
        half = int.from_bytes(rest[:4], "little")
        total = (rotated(total ^ (half * first & MASK), 23) * second + third) & MASK
        rest = rest[4:]
    for byte in rest:
        total = rotated(total ^ (byte * fifth & MASK), 11) * first & MASK
    total = (total ^ (total >> 33)) * second & MASK
    total = (total ^ (total >> 29)) * third & MASK
    return total ^ (total >> 32)


def mixed(lane: int, word: int) -> int:
    return rotated((lane + word * PRIMES[1]) & MASK, 31) * PRIMES[0] & MASK


def rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & MASK

"""Damage: images gone wrong, blindly or with intent.

    worried      some bytes of an image changed, its size kept
    mangled      bytes changed, removed, put in, moved; the size too
    lied         whole fields and offsets replaced by numbers that overflow somewhere
    edited       named fields set to given numbers

Only `edited` repairs the checksum by itself. It does not know the engine. Start at
`mangled`.
"""

from collections.abc import Callable
from random import Random

from image import HEADER, repaired

# Where a field of the header is, and its size.
FIELDS = {
    "magic": (0, 8),
    "checksum": (8, 8),
    "version": (16, 4),
    "flags": (20, 4),
    "created": (24, 8),
    "count": (32, 8),
    "size": (40, 8),
    "key_offsets_at": (48, 8),
    "key_offsets_size": (56, 8),
    "keys_at": (64, 8),
    "keys_size": (72, 8),
    "value_offsets_at": (80, 8),
    "value_offsets_size": (88, 8),
    "values_at": (96, 8),
    "values_size": (104, 8),
}

WORD_SIZE = 8
WORD_LIMIT = 2**64

# Numbers at which arithmetic on sizes goes wrong: signs, limits of types, wrap-arounds
# of a product by 8 and of rounding up to 64.
LIES = (
    *(0, 1, 7, 8, 63, 64, 65, 127, 128, 192, 255, 256),
    *(2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
    *(2**60, 2**61 - 1, 2**61, 2**62, 2**63 - 1, 2**63, 2**63 + 64),
    *(
        WORD_LIMIT - 128,
        WORD_LIMIT - 64,
        WORD_LIMIT - 63,
        WORD_LIMIT - 8,
        WORD_LIMIT - 1,
    ),
)

MOST_CHANGES = 4

Damage = Callable[[Random, bytes], bytes]


def worried(random: Random, image: bytes) -> bytes:
    """Change a few bytes where they are."""
    changed = bytearray(image)
    for _ in range(random.randint(1, MOST_CHANGES)):
        place = int(random.random() * len(changed))
        if random.random() < 0.5:
            changed[place] ^= 1 << int(random.random() * 8)
        else:
            changed[place] = int(random.random() * 256)
    return bytes(changed)


def mangled(random: Random, image: bytes) -> bytes:
    """Change a few bytes, most often where they are."""
    if random.random() < 0.7:
        return worried(random, image)
    start, stop = sorted(random.randrange(len(image) + 1) for _ in range(2))
    kind = random.randrange(5)
    if kind == 0:
        return image[:start]
    if kind == 1:
        return image[:start] + image[stop:]
    if kind == 2:
        return image[:start] + image[start:stop] * 2 + image[stop:]
    if kind == 3:
        return image[:start] + random.randbytes(stop - start) + image[stop:]
    return image[:start] + random.randbytes(random.randint(1, 64)) + image[start:]


def lied(random: Random, image: bytes) -> bytes:
    """Replace a few words behind the version by lies, near the truth or far from it."""
    changed = bytearray(image)
    for _ in range(random.randint(1, MOST_CHANGES)):
        word = random.randrange(3, len(image) // WORD_SIZE)
        if random.random() < 0.6:
            word = random.randrange(4, HEADER.size // WORD_SIZE)
        place = slice(word * WORD_SIZE, (word + 1) * WORD_SIZE)
        told = random.choice(LIES)
        if random.random() < 0.5:
            truth = int.from_bytes(changed[place], "little")
            told = truth + random.choice((told, -told))
        changed[place] = (told % WORD_LIMIT).to_bytes(WORD_SIZE, "little")
    return bytes(changed)


def edited(image: bytes, **fields: int) -> bytes:
    """Set fields of the header, modulo 2**64, and the checksum right."""
    changed = bytearray(image)
    for name, number in fields.items():
        start, size = FIELDS[name]
        whole = number % (1 << 8 * size)
        changed[start : start + size] = whole.to_bytes(size, "little")
    return repaired(bytes(changed))


def field(image: bytes, name: str) -> int:
    start, size = FIELDS[name]
    return int.from_bytes(image[start : start + size], "little")

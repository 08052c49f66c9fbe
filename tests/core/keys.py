"""Keys: pools of keys and values at which a byte store may stumble.

Empty, NUL and 0xFF bytes; prefixes that fill a leaf's cached head of 8 bytes and go
on; lengths around a word and a vector; lengths whose counts need two bytes. It does not
know the store. Start at `key_pool`.
"""

from random import Random

WORD_SIZE = 8
EDGE_LENGTHS = (0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33)
LONG_LENGTHS = (255, 256, 257, 1_000, 4_096)
LONGEST = 65_535
ALPHABET = b"\x00\x01ab\x7f\x80\xfe\xff"

# Values above 1,024 bytes are held by reference when they are exactly bytes.
VALUE_SIZES = (0, 1, 8, 16, 40, 200, 1_023, 1_024, 1_025, 5_000)
LARGE_SIZE = 1 << 20

FIXED_KEYS = (
    b"",
    b"\x00",
    b"\x00" * WORD_SIZE,
    b"\x00" * (WORD_SIZE + 1),
    b"\xff",
    b"\xff" * WORD_SIZE,
    b"\xff" * (WORD_SIZE + 1),
    b"\xff" * 2 * WORD_SIZE,
    b"a",
    b"a\x00",
    b"a\x00\x00",
    b"a\xff",
    b"b",
)


def key_pool(random: Random, size: int, *, long: bool = True) -> list[bytes]:
    """Up to `size` distinct keys, a fixed few first and families after them."""
    pool = dict.fromkeys(FIXED_KEYS)
    stems = [drawn(random, length) for length in (0, 7, 8, 9, 16) for _ in range(2)]
    if long:
        pool.update((drawn(random, length), None) for length in LONG_LENGTHS)
        pool[b"\xff" * LONGEST] = None
    while len(pool) < size:
        tail = drawn(random, random.choice(EDGE_LENGTHS))
        pool[random.choice(stems) + tail] = None
        number = random.getrandbits(16)
        pool[random.choice(stems) + number.to_bytes(WORD_SIZE, "big")] = None
    return list(pool)[:size]


def drawn(random: Random, length: int) -> bytes:
    return bytes(random.choices(ALPHABET, k=length))


def value_pool(random: Random) -> list[bytes]:
    """Values of each size at which they are kept differently, small ones oftenest."""
    small = [random.randbytes(random.randrange(48)) for _ in range(60)]
    counters = [random.randrange(1_000).to_bytes(8, "little") for _ in range(20)]
    return small + counters + [random.randbytes(size) for size in VALUE_SIZES]


def large_value(random: Random) -> bytes:
    return random.randbytes(16) * (LARGE_SIZE // 16)

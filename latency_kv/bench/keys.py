"""Keys: what the rows put and look up, as blocks of bytes cut at the last moment.

    block   | key 0 | key 1 | key 2 | ...      16 bytes each, in the order of their use

A block is one bytes object, so millions of keys cost no objects before they are needed,
and cutting the next batch reads memory in a straight line: the caches stay the
engine's.  Every block comes from a seeded generator: two runs measure the same keys.
"""

import random
from collections.abc import Iterator

KEY_SIZE = 16
VALUE_SIZE = 16
PREFIX_SIZE = 8
GROUP = 100
"""Entries that share a prefix."""

HOT_KEY = b"key:%08d"
HOT_VALUE = b"value:%08d"
"""Keys of 12 bytes and values of 14: a hot key is one of these."""

BATCH = 128
"""Keys cut at a time: few enough to stay in the first cache with what they find, and
enough to spread the price of reading the clock."""


def random_block(count: int, seed: int) -> bytes:
    """Return `count` random keys, or values; 128 bits do not repeat."""
    return random.Random(seed).randbytes(count * KEY_SIZE)


def grouped_block(count: int, seed: int) -> tuple[bytes, bytes]:
    """Return keys in groups that share a prefix, shuffled, and the prefixes alone."""
    source = random.Random(seed)
    prefixes = source.randbytes(max(1, count // GROUP) * PREFIX_SIZE)
    starts = cut(prefixes, PREFIX_SIZE)
    keys = [
        start + source.randbytes(KEY_SIZE - PREFIX_SIZE)
        for start in starts
        for _ in range(GROUP)
    ]
    source.shuffle(keys)
    return b"".join(keys), prefixes


def shuffled(block: bytes, seed: int) -> bytes:
    """Return every key of the block once, in another order."""
    keys = cut(block)
    random.Random(seed).shuffle(keys)
    return b"".join(keys)


def picked(block: bytes, count: int, seed: int, size: int = KEY_SIZE) -> bytes:
    """Return `count` keys drawn at random, with repetitions, from the block."""
    starts = range(0, len(block), size)
    draw = random.Random(seed).choices(starts, k=count)
    return b"".join([block[start : start + size] for start in draw])


def cut(block: bytes, size: int = KEY_SIZE) -> list[bytes]:
    """Return all keys of the block as objects."""
    return [block[at : at + size] for at in range(0, len(block), size)]


def pairs(
    keys: bytes,
    values: bytes,
    key_size: int = KEY_SIZE,
    value_size: int = VALUE_SIZE,
) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys with their values, each a new object."""
    for number in range(len(keys) // key_size):
        key = keys[number * key_size : (number + 1) * key_size]
        yield key, values[number * value_size : (number + 1) * value_size]


def batches(*blocks: bytes, batch: int = BATCH) -> Iterator[tuple[list[bytes], ...]]:
    """Yield aligned lists of new objects, one list a block, `batch` at a time."""
    step = batch * KEY_SIZE
    for at in range(0, len(blocks[0]), step):
        yield tuple([cut(block[at : at + step]) for block in blocks])


def fresh(block: bytes, batch: int = BATCH) -> Iterator[list[bytes]]:
    """Yield lists of new key objects."""
    for (keys,) in batches(block, batch=batch):
        yield keys

"""Content: the keys and values of one shape of store, as blocks, seeded.

    block   | piece 0 | piece 1 | ...  | piece 0 | ...     pieces of one size

Keys are random, distinct, and in groups of 100 that share their first half, or eight
bytes of it; a block holds them in random order.  Values are random too; beyond 64 MiB
they come again from the start.  A `Lap` says in which order a workload asks for them:
the same for every engine, another one each lap.

Skewed requests follow Zipf's law with exponent 0.99, as YCSB's do: drawn by bisection
in the exact sums of rank ** -0.99, over ranks that lie anywhere in the order of keys.
"""

import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from latency_kv.bench.keys import BATCH, GROUP

__all__ = ["MANY", "WINDOW", "Block", "Content", "Lap", "Shape", "batches"]

MANY = 100
"""Keys of one multiget, and entries of one range scan."""

ZIPF_EXPONENT = 0.99

CALLS_A_SCAN = 20
"""Calls in whose place a turn makes one scan: enough scans for a p99.9."""

WINDOW = 64
"""New keys that a mixed turn keeps before it deletes them again."""

HOT_SHARE = 100
"""One key in so many is hot."""

_POOL_BYTES = 64 << 20

_BATCH_BYTES = 1 << 20
"""A batch of large values is cut short, to stay in the caches."""

_PREFIX_MAX = 8


class Shape(NamedTuple):
    """How many entries of which sizes a store has."""

    entries: int
    key_bytes: int
    value_bytes: int

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.entries:,} x {self.key_bytes} + {self.value_bytes} bytes"


@dataclass(frozen=True, slots=True)
class Block:
    """`count` pieces of `size` bytes side by side; a shorter one begins again."""

    data: bytes
    size: int
    count: int

    @property
    def pieces(self) -> int:
        """How many of them are distinct; 1 where they are empty."""
        return len(self.data) // self.size if self.size else 1

    def first(self, count: int) -> "Block":
        """Return its first pieces."""
        return Block(self.data, self.size, min(count, self.count))

    def cut(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Return pieces as new objects."""
        data, size, pieces = self.data, self.size, self.pieces
        stop = self.count if stop is None else min(stop, self.count)
        if size == 0:
            return [b""] * (stop - start)
        if stop <= pieces:
            places = range(start * size, stop * size, size)
            return [data[at : at + size] for at in places]
        numbers = (number % pieces for number in range(start, stop))
        return [data[at * size : (at + 1) * size] for at in numbers]


def batches(*blocks: Block) -> Iterator[tuple[list[bytes], ...]]:
    """Yield aligned lists of new objects, one list a block."""
    widest = max(block.size for block in blocks)
    step = max(1, min(BATCH, _BATCH_BYTES // max(1, widest)))
    for start in range(0, blocks[0].count, step):
        yield tuple([block.cut(start, start + step) for block in blocks])


class Content:
    """All keys of a shape, in random order, and its values by seed."""

    def __init__(self, shape: Shape, seed: int = 1) -> None:
        self.shape = shape
        self.prefix_bytes = min(_PREFIX_MAX, shape.key_bytes // 2)
        source = random.Random(seed)
        prefixes, keys = self._grouped(source)
        source.shuffle(keys)
        self.prefixes = _joined(prefixes, self.prefix_bytes)
        self.keys = _joined(keys, shape.key_bytes)
        self.values = self.values_of(seed)

    @cached_property
    def in_order(self) -> Block:
        """The keys as they sort."""
        return _joined(sorted(self.keys.cut()), self.shape.key_bytes)

    @cached_property
    def zipf_sums(self) -> "array[float]":
        """The sums of the ranks' weights."""
        ranks = range(1, self.shape.entries + 1)
        return array("d", accumulate(rank**-ZIPF_EXPONENT for rank in ranks))

    def values_of(self, seed: int) -> Block:
        """Return a value for each entry, of this seed."""
        count, size = self.shape.entries, self.shape.value_bytes
        held = min(count, max(1, _POOL_BYTES // size)) if size else 0
        return Block(random.Random(seed).randbytes(held * size), size, count)

    def _grouped(self, source: random.Random) -> tuple[list[bytes], list[bytes]]:
        """Make the groups' prefixes, and all keys; each of them once."""
        entries, size = self.shape.entries, self.prefix_bytes
        prefixes: dict[bytes, None] = {}
        while len(prefixes) < -(-entries // GROUP):
            prefixes[source.randbytes(size)] = None
        keys: list[bytes] = []
        for prefix in prefixes:
            most = min(GROUP, entries - len(keys))
            tails: dict[bytes, None] = {}
            while len(tails) < most:
                tails[source.randbytes(self.shape.key_bytes - size)] = None
            keys += [prefix + tail for tail in tails]
        return list(prefixes), keys


class Lap:
    """What one turn of every engine asks for; `calls` of it, made when first needed.

    Laps of one number ask for the same.
    """

    def __init__(self, content: Content, number: int, calls: int) -> None:
        self.content = content
        self.number = number
        self.calls = calls

    @cached_property
    def picked(self) -> Block:
        """Keys at random, with repetitions."""
        return self._keys(range(self.content.shape.entries))

    @cached_property
    def hot(self) -> Block:
        """Keys at random from a hundredth of all."""
        return self._keys(range(max(1, self.content.shape.entries // HOT_SHARE)))

    @cached_property
    def zipf(self) -> Block:
        """Keys by Zipf's law."""
        sums = self.content.zipf_sums
        ranks = range(len(sums))
        drawn = self._source("zipf").choices(ranks, cum_weights=sums, k=self.calls)
        return self._at(drawn)

    @cached_property
    def absent(self) -> Block:
        """Keys that no store of this content has: 64 random bits and more."""
        size = self.content.shape.key_bytes
        count = self.calls + WINDOW
        return Block(self._source("absent").randbytes(count * size), size, count)

    @cached_property
    def distinct(self) -> Block:
        """Keys at random, each once, half of all at most."""
        entries = self.content.shape.entries
        count = min(self.calls, max(1, entries // 2))
        return self._at(self._source("distinct").sample(range(entries), count))

    @cached_property
    def starts(self) -> Block:
        """Prefixes of groups at random."""
        prefixes = self.content.prefixes
        drawn = self._source("starts").choices(prefixes.cut(), k=self.scans)
        return _joined(drawn, prefixes.size)

    @cached_property
    def stops(self) -> Block:
        """What no key of the same start reaches."""
        after_all = b"\xff" * self.content.shape.key_bytes
        ends = [start + after_all for start in self.starts.cut()]
        return _joined(ends, self.starts.size + len(after_all))

    @cached_property
    def values(self) -> Block:
        """New values."""
        shape = self.content.shape
        block = self.content.values_of(1_000 + self.number)
        return Block(block.data, shape.value_bytes, max(self.calls, shape.entries))

    @property
    def scans(self) -> int:
        """How many scans take about as long as `calls` gets."""
        return max(1, self.calls // CALLS_A_SCAN)

    def _keys(self, numbers: range) -> Block:
        return self._at(self._source("keys").choices(numbers, k=self.calls))

    def _at(self, numbers: list[int]) -> Block:
        data, size = self.content.keys.data, self.content.keys.size
        return _joined([data[n * size : (n + 1) * size] for n in numbers], size)

    def _source(self, what: str) -> random.Random:
        return random.Random(f"{what} {self.number}")


def _joined(pieces: list[bytes], size: int) -> Block:
    return Block(b"".join(pieces), size, len(pieces))

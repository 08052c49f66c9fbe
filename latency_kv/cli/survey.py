"""Survey: what is in a snapshot, in a few figures; one walk, memory for none of it.

Knows the reads of a snapshot, no terminal.  Start at `survey`.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappush, heappushpop

from latency_kv import StateSnapshot

# What separates the parts of keys that people make up.
_PREFIX = re.compile(rb"[^:/|#]*[:/|#]")

# The most frequent prefixes are told, those of at least one entry in a hundred.
_PREFIXES = 8
_PREFIX_SHARE = 100

# Entries between two calls of a progress callback.
PROGRESS_STEP = 4096


class Sizes:
    """How long keys or values are; all of it from counts, of which there are few.

    Sizes that differ add up, so a file of n bytes has at most sqrt(2n) of them.
    """

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    @property
    def total(self) -> int:
        return sum(size * count for size, count in self.counts.items())

    @property
    def smallest(self) -> int:
        return min(self.counts, default=0)

    @property
    def largest(self) -> int:
        return max(self.counts, default=0)

    @property
    def median(self) -> int:
        """The lower one, where there are two."""
        half = (self.counts.total() + 1) // 2
        for size in sorted(self.counts):
            half -= self.counts[size]
            if half <= 0:
                return size
        return 0


@dataclass
class Survey:
    """The figures; `prefixes` are those up to a key's first : / | or #, with counts."""

    keys: Sizes = field(default_factory=Sizes)
    values: Sizes = field(default_factory=Sizes)
    prefixes: list[tuple[bytes, int]] = field(default_factory=list)


def survey(snapshot: StateSnapshot, progress: Callable[[int], None]) -> Survey:
    """Walk through all entries; progress is called with how many are done.

    >>> from latency_kv import InMemoryStore
    >>> store = InMemoryStore({b"gate:7": b"open", b"seat:1": b"", b"seat:12": b"x"})
    >>> figures = survey(store.snapshot(), lambda done: None)
    >>> figures.prefixes, figures.keys.median
    ([(b'seat:', 2), (b'gate:', 1)], 6)
    """
    found = Survey()
    key_sizes, value_sizes = found.keys.counts, found.values.counts
    prefixes = _Prefixes()
    for done, (key, value) in enumerate(snapshot.range_scan()):
        key_sizes[len(key)] += 1
        value_sizes[len(value)] += 1
        prefixes.add(key)
        if not done % PROGRESS_STEP:
            progress(done)
    found.prefixes = prefixes.most_frequent(len(snapshot))
    return found


class _Prefixes:
    """Counts of prefixes; keys ascend, so equal prefixes come one behind the other."""

    def __init__(self) -> None:
        self._prefix: bytes | None = None
        self._count = 0
        self._most: list[tuple[int, bytes]] = []

    def add(self, key: bytes) -> None:
        match = _PREFIX.match(key)
        prefix = match[0] if match else None
        if prefix != self._prefix:
            self._end()
            self._prefix, self._count = prefix, 0
        self._count += 1

    def most_frequent(self, entries: int) -> list[tuple[bytes, int]]:
        self._end()
        least = entries / _PREFIX_SHARE
        ranked = sorted(self._most, key=lambda counted: (-counted[0], counted[1]))
        return [(prefix, count) for count, prefix in ranked if count >= least]

    def _end(self) -> None:
        if self._prefix is None:
            return
        counted = self._count, self._prefix
        if len(self._most) < _PREFIXES:
            heappush(self._most, counted)
        else:
            heappushpop(self._most, counted)

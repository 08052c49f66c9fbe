"""Entries: as many entries as one likes, made anew whenever they are asked for.

    turn 0     a1 b1 c1 d1 ...      a key of each group, whose prefix it begins with
    turn 1     c2 d2 ... a2 b2      the groups again, from another one on
    ...
    turn 99

An entry is known by its number, so a few can be picked out of millions without those.
They are made in parts of less than malloc maps by itself: when it takes back what it has
mapped it maps less, and a store's own memory would lie in other places.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from latency_kv.bench.keys import (
    BATCH,
    GROUP,
    KEY_SIZE,
    PREFIX_SIZE,
    VALUE_SIZE,
    cut,
)

__all__ = ["Entries"]

_REST_SIZE: Final = KEY_SIZE - PREFIX_SIZE

_PART: Final = 32 * BATCH
"""Entries of a part: 64 KiB of keys."""


class Entries:
    """Distinct keys and values of 16 bytes, in groups of 100 that share a prefix."""

    def __init__(self, size: int) -> None:
        if size < GROUP or size % GROUP:
            raise ValueError(f"{size} is no multiple of {GROUP}")
        self.size = size
        self._groups = size // GROUP
        self._prefixes = random.Random(size).randbytes(self._groups * PREFIX_SIZE)

    def batches(self) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield all keys and values, new objects, a batch at a time."""
        for turn in range(GROUP):
            for start in range(0, self._groups, _PART):
                keys, values = self._part(turn, start)
                for at in range(0, len(keys), KEY_SIZE * BATCH):
                    yield (
                        cut(keys[at : at + KEY_SIZE * BATCH]),
                        cut(values[at : at + VALUE_SIZE * BATCH], VALUE_SIZE),
                    )

    def sample(self, count: int) -> tuple[bytes, bytes]:
        """Return `count` of the keys, in a random order, and their values."""
        chance = random.Random(count)
        picked: dict[tuple[int, int], list[int]] = {}
        for number in chance.sample(range(self.size), count):
            turn, place = divmod(number, self._groups)
            inside = place % _PART
            picked.setdefault((turn, place - inside), []).append(inside)
        entries = []
        for (turn, start), places in picked.items():
            keys, values = self._part(turn, start)
            entries += [(_piece(keys, at), _piece(values, at)) for at in places]
        chance.shuffle(entries)
        blocks = zip(*entries, strict=True)
        return b"".join(next(blocks)), b"".join(next(blocks))

    def prefixes(self, count: int) -> list[bytes]:
        """Return the prefixes of `count` groups, or of all, in a random order."""
        count = min(count, self._groups)
        places = random.Random(count).sample(range(self._groups), count)
        return [self._prefixes_from(place, 1) for place in places]

    def _part(self, turn: int, start: int) -> tuple[bytes, bytes]:
        """Return the keys and the values of a turn, from one on, side by side."""
        count = min(_PART, self._groups - start)
        chance = random.Random(turn * self._groups + start)
        # From another group on each time: else what a scan visits lies in strides.
        first = random.Random(turn).randrange(self._groups)
        prefixes = self._prefixes_from((first + start) % self._groups, count)
        rests = chance.randbytes(count * _REST_SIZE)
        keys = bytearray(count * KEY_SIZE)
        for at in range(PREFIX_SIZE):
            keys[at::KEY_SIZE] = prefixes[at::PREFIX_SIZE]
            keys[PREFIX_SIZE + at :: KEY_SIZE] = rests[at::_REST_SIZE]
        return bytes(keys), chance.randbytes(count * VALUE_SIZE)

    def _prefixes_from(self, place: int, count: int) -> bytes:
        """Return so many prefixes side by side; the first comes after the last."""
        begin, end = place * PREFIX_SIZE, (place + count) * PREFIX_SIZE
        beyond = max(0, end - len(self._prefixes))
        return self._prefixes[begin:end] + self._prefixes[:beyond]


def _piece(block: bytes, number: int) -> bytes:
    return block[KEY_SIZE * number : KEY_SIZE * (number + 1)]

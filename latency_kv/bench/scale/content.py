"""Content: as many entries as one likes, made anew whenever they are asked for.

    turn 0     a1 b1 c1 d1 ...      a key of each group, whose prefix it begins with
    turn 1     c2 d2 ... a2 b2      the groups again, from another one on
    ...
    turn 99

An entry is known by its number, so a few can be picked out of millions without those.
Each turn is a block of bytes, 1/100 of all: nothing else is kept while a store is filled.
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
    random_block,
)

__all__ = ["Content"]

_REST_SIZE: Final = KEY_SIZE - PREFIX_SIZE

# Where the seeds of so many turns begin.
_STARTS: Final = GROUP
_RESTS: Final = 2 * GROUP
_VALUES: Final = 3 * GROUP


class Content:
    """Distinct keys and values of 16 bytes, in groups of 100 that share a prefix."""

    def __init__(self, size: int) -> None:
        if size < GROUP or size % GROUP:
            raise ValueError(f"{size} is no multiple of {GROUP}")
        self.size = size
        self._groups = size // GROUP
        self._prefixes = random.Random(0).randbytes(self._groups * PREFIX_SIZE)

    def batches(self) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield all keys and values, new objects, a batch at a time."""
        for turn in range(GROUP):
            keys, values = self._turn(turn)
            for at in range(0, self._groups, BATCH):
                yield (
                    cut(keys[KEY_SIZE * at : KEY_SIZE * (at + BATCH)]),
                    cut(
                        values[VALUE_SIZE * at : VALUE_SIZE * (at + BATCH)], VALUE_SIZE
                    ),
                )

    def sample(self, count: int) -> tuple[bytes, bytes]:
        """Return `count` of the keys, in a random order, and their values."""
        chance = random.Random(count)
        picked: dict[int, list[int]] = {}
        for number in chance.sample(range(self.size), count):
            turn, place = divmod(number, self._groups)
            picked.setdefault(turn, []).append(place)
        entries = []
        for turn, places in picked.items():
            keys, values = self._turn(turn)
            entries += [
                (_piece(keys, place), _piece(values, place)) for place in places
            ]
        chance.shuffle(entries)
        return b"".join([key for key, _ in entries]), b"".join(
            [value for _, value in entries]
        )

    def prefixes(self, count: int) -> list[bytes]:
        """Return the prefixes of `count` groups, or of all, in a random order."""
        prefixes = cut(self._prefixes, PREFIX_SIZE)
        return random.Random(count).sample(prefixes, min(count, len(prefixes)))

    def _turn(self, turn: int) -> tuple[bytes, bytes]:
        """Return the keys and the values of a turn."""
        # From another group on each time: else what a scan visits lies in strides.
        start = random.Random(_STARTS + turn).randrange(self._groups) * PREFIX_SIZE
        prefixes = self._prefixes[start:] + self._prefixes[:start]
        rests = random.Random(_RESTS + turn).randbytes(self._groups * _REST_SIZE)
        keys = bytearray(self._groups * KEY_SIZE)
        for at in range(PREFIX_SIZE):
            keys[at::KEY_SIZE] = prefixes[at::PREFIX_SIZE]
            keys[PREFIX_SIZE + at :: KEY_SIZE] = rests[at::_REST_SIZE]
        return bytes(keys), random_block(self._groups, _VALUES + turn)


def _piece(block: bytes, number: int) -> bytes:
    return block[KEY_SIZE * number : KEY_SIZE * (number + 1)]

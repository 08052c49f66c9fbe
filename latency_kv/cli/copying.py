"""Copying: the entries of one store into another, and how many of them are there.

Both are gone through side by side in key order, a batch at a time, and neither is held.
What is there and equal is left alone, so a copy that was interrupted goes on where it
was when it is made again.

    SOURCE   a  b  c     e       new        c, e: in the target there is no such key
    TARGET   a  b     d          equal      a: nothing to do, its end stays
             1  2                different  b: replaced, or in the way

Knows no terminal.  Start at `Copying`.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, NamedTuple

from latency_kv.cli.store_access import MISSING, StoreAccess
from latency_kv.json_values import encode_value

# A batch has so many entries at most, and tends to so many bytes of values.
BATCH = 500
_BATCH_BYTES = 4 << 20

# For the first batch, when nobody knows yet how large values are.
_FIRST_BATCH = 50

# Of the keys that are in the way so many are told.
_EXAMPLES = 3


class _Entry(NamedTuple):
    """A key, its bytes in the source as JSON, what it is there and in the target."""

    key: str
    size: int
    value: Any
    is_new: bool
    is_equal: bool


class Copying:
    """A copy; the counts are of `compare` or `copy`, whichever was last.

    With replace, what differs is replaced.  Without, it is left as it is.
    """

    def __init__(
        self,
        source: StoreAccess,
        target: StoreAccess,
        prefix: str = "",
        *,
        replace: bool = False,
    ) -> None:
        self._source = source
        self._target = target
        self._prefix = prefix
        self._replace = replace
        self._clear()

    @property
    def total(self) -> int:
        """How many entries of the source have been met."""
        return self.new + self.equal + self.different

    @property
    def written(self) -> int:
        """How many entries a copy wrote, or would write, as far as it has come."""
        return self.new + (self.different if self._replace else 0)

    async def compare(self, progress: Callable[[int], None]) -> None:
        """Count what a copy would do."""
        self._clear()
        async with aclosing(self._batches(absent=False)) as batches:
            async for batch in batches:
                self._count(batch)
                progress(self.total)

    async def copy(self, progress: Callable[[int], None]) -> None:
        """Write what is new, and with replace what differs; only that is counted.

        What others write meanwhile may be met or not.  Where this raises, the counts
        are those of the batches before; of the last one some may be written too.
        """
        self._clear()
        async with aclosing(self._batches(absent=True)) as batches:
            async for batch in batches:
                values = {
                    entry.key: entry.value
                    for entry in batch
                    if entry.is_new or (self._replace and not entry.is_equal)
                }
                if values:
                    await self._target.set_many(values)
                self._count(batch)
                progress(self.total)

    def _clear(self) -> None:
        self.new = self.equal = self.different = 0
        self.examples: list[str] = []

    def _count(self, batch: list[_Entry]) -> None:
        for entry in batch:
            if entry.is_new:
                self.new += 1
            elif entry.is_equal:
                self.equal += 1
            else:
                self.different += 1
                if len(self.examples) < _EXAMPLES:
                    self.examples.append(entry.key)

    async def _batches(self, *, absent: bool) -> AsyncGenerator[list[_Entry]]:
        """Yield the source's entries beside what the target has.

        Values of keys that the target did not list are read if absent is true.
        """
        most = _FIRST_BATCH
        keys: list[str] = []
        listed: set[str] = set()
        async with aclosing(self._side_by_side()) as pairs:
            async for key, is_listed in pairs:
                keys.append(key)
                if is_listed:
                    listed.add(key)
                if len(keys) >= most:
                    batch = await self._batch(keys, listed, absent=absent)
                    yield batch
                    most = _next_size(batch)
                    keys, listed = [], set()
        if keys:
            yield await self._batch(keys, listed, absent=absent)

    async def _side_by_side(self) -> AsyncGenerator[tuple[str, bool]]:
        """Yield the source's keys, and whether the target has them."""
        async with (
            aclosing(self._source.keys(self._prefix)) as keys,
            aclosing(self._target.keys(self._prefix)) as others,
        ):
            other = await anext(others, None)
            async for key in keys:
                # Their order is that of code points, as Python has it.
                while other is not None and other < key:
                    other = await anext(others, None)
                yield key, other == key

    async def _batch(
        self, keys: list[str], listed: set[str], *, absent: bool
    ) -> list[_Entry]:
        read = keys if absent else [key for key in keys if key in listed]
        values = dict(zip(read, await _exactly(self._source, read), strict=True))
        # Once more those that were not listed, since they may have come since.
        found = await _exactly(self._target, read, listed)
        there = dict(zip(read, found, strict=True))
        entries = []
        for key in keys:
            if key not in values:
                entries.append(_Entry(key, 0, None, True, False))
            # Else it expired, or somebody deleted it, since it was listed.
            elif values[key] is not MISSING:
                entries.append(_entry(key, values[key], there[key]))
        return entries


async def _exactly(
    store: StoreAccess, keys: list[str], doubtful: set[str] | None = None
) -> list[Any]:
    """Return a value for each key, MISSING where there is none.

    A None of the store's is either; the key is asked for again if it is doubtful.
    """
    if not keys:
        return []
    values = await store.get_many(keys)
    for place, key in enumerate(keys):
        if values[place] is None:
            is_doubtful = doubtful is None or key in doubtful
            values[place] = await store.get(key) if is_doubtful else MISSING
    return values


def _entry(key: str, value: Any, there: Any) -> _Entry:
    raw = encode_value(value)
    if there is MISSING:
        return _Entry(key, len(raw), value, True, False)
    return _Entry(key, len(raw), value, False, encode_value(there) == raw)


def _next_size(batch: list[_Entry]) -> int:
    """How many entries the next batch may have, if it is like this one."""
    size = sum(entry.size for entry in batch)
    if not size:
        return BATCH
    return max(1, min(BATCH, len(batch) * _BATCH_BYTES // size))

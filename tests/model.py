"""Model: the byte store as a dict and a sorted list; the oracle of the engine's tests.

Each method says what docs/design.md promises of its namesake, as plainly as Python
can, and nothing of how: no page, no hash, no limit of size. A scan is a list made when
the scan is created, a snapshot or a copy is a copy, so point-in-time holds by
construction. The mapping's other methods are those of `collections.abc`.

Start at `Model`; `ModelReads` is what a snapshot and a store have in common.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Self

Buffer = bytes | bytearray | memoryview
Entry = tuple[bytes, bytes]
Entries = Mapping[Buffer, Buffer] | Iterable[tuple[Buffer, Buffer]]

COUNTER_SIZE = 8
COUNTER_LIMIT = 1 << 63


def taken(buffer: Buffer) -> bytes:
    """Copy a buffer's bytes; TypeError for anything else, str and int included."""
    return bytes(memoryview(buffer))


def taken_entries(entries: Entries) -> list[Entry]:
    pairs = entries.items() if isinstance(entries, Mapping) else entries
    return [(taken(key), taken(value)) for key, value in pairs]


def rows_of(array: Buffer) -> list[bytes]:
    """The rows of an array with a buffer, by its first dimension."""
    view = memoryview(array)
    assert view.shape
    count = view.shape[0]
    size = view.nbytes // max(count, 1)
    return [view.tobytes()[row * size :][:size] for row in range(count)]


class ModelReads(Mapping[bytes, bytes]):
    """The reading half: `_entries` maps keys to values, `_keys` are its sorted keys."""

    def __init__(self, entries: Entries = ()) -> None:
        self._entries = dict(taken_entries(entries))
        self._keys = sorted(self._entries)

    def __getitem__(self, key: Buffer) -> bytes:
        return self._entries[taken(key)]

    def __contains__(self, key: object) -> bool:
        return taken(key) in self._entries  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[bytes]:
        return iter(list(self._keys))

    def __reversed__(self) -> Iterator[bytes]:
        return iter(self._keys[::-1])

    def __len__(self) -> int:
        return len(self._keys)

    def contains(self, key: Buffer) -> bool:
        return key in self

    def is_empty(self) -> bool:
        return not self._keys

    def size_bytes(self) -> int:
        return sum(len(key) + len(value) for key, value in self._entries.items())

    def get_many(self, keys: Iterable[Buffer]) -> list[bytes | None]:
        return [self.get(taken(key)) for key in keys]

    def get_array(
        self, keys: Buffer, values: Buffer, found: Buffer | None = None
    ) -> int:
        there = [key in self for key in rows_of(keys)]
        rows = rows_of(values)
        for row, key in enumerate(rows_of(keys)):
            rows[row] = self.get(key, rows[row])
        memoryview(values).cast("B")[:] = b"".join(rows)
        if found is not None:
            memoryview(found).cast("B")[:] = bytes(there)
        return sum(there)

    def prefix_keys(
        self, prefix: Buffer = b"", *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[bytes]:
        start = taken(prefix)
        keys = [key for key in self._keys if key.startswith(start)]
        return iter(keys[:: -1 if reverse else 1][:limit])

    def range_keys(
        self,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[bytes]:
        low = b"" if start is None else taken(start)
        high = None if stop is None else taken(stop)
        keys = [
            key for key in self._keys if low <= key and (high is None or key < high)
        ]
        return iter(keys[:: -1 if reverse else 1][:limit])

    def prefix_scan(
        self, prefix: Buffer = b"", *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[Entry]:
        return self._with_values(self.prefix_keys(prefix, reverse=reverse, limit=limit))

    def range_scan(
        self,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[Entry]:
        keys = self.range_keys(start, stop, reverse=reverse, limit=limit)
        return self._with_values(keys)

    def first(self, prefix: Buffer = b"") -> Entry | None:
        return next(self.prefix_scan(prefix), None)

    def last(self, prefix: Buffer = b"") -> Entry | None:
        return next(self.prefix_scan(prefix, reverse=True), None)

    def ceiling(self, key: Buffer) -> Entry | None:
        """The entry with the least key that is not below `key`."""
        return next(self.range_scan(key), None)

    def floor(self, key: Buffer) -> Entry | None:
        """The entry with the greatest key that is not above `key`."""
        just_above = taken(key) + b"\x00"
        return next(self.range_scan(None, just_above, reverse=True), None)

    def _with_values(self, keys: Iterable[bytes]) -> Iterator[Entry]:
        return iter([(key, self._entries[key]) for key in keys])


class ModelSnapshot(ModelReads):
    """A store as it was: made by `Model.snapshot`, never changed."""


class Model(ModelReads, MutableMapping[bytes, bytes]):
    """The store.

    Points:   get put delete contains, [] in len, pop popitem setdefault
    Ordered:  prefix_scan range_scan prefix_keys range_keys first last floor ceiling
    Many:     get_many put_many delete_many delete_prefix delete_range clear update
              get_array put_array
    At once:  put_if_absent compare_and_swap increment compute
    Whole:    snapshot restore copy size_bytes is_empty
    """

    def __setitem__(self, key: Buffer, value: Buffer) -> None:
        new_key, new_value = taken(key), taken(value)
        if new_key not in self._entries:
            insort(self._keys, new_key)
        self._entries[new_key] = new_value

    def __delitem__(self, key: Buffer) -> None:
        del self._entries[taken(key)]
        del self._keys[bisect_left(self._keys, taken(key))]

    def put(self, key: Buffer, value: Buffer) -> None:
        self[key] = value

    def delete(self, key: Buffer) -> bool:
        return self.pop(taken(key), None) is not None

    def clear(self) -> None:
        self._entries.clear()
        self._keys.clear()

    def put_array(self, keys: Buffer, values: Buffer) -> None:
        self.put_many(zip(rows_of(keys), rows_of(values), strict=True))

    def put_many(self, entries: Entries) -> None:
        for key, value in taken_entries(entries):
            self[key] = value

    def delete_many(self, keys: Iterable[Buffer]) -> int:
        return sum([self.delete(key) for key in [taken(key) for key in keys]])

    def delete_prefix(self, prefix: Buffer) -> int:
        return self.delete_many(self.prefix_keys(prefix))

    def delete_range(
        self, start: Buffer | None = None, stop: Buffer | None = None
    ) -> int:
        return self.delete_many(self.range_keys(start, stop))

    def put_if_absent(self, key: Buffer, value: Buffer) -> bool:
        if key in self:
            return False
        self[key] = value
        return True

    def compare_and_swap(
        self, key: Buffer, expected: Buffer | None, new: Buffer | None
    ) -> bool:
        """Swap if the value is `expected`; None stands for an absent entry."""
        wanted = None if expected is None else taken(expected)
        if self.get(taken(key)) != wanted:
            return False
        self._become(key, new)
        return True

    def increment(self, key: Buffer, delta: int = 1) -> int:
        current = self.get(taken(key), bytes(COUNTER_SIZE))
        if len(current) != COUNTER_SIZE:
            raise ValueError(f"a counter has {COUNTER_SIZE} bytes, not {len(current)}")
        total = int.from_bytes(current, "little", signed=True) + delta
        if not -COUNTER_LIMIT <= total < COUNTER_LIMIT:
            raise OverflowError(f"{total} does not fit a counter")
        self[key] = total.to_bytes(COUNTER_SIZE, "little", signed=True)
        return total

    def compute(
        self, key: Buffer, function: Callable[[bytes | None], Buffer | None]
    ) -> Buffer | None:
        new = function(self.get(taken(key)))
        self._become(key, new)
        return new

    def snapshot(self) -> ModelSnapshot:
        return ModelSnapshot(self)

    def restore(self, snapshot: ModelSnapshot) -> None:
        self._entries = dict(snapshot)
        self._keys = list(snapshot)

    def copy(self) -> "Model":
        return Model(self)

    def __or__(self, other: Mapping[bytes, bytes]) -> "Model":
        return Model({**self, **other})

    def __ror__(self, other: Mapping[bytes, bytes]) -> "Model":
        return Model({**other, **self})

    def __ior__(self, other: Mapping[bytes, bytes]) -> Self:
        self.put_many(other)
        return self

    def _become(self, key: Buffer, value: Buffer | None) -> None:
        if value is None:
            self.delete(key)
        else:
            self[key] = value


def answer(call: Callable[[Any], object], target: Any) -> object:
    """What a call answers, in a form in which a store's and the model's compare.

    A scan becomes the list of what it gives, a store or a snapshot its entries, an
    exception its type.
    """
    try:
        result = call(target)
    except Exception as error:  # noqa: BLE001 - whatever it is, both must raise it
        return type(error)
    if isinstance(result, Iterator):
        return list(result)
    return dict(result) if isinstance(result, Mapping) else result

"""Views of a store's or a snapshot's keys, values and entries, as a mapping has them.

Membership, length and set algebra are those of collections.abc; iteration is a scan.
"""

import collections.abc
from collections.abc import Iterator
from typing import Any


class KeysView(collections.abc.KeysView[bytes]):
    """The keys, in order."""

    _mapping: Any
    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        keys: Iterator[bytes] = iter(self._mapping)
        return keys

    def __reversed__(self) -> Iterator[bytes]:
        keys: Iterator[bytes] = reversed(self._mapping)
        return keys


class ValuesView(collections.abc.ValuesView[bytes]):
    """The values, in the order of their keys."""

    _mapping: Any
    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        values: Iterator[bytes] = self._mapping._scan_values()
        return values

    def __reversed__(self) -> Iterator[bytes]:
        values: Iterator[bytes] = self._mapping._scan_values(reverse=True)
        return values

    def __contains__(self, value: object) -> bool:
        return any(other == value for other in self)


class EntriesView(collections.abc.ItemsView[bytes, bytes]):
    """The (key, value) pairs, in key order."""

    _mapping: Any
    __slots__ = ()

    @classmethod
    def _from_iterable(cls, it: Any) -> set[Any]:
        return set(it)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        entries: Iterator[tuple[bytes, bytes]] = self._mapping.prefix_scan()
        return entries

    def __reversed__(self) -> Iterator[tuple[bytes, bytes]]:
        entries: Iterator[tuple[bytes, bytes]] = self._mapping.prefix_scan(reverse=True)
        return entries

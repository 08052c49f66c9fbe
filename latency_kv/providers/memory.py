"""Memory: the StateStore facet in an InMemoryStore, which is shared as one likes.

    "state-store:"       "default" 00  seat:12A            ->  end, the value's JSON
    "state-store-ends:"  end  "default" 00  seat:12A       ->  nothing
    "state-store-ends"                                     ->  nothing; while there are ends
     prefix              namespace     the key's UTF-8

An end is 8 bytes, big-endian: microseconds since the epoch of the clock, or 0 for never.
Whatever is known is in the store, so one snapshot holds all namespaces, ends too, and
what `store.restore` brings back is what is read next.

Invariants
    1. A value that has an end has an entry among the ends, until it is replaced.
    2. What is among the ends and due is removed by later writes, some with each; those
       that are no value's any more go in their time too.

Every method is done when it first would wait, so nothing of the same loop comes between.
A store that has no ends is never asked for an order, which would cost it an index.

Knows the engine, no other provider.  Start at `MemoryStateStore.set`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from math import ceil
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import SplitResult

from anyio.lowlevel import checkpoint

from latency_kv.core.store import InMemoryStore
from latency_kv.errors import StateParseError, StateWriteError
from latency_kv.json_values import encode_value
from latency_kv.providers.key_pages import KeyPages
from latency_kv.providers.state_keys import (
    DEFAULT_NAMESPACE,
    checked_namespace,
    checked_ttl,
    key_bytes,
    key_text,
    redacted_url,
    stored_value,
    successor,
    url_options,
)
from latency_kv.typed.keys import KeyLayout

__all__ = ["MAX_KEY_SIZE", "STATE_KEYS", "MemoryStateStore"]

STATE_KEYS: Final = KeyLayout(b"state-store:", "str")
"""Where a namespace's values are: (namespace), and behind it the key as it is.

Whoever else keeps entries in the store gives them keys that start otherwise.
"""

MAX_KEY_SIZE: Final = 65_000
"""In bytes: the engine's 65,535 without what stands before a key."""

_ENDS = KeyLayout(b"state-store-ends:", "uint64", "str")
_HAS_ENDS = b"state-store-ends"

_END_SIZE = 8
_NEVER = bytes(_END_SIZE)
_TICKS = 1_000_000

# More than one, so that they end; few, so that no write waits for them.
_RECLAIMED = 4

_PAGE_COUNT = 256


class MemoryStateStore:
    """A StateStore in this process, with all capabilities; writes are atomic.

    store is the InMemoryStore that it is in, a new one by default; others may be in it
    too, under namespaces of their own.  clock tells seconds, and is the same for all that
    share a store: it decides when a value is over.

    Keys have at most MAX_KEY_SIZE bytes.  Belongs to one event loop, asyncio or trio.

    >>> import anyio
    >>> store = InMemoryStore()
    >>> async def main():
    ...     async with MemoryStateStore(store) as states:
    ...         await states.set("a", [1], ttl=60)
    ...         before = store.snapshot()
    ...         await states.delete("a")
    ...         store.restore(before)
    ...         print(await states.get("a"))
    >>> anyio.run(main)
    [1]
    """

    __slots__ = ("_closed", "_namespace", "_prefix", "_url", "clock", "store")

    set_many_is_atomic: Final = True
    ttl_resolution: Final = 1 / _TICKS

    def __init__(
        self,
        store: InMemoryStore | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._namespace = checked_namespace(namespace)
        self._prefix = STATE_KEYS.prefix(self._namespace)
        self._url = redacted_url("memory:", self._namespace)
        self._closed = False
        # Not `or`: an empty store is false.
        self.store = InMemoryStore() if store is None else store
        self.clock = clock

    @classmethod
    def from_url(cls, url: SplitResult, namespace: str, **options: Any) -> Self:
        """Return the store of a URL, `memory:`; options are the constructor's."""
        if url.netloc or url.path:
            raise ValueError(
                "memory: has nothing behind its colon: a store that is shared is given "
                "as `store=`"
            )
        return cls(namespace=namespace, **url_options(url, {}), **options)

    @property
    def namespace(self) -> str:
        """Whose keys these are."""
        return self._namespace

    def __repr__(self) -> str:
        return f"MemoryStateStore({self._url!r})"

    async def __aenter__(self) -> Self:
        self._demand_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Refuse what comes from now on; the InMemoryStore keeps what is in it."""
        self._closed = True

    async def get(self, key: str, default: Any = None, /) -> Any:
        """Return the value, or the default."""
        raw = self._live(self._packed(key), self._now())
        return default if raw is None else self._value(raw, key)

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        """Store the value, over an older one, for `ttl` seconds or for ever."""
        packed = self._packed(key)
        now = self._now()
        end = 0 if ttl is None else now + ceil(checked_ttl(ttl) * _TICKS)
        self._write([(packed, encode_value(value))], now, end, key)

    async def delete(self, key: str, /) -> bool:
        """Delete the value; return whether there was one."""
        packed = self._packed(key)
        now = self._now()
        was_there = self._live(packed, now) is not None
        stale = self._ends_of([packed])
        self.store.delete(packed)
        self.store.delete_many(stale)
        self._reclaim(now)
        return was_there

    async def has(self, key: str, /) -> bool:
        """Tell whether the key is there, whatever its value."""
        return self._live(self._packed(key), self._now()) is not None

    async def keys(self, prefix: str = "") -> list[str]:
        """List the keys that start with the prefix, by their UTF-8 bytes, at one instant.

        Builds the engine's index, if it has none yet.
        """
        start, stop = self._range(prefix)
        now = self._now()
        skipped = len(self._prefix)
        return [
            key_text(packed[skipped:])
            for packed, raw in self.store.range_scan(start, stop)
            if _is_live(raw, now)
        ]

    def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Iterate over the keys that start with the prefix, by their UTF-8 bytes."""
        first, stop = self._range(prefix)
        skipped = len(self._prefix)

        async def page(after: str | None) -> list[str]:
            self._demand_open()
            start = first
            if after is not None:
                await checkpoint()
                # The lowest key above the last one.
                start = self._prefix + key_bytes(after) + b"\0"
            found = self.store.range_keys(start, stop, limit=_PAGE_COUNT)
            return [key_text(packed[skipped:]) for packed in found]

        def is_there(key: str) -> bool:
            return self._live(self._prefix + key_bytes(key), self._now()) is not None

        return KeyPages(page, is_there)

    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        """Store the value if the key is not there; return whether it was stored."""
        packed, data = self._packed(key), encode_value(value)
        now = self._now()
        if self._live(packed, now) is not None:
            return False
        self._write([(packed, data)], now, 0, key)
        return True

    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        """Store `new` if the key's value is `expected`; return whether it was stored."""
        packed, wanted, data = (
            self._packed(key),
            encode_value(expected),
            encode_value(new),
        )
        now = self._now()
        raw = self._live(packed, now)
        if raw is None or raw[_END_SIZE:] != wanted:
            return False
        self._write([(packed, data)], now, 0, key)
        return True

    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        """Return a value for each key, in their order, and None where there is none."""
        self._demand_open()
        keys = list(keys)
        found = self.store.get_many([self._packed(key) for key in keys])
        now = self._now()
        return [
            self._value(raw, key) if raw is not None and _is_live(raw, now) else None
            for key, raw in zip(keys, found, strict=True)
        ]

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        """Store each value under its key, all of them or none."""
        entries = [
            (self._packed(key), encode_value(value)) for key, value in values.items()
        ]
        self._demand_open()
        self._write(entries, self._now(), 0, None)

    def _demand_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")

    def _packed(self, key: str) -> bytes:
        """The key in the store; raises what is wrong with it, or with calling now."""
        self._demand_open()
        return self._prefix + key_bytes(key, MAX_KEY_SIZE)

    def _range(self, prefix: str) -> tuple[bytes, bytes | None]:
        """Where the keys with this prefix start and stop."""
        self._demand_open()
        start = self._prefix + key_bytes(prefix, what="prefix")
        return start, successor(start)

    def _now(self) -> int:
        return int(self.clock() * _TICKS)

    def _live(self, packed: bytes, now: int) -> bytes | None:
        """The entry of a key, None if there is none or it is over."""
        raw = self.store.get(packed)
        return raw if raw is not None and _is_live(raw, now) else None

    def _value(self, raw: bytes, key: str) -> Any:
        if len(raw) < _END_SIZE:
            raise StateParseError(
                None, "what is stored is not a value", key=key, store=self._url
            )
        return stored_value(raw[_END_SIZE:], key, self._url)

    def _write(
        self, entries: list[tuple[bytes, bytes]], now: int, end: int, key: str | None
    ) -> None:
        """Put (key, JSON), with an end or 0, in one step; tidy up."""
        stale = self._ends_of([packed for packed, _ in entries])
        mark = end.to_bytes(_END_SIZE)
        changes = [(packed, mark + data) for packed, data in entries]
        if end:
            changes += [(self._end_key(end, packed), b"") for packed, _ in entries]
            changes.append((_HAS_ENDS, b""))
            new = {packed for packed, _ in changes}
            stale = [packed for packed in stale if packed not in new]
        try:
            self.store.put_many(changes)
        except ValueError as error:
            raise StateWriteError(None, str(error), key=key, store=self._url) from error
        self.store.delete_many(stale)
        self._reclaim(now)

    def _end_key(self, end: int, packed: bytes) -> bytes:
        return _ENDS.pack(end, self._namespace) + packed[len(self._prefix) :]

    def _ends_of(self, keys: list[bytes]) -> list[bytes]:
        """The entries among the ends that the keys' present values have."""
        if not self.store.contains(_HAS_ENDS):
            return []
        return [
            self._end_key(int.from_bytes(raw[:_END_SIZE]), packed)
            for packed, raw in zip(keys, self.store.get_many(keys), strict=True)
            if raw is not None and raw[:_END_SIZE] != _NEVER
        ]

    def _reclaim(self, now: int) -> None:
        """Remove some of what is due, in whatever namespace."""
        if not self.store.contains(_HAS_ENDS):
            return
        first, last = _ENDS.prefix(), _ENDS.prefix(now + 1)
        for entry in list(self.store.range_keys(first, last, limit=_RECLAIMED)):
            # The namespace and the key, as they stand behind the values' prefix.
            rest = entry[len(_ENDS.prefix(0)) :]
            packed = STATE_KEYS.prefix() + rest
            raw = self.store.get(packed)
            end = entry[len(first) : len(first) + _END_SIZE]
            if raw is not None and raw[:_END_SIZE] == end:
                self.store.delete(packed)
            self.store.delete(entry)
        if self.store.first(first) is None:
            self.store.delete(_HAS_ENDS)


def _is_live(raw: bytes, now: int) -> bool:
    """Tell whether an entry is not over; one that is cut short is damaged, and there."""
    end = raw[:_END_SIZE]
    return end == _NEVER or len(end) < _END_SIZE or now < int.from_bytes(end)

"""LMDB: the StateStore facet in a folder on disk: ordered, durable, larger than memory.

Reads are answered at once, from the map, and wait for no writer.  A write takes one hop
to the thread that writes, and is durable when it returns; those that are made together
share one sync of the disk, so that a hundred take little longer than one.

Knows keys, ends and failures, not the transactions.  Start at `LmdbStateStore.set`.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import SplitResult, quote, unquote_to_bytes

import lmdb
from anyio import Event
from anyio.lowlevel import checkpoint

from latency_kv.errors import (
    OutcomeUnknownError,
    StateError,
    StateParseError,
    StateReadError,
    StateWriteError,
)
from latency_kv.json_values import encode_value
from latency_kv.providers.key_pages import KeyPages
from latency_kv.providers.lmdb_environments import (
    END_SIZE,
    NEVER,
    LmdbChange,
    LmdbEnvironment,
    LmdbWork,
    UnsettledCommitError,
)
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

__all__ = ["MAP_SIZE", "MAX_KEY_SIZE", "LmdbStateStore"]

MAP_SIZE: Final = 1 << 36
"""In bytes, 64 GiB: what the file may grow to.  Address space, neither memory nor disk."""

MAX_KEY_SIZE: Final = 510
"""In bytes, for a key and its namespace: LMDB's 511 without the namespace's size."""

T = TypeVar("T")

_TICKS = 1_000_000

# More than one, so that they end; few, so that no write waits for them.
_RECLAIMED = 4

_PAGE_COUNT = 500


class LmdbStateStore:
    """A StateStore in LMDB, with all capabilities; writes are atomic and durable.

    path is the folder, made where there is none, and nothing else is kept in it.  Any
    number of stores and processes of one machine may share it, but for one on a file
    system of the network, where LMDB's locks do not work, and but for one that was opened
    before a fork.  clock tells seconds, the same for all that share a folder.

    A key and its namespace have at most MAX_KEY_SIZE bytes together.  What does not fit
    into map_size bytes is refused with StateWriteError: whoever has the folder open then
    closes it, and opens it with more.

    Belongs to one event loop, asyncio or trio.

    >>> import anyio
    >>> from tempfile import TemporaryDirectory
    >>> async def main(folder):
    ...     async with LmdbStateStore(folder) as states:
    ...         await states.set("seat:12A", {"sold": True})
    ...     async with LmdbStateStore(folder) as states:
    ...         print(await states.get("seat:12A"))
    >>> with TemporaryDirectory() as folder:
    ...     anyio.run(main, folder)
    {'sold': True}
    """

    set_many_is_atomic: Final = True
    ttl_resolution: Final = 1 / _TICKS

    def __init__(
        self,
        path: str | os.PathLike[str],
        namespace: str = DEFAULT_NAMESPACE,
        *,
        map_size: int = MAP_SIZE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._namespace = checked_namespace(namespace)
        if map_size <= 0:
            raise ValueError(f"map_size is a number of bytes, not {map_size}")
        self._map_size = map_size
        # Now: a process may change its folder.
        self._path = os.path.abspath(path)
        quoted = quote(os.fsencode(self._path))
        self._url = redacted_url(f"lmdb:{quoted}", self._namespace)
        raw = self._namespace.encode()
        self._prefix = bytes([len(raw)]) + raw
        self._max_key_size = MAX_KEY_SIZE - len(raw)
        # The one that has this store among its users, and the same once it is open.
        self._environment: LmdbEnvironment | None = None
        self._ready: LmdbEnvironment | None = None
        # Openings and listings that go on, which the end waits for.
        self._busy_count = 0
        self._idle: Event | None = None
        self._closed = False
        self.clock = clock

    @classmethod
    def from_url(cls, url: SplitResult, namespace: str, **options: Any) -> Self:
        """Return the store of a URL, `lmdb:PATH`; options are the constructor's."""
        path = os.fsdecode(unquote_to_bytes(url.path))
        if url.netloc not in ("", "localhost") or not path:
            raise ValueError(
                "lmdb: is followed by the path of a folder: 'lmdb:state' is one beside "
                "this process, 'lmdb:///var/state' stands where it says"
            )
        given = url_options(url, {"map_size": int})
        return cls(path, namespace, **{**given, **options})

    @property
    def namespace(self) -> str:
        """Whose keys these are."""
        return self._namespace

    @property
    def path(self) -> str:
        """The folder."""
        return self._path

    def __repr__(self) -> str:
        return f"LmdbStateStore({self._url!r})"

    async def __aenter__(self) -> Self:
        await self._opened(None, StateReadError)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for the writes that were begun, and let go of the folder.

        The last store of the process that has it closes it, and ends its thread.
        """
        self._closed = True
        while self._busy_count:
            self._idle = Event()
            await self._idle.wait()
        environment, self._environment, self._ready = self._environment, None, None
        if environment is not None:
            await environment.release().reached()

    async def get(self, key: str, default: Any = None, /) -> Any:
        """Return the value, or the default."""
        packed = self._packed(key)
        environment = self._ready or await self._opened(key, StateReadError)
        try:
            entry = environment.get(packed)
        except lmdb.Error as error:
            raise self._failed(StateReadError, error, key) from error
        if entry is None or not self._is_live(entry):
            return default
        return self._value(entry, key)

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        """Store the value, over an older one, for `ttl` seconds or for ever."""
        packed, raw = self._packed(key), encode_value(value)
        ticks = None if ttl is None else ceil(checked_ttl(ttl) * _TICKS)

        def work(change: LmdbChange) -> None:
            end = NEVER if ticks is None else (self._now() + ticks).to_bytes(END_SIZE)
            change.put(packed, end, raw)

        await self._write(key, work, len(raw))

    async def delete(self, key: str, /) -> bool:
        """Delete the value; return whether there was one."""
        packed = self._packed(key)

        def work(change: LmdbChange) -> bool:
            entry = change.get(packed)
            change.delete(packed)
            return entry is not None and self._is_live(entry)

        return await self._write(key, work)

    async def has(self, key: str, /) -> bool:
        """Tell whether the key is there, whatever its value."""
        packed = self._packed(key)
        environment = self._ready or await self._opened(key, StateReadError)
        try:
            entry = environment.get(packed)
        except lmdb.Error as error:
            raise self._failed(StateReadError, error, key) from error
        return entry is not None and self._is_live(entry)

    async def keys(self, prefix: str = "") -> list[str]:
        """List the keys that start with the prefix, by their UTF-8 bytes.

        A page at a time, as `iter_keys` does, so that the loop need not wait for all.
        """
        self._demand_open()
        raw = key_bytes(prefix, what="prefix")
        environment = self._ready or await self._opened(None, StateReadError)
        found: list[str] = []
        after: str | None = None
        with self._busy():
            while True:
                page, ends = await self._page(environment, raw, after)
                found += (
                    [key for key in page if self._is_live(ends[key])] if ends else page
                )
                if len(page) < _PAGE_COUNT:
                    return found
                after = page[-1]

    def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Iterate over the keys that start with the prefix, by their UTF-8 bytes."""
        self._demand_open()
        raw = key_bytes(prefix, what="prefix")
        ends: dict[str, bytes] = {}

        async def page(after: str | None) -> Iterable[str]:
            nonlocal ends
            self._demand_open()
            environment = self._ready or await self._opened(None, StateReadError)
            keys, ends = await self._page(environment, raw, after)
            return keys

        return KeyPages(page, lambda key: not ends or self._is_live(ends[key]))

    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        """Store the value if the key is not there; return whether it was stored."""
        packed, raw = self._packed(key), encode_value(value)

        def work(change: LmdbChange) -> bool:
            entry = change.get(packed)
            if entry is not None and self._is_live(entry):
                return False
            change.put(packed, NEVER, raw)
            return True

        return await self._write(key, work, len(raw))

    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        """Store `new` if the key's value is `expected`; return whether it was stored."""
        packed, wanted, raw = (
            self._packed(key),
            encode_value(expected),
            encode_value(new),
        )

        def work(change: LmdbChange) -> bool:
            entry = change.get(packed)
            if entry is None or entry[END_SIZE:] != wanted or not self._is_live(entry):
                return False
            change.put(packed, NEVER, raw)
            return True

        return await self._write(key, work, len(raw))

    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        """Return a value for each key, in their order, and None where there is none.

        All are of one instant.
        """
        keys = list(keys)
        packed = [self._packed(key) for key in keys]
        environment = self._ready or await self._opened(None, StateReadError)
        try:
            entries = environment.get_many(packed)
        except lmdb.Error as error:
            raise self._failed(StateReadError, error, None) from error
        return [
            self._value(entry, key)
            if entry is not None and self._is_live(entry)
            else None
            for key, entry in zip(keys, entries, strict=True)
        ]

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        """Store each value under its key, all of them or none."""
        entries = [
            (self._packed(key), encode_value(value)) for key, value in values.items()
        ]
        self._demand_open()

        def work(change: LmdbChange) -> None:
            for packed, raw in entries:
                change.put(packed, NEVER, raw)

        if entries:
            await self._write(None, work, sum(len(raw) for _, raw in entries))

    async def _page(
        self, environment: LmdbEnvironment, prefix: bytes, after: str | None
    ) -> tuple[list[str], dict[str, bytes]]:
        """Return the next keys with the prefix, over or not, and their ends if any."""
        if len(prefix) > self._max_key_size:
            return [], {}
        last = None
        if after is not None:
            last = self._prefix + key_bytes(after)
            # Between two pages it is the turn of others.
            await checkpoint()
        skipped, start = len(self._prefix), self._prefix + prefix
        # There is one: the namespace's size, which comes first, is not the last byte.
        stop = cast("bytes", successor(start))
        try:
            page, ends = environment.page(start, last, stop, _PAGE_COUNT)
        except lmdb.Error as error:
            raise self._failed(StateReadError, error, None) from error
        keys = [key_text(key[skipped:]) for key in page]
        return keys, dict(zip(keys, ends, strict=True)) if ends else {}

    def _demand_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")

    def _packed(self, key: str) -> bytes:
        """The key in the folder; raises what is wrong with it, or with calling now."""
        self._demand_open()
        return self._prefix + key_bytes(key, self._max_key_size)

    def _now(self) -> int:
        return int(self.clock() * _TICKS)

    def _is_live(self, entry: bytes) -> bool:
        """Tell whether an entry is not over; one that is cut short is damaged, and there."""
        end = entry[:END_SIZE]
        return end == NEVER or len(end) < END_SIZE or self._now() < int.from_bytes(end)

    def _value(self, entry: bytes, key: str) -> Any:
        if len(entry) < END_SIZE:
            raise StateParseError(
                None, "what is stored is not a value", key=key, store=self._url
            )
        return stored_value(entry[END_SIZE:], key, self._url)

    async def _opened(self, key: str | None, kind: type[StateError]) -> LmdbEnvironment:
        """Return the environment when it is open; raise `kind` if it cannot be."""
        self._demand_open()
        if self._environment is None:
            self._environment = LmdbEnvironment.shared(self._path, self._map_size)
        environment = self._environment
        with self._busy():
            try:
                await environment.opened()
            except (lmdb.Error, OSError) as error:
                # The first of those who waited; the next call tries again.
                if self._environment is environment:
                    self._environment = None
                    environment.release()
                raise self._failed(kind, error, key) from error
        self._ready = environment
        return environment

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._busy_count += 1
        try:
            yield
        finally:
            self._busy_count -= 1
            if self._idle is not None and not self._busy_count:
                self._idle.set()

    async def _write(self, key: str | None, work: LmdbWork[T], size: int = 0) -> T:
        """Do the work, and a little of what is due besides."""

        def tidied(change: LmdbChange) -> T:
            result = work(change)
            change.reclaim(self._now().to_bytes(END_SIZE), _RECLAIMED)
            return result

        environment = self._ready or await self._opened(key, StateWriteError)
        try:
            return await environment.write(tidied, size)
        except UnsettledCommitError as error:
            raise self._failed(OutcomeUnknownError, error.__cause__, key) from error
        except lmdb.Error as error:
            raise self._failed(StateWriteError, error, key) from error

    def _failed(
        self, kind: type[StateError], error: BaseException | None, key: str | None
    ) -> StateError:
        """Return the error that tells what failed, and what helps."""
        if isinstance(error, lmdb.MapFullError):
            reason = (
                f"what there is fills map_size={self._map_size} bytes: delete something, "
                "or open the folder with a larger one"
            )
            number = errno.ENOSPC
        elif isinstance(error, lmdb.MapResizedError):
            reason = (
                f"another process lets it grow beyond map_size={self._map_size} bytes: "
                "close it, and open it with as many"
            )
            number = 0
        elif isinstance(error, lmdb.PanicError) or kind is OutcomeUnknownError:
            reason = (
                "the disk failed LMDB in the midst of a commit: close every store of "
                f"this process that has the folder open, and look what is in it ({error})"
            )
            number = 0
        elif isinstance(error, OSError):
            reason, number = f"the folder cannot be opened: {error}", error.errno or 0
        else:
            reason, number = str(error), getattr(error, "code", 0)
        failed = kind(None, reason, key=key, store=self._url)
        # LMDB's own numbers are below 0.
        if isinstance(failed, OSError) and number > 0:
            failed.errno = number
        return failed

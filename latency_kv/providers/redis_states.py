"""Redis states: the StateStore facet in the entries that scripts keep in a Redis.

What is the same for one server and for a cluster: keys and values on their way to bytes
and back, what each call sends, the pages of keys of several buckets merged into one.
Where and how often it is sent is the subclass's.

Knows the scripts, no connection.  Start at `RedisStates.set`.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from enum import Enum
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from redis.exceptions import RedisError, ResponseError

from latency_kv.errors import OutcomeUnknownError, StateReadError, StateWriteError
from latency_kv.json_values import encode_value
from latency_kv.providers.key_pages import KeyPages
from latency_kv.providers.redis_failures import Failure, errno_of, told
from latency_kv.providers.redis_link import Lost
from latency_kv.providers.redis_scripts import (
    Command,
    Shard,
    compare_and_set,
    delete,
    list_page,
    set_if_absent,
    set_values,
)
from latency_kv.providers.state_keys import (
    checked_namespace,
    checked_ttl,
    key_bytes,
    stored_key,
    stored_value,
    successor,
)

__all__ = [
    "MAX_KEY_SIZE",
    "MAX_VALUE_SIZE",
    "UNSURE",
    "Kind",
    "RedisStates",
    "Request",
    "common",
    "refusals",
]

MAX_KEY_SIZE: Final = 1 << 20
"""In bytes: far more than a key should have, and less than the server's own limit."""

MAX_VALUE_SIZE: Final = 512 << 20
"""In bytes: what a server takes, unless its proto-max-bulk-len says otherwise."""

UNSURE: Final = "; it may have been applied: read before writing again"
"""What a message ends with about a write of which nobody knows."""

# Any server takes that much, whatever its proto-max-bulk-len says.
_SURELY_TAKEN = 1 << 20

# How many keys are asked for, or listed, at once.
_ASKED = 512
_LISTED = 1_024
_LEAST_LISTED = 32

# In milliseconds: what the server rounds a ttl up to.
_TICKS = 1_000


class Kind(Enum):
    """What may be done about a request whose answer is lost."""

    READ = "a read, which may be repeated"
    REPEATABLE = "a write that is the same when made twice"
    ONCE = "a write whose answer would be another one the second time"


class Request(NamedTuple):
    """A command, where to send it, and whose value it is about."""

    shard: Shard
    command: Command
    key: str | None = None


def common(requests: Sequence[Request]) -> Request:
    """Return what stands for all of them in a message: one, or one without a key."""
    first = requests[0]
    return first if len(requests) == 1 else first._replace(key=None)


def refusals(
    requests: Sequence[Request], answers: Sequence[Any]
) -> list[tuple[Request, RedisError]]:
    """Return the requests that the server refused, with its word."""
    return [
        (request, answer)
        for request, answer in zip(requests, answers, strict=True)
        if isinstance(answer, RedisError)
    ]


class RedisStates(ABC):
    """A StateStore in the entries of a namespace, with all capabilities.

    url is for messages.  Belongs to the event loop that it is first used on, and that is
    asyncio's.
    """

    ttl_resolution: Final = 1 / _TICKS

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = checked_namespace(namespace)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._max_value_size: int | None = None
        self._calls = _Calls()

    @property
    def namespace(self) -> str:
        """Whose keys these are."""
        return self._namespace

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    async def __aenter__(self) -> Self:
        self._demand_usable()
        try:
            with self._calls:
                await self._open()
        except BaseException:
            # Nobody else will: there is no end of a block that was not entered.
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for what goes on, and close the connections."""
        if self._is_closed:
            return
        if self._loop is None:
            self._is_closed = True
            return
        self._demand_usable()
        self._is_closed = True
        try:
            await self._calls.ended()
        finally:
            await self._close_links()
        # A socket is closed by the loop's next turn.
        await asyncio.sleep(0)

    async def get(self, key: str, default: Any = None, /) -> Any:
        """Return the value, or the default."""
        with self._calls:
            raw = self._key(key)
            shard = await self._shard(raw, key, Kind.READ)
            command = b"GET", shard.value_prefix + raw
            answer = await self._one(shard, command, key, Kind.READ)
            return default if answer is None else stored_value(answer, key, self._url)

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        """Store the value, over an older one, for `ttl` seconds or for ever."""
        with self._calls:
            raw, data = self._key(key), encode_value(value)
            seconds = None if ttl is None else checked_ttl(ttl)
            await self._check_size(key, len(data))
            shard = await self._shard(raw, key, Kind.REPEATABLE)
            command = set_values(shard, {raw: data}, seconds)
            await self._one(shard, command, key, Kind.REPEATABLE)

    async def delete(self, key: str, /) -> bool:
        """Delete the value; return whether there was one."""
        with self._calls:
            raw = self._key(key)
            shard = await self._shard(raw, key, Kind.ONCE)
            return bool(await self._one(shard, delete(shard, raw), key, Kind.ONCE))

    async def has(self, key: str, /) -> bool:
        """Tell whether the key is there, whatever its value."""
        with self._calls:
            raw = self._key(key)
            shard = await self._shard(raw, key, Kind.READ)
            command = b"EXISTS", shard.value_prefix + raw
            return bool(await self._one(shard, command, key, Kind.READ))

    async def keys(self, prefix: str = "") -> list[str]:
        """List the keys that start with the prefix, by their UTF-8 bytes.

        A page at a time, as `iter_keys` does, so that the server is held up by none.
        """
        with self._calls:
            merge = self._merge(prefix)
            return [key async for key in KeyPages(merge.page, merge.is_there)]

    def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Iterate over the keys that start with the prefix, by their UTF-8 bytes."""
        merge = self._merge(prefix)

        async def page(after: str | None) -> list[str]:
            with self._calls:
                self._demand_usable()
                return await merge.page(after)

        return KeyPages(page, merge.is_there)

    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        """Store the value if the key is not there; return whether it was stored."""
        with self._calls:
            raw, data = self._key(key), encode_value(value)
            await self._check_size(key, len(data))
            shard = await self._shard(raw, key, Kind.ONCE)
            command = set_if_absent(shard, raw, data)
            return bool(await self._one(shard, command, key, Kind.ONCE))

    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        """Store `new` if the key's value is `expected`; return whether it was stored."""
        with self._calls:
            raw, wanted, data = (
                self._key(key),
                encode_value(expected),
                encode_value(new),
            )
            await self._check_size(key, max(len(wanted), len(data)))
            shard = await self._shard(raw, key, Kind.ONCE)
            command = compare_and_set(shard, raw, wanted, data)
            return bool(await self._one(shard, command, key, Kind.ONCE))

    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        """Return a value for each key, in their order, and None where there is none.

        Each is of an instant of its own.
        """
        with self._calls:
            self._demand_usable()
            raws = [(key, self._key(key)) for key in keys]
            values: list[Any] = []
            for start in range(0, len(raws), _ASKED):
                values += await self._got(raws[start : start + _ASKED], len(raws))
            return values

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        """Store each value under its key."""
        with self._calls:
            self._demand_usable()
            entries = {
                self._key(key): encode_value(value) for key, value in values.items()
            }
            await self._check_size(None, max(map(len, entries.values()), default=0))
            if entries:
                await self._set_all(entries)

    def _merge(self, prefix: str) -> _Merge:
        self._demand_usable()
        return _Merge(self, key_bytes(prefix, what="prefix"))

    async def _got(
        self, keys: Sequence[tuple[str, bytes]], asked_count: int
    ) -> list[Any]:
        """Return the value of each; asked_count is of how many its caller wants it."""
        requests = []
        for key, raw in keys:
            shard = await self._shard(raw, key if asked_count == 1 else None)
            requests.append(Request(shard, (b"GET", shard.value_prefix + raw), key))
        answers = await self._run(requests, Kind.READ)
        return [
            None if answer is None else stored_value(answer, key, self._url)
            for (key, _), answer in zip(keys, answers, strict=True)
        ]

    async def _set_all(self, entries: Mapping[bytes, bytes]) -> None:
        """Store these values, those of one bucket at once."""
        buckets: dict[int, tuple[Shard, dict[bytes, bytes]]] = {}
        for raw, data in entries.items():
            shard = await self._shard(raw, None, Kind.REPEATABLE)
            buckets.setdefault(shard.number, (shard, {}))[1][raw] = data
        requests = [
            Request(shard, set_values(shard, part)) for shard, part in buckets.values()
        ]
        await self._run(requests, Kind.REPEATABLE)

    @abstractmethod
    async def _open(self) -> None:
        """Connect; raise what keeps it from working."""

    @abstractmethod
    async def _close_links(self) -> None:
        """Close all connections; nothing is going on any more."""

    @abstractmethod
    async def _shard(
        self, raw: bytes, key: str | None = None, kind: Kind = Kind.READ
    ) -> Shard:
        """Return where a key's entries are.

        May have to open the store, on behalf of an operation of this kind on this key.
        """

    @abstractmethod
    async def _shards(
        self, key: str | None = None, kind: Kind = Kind.READ
    ) -> Sequence[Shard]:
        """Return where all entries are; may have to open the store, as `_shard`."""

    @abstractmethod
    async def _run(self, requests: Sequence[Request], kind: Kind) -> list[Any]:
        """Return the answer to each, made until it succeeds or has to be given up."""

    async def _one(
        self, shard: Shard, command: Command, key: str | None, kind: Kind
    ) -> Any:
        return (await self._run([Request(shard, command, key)], kind))[0]

    def _failed(
        self, failure: Failure, request: Request, kind: Kind, reason: str = ""
    ) -> StateReadError | StateWriteError | OutcomeUnknownError:
        """Return the exception of a request that was given up."""
        reason = reason or told(failure)
        error: StateReadError | StateWriteError | OutcomeUnknownError
        if kind is Kind.READ:
            error = StateReadError(None, reason, key=request.key, store=self._url)
        elif isinstance(failure, Lost):
            reason += UNSURE
            error = OutcomeUnknownError(None, reason, key=request.key, store=self._url)
        else:
            error = StateWriteError(None, reason, key=request.key, store=self._url)
        error.errno = errno_of(failure)
        return error

    def _demand_usable(self) -> None:
        """Raise RuntimeError if it was closed, or is used where it cannot be."""
        if self._is_closed:
            raise RuntimeError(f"{self!r} is closed")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                f"{self!r}: the client of Redis runs on asyncio only"
            ) from None
        if self._loop is not loop:
            if self._loop is not None:
                raise RuntimeError(f"{self!r} belongs to another event loop")
            self._loop = loop

    def _key(self, key: str) -> bytes:
        """The key's bytes; raises what is wrong with it, or with calling now."""
        self._demand_usable()
        return key_bytes(key, MAX_KEY_SIZE)

    async def _check_size(self, key: str | None, size: int) -> None:
        """Raise StateWriteError for a value that is larger than the server takes.

        Not left to the server: it would end the connection, and nobody would know why.
        """
        if size <= _SURELY_TAKEN:
            return
        if self._max_value_size is None:
            self._max_value_size = await self._asked_max_value_size(key)
        if size > self._max_value_size:
            raise StateWriteError(
                None,
                f"a value has {size} bytes, and the server takes at most "
                f"{self._max_value_size}: raise its proto-max-bulk-len",
                key=key,
                store=self._url,
            )

    async def _asked_max_value_size(self, key: str | None) -> int:
        """Ask the server, for the sake of a write of this key."""
        shard = (await self._shards(key, Kind.REPEATABLE))[0]
        command = b"CONFIG", b"GET", b"proto-max-bulk-len"
        try:
            answer = await self._one(shard, command, key, Kind.READ)
            return int(answer[1])
        except StateReadError as error:
            if not isinstance(error.__cause__, ResponseError):
                failed = StateWriteError(None, error.reason, key=key, store=self._url)
                failed.errno = error.errno
                raise failed from error.__cause__
        except (LookupError, TypeError, ValueError):
            pass
        # Not everybody may ask that, and some servers have no such command.
        return MAX_VALUE_SIZE


class _Calls:
    """The calls that go on, each of which enters and leaves it."""

    __slots__ = ("_count", "_ended")

    def __init__(self) -> None:
        self._count = 0
        self._ended: asyncio.Event | None = None

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._count -= 1
        if self._ended is not None and not self._count:
            self._ended.set()

    async def ended(self) -> None:
        """Wait until none goes on."""
        while self._count:
            self._ended = asyncio.Event()
            await self._ended.wait()


class _Range:
    """What of one shard's index was listed."""

    __slots__ = ("keys", "reached", "shard", "start")

    def __init__(self, shard: Shard, start: bytes) -> None:
        self.shard = shard
        self.start: bytes | None = start
        """Where the next page starts, None where none is left."""
        self.reached = b""
        """The last member that was looked at."""
        self.keys: list[bytes] = []
        """Those that were listed and not handed on yet, in order."""


class _Merge:
    """The keys with a prefix, of all shards in one order, by pages."""

    def __init__(self, store: RedisStates, prefix: bytes) -> None:
        self._store = store
        self._prefix = prefix
        stop = successor(prefix)
        self._stop = b"+" if stop is None else b"(" + stop
        self._ranges: list[_Range] | None = None
        self._count = _LISTED
        # When keys are over, by this process's clock, those that have an end.
        self._ends: dict[str, float] = {}

    def is_there(self, key: str) -> bool:
        """Tell whether a key that was listed is not over yet; each is asked for once."""
        end = self._ends.pop(key, None)
        return end is None or time.monotonic() < end

    async def page(self, after: str | None) -> list[str]:
        """Return the next keys, those behind the last ones."""
        if self._ranges is None:
            shards = await self._store._shards()
            start = b"[" + self._prefix
            self._ranges = [_Range(shard, start) for shard in shards]
            self._count = max(_LEAST_LISTED, _LISTED // len(shards))
        while True:
            await self._list(self._ranges)
            # Up to there, nothing is missing from any of them.
            bound = min(
                (each.reached for each in self._ranges if each.start is not None),
                default=None,
            )
            page: list[bytes] = []
            for each in self._ranges:
                count = len(each.keys)
                if bound is not None:
                    count = bisect_right(each.keys, bound)
                page += each.keys[:count]
                del each.keys[:count]
            if page or bound is None:
                return [stored_key(key, self._store._url) for key in sorted(page)]

    async def _list(self, ranges: list[_Range]) -> None:
        """Ask for the next keys of each range that has few left."""
        short = [
            (each, each.start)
            for each in ranges
            if each.start is not None and len(each.keys) <= self._count // 2
        ]
        requests = [
            Request(each.shard, list_page(each.shard, start, self._stop, self._count))
            for each, start in short
        ]
        # Before the answer: a key may rather be over too early than too late.
        asked = time.monotonic()
        answers = await self._store._run(requests, Kind.READ) if requests else []
        for (each, _), (last, keys, ends) in zip(short, answers, strict=True):
            each.keys += keys
            each.start = None if last is None else b"(" + last
            each.reached = last or b""
            for place, milliseconds in zip(ends[::2], ends[1::2], strict=True):
                key = stored_key(keys[place], self._store._url)
                self._ends[key] = asked + milliseconds / _TICKS

"""PostgreSQL: the StateStore facet in a table of a database that is there already.

    latency_kv_state
        namespace bytea, key bytea    UTF-8; the primary key, in the order of bytes
        value bytea                   JSON: text and jsonb would refuse a NUL
        expires_at timestamptz        by the server's clock, or null

Each operation is one statement, and so one transaction.  The table is made where there
is none, under a lock, so that any number may open it at once.

Knows the table, not the connections.  Start at `PostgresqlStateStore.set`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from math import ceil, inf, isfinite
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import SplitResult

from latency_kv.errors import StateError, StateReadError, StateWriteError
from latency_kv.json_values import encode_value
from latency_kv.providers.key_pages import KeyPages
from latency_kv.providers.postgresql_connections import (
    CLIENT_OPTIONS,
    PostgresqlConnections,
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
    url_parts,
)

__all__ = [
    "MAX_KEY_SIZE",
    "MAX_VALUE_SIZE",
    "POOL_SIZE",
    "TIMEOUT_S",
    "PostgresqlStateStore",
]

MAX_KEY_SIZE: Final = 2_600
"""In bytes, for a key and its namespace: what surely fits into a page of the index."""

MAX_VALUE_SIZE: Final = 256 << 20
"""In bytes, for all values of one write: a message of the server's has at most 1 GiB."""

TIMEOUT_S: Final = 5.0
POOL_SIZE: Final = 10

# What a URL may have behind its `?`.
_OPTIONS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(CLIENT_OPTIONS, str),
    "timeout": float,
    "pool_size": int,
}

_TICKS = 1_000_000

_PAGE_COUNT = 1_000

# The first write with a ttl, and then one in so many, removes what is over; more of it
# than those left.
_RECLAIMED_EVERY = 64
_RECLAIMED = 256

_COLUMNS = {
    "namespace": "bytea",
    "key": "bytea",
    "value": "bytea",
    "expires_at": "timestamp with time zone",
}

# Of PostgreSQL's advisory locks, which are numbers: this one is at random.
_LOCK = 4_821_907_366_512_903_551

_COLUMNS_THERE = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass('latency_kv_state') AND attnum > 0 AND NOT attisdropped
"""

# Sent as one, so one transaction, at whose end the lock is free.
_MAKE = f"""
SELECT pg_advisory_xact_lock({_LOCK});
CREATE TABLE IF NOT EXISTS latency_kv_state (
    namespace bytea NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (namespace, key)
);
CREATE INDEX IF NOT EXISTS latency_kv_state_expires_at
ON latency_kv_state (expires_at) WHERE expires_at IS NOT NULL
"""

# Of the moment: now() is that of the statement's begin, before it waited for a lock.
_IS_OVER = "state.expires_at <= clock_timestamp()"
_IS_LIVE = "(state.expires_at IS NULL OR state.expires_at > clock_timestamp())"
_OF_KEY = "state.namespace = $1 AND state.key = $2"
_OVER = """
ON CONFLICT (namespace, key)
DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
"""

_GET = f"SELECT value FROM latency_kv_state AS state WHERE {_OF_KEY} AND {_IS_LIVE}"

_HAS = f"SELECT true FROM latency_kv_state AS state WHERE {_OF_KEY} AND {_IS_LIVE}"

_GET_MANY = f"""
SELECT key, value FROM latency_kv_state AS state
WHERE namespace = $1 AND key = ANY($2::bytea[]) AND {_IS_LIVE}
"""

_PAGE = f"""
SELECT key, extract(epoch FROM expires_at - clock_timestamp())::float8
FROM latency_kv_state AS state
WHERE namespace = $1 AND key >= $2 AND key < $3 AND {_IS_LIVE}
ORDER BY key LIMIT {_PAGE_COUNT}
"""

_SET = f"""
INSERT INTO latency_kv_state AS state (namespace, key, value) VALUES ($1, $2, $3) {_OVER}
"""

_SET_TTL = f"""
INSERT INTO latency_kv_state AS state (namespace, key, value, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + $4::float8 * interval '1 microsecond') {_OVER}
"""

# In the order of the keys: who takes locks in one order waits in no circle.
_SET_MANY = f"""
INSERT INTO latency_kv_state AS state (namespace, key, value)
SELECT $1, entry.key, entry.value
FROM unnest($2::bytea[], $3::bytea[]) AS entry (key, value) ORDER BY entry.key {_OVER}
"""

_SET_IF_ABSENT = f"""
INSERT INTO latency_kv_state AS state (namespace, key, value) VALUES ($1, $2, $3)
{_OVER} WHERE {_IS_OVER} RETURNING true
"""

_COMPARE_AND_SET = f"""
UPDATE latency_kv_state AS state SET value = $4, expires_at = NULL
WHERE {_OF_KEY} AND value = $3 AND {_IS_LIVE} RETURNING true
"""

_DELETE = f"""
DELETE FROM latency_kv_state AS state WHERE {_OF_KEY} RETURNING {_IS_LIVE}
"""

# Waits for nobody's lock, so nobody waits with it in a circle.  What is locked and was
# changed meanwhile is looked at again.
_RECLAIM = f"""
WITH past AS MATERIALIZED (
    SELECT namespace, key FROM latency_kv_state WHERE expires_at <= now()
    ORDER BY expires_at LIMIT {_RECLAIMED} FOR UPDATE SKIP LOCKED
)
DELETE FROM latency_kv_state AS state USING past
WHERE state.namespace = past.namespace AND state.key = past.key
"""


class PostgresqlStateStore:
    """A StateStore in PostgreSQL, with all capabilities; writes are atomic.

    url is 'postgresql://USER:PASSWORD@HOST:PORT/DATABASE'; what it lacks comes from where
    libpq has it, PGHOST and PGPASSWORD for instance.  It may name several hosts, and
    behind a `?` what the client knows: sslmode, target_session_attrs and others.

    timeout, in seconds, is that of a connection to be had, and again that of an answer.
    At most pool_size operations run at once, and the others wait.  Both may stand in the
    URL, and are TIMEOUT_S and POOL_SIZE where nobody says otherwise.  A write is as durable
    as the server's synchronous_commit has it, which is on unless somebody turned it off.

    A key and its namespace have at most MAX_KEY_SIZE bytes together, a value has at most
    MAX_VALUE_SIZE.  Belongs to one event loop, of asyncio.
    """

    set_many_is_atomic: Final = True
    ttl_resolution: Final = 1 / _TICKS

    def __init__(
        self,
        url: str | SplitResult,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        timeout: float | None = None,
        pool_size: int | None = None,
    ) -> None:
        self._namespace = checked_namespace(namespace)
        parts = url_parts(url) if isinstance(url, str) else url
        if parts.scheme not in ("postgresql", "postgres"):
            raise ValueError(f"the URL begins with postgresql:, not {parts.scheme}:")
        options = url_options(parts, _OPTIONS)
        seconds: float = options.pop("timeout", TIMEOUT_S)
        size: int = options.pop("pool_size", POOL_SIZE)
        seconds = seconds if timeout is None else timeout
        size = size if pool_size is None else pool_size
        if not (isfinite(seconds) and seconds > 0):
            raise ValueError(f"timeout is above 0 seconds, not {seconds}")
        if size < 1:
            raise ValueError(f"pool_size is at least 1, not {size}")
        self._url = redacted_url(parts, self._namespace)
        self._connections = PostgresqlConnections(
            parts,
            options,
            store=self._url,
            prepare=self._make_table,
            timeout=seconds,
            pool_size=size,
        )
        self._raw_namespace = self._namespace.encode()
        self._max_key_size = MAX_KEY_SIZE - len(self._raw_namespace)
        self._ttl_count = 0

    @classmethod
    def from_url(cls, url: SplitResult, namespace: str, **options: Any) -> Self:
        """Return the store of a URL; options are the constructor's."""
        return cls(url, namespace, **options)

    @property
    def namespace(self) -> str:
        """Whose keys these are."""
        return self._namespace

    def __repr__(self) -> str:
        return f"PostgresqlStateStore({self._url!r})"

    async def __aenter__(self) -> Self:
        await self._connections.open()
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
        await self._connections.close()

    async def get(self, key: str, default: Any = None, /) -> Any:
        """Return the value, or the default."""
        raw = await self._one(_GET, key, self._key(key))
        return default if raw is None else stored_value(raw, key, self._url)

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        """Store the value, over an older one, for `ttl` seconds or for ever."""
        raw_key, raw = self._key(key), self._value(key, value)
        if ttl is None:
            await self._one(_SET, key, raw_key, raw, is_write=True)
            return
        ticks = ceil(checked_ttl(ttl) * _TICKS)
        await self._one(_SET_TTL, key, raw_key, raw, float(ticks), is_write=True)
        await self._reclaim()

    async def delete(self, key: str, /) -> bool:
        """Delete the value; return whether there was one."""
        # None where there was no row, False where its value was over.
        return bool(await self._one(_DELETE, key, self._key(key), is_write=True))

    async def has(self, key: str, /) -> bool:
        """Tell whether the key is there, whatever its value."""
        return bool(await self._one(_HAS, key, self._key(key)))

    async def keys(self, prefix: str = "") -> list[str]:
        """List the keys that start with the prefix, by their UTF-8 bytes.

        A page at a time, as `iter_keys` does, so that no statement takes long.
        """
        with self._connections.running():
            first = key_bytes(prefix, what="prefix")
            found: list[str] = []
            page = await self._page(first, None, is_step=True)
            found += page
            while len(page) == _PAGE_COUNT:
                page = await self._page(first, found[-1], is_step=True)
                found += page
            return found

    def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Iterate over the keys that start with the prefix, by their UTF-8 bytes."""
        self._connections.demand_open()
        first = key_bytes(prefix, what="prefix")
        ends: dict[str, float] = {}

        async def page(after: str | None) -> Iterable[str]:
            nonlocal ends
            is_last = after is not None and len(ends) < _PAGE_COUNT
            ends = {} if is_last else await self._page(first, after)
            return ends

        return KeyPages(page, lambda key: time.monotonic() < ends[key])

    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        """Store the value if the key is not there; return whether it was stored."""
        raw_key, raw = self._key(key), self._value(key, value)
        return bool(await self._one(_SET_IF_ABSENT, key, raw_key, raw, is_write=True))

    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        """Store `new` if the key's value is `expected`; return whether it was stored."""
        raw_key, wanted, raw = (
            self._key(key),
            encode_value(expected),
            self._value(key, new),
        )
        return bool(
            await self._one(_COMPARE_AND_SET, key, raw_key, wanted, raw, is_write=True)
        )

    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        """Return a value for each key, in their order, and None where there is none.

        All are of one instant.
        """
        self._connections.demand_open()
        keys = list(keys)
        raw_keys = [self._key(key) for key in keys]
        rows = await self._connections.run(
            lambda connection: connection.fetch(
                _GET_MANY, self._raw_namespace, raw_keys
            )
        )
        found: dict[bytes, bytes] = dict(rows)
        return [
            stored_value(found[raw], key, self._url) if raw in found else None
            for key, raw in zip(keys, raw_keys, strict=True)
        ]

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        """Store each value under its key, all of them or none."""
        self._connections.demand_open()
        entries = {self._key(key): encode_value(value) for key, value in values.items()}
        self._check_size(None, sum(map(len, entries.values())))
        if not entries:
            return
        keys, raws = list(entries), list(entries.values())
        await self._connections.run(
            lambda connection: connection.fetchval(
                _SET_MANY, self._raw_namespace, keys, raws
            ),
            is_write=True,
        )

    def _key(self, key: str) -> bytes:
        """The key's bytes; raises what is wrong with it, or with calling now."""
        self._connections.demand_open()
        return key_bytes(key, self._max_key_size)

    def _value(self, key: str, value: Any) -> bytes:
        raw = encode_value(value)
        self._check_size(key, len(raw))
        return raw

    def _check_size(self, key: str | None, size: int) -> None:
        if size > MAX_VALUE_SIZE:
            raise StateWriteError(
                None,
                f"it has {size} bytes, and at most {MAX_VALUE_SIZE} are sent at once",
                key=key,
                store=self._url,
            )

    async def _one(
        self, statement: str, key: str, *arguments: Any, is_write: bool = False
    ) -> Any:
        """Run a statement about one key of this namespace, and return its one value."""
        return await self._connections.run(
            lambda connection: connection.fetchval(
                statement, self._raw_namespace, *arguments
            ),
            key,
            is_write=is_write,
        )

    async def _page(
        self, prefix: bytes, after: str | None, *, is_step: bool = False
    ) -> dict[str, float]:
        """Return the next keys with the prefix, and when each ends, by our own clock."""
        # The lowest key above the last one.
        start = prefix if after is None else key_bytes(after) + b"\0"
        # No UTF-8 has this byte.
        stop = successor(prefix) or b"\xff"
        asked = time.monotonic()
        rows = await self._connections.run(
            lambda connection: connection.fetch(
                _PAGE, self._raw_namespace, start, stop
            ),
            is_step=is_step,
        )
        return {
            key_text(raw): inf if left is None else asked + left for raw, left in rows
        }

    async def _reclaim(self) -> None:
        """Now and then, remove some of what is over, in whatever namespace."""
        self._ttl_count += 1
        if self._ttl_count % _RECLAIMED_EVERY == 1:
            # The value is stored, whatever comes of this.
            with suppress(StateError):
                await self._connections.run(
                    lambda connection: connection.execute(_RECLAIM)
                )

    async def _make_table(self, connection: Any) -> None:
        """Make the table where there is none; refuse another one of its name."""
        columns = dict(await connection.fetch(_COLUMNS_THERE))
        if not columns:
            await connection.execute(_MAKE)
        elif not columns.items() >= _COLUMNS.items():
            raise StateReadError(
                None,
                f"the table latency_kv_state is another one: its columns are {columns}",
                store=self._url,
            )

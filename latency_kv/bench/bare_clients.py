"""Bare clients: what each state store is compared with, the same done without it.

    memory          a dict of JSON
    file            read, json, temporary file, fsync, rename, fsync of the folder
    lmdb            py-lmdb: reads on the loop, a write by one hop to a thread, synced
    postgresql      asyncpg's pool, the provider's statements on its table
    redis           redis-py, the provider's scripts on its entries
    redis-cluster   redis-py, a client for each node; a script and WAIT in one pipeline

Each does what somebody writes who knows how, and no more: no check of a key or a value,
no error that names both, no repetition.  Values go through the json module.

Those of a server work on entries that a provider has put there, in its layout; the
others keep theirs in a folder beside.  Knows one event loop, asyncio's.  Start at
`bare_client`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable
from urllib.parse import (
    SplitResult,
    parse_qsl,
    unquote,
    unquote_to_bytes,
    urlencode,
    urlunsplit,
)
from zlib import crc32

from latency_kv.bench.peers import required
from latency_kv.providers.redis_scripts import (
    Shard,
    list_page,
    set_values,
    shard_of,
    whole,
)

__all__ = ["GET", "LIST", "SET", "Bare", "BareClient", "OwnBare", "bare_client"]

_LMDB_BYTES = 1 << 36
"""Address space that LMDB may map, as the provider has it."""

# Not the client's, or not to be told to it twice.
_NOT_ASYNCPGS = {"namespace", "timeout", "pool_size"}

SET = """
INSERT INTO latency_kv_state AS state (namespace, key, value) VALUES ($1, $2, $3)
ON CONFLICT (namespace, key)
DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
"""

_IS_LIVE = "(state.expires_at IS NULL OR state.expires_at > clock_timestamp())"

GET = f"""
SELECT value FROM latency_kv_state AS state
WHERE state.namespace = $1 AND state.key = $2 AND {_IS_LIVE}
"""

LIST = f"""
SELECT key, extract(epoch FROM expires_at - clock_timestamp())::float8
FROM latency_kv_state AS state
WHERE namespace = $1 AND key >= $2 AND key < $3 AND {_IS_LIVE}
ORDER BY key LIMIT 1000
"""

# More keys than a prefix has, so that one page is all.
_PAGE_COUNT = 1_000


class BareClient(Protocol):
    """What both sides of a comparison have."""

    async def get(self, key: str, /) -> Any:
        """Return the value, None if there is none."""

    async def set(self, key: str, value: Any, /) -> None:
        """Store the value."""

    async def keys(self, prefix: str, /) -> list[str]:
        """List the keys with the prefix, in order."""
        ...


class Bare(BareClient, Protocol):
    """A bare client as the bench opens it, on entries that a provider has put there."""

    engine: str
    """What answers, with its version."""


@runtime_checkable
class OwnBare(Bare, Protocol):
    """One whose entries are its own, and gone when it is closed."""

    async def fill(self, values: Mapping[str, Any], /) -> None:
        """Store these at once."""


def bare_client(
    url: SplitResult, namespaces: Sequence[str], connections: int
) -> AbstractAsyncContextManager[Bare]:
    """Return the bare client of a URL, to be opened; LookupError where there is none.

    It works on the last of the namespaces, and all of them are empty when it is closed.
    """
    opened = _KINDS[url.scheme]
    return opened(url, namespaces, connections)


def _to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class _Dict:
    """Bytes in a dict."""

    def __init__(self) -> None:
        self.engine = "a dict"
        self._entries: dict[str, bytes] = {}

    async def fill(self, values: Mapping[str, Any], /) -> None:
        for key, value in values.items():
            await self.set(key, value)

    async def get(self, key: str, /) -> Any:
        raw = self._entries.get(key)
        return None if raw is None else json.loads(raw)

    async def set(self, key: str, value: Any, /) -> None:
        self._entries[key] = _to_json(value)

    async def keys(self, prefix: str, /) -> list[str]:
        return sorted(key for key in self._entries if key.startswith(prefix))


@asynccontextmanager
async def _memory(
    url: SplitResult, namespaces: Sequence[str], connections: int
) -> AsyncIterator[Bare]:
    yield _Dict()


class _File:
    """A JSON document, read and written as a whole, on the loop."""

    def __init__(self, folder: Path) -> None:
        self.engine = "a JSON document"
        self._folder = folder
        self._path = folder / "document"

    async def fill(self, values: Mapping[str, Any], /) -> None:
        self._write({**values})

    async def get(self, key: str, /) -> Any:
        return self._read().get(key)

    async def set(self, key: str, value: Any, /) -> None:
        values = self._read()
        values[key] = value
        self._write(values)

    async def keys(self, prefix: str, /) -> list[str]:
        return sorted(key for key in self._read() if key.startswith(prefix))

    def _read(self) -> dict[str, Any]:
        document = json.loads(self._path.read_bytes())
        values: dict[str, Any] = document["data"]
        return values

    def _write(self, values: dict[str, Any]) -> None:
        text = json.dumps({"version": 1, "data": values}, indent=2)
        new = self._folder / "new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
        os.close(descriptor)
        os.replace(new, self._path)
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


@asynccontextmanager
async def _file(
    url: SplitResult, namespaces: Sequence[str], connections: int
) -> AsyncIterator[Bare]:
    with TemporaryDirectory(dir=_parent(url), prefix="bench-") as folder:
        yield _File(Path(folder))


class _Lmdb:
    """Entries of one database, without an end."""

    def __init__(self, folder: str, thread: ThreadPoolExecutor) -> None:
        lmdb = required("lmdb", "lmdb")
        self.engine = f"LMDB {'.'.join(map(str, lmdb.version()))}"
        self._environment = lmdb.open(folder, map_size=_LMDB_BYTES)
        self._thread = thread

    async def fill(self, values: Mapping[str, Any], /) -> None:
        with self._environment.begin(write=True) as transaction:
            for key, value in values.items():
                transaction.put(key.encode(), _to_json(value))

    async def get(self, key: str, /) -> Any:
        with self._environment.begin() as transaction:
            raw = transaction.get(key.encode())
        return None if raw is None else json.loads(raw)

    async def set(self, key: str, value: Any, /) -> None:
        await asyncio.get_running_loop().run_in_executor(
            self._thread, self._put, key.encode(), _to_json(value)
        )

    async def keys(self, prefix: str, /) -> list[str]:
        raw = prefix.encode()
        found: list[str] = []
        with self._environment.begin() as transaction, transaction.cursor() as cursor:
            if cursor.set_range(raw):
                for key in cursor.iternext(values=False):
                    if not key.startswith(raw):
                        break
                    found.append(key.decode())
        return found

    def close(self) -> None:
        self._environment.close()

    def _put(self, key: bytes, raw: bytes) -> None:
        with self._environment.begin(write=True) as transaction:
            transaction.put(key, raw)


@asynccontextmanager
async def _lmdb(
    url: SplitResult, namespaces: Sequence[str], connections: int
) -> AsyncIterator[Bare]:
    with (
        TemporaryDirectory(dir=_parent(url), prefix="bench-") as folder,
        ThreadPoolExecutor(1) as thread,
    ):
        client = _Lmdb(folder, thread)
        try:
            yield client
        finally:
            client.close()


class _Postgresql:
    """Rows of the provider's table."""

    def __init__(self, pool: Any, namespace: str, version: str) -> None:
        self.engine = version
        self._pool = pool
        self._namespace = namespace.encode()

    async def get(self, key: str, /) -> Any:
        raw = await self._pool.fetchval(GET, self._namespace, key.encode())
        return None if raw is None else json.loads(raw)

    async def set(self, key: str, value: Any, /) -> None:
        await self._pool.execute(SET, self._namespace, key.encode(), _to_json(value))

    async def keys(self, prefix: str, /) -> list[str]:
        start = prefix.encode()
        rows = await self._pool.fetch(LIST, self._namespace, start, start + b"\xff")
        return [row[0].decode() for row in rows]


@asynccontextmanager
async def _postgresql(
    url: SplitResult, namespaces: Sequence[str], connections: int
) -> AsyncIterator[Bare]:
    asyncpg = required("asyncpg", "postgres")
    query = [each for each in parse_qsl(url.query) if each[0] not in _NOT_ASYNCPGS]
    async with asyncpg.create_pool(
        urlunsplit(url._replace(query=urlencode(query))),
        min_size=0,
        max_size=connections,
        # Otherwise each use has a second way to the server and back.
        reset=_nothing,
    ) as pool:
        version = await pool.fetchval("SHOW server_version")
        yield _Postgresql(pool, namespaces[-1], f"PostgreSQL {version}")


async def _nothing(connection: Any) -> None:
    """Leave the session as it is."""


class _Server:
    """redis-py's client of one server, with so many connections and no more."""

    def __init__(
        self, host: str, port: int, settings: Mapping[str, Any], connections: int
    ) -> None:
        asynchronous: Any = required("redis.asyncio", "redis")
        self.client = asynchronous.Redis(
            host=host,
            port=port,
            protocol=2,
            # The places keep anybody from asking for one more.
            max_connections=connections,
            **settings,
        )
        self._unknown_script: Any = import_module("redis.exceptions").NoScriptError
        # redis-py's own pool that lets wait takes longer.
        self.places = asyncio.Semaphore(connections)

    async def run(self, commands: Sequence[tuple[bytes, ...]]) -> list[Any]:
        """Return the answers to commands that are sent at once."""
        try:
            return await self._sent(commands)
        except self._unknown_script:
            return await self._sent([whole(command) for command in commands])

    async def get(self, name: bytes) -> Any:
        async with self.places:
            return await self.client.get(name)

    async def _sent(self, commands: Sequence[tuple[bytes, ...]]) -> list[Any]:
        async with self.places:
            if len(commands) == 1:
                name, *arguments = commands[0]
                return [await self.client.execute_command(name.decode(), *arguments)]
            async with self.client.pipeline(transaction=False) as pipeline:
                for name, *arguments in commands:
                    pipeline.execute_command(name.decode(), *arguments)
                answers: list[Any] = await pipeline.execute()
                return answers


class _Redis:
    """The provider's entries in one server."""

    def __init__(self, server: _Server, namespace: str, version: str) -> None:
        self.engine = version
        self._server = server
        self._shard = shard_of(namespace)

    async def get(self, key: str, /) -> Any:
        raw = await self._server.get(self._shard.value_prefix + key.encode())
        return None if raw is None else json.loads(raw)

    async def set(self, key: str, value: Any, /) -> None:
        values = {key.encode(): _to_json(value)}
        await self._server.run([set_values(self._shard, values)])

    async def keys(self, prefix: str, /) -> list[str]:
        command = list_page(self._shard, *_range(prefix), _PAGE_COUNT)
        [page] = await self._server.run([command])
        return [key.decode() for key in page[1]]


@asynccontextmanager
async def _redis(
    url: SplitResult, namespaces: Sequence[str], connections: int
) -> AsyncIterator[Bare]:
    address = url.hostname or "localhost", url.port or 6379
    settings = _settings(url) | {"db": int(url.path.strip("/") or 0)}
    server = _Server(*address, settings, connections)
    try:
        yield _Redis(server, namespaces[-1], await _version(server))
    finally:
        await server.client.aclose()


class _Cluster:
    """The provider's entries in the masters of a cluster."""

    def __init__(
        self,
        masters: Callable[[int, bool], _Server],
        namespace: str,
        replicas: int,
        version: str,
    ) -> None:
        self.engine = version
        self._masters = masters
        self._namespace = namespace
        self._wait = b"WAIT", b"%d" % replicas, b"1000"
        self._replicas = replicas
        self._shards: list[Shard] = []
        self._slots: list[int] = []

    async def get(self, key: str, /) -> Any:
        number = await self._number(key)
        server = self._masters(self._slots[number], False)
        raw = await server.get(self._shards[number].value_prefix + key.encode())
        return None if raw is None else json.loads(raw)

    async def set(self, key: str, value: Any, /) -> None:
        number = await self._number(key)
        values = {key.encode(): _to_json(value)}
        commands = [set_values(self._shards[number], values)]
        if self._replicas:
            commands.append(self._wait)
        answers = await self._masters(self._slots[number], True).run(commands)
        if self._replicas and answers[1] < self._replicas:
            raise RuntimeError("too few replicas have confirmed it")

    async def keys(self, prefix: str, /) -> list[str]:
        await self._number(prefix)
        commands: dict[_Server, list[tuple[bytes, ...]]] = {}
        for shard, slot in zip(self._shards, self._slots, strict=True):
            command = list_page(shard, *_range(prefix), _PAGE_COUNT)
            commands.setdefault(self._masters(slot, False), []).append(command)
        parts = await asyncio.gather(
            *(server.run(some) for server, some in commands.items())
        )
        return sorted(
            key.decode() for pages in parts for page in pages for key in page[1]
        )

    async def _number(self, key: str) -> int:
        """Return the number of a key's bucket; the provider has said of how many."""
        if not self._shards:
            key_slot = import_module("redis.crc").key_slot
            meta = f"{self._namespace}:meta".encode()
            raw = await self._masters(key_slot(meta), False).get(meta)
            for number in range(json.loads(raw)["buckets"]):
                shard = shard_of(self._namespace, number)
                self._shards.append(shard)
                self._slots.append(key_slot(shard.index_name))
        return crc32(key.encode()) % len(self._shards)


@asynccontextmanager
async def _redis_cluster(
    url: SplitResult, namespaces: Sequence[str], connections: int
) -> AsyncIterator[Bare]:
    asynchronous: Any = required("redis.asyncio", "redis")
    key_slot = import_module("redis.crc").key_slot
    settings = _settings(url)
    host, _, port = url.netloc.rpartition("@")[2].split(",")[0].rpartition(":")
    servers: dict[tuple[str, int, bool], _Server] = {}
    first = unquote(host) or "localhost", int(port or 6379)
    cluster = asynchronous.RedisCluster(*first, **settings)

    def master(slot: int, is_write: bool) -> _Server:
        node = cluster.nodes_manager.get_node_from_slot(slot)
        # Writes wait for replicas: the provider gives reads connections of their own.
        place = node.host, node.port, is_write
        if place not in servers:
            servers[place] = _Server(*place[:2], settings, connections)
        return servers[place]

    try:
        await cluster.initialize()
        replicas = int(dict(parse_qsl(url.query)).get("replicas", 1))
        version = await _version(master(0, False))
        yield _Cluster(master, namespaces[-1], replicas, f"{version}, a cluster")
        for namespace in namespaces:
            meta = f"{namespace}:meta".encode()
            await master(key_slot(meta), True).run([(b"DEL", meta)])
    finally:
        for server in servers.values():
            await server.client.aclose()
        await cluster.aclose()


async def _version(server: _Server) -> str:
    facts = await server.client.info("server")
    return f"Redis {facts['redis_version']}"


def _settings(url: SplitResult) -> dict[str, Any]:
    """Return user, password and certificates, as the provider reads them."""
    required("redis", "redis")
    link: Any = import_module("latency_kv.providers.redis_link")
    known = {
        name: text for name, text in parse_qsl(url.query) if name.startswith("ssl_")
    }
    settings: dict[str, Any] = link.link_options(url, known, None, None).settings
    return settings | ({"ssl": True} if url.scheme.startswith("rediss") else {})


def _range(prefix: str) -> tuple[bytes, bytes]:
    """Return where keys with the prefix are, in the words of ZRANGEBYLEX."""
    raw = prefix.encode()
    return b"[" + raw, b"(" + raw + b"\xff"


def _parent(url: SplitResult) -> Path:
    """Return the folder that a URL's folder is in: the same disk."""
    return Path(os.fsdecode(unquote_to_bytes(url.path))).absolute().parent


_KINDS: dict[
    str,
    Callable[[SplitResult, Sequence[str], int], AbstractAsyncContextManager[Bare]],
] = {
    "memory": _memory,
    "file": _file,
    "lmdb": _lmdb,
    "postgresql": _postgresql,
    "postgres": _postgresql,
    "redis": _redis,
    "rediss": _redis,
    "redis-cluster": _redis_cluster,
    "rediss-cluster": _redis_cluster,
}

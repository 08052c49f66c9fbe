"""State stores: `open_state_store`, which finds the provider that a URL asks for.

    memory:                                     InMemoryStore, in this process
    file:PATH                                   a JSON document a namespace, in a folder
    lmdb:PATH                                   LMDB, larger than memory       [lmdb]
    postgresql://USER:PASSWORD@HOST:PORT/DB     PostgreSQL                     [postgres]
    redis://USER:PASSWORD@HOST:PORT/DB          Redis or Valkey                [redis]
    redis-cluster://HOST:PORT,.../NAMESPACE     a cluster of them              [redis]

Others come from entry points of the group `latency_kv.state_stores`: the name is the
scheme, and the value a `StoreFactory`.  A provider's module is imported when its scheme
is first asked for, and its own `from_url` is the factory.

Knows no engine.  Start at `open_state_store`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import SplitResult, parse_qsl

from latency_kv.facets.stores import OpenedStateStore
from latency_kv.providers.state_keys import (
    DEFAULT_NAMESPACE,
    checked_namespace,
    url_parts,
)

__all__ = [
    "ENTRY_POINT_GROUP",
    "StoreFactory",
    "open_state_store",
]

ENTRY_POINT_GROUP: Final = "latency_kv.state_stores"


StoreFactory: TypeAlias = Callable[..., Any]
"""(url: SplitResult, namespace: str, **options) -> a store that is not opened yet.

options are those of `open_state_store`; those in the URL are the factory's to read
(`state_keys.url_options`), as is the namespace where it stands in the path.
"""


class _Home(NamedTuple):
    """Where a provider is, the extra that it needs, and what that brings."""

    module: str
    name: str
    extra: str = ""
    client: str = ""


_MEMORY = _Home("latency_kv.providers.memory", "MemoryStateStore")
_FILE = _Home("latency_kv.providers.file", "FileStateStore")
_LMDB = _Home("latency_kv.providers.lmdb", "LmdbStateStore", "lmdb", "lmdb")
_POSTGRESQL = _Home(
    "latency_kv.providers.postgresql", "PostgresqlStateStore", "postgres", "asyncpg"
)
_REDIS = _Home("latency_kv.providers.redis", "RedisStateStore", "redis", "redis")
_CLUSTER = _Home(
    "latency_kv.providers.redis_cluster", "RedisClusterStateStore", "redis", "redis"
)

# Two schemes may name one provider: `rediss` is TLS, as their clients have it.
_HOMES = {
    "memory": _MEMORY,
    "file": _FILE,
    "lmdb": _LMDB,
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "redis": _REDIS,
    "rediss": _REDIS,
    "redis-cluster": _CLUSTER,
    "rediss-cluster": _CLUSTER,
}

# Those whose URL may have the namespace as its path.
_WITH_NAMESPACE_AS_PATH = frozenset({"redis-cluster", "rediss-cluster"})


def open_state_store(
    url: str = "memory:", *, namespace: str | None = None, **options: Any
) -> OpenedStateStore:
    """Return the store of this URL, to be opened by `async with` or its first operation.

    The namespace is the argument's, or else the URL's `?namespace=`, or else "default";
    stores of two namespaces have no key in common.  options are the provider's, as in
    its class, and some may stand in the URL: `redis://db/?timeout=2`; the argument wins.

    A scheme of an entry point gives what that makes, which may have fewer capabilities:
    ask with `isinstance`.  ValueError for a scheme that nobody has and for what is wrong
    with the URL, which no message shows; ImportError for an extra that is not installed;
    TypeError for an option that the provider has not.

    >>> import anyio
    >>> async def main():
    ...     async with open_state_store() as store:
    ...         await store.set("seat:12A", {"sold": True})
    ...         print(await store.get("seat:12A"), await store.keys("seat:"))
    >>> anyio.run(main)
    {'sold': True} ['seat:12A']
    """
    parts = url_parts(url)
    home = _HOMES.get(parts.scheme)
    factory = _other(parts.scheme) if home is None else _provider(home).from_url
    store: OpenedStateStore = factory(parts, _namespace(parts, namespace), **options)
    return store


def _namespace(url: SplitResult, given: str | None) -> str:
    """The namespace that is asked for: the argument's, the query's or the path's."""
    if given is not None:
        return checked_namespace(given)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    if "namespace" in query:
        return checked_namespace(query["namespace"])
    path = url.path.strip("/")
    if path and url.scheme in _WITH_NAMESPACE_AS_PATH:
        return checked_namespace(path)
    return DEFAULT_NAMESPACE


def _provider(home: _Home) -> Any:
    """Import the provider's class; ImportError names the extra that it lacks."""
    try:
        return getattr(import_module(home.module), home.name)
    except ModuleNotFoundError as error:
        if home.client and (error.name or "").partition(".")[0] == home.client:
            raise ImportError(
                f"{home.name} needs {home.client}: "
                f"pip install 'latency-kv[{home.extra}]'",
                name=home.client,
            ) from error
        raise


def _other(scheme: str) -> StoreFactory:
    """Load the factory of somebody else's scheme."""
    others = {point.name: point for point in _entry_points()}
    if scheme not in others:
        known = ", ".join(f"{name}:" for name in [*_HOMES, *sorted(others)])
        raise ValueError(f"unknown scheme {scheme}:; known are {known}")
    factory: StoreFactory = others[scheme].load()
    return factory


def _entry_points() -> Iterable[EntryPoint]:
    # Not kept: what is installed may change while this runs, and few schemes are others'.
    return entry_points(group=ENTRY_POINT_GROUP)

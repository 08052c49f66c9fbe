"""Providers: facets served by what every process has, and by existing engines.

    StandardLogger            logging: Logger, over the standard library's logging
    PyeeEventBus              events: EventBus, over pyee
    EnvironmentSecretStore    secrets: SecretStore, over the environment's variables
    open_state_store          state_stores: StateStore, the one that a URL asks for
    MemoryStateStore          memory: StateStore, in an InMemoryStore
    FileStateStore            file: StateStore, in a JSON document
    LmdbStateStore            lmdb: StateStore, in LMDB
    PostgresqlStateStore      postgresql: StateStore, in PostgreSQL
    RedisStateStore           redis: StateStore, in Redis or Valkey
    RedisClusterStateStore    redis_cluster: StateStore, in a cluster of them

Each is imported when it is first asked for.  Knows the facets, no plugin and no host.
Start at `open_state_store`, or at `StandardLogger`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency_kv.providers.events import PyeeEventBus
    from latency_kv.providers.file import FileStateStore
    from latency_kv.providers.lmdb import LmdbStateStore
    from latency_kv.providers.logging import StandardLogger
    from latency_kv.providers.memory import MemoryStateStore
    from latency_kv.providers.postgresql import PostgresqlStateStore
    from latency_kv.providers.redis import RedisStateStore
    from latency_kv.providers.redis_cluster import RedisClusterStateStore
    from latency_kv.providers.secrets import EnvironmentSecretStore
    from latency_kv.providers.state_stores import open_state_store

__all__ = [
    "EnvironmentSecretStore",
    "FileStateStore",
    "LmdbStateStore",
    "MemoryStateStore",
    "PostgresqlStateStore",
    "PyeeEventBus",
    "RedisClusterStateStore",
    "RedisStateStore",
    "StandardLogger",
    "open_state_store",
]

_LATER = {
    "EnvironmentSecretStore": "latency_kv.providers.secrets",
    "FileStateStore": "latency_kv.providers.file",
    "LmdbStateStore": "latency_kv.providers.lmdb",
    "MemoryStateStore": "latency_kv.providers.memory",
    "PostgresqlStateStore": "latency_kv.providers.postgresql",
    "PyeeEventBus": "latency_kv.providers.events",
    "RedisClusterStateStore": "latency_kv.providers.redis_cluster",
    "RedisStateStore": "latency_kv.providers.redis",
    "StandardLogger": "latency_kv.providers.logging",
    "open_state_store": "latency_kv.providers.state_stores",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

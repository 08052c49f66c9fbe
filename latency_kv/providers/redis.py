"""Redis: the StateStore facet in one server, Redis 7 or Valkey.

Each write is one script, which keeps the value and the index together and is applied as
a whole.  How durable it then is, is the server's: with `appendonly yes` and `appendfsync
always` it survives a crash of the machine, by default the last second may be lost, and
with neither all that is younger than the last snapshot.

Knows no script and no connection.  Start at `RedisStateStore`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import SplitResult

from latency_kv.providers.back_off import BackOff
from latency_kv.providers.redis_failures import Failure, cause_of, may_pass
from latency_kv.providers.redis_link import (
    LINK_OPTIONS,
    LinkError,
    Lost,
    RedisLink,
    addresses,
    link_options,
)
from latency_kv.providers.redis_scripts import Shard, shard_of
from latency_kv.providers.redis_states import (
    Kind,
    RedisStates,
    Request,
    common,
    refusals,
)
from latency_kv.providers.state_keys import (
    DEFAULT_NAMESPACE,
    redacted_url,
    url_options,
    url_parts,
)

__all__ = ["MAX_SET_MANY", "RedisStateStore"]

MAX_SET_MANY: Final = 500_000
"""How many values one `set_many` has: a command has about a million words."""

# How often something is tried again: a restart is outlasted, and a wrong port found out.
_AGAIN = 5


class RedisStateStore(RedisStates):
    """A StateStore in Redis or Valkey, with all capabilities; writes are atomic.

    url is 'redis://USER:PASSWORD@HOST:PORT/DATABASE', or 'rediss:' for TLS.  User and
    password may stand in LATENCY_KV_REDIS_USERNAME and LATENCY_KV_REDIS_PASSWORD instead.
    Behind a `?` it may have the options, and for TLS `ssl_ca_certs`, `ssl_certfile`,
    `ssl_keyfile` (paths, or else those in LATENCY_KV_REDIS_CA_CERTS, _CERTFILE and
    _KEYFILE) and `ssl_check_hostname`.

    timeout, in seconds, is that of an answer, with the wait for a connection.  At most
    pool_size operations run at once, and the others wait.  A read that fails is repeated
    a few times, a write only if it was not sent; with an answer that is lost it raises
    OutcomeUnknownError.

    A key has at most MAX_KEY_SIZE bytes, a value what the server takes.  The server must
    not evict (`maxmemory-policy noeviction`, which is its default): what it evicts is
    gone.  Neither Sentinel nor Unix sockets are known: a host that has another server
    after a failover has to keep its name.  Belongs to one event loop, of asyncio.
    """

    set_many_is_atomic: Final = True

    def __init__(
        self,
        url: str | SplitResult,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        timeout: float | None = None,
        pool_size: int | None = None,
    ) -> None:
        parts = url_parts(url) if isinstance(url, str) else url
        if parts.scheme not in ("redis", "rediss"):
            raise ValueError(f"the URL begins with redis:, not {parts.scheme}:")
        super().__init__(redacted_url(parts, namespace), namespace)
        options = url_options(parts, LINK_OPTIONS)
        self._options = link_options(parts, options, timeout, pool_size)
        self._options.settings["db"] = _database(parts.path)
        self._address, *others = addresses(parts)
        if others:
            raise ValueError(
                "redis: has one server; for those of a cluster use redis-cluster:"
            )
        self._link: RedisLink | None = None
        self._only_shard = shard_of(self._namespace)

    @classmethod
    def from_url(cls, url: SplitResult, namespace: str, **options: Any) -> Self:
        """Return the store of a URL; options are the constructor's."""
        return cls(url, namespace, **options)

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        """Store each value under its key, all of them or none.

        ValueError for more than MAX_SET_MANY.  The server does nothing else meanwhile.
        """
        if len(values) > MAX_SET_MANY:
            raise ValueError(
                f"{len(values)} values at once; at most {MAX_SET_MANY} are set as a whole"
            )
        await super().set_many(values)

    async def _open(self) -> None:
        await self._one(self._only_shard, (b"PING",), None, Kind.READ)

    async def _close_links(self) -> None:
        if self._link is not None:
            await self._link.aclose()

    async def _shard(
        self, raw: bytes, key: str | None = None, kind: Kind = Kind.READ
    ) -> Shard:
        return self._only_shard

    async def _shards(
        self, key: str | None = None, kind: Kind = Kind.READ
    ) -> Sequence[Shard]:
        return [self._only_shard]

    async def _run(self, requests: Sequence[Request], kind: Kind) -> list[Any]:
        if self._link is None:
            self._link = RedisLink(*self._address, self._options)
        commands = [request.command for request in requests]
        back_off = BackOff(self._options.timeout, _AGAIN)
        failure: Failure
        while True:
            try:
                answers = await self._link.exchange(commands, self._options.timeout)
            except LinkError as error:
                request, failure = common(requests), error
            else:
                refused = refusals(requests, answers)
                if not refused:
                    return answers
                request, failure = refused[0]
            is_unknown = isinstance(failure, Lost) and kind is not Kind.READ
            if is_unknown or not may_pass(failure) or not await back_off.again():
                raise self._failed(failure, request, kind) from cause_of(failure)


def _database(path: str) -> int:
    """Return the number of the database that is a URL's path; 0 where it has none."""
    number = path.removeprefix("/")
    if not number:
        return 0
    if not (number.isascii() and number.isdecimal()):
        raise ValueError(
            "the path of a redis: URL is the number of a database; a namespace stands "
            "behind the '?': redis://HOST/0?namespace=shop"
        )
    return int(number)

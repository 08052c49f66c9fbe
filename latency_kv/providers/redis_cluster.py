"""Redis Cluster: the StateStore facet over several servers, which outlives one of them.

    key  --crc32 mod buckets-->  bucket 7  --shop{7}-->  the slot of "7"  -->  a master

    shop:meta  ->  {"buckets":64}        by whoever opened the namespace first

Each write is a script and a WAIT, sent together on one connection: when it returns, so
many replicas have it too, and it survives the loss of its master.  It is no more than
that: a reader may see what is lost before it was confirmed, and while too few replicas
run, their part of the keys takes no writes.  Nor do the keys of a bucket, but for those
that are there, while it is on its way to another node.  So two replicas for each master, with
`min-replicas-to-write 1`, stand the loss of one server better than one.

    refused, or not sent          repeated, wherever the slot is by then
    answer lost, or WAIT short    `set` and `set_many` are repeated, script and WAIT, as
                                  reads are; another write raises OutcomeUnknownError
    past the deadline             StateWriteError if it was surely not applied, else
                                  OutcomeUnknownError

Knows no script and no connection.  Start at `RedisClusterStateStore`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any, Final, Self, TypeAlias
from urllib.parse import SplitResult
from zlib import crc32

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError, RedisError

from latency_kv.errors import (
    JsonValueError,
    OutcomeUnknownError,
    StateParseError,
    StateReadError,
    StateWriteError,
)
from latency_kv.json_values import decode_value, encode_value
from latency_kv.providers.back_off import BackOff
from latency_kv.providers.redis_failures import Failure, cause_of, may_pass, told
from latency_kv.providers.redis_link import (
    LINK_OPTIONS,
    Address,
    LinkError,
    Lost,
    RedisLink,
    addresses,
    link_options,
)
from latency_kv.providers.redis_nodes import RedisNodes, is_nameless
from latency_kv.providers.redis_scripts import Command, Shard, claim, shard_of
from latency_kv.providers.redis_states import UNSURE, Kind, RedisStates, Request
from latency_kv.providers.state_keys import (
    DEFAULT_NAMESPACE,
    redacted_url,
    url_options,
    url_parts,
)

__all__ = ["BUCKETS", "DEADLINE_S", "REPLICAS", "RedisClusterStateStore"]

BUCKETS: Final = 64
REPLICAS: Final = 1

DEADLINE_S: Final = 30.0
"""Longer than a failover takes, by default 15 s until a dead master is noticed."""

_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    **LINK_OPTIONS,
    "replicas": int,
    "buckets": int,
    "deadline": float,
}

# A write that may be repeated waits for its replicas no longer than that at a time: its
# slot may have another master meanwhile.
_WAIT_S = 1.0

# So long an answer is waited for, even if the deadline is nearer.
_LEAST_S = 0.1

# WAIT comes to its end by itself; so much more time its answer has on its way.
_WAY_S = 1.0

# So many nodes may send one operation on to another before it takes a rest.
_REDIRECTS = 16

# How many values are set before the next ones are sent.
_SET_AT_ONCE = 2_048

# Where the number of buckets stands.
_META = -1


_Failed: TypeAlias = StateReadError | StateWriteError | OutcomeUnknownError


class _Unconfirmed(Lost):
    """It was applied, and too few replicas have confirmed it."""


class RedisClusterStateStore(RedisStates):
    """A StateStore in a cluster of Redis or Valkey, with all capabilities.

    url is 'redis-cluster://USER:PASSWORD@HOST:PORT,HOST:PORT/NAMESPACE', with as many of
    the nodes as one likes to name, or 'rediss-cluster:' for TLS.  User, password and
    certificates may stand elsewhere, as RedisStateStore has it.  The nodes have to be
    reachable by what they call themselves: see `cluster-announce-ip`,
    `cluster-announce-hostname` and `cluster-preferred-endpoint-type`.

    buckets is into how many parts a namespace is divided, BUCKETS unless it has a number
    already; to open it with another one is a ValueError.  When a write returns, so many
    replicas have it; 0 leaves it to luck.  An operation that nodes fail is repeated for
    `deadline` seconds.  timeout, in seconds, is that of one answer, with the wait for a
    connection; pool_size is the number of connections to each node, for reads and again
    for writes.  All these may stand in the URL, behind a `?`.

    `set` and `set_many` may be applied twice, if the first answer was lost: a write of
    somebody else's that came between is then overwritten.  `set_many` is atomic for the
    keys of one bucket, not for all.  Belongs to one event loop, of asyncio.
    """

    set_many_is_atomic: Final = False

    def __init__(
        self,
        url: str | SplitResult,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        replicas: int | None = None,
        buckets: int | None = None,
        deadline: float | None = None,
        timeout: float | None = None,
        pool_size: int | None = None,
    ) -> None:
        parts = url_parts(url) if isinstance(url, str) else url
        if parts.scheme not in ("redis-cluster", "rediss-cluster"):
            raise ValueError(f"the URL begins with redis-cluster:, not {parts.scheme}:")
        super().__init__(redacted_url(parts, namespace), namespace)
        options = url_options(parts, _OPTIONS)
        self._options = link_options(parts, options, timeout, pool_size)
        self._replicas = (
            options.get("replicas", REPLICAS) if replicas is None else replicas
        )
        self._buckets = options.get("buckets") if buckets is None else buckets
        self._deadline = (
            options.get("deadline", DEADLINE_S) if deadline is None else deadline
        )
        if self._replicas < 0:
            raise ValueError(f"replicas is at least 0, not {self._replicas}")
        if self._buckets is not None:
            _check_buckets(self._buckets)
        if not (isfinite(self._deadline) and self._deadline > 0):
            raise ValueError(f"deadline is above 0 seconds, not {self._deadline}")
        self._addresses = addresses(parts)
        self._nodes: RedisNodes | None = None
        self._meta = f"{self._namespace}:meta".encode()
        self._opening = asyncio.Lock()
        self._openings = 0
        self._unopened: _Failed | None = None
        self._all_shards: list[Shard] = []
        self._slots: dict[int, int] = {_META: key_slot(self._meta)}

    @classmethod
    def from_url(cls, url: SplitResult, namespace: str, **options: Any) -> Self:
        """Return the store of a URL; options are the constructor's."""
        return cls(url, namespace, **options)

    @property
    def buckets(self) -> int | None:
        """Into how many parts the namespace is divided; None if that is not known yet."""
        return len(self._all_shards) or self._buckets

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        """Store each value under its key; those of one bucket at once, or none of them.

        Where it raises, some may be stored and others not.
        """
        await super().set_many(values)

    async def _set_all(self, entries: Mapping[bytes, bytes]) -> None:
        parts = list(entries.items())
        for start in range(0, len(parts), _SET_AT_ONCE):
            try:
                await super()._set_all(dict(parts[start : start + _SET_AT_ONCE]))
            except StateWriteError as error:
                if not start:
                    raise
                reason = f"{error.reason}; {start} of {len(entries)} values are stored"
                raise OutcomeUnknownError(
                    None, reason, store=self._url
                ) from error.__cause__

    async def _open(self) -> None:
        await self._shards()

    async def _close_links(self) -> None:
        if self._nodes is not None:
            await self._nodes.aclose()

    async def _shard(
        self, raw: bytes, key: str | None = None, kind: Kind = Kind.READ
    ) -> Shard:
        shards = self._all_shards or await self._shards(key, kind)
        return shards[crc32(raw) % len(shards)]

    async def _shards(
        self, key: str | None = None, kind: Kind = Kind.READ
    ) -> Sequence[Shard]:
        if not self._all_shards:
            failure = await self._opened()
            if failure is not None:
                # Nothing came of what it was opened for.
                failed = StateReadError if kind is Kind.READ else StateWriteError
                reason = failure.reason.removesuffix(UNSURE)
                error = failed(None, reason, key=key, store=self._url)
                error.errno = failure.errno
                raise error from failure.__cause__
        return self._all_shards

    async def _opened(self) -> _Failed | None:
        """Learn the buckets; who waits while another one does fails if that one fails."""
        seen = self._openings
        async with self._opening:
            if not self._all_shards and seen == self._openings:
                try:
                    self._all_shards = self._sharded(await self._claimed_buckets())
                except (StateReadError, StateWriteError, OutcomeUnknownError) as error:
                    self._unopened = error
                self._openings += 1
            return None if self._all_shards else self._unopened

    def _sharded(self, buckets: int) -> list[Shard]:
        """Return the buckets, whose slots are known then."""
        shards = [shard_of(self._namespace, number) for number in range(buckets)]
        for shard in shards:
            self._slots[shard.number] = key_slot(shard.index_name)
        return shards

    async def _claimed_buckets(self) -> int:
        """Return the namespace's number of buckets; it gets one if it has none."""
        place = shard_of(self._namespace)._replace(number=_META)
        request = Request(place, (b"GET", self._meta))
        raw = (await self._run([request], Kind.READ))[0]
        if raw is None:
            wanted = encode_value({"buckets": self._buckets or BUCKETS})
            request = Request(place, claim(self._meta, wanted))
            raw = (await self._run([request], Kind.REPEATABLE))[0]
        buckets = self._stored_buckets(raw)
        if self._buckets not in (None, buckets):
            raise ValueError(
                f"{self._url} is divided into {buckets} buckets, which cannot be changed; "
                f"to have {self._buckets}, copy it to another namespace"
            )
        return buckets

    def _stored_buckets(self, raw: bytes) -> int:
        try:
            buckets = decode_value(raw)["buckets"]
            _check_buckets(buckets)
        except (JsonValueError, LookupError, TypeError, ValueError) as error:
            raise StateParseError(
                None,
                f"what is stored at {self._meta.decode()} is no number of buckets",
                text=raw.decode("utf-8", "backslashreplace"),
                store=self._url,
            ) from error
        return int(buckets)

    async def _run(self, requests: Sequence[Request], kind: Kind) -> list[Any]:
        if self._nodes is None:
            self._nodes = RedisNodes(self._addresses, self._options)
        back_off = BackOff(self._deadline)
        answers: list[Any] = [None] * len(requests)
        left = list(range(len(requests)))
        # Where a node sent one of them, for this once.
        targets: dict[int, Address] = {}
        is_unsure = False
        redirect_count = 0
        while True:
            outcomes = await self._sent(
                [requests[number] for number in left],
                [targets.pop(number, None) for number in left],
                kind,
                back_off.remaining,
            )
            failures: dict[int, Failure] = {}
            for number, outcome in zip(left, outcomes, strict=True):
                if isinstance(outcome, LinkError | RedisError):
                    failures[number] = outcome
                else:
                    answers[number] = outcome
            if not failures:
                return answers
            # Of several writes, the others may have been applied.
            is_unsure = is_unsure or (
                kind is not Kind.READ and len(failures) < len(left)
            )
            left = list(failures)
            is_redirected = True
            for number, failure in failures.items():
                request = requests[number]
                if isinstance(failure, AskError):
                    address = self._address(failure, request)
                    if isinstance(failure, MovedError):
                        self._nodes.moved(failure.slot_id, address)
                    else:
                        targets[number] = address
                    continue
                is_redirected = False
                is_lost = isinstance(failure, Lost)
                is_unsure = is_unsure or (is_lost and kind is not Kind.READ)
                if not may_pass(failure) or (is_lost and kind is Kind.ONCE):
                    raise self._given_up(failure, request, kind, is_unsure=is_unsure)
            redirect_count += 1
            if is_redirected and redirect_count < _REDIRECTS:
                continue
            if not await back_off.again():
                failure, request = failures[left[-1]], requests[left[-1]]
                raise self._given_up(failure, request, kind, is_unsure=is_unsure)
            # Whoever does not tell the map will not answer a request either.
            with suppress(LinkError):
                await self._nodes.refresh(max(_LEAST_S, back_off.remaining))

    def _given_up(
        self, failure: Failure, request: Request, kind: Kind, *, is_unsure: bool
    ) -> Exception:
        """Return the exception of a request; unsure is one that was sent before."""
        cause = cause_of(failure)
        if is_unsure and not isinstance(failure, Lost):
            failure = Lost(told(failure), cause)
        error = self._failed(failure, request, kind)
        error.__cause__ = cause
        return error

    async def _sent(
        self,
        requests: Sequence[Request],
        targets: Sequence[Address | None],
        kind: Kind,
        remaining: float,
    ) -> list[Any]:
        """Return the answer to each or its failure; the nodes are asked side by side."""
        assert self._nodes is not None
        if not self._nodes.is_known:
            try:
                await self._nodes.refresh(max(_LEAST_S, remaining))
            except LinkError as error:
                return [error] * len(requests)
        groups: dict[tuple[RedisLink, bool], list[int]] = {}
        for number, (request, target) in enumerate(zip(requests, targets, strict=True)):
            if target is None:
                node = self._nodes.of_slot(self._slots[request.shard.number])
            else:
                node = self._nodes.at(target)
            link = node.reads if kind is Kind.READ else node.writes
            groups.setdefault((link, target is not None), []).append(number)
        outcomes: list[Any] = [None] * len(requests)

        async def send(link: RedisLink, is_asking: bool, numbers: list[int]) -> None:
            commands = [requests[number].command for number in numbers]
            answers = await self._exchanged(link, commands, is_asking, kind, remaining)
            for number, answer in zip(numbers, answers, strict=True):
                outcomes[number] = answer

        if len(groups) == 1:
            [((link, is_asking), numbers)] = groups.items()
            await send(link, is_asking, numbers)
        else:
            async with asyncio.TaskGroup() as tasks:
                for (link, is_asking), numbers in groups.items():
                    tasks.create_task(send(link, is_asking, numbers))
        return outcomes

    async def _exchanged(
        self,
        link: RedisLink,
        commands: Sequence[Command],
        is_asking: bool,
        kind: Kind,
        remaining: float,
    ) -> list[Any]:
        """Return a node's answers, each a failure too, or _Unconfirmed."""
        sent = list(commands)
        if is_asking:
            sent = [part for command in commands for part in ((b"ASKING",), command)]
        wait = 0.0
        is_confirmed = kind is not Kind.READ and self._replicas > 0
        if is_confirmed:
            wait = remaining if kind is Kind.ONCE else min(remaining, _WAIT_S)
            # 0 would be for ever.
            milliseconds = max(1, int(wait * 1_000))
            sent.append((b"WAIT", b"%d" % self._replicas, b"%d" % milliseconds))
        timeout = max(_LEAST_S, min(self._options.timeout, remaining))
        if is_confirmed:
            wait = max(timeout, min(timeout + wait, remaining)) + _WAY_S
        try:
            answers = await link.exchange(sent, timeout, wait)
        except LinkError as error:
            return [error] * len(commands)
        confirmed = answers.pop() if is_confirmed else 0
        if is_asking:
            answers = answers[1::2]
        if isinstance(confirmed, RedisError):
            reason = told(confirmed)
        elif is_confirmed and (confirmed or 0) < self._replicas:
            reason = (
                f"{confirmed or 0} of {self._replicas} replicas have confirmed it; has "
                "every master so many?"
            )
        else:
            return answers
        return [
            # What was refused, and what found nothing to do, needs no confirmation.
            _Unconfirmed(reason)
            if not isinstance(answer, RedisError) and answer
            else answer
            for answer in answers
        ]

    def _address(self, redirect: AskError, request: Request) -> Address:
        """Return where a node sends a request; without a name it is its own."""
        assert self._nodes is not None
        slot = self._slots[request.shard.number]
        own = self._nodes.of_slot(slot).reads.host
        return Address(
            own if is_nameless(redirect.host) else redirect.host, redirect.port
        )


def _check_buckets(buckets: int) -> None:
    if not 1 <= buckets <= REDIS_CLUSTER_HASH_SLOTS:
        raise ValueError(
            f"buckets is from 1 to {REDIS_CLUSTER_HASH_SLOTS}, not {buckets}"
        )

"""Nodes: which master of a cluster has a slot, and the links to all of them.

    slots 0 to 5460        10.0.0.1:6379
    slots 5461 to 10922    10.0.0.2:6379       as any of the nodes tells it
    slots 10923 to 16383   10.0.0.3:6379

The map is asked for when the cluster is opened and when somebody finds it wrong; a node
that sends away (MOVED) corrects it at one slot.  Nodes are connected to by the names or
addresses that the map has (`cluster-announce-ip`, `cluster-announce-hostname`), or where
it has none by the one of the node that told it.

Knows no key and no script.  Start at `RedisNodes.refresh`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import shuffle
from typing import Any, Final, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import RedisError

from latency_kv.providers.redis_link import (
    Address,
    Hopeless,
    LinkError,
    LinkOptions,
    RedisLink,
    Unsent,
    quoted,
)

__all__ = ["Node", "RedisNodes", "is_nameless"]

# A node that knows the map tells it at once; others can be asked.
_ASKING_S: Final = 1.0


class Node(NamedTuple):
    """The links to one server."""

    reads: RedisLink

    writes: RedisLink
    """Apart, or reads would wait for the connections of writes, which wait for replicas."""


class RedisNodes:
    """The nodes of the cluster that these addresses belong to."""

    def __init__(self, seeds: Sequence[Address], options: LinkOptions) -> None:
        self._seeds = seeds
        self._options = options
        self._nodes: dict[Address, Node] = {}
        self._masters: dict[int, Address] = {}
        self._lock = asyncio.Lock()
        self._asked_count = 0
        self._failure: LinkError | None = None
        self._is_closed = False

    @property
    def is_known(self) -> bool:
        """Whether there is a map at all; there is none of what is closed."""
        return bool(self._masters) and not self._is_closed

    def of_slot(self, slot: int) -> Node:
        """Return the master of a slot; any node, which will tell, if nobody has it."""
        return self.at(self._masters.get(slot, self._seeds[0]))

    def at(self, address: Address) -> Node:
        """Return the links to a node."""
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = Node(
                RedisLink(*address, self._options), RedisLink(*address, self._options)
            )
        return node

    def moved(self, slot: int, address: Address) -> None:
        """Note that a slot has another master."""
        self._masters[slot] = address

    async def refresh(self, timeout: float) -> None:
        """Ask for the map; who asks while another one does gets what that one gets.

        Raises the failure of the node that was asked last where none tells it in time.
        """
        seen = self._asked_count
        try:
            async with asyncio.timeout(timeout), self._lock:
                if seen == self._asked_count:
                    await self._ask()
                    self._asked_count += 1
        except TimeoutError as error:
            if self._failure is None:
                raise Unsent(
                    "no node told its map of the slots in time", error
                ) from error
        if self._failure is not None:
            raise type(self._failure)(self._failure.reason, self._failure.cause)

    async def aclose(self) -> None:
        """Close all connections, those in use after their use; waits for nobody."""
        self._is_closed = True
        while self._nodes:
            await _close(self._nodes.popitem()[1])

    async def _ask(self) -> None:
        """Ask one after the other until one tells the map; else there is a failure."""
        # Of several, each is asked as often as another.
        addresses = list({*self._seeds, *self._masters.values()})
        shuffle(addresses)
        for address in addresses:
            if self._is_closed:
                self._failure = Hopeless("there is no connection: it is closed")
                return
            try:
                self._masters = await self._map_of(address)
            except LinkError as error:
                self._failure = error
            else:
                self._failure = None
                await self._close_others()
                return

    async def _map_of(self, address: Address) -> dict[int, Address]:
        """Return the map as this node tells it."""
        link = self.at(address).reads
        timeout = min(self._options.timeout, _ASKING_S)
        answer = (await link.exchange([(b"CLUSTER", b"SLOTS")], timeout))[0]
        if isinstance(answer, RedisError):
            raise Unsent(f"it tells no map of its slots: {quoted(str(answer))}", answer)
        try:
            masters = dict(_masters(answer, address.host))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise Unsent("what it tells is no map of its slots", error) from error
        if not masters:
            raise Unsent("it knows of no master: has it joined the cluster?")
        return masters

    async def _close_others(self) -> None:
        """Let go of nodes that left; what is on its way to one comes to its end."""
        known = {*self._seeds, *self._masters.values()}
        for address in [other for other in self._nodes if other not in known]:
            await _close(self._nodes.pop(address))


def is_nameless(host: str) -> bool:
    """Tell whether a node says so that it does not know by which name it is reached."""
    return host in ("", "?")


def _masters(answer: Any, host: str) -> Iterator[tuple[int, Address]]:
    """Read the answer to CLUSTER SLOTS; host is that of the node that was asked."""
    for first, last, master, *_ in answer:
        name = (master[0] or b"").decode()
        address = Address(host if is_nameless(name) else name, master[1])
        if not 0 <= first <= last < REDIS_CLUSTER_HASH_SLOTS or address.port < 1:
            raise ValueError(f"slots {first} to {last} at {address.port}")
        for slot in range(first, last + 1):
            yield slot, address


async def _close(node: Node) -> None:
    await node.reads.aclose()
    await node.writes.aclose()

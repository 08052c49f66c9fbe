"""Nodes: which master of a cluster has a slot, and the links to all of them.

    slots 0 to 5460        10.0.0.1:6379
    slots 5461 to 10922    10.0.0.2:6379       as any of the nodes tells it
    slots 10923 to 16383   10.0.0.3:6379

The map is asked for when the cluster is opened and when somebody finds it wrong; a node
that sends away (MOVED) corrects it at one slot.

Knows no key and no script.  Start at `RedisNodes.refresh`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import shuffle
from typing import Any, Final, NamedTuple

from redis.exceptions import RedisError

from latency_kv.providers.redis_link import LinkError, LinkOptions, RedisLink, Unsent

__all__ = ["Address", "Node", "RedisNodes"]

# A node that knows the map tells it at once; others can be asked.
_ASKING_S: Final = 1.0


class Address(NamedTuple):
    """Where a node listens."""

    host: str
    port: int


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
        self._refreshed_count = 0

    @property
    def is_known(self) -> bool:
        """Whether there is a map at all."""
        return bool(self._masters)

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

    async def refresh(self) -> None:
        """Ask for the map; who asks while another one does gets what that one gets.

        Raises the failure of the node that was asked last where none tells it.
        """
        seen = self._refreshed_count
        async with self._lock:
            if seen == self._refreshed_count:
                await self._ask()
                self._refreshed_count += 1

    async def aclose(self) -> None:
        """Close all connections."""
        while self._nodes:
            await _close(self._nodes.popitem()[1])

    async def _ask(self) -> None:
        # Of several, each is asked as often as another.
        addresses = list({*self._seeds, *self._masters.values()})
        shuffle(addresses)
        failure: LinkError | None = None
        for address in addresses:
            try:
                self._masters = await self._map_of(address)
            except LinkError as error:
                failure = error
            else:
                await self._close_others()
                return
        assert failure is not None
        raise failure

    async def _map_of(self, address: Address) -> dict[int, Address]:
        """Return the map as this node tells it."""
        link = self.at(address).reads
        timeout = min(self._options.timeout, _ASKING_S)
        answer = (await link.exchange([(b"CLUSTER", b"SLOTS")], timeout))[0]
        if isinstance(answer, RedisError):
            raise Unsent(f"it tells no map of its slots: {answer}", answer)
        return dict(_masters(answer, address.host))

    async def _close_others(self) -> None:
        """Let go of nodes that left; what is on its way to one comes to its end."""
        known = {*self._seeds, *self._masters.values()}
        for address in [other for other in self._nodes if other not in known]:
            await _close(self._nodes.pop(address))


def _masters(answer: Any, host: str) -> Iterator[tuple[int, Address]]:
    """Read the answer to CLUSTER SLOTS; host is that of the node that was asked."""
    for first, last, master, *_ in answer:
        # A node that does not know by which name it is reached leaves it out.
        name = (master[0] or b"").decode()
        address = Address(host if name in ("", "?") else name, master[1])
        for slot in range(first, last + 1):
            yield slot, address


async def _close(node: Node) -> None:
    await node.reads.aclose()
    await node.writes.aclose()

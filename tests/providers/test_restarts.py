"""Restarts: a server killed under load and started again forgets nothing acknowledged.

Redis with appendfsync always, and PostgreSQL: killed by kill -9 with all its processes,
and, where a file system of its own can be had, together with a power cut. That cuts lose
what is only written is shown by a Redis that does not sync.

Start at `test_killed_server_has_what_it_acknowledged`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from random import Random

import anyio
import anyio.to_thread
import pytest

from latency_kv.providers.state_stores import open_state_store
from power import PowerDisk, what_is_missing
from providers.ledger import Ledger
from servers import PostgresqlServer, RedisServer, Server

pytestmark = pytest.mark.anyio

SMALL_KILLS, FULL_KILLS = 3, 20

# How long a server lives, and how long it is away.
LIFE_S = 0.1, 0.6
AWAY_S = 0.0, 0.3

# Of each writer, after a restart and before the next kill.
CALLS = 5

# A kill loses what a process holds, and nothing that it has written, synced or not.
REDIS = partial(RedisServer, {"appendonly": "yes", "appendfsync": "always"})
POSTGRESQL = partial(PostgresqlServer, {"synchronous_commit": "on"})

SYNCED_POSTGRESQL = partial(PostgresqlServer, {"fsync": "on"})
CARELESS_REDIS = partial(RedisServer, {"appendonly": "yes", "appendfsync": "no"})

# PostgreSQL begins with some 30 MB.
DISK_SIZE = 160 << 20


@pytest.fixture
def anyio_backend() -> str:
    """The clients know no other."""
    return "asyncio"


@pytest.mark.parametrize("kind", [REDIS, POSTGRESQL], ids=["redis", "postgresql"])
async def test_killed_server_has_what_it_acknowledged(
    kind: Callable[[], Server], full: bool, seed: int
) -> None:
    with kind() as server:
        kills = FULL_KILLS if full else SMALL_KILLS
        await live_and_die(server, kills, seed, server.kill, server.start)


@pytest.mark.parametrize(
    "kind", [REDIS, SYNCED_POSTGRESQL], ids=["redis", "postgresql"]
)
async def test_power_cut_leaves_what_was_acknowledged(
    kind: Callable[..., Server], full: bool, seed: int
) -> None:
    kills = FULL_KILLS if full else SMALL_KILLS
    with on_power_disk(kind) as (server, disk):
        await live_and_die(
            server, kills, seed, partial(cut, server, disk), partial(mend, server, disk)
        )


async def test_power_cut_loses_what_is_not_synced(seed: int) -> None:
    """Else the cuts above would prove nothing."""
    lost = pytest.raises(AssertionError, match="not as acknowledged")
    with on_power_disk(CARELESS_REDIS) as (server, disk), lost:
        await live_and_die(
            *(server, SMALL_KILLS, seed),
            *(partial(cut, server, disk), partial(mend, server, disk)),
        )


async def live_and_die(
    server: Server,
    kills: int,
    seed: int,
    end: Callable[[], None],
    begin: Callable[[], None],
) -> None:
    """Write, end the server and begin it again, so often; compare each time."""
    random = Random(seed)
    async with open_state_store(server.url, timeout=2) as store:
        ledger = Ledger(store, seed)
        for _ in range(kills):
            async with ledger.run():
                await ledger.go_on(CALLS)
                await anyio.sleep(random.uniform(*LIFE_S))
                await anyio.to_thread.run_sync(end)
                await anyio.sleep(random.uniform(*AWAY_S))
                await anyio.to_thread.run_sync(begin)
                await ledger.go_on(CALLS)
            async with open_state_store(server.url) as other:
                await ledger.check(other)
        print(f"{server!r}, {kills} kills: {ledger.report()}")
    assert ledger.errors, "no call noticed that the server was away"


@contextmanager
def on_power_disk(
    kind: Callable[..., Server],
) -> Iterator[tuple[Server, PowerDisk]]:
    """A server whose files are on a disk whose power can be cut."""
    if reason := what_is_missing():
        pytest.skip(f"no power to cut: {reason}")
    with ExitStack() as stack:
        disk = stack.enter_context(PowerDisk(size=DISK_SIZE))
        # The server is nobody who may look into a root's folders.
        disk.folder.parent.chmod(0o711)
        folder = disk.folder / "server"
        folder.mkdir()
        yield stack.enter_context(kind(folder=folder)), disk


def cut(server: Server, disk: PowerDisk) -> None:
    """Cut the power at any moment but amid a sync.

    There the system tells the server that all is well, and keeps nothing of it.
    """
    server.pause()
    disk.cut()
    server.kill()


def mend(server: Server, disk: PowerDisk) -> None:
    disk.unmount()
    disk.mount()
    server.start()

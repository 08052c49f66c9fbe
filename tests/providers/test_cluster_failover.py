"""Failover: a master of a cluster is killed under load, and nothing acknowledged is lost.

Six nodes, three of them masters. In half of the trials the replica that takes over was
behind: it hung, and its link to the master was cut, so that whatever nobody waited for
is on the master alone. That such a failover loses something is shown by a store that
waits for no replica. In half of the trials the store gives up soon, and says that it
does not know. In some the master is not killed but hangs, and comes back believing that
it is one.

Start at `test_killed_master_has_lost_nothing_acknowledged`.
"""

import time
from collections.abc import Iterator
from random import Random

import anyio
import anyio.to_thread
import pytest

from latency_kv.providers.state_stores import open_state_store
from providers.ledger import Ledger
from providers.redis_checks import check_index
from servers import RedisCluster

pytestmark = pytest.mark.anyio

FULL_TRIALS = 10

# How long a store goes on trying: through any failover, or not through one.
PATIENT_S, HASTY_S = 45.0, 1.0
TIMEOUT_S = 2.0

# How long there is load before the kill.
LIFE_S = 0.2, 0.6

# How long a replica is behind by then, in one trial and the next: longer than a store
# waits for it at a time, and shorter than after what time a node counts as dead.
LAGS_S = 1.5, 0.0, 0.4, 0.0

PAUSE_S = 0.05

# Of each writer, before and after.
CALLS = 10


@pytest.fixture
def anyio_backend() -> str:
    """The client knows no other."""
    return "asyncio"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    """A cluster whose masters die, and are there again after each trial."""
    with RedisCluster() as cluster:
        yield cluster


async def test_killed_master_has_lost_nothing_acknowledged(
    cluster: RedisCluster, full: bool, seed: int
) -> None:
    random = Random(seed)
    for number in range(FULL_TRIALS if full else 1):
        deadline = HASTY_S if number % 4 in (1, 2) else PATIENT_S
        await fail_over(
            cluster,
            random,
            lag_s=LAGS_S[number % len(LAGS_S)],
            hangs=number % 5 == 4,
            url_options=f"deadline={deadline}&timeout={TIMEOUT_S}",
        )


async def test_failover_loses_what_nobody_waited_for(
    cluster: RedisCluster, seed: int
) -> None:
    """Else the trials above would prove nothing."""
    lost = pytest.raises(AssertionError, match="not as acknowledged")
    with lost:
        await fail_over(
            cluster, Random(seed), lag_s=LAGS_S[0], url_options="replicas=0"
        )


async def fail_over(
    cluster: RedisCluster,
    random: Random,
    *,
    lag_s: float,
    hangs: bool = False,
    url_options: str,
) -> None:
    """Write, kill a master, wait for its replica to take over, and compare."""
    seed = random.getrandbits(32)
    url = f"{cluster.url}/trial-{seed}?{url_options}"
    master = random.choice(cluster.masters())
    replica = cluster.replica_of(master)
    end, begin = master.kill, master.start
    if hangs:
        end, begin = master.pause, master.resume
    async with open_state_store(url) as store:
        ledger = Ledger(store, seed)
        async with ledger.run():
            await ledger.go_on(CALLS)
            await anyio.sleep(random.uniform(*LIFE_S))
            if lag_s:
                replica.pause()
                # So that nothing is on its way to it either.
                master.cli("client", "kill", "type", "replica")
                await anyio.sleep(lag_s)
            await anyio.to_thread.run_sync(end)
            if lag_s:
                replica.resume()
            ended = time.monotonic()
            while replica not in await anyio.to_thread.run_sync(cluster.masters):
                await anyio.sleep(PAUSE_S)
            away_s = time.monotonic() - ended
            await anyio.to_thread.run_sync(begin)
            await anyio.to_thread.run_sync(cluster.wait_until_healthy)
            whole_s = time.monotonic() - ended
            await ledger.go_on(CALLS)
        print(
            f"a master {'hung' if hangs else 'was killed'}, a replica"
            f"{' that lagged' if lag_s else ''} took over after {away_s:.2f} s, the "
            f"cluster was whole after {whole_s:.2f} s; {ledger.report()}"
        )
    # First: a store that lists keys may mend the index.
    masters = await anyio.to_thread.run_sync(cluster.masters)
    assert await anyio.to_thread.run_sync(check_index, masters, f"trial-{seed}")
    async with open_state_store(url) as other:
        await ledger.check(other)

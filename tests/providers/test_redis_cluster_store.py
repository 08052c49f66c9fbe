"""Redis Cluster: the contract on six nodes, and what a cluster does besides.

How its nodes are reached is in test_cluster_addresses.py, and what a failover leaves in
test_cluster_failover.py. Start at `TestRedisClusterStateStore`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import (
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from random import Random
from typing import Any, ClassVar
from uuid import uuid4
from zlib import crc32

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from latency_kv.errors import (
    OutcomeUnknownError,
    StateError,
    StateParseError,
    StateReadError,
    StateWriteError,
)
from latency_kv.facets.stores import OpenedStateStore
from latency_kv.providers import open_state_store, redis_nodes, redis_states
from latency_kv.providers import redis_cluster as redis_cluster_module
from latency_kv.providers.back_off import BackOff
from latency_kv.providers.redis_cluster import BUCKETS, RedisClusterStateStore
from latency_kv.providers.redis_nodes import RedisNodes
from latency_kv.testing.state_store import StateStoreContract
from providers.calls import (
    CALLS,
    DECISIONS,
    READS,
    WRITES,
    Call,
    by_call,
    by_decision,
    by_read,
    by_set,
    by_write,
    failure_of,
    key_of,
    left_by,
)
from providers.redis_checks import check_index, values
from providers.store_checks import ServerChecks, failures_of, open_files
from providers.wire import Wire
from servers import CLUSTER_OPTIONS, HOST, RedisCluster, RedisServer, free_port

pytestmark = pytest.mark.anyio

TOGETHER = 40
PATIENCE_S = 60.0

# Of stores that are to give up soon.
HASTY_S = 0.6

# After what time a node counts as dead.
SOON_MS, USUAL_MS = "500", CLUSTER_OPTIONS["cluster-node-timeout"]

# Nodes that hang: one after the other they would take longer than anybody waits.
MANY, LISTENED = 100, 64

# How many times slots change their masters while somebody writes.
SMALL_MOVES, FULL_MOVES = 2, 20


@pytest.fixture
def anyio_backend() -> str:
    """The client knows no other."""
    return "asyncio"


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[RedisCluster]:
    """A cluster of this module's own, whose slots tests move about."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
async def store(redis_cluster: RedisCluster) -> AsyncIterator[RedisClusterStateStore]:
    """A store in a namespace of its own."""
    async with RedisClusterStateStore(redis_cluster.url, uuid4().hex) as store:
        yield store


class TestRedisClusterStateStore(StateStoreContract):
    capabilities = (OpenedStateStore,)
    strict = True

    @pytest.fixture
    async def provider(
        self, redis_cluster: RedisCluster, store: RedisClusterStateStore
    ) -> RedisClusterStateStore:
        self.cluster = redis_cluster
        return store

    @asynccontextmanager
    async def beside(self, provider: Any) -> AsyncIterator[Any]:
        url, namespace = self.cluster.url, provider.namespace
        async with RedisClusterStateStore(url, namespace) as second:
            yield second


class TestClusterChecks(ServerChecks):
    scheme = "redis-cluster"
    wrong_options = (
        *("?replicas=-1", "?replicas=one", "?buckets=0", "?buckets=16385"),
        *("?buckets=1.5", "?deadline=0", "?deadline=nan", "?deadline=soon"),
        *("?timeout=0", "?pool_size=0", "?replica=1", "?ssl_ca_certs=ca.pem"),
        *(":0", ":99999", ",", ",,other", ":1:2", ":1,[::1", ":1,[::1]x", ":1,::1:2"),
    )
    wrong_limits = {"replicas": -1}, {"buckets": 0}, {"deadline": -1}, {"timeout": -1}
    path = "/n"
    hasty: ClassVar[dict[str, Any]] = {"deadline": HASTY_S}

    @pytest.fixture
    def place(self, redis_cluster: RedisCluster) -> RedisCluster:
        self.cluster = redis_cluster
        return redis_cluster

    def make(
        self, place: Any, namespace: str, **options: Any
    ) -> RedisClusterStateStore:
        return RedisClusterStateStore(place.url, namespace, **options)

    async def spoil(self, store: Any, key: str, raw: bytes) -> None:
        name = f"{store.namespace}{{{crc32(key.encode()) % BUCKETS}}}:d:{key}"
        master_of(self.cluster, name).cli("set", name, raw.decode())

    def longest_key(self, store: Any) -> str:
        return "k" * redis_states.MAX_KEY_SIZE

    def check(self, store: Any) -> None:
        check_index(self.cluster.masters(), store.namespace)


class TestRedisClusterStateStoreInOneBucket(StateStoreContract):
    """Which nobody should have, and no replica to wait for."""

    capabilities = (OpenedStateStore,)
    strict = True

    @pytest.fixture
    async def provider(
        self, redis_cluster: RedisCluster
    ) -> AsyncIterator[RedisClusterStateStore]:
        url = f"{redis_cluster.url}?buckets=1&replicas=0"
        async with RedisClusterStateStore(url, uuid4().hex) as store:
            yield store


async def eventually(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not await anyio.to_thread.run_sync(happened):
            await anyio.sleep(0.01)


def master_of(cluster: RedisCluster, name: str) -> RedisServer:
    """The master that has this name's slot."""
    for node in cluster.masters():
        with suppress(AssertionError):
            node.cli("exists", name)
            return node
    raise AssertionError("nobody has it")


# The URL, the constructor, the end.


async def test_url_names_the_store(redis_cluster: RedisCluster) -> None:
    namespace = f"n-{uuid4().hex}"
    query = "replicas=0&buckets=7&deadline=9&timeout=3&pool_size=2"
    url = redis_cluster.url
    store: OpenedStateStore = open_state_store(f"{url}/{namespace}?{query}")
    assert isinstance(store, RedisClusterStateStore)
    assert store.namespace == namespace and store.buckets == 7
    shown_url = f"{url}/{namespace}?namespace={namespace}"
    assert repr(store) == f"RedisClusterStateStore({shown_url!r})"
    async with store:
        await store.set("a", 1)
    # One node is enough to find the others.
    one = f"redis-cluster://{HOST}:{redis_cluster.nodes[3].port}"
    async with open_state_store(f"{one}?namespace={namespace}") as other:
        assert await other.get("a") == 1
        assert isinstance(other, RedisClusterStateStore) and other.buckets == 7


async def test_other_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="redis-cluster:"):
        RedisClusterStateStore("redis://db")


# Opening.


@contextmanager
def hanging_nodes(count: int) -> Iterator[str]:
    """The URL of nodes that take connections and never say a word."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind((HOST, 0))
            listener.listen(LISTENED)
            ports.append(listener.getsockname()[1])
        yield "redis-cluster://" + ",".join(f"{HOST}:{port}" for port in ports)


async def test_nodes_that_hang_are_not_waited_for_in_turn() -> None:
    """However many there are, and however many calls, the deadline is for all."""
    with hanging_nodes(MANY) as url, anyio.fail_after(PATIENCE_S):
        store = RedisClusterStateStore(url, deadline=HASTY_S)
        for _ in range(2):
            for call, error in (await failures_of(store)).items():
                assert type(error) is failure_of(call) and error.key == key_of(call)
        await store.aclose()


async def test_failed_opening_is_one_for_all_who_wait(
    redis_server: RedisServer,
) -> None:
    """And the next one may succeed."""
    async with Wire(redis_server.port) as wire:
        url = f"redis-cluster://{HOST}:{wire.port}"
        store = RedisClusterStateStore(url, deadline=PATIENCE_S)
        failed: list[StateError] = []

        async def call(number: int) -> None:
            try:
                await (
                    store.get(str(number)) if number % 2 else store.set(str(number), 1)
                )
            except (StateReadError, StateWriteError) as error:
                failed.append(error)

        for _ in range(2):
            failed.clear()
            before = wire.passed
            async with anyio.create_task_group() as tasks:
                for number in range(TOGETHER):
                    tasks.start_soon(call, number)
            assert {error.key for error in failed} == {str(n) for n in range(TOGETHER)}
            kinds = [StateWriteError, StateReadError]
            assert all(
                type(error) is kinds[int(error.key or "") % 2] for error in failed
            )
            # What tells it that this is no cluster.
            assert wire.passed - before <= 2
        await store.aclose()


async def test_cancelled_opening_leaves_the_others_theirs(
    redis_cluster: RedisCluster,
) -> None:
    store = RedisClusterStateStore(redis_cluster.url, uuid4().hex)
    first = asyncio.create_task(store.set("a", 1))
    second = asyncio.create_task(store.set("b", 1))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert await store.keys() == ["b"]
    await store.aclose()


async def test_failed_opening_leaves_nothing_behind() -> None:
    before = open_files()
    with RedisServer() as server:
        url = f"redis-cluster://{HOST}:{server.port},{HOST}:{free_port()}"
        store = RedisClusterStateStore(url, deadline=HASTY_S)
        with pytest.raises(StateReadError):
            async with store:
                pass
    assert open_files() == before


async def test_large_value_for_a_cluster_that_is_away_is_a_write_that_failed() -> None:
    url = f"redis-cluster://{HOST}:{free_port()}"
    store = RedisClusterStateStore(url, deadline=0.1)
    with pytest.raises(StateWriteError) as info:
        await store.set("key", "x" * (2 << 20))
    assert info.value.key == "key"
    await store.aclose()


@pytest.mark.parametrize("is_first", [True, False])
async def test_node_that_has_not_joined_is_passed_over(
    is_first: bool, redis_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        redis_nodes, "shuffle", lambda nodes: nodes.sort(reverse=is_first)
    )
    monkeypatch.setattr(BackOff, "again", None)
    with RedisServer({"cluster-enabled": "yes"}) as lonely:
        url = f"{redis_cluster.url},{HOST}:{lonely.port}"
        async with RedisClusterStateStore(url, uuid4().hex) as store:
            await store.set("a", 1)
            assert await store.keys() == ["a"]
        monkeypatch.undo()
        url = f"redis-cluster://{HOST}:{lonely.port}"
        store = RedisClusterStateStore(url, deadline=0.1)
        with pytest.raises(StateReadError, match="joined"):
            await store.get("a")
        await store.aclose()


# What is no answer to CLUSTER SLOTS.
NO_MAPS = [
    *(b":1\r\n", b"$-1\r\n", b"*-1\r\n", b"*1\r\n:1\r\n", b"*1\r\n*2\r\n:0\r\n:1\r\n"),
    *(b"*1\r\n*3\r\n:0\r\n:1\r\n*0\r\n", b"*1\r\n*3\r\n:0\r\n:1\r\n:7\r\n"),
    b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n:7\r\n:7000\r\n",
    b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\n\xff\r\n:7000\r\n",
    b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n$1\r\n7\r\n",
    b"*1\r\n*3\r\n:0\r\n:99999999999999999\r\n*2\r\n$1\r\nh\r\n:7000\r\n",
    b"*1\r\n*3\r\n:-99999999999999999\r\n:1\r\n*2\r\n$1\r\nh\r\n:7000\r\n",
    *(b"*0\r\n", b"+OK\r\n", b"-WHAT\r\n", b"-MOVED 1\r\n"),
]


async def test_map_that_is_none_is_not_believed(redis_cluster: RedisCluster) -> None:
    """It is asked for again; a refusal is told of."""
    namespace = uuid4().hex
    async with Wire(redis_cluster.nodes[0].port) as wire:
        wire.lie_about = b"SLOTS"
        for answer in NO_MAPS:
            wire.lie = answer
            url = f"redis-cluster://{HOST}:{wire.port}"
            store = RedisClusterStateStore(url, namespace)
            try:
                await store.set("key", 1)
            except StateWriteError as error:
                assert answer.startswith(b"-") and "WHAT" in str(error)
            assert wire.lie is None
            await store.aclose()


@by_call
async def test_server_that_is_no_cluster_is_told_of(
    call: Call, redis_server: RedisServer
) -> None:
    store = RedisClusterStateStore(f"redis-cluster://{HOST}:{redis_server.port}")
    with pytest.raises(failure_of(call), match="use redis:") as info:
        await call(store)
    assert info.value.key == key_of(call)
    await store.aclose()


async def test_number_of_buckets_is_kept(redis_cluster: RedisCluster) -> None:
    namespace = uuid4().hex
    url = redis_cluster.url
    async with RedisClusterStateStore(url, namespace, buckets=5) as store:
        await store.set_many({f"key:{number}": number for number in range(100)})
    for buckets in (4, 6, BUCKETS):
        other = RedisClusterStateStore(url, namespace, buckets=buckets)
        for _ in range(2):
            with pytest.raises(ValueError, match="5 buckets"):
                await other.set("a", 1)
        with pytest.raises(ValueError, match="5 buckets"):
            await other.__aenter__()
    async with RedisClusterStateStore(url, namespace) as other:
        assert other.buckets == 5 and len(await other.keys()) == 100
    async with RedisClusterStateStore(url, namespace, buckets=5) as other:
        assert await other.get("key:7") == 7
    async with RedisClusterStateStore(url, uuid4().hex) as other:
        assert other.buckets == BUCKETS


async def test_first_to_open_decides_about_the_buckets(
    redis_cluster: RedisCluster,
) -> None:
    namespace = uuid4().hex
    numbers = range(10, 30)
    opened: list[int | None] = []
    refused = 0

    async def open_and_write(number: int) -> None:
        nonlocal refused
        store = RedisClusterStateStore(redis_cluster.url, namespace, buckets=number)
        try:
            await store.set(f"key:{number}", number)
            opened.append(store.buckets)
        except ValueError:
            refused += 1
        await store.aclose()

    async with anyio.create_task_group() as tasks:
        for number in numbers:
            tasks.start_soon(open_and_write, number)
    assert len(opened) == 1 and refused == len(numbers) - 1
    async with RedisClusterStateStore(redis_cluster.url, namespace) as store:
        assert await store.keys() == [f"key:{opened[0]}"]


async def test_number_of_buckets_that_is_none_is_told_of(
    redis_cluster: RedisCluster,
) -> None:
    for text in ("nonsense", "64", "{}", '{"buckets":0}', '{"buckets":"64"}'):
        namespace = uuid4().hex
        name = f"{namespace}:meta"
        master_of(redis_cluster, name).cli("set", name, text)
        with pytest.raises(StateParseError, match=namespace):
            async with RedisClusterStateStore(redis_cluster.url, namespace):
                pass


async def test_values_are_spread_over_all_masters(
    redis_cluster: RedisCluster, store: RedisClusterStateStore
) -> None:
    await store.set_many({f"key:{number}": number for number in range(5_000)})
    for node in redis_cluster.masters():
        assert len(values(node, store.namespace)) > 500
    # Each bucket has more than one page.
    assert await store.keys() == sorted(f"key:{number}" for number in range(5_000))
    assert check_index(redis_cluster.masters(), store.namespace) == 5_000
    assert await store.get_many(f"key:{number}" for number in range(5_000)) == [
        *range(5_000)
    ]


async def test_layout_is_the_one_that_is_told(
    redis_cluster: RedisCluster, store: RedisClusterStateStore
) -> None:
    """Whoever changes it takes their values from those who have some."""
    key = "caf\u00e9"
    await store.set(key, [1])
    prefix = f"{store.namespace}{{{crc32(key.encode()) % BUCKETS}}}"
    name = f"{prefix}:d:{key}"
    node = master_of(redis_cluster, name)
    assert node.cli("get", name) == "[1]\n"
    assert node.cli("zrangebylex", f"{prefix}:i", "-", "+") == f"{key}\n"
    meta = f"{store.namespace}:meta"
    assert master_of(redis_cluster, meta).cli("get", meta) == '{"buckets":64}\n'


# Replicas.


@contextmanager
def paused(cluster: RedisCluster, namespace: str) -> Iterator[RedisServer]:
    """Let the replica of the master that has `key` hang, while the block runs."""
    name = f"{namespace}{{{crc32(b'key') % BUCKETS}}}:d:key"
    replica = cluster.replica_of(master_of(cluster, name))
    replica.pause()
    try:
        yield replica
    finally:
        replica.resume()
        cluster.wait_until_healthy()


@by_write
async def test_write_that_no_replica_confirms_is_unknown(
    write: Call, redis_cluster: RedisCluster, store: RedisClusterStateStore
) -> None:
    await store.set("key", "old")
    url, namespace = redis_cluster.url, store.namespace
    # Below the time after which nodes call the replica dead.
    hasty = RedisClusterStateStore(url, namespace, deadline=HASTY_S)
    careless = RedisClusterStateStore(url, namespace, replicas=0)
    async with hasty, careless:
        with paused(redis_cluster, namespace):
            if write is WRITES["set_if_absent"]:
                await careless.delete("key")
            with pytest.raises(OutcomeUnknownError, match="0 of 1 replicas") as info:
                await write(hasty)
            assert info.value.key == key_of(write)
            # Reads do not wait for that.
            gone = write is WRITES["delete"]
            assert await hasty.get("key", "gone") == ("gone" if gone else "new")
            assert await hasty.keys() == ([] if gone else ["key"])


async def test_reads_do_not_wait_behind_writes(
    redis_cluster: RedisCluster, store: RedisClusterStateStore
) -> None:
    await store.set("key", "old")
    url, namespace = f"{redis_cluster.url}?pool_size=1", store.namespace
    async with (
        RedisClusterStateStore(url, namespace) as narrow,
        anyio.create_task_group() as tasks,
    ):
        with paused(redis_cluster, namespace):
            tasks.start_soon(narrow.delete, "key")
            with anyio.fail_after(PATIENCE_S):
                while await narrow.get("key", "gone") != "gone":
                    await anyio.sleep(0.01)
                assert await narrow.keys() == []
            # Else there would have been nothing to wait for.
            assert narrow._calls._count == 1


@by_decision
async def test_what_changes_nothing_needs_no_replica(
    write: Call, redis_cluster: RedisCluster, store: RedisClusterStateStore
) -> None:
    await store.set("key", "newer")
    if write is WRITES["delete"]:
        await store.delete("key")
    for node in redis_cluster.masters():
        node.cli("script", "flush")
    url, namespace = redis_cluster.url, store.namespace
    deadline = 10 * PATIENCE_S
    async with RedisClusterStateStore(url, namespace, deadline=deadline) as patient:
        with paused(redis_cluster, namespace), anyio.fail_after(PATIENCE_S):
            assert await write(patient) is False


@by_write
async def test_replica_that_is_late_is_waited_for(
    write: Call,
    redis_cluster: RedisCluster,
    store: RedisClusterStateStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However often a set has to be made again."""
    monkeypatch.setattr(redis_cluster_module, "_WAIT_S", 0.05)
    await store.set("key", "old")
    if write is WRITES["set_if_absent"]:
        await store.delete("key")
    async with anyio.create_task_group() as tasks:
        with paused(redis_cluster, store.namespace):
            done = anyio.Event()

            async def run() -> None:
                await write(store)
                done.set()

            tasks.start_soon(run)
            await anyio.sleep(0.3)
            assert not done.is_set()
        with anyio.fail_after(PATIENCE_S):
            await done.wait()


async def test_more_replicas_than_there_are_are_never_enough(
    redis_cluster: RedisCluster,
) -> None:
    url = f"{redis_cluster.url}?replicas=2&deadline={HASTY_S}"
    store = RedisClusterStateStore(url, uuid4().hex)
    with pytest.raises(StateWriteError, match="1 of 2 replicas") as info:
        # Even the number of buckets would not outlive its master.
        await store.set("a", 1)
    # That is no value of anybody's.
    assert "may have been applied" not in str(info.value)
    await store.aclose()


@pytest.mark.parametrize("buckets", [1, 16_384])
async def test_any_number_of_buckets_works(
    buckets: int, redis_cluster: RedisCluster
) -> None:
    url, namespace = redis_cluster.url, f"a.b-{buckets}.{uuid4().hex}"
    batch = {f"key:{number}": number for number in range(500)}
    async with RedisClusterStateStore(url, namespace, buckets=buckets) as store:
        await store.set_many(batch)
        assert await store.keys("key:1") == sorted(
            key for key in batch if key.startswith("key:1")
        )
        assert await store.get_many(batch) == list(batch.values())


# Slots that move.


async def test_master_that_stays_away_is_replaced(own_cluster: RedisCluster) -> None:
    """Nobody is left to say where its slots are now, but the others."""
    store = RedisClusterStateStore(own_cluster.url, uuid4().hex)
    batch = {f"key:{number}": number for number in range(300)}
    await store.set_many(batch)
    master = own_cluster.masters()[0]
    replica = own_cluster.replica_of(master)
    for node in own_cluster.nodes:
        node.cli("config", "set", "cluster-node-timeout", SOON_MS)
    master.kill()
    try:
        # Their replicas cannot confirm them: each master has one.
        async with RedisClusterStateStore(
            own_cluster.url, store.namespace, replicas=0
        ) as careless:
            for key in batch:
                await careless.set(key, 1)
        assert await store.get_many(batch) == [1] * len(batch)
        assert await store.keys() == sorted(batch)
        assert replica in own_cluster.masters()
    finally:
        master.start()
        own_cluster.wait_until_healthy()
        for node in own_cluster.nodes:
            node.cli("config", "set", "cluster-node-timeout", USUAL_MS)
    await store.set_many(batch)
    await store.aclose()


async def hand_over(cluster: RedisCluster, master: RedisServer) -> None:
    """Let a master and its replica change their roles; nobody is killed."""
    replica = cluster.replica_of(master)

    def is_done() -> bool:
        with suppress(AssertionError):
            replica.cli("cluster", "failover")
        return "role:master" in replica.cli("info", "replication")

    await eventually(is_done)
    await anyio.to_thread.run_sync(cluster.wait_until_healthy)


async def test_masters_that_change_are_followed(
    own_cluster: RedisCluster, full: bool, seed: int
) -> None:
    random = Random(seed)
    store = RedisClusterStateStore(own_cluster.url, uuid4().hex)
    expected: dict[str, int] = {}
    running = True

    async def write(writer: int) -> None:
        number = 0
        while running:
            key = f"{writer}:{number % 50}"
            try:
                await store.set(key, number)
            except OutcomeUnknownError:
                # It is the same, made twice.
                continue
            expected[key] = number
            number += 1

    async with anyio.create_task_group() as tasks:
        for writer in range(8):
            tasks.start_soon(write, writer)
        for _ in range(FULL_MOVES if full else SMALL_MOVES):
            await hand_over(own_cluster, random.choice(own_cluster.masters()))
        running = False
    assert await store.keys() == sorted(expected)
    assert await store.get_many(expected) == list(expected.values())
    assert check_index(own_cluster.masters(), store.namespace) == len(expected)
    await store.aclose()


@contextmanager
def moving(cluster: RedisCluster, name: str) -> Iterator[Callable[[list[str]], None]]:
    """Leave a slot between two masters, while the block runs; the rest moves then."""
    slot = cluster.nodes[0].cli("cluster", "keyslot", name).strip()
    source = master_of(cluster, name)
    target = next(node for node in cluster.masters() if node is not source)
    ids = {node: node.cli("cluster", "myid").strip() for node in (source, target)}

    def move(names: list[str]) -> None:
        if names:
            to = HOST, f"{target.port}", "", "0", "5000", "keys"
            source.cli("migrate", *to, *names)

    target.cli("cluster", "setslot", slot, "importing", ids[source])
    source.cli("cluster", "setslot", slot, "migrating", ids[target])
    try:
        yield move
    finally:
        move(source.cli("cluster", "getkeysinslot", slot, "1000").split())
        for node in (target, source, *cluster.masters()):
            node.cli("cluster", "setslot", slot, "node", ids[target])


@pytest.mark.parametrize("moved", ["nothing", "index", "values", "all"])
async def test_slot_that_moves_is_waited_for(
    moved: str, own_cluster: RedisCluster
) -> None:
    """And nothing of it is taken for missing: neither a value nor its place."""
    namespace = uuid4().hex
    url = f"{own_cluster.url}?buckets=1"
    keys = [f"key:{number}" for number in range(6)]
    prefix = f"{namespace}{{0}}"
    index, names = f"{prefix}:i", [f"{prefix}:d:{key}" for key in keys]
    async with (
        RedisClusterStateStore(url, namespace) as store,
        RedisClusterStateStore(url, namespace, deadline=HASTY_S) as hasty,
        anyio.create_task_group() as tasks,
    ):
        await store.set_many(dict.fromkeys(keys, 1))
        with moving(own_cluster, index) as move:
            some = {"nothing": [], "index": [index], "values": names[:3]}
            move(some.get(moved, [index, *names]))
            for each in (store, hasty):
                assert await each.get_many([*keys, "none"]) == [1] * 6 + [None]
                assert await each.has(keys[0]) is True
            answers: list[Any] = []

            async def note(call: Coroutine[Any, Any, Any]) -> None:
                with suppress(StateReadError, StateWriteError):
                    answers.append(await call)

            await note(hasty.keys())
            if moved in ("nothing", "all"):
                assert answers == [keys]
            async with anyio.create_task_group() as others:
                for call in (
                    hasty.set(keys[0], 1),
                    hasty.set(keys[5], 1, ttl=3_600),
                    hasty.set_many(dict.fromkeys(keys, 1)),
                    hasty.set_if_absent(keys[1], 2),
                    hasty.set("new", 1),
                    hasty.delete("newer"),
                ):
                    others.start_soon(note, call)
            assert all(answer in (None, False, keys) for answer in answers)
            # New keys have to wait until the slot is in one place again.
            tasks.start_soon(store.set, "later", 1)
            await anyio.sleep(0.2)
    async with RedisClusterStateStore(url, namespace) as store:
        listed = await store.keys()
        assert {*keys, "later"} <= set(listed) <= {*keys, "new", "later"}
    check_index(own_cluster.masters(), namespace)


async def test_node_that_sends_away_is_believed(
    own_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without asking for the whole map."""
    namespace = uuid4().hex
    url = f"{own_cluster.url}?buckets=1"
    async with RedisClusterStateStore(url, namespace) as store:
        await store.set("a", 1)
        with moving(own_cluster, f"{namespace}{{0}}:i"):
            pass
        refresh = RedisNodes.refresh
        monkeypatch.setattr(RedisNodes, "refresh", None)
        await store.set("a", 2)
        assert await store.get("a") == 2 and await store.keys() == ["a"]
        monkeypatch.setattr(RedisNodes, "refresh", refresh)


# Answers that are lost.


@pytest.fixture
async def wires(
    redis_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Wire]]:
    """Ways to all nodes that fail when they are told to."""
    async with AsyncExitStack() as stack:
        ports: dict[int, Wire] = {}
        for node in redis_cluster.nodes:
            ports[node.port] = await stack.enter_async_context(Wire(node.port))
        at = RedisNodes.at

        def by_wire(nodes: RedisNodes, address: Any) -> Any:
            wire = ports.get(address.port)
            if wire is not None:
                address = address._replace(port=wire.port)
            return at(nodes, address)

        monkeypatch.setattr(RedisNodes, "at", by_wire)
        yield list(ports.values())


@pytest.fixture
async def wired(
    wires: list[Wire], redis_cluster: RedisCluster
) -> AsyncIterator[RedisClusterStateStore]:
    """A store on the wires, whose nodes know each script."""
    url, namespace = redis_cluster.url, uuid4().hex
    async with RedisClusterStateStore(url, namespace, pool_size=1, timeout=2) as store:
        for call in CALLS.values():
            await call(store)
        await store.set("key", "old")
        yield store


def passed(wires: list[Wire]) -> int:
    return sum(wire.passed for wire in wires)


async def wire_of_key(wires: list[Wire], store: RedisClusterStateStore) -> Wire:
    """The wire that requests about `key` take."""
    before = [wire.passed for wire in wires]
    await store.get("key")
    return next(
        wire for wire, count in zip(wires, before, strict=True) if wire.passed > count
    )


@by_set
@pytest.mark.parametrize("fault", ["cut", "deafen"])
async def test_set_that_was_lost_is_made_again(
    write: Call, fault: Any, wires: list[Wire], wired: RedisClusterStateStore
) -> None:
    wire = await wire_of_key(wires, wired)
    wire.next = fault
    await write(wired)
    assert wire.next is None
    assert await wired.get("key") == "new"


@by_read
@pytest.mark.parametrize("fault", ["cut", "deafen"])
async def test_read_that_was_lost_is_made_again(
    read: Call, fault: Any, wires: list[Wire], wired: RedisClusterStateStore
) -> None:
    wire = await wire_of_key(wires, wired)
    expected = await read(wired)
    wire.next = fault
    assert await read(wired) == expected
    assert wire.next is None


@by_decision
@pytest.mark.parametrize("fault", ["cut", "deafen"])
async def test_decision_that_was_lost_is_not_made_again(
    write: Call, fault: Any, wires: list[Wire], wired: RedisClusterStateStore
) -> None:
    wire = await wire_of_key(wires, wired)
    before = passed(wires)
    wire.next = fault
    with pytest.raises(OutcomeUnknownError, match="may have been applied"):
        await write(wired)
    assert passed(wires) == before + (fault == "deafen"), "it was sent again"
    left = "old" if fault == "cut" else left_by(write)
    assert await wired.get("key", "gone") == left


@by_call
async def test_node_that_hangs_is_not_waited_for(
    call: Call, wires: list[Wire], wired: RedisClusterStateStore
) -> None:
    wired._options = wired._options._replace(timeout=0.3)
    wire = await wire_of_key(wires, wired)
    wire.next = "hang"
    with anyio.fail_after(PATIENCE_S):
        if call in DECISIONS.values():
            # WAIT has until the deadline, and the script has not.
            with pytest.raises(OutcomeUnknownError, match="within 0.3 s"):
                await call(wired)
        else:
            await call(wired)


@by_call
async def test_deadline_is_for_answers_too(
    call: Call, wires: list[Wire], wired: RedisClusterStateStore
) -> None:
    wired._options = wired._options._replace(timeout=10 * PATIENCE_S)
    wire = await wire_of_key(wires, wired)
    wired._deadline = HASTY_S
    wire.next = "hang"
    kind = StateReadError if call in READS.values() else OutcomeUnknownError
    with anyio.fail_after(PATIENCE_S), pytest.raises(kind, match="no answer"):
        await call(wired)


@pytest.mark.parametrize("name", ["set", "delete"])
async def test_deadline_is_for_the_word_of_replicas_too(
    name: str,
    redis_cluster: RedisCluster,
    wires: list[Wire],
    wired: RedisClusterStateStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the master hangs after it has answered to the script."""
    monkeypatch.setattr(redis_cluster_module, "_WAY_S", 0.1)
    wire = await wire_of_key(wires, wired)
    wired._options = wired._options._replace(timeout=10 * PATIENCE_S)
    wired._deadline = HASTY_S
    with paused(redis_cluster, wired.namespace), anyio.fail_after(PATIENCE_S):
        wire.next = "mute"
        with pytest.raises(OutcomeUnknownError):
            await WRITES[name](wired)


@by_call
async def test_forgotten_script_is_sent_again(
    call: Call, redis_cluster: RedisCluster, store: RedisClusterStateStore
) -> None:
    await store.set("key", "old")
    for node in redis_cluster.masters():
        node.cli("script", "flush")
    await call(store)
    assert await store.get("key", "gone") == left_by(call)


@by_write
async def test_full_node_refuses_writes(
    write: Call, redis_cluster: RedisCluster, store: RedisClusterStateStore
) -> None:
    await store.set("key", "old")
    if write is WRITES["set_if_absent"]:
        await store.delete("key")
    nodes = redis_cluster.masters()
    for node in nodes:
        node.cli("config", "set", "maxmemory", "1")
    try:
        if write is WRITES["delete"]:
            assert await store.delete("key") is True
        else:
            with pytest.raises(StateWriteError, match="raise its maxmemory"):
                await write(store)
    finally:
        for node in nodes:
            node.cli("config", "set", "maxmemory", "0")


async def test_batch_that_was_stored_in_part_is_unknown(
    redis_cluster: RedisCluster, store: RedisClusterStateStore
) -> None:
    """Each value may be there or not, and nobody is told that none of them is."""
    batch = {f"key:{number}": number for number in range(200)}
    full = redis_cluster.masters()[0]
    full.cli("config", "set", "maxmemory", "1")
    try:
        with pytest.raises(OutcomeUnknownError, match="raise its maxmemory"):
            await store.set_many(batch)
    finally:
        full.cli("config", "set", "maxmemory", "0")
    stored = await store.keys()
    assert 0 < len(stored) < len(batch)
    assert await store.get_many(stored) == [batch[key] for key in stored]


async def test_large_batch_is_sent_in_parts(
    redis_cluster: RedisCluster,
    store: RedisClusterStateStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_cluster_module, "_SET_AT_ONCE", 10)
    await store.set("a", 1)
    with pytest.raises(ValueError):
        # Whatever is wrong is found before anything is stored.
        await store.set_many({**dict.fromkeys("abcdefghijklm", 2), "n": object()})
    assert await store.get("a") == 1 and await store.delete("a") is True
    batch = {f"key:{number:02}": number for number in range(45)}
    await store.set_many(batch)
    assert await store.keys() == list(batch)
    assert await store.get_many(batch) == list(batch.values())

"""Addresses of a cluster: how its nodes are reached, and what they say about it.

Nodes that are known by their numbers, by IPv6, by names and by none, that nobody
reaches, and that speak TLS; and servers that are no part of a cluster. Start at
`test_nodes_are_reached_by_what_they_call_themselves`.
"""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from latency_kv.errors import StateReadError, StateWriteError
from latency_kv.providers import open_state_store
from latency_kv.providers.back_off import BackOff
from latency_kv.providers.redis_cluster import RedisClusterStateStore
from latency_kv.providers.redis_link import Address
from latency_kv.providers.redis_nodes import RedisNodes
from providers.calls import CALLS, failure_of, key_of, shown
from servers import HOST, RedisCluster

pytestmark = pytest.mark.anyio

PASSWORD = "hunter2"
SLOTS = 16_384

IPV6 = "::1"
NOWHERE = "nowhere.invalid"

PATIENCE_S = 60.0


@pytest.fixture
def anyio_backend() -> str:
    """The client knows no other."""
    return "asyncio"


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as ours:
        try:
            ours.bind((IPV6, 0))
        except OSError:
            return False
    return True


@pytest.fixture(scope="module")
def named_cluster() -> Iterator[RedisCluster]:
    """A cluster whose nodes are told what to call themselves."""
    with RedisCluster({"bind": f"{HOST} {IPV6}" if has_ipv6() else HOST}) as cluster:
        yield cluster


async def call_nodes(cluster: RedisCluster, kind: str, name: str) -> None:
    """Let the nodes call themselves so, and wait until they all know."""
    number = name if name == IPV6 else HOST
    settings = {
        "cluster-preferred-endpoint-type": kind,
        "cluster-announce-ip": number,
        "cluster-announce-hostname": "" if name == number else name,
    }
    for node in cluster.nodes:
        for setting, value in settings.items():
            node.cli("config", "set", setting, value)
    shown_name = "?" if kind == "hostname" and not name else name

    def is_known() -> bool:
        maps = [node.cli("cluster", "slots").splitlines() for node in cluster.nodes]
        return all(
            lines[number - 1] == shown_name
            for lines in maps
            for node in cluster.nodes
            for number, line in enumerate(lines)
            if line == f"{node.port}"
        )

    with anyio.fail_after(PATIENCE_S):
        while not is_known():
            await anyio.sleep(0.01)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ip", HOST),
        ("ip", IPV6),
        ("hostname", "localhost"),
        ("hostname", ""),
        ("unknown-endpoint", ""),
    ],
    ids=["IPv4", "IPv6", "a name", "no name", "unknown"],
)
async def test_nodes_are_reached_by_what_they_call_themselves(
    kind: str, name: str, named_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == IPV6 and not has_ipv6():
        pytest.skip("no IPv6 here")
    await call_nodes(named_cluster, kind, name)
    host = f"[{IPV6}]" if name == IPV6 else HOST
    url = f"redis-cluster://{host}:{named_cluster.nodes[0].port}"
    batch = {f"key:{number}": number for number in range(100)}
    async with RedisClusterStateStore(url, uuid4().hex) as store:
        await store.set_many(batch)
        # Each node is taken for the master of all, and has to send away.
        nodes = store._nodes
        assert nodes is not None
        monkeypatch.setattr(RedisNodes, "refresh", None)
        for node in named_cluster.masters():
            at = Address(IPV6 if name == IPV6 else HOST, node.port)
            nodes._masters = dict.fromkeys(range(SLOTS), at)
            assert await store.get_many(batch) == list(batch.values())
            nodes._masters = dict.fromkeys(range(SLOTS), at)
            await store.set_many(batch)
        assert await store.keys() == sorted(batch)


async def test_nodes_that_nobody_reaches_are_told_of(
    named_cluster: RedisCluster,
) -> None:
    await call_nodes(named_cluster, "hostname", NOWHERE)
    store = RedisClusterStateStore(named_cluster.url, uuid4().hex, deadline=0.3)
    with pytest.raises(StateReadError, match=NOWHERE):
        await store.get("key")
    await store.aclose()


# TLS and a password, everywhere.


@pytest.fixture(scope="module")
def locked_cluster(certificates: Path) -> Iterator[RedisCluster]:
    """A cluster whose nodes know nothing but TLS, and let in who knows the password."""
    options = {"requirepass": PASSWORD, "masterauth": PASSWORD}
    with RedisCluster(options, certificates=certificates) as cluster:
        yield cluster


@pytest.fixture
def files(certificates: Path) -> str:
    """The options of a URL that name the client's certificates."""
    names = {"ca_certs": "ca.pem", "certfile": "pem", "keyfile": "key"}
    return "&".join(f"ssl_{name}={certificates}/{file}" for name, file in names.items())


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be tried again."""

    async def again(back_off: BackOff) -> bool:
        raise AssertionError("it was tried again")

    monkeypatch.setattr(BackOff, "again", again)


async def test_whole_cluster_may_have_tls_and_a_password(
    locked_cluster: RedisCluster, files: str
) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    batch = {f"key:{number}": number for number in range(200)}
    async with open_state_store(f"{locked_cluster.url}?{files}") as store:
        async with anyio.create_task_group() as tasks:
            for key, value in batch.items():
                tasks.start_soon(store.set, key, value)
        assert await store.get_many(batch) == list(batch.values())
        assert PASSWORD not in repr(store)
    assert len(os.listdir("/proc/self/fd")) == descriptors


async def test_password_and_certificates_may_come_from_the_environment(
    locked_cluster: RedisCluster, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"CA_CERTS": "ca.pem", "CERTFILE": "pem", "KEYFILE": "key"}
    for name, file in variables.items():
        monkeypatch.setenv(f"LATENCY_KV_REDIS_{name}", f"{certificates}/{file}")
    monkeypatch.setenv("LATENCY_KV_REDIS_PASSWORD", PASSWORD)
    url = locked_cluster.url.replace(f":{PASSWORD}@", "")
    async with RedisClusterStateStore(url, uuid4().hex) as store:
        await store.set("a", 1)
        assert await store.keys() == ["a"]


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize("secret", ["", ":swordfish@", "me:swordfish@"])
async def test_wrong_password_is_told_of_at_once(
    secret: str, locked_cluster: RedisCluster, files: str
) -> None:
    url = locked_cluster.url.replace(f":{PASSWORD}@", secret)
    store = RedisClusterStateStore(f"{url}?{files}", "n")
    for call in CALLS.values():
        with pytest.raises(failure_of(call), match="LATENCY_KV_REDIS_PASSWORD") as info:
            await call(store)
        assert isinstance(info.value, OSError) and info.value.errno == errno.EACCES
        assert info.value.key == key_of(call)
        assert "swordfish" not in shown(info.value) + repr(store)
    await store.aclose()


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "CERTIFICATE_VERIFY_FAILED"),
        ("ssl_ca_certs={}/rival.pem", "CERTIFICATE_VERIFY_FAILED"),
        ("ssl_ca_certs={}/none.pem", "ssl_ca_certs"),
        ("ssl_ca_certs={}/ca.pem&ssl_certfile={}/names", "ssl_certfile"),
    ],
    ids=["unknown", "rival", "no file", "nonsense"],
)
async def test_wrong_certificates_are_told_of_at_once(
    query: str, told: str, locked_cluster: RedisCluster, certificates: Path
) -> None:
    query = query.replace("{}", str(certificates))
    store = RedisClusterStateStore(f"{locked_cluster.url}?{query}")
    with pytest.raises(StateReadError, match=told):
        await store.get("key")
    with pytest.raises(StateWriteError, match=told):
        await store.set("key", 1)
    await store.aclose()


async def test_wrong_kind_of_connection_is_told_of(
    redis_cluster: RedisCluster, locked_cluster: RedisCluster, certificates: Path
) -> None:
    for url in (
        redis_cluster.url.replace("redis-", "rediss-"),
        locked_cluster.url.replace("rediss-", "redis-"),
        # The cluster wants to see a certificate, too.
        f"{locked_cluster.url}?ssl_ca_certs={certificates}/ca.pem",
    ):
        store = open_state_store(url, deadline=0.3)
        with pytest.raises(StateReadError) as info:
            await store.get("key")
        assert PASSWORD not in shown(info.value)
        await store.aclose()


@pytest.mark.parametrize("scheme", ["rediss", "rediss-cluster"])
async def test_key_without_its_certificate_is_refused_at_once(scheme: str) -> None:
    with pytest.raises(ValueError, match="ssl_certfile"):
        open_state_store(f"{scheme}://db?ssl_keyfile=key")

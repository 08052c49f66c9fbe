"""Redis: the contract on a real server, and what happens when things go wrong.

What a connection does that breaks, hangs or lies is in test_redis_wire.py, and what a
server's kill -9 or a power cut leaves in test_restarts.py. Start at `TestRedisStateStore`.
"""

import errno
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from latency_kv.errors import (
    OutcomeUnknownError,
    StateReadError,
    StateWriteError,
)
from latency_kv.facets.stores import OpenedStateStore
from latency_kv.providers import open_state_store
from latency_kv.providers.redis import RedisStateStore
from latency_kv.providers.redis_failures import cause_of, told
from latency_kv.providers.redis_link import Unsent
from latency_kv.testing.state_store import StateStoreContract
from providers.calls import CALLS, WRITES, Call, by_call, by_write, failure_of, shown
from providers.redis_checks import check_index, connection_count, members
from providers.store_checks import failures_of
from providers.wire import Wire
from servers import HOST, RedisCluster, RedisServer

pytestmark = pytest.mark.anyio

TOGETHER = 40
PATIENCE_S = 30.0

PASSWORD = "hunter2"

# Calls at random, of which some are cancelled, cut off or not answered.
SMALL_ROUNDS, FULL_ROUNDS = 60, 2_000
TASKS = 6


@pytest.fixture
def anyio_backend() -> str:
    """The client knows no other."""
    return "asyncio"


@pytest.fixture(scope="module")
def own_server() -> Iterator[RedisServer]:
    """A server of this module's own, which tests configure and put right again."""
    options = {"enable-debug-command": "yes", "appendonly": "no"}
    with RedisServer(options) as server:
        yield server


@pytest.fixture(scope="module")
def locked_server() -> Iterator[RedisServer]:
    """A server that lets in who knows the password."""
    with RedisServer({"requirepass": PASSWORD}) as server:
        yield server


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisStateStore]:
    """A store in a namespace of its own."""
    async with RedisStateStore(redis_server.url, uuid4().hex) as store:
        yield store


@pytest.fixture
async def own_store(own_server: RedisServer) -> AsyncIterator[RedisStateStore]:
    """A store on the server that may be configured."""
    async with RedisStateStore(own_server.url, uuid4().hex) as store:
        yield store
    own_server.cli("flushall")


class TestRedisStateStore(StateStoreContract):
    capabilities = (OpenedStateStore,)
    strict = True

    @pytest.fixture
    async def provider(
        self, redis_server: RedisServer, store: RedisStateStore
    ) -> RedisStateStore:
        self.server = redis_server
        return store

    @asynccontextmanager
    async def beside(self, provider: Any) -> AsyncIterator[Any]:
        async with RedisStateStore(self.server.url, provider.namespace) as second:
            yield second


async def eventually(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not await anyio.to_thread.run_sync(happened):
            await anyio.sleep(0.01)


# The URL.


async def test_url_names_the_store(redis_server: RedisServer) -> None:
    namespace = uuid4().hex
    url = f"{redis_server.url}/3?timeout=3&pool_size=2"
    store: OpenedStateStore = open_state_store(url, namespace=namespace)
    assert isinstance(store, RedisStateStore) and store.namespace == namespace
    shown_url = f"redis://{HOST}:{redis_server.port}/3?namespace={namespace}"
    assert repr(store) == f"RedisStateStore({shown_url!r})"
    async with store:
        await store.set("a", 1)
    other = open_state_store(f"{redis_server.url}?namespace={namespace}")
    async with other:
        assert await other.get("a") is None
    assert redis_server.cli("-n", "3", "get", f"{namespace}:d:a") == "1\n"


async def test_other_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="redis:"):
        RedisStateStore("postgresql://db")


@pytest.mark.parametrize(
    "url",
    [
        *("unix:/run/redis.sock", "redis+unix:///run/redis.sock"),
        *("redis-sentinel://db:26379/main", "redis+sentinel://db:26379/main"),
    ],
)
async def test_sockets_and_sentinels_are_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="unknown scheme .* redis:"):
        open_state_store(url)


async def test_password_may_have_any_character() -> None:
    password = "a@b:c/d?e#f%67"
    with RedisServer({"requirepass": password}) as server:
        url = f"redis://:a%40b:c%2Fd%3Fe%23f%2567@{HOST}:{server.port}"
        async with RedisStateStore(url) as store:
            await store.set("a", 1)


@pytest.mark.parametrize("name", [None, "default"])
async def test_credentials_may_come_from_the_environment(
    name: str | None, locked_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"redis://{HOST}:{locked_server.port}"
    monkeypatch.setenv("LATENCY_KV_REDIS_PASSWORD", PASSWORD)
    if name is not None:
        monkeypatch.setenv("LATENCY_KV_REDIS_USERNAME", name)
    store = RedisStateStore(url)
    # They are read once, so who starts other processes may take them away.
    monkeypatch.delenv("LATENCY_KV_REDIS_PASSWORD")
    async with store:
        await store.set("a", 1)
    with pytest.raises(StateReadError, match="LATENCY_KV_REDIS_PASSWORD"):
        async with RedisStateStore(url):
            pass


async def test_url_wins_over_the_environment(
    locked_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENCY_KV_REDIS_PASSWORD", "another one")
    async with RedisStateStore(locked_server.url) as store:
        await store.set("a", 1)


# TLS.


@pytest.fixture(scope="module")
def tls_url(certificates: Path) -> Iterator[str]:
    """A server that also wants to see a certificate of its clients."""
    with RedisServer(certificates=certificates) as server:
        yield server.url


async def test_tls_takes_certificates_from_the_url(
    tls_url: str, certificates: Path
) -> None:
    query = "&".join(
        f"ssl_{name}={certificates}/{file}"
        for name, file in [
            ("ca_certs", "ca.pem"),
            ("certfile", "pem"),
            ("keyfile", "key"),
        ]
    )
    store: OpenedStateStore = open_state_store(f"{tls_url}?{query}")
    async with store:
        async with anyio.create_task_group() as tasks:
            for number in range(TOGETHER):
                tasks.start_soon(store.set, f"key:{number}", number)
        assert len(await store.keys()) == TOGETHER
    assert str(certificates) not in repr(store)


async def test_tls_takes_certificates_from_the_environment(
    tls_url: str, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"CA_CERTS": "ca.pem", "CERTFILE": "pem", "KEYFILE": "key"}
    for name, file in files.items():
        monkeypatch.setenv(f"LATENCY_KV_REDIS_{name}", f"{certificates}/{file}")
    async with RedisStateStore(tls_url) as store:
        await store.set("a", 1)
        assert await store.get("a") == 1


@pytest.mark.parametrize("authority", ["", "?ssl_ca_certs={}/rival.pem"])
async def test_server_that_is_somebody_else_is_refused_at_once(
    authority: str, tls_url: str, certificates: Path
) -> None:
    async with Wire(int(tls_url.rpartition(":")[2])) as wire:
        url = wire.url(tls_url) + authority.format(certificates)
        with pytest.raises(StateReadError, match="CERTIFICATE_VERIFY_FAILED"):
            async with RedisStateStore(url):
                pass
        assert wire.connected == 1


async def test_other_name_than_the_certificates_is_refused(
    tls_url: str, certificates: Path
) -> None:
    url = tls_url.replace(HOST, "localhost")
    query = f"ssl_ca_certs={certificates}/ca.pem"
    query += f"&ssl_certfile={certificates}/pem&ssl_keyfile={certificates}/key"
    with pytest.raises(StateReadError, match="CERTIFICATE_VERIFY_FAILED"):
        async with RedisStateStore(f"{url}?{query}"):
            pass
    async with RedisStateStore(f"{url}?{query}&ssl_check_hostname=false") as store:
        await store.set("a", 1)


# Failures.


@by_call
async def test_wrong_password_is_told_of_at_once(
    call: Call, locked_server: RedisServer
) -> None:
    async with Wire(locked_server.port) as wire:
        for secret in ("", "me:swordfish@", ":swordfish@"):
            store = RedisStateStore(f"redis://{secret}{HOST}:{wire.port}")
            before = wire.connected
            with pytest.raises(
                failure_of(call), match="LATENCY_KV_REDIS_PASSWORD"
            ) as info:
                await call(store)
            assert isinstance(info.value, OSError)
            assert info.value.errno == errno.EACCES
            assert "swordfish" not in shown(info.value) + repr(store)
            assert wire.connected == before + 1
            await store.aclose()


async def test_password_for_a_server_without_one_is_told_of(
    redis_server: RedisServer,
) -> None:
    url = f"redis://:{PASSWORD}@{HOST}:{redis_server.port}"
    with pytest.raises(StateReadError, match="LATENCY_KV_REDIS_PASSWORD") as info:
        async with RedisStateStore(url):
            pass
    assert PASSWORD not in shown(info.value)


def test_message_of_newer_servers_shows_no_user() -> None:
    said = "User alice has no permissions to run the 'get' command"
    refusal = NoPermissionError(said, status_code="NOPERM")
    for failure in (
        refusal,
        Unsent(f"there is no connection: {said}", refusal),
        AuthenticationError("alice", status_code="WRONGPASS"),
    ):
        cause = cause_of(failure)
        assert isinstance(cause, RedisError)
        assert "alice" not in told(failure) + str(cause) + repr(cause.args)


async def test_missing_database_is_told_of(redis_server: RedisServer) -> None:
    with pytest.raises(StateReadError, match="out of range"):
        async with RedisStateStore(f"{redis_server.url}/999"):
            pass


async def test_user_who_may_not_is_told_of(own_server: RedisServer) -> None:
    own_server.cli(
        *("acl", "setuser", "alice", "on", f">{PASSWORD}", "~mine:*", "~n*"),
        *("+get", "+exists", "+ping", "+evalsha", "+eval", "+pttl", "+zrangebylex"),
    )
    url = own_server.url.replace("//", f"//alice:{PASSWORD}@")
    async with RedisStateStore(url, "mine") as store:
        assert await store.keys() == [] and await store.get("a") is None
        with pytest.raises(StateWriteError, match="NOPERM") as info:
            await store.set("key", 1)
        assert info.value.errno == errno.EACCES
        assert "alice" not in str(info.value)
    async with RedisStateStore(url, "other") as store:
        for call in CALLS.values():
            with pytest.raises((StateReadError, StateWriteError), match="NAMESPACE"):
                await call(store)
    # Not even half of a write is left of one that may make half of it.
    own_server.cli("acl", "setuser", "alice", "+zadd")
    async with RedisStateStore(url, "n") as store:
        with pytest.raises(StateWriteError, match="NOPERM"):
            await store.set("key", 1)
        assert await store.has("key") is False and await store.keys() == []
        own_server.cli("acl", "setuser", "alice", "+set", "+del")
        await store.set("key", 1)
        with pytest.raises(StateWriteError, match="NOPERM"):
            await store.delete("key")
        assert await store.keys() == []
    own_server.cli("acl", "deluser", "alice")


@pytest.mark.usefixtures("impatient")
async def test_server_that_was_restarted_is_found_again() -> None:
    with RedisServer({"appendonly": "yes"}) as server:
        async with RedisStateStore(server.url) as store:
            await store.set("a", 1)
            server.stop()
            with pytest.raises(StateReadError):
                await store.get("a")
            with pytest.raises(StateWriteError):
                await store.set("a", 2)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, server.start)
                with anyio.fail_after(PATIENCE_S):
                    while True:
                        with suppress(StateReadError):
                            # It forgot the scripts, too.
                            assert await store.keys() == ["a"]
                            break
            assert await store.get("a") == 1
            await store.set("b", 2)


async def test_server_that_loads_is_waited_for(
    own_server: RedisServer, own_store: RedisStateStore
) -> None:
    values = {f"key:{number:03}": number for number in range(300)}
    await own_store.set_many(values)
    own_server.cli("config", "set", "loading-process-events-interval-bytes", "1024")
    own_server.cli("config", "set", "key-load-delay", "1000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, own_server.cli, "debug", "reload")
        loading = 0
        with anyio.fail_after(PATIENCE_S):
            while not loading:
                info = await anyio.to_thread.run_sync(own_server.cli, "info")
                loading = "loading:1" in info
        other = RedisStateStore(own_server.url, own_store.namespace)
        # On a connection that was there before, where a refusal is an answer.
        await own_store.set("key:007", 8)
        assert await own_store.get("key:008") == 8
        assert len(await other.keys()) == len(values)
        await other.aclose()
    own_server.cli("config", "set", "key-load-delay", "0")
    assert await own_store.get("key:007") == 8


@pytest.mark.usefixtures("impatient")
async def test_server_that_loads_for_long_is_told_of(
    own_server: RedisServer, own_store: RedisStateStore
) -> None:
    await own_store.set_many({f"key:{number}": number for number in range(2_000)})
    own_server.cli("config", "set", "loading-process-events-interval-bytes", "1024")
    own_server.cli("config", "set", "key-load-delay", "2000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, own_server.cli, "debug", "reload")
        await eventually(lambda: "loading:1" in own_server.cli("info"))
        errors = await failures_of(own_store)
        assert all("try again later" in str(error) for error in errors.values())
        # It may be told to hurry.
        own_server.cli("config", "set", "key-load-delay", "0")
    assert len(await own_store.keys()) == 2_000


async def test_server_with_a_long_script_is_waited_for(
    own_server: RedisServer, own_store: RedisStateStore
) -> None:
    await own_store.set("a", 1)
    own_server.cli("config", "set", "busy-reply-threshold", "10")

    def run_script() -> None:
        with suppress(AssertionError):
            own_server.cli("eval", "while true do end", "0")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, run_script)

        async def is_busy() -> bool:
            try:
                await anyio.to_thread.run_sync(own_server.cli, "get", "a")
            except AssertionError:
                return True
            return False

        with anyio.fail_after(PATIENCE_S):
            while not await is_busy():
                await anyio.sleep(0.01)
        errors = await failures_of(own_store)
        for call, error in errors.items():
            assert type(error) is failure_of(call) and "CLIENT LIST" in str(error)
        tasks.start_soon(own_store.set, "a", 3)
        await anyio.sleep(0.1)
        await anyio.to_thread.run_sync(own_server.cli, "script", "kill")
    assert await own_store.get("a") == 3


async def test_full_server_refuses_writes(
    own_server: RedisServer, own_store: RedisStateStore
) -> None:
    await own_store.set("a", "old")
    await own_store.set("b", "old", ttl=3_600)
    for size in ("1mb", "1"):
        own_server.cli("config", "set", "maxmemory", size)
    try:
        for call in (
            own_store.set("a", "new"),
            own_store.set("c", "new", ttl=5),
            own_store.set_if_absent("c", "new"),
            own_store.compare_and_set("a", "old", "new"),
            own_store.set_many({"a": "new", "c": "new"}),
        ):
            with pytest.raises(StateWriteError, match="raise its maxmemory") as info:
                await call
            assert info.value.errno == errno.ENOSPC
        assert await own_store.get_many("abc") == ["old", "old", None]
        assert await own_store.keys() == ["a", "b"]
        # That makes room.
        assert await own_store.delete("b") is True
        assert await own_store.keys() == ["a"]
    finally:
        own_server.cli("config", "set", "maxmemory", "0")
    assert check_index([own_server], own_store.namespace) == 1


async def test_replica_reads_and_refuses_writes(redis_server: RedisServer) -> None:
    namespace = uuid4().hex
    async with RedisStateStore(redis_server.url, namespace) as master:
        await master.set("key", "old")
        await master.set("b", 1, ttl=0.05)
        with RedisServer() as replica:
            redis_server.cli("config", "set", "repl-diskless-sync-delay", "0")
            replica.cli("replicaof", HOST, f"{redis_server.port}")
            await eventually(lambda: "master_link_status:up" in replica.cli("info"))
            await anyio.sleep(0.1)
            async with RedisStateStore(replica.url, namespace) as store:
                assert await store.get("key") == "old"
                # It cannot tidy up, but tells the truth.
                assert await store.keys() == ["key"]
                assert await store.set_if_absent("key", "new") is False
                assert await store.compare_and_set("key", 1, "new") is False
                calls = {**WRITES}
                calls["set_if_absent"] = lambda store: store.set_if_absent("a", "new")
                for call in calls.values():
                    with pytest.raises(StateWriteError, match="master") as info:
                        await call(store)
                    assert info.value.errno == errno.EROFS


@pytest.mark.usefixtures("impatient")
async def test_server_that_lacks_its_replicas_refuses_writes(
    own_server: RedisServer, own_store: RedisStateStore
) -> None:
    await own_store.set("a", 1)
    await own_store.set("b", 1, ttl=0.05)
    own_server.cli("config", "set", "min-replicas-to-write", "1")
    try:
        await anyio.sleep(0.1)
        with pytest.raises(StateWriteError, match="min-replicas-to-write"):
            await own_store.set("a", 2)
        # What it cannot tidy up now is not listed all the same.
        assert await own_store.keys() == ["a"]
        assert await own_store.get("a") == 1
    finally:
        own_server.cli("config", "set", "min-replicas-to-write", "0")


@pytest.mark.usefixtures("impatient")
async def test_too_many_connections_are_told_of(
    own_server: RedisServer, own_store: RedisStateStore
) -> None:
    await own_store.set("a", 1)
    clients = connection_count(own_server)
    # One more, for redis-cli, which has to set it back when `other` is closed.
    own_server.cli("config", "set", "maxclients", f"{clients + 1}")
    store = RedisStateStore(own_server.url, own_store.namespace)
    async with RedisStateStore(own_server.url, own_store.namespace):
        errors = await failures_of(store)
        assert all("max number of clients" in str(error) for error in errors.values())

    def is_set_back() -> bool:
        with suppress(AssertionError):
            return "OK" in own_server.cli("config", "set", "maxclients", "1000")
        return False

    await eventually(is_set_back)
    await store.set("a", 2)
    await store.aclose()


@by_call
async def test_node_of_a_cluster_is_told_of(
    call: Call, redis_cluster: RedisCluster
) -> None:
    namespace = uuid4().hex
    refused = 0
    for node in redis_cluster.masters():
        async with RedisStateStore(node.url, namespace) as store:
            try:
                await call(store)
            except failure_of(call) as error:
                assert "use redis-cluster:" in str(error)
                refused += 1
    assert refused >= len(redis_cluster.masters()) - 1


# What is stored.


@pytest.mark.parametrize("command", [["rpush"], ["hset", "{}", "field"]])
async def test_what_is_somebody_elses_is_told_of(
    command: list[str], redis_server: RedisServer, store: RedisStateStore
) -> None:
    name = f"{store.namespace}:d:key"
    verb, *rest = command
    redis_server.cli(verb, name, *rest[1:], "value")
    for call in (store.get("key"), store.get_many(["a", "key"])):
        with pytest.raises(StateReadError, match="somebody else's") as info:
            await call
        assert info.value.key == "key"
    with pytest.raises(StateWriteError, match="somebody else's"):
        await store.compare_and_set("key", 1, 2)
    await store.set("key", 1)
    assert await store.get("key") == 1


@by_write
async def test_index_that_is_somebody_elses_changes_no_value(
    write: Call, redis_server: RedisServer, store: RedisStateStore
) -> None:
    redis_server.cli("set", f"{store.namespace}:i", "mine")
    redis_server.cli("set", f"{store.namespace}:d:key", '"old"')
    if write is WRITES["set_if_absent"]:
        redis_server.cli("del", f"{store.namespace}:d:key")
    before = await store.get("key", "gone")
    with pytest.raises(StateWriteError, match="somebody else's"):
        await write(store)
    if write is not WRITES["delete"]:
        assert await store.get("key", "gone") == before
    with pytest.raises(StateReadError, match="somebody else's"):
        await store.keys()


async def test_value_that_is_too_large_is_not_sent(
    own_server: RedisServer, own_store: RedisStateStore
) -> None:
    own_server.cli("config", "set", "proto-max-bulk-len", f"{2 << 20}")
    fits, large = "x" * ((2 << 20) - 2), "x" * (2 << 20)
    await own_store.set("a", fits)
    assert await own_store.get("a") == fits
    for call in (
        own_store.set("a", large),
        own_store.set_if_absent("b", large),
        own_store.compare_and_set("a", fits, large),
        own_store.compare_and_set("a", large, 1),
        own_store.set_many({"b": 1, "c": large}),
    ):
        with pytest.raises(StateWriteError, match="proto-max-bulk-len") as info:
            await call
        assert info.value.key != "c"
    assert await own_store.keys() == ["a"] and await own_store.get("a") == fits
    own_server.cli("config", "set", "proto-max-bulk-len", f"{512 << 20}")


async def test_who_may_not_ask_for_the_limit_may_store(own_server: RedisServer) -> None:
    own_server.cli("acl", "setuser", "bob", "on", "nopass", "~*", "+@all", "-config")
    url = own_server.url.replace("//", "//bob:x@")
    async with RedisStateStore(url) as store:
        value = "x" * (2 << 20)
        await store.set("a", value)
        assert await store.get("a") == value
    own_server.cli("acl", "deluser", "bob")


# The index.


HOSTILE = ["", "\0", "\0\0", "[", "[a", "(", "(a", "+", "-", "\x7f", "a", "a\0", "a\0b"]
HOSTILE += ["{", "{1}", "}", ":d:", ":i", "\u00ff", "\ufffd", "\uffff", "\U0010ffff"]
HOSTILE += ["*", "?", "[a-z]", "\\", "\r\n", " ", "%s", "'", '"', "\U0010fffe"]


async def test_prefix_may_be_any_text(store: RedisStateStore, seed: int) -> None:
    random = Random(seed)
    keys = {*HOSTILE, *(a + b for a in HOSTILE for b in HOSTILE)}
    shuffled = random.sample(sorted(keys), len(keys))
    await store.set_many({key: [key] for key in shuffled[::2]})
    for key in shuffled[1::2]:
        await store.set(key, [key])
    ordered = sorted(keys, key=str.encode)
    for prefix in [*HOSTILE, "aa", "[[", "((", "\U0010ffff\U0010ffff\0"]:
        expected = [key for key in ordered if key.startswith(prefix)]
        assert await store.keys(prefix) == expected
        assert [key async for key in store.iter_keys(prefix)] == expected
    assert await store.get_many(ordered) == [[key] for key in ordered]
    for key in shuffled:
        assert await store.delete(key) is True
    assert await store.keys() == []


async def test_index_follows_each_write(
    redis_server: RedisServer, store: RedisStateStore
) -> None:
    """Not just when somebody lists, which mends it."""
    namespace = store.namespace
    for call in WRITES.values():
        await call(store)
        assert check_index([redis_server], namespace) == (call is not WRITES["delete"])
    await store.delete("key")
    await WRITES["set_if_absent"](store)
    assert check_index([redis_server], namespace) == 1
    # In the layout that is told.
    await store.set("caf\u00e9", [1])
    assert redis_server.cli("get", f"{namespace}:d:caf\u00e9") == "[1]\n"
    assert redis_server.cli("zscore", f"{namespace}:i", "caf\u00e9") == "0\n"


async def test_what_is_over_is_removed_from_the_index_by_listing(
    redis_server: RedisServer, store: RedisStateStore
) -> None:
    await store.set_many({f"key:{number}": number for number in range(10)})
    for number in range(5):
        await store.set(f"key:{number}", number, ttl=0.02)
    assert len(members(redis_server, store.namespace)) == 10
    await anyio.sleep(0.05)
    assert await store.keys("key:") == [f"key:{number}" for number in range(5, 10)]
    assert check_index([redis_server], store.namespace) == 5


async def test_what_is_over_and_never_listed_does_not_pile_up(
    redis_server: RedisServer, store: RedisStateStore
) -> None:
    await store.set_many({f"kept:{number}": number for number in range(20)})
    for number in range(600):
        await store.set(f"key:{number}", number, ttl=0.001)
    assert len(members(redis_server, store.namespace)) < 200
    assert len(await store.keys()) - 20 <= 5
    assert await store.get_many(f"kept:{number}" for number in range(20)) == [
        *range(20)
    ]


async def test_pages_of_what_is_over_are_passed_over(store: RedisStateStore) -> None:
    names = [f"key:{number:04}" for number in range(3_000)]
    await store.set_many(dict.fromkeys(names))
    async with anyio.create_task_group() as tasks:
        for name in names[:-1]:
            tasks.start_soon(_set_for_a_moment, store, name)
    await anyio.sleep(0.02)
    assert await store.keys() == [names[-1]]


async def _set_for_a_moment(store: RedisStateStore, key: str) -> None:
    await store.set(key, 1, ttl=0.001)


async def test_servers_clock_decides(
    redis_server: RedisServer, store: RedisStateStore
) -> None:
    await store.set("a", 1, ttl=3_600)
    await store.set("b", 1, ttl=3_600)
    redis_server.cli("pexpire", f"{store.namespace}:d:a", "0")
    assert await store.keys() == ["b"] and await store.has("a") is False
    assert await store.set_if_absent("a", 2) is True
    assert redis_server.cli("pttl", f"{store.namespace}:d:a") == "-1\n"


# Cancellation, and everything at once.


async def test_index_is_equal_to_the_values_after_chaos(
    redis_server: RedisServer, full: bool, seed: int
) -> None:
    """Calls cut off, not answered and cancelled, scripts forgotten, by two stores."""
    random = Random(seed)
    namespace = uuid4().hex
    errors = 0

    async def call(store: RedisStateStore) -> None:
        nonlocal errors
        key, other = (f"{random.randrange(40)}" for _ in range(2))
        calls: list[Call] = [
            lambda store: store.set(key, other),
            lambda store: store.set(key, other, ttl=random.choice([0.001, 3_600])),
            lambda store: store.delete(key),
            lambda store: store.set_if_absent(key, other),
            lambda store: store.compare_and_set(key, str(random.randrange(40)), other),
            lambda store: store.set_many({key: other, other: key}),
            lambda store: store.keys(key),
        ]
        try:
            await random.choice(calls)(store)
        except (OutcomeUnknownError, StateReadError):
            errors += 1

    async with Wire(redis_server.port) as wire:
        url = wire.url(redis_server.url)
        store = RedisStateStore(url, namespace, timeout=0.2, pool_size=3)
        other = RedisStateStore(redis_server.url, namespace)
        for _ in range(FULL_ROUNDS if full else SMALL_ROUNDS):
            wire.next = random.choice(["cut", "deafen", None, None])
            if random.random() < 0.1:
                redis_server.cli("script", "flush")
            with anyio.move_on_after(random.uniform(0.001, 0.05)):
                async with anyio.create_task_group() as tasks:
                    for number in range(TASKS):
                        tasks.start_soon(call, other if number % 2 else store)
        wire.next = None
        assert errors, "nothing was lost"
        await anyio.sleep(0.01)
        listed = await other.keys()
        assert check_index([redis_server], namespace) == len(listed)
        found = await other.get_many(listed)
        assert None not in found
        await store.aclose()
        await other.aclose()

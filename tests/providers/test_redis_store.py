"""Redis: the contract on a real server, and what happens when things go wrong.

What a server's kill -9 or a power cut leaves is in test_restarts.py. Start at
`TestRedisStateStore`.
"""

import asyncio
import errno
import os
import pickle
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from redis.asyncio import Connection
from redis.exceptions import AuthenticationError, NoPermissionError

from latency_kv.errors import (
    OutcomeUnknownError,
    StateError,
    StateParseError,
    StateReadError,
    StateWriteError,
)
from latency_kv.facets.stores import OpenedStateStore
from latency_kv.providers import open_state_store, redis, redis_states
from latency_kv.providers.redis import RedisStateStore
from latency_kv.providers.redis_failures import told
from latency_kv.testing.state_store import StateStoreContract
from providers.redis_checks import (
    CALLS,
    KEYLESS,
    READS,
    WRITES,
    Call,
    check_index,
    members,
    shown,
)
from providers.wire import Wire
from servers import HOST, RedisCluster, RedisServer, free_port

pytestmark = pytest.mark.anyio

by_read = pytest.mark.parametrize("read", READS.values(), ids=READS)
by_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
by_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)

TOGETHER = 40
PATIENCE_S = 30.0

# Of a store on the wire: long enough for any answer that comes.
TIMEOUT_S = 1.0

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


@pytest.fixture
async def wire(redis_server: RedisServer) -> AsyncIterator[Wire]:
    """A way to the server that fails when it is told to."""
    async with Wire(redis_server.port) as wire:
        yield wire


@pytest.fixture
async def wired(
    wire: Wire, redis_server: RedisServer
) -> AsyncIterator[RedisStateStore]:
    """A store on the wire, with one connection, on a server that knows each script."""
    url = wire.url(redis_server.url)
    store = RedisStateStore(url, uuid4().hex, pool_size=1, timeout=TIMEOUT_S)
    async with store:
        for call in CALLS.values():
            await call(store)
        await store.set("key", "old")
        yield store


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


def connection_count(server: RedisServer) -> int:
    """How many clients there are, besides the one that asks."""
    return len(server.cli("client", "list").splitlines()) - 1


# The URL, the constructor, the end.


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


@pytest.mark.parametrize(
    "rest",
    [
        *("?tiemout=3", "?timeout=soon", "?timeout=0", "?timeout=nan", "?pool_size=0"),
        *("?pool_size=1.5", "?ssl_ca_certs=ca.pem", "/shop", "/-1", "/0/1", "?db=1"),
    ],
)
async def test_wrong_option_is_refused_at_once(rest: str) -> None:
    with pytest.raises(ValueError):
        open_state_store(f"redis://db{rest}")


@pytest.mark.parametrize("limits", [{"timeout": -1}, {"pool_size": 0}])
async def test_wrong_limit_is_refused_at_once(limits: Any) -> None:
    with pytest.raises(ValueError):
        RedisStateStore("redis://db", **limits)


async def test_other_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="redis:"):
        RedisStateStore("postgresql://db")


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


async def test_closed_store_does_nothing_any_more(redis_server: RedisServer) -> None:
    clients = connection_count(redis_server)
    store = RedisStateStore(redis_server.url, uuid4().hex)
    before = asyncio.all_tasks()
    descriptors = len(os.listdir("/proc/self/fd"))
    async with store, anyio.create_task_group() as tasks:
        for number in range(TOGETHER):
            tasks.start_soon(store.set, f"key:{number}", number)
    await store.aclose()
    assert asyncio.all_tasks() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
    await eventually(lambda: connection_count(redis_server) <= clients)
    for call in CALLS.values():
        with pytest.raises(RuntimeError, match="closed"):
            await call(store)
    with pytest.raises(RuntimeError, match="closed"):
        await store.__aenter__()
    with pytest.raises(RuntimeError, match="closed"):
        store.iter_keys()


async def test_store_that_was_never_opened_closes() -> None:
    store = RedisStateStore("redis://nowhere.invalid")
    await store.aclose()
    await store.aclose()


async def test_close_waits_for_what_goes_on(
    redis_server: RedisServer, store: RedisStateStore
) -> None:
    other = RedisStateStore(redis_server.url, store.namespace, pool_size=2)
    async with anyio.create_task_group() as tasks:
        for number in range(TOGETHER):
            tasks.start_soon(other.set, f"key:{number:02}", number)
        await anyio.lowlevel.checkpoint()
        await other.aclose()
        assert len(await store.keys()) == TOGETHER


async def test_cancelled_close_leaves_no_connection(redis_server: RedisServer) -> None:
    """Not that of an operation that goes on either, when it is over."""
    store = RedisStateStore(redis_server.url, uuid4().hex)
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        async with anyio.create_task_group() as tasks:
            for number in range(TOGETHER):
                tasks.start_soon(store.set, f"key:{number}", number)
    pages = store.iter_keys()
    await anext(pages)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.set, "a", 1)
        await anyio.lowlevel.checkpoint()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.aclose()
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    assert len(os.listdir("/proc/self/fd")) == descriptors


async def test_close_does_not_wait_for_a_server_that_hangs() -> None:
    with RedisServer() as server:
        store = RedisStateStore(server.url, timeout=0.5)
        await store.set("a", 1)
        server.pause()
        try:
            with anyio.fail_after(PATIENCE_S):
                with pytest.raises(OutcomeUnknownError, match="no answer"):
                    await store.set("a", 2)
                with pytest.raises(StateReadError, match="no connection"):
                    await store.get("a")
                await store.aclose()
        finally:
            server.resume()


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_other_loop_than_asyncio_is_refused(anyio_backend: str) -> None:
    store = RedisStateStore("redis://nowhere.invalid")
    for call in CALLS.values():
        with pytest.raises(RuntimeError, match="asyncio only"):
            await call(store)
    with pytest.raises(RuntimeError, match="asyncio only"):
        await store.__aenter__()
    await store.aclose()


def test_store_belongs_to_one_loop(redis_server: RedisServer) -> None:
    store = RedisStateStore(redis_server.url, uuid4().hex)

    async def first() -> None:
        await store.set("a", 1)
        with pytest.raises(RuntimeError, match="another event loop"):
            await anyio.to_thread.run_sync(asyncio.run, store.get("a"))
        await store.aclose()

    asyncio.run(first())


# TLS.


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """A folder with an authority, a certificate of its own for loopback, and a rival."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def openssl(*arguments: str) -> None:
            command = ["openssl", *arguments]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)

        curve = "ec_paramgen_curve:prime256v1"
        new_key = "-newkey", "ec", "-pkeyopt", curve, "-nodes", "-keyout"
        for ca in ("ca", "rival"):
            subject = "-subj", f"/CN={ca}", "-addext", "keyUsage=critical,keyCertSign"
            out = "-days", "2", "-out", f"{ca}.pem"
            openssl("req", "-x509", *new_key, f"{ca}.key", *subject, *out)
        openssl("req", *new_key, "key", "-subj", "/CN=server", "-out", "request")
        (folder / "names").write_text(
            f"subjectAltName=IP:{HOST}\nauthorityKeyIdentifier=keyid\n"
        )
        signing = "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"
        signed = "-extfile", "names", "-days", "2", "-out", "pem"
        openssl("x509", "-req", "-in", "request", *signing, *signed)
        # The server may be somebody else.
        folder.chmod(0o755)
        for path in folder.iterdir():
            path.chmod(0o644)
        yield folder


@pytest.fixture(scope="module")
def tls_url(certificates: Path) -> Iterator[str]:
    """A server that also wants to see a certificate of its clients."""
    port = free_port()
    options = {
        "tls-port": f"{port}",
        "tls-ca-cert-file": f"{certificates}/ca.pem",
        "tls-cert-file": f"{certificates}/pem",
        "tls-key-file": f"{certificates}/key",
    }
    with RedisServer(options):
        yield f"rediss://{HOST}:{port}"


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


async def failures_of(
    store: RedisStateStore, calls: Iterable[Call]
) -> dict[Call, StateError]:
    """Make the calls side by side, and return what each raises."""
    errors: dict[Call, StateError] = {}

    async def note(call: Call) -> None:
        with pytest.raises((StateReadError, StateWriteError)) as info:
            await call(store)
        errors[call] = info.value

    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(note, call)
    return errors


async def test_refused_connection_is_told_of() -> None:
    port = free_port()
    store = RedisStateStore(f"redis://me:{PASSWORD}@{HOST}:{port}/1", "n")
    errors = await failures_of(store, CALLS.values())
    for call, error in errors.items():
        kind = StateReadError if call in READS.values() else StateWriteError
        assert type(error) is kind
        assert error.store == f"redis://{HOST}:{port}/1?namespace=n"
        assert error.key == (None if call in KEYLESS else "key")
        assert "there is no connection" in str(error)
        assert PASSWORD not in shown(error)
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.key) == (str(error), error.key)
    await store.aclose()


@by_call
async def test_wrong_password_is_told_of_at_once(
    call: Call, locked_server: RedisServer
) -> None:
    async with Wire(locked_server.port) as wire:
        for secret in ("", "me:swordfish@", ":swordfish@"):
            store = RedisStateStore(f"redis://{secret}{HOST}:{wire.port}")
            before = wire.connected
            kind = StateReadError if call in READS.values() else StateWriteError
            with pytest.raises(kind, match="LATENCY_KV_REDIS_PASSWORD") as info:
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
    assert "alice" not in told(NoPermissionError(said, status_code="NOPERM"))
    assert "alice" not in told(AuthenticationError("alice", status_code="WRONGPASS"))


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


def end_connections(server: RedisServer) -> None:
    server.cli("client", "kill", "type", "normal", "skipme", "yes")


@by_call
async def test_ended_connection_is_made_anew(
    call: Call, redis_server: RedisServer, wired: RedisStateStore
) -> None:
    """Since the store sees the end, nothing is sent that could be lost."""
    end_connections(redis_server)
    await anyio.sleep(0.05)
    await call(wired)


@by_write
async def test_write_that_was_not_sent_is_sent_again(
    write: Call, wire: Wire, redis_server: RedisServer, wired: RedisStateStore
) -> None:
    end_connections(redis_server)
    await anyio.sleep(0.05)
    wire.refuse = 3
    await write(wired)
    assert wire.refused == 3


@by_write
async def test_write_whose_answer_was_lost_is_unknown(
    write: Call, wire: Wire, wired: RedisStateStore
) -> None:
    before = wire.passed
    wire.next = "deafen"
    with pytest.raises(OutcomeUnknownError) as info:
        await write(wired)
    assert wire.passed == before + 1, "it was sent again"
    assert "may have been applied" in str(info.value)
    assert info.value.key == (None if write in KEYLESS else "key")
    kept = write is WRITES["set_if_absent"]
    gone = write is WRITES["delete"]
    assert await wired.get("key", "gone") == (
        "old" if kept else "gone" if gone else "new"
    )


@by_write
async def test_write_that_was_lost_on_its_way_is_unknown(
    write: Call, wire: Wire, wired: RedisStateStore
) -> None:
    before = wire.passed
    wire.next = "cut"
    with pytest.raises(OutcomeUnknownError):
        await write(wired)
    assert wire.passed == before, "it was sent again"
    assert await wired.get("key") == "old"


async def test_connection_that_was_closed_from_elsewhere_is_a_lost_one(
    wired: RedisStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has no word for it, and it may have sent something."""

    async def send(*arguments: Any, **options: Any) -> None:
        raise AttributeError("'NoneType' object has no attribute 'writelines'")

    monkeypatch.setattr(Connection, "send_packed_command", send)
    with pytest.raises(OutcomeUnknownError, match="it was closed"):
        await wired.set("key", "new")
    monkeypatch.undo()
    assert await wired.get("key") == "old"


@by_read
@pytest.mark.parametrize("fault", ["cut", "deafen"])
async def test_read_that_was_lost_is_repeated(
    read: Call, fault: Any, wire: Wire, wired: RedisStateStore
) -> None:
    expected = await read(wired)
    wire.next = fault
    assert await read(wired) == expected


@by_call
async def test_answer_that_does_not_come_is_not_waited_for(
    call: Call, wire: Wire, wired: RedisStateStore
) -> None:
    wire.next = "hang"
    kind = StateReadError if call in READS.values() else OutcomeUnknownError
    with (
        anyio.fail_after(PATIENCE_S),
        pytest.raises(kind, match=f"within {TIMEOUT_S:g} s"),
    ):
        await call(wired)
    assert await wired.get("key") == "old"


@by_call
async def test_forgotten_script_is_sent_again(
    call: Call, wire: Wire, redis_server: RedisServer, wired: RedisStateStore
) -> None:
    expected = await call(wired) if call in READS.values() else None
    before = wire.passed
    await call(wired)
    usual = wire.passed - before
    await wired.set("key", "old")
    redis_server.cli("script", "flush")
    before = wire.passed
    answer = await call(wired)
    plain = call in READS.values() and call is not READS["keys"]
    assert wire.passed - before == usual + (0 if plain else 1)
    if call in READS.values():
        assert answer == expected
    else:
        kept = call is WRITES["set_if_absent"]
        gone = call is WRITES["delete"]
        assert await wired.get("key", "gone") == (
            "old" if kept else "gone" if gone else "new"
        )


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


async def test_server_that_loads_for_long_is_told_of(
    own_server: RedisServer, own_store: RedisStateStore
) -> None:
    await own_store.set_many({f"key:{number}": number for number in range(600)})
    own_server.cli("config", "set", "loading-process-events-interval-bytes", "1024")
    own_server.cli("config", "set", "key-load-delay", "20000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, own_server.cli, "debug", "reload")
        await eventually(lambda: "loading:1" in own_server.cli("info"))
        errors = await failures_of(own_store, CALLS.values())
        assert all("try again later" in str(error) for error in errors.values())
        # It may be told to hurry.
        own_server.cli("config", "set", "key-load-delay", "0")
    assert len(await own_store.keys()) == 600


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
        with pytest.raises(StateReadError, match="CLIENT LIST"):
            await own_store.get("a")
        with pytest.raises(StateWriteError, match="CLIENT LIST"):
            await own_store.set("a", 2)
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
    assert check_index(own_server, own_store.namespace) == 1


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


async def test_too_many_connections_are_told_of(
    own_server: RedisServer, own_store: RedisStateStore
) -> None:
    await own_store.set("a", 1)
    clients = connection_count(own_server)
    # One more, for redis-cli, which has to set it back when `other` is closed.
    own_server.cli("config", "set", "maxclients", f"{clients + 1}")
    store = RedisStateStore(own_server.url, own_store.namespace)
    async with RedisStateStore(own_server.url, own_store.namespace):
        errors = await failures_of(store, CALLS.values())
        assert all("max number of clients" in str(error) for error in errors.values())

    def is_set_back() -> bool:
        with suppress(AssertionError):
            return "OK" in own_server.cli("config", "set", "maxclients", "1000")
        return False

    await eventually(is_set_back)
    await store.set("a", 2)
    await store.aclose()


async def test_no_more_connections_are_made_than_asked_for(
    own_server: RedisServer,
) -> None:
    before = connection_count(own_server)
    store = RedisStateStore(f"{own_server.url}?pool_size=3", uuid4().hex)
    counts = []
    async with store, anyio.create_task_group() as tasks:
        for number in range(TOGETHER):
            tasks.start_soon(store.set, f"key:{number}", number)
        for _ in range(5):
            counts.append(connection_count(own_server) - before)
            await anyio.lowlevel.checkpoint()
    assert max(counts) <= 3


async def test_waiting_for_a_connection_has_an_end(
    redis_server: RedisServer, wire: Wire
) -> None:
    url = wire.url(redis_server.url)
    async with RedisStateStore(url, uuid4().hex, pool_size=1, timeout=0.4) as store:
        wire.next = "hang"
        async with anyio.create_task_group() as tasks:

            async def hang() -> None:
                with pytest.raises(OutcomeUnknownError):
                    await store.set("a", 1)

            tasks.start_soon(hang)
            await anyio.sleep(0.1)
            store._options = store._options._replace(timeout=0.1)
            with pytest.raises(StateWriteError, match="none was free"):
                await store.set("b", 1)


@by_call
async def test_node_of_a_cluster_is_told_of(
    call: Call, redis_cluster: RedisCluster
) -> None:
    namespace = uuid4().hex
    kind = StateReadError if call in READS.values() else StateWriteError
    refused = 0
    for node in redis_cluster.masters():
        async with RedisStateStore(node.url, namespace) as store:
            try:
                await call(store)
            except kind as error:
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


async def test_stored_bytes_that_are_no_value_are_told_of(
    redis_server: RedisServer, store: RedisStateStore
) -> None:
    redis_server.cli("set", f"{store.namespace}:d:key", "nonsense")
    for call in (store.get("key"), store.get_many(["a", "key"])):
        with pytest.raises(StateParseError) as info:
            await call
        assert (info.value.key, info.value.text) == ("key", "nonsense")


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


async def test_longest_key_is_stored_and_a_longer_one_refused(
    store: RedisStateStore,
) -> None:
    key = "k" * redis_states.MAX_KEY_SIZE
    await store.set(key, 1)
    assert await store.get(key) == 1
    assert await store.keys("kk") == [key]
    for call in (store.get, store.has, store.delete):
        with pytest.raises(ValueError, match="at most"):
            await call(f"{key}x")
    with pytest.raises(ValueError, match="at most"):
        await store.set_many({"a": 1, f"{key}x": 1})
    assert await store.keys() == [key]


async def test_set_many_is_one_or_none(
    wire: Wire, wired: RedisStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = wire.passed
    await wired.set_many({"key": "old", "a": 1, "b": 2})
    assert wire.passed == before + 1
    await wired.delete("a")
    await wired.delete("b")
    values = {f"key:{number:05}": number for number in range(5_000)}
    wire.next = "cut"
    with pytest.raises(OutcomeUnknownError):
        await wired.set_many(values)
    assert await wired.keys() == ["key"]
    await wired.set_many(values)
    assert await wired.keys("key:") == list(values)
    assert await wired.get_many(values) == list(values.values())
    monkeypatch.setattr(redis, "MAX_SET_MANY", 10)
    with pytest.raises(ValueError, match="at most 10"):
        await wired.set_many(dict.fromkeys(values, 0))
    assert await wired.get("key:00007") == 7


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


async def test_pages_are_asked_for_as_they_are_needed(
    wire: Wire, wired: RedisStateStore
) -> None:
    await wired.delete("key")
    keys = [f"key:{number:05}" for number in range(10_000)]
    await wired.set_many(dict.fromkeys(keys))
    before = wire.passed
    iterator = wired.iter_keys("key:")
    assert wire.passed == before
    assert await anext(iterator) == keys[0]
    assert wire.passed == before + 1
    assert [key async for key in iterator] == keys[1:]
    assert wire.passed > before + 5


async def test_index_follows_each_write(
    redis_server: RedisServer, store: RedisStateStore
) -> None:
    """Not just when somebody lists, which mends it."""
    namespace = store.namespace
    for call in WRITES.values():
        await call(store)
        assert check_index(redis_server, namespace) == (call is not WRITES["delete"])
    await store.delete("key")
    await WRITES["set_if_absent"](store)
    assert check_index(redis_server, namespace) == 1
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
    assert check_index(redis_server, store.namespace) == 5


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


async def test_key_that_ends_while_a_page_is_read_is_left_out(
    store: RedisStateStore,
) -> None:
    await store.set("a", 1)
    await store.set("b", 1, ttl=0.1)
    await store.set("c", 1, ttl=3_600)
    keys = store.iter_keys()
    assert await anext(keys) == "a"
    await anyio.sleep(0.2)
    assert [key async for key in keys] == ["c"]


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


async def test_cancelled_calls_leave_the_connections_whole(
    redis_server: RedisServer, seed: int
) -> None:
    random = Random(seed)
    url = redis_server.url
    async with RedisStateStore(url, uuid4().hex, pool_size=3) as store:
        for _ in range(TOGETHER):
            with anyio.move_on_after(random.uniform(0, 0.004)):
                async with anyio.create_task_group() as tasks:
                    for call in random.choices(list(CALLS.values()), k=6):
                        tasks.start_soon(call, store)
        with anyio.fail_after(PATIENCE_S):
            for number in range(20):
                await store.set("a", number)
                assert await store.get("a") == number


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
        assert check_index(redis_server, namespace) == len(listed)
        found = await other.get_many(listed)
        assert None not in found
        await store.aclose()
        await other.aclose()

"""PostgreSQL: the contract on a real server, and what happens when things go wrong.

What a server's kill -9 or a power cut leaves is in test_restarts.py. Start at
`TestPostgresqlStateStore`.
"""

import asyncio
import errno
import math
import random
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import asyncpg
import pytest

from latency_kv.errors import (
    StateError,
    StateReadError,
    StateWriteError,
)
from latency_kv.facets.stores import (
    AtomicStateStore,
    BatchStateStore,
    ExpiringStateStore,
    OpenedStateStore,
    PagedStateStore,
)
from latency_kv.providers import (
    open_state_store,
    postgresql,
    postgresql_connections,
)
from latency_kv.providers.postgresql import PostgresqlStateStore
from latency_kv.testing.state_store import StateStoreContract
from providers.calls import DECISIONS, READS, Call, shown
from providers.ledger import Ledger
from providers.store_checks import WireChecks
from providers.wire import Wire
from servers import HOST, POSTGRESQL_PASSWORD, PostgresqlServer, free_port

pytestmark = pytest.mark.anyio

TOGETHER = 40

# What the stores of the shared checks call themselves.
OURS = "ours"

# Sessions that are ended, under load.
SMALL_ENDS, FULL_ENDS = 15, 300
END_EVERY_S = 0.02

PATIENCE_S = 30.0

# All but the one that asks for it.
END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()
"""

SESSION_COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"


@pytest.fixture
def anyio_backend() -> str:
    """The client knows no other."""
    return "asyncio"


@pytest.fixture
async def store(
    postgresql_server: PostgresqlServer,
) -> AsyncIterator[PostgresqlStateStore]:
    """A store in a namespace of its own."""
    namespace = uuid4().hex
    async with PostgresqlStateStore(postgresql_server.url, namespace) as store:
        yield store


@pytest.fixture
async def admin(postgresql_server: PostgresqlServer) -> AsyncIterator[Any]:
    """A connection beside the store's."""
    async with connected(postgresql_server.url) as connection:
        yield connection


@pytest.fixture
async def database(
    postgresql_server: PostgresqlServer, admin: Any
) -> AsyncIterator[str]:
    """The URL of a database of the test's own, without a table."""
    name = f"test_{uuid4().hex}"
    await admin.execute(f"CREATE DATABASE {name}")
    yield postgresql_server.url.removesuffix("postgres") + name
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def wire(postgresql_server: PostgresqlServer) -> AsyncIterator[Wire]:
    """A way to the server that fails when it is told to."""
    async with Wire(postgresql_server.port) as wire:
        yield wire


class TestPostgresqlOnAWire(WireChecks):
    scheme = "postgresql"
    wrong_options = (
        *("/shop?tiemout=3", "/shop?timeout=soon", "/shop?timeout=0"),
        *("/shop?pool_size=0", "/shop?pool_size=1.5"),
    )
    wrong_limits = {"timeout": -1}, {"timeout": math.nan}
    path = "/shop"

    @pytest.fixture
    def place(self, postgresql_server: PostgresqlServer) -> PostgresqlServer:
        self.server = postgresql_server
        return postgresql_server

    def make(self, place: Any, namespace: str, **options: Any) -> PostgresqlStateStore:
        url = f"{place.url}?application_name={OURS}"
        return PostgresqlStateStore(url, namespace, **options)

    def started(self) -> PostgresqlServer:
        return PostgresqlServer()

    def key_of(self, call: Call) -> str | None:
        return None if call is READS["get_many"] else super().key_of(call)

    async def connection_count(self, place: Any) -> int:
        async with connected(place.url) as admin:
            count: int = await admin.fetchval(SESSION_COUNT, OURS)
            return count

    async def spoil(self, store: Any, key: str, raw: bytes) -> None:
        async with connected(self.server.url) as admin:
            update = (
                "UPDATE latency_kv_state SET value = $3 "
                "WHERE namespace = $1 AND key = $2"
            )
            await admin.execute(update, store.namespace.encode(), key.encode(), raw)

    def longest_key(self, store: Any) -> str:
        size = postgresql.MAX_KEY_SIZE - len(store.namespace)
        # Of any characters, so that nothing is gained by compressing it.
        return "".join(map(chr, random.Random(1).choices(range(128), k=size)))

    async def end_connections(self, place: Any, store: Any) -> None:
        async with connected(place.url) as admin:
            await end_sessions(admin, store)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A connection beside the store's."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def end_sessions(admin: Any, store: PostgresqlStateStore) -> None:
    """Let the store's idle connections be ended, and the store know it."""
    await admin.execute(END_SESSIONS)

    async def is_noticed() -> bool:
        return all(each.is_closed() for _, each in store._connections._unused)

    await eventually(is_noticed)


class TestPostgresqlStateStore(StateStoreContract):
    capabilities = (
        AtomicStateStore,
        BatchStateStore,
        ExpiringStateStore,
        PagedStateStore,
    )
    strict = True

    @pytest.fixture
    async def provider(
        self, postgresql_server: PostgresqlServer, store: PostgresqlStateStore
    ) -> PostgresqlStateStore:
        self.server = postgresql_server
        return store

    @asynccontextmanager
    async def beside(self, provider: Any) -> AsyncIterator[Any]:
        url, namespace = self.server.url, provider.namespace
        async with PostgresqlStateStore(url, namespace) as second:
            yield second


async def row_count(admin: Any, namespace: str) -> int:
    count: int = await admin.fetchval(
        "SELECT count(*) FROM latency_kv_state WHERE namespace = $1", namespace.encode()
    )
    return count


async def eventually(happened: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not await happened():
            await anyio.sleep(0.01)


# The URL, the constructor, the end.


async def test_url_names_the_store(postgresql_server: PostgresqlServer) -> None:
    store: OpenedStateStore = open_state_store(
        f"{postgresql_server.url}?timeout=3&pool_size=2&application_name=shop",
        namespace="n",
    )
    assert isinstance(store, PostgresqlStateStore) and store.namespace == "n"
    port = postgresql_server.port
    url = f"postgresql://{HOST}:{port}/postgres?namespace=n"
    assert repr(store) == f"PostgresqlStateStore({url!r})"
    async with store:
        await store.set("a", 1)
    other = open_state_store(postgresql_server.url.replace("postgresql:", "postgres:"))
    async with other:
        assert await other.get("a") is None


async def test_other_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="postgresql:"):
        PostgresqlStateStore("redis://db")


async def test_hosts_are_tried_in_turn(postgresql_server: PostgresqlServer) -> None:
    alive = f"{HOST}:{postgresql_server.port}"
    url = postgresql_server.url.replace(alive, f"{HOST}:{free_port()},{alive}")
    async with PostgresqlStateStore(
        f"{url}?target_session_attrs=primary", uuid4().hex
    ) as store:
        await store.set("a", 1)
        assert await store.get("a") == 1


async def test_password_may_have_any_character(
    postgresql_server: PostgresqlServer, admin: Any
) -> None:
    name = f"user_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'a@b:c/d?e#f%67'")
    url = (
        f"postgresql://{name}:a%40b:c%2Fd%3Fe%23f%2567@{HOST}:{postgresql_server.port}"
    )
    async with PostgresqlStateStore(f"{url}/postgres", uuid4().hex) as store:
        await store.set("a", 1)
    await admin.execute(f"DROP ROLE {name}")


async def test_credentials_may_come_from_the_environment(
    postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGUSER", "tester")
    monkeypatch.setenv("PGPASSWORD", POSTGRESQL_PASSWORD)
    url = f"postgresql://{HOST}:{postgresql_server.port}/postgres"
    async with PostgresqlStateStore(url, uuid4().hex) as store:
        await store.set("a", 1)


async def test_closing_begun_twice_ends_once(store: PostgresqlStateStore) -> None:
    await store.set("a", 1)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(store.aclose)


# Opening.


async def test_any_number_may_make_the_table(database: str) -> None:
    stores = [PostgresqlStateStore(database) for _ in range(20)]
    async with anyio.create_task_group() as tasks:
        for number, store in enumerate(stores):
            tasks.start_soon(store.set, f"key:{number:02}", number)
    assert len(await stores[0].keys()) == len(stores)
    for store in stores:
        await store.aclose()


async def test_who_makes_the_table_is_waited_for(database: str) -> None:
    connection = await asyncpg.connect(database)
    store = PostgresqlStateStore(database)
    async with anyio.create_task_group() as tasks, connection.transaction():
        await connection.execute(postgresql._MAKE)
        tasks.start_soon(store.set, "a", 1)
        await anyio.sleep(0.1)
    assert await store.get("a") == 1
    await store.aclose()
    await connection.close()


async def test_who_may_not_make_a_table_may_use_it(
    database: str, postgresql_server: PostgresqlServer, admin: Any
) -> None:
    name = f"user_{uuid4().hex}"
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{POSTGRESQL_PASSWORD}'")
    url = database.replace("//tester:", f"//{name}:")
    with pytest.raises(StateReadError, match="grant") as info:
        await PostgresqlStateStore(url).__aenter__()
    assert POSTGRESQL_PASSWORD not in shown(info.value)
    connection = await asyncpg.connect(database)
    async with PostgresqlStateStore(database) as owner:
        await owner.set("a", 1)
        await connection.execute(f"GRANT SELECT ON latency_kv_state TO {name}")
        async with PostgresqlStateStore(url) as store:
            assert await store.get("a") == 1
            with pytest.raises(StateWriteError, match="grant"):
                await store.set("a", 2)
        assert await owner.get("a") == 1
    await connection.execute(f"DROP OWNED BY {name}")
    await connection.close()
    await admin.execute(f"DROP ROLE {name}")


async def test_table_of_another_is_refused(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TABLE latency_kv_state (namespace text, key text)")
    store = PostgresqlStateStore(database)
    with pytest.raises(StateReadError, match="another one"):
        await store.get("a")
    with pytest.raises(StateWriteError, match="another one"):
        await store.set("a", 1)
    await connection.execute("DROP TABLE latency_kv_state")
    await store.set("a", 1)
    await store.aclose()
    await connection.close()


async def test_table_that_was_dropped_is_told_of(database: str) -> None:
    async with PostgresqlStateStore(database) as store:
        connection = await asyncpg.connect(database)
        await connection.execute("DROP TABLE latency_kv_state")
        await connection.close()
        with pytest.raises(StateReadError, match="open it again"):
            await store.get("a")
    async with PostgresqlStateStore(database) as store:
        await store.set("a", 1)


@pytest.mark.usefixtures("impatient")
async def test_failed_opening_is_one_for_all_who_wait(wire: Wire) -> None:
    wire.refuse = 1_000
    store = PostgresqlStateStore(f"postgresql://u:p@{HOST}:{wire.port}/postgres")
    failed: list[StateError] = []

    async def call(number: int) -> None:
        try:
            await (store.get(f"{number}") if number % 2 else store.set(f"{number}", 1))
        except (StateReadError, StateWriteError) as error:
            failed.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(TOGETHER):
            tasks.start_soon(call, number)
    assert {error.key for error in failed} == {str(n) for n in range(TOGETHER)}
    kinds = [StateWriteError, StateReadError]
    assert all(type(error) is kinds[int(error.key or "") % 2] for error in failed)
    # One opening and its repetitions; the client tries each with TLS and without.
    assert 0 < wire.refused <= 12
    await store.aclose()


async def test_cancelled_opening_leaves_the_others_theirs(
    postgresql_server: PostgresqlServer,
) -> None:
    async with PostgresqlStateStore(postgresql_server.url, uuid4().hex) as other:
        store = PostgresqlStateStore(postgresql_server.url, other.namespace)
        first = asyncio.create_task(store.set("a", 1))
        second = asyncio.create_task(store.set("b", 1))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert await other.keys() == ["b"]
        await store.aclose()


# Failures.


async def test_wrong_password_is_told_of_at_once(wire: Wire) -> None:
    secret = "swordfish"
    store = PostgresqlStateStore(
        f"postgresql://tester:{secret}@{HOST}:{wire.port}/postgres?password={secret}"
    )
    with pytest.raises(StateReadError, match="PGPASSWORD") as info:
        await store.get("key")
    assert info.value.errno == errno.EACCES
    assert secret not in shown(info.value)
    assert secret not in repr(store)
    assert wire.connected <= 2
    await store.aclose()


async def test_missing_database_is_told_of(postgresql_server: PostgresqlServer) -> None:
    url = postgresql_server.url.replace("/postgres", "/none")
    async with anyio.create_task_group():
        with pytest.raises(StateReadError, match="create the database"):
            await PostgresqlStateStore(url).__aenter__()


async def test_ended_sessions_are_begun_anew(
    store: PostgresqlStateStore, admin: Any
) -> None:
    await store.set("a", 1)
    await end_sessions(admin, store)
    await store.set("a", 2)
    assert await store.get("a") == 2


async def test_sessions_ended_under_load_lose_nothing(
    postgresql_server: PostgresqlServer, full: bool, seed: int
) -> None:
    async with PostgresqlStateStore(postgresql_server.url, uuid4().hex) as store:
        admin = await asyncpg.connect(postgresql_server.url)
        ledger = Ledger(store, seed)
        async with ledger.run():
            for _ in range(FULL_ENDS if full else SMALL_ENDS):
                await ledger.go_on(2)
                await admin.execute(END_SESSIONS)
                await anyio.sleep(random.Random(seed).uniform(0, END_EVERY_S))
            await ledger.go_on(2)
        await admin.close()
        print(ledger.report())
        await ledger.check(store)
    assert ledger.errors["OutcomeUnknownError"], "no write was on its way"


@pytest.mark.usefixtures("impatient")
async def test_server_that_is_away_for_a_moment_is_waited_for() -> None:
    with PostgresqlServer() as server:
        async with PostgresqlStateStore(server.url) as store:
            await store.set("a", 1)
            server.stop()
            with pytest.raises(StateReadError):
                await store.get("a")
            with pytest.raises(StateWriteError):
                await store.set("a", 2)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, server.start)
                await anyio.lowlevel.checkpoint()
                with anyio.fail_after(PATIENCE_S):
                    while True:
                        try:
                            await store.set("a", 3)
                        except StateWriteError:
                            continue
                        break
            assert await store.get("a") == 3


async def test_lock_that_is_held_too_long_is_told_of(
    postgresql_server: PostgresqlServer, store: PostgresqlStateStore, admin: Any
) -> None:
    await store.set("a", "old")
    url, namespace = postgresql_server.url, store.namespace
    async with PostgresqlStateStore(url, namespace, timeout=1) as hasty:
        async with admin.transaction():
            await admin.execute(
                "SELECT * FROM latency_kv_state WHERE namespace = $1 FOR UPDATE",
                namespace.encode(),
            )
            # The server's word, so it is known that nothing was applied.
            with pytest.raises(StateWriteError, match="raise timeout"):
                await hasty.set("a", "new")
            assert await hasty.get("a") == "old"
        assert await hasty.get("a") == "old"
        await hasty.set("a", "new")


async def test_server_that_only_reads_refuses_writes(database: str) -> None:
    async with PostgresqlStateStore(database) as store:
        await store.set("a", 1)
        name = database.rpartition("/")[2]
        connection = await asyncpg.connect(database)
        await connection.execute(
            f"ALTER DATABASE {name} SET default_transaction_read_only = on"
        )
        await end_sessions(connection, store)
        with pytest.raises(StateWriteError, match="only reads") as info:
            await store.set("a", 2)
        assert info.value.errno == errno.EROFS
        assert await store.get("a") == 1
        await connection.close()


async def test_full_disk_is_told_of() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ExitStack() as stack:
        # The server inherits it.  Not a multiple of a page: the system takes a part of
        # one, as a full disk does.
        resource.setrlimit(resource.RLIMIT_FSIZE, ((4 << 20) + 1_000, limits[1]))
        try:
            server = stack.enter_context(PostgresqlServer())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        store = PostgresqlStateStore(server.url)
        value = [random.randbytes(50_000).hex() for _ in range(10)]
        written: list[str] = []
        with pytest.raises(StateWriteError, match="make room") as info:
            for number in range(100):
                await store.set(f"key:{number:03}", value)
                written.append(f"key:{number:03}")
        assert info.value.errno == errno.ENOSPC
        assert info.value.key == f"key:{len(written):03}"
        assert await store.keys() == written
        assert await store.get(written[-1]) == value
        await store.set("small", 1)
        await store.aclose()


@pytest.mark.usefixtures("impatient")
async def test_too_many_connections_are_told_of() -> None:
    options = {"max_connections": "5", "superuser_reserved_connections": "0"}
    with PostgresqlServer(options) as server:
        async with PostgresqlStateStore(server.url) as store:
            others = [await asyncpg.connect(server.url) for _ in range(4)]
            held: Any = await store._connections._acquired()
            with pytest.raises(StateWriteError, match="max_connections"):
                await store.set("a", 1)
            store._connections._release(held)
            await store.set("a", 1)
            for other in others:
                await other.close()


async def test_rivals_are_tried_again(database: str) -> None:
    """Where a database is serializable, one of two transactions has to yield."""
    connection = await asyncpg.connect(database)
    name = database.rpartition("/")[2]
    await connection.execute(
        f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
    )
    async with PostgresqlStateStore(database) as store:
        await store.set("a", 0)

        async def write(number: int) -> None:
            for _ in range(10):
                await store.set("a", number)

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(write, number)
        assert await store.get("a") in range(4)
    query = "SELECT xact_rollback FROM pg_stat_database WHERE datname = $1"

    async def is_counted() -> bool:
        # A session tells of its transactions when it ends.
        return bool(await connection.fetchval(query, name))

    await eventually(is_counted)
    await connection.close()


async def test_batches_do_not_lock_one_another_out(database: str) -> None:
    keys = [f"key:{number}" for number in range(1_000)]
    async with PostgresqlStateStore(database) as store:

        async def write(number: int) -> None:
            shuffled = random.Random(number).sample(keys, len(keys))
            for _ in range(5):
                await store.set_many(dict.fromkeys(shuffled, number))

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(write, number)
        assert len(set(await store.get_many(keys))) == 1
        log_query = "SELECT deadlocks FROM pg_stat_database WHERE datname = $1"
        name = database.rpartition("/")[2]
    connection = await asyncpg.connect(database)
    await connection.execute("SELECT pg_stat_force_next_flush()")
    assert await connection.fetchval(log_query, name) == 0
    await connection.close()


# What fits, and what does not.


async def test_large_value_comes_back(store: PostgresqlStateStore) -> None:
    value = ["\x00" + random.randbytes(500_000).hex() for _ in range(8)]
    await store.set("a", value)
    assert await store.get("a") == value
    assert await store.compare_and_set("a", value, value[:1]) is True


async def test_value_that_is_too_large_is_not_sent(
    store: PostgresqlStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "MAX_VALUE_SIZE", 1_000)
    await store.set("a", "x" * 900)
    for call in (
        store.set("a", "x" * 1_000),
        store.set_if_absent("b", "x" * 1_000),
        store.compare_and_set("a", "x" * 900, "x" * 1_000),
        store.set_many({"b": "x" * 600, "c": "x" * 600}),
    ):
        with pytest.raises(StateWriteError, match="at most 1000"):
            await call
    assert await store.keys() == ["a"] and await store.get("a") == "x" * 900


# Ends.


async def test_what_is_over_is_reclaimed_by_later_writes(
    store: PostgresqlStateStore, admin: Any
) -> None:
    for number in range(200):
        await store.set(f"key:{number}", 1, ttl=1e-6)
    await store.set("kept", 1, ttl=3_600)
    assert await store.keys() == ["kept"]
    assert await row_count(admin, store.namespace) < 100


async def test_what_is_renewed_is_not_reclaimed(
    store: PostgresqlStateStore, admin: Any
) -> None:
    """Whoever reclaims passes over what another one has a lock on."""
    store._ttl_count = 1
    await store.set("a", 1, ttl=1e-6)
    await store.set("b", 1, ttl=1e-6)
    async with admin.transaction():
        await admin.execute(
            "UPDATE latency_kv_state SET expires_at = NULL "
            "WHERE namespace = $1 AND key = 'a'",
            store.namespace.encode(),
        )
        store._ttl_count = 0
        await store.set("c", 1, ttl=3_600)
        assert await row_count(admin, store.namespace) == 2
    assert await store.keys() == ["a", "c"]


@pytest.mark.parametrize(
    ("call", "answer", "left"),
    [
        (DECISIONS["set_if_absent"], True, "new"),
        (DECISIONS["compare_and_set"], False, None),
        (DECISIONS["delete"], False, None),
    ],
    ids=["set_if_absent", "compare_and_set", "delete"],
)
async def test_write_does_not_see_what_is_over(
    store: PostgresqlStateStore, call: Call, answer: bool, left: str | None
) -> None:
    """Though nobody has reclaimed it."""
    store._ttl_count = 1
    await store.set("key", "old", ttl=1e-6)
    assert await call(store) is answer
    assert await store.get("key") == left


async def test_servers_clock_decides(store: PostgresqlStateStore, admin: Any) -> None:
    await store.set("a", 1, ttl=3_600)
    await store.set("b", 1, ttl=3_600)
    await admin.execute(
        "UPDATE latency_kv_state SET expires_at = now() WHERE key = 'a'"
        " AND namespace = $1",
        store.namespace.encode(),
    )
    assert await store.keys() == ["b"]


# Cancellation.


async def test_connection_that_was_not_used_for_long_is_let_go(
    store: PostgresqlStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time is enough then; who knows what a firewall has forgotten."""
    connections = store._connections
    await asyncio.gather(*(store.has("a") for _ in range(5)))
    assert len(connections._unused) > 1
    monkeypatch.setattr(postgresql_connections, "_LONGEST_UNUSED_S", 0.0)
    await anyio.sleep(0.01)
    await store.has("a")
    assert len(connections._unused) == 1
    assert await store.has("a") is False

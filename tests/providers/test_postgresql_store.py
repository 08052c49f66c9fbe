"""PostgreSQL: the contract on a real server, and what happens when things go wrong.

What a server's kill -9 or a power cut leaves is in test_restarts.py. Start at
`TestPostgresqlStateStore`.
"""

import asyncio
import errno
import os
import random
import resource
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import asyncpg
import pytest

from latency_kv.errors import (
    OutcomeUnknownError,
    StateError,
    StateParseError,
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
from providers.ledger import Ledger
from providers.wire import Wire
from servers import HOST, POSTGRESQL_PASSWORD, PostgresqlServer, free_port

pytestmark = pytest.mark.anyio

Call = Callable[[Any], Coroutine[Any, Any, Any]]

READS: dict[str, Call] = {
    "get": lambda store: store.get("key"),
    "has": lambda store: store.has("key"),
    "get_many": lambda store: store.get_many(["key"]),
    "keys": lambda store: store.keys(),
}
WRITES: dict[str, Call] = {
    "set": lambda store: store.set("key", "new"),
    "set with ttl": lambda store: store.set("key", "new", ttl=3_600),
    "delete": lambda store: store.delete("key"),
    "set_if_absent": lambda store: store.set_if_absent("key", "new"),
    "compare_and_set": lambda store: store.compare_and_set("key", "old", "new"),
    "set_many": lambda store: store.set_many({"key": "new"}),
}

by_read = pytest.mark.parametrize("read", READS.values(), ids=READS)
by_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
by_call = pytest.mark.parametrize(
    "call", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES]
)

TOGETHER = 40

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
    connection = await asyncpg.connect(postgresql_server.url)
    try:
        yield connection
    finally:
        await connection.close()


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


@pytest.fixture
async def wired(
    wire: Wire, postgresql_server: PostgresqlServer
) -> AsyncIterator[PostgresqlStateStore]:
    """A store on the wire, with one connection that has sent each statement once."""
    url = wire.url(postgresql_server.url)
    namespace = uuid4().hex
    async with PostgresqlStateStore(url, namespace, pool_size=1, timeout=2) as store:
        for call in [*WRITES.values(), *READS.values()]:
            await call(store)
        await store.set("key", "old")
        yield store


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


def is_secret(error: BaseException) -> bool:
    """Whether nothing that is shown of an error has the password in it."""
    shown = [*traceback.format_exception(error), repr(error), repr(error.args)]
    return POSTGRESQL_PASSWORD not in "".join(shown)


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


@pytest.mark.parametrize(
    "query", ["tiemout=3", "timeout=soon", "timeout=0", "pool_size=0", "pool_size=1.5"]
)
async def test_wrong_option_is_refused_at_once(query: str) -> None:
    with pytest.raises(ValueError):
        open_state_store(f"postgresql://db/shop?{query}")


@pytest.mark.parametrize("limits", [{"timeout": -1}, {"timeout": float("nan")}])
async def test_wrong_limit_is_refused_at_once(limits: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        PostgresqlStateStore("postgresql://db/shop", **limits)


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


async def test_closed_store_does_nothing_any_more(
    postgresql_server: PostgresqlServer, admin: Any
) -> None:
    url = f"{postgresql_server.url}?application_name=closed"
    store = PostgresqlStateStore(url, uuid4().hex)
    before = asyncio.all_tasks()
    descriptors = len(os.listdir("/proc/self/fd"))
    async with store, anyio.create_task_group() as tasks:
        for number in range(TOGETHER):
            tasks.start_soon(store.set, f"key:{number}", number)
    await store.aclose()
    assert asyncio.all_tasks() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors

    async def are_gone() -> bool:
        return not await admin.fetchval(SESSION_COUNT, "closed")

    await eventually(are_gone)
    for call in [*READS.values(), *WRITES.values()]:
        with pytest.raises(RuntimeError, match="closed"):
            await call(store)
    with pytest.raises(RuntimeError, match="closed"):
        await store.__aenter__()
    with pytest.raises(RuntimeError, match="closed"):
        store.iter_keys()


async def test_store_that_was_never_opened_closes() -> None:
    store = PostgresqlStateStore("postgresql://nowhere.invalid/db")
    await store.aclose()
    await store.aclose()


async def test_close_waits_for_what_goes_on(
    postgresql_server: PostgresqlServer, store: PostgresqlStateStore
) -> None:
    namespace = store.namespace
    other = PostgresqlStateStore(postgresql_server.url, namespace, pool_size=2)
    async with anyio.create_task_group() as tasks:
        for number in range(TOGETHER):
            tasks.start_soon(other.set, f"key:{number:02}", number)
        await anyio.lowlevel.checkpoint()
        await other.aclose()
        assert len(await store.keys()) == TOGETHER


async def test_close_does_not_wait_for_a_server_that_hangs() -> None:
    with PostgresqlServer() as server:
        store = PostgresqlStateStore(server.url, timeout=0.5)
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


async def test_closing_begun_twice_ends_once(store: PostgresqlStateStore) -> None:
    await store.set("a", 1)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(store.aclose)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_other_loop_than_asyncio_is_refused(anyio_backend: str) -> None:
    store = PostgresqlStateStore("postgresql://nowhere.invalid/db")
    for call in [*READS.values(), *WRITES.values()]:
        with pytest.raises(RuntimeError, match="asyncio only"):
            await call(store)
    with pytest.raises(RuntimeError, match="asyncio only"):
        await store.__aenter__()


def test_store_belongs_to_one_loop(postgresql_server: PostgresqlServer) -> None:
    store = PostgresqlStateStore(postgresql_server.url, uuid4().hex)

    async def first() -> None:
        await store.set("a", 1)
        with pytest.raises(RuntimeError, match="another event loop"):
            await anyio.to_thread.run_sync(asyncio.run, store.get("a"))
        await store.aclose()

    asyncio.run(first())


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
    assert is_secret(info.value)
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


@by_call
async def test_refused_connection_is_told_of(call: Call) -> None:
    port = free_port()
    store = PostgresqlStateStore(
        f"postgresql://tester:{POSTGRESQL_PASSWORD}@{HOST}:{port}/shop", "n"
    )
    with pytest.raises((StateReadError, StateWriteError)) as info:
        await call(store)
    error = info.value
    assert type(error) is (
        StateReadError if call in READS.values() else StateWriteError
    )
    assert error.store == f"postgresql://{HOST}:{port}/shop?namespace=n"
    assert error.key == (None if "many" in call_name(call) else "key") or (
        call is READS["keys"] and error.key is None
    )
    assert "there is no connection" in str(error) and is_secret(error)
    await store.aclose()


def call_name(call: Call) -> str:
    return next(name for name, other in {**READS, **WRITES}.items() if other is call)


async def test_wrong_password_is_told_of_at_once(wire: Wire) -> None:
    secret = "swordfish"
    store = PostgresqlStateStore(
        f"postgresql://tester:{secret}@{HOST}:{wire.port}/postgres?password={secret}"
    )
    with pytest.raises(StateReadError, match="PGPASSWORD") as info:
        await store.get("key")
    assert info.value.errno == errno.EACCES
    assert secret not in "".join(traceback.format_exception(info.value))
    assert secret not in repr(store)
    assert wire.connected <= 2
    await store.aclose()


async def test_missing_database_is_told_of(postgresql_server: PostgresqlServer) -> None:
    url = postgresql_server.url.replace("/postgres", "/none")
    async with anyio.create_task_group():
        with pytest.raises(StateReadError, match="create the database"):
            await PostgresqlStateStore(url).__aenter__()


@by_write
async def test_write_that_was_not_sent_is_sent_again(
    write: Call, wire: Wire, wired: PostgresqlStateStore, admin: Any
) -> None:
    await end_sessions(admin, wired)
    wire.refuse = 3
    await write(wired)
    assert wire.refused == 3


@by_write
async def test_write_whose_answer_was_lost_is_unknown(
    write: Call, wire: Wire, wired: PostgresqlStateStore, store: PostgresqlStateStore
) -> None:
    before = wire.passed
    wire.next = "deafen"
    with pytest.raises(OutcomeUnknownError) as info:
        await write(wired)
    assert wire.passed == before + 1, "it was sent again"
    assert "may have been applied" in str(info.value) and is_secret(info.value)
    assert info.value.key == (None if write is WRITES["set_many"] else "key")
    kept = write is WRITES["set_if_absent"]
    gone = write is WRITES["delete"]
    assert await wired.get("key", "gone") == (
        "old" if kept else "gone" if gone else "new"
    )


@by_write
async def test_write_that_was_lost_on_its_way_is_unknown(
    write: Call, wire: Wire, wired: PostgresqlStateStore
) -> None:
    before = wire.passed
    wire.next = "cut"
    with pytest.raises(OutcomeUnknownError):
        await write(wired)
    assert wire.passed == before, "it was sent again"
    assert await wired.get("key") == "old"


@by_read
@pytest.mark.parametrize("fault", ["cut", "deafen"])
async def test_read_that_was_lost_is_repeated(
    read: Call, fault: Any, wire: Wire, wired: PostgresqlStateStore
) -> None:
    expected = await read(wired)
    wire.next = fault
    assert await read(wired) == expected


@pytest.mark.parametrize(
    ("call", "kind"),
    [(READS["get"], StateReadError), (WRITES["set"], OutcomeUnknownError)],
)
async def test_answer_that_does_not_come_is_not_waited_for(
    call: Call, kind: type[Exception], wire: Wire, wired: PostgresqlStateStore
) -> None:
    wire.next = "hang"
    with anyio.fail_after(PATIENCE_S), pytest.raises(kind, match="timeout=2"):
        await call(wired)
    assert await wired.get("key") == "old"


async def end_sessions(admin: Any, store: PostgresqlStateStore) -> None:
    """Let the store's idle connection be ended, and the store know it."""
    await admin.execute(END_SESSIONS)

    async def is_noticed() -> bool:
        return all(each.is_closed() for _, each in store._connections._unused)

    await eventually(is_noticed)


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


async def test_longest_key_is_stored_and_a_longer_one_refused(
    postgresql_server: PostgresqlServer,
) -> None:
    namespace = uuid4().hex.ljust(100, "n")
    async with PostgresqlStateStore(postgresql_server.url, namespace) as store:
        size = postgresql.MAX_KEY_SIZE - len(namespace)
        # Of any characters, so that nothing is gained by compressing it.
        key = (
            random.Random(1)
            .randbytes(size)
            .decode("latin-1")
            .translate({number: number - 128 for number in range(128, 256)})
        )
        await store.set(key, 1)
        assert await store.get(key) == 1
        assert await store.keys(key[:50]) == [key]
        for call in (store.get, store.has, store.delete):
            with pytest.raises(ValueError, match=f"at most {size}"):
                await call(f"{key}x")
        with pytest.raises(ValueError, match=f"at most {size}"):
            await store.set_many({"a": 1, f"{key}x": 1})
        assert await store.keys(f"{key}x") == [] and await store.keys() == [key]


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


async def test_stored_bytes_that_are_no_value_are_told_of(
    store: PostgresqlStateStore, admin: Any
) -> None:
    await store.set("a", 1)
    await admin.execute("UPDATE latency_kv_state SET value = 'nonsense'")
    with pytest.raises(StateParseError) as info:
        await store.get("a")
    assert (info.value.key, info.value.text) == ("a", "nonsense")
    await admin.execute("DELETE FROM latency_kv_state WHERE value = 'nonsense'")


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
        (WRITES["set_if_absent"], True, "new"),
        (WRITES["compare_and_set"], False, None),
        (WRITES["delete"], False, None),
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


async def test_key_that_ends_while_a_page_is_read_is_left_out(
    store: PostgresqlStateStore,
) -> None:
    await store.set("a", 1)
    await store.set("b", 1, ttl=0.2)
    keys = store.iter_keys()
    assert await anext(keys) == "a"
    await anyio.sleep(0.3)
    assert [key async for key in keys] == []


# Cancellation.


async def test_cancelled_calls_leave_the_connections_whole(
    postgresql_server: PostgresqlServer, seed: int
) -> None:
    chance = random.Random(seed)
    url = postgresql_server.url
    async with PostgresqlStateStore(url, uuid4().hex, pool_size=3) as store:
        calls = [*READS.values(), *WRITES.values()]
        for _ in range(TOGETHER):
            with anyio.move_on_after(chance.uniform(0, 0.004)):
                async with anyio.create_task_group() as tasks:
                    for call in chance.choices(calls, k=6):
                        tasks.start_soon(call, store)
        with anyio.fail_after(PATIENCE_S):
            for number in range(20):
                await store.set("a", number)
                assert await store.get("a") == number


async def test_no_more_connections_are_made_than_asked_for(
    postgresql_server: PostgresqlServer, admin: Any
) -> None:
    url = f"{postgresql_server.url}?application_name=few&pool_size=3"
    counts = []
    async with (
        PostgresqlStateStore(url, uuid4().hex) as store,
        anyio.create_task_group() as tasks,
    ):
        for number in range(TOGETHER):
            tasks.start_soon(store.set, f"key:{number}", number)
        for _ in range(10):
            counts.append(await admin.fetchval(SESSION_COUNT, "few"))
    assert max(counts) <= 3


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

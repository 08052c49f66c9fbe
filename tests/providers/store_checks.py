"""Store checks: what every provider has to show beside its contract.

    StoreChecks       in a folder, on a server, in a cluster
    ServerChecks      of those, behind a client that knows asyncio only
    WireChecks        of those, one server, to which a wire can lead

A test class inherits one, says which provider it is about, and gets its tests. What only
one engine can do, or fail at, is in that provider's own module.

Start at `StoreChecks.make`.
"""

import asyncio
import os
import pickle
from collections.abc import AsyncIterator
from random import Random
from typing import Any, ClassVar
from uuid import uuid4

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from latency_kv.errors import (
    OutcomeUnknownError,
    StateError,
    StateParseError,
    StateReadError,
)
from latency_kv.providers import open_state_store
from providers.calls import (
    CALLS,
    READS,
    Call,
    by_read,
    by_write,
    failure_of,
    key_of,
    left_by,
    shown,
)
from providers.wire import Wire
from servers import HOST, Server, free_port

TOGETHER = 40
PATIENCE_S = 60.0

# Of a store on a wire: long enough for any answer that comes, and short to wait for.
TIMEOUT_S = 0.5

PASSWORD = "swordfish"


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class StoreChecks:
    """Run by a test class that inherits it and overrides what raises here."""

    @pytest.fixture
    def place(self) -> Any:
        """Where stores are made, as `make` takes it."""
        raise NotImplementedError

    @pytest.fixture
    def namespace(self) -> str:
        """One that nobody else has."""
        return uuid4().hex

    def make(self, place: Any, namespace: str, **options: Any) -> Any:
        """Return a store that is not open yet."""
        raise NotImplementedError

    async def spoil(self, store: Any, key: str, raw: bytes) -> None:
        """Let these bytes be what is stored under a key that is there."""
        raise NotImplementedError

    def longest_key(self, store: Any) -> str:
        """Return a key that is as long as the store takes."""
        raise NotImplementedError

    async def pass_time(self, store: Any, seconds: float) -> None:
        """Let the clock that ends values go on."""
        await anyio.sleep(seconds)

    def check(self, store: Any) -> None:
        """Compare what a store that is open and at rest has inside."""

    async def test_store_that_was_never_opened_closes(
        self, place: Any, namespace: str
    ) -> None:
        store = self.make(place, namespace)
        await store.aclose()
        await store.aclose()

    async def test_closed_store_does_nothing_any_more(
        self, place: Any, namespace: str
    ) -> None:
        store = self.make(place, namespace)
        before = open_files()
        async with store, anyio.create_task_group() as tasks:
            for number in range(TOGETHER):
                tasks.start_soon(store.set, f"key:{number}", number)
        await store.aclose()
        assert open_files() == before
        for call in CALLS.values():
            with pytest.raises(RuntimeError, match="closed"):
                await call(store)
        with pytest.raises(RuntimeError, match="closed"):
            await store.__aenter__()
        with pytest.raises(RuntimeError, match="closed"):
            store.iter_keys()

    async def test_iterator_of_a_closed_store_ends_with_an_error(
        self, place: Any, namespace: str
    ) -> None:
        async with self.make(place, namespace) as store:
            await store.set_many({f"key:{number:04}": 1 for number in range(3_000)})
            keys = store.iter_keys()
            await anext(keys)
        with pytest.raises(RuntimeError, match="closed"):
            async for _ in keys:
                pass

    @pytest.mark.parametrize("is_open", [True, False])
    async def test_close_waits_for_what_goes_on(
        self, is_open: bool, place: Any, namespace: str
    ) -> None:
        """Also for what waits for the opening."""
        async with self.make(place, namespace) as other:
            store = self.make(place, namespace)
            if is_open:
                await store.has("a")
            async with anyio.create_task_group() as tasks:
                for number in range(TOGETHER):
                    tasks.start_soon(store.set, f"key:{number:02}", number)
                    tasks.start_soon(store.get, "a")
                # Trio begins its tasks in any order.
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                await store.aclose()
            assert len(await other.keys("key:")) == TOGETHER

    @pytest.mark.parametrize("is_open", [True, False])
    async def test_close_waits_for_what_takes_several_steps(
        self, is_open: bool, place: Any, namespace: str
    ) -> None:
        batch = {f"key:{number:04}": number for number in range(3_000)}
        found: list[Any] = []
        async with self.make(place, namespace) as other:
            await other.set_many(batch)
            store = self.make(place, namespace)
            if is_open:
                await store.has("a")

            async def get() -> None:
                found.append(await store.get_many(batch))

            async def list_keys() -> None:
                found.append(await store.keys())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(get)
                tasks.start_soon(list_keys)
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                await store.aclose()
        assert list(batch) in found and list(batch.values()) in found

    async def test_cancelled_calls_leave_the_store_whole(
        self, place: Any, namespace: str, seed: int
    ) -> None:
        random = Random(seed)
        async with self.make(place, namespace) as store:
            for _ in range(TOGETHER):
                with anyio.move_on_after(random.uniform(0, 0.004)):
                    async with anyio.create_task_group() as tasks:
                        for call in random.choices(list(CALLS.values()), k=6):
                            tasks.start_soon(call, store)
            with anyio.fail_after(PATIENCE_S):
                for number in range(20):
                    await store.set("a", number)
                    assert await store.get("a") == number
                assert set(await store.keys()) <= {"a", "key"}
            self.check(store)

    @pytest.mark.parametrize("width", [32, 100])
    async def test_longest_key_is_stored_and_a_longer_one_refused(
        self, width: int, place: Any, namespace: str
    ) -> None:
        async with self.make(place, namespace.ljust(width, "n")) as store:
            key = self.longest_key(store)
            size = len(key.encode())
            await store.set(key, 1, ttl=60)
            await store.set(key, 2)
            assert await store.get(key) == 2
            assert await store.keys(key[:50]) == [key]
            for call in (store.get, store.has, store.delete):
                with pytest.raises(ValueError, match=f"at most {size}"):
                    await call(f"{key}x")
            with pytest.raises(ValueError, match=f"at most {size}"):
                await store.set_many({"a": 1, f"{key}x": 1})
            assert await store.keys(f"{key}x") == [] and await store.keys() == [key]
            self.check(store)

    async def test_stored_bytes_that_are_no_value_are_told_of(
        self, place: Any, namespace: str
    ) -> None:
        async with self.make(place, namespace) as store:
            await store.set("a", 1)
            await self.spoil(store, "a", b"nonsense")
            for call in (store.get("a"), store.get_many(["b", "a"])):
                with pytest.raises(StateParseError) as info:
                    await call
                assert (info.value.key, info.value.text) == ("a", "nonsense")
            await store.set("a", 2)
            assert await store.get("a") == 2

    async def test_key_that_ends_while_a_page_is_read_is_left_out(
        self, place: Any, namespace: str
    ) -> None:
        async with self.make(place, namespace) as store:
            await store.set("a", 1)
            await store.set("b", 1, ttl=0.3)
            await store.set("c", 1, ttl=3_600)
            keys = store.iter_keys()
            assert await anext(keys) == "a"
            await self.pass_time(store, 0.4)
            assert [key async for key in keys] == ["c"]


class ServerChecks(StoreChecks):
    """Of a store behind a client that knows asyncio only."""

    scheme: str
    """What its URLs begin with."""

    wrong_options: tuple[str, ...]
    """What stands behind a URL's host and is refused."""

    wrong_limits: tuple[dict[str, Any], ...]
    """Options of `make` that are refused."""

    path = ""
    """What a URL has behind the host."""

    hasty: ClassVar[dict[str, Any]] = {"timeout": 0.5}
    """Options of a store that gives up soon."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The client knows no other."""
        return "asyncio"

    def url_of(self, place: Any) -> str:
        """Return the URL of a place, with what it takes to be let in."""
        url: str = place.url
        return url

    def key_of(self, call: Call) -> str | None:
        """Return the key that an error of a call names."""
        return key_of(call)

    async def connection_count(self, place: Any) -> int | None:
        """Return how many stores' connections a server has, None if it does not tell."""
        return None

    async def test_wrong_option_is_refused_at_once(self) -> None:
        for rest in self.wrong_options:
            with pytest.raises(ValueError):
                open_state_store(f"{self.scheme}://db{rest}")

    async def test_wrong_limit_is_refused_at_once(self, place: Any) -> None:
        for limits in self.wrong_limits:
            with pytest.raises(ValueError, match="|".join(limits)):
                self.make(place, "n", **limits)

    async def test_closed_store_leaves_no_task_and_no_connection(
        self, place: Any, namespace: str
    ) -> None:
        connections = await self.connection_count(place)
        store = self.make(place, namespace)
        before = asyncio.all_tasks()
        async with store, anyio.create_task_group() as tasks:
            for number in range(TOGETHER):
                tasks.start_soon(store.set, f"key:{number}", number)
        assert asyncio.all_tasks() == before
        with anyio.fail_after(PATIENCE_S):
            while await self.connection_count(place) != connections:
                await anyio.sleep(0.01)

    async def test_cancelled_close_leaves_no_connection(
        self, place: Any, namespace: str
    ) -> None:
        """Not that of an operation that goes on either, when it is over."""
        store = self.make(place, namespace)
        before = open_files()
        for _ in range(5):
            async with anyio.create_task_group() as tasks:
                for number in range(TOGETHER):
                    tasks.start_soon(store.set, f"key:{number}", number)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.set, "a", 1)
            await anyio.lowlevel.checkpoint()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await store.aclose()
        with anyio.fail_after(PATIENCE_S):
            while open_files() != before:
                await anyio.lowlevel.checkpoint()

    @pytest.mark.parametrize("anyio_backend", ["trio"])
    async def test_other_loop_than_asyncio_is_refused(self, anyio_backend: str) -> None:
        store = open_state_store(f"{self.scheme}://nowhere.invalid{self.path}")
        for call in CALLS.values():
            with pytest.raises(RuntimeError, match="asyncio only"):
                await call(store)
        with pytest.raises(RuntimeError, match="asyncio only"):
            await store.__aenter__()

    @pytest.mark.parametrize("anyio_backend", ["trio"])
    async def test_store_that_was_never_opened_closes_on_any_loop(
        self, anyio_backend: str
    ) -> None:
        store = open_state_store(f"{self.scheme}://nowhere.invalid{self.path}")
        await store.aclose()
        await store.aclose()

    def test_store_belongs_to_one_loop(self, place: Any, namespace: str) -> None:
        store = self.make(place, namespace)

        async def first() -> None:
            await store.set("a", 1)
            with pytest.raises(RuntimeError, match="another event loop"):
                await anyio.to_thread.run_sync(asyncio.run, store.get("a"))
            await store.aclose()

        asyncio.run(first())

    @pytest.mark.usefixtures("impatient")
    async def test_refused_connection_is_told_of_and_no_password(self) -> None:
        port = free_port()
        place = f"{self.scheme}://%s{HOST}:{port}{self.path}"
        store = open_state_store(place % f"me:{PASSWORD}@", namespace="n", **self.hasty)
        errors = await failures_of(store)
        for call, error in errors.items():
            assert type(error) is failure_of(call)
            assert error.store == f"{place % ''}?namespace=n"
            assert error.key == self.key_of(call)
            assert "there is no connection" in str(error)
            assert PASSWORD not in shown(error) + repr(store)
            again = pickle.loads(pickle.dumps(error))
            assert (str(again), again.key) == (str(error), error.key)
        await store.aclose()


async def failures_of(store: Any) -> dict[Call, StateError]:
    """Make all calls side by side, and return what each raises."""
    errors: dict[Call, StateError] = {}

    async def note(call: Call) -> None:
        with pytest.raises(StateError) as info:
            await call(store)
        errors[call] = info.value

    async with anyio.create_task_group() as tasks:
        for call in CALLS.values():
            tasks.start_soon(note, call)
    return errors


class WireChecks(ServerChecks):
    """Of a store on one server: `place` is a Server."""

    def started(self) -> Server:
        """Return a server of the test's own, not started yet."""
        raise NotImplementedError

    async def end_connections(self, place: Any, store: Any) -> None:
        """Let the server end the store's idle connections, and the store know it."""
        raise NotImplementedError

    @pytest.fixture
    async def wire(self, place: Server) -> AsyncIterator[Wire]:
        """A way to the server that fails when it is told to."""
        async with Wire(place.port) as wire:
            yield wire

    @pytest.fixture
    async def wired(
        self, wire: Wire, place: Server, namespace: str
    ) -> AsyncIterator[Any]:
        """A store on the wire, with one connection that has made each call once."""
        url = wire.url(self.url_of(place))
        options = {"pool_size": 1, "timeout": TIMEOUT_S}
        async with open_state_store(url, namespace=namespace, **options) as store:
            for call in CALLS.values():
                await call(store)
            await store.set("key", "old")
            yield store

    async def test_no_more_connections_are_made_than_asked_for(
        self, place: Server, namespace: str
    ) -> None:
        before = await self.connection_count(place)
        assert before is not None
        counts = []
        async with (
            self.make(place, namespace, pool_size=3) as store,
            anyio.create_task_group() as tasks,
        ):
            for number in range(TOGETHER):
                tasks.start_soon(store.set, f"key:{number}", number)
            for _ in range(10):
                counts.append(await self.connection_count(place) or 0)
                await anyio.lowlevel.checkpoint()
        assert 0 < max(counts) - before <= 3

    async def test_close_does_not_wait_for_a_server_that_hangs(self) -> None:
        with self.started() as server:
            before = open_files()
            store = self.make(server, "n", timeout=0.3)
            await store.set("a", 1)
            server.pause()
            try:
                with anyio.fail_after(PATIENCE_S):
                    with pytest.raises(OutcomeUnknownError, match="no answer"):
                        await store.set("a", 2)
                    with pytest.raises(StateReadError, match="no connection"):
                        await store.get("a")
                    await store.aclose()
                assert open_files() == before
            finally:
                server.resume()

    @by_write
    async def test_write_that_was_not_sent_is_sent_again(
        self, write: Call, wire: Wire, place: Server, wired: Any
    ) -> None:
        await self.end_connections(place, wired)
        wire.refuse = 3
        await write(wired)
        assert wire.refused == 3

    @by_write
    async def test_write_whose_answer_was_lost_is_unknown(
        self, write: Call, wire: Wire, wired: Any
    ) -> None:
        before = wire.passed
        wire.next = "deafen"
        with pytest.raises(OutcomeUnknownError) as info:
            await write(wired)
        assert wire.passed == before + 1, "it was sent again"
        assert "may have been applied" in str(info.value)
        assert info.value.key == self.key_of(write)
        assert await wired.get("key", "gone") == left_by(write)

    @by_write
    async def test_write_that_was_lost_on_its_way_is_unknown(
        self, write: Call, wire: Wire, wired: Any
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
        self, read: Call, fault: Any, wire: Wire, wired: Any
    ) -> None:
        expected = await read(wired)
        wire.next = fault
        assert await read(wired) == expected

    async def test_answers_that_do_not_come_are_not_waited_for(
        self, wire: Wire, place: Server, namespace: str
    ) -> None:
        url = wire.url(self.url_of(place))
        options = {"pool_size": len(CALLS), "timeout": TIMEOUT_S}
        async with open_state_store(url, namespace=namespace, **options) as store:
            await store.set("key", "old")
            # Each has a connection then.
            async with anyio.create_task_group() as tasks:
                for _ in CALLS:
                    tasks.start_soon(store.get, "key")
            wire.always = "hang"
            with anyio.fail_after(PATIENCE_S):
                errors = await failures_of(store)
            for call, error in errors.items():
                is_read = call in READS.values()
                assert type(error) is (
                    StateReadError if is_read else OutcomeUnknownError
                )
                assert f"{TIMEOUT_S:g}" in str(error)
            wire.always = None
            assert await store.get("key") == "old"

    @by_write
    async def test_connection_that_was_broken_off_is_made_anew(
        self, write: Call, wire: Wire, wired: Any
    ) -> None:
        """Since the store knows of it, nothing is sent that could be lost."""
        wire.reset()
        await anyio.sleep(0.02)
        await write(wired)
        assert await wired.get("key", "gone") == left_by(write)

"""LMDB: the contract, and what is LMDB's own: one thread, one map, one disk.

Start at `TestLmdbStateStore`.
"""

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import lmdb
import pytest

from fresh import PACKAGE_PARENT, TESTS, call_fresh
from kills import Acknowledge, kill_often
from latency_kv.errors import (
    OutcomeUnknownError,
    StateParseError,
    StateReadError,
    StateWriteError,
)
from latency_kv.facets.stores import (
    AtomicStateStore,
    BatchStateStore,
    ExpiringStateStore,
    PagedStateStore,
)
from latency_kv.providers import lmdb_environments, open_state_store
from latency_kv.providers.lmdb import MAX_KEY_SIZE, LmdbStateStore
from latency_kv.testing.state_store import StateStoreContract
from power import PowerDisk, cut_often
from providers.calls import CALLS, Call
from providers.store_checks import StoreChecks

pytestmark = pytest.mark.anyio

# This module, as a fresh interpreter finds it.
HERE = "providers.test_lmdb_store"

TOGETHER = 40
PATIENCE_S = 30.0

SMALL_KILLS, FULL_KILLS = 60, 3_000

# Several processes, each of which wants every key.
RACERS, RACED = 3, 60

WON, LOST = "won\n", "lost\n"

MIB = 1 << 20


class Clock:
    """A clock that stands until someone moves it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(folder: Path) -> Path:
    """Where a store may be."""
    return folder / "lmdb"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[LmdbStateStore]:
    async with LmdbStateStore(path, clock=Clock()) as store:
        yield store


class TestLmdbStateStore(StateStoreContract):
    capabilities = (
        AtomicStateStore,
        BatchStateStore,
        ExpiringStateStore,
        PagedStateStore,
    )
    strict = True

    @pytest.fixture
    async def provider(self, store: LmdbStateStore) -> AsyncIterator[LmdbStateStore]:
        yield store
        if store._environment is not None:
            check(store)

    async def pass_time(self, provider: Any, seconds: float) -> None:
        provider.clock.now += seconds

    @asynccontextmanager
    async def beside(self, provider: Any) -> AsyncIterator[Any]:
        async with LmdbStateStore(provider.path, clock=provider.clock) as second:
            yield second


class TestLmdbChecks(StoreChecks):
    @pytest.fixture
    def place(self, path: Path) -> Path:
        self.clock = Clock()
        return path

    def make(self, place: Any, namespace: str, **options: Any) -> LmdbStateStore:
        return LmdbStateStore(place, namespace, clock=self.clock, **options)

    async def spoil(self, store: Any, key: str, raw: bytes) -> None:
        put(store, key, bytes(lmdb_environments.END_SIZE) + raw)

    def longest_key(self, store: Any) -> str:
        return "k" * (MAX_KEY_SIZE - len(store.namespace))

    async def pass_time(self, store: Any, seconds: float) -> None:
        self.clock.now += seconds

    def check(self, store: Any) -> None:
        check(store)


def environment_of(store: LmdbStateStore) -> Any:
    environment = store._environment
    assert environment is not None
    return environment


def contents(store: LmdbStateStore) -> tuple[dict[bytes, bytes], list[Any]]:
    """All entries of the store's folder, and all that is among the ends."""
    own = environment_of(store)
    with own._environment.begin() as reading:
        entries = dict(reading.cursor(own._entries))
        return entries, list(reading.cursor(own._ends))


def put(store: LmdbStateStore, key: str, raw: bytes) -> None:
    """Let an entry be of these bytes."""
    own = environment_of(store)
    with own._environment.begin(write=True) as writing:
        writing.put(store._prefix + key.encode(), raw, db=own._entries)


def check(store: LmdbStateStore) -> None:
    """Invariant 2: under each end but 0 are those entries that have it, no others."""
    entries, ends = contents(store)
    size = lmdb_environments.END_SIZE
    expected = [(entry[:size], key) for key, entry in entries.items()]
    assert ends == sorted(pair for pair in expected if any(pair[0]))


def threads(path: Path) -> list[str]:
    """The threads that write to a folder."""
    return [one.name for one in threading.enumerate() if str(path) in one.name]


def open_files(path: Path) -> list[str]:
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    targets = [os.readlink(link) for link in links if os.path.islink(link)]
    return [target for target in targets if target.startswith(os.fspath(path))]


@contextmanager
def child(function: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that calls a function of this module, and has said that it is ready."""
    program = f"import sys; from {HERE} import {function} as f; "
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", f"{program}f(*sys.argv[1:])"]
        + [str(argument) for argument in arguments],
        env={**os.environ, "PYTHONPATH": f"{PACKAGE_PARENT}{os.pathsep}{TESTS}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def hold(path: str, write: str) -> None:
    """Have a transaction open until there is something to read."""
    with lmdb.open(path, max_dbs=2).begin(write=bool(write)):
        print("ready", flush=True)
        sys.stdin.readline()


# The URL, the constructor, the end.


async def test_url_names_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a b%?"
    url = f"lmdb:{tmp_path}/a%20b%25%3F?namespace=shop&map_size=1048576"
    async with open_state_store(url) as store:
        assert isinstance(store, LmdbStateStore)
        assert (store.path, store.namespace) == (str(folder), "shop")
        assert repr(store) == (
            f"LmdbStateStore('lmdb:{tmp_path}/a%20b%25%3F?namespace=shop')"
        )
        assert not folder.exists() or folder.is_dir()
        await store.set("a", 1)
    async with open_state_store(f"lmdb://localhost{tmp_path}/a%20b%25%3F") as store:
        assert await store.keys() == []


@pytest.mark.parametrize(
    "url", ["lmdb:", "lmdb://host/a", "lmdb:a?map_size=big", "lmdb:a?map_size=0"]
)
async def test_wrong_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError):
        open_state_store(url)


async def test_folder_is_where_the_process_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = LmdbStateStore("state")
    monkeypatch.chdir("/")
    await store.set("a", 1)
    await store.aclose()
    assert (tmp_path / "state/data.mdb").exists()


async def test_nothing_is_there_before_the_first_operation(path: Path) -> None:
    store = LmdbStateStore(path)
    assert not path.exists() and not threads(path)
    await store.aclose()
    assert not path.exists()


async def test_files_are_the_owners(store: LmdbStateStore, path: Path) -> None:
    await store.set("a", 1)
    assert path.stat().st_mode & 0o777 == 0o700
    for file in path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


async def test_folders_are_opened_and_closed_at_random(path: Path, seed: int) -> None:
    """One environment is made while the one before is on its way out."""

    async def live(number: int) -> None:
        chance = Random(f"{seed} {number}")
        for turn in range(15):
            async with LmdbStateStore(path) as store:
                for _ in range(chance.randrange(3)):
                    await store.set(f"{number}:{turn}", turn)
                    assert await store.get(f"{number}:{turn}") == turn

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(live, number)
    assert not threads(path) and not open_files(path)


async def test_folder_that_is_being_closed_is_opened_afterwards(path: Path) -> None:
    store = LmdbStateStore(path)
    await store.set("a", 1)
    with child("hold", path, "write") as process, anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.set, "a", 2)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(store.aclose)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            second = LmdbStateStore(path)
            tasks.start_soon(second.set_if_absent, "a", 3)
            await anyio.sleep(0.05)
            process.kill()
        assert await second.get("a") == 2
        await second.aclose()
    assert not threads(path)


async def test_closed_store_leaves_no_thread(path: Path) -> None:
    async with LmdbStateStore(path) as store:
        await store.set("a", 1)
        assert len(threads(path)) == 1 and open_files(path)
    assert not threads(path) and not open_files(path)


async def test_close_while_others_wait_for_the_opening_leaves_no_thread(
    path: Path,
) -> None:
    store = LmdbStateStore(path)
    async with anyio.create_task_group() as tasks:
        for number in range(TOGETHER):
            tasks.start_soon(store.set, f"{number}", 1)
        # Trio begins its tasks in any order.
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        await store.aclose()
    assert not threads(path)


# One environment a process.


async def test_stores_of_one_folder_share_it(
    store: LmdbStateStore, path: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    async with LmdbStateStore(link) as second, LmdbStateStore(path, "other") as third:
        assert len(threads(path)) == 1
        await store.set("a", 1)
        assert await second.get("a") == 1
        assert await third.keys() == []
        await third.set("a", 3)
    # The others' end is not this one's.
    assert await store.get("a") == 1
    await store.set("a", 2)
    assert len(threads(path)) == 1


async def test_namespaces_that_begin_alike_are_two(path: Path) -> None:
    async with (
        LmdbStateStore(path, "a") as short,
        LmdbStateStore(path, "ab") as long,
        LmdbStateStore(path, "b" * 100) as longest,
    ):
        await short.set("bc", 1)
        await long.set("c", 2)
        await longest.set("", 3)
        assert (await short.keys(), await long.keys()) == (["bc"], ["c"])
        assert (await short.get("bc"), await long.get("c")) == (1, 2)
        assert await longest.keys() == [""]


async def test_other_map_size_is_refused(path: Path, store: LmdbStateStore) -> None:
    second = LmdbStateStore(path, map_size=MIB)
    with pytest.raises(ValueError, match="map_size"):
        await second.get("a")
    await second.aclose()


async def test_loops_may_share_a_folder(path: Path, store: LmdbStateStore) -> None:
    async def live(number: int) -> None:
        async with LmdbStateStore(path) as own:
            async with anyio.create_task_group() as tasks:
                for turn in range(TOGETHER):
                    tasks.start_soon(own.set, f"{number}:{turn}", turn)
            for turn in range(TOGETHER):
                assert await own.get(f"{number}:{turn}") == turn

    async with anyio.create_task_group() as tasks:
        for number, backend in enumerate(["asyncio", "trio"] * 2):
            other_loop = partial(anyio.run, live, number, backend=backend)
            tasks.start_soon(anyio.to_thread.run_sync, other_loop)
        await live(9)
    assert len(await store.keys()) == 5 * TOGETHER


async def test_loop_that_ends_with_a_write_on_its_way_harms_nobody(
    path: Path, store: LmdbStateStore
) -> None:
    async def leave() -> None:
        own = LmdbStateStore(path)
        await own.has("a")
        asyncio.ensure_future(own.set("left", 1))
        await asyncio.sleep(0)

    with child("hold", path, "write") as process:
        await anyio.to_thread.run_sync(asyncio.run, leave())
        process.kill()
    with anyio.fail_after(PATIENCE_S):
        await store.set("a", 1)
    # It has not been closed.
    environment_of(store)._user_count -= 1


def test_store_cannot_be_used_across_a_fork(tmp_path: Path) -> None:
    assert call_fresh(f"{HERE}:fork_with_a_store", str(tmp_path)).endswith("ok\n")


def fork_with_a_store(path: str) -> None:
    store = LmdbStateStore(path)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(store.set("a", 1))
    process = os.fork()
    if not process:
        asyncio.run(be_refused(store))
        os._exit(0)
    _, status = os.waitpid(process, 0)
    assert status == 0, status
    loop.run_until_complete(store.set("a", 2))
    loop.run_until_complete(store.aclose())
    loop.close()
    print("ok")


async def be_refused(store: LmdbStateStore) -> None:
    """What becomes of a parent's store in its child."""
    for call in CALLS.values():
        with pytest.raises(RuntimeError, match="fork"):
            await call(store)
    await store.aclose()


def test_processes_race_for_keys_and_one_wins_each(tmp_path: Path) -> None:
    winners: dict[str, int] = {}
    with ExitStack() as stack:
        racers = [stack.enter_context(child("race", tmp_path)) for _ in range(RACERS)]
        environment = stack.enter_context(lmdb.open(str(tmp_path), max_dbs=2))
        for number in range(RACED):
            key = f"key:{number}"
            if number % 2:
                # Nobody can end before all have begun.
                with environment.begin(write=True):
                    for racer in racers:
                        begin(racer, key)
                won = [answer(racer) for racer in racers]
            else:
                # One is first for sure, by turns.
                first = number // 2 % RACERS
                won = [False] * RACERS
                for place in (first, *range(RACERS)):
                    begin(racers[place], key)
                    won[place] |= answer(racers[place])
                assert won[first]
            assert won.count(True) == 1, won
            winners[key] = racers[won.index(True)].pid
    assert len({*winners.values()}) == RACERS
    assert anyio.run(read_all, tmp_path) == winners


def begin(racer: subprocess.Popen[str], key: str) -> None:
    """Let a racer try to get a key, and wait until it is about to."""
    assert racer.stdin is not None and racer.stdout is not None
    racer.stdin.write(f"{key}\n")
    racer.stdin.flush()
    assert racer.stdout.readline() == f"{key}\n"


def answer(racer: subprocess.Popen[str]) -> bool:
    assert racer.stdout is not None
    line = racer.stdout.readline()
    assert line in (WON, LOST)
    return line == WON


async def read_all(path: Path) -> dict[str, Any]:
    async with LmdbStateStore(path) as store:
        keys = await store.keys()
        return dict(zip(keys, await store.get_many(keys), strict=True))


def race(path: str) -> None:
    async def main() -> None:
        async with LmdbStateStore(path) as store:
            print("ready", flush=True)
            for line in sys.stdin:
                print(line, end="", flush=True)
                won = await store.set_if_absent(line.rstrip(), os.getpid())
                print(WON if won else LOST, end="", flush=True)

    anyio.run(main)


# Readers and the one writer.


async def test_readers_wait_for_no_writer(store: LmdbStateStore, path: Path) -> None:
    await store.set("key", "old")
    with child("hold", path, "write") as process:
        async with anyio.create_task_group() as tasks:
            written: list[int] = []

            async def write() -> None:
                await store.set("key", "new")
                written.append(1)

            tasks.start_soon(write)
            with anyio.fail_after(PATIENCE_S):
                for _ in range(20):
                    assert await store.get("key") == "old"
                    assert await store.keys() == ["key"]
                    await anyio.sleep(0.001)
                assert not written
                process.kill()
    assert await store.get("key") == "new"


async def test_cancelled_write_that_did_not_begin_is_not_done(
    store: LmdbStateStore, path: Path
) -> None:
    with child("hold", path, "write") as process:
        with anyio.move_on_after(0.05):
            await store.set("begun", 1)
        with anyio.move_on_after(0.05):
            await store.set("waiting", 1)
        process.kill()
        with anyio.fail_after(PATIENCE_S):
            await store.set("last", 1)
    assert set(await store.keys()) <= {"begun", "last"}


async def test_writes_that_come_together_share_a_commit(store: LmdbStateStore) -> None:
    own = environment_of(store)
    before = own._environment.info()["last_txnid"]
    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(store.set, f"key:{number}", number)
    assert own._environment.info()["last_txnid"] - before < 100
    assert len(await store.keys()) == 200


async def test_places_of_killed_readers_are_taken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lmdb_environments, "_MAX_READERS", 1)
    monkeypatch.setattr(lmdb_environments, "_SPARE_COUNT", 0)
    async with LmdbStateStore(path) as store:
        await store.set("key", 1)
        with child("hold", path, "") as process:
            with pytest.raises(StateReadError, match="READERS_FULL"):
                await store.get("key")
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert await store.get("key") == 1


# What fits, and what does not.


async def test_full_map_is_told_of_and_harms_no_neighbour(path: Path) -> None:
    size = MIB
    async with LmdbStateStore(path, map_size=size) as store:
        await store.set("old", "old")
        failed: list[StateWriteError] = []

        async def write(key: str, value: str) -> None:
            try:
                await store.set(key, value)
            except StateWriteError as error:
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(write, f"key:{number:02}", "small")
                if number == 10:
                    tasks.start_soon(write, "old", "x" * size)
        assert [(error.key, error.errno) for error in failed] == [("old", errno.ENOSPC)]
        assert f"map_size={size}" in str(failed[0])
        assert await store.get("old") == "old"
        assert len(await store.keys("key:")) == 20
        with pytest.raises(StateWriteError, match="map_size"):
            await store.set_many({"a": 1, "b": "x" * size})
        assert not await store.has("a")
        await store.set("old", "new")
        check(store)
    async with LmdbStateStore(path, map_size=8 * size) as store:
        await store.set("big", "x" * size)
        assert await store.get("old") == "new"


async def test_map_of_another_process_that_grew_is_told_of(path: Path) -> None:
    async with LmdbStateStore(path, map_size=MIB) as store:
        await store.set("a", 1)
        with child("grow", path):
            with pytest.raises(StateWriteError, match=f"map_size={MIB}"):
                await store.set("a", 2)
            with pytest.raises(StateReadError, match=f"map_size={MIB}"):
                await store.get("a")
    async with LmdbStateStore(path, map_size=8 * MIB) as store:
        assert await store.get("a") == 1


def grow(path: str) -> None:
    async def main() -> None:
        async with LmdbStateStore(path, map_size=8 * MIB) as store:
            await store.set("big", "x" * 4 * MIB)
            print("ready", flush=True)
            sys.stdin.readline()

    anyio.run(main)


def test_full_disk_is_told_of(tmp_path: Path) -> None:
    call_fresh(f"{HERE}:fill_disk", str(tmp_path))


def fill_disk(path: str) -> None:
    """Of a process whose files may not grow: the system refuses as a full disk does."""

    async def main() -> None:
        async with LmdbStateStore(path) as store:
            await store.set("old", 1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
            for number in range(3):
                with pytest.raises(StateWriteError) as info:
                    await store.set("old", "x" * MIB)
                assert info.value.errno in (errno.EFBIG, errno.ENOSPC, errno.EIO)
                assert info.value.key == "old"
                await store.set("small", number)
            assert await store.get_many(["old", "small"]) == [1, 2]
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            await store.set("old", "x" * MIB)
        async with LmdbStateStore(path) as store:
            assert await store.get("old") == "x" * MIB

    anyio.run(main)


class Failing:
    """An environment whose commits fail, and that may be of no use any more then."""

    def __init__(self, inner: Any, *, panics: bool) -> None:
        self.inner = inner
        self.panics = panics
        self.commits = 0

    def begin(self, *arguments: Any, **options: Any) -> Any:
        if self.panics and self.commits:
            raise lmdb.PanicError("mdb_txn_begin")
        transaction = self.inner.begin(*arguments, **options)
        return (
            FailingTransaction(self, transaction)
            if options.get("write")
            else (transaction)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class FailingTransaction:
    def __init__(self, environment: Failing, inner: Any) -> None:
        self.environment = environment
        self.inner = inner

    def commit(self) -> None:
        self.environment.commits += 1
        self.inner.abort()
        raise lmdb.DiskError("mdb_txn_commit", errno.EIO)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.parametrize("panics", [False, True])
async def test_commit_that_fails_is_not_applied_or_unknown(
    store: LmdbStateStore, panics: bool
) -> None:
    await store.set("a", 1)
    own = environment_of(store)
    failing = Failing(own._environment, panics=panics)
    own._environment, own._begin = failing, failing.begin
    kind = OutcomeUnknownError if panics else StateWriteError
    with pytest.raises(kind) as info:
        await store.set("a", 2)
    assert info.value.key == "a" and failing.commits == 1
    if panics:
        for call, error in (
            (store.get, StateReadError),
            (store.delete, StateWriteError),
        ):
            with pytest.raises(error, match="close every store"):
                await call("a")
    own._environment, own._begin = failing.inner, failing.inner.begin
    assert await store.get("a") == 1


async def test_page_may_end_with_the_longest_key(path: Path) -> None:
    async with LmdbStateStore(path, "n") as store:
        keys = [f"{number:03}".ljust(MAX_KEY_SIZE - 1, "k") for number in range(501)]
        await store.set_many(dict.fromkeys(keys, 1))
        assert await store.keys() == keys


async def test_large_value_comes_back(store: LmdbStateStore) -> None:
    value = ["\0" * 500_000, "x" * 5 * MIB]
    await store.set("a", value)
    await store.set("a", value)
    assert await store.get("a") == value
    assert await store.compare_and_set("a", value, value[:1]) is True


async def test_stored_bytes_that_are_no_value_are_told_of(
    store: LmdbStateStore,
) -> None:
    await store.set("a", 1)
    for raw in [b"", b"short", bytes(8) + b"nonsense"]:
        put(store, "a", raw)
        with pytest.raises(StateParseError) as info:
            await store.get("a")
        assert info.value.key == "a"
    await store.set("a", 2)
    assert await store.get("a") == 2


# Ends.


async def test_what_is_over_is_reclaimed_by_later_writes(store: LmdbStateStore) -> None:
    for number in range(50):
        await store.set(f"key:{number}", 1, ttl=1 + number / 100)
    await store.set("renewed", 1, ttl=1)
    await store.set("renewed", 2, ttl=100)
    await store.set("kept", 1, ttl=1)
    await store.set("kept", 2)
    store.clock.now += 10  # type: ignore[attr-defined]
    assert await store.keys() == ["kept", "renewed"]
    assert len(contents(store)[0]) == 52
    for number in range(12):
        await store.set("other", number)
        assert len(contents(store)[0]) <= 53 - 4 * (number + 1) + 1
        check(store)
    await store.delete("other")
    assert len(contents(store)[0]) == 2
    assert await store.get_many(["kept", "renewed"]) == [2, 2]


async def test_value_ends_at_its_end(store: LmdbStateStore) -> None:
    await store.set("a", 1, ttl=1)
    store.clock.now += 0.999_999  # type: ignore[attr-defined]
    assert await store.get("a") == 1
    store.clock.now += 0.000_002  # type: ignore[attr-defined]
    assert await store.get("a") is None


@pytest.mark.parametrize(
    ("call", "answer", "left"),
    [
        (lambda store: store.set_if_absent("key", "new"), True, "new"),
        (lambda store: store.compare_and_set("key", "old", "new"), False, None),
        (lambda store: store.delete("key"), False, None),
    ],
    ids=["set_if_absent", "compare_and_set", "delete"],
)
async def test_write_does_not_see_what_is_over(
    store: LmdbStateStore, call: Call, answer: bool, left: str | None
) -> None:
    """Though nobody has reclaimed it."""
    await store.set("key", "old", ttl=1)
    store.clock.now += 1  # type: ignore[attr-defined]
    assert await call(store) is answer
    assert await store.get("key") == left


# Other folders.


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("a file"),
        lambda path: (path.mkdir(), (path / "data.mdb").write_bytes(b"x" * 10_000)),
    ],
    ids=["a file", "no LMDB"],
)
async def test_what_is_no_folder_of_lmdb_is_told_of(
    path: Path, spoil: Callable[[Path], Any]
) -> None:
    spoil(path)
    store = LmdbStateStore(path)
    with pytest.raises(StateReadError) as info:
        await store.get("a")
    assert (
        info.value.key == "a" and info.value.store == f"lmdb:{path}?namespace=default"
    )
    with pytest.raises(StateWriteError):
        await store.set("a", 1)
    with pytest.raises(StateReadError):
        await store.__aenter__()
    path.rename(path.with_name("spoilt"))
    await store.set("a", 1)
    assert await store.get("a") == 1
    await store.aclose()
    assert not threads(path) and not open_files(path)


async def test_folder_of_another_program_is_refused(path: Path) -> None:
    path.mkdir()
    with lmdb.open(str(path)) as other, other.begin(write=True) as writing:
        writing.put(b"theirs", b"1")
    store = LmdbStateStore(path)
    with pytest.raises(StateWriteError, match="another program's"):
        await store.set("a", 1)
    await store.aclose()
    with lmdb.open(str(path)) as other, other.begin() as reading:
        assert list(reading.cursor()) == [(b"theirs", b"1")]


async def test_failed_opening_is_told_to_all_who_wait(path: Path) -> None:
    path.write_text("a file")
    store = LmdbStateStore(path)
    keys: list[str | None] = []

    async def call(number: int) -> None:
        with pytest.raises(StateWriteError) as info:
            await store.set(f"{number}", 1)
        keys.append(info.value.key)

    async with anyio.create_task_group() as tasks:
        for number in range(TOGETHER):
            tasks.start_soon(call, number)
    assert set(keys) == {f"{number}" for number in range(TOGETHER)}
    path.unlink()
    await store.set("a", 1)
    await store.aclose()


# Kills and power cuts.


def test_killed_writer_leaves_what_it_acknowledged(
    folder: Path, full: bool, seed: int
) -> None:
    kills = FULL_KILLS if full else SMALL_KILLS
    call_fresh(f"{HERE}:kill_writers", str(folder), str(kills), str(seed))


def kill_writers(folder: str, kills: str, seed: str) -> None:
    path = Path(folder) / "lmdb"
    written = kill_often(
        [lambda tell: write_numbers(path, tell)],
        lambda acknowledged: check_numbers(path, acknowledged[0]),
        int(kills),
        int(seed),
        longest_life_s=0.03,
    )
    assert written


def write_numbers(path: Path, tell: Acknowledge) -> None:
    """Count up: every number is in the store, and its double ends in an hour."""

    async def main() -> None:
        store = LmdbStateStore(path)
        number: int = await store.get("last", 0)
        while True:
            number += 1
            await store.set_many({"last": number, f"number:{number % 50}": number})
            await store.set(f"double:{number % 50}", 2 * number, ttl=3_600)
            tell(number)

    asyncio.run(main())


def check_numbers(path: Path, acknowledged: list[int]) -> None:
    async def main() -> None:
        async with LmdbStateStore(path) as store:
            last = await store.get("last", 0)
            assert last >= max(acknowledged, default=0), (last, acknowledged[-1:])
            for number in acknowledged[-40:]:
                assert await store.get(f"number:{number % 50}") in (number, number + 50)
                assert await store.get(f"double:{number % 50}") in (
                    *(2 * number, 2 * number + 100),
                )
            check(store)

    asyncio.run(main())


def write_until_the_cut(path: Path, tell: Acknowledge) -> None:
    with suppress(OSError):
        write_numbers(path, tell)
    signal.pause()


def test_power_cut_leaves_what_was_acknowledged(cuts: int, seed: int) -> None:
    call_fresh(f"{HERE}:cut_power", str(cuts), str(seed))


def cut_power(cuts: str, seed: str) -> None:
    with PowerDisk(size=64 << 20) as disk:
        path = disk.folder / "lmdb"
        assert cut_often(
            disk,
            partial(write_until_the_cut, path),
            partial(check_numbers, path),
            int(cuts),
            int(seed),
        )

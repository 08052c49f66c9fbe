"""open_state_store: the URL chooses provider, namespace and options; nothing opens yet."""

import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import SplitResult

import pytest

from fresh import run_fresh
from latency_kv import InMemoryStore
from latency_kv.facets.stores import OpenedStateStore
from latency_kv.providers import (
    FileStateStore,
    MemoryStateStore,
    open_state_store,
    state_stores,
)

pytestmark = pytest.mark.anyio

BUILT_IN = [
    *("memory", "file", "lmdb", "postgresql", "postgres", "redis", "rediss"),
    *("redis-cluster", "rediss-cluster"),
]


class Recorded:
    """What a factory was asked for."""

    def __init__(self, url: SplitResult, namespace: str, **options: Any) -> None:
        self.url = url
        self.namespace = namespace
        self.options = options

    from_url = classmethod(lambda cls, *args, **options: cls(*args, **options))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that brings a scheme is installed."""
    point = EntryPoint("etcd", f"{__name__}:Recorded", group="latency_kv.state_stores")
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(Recorded=Recorded))

    def entry_points(*, group: str) -> EntryPoints:
        return EntryPoints([point] if group == "latency_kv.state_stores" else [])

    monkeypatch.setattr(state_stores, "entry_points", entry_points)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every built-in provider records what it is asked for."""
    monkeypatch.setattr(state_stores, "_provider", lambda home: Recorded)


async def test_default_is_memory_in_the_default_namespace() -> None:
    store = open_state_store()
    assert type(store) is MemoryStateStore
    assert isinstance(store, OpenedStateStore)
    assert (store.namespace, len(store.store)) == ("default", 0)
    assert repr(store) == "MemoryStateStore('memory:?namespace=default')"


async def test_two_stores_of_memory_have_nothing_in_common() -> None:
    async with open_state_store() as one, open_state_store("memory:") as other:
        await one.set("a", 1)
        assert await other.keys() == []


async def test_options_are_the_providers() -> None:
    shared = InMemoryStore()
    async with open_state_store(store=shared, clock=lambda: 0.0) as store:
        await store.set("a", 1)
        assert len(shared) == 1


async def test_file_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a b%"
    url = f"file:{tmp_path}/a%20b%25?namespace=shop&durable=false"
    async with open_state_store(url) as store:
        assert type(store) is FileStateStore
        assert store.documents_dir == folder
        assert not folder.exists()
        await store.set("a", 1)
        assert (folder / "shop.json").exists()
    again = f"file://localhost{tmp_path}/a%20b%25"
    async with open_state_store(again, namespace="shop") as store:
        assert await store.get("a") == 1


async def test_file_may_be_beside_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_state_store("file:state")
    assert isinstance(store, FileStateStore)
    assert store.documents_dir == tmp_path / "state"


@pytest.mark.parametrize(
    ("url", "given", "namespace"),
    [
        ("redis://db/0", None, "default"),
        ("redis://db/0?namespace=a", None, "a"),
        ("redis://db/0?namespace=a", "b", "b"),
        ("redis-cluster://a:1,b:2", None, "default"),
        ("redis-cluster://a:1,b:2/", None, "default"),
        ("redis-cluster://a:1,b:2/shop?replicas=1", None, "shop"),
        ("redis-cluster://a:1/shop?namespace=a", None, "a"),
        ("redis-cluster://a:1/shop", "b", "b"),
        ("rediss-cluster://a:1/shop", None, "shop"),
        ("postgresql://db/shop", None, "default"),
    ],
)
async def test_namespace_is_the_arguments_or_the_urls(
    url: str, given: str | None, namespace: str, recorded: None
) -> None:
    store: Any = open_state_store(url, namespace=given, timeout=1.0)
    assert (store.namespace, store.options) == (namespace, {"timeout": 1.0})
    assert store.url.geturl() == url.removesuffix("/") or store.url.path == "/"


@pytest.mark.parametrize(
    "url", ["memory:?namespace=", "memory:?namespace=a/b", "redis-cluster://a/b/c"]
)
async def test_namespace_of_the_url_is_checked(url: str, recorded: None) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        open_state_store(url)
    with pytest.raises(ValueError, match="letters, digits"):
        open_state_store(namespace="a b")


@pytest.mark.parametrize("scheme", BUILT_IN)
async def test_scheme_is_built_in(scheme: str, recorded: None) -> None:
    assert isinstance(open_state_store(f"{scheme.upper()}://a"), Recorded)


async def test_unknown_scheme_tells_what_there_is(installed: None) -> None:
    with pytest.raises(
        ValueError, match="unknown scheme mysql:; known are memory:"
    ) as caught:
        open_state_store("mysql://me:hunter2@db")
    for scheme in [*BUILT_IN, "etcd"]:
        assert f"{scheme}:" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_entry_point_brings_a_scheme(installed: None) -> None:
    store: Any = open_state_store("etcd://db:1/?x=1", namespace="n", more=2)
    assert isinstance(store, Recorded)
    assert (store.url.netloc, store.namespace, store.options) == (
        "db:1",
        "n",
        {"more": 2},
    )


async def test_entry_point_takes_no_built_in_scheme(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry_points(*, group: str) -> EntryPoints:
        raise AssertionError("nobody has to look")

    monkeypatch.setattr(state_stores, "entry_points", entry_points)
    assert isinstance(open_state_store(), MemoryStateStore)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory:shared", "memory: has nothing behind its colon"),
        ("memory://shared", "memory: has nothing behind its colon"),
        ("memory:?size=1", "knows namespace"),
        ("file:", "file: is followed by the path"),
        ("file://server/state", "file: is followed by the path"),
        ("file:state?durable=perhaps", "'durable' is no flag"),
        ("file:state?clock=1", "knows namespace, durable"),
        ("file:state?namespace=a&namespace=a", "twice"),
        ("file:state#1", "has a '#'"),
    ],
)
async def test_url_that_its_provider_cannot_use_is_refused(
    url: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        open_state_store(url)


async def test_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="size"):
        open_state_store(size=1)


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [
        ("redis://me:hunter2@db", "redis", "redis"),
        ("redis-cluster://a:1", "redis", "redis"),
        ("postgresql://db", "asyncpg", "postgres"),
        ("lmdb:state", "lmdb", "lmdb"),
    ],
)
def test_missing_extra_is_named(url: str, library: str, extra: str) -> None:
    program = f"""
import sys
sys.modules[{library!r}] = None
from latency_kv.providers import open_state_store
try:
    open_state_store({url!r})
except ImportError as error:
    print(error, error.name)
"""
    output = run_fresh("-c", program)
    assert f"pip install 'latency-kv[{extra}]' {library}\n" in output
    assert "hunter2" not in output


def test_another_failing_import_is_not_an_extra() -> None:
    home = state_stores._Home("latency_kv.providers.nowhere", "X", "redis", "redis")
    with pytest.raises(ModuleNotFoundError, match=r"latency_kv\.providers\.nowhere"):
        state_stores._provider(home)


def test_provider_is_imported_when_its_scheme_is_asked_for() -> None:
    program = """
import sys
from latency_kv.providers import open_state_store
room = "latency_kv.providers."
print(sorted(name for name in sys.modules if name.startswith(room)))
open_state_store()
print(f"{room}memory" in sys.modules, f"{room}file" in sys.modules)
print([name for name in ("redis", "asyncpg", "lmdb") if name in sys.modules])
"""
    expected = ["latency_kv.providers.state_keys", "latency_kv.providers.state_stores"]
    assert run_fresh("-c", program) == f"{expected}\nTrue False\n[]\n"

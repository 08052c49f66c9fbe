"""The bench of state stores: each side is measured, and what measures nothing is red.

Counts are tiny here: what is tested is that both sides did what the figures say, that
nothing of it stays, and that no password is shown. No timing decides a test.
"""

import asyncio
import json
import math
import secrets
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from latency_kv.bench import bare_clients, children, machine, state_stores
from latency_kv.bench.state_stores import (
    FEW,
    GROUP,
    PROBES,
    Counts,
    StoreFigure,
    measured,
)
from latency_kv.providers.memory import MemoryStateStore
from latency_kv.providers.state_stores import open_state_store
from servers import PostgresqlServer, RedisCluster, RedisServer, Server

TINY = Counts(
    entries=2 * GROUP, document_entries=GROUP, rounds=2, round_s=0.0, tasks=(1, 3)
)

SERVERS: dict[str, Callable[[], Server | RedisCluster]] = {
    "postgresql": PostgresqlServer,
    "redis": RedisServer,
    "redis-cluster": RedisCluster,
}


@pytest.fixture(params=["memory", "file", "lmdb", *SERVERS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of each kind, empty."""
    scheme = request.param
    if scheme in SERVERS:
        pytest.importorskip("asyncpg" if scheme == "postgresql" else "redis")
        with SERVERS[scheme]() as server:
            yield server.url
        return
    if scheme == "lmdb":
        pytest.importorskip("lmdb")
    yield "memory:" if scheme == "memory" else f"{scheme}:{tmp_path / 'state'}"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command measure tiny counts, whatever the build."""
    monkeypatch.setattr(machine, "objection", lambda: None)
    monkeypatch.setattr(state_stores, "QUICK", TINY)


def _measured(url: str) -> list[StoreFigure]:
    async def main() -> list[StoreFigure]:
        async with aclosing(measured(url, TINY, 2, _quiet)) as figures:
            return [figure async for figure in figures]

    return asyncio.run(main())


def _quiet(done: int, what: str) -> None:
    assert 0 <= done <= 6
    assert what


def test_every_store_is_measured_beside_its_bare_client(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda size: "mark")
    figures = _measured(url)
    assert [(figure.operation, figure.tasks) for figure in figures] == [
        (operation, tasks) for operation in ("set", "get", "list") for tasks in (1, 3)
    ]
    for figure in figures:
        assert figure.theirs is not None
        assert figure.ratio is not None
        assert figure.calls >= figure.tasks
        assert figure.entries == (GROUP if url.startswith("file:") else 2 * GROUP)
        for value in (figure.ours, figure.theirs, figure.ratio):
            assert math.isfinite(value)
            assert value > 0
        assert figure.ratio == pytest.approx(figure.theirs / figure.ours)
        assert (figure.reached is None) == (figure.operation == "list")
    asyncio.run(_assert_nothing_stays(url))


async def _assert_nothing_stays(url: str) -> None:
    for namespace in ("bench-mark", "bench-mark-bare"):
        # The cluster's number of buckets is gone too: else this would be refused.
        options: dict[str, Any] = {"buckets": 7} if "cluster" in url else {}
        async with open_state_store(url, namespace=namespace, **options) as store:
            assert await store.keys() == []


@pytest.mark.parametrize("scheme", ["file", "lmdb"])
def test_folder_of_the_bare_client_is_removed(scheme: str, tmp_path: Path) -> None:
    if scheme == "lmdb":
        pytest.importorskip("lmdb")
    _measured(f"{scheme}:{tmp_path / 'state'}")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    if scheme == "file":
        assert not list((tmp_path / "state").glob("*.json"))


def test_keys_and_values_have_the_sizes_that_are_told() -> None:
    keys = state_stores._keys(2_000)
    assert len(set(keys)) == 2_000
    assert {len(key.encode()) for key in keys} == {16}
    prefixes = [state_stores._prefix(key) for key in keys]
    assert {prefixes.count(prefix) for prefix in prefixes} == {GROUP}
    for turn in (0, 9):
        value = state_stores._value(keys[0], turn)
        assert len(json.dumps(value, separators=(",", ":"))) == 100


@pytest.mark.parametrize("kind", [MemoryStateStore, bare_clients._Dict])
@pytest.mark.parametrize(
    ("method", "result", "trouble"),
    [
        ("set", None, "was set, and has another value"),
        ("get", None, "has another value"),
        ("keys", [], "has not 100 keys"),
    ],
)
def test_side_that_does_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Any],
    method: str,
    result: Any,
    trouble: str,
) -> None:
    true_keys = MemoryStateStore.keys

    async def nothing(side: Any, *arguments: Any) -> Any:
        # Emptying asks for all of them.
        return result if arguments else await true_keys(side)

    if kind is bare_clients._Dict and method == "set":
        # It is filled by its `set`.
        async def fill(side: Any, values: Any) -> None:
            side._entries = {
                key: json.dumps(value).encode() for key, value in values.items()
            }

        monkeypatch.setattr(kind, "fill", fill)
    monkeypatch.setattr(kind, method, nothing)
    with pytest.raises((RuntimeError, ExceptionGroup)) as caught:
        _measured("memory:")
    assert trouble in str(state_stores._first(caught.value))


def test_get_of_another_value_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wrong(side: Any, key: str) -> Any:
        return state_stores._value("another key 1234", 0)

    monkeypatch.setattr(bare_clients._Dict, "get", wrong)
    monkeypatch.setattr(state_stores, "_CHECKED", 0)
    with pytest.raises(ExceptionGroup) as caught:
        _measured("memory:")
    assert "and not found" in str(state_stores._first(caught.value))


def test_every_call_is_made_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[type[Any], list[str]] = {MemoryStateStore: [], bare_clients._Dict: []}
    monkeypatch.setattr(state_stores, "_CHECKED", 0)
    for kind, keys in asked.items():
        true_get = kind.get

        async def get(
            side: Any, key: str, true_get: Any = true_get, keys: Any = keys
        ) -> Any:
            keys.append(key)
            return await true_get(side, key)

        monkeypatch.setattr(kind, "get", get)
    figures = [figure for figure in _measured("memory:") if figure.operation == "get"]
    # Of so many rounds, a first one, and those that tell how many fill a round.
    assert PROBES == 2
    made = sum((TINY.rounds + 2) * figure.calls + FEW for figure in figures)
    assert [len(keys) for keys in asked.values()] == [made, made]


def test_bare_statements_are_those_of_the_provider() -> None:
    provider = pytest.importorskip("latency_kv.providers.postgresql")
    ours = bare_clients.SET, bare_clients.GET, bare_clients.LIST
    theirs = provider._SET, provider._GET, provider._PAGE
    assert [text.split() for text in ours] == [text.split() for text in theirs]


def test_scheme_without_a_bare_client_is_measured_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(bare_clients._KINDS, "memory")
    figures = _measured("memory:")
    assert {figure.theirs for figure in figures} == {None}
    assert {figure.reached for figure in figures} == {None}
    assert all(figure.ours > 0 and state_stores._line(figure) for figure in figures)


@pytest.mark.usefixtures("tiny")
def test_url_that_fails_is_told_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "out" / "figures.json"
    (tmp_path / "no-folder").touch()
    urls = ["redis://me:hunter2@127.0.0.1:1", "memory:", f"file:{tmp_path}/no-folder/x"]
    assert state_stores.main([*urls, "--quick", "--json", str(path)]) == 1
    said = capsys.readouterr()
    text = path.read_text()
    assert "hunter2" not in said.out + said.err + text
    assert said.out.count("NOT MEASURED: ") == 2
    content = json.loads(text)
    assert {figure["store"] for figure in content["stores"]} == {"memory:"}
    assert len(content["stores"]) == 6
    assert len(content["troubles"]) == 2
    assert content["machine"]["connections"]
    assert said.out.index("processor") < said.out.index("memory:")
    assert said.out.rstrip().endswith("of 4 goals reached")


@pytest.mark.parametrize(
    "url",
    [
        *("nowhere://me:hunter2@host", "me:hunter2@host", "redis://me:hunter2@[host"),
        *("file:", "memory:?hunter2=1", "state"),
    ],
)
def test_wrong_url_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    if url.startswith("redis"):
        pytest.importorskip("redis")
    monkeypatch.setattr(machine, "objection", lambda: pytest.fail("it goes on"))
    with pytest.raises(SystemExit) as stop:
        state_stores.main(["memory:", url])
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out == "" and "error: URL 2: " in said.err
    assert "me:hunter2" not in said.err


@pytest.mark.usefixtures("tiny")
def test_nothing_is_summed_up_where_nothing_was_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "no-folder").touch()
    assert state_stores.main([f"file:{tmp_path}/no-folder/x", "--quick"]) == 1
    assert "goals reached" not in capsys.readouterr().out


@pytest.mark.usefixtures("tiny")
def test_all_that_was_asked_for_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert state_stores.main(["memory:", "--quick", "--connections", "1"]) == 0
    assert "NOT MEASURED" not in capsys.readouterr().out


def test_builds_that_mislead_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "objection", lambda: "a reason")
    assert state_stores.main(["memory:"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "a reason" in said.err


@pytest.mark.parametrize("arguments", [[], ["memory:", "--connections", "0"]])
def test_wrong_options_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        state_stores.main(arguments)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_bench_of_stores_runs_as_a_module() -> None:
    said = children.output("-m", "latency_kv.bench.state_stores", "--help")
    assert "redis://localhost" in said

"""Scans: entries in key order; beside BTrees, where that is installed."""

from collections.abc import Iterator
from typing import Any

import pytest

from latency_kv import InMemoryStore

SCANS = 20
ROUNDS = 500
GROUP = 100
"""Entries of a prefix."""

NEAR = 10
"""Entries that are read behind a put."""

WALKS = 40
BUILDS = 20

ABOVE = b"\xff" * 16

engines = pytest.mark.parametrize("engine", ["latency_kv", "BTrees"])


@pytest.fixture(scope="module")
def store(entries: Any) -> InMemoryStore:
    return InMemoryStore(entries.pairs(), ordered=True)


@pytest.fixture(scope="module")
def tree(entries: Any) -> Any:
    made = pytest.importorskip("BTrees.OOBTree").OOBTree()
    for key, value in entries.pairs():
        made[key] = value
    return made


@pytest.fixture
def target(request: pytest.FixtureRequest, engine: str) -> Any:
    return request.getfixturevalue("tree" if engine == "BTrees" else "store")


def scan(store: InMemoryStore, prefixes: list[bytes]) -> None:
    for prefix in prefixes:
        for _key, _value in store.prefix_scan(prefix):
            pass


def scan_tree(tree: Any, prefixes: list[bytes]) -> None:
    for prefix in prefixes:
        for _key, _value in tree.items(prefix, prefix + ABOVE):
            pass


def walk(entries: Any) -> None:
    for _key, _value in entries:
        pass


def put_then_scan(store: InMemoryStore, pairs: list[tuple[bytes, bytes]]) -> None:
    for key, value in pairs:
        store[key] = value
        for _key, _value in store.range_scan(key, limit=NEAR):
            pass


def first(store: InMemoryStore) -> None:
    store.first()


@engines
def test_prefix_scan(measure: Any, target: Any, entries: Any, engine: str) -> None:
    measure(
        scan_tree if engine == "BTrees" else scan,
        lambda: (target, entries.some_prefixes(SCANS)),
        operations=SCANS * GROUP,
        rounds=ROUNDS,
        engine=engine,
    )


@engines
def test_walk(measure: Any, target: Any, entries: Any, engine: str) -> None:
    def arguments() -> tuple[Iterator[tuple[bytes, bytes]]]:
        return (iter(target.items()),)

    measure(walk, arguments, operations=entries.count, rounds=WALKS, engine=engine)


def test_put_then_scan(measure: Any, store: InMemoryStore, entries: Any) -> None:
    measure(
        put_then_scan,
        lambda: (store, entries.some_pairs(SCANS)),
        operations=SCANS,
        rounds=ROUNDS,
    )


def test_first_ordered_access(measure: Any, entries: Any) -> None:
    """What builds the index."""
    measure(
        first,
        lambda: (InMemoryStore(entries.pairs()),),
        operations=entries.count,
        rounds=BUILDS,
    )

"""Snapshots and images: taking one, writing beside it, to bytes and back."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latency_kv import InMemoryStore, StateSnapshot

CALLS = 1_000
SNAPSHOTS = 100
ROUNDS = 500
ENCODINGS = 20


@pytest.fixture(scope="module")
def store(entries: Any) -> InMemoryStore:
    return InMemoryStore(entries.pairs(), ordered=True)


def snapshot(store: InMemoryStore) -> None:
    for _ in range(SNAPSHOTS):
        store.snapshot()


def put(
    store: InMemoryStore, snapshot: StateSnapshot, pairs: list[tuple[bytes, bytes]]
) -> None:
    for key, value in pairs:
        store[key] = value


def call(function: Callable[..., object], *arguments: Any) -> None:
    function(*arguments)


def open_and_get(path: Path, keys: list[bytes]) -> None:
    image = StateSnapshot.open(path)
    for key in keys:
        image.get(key)


def test_snapshot(measure: Any, store: InMemoryStore) -> None:
    measure(snapshot, lambda: (store,), operations=SNAPSHOTS, rounds=ROUNDS)


def test_put_over_beside_a_snapshot(
    measure: Any, store: InMemoryStore, entries: Any
) -> None:
    """Each put copies a page, or finds one that was copied."""
    measure(
        put,
        lambda: (store, store.snapshot(), entries.some_pairs(CALLS)),
        operations=CALLS,
        rounds=ROUNDS,
    )


@pytest.mark.parametrize("engine", ["latency_kv", "pickle"])
def test_encode(measure: Any, store: InMemoryStore, entries: Any, engine: str) -> None:
    def arguments() -> tuple[Any, ...]:
        if engine == "pickle":
            return (pickle.dumps, dict(store.items()))
        return (store.snapshot().to_bytes,)

    measure(call, arguments, operations=entries.count, rounds=ENCODINGS, engine=engine)


def test_restore(measure: Any, store: InMemoryStore, entries: Any) -> None:
    image = StateSnapshot.from_bytes(store.snapshot().to_bytes())
    measure(
        call,
        lambda: (InMemoryStore.from_snapshot, image),
        operations=entries.count,
        rounds=ENCODINGS,
    )


def test_open_and_get(
    measure: Any, store: InMemoryStore, entries: Any, tmp_path: Path
) -> None:
    path = tmp_path / "image"
    store.snapshot().save(path)
    measure(
        open_and_get,
        lambda: (path, entries.some_keys(CALLS)),
        operations=CALLS,
        rounds=ROUNDS,
    )

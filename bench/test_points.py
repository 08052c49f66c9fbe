"""Points: one entry after another, from Python; dict beside, as a measure."""

from collections.abc import Callable
from typing import Any

import pytest

from latency_kv import InMemoryStore

CALLS = 1_000
ROUNDS = 500
FILL = 10_000
FILL_ROUNDS = 50

MAKERS: dict[str, Callable[..., Any]] = {"latency_kv": InMemoryStore, "dict": dict}
engines = pytest.mark.parametrize("engine", MAKERS)


@pytest.fixture(scope="module")
def filled(entries: Any) -> dict[str, Any]:
    """Each engine with all entries."""
    return {name: make(entries.pairs()) for name, make in MAKERS.items()}


def get(target: Any, keys: list[bytes]) -> None:
    for key in keys:
        target.get(key)


def get_many(store: InMemoryStore, keys: list[bytes]) -> None:
    store.get_many(keys)


def put(target: Any, pairs: list[tuple[bytes, bytes]]) -> None:
    for key, value in pairs:
        target[key] = value


def delete(store: InMemoryStore, keys: list[bytes]) -> None:
    for key in keys:
        store.delete(key)


def increment(store: InMemoryStore, keys: list[bytes]) -> None:
    for key in keys:
        store.increment(key)


@engines
def test_get(measure: Any, filled: Any, entries: Any, engine: str) -> None:
    measure(
        get,
        lambda: (filled[engine], entries.some_keys(CALLS)),
        operations=CALLS,
        rounds=ROUNDS,
        engine=engine,
    )


def test_get_of_absent_keys(measure: Any, filled: Any, entries: Any) -> None:
    measure(
        get,
        lambda: (filled["latency_kv"], entries.fresh(CALLS)),
        operations=CALLS,
        rounds=ROUNDS,
    )


def test_get_many(measure: Any, filled: Any, entries: Any) -> None:
    measure(
        get_many,
        lambda: (filled["latency_kv"], entries.some_keys(CALLS)),
        operations=CALLS,
        rounds=ROUNDS,
    )


@engines
def test_put_over(measure: Any, filled: Any, entries: Any, engine: str) -> None:
    measure(
        put,
        lambda: (filled[engine], entries.some_pairs(CALLS)),
        operations=CALLS,
        rounds=ROUNDS,
        engine=engine,
    )


@engines
def test_put_new(measure: Any, entries: Any, engine: str) -> None:
    """Into an empty one, so that growing is in it."""
    measure(
        put,
        lambda: (MAKERS[engine](), list(zip(*[entries.fresh(FILL)] * 2, strict=True))),
        operations=FILL,
        rounds=FILL_ROUNDS,
        engine=engine,
    )


def test_delete(measure: Any, entries: Any) -> None:
    def arguments() -> tuple[InMemoryStore, list[bytes]]:
        keys = entries.fresh(FILL)
        return InMemoryStore((key, key) for key in keys), keys

    measure(delete, arguments, operations=FILL, rounds=FILL_ROUNDS)


def test_increment(measure: Any, entries: Any) -> None:
    store = InMemoryStore()
    keys = entries.fresh(CALLS)
    measure(increment, lambda: (store, keys), operations=CALLS, rounds=ROUNDS)

"""State stores: the facet in memory, where no server hides what our side takes."""

from collections.abc import Iterator
from typing import Any

import pytest

from latency_kv import open_state_store

CALLS = 200
ROUNDS = 200
GROUP = 100

KEYS = [f"seat:{number // GROUP:03}:{number % GROUP:03}" for number in range(CALLS)]
VALUE = {"sold": True, "price": 12.5, "name": "a passenger's"}


@pytest.fixture(scope="module")
def store(run: Any) -> Iterator[Any]:
    made = open_state_store("memory:")
    run(made.__aenter__())
    yield made
    run(made.__aexit__(None, None, None))


async def sets(store: Any) -> None:
    for key in KEYS:
        await store.set(key, VALUE)


async def sets_that_end(store: Any) -> None:
    for key in KEYS:
        await store.set(key, VALUE, ttl=60)


async def gets(store: Any) -> None:
    for key in KEYS:
        await store.get(key)


async def set_and_get_many(store: Any) -> None:
    await store.set_many(dict.fromkeys(KEYS, VALUE))
    await store.get_many(KEYS)


async def compares_and_sets(store: Any) -> None:
    for key in KEYS:
        await store.compare_and_set(key, VALUE, VALUE)


async def lists(store: Any) -> None:
    for prefix in range(CALLS // GROUP):
        await store.keys(f"seat:{prefix:03}:")


def ran(run: Any, work: Any, store: Any) -> None:
    run(work(store))


@pytest.mark.parametrize(
    "work", [sets, gets, set_and_get_many, compares_and_sets, lists, sets_that_end]
)
def test_in_memory(measure: Any, run: Any, store: Any, work: Any) -> None:
    run(store.set_many(dict.fromkeys(KEYS, VALUE)))
    measure(ran, lambda: (run, work, store), operations=CALLS, rounds=ROUNDS)

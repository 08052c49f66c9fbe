"""Typed access: values and composite keys over the store."""

from typing import Any, NamedTuple

import pytest

from latency_kv import InMemoryStore, TypedStore
from latency_kv.typed import KeyLayout

CALLS = 1_000
ROUNDS = 300
HOURS = 100

LAYOUT = KeyLayout(b"w:", "int64", "str")


class Window(NamedTuple):
    """What an operator counts."""

    flights: int
    delay: float


@pytest.fixture(scope="module")
def keys() -> list[bytes]:
    return [LAYOUT.pack(number % HOURS, f"JFK-{number}") for number in range(CALLS)]


@pytest.fixture(scope="module")
def typed(keys: list[bytes]) -> TypedStore:
    made = TypedStore(InMemoryStore(ordered=True))
    for number, key in enumerate(keys):
        made.put_typed(key, Window(number, 0.5))
    return made


def put(typed: TypedStore, keys: list[bytes]) -> None:
    for key in keys:
        typed.put_typed(key, Window(1, 0.5))


def get(typed: TypedStore, keys: list[bytes]) -> None:
    for key in keys:
        typed.get_typed(key, Window)


def update(typed: TypedStore, keys: list[bytes]) -> None:
    for key in keys:
        typed.update(key, lambda window: window, type=Window)


def scan(typed: TypedStore, keys: list[bytes]) -> None:
    for _key, _value in typed.prefix_scan_typed(b"w:", type=Window):
        pass


def pack_and_unpack(layout: KeyLayout) -> None:
    pack, unpack = layout.pack, layout.unpack
    for number in range(CALLS):
        unpack(pack(number, "JFK-LAX"))


@pytest.mark.parametrize("loop", [put, get, update, scan])
def test_typed(measure: Any, typed: TypedStore, keys: list[bytes], loop: Any) -> None:
    measure(loop, lambda: (typed, keys), operations=CALLS, rounds=ROUNDS)


def test_pack_and_unpack(measure: Any) -> None:
    measure(pack_and_unpack, lambda: (LAYOUT,), operations=CALLS, rounds=ROUNDS)

"""What every suite shares: how a loop is measured, and keys and values to measure with.

A test measures a loop of many operations, of an engine that it names; engines other
than ours stand beside it where they tell what the machine is worth today.  compare.py
reads what a run says.  Start with `measure`.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from types import FunctionType
from typing import Any, Protocol

import pytest

OURS = "latency_kv"

KEY_SIZE = 16
PREFIX_SIZE = 8
GROUP = 100
"""Entries that share a prefix."""

ENTRIES = 100_000

WARM_UP = 2


class Measure(Protocol):
    """Measure `loop(*arguments)`, which does so many operations, so many rounds."""

    def __call__(
        self,
        loop: Callable[..., object],
        arguments: Callable[[], tuple[Any, ...]],
        *,
        operations: int,
        rounds: int,
        engine: str = OURS,
    ) -> None: ...


@pytest.fixture
def measure(benchmark: Any) -> Measure:
    """`arguments` makes those of a round, outside of what is measured."""

    def measured(
        loop: Callable[..., object],
        arguments: Callable[[], tuple[Any, ...]],
        *,
        operations: int,
        rounds: int,
        engine: str = OURS,
    ) -> None:
        assert isinstance(loop, FunctionType) and not loop.__closure__
        # Code of its own: an interpreter specialises it for one engine.
        own = FunctionType(loop.__code__.replace(), loop.__globals__)
        benchmark.extra_info.update(operations=operations, engine=engine)
        benchmark.pedantic(
            own,
            setup=lambda: (arguments(), {}),
            rounds=rounds,
            warmup_rounds=WARM_UP,
        )

    return measured


class Entries:
    """Random keys in groups that share a prefix, and what is asked for of them."""

    def __init__(self, count: int = ENTRIES) -> None:
        self._source = random.Random(1)
        self.prefixes = [self._bytes(PREFIX_SIZE) for _ in range(count // GROUP)]
        keys = [
            prefix + self._bytes(KEY_SIZE - PREFIX_SIZE)
            for prefix in self.prefixes
            for _ in range(GROUP)
        ]
        self._source.shuffle(keys)
        self._keys = b"".join(keys)
        self.count = count

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, in no order, each key and value a new object."""
        for at in range(0, len(self._keys), KEY_SIZE):
            yield self._keys[at : at + KEY_SIZE], self._bytes(KEY_SIZE)

    def some_keys(self, count: int) -> list[bytes]:
        """New objects, as an operator builds them just before it asks."""
        picked = self._source.choices(range(self.count), k=count)
        return [self._keys[at * KEY_SIZE : (at + 1) * KEY_SIZE] for at in picked]

    def some_prefixes(self, count: int) -> list[bytes]:
        return self._source.choices(self.prefixes, k=count)

    def fresh(self, count: int) -> list[bytes]:
        """Keys that are not among them; or values."""
        return [self._bytes(KEY_SIZE) for _ in range(count)]

    def some_pairs(self, count: int) -> list[tuple[bytes, bytes]]:
        return list(zip(self.some_keys(count), self.fresh(count), strict=True))

    def _bytes(self, size: int) -> bytes:
        return self._source.randbytes(size)


@pytest.fixture(scope="module")
def entries() -> Entries:
    return Entries()


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run coroutines, one after another, in one event loop."""
    with asyncio.Runner() as runner:
        yield runner.run

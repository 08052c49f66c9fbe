"""Every engine under pytest-benchmark: get, overwrite, prefix scan and full walk.

For comparing two versions of our own; the figures that the project claims come from
`python -m latency_kv.bench`, whose engines, keys and loops these are.
"""

from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import pytest

from latency_kv.bench.keys import (
    GROUP,
    KEY_SIZE,
    PREFIX_SIZE,
    batches,
    cut,
    grouped_block,
    pairs,
    picked,
    random_block,
)
from latency_kv.bench.peers import Engine, peer
from latency_kv.bench.timing import plain_loop

SIZE = 100_000
CALLS = 1_000
SCANS = 20
ROUNDS = 200


class Filled(NamedTuple):
    """An engine with its entries, and the keys in the order of their arrival."""

    engine: Engine
    target: Any
    keys: bytes
    prefixes: bytes


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest) -> Filled:
    """Fill the engine that the parameter names; skip where it is not installed."""
    engine = peer(request.param)
    keys, prefixes = grouped_block(SIZE, 1)
    try:
        target = engine.make(pairs(keys, random_block(SIZE, 2)))
    except ImportError as error:
        pytest.skip(str(error))
    return Filled(engine, target, keys, prefixes)


def _by_name(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("filled", names, indirect=True)


all_engines = _by_name("latency_kv", "dict", "BTrees", "SortedDict")
ordered_engines = _by_name("latency_kv", "BTrees", "SortedDict")


@all_engines
@pytest.mark.benchmark(group=f"get {CALLS:,} fresh keys of {SIZE:,}")
def test_get(benchmark: Any, filled: Filled) -> None:
    run = plain_loop(filled.engine.name, "key, _", filled.engine.get)
    _with_fresh_keys(benchmark, run, filled)


@all_engines
@pytest.mark.benchmark(group=f"overwrite {CALLS:,} of {SIZE:,}")
def test_overwrite(benchmark: Any, filled: Filled) -> None:
    run = plain_loop(filled.engine.name, "key, value", filled.engine.put)
    _with_fresh_keys(benchmark, run, filled)


def _with_fresh_keys(benchmark: Any, run: Callable[..., None], filled: Filled) -> None:
    values = random_block(CALLS, 3)
    seeds = count(4)

    def batch() -> Any:
        asked = picked(filled.keys, CALLS, next(seeds))
        return (filled.target, next(batches(asked, values, batch=CALLS))), {}

    benchmark.pedantic(run, setup=batch, rounds=ROUNDS)


@ordered_engines
@pytest.mark.benchmark(group=f"scan {SCANS} random prefixes of {GROUP} entries")
def test_prefix_scan(benchmark: Any, filled: Filled) -> None:
    run = plain_loop(filled.engine.name, "start, stop", filled.engine.scan)
    seeds = count(3)

    def batch() -> Any:
        asked = picked(filled.prefixes, SCANS, next(seeds), PREFIX_SIZE)
        starts = cut(asked, PREFIX_SIZE)
        stops = [start + b"\xff" * KEY_SIZE for start in starts]
        return (filled.target, (starts, stops)), {}

    benchmark.pedantic(run, setup=batch, rounds=ROUNDS)


@ordered_engines
@pytest.mark.benchmark(group=f"walk all {SIZE:,} entries in key order")
def test_walk(benchmark: Any, filled: Filled) -> None:
    run = plain_loop(filled.engine.name, "_", filled.engine.walk)
    benchmark.pedantic(run, args=(filled.target, [None]), rounds=10, warmup_rounds=1)

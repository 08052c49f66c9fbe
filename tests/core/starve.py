"""Starve: make each allocation of each call fail, and look at what is left.

For n = 0, 1, 2, ... the call runs on a fresh store whose allocations fail from the n-th
on, and again with only the n-th failing, until it passes. Either way the store then
equals the model, before the call if it raised and after it if it did not, and so does
what was held open. Runs in a fresh interpreter: see test_nomemory.py. Start at `starve`.
"""

import gc
from _testcapi import remove_mem_hooks, set_nomemory
from collections.abc import Callable, Iterator
from typing import NamedTuple

from core.calls import CALLS, ENGINE_CALLS, Call, contents
from latency_kv import InMemoryStore, StateSnapshot
from model import Model, answer

# After the first pass with everything failing, an allocation that a call can do without
# may still come later; this many more single failures are tried.
SPARE_FAILURES = 8

# More allocations than any call here makes: a call that never passes is a bug.
MOST_ALLOCATIONS = 20_000

# set_nomemory's second argument for failures that do not end.
NEVER = 0

EXPECTED = Model(contents())
EXPECTED_ENTRIES = list(EXPECTED.items())


class Bench(NamedTuple):
    """A store to starve, and what is held open on it meanwhile."""

    store: InMemoryStore
    snapshot: StateSnapshot | None = None
    scan: Iterator[tuple[bytes, bytes]] | None = None


def plain() -> Bench:
    return Bench(InMemoryStore(contents()))


def indexed() -> Bench:
    """With an index that has changes still to merge."""
    store = InMemoryStore(contents(), ordered=True)
    store.put_many({b"late/%04d" % number: b"" for number in range(20)})
    for number in range(20):
        store.delete(b"late/%04d" % number)
    return Bench(store)


def shared() -> Bench:
    """Nothing of it may be written in place: a snapshot and a half-read scan see it."""
    store = indexed().store
    scan = store.prefix_scan()
    next(scan)
    return Bench(store, store.snapshot(), scan)


BENCHES: dict[str, Callable[[], Bench]] = {
    "plain": plain,
    "indexed": indexed,
    "shared": shared,
}


def starved(call: Call, store: InMemoryStore, first: int, last: int) -> bool:
    """Run the call with the allocations `[first, last)` failing; whether it passed."""
    run = call.run
    set_nomemory(first, last)
    try:
        run(store)
    except MemoryError:
        return False
    finally:
        remove_mem_hooks()
    return True


def examine(bench: Bench, passed: bool, after: list[object] | None) -> None:
    bench.store.check()
    if not passed:
        assert list(bench.store.items()) == EXPECTED_ENTRIES, "a failed call changed it"
    elif after is not None:
        assert list(bench.store.items()) == after, "a passed call did something else"
    if bench.snapshot is not None and bench.scan is not None:
        assert list(bench.snapshot.items()) == EXPECTED_ENTRIES
        assert list(bench.scan) == EXPECTED_ENTRIES[1:]
    bench.store.put(b"usable", b"again")
    assert bench.store.delete(b"usable")
    bench.store.check()


def starve(bench_name: str, call_name: str) -> None:
    """Sweep one call on one bench; raise at the first store that is not right."""
    gc.disable()
    calls = {call.name: call for call in [*CALLS, *ENGINE_CALLS]}
    call, make = calls[call_name], BENCHES[bench_name]
    after: list[object] | None = None
    if call in CALLS:
        model = Model(EXPECTED)
        answer(call.run, model)
        after = list(model.items())
    spare = SPARE_FAILURES
    for number in range(MOST_ALLOCATIONS):
        outcomes = []
        for last in (NEVER, number + 1):
            bench = make()
            outcomes.append(starved(call, bench.store, number, last))
            try:
                examine(bench, outcomes[-1], after)
            except BaseException:
                print(f"{call_name} on {bench_name}: set_nomemory({number}, {last})")
                raise
        spare -= all(outcomes)
        if not spare:
            print(f"{call_name} on {bench_name}: {number} allocations")
            return
    raise AssertionError(
        f"{call_name} still fails after {MOST_ALLOCATIONS} allocations"
    )


def starve_all(bench_name: str) -> None:
    for call in [*CALLS, *ENGINE_CALLS]:
        starve(bench_name, call.name)


def starve_making() -> None:
    """Sweep the constructor, which has no store to leave as it was."""
    gc.disable()
    entries = contents()
    for ordered in (False, True):
        for number in range(MOST_ALLOCATIONS):
            set_nomemory(number, NEVER)
            try:
                store = InMemoryStore(entries, ordered=ordered)
            except MemoryError:
                continue
            finally:
                remove_mem_hooks()
            store.check()
            assert store == entries
            break
        else:
            raise AssertionError("a store is never made")

"""Lessons: what tag stores and scopes elsewhere had to learn, each with its test."""

import gc
import itertools
import weakref
from functools import partial
from typing import Any

import pytest

from atoms.scenes import Held, named, noted, together
from latency_kv.atoms import Atom, AtomContext, DataStore, Scope, Tag, atom, tag
from latency_kv.errors import (
    CircularDependencyError,
    InvalidationLoopError,
    MissingTagError,
)

pytestmark = pytest.mark.anyio

ABSENT: Any = object()

COUNT = tag("count", type=int)


class Thing:
    """What can be referred to weakly."""


# Tags


def test_tags_of_one_label_are_two_keys() -> None:
    data, first, second = DataStore(), tag("same"), tag("same")
    data.set(first, 1)
    assert data.get(second, ABSENT) is ABSENT


def test_label_is_for_messages() -> None:
    with pytest.raises(MissingTagError, match="'retries'"):
        DataStore().get_or_set(tag("retries"))
    assert "retries" in repr(tag("retries"))


async def test_default_does_not_leak_between_atoms() -> None:
    seen: Tag[list[int]] = tag("seen", default_factory=list)

    def factory(ctx: AtomContext) -> Any:
        values = ctx.data.get_or_set(seen)
        values.append(1)
        return values

    scope = Scope()
    first, second = atom(factory), atom(factory)
    assert await scope.resolve(first) == [1]
    assert await scope.resolve(second) == [1]
    assert await scope.resolve(first) is not await scope.resolve(second)


def test_mutable_default_is_refused() -> None:
    with pytest.raises(ValueError, match="default_factory"):
        tag("seen", default=[])


def test_value_is_checked_whenever_one_is_stored() -> None:
    data, wrong = DataStore(), "three"
    untyped: Any = data
    for store in (untyped.set, untyped.get_or_set):
        with pytest.raises(TypeError):
            store(COUNT, wrong)
    made: Any = tag("made", type=int, default_factory=lambda: wrong)  # type: ignore[arg-type, return-value, misc, unused-ignore]
    with pytest.raises(TypeError):
        data.get_or_set(made)
    assert len(data) == 0


# get_or_set


def test_existing_value_always_wins() -> None:
    data, retries = DataStore(), tag("retries", default=3)
    data.set(retries, 5)
    assert data.get_or_set(retries) == 5
    assert data.get_or_set(retries, 7) == 5


def test_given_value_beats_the_default() -> None:
    data, retries = DataStore(), tag("retries", default=3)
    assert data.get_or_set(retries, 7) == 7


def test_neither_value_nor_default_raises() -> None:
    data = DataStore()
    with pytest.raises(MissingTagError):
        data.get_or_set(COUNT)
    assert not data.has(COUNT)


def test_none_is_a_value_and_has_is_by_key() -> None:
    data, nothing = DataStore(), tag("nothing")
    data.set(nothing, None)
    assert data.has(nothing)
    assert data.get(nothing, ABSENT) is None
    assert data.get_or_set(nothing, 7) is None


# One store for each scope and atom


async def test_one_store_for_each_scope_and_atom() -> None:
    def factory(ctx: AtomContext) -> DataStore:
        assert ctx.data is ctx.data
        return ctx.data

    first, second = atom(factory), atom(factory)
    scope, other = Scope(), Scope()
    stores = [
        await scope.resolve(first),
        await scope.resolve(second),
        await other.resolve(first),
        await other.resolve(second),
    ]
    assert len({id(store) for store in stores}) == 4
    scope.invalidate(first)
    assert await scope.resolve(first) is stores[0]


async def test_store_that_nobody_asks_for_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    def note(store: DataStore, *args: Any, **options: Any) -> None:
        made.append(store)
        begin(store, *args, **options)

    begin: Any = DataStore.__init__
    monkeypatch.setattr(DataStore, "__init__", note)
    scope = Scope()
    assert await scope.resolve(atom(lambda ctx: 1)) == 1
    assert made == []
    assert await scope.resolve(atom(lambda ctx: len(ctx.data))) == 0
    assert len(made) == 1


def counting(fails_at: int = 0) -> Atom[int]:
    """An atom whose value is how many runs its data has seen; one of them may fail."""
    numbers = itertools.count(1)

    def factory(ctx: AtomContext) -> int:
        count = ctx.data.get(COUNT, 0) + 1
        ctx.data.set(COUNT, count)
        if next(numbers) == fails_at:
            raise OSError("one run fails")
        return count

    return atom(factory)


async def test_data_survives_invalidation() -> None:
    scope, counter = Scope(), counting()
    assert await scope.resolve(counter) == 1
    scope.invalidate(counter)
    assert await scope.resolve(counter) == 2


async def test_data_survives_a_failed_factory() -> None:
    scope, counter = Scope(), counting(fails_at=1)
    with pytest.raises(OSError, match="fails"):
        await scope.resolve(counter)
    assert await scope.resolve(counter) == 2
    counter = counting(fails_at=2)
    await scope.resolve(counter)
    scope.invalidate(counter)
    with pytest.raises(OSError, match="fails"):
        await scope.flush()
    assert await scope.resolve(counter) == 3


async def test_data_survives_a_value_set_from_outside() -> None:
    scope, counter = Scope(), counting()
    assert await scope.resolve(counter) == 1
    await scope.set(counter, 70)
    scope.invalidate(counter)
    assert await scope.resolve(counter) == 2


async def test_data_is_dropped_on_release() -> None:
    scope, counter = Scope(), counting()
    assert await scope.resolve(counter) == 1
    await scope.release(counter)
    assert await scope.resolve(counter) == 1


async def test_data_of_a_failed_factory_is_dropped_on_release() -> None:
    scope, counter = Scope(), counting(fails_at=1)
    with pytest.raises(OSError, match="fails"):
        await scope.resolve(counter)
    await scope.release(counter)
    assert await scope.resolve(counter) == 1


async def test_data_is_dropped_on_dispose() -> None:
    thing = tag("thing")
    left: list[weakref.ref[Thing]] = []

    def factory(ctx: AtomContext) -> Thing:
        value, kept = Thing(), Thing()
        ctx.data.set(thing, kept)
        left.extend([weakref.ref(value), weakref.ref(kept)])
        return value

    scope, holder = Scope(), atom(factory)
    await scope.resolve(holder)
    gc.collect()
    assert all(ref() for ref in left)
    await scope.dispose()
    gc.collect()
    assert [ref() for ref in left] == [None, None]


# Scopes


async def test_concurrent_resolves_share_one_run() -> None:
    scope, held = Scope(), Held()

    async def let() -> None:
        held.may_end.set()

    outcomes = await together(*[lambda: scope.resolve(held.atom)] * 3, let)
    assert outcomes == [1, 1, 1, None]
    assert held.runs == 1


async def test_circular_dependencies_raise() -> None:
    async def reach(ctx: AtomContext) -> Any:
        return await ctx.scope.resolve(first)

    second = named("b", reach)
    first = named("a", lambda ctx, value: value, second)
    with pytest.raises(CircularDependencyError, match="a -> b -> a"):
        await Scope().resolve(first)


async def test_clean_ups_run_last_in_first_out_before_the_factory_runs_again() -> None:
    log: list[str] = []

    @atom
    def logged(ctx: AtomContext) -> None:
        log.append("run")
        for number in range(3):
            ctx.cleanup(partial(log.append, f"clean {number}"))

    scope = Scope()
    await scope.resolve(logged)
    scope.invalidate(logged)
    assert log == ["run"]
    await scope.resolve(logged)
    assert log == ["run", "clean 2", "clean 1", "clean 0", "run"]


async def test_invalidation_from_inside_a_factory_is_deferred() -> None:
    log: list[str] = []

    def invalidate_once(ctx: AtomContext) -> None:
        if log == ["+a1"]:
            ctx.invalidate()
            log.append("still running")

    scope, first = Scope(), noted(log, "a", then=invalidate_once)
    assert await scope.resolve(first) == "a1"
    assert log == ["+a1", "still running"]
    await scope.flush()
    assert log == ["+a1", "still running", "-a1", "+a2"]


async def test_duplicate_invalidations_collapse() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.resolve(first)
    for _ in range(3):
        scope.invalidate(first)
    await scope.flush()
    await scope.flush()
    assert await scope.resolve(first) == "a2"
    assert log == ["+a1", "-a1", "+a2"]


async def test_repeat_within_one_chain_raises() -> None:
    log: list[str] = []
    scope = Scope()
    first = noted(log, "a", then=lambda ctx: ctx.scope.invalidate(second))
    second = noted(log, "b", then=lambda ctx: ctx.scope.invalidate(first))
    await scope.resolve(second)
    await scope.resolve(first)
    with pytest.raises(InvalidationLoopError) as caught:
        await scope.flush()
    assert caught.value.path in (("a", "b", "a"), ("b", "a", "b"))
    path = " -> ".join(caught.value.path)
    assert str(caught.value) == f"Infinite invalidation loop detected: {path}"


async def test_dependants_are_not_cascaded() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    second = noted(log, "b", first)
    await scope.resolve(second)
    scope.invalidate(first)
    await scope.flush()
    assert await scope.resolve(second) == "b1"
    assert log == ["+a1", "+b1", "-a1", "+a2"]


async def test_release_makes_the_next_resolve_start_anew() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.resolve(first)
    await scope.release(first)
    assert log == ["+a1", "-a1"]
    assert await scope.resolve(first) == "a2"


async def test_resolve_after_dispose_raises() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.resolve(first)
    await scope.dispose()
    assert log == ["+a1", "-a1"]
    with pytest.raises(RuntimeError):
        await scope.resolve(first)


async def test_flush_applies_what_was_invalidated() -> None:
    log: list[str] = []
    scope, first, second = Scope(), noted(log, "a"), noted(log, "b")
    await scope.resolve(first)
    await scope.resolve(second)
    scope.invalidate(second)
    scope.invalidate(first)
    log.clear()
    await scope.flush()
    assert log == ["-b1", "+b2", "-a1", "+a2"]
    await scope.flush()
    assert len(log) == 4

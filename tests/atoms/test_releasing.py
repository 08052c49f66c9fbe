"""Releasing: what is left, of an atom and of others, when one is let go."""

import functools
import gc
import itertools
import weakref
from typing import Any

import anyio
import pytest

from atoms.scenes import (
    Held,
    Thing,
    failing_atom,
    noted,
    outcome,
    setting,
    together,
)
from latency_kv.atoms import Atom, AtomContext, Scope, atom, tag

pytestmark = pytest.mark.anyio

COUNT = tag("count", default=0)


async def test_release_drops_value_and_data() -> None:
    def factory(ctx: AtomContext) -> int:
        count = ctx.data.get_or_set(COUNT) + 1
        ctx.data.set(COUNT, count)
        return count

    scope, made = Scope(), atom(factory)
    assert await scope.resolve(made) == 1
    scope.invalidate(made)
    assert await scope.resolve(made) == 2
    await scope.release(made)
    assert await scope.resolve(made) == 1


async def test_release_of_what_is_not_there_does_nothing() -> None:
    log: list[str] = []
    scope, made = Scope(), noted(log, "a")
    await scope.release(made)
    assert log == []
    await scope.resolve(made)
    await scope.release(made)
    await scope.release(made)
    assert log == ["+a1", "-a1"]


async def test_release_leaves_deps_dependants_and_other_scopes() -> None:
    log: list[str] = []
    scope, other = Scope(), Scope()
    first = noted(log, "a")
    second = noted(log, "b", first)
    third = noted(log, "c", second)
    await scope.resolve(third)
    await other.resolve(third)
    log.clear()
    await scope.release(second)
    assert log == ["-b1"]
    assert await scope.resolve(first) == "a1"
    assert await scope.resolve(third) == "c1"
    assert await other.resolve(second) == "b2"
    assert log == ["-b1"]


async def test_release_of_a_marked_value_cleans_up_once() -> None:
    log: list[str] = []
    scope, made = Scope(), noted(log, "a")
    await scope.resolve(made)
    scope.invalidate(made)
    await scope.release(made)
    await scope.flush()
    assert log == ["+a1", "-a1"]


async def test_release_amid_a_run_waits_for_it() -> None:
    scope, held = Scope(), Held()

    async def let() -> None:
        with setting(held.may_end):
            assert (held.runs, held.cleaned) == (1, 0)

    value, done, _ = await together(
        lambda: scope.resolve(held.atom), lambda: scope.release(held.atom), let
    )
    assert (value, done) == (1, None)
    assert (held.cut, held.cleaned) == (0, 1)
    assert await scope.resolve(held.atom) == 2


async def test_two_releases_at_once_clean_up_once_and_both_wait() -> None:
    log: list[str] = []
    may_end = anyio.Event()

    def factory(ctx: AtomContext) -> None:
        async def clean() -> None:
            log.append("cleaning")
            await may_end.wait()
            log.append("cleaned")

        ctx.cleanup(clean)

    async def release() -> None:
        await scope.release(made)
        log.append("released")

    async def let() -> None:
        with setting(may_end):
            assert log == ["cleaning"]

    scope, made = Scope(), atom(factory)
    await scope.resolve(made)
    assert await together(release, release, let) == [None] * 3
    assert log == ["cleaning", "cleaned", "released", "released"]


async def test_resolve_amid_a_release_starts_anew_after_it() -> None:
    log: list[str] = []
    may_end = anyio.Event()
    numbers = itertools.count(1)

    def factory(ctx: AtomContext) -> tuple[int, int]:
        log.append("run")
        count = ctx.data.get_or_set(COUNT) + 1
        ctx.data.set(COUNT, count)

        async def clean() -> None:
            await may_end.wait()
            log.append("cleaned")

        ctx.cleanup(clean)
        return next(numbers), count

    async def let() -> None:
        with setting(may_end):
            assert log == ["run"]

    scope, made = Scope(), atom(factory)
    assert await scope.resolve(made) == (1, 1)
    outcomes = await together(
        lambda: scope.release(made), lambda: scope.resolve(made), let
    )
    assert outcomes == [None, (2, 1), None]
    assert log == ["run", "cleaned", "run"]


async def test_value_that_is_released_is_gone_although_a_clean_up_failed() -> None:
    log: list[str] = []
    scope, made = Scope(), failing_atom(log, "a", "one")
    await scope.resolve(made)
    await outcome(scope.release(made))
    assert await scope.resolve(made) == "a2"
    assert log == ["+a1", "-a1", "+a2"]


async def test_scope_keeps_nothing_of_what_it_released() -> None:
    left: list[weakref.ref[Thing]] = []
    thing = tag("thing")

    def factory(ctx: AtomContext) -> Thing:
        things = [Thing() for _ in range(3)]
        left.extend(map(weakref.ref, things))
        value, stored, cleaned = things
        ctx.data.set(thing, stored)
        ctx.cleanup(functools.partial(id, cleaned))
        return value

    scope, made = Scope(), atom(factory)
    await scope.resolve(made)
    scope.invalidate(made)
    await scope.flush()
    gc.collect()
    # Of the first run only what its data held, until the second put its own there.
    assert [ref() is not None for ref in left] == [False] * 3 + [True] * 3
    await scope.release(made)
    gc.collect()
    assert [ref() for ref in left] == [None] * 6


async def test_scope_keeps_no_atom_that_it_released() -> None:
    scope = Scope()
    made: Atom[Any] = atom(lambda ctx: 1)
    ref = weakref.ref(made.factory)
    await scope.resolve(made)
    await scope.release(made)
    del made
    gc.collect()
    assert ref() is None

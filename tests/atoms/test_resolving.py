"""Resolving: one run of a factory for all who ask, until its value is gone."""

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from atoms.scenes import (
    PATIENCE_S,
    Held,
    leaves,
    named,
    noted,
    outcome,
    setting,
    together,
)
from latency_kv.atoms import Atom, AtomContext, DataStore, Scope, atom

pytestmark = pytest.mark.anyio


class Caller:
    """A factory that is an object, and awaits."""

    async def __call__(self, ctx: AtomContext) -> str:
        await anyio.lowlevel.checkpoint()
        return "called"


async def slow(ctx: AtomContext, first: int, second: int = 0) -> int:
    await anyio.lowlevel.checkpoint()
    return first + second


def quick(ctx: AtomContext) -> int:
    return 1


# Atoms


async def test_atom_tells_its_factory_deps_and_name() -> None:
    first = atom(quick)
    second = atom(slow, deps=[first, first])
    assert isinstance(first, Atom)
    assert (first.factory, tuple(first.deps), first.name) == (quick, (), "quick")
    assert (second.factory, second.name) == (slow, "slow")
    assert [dep is first for dep in second.deps] == [True, True]
    assert "slow" in repr(second)


async def test_atoms_of_one_factory_are_different() -> None:
    first, second = atom(quick), atom(quick)
    assert first != second
    assert len({first, second, first}) == 2


async def test_deps_are_those_of_the_call_and_no_later_ones() -> None:
    first = atom(quick)
    deps: list[Atom[Any]] = [first]
    second = named("second", lambda ctx, value: value, *deps)
    third = atom(slow, deps=deps)
    deps.clear()
    assert tuple(third.deps) == tuple(second.deps) == (first,)
    assert await Scope().resolve(third) == 1


async def test_atom_decorates_with_and_without_deps() -> None:
    @atom
    def one(ctx: AtomContext) -> int:
        return 1

    @atom(deps=[one])
    async def two(ctx: AtomContext, value: int) -> int:
        return value + 1

    @atom(deps=())
    def three(ctx: AtomContext) -> int:
        return 3

    assert [one.name, two.name, three.name] == ["one", "two", "three"]
    scope = Scope()
    assert [await scope.resolve(each) for each in (one, two, three)] == [1, 2, 3]


async def test_factory_without_a_name_is_taken() -> None:
    for factory in (functools.partial(slow, first=2), Caller()):
        made: Atom[Any] = atom(factory)
        assert isinstance(made.name, str)
        assert made.name
        repr(made)


async def test_dep_that_is_no_atom_is_refused() -> None:
    wrong: Any = [quick]
    with pytest.raises(TypeError):
        atom(slow, deps=wrong)


async def test_what_is_no_atom_is_refused() -> None:
    scope, wrong = Scope(), quick
    untyped: Any = scope
    with pytest.raises(TypeError):
        await untyped.resolve(wrong)
    with pytest.raises(TypeError):
        await untyped.set(wrong, 1)
    with pytest.raises(TypeError):
        await untyped.release(wrong)
    with pytest.raises(TypeError):
        untyped.invalidate(wrong)


# Factories


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (quick, 1),
        (functools.partial(slow, first=1, second=2), 3),
        (lambda ctx: slow(ctx, 3, 4), 7),
        (Caller(), "called"),
        (Caller().__call__, "called"),
    ],
    ids=["sync", "partial", "lambda that returns a coroutine", "object", "method"],
)
async def test_factory_may_be_sync_or_async(factory: Any, expected: Any) -> None:
    made: Atom[Any] = atom(factory)
    scope = Scope()
    assert await scope.resolve(made) == expected
    assert await scope.resolve(made) == expected


@pytest.mark.parametrize("value", [None, 0, "", False, [], ...])
async def test_any_value_is_kept(value: Any) -> None:
    log: list[str] = []

    def factory(ctx: AtomContext) -> Any:
        log.append("run")
        return value

    scope, made = Scope(), atom(factory)
    assert await scope.resolve(made) is value
    assert await scope.resolve(made) is value
    assert log == ["run"]


async def test_value_that_is_an_error_is_a_value() -> None:
    error = OSError("returned, not raised")
    scope: Scope = Scope()
    made: Atom[Any] = atom(lambda ctx: error)
    assert await scope.resolve(made) is error
    assert await scope.resolve(made) is error


async def test_context_has_data_and_scope() -> None:
    seen: list[AtomContext] = []
    await Scope().resolve(atom(seen.append))
    (ctx,) = seen
    assert isinstance(ctx, AtomContext)
    assert isinstance(ctx.data, DataStore)
    assert isinstance(ctx.scope, Scope)


async def test_deps_are_passed_in_order() -> None:
    log: list[str] = []
    first, second = noted(log, "a"), noted(log, "b")
    made = named("c", lambda ctx, *values: values, second, first, second)
    assert await Scope().resolve(made) == ("b1", "a1", "b1")
    assert sorted(log) == ["+a1", "+b1"]


async def test_shared_dep_runs_once() -> None:
    log: list[str] = []
    bottom = noted(log, "d")
    left, right = noted(log, "b", bottom), noted(log, "c", bottom)
    await Scope().resolve(noted(log, "a", left, right))
    assert sorted(log) == ["+a1", "+b1", "+c1", "+d1"]
    assert (log[0], log[-1]) == ("+d1", "+a1")


async def test_factory_may_resolve_through_its_scope() -> None:
    log: list[str] = []
    first = noted(log, "a")

    async def factory(ctx: AtomContext) -> str:
        return await ctx.scope.resolve(first) + await ctx.scope.resolve(first)

    scope = Scope()
    assert await scope.resolve(atom(factory)) == "a1a1"
    assert await scope.resolve(first) == "a1"
    assert log == ["+a1"]


async def test_factory_may_resolve_several_side_by_side() -> None:
    log: list[str] = []
    bottom = noted(log, "d")
    sides = [noted(log, name, bottom) for name in "abc"]

    async def factory(ctx: AtomContext) -> list[str]:
        values: list[str] = []

        async def add(side: Atom[str]) -> None:
            values.append(await ctx.scope.resolve(side))

        async with anyio.create_task_group() as group:
            for side in sides:
                group.start_soon(add, side)
        return sorted(values)

    assert await Scope().resolve(atom(factory)) == ["a1", "b1", "c1"]
    assert log.count("+d1") == 1


async def test_deep_chains_resolve() -> None:
    atoms: list[Atom[Any]] = [atom(lambda ctx: 0)]
    for _ in range(60):
        atoms.append(named("next", lambda ctx, value: value + 1, atoms[-1]))
    assert await Scope().resolve(atoms[-1]) == 60


async def test_scopes_have_values_of_their_own() -> None:
    log: list[str] = []
    first = noted(log, "a")
    scope, other = Scope(), Scope()
    assert await scope.resolve(first) == "a1"
    assert await other.resolve(first) == "a2"
    await scope.dispose()
    assert await other.resolve(first) == "a2"


async def test_factory_may_resolve_in_another_scope() -> None:
    log: list[str] = []
    first, other = noted(log, "a"), Scope()

    async def factory(ctx: AtomContext) -> str:
        return await other.resolve(first)

    made = atom(factory)
    assert await Scope().resolve(made) == "a1"


# Failures


async def test_failed_factory_leaves_nothing_and_runs_again() -> None:
    log: list[str] = []

    def fail_twice(ctx: AtomContext) -> None:
        if len(log) < 4:
            raise OSError(log[-1])

    scope, first = Scope(), noted(log, "a", then=fail_twice)
    for number in (1, 2):
        with pytest.raises(OSError, match=f"a{number}"):
            await scope.resolve(first)
        assert log[-1] == f"-a{number}"
    assert await scope.resolve(first) == "a3"
    assert log == ["+a1", "-a1", "+a2", "-a2", "+a3"]
    scope.invalidate(first)
    await scope.flush()
    assert log[5:] == ["-a3", "+a4"]


async def test_failed_factory_of_any_kind_is_cleaned_up() -> None:
    log: list[str] = []

    def fail(ctx: AtomContext) -> None:
        ctx.cleanup(lambda: log.append("first"))
        ctx.cleanup(lambda: log.append("second"))
        raise OSError("fails at once")

    with pytest.raises(OSError, match="fails at once"):
        await Scope().resolve(atom(fail))
    assert log == ["second", "first"]


async def test_clean_up_of_a_failed_factory_that_fails_hides_neither_error() -> None:
    log: list[str] = []

    def fail(text: str) -> None:
        raise OSError(text)

    def factory(ctx: AtomContext) -> None:
        ctx.cleanup(lambda: log.append("still run"))
        ctx.cleanup(lambda: fail("clean-up"))
        fail("factory")

    error = await outcome(Scope().resolve(atom(factory)))
    assert sorted(map(str, leaves(error))) == ["clean-up", "factory"]
    assert log == ["still run"]


async def test_failed_dep_fails_the_dependant_without_running_it() -> None:
    log: list[str] = []

    def fail(ctx: AtomContext) -> str:
        raise OSError("the dep fails")

    scope = Scope()
    with pytest.raises(OSError, match="the dep fails"):
        await scope.resolve(noted(log, "a", atom(fail)))
    assert log == []


async def test_factory_may_catch_what_it_resolves() -> None:
    def fail(ctx: AtomContext) -> str:
        raise OSError("the other fails")

    failing = atom(fail)

    async def factory(ctx: AtomContext) -> str:
        try:
            return await ctx.scope.resolve(failing)
        except OSError:
            return "without"

    assert await Scope().resolve(atom(factory)) == "without"


async def test_coroutine_is_not_left_unawaited_when_a_factory_fails() -> None:
    """Warnings are errors here; so is one about a coroutine that nobody awaits."""
    scope = Scope()
    for _ in range(2):
        with pytest.raises(TypeError):
            # The dep's value is one argument too many.
            await scope.resolve(named("a", lambda ctx: slow(ctx, 1), atom(quick)))


# Several at once


async def test_all_who_wait_get_the_same_value() -> None:
    scope = Scope()
    held = Held()

    async def let() -> None:
        with setting(held.may_end):
            assert held.runs == 1

    outcomes = await together(*[lambda: scope.resolve(held.atom)] * 5, let)
    assert outcomes == [1] * 5 + [None]
    assert (held.runs, held.cleaned) == (1, 0)


async def test_all_who_wait_get_the_same_error_and_the_next_runs_again() -> None:
    scope, held = Scope(), Held()
    held.error = OSError("for all of them")

    async def let() -> None:
        held.may_end.set()

    outcomes = await together(*[lambda: scope.resolve(held.atom)] * 3, let)
    assert outcomes == [held.error] * 3 + [None]
    assert (held.runs, held.cleaned) == (1, 1)
    held.error = None
    assert await scope.resolve(held.atom) == 2


async def test_one_who_comes_amid_the_clean_ups_waits_for_the_next_run() -> None:
    begun, may_end = anyio.Event(), anyio.Event()
    log: list[str] = []
    numbers = itertools.count(1)

    async def clean() -> None:
        log.append("cleaning")
        begun.set()
        await may_end.wait()
        log.append("cleaned")

    def factory(ctx: AtomContext) -> int:
        log.append("run")
        ctx.cleanup(clean)
        return next(numbers)

    async def let() -> None:
        with setting(may_end):
            assert begun.is_set()

    scope, made = Scope(), atom(factory)
    assert await scope.resolve(made) == 1
    scope.invalidate(made)
    resolve = functools.partial(scope.resolve, made)
    assert await together(resolve, resolve, let) == [2, 2, None]
    assert log == ["run", "cleaning", "cleaned", "run"]


async def test_run_holds_up_no_other_atom() -> None:
    scope, held = Scope(), Held()

    async def others() -> Any:
        assert held.begun.is_set()
        log: list[str] = []
        first = noted(log, "a")
        await scope.resolve(first)
        scope.invalidate(first)
        await scope.resolve(first)
        await scope.set(first, "set")
        await scope.release(first)
        held.may_end.set()
        return log

    outcomes = await together(lambda: scope.resolve(held.atom), others)
    assert outcomes == [1, ["+a1", "-a1", "+a2", "-a2"]]


async def test_clean_up_holds_up_no_other_atom() -> None:
    may_end = anyio.Event()
    log: list[str] = []

    def factory(ctx: AtomContext) -> None:
        ctx.cleanup(may_end.wait)

    async def others() -> str:
        value = await scope.resolve(noted(log, "a"))
        may_end.set()
        return value

    scope, slow_to_go = Scope(), atom(factory)
    await scope.resolve(slow_to_go)
    outcomes = await together(lambda: scope.release(slow_to_go), others)
    assert outcomes == [None, "a1"]


async def test_dependants_of_a_running_atom_wait_for_it_and_run_side_by_side() -> None:
    held = Held()
    left = named("left", lambda ctx, value: ("left", value), held.atom)
    right = named("right", lambda ctx, value: ("right", value), held.atom)

    async def let() -> None:
        held.may_end.set()

    scope = Scope()
    outcomes = await together(
        lambda: scope.resolve(left), lambda: scope.resolve(right), let
    )
    assert outcomes == [("left", 1), ("right", 1), None]
    assert held.runs == 1


# Cancellation


class Waiting:
    """Tasks that resolve an atom, each with a scope that cancels it."""

    def __init__(self, scope: Scope, made: Atom[Any], count: int) -> None:
        self.scopes = [anyio.CancelScope() for _ in range(count)]
        self.outcomes: list[Any] = ["cancelled"] * count
        self._scope = scope
        self._atom = made

    async def resolve(self, index: int) -> None:
        with self.scopes[index]:
            self.outcomes[index] = await outcome(self._scope.resolve(self._atom))


@asynccontextmanager
async def waiting(scope: Scope, held: Held, count: int) -> AsyncIterator[Waiting]:
    """Tasks that resolve it, begun one after the other; the block's end awaits them."""
    tasks = Waiting(scope, held.atom, count)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            for index in range(count):
                group.start_soon(tasks.resolve, index)
                await anyio.wait_all_tasks_blocked()
            yield tasks


async def test_one_who_waits_may_be_cancelled_and_disturbs_nobody() -> None:
    scope, held = Scope(), Held()
    async with waiting(scope, held, 3) as tasks:
        tasks.scopes[1].cancel()
        await anyio.wait_all_tasks_blocked()
        held.may_end.set()
    assert tasks.outcomes == [1, "cancelled", 1]
    assert (held.runs, held.cut, held.cleaned) == (1, 0, 0)


async def test_run_whose_only_resolve_is_cancelled_is_cleaned_up() -> None:
    scope, held = Scope(), Held()
    async with waiting(scope, held, 1) as tasks:
        tasks.scopes[0].cancel()
    assert tasks.outcomes == ["cancelled"]
    assert (held.runs, held.cut, held.cleaned) == (1, 1, 1)
    held.may_end.set()
    assert await scope.resolve(held.atom) == 2


async def test_another_runs_it_anew_when_the_one_who_runs_it_is_cancelled() -> None:
    scope, held = Scope(), Held()
    async with waiting(scope, held, 3) as tasks:
        tasks.scopes[0].cancel()
        await anyio.wait_all_tasks_blocked()
        # Cleaned up before it runs again, and run by one of the two.
        assert (held.runs, held.cut, held.cleaned) == (2, 1, 1)
        held.may_end.set()
    assert tasks.outcomes == ["cancelled", 2, 2]
    assert (held.runs, held.cut, held.cleaned) == (2, 1, 1)


async def test_all_but_the_last_may_be_cancelled_one_after_the_other() -> None:
    scope, held = Scope(), Held()
    async with waiting(scope, held, 4) as tasks:
        for index in range(3):
            tasks.scopes[index].cancel()
            await anyio.wait_all_tasks_blocked()
        held.may_end.set()
    assert tasks.outcomes == ["cancelled"] * 3 + [held.runs]
    assert held.cut == held.cleaned == held.runs - 1


async def test_the_one_who_runs_and_all_who_wait_may_be_cancelled_at_once() -> None:
    scope, held = Scope(), Held()
    async with waiting(scope, held, 3) as tasks:
        for one in tasks.scopes:
            one.cancel()
    assert tasks.outcomes == ["cancelled"] * 3
    assert held.runs == held.cut == held.cleaned
    held.may_end.set()
    assert await scope.resolve(held.atom) == held.runs


async def test_cancelled_resolve_leaves_its_deps_whole() -> None:
    log: list[str] = []
    held = Held("held", noted(log, "a"))
    scope = Scope()
    async with waiting(scope, held, 1) as tasks:
        tasks.scopes[0].cancel()
    assert tasks.outcomes == ["cancelled"]
    held.may_end.set()
    assert await scope.resolve(held.atom) == 2
    assert log == ["+a1"]


async def test_cancelled_resolve_cleans_up_the_dep_that_was_running() -> None:
    scope, held = Scope(), Held()
    log: list[str] = []
    with anyio.move_on_after(0.01) as span:
        await scope.resolve(noted(log, "a", held.atom))
    assert span.cancelled_caught
    assert (held.cut, held.cleaned, log) == (1, 1, [])


async def test_clean_ups_of_a_cancelled_run_are_not_cancelled() -> None:
    log: list[str] = []

    async def clean() -> None:
        await anyio.sleep(0.01)
        log.append("whole")

    async def factory(ctx: AtomContext) -> None:
        ctx.cleanup(clean)
        ctx.cleanup(clean)
        await anyio.sleep_forever()

    with anyio.move_on_after(0.01):
        await Scope().resolve(atom(factory))
    assert log == ["whole", "whole"]


async def test_failing_clean_up_does_not_stop_a_cancellation() -> None:
    log: list[str] = []

    async def factory(ctx: AtomContext) -> None:
        ctx.cleanup(lambda: log.append("still run"))
        ctx.cleanup(fail)
        await anyio.sleep_forever()

    def fail() -> None:
        raise OSError("nobody to tell")

    with anyio.move_on_after(0.01) as span:
        await Scope().resolve(atom(factory))
    assert span.cancelled_caught
    assert log == ["still run"]


async def test_resolve_in_a_cancelled_scope_leaves_nothing_half_built() -> None:
    log: list[str] = []
    scope, first = (
        Scope(),
        noted(log, "a", then=lambda ctx: anyio.lowlevel.checkpoint()),
    )
    with anyio.CancelScope() as span:
        span.cancel()
        await scope.resolve(first)
    assert log in ([], ["+a1", "-a1"])
    value = await scope.resolve(first)
    assert log[-1] == f"+{value}"


async def test_factory_that_survives_its_cancellation_is_not_half_built() -> None:
    """One that swallows it has either a value or clean-ups that ran."""
    log: list[str] = []

    async def shielded(ctx: AtomContext) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.02)

    scope, first = Scope(), noted(log, "a", then=shielded)
    with anyio.move_on_after(0.01):
        await scope.resolve(first)
    assert log in (["+a1"], ["+a1", "-a1"])
    value = await scope.resolve(first)
    assert log in (["+a1"], ["+a1", "-a1", "+a2"])
    assert log[-1] == f"+{value}"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_native_cancellation_of_the_one_who_runs_it(anyio_backend: str) -> None:
    scope, held = Scope(), Held()
    tasks = []
    for _ in range(3):
        tasks.append(asyncio.ensure_future(scope.resolve(held.atom)))
        await anyio.wait_all_tasks_blocked()
    tasks[0].cancel()
    await anyio.wait_all_tasks_blocked()
    assert (held.runs, held.cut, held.cleaned) == (2, 1, 1)
    tasks[2].cancel()
    await anyio.wait_all_tasks_blocked()
    held.may_end.set()
    with anyio.fail_after(PATIENCE_S):
        assert await tasks[1] == held.runs
        await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [True, False, True]
    assert await scope.resolve(held.atom) == held.runs


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_native_cancellation_of_one_who_waits_disturbs_nobody(
    anyio_backend: str,
) -> None:
    scope, held = Scope(), Held()
    tasks = []
    for _ in range(2):
        tasks.append(asyncio.ensure_future(scope.resolve(held.atom)))
        await anyio.wait_all_tasks_blocked()
    tasks[1].cancel()
    await anyio.wait_all_tasks_blocked()
    held.may_end.set()
    assert await tasks[0] == 1
    assert tasks[1].cancelled()
    assert (held.runs, held.cut) == (1, 0)


async def test_factory_that_raises_its_own_cancellation_error_does_not_hang() -> None:
    """A scope of the factory's own, cancelled from within, is the factory's matter."""

    async def factory(ctx: AtomContext) -> str:
        with anyio.CancelScope() as span:
            span.cancel()
            await anyio.lowlevel.checkpoint()
        return "moved on"

    assert await Scope().resolve(atom(factory)) == "moved on"


async def test_cancelled_run_may_be_resolved_by_its_own_handler() -> None:
    scope, held = Scope(), Held()
    with anyio.move_on_after(0.01):
        await scope.resolve(held.atom)
    held.may_end.set()
    assert await scope.resolve(held.atom) == 2


# set


async def test_set_value_is_resolved_and_the_factory_does_not_run() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.set(first, "set")
    assert await scope.resolve(first) == "set"
    assert await scope.resolve(noted(log, "b", first)) == "b1"
    assert log == ["+b1"]


@pytest.mark.parametrize("value", [None, 0, False, ""])
async def test_set_takes_any_value(value: Any) -> None:
    log: list[str] = []
    first: Atom[Any] = noted(log, "a")
    scope = Scope()
    await scope.set(first, value)
    assert await scope.resolve(first) is value
    assert log == []


async def test_set_takes_an_awaitable_for_a_value() -> None:
    async def never() -> None: ...

    scope, coroutine = Scope(), never()
    first: Atom[Any] = atom(quick)
    await scope.set(first, coroutine)
    assert await scope.resolve(first) is coroutine
    coroutine.close()


async def test_set_runs_the_clean_ups_of_the_old_value() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.resolve(first)
    await scope.set(first, "set")
    assert log == ["+a1", "-a1"]
    await scope.set(first, "again")
    assert await scope.resolve(first) == "again"
    assert log == ["+a1", "-a1"]
    await scope.dispose()
    assert log == ["+a1", "-a1"]


async def test_invalidated_set_value_makes_the_factory_run() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.set(first, "set")
    scope.invalidate(first)
    assert await scope.resolve(first) == "a1"
    await scope.set(first, "set")
    scope.invalidate(first)
    await scope.flush()
    assert log == ["+a1", "-a1", "+a2"]


async def test_released_set_value_makes_the_factory_run() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.set(first, "set")
    await scope.release(first)
    assert await scope.resolve(first) == "a1"


async def test_set_amid_a_run_waits_for_it_and_is_what_stays() -> None:
    scope, held = Scope(), Held()

    async def let() -> None:
        held.may_end.set()

    first, done, _ = await together(
        lambda: scope.resolve(held.atom), lambda: scope.set(held.atom, "set"), let
    )
    assert first in (1, "set")
    assert done is None
    assert await scope.resolve(held.atom) == "set"
    assert (held.runs, held.cleaned) == (1, 1)


async def test_set_by_another_factory() -> None:
    log: list[str] = []
    other = noted(log, "a")

    async def factory(ctx: AtomContext) -> str:
        await ctx.scope.set(other, "set")
        return await ctx.scope.resolve(other)

    scope = Scope()
    await scope.resolve(other)
    assert await scope.resolve(atom(factory)) == "set"
    assert log == ["+a1", "-a1"]


async def test_no_circle_is_seen_where_there_is_none() -> None:
    """A task that a factory leaves behind may resolve the atom later."""
    scope = Scope()
    seen: list[Any] = []
    may_go = anyio.Event()

    async def later() -> None:
        await may_go.wait()
        seen.append(await outcome(scope.resolve(starting)))

    def factory(ctx: AtomContext) -> str:
        group.start_soon(later)
        return "value"

    starting = atom(factory)
    async with anyio.create_task_group() as group:
        await scope.resolve(starting)
        may_go.set()
    assert seen == ["value"]


async def test_task_that_a_factory_left_behind_may_run_it_again() -> None:
    scope = Scope()
    runs: list[str] = []
    seen: list[Any] = []
    may_go = anyio.Event()

    async def later() -> None:
        await may_go.wait()
        seen.append(await outcome(scope.resolve(starting)))
        scope.invalidate(starting)
        seen.append(await outcome(scope.flush()))
        seen.append(await outcome(scope.resolve(starting)))
        seen.append(await outcome(scope.release(starting)))

    def factory(ctx: AtomContext) -> str:
        runs.append("run")
        if len(runs) == 1:
            group.start_soon(later)
        return "value"

    starting = atom(factory)
    async with anyio.create_task_group() as group:
        await scope.resolve(starting)
        scope.invalidate(starting)
        may_go.set()
    assert seen == ["value", None, "value", None]
    assert len(runs) == 3

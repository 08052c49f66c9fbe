"""Invalidating: a value is marked, and made anew at the next flush or resolve."""

import functools
import itertools
from typing import Any

import anyio
import pytest

from atoms.scenes import Held, leaves, named, noted, outcome, setting, texts, together
from latency_kv.atoms import Atom, AtomContext, Scope, atom
from latency_kv.errors import InvalidationLoopError

pytestmark = pytest.mark.anyio


def failing(text: str) -> None:
    raise OSError(text)


class Unsteady:
    """What an atom's factory or clean-up does, for as long as its error is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __call__(self, ctx: AtomContext | None = None) -> None:
        if self.error is not None:
            raise self.error


# Marks


async def test_invalidate_only_marks() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.resolve(first)
    done: Any = scope.invalidate(first)  # type: ignore[func-returns-value, unused-ignore]
    assert done is None
    await anyio.wait_all_tasks_blocked()
    assert log == ["+a1"]


async def test_marked_value_is_made_anew_at_the_next_resolve_once() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.resolve(first)
    scope.invalidate(first)
    assert await scope.resolve(first) == "a2"
    assert await scope.resolve(first) == "a2"
    await scope.flush()
    assert log == ["+a1", "-a1", "+a2"]


async def test_atom_without_a_value_is_not_marked() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    scope.invalidate(first)
    await scope.flush()
    assert log == []
    assert await scope.resolve(first) == "a1"
    await scope.flush()
    assert log == ["+a1"]


async def test_atom_that_failed_is_not_marked() -> None:
    log: list[str] = []
    unsteady = Unsteady(OSError("at first"))
    scope, first = Scope(), noted(log, "a", then=unsteady)
    await outcome(scope.resolve(first))
    scope.invalidate(first)
    await scope.flush()
    assert log == ["+a1", "-a1"]


async def test_released_atom_is_marked_no_more() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.resolve(first)
    scope.invalidate(first)
    await scope.release(first)
    await scope.flush()
    assert log == ["+a1", "-a1"]
    assert await scope.resolve(first) == "a2"
    await scope.flush()
    assert await scope.resolve(first) == "a2"


async def test_value_set_after_the_mark_stays() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.resolve(first)
    scope.invalidate(first)
    await scope.set(first, "set")
    await scope.flush()
    assert await scope.resolve(first) == "set"
    assert log == ["+a1", "-a1"]


async def test_mark_is_of_one_scope() -> None:
    log: list[str] = []
    scope, other, first = Scope(), Scope(), noted(log, "a")
    await scope.resolve(first)
    await other.resolve(first)
    scope.invalidate(first)
    await other.flush()
    assert await other.resolve(first) == "a2"
    assert log == ["+a1", "+a2"]


async def test_dependant_that_runs_again_gets_the_new_value_of_its_dep() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    second = named("b", lambda ctx, value: f"of {value}", first)
    assert await scope.resolve(second) == "of a1"
    scope.invalidate(first)
    assert await scope.resolve(second) == "of a1"
    scope.invalidate(second)
    assert await scope.resolve(second) == "of a2"
    assert log == ["+a1", "-a1", "+a2"]


async def test_dep_that_was_released_runs_again_for_its_dependant() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    second = noted(log, "b", first)
    await scope.resolve(second)
    await scope.release(first)
    assert await scope.resolve(second) == "b1"
    scope.invalidate(second)
    await scope.flush()
    assert await scope.resolve(first) == "a2"
    assert log.count("+b2") == log.count("+a2") == 1


async def test_context_invalidates_its_own_atom_from_outside_too() -> None:
    contexts: list[AtomContext] = []
    log: list[str] = []
    scope, first = Scope(), noted(log, "a", then=contexts.append)
    await scope.resolve(first)
    contexts[0].invalidate()
    assert log == ["+a1"]
    await scope.flush()
    assert log == ["+a1", "-a1", "+a2"]


async def test_who_resolves_a_marked_atom_at_once_share_the_run() -> None:
    scope, held = Scope(), Held()
    held.may_end.set()
    assert await scope.resolve(held.atom) == 1
    scope.invalidate(held.atom)
    held.may_end = anyio.Event()

    async def let() -> None:
        held.may_end.set()

    resolve = functools.partial(scope.resolve, held.atom)
    assert await together(resolve, resolve, scope.flush, let) == [2, 2, None, None]
    assert (held.runs, held.cleaned) == (2, 1)


# From inside


async def test_factory_that_invalidates_itself_each_time_runs_once_a_resolve() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a", then=AtomContext.invalidate)
    assert await scope.resolve(first) == "a1"
    assert await scope.resolve(first) == "a2"
    assert await scope.resolve(first) == "a3"
    assert log == ["+a1", "-a1", "+a2", "-a2", "+a3"]


async def test_factory_may_invalidate_itself_through_its_scope() -> None:
    log: list[str] = []

    def once(ctx: AtomContext) -> None:
        if len(log) == 1:
            ctx.scope.invalidate(first)
            ctx.invalidate()

    scope, first = Scope(), noted(log, "a", then=once)
    assert await scope.resolve(first) == "a1"
    await scope.flush()
    await scope.flush()
    assert log == ["+a1", "-a1", "+a2"]


async def test_all_who_wait_get_the_value_of_the_run_that_was_invalidated() -> None:
    scope, held = Scope(), Held()

    async def let() -> None:
        scope.invalidate(held.atom)
        held.may_end.set()

    resolve = functools.partial(scope.resolve, held.atom)
    assert await together(resolve, resolve, let) == [1, 1, None]
    assert (held.runs, held.cleaned) == (1, 0)
    assert await scope.resolve(held.atom) == 2
    assert held.cleaned == 1
    await scope.flush()
    assert held.runs == 2


async def test_invalidation_from_outside_amid_a_run_is_deferred_to_a_flush() -> None:
    scope, held = Scope(), Held()

    async def let() -> None:
        scope.invalidate(held.atom)
        scope.invalidate(held.atom)
        held.may_end.set()

    assert await together(lambda: scope.resolve(held.atom), let) == [1, None]
    await scope.flush()
    assert (held.runs, held.cleaned) == (2, 1)
    assert await scope.resolve(held.atom) == 2


async def test_flush_waits_for_a_run_that_was_invalidated_and_runs_it_again() -> None:
    scope, held = Scope(), Held()
    seen: list[str] = []

    async def flush() -> None:
        scope.invalidate(held.atom)
        await scope.flush()
        seen.append("flushed")

    async def let() -> None:
        with setting(held.may_end):
            assert (held.runs, seen) == (1, [])

    outcomes = await together(lambda: scope.resolve(held.atom), flush, let)
    assert outcomes == [1, None, None]
    assert (held.runs, held.cleaned) == (2, 1)
    assert await scope.resolve(held.atom) == 2


async def test_invalidation_amid_a_run_that_fails_is_dropped() -> None:
    log: list[str] = []

    def fail_at_first(ctx: AtomContext) -> None:
        ctx.invalidate()
        failing("at first") if len(log) == 1 else None

    scope, first = Scope(), noted(log, "a", then=fail_at_first)
    with pytest.raises(OSError, match="at first"):
        await scope.resolve(first)
    await scope.flush()
    assert log == ["+a1", "-a1"]


async def test_factory_may_invalidate_what_it_depends_on() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")

    def once(ctx: AtomContext) -> None:
        if "+b2" not in log:
            ctx.scope.invalidate(first)

    second = noted(log, "b", first, then=once)
    assert await scope.resolve(second) == "b1"
    await scope.flush()
    assert log == ["+a1", "+b1", "-a1", "+a2"]


async def test_factory_that_resolves_what_it_invalidated_gets_a_new_value() -> None:
    log: list[str] = []
    first = noted(log, "a")

    async def factory(ctx: AtomContext) -> tuple[str, str]:
        before = await ctx.scope.resolve(first)
        ctx.scope.invalidate(first)
        return before, await ctx.scope.resolve(first)

    assert await Scope().resolve(atom(factory)) == ("a1", "a2")


async def test_clean_up_may_invalidate_another() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    second = noted(
        log, "b", then=lambda ctx: ctx.cleanup(lambda: scope.invalidate(first))
    )
    await scope.resolve(first)
    await scope.resolve(second)
    scope.invalidate(second)
    await scope.flush()
    assert log[:3] == ["+a1", "+b1", "-b1"]
    assert sorted(log[3:]) == ["+a2", "+b2", "-a1"]


# flush


async def test_flush_without_marks_does_nothing() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.flush()
    await scope.resolve(first)
    await scope.flush()
    assert log == ["+a1"]


async def test_flush_goes_in_the_order_of_invalidation() -> None:
    log: list[str] = []
    atoms = {name: noted(log, name) for name in "abcdef"}
    scope = Scope()
    for each in atoms.values():
        await scope.resolve(each)
    log.clear()
    for name in "dbfacebd":
        scope.invalidate(atoms[name])
    await scope.flush()
    assert [entry[1] for entry in log if entry[0] == "+"] == list("dbface")
    assert [entry[1] for entry in log if entry[0] == "-"] == list("dbface")


async def test_flush_applies_what_the_factories_that_it_runs_invalidate() -> None:
    log: list[str] = []
    scope, last = Scope(), noted(log, "c")
    second = noted(log, "b")

    def chain(ctx: AtomContext) -> None:
        if is_chained:
            ctx.scope.invalidate(last)

    is_chained = False
    first = noted(log, "a", then=chain)
    for each in (first, second, last):
        await scope.resolve(each)
    is_chained = True
    scope.invalidate(first)
    scope.invalidate(second)
    await scope.flush()
    assert log[3:] == ["-a1", "+a2", "-b1", "+b2", "-c1", "+c2"]


async def test_flush_runs_a_dep_once_that_is_marked_too() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    second = noted(log, "b", first)
    await scope.resolve(second)
    scope.invalidate(second)
    scope.invalidate(first)
    await scope.flush()
    assert sorted(log) == ["+a1", "+a2", "+b1", "+b2", "-a1", "-b1"]
    assert log.index("-a1") < log.index("+a2") < log.index("+b2")
    assert log.index("-b1") < log.index("+b2")


async def test_failure_does_not_stop_the_others_and_is_raised_at_the_end() -> None:
    log: list[str] = []
    unsteady = Unsteady()
    scope = Scope()
    first = noted(log, "a")
    second = noted(log, "b", then=unsteady)
    third = noted(log, "c")
    for each in (first, second, third):
        await scope.resolve(each)
    unsteady.error = OSError("amid the flush")
    for each in (first, second, third):
        scope.invalidate(each)
    with pytest.raises(OSError, match="amid the flush") as caught:
        await scope.flush()
    assert caught.value is unsteady.error
    assert log[3:] == ["-a1", "+a2", "-b1", "+b2", "-b2", "-c1", "+c2"]
    unsteady.error = None
    await scope.flush()
    assert len(log) == 10
    assert await scope.resolve(second) == "b3"
    assert await scope.resolve(first) == "a2"


async def test_several_failures_are_raised_as_a_group() -> None:
    log: list[str] = []
    scope = Scope()
    unsteady = [Unsteady(), Unsteady()]
    atoms = [noted(log, "ab"[index], then=unsteady[index]) for index in range(2)]
    for each in atoms:
        await scope.resolve(each)
        scope.invalidate(each)
    for index in range(2):
        unsteady[index].error = OSError(f"error {index}")
    with pytest.raises(ExceptionGroup) as caught:
        await scope.flush()
    assert [str(error) for error in caught.value.exceptions] == ["error 0", "error 1"]
    for each in atoms:
        with pytest.raises(OSError, match="error"):
            await scope.resolve(each)


async def test_cancelled_flush_loses_no_mark() -> None:
    log: list[str] = []
    scope, held = Scope(), Held()
    first, last = noted(log, "a"), noted(log, "c")
    held.may_end.set()
    for each in (first, held.atom, last):
        await scope.resolve(each)
        scope.invalidate(each)
    held.may_end = anyio.Event()
    with anyio.move_on_after(0.02) as span:
        await scope.flush()
    assert span.cancelled_caught
    assert log == ["+a1", "+c1", "-a1", "+a2"]
    assert (held.runs, held.cut, held.cleaned) == (2, 1, 2)
    held.may_end.set()
    await scope.flush()
    assert await scope.resolve(last) == "c2"
    assert log[4:] == ["-c1", "+c2"]
    assert await scope.resolve(held.atom) == 3


async def test_flush_waits_for_what_another_flush_is_doing() -> None:
    scope, held = Scope(), Held()
    held.may_end.set()
    await scope.resolve(held.atom)
    scope.invalidate(held.atom)
    held.may_end = anyio.Event()
    seen: list[str] = []

    async def second() -> None:
        await scope.flush()
        seen.append("flushed")

    async def let() -> None:
        with setting(held.may_end):
            assert (held.runs, seen) == (2, [])

    assert await together(scope.flush, second, let) == [None] * 3
    assert (held.runs, held.cleaned, seen) == (2, 1, ["flushed"])


async def test_flush_waits_for_a_resolve_that_applies_the_mark() -> None:
    scope, held = Scope(), Held()
    held.may_end.set()
    await scope.resolve(held.atom)
    scope.invalidate(held.atom)
    held.may_end = anyio.Event()
    seen: list[str] = []

    async def flush() -> None:
        await scope.flush()
        seen.append("flushed")

    async def let() -> None:
        with setting(held.may_end):
            assert (held.runs, seen) == (2, [])

    assert await together(lambda: scope.resolve(held.atom), flush, let) == [
        2,
        None,
        None,
    ]
    assert (held.runs, seen) == (2, ["flushed"])


async def test_what_is_invalidated_amid_a_flush_is_not_lost() -> None:
    log: list[str] = []
    scope, held, other = Scope(), Held(), noted(log, "a")
    held.may_end.set()
    await scope.resolve(held.atom)
    await scope.resolve(other)
    scope.invalidate(held.atom)
    held.may_end = anyio.Event()

    async def let() -> None:
        scope.invalidate(other)
        held.may_end.set()

    await together(scope.flush, let)
    await scope.flush()
    assert log == ["+a1", "-a1", "+a2"]


async def test_marked_atom_that_is_being_resolved_is_not_run_by_flush_again() -> None:
    scope, held = Scope(), Held()
    held.may_end.set()
    await scope.resolve(held.atom)
    scope.invalidate(held.atom)
    held.may_end = anyio.Event()

    async def let() -> None:
        held.may_end.set()

    resolve = functools.partial(scope.resolve, held.atom)
    assert await together(resolve, scope.flush, let) == [2, None, None]
    assert held.runs == 2


# Loops


async def test_loop_of_two_raises_with_its_path_and_its_values_stand() -> None:
    log: list[str] = []
    scope = Scope()
    is_looping = False

    def invalidate_second(ctx: AtomContext) -> None:
        if is_looping:
            ctx.scope.invalidate(second)

    def invalidate_first(ctx: AtomContext) -> None:
        if is_looping:
            ctx.scope.invalidate(first)

    first = noted(log, "a", then=invalidate_second)
    second = noted(log, "b", then=invalidate_first)
    await scope.resolve(first)
    await scope.resolve(second)
    is_looping = True
    scope.invalidate(first)
    with pytest.raises(InvalidationLoopError) as caught:
        await scope.flush()
    assert caught.value.path == ("a", "b", "a")
    assert str(caught.value) == "Infinite invalidation loop detected: a -> b -> a"
    assert log[2:] == ["-a1", "+a2", "-b1", "+b2"]
    assert await scope.resolve(first) == "a2"
    assert await scope.resolve(second) == "b2"
    await scope.flush()
    assert len(log) == 6
    is_looping = False
    scope.invalidate(first)
    await scope.flush()
    assert log[6:] == ["-a2", "+a3"]


async def test_loop_of_one_raises() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a", then=AtomContext.invalidate)
    await scope.resolve(first)
    with pytest.raises(InvalidationLoopError) as caught:
        await scope.flush()
    assert caught.value.path == ("a", "a")
    assert log == ["+a1", "-a1", "+a2"]
    await scope.flush()
    assert await scope.resolve(first) == "a2"


async def test_loop_of_three_raises_and_the_others_are_applied() -> None:
    log: list[str] = []
    scope = Scope()
    marks: dict[str, str] = {}
    atoms: dict[str, Atom[Any]] = {}
    for name in "abcd":

        def pass_on(ctx: AtomContext, name: str = name) -> None:
            if name in marks:
                ctx.scope.invalidate(atoms[marks[name]])

        atoms[name] = noted(log, name, then=pass_on)
        await scope.resolve(atoms[name])
    marks.update(a="b", b="c", c="a")
    log.clear()
    scope.invalidate(atoms["a"])
    scope.invalidate(atoms["d"])
    with pytest.raises(InvalidationLoopError) as caught:
        await scope.flush()
    assert caught.value.path == ("a", "b", "c", "a")
    runs = [entry for entry in log if entry[0] == "+"]
    assert runs == ["+a2", "+d2", "+b2", "+c2"]


async def test_loop_behind_a_beginning_tells_the_loop() -> None:
    log: list[str] = []
    scope = Scope()
    marks: dict[str, str] = {}
    atoms: dict[str, Atom[Any]] = {}
    for name in "abc":

        def pass_on(ctx: AtomContext, name: str = name) -> None:
            if name in marks:
                ctx.scope.invalidate(atoms[marks[name]])

        atoms[name] = noted(log, name, then=pass_on)
        await scope.resolve(atoms[name])
    marks.update(a="b", b="c", c="b")
    scope.invalidate(atoms["a"])
    with pytest.raises(InvalidationLoopError) as caught:
        await scope.flush()
    assert caught.value.path[-3:] == ("b", "c", "b")
    assert await scope.resolve(atoms["b"]) == "b2"


async def test_loop_through_a_factory_that_resolves_what_it_invalidated() -> None:
    log: list[str] = []
    scope = Scope()
    is_looping = False

    async def invalidate_and_resolve(ctx: AtomContext) -> None:
        if is_looping:
            ctx.scope.invalidate(second)
            await ctx.scope.resolve(second)

    def invalidate_first(ctx: AtomContext) -> None:
        if is_looping:
            ctx.scope.invalidate(first)

    first = noted(log, "a", then=invalidate_and_resolve)
    second = noted(log, "b", then=invalidate_first)
    await scope.resolve(second)
    await scope.resolve(first)
    is_looping = True
    scope.invalidate(first)
    with pytest.raises(InvalidationLoopError) as caught:
        await scope.flush()
    assert caught.value.path == ("a", "b", "a")
    assert log[2:] == ["-a1", "+a2", "-b1", "+b2"]


async def test_atom_invalidated_by_two_chains_is_no_loop() -> None:
    log: list[str] = []
    scope = Scope()
    marks: dict[str, str] = {}
    atoms: dict[str, Atom[Any]] = {}
    for name in "abcd":

        def pass_on(ctx: AtomContext, name: str = name) -> None:
            for other in marks.get(name, ""):
                ctx.scope.invalidate(atoms[other])

        atoms[name] = noted(log, name, then=pass_on)
        await scope.resolve(atoms[name])
    log.clear()
    # d is applied before c invalidates it again: a -> d and a -> c -> d.
    marks.update(a="dc", c="d")
    scope.invalidate(atoms["a"])
    await scope.flush()
    runs = [entry for entry in log if entry[0] == "+"]
    assert runs == ["+a2", "+d2", "+c2", "+d3"]
    assert await scope.resolve(atoms["d"]) == "d3"


async def test_invalidation_from_outside_is_not_lost_in_a_loop() -> None:
    """It collapses with one from inside, but is not of that one's chain."""
    begun, may_end = anyio.Event(), anyio.Event()
    numbers = itertools.count(1)

    async def factory(ctx: AtomContext) -> int:
        number = next(numbers)
        if number == 2:
            ctx.invalidate()
            begun.set()
            await may_end.wait()
        return number

    async def let() -> None:
        with setting(may_end):
            assert begun.is_set()
            scope.invalidate(made)

    scope, made = Scope(), atom(factory)
    await scope.resolve(made)
    scope.invalidate(made)
    assert await together(scope.flush, let) == [None, None]
    assert await scope.resolve(made) == 3


async def test_next_flush_begins_a_new_chain() -> None:
    log: list[str] = []
    scope = Scope()
    first = noted(log, "a")
    await scope.resolve(first)
    for number in (2, 3, 4):
        scope.invalidate(first)
        await scope.flush()
        assert log[-1] == f"+a{number}"


async def test_loop_and_a_failure_are_raised_together() -> None:
    log: list[str] = []
    unsteady = Unsteady()
    scope = Scope()
    first = noted(log, "a", then=AtomContext.invalidate)
    second = noted(log, "b", then=unsteady)
    await scope.resolve(second)
    await scope.resolve(first)
    unsteady.error = OSError("beside the loop")
    scope.invalidate(second)
    with pytest.raises(ExceptionGroup) as caught:
        await scope.flush()
    assert sorted(type(error).__name__ for error in leaves(caught.value)) == [
        "InvalidationLoopError",
        "OSError",
    ]


# Clean-ups


async def test_clean_up_that_fails_at_a_resolve_lets_the_next_one_run() -> None:
    log: list[str] = []

    def factory(ctx: AtomContext) -> int:
        log.append("run")
        ctx.cleanup(lambda: log.append("first"))
        ctx.cleanup(lambda: failing("second"))
        ctx.cleanup(lambda: log.append("third"))
        return len(log)

    scope, made = Scope(), atom(factory)
    assert await scope.resolve(made) == 1
    scope.invalidate(made)
    with pytest.raises(OSError, match="second"):
        await scope.resolve(made)
    assert log == ["run", "third", "first"]
    assert await scope.resolve(made) == 4
    assert log == ["run", "third", "first", "run"]


async def test_clean_up_that_fails_at_a_flush_leaves_the_run_to_a_resolve() -> None:
    log: list[str] = []
    unsteady = Unsteady(OSError("cleaning"))
    scope = Scope()
    first = noted(log, "a", then=lambda ctx: ctx.cleanup(unsteady))
    second = noted(log, "b")
    for each in (first, second):
        await scope.resolve(each)
        scope.invalidate(each)
    with pytest.raises(OSError, match="cleaning"):
        await scope.flush()
    assert log == ["+a1", "+b1", "-a1", "-b1", "+b2"]
    await scope.flush()
    assert len(log) == 5
    assert await scope.resolve(first) == "a2"


async def test_all_clean_ups_that_fail_are_raised_as_a_group() -> None:
    def factory(ctx: AtomContext) -> None:
        for number in range(3):
            ctx.cleanup(functools.partial(failing, f"number {number}"))

    scope, made = Scope(), atom(factory)
    await scope.resolve(made)
    scope.invalidate(made)
    with pytest.raises(ExceptionGroup) as caught:
        await scope.resolve(made)
    assert texts(caught.value) == ["number 0", "number 1", "number 2"]


async def test_clean_ups_of_an_invalidated_value_are_not_cancelled() -> None:
    log: list[str] = []

    async def clean() -> None:
        await anyio.sleep(0.02)
        log.append("whole")

    def factory(ctx: AtomContext) -> int:
        ctx.cleanup(clean)
        return len(log)

    for call in ("resolve", "flush"):
        scope, made = Scope(), atom(factory)
        await scope.resolve(made)
        scope.invalidate(made)
        log.clear()
        with anyio.move_on_after(0.01):
            await (scope.resolve(made) if call == "resolve" else scope.flush())
        assert log == ["whole"]
        assert await scope.resolve(made) == 1
        assert log == ["whole"]

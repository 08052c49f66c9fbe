"""Releasing: clean-ups, and what is left when an atom or a whole scope is let go."""

import functools
import gc
import itertools
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
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
from latency_kv.atoms import Atom, AtomContext, Scope, atom, tag
from schedules import Hops, play, play_on_trio

pytestmark = pytest.mark.anyio

COUNT = tag("count", default=0)

# Clean-ups that are taken for ever, since each that is run makes room for one more.
MOST_ADDED = 50


class Thing:
    """What can be referred to weakly."""


def failing(text: str) -> None:
    raise OSError(text)


def failing_atom(log: list[str], name: str, *texts: str) -> Atom[str]:
    """An atom whose clean-ups raise these, and one that does not runs last."""

    def add(ctx: AtomContext) -> None:
        for text in texts:
            ctx.cleanup(functools.partial(failing, text))

    return noted(log, name, then=add)


# Whatever lets a value go, and is told what its clean-ups raise.
LETTING_GO: dict[str, Callable[[Scope, Atom[Any]], Awaitable[Any]]] = {
    "release": lambda scope, made: scope.release(made),
    "dispose": lambda scope, made: scope.dispose(),
    "set": lambda scope, made: scope.set(made, "set"),
}
PLAYS = pytest.mark.parametrize("play", [play, play_on_trio])
EACH = pytest.mark.parametrize("let_go", LETTING_GO.values(), ids=LETTING_GO)


# Clean-ups


@EACH
async def test_clean_ups_run_last_in_first_out(let_go: Any) -> None:
    log: list[str] = []

    async def slow(text: str) -> None:
        log.append(f"{text} begins")
        await anyio.sleep(0.001)
        log.append(f"{text} ends")

    def factory(ctx: AtomContext) -> None:
        ctx.cleanup(lambda: log.append("first"))
        ctx.cleanup(functools.partial(slow, "second"))
        ctx.cleanup(lambda: log.append("third"))
        ctx.cleanup(lambda: slow("fourth"))

    scope, made = Scope(), atom(factory)
    await scope.resolve(made)
    await let_go(scope, made)
    assert log == [
        *("fourth begins", "fourth ends", "third"),
        *("second begins", "second ends", "first"),
    ]


@EACH
async def test_same_clean_up_twice_runs_twice(let_go: Any) -> None:
    log: list[str] = []

    def factory(ctx: AtomContext) -> None:
        def clean() -> None:
            log.append("clean")

        ctx.cleanup(clean)
        ctx.cleanup(clean)

    scope, made = Scope(), atom(factory)
    await scope.resolve(made)
    await let_go(scope, made)
    assert log == ["clean", "clean"]


@EACH
async def test_clean_up_that_fails_lets_the_others_run_and_is_raised(
    let_go: Any,
) -> None:
    log: list[str] = []
    scope, made = Scope(), failing_atom(log, "a", "one")
    await scope.resolve(made)
    with pytest.raises(OSError, match="one"):
        await let_go(scope, made)
    assert log == ["+a1", "-a1"]


@EACH
async def test_clean_ups_that_fail_are_raised_as_a_group(let_go: Any) -> None:
    log: list[str] = []
    scope, made = Scope(), failing_atom(log, "a", "one", "two")
    await scope.resolve(made)
    with pytest.raises(ExceptionGroup) as caught:
        await let_go(scope, made)
    assert sorted(map(str, leaves(caught.value))) == ["one", "two"]
    assert log == ["+a1", "-a1"]


@EACH
async def test_clean_ups_are_not_cancelled(let_go: Any) -> None:
    log: list[str] = []

    async def clean() -> None:
        await anyio.sleep(0.02)
        log.append("whole")

    def factory(ctx: AtomContext) -> None:
        ctx.cleanup(clean)
        ctx.cleanup(clean)

    scope, made = Scope(), atom(factory)
    await scope.resolve(made)
    with anyio.move_on_after(0.01):
        await let_go(scope, made)
    assert log == ["whole", "whole"]


@EACH
async def test_clean_up_after_the_value_is_gone_is_refused(let_go: Any) -> None:
    contexts: list[AtomContext] = []
    log: list[str] = []
    scope, made = Scope(), noted(log, "a", then=contexts.append)
    await scope.resolve(made)
    await let_go(scope, made)
    with pytest.raises(RuntimeError):
        contexts[0].cleanup(lambda: log.append("too late"))
    await scope.dispose()
    assert "too late" not in log


async def test_clean_up_is_refused_after_the_next_run_too() -> None:
    contexts: list[AtomContext] = []
    log: list[str] = []
    scope, made = Scope(), noted(log, "a", then=contexts.append)
    await scope.resolve(made)
    scope.invalidate(made)
    await scope.resolve(made)
    with pytest.raises(RuntimeError):
        contexts[0].cleanup(lambda: log.append("too late"))
    contexts[1].cleanup(lambda: log.append("in time"))
    await scope.release(made)
    assert log == ["+a1", "-a1", "+a2", "in time", "-a2"]


async def test_clean_up_after_the_factory_failed_is_refused() -> None:
    contexts: list[AtomContext] = []

    def factory(ctx: AtomContext) -> None:
        contexts.append(ctx)
        failing("no value")

    await outcome(Scope().resolve(atom(factory)))
    with pytest.raises(RuntimeError):
        contexts[0].cleanup(lambda: None)


async def test_clean_up_is_taken_while_the_value_lives() -> None:
    contexts: list[AtomContext] = []
    log: list[str] = []
    scope, made = Scope(), noted(log, "a", then=contexts.append)
    await scope.resolve(made)
    contexts[0].cleanup(lambda: log.append("later"))
    scope.invalidate(made)
    contexts[0].cleanup(lambda: log.append("marked"))
    await scope.flush()
    assert log == ["+a1", "marked", "later", "-a1", "+a2"]


@EACH
async def test_clean_up_that_a_clean_up_adds_is_refused_or_run(let_go: Any) -> None:
    log: list[str] = []

    def factory(ctx: AtomContext) -> None:
        def add() -> None:
            try:
                ctx.cleanup(lambda: log.append("done"))
            except RuntimeError:
                log.append("done")

        ctx.cleanup(add)

    scope, made = Scope(), atom(factory)
    await scope.resolve(made)
    await let_go(scope, made)
    assert log == ["done"]


@PLAYS
@EACH
def test_clean_up_that_comes_at_any_moment_is_refused_or_run(
    play: Any, let_go: Any
) -> None:
    """Another task adds them one after the other, until one is refused."""

    async def main() -> None:
        contexts: list[AtomContext] = []
        added: list[int] = []
        run: list[int] = []
        begun = anyio.Event()

        async def clean() -> None:
            begun.set()
            await anyio.lowlevel.checkpoint()

        async def add() -> None:
            await begun.wait()
            with suppress(RuntimeError):
                while len(added) < MOST_ADDED:
                    number = len(added)
                    contexts[0].cleanup(functools.partial(run.append, number))
                    added.append(number)
                    await anyio.lowlevel.checkpoint()

        def factory(ctx: AtomContext) -> None:
            contexts.append(ctx)
            ctx.cleanup(clean)

        scope, made = Scope(), atom(factory)
        await scope.resolve(made)
        async with anyio.create_task_group() as group:
            group.start_soon(add)
            await let_go(scope, made)
        if len(added) < MOST_ADDED:
            assert sorted(run) == added

    for number in range(20):
        play(main, Hops(Random(number)))


@EACH
async def test_clean_up_may_resolve_another(let_go: Any) -> None:
    """But for a scope that is being disposed of, where nothing new begins."""
    log: list[str] = []
    other = noted(log, "b")

    def factory(ctx: AtomContext) -> None:
        async def clean() -> None:
            seen.append(await outcome(ctx.scope.resolve(other)))

        ctx.cleanup(clean)

    seen: list[Any] = []
    scope, made = Scope(), atom(factory)
    await scope.resolve(other)
    await scope.resolve(made)
    with anyio.fail_after(PATIENCE_S):
        await let_go(scope, made)
    assert seen == ["b1"] or isinstance(seen[0], RuntimeError)
    if let_go is not LETTING_GO["dispose"]:
        assert seen == ["b1"]


# release


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


# dispose


async def test_dispose_releases_in_reverse_order_of_resolution() -> None:
    log: list[str] = []
    scope = Scope()
    first = noted(log, "a")
    second = noted(log, "b", first)
    third = noted(log, "c")
    for each in (third, second):
        await scope.resolve(each)
    assert log == ["+c1", "+a1", "+b1"]
    log.clear()
    await scope.dispose()
    assert log == ["-b1", "-a1", "-c1"]


async def test_dispose_releases_dependants_before_what_they_resolved() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    second = noted(log, "b", then=lambda ctx: ctx.scope.resolve(first))
    await scope.resolve(second)
    await scope.dispose()
    assert log == ["+b1", "+a1", "-b1", "-a1"]


async def test_dispose_of_an_empty_scope_and_again() -> None:
    log: list[str] = []
    scope = Scope()
    await scope.dispose()
    await scope.dispose()
    scope, made = Scope(), noted(log, "a")
    await scope.resolve(made)
    await scope.dispose()
    await scope.dispose()
    assert log == ["+a1", "-a1"]


async def test_scope_that_is_disposed_of_refuses_all() -> None:
    log: list[str] = []
    scope, made, other = Scope(), noted(log, "a"), noted(log, "b")
    await scope.resolve(made)
    await scope.dispose()
    for each in (made, other):
        with pytest.raises(RuntimeError):
            await scope.resolve(each)
        with pytest.raises(RuntimeError):
            await scope.set(each, "set")
        with pytest.raises(RuntimeError):
            scope.invalidate(each)
    with pytest.raises(RuntimeError):
        await scope.flush()
    assert log == ["+a1", "-a1"]


async def test_clean_ups_that_fail_at_dispose_stop_nothing() -> None:
    log: list[str] = []
    scope = Scope()
    for name in "abc":
        await scope.resolve(failing_atom(log, name, name))
    with pytest.raises(ExceptionGroup) as caught:
        await scope.dispose()
    assert sorted(map(str, leaves(caught.value))) == ["a", "b", "c"]
    assert log[3:] == ["-c1", "-b1", "-a1"]
    await scope.dispose()
    with pytest.raises(RuntimeError):
        await scope.flush()


async def test_one_clean_up_that_fails_at_dispose_is_raised_itself() -> None:
    log: list[str] = []
    scope = Scope()
    await scope.resolve(noted(log, "a"))
    await scope.resolve(failing_atom(log, "b", "only"))
    with pytest.raises(OSError, match="only"):
        await scope.dispose()
    assert log[2:] == ["-b1", "-a1"]


async def test_dispose_waits_for_factories_that_run() -> None:
    scope, held = Scope(), Held()

    async def let() -> None:
        with setting(held.may_end):
            assert (held.cut, held.cleaned) == (0, 0)

    value, done, _ = await together(
        lambda: scope.resolve(held.atom), scope.dispose, let
    )
    assert value == 1 or isinstance(value, RuntimeError)
    assert done is None
    assert (held.runs, held.cut, held.cleaned) == (1, 0, 1)


async def test_dispose_waits_for_factories_that_fail() -> None:
    scope, held = Scope(), Held()
    held.error = OSError("amid the dispose")

    async def let() -> None:
        held.may_end.set()

    value, done, _ = await together(
        lambda: scope.resolve(held.atom), scope.dispose, let
    )
    assert value is held.error
    assert done is None
    assert held.cleaned == 1


async def test_dispose_leaves_nothing_of_a_chain_that_is_running() -> None:
    """A factory that resolves more when the scope is being disposed of does not hang."""
    log: list[str] = []
    held = Held()
    other = noted(log, "a")

    async def factory(ctx: AtomContext) -> Any:
        value = await ctx.scope.resolve(held.atom)
        ctx.cleanup(lambda: log.append("-chain"))
        return value, await ctx.scope.resolve(other)

    async def let() -> None:
        held.may_end.set()

    scope = Scope()
    chain = atom(factory)
    outcomes = await together(lambda: scope.resolve(chain), scope.dispose, let)
    assert outcomes[1] is None
    assert log in (["-chain"], ["+a1", "-chain", "-a1"])
    assert held.cleaned == 1


async def test_resolve_that_begins_amid_a_dispose_is_refused() -> None:
    log: list[str] = []
    may_end = anyio.Event()
    scope, made = Scope(), noted(log, "a")
    closing: Atom[None] = atom(lambda ctx: ctx.cleanup(may_end.wait))
    await scope.resolve(closing)

    async def let() -> None:
        may_end.set()

    outcomes = await together(scope.dispose, lambda: scope.resolve(made), let)
    assert outcomes[0] is outcomes[2] is None
    assert isinstance(outcomes[1], RuntimeError)
    assert log == []


async def test_two_disposes_at_once_clean_up_once_and_both_wait() -> None:
    log: list[str] = []
    may_end = anyio.Event()

    def factory(ctx: AtomContext) -> None:
        async def clean() -> None:
            await may_end.wait()
            log.append("cleaned")

        ctx.cleanup(clean)

    async def dispose() -> None:
        await scope.dispose()
        log.append("disposed")

    async def let() -> None:
        with setting(may_end):
            assert log == []

    scope = Scope()
    await scope.resolve(atom(factory))
    assert await together(dispose, dispose, let) == [None] * 3
    assert log == ["cleaned", "disposed", "disposed"]


@PLAYS
def test_two_disposes_at_once_keep_the_order_and_both_wait_for_all(play: Any) -> None:
    async def main() -> None:
        log: list[str] = []

        def factory(name: str) -> Callable[..., None]:
            def make(ctx: AtomContext, *values: Any) -> None:
                async def clean() -> None:
                    log.append(f"{name} begins")
                    await anyio.sleep(1)
                    log.append(f"{name} ends")

                ctx.cleanup(clean)

            return make

        async def dispose() -> None:
            await scope.dispose()
            log.append("disposed")

        scope = Scope()
        first = named("a", factory("a"))
        second = named("b", factory("b"), first)
        await scope.resolve(named("c", factory("c"), second))
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(dispose)
        assert log == [
            *("c begins", "c ends", "b begins", "b ends", "a begins", "a ends"),
            *["disposed"] * 3,
        ]

    for number in range(20):
        play(main, Hops(Random(number)))


async def test_dispose_waits_for_a_release() -> None:
    log: list[str] = []
    may_end = anyio.Event()

    def factory(ctx: AtomContext) -> None:
        async def clean() -> None:
            await may_end.wait()
            log.append("cleaned")

        ctx.cleanup(clean)

    async def dispose() -> None:
        await scope.dispose()
        log.append("disposed")

    async def let() -> None:
        with setting(may_end):
            assert log == []

    scope, made = Scope(), atom(factory)
    await scope.resolve(made)
    outcomes = await together(lambda: scope.release(made), dispose, let)
    assert outcomes == [None] * 3
    assert log == ["cleaned", "disposed"]


async def test_dispose_waits_for_a_release_that_begins_amid_it() -> None:
    """A release is never refused; what it takes over is waited for all the same."""
    log: list[str] = []
    may_end = [anyio.Event(), anyio.Event()]

    def factory(index: int) -> Callable[..., None]:
        def make(ctx: AtomContext) -> None:
            async def clean() -> None:
                log.append(f"{index} begins")
                await may_end[index].wait()
                log.append(f"{index} ends")

            ctx.cleanup(clean)

        return make

    async def dispose() -> None:
        await scope.dispose()
        log.append("disposed")

    async def let() -> None:
        may_end[1].set()
        await anyio.wait_all_tasks_blocked()
        with setting(may_end[0]):
            assert "disposed" not in log

    scope = Scope()
    atoms = [atom(factory(index)) for index in range(2)]
    for each in atoms:
        await scope.resolve(each)
    await together(dispose, lambda: scope.release(atoms[0]), let)
    assert log[-2:] == ["0 ends", "disposed"]
    assert log.count("0 begins") == 1


async def test_dispose_releases_a_dependant_first_whose_dep_was_made_again() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    second = noted(log, "b", first)
    await scope.resolve(second)
    await scope.release(first)
    scope.invalidate(second)
    await scope.flush()
    assert log[-2:] == ["+a2", "+b2"]
    await scope.dispose()
    assert log[-2:] == ["-b2", "-a2"]


async def test_dispose_releases_a_dependant_first_that_was_set_before() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    second = noted(log, "b", first)
    await scope.set(second, "set")
    await scope.resolve(first)
    scope.invalidate(second)
    assert await scope.resolve(second) == "b1"
    await scope.dispose()
    assert log == ["+a1", "+b1", "-b1", "-a1"]


async def test_flush_that_a_dispose_overtakes_hides_no_error() -> None:
    log: list[str] = []
    begun, may_end = anyio.Event(), anyio.Event()

    def factory(ctx: AtomContext) -> None:
        async def clean() -> None:
            begun.set()
            await may_end.wait()
            failing("amid the flush")

        ctx.cleanup(clean)

    async def let() -> None:
        with setting(may_end):
            assert begun.is_set()

    scope, atoms = Scope(), [named("failing", factory), noted(log, "a")]
    for each in atoms:
        await scope.resolve(each)
        scope.invalidate(each)
    flushed, disposed, _ = await together(scope.flush, scope.dispose, let)
    told = [*leaves(flushed), *leaves(disposed)]
    assert "amid the flush" in map(str, told)
    assert log[:2] == ["+a1", "-a1"]


async def test_cancelled_dispose_can_be_done_again() -> None:
    scope, held = Scope(), Held()
    log: list[str] = []
    await scope.resolve(noted(log, "a"))

    async def dispose_in_vain() -> None:
        with anyio.move_on_after(0.01):
            await scope.dispose()
        held.may_end.set()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(outcome, scope.resolve(held.atom))
            await held.begun.wait()
            await dispose_in_vain()
        await scope.dispose()
    assert held.cleaned == held.runs == 1
    assert log == ["+a1", "-a1"]
    with pytest.raises(RuntimeError):
        await scope.resolve(held.atom)


async def test_factories_clean_up_behind_themselves_after_a_cancelled_dispose() -> None:
    scope, held = Scope(), Held()
    log: list[str] = []
    await scope.resolve(noted(log, "a"))
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(outcome, scope.resolve(held.atom))
            await held.begun.wait()
            with anyio.move_on_after(0.01) as span:
                await scope.dispose()
            assert span.cancelled_caught
            assert log == ["+a1", "-a1"]
            assert (held.cut, held.cleaned) == (0, 0)
            held.may_end.set()
    assert held.cleaned == held.runs == 1


async def test_leaving_the_context_disposes() -> None:
    log: list[str] = []
    made = noted(log, "a")
    async with Scope() as scope:
        assert isinstance(scope, Scope)
        assert await scope.resolve(made) == "a1"
    assert log == ["+a1", "-a1"]
    with pytest.raises(RuntimeError):
        await scope.resolve(made)


async def test_error_of_the_body_comes_out_and_all_is_cleaned_up() -> None:
    log: list[str] = []
    error = KeyError("the body's")
    with pytest.raises(KeyError) as caught:
        async with Scope() as scope:
            await scope.resolve(noted(log, "a"))
            raise error
    assert caught.value is error
    assert log == ["+a1", "-a1"]


async def test_error_of_the_body_is_not_hidden_by_one_of_a_clean_up() -> None:
    log: list[str] = []
    error = KeyError("the body's")
    try:
        async with Scope() as scope:
            await scope.resolve(failing_atom(log, "a", "clean-up"))
            raise error
    except BaseException as raised:  # noqa: BLE001 - whatever comes out is judged
        seen = [*leaves(raised), raised.__context__, raised.__cause__]
    assert error in seen
    assert log == ["+a1", "-a1"]


async def test_leaving_the_context_by_cancellation_cleans_up_whole() -> None:
    log: list[str] = []

    async def clean() -> None:
        await anyio.sleep(0.01)
        log.append("whole")

    @atom
    def made(ctx: AtomContext) -> None:
        ctx.cleanup(clean)

    with anyio.move_on_after(0.01) as span:
        async with Scope() as scope:
            await scope.resolve(made)
            await anyio.sleep_forever()
    assert span.cancelled_caught
    assert log == ["whole"]
    with pytest.raises(RuntimeError):
        await scope.resolve(made)


async def test_scope_keeps_nothing_after_dispose() -> None:
    left: list[weakref.ref[Thing]] = []

    def factory(ctx: AtomContext, *values: Any) -> Thing:
        value = Thing()
        left.append(weakref.ref(value))
        return value

    scope = Scope()
    first = atom(factory)
    await scope.resolve(atom(factory, deps=[first]))
    thing = named("thing", lambda ctx: None)
    value = Thing()
    left.append(weakref.ref(value))
    await scope.set(thing, value)
    del value
    await scope.dispose()
    gc.collect()
    assert [ref() for ref in left] == [None] * 3


async def test_mark_amid_a_dispose_is_harmless() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")

    def clean() -> None:
        try:
            scope.invalidate(first)
        except RuntimeError:
            log.append("refused")

    await scope.resolve(first)
    await scope.resolve(noted(log, "b", then=lambda ctx: ctx.cleanup(clean)))
    await scope.dispose()
    assert [entry for entry in log if entry != "refused"] == [
        *("+a1", "+b1"),
        *("-b1", "-a1"),
    ]


async def test_set_value_leaves_nothing_to_clean_up() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.set(first, "set")
    await scope.release(first)
    await scope.set(first, "set")
    await scope.dispose()
    assert log == []

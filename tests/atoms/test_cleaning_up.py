"""Cleaning up: whatever lets a value go runs its clean-ups, all, once and in order."""

import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from atoms.scenes import (
    PATIENCE_S,
    failing,
    failing_atom,
    leaves,
    noted,
    outcome,
)
from latency_kv.atoms import Atom, AtomContext, Scope, atom
from schedules import Hops, play, play_on_trio

pytestmark = pytest.mark.anyio

# Clean-ups that are taken for ever, since each that is run makes room for one more.
MOST_ADDED = 50

# Whatever lets a value go, and is told what its clean-ups raise.
LETTING_GO: dict[str, Callable[[Scope, Atom[Any]], Awaitable[Any]]] = {
    "release": lambda scope, made: scope.release(made),
    "dispose": lambda scope, made: scope.dispose(),
    "set": lambda scope, made: scope.set(made, "set"),
}
PLAYS = pytest.mark.parametrize("play", [play, play_on_trio])
EACH = pytest.mark.parametrize("let_go", LETTING_GO.values(), ids=LETTING_GO)


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


async def test_set_value_leaves_nothing_to_clean_up() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")
    await scope.set(first, "set")
    await scope.release(first)
    await scope.set(first, "set")
    await scope.dispose()
    assert log == []

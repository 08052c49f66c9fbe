"""Disposing: the end of a whole scope, in order, once, whatever runs or fails meanwhile."""

import gc
import weakref
from collections.abc import Callable
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from atoms.scenes import (
    PATIENCE_S,
    Held,
    Thing,
    failing,
    failing_atom,
    leaves,
    named,
    noted,
    outcome,
    setting,
    together,
)
from latency_kv.atoms import Atom, AtomContext, Scope, atom
from schedules import Hops, play, play_on_trio

pytestmark = pytest.mark.anyio

PLAYS = pytest.mark.parametrize("play", [play, play_on_trio])


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

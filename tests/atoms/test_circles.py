"""Circles: atoms that wait for one another are told so, in one task or in several.

Where a hang would be behind a shield, so that no clock could end it, the test is played
as a schedule, which sees that nothing goes on. Start at `Ring`.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import anyio
import pytest

from atoms.scenes import PATIENCE_S, Held, leaves, named, noted, outcome, together
from latency_kv.atoms import Atom, AtomContext, Scope, atom
from latency_kv.errors import CircularDependencyError
from schedules import Hops, play, play_on_trio

PLAYS = pytest.mark.parametrize("play", [play, play_on_trio])
ANYIO = pytest.mark.anyio


class Ring:
    """Atoms of which each resolves the next one, and the last one the first.

    Those that are gathered resolve nothing before all of them run, each in a task of
    its own.
    """

    def __init__(self, names: str, *, gathered: str = "") -> None:
        self.begun = 0
        self.all_run = anyio.Event()
        self.is_open = False
        self.gathered = gathered
        self.atoms: dict[str, Atom[Any]] = {}
        following = names[1:] + names[0]
        for name, other in zip(names, following, strict=True):
            self.atoms[name] = named(name, self._factory(name, other))

    def _factory(self, name: str, other: str) -> Callable[..., Any]:
        async def factory(ctx: AtomContext) -> str:
            if self.is_open:
                return name
            if name in self.gathered:
                self.begun += 1
                if self.begun == len(self.gathered):
                    self.all_run.set()
                await self.all_run.wait()
            return name + str(await ctx.scope.resolve(self.atoms[other]))

        return factory


def is_circle(error: Any, names: str) -> bool:
    """Whether its path goes once around these, from whichever it begins at."""
    (leaf,) = set(leaves(error))
    assert isinstance(leaf, CircularDependencyError), leaf
    path = "".join(leaf.path)
    assert str(leaf) == f"Circular dependency detected: {' -> '.join(path)}"
    return path[0] == path[-1] and path[:-1] in names + names


# In one task


@ANYIO
@pytest.mark.parametrize("names", ["a", "ab", "abc", "abcdefgh"])
async def test_circle_of_factories_that_resolve(names: str) -> None:
    ring, scope = Ring(names), Scope()
    for name in names:
        with anyio.fail_after(PATIENCE_S):
            error = await outcome(scope.resolve(ring.atoms[name]))
        assert is_circle(error, names)
        assert error.path[0] == name


@ANYIO
async def test_circle_that_is_entered_from_outside_tells_the_circle_alone() -> None:
    ring, scope = Ring("abc"), Scope()
    outside = named("outside", lambda ctx: ctx.scope.resolve(ring.atoms["b"]))
    further = named("further", lambda ctx, value: value, outside)
    assert is_circle(await outcome(scope.resolve(further)), "bca")


@ANYIO
async def test_circle_through_deps() -> None:
    scope = Scope()
    last = named("c", lambda ctx: ctx.scope.resolve(first))
    second = named("b", lambda ctx, value: value, last)
    first = named("a", lambda ctx, value: value, second)
    assert is_circle(await outcome(scope.resolve(first)), "abc")
    assert is_circle(await outcome(scope.resolve(last)), "abc")


@ANYIO
async def test_circle_through_a_scope_that_the_factory_knows_itself() -> None:
    scope = Scope()

    async def factory(ctx: AtomContext) -> Any:
        return await scope.resolve(second)

    first = named("a", factory)
    second = named("b", lambda ctx, value: value, first)
    with anyio.fail_after(PATIENCE_S):
        assert is_circle(await outcome(scope.resolve(first)), "ab")


@ANYIO
async def test_circle_through_tasks_of_the_factory() -> None:
    scope = Scope()

    async def factory(ctx: AtomContext) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ctx.scope.resolve, bystander)
            group.start_soon(ctx.scope.resolve, second)

    bystander = named("bystander", lambda ctx: 1)
    first = named("a", factory)
    second = named("b", lambda ctx, value: value, first)
    for entry in (first, second):
        with anyio.fail_after(PATIENCE_S):
            assert is_circle(await outcome(scope.resolve(entry)), "ab")
    assert await scope.resolve(bystander) == 1


@ANYIO
async def test_circle_that_a_factory_catches_does_not_fail_it() -> None:
    async def factory(ctx: AtomContext) -> str:
        try:
            return str(await ctx.scope.resolve(second))
        except CircularDependencyError:
            return "without"

    scope = Scope()
    first = named("a", factory)
    second = named("b", lambda ctx, value: f"with {value}", first)
    assert await scope.resolve(first) == "without"
    assert await scope.resolve(second) == "with without"


@ANYIO
async def test_circle_leaves_no_value_and_runs_the_clean_ups() -> None:
    log: list[str] = []
    scope = Scope()
    first = noted(log, "a", then=lambda ctx: ctx.scope.resolve(second))
    second = noted(log, "b", then=lambda ctx: ctx.scope.resolve(first))
    for number in (1, 2):
        await outcome(scope.resolve(first))
        assert log[-4:] == [f"{way}{number}" for way in ("+a", "+b", "-b", "-a")]
    await scope.dispose()
    assert len(log) == 8


@ANYIO
async def test_circle_that_is_opened_can_be_resolved() -> None:
    ring, scope = Ring("abc"), Scope()
    assert is_circle(await outcome(scope.resolve(ring.atoms["a"])), "abc")
    ring.is_open = True
    assert await scope.resolve(ring.atoms["a"]) == "a"
    ring.is_open = False
    assert await scope.resolve(ring.atoms["b"]) == "bca"


@ANYIO
async def test_value_set_from_outside_opens_a_circle() -> None:
    ring, scope = Ring("abc"), Scope()
    await scope.set(ring.atoms["c"], "set")
    assert await scope.resolve(ring.atoms["a"]) == "abset"


@ANYIO
async def test_circle_that_an_invalidation_closes() -> None:
    ring, scope = Ring("ab"), Scope()
    ring.is_open = True
    assert await scope.resolve(ring.atoms["a"]) == "a"
    assert await scope.resolve(ring.atoms["b"]) == "b"
    ring.is_open = False
    # Of two that are marked, each needs the other one's new value.
    for name in "ab":
        scope.invalidate(ring.atoms[name])
    with anyio.fail_after(PATIENCE_S):
        error = await outcome(scope.flush())
    for leaf in leaves(error):
        assert is_circle(leaf, "ab")
    assert leaves(error)
    ring.is_open = True
    assert await scope.resolve(ring.atoms["a"]) == "a"


# Among tasks


@ANYIO
@pytest.mark.parametrize("names", ["ab", "abc", "abcde"])
async def test_circle_among_tasks_of_which_each_runs_one(names: str) -> None:
    ring, scope = Ring(names, gathered=names), Scope()
    outcomes = await together(
        *[lambda name=name: scope.resolve(ring.atoms[name]) for name in names]
    )
    assert all(is_circle(error, names) for error in outcomes)
    assert ring.all_run.is_set()
    ring.is_open = True
    assert await scope.resolve(ring.atoms["b"]) == "b"


@ANYIO
async def test_circle_among_tasks_of_which_each_runs_several() -> None:
    """a -> b in one task, c -> d in the other, and each is to go on to the other."""
    ring, scope = Ring("abcd", gathered="bd"), Scope()
    outcomes = await together(
        lambda: scope.resolve(ring.atoms["a"]), lambda: scope.resolve(ring.atoms["c"])
    )
    assert all(is_circle(error, "abcd") for error in outcomes)


@ANYIO
async def test_circle_among_tasks_through_deps() -> None:
    scope = Scope()
    both_run = anyio.Event()
    begun: list[str] = []

    def gathered(then: Callable[[], Atom[Any]]) -> Callable[..., Any]:
        async def factory(ctx: AtomContext) -> Any:
            begun.append("one")
            if len(begun) == 2:
                both_run.set()
            await both_run.wait()
            return await ctx.scope.resolve(then())

        return factory

    first = named("a", gathered(lambda: on_second))
    second = named("b", gathered(lambda: on_first))
    on_first = named("c", lambda ctx, value: value, first)
    on_second = named("d", lambda ctx, value: value, second)
    outcomes = await together(
        lambda: scope.resolve(first), lambda: scope.resolve(second)
    )
    assert all(is_circle(error, "adbc") for error in outcomes)


@ANYIO
async def test_circle_through_a_task_of_a_factory_and_another_task() -> None:
    scope = Scope()
    both_run = anyio.Event()
    begun: list[str] = []

    async def gather() -> None:
        begun.append("one")
        if len(begun) == 2:
            both_run.set()
        await both_run.wait()

    async def by_itself(ctx: AtomContext) -> Any:
        await gather()
        return await ctx.scope.resolve(second)

    async def by_a_task(ctx: AtomContext) -> None:
        await gather()
        async with anyio.create_task_group() as group:
            group.start_soon(ctx.scope.resolve, first)

    first = named("a", by_itself)
    second = named("b", by_a_task)
    outcomes = await together(
        lambda: scope.resolve(first), lambda: scope.resolve(second)
    )
    assert all(is_circle(error, "ab") for error in outcomes)


@ANYIO
@pytest.mark.parametrize("order", ["bhh", "hbh", "hhb"])
async def test_circle_through_one_of_several_tasks_of_a_factory(order: str) -> None:
    scope, held = Scope(), Held()
    may_go = anyio.Event()

    async def by_tasks(ctx: AtomContext) -> None:
        async with anyio.create_task_group() as group:
            for name in order:
                group.start_soon(ctx.scope.resolve, atoms[name])
                await anyio.wait_all_tasks_blocked()

    async def by_itself(ctx: AtomContext) -> Any:
        await may_go.wait()
        return await ctx.scope.resolve(atoms["a"])

    async def go() -> None:
        may_go.set()

    atoms = {"h": held.atom, "a": named("a", by_tasks), "b": named("b", by_itself)}
    outcomes = await together(
        *[lambda name=name: scope.resolve(atoms[name]) for name in "hba"], go, held.end
    )
    assert outcomes[0] == 1
    assert all(is_circle(error, "ab") for error in outcomes[1:3])


@ANYIO
async def test_circle_fails_those_who_wait_for_it_and_nobody_else() -> None:
    log: list[str] = []
    ring, scope = Ring("ab", gathered="ab"), Scope()
    waiting = named("waiting", lambda ctx, value: value, ring.atoms["a"])
    outcomes = await together(
        lambda: scope.resolve(ring.atoms["a"]),
        lambda: scope.resolve(waiting),
        lambda: scope.resolve(ring.atoms["b"]),
        lambda: scope.resolve(noted(log, "c")),
    )
    assert all(is_circle(error, "ab") for error in outcomes[:3])
    assert outcomes[3] == "c1"


# No circles


@ANYIO
async def test_diamonds_among_tasks_are_no_circles() -> None:
    log: list[str] = []
    bottom = noted(log, "a", then=lambda ctx: anyio.sleep(0.001))
    sides = [noted(log, name, bottom) for name in "bcde"]
    tops = [
        named(f"top {index}", lambda ctx, *values: values, *sides[index:], bottom)
        for index in range(4)
    ]
    scope = Scope()
    outcomes = await together(
        *[lambda each=each: scope.resolve(each) for each in [*tops, *sides]]
    )
    assert outcomes[0] == ("b1", "c1", "d1", "e1", "a1")
    assert outcomes[4:] == ["b1", "c1", "d1", "e1"]
    assert sorted(log) == ["+a1", "+b1", "+c1", "+d1", "+e1"]


@ANYIO
async def test_wait_that_was_given_up_is_part_of_no_circle() -> None:
    scope = Scope()
    may_go = anyio.Event()
    given_up = anyio.Event()

    async def patient(ctx: AtomContext) -> str:
        await may_go.wait()
        return "b" + str(await ctx.scope.resolve(first))

    async def impatient(ctx: AtomContext) -> str:
        with anyio.move_on_after(0.01):
            await ctx.scope.resolve(second)
        given_up.set()
        may_go.set()
        await anyio.wait_all_tasks_blocked()
        return "a"

    first, second = named("a", impatient), named("b", patient)
    outcomes = await together(
        lambda: scope.resolve(second), lambda: scope.resolve(first)
    )
    assert given_up.is_set()
    assert outcomes == ["ba", "a"]


@ANYIO
async def test_same_atom_resolved_again_after_its_run_is_no_circle() -> None:
    log: list[str] = []
    scope, first = Scope(), noted(log, "a")

    async def factory(ctx: AtomContext) -> list[str]:
        values = [await ctx.scope.resolve(first)]
        ctx.scope.invalidate(first)
        values.append(await ctx.scope.resolve(first))
        await ctx.scope.release(first)
        return [*values, await ctx.scope.resolve(first)]

    assert await scope.resolve(atom(factory)) == ["a1", "a2", "a3"]


@ANYIO
async def test_two_scopes_make_no_circle() -> None:
    scope, other = Scope(), Scope()

    async def across(ctx: AtomContext) -> str:
        seen.append("run")
        return "inner" if len(seen) == 2 else await other.resolve(made)

    seen: list[str] = []
    made: Atom[str] = atom(across)
    assert await scope.resolve(made) == "inner"
    assert await other.resolve(made) == "inner"


# Whatever an atom does to itself while it runs or is cleaned up: no hang.

TO_ITSELF: dict[str, Callable[[Scope, Atom[Any]], Awaitable[Any]]] = {
    "resolve": lambda scope, made: scope.resolve(made),
    "set": lambda scope, made: scope.set(made, "set"),
    "release": lambda scope, made: scope.release(made),
    "flush": lambda scope, made: scope.flush(),
    "dispose": lambda scope, made: scope.dispose(),
}
EACH = pytest.mark.parametrize("use", TO_ITSELF.values(), ids=TO_ITSELF)
REFUSED = (CircularDependencyError, RuntimeError)


@PLAYS
@EACH
def test_factory_that_uses_its_own_atom_does_not_hang(play: Any, use: Any) -> None:
    seen: list[Any] = []

    async def main() -> None:
        async def factory(ctx: AtomContext) -> str:
            ctx.cleanup(lambda: seen.append("cleaned"))
            seen.append(await outcome(use(ctx.scope, made)))
            return "value"

        scope = Scope()
        made = atom(factory)
        value = await outcome(scope.resolve(made))
        assert value == "value" or isinstance(value, RuntimeError)
        await scope.dispose()

    play(main, Hops(Random(0)))
    assert seen[0] is None or isinstance(seen[0], REFUSED)
    assert seen[1:] == ["cleaned"]


@PLAYS
@EACH
@pytest.mark.parametrize("way", ["release", "invalidate", "dispose"])
def test_clean_up_that_uses_its_own_atom_does_not_hang(
    play: Any, use: Any, way: str
) -> None:
    seen: list[Any] = []

    async def main() -> None:
        def factory(ctx: AtomContext) -> str:
            async def clean() -> None:
                seen.append(await outcome(use(scope, made)))

            if not seen:
                ctx.cleanup(clean)
            return "value"

        scope = Scope()
        made = atom(factory)
        await scope.resolve(made)
        if way == "invalidate":
            scope.invalidate(made)
            value = await outcome(scope.resolve(made))
            assert value == "value" or isinstance(value, RuntimeError)
        else:
            await outcome(getattr(scope, way)(*[made] * (way == "release")))
        await scope.dispose()

    play(main, Hops(Random(0)))
    assert len(seen) == 1


@PLAYS
@EACH
def test_factory_that_uses_an_atom_that_waits_for_it_does_not_hang(
    play: Any, use: Any
) -> None:
    """The other one runs in a task of its own, and is to be changed by this one."""
    seen: list[Any] = []

    async def main() -> None:
        begun = anyio.Event()

        async def waiting(ctx: AtomContext) -> Any:
            begun.set()
            return await ctx.scope.resolve(first)

        async def factory(ctx: AtomContext) -> str:
            await begun.wait()
            seen.append(await outcome(use(ctx.scope, second)))
            return "value"

        scope = Scope()
        first, second = named("a", factory), named("b", waiting)
        async with anyio.create_task_group() as group:
            group.start_soon(outcome, scope.resolve(first))
            group.start_soon(outcome, scope.resolve(second))
        await scope.dispose()

    play(main, Hops(Random(0)))
    assert len(seen) == 1


@PLAYS
def test_clean_up_that_waits_for_what_waits_for_it_does_not_hang(play: Any) -> None:
    """One is released, and resolves one that is running and resolves it."""
    seen: list[Any] = []

    async def main() -> None:
        begun, cleaning = anyio.Event(), anyio.Event()

        def released(ctx: AtomContext) -> str:
            async def clean() -> None:
                cleaning.set()
                await begun.wait()
                seen.append(await outcome(scope.resolve(running)))

            ctx.cleanup(clean)
            return "value"

        async def factory(ctx: AtomContext) -> Any:
            begun.set()
            await cleaning.wait()
            return await ctx.scope.resolve(first)

        scope = Scope()
        first, running = named("a", released), named("b", factory)
        await scope.resolve(first)
        async with anyio.create_task_group() as group:
            group.start_soon(outcome, scope.release(first))
            group.start_soon(outcome, scope.resolve(running))
        # The run that came after the release has this clean-up too.
        await outcome(scope.dispose())

    play(main, Hops(Random(0)))
    assert seen

"""Scenes: what the tests of atoms set up, and look at afterwards.

    noted          an atom that notes its runs and clean-ups: +a1, -a1, +a2
    failing_atom   one whose clean-ups raise
    Held           an atom whose factory goes on when the test lets it
    together       calls made one after the other that then go on side by side
    setting        an event that is set in any case
    outcome        what a call returned, or what it raised
    leaves         the errors that a group is made of

Knows of the atoms only their public words. Start at `noted`.
"""

import functools
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel

from latency_kv.atoms import Atom, AtomContext, atom

# A test that waits longer than this hangs.
PATIENCE_S = 60

# An atom that runs more often is in a loop, which no clock ends: it may never wait.
MOST_RUNS = 20


def named(name: str, factory: Callable[..., Any], *deps: Atom[Any]) -> Atom[Any]:
    """An atom of this name, which errors tell."""
    factory.__name__ = name
    return atom(factory, deps=deps)


def noted(
    log: list[str],
    name: str,
    *deps: Atom[Any],
    then: Callable[[AtomContext], Any] = lambda ctx: None,
) -> Atom[str]:
    """An atom whose values are a1, a2, ...; then is what else its factory does."""
    numbers = itertools.count(1)

    async def factory(ctx: AtomContext, *values: Any) -> str:
        number = next(numbers)
        assert number <= MOST_RUNS, f"{name} runs again and again"
        value = f"{name}{number}"
        log.append(f"+{value}")
        ctx.cleanup(lambda: log.append(f"-{value}"))
        done = then(ctx)
        if isinstance(done, Awaitable):
            await done
        return value

    return named(name, factory, *deps)


def failing(text: str) -> None:
    raise OSError(text)


def failing_atom(log: list[str], name: str, *texts: str) -> Atom[str]:
    """An atom whose clean-ups raise these, and one that does not runs last."""

    def add(ctx: AtomContext) -> None:
        for text in texts:
            ctx.cleanup(functools.partial(failing, text))

    return noted(log, name, then=add)


class Thing:
    """What can be referred to weakly."""


class Held:
    """An atom whose factory waits, and notes how often it began and was cut off."""

    def __init__(self, name: str = "held", *deps: Atom[Any]) -> None:
        self.begun = anyio.Event()
        self.may_end = anyio.Event()
        self.error: Exception | None = None
        self.runs = 0
        self.cut = 0
        self.cleaned = 0
        self.atom: Atom[Any] = named(name, self._factory(), *deps)

    def _factory(self) -> Callable[..., Any]:
        async def factory(ctx: AtomContext, *values: Any) -> int:
            self.runs += 1
            number = self.runs
            ctx.cleanup(self._clean)
            self.begun.set()
            try:
                await self.may_end.wait()
            except BaseException:
                self.cut += 1
                raise
            if self.error is not None:
                raise self.error
            return number

        return factory

    async def end(self) -> None:
        self.may_end.set()

    async def _clean(self) -> None:
        # A shield lets it through, a cancellation that reaches it does not.
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        self.cleaned += 1


@contextmanager
def setting(event: anyio.Event) -> Iterator[None]:
    """Set it at the end, whatever fails before: a shield may be waiting for it."""
    try:
        yield
    finally:
        event.set()


async def outcome(call: Awaitable[Any]) -> Any:
    """What it returns, or the error that it raises, unless that is a test's own."""
    try:
        return await call
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 - told, for the test to judge
        return error


async def together(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """The outcomes of calls of which each begins when all before it wait."""
    outcomes: list[Any] = [None] * len(calls)

    async def keep(index: int) -> None:
        outcomes[index] = await outcome(calls[index]())

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            for index in range(len(calls)):
                group.start_soon(keep, index)
                await anyio.wait_all_tasks_blocked()
    return outcomes


def leaves(error: Any) -> list[BaseException]:
    """The errors that a group is made of, or the only one."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error] if isinstance(error, BaseException) else []


def texts(error: Any) -> list[str]:
    """The messages of its leaves, sorted."""
    return sorted(map(str, leaves(error)))

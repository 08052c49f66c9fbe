"""Actors: tasks that use a scope at random, and are cancelled at random.

    Scene    one schedule: a graph of atoms, a scope, its actors, and how it ends

Factories sleep, fail, resolve others one by one and side by side, and invalidate
themselves and others; so do clean-ups, but for resolving. Everything is chosen by one
Random, and what happens is told to a History, which judges it. Start at `Scene.run`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio

from atoms.history import CleanUpError, FactoryError, History, Run
from latency_kv.atoms import Atom, AtomContext, Scope, atom, tag

NAMES = "abcde"

# How many runs an atom's data has seen.
COUNT = tag("count", type=int)

# How often each is called, of all calls.
METHODS = Counter(resolve=9, invalidate=4, flush=3, release=2, set=2, late=1)
MOST_ACTORS = 4
MOST_CALLS = 6
MOST_STEPS = 3
MOST_CLEAN_UPS = 3

# How a scene ends: its scope is disposed of when all actors have ended; while they go
# on; by leaving its context; by a cancellation, after which it is done again, or not.
ENDS = ["patient", "patient", "early", "context", "cancelled", "abandoned"]

# In virtual seconds, of which a callback takes a thousandth.
SHORT_S = 0.02
LONG_S = 0.2


class Scene:
    """One schedule: what there is, who does what to it, and how it ends."""

    def __init__(self, chance: random.Random, backend: str = "asyncio") -> None:
        self.chance = chance
        self.is_asyncio = backend == "asyncio"
        self.history = History()
        self.scope = Scope()
        self.end = chance.choice(ENDS)
        self.fail_rate = chance.choice([0, 0.1, 0.3])
        self.clean_fail_rate = chance.choice([0, 0, 0.2])
        self.cancel_rate = chance.choice([0, 0.3, 0.6])
        self.mark_rate = chance.choice([0, 0.1, 0.4])
        self.history.is_circular = chance.random() < 0.3
        self.names = NAMES[: chance.randint(1, len(NAMES))]
        self.atoms: dict[str, Atom[Any]] = {}
        self.reach: dict[str, list[str]] = {}
        self.contexts: dict[Run, AtomContext] = {}
        # Of each atom, the run that is in its factory.
        self.active: dict[str, Run] = {}
        self.counts: Counter[str] = Counter()
        for index, name in enumerate(self.names):
            self._add(name, list(self.names[:index]))

    def __str__(self) -> str:
        graph = {
            each.name: [dep.name for dep in each.deps] + [self.reach[each.name]]
            for each in self.atoms.values()
        }
        return f"{self.end}, circular {self.history.is_circular}, {graph}"

    def chosen(self, rate: float) -> bool:
        return self.chance.random() < rate

    def _add(self, name: str, before: list[str]) -> None:
        deps = [other for other in before if self.chosen(0.3)]
        others = list(self.names) if self.history.is_circular else before
        self.reach[name] = [other for other in others if self.chosen(0.4)]
        self.history.edges.update((name, other) for other in deps + self.reach[name])
        factory = self.chance.choice([self._sync, self._async, self._async])(name)
        factory.__name__ = name
        self.atoms[name] = atom(factory, deps=[self.atoms[dep] for dep in deps])

    async def run(self) -> None:
        """Play it to its end; the history is then to be checked."""
        if self.end == "patient":
            await self._act()
        elif self.end == "early":
            async with anyio.create_task_group() as group:
                group.start_soon(self._act)
                await self._pause(LONG_S)
                await self._call("dispose")
        elif self.end == "context":
            await self._in_context()
        elif self.end == "abandoned":
            async with anyio.create_task_group() as group:
                group.start_soon(self._act)
                await self._pause(LONG_S)
                with anyio.move_on_after(self.chance.uniform(0, SHORT_S)):
                    await self._call("dispose")
        else:
            with anyio.move_on_after(self.chance.uniform(0, 2 * LONG_S)):
                async with anyio.create_task_group() as group:
                    group.start_soon(self._act)
                    await self._pause(LONG_S)
                    await self._call("dispose")
        if self.end != "abandoned":
            async with anyio.create_task_group() as group:
                for _ in range(self.chance.randint(1, 2)):
                    group.start_soon(self._call, "dispose")
        for name in self.names:
            for method in ("resolve", "set", "invalidate", "flush"):
                await self._refused(method, name)
        for name, active in self.active.items():
            self.history.complain(f"{active} of {name} is still running")

    async def _in_context(self) -> None:
        """Leave it by its end, by an error or by a cancellation."""
        call = None
        try:
            with anyio.move_on_after(self.chance.uniform(0, 4 * LONG_S)) as span:
                async with self.scope:
                    try:
                        await self._act()
                        if self.chosen(0.3):
                            raise KeyError("the body fails")
                    finally:
                        call = self.history.begin("dispose")
        except Exception as error:  # noqa: BLE001 - for the history
            assert call is not None
            self.history.end(call, "raised", error=_without_body(error))
        else:
            if call is not None:
                self.history.end(
                    call, "cancelled" if span.cancelled_caught else "returned"
                )

    async def _act(self) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(self.chance.randint(1, MOST_ACTORS)):
                group.start_soon(self._actor)

    async def _actor(self) -> None:
        for _ in range(self.chance.randint(1, MOST_CALLS)):
            await self._pause(self.chance.choice([0, SHORT_S, LONG_S]))
            (method,) = self.chance.choices(*zip(*METHODS.items(), strict=True))
            name = self.chance.choice(self.names)
            if method == "invalidate":
                self._invalidate(name)
            elif method == "late":
                self._add_late()
            else:
                await self._call_at_times_cancelled(method, name)

    async def _call_at_times_cancelled(
        self, method: str, name: str, inside: Run | None = None
    ) -> None:
        if not self.chosen(self.cancel_rate):
            await self._call(method, name, inside)
            return
        if self.is_asyncio and self.chosen(0.3):
            task = asyncio.ensure_future(self._call(method, name, inside))
            with anyio.CancelScope(shield=True):
                await self._pause(2 * SHORT_S)
                task.cancel()
                await asyncio.wait([task])
            return
        with anyio.move_on_after(self.chance.uniform(0, 2 * SHORT_S)):
            await self._call(method, name, inside)

    async def _call(
        self,
        method: str,
        name: str = "",
        inside: Run | None = None,
        *,
        is_raising: bool = False,
    ) -> None:
        """Call the scope, and note what comes of it; errors only go on if wanted."""
        call = self.history.begin(method, "" if method == "flush" else name, inside)
        arguments: list[Any] = [self.atoms[name]] if call.name else []
        if method == "set":
            arguments.append(self._set_run(name))
        try:
            result = await getattr(self.scope, method)(*arguments)
        except Exception as error:
            self.history.end(call, "raised", error=error)
            if is_raising:
                raise
        except BaseException as error:
            self.history.end(call, "cancelled")
            if is_raising or not isinstance(error, BaseExceptionGroup):
                raise
            # trio's come with what else was raised meanwhile.
            raise error.split(Exception)[1] or error from None
        else:
            self.history.end(call, "returned", result)
            if method == "set":
                arguments[1].ended = call.ended
            if method == "resolve" and inside is not None and not inside.ended:
                inside.used.append(result)

    async def _refused(self, method: str, name: str) -> None:
        arguments: list[Any] = [self.atoms[name]] if method != "flush" else []
        arguments += ["set"] if method == "set" else []
        try:
            done = getattr(self.scope, method)(*arguments)
            if method != "invalidate":
                await done
        except RuntimeError:
            return
        self.history.complain(f"{method} after the scope was disposed of")

    def _set_run(self, name: str) -> Run:
        runs = self.history.of(name)
        moment = self.history.note(f"set {name}")
        run = Run(name, len(runs) + 1, moment, moment, is_set=True)
        runs.append(run)
        # Until the call has returned nobody can tell.
        run.ended = 1 << 50
        return run

    def _invalidate(self, name: str, by: Run | None = None) -> None:
        is_disposing = self.history.disposing < self.history.moment()
        try:
            if by is not None and by.name == name and by.ended == 0:
                self.contexts[by].invalidate()
            else:
                self.scope.invalidate(self.atoms[name])
        except RuntimeError:
            if not is_disposing:
                raise
        else:
            self.history.mark(name, by)

    def _add_late(self) -> None:
        """Give a run that may be over one more clean-up."""
        run, ctx = self.chance.choice([*self.contexts.items()] or [(None, None)])
        if run is None or ctx is None:
            return
        is_alive = run.is_value and run.pending and run.gone > self.history.moment()
        try:
            self._add_clean_up(run, ctx)
        except RuntimeError:
            if is_alive:
                self.history.complain(f"{run} takes no clean-up")

    # Factories

    def _sync(self, name: str) -> Callable[..., Any]:
        def factory(ctx: AtomContext, *values: Any) -> Run:
            run = self._begin(name, ctx, values)
            try:
                self._do(run, ctx)
            except BaseException as error:
                self._end(run, error)
                raise
            self._end(run)
            return run

        return factory

    def _async(self, name: str) -> Callable[..., Any]:
        async def factory(ctx: AtomContext, *values: Any) -> Run:
            run = self._begin(name, ctx, values)
            try:
                for _ in range(self.chance.randint(0, MOST_STEPS)):
                    await self._step(run)
                    self._do(run, ctx)
            except BaseException as error:
                self._end(run, error)
                raise
            self._end(run)
            return run

        return factory

    def _begin(self, name: str, ctx: AtomContext, values: tuple[Any, ...]) -> Run:
        runs = self.history.of(name)
        number, since = len(runs) + 1, self.history.oldest_open()
        run = Run(name, number, self.history.note(f"run {name}{number}"), since)
        if name in self.active:
            self.history.complain(f"{run} runs beside {self.active[name]}")
        for other in runs:
            if not other.is_clean:
                self.history.complain(f"{run} runs before {other} is cleaned up")
        self._count(run, ctx)
        runs.append(run)
        self.active[name] = run
        self.contexts[run] = ctx
        for dep, value in zip(self.atoms[name].deps, values, strict=True):
            call = self.history.begin("dep", dep.name, run)
            call.at = since
            self.history.end(call, "returned", value)
            run.used.append(value)
        return run

    def _count(self, run: Run, ctx: AtomContext) -> None:
        """Data must have lasted since the last run, unless it was released."""
        seen, expected = ctx.data.get(COUNT, 0), self.counts[run.name]
        last = max(
            (other for other in self.history.of(run.name) if not other.is_set),
            key=lambda other: other.begun,
            default=None,
        )
        releases = [
            call
            for call in self.history.calls_of(run.name, "release")
            if last is not None and call.meets(last.begun, run.begun)
        ]
        may_be = {expected, 0} if releases else {expected}
        for call in releases:
            if last is not None and last.ended < call.at and call.is_over:
                may_be = {0}
        if seen not in may_be:
            self.history.complain(f"data of {run} is {seen}, not in {may_be}")
        self.counts[run.name] = seen + 1
        ctx.data.set(COUNT, seen + 1)

    def _do(self, run: Run, ctx: AtomContext) -> None:
        """What a factory may do without waiting."""
        for _ in range(self.chance.randint(0, MOST_CLEAN_UPS)):
            self._add_clean_up(run, ctx)
        if self.chosen(self.mark_rate):
            self._invalidate(self.chance.choice(self.names), run)
        if self.chosen(self.fail_rate):
            raise self._raised(FactoryError(f"{run}"))

    async def _step(self, run: Run) -> None:
        await self._pause(SHORT_S)
        others = self.reach[run.name]
        if not others or self.chosen(0.3):
            return
        if self.chosen(0.3):
            async with anyio.create_task_group() as group:
                for _ in range(2):
                    other = self.chance.choice(others)
                    group.start_soon(self._resolve, other, run)
        elif self.chosen(0.3):
            await self._call_at_times_cancelled(
                "resolve", self.chance.choice(others), run
            )
        else:
            await self._resolve(self.chance.choice(others), run)

    async def _resolve(self, name: str, run: Run) -> None:
        await self._call("resolve", name, run, is_raising=True)

    def _end(self, run: Run, error: BaseException | None = None) -> None:
        run.error = error
        # Whose repr may tell where an object lies.
        kind = "" if error is None else f": {type(error).__name__}"
        run.ended = self.history.note(f"end {run}{kind}")
        del self.active[run.name]

    def _raised(self, error: Exception) -> Exception:
        self.history.raised[error] = self.history.note(f"raise {error!r}")
        return error

    # Clean-ups

    def _add_clean_up(self, run: Run, ctx: AtomContext) -> None:
        number = self.history.number()

        def clean() -> None:
            self._begin_clean_up(run, number)
            try:
                self._clean(run)
            finally:
                self._end_clean_up(run)

        async def clean_slowly() -> None:
            self._begin_clean_up(run, number)
            try:
                await self._pause(SHORT_S)
                self._clean(run)
            except CleanUpError:
                raise
            except BaseException as error:
                self.history.complain(f"clean-up of {run} is cut off by {error!r}")
                raise
            finally:
                self._end_clean_up(run)

        ctx.cleanup(self.chance.choice([clean, clean_slowly]))
        self.history.note(f"add {number} to {run}")
        run.pending.append(number)
        run.is_watched = True

    def _begin_clean_up(self, run: Run, number: int) -> None:
        moment = self.history.note(f"clean {run} ({number})")
        run.gone = min(run.gone, moment)
        if not run.ended:
            self.history.complain(f"{run} is cleaned up while it runs")
        if run.cleaning:
            self.history.complain(f"two clean-ups of {run} at once")
        if run.pending[-1:] != [number]:
            self.history.complain(f"clean-up {number} of {run}, not of {run.pending}")
        if number in run.pending:
            run.pending.remove(number)
        run.cleaning = number

    def _clean(self, run: Run) -> None:
        if self.chosen(self.mark_rate / 2):
            self._invalidate(self.chance.choice(self.names), run)
        if self.chosen(self.clean_fail_rate):
            raise self._raised(CleanUpError(f"{run}"))

    def _end_clean_up(self, run: Run) -> None:
        run.cleaning = 0
        run.cleaned = self.history.moment()

    async def _pause(self, longest_s: float) -> None:
        await anyio.sleep(self.chance.uniform(0, longest_s))


def _without_body(error: BaseException) -> BaseException | None:
    """What of it the scope raised, and not its body."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(KeyError)[1]
    return None if isinstance(error, KeyError) else error

"""Schedules: one of the many orders in which things may happen, chosen by a seed.

    SeededLoop      an event loop of asyncio: any ready callback may be the next, and
                    where none is ready the clock jumps to the next timer
    Hops            threads without threads, in the place of anyio.to_thread.run_sync
    play            run a coroutine on such a loop, to its end and beyond
    play_on_trio    the same on trio, by its own random scheduler and its MockClock

A run is a function of its seed: nothing waits, no real clock is asked, no thread is
started. A hop does what a thread of anyio's does, in three steps with others between:

    begun    by the thread, unless its future was cancelled before
    done     the function has run, all of it in this one step
    told     the loop hears of it, unless the future was cancelled meanwhile

So a task that asyncio itself cancels leaves its hop behind, and that runs on.

Knows nothing of the package. Start at `play`.
"""

import asyncio
import contextlib
import gc
import heapq
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast
from unittest.mock import patch

import anyio
import anyio.lowlevel
import anyio.to_thread
import trio
import trio.testing
from anyio._backends._asyncio import CancelScope

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# What one callback takes, so that a timer may also come amid work.
STEP_S = 0.001

# A schedule that takes more is in a circle: those of the tests take some hundreds.
MOST_STEPS = 100_000

# Of trio's clock, longer than any schedule's timers together.
END_OF_TIME_S = 300.0

# Of one step of a hop: at once, after a few callbacks of others, after many.
DELAYS_S = (0.0, 5 * STEP_S, 60 * STEP_S)


class ScheduleError(AssertionError):
    """A schedule that cannot go on, or left something behind."""


class SeededTask(asyncio.Task[T]):
    """A task whose hash is a number, not an address.

    Whoever cancels a set of tasks then does so in the same order in every run.
    """

    def __init__(self, number: int, coroutine: Any, **options: Any) -> None:
        self.number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self.number


class SeededLoop(asyncio.BaseEventLoop):
    """Runs ready callbacks one at a time, in any order or in asyncio's own.

    complaints are what asyncio would have logged, such as errors nobody asked for.
    """

    # Of the base class, which documents neither.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, chance: random.Random, *, is_shuffled: bool = True) -> None:
        super().__init__()
        self.chance = chance
        self.is_shuffled = is_shuffled
        self.now = 0.0
        self.steps = 0
        self.is_in_hop = False
        self.complaints: list[str] = []
        self._task_numbers = itertools.count(1)
        self.set_exception_handler(self._complain)
        self.set_task_factory(self._task)

    def time(self) -> float:
        return self.now

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        assert not self.is_in_hop, "a thread would have to use call_soon_threadsafe"
        return super().call_soon(callback, *args, context=context)

    def run_in_executor(
        self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        raise ScheduleError("no schedule can tell when an executor's thread runs")

    def is_idle(self) -> bool:
        """Whether nothing is left to run, now or later."""
        handles = [*self._ready, *self._scheduled]
        return all(handle.cancelled() for handle in handles)

    def run_on(self, hops: "Hops") -> None:
        """Run what the end of the last task set off, and hops that nobody waits for."""
        asyncio._set_running_loop(self)
        try:
            while self._ready or hops.running:
                self._run_once()
        finally:
            asyncio._set_running_loop(None)

    def _run_once(self) -> None:
        ready, timers = self._ready, self._scheduled
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        if not ready:
            if not timers:
                raise ScheduleError(f"deadlock: {_waiting(self)}")
            self.now = max(self.now, timers[0].when())
        while timers and timers[0].when() <= self.now:
            ready.append(heapq.heappop(timers))
        index = self.chance.randrange(len(ready)) if self.is_shuffled else 0
        handle = ready[index]
        del ready[index]
        if not handle.cancelled():
            self.now += STEP_S
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise ScheduleError(f"no end after {self.steps} steps: {handle}")
            handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are thrown away when their time has come."""

    def _write_to_self(self) -> None:
        """Nothing sleeps that another thread would have to wake."""

    def _task(self, loop: Any, coroutine: Any, **options: Any) -> SeededTask[Any]:
        return SeededTask(next(self._task_numbers), coroutine, loop=loop, **options)

    def _complain(self, loop: Any, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context['message']}: {context.get('exception')!r}")


class Hops:
    """Runs functions inline, as late as a thread might, in a seeded order.

    Put `run_sync` in the place of anyio.to_thread.run_sync; `touch` is for what stands
    in for the disk, and notes two hops on one name that would have run side by side.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.running = 0
        # No loop waits for those that still run.
        self.is_over = False
        self.complaints: list[str] = []
        self._moment = 0
        # When the hop began that is being done; 0 outside of any.
        self._begun_at = 0
        # Of each name, when it was touched last, and by the hop that began when.
        self._touched: dict[str, tuple[int, int]] = {}

    async def run_sync(
        self,
        function: Callable[..., T],
        *arguments: Any,
        abandon_on_cancel: bool = False,
        cancellable: bool | None = None,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> T:
        """What anyio's own does, down to its first checkpoint and its shield."""
        assert cancellable is None, "anyio calls it deprecated"
        call = _Call(self, function, arguments)
        await anyio.lowlevel.checkpoint()
        async with limiter or anyio.to_thread.current_default_thread_limiter():
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                await call.on_trio()
            else:
                with anyio.CancelScope(shield=not abandon_on_cancel):
                    await call.on_asyncio(cast(SeededLoop, loop))
        return cast(T, call.result)

    def touch(self, name: str) -> None:
        """Note that this step uses what has this name, which one hop may at a time."""
        last, by = self._touched.get(name, (0, 0))
        if self.is_over:
            self.complaints.append(f"{name} is used after the end")
        if not self._begun_at:
            self.complaints.append(f"{name} is used on the event loop itself")
        elif by != self._begun_at and last > self._begun_at:
            self.complaints.append(f"two threads use {name} at once")
        self._touched[name] = self._next_moment(), self._begun_at

    def check(self) -> None:
        """Raise ScheduleError for what was wrong about any hop."""
        if self.complaints:
            raise ScheduleError("; ".join(self.complaints))

    def delay(self) -> float:
        longest = self.chance.choice(DELAYS_S)
        return longest and self.chance.uniform(0, longest)

    def _next_moment(self) -> int:
        self._moment += 1
        return self._moment


class _Call:
    """One function on its way through a hop."""

    def __init__(
        self, hops: Hops, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        self.hops = hops
        self.function = function
        self.arguments = arguments
        self.begun_at = 0
        self.result: Any = None
        self.error: BaseException | None = None

    async def on_asyncio(self, loop: SeededLoop) -> None:
        future: asyncio.Future[None] = loop.create_future()
        context = copy_context()

        def begin() -> None:
            if not future.cancelled():
                self.begin()
                loop.call_later(self.hops.delay(), finish)

        def finish() -> None:
            asyncio._set_running_loop(None)
            loop.is_in_hop = True
            try:
                self.finish(context)
            finally:
                loop.is_in_hop = False
                asyncio._set_running_loop(loop)
            wait_for(tell)

        def tell() -> None:
            if future.cancelled():
                return
            if self.error is None:
                future.set_result(None)
            else:
                future.set_exception(self.error)

        def wait_for(step: Callable[[], None]) -> None:
            timer = loop.call_later(self.hops.delay(), step)
            future.add_done_callback(lambda _: timer.cancel())

        wait_for(begin)
        await future

    async def on_trio(self) -> None:
        """There a hop that has begun is always waited for."""
        with anyio.CancelScope(shield=True):
            await anyio.sleep(self.hops.delay())
            self.begin()
            await anyio.sleep(self.hops.delay())
            self.finish(copy_context())
            await anyio.sleep(self.hops.delay())
        if self.error is not None:
            raise self.error

    def begin(self) -> None:
        self.begun_at = self.hops._next_moment()
        self.hops.running += 1

    def finish(self, context: Context) -> None:
        self.hops._begun_at = self.begun_at
        try:
            self.result = context.run(self.function, *self.arguments)
        except BaseException as error:  # noqa: BLE001 - the caller's, as with threads
            self.error = error
        finally:
            self.hops._begun_at = 0
            self.hops.running -= 1


@contextlib.contextmanager
def hops_instead_of_threads(hops: Hops) -> Iterator[None]:
    """Put them in the place of anyio's threads."""
    real = anyio.to_thread.run_sync
    anyio.to_thread.run_sync = hops.run_sync  # type: ignore[assignment]
    try:
        yield
    finally:
        anyio.to_thread.run_sync = real


def play(
    function: Callable[[], Coroutine[Any, Any, None]],
    hops: Hops,
    *,
    is_shuffled: bool = True,
) -> None:
    """Run the coroutine on a SeededLoop; nothing may be left when it ends.

    ScheduleError for a deadlock, a circle, and whatever is left: tasks, timers, hops,
    and errors that nobody has seen.
    """
    loop = SeededLoop(hops.chance, is_shuffled=is_shuffled)
    try:
        # A set then keeps cancel scopes in an order of its own, not of their addresses.
        in_order = patch.object(CancelScope, "__hash__", lambda scope: 0)
        with hops_instead_of_threads(hops), in_order:
            loop.run_until_complete(function())
            _check_left(loop, hops)
    finally:
        # A schedule that failed leaves its tasks where they are.
        loop.set_exception_handler(lambda loop, context: None)
        for task in asyncio.all_tasks(loop):
            cast(Any, task)._log_destroy_pending = False
        loop.close()


def play_on_trio(function: Callable[[], Awaitable[None]], hops: Hops) -> None:
    """Run the coroutine function on trio, in an order that is the seed's too."""
    scheduler = cast(Any, trio)._core._run
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    state = scheduler._r.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(hops.chance.getrandbits(32))
    try:
        with hops_instead_of_threads(hops):
            clock = trio.testing.MockClock(autojump_threshold=0)
            trio.run(_guarded, function, clock=clock)
        hops.check()
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before
        scheduler._r.setstate(state)


async def _guarded(function: Callable[[], Awaitable[None]]) -> None:
    """Run it; stop it where all wait for ever, which to trio is no reason to."""

    async def guard() -> None:
        await trio.sleep(END_OF_TIME_S)
        _unshield(cast(Any, trio.lowlevel.current_root_task())._cancel_status)
        raise ScheduleError("deadlock: all wait")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(guard)
        await function()
        nursery.cancel_scope.cancel()


def _unshield(status: Any) -> None:
    status._scope.shield = False
    for child in list(status._children):
        _unshield(child)


def _check_left(loop: SeededLoop, hops: Hops) -> None:
    tasks = asyncio.all_tasks(loop)
    if tasks:
        raise ScheduleError(f"tasks are left: {_waiting(loop)}")
    hops.is_over = True
    loop.run_on(hops)
    # An error that nobody asked for is told when its task goes, which is in a circle.
    gc.collect(1)
    hops.check()
    if not loop.is_idle():
        raise ScheduleError(f"timers are left: {loop._scheduled}")
    if loop.complaints:
        raise ScheduleError("; ".join(loop.complaints))


def _waiting(loop: SeededLoop) -> str:
    tasks = asyncio.all_tasks(loop)
    return "; ".join(f"{task.get_name()}: {_place(task.get_coro())}" for task in tasks)


def _place(coroutine: Any) -> str:
    """Where a coroutine waits, from the outside in."""
    places = []
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        coroutine = coroutine.cr_await
    return " > ".join(places)

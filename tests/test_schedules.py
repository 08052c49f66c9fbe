"""Schedules: a seed repeats, what hangs is seen, and hops do as anyio's threads do.

What schedules find nothing wrong with is proved only as far as these hold.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from random import Random

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from schedules import STEP_S, Hops, ScheduleError, play, play_on_trio

# A test that waits longer than this hangs.
PATIENCE_S = 60

PLAYS = pytest.mark.parametrize("play", [play, play_on_trio])


def order(seed: int, playing: Callable[..., None] = play) -> list[int]:
    """The order in which five tasks come to take their steps, hops among them."""
    steps: list[int] = []
    hops = Hops(Random(seed))

    async def walk(number: int) -> None:
        for _ in range(3):
            steps.append(number)
            await anyio.lowlevel.checkpoint()
            await anyio.to_thread.run_sync(steps.append, number)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(walk, number)

    playing(main, hops)
    hops.check()
    return steps


@PLAYS
def test_seed_repeats_its_schedule_and_others_differ(play: Callable[..., None]) -> None:
    orders = [order(seed, play) for seed in range(20)]
    assert orders == [order(seed, play) for seed in range(20)]
    assert len(set(map(tuple, orders))) > 10


def test_order_of_asyncio_is_kept_where_nothing_is_shuffled() -> None:
    calls: list[int] = []

    async def main() -> None:
        for number in range(10):
            asyncio.get_running_loop().call_soon(calls.append, number)
        await asyncio.sleep(1)

    play(main, Hops(Random(0)), is_shuffled=False)
    assert calls == sorted(calls)


def test_clock_jumps_over_waits_and_ticks_with_each_step() -> None:
    async def main() -> None:
        began = anyio.current_time()
        await anyio.sleep(80_000)
        assert 80_000 <= anyio.current_time() - began < 80_000 + 10 * STEP_S
        with anyio.move_on_after(10 * STEP_S) as scope:
            while True:
                await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught

    play(main, Hops(Random(0)))


@PLAYS
def test_deadlock_is_seen_behind_a_shield_too(play: Callable[..., None]) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.Event().wait)
            with anyio.CancelScope(shield=True):
                await anyio.Event().wait()

    with pytest.raises((ScheduleError, ExceptionGroup)) as caught:
        play(main, Hops(Random(0)))
    error: BaseException = caught.value
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert "deadlock" in str(error)


def test_circle_is_seen() -> None:
    async def main() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(ScheduleError, match="no end"):
        play(main, Hops(Random(0)))


def test_tasks_timers_and_errors_that_are_left_are_seen() -> None:
    tasks = []

    async def leave_task() -> None:
        tasks.append(asyncio.ensure_future(asyncio.sleep(5)))
        await asyncio.sleep(1)

    async def leave_timer() -> None:
        asyncio.get_running_loop().call_later(5, list)

    async def fail() -> None:
        raise ValueError("nobody asks")

    async def leave_error() -> None:
        asyncio.ensure_future(fail())
        await asyncio.sleep(1)

    for main, left in (
        (leave_task, "tasks are left"),
        (leave_timer, "timers are left"),
        (leave_error, "nobody asks"),
    ):
        with pytest.raises(ScheduleError, match=left):
            play(main, Hops(Random(0)))


def test_two_hops_on_one_name_at_once_are_seen() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(anyio.to_thread.run_sync, hops.touch, name)

    names = ["alarm", "clock"]
    hops = Hops(Random(0))
    play(main, hops)
    names = ["clock", "clock"]
    complaints = []
    for seed in range(20):
        hops = Hops(Random(seed))
        with contextlib.suppress(ScheduleError):
            play(main, hops)
        complaints += hops.complaints
    assert set(complaints) == {"two threads use clock at once"}


def test_use_on_the_loop_or_of_the_loop_is_seen() -> None:
    async def touch() -> None:
        hops.touch("clock")

    async def set_event() -> None:
        task = asyncio.ensure_future(event.wait())
        await anyio.sleep(1)
        await anyio.to_thread.run_sync(event.set)
        await task

    hops, event = Hops(Random(0)), asyncio.Event()
    with pytest.raises(ScheduleError, match="on the event loop itself"):
        play(touch, hops)
    with pytest.raises(AssertionError, match="call_soon_threadsafe"):
        play(set_event, Hops(Random(0)))


class SlowHops(Hops):
    """Their steps are so far apart that others surely come between."""

    def delay(self) -> float:
        return 100 * STEP_S


class Work:
    """What a thread or a hop does, and what is seen of it and its caller, in order."""

    def __init__(self, hops: Hops | None) -> None:
        self.hops = hops
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.seen: list[str] = []

    def __call__(self) -> None:
        self.begun.set()
        # A hop does everything in one step, and cannot be held.
        assert self.hops or self.may_end.wait(PATIENCE_S)
        self.seen.append("worked")

    async def call(self) -> None:
        try:
            await anyio.to_thread.run_sync(self)
        except BaseException:
            self.seen.append("cancelled")
            raise
        self.seen.append("returned")

    async def wait_begun(self) -> None:
        while not (self.hops.running if self.hops else self.begun.is_set()):
            await anyio.sleep(STEP_S)

    async def cancel_by_scope(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.call)
            await self.wait_begun()
            group.cancel_scope.cancel()
            self.may_end.set()
        self.seen.append("went on")

    async def cancel_by_asyncio(self) -> None:
        task = asyncio.ensure_future(self.call())
        await self.wait_begun()
        task.cancel()
        await asyncio.wait([task])
        self.seen.append("went on")
        self.may_end.set()
        while "worked" not in self.seen:
            await anyio.sleep(STEP_S)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cancel_by_scope", ["worked", "returned", "went on"]),
        ("cancel_by_asyncio", ["cancelled", "went on", "worked"]),
    ],
)
def test_hops_are_cancelled_as_threads_are(kind: str, expected: list[str]) -> None:
    """By a scope after the work; by asyncio itself at once, and the work goes on."""
    work = Work(None)
    anyio.run(getattr(work, kind))
    assert work.seen == expected
    for seed in range(20):
        hops = SlowHops(Random(seed))
        work = Work(hops)
        play(getattr(work, kind), hops)
        assert work.seen == expected

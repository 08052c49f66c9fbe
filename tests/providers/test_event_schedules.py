"""Schedules: PyeeEventBus keeps its promise in whatever order things happen.

    every handler subscribed at the moment of an emit, and not taken off before its
    turn, hears it exactly once, in order of subscription

A schedule is one seed: some actors who subscribe, leave and emit, and ears that do the
same amid hearing, fail, or are cancelled. A model keeps who is subscribed; each call of
a handler is compared with whose turn it is. Start at `Emission`.
"""

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from latency_kv.facets.event_bus import EventHandler, Unsubscribe
from latency_kv.providers.events import PyeeEventBus
from schedules import Hops, play, play_on_trio

# Of each kind, in `make test` and in `make check`.
ON_ASYNCIO = 1_500, 100_000
ON_TRIO = 300, 20_000

# How many run in asyncio's own order, first in, first out.
UNSHUFFLED_RATE = 0.2

EVENTS = ["sold", "error", "new_listener"]
EAR_COUNT = 6
MOST_ACTORS = 4
MOST_DEEDS = 16
MOST_DEPTH = 3

# In virtual seconds, of which a callback takes a thousandth.
LONGEST_S = 0.03

# How often each is done, of all that actors do and of all that is done amid hearing.
OF_ACTORS = Counter(on=6, off=1, unsubscribe=1, emit=4, emit_in_scope=3, rest=2)
OF_ACTORS_NATIVELY = OF_ACTORS + Counter(emit_in_task=3)
OF_EARS = Counter(nothing=8, fail=2, leave=1, off=2, unsubscribe=2, on=2)
OF_SLOW_EARS = OF_EARS + Counter(rest=8, emit=2)
STOP_RATE = 0.02

# What a run of many schedules has to meet, or it shows little.
WANTED = [
    "heard",
    "skipped",
    "failed",
    "cancelled",
    "stopped",
    "nested",
    "side by side",
    "known already",
    "too late",
]


class Trouble(Exception):
    """An ear's own."""


class Stop(BaseException):
    """What is no Exception, and no cancellation either."""


@dataclass(eq=False)
class Place:
    """A subscription, as the model has it."""

    event: str
    ear: "Ear"
    is_live: bool = True


@dataclass(eq=False)
class Emission:
    """One emit: whose turn is when, and whether it goes so.  Its own payload."""

    scene: "Scene"
    depth: int
    turns: deque[Place]
    is_running: bool = False
    # What ended it early, as the handler raised it.
    ended_by: BaseException | None = None

    @contextmanager
    def heard_by(self, ear: "Ear") -> Iterator[None]:
        """Around what a handler does; the bus would swallow an assertion."""
        self.scene.expect(not self.is_running, f"{ear} begins before another's end")
        self.scene.expect(self.ended_by is None, f"{ear} hears what is over")
        turn = self.turn()
        self.scene.expect(
            turn is not None and turn.ear is ear, f"{ear} hears in the turn of {turn}"
        )
        self.is_running = True
        self.scene.seen["heard"] += 1
        try:
            yield
        except Exception as error:
            self.scene.failures.append(error)
            raise
        except BaseException as error:
            self.ended_by = error
            raise
        finally:
            self.is_running = False

    def turn(self) -> Place | None:
        """Whose turn it is now; those that have left have none."""
        while self.turns:
            place = self.turns.popleft()
            if place.is_live:
                return place
            self.scene.seen["skipped"] += 1
        return None


@dataclass(eq=False)
class Ear:
    """A handler of some kind, that is the same one in every subscription."""

    scene: "Scene"
    number: int
    kind: str
    handler: EventHandler = field(init=False)

    def __post_init__(self) -> None:
        self.handler = KINDS[self.kind](self)

    def __repr__(self) -> str:
        return f"ear {self.number} ({self.kind})"

    def hear(self, emission: Emission) -> None:
        with emission.heard_by(self):
            self.scene.do_amid(self, emission, OF_EARS)

    async def hear_slowly(self, emission: Emission) -> None:
        with emission.heard_by(self):
            for _ in range(self.scene.chance.randint(1, 2)):
                await self.scene.do_amid_slowly(self, emission)

    def promise(self, emission: Emission) -> Awaitable[None]:
        return Promise(self.hear_slowly(emission))

    async def hear_with(self, number: int, emission: Emission) -> None:
        await self.hear_slowly(emission)


@dataclass
class Object:
    """A callable without a hash, and equal to all that are like it."""

    ear: Ear = field(compare=False)

    async def __call__(self, emission: Emission) -> None:
        await self.ear.hear_slowly(emission)


class Promise:
    """An awaitable that is no coroutine."""

    def __init__(self, work: Awaitable[None]) -> None:
        self.work = work

    def __await__(self) -> Generator[Any, Any, None]:
        return self.work.__await__()


KINDS: dict[str, Callable[[Ear], EventHandler]] = {
    "method": lambda ear: ear.hear,
    "slow method": lambda ear: ear.hear_slowly,
    "promise": lambda ear: ear.promise,
    "partial": lambda ear: partial(ear.hear_with, 7),
    "object": Object,
}


class Scene:
    """A bus with its actors and ears, and the model of it."""

    def __init__(self, chance: random.Random, backend: str) -> None:
        self.chance = chance
        self.backend = backend
        self.bus = PyeeEventBus()
        kinds = list(KINDS)
        self.ears = [Ear(self, n, chance.choice(kinds)) for n in range(EAR_COUNT)]
        self.lines: dict[str, list[Place]] = {event: [] for event in EVENTS}
        self.handles: list[tuple[Unsubscribe, Place]] = []
        self.emitting: Counter[str] = Counter()
        self.failures: list[Exception] = []
        self.complaints: list[str] = []
        self.seen: Counter[str] = Counter()
        self.is_quiet = False

    def expect(self, is_so: bool, complaint: str) -> None:
        if not is_so:
            self.complaints.append(complaint)

    async def run(self) -> None:
        with logged() as records:
            async with anyio.create_task_group() as group:
                for _ in range(self.chance.randint(1, MOST_ACTORS)):
                    group.start_soon(self.act)
            self.is_quiet = True
            for event in EVENTS:
                await self.emit(event)
        assert not self.complaints, self.complaints
        errors = [record.exc_info and record.exc_info[1] for record in records]
        assert errors == self.failures

    async def act(self) -> None:
        deeds = OF_ACTORS_NATIVELY if self.backend == "asyncio" else OF_ACTORS
        for _ in range(self.chance.randint(1, MOST_DEEDS)):
            try:
                await self.do(self.choose(deeds))
            except Stop:
                self.seen["stopped"] += 1

    async def do(self, deed: str) -> None:
        match deed:
            case "rest":
                await self.rest()
            case "emit":
                await self.emit(self.chance.choice(EVENTS))
            case "emit_in_scope":
                with anyio.move_on_after(self.chance.uniform(0, LONGEST_S)) as scope:
                    await self.emit(self.chance.choice(EVENTS))
                self.seen["cancelled"] += scope.cancelled_caught
            case "emit_in_task":
                task = asyncio.ensure_future(self.emit(self.chance.choice(EVENTS)))
                await self.rest()
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    self.seen["cancelled"] += 1
            case _:
                self.change(deed)

    def do_amid(self, ear: Ear, emission: Emission, deeds: Counter[str]) -> None:
        """Do what a handler can do that is not async."""
        if self.is_quiet:
            return
        if self.chance.random() < STOP_RATE:
            raise Stop
        match self.choose(deeds):
            case "nothing":
                pass
            case "fail":
                self.seen["failed"] += 1
                raise Trouble(ear)
            case "leave":
                for event in EVENTS:
                    self.off(event, ear)
            case deed:
                self.change(deed)

    async def do_amid_slowly(self, ear: Ear, emission: Emission) -> None:
        deed = self.choose(OF_SLOW_EARS)
        if self.is_quiet or deed not in ("rest", "emit"):
            self.do_amid(ear, emission, OF_EARS)
        elif deed == "rest":
            await self.rest()
        elif emission.depth < MOST_DEPTH:
            self.seen["nested"] += 1
            await self.emit(self.chance.choice(EVENTS), emission.depth + 1)

    def change(self, deed: str) -> None:
        event, ear = self.chance.choice(EVENTS), self.chance.choice(self.ears)
        if deed == "on":
            self.on(event, ear)
        elif deed == "off":
            self.off(event, ear)
        elif self.handles:
            unsubscribe, place = self.chance.choice(self.handles)
            self.seen["too late"] += not place.is_live
            unsubscribe()
            self.end(place)

    def on(self, event: str, ear: Ear) -> None:
        unsubscribe = self.bus.on(event, ear.handler)
        place = self.place_of(event, ear)
        self.seen["known already"] += place is not None
        if place is None:
            place = Place(event, ear)
            self.lines[event].append(place)
        self.handles.append((unsubscribe, place))

    def off(self, event: str, ear: Ear) -> None:
        self.bus.off(event, ear.handler)
        place = self.place_of(event, ear)
        if place is not None:
            self.end(place)

    def end(self, place: Place) -> None:
        if place.is_live:
            place.is_live = False
            self.lines[place.event].remove(place)

    def place_of(self, event: str, ear: Ear) -> Place | None:
        return next((p for p in self.lines[event] if p.ear is ear), None)

    async def emit(self, event: str, depth: int = 0) -> None:
        emission = Emission(self, depth, deque(self.lines[event]))
        self.seen["side by side"] += self.emitting[event] > 0
        self.emitting[event] += 1
        try:
            await self.bus.emit(event, emission)
        except BaseException as error:
            self.expect(error is emission.ended_by, f"emit raised {error!r}")
            raise
        else:
            self.expect(emission.ended_by is None, "emit went on after an end")
            turn = emission.turn()
            self.expect(turn is None, f"{turn} heard nothing")
        finally:
            self.expect(not emission.is_running, "emit left a handler behind")
            self.emitting[event] -= 1

    async def rest(self) -> None:
        await anyio.sleep(self.chance.uniform(0, LONGEST_S))

    def choose(self, deeds: Counter[str]) -> str:
        return self.chance.choices(list(deeds), list(deeds.values()))[0]


@contextmanager
def logged() -> Iterator[list[logging.LogRecord]]:
    """What the bus logs, and nobody else shall see: it is thousands."""
    records: list[logging.LogRecord] = []
    logger = logging.getLogger("latency_kv.events")

    def keep(record: logging.LogRecord) -> bool:
        records.append(record)
        return False

    logger.addFilter(keep)
    try:
        yield records
    finally:
        logger.removeFilter(keep)


def play_scene(seed: int, node: str, backend: str) -> Counter[str]:
    """Play one schedule; return what was met in it."""
    chance = random.Random(seed)
    hops = Hops(chance)
    scene = Scene(chance, backend)
    try:
        if backend == "trio":
            play_on_trio(scene.run, hops)
        else:
            is_shuffled = chance.random() > UNSHUFFLED_RATE
            play(scene.run, hops, is_shuffled=is_shuffled)
    except BaseException as error:
        error.add_note(f"repeat with: LATENCY_KV_SEED={seed} python -m pytest '{node}'")
        raise
    return scene.seen


def play_all(seeds: Iterable[int], node: str, backend: str) -> None:
    seen: Counter[str] = Counter()
    for seed in seeds:
        seen += play_scene(seed, node, backend)
    assert all(seen[what] for what in WANTED), seen


def test_any_schedule_keeps_the_promise(
    seed: int, full: bool, request: pytest.FixtureRequest
) -> None:
    play_all(range(seed, seed + ON_ASYNCIO[full]), request.node.nodeid, "asyncio")


def test_any_schedule_of_trio_keeps_the_promise(
    seed: int, full: bool, request: pytest.FixtureRequest
) -> None:
    play_all(range(seed, seed + ON_TRIO[full]), request.node.nodeid, "trio")

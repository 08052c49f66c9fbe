"""Schedules: a manager keeps its promises in whatever order tasks use it.

A schedule is one seed: plugins at random (graphs.py), actors that load and unload them
and are cancelled, on a loop that chooses what runs next (schedules.py). A schedule that
fails says how to repeat it: with its own seed, the first of the run. Start at `Scene`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from latency_kv.errors import (
    AmbiguousFacetError,
    CircularDependencyError,
    FacetNotFoundError,
    MissingDependencyError,
    PluginError,
    PluginHookError,
    PluginInUseError,
)
from latency_kv.plugins.context import PluginContext
from latency_kv.plugins.manifest import PluginManifest
from plugins.graphs import graph, register_hosts_own
from plugins.noted import Host, Noted, leaves
from schedules import Hops, play, play_on_trio

# Of each kind, in `make test` and in `make check`.
ON_ASYNCIO = 300, 40_000
ON_TRIO = 150, 8_000

# To be seen what they do at all.
SURVEYED = 200

# How many run in asyncio's own order, first in, first out.
UNSHUFFLED_RATE = 0.2

CALLS = Counter(load=8, load_all=4, unload=7, unload_all=2, unregister=2, register=2)
MOST_ACTORS = 4
MOST_CALLS = 6
MOST_PLUGINS = 6
MOST_STEPS = 2

# How a scene goes on while its actors act, and how it ends.
ENDS = ["patient", "patient", "early", "leave", "leave cancelled"]

# In virtual seconds, of which a callback takes a thousandth.
SHORT_S = 0.02
LONG_S = 0.2
END_OF_SCENE_S = 100 * LONG_S

NEVER = 1 << 60

# What a plugin may be kept from loading by.
KEPT_BY = (
    MissingDependencyError,
    CircularDependencyError,
    AmbiguousFacetError,
    PluginHookError,
    PluginError,
)


class TroubleError(Exception):
    """A plugin's own."""


@dataclass(eq=False)
class Span:
    """When a plugin was active: from the end of one hook to the begin of the other."""

    id: str
    on: int
    off: int = NEVER

    def meets(self, begun: int, ended: int) -> bool:
        return self.on <= ended and begun <= self.off


class Performer(Noted):
    """A plugin that takes its time and fails at random."""

    def __init__(self, scene: "Scene", manifest: PluginManifest) -> None:
        super().__init__(
            scene.host.journal, manifest.id, manifest.provides, manifest.requires
        )
        self.scene = scene

    async def activate(self, context: PluginContext) -> None:
        scene = self.scene
        with scene.in_hook(f"+{self.id}"):
            self.is_owing = scene.chosen(scene.fail_rate / 2)
            scene.expect(self.span is None, f"{self.id} is active already")
            servers = self.ask(context)
            await scene.pause()
            await super().activate(context)
            await scene.pause()
            if scene.chosen(scene.fail_rate):
                raise TroubleError(self.id)
            if scene.chosen(0.2):
                # One that does not notice that it is cancelled.
                with anyio.CancelScope(shield=True):
                    await scene.pause()
            scene.expect(self.ask(context) == servers, f"{self.id} has other servers")
        if not (self.is_owing and self.manifest.provides):
            scene.spans.append(Span(self.id, scene.moment()))

    async def deactivate(self) -> None:
        scene = self.scene
        with scene.in_hook(f"-{self.id}"):
            span = self.span
            scene.expect(span is not None, f"{self.id} is not active")
            self.ask(self.context)
            try:
                await scene.pause()
                await super().deactivate()
                await scene.pause()
            except BaseException as error:
                scene.complain(f"deactivation of {self.id} got {error!r}")
                raise
            self.ask(self.context)
            if span is not None:
                span.off = scene.moment()
            if scene.chosen(scene.fail_rate):
                raise TroubleError(self.id)

    def ask(self, context: PluginContext) -> list[str | None]:
        """Who serves this plugin; each must be active, or the host."""
        servers = []
        for each in self.manifest.requires:
            ask = context.optional if each.optional else context.require
            try:
                found = ask(each.facet, each.qualifier)
            except FacetNotFoundError as error:
                self.scene.complain(f"{self.id}: {error}")
                continue
            server = None if found is None else found.partition("'")[0]
            is_there = server in ("host", None) or self.scene.span_of(server)
            self.scene.expect(bool(is_there), f"{self.id}: {server} is not active")
            # What is not bound is looked up, and comes and goes.
            servers.append(server if server in context.dependencies else None)
        return servers

    @property
    def span(self) -> Span | None:
        return self.scene.span_of(self.id)


class Scene:
    """One schedule: plugins, who loads and unloads them, and how it ends."""

    def __init__(self, chance: random.Random, *, is_native: bool) -> None:
        self.chance = chance
        self.is_native = is_native
        self.host = Host()
        self.end = chance.choice(ENDS)
        self.fail_rate = chance.choice([0, 0, 0.1, 0.3])
        self.cancel_rate = chance.choice([0, 0.3, 0.6])
        self.spans: list[Span] = []
        self.hook = ""
        # How many are under way.
        self.calls = 0
        # When each was registered last.
        self.registered: dict[str, int] = {}
        self.seen: Counter[str] = Counter()
        self.lines: list[str] = []
        self.complaints: list[str] = []
        self._moment = 0
        register_hosts_own(self.host.registry)
        self.before = [*self.host.registry]
        ids = [f"p{number}" for number in range(chance.randint(1, MOST_PLUGINS))]
        self.manifests = {
            each.id: each
            for each in graph(chance, ids, is_layered=chance.random() < 0.8)
        }
        for id in self.manifests:
            self.register(id)

    def __str__(self) -> str:
        return "\n".join([self.end, *map(str, self.manifests.values()), *self.lines])

    def moment(self) -> int:
        self._moment += 1
        return self._moment

    def chosen(self, rate: float) -> bool:
        return self.chance.random() < rate

    def note(self, what: str) -> int:
        moment = self.moment()
        self.lines.append(f"{moment:4} {what}")
        return moment

    def complain(self, what: str) -> None:
        self.complaints.append(what)
        self.note(f"WRONG: {what}")

    def expect(self, is_true: bool, what: str) -> None:
        if not is_true:
            self.complain(what)

    def span_of(self, id: str | None) -> Span | None:
        for span in self.spans:
            if span.id == id and span.off == NEVER:
                return span
        return None

    @contextmanager
    def in_hook(self, name: str) -> Iterator[None]:
        """Around a hook; one runs at a time."""
        self.note(name)
        self.expect(not self.hook, f"{name} begins while {self.hook} runs")
        self.hook = name
        try:
            yield
        except BaseException as error:
            self.note(f"{name} ends with {error!r}")
            raise
        else:
            self.note(f"{name} ends")
        finally:
            self.hook = ""

    async def pause(self) -> None:
        for _ in range(self.chance.randint(0, MOST_STEPS)):
            await anyio.sleep(self.chance.uniform(0, SHORT_S))

    def register(self, id: str) -> None:
        performer = Performer(self, self.manifests[id])
        self.host.plugins.register(performer)
        self.host.noted[id] = performer
        self.registered[id] = self.moment()

    def is_registered_since(self, id: str, moment: int) -> bool:
        return id in self.host.noted and self.registered[id] < moment

    # How it goes

    async def run(self) -> None:
        """Play it to its end; nothing may be left then, and nothing wrong."""
        plugins = self.host.plugins
        if self.end == "patient":
            await self.act()
        elif self.end == "early":
            async with anyio.create_task_group() as group:
                group.start_soon(self.act)
                await anyio.sleep(self.chance.uniform(0, LONG_S))
                await self.call("unload_all")
        else:
            limit = LONG_S if self.end == "leave cancelled" else END_OF_SCENE_S
            with suppress(PluginError, ExceptionGroup):
                with anyio.move_on_after(self.chance.uniform(0, limit)):
                    async with plugins:
                        await self.act()
            self.expect(plugins.loaded == (), "left, and still loaded")
        await self.call("unload_all")
        self.expect(plugins.loaded == (), f"{plugins.loaded} are left")
        self.expect([*self.host.registry] == self.before, "providers are left")
        self.expect(await self.host.hearing() == set(), "handlers are left")
        self.expect(
            all(span.off != NEVER for span in self.spans), "one was not deactivated"
        )

    async def act(self) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(self.chance.randint(1, MOST_ACTORS)):
                group.start_soon(self.actor)

    async def actor(self) -> None:
        for _ in range(self.chance.randint(1, MOST_CALLS)):
            await anyio.sleep(self.chance.choice([0, SHORT_S, LONG_S]))
            (name,) = self.chance.choices(*zip(*CALLS.items(), strict=True))
            id = self.chance.choice([*self.manifests])
            if name == "register":
                if id not in self.host.noted:
                    self.register(id)
            elif name == "unregister":
                self.unregister(id)
            else:
                await self.call_at_times_cancelled(name, id)
            self.look_around()

    def unregister(self, id: str) -> None:
        try:
            self.host.plugins.unregister(id)
        except PluginError:
            self.seen["unregister refused"] += 1
        else:
            self.seen["unregister"] += 1
            self.note(f"unregister {id}")
            self.expect(self.span_of(id) is None, f"{id} was loaded")
            del self.host.noted[id]

    def look_around(self) -> None:
        """What holds at any time."""
        loaded = self.host.loaded
        self.expect(tuple(self.host.plugins.contexts) == loaded, "other contexts")
        for id in loaded:
            self.expect(id in self.host.noted, f"{id} is loaded, and unknown")
        if not self.calls:
            active = {span.id for span in self.spans if span.off == NEVER}
            self.expect({*loaded} == active, f"{loaded} are loaded, {active} active")

    async def call_at_times_cancelled(self, name: str, id: str) -> None:
        if not self.chosen(self.cancel_rate):
            await self.call(name, id)
        elif not self.is_native or self.chosen(0.5):
            with anyio.move_on_after(self.chance.uniform(0, 3 * SHORT_S)):
                await self.call(name, id)
        else:
            task = asyncio.create_task(self.call(name, id))
            for _ in range(self.chance.randint(1, 3)):
                with anyio.CancelScope(shield=True):
                    await asyncio.sleep(self.chance.uniform(0, 2 * SHORT_S))
                task.cancel()
            with anyio.CancelScope(shield=True), suppress(asyncio.CancelledError):
                await task

    async def call(self, name: str, id: str = "") -> None:
        """Call the manager, and judge what comes of it."""
        arguments = () if "all" in name else (id,)
        begun = self.note(f"{name} {id} begins")
        known = [*self.host.noted]
        self.calls += 1
        error: BaseException | None = None
        try:
            await getattr(self.host.plugins, name)(*arguments)
        except Exception as caught:  # noqa: BLE001 - judged below
            error = caught
        except BaseException:
            self.seen[f"{name} cancelled"] += 1
            self.note(f"{name} {id} is cancelled")
            raise
        finally:
            self.calls -= 1
        ended = self.note(f"{name} {id} ends: {error!r}")
        self.seen[f"{name} raised" if error else f"{name} returned"] += 1
        for leaf in leaves(error):
            self.seen[type(leaf).__name__] += 1
            self.judge_error(name, id, leaf, begun, ended)
        if error is None:
            self.judge_return(name, id, known, begun, ended)

    def judge_error(
        self, name: str, id: str, leaf: BaseException, begun: int, ended: int
    ) -> None:
        is_load = name.startswith("load")
        if isinstance(leaf, PluginInUseError):
            spans = [s for s in self.spans if s.id in leaf.dependants]
            is_right = name == "unload" and {s.id for s in spans} == {*leaf.dependants}
            is_right = is_right and all(
                any(s.meets(begun, ended) for s in spans if s.id == user)
                for user in leaf.dependants
            )
        elif isinstance(leaf, PluginHookError):
            hook = "activate" if is_load else "deactivate"
            is_right = leaf.hook == hook and isinstance(leaf.__cause__, TroubleError)
        elif is_load:
            is_right = isinstance(leaf, KEPT_BY)
        else:
            is_right = type(leaf) is PluginError and name == "unload"
        self.expect(is_right, f"{name} {id} may not raise {leaf!r}")

    def judge_return(
        self, name: str, id: str, known: list[str], begun: int, ended: int
    ) -> None:
        if name == "load":
            ids = [id]
        else:
            ids = [id for id in known if self.is_registered_since(id, begun)]
        for each in ids:
            spans = [span for span in self.spans if span.id == each]
            if name.startswith("load"):
                was_there = any(span.meets(begun, ended) for span in spans)
                self.expect(was_there, f"{each} was not loaded")
            elif name == "unload_all" or each == id:
                early = [span for span in spans if span.on < begun]
                is_over = all(span.off < ended for span in early)
                self.expect(is_over, f"{each} was not unloaded")


@contextmanager
def told(seed: int, node: str, scene: Scene) -> Iterator[None]:
    """Add to what is raised how to see it again, and what was seen."""
    try:
        yield
        assert not scene.complaints, "\n".join(scene.complaints)
    except BaseException as error:
        command = f"LATENCY_KV_SEED={seed} python -m pytest '{node}'"
        error.add_note(f"repeat with: {command}")
        error.add_note(str(scene))
        raise


def play_scene(seed: int, node: str, *, backend: str = "asyncio") -> Scene:
    chance = random.Random(seed)
    hops = Hops(chance)
    scene = Scene(chance, is_native=backend == "asyncio")
    with told(seed, node, scene):
        if backend == "trio":
            play_on_trio(scene.run, hops)
        else:
            is_shuffled = chance.random() > UNSHUFFLED_RATE
            play(scene.run, hops, is_shuffled=is_shuffled)
    return scene


@pytest.mark.parametrize(
    ("backend", "counts"),
    [("asyncio", ON_ASYNCIO), ("trio", ON_TRIO)],
    ids=["asyncio", "trio"],
)
def test_any_schedule_keeps_the_promises(
    backend: str,
    counts: tuple[int, int],
    seed: int,
    full: bool,
    request: pytest.FixtureRequest,
) -> None:
    for number in range(seed, seed + counts[full]):
        play_scene(number, request.node.nodeid, backend=backend)


def test_schedules_do_all_that_is_to_be_judged(
    seed: int, request: pytest.FixtureRequest
) -> None:
    """What never happens is kept by any promise."""
    seen: Counter[str] = Counter()
    for number in range(seed, seed + SURVEYED):
        seen += play_scene(number, request.node.nodeid).seen
    wanted: list[Any] = [
        f"{name} {outcome}"
        for name in ("load", "load_all", "unload", "unload_all")
        for outcome in ("returned", "raised", "cancelled")
    ]
    wanted += ["unregister", "unregister refused"]
    wanted += ["PluginHookError", "MissingDependencyError", "PluginInUseError"]
    wanted += ["CircularDependencyError", "PluginError"]
    for name in wanted:
        assert seen[name] > 0, name

"""Model: a manager in use at random, against what must be the case after each call.

Without circles the model says who is loaded and whom each is bound to; with circles it
says what must be true of whoever is loaded, and of what the others are told. Schedules
of several tasks are in test_manager_schedules.py. Start at `Life`.
"""

import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import anyio.lowlevel
import pytest

from latency_kv.errors import (
    CircularDependencyError,
    MissingDependencyError,
    PluginError,
    PluginHookError,
    PluginInUseError,
)
from latency_kv.plugins.context import PluginContext
from latency_kv.plugins.manifest import FacetProvision, FacetRequirement, PluginManifest
from plugins.graphs import HOSTS_OWN, graph, matches, reach, register_hosts_own
from plugins.noted import Host, Noted, leaves

pytestmark = pytest.mark.anyio

# Lives of a host, in `make test` and in `make check`.
LIVES = 200, 8_000
MOST_PLUGINS = 8
MOST_CALLS = 10

# How often each is done, of all calls.
CALLS = Counter(load=5, load_all=3, unload=5, unload_all=1, exchange=2, unregister=1)

# What an activation may do, how often in a host that has failures.
DEEDS = Counter(work=6, fail=2, owe=1)


class TroubleError(Exception):
    """A plugin's own."""


class Server(NamedTuple):
    """Who may serve a requirement; the host, or a plugin by its id."""

    id: str
    priority: int


class Player(Noted):
    """A plugin that notes who serves it, and fails when the life says so."""

    def __init__(self, life: "Life", manifest: PluginManifest) -> None:
        super().__init__(
            life.journal, manifest.id, manifest.provides, manifest.requires
        )
        self.life = life
        self.first = self.begin
        self.last = self.end
        # Of each requirement, who served it at the activation.
        self.servers: dict[FacetRequirement, str | None] = {}

    def begin(self, context: PluginContext) -> None:
        life = self.life
        self.servers = {each: self.ask(context, each) for each in self.requires}
        for server in self.servers.values():
            life.expect(
                server in {*life.active, "host", None}, f"{self.id}: {server} is not on"
            )
        life.expect(self.id not in life.active, f"{self.id} is active already")
        if self.id in life.failing:
            raise TroubleError(self.id)
        if not self.is_owing:
            life.active.append(self.id)

    async def end(self) -> None:
        life = self.life
        for requirement, server in self.servers.items():
            if server is not None:
                again = self.ask(self.context, requirement)
                life.expect(again == server, f"{self.id}: {server} is now {again}")
            life.expect(
                server in {*life.active, "host", None}, f"{self.id}: {server} is off"
            )
        await anyio.lowlevel.checkpoint()
        life.expect(life.active[-1] == self.id or life.is_single, "not in reverse")
        life.active.remove(self.id)
        if self.id in life.failing_at_end:
            raise TroubleError(self.id)

    @property
    def requires(self) -> tuple[FacetRequirement, ...]:
        return self.manifest.requires

    @staticmethod
    def ask(context: PluginContext, requirement: FacetRequirement) -> str | None:
        ask = context.optional if requirement.optional else context.require
        found = ask(requirement.facet, requirement.qualifier)
        return None if found is None else found.partition("'")[0]


class Life:
    """A host, what its plugins would do, and what the model has of it."""

    def __init__(self, chance: random.Random, *, is_layered: bool) -> None:
        self.chance = chance
        self.is_layered = is_layered
        self.host = Host()
        self.journal = self.host.journal
        self.has_failures = chance.random() < 0.7
        self.active: list[str] = []
        self.failing: set[str] = set()
        self.failing_at_end: set[str] = set()
        # Whether one plugin is unloaded, not all.
        self.is_single = False
        self.complaints: list[str] = []
        self.lines: list[str] = []
        register_hosts_own(self.host.registry)
        self.before = [*self.host.registry]
        count = chance.randint(1, MOST_PLUGINS)
        for manifest in graph(
            chance, [f"p{n}" for n in range(count)], is_layered=is_layered
        ):
            self.register(manifest)

    def __str__(self) -> str:
        return "\n".join(
            [*(str(each.manifest) for each in self.host.noted.values()), *self.lines]
        )

    def expect(self, is_true: bool, what: str) -> None:
        """Hooks complain here: what they raise is the manager's to deal with."""
        if not is_true:
            self.complaints.append(what)

    def register(self, manifest: PluginManifest) -> None:
        player = Player(self, manifest)
        self.host.plugins.register(player)
        # At the end: in the order of registration.
        self.host.noted.pop(manifest.id, None)
        self.host.noted[manifest.id] = player

    def players(self) -> dict[str, Player]:
        return {
            id: each for id, each in self.host.noted.items() if type(each) is Player
        }

    async def run(self) -> Iterator[str]:
        done = []
        for _ in range(self.chance.randint(1, MOST_CALLS)):
            (name,) = self.chance.choices(*zip(*CALLS.items(), strict=True))
            self.decide_who_fails()
            done.append(await getattr(self, name)())
            await self.check()
        self.is_single = False
        done.append(await self.unload_all())
        await self.check()
        assert self.host.loaded == ()
        assert [*self.host.registry] == self.before
        assert await self.host.hearing() == set()
        return iter(done)

    def decide_who_fails(self) -> None:
        self.failing.clear()
        self.failing_at_end.clear()
        for id, player in self.players().items():
            if id in self.host.loaded:
                if self.has_failures and self.chance.random() < 0.2:
                    self.failing_at_end.add(id)
                continue
            (deed,) = self.chance.choices(*zip(*DEEDS.items(), strict=True))
            deed = deed if self.has_failures else "work"
            player.is_owing = deed == "owe" and bool(player.manifest.provides)
            if deed == "fail":
                self.failing.add(id)

    def fails(self, id: str) -> bool:
        return id in self.failing or self.players()[id].is_owing

    async def call(self, what: str, doing: Awaitable[None]) -> BaseException | None:
        error: BaseException | None = None
        try:
            await doing
        except Exception as caught:  # noqa: BLE001 - for the model to judge
            error = caught
        self.lines.append(f"{what}: {error!r} -> {self.host.loaded}")
        assert not self.complaints, "\n".join(self.complaints)
        return error

    # Calls

    async def load(self) -> str:
        before = self.host.loaded
        id = self.chance.choice([*self.host.noted, "unknown"])
        mark = len(self.journal)
        can = id in self.players() and self.can(id)
        error = await self.call(f"load {id}", self.host.plugins.load(id))
        if id == "unknown":
            assert type(error) is PluginError and self.host.loaded == before
            return "unknown"
        self.expect_bound(before)
        assert (error is None) == (id in self.host.loaded)
        if self.is_layered:
            assert (error is None) == can
        if id in before:
            assert len(self.journal) == mark
        concerned = reach([each.manifest for each in self.players().values()], id)
        assert {text[1:] for text in self.journal[mark:]} <= concerned
        if error is not None:
            self.expect_told(id, error)
        return "load" if error is None else "load fails"

    async def load_all(self) -> str:
        before = self.host.loaded
        can = {id for id in self.players() if self.can(id)}
        error = await self.call("load_all", self.host.plugins.load_all())
        self.expect_bound(before)
        if self.is_layered:
            assert {*self.host.loaded} == can
        circles = [x for x in leaves(error) if isinstance(x, CircularDependencyError)]
        for circle in circles:
            self.expect_circle(circle)
        told = {getattr(leaf, "plugin_name", "") for leaf in leaves(error)} - {""}
        told.update(id for circle in circles for id in circle.path)
        assert told == {*self.players()} - {*self.host.loaded}
        for id in told:
            self.expect_told(id, error)
        assert (
            len([*leaves(error)]) == 1
            or error is None
            or (isinstance(error, ExceptionGroup))
        )
        return "circle" if circles else "load_all" if error is None else "all fails"

    async def unload(self) -> str:
        self.is_single = True
        id = self.chance.choice([*self.host.noted, "unknown"])
        before = self.host.loaded
        users = {
            user
            for user in before
            if id in self.players()[user].servers.values() and user != id
        }
        error = await self.call(f"unload {id}", self.host.plugins.unload(id))
        self.is_single = False
        if id not in before:
            assert type(error) is PluginError
            assert self.host.loaded == before
            return "not loaded"
        if users:
            assert isinstance(error, PluginInUseError)
            assert {*error.dependants} == users
            assert self.host.loaded == before
            return "in use"
        assert self.host.loaded == tuple(each for each in before if each != id)
        assert [*map(type, leaves(error))] == (
            [PluginHookError] if id in self.failing_at_end else []
        )
        return "unload" if error is None else "unload fails"

    async def unload_all(self) -> str:
        before, mark = self.host.loaded, len(self.journal)
        error = await self.call("unload_all", self.host.plugins.unload_all())
        assert self.host.loaded == ()
        assert self.journal[mark:] == [f"-{id}" for id in reversed(before)]
        told = [x for x in leaves(error) if isinstance(x, PluginHookError)]
        assert {each.plugin_name for each in told} == {*before} & self.failing_at_end
        assert len(told) == len([*leaves(error)])
        assert all(each.hook == "deactivate" for each in told)
        return "unload_all"

    async def unregister(self) -> str:
        id = self.chance.choice([*self.host.noted, "unknown"])
        if id == "unknown" or id in self.host.loaded:
            with pytest.raises(PluginError):
                self.host.plugins.unregister(id)
            return "kept"
        self.host.plugins.unregister(id)
        del self.host.noted[id]
        self.lines.append(f"unregister {id}")
        if not self.host.noted:
            self.register(graph(self.chance, [id], is_layered=self.is_layered)[0])
        return "unregister"

    async def exchange(self) -> str:
        """Put another plugin of its id in the place of one; what it provides is kept."""
        free = [id for id in self.host.noted if id not in self.host.loaded]
        if not free:
            return "nobody"
        id = self.chance.choice(free)
        self.host.plugins.unregister(id)
        old = self.host.noted.pop(id)
        self.register(old.manifest)
        self.lines.append(f"exchange {id}")
        return "exchange"

    # The model

    def can(self, id: str) -> bool:
        """Whether the plugin can be loaded now; of a graph without circles."""
        if not self.is_layered:
            return False
        player = self.players()[id]
        return id in self.host.loaded or (
            not self.fails(id)
            and all(
                each.optional or [*self.servers_of(id, each)]
                for each in player.requires
            )
        )

    def servers_of(
        self,
        id: str,
        requirement: FacetRequirement,
        among: Callable[[str], bool] | None = None,
    ) -> Iterator[Server]:
        """Who may serve a plugin's requirement, of those who can be loaded."""
        for facet, qualifier, priority in HOSTS_OWN:
            if facet == requirement.facet and requirement.qualifier in (
                None,
                qualifier,
            ):
                yield Server("host", priority)
        for giver, provision in self.provisions():
            is_fit = giver.id != id and matches(giver, provision, requirement)
            if is_fit and (among or self.can)(giver.id):
                yield Server(giver.id, provision.priority)

    def provisions(self) -> Iterator[tuple[PluginManifest, FacetProvision]]:
        for player in self.players().values():
            for provision in player.manifest.provides:
                yield player.manifest, provision

    def expect_bound(self, before: tuple[str, ...]) -> None:
        """Everybody who came is bound to one of the best, everybody else as before."""
        loaded = self.host.loaded
        assert loaded[: len(before)] == before
        assert [*loaded] == self.active
        for id in loaded[len(before) :]:
            player = self.players()[id]
            assert {*player.context.dependencies} == {
                server for server in player.servers.values() if server
            } - {"host"}
            for requirement, server in player.servers.items():
                earlier = loaded[: loaded.index(id)]
                assert server in {*earlier, "host"} or requirement.optional
                if not self.is_layered:
                    continue
                possible = [*self.servers_of(id, requirement)]
                best = max((each.priority for each in possible), default=None)
                assert server in {
                    each.id for each in possible if each.priority == best
                } or (server is None and best is None)

    def expect_circle(self, circle: CircularDependencyError) -> None:
        path, players = circle.path, self.players()
        assert path[0] == path[-1] and len({*path}) == len(path) - 1
        for taker, giver in itertools.pairwise(path):
            assert any(
                matches(players[giver].manifest, provision, requirement)
                for provision in players[giver].manifest.provides
                for requirement in players[taker].requires
            ), circle
        assert not {*path} & {*self.host.loaded}

    def expect_told(self, id: str, error: BaseException | None) -> None:
        """What is told of a plugin that is not loaded is so, and is all."""
        missing: set[tuple[str, str | None]] = set()
        kinds: set[type] = set()
        for leaf in leaves(error):
            if isinstance(leaf, CircularDependencyError) and id in leaf.path:
                kinds.add(CircularDependencyError)
            elif getattr(leaf, "plugin_name", "") == id:
                kinds.add(type(leaf))
            if isinstance(leaf, MissingDependencyError) and leaf.plugin_name == id:
                missing.add((leaf.facet, leaf.qualifier))
        # Who serves nobody but itself may lack other facets too.
        assert len(kinds - {CircularDependencyError}) <= 1 and kinds, (id, error)
        player = self.players()[id]
        for facet, qualifier in missing:
            assert f'No provider found for facet "{facet}"' in str(error) or (
                isinstance(error, ExceptionGroup)
            )
            requirement = FacetRequirement(facet, qualifier)
            assert requirement in player.requires
            left = self.servers_of(id, requirement, self.host.loaded.__contains__)
            assert not [*left]
        if not self.is_layered:
            return
        unserved = {
            (each.facet, each.qualifier)
            for each in player.requires
            if not each.optional and not [*self.servers_of(id, each)]
        }
        nobodys = {
            (facet, qualifier)
            for facet, qualifier in unserved
            if not [*self.servers_of(id, FacetRequirement(facet, qualifier), bool)]
        }
        # Whom a provider leaves may be told so only for one of its facets.
        assert nobodys <= missing <= unserved
        assert bool(missing) == bool(unserved)
        if not unserved:
            hook = PluginHookError if id in self.failing else PluginError
            assert kinds == {hook}

    async def check(self) -> None:
        await self.host.check()
        assert [*self.host.loaded] == self.active
        assert not self.complaints, "\n".join(self.complaints)
        expected = {(facet, qualifier): "host" for facet, qualifier, _ in HOSTS_OWN}
        for giver, provision in self.provisions():
            if giver.id in self.host.loaded:
                key = provision.facet, giver.qualifier_of(provision)
                expected[key] = f"{giver.id}'s {provision.facet}"
        assert self.host.provided == expected
        for id in self.host.loaded:
            player = self.players()[id]
            assert player.context.get_plugin(id) is player
            for requirement, server in player.servers.items():
                if server is not None:
                    assert player.ask(player.context, requirement) == server


async def live(seed: int, node: str, *, is_layered: bool) -> Any:
    life = Life(random.Random(seed), is_layered=is_layered)
    try:
        return await life.run()
    except BaseException as error:
        command = f"LATENCY_KV_SEED={seed} python -m pytest '{node}'"
        error.add_note(f"repeat with: {command}")
        error.add_note(str(life))
        raise


@pytest.mark.parametrize("is_layered", [True, False], ids=["layers", "circles"])
async def test_any_life_is_as_the_model_has_it(
    is_layered: bool, seed: int, full: bool, request: pytest.FixtureRequest
) -> None:
    node = request.node.nodeid
    for number in range(seed, seed + LIVES[full]):
        await live(number, node, is_layered=is_layered)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_lives_do_all_that_is_to_be_judged(
    anyio_backend: str, seed: int, request: pytest.FixtureRequest
) -> None:
    """What never happens is as any model has it."""
    seen: Counter[str] = Counter()
    for number in range(seed, seed + LIVES[0]):
        for is_layered in (True, False):
            done = await live(number, request.node.nodeid, is_layered=is_layered)
            seen.update(done)
    for name in (
        *("load", "load fails", "load_all", "all fails", "circle", "unknown"),
        *("unload", "unload fails", "in use", "not loaded", "unload_all"),
        *("unregister", "kept", "exchange"),
    ):
        assert seen[name] > 0, name

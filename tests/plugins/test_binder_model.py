"""Binder against a model: random manifests, and what any reader of its rules expects.

The model knows sets and nothing of rounds: who can be served is the largest set of
plugins each of which is served by another of the set or by the host.  What is bound is
then activated in its order, and every plugin asks for what it requires.
"""

from itertools import combinations, pairwise
from random import Random
from typing import Any, NamedTuple

from latency_kv.errors import (
    AmbiguousFacetError,
    CircularDependencyError,
    DuplicatePluginError,
    FacetNotFoundError,
    PluginError,
)
from latency_kv.plugins.binder import BindConfig, Binder, BindResult
from latency_kv.plugins.context import Activation
from latency_kv.plugins.manifest import FacetProvision, FacetRequirement
from latency_kv.plugins.registry import FacetRegistry
from plugins.hosts import Plugin, plugin

IDS = "abcde"
FACETS = "XYZ"
QUALIFIERS = (None, None, None, "a", "b", "q")


class Server(NamedTuple):
    """Who provides a facet: a plugin, or the host; provider is what it provides."""

    qualifier: str | None
    priority: int
    plugin_name: str | None
    provider: str


class Scene:
    """Random plugins, registrations and choices."""

    def __init__(self, random: Random) -> None:
        self.registry = FacetRegistry()
        # Every other scene has facets that only one plugin provides, and so circles.
        self.is_tight = random.random() < 0.5
        for n in range(0 if self.is_tight else random.choice([0, 1, 2, 4])):
            facet, qualifier = random.choice(FACETS), random.choice(QUALIFIERS)
            self.registry.register(
                facet, f"host's {n}", qualifier, random.randrange(-1, 3)
            )
        self.plugins = [
            plugin(id, self.provisions(random, id), self.requirements(random))
            for id in self.ids(random)
        ]
        self.config = BindConfig(
            random.choice(["first", "highest-priority", "explicit"]),
            self.choices(random),
            {id: self.choices(random) for id in random.sample(IDS, 2)},
        )

    def ids(self, random: Random) -> list[str]:
        ids = random.sample(IDS, k=random.randrange(1, 6))
        return ids if random.random() < 0.9 else [*ids, random.choice(ids)]

    def provisions(self, random: Random, id: str) -> list[FacetProvision]:
        if self.is_tight:
            return [FacetProvision(id.upper(), None, random.randrange(3))]
        made: dict[tuple[str, str], FacetProvision] = {}
        for _ in range(random.choice([0, 1, 1, 1, 2])):
            facet, qualifier = random.choice(FACETS), random.choice(QUALIFIERS)
            provision = FacetProvision(facet, qualifier, random.randrange(3))
            made.setdefault((facet, qualifier or id), provision)
        return list(made.values())

    def requirements(self, random: Random) -> list[FacetRequirement]:
        made: dict[tuple[str, str | None], FacetRequirement] = {}
        for _ in range(random.choice([0, 1, 1, 2])):
            facet, qualifier = random.choice(FACETS), random.choice(QUALIFIERS)
            if self.is_tight:
                facet, qualifier = random.choice(IDS).upper(), None
            requirement = FacetRequirement(facet, qualifier, random.random() < 0.25)
            made.setdefault((facet, qualifier), requirement)
        return list(made.values())

    def choices(self, random: Random) -> dict[str, str | None]:
        if random.random() < 0.7:
            return {}
        return {random.choice(FACETS): random.choice(QUALIFIERS)}


class Model:
    """What has to come of a scene."""

    def __init__(self, scene: Scene) -> None:
        self.config = scene.config
        self.host = [
            (each.facet, Server(each.qualifier, each.priority, None, each.provider))
            for each in scene.registry
        ]
        self.refused: list[type[Exception]] = []
        self.admitted: list[Plugin] = []
        hosts = {(facet, each.qualifier) for facet, each in self.host}
        for each in scene.plugins:
            taken = hosts.union(*map(self.keys, self.admitted))
            if any(each.manifest.id == p.manifest.id for p in self.before(scene, each)):
                self.refused.append(DuplicatePluginError)
            elif clashes := taken & set(self.keys(each)):
                self.refused += [PluginError] * len(clashes)
            else:
                self.admitted.append(each)

    def before(self, scene: Scene, plugin: Plugin) -> list[Plugin]:
        place = next(n for n, each in enumerate(scene.plugins) if each is plugin)
        return scene.plugins[:place]

    def keys(self, plugin: Plugin) -> list[tuple[str, str | None]]:
        id = plugin.manifest.id
        return [(each.facet, each.qualifier or id) for each in plugin.manifest.provides]

    def servers(
        self, plugin: Plugin, need: FacetRequirement, among: list[Plugin]
    ) -> list[Server]:
        """All who could serve a need: the host's first, then the plugins' in order."""
        theirs = [
            Server(
                each.qualifier or other.manifest.id,
                each.priority,
                other.manifest.id,
                f"{other.manifest.id}'s {each.facet}:{each.qualifier}",
            )
            for other in among
            if other is not plugin
            for each in other.manifest.provides
            if each.facet == need.facet
        ]
        hosts = [each for facet, each in self.host if facet == need.facet]
        wanted: Any = need.qualifier
        if wanted is None:
            own = self.config.explicit_for.get(plugin.manifest.id, {})
            choices = {**self.config.explicit, **own}
            wanted = choices.get(need.facet, ...)
        return [each for each in hosts + theirs if wanted in (..., each.qualifier)]

    def server(
        self, plugin: Plugin, need: FacetRequirement, among: list[Plugin]
    ) -> Server | None:
        servers = self.servers(plugin, need, among)
        if self.config.strategy == "highest-priority":
            servers.sort(key=lambda each: -each.priority)
        return servers[0] if servers else None

    def is_torn(self, plugin: Plugin) -> bool:
        return self.config.strategy == "explicit" and any(
            len(self.servers(plugin, need, self.admitted)) > 1
            for need in plugin.manifest.requires
        )

    def is_served(self, plugin: Plugin, among: list[Plugin]) -> bool:
        return all(
            need.optional or self.servers(plugin, need, among)
            for need in plugin.manifest.requires
        )

    def served(self, without: set[str]) -> list[Plugin]:
        """The largest set in which everybody is served: any other is part of it."""
        able = [
            each
            for each in self.admitted
            if each.manifest.id not in without and not self.is_torn(each)
        ]
        for size in range(len(able), 0, -1):
            for among in map(list, combinations(able, size)):
                if all(self.is_served(each, among) for each in among):
                    return among
        return []

    def needs(self, plugin: Plugin, among: list[Plugin]) -> set[str]:
        servers = [
            self.server(plugin, need, among) for need in plugin.manifest.requires
        ]
        return {each.plugin_name for each in servers if each and each.plugin_name}

    def has_circle(self, among: list[Plugin]) -> bool:
        graph = {each.manifest.id: self.needs(each, among) for each in among}
        while free := [name for name, needs in graph.items() if not needs & set(graph)]:
            for name in free:
                del graph[name]
        return bool(graph)


def circles(result: BindResult) -> list[tuple[str, ...]]:
    """The paths of the circles of several plugins."""
    paths = [
        problem.error.path
        for problem in result.errors
        if isinstance(problem.error, CircularDependencyError)
    ]
    return [path for path in paths if len(path) > 2]


def check(scene: Scene) -> None:
    model = Model(scene)
    before = list(scene.registry)
    result = Binder().bind(scene.plugins, scene.registry, scene.config)
    assert [id(each) for each in scene.registry] == [id(each) for each in before]

    in_circles = {name for path in circles(result) for name in path}
    expected = model.served(in_circles)
    assert set(result.contexts) == {each.manifest.id for each in expected}
    assert bool(circles(result)) == model.has_circle(model.served(set()))
    assert not model.has_circle(expected)
    by_id = {each.manifest.id: each for each in model.admitted}
    for path in circles(result):
        assert path[0] == path[-1]
        assert len(set(path)) == len(path) - 1
        for name, server in pairwise(path):
            assert any(
                each.plugin_name == server
                for need in by_id[name].manifest.requires
                for each in model.servers(by_id[name], need, model.admitted)
            )

    # Whoever has no context is told of; of the others only what is worth a look.
    told = {problem.plugin_name for problem in result.errors} | in_circles
    assert told >= {each.manifest.id for each in scene.plugins} - set(result.contexts)
    assert result.success == (not result.errors)
    assert result.success == (len(result.contexts) == len(scene.plugins))
    kinds = [type(problem.error) for problem in result.errors]
    refused = [kind for kind in kinds if kind in (DuplicatePluginError, PluginError)]
    assert refused == model.refused
    assert kinds.count(AmbiguousFacetError) >= sum(map(model.is_torn, model.admitted))
    assert {type(problem.error) for problem in result.warnings} <= {
        FacetNotFoundError,
        type(None),
    }

    check_activation(scene, model, expected, result)
    assert [id(each) for each in scene.registry] == [id(each) for each in before]


def check_activation(
    scene: Scene, model: Model, expected: list[Plugin], result: BindResult
) -> None:
    """In the order of the result, everybody gets whom the model says."""
    assert sorted(result.order) == sorted(result.contexts)
    ready: list[str] = []
    for name in result.order:
        # Of those that need nobody any more, the one that was given first.
        free = [
            each.manifest.id
            for each in expected
            if each.manifest.id not in ready
            and model.needs(each, expected) <= set(ready)
        ]
        assert name == free[0]
        ready.append(name)

    activations = []
    for name in result.order:
        context = result.contexts[name]
        activation = Activation(context)
        activations.append(activation)
        own = next(each for each in expected if each.manifest.id == name)
        assert set(activation.dependencies) == model.needs(own, expected)
        with activation.opened():
            for _ in range(2):
                for need in context.manifest.requires:
                    server = model.server(own, need, expected)
                    if server is not None:
                        found = context.require(need.facet, need.qualifier)
                        assert found == server.provider
                # Once more with what it provides itself, which changes nothing.
                for each in context.manifest.provides:
                    context.provide(
                        each.facet,
                        f"{name}'s {each.facet}:{each.qualifier}",
                        each.qualifier,
                    )
        assert activation.unprovided == ()
    for activation in reversed(activations):
        activation.close()


def test_binding_is_what_the_model_says(seed: int, full: bool) -> None:
    random = Random(seed)
    successes = circular = 0
    for _ in range(20_000 if full else 800):
        scene = Scene(random)
        check(scene)
        result = Binder().bind(scene.plugins, scene.registry, scene.config)
        successes += result.success
        circular += bool(circles(result))
    # Else the scenes would be too poor to show anything; it is some 170 and 55.
    assert successes > 50
    assert circular > 10

"""PluginManager: who is loaded, in which order, and what keeps a plugin from it.

Unloading has test_manager_unloading.py, several tasks and cancellations have
test_manager_tasks.py. Plugins and host are those of noted.py.
"""

import re
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from itertools import permutations
from types import MappingProxyType
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from latency_kv.errors import (
    AmbiguousFacetError,
    CircularDependencyError,
    DuplicatePluginError,
    FacetNotFoundError,
    MissingDependencyError,
    PluginError,
    PluginHookError,
)
from latency_kv.plugins.binder import BindConfig
from latency_kv.plugins.context import PluginContext
from latency_kv.plugins.manager import Plugin, PluginManager
from latency_kv.plugins.manifest import FacetProvision, FacetRequirement, PluginManifest
from plugins.hosts import manifest
from plugins.noted import Host, Noted, kept, leaves, optional

pytestmark = pytest.mark.anyio

# Plugin -> what it provides, what it requires; each with a facet of its own name.
GRAPHS: dict[str, dict[str, str]] = {
    "chain": {"a": "", "b": "a", "c": "b"},
    "fork": {"a": "", "b": "a", "c": "a"},
    "join": {"a": "", "b": "", "c": "ab"},
    "diamond": {"a": "", "b": "a", "c": "a", "d": "bc"},
    "shortcut": {"a": "", "b": "a", "c": "ab"},
}

CIRCLES = {
    "self": ({"a": "a"}, "a -> a"),
    "two": ({"a": "b", "b": "a"}, "a -> b -> a"),
    "three": ({"a": "b", "b": "c", "c": "a"}, "a -> b -> c -> a"),
}


class TroubleError(Exception):
    """A plugin's own."""


class Halt(BaseException):
    """What is no Exception, and no cancellation either."""


def fail(*_: object) -> None:
    raise TroubleError("no luck")


async def fail_later(*_: object) -> None:
    await anyio.lowlevel.checkpoint()
    raise TroubleError("no luck")


@pytest.fixture
def host() -> Host:
    return Host()


def add_graph(host: Host, graph: dict[str, str]) -> None:
    for id, needs in graph.items():
        host.add(id, [id.upper()], [need.upper() for need in needs])


async def raised_by(doing: Awaitable[None]) -> BaseException | None:
    """What an operation of the manager raises, an ExceptionGroup as it is."""
    try:
        await doing
    except Exception as error:  # noqa: BLE001 - for the test to look at
        return error
    return None


# Registering


async def test_register_runs_nothing(host: Host) -> None:
    host.add("a", ["X"])
    assert host.journal == []
    assert host.loaded == ()
    assert host.provided == {}
    assert dict(host.plugins.contexts) == {}


async def test_second_plugin_of_an_id_is_refused(host: Host) -> None:
    first = host.add("a")
    with pytest.raises(DuplicatePluginError) as caught:
        host.plugins.register(Noted([], "a"))
    assert str(caught.value) == "plugin 'a': a plugin of this id is registered already"
    assert caught.value.plugin_name == "a"
    with pytest.raises(DuplicatePluginError):
        host.plugins.register(first)
    await host.plugins.load_all()
    assert host.journal == ["+a"]


async def test_second_plugin_of_a_loaded_id_is_refused(host: Host) -> None:
    host.add("a")
    await host.plugins.load("a")
    with pytest.raises(DuplicatePluginError):
        host.plugins.register(Noted([], "a"))


class NoManifest:
    def activate(self, context: PluginContext) -> None: ...


class OddManifest(NoManifest):
    manifest = MappingProxyType({"id": "a", "version": "1.0.0", "name": "a"})


class NoHook:
    manifest = PluginManifest("a", "1.0.0", "a")


@pytest.mark.parametrize("made", [object, NoManifest, OddManifest])
async def test_what_has_no_manifest_is_refused(host: Host, made: type) -> None:
    with pytest.raises((TypeError, AttributeError)):
        host.plugins.register(made())
    await host.plugins.load_all()
    assert host.loaded == ()


async def test_what_cannot_be_activated_is_not_loaded(host: Host) -> None:
    with pytest.raises((TypeError, AttributeError, PluginHookError)):
        host.plugins.register(NoHook())  # type: ignore[arg-type]
        await host.plugins.load("a")
    assert host.loaded == ()


async def test_noted_plugin_is_a_plugin(host: Host) -> None:
    assert isinstance(host.add("a"), Plugin)
    assert not isinstance(NoHook(), Plugin)


async def test_unregister_forgets_the_plugin(host: Host) -> None:
    host.add("a", ["X"])
    host.plugins.unregister("a")
    await host.plugins.load_all()
    assert host.journal == []
    with pytest.raises(PluginError, match="'a'"):
        await host.plugins.load("a")
    host.add("user", requires=["X"])
    with pytest.raises(MissingDependencyError):
        await host.plugins.load("user")
    host.add("a", ["X"])
    await host.plugins.load("user")
    assert host.loaded == ("a", "user")


async def test_unregister_of_a_loaded_plugin_is_refused(host: Host) -> None:
    host.add("a", ["X"])
    await host.plugins.load("a")
    with pytest.raises(PluginError, match="'a'"):
        host.plugins.unregister("a")
    assert host.loaded == ("a",)
    assert host.provided == {("X", "a"): "a's X"}
    await host.plugins.unload("a")
    host.plugins.unregister("a")
    host.add("a")
    await host.plugins.load("a")
    assert host.provided == {}


@pytest.mark.parametrize("id", ["", "b", "A"])
async def test_unknown_name_is_an_error_everywhere(host: Host, id: str) -> None:
    host.add("a")
    await host.plugins.load("a")
    for operation in (host.plugins.load, host.plugins.unload):
        with pytest.raises(PluginError) as caught:
            await operation(id)
        assert caught.value.plugin_name == id
    with pytest.raises(PluginError) as caught:
        host.plugins.unregister(id)
    assert caught.value.plugin_name == id
    assert host.loaded == ("a",)


# The order of loading


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
async def test_dependencies_are_loaded_first_whoever_registers_first(
    graph: dict[str, str],
) -> None:
    for order in permutations(graph):
        host = Host()
        add_graph(host, {id: graph[id] for id in order})
        await host.plugins.load_all()
        assert sorted(host.loaded) == sorted(graph)
        assert host.journal == [f"+{id}" for id in host.loaded]
        for id, needs in graph.items():
            for need in needs:
                assert host.loaded.index(need) < host.loaded.index(id), order
        await host.check()


async def test_plugins_that_need_nobody_are_loaded_as_registered(host: Host) -> None:
    for id in "caebd":
        host.add(id)
    await host.plugins.load_all()
    assert host.loaded == tuple("caebd")


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
async def test_load_loads_what_is_required_and_no_more(graph: dict[str, str]) -> None:
    for id in graph:
        host = Host()
        add_graph(host, dict(reversed(graph.items())))
        host.add("unconcerned", ["Y"], ["A"])
        await host.plugins.load(id)
        needed = {id}
        for _ in graph:
            needed.update(*(graph[each] for each in needed))
        assert set(host.loaded) == needed
        assert host.loaded[-1] == id
        await host.check()


async def test_provider_is_there_when_it_is_required(host: Host) -> None:
    found: list[Any] = []
    host.add("c", requires=["B"], first=lambda ctx: found.append(ctx.require("B")))
    host.add("b", ["B"], ["A"], first=lambda ctx: found.append(ctx.require("A")))
    host.add("a", ["A"])
    await host.plugins.load("c")
    assert found == ["a's A", "b's B"]


async def test_load_of_a_loaded_plugin_does_nothing(host: Host) -> None:
    host.add("b", requires=["A"])
    host.add("a", ["A"])
    await host.plugins.load("b")
    context = host.plugins.contexts["b"]
    await host.plugins.load("b")
    await host.plugins.load("a")
    await host.plugins.load_all()
    assert host.journal == ["+a", "+b"]
    assert host.plugins.contexts["b"] is context


async def test_load_all_loads_what_came_later(host: Host) -> None:
    host.add("a", ["A"])
    await host.plugins.load_all()
    host.add("c", requires=["B"])
    host.add("b", ["B"], ["A"])
    await host.plugins.load_all()
    assert host.journal == ["+a", "+b", "+c"]
    await host.check()


async def test_load_all_of_nothing_is_nothing(host: Host) -> None:
    await host.plugins.load_all()
    await host.plugins.unload_all()
    assert host.loaded == ()


async def test_what_the_host_provides_needs_no_plugin(host: Host) -> None:
    host.registry.register("X", "the host's")
    plugin = host.add("a", requires=["X"])
    host.add("b", ["Y"])
    await host.plugins.load("a")
    assert host.loaded == ("a",)
    assert plugin.context.require("X") == "the host's"


async def test_contexts_are_of_the_loaded_and_cannot_be_changed(host: Host) -> None:
    add_graph(host, GRAPHS["chain"])
    await host.plugins.load("b")
    contexts = host.plugins.contexts
    assert list(contexts) == ["a", "b"]
    assert all(contexts[id].plugin_name == id for id in contexts)
    with pytest.raises(TypeError):
        contexts["c"] = contexts["a"]  # type: ignore[index]
    assert host.loaded == ("a", "b")


async def test_manager_needs_no_arguments() -> None:
    plugins = PluginManager()
    plugins.register(Noted([], "a", ["X"], first=lambda ctx: ctx.logger.debug("x")))
    await plugins.load_all()
    assert plugins.loaded == ("a",)
    await plugins.unload_all()
    assert not plugins.contexts


# Optional requirements


async def test_optional_provider_is_loaded_first(host: Host) -> None:
    found: list[Any] = []
    host.add(
        "user", requires=[optional("X")], first=lambda c: found.append(c.optional("X"))
    )
    host.add("a", ["X"])
    await host.plugins.load_all()
    assert host.loaded == ("a", "user")
    assert found == ["a's X"]


async def test_optional_provider_may_be_missing(host: Host) -> None:
    user = host.add("user", requires=[optional("X"), optional("Y", "q")])
    await host.plugins.load("user")
    assert host.loaded == ("user",)
    assert user.context.optional("X") is None
    assert user.context.optional("Y", "q") is None
    with pytest.raises(FacetNotFoundError):
        user.context.require("X")


async def test_optional_provider_may_fail(host: Host) -> None:
    user = host.add("user", requires=[optional("X")])
    host.add("a", ["X"], first=fail)
    error = await raised_by(host.plugins.load_all())
    assert isinstance(error, PluginHookError) and error.plugin_name == "a"
    assert host.loaded == ("user",)
    assert user.context.optional("X") is None
    await host.check()


async def test_circle_of_optional_requirements_is_a_circle(host: Host) -> None:
    host.add("a", ["A"], [optional("B")])
    host.add("b", ["B"], ["A"])
    error = await raised_by(host.plugins.load_all())
    assert isinstance(error, CircularDependencyError)
    assert str(error) == "Circular dependency detected: a -> b -> a"
    assert host.journal == []


# Circles


@pytest.mark.parametrize(("graph", "path"), CIRCLES.values(), ids=CIRCLES)
async def test_circle_is_told_once_and_nobody_in_it_runs(
    host: Host, graph: dict[str, str], path: str
) -> None:
    add_graph(host, graph)
    error = await raised_by(host.plugins.load_all())
    assert isinstance(error, CircularDependencyError)
    assert str(error) == f"Circular dependency detected: {path}"
    assert error.path == tuple(path.split(" -> "))
    assert host.journal == []
    assert host.provided == {}
    await host.check()


@pytest.mark.parametrize(("graph", "path"), CIRCLES.values(), ids=CIRCLES)
async def test_load_of_one_in_a_circle_raises_the_circle(
    graph: dict[str, str], path: str
) -> None:
    for id in graph:
        host = Host()
        add_graph(host, graph)
        error = await raised_by(host.plugins.load(id))
        assert isinstance(error, CircularDependencyError)
        assert str(error) == f"Circular dependency detected: {path}"
        assert host.journal == []


@pytest.mark.parametrize(("graph", "path"), CIRCLES.values(), ids=CIRCLES)
async def test_circle_keeps_its_dependants_and_nobody_else(
    host: Host, graph: dict[str, str], path: str
) -> None:
    host.add("later", ["LATER"], ["USER"])
    host.add("user", ["USER"], ["A", "FREE"])
    add_graph(host, graph)
    host.add("free", ["FREE"])
    host.add("other", requires=["FREE"])
    error = await raised_by(host.plugins.load_all())
    assert isinstance(error, ExceptionGroup)
    circles = [x for x in leaves(error) if isinstance(x, CircularDependencyError)]
    assert [sorted(circle.path[:-1]) for circle in circles] == [sorted(graph)]
    assert kept(error) == {
        "user": MissingDependencyError,
        "later": MissingDependencyError,
    }
    user = next(x for x in leaves(error) if getattr(x, "plugin_name", "") == "user")
    assert isinstance(user, MissingDependencyError)
    assert (user.facet, user.qualifier) == ("A", None)
    assert 'No provider found for facet "A"' in str(user)
    assert circles[0] in causes(user)
    assert host.loaded == ("free", "other")
    await host.check()


def causes(error: BaseException) -> list[BaseException]:
    """Why, and why that, and so on."""
    found = []
    cause = error.__cause__
    while cause is not None:
        found.append(cause)
        cause = cause.__cause__
    return found


async def test_two_circles_are_both_told(host: Host) -> None:
    add_graph(host, {"a": "b", "b": "a", "c": "d", "d": "c"})
    error = await raised_by(host.plugins.load_all())
    assert isinstance(error, ExceptionGroup)
    assert sorted(map(str, leaves(error))) == [
        "Circular dependency detected: a -> b -> a",
        "Circular dependency detected: c -> d -> c",
    ]


async def test_load_beside_a_circle_does_not_tell_of_it(host: Host) -> None:
    add_graph(host, {"a": "b", "b": "a", "c": "", "d": "c"})
    await host.plugins.load("d")
    assert host.loaded == ("c", "d")


async def test_circle_is_over_when_one_of_it_is_unregistered(host: Host) -> None:
    add_graph(host, CIRCLES["three"][0])
    with pytest.raises(CircularDependencyError):
        await host.plugins.load_all()
    host.plugins.unregister("b")
    host.add("b", ["B"])
    await host.plugins.load_all()
    assert host.loaded == ("b", "a", "c")


# Missing and ambiguous


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("X", 'No provider found for facet "X"'),
        ("X:q", 'No provider found for facet "X" with qualifier "q"'),
    ],
)
async def test_missing_facet_is_told_with_plugin_and_facet(
    host: Host, requirement: str, message: str
) -> None:
    host.registry.register("X", "other", "other") if ":" in requirement else None
    host.add("a", requires=[requirement])
    for operation in (host.plugins.load_all, partial(host.plugins.load, "a")):
        error = await raised_by(operation())
        assert isinstance(error, MissingDependencyError)
        assert isinstance(error, LookupError)
        assert message in str(error)
        assert "'a'" in str(error)
        assert error.plugin_name == "a"
        facet, _, qualifier = requirement.partition(":")
        assert (error.facet, error.qualifier) == (facet, qualifier or None)
        assert isinstance(error.__cause__, FacetNotFoundError)
        assert str(error.__cause__) == message
    assert host.journal == []


async def test_all_that_is_missing_is_told(host: Host) -> None:
    host.add("a", requires=["X", "Y:q", optional("Z")])
    host.add("b", requires=["X"])
    host.add("free")
    error = await raised_by(host.plugins.load("a"))
    assert isinstance(error, ExceptionGroup)
    missing = [x for x in leaves(error) if isinstance(x, MissingDependencyError)]
    assert [(x.facet, x.qualifier) for x in missing] == [("X", None), ("Y", "q")]
    error = await raised_by(host.plugins.load_all())
    assert isinstance(error, ExceptionGroup)
    assert sorted(
        (x.plugin_name, x.facet)
        for x in leaves(error)
        if isinstance(x, MissingDependencyError)
    ) == [("a", "X"), ("a", "Y"), ("b", "X")]
    assert host.loaded == ("free",)


async def test_what_is_missing_may_come_later(host: Host) -> None:
    host.add("a", requires=["X"])
    with pytest.raises(MissingDependencyError):
        await host.plugins.load_all()
    host.add("b", ["X"])
    await host.plugins.load_all()
    assert host.journal == ["+b", "+a"]


async def test_ambiguous_facet_is_told_with_its_candidates() -> None:
    host = Host(binding=BindConfig("explicit"))
    host.add("user", requires=["X"])
    host.add("a", ["X"])
    host.add("b", ["X"])
    host.add("exact", requires=["X:b"])
    for operation in (partial(host.plugins.load, "user"), host.plugins.load_all):
        error = await raised_by(operation())
        assert isinstance(error, AmbiguousFacetError)
        assert str(error) == (
            'Multiple providers for facet "X": a, b. '
            "Specify a qualifier or configure explicit binding."
        )
        assert error.candidates == ("a", "b")
    assert host.loaded == ("a", "b", "exact")


async def test_host_s_choice_is_what_is_bound() -> None:
    binding = BindConfig(
        "explicit", explicit={"X": "b"}, explicit_for={"c": {"X": "a"}}
    )
    host = Host(binding=binding)
    user, other = host.add("user", requires=["X"]), host.add("c", requires=["X"])
    host.add("a", ["X"])
    host.add("b", ["X"])
    await host.plugins.load("user")
    assert host.loaded == ("b", "user")
    assert user.context.require("X") == "b's X"
    await host.plugins.load_all()
    assert other.context.require("X") == "a's X"


async def test_highest_priority_is_bound_unless_the_host_says_first() -> None:
    for strategy, expected in (("highest-priority", "b's X"), ("first", "a's X")):
        host = Host(binding=BindConfig(strategy))  # type: ignore[arg-type]
        user = host.add("user", requires=["X"])
        host.add("a", ["X"])
        host.add("b", [FacetProvision("X", priority=1)])
        await host.plugins.load("user")
        assert user.context.require("X") == expected
        assert len(host.loaded) == 2


async def test_bound_provider_stays_when_a_better_one_comes(host: Host) -> None:
    user = host.add("user", requires=["X"])
    host.add("a", ["X"])
    await host.plugins.load("user")
    host.add("b", [FacetProvision("X", priority=9)])
    await host.plugins.load("b")
    assert user.context.require("X") == "a's X"
    late = host.add("late", requires=["X"])
    await host.plugins.load("late")
    assert late.context.require("X") == "b's X"


# Activation that fails


@pytest.mark.parametrize("deed", [fail, fail_later])
async def test_failing_activation_leaves_nothing(
    host: Host, deed: Callable[..., object]
) -> None:
    host.registry.register("Y", "the host's")
    plugin = host.add("a", ["X", "Y:q"], first=deed)
    before = host.provided
    for operation in (partial(host.plugins.load, "a"), host.plugins.load_all):
        error = await raised_by(operation())
        assert isinstance(error, PluginHookError)
        assert isinstance(error, RuntimeError)
        assert (error.plugin_name, error.hook) == ("a", "activate")
        assert str(error) == "plugin 'a': its activate raised"
        assert isinstance(error.__cause__, TroubleError)
        assert host.loaded == ()
        assert host.provided == before
        await host.check()
        with pytest.raises(RuntimeError):
            plugin.context.require("Y")
    # It was not loaded, so there is nothing to deactivate.
    assert host.journal == ["+a", "+a"]


async def test_failing_activation_may_be_tried_again(host: Host) -> None:
    plugin = host.add("a", ["X"], first=fail)
    user = host.add("user", requires=["X"])
    assert await raised_by(host.plugins.load_all()) is not None
    plugin.first = None
    await host.plugins.load_all()
    assert host.loaded == ("a", "user")
    assert user.context.require("X") == "a's X"
    first, second = plugin.contexts
    assert first is not second
    await host.check()


async def test_failing_activation_keeps_only_those_who_need_it(host: Host) -> None:
    host.add("later", requires=["USER"])
    host.add("user", ["USER"], ["X"])
    host.add("a", ["X"], ["BASE"], first=fail)
    host.add("base", ["BASE"])
    host.add("free", requires=["BASE"])
    error = await raised_by(host.plugins.load_all())
    assert isinstance(error, ExceptionGroup)
    assert kept(error) == {
        "a": PluginHookError,
        "user": MissingDependencyError,
        "later": MissingDependencyError,
    }
    of = {getattr(leaf, "plugin_name", ""): leaf for leaf in leaves(error)}
    assert of["a"] in causes(of["user"])
    assert of["a"] in causes(of["later"])
    assert 'No provider found for facet "X"' in str(of["user"])
    assert 'No provider found for facet "USER"' in str(of["later"])
    assert host.loaded == ("base", "free")
    assert host.journal == ["+base", "+a", "+free"]
    await host.check()


async def test_load_of_who_needs_a_failing_plugin_tells_why(host: Host) -> None:
    host.add("user", requires=["X"])
    host.add("a", ["X"], first=fail)
    error = await raised_by(host.plugins.load("user"))
    missing = [x for x in leaves(error) if isinstance(x, MissingDependencyError)]
    assert [(x.plugin_name, x.facet) for x in missing] == [("user", "X")]
    hook = next(x for x in causes(missing[0]) if isinstance(x, PluginHookError))
    assert isinstance(hook.__cause__, TroubleError)
    assert host.journal == ["+a"]
    assert host.loaded == ()


async def test_load_of_who_needs_it_through_another_tells_why_too(host: Host) -> None:
    host.add("later", requires=["USER"])
    host.add("user", ["USER"], ["X"])
    host.add("a", ["X"], first=fail)
    error = await raised_by(host.plugins.load("later"))
    missing = [x for x in leaves(error) if isinstance(x, MissingDependencyError)]
    assert missing[0].plugin_name == "later"
    why = [cause for leaf in leaves(error) for cause in [leaf, *causes(leaf)]]
    assert any(isinstance(cause, TroubleError) for cause in why), repr(error)


async def test_another_provider_serves_in_place_of_one_that_fails(host: Host) -> None:
    user = host.add("user", requires=["X"])
    for priority, id in enumerate(["c", "b", "a"]):
        first = fail if id in "ab" else None
        host.add(id, [FacetProvision("X", priority=priority)], first=first)
    error = await raised_by(host.plugins.load_all())
    assert isinstance(error, ExceptionGroup)
    assert kept(error) == {"a": PluginHookError, "b": PluginHookError}
    assert set(host.loaded) == {"c", "user"}
    assert user.context.require("X") == "c's X"
    assert host.journal.index("+c") < host.journal.index("+user")
    await host.check()


async def test_load_turns_to_another_provider_too(host: Host) -> None:
    user = host.add("user", requires=["X"])
    host.add("a", [FacetProvision("X", priority=9)], first=fail)
    host.add("b", ["X"])
    host.add("c", ["Y"])
    await host.plugins.load("user")
    assert host.journal == ["+a", "+b", "+user"]
    assert host.loaded == ("b", "user")
    assert user.context.require("X") == "b's X"


async def test_host_s_own_provider_serves_in_place_of_one_that_fails(
    host: Host,
) -> None:
    host.registry.register("X", "the host's")
    user = host.add("user", requires=["X"])
    host.add("a", [FacetProvision("X", priority=9)], first=fail)
    error = await raised_by(host.plugins.load_all())
    assert isinstance(error, PluginHookError)
    assert host.loaded == ("user",)
    assert user.context.require("X") == "the host's"


async def test_one_that_failed_does_not_fail_twice_in_one_load(host: Host) -> None:
    def fail_once(context: PluginContext) -> None:
        if len(host.noted[context.plugin_name].contexts) > 1:
            raise Halt
        raise TroubleError

    for index in range(10):
        first = fail_once if index % 2 else None
        host.add(f"p{index}", [FacetProvision("X", priority=index)], first=first)
    for index in range(3):
        host.add(f"user{index}", requires=["X"])
    error = await raised_by(host.plugins.load_all())
    assert [*kept(error).values()] == [PluginHookError] * 5
    assert len(host.journal) == len({*host.journal}) == 13
    assert len(host.loaded) == 8


async def test_provision_that_is_owed_is_an_error(host: Host) -> None:
    plugin = host.add("a", ["X", "Y:q"], is_owing=True)
    plugin.first = lambda context: context.provide("X", "some")
    host.add("user", requires=["Y:q"])
    error = await raised_by(host.plugins.load("a"))
    assert type(error) is PluginError
    assert error.plugin_name == "a"
    assert re.search(r"\bY\b", error.reason) and not re.search(r"\bX\b", error.reason)
    assert host.provided == {}
    assert host.loaded == ()
    await host.check()
    error = await raised_by(host.plugins.load_all())
    assert kept(error) == {"a": PluginError, "user": MissingDependencyError}
    plugin.is_owing, plugin.first = False, None
    await host.plugins.load_all()
    assert host.loaded == ("a", "user")


async def test_provision_that_is_owed_with_one_qualifier_is_an_error(
    host: Host,
) -> None:
    host.add(
        "a", ["X:p", "X:q"], is_owing=True, first=lambda ctx: ctx.provide("X", 1, "p")
    )
    error = await raised_by(host.plugins.load("a"))
    assert type(error) is PluginError
    assert host.provided == {}


async def test_provision_of_what_the_manifest_has_not_is_an_error(host: Host) -> None:
    host.add("a", ["X"], first=lambda context: context.provide("Y", 1))
    error = await raised_by(host.plugins.load("a"))
    assert isinstance(error, PluginHookError)
    assert isinstance(error.__cause__, PluginError)
    assert host.provided == {}


async def test_two_that_provide_the_same_are_not_both_loaded(host: Host) -> None:
    host.add("a", ["X:q"])
    host.add("b", ["X:q"])
    error = await raised_by(host.plugins.load_all())
    assert type(error) is PluginError and error.plugin_name == "b"
    assert host.loaded == ("a",)
    assert host.provided == {("X", "q"): "a's X"}


async def test_provision_of_what_the_host_has_is_refused(host: Host) -> None:
    """Beside the host's is right, in its place is not."""
    host.registry.register("X", "the host's")
    host.registry.register("X", "the host's", "q")
    user = host.add("user", requires=["X:q"])
    host.add("hides", ["X:q"])
    host.add("beside", ["X"])
    error = await raised_by(host.plugins.load_all())
    assert kept(error) == {"hides": PluginError}
    assert host.loaded == ("user", "beside")
    assert "+hides" not in host.journal
    assert user.context.require("X") == "the host's"
    await host.plugins.unload_all()
    assert host.provided == {("X", None): "the host's", ("X", "q"): "the host's"}


async def test_what_is_no_exception_goes_through(host: Host) -> None:
    def halt(_: PluginContext) -> None:
        raise Halt

    host.add("a", ["A"])
    host.add("b", ["B"], ["A"], first=halt)
    host.add("c", requires=["A"])
    with pytest.raises(Halt):
        await host.plugins.load_all()
    assert host.loaded == ("a",)
    assert host.provided == {("A", "a"): "a's A"}
    await host.check()
    host.noted["b"].first = None
    await host.plugins.load_all()
    assert host.loaded == ("a", "b", "c")


async def test_plugin_may_use_its_context_in_its_activation(host: Host) -> None:
    seen: list[Any] = []

    async def use(context: PluginContext) -> None:
        context.state.set("key", 1)
        await context.events.emit("b.begins", "payload")
        seen.append(context.get_plugin("a"))
        seen.append(context.get_plugin("b"))
        seen.append(context.require("X"))

    a = host.add("a", ["X"])
    a.first = lambda context: context.events.on("b.begins", seen.append)
    host.add("b", requires=["X"], first=use)
    await host.plugins.load_all()
    assert seen == ["payload", a, None, "a's X"]


# Hooks of every kind


class Later:
    """Awaitable, and no coroutine."""

    def __init__(self, journal: list[str], text: str) -> None:
        self.journal = journal
        self.text = text

    def __await__(self) -> Generator[Any, Any, None]:
        yield from anyio.lowlevel.checkpoint().__await__()
        self.journal.append(self.text)


class Sync:
    def __init__(self, journal: list[str]) -> None:
        self.manifest = manifest("p", ["X"])
        self.journal = journal

    def activate(self, context: PluginContext) -> object:
        context.provide("X", 1)
        self.journal.append("on")
        return "ignored"

    def deactivate(self) -> object:
        self.journal.append("off")
        return "ignored"


class Async(Sync):
    async def activate(self, context: PluginContext) -> None:
        await anyio.lowlevel.checkpoint()
        super().activate(context)

    async def deactivate(self) -> None:
        await anyio.lowlevel.checkpoint()
        super().deactivate()


class Awaitables(Sync):
    def activate(self, context: PluginContext) -> Later:
        context.provide("X", 1)
        return Later(self.journal, "on")

    def deactivate(self) -> Later:
        return Later(self.journal, "off")


class Callables(Sync):
    """Hooks that are attributes of the one plugin."""

    def __init__(self, journal: list[str]) -> None:
        super().__init__(journal)
        activate = super().activate
        self.activate = lambda context: activate(context)  # type: ignore[method-assign]
        self.deactivate = lambda: journal.append("off")  # type: ignore[method-assign]


class Described(Sync):
    """Its manifest is made each time that somebody asks."""

    manifest = property(lambda self: manifest("p", ["X"]), lambda self, value: None)


@pytest.mark.parametrize("kind", [Sync, Async, Awaitables, Callables, Described])
async def test_hooks_may_be_sync_or_async(host: Host, kind: type[Sync]) -> None:
    journal: list[str] = []
    host.plugins.register(kind(journal))
    await host.plugins.load_all()
    assert host.loaded == ("p",)
    assert host.provided == {("X", "p"): 1}
    assert journal == ["on"]
    await host.plugins.unload_all()
    assert journal == ["on", "off"]
    assert host.provided == {}


async def test_deactivate_is_optional(host: Host) -> None:
    class Brief:
        manifest = PluginManifest("brief", "1.0.0", "Brief")

        def activate(self, context: PluginContext) -> None:
            context.events.on("x", print)

    host.plugins.register(Brief())
    await host.plugins.load("brief")
    await host.plugins.unload("brief")
    assert host.loaded == ()


async def test_requirements_may_name_protocols(host: Host) -> None:
    from latency_kv.facets.secret_store import SecretStore
    from latency_kv.providers.secrets import EnvironmentSecretStore

    secrets = EnvironmentSecretStore(environ={})
    host.registry.register(SecretStore, secrets)
    user = host.add("user", requires=[FacetRequirement(SecretStore)])
    await host.plugins.load("user")
    assert user.context.require(SecretStore) is secrets

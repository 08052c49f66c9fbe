"""PluginManager: what is left of a plugin that is unloaded, which is nothing.

Plugins and host are those of noted.py.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from latency_kv.errors import PluginError, PluginHookError, PluginInUseError
from latency_kv.facets.event_bus import EventHandler, Unsubscribe
from latency_kv.plugins.context import PluginContext
from latency_kv.plugins.manager import PluginManager
from latency_kv.plugins.manifest import FacetProvision
from latency_kv.providers.events import PyeeEventBus
from plugins.noted import PING, Host, kept, leaves, optional

pytestmark = pytest.mark.anyio


class TroubleError(Exception):
    """A plugin's own."""


class Halt(BaseException):
    """What is no Exception, and no cancellation either."""


def fail() -> None:
    raise TroubleError("no luck")


async def fail_later() -> None:
    await anyio.lowlevel.checkpoint()
    raise TroubleError("no luck")


async def unload_by_name(host: Host) -> None:
    for id in reversed(host.loaded):
        await host.plugins.unload(id)


async def unload_all(host: Host) -> None:
    await host.plugins.unload_all()


async def leave(host: Host) -> None:
    async with host.plugins:
        pass


# Whatever ends plugins.
ENDING: dict[str, Callable[[Host], Awaitable[None]]] = {
    "unload": unload_by_name,
    "unload_all": unload_all,
    "leave": leave,
}
EACH = pytest.mark.parametrize("end", ENDING.values(), ids=ENDING)


@pytest.fixture
def host() -> Host:
    return Host()


# What is taken back


@EACH
async def test_unloaded_plugin_leaves_nothing(host: Host, end: Any) -> None:
    host.registry.register("X", "the host's")
    host.registry.register("Y", "the host's", "q")
    host.events.on(PING, print_nothing)
    before = list(host.registry)
    host.add("a", ["X", FacetProvision("Y", "r", 9), "Z:z"])
    host.add("b", ["X"], ["Z"])
    await host.plugins.load_all()
    await host.check()
    assert host.provided[("Y", "r")] == "a's Y"
    await end(host)
    assert list(host.registry) == before
    assert host.loaded == ()
    assert dict(host.plugins.contexts) == {}
    assert host.journal == ["+a", "+b", "-b", "-a"]
    await host.check()


def print_nothing(payload: object) -> None:
    """The host's own ear, which stays."""


@EACH
async def test_unloaded_plugin_can_be_loaded_again(host: Host, end: Any) -> None:
    plugin = host.add("a", ["X"])
    await host.plugins.load_all()
    await end(host)
    await host.plugins.load_all()
    assert host.journal == ["+a", "-a", "+a"]
    assert host.loaded == ("a",)
    first, second = plugin.contexts
    assert first is not second
    assert host.plugins.contexts["a"] is second
    await host.check()


async def test_unload_takes_back_nobody_else_s(host: Host) -> None:
    host.add("a", ["X", "Y:y"])
    host.add("b", ["X"])
    await host.plugins.load_all()
    host.registry.register("Y", "the host's, over it", "y")
    await host.plugins.unload("a")
    assert host.provided == {("X", "b"): "b's X", ("Y", "y"): "the host's, over it"}
    assert await host.hearing() == {"b"}
    await host.check()


@EACH
async def test_context_is_closed_when_its_plugin_is_unloaded(
    host: Host, end: Any
) -> None:
    host.registry.register("Z", "the host's")
    plugin = host.add("a", ["X"], ["Z"])
    await host.plugins.load("a")
    context = plugin.context
    assert context.require("Z") == "the host's"
    await end(host)
    with pytest.raises(RuntimeError):
        context.require("Z")
    with pytest.raises(RuntimeError):
        context.provide("X", 1)
    with pytest.raises(RuntimeError):
        context.events.on(PING, print_nothing)
    with pytest.raises(RuntimeError):
        await context.events.emit(PING)
    assert host.provided == {("Z", None): "the host's"}


async def test_unload_of_what_is_not_loaded_is_an_error(host: Host) -> None:
    host.add("a")
    with pytest.raises(PluginError) as caught:
        await host.plugins.unload("a")
    assert caught.value.plugin_name == "a"
    await host.plugins.load("a")
    await host.plugins.unload("a")
    with pytest.raises(PluginError):
        await host.plugins.unload("a")
    assert host.journal == ["+a", "-a"]


async def test_unload_all_of_nothing_is_nothing(host: Host) -> None:
    host.add("a")
    await host.plugins.unload_all()
    await host.plugins.unload_all()
    assert host.journal == []


# In use


async def test_plugin_in_use_is_not_unloaded(host: Host) -> None:
    host.add("c", ["C"], ["A", "B"])
    host.add("b", ["B"], [optional("A")])
    host.add("a", ["A"])
    await host.plugins.load_all()
    with pytest.raises(PluginInUseError) as caught:
        await host.plugins.unload("a")
    assert caught.value.plugin_name == "a"
    assert caught.value.dependants == ("b", "c")
    assert str(caught.value) == (
        "plugin 'a': loaded plugins depend on it, unload them first: b, c"
    )
    assert isinstance(caught.value, RuntimeError)
    assert host.loaded == ("a", "b", "c")
    assert host.journal == ["+a", "+b", "+c"]
    assert host.noted["c"].context.require("A") == "a's A"
    await host.check()
    await host.plugins.unload("c")
    with pytest.raises(PluginInUseError) as caught:
        await host.plugins.unload("a")
    assert caught.value.dependants == ("b",)
    await host.plugins.unload("b")
    await host.plugins.unload("a")
    assert host.loaded == ()


async def test_plugin_that_others_could_use_is_not_in_use(host: Host) -> None:
    """In use is who was bound, not who has the facet."""
    user = host.add("user", requires=["X"])
    host.add("a", [FacetProvision("X", priority=9)])
    host.add("b", ["X"])
    host.add("c", requires=["X:b"])
    host.add("asks", first=lambda context: context.require("X", "a"))
    await host.plugins.load_all()
    with pytest.raises(PluginInUseError) as caught:
        await host.plugins.unload("b")
    assert caught.value.dependants == ("c",)
    await host.plugins.unload("c")
    await host.plugins.unload("b")
    with pytest.raises(PluginInUseError) as caught:
        await host.plugins.unload("a")
    assert caught.value.dependants == ("user",)
    assert user.context.require("X") == "a's X"


async def test_plugin_is_in_use_by_who_was_loaded_after_a_failure(host: Host) -> None:
    host.add("user", requires=["X"])
    host.add(
        "a", [FacetProvision("X", priority=9)], first=lambda context: context.missing
    )
    host.add("b", ["X"])
    with pytest.raises(PluginHookError):
        await host.plugins.load_all()
    with pytest.raises(PluginInUseError) as caught:
        await host.plugins.unload("b")
    assert caught.value.dependants == ("user",)
    host.noted["a"].first = None
    await host.plugins.load("a")
    await host.plugins.unload("a")
    assert host.loaded == ("b", "user")


# Order


async def test_unload_all_goes_the_other_way_than_loading(host: Host) -> None:
    for id, needs in {"d": "BC", "c": "A", "e": "", "b": "A", "a": ""}.items():
        host.add(id, [id.upper()], list(needs))
    await host.plugins.load("b")
    await host.plugins.load_all()
    loaded = host.loaded
    await host.plugins.unload_all()
    assert host.journal[5:] == [f"-{id}" for id in reversed(loaded)]


async def test_everything_required_is_there_while_deactivating(host: Host) -> None:
    seen: list[Any] = []
    a, b = host.add("a", ["A"]), host.add("b", ["B"], ["A"])

    async def last() -> None:
        seen.append(b.context.require("A"))
        seen.append(b.context.get_plugin("a"))
        seen.append(host.provided[("B", "b")])
        await b.context.events.emit("farewell", "payload")
        b.context.state.set("key", 1)
        with pytest.raises(RuntimeError):
            b.context.provide("B", 2)

    a.first = lambda context: context.events.on("farewell", seen.append)
    b.last = last
    await host.plugins.load_all()
    await host.plugins.unload_all()
    assert seen == ["a's A", a, "b's B", "payload"]


# Deactivation that fails


@pytest.mark.parametrize("deed", [fail, fail_later])
@EACH
async def test_failing_deactivation_is_told_and_the_plugin_is_gone(
    host: Host, end: Any, deed: Callable[[], object]
) -> None:
    plugin = host.add("a", ["X"], last=deed)
    await host.plugins.load("a")
    with pytest.raises(PluginHookError) as caught:
        await end(host)
    assert (caught.value.plugin_name, caught.value.hook) == ("a", "deactivate")
    assert str(caught.value) == "plugin 'a': its deactivate raised"
    assert isinstance(caught.value.__cause__, TroubleError)
    assert host.loaded == ()
    assert host.provided == {}
    await host.check()
    with pytest.raises(RuntimeError):
        plugin.context.require("X")
    await host.plugins.load("a")
    assert host.loaded == ("a",)


async def test_failing_deactivations_stop_nobody_and_are_all_told(host: Host) -> None:
    for index, id in enumerate("abcde"):
        host.add(id, [id], "abcde"[:index], last=fail if id in "bd" else None)
    await host.plugins.load_all()
    with pytest.raises(ExceptionGroup) as caught:
        await host.plugins.unload_all()
    assert kept(caught.value) == {"b": PluginHookError, "d": PluginHookError}
    assert len([*leaves(caught.value)]) == 2
    assert host.journal[5:] == ["-e", "-d", "-c", "-b", "-a"]
    assert host.loaded == ()
    assert host.provided == {}
    await host.check()


@EACH
async def test_what_is_no_exception_goes_through_when_all_is_done(
    host: Host, end: Any
) -> None:
    def halt() -> None:
        raise Halt

    host.add("a", ["A"])
    host.add("b", ["B"], ["A"], last=halt)
    await host.plugins.load_all()
    with pytest.raises((Halt, BaseExceptionGroup)) as caught:
        await end(host)
    assert [type(leaf) for leaf in leaves(caught.value)] == [Halt]
    assert "b" not in host.loaded
    assert ("B", "b") not in host.provided
    if end is not unload_by_name:
        assert host.journal == ["+a", "+b", "-b", "-a"]
        assert host.loaded == ()
    await host.check()


class BrokenBus(PyeeEventBus):
    """A host's bus that lets nobody go without an error."""

    def on(self, event: str, handler: EventHandler) -> Unsubscribe:
        unsubscribe = super().on(event, handler)

        def raising() -> None:
            unsubscribe()
            raise TroubleError("no luck")

        return raising


@EACH
async def test_failing_bus_keeps_no_plugin_loaded(end: Any) -> None:
    host = Host(events=BrokenBus())
    host.add("a", ["A"])
    host.add("b", ["B"], ["A"])
    await host.plugins.load_all()
    while host.loaded:
        before = host.loaded
        with pytest.raises((TroubleError, PluginError, ExceptionGroup)):
            await end(host)
        assert len(host.loaded) < len(before)
        assert end is unload_by_name or host.loaded == ()
    assert host.journal == ["+a", "+b", "-b", "-a"]
    assert host.provided == {}


async def test_failing_bus_hides_no_failure_of_an_activation() -> None:
    def first(context: PluginContext) -> None:
        raise KeyError("the plugin's")

    host = Host(events=BrokenBus())
    host.add("a", ["A"], first=first)
    with pytest.raises(PluginHookError) as caught:
        await host.plugins.load("a")
    assert isinstance(caught.value.__cause__, KeyError)
    assert host.provided == {}
    assert host.loaded == ()


# Leaving


async def test_leaving_unloads_all_also_after_an_error(host: Host) -> None:
    host.add("a", ["A"])
    host.add("b", requires=["A"])
    with pytest.raises(KeyError):
        async with host.plugins as plugins:
            assert plugins is host.plugins
            await plugins.load_all()
            assert host.journal == ["+a", "+b"]
            raise KeyError("the body's")
    assert host.journal == ["+a", "+b", "-b", "-a"]
    assert host.provided == {}


async def test_leaving_hides_neither_error(host: Host) -> None:
    host.add("a", last=fail)
    with pytest.raises(BaseException) as caught:
        async with host.plugins:
            await host.plugins.load_all()
            raise KeyError("the body's")
    told: set[type] = set()
    left: list[BaseException | None] = [*leaves(caught.value)]
    while left:
        error = left.pop()
        if error is not None and type(error) not in told:
            told.add(type(error))
            left += [*leaves(error.__cause__), *leaves(error.__context__)]
    assert {KeyError, PluginHookError, TroubleError} <= told
    assert host.loaded == ()


async def test_entering_loads_nothing() -> None:
    host = Host()
    host.add("a")
    async with host.plugins:
        pass
    assert host.journal == []


async def test_two_managers_do_not_know_each_other() -> None:
    first, second = Host(), Host()
    first.add("a", ["X"])
    second.add("a", ["X"])
    await first.plugins.load_all()
    assert second.loaded == ()
    await second.plugins.load_all()
    await first.plugins.unload_all()
    assert second.loaded == ("a",)
    assert second.provided == {("X", "a"): "a's X"}


async def test_hooks_of_one_object_under_two_managers() -> None:
    """A plugin is what the host registers; nothing is kept on it."""
    first, plugin = Host(), Host().add("a", ["X"])
    first.plugins.register(plugin)
    other = PluginManager()
    other.register(plugin)
    await first.plugins.load("a")
    await other.load("a")
    await other.unload("a")
    assert first.provided == {("X", "a"): "a's X"}
    assert isinstance(first.plugins.contexts["a"], PluginContext)

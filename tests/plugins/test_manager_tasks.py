"""PluginManager: several tasks at once, tasks that are cancelled, hooks that call it.

Plugins and host are those of noted.py; what has many orders is in test_manager_model.py.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from latency_kv.errors import (
    MissingDependencyError,
    PluginError,
    PluginHookError,
    PluginInUseError,
)
from latency_kv.plugins.context import PluginContext
from plugins.noted import PING, Host, leaves
from schedules import Hops, play, play_on_trio
from testing.in_memory.logger import InMemoryLogger

pytestmark = pytest.mark.anyio


@pytest.fixture
def host() -> Host:
    return Host()


class Gate:
    """Where a hook waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.opened = anyio.Event()
        self.passed = False

    async def wait(self, *_: object) -> None:
        self.reached.set()
        await self.opened.wait()
        self.passed = True


async def settle() -> None:
    """Let every other task go as far as it can."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


# One at a time


async def test_plugin_that_two_load_is_activated_once(host: Host) -> None:
    gate = Gate()
    host.add("a", ["X"], first=gate.wait)
    host.add("user", requires=["X"])
    done: list[tuple[str, ...]] = []

    async def load(id: str) -> None:
        await host.plugins.load(id)
        done.append(host.loaded)

    async with anyio.create_task_group() as group:
        for id in ("a", "user", "a"):
            group.start_soon(load, id)
        await gate.reached.wait()
        await settle()
        assert host.loaded == () and not done
        gate.opened.set()
    assert host.journal == ["+a", "+user"]
    assert len(done) == 3 and all("a" in loaded for loaded in done)
    await host.check()


async def test_operations_happen_one_at_a_time(host: Host) -> None:
    gate = Gate()
    host.add("a", first=gate.wait, last=gate.wait)
    host.add("b")
    async with anyio.create_task_group() as group:
        group.start_soon(host.plugins.load, "a")
        await gate.reached.wait()
        group.start_soon(host.plugins.load, "b")
        await settle()
        assert host.journal == ["+a"]
        gate.opened.set()
    gate.reached, gate.opened = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(host.plugins.unload, "a")
        await gate.reached.wait()
        group.start_soon(host.plugins.unload_all)
        await settle()
        group.start_soon(host.plugins.load_all)
        await settle()
        assert host.journal == ["+a", "+b", "-a"]
        gate.opened.set()
    assert host.journal == ["+a", "+b", "-a", "-b", "+a", "+b"]


async def test_unload_during_load_waits_for_it(host: Host) -> None:
    gate = Gate()
    host.add("a", ["X"])
    host.add("user", requires=["X"], first=gate.wait)
    errors: list[Exception] = []

    async def unload() -> None:
        try:
            await host.plugins.unload("a")
        except PluginInUseError as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(host.plugins.load, "user")
        await gate.reached.wait()
        group.start_soon(unload)
        await settle()
        assert host.journal == ["+a", "+user"]
        gate.opened.set()
    assert len(errors) == 1
    assert host.loaded == ("a", "user")


async def test_plugin_that_is_being_activated_is_not_loaded_yet(host: Host) -> None:
    gate = Gate()
    host.add("a", first=gate.wait)
    watcher = host.add("watcher")
    await host.plugins.load("watcher")
    async with anyio.create_task_group() as group:
        group.start_soon(host.plugins.load, "a")
        await gate.reached.wait()
        assert host.loaded == ("watcher",)
        assert watcher.context.get_plugin("a") is None
        gate.opened.set()
    assert host.loaded == ("watcher", "a")
    assert watcher.context.get_plugin("a") is host.noted["a"]


@pytest.mark.parametrize("id", ["a", "b", "c"])
async def test_unregister_while_loading_leaves_no_orphan(host: Host, id: str) -> None:
    """Who is loaded is registered; a is being activated, b needs it, c waits."""
    gate = Gate()
    host.add("a", ["X"], first=gate.wait)
    host.add("b", requires=["X"])
    host.add("c")
    is_refused = False
    with anyio.CancelScope():
        async with anyio.create_task_group() as group:
            group.start_soon(host.plugins.load_all)
            await gate.reached.wait()
            try:
                host.plugins.unregister(id)
            except PluginError:
                is_refused = True
            gate.opened.set()
    assert is_refused or id not in host.loaded
    assert {*host.loaded} >= {*"ac"} - {id}
    await host.check()
    await host.plugins.unload_all()
    assert host.loaded == ()


async def test_unregister_is_right_again_when_loading_is_over(host: Host) -> None:
    gate = Gate()
    host.add("a", first=gate.wait)
    host.add("b")
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(host.plugins.load, "a")
            await gate.reached.wait()
            scope.cancel()
    host.plugins.unregister("a")
    host.plugins.unregister("b")
    await host.plugins.load_all()
    assert host.journal == ["+a"]


async def test_unregister_of_who_is_waited_for_is_told_to_its_loader(
    host: Host,
) -> None:
    """Nobody returns as if all were well with a plugin that is gone."""
    host.add("a")
    errors: list[PluginError] = []

    async def load() -> None:
        try:
            await host.plugins.load("a")
        except PluginError as error:
            errors.append(error)

    async def unregister() -> None:
        try:
            host.plugins.unregister("a")
        except PluginError as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(load)
        group.start_soon(unregister)
    assert [error.plugin_name for error in errors] == ["a"]


async def test_register_while_others_are_loaded(host: Host) -> None:
    gate = Gate()
    host.add("a", ["X"], first=gate.wait)
    async with anyio.create_task_group() as group:
        group.start_soon(host.plugins.load_all)
        await gate.reached.wait()
        host.add("b", requires=["X"])
        gate.opened.set()
    await host.plugins.load_all()
    assert host.loaded == ("a", "b")
    assert host.journal == ["+a", "+b"]


# Cancelled loading


async def test_cancelled_activation_leaves_nothing(host: Host) -> None:
    host.add("a", ["A"])
    b = host.add("b", ["B"], ["A"], first=lambda context: anyio.sleep_forever())
    host.add("c", requires=["A"])
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(host.plugins.load_all)
            await settle()
            assert host.journal == ["+a", "+b"]
            scope.cancel()
    assert host.loaded == ("a",)
    assert host.provided == {("A", "a"): "a's A"}
    assert host.journal == ["+a", "+b"]
    await host.check()
    with pytest.raises(RuntimeError):
        b.context.require("A")
    b.first = None
    await host.plugins.load_all()
    assert host.loaded == ("a", "b", "c")


async def test_cancelled_task_goes_on_cancelled(host: Host) -> None:
    """A cancellation is no failure of the plugin's."""
    gate = Gate()
    host.add("a", first=gate.wait)
    host.add("b")
    reached_end = False
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel_when, gate.reached, scope)
            await host.plugins.load_all()
            reached_end = True
    assert scope.cancelled_caught
    assert not reached_end
    assert host.journal == ["+a"]
    assert host.loaded == ()


async def test_failure_before_a_cancellation_is_not_lost() -> None:
    logger, gate = InMemoryLogger(), Gate()
    host = Host(logger=logger)
    host.add("a", first=lambda context: 1 / 0)
    host.add("b", first=gate.wait)
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel_when, gate.reached, scope)
            await host.plugins.load_all()
    assert host.journal == ["+a", "+b"]
    told = [f"{each.message} {each.context}" for each in logger.messages]
    assert any("'a'" in each and "ZeroDivisionError" in each for each in told)
    assert host.loaded == ()
    await host.check()


async def test_cancelled_while_waiting_does_nothing(host: Host) -> None:
    gate = Gate()
    host.add("a", first=gate.wait)
    host.add("b")
    operations: list[Callable[[], Awaitable[None]]] = [
        lambda: host.plugins.load("b"),
        host.plugins.load_all,
    ]
    async with anyio.create_task_group() as group:
        group.start_soon(host.plugins.load, "a")
        await gate.reached.wait()
        for operation in operations:
            with anyio.CancelScope() as scope:
                group.start_soon(cancel_soon, scope)
                await operation()
            assert scope.cancelled_caught
        gate.opened.set()
    assert host.journal == ["+a"]
    assert host.loaded == ("a",)


async def test_another_task_loads_what_a_cancelled_one_did_not(host: Host) -> None:
    gate = Gate()
    host.add("a", ["X"], first=gate.wait)
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel_when, gate.reached, scope)
            await host.plugins.load("a")
        assert host.loaded == ()
        group.start_soon(host.plugins.load, "a")
        await settle()
        gate.opened.set()
    assert host.journal == ["+a", "+a"]
    assert host.loaded == ("a",)
    await host.check()


async def cancel_when(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def cancel_soon(scope: anyio.CancelScope) -> None:
    await settle()
    scope.cancel()


async def test_activation_with_its_own_deadline_is_a_failure(host: Host) -> None:
    """A TimeoutError of the plugin's is an error like any other."""

    async def first(context: PluginContext) -> None:
        with anyio.fail_after(0.001):
            await anyio.sleep_forever()

    host.add("a", ["X"], first=first)
    host.add("user", requires=["X"])
    with pytest.raises(ExceptionGroup) as caught:
        await host.plugins.load_all()
    hook, missing = leaves(caught.value)
    assert isinstance(hook, PluginHookError)
    assert isinstance(hook.__cause__, TimeoutError)
    assert isinstance(missing, MissingDependencyError)


# Cancelled unloading


async def unload_all(host: Host) -> None:
    await host.plugins.unload_all()


async def leave(host: Host) -> None:
    async with host.plugins:
        pass


ENDING = pytest.mark.parametrize("end", [unload_all, leave])


@ENDING
async def test_unload_all_is_not_cancelled_halfway(host: Host, end: Any) -> None:
    gate = Gate()
    host.add("a", ["A"])
    host.add("b", ["B"], ["A"], last=gate.wait)
    host.add("c", requires=["B"])
    await host.plugins.load_all()
    went_on = False
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel_when, gate.reached, scope)
            group.start_soon(open_when, scope, gate)
            await end(host)
            went_on = True
    assert gate.passed
    assert not went_on or scope.cancel_called
    assert host.journal[3:] == ["-c", "-b", "-a"]
    assert host.loaded == ()
    assert host.provided == {}
    await host.check()


async def open_when(scope: anyio.CancelScope, gate: Gate) -> None:
    while not scope.cancel_called:
        await anyio.lowlevel.checkpoint()
    await settle()
    assert not gate.passed
    gate.opened.set()


async def test_unload_of_one_is_not_cancelled_halfway(host: Host) -> None:
    gate = Gate()
    host.add("a", ["A"], last=gate.wait)
    await host.plugins.load_all()
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel_when, gate.reached, scope)
            group.start_soon(open_when, scope, gate)
            await host.plugins.unload("a")
    assert gate.passed
    assert host.loaded == ()
    await host.check()


@ENDING
async def test_cancelled_task_unloads_before_it_begins(host: Host, end: Any) -> None:
    """Leaving `async with` on a task that is cancelled already is how hosts stop."""
    host.add("a", ["A"], last=lambda: anyio.sleep(0.001))
    host.add("b", requires=["A"], last=lambda: anyio.sleep(0.001))
    await host.plugins.load_all()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await end(host)
    assert host.journal == ["+a", "+b", "-b", "-a"]
    assert host.loaded == ()


@ENDING
async def test_cancelled_while_waiting_unloads_all_in_its_turn(
    host: Host, end: Any
) -> None:
    gate = Gate()
    host.add("a", ["A"])
    host.add("b", requires=["A"], first=gate.wait)
    await host.plugins.load("a")
    async with anyio.create_task_group() as group:
        group.start_soon(host.plugins.load, "b")
        await gate.reached.wait()
        with anyio.CancelScope() as scope:
            group.start_soon(open_when, scope, gate)
            scope.cancel()
            await end(host)
        assert host.loaded == ()
    assert host.journal == ["+a", "+b", "-b", "-a"]
    await host.check()


async def test_cancelled_body_unloads_all(host: Host) -> None:
    host.add("a", ["A"], last=lambda: anyio.sleep(0.001))
    host.add("b", requires=["A"])
    with anyio.CancelScope() as scope:
        async with host.plugins as plugins:
            await plugins.load_all()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert host.journal == ["+a", "+b", "-b", "-a"]
    assert host.provided == {}
    await host.check()


@ENDING
async def test_failing_deactivation_of_a_cancelled_task_is_not_lost(end: Any) -> None:
    """Hosts stop by a cancellation: who could not save must still be heard of."""

    async def last() -> None:
        await anyio.sleep(0.001)
        raise KeyError("no luck")

    logger = InMemoryLogger()
    host = Host(logger=logger)
    host.add("a", ["A"])
    host.add("b", requires=["A"], last=last)
    await host.plugins.load_all()
    told: list[object] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await end(host)
        except Exception as error:  # noqa: BLE001 - it may be told so, or logged
            told += leaves(error)
    assert all(isinstance(each, PluginHookError) for each in told)
    told += [
        each for each in logger.messages if "'b'" in f"{each.message} {each.context}"
    ]
    assert told
    assert host.journal == ["+a", "+b", "-b", "-a"]
    assert host.loaded == ()
    await host.check()


# asyncio's own cancellation, which no shield keeps off


NATIVELY = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def cancelled_natively(task: "asyncio.Task[None]", times: int) -> None:
    for _ in range(times):
        task.cancel()
        await settle()


@NATIVELY
@ENDING
@pytest.mark.parametrize("times", [1, 3])
async def test_unload_all_outlives_asyncio_s_cancellation(
    host: Host, end: Any, times: int
) -> None:
    gate = Gate()
    host.add("a", ["A"])
    host.add("b", ["B"], ["A"], last=gate.wait)
    host.add("c", requires=["B"])
    await host.plugins.load_all()
    task = asyncio.create_task(end(host))
    await gate.reached.wait()
    await cancelled_natively(task, times)
    assert not task.done()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.passed
    assert host.journal[3:] == ["-c", "-b", "-a"]
    assert host.loaded == ()
    assert host.provided == {}
    await host.check()


@NATIVELY
@pytest.mark.parametrize("times", [1, 3])
async def test_unload_outlives_asyncio_s_cancellation(host: Host, times: int) -> None:
    gate = Gate()
    host.add("a", ["A"], last=gate.wait)
    await host.plugins.load_all()
    task = asyncio.create_task(host.plugins.unload("a"))
    await gate.reached.wait()
    await cancelled_natively(task, times)
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.passed
    assert host.loaded == ()
    await host.check()


@NATIVELY
async def test_activation_that_asyncio_cancels_leaves_nothing(host: Host) -> None:
    gate = Gate()
    a = host.add("a", ["A"], first=gate.wait)
    task = asyncio.create_task(host.plugins.load_all())
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert host.loaded == ()
    assert host.provided == {}
    await host.check()
    a.first = None
    await host.plugins.load("a")
    assert host.loaded == ("a",)


@NATIVELY
async def test_waiting_that_asyncio_cancels_keeps_nobody(host: Host) -> None:
    gate = Gate()
    host.add("a", first=gate.wait)
    host.add("b")
    first = asyncio.create_task(host.plugins.load("a"))
    await gate.reached.wait()
    second = asyncio.create_task(host.plugins.load("b"))
    await settle()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.opened.set()
    await first
    await host.plugins.load("b")
    assert host.loaded == ("a", "b")


# Hooks that call the manager


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("hook", ["first", "last"])
@pytest.mark.parametrize("name", ["load", "load_all", "unload", "unload_all"])
def test_hook_that_calls_the_manager_is_refused(
    backend: str, hook: str, name: str
) -> None:
    """It would wait for itself: what a plugin needs stands in its manifest."""

    async def scene() -> None:
        host = Host()
        host.add("other")
        await host.plugins.load_all()
        arguments = () if "all" in name else ("other",)

        async def call(*_: object) -> None:
            await getattr(host.plugins, name)(*arguments)

        setattr(host.add("a"), hook, call)
        with pytest.raises(PluginHookError) as caught:
            await host.plugins.load("a")
            await host.plugins.unload("a")
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert "a" not in host.loaded
        await host.check()
        await host.plugins.unload_all()
        assert host.loaded == ()

    hops = Hops(Random(0))
    if backend == "trio":
        play_on_trio(scene, hops)
    else:
        play(scene, hops, is_shuffled=False)


async def test_handler_may_load_a_plugin(host: Host) -> None:
    """Such as one that waits for an event: it is outside of any operation."""
    host.add("late")
    host.add(
        "a",
        first=lambda context: context.events.on(
            "begin", lambda _: host.plugins.load("late")
        ),
    )
    await host.plugins.load("a")
    await host.events.emit("begin")
    assert host.loaded == ("a", "late")
    await host.events.emit(PING)

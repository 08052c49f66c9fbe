"""Plugin events: an EventBus like any other, with subscriptions that end."""

from typing import Any

import pytest

from latency_kv.facets.event_bus import EventBus
from latency_kv.plugins.plugin_events import PluginEvents
from latency_kv.providers.events import PyeeEventBus
from latency_kv.testing.event_bus import EventBusContract


class TestPluginEvents(EventBusContract):
    @pytest.fixture
    def provider(self) -> EventBus:
        return PluginEvents(PyeeEventBus(), "clock")


class Failing:
    """A bus whose handles raise; it is not supposed to, and nobody suffers from it."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def emit(self, event: str, /, payload: Any = None) -> None: ...

    def on(self, event: str, handler: Any, /) -> Any:
        def unsubscribe() -> None:
            self.ended.append(event)
            raise RuntimeError("the bus's own")

        return unsubscribe

    def off(self, event: str, handler: Any, /) -> None: ...


pytestmark = pytest.mark.anyio


@pytest.fixture
def bus() -> PyeeEventBus:
    return PyeeEventBus()


async def test_plugins_hear_one_another(bus: PyeeEventBus) -> None:
    one, other = PluginEvents(bus, "one"), PluginEvents(bus, "other")
    seen: list[Any] = []
    other.on("tick", seen.append)
    bus.on("tick", seen.append)
    await one.emit("tick", 1)
    assert seen == [1, 1]


async def test_end_is_of_this_plugins_subscriptions(bus: PyeeEventBus) -> None:
    one, other = PluginEvents(bus, "one"), PluginEvents(bus, "other")
    seen: list[Any] = []
    for events in (one, other):
        events.on("tick", seen.append)
        events.on("tock", seen.append)
    one.end()
    await bus.emit("tick", 1)
    await bus.emit("tock", 2)
    assert seen == [1, 2]


async def test_handler_of_two_plugins_is_called_for_each(bus: PyeeEventBus) -> None:
    """And goes only from the one that takes it off, by its handle or by `off`."""
    one, other = PluginEvents(bus, "one"), PluginEvents(bus, "other")
    seen: list[Any] = []
    unsubscribe = one.on("tick", seen.append)
    other.on("tick", seen.append)
    await bus.emit("tick", 1)
    assert seen == [1, 1]
    unsubscribe()
    await bus.emit("tick", 2)
    assert seen == [1, 1, 2]
    one.off("tick", seen.append)
    bus.off("tick", seen.append)
    await bus.emit("tick", 3)
    assert seen == [1, 1, 2, 3]


async def test_handle_that_is_spent_ends_no_later_subscription(
    bus: PyeeEventBus,
) -> None:
    events = PluginEvents(bus, "clock")
    seen: list[Any] = []
    unsubscribe = events.on("tick", seen.append)
    events.off("tick", seen.append)
    events.on("tick", seen.append)
    unsubscribe()
    await events.emit("tick", 1)
    assert seen == [1]
    events.off("tick", seen.append)
    await events.emit("tick", 2)
    assert seen == [1]


async def test_handlers_that_are_equal_are_not_the_same(bus: PyeeEventBus) -> None:
    class Equal:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        __hash__ = None  # type: ignore[assignment]

        def __call__(self, payload: Any) -> None:
            self.seen.append(payload)

    events = PluginEvents(bus, "clock")
    first, second = Equal(), Equal()
    events.on("tick", first)
    events.on("tick", second)
    events.off("tick", second)
    await events.emit("tick", 1)
    assert (first.seen, second.seen) == ([1], [])


async def test_events_are_over_after_the_end(bus: PyeeEventBus) -> None:
    events = PluginEvents(bus, "clock")
    unsubscribe = events.on("tick", print)
    events.end()
    events.end()
    unsubscribe()
    events.off("tick", print)
    with pytest.raises(RuntimeError, match="plugin 'clock' is not loaded any more"):
        events.on("tick", print)
    with pytest.raises(RuntimeError, match="plugin 'clock' is not loaded any more"):
        await events.emit("tick")


async def test_end_ends_all_also_where_a_handle_raises() -> None:
    bus = Failing()
    events = PluginEvents(bus, "clock")
    for event in ("a", "b", "c"):
        events.on(event, print)
    with pytest.raises(RuntimeError, match="the bus's own"):
        events.end()
    assert bus.ended == ["c", "b", "a"]
    events.end()


async def test_handler_is_not_kept_by_an_ended_subscription(bus: PyeeEventBus) -> None:
    import gc
    import weakref

    class Handler:
        def __call__(self, payload: Any) -> None: ...

    events = PluginEvents(bus, "clock")
    handler = Handler()
    gone = weakref.ref(handler)
    events.on("tick", handler)
    events.off("tick", handler)
    del handler
    gc.collect()
    assert gone() is None


async def test_repr_names_the_plugin(bus: PyeeEventBus) -> None:
    assert repr(PluginEvents(bus, "clock")).endswith(", 'clock')")

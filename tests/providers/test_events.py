"""Events: PyeeEventBus keeps the facet's contract, with any handler and any name.

What happens when much happens at once is in test_event_schedules.py.
"""

import asyncio
import enum
import gc
import logging
import types
import weakref
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from latency_kv.documents.store import FileSystemStateStore
from latency_kv.facets.event_bus import EventBus, EventHandler
from latency_kv.providers.events import PyeeEventBus
from latency_kv.testing.event_bus import EventBusContract

pytestmark = pytest.mark.anyio

# An application's own events, which mean something to pyee.
NAMES_IN_PYEE = ["error", "new_listener"]


class TestPyeeEventBus(EventBusContract):
    @pytest.fixture
    def provider(self) -> EventBus:
        return PyeeEventBus()


class Name(enum.StrEnum):
    SOLD = "sold"


class OldName(str, enum.Enum):
    """Formatted it is not its value, and its hash is another."""

    SOLD = "sold"


@dataclass
class Unhashable:
    """Equal to any other that has heard the same, and without a hash."""

    heard: list[Any] = field(default_factory=list)

    async def __call__(self, payload: Any) -> None:
        await anyio.lowlevel.checkpoint()
        self.heard.append(payload)


@dataclass(frozen=True)
class Hashable:
    """Equal to any other, whatever it has heard."""

    heard: list[Any] = field(default_factory=list, compare=False)

    def __call__(self, payload: Any) -> None:
        self.heard.append(payload)


class Promise:
    """An awaitable that is no coroutine."""

    def __init__(self, work: Awaitable[Any]) -> None:
        self.work = work

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.work.__await__()


class Ear:
    """Hears in every way that a handler can."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def method(self, payload: Any) -> None:
        self.heard.append(payload)

    async def slow_method(self, payload: Any) -> None:
        await anyio.lowlevel.checkpoint()
        self.heard.append(payload)

    async def named(self, name: str, payload: Any) -> None:
        await self.slow_method(payload)

    def promise(self, payload: Any) -> Awaitable[None]:
        return Promise(self.slow_method(payload))

    @types.coroutine
    def _generator(self, payload: Any) -> Generator[Any, Any, None]:
        yield from self.slow_method(payload).__await__()

    def generator(self, payload: Any) -> Awaitable[None]:
        return self._generator(payload)

    async def __call__(self, payload: Any) -> None:
        await self.slow_method(payload)


HANDLERS: dict[str, Callable[[Ear], EventHandler]] = {
    "function": lambda ear: lambda payload: ear.heard.append(payload),
    "method": lambda ear: ear.method,
    "slow method": lambda ear: ear.slow_method,
    "method of a builtin": lambda ear: ear.heard.append,
    "partial": lambda ear: partial(ear.named, "ear"),
    "object": lambda ear: ear,
    "object's __call__": lambda ear: ear.__call__,
    "method of a slot": lambda ear: partial(ear.named, "ear").__call__,
    "object without a hash": lambda ear: Unhashable(ear.heard),
    "awaitable": lambda ear: ear.promise,
    "generator": lambda ear: ear.generator,
}


@pytest.mark.parametrize("handler_of", HANDLERS.values(), ids=HANDLERS)
async def test_anything_callable_is_a_handler(
    handler_of: Callable[[Ear], EventHandler],
) -> None:
    bus, ear = PyeeEventBus(), Ear()
    handler = handler_of(ear)
    unsubscribe = bus.on("sold", handler)
    bus.on("sold", handler)
    await bus.emit("sold", 1)
    assert ear.heard == [1]
    unsubscribe()
    await bus.emit("sold", 2)
    bus.on("sold", handler)
    await bus.emit("sold", 3)
    bus.off("sold", handler)
    await bus.emit("sold", 4)
    assert ear.heard == [1, 3]


@pytest.mark.parametrize("name", ["method", "slow_method", "promise", "__call__"])
async def test_method_is_found_again(name: str) -> None:
    """It is another object each time that it is looked up."""
    bus, ear, other = PyeeEventBus(), Ear(), Ear()
    bus.on("sold", getattr(other, name))
    bus.on("sold", getattr(ear, name))
    bus.on("sold", getattr(ear, name))
    bus.off("sold", getattr(other, name))
    await bus.emit("sold", 1)
    assert (ear.heard, other.heard) == ([1], [])


async def test_method_of_a_slot_is_found_again() -> None:
    bus, ear = PyeeEventBus(), Ear()
    kept = partial(ear.named, "ear")
    bus.on("sold", kept.__call__)
    bus.on("sold", kept.__call__)
    await bus.emit("sold", 1)
    bus.off("sold", kept.__call__)
    await bus.emit("sold", 2)
    assert ear.heard == [1]


@pytest.mark.parametrize("kind", [Unhashable, Hashable])
async def test_equal_handlers_are_two(kind: type[Unhashable | Hashable]) -> None:
    """Else the second would be the first one's, until the first has heard something."""
    bus, first, second = PyeeEventBus(), kind(), kind()
    assert first == second
    bus.on("sold", first)
    bus.on("sold", second)
    await bus.emit("sold", 1)
    assert (first.heard, second.heard) == ([1], [1])
    bus.off("sold", second)
    await bus.emit("sold", 2)
    assert (first.heard, second.heard) == ([1, 2], [1])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_future_is_awaited() -> None:
    bus, heard = PyeeEventBus(), list[Any]()
    task: list[asyncio.Task[None]] = []

    def start(payload: Any) -> asyncio.Task[None]:
        task.append(asyncio.ensure_future(Ear().slow_method(payload)))
        return task[0]

    bus.on("sold", start)
    bus.on("sold", lambda payload: heard.append(task[0].done()))
    await bus.emit("sold", 1)
    assert heard == [True]


@pytest.mark.parametrize("name", NAMES_IN_PYEE)
async def test_name_that_pyee_knows_is_one_like_any_other(name: str) -> None:
    bus, heard = PyeeEventBus(), list[Any]()
    await bus.emit(name, ValueError("nobody listens"))
    await bus.emit(name)
    unsubscribe = bus.on(name, heard.append)
    bus.on(name, print)
    bus.off(name, print)
    bus.on("sold", print)()
    assert heard == []
    error = ValueError("somebody listens")
    await bus.emit(name, error)
    assert heard == [error]
    unsubscribe()
    await bus.emit(name, error)
    assert heard == [error]


async def test_failing_handler_of_another_event_is_no_error_event() -> None:
    bus, heard = PyeeEventBus(), list[Any]()

    async def failing(payload: Any) -> None:
        raise RuntimeError("a handler's own")

    bus.on("error", heard.append)
    bus.on("sold", failing)
    await bus.emit("sold", 1)
    assert heard == []


@pytest.mark.parametrize("name", ["", ":", ":error", "*", "a b", "\n", "\udcff"])
async def test_any_text_is_a_name_taken_literally(name: str) -> None:
    bus, heard, others = PyeeEventBus(), list[Any](), list[Any]()
    bus.on(name, heard.append)
    for other in ("sold", "error", f"{name}:", f":{name}"):
        bus.on(other, others.append)
    await bus.emit(name, 1)
    assert (heard, others) == ([1], [])


@pytest.mark.parametrize("name", [Name.SOLD, OldName.SOLD])
async def test_member_of_an_enum_is_its_value(name: str) -> None:
    bus, heard = PyeeEventBus(), list[Any]()
    bus.on(name, heard.append)
    await bus.emit("sold", 1)
    bus.off("sold", heard.append)
    await bus.emit(name, 2)
    assert heard == [1]


@pytest.mark.parametrize("name", [None, 7, b"sold"])
async def test_name_that_is_no_text_is_refused(name: Any) -> None:
    bus = PyeeEventBus()
    with pytest.raises(TypeError):
        bus.on(name, print)
    with pytest.raises(TypeError):
        bus.off(name, print)
    with pytest.raises(TypeError):
        await bus.emit(name)


@pytest.mark.parametrize("handler", [None, "print"])
async def test_handler_that_cannot_be_called_is_refused(handler: Any) -> None:
    with pytest.raises(TypeError, match="callable"):
        PyeeEventBus().on("sold", handler)


async def test_handler_that_leaves_skips_nobody() -> None:
    bus, heard = PyeeEventBus(), list[str]()

    def leaving(payload: Any) -> None:
        heard.append("leaving")
        bus.off("sold", leaving)

    bus.on("sold", leaving)
    bus.on("sold", lambda payload: heard.append("next"))
    bus.on("sold", lambda payload: heard.append("last"))
    await bus.emit("sold")
    await bus.emit("sold")
    assert heard == ["leaving", "next", "last", "next", "last"]


async def test_handler_that_leaves_runs_to_its_end() -> None:
    bus, heard = PyeeEventBus(), list[str]()

    async def leaving(payload: Any) -> None:
        unsubscribe()
        await anyio.lowlevel.checkpoint()
        heard.append("end")

    unsubscribe = bus.on("sold", leaving)
    await bus.emit("sold")
    assert heard == ["end"]


async def test_handler_that_comes_again_before_its_turn_waits_for_the_next() -> None:
    bus, heard = PyeeEventBus(), list[Any]()

    def renewing(payload: Any) -> None:
        bus.off("sold", heard.append)
        bus.on("sold", heard.append)

    bus.on("sold", renewing)
    bus.on("sold", heard.append)
    await bus.emit("sold", 1)
    assert heard == []


async def test_handler_that_came_again_is_the_last() -> None:
    bus, heard = PyeeEventBus(), list[str]()

    def first(payload: Any) -> None:
        heard.append("first")

    def second(payload: Any) -> None:
        heard.append("second")

    bus.on("sold", first)
    bus.on("sold", second)
    bus.on("sold", first)
    await bus.emit("sold")
    assert heard == ["first", "second"]
    bus.off("sold", first)
    bus.on("sold", first)
    await bus.emit("sold")
    assert heard[2:] == ["second", "first"]


async def test_either_handle_of_a_subscription_ends_it() -> None:
    bus, heard = PyeeEventBus(), list[Any]()
    for index in range(2):
        handles = [bus.on("sold", heard.append) for _ in range(2)]
        handles[index]()
        await bus.emit("sold", 1)
    assert heard == []


@pytest.mark.parametrize("is_ended_by_off", [False, True])
async def test_handle_ends_its_own_subscription_alone(is_ended_by_off: bool) -> None:
    bus, heard = PyeeEventBus(), list[Any]()
    old = bus.on("sold", heard.append)
    if is_ended_by_off:
        bus.off("sold", heard.append)
    else:
        old()
    bus.on("sold", heard.append)
    old()
    await bus.emit("sold", 1)
    assert heard == [1]


async def test_handle_may_be_called_during_its_own_emit() -> None:
    bus, heard = PyeeEventBus(), list[Any]()

    async def ending(payload: Any) -> None:
        unsubscribe()
        await bus.emit("sold", payload + 1)
        heard.append(payload)

    unsubscribe = bus.on("sold", ending)
    await bus.emit("sold", 1)
    assert heard == [1]


async def test_nobody_keeps_a_handler_that_was_taken_off() -> None:
    bus, ear = PyeeEventBus(), Ear()
    gone = weakref.ref(ear)
    handles = [bus.on("sold", ear.method), bus.on("sold", ear)]
    for handle in handles:
        handle()
    del ear
    gc.collect()
    assert gone() is None


async def test_bus_that_all_have_left_is_as_new() -> None:
    bus = PyeeEventBus()
    for number in range(3):
        bus.on(f"sold {number}", print)()
    assert not bus._subscriptions
    assert not bus._emitter.event_names()


async def test_failure_is_logged_with_its_event_and_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, error = PyeeEventBus(), RuntimeError("a handler's own")

    async def failing(payload: Any) -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    bus.on("100%\nsold", failing)
    await bus.emit("100%\nsold")
    (record,) = caplog.records
    assert record.name == "latency_kv.events"
    assert record.levelno == logging.ERROR
    assert record.getMessage() == r"a handler of event '100%\nsold' failed"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize(
    "error",
    [
        StopIteration(),
        TimeoutError(),
        ExceptionGroup("several", [ValueError(), KeyError()]),
    ],
    ids=repr,
)
async def test_exception_of_any_kind_is_isolated(error: Exception) -> None:
    bus, heard = PyeeEventBus(), list[Any]()

    def failing(payload: Any) -> None:
        raise error

    bus.on("sold", failing)
    bus.on("sold", heard.append)
    await bus.emit("sold", 1)
    assert heard == [1]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(1),
        GeneratorExit(),
        BaseExceptionGroup("several", [ValueError(), KeyboardInterrupt()]),
    ],
    ids=repr,
)
def test_what_is_no_exception_goes_through(
    error: BaseException, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """By hand: a loop has ideas of its own about each of these."""
    bus, heard = PyeeEventBus(), list[Any]()

    def ending(payload: Any) -> None:
        raise error

    async def ending_later(payload: Any) -> None:
        raise error

    bus.on("sold", ending_later if is_async else ending)
    bus.on("sold", heard.append)
    with pytest.raises(type(error)) as caught:
        bus.emit("sold", 1).send(None)
    assert caught.value is error
    assert heard == []
    assert not caplog.records
    bus.off("sold", ending_later if is_async else ending)
    with pytest.raises(StopIteration):
        bus.emit("sold", 2).send(None)
    assert heard == [2]


async def test_handler_in_an_emit_in_an_emit_is_isolated_there() -> None:
    bus, heard = PyeeEventBus(), list[Any]()

    def failing(payload: Any) -> None:
        raise RuntimeError("a handler's own")

    async def relay(payload: Any) -> None:
        await bus.emit("inner", payload)
        heard.append("relay")

    bus.on("inner", failing)
    bus.on("inner", heard.append)
    bus.on("sold", relay)
    await bus.emit("sold", 1)
    assert heard == [1, "relay"]


def test_bus_outlives_its_loop() -> None:
    bus, ear = PyeeEventBus(), Ear()
    bus.on("sold", ear.slow_method)
    for number, backend in enumerate(["asyncio", "trio", "asyncio"]):
        anyio.run(bus.emit, "sold", number, backend=backend)
    assert ear.heard == [0, 1, 2]


async def test_document_store_tells_its_events_to_a_bus(folder: Path) -> None:
    bus, ear = PyeeEventBus(), Ear()
    bus.on("state.saved", ear.slow_method)
    bus.on("state.error", ear.slow_method)
    async with FileSystemStateStore(bus, state_dir=folder) as store:
        await store.save("clock", {"zone": "UTC"})
    assert [event.plugin_name for event in ear.heard] == ["clock"]

"""Events: the EventBus facet over pyee, which keeps who listens to what, in order.

pyee calls its listeners without awaiting them, and has two events of its own, "error"
and "new_listener".  So the bus asks pyee for the listeners and calls them itself, and
puts a mark before each event's name.

Knows no plugin.  Start at `PyeeEventBus.emit`.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from functools import partial
from inspect import isawaitable
from types import BuiltinMethodType, MethodType, MethodWrapperType
from typing import TYPE_CHECKING, Any

from pyee.base import EventEmitter

if TYPE_CHECKING:
    from latency_kv.facets.event_bus import EventHandler, Unsubscribe

__all__ = ["PyeeEventBus"]

# With it no event has the name of one of pyee's own.
_MARK = ":"

# What is another object each time that it is looked up, and equal to the one before.
_BOUND = (MethodType, BuiltinMethodType, MethodWrapperType)

_logger = logging.getLogger("latency_kv.events")


class PyeeEventBus:
    """An EventBus of one process: an event is over when its `emit` returns.

    Handlers are functions, bound methods or any callables, sync or async; whatever
    awaitable one returns is awaited, on asyncio and trio.  Two handlers are one if they
    are the same object, or the same method of the same object; equal ones are two.

    Belongs to one event loop: no method may be called from another thread.

    >>> import anyio
    >>> bus = PyeeEventBus()
    >>> unsubscribe = bus.on("seat.sold", print)
    >>> anyio.run(bus.emit, "seat.sold", "12A")
    12A
    """

    __slots__ = ("_emitter", "_subscriptions")

    def __init__(self) -> None:
        self._emitter = EventEmitter()
        # By the event's name and the handler's identity.
        self._subscriptions: dict[tuple[str, Hashable], _Subscription] = {}

    async def emit(self, event: str, payload: Any = None) -> None:
        """Call each handler of the event with the payload, and await it; then the next.

        In order of subscription, all that are subscribed when this begins and not taken
        off before their turn.  One that raises an Exception is logged, by the logger
        "latency_kv.events"; any other BaseException, such as a cancellation, ends the
        emit.  Emits that overlap go side by side.
        """
        for subscription in self._emitter.listeners(_name(event)):
            try:
                result = subscription(payload)
                if isawaitable(result):
                    await result
            except Exception:
                _logger.exception("a handler of event %r failed", event)

    def on(self, event: str, handler: EventHandler) -> Unsubscribe:
        """Subscribe the handler; return what takes it off, the first time it is called.

        A handler that is subscribed already keeps its place.  TypeError for one that
        cannot be called.
        """
        if not callable(handler):
            raise TypeError(f"a handler has to be callable, this one is {handler!r}")
        name = _name(event)
        key = name, _identity(handler)
        subscription = self._subscriptions.get(key)
        if subscription is None:
            subscription = self._subscriptions[key] = _Subscription(name, handler)
            self._emitter.add_listener(name, subscription)
        return partial(self._end, subscription)

    def off(self, event: str, handler: EventHandler) -> None:
        """Take the handler off the event, if it is subscribed."""
        subscription = self._subscriptions.get((_name(event), _identity(handler)))
        if subscription is not None:
            self._end(subscription)

    def _end(self, subscription: _Subscription) -> None:
        # The handler goes, so that whoever keeps the handle does not keep it alive.
        handler, subscription.handler = subscription.handler, None
        if handler is not None:
            del self._subscriptions[subscription.name, _identity(handler)]
            self._emitter.remove_listener(subscription.name, subscription)


class _Subscription:
    """What pyee has for a listener: calls the handler, as long as that is subscribed.

    One that was taken off stays silent, also in an emit that has begun; the same
    handler subscribed again is another subscription.
    """

    __slots__ = ("handler", "name")

    def __init__(self, name: str, handler: EventHandler) -> None:
        self.name = name
        self.handler: EventHandler | None = handler

    def __call__(self, payload: Any) -> object:
        return None if self.handler is None else self.handler(payload)


def _name(event: str) -> str:
    """Return the name that the event has in pyee; TypeError for one that is no str."""
    return _MARK + event


def _identity(handler: EventHandler) -> Hashable:
    # A handler's id is its own as long as its subscription holds it.
    return handler if isinstance(handler, _BOUND) else id(handler)

"""InMemoryEventBus: the EventBus facet over a list of subscriptions.

Start at `InMemoryEventBus.emit`.
"""

from collections.abc import Callable
from inspect import isawaitable
from types import BuiltinMethodType, MethodType
from typing import Any

from latency_kv.facets.event_bus import EventHandler


class Subscription:
    """A handler's to an event; is_open as long as it hears of it."""

    def __init__(self, event: str, handler: EventHandler) -> None:
        self.event = event
        self.handler = handler
        self.is_open = True

    def end(self) -> None:
        self.is_open = False


class InMemoryEventBus:
    """Keeps what failing handlers raise in `failures`, the oldest first."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.subscriptions: list[Subscription] = []

    async def emit(self, event: str, /, payload: Any = None) -> None:
        for subscription in self.open(event):
            if subscription.is_open:
                await self.call(subscription.handler, payload)

    def on(self, event: str, handler: EventHandler, /) -> Callable[[], None]:
        subscription = self.found(event, handler)
        if subscription is None:
            subscription = Subscription(event, handler)
            self.subscriptions.append(subscription)
        return subscription.end

    def off(self, event: str, handler: EventHandler, /) -> None:
        subscription = self.found(event, handler)
        if subscription is not None:
            subscription.end()

    def open(self, event: str) -> list[Subscription]:
        return [s for s in self.subscriptions if s.is_open and s.event == event]

    def found(self, event: str, handler: EventHandler) -> Subscription | None:
        same = (s for s in self.open(event) if is_same(s.handler, handler))
        return next(same, None)

    async def call(self, handler: EventHandler, payload: Any) -> None:
        try:
            result = handler(payload)
            if isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            self.failures.append(error)


def is_same(one: EventHandler, other: EventHandler) -> bool:
    """Tell whether two are one: a bound method is a new object each time."""
    if isinstance(one, MethodType | BuiltinMethodType):
        return one == other
    return one is other

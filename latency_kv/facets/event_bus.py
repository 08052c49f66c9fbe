"""Event bus: news for whoever has asked for it, by the name of an event.

Start at `EventBus`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

__all__ = ["EventBus", "EventHandler", "Unsubscribe"]

EventHandler: TypeAlias = Callable[[Any], object]
"""payload -> anything; an awaitable is awaited, what comes of it is dropped."""

Unsubscribe: TypeAlias = Callable[[], None]
"""Ends one subscription; every further call does nothing."""


@runtime_checkable
class EventBus(Protocol):
    """Publish and subscribe within one process; `emit` is async, the rest sync.

    Names are compared as they are: there are no patterns and no hierarchy.  A payload
    is handed over by reference, one for all handlers, so nobody changes it.  Nothing is
    kept: who subscribes later does not get what was emitted before.

    A handler that raises is the bus's to report: the emitter does not see it, and the
    other handlers are called.  Only cancellation goes through.
    """

    async def emit(self, event: str, /, payload: Any = None) -> None:
        """Call whoever is subscribed to the event now, in the order of subscription.

        One after the other, an async handler to its end: when this returns, all are
        done.  Who is unsubscribed meanwhile and has not been called is not called any
        more; who subscribes meanwhile waits for the next one.  A handler may emit.
        """
        ...

    def on(self, event: str, handler: EventHandler, /) -> Unsubscribe:
        """Subscribe, and return what ends the subscription.

        A handler that is subscribed to the event already keeps its place: it is called
        once for each event, and either handle ends it.  A handle that has done so is
        spent: it does not end a later subscription.
        """
        ...

    def off(self, event: str, handler: EventHandler, /) -> None:
        """End the handler's subscription to the event; without one, do nothing.

        The same handler is the same object, or the same method of the same object.
        """
        ...

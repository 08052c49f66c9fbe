"""Announcer: tells an emitter of events in their order, whatever the emitter is like.

Knows the names of events, no operation.  Start at `Announcer.tell`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable
from inspect import isawaitable

from anyio import Event

from latency_kv.documents.events import Emitter, StateEvent
from latency_kv.endings import to_the_end

__all__ = ["Announcer"]

_logger = logging.getLogger("latency_kv.documents")


class Announcer:
    """The events that an emitter is to be told of, one after the other.

    Plain emitters hear each at once.  What an emitter returns to be awaited is awaited
    by `deliver`, and the events behind it wait for that.  An emitter that raises is
    logged, and nobody's failure.
    """

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self._news: deque[StateEvent] = deque()
        # What the last `emit` returned, if that has to be awaited.
        self._slow: Awaitable[object] | None = None
        self._is_delivering = False
        self._told: Event | None = None

    def tell(self, event: StateEvent) -> None:
        """Tell of an event, as soon as those before it are told."""
        self._news.append(event)
        self._spread()

    async def deliver(self) -> None:
        """Await what the emitter wants to be awaited, to its end also when cancelled.

        Returns at once where somebody is at it, such as the listener that calls: what it
        caused is told after what it hears.
        """
        if self._slow is not None and not self._is_delivering:
            self._is_delivering = True
            await to_the_end(self._deliver)

    async def drained(self) -> None:
        """Wait until all is told, whoever is at it."""
        while self._slow is not None:
            if self._is_delivering:
                self._told = Event()
                await self._told.wait()
            else:
                await self.deliver()

    async def _deliver(self) -> None:
        try:
            while self._slow is not None:
                try:
                    await self._slow
                except Exception:
                    _logger.exception("an event could not be told")
                finally:
                    self._slow = None
                    self._spread()
        finally:
            self._is_delivering = False
            if self._told is not None:
                self._told.set()

    def _spread(self) -> None:
        while self._news and self._slow is None:
            event = self._news.popleft()
            try:
                result = self.emitter.emit(event.type, event)
            except Exception:
                _logger.exception("%s could not be told", event.type)
            else:
                if isawaitable(result):
                    self._slow = result

"""Queue: one line of operations for each plugin, first come, first served.

A place is taken when an operation is called, without a wait, so the order of calls is
the order of work however the loop schedules their tasks.

Knows no operation; one event loop at a time.  Start at `PluginQueue.enter`.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from types import TracebackType

from anyio import Event

__all__ = ["Place", "PluginQueue"]

# What this task is inside of, with what the task that began it was inside of then.
_AT_WORK: ContextVar[tuple[Place, ...]] = ContextVar("_AT_WORK", default=())


class PluginQueue:
    """The lines of all plugins; they do not wait for one another."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Place]] = {}
        self._empty = Event()

    def enter(self, plugin_name: str) -> Place:
        """Take the last place of a plugin's line, which has to be entered and left."""
        place = Place(self, plugin_name)
        self._lines.setdefault(plugin_name, deque()).append(place)
        return place

    def demand_outside(self, plugin_name: str) -> None:
        """Raise RuntimeError inside an operation on the plugin, or a task begun there.

        What is called there would wait for what waits for it.
        """
        for place in _AT_WORK.get():
            if (
                place.queue is self
                and place.plugin_name == plugin_name
                and place.is_open
            ):
                raise RuntimeError(
                    f"plugin {plugin_name!r}: an operation on its state was called from "
                    "inside another, such as update's function, and would wait for it "
                    "for ever: return the new data instead"
                )

    async def drained(self) -> None:
        """Wait until nobody is in any line."""
        while self._lines:
            self._empty = Event()
            await self._empty.wait()

    def first(self, place: Place) -> bool:
        """Tell whether it is this place's turn."""
        return self._lines[place.plugin_name][0] is place

    def leave(self, place: Place) -> None:
        """Give a place up, at the head of its line or before; the next one's turn comes."""
        line = self._lines[place.plugin_name]
        line.remove(place)
        if line:
            line[0].turn.set()
        else:
            del self._lines[place.plugin_name]
            if not self._lines:
                self._empty.set()


class Place:
    """One place: `async with` waits for its turn, and leaves at the end."""

    def __init__(self, queue: PluginQueue, plugin_name: str) -> None:
        self.queue = queue
        self.plugin_name = plugin_name
        self.turn = Event()
        self.is_open = True

    async def reached(self) -> None:
        """Wait for its turn; cancelled, it keeps its place."""
        if not self.queue.first(self):
            await self.turn.wait()

    async def __aenter__(self) -> None:
        try:
            await self.reached()
        except BaseException:
            self.queue.leave(self)
            raise
        _AT_WORK.set((*_AT_WORK.get(), self))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_open = False
        _AT_WORK.set(tuple(place for place in _AT_WORK.get() if place is not self))
        self.queue.leave(self)

"""Deferred: saves that wait for the last of many calls.

Knows no document and no disk: a `write` is handed in.  Start at `DeferredSaves.put`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from anyio import (
    CancelScope,
    Event,
    current_time,
    move_on_after,
)
from anyio.abc import TaskGroup

from latency_kv.documents.operations import Operations
from latency_kv.documents.queue import Place
from latency_kv.errors import StateError

__all__ = ["Deferred", "DeferredSaves"]

_logger = logging.getLogger("latency_kv.documents")


class DeferredSaves:
    """At most one save a plugin that waits, each with a task that ends with it."""

    def __init__(
        self,
        operations: Operations,
        write: Callable[[Deferred], Awaitable[None]],
    ) -> None:
        self._operations = operations
        self._queue = operations.queue
        self._write = write
        self._waiting: dict[str, Deferred] = {}
        # Also those that have a place in their line, until they are through.
        self._unsaved: dict[Deferred, None] = {}

    def put(
        self,
        group: TaskGroup,
        plugin_name: str,
        document: Any,
        version: int | None,
        delay: float,
        max_delay: float,
    ) -> None:
        """Let this document wait, instead of the one that did."""
        deferred = self._waiting.get(plugin_name)
        if deferred is None:
            deferred = Deferred(plugin_name, current_time() + max_delay)
            self._waiting[plugin_name] = deferred
            self._unsaved[deferred] = None
            group.start_soon(self._save_when_due, deferred)
        deferred.replace(document, version, current_time() + delay)

    def seal(self, plugin_name: str) -> None:
        """Give what waits its place in the line: what is called now comes behind it."""
        if plugin_name in self._waiting:
            place = self._queue.enter(plugin_name)
            self._waiting.pop(plugin_name).seal(place)

    def plugin_names(self) -> list[str]:
        """Return whose saves wait, or are on their way."""
        return [deferred.plugin_name for deferred in self._unsaved]

    def seal_all(self) -> list[Deferred]:
        """Seal everything that waits; return all that is not saved yet."""
        for plugin_name in list(self._waiting):
            self.seal(plugin_name)
        return list(self._unsaved)

    async def finish(self) -> None:
        """Save what is left, as far as no task is at it.

        asyncio cancels all tasks of a loop that is to end, shielded ones too, and those
        that have not begun.
        """
        for deferred in list(self._unsaved):
            await self._save(deferred)

    async def _save_when_due(self, deferred: Deferred) -> None:
        # Whoever is cancelled around the store still gets what waits written.
        with CancelScope(shield=True):
            await deferred.wait()
            await self._save(deferred)

    async def _save(self, deferred: Deferred) -> None:
        while deferred.is_at_work:
            await deferred.left.wait()
        if deferred.is_settled:
            return
        if deferred.place is None:
            del self._waiting[deferred.plugin_name]
            deferred.place = self._queue.enter(deferred.plugin_name)
        deferred.is_at_work, deferred.left = True, Event()
        try:
            await deferred.place.reached()
            await self._write(deferred)
        except StateError as error:
            deferred.settled(error)
            _logger.error("a save that was deferred failed: %s", error)
        finally:
            deferred.is_at_work = False
            deferred.left.set()
            # Else this was cancelled all the same; it keeps its place, for `finish`.
            if deferred.is_settled:
                self._queue.leave(deferred.place)
                del self._unsaved[deferred]
                deferred.ended.set()
        await self._operations.announcer.deliver()


class Deferred:
    """What is to be saved for a plugin, and when; times are the loop's, in seconds.

    It waits until it is due or sealed, and takes no other document from then on.
    `ended` is set when that is over, written or failed with `error`.
    """

    def __init__(self, plugin_name: str, latest: float) -> None:
        self.plugin_name = plugin_name
        self.latest = latest
        self.due = latest
        self.document: Any = None
        self.version: int | None = None
        self.place: Place | None = None
        # Whether a task saves it; left is set when that one ends, done or cancelled.
        self.is_at_work = False
        self.left = Event()
        self.is_settled = False
        self.ended = Event()
        self.error: StateError | None = None
        self._changed = Event()

    def replace(self, document: Any, version: int | None, due: float) -> None:
        """Wait for this document now; without a version, with that of the one before."""
        self.document = document
        self.version = self.version if version is None else version
        is_earlier = due < self.due
        self.due = min(due, self.latest)
        if is_earlier:
            self._changed.set()

    def seal(self, place: Place) -> None:
        """End the wait, with this place in the line."""
        self.place = place
        self._changed.set()

    def settled(self, error: BaseException | None) -> None:
        """Note that it was written, or what it failed with."""
        self.is_settled = True
        if isinstance(error, StateError):
            self.error = error

    async def wait(self) -> None:
        """Wait until it is sealed or due."""
        while self.place is None and (rest := self.due - current_time()) > 0:
            self._changed = Event()
            with move_on_after(rest):
                await self._changed.wait()

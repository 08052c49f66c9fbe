"""Operations: how one is done, whatever it does.

    turn        a place in the plugin's line, until the operation is through
    hop         work in a thread, its errors made the package's own, its end told
    held        the plugin's lock, within the work
    failures    what the loop's part of an operation raises, told

Somebody else's lock is asked for again and again from the loop, so that a plugin whose
lock is held keeps no thread from the others.

Knows no operation of its own.  Start at `Operations.hop`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from anyio import current_time, get_cancelled_exc_class, sleep

from latency_kv.documents.announcer import Announcer
from latency_kv.documents.events import Operation, StateErrorEvent
from latency_kv.documents.files import DocumentFiles
from latency_kv.documents.queue import PluginQueue
from latency_kv.documents.threads import in_thread
from latency_kv.errors import (
    LockTimeoutError,
    StateError,
    StateReadError,
    StateWriteError,
)

__all__ = ["Operations"]

_T = TypeVar("_T")

# A lock is held for one write; asking this often delays the next writer little.
_POLL_S = 0.01

# Whose failures are those of reading.
_READERS: frozenset[Operation] = frozenset(
    {"load", "exists", "validate", "list_backups"}
)


class Operations:
    """What all operations of one store share: its files, their order, its listeners.

    lock_timeout is in seconds; negative is for ever.
    """

    def __init__(
        self, files: DocumentFiles, announcer: Announcer, lock_timeout: float
    ) -> None:
        self.files = files
        self.announcer = announcer
        self.lock_timeout = lock_timeout
        self.queue = PluginQueue()
        self._opened = False

    def open(self) -> None:
        """Open the files, once; called in a thread."""
        if not self._opened:
            self.files.open()
            self._opened = True

    @asynccontextmanager
    async def turn(self, plugin_name: str) -> AsyncIterator[None]:
        """Wait behind all earlier operations on the plugin; later ones wait for this."""
        try:
            async with self.queue.enter(plugin_name):
                yield
        except (Exception, get_cancelled_exc_class()):
            await self.announcer.deliver()
            raise
        await self.announcer.deliver()

    async def hop(
        self,
        operation: Operation,
        plugin_name: str,
        work: Callable[[], _T],
        tell: Callable[[_T], object] | None = None,
        settled: Callable[[BaseException | None], object] | None = None,
    ) -> _T:
        """Do the work in a thread; tell of its end, also where this is cancelled.

        settled is called with what it raised, or None, when it has been told.
        """
        limit = math.inf if self.lock_timeout < 0 else self.lock_timeout
        deadline = current_time() + limit

        def checked() -> _T:
            try:
                return work()
            except (StateError, LockTimeoutError):
                raise
            except OSError as error:
                raise self._failed(operation, plugin_name, error) from error

        def settle(outcome: Future[_T]) -> None:
            error = outcome.exception()
            if error is None:
                if tell is not None:
                    tell(outcome.result())
            elif isinstance(error, LockTimeoutError):
                return
            else:
                self._tell_error(operation, plugin_name, error)
            if settled is not None:
                settled(error)

        while True:
            try:
                return await in_thread(checked, settle)
            except LockTimeoutError as busy:
                if current_time() >= deadline:
                    late = LockTimeoutError(busy.path, self.lock_timeout)
                    break
            await sleep(_POLL_S)
        with self.failures(operation, plugin_name):
            raise self._failed(operation, plugin_name, late) from late

    @contextmanager
    def held(self, plugin_name: str) -> Iterator[None]:
        """Open the files and hold the plugin's lock; entered in a thread."""
        self.open()
        with self.files.hold(plugin_name):
            yield

    def holding(
        self, plugin_name: str, work: Callable[..., _T], *arguments: Any
    ) -> Callable[[], _T]:
        """Return the work on a plugin, to be done under its lock."""

        def held() -> _T:
            with self.held(plugin_name):
                return work(plugin_name, *arguments)

        return held

    @contextmanager
    def failures(self, operation: Operation, plugin_name: str) -> Iterator[None]:
        """Tell of what is raised inside."""
        try:
            yield
        except Exception as error:
            self._tell_error(operation, plugin_name, error)
            raise

    def _tell_error(
        self, operation: Operation, plugin_name: str, error: BaseException
    ) -> None:
        # What is no Exception is nobody's failure: the program ends.
        if isinstance(error, Exception):
            self.announcer.tell(StateErrorEvent(plugin_name, operation, error))

    def _failed(
        self, operation: Operation, plugin_name: str, error: OSError
    ) -> StateReadError | StateWriteError:
        kind = StateReadError if operation in _READERS else StateWriteError
        reason = f"{operation} failed: {error.strerror or error}"
        failed = kind(plugin_name, reason, self.files.directory)
        failed.errno = error.errno
        return failed

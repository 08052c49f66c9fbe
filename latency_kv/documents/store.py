"""FileSystemStateStore: one versioned JSON document a plugin, in one folder; async.

    a call       the data are taken as they are now, and a place in the plugin's line
    its turn     one hop into a thread, where the files do the work under the plugin's lock
    its end      the events, on the loop, before the next one's turn

What calls a function of the user's, which belongs on the loop, takes two hops: `update`
and `migrate` read in the first and write in the second, and hold the lock meanwhile.

A cancelled call that had its turn is done or not done like any other, only that nobody
is told but the listeners.  A lock that somebody else holds is asked for again and again
from the loop, so it keeps no thread.

Knows neither format nor files: those are in `document` and `files`.  Start at
`FileSystemStateStore.save`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from inspect import isawaitable
from operator import index
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from anyio import create_task_group, get_cancelled_exc_class

from latency_kv.documents.announcer import Announcer
from latency_kv.documents.deferred import Deferred, DeferredSaves
from latency_kv.documents.document import checked_version, detached
from latency_kv.documents.events import (
    Emitter,
    Operation,
    StateBackupCreatedEvent,
    StateClearedEvent,
    StateEvent,
    StateEvents,
    StateLoadedEvent,
    StateMigratedEvent,
    StateRecoveredEvent,
    StateRestoredEvent,
    StateSavedEvent,
)
from latency_kv.documents.files import Cleared, DocumentFiles, Recovered, Written
from latency_kv.documents.migrations import migrated, plan
from latency_kv.documents.names import stem_of
from latency_kv.documents.operations import Operations
from latency_kv.documents.threads import in_thread
from latency_kv.endings import to_the_end
from latency_kv.errors import (
    StateFormatError,
    StateParseError,
    StateValidationError,
    StateWriteError,
)
from latency_kv.facets.stores import Migration, StateData, Validator

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

__all__ = ["FileSystemStateStore"]


class FileSystemStateStore:
    """JSON documents of plugins, one a plugin, durable, with backups; a DocumentStateStore.

    save  load  exists  clear     the document
    update(plugin, f)             read, change and write as one operation
    save_later  flush             saves that wait for the last of many
    migrate  validate             versions
    restore  list_backups         what it was before the last changes

    Operations on one plugin happen one at a time in the order of their calls, those on
    different plugins side by side; any number of stores and processes may share a folder.
    Each takes one hop into a thread and a few system calls; a change is durable when it
    returns, which takes as long as the disk needs for two syncs.

    `events` is told of each operation after its end: anything with `emit(name, payload)`,
    by default a `StateEvents` to listen to (see `latency_kv.documents.events`).  state_dir
    is created with mode 0700, its files have 0600.  max_backups may be 0.  Without durable
    a power cut may leave anything.  lock_timeout, in seconds, is how long to wait for
    another process's change of the same document; negative is for ever.

    `async with` opens the folder, and at the end writes what `save_later` left waiting
    and lets go when all operations are through.  Without it the folder is opened by the
    first change, and there is no `save_later`.  One event loop uses a store at a time.

    >>> import anyio
    >>> from tempfile import TemporaryDirectory
    >>> async def main(folder):
    ...     async with FileSystemStateStore(state_dir=folder) as store:
    ...         await store.save("clock", {"zone": "UTC"})
    ...         await store.update("clock", lambda data: {**data, "alarms": []})
    ...         print((await store.load("clock")).data)
    >>> with TemporaryDirectory() as folder:
    ...     anyio.run(main, folder)
    {'zone': 'UTC', 'alarms': []}
    """

    def __init__(
        self,
        events: Emitter | None = None,
        *,
        state_dir: str | os.PathLike[str] = ".agentos/state",
        max_backups: int = 3,
        pretty_print: bool = True,
        durable: bool = True,
        lock_timeout: float = 10.0,
    ) -> None:
        if index(max_backups) < 0:
            raise ValueError(f"max_backups is {max_backups}; 0 keeps none")
        self.events: Any = StateEvents() if events is None else events
        self.state_dir = Path(state_dir).absolute()
        self.max_backups = max_backups
        self.pretty_print = pretty_print
        self.durable = durable
        self.lock_timeout = lock_timeout
        self._files = DocumentFiles(
            self.state_dir,
            max_backups=max_backups,
            pretty_print=pretty_print,
            durable=durable,
        )
        self._closed = False
        self._operations = Operations(self._files, Announcer(self.events), lock_timeout)
        self._group: TaskGroup | None = None
        self._deferred = DeferredSaves(self._operations, self._write_deferred)

    def __repr__(self) -> str:
        return f"FileSystemStateStore(state_dir={str(self.state_dir)!r})"

    async def __aenter__(self) -> Self:
        self._demand_open()
        if self._group is not None:
            raise RuntimeError("this store is open already")
        await in_thread(self._operations.open, lambda outcome: None)
        self._group = await create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        waiting = self._deferred.seal_all()
        try:
            await self._close()
        finally:
            if self._group is not None:
                # Without the error: its tasks are through.
                await self._group.__aexit__(None, None, None)
        if error is None:
            _raise_all(waiting)

    async def save(
        self, plugin_name: str, data: Any, /, version: int | None = None
    ) -> None:
        """Store the document, durably; what it replaces becomes backup 1.

        data are any JSON value, taken as they are at the call.  Version None keeps the
        stored document's, or is 1 where there is none.  A damaged document is set aside.

        Raises StateWriteError, and the old document stands; OutcomeUnknownError, and the
        new one does, but may not survive a power cut.
        """
        self._admit(plugin_name)
        version = None if version is None else checked_version(version)
        document = await self._taken(plugin_name, data)
        async with self._turn(plugin_name):
            await self._write("save", plugin_name, document, version)

    async def load(
        self, plugin_name: str, /, *, recover: bool = False
    ) -> StateData[Any] | None:
        """Return the document, or None where there is none.

        With recover a damaged one is set aside, and the newest good backup takes its
        place.  Raises StateReadError, and StateParseError with what is in the file;
        without a good backup recover does too.
        """

        def work() -> Recovered:
            try:
                return Recovered(self._files.read(plugin_name))
            except StateFormatError:
                raise
            except StateParseError:
                if not recover:
                    raise
                with self._operations.held(plugin_name):
                    return self._files.recover(plugin_name)

        def tell(done: Recovered) -> None:
            if done.state is None:
                return
            version = done.state.version
            if done.backup is not None:
                backup, corrupt = str(done.backup), str(done.corrupt)
                self._operations.announcer.tell(
                    StateRecoveredEvent(
                        plugin_name, version, backup, corrupt, done.reason
                    )
                )
            self._operations.announcer.tell(StateLoadedEvent(plugin_name, version))

        self._admit(plugin_name)
        async with self._turn(plugin_name):
            return (await self._operations.hop("load", plugin_name, work, tell)).state

    async def exists(self, plugin_name: str, /) -> bool:
        """Tell whether the plugin has a document, sound or damaged."""
        self._admit(plugin_name)
        async with self._turn(plugin_name):
            work = partial(self._files.exists, plugin_name)
            return await self._operations.hop("exists", plugin_name, work)

    async def clear(self, plugin_name: str, /) -> None:
        """Remove the document, if there is one; it becomes backup 1."""

        def tell(done: Cleared) -> None:
            self._tell_backup(plugin_name, done.backup)
            if done.existed:
                self._operations.announcer.tell(StateClearedEvent(plugin_name))

        self._admit(plugin_name)
        async with self._turn(plugin_name):
            work = self._operations.holding(plugin_name, self._files.clear)
            await self._operations.hop("clear", plugin_name, work, tell)

    async def restore(self, plugin_name: str, /, backup_index: int = 1) -> None:
        """Put a backup in the document's place, as `list_backups` counts them from 1.

        It is checked before anything changes, and what it replaces becomes backup 1, so
        the others move on by one.  Raises StateReadError where there is no such backup,
        StateParseError where it is damaged.
        """
        if index(backup_index) < 1:
            raise ValueError(f"backup_index is {backup_index}; 1 is the newest")

        def tell(done: Written) -> None:
            self._tell_backup(plugin_name, done.backup)
            self._operations.announcer.tell(
                StateRestoredEvent(plugin_name, backup_index)
            )

        self._admit(plugin_name)
        async with self._turn(plugin_name):
            work = self._operations.holding(
                plugin_name, self._files.restore, backup_index
            )
            await self._operations.hop("restore", plugin_name, work, tell)

    async def list_backups(self, plugin_name: str, /) -> list[str]:
        """Return the paths of the backups, newest first: the n-th is `restore`'s n."""

        def work() -> list[Path]:
            if not self.state_dir.exists():
                return []
            return self._operations.holding(plugin_name, self._files.backups)()

        self._admit(plugin_name)
        async with self._turn(plugin_name):
            paths = await self._operations.hop("list_backups", plugin_name, work)
        return [str(path) for path in paths]

    async def validate(self, plugin_name: str, validator: Validator, /) -> bool:
        """Return the validator's word on the document's data; True where there is none.

        Raises StateValidationError from what the validator raises.
        """
        self._admit(plugin_name)
        async with self._turn(plugin_name):
            work = partial(self._files.read, plugin_name)
            state = await self._operations.hop("validate", plugin_name, work)
            if state is None:
                return True
            with self._operations.failures("validate", plugin_name):
                try:
                    return bool(await _called(validator, state.data))
                except Exception as error:
                    raise StateValidationError(
                        plugin_name,
                        f"its validator raised {error!r}",
                        self._files.path(plugin_name),
                    ) from error

    async def migrate(
        self,
        plugin_name: str,
        /,
        target_version: int,
        migrations: Mapping[int, Migration],
    ) -> None:
        """Lift the document to the target version, in one step or not at all.

        `migrations[v](data, v - 1)` makes version v, for each v in turn, on the loop or
        awaited.  Without a document, or at that version or above, nothing happens.
        Raises StateMigrationError for one that is missing or fails.
        """
        target_version = checked_version(target_version)
        self._admit(plugin_name)
        async with self._turn(plugin_name):
            with ExitStack() as lock:
                state = await self._read_holding("migrate", plugin_name, lock)
                if state is None or state.version >= target_version:
                    return
                with self._operations.failures("migrate", plugin_name):
                    path = self._files.path(plugin_name)
                    steps = plan(
                        plugin_name, state.version, target_version, migrations, path
                    )
                    document = await migrated(plugin_name, state.data, steps, path)
                news = StateMigratedEvent(plugin_name, state.version, target_version)
                await self._write(
                    "migrate", plugin_name, document, target_version, news, lock
                )

    async def update(
        self,
        plugin_name: str,
        f: Callable[[Any], Any],
        /,
        version: int | None = None,
    ) -> Any:
        """Store `f(data)`, or what it awaits to, and return it; None if there is none.

        No other operation comes between, of other processes neither.  What f raises
        comes out as it is, and nothing has changed; an operation on the same plugin
        inside it raises RuntimeError, for it would wait for ever.
        """
        version = None if version is None else checked_version(version)
        self._admit(plugin_name)
        async with self._turn(plugin_name):
            with ExitStack() as lock:
                state = await self._read_holding("update", plugin_name, lock)
                with self._operations.failures("update", plugin_name):
                    data = await _called(f, None if state is None else state.data)
                    document = detached(data, plugin_name)
                await self._write("update", plugin_name, document, version, None, lock)
        return document

    async def save_later(
        self,
        plugin_name: str,
        data: Any,
        /,
        version: int | None = None,
        *,
        delay: float = 0.5,
        max_delay: float = 5.0,
    ) -> None:
        """Save when nobody has called this for `delay` seconds, and return at once.

        But not later than max_delay after the first call that waits.  Only the last
        call's data are written.  Another operation on the plugin, `flush` or the end of
        the `async with` writes them first.  A failure is told by `state.error` and the
        log, and raised by the `flush` or the end that waited for it.
        """
        for name, seconds in (("delay", delay), ("max_delay", max_delay)):
            if math.isnan(seconds) or seconds < 0:
                raise ValueError(f"{name} is {seconds}; it is in seconds, from 0")
        self._admit(plugin_name)
        if self._group is None:
            raise RuntimeError(
                "save_later needs somebody who saves at the end: use the store as "
                "`async with FileSystemStateStore(...) as store`"
            )
        version = None if version is None else checked_version(version)
        document = await self._taken(plugin_name, data)
        self._deferred.put(
            self._group, plugin_name, document, version, delay, max_delay
        )

    async def flush(self) -> None:
        """Write all that `save_later` has waiting, and wait for it.

        Raises what failed, as an ExceptionGroup if more than one did.
        """
        self._demand_open()
        for plugin_name in self._deferred.plugin_names():
            self._operations.queue.demand_outside(plugin_name)
        waiting = self._deferred.seal_all()
        for deferred in waiting:
            await deferred.ended.wait()
        _raise_all(waiting)

    def _admit(self, plugin_name: str) -> None:
        """Refuse a name that cannot be, and everything after the end."""
        stem_of(plugin_name)
        self._demand_open()

    def _demand_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")

    async def _taken(self, plugin_name: str, data: Any) -> Any:
        """Take a document as it is at the call: without a wait, unless it is none."""
        try:
            with self._operations.failures("save", plugin_name):
                return detached(data, plugin_name)
        except StateWriteError:
            await self._operations.announcer.deliver()
            raise

    def _turn(self, plugin_name: str) -> AbstractAsyncContextManager[None]:
        """The turn of an operation that is called now, behind the save that waits."""
        self._operations.queue.demand_outside(plugin_name)
        self._deferred.seal(plugin_name)
        return self._operations.turn(plugin_name)

    async def _read_holding(
        self, operation: Operation, plugin_name: str, lock: ExitStack
    ) -> StateData[Any] | None:
        """Read the document, and keep the plugin's lock on the stack."""

        def work() -> StateData[Any] | None:
            lock.enter_context(self._operations.held(plugin_name))
            return self._files.read(plugin_name)

        return await self._operations.hop(operation, plugin_name, work)

    async def _write(
        self,
        operation: Operation,
        plugin_name: str,
        document: Any,
        version: int | None,
        news: StateEvent | None = None,
        lock: ExitStack | None = None,
        settled: Callable[[BaseException | None], object] | None = None,
    ) -> None:
        """Write the document under a lock that is held already, or for this write."""

        def work() -> Written:
            with self._operations.held(plugin_name) if lock is None else lock:
                return self._files.write(plugin_name, document, version)

        def tell(done: Written) -> None:
            self._tell_backup(plugin_name, done.backup)
            self._operations.announcer.tell(
                StateSavedEvent(plugin_name, done.state.version, done.size)
            )
            if news is not None:
                self._operations.announcer.tell(news)

        await self._operations.hop(operation, plugin_name, work, tell, settled)

    async def _write_deferred(self, deferred: Deferred) -> None:
        await self._write(
            "save",
            deferred.plugin_name,
            deferred.document,
            deferred.version,
            settled=deferred.settled,
        )

    async def _close(self) -> None:
        """Wait for all that goes on, again where asyncio cancels the wait itself."""
        is_drained = False
        cancelled: BaseException | None = None

        async def drain() -> None:
            nonlocal is_drained
            await self._deferred.finish()
            await self._operations.queue.drained()
            await self._operations.announcer.drained()
            is_drained = True

        while not is_drained:
            try:
                await to_the_end(drain)
            except get_cancelled_exc_class() as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def _tell_backup(self, plugin_name: str, backup: Path | None) -> None:
        if backup is not None:
            self._operations.announcer.tell(
                StateBackupCreatedEvent(plugin_name, str(backup))
            )


async def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, or what that awaits to."""
    result = function(*arguments)
    return await result if isawaitable(result) else result


def _raise_all(waiting: list[Deferred]) -> None:
    errors = [deferred.error for deferred in waiting if deferred.error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup("documents that were not saved", errors)

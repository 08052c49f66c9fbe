"""LMDB environments: one a folder and process, with the one thread that writes to it.

    set    -- work --+
    delete -- work --+--> thread: begin, work, work, ..., commit --> all of them are told
    set    -- work --+            what waits goes into one transaction, and one sync

    entries    namespace size, namespace, the key's UTF-8    ->    end, the value's JSON
    ends       end                                           ->    entries' keys

An end is 8 bytes, big-endian: microseconds since the epoch of the clock, or 0 for never.

Invariants
    1. A folder is open at most once in a process: LMDB's locks belong to the process,
       and closing a second environment would let go of the first one's.
    2. Under each end but 0 are the keys of those entries that have it, and no others.
    3. Who awaits a write is told after the commit that has it in it, and nobody reads
       before that what it wrote.
    4. No transaction is open while a task waits.

Knows no clock, and no meaning of a key or a value.  Start at `LmdbEnvironment.write`.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, TypeVar, cast
from weakref import WeakSet

import lmdb
from anyio import Event

from latency_kv.durable import make_directory, sync_directory

if TYPE_CHECKING:
    from lmdb import Transaction

__all__ = [
    "END_SIZE",
    "NEVER",
    "LmdbChange",
    "LmdbEnvironment",
    "LmdbWork",
    "Moment",
    "UnsettledCommitError",
]

END_SIZE: Final = 8
"""How many bytes of an entry say when it is over."""

NEVER: Final = bytes(END_SIZE)
"""The end of an entry that stays."""

T = TypeVar("T")

Call: TypeAlias = Callable[..., object]

# The names say the format: another one gets other names.
_ENTRIES = b"latency-kv:entries:1"
_ENDS = b"latency-kv:ends:1"

_FILE_MODE = 0o600

# Processes and threads that read at the same moment, not those that have it open.
_MAX_READERS = 1_024

# Read transactions that are kept for the next: to begin a new one takes longer.
_SPARE_COUNT = 4

# One transaction takes what waits, but so much only: whoever comes first waits for all.
_MOST_WRITES = 256
_MOST_BYTES = 16 << 20


class UnsettledCommitError(Exception):
    """A commit that failed where nobody can say whether it stands; its cause says how."""


class LmdbChange:
    """A write transaction, as those see it whose work is done in it."""

    __slots__ = ("_ends", "_entries", "_transaction")

    def __init__(
        self, transaction: Transaction[memoryview], entries: Any, ends: Any
    ) -> None:
        self._transaction = transaction
        self._entries = entries
        self._ends = ends

    def get(self, key: bytes) -> bytes | None:
        """Return an entry, end and value, None if there is none."""
        entry = self._transaction.get(key, db=self._entries)
        return None if entry is None else bytes(entry)

    def put(self, key: bytes, end: bytes, value: bytes) -> None:
        """Store an entry, over an older one."""
        self._forget_end(key)
        self._transaction.put(key, end + value, db=self._entries)
        if end != NEVER:
            self._transaction.put(end, key, db=self._ends)

    def delete(self, key: bytes) -> None:
        """Delete an entry, if it is there."""
        self._forget_end(key)
        self._transaction.delete(key, db=self._entries)

    def reclaim(self, now: bytes, most: int) -> None:
        """Delete entries whose end is now or was before, the first ones, so many."""
        with self._transaction.cursor(self._ends) as cursor:
            for _ in range(most):
                if not cursor.first() or bytes(cursor.key()) > now:
                    return
                self._transaction.delete(bytes(cursor.value()), db=self._entries)
                cursor.delete()

    def _forget_end(self, key: bytes) -> None:
        entry = self._transaction.get(key, db=self._entries)
        if entry is not None and entry[:END_SIZE] != NEVER:
            self._transaction.delete(bytes(entry[:END_SIZE]), key, db=self._ends)


LmdbWork: TypeAlias = Callable[[LmdbChange], T]
"""What a write does to a transaction; its result is the write's."""


class LmdbEnvironment:
    """An open folder, shared by all stores of the process that ask for it.

    Made by `shared`, and let go of by `release`: the last one who does closes it.  Reads
    may come from any thread, writes from tasks of any event loop.
    """

    _all: ClassVar[dict[str, LmdbEnvironment]] = {}
    _living: ClassVar[WeakSet[LmdbEnvironment]] = WeakSet()
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self, path: str, map_size: int, before: LmdbEnvironment | None
    ) -> None:
        self.path = path
        self.map_size = map_size
        self._is_foreign = False
        self._user_count = 0
        self._before = before
        # Set by the thread, with the two that are in it, before it says `opened`.
        self._environment: lmdb.Environment
        self._begin: Any
        self._entries: Any
        self._ends: Any
        self._error: Exception | None = None
        self._queue: queue.SimpleQueue[_Write | Moment] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._live, name=f"latency-kv lmdb {path}", daemon=True
        )
        self._living.add(self)
        self._opened = Moment()
        self._ended = Moment(self._thread)

    @classmethod
    def shared(cls, path: str, map_size: int) -> LmdbEnvironment:
        """Return the environment of a folder, with one user more; it may not be open yet.

        ValueError if it is open with another map_size.
        """
        path = os.path.realpath(path)
        with cls._lock:
            there = cls._all.get(path)
            if there is None or not there._user_count:
                # One that is about to end is waited for, in the new one's thread.
                there = cls._all[path] = cls(path, map_size, there)
                there._thread.start()
            elif there.map_size != map_size:
                raise ValueError(
                    f"{path} is open in this process with map_size={there.map_size}, and "
                    f"cannot be with {map_size} as well"
                )
            there._user_count += 1
            return there

    def release(self) -> Moment:
        """Have one user less; return when all that this one asked for will be over.

        For the last user that is when the folder is closed, and the thread no more.
        """
        if self._is_foreign:
            # There is no thread here, and the folder is the other process's.
            moment = Moment()
            moment.reach()
            return moment
        with self._lock:
            self._user_count -= 1
            moment = Moment() if self._user_count else self._ended
            self._queue.put(moment)
        return moment

    async def opened(self) -> None:
        """Wait until it is open; raise what keeps it from being so."""
        self._demand_own()
        await self._opened.reached()
        if self._error is not None:
            raise self._error

    def get(self, key: bytes) -> bytes | None:
        """Return an entry, end and value, None if there is none."""
        with self._reading() as transaction:
            entry: bytes | None = transaction.get(key)
            return entry

    def get_many(self, keys: Iterable[bytes]) -> list[bytes | None]:
        """Return an entry or None for each key, all of one instant."""
        with self._reading() as transaction:
            return [transaction.get(key) for key in keys]

    def page(
        self, start: bytes, after: bytes | None, stop: bytes, most: int
    ) -> tuple[list[bytes], list[bytes]]:
        """Return the first keys from start to stop, and behind `after`; and their ends.

        No ends at all where nothing in the folder has one.
        """
        # As buffers: of values, which may be long, no more is copied than their ends.
        with self._reading(buffers=True) as transaction:
            has_ends = transaction.stat(self._ends)["entries"] > 0
            with transaction.cursor() as cursor:
                if not cursor.set_range(start if after is None else after):
                    return [], []
                if bytes(cursor.key()) == after and not cursor.next():
                    return [], []
                there = map(bytes, cursor.iternext(values=False))
                keys = [*islice(takewhile(stop.__gt__, there), most)]
            if not has_ends:
                return keys, []
            return keys, [bytes(transaction.get(key)[:END_SIZE]) for key in keys]

    async def write(self, work: LmdbWork[T], size: int = 0) -> T:
        """Do the work in the thread, in a transaction, and return what it returned.

        The work is done again, in another transaction, where the first one failed for a
        neighbour's sake.  size tells about how many bytes it writes.  An lmdb.Error says
        that nothing was written, UnsettledCommitError that nobody can say.  Cancelled,
        it is done or not done.
        """
        self._demand_own()
        write = _Write(work, size)
        self._queue.put(write)
        try:
            await write.told.wait()
        except BaseException:
            write.is_given_up = True
            raise
        if write.error is not None:
            raise write.error
        return cast("T", write.result)

    def _reading(self, *, buffers: bool = False) -> Any:
        """Begin a transaction that reads entries; to be ended by the same thread."""
        if self._is_foreign:
            self._demand_own()
        try:
            return self._begin(self._entries, None, False, buffers)
        except lmdb.ReadersFullError:
            # There may be places of some that were killed.
            self._environment.reader_check()
            return self._begin(self._entries, None, False, buffers)

    def _demand_own(self) -> None:
        if self._is_foreign:
            raise RuntimeError(
                f"{self.path} was opened before this process was forked off: LMDB "
                "cannot be used across a fork, so open it behind"
            )

    @classmethod
    def _disown(cls) -> None:
        """Leave what was open to the process that this one was forked off from."""
        cls._lock = threading.Lock()
        for environment in cls._living:
            environment._is_foreign = True
        cls._all = {}

    # From here on: the thread.

    def _live(self) -> None:
        try:
            if self._before is not None:
                self._before._thread.join()
                self._before = None
            self._open()
        except Exception as error:  # noqa: BLE001 - it is raised by `opened`
            self._error = error
        self._opened.reach()
        self._serve()
        if self._error is None:
            self._environment.close()
        with self._lock:
            if self._all.get(self.path) is self:
                del self._all[self.path]
        self._ended.reach()

    def _open(self) -> None:
        make_directory(self.path)
        environment = lmdb.open(
            self.path,
            map_size=self.map_size,
            mode=_FILE_MODE,
            max_readers=_MAX_READERS,
            max_dbs=2,
            max_spare_txns=_SPARE_COUNT,
        )
        try:
            with environment.begin() as transaction, transaction.cursor() as cursor:
                names = {bytes(name) for name in cursor.iternext(values=False)}
            if strange := names - {_ENTRIES, _ENDS}:
                raise lmdb.IncompatibleError(
                    "the folder is another program's, or a later release's: there is "
                    f"{min(strange)!r} in it"
                )
            self._entries = environment.open_db(_ENTRIES)
            self._ends = environment.open_db(_ENDS, dupsort=True)
            # LMDB syncs what is in its files, and not that there are files.
            sync_directory(self.path)
            # Of those that were killed: else what they saw is kept for ever.
            environment.reader_check()
        except BaseException:
            environment.close()
            raise
        self._environment = environment
        self._begin = environment.begin

    def _serve(self) -> None:
        """Write what comes, until the end is asked for."""
        while True:
            batch: list[_Write] = []
            size = 0
            asked = self._queue.get()
            while isinstance(asked, _Write):
                batch.append(asked)
                size += asked.size
                if len(batch) == _MOST_WRITES or size >= _MOST_BYTES:
                    break
                try:
                    asked = self._queue.get_nowait()
                except queue.Empty:
                    break
            self._write([write for write in batch if not write.is_given_up])
            _tell(batch)
            if asked is self._ended:
                return
            if isinstance(asked, Moment):
                asked.reach()

    def _write(self, batch: list[_Write]) -> None:
        """Do all in one transaction; or, if that fails, each in one of its own."""
        if not batch:
            return
        try:
            self._commit(batch)
        except UnsettledCommitError as error:
            for write in batch:
                write.error = error
        except Exception as error:  # noqa: BLE001 - it is raised by `write`
            if len(batch) == 1:
                batch[0].error = error
                return
            for write in batch:
                self._write([write])

    def _commit(self, batch: list[_Write]) -> None:
        transaction = self._environment.begin(write=True, buffers=True)
        try:
            change = LmdbChange(transaction, self._entries, self._ends)
            for write in batch:
                write.result = write.work(change)
        except BaseException:
            transaction.abort()
            raise
        try:
            transaction.commit()
        except lmdb.Error as error:
            if self._is_sound():
                raise
            raise UnsettledCommitError from error

    def _is_sound(self) -> bool:
        """Whether LMDB goes on: it does not if it failed when it wrote what is valid."""
        try:
            self._environment.begin().abort()
        except lmdb.PanicError:
            return False
        except lmdb.Error:
            pass
        return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=LmdbEnvironment._disown)


class Moment:
    """A moment that a thread reaches once, and that tasks of any loop may wait for.

    thread is one that has nothing left to do then, and whose end is waited for too.
    """

    def __init__(self, thread: threading.Thread | None = None) -> None:
        self._thread = thread
        self._lock = threading.Lock()
        self._is_reached = False
        self._waiting: list[tuple[Call, Event]] = []

    def reach(self) -> None:
        """Wake who waits, from any thread."""
        with self._lock:
            self._is_reached = True
        for call, event in self._waiting:
            _call(call, event.set)

    async def reached(self) -> None:
        """Wait for it."""
        event = Event()
        with self._lock:
            if not self._is_reached:
                self._waiting.append((_caller(), event))
            else:
                event.set()
        await event.wait()
        if self._thread is not None:
            self._thread.join()


class _Write:
    """Some work, who waits for it, and what came of it."""

    __slots__ = ("call", "error", "is_given_up", "result", "size", "told", "work")

    def __init__(self, work: LmdbWork[Any], size: int) -> None:
        self.work = work
        self.size = size
        self.call = _caller()
        self.told = Event()
        self.is_given_up = False
        self.result: object = None
        self.error: Exception | None = None


def _tell(batch: list[_Write]) -> None:
    """Wake who waits, each loop once."""
    loops: defaultdict[Call, list[_Write]] = defaultdict(list)
    for write in batch:
        loops[write.call].append(write)
    for call, writes in loops.items():
        _call(call, _set_told, writes)


def _set_told(writes: list[_Write]) -> None:
    for write in writes:
        write.told.set()


def _call(call: Call, *arguments: object) -> None:
    # RuntimeError: a loop that has ended has nobody who waits.
    with suppress(RuntimeError):
        call(*arguments)


def _caller() -> Call:
    """Return what has the running loop call a function soon, from whatever thread."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        token: Any = sys.modules["trio"].lowlevel.current_trio_token()
        caller: Call = token.run_sync_soon
        return caller

"""File: the StateStore facet in documents on disk, one a namespace, to be read by eye.

Each write makes the whole document anew, under its lock, and leaves out what is over:
for states that are small.  Writes that wait for one another share one.

Invariants
    1. A change that has been taken from those that wait is told its outcome, whoever is
       cancelled.
    2. What is held of the document is what is in the file: a file whose stamp stays the
       same, and was settled when it was read, is not another.

Knows FileSystemStateStore, not the disk but for stamps.  Start at `FileStateStore.set`.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import SplitResult, quote, unquote_to_bytes

from anyio import CancelScope, Lock, create_task_group

from latency_kv.documents.backups import state_file
from latency_kv.documents.names import stem_of
from latency_kv.documents.store import FileSystemStateStore
from latency_kv.errors import StateError, StateParseError
from latency_kv.json_values import detached_value, encode_value
from latency_kv.providers.file_state import FileState
from latency_kv.providers.key_pages import KeyPages
from latency_kv.providers.state_keys import (
    DEFAULT_NAMESPACE,
    checked_namespace,
    checked_ttl,
    flag,
    key_bytes,
    redacted_url,
    url_options,
)

__all__ = ["FileStateStore"]

_TICKS = 1_000_000

# Far more than a tick of the clocks that files are stamped by.
_SETTLED_NS = 1_000_000_000


class FileStateStore:
    """A StateStore in one JSON document, with all capabilities, durable and atomic.

    documents_dir is the folder, made by the first write, and the namespace the name of
    its document: any number of stores and processes may share both.  No backups are
    kept.  Without durable a power cut may leave anything.  clock tells seconds, the same
    for all that share a document.

    The document is read as a whole, once for as long as nobody writes it; from a second
    after a write a read takes some 10 us.  A write writes it as a whole, in one file with
    those that wait meanwhile.  A damaged document, or one that is somebody else's, raises
    StateParseError and stays.

    >>> import anyio
    >>> from tempfile import TemporaryDirectory
    >>> async def main(folder):
    ...     async with FileStateStore(folder) as states:
    ...         await states.set("seat:12A", {"sold": True})
    ...     async with FileStateStore(folder) as states:
    ...         print(await states.get("seat:12A"))
    >>> with TemporaryDirectory() as folder:
    ...     anyio.run(main, folder)
    {'sold': True}
    """

    set_many_is_atomic: Final = True
    ttl_resolution: Final = 1 / _TICKS

    def __init__(
        self,
        documents_dir: str | os.PathLike[str],
        namespace: str = DEFAULT_NAMESPACE,
        *,
        durable: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._namespace = checked_namespace(namespace)
        self._documents = FileSystemStateStore(
            state_dir=documents_dir, max_backups=0, durable=durable
        )
        path = quote(os.fsencode(self.documents_dir))
        self._url = redacted_url(f"file:{path}", self._namespace)
        self._path = self.documents_dir / state_file(stem_of(self._namespace))
        self._held: tuple[_Stamp, FileState] | None = None
        self._waiting: list[_Waiting] = []
        self._turn = Lock()
        self._closed = False
        self._ended = False
        self.clock = clock

    @classmethod
    def from_url(cls, url: SplitResult, namespace: str, **options: Any) -> Self:
        """Return the store of a URL, `file:PATH`; options are the constructor's."""
        path = os.fsdecode(unquote_to_bytes(url.path))
        if url.netloc not in ("", "localhost") or not path:
            raise ValueError(
                "file: is followed by the path of a folder: 'file:state' is one beside "
                "this process, 'file:///var/state' stands where it says"
            )
        given = url_options(url, {"durable": flag})
        return cls(path, namespace, **{**given, **options})

    @property
    def namespace(self) -> str:
        """Whose keys these are."""
        return self._namespace

    @property
    def documents_dir(self) -> Path:
        """The folder that the document is in."""
        return self._documents.state_dir

    def __repr__(self) -> str:
        return f"FileStateStore({self._url!r})"

    async def __aenter__(self) -> Self:
        await self._read(None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for what goes on, and refuse what comes from now on."""
        self._closed = True
        async with self._turn:
            if not self._ended:
                await self._documents.__aexit__(None, None, None)
                self._ended = True

    async def get(self, key: str, default: Any = None, /) -> Any:
        """Return the value, or the default."""
        key = _checked(key)
        state = await self._read(key)
        return state.value(key, self._url) if state.has(key, self._now()) else default

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        """Store the value, over an older one, for `ttl` seconds or for ever."""
        key, value = _checked(key), detached_value(value)
        ticks = None if ttl is None else ceil(checked_ttl(ttl) * _TICKS)

        def change(state: FileState, now: int) -> bool:
            state.put(key, value, None if ticks is None else now + ticks)
            return True

        await self._change(key, change)

    async def delete(self, key: str, /) -> bool:
        """Delete the value; return whether there was one."""
        key = _checked(key)

        def change(state: FileState, now: int) -> bool:
            was_there = state.has(key, now)
            state.drop(key)
            return was_there

        return await self._change(key, change)

    async def has(self, key: str, /) -> bool:
        """Tell whether the key is there, whatever its value."""
        key = _checked(key)
        return (await self._read(key)).has(key, self._now())

    async def keys(self, prefix: str = "") -> list[str]:
        """List the keys that start with the prefix, by their UTF-8 bytes."""
        prefix = _checked(prefix, "prefix")
        return (await self._read(None)).keys(prefix, self._now())

    def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Iterate over the keys that start with the prefix, by their UTF-8 bytes.

        Holds the document, which is read once, as it is at the first step.
        """
        self._demand_open()
        prefix = _checked(prefix, "prefix")
        held = FileState.empty()

        async def page(after: str | None) -> list[str]:
            nonlocal held
            if after is not None:
                return []
            held = await self._read(None)
            return held.keys(prefix, self._now())

        return KeyPages(page, lambda key: held.has(key, self._now()))

    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        """Store the value if the key is not there; return whether it was stored."""
        key, value = _checked(key), detached_value(value)

        def change(state: FileState, now: int) -> bool:
            if state.has(key, now):
                return False
            state.put(key, value, None)
            return True

        return await self._change(key, change)

    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        """Store `new` if the key's value is `expected`; return whether it was stored."""
        key, wanted, new = _checked(key), encode_value(expected), detached_value(new)

        def change(state: FileState, now: int) -> bool:
            is_wanted = state.has(key, now) and (
                encode_value(state.value(key, self._url)) == wanted
            )
            if is_wanted:
                state.put(key, new, None)
            return is_wanted

        return await self._change(key, change)

    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        """Return a value for each key, in their order, and None where there is none.

        All are of one instant.
        """
        self._demand_open()
        keys = [_checked(key) for key in keys]
        state = await self._read(None)
        now = self._now()
        return [
            state.value(key, self._url) if state.has(key, now) else None for key in keys
        ]

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        """Store each value under its key, all of them or none."""
        entries = {
            _checked(key): detached_value(value) for key, value in values.items()
        }

        def change(state: FileState, now: int) -> bool:
            for key, value in entries.items():
                state.put(key, value, None)
            return bool(entries)

        await self._change(None, change)

    def _demand_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")

    def _now(self) -> int:
        return int(self.clock() * _TICKS)

    async def _read(self, key: str | None) -> FileState:
        """Return what is in the document, not to be changed."""
        self._demand_open()
        stamp = self._stamp()
        if self._held is not None and self._held[0] == stamp:
            return self._held[1]
        is_settled = stamp is not None and _is_settled(stamp)
        with self._told(key):
            document = await self._documents.load(self._namespace)
            if document is None:
                return FileState.empty()
            state = FileState(document.data, self._path)
        if stamp is not None and is_settled and stamp == self._stamp():
            self._held = stamp, state
        return state

    async def _change(
        self, key: str | None, change: Callable[[FileState, int], bool]
    ) -> bool:
        """Change the document as one operation; write it only if `change` says so."""
        self._demand_open()
        mine = _Waiting(change)
        self._waiting.append(mine)
        try:
            async with self._turn:
                if mine in self._waiting:
                    # A task group waits for it even where asyncio cancels this task.
                    async with create_task_group() as group:
                        group.start_soon(self._change_all)
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
        if mine.error is not None:
            with self._told(key):
                raise mine.error
        return mine.is_changed

    async def _change_all(self) -> None:
        """Make all changes that wait in one; each is told its outcome."""
        taken: list[_Waiting] = []

        def changed(data: Any) -> dict[str, Any]:
            # From here on others wait for the outcome.
            scope.shield = True
            taken.extend(self._waiting)
            self._waiting.clear()
            # None is also what an update is told where there is no document.
            is_there = data is not None or os.path.lexists(self._path)
            state = FileState(data, self._path) if is_there else FileState.empty()
            now = self._now()
            for each in taken:
                each.make(state, now)
            if not any(each.is_changed for each in taken):
                raise _UnchangedError
            state.drop_what_is_over(now)
            return state.data

        with CancelScope() as scope:
            try:
                await self._documents.update(self._namespace, changed)
            except _UnchangedError:
                pass
            except Exception as error:  # noqa: BLE001 - it is raised by each of them
                if not taken:
                    # It came before any was: so it is that of all who wait.
                    taken.extend(self._waiting)
                    self._waiting.clear()
                for each in taken:
                    each.fail(error)

    def _stamp(self) -> _Stamp | None:
        """Tell which file the document is, and of when; None where there is none."""
        try:
            status = os.lstat(self._path)
        except OSError:
            return None
        times = status.st_mtime_ns, status.st_ctime_ns
        return _Stamp(status.st_dev, status.st_ino, status.st_size, *times)

    @contextmanager
    def _told(self, key: str | None) -> Iterator[None]:
        """Let errors of the document tell the key and the store."""
        try:
            yield
        except StateError as error:
            error.plugin_name, error.key, error.store = None, key, self._url
            raise


class _Stamp(NamedTuple):
    """What tells a file from the one that replaces it."""

    device: int
    number: int
    size: int
    modified_ns: int
    changed_ns: int


def _is_settled(stamp: _Stamp) -> bool:
    """Tell whether a file that replaces this one from now on has another stamp.

    A new one may get the number of one that is gone, and clocks of files tick slowly.
    """
    return time.time_ns() - max(stamp.modified_ns, stamp.changed_ns) > _SETTLED_NS


class _Waiting:
    """A change that waits for its turn, and then its outcome."""

    def __init__(self, change: Callable[[FileState, int], bool]) -> None:
        self._change = change
        self.is_changed = False
        self.error: Exception | None = None

    def make(self, state: FileState, now: int) -> None:
        try:
            self.is_changed = self._change(state, now)
        except StateParseError as error:
            self.error = error

    def fail(self, error: Exception) -> None:
        self.error = copy(error)
        self.error.__cause__ = error.__cause__


class _UnchangedError(Exception):
    """There is nothing to write."""


def _checked(key: str, what: str = "key") -> str:
    """The key as a plain str."""
    return key_bytes(key, what=what).decode()

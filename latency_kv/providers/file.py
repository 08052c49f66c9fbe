"""File: the StateStore facet in documents on disk, one a namespace, to be read by eye.

    {
      "version": 1,
      "data": {
        "values": {"seat:12A": {"sold": true}, "theme": "dark"},
        "ends": {"theme": 1735689600000000},
        "encoded": {}
      },
      "metadata": ...
    }

An end is in microseconds since the epoch.  A value that is too deep to stand in the
document is in it as JSON text, under `encoded`.  Each write makes the whole document
anew, under its lock, and leaves out what is over: for states that are small.

Knows FileSystemStateStore, not the disk.  Start at `FileStateStore.set`.
"""

from __future__ import annotations

import os
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import SplitResult, quote, unquote_to_bytes

from latency_kv.documents.backups import state_file
from latency_kv.documents.names import stem_of
from latency_kv.documents.store import FileSystemStateStore
from latency_kv.errors import JsonValueError, StateError, StateParseError
from latency_kv.json_values import detached_value, encode_value
from latency_kv.providers.key_pages import KeyPages
from latency_kv.providers.state_keys import (
    DEFAULT_NAMESPACE,
    checked_namespace,
    checked_ttl,
    flag,
    key_bytes,
    redacted_url,
    stored_value,
    url_options,
)

__all__ = ["FileStateStore"]

_TICKS = 1_000_000

_FIELDS = {"values": dict, "ends": dict, "encoded": dict}


class FileStateStore:
    """A StateStore in one JSON document, with all capabilities, durable and atomic.

    documents_dir is the folder, made by the first write, and the namespace the name of
    its document: any number of stores and processes may share both.  No backups are
    kept.  Without durable a power cut may leave anything.  clock tells seconds, the same
    for all that share a document.

    An operation reads the document as a whole, and a write writes it as a whole.  A
    damaged document, or one that is somebody else's, raises StateParseError and stays.

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
        self._closed = False
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
        if not self._closed:
            self._closed = True
            await self._documents.__aexit__(None, None, None)

    async def get(self, key: str, default: Any = None, /) -> Any:
        """Return the value, or the default."""
        key = _checked(key)
        state = await self._read(key)
        return state.value(key, self._url) if state.has(key, self._now()) else default

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        """Store the value, over an older one, for `ttl` seconds or for ever."""
        key, value = _checked(key), detached_value(value)
        ticks = None if ttl is None else ceil(checked_ttl(ttl) * _TICKS)

        def change(state: _State, now: int) -> bool:
            state.put(key, value, None if ticks is None else now + ticks)
            return True

        await self._change(key, change)

    async def delete(self, key: str, /) -> bool:
        """Delete the value; return whether there was one."""
        key = _checked(key)

        def change(state: _State, now: int) -> bool:
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
        held = _State.empty()

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

        def change(state: _State, now: int) -> bool:
            if state.has(key, now):
                return False
            state.put(key, value, None)
            return True

        return await self._change(key, change)

    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        """Store `new` if the key's value is `expected`; return whether it was stored."""
        key, wanted, new = _checked(key), encode_value(expected), detached_value(new)

        def change(state: _State, now: int) -> bool:
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
            # Apart: a key may be asked for twice.
            detached_value(state.value(key, self._url)) if state.has(key, now) else None
            for key in keys
        ]

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        """Store each value under its key, all of them or none."""
        entries = {
            _checked(key): detached_value(value) for key, value in values.items()
        }

        def change(state: _State, now: int) -> bool:
            for key, value in entries.items():
                state.put(key, value, None)
            return bool(entries)

        await self._change(None, change)

    def _demand_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")

    def _now(self) -> int:
        return int(self.clock() * _TICKS)

    async def _read(self, key: str | None) -> _State:
        self._demand_open()
        with self._told(key):
            document = await self._documents.load(self._namespace)
            return _State.empty() if document is None else self._state(document.data)

    async def _change(
        self, key: str | None, change: Callable[[_State, int], bool]
    ) -> bool:
        """Change the document as one operation; write it only if `change` says so."""

        def changed(data: Any) -> dict[str, Any]:
            # None is also what an update is told where there is no document.
            is_there = data is not None or os.path.lexists(self._path)
            state = self._state(data) if is_there else _State.empty()
            now = self._now()
            if not change(state, now):
                raise _UnchangedError
            state.drop_what_is_over(now)
            return state.data

        self._demand_open()
        with self._told(key):
            try:
                await self._documents.update(self._namespace, changed)
            except _UnchangedError:
                return False
        return True

    def _state(self, data: Any) -> _State:
        """Check that a document's data are such a state."""
        if not _is_state(data):
            raise StateParseError(
                None, "the document is not a state store's, and stays", self._path
            )
        return _State(data)

    @contextmanager
    def _told(self, key: str | None) -> Iterator[None]:
        """Let errors of the document tell the key and the store."""
        try:
            yield
        except StateError as error:
            error.plugin_name, error.key, error.store = None, key, self._url
            raise


class _UnchangedError(Exception):
    """There is nothing to write."""


class _State:
    """The values and their ends, in the form that the document has."""

    __slots__ = ("data", "encoded", "ends", "values")

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.values: dict[str, Any] = data["values"]
        self.ends: dict[str, int] = data["ends"]
        self.encoded: dict[str, str] = data["encoded"]

    @classmethod
    def empty(cls) -> _State:
        return cls({field: {} for field in _FIELDS})

    def has(self, key: str, now: int) -> bool:
        end = self.ends.get(key)
        return (key in self.values or key in self.encoded) and (
            end is None or now < end
        )

    def value(self, key: str, store: str) -> Any:
        if key in self.values:
            return self.values[key]
        return stored_value(self.encoded[key].encode(), key, store)

    def keys(self, prefix: str, now: int) -> list[str]:
        # Code points are in the order of their UTF-8.
        return sorted(
            key
            for key in (*self.values, *self.encoded)
            if key.startswith(prefix) and self.has(key, now)
        )

    def put(self, key: str, value: Any, end: int | None) -> None:
        """Store a value that is detached, instead of an older one."""
        self.drop(key)
        try:
            # As deep as it is in the document's data.
            self.values[key] = detached_value({"values": {key: value}})["values"][key]
        except JsonValueError:
            self.encoded[key] = encode_value(value).decode()
        if end is not None:
            self.ends[key] = end

    def drop(self, key: str) -> None:
        for values in self.data.values():
            values.pop(key, None)

    def drop_what_is_over(self, now: int) -> None:
        for key in [key for key, end in self.ends.items() if end <= now]:
            self.drop(key)


def _is_state(data: Any) -> bool:
    return (
        isinstance(data, dict)
        and data.keys() == _FIELDS.keys()
        and all(isinstance(data[field], kind) for field, kind in _FIELDS.items())
        and all(type(end) is int for end in data["ends"].values())
        and all(type(text) is str for text in data["encoded"].values())
        and data["values"].keys().isdisjoint(data["encoded"])
        and data["ends"].keys() <= data["values"].keys() | data["encoded"].keys()
    )


def _checked(key: str, what: str = "key") -> str:
    """The key as a plain str."""
    return key_bytes(key, what=what).decode()

"""Stores: the four interfaces that keep state, and the records they hand over.

    ByteStateStore       bytes -> bytes in key order, snapshots              sync
    DocumentStateStore   plugin -> one versioned JSON document, backups      async
    PluginStateStore     one plugin's ephemeral objects                      sync
    StateStore           key -> JSON-like value, from memory to a cluster    async

and what a StateStore may be able to do besides, each asked for with `isinstance`:

    AtomicStateStore     set_if_absent, compare_and_set
    BatchStateStore      get_many, set_many
    ExpiringStateStore   set with a ttl
    PagedStateStore      iter_keys
    OpenedStateStore     all of these, and an end: what `open_state_store` returns

Each docstring says what an implementer owes and what a consumer may rely on.  Keys,
values and defaults are positional, so an implementer is free in naming them; options
go by name.

`isinstance` asks for members by name and cannot see that one is async: every StateStore
also passes for a PluginStateStore.  Where both may come, ask for StateStore first.

Knows no implementation.  Start at `ByteStateStore`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    overload,
    runtime_checkable,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "AtomicStateStore",
    "BatchStateStore",
    "ByteStateSnapshot",
    "ByteStateStore",
    "DocumentStateStore",
    "ExpiringStateStore",
    "Migration",
    "OpenedStateStore",
    "PagedStateStore",
    "PluginStateStore",
    "ReadableByteState",
    "StateData",
    "StateMetadata",
    "StateStore",
    "UpdatableDocumentStateStore",
    "Validator",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Migration: TypeAlias = Callable[[Any, int], Any]
"""(data, its version) -> data one version up, or an awaitable of it."""

Validator: TypeAlias = Callable[[Any], bool]
"""data -> whether it is a state that the plugin can work with."""


@runtime_checkable
class ReadableByteState(Protocol):
    """The reads that a byte store and its snapshots share.

    Keys are any object with a contiguous buffer; what comes back is `bytes`.  The empty
    key and keys with NUL bytes are keys like any other; `str` raises TypeError.
    """

    @overload
    def get(self, key: Buffer, /) -> bytes | None: ...
    @overload
    def get(self, key: Buffer, default: bytes, /) -> bytes: ...
    @overload
    def get(self, key: Buffer, default: T, /) -> bytes | T: ...
    def get(self, key: Buffer, default: Any = None, /) -> Any:
        """Return the value under the key, or the default: a value is never None."""
        ...

    def contains(self, key: Buffer, /) -> bool:
        """Tell whether the key is there."""
        ...

    def prefix_scan(
        self, prefix: Buffer, *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Scan the entries whose keys start with the prefix, in bytewise key order.

        An empty prefix is all of them.  The scan is point-in-time: it shows the state
        as of this call, whatever is written before it ends.
        """
        ...

    def range_scan(
        self,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Scan the entries in `[start, stop)`, in bytewise key order, point-in-time.

        None is an open end, an inverted range is empty, and so is `limit=0`.
        """
        ...

    def size_bytes(self) -> int:
        """Return the sum of the lengths of all keys and values."""
        ...

    def __len__(self) -> int:
        """Return the number of entries."""
        ...


@runtime_checkable
class ByteStateSnapshot(ReadableByteState, Protocol):
    """The state of one moment, which no later write changes."""

    @property
    def timestamp_ns(self) -> int:
        """When it was taken, by the wall clock, in nanoseconds since the epoch."""
        ...

    @property
    def version(self) -> int:
        """The version of its format."""
        ...


@runtime_checkable
class ByteStateStore(ReadableByteState, Protocol):
    """bytes -> bytes, scanned in key order, with snapshots for checkpoints; sync.

    An implementer copies what it is given (or holds it immutable), changes nothing when
    a call raises, and raises ValueError for a key or value beyond its limits.
    """

    def put(self, key: Buffer, value: Buffer, /) -> None:
        """Store the value under the key, over an older one."""
        ...

    def delete(self, key: Buffer, /) -> bool:
        """Delete the entry; return whether there was one."""
        ...

    def snapshot(self) -> ByteStateSnapshot:
        """Return the state as it is now, independent of every later write."""
        ...

    def restore(self, snapshot: Any, /) -> None:
        """Replace everything by what a snapshot of this kind of store holds.

        It never merges, and a restore that raises changes nothing.
        """
        ...

    def clear(self) -> None:
        """Delete every entry."""
        ...


@dataclass(frozen=True, slots=True)
class StateMetadata:
    """Who wrote a document, and when (with a time zone)."""

    last_modified: datetime
    plugin_name: str


# Without slots: with them, CPython 3.11 cannot make `StateData[T](...)`.
@dataclass(frozen=True)
class StateData(Generic[T_co]):
    """A plugin's document as `DocumentStateStore.load` returns it."""

    version: int
    data: T_co
    metadata: StateMetadata


@runtime_checkable
class DocumentStateStore(Protocol):
    """One versioned JSON document for each plugin, with backups and migrations; async.

    A document is any JSON value, falsy ones too; a version is an integer from 0.
    Operations on one plugin happen one at a time in the order in which they were
    called; plugins do not wait for one another.  When a call that changes returns, the
    change is durable; when it raises, the old document stands, unless the exception
    says that the outcome is unknown.

    Failures raise the package's own exceptions with plugin name, path and cause.  A
    damaged document raises too, and is never overwritten silently.  An empty plugin
    name raises ValueError.
    """

    async def save(
        self, plugin_name: str, data: Any, /, version: int | None = None
    ) -> None:
        """Store the document; what it replaces becomes backup 1.

        Version None keeps the stored document's, or is 1 where there is none.
        """
        ...

    async def load(self, plugin_name: str, /) -> StateData[Any] | None:
        """Return the document, or None where there is none."""
        ...

    async def exists(self, plugin_name: str, /) -> bool:
        """Tell whether the plugin has a document."""
        ...

    async def clear(self, plugin_name: str, /) -> None:
        """Remove the document, if there is one; it becomes backup 1."""
        ...

    async def migrate(
        self,
        plugin_name: str,
        /,
        target_version: int,
        migrations: Mapping[int, Migration],
    ) -> None:
        """Lift the document to the target version, in one step or not at all.

        `migrations[v](data, v - 1)` makes version v, for each v in turn.  Without a
        document, or at that version or above it, nothing happens.  A missing migration
        raises like one that fails.
        """
        ...

    async def validate(self, plugin_name: str, validator: Validator, /) -> bool:
        """Return the validator's word on the document; True where there is none."""
        ...

    async def restore(self, plugin_name: str, /, backup_index: int = 1) -> None:
        """Put a backup in the document's place; 1 is the newest.

        The backup is checked first, and what it replaces is backed up.
        """
        ...

    async def list_backups(self, plugin_name: str, /) -> list[str]:
        """Name the backups, the newest first: the n-th is `restore`'s index n."""
        ...


@runtime_checkable
class UpdatableDocumentStateStore(DocumentStateStore, Protocol):
    """A DocumentStateStore that reads and changes in one operation; async."""

    async def load(
        self, plugin_name: str, /, *, recover: bool = False
    ) -> StateData[Any] | None:
        """Return the document, or None where there is none.

        With recover a damaged one is set aside, and the newest good backup takes its
        place.
        """
        ...

    async def update(
        self,
        plugin_name: str,
        f: Callable[[Any], Any],
        /,
        version: int | None = None,
    ) -> Any:
        """Store `f(data)`, or what it awaits to, and return it; None if there is none.

        No other operation comes between.  If f raises, nothing has changed.
        """
        ...

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

        But not later than max_delay seconds after the first call that waits.
        """
        ...


@runtime_checkable
class PluginStateStore(Protocol):
    """One plugin's values, for as long as the plugin is loaded; sync.

    No key reaches another plugin's values.  None is a value like any other, so absence
    is asked with `has` or a default of one's own.
    """

    def get(self, key: str, default: Any = None, /) -> Any:
        """Return the value, or the default; never raise for a missing key."""
        ...

    def set(self, key: str, value: Any, /) -> None:
        """Hand over the value, over an older one."""
        ...

    def delete(self, key: str, /) -> bool:
        """Delete the value; return whether there was one."""
        ...

    def has(self, key: str, /) -> bool:
        """Tell whether the key is there, whatever its value."""
        ...


@runtime_checkable
class StateStore(Protocol):
    """key -> JSON-like value, kept by memory, a disk, a database or a cluster; async.

    A value is None, bool, int, float, str, or a list or a dict with str keys of values;
    what comes back is equal to what was set and never shared with it.  None is a value
    like any other, so absence is asked with `has` or a default of one's own.  When a
    call returns, it was applied; one that may or may not have been raises.
    """

    async def get(self, key: str, default: Any = None, /) -> Any:
        """Return the value, or the default; never raise for a missing key."""
        ...

    async def set(self, key: str, value: Any, /) -> None:
        """Store the value, over an older one."""
        ...

    async def delete(self, key: str, /) -> bool:
        """Delete the value; return whether there was one."""
        ...

    async def has(self, key: str, /) -> bool:
        """Tell whether the key is there, whatever its value."""
        ...

    async def keys(self, prefix: str = "") -> list[str]:
        """List the keys that start with the prefix, taken literally, in no order."""
        ...


@runtime_checkable
class AtomicStateStore(StateStore, Protocol):
    """A StateStore in which one of several who write at once can win; async.

    Between the look at the key and the change nobody else's change comes, from whatever
    task, process or machine.
    """

    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        """Store the value if the key is not there; return whether it was stored.

        A stored None is there.
        """
        ...

    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        """Store `new` if the key's value is `expected`; return whether it was stored.

        Values are equal if they are as JSON, in type too: 1, 1.0 and True are three, and
        a dict's order is nothing.  A key that is not there has no value: to expect None
        is to expect a stored None.
        """
        ...


@runtime_checkable
class BatchStateStore(StateStore, Protocol):
    """A StateStore that is asked once for many keys; async."""

    @property
    def set_many_is_atomic(self) -> bool:
        """Whether `set_many` is applied as a whole or not at all, and seen so."""
        ...

    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        """Return a value for each key, in their order, and None where there is none.

        A key may be asked for twice.
        """
        ...

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        """Store each value under its key, over older ones.

        Whatever is wrong with a key or a value is raised before anything is stored.
        Where the store is not atomic, a failure may leave some stored and others not.
        """
        ...


@runtime_checkable
class ExpiringStateStore(StateStore, Protocol):
    """A StateStore whose values may have an end; async.

    From its end on a value is not there: not returned, not listed, not in the way of
    `set_if_absent`, and equal to nothing for `compare_and_set`.  Whatever stores a value
    without a ttl makes it permanent.
    """

    @property
    def ttl_resolution(self) -> float:
        """In seconds: a ttl is rounded up to a multiple of this."""
        ...

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        """Store the value, over an older one, for `ttl` seconds or for ever.

        ValueError for a ttl that is not above 0.
        """
        ...


@runtime_checkable
class PagedStateStore(StateStore, Protocol):
    """A StateStore whose keys come a page at a time, and in order; async."""

    def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Iterate over the keys that start with the prefix, by their UTF-8 bytes.

        That is the order of code points; `keys` has it too.  Holds a page of keys, never
        all.  A key that is there from the first step to the last comes once; one that
        comes or goes meanwhile comes once or not at all.  Not async itself: the iterator
        is.
        """
        ...


@runtime_checkable
class OpenedStateStore(
    ExpiringStateStore, AtomicStateStore, BatchStateStore, PagedStateStore, Protocol
):
    """A StateStore that can do all there is, and that has an end; an `async with`.

    It opens at the `async with`, or at its first operation.  After the end operations
    raise RuntimeError.
    """

    async def __aenter__(self) -> Self:
        """Open it; raise what keeps it from working."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """End it, as `aclose` does."""
        ...

    async def aclose(self) -> None:
        """Let go of all that it holds; the second time there is nothing to do."""
        ...

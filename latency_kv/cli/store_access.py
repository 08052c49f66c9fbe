"""Store access: a store as the verbs use it, whatever it can, and what went wrong.

What a store cannot do for many keys at once is done for one after the other, and keys
come in order from stores that promise none.  Whatever a store raises leaves here as
StoreFailed: one line, which tells the place and no secret.

Knows the facet and its capabilities, no provider.  Start at `StoreAccess` and `run`.
"""

import inspect
import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import typer

from latency_kv.cli.screen import INTERRUPTED, TROUBLE, note
from latency_kv.cli.store_terms import Place, brief
from latency_kv.errors import LatencyKVError, StateError
from latency_kv.facets.stores import (
    BatchStateStore,
    ExpiringStateStore,
    PagedStateStore,
    StateStore,
)
from latency_kv.providers.state_stores import open_state_store

_T = TypeVar("_T")

# What goes wrong is told on the screen, and once.
for _room in ("documents", "providers"):
    logging.getLogger(f"latency_kv.{_room}").addHandler(logging.NullHandler())

# What is raised for people to read; of anything else the kind is told too.
_TOLD = (LatencyKVError, OSError, ValueError, ImportError)

MISSING = object()
"""What `get` returns where there is no such key: None is a value."""


class StoreFailed(Exception):
    """What a store could not do, for people; its `__cause__` is what was raised."""


class StoreAccess:
    """An async context manager: the store at a place is opened, used and closed."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        with self._failing():
            opened = open_state_store(self.place.url, namespace=self.place.namespace)
            self._store: StateStore = await self._stack.enter_async_context(opened)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with self._failing():
                await self._stack.__aexit__(kind, error, traceback)
        except StoreFailed:
            # Of two troubles the first is told.
            if error is None:
                raise

    async def get(self, key: str) -> Any:
        """Return the value, or MISSING."""
        with self._failing():
            return await self._store.get(key, MISSING)

    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Store the value, for so many seconds or for ever."""
        with self._failing():
            if ttl is None:
                await self._store.set(key, value)
            elif isinstance(self._store, ExpiringStateStore):
                await self._store.set(key, value, ttl=ttl)
            else:
                raise ValueError("its values do not expire: leave out --ttl")

    async def delete(self, key: str) -> bool:
        """Delete the value; return whether there was one."""
        with self._failing():
            return await self._store.delete(key)

    async def keys(self, prefix: str) -> AsyncGenerator[str]:
        """Yield the keys that start with the prefix, in order."""
        with self._failing():
            if not isinstance(self._store, PagedStateStore):
                for key in sorted(await self._store.keys(prefix)):
                    yield key
                return
            iterator = self._store.iter_keys(prefix)
            async with AsyncExitStack() as stack:
                if inspect.isasyncgen(iterator):
                    await stack.enter_async_context(aclosing(iterator))
                before = None
                async for key in iterator:
                    # Whoever goes through two stores side by side relies on it.
                    if before is not None and key <= before:
                        raise ValueError(
                            f"its keys come out of order ({brief(key)} after "
                            f"{brief(before)}): tell those who made its provider"
                        )
                    before = key
                    yield key

    async def get_many(self, keys: Sequence[str]) -> list[Any]:
        """Return a value for each key, and None, or MISSING, where there is none."""
        with self._failing():
            if isinstance(self._store, BatchStateStore):
                return await self._store.get_many(keys)
            return [await self._store.get(key, MISSING) for key in keys]

    async def set_many(self, values: Mapping[str, Any]) -> None:
        """Store each value, all at once or one after the other."""
        with self._failing():
            if isinstance(self._store, BatchStateStore):
                await self._store.set_many(values)
                return
            for key, value in values.items():
                await self._store.set(key, value)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except StoreFailed:
            raise
        except Exception as error:
            raise StoreFailed(_reason(error, self.place)) from error


def run(main: Callable[[], Awaitable[_T]], so_far: Callable[[], str] = str) -> _T:
    """Return what it awaits to; leaves the program where a store fails.

    Then `so_far` says what was done until then, if there is anything to say.
    """
    try:
        return anyio.run(main)
    except StoreFailed as failed:
        message, status = str(failed), TROUBLE
    except KeyboardInterrupt:
        message, status = "interrupted", INTERRUPTED
    note("; ".join(filter(None, [message, so_far()])))
    raise typer.Exit(status)


def _reason(error: BaseException, place: Place) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    known = isinstance(error, _TOLD) and str(error)
    message = place.without_credentials(str(error) if known else repr(error))
    tells_store = isinstance(error, StateError) and error.store is not None
    return message if tells_store else f"{place}: {message}"

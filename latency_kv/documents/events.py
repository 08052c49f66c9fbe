"""Events: what a document store tells about each operation, and to whom.

    state.saved            StateSavedEvent            state.cleared    StateClearedEvent
    state.loaded           StateLoadedEvent           state.restored   StateRestoredEvent
    state.backup.created   StateBackupCreatedEvent    state.recovered  StateRecoveredEvent
    state.migrated         StateMigratedEvent         state.error      StateErrorEvent

The record is the payload, its `type` the name that it is emitted under.

Knows no store and no file.  Start at `StateEvents`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutine
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from pyee.base import EventEmitter

__all__ = [
    "Emitter",
    "Operation",
    "StateBackupCreatedEvent",
    "StateClearedEvent",
    "StateErrorEvent",
    "StateEvent",
    "StateEvents",
    "StateLoadedEvent",
    "StateMigratedEvent",
    "StateRecoveredEvent",
    "StateRestoredEvent",
    "StateSavedEvent",
]

Operation: TypeAlias = Literal[
    "save",
    "load",
    "exists",
    "clear",
    "migrate",
    "validate",
    "restore",
    "list_backups",
    "update",
]

_EVERY = "*"

_logger = logging.getLogger("latency_kv.documents")


@dataclass(frozen=True, slots=True)
class StateEvent:
    """What all of them tell: whose state it is."""

    type: ClassVar[str]

    plugin_name: str


@dataclass(frozen=True, slots=True)
class StateSavedEvent(StateEvent):
    """A document is on disk; its size is that of its file, in bytes."""

    type: ClassVar[str] = "state.saved"

    version: int
    size: int


@dataclass(frozen=True, slots=True)
class StateLoadedEvent(StateEvent):
    """A document was read."""

    type: ClassVar[str] = "state.loaded"

    version: int


@dataclass(frozen=True, slots=True)
class StateBackupCreatedEvent(StateEvent):
    """What an operation replaced or cleared is the newest backup now."""

    type: ClassVar[str] = "state.backup.created"

    backup_path: str


@dataclass(frozen=True, slots=True)
class StateMigratedEvent(StateEvent):
    """A document was lifted from one version to another; `state.saved` came before."""

    type: ClassVar[str] = "state.migrated"

    from_version: int
    to_version: int


@dataclass(frozen=True, slots=True)
class StateClearedEvent(StateEvent):
    """A document that was there is not any more."""

    type: ClassVar[str] = "state.cleared"


@dataclass(frozen=True, slots=True)
class StateRestoredEvent(StateEvent):
    """A backup took the document's place; the index is the one that was asked for."""

    type: ClassVar[str] = "state.restored"

    backup_index: int


@dataclass(frozen=True, slots=True)
class StateRecoveredEvent(StateEvent):
    """A backup took the place of a damaged document.

    backup_path is where it is from, corrupt_path where the damaged file is now, reason
    what was wrong with it.
    """

    type: ClassVar[str] = "state.recovered"

    version: int
    backup_path: str
    corrupt_path: str
    reason: str


@dataclass(frozen=True, slots=True)
class StateErrorEvent(StateEvent):
    """An operation failed; error is what its caller gets."""

    type: ClassVar[str] = "state.error"

    operation: Operation
    error: Exception


class Emitter(Protocol):
    """Whatever can be told: pyee's emitters, a host's own event bus.

    An awaitable that it returns is awaited, one after the other.  What it raises is
    logged, and no operation's failure.
    """

    def emit(self, event: str, payload: Any, /) -> object:
        """Hand the payload to all who listen to this event."""
        ...


class StateEvents(EventEmitter):
    """The emitter that a store has when it is given none: pyee's, with two additions.

    A listener that raises is logged, and the others hear the event all the same; and
    listeners to `"*"` hear all events.  Listeners are plain functions of the payload;
    for coroutines there is `pyee.asyncio.AsyncIOEventEmitter`.

    >>> events = StateEvents()
    >>> listener = events.on("state.cleared", lambda event: print(event.plugin_name))
    >>> events.emit("state.cleared", StateClearedEvent("clock"))
    clock
    True
    """

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        """Call the listeners to this event, then those to every event."""
        heard = super().emit(event, *args, **kwargs)
        # pyee tells of each new listener in the same way: that is no news of a state.
        everything = event.startswith("state.") and super().emit(
            _EVERY, *args, **kwargs
        )
        return heard or everything

    def _emit_run(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        try:
            result = f(*args, **kwargs)
            if iscoroutine(result):
                result.close()
                raise TypeError(
                    f"{f!r} is a coroutine function, which needs an emitter that runs "
                    "it: events=pyee.asyncio.AsyncIOEventEmitter()"
                )
        except Exception:
            _logger.exception("a listener failed: %r", f)

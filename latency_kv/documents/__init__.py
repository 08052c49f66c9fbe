"""Documents: one versioned JSON document a plugin, durable, with backups and migrations.

    FileSystemStateStore    store: the async interface, and the order of operations
    DocumentFiles           files: what happens on the disk, and what a crash can leave
    encode, decode          document: the bytes of a file, known nowhere else
    names, backups          what a plugin's files are called, and which number comes when
    StateSavedEvent, ...    events: what is told of each operation

Start at `FileSystemStateStore`.
"""

from latency_kv.documents.events import (
    Emitter,
    Operation,
    StateBackupCreatedEvent,
    StateClearedEvent,
    StateErrorEvent,
    StateEvent,
    StateEvents,
    StateLoadedEvent,
    StateMigratedEvent,
    StateRecoveredEvent,
    StateRestoredEvent,
    StateSavedEvent,
)
from latency_kv.documents.store import FileSystemStateStore

__all__ = [
    "Emitter",
    "FileSystemStateStore",
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

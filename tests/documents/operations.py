"""Operations: each one of a document store by its name, to be tried on a plugin.

    OPERATIONS    all that wait for their turn
    CHANGES       those of them that replace or remove a document

Start at `by_operation`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from latency_kv import FileSystemStateStore

Operation: TypeAlias = Callable[[FileSystemStateStore, Any], Awaitable[object]]
"""(store, plugin name) -> what the operation returns"""

OPERATIONS: dict[str, Operation] = {
    "save": lambda store, name: store.save(name, "x"),
    "load": lambda store, name: store.load(name),
    "recover": lambda store, name: store.load(name, recover=True),
    "exists": lambda store, name: store.exists(name),
    "clear": lambda store, name: store.clear(name),
    "migrate": lambda store, name: store.migrate(name, 2, {2: lambda d, v: d}),
    "validate": lambda store, name: store.validate(name, lambda data: True),
    "restore": lambda store, name: store.restore(name),
    "list_backups": lambda store, name: store.list_backups(name),
    "update": lambda store, name: store.update(name, lambda data: "x"),
}

CHANGES = {
    name: OPERATIONS[name] for name in ("save", "clear", "migrate", "restore", "update")
}

by_operation = pytest.mark.parametrize(
    "operation", OPERATIONS.values(), ids=OPERATIONS.keys()
)
by_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())

"""StateManager: a document store as one plugin sees it, without the plugin's name.

Knows the store's interface alone.  Start at `StateManager`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from latency_kv.facets.stores import (
    DocumentStateStore,
    Migration,
    StateData,
    UpdatableDocumentStateStore,
    Validator,
)

__all__ = ["StateManager"]


class StateManager:
    """One plugin's document: the methods of its store, which is told the plugin's name.

    A host makes one for each plugin, over one store, and hands it over in the plugin's
    context; through it no other plugin's document is reached.  Errors and events are
    the store's.  `update`, `save_later` and `load(recover=True)` raise TypeError over a
    store that has no such operation.
    """

    __slots__ = ("plugin_name", "store")

    def __init__(self, store: DocumentStateStore, plugin_name: str) -> None:
        self.store = store
        self.plugin_name = plugin_name

    def __repr__(self) -> str:
        return f"StateManager({self.store!r}, {self.plugin_name!r})"

    async def save(self, data: Any, /, version: int | None = None) -> None:
        """Store the document; version None keeps the stored one's, or is 1."""
        await self.store.save(self.plugin_name, data, version)

    async def load(self, *, recover: bool = False) -> StateData[Any] | None:
        """Return the document, or None where there is none."""
        if recover:
            return await self._updatable("load(recover=True)").load(
                self.plugin_name, recover=True
            )
        return await self.store.load(self.plugin_name)

    async def exists(self) -> bool:
        """Tell whether there is a document."""
        return await self.store.exists(self.plugin_name)

    async def clear(self) -> None:
        """Remove the document, if there is one; it becomes backup 1."""
        await self.store.clear(self.plugin_name)

    async def update(
        self, f: Callable[[Any], Any], /, version: int | None = None
    ) -> Any:
        """Store `f(data)`, or what it awaits to, and return it; None if there is none."""
        return await self._updatable("update").update(self.plugin_name, f, version)

    async def save_later(
        self,
        data: Any,
        /,
        version: int | None = None,
        *,
        delay: float = 0.5,
        max_delay: float = 5.0,
    ) -> None:
        """Save when nobody has called this for `delay` seconds, and return at once."""
        await self._updatable("save_later").save_later(
            self.plugin_name, data, version, delay=delay, max_delay=max_delay
        )

    async def migrate(
        self, target_version: int, migrations: Mapping[int, Migration]
    ) -> None:
        """Lift the document to the target version, in one step or not at all."""
        await self.store.migrate(self.plugin_name, target_version, migrations)

    async def validate(self, validator: Validator, /) -> bool:
        """Return the validator's word on the document; True where there is none."""
        return await self.store.validate(self.plugin_name, validator)

    async def restore(self, backup_index: int = 1) -> None:
        """Put a backup in the document's place; 1 is the newest."""
        await self.store.restore(self.plugin_name, backup_index)

    async def list_backups(self) -> list[str]:
        """Name the backups, the newest first: the n-th is `restore`'s index n."""
        return await self.store.list_backups(self.plugin_name)

    def _updatable(self, operation: str) -> UpdatableDocumentStateStore:
        if not isinstance(self.store, UpdatableDocumentStateStore):
            raise TypeError(
                f"{type(self.store).__name__} has no {operation}: that needs a store "
                "such as FileSystemStateStore"
            )
        return self.store

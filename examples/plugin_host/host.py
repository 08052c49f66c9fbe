"""Host: starts plugins, each with a state that it can work with.

    load(recover=True)    a damaged document gives way to its newest good backup
    migrate               an older one is lifted to the plugin's version
    validate, restore     one that the plugin refuses gives way to the backup before it

Knows no plugin by name.  Start at `ready_data`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from latency_kv import FileSystemStateStore, StateManager
from latency_kv.documents import StateEvents
from latency_kv.facets.stores import Migration
from plugin_host.log import Log

REFUSED = "refuses its state, so the backup before it is restored"


class PluginStateError(Exception):
    """A plugin's state that is whole, and that the plugin cannot work with."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a plugin gets of its host."""

    plugin_name: str
    state: StateManager
    events: StateEvents


class Plugin(Protocol):
    """What a host asks of a plugin.

    `name` is that of its document, `version` that of the data it works with, which it
    gives with each change; `migrations[v]` lifts data from version v - 1 to v.
    """

    name: str
    version: int
    migrations: Mapping[int, Migration]

    def accepts(self, data: Any) -> bool:
        """Tell whether it can work with data of its version: any JSON, no exception."""
        ...

    async def start(self, context: Context, data: Any) -> None:
        """Begin with its data, None where there is none yet.

        There is no stop: closing the store writes what `save_later` has waiting.
        """
        ...


class Host:
    """Runs plugins on one state directory.

    A plugin that cannot be started keeps nobody else from starting: what stopped it is
    in `failed`, and its files are for its user to look at.
    """

    def __init__(self, state_dir: Path, log: Log) -> None:
        self.state_dir = state_dir
        self.log = log
        self.failed: dict[str, Exception] = {}

    @asynccontextmanager
    async def running(self, *plugins: Plugin) -> AsyncIterator[None]:
        """Start the plugins; leaving waits until everything is on disk."""
        names = [plugin.name for plugin in plugins]
        if len({*names}) < len(names):
            raise ValueError(f"two plugins of one name would share a document: {names}")
        events = StateEvents()
        events.on("*", self.log.heard)
        async with FileSystemStateStore(events, state_dir=self.state_dir) as store:
            for plugin in plugins:
                state = StateManager(store, plugin.name)
                await self._start(plugin, Context(plugin.name, state, events))
            yield

    async def _start(self, plugin: Plugin, context: Context) -> None:
        try:
            data = await ready_data(plugin, context.state, self.log)
            await plugin.start(context, data)
        except Exception as error:  # noqa: BLE001 - it is told, and kept
            self.failed[plugin.name] = error
            self.log.say(plugin.name, f"not started: {error}")


async def ready_data(plugin: Plugin, state: StateManager, log: Log) -> Any:
    """Return data that the plugin accepts, in its version; None if it has no document.

    What a recovery or a restore replaces stays beside the document.  If not even the
    backup is accepted, PluginStateError.
    """
    await _lift(plugin, state)
    if not await state.validate(plugin.accepts):
        log.say(plugin.name, REFUSED)
        await state.restore()
        # A backup may be from before the last migration.
        await _lift(plugin, state)
        if not await state.validate(plugin.accepts):
            raise PluginStateError("it accepts neither its state nor the backup before")
    stored = await state.load()
    return None if stored is None else stored.data


async def _lift(plugin: Plugin, state: StateManager) -> None:
    """Bring the document to the plugin's version, from a backup if it is damaged."""
    stored = await state.load(recover=True)
    if stored is not None and stored.version > plugin.version:
        raise PluginStateError(
            f"its state is of version {stored.version}, and this is version "
            f"{plugin.version}: run the newer one"
        )
    await state.migrate(plugin.version, plugin.migrations)

"""Noted: plugins that note in a journal what becomes of them, and a host that has them.

    Noted    provides what its manifest says, subscribes, then does what it was told to
    Host     a manager with the host's own registry and bus, to be looked at

A journal has "+a" where a's activation began and "-a" where its deactivation did. Start
at `Host`.
"""

from collections.abc import Callable, Iterable, Iterator
from inspect import isawaitable
from typing import Any

import anyio.lowlevel

from latency_kv.errors import PluginError
from latency_kv.plugins.context import PluginContext
from latency_kv.plugins.manager import PluginManager
from latency_kv.plugins.manifest import FacetProvision, FacetRequirement
from latency_kv.plugins.registry import FacetRegistry
from latency_kv.providers.events import PyeeEventBus
from plugins.hosts import manifest

__all__ = ["PING", "Host", "Noted", "kept", "leaves", "optional"]

# What every noted plugin listens to.
PING = "ping"


class Noted:
    """A plugin of one host; `first` and `last` are what its hooks do in the end."""

    def __init__(
        self,
        journal: list[str],
        id: str,
        provides: Iterable[str | FacetProvision] = (),
        requires: Iterable[str | FacetRequirement] = (),
        *,
        first: Callable[[PluginContext], object] | None = None,
        last: Callable[[], object] | None = None,
        is_owing: bool = False,
    ) -> None:
        self.manifest = manifest(id, provides, requires)
        self.journal = journal
        self.first = first
        self.last = last
        self.is_owing = is_owing
        self.heard = 0
        self.contexts: list[PluginContext] = []

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def context(self) -> PluginContext:
        """The one of its last activation."""
        return self.contexts[-1]

    async def activate(self, context: PluginContext) -> None:
        self.journal.append(f"+{self.id}")
        self.contexts.append(context)
        context.events.on(PING, self.hear)
        await anyio.lowlevel.checkpoint()
        for each in self.manifest.provides:
            if not self.is_owing:
                context.provide(each.facet, f"{self.id}'s {each.facet}", each.qualifier)
        if self.first is not None:
            done = self.first(context)
            if isawaitable(done):
                await done

    async def deactivate(self) -> None:
        self.journal.append(f"-{self.id}")
        await anyio.lowlevel.checkpoint()
        if self.last is not None:
            done = self.last()
            if isawaitable(done):
                await done

    def hear(self, payload: object) -> None:
        self.heard += 1


class Host:
    """A manager, what its host has, and the plugins that `add` made for it."""

    def __init__(self, **options: Any) -> None:
        self.journal: list[str] = []
        self.registry = FacetRegistry()
        self.events = PyeeEventBus()
        self.noted: dict[str, Noted] = {}
        self.plugins = PluginManager(
            **{"registry": self.registry, "events": self.events, **options}
        )

    def add(
        self,
        id: str,
        provides: Iterable[str | FacetProvision] = (),
        requires: Iterable[str | FacetRequirement] = (),
        **deeds: Any,
    ) -> Noted:
        """Register a noted plugin; `F:q` is the facet F with the qualifier q."""
        plugin = Noted(self.journal, id, provides, requires, **deeds)
        self.plugins.register(plugin)
        self.noted[id] = plugin
        return plugin

    @property
    def loaded(self) -> Any:
        """The manager's; any, for mypy believes that no call changes a tuple."""
        return self.plugins.loaded

    @property
    def provided(self) -> dict[tuple[str, str | None], Any]:
        """(facet, qualifier) -> who provides it, of all that is registered."""
        return {(each.facet, each.qualifier): each.provider for each in self.registry}

    async def hearing(self) -> set[str]:
        """Who hears what is emitted on the host's bus now."""
        before = {id: plugin.heard for id, plugin in self.noted.items()}
        await self.events.emit(PING)
        return {id for id, plugin in self.noted.items() if plugin.heard > before[id]}

    async def check(self) -> None:
        """What is registered and who is subscribed is of those who are loaded."""
        owed = {
            (each.facet, self.noted[id].manifest.qualifier_of(each))
            for id in self.loaded
            for each in self.noted[id].manifest.provides
        }
        of_plugins = {
            (each.facet, each.qualifier)
            for each in self.registry
            if "plugin" in each.metadata
        }
        assert of_plugins == owed
        assert await self.hearing() == set(self.loaded)
        assert tuple(self.plugins.contexts) == self.loaded
        for id, context in self.plugins.contexts.items():
            assert context is self.noted[id].context


def optional(facet: str, qualifier: str | None = None) -> FacetRequirement:
    return FacetRequirement(facet, qualifier, optional=True)


def leaves(error: BaseException | None) -> Iterator[BaseException]:
    """The exceptions of a group, at any depth; the error itself if it is none."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    elif error is not None:
        yield error


def kept(error: BaseException | None) -> dict[str, type[BaseException]]:
    """plugin name -> what kept it from loading, of the errors that name one."""
    return {
        leaf.plugin_name: type(leaf)
        for leaf in leaves(error)
        if isinstance(leaf, PluginError)
    }

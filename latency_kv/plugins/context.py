"""Context: what one plugin gets from its host, and all that it knows of it.

    bound     the binder made it: what is there already can be required
    open      its `activate` runs: what it provides is registered
    active    it is loaded: it requires, subscribes, emits, keeps state
    closed    it is unloaded: what it provided and subscribed is gone, and it with it

The plugin holds the `PluginContext`; the host holds the `Activation`, which moves it
from one phase to the next.

Knows the registry; neither the binder, which chooses, nor a plugin's code.  Start at
`PluginContext`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from latency_kv.errors import AmbiguousFacetError, FacetNotFoundError, PluginError
from latency_kv.facets.decision_handler import (
    Decision,
    DecisionHandler,
    DecisionSpec,
)
from latency_kv.facets.event_bus import EventBus
from latency_kv.facets.logger import Logger
from latency_kv.facets.stores import DocumentStateStore, PluginStateStore
from latency_kv.plugins.manifest import (
    Facet,
    FacetProvision,
    FacetRequirement,
    PluginManifest,
    facet_name,
)
from latency_kv.plugins.object_state import ObjectPluginState
from latency_kv.plugins.plugin_events import PluginEvents
from latency_kv.plugins.registry import FacetRegistry, Registration
from latency_kv.plugins.state_manager import StateManager
from latency_kv.providers.events import PyeeEventBus
from latency_kv.providers.logging import StandardLogger

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["Activation", "Binding", "HostServices", "PluginContext"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, init=False)
class HostServices:
    """What a host gives to all its plugins, each its own view of it.

    logger       StandardLogger() unless given; a plugin gets a child with its id
    events       PyeeEventBus() unless given; a plugin's subscriptions end with it
    documents    the store behind `state_manager`, None for a host without one
    state        makes a plugin's `state`, by its name; ObjectPluginState by default
    config       plugin name -> what the plugin gets as `config`
    plugins      plugin name -> the loaded plugin, for `get_plugin`; the host keeps it
    """

    logger: Logger
    events: EventBus
    documents: DocumentStateStore | None
    state: Callable[[str], PluginStateStore]
    config: Mapping[str, Mapping[str, Any]]
    plugins: Mapping[str, Any]

    def __init__(
        self,
        logger: Logger | None = None,
        events: EventBus | None = None,
        documents: DocumentStateStore | None = None,
        state: Callable[[str], PluginStateStore] | None = None,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        plugins: Mapping[str, Any] | None = None,
    ) -> None:
        values = {
            "logger": StandardLogger() if logger is None else logger,
            "events": PyeeEventBus() if events is None else events,
            "documents": documents,
            "state": _object_state if state is None else state,
            "config": {} if config is None else config,
            "plugins": {} if plugins is None else plugins,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Binding:
    """Who serves a plugin's requirement: exactly this qualifier of the facet.

    A qualifier of None is the host's registration without one.  plugin_name is None
    where the host provides it.
    """

    requirement: FacetRequirement
    qualifier: str | None
    plugin_name: str | None = None


class PluginContext:
    """A plugin's host, as far as it is the plugin's business.

        plugin_name, manifest           who it is
        dependencies                    the plugins that serve it
        logger, events, config, state   its own, whatever others do
        state_manager                   its document on disk
        require, optional               what others provide
        provide                         what it provides, while it is activated
        get_plugin, request_decision    a loaded plugin, a human's decision

    A facet is a Protocol or its name; with the Protocol the type is known.

    Made by the binder.  For a test of a plugin, `PluginContext(manifest)` is a host of
    one: `registry` is where facets are looked up that are not bound.
    """

    __slots__ = (
        "_activation",
        "_bindings",
        "_is_closed",
        "_registry",
        "_services",
        "_state",
        "config",
        "events",
        "logger",
        "manifest",
    )

    def __init__(
        self,
        manifest: PluginManifest,
        registry: FacetRegistry | None = None,
        services: HostServices | None = None,
        bindings: Iterable[Binding] = (),
    ) -> None:
        services = HostServices() if services is None else services
        name = manifest.id
        self.manifest = manifest
        self.logger: Logger = services.logger.child({"plugin": name})
        self.events = PluginEvents(services.events, name)
        self.config: Mapping[str, Any] = MappingProxyType(
            dict(services.config.get(name, {}))
        )
        self._registry = FacetRegistry() if registry is None else registry
        self._services = services
        self._bindings = {
            (binding.requirement.facet, binding.requirement.qualifier): binding
            for binding in bindings
        }
        self._state: PluginStateStore | None = None
        self._activation: Activation | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<PluginContext of {self.plugin_name!r}>"

    @property
    def plugin_name(self) -> str:
        """The plugin's id, from its manifest."""
        return self.manifest.id

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The plugins that serve this one's requirements; they are loaded longer."""
        names = [binding.plugin_name for binding in self._bindings.values()]
        return tuple(dict.fromkeys(name for name in names if name is not None))

    @property
    def state(self) -> PluginStateStore:
        """The plugin's own values, made when they are first asked for."""
        if self._state is None:
            self._state = self._services.state(self.plugin_name)
        return self._state

    @property
    def state_manager(self) -> StateManager:
        """The plugin's document; RuntimeError where the host keeps no documents."""
        documents = self._services.documents
        if documents is None:
            raise RuntimeError(
                f"plugin {self.plugin_name!r}: its host keeps no documents; to "
                "PluginManager or HostServices, pass documents=FileSystemStateStore()"
            )
        return StateManager(documents, self.plugin_name)

    def get_plugin(self, name: str) -> Any:
        """Return the loaded plugin of this name, or None."""
        self._demand_open()
        return self._services.plugins.get(name)

    @overload
    def require(self, facet: str, qualifier: str | None = None) -> Any: ...
    @overload
    def require(self, facet: TypeForm[T], qualifier: str | None = None) -> T: ...
    def require(self, facet: Any, qualifier: str | None = None) -> Any:
        """Return the provider of a facet; FacetNotFoundError where there is none.

        For a requirement of the manifest it is the one that was bound to it, also when
        a better one came later.  A facet that the manifest requires with one qualifier
        needs none here; with several, AmbiguousFacetError names them.  Any other facet
        is looked up in the registry as it is now.
        """
        self._demand_open()
        name = facet_name(facet)
        declared = self._requirement_of(name, qualifier)
        if declared is None:
            return self._registry.resolve(name, qualifier)
        binding = self._bindings.get((name, declared.qualifier))
        if binding is None:
            wanted, found = declared.qualifier, self._late_server_of(declared)
        else:
            wanted, found = binding.qualifier, self._server_of(binding)
        if found is None:
            raise FacetNotFoundError(name, wanted)
        return found.provider

    @overload
    def optional(self, facet: str, qualifier: str | None = None) -> Any: ...
    @overload
    def optional(
        self, facet: TypeForm[T], qualifier: str | None = None
    ) -> T | None: ...
    def optional(self, facet: Any, qualifier: str | None = None) -> Any:
        """Return what `require` would, or None where nobody provides the facet."""
        try:
            return self.require(facet, qualifier)
        except FacetNotFoundError:
            return None

    def provide(
        self, facet: Facet, implementation: Any, qualifier: str | None = None
    ) -> None:
        """Provide a facet of the manifest, with the priority that stands there.

        Only while the plugin is activated: RuntimeError before and after.  PluginError
        for what the manifest does not provide, or somebody else does already; a facet
        that it provides once needs no qualifier here.  TypeError for an implementation
        that lacks members of the Protocol, where the Protocol is given.
        """
        self._demand_open()
        if self._activation is None or not self._activation.is_open:
            raise RuntimeError(
                f"plugin {self.plugin_name!r}: a facet is provided in `activate`, "
                "neither before nor after it"
            )
        provision = self._provision_of(facet_name(facet), qualifier)
        self._activation._put(facet, implementation, provision)

    async def request_decision(self, spec: DecisionSpec) -> Decision:
        """Put a question to whoever handles decisions, and return it pending.

        FacetNotFoundError where nobody does.
        """
        return await self.require(DecisionHandler).request_decision(spec)

    def _requirement_of(
        self, facet: str, qualifier: str | None
    ) -> FacetRequirement | None:
        """Return the manifest's requirement that is meant, if one is."""
        required = {
            each.qualifier: each
            for each in self.manifest.requires
            if each.facet == facet
        }
        if qualifier is None and None not in required and required:
            if len(required) > 1:
                raise AmbiguousFacetError(facet, [str(each) for each in required])
            return next(iter(required.values()))
        return required.get(qualifier)

    def _server_of(self, binding: Binding) -> Registration | None:
        """Return whom a requirement was bound to, if it is there."""
        return self._registry.registration(binding.requirement.facet, binding.qualifier)

    def _late_server_of(self, requirement: FacetRequirement) -> Registration | None:
        """Return who serves what was optional and bound to nobody; never the plugin."""
        for each in self._registry.list(requirement.facet):
            is_own = each.metadata.get("plugin") == self.plugin_name
            if not is_own and requirement.qualifier in (None, each.qualifier):
                return each
        return None

    def _provision_of(self, facet: str, qualifier: str | None) -> FacetProvision:
        """Return the manifest's provision that is meant; PluginError if none is."""
        manifest = self.manifest
        provided = {
            manifest.qualifier_of(each): each
            for each in manifest.provides
            if each.facet == facet
        }
        if qualifier is None and len(provided) == 1:
            return next(iter(provided.values()))
        wanted = manifest.id if qualifier is None else qualifier
        if wanted in provided:
            return provided[wanted]
        qualifiers = ", ".join(map(repr, provided))
        with_qualifier = "" if qualifier is None else f" with qualifier {qualifier!r}"
        raise PluginError(
            manifest.id,
            f"its manifest does not provide {facet!r}{with_qualifier}"
            + (f", but with {qualifiers}" if provided else ""),
        )

    def _demand_open(self) -> None:
        if self._is_closed:
            raise RuntimeError(
                f"plugin {self.plugin_name!r} is not loaded any more: its context is "
                "closed"
            )


class Activation:
    """A host's hold on a plugin's context: when it may provide, and when it is over.

        with activation.opened() as context:
            await plugin.activate(context)
        activation.unprovided      what it owes after that
        activation.close()         at the end, or when `activate` failed

    A context has one; the plugin does not get it.
    """

    __slots__ = ("_provided", "context", "is_open")

    def __init__(self, context: PluginContext) -> None:
        if context._activation is not None:
            raise RuntimeError(f"{context!r} has an Activation already")
        context._activation = self
        self.context = context
        self.is_open = False
        self._provided: dict[tuple[str, str], Registration] = {}

    def __repr__(self) -> str:
        return f"<Activation of {self.context.plugin_name!r}>"

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The plugins that serve this one's requirements; they outlive it."""
        return self.context.dependencies

    @property
    def provided(self) -> tuple[Registration, ...]:
        """What the plugin has provided, in its order, until it is withdrawn."""
        return tuple(self._provided.values())

    @property
    def unprovided(self) -> tuple[FacetProvision, ...]:
        """What the manifest promises and the plugin has not provided."""
        manifest = self.context.manifest
        return tuple(
            provision
            for provision in manifest.provides
            if (provision.facet, manifest.qualifier_of(provision)) not in self._provided
        )

    @contextmanager
    def opened(self) -> Iterator[PluginContext]:
        """Let the plugin provide, until the block ends, however it ends."""
        self.context._demand_open()
        self.is_open = True
        try:
            yield self.context
        finally:
            self.is_open = False

    def close(self) -> None:
        """End the context for good: nothing that it provided or subscribed is left.

        What somebody has registered over it stays.  Again, it does nothing.
        """
        self.is_open = False
        self.context._is_closed = True
        registry = self.context._registry
        while self._provided:
            key, registration = self._provided.popitem()
            if registry.registration(*key) is registration:
                registry.unregister(*key)
        self.context.events.end()

    def _put(
        self, facet: Facet, implementation: Any, provision: FacetProvision
    ) -> None:
        manifest, registry = self.context.manifest, self.context._registry
        key = provision.facet, manifest.qualifier_of(provision)
        if registry.registration(*key) is not self._provided.get(key):
            raise PluginError(
                manifest.id,
                f"somebody else provides {key[0]!r} with qualifier {key[1]!r} already",
            )
        self._provided[key] = registry.register(
            facet, implementation, key[1], provision.priority, {"plugin": manifest.id}
        )


def _object_state(plugin_name: str) -> PluginStateStore:
    return ObjectPluginState()

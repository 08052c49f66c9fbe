"""Manager: the plugins of a host, loaded in the order of their dependencies.

    register ---> load: bind, activate ---> unload: deactivate, withdraw ---> load again
                  its dependencies first    its dependants first

Chooses nothing: the binder does.  Start at `PluginManager.load_all`.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    Container,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from contextvars import ContextVar
from inspect import isawaitable
from types import MappingProxyType, TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self, runtime_checkable

import anyio

from latency_kv.endings import collected, to_the_end
from latency_kv.errors import (
    CircularDependencyError,
    DuplicatePluginError,
    FacetNotFoundError,
    MissingDependencyError,
    PluginError,
    PluginHookError,
    PluginInUseError,
)
from latency_kv.facets.event_bus import EventBus
from latency_kv.facets.logger import Logger
from latency_kv.facets.stores import DocumentStateStore, PluginStateStore
from latency_kv.plugins.binder import BindConfig, Binder, BindResult
from latency_kv.plugins.context import Activation, HostServices, PluginContext
from latency_kv.plugins.manifest import PluginManifest
from latency_kv.plugins.registry import FacetRegistry

__all__ = ["Plugin", "PluginManager"]

# What the caller is part of, by way of a plugin's hook; tasks that it began inherit it.
_TURN: ContextVar[object] = ContextVar("latency_kv.plugins.turn", default=None)


@runtime_checkable
class Plugin(Protocol):
    """What a host asks of a plugin.

    `deactivate()` is optional, sync or async: it is called before the plugin is
    unloaded, while everything that it requires is there.  What it provided and
    subscribed is taken back by the host.
    """

    @property
    def manifest(self) -> PluginManifest:
        """Who it is, what it provides and what it requires."""
        ...

    def activate(self, context: PluginContext, /) -> object:
        """Begin, and provide what the manifest says; sync or async.

        The context is the plugin's to keep, until it is unloaded.
        """
        ...


class _Loaded(NamedTuple):
    plugin: Plugin
    activation: Activation


class PluginManager:
    """Registers, loads and unloads plugins, each with a context of its own.

        register(plugin)      make it known; nothing of it runs
        load(name)            with all that it depends on
        load_all()            all that can be loaded
        unload(name)          unless others depend on it
        unload_all()          the last one loaded first
        loaded, contexts      who is loaded, and with what

    The arguments are what a host gives its plugins, as HostServices tells them; `binding`
    is how it wants facets to be bound, and `registry` what it provides itself.  Leaving
    `async with` unloads all.  The document store is the host's to close, later.

    Loading and unloading happen one at a time; in a plugin's own hooks they raise
    RuntimeError, for they would wait for themselves.  A plugin that fails keeps nobody
    else from loading but those that need it, and nothing of it is left.

    >>> import anyio
    >>> class Clock:
    ...     manifest = PluginManifest("clock", "1.0.0", "Clock")
    ...     def activate(self, context):
    ...         context.state.set("started", True)
    >>> async def main():
    ...     async with PluginManager() as plugins:
    ...         plugins.register(Clock())
    ...         await plugins.load_all()
    ...         print(plugins.loaded, plugins.contexts["clock"].state.get("started"))
    >>> anyio.run(main)
    ('clock',) True
    """

    def __init__(
        self,
        *,
        registry: FacetRegistry | None = None,
        logger: Logger | None = None,
        events: EventBus | None = None,
        documents: DocumentStateStore | None = None,
        state: Callable[[str], PluginStateStore] | None = None,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        binding: BindConfig | None = None,
    ) -> None:
        self.registry = FacetRegistry() if registry is None else registry
        self.binding = BindConfig() if binding is None else binding
        self._plugins: dict[str, Plugin] = {}
        self._loaded: dict[str, _Loaded] = {}
        # By name, for contexts: what `get_plugin` finds.
        self._found: dict[str, Plugin] = {}
        self.services = HostServices(
            logger, events, documents, state, config, MappingProxyType(self._found)
        )
        self._lock = anyio.Lock()
        # Of whoever holds the lock.
        self._turn: object = None

    def __repr__(self) -> str:
        return (
            f"<PluginManager of {len(self._plugins)} plugins, "
            f"{len(self._loaded)} of them loaded>"
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.unload_all()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the plugins that are loaded, in the order of their loading."""
        return tuple(self._loaded)

    @property
    def contexts(self) -> Mapping[str, PluginContext]:
        """The loaded plugins' contexts, by name, in the order of their loading."""
        return MappingProxyType(
            {name: loaded.activation.context for name, loaded in self._loaded.items()}
        )

    def register(self, plugin: Plugin) -> None:
        """Make a plugin known; DuplicatePluginError if one of its id is."""
        manifest = getattr(plugin, "manifest", None)
        if not isinstance(manifest, PluginManifest):
            raise TypeError(f"{plugin!r} is no plugin: its manifest is {manifest!r}")
        if isinstance(plugin, type) or not callable(getattr(plugin, "activate", None)):
            raise TypeError(f"{plugin!r} is no plugin: it cannot be activated")
        if manifest.id in self._plugins:
            raise DuplicatePluginError(manifest.id)
        self._plugins[manifest.id] = plugin

    def unregister(self, name: str) -> None:
        """Forget a plugin.

        PluginError if there is none, or it is loaded, or any is being loaded or unloaded.
        """
        self._demand_registered(name)
        if name in self._loaded:
            raise PluginError(name, "it is loaded: unload it first")
        if self._turn is not None:
            raise PluginError(
                name, "plugins are being loaded or unloaded: wait for that"
            )
        del self._plugins[name]

    async def load(self, name: str) -> None:
        """Load a plugin, and before it those that serve what it requires.

        Nothing happens if it is loaded.  Raises PluginError for a name that is not
        registered, MissingDependencyError where a required facet has no provider,
        CircularDependencyError, AmbiguousFacetError, or PluginHookError for an
        `activate` that raised; several as an ExceptionGroup.
        """
        with collected(f"load of {name!r}", self._tell) as errors:
            async with self._alone():
                # Not before: somebody may unregister it while this waits.
                self._demand_registered(name)
                if name not in self._loaded:
                    errors += (await self._load([name])).get(name, [])

    async def load_all(self) -> None:
        """Load all plugins that can be loaded, dependencies first.

        Then raise what kept the others: one error as it is, several as an
        ExceptionGroup.
        """
        with collected("load_all", self._tell) as errors:
            async with self._alone():
                failures = await self._load([*self._plugins])
            # Those of a circle have one error between them.
            all_of_them = [error for each in failures.values() for error in each]
            errors += {id(error): error for error in all_of_them}.values()

    async def unload(self, name: str) -> None:
        """Deactivate a plugin, and take back what it provided and subscribed.

        Raises PluginInUseError while loaded plugins depend on it, PluginError if it is
        not loaded, and PluginHookError for a `deactivate` that raised: it is unloaded
        all the same.  Its state stays where the host keeps it, so a StoredPluginState is
        there again at the next load, and an ObjectPluginState is not.
        """
        with collected(f"unload of {name!r}", self._tell) as errors:
            async with self._alone():
                self._demand_registered(name)
                if name not in self._loaded:
                    raise PluginError(name, "it is not loaded")
                dependants = [
                    other
                    for other, loaded in self._loaded.items()
                    if name in loaded.activation.context.dependencies
                ]
                if dependants:
                    raise PluginInUseError(name, dependants)
                await to_the_end(lambda: self._unload([name], errors))

    async def unload_all(self) -> None:
        """Unload all plugins, the last one loaded first; then raise what was raised.

        It is not cancelled halfway: who is cancelled waits for the plugins to end.
        """
        self._demand_no_hook()
        with collected("unload_all", self._tell) as errors:

            async def unload() -> None:
                async with self._alone():
                    await self._unload([*reversed(self._loaded)], errors)

            await to_the_end(unload)

    async def _load(self, names: Sequence[str]) -> dict[str, list[Exception]]:
        """Load these and what they depend on; return what kept those that are not.

        Whenever one fails, the others are bound anew: somebody else may serve them.
        """
        failed: dict[str, Exception] = {}
        try:
            while True:
                result = self._bound(failed)
                order = _with_dependencies(names, result)
                if not await self._activate_all(order, result, failed):
                    break
        except BaseException:
            for error in failed.values():
                self._tell(error)
            raise
        for name, error in failed.items():
            if name not in names:
                self._tell(error)
        _blame(result, failed, self._plugins)
        return {
            name: [failed[name]] if name in failed else _why_not(name, result)
            for name in names
            if name not in self._loaded
        }

    def _bound(self, failed: Container[str]) -> BindResult:
        """Bind whoever is neither loaded nor has failed."""
        waiting = [
            plugin
            for name, plugin in self._plugins.items()
            if name not in self._loaded and name not in failed
        ]
        return Binder(self.services).bind(waiting, self.registry, self.binding)

    async def _activate_all(
        self, order: Iterable[str], result: BindResult, failed: dict[str, Exception]
    ) -> bool:
        """Activate one after the other, up to one that fails; tell whether one did."""
        warnings = {problem.plugin_name: problem for problem in result.warnings}
        for name in order:
            try:
                await self._activate(self._plugins[name], result.contexts[name])
            except Exception as error:  # noqa: BLE001 - the others have a turn
                failed[name] = error
                return True
            if name in warnings:
                # A Logger's, not one of logging's.
                self.services.logger.warn(warnings[name].message, {"plugin": name})  # noqa: G010
        return False

    async def _activate(self, plugin: Plugin, context: PluginContext) -> None:
        name = context.plugin_name
        activation = Activation(context)
        try:
            with activation.opened():
                await _call(name, "activate", plugin.activate, context)
            if activation.unprovided:
                missing = ", ".join(each.facet for each in activation.unprovided)
                raise PluginError(
                    name,
                    f"its activate did not provide what its manifest has: {missing}",
                )
        except BaseException:
            _close(activation, self._tell)
            raise
        self._loaded[name] = _Loaded(plugin, activation)
        self._found[name] = plugin

    async def _unload(self, names: Iterable[str], errors: list[BaseException]) -> None:
        for name in names:
            plugin, activation = self._loaded[name]
            try:
                deactivate = getattr(plugin, "deactivate", None)
                if deactivate is not None:
                    await _call(name, "deactivate", deactivate)
            except BaseException as error:  # noqa: BLE001 - raised when all are unloaded
                errors.append(error)
            del self._loaded[name], self._found[name]
            _close(activation, errors.append)

    def _tell(self, error: BaseException) -> None:
        """Tell the host of a failure that no caller gets."""
        because = "" if error.__cause__ is None else f": {error.__cause__!r}"
        self.services.logger.error(f"{error}{because}")

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        self._demand_no_hook()
        async with self._lock:
            turn = self._turn = object()
            token = _TURN.set(turn)
            try:
                yield
            finally:
                _TURN.reset(token)
                self._turn = None

    def _demand_no_hook(self) -> None:
        if self._turn is not None and _TURN.get() is self._turn:
            raise RuntimeError(
                "a plugin is loaded or unloaded in another's hook, which would wait for "
                "itself: what a plugin requires stands in its manifest"
            )

    def _demand_registered(self, name: str) -> None:
        if name not in self._plugins:
            raise PluginError(name, "no plugin of this id is registered")


async def _call(
    plugin_name: str,
    hook: Literal["activate", "deactivate"],
    function: Callable[..., object],
    *arguments: object,
) -> None:
    try:
        result = function(*arguments)
        if isawaitable(result):
            await result
    except Exception as error:
        raise PluginHookError(plugin_name, hook) from error


def _close(activation: Activation, tell: Callable[[BaseException], object]) -> None:
    try:
        activation.close()
    except Exception as error:  # noqa: BLE001 - of the host's bus, which let nobody go
        tell(error)


def _with_dependencies(names: Iterable[str], result: BindResult) -> list[str]:
    """Return these and all they depend on, of those that can be activated, in order."""
    wanted: set[str] = set()
    ahead = [name for name in names if name in result.contexts]
    while ahead:
        name = ahead.pop()
        if name not in wanted:
            wanted.add(name)
            ahead += [
                other
                for other in result.contexts[name].dependencies
                if other in result.contexts
            ]
    return [name for name in result.order if name in wanted]


def _blame(
    result: BindResult, failed: Mapping[str, Exception], plugins: Mapping[str, Plugin]
) -> None:
    """Give the binder's errors the failures behind them, which it knows nothing of."""
    for problem in result.errors:
        error = problem.error
        if isinstance(error, FacetNotFoundError) and error.__cause__ is None:
            error.__cause__ = next(
                (
                    failure
                    for name, failure in failed.items()
                    if _would_serve(plugins[name].manifest, error)
                ),
                None,
            )


def _would_serve(manifest: PluginManifest, error: FacetNotFoundError) -> bool:
    return any(
        each.facet == error.facet
        and error.qualifier in (None, manifest.qualifier_of(each))
        for each in manifest.provides
    )


def _why_not(name: str, result: BindResult) -> list[Exception]:
    """Return what kept a plugin from being bound."""
    errors: list[Exception] = []
    for problem in result.errors:
        error = problem.error
        if isinstance(error, CircularDependencyError) and name in error.path:
            errors.append(error)
        elif problem.plugin_name == name and isinstance(error, FacetNotFoundError):
            because = "" if error.__cause__ is None else f": {error.__cause__}"
            missing = MissingDependencyError(
                name, f"{error}{because}", error.facet, error.qualifier
            )
            missing.__cause__ = error.__cause__ or error
            errors.append(missing)
        elif problem.plugin_name == name:
            errors.append(error)
    return errors

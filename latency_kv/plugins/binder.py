"""Binder: decides who serves whom, before any plugin's code runs.

Candidates for a requirement are what is registered and what the plugins' manifests
provide; the strategy, or the host's explicit choice, picks one.  All that is wrong is
collected, so that a host can tell of it at once, and load what is not concerned.

Activates nothing, registers nothing.  Start at `Binder.bind`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, get_args

from latency_kv.errors import (
    AmbiguousFacetError,
    CircularDependencyError,
    DuplicatePluginError,
    FacetError,
    FacetNotFoundError,
    LatencyKVError,
    PluginError,
)
from latency_kv.plugins.context import Binding, HostServices, PluginContext
from latency_kv.plugins.manifest import FacetRequirement, PluginManifest, facet_name
from latency_kv.plugins.registry import FacetRegistry

__all__ = [
    "BindConfig",
    "BindProblem",
    "BindResult",
    "Bindable",
    "Binder",
    "Strategy",
]

Strategy: TypeAlias = Literal["first", "highest-priority", "explicit"]
"""Whom a requirement without a qualifier gets, where several provide the facet.

first: what was registered first, then what the plugin given first provides.
highest-priority: the highest priority, of equals the first.  explicit: nobody but whom
the host has chosen.
"""

# What a message calls a provider that the host registered without a qualifier.
_UNQUALIFIED = "(no qualifier)"


class Bindable(Protocol):
    """What can be bound: anything with a manifest."""

    @property
    def manifest(self) -> PluginManifest:
        """What the plugin provides and requires."""
        ...


@dataclass(frozen=True, slots=True, init=False)
class BindConfig:
    """How a host wants requirements without a qualifier to be bound.

        strategy       where nothing is chosen
        explicit       facet -> the qualifier for all plugins
        explicit_for   plugin name -> facet -> the qualifier for this one; goes first

    Choices win under every strategy.  The qualifier of what a plugin provides without
    one is the plugin's id; None chooses what the host registered without one.

    >>> BindConfig("explicit", explicit={"Logger": "audit"}).explicit["Logger"]
    'audit'
    """

    strategy: Strategy
    explicit: Mapping[str, str | None]
    explicit_for: Mapping[str, Mapping[str, str | None]]

    def __init__(
        self,
        strategy: Strategy = "highest-priority",
        explicit: Mapping[Any, str | None] | None = None,
        explicit_for: Mapping[str, Mapping[Any, str | None]] | None = None,
    ) -> None:
        strategies = get_args(Strategy)
        if strategy not in strategies:
            raise ValueError(
                f"strategy {strategy!r} is none of {', '.join(strategies)}"
            )
        choices = {name: _choices(each) for name, each in (explicit_for or {}).items()}
        object.__setattr__(self, "strategy", strategy)
        object.__setattr__(self, "explicit", _choices(explicit or {}))
        object.__setattr__(self, "explicit_for", MappingProxyType(choices))


@dataclass(frozen=True, slots=True)
class BindProblem:
    """What is wrong, or worth a look, with the plugin of this name.

    error is what a host would raise; message is its text, with what led to it.
    """

    plugin_name: str
    error: LatencyKVError
    message: str


@dataclass(frozen=True, slots=True)
class BindResult:
    """Who can be activated, in which order, and why the others cannot.

    contexts has the plugins without errors, by name, in the order to activate them;
    success tells whether these are all.
    """

    success: bool
    contexts: Mapping[str, PluginContext]
    errors: tuple[BindProblem, ...] = ()
    warnings: tuple[BindProblem, ...] = ()
    order: tuple[str, ...] = ()


class Binder:
    """Makes a context for each plugin that can be served.

    >>> class Clock:
    ...     manifest = PluginManifest("clock", "1.0.0", "Clock")
    >>> Binder().bind([Clock()], FacetRegistry()).order
    ('clock',)
    """

    __slots__ = ("services",)

    def __init__(self, services: HostServices | None = None) -> None:
        self.services = HostServices() if services is None else services

    def bind(
        self,
        plugins: Iterable[Bindable],
        registry: FacetRegistry,
        config: BindConfig | None = None,
    ) -> BindResult:
        """Bind every requirement of the plugins that can be bound.

        Nobody serves itself.  A provision without a qualifier has the plugin's id for
        one.  A qualifier in a requirement is binding; choices are for those without.

        Errors: a facet that nobody provides, several that do and no choice, plugins in
        a circle (one error for one circle, in the name of the one given first), an id
        given twice, a facet and qualifier provided twice; of two, the host's or the
        first given stands.  Who has an error gets no context, nor does who can be served
        by nobody else.  Warnings: optional requirements that nobody serves.
        """
        manifests = [_manifest_of(plugin) for plugin in plugins]
        rounds = _Rounds(manifests, registry, config or BindConfig())
        contexts = {
            name: PluginContext(
                rounds.left[name], registry, self.services, rounds.bindings[name]
            )
            for name in rounds.order()
        }
        return BindResult(
            not rounds.errors,
            MappingProxyType(contexts),
            tuple(rounds.errors),
            tuple(rounds.warnings),
            tuple(contexts),
        )


class _Candidate(NamedTuple):
    """Who may serve a requirement; plugin_name is None for the host's own."""

    qualifier: str | None
    priority: int
    plugin_name: str | None


class _Rounds:
    """One call of `bind`: rounds of choosing, until nobody who is left has an error.

    In a round every requirement chooses among those who are left.  Whoever fails goes,
    and the next round shows whom that leaves with another provider, or with none.
    """

    def __init__(
        self,
        manifests: Iterable[PluginManifest],
        registry: FacetRegistry,
        config: BindConfig,
    ) -> None:
        self.config = config
        self.errors: list[BindProblem] = []
        self.warnings: list[BindProblem] = []
        self.left: dict[str, PluginManifest] = {}
        self.bindings: dict[str, list[Binding]] = {}
        # Who has an error, with the first one; two may have one id.
        self._gone: list[tuple[PluginManifest, LatencyKVError]] = []
        # By facet, in the order of registration.
        self._registered: dict[str, list[_Candidate]] = {}
        self._provided: dict[str, list[_Candidate]] = {}
        for each in registry:
            owner = each.metadata.get("plugin")
            candidate = _Candidate(
                each.qualifier, each.priority, owner if isinstance(owner, str) else None
            )
            self._registered.setdefault(each.facet, []).append(candidate)
        self._admit(manifests)
        while self._choose() or self._break_circle():
            pass
        self._warn()

    def order(self) -> list[str]:
        """Sort who is left: of those that need nobody any more, the one given first."""
        places = {name: place for place, name in enumerate(self.left)}
        names = list(self.left)
        sorter = TopologicalSorter(self._graph())
        sorter.prepare()
        order: list[str] = []
        ready: list[int] = []
        while sorter.is_active():
            for name in sorter.get_ready():
                heappush(ready, places[name])
            order.append(names[heappop(ready)])
            sorter.done(order[-1])
        return order

    def _admit(self, manifests: Iterable[PluginManifest]) -> None:
        """Let in whoever does not get in the way of one before it."""
        owners = {
            (facet, candidate.qualifier): candidate.plugin_name
            for facet, candidates in self._registered.items()
            for candidate in candidates
        }
        ids: set[str] = set()
        for manifest in manifests:
            keys = [(p.facet, manifest.qualifier_of(p)) for p in manifest.provides]
            errors: list[PluginError] = []
            if manifest.id in ids:
                errors.append(DuplicatePluginError(manifest.id))
            else:
                errors += [
                    _taken(manifest, key, owners[key])
                    for key in keys
                    if owners.get(key, manifest.id) != manifest.id
                ]
            ids.add(manifest.id)
            if errors:
                self._give_up(manifest, errors)
            else:
                self.left[manifest.id] = manifest
                owners.update(dict.fromkeys(keys, manifest.id))

    def _choose(self) -> bool:
        """Bind all who are left; tell whether some had to go."""
        self._provided = {}
        for manifest in self.left.values():
            for each in manifest.provides:
                self._provided.setdefault(each.facet, []).append(
                    _Candidate(manifest.qualifier_of(each), each.priority, manifest.id)
                )
        self.bindings = {}
        failed: list[tuple[PluginManifest, list[LatencyKVError]]] = []
        for manifest in self.left.values():
            bindings = self.bindings[manifest.id] = []
            errors: list[LatencyKVError] = []
            for requirement in manifest.requires:
                found = self._server_of(manifest, requirement)
                if isinstance(found, Binding):
                    bindings.append(found)
                elif not _is_excused(requirement, found):
                    errors.append(found)
            if errors:
                failed.append((manifest, errors))
        # Only now: within a round, all choose among the same.
        for manifest, errors in failed:
            self._give_up(manifest, errors)
        return bool(failed)

    def _break_circle(self) -> bool:
        """Give up the plugins of one circle; tell whether there was one."""
        try:
            TopologicalSorter(self._graph()).prepare()
        except CycleError as error:
            # Its nodes go from who serves to who is served, and end where they begin.
            circle: list[str] = error.args[1][:0:-1]
        else:
            return False
        start = min(map(list(self.left).index, circle))
        at = circle.index(list(self.left)[start])
        names = circle[at:] + circle[:at]
        problem = CircularDependencyError([*names, names[0]])
        self.errors.append(BindProblem(names[0], problem, str(problem)))
        for name in names:
            self._gone.append((self.left.pop(name), problem))
        return True

    def _warn(self) -> None:
        for manifest in self.left.values():
            for requirement in manifest.requires:
                found = self._server_of(manifest, requirement)
                if isinstance(found, LatencyKVError):
                    self.warnings.append(_problem(manifest, found))

    def _server_of(
        self, manifest: PluginManifest, requirement: FacetRequirement
    ) -> Binding | LatencyKVError:
        """Return who serves a requirement, or the error that says why nobody does."""
        facet = requirement.facet
        qualifier, is_exact = self._wanted(manifest, requirement)
        # One for each qualifier: a plugin may be there already, and be bound again.
        everybody = {
            each.qualifier: each
            for all_ in (self._registered, self._provided)
            for each in all_.get(facet, ())
        }
        candidates = [
            each for each in everybody.values() if each.plugin_name != manifest.id
        ]
        if is_exact:
            candidates = [each for each in candidates if each.qualifier == qualifier]
        if not candidates:
            return self._missing(manifest, requirement, qualifier, is_exact)
        if self.config.strategy == "explicit" and len(candidates) > 1:
            return AmbiguousFacetError(
                facet, [each.qualifier or _UNQUALIFIED for each in candidates]
            )
        best = candidates[0]
        if self.config.strategy == "highest-priority":
            # Of equals, max returns the first.
            best = max(candidates, key=lambda each: each.priority)
        return Binding(requirement, best.qualifier, best.plugin_name)

    def _wanted(
        self, manifest: PluginManifest, requirement: FacetRequirement
    ) -> tuple[str | None, bool]:
        """Return the qualifier that it has to be, and whether it has to be one."""
        if requirement.qualifier is not None:
            return requirement.qualifier, True
        for choices in (
            self.config.explicit_for.get(manifest.id, {}),
            self.config.explicit,
        ):
            if requirement.facet in choices:
                return choices[requirement.facet], True
        return None, False

    def _missing(
        self,
        manifest: PluginManifest,
        requirement: FacetRequirement,
        qualifier: str | None,
        is_exact: bool,
    ) -> FacetError:
        """Return the error of a requirement without candidates, with its reason."""

        def would_serve(provider: PluginManifest) -> bool:
            return any(
                each.facet == requirement.facet
                and (not is_exact or provider.qualifier_of(each) == qualifier)
                for each in provider.provides
            )

        error = FacetNotFoundError(requirement.facet, qualifier)
        for provider, reason in self._gone:
            if would_serve(provider):
                error.__cause__ = reason
                return error
        if would_serve(manifest) and not requirement.optional:
            return CircularDependencyError([manifest.id, manifest.id])
        return error

    def _give_up(
        self, manifest: PluginManifest, errors: Sequence[LatencyKVError]
    ) -> None:
        self.errors += [_problem(manifest, error) for error in errors]
        self._gone.append((manifest, errors[0]))
        if self.left.get(manifest.id) is manifest:
            del self.left[manifest.id]

    def _graph(self) -> dict[str, list[str]]:
        """Who is left, and of those left who serves them."""
        return {
            name: [
                each.plugin_name
                for each in self.bindings[name]
                if each.plugin_name in self.left
            ]
            for name in self.left
        }


def _choices(choices: Mapping[Any, str | None]) -> Mapping[str, str | None]:
    named = {facet_name(facet): qualifier for facet, qualifier in choices.items()}
    for facet, qualifier in named.items():
        if qualifier is not None and not isinstance(qualifier, str):
            raise TypeError(f"the choice for {facet!r} is no qualifier: {qualifier!r}")
    return MappingProxyType(named)


def _manifest_of(plugin: Bindable) -> PluginManifest:
    manifest = getattr(plugin, "manifest", None)
    if not isinstance(manifest, PluginManifest):
        raise TypeError(f"{plugin!r} has no manifest, but {manifest!r}")
    return manifest


def _taken(
    manifest: PluginManifest, key: tuple[str, str | None], owner: str | None
) -> PluginError:
    facet, qualifier = key
    who = "the host" if owner is None else f"plugin {owner!r}"
    return PluginError(
        manifest.id,
        f"it provides {facet!r} with qualifier {qualifier!r}, which {who} provides "
        "already",
    )


def _is_excused(requirement: FacetRequirement, error: LatencyKVError) -> bool:
    return requirement.optional and isinstance(error, FacetNotFoundError)


def _problem(manifest: PluginManifest, error: LatencyKVError) -> BindProblem:
    message = str(error)
    if error.__cause__ is not None:
        message += f" (who would provide it cannot be bound: {error.__cause__})"
    return BindProblem(manifest.id, error, message)

"""Registry: which provider serves which facet, under which qualifier.

    facet        qualifier   provider            priority
    Logger       None        StandardLogger()    0          the host's
    Logger       "audit"     AuditLog()          10         a plugin's
    SecretStore  "vault"     Vault()             0

Knows no plugin and chooses for nobody in particular: that is the binder's.  Start at
`FacetRegistry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from inspect import get_annotations
from itertools import chain
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from latency_kv.errors import FacetNotFoundError
from latency_kv.plugins.manifest import Facet, facet_name

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ["FacetRegistry", "Registration"]

T = TypeVar("T")

# What Python itself puts into a Protocol, and no provider has to.
_PYTHONS_OWN = frozenset(
    [
        "__init__",
        "__new__",
        "__subclasshook__",
        "__class_getitem__",
        "__annotate__",
        "__annotate_func__",
    ]
)


@dataclass(frozen=True, slots=True)
class Registration:
    """A provider as it was registered.

    metadata is the registrar's, read-only; what plugins provide has their id there,
    under "plugin".
    """

    facet: str
    provider: Any
    qualifier: str | None = None
    priority: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


class FacetRegistry:
    """The providers of a host, by facet and qualifier; sync, for one event loop.

        register(facet, provider)    over one of the same facet and qualifier
        resolve(facet)               the provider with the highest priority
        resolve(facet, qualifier)    exactly that one
        registration(facet, q)       how it was registered; q None: without a qualifier
        list(facet)                  all registrations of a facet, the best first
        has(facet)                   whether there is one
        unregister(facet)            remove the one of exactly this facet and qualifier

    A facet is a Protocol or its name.  With the Protocol the provider is checked, and
    `resolve` has its type for mypy and pyright.  Of two providers with one priority the
    first registered is the better.  Iterating gives all registrations, each facet's in
    their order.

    >>> from latency_kv.facets.logger import Logger
    >>> from latency_kv.providers.logging import StandardLogger
    >>> registry = FacetRegistry()
    >>> _ = registry.register(Logger, StandardLogger("app"))
    >>> _ = registry.register(Logger, StandardLogger("audit"), "audit")
    >>> registry.resolve(Logger), registry.resolve(Logger, "audit")
    (StandardLogger('app', keys=[]), StandardLogger('audit', keys=[]))
    """

    __slots__ = ("_facets",)

    def __init__(self) -> None:
        # The registrations of a facet are in their order.
        self._facets: dict[str, dict[str | None, Registration]] = {}

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{facet}: {len(all_)}" for facet, all_ in self._facets.items()
        )
        return f"<FacetRegistry {counts or 'without providers'}>"

    def __len__(self) -> int:
        return sum(map(len, self._facets.values()))

    def __iter__(self) -> Iterator[Registration]:
        return chain.from_iterable(map(dict.values, self._facets.values()))

    def register(
        self,
        facet: Facet,
        provider: Any,
        qualifier: str | None = None,
        priority: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> Registration:
        """Register a provider, and return how it stands here.

        It replaces the one of the same facet and qualifier, and goes to the end of the
        order.  TypeError, and nothing changes, for a provider that lacks members of the
        Protocol, which it names.
        """
        name = facet_name(facet)
        if not name.strip():
            raise ValueError("a facet has a name")
        if qualifier is not None and not isinstance(qualifier, str):
            raise TypeError(f"a qualifier is a str or None, not {qualifier!r}")
        if qualifier is not None and not qualifier.strip():
            raise ValueError("a qualifier is not empty: leave it out")
        if isinstance(priority, bool) or not isinstance(priority, int):
            raise TypeError(f"a priority is an int, not {priority!r}")
        if provider is None:
            raise TypeError(f"None provides nothing, {name!r} neither")
        if not isinstance(facet, str):
            _demand_provider(facet, provider)
        registration = Registration(
            name,
            provider,
            qualifier,
            priority,
            MappingProxyType(dict(metadata or {})),
        )
        of_facet = self._facets.setdefault(name, {})
        of_facet.pop(qualifier, None)
        of_facet[qualifier] = registration
        return registration

    @overload
    def resolve(self, facet: str, qualifier: str | None = None) -> Any: ...
    @overload
    def resolve(self, facet: TypeForm[T], qualifier: str | None = None) -> T: ...
    def resolve(self, facet: Any, qualifier: str | None = None) -> Any:
        """Return the provider; FacetNotFoundError where there is none.

        Without a qualifier it is the best one of the facet, whatever its qualifier.
        """
        name = facet_name(facet)
        if qualifier is not None:
            found = self.registration(name, qualifier)
        else:
            found = min(self._facets.get(name, {}).values(), key=_rank, default=None)
        if found is None:
            raise FacetNotFoundError(name, qualifier)
        return found.provider

    def registration(
        self, facet: Facet, qualifier: str | None = None
    ) -> Registration | None:
        """Return what is registered with exactly this qualifier, or with none."""
        return self._facets.get(facet_name(facet), {}).get(qualifier)

    def list(self, facet: Facet) -> tuple[Registration, ...]:
        """List the registrations of a facet, the best first."""
        return tuple(
            sorted(self._facets.get(facet_name(facet), {}).values(), key=_rank)
        )

    def has(self, facet: Facet, qualifier: str | None = None) -> bool:
        """Tell whether `resolve` would find a provider."""
        of_facet = self._facets.get(facet_name(facet), {})
        return bool(of_facet) if qualifier is None else qualifier in of_facet

    def unregister(self, facet: Facet, qualifier: str | None = None) -> bool:
        """Remove the registration; return whether there was one.

        As `register` put it: without a qualifier, the one that has none.
        """
        name = facet_name(facet)
        of_facet = self._facets.get(name, {})
        if of_facet.pop(qualifier, None) is None:
            return False
        if not of_facet:
            del self._facets[name]
        return True


def _rank(registration: Registration) -> int:
    # Sorting and min leave equals in their order.
    return -registration.priority


def _demand_provider(facet: type[Any], provider: object) -> None:
    if not getattr(facet, "_is_protocol", False):
        if not isinstance(provider, facet):
            raise TypeError(f"{type(provider).__name__} is no {facet.__name__}")
        return
    missing = sorted(
        name
        for name, is_method in _members_of(facet).items()
        if not _has(provider, name, is_method)
    )
    if missing:
        raise TypeError(
            f"{type(provider).__name__} is no {facet.__name__}: "
            f"it lacks {', '.join(missing)}"
        )


def _members_of(protocol: type[Any]) -> dict[str, bool]:
    """Return the members that a Protocol asks for, and whether each is a method."""
    members: dict[str, bool] = {}
    for base in reversed(protocol.__mro__):
        if not getattr(base, "_is_protocol", False) or base.__module__ == "typing":
            continue
        annotated = dict.fromkeys(get_annotations(base))
        for name, value in {**annotated, **vars(base)}.items():
            is_method = isinstance(value, FunctionType)
            if name not in _PYTHONS_OWN and (is_method or not name.startswith("_")):
                members[name] = is_method
    return members


def _has(provider: object, name: str, is_method: bool) -> bool:
    if not is_method:
        return hasattr(provider, name)
    return callable(getattr(provider, name, None))

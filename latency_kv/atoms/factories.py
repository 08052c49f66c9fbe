"""Factories: an atom is a function that makes a value, and what it needs for that.

Nothing runs here.  Start at `atom`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar, overload

__all__ = ["Atom", "AtomDecorator", "atom"]

T = TypeVar("T")


class Atom(Generic[T]):
    """A factory of a value of type T, and the atoms whose values it is called with.

    Made by `atom`.  Which atom it is, is the object.  It holds no value: scopes do.
    """

    __slots__ = ("__weakref__", "deps", "factory")

    def __init__(
        self, factory: Callable[..., Any], deps: Iterable[Atom[Any]] = ()
    ) -> None:
        if not callable(factory):
            raise TypeError(f"a factory is a function, not {type(factory).__name__}")
        self.factory = factory
        self.deps = tuple(deps)
        for dep in self.deps:
            if not isinstance(dep, Atom):
                raise TypeError(
                    f"{self!r}: a dependency is an Atom, made by atom(factory), "
                    f"not {type(dep).__name__}"
                )

    @property
    def name(self) -> str:
        """What messages call it: the factory's name."""
        return getattr(self.factory, "__name__", None) or repr(self.factory)

    def __repr__(self) -> str:
        return f"<Atom {self.name}>"


class AtomDecorator(Protocol):
    """What `atom(deps=...)` returns: it makes an atom of the function under it."""

    @overload
    def __call__(self, factory: Callable[..., Awaitable[T]], /) -> Atom[T]: ...
    @overload
    def __call__(self, factory: Callable[..., T], /) -> Atom[T]: ...


@overload
def atom(
    factory: Callable[..., Awaitable[T]], /, *, deps: Iterable[Atom[Any]] = ()
) -> Atom[T]: ...
@overload
def atom(
    factory: Callable[..., T], /, *, deps: Iterable[Atom[Any]] = ()
) -> Atom[T]: ...
@overload
def atom(*, deps: Iterable[Atom[Any]] = ()) -> AtomDecorator: ...
def atom(
    factory: Callable[..., Any] | None = None, /, *, deps: Iterable[Atom[Any]] = ()
) -> Any:
    """Make an atom of a factory: `factory(ctx, *values of deps)`, sync or async.

    ctx is an AtomContext.  What the factory returns is the atom's value; an awaitable is
    awaited first.  Also a decorator, `@atom` or `@atom(deps=[...])`.

    >>> from latency_kv.atoms import Scope
    >>> @atom
    ... def base(ctx):
    ...     return 40
    >>> @atom(deps=[base])
    ... async def answer(ctx, base):
    ...     return base + 2
    >>> import asyncio
    >>> asyncio.run(Scope().resolve(answer))
    42
    """
    if factory is None:
        deps = tuple(deps)
        return lambda factory: Atom(factory, deps)
    return Atom(factory, deps)

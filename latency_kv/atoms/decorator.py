"""The decorator: how a function becomes an atom, and the atom's type comes from it.

Start at `atom`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Concatenate, Protocol, TypeVar, overload

from latency_kv.atoms.factories import Atom

if TYPE_CHECKING:
    from latency_kv.atoms.scope import AtomContext

__all__ = ["AtomDecorator", "atom"]

T = TypeVar("T")


class AtomDecorator(Protocol):
    """What `atom(deps=...)` returns: it makes an atom of the function under it."""

    @overload
    def __call__(
        self, factory: Callable[Concatenate[AtomContext, ...], Awaitable[T]], /
    ) -> Atom[T]: ...
    @overload
    def __call__(
        self, factory: Callable[Concatenate[AtomContext, ...], T], /
    ) -> Atom[T]: ...


# How many values a factory takes is checked where there are none: a list of atoms of
# several types has no type that says more.
@overload
def atom(factory: Callable[[AtomContext], Awaitable[T]], /) -> Atom[T]: ...
@overload
def atom(factory: Callable[[AtomContext], T], /) -> Atom[T]: ...
@overload
def atom(
    factory: Callable[Concatenate[AtomContext, ...], Awaitable[T]],
    /,
    *,
    deps: Iterable[Atom[Any]],
) -> Atom[T]: ...
@overload
def atom(
    factory: Callable[Concatenate[AtomContext, ...], T],
    /,
    *,
    deps: Iterable[Atom[Any]],
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

"""Factories: an atom is a function that makes a value, and what it needs for that.

Nothing runs here.  Start at `Atom`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["Atom"]

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

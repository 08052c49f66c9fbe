"""Atoms: an atom's value has the type that its factory returns, or awaits to."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Any, reveal_type

from latency_kv import DataStore, Scope, atom, tag
from latency_kv.atoms import Atom, AtomContext

CALLS = tag("calls", type=int, default=0)


class Pool:
    """A value with a factory of its own: the class."""

    def __init__(self, ctx: AtomContext) -> None:
        self.owner = ctx.scope

    async def close(self) -> None: ...


@atom
def base_url(ctx: AtomContext) -> str:
    """Sync, without dependencies."""
    reveal_type(ctx.data)  # DataStore
    reveal_type(ctx.data.get(CALLS))  # int | None
    reveal_type(ctx.scope)  # Scope
    ctx.cleanup(lambda: None)
    ctx.invalidate()
    return "http://localhost"


@atom
async def limit(ctx: AtomContext) -> int | None:
    """Async: the atom is of what comes out."""
    reveal_type(await ctx.scope.resolve(base_url))  # str
    return None


@atom(deps=[base_url, limit])
def label(ctx: AtomContext, base_url: str, limit: int | None) -> tuple[str, int]:
    """Sync, with dependencies of two types."""
    return base_url, limit or 0


@atom(deps=(base_url,))
async def pages(ctx: AtomContext, *urls: str) -> dict[str, bytes]:
    """Async, with dependencies, and as many values as there are."""
    return dict.fromkeys(urls, b"")


@atom(deps=[])
def alone(ctx: AtomContext) -> float:
    """The decorator with its parentheses, for nothing."""
    return 0.5


def later(ctx: AtomContext) -> Awaitable[bytes]:
    """Sync, of an awaitable: awaited too."""
    raise NotImplementedError


def joined(ctx: AtomContext, separator: str, url: str) -> list[str]:
    """A function that other code calls as well."""
    return url.split(separator)


def unknown(ctx: Any, *values: Any) -> Any:
    """Of code without types."""


pool = atom(Pool)
short = atom(lambda ctx: ctx.data)

reveal_type(base_url)  # Atom[str]
reveal_type(limit)  # Atom[int | None]
reveal_type(label)  # Atom[tuple[str, int]]
reveal_type(pages)  # Atom[dict[str, bytes]]
reveal_type(alone)  # Atom[float]
reveal_type(pool)  # Atom[Pool]
reveal_type(short)  # Atom[DataStore]
reveal_type(atom(later))  # Atom[bytes]
reveal_type(atom(joined, deps=[base_url, base_url]))  # Atom[list[str]]
reveal_type(atom(partial(joined, separator="/"), deps=[base_url]))  # Atom[list[str]]
reveal_type(atom(unknown))  # Atom[Any]
reveal_type(atom(unknown, deps=[base_url]))  # Atom[Any]
reveal_type(base_url.name)  # str
reveal_type(base_url.deps)  # tuple[Atom[Any], ...]


def of_nothing() -> int:
    """No factory: it takes no context."""
    return 1


def of_text(text: str) -> int:
    """No factory: its context would be a str."""
    return len(text)


atom(of_nothing)  # error: no context
atom(of_text)  # error: the context is no str
atom(of_text, deps=[base_url])  # error: the context is no str
atom(joined)  # error: it wants values, and there are no dependencies
atom(later, deps=["base_url"])  # error: dependencies are atoms
atom(deps=[base_url])(of_nothing)  # error: no context
NUMBER: Atom[int] = base_url  # error: an atom of str
LOOSE: Atom[object] = base_url  # error: a scope could be given anything for it


async def use(scope: Scope, data: DataStore) -> None:
    """A scope gives what the atoms make."""
    reveal_type(await scope.resolve(base_url))  # str
    reveal_type(await scope.resolve(limit))  # int | None
    reveal_type(await scope.resolve(label))  # tuple[str, int]
    reveal_type(await scope.resolve(pages))  # dict[str, bytes]
    reveal_type(await scope.resolve(pool))  # Pool
    reveal_type(await scope.resolve(short))  # DataStore
    await scope.set(base_url, "http://there")
    await scope.set(limit, None)
    await scope.set(base_url, 3)  # error: no str
    await scope.set(limit, "3")  # error: no int
    await scope.resolve(joined)  # error: a function is no atom yet
    await scope.release(CALLS)  # error: a tag is no atom
    scope.invalidate(base_url)
    async with Scope() as inner:
        reveal_type(inner)  # Scope

"""Work: what is being done to one atom, one at a time, and who waits for it.

A factory that asks for another atom waits for the work on that one, and so works wait
for works, in one task or in many.

Invariant: no work waits for itself, by way of whatever others; who would close such a
circle gets CircularDependencyError instead of waiting for ever.

Knows no scope and no value.  Start at `Work.wait`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import anyio

from latency_kv.atoms.factories import Atom
from latency_kv.errors import CircularDependencyError

__all__ = ["Work"]

# Tasks that a factory starts inherit it.
_CURRENT: ContextVar[Work | None] = ContextVar("latency_kv.atoms.work", default=None)


class Work:
    """A run of an atom's factory, or what else may not happen beside one.

    chain are the atoms whose invalidation led to this work, the eldest first.  outcome
    and error are for those who waited: neither is set if the work was broken off.
    """

    __slots__ = ("_done", "_waits_for", "atom", "chain", "error", "outcome", "owner")

    def __init__(
        self, owner: object, atom: Atom[Any], chain: tuple[Atom[Any], ...] = ()
    ) -> None:
        self.owner = owner
        self.atom = atom
        self.chain = chain
        self.outcome: tuple[Any] | None = None
        self.error: Exception | None = None
        self._done = anyio.Event()
        # A list: two tasks of one factory may wait for the same work.
        self._waits_for: list[Work] = []

    @classmethod
    def current(cls) -> Work | None:
        """Return the work that the caller is part of, None once that is over."""
        work = _CURRENT.get()
        return None if work is None or work._done.is_set() else work

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Make this the caller's work, which the one that it is part of waits for."""
        around = Work.current()
        token = _CURRENT.set(self)
        if around is not None:
            around._waits_for.append(self)
        try:
            yield
        finally:
            if around is not None:
                around._waits_for.remove(self)
            _CURRENT.reset(token)
            self._done.set()

    async def wait(self) -> None:
        """Wait until this work is over, however it ends.

        Raises CircularDependencyError if it waits, directly or not, for the caller's.
        """
        waiting = Work.current()
        if waiting is None:
            await self._done.wait()
            return
        path = self._path_to(waiting)
        if path:
            raise CircularDependencyError([work.atom.name for work in [*path, self]])
        waiting._waits_for.append(self)
        try:
            await self._done.wait()
        finally:
            waiting._waits_for.remove(self)

    def _path_to(self, other: Work) -> list[Work]:
        """Return the works from this one to the other, each waiting for the next."""
        paths: list[list[Work]] = [[self]]
        seen: set[Work] = {self}
        while paths:
            path = paths.pop()
            if path[-1] is other:
                return path
            for work in path[-1]._waits_for:
                if work not in seen:
                    seen.add(work)
                    paths.append([*path, work])
        return []

"""Scope: the values of atoms, made once, cleaned up behind, and made again when invalid.

    resolve       invalidate, flush       release              dispose
    the value     made again in time      as if never made     all of them, and the end

One atom in one scope has a life, from the first time it is asked for to its release: its
value comes and goes meanwhile, its DataStore stays.

Invariants
    1. At most one work is going on in a life: a run of its factory, or a release.
    2. A life's clean-ups are those of its value, or of a value that the work going on
       will have or has just taken away.
    3. What is pending has a life, and was not applied: who starts a run takes it away.

One event loop, asyncio's or trio's, and no second thread.  Start at `Scope.resolve`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import anyio

from latency_kv.atoms.data_store import DataStore
from latency_kv.atoms.factories import Atom
from latency_kv.atoms.work import Work
from latency_kv.endings import collected, to_the_end
from latency_kv.errors import InvalidationLoopError

__all__ = ["AtomContext", "Scope"]

T = TypeVar("T")

_NOTHING: Any = object()

_logger = logging.getLogger("latency_kv.atoms")


class AtomContext:
    """What a factory is handed: its atom's store, and a say in what comes after it.

    One for each run of the factory.
    """

    __slots__ = ("_cleanups", "_life", "scope")

    def __init__(self, scope: Scope, life: _Life) -> None:
        self.scope = scope
        self._life = life
        self._cleanups: list[Callable[[], Any]] | None = []

    @property
    def data(self) -> DataStore:
        """The atom's own store in this scope, which survives invalidation.

        Another atom, or another scope, has another one.  It is dropped on release.
        """
        return self._life.store()

    def cleanup(self, function: Callable[[], Any]) -> None:
        """Have the function called, sync or async, before the value is dropped.

        The last one first.  RuntimeError once that has happened.
        """
        if not callable(function):
            raise TypeError(
                f"a clean-up is a function, not {type(function).__name__}: hand it over "
                "without calling it"
            )
        if self._cleanups is None:
            raise RuntimeError(
                f"the value of {self._life.atom!r} that this context was for is gone: "
                "clean up at once"
            )
        self._cleanups.append(function)

    def invalidate(self) -> None:
        """Have the factory run again, at the next flush or resolve after this run."""
        self.scope.invalidate(self._life.atom)

    async def clean_up(self) -> None:
        """Call the clean-ups, each once whatever the others do; raise what they raise."""
        if not self._cleanups:
            self._cleanups = None
            return
        with collected(f"clean-ups of {self._life.atom!r}", _tell) as errors:
            await to_the_end(partial(self._call_all, self._cleanups, errors))

    async def _call_all(
        self, functions: list[Callable[[], Any]], errors: list[BaseException]
    ) -> None:
        # One that is called may add another.
        while functions:
            function = functions.pop()
            try:
                result = function()
                if isawaitable(result):
                    await result
            except BaseException as error:  # noqa: BLE001 - the others have a turn
                errors.append(error)
        # At once: what is added from now on would not be called.
        self._cleanups = None


class _Life:
    """One atom in one scope, until its release."""

    __slots__ = ("_store", "atom", "context", "number", "value", "work")

    def __init__(self, atom: Atom[Any]) -> None:
        self.atom = atom
        self.value = _NOTHING
        # Whose clean-ups have not been called.
        self.context: AtomContext | None = None
        self.work: Work | None = None
        # Of its value, in the order in which values were made: what a value was made of
        # comes before it.
        self.number = 0
        self._store: DataStore | None = None

    def store(self) -> DataStore:
        if self._store is None:
            self._store = DataStore()
        return self._store

    async def clean_up(self) -> None:
        """Take the value away and call its clean-ups; raise what they raise."""
        self.value = _NOTHING
        context, self.context = self.context, None
        if context is not None:
            await context.clean_up()


class Scope:
    """Resolves atoms to values, each made once, and cleans up behind them.

    Works without `async with`; leaving one disposes of the scope.  Operations may come
    from many tasks of one event loop.

    >>> import asyncio
    >>> from latency_kv.atoms import atom, tag
    >>> RUNS = tag("runs", default=0)
    >>> @atom
    ... def connection(ctx):
    ...     ctx.data.set(RUNS, ctx.data.get_or_set(RUNS) + 1)
    ...     ctx.cleanup(lambda: print("closed"))
    ...     return f"connection {ctx.data.get(RUNS)}"
    >>> async def main():
    ...     async with Scope() as scope:
    ...         print(await scope.resolve(connection))
    ...         scope.invalidate(connection)
    ...         print(await scope.resolve(connection))
    >>> asyncio.run(main())
    connection 1
    closed
    connection 2
    closed
    """

    def __init__(self) -> None:
        self._lives: dict[Atom[Any], _Life] = {}
        # What was invalidated, with the chain of invalidations that led to it.
        self._pending: dict[Atom[Any], tuple[Atom[Any], ...]] = {}
        # Works that apply what was invalidated before they began.
        self._applying: set[Work] = set()
        self._numbers = count(1)
        self._flushing = anyio.Lock()
        self._is_disposed = False
        # Nobody waits any more for what is still going on: it cleans up behind itself.
        self._is_abandoned = False

    def __repr__(self) -> str:
        if self._is_disposed:
            return "<Scope, disposed>"
        values = sum(life.value is not _NOTHING for life in self._lives.values())
        return f"<Scope of {values} values>"

    async def __aenter__(self) -> Self:
        self._check_is_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.dispose()

    async def resolve(self, atom: Atom[T]) -> T:
        """Return the atom's value; the first time, and when invalid, its factory makes it.

        Who asks while the factory runs waits for that run and gets what it returns or
        raises; if that run is cancelled, one of those who wait runs it anew.  After a
        failure its clean-ups are called and the next resolve runs it again; if they fail
        too, an ExceptionGroup has it all.  Raises CircularDependencyError where factories
        wait for one another.
        """
        _check_is_atom(atom)
        while True:
            self._check_is_open()
            life = self._life(atom)
            if life.work is not None:
                work = life.work
                await work.wait()
                if work.error is not None:
                    raise work.error
                if work.outcome is not None:
                    break
            elif life.value is _NOTHING or atom in self._pending:
                return cast(T, await self._run(life, self._inherited_chain(atom)))
            else:
                return cast(T, life.value)
        return cast(T, work.outcome[0])

    async def set(self, atom: Atom[T], value: T) -> None:
        """Give the atom a value from outside, in the place of what its factory makes.

        The clean-ups of the value before are called; the DataStore stays.
        """
        _check_is_atom(atom)
        while True:
            self._check_is_open()
            life = self._life(atom)
            if life.work is None:
                break
            await life.work.wait()
        life.work = work = Work(self, atom)
        self._apply_pending(work)
        with work.going_on():
            try:
                await life.clean_up()
            finally:
                work.outcome = (value,)
                self._settle(life, work, value)

    def invalidate(self, atom: Atom[Any]) -> None:
        """Have the factory run again, at the next flush, or resolve of this atom.

        Clean-ups are called first.  Once is enough: more calls before that change
        nothing, and neither does one for an atom without a value.  The atoms that
        depend on this one keep their values.
        """
        _check_is_atom(atom)
        self._check_is_open()
        life = self._lives.get(atom)
        if life is None or (life.value is _NOTHING and life.work is None):
            return
        chain = self._chain_here()
        # What is asked for from outside begins a chain, whoever else asks for it.
        if not chain or atom not in self._pending:
            self._pending[atom] = chain

    async def flush(self) -> None:
        """Apply every invalidation, those too that the factories make meanwhile.

        In order; a failing one stops no other, and is raised at the end, several as an
        ExceptionGroup.  An atom that its own chain of invalidations comes back to raises
        InvalidationLoopError and keeps its value.  RuntimeError inside a factory.
        """
        self._check_is_open()
        if current := self._current():
            raise RuntimeError(
                f"flush in the factory of {current.atom!r}, which it would have to wait "
                "for: invalidate, and flush when it is over"
            )
        with collected("flush", _tell) as errors:
            async with self._flushing:
                while self._pending or self._applying:
                    if self._is_disposed:
                        errors.append(_disposed())
                        break
                    if not self._pending:
                        await next(iter(self._applying)).wait()
                        continue
                    atom, chain = next(iter(self._pending.items()))
                    life = self._lives[atom]
                    if life.work is not None:
                        await life.work.wait()
                        continue
                    del self._pending[atom]
                    try:
                        if life.value is not _NOTHING:
                            await self._run_again(life, chain)
                    except Exception as error:  # noqa: BLE001 - raised at the end
                        errors.append(error)

    async def release(self, atom: Atom[Any]) -> None:
        """Forget the atom: clean up, and drop its value and its DataStore.

        The next resolve starts anew.  The atoms that depend on it keep their values.
        """
        _check_is_atom(atom)
        while life := self._lives.get(atom):
            if life.work is None:
                await self._release(life)
                return
            await life.work.wait()

    async def dispose(self) -> None:
        """Release all atoms, the last made first, and refuse everything from now on.

        Factories that are running are waited for.  If that is cancelled, what stands is
        released all the same, and they clean up behind themselves.
        """
        self._is_disposed = True
        with collected("dispose", _tell) as errors:
            release_idle = partial(self._release_idle, errors)
            try:
                while self._lives:
                    if works := [
                        each.work for each in self._lives.values() if each.work
                    ]:
                        await works[0].wait()
                    else:
                        await to_the_end(release_idle)
            except BaseException:
                self._is_abandoned = True
                await to_the_end(release_idle)
                raise

    async def _run(self, life: _Life, chain: tuple[Atom[Any], ...]) -> Any:
        """Take the old value away, run the factory, and keep what it makes."""
        life.work = work = Work(self, life.atom, chain)
        self._apply_pending(work)
        with work.going_on():
            value = _NOTHING
            try:
                await life.clean_up()
                values = [await self.resolve(dep) for dep in life.atom.deps]
                life.context = AtomContext(self, life)
                value = life.atom.factory(life.context, *values)
                if isawaitable(value):
                    value = await value
                work.outcome = (value,)
            except BaseException as error:
                value = _NOTHING
                failure = await self._clean_up_behind(life, error)
                if isinstance(failure, Exception):
                    work.error = failure
                if failure is not error:
                    raise failure from None
                raise
            finally:
                self._settle(life, work, value)
        if self._is_abandoned:
            await self._release(life)
        return value

    async def _clean_up_behind(
        self, life: _Life, error: BaseException
    ) -> BaseException:
        """Clean up behind a factory that raised; return what there is to raise now."""
        try:
            await life.clean_up()
        except Exception as second:  # noqa: BLE001 - raised with the first, or told
            if isinstance(error, Exception):
                what = f"{life.atom!r} failed, and so did its clean-ups"
                return ExceptionGroup(what, [error, second])
            _tell(second)
        return error

    async def _run_again(self, life: _Life, chain: tuple[Atom[Any], ...]) -> None:
        if life.atom in chain:
            loop = [*chain[chain.index(life.atom) :], life.atom]
            raise InvalidationLoopError([atom.name for atom in loop])
        await self._run(life, (*chain, life.atom))

    def _inherited_chain(self, atom: Atom[Any]) -> tuple[Atom[Any], ...]:
        """Return the chain of a run that a resolve starts: that of the run around it."""
        chain = self._chain_here()
        if chain and atom in self._pending:
            return (*self._pending[atom], atom)
        return chain

    def _chain_here(self) -> tuple[Atom[Any], ...]:
        current = self._current()
        return () if current is None else current.chain

    def _current(self) -> Work | None:
        """Return the work on an atom of this scope that the caller is part of."""
        current = Work.current()
        return current if current is not None and current.owner is self else None

    def _apply_pending(self, work: Work) -> None:
        if self._pending.pop(work.atom, None) is not None:
            self._applying.add(work)

    def _settle(self, life: _Life, work: Work, value: Any) -> None:
        self._applying.discard(work)
        life.value = value
        life.work = None
        if value is not _NOTHING:
            life.number = next(self._numbers)

    async def _release(self, life: _Life) -> None:
        """End a life in which no work is going on."""
        life.work = work = Work(self, life.atom)
        with work.going_on():
            try:
                await life.clean_up()
            finally:
                life.work = None
                del self._lives[life.atom]
                self._pending.pop(life.atom, None)

    async def _release_idle(self, errors: list[BaseException]) -> None:
        """Release the last made first, up to one that somebody else is at."""
        lives = sorted(self._lives.values(), key=lambda life: life.number, reverse=True)
        for life in lives:
            if life.work is not None and not self._is_abandoned:
                return
            if life.work is None and life.atom in self._lives:
                try:
                    await self._release(life)
                except BaseException as error:  # noqa: BLE001 - the others have a turn
                    errors.append(error)

    def _life(self, atom: Atom[Any]) -> _Life:
        if atom not in self._lives:
            self._lives[atom] = _Life(atom)
        return self._lives[atom]

    def _check_is_open(self) -> None:
        if self._is_disposed:
            raise _disposed()


def _disposed() -> RuntimeError:
    return RuntimeError("this scope is disposed: make another")


def _check_is_atom(atom: Atom[Any]) -> None:
    if not isinstance(atom, Atom):
        raise TypeError(
            f"an Atom is asked for, made by atom(factory), not {type(atom).__name__}"
        )


def _tell(error: BaseException) -> None:
    _logger.error("this failed too", exc_info=error)

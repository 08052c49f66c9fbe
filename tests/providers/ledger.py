"""Ledger: writers under load who remember what was acknowledged, and what may be.

A key belongs to one writer, who sets, replaces, deletes and reads it, one call at a time.
What a call promises is taken at its word:

    it returned           the key has this value, or is gone
    StateWriteError       the key has what it had
    OutcomeUnknownError   either, and from then on for ever: what was on its way may
                          arrive late
    StateReadError        nobody looked
    any other exception   is a defect

So after whatever happened to the servers each key has a set of possible values, of which
the store must show one, and `keys` must list exactly those that have one.

Knows the facet and no provider. Start at `Ledger.run`.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from typing import Any

import anyio

from latency_kv.errors import OutcomeUnknownError, StateReadError, StateWriteError
from latency_kv.facets.stores import OpenedStateStore

WRITERS = 24
PADDING = "x" * 90

# What a key without a value has.
GONE = None

# How long the writers may need to go on after a fault.
PATIENCE_S = 60.0
PAUSE_S = 0.01

# How many keys are read at once when all are compared.
CHUNK = 500

SHOWN = 5


class Ledger:
    """What was written to a store, and is to be read from it."""

    def __init__(self, store: OpenedStateStore, seed: int) -> None:
        self.store = store
        self.seed = seed
        self.acknowledged = 0
        self.errors: Counter[str] = Counter()
        self.longest_stall_s = 0.0
        self._possible: dict[str, frozenset[str | None]] = {}
        self._doubtful: dict[str, frozenset[str | None]] = {}
        self._progress = [0] * WRITERS
        self._wrong: list[str] = []
        self._over = False

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Let the writers write while the block runs, and end their last calls."""
        self._over = False
        async with anyio.create_task_group() as tasks:
            for number in range(WRITERS):
                tasks.start_soon(self._write, number)
            try:
                yield
            finally:
                self._over = True

    async def go_on(self, calls: int) -> None:
        """Wait until each writer has had so many more calls acknowledged."""
        goals = [done + calls for done in self._progress]
        with anyio.fail_after(PATIENCE_S):
            while any(
                done < goal for done, goal in zip(self._progress, goals, strict=True)
            ):
                await anyio.sleep(PAUSE_S)

    async def check(self, store: OpenedStateStore) -> None:
        """Compare all that a store shows with what it may show; nobody may write."""
        keys = sorted(self._possible)
        values: dict[str, str | None] = {}
        for start in range(0, len(keys), CHUNK):
            some = keys[start : start + CHUNK]
            found = await store.get_many(some)
            values.update(zip(some, found, strict=True))
        for key in keys:
            self._compare(key, values[key], self._possible[key])
        assert not self._wrong, (
            f"{len(self._wrong)} answers, of {len(keys)} keys and {self.acknowledged} "
            f"calls, are not as acknowledged: {self._wrong[:SHOWN]}"
        )
        listed = await store.keys()
        there = {key for key in keys if values[key] is not GONE}
        different = sorted(there ^ set(listed))
        assert not different, (
            f"{len(different)} of {len(keys)} keys are listed without a value, or the "
            f"other way round: {different[:SHOWN]}"
        )
        assert len(listed) == len(there), "a key is listed twice"

    def report(self) -> str:
        """What happened, in a line."""
        errors = ", ".join(f"{count} {kind}" for kind, count in self.errors.items())
        return (
            f"{self.acknowledged} calls acknowledged, {errors or 'no errors'}, "
            f"the longest stall of a writer {self.longest_stall_s:.2f} s"
        )

    async def _write(self, number: int) -> None:
        random = Random(f"{self.seed} {number} {self.acknowledged}")
        own: list[str] = []
        last = time.monotonic()
        for turn in count():
            if self._over:
                return
            kind = random.choice(["new", "new", "new", "replace", "delete", "read"])
            key = f"{number}:{self.acknowledged}:{turn}"
            if kind == "new" or not own:
                own.append(key)
            else:
                key = random.choice(own)
            value = f"{number}.{turn}.{PADDING}"
            if kind == "read":
                done = await self._read(key)
            elif kind == "delete":
                done = await self._change(key, GONE, self.store.delete(key))
            else:
                done = await self._change(key, value, self.store.set(key, value))
            now = time.monotonic()
            if done:
                self.acknowledged += 1
                self._progress[number] += 1
                self.longest_stall_s = max(self.longest_stall_s, now - last)
                last = now

    async def _change(self, key: str, value: str | None, call: Awaitable[Any]) -> bool:
        """Note what a change makes of a key; whether it was acknowledged."""
        before = self._possible.get(key, frozenset([GONE]))
        doubtful = self._doubtful.get(key, frozenset())
        self._possible[key] = before | {value}
        try:
            await call
        except StateWriteError as error:
            self._note(error)
            self._possible[key] = before
            return False
        except OutcomeUnknownError as error:
            self._note(error)
            self._doubtful[key] = doubtful | {value}
            return False
        self._possible[key] = doubtful | {value}
        return True

    async def _read(self, key: str) -> bool:
        """Look whether a key has what it may have; whether there was an answer."""
        possible = self._possible.get(key, frozenset([GONE]))
        try:
            value = await self.store.get(key)
        except StateReadError as error:
            self._note(error)
            return False
        self._compare(key, value, possible)
        return True

    def _compare(
        self, key: str, value: str | None, possible: frozenset[str | None]
    ) -> None:
        """Note a value that a key cannot have: `check` raises, not a writer's task."""
        if value not in possible:
            self._wrong.append(
                f"{key} is {_shown(value)}, not {' or '.join(map(_shown, possible))}"
            )

    def _note(self, error: Exception) -> None:
        self.errors[type(error).__name__] += 1


def _shown(value: str | None) -> str:
    return "gone" if value is GONE else value.removesuffix(PADDING)

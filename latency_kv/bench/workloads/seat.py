"""Seat: one engine's place in a process: its store, and what must be in it.

A workload leaves the keys as they were, whatever it does between; of values, a sample
of keys is followed.  So `check` can say after every turn whether the engine does what
it is asked, and none of that is in a timed part.
"""

from __future__ import annotations

import random
from heapq import nsmallest
from pathlib import Path
from typing import Any

from latency_kv.bench.workloads.content import MANY, Block, Content, batches
from latency_kv.bench.workloads.engines import Engine, Spans, WrongAnswerError

__all__ = ["Seat", "Watched"]

_WATCHED = 100

_SCANS = 2


class Watched:
    """The keys of a content that are followed, and the scans whose answer is known."""

    def __init__(self, content: Content) -> None:
        source = random.Random(content.shape.entries)
        keys, entries = content.keys, content.shape.entries
        numbers = source.sample(range(entries), min(_WATCHED, entries))
        self.numbers = {keys.cut(n, n + 1)[0]: n for n in numbers}
        self.prefixes = source.choices(content.prefixes.cut(), k=_SCANS)
        self.starts = source.sample(list(self.numbers), min(_SCANS, entries))
        self.scans = self._scans(content)

    def _scans(self, content: Content) -> dict[tuple[str, bytes], list[bytes]]:
        """Find, by looking at every key, what each scan has to answer."""
        known: dict[tuple[str, bytes], list[bytes]] = {}
        every = [key for (keys,) in batches(content.keys) for key in keys]
        for prefix in self.prefixes:
            found = sorted(key for key in every if key.startswith(prefix))
            known["prefixscan", prefix] = found
        for start in self.starts:
            known["rangescan", start] = nsmallest(MANY, filter(start.__le__, every))
        return known


class Seat:
    """An engine with the content that all engines of a process share."""

    def __init__(
        self, kind: type[Engine], content: Content, watched: Watched, folder: Path
    ) -> None:
        self.kind = kind
        self.content = content
        self._watched = watched
        self._folder = folder
        self._engine: Engine | None = None
        self._held: dict[bytes, bytes] = {}

    @property
    def engine(self) -> Engine:
        """Return the engine, filled in random order."""
        if self._engine is None:
            engine = self.empty()
            engine.fill(self.content.keys, self.content.values)
            self.keep(engine)
        assert self._engine is not None
        return self._engine

    def empty(self) -> Engine:
        """Return a new store of the engine."""
        return self.kind(self.content.shape, self._folder)

    def keep(self, engine: Engine) -> None:
        """Go on with an engine that holds the content and nothing else."""
        self.leave()
        self._engine = engine
        engine.settle()
        values = self.content.values
        self._held = {
            key: values.cut(number, number + 1)[0]
            for key, number in self._watched.numbers.items()
        }

    def leave(self) -> None:
        """Let go of the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def put(self, keys: Block, values: Block, spans: Spans | None = None) -> int:
        """Overwrite entries; the ns it took."""
        spent = self.engine.run("put", keys, values.first(keys.count), spans=spans)
        self.follow(keys, values)
        return spent

    def follow(self, keys: Block, values: Block) -> None:
        """Note what the followed keys have to hold from now on."""
        for number, key in enumerate(keys.cut()):
            if key in self._held:
                at = number % values.pieces
                self._held[key] = values.cut(at, at + 1)[0]

    def hold(self, key: bytes, value: bytes) -> None:
        """Note what a key has to hold, if it is followed."""
        if key in self._held:
            self._held[key] = value

    def check(self, of: Any = None) -> None:
        """Raise WrongAnswerError unless the store, or another target, holds it all."""
        if of is None:
            self.expect(self.content.shape.entries)
        elif hasattr(of, "__len__") and len(of) != self.content.shape.entries:
            raise WrongAnswerError(f"{len(of)} entries are there")
        keys = self.block(list(self._held))
        if self.engine.answers("get", keys, of=of) != list(self._held.values()):
            raise WrongAnswerError("get: other values than were put")

    def check_absent(self, keys: Block) -> None:
        """Raise unless none of the keys is there."""
        some = keys.first(_WATCHED)
        if self.engine.answers("get", some) != [None] * some.count:
            raise WrongAnswerError("get: keys that are not there were found")

    def check_many(self) -> None:
        """Raise unless a batch of keys gets a list of their values."""
        keys = list(self._held)[:MANY]
        due = [self._held[key] for key in keys]
        if self.engine.answers("multiget", self.block(keys)) != [due]:
            raise WrongAnswerError("multiget: other values than were put")

    def check_scans(self, operation: str) -> None:
        """Raise unless a scan answers with the right entries in their order."""
        after_all = b"\xff" * self.content.shape.key_bytes
        for (kind, start), due in self._watched.scans.items():
            if kind != operation:
                continue
            blocks = [self.block([start])]
            if kind == "prefixscan":
                blocks.append(self.block([start + after_all]))
            (entries,) = self.engine.answers(operation, *blocks)
            if [key for key, _ in entries] != due:
                raise WrongAnswerError(f"{operation}: other keys than were put")
            if any(self._held.get(key, value) != value for key, value in entries):
                raise WrongAnswerError(f"{operation}: other values than were put")

    def expect(self, count: int) -> None:
        """Raise unless there are so many entries, if the engine knows."""
        if self.kind.is_counted and len(self.engine) != count:
            raise WrongAnswerError(f"{len(self.engine)} entries instead of {count}")

    @staticmethod
    def block(pieces: list[bytes]) -> Block:
        """Return pieces of one size side by side."""
        return Block(b"".join(pieces), len(pieces[0]), len(pieces))

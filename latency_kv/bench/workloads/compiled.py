"""Compiled: the engines whose loops run in machine code from end to end.

The same store called from Cython, and std's HashMap with FxHash from Rust, each by the
sources that native.py builds.  Both are handed whole blocks; checks of what they hold
go by single calls, outside of the timed part.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from latency_kv.bench.native import operator, reference
from latency_kv.bench.workloads.content import MANY, Block, Shape
from latency_kv.bench.workloads.engines import (
    Engine,
    Ours,
    Spans,
    WrongAnswerError,
)

__all__ = ["CompiledEngine", "FxHashMap", "OursCompiled"]


class CompiledEngine(Engine):
    """An engine with a compiled loop for each operation.

    `_call` runs one of them and returns what it counted; `_due` says what it has to be.
    """

    language = "compiled"

    def __init__(self, shape: Shape, folder: Path) -> None:
        self._value_bytes = shape.value_bytes

    def run(self, operation: str, *blocks: Block, spans: Spans | None = None) -> int:
        """Do an operation for every piece and return the ns it took."""
        room = array("q", bytes(8 * blocks[0].count)) if spans is not None else None
        address = 0 if room is None else room.buffer_info()[0]
        begin = perf_counter_ns()
        counted = self._call(operation, blocks, address)
        spent = perf_counter_ns() - begin
        self._check(operation, blocks[0].count, counted)
        if spans is None or room is None:
            return spent
        spans.extend(room)
        return sum(room)

    def _call(self, operation: str, blocks: tuple[Block, ...], spans: int) -> int:
        raise NotImplementedError

    def _check(self, operation: str, count: int, counted: int) -> None:
        """Raise if keys that are there were not found; none or all of them are."""
        due = {
            "get": (0, count * self._value_bytes),
            "delete": (count,),
            "put": (0,),
        }.get(operation, range(count * MANY + 1))
        if counted not in due:
            raise WrongAnswerError(f"{operation} of {count} counted {counted}")


class OursCompiled(CompiledEngine, Ours):
    """InMemoryStore, called from Cython."""

    name = "latency_kv-cython"

    def __init__(self, shape: Shape, folder: Path) -> None:
        self._operator = operator()
        CompiledEngine.__init__(self, shape, folder)
        Ours.__init__(self, shape, folder)

    def _call(self, operation: str, blocks: tuple[Block, ...], spans: int) -> int:
        store, module = self.target, self._operator
        keys = blocks[0]
        start = (store, keys.data, keys.size)
        if operation == "put":
            values = blocks[1]
            module.put_all(*start, values.data, values.size, keys.count, spans)
            return 0
        counted: int
        if operation == "get":
            counted = module.find_all(*start, keys.size, keys.count, False, spans)
        elif operation == "delete":
            counted = module.delete_all(*start, keys.count, spans)
        else:
            is_prefix = operation == "prefixscan"
            counted = module.scan_all(*start, is_prefix, MANY, keys.count, spans)
        return counted


class FxHashMap(CompiledEngine):
    """Rust's HashMap with FxHash."""

    name = "Rust-FxHash"

    def __init__(self, shape: Shape, folder: Path) -> None:
        self._library = reference()
        super().__init__(shape, folder)
        self.target = self._library.map_new(b"", 1, b"", 1, 0)

    def __len__(self) -> int:
        count: int = self._library.map_len(self.target)
        return count

    def _call(self, operation: str, blocks: tuple[Block, ...], spans: int) -> int:
        library, keys = self._library, blocks[0]
        start = (self.target, keys.data, keys.size)
        if operation == "put":
            values = blocks[1]
            piece = (values.data, values.size, values.pieces)
            library.map_put_all(*start, *piece, keys.count, spans or None)
            return 0
        counted: int
        if operation == "get":
            counted = library.map_find_all(
                *start, keys.size, keys.count, False, spans or None
            )
        else:
            counted = library.map_delete_all(*start, keys.count, spans or None)
        return counted

    def answers(self, operation: str, *blocks: Block, of: Any = None) -> list[Any]:
        """Get each key, for a check; there is no other answer."""
        room = array("b", bytes(self._value_bytes or 1))
        address = room.buffer_info()[0]
        found: list[bytes | None] = []
        for key in blocks[0].cut():
            there = self._library.map_get(
                self.target, key, len(key), address, self._value_bytes
            )
            found.append(room.tobytes()[: self._value_bytes] if there else None)
        return found

    def close(self) -> None:
        """Free the map."""
        self._library.map_free(self.target)
        self.target = None

"""Manifest: what a run measures, so that nothing is missing unnoticed.

    shapes    how many entries of which sizes; a few by default, all with --full
    tasks     several processes for each shape, one where the store is very large; more
              where memory is short
    cells     every (workload, engine, shape) that has to have a figure

A shape of which not even ours and one peer fit into half of the memory that is free is
left out, and told.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

from latency_kv.bench.workloads.content import Shape
from latency_kv.bench.workloads.table import WORKLOADS, Workload
from latency_kv.bench.workloads.worker import MANY, Task

__all__ = [
    "DEFAULT_SHAPES",
    "FULL_SHAPES",
    "LIMITS",
    "QUICK_SHAPES",
    "Cell",
    "Choice",
    "Manifest",
    "engines_of",
    "pauses_shape",
    "shapes_of",
]

_K, _M = 1_000, 1_000_000

KEY_BYTES = VALUE_BYTES = 16

DEFAULT_SHAPES = (
    Shape(_K, KEY_BYTES, VALUE_BYTES),
    Shape(10 * _K, KEY_BYTES, VALUE_BYTES),
    Shape(100 * _K, KEY_BYTES, VALUE_BYTES),
    Shape(100 * _K, KEY_BYTES, 1 << 10),
    Shape(_M, KEY_BYTES, VALUE_BYTES),
)

QUICK_SHAPES = (Shape(10 * _K, KEY_BYTES, VALUE_BYTES),)

FULL_SHAPES = (
    *(Shape(10**power, KEY_BYTES, VALUE_BYTES) for power in range(2, 8)),
    *(Shape(100 * _K, size, VALUE_BYTES) for size in (8, 32, 64, 128, 256)),
    *(Shape(100 * _K, KEY_BYTES, size) for size in (0, 64, 256, 1 << 10, 4 << 10)),
    Shape(_K, KEY_BYTES, 64 << 10),
    Shape(100, KEY_BYTES, 1 << 20),
)

LIMITS = {
    "--entries": (100, 10 * _M),
    "--key-bytes": (8, 256),
    "--value-bytes": (0, 1 << 20),
}

# What the workloads have in the place of a shape for which no store is filled.
_OUTSIDE = {"documents": Shape(1, 0, 1 << 10), "import": Shape(0, 0, 0)}

_ENTRY_BYTES = 250
"""What an entry weighs beyond its key and value, in the heaviest engine."""

_COPIES = 2
"""An engine and its snapshot, or its image."""

_BLOCK_BYTES = 64 << 20
"""Of a turn; fewer calls are made where values are large."""

_LEADERS = ("latency_kv", "latency_kv-cython")


class Cell(NamedTuple):
    """One figure that a run owes."""

    workload: str
    engine: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for; names are those of the tables."""

    shapes: tuple[Shape, ...]
    workloads: tuple[str, ...]
    engines: tuple[str, ...]
    rounds: int
    processes: int
    calls: int


@dataclass(slots=True)
class Manifest:
    """The processes of a run, the cells it owes, and what does not fit."""

    tasks: list[Task] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, choice: Choice, free: int | None = None) -> Manifest:
        """Work out a choice; `free` is how many bytes of memory are."""
        manifest = cls()
        free = _free_bytes() if free is None else free
        works = [work for work in WORKLOADS if work.name in choice.workloads]
        for work in works:
            if work.outside is not None:
                shape = _OUTSIDE[work.name]
                engines = [name for name in choice.engines if name in work.engines]
                manifest._add(choice, shape, [work], [engines])
        within = [work for work in works if work.outside is None]
        for shape in choice.shapes if within else ():
            engines = _asked(choice, within)
            groups = _groups(engines, shape, free)
            if groups is None:
                manifest.left_out.append(f"{shape}: more than half of the free memory")
            else:
                manifest._add(choice, shape, within, groups)
        return manifest

    def _add(
        self,
        choice: Choice,
        shape: Shape,
        works: list[Workload],
        groups: list[list[str]],
    ) -> None:
        names = [work.name for work in works]
        processes = 1 if shape.entries > MANY else choice.processes
        laps = max(1, -(-choice.rounds // choice.processes))
        weight = shape.key_bytes + shape.value_bytes
        calls = min(choice.calls, max(100, _BLOCK_BYTES // max(1, weight)))
        for number, engines in product(range(processes), groups):
            self.tasks.append(Task(shape, names, engines, calls, laps, number))
        asked = dict.fromkeys(name for engines in groups for name in engines)
        self.cells += [
            Cell(work.name, engine, shape)
            for work in works
            for engine in asked
            if engine in work.engines
        ]


def shapes_of(
    entries: Sequence[int], key_bytes: Sequence[int], value_bytes: Sequence[int]
) -> tuple[Shape, ...]:
    """Return all combinations; sizes that are not given are 16 bytes."""
    sizes = (key_bytes or [KEY_BYTES], value_bytes or [VALUE_BYTES])
    return tuple(Shape(*each) for each in product(entries or [100 * _K], *sizes))


def engines_of(works: Sequence[Workload] = WORKLOADS) -> list[str]:
    """Return the names of all engines that these workloads ask, each once."""
    return list(dict.fromkeys(name for work in works for name in work.engines))


def _asked(choice: Choice, works: list[Workload]) -> list[str]:
    return [name for name in engines_of(works) if name in choice.engines]


def _groups(engines: list[str], shape: Shape, free: int) -> list[list[str]] | None:
    """Return who sits in one process: all, or ours with as many peers as fit."""
    entries, key_bytes, value_bytes = shape
    each = entries * (_COPIES * (key_bytes + value_bytes) + _ENTRY_BYTES)
    room = free // 2 // each if each else len(engines)
    if room >= len(engines):
        return [engines]
    leaders = [name for name in engines if name in _LEADERS]
    peers = [name for name in engines if name not in _LEADERS]
    step = room - len(leaders)
    if step < 1:
        return None
    parts = range(0, max(1, len(peers)), step)
    return [leaders + peers[start : start + step] for start in parts]


def _free_bytes() -> int:
    """Return the memory that is free, or all there is where no more is told."""
    path = Path("/proc/meminfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    pages: int = os.sysconf("SC_PHYS_PAGES")
    size: int = os.sysconf("SC_PAGE_SIZE")
    return pages * size


def pauses_shape(cells: Sequence[Cell], workload: str) -> Shape | None:
    """Return the largest shape of a workload: the one whose pauses are told."""
    shapes = [cell.shape for cell in cells if cell.workload == workload]
    return max(shapes, default=None)

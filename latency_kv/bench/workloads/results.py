"""Results: what came of each cell, from all processes, as the JSON of a run has it.

A rate is that of the median turn.  A spread is the distance of the outermost turns over
their median: what two runs of one machine agree within.  Ratios are taken turn by
turn, of engines that took turns in one process, so what slows the machine for a while
slows both sides; only engines called from one language have them.  Percentiles are the
medians of the processes'; pauses are those of the calmest process, since an engine's
own come back in each and the machine's do not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

from latency_kv.bench.figures import WIDE, spread
from latency_kv.bench.workloads.content import Shape
from latency_kv.bench.workloads.latencies import bounded
from latency_kv.bench.workloads.manifest import Cell, pauses_shape
from latency_kv.bench.workloads.table import ENGINES, WORKLOADS

__all__ = ["Results", "WorkloadFigure"]

_OURS = {"Python": "latency_kv", "compiled": "latency_kv-cython"}


class _Turn(NamedTuple):
    """Where a turn stood: its process, and its place among the engine's turns there."""

    process: int
    lap: int


@dataclass(slots=True)
class _Gathered:
    """Everything that was told of one cell."""

    operations: int = 0
    turns: dict[_Turn, float] = field(default_factory=dict)
    percentiles: list[Mapping[str, int | None]] = field(default_factory=list)
    histogram: Counter[int] = field(default_factory=Counter)
    points: list[list[tuple[float, int]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WorkloadFigure:
    """One row: an engine on a workload at a shape."""

    workload: str
    engine: str
    entries: int
    key_bytes: int
    value_bytes: int
    operations: int
    rate: float
    spread: float | None
    is_wide: bool
    p50: float | None
    p99: float | None
    p999: float | None
    max: float | None
    histogram: list[tuple[float, int]]
    memory: float | None
    ratio: dict[str, float] | None
    ratio_spread: dict[str, float | None] | None
    note: str = ""


class Results:
    """Gathers the events of a run's processes, and makes its rows of them."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = list(cells)
        self._gathered: defaultdict[Cell, _Gathered] = defaultdict(_Gathered)
        self._memory: dict[tuple[str, Shape], float] = {}
        self._reasons: dict[Cell, tuple[str, bool]] = {}

    def take(self, event: Mapping[str, Any], shape: Shape, process: int) -> None:
        """Take an event of a process; processes have numbers of their own."""
        if event["event"] == "turn":
            return
        cell = Cell(event["workload"], event["engine"], shape)
        if event["event"] == "missing":
            self._reasons.setdefault(cell, (event["reason"], event["is_absent"]))
            return
        gathered = self._gathered[cell]
        for lap, (operations, spent) in enumerate(event["laps"]):
            gathered.operations += operations
            gathered.turns[_Turn(process, lap)] = spent / operations
        if "percentiles" in event:
            gathered.percentiles.append(event["percentiles"])
            gathered.histogram.update(dict(map(tuple, event["histogram"])))
        if "points" in event:
            gathered.points.append([(x, y) for x, y in event["points"]])

    def weighed(self, engine: str, shape: Shape, memory: float) -> None:
        """Take what an entry weighs."""
        self._memory[engine, shape] = memory

    def broke(self, cells: Iterable[Cell], reason: str) -> None:
        """Take that a process ended before it told of these cells."""
        for cell in cells:
            if not self._gathered[cell].turns:
                self._reasons.setdefault(cell, (reason, False))

    def lacks(self, cell: Cell) -> bool:
        """Return whether a cell has no figure, or failed in one process of several."""
        return cell in self._reasons or not self._gathered[cell].turns

    def rows(self) -> list[WorkloadFigure]:
        """Return the cells that have figures, in the manifest's order."""
        return [self._row(cell) for cell in self._cells if not self.lacks(cell)]

    def missing(self) -> list[dict[str, str]]:
        """Return the cells that have none, and why."""
        return [self._told(cell) for cell in self._cells if self.lacks(cell)]

    def has_failures(self) -> bool:
        """Return whether one is missing for another reason than an absent engine."""
        return any(
            not self._reasons.get(cell, ("", False))[1]
            for cell in self._cells
            if self.lacks(cell)
        )

    def pauses(self) -> list[dict[str, Any]]:
        """Return the longest calls over time, at the largest shape of a workload."""
        told = []
        for cell in self._cells:
            passes = self._gathered[cell].points
            if passes and cell.shape == pauses_shape(self._cells, cell.workload):
                calmest = min(passes, key=lambda points: max(ns for _, ns in points))
                unit = next(w.pauses for w in WORKLOADS if w.name == cell.workload)
                place = {"workload": cell.workload, "engine": cell.engine}
                told.append({**place, "points": calmest, "unit": unit})
        return told

    def _told(self, cell: Cell) -> dict[str, str]:
        reason, _ = self._reasons.get(cell, ("no figure came", False))
        place = {"workload": cell.workload, "engine": cell.engine}
        # Without keys, no store is filled.
        at_shape = f" ({cell.shape})" if cell.shape.key_bytes else ""
        return {**place, "reason": f"{reason}{at_shape}"}

    def _row(self, cell: Cell) -> WorkloadFigure:
        gathered = self._gathered[cell]
        turns = list(gathered.turns.values())
        width = spread(_by_process(gathered.turns))
        ratios = self._ratios(cell)
        memory = None
        if cell.workload == "fillrandom":
            memory = self._memory.get((cell.engine, cell.shape))
        return WorkloadFigure(
            workload=cell.workload,
            engine=cell.engine,
            entries=cell.shape.entries,
            key_bytes=cell.shape.key_bytes,
            value_bytes=cell.shape.value_bytes,
            operations=gathered.operations,
            rate=1e9 / median(turns),
            spread=width,
            is_wide=width is None or width > WIDE,
            p50=_middle(gathered.percentiles, "p50"),
            p99=_middle(gathered.percentiles, "p99"),
            p999=_middle(gathered.percentiles, "p999"),
            max=_middle(gathered.percentiles, "max"),
            histogram=bounded(gathered.histogram),
            memory=memory,
            ratio={peer: median(each.values()) for peer, each in ratios.items()}
            or None,
            ratio_spread={
                peer: spread(_by_process(each)) for peer, each in ratios.items()
            }
            or None,
            note=_note(cell),
        )

    def _ratios(self, cell: Cell) -> dict[str, dict[_Turn, float]]:
        """Return, of one of our rows, peer -> our time / the peer's, turn by turn."""
        if cell.engine not in _OURS.values():
            return {}
        ratios = {}
        for other in self._cells:
            if other._replace(engine=cell.engine) != cell or other == cell:
                continue
            if _language(other.engine) != _language(cell.engine):
                continue
            ours, theirs = (self._gathered[each].turns for each in (cell, other))
            each = {
                turn: ours[turn] / theirs[turn] for turn in ours if theirs.get(turn)
            }
            if each:
                ratios[other.engine] = each
        return ratios


def _by_process(turns: Mapping[_Turn, float]) -> list[list[float]]:
    numbers = sorted({turn.process for turn in turns})
    return [[turns[turn] for turn in turns if turn.process == n] for n in numbers]


def _note(cell: Cell) -> str:
    if cell.workload == "growth":
        return "the clock is in the rate"
    kind = ENGINES.get(cell.engine)
    return kind.note if kind and cell.workload.startswith("fill") else ""


def _language(engine: str) -> str:
    return ENGINES[engine].language if engine in ENGINES else "Python"


def _middle(told: Sequence[Mapping[str, int | None]], name: str) -> float | None:
    values = [value for each in told if (value := each[name]) is not None]
    return median(values) if values else None

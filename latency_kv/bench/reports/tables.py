"""Tables: which figures stand beside each other, as rows of text for any page.

`headline` is the one table of a first screen: what latency_kv takes of each peer's time
or memory.  A line of it is one workload, on which all engines took turns; of a run
without that workload, the goals' rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import log10
from typing import Final, Literal, TypeAlias

from latency_kv.bench.figures import WIDE
from latency_kv.bench.report import short
from latency_kv.bench.reports import wording
from latency_kv.bench.reports.runs import (
    OURS,
    BenchRun,
    FigureRow,
    ScaleRow,
    StoreRow,
    WorkloadRow,
    is_ours,
)

__all__ = [
    "GOALS_HEAD",
    "PEERS",
    "ROWS_HEAD",
    "WORKLOAD_HEAD",
    "Contest",
    "HeadlineRow",
    "by_workload",
    "contests",
    "counted",
    "goals_row",
    "headline",
    "largest",
    "machine_line",
    "rows_row",
    "scale_table",
    "stores_table",
    "workload_row",
]

PEERS: Final = ("dict", "SortedDict", "BTrees", "LMDB")
"""The peers of the first screen, in its order."""

ROWS_HEAD: Final = ("what", "entries", "latency_kv", "peer", "", "ratio")
GOALS_HEAD: Final = ("what", "size", "latency_kv", "peer", "", "ratio", "goal", "")
WORKLOAD_HEAD: Final = (
    "engine",
    "rate",
    "p50",
    "p99",
    "p99.9",
    "max",
    "memory",
    "ratio",
    "spread",
)

# The size of keys and values in the rows that have goals.
_BYTES = 16

# The size of store that a first screen is about, if it was measured.
_ENTRIES = 1_000_000

_Metric: TypeAlias = Literal["time", "max", "memory"]


@dataclass(frozen=True, slots=True)
class _Measure:
    """A line of the first screen: a workload, or rows of goals if the run has it not."""

    title: str
    workload: str
    rows: tuple[str, ...]
    metric: _Metric = "time"
    row_title: str = ""


_MEASURES = (
    _Measure("get, random keys", "readrandom", ("get-fresh", "lmdb-get")),
    _Measure("put, new entries", "fillrandom", ("put-new",)),
    _Measure("put, over entries", "overwrite", ("put-over",)),
    _Measure(
        "scan of the 100 entries of a prefix",
        "prefixscan",
        ("prefix-scan", "lmdb-scan"),
        row_title="scan of a prefix, an entry",
    ),
    _Measure("pause of a snapshot", "", ("snapshot",)),
    _Measure("longest call around a snapshot", "snapshot", (), "max"),
    _Measure("longest put while growing", "growth", ("longest-put",), "max"),
    _Measure("memory of an entry, in order", "fillrandom", ("memory-index",), "memory"),
)


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """A line of the first screen; `ratios` has only the peers that were measured.

    wide: the peers whose rounds differed so much that the ratio says little.
    """

    title: str
    size: int
    ours: str
    ratios: Mapping[str, float]
    wide: frozenset[str] = frozenset()

    def cells(self) -> list[str]:
        """Return the ratio to each peer; one that says little has `~` before it."""
        texts = (wording.ratio_text(self.ratios.get(peer)) for peer in PEERS)
        return [
            f"~ {text}" if peer in self.wide and text else text
            for peer, text in zip(PEERS, texts, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Contest:
    """The engines on one workload at one size of store, keys and values."""

    workload: str
    entries: int
    key_bytes: int
    value_bytes: int
    engines: list[WorkloadRow] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The sizes, in words; nothing where no store was filled."""
        if not self.entries:
            return ""
        return (
            f"{short(self.entries)} entries, keys of {self.key_bytes} and values of "
            f"{self.value_bytes} bytes"
        )

    @property
    def ours(self) -> WorkloadRow | None:
        """Our row, from Python."""
        return next((row for row in self.engines if row.engine == OURS), None)

    @property
    def wide(self) -> set[str]:
        """The peers against whom the spread is so wide that the ratio says little."""
        return {row.engine for row in self.engines if self._is_wide(row)}

    def _is_wide(self, theirs: WorkloadRow) -> bool:
        spread = self.ratio_spread(theirs.engine)
        if spread is not None:
            return spread > WIDE
        return theirs.is_wide or (self.ours is not None and self.ours.is_wide)

    def ratio(self, peer: str) -> float | None:
        """Return our time for an operation / the peer's, from the peer's language."""
        ratios = [row.ratio or {} for row in self.engines if is_ours(row.engine)]
        return next((ratio[peer] for ratio in ratios if peer in ratio), None)

    def ratio_spread(self, peer: str) -> float | None:
        """Return the spread of that ratio, where it is known."""
        rows = [row for row in self.engines if is_ours(row.engine)]
        told = [row.ratio_spread or {} for row in rows if peer in (row.ratio or {})]
        return told[0].get(peer) if told else None


def headline(run: BenchRun) -> list[HeadlineRow]:
    """Return the lines of the first screen that the run has figures for."""
    lines = (_headline_row(run, measure) for measure in _MEASURES)
    return [line for line in lines if line is not None]


def _headline_row(run: BenchRun, measure: _Measure) -> HeadlineRow | None:
    met = [
        contest
        for contest in contests(run.workloads)
        if contest.workload == measure.workload
        if contest.key_bytes == contest.value_bytes == _BYTES
    ]
    of_row = _of_goals(run, measure)
    if measure.metric == "memory":
        return _of_memory(of_row, run, measure, met)
    if measure.metric == "max":
        return _of_pauses(run, measure, met) or of_row
    return (_of_time(measure, met) if met else None) or of_row


def _of_time(measure: _Measure, met: Sequence[Contest]) -> HeadlineRow | None:
    """Take the contest whose size is nearest, by its order of magnitude."""
    contest = min(met, key=lambda c: abs(log10(max(c.entries, 1) / _ENTRIES)))
    known = _known({peer: contest.ratio(peer) or 0.0 for peer in PEERS})
    if contest.ours is None or not contest.ours.rate or not known:
        return None
    ours = wording.amount(1e9 / contest.ours.rate, "ns")
    wide = frozenset(contest.wide)
    return HeadlineRow(measure.title, contest.entries, ours, known, wide)


def _of_pauses(
    run: BenchRun, measure: _Measure, met: Sequence[Contest]
) -> HeadlineRow | None:
    """Take the longest calls of the pauses, which are told of the largest store."""
    peaks = {
        row.engine: max((span for _, span in row.points), default=0.0)
        for row in run.pauses
        if row.workload == measure.workload
    }
    ours = peaks.get(OURS)
    if not met or not ours:
        return None
    known = _known({peer: ours / peak for peer, peak in peaks.items() if peak})
    size, text = largest(met).entries, wording.amount(ours, "ns")
    return HeadlineRow(measure.title, size, text, known) if known else None


def _of_goals(run: BenchRun, measure: _Measure) -> HeadlineRow | None:
    found = [figure for name in measure.rows for figure in run.rows(name)]
    figures = [figure for figure in found if figure.ratio and figure.ours]
    if not figures:
        return None
    size = max(figure.size for figure in figures)
    shown = [figure for figure in figures if figure.size == size]
    ratios = {_peer(figure): figure.ratio or 0.0 for figure in shown}
    wide = frozenset(_peer(figure) for figure in shown if figure.is_wide)
    ours = wording.amount(shown[0].ours, shown[0].unit)
    title = measure.row_title or measure.title
    known = _known(ratios)
    return HeadlineRow(title, size, ours, known, wide) if known else None


def _of_memory(
    of_row: HeadlineRow | None, run: BenchRun, measure: _Measure, met: Sequence[Contest]
) -> HeadlineRow | None:
    """Hold a store that has its order against all peers: both grew a fresh process."""
    if of_row is None:
        return None
    ratios = dict(of_row.ratios)
    for figure in run.rows(measure.rows[0]):
        for contest in met:
            for row in contest.engines:
                if contest.entries == figure.size and figure.ours and row.memory:
                    ratios.setdefault(row.engine, figure.ours / row.memory)
    return replace(of_row, ratios=_known(ratios))


def _peer(figure: FigureRow) -> str:
    return figure.peer.removesuffix(".copy()")


def _known(ratios: Mapping[str, float]) -> dict[str, float]:
    return {peer: ratios[peer] for peer in PEERS if ratios.get(peer)}


def contests(rows: Iterable[WorkloadRow]) -> list[Contest]:
    """Return the workloads in the run's order, each with its sizes rising."""
    found: dict[tuple[str, int, int, int], Contest] = {}
    for row in rows:
        found.setdefault(row.shape, Contest(*row.shape)).engines.append(row)
    order = list(dict.fromkeys(contest.workload for contest in found.values()))
    return sorted(
        found.values(),
        key=lambda c: (order.index(c.workload), c.key_bytes, c.value_bytes, c.entries),
    )


def by_workload(run: BenchRun) -> list[tuple[str, list[Contest]]]:
    """Return each workload with its contests."""
    groups = groupby(contests(run.workloads), key=lambda contest: contest.workload)
    return [(workload, list(group)) for workload, group in groups]


def largest(of_workload: Sequence[Contest]) -> Contest:
    """Return the contest of the most entries, with the first size of the others."""
    return max(of_workload, key=lambda contest: contest.entries)


def workload_row(contest: Contest, row: WorkloadRow) -> tuple[str, ...]:
    """Return the cells under `WORKLOAD_HEAD`; a ratio stands in the peer's row."""
    spread = wording.share_text(row.spread)
    ratio = _with_spread(
        wording.ratio_text(None if is_ours(row.engine) else contest.ratio(row.engine)),
        contest.ratio_spread(row.engine),
    )
    return (
        wording.one_line(row.engine),
        wording.rate_text(row.rate),
        *(wording.amount(v, "ns") for v in (row.p50, row.p99, row.p999, row.max)),
        wording.amount(row.memory, "bytes"),
        ratio,
        " ".join(filter(None, [spread, "too wide" if row.is_wide else ""])),
    )


def rows_row(figure: FigureRow) -> tuple[str, ...]:
    """Return the cells under `ROWS_HEAD`."""
    return (
        wording.one_line(figure.title),
        short(figure.size),
        wording.amount(figure.ours, figure.unit),
        wording.one_line(figure.peer),
        wording.amount(figure.theirs, figure.unit),
        _ratio_cell(figure),
    )


def goals_row(figure: FigureRow) -> tuple[str, ...]:
    """Return the cells under `GOALS_HEAD`."""
    cells = rows_row(figure)
    return (*cells, wording.goal_text(figure), wording.verdict_text(figure))


def scale_table(rows: Sequence[ScaleRow]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: a line for each row, a column for each size.

    A cell has our figure and dict's behind it, and nothing where a size was left out.
    """
    sizes = sorted({row.size for row in rows})
    lines: dict[str, dict[int, str]] = {}
    for row in rows:
        ours, theirs = (wording.amount(v, row.unit) for v in (row.ours, row.theirs))
        beside = f"dict {theirs}" if theirs else ""
        title = wording.one_line(row.title)
        lines.setdefault(title, {})[row.size] = "; ".join(filter(None, [ours, beside]))
    return ["", *map(short, sizes)], [
        [title, *(cells.get(size, "") for size in sizes)]
        for title, cells in lines.items()
    ]


def stores_table(rows: Sequence[StoreRow]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: a line for each operation of a store, a column for tasks.

    A cell has our calls a second, the bare client's, and the ratio of a call's time.
    """
    counts = sorted({row.tasks for row in rows})
    lines: dict[tuple[str, str], dict[int, str]] = {}
    for row in rows:
        name = f"{wording.one_line(row.scheme)}:"
        cells = [wording.rate_text(row.ours)]
        if row.theirs is not None:
            cells += [f"bare {wording.rate_text(row.theirs)}"]
            cells += [wording.ratio_text(row.ratio)]
        lines.setdefault((name, row.operation), {})[row.tasks] = "; ".join(cells)
    head = ["", "", *(f"{n} task{'s' if n > 1 else ''}" for n in counts)]
    return head, [
        [*names, *(cells.get(count, "") for count in counts)]
        for names, cells in lines.items()
    ]


def _ratio_cell(figure: FigureRow) -> str:
    ratio = _with_spread(wording.ratio_text(figure.ratio), figure.spread)
    return f"{ratio}, too wide" if ratio and figure.is_wide else ratio


def _with_spread(ratio: str, spread: float | None) -> str:
    if not ratio or not spread:
        return ratio
    return f"{ratio} +- {wording.share_text(spread)}"


def counted(figures: Sequence[FigureRow]) -> str:
    """Count the goals that were reached."""
    judged = [figure for figure in figures if figure.reached is not None]
    reached = sum(figure.reached is True for figure in judged)
    return f"{reached} of {len(judged)} goals reached"


def machine_line(machine: Mapping[str, str]) -> str:
    """Return processor, system, interpreter and peers in one line."""
    facts = {name: wording.one_line(fact) for name, fact in machine.items()}
    facts["system"] = wording.system_text(facts.get("system", ""))
    if facts.get("python"):
        facts["python"] = f"CPython {facts['python']}"
    names = ("processor", "system", "python", "peers")
    return "; ".join(filter(None, [facts.get(name) for name in names]))

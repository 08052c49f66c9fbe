"""Rows: what is measured at every size, and which processes owe it.

A process fills one engine once.  What it measures has the same name on both sides;
rows of a process with huge pages begin with HUGE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, NamedTuple, TypeAlias

from latency_kv.bench.figures import spread

__all__ = [
    "HUGE",
    "PROCESSES",
    "Measured",
    "Process",
    "Row",
    "ScaleFigure",
    "figures",
]

HUGE: Final = "huge-"

Unit: TypeAlias = Literal["ns", "/s", "bytes", "MB", "%"]


class Row(NamedTuple):
    """What is measured, and its unit; times are by the wall clock unless said."""

    title: str
    unit: Unit


_ROWS: Final = {
    "fill": Row("filling, entries a second", "/s"),
    "fill-p999": Row("filling: a put, p99.9 (CPU time)", "ns"),
    "fill-longest": Row("filling: the longest put (CPU time)", "ns"),
    "memory": Row("memory of an entry", "bytes"),
    "memory-index": Row("memory of an entry, with an index", "bytes"),
    "index": Row("building the index, once", "ns"),
    "get": Row("get, fresh keys in random order", "ns"),
    "find": Row("find from Cython", "ns"),
    "scan": Row("prefix scan of 100, an entry", "ns"),
    "snapshot": Row("snapshot(), pause; of a dict copy()", "ns"),
    "held-p50": Row("put under a snapshot, p50 (CPU time)", "ns"),
    "held-p999": Row("put under a snapshot, p99.9 (CPU time)", "ns"),
    "held-longest": Row("put under a snapshot, the longest (CPU time)", "ns"),
    "drop": Row("dropping that snapshot, pause", "ns"),
    "reclaim": Row("until what it held is released, nobody writing", "ns"),
    "encode": Row("encoding an image", "ns"),
    "image": Row("its size", "MB"),
    "checkpoint": Row("writing a checkpoint, while puts go on", "ns"),
    "checkpoint-longest": Row("the longest put meanwhile", "ns"),
    "restore": Row("restoring an image that is in memory", "ns"),
    "open": Row("opening a mapped image, until the first get", "ns"),
    "mapped-get": Row("get from the mapped image", "ns"),
    "share": Row("share of the memory that lies in huge pages", "%"),
    "peak": Row("the process's memory at its peak", "MB"),
}
"""By name, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Process:
    """One fresh process: what it is asked for, what it owes, and what it takes.

    entry_bytes: of memory at its peak, for each entry, with a margin.
    """

    kind: str
    owes: tuple[str, ...]
    entry_bytes: int
    is_ours: bool = True
    has_huge_pages: bool = False


_READS = ("fill", "memory", "get", "find")
_FILLS = ("fill-p999", "fill-longest")

PROCESSES: Final = (
    Process(
        "store",
        (
            *_READS,
            *("memory-index", "index", "scan", "snapshot"),
            *("held-p50", "held-p999", "held-longest", "drop", "reclaim"),
            *("encode", "image", "checkpoint", "checkpoint-longest", "peak"),
        ),
        entry_bytes=240,
    ),
    # It reads what the one before wrote.
    Process("restore", ("restore", "open", "mapped-get"), entry_bytes=190),
    Process("puts", _FILLS, entry_bytes=90),
    Process(
        "dict",
        ("fill", "memory", "get", "snapshot", "peak"),
        entry_bytes=270,
        is_ours=False,
    ),
    Process("dict-puts", _FILLS, entry_bytes=240, is_ours=False),
    Process("reads", (*_READS, "share"), entry_bytes=90, has_huge_pages=True),
    Process("puts", _FILLS, entry_bytes=90, has_huge_pages=True),
)


class Measured(NamedTuple):
    """What a process owed, None where it could not."""

    process: Process
    values: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class ScaleFigure:
    """A row at one size; theirs is a dict's, None where there is none.

    The figure is the median of the processes; spread is ours, None with a single one.
    """

    size: int
    row: str
    title: str
    unit: Unit
    ours: float | None
    theirs: float | None = None
    spread: float | None = None


def figures(size: int, all_measured: Iterable[Measured]) -> list[ScaleFigure]:
    """Put together what the processes of one size have measured."""
    ours: dict[str, list[float | None]] = {}
    theirs: dict[str, list[float | None]] = {}
    for process, values in all_measured:
        before = HUGE if process.has_huge_pages else ""
        for name in process.owes:
            side = ours if process.is_ours else theirs
            side.setdefault(before + name, []).append(values.get(name))
    made = []
    for before in ("", HUGE):
        for name, row in _ROWS.items():
            mine = ours.get(before + name)
            other = theirs.get(before + name)
            if mine is None and other is None:
                continue
            known = _known(mine or [])
            made.append(
                ScaleFigure(
                    size=size,
                    row=before + name,
                    title=f"with huge pages: {row.title}" if before else row.title,
                    unit=row.unit,
                    ours=median(known) if known else None,
                    theirs=median(_known(other)) if other and _known(other) else None,
                    spread=spread([[value] for value in known]),
                )
            )
    return made


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]

"""Runs: the JSON that a run of the bench leaves, read into checked structs.

Schema 0, the first, has machine and figures; schema 1 has workloads, pauses and what is
missing as well, or scale, from a bench of its own.  Times are in ns, memory in bytes an
entry, spreads are shares; other units are told.

A file may be damaged or made up: `read_run` answers with a run whose every field is of
its type and within its bounds, or with a ValueError that names the file and the place.
Texts are bounded in length and nothing else: who shows them escapes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from latency_kv.bench.figures import WIDE

__all__ = [
    "OURS",
    "SCHEMA",
    "BenchRun",
    "FigureRow",
    "MissingRow",
    "PauseRow",
    "ScaleRow",
    "StoreRow",
    "WorkloadRow",
    "is_ours",
    "read_run",
    "run_of",
]

SCHEMA: Final = 1
"""The newest schema that is understood."""

OURS: Final = "latency_kv"
"""What our engines' names begin with."""

# A run of everything is some 2 MB; what is larger is no run.
_MOST_BYTES = 64 << 20

_Text: TypeAlias = Annotated[str, Meta(max_length=4_000)]
_Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
# Part of file names, and of the words in a page's markers.
_Slug: TypeAlias = Annotated[
    str, Meta(pattern="^[a-z0-9]+([-_][a-z0-9]+)*$", max_length=64)
]
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]
# 31 years in ns: more cannot be drawn, and no run has it.
_Amount: TypeAlias = Annotated[float, Meta(ge=0, le=1e18)]


class FigureRow(Struct, frozen=True):
    """A figure beside its peer, with its goal: as `latency_kv.bench.figures.Figure`.

    spread is that of the rounds' ratios, None where nothing is known of it.
    """

    row: _Slug
    title: _Text
    unit: _Name
    size: _Count
    peer: _Text
    ours: _Amount | None
    theirs: _Amount | None
    ratio: _Amount | None
    goal: _Amount | None
    limit: _Amount | None
    reached: bool | None
    note: _Text = ""
    spread: _Amount | None = None

    @property
    def is_wide(self) -> bool:
        """Whether the rounds differ so much that the ratio says little."""
        return self.spread is not None and self.spread > WIDE


class WorkloadRow(Struct, frozen=True):
    """One workload on one engine at one size.

    histogram: (upper bound in ns, calls up to it and above the one before), rising.
    ratio: peer -> our time for an operation / the peer's, in our rows only; and the
        spread of that.
    """

    workload: _Slug
    engine: _Name
    entries: _Count
    key_bytes: _Count
    value_bytes: _Count
    operations: _Count
    rate: _Amount | None = None
    spread: _Amount | None = None
    is_wide: bool = False
    p50: _Amount | None = None
    p99: _Amount | None = None
    p999: _Amount | None = None
    max: _Amount | None = None
    histogram: list[tuple[_Amount, _Count]] = []
    memory: _Amount | None = None
    ratio: dict[_Name, _Amount] | None = None
    ratio_spread: dict[_Name, _Amount | None] | None = None
    note: _Text = ""

    def __post_init__(self) -> None:
        """Refuse a histogram whose bounds do not rise."""
        if any(low >= high for (low, _), (high, _) in pairwise(self.histogram)):
            raise ValueError("the bounds of the histogram do not rise")

    @property
    def shape(self) -> tuple[str, int, int, int]:
        """What rows have in common that may be held against each other."""
        return self.workload, self.entries, self.key_bytes, self.value_bytes


class PauseRow(Struct, frozen=True):
    """The longest call of each slice of a workload: (entry number or second, ns)."""

    workload: _Slug
    engine: _Name
    points: list[tuple[_Amount, _Amount]]
    unit: _Name


class ScaleRow(Struct, frozen=True):
    """A row of the bench of scale at one size; theirs is a dict's.

    spread is that of ours between processes, None where a single one was asked.
    """

    size: _Count
    row: _Slug
    title: _Text
    unit: _Name
    ours: _Amount | None
    theirs: _Amount | None = None
    spread: _Amount | None = None


class StoreRow(Struct, frozen=True):
    """One operation of a state store by so many tasks, calls a second.

    theirs is the bare client's; ratio is ours / theirs of a call's time, and cpu_ratio
    that of the processor's.
    """

    store: _Name
    engine: _Text
    operation: _Slug
    tasks: _Count
    entries: _Count
    calls: _Count
    ours: _Amount
    ours_spread: _Amount
    theirs: _Amount | None
    theirs_spread: _Amount | None
    ratio: _Amount | None
    cpu_ratio: _Amount | None
    reached: bool | None

    @property
    def scheme(self) -> str:
        """What the store's URL begins with."""
        return self.store.partition(":")[0]


class MissingRow(Struct, frozen=True):
    """What was not measured, and why."""

    workload: _Text
    engine: _Text
    reason: _Text


class BenchRun(Struct, frozen=True):
    """Everything that one run of the bench says."""

    machine: dict[_Name, _Text]
    figures: list[FigureRow] = []
    schema: Annotated[int, Meta(ge=0)] = 0
    options: dict[_Name, Any] = {}
    workloads: list[WorkloadRow] = []
    pauses: list[PauseRow] = []
    scale: list[ScaleRow] = []
    stores: list[StoreRow] = []
    missing: list[MissingRow] = []

    def __post_init__(self) -> None:
        """Refuse a newer schema, and rows that are there twice."""
        if self.schema > SCHEMA:
            raise ValueError(
                f"schema {self.schema} is newer than {SCHEMA}, the newest known here"
            )
        _unique((f.row, f.size, f.peer) for f in self.figures)
        _unique((*row.shape, row.engine) for row in self.workloads)
        _unique((row.workload, row.engine) for row in self.pauses)
        _unique((row.row, row.size) for row in self.scale)
        _unique((row.store, row.operation, row.tasks) for row in self.stores)

    def rows(self, name: str) -> list[FigureRow]:
        """Return the figures of a row, one for each size and peer."""
        return [figure for figure in self.figures if figure.row == name]


def is_ours(engine: str) -> bool:
    """Return whether an engine is this package's, from Python or from Cython."""
    return engine.startswith(OURS)


def run_of(content: BenchRun | Mapping[str, Any]) -> BenchRun:
    """Return a run of what its JSON would be; ValueError if it is none."""
    if isinstance(content, BenchRun):
        return content
    try:
        return msgspec.convert(content, BenchRun)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def read_run(path: Path) -> BenchRun:
    """Read a run; OSError if the file cannot be read, ValueError if it is no run."""
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: larger than {_MOST_BYTES} bytes, so no run")
    try:
        text = path.read_text(encoding="utf-8")
        return msgspec.json.decode(text, type=BenchRun)
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise ValueError(f"{path}: {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply") from None


def _unique(keys: Iterable[Hashable]) -> None:
    (twice, count), *_ = [*Counter(keys).most_common(1), (None, 1)]
    if count > 1:
        raise ValueError(f"{twice} is there {count} times")

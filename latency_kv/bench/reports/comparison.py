"""Comparison: two runs of the bench on one machine, ratio by ratio.

Two ratios agree when their intervals, each as wide as the spread that its run prints,
touch.  A ratio without a spread is one call or one process, and cannot be judged; one
that a run marks as too wide agrees with everything, and is counted apart; one that only
one run has is a disagreement, unless the other was not asked for that size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from latency_kv.bench.figures import WIDE
from latency_kv.bench.report import short
from latency_kv.bench.reports import tables, wording
from latency_kv.bench.reports.runs import BenchRun, WorkloadRow, is_ours

__all__ = ["Agreement", "Comparison", "compared", "differing", "summary"]

Agreement: TypeAlias = Literal[
    "agree", "too wide", "no spread", "one run", "DIFFER", "MISSING"
]

_Shape: TypeAlias = tuple[int, int, int]

_SAME: Final = ("processor",)
"""What makes two runs those of one machine."""


@dataclass(frozen=True, slots=True)
class _Ratio:
    value: float
    spread: float | None
    is_wide: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """One ratio in both runs, None where a run lacks it.

    is_owed: whether both were asked for its size.
    """

    name: str
    first: _Ratio | None
    second: _Ratio | None
    is_owed: bool = True

    @property
    def agreement(self) -> Agreement:
        """Say whether both runs tell the same."""
        first, second = self.first, self.second
        if first is None or second is None:
            return "MISSING" if self.is_owed else "one run"
        if first.is_wide or second.is_wide:
            return "too wide"
        if first.spread is None or second.spread is None:
            return "no spread"
        reach = first.value * first.spread + second.value * second.spread
        return "agree" if abs(first.value - second.value) <= reach else "DIFFER"

    @property
    def is_failure(self) -> bool:
        """Whether the runs contradict each other."""
        return self.agreement in ("DIFFER", "MISSING")

    def cells(self) -> list[str]:
        """Return its name, and the ratio of each run."""
        return [self.name, _side(self.first), _side(self.second)]

    def line(self) -> str:
        """Return the ratio in one line of text."""
        name, *sides = self.cells()
        told = " ".join(f"{side:>16}" for side in sides)
        return f"{self.agreement:<9} {told}  {name}"


def compared(first: BenchRun, second: BenchRun) -> list[Comparison]:
    """Hold every ratio of two runs against each other; ValueError for two machines."""
    for fact in _SAME:
        one, other = first.machine.get(fact, ""), second.machine.get(fact, "")
        if one != other:
            raise ValueError(
                "not one machine: "
                f"{wording.one_line(one)!r} and {wording.one_line(other)!r}"
            )
    ours, theirs = dict(_ratios(first)), dict(_ratios(second))
    # What was asked for is owed, whether it came or not.
    both = _sizes(first) & _sizes(second) | {""}
    return [
        Comparison(name, ours.get((name, size)), theirs.get((name, size)), size in both)
        for name, size in {**ours, **theirs}
    ]


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Return what else is not the same in two runs: a reader has to know of it."""
    return [
        f"{wording.one_line(name)}: {wording.one_line(first.get(name, 'nothing'))} and "
        f"{wording.one_line(second.get(name, 'nothing'))}"
        for name in {**first, **second}
        if name not in ("load", "overhead", "started")
        if first.get(name) != second.get(name)
    ]


def summary(comparisons: list[Comparison]) -> str:
    """Count the ratios by how they agree."""
    counts = Counter(comparison.agreement for comparison in comparisons)
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{len(comparisons)} ratios: {said or 'nothing to compare'}"


def _sizes(run: BenchRun) -> set[str]:
    """Return the sizes that a run was asked for, and those that it has."""
    try:
        asked = msgspec.convert(run.options.get("shapes", []), list[_Shape])
    except msgspec.ValidationError:
        asked = []
    return {_size(*shape) for shape in asked} | {_size_of(row) for row in run.workloads}


def _size_of(row: WorkloadRow) -> str:
    return _size(row.entries, row.key_bytes, row.value_bytes)


def _size(entries: int, key_bytes: int, value_bytes: int) -> str:
    return f"{short(entries)} {key_bytes}+{value_bytes}"


def _ratios(run: BenchRun) -> Iterator[tuple[tuple[str, str], _Ratio]]:
    """Give each ratio with its name, and a workload's size."""
    for figure in run.figures:
        if figure.ratio is not None:
            words = [figure.row, short(figure.size), wording.one_line(figure.peer)]
            name = " ".join(filter(None, words))
            yield (name, ""), _Ratio(figure.ratio, figure.spread, figure.is_wide)
    for contest in tables.contests(run.workloads):
        by_engine = {row.engine: row for row in contest.engines}
        for row in filter(lambda row: is_ours(row.engine), contest.engines):
            for peer, ratio in (row.ratio or {}).items():
                sides = wording.one_line(f"{row.engine} / {peer}")
                name = f"{contest.workload} {_size_of(row)} {sides}"
                yield (
                    (name, _size_of(row)),
                    _between(row, by_engine.get(peer), peer, ratio),
                )


def _between(
    ours: WorkloadRow, theirs: WorkloadRow | None, peer: str, ratio: float
) -> _Ratio:
    """Return a ratio of two rows with its spread; that of both where none is told."""
    spread = (ours.ratio_spread or {}).get(peer)
    if spread is not None:
        return _Ratio(ratio, spread, spread > WIDE)
    if theirs is None or ours.spread is None or theirs.spread is None:
        return _Ratio(ratio, None)
    is_wide = ours.is_wide or theirs.is_wide
    return _Ratio(ratio, ours.spread + theirs.spread, is_wide)


def _side(ratio: _Ratio | None) -> str:
    if ratio is None:
        return "-"
    spread = (
        f" +- {wording.share_text(ratio.spread)}" if ratio.spread is not None else ""
    )
    return f"{wording.ratio_text(ratio.value)}{spread}"

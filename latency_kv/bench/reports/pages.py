"""Pages: blocks of Markdown that are made from runs, so that nobody types a figure.

A page has a block between two comments, and what stands there is replaced:

    <!-- figures: goals from RUN.json get-fresh find -->
    | what | size | ...
    <!-- end -->

The first word says what is made, and RUN.json is the name of one of the runs that were
given; with a single run `from` may be left out.  A block may go on in a second run.

    machine      one line: processor, system, interpreter, peers
    summary      how many goals were reached
    ratios       what latency_kv takes of each peer's time: the first screen
    goals        rows by name, with goal and verdict; all that have a goal
    rows         rows by name; all
    workloads    workloads by name at their largest size, an engine a line; all
    scale        rows of the bench of scale by name, a size a column, dict's figure
                 behind ours; all that are not of huge pages
    stores       state stores beside their bare clients, by scheme; all
    agreement    how many ratios agree in two runs, and those that do not

Start at `filled`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from latency_kv.bench.report import short
from latency_kv.bench.reports import comparison, tables, wording
from latency_kv.bench.reports.runs import (
    BenchRun,
    FigureRow,
    ScaleRow,
    StoreRow,
)
from latency_kv.bench.scale.rows import HUGE

__all__ = ["BLOCKS", "filled", "runs_named"]

_MARK: Final = re.compile(r"^<!-- (?:figures:(?P<words>[^>]*?)|end) -->$", re.MULTILINE)

# The last cell of a row whose goal was not reached.
_MISSED: Final = re.compile(r"\| (no(?:, within the spread)?) \|$")


@dataclass(frozen=True, slots=True)
class _Part:
    """What a block takes from one run: the names after it, or all."""

    run: BenchRun
    name: str
    rows: list[str] = field(default_factory=list)

    def figures(self) -> list[FigureRow]:
        """Return the figures of the rows asked for, in the order of asking."""
        if not self.rows:
            return self.run.figures
        self.refuse_unknown({figure.row for figure in self.run.figures})
        return [figure for row in self.rows for figure in self.run.rows(row)]

    def refuse_unknown(self, known: set[str]) -> None:
        """Raise ValueError for a name that the run does not have."""
        unknown = [row for row in self.rows if row not in known]
        if unknown:
            raise ValueError(f"{self.name} has no row {', '.join(unknown)}")

    def refuse_rows(self) -> None:
        """Raise ValueError for names where a block takes none."""
        if self.rows:
            raise ValueError(f"it takes no rows: {', '.join(self.rows)}")


def filled(text: str, runs: Mapping[str, BenchRun]) -> str:
    """Return a page with its blocks made anew; runs by their files' names.

    ValueError for a block that cannot be made, with the line that it starts on.
    """
    parts, at = [], 0
    for words, line, start, stop in _blocks(text):
        try:
            lines = _made(words, runs)
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from None
        # Some renderers see no table without an empty line before it.
        parts += [text[at:start], *(f"{made}\n" for made in ["", "", *lines, ""])]
        at = stop
    return "".join([*parts, text[at:]])


def runs_named(text: str) -> list[str]:
    """Return the names of the runs that the blocks of a page are made from."""
    words = [block[0] for block in _blocks(text)]
    return list(dict.fromkeys(re.findall(r"\bfrom\s+(\S+)", " ".join(words))))


def _blocks(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield (words, line, start, stop) of each block; what is between the comments."""
    opened: re.Match[str] | None = None
    for mark in _MARK.finditer(text):
        line = text.count("\n", 0, mark.start()) + 1
        if (mark["words"] is None) is (opened is None):
            said = "ends" if opened is None else "begins in another"
            raise ValueError(f"line {line}: a block {said}")
        if opened is not None:
            first = text.count("\n", 0, opened.start()) + 1
            yield opened["words"], first, opened.end(), mark.start()
        opened = mark if opened is None else None
    if opened is not None:
        line = text.count("\n", 0, opened.start()) + 1
        raise ValueError(f"line {line}: the block has no end")


def _made(words: str, runs: Mapping[str, BenchRun]) -> list[str]:
    kind, *rest = words.split() or [""]
    if kind not in BLOCKS:
        raise ValueError(f"no block {kind!r}; there are {', '.join(BLOCKS)}")
    return BLOCKS[kind](_parts(rest, runs))


def _parts(words: Sequence[str], runs: Mapping[str, BenchRun]) -> list[_Part]:
    parts: list[_Part] = []
    if "from" not in words[:1]:
        if len(runs) != 1:
            raise ValueError(f"say from which run: {', '.join(sorted(runs))}")
        ((name, run),) = runs.items()
        parts.append(_Part(run, name))
    rest = iter(words)
    for word in rest:
        if word != "from":
            parts[-1].rows.append(word)
            continue
        name = next(rest, "")
        if name not in runs:
            given = ", ".join(sorted(runs))
            raise ValueError(f"run {name!r} was not given, only {given}")
        parts.append(_Part(runs[name], name))
    return parts


def _machine(parts: Sequence[_Part]) -> list[str]:
    lines = []
    for part in parts:
        part.refuse_rows()
        lines.append(f"{wording.markdown_text(tables.machine_line(part.run.machine))}.")
    return lines


def _summary(parts: Sequence[_Part]) -> list[str]:
    figures = [figure for part in parts for figure in part.figures()]
    return [f"{tables.counted(figures)}."]


def _ratios(parts: Sequence[_Part]) -> list[str]:
    rows = []
    for part in parts:
        part.refuse_rows()
        for line in tables.headline(part.run):
            title = f"{line.title}, {short(line.size)}"
            rows.append([title, line.ours, *line.cells()])
    head = ["", "latency_kv", *(f"of {peer}" for peer in tables.PEERS)]
    return _table(head, rows)


def _goals(parts: Sequence[_Part]) -> list[str]:
    rows = [
        tables.goals_row(figure)
        for part in parts
        for figure in part.figures()
        if part.rows or figure.goal or figure.limit
    ]
    return [_MISSED.sub(r"| **\1** |", row) for row in _table(tables.GOALS_HEAD, rows)]


def _rows(parts: Sequence[_Part]) -> list[str]:
    figures = [figure for part in parts for figure in part.figures()]
    return _table(tables.ROWS_HEAD, map(tables.rows_row, figures))


def _workloads(parts: Sequence[_Part]) -> list[str]:
    rows = []
    for part in parts:
        sized = dict(tables.by_workload(part.run))
        part.refuse_unknown({*sized})
        for name in part.rows or sized:
            contest = tables.largest(sized[name])
            for row in contest.engines:
                cells = tables.workload_row(contest, row)
                rows.append([name, short(contest.entries), *cells])
    return _table(["workload", "entries", *tables.WORKLOAD_HEAD], rows)


def _scale(parts: Sequence[_Part]) -> list[str]:
    rows = [row for part in parts for row in _scale_rows(part)]
    return _table(*tables.scale_table(rows))


def _stores(parts: Sequence[_Part]) -> list[str]:
    rows: list[StoreRow] = []
    for part in parts:
        part.refuse_unknown({row.scheme for row in part.run.stores})
        rows += [
            row for row in part.run.stores if not part.rows or row.scheme in part.rows
        ]
    return _table(*tables.stores_table(rows))


def _agreement(parts: Sequence[_Part]) -> list[str]:
    if len(parts) != 2:
        raise ValueError("it takes two runs: from A.json from B.json")
    for part in parts:
        part.refuse_rows()
    found = comparison.compared(*(part.run for part in parts))
    rows = [item.cells() for item in found if item.is_failure]
    return [
        f"{comparison.summary(found)}.",
        *(["", *_table(["ratio", "one run", "the other"], rows)] if rows else []),
    ]


def _scale_rows(part: _Part) -> list[ScaleRow]:
    part.refuse_unknown({row.row for row in part.run.scale})
    if not part.rows:
        return [row for row in part.run.scale if not row.row.startswith(HUGE)]
    return [row for name in part.rows for row in part.run.scale if row.row == name]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        _row(head),
        "|".join(["", *["---"] * len(head), ""]),
        *(_row([wording.markdown_text(cell) for cell in row]) for row in rows),
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


BLOCKS: Final[Mapping[str, Callable[[Sequence[_Part]], list[str]]]] = {
    "machine": _machine,
    "summary": _summary,
    "ratios": _ratios,
    "goals": _goals,
    "rows": _rows,
    "workloads": _workloads,
    "scale": _scale,
    "stores": _stores,
    "agreement": _agreement,
}
"""What a block can be, by the first word after `figures:`."""

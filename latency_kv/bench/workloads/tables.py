"""Tables: the rows of a run for a terminal of 100 columns: one table a workload.

The last column is how many times as long as latency_kv the engine takes, turn by turn:
from Python against those called from Python, compiled against compiled.  `~` marks rows
whose spread is too wide to mean anything.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from latency_kv.bench.figures import WIDE
from latency_kv.bench.report import number, quantity, short
from latency_kv.bench.workloads.results import WorkloadFigure
from latency_kv.bench.workloads.table import WORKLOADS

__all__ = ["missing_lines", "tables"]

_LINE = (
    "{mark}{engine:<17} {rate:>9} {p50:>8} {p99:>8} {p999:>8} {max:>8} {memory:>6} "
    "{spread:>6}  {ratio:>14}"
)

_HEAD = _LINE.format(
    mark="  ",
    engine="engine",
    rate="a second",
    p50="p50",
    p99="p99",
    p999="p99.9",
    max="max",
    memory="bytes",
    spread="spread",
    ratio="of latency_kv",
)

_STEPS = ((1e9, "G"), (1e6, "M"), (1e3, "K"), (1.0, ""))


def tables(rows: Sequence[WorkloadFigure]) -> Iterator[str]:
    """Yield a table for each workload, in the manifest's order."""
    by_name = {work.name: work for work in WORKLOADS}
    order = list(by_name)
    ranked = sorted(rows, key=lambda row: order.index(row.workload))
    for name, of_workload in groupby(ranked, key=lambda row: row.workload):
        work = by_name[name]
        lines = ["", f"{name}: {work.title}; an operation is {work.operation}"]
        for shape, at_shape in groupby(of_workload, key=_shape):
            of_shape = list(at_shape)
            lines += ["", f"  {_shape_title(*shape)}", _HEAD]
            lines += [_line(row, of_shape) for row in of_shape]
            lines += _notes(of_shape)
        if any(row.is_wide for row in rows if row.workload == name):
            lines.append(f"  ~ turns that lie more than {WIDE:.0%} apart, or only one")
        yield "\n".join(lines)


def missing_lines(missing: Iterable[Mapping[str, str]]) -> list[str]:
    """Return what is missing, engines that fail alike on one line."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for each in missing:
        place = (each["engine"], each["reason"])
        grouped.setdefault(place, []).append(each["workload"])
    return [
        f"missing: {engine or '-'}, {', '.join(works)}: {reason}"
        for (engine, reason), works in grouped.items()
    ]


def _shape(row: WorkloadFigure) -> tuple[int, int, int]:
    return row.entries, row.key_bytes, row.value_bytes


def _shape_title(entries: int, key_bytes: int, value_bytes: int) -> str:
    if not entries:
        return "in a fresh process"
    if not key_bytes:
        return f"documents of {value_bytes} bytes"
    return (
        f"{short(entries)} entries, keys of {key_bytes}, values of {value_bytes} bytes"
    )


def _line(row: WorkloadFigure, of_shape: Sequence[WorkloadFigure]) -> str:
    latencies = {
        name: quantity(getattr(row, name), "ns")
        for name in ("p50", "p99", "p999", "max")
    }
    return _LINE.format(
        mark="~ " if row.is_wide else "  ",
        engine=row.engine,
        rate=_rate(row.rate),
        memory="" if row.memory is None else f"{row.memory:.0f}",
        spread="" if row.spread is None else f"{row.spread:.0%}",
        ratio=_against(row, of_shape),
        **latencies,
    ).rstrip()


def _against(row: WorkloadFigure, of_shape: Sequence[WorkloadFigure]) -> str:
    """Return a peer's time as a multiple of ours, from our row's ratio to it."""
    for ours in of_shape:
        if ours.ratio and ours.engine != row.engine and row.engine in ours.ratio:
            share = ours.ratio_spread[row.engine] if ours.ratio_spread else None
            text = f"{number(1 / ours.ratio[row.engine])} x"
            return text if share is None else f"{text} +-{share:.0%}"
    return ""


def _notes(rows: Sequence[WorkloadFigure]) -> list[str]:
    notes: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            notes.setdefault(row.note, []).append(row.engine)
    return [
        f"  ({'all' if len(names) == len(rows) else ', '.join(names)}: {note})"
        for note, names in notes.items()
    ]


def _rate(rate: float) -> str:
    size, name = next((step for step in _STEPS if rate >= step[0]), _STEPS[-1])
    return f"{number(rate / size)} {name}".rstrip()

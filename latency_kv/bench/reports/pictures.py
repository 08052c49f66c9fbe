"""Pictures: the plots of a run as PNG, for README and docs.

On paper that is white, 800 pixels wide or more, in type that is legible at 800.  A
picture is named after what it shows: `ratios.png`, `goals.png`, `tails-WORKLOAD.png`,
`costs-WORKLOAD.png`, `pauses-WORKLOAD.png`, `scale.png`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from latency_kv.bench.reports import plots, tables
from latency_kv.bench.reports.runs import BenchRun

__all__ = ["DPI", "pictures", "write_pictures"]

DPI: Final = 130
"""Pixels an inch: the narrowest plot is 832 pixels wide."""


def pictures(
    run: BenchRun, theme: plots.Theme = plots.LIGHT
) -> Iterator[tuple[str, plots.Plot]]:
    """Make every plot that a run has the figures for, each with its name."""
    lines = tables.headline(run)
    if lines:
        yield "ratios", plots.ratios(lines, theme)
    if any(figure.ratio for figure in run.figures):
        yield "goals", plots.goals(run.figures, theme)
    for workload, contests in tables.by_workload(run):
        made = {
            "tails": plots.tails(tables.largest(contests), theme),
            "costs": plots.costs(contests, theme),
        }
        for kind, plot in made.items():
            if plot is not None:
                yield f"{kind}-{workload}", plot
    for workload in dict.fromkeys(row.workload for row in run.pauses):
        plot = plots.pauses(run, workload, theme)
        if plot is not None:
            yield f"pauses-{workload}", plot
    grown = plots.scale(run.scale, theme)
    if grown is not None:
        yield "scale", grown


def write_pictures(run: BenchRun, folder: Path) -> list[Path]:
    """Write every picture of a run into a folder, which is made; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, plot in pictures(run):
        paths.append(folder / f"{name}.png")
        with plot:
            plot.save(paths[-1], "png", DPI)
    return paths

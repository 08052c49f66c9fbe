"""Picture: one PNG of how long the events took and how the store grew.

Knows runs and matplotlib, no terminal.  Start at `draw`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flights.measure import Run


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw all runs into one PNG file at `path`."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    latency, size = figure.subplots(1, 2)
    _draw_latencies(latency, runs)
    _draw_size(size, runs[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=150)


def _draw_latencies(axes: Axes, runs: Sequence[Run]) -> None:
    for run in runs:
        slowest_first = [each / 1e3 for each in sorted(run.latencies, reverse=True)]
        share = [rank / len(slowest_first) for rank in range(1, len(slowest_first) + 1)]
        axes.step(slowest_first, share, where="post", label=run.name)
    axes.set(
        title="Latency of one event",
        xlabel="microseconds",
        ylabel="share of the events that took this long or longer",
        xscale="log",
        yscale="log",
    )
    for name, share_beyond in (("p50", 0.5), ("p99", 0.01), ("p99.9", 0.001)):
        axes.axhline(share_beyond, color="0.8", linewidth=0.8, zorder=0)
        axes.annotate(
            name,
            (1, share_beyond),
            xycoords=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            color="0.4",
            fontsize="small",
        )
    axes.legend(loc="lower left", frameon=False)


def _draw_size(axes: Axes, run: Run) -> None:
    axes.plot(
        numpy.array([size.at for size in run.sizes], dtype="datetime64[s]"),
        [size.entries for size in run.sizes],
    )
    axes.set(
        title="The store: seven days of windows, in two orders",
        xlabel="event time, UTC",
        ylabel="entries",
    )
    axes.set_ylim(bottom=0)
    content = axes.twinx()
    content.set_ylabel("kB of keys and values")
    ratio = run.sizes[-1].content / run.sizes[-1].entries / 1e3
    content.set_ylim(*(ratio * bound for bound in axes.get_ylim()))

"""Plots: figures, workloads and pauses drawn by matplotlib, for a page or for a picture.

    ratios     what latency_kv takes of each peer's time: the first screen's table
    goals      every ratio against its goal
    tails      share of the calls that took longer (complementary CDF), log-log
    costs      ns for an operation against entries, log-log
    pauses     the longest call of each slice of a workload
    scale      what few costs come to with the entries, log-log

latency_kv has one colour everywhere, and every engine a mark beside its colour, so that
nothing is told by colour alone; the colours are those of Okabe and Ito.  A name is
text, never mathematics.  matplotlib is imported with the first plot.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from math import log10
from pathlib import Path
from typing import IO, Any, Final, Self

from latency_kv.bench.report import quantity, short
from latency_kv.bench.reports import wording
from latency_kv.bench.reports.runs import (
    OURS,
    BenchRun,
    FigureRow,
    PauseRow,
    ScaleRow,
    is_ours,
)
from latency_kv.bench.reports.tables import PEERS, Contest, HeadlineRow

__all__ = [
    "LIGHT",
    "OUR_COLOUR",
    "Plot",
    "Theme",
    "costs",
    "goals",
    "is_there",
    "pauses",
    "ratios",
    "scale",
    "tails",
]

OUR_COLOUR: Final = "#d55e00"

# Colour and mark of whom a reader meets often; others get one of those left.
_STYLES = {
    OURS: (OUR_COLOUR, "o"),
    "dict": ("#0072b2", "s"),
    "SortedDict": ("#009e73", "^"),
    "BTrees": ("#cc79a7", "D"),
    "LMDB": ("#56b4e9", "v"),
    "RocksDB": ("#e69f00", "P"),
    "sqlite3": ("#8c6bb1", "<"),
    "Redis": ("#7f7f7f", "X"),
    "Rust-FxHash": ("#8a6d3b", ">"),
}
_OTHERS = (("#5ab4ac", "h"), ("#bcbd22", "*"), ("#c994c7", "p"), ("#969696", "d"))

_BUTT = {"solid_capstyle": "butt"}
_LABEL_LENGTH = 40
_LEGEND_COLUMNS = 3
_WIDTH = 6.4
_HEIGHT = 3.9


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours that are not an engine's.

    ink: text and axes; faint: what stands behind the data; paper: None for none.
    """

    ink: str
    faint: str
    paper: str | None


LIGHT: Final = Theme(ink="#1f2328", faint="#d0d7de", paper="#ffffff")


def is_there() -> bool:
    """Return whether matplotlib can be imported."""
    try:
        import_module("matplotlib")
    except ImportError:
        return False
    return True


class Plot:
    """A drawing of so many inches, made when it is entered, as a context."""

    def __init__(
        self,
        theme: Theme,
        draw: Callable[[Plot], None],
        *,
        width: float = _WIDTH,
        height: float = _HEIGHT,
    ) -> None:
        self.theme = theme
        self._draw = draw
        self._size = (width, height)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(_settings(self.theme))
            figure = import_module("matplotlib.figure").Figure
            self.drawing = figure(figsize=self._size, layout="constrained")
            self.axes = self.drawing.subplots()
            self._draw(self)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def save(self, target: Path | IO[bytes], form: str, dpi: int = 100) -> None:
        """Write the drawing as "png" or "svg"; its bytes do not tell the time."""
        metadata = {"Date": None, "Creator": None} if form == "svg" else None
        with warnings.catch_warnings():
            # A name may have signs that the font lacks: they are drawn as boxes.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            self.drawing.savefig(
                target,
                format=form,
                dpi=dpi,
                metadata=metadata,
                transparent=self.theme.paper is None,
            )


@contextmanager
def _settings(theme: Theme) -> Any:
    matplotlib = import_module("matplotlib")
    paper = theme.paper or "none"
    settings = {
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.parse_math": False,
        "text.color": theme.ink,
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.ink,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "xtick.minor.visible": False,
        "ytick.minor.visible": False,
        "figure.facecolor": paper,
        "axes.facecolor": paper,
        "savefig.facecolor": paper,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": OURS,
    }
    context: AbstractContextManager[None] = matplotlib.rc_context(settings)
    with context:
        yield


def ratios(lines: Sequence[HeadlineRow], theme: Theme) -> Plot:
    """Draw the first screen's table: a row for each line, a mark for each peer."""

    def draw(plot: Plot) -> None:
        axes = plot.axes
        shown = lines[::-1]
        for peer in PEERS:
            for is_wide in (False, True):
                marks = [
                    (line.ratios[peer], height)
                    for height, line in enumerate(shown)
                    if peer in line.ratios and (peer in line.wide) is is_wide
                ]
                if marks:
                    colour, mark = _STYLES[peer]
                    axes.plot(
                        *zip(*marks, strict=True),
                        mark,
                        color=colour,
                        markersize=9,
                        fillstyle="none" if is_wide else "full",
                        markeredgecolor=colour if is_wide else theme.paper or "none",
                        label="_" if is_wide else peer,
                        zorder=3,
                    )
        axes.axvline(1.0, color=OUR_COLOUR, linewidth=2, zorder=2, label=OURS)
        axes.set_yticks(
            range(len(shown)), [f"{line.title}, {short(line.size)}" for line in shown]
        )
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.grid(visible=False, axis="y")
        for height in range(len(shown)):
            axes.axhline(height, color=theme.faint, linewidth=0.6, zorder=1)
        _log_axis(axes, "x", _times)
        low, high = axes.get_xlim()
        axes.set_xlim(low, max(high, 2.0))
        axes.set_title("What latency_kv takes of each peer's time or memory")
        is_any_wide = any(line.wide & line.ratios.keys() for line in shown)
        axes.set_xlabel(
            "share, log scale; left of the line is less"
            + ("; hollow: spread too wide" if is_any_wide else "")
        )
        _legend(plot, columns=len(PEERS) + 1)

    height = 1.7 + 0.36 * len(lines)
    return Plot(theme, draw, width=8.0, height=height)


def goals(figures: Sequence[FigureRow], theme: Theme) -> Plot:
    """Draw every ratio as a mark, full where its goal was reached, and every goal."""
    shown = [figure for figure in figures if figure.ratio][::-1]

    def draw(plot: Plot) -> None:
        axes = plot.axes
        for height, figure in enumerate(shown):
            ratio = figure.ratio or 1.0
            axes.plot(
                [1.0, ratio], [height] * 2, color=theme.faint, linewidth=4, **_BUTT
            )
            if figure.goal:
                axes.plot([figure.goal], [height], "|", color=theme.ink, markersize=13)
            if figure.spread:
                ends = [
                    ratio * max(1 - figure.spread, 0.1),
                    ratio * (1 + figure.spread),
                ]
                axes.plot(ends, [height] * 2, color=OUR_COLOUR, linewidth=1)
            full = {True: OUR_COLOUR, False: theme.paper or "none", None: theme.faint}
            axes.plot(
                [ratio],
                [height],
                "o",
                markersize=7,
                markerfacecolor=full[figure.reached if figure.goal else None],
                markeredgecolor=OUR_COLOUR if figure.goal else theme.ink,
            )
            axes.annotate(
                wording.ratio_text(figure.ratio),
                (1.0, height),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                verticalalignment="center",
                fontsize=9,
            )
        axes.axvline(1.0, color=theme.ink, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(shown)), [_name(figure) for figure in shown])
        axes.tick_params(axis="y", labelsize=9, length=0)
        axes.set_ylim(-0.7, len(shown) - 0.3)
        axes.grid(visible=False, axis="y")
        _log_axis(axes, "x", _times, most=5)
        axes.set_xlabel("latency_kv / peer, log scale: less is better")
        axes.set_title("Ratios to the peers, against their goals")
        _legend(plot, columns=4, marks=_goal_marks(theme))

    return Plot(theme, draw, width=9.0, height=1.3 + 0.24 * len(shown))


def tails(contest: Contest, theme: Theme) -> Plot | None:
    """Draw what share of the calls took longer than so long; None without any."""
    curves = {row.engine: _tail(row.histogram) for row in contest.engines}
    curves = {engine: curve for engine, curve in curves.items() if curve}

    def draw(plot: Plot) -> None:
        axes = plot.axes
        for engine, curve in curves.items():
            axes.plot(
                *zip(*curve, strict=True),
                drawstyle="steps-post",
                markevery=[len(curve) - 1],
                **_line_style(engine, list(curves)),
            )
        _log_axis(axes, "x", _span)
        _log_axis(axes, "y", _one_in)
        axes.set_ylim(top=1.0)
        axes.set_xlabel("a call took longer than")
        size = f", {short(contest.entries)} entries" if contest.entries else ""
        axes.set_title(f"{contest.workload}{size}: how many calls are slow")
        _legend(plot)

    return Plot(theme, draw) if curves else None


def costs(contests: Sequence[Contest], theme: Theme) -> Plot | None:
    """Draw the cost of an operation against entries; None at fewer than two sizes.

    Of the sizes of keys and values those that were measured at the most sizes of store.
    """
    widths = [(contest.key_bytes, contest.value_bytes) for contest in contests]
    most = max(widths, key=widths.count)
    shown = [s for s in contests if (s.key_bytes, s.value_bytes) == most and s.entries]
    costs: dict[str, list[tuple[int, float, float]]] = {}
    for contest in shown:
        for row in contest.engines:
            if row.rate:
                cost = 1e9 / row.rate
                point = (contest.entries, cost, cost * min(row.spread or 0.0, 0.9))
                costs.setdefault(row.engine, []).append(point)

    def draw(plot: Plot) -> None:
        axes = plot.axes
        for engine, points in costs.items():
            sizes, times, spreads = zip(*points, strict=True)
            axes.errorbar(
                sizes,
                times,
                yerr=spreads,
                elinewidth=0.8,
                **_line_style(engine, list(costs)),
            )
        _log_axis(axes, "x", _entries)
        _log_axis(axes, "y", _span)
        axes.set_xlabel("entries")
        axes.set_title(f"{shown[0].workload}: the cost of an operation")
        _legend(plot)

    several = len({contest.entries for contest in shown}) > 1
    return Plot(theme, draw) if several and costs else None


def pauses(run: BenchRun, workload: str, theme: Theme) -> Plot | None:
    """Draw the longest call of each slice of a workload; None without any."""
    rows = [row for row in run.pauses if row.workload == workload]
    curves = {row.engine: _positive(row) for row in rows}
    curves = {engine: curve for engine, curve in curves.items() if curve}

    def draw(plot: Plot) -> None:
        axes = plot.axes
        for engine, curve in curves.items():
            style = _line_style(engine, list(curves))
            at, longest = max(curve, key=lambda point: point[1])
            style["label"] += f", at most {quantity(longest, 'ns')}"
            axes.plot([at], [longest], **style | {"linestyle": "", "markersize": 9})
            dots = {"linestyle": "", "marker": ".", "markersize": 3, "label": None}
            axes.plot(*zip(*curve, strict=True), **style | dots)
            axes.axhline(longest, color=style["color"], linewidth=0.8, alpha=0.5)
        _log_axis(axes, "y", _span)
        unit = rows[0].unit
        formatter = import_module("matplotlib.ticker").FuncFormatter
        if unit == "entries":
            axes.xaxis.set_major_formatter(formatter(_entries))
        axes.set_xlabel("seconds" if unit == "s" else wording.one_line(unit))
        axes.set_title(f"{workload}: the longest call of each slice")
        _legend(plot, columns=2)

    return Plot(theme, draw) if curves else None


# Rows of the bench of scale that are drawn, with what each side calls them.
_GROWING = {
    "restore": {OURS: "restore from an image"},
    "fill-longest": {OURS: "the longest put", "dict": "dict: the longest put"},
    "snapshot": {OURS: "snapshot()", "dict": "dict: copy()"},
    "get": {OURS: "get", "dict": "dict: get"},
}

_LABEL_GAP = 0.045
"""Between labels that stand below each other, as a share of the axis."""


def scale(rows: Sequence[ScaleRow], theme: Theme) -> Plot | None:
    """Draw costs against entries, each named at its end; None at fewer than two sizes.

    Colour and mark are the engine's.
    """
    curves: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in sorted(rows, key=lambda row: row.size):
        for engine, cost in ((OURS, row.ours), ("dict", row.theirs)):
            label = _GROWING.get(row.row, {}).get(engine)
            if label and cost and row.size:
                curves.setdefault((label, engine), []).append((row.size, cost))
    curves = {key: curve for key, curve in curves.items() if len(curve) > 1}

    def draw(plot: Plot) -> None:
        axes = plot.axes
        styles = {engine: _line_style(engine, (OURS, "dict")) for _, engine in curves}
        for (_, engine), curve in curves.items():
            axes.plot(*zip(*curve, strict=True), **styles[engine])
            # The next line of this engine is not named again.
            styles[engine]["label"] = None
        _log_axis(axes, "x", _entries)
        _log_axis(axes, "y", _span)
        low, high = (log10(end) for end in axes.get_ylim())
        heights = dict[int, float]()
        for (label, engine), curve in sorted(curves.items(), key=lambda c: c[1][-1]):
            size, cost = curve[-1]
            least = heights.get(size, low) + _LABEL_GAP * (high - low)
            heights[size] = max(log10(cost), least)
            axes.annotate(
                label,
                (size, 10 ** heights[size]),
                xytext=(7, 0),
                textcoords="offset points",
                verticalalignment="center",
                color=styles[engine]["color"],
                fontsize=9,
            )
        axes.set_xlabel("entries")
        axes.set_title("What grows with the entries, and what does not")
        _legend(plot)

    return Plot(theme, draw, width=7.4, height=4.6) if curves else None


def _line_style(engine: str, engines: Sequence[str]) -> dict[str, Any]:
    """Return how an engine is drawn; the same whatever stands beside it, if known."""
    colour, mark = _style(engine, engines)
    return {
        "label": _label(engine),
        "color": colour,
        "marker": mark,
        "markersize": 5,
        "linewidth": 2.4 if is_ours(engine) else 1.4,
        "linestyle": "--" if is_ours(engine) and engine != OURS else "-",
        "zorder": 4 if is_ours(engine) else 3,
    }


def _style(engine: str, engines: Sequence[str]) -> tuple[str, str]:
    if engine in _STYLES:
        return _STYLES[engine]
    if is_ours(engine):
        return OUR_COLOUR, "d"
    unknown = sorted(e for e in engines if e not in _STYLES and not is_ours(e))
    return _OTHERS[unknown.index(engine) % len(_OTHERS)]


def _label(name: str) -> str:
    """Return a name for a legend, where one that begins with _ would be left out."""
    line = wording.one_line(name, _LABEL_LENGTH)
    return f" {line}" if line.startswith("_") else line


def _name(figure: FigureRow) -> str:
    size = f", {short(figure.size)}" if figure.size else ""
    title = wording.one_line(figure.title, 60)
    return f"{title}{size}  |  {wording.one_line(figure.peer, _LABEL_LENGTH)}"


def _legend(
    plot: Plot, *, columns: int = _LEGEND_COLUMNS, marks: Sequence[Any] | None = None
) -> None:
    handles, labels = plot.axes.get_legend_handles_labels()
    if marks is not None:
        handles, labels = list(marks), [mark.get_label() for mark in marks]
    plot.drawing.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(columns, len(handles)),
        fontsize=9,
    )


def _goal_marks(theme: Theme) -> list[Any]:
    line = import_module("matplotlib.lines").Line2D
    ours = {"linestyle": "", "markeredgecolor": OUR_COLOUR, "markersize": 7}
    context = ours | {"markeredgecolor": theme.ink, "markerfacecolor": theme.faint}
    full, empty = OUR_COLOUR, theme.paper or "none"
    goal = {"marker": "|", "linestyle": "", "color": theme.ink, "markersize": 13}
    return [
        line([], [], marker="o", markerfacecolor=full, label="goal reached", **ours),
        line([], [], marker="o", markerfacecolor=empty, label="not reached", **ours),
        line([], [], marker="o", label="no goal for the ratio", **context),
        line([], [], label="goal", **goal),
    ]


def _tail(histogram: Sequence[tuple[float, int]]) -> list[tuple[float, float]]:
    """Return (ns, share of the calls above), up to the last call."""
    total = sum(count for _, count in histogram)
    left, curve = total, list[tuple[float, float]]()
    for bound, count in histogram:
        left -= count
        if bound > 0 and count:
            # The slowest bucket has nothing above it: it ends where its calls are.
            curve.append((bound, max(left, min(count, 1)) / total))
    return curve


def _positive(row: PauseRow) -> list[tuple[float, float]]:
    return sorted((at, span) for at, span in row.points if span > 0)


def _log_axis(
    axes: Any, side: str, words: Callable[[float, int], str], most: int = 9
) -> None:
    """Make a side logarithmic, with a word at powers of ten, at most so many."""
    ticker = import_module("matplotlib.ticker")
    getattr(axes, f"set_{side}scale")("log")
    axis = getattr(axes, f"{side}axis")
    axis.set_major_locator(ticker.LogLocator(numticks=most))
    axis.set_major_formatter(ticker.FuncFormatter(words))
    axis.set_minor_locator(ticker.NullLocator())


def _span(value: float, _: int) -> str:
    return quantity(value, "ns")


def _entries(value: float, _: int) -> str:
    if value < 1e3:
        return f"{value:g}"
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}K"


def _times(value: float, _: int) -> str:
    return (
        f"{value:.5f}".rstrip("0").rstrip(".")
        if 0.000009 < value < 10_000
        else f"{value:.0e}"
    )


def _one_in(value: float, _: int) -> str:
    return "all" if value >= 1 else f"1 in {short(round(1 / value))}"

"""Report: figures as lines of text, as JSON and as a picture.

Knows what a figure is, not how one is measured.  Numbers carry their unit, and a goal
stands beside what it is held against.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from latency_kv.bench.figures import WIDE, Figure

_LINE = "{title:<48} {size:>5}  {ours:>10}  {peer:<26} {theirs:>10} {ratio:>7}  {goal}"

_NUMBERS = re.compile(r"\[[-\d.,\se+]*\]")

_STEPS = (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0))


def machine_lines(machine: Mapping[str, str]) -> str:
    """Return the machine, one fact a line."""
    return "\n".join(f"{name:<11} {fact}" for name, fact in machine.items())


def columns() -> str:
    """Return the names of a line's columns."""
    return _LINE.format(
        title="what",
        size="size",
        ours="latency_kv",
        peer="against",
        theirs="",
        ratio="ratio",
        goal="goal",
    )


def line(figure: Figure) -> str:
    """Return one figure, with its remark on a line of its own."""
    text = _LINE.format(
        title=figure.title,
        size=short(figure.size),
        ours=quantity(figure.ours, figure.unit),
        peer=figure.peer,
        theirs=quantity(figure.theirs, figure.unit),
        ratio=_ratio(figure),
        goal=f"{_goal(figure):<20} {verdict(figure)}",
    ).rstrip()
    return f"{text}\n    ({figure.note})" if figure.note else text


def quantity(value: float | None, unit: str) -> str:
    """Return a value in the unit that leaves few digits; nothing for None."""
    if value is None:
        return ""
    if unit != "ns":
        return f"{value:.0f} {unit}"
    name, size = next((step for step in _STEPS if value >= step[1]), _STEPS[-1])
    return f"{number(value / size)} {name}"


def number(value: float) -> str:
    """Return three digits, or all those before the point."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def short(size: int) -> str:
    """Return a number of entries as 100, 1K or 2M; nothing for none."""
    for unit, name in ((1_000_000, "M"), (1_000, "K")):
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size or "")


def verdict(figure: Figure) -> str:
    """Say whether the goal was reached, or why there is no saying."""
    if figure.ours is None:
        return "not measured"
    if figure.reached is not None:
        return "reached" if figure.reached else "NOT REACHED"
    return "context" if figure.goal is figure.limit is None else "at another size"


def summary(figures: Sequence[Figure]) -> str:
    """Count the goals that were reached, and name the rows that missed theirs."""
    judged = [figure for figure in figures if figure.reached is not None]
    missed = [
        " ".join(filter(None, [figure.row, short(figure.size), figure.peer]))
        for figure in judged
        if not figure.reached
    ]
    text = f"{len(judged) - len(missed)} of {len(judged)} goals reached"
    return f"{text}; not: {', '.join(missed)}" if missed else text


def missing(figures: Iterable[Figure]) -> list[dict[str, str]]:
    """Return the figures that lack a side, as the JSON of a run tells them."""
    return [
        {"workload": figure.row, "engine": figure.peer, "reason": figure.note}
        for figure in figures
        if figure.ours is None or (figure.theirs is None and figure.note)
    ]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a run; times are in ns, memory in bytes an entry.

    A list of numbers stands on one line: there are thousands of them.
    """
    text = json.dumps(content, indent=2)
    text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)
    path.write_text(f"{text}\n", encoding="utf-8")


def draw(path: Path, machine: Mapping[str, str], figures: Iterable[Figure]) -> None:
    """Draw every ratio as a bar and every goal as a mark, on a logarithmic scale."""
    matplotlib = import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = import_module("matplotlib.pyplot")
    shown = [figure for figure in figures if figure.ratio is not None][::-1]
    labels = [f"{f.title}, {short(f.size)}, against {f.peer}" for f in shown]
    colours = [_COLOURS[figure.reached] for figure in shown]
    size = (11, 1.6 + 0.3 * len(shown))
    drawing, axes = pyplot.subplots(figsize=size, layout="constrained")
    bars = axes.barh(labels, [figure.ratio for figure in shown], color=colours)
    axes.bar_label(bars, fmt="%.3g", padding=4)
    for height, figure in enumerate(shown):
        if figure.goal is not None:
            axes.plot([figure.goal] * 2, [height - 0.4, height + 0.4], color="black")
    axes.axvline(1.0, color="grey", linestyle=":")
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel("latency_kv / peer: less is better; the mark is the goal")
    axes.set_title(machine["processor"])
    drawing.savefig(path, dpi=120)
    pyplot.close(drawing)


_COLOURS = {True: "tab:green", False: "tab:red", None: "tab:grey"}


def _ratio(figure: Figure) -> str:
    """Return the ratio, marked where its rounds say little."""
    if figure.ratio is None:
        return ""
    is_wide = figure.spread is not None and figure.spread > WIDE
    return f"{'~ ' if is_wide else ''}{number(figure.ratio)}"


def _goal(figure: Figure) -> str:
    goal = "" if figure.goal is None else f"{figure.goal:g}"
    limit = "" if figure.limit is None else f"< {quantity(figure.limit, figure.unit)}"
    return ", ".join(filter(None, [goal, limit]))

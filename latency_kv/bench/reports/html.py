"""Html: a run as one page that needs nothing beside it.

No script, no font, no address: what can be fetched is forbidden by the page itself.
Plots are SVG in the page, whose ink is the page's, so that they follow dark mode.
Every text of the run is escaped, in cells by `_table` and in plots by matplotlib.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any, Final
from xml.etree import ElementTree

from latency_kv.bench.report import short
from latency_kv.bench.reports import pictures, plots, tables, wording
from latency_kv.bench.reports.runs import (
    BenchRun,
    FigureRow,
    WorkloadRow,
    is_ours,
    run_of,
)

__all__ = ["page"]

# Colours that nothing else has; the page's own take their place.
_THEME: Final = plots.Theme(ink="#010203", faint="#040506", paper=None)
_INKS: Final = {_THEME.ink: "currentColor", _THEME.faint: "var(--faint)"}

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_FONT: Final = re.compile(r"'DejaVu Sans'|\"DejaVu Sans\"")
_OWN_ID: Final = re.compile(r"url\(#")

_GOALS_ARE: Final = "A ratio is latency_kv's figure divided by the peer's, a goal the most that it may be."

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --faint: #d0d7de;
  --soft: #57606a; --band: #f6f8fa; --ours: #d55e00; --mark: #fff3ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117;
  --faint: #30363d; --soft: #9198a1; --band: #161b22; --ours: #ff9a4d;
  --mark: #2b1d12; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 68rem;
  background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .5rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--faint); }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { max-width: 44rem; margin: .5rem 0; }
.soft, caption, figcaption { color: var(--soft); font-size: .9rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem;
  margin: 1rem 0; font-size: .92rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .3rem .9rem; margin: 1rem 0;
  font-size: .92rem; }
a { color: inherit; text-decoration-color: var(--ours); text-underline-offset: .2em; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .88rem; min-width: 100%;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .3rem 0; }
th, td { padding: .32rem .6rem; border-bottom: 1px solid var(--faint);
  text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 500; }
thead th { color: var(--soft); vertical-align: bottom; }
th:first-child, .words { text-align: left; }
tbody .words { white-space: normal; min-width: 7rem; }
th:first-child { position: sticky; left: 0; background: var(--paper); }
tbody th { white-space: normal; min-width: 7rem; }
tr.ours > th { font-weight: 700; }
tr.ours > * { background: var(--mark); }
tr.ours > th { border-left: 3px solid var(--ours); }
tr.wide > * { color: var(--soft); font-style: italic; }
tr.missed > td:last-child { font-weight: 700; color: var(--ours); }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { display: block; width: 100%; height: auto; min-width: 25rem; }
figure.broad svg { min-width: 36rem; }
figure.tall svg { min-width: 42rem; }
.plots { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } }
@media print { body { max-width: none; } figure, tr { break-inside: avoid; } }
"""

_HEAD: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'">
<title>latency_kv: figures of a run</title>
<style>{style}</style>
</head>
<body>
"""


def page(content: BenchRun | Mapping[str, Any]) -> str:
    """Return the page of a run, or of what its JSON would be, in ASCII.

    ValueError for what is no run; ImportError without matplotlib.
    """
    run = run_of(content)
    drawn = {name: _inline(name, plot) for name, plot in pictures.pictures(run, _THEME)}
    workloads = tables.by_workload(run)
    parts = [
        _HEAD.format(style=_STYLE),
        "<h1>latency_kv: figures of a run</h1>\n",
        _machine(run),
        _contents([name for name, _ in workloads], run),
        _first_screen(run, drawn),
        _goals(run, drawn),
        *(_workload(name, contests, drawn) for name, contests in workloads),
        _pauses(drawn),
        _scale(run, drawn),
        _missing(run),
        _how(),
        "</body>\n</html>\n",
    ]
    return "".join(parts).encode("ascii", "xmlcharrefreplace").decode()


def _machine(run: BenchRun) -> str:
    options = {name: str(value) for name, value in run.options.items()}
    facts = {**run.machine, **({"options": _pairs(options)} if options else {})}
    lines = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(fact)}</dd>\n"
        for name, fact in facts.items()
    )
    return f"<dl>\n{lines}</dl>\n"


def _contents(workloads: Sequence[str], run: BenchRun) -> str:
    links = ["goals", *(f"workload-{name}" for name in workloads)]
    links += ["pauses"] if run.pauses else []
    links += ["scale"] if run.scale else []
    names = [link.removeprefix("workload-") for link in [*links, "missing"]]
    shown = zip([*links, "missing"], names, strict=True)
    return "".join(
        [
            "<nav>\n",
            *(f'<a href="#{link}">{name}</a>\n' for link, name in shown),
            "</nav>\n",
        ]
    )


def _first_screen(run: BenchRun, drawn: Mapping[str, str]) -> str:
    lines = tables.headline(run)
    if not lines:
        return ""
    head = ["", "entries", "latency_kv", *tables.PEERS]
    rows = [
        ("", [line.title, short(line.size), line.ours, *line.cells()]) for line in lines
    ]
    return (
        "<h2>Beside its peers</h2>\n"
        "<p>latency_kv's time, or memory, as a share of each peer's: 0.5 is half of "
        "it; ~ where it differed by more than half between repetitions. An empty cell "
        "was not measured.</p>\n"
        f"{_table(head, rows)}{_figure(drawn, 'ratios', 'broad')}"
    )


def _goals(run: BenchRun, drawn: Mapping[str, str]) -> str:
    judged = [f for f in run.figures if f.goal or f.limit]
    context = [f for f in run.figures if not (f.goal or f.limit)]
    parts = [
        '<h2 id="goals">Goals</h2>\n',
        f"<p>{tables.counted(run.figures)}. {_GOALS_ARE}</p>\n",
        _table(tables.GOALS_HEAD, map(_goal_row, judged), words=(3, 7)),
    ]
    if context:
        parts += [
            "<h3>For context, without a goal</h3>\n",
            _table(tables.ROWS_HEAD, map(_context_row, context), words=(3,)),
        ]
    notes = {f"{f.title} ({f.peer})": f.note for f in run.figures if f.note}
    if notes:
        notes_lines = (f"<li>{_text(k)}: {_text(v)}</li>\n" for k, v in notes.items())
        parts.append(f'<ul class="soft">\n{"".join(notes_lines)}</ul>\n')
    parts.append(_figure(drawn, "goals", "tall"))
    return "".join(parts)


def _goal_row(figure: FigureRow) -> tuple[str, Sequence[str]]:
    return "missed" if figure.reached is False else "", tables.goals_row(figure)


def _context_row(figure: FigureRow) -> tuple[str, Sequence[str]]:
    return "", tables.rows_row(figure)


def _workload(
    workload: str, contests: Sequence[tables.Contest], drawn: Mapping[str, str]
) -> str:
    made = "".join(_figure(drawn, f"{kind}-{workload}") for kind in ("tails", "costs"))
    parts = [
        f'<h2 id="workload-{workload}">{workload}</h2>\n',
        f'<div class="plots">\n{made}</div>\n' if made else "",
    ]
    for contest in contests:
        rows = [
            (_kind(row), tables.workload_row(contest, row)) for row in contest.engines
        ]
        parts.append(_table(tables.WORKLOAD_HEAD, rows, caption=contest.title))
        notes = [f"{row.engine}: {row.note}" for row in contest.engines if row.note]
        parts += [f'<p class="soft">{_text(note)}</p>\n' for note in notes]
    return "".join(parts)


def _kind(row: WorkloadRow) -> str:
    kinds = {"ours": is_ours(row.engine), "wide": row.is_wide}
    return " ".join(kind for kind, holds in kinds.items() if holds)


def _pauses(drawn: Mapping[str, str]) -> str:
    made = [_figure(drawn, name) for name in drawn if name.startswith("pauses-")]
    if not made:
        return ""
    return (
        '<h2 id="pauses">Pauses over time</h2>\n'
        "<p>A run is cut into slices; a point is the longest call of one, and the mark "
        "the longest of all.</p>\n"
        f'<div class="plots">\n{"".join(made)}</div>\n'
    )


def _scale(run: BenchRun, drawn: Mapping[str, str]) -> str:
    if not run.scale:
        return ""
    head, rows = tables.scale_table(run.scale)
    return (
        '<h2 id="scale">Scale</h2>\n'
        f"{_table(head, [('', row) for row in rows])}{_figure(drawn, 'scale', 'broad')}"
    )


def _missing(run: BenchRun) -> str:
    rows = [("", [row.workload, row.engine, row.reason]) for row in run.missing]
    told = {(row.workload, row.engine) for row in run.missing}
    rows += [
        ("", [figure.title, figure.peer, figure.note or "not measured"])
        for figure in run.figures
        if figure.ours is None and (figure.row, figure.peer) not in told
    ]
    table = _table(("what", "engine", "why"), rows, words=(1, 2))
    return '<h2 id="missing">What is missing, and why</h2>\n' + (
        table if rows else "<p>Nothing: every row was measured.</p>\n"
    )


def _how() -> str:
    return (
        "<h2>How to read it</h2>\n"
        "<p>Both sides ran in turns within this run, garbage collector on; a figure is "
        "the median of its rounds. Ratios within one run mean something, figures of "
        "different machines beside each other do not. A spread is how wide the place is, "
        "as a share of the median, where the median lies with 95 % by its rounds, and "
        "where that of each process does: another run agrees within it; where it is "
        "marked as too wide, the row says little. Among workloads a ratio stands in the peer's row: "
        "latency_kv's time for an operation divided by the peer's, both called from one "
        "language. p50, p99, p99.9 and max are single calls, with what the clock costs "
        "in them. Memory is bytes an entry.</p>\n"
    )


def _table(
    head: Sequence[str],
    rows: Iterable[tuple[str, Sequence[str]]],
    *,
    words: Sequence[int] = (),
    caption: str = "",
) -> str:
    """Return a table of (class, cells); the columns of `words` wrap, at the left."""
    kinds = [' class="words"' if at in words else "" for at in range(len(head))]
    names = "".join(
        f'<th scope="col"{kind}>{_text(name)}</th>'
        for kind, name in zip(kinds, head, strict=True)
    )
    lines = []
    for row_kind, (first, *others) in rows:
        cells = "".join(
            f"<td{kind}>{_text(cell)}</td>"
            for kind, cell in zip(kinds[1:], others, strict=True)
        )
        lines.append(
            f'<tr class="{row_kind}"><th scope="row">{_text(first)}</th>{cells}</tr>\n'
        )
    title = f"<caption>{_text(caption)}</caption>\n" if caption else ""
    return (
        f'<div class="scroll"><table>\n{title}<thead><tr>{names}</tr></thead>\n'
        f"<tbody>\n{''.join(lines)}</tbody></table></div>\n"
    )


def _figure(drawn: Mapping[str, str], name: str, kind: str = "") -> str:
    flag = f' class="{kind}"' if kind else ""
    return f"<figure{flag}>{drawn[name]}</figure>\n" if name in drawn else ""


def _inline(name: str, plot: plots.Plot) -> str:
    """Return a plot as an element of a page: its ink the page's, its ids its own."""
    content = BytesIO()
    with plot:
        plot.save(content, "svg")
    # What matplotlib has just written, from text that it has escaped.
    root = ElementTree.fromstring(content.getvalue())
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        for attribute, value in element.attrib.items():
            element.set(attribute, _adapted(attribute, value, name))
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-label", name)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _adapted(attribute: str, value: str, name: str) -> str:
    if attribute == "id":
        return f"{name}-{value}"
    if attribute.endswith("href"):
        return f"#{name}-{value.removeprefix('#')}"
    value = _OWN_ID.sub(f"url(#{name}-", _FONT.sub("system-ui", value))
    for ink, own in _INKS.items():
        value = value.replace(ink, own)
    return value


def _pairs(facts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {fact}" for name, fact in facts.items())


def _text(text: str) -> str:
    return escape(wording.one_line(text))

"""`python -m latency_kv.bench`: options, and the report as it grows.

Ends with 0 when everything asked for was measured, whatever the verdicts; with 1 when
a figure is missing, or this build must not be measured; with 2 for a wrong option or
name.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from latency_kv.bench import machine, report
from latency_kv.bench.figures import FULL, QUICK, Figure, Row
from latency_kv.bench.goals.rows import ROWS, chosen, measure
from latency_kv.bench.progress import Progress
from latency_kv.bench.workloads import tables
from latency_kv.bench.workloads.content import Shape
from latency_kv.bench.workloads.manifest import (
    DEFAULT_SHAPES,
    FULL_SHAPES,
    LIMITS,
    QUICK_SHAPES,
    Choice,
    Manifest,
    engines_of,
    shapes_of,
)
from latency_kv.bench.workloads.results import Results
from latency_kv.bench.workloads.runner import results_of
from latency_kv.bench.workloads.table import WORKLOADS

SCHEMA = 1

PROCESSES = 3
ROUNDS = 6
CALLS = 50_000

QUICK_ROUNDS = 3
QUICK_CALLS = 10_000

_DURATIONS = {DEFAULT_SHAPES: "about 20 minutes", FULL_SHAPES: "hours"}
"""Of all workloads on all engines."""

_EPILOG = """\
two parts:
  goals        one figure each, beside one peer, with what it has to reach
  workloads    every engine on every workload: throughput, latencies, memory

  A NAME is a goal, a workload, both where they share it, or one of the words `goals`
  and `workloads`.  Without any, all of both are measured, in about 20 minutes on an
  idle machine.  Engines, workloads and sizes given by option leave the goals out,
  unless they are named.

examples:
  %(prog)s --quick                 a look: half a minute to one
  %(prog)s                         all that counts: about 20 minutes
  %(prog)s get-fresh find          two goals: seconds
  %(prog)s readrandom --engines latency_kv,dict,LMDB
  %(prog)s workloads --entries 10M --value-bytes 0,64
  %(prog)s --json run.json --html run.html

Peers: pip install 'latency-kv[bench]'; redis-server and rustc where the system has
them.  What is not installed is told.  Where what is asked for needs it, the run ends
with 1, unless --allow-missing.
"""


def main(
    arguments: Sequence[str] | None = None, called: str = "python -m latency_kv.bench"
) -> int:
    """Run the bench, called so in its help, and return the status to exit with."""
    parser = _parser(called)
    options = parser.parse_args(arguments)
    try:
        rows, choice = _chosen(options)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        _list(rows, choice)
        return 0
    drawn = options.picture or options.html
    if drawn and find_spec("matplotlib") is None:
        parser.error(
            "--picture and --html need matplotlib: pip install 'latency-kv[bench]'"
        )
    for path in filter(None, [options.json, options.picture, options.html]):
        path.parent.mkdir(parents=True, exist_ok=True)
    objection = machine.objection()
    if objection:
        print(f"no figures: {objection}", file=sys.stderr)
        return 1
    takes = _duration(choice)
    if takes:
        print(f"this takes {takes}; --quick takes about a minute", file=sys.stderr)

    facts = machine.describe() | {
        "started": datetime.now(UTC).isoformat("T", "seconds")
    }
    print(report.machine_lines(facts), flush=True)
    figures = _goals(rows, options)
    manifest = Manifest.of(choice)
    results = _workloads(manifest)
    absent = report.missing(figures)
    missing = [*absent, *results.missing()]
    for line in tables.missing_lines(missing):
        print(line)
    content = {
        "schema": SCHEMA,
        "machine": facts,
        "options": _told(options, choice, manifest),
        "figures": [asdict(figure) for figure in figures],
        "workloads": [asdict(row) for row in results.rows()],
        "pauses": results.pauses(),
        "missing": missing,
    }
    _write(options, content, figures)
    if results.has_failures():
        return 1
    return 0 if options.allow_missing or not missing else 1


def _goals(rows: Sequence[Row], options: argparse.Namespace) -> list[Figure]:
    """Measure the goals, a line each."""
    figures: list[Figure] = []
    if not rows:
        return figures
    if options.quick:
        print(
            "\nquick: with small stores, or a busy machine, NOT REACHED is no verdict"
        )
    print(f"\n{report.columns()}", flush=True)
    progress = Progress()
    for figure in measure(rows, QUICK if options.quick else FULL, progress.show):
        figures.append(figure)
        progress.clear()
        print(report.line(figure), flush=True)
    print(f"\n{report.summary(figures)}")
    return figures


def _workloads(manifest: Manifest) -> Results:
    """Measure the workloads; their tables come when all processes have ended."""
    progress = Progress()
    results = results_of(manifest, progress.show)
    progress.clear()
    for shape in manifest.left_out:
        print(f"left out: {shape}")
    for table in tables.tables(results.rows()):
        print(table)
    return results


def _chosen(options: argparse.Namespace) -> tuple[tuple[Row, ...], Choice]:
    """Return what is to be measured; ValueError names what is wrong."""
    goals = [row.name for row in ROWS]
    works = [work.name for work in WORKLOADS]
    words = {"goals": (goals, []), "workloads": ([], works), "all": (goals, works)}
    by_option = _known("--workloads", options.workloads, works)
    engines = _known("--engines", options.engines, engines_of())
    rows_asked: list[str] = []
    works_asked = list(by_option)
    for name in options.names:
        if name not in {*words, *goals, *works}:
            near = get_close_matches(name.lower(), [*words, *goals, *works], 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"no goal or workload {name}: {hint}--list names all")
        some_goals, some_works = words.get(name, ([name], [name]))
        rows_asked += [each for each in some_goals if each in goals]
        works_asked += [each for each in some_works if each in works]
    sizes = (options.entries, options.key_bytes, options.value_bytes)
    if not options.names:
        if not by_option:
            works_asked = works
        if not (by_option or engines or any(sizes)):
            rows_asked = goals
    for name in works_asked:
        owed = next(work.engines for work in WORKLOADS if work.name == name)
        if options.workloads + options.names and not {*owed} & {*(engines or owed)}:
            given = ", ".join(engines)
            raise ValueError(f"{name} is not asked of --engines {given}")
    quick = options.quick
    shapes: tuple[Shape, ...] = QUICK_SHAPES if quick else DEFAULT_SHAPES
    if options.full:
        shapes = FULL_SHAPES
    if any(sizes):
        shapes = shapes_of(*sizes)
    processes = 1 if quick else min(PROCESSES, options.rounds or PROCESSES)
    choice = Choice(
        shapes=shapes,
        workloads=tuple(works_asked),
        engines=tuple(engines or engines_of()),
        rounds=options.rounds or (QUICK_ROUNDS if quick else ROUNDS),
        processes=processes,
        calls=QUICK_CALLS if quick else CALLS,
    )
    return (chosen(rows_asked) if rows_asked else ()), choice


def _known(option: str, given: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the names in their own spelling; ValueError for one that is not known."""
    spelling = {name.lower(): name for name in known}
    for name in given:
        if name.lower() not in spelling:
            raise ValueError(f"{option}: no {name}; there are {', '.join(known)}")
    return [spelling[name.lower()] for name in given]


def _duration(choice: Choice) -> str | None:
    """Return how long a run of everything takes, None for a part of it."""
    works, engines = len(choice.workloads), len(choice.engines)
    is_part = works < len(WORKLOADS) or engines < len(engines_of())
    return None if is_part else _DURATIONS.get(choice.shapes)


def _list(rows: Sequence[Row], choice: Choice) -> None:
    if rows:
        print("goals: one figure each, and the peers that it stands beside")
    for row in rows:
        peers = ", ".join(dict.fromkeys(case.peer for case in row.cases if case.peer))
        print(f"  {row.name:<15} {row.title:<48} {peers}".rstrip())
    if rows and choice.workloads:
        print()
    if choice.workloads:
        print("workloads: throughput, latencies and memory of every engine")
    for work in WORKLOADS:
        if work.name in choice.workloads:
            print(f"  {work.name:<15} {work.title}")
    if choice.workloads:
        print(f"\nengines: {', '.join(choice.engines)}")


def _told(
    options: argparse.Namespace, choice: Choice, manifest: Manifest
) -> dict[str, Any]:
    return {
        "names": options.names,
        "quick": options.quick,
        "full": options.full,
        **asdict(choice),
        "left_out": manifest.left_out,
    }


def _write(
    options: argparse.Namespace, content: dict[str, Any], figures: Sequence[Figure]
) -> None:
    if options.json:
        report.write_json(options.json, content)
    if options.picture:
        report.draw(options.picture, content["machine"], figures)
    if options.html:
        html = import_module("latency_kv.bench.reports.html")
        runs = import_module("latency_kv.bench.reports.runs")
        run = msgspec.convert(content, runs.BenchRun)
        options.html.write_text(html.page(run), encoding="utf-8")


def _parser(called: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=called,
        description="Measure the engine against its peers, in one run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="what to measure; --list names all")
    add("--list", action="store_true", help="name what would be measured, and stop")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument(
        "--quick",
        action="store_true",
        help="small stores, few calls: half a minute to one",
    )
    extent.add_argument(
        "--full", action="store_true", help="all sizes, 100 to 10M entries: hours"
    )
    chooser = parser.add_argument_group("workloads", "lists are separated by commas")
    add = chooser.add_argument
    add(
        "--workloads",
        type=_names,
        default=[],
        metavar="LIST",
        help="measure only these, and no goals: readrandom,overwrite",
    )
    add(
        "--engines",
        type=_names,
        default=[],
        metavar="LIST",
        help="measure only these engines: latency_kv,dict; --list names them",
    )
    words = {
        "--entries": "entries of a store, such as 1K,1M",
        "--key-bytes": "bytes of a key, such as 16,64",
        "--value-bytes": "bytes of a value, such as 0,1K",
    }
    for option, (least, most) in LIMITS.items():
        add(
            option,
            type=_Sizes(least, most),
            default=[],
            metavar="LIST",
            help=f"{words[option]}; each from {least:,} to {most:,}",
        )
    add(
        "--rounds",
        type=_Sizes(1, 1_000, one=True),
        metavar="N",
        help="how often an engine takes its turn at a workload, whose figure is the "
        f"median; {ROUNDS}, with --quick {QUICK_ROUNDS}",
    )
    add(
        "--allow-missing",
        action="store_true",
        help="end with status 0 though a peer is not installed",
    )
    output = parser.add_argument_group("output")
    add = output.add_argument
    add(
        "--json",
        type=Path,
        metavar="PATH",
        help="write all figures, for latency_kv.bench.reports",
    )
    add(
        "--html", type=Path, metavar="PATH", help="write one page with tables and plots"
    )
    add(
        "--picture",
        type=Path,
        metavar="PATH",
        help="draw all ratios and goals, as goals.png",
    )
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


class _Sizes:
    """Reads numbers, such as 100,10K,1M, and holds them to their limits."""

    def __init__(self, least: int, most: int, *, one: bool = False) -> None:
        self._least, self._most, self._one = least, most, one

    def __call__(self, text: str) -> Any:
        sizes = [self._size(part) for part in _names(text)]
        if self._one:
            (size,) = sizes or [0]
            return size
        return list(dict.fromkeys(sizes))

    def _size(self, text: str) -> int:
        units = {"K": 1_000, "M": 1_000_000}
        digits, unit = text[:-1], units.get(text[-1:].upper())
        size = int(digits) * unit if unit else int(text)
        if not self._least <= size <= self._most:
            limits = f"{self._least:,} to {self._most:,}"
            raise argparse.ArgumentTypeError(f"{text} is not in {limits}")
        return size

    def __repr__(self) -> str:
        return "number"


if __name__ == "__main__":
    raise SystemExit(main())

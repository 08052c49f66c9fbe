"""`python -m latency_kv.bench.reports`: pages, pictures and tables from runs' JSON.

Ends with 0 when it is done; with 1 when `fill --check` finds a page that would change,
or `compare` two runs that do not agree; with 2 for a wrong option, a file that is no
run, or a page that cannot be filled.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from latency_kv.bench.reports import comparison, html, pages, pictures, plots
from latency_kv.bench.reports.runs import BenchRun, read_run

_EXAMPLES = """\
examples:
  python -m latency_kv.bench --json run.json
  %(prog)s html run.json run.html
  %(prog)s compare run.json later.json
"""

_FILL = f"""\
Replace what stands between two comments of a page by a table from a run:

  <!-- figures: goals from run.json get-fresh find -->
  <!-- end -->

The word behind `figures:` is one of
{", ".join(pages.BLOCKS)}.
Names of rows may follow the run's; without any, all are shown.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the status to exit with."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (OSError, ValueError) as error:
        print(f"reports: {error}", file=sys.stderr)
        return 2


def _html(options: argparse.Namespace) -> int:
    text = html.page(_drawable(options.run))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="ascii")
    return 0


def _pictures(options: argparse.Namespace) -> int:
    for path in pictures.write_pictures(_drawable(options.run), options.folder):
        print(path)
    return 0


def _fill(options: argparse.Namespace) -> int:
    paths = {
        kind: [path for path in options.files if path.suffix == f".{kind}"]
        for kind in ("json", "md")
    }
    if sum(map(len, paths.values())) < len(options.files) or not all(paths.values()):
        raise ValueError("fill takes one or more RUN.json and one or more PAGE.md")
    runs: dict[str, BenchRun] = {}
    for path in paths["json"]:
        if path.name in runs:
            raise ValueError(f"{path}: a second run of that name")
        runs[path.name] = read_run(path)
    # All of them are made before the first is written.
    texts = {path: path.read_text(encoding="utf-8") for path in paths["md"]}
    made = {}
    for path, text in texts.items():
        try:
            made[path] = pages.filled(text, runs)
        except ValueError as error:
            raise ValueError(f"{path}, {error}") from None
    changed = [path for path in made if made[path] != texts[path]]
    for path in changed:
        print(f"{path} {'would change' if options.check else 'changed'}")
        if not options.check:
            path.write_text(made[path], encoding="utf-8")
    return 1 if options.check and changed else 0


def _compare(options: argparse.Namespace) -> int:
    first, second = read_run(options.first), read_run(options.second)
    found = comparison.compared(first, second)
    for difference in comparison.differing(first.machine, second.machine):
        print(f"not the same: {difference}")
    for line in (item.line() for item in found if options.all or item.is_failure):
        print(line)
    print(comparison.summary(found))
    judged = any(item.agreement == "agree" for item in found)
    return 0 if judged and not any(item.is_failure for item in found) else 1


def _drawable(path: Path) -> BenchRun:
    run = read_run(path)
    if not plots.is_there():
        raise ValueError("plots need matplotlib: pip install 'latency-kv[bench]'")
    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m latency_kv.bench.reports",
        description="Make pages, pictures and tables from runs of the bench.  RUN.json "
        "is what\n--json of latency_kv.bench, of its scale or its state_stores wrote.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    made = commands.add_parser(
        "html",
        help="write a run as one page",
        description="Write a run as one page of tables and plots, which needs no other "
        "file.",
    )
    _add_run(made)
    made.add_argument(
        "out", type=Path, metavar="OUT.html", help="the page; its folder is made"
    )
    made.set_defaults(command=_html)

    made = commands.add_parser(
        "pictures",
        help="draw a run's plots as PNG",
        description="Draw a run's plots, each as a PNG, and print their paths.",
    )
    _add_run(made)
    made.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where they are written"
    )
    made.set_defaults(command=_pictures)

    made = commands.add_parser(
        "fill",
        help="make the tables in Markdown pages",
        description=_FILL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="RUN.json|PAGE.md",
        help="one or more runs, and one or more pages",
    )
    made.add_argument(
        "--check",
        action="store_true",
        help="write nothing; status 1 if a page would change",
    )
    made.set_defaults(command=_fill)

    made = commands.add_parser(
        "compare",
        help="say whether two runs of one machine agree",
        description="Compare two runs of one machine, ratio by ratio; status 1 if one "
        "differs by more than both spreads, or only one run has it.",
    )
    made.add_argument(
        "first", type=Path, metavar="A.json", help="a run, as --json of the bench wrote"
    )
    made.add_argument("second", type=Path, metavar="B.json", help="another")
    made.add_argument(
        "--all", action="store_true", help="print the ratios that agree too"
    )
    made.set_defaults(command=_compare)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    told = "what --json of the bench wrote"
    parser.add_argument("run", type=Path, metavar="RUN.json", help=told)


if __name__ == "__main__":
    raise SystemExit(main())

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
        raise ValueError("plots need matplotlib: pip install 'latency_kv[bench]'")
    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m latency_kv.bench.reports",
        description="Make pages, pictures and tables from what a run of the bench left.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    made = commands.add_parser("html", help="write a run as one page")
    made.add_argument("run", type=Path, metavar="RUN.json")
    made.add_argument("out", type=Path, metavar="OUT.html")
    made.set_defaults(command=_html)

    made = commands.add_parser("pictures", help="draw a run's plots as PNG")
    made.add_argument("run", type=Path, metavar="RUN.json")
    made.add_argument("folder", type=Path, metavar="FOLDER")
    made.set_defaults(command=_pictures)

    made = commands.add_parser(
        "fill",
        help="make the tables in Markdown pages",
        description="Replace what stands between <!-- figures: BLOCK ... --> and "
        f"<!-- end -->. Blocks: {', '.join(pages.BLOCKS)}.",
    )
    made.add_argument("files", nargs="+", type=Path, metavar="RUN.json|PAGE.md")
    made.add_argument(
        "--check", action="store_true", help="write nothing; 1 if a page would change"
    )
    made.set_defaults(command=_fill)

    made = commands.add_parser(
        "compare",
        help="say whether two runs of one machine agree",
        description="Every ratio has to agree within the spreads that the runs print.",
    )
    made.add_argument("first", type=Path, metavar="A.json")
    made.add_argument("second", type=Path, metavar="B.json")
    made.add_argument("--all", action="store_true", help="print those that agree too")
    made.set_defaults(command=_compare)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

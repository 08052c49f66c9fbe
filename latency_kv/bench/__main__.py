"""`python -m latency_kv.bench`: options, and the report as it grows.

Ends with 0 when everything asked for was measured, whatever the verdicts; with 1 when
this build must not be measured; with 2 for a wrong option or row.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from latency_kv.bench import machine, report
from latency_kv.bench.figures import FULL, QUICK
from latency_kv.bench.progress import Progress
from latency_kv.bench.rows import chosen, measure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench and return the status to exit with."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        rows = chosen(options.rows)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        for row in rows:
            print(f"{row.name:<15} {row.title}")
        return 0
    if options.picture and find_spec("matplotlib") is None:
        parser.error("--picture needs matplotlib: pip install 'latency_kv[bench]'")
    for path in filter(None, [options.json, options.picture]):
        path.parent.mkdir(parents=True, exist_ok=True)
    objection = machine.objection()
    if objection:
        print(f"no figures: {objection}", file=sys.stderr)
        return 1

    facts = machine.describe()
    print(report.heading(facts), flush=True)
    progress = Progress()
    figures = []
    for figure in measure(rows, QUICK if options.quick else FULL, progress.show):
        figures.append(figure)
        progress.clear()
        print(report.line(figure), flush=True)
    print(f"\n{report.summary(figures)}")
    if options.json:
        report.write_json(options.json, facts, figures)
    if options.picture:
        report.draw(options.picture, facts, figures)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m latency_kv.bench",
        description="Measure the engine against its peers, in one run.",
        epilog="Peers: pip install 'latency_kv[bench]'; Rust's figures need rustc.",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows by name; all")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument(
        "--quick", action="store_true", help="small stores, few calls: seconds"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw a chart")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

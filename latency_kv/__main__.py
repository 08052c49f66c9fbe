"""`python -m latency_kv`: what the package can do from a shell, and where things are."""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the status to exit with."""
    parser = argparse.ArgumentParser(
        prog="python -m latency_kv",
        description="An in-process key-value engine: dict-class reads, ordered "
        "point-in-time scans, snapshots without a pause.",
        epilog="In Python: from latency_kv import InMemoryStore; help(InMemoryStore). "
        "In Cython: from latency_kv cimport InMemoryStore.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "bench",
        help="measure the engine beside its peers; bench --help has the rows",
        add_help=False,
    )
    commands.add_parser("include", help="print the folder to compile operators with")
    commands.add_parser("version", help="print the version")
    options, rest = parser.parse_known_args(arguments)
    if options.command == "bench":
        from latency_kv.bench.__main__ import main as bench

        return bench(rest)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if options.command == "include":
        from latency_kv import get_include

        print(get_include())
    else:
        from importlib.metadata import version

        print(version("latency-kv"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

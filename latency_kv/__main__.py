"""`latency-kv`, or `python -m latency_kv`: what the package can do from a shell.

Needs nothing beyond the package, so that operators can be compiled with `include`
wherever it is installed.  The sub-commands of `latency_kv.cli` need the extra `cli`, and
are handed their arguments unread.  Start at `main`.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

# Modules of latency_kv.cli, each with an `app`, and what --help says of them.
_APPS = {
    "snapshot": "look into a snapshot's FILE: info, verify, get, scan, diff",
    "state": "look after plugins' documents in a DIR: list, show, ...",
    "store": "look into the state store at a URL: get, set, keys, copy",
    "facets": "list what plugins can meet through, and who provides it",
}

_OTHERS = {
    "bench": "measure the engine beside its peers; --list: what is there",
    "include": "print the folder to compile operators with",
    "version": "print the version",
}

# What the apps are made of, beyond the package.
_EXTRA = {"typer", "rich"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the status to exit with."""
    # python -m has the path of this file for a name.
    called = "python -m latency_kv" if sys.argv[0] == __file__ else "latency-kv"
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = given[0] if given else ""
    if not given:
        parser = _parser(called)
        parser.print_help(sys.stderr)
        parser.exit(2)
    if command == "help":
        return main([*given[1:], "--help"])
    if command == "--version":
        command, given = "version", ["version"]
    _check_command(command, called)
    if command in _APPS:
        return _run_app(command, given[1:], called)
    if command == "bench":
        from latency_kv.bench.__main__ import main as bench

        return bench(given[1:], f"{called} bench")
    match _parser(called).parse_args(given).command:
        case "include":
            from latency_kv import get_include

            print(get_include())
        case "version":
            from importlib.metadata import version

            print(version("latency-kv"))
    return 0


def _parser(called: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=called,
        description="An in-process key-value engine: the reads of a dict, "
        "ordered point-in-time scans, snapshots without a pause.",
        epilog=f"Start here: {called} store set file:state answer 42, then "
        f"{called} store keys file:state. {called} COMMAND --help has the options of "
        "each, with an example. snapshot, state, store and facets need the extra: pip "
        "install 'latency-kv[cli]'. In Python: from latency_kv import InMemoryStore; "
        "help(InMemoryStore).",
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for name, text in _APPS.items():
        commands.add_parser(name, help=text)
    for name, text in _OTHERS.items():
        commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
    return parser


def _check_command(command: str, called: str) -> None:
    """Leave the program if there is no such command, or option before one."""
    known = [*_APPS, *_OTHERS]
    if command in known or command in {"-h", "--help"}:
        return
    if command.startswith("-"):
        _parser(called).error(f"no option {command}; {called} --help has what there is")
    from difflib import get_close_matches

    near = get_close_matches(command, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    _parser(called).error(f"no command {command!r}; {hint}")


def _run_app(name: str, arguments: list[str], called: str) -> int:
    try:
        app = import_module(f"latency_kv.cli.{name}").app
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        print(
            f"{called} {name} needs {missing}: pip install 'latency-kv[cli]'",
            file=sys.stderr,
        )
        return 2
    try:
        app(arguments, prog_name=f"{called} {name}")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

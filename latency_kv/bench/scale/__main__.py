"""`python -m latency_kv.bench.scale`: options, and each size as it is measured.

Every process measures one engine at one size, and they run one after another.  A size
that the free memory or the disk does not hold is told and left out, or its dict alone.
Ends with 0 when all the rest was measured; with 1 when a row of it is missing, or this
build must not be measured; with 2 for a wrong option.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from latency_kv.bench import machine
from latency_kv.bench.children import environment
from latency_kv.bench.keys import GROUP, KEY_SIZE, VALUE_SIZE
from latency_kv.bench.progress import Progress
from latency_kv.bench.report import machine_lines, short, write_json
from latency_kv.bench.reports.wording import amount
from latency_kv.bench.scale.memory import available
from latency_kv.bench.scale.rows import (
    HUGE,
    PROCESSES,
    Measured,
    Process,
    ScaleFigure,
    figures,
)

__all__ = ["TUNABLES", "main"]

TUNABLES: Final = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8388608"
"""Huge pages in malloc's heap, and the store's regions of 1 MiB in that heap."""

_SCHEMA: Final = 1

_SIZES: Final = (100_000, 1_000_000, 10_000_000, 50_000_000)
_QUICK_SIZES: Final = (100_000, 1_000_000)

_TURNS: Final = 3
_TURNS_SIZE: Final = 10_000_000
"""The largest size that is measured so often."""

_BASE_BYTES: Final = 200_000_000
"""What a process takes besides its entries: the sample, and the interpreter."""

_ENTRY_BYTES_ON_DISK: Final = KEY_SIZE + VALUE_SIZE + 16

_LEAST: Final = 1_000

_LINE: Final = "{title:<66} {ours:>10}  {theirs:>10}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench and return the status to exit with."""
    options = _parser().parse_args(arguments)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
    objection = machine.objection()
    if objection:
        print(f"no figures: {objection}", file=sys.stderr)
        return 1
    sizes = options.sizes or (_QUICK_SIZES if options.quick else _SIZES)
    facts = machine.describe() | {
        "started": datetime.now(UTC).isoformat("T", "seconds")
    }
    # Those of other benches; dict has the interpreter's version.
    facts.pop("peers", None)
    print(machine_lines(facts), flush=True)
    made: list[ScaleFigure] = []
    left_out: list[dict[str, str]] = []
    owed = [process for process in PROCESSES if _is_asked(process, options)]
    for size in sorted({*sizes}):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            processes, reasons = _fitting(size, owed, Path(folder))
            for engine, reason in reasons.items():
                left_out.append(_absence(size, engine, reason))
                print(f"\nleft out: {engine}, {short(size)} entries: {reason}")
            if not processes:
                continue
            turns = 1 if options.quick or size > _TURNS_SIZE else _TURNS
            made_now = figures(size, _measured(size, processes, turns, Path(folder)))
        made += made_now
        print(_table(size, made_now), flush=True)
    absent = [figure for figure in made if figure.ours is None]
    for figure in absent:
        print(f"missing: {figure.row}, {short(figure.size)} entries")
    if options.json:
        content: dict[str, Any] = {
            "schema": _SCHEMA,
            "machine": facts,
            "options": {
                "sizes": [*sizes],
                "quick": options.quick,
                **({"huge_pages": TUNABLES} if options.huge_pages else {}),
            },
            "scale": [asdict(figure) for figure in made],
            "missing": [
                *left_out,
                *(_absence(f.size, f.row, "not measured") for f in absent),
            ],
        }
        write_json(options.json, content)
    return 1 if absent else 0


def _is_asked(process: Process, options: argparse.Namespace) -> bool:
    return options.huge_pages or not process.has_huge_pages


def _fitting(
    size: int, owed: Sequence[Process], folder: Path
) -> tuple[list[Process], dict[str, str]]:
    """Return the processes that this machine holds, and why others are left out."""
    room = available()
    on_disk, file_size = shutil.disk_usage(folder).free, size * _ENTRY_BYTES_ON_DISK
    if on_disk < 2 * file_size:
        return [], {"all": f"{_giga(file_size)} for a checkpoint are not on the disk"}
    needs = _needs(size, owed)
    names = {True: "latency_kv", False: "dict"}
    reasons = {
        names[is_ours]: f"needs {_giga(need)} of memory, {_giga(room)} are free"
        for is_ours, need in needs.items()
        if need > room
    }
    # Nothing is told of a dict alone.
    kept = [p for p in owed if needs[True] <= room and needs[p.is_ours] <= room]
    return kept, reasons


def _needs(size: int, owed: Sequence[Process]) -> dict[bool, int]:
    """Return the bytes of memory that the largest process takes: ours, and a dict's."""
    return {
        is_ours: _BASE_BYTES
        + size * max(p.entry_bytes for p in owed if p.is_ours is is_ours)
        for is_ours in (True, False)
    }


def _measured(
    size: int, processes: Sequence[Process], turns: int, folder: Path
) -> list[Measured]:
    progress = Progress()
    steps = [process for _ in range(turns) for process in processes]
    measured = []
    for done, process in enumerate(steps):
        name = f"{short(size)} entries: {process.kind}"
        progress.show(done, len(steps), name)
        measured.append(Measured(process, _values(process, size, folder)))
    progress.clear()
    return measured


def _values(process: Process, size: int, folder: Path) -> dict[str, float | None]:
    """Run a process; what it owes is missing if it fails, and the others go on."""
    module = "latency_kv.bench.scale.process"
    command = [sys.executable, "-P", "-m", module, process.kind, str(size), str(folder)]
    tunables = {"GLIBC_TUNABLES": TUNABLES} if process.has_huge_pages else {}
    done = subprocess.run(
        command,
        env=environment(**tunables),
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    if done.returncode:
        print(f"{process.kind} ended with {done.returncode}", file=sys.stderr)
        return {}
    values: dict[str, float | None] = json.loads(done.stdout)
    return values


def _absence(size: int, what: str, reason: str) -> dict[str, str]:
    return {"workload": f"{short(size)} entries", "engine": what, "reason": reason}


def _table(size: int, made: Sequence[ScaleFigure]) -> str:
    head = _LINE.format(
        title=f"{short(size)} entries", ours="latency_kv", theirs="dict"
    )
    lines = [
        _LINE.format(
            title=figure.title,
            ours=amount(figure.ours, figure.unit),
            theirs=amount(figure.theirs, figure.unit),
        ).rstrip()
        for figure in made
    ]
    return "\n".join(["", head, *lines])


def _giga(size: int) -> str:
    return f"{size / 1e9:.3g} GB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m latency_kv.bench.scale",
        description="Measure how each cost grows with the entries of a store, a dict's "
        "beside it.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "sizes",
        nargs="*",
        type=_size,
        metavar="SIZE",
        help="entries of a store, such as 10M; without any, "
        f"{', '.join(map(short, _SIZES))}",
    )
    add("--quick", action="store_true", help="up to 1M entries, once: seconds")
    add(
        "--huge-pages",
        action="store_true",
        help="measure gets and puts with huge pages of memory as well",
    )
    add(
        "--folder",
        type=Path,
        metavar="PATH",
        help="where checkpoints are written, and removed; without it, where the system "
        "has its temporary files",
    )
    add(
        "--json",
        type=Path,
        metavar="PATH",
        help="write all figures, for latency_kv.bench.reports",
    )
    return parser


def _epilog() -> str:
    largest = max(_SIZES)
    needs = _needs(largest, PROCESSES)
    ours, theirs = _giga(needs[True]), _giga(needs[False])
    disk = _giga(2 * largest * _ENTRY_BYTES_ON_DISK)
    return f"""\
All sizes take about 9 minutes.  {short(largest)} entries need {ours} of free memory,
then {theirs} for a dict of them, and {disk} of the disk.  What does not fit
here is told and left out.

Rows that begin with {HUGE} are of processes with
GLIBC_TUNABLES={TUNABLES}.

examples:
  %(prog)s --quick
  %(prog)s 1M 10M --json scale.json
"""


def _size(text: str) -> int:
    units = {"K": 1_000, "M": 1_000_000}
    unit = units.get(text[-1:].upper())
    size = int(text[:-1]) * unit if unit else int(text)
    if size < _LEAST or size % GROUP:
        raise argparse.ArgumentTypeError(
            f"{text} is not {_LEAST} or more, and a multiple of {GROUP}"
        )
    return size


if __name__ == "__main__":
    raise SystemExit(main())

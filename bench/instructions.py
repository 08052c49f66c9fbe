"""Instructions: what an operation of a hot path takes of them, beside what it took.

    python bench/instructions.py                   count, compare with what was kept
    python bench/instructions.py 'get, hit' ...    some operations by name
    python bench/instructions.py --profile NAME    and by function, one operation
    python bench/instructions.py --save            keep the counts, in instructions.json

valgrind's callgrind counts, so a busy machine counts the same as an idle one; what the
processor makes of them, its caches above all, is not in it.  A count is the
interpreter's share too.  Ends with 1 when an operation takes more than TOLERANCE above
what was kept, with 2 when nothing could be counted.  Counts of another interpreter or
compiler than the kept ones are printed and not judged.  Start with `compared`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import latency_kv
from latency_kv.core.reader import BUILD

HERE = Path(__file__).parent
KEPT = HERE / "instructions.json"
SCHEMA = 1

TOLERANCE = 0.005
"""Of a count.  A build counts the same to a tenth of an instruction, run after run.
All counts are under one secret of the hash: another one moves find by 1 per mille, find
of what is absent by 5, and puts that split pages by up to 11."""

REFERENCE = "dict.get"
"""Not ours: where it moved, this interpreter was built in another way."""

SECRET = 1
TOP = 25

INSTALL = "valgrind is missing: apt-get install valgrind, or your system's like of it"

Counts = Mapping[str, float]
"""Operation -> instructions of one."""


class CannotCountError(Exception):
    """Nothing could be counted; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The counts of a run, what they depend on, and their parts by function."""

    facts: Mapping[str, str]
    counts: Counts
    functions: Mapping[str, Counts]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Lines to print, and whether anything got dearer."""

    lines: tuple[str, ...]
    is_dearer: bool


def compared(
    kept_facts: Mapping[str, str],
    kept: Counts,
    facts: Mapping[str, str],
    counts: Counts,
) -> Verdict:
    """Hold counts against kept ones: what moved, or why that cannot be said."""
    others = [
        f"{name}: kept with {kept_facts.get(name)}, this is {facts.get(name)}"
        for name in sorted({*kept_facts, *facts})
        if kept_facts.get(name) != facts.get(name)
    ]
    if not others and _has_moved(kept, counts, REFERENCE):
        others = [f"another build of the interpreter: {_row(kept, counts, REFERENCE)}"]
    if others:
        rows = [_row(kept, counts, name) for name in counts]
        reason = "not judged: the kept counts are not of this interpreter and compiler"
        return Verdict((*rows, reason, *(f"  {other}" for other in others)), False)
    moved = [name for name in counts if _has_moved(kept, counts, name)]
    dearer = [name for name in moved if counts[name] > kept[name]]
    fresh = [name for name in counts if name not in kept]
    lines = [_row(kept, counts, name) for name in (*moved, *fresh)]
    lines.append(
        f"instructions: {len(counts)} operations counted, {len(dearer)} dearer and "
        f"{len(moved) - len(dearer)} cheaper, by more than "
        f"{TOLERANCE * 1000:g} per mille"
    )
    if moved or fresh:
        lines.append("  as it should be? python bench/instructions.py --save")
    return Verdict(tuple(lines), bool(dearer))


def _has_moved(kept: Counts, counts: Counts, name: str) -> bool:
    if name not in kept or name not in counts:
        return False
    return abs(counts[name] - kept[name]) > TOLERANCE * kept[name]


def _row(kept: Counts, counts: Counts, name: str) -> str:
    row = f"{name:26}{counts[name]:9.1f} instructions"
    if name not in kept:
        return f"{row}, not kept yet"
    return f"{row}, kept {kept[name]:9.1f}, x{counts[name] / kept[name]:.3f}"


def measure(names: Iterable[str] = (), secret: int = SECRET) -> Measured:
    """Count operations, all unless named, in a process under callgrind."""
    if shutil.which("valgrind") is None:
        raise CannotCountError(INSTALL)
    if BUILD != "release":
        raise CannotCountError(
            f"latency_kv is the {BUILD!r} build: counts are released"
        )
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HERE / "counted_loops.pyx", folder)
        _run(
            [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "counted_loops.pyx"],
            folder,
        )
        command = [
            *("valgrind", "--quiet", "--tool=callgrind"),
            "--callgrind-out-file=part",
            "--dump-before=latency_kv_mark",
            *(sys.executable, "-P", str(HERE / "counted.py")),
            *(folder, str(secret), *names),
        ]
        said = json.loads(_run(command, folder))
        return _measured(said["facts"], said["work"], Path(folder))


def _run(command: list[str], folder: str) -> str:
    """Run a command in a folder, with little in its environment that can differ."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", folder),
        "PYTHONPATH": str(Path(latency_kv.__file__).parents[1]),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CPATH": latency_kv.get_include(),
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise CannotCountError(said or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def _measured(
    facts: Mapping[str, str], work: list[tuple[str, int]], folder: Path
) -> Measured:
    """Divide what is between marks: by function, the medians of the tries."""
    tries: defaultdict[str, list[Counter[str]]] = defaultdict(list)
    for index in range(0, len(work), 2):
        name, count = work[index]
        # Each mark closes a part, and every second one is of work.
        once = cost_by_function(folder / f"part.{2 * index + 2}")
        twice = cost_by_function(folder / f"part.{2 * index + 4}")
        twice.subtract(once)
        tries[name].append(
            Counter({function: cost / count for function, cost in twice.items()})
        )
    counts = {}
    functions = {}
    for name, costs in tries.items():
        counts[name] = round(median(cost.total() for cost in costs), 2)
        functions[name] = {
            function: median(cost[function] for cost in costs)
            for function in {function for cost in costs for function in cost}
        }
    return Measured(facts, counts, functions)


def cost_by_function(part: Path) -> Counter[str]:
    """Read a part of callgrind's: function -> instructions, without what it calls.

    Names are written out once and numbered; the line behind `calls=` is the callee's.
    """
    costs: Counter[str] = Counter()
    names: dict[str, str] = {}
    function = ""
    is_call = False
    with part.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            named = re.match(r"c?fn=(\(\d+\))(?: (.*))?", line)
            if named:
                name = names.setdefault(named[1], named[2] or named[1])
                if line.startswith("fn="):
                    function = name
            elif line.startswith("calls="):
                is_call = True
            elif line[0] in "0123456789+-*":
                if not is_call:
                    costs[function] += int(line.split()[1])
                is_call = False
    return costs


def _profile(functions: Counts) -> Iterator[str]:
    ranked = sorted(functions.items(), key=lambda cost: -cost[1])
    for function, cost in ranked[:TOP]:
        if cost >= 0.1:
            yield f"{cost:9.1f}  {function}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="bench/instructions.py",
        description="Count the instructions of the hot paths, and compare.",
    )
    parser.add_argument("names", nargs="*", help="operations; all of them without")
    parser.add_argument("--save", action="store_true", help="keep all counts")
    parser.add_argument("--profile", metavar="NAME", help="one operation, by function")
    parser.add_argument(
        "--secret", type=int, default=SECRET, help="of the hash: see what is luck"
    )
    options = parser.parse_args(arguments)
    names = [options.profile] if options.profile else options.names
    if options.save and (names or options.secret != SECRET):
        parser.error("--save keeps all counts, under the secret that all are kept with")
    try:
        measured = measure(names, options.secret)
    except CannotCountError as error:
        print(error, file=sys.stderr)
        return 2
    if options.profile:
        print("\n".join(_profile(measured.functions[options.profile])))
        return 0
    if options.save:
        content = {
            "schema": SCHEMA,
            "facts": measured.facts,
            "counts": measured.counts,
        }
        KEPT.write_text(json.dumps(content, indent=2) + "\n", encoding="ascii")
    content = json.loads(KEPT.read_bytes())
    verdict = compared(
        content["facts"], content["counts"], measured.facts, measured.counts
    )
    print("\n".join(verdict.lines))
    return verdict.is_dearer


if __name__ == "__main__":
    sys.exit(main())

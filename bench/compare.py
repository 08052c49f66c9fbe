"""Compare: what the suites' times have become since the baseline was saved.

    python bench/compare.py                 run the suites, print what moved
    python bench/compare.py RUN.json        the same of a run that pytest saved
    python bench/compare.py --save          run them three times: a new baseline.json

Moved is what differs by more than it spreads, and by more than LEAST: the median of the
one is not between the quarters of the other.  Times never fail: a busy machine moves
them all, the other engines' too, which the last line tells.  On another machine or
interpreter than the baseline's nothing is run; instructions are compared there, by
instructions.py.  Start with `compared`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
BASELINE = HERE / "baseline.json"
SCHEMA = 1

RUNS = 3
"""Of a baseline: what one run sees is less than what differs from run to run."""

LEAST = 0.05
"""Of a time: what no two runs agree on anyhow, and instructions tell."""

OURS = "latency_kv"

UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))


@dataclass(frozen=True, slots=True)
class Time:
    """What an operation takes, in ns: the median, and a quarter below and above it."""

    engine: str
    median: float
    low: float
    high: float


Times = Mapping[str, Time]
"""Test -> its time."""


def machine() -> dict[str, str]:
    """Return what times can only be compared on."""
    # Comes with pytest-benchmark; it says nothing of its types.
    processor = import_module("cpuinfo").get_cpu_info()
    return {
        "processor": f"{processor.get('brand_raw')}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
    }


def times_of(run: Mapping[str, Any]) -> dict[str, Time]:
    """Read what pytest-benchmark wrote of a run."""
    times = {}
    for benchmark in run["benchmarks"]:
        extra = benchmark["extra_info"]
        scale = 1e9 / extra["operations"]
        file, _, test = benchmark["fullname"].partition("::")
        area = Path(file).stem.removeprefix("test_")
        stats = benchmark["stats"]
        times[f"{area}: {test.removeprefix('test_')}"] = Time(
            extra["engine"],
            *(round(stats[name] * scale, 3) for name in ("median", "q1", "q3")),
        )
    return times


def joined(runs: Sequence[Times]) -> dict[str, Time]:
    """Make a baseline of runs: medians of medians, and all that their quarters span."""
    return {
        test: Time(
            first.engine,
            median(run[test].median for run in runs),
            min(run[test].low for run in runs),
            max(run[test].high for run in runs),
        )
        for test, first in runs[0].items()
    }


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: saved on {there.get(name)}, this is {here.get(name)}"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]


def has_moved(was: Time, now: Time) -> bool:
    if abs(now.median - was.median) <= LEAST * was.median:
        return False
    return not was.low <= now.median <= was.high and not (
        now.low <= was.median <= now.high
    )


def compared(baseline: Times, run: Times) -> list[str]:
    """Say what moved, with both values and the ratio; then what came and went."""
    both = [test for test in baseline if test in run]
    moved = [test for test in both if has_moved(baseline[test], run[test])]
    lines = [_row(test, baseline[test], run[test]) for test in moved]
    lines += [f"{test}: not in the baseline" for test in run if test not in baseline]
    lines += [f"{test}: not measured" for test in baseline if test not in run]
    lines.append(f"times: {len(moved)} of {len(both)} moved by more than they spread")
    theirs = [
        run[test].median / baseline[test].median
        for test in both
        if baseline[test].engine != OURS
    ]
    if theirs:
        lines.append(
            f"  the other engines, which nobody changed: x{median(theirs):.2f} in the "
            "median; so much of it is the machine's"
        )
    return lines


def _row(test: str, was: Time, now: Time) -> str:
    ratio = now.median / was.median
    return f"{test:46} {_value(was):>28} -> {_value(now):>28}  x{ratio:.2f}"


def _value(time: Time) -> str:
    """A median and the quarters around it, in the unit that suits it."""
    scale, unit = next((pair for pair in UNITS if time.median >= pair[0]), UNITS[-1])
    middle, low, high = (ns / scale for ns in (time.median, time.low, time.high))
    return f"{middle:6.3g} ({low:.3g}..{high:.3g}) {unit}"


def measured() -> dict[str, Time]:
    """Run the suites."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.json")
        command = [sys.executable, "-P", "-m", "pytest", str(HERE), "--tb=short"]
        command += ["-p", "no:cacheprovider", f"--benchmark-json={path}"]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if done.returncode:
            sys.stdout.buffer.write(done.stdout)
            raise SystemExit(2)
        return times_of(json.loads(path.read_bytes()))


def save(times: Times, path: Path = BASELINE) -> None:
    content = {
        "schema": SCHEMA,
        "machine": machine(),
        "runs": RUNS,
        "times": {test: asdict(time) for test, time in times.items()},
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="ascii")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="bench/compare.py", description="Run the suites, and say what moved."
    )
    parser.add_argument("run", nargs="?", type=Path, help="of pytest --benchmark-json")
    parser.add_argument("--save", action="store_true", help="a new baseline, of 3 runs")
    options = parser.parse_args(arguments)
    if options.save:
        if options.run:
            parser.error("--save takes runs of its own")
        save(joined([measured() for _ in range(RUNS)]))
        print(f"times: {RUNS} runs are the baseline now, {BASELINE}")
        return 0
    if not BASELINE.exists():
        print("times: nothing to compare with, make baseline saves it")
        return 0
    saved = json.loads(BASELINE.read_bytes())
    if others := differences(machine(), saved["machine"]):
        print(
            "times: not compared, the baseline is not of this machine and interpreter"
        )
        print("\n".join(f"  {other}" for other in others))
        print("  make baseline saves one that is; instructions are compared even so")
        return 0
    run = times_of(json.loads(options.run.read_bytes())) if options.run else measured()
    baseline = {test: Time(**time) for test, time in saved["times"].items()}
    print("\n".join(compared(baseline, run)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Runner: the processes of a run, one after another, and what comes of them.

Tells `show` how far it is, in estimated seconds of work, and ends a process that is
still there when the run is broken off.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from latency_kv.bench.children import environment
from latency_kv.bench.workloads.manifest import Cell, Manifest
from latency_kv.bench.workloads.results import Results
from latency_kv.bench.workloads.table import WORKLOADS
from latency_kv.bench.workloads.weigh import LEAST_ENTRIES, weigh
from latency_kv.bench.workloads.worker import Task, turns_of

__all__ = ["Show", "results_of", "worked"]

Show = Callable[[float, float, str], None]
"""Hears of the work that is done, of all work, and what comes now."""

# What a turn takes on the machine of the first figures, roughly: it only moves a bar.
_TURN_S, _OUTSIDE_S, _ENTRY_S, _START_S = 0.06, 0.2, 2e-6, 0.5

_LAST_WORDS = 300


def results_of(manifest: Manifest, show: Show) -> Results:
    """Run every process of a manifest and weigh its engines."""
    results = Results(manifest.cells)
    weighings = _weighings(manifest)
    total = sum(map(_cost, manifest.tasks)) + sum(_weight(cell) for cell in weighings)
    done = 0.0
    for number, task in enumerate(manifest.tasks):
        owed = [cell for cell in manifest.cells if _is_of(cell, task)]
        at, step = done, _cost(task) / max(1, _turns(task))
        show(at, total, f"{task.shape}: filling")
        try:
            for event in worked(task):
                if event["event"] == "turn":
                    at = min(at + step, done + _cost(task))
                    name = f"{event['workload']}, {event['engine']}, {task.shape}"
                    show(at, total, name)
                results.take(event, task.shape, number)
        except ChildProcessError as error:
            results.broke(owed, str(error))
        done += _cost(task)
    for cell in weighings:
        show(done, total, f"memory, {cell.engine}, {cell.shape}")
        done += _weight(cell)
        if results.lacks(cell):
            continue
        try:
            memory = weigh(cell.engine, cell.shape)
        except subprocess.CalledProcessError:
            continue  # the process said why
        results.weighed(cell.engine, cell.shape, memory)
    return results


def worked(task: Task) -> Iterator[dict[str, Any]]:
    """Perform a task in a process of its own; ChildProcessError if it breaks off."""
    command = [sys.executable, "-P", "-m", "latency_kv.bench.workloads.worker"]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [*command, json.dumps(task._asdict())],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield json.loads(line)
        except BaseException:
            process.terminate()
            raise
        if process.wait():
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip() or "no word"
            words = said.splitlines()[-1][:_LAST_WORDS]
            ended = f"its process ended with {process.returncode}"
            raise ChildProcessError(f"{ended}: {words}")


def _weighings(manifest: Manifest) -> list[Cell]:
    """Return the stores that are weighed: those that are filled and large enough."""
    return [
        cell
        for cell in manifest.cells
        if cell.workload == "fillrandom" and cell.shape.entries >= LEAST_ENTRIES
    ]


def _is_of(cell: Cell, task: Task) -> bool:
    is_asked = cell.engine in task.engines and cell.workload in task.workloads
    return is_asked and cell.shape == task.shape


def _turns(task: Task) -> int:
    works = [work for work in WORKLOADS if work.name in task.workloads]
    return sum(
        sum(turns_of(work, task)) * len(set(work.engines) & set(task.engines))
        for work in works
    )


def _cost(task: Task) -> float:
    """Return about how many seconds a task takes."""
    entries = task.shape.entries
    spent = _START_S + entries * _ENTRY_S * (1 + len(task.engines))
    for work in WORKLOADS:
        if work.name in task.workloads:
            turns = sum(turns_of(work, task))
            each = _OUTSIDE_S if work.outside else _TURN_S
            each += entries * _ENTRY_S if work.whole else 0
            spent += turns * each * len(set(work.engines) & set(task.engines))
    return spent


def _weight(cell: Cell) -> float:
    return _START_S + cell.shape.entries * 2 * _ENTRY_S

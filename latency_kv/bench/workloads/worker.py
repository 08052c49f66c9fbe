"""Worker: one process of a run, in which all engines of one shape take turns.

    python -m latency_kv.bench.workloads.worker TASK

TASK is JSON, as `Task` has it; every event is a line of JSON on stdout.  A process has
addresses and hash secrets of its own, so a run has several, and what differs between
them is in the spread.  Within one:

    * all engines do a workload before the next one begins; who is first changes with
      each lap, and in a lap all are asked for the same;
    * a turn begins with an untimed part of itself, so that the caches hold this engine
      and not the one before; the collector, on all the time, starts each lap from zero;
    * single calls are timed in laps of their own.

Start at `perform`.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage
from typing import Any, NamedTuple

from latency_kv.bench.workloads.content import Content, Lap, Shape
from latency_kv.bench.workloads.engines import Spans, WrongAnswerError
from latency_kv.bench.workloads.latencies import histogram, percentiles, slices
from latency_kv.bench.workloads.seat import Seat, Watched
from latency_kv.bench.workloads.table import ENGINES, WORKLOADS, Workload

__all__ = ["MANY", "Task", "perform", "turns_of"]

SMALL = 100_000
"""Entries up to which every process times the single calls of whole stores."""

MANY = 2_000_000
"""Entries above which a shape has one process, since each takes most of an hour."""

_WARM_PART = 4

_IN_MEMORY = Path("/dev/shm")

Event = dict[str, Any]


class Task(NamedTuple):
    """What one process measures.

    laps: counted turns of each engine.
    number: of the process, from 0; the first one also times the calls of large stores.
    """

    shape: Shape
    workloads: list[str]
    engines: list[str]
    calls: int
    laps: int
    number: int


class _Place:
    """One engine in one process, for workloads within and outside of stores."""

    def __init__(self, name: str, seat: Seat | None) -> None:
        self.name = name
        self._seat = seat

    def turn(self, work: Workload, lap: Lap, spans: Spans | None) -> tuple[int, int]:
        if work.outside is not None:
            return work.outside(self.name, lap, spans)
        assert work.turn is not None and self._seat is not None
        return work.turn(self._seat, lap, spans)

    def leave(self) -> None:
        if self._seat is not None:
            self._seat.leave()


def perform(task: Task) -> Iterator[Event]:
    """Measure, and tell of every turn, result and failure as it happens."""
    works = [work for work in WORKLOADS if work.name in task.workloads]
    content = Content(task.shape)
    watched = Watched(content) if any(work.turn for work in works) else None
    with tempfile.TemporaryDirectory(dir=_memory(task)) as folder:
        places = {}
        for name in task.engines:
            seat = None
            if watched is not None and name in ENGINES:
                seat = Seat(ENGINES[name], content, watched, Path(folder))
            places[name] = _Place(name, seat)
        try:
            for work in works:
                yield from _Workloop(task, work, content, places).run()
        finally:
            for place in places.values():
                place.leave()


def turns_of(work: Workload, task: Task) -> tuple[int, int]:
    """Return how many laps are counted, and in how many single calls are timed."""
    if work.pauses == "entries":
        return 0, 1
    is_long = work.whole and task.shape.entries > SMALL
    return task.laps, int(not is_long or task.number == 0)


class _Workloop:
    """One workload in one process."""

    def __init__(
        self, task: Task, work: Workload, content: Content, places: dict[str, _Place]
    ) -> None:
        self._task = task
        self._work = work
        self._content = content
        self._places = {n: places[n] for n in task.engines if n in work.engines}
        self._laps: dict[str, list[tuple[int, int]]] = {n: [] for n in self._places}
        self._spans: dict[str, Spans] = {}

    def run(self) -> Iterator[Event]:
        counted, timed = turns_of(self._work, self._task)
        for number in range(counted + timed):
            gc.collect()
            yield from self._lap(number, is_timed=number >= counted)
        for name in list(self._places):
            yield self._result(name)

    def _lap(self, number: int, *, is_timed: bool) -> Iterator[Event]:
        task = self._task
        lap = Lap(self._content, 100 * task.number + number, task.calls)
        warm = Lap(self._content, -1 - lap.number, max(1, task.calls // _WARM_PART))
        names = list(self._places)
        first = (number + task.number) % max(1, len(names))
        for name in names[first:] + names[:first]:
            place = self._places[name]
            spans: Spans | None = array("q") if is_timed else None
            try:
                if not self._work.whole and self._work.outside is None:
                    place.turn(self._work, warm, None)
                result = place.turn(self._work, lap, spans)
            except Exception as error:  # noqa: BLE001, a peer fails in its own way
                place.leave()
                del self._places[name]
                yield self._failure(name, error)
                continue
            if spans is None:
                self._laps[name].append(result)
            else:
                self._spans[name] = spans
                if not self._laps[name] and self._work.pauses == "entries":
                    self._laps[name].append(result)
            yield {"event": "turn", "workload": self._work.name, "engine": name}

    def _failure(self, name: str, error: Exception) -> Event:
        if isinstance(error, ImportError):
            reason = str(error)
        elif isinstance(error, WrongAnswerError):
            reason = f"wrong: {error}"
        else:
            reason = f"{type(error).__name__}: {error}"
        is_absent = isinstance(error, ImportError)
        told = {"workload": self._work.name, "engine": name, "reason": reason}
        return {"event": "missing", "is_absent": is_absent, **told}

    def _result(self, name: str) -> Event:
        told: Event = {"workload": self._work.name, "engine": name}
        told |= {"event": "result", "laps": self._laps[name]}
        spans = self._spans.get(name)
        if spans:
            told["percentiles"] = percentiles(spans)
            told["histogram"] = list(histogram(spans).items())
            if self._work.pauses:
                told["points"] = slices(spans, self._work.pauses)
        return told


def _memory(task: Task) -> Path | None:
    """Return a file system in memory with room for the engines that keep files."""
    entries, key_bytes, value_bytes = task.shape
    need = 16 * entries * (key_bytes + value_bytes + 100)
    has_room = _IN_MEMORY.is_dir() and disk_usage(_IN_MEMORY).free > need
    return _IN_MEMORY if has_room else None


def _main(text: str) -> None:
    """Perform a task and print its events; SIGTERM ends it in good order."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    content = json.loads(text)
    task = Task(**{**content, "shape": Shape(*content["shape"])})
    for event in perform(task):
        print(json.dumps(event), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])

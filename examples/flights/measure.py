"""Measure: one operator over the whole stream, each event timed on its own.

A latency is the time from before to after one call of `observe` from Python, the
opening of windows included. It contains the two readings of the clock, which
`timer_cost` tells. Everything else, sampling the store and drawing the progress bar,
happens between events, and so do the pauses of checkpoints, which are timed apart. The garbage collector runs as it does for everybody, but what
was alive before is set aside: a year of flights in memory is not the operator's, and
walking it in the middle of one event would take tens of milliseconds.

Knows neither file nor terminal.  Start at `measure`.
"""

import gc
import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import perf_counter_ns
from typing import NamedTuple

from flights.checkpoints import Checkpoints
from flights.data import Flight
from flights.windows import Operator, RouteDelays

# Fine enough for a curve over a year, and rare enough to cost nothing.
SAMPLE_EVENTS = 1_000


class Size(NamedTuple):
    """What the store held when the event at `at` had been counted."""

    at: int
    entries: int
    content: int  # bytes of keys and values
    memory: int  # bytes taken from the system


class Answer(NamedTuple):
    """The worst routes of the day before `window`."""

    window: int
    worst: tuple[RouteDelays, ...]


@dataclass(slots=True)
class Run:
    """What one operator did and answered."""

    name: str
    operator: Operator
    latencies: "array[int]" = field(default_factory=lambda: array("q"))  # nanoseconds
    sizes: list[Size] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    weeks_hash: int = 0  # of every route's week in turn; comparable within one process
    interruptions: int = 0  # how often another process was given the processor

    @property
    def events_per_second(self) -> float:
        """How many events fit into a second of the operator's own time."""
        return len(self.latencies) / (sum(self.latencies) / 1e9)

    def percentiles(self, *fractions: float) -> list[int]:
        """Return the latencies that these fractions of the events do not exceed."""
        return percentiles(self.latencies, *fractions)

    def latencies_within(self, spans: Iterable[tuple[int, int]]) -> "array[int]":
        """Return the latencies of the events from `start` to `stop` of any span."""
        within = bytearray(len(self.latencies))
        for start, stop in spans:
            within[start:stop] = bytes([1]) * (stop - start)
        return array("q", compress(self.latencies, within))

    def agrees_with(self, other: "Run") -> bool:
        """Whether both gave the same answers and keep the same state, byte for byte."""
        return (
            self.weeks_hash == other.weeks_hash
            and self.answers == other.answers
            and list(self.operator.store.items()) == list(other.operator.store.items())
        )


def measure(
    name: str,
    operator: Operator,
    flights: Iterable[Flight],
    progress: Callable[[int], object] = lambda events: None,
    checkpoints: Checkpoints | None = None,
) -> Run:
    """Feed `flights` to a new operator, taking checkpoints if there are to be any.

    `progress` is called with the events of each step.
    """
    run = Run(name, operator)
    gc.collect()
    gc.freeze()
    interrupted = _interruptions()
    try:
        _feed(run, flights, progress, checkpoints)
    finally:
        gc.unfreeze()
    run.interruptions = _interruptions() - interrupted
    if checkpoints is not None:
        checkpoints.finish(operator)
    return run


def _feed(
    run: Run,
    flights: Iterable[Flight],
    progress: Callable[[int], object],
    checkpoints: Checkpoints | None,
) -> None:
    operator = run.operator
    observe = operator.observe
    open_window = operator.open_window
    since_sample = 0
    at = 0
    for at, route, carrier, delay in flights:
        started = perf_counter_ns()
        week = observe(at, route, carrier, delay)
        run.latencies.append(perf_counter_ns() - started)
        run.weeks_hash = hash((run.weeks_hash, week))
        if operator.open_window != open_window:
            open_window = operator.open_window
            run.answers.append(Answer(open_window, operator.worst_routes))
        if checkpoints is not None:
            checkpoints.observed(operator)
        since_sample += 1
        if since_sample == SAMPLE_EVENTS:
            run.sizes.append(_size(operator, at))
            progress(since_sample)
            since_sample = 0
    run.sizes.append(_size(operator, at))
    progress(since_sample)


def percentiles(values: Sequence[int], *fractions: float) -> list[int]:
    """Return the values that these fractions of all do not exceed; 0 if there are none.

    >>> percentiles([3, 1, 2, 4], 0.5, 1)
    [2, 4]
    """
    ordered = sorted(values) or [0]
    return [ordered[math.ceil(each * len(ordered)) - 1] for each in fractions]


def timer_cost() -> int:
    """Return the nanoseconds between two readings of the clock with nothing between."""
    return int(median(-perf_counter_ns() + perf_counter_ns() for _ in range(10_000)))


def _interruptions() -> int:
    return getrusage(RUSAGE_SELF).ru_nivcsw


def _size(operator: Operator, at: int) -> Size:
    store = operator.store
    return Size(at, len(store), store.size_bytes(), store.memory_bytes())

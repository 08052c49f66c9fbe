"""Checkpoints: the operator's state made durable every so many events, and the cost.

The operator itself does two things, between two events: it takes a snapshot and hands
it to a writer in the background. How long that takes is the pause. All else, encoding
and waiting for the disk, happens in the writer's thread while the operator goes on. If
the writer is still busy with an older one, the snapshot waits, and a newer one may take
its place: then it is superseded, and never written.

Knows neither processes nor terminal.  Start at `Checkpoints.observed`, then
`restored_store`.
"""

import gc
import pickle
from array import array
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from time import perf_counter_ns
from typing import Any

from flights.data import Flight
from flights.windows import Operator
from latency_kv import CheckpointDirectory, InMemoryStore, StateSnapshot


def restored_store(directory: CheckpointDirectory) -> InMemoryStore:
    """Return a store with the newest checkpoint, an empty one if there is none."""
    snapshot = directory.latest()
    if snapshot is None:
        return InMemoryStore()
    return InMemoryStore.from_snapshot(snapshot)


class Checkpoints:
    """Takes checkpoints of one operator, between its events.

    `submit` is that of a background writer; `durable` is called in its thread with the
    position of each checkpoint that has become durable.
    """

    def __init__(
        self,
        submit: Callable[[StateSnapshot], Future[Any]],
        every: int,
        durable: Callable[[int], object] = lambda position: None,
    ) -> None:
        self.every = every
        self.pauses: array[int] = array("q")  # nanoseconds, of each that was taken
        # Of each that was written: its position, and the operator's when it was durable.
        self.writes: list[tuple[int, int]] = []
        self.taken = 0  # the position of the newest one
        self._position = 0
        self._submit = submit
        self._durable = durable

    def observed(self, operator: Operator) -> None:
        """Take a checkpoint if the events so far are a multiple of `every`."""
        self._position = operator.position
        if self._position % self.every == 0:
            self._take(operator)

    def finish(self, operator: Operator) -> None:
        """Take a last checkpoint and wait for it; raises what made it fail."""
        self._take(operator).result()

    def _take(self, operator: Operator) -> Future[Any]:
        started = perf_counter_ns()
        future = self._submit(operator.store.snapshot())
        self.pauses.append(perf_counter_ns() - started)
        self.taken = operator.position
        future.add_done_callback(partial(self._done, self.taken))
        return future

    def _done(self, position: int, future: Future[Any]) -> None:
        # One that failed was logged, and the next one makes up for it.
        if not future.cancelled() and future.exception() is None:
            self.writes.append((position, self._position))
            self._durable(position)


def pickle_pauses(
    operator: Operator,
    flights: Iterable[Flight],
    every: int,
    progress: Callable[[int], object] = lambda events: None,
) -> "array[int]":
    """Return what pickling an equal dict takes, in nanoseconds, at the same moments.

    The operator is a new one. The dict is there already, as it would be if the operator
    kept its state in one, and the writer would get what is pickled.
    """
    pauses = array("q")
    gc.collect()
    gc.freeze()
    try:
        for flight in flights:
            operator.observe(*flight)
            if operator.position % every == 0:
                state = dict(operator.store.items())
                started = perf_counter_ns()
                pickle.dumps(state)
                pauses.append(perf_counter_ns() - started)
                progress(every)
    finally:
        gc.unfreeze()
    progress(operator.position % every)
    return pauses

"""Recovery: kills the operator again and again, and looks at what becomes of it.

Each life is a process of its own (life.py) and goes on from the last checkpoint. All but
the last are ended by SIGKILL, at an event drawn at random once a checkpoint was
acknowledged in that life; mostly another one is being written then. The stream of a life
that is to be killed ends early, so that it cannot be over before its killer comes, and
each life leaves a checkpoint of its own, so that the last one comes to the end, on
machines of any speed.

A process that is killed leaves to the system what it has written. A power cut does not;
that is for the tests of CheckpointDirectory.

Knows no terminal.  Start at `recover`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

from flights.checkpoints import restored_store
from flights.data import Flight
from flights.life import (
    CHECKPOINTS,
    NOWHERE,
    STREAM,
    Trace,
    open_trace,
    operator_class,
)
from flights.stream import write_stream
from flights.windows import Operator
from latency_kv import CheckpointDirectory, InMemoryStore

# As long as the compiled operator takes for some hundred events.
_POLL_S = 0.001


class RecoveryError(Exception):
    """The operator did not come back as what it was."""


class Life(NamedTuple):
    """One life of the operator, in positions of the stream."""

    restored: int  # the checkpoint that it went on from
    durable: int  # the last checkpoint that was acknowledged in it
    taken: int  # the last one that was begun
    reached: int  # the events that had been counted when it ended
    left: int  # the checkpoint that was found when it had ended


def recover(
    folder: Path,
    flights: Sequence[Flight],
    *,
    operator: str,
    every: int,
    kills: int,
    random: Random,
    progress: Callable[[int], object] = lambda reached: None,
) -> tuple[list[Life], Operator]:
    """Kill an operator `kills` times; all its lives, and the operator in the end.

    What each life leaves is compared with an operator that was never interrupted, at the
    same event: later on, windows in which they differ may have been forgotten.

    `folder` is a new one, or empty; `operator` is one of life.OPERATORS. `progress` is
    called now and then with the position reached. Raises RecoveryError if a life ends by
    itself, if an acknowledged checkpoint is lost, or if the comparison fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_stream(folder / STREAM, flights)
    trace = open_trace(folder, new=True)
    directory = CheckpointDirectory(folder / CHECKPOINTS)
    make_operator = operator_class(operator)
    recovered = make_operator(InMemoryStore())
    uninterrupted = make_operator(InMemoryStore())
    lives: list[Life] = []
    for number in range(1, kills + 2):
        # Half of the stream for the first life, and a part of the other for each.
        stop = len(flights) * (kills + 1 + number) // (2 * kills + 2)
        trace.restored = trace.durable = trace.taken = trace.reached = NOWHERE
        with _begin(folder, operator, every, stop) as process:
            try:
                if number <= kills:
                    _wait(process, trace, "durable", 0, progress)
                    ahead = random.randint(0, len(flights) // (kills + 1))
                    aim = min(trace.reached + ahead, stop)
                    _wait(process, trace, "reached", aim, progress)
                else:
                    _wait(process, trace, "durable", stop, progress)
                    process.communicate()
            finally:
                process.kill()
        if number > kills and process.returncode != 0:
            raise _ended(process, trace)
        recovered = make_operator(restored_store(directory))
        marks = (trace.restored, trace.durable, trace.taken, trace.reached)
        lives.append(Life(*marks, left=recovered.position))
        check_lives(lives)
        for flight in flights[uninterrupted.position : recovered.position]:
            uninterrupted.observe(*flight)
        check_recovered(recovered, uninterrupted)
    return lives, recovered


def check_lives(lives: Sequence[Life]) -> None:
    """Refuse lives that lost what they were promised, or did not go on from the last."""
    for life in lives:
        if not life.durable <= life.left <= life.reached:
            raise RecoveryError(
                f"a life that reached event {life.reached:,} left a checkpoint of "
                f"{life.left:,}, but {life.durable:,} was acknowledged as durable"
            )
    for earlier, later in pairwise(lives):
        if later.restored != earlier.left:
            raise RecoveryError(
                f"a life went on from event {later.restored:,}, but the last checkpoint "
                f"was that of {earlier.left:,}"
            )


def check_recovered(recovered: Operator, uninterrupted: Operator) -> None:
    """Raise RecoveryError unless both keep the same state and give the same answers."""
    found, expected = dict(recovered.store.items()), dict(uninterrupted.store.items())
    differing = [
        key
        for key in sorted({**found, **expected})
        if found.get(key) != expected.get(key)
    ]
    at = f"at event {recovered.position:,}"
    if differing:
        key = differing[0]
        raise RecoveryError(
            f"{at}, {len(differing):,} entries differ from those of an uninterrupted run; "
            f"the first: {key!r} is {found.get(key)!r}, not {expected.get(key)!r}"
        )
    for answer in ("open_window", "worst_routes"):
        given, right = getattr(recovered, answer), getattr(uninterrupted, answer)
        if given != right:
            raise RecoveryError(
                f"{at}, the table is that of an uninterrupted run, but {answer} is "
                f"{given!r}, not {right!r}"
            )


def _begin(
    folder: Path, operator: str, every: int, stop: int
) -> "subprocess.Popen[bytes]":
    """Begin a life in a process of its own, which sees the modules that we see."""
    command = [sys.executable, "-P", "-m", "flights.life", str(folder)]
    command += ["--operator", operator, "--every", f"{every}", "--stop", f"{stop}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)


def _wait(
    process: "subprocess.Popen[bytes]",
    trace: Trace,
    mark: str,
    position: int,
    progress: Callable[[int], object],
) -> None:
    """Wait until a mark of the trace is at `position` or behind it."""
    while getattr(trace, mark) < position:
        if process.poll() is not None:
            raise _ended(process, trace)
        progress(trace.reached)
        time.sleep(_POLL_S)


def _ended(process: "subprocess.Popen[bytes]", trace: Trace) -> RecoveryError:
    return RecoveryError(
        f"a life ended by itself after event {trace.reached:,}, "
        f"with exit status {process.returncode}"
    )

"""Life: one life of the operator, from the last checkpoint to its end.

    python -m flights.life FOLDER --operator plain --every 1000 --stop 50000

goes on from the newest checkpoint in FOLDER, or begins if there is none, and counts
events of the stream as fast as it can while checkpoints are written in the background.
Where it is told to stop it takes a last one and waits, as for a stream that has no more
events yet, until it is killed or its standard input ends.

    stream         the events; see stream.py
    checkpoints    those of all lives
    trace          how far this life has come, in memory that outlives its process

Knows nothing of kills.  Start at `live`; recovery.py starts lives and ends them.
"""

import ctypes
import importlib
import logging
import mmap
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path

from flights.checkpoints import Checkpoints, restored_store
from flights.stream import read_stream
from flights.windows import Operator
from latency_kv import CheckpointDirectory, InMemoryStore

STREAM = "stream"
CHECKPOINTS = "checkpoints"
TRACE = "trace"

OPERATORS = ("compiled", "plain")

# A position that has not been reached.
NOWHERE = -1

# Beside an operator that never waits, the writer asks for the GIL at each call to the
# system, and gets it after so long; with Python's own 5 ms a life could be over first.
_SWITCH_S = 0.0005


class Trace(ctypes.Structure):
    """Positions in the stream, in a mapped file; each is set in one piece."""

    restored: int  # that of the checkpoint that the life went on from, 0 if none
    durable: int  # that of the last checkpoint of this life that was acknowledged
    taken: int  # that of the last one that was handed to the writer
    reached: int  # that behind the last event that was counted

    _fields_ = [
        (mark, ctypes.c_int64) for mark in ("restored", "durable", "taken", "reached")
    ]


def operator_class(name: str) -> Callable[[InMemoryStore], Operator]:
    """Return the operator of a module that OPERATORS names."""
    operator: Callable[[InMemoryStore], Operator]
    operator = importlib.import_module(f"flights.{name}").DelayOperator
    return operator


def open_trace(folder: Path, *, new: bool = False) -> Trace:
    """Map the trace in `folder`, which the runner makes and its lives write."""
    size = ctypes.sizeof(Trace)
    with (folder / TRACE).open("x+b" if new else "r+b") as file:
        file.truncate(size)
        return Trace.from_buffer(mmap.mmap(file.fileno(), size))


def live(
    folder: Path,
    make_operator: Callable[[InMemoryStore], Operator],
    every: int,
    stop: int,
    wait: Callable[[], object],
) -> None:
    """Go on up to the event `stop`, take a last checkpoint, and wait."""
    trace = open_trace(folder)

    def durable(position: int) -> None:
        trace.durable = position

    directory = CheckpointDirectory(folder / CHECKPOINTS)
    operator = make_operator(restored_store(directory))
    trace.restored = trace.reached = operator.position
    with directory.background() as writer:
        checkpoints = Checkpoints(writer.submit, every, durable)
        for flight in read_stream(folder / STREAM, operator.position, stop):
            operator.observe(*flight)
            trace.reached += 1
            checkpoints.observed(operator)
            trace.taken = checkpoints.taken
        checkpoints.finish(operator)
        trace.taken = checkpoints.taken
        wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Live as the command line says."""
    parser = ArgumentParser("python -m flights.life", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--operator", choices=OPERATORS, required=True)
    parser.add_argument("--every", type=int, required=True)
    parser.add_argument("--stop", type=int, required=True)
    options = parser.parse_args(arguments)
    operator = operator_class(options.operator)
    sys.setswitchinterval(_SWITCH_S)
    live(options.folder, operator, options.every, options.stop, sys.stdin.read)


if __name__ == "__main__":
    # It counts as fast as it can: of course the writer falls behind.
    logging.getLogger("latency_kv.checkpoints").setLevel(logging.ERROR)
    main()

"""Kills: forked writers that are ended by kill -9 at random moments, again and again.

Each child writes and acknowledges, by a number through a pipe, what it was told is
durable; after each kill `check` compares what is there with what was acknowledged. Runs
in a fresh interpreter (see fresh.py), so that a fork is cheap and copies no thread.
Start at `kill_often`.
"""

import contextlib
import gc
import os
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NoReturn, TypeAlias

Acknowledge: TypeAlias = Callable[[int], None]

# From before the first call of a child to some writes later.
LONGEST_LIFE_S = 0.008

# On however slow a machine.
PATIENCE_S = 60.0

_NUMBER = struct.Struct("<q")

# Of tmpfs, where no kill waits for a disk; else where temporary files are.
_MEMORY = Path("/dev/shm")


@contextlib.contextmanager
def quick_folder() -> Iterator[Path]:
    """An empty folder, in memory where the system has such a place."""
    folder = tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


class Child:
    """A forked process that writes until it is killed."""

    def __init__(self, write: Callable[[Acknowledge], None]) -> None:
        self.pipe, its_pipe = os.pipe()
        self.process = os.fork()
        if not self.process:
            os.close(self.pipe)
            _live(write, its_pipe)
        os.close(its_pipe)

    def wait_for_word(self) -> None:
        """Wait until it has acknowledged something, or has ended."""
        select.select([self.pipe], [], [], PATIENCE_S)

    def end(self) -> None:
        """Begin to end it, unless it ended."""
        os.kill(self.process, signal.SIGKILL)

    def kill(self) -> list[int]:
        """End it, and return what it acknowledged."""
        self.end()
        _, status = os.waitpid(self.process, 0)
        with open(self.pipe, "rb") as pipe:
            numbers = pipe.read()
        if os.WIFEXITED(status):
            raise AssertionError(f"a writer ended by itself, with {status}: see above")
        whole = len(numbers) // _NUMBER.size * _NUMBER.size
        return [number for (number,) in _NUMBER.iter_unpack(numbers[:whole])]


def kill_often(
    writers: list[Callable[[Acknowledge], None]],
    check: Callable[[list[list[int]]], None],
    kills: int,
    seed: int,
    *,
    longest_life_s: float = LONGEST_LIFE_S,
) -> int:
    """Fork all writers and kill them, `kills` times; how much was acknowledged.

    A writer is a function that does not return; check is called after each kill with
    what each of them acknowledged in this life.
    """
    random = Random(seed)
    gc.collect()
    gc.freeze()
    count = 0
    for number in range(kills):
        children = [Child(write) for write in writers]
        time.sleep(random.uniform(0, longest_life_s))
        for child in children:
            child.end()
        acknowledged = [child.kill() for child in children]
        count += sum(map(len, acknowledged))
        try:
            check(acknowledged)
        except BaseException:
            print(f"after kill {number}, acknowledged {acknowledged}")
            raise
    return count


def _live(write: Callable[[Acknowledge], None], pipe: int) -> NoReturn:
    try:
        write(lambda number: _tell(pipe, number))
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def _tell(pipe: int, number: int) -> None:
    os.write(pipe, _NUMBER.pack(number))

"""Lives: writers of checkpoints that are killed or lose their power, and what is left.

Each runs in a fresh interpreter: test_kills.py and test_power.py call them. Start at
`Checked.check`.
"""

import functools
import itertools
import os
import time
from pathlib import Path
from random import Random

# A write imports it, and each forked life would again.
import filelock  # noqa: F401

from kills import Acknowledge, kill_often, quick_folder
from latency_kv import CheckpointDirectory, InMemoryStore, StateSnapshot
from power import cut_and_lose, cut_on_each_mount

# Retention at work, and the fewest files that show it.
KEEP = 2

# From one page to what takes a while to write.
LARGEST_VALUE = 200_000


def snapshot_of(number: int, random: Random) -> StateSnapshot:
    """A snapshot that knows which it is."""
    value = random.randbytes(random.randrange(LARGEST_VALUE))
    return InMemoryStore({b"number": b"%d" % number, b"value": value}).snapshot()


def write_forever(folder: Path, acknowledge: Acknowledge) -> None:
    """Write checkpoints that know the generation that they will be, if alone."""
    directory = CheckpointDirectory(folder, KEEP)
    random = Random(os.getpid())
    while True:
        infos = directory.list()
        number = infos[0].generation + 1 if infos else 1
        acknowledge(directory.write(snapshot_of(number, random)).generation)


def write_until_cut(folder: Path, acknowledge: Acknowledge) -> None:
    """The same, and wait for the end once the disk is gone."""
    try:
        write_forever(folder, acknowledge)
    except OSError:
        while True:
            time.sleep(1)


def write_unsynced(folder: Path, acknowledge: Acknowledge) -> None:
    """The same, by a protocol without any sync."""
    os.fsync = lambda descriptor: None  # type: ignore[assignment]
    write_until_cut(folder, acknowledge)


class Checked:
    """A folder of checkpoints, and the last that was acknowledged in any life."""

    def __init__(self, folder: Path, is_shared: bool = False) -> None:
        self.folder = folder
        self.is_shared = is_shared
        self.acknowledged = 0
        self.unpruned = 0

    def check(self, acknowledged: list[list[int]]) -> None:
        """What is acknowledged is there, and all that is there is whole."""
        assert all(some == sorted(some) for some in acknowledged)
        self.acknowledged = max(self.acknowledged, *itertools.chain(*acknowledged), 0)
        directory = CheckpointDirectory(self.folder, KEEP)
        # A mapped file would keep a failed test's disk from being unmounted.
        newest = directory.latest(mmap=False)
        assert not directory.skipped, directory.skipped
        infos = directory.list()
        if newest is None:
            assert not self.acknowledged, f"lost {self.acknowledged}"
            return
        assert infos[0].generation >= self.acknowledged, f"lost {self.acknowledged}"
        if not self.is_shared:
            assert newest[b"number"] == b"%d" % infos[0].generation

    def check_all(self, acknowledged: list[list[int]]) -> None:
        """After a kill, which loses nothing of the system's, there is little too much."""
        self.check(acknowledged)
        # Each kill may come between a write and its pruning.
        self.unpruned = len(acknowledged) + (0 if any(acknowledged) else self.unpruned)
        generations = CheckpointDirectory(self.folder).list()
        assert len(generations) <= KEEP + self.unpruned, "the next write prunes them"
        assert len(self.leftovers()) <= 1, "the next write sweeps them"

    def leftovers(self) -> list[Path]:
        return list(self.folder.glob(".*.tmp"))

    def check_next_write(self) -> None:
        directory = CheckpointDirectory(self.folder, KEEP)
        info = directory.write(InMemoryStore({b"last": b""}).snapshot())
        assert info.generation > self.acknowledged
        assert directory.latest() == {b"last": b""}
        assert len(directory.list()) == KEEP
        assert not self.leftovers()


def kill_checkpoints(kills: str, writers: str, seed: str) -> None:
    """Kill that many writers of one folder together, again and again."""
    count = int(writers)
    with quick_folder() as folder:
        checked = Checked(folder, is_shared=count > 1)
        write = functools.partial(write_forever, folder)
        written = kill_often([write] * count, checked.check_all, int(kills), int(seed))
        assert written, "every writer was killed before it acknowledged anything"
        checked.check_next_write()
        print(f"{written} checkpoints acknowledged")


def cut_checkpoints(cuts: str, seed: str) -> None:
    """Cut the power of writers."""
    cut_on_each_mount(int(cuts), int(seed), write_until_cut, Checked)


def cut_unsynced_checkpoints(cuts: str, seed: str) -> None:
    """Cut the power of writers that never sync."""

    def check(folder: Path, acknowledged: list[int]) -> None:
        Checked(folder).check([acknowledged])

    cut_and_lose(int(cuts), int(seed), write_unsynced, check)

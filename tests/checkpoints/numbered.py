"""Numbered: checkpoints that are told apart by a number, that of their generation.

Start at `fill`.
"""

import os
from pathlib import Path

import pytest

from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.checkpoints import CheckpointDirectory, CheckpointInfo

# A lock that is not free is not waited for in these tests.
NOT_LONG_S = 0.05

both = pytest.mark.parametrize("mmap", [True, False], ids=["mmap", "memory"])


def snapshot_of(number: int) -> StateSnapshot:
    return InMemoryStore({b"number": b"%d" % number}).snapshot()


def number_of(snapshot: StateSnapshot | None) -> int | None:
    return None if snapshot is None else int(snapshot[b"number"])


def fill(directory: CheckpointDirectory, count: int) -> list[CheckpointInfo]:
    """Write so many checkpoints, each of its generation's number; newest first."""
    for number in range(1, count + 1):
        assert directory.write(snapshot_of(number)).generation == number
    return directory.list()


def generations(infos: list[CheckpointInfo]) -> list[int]:
    return [info.generation for info in infos]


def path_of(folder: Path, generation: int) -> Path:
    return folder / f"checkpoint-{generation:020}.lkv"


def names(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name != ".lock")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def become_link(path: Path) -> None:
    """To a sound image, which is none of this folder's all the same."""
    os.rename(path, path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()

"""Source: a snapshot from a file or a folder of checkpoints, or what is wrong with it.

Reads only: nothing on disk is made or changed, not even a lock.  Start at `opened`.
"""

import logging
from pathlib import Path
from typing import NamedTuple

from latency_kv import StateSnapshot
from latency_kv.checkpoints.directory import CheckpointDirectory
from latency_kv.checkpoints.records import SkippedCheckpoint
from latency_kv.cli.screen import fail, note, working
from latency_kv.errors import (
    SnapshotCorruptError,
    SnapshotError,
    SnapshotVersionError,
)

# A header has the checksum of all the rest: files with equal ones are the same.
_HEADER_SIZE = 128

# What a folder skips is told on the screen, and once.
logging.getLogger("latency_kv.checkpoints").addHandler(logging.NullHandler())


class Source(NamedTuple):
    """A snapshot, the file that it is in, and the newer checkpoints that cannot be read."""

    snapshot: StateSnapshot
    path: Path
    skipped: tuple[SkippedCheckpoint, ...] = ()


def opened(path: Path, before: Source | None = None) -> Source:
    """Return the snapshot in a file, or a folder's newest; leaves the program if none.

    What a folder's was newer and cannot be read is told, unless it was for `before`.
    """
    try:
        with working(f"checking {path}"):
            source = _newest(path) if path.is_dir() else _single(path)
    except (OSError, SnapshotError) as error:
        # A folder's error begins with the folder.
        fail(f"{path}: {reason_of(error).removeprefix(f'{path.absolute()}: ')}")
    told = {other.path for other in before.skipped} if before else set()
    for other in source.skipped:
        if other.path not in told:
            note(f"passed over {other.path}: {_fault(other.error)}")
    return source


def files_in(path: Path) -> list[Path]:
    """The file itself, or the checkpoints of a folder, newest first."""
    if not path.is_dir():
        return [path]
    return [checkpoint.path for checkpoint in CheckpointDirectory(path).list()]


def reason_of(error: Exception) -> str:
    """Return what is wrong and what to do about it, without the path."""
    if isinstance(error, SnapshotCorruptError):
        return f"{error.reason}; take another copy, or an older checkpoint"
    if isinstance(error, SnapshotVersionError):
        return (
            f"format version {error.version}, flags {error.flags:#x}; "
            "read it with a newer release of latency-kv"
        )
    if isinstance(error, PermissionError):
        return "permission denied; a snapshot is readable by its owner alone"
    if isinstance(error, FileNotFoundError):
        return "no such file; check the path"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)


def _fault(error: Exception) -> str:
    """Return what is wrong; what to do about it was done, an older one is taken."""
    return error.reason if isinstance(error, SnapshotCorruptError) else reason_of(error)


def _single(path: Path) -> Source:
    return Source(StateSnapshot.open(path), path)


def _newest(path: Path) -> Source:
    directory = CheckpointDirectory(path)
    snapshot = directory.latest()
    if snapshot is None:
        fail(f"{path}: no checkpoints in this folder; name a snapshot's file")
    return Source(snapshot, _file_of(snapshot, directory), directory.skipped)


def _file_of(snapshot: StateSnapshot, directory: CheckpointDirectory) -> Path:
    """The checkpoint that a snapshot is from; the folder, if it was pruned since."""
    header = bytes(memoryview(snapshot)[:_HEADER_SIZE])
    for checkpoint in directory.list():
        try:
            with checkpoint.path.open("rb") as file:
                if file.read(_HEADER_SIZE) == header:
                    return checkpoint.path
        except OSError:
            continue
    return directory.path

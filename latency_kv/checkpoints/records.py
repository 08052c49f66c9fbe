"""Records: what is told of a checkpoint that is there, or of one that cannot be read.

Knows no file's content.  Start at `CheckpointInfo`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["CheckpointInfo", "SkippedCheckpoint"]


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """A checkpoint as its folder tells of it: whether it can be read is not known.

    written_ns is when its file was written, in nanoseconds since the epoch; the moment
    of its state is the snapshot's `timestamp_ns`.
    """

    generation: int
    path: Path
    size_bytes: int
    written_ns: int


@dataclass(frozen=True, slots=True)
class SkippedCheckpoint:
    """A checkpoint that cannot be read, and the error that says why."""

    generation: int
    path: Path
    error: Exception

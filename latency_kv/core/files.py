"""Files: the bytes of a snapshot's file, mapped or read; regular files only.

Knows nothing of what is in them.  Start at `map_file`.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from latency_kv.errors import SnapshotCorruptError

if TYPE_CHECKING:
    from pathlib import Path

# A pipe without a writer would let open wait for ever.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)


def map_file(path: Path) -> memoryview:
    """Return the bytes of a file where the system keeps them; raises as read_file."""
    import mmap

    descriptor, size = _open(path)
    try:
        return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
    finally:
        os.close(descriptor)


def read_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises OSError as the system does, SnapshotCorruptError for what is no regular file
    or empty.
    """
    descriptor, size = _open(path)
    with open(descriptor, "rb") as file:
        # What is added meanwhile is read too, and refused by its size.
        return file.read(size + 1)


def _open(path: Path) -> tuple[int, int]:
    """Open a file for reading; its descriptor and size."""
    descriptor = os.open(path, _FLAGS)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise SnapshotCorruptError(
                "it is a folder, not a regular file: of a folder of checkpoints, "
                "CheckpointDirectory(path).latest() is the newest",
                path,
            )
        if not stat.S_ISREG(status.st_mode):
            raise SnapshotCorruptError("it is not a regular file", path)
        if status.st_size == 0:
            raise SnapshotCorruptError("the file is empty", path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size

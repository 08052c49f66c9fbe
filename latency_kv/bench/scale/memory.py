"""Memory: what a process takes of it, and what is free.

Where the system tells less, as everywhere but on Linux, there is less to tell: a peak
in place of what is taken now, all that there is in place of what is free.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

__all__ = ["available", "in_huge_pages", "peak"]

_MEMINFO: Final = Path("/proc/meminfo")
_STATUS: Final = Path("/proc/self/status")
_ROLLUP: Final = Path("/proc/self/smaps_rollup")


def available() -> int:
    """Return the bytes that a new process can have."""
    told = _told(_MEMINFO, "MemAvailable")
    if told is not None:
        return told
    pages: int = os.sysconf("SC_PHYS_PAGES")
    size: int = os.sysconf("SC_PAGE_SIZE")
    return pages * size


def peak() -> int:
    """Return the most bytes that this process ever had in memory."""
    # A child's ru_maxrss begins with its parent's.
    told = _told(_STATUS, "VmHWM")
    if told is not None:
        return told
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_huge_pages() -> int | None:
    """Return how much of this process's memory lies in huge pages, in bytes."""
    return _told(_ROLLUP, "AnonHugePages")


def _told(path: Path, name: str) -> int | None:
    """Return what a file of the kernel's tells in kB under a name, in bytes."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) << 10 if found else None

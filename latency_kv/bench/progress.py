"""Progress: one line on a terminal's stderr that says how far the work has come."""

import sys
from time import monotonic
from typing import TextIO

_WIDTH = 24
_CLEAR = "\r\x1b[K"


class Progress:
    """A bar that is redrawn in place, and silent where nobody looks."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._begin = monotonic()

    def show(self, done: int, total: int, name: str) -> None:
        """Say that `done` of `total` are measured, and what comes now."""
        filled = _WIDTH * done // total
        bar = "#" * filled + "-" * (_WIDTH - filled)
        elapsed = monotonic() - self._begin
        self._write(f"{_CLEAR}[{bar}] {done}/{total}  {elapsed:3.0f} s  {name}")

    def clear(self) -> None:
        """Take the bar away, so that a line can be printed."""
        self._write(_CLEAR)

    def _write(self, text: str) -> None:
        if self._shown:
            self._stream.write(text)
            self._stream.flush()

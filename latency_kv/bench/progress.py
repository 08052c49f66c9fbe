"""Progress: one line on a terminal's stderr that says how far the work has come."""

import sys
from time import monotonic
from typing import TextIO

_WIDTH = 24
_COLUMNS = 99

_TELLING = 0.02
"""The share of the work that has to be done before what is left can be guessed."""

_CLEAR = "\r\x1b[K"


class Progress:
    """A bar that is redrawn in place, and silent where nobody looks."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._begin = monotonic()

    def show(self, done: float, total: float, name: str) -> None:
        """Say that `done` of `total` is measured, what comes now, and what is left."""
        share = done / total if total else 0.0
        filled = int(_WIDTH * share)
        bar = "#" * filled + "-" * (_WIDTH - filled)
        elapsed = monotonic() - self._begin
        text = f"[{bar}] {share:4.0%}  {_clock(elapsed)}"
        if share > _TELLING:
            text += f", about {_clock(elapsed / share - elapsed)} left"
        self._write(f"{_CLEAR}{text}  {name}"[: _COLUMNS + len(_CLEAR)])

    def clear(self) -> None:
        """Take the bar away, so that a line can be printed."""
        self._write(_CLEAR)

    def _write(self, text: str) -> None:
        if self._shown:
            self._stream.write(text)
            self._stream.flush()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"

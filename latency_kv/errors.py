"""The one exception tree: what the package raises beyond Python's own exceptions.

Each class also inherits the builtin that a reader expects, so that `except ValueError`
goes on working, and carries as attributes what its message tells.  Knows no room of the
package: every floor raises from here.  Start at `LatencyKVError`.
"""

from __future__ import annotations

__all__ = ["LatencyKVError", "StateDecodeError"]

# Keys may have 65,535 bytes: a message shows as many as tell one key from another.
_SHOWN_KEY_SIZE = 64


class LatencyKVError(Exception):
    """What every exception of the package's own inherits."""


class StateDecodeError(LatencyKVError, ValueError):
    """Stored bytes that do not decode as what was asked for.

    Nothing was changed or reset; the codec's own exception is `__cause__`.

    >>> str(StateDecodeError(b"seat:12A", "the value is not an int"))
    "the value is not an int (key b'seat:12A')"
    """

    def __init__(self, key: bytes, reason: str) -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        shown = repr(self.key[:_SHOWN_KEY_SIZE])
        if len(self.key) > _SHOWN_KEY_SIZE:
            shown += f"... of {len(self.key)} bytes"
        return f"{self.reason} (key {shown})"

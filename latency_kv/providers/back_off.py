"""Back-off: when to try again what failed, and when to give up.

    0.05 s, 0.1 s, 0.2 s, ... up to 1 s, each by chance shortened by up to a half

By chance, since all whom one failure met would else come back at the same instant.

Knows no engine.  Start at `BackOff.again`.
"""

from __future__ import annotations

import time
from random import uniform

import anyio

__all__ = ["BackOff"]

_FIRST_S = 0.05
_LONGEST_S = 1.0


class BackOff:
    """The tries of one operation, which has so many seconds from now.

    most is how often it is tried again at most; None for as often as the time allows.
    """

    __slots__ = ("_deadline", "_most", "_tries")

    def __init__(self, seconds: float, most: int | None = None) -> None:
        self._deadline = time.monotonic() + seconds
        self._most = most
        self._tries = 0

    @property
    def remaining(self) -> float:
        """The seconds that are left, 0.0 if there are none."""
        return max(0.0, self._deadline - time.monotonic())

    async def again(self) -> bool:
        """Wait, and return True; or return False at once where it is time to give up."""
        if self._most is not None and self._tries >= self._most:
            return False
        # Bounded, or the power would overflow after a thousand tries.
        longest = min(_LONGEST_S, _FIRST_S * 2 ** min(self._tries, 10))
        wait = uniform(longest / 2, longest)
        if wait >= self.remaining:
            return False
        self._tries += 1
        await anyio.sleep(wait)
        return True

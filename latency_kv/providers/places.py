"""Places: so many at once, and who comes later waits in line, not longer than it may.

asyncio's semaphore does it too, but for the waiting's end, which takes a timer each; here
the first of the line has one, and the others are behind it.

Knows no connection; one asyncio loop at a time.  Start at `Places.take`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

__all__ = ["Places"]


class Places:
    """So many places; `patience`, in seconds, is how long one is waited for."""

    __slots__ = ("_free_count", "_line", "_patience", "_timer")

    def __init__(self, count: int, patience: float) -> None:
        self._free_count = count
        self._patience = patience
        self._line: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self) -> None:
        """Take a place, which has to be left; TimeoutError if none becomes free."""
        if self._free_count:
            # Nobody is in line then.
            self._free_count -= 1
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        end = loop.time() + self._patience
        self._line.append((end, turn))
        if self._timer is None:
            self._timer = loop.call_at(end, self._turn_away)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # It came too late for this one.
                self.leave()
            raise

    def leave(self) -> None:
        """Leave a place, to the first in line if there is one."""
        while self._line:
            _, turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free_count += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn_away(self) -> None:
        """End the wait of those who have waited long enough."""
        loop: Any = asyncio.get_running_loop()
        self._timer = None
        while self._line:
            end, turn = self._line[0]
            if not turn.done():
                if end > loop.time():
                    self._timer = loop.call_at(end, self._turn_away)
                    return
                turn.set_exception(TimeoutError())
            self._line.popleft()

"""Threads: work that a loop hands over and waits for, whatever happens meanwhile.

Knows no work.  Start at `in_thread`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from anyio import get_cancelled_exc_class, lowlevel, sleep, to_thread

from latency_kv.endings import to_the_end

__all__ = ["in_thread"]

_T = TypeVar("_T")

_POLL_S = 0.01


async def in_thread(
    work: Callable[[], _T], settle: Callable[[Future[_T]], object]
) -> _T:
    """Run the work in a thread, and return or raise what it does.

    Cancelled before it has begun, it does not begin; cancelled later, the end of the
    work is waited for, and only then the cancellation raised.  So settle, which is
    called on the loop with the outcome, is called for all work that was begun.
    """
    outcome: Future[_T] = Future()

    async def run() -> None:
        try:
            await to_thread.run_sync(_settled, work, outcome)
        except get_cancelled_exc_class():
            # asyncio cancels every task, this one too, of a loop that is to end.
            if not outcome.cancel():
                while not outcome.done():
                    await sleep(_POLL_S)
                settle(outcome)
            raise
        settle(outcome)

    await lowlevel.checkpoint_if_cancelled()
    await to_the_end(run)
    return outcome.result()


def _settled(work: Callable[[], _T], outcome: Future[_T]) -> None:
    if not outcome.set_running_or_notify_cancel():
        return
    try:
        outcome.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised from the future
        outcome.set_exception(error)

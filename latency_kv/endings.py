"""Cancellation: what must be ended once it has begun, whoever loses patience.

Knows no room of the package.  Start at `to_the_end`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import CancelScope, create_task_group

__all__ = ["to_the_end"]


async def to_the_end(function: Callable[[], Awaitable[object]]) -> None:
    """Await the function in a task that is not cancelled when this one is.

    The cancellation is raised when the function has ended.  What the function raises
    comes out in an ExceptionGroup.
    """
    # A task group waits for it even where asyncio cancels this task itself.
    async with create_task_group() as group:
        group.start_soon(_shielded, function)


async def _shielded(function: Callable[[], Awaitable[object]]) -> None:
    with CancelScope(shield=True):
        await function()

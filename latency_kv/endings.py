"""Endings: what is ended once it has begun, and what goes wrong in several ends.

Knows no room of the package.  Start at `to_the_end`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from anyio import CancelScope, create_task_group

__all__ = ["collected", "to_the_end"]


async def to_the_end(function: Callable[[], Awaitable[object]]) -> None:
    """Await the function in a task that is not cancelled when this one is.

    The cancellation is raised when the function has ended.  What the function raises
    comes out in an ExceptionGroup.
    """
    # A task group waits for it even where asyncio cancels this task itself.
    async with create_task_group() as group:
        group.start_soon(_shielded, function)


@contextmanager
def collected(
    what: str, tell: Callable[[BaseException], object]
) -> Iterator[list[BaseException]]:
    """Raise at the end what was put into the list: one as it is, several as a group.

    Where the block itself raises, a cancellation say, `tell` is called with each.

    >>> with collected("two ends", print) as errors:
    ...     errors.append(ValueError("first"))
    ...     errors.append(OSError("second"))
    Traceback (most recent call last):
    ...
    ExceptionGroup: two ends: several failed (2 sub-exceptions)
    """
    errors: list[BaseException] = []
    try:
        yield errors
    except BaseException:
        for error in errors:
            tell(error)
        raise
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(f"{what}: several failed", errors)


async def _shielded(function: Callable[[], Awaitable[object]]) -> None:
    with CancelScope(shield=True):
        await function()

"""KeyPages: the keys of a store, a page at a time, for `iter_keys`.

An iterator, not an async generator: who leaves its loop before the end leaves nothing
behind that an event loop would have to finish, or would warn of.

Knows no store.  Start at `KeyPages`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Self

__all__ = ["KeyPages"]


class KeyPages(AsyncIterator[str]):
    """The keys of all pages in turn, one page held at a time.

    page(after) returns the next keys in their order, those above `after` or the first
    ones for None; none at all is the end.  is_there is asked for each key when its turn
    comes: who iterates may take long.
    """

    __slots__ = ("_after", "_is_there", "_keys", "_page")

    def __init__(
        self,
        page: Callable[[str | None], Awaitable[Iterable[str]]],
        is_there: Callable[[str], bool] = lambda key: True,
    ) -> None:
        self._page = page
        self._is_there = is_there
        self._keys: deque[str] = deque()
        self._after: str | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            while self._keys:
                self._after = self._keys.popleft()
                if self._is_there(self._after):
                    return self._after
            self._keys.extend(await self._page(self._after))
            if not self._keys:
                raise StopAsyncIteration

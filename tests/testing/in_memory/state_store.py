"""InMemoryStateStore: the StateStore facet over a dict of JSON texts, all capabilities.

Texts, so that no value is shared with who set it or got it.  Start at
`InMemoryStateStore.set`.
"""

import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Self


class InMemoryStateStore:
    """A store whose clock stands until someone moves `now`."""

    set_many_is_atomic = True
    ttl_resolution = 0.0

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.ends: dict[str, float] = {}
        self.now = 0.0
        self.closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self.closed = True

    def beside(self) -> Self:
        """Return a second store over the same entries."""
        second = type(self)()
        second.texts, second.ends = self.texts, self.ends
        return second

    async def get(self, key: str, default: Any = None, /) -> Any:
        text = self.text(key)
        return default if text is None else json.loads(text)

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        if ttl is not None and not ttl > 0:
            raise ValueError(f"a ttl is above 0, not {ttl}")
        self.demand_open()
        self.texts[checked(key)] = encoded(value)
        self.ends[key] = math.inf if ttl is None else self.now + ttl

    async def delete(self, key: str, /) -> bool:
        there = self.text(key) is not None
        self.texts.pop(key, None)
        return there

    async def has(self, key: str, /) -> bool:
        return self.text(key) is not None

    async def keys(self, prefix: str = "") -> list[str]:
        checked(prefix)
        self.demand_open()
        return sorted(
            key
            for key in self.texts
            if key.startswith(prefix) and self.text(key) is not None
        )

    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        if self.text(key) is not None:
            return False
        await self.set(key, value)
        return True

    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        if self.text(key) != encoded(expected):
            return False
        await self.set(key, new)
        return True

    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        return [await self.get(key) for key in keys]

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        for key, value in values.items():
            checked(key), encoded(value)
        for key, value in values.items():
            await self.set(key, value)

    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        for key in await self.keys(prefix):
            yield key

    def demand_open(self) -> None:
        if self.closed:
            raise RuntimeError("the store is closed")

    def text(self, key: str) -> str | None:
        """The value of a key that has one, and has not ended."""
        self.demand_open()
        text = self.texts.get(checked(key))
        return text if text is not None and self.ends[key] > self.now else None


def checked(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    key.encode()
    return key


def encoded(value: Any) -> str:
    """The JSON text of a value: equal values have equal ones."""
    text = json.dumps(value, allow_nan=False, sort_keys=True, ensure_ascii=False)
    text.encode()
    if json.loads(text) != value:
        raise TypeError(f"JSON has no {value!r}")
    return text

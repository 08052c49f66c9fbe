"""InMemoryStateStore: the StateStore facet over a dict of JSON texts.

Texts, so that no value is shared with who set it or got it.  Start at
`InMemoryStateStore.set`.
"""

import json
from typing import Any


class InMemoryStateStore:
    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def get(self, key: str, default: Any = None, /) -> Any:
        text = self.texts.get(key)
        return default if text is None else json.loads(text)

    async def set(self, key: str, value: Any, /) -> None:
        self.texts[key] = json.dumps(value, allow_nan=False)

    async def delete(self, key: str, /) -> bool:
        return self.texts.pop(key, None) is not None

    async def has(self, key: str, /) -> bool:
        return key in self.texts

    async def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self.texts if key.startswith(prefix)]

"""Stand-in stores: what somebody else's scheme gives, and what can go wrong with it.

`stand-in://HOST/NAME` is a store with every capability, `plain://HOST/NAME` one with the
five methods alone, in no order.  Both keep what they hold in this process, under NAME and
namespace, and do what `HOOKS` says before an operation.  Start at `installed`.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult

import anyio

HELD: dict[tuple[str, str], dict[str, Any]] = {}
"""(name, namespace) -> what is in that store."""

CALLS: list[tuple[str, Any]] = []
"""What was asked of the stores, in order: the operation, and what it was about."""

HOOKS: dict[str, Callable[[dict[str, Any], Any], None]] = {}
"""Operation -> what to do before it with what the store holds; it may raise."""


class PlainStore:
    """The five methods, and nothing else."""

    def __init__(self, url: SplitResult, namespace: str, **options: Any) -> None:
        self._name = url.path.strip("/")
        self._held = HELD.setdefault((self._name, namespace), {})

    async def __aenter__(self) -> Self:
        await self._met("open")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._met("close")

    async def get(self, key: str, default: Any = None, /) -> Any:
        await self._met("get", key)
        return self._held.get(key, default)

    async def set(self, key: str, value: Any, /) -> None:
        await self._met("set", key)
        self._held[key] = value

    async def delete(self, key: str, /) -> bool:
        await self._met("delete", key)
        absent = object()
        return self._held.pop(key, absent) is not absent

    async def has(self, key: str, /) -> bool:
        await self._met("has", key)
        return key in self._held

    async def keys(self, prefix: str = "") -> list[str]:
        await self._met("keys", prefix)
        return [key for key in reversed(self._held) if key.startswith(prefix)]

    async def _met(self, operation: str, about: Any = None) -> None:
        CALLS.append((f"{self._name}.{operation}", about))
        hook = HOOKS.get(f"{self._name}.{operation}")
        if hook:
            hook(self._held, about)
        await anyio.lowlevel.checkpoint()


class StandInStore(PlainStore):
    """Every capability but those that no verb asks for."""

    ttl_resolution = 0.001
    set_many_is_atomic = False

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await self._met("set", (key, ttl))
        self._held[key] = value

    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        keys = list(keys)
        await self._met("get_many", keys)
        return [self._held.get(key) for key in keys]

    async def set_many(self, values: Mapping[str, Any], /) -> None:
        await self._met("set_many", dict(values))
        self._held.update(values)

    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        await self._met("iter_keys", prefix)
        keys = sorted(key for key in self._held if key.startswith(prefix))
        for key in HELD.get((self._name, "disorder"), keys):
            yield key


def installed(directory: Path) -> Path:
    """Write what an installed package tells of its schemes; return where."""
    told = directory / "stand_in_stores-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Name: stand-in-stores\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(
        "[latency_kv.state_stores]\n"
        "stand-in = cli.stand_in_stores:StandInStore\n"
        "plain = cli.stand_in_stores:PlainStore\n"
    )
    return directory

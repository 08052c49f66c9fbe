"""State stores with one defect each."""

import json
from fnmatch import fnmatchcase
from typing import Any
from unicodedata import normalize

import anyio.lowlevel

from latency_kv.testing.state_store import StateStoreContract
from testing.in_memory.state_store import InMemoryStateStore
from testing.planting import seen_by


@seen_by(StateStoreContract.test_provider_is_a_state_store)
class WithoutKeys(InMemoryStateStore):
    keys = None  # type: ignore[assignment]


@seen_by(StateStoreContract.test_values_come_back_equal_and_of_their_type)
class IntegersAreFloats(InMemoryStateStore):
    async def get(self, key: str, default: Any = None, /) -> Any:
        text = self.texts.get(key)
        return default if text is None else json.loads(text, parse_int=float)


@seen_by(StateStoreContract.test_values_come_back_equal_and_of_their_type)
class WholeFloatsAreIntegers(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        whole = isinstance(value, float) and value.is_integer()
        await super().set(key, int(value) if whole else value)


@seen_by(StateStoreContract.test_values_come_back_equal_and_of_their_type)
class OneIsTrue(InMemoryStateStore):
    async def get(self, key: str, default: Any = None, /) -> Any:
        value = await super().get(key, default)
        return bool(value) if value in (0, 1) else value


@seen_by(StateStoreContract.test_values_come_back_equal_and_of_their_type)
class SixtyThreeBits(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        await super().set(key, value % 2**63 if isinstance(value, int) else value)


@seen_by(StateStoreContract.test_values_come_back_equal_and_of_their_type)
class TextsEndAtNul(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        await super().set(
            key, value.split("\0")[0] if isinstance(value, str) else value
        )


@seen_by(StateStoreContract.test_missing_key_gives_the_default)
class RaisesForMissing(InMemoryStateStore):
    async def get(self, key: str, default: Any = None, /) -> Any:
        return json.loads(self.texts[key])


@seen_by(
    StateStoreContract.test_missing_key_gives_the_default,
    StateStoreContract.test_delete_tells_whether_there_was_one,
)
class WithoutDefaults(InMemoryStateStore):
    async def get(self, key: str, default: Any = None, /) -> Any:
        return await super().get(key)


@seen_by(StateStoreContract.test_none_is_a_value)
class NoneIsNothing(InMemoryStateStore):
    async def get(self, key: str, default: Any = None, /) -> Any:
        value = await super().get(key)
        return default if value is None else value


@seen_by(StateStoreContract.test_none_is_a_value)
class NoneIsAbsent(InMemoryStateStore):
    async def has(self, key: str, /) -> bool:
        return await self.get(key) is not None


@seen_by(StateStoreContract.test_none_is_a_value)
class NoneDeletes(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        await super().set(key, value)
        if value is None:
            await self.delete(key)


@seen_by(StateStoreContract.test_set_replaces)
class Merges(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        old = await self.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        await super().set(key, old | value if both else value)


@seen_by(StateStoreContract.test_set_replaces)
class FirstWins(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        if key not in self.texts:
            await super().set(key, value)


@seen_by(StateStoreContract.test_has_tells_what_is_there)
class FalsyIsAbsent(InMemoryStateStore):
    async def has(self, key: str, /) -> bool:
        return bool(await self.get(key))


@seen_by(StateStoreContract.test_has_tells_what_is_there)
class HasPrefixes(InMemoryStateStore):
    async def has(self, key: str, /) -> bool:
        return bool(await self.keys(key))


@seen_by(StateStoreContract.test_delete_tells_whether_there_was_one)
class DeletesTheMissing(InMemoryStateStore):
    async def delete(self, key: str, /) -> bool:
        await super().delete(key)
        return True


@seen_by(StateStoreContract.test_delete_tells_whether_there_was_one)
class TellsTheValue(InMemoryStateStore):
    async def delete(self, key: str, /) -> bool:
        value = await self.get(key)
        await super().delete(key)
        return bool(value)


@seen_by(StateStoreContract.test_delete_tells_whether_there_was_one)
class DeletesNothing(InMemoryStateStore):
    async def delete(self, key: str, /) -> bool:
        return key in self.texts


class ByReference(InMemoryStateStore):
    """Not a text of each value, but the value."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}

    async def set(self, key: str, value: Any, /) -> None:
        await super().set(key, value)
        self.values[key] = value

    async def get(self, key: str, default: Any = None, /) -> Any:
        return self.values.get(key, default)


@seen_by(
    StateStoreContract.test_value_is_the_one_of_the_moment_it_was_set,
    StateStoreContract.test_what_get_returns_is_not_shared,
)
class SharesValues(ByReference):
    pass


@seen_by(StateStoreContract.test_what_get_returns_is_not_shared)
class CopiesOnSetAlone(ByReference):
    async def set(self, key: str, value: Any, /) -> None:
        await super().set(key, json.loads(json.dumps(value)))


@seen_by(StateStoreContract.test_what_get_returns_is_not_shared)
class CopiesTheOutside(ByReference):
    async def get(self, key: str, default: Any = None, /) -> Any:
        value = await super().get(key, default)
        return dict(value) if isinstance(value, dict) else value


@seen_by(StateStoreContract.test_keys_lists_each_once)
class ListsEverySet(InMemoryStateStore):
    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    async def set(self, key: str, value: Any, /) -> None:
        self.log.append(key)
        await super().set(key, value)

    async def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self.log if key.startswith(prefix)]


@seen_by(StateStoreContract.test_keys_lists_each_once)
class KeysAreATuple(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        return tuple(await super().keys(prefix))  # type: ignore[return-value]


@seen_by(StateStoreContract.test_keys_start_with_the_prefix)
class KeysHoldThePrefix(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self.texts if prefix in key]


@seen_by(StateStoreContract.test_keys_start_with_the_prefix)
class PrefixIgnoresCase(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self.texts if key.lower().startswith(prefix.lower())]


@seen_by(StateStoreContract.test_prefix_is_taken_literally)
class PrefixIsAPattern(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self.texts if fnmatchcase(key, prefix + "*")]


@seen_by(StateStoreContract.test_prefix_is_taken_literally)
class PrefixHasWildcards(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        return [
            key
            for key in self.texts
            if len(key) >= len(prefix)
            and all(b in ("_", a) for a, b in zip(key, prefix, strict=False))
        ]


@seen_by(StateStoreContract.test_keys_that_look_alike_are_two)
class KeysIgnoreCase(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        await super().set(key.lower(), value)


@seen_by(StateStoreContract.test_keys_that_look_alike_are_two)
class KeysAreNormalised(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        await super().set(normalize("NFC", key), value)


@seen_by(StateStoreContract.test_keys_that_look_alike_are_two)
class KeysAreStripped(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        await super().set(key.strip(), value)


@seen_by(StateStoreContract.test_calls_that_run_together_are_all_applied)
class WritesTheWholeBack(InMemoryStateStore):
    async def set(self, key: str, value: Any, /) -> None:
        texts = {**self.texts, key: json.dumps(value)}
        await anyio.lowlevel.checkpoint()
        self.texts = texts

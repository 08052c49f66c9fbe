"""State stores with one defect each."""

import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any
from unicodedata import normalize

import anyio
import anyio.lowlevel

from latency_kv.testing.state_store import StateStoreContract
from testing.in_memory.state_store import InMemoryStateStore, checked, encoded
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
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        whole = isinstance(value, float) and value.is_integer()
        await super().set(key, int(value) if whole else value)


@seen_by(StateStoreContract.test_values_come_back_equal_and_of_their_type)
class OneIsTrue(InMemoryStateStore):
    async def get(self, key: str, default: Any = None, /) -> Any:
        value = await super().get(key, default)
        return bool(value) if value in (0, 1) else value


@seen_by(StateStoreContract.test_values_come_back_equal_and_of_their_type)
class SixtyThreeBits(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key, value % 2**63 if isinstance(value, int) else value)


@seen_by(StateStoreContract.test_values_come_back_equal_and_of_their_type)
class TextsEndAtNul(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
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
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key, value)
        if value is None:
            await self.delete(key)


@seen_by(StateStoreContract.test_set_replaces)
class Merges(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        old = await self.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        await super().set(key, old | value if both else value)


@seen_by(StateStoreContract.test_set_replaces)
class FirstWins(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
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

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
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
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
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

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
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
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key.lower(), value)


@seen_by(StateStoreContract.test_keys_that_look_alike_are_two)
class KeysAreNormalised(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(normalize("NFC", key), value)


@seen_by(StateStoreContract.test_keys_that_look_alike_are_two)
class KeysAreStripped(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key.strip(), value)


@seen_by(StateStoreContract.test_calls_that_run_together_are_all_applied)
class WritesTheWholeBack(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        texts = {**self.texts, key: json.dumps(value)}
        await anyio.lowlevel.checkpoint()
        self.texts = texts


@seen_by(StateStoreContract.test_provider_has_its_capabilities)
class WithoutComparing(InMemoryStateStore):
    compare_and_set = None  # type: ignore[assignment]


@seen_by(StateStoreContract.test_any_text_is_a_key)
class EmptyKeyIsRefused(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        if key == "":
            raise ValueError("a key is not empty")
        await super().set(key, value, ttl=ttl)


@seen_by(StateStoreContract.test_any_text_is_a_key)
class KeysEndAtNul(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key.partition("\0")[0], value, ttl=ttl)


@seen_by(StateStoreContract.test_what_is_no_key_is_refused)
class KeysAreMadeTexts(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(str(key), value, ttl=ttl)


@seen_by(StateStoreContract.test_what_is_no_key_is_refused)
class SurrogatesAreSwallowed(InMemoryStateStore):
    async def has(self, key: str, /) -> bool:
        return key in self.texts


@seen_by(StateStoreContract.test_what_is_no_key_is_refused)
class AnyPrefixIsListed(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        return await super().keys(prefix) if self.texts else []


@seen_by(StateStoreContract.test_what_is_no_value_is_refused)
class NanIsAValue(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        no_number = isinstance(value, float) and math.isnan(value)
        await super().set(key, None if no_number else value, ttl=ttl)


@seen_by(StateStoreContract.test_what_is_no_value_is_refused)
class SurrogatesAreReplaced(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        if isinstance(value, str):
            value = value.encode(errors="replace").decode()
        await super().set(key, value, ttl=ttl)


@seen_by(StateStoreContract.test_what_is_no_value_is_refused)
class DeletesBeforeItChecks(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await self.delete(key)
        await super().set(key, value, ttl=ttl)


@seen_by(StateStoreContract.test_second_store_sees_what_the_first_writes)
class KeepsWhatItRead(InMemoryStateStore):
    def __init__(self) -> None:
        super().__init__()
        self.read: dict[str, Any] = {}

    async def get(self, key: str, default: Any = None, /) -> Any:
        if key not in self.read:
            self.read[key] = await super().get(key, default)
        return self.read[key]

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=ttl)
        self.read[key] = value


class StoresLater(InMemoryStateStore):
    """What one kind of write handed over is stored when it is first read."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[str, Any] = {}

    async def keys(self, prefix: str = "") -> list[str]:
        for key, value in self.waiting.items():
            await self.set(key, value)
        return await super().keys(prefix)


@seen_by(StateStoreContract.test_every_write_stores_what_was_handed_over_then)
class StoresAbsentLater(StoresLater):
    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        self.waiting[key] = value
        return await super().set_if_absent(key, value)


@seen_by(StateStoreContract.test_every_write_stores_what_was_handed_over_then)
class StoresComparedLater(StoresLater):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        self.waiting[key] = new
        return await super().compare_and_set(key, expected, new)


@seen_by(StateStoreContract.test_every_write_stores_what_was_handed_over_then)
class StoresManyLater(StoresLater):
    async def set_many(self, values: Mapping[str, Any], /) -> None:
        self.waiting.update(values)
        await super().set_many(values)


@seen_by(StateStoreContract.test_set_if_absent_stores_what_is_not_there)
class NoneIsInNobodysWay(InMemoryStateStore):
    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        if await self.get(key) is None:
            await self.delete(key)
        return await super().set_if_absent(key, value)


@seen_by(StateStoreContract.test_set_if_absent_stores_what_is_not_there)
class SetsWhatIsThere(InMemoryStateStore):
    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        absent = not await self.has(key)
        await self.set(key, value)
        return absent


@seen_by(StateStoreContract.test_set_if_absent_stores_what_is_not_there)
class AbsentOnlyOnce(InMemoryStateStore):
    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        if key in self.ends:
            return False
        return await super().set_if_absent(key, value)


@seen_by(StateStoreContract.test_set_if_absent_has_one_winner)
class LooksAndThenSets(InMemoryStateStore):
    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        if await self.has(key):
            return False
        await anyio.lowlevel.checkpoint()
        await self.set(key, value)
        return True


@seen_by(StateStoreContract.test_set_if_absent_has_one_winner)
class LocksInTheProcessOnly(InMemoryStateStore):
    """A lock of one's own keeps no other store away."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = anyio.Lock()

    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        async with self.lock:
            if await self.has(key):
                return False
            await anyio.lowlevel.checkpoint()
            await self.set(key, value)
            return True


@seen_by(StateStoreContract.test_compare_and_set_stores_over_what_is_expected)
class MissingIsNone(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        if expected is None and not await self.has(key):
            await self.set(key, None)
        return await super().compare_and_set(key, expected, new)


@seen_by(StateStoreContract.test_compare_and_set_stores_over_what_is_expected)
class ExpectedNoneIsAnything(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        if expected is None:
            return await self.set_if_absent(key, new)
        return await super().compare_and_set(key, expected, new)


@seen_by(StateStoreContract.test_compare_and_set_stores_over_what_is_expected)
class ComparesOrder(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        if json.dumps(await self.get(key)) != json.dumps(expected):
            return False
        return await super().compare_and_set(key, expected, new)

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=ttl)
        self.texts[key] = json.dumps(value)


@seen_by(
    StateStoreContract.test_compare_and_set_stores_over_what_is_expected,
    StateStoreContract.test_compare_and_set_tells_types_apart,
)
class ComparesNothing(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        await self.set(key, new)
        return True


@seen_by(StateStoreContract.test_compare_and_set_tells_types_apart)
class ComparesAsPythonDoes(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        if not await self.has(key) or await self.get(key) != expected:
            return False
        await self.set(key, new)
        return True


@seen_by(StateStoreContract.test_compare_and_set_loses_no_racer)
class ComparesAndThenSets(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        equal = self.text(key) == encoded(expected)
        await anyio.lowlevel.checkpoint()
        if equal:
            await self.set(key, new)
        return equal


@seen_by(StateStoreContract.test_get_many_answers_in_the_order_asked)
class ManyComeInOrderOfKeys(InMemoryStateStore):
    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        return await super().get_many(sorted(keys))


@seen_by(StateStoreContract.test_get_many_answers_in_the_order_asked)
class ManySkipsTheMissing(InMemoryStateStore):
    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        return [await self.get(key) for key in keys if await self.has(key)]


@seen_by(StateStoreContract.test_get_many_answers_in_the_order_asked)
class ManyAnswersOnce(InMemoryStateStore):
    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        return await super().get_many(dict.fromkeys(keys))


@seen_by(StateStoreContract.test_get_many_answers_in_the_order_asked)
class ManyReadsTwice(InMemoryStateStore):
    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        for key in keys:
            checked(key)
        return await super().get_many(keys)


@seen_by(StateStoreContract.test_set_many_stores_each)
class ManyIsAHundred(InMemoryStateStore):
    async def set_many(self, values: Mapping[str, Any], /) -> None:
        await super().set_many(dict(list(values.items())[:100]))


@seen_by(StateStoreContract.test_set_many_stores_each)
class ManyReplacesAll(InMemoryStateStore):
    async def set_many(self, values: Mapping[str, Any], /) -> None:
        self.texts.clear()
        await super().set_many(values)


@seen_by(StateStoreContract.test_set_many_stores_each)
class ManyNeedsOne(InMemoryStateStore):
    async def set_many(self, values: Mapping[str, Any], /) -> None:
        if not values:
            raise ValueError("nothing to set")
        await super().set_many(values)


@seen_by(StateStoreContract.test_set_many_stores_nothing_where_one_is_wrong)
class ManyChecksAsItGoes(InMemoryStateStore):
    async def set_many(self, values: Mapping[str, Any], /) -> None:
        for key, value in values.items():
            await self.set(key, value)


@seen_by(StateStoreContract.test_set_many_is_seen_as_a_whole)
class ManyGoesByOne(InMemoryStateStore):
    async def set_many(self, values: Mapping[str, Any], /) -> None:
        for key, value in values.items():
            await self.set(key, value)
            await anyio.lowlevel.checkpoint()


@seen_by(
    StateStoreContract.test_value_ends_with_its_ttl,
    StateStoreContract.test_last_ttl_counts,
    StateStoreContract.test_calls_at_random_agree_with_a_dict,
)
class NothingEnds(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=ttl and ttl + 60)


@seen_by(StateStoreContract.test_value_ends_with_its_ttl)
class EndedIsReturned(InMemoryStateStore):
    async def get(self, key: str, default: Any = None, /) -> Any:
        return json.loads(self.texts[key]) if key in self.texts else default


@seen_by(StateStoreContract.test_value_ends_with_its_ttl)
class EndedIsThere(InMemoryStateStore):
    async def has(self, key: str, /) -> bool:
        return key in self.texts


@seen_by(StateStoreContract.test_value_ends_with_its_ttl)
class EndedIsListed(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self.texts if key.startswith(prefix))


@seen_by(StateStoreContract.test_value_ends_with_its_ttl)
class EndedIsIterated(InMemoryStateStore):
    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        for key in sorted(key for key in self.texts if key.startswith(prefix)):
            yield key


@seen_by(StateStoreContract.test_value_ends_with_its_ttl)
class EndedIsDeleted(InMemoryStateStore):
    async def delete(self, key: str, /) -> bool:
        return self.texts.pop(key, None) is not None


@seen_by(StateStoreContract.test_value_ends_with_its_ttl)
class EndedIsInTheWay(InMemoryStateStore):
    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        return key not in self.texts and await super().set_if_absent(key, value)


@seen_by(StateStoreContract.test_value_ends_with_its_ttl)
class EndedIsEqual(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        if self.texts.get(key) != encoded(expected):
            return False
        await self.set(key, new)
        return True


@seen_by(StateStoreContract.test_value_ends_with_its_ttl)
class EndedIsGotWithOthers(InMemoryStateStore):
    async def get_many(self, keys: Iterable[str], /) -> list[Any]:
        texts = [self.texts.get(key) for key in keys]
        return [None if text is None else json.loads(text) for text in texts]

    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        # None would be told from nothing by nobody.
        await super().set(key, "" if value is None else value, ttl=ttl)


@seen_by(StateStoreContract.test_value_ends_with_its_ttl)
class RoundsDown(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=ttl and round(ttl, 3))


@seen_by(StateStoreContract.test_value_is_there_until_its_end)
class EndsAtOnce(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=ttl and ttl / 1e6)


@seen_by(StateStoreContract.test_value_is_there_until_its_end)
class LongTtlsWrapAround(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=ttl)
        if ttl is not None and ttl * 1_000 >= 2**31:
            self.ends[key] = self.now


@seen_by(StateStoreContract.test_value_is_there_until_its_end)
class EndingIsInNobodysWay(InMemoryStateStore):
    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        if key in self.ends and self.ends[key] < math.inf:
            await self.delete(key)
        return await super().set_if_absent(key, value)


@seen_by(
    StateStoreContract.test_write_without_ttl_is_permanent,
    StateStoreContract.test_calls_at_random_agree_with_a_dict,
)
class SetKeepsTheEnd(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        end = self.ends.get(key) if ttl is None else None
        await super().set(key, value, ttl=ttl)
        self.ends[key] = end or self.ends[key]


@seen_by(StateStoreContract.test_write_without_ttl_is_permanent)
class ComparingKeepsTheEnd(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        end = self.ends.get(key, math.inf)
        stored = await super().compare_and_set(key, expected, new)
        self.ends[key] = end
        return stored


@seen_by(StateStoreContract.test_write_without_ttl_is_permanent)
class ManyKeepsTheEnd(InMemoryStateStore):
    async def set_many(self, values: Mapping[str, Any], /) -> None:
        ends = dict(self.ends)
        await super().set_many(values)
        self.ends.update(ends)


@seen_by(StateStoreContract.test_write_without_ttl_is_permanent)
class AbsentHasTheOldEnd(InMemoryStateStore):
    async def set_if_absent(self, key: str, value: Any, /) -> bool:
        end = self.ends.get(key, math.inf)
        stored = await super().set_if_absent(key, value)
        self.ends[key] = end
        return stored


@seen_by(StateStoreContract.test_write_without_ttl_is_permanent)
class DeletedKeepsTheEnd(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        end = math.inf if key in self.texts else self.ends.get(key, math.inf)
        await super().set(key, value, ttl=ttl)
        self.ends[key] = min(end, self.ends[key])


@seen_by(StateStoreContract.test_write_without_ttl_is_permanent)
class EndingIsNeverEqual(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        if self.ends.get(key, math.inf) < math.inf:
            return False
        return await super().compare_and_set(key, expected, new)


@seen_by(StateStoreContract.test_last_ttl_counts)
class FirstTtlCounts(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        end = self.ends.get(key, math.inf)
        await super().set(key, value, ttl=ttl)
        if ttl is not None and end < math.inf:
            self.ends[key] = end


@seen_by(StateStoreContract.test_last_ttl_counts)
class LongestTtlCounts(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        end = self.ends.get(key, -math.inf)
        await super().set(key, value, ttl=ttl)
        self.ends[key] = max(end, self.ends[key])


@seen_by(StateStoreContract.test_ttl_that_is_not_above_zero_is_refused)
class ZeroIsForEver(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=ttl or None)


@seen_by(StateStoreContract.test_ttl_that_is_not_above_zero_is_refused)
class NegativeDeletes(InMemoryStateStore):
    async def set(self, key: str, value: Any, /, *, ttl: float | None = None) -> None:
        if ttl is not None and ttl < 0:
            await self.delete(key)
        await super().set(key, value, ttl=ttl)


@seen_by(StateStoreContract.test_keys_come_in_the_order_of_their_bytes)
class KeysComeAsTheyWereSet(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        known = await super().keys(prefix)
        return [key for key in self.texts if key in known]


@seen_by(StateStoreContract.test_keys_come_in_the_order_of_their_bytes)
class IteratesInSomeOrder(InMemoryStateStore):
    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        for key in sorted(await self.keys(prefix), key=hash):
            yield key


@seen_by(StateStoreContract.test_keys_come_in_the_order_of_their_bytes)
class OrdersAsUtf16(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        return sorted(
            await super().keys(prefix), key=lambda key: key.encode("utf-16-be")
        )


@seen_by(StateStoreContract.test_keys_come_in_the_order_of_their_bytes)
class OrdersAsADictionary(InMemoryStateStore):
    async def keys(self, prefix: str = "") -> list[str]:
        return sorted(await super().keys(prefix), key=str.casefold)


@seen_by(StateStoreContract.test_iter_keys_takes_a_prefix_literally)
class IteratesOverAPattern(InMemoryStateStore):
    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        for key in await self.keys():
            if fnmatchcase(key, prefix + "*"):
                yield key


@seen_by(StateStoreContract.test_iter_keys_lists_many_once)
class IteratesOverOnePage(InMemoryStateStore):
    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        for key in (await self.keys(prefix))[:1000]:
            yield key


@seen_by(StateStoreContract.test_iter_keys_lists_many_once)
class PagesOverlap(InMemoryStateStore):
    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        for number, key in enumerate(await self.keys(prefix)):
            yield key
            if number == 1000:
                yield key


@seen_by(StateStoreContract.test_iter_keys_lists_many_once)
class IteratesByTheWay(InMemoryStateStore):
    async def iter_keys(self, prefix: str = "") -> Any:  # type: ignore[override]
        return await self.keys(prefix)


@seen_by(StateStoreContract.test_iter_keys_goes_on_while_keys_change)
class CountsPages(InMemoryStateStore):
    """A page begins so many keys from the first one, wherever that is by now."""

    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        start = 0
        while page := (await self.keys(prefix))[start : start + 100]:
            for key in page:
                yield key
            start += 100


@seen_by(StateStoreContract.test_iter_keys_goes_on_while_keys_change)
class ChangesEndTheIteration(InMemoryStateStore):
    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        for key in self.texts:
            yield key


@seen_by(StateStoreContract.test_iter_keys_may_be_left_early)
class LeftIteratorsAreCounted(InMemoryStateStore):
    def __init__(self) -> None:
        super().__init__()
        self.free = 10

    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        if not self.free:
            raise RuntimeError("no connection is free")
        self.free -= 1
        for key in await self.keys(prefix):
            yield key
        self.free += 1


@seen_by(StateStoreContract.test_closed_store_refuses_every_call)
class OpensAgain(InMemoryStateStore):
    async def get(self, key: str, default: Any = None, /) -> Any:
        self.closed = False
        return await super().get(key, default)


@seen_by(StateStoreContract.test_closed_store_refuses_every_call)
class ListsWhenClosed(InMemoryStateStore):
    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        for key in sorted(self.texts):
            yield key


@seen_by(StateStoreContract.test_closed_store_refuses_every_call)
class ClosesOnce(InMemoryStateStore):
    async def aclose(self) -> None:
        self.demand_open()
        await super().aclose()


@seen_by(StateStoreContract.test_calls_at_random_agree_with_a_dict)
class DeletesWhatStartsAlike(InMemoryStateStore):
    async def delete(self, key: str, /) -> bool:
        there = await super().delete(key)
        if key == "a:1":
            await super().delete("a:10")
        return there


@seen_by(StateStoreContract.test_calls_at_random_agree_with_a_dict)
class ComparesTheFirstWord(InMemoryStateStore):
    async def compare_and_set(self, key: str, expected: Any, new: Any, /) -> bool:
        if isinstance(expected, float) and expected.is_integer():
            expected = int(expected)
        return await super().compare_and_set(key, expected, new)

"""StateStoreContract: what a provider of the StateStore facet has to show.

The five methods are demanded of everybody; the capabilities (atomic, batch, expiring,
paged) of whoever says that it has them, and are tested wherever they are.

Knows the facet and no provider.  Start at `StateStoreContract.provider`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from random import Random, SystemRandom
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from latency_kv.facets.stores import (
    AtomicStateStore,
    BatchStateStore,
    ExpiringStateStore,
    OpenedStateStore,
    PagedStateStore,
    StateStore,
)
from latency_kv.testing.state_model import KEYS, ODD_KEYS, StateModel, typed

__all__ = ["StateStoreContract"]

# One of each kind that comes back as something else where a codec is careless.
_VALUES: list[Any] = [
    None,
    False,
    True,
    0,
    1,
    -1,
    2**53 + 1,
    2**64,
    -(10**40),
    0.0,
    1.0,
    0.1,
    -1e300,
    "",
    "0",
    "null",
    "\x00\n\t'\"\\",
    "\u00e9\u4e16\U0001f600",
    [],
    {},
    [None, [True, 1, 1.0, "1"], {"": []}],
    {"a": {"b": [1, {"c": None}]}, "1": 1, "": ""},
]

# What a prefix must not mean to the engine behind the store.
_LITERAL_PREFIXES = ["*", "?", "[a]", "%", "_", "\\", ".", "^", "'", "a:*", "\u00e9"]

# What JSON has no word for.
_NO_VALUES: list[Any] = [
    math.nan,
    math.inf,
    "\ud800",
    {"\udfff": 1},
    {1: 1},
    {None: 1},
    b"bytes",
    {"set"},
    [1, [object()]],
]

_NO_KEYS: list[Any] = [None, 1, b"key", ["key"]]

# In the order of their UTF-8, which is not that of UTF-16, nor any language's.
_IN_ORDER = [
    "!",
    "10",
    "9",
    "A",
    "B",
    "Z:1",
    "_",
    "a",
    "a!",
    "a:1",
    "a:10",
    "a:9",
    "aa",
]
_IN_ORDER += ["b", "z", "\x7f", "\u00e4", "\u4e16", "\ue000", "\uffff", "\U00010000"]

# What is neither stored nor equal to the other, though Python says so of some.
_UNEQUAL: list[Any] = [
    None,
    False,
    0,
    0.0,
    True,
    1,
    1.0,
    "1",
    "",
    [],
    [1],
    {},
    {"a": 1},
]

_TOGETHER = 20
_ROUNDS = 5

# Of a value that does not end while a test runs.
_LONG_S = 3_600.0

# Beyond its ttl a value has this long to end, by a clock that is not moved.
_GRACE_S = 0.02

_TTL_DOUBLINGS = 8


class StateStoreContract:
    """Run by a test class that inherits it and overrides `provider`.

    Whoever promises more than the five methods says so in `capabilities` and `strict`.
    """

    pytestmark = pytest.mark.anyio

    capabilities: tuple[type[Any], ...] = ()
    """The capabilities that the provider has to have, such as AtomicStateStore.

    Any other is tested where the provider has it, and skipped where not.
    """

    strict = False
    """Whether any text is a key, and whatever is no key or value raises.

    Any: the empty one, and one with NUL bytes.  TypeError or ValueError, and nothing has
    changed then.
    """

    ttl_s = 0.05
    """A ttl to wait for, where `pass_time` waits."""

    many = 1_200
    """More keys than the provider lists at a time."""

    steps = 300
    """How many calls to make at random."""

    seed: int | None = None
    """What to make them by; None for another one each time, which a failure shows."""

    @pytest.fixture
    def provider(self) -> Any:
        """A store that holds nothing; may be async, and may clean up after a yield."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    async def pass_time(self, provider: Any, seconds: float) -> None:
        """Let the clock that ends values go on; waits, unless overridden."""
        await anyio.sleep(seconds)

    def beside(self, provider: Any) -> AbstractAsyncContextManager[Any]:
        """Open a second store over the provider's entries, of another process say.

        The provider itself, unless overridden.
        """
        return _same(provider)

    def _demand(self, provider: Any, capability: type[Any]) -> None:
        """Skip what the provider cannot show, and has not promised."""
        if not _can(provider, capability):
            name = capability.__name__
            assert capability not in self.capabilities, f"the provider is no {name}"
            pytest.skip(f"the provider is no {name}")

    def _be_strict(self) -> None:
        if not self.strict:
            pytest.skip("the provider is not strict")

    async def _expire(self, provider: Any) -> None:
        """Let whatever has a ttl of ttl_s end."""
        await self.pass_time(provider, self.ttl_s + provider.ttl_resolution + _GRACE_S)

    async def _set_all(self, provider: Any, keys: list[str]) -> None:
        if _can(provider, BatchStateStore):
            await provider.set_many(dict.fromkeys(keys, 1))
        else:
            for key in keys:
                await provider.set(key, 1)

    async def test_provider_is_a_state_store(self, provider: StateStore) -> None:
        assert isinstance(provider, StateStore)

    async def test_provider_has_its_capabilities(self, provider: StateStore) -> None:
        for capability in self.capabilities:
            assert _can(provider, capability), capability.__name__

    async def test_values_come_back_equal_and_of_their_type(
        self, provider: StateStore
    ) -> None:
        for number, value in enumerate(_VALUES):
            await provider.set(f"key:{number}", value)
        for number, value in enumerate(_VALUES):
            assert typed(await provider.get(f"key:{number}")) == typed(value)

    async def test_missing_key_gives_the_default(self, provider: StateStore) -> None:
        default = object()
        assert await provider.get("key") is None
        assert await provider.get("key", default) is default

    async def test_none_is_a_value(self, provider: StateStore) -> None:
        await provider.set("key", None)
        assert await provider.get("key", "default") is None
        assert await provider.has("key") is True
        assert await provider.keys() == ["key"]
        assert await provider.delete("key") is True

    async def test_set_replaces(self, provider: StateStore) -> None:
        await provider.set("key", {"old": 1})
        await provider.set("key", {"new": 2})
        assert await provider.get("key") == {"new": 2}

    async def test_has_tells_what_is_there(self, provider: StateStore) -> None:
        assert await provider.has("key") is False
        await provider.set("key", 0)
        assert await provider.has("key") is True
        assert await provider.has("ke") is False

    async def test_delete_tells_whether_there_was_one(
        self, provider: StateStore
    ) -> None:
        await provider.set("key", False)
        await provider.set("other", 1)
        assert await provider.delete("key") is True
        assert await provider.delete("key") is False
        assert await provider.get("key", "gone") == "gone"
        assert await provider.has("key") is False
        assert await provider.keys() == ["other"]

    async def test_value_is_the_one_of_the_moment_it_was_set(
        self, provider: StateStore
    ) -> None:
        value = {"inner": [1]}
        await provider.set("key", value)
        value["inner"].append(2)
        assert await provider.get("key") == {"inner": [1]}

    async def test_what_get_returns_is_not_shared(self, provider: StateStore) -> None:
        await provider.set("key", {"inner": [1]})
        (await provider.get("key"))["inner"].append(2)
        assert await provider.get("key") == {"inner": [1]}

    async def test_keys_lists_each_once(self, provider: StateStore) -> None:
        assert await provider.keys() == []
        for key in ["b", "a", "b", "a:1"]:
            await provider.set(key, 1)
        keys = await provider.keys()
        assert isinstance(keys, list)
        assert sorted(keys) == ["a", "a:1", "b"]

    async def test_keys_start_with_the_prefix(self, provider: StateStore) -> None:
        for key in ["user:1", "user:2", "user", "users:1", "a:user:1", "User:1"]:
            await provider.set(key, 1)
        assert sorted(await provider.keys("user:")) == ["user:1", "user:2"]
        assert await provider.keys(prefix="users:1") == ["users:1"]
        assert await provider.keys("user:1:") == []

    async def test_prefix_is_taken_literally(self, provider: StateStore) -> None:
        await provider.set("a:b", 0)
        for prefix in _LITERAL_PREFIXES:
            await provider.set(f"{prefix}b", prefix)
        for prefix in _LITERAL_PREFIXES:
            assert await provider.keys(prefix) == [f"{prefix}b"]
            assert await provider.get(f"{prefix}b") == prefix

    async def test_keys_that_look_alike_are_two(self, provider: StateStore) -> None:
        keys = ["key", "Key", " key", "key ", "key/a", "key.a", "\u00e9", "e\u0301"]
        for key in keys:
            await provider.set(key, key)
        assert sorted(await provider.keys()) == sorted(keys)
        for key in keys:
            assert await provider.get(key) == key

    async def test_calls_that_run_together_are_all_applied(
        self, provider: StateStore
    ) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(_TOGETHER):
                tasks.start_soon(provider.set, f"key:{number}", number)
        assert len(await provider.keys("key:")) == _TOGETHER
        for number in range(_TOGETHER):
            assert await provider.get(f"key:{number}") == number

    async def test_any_text_is_a_key(self, provider: StateStore) -> None:
        self._be_strict()
        keys = [*KEYS, *ODD_KEYS, "x" * 200]
        for key in keys:
            await provider.set(key, [key])
        assert sorted(await provider.keys()) == sorted(keys)
        for key in keys:
            assert await provider.get(key) == [key]
            assert await provider.has(key) is True
            assert sorted(await provider.keys(key)) == sorted(
                other for other in keys if other.startswith(key)
            )
        for key in keys:
            assert await provider.delete(key) is True
        assert await provider.keys() == []

    async def test_what_is_no_key_is_refused(self, provider: Any) -> None:
        self._be_strict()
        for key in [*_NO_KEYS, "\ud800", "a\udfff"]:
            wrong = ValueError if isinstance(key, str) else TypeError
            for call in [
                partial(provider.set, key, 1),
                partial(provider.get, key),
                partial(provider.has, key),
                partial(provider.delete, key),
                partial(provider.keys, key),
            ]:
                with pytest.raises(wrong):
                    await call()
        assert await provider.keys() == []

    async def test_what_is_no_value_is_refused(self, provider: Any) -> None:
        self._be_strict()
        await provider.set("key", "old")
        for value in _NO_VALUES:
            with pytest.raises((TypeError, ValueError)):
                await provider.set("key", value)
            with pytest.raises((TypeError, ValueError)):
                await provider.set("other", value)
        assert await provider.get("key") == "old"
        assert await provider.keys() == ["key"]

    async def test_second_store_sees_what_the_first_writes(self, provider: Any) -> None:
        async with self.beside(provider) as second:
            await provider.set("key", 1)
            assert await second.get("key") == 1
            await second.set("key", 2)
            await second.set("other", 3)
            assert await provider.get("key") == 2
            assert sorted(await provider.keys()) == ["key", "other"]
            assert await provider.delete("key") is True
            assert await second.has("key") is False

    async def test_every_write_stores_what_was_handed_over_then(
        self, provider: Any
    ) -> None:
        """That is: set_if_absent, compare_and_set and set_many too."""
        value: dict[str, Any] = {"inner": [1]}
        await provider.set("set", value)
        if _can(provider, AtomicStateStore):
            await provider.set_if_absent("absent", value)
            await provider.set("compared", None)
            await provider.compare_and_set("compared", None, value)
        if _can(provider, BatchStateStore):
            await provider.set_many({"many": value})
            (await provider.get_many(["many"]))[0]["inner"].append(3)
        value["inner"].append(2)
        for key in await provider.keys():
            assert await provider.get(key) == {"inner": [1]}, key

    async def test_set_if_absent_stores_what_is_not_there(self, provider: Any) -> None:
        self._demand(provider, AtomicStateStore)
        assert await provider.set_if_absent("key", None) is True
        assert await provider.set_if_absent("key", 1) is False
        assert await provider.get("key", "default") is None
        assert await provider.keys() == ["key"]
        assert await provider.set_if_absent("other", {"a": [1]}) is True
        assert await provider.get("other") == {"a": [1]}
        await provider.delete("key")
        assert await provider.set_if_absent("key", 2) is True
        assert await provider.get("key") == 2

    async def test_set_if_absent_has_one_winner(self, provider: Any) -> None:
        """Of racers on two stores."""
        self._demand(provider, AtomicStateStore)
        async with self.beside(provider) as second:
            for number in range(_ROUNDS):
                key = f"key:{number}"
                winners: list[int] = []

                async def race(
                    racer: int, key: str = key, winners: list[int] = winners
                ) -> None:
                    store = second if racer % 2 else provider
                    if await store.set_if_absent(key, racer):
                        winners.append(racer)

                async with anyio.create_task_group() as tasks:
                    for racer in range(_TOGETHER):
                        tasks.start_soon(race, racer)
                assert len(winners) == 1, f"{len(winners)} winners"
                assert await provider.get(key) == winners[0]

    async def test_compare_and_set_stores_over_what_is_expected(
        self, provider: Any
    ) -> None:
        self._demand(provider, AtomicStateStore)
        assert await provider.compare_and_set("key", None, 1) is False
        assert await provider.has("key") is False
        await provider.set("key", {"a": 1, "b": [None, 2.5]})
        assert await provider.compare_and_set("key", {"a": 1}, 2) is False
        assert await provider.get("key") == {"a": 1, "b": [None, 2.5]}
        equal = {"b": [None, 2.5], "a": 1}
        assert await provider.compare_and_set("key", equal, None) is True
        assert await provider.get("key", "default") is None
        assert await provider.compare_and_set("key", None, 3) is True
        assert await provider.get("key") == 3
        await provider.delete("key")
        assert await provider.compare_and_set("key", 3, 4) is False
        assert await provider.keys() == []

    async def test_compare_and_set_tells_types_apart(self, provider: Any) -> None:
        self._demand(provider, AtomicStateStore)
        for stored in _UNEQUAL:
            await provider.set("key", [stored])
            for expected in _UNEQUAL:
                same = typed(stored) == typed(expected)
                told = await provider.compare_and_set("key", [expected], [stored])
                assert told is same, (stored, expected)
            assert typed(await provider.get("key")) == typed([stored])

    async def test_compare_and_set_loses_no_racer(self, provider: Any) -> None:
        """Each counts up by one until it wins; every one of them is counted."""
        self._demand(provider, AtomicStateStore)
        await provider.set("key", 0)

        async def count(store: Any) -> None:
            while True:
                number = await store.get("key")
                if await store.compare_and_set("key", number, number + 1):
                    return

        async with self.beside(provider) as second, anyio.create_task_group() as tasks:
            for number in range(_TOGETHER):
                tasks.start_soon(count, second if number % 2 else provider)
        assert await provider.get("key") == _TOGETHER

    async def test_get_many_answers_in_the_order_asked(self, provider: Any) -> None:
        self._demand(provider, BatchStateStore)
        for key, value in [("a", 1), ("b", None), ("c", {"c": [3]})]:
            await provider.set(key, value)
        values = await provider.get_many(["c", "missing", "a", "b", "c"])
        assert isinstance(values, list)
        assert values == [{"c": [3]}, None, 1, None, {"c": [3]}]
        assert await provider.get_many(key for key in "ab") == [1, None]
        assert await provider.get_many([]) == []

    async def test_set_many_stores_each(self, provider: Any) -> None:
        self._demand(provider, BatchStateStore)
        await provider.set("key:0", "old")
        await provider.set("kept", "old")
        values = {f"key:{number}": [number] for number in range(self.many)}
        assert await provider.set_many(values) is None
        await provider.set_many({})
        assert len(await provider.keys("key:")) == self.many
        assert await provider.get_many(values) == list(values.values())
        assert await provider.get("kept") == "old"

    async def test_set_many_stores_nothing_where_one_is_wrong(
        self, provider: Any
    ) -> None:
        self._demand(provider, BatchStateStore)
        self._be_strict()
        await provider.set("a", "old")
        wrongs: list[dict[Any, Any]] = [{"b": object()}, {"b": {1: 1}}, {1: "new"}]
        for wrong in wrongs:
            with pytest.raises((TypeError, ValueError)):
                await provider.set_many({"a": "new", **wrong, "c": "new"})
        assert await provider.keys() == ["a"]
        assert await provider.get("a") == "old"

    async def test_set_many_is_seen_as_a_whole(self, provider: Any) -> None:
        """Where the provider says so."""
        self._demand(provider, BatchStateStore)
        assert isinstance(provider.set_many_is_atomic, bool)
        if not provider.set_many_is_atomic:
            pytest.skip("set_many is not atomic here")
        keys = [f"key:{number}" for number in range(_TOGETHER)]
        await provider.set_many(dict.fromkeys(keys, 0))
        over = False

        async def write() -> None:
            nonlocal over
            for number in range(_TOGETHER):
                await provider.set_many(dict.fromkeys(keys, number))
                await anyio.lowlevel.checkpoint()
            over = True

        async with self.beside(provider) as second, anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            while not over:
                values = await second.get_many(keys)
                assert len(set(values)) == 1, values
                await anyio.lowlevel.checkpoint()

    async def test_value_ends_with_its_ttl(self, provider: Any) -> None:
        self._demand(provider, ExpiringStateStore)
        keys = ["read", "deleted", "absent", "compared", "tiny"]
        for key in keys:
            ttl = 1e-6 if key == "tiny" else self.ttl_s
            await provider.set(key, None, ttl=ttl)
        await provider.set("kept", 1)
        await self._expire(provider)
        for key in keys:
            assert await provider.get(key, "gone") == "gone"
            assert await provider.has(key) is False
        assert await provider.keys() == ["kept"]
        assert await provider.delete("deleted") is False
        if _can(provider, PagedStateStore):
            assert [key async for key in provider.iter_keys()] == ["kept"]
        if _can(provider, BatchStateStore):
            assert await provider.get_many(["read", "kept"]) == [None, 1]
        if _can(provider, AtomicStateStore):
            assert await provider.compare_and_set("compared", None, 2) is False
            assert await provider.set_if_absent("absent", 2) is True
            assert sorted(await provider.keys()) == ["absent", "kept"]

    async def test_value_is_there_until_its_end(self, provider: Any) -> None:
        self._demand(provider, ExpiringStateStore)
        for ttl in [_LONG_S, 10**8]:
            await provider.set("key", 1, ttl=ttl)
            await self._expire(provider)
            assert await provider.get("key") == 1
            assert await provider.has("key") is True
            assert await provider.keys() == ["key"]
            if _can(provider, AtomicStateStore):
                assert await provider.set_if_absent("key", 2) is False
            assert await provider.delete("key") is True
            assert await provider.keys() == []

    async def test_write_without_ttl_is_permanent(self, provider: Any) -> None:
        self._demand(provider, ExpiringStateStore)
        for key in ["set", "none", "many", "absent", "deleted"]:
            await provider.set(key, 1, ttl=self.ttl_s)
        await provider.set("set", 2)
        await provider.set("none", 2, ttl=None)
        await provider.delete("deleted")
        await provider.set("deleted", 2)
        if _can(provider, BatchStateStore):
            await provider.set_many({"many": 2})
        await self._expire(provider)
        if _can(provider, AtomicStateStore):
            await provider.set_if_absent("absent", 2)
            await self._compare_in_time(provider)
            await self._expire(provider)
        for key in await provider.keys():
            assert await provider.get(key) == 2, key
        kept = {"set", "none", "deleted"}
        kept |= {"many"} if _can(provider, BatchStateStore) else set()
        atomic = _can(provider, AtomicStateStore)
        kept |= {"absent", "compared"} if atomic else set()
        assert set(await provider.keys()) == kept

    async def _compare_in_time(self, provider: Any) -> None:
        """Set by compare_and_set what would have ended otherwise."""
        ttl = self.ttl_s
        for _ in range(_TTL_DOUBLINGS):
            await provider.set("compared", 1, ttl=ttl)
            if await provider.compare_and_set("compared", 1, 2):
                await self.pass_time(provider, ttl)
                return
            ttl *= 2
        pytest.fail(f"compare_and_set does not find what lasts {ttl:g} s")

    async def test_last_ttl_counts(self, provider: Any) -> None:
        self._demand(provider, ExpiringStateStore)
        await provider.set("longer", 1, ttl=self.ttl_s)
        await provider.set("longer", 1, ttl=_LONG_S)
        await provider.set("shorter", 1, ttl=_LONG_S)
        await provider.set("shorter", 1, ttl=self.ttl_s)
        await provider.set("ending", 1)
        await provider.set("ending", 1, ttl=self.ttl_s)
        await self._expire(provider)
        assert await provider.keys() == ["longer"]
        assert await provider.get("longer") == 1

    async def test_ttl_that_is_not_above_zero_is_refused(self, provider: Any) -> None:
        self._demand(provider, ExpiringStateStore)
        assert isinstance(provider.ttl_resolution, float)
        await provider.set("key", 1)
        for ttl in [0, -1, -0.5, math.nan]:
            with pytest.raises(ValueError):
                await provider.set("key", 2, ttl=ttl)
        assert await provider.get("key") == 1

    async def test_keys_come_in_the_order_of_their_bytes(self, provider: Any) -> None:
        self._demand(provider, PagedStateStore)
        shuffled = list(_IN_ORDER)
        Random(1).shuffle(shuffled)
        for key in shuffled:
            await provider.set(key, 1)
        for prefix in ["", "a", "a:", "a:1", "\u00e4", "nothing"]:
            ordered = [key for key in _IN_ORDER if key.startswith(prefix)]
            assert await provider.keys(prefix) == ordered
            assert [key async for key in provider.iter_keys(prefix)] == ordered
        assert [key async for key in provider.iter_keys(prefix="b")] == ["b"]

    async def test_iter_keys_takes_a_prefix_literally(self, provider: Any) -> None:
        self._demand(provider, PagedStateStore)
        await provider.set("a:b", 0)
        for prefix in _LITERAL_PREFIXES:
            await provider.set(f"{prefix}b", prefix)
        for prefix in _LITERAL_PREFIXES:
            assert [key async for key in provider.iter_keys(prefix)] == [f"{prefix}b"]

    async def test_iter_keys_lists_many_once(self, provider: Any) -> None:
        self._demand(provider, PagedStateStore)
        iterator = provider.iter_keys()
        assert isinstance(iterator, AsyncIterator)
        assert [key async for key in iterator] == []
        keys = [f"key:{number:06}" for number in range(self.many)]
        await self._set_all(provider, ["before", *reversed(keys), "leftover"])
        assert [key async for key in provider.iter_keys("key:")] == keys
        assert [key async for key in provider.iter_keys()] == [
            "before",
            *keys,
            "leftover",
        ]
        assert await provider.keys("key:") == keys

    async def test_iter_keys_goes_on_while_keys_change(self, provider: Any) -> None:
        """What stays comes once; what comes or goes meanwhile, at most once."""
        self._demand(provider, PagedStateStore)
        keys = [f"key:{number:06}" for number in range(self.many)]
        await self._set_all(provider, keys)
        seen: list[str] = []
        async for key in provider.iter_keys("key:"):
            number = len(seen)
            seen.append(key)
            if number % (self.many // _TOGETHER) == 0:
                await provider.delete(key)
                await provider.set(f"{key}:new", 1)
                await provider.set("key:", 1)
                await provider.delete(keys[-1 - number // 10])
        assert seen == sorted(set(seen))
        stay = set(await provider.keys("key:")) & set(keys)
        assert stay <= set(seen)

    async def test_iter_keys_may_be_left_early(self, provider: Any) -> None:
        self._demand(provider, PagedStateStore)
        await self._set_all(provider, [f"key:{number}" for number in range(_TOGETHER)])
        left = []
        for _ in range(_TOGETHER):
            iterator = provider.iter_keys()
            await anext(iterator)
            left.append(iterator)
        assert len(await provider.keys()) == _TOGETHER
        for iterator in left:
            # An iterator that is no generator has nothing to close.
            await getattr(iterator, "aclose", anyio.lowlevel.checkpoint)()
        assert len([key async for key in provider.iter_keys()]) == _TOGETHER

    async def test_closed_store_refuses_every_call(self, provider: Any) -> None:
        self._demand(provider, OpenedStateStore)
        async with provider as store:
            assert store is provider
            await provider.set("key", 1)
        await provider.aclose()
        await provider.aclose()
        for call in [
            partial(provider.set, "key", 2),
            partial(provider.get, "key"),
            partial(provider.delete, "key"),
            partial(provider.has, "key"),
            partial(provider.keys),
            partial(provider.set_if_absent, "other", 2),
            partial(provider.compare_and_set, "key", 1, 2),
            partial(provider.get_many, ["key"]),
            partial(provider.set_many, {"key": 2}),
            partial(_listed, provider),
        ]:
            with pytest.raises(RuntimeError):
                await call()

    async def test_calls_at_random_agree_with_a_dict(self, provider: Any) -> None:
        seed = SystemRandom().getrandbits(32) if self.seed is None else self.seed
        print(f"to repeat it: seed = {seed}")
        keys = [*KEYS, *ODD_KEYS] if self.strict else KEYS
        model = StateModel(provider, Random(seed), keys)
        if _can(provider, ExpiringStateStore):
            model.lets_expire(self.ttl_s, lambda: self._expire(provider))
        await model.play(self.steps)


@asynccontextmanager
async def _same(provider: Any) -> AsyncIterator[Any]:
    yield provider


async def _listed(provider: Any) -> list[str]:
    return [key async for key in provider.iter_keys()]


def _can(provider: Any, capability: type[Any]) -> bool:
    """Whether it has a capability; a type checker learns nothing by that."""
    return isinstance(provider, capability)

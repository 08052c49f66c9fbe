"""StateStoreContract: what a provider of the StateStore facet has to show.

Knows the facet and no provider.  Start at `StateStoreContract.provider`.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from latency_kv.facets.stores import StateStore

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

_TOGETHER = 20


class StateStoreContract:
    """Run by a test class that inherits it and overrides `provider`."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def provider(self) -> Any:
        """A store that holds nothing; may be async, and may clean up after a yield."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    async def test_provider_is_a_state_store(self, provider: StateStore) -> None:
        assert isinstance(provider, StateStore)

    async def test_values_come_back_equal_and_of_their_type(
        self, provider: StateStore
    ) -> None:
        for number, value in enumerate(_VALUES):
            await provider.set(f"key:{number}", value)
        for number, value in enumerate(_VALUES):
            assert _typed(await provider.get(f"key:{number}")) == _typed(value)

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


def _typed(value: Any) -> Any:
    """Return the value with its types beside it: True is not 1 then, nor 1 1.0."""
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    return type(value), value

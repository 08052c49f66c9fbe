"""SecretStoreContract: what a provider of the SecretStore facet has to show.

Knows the facet and no provider.  Start at `SecretStoreContract.provider`.
"""

from __future__ import annotations

from typing import Any

import pytest

from latency_kv.errors import FacetError
from latency_kv.facets.secret_store import SecretStore
from latency_kv.testing.rules import refused

__all__ = ["SecretStoreContract"]

_VALUES = [
    "hunter2",
    "",
    " ",
    "two\nlines\n",
    "'\"%s{}$HOME`\\",
    "\u00e9\u4e16\U0001f600",
]


class SecretStoreContract:
    """Run by a test class that inherits it and overrides `provider`.

    For a store that only reads, override `read_only` and `prepared` as well.
    """

    pytestmark = pytest.mark.anyio

    read_only = False
    """Whether the provider refuses to change what it holds."""

    keys: tuple[str, str] = "CONTRACT_ONE", "CONTRACT_TWO"
    """Two keys that may stand in the store, and do not."""

    prepared: tuple[str, str] | None = None
    """A key that the store holds before each test, and its value."""

    @pytest.fixture
    def provider(self) -> Any:
        """A store without `keys`; may be async, and may clean up after a yield."""
        raise NotImplementedError(f"{type(self).__name__} has to override `provider`")

    async def _held(self, provider: SecretStore) -> tuple[str, str]:
        """Return a key that the store holds, with its value."""
        if self.prepared is None:
            assert not self.read_only, "a store that only reads needs `prepared`"
            key = self.keys[0]
            await provider.set_secret(key, "hunter2")
            return key, "hunter2"
        return self.prepared

    def _writable(self) -> None:
        """Skip what a store that only reads cannot show."""
        if self.read_only:
            pytest.skip("the provider is read-only")

    async def test_provider_is_a_secret_store(self, provider: SecretStore) -> None:
        assert isinstance(provider, SecretStore)

    async def test_secret_that_is_held_is_told(self, provider: SecretStore) -> None:
        key, value = await self._held(provider)
        assert await provider.get_secret(key) == value
        assert await provider.has_secret(key) is True

    async def test_missing_secret_is_none(self, provider: SecretStore) -> None:
        await self._held(provider)
        assert await provider.get_secret(self.keys[1]) is None
        assert await provider.has_secret(self.keys[1]) is False

    async def test_empty_key_is_refused(self, provider: SecretStore) -> None:
        with refused("VALIDATION"):
            await provider.get_secret("")
        with refused("VALIDATION"):
            await provider.has_secret("")
        if not self.read_only:
            with refused("VALIDATION"):
                await provider.set_secret("", "value")
            with refused("VALIDATION"):
                await provider.delete_secret("")

    async def test_secrets_stay_out_of_the_repr(self, provider: SecretStore) -> None:
        _, value = await self._held(provider)
        assert value not in repr(provider)
        assert value not in str(provider)

    async def test_secrets_come_back_as_they_were_set(
        self, provider: SecretStore
    ) -> None:
        self._writable()
        for value in _VALUES:
            await provider.set_secret(self.keys[0], value)
            assert await provider.get_secret(self.keys[0]) == value
            assert await provider.has_secret(self.keys[0]) is True

    async def test_secrets_are_apart(self, provider: SecretStore) -> None:
        self._writable()
        one, two = self.keys
        await provider.set_secret(one, "1")
        await provider.set_secret(two, "2")
        assert await provider.get_secret(one) == "1"
        assert await provider.delete_secret(two) is True
        assert await provider.get_secret(one) == "1"

    async def test_delete_tells_whether_there_was_one(
        self, provider: SecretStore
    ) -> None:
        self._writable()
        key = self.keys[0]
        assert await provider.delete_secret(key) is False
        await provider.set_secret(key, "")
        assert await provider.delete_secret(key) is True
        assert await provider.delete_secret(key) is False
        assert await provider.get_secret(key) is None
        assert await provider.has_secret(key) is False

    async def test_read_only_store_refuses_to_change(
        self, provider: SecretStore
    ) -> None:
        if not self.read_only:
            pytest.skip("the provider can write")
        key, value = await self._held(provider)
        for name in (key, self.keys[0]):
            with refused("AUTH"):
                await provider.set_secret(name, "changed")
            with refused("AUTH"):
                await provider.delete_secret(name)
        assert await provider.get_secret(key) == value
        assert await provider.has_secret(self.keys[0]) is False

    async def test_errors_tell_no_secret(self, provider: SecretStore) -> None:
        for key in ("", self.keys[0]):
            try:
                await provider.set_secret(key, "hunter2")
            except FacetError as error:
                assert "hunter2" not in f"{error} {error!r} {error.__cause__!r}"

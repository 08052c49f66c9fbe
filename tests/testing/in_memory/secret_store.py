"""InMemorySecretStore: the SecretStore facet over a dict.

Start at `InMemorySecretStore.set_secret`.
"""

from collections.abc import Mapping

from latency_kv.errors import FacetError


class InMemorySecretStore:
    """Holds secrets; one that is read-only refuses to change them."""

    def __init__(
        self, secrets: Mapping[str, str] | None = None, *, read_only: bool = False
    ) -> None:
        self.secrets = dict(secrets or {})
        self.read_only = read_only

    async def get_secret(self, key: str, /) -> str | None:
        self.check(key)
        return self.secrets.get(key)

    async def set_secret(self, key: str, value: str, /) -> None:
        self.check(key)
        self.demand_writable(key)
        self.secrets[key] = value

    async def delete_secret(self, key: str, /) -> bool:
        self.check(key)
        self.demand_writable(key)
        return self.secrets.pop(key, None) is not None

    async def has_secret(self, key: str, /) -> bool:
        self.check(key)
        return key in self.secrets

    def check(self, key: str) -> None:
        if not key:
            raise FacetError("a secret needs a key", "VALIDATION")

    def demand_writable(self, key: str) -> None:
        if self.read_only:
            raise FacetError(f"the store may not change {key!r}", "AUTH")

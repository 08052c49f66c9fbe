"""Secret stores that only read, with one defect each."""

from latency_kv.errors import FacetError
from latency_kv.testing.secret_store import SecretStoreContract
from testing.in_memory.secret_store import InMemorySecretStore
from testing.planting import seen_by


@seen_by(SecretStoreContract.test_read_only_store_refuses_to_change)
class Writes(InMemorySecretStore):
    def demand_writable(self, key: str) -> None:
        """It may."""


@seen_by(SecretStoreContract.test_read_only_store_refuses_to_change)
class IgnoresWrites(InMemorySecretStore):
    async def set_secret(self, key: str, value: str, /) -> None:
        """It does not hold, and does not say so."""


@seen_by(SecretStoreContract.test_read_only_store_refuses_to_change)
class DeletesQuietly(InMemorySecretStore):
    async def delete_secret(self, key: str, /) -> bool:
        return False


@seen_by(SecretStoreContract.test_read_only_store_refuses_to_change)
class WritesBeforeItRefuses(InMemorySecretStore):
    async def set_secret(self, key: str, value: str, /) -> None:
        self.secrets[key] = value
        await super().set_secret(key, value)


@seen_by(SecretStoreContract.test_read_only_store_refuses_to_change)
class RefusesAnyhow(InMemorySecretStore):
    def demand_writable(self, key: str) -> None:
        raise FacetError("no", "UNKNOWN")


@seen_by(
    SecretStoreContract.test_secret_that_is_held_is_told,
    SecretStoreContract.test_read_only_store_refuses_to_change,
)
class HoldsNothing(InMemorySecretStore):
    async def get_secret(self, key: str, /) -> str | None:
        return None


@seen_by(SecretStoreContract.test_secrets_stay_out_of_the_repr)
class Talkative(InMemorySecretStore):
    def __repr__(self) -> str:
        return f"Talkative({self.secrets})"


@seen_by(SecretStoreContract.test_errors_tell_no_secret)
class TellsInErrors(InMemorySecretStore):
    async def set_secret(self, key: str, value: str, /) -> None:
        raise FacetError(f"cannot set {value!r}", "AUTH")

"""Secret stores with one defect each."""

from latency_kv.errors import FacetError
from latency_kv.testing.secret_store import SecretStoreContract
from testing.in_memory.secret_store import InMemorySecretStore
from testing.planting import seen_by


@seen_by(SecretStoreContract.test_provider_is_a_secret_store)
class WithoutHas(InMemorySecretStore):
    has_secret = None  # type: ignore[assignment]


@seen_by(
    SecretStoreContract.test_secret_that_is_held_is_told,
    SecretStoreContract.test_secrets_come_back_as_they_were_set,
)
class Blind(InMemorySecretStore):
    async def has_secret(self, key: str, /) -> bool:
        return False


@seen_by(SecretStoreContract.test_missing_secret_is_none)
class RaisesForMissing(InMemorySecretStore):
    async def get_secret(self, key: str, /) -> str | None:
        if key not in self.secrets:
            raise FacetError("there is no such secret", "NOT_FOUND")
        return await super().get_secret(key)


@seen_by(SecretStoreContract.test_missing_secret_is_none)
class EmptyForMissing(InMemorySecretStore):
    async def get_secret(self, key: str, /) -> str | None:
        return await super().get_secret(key) or ""


@seen_by(SecretStoreContract.test_empty_key_is_refused)
class TakesAnyKey(InMemorySecretStore):
    def check(self, key: str) -> None:
        """Any will do."""


@seen_by(SecretStoreContract.test_secrets_stay_out_of_the_repr)
class Talkative(InMemorySecretStore):
    def __repr__(self) -> str:
        return f"Talkative({self.secrets})"


@seen_by(SecretStoreContract.test_secrets_stay_out_of_the_repr)
class TalkativeAsText(InMemorySecretStore):
    def __str__(self) -> str:
        return f"holds {self.secrets}"


@seen_by(SecretStoreContract.test_secrets_come_back_as_they_were_set)
class Strips(InMemorySecretStore):
    async def set_secret(self, key: str, value: str, /) -> None:
        await super().set_secret(key, value.strip())


@seen_by(SecretStoreContract.test_secrets_come_back_as_they_were_set)
class NeverReplaces(InMemorySecretStore):
    async def set_secret(self, key: str, value: str, /) -> None:
        if not await self.has_secret(key):
            await super().set_secret(key, value)


@seen_by(SecretStoreContract.test_secrets_come_back_as_they_were_set)
class EmptyIsNone(InMemorySecretStore):
    async def get_secret(self, key: str, /) -> str | None:
        return await super().get_secret(key) or None


@seen_by(SecretStoreContract.test_secrets_are_apart)
class HoldsOne(InMemorySecretStore):
    async def set_secret(self, key: str, value: str, /) -> None:
        self.secrets.clear()
        await super().set_secret(key, value)


@seen_by(SecretStoreContract.test_secrets_are_apart)
class DeletesAll(InMemorySecretStore):
    async def delete_secret(self, key: str, /) -> bool:
        deleted = await super().delete_secret(key)
        self.secrets.clear()
        return deleted


@seen_by(SecretStoreContract.test_delete_tells_whether_there_was_one)
class DeletesTheMissing(InMemorySecretStore):
    async def delete_secret(self, key: str, /) -> bool:
        await super().delete_secret(key)
        return True


@seen_by(SecretStoreContract.test_delete_tells_whether_there_was_one)
class DeletesNothing(InMemorySecretStore):
    async def delete_secret(self, key: str, /) -> bool:
        return key in self.secrets


@seen_by(SecretStoreContract.test_errors_tell_no_secret)
class TellsInErrors(InMemorySecretStore):
    async def set_secret(self, key: str, value: str, /) -> None:
        if not key:
            raise FacetError(f"no key for {value!r}", "VALIDATION")
        await super().set_secret(key, value)


@seen_by(SecretStoreContract.test_errors_tell_no_secret)
class TellsInCauses(InMemorySecretStore):
    async def set_secret(self, key: str, value: str, /) -> None:
        if not key:
            raise FacetError("no key", "VALIDATION", KeyError(key, value))
        await super().set_secret(key, value)

"""Secret store: credentials by name.  Start at `SecretStore`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["SecretStore"]


@runtime_checkable
class SecretStore(Protocol):
    """key -> a secret text, from variables to a vault; async.

    An implementer shows no value in a `repr`, a message or a log.  A consumer asks when
    it needs the secret and keeps it no longer: the next answer may be a new one.  The
    empty text is a secret like any other.

        VALIDATION   a key that the store can never have, the empty one first of all
        AUTH         the store does not let this provider do it; a read-only one lets
                     nobody set or delete, whatever the key
    """

    async def get_secret(self, key: str, /) -> str | None:
        """Return the secret, or None where there is none."""
        ...

    async def set_secret(self, key: str, value: str, /) -> None:
        """Store the secret, over an older one."""
        ...

    async def delete_secret(self, key: str, /) -> bool:
        """Delete the secret; return whether there was one."""
        ...

    async def has_secret(self, key: str, /) -> bool:
        """Tell whether there is a secret of this key, without reading it."""
        ...

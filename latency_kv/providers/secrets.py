"""Secrets: the SecretStore facet over the environment's variables, to be read only.

What starts the process puts the secrets there: a container, systemd, a shell.

Knows no plugin.  Start at `EnvironmentSecretStore`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from latency_kv.errors import FacetError

__all__ = ["EnvironmentSecretStore"]


class EnvironmentSecretStore:
    """A SecretStore that reads variables, each when it is asked for.

    The secret `key` is the variable `prefix + key`; one that is set to nothing is the
    empty string, and there.  environ is what to read instead of `os.environ`.  To ask
    for a key that no variable can have (empty, with '=' or NUL, or that the system's
    encoding cannot write) raises FacetError VALIDATION, to write any raises AUTH.  No
    message and no repr shows a value.

    >>> import anyio
    >>> secrets = EnvironmentSecretStore("SHOP_", {"SHOP_TOKEN": "hunter2"})
    >>> anyio.run(secrets.get_secret, "TOKEN")
    'hunter2'
    >>> secrets
    EnvironmentSecretStore('SHOP_')
    """

    __slots__ = ("_environ", "_prefix")

    def __init__(
        self, prefix: str = "", environ: Mapping[str, str] | None = None
    ) -> None:
        if not _can_be_named(prefix):
            raise ValueError(f"no variable's name can start with {prefix!r}")
        self._prefix = prefix
        self._environ = environ

    def __repr__(self) -> str:
        return f"EnvironmentSecretStore({self._prefix!r})"

    async def get_secret(self, key: str) -> str | None:
        """Return the variable's value as it is now, None if it is not set."""
        return self._variables().get(self._name(key))

    async def has_secret(self, key: str) -> bool:
        """Tell whether the variable is set, be it to nothing."""
        return self._name(key) in self._variables()

    async def set_secret(self, key: str, value: str) -> None:
        """Raise FacetError AUTH: whoever starts the process sets its variables."""
        raise _read_only()

    async def delete_secret(self, key: str) -> bool:
        """Raise FacetError AUTH, whether there is such a secret or not."""
        raise _read_only()

    def _variables(self) -> Mapping[str, str]:
        # Not at construction: os.environ may be replaced as a whole.
        return os.environ if self._environ is None else self._environ

    def _name(self, key: str) -> str:
        if key == "" or not _can_be_named(key):
            raise FacetError(
                f"no variable can be named by the key {key!r}", "VALIDATION"
            )
        return self._prefix + key


def _read_only() -> FacetError:
    return FacetError(
        "the environment is read-only: change the variable where the process is started",
        "AUTH",
    )


def _can_be_named(part: str) -> bool:
    """Whether a variable's name may hold this; TypeError for what is no str."""
    if not isinstance(part, str):
        raise TypeError(f"a str is needed, not {type(part).__name__}")
    try:
        os.fsencode(part)
    except UnicodeEncodeError:
        return False
    return "=" not in part and "\0" not in part

"""Providers: facets served by what every process has, so without a server.

    StandardLogger            logging: Logger, over the standard library's logging
    PyeeEventBus              events: EventBus, over pyee
    EnvironmentSecretStore    secrets: SecretStore, over the environment's variables

Each is imported when it is first asked for.  Knows the facets, no plugin and no host.
Start at `StandardLogger`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency_kv.providers.events import PyeeEventBus
    from latency_kv.providers.logging import StandardLogger
    from latency_kv.providers.secrets import EnvironmentSecretStore

__all__ = ["EnvironmentSecretStore", "PyeeEventBus", "StandardLogger"]

_LATER = {
    "EnvironmentSecretStore": "latency_kv.providers.secrets",
    "PyeeEventBus": "latency_kv.providers.events",
    "StandardLogger": "latency_kv.providers.logging",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Door: the providers' room lends its names, and imports what is asked for."""

from typing import Any

import pytest

import latency_kv.providers
from fresh import run_fresh
from latency_kv.providers import (
    EnvironmentSecretStore,
    FileStateStore,
    MemoryStateStore,
    PyeeEventBus,
    StandardLogger,
    open_state_store,
)

HEAVY = ["anyio", "asyncio", "pyee", "trio"]


def test_names_are_lent() -> None:
    homes: dict[Any, str] = {
        EnvironmentSecretStore: "secrets",
        FileStateStore: "file",
        MemoryStateStore: "memory",
        PyeeEventBus: "events",
        StandardLogger: "logging",
        open_state_store: "state_stores",
    }
    for provider, home in homes.items():
        assert provider.__module__ == f"latency_kv.providers.{home}"
        assert provider.__name__ in dir(latency_kv.providers)


def test_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match=r"latency_kv\.providers.*'Redis'"):
        _ = latency_kv.providers.Redis


@pytest.mark.parametrize(
    ("name", "imported"),
    [
        ("StandardLogger", []),
        ("EnvironmentSecretStore", []),
        ("PyeeEventBus", ["pyee"]),
        ("MemoryStateStore", ["anyio"]),
        ("open_state_store", []),
    ],
)
def test_provider_imports_what_it_needs(name: str, imported: list[str]) -> None:
    program = f"""
import sys
from latency_kv.providers import {name}
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert run_fresh("-c", program) == f"{imported}\n"

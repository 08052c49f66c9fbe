"""Log: the lines that a host writes, most of them what its store tells by events.

Knows no plugin and no store.  Start at `Log.heard`.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

from latency_kv.documents import StateEvent


class Log:
    """Collects lines; a host in earnest would hand them to `logging`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def heard(self, event: StateEvent) -> None:
        """Write what a store tells: `events.on("*", log.heard)`."""
        self.lines.append(line_of(event))

    def say(self, plugin_name: str, words: str) -> None:
        """Write what the host has to tell."""
        self.lines.append(f"host {plugin_name}: {words}")


def line_of(event: StateEvent) -> str:
    """Return an event as one line, with files by their names alone.

    >>> from latency_kv.documents import StateMigratedEvent
    >>> line_of(StateMigratedEvent("clock", from_version=1, to_version=3))
    'state.migrated clock: from_version 1, to_version 3'
    """
    told = [
        f"{field.name} {_shown(field.name, getattr(event, field.name))}"
        for field in fields(event)
        if field.name != "plugin_name"
    ]
    return f"{event.type} {event.plugin_name}" + ": " * bool(told) + ", ".join(told)


def _shown(name: str, value: Any) -> str:
    return Path(value).name if name.endswith("_path") else str(value)

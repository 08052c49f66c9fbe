"""State tables: a plugin, a backup, a trouble as a row, for a terminal, a pipe or JSON.

Start at `PluginRow`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from latency_kv.cli.difference import Difference
from latency_kv.cli.notation import printable
from latency_kv.cli.screen import age_text
from latency_kv.cli.state_files import Finding, Holding
from latency_kv.cli.state_screen import Column, StateScreen, cut, iso

# Of a version on a terminal: enough for all that anybody counts to.
_MOST_DIGITS = 12

PLUGIN_COLUMNS = (
    Column("HEALTH"),
    Column("PLUGIN", elastic=True),
    Column("VERSION", right=True),
    Column("BYTES", right=True),
    Column("MODIFIED"),
    Column("BACKUPS", right=True),
    Column("SET ASIDE", right=True),
)

BACKUP_COLUMNS = (
    Column("BACKUP"),
    Column("HEALTH"),
    Column("VERSION", right=True),
    Column("BYTES", right=True),
    Column("MODIFIED"),
    Column("DIFFERS"),
    Column("FILE", elastic=True),
)

TROUBLE_COLUMNS = (
    Column("HEALTH"),
    Column("PLUGIN", elastic=True),
    Column("FILE", elastic=True),
    Column("TROUBLE", elastic=True),
)


@dataclass(frozen=True)
class PluginRow:
    """A plugin, and what its document turned out to be."""

    holding: Holding
    state: Finding

    def facts(self) -> dict[str, Any]:
        return {
            "plugin": self.holding.name,
            "stem": self.holding.stem,
            **_facts(self.state),
            "backups": len(self.holding.backups),
            "set_aside": len(self.holding.corrupt),
        }

    def fields(self, screen: StateScreen) -> list[str]:
        health, *rest, reason = _fields(self.state)
        return [health, self._name(screen), *rest, *self._counts(), reason]

    def cells(self, screen: StateScreen) -> list[str]:
        health, *rest, reason = _cells(self.state)
        return [health, self._name(screen), *rest, *self._counts(), reason]

    def _name(self, screen: StateScreen) -> str:
        return screen.name(self.holding)

    def _counts(self) -> list[str]:
        return [str(len(self.holding.backups)), str(len(self.holding.corrupt))]


@dataclass(frozen=True)
class BackupRow:
    """A backup, or a damaged file that was set aside.

    number is what restore takes, or the damaged file's; without counts it cannot be
    compared.
    """

    kind: str
    number: int
    finding: Finding
    counts: dict[str, int] | None

    def facts(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "number": self.number,
            "path": str(self.finding.path),
            **_facts(self.finding),
            "differences": self.counts,
        }

    def fields(self, screen: StateScreen) -> list[str]:
        return self._arranged(_fields(self.finding))

    def cells(self, screen: StateScreen) -> list[str]:
        return self._arranged(_cells(self.finding))

    def _arranged(self, texts: list[str]) -> list[str]:
        *rest, reason = texts
        number = str(self.number) if self.kind == "backup" else f"corrupt-{self.number}"
        differs = ""
        if self.counts is not None:
            added, removed, changed = self.counts.values()
            differs = f"+{added} -{removed} ~{changed}"
        return [number, *rest, differs, self.finding.path.name, reason]


@dataclass(frozen=True)
class TroubleRow:
    """A file that validate complains of."""

    holding: Holding
    finding: Finding

    def facts(self) -> dict[str, Any]:
        return {
            "plugin": self.holding.name,
            "stem": self.holding.stem,
            "path": str(self.finding.path),
            "health": str(self.finding.health),
            "reason": self.finding.reason,
        }

    def fields(self, screen: StateScreen) -> list[str]:
        return self.cells(screen)

    def cells(self, screen: StateScreen) -> list[str]:
        name, file = screen.name(self.holding), self.finding.path.name
        return [self.finding.health, name, file, printable(self.finding.reason)]


def counted(found: Sequence[Difference]) -> dict[str, int]:
    """Return how many differences there are of each kind."""
    counts = Counter(difference.kind for difference in found)
    return {kind: counts[kind] for kind in ("added", "removed", "changed")}


def counts_text(counts: dict[str, int]) -> str:
    """Return counts in words.

    >>> counts_text({"added": 1, "removed": 0, "changed": 1200})
    '1 added, 0 removed, 1,200 changed'
    """
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def age(finding: Finding) -> str:
    """Return how long ago a document was written."""
    if finding.modified is None:
        return ""
    return age_text(datetime.now(UTC) - finding.modified)


def _facts(finding: Finding) -> dict[str, Any]:
    return {
        "health": str(finding.health),
        "version": finding.version,
        "bytes": finding.size,
        "last_modified": None if finding.modified is None else iso(finding.modified),
        "reason": finding.reason or None,
    }


def _fields(finding: Finding) -> list[str]:
    """Health, version, size, time and reason, for a pipe."""
    facts = _facts(finding)
    texts = ["" if fact is None else str(fact) for fact in facts.values()]
    return [*texts[:-1], printable(texts[-1])]


def _cells(finding: Finding) -> list[str]:
    """Health, version, size, age and reason, for a terminal."""
    version = "" if finding.version is None else str(finding.version)
    version = cut(version, _MOST_DIGITS)
    size = "" if finding.size is None else f"{finding.size:,}"
    reason = printable(finding.reason)
    return [finding.health, version, size, age(finding), reason]

"""Migrations: which steps lift a document from its version to a newer one.

    version 2, target 5:    migrations[3]    migrations[4]    migrations[5]

Every step is there before the first is taken.  Runs none of them.  Start at `plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from latency_kv.errors import StateMigrationError

if TYPE_CHECKING:
    from pathlib import Path

    from latency_kv.facets.stores import Migration

__all__ = ["plan"]


def plan(
    plugin_name: str,
    version: int,
    target_version: int,
    migrations: Mapping[int, Migration],
    path: Path | None = None,
) -> list[tuple[int, Migration]]:
    """List the steps in their order, each with the version that it makes.

    Empty at the target version or above it.  StateMigrationError names every version
    that has no migration, and carries the path.

    >>> steps = plan("clock", 1, 3, {3: lambda data, _: data, 2: lambda data, _: [data]})
    >>> [version for version, _ in steps]
    [2, 3]
    """
    # The migrations are walked, not the versions: a target may be any number.
    steps = sorted(
        step
        for step in migrations
        if isinstance(step, int) and version < step <= target_version
    )
    missing = []
    expected = version + 1
    for step in [*steps, target_version + 1]:
        if expected < step:
            missing.append(_shown(expected, step - 1))
        expected = step + 1
    if missing:
        raise StateMigrationError(
            plugin_name,
            f"from version {version} to {target_version}, there is no migration for: "
            + ", ".join(missing),
            path,
        )
    return [(step, migrations[step]) for step in steps]


def _shown(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"

"""Migrations: the steps that lift a document from its version to a newer one.

    version 2, target 5:    migrations[3]    migrations[4]    migrations[5]

Every step is there before the first is taken.  Start at `plan`, then `migrated`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from latency_kv.documents.document import detached
from latency_kv.errors import StateMigrationError

if TYPE_CHECKING:
    from pathlib import Path

    from latency_kv.facets.stores import Migration

__all__ = ["migrated", "plan"]


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


async def migrated(
    plugin_name: str,
    data: Any,
    steps: Sequence[tuple[int, Migration]],
    path: Path | None = None,
) -> Any:
    """Take the steps, on the loop or awaited, and return what the last one made.

    data are the steps' to work on.  Raises StateMigrationError from what one raises, and
    where the result is no JSON.
    """
    for version, step in steps:
        try:
            data = step(data, version - 1)
            if isawaitable(data):
                data = await data
            if version == steps[-1][0]:
                data = detached(data, plugin_name)
        except Exception as error:
            reason = f"its migration to version {version} raised {error!r}"
            raise StateMigrationError(plugin_name, reason, path) from error
    return data


def _shown(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"

"""State changes: `latency-kv state restore` and `migrate`, the verbs that write.

Both write by a store, so locks, backups and whole files are its own, and both show what
they change.  Whatever they replace is backup 1 afterwards, and no older backup goes.

Start at `restore`.
"""

import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
import typer

from latency_kv.cli.app import whole_number
from latency_kv.cli.imported import imported
from latency_kv.cli.notation import printable
from latency_kv.cli.screen import fail, note, verb, working
from latency_kv.cli.state_files import (
    Finding,
    Health,
    Holding,
    compared,
    holdings,
    reason_of,
)
from latency_kv.cli.state_screen import StateScreen
from latency_kv.cli.state_tables import age, counted, counts_text
from latency_kv.cli.state_terms import Directory, Json, Limit, Plugin, named
from latency_kv.documents.document import detached
from latency_kv.documents.migrations import migrated, plan
from latency_kv.documents.store import FileSystemStateStore
from latency_kv.errors import StateError
from latency_kv.facets.stores import Migration

_T = TypeVar("_T")

# A store that keeps so many more than there are prunes none, whoever saves meanwhile.
_SPARE_BACKUPS = 8

# For a write of another process to end, in seconds.
_LOCK_TIMEOUT_S = 10.0

# Where what a restore replaced is.
_REPLACED = {
    Health.OK: "; what the document was is backup 1",
    Health.DAMAGED: "; the damaged document is set aside beside it",
}

# What goes wrong is told on the screen, and once.
logging.getLogger("latency_kv.documents").addHandler(logging.NullHandler())


@verb
def restore(
    directory: Directory,
    plugin: Plugin,
    index: Annotated[
        int,
        typer.Option(
            "--index",
            parser=whole_number(1),
            metavar="N",
            help="Which backup; 1 is the newest.",
        ),
    ] = 1,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    limit: Limit = None,
    json: Json = False,
) -> int:
    """Put a backup in the document's place.

    Shows what that changes and asks; without a terminal it needs --yes.  What it
    replaces becomes backup 1 (if damaged: is set aside), and no backup is lost.  Status
    1: you said no.
    """
    screen = StateScreen(limit)
    holding = holdings(directory).of(named(plugin))
    backup, state = holding.backup(index), holding.state()
    if backup.health is not Health.OK:
        fail(backup.trouble + _sound_one(holding))
    what = f"backup {index} of {screen.name(holding)}"
    if state.health is Health.OK:
        found = compared(state, backup)
        if not found:
            note(f"nothing to do: {what} is what the document is")
            return 0
        screen.differences(found, json=json)
        change = counts_text(counted(found))
    elif state.health is Health.DAMAGED:
        change = f"the document is damaged ({state.reason}) and will be set aside"
    elif state.health is Health.CLEARED:
        change = "there is no document now"
    else:
        fail(state.trouble)
    note(f"{what}, of version {backup.version}, {age(backup)}: {change}")
    if not (yes or _agreed(f"Restore {what}?")):
        note("nothing was changed")
        return 1
    if (holding.backup(index).raw, holding.state().raw) != (backup.raw, state.raw):
        fail("somebody wrote meanwhile, and nothing was changed: look again")
    _write(holding, lambda store, name: store.restore(name, index))
    if holding.state().raw != backup.raw:
        fail(
            f"somebody wrote meanwhile: the document is not {what} as it was shown; "
            "what the restore replaced is a backup: look at them again"
        )
    note(f"restored {what}{_REPLACED.get(state.health, '')}")
    return 0


@verb
def migrate(
    directory: Directory,
    plugin: Plugin,
    to: Annotated[
        int,
        typer.Option(
            "--to",
            parser=whole_number(0),
            metavar="N",
            help="The version to reach.",
        ),
    ],
    with_: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="MODULE:MAPPING",
            help="{version: function(data, version before)}, imported from the current "
            "folder first.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show it: nothing is written.")
    ] = False,
    limit: Limit = None,
    json: Json = False,
) -> int:
    """Lift a plugin's document to a newer version.

    Shows what that changes.  All steps or none: one that is missing or fails leaves the
    document as it is.  What it was becomes backup 1, and no backup is lost.
    """
    screen = StateScreen(limit)
    holding = holdings(directory).of(named(plugin))
    old = holding.state()
    version = old.document.version
    migrations = _migrations(with_)
    if version >= to:
        note(f"nothing to do: {screen.name(holding)} has version {version} already")
        return 0
    if dry_run:
        new = _tried(old, to, migrations)
        end = "nothing was written"
    else:
        _write(
            holding,
            lambda store, name: store.migrate(name, to, migrations),
            # As it is now: an indented document has more than its last line end.
            pretty=b"\n" in old.raw.strip(),
        )
        new = holding.state()
        end = "restore brings back what it was"
    found = compared(old, new)
    screen.differences(found, json=json)
    change = counts_text(counted(found))
    note(f"{screen.name(holding)}, from version {version} to {to}: {change}; {end}")
    return 0


def _sound_one(holding: Holding) -> str:
    for index in range(1, len(holding.backups) + 1):
        if holding.backup(index).health is Health.OK:
            return f"; backup {index} is sound"
    return "; no backup is sound"


def _agreed(question: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        fail("there is no terminal to ask at: --yes restores without being asked")
    return typer.confirm(printable(question), err=True)


def _write(
    holding: Holding,
    operation: Callable[[FileSystemStateStore, str], Awaitable[None]],
    *,
    pretty: bool = True,
) -> None:
    """Let a store do it; leaves the program where it fails."""

    async def main() -> None:
        async with FileSystemStateStore(
            state_dir=holding.directory,
            max_backups=len(holding.backups) + _SPARE_BACKUPS,
            pretty_print=pretty,
            lock_timeout=_LOCK_TIMEOUT_S,
        ) as store:
            assert holding.name is not None
            await operation(store, holding.name)

    _run(main, holding.directory)


def _run(main: Callable[[], Awaitable[_T]], directory: Path) -> _T:
    try:
        with working(f"changing {directory}"):
            return anyio.run(main)
    except StateError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{directory}: {reason_of(error, 'folder')}")


def _tried(old: Finding, to: int, migrations: Mapping[int, Migration]) -> Finding:
    """Return what the migrations would make of a document."""
    document = old.document
    name = document.metadata.plugin_name

    async def main() -> Any:
        steps = plan(name, document.version, to, migrations)
        # A step may work on what it is given, and that is shown beside the result.
        return await migrated(name, detached(document.data, name), steps)

    data = _run(main, old.path.parent)
    return old._replace(state=replace(document, version=to, data=data))


def _migrations(spec: str) -> Mapping[int, Migration]:
    migrations = imported(spec)
    if not (
        isinstance(migrations, Mapping)
        and all(type(version) is int for version in migrations)
        and all(map(callable, migrations.values()))
    ):
        fail(
            f"--with {spec}: a mapping of versions to functions is wanted, such as "
            "{2: add_zone}"
        )
    return migrations

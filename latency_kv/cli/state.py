"""State: `latency-kv state`, the verbs for a folder of plugins' documents.

    list      which plugins there are         validate  whether all of it is sound
    show      one document, or what changed   restore   a backup in its place
    backups   what restore can bring back     migrate   a document of a newer version

Exit status: 0 done; 1 different (show --diff), unsound (validate), declined (restore);
2 trouble, with one line on stderr.  Only restore and migrate change anything on disk,
and they do it by a store: see `state_changes`.

What there is to read comes from `state_files`, how it looks from `state_screen`.  Start
at `list_`.
"""

from collections.abc import Callable, Sequence
from inspect import isawaitable
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from latency_kv.cli.app import VerbCommand, new_app, whole_number
from latency_kv.cli.imported import imported
from latency_kv.cli.screen import TROUBLE, fail, note, verb, working
from latency_kv.cli.state_changes import migrate, restore
from latency_kv.cli.state_files import (
    Finding,
    Health,
    Holding,
    compared,
    holdings,
    looked_at,
)
from latency_kv.cli.state_screen import StateScreen
from latency_kv.cli.state_tables import (
    BACKUP_COLUMNS,
    PLUGIN_COLUMNS,
    TROUBLE_COLUMNS,
    BackupRow,
    PluginRow,
    TroubleRow,
    age,
    counted,
    counts_text,
)
from latency_kv.cli.state_terms import Directory, Json, Limit, Plugin, named
from latency_kv.facets.stores import Validator

app = new_app(
    "Look after a folder of plugins' documents.\n\n"
    "list, show, backups and validate only read, also beside a store at work and where "
    "nothing may be written; restore and migrate write as a store does, with a backup. "
    "Names are shown with escapes such as \\x00, and \\\\ for a backslash, and are given "
    "in the same way. A pipe gets fields between tabs, whole and unlimited.",
    "latency-kv state list state",
)

# What validate says is wrong with a document; of the others it cannot say that.
_UNSOUND = {Health.DAMAGED, Health.INVALID}


@app.command("list", cls=VerbCommand, epilog="Example: latency-kv state list state")
@verb
def list_(directory: Directory, limit: Limit = None, json: Json = False) -> int:
    """Tell which plugins have state, and how it is.

    OK; DAMAGED: restore brings a backup back; NEWER: of a later release; UNREADABLE:
    not for you to read; CLEARED: only backups or damaged files are left.  A pipe gets
    the lines without the header.
    """
    screen = StateScreen(limit)
    found = holdings(directory)
    rows = []
    with working(f"reading {directory}", len(found.plugins)) as progress:
        for done, holding in enumerate(found.by_name()):
            progress(done)
            # The documents of all plugins together may be large.
            rows.append(PluginRow(holding, holding.state().without_data()))
    screen.table(PLUGIN_COLUMNS, rows, json=json)
    if not rows:
        snapshots = any(directory.glob("*.lkv"))
        hint = "; snapshots are for `latency-kv snapshot info`" if snapshots else ""
        note(f"{directory}: no plugin has anything here{hint}")
    for path in found.leftovers:
        note(
            f"{path}: a temporary file, of a write that goes on or was interrupted; "
            "the next store that opens here removes the latter"
        )
    return 0


@app.command(
    cls=VerbCommand, epilog="Example: latency-kv state show state clock --diff"
)
@verb
def show(
    directory: Directory,
    plugin: Plugin,
    backup: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(1),
            metavar="N",
            help="Backup N instead; 1 is the newest.",
        ),
    ] = None,
    diff: Annotated[
        bool,
        typer.Option(
            "--diff", help="What changed from backup N, or 1, to the document."
        ),
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="The file's bytes, damaged ones too.")
    ] = False,
    limit: Limit = None,
    json: Json = False,
) -> int:
    """Print a plugin's document, or what changed in it.

    --diff: what was added (+), removed (-) or changed (~), at places as jq takes them
    (counts go to stderr); the time of writing is left out.  Status 0: nothing changed;
    1: it did.
    """
    screen = StateScreen(limit)
    if raw and (diff or json):
        fail("--raw goes with neither --diff nor --json")
    holding = holdings(directory).of(named(plugin))
    if diff:
        return _compared(holding, backup or 1, screen, json=json)
    finding = holding.state() if backup is None else holding.backup(backup)
    if raw:
        if finding.health in (Health.UNREADABLE, Health.CLEARED):
            fail(finding.trouble)
        screen.raw(finding.raw)
    elif json:
        screen.document_json(finding)
    else:
        screen.document(finding)
    return 0


@app.command(cls=VerbCommand, epilog="Example: latency-kv state backups state clock")
@verb
def backups(
    directory: Directory, plugin: Plugin, limit: Limit = None, json: Json = False
) -> int:
    """Tell what restore can bring back.

    DIFFERS counts what was added (+), removed (-) or changed (~) from the backup to the
    document.  Files that were damaged and set aside follow.  A pipe gets the lines
    without the header.
    """
    screen = StateScreen(limit)
    holding = holdings(directory).of(named(plugin))
    state = holding.state()
    rows = []
    with working("comparing", len(holding.backups)) as progress:
        for number in range(1, len(holding.backups) + 1):
            progress(number - 1)
            finding = holding.backup(number)
            both = finding.health is state.health is Health.OK
            counts = counted(compared(finding, state)) if both else None
            rows.append(BackupRow("backup", number, finding.without_data(), counts))
    for number, path in zip(holding.corrupt, holding.corrupt_paths, strict=True):
        finding = looked_at(path, holding.name)
        rows.append(BackupRow("corrupt", number, finding.without_data(), None))
    screen.table(BACKUP_COLUMNS, rows, json=json)
    if not holding.backups:
        note(f"{screen.name(holding)} has no backups")
    return 0


@app.command(
    cls=VerbCommand,
    epilog="Example: latency-kv state validate state && echo sound",
)
@verb
def validate(
    directory: Directory,
    plugins: Annotated[
        list[str] | None,
        typer.Argument(metavar="PLUGIN", help="Only these.", show_default=False),
    ] = None,
    with_: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="MODULE:FUNCTION",
            help="function(data) -> bool, asked about each document (not its backups), "
            "imported from the current folder first.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Check documents and backups; a line for each trouble.

    Status 0: all are sound; 1: one is DAMAGED, or INVALID by your function; 2: one
    cannot be checked, NEWER or UNREADABLE.
    """
    screen = StateScreen()
    validator = None if with_ is None else _validator(with_)
    found = holdings(directory)
    chosen = [found.of(named(name)) for name in plugins or []] or found.by_name()
    files = sum(map(len, map(_checked_paths, chosen)))
    with working(f"checking {directory}", files) as progress:
        rows, sound = anyio.run(_checked, chosen, validator, progress)
    screen.table(TROUBLE_COLUMNS, rows, json=json)
    note(f"{sound:,} of {sound + len(rows):,} documents and backups are sound")
    healths = {row.finding.health for row in rows}
    return TROUBLE if healths - _UNSOUND else 1 if healths else 0


app.command(
    cls=VerbCommand,
    epilog="Example: latency-kv state restore state clock --index 2",
)(restore)
app.command(
    cls=VerbCommand,
    epilog="Example: latency-kv state migrate state clock --to 3 "
    "--with clock:MIGRATIONS --dry-run",
)(migrate)


def _compared(holding: Holding, index: int, screen: StateScreen, *, json: bool) -> int:
    backup, state = holding.backup(index), holding.state()
    found = compared(backup, state)
    screen.differences(found, json=json)
    note(f"since backup {index}, {age(backup)}: {counts_text(counted(found))}")
    return 1 if found else 0


def _validator(spec: str) -> Validator:
    validator: Validator = imported(spec)
    if not callable(validator):
        fail(f"--with {spec}: a function is wanted, not {type(validator).__name__}")
    return validator


def _checked_paths(holding: Holding) -> list[Path]:
    state = [holding.state_path] if holding.has_state else []
    return [*state, *holding.backup_paths]


async def _checked(
    chosen: Sequence[Holding],
    validator: Validator | None,
    progress: Callable[[int], None],
) -> tuple[list[TroubleRow], int]:
    """The troubles, and how many files have none."""
    troubles = []
    sound = done = 0
    for holding in chosen:
        for path in _checked_paths(holding):
            progress(done)
            done += 1
            finding = looked_at(path, holding.name)
            if finding.health is Health.OK and path == holding.state_path and validator:
                finding = await _judged(finding, validator)
            if finding.health is Health.OK:
                sound += 1
            # What has gone meanwhile was shifted or removed by a store at work.
            elif finding.health is not Health.CLEARED:
                troubles.append(TroubleRow(holding, finding.without_data()))
    return troubles, sound


async def _judged(finding: Finding, validator: Validator) -> Finding:
    reason = "your function says no"
    try:
        answer: Any = validator(finding.document.data)
        if await answer if isawaitable(answer) else answer:
            return finding
    except Exception as error:  # noqa: BLE001 - it is told, and the next one is asked
        reason = f"your function raised {error!r}"
    return finding._replace(health=Health.INVALID, reason=reason)

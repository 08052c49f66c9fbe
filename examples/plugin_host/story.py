"""Story: four acts on one state directory, and what is claimed of each.

An act's docstring is what the reader is told.  Claims are held against the files and
the log, never against what a plugin believes.  Start at `migrated`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

from plugin_host.daily_notes import DailyNotes
from plugin_host.disk import File, document, files_in
from plugin_host.flight_board import FlightBoard
from plugin_host.host import REFUSED, Host
from plugin_host.log import Log
from plugin_host.others import cut, show_no_rows, watch_two_airports

NOTE = "Water the fern"
DRAFT = "Call the dentist"
DAY = date(2026, 3, 2)
ZONES = {"JFK": "America/New_York", "ORD": "America/Chicago"}
TWO = {"airports": ZONES, "display": {"rows": 12, "clock": "24h"}}
THREE = {**TWO, "airports": {**ZONES, "LHR": "Europe/London"}}

BOARD = "flight-board.json"
BACKUP = "flight-board.backup.1.json"
CORRUPT = "flight-board.corrupt-1.json"
NOTES = "daily-notes.json"
MIGRATED = "state.migrated flight-board: from_version 1, to_version 3"
RECOVERED = (
    "state.recovered flight-board: "
    f"version 3, backup_path {BACKUP}, corrupt_path {CORRUPT}, reason it is no JSON"
)
RESTORED = "state.restored flight-board: backup_index 1"


class Act(NamedTuple):
    """What the log says when an act is over, what is on disk, and which claims hold."""

    log: list[str]
    files: list[File]
    claims: dict[str, bool]


async def begun(state_dir: Path) -> Act:
    """Leave last year's state: flight-board, at version 1, saves two airports."""
    await watch_two_airports(state_dir)
    board = document(state_dir / BOARD)
    left = {"airports": ["jfk", "ord"], "rows": 12, "clock24": True}
    claims = {
        "a list of airports is left, of version 1": (board["version"], board["data"])
        == (1, left)
    }
    return Act([], files_in(state_dir), claims)


async def migrated(state_dir: Path) -> Act:
    """Start the host with the plugins of today.

    flight-board is at version 3 and lifts its state in two steps, with one write. Then
    a third airport is watched, a note is kept, and the host is closed amid a draft.
    """
    old = (state_dir / BOARD).read_bytes()
    log = Log()
    async with _plugins(state_dir, log) as (board, notes):
        await board.watch("LHR")
        for key in NOTE:
            await notes.typed(key)
        await notes.keep(DAY)
        for key in DRAFT:
            await notes.typed(key)
    found = document(state_dir / BOARD)
    backup = (state_dir / "flight-board.backup.2.json").read_bytes()
    writes = sum(line.startswith("state.saved daily-notes") for line in log.lines)
    written = document(state_dir / NOTES)["data"]
    typed = {"notes": [{"day": DAY.isoformat(), "text": NOTE}], "draft": DRAFT}
    claims = {
        "one event told of both steps": log.lines.count(MIGRATED) == 1,
        "each airport has its zone": (found["version"], found["data"]) == (3, THREE),
        "version 1's document is a backup, byte for byte": backup == old,
        "the note was kept, and no key of the draft was lost": written == typed,
        f"{len(NOTE + DRAFT)} keys made {writes} writes": writes < len(DRAFT),
    }
    return Act(log.lines, files_in(state_dir), claims)


async def recovered(state_dir: Path) -> Act:
    """Cut a document in the middle, and start the host again.

    A crash of something less careful would leave it so. The newest good backup takes
    its place. It is one change older, so the third airport is watched once more.
    """
    backup = (state_dir / BACKUP).read_bytes()
    half = cut(state_dir / BOARD)
    log = Log()
    async with _plugins(state_dir, log) as (board, _):
        found = (state_dir / BOARD).read_bytes()
        data = document(state_dir / BOARD)["data"]
        await board.watch("LHR")
    claims = {
        "an event told of the recovery": any(
            line.startswith(RECOVERED) for line in log.lines
        ),
        "the backup took the document's place, byte for byte": found == backup,
        "one change was lost, and no more": data == TWO,
        "the damaged file was set aside": (state_dir / CORRUPT).read_bytes() == half,
    }
    return Act(log.lines, files_in(state_dir), claims)


async def restored(state_dir: Path) -> Act:
    """Import settings with a tool that checks nothing, and start the host again.

    A board of 0 rows is a sound document and no board. The plugin refuses it, and the
    host restores the backup; what was refused becomes the newest one.
    """
    notes = (state_dir / NOTES).read_bytes()
    await show_no_rows(state_dir)
    imported = (state_dir / BOARD).read_bytes()
    log = Log()
    async with _plugins(state_dir, log):
        pass
    files = files_in(state_dir)
    data = document(state_dir / BOARD)["data"]
    claims = {
        "the log told why": f"host flight-board: {REFUSED}" in log.lines,
        "an event told of the restore": RESTORED in log.lines,
        "the board is that of before the import": data == THREE,
        "what was refused is a backup": (state_dir / BACKUP).read_bytes() == imported,
        "daily-notes is as it was": (state_dir / NOTES).read_bytes() == notes,
        "no temporary file is left": not any(each.name[0] == "." for each in files),
    }
    return Act(log.lines, files, claims)


ACTS = begun, migrated, recovered, restored


@asynccontextmanager
async def _plugins(
    state_dir: Path, log: Log
) -> AsyncIterator[tuple[FlightBoard, DailyNotes]]:
    """Run a host with both plugins; what stops one of them from starting is raised."""
    board, notes = FlightBoard(), DailyNotes()
    host = Host(state_dir, log)
    async with host.running(board, notes):
        for error in host.failed.values():
            raise error
        yield board, notes

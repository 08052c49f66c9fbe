"""Backups: the names of a plugin's files, and how they move up when one is added.

    STEM.json              the document
    STEM.backup.1.json     what it replaced last; 2, 3, ... are older
    STEM.corrupt-1.json    damaged, and set aside
    STEM.lock              who may write, in a folder of its own

Knows names and numbers, and touches no disk.  Start at `rotation`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

__all__ = [
    "Rotation",
    "StateFile",
    "backup_file",
    "corrupt_file",
    "lock_file",
    "parsed",
    "rotation",
    "state_file",
]

# No number of ours gets longer; a stranger's file may have one.
_MAX_DIGITS = 18

_FILE = re.compile(
    r"(?P<stem>[a-z0-9_-]+)"
    r"(?:\.(?P<kind>backup\.|corrupt-)"
    rf"(?P<number>[1-9][0-9]{{0,{_MAX_DIGITS - 1}}}))?"
    r"\.json"
)


class StateFile(NamedTuple):
    """What a file's name tells; the number is 0 for a document itself."""

    stem: str
    kind: Literal["state", "backup", "corrupt"]
    number: int


class Rotation(NamedTuple):
    """Renames (from, to) of backups, in this order; and those to remove afterwards."""

    renames: list[tuple[int, int]]
    surplus: list[int]


def state_file(stem: str) -> str:
    """Name the document's file."""
    return f"{stem}.json"


def backup_file(stem: str, index: int) -> str:
    """Name the file of a backup; 1 is the newest."""
    return f"{stem}.backup.{index}.json"


def corrupt_file(stem: str, number: int) -> str:
    """Name a file for what was damaged; numbers are from 1."""
    return f"{stem}.corrupt-{number}.json"


def lock_file(stem: str) -> str:
    """Name the file that is locked while the plugin's other files change."""
    return f"{stem}.lock"


def parsed(file_name: str) -> StateFile | None:
    """Take a name apart as one of a document, a backup or a damaged file.

    None for any other.  Whether a plugin has that stem is `names.name_of`'s answer.

    >>> parsed("clock.backup.2.json")
    StateFile(stem='clock', kind='backup', number=2)
    """
    match = _FILE.fullmatch(file_name)
    if match is None:
        return None
    stem, kind, number = match["stem"], match["kind"], int(match["number"] or 0)
    if kind is None:
        return StateFile(stem, "state", number)
    return StateFile(stem, "backup" if kind == "backup." else "corrupt", number)


def rotation(indexes: Iterable[int], max_backups: int) -> Rotation:
    """Plan how index 1 becomes free for a new backup, with at most max_backups then.

    The newest that fit are renamed to 2, 3, ... without gaps, in an order in which no
    rename overwrites one that stays.  The others are surplus, but for what a rename or
    the new backup, which takes index 1, overwrites.

    >>> rotation([1, 2, 3], 3)
    Rotation(renames=[(2, 3), (1, 2)], surplus=[])
    >>> rotation([1, 4, 5, 6], 3)
    Rotation(renames=[(1, 2), (4, 3)], surplus=[5, 6])
    """
    newest_first = sorted(set(indexes))
    if max_backups == 0:
        return Rotation([], newest_first)
    staying, going = newest_first[: max_backups - 1], newest_first[max_backups - 1 :]
    moves = list(zip(staying, range(2, max_backups + 1), strict=False))
    # Those that move up are the lowest, 1 to n without a gap: the last of them first.
    # Those that move down close gaps above them: the lowest first.
    up = [(old, new) for old, new in moves if old < new]
    down = [(old, new) for old, new in moves if old > new]
    overwritten = {1, *(new for _, new in moves)}
    return Rotation(
        up[::-1] + down, [index for index in going if index not in overwritten]
    )

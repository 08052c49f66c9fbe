"""State files: what is in a folder of documents, and what each file turns out to be.

    Holding    the files that a plugin has there, by their names
    Finding    a file that was read: its health, and its document or what is wrong

Reads only: nothing on disk is made or changed, not even a lock.  A store may be at work
meanwhile; each file is one whole version, but two of them may be from before and after
a change.

Leaves the program where there is no such folder or plugin.  Start at `holdings`, then
`looked_at`.
"""

import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple

from latency_kv.cli.difference import Difference, differences
from latency_kv.cli.notation import TEXT
from latency_kv.cli.screen import fail, working
from latency_kv.documents.backups import (
    backup_file,
    corrupt_file,
    parsed,
    state_file,
)
from latency_kv.documents.document import decode
from latency_kv.documents.files import contents
from latency_kv.documents.names import name_of, stem_of
from latency_kv.errors import StateFormatError, StateParseError
from latency_kv.facets.stores import StateData

# What a write leaves that was killed, and has beside its target while it goes on.
_LEFTOVER = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)

_MOST_SUGGESTED = 3

# While a save shifts the backups, one may have no file for less than a pause.
_MOST_TRIES = 4
_PAUSE_S = 0.02


class Health(StrEnum):
    """What a document is fit for."""

    OK = "OK"
    DAMAGED = "DAMAGED"
    NEWER = "NEWER"
    UNREADABLE = "UNREADABLE"
    CLEARED = "CLEARED"
    INVALID = "INVALID"


class Finding(NamedTuple):
    """A file that was looked at; without a state the reason tells why there is none.

    modified is what the document says, or the file's own time where it says nothing.
    """

    path: Path
    health: Health
    size: int | None = None
    modified: datetime | None = None
    state: StateData[Any] | None = None
    reason: str = ""
    raw: bytes = b""

    @property
    def document(self) -> StateData[Any]:
        """The document; leaves the program if this file is none."""
        if self.state is None:
            fail(self.trouble)
        return self.state

    @property
    def trouble(self) -> str:
        """Why there is no document."""
        return f"{self.path}: {self.health}: {self.reason}"

    @property
    def version(self) -> int | None:
        return None if self.state is None else self.state.version

    def without_data(self) -> "Finding":
        """Return this without what takes memory."""
        if self.state is None:
            return self._replace(raw=b"")
        return self._replace(raw=b"", state=replace(self.state, data=None))


@dataclass(frozen=True)
class Holding:
    """A plugin's files: their numbers, backups from the newest on."""

    directory: Path
    stem: str
    has_state: bool
    backups: tuple[int, ...]
    corrupt: tuple[int, ...]

    @property
    def state_path(self) -> Path:
        return self.directory / state_file(self.stem)

    @property
    def backup_paths(self) -> list[Path]:
        """The n-th is what `restore` takes for backup n."""
        return [self.directory / backup_file(self.stem, n) for n in self.backups]

    @property
    def corrupt_paths(self) -> list[Path]:
        return [self.directory / corrupt_file(self.stem, n) for n in self.corrupt]

    @cached_property
    def name(self) -> str | None:
        """The plugin's name; of a long one only what is in the files tells it."""
        return name_of(self.stem) or next(self._names_told(), None)

    def state(self) -> Finding:
        """Look at the document."""
        finding = looked_at(self.state_path, self.name)
        if finding.health is Health.CLEARED and self.backups:
            reason = "there is no document now; restore brings a backup back"
            return finding._replace(reason=reason)
        return finding

    def backup(self, index: int) -> Finding:
        """Look at a backup; leaves the program if there is no such backup."""
        if index > len(self.backups):
            there_are = {0: "there are none", 1: "there is 1"}
            number = there_are.get(len(self.backups), f"there are {len(self.backups)}")
            fail(f"{self.directory / self.stem}: there is no backup {index}; {number}")
        path = self.backup_paths[index - 1]
        finding = looked_at(path, self.name)
        for _ in range(_MOST_TRIES - 1):
            if finding.health is not Health.CLEARED:
                break
            sleep(_PAUSE_S)
            finding = looked_at(path, self.name)
        return finding

    def _names_told(self) -> Iterator[str]:
        for path in [self.state_path, *self.backup_paths, *self.corrupt_paths]:
            try:
                found = contents(path)
                told = json.loads(found[0])["metadata"]["pluginName"] if found else ""
                if stem_of(told) == self.stem:
                    yield told
            except (OSError, ValueError, LookupError, TypeError, RecursionError):
                continue


class Holdings(NamedTuple):
    """All plugins that have files in a folder, and what interrupted writes left."""

    directory: Path
    plugins: list[Holding]
    leftovers: list[Path]

    def of(self, plugin_name: str) -> Holding:
        """Return what a plugin has; leaves the program if that is nothing."""
        try:
            stem = stem_of(plugin_name)
        except ValueError as error:
            fail(str(error))
        for holding in self.plugins:
            if holding.stem == stem:
                return holding
        shown = TEXT.write(plugin_name.encode())
        fail(f"{self.directory}: no plugin {shown}; {self._hint(plugin_name)}")

    def by_name(self) -> list[Holding]:
        """Return what all plugins have, in the order of their names."""
        return sorted(self.plugins, key=lambda holding: holding.name or holding.stem)

    def _hint(self, plugin_name: str) -> str:
        names = {
            name.lower(): name
            for holding in self.plugins
            if (name := name_of(holding.stem)) is not None
        }
        near = get_close_matches(plugin_name.lower(), names, _MOST_SUGGESTED)
        if near:
            return f"did you mean {_either([names[name] for name in near])}?"
        return "`state list` tells which there are" if names else "there are none"


def compared(old: Finding, new: Finding) -> list[Difference]:
    """Return what leads from one document to another, but for the time of writing."""
    with working("comparing"):
        return list(differences(_content(old), _content(new)))


def holdings(directory: Path) -> Holdings:
    """Return what plugins have in a folder; leaves the program if there is none."""
    try:
        names = os.listdir(directory)
    except OSError as error:
        fail(f"{directory}: {reason_of(error, 'folder')}")
    found: dict[str, dict[str, list[int]]] = {}
    leftovers = []
    for name in names:
        file = parsed(name)
        if file is not None:
            kinds = found.setdefault(file.stem, {})
            kinds.setdefault(file.kind, []).append(file.number)
        elif (match := _LEFTOVER.fullmatch(name)) and parsed(match[1]):
            leftovers.append(directory / name)
    plugins = [
        Holding(
            directory,
            stem,
            "state" in kinds,
            tuple(sorted(kinds.get("backup", []))),
            tuple(sorted(kinds.get("corrupt", []))),
        )
        for stem, kinds in found.items()
    ]
    return Holdings(directory, plugins, sorted(leftovers))


def looked_at(path: Path, plugin_name: str | None) -> Finding:
    """Read a file that is to be a document of this plugin's; None is nobody's name."""
    try:
        found = contents(path)
    except OSError as error:
        reason = reason_of(error, "file")
        return _with_file_times(Finding(path, Health.UNREADABLE, reason=reason))
    if found is None:
        return Finding(path, Health.CLEARED, reason="there is no such file")
    raw, status = found
    finding = Finding(
        path, Health.DAMAGED, status.st_size, _time_of(status), None, "", raw
    )
    if plugin_name is None:
        reason = "its name is no plugin's, and no document tells whose it is"
        return finding._replace(reason=reason)
    try:
        state = decode(raw, plugin_name, path)
    except StateFormatError as error:
        return finding._replace(health=Health.NEWER, reason=error.reason)
    except StateParseError as error:
        return finding._replace(reason=error.reason)
    modified = state.metadata.last_modified
    return finding._replace(health=Health.OK, state=state, modified=modified)


def reason_of(error: OSError, kind: str) -> str:
    """Return why a file or folder cannot be read and what to do about it, in words."""
    if isinstance(error, FileNotFoundError):
        return f"no such {kind}; check the path"
    if isinstance(error, NotADirectoryError):
        return "it is no folder; name the one that the state files are in"
    if isinstance(error, PermissionError):
        return f"permission denied; this {kind} is for its owner alone"
    if error.errno == errno.ELOOP:
        return "it is a symbolic link, and none is followed"
    return error.strerror or str(error)


def _content(finding: Finding) -> dict[str, Any]:
    document = finding.document
    return {"version": document.version, "data": document.data}


def _with_file_times(finding: Finding) -> Finding:
    try:
        status = os.lstat(finding.path)
    except OSError:
        return finding
    return finding._replace(size=status.st_size, modified=_time_of(status))


def _time_of(status: os.stat_result) -> datetime:
    # A file system holds times that no date has.
    try:
        return datetime.fromtimestamp(status.st_mtime, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _either(names: list[str]) -> str:
    *first, last = [TEXT.write(name.encode()) for name in names]
    return f"{', '.join(first)} or {last}" if first else last

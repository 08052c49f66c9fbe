"""Files: the documents of a folder, and the only module here that touches the disk.

    DIR/clock.json              the document, one whole version at every instant
    DIR/clock.backup.1.json     what it was before the last change; 2, 3, ... are older
    DIR/clock.corrupt-1.json    a damaged document, set aside when another took its place
    DIR/.locks/clock.lock       one writer at a time, among threads and processes
    DIR/.clock.json.<hex>.tmp   left by a write that was killed, swept at opening

A change, step by step; a crash between two of them leaves what stands on the right:

    read and check the document                         the old document
    stage the new one, synced                           and a leftover
    give the old one a second name, staged              and another
    rename the backups, the oldest first                one backup more, with a gap
    rename the second name to backup 1                  the old document, twice
    rename the new one into place                       the new document, or the old one
    sync the folder                                     the new document, for good
    remove the backups that are too many

Invariants
    1. The document's name is never without a whole document while there is one.
    2. Only what was read and checked becomes a backup; what is damaged is set aside.
    3. Nothing is opened through a symbolic link, and nothing but a regular file is read.

Everything blocks, and names are those of plugins.  What changes needs the plugin's lock:
see `DocumentFiles.hold`.  Knows no event and no loop.  Start at `DocumentFiles.write`.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from latency_kv.documents.backups import (
    StateFile,
    backup_file,
    corrupt_file,
    lock_file,
    parsed,
    rotation,
    state_file,
)
from latency_kv.documents.document import MAX_SIZE, decode, encode
from latency_kv.documents.names import stem_of
from latency_kv.durable import (
    EXHAUSTED,
    discard,
    locked,
    make_directory,
    publish,
    stage,
    stage_link,
    sweep,
    sync_directory,
)
from latency_kv.errors import (
    DurabilityError,
    LockTimeoutError,
    OutcomeUnknownError,
    StateError,
    StateFormatError,
    StateParseError,
    StateReadError,
    StateWriteError,
)
from latency_kv.facets.stores import StateData, StateMetadata

__all__ = ["Cleared", "DocumentFiles", "Recovered", "Written", "contents"]

_LOCKS = ".locks"

# A FIFO would make its reader wait for a writer, a terminal would become this process's.
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

# A file that somebody else may read is no store's own, and is copied, not linked.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_PIECE_SIZE = 1 << 20

_logger = logging.getLogger("latency_kv.documents")


class Written(NamedTuple):
    """A document that is in place, its file's size, and where the one before it is."""

    state: StateData[Any]
    size: int
    backup: Path | None
    corrupt: Path | None


class Cleared(NamedTuple):
    """Whether there was a document, and where it is now."""

    existed: bool
    backup: Path | None
    corrupt: Path | None


class Recovered(NamedTuple):
    """A document from a backup, and what was wrong; no paths where nothing was."""

    state: StateData[Any] | None
    backup: Path | None = None
    corrupt: Path | None = None
    reason: str = ""


class _Current(NamedTuple):
    """The document that is there; without a state it is damaged."""

    raw: bytes
    status: os.stat_result
    state: StateData[Any] | None


class DocumentFiles:
    """The documents of one folder, with their backups.

    Without durable nothing is synced: a document is whole after the end of its process,
    and anything may be left of it after a power cut.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_backups: int = 3,
        pretty_print: bool = True,
        durable: bool = True,
    ) -> None:
        self.directory = directory
        self.max_backups = max_backups
        self.pretty_print = pretty_print
        self.durable = durable
        # Paths inside are text: a Path costs as much as the system call on it.
        self._prefix = os.path.join(directory, "")
        # By stem: the highest number of a backup that is one too many, when it was opened.
        self._highest: dict[str, int] = {}

    def open(self) -> None:
        """Make the folder, and remove what interrupted writes left in it.

        What belongs to a plugin whose lock is held stays: it may be a write that goes
        on.
        """
        make_directory(self.directory)
        locks = self.directory / _LOCKS
        make_directory(locks)
        if not stat.S_ISDIR(os.lstat(locks).st_mode):
            raise NotADirectoryError(
                errno.ENOTDIR, "it has to be a folder itself, and is a link", str(locks)
            )
        for file in self.plugins():
            if file.kind == "backup" and file.number > self.max_backups:
                self._highest[file.stem] = file.number
        with ExitStack() as stack:
            held: dict[str, bool] = {}

            def belongs(name: str) -> bool:
                file = parsed(name)
                if file is None:
                    return False
                if file.stem not in held:
                    try:
                        stack.enter_context(self._locked(file.stem))
                    except LockTimeoutError:
                        held[file.stem] = False
                    else:
                        held[file.stem] = True
                return held[file.stem]

            try:
                sweep(self.directory, belongs)
            except OSError as error:
                # They cost space; a store that does not open costs more.
                _logger.warning("leftovers of interrupted writes stay: %s", error)

    def hold(self, plugin_name: str) -> AbstractContextManager[None]:
        """Return the plugin's lock, to be entered and left, in any thread.

        Entering raises LockTimeoutError at once where somebody else holds it.
        """
        return self._locked(stem_of(plugin_name))

    def read(self, plugin_name: str) -> StateData[Any] | None:
        """Return the document, checked; None where there is none.  Needs no lock."""
        path = self._path(plugin_name)
        with _wrapped(StateReadError, plugin_name, "it cannot be read", path):
            found = contents(path)
            return None if found is None else decode(found[0], plugin_name, Path(path))

    def path(self, plugin_name: str) -> Path:
        """Return where a plugin's document is, if there is one."""
        return Path(self._path(plugin_name))

    def exists(self, plugin_name: str) -> bool:
        """Tell whether there is a document, sound or not.  Needs no lock."""
        path = self._path(plugin_name)
        with _wrapped(StateReadError, plugin_name, "it cannot be looked for", path):
            return _status(path) is not None

    def backups(self, plugin_name: str) -> list[Path]:
        """Return the backups, newest first.  Needs the lock, or nobody who writes."""
        with _wrapped(
            StateReadError, plugin_name, "its backups cannot be listed", self.directory
        ):
            return self._listed(stem_of(plugin_name))

    def plugins(self) -> list[StateFile]:
        """Return what files of plugins there are, sorted; [] without a folder."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        return sorted(file for file in map(parsed, names) if file is not None)

    def write(self, plugin_name: str, data: Any, version: int | None) -> Written:
        """Put a document of these data in place; data are detached.

        Without a version it keeps that of the document there is; of the newest good
        backup where that is damaged; or has 1.
        """
        path = self._path(plugin_name)
        with _wrapped(StateWriteError, plugin_name, "it was not written", path):
            old = self._current(plugin_name)
            if version is None:
                version = self._version(plugin_name, old)
            metadata = StateMetadata(datetime.now(UTC), plugin_name)
            state = StateData(version, data, metadata)
            raw = encode(state, pretty_print=self.pretty_print)
            return self._replace(state, raw, old)

    def clear(self, plugin_name: str) -> Cleared:
        """Take the document away: it becomes backup 1, or is set aside if damaged."""
        stem, path = stem_of(plugin_name), self._path(plugin_name)
        with _wrapped(StateWriteError, plugin_name, "it was not cleared", path):
            old = self._current(plugin_name)
            if old is None:
                return Cleared(existed=False, backup=None, corrupt=None)
            backup = corrupt = None
            if self._becomes_backup(old, stem):
                backup = self._backup(stem, 1)
                surplus = self._rotate(stem)
                os.replace(path, backup)
            else:
                surplus = self._too_many(stem)
                if old.state is None:
                    corrupt, is_there = self._place_aside(stem, old)
                    # A rename from one name of a file to another does nothing.
                    if is_there:
                        os.unlink(path)
                    else:
                        os.rename(path, corrupt)
                else:
                    os.unlink(path)
            self._sync(path)
            self._remove(stem, surplus)
            return Cleared(
                existed=True, backup=_path_of(backup), corrupt=_path_of(corrupt)
            )

    def restore(self, plugin_name: str, index: int) -> Written:
        """Put the index-th newest backup in place, as it is, once it is checked."""
        paths = self.backups(plugin_name)
        if index > len(paths):
            there_are = {0: "there are none", 1: "there is 1"}
            number = there_are.get(len(paths), f"there are {len(paths)}")
            raise StateReadError(plugin_name, f"there is no backup {index}; {number}")
        chosen = paths[index - 1]
        with _wrapped(StateReadError, plugin_name, "it cannot be read", chosen):
            found = contents(chosen)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, "it has vanished", str(chosen))
            raw = found[0]
            state = decode(raw, plugin_name, chosen)
        path = self._path(plugin_name)
        with _wrapped(StateWriteError, plugin_name, "it was not restored", path):
            # The chosen backup may be the one that has to go.
            old = self._current(plugin_name)
            return self._replace(state, raw, old, step_by_step=True)

    def recover(self, plugin_name: str) -> Recovered:
        """Put the newest good backup in the place of a damaged document.

        Where no backup is good the document's own StateParseError is raised.
        """
        path = self._path(plugin_name)
        try:
            return Recovered(self.read(plugin_name))
        except StateFormatError:
            raise
        except StateParseError as error:
            reason = error.reason
            with _wrapped(
                StateReadError, plugin_name, "its backups cannot be listed", path
            ):
                good = self._good_backup(plugin_name)
            if good is None:
                raise
        with _wrapped(StateWriteError, plugin_name, "it was not recovered", path):
            written = self._replace(good.state, good.raw, self._current(plugin_name))
        return Recovered(written.state, good.path, written.corrupt, reason)

    def _path(self, plugin_name: str) -> str:
        return self._prefix + state_file(stem_of(plugin_name))

    def _backup(self, stem: str, index: int) -> str:
        return self._prefix + backup_file(stem, index)

    def _locked(self, stem: str) -> AbstractContextManager[None]:
        return locked(os.path.join(self._prefix, _LOCKS, lock_file(stem)), 0)

    def _current(self, plugin_name: str) -> _Current | None:
        """The document that a change will replace; raises what must not be replaced."""
        path = self._path(plugin_name)
        found = contents(path)
        if found is None:
            return None
        raw, status = found
        try:
            state = decode(raw, plugin_name, Path(path))
        except StateFormatError:
            raise
        except StateParseError:
            return _Current(raw, status, None)
        return _Current(raw, status, state)

    def _listed(self, stem: str) -> list[Path]:
        indexes = sorted(
            file.number
            for file in self.plugins()
            if file.stem == stem and file.kind == "backup"
        )
        return [self.directory / backup_file(stem, index) for index in indexes]

    def _version(self, plugin_name: str, old: _Current | None) -> int:
        if old is None:
            return 1
        if old.state is not None:
            return old.state.version
        good = self._good_backup(plugin_name)
        return 1 if good is None else good.state.version

    def _good_backup(self, plugin_name: str) -> _Backup | None:
        for path in self._listed(stem_of(plugin_name)):
            try:
                found = contents(path)
                if found is not None:
                    state = decode(found[0], plugin_name, path)
                    return _Backup(path, found[0], state)
            except (OSError, StateError) as error:
                if isinstance(error, OSError) and error.errno in EXHAUSTED:
                    raise
                _logger.warning("a backup cannot be used: %s", error)
        return None

    def _replace(
        self,
        state: StateData[Any],
        raw: bytes,
        old: _Current | None,
        *,
        step_by_step: bool = False,
    ) -> Written:
        """Put these bytes in the document's place, and the old ones where they belong."""
        stem = stem_of(state.metadata.plugin_name)
        path = self._prefix + state_file(stem)
        backup = corrupt = None
        staged = stage(path, raw, synced=self.durable)
        try:
            if old is not None and old.state is None:
                corrupt, is_there = self._place_aside(stem, old)
                if not is_there:
                    _move(self._stage_old(path, corrupt, old), corrupt)
            if self._becomes_backup(old, stem):
                backup = self._backup(stem, 1)
                aside = self._stage_old(path, backup, old)
                try:
                    surplus = self._rotate(stem, step_by_step=step_by_step)
                except BaseException:
                    discard(aside)
                    raise
                _move(aside, backup)
            else:
                surplus = self._too_many(stem)
        except BaseException:
            discard(staged)
            raise
        publish(staged, path, synced=self.durable)
        self._remove(stem, surplus)
        return Written(state, len(raw), _path_of(backup), _path_of(corrupt))

    def _stage_old(self, path: str, target: str, old: _Current) -> str:
        """Stage the document for another name: the same file, or a copy.

        A copy where the system refuses links, and where the file is not private.
        """
        if not stat.S_IMODE(old.status.st_mode) & _OTHERS:
            with suppress(OSError):
                return stage_link(path, target)
        return stage(target, old.raw, synced=self.durable)

    def _rotate(self, stem: str, *, step_by_step: bool = False) -> list[str]:
        """Make backup 1 free, and lose none; return what is to be removed at the end.

        Step by step no power cut leaves one overwritten and itself not yet moved.
        """
        room = self.max_backups + 1
        renames, surplus = rotation(self._indexes(stem), room)
        for index, new_index in renames:
            os.replace(self._backup(stem, index), self._backup(stem, new_index))
            if step_by_step and self.durable:
                sync_directory(self.directory)
        return [self._backup(stem, index) for index in {*surplus, room}]

    def _too_many(self, stem: str) -> list[str]:
        """What is to be removed where nothing becomes a backup."""
        indexes = sorted(self._indexes(stem))
        return [self._backup(stem, index) for index in indexes[self.max_backups :]]

    def _indexes(self, stem: str) -> Iterator[int]:
        """The backups that there are, found without listing a folder of thousands.

        Where there are too many they have no gaps, unless a crash came amid removing
        them; that was seen when the folder was opened.
        """
        highest = max(self.max_backups, self._highest.get(stem, 0))
        for index in count(1):
            if _status(self._backup(stem, index)) is not None:
                yield index
            elif index > highest:
                return

    def _becomes_backup(self, old: _Current | None, stem: str) -> TypeGuard[_Current]:
        """Whether a document is to be kept: it is sound, and no backup yet."""
        if old is None or old.state is None or not self.max_backups:
            return False
        # After a crash amid a change it may be backup 1 already.
        status = _status(self._backup(stem, 1))
        return status is None or not os.path.samestat(status, old.status)

    def _remove(self, stem: str, paths: list[str]) -> None:
        """Remove backups, the highest number first: what stays has no gap below it."""
        for path in sorted(paths, key=lambda path: (len(path), path), reverse=True):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                _logger.warning("a backup that is too many stays: %s", error)
                return
        self._highest.pop(stem, None)

    def _place_aside(self, stem: str, old: _Current) -> tuple[str, bool]:
        """A name for a damaged document, and whether it has that after a crash already."""
        for number in count(1):
            path = self._prefix + corrupt_file(stem, number)
            status = _status(path)
            if status is None:
                return path, False
            if os.path.samestat(status, old.status):
                return path, True
        raise AssertionError("unreachable")

    def _sync(self, path: str) -> None:
        if not self.durable:
            return
        try:
            sync_directory(self.directory)
        except OSError as error:
            raise DurabilityError(Path(path)) from error


class _Backup(NamedTuple):
    """A backup that was read and checked."""

    path: Path
    raw: bytes
    state: StateData[Any]


def contents(path: str | Path) -> tuple[bytes, os.stat_result] | None:
    """Return the bytes of a regular file, and its status; None where there is none.

    At most one byte more than a document may have.  Raises OSError for what is no
    regular file, and for a symbolic link.
    """
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(
                errno.ELOOP, "it is a symbolic link, and none is followed", path
            ) from None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        pieces = []
        size = 0
        while size <= MAX_SIZE and (piece := os.read(descriptor, _PIECE_SIZE)):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)[: MAX_SIZE + 1], status
    finally:
        os.close(descriptor)


@contextmanager
def _wrapped(
    kind: type[StateReadError | StateWriteError],
    plugin_name: str,
    failure: str,
    path: str | Path,
) -> Iterator[None]:
    """Raise the system's errors as the package's own."""
    try:
        yield
    except StateError:
        raise
    except DurabilityError as error:
        raise OutcomeUnknownError(
            plugin_name,
            "the change was made, but its folder could not be synced, so a power cut "
            "may undo it: make it again",
            Path(path),
        ) from error
    except OSError as error:
        reason = f"{failure}: {error.strerror or error}"
        failed = kind(plugin_name, reason, Path(path))
        failed.errno = error.errno
        raise failed from error


def _path_of(path: str | None) -> Path | None:
    return None if path is None else Path(path)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _move(staged: str, path: str) -> None:
    """Rename a staged file without a sync of its folder."""
    publish(staged, path, synced=False)

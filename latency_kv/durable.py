"""Durable: the only place that makes files durable, and makes them whole or not at all.

    write_atomic     stage, then publish
    stage            a temporary file beside the target, written and synced
    stage_link       the same for a second name of a file that there is
    publish          its rename into place, then the sync of the folder
    discard          its removal, where it is not to be published
    sync_directory   what happened to a folder's names, made durable
    make_directory   a folder, durable itself
    sweep            the removal of what interrupted writes left
    locked           one writer at a time, among threads and processes

What a crash can leave of a write, step by step:

    .NAME.0123456789abcdef.tmp    some or all bytes; NAME is untouched, sweep removes it
    NAME                          after the rename: the old bytes or the new, all of them
    the folder                    after its sync: the new bytes, for good

A change of more than one name, with a backup for one, does the rest between stage and
publish: one sync of the folder makes all of it durable.

Windows has no sync of a folder: there the file system's own journal keeps the names.

Knows bytes and paths, nothing of what is in them.  Start at `write_atomic`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from latency_kv.errors import DurabilityError, LockTimeoutError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "EXHAUSTED",
    "discard",
    "locked",
    "make_directory",
    "publish",
    "stage",
    "stage_link",
    "sweep",
    "sync_directory",
    "write_atomic",
]

StrPath: TypeAlias = "str | os.PathLike[str]"

# Python's os.open adds O_CLOEXEC itself.
_CREATE = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)
_NOT_FOLLOWED = (
    {"follow_symlinks": False} if os.link in os.supports_follow_symlinks else {}
)
_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700

# Below what any system takes in one call, 2 GiB and less; and a signal's handler runs
# between two pieces, so that Ctrl-C need not wait for all of a large file.
_PIECE_SIZE = 1 << 24

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Error numbers that say that this process or machine is at its end, not what is in a
file: who reads one of many must not pass it over for these."""

# 64 random bits: two writers never meet, whatever process they are in.
_UNIQUE_SIZE = 8
_LEFTOVER = re.compile(rf"\.(.+)\.[0-9a-f]{{{2 * _UNIQUE_SIZE}}}\.tmp", re.DOTALL)

# A lock is held for one write; asking this often delays the next writer little.
_POLL_S = 0.01


def write_atomic(path: StrPath, data: Buffer) -> None:
    """Replace the file at path by one of these bytes, mode 0600, durably.

    An error leaves the old file as it was and no temporary file, with one exception:
    DurabilityError, when the new file is in place and the folder could not be synced.
    A symbolic link at path is replaced, not followed.
    """
    publish(stage(path, data), path)


def stage(path: StrPath, data: Buffer, *, synced: bool = True) -> str:
    """Write and sync a temporary file beside path, and return its name with its folder.

    It is unique, of mode 0600, and the caller's: to be published or discarded.  If
    anything raises there is no such file; what a crash leaves is for sweep.  Without
    synced it is written only, and a power cut may leave anything of it.
    """
    view = memoryview(data).cast("B")
    staged = _unique_beside(path)
    try:
        descriptor = os.open(staged, _CREATE, _FILE_MODE)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        # It is the folder that refuses, whatever the name.
        error.filename = os.path.dirname(staged) or os.curdir
        raise
    try:
        try:
            written = 0
            while written < len(view):
                piece = view[written : written + _PIECE_SIZE]
                written += os.write(descriptor, piece)
            if synced:
                _sync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        discard(staged)
        raise
    return staged


def stage_link(source: StrPath, path: StrPath) -> str:
    """Give the file at source a second name, staged as for path, and return that.

    The bytes are shared, not copied, so only a file that nobody writes to in place is
    for this.  Raises OSError where the system has no hard links, or not this one.
    """
    staged = _unique_beside(path)
    os.link(source, staged, **_NOT_FOLLOWED)
    return staged


def publish(staged: str, path: StrPath, *, synced: bool = True) -> None:
    """Rename a staged file to path, over what is there, and sync the folder.

    If the rename fails the staged file is discarded.  If the sync does, DurabilityError
    is raised: the file is in place.  Without synced nothing says that it will stay.
    """
    try:
        os.replace(staged, path)
    except BaseException:
        discard(staged)
        raise
    if not synced:
        return
    try:
        sync_directory(os.path.dirname(os.fspath(path)))
    except OSError as error:
        from pathlib import Path

        raise DurabilityError(Path(path)) from error


def discard(staged: str) -> None:
    """Remove a staged file; what cannot be removed is left to sweep."""
    with contextlib.suppress(OSError):
        os.unlink(staged)


def sync_directory(directory: StrPath) -> None:
    """Make durable which names a folder has, and for which files; "" is the current."""
    if sys.platform == "win32":
        return
    descriptor = os.open(os.fspath(directory) or os.curdir, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: StrPath) -> None:
    """Create a folder of mode 0700 with its parents, durably; leave one that is there.

    The first parent that is there is synced too, since whoever made it may have died
    before it was durable.
    """
    real = os.path.realpath(path)
    parent = os.path.dirname(real)
    if os.path.isdir(real):
        # A folder that may not be read above one's own is somebody else's care.
        with contextlib.suppress(PermissionError):
            sync_directory(parent)
        return
    make_directory(parent)
    try:
        os.mkdir(real, _DIRECTORY_MODE)
    except FileExistsError:
        if not os.path.isdir(real):
            text = "it is no folder, and has to be one"
            raise FileExistsError(errno.EEXIST, text, real) from None
    sync_directory(parent)


def sweep(directory: StrPath, belongs: Callable[[str], object]) -> list[str]:
    """Remove what interrupted writes left in a folder, and return the names removed.

    belongs tells, by the name of a write's target, whether its leftovers are the
    caller's, who holds the lock under which all such writes are made: a write that goes
    on looks the same.  Only regular files go.  Raises the first error, after trying all.
    """
    with os.scandir(directory) as entries:
        leftovers = [
            entry
            for entry in entries
            if (match := _LEFTOVER.fullmatch(entry.name))
            if belongs(match[1]) and entry.is_file(follow_symlinks=False)
        ]
    removed = []
    failure: OSError | None = None
    for leftover in leftovers:
        try:
            os.unlink(leftover.path)
        except FileNotFoundError:
            # Somebody swept before this caller had the lock.
            pass
        except OSError as error:
            failure = failure or error
        else:
            removed.append(leftover.name)
    if failure is not None:
        raise failure
    return removed


@contextlib.contextmanager
def locked(path: StrPath, timeout: float) -> Iterator[None]:
    """Hold the lock of this path, which one thread of one process has at a time.

    It is the system's lock on a file, created with mode 0600, so it ends with its
    process however that ends, and the file stays.  Waits for timeout seconds, for ever
    if that is negative, then raises LockTimeoutError.
    """
    from filelock import FileLock, Timeout

    # A missing folder is an error here; filelock would make one of any mode.
    path = os.fspath(path)
    os.stat(os.path.dirname(path) or os.curdir)
    lock = FileLock(path, mode=_FILE_MODE, thread_local=False)
    try:
        lock.acquire(timeout=timeout, poll_interval=_POLL_S)
    except Timeout:
        raise LockTimeoutError(path, timeout) from None
    try:
        yield
    finally:
        lock.release()


def _unique_beside(path: StrPath) -> str:
    """A name that nobody has, which sweep knows to be one of path's."""
    directory, name = os.path.split(os.fspath(path))
    unique = os.urandom(_UNIQUE_SIZE).hex()
    return os.path.join(directory, f".{name}.{unique}.tmp")


def _sync(descriptor: int) -> None:
    """Have the system write a file or folder to the disk itself, not to its cache."""
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            # Some file systems have no full sync; any other error is the answer.
            if error.errno not in (errno.ENOTSUP, errno.ENOTTY, errno.EINVAL):
                raise
    os.fsync(descriptor)

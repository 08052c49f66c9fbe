"""CheckpointDirectory: generations of one store's snapshots in one folder.

    DIR/checkpoint-00000000000000000041.lkv    an older generation
    DIR/checkpoint-00000000000000000042.lkv    the newest, an image as `save` writes it
    DIR/.checkpoint-...lkv.<16 hex>.tmp        left by a write that was killed
    DIR/.lock                                  one writer at a time

Invariants
    1. A generation's file appears whole and on disk, and never changes.
    2. A number is greater than every number there was when its write began.
    3. Nothing old is removed before the new generation is durable, and never the
       newest generation that can be read.

So readers take no lock.  Other files in the folder are nobody's business here.

Knows snapshots and files, no store.  Start at `CheckpointDirectory.write`, then
`CheckpointDirectory.latest`.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from operator import index
from pathlib import Path
from typing import TypeAlias

# A lock would import it: 30 ms alone, a second beside an operator that never waits.
import filelock  # noqa: F401

from latency_kv.checkpoints.background import BackgroundWriter
from latency_kv.checkpoints.records import CheckpointInfo, SkippedCheckpoint
from latency_kv.core.snapshot import StateSnapshot
from latency_kv.durable import EXHAUSTED, locked, make_directory, sweep, write_atomic
from latency_kv.errors import SnapshotCorruptError, SnapshotError

__all__ = ["CheckpointDirectory"]

# In the class below `list` is its method.
_Infos: TypeAlias = list[CheckpointInfo]
_Progress: TypeAlias = Callable[[int, int], object]

_NAME = re.compile(r"checkpoint-([0-9]{20})\.lkv")
_LAST_GENERATION = 10**20 - 1
_LOCK_NAME = ".lock"

_PIECE_SIZE = 1 << 20

_logger = logging.getLogger("latency_kv.checkpoints")


class CheckpointDirectory:
    """A folder that keeps the newest checkpoints of a store.

    write(snapshot)        the next generation, durable when it returns
    latest()               the newest one that can be read, as a StateSnapshot
    list()  prune()        what there is; removing what is older than the newest `keep`
    write_async(snapshot)  write, awaited
    background()           a thread that writes what it is handed

    The folder is created with mode 0700, its files have 0600; a symbolic link is never
    followed to a checkpoint.  Any number of threads and processes may share a folder:
    each write holds its lock for as long as it takes, and the next one waits up to
    lock_timeout seconds (for ever if that is negative), then raises LockTimeoutError.

    `keep` counts generations, those that cannot be read too, since telling them apart
    means reading them all.

    >>> from tempfile import TemporaryDirectory
    >>> from latency_kv import InMemoryStore
    >>> store = InMemoryStore({b"JFK": b"12"})
    >>> with TemporaryDirectory() as folder:
    ...     directory = CheckpointDirectory(folder, keep=2)
    ...     directory.write(store.snapshot()).generation
    ...     started_again = InMemoryStore()
    ...     started_again.restore(directory.latest())
    1
    >>> started_again == store
    True
    """

    __slots__ = ("keep", "lock_timeout", "path", "skipped")

    def __init__(
        self, path: str | os.PathLike[str], keep: int = 3, *, lock_timeout: float = 10.0
    ) -> None:
        if index(keep) < 1:
            raise ValueError(f"keep is {keep}, and a directory keeps at least 1")
        self.path = Path(path).absolute()
        self.keep = keep
        self.lock_timeout = lock_timeout
        self.skipped: tuple[SkippedCheckpoint, ...] = ()
        """What the last call of `latest` could not read, newest first."""
        make_directory(self.path)

    def __repr__(self) -> str:
        return f"CheckpointDirectory({str(self.path)!r}, keep={self.keep})"

    def write(
        self, snapshot: StateSnapshot, *, progress: _Progress | None = None
    ) -> CheckpointInfo:
        """Write the snapshot as the next generation; when this returns it is durable.

        O(n): the image is encoded first, without the lock (progress is called as in
        `StateSnapshot.to_bytes`), then written and synced under it.  Then generations
        older than the newest `keep` are removed; one that cannot be is logged.

        Raises OSError as the system does, LockTimeoutError for the lock, and
        DurabilityError where the generation is in place, but may not survive a power
        cut.  Whatever is raised, the older generations are as they were.
        """
        _demand_snapshot(snapshot)
        if progress is not None:
            snapshot.to_bytes(progress=progress)
        # Left before the snapshot is, or that would not free its image without the GIL.
        with (
            memoryview(snapshot) as image,
            locked(self.path / _LOCK_NAME, self.lock_timeout),
        ):
            self._sweep()
            generation, path = self._next()
            older = self.list()
            write_atomic(path, image)
            written = _info(generation, path, os.lstat(path))
            _remove(older[self.keep - 1 :])
        return written

    def latest(self, *, mmap: bool = True) -> StateSnapshot | None:
        """Return the newest checkpoint that can be read; None where there is none.

        It is checked completely, O(n), then searched where it lies: in the mapped file,
        or with mmap=False in memory (see `StateSnapshot.open`).  A mapped checkpoint
        stays readable when it is pruned.

        One that is damaged, of a newer format, no regular file or refused by the system
        is passed over: `skipped` has it with the error, and it is logged.  Where there
        are checkpoints and none can be read, SnapshotError names them all, for going on
        with nothing would lose what they hold.  An error that is no file's, such as too
        many open files, is raised as it is.
        """
        vanished: set[int] = set()
        while True:
            skipped: list[SkippedCheckpoint] = []
            for generation, path in _generations(self.path):
                try:
                    snapshot = _opened(path, mmap)
                except (OSError, SnapshotError) as error:
                    has_vanished = isinstance(error, FileNotFoundError)
                    if has_vanished and generation not in vanished:
                        # Pruned since it was listed, so there is a newer one.
                        vanished.add(generation)
                        break
                    skipped.append(_skipped(generation, path, error))
                else:
                    self._report(skipped)
                    return snapshot
            else:
                self._report(skipped)
                if not skipped:
                    return None
                reasons = "; ".join(str(checkpoint.error) for checkpoint in skipped)
                none = f"none of its {len(skipped)} checkpoints can be read"
                if len(skipped) == 1:
                    none = "its only checkpoint cannot be read"
                raise SnapshotError(
                    f"{self.path}: {none}: {reasons}; put a copy of one back, or move "
                    "the folder away to start with nothing"
                ) from skipped[0].error

    def list(self) -> _Infos:
        """Return the generations that there are, newest first, by name and size alone.

        What is no regular file, or refuses even that, is not among them: `latest` tells
        of it.
        """
        infos = []
        for generation, path in _generations(self.path):
            with suppress(OSError):
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode):
                    infos.append(_info(generation, path, status))
        return infos

    def prune(self) -> _Infos:
        """Remove what is older than the newest `keep`, and return what was removed.

        As `write` does, for a `keep` that has become smaller.  It reads generations from
        the newest on until one is sound, which stays however old it is; where none is,
        everything stays.  One that cannot be removed is logged.
        """
        with locked(self.path / _LOCK_NAME, self.lock_timeout):
            infos = self.list()
            older = infos[self.keep :]
            if not older:
                return []
            sound = next((info for info in infos if _is_sound(info.path)), None)
            return _remove(info for info in older if sound and info is not sound)

    async def write_async(
        self, snapshot: StateSnapshot, *, progress: _Progress | None = None
    ) -> CheckpointInfo:
        """Write in a thread of anyio's, on asyncio or trio.

        Cancelled before the write has begun, there is none; cancelled later, it waits
        for the end of the write, and there is a new generation unless that failed.
        """
        from anyio import create_task_group, to_thread

        outcome: Future[CheckpointInfo] = Future()
        write = partial(self.write, snapshot, progress=progress)
        # A task group waits for its thread even where asyncio cancels this task itself.
        async with create_task_group() as group:
            group.start_soon(to_thread.run_sync, _settle, outcome, write)
        return outcome.result()

    def background(self, progress: _Progress | None = None) -> BackgroundWriter:
        """Return a writer with a thread of its own, to be closed or used in a `with`.

        An operator that never waits makes the writer ask for the GIL after each of its
        some 35 system calls, and each may take as long as `sys.getswitchinterval()`.
        """
        return BackgroundWriter(
            partial(self.write, progress=progress), _demand_snapshot
        )

    def _next(self) -> tuple[int, Path]:
        generation, path = max(_generations(self.path), default=(0, self.path))
        if generation == _LAST_GENERATION:
            raise OverflowError(f"{path} has the last number there is: move it away")
        return generation + 1, self.path / f"checkpoint-{generation + 1:020}.lkv"

    def _sweep(self) -> None:
        try:
            sweep(self.path, _NAME.fullmatch)
        except OSError as error:
            # They cost space; a checkpoint that is not written costs more.
            _logger.warning("leftovers of interrupted writes stay: %s", error)

    def _report(self, skipped: Iterable[SkippedCheckpoint]) -> None:
        self.skipped = tuple(skipped)
        for checkpoint in self.skipped:
            _logger.warning("checkpoint skipped: %s", checkpoint.error)


def _demand_snapshot(given: object) -> None:
    if not isinstance(given, StateSnapshot):
        raise TypeError(
            f"a checkpoint is of a StateSnapshot, not {given!r:.100}: call "
            "store.snapshot()"
        )


def _generations(directory: Path) -> list[tuple[int, Path]]:
    """Every name of a generation, whatever it names, newest first."""
    matches = map(_NAME.fullmatch, os.listdir(directory))
    found = [(int(match[1]), directory / match[0]) for match in matches if match]
    return sorted(found, reverse=True)


def _info(generation: int, path: Path, status: os.stat_result) -> CheckpointInfo:
    return CheckpointInfo(generation, path, status.st_size, status.st_mtime_ns)


def _opened(path: Path, mmap: bool) -> StateSnapshot:
    """The checkpoint at path; what it raises names the path."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise SnapshotCorruptError("it is not a regular file", path)
        if mmap:
            _read_through(path)
        return StateSnapshot.open(path, mmap=mmap)
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _read_through(path: Path) -> None:
    """Read a file and drop what it holds.

    A bad sector is an OSError here, and the end of the process in a mapped file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        while os.read(descriptor, _PIECE_SIZE):
            pass
    finally:
        os.close(descriptor)


def _skipped(
    generation: int, path: Path, error: OSError | SnapshotError
) -> SkippedCheckpoint:
    """The report of an error that is the file's; another is raised."""
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        raise error
    # Its frames would keep what they were working on.
    return SkippedCheckpoint(generation, path, error.with_traceback(None))


def _is_sound(path: Path) -> bool:
    try:
        _opened(path, mmap=True)
    except (OSError, SnapshotError):
        return False
    return True


def _remove(infos: Iterable[CheckpointInfo]) -> list[CheckpointInfo]:
    """Remove these checkpoints, and return those that are gone now."""
    removed = []
    for info in infos:
        try:
            os.unlink(info.path)
        except OSError as error:
            _logger.warning("an old checkpoint stays: %s", error)
        else:
            removed.append(info)
    return removed


def _settle(
    outcome: Future[CheckpointInfo], write: Callable[[], CheckpointInfo]
) -> None:
    """Put into the future what the call returns or raises."""
    try:
        outcome.set_result(write())
    except BaseException as error:  # noqa: BLE001 - it is raised from the future
        outcome.set_exception(error)

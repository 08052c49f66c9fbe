"""Documents: saves of a document store beside the same done by hand; by the wall clock.

By hand is what somebody writes who knows how: json.dumps, a temporary file, fsync,
rename, fsync of the folder, with no lock, check, queue, event or loop around it.  Each
save has data of its own.  The folder is below the current one, since temporary files
are kept in memory on many systems, where a sync costs nothing.
"""

import fcntl
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

import anyio

from latency_kv.bench.figures import Pair, Plan
from latency_kv.bench.timing import duel
from latency_kv.documents.store import FileSystemStateStore

PLUGIN = "plugin"

SAVES = 20
"""Saves of a round: a disk's moods differ from one to the next."""

BACKUPS = 3

# Of tmpfs; elsewhere the row is one more of the disk's.
_MEMORY = "/dev/shm"


def save(size: int, _: str, plan: Plan) -> Pair:
    """Save a document of so many members, durably, without backups."""
    with _folder() as ours, _folder() as theirs:
        return duel(
            lambda: _spent(ours, _saving(size), max_backups=0),
            lambda: _by_hand(theirs, size, write_by_hand),
            plan.rounds,
        )


def save_with_backups(size: int, _: str, plan: Plan) -> Pair:
    """Save with three backups, beside all of its system calls made by hand."""
    with _folder() as ours, _folder() as theirs:
        return duel(
            lambda: _spent(ours, _saving(size), max_backups=BACKUPS),
            lambda: _by_hand(theirs, size, _write_with_backups),
            plan.rounds,
        )


def backups(size: int, _: str, plan: Plan) -> Pair:
    """Save with three backups and with none."""
    with _folder() as ours, _folder() as theirs:
        return duel(
            lambda: _spent(ours, _saving(size), max_backups=BACKUPS),
            lambda: _spent(theirs, _saving(size), max_backups=0),
            plan.rounds,
        )


def save_in_memory(size: int, _: str, plan: Plan) -> Pair:
    """Save where no disk is, which shows what the store itself takes."""
    with _folder(_MEMORY) as ours, _folder(_MEMORY) as theirs:
        return duel(
            lambda: _spent(ours, _saving(size), max_backups=0),
            lambda: _by_hand(theirs, size, write_by_hand),
            plan.rounds,
        )


def events(size: int, _: str, plan: Plan) -> Pair:
    """Save with a listener to all events and with none, where no disk hides it."""
    heard: list[object] = []
    with _folder(_MEMORY) as ours, _folder(_MEMORY) as theirs:
        return duel(
            lambda: _spent(ours, _saving(size), heard.append),
            lambda: _spent(theirs, _saving(size)),
            plan.rounds,
        )


def load(size: int, _: str, plan: Plan) -> Pair:
    """Load a document, beside open, read and json.loads."""
    with _folder() as folder:
        _spent(folder, _saving(size))
        path = folder / f"{PLUGIN}.json"

        def by_hand() -> float:
            begin = perf_counter_ns()
            for _ in range(SAVES):
                json.loads(path.read_bytes())
            return (perf_counter_ns() - begin) / SAVES

        return duel(lambda: _spent(folder, _loading), by_hand, plan.rounds)


def side_by_side(size: int, _: str, plan: Plan) -> Pair:
    """Save the documents of so many plugins at once, and one after another."""
    numbers = count()

    async def at_once(store: FileSystemStateStore) -> int:
        async with anyio.create_task_group() as group:
            for plugin in range(size):
                data = _data(10, next(numbers))
                group.start_soon(store.save, f"plugin-{plugin}", data)
        return size

    async def in_turn(store: FileSystemStateStore) -> int:
        for plugin in range(size):
            await store.save(f"plugin-{plugin}", _data(10, next(numbers)))
        return size

    with _folder() as ours, _folder() as theirs:
        return duel(
            lambda: _spent(ours, at_once),
            lambda: _spent(theirs, in_turn),
            plan.passes,
        )


_Work = Callable[[FileSystemStateStore], Awaitable[int]]

_numbers = count()


def _data(size: int, number: int) -> dict[str, Any]:
    """So many members, with numbers that no save before had."""
    return {f"setting-{member}": number + member for member in range(size)}


def _saving(size: int) -> _Work:
    async def saving(store: FileSystemStateStore) -> int:
        for _ in range(SAVES):
            await store.save(PLUGIN, _data(size, next(_numbers)))
        return SAVES

    return saving


async def _loading(store: FileSystemStateStore) -> int:
    for _ in range(SAVES):
        await store.load(PLUGIN)
    return SAVES


def _spent(
    folder: Path,
    work: _Work,
    listener: Callable[[object], object] | None = None,
    **options: Any,
) -> float:
    """What one operation of the work takes, in ns, in a store that is open."""

    async def main() -> float:
        async with FileSystemStateStore(state_dir=folder, **options) as store:
            if listener is not None:
                store.events.on("*", listener)
            # The first operation makes the thread.
            await store.exists(PLUGIN)
            begin = perf_counter_ns()
            done = await work(store)
            return (perf_counter_ns() - begin) / done

    return anyio.run(main)


def _by_hand(folder: Path, size: int, write: Callable[[Path, bytes], None]) -> float:
    begin = perf_counter_ns()
    for _ in range(SAVES):
        number = next(_numbers)
        text = json.dumps({"version": 1, "data": _data(size, number)}, indent=2)
        write(folder, text.encode())
    return (perf_counter_ns() - begin) / SAVES


def write_by_hand(folder: Path, raw: bytes) -> None:
    _stage(folder, raw)
    os.replace(folder / "new", folder / "document")
    _sync(folder)


def _write_with_backups(folder: Path, raw: bytes) -> None:
    """The calls that `DocumentFiles.write` makes, without what it looks at between."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if (folder / "document").exists():
        (folder / "document").read_bytes()
        _stage(folder, raw)
        os.link(folder / "document", folder / "aside")
        names = [folder / f"backup.{number}" for number in range(1, BACKUPS + 1)]
        there = [name.exists() for name in names]
        for number in range(BACKUPS - 1, 0, -1):
            if there[number - 1]:
                os.replace(names[number - 1], names[number])
        os.replace(folder / "aside", names[0])
    else:
        _stage(folder, raw)
    os.replace(folder / "new", folder / "document")
    _sync(folder)
    os.close(lock)


def _stage(folder: Path, raw: bytes) -> None:
    descriptor = os.open(folder / "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, raw)
    os.fsync(descriptor)
    os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


@contextmanager
def _folder(parent: str = ".") -> Iterator[Path]:
    with TemporaryDirectory(dir=parent if os.path.isdir(parent) else None) as folder:
        yield Path(folder)

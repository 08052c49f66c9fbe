"""CheckpointDirectory: generations, their retention, and what a damaged one changes.

Every call of a write fails once and every crash of one is laid out, as in
test_durable.py; wrong protocols have to be noticed. Start at `violations`.
"""

import asyncio
import errno
import itertools
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from faults import (
    Call,
    Fault,
    State,
    Trace,
    crash_states,
    lay_out,
    recorded,
    size_limit,
)
from kills import quick_folder
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.checkpoints import CheckpointDirectory, CheckpointInfo
from latency_kv.durable import locked
from latency_kv.errors import (
    DurabilityError,
    SnapshotCorruptError,
    SnapshotError,
    SnapshotVersionError,
)

LOGGER = "latency_kv.checkpoints"

# A lock that is not free is not waited for in these tests.
NOT_LONG_S = 0.05

# Who may read nothing of root's.
NOBODY = 65_534

CODES = [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR]
by_code = pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
both = pytest.mark.parametrize("mmap", [True, False], ids=["mmap", "memory"])


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


@pytest.fixture
def directory(folder: Path) -> CheckpointDirectory:
    return CheckpointDirectory(folder, keep=3)


def snapshot_of(number: int) -> StateSnapshot:
    return InMemoryStore({b"number": b"%d" % number}).snapshot()


def number_of(snapshot: StateSnapshot | None) -> int | None:
    return None if snapshot is None else int(snapshot[b"number"])


def fill(directory: CheckpointDirectory, count: int) -> list[CheckpointInfo]:
    """Write so many checkpoints, each of its generation's number; newest first."""
    for number in range(1, count + 1):
        assert directory.write(snapshot_of(number)).generation == number
    return directory.list()


def generations(infos: list[CheckpointInfo]) -> list[int]:
    return [info.generation for info in infos]


def path_of(folder: Path, generation: int) -> Path:
    return folder / f"checkpoint-{generation:020}.lkv"


def names(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name != ".lock")


def test_newest_checkpoint_comes_back(directory: CheckpointDirectory) -> None:
    assert directory.latest() is None
    assert directory.list() == []
    for number in range(1, 6):
        info = directory.write(snapshot_of(number))
        assert info.generation == number
        assert info.path == path_of(directory.path, number)
        assert number_of(directory.latest()) == number
        assert directory.list()[0] == info
    assert directory.skipped == ()


@both
def test_checkpoint_is_the_snapshot(directory: CheckpointDirectory, mmap: bool) -> None:
    entries = {b"%05d" % number: b"value %d" % number for number in range(20_000)}
    snapshot = InMemoryStore(entries).snapshot()
    info = directory.write(snapshot)
    assert info.path.read_bytes() == snapshot.to_bytes()
    assert info.size_bytes == len(snapshot.to_bytes())
    assert info.written_ns == info.path.stat().st_mtime_ns
    latest = directory.latest(mmap=mmap)
    assert latest is not None
    assert latest == snapshot == entries
    assert latest.timestamp_ns == snapshot.timestamp_ns
    assert StateSnapshot.open(info.path) == entries


def test_checkpoint_of_a_checkpoint_is_the_same(directory: CheckpointDirectory) -> None:
    first = directory.write(snapshot_of(1))
    latest = directory.latest()
    assert latest is not None
    second = directory.write(latest)
    assert second.path.read_bytes() == first.path.read_bytes()


def test_files_are_their_owners_alone(folder: Path) -> None:
    before = os.umask(0)
    try:
        directory = CheckpointDirectory(folder / "a" / "b")
        directory.write(snapshot_of(1))
    finally:
        os.umask(before)
    for path in (directory.path, directory.path.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in directory.path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_path_is_fixed_when_the_directory_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    directory = CheckpointDirectory("inner")
    monkeypatch.chdir("/")
    directory.write(snapshot_of(1))
    assert names(folder / "inner") == [path_of(folder, 1).name]
    assert repr(directory) == f"CheckpointDirectory('{folder}/inner', keep=3)"


def test_file_in_the_way_raises(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(FileExistsError):
        CheckpointDirectory(folder / "file")


def test_folder_that_was_removed_is_an_error(directory: CheckpointDirectory) -> None:
    directory.path.rmdir()
    for call in (directory.latest, directory.list, directory.prune):
        with pytest.raises(FileNotFoundError):
            call()
    with pytest.raises(FileNotFoundError):
        directory.write(snapshot_of(1))
    directory.path.mkdir()


@pytest.mark.parametrize("keep", [0, -1])
def test_keep_below_one_raises(folder: Path, keep: int) -> None:
    with pytest.raises(ValueError, match=f"keep is {keep}"):
        CheckpointDirectory(folder / "inner", keep)
    assert not (folder / "inner").exists()


def test_keep_that_is_no_integer_raises(folder: Path) -> None:
    with pytest.raises(TypeError):
        CheckpointDirectory(folder, 2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [b"\x89LKVS\r\n\x1a", InMemoryStore(), None])
def test_what_is_no_snapshot_is_not_written(
    directory: CheckpointDirectory, wrong: Any
) -> None:
    with pytest.raises(TypeError, match="StateSnapshot"):
        directory.write(wrong)
    assert names(directory.path) == []


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_newest_are_kept(folder: Path, keep: int) -> None:
    infos = fill(CheckpointDirectory(folder, keep), 7)
    assert generations(infos) == list(range(7, 7 - keep, -1))
    assert names(folder) == sorted(info.path.name for info in infos)


def test_numbers_follow_the_highest_there_is(directory: CheckpointDirectory) -> None:
    fill(directory, 3)
    path_of(directory.path, 2).unlink()
    path_of(directory.path, 41).mkdir()
    assert directory.write(snapshot_of(42)).generation == 42
    assert number_of(directory.latest()) == 42


def test_numbers_that_are_used_up_raise(directory: CheckpointDirectory) -> None:
    last = path_of(directory.path, 10**20 - 1)
    last.write_bytes(snapshot_of(1).to_bytes())
    with pytest.raises(OverflowError, match=str(last)):
        directory.write(snapshot_of(2))
    assert names(directory.path) == [last.name]


def test_other_files_are_nobodys_business(directory: CheckpointDirectory) -> None:
    others = [
        "checkpoint-1.lkv",
        "checkpoint-00000000000000000009.lkv.old",
        "Checkpoint-00000000000000000009.lkv",
        "checkpoint-0000000000000000000a.lkv",
        ".state.0123456789abcdef.tmp",
        "notes.txt",
    ]
    for name in others:
        (directory.path / name).write_bytes(b"other")
    assert directory.latest() is None
    fill(directory, 5)
    assert generations(directory.list()) == [5, 4, 3]
    assert set(others) < set(names(directory.path))


def test_leftovers_of_killed_writes_are_swept(directory: CheckpointDirectory) -> None:
    left = directory.path / f".{path_of(directory.path, 7).name}.0123456789abcdef.tmp"
    left.write_bytes(b"half of it")
    assert directory.latest() is None
    fill(directory, 1)
    assert not left.exists()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def raise_version(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[16] += 1
    path.write_bytes(data)


def become_link(path: Path) -> None:
    """To a sound image, which is none of this folder's all the same."""
    os.rename(path, path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "flipped bit": (flip, SnapshotCorruptError),
    "cut": (lambda path: os.truncate(path, 200), SnapshotCorruptError),
    "empty": (lambda path: os.truncate(path, 0), SnapshotCorruptError),
    "zeroes": (lambda path: path.write_bytes(bytes(321)), SnapshotCorruptError),
    "foreign": (lambda path: path.write_bytes(b"{}" * 200), SnapshotCorruptError),
    "newer": (raise_version, SnapshotVersionError),
    "link": (become_link, SnapshotCorruptError),
    "pipe": (become_pipe, SnapshotCorruptError),
    "folder": (become_folder, SnapshotCorruptError),
}
damaged = pytest.mark.parametrize("damage", DAMAGES)


@both
@damaged
def test_damaged_checkpoint_is_skipped_and_told_of(
    directory: CheckpointDirectory,
    damage: str,
    mmap: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    newest = fill(directory, 3)[0].path
    harm, expected = DAMAGES[damage]
    harm(newest)
    assert number_of(directory.latest(mmap=mmap)) == 2
    (skipped,) = directory.skipped
    assert (skipped.generation, skipped.path) == (3, newest)
    assert isinstance(skipped.error, expected)
    assert str(newest) in str(skipped.error)
    (record,) = caplog.records
    assert (record.name, record.levelno) == (LOGGER, logging.WARNING)
    assert str(newest) in record.getMessage()
    directory.write(snapshot_of(4))
    assert number_of(directory.latest(mmap=mmap)) == 4
    assert directory.skipped == ()


@damaged
def test_nothing_readable_is_an_error_and_not_nothing(
    directory: CheckpointDirectory, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    infos = fill(directory, 3)
    for info in infos:
        DAMAGES[damage][0](info.path)
    with pytest.raises(SnapshotError, match="none of its 3 checkpoints") as caught:
        directory.latest()
    assert all(str(info.path) in str(caught.value) for info in infos)
    assert [skipped.path for skipped in directory.skipped] == [i.path for i in infos]
    assert caught.value.__cause__ is directory.skipped[0].error
    assert len(caplog.records) == 3


def test_link_to_nothing_is_told_of_as_a_link(directory: CheckpointDirectory) -> None:
    fill(directory, 1)
    path_of(directory.path, 2).symlink_to("nothing")
    assert number_of(directory.latest()) == 1
    assert isinstance(directory.skipped[0].error, SnapshotCorruptError)


def test_unreadable_checkpoint_is_skipped_and_told_of(
    directory: CheckpointDirectory,
) -> None:
    newest = fill(directory, 2)[0].path
    newest.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        for path in [directory.path, path_of(directory.path, 1)]:
            os.chown(path, NOBODY, -1)
        os.seteuid(NOBODY)
    try:
        latest = directory.latest()
    finally:
        if is_root:
            os.seteuid(0)
    assert number_of(latest) == 1
    assert isinstance(directory.skipped[0].error, PermissionError)
    assert str(newest) in str(directory.skipped[0].error)


def failing_on(path: Path, name: str, code: int) -> Callable[[int, Call], None]:
    def fail(number: int, call: Call) -> None:
        if (call.path, call.name) == (path.name, name):
            has_path = call.opened < 0 or name == "open"
            raise OSError(code, os.strerror(code), str(path) if has_path else None)

    return fail


# Without mmap a file object reads, which is not recorded.
REFUSED = [
    *itertools.product(["lstat", "open", "fstat"], [True, False]),
    ("read", True),
]


@pytest.mark.parametrize(("name", "mmap"), REFUSED)
def test_checkpoint_that_the_system_refuses_is_skipped_and_told_of(
    directory: CheckpointDirectory, name: str, mmap: bool
) -> None:
    """A bad sector too, which would end the process if it were found in a mapping."""
    newest = fill(directory, 2)[0].path
    hook = failing_on(newest, name, errno.EIO)
    with recorded(directory.path, before=hook):
        assert number_of(directory.latest(mmap=mmap)) == 1
    assert str(newest) in str(directory.skipped[0].error)
    assert "Input/output" in str(directory.skipped[0].error)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_error_that_is_no_files_is_raised(
    directory: CheckpointDirectory, code: int
) -> None:
    """Passing over a sound checkpoint for it would lose what that holds."""
    newest = fill(directory, 2)[0].path
    hook = failing_on(newest, "open", code)
    with recorded(directory.path, before=hook), pytest.raises(OSError) as caught:
        directory.latest()
    assert caught.value.errno == code


def test_skipped_checkpoints_hold_nothing_open(directory: CheckpointDirectory) -> None:
    flip(fill(directory, 2)[0].path)
    directory.latest()
    assert directory.skipped[0].error.__traceback__ is None


@pytest.mark.parametrize("name", ["lstat", "open"])
def test_checkpoint_pruned_while_it_is_looked_for_gives_way_to_a_newer_one(
    folder: Path, name: str
) -> None:
    directory, other = (CheckpointDirectory(folder, keep=1) for _ in range(2))
    fill(directory, 1)

    def overtake(number: int, call: Call) -> None:
        newest = other.list()[0]
        is_looked_for = (call.name, call.path) == (name, newest.path.name)
        if is_looked_for and newest.generation < 4:
            other.write(snapshot_of(newest.generation + 1))

    with recorded(folder, before=overtake):
        assert number_of(directory.latest()) == 4
    assert directory.skipped == ()


def test_checkpoint_that_is_listed_and_not_there_is_skipped(
    directory: CheckpointDirectory,
) -> None:
    newest = fill(directory, 2)[0].path
    hook = failing_on(newest, "lstat", errno.ENOENT)
    with recorded(directory.path, before=hook):
        assert number_of(directory.latest()) == 1
    assert isinstance(directory.skipped[0].error, FileNotFoundError)


def test_mapped_checkpoint_outlives_its_file(folder: Path) -> None:
    directory = CheckpointDirectory(folder, keep=1)
    fill(directory, 1)
    latest = directory.latest()
    directory.write(snapshot_of(2))
    assert generations(directory.list()) == [2]
    assert number_of(latest) == 1


def test_list_tells_of_regular_files_only(directory: CheckpointDirectory) -> None:
    newest = fill(directory, 3)[0].path
    become_link(newest)
    become_folder(path_of(directory.path, 2))
    assert generations(directory.list()) == [1]
    hook = failing_on(path_of(directory.path, 1), "lstat", errno.EIO)
    with recorded(directory.path, before=hook):
        assert directory.list() == []


def test_prune_removes_what_a_smaller_keep_leaves_out(folder: Path) -> None:
    fill(CheckpointDirectory(folder, keep=5), 5)
    directory = CheckpointDirectory(folder, keep=2)
    assert generations(directory.prune()) == [3, 2, 1]
    assert generations(directory.list()) == [5, 4]
    assert directory.prune() == []


def test_prune_spares_the_newest_that_can_be_read(folder: Path) -> None:
    fill(CheckpointDirectory(folder, keep=5), 5)
    for generation in (5, 4, 3):
        flip(path_of(folder, generation))
    directory = CheckpointDirectory(folder, keep=2)
    assert generations(directory.prune()) == [3, 1]
    assert generations(directory.list()) == [5, 4, 2]
    assert number_of(directory.latest()) == 2


def test_prune_removes_nothing_where_nothing_can_be_read(folder: Path) -> None:
    for info in fill(CheckpointDirectory(folder, keep=5), 5):
        flip(info.path)
    assert CheckpointDirectory(folder, keep=1).prune() == []
    assert len(names(folder)) == 5


def test_write_prunes_damaged_generations_as_others(folder: Path) -> None:
    directory = CheckpointDirectory(folder, keep=2)
    for info in fill(directory, 2):
        flip(info.path)
    directory.write(snapshot_of(3))
    assert generations(directory.list()) == [3, 2]
    assert number_of(directory.latest()) == 3


def test_old_checkpoint_that_stays_is_told_of_and_no_failure(
    directory: CheckpointDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    fill(directory, 3)
    oldest = path_of(directory.path, 1)
    hook = failing_on(oldest, "unlink", errno.EACCES)
    with recorded(directory.path, before=hook):
        assert directory.write(snapshot_of(4)).generation == 4
        assert directory.prune() == []
    assert [str(oldest) in record.getMessage() for record in caplog.records] == [
        True
    ] * 2
    assert generations(directory.list()) == [4, 3, 2, 1]
    directory.write(snapshot_of(5))
    assert generations(directory.list()) == [5, 4, 3]


def test_leftover_that_stays_is_told_of_and_no_failure(
    directory: CheckpointDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    left = directory.path / f".{path_of(directory.path, 7).name}.0123456789abcdef.tmp"
    left.touch()
    hook = failing_on(left, "unlink", errno.EPERM)
    with recorded(directory.path, before=hook):
        fill(directory, 1)
    assert left.exists()
    assert "leftovers" in caplog.text


def test_unsynced_folder_prunes_nothing(directory: CheckpointDirectory) -> None:
    fill(directory, 3)

    def fail(number: int, call: Call) -> None:
        if (call.name, call.path) == ("fsync", "."):
            raise OSError(errno.EIO, "no")

    with recorded(directory.path, before=fail), pytest.raises(DurabilityError):
        directory.write(snapshot_of(4))
    assert generations(directory.list()) == [4, 3, 2, 1]
    assert directory.write(snapshot_of(5)).generation == 5
    assert generations(directory.list()) == [5, 4, 3]


def prepared(folder: Path) -> CheckpointDirectory:
    """A folder where a write has to sweep, to write and to prune."""
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):
            os.unlink(folder / name)
    directory = CheckpointDirectory(folder, keep=2, lock_timeout=NOT_LONG_S)
    fill(directory, 2)
    left = f".{path_of(folder, 3).name}.0123456789abcdef.tmp"
    (folder / left).write_bytes(b"half of it")
    return directory


def check_after_failure(directory: CheckpointDirectory, trace: Trace) -> None:
    """The old checkpoint or, once it is renamed, the new one; and the next works."""
    is_renamed = "replace" in [call.name for call in trace.calls]
    assert number_of(directory.latest()) == (3 if is_renamed else 2)
    assert directory.skipped == ()
    directory.write(snapshot_of(4))
    assert number_of(directory.latest()) == 4
    assert names(directory.path) == [info.path.name for info in directory.list()[::-1]]


@pytest.mark.parametrize("goes_on", [False, True], ids=["once", "from then on"])
@by_code
def test_failing_call_leaves_the_old_checkpoint_or_the_new(
    folder: Path, code: int, goes_on: bool
) -> None:
    """Of the lock's calls too; an error, where there is one, is the system's."""
    for number in itertools.count():
        directory = prepared(folder)
        fault = Fault(number, OSError(code, os.strerror(code)), goes_on=goes_on)
        error: BaseException | None = None
        with recorded(folder, before=fault) as trace:
            try:
                directory.write(snapshot_of(3))
            except OSError as caught:
                error = caught
        if fault.failed is None:
            assert error is None
            break
        if error is not None:
            told = {id(error), id(error.__cause__), id(error.__context__)}
            assert id(fault.error) in told or isinstance(error, TimeoutError)
        check_after_failure(directory, trace)
    assert number > 20, "the calls of sweep, lock, list, write and prune"


@pytest.mark.parametrize("hook", ["before", "after"])
def test_interrupt_leaves_the_old_checkpoint_or_the_new(
    folder: Path, hook: str
) -> None:
    for number in itertools.count():
        directory = prepared(folder)
        fault = Fault(number, KeyboardInterrupt())
        hooks: dict[str, Any] = {hook: fault}
        with recorded(folder, **hooks) as trace, suppress(KeyboardInterrupt):
            directory.write(snapshot_of(3))
        if fault.failed is None:
            break
        check_after_failure(directory, trace)


def test_full_disk_leaves_the_old_checkpoint(folder: Path) -> None:
    directory = prepared(folder)
    snapshot = snapshot_of(3)
    image_size = len(snapshot.to_bytes())
    for size in range(image_size):
        with size_limit(size), pytest.raises(OSError, match="large"):
            directory.write(snapshot)
        assert generations(directory.list()) == [2, 1]
    assert names(folder) == [path_of(folder, n).name for n in (1, 2)]
    with size_limit(image_size):
        directory.write(snapshot)
    assert number_of(directory.latest()) == 3


def is_pruning(call: Call) -> bool:
    return call.name == "unlink" and call.path.startswith("checkpoint")


def is_file_sync(call: Call) -> bool:
    return call.name == "fsync" and call.path != "."


def is_folder_sync(call: Call) -> bool:
    return call.name == "fsync" and call.path == "."


PLANTED: dict[str, Callable[[Trace], Trace]] = {
    "no sync of the file": lambda trace: trace.without(is_file_sync),
    "no sync of the folder": lambda trace: trace.without(is_folder_sync),
    "rename before the sync": lambda trace: trace.moved(is_file_sync, after="replace"),
    "pruned before it is durable": lambda trace: trace.moved(is_pruning, after="write"),
    "pruned before it is synced": lambda trace: trace.moved(
        is_pruning, after="replace"
    ),
}


def trace_of_write(folder: Path, keep: int) -> Trace:
    """Write a third checkpoint beside as many as are kept."""
    directory = CheckpointDirectory(folder, keep)
    fill(directory, 2)
    left = f".{path_of(folder, 3).name}.0123456789abcdef.tmp"
    (folder / left).write_bytes(b"half of it")
    with recorded(folder) as trace:
        directory.write(snapshot_of(3))
        trace.acknowledge()
    return trace


def violations(trace: Trace, keep: int, *, first: bool) -> list[tuple[State, str]]:
    """The states after a crash that lose a checkpoint or have one that is not whole.

    Only the first of them, if so. Elsewhere the next write has to work, and to tidy up.
    """
    found = []
    for state in crash_states(trace):
        with quick_folder() as scratch:
            lay_out(state, scratch)
            directory = CheckpointDirectory(scratch, keep)
            try:
                newest = number_of(directory.latest(mmap=False))
            except SnapshotError as error:
                found.append((state, str(error)))
            else:
                if newest not in ([3] if state.acknowledged else [2, 3]):
                    found.append((state, f"the newest is {newest}"))
                elif directory.skipped:
                    found.append((state, f"not whole: {directory.skipped}"))
                else:
                    directory.write(snapshot_of(4))
                    assert number_of(directory.latest(mmap=False)) == 4
                    assert len(names(scratch)) == len(directory.list()) <= keep
        if first and found:
            break
    return found


@pytest.mark.parametrize("keep", [1, 2])
def test_no_crash_loses_a_checkpoint(folder: Path, keep: int) -> None:
    trace = trace_of_write(folder, keep)
    assert len(list(crash_states(trace))) >= 20
    assert not violations(trace, keep, first=False)


@pytest.mark.parametrize("planted", PLANTED)
def test_wrong_protocol_is_noticed(folder: Path, planted: str) -> None:
    trace = PLANTED[planted](trace_of_write(folder, keep=1))
    assert violations(trace, keep=1, first=True)


def test_held_lock_stops_writes_and_no_reads(folder: Path) -> None:
    fill(CheckpointDirectory(folder), 1)
    directory = CheckpointDirectory(folder, lock_timeout=NOT_LONG_S)
    with locked(folder / ".lock", NOT_LONG_S):
        with pytest.raises(TimeoutError, match="lock"):
            directory.write(snapshot_of(2))
        with pytest.raises(TimeoutError, match="lock"):
            directory.prune()
        assert number_of(directory.latest()) == 1
        assert generations(directory.list()) == [1]
    directory.write(snapshot_of(2))


def test_image_is_encoded_without_the_lock(folder: Path) -> None:
    entered = []

    def progress(done: int, total: int) -> None:
        with locked(folder / ".lock", NOT_LONG_S):
            entered.append((done, total))

    CheckpointDirectory(folder).write(snapshot_of(1), progress=progress)
    assert entered[-1] == (1, 1)


def test_progress_that_raises_writes_nothing(directory: CheckpointDirectory) -> None:
    def progress(done: int, total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        directory.write(snapshot_of(1), progress=progress)
    assert names(directory.path) == []
    directory.write(snapshot_of(1))


def test_threads_never_write_one_generation(folder: Path, seed: int) -> None:
    """Each with a directory of its own or with one for all, as it comes."""
    shared = CheckpointDirectory(folder, keep=1_000)
    written: list[CheckpointInfo] = []

    def work(number: int) -> None:
        own = CheckpointDirectory(folder, keep=1_000) if number % 2 else shared
        for _ in range(10):
            written.append(own.write(snapshot_of(number)))
            assert own.latest() is not None

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(generations(written)) == list(range(1, 41))
    assert sorted(written, key=lambda info: -info.generation) == shared.list()


def test_readers_find_a_checkpoint_while_others_are_written(folder: Path) -> None:
    """With one kept, what a reader has listed is always about to be pruned."""
    directory = CheckpointDirectory(folder, keep=1)
    directory.write(snapshot_of(0))
    done = threading.Event()
    read: list[int] = []
    errors: list[BaseException] = []

    def look() -> None:
        reader = CheckpointDirectory(folder)
        try:
            while not done.is_set():
                number = number_of(reader.latest())
                assert number is not None
                assert reader.skipped == ()
                read.append(number)
        except BaseException as error:  # noqa: BLE001 - raised by the test
            errors.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for number in range(1, 300):
            directory.write(snapshot_of(number))
    finally:
        done.set()
        thread.join()
    assert not errors, errors
    assert read == sorted(read)


@pytest.mark.anyio
async def test_write_async_writes(directory: CheckpointDirectory) -> None:
    threads: list[int] = []

    def progress(done: int, total: int) -> None:
        threads.append(threading.get_ident())

    info = await directory.write_async(snapshot_of(1), progress=progress)
    assert info == directory.list()[0]
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.anyio
async def test_write_async_raises_what_write_does(
    directory: CheckpointDirectory,
) -> None:
    with pytest.raises(TypeError, match="StateSnapshot"):
        await directory.write_async(None)  # type: ignore[arg-type]

    def progress(done: int, total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await directory.write_async(snapshot_of(1), progress=progress)


@pytest.mark.anyio
async def test_write_async_cancelled_before_it_begins_writes_nothing(
    directory: CheckpointDirectory,
) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await directory.write_async(snapshot_of(1))
    assert scope.cancelled_caught
    assert names(directory.path) == []


class Gate:
    """A progress callback that waits in the writer's thread until it may go on."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, done: int, total: int) -> None:
        self.begun.set()
        assert self.may_go_on.wait(60)

    async def wait_begun(self) -> None:
        while not self.begun.is_set():
            await anyio.sleep(0.001)


@pytest.mark.anyio
async def test_write_async_cancelled_later_ends_its_write_first(
    directory: CheckpointDirectory,
) -> None:
    gate = Gate()

    async def write() -> None:
        await directory.write_async(snapshot_of(1), progress=gate)

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        await gate.wait_begun()
        group.cancel_scope.cancel()
        gate.may_go_on.set()
    assert number_of(directory.latest()) == 1


def test_write_async_cancelled_by_asyncio_ends_its_write_first(
    directory: CheckpointDirectory,
) -> None:
    """Tasks and timeouts of asyncio's own know nothing of anyio's shields."""
    gate = Gate()

    async def main() -> None:
        task = asyncio.create_task(directory.write_async(snapshot_of(1), progress=gate))
        await gate.wait_begun()
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        gate.may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert number_of(directory.latest()) == 1

    asyncio.run(main())

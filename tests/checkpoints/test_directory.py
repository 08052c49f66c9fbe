"""CheckpointDirectory: generations, their retention, and what is nobody's business.

What damage, crashes and others who share the folder change is in test_damage.py,
test_crashes.py and test_sharing.py. Start at `test_newest_checkpoint_comes_back`.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from checkpoints.numbered import (
    become_folder,
    become_link,
    both,
    fill,
    flip,
    generations,
    names,
    number_of,
    path_of,
    snapshot_of,
)
from faults import Call, failing_on, recorded
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.checkpoints import CheckpointDirectory
from latency_kv.errors import DurabilityError


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
    with pytest.raises(FileExistsError, match="it is no folder, .*/file'$"):
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

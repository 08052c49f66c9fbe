"""Damage: a checkpoint that cannot be read is passed over, told of, and not removed.

Start at `DAMAGES`.
"""

import errno
import itertools
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from checkpoints.numbered import (
    become_folder,
    become_link,
    both,
    fill,
    flip,
    number_of,
    path_of,
    snapshot_of,
)
from faults import Call, failing_on, recorded
from latency_kv.checkpoints import CheckpointDirectory
from latency_kv.errors import SnapshotCorruptError, SnapshotError, SnapshotVersionError

LOGGER = "latency_kv.checkpoints"

# Who may read nothing of root's.
NOBODY = 65_534


def raise_version(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[16] += 1
    path.write_bytes(data)


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


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
    assert str(caught.value).endswith(
        "; put a copy of one back, or move the folder away to start with nothing"
    )
    assert caught.value.__cause__ is directory.skipped[0].error
    assert len(caplog.records) == 3
    for info in infos[1:]:
        if info.path.is_dir() and not info.path.is_symlink():
            shutil.rmtree(info.path)
        else:
            info.path.unlink()
    with pytest.raises(SnapshotError, match="its only checkpoint cannot be read"):
        directory.latest()


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

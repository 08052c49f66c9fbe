"""Full disk: whatever does not fit leaves the old documents as they were.

At every byte of a document by a limit to the size of files, and at every page and every
file of a real file system, where there is root to mount one. Start at `check_full`.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from documents.changes import (
    CHANGES,
    NAME,
    Change,
    check_done,
    check_kept,
    check_next,
    check_whole,
    looked_at,
    prepared,
)
from faults import size_limit
from latency_kv.documents.files import DocumentFiles
from latency_kv.errors import StateWriteError
from power import PAGE_SIZE, tiny_disk, what_a_tiny_disk_misses

by_change = pytest.mark.parametrize("name", CHANGES)

# What a disk has, and what of it a change needs at most.
PAGES, FILES, ENOUGH = 40, 40, 4


@pytest.fixture
def needs_mounts() -> None:
    if reason := what_a_tiny_disk_misses():
        pytest.skip(f"no disk to fill: {reason}")


def made(change: Change, files: DocumentFiles, code: int) -> bool:
    """Whether there was room for the change; if not, there is what there was."""
    try:
        change.make(files)
    except StateWriteError as error:
        assert error.plugin_name == NAME
        assert isinstance(error.__cause__, OSError)
        assert error.__cause__.errno == code
        holding = looked_at(files)
        assert holding.document == change.held.document
        check_whole(change, holding)
        check_kept(change, holding)
        return False
    check_done(change, looked_at(files))
    return True


@by_change
def test_disk_that_is_full_at_any_byte_leaves_the_old(folder: Path, name: str) -> None:
    change = CHANGES[name]
    files = prepared(folder, change)
    size = 0
    while True:
        with size_limit(size):
            if made(change, files, errno.EFBIG):
                break
        size += 1
    assert (size == 0) == name.startswith("clear")
    check_next(files, looked_at(files))


def leave_pages(disk: Path, free_count: int) -> None:
    """Fill the disk with one file that leaves so many pages."""
    with open(disk / "filling", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE_SIZE))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        size = os.fstat(file.fileno()).st_size
        file.truncate(size - free_count * PAGE_SIZE)


def leave_files(disk: Path, free_count: int) -> None:
    """Fill it with files that leave so many, and room for bytes enough."""
    for number in range(os.statvfs(disk).f_ffree - free_count):
        (disk / f"filling {number}").touch()


def empty(disk: Path) -> None:
    for path in disk.glob("filling*"):
        path.unlink()


@by_change
@pytest.mark.parametrize("leave", [leave_pages, leave_files])
def test_disk_without_room_leaves_the_old(
    needs_mounts: None, name: str, leave: Callable[[Path, int], None]
) -> None:
    change = CHANGES[name]
    with tiny_disk(PAGES, FILES) as disk:
        outcomes = []
        for free_count in range(ENOUGH + 1):
            files = prepared(disk / "state", change)
            leave(disk, free_count)
            outcomes.append(made(change, files, errno.ENOSPC))
            empty(disk)
            check_next(files, looked_at(files))
    assert outcomes[-1]
    assert outcomes[0] == name.startswith("clear")


def test_document_of_many_pages_is_written_whole_or_not(needs_mounts: None) -> None:
    """The system takes as many pages as there are, and says how many."""
    data = {"filling": "x" * (ENOUGH - 1) * PAGE_SIZE}
    with tiny_disk(PAGES, FILES) as disk:
        files = prepared(disk / "state", CHANGES["rotation"])
        for free_count in range(ENOUGH):
            leave_pages(disk, free_count)
            with files.hold(NAME), pytest.raises(StateWriteError, match="space"):
                files.write(NAME, data, None)
            assert looked_at(files) == CHANGES["rotation"].held
        leave_pages(disk, ENOUGH)
        with files.hold(NAME):
            files.write(NAME, data, None)
        state = files.read(NAME)
        assert state is not None
        assert state.data == data

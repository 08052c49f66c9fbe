"""Sharing: threads and processes write one at a time, and readers wait for nobody.

Start at `test_readers_find_a_checkpoint_while_others_are_written`.
"""

import threading
from pathlib import Path

import pytest

from checkpoints.numbered import (
    NOT_LONG_S,
    fill,
    generations,
    names,
    number_of,
    snapshot_of,
)
from latency_kv.checkpoints import CheckpointDirectory, CheckpointInfo
from latency_kv.durable import locked


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

"""Crashes and failing calls: a checkpoint is written or not, and no other is lost.

Every call of a write fails once and every crash of one is laid out, as in
test_durable.py; wrong protocols have to be noticed. Start at `violations`.
"""

import errno
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from checkpoints.numbered import (
    NOT_LONG_S,
    fill,
    generations,
    names,
    number_of,
    path_of,
    snapshot_of,
)
from faults import (
    CODES,
    WRONG,
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
from latency_kv.checkpoints import CheckpointDirectory
from latency_kv.errors import SnapshotError

by_code = pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)


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


PLANTED: dict[str, Callable[[Trace], Trace]] = {
    **WRONG,
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

"""Failing calls: whichever call of a change the system refuses, nothing is half done.

Each call of each kind of change fails once, alone or with all that come after it, as on
a disk that is gone. Then the old documents are there or the new, the error says which,
and the next save works. Start at `check_failure`.
"""

import errno
import itertools
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from documents.changes import (
    CHANGES,
    DOCUMENT,
    LOCKS,
    NAME,
    Change,
    Flaw,
    backup,
    check_done,
    check_kept,
    check_next,
    check_whole,
    looked_at,
    names,
    prepared,
    save,
)
from faults import (
    CODES,
    Call,
    Fault,
    Trace,
    failing_on,
    open_descriptors,
    recorded,
)
from latency_kv import durable
from latency_kv.documents.files import DocumentFiles
from latency_kv.errors import (
    LockTimeoutError,
    OutcomeUnknownError,
    StateParseError,
    StateReadError,
    StateWriteError,
)

by_change = pytest.mark.parametrize("name", CHANGES)

# Each with every code; all changes with one.
TYPICAL = ["rotation", "save over damage", "clear", "restore", "recovery"]
REFUSED = [(name, errno.EIO) for name in CHANGES]
REFUSED += [(name, code) for name in TYPICAL for code in CODES if code != errno.EIO]

# What a system says that has no links, or not for this file, or not here.
NO_LINKS = [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV]

READING = ("open", "fstat", "read", "close")

# What is nobody's fault but this process's or machine's.
EXHAUSTED = [errno.EMFILE, errno.ENFILE, errno.ENOMEM]


@pytest.fixture(autouse=True)
def no_log(caplog: pytest.LogCaptureFixture) -> None:
    """What stays behind is logged, a thousand times here."""
    caplog.set_level(logging.CRITICAL)


def failed(change: Change, files: DocumentFiles) -> Exception | None:
    """Make the change, and return how it failed."""
    try:
        change.make(files)
    except (OSError, StateParseError) as error:
        return error
    return None


def is_made(trace: Trace) -> bool:
    """Whether the new document is in place, or the old one not any more."""
    return any(
        (DOCUMENT in (call.path, call.target) and call.name in ("replace", "rename"))
        or (call.name, call.path) == ("unlink", DOCUMENT)
        for call in trace.calls
    )


def is_locking(call: Call) -> bool:
    """Whether it is the lock's, which asks where its folder is."""
    return call.path.startswith(LOCKS) or (call.name, call.path) == ("lstat", ".")


def is_passed_over(change: Change, call: Call) -> bool:
    """Whether it keeps a recovery from a backup: then it takes an older one, or none."""
    return change.recovers and ".backup." in call.path and call.name in READING


def is_borne(change: Change, call: Call) -> bool:
    """Whether a change may be made though this was refused."""
    is_readers = ".backup." in call.path and call.name in READING
    return is_locking(call) or is_readers or call.name in ("link", "unlink")


def check_failure(
    change: Change,
    files: DocumentFiles,
    trace: Trace,
    fault: Fault,
    error: Exception | None,
) -> None:
    """That the error tells what happened, and that it is all that did."""
    assert fault.failed is not None
    holding = looked_at(files)
    check_whole(change, holding, older=is_passed_over(change, fault.failed))
    check_kept(change, holding)
    if error is None:
        if not is_passed_over(change, fault.failed):
            check_done(change, holding)
        assert is_borne(change, fault.failed), fault.failed
    if error is not None:
        check_error(change, files, trace, fault, error)
        if is_made(trace):
            check_done(change, holding)
        elif holding.document != change.held.document:
            raise Flaw(f"said to have failed, and made: {holding}")
    check_next(files, holding)


def check_error(
    change: Change,
    files: DocumentFiles,
    trace: Trace,
    fault: Fault,
    error: Exception,
) -> None:
    assert fault.failed is not None
    if is_locking(fault.failed):
        assert error is fault.error or isinstance(error, LockTimeoutError)
        return
    assert isinstance(error, OutcomeUnknownError) == is_made(trace)
    kinds = [StateWriteError, OutcomeUnknownError]
    kinds += [StateReadError] if change.reads else []
    if is_passed_over(change, fault.failed):
        assert isinstance(error, StateParseError)
        return
    assert type(error) in kinds
    assert isinstance(error, StateWriteError | StateReadError | OutcomeUnknownError)
    assert error.plugin_name == NAME
    assert error.path is not None
    assert files.directory in (error.path, error.path.parent)
    cause = error.__cause__
    assert fault.error in (cause, cause and cause.__cause__)


def fail_each(folder: Path, change: Change, code: int) -> None:
    """Make the change again and again, and let its n-th call fail."""
    before = open_descriptors()
    for number in itertools.count():
        files = prepared(folder, change)
        fault = Fault(number, OSError(code, os.strerror(code)))
        with recorded(folder, before=fault) as trace:
            error = failed(change, files)
        if fault.failed is None:
            break
        assert open_descriptors() == before
        check_failure(change, files, trace, fault, error)
    assert number > 10, "the calls of lock, read, write and rename"


@pytest.mark.parametrize(
    ("name", "code"),
    REFUSED,
    ids=[f"{name}-{errno.errorcode[code]}" for name, code in REFUSED],
)
def test_failing_call_leaves_the_old_documents_or_the_new(
    folder: Path, name: str, code: int
) -> None:
    fail_each(folder, CHANGES[name], code)


@by_change
def test_disk_that_is_gone_leaves_what_opening_sweeps(folder: Path, name: str) -> None:
    """Not even temporary files can be removed then; whoever goes on is not kept by it."""
    change = CHANGES[name]
    before = open_descriptors()
    for number in itertools.count():
        files = prepared(folder, change)
        fault = Fault(number, OSError(errno.EIO, "gone"), goes_on=True)
        with recorded(folder, before=fault) as trace:
            error = failed(change, files)
        if fault.failed is None:
            break
        assert open_descriptors() == before
        assert len([name for name in names(folder) if name.endswith(".tmp")]) <= 2
        files.open()
        check_failure(change, files, trace, fault, error)


@pytest.mark.parametrize("hook", ["before", "after"])
@pytest.mark.parametrize("name", TYPICAL)
def test_interrupt_leaves_the_old_documents_or_the_new(
    folder: Path, name: str, hook: str
) -> None:
    change = CHANGES[name]
    before = open_descriptors()
    for number in itertools.count():
        files = prepared(folder, change)
        fault = Fault(number, KeyboardInterrupt())
        hooks: dict[str, Any] = {hook: fault}
        with recorded(folder, **hooks), suppress(KeyboardInterrupt):
            change.make(files)
        if fault.failed is None:
            break
        assert open_descriptors() == before
        leftovers = [name for name in names(folder) if name.endswith(".tmp")]
        # What was interrupted as it was made has no name yet for whoever tidies up.
        is_staging = fault.failed.name in ("open", "link") and hook == "after"
        assert len(leftovers) <= is_staging
        files.open()
        holding = looked_at(files)
        check_whole(change, holding)
        check_kept(change, holding)
        check_next(files, holding)


@pytest.mark.parametrize("code", NO_LINKS, ids=errno.errorcode.get)
@by_change
def test_where_there_are_no_links_copies_do(folder: Path, name: str, code: int) -> None:
    change = CHANGES[name]
    files = prepared(folder, change)

    def refuse(number: int, call: Call) -> None:
        if call.name == "link":
            raise OSError(code, os.strerror(code))

    with recorded(folder, before=refuse) as trace:
        change.make(files)
    assert "link" not in [call.name for call in trace.calls]
    assert looked_at(files) == change.after
    assert all((folder / name).stat().st_nlink == 1 for name in names(folder))


@by_change
def test_short_writes_are_gone_on_with(folder: Path, name: str) -> None:
    for size in (1, 7, 100):
        files = prepared(folder, CHANGES[name])
        with recorded(folder, piece_size=size):
            CHANGES[name].make(files)
        assert looked_at(files) == CHANGES[name].after


@pytest.mark.parametrize("code", EXHAUSTED, ids=errno.errorcode.get)
def test_recovery_passes_over_no_backup_for_want_of_descriptors(
    folder: Path, code: int
) -> None:
    """A sound backup's newer state would be lost for it."""
    change = CHANGES["recovery"]
    files = prepared(folder, change)
    hook = failing_on(folder / backup(1), "open", code)
    with recorded(folder, before=hook):
        error = failed(change, files)
    assert isinstance(error, OSError)
    assert looked_at(files) == change.held


def failures_of_the_next_save(folder: Path) -> list[str]:
    """Of saves after a disk was gone, by a store that goes on."""
    change = CHANGES["rotation"]
    found = []
    for number in itertools.count():
        files = prepared(folder, change)
        fault = Fault(number, OSError(errno.EIO, "gone"), goes_on=True)
        with recorded(folder, before=fault):
            failed(change, files)
        if fault.failed is None:
            break
        try:
            save(files)
        except OSError as error:
            found.append(f"after {fault.failed}: {error}")
    return found


def test_leftovers_are_in_nobodys_way(folder: Path) -> None:
    assert not failures_of_the_next_save(folder)


def test_fixed_temporary_name_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    assert failures_of_the_next_save(folder)


def test_staged_file_that_stays_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "discard", lambda staged: None)
    with pytest.raises(Flaw, match="leftover"):
        fail_each(folder, CHANGES["save"], errno.EIO)


def test_success_that_is_none_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = DocumentFiles.write

    def careless(*arguments: Any) -> None:
        with suppress(OSError):
            write(*arguments)

    monkeypatch.setattr(DocumentFiles, "write", careless)
    with pytest.raises(Flaw, match="not what was told"):
        fail_each(folder, CHANGES["save"], errno.EIO)


def test_descriptor_that_stays_open_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = DocumentFiles.write
    kept = []

    def keeping(*arguments: Any) -> Any:
        kept.append(os.open(os.devnull, os.O_RDONLY))
        return write(*arguments)

    monkeypatch.setattr(DocumentFiles, "write", keeping)
    try:
        with pytest.raises(AssertionError, match=r"assert \d+ == \d+"):
            fail_each(folder, CHANGES["save"], errno.EIO)
    finally:
        for descriptor in kept:
            os.close(descriptor)

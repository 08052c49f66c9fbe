"""Durable: whole or not at all, whichever call fails and wherever a crash comes.

The calls of a write are recorded by faults.py, failed one by one, and cut off at every
point. Protocols that are wrong in known ways go through the same checks and have to be
noticed: see `PLANTED`. Start at `violations`.
"""

import array
import errno
import itertools
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faults import (
    CODES,
    WRONG,
    Call,
    Fault,
    State,
    Trace,
    crash_states,
    is_folder_sync,
    open_descriptors,
    recorded,
    size_limit,
)
from fresh import PACKAGE_PARENT, run_fresh
from latency_kv import durable
from latency_kv.durable import (
    discard,
    locked,
    make_directory,
    publish,
    stage,
    stage_link,
    sweep,
    sync_directory,
    write_atomic,
)
from latency_kv.errors import DurabilityError

if TYPE_CHECKING:
    from typing_extensions import Buffer

OLD, NEW, OTHER = b"the old bytes", b"the new ones, and more of them", b"others'"

by_code = pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)

WRITE = ["open", "write", "fsync", "close", "replace"]
SYNC = ["open", "fsync", "close"]

# A lock that is not free is not waited for in these tests, one that is has to be had.
NOT_LONG_S, LONG_S = 0.05, 60


@pytest.fixture
def path(folder: Path) -> Path:
    path = folder / "state"
    path.write_bytes(OLD)
    return path


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def any_target(name: str) -> bool:
    return True


def test_write_replaces_the_file(path: Path) -> None:
    path.chmod(0o666)
    write_atomic(path, NEW)
    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(path.parent) == ["state"]


def test_write_takes_any_contiguous_buffer(path: Path) -> None:
    square = memoryview(bytes(range(16))).cast("B", (4, 4))
    numbers = array.array("q", [1, 2])
    buffers: list[Buffer] = [b"", bytearray(NEW), memoryview(NEW), numbers, square]
    for data in buffers:
        write_atomic(path, data)
        assert path.read_bytes() == bytes(memoryview(data).cast("B"))


@pytest.mark.parametrize("data", ["text", None, 7, memoryview(NEW)[::2]])
def test_what_is_no_contiguous_buffer_writes_nothing(path: Path, data: object) -> None:
    with pytest.raises(TypeError):
        write_atomic(path, data)  # type: ignore[arg-type]
    assert path.read_bytes() == OLD
    assert names(path.parent) == ["state"]


def test_path_may_be_relative(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    write_atomic("state", NEW)
    assert (folder / "state").read_bytes() == NEW


@pytest.mark.parametrize(("name", "kind"), [("no/such", 2), ("state", 20)])
def test_folder_that_is_missing_is_named(path: Path, name: str, kind: int) -> None:
    folder = path.parent / name
    with pytest.raises(OSError) as caught:
        write_atomic(folder / "x.lkv", NEW)
    assert caught.value.filename == str(folder) and caught.value.errno == kind


def test_link_at_the_path_is_replaced_and_not_followed(folder: Path) -> None:
    target, link = folder / "target", folder / "link"
    target.write_bytes(OLD)
    link.symlink_to(target)
    write_atomic(link, NEW)
    assert target.read_bytes() == OLD
    assert not link.is_symlink()
    assert link.read_bytes() == NEW


def test_folder_at_the_path_stays(folder: Path) -> None:
    (folder / "state").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(folder / "state", NEW)
    assert names(folder) == ["state"]


def test_short_writes_are_gone_on_with(path: Path) -> None:
    for size in range(1, len(NEW)):
        with recorded(path.parent, piece_size=size):
            write_atomic(path, NEW)
        assert path.read_bytes() == NEW


def test_large_data_is_written_in_pieces(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_PIECE_SIZE", 7)
    with recorded(path.parent) as trace:
        write_atomic(path, NEW)
    pieces = [call.data for call in trace.calls if call.name == "write"]
    assert max(map(len, pieces)) == 7
    assert b"".join(pieces) == path.read_bytes() == NEW


@by_code
def test_failing_call_leaves_the_old_file_or_the_new(path: Path, code: int) -> None:
    failed = []
    for number in itertools.count():
        path.write_bytes(OLD)
        before = open_descriptors()
        fault = Fault(number, OSError(code, os.strerror(code)))
        error: OSError | None = None
        with recorded(path.parent, before=fault) as trace:
            try:
                write_atomic(path, NEW)
            except OSError as caught:
                error = caught
        if fault.failed is None:
            assert error is None
            break
        failed.append(fault.failed.name)
        if "replace" in [call.name for call in trace.calls]:
            assert path.read_bytes() == NEW
            assert isinstance(error, DurabilityError)
            assert (error.__cause__, error.path) == (fault.error, path)
        else:
            assert path.read_bytes() == OLD
            assert error is fault.error
        assert names(path.parent) == ["state"]
        assert open_descriptors() == before
    assert failed == [*WRITE, *SYNC]


@by_code
def test_disk_that_is_gone_leaves_what_sweep_removes(path: Path, code: int) -> None:
    """Not even the temporary file can be removed then."""
    for number in itertools.count():
        path.write_bytes(OLD)
        fault = Fault(number, OSError(code, os.strerror(code)), goes_on=True)
        with recorded(path.parent, before=fault) as trace:
            if number < len([*WRITE, *SYNC]):
                with pytest.raises(OSError):
                    write_atomic(path, NEW)
            else:
                write_atomic(path, NEW)
        if fault.failed is None:
            break
        is_renamed = "replace" in [call.name for call in trace.calls]
        assert path.read_bytes() == (NEW if is_renamed else OLD)
        left = [name for name in names(path.parent) if name != "state"]
        assert sweep(path.parent, "state".__eq__) == left
        assert len(left) <= 1
        assert names(path.parent) == ["state"]


@pytest.mark.parametrize("hook", ["before", "after"])
def test_interrupt_leaves_the_old_file_or_the_new(path: Path, hook: str) -> None:
    """Only one that comes as the temporary file is created leaves work for sweep."""
    swept = []
    for number in itertools.count():
        path.write_bytes(OLD)
        fault = Fault(number, KeyboardInterrupt())
        hooks: dict[str, Any] = {hook: fault}
        with recorded(path.parent, **hooks) as trace, suppress(KeyboardInterrupt):
            write_atomic(path, NEW)
        if fault.failed is None:
            break
        is_renamed = "replace" in [call.name for call in trace.calls]
        assert path.read_bytes() == (NEW if is_renamed else OLD)
        swept += [(number, name) for name in sweep(path.parent, any_target)]
        assert names(path.parent) == ["state"]
    assert [number for number, _ in swept] == ([0] if hook == "after" else [])


def test_full_disk_leaves_the_old_file(path: Path) -> None:
    for size in range(len(NEW)):
        with size_limit(size), pytest.raises(OSError, match="large"):
            write_atomic(path, NEW)
        assert path.read_bytes() == OLD
        assert names(path.parent) == ["state"]
    with size_limit(len(NEW)):
        write_atomic(path, NEW)
    assert path.read_bytes() == NEW


def written_in_place(trace: Trace) -> Trace:
    calls = [
        replace(call, path="state", flags=os.O_CREAT | os.O_TRUNC)
        if call.name == "open" and call.path != "."
        else call
        for call in trace.calls
        if call.name != "replace"
    ]
    return replace(trace, calls=calls)


PLANTED: dict[str, Callable[[Trace], Trace]] = {
    **WRONG,
    "no temporary file": written_in_place,
}


def trace_of_write(path: Path) -> Trace:
    with recorded(path.parent) as trace:
        write_atomic(path, NEW)
        trace.acknowledge()
    return trace


def violations(trace: Trace) -> list[State]:
    """The states after a crash that are not the old file or, once told of, the new."""
    found = []
    for state in crash_states(trace):
        files = dict(state.files)
        may_be = {NEW} if state.acknowledged else {trace.files.get("state"), NEW}
        is_wrong = files.pop("state", None) not in may_be
        leftovers = all(name.endswith(".tmp") for name in files)
        if is_wrong or not leftovers:
            found.append(state)
    return found


@pytest.mark.parametrize("existing", [True, False])
def test_no_crash_leaves_anything_but_the_old_file_or_the_new(
    path: Path, existing: bool
) -> None:
    if not existing:
        path.unlink()
    trace = trace_of_write(path)
    assert len(list(crash_states(trace))) >= 10
    assert not violations(trace)


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("planted", PLANTED)
def test_wrong_protocol_is_noticed(path: Path, planted: str, existing: bool) -> None:
    if not existing:
        path.unlink()
    assert violations(PLANTED[planted](trace_of_write(path)))


def test_backup_between_stage_and_publish_needs_one_sync(path: Path) -> None:
    """As a store with backups composes it: the old bytes are never without a name."""
    with recorded(path.parent) as trace:
        staged = stage(path, NEW)
        os.link(path, path.with_name("backup"))
        publish(staged, path)
        trace.acknowledge()
    for state in crash_states(trace):
        assert state.files["state"] in ([NEW] if state.acknowledged else [OLD, NEW])
        if state.acknowledged:
            assert state.files["backup"] == OLD


def test_discarded_file_is_gone(path: Path) -> None:
    staged = stage(path, NEW)
    assert Path(staged).read_bytes() == NEW
    discard(staged)
    discard(staged)
    assert path.read_bytes() == OLD
    assert names(path.parent) == ["state"]


def meetings(path: Path) -> list[str]:
    """What goes wrong where a second write begins at each point of a first one."""
    found = []
    for number in itertools.count():
        path.write_bytes(OLD)
        met = False

        def meet(count: int, call: Call, number: int = number) -> None:
            nonlocal met
            if count == number:
                met = True
                write_atomic(path, OTHER)

        with recorded(path.parent, before=meet):
            try:
                write_atomic(path, NEW)
            except OSError as error:
                found.append(f"at {number}: {error!r}")
        if not met:
            return found
        if path.read_bytes() not in (NEW, OTHER):
            found.append(f"at {number}: {path.read_bytes()!r}")
        if left := sweep(path.parent, any_target):
            found.append(f"at {number}: {left}")
    return found


def test_two_writers_of_one_file_never_meet(path: Path) -> None:
    assert not meetings(path)


def test_fixed_temporary_name_is_noticed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    monkeypatch.setattr(durable, "_CREATE", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    assert meetings(path)


def test_name_that_is_taken_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    theirs = Path(stage(path, OTHER))
    with pytest.raises(FileExistsError):
        write_atomic(path, NEW)
    assert theirs.read_bytes() == OTHER
    assert path.read_bytes() == OLD


def test_failed_sync_of_the_folder_is_told_with_its_path(path: Path) -> None:
    fault = Fault(len(WRITE) + 1, OSError(errno.EIO, "no"))
    with (
        recorded(path.parent, before=fault),
        pytest.raises(DurabilityError, match=f"{path}: the file is in place"),
    ):
        write_atomic(str(path), NEW)
    assert fault.failed == Call("fsync", ".", opened=1)


def test_sync_directory_of_what_is_missing_raises(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_directory(folder / "missing")


NO_LEFTOVERS = [
    "state",
    "state.tmp",
    ".state.tmp",
    ".state.0123456789abcde.tmp",
    ".state.0123456789abcdef0.tmp",
    ".state.0123456789ABCDEF.tmp",
    ".state.0123456789abcdef.tmp.",
    ".state.0123456789abcdef.tmp\n",
    ".state.0123456789abcdef.temp",
    "state.0123456789abcdef.tmp",
    "..0123456789abcdef.tmp",
]


def test_sweep_removes_leftovers_and_nothing_else(folder: Path) -> None:
    for name in NO_LEFTOVERS:
        (folder / name).touch()
    leftovers = [f".state.{number:016x}.tmp" for number in range(3)]
    for name in [*leftovers, ".other.0123456789abcdef.tmp"]:
        (folder / name).touch()
    assert sorted(sweep(folder, "state".__eq__)) == leftovers
    assert names(folder) == sorted([*NO_LEFTOVERS, ".other.0123456789abcdef.tmp"])
    assert sweep(folder, any_target) == [".other.0123456789abcdef.tmp"]


def test_sweep_removes_regular_files_only(folder: Path) -> None:
    link, inner, pipe = (folder / f".state.{number:016x}.tmp" for number in range(3))
    link.symlink_to(Path(__file__))
    inner.mkdir()
    os.mkfifo(pipe)
    assert sweep(folder, any_target) == []
    assert len(names(folder)) == 3


def test_sweep_tries_all_before_it_raises(folder: Path) -> None:
    for number in range(3):
        (folder / f".state.{number:016x}.tmp").touch()
    fault = Fault(1, OSError(errno.EIO, "no"))
    with recorded(folder, before=fault), pytest.raises(OSError, match="no"):
        sweep(folder, any_target)
    assert fault.failed is not None
    assert fault.failed.name == "unlink"
    assert len(names(folder)) == 1


def test_made_folders_are_their_owners_alone(folder: Path) -> None:
    inner = folder / "a" / "b"
    make_directory(inner)
    assert {stat.S_IMODE(p.stat().st_mode) for p in (inner, inner.parent)} == {0o700}
    inner.chmod(0o755)
    make_directory(inner)
    assert stat.S_IMODE(inner.stat().st_mode) == 0o755


def test_file_in_the_way_of_a_folder_raises(path: Path) -> None:
    with pytest.raises(FileExistsError, match=f"it is no folder, .*: '{path}'"):
        make_directory(path)
    with pytest.raises(OSError, match="state"):
        make_directory(path / "inner")


def make_and_write(folder: Path, trace: Trace) -> None:
    inner = folder / "a" / "b"
    make_directory(inner)
    write_atomic(inner / "state", NEW)
    trace.acknowledge()


def lost_folders(trace: Trace) -> list[State]:
    return [
        state
        for state in crash_states(trace)
        if state.acknowledged and state.files.get("a/b/state") != NEW
    ]


def test_made_folders_are_durable(folder: Path) -> None:
    with recorded(folder) as trace:
        make_and_write(folder, trace)
    assert not lost_folders(trace)
    assert lost_folders(trace.without(is_folder_sync))


def test_folders_that_a_killed_process_made_are_durable(folder: Path) -> None:
    for number in itertools.count():
        root = folder / str(number)
        root.mkdir()
        killed = Fault(number, KeyboardInterrupt())
        with recorded(root) as trace:
            with recorded(root, after=killed), suppress(KeyboardInterrupt):
                make_directory(root / "a" / "b")
            make_and_write(root, trace)
        assert not lost_folders(trace)
        if killed.failed is None:
            break


def test_lock_is_one_threads_at_a_time(folder: Path) -> None:
    inside: list[int] = []

    def work() -> None:
        for _ in range(20):
            with locked(folder / ".lock", LONG_S):
                inside.append(1)
                assert inside == [1]
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside
    assert stat.S_IMODE((folder / ".lock").stat().st_mode) == 0o600


def test_lock_ends_with_an_error(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(folder / ".lock", NOT_LONG_S):
        _ = 1 / 0
    with locked(folder / ".lock", NOT_LONG_S):
        pass


@contextmanager
def held_by_another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    program = (
        "import sys; from latency_kv.durable import locked\n"
        f"with locked(sys.argv[1], {LONG_S}):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program, folder / ".lock"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_held_lock_says_where_it_is_and_what_to_do(folder: Path) -> None:
    with held_by_another_process(folder) as process:
        with (
            pytest.raises(TimeoutError, match=r"held this lock for 0\.05 s") as caught,
            locked(folder / ".lock", NOT_LONG_S),
        ):
            pytest.fail("the lock was had twice")
        assert f"fuser -v {folder / '.lock'}" in str(caught.value)
        process.communicate("")
    with locked(folder / ".lock", NOT_LONG_S):
        pass


def test_lock_of_a_killed_process_is_free(folder: Path) -> None:
    with held_by_another_process(folder) as process:
        process.kill()
        process.wait()
        with locked(folder / ".lock", LONG_S):
            pass


def test_lock_of_a_missing_folder_makes_none(folder: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        locked(folder / "missing" / ".lock", NOT_LONG_S),
    ):
        pytest.fail("there is nothing to lock")
    assert names(folder) == []


def test_lock_is_not_taken_through_a_link(folder: Path) -> None:
    (folder / ".lock").symlink_to(folder / "elsewhere")
    with pytest.raises(OSError, match="lock"), locked(folder / ".lock", NOT_LONG_S):
        pytest.fail("a link was followed")
    assert names(folder) == [".lock"]


def test_importing_the_store_imports_nothing_of_this() -> None:
    later = "{'latency_kv.durable', 'latency_kv.checkpoints', 'filelock', 'anyio'}"
    run_fresh(
        "-c",
        f"import sys, latency_kv; latency_kv.InMemoryStore; "
        f"assert not {later} & set(sys.modules)",
    )
    run_fresh(
        "-c",
        "import sys, latency_kv.durable; "
        "assert not {'filelock', 'anyio', 'logging', 'secrets'} & set(sys.modules)",
    )


def test_staged_link_is_the_same_file_under_a_name_of_the_target(folder: Path) -> None:
    source = folder / "source"
    source.write_bytes(b"one")
    staged = Path(stage_link(source, folder / "target"))
    assert staged.samefile(source)
    assert staged.name.startswith(".target.")
    publish(str(staged), folder / "target")
    assert (folder / "target").samefile(source)
    assert sorted(names(folder)) == ["source", "target"]


def test_staged_link_of_nothing_leaves_nothing(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        stage_link(folder / "missing", folder / "target")
    assert names(folder) == []


def test_staged_link_of_a_symbolic_link_is_that_link(folder: Path) -> None:
    (folder / "source").symlink_to(folder / "elsewhere")
    staged = Path(stage_link(folder / "source", folder / "target"))
    assert staged.is_symlink()


def test_unsynced_write_syncs_nothing(folder: Path) -> None:
    with recorded(folder) as trace:
        publish(
            stage(folder / "target", b"one", synced=False),
            folder / "target",
            synced=False,
        )
    assert [call.name for call in trace.calls] == ["open", "write", "replace"]
    assert (folder / "target").read_bytes() == b"one"

"""Image files: save and open, whole or not at all, whatever is at the path.

That what is saved survives a power cut is tests/test_durable.py's. Start at
`test_file_is_the_image_and_nothing_else`.
"""

import os
import resource
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from core.goldens import CREATED_NS, EDGES, GOLDENS, Golden
from image import encode, repaired
from latency_kv import InMemoryStore, StateSnapshot
from latency_kv.errors import (
    LatencyKVError,
    SnapshotCorruptError,
    SnapshotVersionError,
)

IMAGE = encode(EDGES, CREATED_NS)
OTHER = {b"other": b"contents"}

# A call that waits for ever is ended after this, and fails.
PATIENCE_S = 10

both = pytest.mark.parametrize("mmap", [True, False], ids=["mmap", "memory"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.lkv"


@pytest.fixture
def impatient() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError("the call waits")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
@both
def test_file_is_the_image_and_nothing_else(
    golden: Golden, path: Path, mmap: bool
) -> None:
    StateSnapshot.from_bytes(golden.image()).save(path)
    assert path.read_bytes() == golden.image()
    opened = StateSnapshot.open(path, mmap=mmap)
    assert list(opened.items()) == sorted(golden.entries.items())
    assert opened.timestamp_ns == CREATED_NS
    assert opened.to_bytes() == memoryview(opened) == golden.image()
    opened.check()


@both
def test_store_comes_back_from_its_file(path: Path, mmap: bool) -> None:
    entries = {b"%05d" % number: b"value %d" % number for number in range(20_000)}
    entries[b"large"] = bytes(3 << 20)
    snapshot = InMemoryStore(entries).snapshot()
    snapshot.save(path)
    opened = StateSnapshot.open(path, mmap=mmap)
    assert opened == snapshot == entries
    assert opened.to_bytes() == snapshot.to_bytes()
    assert opened.timestamp_ns == snapshot.timestamp_ns
    assert list(opened.range_keys(b"19998", b"large")) == [b"19998", b"19999"]
    assert InMemoryStore.from_snapshot(opened) == entries


def test_paths_are_str_or_pathlike(path: Path) -> None:
    snapshot = InMemoryStore(EDGES).snapshot()
    assert snapshot.save(path) is None  # type: ignore[func-returns-value]
    assert StateSnapshot.open(str(path)) == EDGES
    snapshot.save(str(path))
    assert StateSnapshot.open(path) == EDGES


def test_path_may_be_relative(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    InMemoryStore(EDGES).snapshot().save(path.name)
    assert StateSnapshot.open(path.name) == EDGES
    assert os.listdir() == [path.name]


@pytest.mark.parametrize("wrong", [None, 7, 1.5, []])
def test_what_is_no_path_raises(wrong: object) -> None:
    with pytest.raises(TypeError):
        StateSnapshot.open(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        InMemoryStore(EDGES).snapshot().save(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("umask", [0, 0o022, 0o077], ids=oct)
def test_saved_files_are_their_owners_alone(path: Path, umask: int) -> None:
    path.write_bytes(b"old")
    path.chmod(0o666)
    before = os.umask(umask)
    try:
        InMemoryStore(EDGES).snapshot().save(path)
    finally:
        os.umask(before)
    assert mode_of(path) == 0o600


def test_save_replaces_what_is_there_and_leaves_nothing_else(path: Path) -> None:
    path.write_bytes(b"something longer than an image" * 1_000)
    for entries in (EDGES, OTHER, {}):
        InMemoryStore(entries).snapshot().save(path)
        assert StateSnapshot.open(path) == entries
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_readers_see_one_whole_image_whenever_they_look(path: Path) -> None:
    snapshots = [
        InMemoryStore({b"which": b"%d" % number, b"filler": bytes(size)}).snapshot()
        for number, size in enumerate((100, 300_000))
    ]
    snapshots[0].save(path)
    done = Event()

    def replace() -> None:
        for number in range(100):
            snapshots[number % 2].save(path)
        done.set()

    writer = Thread(target=replace)
    writer.start()
    seen = 0
    while not done.is_set():
        opened = StateSnapshot.open(path, mmap=seen % 2 == 0)
        assert opened in snapshots
        seen += 1
    writer.join()
    assert seen


def test_save_over_a_link_replaces_the_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(b"not ours")
    path.symlink_to(target)
    InMemoryStore(EDGES).snapshot().save(path)
    assert not path.is_symlink()
    assert target.read_bytes() == b"not ours"
    assert StateSnapshot.open(path) == EDGES


def test_save_into_no_directory_raises(path: Path) -> None:
    snapshot = InMemoryStore(EDGES).snapshot()
    with pytest.raises(FileNotFoundError):
        snapshot.save(path.parent / "absent" / "state.lkv")
    path.write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        snapshot.save(path / "state.lkv")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_save_over_a_directory_raises_and_leaves_it(path: Path) -> None:
    path.mkdir()
    (path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"\w"):
        InMemoryStore(EDGES).snapshot().save(path)
    assert (path / "file").exists()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_save_that_runs_out_of_room_leaves_the_old_file(path: Path) -> None:
    InMemoryStore(EDGES).snapshot().save(path)
    snapshot = InMemoryStore({b"large": bytes(1 << 20)}).snapshot()
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
        with pytest.raises(OSError, match=r"\w"):
            snapshot.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, signal_before)
    assert StateSnapshot.open(path) == EDGES
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    snapshot.save(path)
    assert StateSnapshot.open(path) == snapshot


def test_save_whose_progress_raises_leaves_the_old_file(path: Path) -> None:
    InMemoryStore(OTHER).snapshot().save(path)

    def refuse(done: int, total: int) -> None:
        raise InterruptedError

    snapshot = InMemoryStore(EDGES).snapshot()
    with pytest.raises(InterruptedError):
        snapshot.save(path, progress=refuse)
    assert StateSnapshot.open(path) == OTHER
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    snapshot.save(path)
    assert StateSnapshot.open(path) == EDGES


def test_save_tells_its_progress(path: Path) -> None:
    told: list[tuple[int, int]] = []
    snapshot = InMemoryStore(EDGES).snapshot()
    snapshot.save(path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(EDGES), len(EDGES))
    told.clear()
    snapshot.save(path, progress=lambda done, total: told.append((done, total)))
    assert told == []


@both
def test_open_of_what_is_not_there_raises(path: Path, mmap: bool) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        StateSnapshot.open(path, mmap=mmap)
    assert not isinstance(raised.value, LatencyKVError)
    assert str(path) in str(raised.value)
    path.write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        StateSnapshot.open(path / "below", mmap=mmap)


@both
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "socket", "empty"])
def test_open_of_what_is_no_image_file_raises_at_once(
    path: Path, mmap: bool, kind: str
) -> None:
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    else:
        path.touch()
    # The system itself opens no socket.
    expected = SnapshotCorruptError if kind != "socket" else (OSError, ValueError)
    with pytest.raises(expected) as raised:
        StateSnapshot.open(path, mmap=mmap)
    if isinstance(raised.value, SnapshotCorruptError):
        assert raised.value.path == path
        assert str(raised.value).startswith(f"{path}: ")
        latest = "CheckpointDirectory(path).latest()" in str(raised.value)
        assert latest is (kind == "directory")


@both
def test_open_without_permission_raises(path: Path, mmap: bool) -> None:
    """In a child of another user, since root may read everything."""
    path.write_bytes(IMAGE)
    path.chmod(0)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.seteuid(65_534)
            StateSnapshot.open(path, mmap=mmap)
        except PermissionError:
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@both
def test_open_follows_a_link_to_a_file(path: Path, mmap: bool) -> None:
    target = path.with_name("target")
    target.write_bytes(IMAGE)
    path.symlink_to(target)
    assert StateSnapshot.open(path, mmap=mmap) == EDGES


@both
def test_open_of_a_damaged_file_names_the_file(path: Path, mmap: bool) -> None:
    damaged = bytearray(IMAGE)
    damaged[-1] ^= 1
    newer = bytearray(IMAGE)
    newer[16] = 9
    for data in (damaged, IMAGE[:-1], IMAGE[:100], IMAGE + b"\x00", b"\x00" * 4_096):
        path.write_bytes(data)
        with pytest.raises(SnapshotCorruptError) as corrupt:
            StateSnapshot.open(path, mmap=mmap)
        assert corrupt.value.path == path
        assert str(path) in str(corrupt.value)
        assert path.read_bytes() == data
    path.write_bytes(repaired(bytes(newer)))
    with pytest.raises(SnapshotVersionError) as unknown:
        StateSnapshot.open(str(path), mmap=mmap)
    assert (unknown.value.version, unknown.value.flags) == (9, 0)
    assert unknown.value.path == path

"""Foreign files: links, folders and pipes where documents belong, and leftovers.

What is no regular file is refused and left as it is; nothing is opened through a link.
"""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from documents.operations import Operation, by_change
from documents.scenes import PATIENCE_S, Witness, data_in, document, files, held, put
from latency_kv import FileSystemStateStore
from latency_kv.errors import StateError, StateReadError

pytestmark = pytest.mark.anyio


async def test_link_is_not_followed(
    store: FileSystemStateStore, tmp_path: Path, witness: Witness
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_bytes(document("outside"))
    (store.state_dir / "clock.json").symlink_to(outside)
    before = files(store.state_dir)
    for recover in (False, True):
        with pytest.raises(StateReadError) as caught:
            await store.load("clock", recover=recover)
        assert caught.value.path == store.state_dir / "clock.json"
    assert (files(store.state_dir), outside.read_bytes()) == (
        before,
        document("outside"),
    )
    assert witness.names == ["state.error"] * 2


async def test_link_to_nowhere_is_no_missing_document(
    store: FileSystemStateStore,
) -> None:
    (store.state_dir / "clock.json").symlink_to("nowhere")
    with pytest.raises(StateReadError):
        await store.load("clock")
    with pytest.raises(StateError):
        await store.save("clock", 1)
    assert files(store.state_dir) == {"clock.json": b"nowhere"}


@by_change
async def test_link_is_not_changed(
    store: FileSystemStateStore, tmp_path: Path, change: Operation
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_bytes(document("outside"))
    (store.state_dir / "clock.json").symlink_to(outside)
    put(store, "clock.backup.1.json", document("backup"))
    before = files(store.state_dir)
    with pytest.raises(StateError) as caught:
        await change(store, "clock")
    assert isinstance(caught.value, OSError)
    assert files(store.state_dir) == before
    assert outside.read_bytes() == document("outside")


async def test_backup_that_is_a_link_is_not_restored(
    store: FileSystemStateStore, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_bytes(document("outside"))
    await store.save("clock", "inside")
    (store.state_dir / "clock.backup.1.json").symlink_to(outside)
    before = files(store.state_dir)
    with pytest.raises(StateReadError):
        await store.restore("clock")
    assert files(store.state_dir) == before
    for number in range(5):
        await store.save("clock", number)
    assert outside.read_bytes() == document("outside")


async def test_lock_that_is_a_link_is_not_followed(
    store: FileSystemStateStore, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"outside")
    (store.state_dir / ".locks" / "clock.lock").symlink_to(outside)
    with pytest.raises(StateError):
        await store.save("clock", 1)
    assert (files(store.state_dir), outside.read_bytes()) == ({}, b"outside")


async def test_temporary_name_that_is_a_link_is_not_written_through(
    store: FileSystemStateStore, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"outside")
    for name in ("clock.json.tmp", ".clock.json.tmp", "clock.tmp"):
        (store.state_dir / name).symlink_to(outside)
    await store.save("clock", 1)
    assert (data_in(store), outside.read_bytes()) == (1, b"outside")


@by_change
async def test_folder_in_a_documents_place_is_refused(
    store: FileSystemStateStore, change: Operation
) -> None:
    path = store.state_dir / "clock.json"
    path.mkdir()
    (path / "inner").write_bytes(b"kept")
    put(store, "clock.backup.1.json", document("backup"))
    with pytest.raises(StateReadError):
        await store.load("clock")
    with pytest.raises(StateError) as caught:
        await change(store, "clock")
    assert isinstance(caught.value, OSError)
    assert (path / "inner").read_bytes() == b"kept"
    assert list(files(store.state_dir)) == ["clock.backup.1.json", "clock.json"]


@contextmanager
def pipe_at(path: Path) -> Iterator[list[str]]:
    """A pipe with nobody at its other end; readers that wait are freed, and listed."""
    os.mkfifo(path, 0o600)
    waited: list[str] = []
    is_over = threading.Event()

    def free_readers() -> None:
        while not is_over.wait(PATIENCE_S / 10):
            # Refused unless there is a reader.
            with suppress(OSError):
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                waited.append(path.name)

    thread = threading.Thread(target=free_readers)
    thread.start()
    try:
        yield waited
    finally:
        is_over.set()
        thread.join()


@by_change
async def test_pipe_in_a_documents_place_is_refused_without_waiting(
    store: FileSystemStateStore, change: Operation
) -> None:
    path = store.state_dir / "clock.json"
    put(store, "clock.backup.1.json", document("backup"))
    with pipe_at(path) as waited:
        with pytest.raises(StateReadError):
            await store.load("clock")
        with pytest.raises(StateError) as caught:
            await change(store, "clock")
    assert waited == []
    assert isinstance(caught.value, OSError)
    assert path.is_fifo()
    assert list(files(store.state_dir)) == ["clock.backup.1.json", "clock.json"]


async def test_opening_sweeps_what_interrupted_saves_left(folder: Path) -> None:
    folder.mkdir()
    stale = [".clock.json.0123456789abcdef.tmp", ".a_2fb.json.fedcba9876543210.tmp"]
    others = ["notes.tmp", ".clock.json.tmp", ".other.0123456789abcdef.tmp", "a.json"]
    for name in stale + others:
        (folder / name).write_bytes(b"x")
    async with FileSystemStateStore(state_dir=folder):
        assert sorted(files(folder)) == sorted(others)


async def test_opening_leaves_what_another_process_is_writing(
    store: FileSystemStateStore,
) -> None:
    put(store, ".clock.json.0123456789abcdef.tmp", b"half")
    with held(store.state_dir):
        async with FileSystemStateStore(state_dir=store.state_dir):
            pass
        assert ".clock.json.0123456789abcdef.tmp" in files(store.state_dir)


async def test_file_that_others_may_read_becomes_a_backup_that_they_may_not(
    store: FileSystemStateStore,
) -> None:
    put(store, "clock.json", document("public"))
    path = store.state_dir / "clock.json"
    path.chmod(0o644)
    await store.save("clock", "private")
    backup = store.state_dir / "clock.backup.1.json"
    assert backup.read_bytes() == document("public")
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path, backup)] == [0o600] * 2

"""Failing saves: what is left, told and raised when the disk refuses a save.

Document 4, unit tests 2: handle write errors.
"""

import errno
import logging
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from documents.disk import Ask, refused, watched
from documents.operations import Operation, by_change
from documents.scenes import Witness, data_in, document, files, held, put
from faults import size_limit
from latency_kv import FileSystemStateStore
from latency_kv.errors import (
    LockTimeoutError,
    OutcomeUnknownError,
    StateFormatError,
    StateReadError,
    StateWriteError,
)

pytestmark = pytest.mark.anyio


async def test_save_on_a_full_disk_leaves_everything_as_it_was(
    store: FileSystemStateStore, witness: Witness
) -> None:
    for number in range(5):
        await store.save("clock", number)
    before = files(store.state_dir)
    witness.forget()
    with size_limit(300), pytest.raises(StateWriteError) as caught:
        await store.save("clock", "x" * 1000)
    assert caught.value.plugin_name == "clock"
    assert caught.value.path == store.state_dir / "clock.json"
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert files(store.state_dir) == before
    assert witness.saw_error("save", caught.value)
    await store.save("clock", "after")
    assert data_in(store, "clock.backup.1.json") == 4


@pytest.mark.parametrize("call", ["open", "write", "fsync"])
async def test_save_whose_new_file_fails_leaves_everything_as_it_was(
    store: FileSystemStateStore, call: str
) -> None:
    await store.save("clock", 1)
    await store.save("clock", 2)
    before = files(store.state_dir)
    fits = refused(
        store.state_dir, lambda ask: ask.name == call and ask.path.suffix == ".tmp"
    )
    with fits, pytest.raises(StateWriteError) as caught:
        await store.save("clock", 3)
    assert isinstance(caught.value.__cause__, OSError)
    assert files(store.state_dir) == before


async def test_save_whose_rename_fails_leaves_the_old_state(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", 1)

    def is_last_rename(ask: Ask) -> bool:
        return ask.is_rename and ask.target == "clock.json"

    with refused(store.state_dir, is_last_rename), pytest.raises(StateWriteError):
        await store.save("clock", 2)
    assert data_in(store) == 1
    assert not [name for name in files(store.state_dir) if name.endswith(".tmp")]
    await store.save("clock", 3)
    assert data_in(store, "clock.backup.1.json") == 1
    assert "clock.backup.2.json" not in files(store.state_dir)


async def test_save_whose_directory_sync_fails_is_of_unknown_outcome(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1)
    witness.forget()
    fails = refused(store.state_dir, lambda ask: ask.is_directory_sync)
    with fails, pytest.raises(OutcomeUnknownError) as caught:
        await store.save("clock", 2)
    assert not isinstance(caught.value, StateWriteError)
    assert isinstance(caught.value.__cause__, OSError)
    assert data_in(store) == 2
    assert "state.saved" not in witness.names
    assert witness.names[-1] == "state.error"


async def test_save_syncs_the_file_before_its_rename_and_the_folder_after(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1)
    witness.forget()
    asked: list[str] = []

    def watch(ask: Ask) -> None:
        assert witness.heard == []
        if ask.is_rename:
            asked.append(f"rename to {ask.target}")
        elif ask.name == "fsync":
            asked.append("sync folder" if ask.is_directory_sync else "sync file")

    with watched(store.state_dir, watch):
        await store.save("clock", 2)
    assert asked[0] == "sync file"
    assert asked[-3:] == [
        "rename to clock.backup.1.json",
        "rename to clock.json",
        "sync folder",
    ]


async def test_save_that_is_not_to_be_durable_syncs_nothing(folder: Path) -> None:
    asked: list[str] = []
    async with FileSystemStateStore(state_dir=folder, durable=False) as store:
        with watched(folder, lambda ask: asked.append(ask.name)):
            await store.save("clock", 1)
            await store.save("clock", 2)
        assert data_in(store) == 2
    assert "write" in asked and "fsync" not in asked


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
async def test_save_copies_where_hard_links_are_refused(
    store: FileSystemStateStore, code: int
) -> None:
    await store.save("clock", 1)
    before = (store.state_dir / "clock.json").read_bytes()
    with refused(store.state_dir, lambda ask: ask.name == "link", code):
        await store.save("clock", 2)
    backup = store.state_dir / "clock.backup.1.json"
    assert (data_in(store), backup.read_bytes()) == (2, before)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert len(files(store.state_dir)) == 2


def last_sync() -> Callable[[Ask], bool]:
    """Whether this is the folder's sync after the document itself was renamed."""
    renamed = False

    def fits(ask: Ask) -> bool:
        nonlocal renamed
        is_document = "clock.json" in (ask.target, ask.path.name)
        renamed = renamed or (ask.is_rename and is_document)
        return renamed and ask.is_directory_sync

    return fits


@by_change
async def test_change_whose_last_sync_fails_is_of_unknown_outcome(
    store: FileSystemStateStore, witness: Witness, change: Operation
) -> None:
    await store.save("clock", "a")
    await store.save("clock", "b")
    witness.forget()
    with (
        refused(store.state_dir, last_sync()),
        pytest.raises(OutcomeUnknownError) as caught,
    ):
        await change(store, "clock")
    assert caught.value.plugin_name == "clock"
    assert isinstance(caught.value.__cause__, OSError)
    assert witness.names[-1] == "state.error"
    await change(store, "clock")


async def test_save_that_cannot_remove_an_old_backup_is_logged_only(
    store: FileSystemStateStore, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        await store.save("clock", number)
    put(store, "clock.backup.4.json", document("oldest"))

    def is_removal(ask: Ask) -> bool:
        return ask.name in ("unlink", "remove") and ask.path.suffix == ".json"

    with refused(store.state_dir, is_removal), caplog.at_level(logging.WARNING):
        await store.save("clock", 4)
    assert data_in(store) == 4
    assert "clock.backup.4.json" in files(store.state_dir)
    assert caplog.records


async def test_save_while_another_process_writes_gives_up_after_the_timeout(
    folder: Path, witness: Witness
) -> None:
    async with FileSystemStateStore(
        witness, state_dir=folder, lock_timeout=0.05
    ) as store:
        await store.save("clock", 1)
        witness.forget()
        with held(folder), pytest.raises(StateWriteError) as caught:
            await store.save("clock", 2)
        assert isinstance(caught.value.__cause__, LockTimeoutError)
        assert witness.saw_error("save", caught.value)
        assert data_in(store) == 1
        await store.save("clock", 3)
        assert data_in(store) == 3


async def test_save_over_a_newer_format_is_refused(
    store: FileSystemStateStore,
) -> None:
    put(store, "clock.json", document(1, format=2))
    before = files(store.state_dir)
    with pytest.raises(StateFormatError):
        await store.save("clock", 2)
    assert files(store.state_dir) == before


async def test_save_into_a_folder_that_cannot_be_is_an_error(
    tmp_path: Path, witness: Witness
) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = FileSystemStateStore(witness, state_dir=tmp_path / "file" / "state")
    with pytest.raises((StateReadError, StateWriteError)) as caught:
        await store.save("clock", 1)
    assert isinstance(caught.value.__cause__, OSError)
    assert "it is no folder, and has to be one" in str(caught.value)
    assert str(tmp_path / "file") in str(caught.value)
    assert witness.saw_error("save", caught.value)

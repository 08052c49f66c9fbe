"""Recovering: what is damaged is set aside, and a good backup takes its place.

Document 4, integration tests 3: recover from write failure, recover from parse error,
restore from backup.
"""

from pathlib import Path

import pytest

from documents.disk import refused
from documents.scenes import Witness, data_in, document, files, put
from latency_kv import FileSystemStateStore
from latency_kv.documents.events import StateRecoveredEvent
from latency_kv.errors import (
    StateFormatError,
    StateParseError,
    StateReadError,
    StateWriteError,
)

pytestmark = pytest.mark.anyio

DAMAGED = b'{"version": 1, "data": '


async def damage_after(store: FileSystemStateStore, *data: object) -> None:
    for version, datum in enumerate(data, 1):
        await store.save("clock", datum, version)
    put(store, "clock.json", DAMAGED)


async def test_write_failure_is_recovered_from_by_saving_again(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", 1)
    fails = refused(store.state_dir, lambda ask: ask.name == "write")
    with fails, pytest.raises(StateWriteError):
        await store.save("clock", 2)
    await store.save("clock", 3)
    assert (data_in(store), data_in(store, "clock.backup.1.json")) == (3, 1)


async def test_parse_error_is_recovered_from_by_the_newest_backup(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await damage_after(store, "a", "b", "c")
    good = (store.state_dir / "clock.backup.1.json").read_bytes()
    witness.forget()
    state = await store.load("clock", recover=True)
    assert state is not None
    assert (state.data, state.version) == ("b", 2)
    assert (store.state_dir / "clock.json").read_bytes() == good
    corrupt = store.state_dir / "clock.corrupt-1.json"
    assert corrupt.read_bytes() == DAMAGED
    assert witness.names == ["state.recovered", "state.loaded"]
    backup = str(store.state_dir / "clock.backup.1.json")
    told = witness.only(StateRecoveredEvent)
    assert (told.plugin_name, told.version) == ("clock", 2)
    assert (told.backup_path, told.corrupt_path) == (backup, str(corrupt))
    assert told.reason


async def test_parse_error_is_recovered_from_by_restoring_a_backup(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await damage_after(store, "a", "b", "c")
    witness.forget()
    await store.restore("clock", 2)
    assert data_in(store) == "a"
    assert (store.state_dir / "clock.corrupt-1.json").read_bytes() == DAMAGED
    assert data_in(store, "clock.backup.1.json") == "b"
    assert witness.names == ["state.restored"]


async def test_recovery_leaves_the_backups_as_they_are(
    store: FileSystemStateStore,
) -> None:
    await damage_after(store, *"abcde")
    before = await store.list_backups("clock")
    await store.load("clock", recover=True)
    assert await store.list_backups("clock") == before
    assert [data_in(store, Path(path).name) for path in before] == ["d", "c", "b"]


async def test_recovery_passes_over_damaged_backups(
    store: FileSystemStateStore,
) -> None:
    await damage_after(store, *"abcd")
    put(store, "clock.backup.1.json", b"")
    put(store, "clock.backup.2.json", document("x", plugin_name="watch"))
    state = await store.load("clock", recover=True)
    assert state is not None
    assert state.data == data_in(store) == "a"


@pytest.mark.parametrize("saves", [1, 3], ids=["no backup", "bad backups"])
async def test_recovery_without_a_good_backup_raises_and_changes_nothing(
    store: FileSystemStateStore, witness: Witness, saves: int
) -> None:
    await damage_after(store, *range(saves))
    for number in range(1, saves):
        put(store, f"clock.backup.{number}.json", b"{}")
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(StateParseError) as caught:
        await store.load("clock", recover=True)
    assert caught.value.path == store.state_dir / "clock.json"
    assert caught.value.text == DAMAGED.decode()
    assert files(store.state_dir) == before
    assert witness.saw_error("load", caught.value)


async def test_recovery_of_a_good_document_is_a_load(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1)
    await store.save("clock", 2)
    before = files(store.state_dir)
    witness.forget()
    state = await store.load("clock", recover=True)
    assert state is not None and state.data == 2
    assert (witness.names, files(store.state_dir)) == (["state.loaded"], before)


async def test_missing_document_is_no_damage(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1)
    await store.clear("clock")
    before = files(store.state_dir)
    witness.forget()
    assert await store.load("clock", recover=True) is None
    assert (witness.heard, files(store.state_dir)) == ([], before)


async def test_symbolic_link_is_no_damage(store: FileSystemStateStore) -> None:
    await store.save("clock", 1)
    await store.save("clock", 2)
    (store.state_dir / "clock.json").unlink()
    (store.state_dir / "clock.json").symlink_to("clock.backup.1.json")
    before = files(store.state_dir)
    with pytest.raises(StateReadError):
        await store.load("clock", recover=True)
    assert files(store.state_dir) == before


async def test_newer_format_is_no_damage(store: FileSystemStateStore) -> None:
    await store.save("clock", 1)
    await store.save("clock", 2)
    put(store, "clock.json", document(3, format=2))
    before = files(store.state_dir)
    with pytest.raises(StateFormatError):
        await store.load("clock", recover=True)
    assert files(store.state_dir) == before


async def test_save_sets_a_damaged_document_aside(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await damage_after(store, "a", "b", "c")
    backups = {n: c for n, c in files(store.state_dir).items() if ".backup." in n}
    witness.forget()
    await store.save("clock", "d")
    assert data_in(store) == "d"
    assert files(store.state_dir).items() >= backups.items()
    assert (store.state_dir / "clock.corrupt-1.json").read_bytes() == DAMAGED
    assert len(files(store.state_dir)) == len(backups) + 2
    assert witness.names == ["state.saved"]


async def test_save_without_backups_sets_a_damaged_document_aside(
    folder: Path,
) -> None:
    async with FileSystemStateStore(state_dir=folder, max_backups=0) as store:
        await damage_after(store, 1)
        await store.save("clock", 2)
        assert sorted(files(folder)) == ["clock.corrupt-1.json", "clock.json"]


async def test_clear_sets_a_damaged_document_aside(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await damage_after(store, "a", "b")
    witness.forget()
    await store.clear("clock")
    assert (store.state_dir / "clock.corrupt-1.json").read_bytes() == DAMAGED
    assert data_in(store, "clock.backup.1.json") == "a"
    assert sorted(files(store.state_dir)) == [
        "clock.backup.1.json",
        "clock.corrupt-1.json",
    ]
    assert witness.names == ["state.cleared"]


async def test_update_of_a_damaged_document_raises_and_changes_nothing(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await damage_after(store, "a", "b")
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(StateParseError) as caught:
        await store.update("clock", lambda data: "reset")
    assert files(store.state_dir) == before
    assert witness.saw_error("update", caught.value)


async def test_documents_set_aside_do_not_overwrite_each_other(
    store: FileSystemStateStore,
) -> None:
    for number in range(1, 12):
        await store.save("clock", number)
        put(store, "clock.json", b"damage %d" % number)
    await store.save("clock", 12)
    aside = {n: c for n, c in files(store.state_dir).items() if ".corrupt-" in n}
    assert aside == {
        f"clock.corrupt-{number}.json": b"damage %d" % number for number in range(1, 12)
    }


async def test_document_set_aside_by_recovery_takes_the_next_number(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", "a")
    await store.save("clock", "b")
    put(store, "clock.corrupt-1.json", b"older")
    put(store, "clock.json", DAMAGED)
    await store.load("clock", recover=True)
    assert (store.state_dir / "clock.corrupt-1.json").read_bytes() == b"older"
    assert (store.state_dir / "clock.corrupt-2.json").read_bytes() == DAMAGED


async def test_recovered_document_is_backed_up_by_the_next_save(
    store: FileSystemStateStore,
) -> None:
    """It may share its file with backup 1, which is then not rotated twice."""
    await damage_after(store, "a", "b")
    await store.load("clock", recover=True)
    await store.save("clock", "c")
    assert data_in(store) == "c"
    assert data_in(store, "clock.backup.1.json") == "a"

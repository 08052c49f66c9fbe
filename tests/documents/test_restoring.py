"""Restoring: backups are numbered from the newest, and come back as they were.

Document 4, unit tests 6: create backup before save, restore from backup, list backups,
rotate old backups, handle backup errors. What becomes of damaged documents is in
test_recovering.py.
"""

from pathlib import Path

import pytest

from documents.operations import OPERATIONS
from documents.scenes import Witness, data_in, document, files, put
from latency_kv import FileSystemStateStore
from latency_kv.documents.events import StateBackupCreatedEvent, StateRestoredEvent
from latency_kv.errors import StateFormatError, StateParseError, StateReadError

pytestmark = pytest.mark.anyio


async def save_all(store: FileSystemStateStore, *data: object) -> None:
    for version, datum in enumerate(data, 1):
        await store.save("clock", datum, version)


def backups_in(store: FileSystemStateStore) -> dict[int, object]:
    """The backups' data by the number in their names."""
    return {
        int(name.split(".")[2]): data_in(store, name)
        for name in files(store.state_dir)
        if name.startswith("clock.backup.")
    }


async def test_backup_is_created_before_the_save_and_announced(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await save_all(store, "a", "b")
    assert witness.names == ["state.saved", "state.backup.created", "state.saved"]
    path = str(store.state_dir / "clock.backup.1.json")
    assert witness.only(StateBackupCreatedEvent) == StateBackupCreatedEvent(
        "clock", path
    )


async def test_list_backups_names_the_newest_first(
    store: FileSystemStateStore, witness: Witness
) -> None:
    assert await store.list_backups("clock") == []
    await save_all(store, *"abcde")
    await store.save("watch", 1)
    witness.forget()
    assert await store.list_backups("clock") == [
        str(store.state_dir / f"clock.backup.{number}.json") for number in (1, 2, 3)
    ]
    assert await store.list_backups("watch") == []
    assert witness.heard == []


async def test_old_backups_are_rotated_out(store: FileSystemStateStore) -> None:
    await save_all(store, *"abcdef")
    assert backups_in(store) == {1: "e", 2: "d", 3: "c"}


@pytest.mark.parametrize(("index", "restored"), [(1, "c"), (2, "b"), (3, "a")])
async def test_restore_brings_back_the_backup_of_the_index(
    store: FileSystemStateStore, index: int, restored: str
) -> None:
    await save_all(store, *"abcd")
    chosen = (store.state_dir / f"clock.backup.{index}.json").read_bytes()
    await store.restore("clock", index)
    assert (store.state_dir / "clock.json").read_bytes() == chosen
    state = await store.load("clock")
    assert state is not None
    assert (state.data, state.version) == (restored, 4 - index)


async def test_restore_takes_the_newest_backup_by_default(
    store: FileSystemStateStore,
) -> None:
    await save_all(store, *"abcd")
    await store.restore("clock")
    assert data_in(store) == "c"


async def test_restore_backs_up_what_it_replaces(store: FileSystemStateStore) -> None:
    await save_all(store, *"abcd")
    await store.restore("clock", backup_index=3)
    assert backups_in(store) == {1: "d", 2: "c", 3: "b"}


async def test_restore_twice_undoes_itself(store: FileSystemStateStore) -> None:
    await save_all(store, *"ab")
    await store.restore("clock")
    await store.restore("clock")
    assert (data_in(store), backups_in(store)) == ("b", {1: "a", 2: "b", 3: "a"})


async def test_restore_emits_restored_after_the_backup(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await save_all(store, *"abc")
    witness.forget()
    await store.restore("clock", 2)
    assert witness.names == ["state.backup.created", "state.restored"]
    assert witness.only(StateRestoredEvent) == StateRestoredEvent("clock", 2)


async def test_restore_of_the_only_backup_that_may_be_kept_swaps(
    folder: Path,
) -> None:
    async with FileSystemStateStore(state_dir=folder, max_backups=1) as store:
        await save_all(store, *"ab")
        await store.restore("clock")
        assert (data_in(store), backups_in(store)) == ("a", {1: "b"})


async def test_restore_of_cleared_state_has_nothing_to_back_up(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await save_all(store, *"a")
    await store.clear("clock")
    witness.forget()
    await store.restore("clock")
    assert data_in(store) == "a"
    assert witness.names == ["state.restored"]
    assert backups_in(store) == {1: "a"}


async def test_restore_without_such_a_backup_is_a_read_error(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await save_all(store, *"ab")
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(StateReadError) as caught:
        await store.restore("clock", 2)
    assert caught.value.plugin_name == "clock"
    assert files(store.state_dir) == before
    assert witness.saw_error("restore", caught.value)


@pytest.mark.parametrize("index", [0, -1])
async def test_restore_counts_from_1(store: FileSystemStateStore, index: int) -> None:
    await save_all(store, *"ab")
    with pytest.raises(ValueError):
        await store.restore("clock", index)
    assert data_in(store) == "b"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", StateParseError),
        (document(1, plugin_name="watch"), StateParseError),
        (document(1, format=2), StateFormatError),
    ],
    ids=["empty", "another plugin's", "newer"],
)
async def test_restore_of_a_bad_backup_changes_nothing(
    store: FileSystemStateStore,
    witness: Witness,
    content: bytes,
    error: type[StateParseError],
) -> None:
    await save_all(store, *"abc")
    path = put(store, "clock.backup.2.json", content)
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(error) as caught:
        await store.restore("clock", 2)
    assert caught.value.path == path
    assert files(store.state_dir) == before
    assert witness.saw_error("restore", caught.value)


async def test_restore_over_a_newer_format_is_refused(
    store: FileSystemStateStore,
) -> None:
    await save_all(store, *"ab")
    put(store, "clock.json", document(1, format=2))
    before = files(store.state_dir)
    with pytest.raises(StateFormatError):
        await store.restore("clock")
    assert files(store.state_dir) == before


async def test_index_counts_backups_over_gaps_in_their_numbers(
    store: FileSystemStateStore,
) -> None:
    await save_all(store, *"abcd")
    (store.state_dir / "clock.backup.2.json").unlink()
    assert [Path(path).name for path in await store.list_backups("clock")] == [
        "clock.backup.1.json",
        "clock.backup.3.json",
    ]
    await store.restore("clock", 2)
    assert data_in(store) == "a"


async def test_save_closes_gaps_in_the_numbers(store: FileSystemStateStore) -> None:
    await store.save("clock", "now")
    put(store, "clock.backup.2.json", document("two"))
    put(store, "clock.backup.5.json", document("five"))
    put(store, "clock.backup.8.json", document("eight"))
    async with FileSystemStateStore(state_dir=store.state_dir) as later:
        await later.save("clock", "next")
    assert backups_in(store) == {1: "now", 2: "two", 3: "five"}


async def test_backups_of_a_higher_limit_are_trimmed(folder: Path) -> None:
    async with FileSystemStateStore(state_dir=folder, max_backups=12) as store:
        await save_all(store, *"abcdefghijklmn")
        assert len(backups_in(store)) == 12
        assert backups_in(store)[10] == "d"
    async with FileSystemStateStore(state_dir=folder, max_backups=2) as store:
        await store.save("clock", "o")
        assert backups_in(store) == {1: "n", 2: "m"}


async def test_document_that_is_backup_1_already_is_not_backed_up_again(
    store: FileSystemStateStore,
) -> None:
    """As a crash leaves it that came between the last two renames of a save."""
    for change in ("save", "restore", "clear"):
        put(store, "clock.json", document("a"))
        put(store, "clock.backup.2.json", document("older"))
        (store.state_dir / "clock.backup.1.json").unlink(missing_ok=True)
        (store.state_dir / "clock.backup.1.json").hardlink_to(
            store.state_dir / "clock.json"
        )
        await OPERATIONS[change](store, "clock")
        assert backups_in(store) == {1: "a", 2: "older"}


async def test_files_of_other_names_are_no_backups(
    store: FileSystemStateStore,
) -> None:
    names = ["clock.backup.01.json", "clock.backup.0.json", "clock.backup.x.json"]
    names += ["clock.backup.1.json.bak", "clock.backup.json", "notes.txt"]
    for name in names:
        put(store, name, b"mine")
    await save_all(store, *"abcdef")
    listed = {Path(path).name for path in await store.list_backups("clock")}
    assert listed == {f"clock.backup.{number}.json" for number in (1, 2, 3)}
    assert all((store.state_dir / name).read_bytes() == b"mine" for name in names)


async def test_clear_makes_the_state_backup_1(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await save_all(store, *"ab")
    witness.forget()
    await store.clear("clock")
    assert not (store.state_dir / "clock.json").exists()
    assert backups_in(store) == {1: "b", 2: "a"}
    assert witness.names == ["state.backup.created", "state.cleared"]
    assert await store.load("clock") is None


async def test_clear_without_backups_removes_the_state(
    folder: Path, witness: Witness
) -> None:
    async with FileSystemStateStore(witness, state_dir=folder, max_backups=0) as store:
        await store.save("clock", 1)
        witness.forget()
        await store.clear("clock")
        assert files(folder) == {}
        assert witness.names == ["state.cleared"]

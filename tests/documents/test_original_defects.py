"""Original defects: what was broken in the store that this one follows, part by part.

Each section is one fault that was reproduced there, each test one part of it.
"""

import json
import stat
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from documents.disk import watched
from documents.scenes import (
    PATIENCE_S,
    Witness,
    data_in,
    document,
    files,
    one_by_one,
    put,
)
from fresh import call_fresh
from latency_kv import FileSystemStateStore
from latency_kv.errors import (
    StateMigrationError,
    StateParseError,
    StateReadError,
    StateWriteError,
)

pytestmark = pytest.mark.anyio

LONG_S = 3600.0
FALSY: list[Any] = [0, 0.0, "", False, None, [], {}]

falsy = pytest.mark.parametrize("data", FALSY, ids=repr)


# 1. Backups: the newest got the highest index, and nothing was renumbered.


async def test_newest_backup_once_got_the_highest_index(
    store: FileSystemStateStore,
) -> None:
    for number in range(4):
        await store.save("clock", number)
    assert data_in(store, "clock.backup.1.json") == 2
    assert data_in(store, "clock.backup.3.json") == 0


async def test_backups_once_were_not_renumbered(store: FileSystemStateStore) -> None:
    for number in range(8):
        await store.save("clock", number)
        names = [name for name in files(store.state_dir) if ".backup." in name]
        expected = range(1, min(number, 3) + 1)
        assert names == [f"clock.backup.{index}.json" for index in expected]


async def test_restore_once_brought_back_the_oldest(
    store: FileSystemStateStore,
) -> None:
    for number in range(4):
        await store.save("clock", number)
    await store.restore("clock")
    assert data_in(store) == 2


async def test_backups_past_nine_once_were_in_lexicographic_order(
    folder: Path,
) -> None:
    async with FileSystemStateStore(state_dir=folder, max_backups=12) as store:
        for number in range(14):
            await store.save("clock", number)
        listed = await store.list_backups("clock")
        assert [data_in(store, Path(path).name) for path in listed] == [
            *range(12, 0, -1)
        ]
        await store.restore("clock", 10)
        assert data_in(store) == 3


# 2. The queue did not serialise.


async def test_of_six_saves_at_once_three_failed_once(
    store: FileSystemStateStore, witness: Witness
) -> None:
    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(store.save, "clock", number)
    assert witness.names.count("state.saved") == 6
    assert "state.error" not in witness.names


async def test_last_of_six_saves_at_once_did_not_win_once(
    store: FileSystemStateStore,
) -> None:
    async with anyio.create_task_group() as group:
        saves = [partial(store.save, "clock", number) for number in range(6)]
        await one_by_one(group, *saves)
    assert data_in(store) == 5
    assert [data_in(store, f"clock.backup.{n}.json") for n in (1, 2, 3)] == [4, 3, 2]


async def test_temporary_name_once_was_shared(store: FileSystemStateStore) -> None:
    names: list[str] = []

    def watch(ask: Any) -> None:
        if ask.name == "write":
            names.append(ask.path.name)

    with watched(store.state_dir, watch):
        for number in range(3):
            await store.save("clock", number)
    assert len(set(names)) == 3
    assert not set(names) & {*files(store.state_dir)}


# 3. migrate waited for itself when it was the first operation of a process.


async def test_migrate_as_first_operation_once_waited_for_itself(
    folder: Path,
) -> None:
    await FileSystemStateStore(state_dir=folder).save("clock", "a", 1)
    store = FileSystemStateStore(state_dir=folder)
    with anyio.fail_after(PATIENCE_S):
        await store.migrate("clock", 2, {2: lambda data, version: data + "b"})
    assert data_in(store) == "ab"


def test_migrate_in_a_fresh_process_once_waited_for_itself(folder: Path) -> None:
    folder.mkdir()
    (folder / "clock.json").write_bytes(document("a", 1))
    call_fresh("documents.test_original_defects:migrate_in", str(folder))
    assert json.loads((folder / "clock.json").read_bytes())["version"] == 2


def migrate_in(folder: str) -> None:
    async def main() -> None:
        with anyio.fail_after(PATIENCE_S):
            async with FileSystemStateStore(state_dir=folder) as store:
                await store.migrate("clock", 2, {2: lambda data, version: data})

    anyio.run(main)


# 4. Falsy data saved and then failed to load.


@falsy
async def test_falsy_data_once_failed_to_load(
    store: FileSystemStateStore, data: Any
) -> None:
    await store.save("clock", data)
    state = await store.load("clock")
    assert state is not None
    assert (state.data, type(state.data)) == (data, type(data))


async def test_version_0_once_failed_to_load(store: FileSystemStateStore) -> None:
    await store.save("clock", "x", 0)
    state = await store.load("clock")
    assert state is not None and state.version == 0


@falsy
async def test_falsy_data_are_a_state_to_every_operation(
    store: FileSystemStateStore, data: Any
) -> None:
    seen: list[Any] = []

    def look(found: Any, version: int = 0) -> Any:
        seen.append(found)
        return data

    await store.save("clock", data, 0)
    assert await store.exists("clock")
    assert await store.validate("clock", look) is False
    await store.migrate("clock", 1, {1: look})
    await store.update("clock", look)
    await store.restore("clock")
    assert await store.list_backups("clock")
    assert seen == [data] * 3
    assert data_in(store) == data


# 5. Sanitising collided.


async def test_names_once_shared_a_file(store: FileSystemStateStore) -> None:
    names = ["a/b", "a.b", "a-b"]
    for name in names:
        await store.save(name, name)
    for name in names:
        state = await store.load(name)
        assert state is not None and state.data == name
        assert await store.list_backups(name) == []
    assert len(files(store.state_dir)) == 3


async def test_empty_name_once_became_a_file_of_no_name(
    store: FileSystemStateStore,
) -> None:
    with pytest.raises(ValueError):
        await store.save("", 1)
    assert files(store.state_dir) == {}


# 6. max_backups=0 became 3, clear of nothing raised, a missing step was skipped.


async def test_no_backups_once_became_3(folder: Path) -> None:
    async with FileSystemStateStore(state_dir=folder, max_backups=0) as store:
        assert store.max_backups == 0
        for number in range(3):
            await store.save("clock", number)
        assert (list(files(folder)), data_in(store)) == (["clock.json"], 2)
        assert await store.list_backups("clock") == []


async def test_clear_of_nothing_once_raised(store: FileSystemStateStore) -> None:
    await store.clear("clock")
    await store.save("clock", 1)
    await store.clear("clock")
    await store.clear("clock")
    assert list(files(store.state_dir)) == ["clock.backup.1.json"]


async def test_missing_migration_once_was_skipped_and_the_version_rose(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", "a", 1)
    before = files(store.state_dir)
    with pytest.raises(StateMigrationError, match="2"):
        await store.migrate("clock", 3, {3: lambda data, version: data})
    assert files(store.state_dir) == before


# 7. restore backed up nothing, was not atomic and silent; errors told little.


async def test_restore_once_backed_up_nothing(store: FileSystemStateStore) -> None:
    await store.save("clock", "old")
    await store.save("clock", "new")
    await store.restore("clock")
    assert data_in(store, "clock.backup.1.json") == "new"


async def test_restore_once_was_not_atomic(store: FileSystemStateStore) -> None:
    """At each call of the disk the document is there, and whole."""
    await store.save("clock", "old")
    await store.save("clock", "new")
    seen: set[str] = set()
    with watched(store.state_dir, lambda ask: seen.add(data_in(store))):
        await store.restore("clock")
    assert seen == {"old", "new"}
    assert data_in(store) == "old"


async def test_restore_once_emitted_no_error(
    store: FileSystemStateStore, witness: Witness
) -> None:
    with pytest.raises(StateReadError) as caught:
        await store.restore("clock")
    assert witness.saw_error("restore", caught.value)


async def test_errors_once_dropped_their_cause(store: FileSystemStateStore) -> None:
    put(store, "clock.json", b'{"version": 1,')
    with pytest.raises(StateParseError) as broken:
        await store.load("clock")
    assert isinstance(broken.value.__cause__, ValueError)
    await store.save("clock", 1)
    await store.save("watch", 1)
    with watched(store.state_dir, out_of_order), pytest.raises(StateWriteError) as no:
        await store.save("watch", 2)
    assert isinstance(no.value.__cause__, OSError)


def out_of_order(ask: Any) -> None:
    if ask.name == "write":
        raise OSError("out of order")


async def test_errors_once_dropped_the_original_json(
    store: FileSystemStateStore,
) -> None:
    put(store, "clock.json", b'{"version": 1, "data": "precious"')
    with pytest.raises(StateParseError) as caught:
        await store.load("clock")
    assert caught.value.text == '{"version": 1, "data": "precious"'


async def test_saves_once_were_not_synced(store: FileSystemStateStore) -> None:
    synced: list[bool] = []

    def watch(ask: Any) -> None:
        if ask.name == "fsync":
            synced.append(ask.is_directory_sync)

    with watched(store.state_dir, watch):
        await store.save("clock", 1)
    assert synced[0] is False and synced[-1] is True


async def test_permissions_once_were_the_defaults(store: FileSystemStateStore) -> None:
    await store.save("clock", 1)
    mode = (store.state_dir / "clock.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(store.state_dir.stat().st_mode) == 0o700

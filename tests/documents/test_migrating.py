"""Migrating: all steps or none.

Document 4, unit tests 4: apply single migration, apply multiple migrations in sequence,
skip migration if version current, handle migration errors, emit migration events.
"""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from documents.scenes import (
    PATIENCE_S,
    Witness,
    data_in,
    document,
    files,
    one_by_one,
    put,
)
from latency_kv import FileSystemStateStore
from latency_kv.documents.events import StateMigratedEvent
from latency_kv.errors import (
    StateError,
    StateFormatError,
    StateMigrationError,
    StateParseError,
)

pytestmark = pytest.mark.anyio


def appending(letter: str) -> Callable[[str, int], str]:
    """A migration that writes down what it was called with."""
    return lambda data, version: f"{data}{letter}{version}"


def failing(data: Any, version: int) -> Any:
    data["half"] = "done"
    raise KeyError("colour")


STEPS = {2: appending("b"), 3: appending("c"), 4: appending("d")}


async def version_and_data(store: FileSystemStateStore) -> tuple[int, Any]:
    state = await store.load("clock")
    assert state is not None
    return state.version, state.data


async def test_migrate_applies_a_single_migration(store: FileSystemStateStore) -> None:
    await store.save("clock", "a", 1)
    await store.migrate("clock", 2, STEPS)
    assert await version_and_data(store) == (2, "ab1")


async def test_migrate_applies_migrations_in_sequence(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", "a", 1)
    backwards = dict(reversed(STEPS.items()))
    await store.migrate("clock", 4, backwards)
    assert await version_and_data(store) == (4, "ab1c2d3")


async def test_migrate_starts_from_version_0_and_stops_at_the_target(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", "", 0)
    await store.migrate("clock", 2, {1: appending("a"), 2: appending("b"), 3: failing})
    assert await version_and_data(store) == (2, "a0b1")


async def test_migrate_awaits_migrations_that_are_coroutines(
    store: FileSystemStateStore,
) -> None:
    async def slowly(data: str, version: int) -> str:
        await anyio.lowlevel.checkpoint()
        return f"{data}+{version}"

    await store.save("clock", "a")
    await store.migrate("clock", 3, {2: slowly, 3: appending("c")})
    assert await version_and_data(store) == (3, "a+1c2")


@pytest.mark.parametrize("target", [0, 2, 3])
async def test_migrate_at_or_above_the_target_does_nothing(
    store: FileSystemStateStore, witness: Witness, target: int
) -> None:
    await store.save("clock", "a", 3)
    before = files(store.state_dir)
    witness.forget()
    await store.migrate("clock", target, {n: failing for n in range(9)})
    assert files(store.state_dir) == before
    assert not {"state.saved", "state.migrated", "state.error"} & {*witness.names}


async def test_migrate_without_a_document_does_nothing(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.migrate("clock", 2, {2: failing})
    assert (files(store.state_dir), witness.heard) == ({}, [])


async def test_migration_that_raises_leaves_the_document_untouched(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", {"colour": "red"}, 1)
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(StateMigrationError) as caught:
        await store.migrate("clock", 3, {2: lambda data, _: data, 3: failing})
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.plugin_name == "clock"
    assert files(store.state_dir) == before
    assert witness.saw_error("migrate", caught.value)


async def test_migration_that_is_missing_is_named_before_any_runs(
    store: FileSystemStateStore, witness: Witness
) -> None:
    ran: list[int] = []

    def note(data: Any, version: int) -> Any:
        ran.append(version)

    await store.save("clock", {}, 1)
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(StateMigrationError) as caught:
        await store.migrate("clock", 5, {2: note, 4: note})
    assert "3" in caught.value.reason and "5" in caught.value.reason
    assert (ran, files(store.state_dir)) == ([], before)
    assert witness.saw_error("migrate", caught.value)


async def test_migration_to_what_is_no_json_leaves_the_document_untouched(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1, 1)
    before = files(store.state_dir)
    witness.forget()
    with pytest.raises(StateError) as caught:
        await store.migrate("clock", 2, {2: lambda data, version: {1, 2}})
    assert files(store.state_dir) == before
    assert witness.saw_error("migrate", caught.value)


async def test_migration_to_none_is_a_state(store: FileSystemStateStore) -> None:
    await store.save("clock", 1, 1)
    await store.migrate("clock", 2, {2: lambda data, version: None})
    assert await version_and_data(store) == (2, None)


async def test_migrate_writes_once_and_keeps_what_was_as_backup(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", "a", 1)
    witness.forget()
    await store.migrate("clock", 4, STEPS)
    assert witness.names == ["state.backup.created", "state.saved", "state.migrated"]
    assert witness.only(StateMigratedEvent) == StateMigratedEvent("clock", 1, 4)
    assert data_in(store, "clock.backup.1.json") == "a"
    assert len(files(store.state_dir)) == 2


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"{", StateParseError), (document({}, format=2), StateFormatError)],
    ids=["damaged", "newer"],
)
async def test_migrate_leaves_what_it_cannot_read(
    store: FileSystemStateStore,
    witness: Witness,
    content: bytes,
    error: type[StateParseError],
) -> None:
    put(store, "clock.json", content)
    with pytest.raises(error) as caught:
        await store.migrate("clock", 2, STEPS)
    assert files(store.state_dir) == {"clock.json": content}
    assert witness.saw_error("migrate", caught.value)


@pytest.mark.parametrize("target", [True, -1, 2.0, "2", None], ids=repr)
async def test_migrate_refuses_what_is_no_version(
    store: FileSystemStateStore, target: Any
) -> None:
    await store.save("clock", "a", 0)
    with pytest.raises((TypeError, ValueError)):
        await store.migrate("clock", target, {1: appending("a")})
    assert await version_and_data(store) == (0, "a")


async def test_migration_that_uses_its_plugin_is_refused_without_deadlock(
    store: FileSystemStateStore,
) -> None:
    async def greedy(data: Any, version: int) -> Any:
        with pytest.raises(RuntimeError):
            await store.load("clock")
        return "refused"

    await store.save("clock", "a")
    with anyio.fail_after(PATIENCE_S):
        await store.migrate("clock", 2, {2: greedy})
    assert await version_and_data(store) == (2, "refused")


async def test_save_called_during_a_migration_comes_after_it(
    store: FileSystemStateStore,
) -> None:
    begun, may_end = anyio.Event(), anyio.Event()

    async def wait(data: Any, version: int) -> Any:
        begun.set()
        await may_end.wait()
        return "migrated"

    await store.save("clock", "a")
    async with anyio.create_task_group() as group:
        group.start_soon(store.migrate, "clock", 2, {2: wait})
        await begun.wait()
        await one_by_one(group, lambda: store.save("clock", "later"))
        may_end.set()
    assert await version_and_data(store) == (2, "later")
    assert data_in(store, "clock.backup.1.json") == "migrated"

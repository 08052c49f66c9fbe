"""Events: each one, what it tells, and in which order.

Document 4, integration tests 2: verify all events emitted, verify event payloads
correct. What emitters may do is in test_emitters.py.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from documents.scenes import Witness, document, files, put
from latency_kv import FileSystemStateStore
from latency_kv.documents.events import (
    StateBackupCreatedEvent,
    StateClearedEvent,
    StateErrorEvent,
    StateEvents,
    StateLoadedEvent,
    StateMigratedEvent,
    StateRecoveredEvent,
    StateRestoredEvent,
    StateSavedEvent,
)
from latency_kv.errors import StateError, StateParseError

pytestmark = pytest.mark.anyio

LOGGER = "latency_kv"


def listening(folder: Path) -> tuple[FileSystemStateStore, StateEvents]:
    """A store with an emitter of its own."""
    store = FileSystemStateStore(state_dir=folder)
    assert isinstance(store.events, StateEvents)
    return store, store.events


async def test_all_events_are_emitted_with_their_payloads(
    store: FileSystemStateStore, witness: Witness
) -> None:
    def size() -> int:
        return (store.state_dir / "clock.json").stat().st_size

    backup = StateBackupCreatedEvent(
        "clock", str(store.state_dir / "clock.backup.1.json")
    )
    await store.save("clock", "a", 1)
    sizes = [size()]
    await store.load("clock")
    await store.migrate("clock", 2, {2: lambda data, version: data * 2})
    sizes.append(size())
    await store.update("clock", lambda data: data * 2)
    sizes.append(size())
    await store.clear("clock")
    await store.restore("clock", 1)
    corrupt = put(store, "clock.json", b"damage").with_name("clock.corrupt-1.json")
    with pytest.raises(StateParseError) as damage:
        await store.load("clock")
    await store.load("clock", recover=True)
    with pytest.raises(StateError) as caught:
        await store.save("clock", {1})
    assert witness.heard == [
        ("state.saved", StateSavedEvent("clock", 1, sizes[0])),
        ("state.loaded", StateLoadedEvent("clock", 1)),
        ("state.backup.created", backup),
        ("state.saved", StateSavedEvent("clock", 2, sizes[1])),
        ("state.migrated", StateMigratedEvent("clock", 1, 2)),
        ("state.backup.created", backup),
        ("state.saved", StateSavedEvent("clock", 2, sizes[2])),
        ("state.backup.created", backup),
        ("state.cleared", StateClearedEvent("clock")),
        ("state.restored", StateRestoredEvent("clock", 1)),
        ("state.error", StateErrorEvent("clock", "load", damage.value)),
        (
            "state.recovered",
            StateRecoveredEvent(
                "clock", 2, backup.backup_path, str(corrupt), damage.value.reason
            ),
        ),
        ("state.loaded", StateLoadedEvent("clock", 2)),
        ("state.error", StateErrorEvent("clock", "save", caught.value)),
    ]


async def test_payloads_are_frozen_records_named_by_their_type(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save("clock", 1)
    ((name, payload),) = witness.heard
    assert payload.type == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        payload.plugin_name = "watch"  # type: ignore[misc]


async def test_clear_of_nothing_emits_nothing(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.clear("clock")
    assert witness.heard == []


FAILING: dict[str, Callable[[FileSystemStateStore], Any]] = {
    "save": lambda store: store.save("clock", 1),
    "load": lambda store: store.load("clock"),
    "clear": lambda store: store.clear("clock"),
    "migrate": lambda store: store.migrate("clock", 2, {2: lambda d, v: d}),
    "validate": lambda store: store.validate("clock", lambda data: True),
    "restore": lambda store: store.restore("clock"),
    "update": lambda store: store.update("clock", lambda data: 1),
}


@pytest.mark.parametrize("operation", FAILING)
async def test_failing_operation_emits_one_error_with_its_name(
    store: FileSystemStateStore, witness: Witness, operation: str
) -> None:
    (store.state_dir / "clock.json").mkdir()
    put(store, "clock.backup.1.json", document("backup"))
    with pytest.raises(StateError) as caught:
        await FAILING[operation](store)
    assert witness.saw_error(operation, caught.value)
    assert caught.value.plugin_name == "clock"
    assert caught.value.path == store.state_dir / "clock.json"


async def test_save_put_off_is_told_as_a_save(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save_later("clock", 1)
    await store.flush()
    (store.state_dir / "clock.json").unlink()
    (store.state_dir / "clock.json").mkdir()
    await store.save_later("clock", 2)
    with pytest.raises(StateError):
        await store.flush()
    assert witness.names == ["state.saved", "state.error"]
    assert witness.only(StateErrorEvent).operation == "save"


async def test_events_come_when_the_change_can_be_read(folder: Path) -> None:
    seen: list[dict[str, Any]] = []
    store, events = listening(folder)
    events.on("state.saved", lambda event: seen.append({**files(folder)}))
    await store.save("clock", 1)
    await store.save("clock", 2)
    assert [sorted(state) for state in seen] == [
        ["clock.json"],
        ["clock.backup.1.json", "clock.json"],
    ]
    assert seen[1] == files(folder)


async def test_listener_to_one_event_hears_no_other(folder: Path) -> None:
    heard: list[Any] = []
    store, events = listening(folder)
    events.on("state.loaded", heard.append)
    await store.save("clock", 1)
    assert heard == []
    await store.load("clock")
    assert heard == [StateLoadedEvent("clock", 1)]


async def test_star_hears_all_events(folder: Path) -> None:
    heard: list[str] = []
    store, events = listening(folder)
    events.on("*", lambda event: heard.append(event.type))
    await store.save("clock", 1)
    await store.load("clock")
    await store.clear("clock")
    with pytest.raises(StateError):
        await store.restore("clock", 9)
    assert heard == [
        *("state.saved", "state.loaded"),
        *("state.backup.created", "state.cleared", "state.error"),
    ]

"""Lessons: what the stores of JSON state elsewhere had to learn, each with its test."""

from pathlib import Path
from typing import Any

import pytest

from documents.disk import watched
from documents.scenes import Witness, data_in, document, files, put
from latency_kv import FileSystemStateStore
from latency_kv.errors import StateFormatError, StateParseError

pytestmark = pytest.mark.anyio

LONG_S = 3600.0


async def test_fixed_temporary_name_of_another_writer_loses_no_update(
    store: FileSystemStateStore,
) -> None:
    for name in ("clock.json.tmp", ".clock.json.tmp", "clock.tmp"):
        (store.state_dir / name).mkdir()
    await store.save("clock", 1)
    await store.save("clock", 2)
    assert data_in(store) == 2


async def test_file_of_zeroes_after_a_power_cut_is_damage(
    store: FileSystemStateStore,
) -> None:
    put(store, "clock.json", bytes(120))
    with pytest.raises(StateParseError):
        await store.load("clock")


async def test_document_is_synced_before_it_is_renamed(
    store: FileSystemStateStore,
) -> None:
    synced: set[str] = set()
    renamed: list[tuple[str, bool]] = []

    def watch(ask: Any) -> None:
        if ask.name == "fsync":
            synced.add(ask.path.name)
        elif ask.is_rename and ask.target == "clock.json":
            renamed.append((ask.target, ask.path.name in synced))

    with watched(store.state_dir, watch):
        await store.save("clock", 1)
        await store.save("clock", 2)
        await store.restore("clock")
    assert renamed == [("clock.json", True)] * 3


async def test_damaged_document_is_never_reset(store: FileSystemStateStore) -> None:
    put(store, "clock.json", b"damage")
    for _ in range(2):
        with pytest.raises(StateParseError):
            await store.load("clock")
    with pytest.raises(StateParseError):
        await store.update("clock", lambda data: {})
    await store.save("clock", "fresh")
    assert (store.state_dir / "clock.corrupt-1.json").read_bytes() == b"damage"


async def test_damaged_document_is_never_rotated_over_good_backups(
    store: FileSystemStateStore,
) -> None:
    for letter in "abcd":
        await store.save("clock", letter)
    backups = {n: c for n, c in files(store.state_dir).items() if ".backup." in n}
    put(store, "clock.json", b"damage")
    await store.save("clock", "e")
    after = files(store.state_dir)
    assert {name: after[name] for name in backups} == backups


async def test_names_of_documents_set_aside_hold_no_colon(
    store: FileSystemStateStore,
) -> None:
    put(store, "clock.json", b"damage")
    await store.save("clock", 1)
    assert len(files(store.state_dir)) == 2
    assert not [name for name in files(store.state_dir) if ":" in name]


async def test_saves_are_put_off_but_not_for_ever(
    store: FileSystemStateStore, witness: Witness
) -> None:
    await store.save_later("clock", 1, delay=LONG_S, max_delay=0.01)
    await witness.wait_for("state.saved")
    assert data_in(store) == 1


async def test_saves_put_off_are_written_at_the_end(folder: Path) -> None:
    async with FileSystemStateStore(state_dir=folder) as store:
        await store.save_later("clock", 1, delay=LONG_S, max_delay=LONG_S)
        assert files(folder) == {}
    assert data_in(store) == 1


async def test_newer_format_is_refused_by_every_change(
    store: FileSystemStateStore,
) -> None:
    await store.save("clock", 1)
    await store.save("clock", 2)
    put(store, "clock.json", document({"from": "the future"}, format=2))
    before = files(store.state_dir)
    for change in (
        lambda: store.save("clock", 3),
        lambda: store.update("clock", lambda data: 3),
        lambda: store.migrate("clock", 3, {2: lambda d, v: d, 3: lambda d, v: d}),
        lambda: store.restore("clock"),
        lambda: store.clear("clock"),
        lambda: store.load("clock", recover=True),
    ):
        with pytest.raises(StateFormatError):
            await change()
        assert files(store.state_dir) == before

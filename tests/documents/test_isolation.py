"""Isolation: one plugin, its own files, and nothing outside the folder.

Document 4, unit tests 7: verify separate files per plugin, verify no cross-plugin
access, verify filename sanitization. Files are 0600, folders 0700.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from documents.operations import Operation, by_operation
from documents.scenes import Witness, data_in, files, put
from latency_kv import FileSystemStateStore
from latency_kv.errors import StateParseError

pytestmark = pytest.mark.anyio

NAMES = [
    "a/b",
    "a.b",
    "a-b",
    "a_b",
    "a b",
    "A-B",
    "a_2fb",
    "../a",
    "..",
    ".",
    "/etc/passwd",
    "\\\\host\\a",
    "a\x00b",
    "a\nb",
    "a:b",
    "~",
    "*",
    "con",
    "CON",
    "nul",
    "a.backup.1",
    "a.corrupt-1",
    "a",
    "a.json",
    ".locks",
    "\u00e9",
    "e\u0301",
    "\u0130",
    "i",
    "I",
    "\U0001f600" * 120,
    "\U0001f600" * 119 + "x",
    "x" * 120,
    "X" * 120,
    "-",
    "_",
    "__",
]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


async def test_plugins_have_separate_files(store: FileSystemStateStore) -> None:
    await store.save("clock", "tick")
    await store.save("watch", "tock")
    assert (data_in(store), data_in(store, "watch.json")) == ("tick", "tock")


async def test_no_operation_reaches_another_plugin(
    store: FileSystemStateStore,
) -> None:
    for number in range(3):
        await store.save("watch", number)
    before = files(store.state_dir)
    await store.save("clock", 1)
    await store.update("clock", lambda data: data + 1)
    await store.migrate("clock", 2, {2: lambda data, version: data})
    await store.restore("clock")
    await store.clear("clock")
    after = files(store.state_dir)
    assert {n: after[n] for n in after if n.startswith("watch")} == before


async def test_file_under_another_plugins_name_is_not_read(
    store: FileSystemStateStore,
) -> None:
    await store.save("watch", "secret")
    put(store, "clock.json", (store.state_dir / "watch.json").read_bytes())
    with pytest.raises(StateParseError, match="watch"):
        await store.load("clock")


async def test_names_of_any_sort_have_files_of_their_own(
    store: FileSystemStateStore,
) -> None:
    for number, name in enumerate(NAMES):
        await store.save(name, number)
    for number, name in enumerate(NAMES):
        state = await store.load(name)
        assert state is not None
        assert (state.data, state.metadata.plugin_name) == (number, name)
        assert await store.list_backups(name) == []
    found = list(files(store.state_dir))
    assert len(found) == len(NAMES)
    assert all(re.fullmatch(r"[a-z0-9_-]+\.json", name) for name in found), found
    assert os.listdir(store.state_dir.parent) == [store.state_dir.name]


async def test_names_that_need_no_escape_stay(store: FileSystemStateStore) -> None:
    for name in ("my-plugin", "a1", "x" * 120):
        await store.save(name, 1)
        assert (store.state_dir / f"{name}.json").exists()


@pytest.mark.parametrize("name", ["", "x" * 121, "\ud800"], ids=["empty", "long", "?"])
@by_operation
async def test_bad_name_is_a_value_error_without_event(
    store: FileSystemStateStore, witness: Witness, operation: Operation, name: str
) -> None:
    with pytest.raises(ValueError):
        await operation(store, name)
    assert (files(store.state_dir), witness.heard) == ({}, [])


@pytest.mark.parametrize("name", [None, b"clock", 7, Path("clock")], ids=repr)
@by_operation
async def test_name_that_is_no_text_is_a_type_error(
    store: FileSystemStateStore, witness: Witness, operation: Operation, name: Any
) -> None:
    with pytest.raises(TypeError):
        await operation(store, name)
    assert (files(store.state_dir), witness.heard) == ({}, [])


@pytest.mark.parametrize("name", ["", "x" * 121, "\ud800", None, 7])
async def test_bad_name_is_refused_before_a_save_is_put_off(
    store: FileSystemStateStore, witness: Witness, name: Any
) -> None:
    with pytest.raises((TypeError, ValueError)):
        await store.save_later(name, 1)
    await store.flush()
    assert (files(store.state_dir), witness.heard) == ({}, [])


async def test_files_and_folders_are_the_owners_alone(folder: Path) -> None:
    with open_umask():
        async with FileSystemStateStore(state_dir=folder) as store:
            await store.save("clock", 1)
            put(store, "clock.json", b"damage").chmod(0o600)
            for number in range(3):
                await store.save("clock", number)
            await store.restore("clock", 2)
    everything = sorted(folder.rglob("*"))
    assert len([path for path in everything if path.is_file()]) >= 5
    modes = {path.name: mode_of(path) for path in everything if path.is_file()}
    assert set(modes.values()) == {0o600}, modes
    assert (mode_of(folder), mode_of(folder / ".locks")) == (0o700, 0o700)

"""Documents: what the store of documents takes itself; nothing waits for a disk."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

from latency_kv import FileSystemStateStore

CALLS = 20
ROUNDS = 30
PLUGINS = 50

_MEMORY = "/dev/shm"

_numbers = count()


@pytest.fixture(scope="module")
def store() -> Iterator[FileSystemStateStore]:
    parent = _MEMORY if os.path.isdir(_MEMORY) else None
    with TemporaryDirectory(dir=parent) as folder:
        yield FileSystemStateStore(state_dir=Path(folder), durable=False)


def data() -> dict[str, Any]:
    """A document that no save before had."""
    number = next(_numbers)
    return {f"setting-{member}": number + member for member in range(100)}


async def save(store: FileSystemStateStore) -> None:
    for _ in range(CALLS):
        await store.save("one", data())


async def load(store: FileSystemStateStore) -> None:
    for _ in range(CALLS):
        await store.load("one")


async def update(store: FileSystemStateStore) -> None:
    for _ in range(CALLS):
        await store.update("one", lambda found: {**found, "n": next(_numbers)})


async def save_side_by_side(store: FileSystemStateStore) -> None:
    async with anyio.create_task_group() as group:
        for plugin in range(PLUGINS):
            group.start_soon(store.save, f"plugin-{plugin}", data())


def ran(run: Any, work: Any, store: FileSystemStateStore) -> None:
    run(work(store))


OPERATIONS = {save: CALLS, load: CALLS, update: CALLS, save_side_by_side: PLUGINS}


@pytest.mark.parametrize("work", OPERATIONS)
def test_documents(
    measure: Any, run: Any, store: FileSystemStateStore, work: Any
) -> None:
    run(save(store))
    measure(
        ran,
        lambda: (run, work, store),
        operations=OPERATIONS[work],
        rounds=ROUNDS,
    )

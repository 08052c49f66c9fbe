"""What the tests of documents share: a folder, a witness of events, an open store."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from documents.scenes import Witness
from kills import quick_folder
from latency_kv import FileSystemStateStore


@pytest.fixture(autouse=True)
def private_files() -> Iterator[None]:
    """What a test plants is as private as what a store writes: it may be linked."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a store's files go; it is not there yet."""
    with quick_folder() as parent:
        yield parent.resolve() / "state"


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
async def store(folder: Path, witness: Witness) -> AsyncIterator[FileSystemStateStore]:
    """An open store that the witness listens to."""
    async with FileSystemStateStore(witness, state_dir=folder) as store:
        yield store

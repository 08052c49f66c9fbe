"""What the tests of the command line share: a way to run it, files to look into."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from latency_kv import InMemoryStore
from latency_kv.__main__ import main
from latency_kv.documents.store import FileSystemStateStore


class Answer(NamedTuple):
    """What a command gave."""

    status: int
    out: str
    err: str


Run = Callable[..., Answer]
Save = Callable[..., Path]
Keep = Callable[..., Path]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `latency-kv snapshot *arguments` with pipes for its output."""
    return running("snapshot", capsys)


@pytest.fixture
def state(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `latency-kv state *arguments` with pipes for its output, nobody to ask."""
    return running("state", capsys)


def running(app: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `latency-kv app *arguments`."""

    def run(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        status = main([app, *map(str, arguments)])
        return Answer(status, *capsys.readouterr())

    return run


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a snapshot of entries to a file, and return its path."""

    def save(entries: dict[bytes, bytes], name: str = "a.lkv") -> Path:
        InMemoryStore(entries).snapshot().save(tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Save a plugin's documents one after the other; return the folder they are in."""
    directory = tmp_path / "state"

    def keep(plugin_name: str, *documents: Any, version: int | None = None) -> Path:
        async def save() -> None:
            async with FileSystemStateStore(
                state_dir=directory, max_backups=9, durable=False
            ) as store:
                for data in documents:
                    await store.save(plugin_name, data, version)

        anyio.run(save)
        return directory

    return keep

"""What the tests of the command line share: a way to run it, files to look into."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from latency_kv import InMemoryStore
from latency_kv.__main__ import main


class Answer(NamedTuple):
    """What a command gave."""

    status: int
    out: str
    err: str


Run = Callable[..., Answer]
Save = Callable[..., Path]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `latency-kv snapshot *arguments` with pipes for its output."""

    def run(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        status = main(["snapshot", *map(str, arguments)])
        return Answer(status, *capsys.readouterr())

    return run


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a snapshot of entries to a file, and return its path."""

    def save(entries: dict[bytes, bytes], name: str = "a.lkv") -> Path:
        InMemoryStore(entries).snapshot().save(tmp_path / name)
        return tmp_path / name

    return save

"""The verbs that write documents: what they show, what they keep, when they refuse."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from cli.conftest import Keep, Run
from cli.test_state import is_trouble, told, tree
from latency_kv.cli import state_changes
from latency_kv.cli.screen import TROUBLE
from latency_kv.documents.files import DocumentFiles
from latency_kv.documents.store import FileSystemStateStore


@pytest.fixture
def folder(keep: Keep) -> Path:
    """A plugin with five backups."""
    return keep("clock", *({"n": number} for number in range(6)))


def contents(directory: Path) -> list[bytes]:
    """The bytes of all documents and backups, wherever they are by now."""
    return sorted(path.read_bytes() for path in directory.glob("*.json"))


def data_of(path: Path) -> Any:
    return json.loads(path.read_bytes())["data"]


def saved(directory: Path, data: Any) -> None:
    """Save as another process would, which keeps many backups."""

    async def save() -> None:
        async with FileSystemStateStore(state_dir=directory, max_backups=20) as store:
            await store.save("clock", data)

    anyio.run(save)


# restore


def test_restore_puts_the_newest_backup_back(state: Run, folder: Path) -> None:
    backup = (folder / "clock.backup.1.json").read_bytes()
    answer = state("restore", folder, "clock", "--yes")
    assert (answer.status, answer.out) == (0, "~\t.data.n\t5\t4\n")
    first, second = answer.err.splitlines()
    assert first.startswith("latency-kv: backup 1 of clock, of version 1, ")
    assert first.endswith(" ago: 0 added, 0 removed, 1 changed")
    assert second == (
        "latency-kv: restored backup 1 of clock; what the document was is backup 1"
    )
    assert (folder / "clock.json").read_bytes() == backup
    assert data_of(folder / "clock.backup.1.json") == {"n": 5}


@pytest.mark.parametrize("index", [1, 2, 5])
def test_restore_loses_no_backup(state: Run, folder: Path, index: int) -> None:
    before = contents(folder)
    chosen = (folder / f"clock.backup.{index}.json").read_bytes()
    assert state("restore", folder, "clock", "--yes", "--index", str(index)).status == 0
    assert (folder / "clock.json").read_bytes() == chosen
    assert contents(folder) == sorted([*before, chosen])


def test_restore_counts_as_backups_does(state: Run, folder: Path) -> None:
    (folder / "clock.backup.2.json").unlink()
    assert state("restore", folder, "clock", "--index", "2", "--yes").status == 0
    assert data_of(folder / "clock.json") == {"n": 2}


def test_restore_over_a_damaged_document_sets_it_aside(
    state: Run, folder: Path
) -> None:
    damaged = folder / "clock.json"
    damaged.unlink()
    damaged.write_bytes(b"{\x1b[2J")
    answer = state("restore", folder, "clock", "--yes")
    assert (answer.status, answer.out) == (0, "")
    assert "the document is damaged (it is no JSON" in answer.err
    assert "set aside beside it" in answer.err and "\x1b" not in answer.err
    assert data_of(damaged) == {"n": 4}
    assert (folder / "clock.corrupt-1.json").read_bytes() == b"{\x1b[2J"


def test_restore_brings_a_cleared_document_back(state: Run, folder: Path) -> None:
    (folder / "clock.json").unlink()
    answer = state("restore", folder, "clock", "--yes")
    assert answer.status == 0 and "there is no document now" in answer.err
    assert data_of(folder / "clock.json") == {"n": 4}


def test_restore_of_what_is_there_does_nothing(state: Run, keep: Keep) -> None:
    directory = keep("clock", {"a": 1}, {"a": 1})
    before = tree(directory)
    answer = state("restore", directory, "clock")
    assert (answer.status, answer.out) == (0, "")
    assert answer.err.startswith("latency-kv: nothing to do: backup 1 of clock ")
    assert tree(directory) == before


def test_restore_without_a_terminal_needs_yes(state: Run, folder: Path) -> None:
    before = tree(folder)
    answer = state("restore", folder, "clock")
    assert (answer.status, answer.out) == (TROUBLE, "~\t.data.n\t5\t4\n")
    assert answer.err.endswith(
        "no terminal to ask at: --yes restores without being asked\n"
    )
    assert tree(folder) == before


def test_restore_shows_json_and_a_limit(state: Run, folder: Path) -> None:
    (change,) = told(state("restore", folder, "clock", "--json"))
    assert change == {"change": "changed", "path": ["data", "n"], "old": 5, "new": 4}
    assert state("restore", folder, "clock", "--limit", "0").out == ""


def test_restore_of_a_damaged_backup_is_trouble_and_names_a_sound_one(
    state: Run, folder: Path
) -> None:
    for index in (1, 2):
        (folder / f"clock.backup.{index}.json").write_bytes(b"")
    before = tree(folder)
    answer = state("restore", folder, "clock", "--yes")
    assert is_trouble(answer, "backup.1.json: DAMAGED: it is empty; backup 3 is sound")
    for path in folder.glob("*.backup.*"):
        path.write_bytes(b"")
    assert is_trouble(state("restore", folder, "clock", "-y"), "no backup is sound")
    answer = state("restore", folder, "clock", "--yes", "--index", "6")
    assert is_trouble(answer, "there is no backup 6; there are 5")
    assert tree(folder).keys() == before.keys()


def test_nothing_is_restored_over_what_is_newer_or_unreadable(
    state: Run, folder: Path
) -> None:
    path = folder / "clock.json"
    path.unlink()
    path.write_text('{"format": 2}')
    assert is_trouble(state("restore", folder, "clock", "--yes"), "NEWER", "format 2")
    assert path.read_text() == '{"format": 2}'
    path.unlink()
    path.symlink_to("clock.backup.1.json")
    assert is_trouble(state("restore", folder, "clock", "--yes"), "UNREADABLE")
    assert path.is_symlink()


def test_restore_of_what_changed_while_it_was_asked_about_is_trouble(
    state: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agreed(question: str) -> bool:
        saved(folder, {"n": 6})
        return True

    monkeypatch.setattr(state_changes, "_agreed", agreed)
    answer = state("restore", folder, "clock")
    assert answer.status == TROUBLE
    assert answer.err.endswith("meanwhile, and nothing was changed: look again\n")
    assert data_of(folder / "clock.json") == {"n": 6}
    assert data_of(folder / "clock.backup.1.json") == {"n": 5}


def test_restore_of_what_changed_at_the_last_moment_is_told(
    state: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = FileSystemStateStore.restore

    async def late(
        self: FileSystemStateStore, name: str, /, backup_index: int = 1
    ) -> None:
        await self.save(name, {"n": 6})
        await restore(self, name, backup_index)

    monkeypatch.setattr(FileSystemStateStore, "restore", late)
    answer = state("restore", folder, "clock", "--yes")
    assert answer.status == TROUBLE
    assert "the document is not backup 1 of clock as it was shown" in answer.err
    assert {"n": 6} in [data_of(path) for path in folder.glob("clock*.json")]


# migrate

MODULE = """
def two(data, version):
    assert version == 1
    data["zone"] = data.pop("tz", "UTC")
    return data

async def three(data, version):
    assert version == 2
    return {**data, "alarms": []}

def fails(data, version):
    raise KeyError("tz\\x1b[2J\\n")

async def deep(data, version):
    return {"a": {1, 2}}

STEPS = {2: two, 3: three}
GAP = {2: two, 4: three}
FAILING = {2: two, 3: fails}
NO_JSON = {2: two, 3: deep}
TEXTS = {"2": two}
BOOLS = {True: two}
FIGURES = {2: 2}
"""


@pytest.fixture
def steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[str]]:
    """Name what is in a module in the current folder, as options."""
    module = f"steps_{os.urandom(8).hex()}"
    (tmp_path / f"{module}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    return lambda name: ["--with", f"{module}:{name}"]


Steps = Callable[[str], list[str]]


@pytest.fixture
def old(keep: Keep) -> Path:
    return keep("clock", {"tz": "CET"}, {"tz": "UTC", "n": 1})


SHOWN = [
    "~\t.version\t1\t3",
    '-\t.data.tz\t"UTC"',
    '+\t.data.zone\t"UTC"',
    "+\t.data.alarms\t[]",
]


def test_migrate_lifts_the_document_and_shows_it(
    state: Run, old: Path, steps: Steps
) -> None:
    before = contents(old)
    answer = state("migrate", old, "clock", "--to", "3", *steps("STEPS"))
    assert (answer.status, answer.out.splitlines()) == (0, SHOWN)
    assert answer.err == (
        "latency-kv: clock, from version 1 to 3: 2 added, 1 removed, 1 changed; "
        "restore brings back what it was\n"
    )
    document = json.loads((old / "clock.json").read_bytes())
    assert document["version"] == 3
    assert document["data"] == {"n": 1, "zone": "UTC", "alarms": []}
    assert set(before) < set(contents(old))
    assert state("restore", old, "clock", "--yes").status == 0
    assert data_of(old / "clock.json") == {"tz": "UTC", "n": 1}


def test_migrate_dry_run_shows_the_same_and_writes_nothing(
    state: Run, old: Path, steps: Steps
) -> None:
    before = tree(old)
    options = ["--to", "3", *steps("STEPS")]
    dry = state("migrate", old, "clock", *options, "--dry-run")
    assert (dry.status, dry.out.splitlines()) == (0, SHOWN)
    assert dry.err.endswith("; nothing was written\n")
    assert tree(old) == before
    json_lines = state("migrate", old, "clock", *options, "--json")
    assert told(json_lines)[0] == {
        "change": "changed",
        "path": ["version"],
        "old": 1,
        "new": 3,
    }


def test_migrate_loses_no_backup(state: Run, folder: Path, steps: Steps) -> None:
    before = contents(folder)
    assert state("migrate", folder, "clock", "--to", "2", *steps("STEPS")).status == 0
    assert set(before) < set(contents(folder)) and len(before) == 6
    assert len(contents(folder)) == 7


@pytest.mark.parametrize("pretty", [False, True])
def test_migrate_keeps_how_the_document_is_written(
    state: Run, tmp_path: Path, steps: Steps, pretty: bool
) -> None:
    async def save() -> None:
        async with FileSystemStateStore(
            state_dir=tmp_path / "s", pretty_print=pretty
        ) as store:
            await store.save("clock", {})

    anyio.run(save)
    state("migrate", tmp_path / "s", "clock", "--to", "3", *steps("STEPS"))
    raw = (tmp_path / "s" / "clock.json").read_bytes()
    assert json.loads(raw)["version"] == 3
    assert (raw.count(b"\n") > 1) is pretty


def test_migrate_at_its_version_or_above_does_nothing(
    state: Run, old: Path, steps: Steps
) -> None:
    before = tree(old)
    for version in ("0", "1"):
        answer = state("migrate", old, "clock", "--to", version, *steps("STEPS"))
        assert answer == (
            0,
            "",
            "latency-kv: nothing to do: clock has version 1 already\n",
        )
    assert tree(old) == before


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry"])
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("GAP", ["clock", "there is no migration", "3"]),
        ("FAILING", ["clock", "migration to version 3 raised KeyError"]),
        ("NO_JSON", ["clock", "data['a']: a set is no JSON value"]),
        ("TEXTS", ["a mapping of versions to functions is wanted"]),
        ("BOOLS", ["a mapping of versions to functions is wanted"]),
        ("FIGURES", ["a mapping of versions to functions is wanted"]),
        ("two", ["a mapping of versions to functions is wanted"]),
        ("STEP", ["no STEP", "did you mean STEPS?"]),
    ],
)
def test_migrations_that_fail_leave_the_document(
    state: Run, old: Path, steps: Steps, name: str, parts: list[str], dry: list[str]
) -> None:
    before = contents(old)
    answer = state("migrate", old, "clock", "--to", "3", *steps(name), *dry)
    assert is_trouble(answer, *parts)
    assert contents(old) == before


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"{", "DAMAGED"), (b'{"format": 2}', "NEWER"), (None, "CLEARED")],
)
def test_migrate_of_what_is_no_document_is_trouble(
    state: Run, old: Path, steps: Steps, content: bytes | None, word: str
) -> None:
    path = old / "clock.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    before = tree(old)
    answer = state("migrate", old, "clock", "--to", "3", *steps("STEPS"))
    assert is_trouble(answer, f"clock.json: {word}: ")
    assert tree(old) == before


# Troubles of both


def commands(steps: Steps) -> list[list[str]]:
    return [["restore", "--yes"], ["migrate", "--to", "3", *steps("STEPS")]]


def test_lock_that_somebody_holds_is_trouble(
    state: Run, old: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_changes, "_LOCK_TIMEOUT_S", 0.05)
    before = contents(old)
    with DocumentFiles(old).hold("clock"):
        for verb, *options in commands(steps):
            answer = state(verb, old, "clock", *options)
            assert answer.status == TROUBLE
            assert "another writer held this lock for 0.05 s" in answer.err
            assert len(answer.err.splitlines()) <= 2
    assert contents(old) == before


def test_disk_that_refuses_is_trouble(
    state: Run, old: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> str:
        raise OSError(28, "No space left on device")

    before = contents(old)
    monkeypatch.setattr("latency_kv.documents.files.stage", full)
    for verb, *options in commands(steps):
        answer = state(verb, old, "clock", *options)
        assert answer.status == TROUBLE and "Traceback" not in answer.err
        assert answer.err.splitlines()[-1].startswith(
            "latency-kv: plugin 'clock': it was"
        )
        assert "No space left on device" in answer.err
    assert contents(old) == before


def test_folder_that_cannot_be_written_is_trouble(
    state: Run, old: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("latency_kv.documents.files.make_directory", refuse)
    for verb, *options in commands(steps):
        answer = state(verb, old, "clock", *options)
        assert answer.status == TROUBLE
        assert re.search(r"latency-kv: .*: permission denied; .*\n$", answer.err)


def test_change_that_may_not_last_is_told(
    state: Run, old: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("latency_kv.durable.sync_directory", refuse)
    monkeypatch.setattr("latency_kv.documents.files.make_directory", lambda path: None)
    answer = state("restore", old, "clock", "--yes")
    assert answer.status == TROUBLE and "a power cut may undo it" in answer.err


def test_warnings_of_the_store_are_told_once(
    state: Run, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("latency_kv.documents.files.sweep", refuse)
    answer = state("restore", old, "clock", "--yes")
    assert answer.status == 0
    assert all(line.startswith("latency-kv: ") for line in answer.err.splitlines())

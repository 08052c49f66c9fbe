"""The verbs that look at documents: what a pipe gets, and the statuses for scripts."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.conftest import Answer, Keep, Run
from fresh import run_fresh
from latency_kv import CheckpointDirectory, InMemoryStore
from latency_kv.cli.screen import TROUBLE
from latency_kv.cli.state_files import Finding, Health, Holding
from latency_kv.cli.state_screen import StateScreen
from latency_kv.cli.state_tables import BackupRow, PluginRow, TroubleRow
from latency_kv.documents.names import stem_of

LONG_NAME = "\u00c9" * 100

# As a store that was killed leaves one.
LEFTOVER = ".clock.json.0123456789abcdef.tmp"

NEWER = '{"format": 2, "whatever": "this is"}'


@pytest.fixture
def folder(keep: Keep) -> Path:
    """Plugins in every health that a file by itself can have."""
    keep("clock", {"n": 1}, {"n": 2}, {"n": 2, "zone": "UTC"})
    keep("Weather 1/2", [21.5], version=3)
    keep(LONG_NAME, "a long name's", "is hashed")
    keep("broken", 1, 2)
    keep("later", 1)
    directory = keep("linked", 1)
    (directory / "broken.json").write_bytes(b'{"version": 1, "da')
    (directory / "later.json").write_text(NEWER)
    (directory / "linked.json").unlink()
    (directory / "linked.json").symlink_to("clock.json")
    keep("gone", 1, 2)
    (directory / "gone.json").unlink()
    return directory


def is_trouble(answer: Answer, *parts: str) -> bool:
    """Whether a command said one line, with these parts, and nothing else."""
    one_line = answer.err.count("\n") == 1 and answer.err.startswith("latency-kv: ")
    silent = answer.status == TROUBLE and not answer.out
    return one_line and silent and all(part in answer.err for part in parts)


def told(answer: Answer) -> list[dict[str, object]]:
    return [json.loads(line) for line in answer.out.splitlines()]


# list


def test_list_tells_health_of_every_plugin(state: Run, folder: Path) -> None:
    answer = state("list", folder)
    rows = [line.split("\t") for line in answer.out.splitlines()]
    assert answer.status == 0 and not answer.err
    assert [(row[1], row[0], row[2]) for row in rows] == [
        ("Weather 1/2", "OK", "3"),
        ("broken", "DAMAGED", ""),
        ("clock", "OK", "1"),
        ("gone", "CLEARED", ""),
        ("later", "NEWER", ""),
        ("linked", "UNREADABLE", ""),
        (LONG_NAME, "OK", "1"),
    ]
    assert {len(row) for row in rows} == {8}
    by_name = {row[1]: row for row in rows}
    assert by_name["clock"][5:] == ["2", "0", ""]
    assert "no JSON" in by_name["broken"][-1]
    assert "restore" in by_name["gone"][-1]
    assert "symbolic link" in by_name["linked"][-1]


def test_list_tells_facts_for_programs(state: Run, folder: Path) -> None:
    facts = {each["plugin"]: each for each in told(state("list", folder, "--json"))}
    clock = json.loads((folder / "clock.json").read_bytes())
    assert facts["clock"] == {
        "plugin": "clock",
        "stem": "clock",
        "health": "OK",
        "version": 1,
        "bytes": (folder / "clock.json").stat().st_size,
        "last_modified": clock["metadata"]["lastModified"],
        "reason": None,
        "backups": 2,
        "set_aside": 0,
    }
    assert facts[LONG_NAME]["stem"] == stem_of(LONG_NAME)
    assert facts["gone"]["bytes"] is facts["gone"]["last_modified"] is None
    assert all(each.keys() == facts["clock"].keys() for each in facts.values())
    assert all(
        (each["version"] is None) is bool(each["reason"]) for each in facts.values()
    )


def test_list_tells_when_a_damaged_file_was_written(state: Run, folder: Path) -> None:
    damaged = folder / "broken.json"
    damaged.touch()
    os.utime(damaged, (1_600_000_000, 1_600_000_000))
    facts = {each["plugin"]: each for each in told(state("list", folder, "--json"))}
    assert facts["broken"]["last_modified"] == "2020-09-13T12:26:40.000Z"
    os.utime(damaged, ns=(2**62, 2**62))
    assert state("list", folder).status == 0


def test_list_tells_of_leftovers_and_of_nothing_else(state: Run, folder: Path) -> None:
    for name in (
        LEFTOVER,
        ".clock.json.0123.tmp",
        ".vimrc.0123456789abcdef.tmp",
        "README.txt",
        "clock.json.bak",
    ):
        (folder / name).write_text("")
    answer = state("list", folder)
    assert len(answer.out.splitlines()) == 7
    assert answer.err.startswith(f"latency-kv: {folder / LEFTOVER}: a temporary file")
    assert answer.err.count("\n") == 1


def test_list_takes_a_limit(state: Run, folder: Path) -> None:
    assert len(state("list", folder, "--limit", "2").out.splitlines()) == 2
    assert state("list", folder, "--limit", "0").out == ""


def test_list_of_an_empty_folder(state: Run, tmp_path: Path) -> None:
    answer = state("list", tmp_path)
    assert answer == (0, "", f"latency-kv: {tmp_path}: no plugin has anything here\n")
    CheckpointDirectory(tmp_path).write(InMemoryStore().snapshot())
    answer = state("list", tmp_path)
    assert "snapshots are for `latency-kv snapshot info`" in answer.err


def test_long_name_is_found_in_a_backup_and_else_unknown(
    state: Run, keep: Keep
) -> None:
    directory = keep(LONG_NAME, 1, 2)
    stem = stem_of(LONG_NAME)
    (directory / f"{stem}.json").write_bytes(b"\xff")
    assert state("list", directory).out.startswith(f"DAMAGED\t{LONG_NAME}\t")
    (directory / f"{stem}.backup.1.json").write_text('{"metadata": {"pluginName": 7}}')
    (facts,) = told(state("list", directory, "--json"))
    assert facts["plugin"] is None and facts["stem"] == stem
    assert state("list", directory).out.startswith(f"DAMAGED\t?{stem}\t")
    assert is_trouble(state("restore", directory, LONG_NAME, "--yes"), "DAMAGED")


def test_name_within_a_file_that_is_not_its_own_is_no_name(
    state: Run, keep: Keep
) -> None:
    directory = keep("clock", 1)
    other = directory / f"{stem_of(LONG_NAME)}.json"
    other.write_bytes((directory / "clock.json").read_bytes())
    (directory / "radio.json").write_bytes((directory / "clock.json").read_bytes())
    rows = {each["stem"]: each for each in told(state("list", directory, "--json"))}
    assert rows[other.stem]["plugin"] is None
    assert rows["radio"]["health"] == "DAMAGED"
    assert "of plugin 'clock', not of 'radio'" in str(rows["radio"]["reason"])


# show


def test_show_prints_the_document_whole(state: Run, folder: Path) -> None:
    answer = state("show", folder, "clock")
    assert answer == (0, (folder / "clock.json").read_text(), "")
    assert json.loads(state("show", folder, "clock", "--json").out) == json.loads(
        answer.out
    )
    assert state("show", folder, "clock", "--json").out.count("\n") == 1


def test_show_prints_a_backup(state: Run, folder: Path) -> None:
    assert json.loads(state("show", folder, "clock", "--backup", "2").out)["data"] == {
        "n": 1
    }


def test_show_takes_the_name_that_list_shows(state: Run, keep: Keep) -> None:
    names = ["a\\b", "a\tb", "\x1b[2J", "caf\u00e9", "-x", "..", LONG_NAME, "\u202e"]
    for name in names:
        directory = keep(name, name)
    rows = [line.split("\t") for line in state("list", directory).out.splitlines()]
    assert len(rows) == len(names)
    shown = [
        json.loads(state("show", directory, "--json", "--", row[1]).out)["data"]
        for row in rows
    ]
    assert sorted(shown) == sorted(names)


def test_show_raw_gives_the_bytes_of_whatever_it_is(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from latency_kv.__main__ import main

    for name in ("broken", "later", "clock"):
        assert main(["state", "show", str(folder), name, "--raw"]) == 0
        raw = (folder / f"{name}.json").read_bytes()
        assert capfdbinary.readouterr() == (raw, b"")


@pytest.mark.parametrize("options", [["--json"], ["--diff"]])
def test_show_raw_is_alone(state: Run, folder: Path, options: list[str]) -> None:
    assert is_trouble(state("show", folder, "clock", "--raw", *options), "--raw")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("broken", ["broken.json", "DAMAGED", "no JSON"]),
        ("later", ["later.json", "NEWER", "format 2"]),
        ("linked", ["linked.json", "UNREADABLE", "symbolic link"]),
        ("gone", ["gone.json", "CLEARED", "restore"]),
    ],
)
def test_show_of_what_is_no_document_is_trouble(
    state: Run, folder: Path, name: str, parts: list[str]
) -> None:
    assert is_trouble(state("show", folder, name), *parts)
    assert is_trouble(state("show", folder, name, "--json"), *parts)


@pytest.mark.parametrize("name", ["linked", "gone"])
def test_show_raw_follows_no_link_and_finds_nothing(
    state: Run, folder: Path, name: str
) -> None:
    assert is_trouble(state("show", folder, name, "--raw"), f"{name}.json")


def test_show_diff_lists_what_changed_and_is_1(state: Run, folder: Path) -> None:
    answer = state("show", folder, "clock", "--diff")
    assert (answer.status, answer.out) == (1, '+\t.data.zone\t"UTC"\n')
    assert answer.err.startswith("latency-kv: since backup 1, ")
    assert answer.err.endswith(" ago: 1 added, 0 removed, 0 changed\n")
    answer = state("show", folder, "clock", "--diff", "--backup", "2", "--json")
    assert answer.status == 1 and told(answer) == [
        {"change": "changed", "path": ["data", "n"], "old": 1, "new": 2},
        {"change": "added", "path": ["data", "zone"], "new": "UTC"},
    ]


def test_show_diff_tells_versions_and_nulls(state: Run, keep: Keep) -> None:
    keep("clock", {"a": None, "b": 1}, version=1)
    directory = keep("clock", {"b": None}, version=2)
    assert state("show", directory, "clock", "--diff").out.splitlines() == [
        "~\t.version\t1\t2",
        "-\t.data.a\tnull",
        "~\t.data.b\t1\tnull",
    ]
    lines = told(state("show", directory, "clock", "--diff", "--json"))
    assert lines[1] == {"change": "removed", "path": ["data", "a"], "old": None}


def test_show_diff_of_equal_documents_is_0(state: Run, keep: Keep) -> None:
    directory = keep("clock", {"a": 1}, {"a": 1})
    answer = state("show", directory, "clock", "--diff")
    assert (answer.status, answer.out) == (0, "")
    assert answer.err.endswith("0 added, 0 removed, 0 changed\n")


def test_show_diff_counts_beyond_its_limit(state: Run, folder: Path) -> None:
    answer = state("show", folder, "clock", "--diff", "--limit", "0")
    assert (answer.status, answer.out) == (1, "") and "1 added" in answer.err


@pytest.mark.parametrize("options", [["--backup", "3"], ["--diff", "--backup", "9"]])
def test_backup_that_is_not_there_is_trouble(
    state: Run, folder: Path, options: list[str]
) -> None:
    answer = state("show", folder, "clock", *options)
    assert is_trouble(answer, f"no backup {options[-1]}", "there are 2")
    assert is_trouble(state("show", folder, "later", "--diff"), "there are none")


# backups


def test_backups_tell_what_differs_from_the_document(state: Run, folder: Path) -> None:
    answer = state("backups", folder, "clock")
    rows = [line.split("\t") for line in answer.out.splitlines()]
    assert answer.status == 0 and not answer.err
    assert [(row[0], row[1], row[2], row[5], row[6]) for row in rows] == [
        ("1", "OK", "1", "+1 -0 ~0", "clock.backup.1.json"),
        ("2", "OK", "1", "+1 -0 ~1", "clock.backup.2.json"),
    ]
    first, _ = told(state("backups", folder, "clock", "--json"))
    path = folder / "clock.backup.1.json"
    assert first == {
        "kind": "backup",
        "number": 1,
        "path": str(path),
        "health": "OK",
        "version": 1,
        "bytes": path.stat().st_size,
        "last_modified": json.loads(path.read_bytes())["metadata"]["lastModified"],
        "reason": None,
        "differences": {"added": 1, "removed": 0, "changed": 0},
    }


def test_backups_are_numbered_as_restore_takes_them(state: Run, folder: Path) -> None:
    (folder / "clock.backup.1.json").rename(folder / "clock.backup.7.json")
    rows = told(state("backups", folder, "clock", "--json"))
    assert [(row["number"], Path(str(row["path"])).name) for row in rows] == [
        (1, "clock.backup.2.json"),
        (2, "clock.backup.7.json"),
    ]
    shown = state("show", folder, "clock", "--backup", "2", "--json")
    assert json.loads(shown.out)["data"] == {"n": 2}


def test_backups_tell_of_damage_and_of_what_was_set_aside(
    state: Run, folder: Path
) -> None:
    (folder / "clock.backup.2.json").write_bytes(b"\x00" * 10)
    (folder / "clock.corrupt-3.json").write_bytes(b"[")
    *_, damaged, aside = told(state("backups", folder, "clock", "--json"))
    assert (damaged["kind"], damaged["number"]) == ("backup", 2)
    assert damaged["health"] == "DAMAGED" and damaged["differences"] is None
    assert (aside["kind"], aside["number"], aside["bytes"]) == ("corrupt", 3, 1)
    assert (
        state("backups", folder, "clock")
        .out.splitlines()[2]
        .startswith("corrupt-3\tDAMAGED\t\t1\t")
    )


@pytest.mark.parametrize("name", ["broken", "gone"])
def test_backups_without_a_sound_document_are_told(
    state: Run, folder: Path, name: str
) -> None:
    (row,) = told(state("backups", folder, name, "--json"))
    assert row["health"] == "OK" and row["differences"] is None


def test_backups_of_a_plugin_that_has_none(state: Run, folder: Path) -> None:
    answer = state("backups", folder, "later")
    assert answer == (0, "", "latency-kv: later has no backups\n")


# validate


def test_validate_has_nothing_to_say_of_what_is_sound(state: Run, keep: Keep) -> None:
    keep("clock", 1, 2, 3)
    directory = keep("radio", 1)
    answer = state("validate", directory)
    assert answer == (0, "", "latency-kv: 4 of 4 documents and backups are sound\n")


def test_validate_tells_each_trouble(state: Run, folder: Path) -> None:
    (folder / "clock.backup.2.json").write_text("{}")
    (folder / "clock.corrupt-1.json").write_text("known to be damaged")
    answer = state("validate", folder)
    assert answer.status == TROUBLE
    rows = [line.split("\t") for line in answer.out.splitlines()]
    assert [row[:3] for row in rows] == [
        ["DAMAGED", "broken", "broken.json"],
        ["DAMAGED", "clock", "clock.backup.2.json"],
        ["NEWER", "later", "later.json"],
        ["UNREADABLE", "linked", "linked.json"],
    ]
    assert answer.err == "latency-kv: 7 of 11 documents and backups are sound\n"
    first, *_ = told(state("validate", folder, "--json"))
    assert first.keys() == {"plugin", "stem", "path", "health", "reason"}
    assert first["path"] == str(folder / "broken.json")


def test_validate_is_1_for_damage_and_2_for_what_cannot_be_checked(
    state: Run, folder: Path
) -> None:
    assert state("validate", folder, "broken").status == 1
    assert state("validate", folder, "clock", "Weather 1/2", "gone").status == 0
    assert state("validate", folder, "later").status == TROUBLE
    assert state("validate", folder, "later", "broken").status == TROUBLE


CHECKS = """
import helper_of_checks
def sound(data): return data != {"n": 2, "zone": "UTC"}
async def slowly(data): return sound(data)
def fails(data): return data["no such key"]
def lazily(data):
    import later_helper
    return True
FIGURE = 7
"""


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, with another beside it."""
    place = tmp_path / "here"
    place.mkdir()
    module = f"checks_{os.urandom(8).hex()}"
    (place / f"{module}.py").write_text(CHECKS)
    for helper in ("helper_of_checks", "later_helper"):
        (place / f"{helper}.py").write_text("")
        monkeypatch.delitem(sys.modules, helper, raising=False)
    (place / "raises.py").write_text("1 / 0")
    (place / "exits.py").write_text("import sys; sys.exit(0)")
    monkeypatch.chdir(place)
    monkeypatch.setattr("sys.path", [*sys.path])
    return module


@pytest.mark.parametrize("function", ["sound", "slowly", "fails"])
def test_validate_asks_a_function_of_the_current_folder(
    state: Run, folder: Path, checks: str, function: str
) -> None:
    answer = state("validate", folder, "clock", "--with", f"{checks}:{function}")
    health, name, file, reason = answer.out.rstrip("\n").split("\t")
    assert (answer.status, health, name, file) == (1, "INVALID", "clock", "clock.json")
    assert reason == (
        "your function raised KeyError('no such key')"
        if function == "fails"
        else "your function says no"
    )


def test_validate_with_a_function_that_says_yes(
    state: Run, folder: Path, checks: str
) -> None:
    for function in ("sound", "slowly", "lazily"):
        spec = f"{checks}:{function}"
        assert state("validate", folder, "Weather 1/2", "--with", spec).status == 0


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("CHECKS", ["MODULE:NAME"]),
        ("CHECKS:", ["MODULE:NAME"]),
        (":sound", ["MODULE:NAME"]),
        ("absent_module:f", ["no module absent_module in "]),
        ("CHECKS:sond", ["no sond", "did you mean sound?"]),
        ("CHECKS:FIGURE", ["a function is wanted, not int"]),
        ("raises:f", ["importing raises raised ZeroDivisionError"]),
        ("exits:f", ["importing exits raised SystemExit(0)"]),
    ],
)
def test_function_that_cannot_be_had_is_trouble(
    state: Run, folder: Path, checks: str, spec: str, parts: list[str]
) -> None:
    spec = spec.replace("CHECKS", checks)
    assert is_trouble(
        state("validate", folder, "--with", spec), f"--with {spec}", *parts
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use stays there")
def test_current_folder_that_is_gone_is_trouble(
    state: Run, folder: Path, checks: str
) -> None:
    gone = folder.parent / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    answer = state("validate", folder, "--with", "checks:f")
    assert is_trouble(answer, "there is no current folder")


# Troubles

ONE_PLUGIN = [
    ["show"],
    ["show", "--diff"],
    ["backups"],
    ["validate"],
    ["restore", "--yes"],
    ["migrate", "--to", "2", "--with", "os:environ"],
]


@pytest.mark.parametrize("verb", ONE_PLUGIN, ids=" ".join)
def test_plugin_that_is_not_there_is_trouble_with_near_names(
    state: Run, folder: Path, verb: list[str]
) -> None:
    def asked(name: str) -> Answer:
        return state(verb[0], folder, name, *verb[1:])

    assert is_trouble(asked("clok"), "no plugin clok; did you mean clock?")
    assert is_trouble(asked("BROKE"), "did you mean broken?")
    assert is_trouble(asked("zzz"), "no plugin zzz; `state list` tells")
    assert is_trouble(asked(""), "at least one character")
    assert is_trouble(asked("x" * 121), "at most 120 characters")
    assert is_trouble(asked("a\\b"), "is no escape")
    assert is_trouble(asked("\\xff"), "no UTF-8")


@pytest.mark.parametrize("verb", [["list"], *ONE_PLUGIN], ids=" ".join)
def test_folder_that_is_none_is_trouble(
    state: Run, tmp_path: Path, verb: list[str]
) -> None:
    def asked(directory: Path) -> Answer:
        name = [] if verb == ["list"] else ["clock"]
        return state(verb[0], directory, *name, *verb[1:])

    assert is_trouble(asked(tmp_path / "absent"), "absent: no such folder")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "file").write_text("")
    assert is_trouble(asked(tmp_path / "file"), "it is no folder")
    (tmp_path / "none").mkdir()
    if verb != ["list"]:
        assert is_trouble(asked(tmp_path / "none"), "no plugin clock; there are none")
    assert not list((tmp_path / "none").iterdir())


def test_folder_of_somebody_else_is_trouble(
    state: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("latency_kv.cli.state_files.os.open", refuse)
        facts = told(state("list", folder, "--json"))
        assert facts[0]["health"] == "UNREADABLE"
        assert "for its owner alone" in str(facts[0]["reason"])
    with monkeypatch.context() as patched:
        patched.setattr("latency_kv.cli.state_files.os.listdir", refuse)
        assert is_trouble(state("list", folder), "permission denied")


def test_what_is_no_regular_file_is_unreadable(state: Run, keep: Keep) -> None:
    directory = keep("clock", 1)
    os.mkfifo(directory / "pipe.json")
    (directory / "folder.json").mkdir()
    health = {each["plugin"]: each for each in told(state("list", directory, "--json"))}
    assert health["pipe"]["reason"] == "it is no regular file"
    assert health["folder"]["health"] == "UNREADABLE"


@pytest.mark.parametrize(
    "wrong",
    [
        ["bogus"],
        ["list"],
        ["show", "d"],
        ["show", "d", "p", "--backup", "0"],
        ["migrate"],
    ],
)
def test_wrong_use_is_2(state: Run, wrong: list[str]) -> None:
    answer = state(*wrong)
    assert (answer.status, answer.out) == (TROUBLE, "")
    assert "Usage: " in answer.err and "Traceback" not in answer.err


# Nothing is touched

LOOKS: list[list[str]] = [
    ["list"],
    ["list", "--json"],
    ["show", "clock"],
    ["show", "clock", "--diff"],
    ["show", "broken", "--raw"],
    ["backups", "clock"],
    ["validate", "--with", "operator:truth"],
    ["restore", "clock"],
    ["restore", "broken"],
    ["migrate", "clock", "--to", "2", "--with", "untouched:STEPS", "--dry-run"],
]

# An interpreter that ends where anything below a folder is to be written.
GUARDED = """
import os, sys
from latency_kv.__main__ import main
directory, *arguments = sys.argv[1:]
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = {"mkdir", "rename", "link", "remove", "rmdir", "symlink", "chmod", "truncate"}
def guard(event, arguments):
    if not any(str(each).startswith(directory) for each in arguments):
        return
    writes = event == "open" and arguments[2] & WRITES
    if writes or event.removeprefix("os.") in CHANGES:
        print(event, arguments, file=sys.stderr)
        os._exit(99)
sys.addaudithook(guard)
status = main(["state", arguments[0], directory, *arguments[1:]])
assert status in (0, 1, 2), status
"""


@pytest.mark.parametrize("verb", LOOKS, ids=" ".join)
def test_looking_changes_nothing_on_disk(
    folder: Path, verb: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (folder / LEFTOVER).write_text("")
    (tmp_path / "untouched.py").write_text("STEPS = {2: lambda data, _: [data]}")
    before = tree(folder)
    monkeypatch.chdir(tmp_path)
    run_fresh("-c", GUARDED, str(folder), *verb)
    assert tree(folder) == before


def tree(path: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for place in [path, *path.rglob("*")]:
        status = place.lstat()
        found[str(place)] = status.st_mtime_ns, status.st_mode, status.st_size
    return found


def test_what_a_store_at_work_takes_away_meanwhile_is_no_trouble(
    state: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = os.listdir(folder)
    monkeypatch.setattr("latency_kv.cli.state_files.os.listdir", lambda path: names)
    monkeypatch.setattr("latency_kv.cli.state_files.sleep", lambda seconds: None)
    (folder / "clock.json").unlink()
    (folder / "clock.backup.2.json").unlink()
    facts = {each["plugin"]: each for each in told(state("list", folder, "--json"))}
    assert facts["clock"]["health"] == "CLEARED"
    _, second = told(state("backups", folder, "clock", "--json"))
    assert second["health"] == "CLEARED" and second["reason"]
    assert state("validate", folder, "clock") == (
        0,
        "",
        "latency-kv: 1 of 1 documents and backups are sound\n",
    )


def test_backup_that_is_being_shifted_is_looked_at_again(
    state: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = folder / "clock.backup.1.json"
    away = backup.rename(folder / "away")
    names = [*os.listdir(folder), backup.name]
    monkeypatch.setattr("latency_kv.cli.state_files.os.listdir", lambda path: names)
    monkeypatch.setattr(
        "latency_kv.cli.state_files.sleep", lambda seconds: away.replace(backup)
    )
    assert state("show", folder, "clock", "--backup", "1").status == 0


def test_reason_is_printable_whoever_gives_it(tmp_path: Path) -> None:
    holding = Holding(tmp_path, "clock", True, (), ())
    finding = Finding(tmp_path / "clock.json", Health.DAMAGED, reason="\x1b[2J\n\t")
    for row in (
        PluginRow(holding, finding),
        BackupRow("backup", 1, finding, None),
        TroubleRow(holding, finding),
    ):
        for texts in (row.fields(StateScreen()), row.cells(StateScreen())):
            assert texts[-1] == r"\x1b[2J\x0a\x09" and all(map(str.isprintable, texts))


def test_age_is_of_the_document_and_not_of_its_file(state: Run, keep: Keep) -> None:
    directory = keep("clock", 1, 2)
    backup = directory / "clock.backup.1.json"
    document = json.loads(backup.read_bytes())
    past = datetime.now(UTC) - timedelta(days=3, hours=1)
    document["metadata"]["lastModified"] = past.isoformat()
    backup.write_text(json.dumps(document))
    assert (
        "since backup 1, 3 days ago: "
        in state("show", directory, "clock", "--diff").err
    )

"""Terminals and pipes: what is seen, what can be hidden in it, and who stops reading."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from rich.cells import cell_len

from latency_kv import InMemoryStore
from latency_kv.checkpoints import CheckpointDirectory
from latency_kv.cli.notation import ASCII_TEXT
from latency_kv.cli.screen import BROKEN_PIPE, SCREENFUL, Screen

terminal = pytest.importorskip("cli.terminal", reason="terminals as POSIX has them")

# Clears the screen, renames the window, moves up, rings, in both widths of controls.
ATTACKS = [
    b"\x1b[2J",
    b"\x1b]0;owned\x07",
    b"\x9b2J",
    "\u009b2J".encode(),
    b"\r\x1b[1A\x08\x7f\x00",
    "\u202egnp.exe".encode(),
    b"[red]markup[/red] [link=http://x]y[/link]",
    b"\xff\xfe\n\t\\",
]


def seen_snapshot(*arguments: str | Path, **environment: str) -> tuple[int, str]:
    status, text = terminal.seen(
        *terminal.SNAPSHOT, *map(str, arguments), **environment
    )
    return status, text


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, Path]:
    store = InMemoryStore({attack: attack * 3 for attack in ATTACKS})
    store.update({attack + b"/" + attack: b"" for attack in ATTACKS})
    store.snapshot().save(tmp_path / "old.lkv")
    for attack in ATTACKS[1:]:
        store.put(attack, attack * 200)
    store.delete(ATTACKS[0])
    store.put(ATTACKS[0] + b"new", b"")
    store.snapshot().save(tmp_path / "new.lkv")
    return tmp_path / "old.lkv", tmp_path / "new.lkv"


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["", "NO_COLOR"])
def test_nothing_in_a_file_reaches_a_terminal_as_a_command(
    hostile: tuple[Path, Path], environment: dict[str, str]
) -> None:
    old, new = hostile
    odd = old.rename(old.with_name("\x1b[2J\x9b\x7f.lkv"))
    commands: list[tuple[str | Path, ...]] = [
        ("info", odd),
        ("info", odd, "--json"),
        ("verify", odd, old),
        ("scan", new),
        ("scan", new, "--json"),
        ("scan", new, "--keys", "--reverse"),
        ("diff", odd, new),
        ("diff", new, odd, "--json"),
        ("get", new, r"\x1b[2J"),
        ("get", new, r"\x1b[2Jnew"),
        ("get", new, r"\x9b2J"),
        ("get", new, r"\x9b2J", "--raw"),
        ("info", old),
    ]
    for command in commands:
        _, text = seen_snapshot(*command, **environment)
        assert text and "Traceback" not in text, command
        plain = text if environment else terminal.COLOUR.sub("", text)
        assert plain.replace("\n", "").isprintable(), (command, text)


def test_markup_in_a_file_is_text(hostile: tuple[Path, Path]) -> None:
    _, text = seen_snapshot("scan", hostile[0], NO_COLOR="1")
    assert "[red]markup[/red] [link=http://x]y[/link]" in text


def test_colours_are_for_terminals_without_no_color(
    hostile: tuple[Path, Path],
) -> None:
    assert terminal.COLOUR.search(seen_snapshot("diff", *hostile)[1])
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        _, text = seen_snapshot("diff", *hostile, **environment)
        assert "\x1b" not in text


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    path = tmp_path / "wide.lkv"
    entries = {b"%03d" % number: b"value" for number in range(SCREENFUL + 1)}
    entries |= {
        b"\x00" * 500: b"\x00" * 500,
        ("\u6771" * 200).encode(): ("\u4eac" * 200).encode(),
        b"a" * 200: b"a" * 3,
    }
    InMemoryStore(entries).snapshot().save(path)
    return path


def test_lines_fit_the_terminal_and_tell_what_was_cut(wide: Path) -> None:
    _, text = seen_snapshot("scan", wide, "--limit", "1000", NO_COLOR="1")
    lines = text.splitlines()
    assert len(lines) == SCREENFUL + 4
    assert max(map(cell_len, lines)) <= terminal.COLUMNS
    assert lines[0].count("... 500 bytes") == 2
    assert not any(line.endswith("\\x0") for line in lines[0].split("... 500 bytes"))


def test_terminal_gets_a_screenful_and_is_told_of_more(wide: Path) -> None:
    _, text = seen_snapshot("scan", wide, NO_COLOR="1")
    *lines, note = text.splitlines()
    assert len(lines) == SCREENFUL
    assert note == "latency-kv: more follow: --limit N shows N, and a pipe gets all"
    _, text = seen_snapshot("scan", wide, "--stop", "050", "--start", "000")
    assert len(text.splitlines()) == SCREENFUL, "a note where nothing follows"


def test_info_on_a_terminal_is_for_people(wide: Path) -> None:
    status, text = seen_snapshot("info", wide, NO_COLOR="1")
    assert status == 0
    rows = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert rows["entries"] == f"{SCREENFUL + 4}"
    assert "ago" in rows["created"] and rows["checksum"].endswith("matches")
    assert "... 500 bytes" in rows["first"]


def test_raw_bytes_are_not_for_a_terminal(wide: Path) -> None:
    status, text = seen_snapshot("get", wide, "000", "--raw")
    assert status == 2 and "a file or a pipe" in text


def test_value_that_is_long_is_cut_on_a_terminal_only(tmp_path: Path) -> None:
    path = tmp_path / "long.lkv"
    InMemoryStore({b"k": b"v" * 10_000}).snapshot().save(path)
    _, text = seen_snapshot("get", path, "k")
    assert text.startswith("v" * 4096 + "\nlatency-kv: 4,096 of 10,000 bytes")
    with piped(*terminal.SNAPSHOT, "get", str(path), "k") as command:
        out, error = command.communicate()
    assert out == "v" * 10_000 + "\n" and not error


def test_values_that_begin_alike_are_shown_where_they_differ(tmp_path: Path) -> None:
    paths = []
    for number in (12, 13):
        path = tmp_path / f"{number}.lkv"
        value = b'{"note": "' + b"x" * 300 + b'", "delay": %d}' % number
        InMemoryStore({b"k": value}).snapshot().save(path)
        paths.append(path)
    _, text = seen_snapshot("diff", *paths, NO_COLOR="1")
    values = r'\.\.\.\w*y": 12}\.\.\. 325 bytes -> \.\.\.\w*y": 13}\.\.\. 325 bytes'
    assert re.search(values, text)


def test_bar_shows_while_work_is_long_and_goes_away(wide: Path) -> None:
    program = (
        "import sys, time; from latency_kv.cli import screen; screen.PATIENCE_S = 0\n"
        "with screen.working('check \\x1b[2J[red]', 2) as progress:\n"
        "    time.sleep(0.3); progress(1); time.sleep(0.3)\n"
        "print('end')"
    )
    _, text = terminal.seen("-c", program)
    shown, end = text.rsplit("\x1b[2K", 1)
    assert r"check \x1b[2J[red]" in shown and "50%" in shown and "end" not in shown
    assert end.replace("\n", "").endswith("end") and "check" not in end
    _, text = seen_snapshot("info", wide)
    assert "\x1b[2K" not in text, "a bar for work that is done at once"


# Pipes


def piped(
    *command: str, stdout: int | IO[str] = subprocess.PIPE, **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", *command],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**terminal.inherited(), **environment},
    )


@pytest.mark.parametrize("verb", ["scan", "diff"])
@pytest.mark.parametrize("count", [1, 200_000])
def test_reader_that_stops_is_no_trouble(verb: str, count: int, tmp_path: Path) -> None:
    files = [tmp_path / "some.lkv", tmp_path / "none.lkv"]
    some = {b"%06d" % number: b"value" for number in range(count)}
    for file, entries in zip(files, (some, {}), strict=True):
        InMemoryStore(entries).snapshot().save(file)
    names = map(str, files if verb == "diff" else files[:1])
    with piped(*terminal.SNAPSHOT, verb, *names) as command:
        assert command.stdout and command.stderr
        if count > 1:
            assert "000000" in command.stdout.readline()
        command.stdout.close()
        error = command.stderr.read()
    assert command.returncode == BROKEN_PIPE
    assert error in ("", "latency-kv: 0 added, 1 removed, 0 changed, 0 the same\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
@pytest.mark.parametrize("limit", ["1", "1000"])
def test_output_that_cannot_be_written_is_trouble(wide: Path, limit: str) -> None:
    with (
        open("/dev/full", "w") as full,
        piped(
            *terminal.SNAPSHOT, "scan", str(wide), "--limit", limit, stdout=full
        ) as command,
    ):
        assert command.stderr
        error = command.stderr.read()
    assert command.returncode == 2
    assert error.startswith("latency-kv: the output cannot be written: No space")
    assert error.count("\n") == 1


def test_pipe_gets_neither_bar_nor_colour_whatever_is_forced(wide: Path) -> None:
    program = (
        "from latency_kv.cli import screen; screen.PATIENCE_S = 0; import time\n"
        "with screen.working('check'): time.sleep(0.3)\n"
        "import sys; from latency_kv.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["-c", program, "snapshot", "info", str(wide)]
    with piped(*arguments, FORCE_COLOR="1") as command:
        out, error = command.communicate()
    assert command.returncode == 0 and not error and "\x1b" not in out


def test_skipped_checkpoint_is_told_once(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path)
    for number in range(2):
        directory.write(InMemoryStore({b"k": b"%d" % number}).snapshot())
    newest = directory.list()[0].path
    newest.write_bytes(newest.read_bytes()[:-1])
    with piped(*terminal.SNAPSHOT, "info", str(tmp_path)) as command:
        out, error = command.communicate()
    assert error.count("\n") == error.count(newest.name) == out.count(newest.name) == 1
    _, text = seen_snapshot("info", tmp_path)
    assert text.count(newest.name) == 1 and f"passed over {newest}" in text


def test_terminal_without_utf8_gets_ascii(
    wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, text = seen_snapshot("scan", wide, r"\xe6", PYTHONIOENCODING="ascii")
    text = terminal.COLOUR.sub("", text)
    assert status == 0 and text.isascii() and r"\xe6\x9d\xb1" in text
    with open(os.devnull, "w", encoding="ascii") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert Screen().notation == ASCII_TEXT


def test_json_on_a_terminal_is_the_same_json(wide: Path) -> None:
    _, text = seen_snapshot("scan", wide, "000", "--json")
    assert base64.b64decode(json.loads(text)["value"]) == b"value"

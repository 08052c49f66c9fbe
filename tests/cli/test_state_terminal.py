"""Documents on a terminal: what is seen, what can be hidden in them, who is asked."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from rich.cells import cell_len

from cli.conftest import Keep
from latency_kv.cli.screen import BROKEN_PIPE, SCREENFUL
from latency_kv.documents.names import stem_of
from latency_kv.documents.store import FileSystemStateStore

terminal = pytest.importorskip("cli.terminal", reason="terminals as POSIX has them")

# Clears the screen, renames the window, moves up, turns the line around, is markup.
ATTACKS = [
    "\x1b[2J",
    "\x1b]0;owned\x07",
    "\u009b2J",
    "\r\x1b[1A\x08\x7f\x00",
    "\u202egnp.exe\u2028",
    "[red]markup[/red] [link=http://x]y[/link]",
    '"\n\t\\',
    "\U000e0001",
]


PLAIN = {"NO_COLOR": "1"}


def seen_state(
    *arguments: object,
    typed: str = "",
    columns: int = terminal.COLUMNS,
    environment: dict[str, str] = PLAIN,
) -> tuple[int, str]:
    """Run `latency-kv state *arguments` in a terminal, without colours."""
    words = [*terminal.STATE, *map(str, arguments)]
    status, text = terminal.seen(*words, typed=typed, columns=columns, **environment)
    return status, text


def piped(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", *terminal.STATE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**terminal.inherited(), **environment},
    )


# Hostile content


@pytest.fixture
def hostile(keep: Keep, tmp_path: Path) -> Path:
    """Attacks for names, keys and values, in documents, backups and damaged files."""
    for attack in ATTACKS:
        keep(attack, 0, {attack: attack})
    values = {attack: [attack * 3, {attack: attack}] for attack in ATTACKS}
    directory = keep("victim", values, {**values, ATTACKS[0]: ATTACKS, "new": ATTACKS})
    for name, attack in zip(("one", "two", "three"), ATTACKS, strict=False):
        keep(name, 1, 2)
        document = json.loads((directory / f"{name}.json").read_bytes())
        document[attack] = attack
        (directory / f"{name}.json").write_text(json.dumps(document))
        (directory / f"{name}.backup.1.json").write_text(attack)
    (tmp_path / "hostile_steps.py").write_text(
        f"STEPS = {{2: lambda data, _: {{attack: attack for attack in {ATTACKS!r}}}}}\n"
        f"def angry(data): raise ValueError({ATTACKS[0]!r})\n"
        f"def bad(data, _): raise ValueError({ATTACKS[0]!r})\n"
        "BAD = {2: bad}\n"
    )
    return directory


# Many commands at one terminal, since an interpreter for each takes long to start.
ONE_BY_ONE = """
import json, sys
from latency_kv.__main__ import main
for command in json.loads(sys.argv[1]):
    main(["state", *command])
    print("ENDED", flush=True)
"""


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["", "NO_COLOR"])
def test_nothing_in_a_document_reaches_a_terminal_as_a_command(
    hostile: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hostile.parent)
    odd = hostile.rename(hostile.with_name("\x1b[2J\u009b\x7f"))
    steps = ["--to", "2", "--dry-run", "--with"]
    commands: list[list[str | Path]] = [
        ["list", odd],
        ["list", odd, "--json"],
        ["show", odd, "victim"],
        ["show", odd, "victim", "--json"],
        ["show", odd, "victim", "--raw"],
        ["show", odd, "victim", "--diff"],
        ["show", odd, "victim", "--diff", "--json"],
        ["show", odd, r"\x1b[2J"],
        ["show", odd, "one"],
        ["show", odd, "\x1b[31mabsent"],
        ["backups", odd, "victim"],
        ["backups", odd, "one"],
        ["backups", odd, "one", "--json"],
        ["validate", odd],
        ["validate", odd, "--with", "hostile_steps:angry"],
        ["migrate", odd, "victim", *steps, "hostile_steps:STEPS"],
        ["migrate", odd, "victim", *steps, "hostile_steps:BAD"],
        ["migrate", odd, "victim", *steps, "\x1b[31m:BAD"],
        ["restore", odd, "victim"],
        ["restore", odd, r"\x1b[2J"],
        ["restore", odd, "one"],
        ["backups", odd, "absent"],
        ["list", "/\x1b[2J"],
    ]
    words = [list(map(str, command)) for command in commands]
    _, text = terminal.seen(
        "-c", ONE_BY_ONE, json.dumps(words), typed="no\n" * len(words), **environment
    )
    assert text.count("Restore backup 1") == 2 and "Traceback" not in text
    plain = text if environment else terminal.COLOUR.sub("", text)
    *each, rest = plain.split("ENDED")
    assert len(each) == len(words) and rest == "\n"
    for command, part in zip(words, each, strict=True):
        assert part.replace("\n", "").isprintable(), (command, part)
        assert part.strip(), command


def test_hostile_lines_of_a_pipe_are_whole_and_one_each(hostile: Path) -> None:
    with piped("list", hostile) as command:
        out, error = command.communicate()
    rows = [line.split("\t") for line in out.splitlines()]
    assert {len(row) for row in rows} == {8} and not error
    assert len(rows) == len(ATTACKS) + 4
    with piped("show", hostile, "victim", "--diff") as command:
        out, _ = command.communicate()
    for line in out.splitlines():
        assert line.isprintable() or "\t" in line
        _, _, *values = line.split("\t")
        assert all(json.loads(value) is not None for value in values)


def test_markup_in_a_document_is_text(hostile: Path) -> None:
    _, text = seen_state("show", hostile, "victim")
    assert "[red]markup[/red] [link=http://x]y[/link]" in text
    _, text = seen_state("list", hostile, columns=200)
    assert "[red]markup[/red] [link=http://x]y[/link]" in text


# Looks


@pytest.fixture
def folder(keep: Keep) -> Path:
    keep("clock", {"n": 1}, {"n": 2, "zone": "UTC"})
    directory = keep("broken", 1, 2)
    (directory / "broken.json").write_bytes(b"[1, ")
    return directory


def test_list_on_a_terminal_is_a_table_for_people(folder: Path) -> None:
    status, text = seen_state("list", folder)
    title, broken, why, clock = text.splitlines()
    assert status == 0
    assert title.split("  ")[0] == "HEALTH" and title.endswith("SET ASIDE")
    assert re.match(r"DAMAGED +broken +4 +\d+ seconds? ago +1 +0$", broken)
    assert why.startswith("  it is no JSON: ")
    assert re.match(r"OK +clock +1 +\d+ +\d+ seconds? ago +1 +0$", clock)
    ends = {title.index("VERSION") + len("VERSION"), clock.index(" 1 ") + len(" 1")}
    assert len(ends) == 1, "a column that is not in line"


def test_colours_are_for_terminals_without_no_color(folder: Path) -> None:
    assert "\x1b[32mOK\x1b[0m" in seen_state("list", folder, environment={})[1]
    assert (
        "\x1b[1;31mDAMAGED\x1b[0m" in seen_state("validate", folder, environment={})[1]
    )
    for verb in (["list"], ["show", "clock"], ["show", "clock", "--diff"]):
        command = [verb[0], folder, *verb[1:]]
        assert terminal.COLOUR.search(seen_state(*command, environment={})[1])
        for environment in (PLAIN, {"TERM": "dumb"}):
            assert "\x1b" not in seen_state(*command, environment=environment)[1]
        with piped(*command, FORCE_COLOR="1") as child:
            assert "\x1b" not in child.communicate()[0]


def test_document_on_a_terminal_is_the_same_json(folder: Path) -> None:
    _, text = seen_state("show", folder, "clock", environment={})
    document = json.loads(terminal.COLOUR.sub("", text))
    assert document == json.loads((folder / "clock.json").read_bytes())
    assert seen_state("show", folder, "clock", "--json")[1].count("\n") == 1


@pytest.fixture
def wide(keep: Keep) -> Path:
    """Long names, long keys, long values, huge versions, and many of them."""
    keep("\u6771" * 110, 1)
    keep("\x00" * 120, 1)
    keep("x" * 120, 1, 2)
    keep("huge", 1, version=10**60)
    long = {"k" * 200: "v" * 500, "\u6771" * 200: "\u4eac" * 300}
    keep("long", long, {key: value + "!" for key, value in long.items()})
    directory = keep("broken", 1, 2)
    (directory / "broken.json").write_bytes(b'{"' + b"x" * 300 + b'": 1}')
    for number in range(SCREENFUL):
        name = f"other-{number}"
        keep(name, 1) if number < 2 else None
        document = json.loads((directory / "other-0.json").read_bytes())
        document["metadata"]["pluginName"] = name
        (directory / f"{name}.json").write_text(json.dumps(document))
    return directory


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_lines_fit_the_terminal(wide: Path, columns: int) -> None:
    for command in (
        ["list", wide, "--limit", "1000"],
        ["show", wide, "long"],
        ["show", wide, "long", "--diff"],
        ["backups", wide, "x" * 120],
        ["backups", wide, "broken"],
        ["validate", wide],
    ):
        _, text = seen_state(*command, columns=columns)
        lines = [
            line for line in text.splitlines() if not line.startswith("latency-kv")
        ]
        assert lines and max(map(cell_len, lines)) < columns, command


def test_table_tells_what_it_cut_by_dots_behind_whole_escapes(wide: Path) -> None:
    _, text = seen_state("list", wide, "--limit", "1000")
    (cut,) = [line for line in text.splitlines() if r"\x00" in line]
    assert re.match(r"OK +(\\x00)+\.\.\.  ", cut)
    with piped("list", wide) as command:
        assert r"\x00" * 120 in command.communicate()[0]


def test_terminal_gets_a_screenful_and_is_told_of_more(wide: Path) -> None:
    _, text = seen_state("list", wide)
    *lines, note = text.splitlines()
    # With a title, and a reason below the one that is broken.
    assert len(lines) == SCREENFUL + 2
    assert note == "latency-kv: more follow: --limit N shows N, and a pipe gets all"
    with piped("list", wide) as command:
        assert command.communicate()[0].count("\n") == SCREENFUL + 6


def test_long_document_is_a_screenful(keep: Keep) -> None:
    directory = keep("many", [0] * 100, list(range(100)))
    for command in (["show"], ["show", "--diff"]):
        _, text = seen_state(command[0], directory, "many", *command[1:])
        assert text.count("latency-kv: more follow: --limit N") == 1
        lines = [
            line for line in text.splitlines() if not line.startswith("latency-kv")
        ]
        assert len(lines) == SCREENFUL


def test_terminal_without_utf8_gets_ascii(keep: Keep) -> None:
    directory = keep("caf\u00e9", {"\u6771": "\u4eac"}, {"\u6771": "\u6771"})
    for command in (
        ["list"],
        ["show", r"caf\xc3\xa9"],
        ["show", r"caf\xc3\xa9", "--diff"],
    ):
        status, text = seen_state(
            command[0],
            directory,
            *command[1:],
            environment={"PYTHONIOENCODING": "ascii"},
        )
        assert status in (0, 1)
        text = terminal.COLOUR.sub("", text)
        assert text.isascii()
        assert r"caf\xc3\xa9" in text or r"\u6771" in text


def test_raw_bytes_are_not_for_a_terminal(folder: Path) -> None:
    status, text = seen_state("show", folder, "broken", "--raw")
    assert status == 2 and "a file or a pipe" in text


# Questions


@pytest.mark.parametrize(
    ("typed", "status", "n"),
    [("y\n", 0, 1), ("yes\n", 0, 1), ("n\n", 1, 2), ("\n", 1, 2), ("\x04", 1, 2)],
)
def test_restore_asks_on_a_terminal(
    folder: Path, typed: str, status: int, n: int
) -> None:
    found, text = seen_state("restore", folder, "clock", typed=typed)
    assert found == status
    change, question = (
        text.index(".data.n"),
        text.index("Restore backup 1 of clock? [y/N]"),
    )
    assert change < question and "Traceback" not in text
    assert json.loads((folder / "clock.json").read_bytes())["data"]["n"] == n
    assert ("nothing was changed" in text or "Aborted" in text) is (n == 2)


def test_restore_with_yes_does_not_ask(folder: Path) -> None:
    status, text = seen_state("restore", folder, "clock", "--yes")
    assert status == 0 and "[y/N]" not in text


def test_restore_asks_again_when_the_answer_is_none(folder: Path) -> None:
    status, text = seen_state("restore", folder, "clock", typed="perhaps\nno\n")
    assert status == 1 and text.count("[y/N]") == 2


# Pipes


@pytest.mark.parametrize("verb", [["list"], ["show", "big"], ["show", "big", "--diff"]])
def test_reader_that_stops_is_no_trouble(tmp_path: Path, verb: list[str]) -> None:
    async def save() -> None:
        async with FileSystemStateStore(
            state_dir=tmp_path, durable=False, pretty_print=False
        ) as store:
            await store.save("big", list(range(50_000)))
            await store.save("big", [-number for number in range(50_000)])

    anyio.run(save)
    document = json.loads((tmp_path / "big.json").read_bytes()) | {"data": 1}
    for number in range(3_000):
        name = f"plugin-{number}-" + "x" * 90
        document["metadata"]["pluginName"] = name
        (tmp_path / f"{stem_of(name)}.json").write_text(json.dumps(document))
    with piped(verb[0], tmp_path, *verb[1:]) as command:
        assert command.stdout and command.stderr
        assert command.stdout.readline()
        command.stdout.close()
        error = command.stderr.read()
    assert command.returncode == BROKEN_PIPE and not error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_output_that_cannot_be_written_is_trouble(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-P", *terminal.STATE, "list", str(folder)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=terminal.inherited(),
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("latency-kv: the output cannot be written: No space")


def test_bar_shows_while_files_are_read_and_goes_away(folder: Path) -> None:
    program = (
        "import sys, time; from latency_kv.cli import screen, state\n"
        "screen.PATIENCE_S = 0\n"
        "look = state.looked_at\n"
        "def slowly(*arguments): time.sleep(0.3); return look(*arguments)\n"
        "state.looked_at = slowly\n"
        "from latency_kv.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    _, text = terminal.seen("-c", program, "state", "validate", str(folder))
    assert re.search(r"checking \S+.*\d+%", text)
    after = text.rsplit("\x1b[2K", 1)[1]
    assert "checking" not in after and "DAMAGED" in after


def answers(*arguments: object) -> Any:
    with piped(*arguments) as command:
        return command.communicate()


def test_json_of_a_terminal_is_that_of_a_pipe(folder: Path) -> None:
    for command in (
        ["list", folder, "--json"],
        ["backups", folder, "clock", "--json"],
        ["show", folder, "clock", "--json"],
    ):
        out, error = answers(*command)
        assert seen_state(*command)[1] == out and not error


def test_one_word_runs_it(tmp_path: Path) -> None:
    status, text = seen_state()
    assert "Usage: python -m latency_kv state" in text and status in (0, 2)
    assert os.listdir(tmp_path) == []

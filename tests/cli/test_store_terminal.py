"""Stores on a terminal: what is seen, what can be hidden in one, who is asked."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from rich.cells import cell_len

from cli.stand_in_stores import installed
from cli.test_state_terminal import ATTACKS
from latency_kv.cli.screen import BROKEN_PIPE, SCREENFUL
from latency_kv.providers.state_stores import open_state_store

terminal = pytest.importorskip("cli.terminal", reason="terminals as POSIX has them")

STORE = ("-m", "latency_kv", "store")


def seen_store(
    *arguments: str, typed: str = "", columns: int = terminal.COLUMNS, **options: str
) -> tuple[int, str]:
    """Run `latency-kv store *arguments` in a terminal, without colours if not told."""
    environment = options or {"NO_COLOR": "1"}
    status, text = terminal.seen(
        *STORE, *arguments, typed=typed, columns=columns, **environment
    )
    return status, text


def piped(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", *STORE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**terminal.inherited(), **environment},
    )


def made(path: Path, values: dict[str, Any]) -> str:
    """Fill a store in a folder, and return its URL."""

    async def main() -> None:
        async with open_state_store(f"file:{path}") as opened:
            await opened.set_many(values)

    anyio.run(main)
    return f"file:{path}"


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    values: dict[str, Any] = {attack: {attack: [attack]} for attack in ATTACKS}
    return made(tmp_path / "hostile", values)


# Many commands at one terminal, since an interpreter for each takes long to start.
ONE_BY_ONE = """
import json, sys
from latency_kv.__main__ import main
for command in json.loads(sys.argv[1]):
    main(["store", *command])
    print("ENDED", flush=True)
"""


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["", "NO_COLOR"])
def test_nothing_in_a_store_reaches_a_terminal_as_a_command(
    hostile: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    alarm = r"\x1b[2J"
    other = made(tmp_path / "other", {attack: 1 for attack in ATTACKS})
    commands = [
        ["keys", hostile],
        ["keys", hostile, "--json"],
        ["keys", hostile, "-0"],
        ["get", hostile, alarm],
        ["get", hostile, "\x1b[2J"],
        ["get", hostile, r"\x9b absent"],
        ["get", hostile, "\x1b\\q"],
        ["get", "file:/\x1b[2J", "k"],
        ["get", f"file:{tmp_path}/\u202e", "k"],
        ["get", hostile, "k", "--namespace", "\x1b[2J"],
        ["set", hostile, "k", "\x1b[2J"],
        ["set", hostile, "k", "1", "--ttl", "\x1b[2J"],
        ["delete", hostile, "\x1b[31m", "\x9b"],
        ["delete", hostile, "--prefix", alarm],
        ["copy", hostile, other],
        ["copy", "\x1b[2J", other],
    ]
    _, text = terminal.seen(
        "-c", ONE_BY_ONE, json.dumps(commands), typed="no\n", **environment
    )
    assert text.count("Delete 1 key beginning with") == 1 and "Traceback" not in text
    plain = text if environment else terminal.COLOUR.sub("", text)
    *each, rest = plain.split("ENDED")
    assert len(each) == len(commands) and rest == "\n"
    for command, part in zip(commands, each, strict=True):
        assert part.replace("\n", "").isprintable(), (command, part)
        assert part.strip(), command


def test_value_on_a_terminal_is_the_same_json_in_colours(tmp_path: Path) -> None:
    value = {"name": "Ada", "[red]n[/red]": [1, {"deep": None}]}
    url = made(tmp_path, {"k": value})
    status, text = seen_store("get", url, "k", TERM="xterm")
    plain = terminal.COLOUR.sub("", text)
    assert status == 0 and plain != text
    assert json.loads(plain) == value and len(plain.splitlines()) > 3
    _, text = seen_store("get", url, "k")
    assert text == plain
    with piped("get", url, "k", FORCE_COLOR="1") as command:
        assert command.communicate() == (
            '{"name":"Ada","[red]n[/red]":[1,{"deep":null}]}\n',
            "",
        )


def test_large_value_is_cut_on_a_terminal_only(tmp_path: Path) -> None:
    url = made(tmp_path, {"many": list(range(100)), "long": "x" * 10_000})
    _, text = seen_store("get", url, "many")
    *lines, told = text.splitlines()
    assert len(lines) == SCREENFUL
    assert told == "latency-kv: more follow: a pipe gets all"
    _, text = seen_store("get", url, "long")
    assert "... 10,002 bytes" in text and 4_000 < len(text) < 5_000
    with piped("get", url, "many") as command:
        assert json.loads(command.communicate()[0]) == list(range(100))


def test_keys_on_a_terminal_are_a_screenful_that_fits(tmp_path: Path) -> None:
    keys = [f"{number:03}" for number in range(SCREENFUL)]
    url = made(tmp_path, dict.fromkeys(["\x00" * 200, *keys], 0))
    status, text = seen_store("keys", url)
    *lines, told = text.splitlines()
    assert status == 0 and len(lines) == SCREENFUL
    assert lines[0].endswith("... 200 bytes") and lines[0].startswith(r"\x00")
    assert max(map(cell_len, lines)) < terminal.COLUMNS
    assert told == "latency-kv: more follow: --limit N shows N, and a pipe gets all"
    _, text = seen_store("keys", url, "--limit", "100")
    assert len(text.splitlines()) == SCREENFUL + 1
    _, text = seen_store("keys", url, "--prefix", "0")
    assert text.splitlines() == keys
    status, text = seen_store("keys", url, "-0")
    assert status == 2 and "a file or a pipe" in text


def test_terminal_without_utf8_gets_ascii(tmp_path: Path) -> None:
    url = made(tmp_path, {"caf\u00e9": "\u6771"})
    for command, shown in (
        (["keys", url], r"caf\xc3\xa9"),
        (["get", url, r"caf\xc3\xa9"], r'"\u6771"'),
        (["get", url, r"\xc3\xa9"], r"no key \xc3\xa9"),
    ):
        _, text = seen_store(*command, PYTHONIOENCODING="ascii", NO_COLOR="1")
        assert text.isascii() and shown in text


# Questions


@pytest.mark.parametrize(
    ("typed", "status", "left"),
    [("y\n", 0, 1), ("n\n", 1, 3), ("\n", 1, 3), ("\x04", 1, 3)],
)
def test_delete_by_prefix_asks_on_a_terminal(
    tmp_path: Path, typed: str, status: int, left: int
) -> None:
    url = made(tmp_path, dict.fromkeys(["a:1", "a:2", "b"], 0))
    found, text = seen_store("delete", url, "--prefix", "a:", typed=typed)
    assert found == status and "Traceback" not in text
    assert f"Delete 2 keys beginning with a: from {url}? [y/N]" in text
    with piped("keys", url) as command:
        assert command.communicate()[0].count("\n") == left
    assert ("nothing was deleted" in text or "Aborted" in text) is (left == 3)


def test_delete_of_everything_says_so(tmp_path: Path) -> None:
    url = made(tmp_path, {"a": 0})
    status, text = seen_store("delete", url, "--prefix", "", typed="no\n")
    assert status == 1 and f"Delete 1 key, which is all, from {url}? [y/N]" in text


@pytest.mark.parametrize("options", [["a:1"], ["--prefix", "a:", "--yes"]])
def test_delete_that_is_told_what_does_not_ask(
    tmp_path: Path, options: list[str]
) -> None:
    url = made(tmp_path, dict.fromkeys(["a:1", "b"], 0))
    status, text = seen_store("delete", url, *options)
    assert status == 0 and "[y/N]" not in text


# Bars and pipes


SLOWLY = """
import sys, time
from cli import stand_in_stores as stand_in
from latency_kv.cli import screen
from latency_kv.__main__ import main
sys.path.insert(0, sys.argv[1])
screen.PATIENCE_S = 0
stand_in.HELD["a", "default"] = {f"{n:04}": n for n in range(1000)}
slow = lambda held, about: time.sleep(0.3)
stand_in.HOOKS.update({"b.set_many": slow, "a.get_many": slow})
sys.exit(main(["store", "copy", "stand-in://h/a", "stand-in://h/b", *sys.argv[2:]]))
"""


def test_bar_of_a_copy_shows_its_rate_and_goes_away(tmp_path: Path) -> None:
    site = str(installed(tmp_path / "site"))
    status, text = terminal.seen("-c", SLOWLY, site)
    assert status == 0
    shown, after = text.rsplit("\x1b[2K", 1)
    assert re.search(r"copying.*\d+%.* 550 entries, [\d,]+/s", shown)
    assert "copying" not in after and "copied 1,000 of 1,000" in after


def test_reader_that_stops_is_no_trouble(tmp_path: Path) -> None:
    url = made(tmp_path, dict.fromkeys((f"{n:05}{'x' * 90}" for n in range(3000)), 0))
    with piped("keys", url) as command:
        assert command.stdout and command.stderr
        assert command.stdout.readline()
        command.stdout.close()
        error = command.stderr.read()
    assert command.returncode == BROKEN_PIPE and not error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
@pytest.mark.parametrize("verb", [["keys"], ["keys", "-0"], ["get", "00000"]])
def test_output_that_cannot_be_written_is_trouble(
    tmp_path: Path, verb: list[str]
) -> None:
    url = made(tmp_path, {f"{n:05}": "x" * 9000 for n in range(2000)})
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-P", *STORE, verb[0], url, *verb[1:]],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=terminal.inherited(),
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("latency-kv: the output cannot be written: No space")
    assert done.stderr.count("\n") == 1

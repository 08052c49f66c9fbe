"""Pages: what README.md and docs/ show, run as a reader would run it.

    ```python                    run, all of a page in one session
    ```cython title="seats.pyx"  written to that file; so is any block with a title
    ```console                   each `$ ` line run in a terminal, in one shell; what it
                                 prints is compared with the lines below it, if any

In what is compared, `...` stands for anything, alone on a line for any lines.  A block
below the comment `<!-- not run: REASON -->` is only shown, one below `<!-- make check:
REASON -->` is run in `make check`.  Start at `Session`.
"""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

from fresh import PACKAGE_PARENT, TESTS

ROOT = TESTS.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

COLUMNS = 88
ROWS = 50

BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>not run|make check): [^>]+ -->\n)?"
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)

# A shell is one as long as it has its place and its variables.
SHELL = """
set -e
[ ! -e {state} ] || {{ . {state}; cd "$OLDPWD"; }}
{command}
pwd > {place}
cd . ; declare -px > {state}
"""

# What a test run may have been started with, and what decides how programs write.
PREFERENCES = {
    "PYTHONPATH",
    "FORCE_COLOR",
    "COLUMNS",
    "LINES",
    "PYTHONUNBUFFERED",
    "OLDPWD",
}


@dataclass(frozen=True)
class Block:
    """One block of a page: what is in it, and the line that it starts on."""

    mark: str
    language: str
    title: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page that say what they are written in, in their order."""
    text = page.read_text(encoding="ascii")
    return [
        Block(
            match["mark"] or "",
            match["language"],
            match["title"] or "",
            match["text"],
            text.count("\n", 0, match.start("language")) + 1,
        )
        for match in BLOCK.finditer(text)
    ]


class Session:
    """A reader at an empty folder, who types what a page shows.

    A stranger has not installed the package, and does what the page says first.
    """

    def __init__(
        self, page: Path, folder: Path, state: Path, *, stranger: bool = False
    ) -> None:
        self.folder = folder
        self._stranger = stranger
        self._page = page
        self._state = state / "shell"
        self._place = state / "place"
        self._programs = state / "bin"
        self._names: dict[str, object] = {"__name__": "__main__"}
        self._programs.mkdir(parents=True)
        # As the installed script is, also where the package is not installed.
        script = self._programs / "latency-kv"
        python = shlex.quote(sys.executable)
        call = "import sys; from latency_kv.__main__ import main; sys.exit(main())"
        script.write_text(f'#!/bin/sh\nexec {python} -P -c {shlex.quote(call)} "$@"\n')
        script.chmod(0o755)

    def run(self, block: Block) -> None:
        """Do with one block what its kind asks for."""
        if block.title:
            (self.place / block.title).write_text(block.text)
        elif block.language == "python":
            padded = "\n" * block.line + block.text
            code = compile(padded, str(self._page), "exec")
            exec(code, self._names)  # noqa: S102 - our own pages
        elif block.language == "console":
            for match in COMMAND.finditer(block.text):
                status, seen = self.typed(match[1])
                where = f"{self._page.name}: $ {match[1]}\n{seen}"
                assert status == 0, f"status {status} of {where}"
                if match[2].strip():
                    assert is_as_shown(seen, match[2]), f"not as shown: {where}"

    @property
    def place(self) -> Path:
        """The folder that the shell is in."""
        if not self._place.exists():
            return self.folder
        return Path(self._place.read_text().rstrip("\n"))

    def typed(self, command: str) -> tuple[int, str]:
        """Run a line in the shell: its status, and what comes to be seen."""
        master, terminal = pty.openpty()
        fcntl.ioctl(
            terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        )
        state, place = shlex.quote(str(self._state)), shlex.quote(str(self._place))
        script = SHELL.format(state=state, place=place, command=command)
        with subprocess.Popen(
            ["bash", "-c", script],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=self.folder,
            env=self._environment(),
            start_new_session=True,
        ) as shell:
            os.close(terminal)
            output = b""
            while piece := _read(master):
                output += piece
            os.close(master)
        return shell.returncode, output.decode().replace("\r\n", "\n")

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in os.environ.keys() - PREFERENCES}
        beside = str(Path(sys.executable).parent)
        path = [str(self._programs), beside, os.environ.get("PATH", "")]
        package = {} if self._stranger else {"PYTHONPATH": str(PACKAGE_PARENT)}
        settings = {"PATH": os.pathsep.join(path), "TERM": "xterm", "NO_COLOR": "1"}
        return kept | package | settings


def is_as_shown(seen: str, shown: str) -> bool:
    """Compare what a command printed with what a page shows of it."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "..." else f"{_wildcarded(line)}\n"
        for line in (line.rstrip() for line in shown.rstrip().splitlines())
    )
    printed = "".join(f"{line.rstrip()}\n" for line in seen.rstrip().splitlines())
    return re.fullmatch(pattern, printed) is not None


def _wildcarded(line: str) -> str:
    return ".*".join(map(re.escape, line.split("...")))


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:
        # Linux says so that the other side has ended.
        return b""

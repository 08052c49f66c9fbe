"""Terminal: a command as somebody sees it who has a terminal of 100 columns.

Start at `seen`.
"""

import fcntl
import os
import pty
import re
import struct
import sys
import termios

from fresh import PACKAGE_PARENT, TESTS

COLUMNS = 100
ROWS = 30

# What may change a terminal beyond its lines: colours, and nothing else.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

SNAPSHOT = ("-m", "latency_kv", "snapshot")
STATE = ("-m", "latency_kv", "state")


# What a test run may be started with, and what decides how its children write.
PREFERENCES = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "PYTHONUNBUFFERED"}


def inherited() -> dict[str, str]:
    """The environment of a child: this one's, with the package and no preferences."""
    kept = {name: os.environ[name] for name in os.environ.keys() - PREFERENCES}
    return kept | {"PYTHONPATH": os.pathsep.join([str(PACKAGE_PARENT), str(TESTS)])}


def seen(
    *command: str, typed: str = "", columns: int = COLUMNS, **environment: str
) -> tuple[int, str]:
    """Run `python *command` in a terminal: its status, and all that came to be seen.

    What is typed is there from the start, and seen too.
    """
    child, terminal = pty.fork()
    if not child:
        os.execve(
            sys.executable,
            [sys.executable, "-P", *command],
            {**inherited(), "TERM": "xterm", **environment},
        )
    size = struct.pack("HHHH", ROWS, columns, 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    os.write(terminal, typed.encode())
    output = b""
    while piece := _read(terminal):
        output += piece
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, output.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        # Linux says so that the other side has ended.
        return b""

"""Screen: lines of the verbs, for somebody's eyes or for a pipe.

    a terminal    columns, shortened to its width, colours unless NO_COLOR is set
    a pipe        fields between tabs, whole, as grep and cut like them
    stderr        notes, troubles, and a bar while something takes long

Bytes come here as they are and leave in a notation, messages by way of `printable`: so
nothing that was read reaches a terminal as a command to it.

Knows lines, no snapshot.  Start at `Screen`, and `verb`, which every verb is wrapped in.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from io import TextIOWrapper
from itertools import islice
from threading import Timer
from typing import Any, NamedTuple, NoReturn, ParamSpec, TypeAlias

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from latency_kv.cli.notation import ASCII_TEXT, BASE64, TEXT, Notation, printable

# Exit statuses: of all verbs, and of what a signal ended, as the shell tells of it.
TROUBLE = 2
INTERRUPTED = 128 + 2
BROKEN_PIPE = 128 + 13

# How many lines a terminal gets when no limit is given.
SCREENFUL = 50

# Work that is done sooner shows no bar.
PATIENCE_S = 1.0

# Below this a column tells nothing.
_NARROWEST = 12

# Bytes before the first difference of two values that are shown with it.
_CONTEXT = 6

# What a line may be cut behind: an escape stays whole.
_PIECE = re.compile(r"\\x[0-9a-f]{2}|\\.|.", re.DOTALL)

# No character of a notation stands for more bytes.
_LONGEST_CHARACTER = 4

_P = ParamSpec("_P")
_Tree: TypeAlias = Mapping[str, Any]


class Line(NamedTuple):
    """One entry of a listing: what became of it, its key, its values from old to new."""

    mark: str
    key: bytes
    values: tuple[bytes, ...] = ()


_STYLES = {"": "", "+": "green", "-": "red", "~": "yellow"}


class Screen:
    """Standard output, as it is when a verb begins."""

    def __init__(self, notation: Notation | None = None) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            # Only paths can have what it does not encode: see text.
            sys.stdout.reconfigure(errors="backslashreplace")
        self.terminal = sys.stdout.isatty()
        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self.text = TEXT if unicode else ASCII_TEXT
        self.notation = notation or self.text
        self._console = Console(
            highlight=False, markup=False, emoji=False, soft_wrap=True
        )
        self._styled = bool(self._console.color_system) and not self._console.no_color

    def lines(self, lines: Iterable[Line]) -> None:
        """Write entries: a screenful at a time in columns, or each as fields."""
        write = self.notation.write
        if not self.terminal:
            for mark, key, values in lines:
                fields = [*filter(None, [mark]), write(key), *map(write, values)]
                sys.stdout.write("\t".join(fields) + "\n")
            return
        remaining = iter(lines)
        while batch := list(islice(remaining, SCREENFUL)):
            self._columns(batch)

    def fields(self, rows: Iterable[tuple[str, str]]) -> None:
        """Write names and what there is to say of them."""
        for name, text in rows:
            if self.terminal:
                self._print(Text.assemble((f"{name:<12}", "bold"), text))
            else:
                sys.stdout.write(f"{name}\t{text}\n")

    def tree(self, tree: _Tree) -> None:
        """Write nested values as fields, a line for each: `keys.min <tab> 16`."""
        self.fields(_leaves(tree, self.text))

    def json(self, tree: _Tree) -> None:
        """Write one line of JSON; bytes are base64."""
        sys.stdout.write(json.dumps(tree, default=BASE64.write) + "\n")

    def status(self, status: str, *texts: str) -> None:
        """Write how something went, and about what."""
        if self.terminal:
            style = "green" if status == "OK" else "bold red"
            self._print(Text.assemble((f"{status:<7}", style), "  ".join(texts)))
        else:
            sys.stdout.write("\t".join([status, *texts]) + "\n")

    def raw(self, data: bytes) -> None:
        """Write bytes as they are; refuses where a terminal would obey them."""
        if self.terminal:
            fail("--raw writes bytes as they are: send them to a file or a pipe")
        sys.stdout.flush()
        sys.stdout.buffer.write(data)

    def whole(self, data: bytes, most: int) -> None:
        """Write bytes in one line; a terminal gets `most` of them, and a note."""
        shown = data[:most] if self.terminal else data
        sys.stdout.write(self.notation.write(shown) + "\n")
        if len(shown) < len(data):
            note(f"{most:,} of {len(data):,} bytes: --raw, or any pipe, has all")

    def shortened(self, data: bytes, columns: int, skip: int = 0) -> str:
        """Return bytes in at most so many columns; if cut, with their length told.

        If they have to be cut, then the first `skip` bytes go too.
        """
        most = _LONGEST_CHARACTER * columns
        text = self.notation.write(data[:most])
        if len(data) <= most and cell_len(text) <= columns:
            return text
        begin = "..." if skip else ""
        end = f"... {len(data):,} bytes"
        text = self.notation.write(data[skip : skip + most])
        room = columns - len(begin) - len(end)
        kept = [begin]
        for piece in _PIECE.findall(text):
            room -= cell_len(piece)
            if room < 0:
                break
            kept.append(piece)
        return "".join(kept) + end

    def _columns(self, batch: list[Line]) -> None:
        width = max(self._console.width - 1, 4 * _NARROWEST)
        most = max(len(line.values) for line in batch)
        marked = 2 if batch[0].mark else 0
        room = width - marked
        keys = [self.shortened(line.key, room // 2 if most else room) for line in batch]
        key_width = max(map(cell_len, keys))
        for line, key in zip(batch, keys, strict=True):
            padding = " " * (key_width - cell_len(key) + 2) if line.values else ""
            share = room - key_width - 2
            if len(line.values) > 1:
                share = (share - len(" -> ")) // len(line.values)
            skip = _told_apart(line.values)
            values = [self.shortened(value, share, skip) for value in line.values]
            style = _STYLES[line.mark]
            mark = f"{line.mark} " if line.mark else ""
            self._print(
                Text.assemble(
                    (mark, style), (key, style or "cyan"), padding, " -> ".join(values)
                )
            )

    def _print(self, text: Text) -> None:
        if self._styled:
            self._console.print(text)
        else:
            sys.stdout.write(f"{text.plain}\n")


def verb(function: Callable[_P, int]) -> Callable[_P, None]:
    """Make a command of a function that returns the status to exit with.

    Whoever reads our pipe may stop: that is no trouble of theirs.  An output that cannot
    be written is told like any trouble.
    """

    @wraps(function)
    def command(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            try:
                status = function(*args, **kwargs)
            except typer.Exit as end:
                status = end.exit_code
            sys.stdout.flush()
        except BrokenPipeError:
            _abandon(sys.stdout)
            status = BROKEN_PIPE
        except OSError as error:
            _abandon(sys.stdout)
            status = TROUBLE
            note(f"the output cannot be written: {error.strerror or error}")
        raise typer.Exit(status)

    return command


def fail(message: str) -> NoReturn:
    """Say what is wrong on stderr, and leave the program."""
    note(message)
    raise typer.Exit(TROUBLE)


def note(message: str) -> None:
    """Say something on stderr, in one line."""
    sys.stdout.flush()
    sys.stderr.write(f"latency-kv: {printable(message)}\n")


class _Rate(ProgressColumn):
    """How many are done, and how many a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        rate = "" if task.speed is None else f", {task.speed:,.0f}/s"
        return Text(f"{task.completed:,.0f} {self._unit}{rate}")


@contextmanager
def working(
    what: str, total: int | None = None, unit: str = ""
) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal's stderr while work takes long; yields its setter.

    Nothing may be printed meanwhile where the bar is.  Without a total it only shows
    that there is work, and for how long; with a unit, how many are done a second.
    """
    console = Console(stderr=True)
    if not (sys.stderr.isatty() and console.is_interactive):
        yield lambda done: None
        return
    columns: list[ProgressColumn] = [
        TextColumn(printable(what), markup=False),
        BarColumn(),
    ]
    if total is not None:
        columns.append(TaskProgressColumn())
    if unit:
        columns.append(_Rate(unit))
    bar = Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = bar.add_task("", total=total)
    begin = Timer(PATIENCE_S, bar.start)
    begin.daemon = True
    begin.start()
    try:
        yield lambda done: bar.update(task, completed=done)
    finally:
        begin.cancel()
        begin.join()
        bar.stop()


def count_text(count: int, one: str, many: str | None = None) -> str:
    """Return a number of things in words.

    >>> count_text(1, "key"), count_text(1200, "key"), count_text(2, "entry", "entries")
    ('1 key', '1,200 keys', '2 entries')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def bytes_text(size: int) -> str:
    """Return a size for people.

    >>> bytes_text(813), bytes_text(32_000_256)
    ('813 bytes', '32,000,256 bytes (30.5 MiB)')
    """
    text = count_text(size, "byte")
    if size < 1024:
        return text
    scaled = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        scaled /= 1024
        if scaled < 1024:
            break
    return f"{text} ({scaled:.1f} {unit})"


def age_text(age: timedelta) -> str:
    """Return an age in its largest unit.

    >>> age_text(timedelta(minutes=3)), age_text(timedelta(seconds=-90))
    ('3 minutes ago', '1 minute in the future')
    """
    seconds = abs(age) // timedelta(seconds=1)
    count, unit = seconds, "second"
    for name, size in (
        ("minute", 60),
        ("hour", 3600),
        ("day", 86_400),
        ("year", 31_557_600),
    ):
        if seconds >= size:
            count, unit = seconds // size, name
    side = "ago" if age >= timedelta() else "in the future"
    return f"{count_text(count, unit)} {side}"


def _told_apart(values: tuple[bytes, ...]) -> int:
    """How much of two values need not be shown, for they begin alike; 0 for one."""
    if len(values) < 2:
        return 0
    same, differs = 0, min(map(len, values)) + 1
    while differs - same > 1:
        middle = (same + differs) // 2
        if len({value[same:middle] for value in values}) == 1:
            same = middle
        else:
            differs = middle
    # Base64 writes three bytes at a time.
    return max(0, same - same % 3 - _CONTEXT)


def _leaves(tree: Any, notation: Notation, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping):
        for part, inner in tree.items():
            yield from _leaves(inner, notation, f"{name}.{part}" if name else part)
    elif isinstance(tree, list):
        for place, inner in enumerate(tree):
            yield from _leaves(inner, notation, f"{name}.{place}")
    elif isinstance(tree, bytes):
        yield name, notation.write(tree)
    else:
        yield name, printable(str(tree))


def _abandon(stream: Any) -> None:
    """Let what is still to be written to a stream go nowhere, its last flush too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)

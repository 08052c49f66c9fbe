"""Snapshot: `latency-kv snapshot`, the verbs that look into an image's file.

    info      what is in it                  get     one value
    verify    whether it is sound            scan    entries in key order
    diff      what two of them do not share

Exit status: 0 done; 1 unsound (verify), no such key (get), different (diff); 2 trouble,
with one line on stderr.  Nothing on disk is changed.

What there is to read comes from `source`, how it looks from `screen`.  Start at `info`.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from latency_kv import StateSnapshot
from latency_kv.cli.app import VerbCommand, new_app, whole_number
from latency_kv.cli.comparison import Change, Comparison
from latency_kv.cli.notation import BASE64, HEX, TEXT, Notation, printable
from latency_kv.cli.screen import (
    SCREENFUL,
    TROUBLE,
    Line,
    Screen,
    age_text,
    bytes_text,
    count_text,
    fail,
    note,
    verb,
    working,
)
from latency_kv.cli.source import Source, files_in, opened, reason_of
from latency_kv.cli.survey import Sizes, Survey, survey
from latency_kv.errors import SnapshotCorruptError, SnapshotError
from latency_kv.typed.keys import successor

app = new_app(
    "Look into a snapshot: a file, or a folder of checkpoints (its newest sound one).\n\n"
    "Nothing on disk is changed. Keys and values are shown as text with escapes such as "
    "\\x00, and \\\\ for a backslash; keys are given in the same way. A pipe gets fields "
    "between tabs, whole and unlimited.",
    "latency-kv snapshot info checkpoints",
)

# Where docs/snapshot-format.md has the checksum, a u64 in little-endian order.
_CHECKSUM = slice(8, 16)

# A terminal gets so many bytes of a value; a pipe gets all.
_MOST_SHOWN = 4096

# Of a first, last or frequent key a terminal shows so many columns.
_KEY_COLUMNS = 64

_MORE = "more follow: --limit N shows N, and a pipe gets all"

_MARKS = {"added": "+", "removed": "-", "changed": "~"}

_File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A snapshot's file, or a folder of checkpoints."
    ),
]
_Hex = Annotated[
    bool,
    typer.Option("--hex", help="Bytes as hex: keys that you give, and what is shown."),
]
_Base64 = Annotated[bool, typer.Option("--base64", help="Bytes as base64, likewise.")]
_Json = Annotated[
    bool, typer.Option("--json", help="A JSON object a line; bytes are base64.")
]
_Limit = Annotated[
    int | None,
    typer.Option(
        parser=whole_number(0),
        metavar="N",
        help=f"At most so many entries.  [{SCREENFUL} on a terminal, else all]",
        show_default=False,
    ),
]


@app.command(
    cls=VerbCommand, epilog="Example: latency-kv snapshot info /var/lib/op/checkpoints"
)
@verb
def info(file: _File, json: _Json = False) -> int:
    """Tell what is in a snapshot: how much, from when, keys and sizes.

    A pipe gets the fields of --json, named as there (path, file_bytes, keys.p50), one a
    line: name, tab, value.
    """
    screen = Screen()
    source = opened(file)
    with working(f"reading {source.path}", len(source.snapshot)) as progress:
        figures = survey(source.snapshot, progress)
    if json:
        screen.json(_facts(source, figures))
    elif screen.terminal:
        screen.fields(_rows(source, figures, screen))
    else:
        screen.tree(_facts(source, figures))
    return 0


@app.command(
    cls=VerbCommand,
    epilog="Example: latency-kv snapshot verify *.lkv && echo all sound",
)
@verb
def verify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Snapshots' files; of a folder, all its checkpoints.",
        ),
    ],
) -> int:
    """Check snapshots completely: OK or what is wrong, a line a file.

    Status 0: all are sound; 1: one is damaged (BAD); 2: one cannot be checked (ERROR).
    """
    screen = Screen()
    return max(_verified(file, screen) for file in files)


@app.command(
    cls=VerbCommand, epilog="Example: latency-kv snapshot get backup.lkv seat:12A"
)
@verb
def get(
    file: _File,
    key: Annotated[str, typer.Argument(metavar="KEY", help="As scan shows it.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="The value's bytes, unchanged, no line end.")
    ] = False,
    hex: _Hex = False,
    base64: _Base64 = False,
) -> int:
    """Print the value of one key.  Status 1: there is no such key."""
    screen = Screen(_notation(hex, base64))
    wanted = _read(key, screen, "KEY")
    source = opened(file)
    value = source.snapshot.get(wanted)
    if value is None:
        behind = source.snapshot.ceiling(wanted)
        hint = f"; the next one is {_brief(behind[0], screen)}" if behind else ""
        note(f"{source.path}: no key {_brief(wanted, screen)}{hint}")
        return 1
    if raw:
        screen.raw(value)
    else:
        screen.whole(value, _MOST_SHOWN)
    return 0


@app.command(
    cls=VerbCommand,
    epilog="Example: latency-kv snapshot scan backup.lkv seat: --limit 10",
)
@verb
def scan(
    file: _File,
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="PREFIX", help="Only keys that begin so.", show_default=False
        ),
    ] = "",
    start: Annotated[
        str | None, typer.Option(metavar="KEY", help="The first key, or the next one.")
    ] = None,
    stop: Annotated[
        str | None, typer.Option(metavar="KEY", help="The key to stop before.")
    ] = None,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="The last entry first.")
    ] = False,
    limit: _Limit = None,
    keys: Annotated[bool, typer.Option("--keys", help="Keys only.")] = False,
    hex: _Hex = False,
    base64: _Base64 = False,
    json: _Json = False,
) -> int:
    """List entries in key order: key, value."""
    screen = Screen(_notation(hex, base64))
    first, end = _range(
        _read(prefix, screen, "PREFIX"),
        None if start is None else _read(start, screen, "--start"),
        None if stop is None else _read(stop, screen, "--stop"),
    )
    most = _most(limit, screen)
    snapshot = opened(file).snapshot
    entries = _entries(snapshot, first, end, reverse=reverse, keys=keys)
    listed = islice(entries, most)
    if json:
        for key, *values in listed:
            screen.json({"key": key} | ({"value": values[0]} if values else {}))
    else:
        screen.lines(Line("", key, tuple(values)) for key, *values in listed)
    if screen.terminal and next(entries, None) is not None:
        note(_MORE)
    return 0


@app.command(
    cls=VerbCommand, epilog="Example: latency-kv snapshot diff yesterday.lkv today.lkv"
)
@verb
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="File or folder.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="File or folder.")],
    limit: _Limit = None,
    hex: _Hex = False,
    base64: _Base64 = False,
    json: _Json = False,
) -> int:
    """List what differs: added (+), removed (-), changed (~).

    Counts go to stderr.  Status 0: the same entries; 1: different ones.
    """
    screen = Screen(_notation(hex, base64))
    source = opened(old)
    before, after = source.snapshot, opened(new, source).snapshot
    most = _most(limit, screen)

    def write(changes: Iterator[Change]) -> None:
        if json:
            for change in changes:
                screen.json(_told(change))
        else:
            screen.lines(map(_line, changes))

    with working("comparing", len(before) + len(after)) as progress:
        comparison = Comparison(before, after, progress)
        changes = iter(comparison)
        listed = islice(changes, most)
        # Where lines and the bar would meet, lines wait.
        waiting = list(listed) if screen.terminal else []
        write(listed)
        for _ in changes:
            pass
    write(iter(waiting))
    if screen.terminal and comparison.differences > len(waiting):
        note(_MORE)
    note(
        f"{comparison.added:,} added, {comparison.removed:,} removed, "
        f"{comparison.changed:,} changed, {comparison.same:,} the same"
    )
    return 1 if comparison.differences else 0


def _verified(file: Path, screen: Screen) -> int:
    """Check one file or all checkpoints of a folder; the worst status."""
    try:
        files = files_in(file)
    except OSError as error:
        return _unchecked(file, error, screen)
    if not files:
        screen.status("ERROR", printable(str(file)), "no checkpoints in this folder")
        return TROUBLE
    worst = 0
    for path in files:
        try:
            with working(f"checking {path}"):
                snapshot = StateSnapshot.open(path)
        except SnapshotCorruptError as error:
            screen.status("BAD", printable(str(path)), printable(reason_of(error)))
            worst = max(worst, 1)
        except (OSError, SnapshotError) as error:
            worst = max(worst, _unchecked(path, error, screen))
        else:
            entries = count_text(len(snapshot), "entry", "entries")
            screen.status("OK", printable(str(path)), entries)
    return worst


def _unchecked(path: Path, error: Exception, screen: Screen) -> int:
    screen.status("ERROR", printable(str(path)), printable(reason_of(error)))
    return TROUBLE


def _facts(source: Source, figures: Survey) -> dict[str, Any]:
    """What info tells, for programs."""
    snapshot = source.snapshot
    image = memoryview(snapshot)
    first, last = snapshot.first(), snapshot.last()
    facts = {
        "path": str(source.path),
        "version": snapshot.version,
        "created": snapshot.created_at.isoformat(),
        "created_ns": snapshot.timestamp_ns,
        "entries": len(snapshot),
        "file_bytes": image.nbytes,
        "checksum": f"{int.from_bytes(image[_CHECKSUM], 'little'):016x}",
        "keys": _size_facts(figures.keys),
        "values": _size_facts(figures.values),
    }
    if first and last:
        facts |= {"first_key": first[0], "last_key": last[0]}
    return facts | {
        "prefixes": [
            {"prefix": prefix, "entries": count} for prefix, count in figures.prefixes
        ],
        "skipped": [
            {"path": str(other.path), "reason": reason_of(other.error)}
            for other in source.skipped
        ],
    }


def _size_facts(sizes: Sizes) -> dict[str, int]:
    return {
        "bytes": sizes.total,
        "min": sizes.smallest,
        "p50": sizes.median,
        "max": sizes.largest,
    }


def _rows(source: Source, figures: Survey, screen: Screen) -> Iterator[tuple[str, str]]:
    """What info tells, for people."""
    facts = _facts(source, figures)
    snapshot = source.snapshot
    created = snapshot.created_at
    age = age_text(datetime.now(UTC) - created)
    yield "file", printable(facts["path"])
    yield "format", f"version {snapshot.version}"
    yield "created", f"{created:%Y-%m-%d %H:%M:%S} UTC, {age}"
    yield "entries", f"{len(snapshot):,}"
    for name, sizes in (("keys", figures.keys), ("values", figures.values)):
        spread = f"{sizes.smallest:,}, p50 {sizes.median:,}, max {sizes.largest:,}"
        yield name, f"{bytes_text(sizes.total)}; min {spread}"
    yield "size", bytes_text(facts["file_bytes"])
    yield "checksum", f"XXH64 {facts['checksum']}, matches"
    if "first_key" in facts:
        yield "first key", _brief(facts["first_key"], screen)
        yield "last key", _brief(facts["last_key"], screen)
    name = "prefixes"
    for prefix, count in figures.prefixes:
        share = f"{count:,} ({count / len(snapshot):.0%})"
        yield name, f"{_brief(prefix, screen)}  {share}"
        name = ""


def _brief(key: bytes, screen: Screen) -> str:
    return screen.shortened(key, _KEY_COLUMNS)


def _notation(hex: bool, base64: bool) -> Notation | None:
    if hex and base64:
        fail("--hex or --base64, not both")
    return HEX if hex else BASE64 if base64 else None


def _read(text: str, screen: Screen, name: str) -> bytes:
    notation = screen.notation
    try:
        return notation.read(text)
    except ValueError as error:
        hint = ""
        if notation in (HEX, BASE64):
            with suppress(ValueError):
                hint = f"; if that is its text, give {notation.write(TEXT.read(text))}"
        fail(f"{name} '{text}': {error}{hint}")


def _most(limit: int | None, screen: Screen) -> int | None:
    if limit is None and screen.terminal:
        return SCREENFUL
    return limit


def _range(
    prefix: bytes, start: bytes | None, stop: bytes | None
) -> tuple[bytes, bytes | None]:
    """The keys that have the prefix and are within [start, stop)."""
    ends = [end for end in (successor(prefix), stop) if end is not None]
    return max(prefix, start or b""), min(ends, default=None)


def _entries(
    snapshot: StateSnapshot,
    start: bytes,
    stop: bytes | None,
    *,
    reverse: bool,
    keys: bool,
) -> Iterator[tuple[bytes, ...]]:
    if keys:
        return ((key,) for key in snapshot.range_keys(start, stop, reverse=reverse))
    return snapshot.range_scan(start, stop, reverse=reverse)


def _line(change: Change) -> Line:
    values = tuple(value for value in (change.old, change.new) if value is not None)
    return Line(_MARKS[change.kind], change.key, values)


def _told(change: Change) -> dict[str, str | bytes]:
    """A change for programs: with old, new or both."""
    told: dict[str, str | bytes] = {"change": change.kind, "key": change.key}
    if change.old is not None:
        told["old"] = change.old
    if change.new is not None:
        told["new"] = change.new
    return told

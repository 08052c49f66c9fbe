"""State screen: plugins, documents and differences, for somebody's eyes or for a pipe.

    a terminal    tables that fit it, documents in colours, a screenful of either
    a pipe        fields between tabs and JSON, whole

Everything is written printable before it comes to a line.  Knows no folder.  Start at
`StateScreen`.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from rich.cells import cell_len
from rich.text import Text

from latency_kv.cli.difference import Difference
from latency_kv.cli.json_screen import NARROWEST, JsonScreen
from latency_kv.cli.json_text import place_text, written
from latency_kv.cli.screen import Line, note
from latency_kv.cli.state_files import Finding, Health, Holding

_MORE = "more follow: --limit N shows N, and a pipe gets all"

_MARKS = {"added": "+", "removed": "-", "changed": "~"}

_STYLES = {Health.OK: "green", Health.CLEARED: "yellow"}
_BAD_STYLE = "bold red"

_GAP = "  "
_CUT = "..."

# What a name may be cut behind: an escape stays whole.
_PIECE = re.compile(r"\\x[0-9a-f]{2}|\\.|.", re.DOTALL)


class Column(NamedTuple):
    """A column of a table on a terminal; elastic ones are cut where all do not fit."""

    title: str
    right: bool = False
    elastic: bool = False


class Row(Protocol):
    """What a table has a row of, in each of its looks; cells may be a Health."""

    def facts(self) -> dict[str, Any]:
        """Return it for JSON."""
        ...

    def fields(self, screen: "StateScreen") -> list[str]:
        """Return it for a pipe, whole."""
        ...

    def cells(self, screen: "StateScreen") -> list[str]:
        """Return it for a terminal: a cell for each column, and remarks below them."""
        ...


class StateScreen(JsonScreen):
    """Standard output, for what is in a folder of documents."""

    def name(self, holding: Holding) -> str:
        """Return a plugin's name as its verbs take it; the stem of an unknown one."""
        if holding.name is None:
            return f"?{holding.stem}"
        return self.text.write(holding.name.encode())

    def table(
        self, columns: Sequence[Column], rows: Sequence[Row], *, json: bool = False
    ) -> None:
        """Write rows as JSON, as fields, or in columns that fit the terminal."""
        listed = rows[: self.most]
        if json:
            for row in listed:
                self.json(row.facts())
        elif not self.terminal:
            for row in listed:
                self.line("\t".join(row.fields(self)))
        elif listed:
            self._columned(columns, [row.cells(self) for row in listed])
        if self.terminal and len(listed) < len(rows):
            note(_MORE)

    def document(self, finding: Finding) -> None:
        """Write a document as JSON, a member a line."""
        if self.indented(_document(finding)) and self.terminal:
            note(_MORE)

    def document_json(self, finding: Finding) -> None:
        """Write a document as one line of JSON."""
        self.line(written(_document(finding), only_ascii=True))

    def differences(self, found: Sequence[Difference], *, json: bool = False) -> None:
        """Write what differs: its mark, its place, its values as JSON."""
        listed = found[: self.most]
        if json:
            for difference in listed:
                self.line(written(_told(difference), only_ascii=True))
        else:
            self.lines(map(self._line, listed))
        if self.terminal and len(listed) < len(found):
            note(_MORE)

    def _line(self, difference: Difference) -> Line:
        kind, place, old, new = difference
        values = [
            *([old] if kind != "added" else []),
            *([new] if kind != "removed" else []),
        ]
        return Line(
            _MARKS[kind],
            place_text(place, only_ascii=self.only_ascii).encode(),
            tuple(
                written(value, only_ascii=self.only_ascii).encode() for value in values
            ),
        )

    def _columned(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str]]
    ) -> None:
        widths = self._widths(columns, rows)
        self._row([column.title for column in columns], columns, widths, "bold")
        for row in rows:
            self._row(row[: len(columns)], columns, widths, "")
            for remark in filter(None, row[len(columns) :]):
                self._print(Text(_GAP + cut(remark, self.width - len(_GAP))))

    def _widths(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str]]
    ) -> list[int]:
        widths = [
            max(map(cell_len, [column.title, *(row[place] for row in rows)]))
            for place, column in enumerate(columns)
        ]
        elastic = [place for place, column in enumerate(columns) if column.elastic]
        fixed = sum(widths) - sum(widths[place] for place in elastic)
        room = self.width - fixed - len(_GAP) * (len(columns) - 1)
        for before, place in enumerate(elastic):
            share = max(room // (len(elastic) - before), NARROWEST)
            widths[place] = min(widths[place], share)
            room -= widths[place]
        return widths

    def _row(
        self,
        row: Sequence[str],
        columns: Sequence[Column],
        widths: Sequence[int],
        style: str,
    ) -> None:
        parts: list[tuple[str, str]] = []
        for cell, column, width in zip(row, columns, widths, strict=True):
            shown = cut(cell, width) if column.elastic else cell
            padding = " " * (width - cell_len(shown))
            look = style
            if isinstance(cell, Health):
                look = _STYLES.get(cell, _BAD_STYLE)
            parts.append((padding + shown if column.right else shown, look))
            parts.append((_GAP if column.right else padding + _GAP, ""))
        text = Text.assemble(*parts)
        text.rstrip()
        self._print(text)


def cut(text: str, columns: int) -> str:
    r"""Return a text in at most so many columns, and no piece of an escape.

    >>> cut("clock", 5), cut(r"clock\x1b[2J", 9)
    ('clock', 'clock...')
    """
    if cell_len(text) <= columns:
        return text
    room = columns - len(_CUT)
    kept = []
    for piece in _PIECE.findall(text):
        room -= cell_len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + _CUT


def iso(moment: datetime) -> str:
    """Return a time as documents have it."""
    naive = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{naive.isoformat(timespec='milliseconds')}Z"


def _document(finding: Finding) -> dict[str, Any]:
    state = finding.document
    return {
        "version": state.version,
        "data": state.data,
        "metadata": {
            "lastModified": iso(state.metadata.last_modified),
            "pluginName": state.metadata.plugin_name,
        },
    }


def _told(difference: Difference) -> dict[str, Any]:
    """A difference for programs: with old, new or both, and the path as for getpath."""
    kind, place, old, new = difference
    told: dict[str, Any] = {"change": kind, "path": list(place)}
    if kind != "added":
        told["old"] = old
    if kind != "removed":
        told["new"] = new
    return told

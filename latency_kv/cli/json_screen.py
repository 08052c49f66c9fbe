"""JSON screen: JSON values, for somebody's eyes or for a pipe.

    a terminal    a member a line, in colours, a screenful of what fits it
    a pipe        JSON, whole

Everything is written printable before it comes to a line.  Knows neither where values
come from nor what they mean.  Start at `JsonScreen`.
"""

import re
import sys
from typing import Any

from rich.text import Text

from latency_kv.cli.json_text import WRITTEN, pretty
from latency_kv.cli.notation import ASCII_TEXT
from latency_kv.cli.screen import SCREENFUL, Screen

# Of columns that have to be cut: less tells nothing.
NARROWEST = 12

_MEMBER = re.compile(r'( *)("(?:[^"\\]|\\.)*")(: .*)')


class JsonScreen(Screen):
    """Standard output, for JSON values; at most `most` lines of what has many."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(WRITTEN)
        self.only_ascii = self.text is ASCII_TEXT
        self.most = SCREENFUL if limit is None and self.terminal else limit

    def indented(self, value: Any, columns: int | None = None) -> bool:
        """Write a value, a member a line; return whether a line was left out.

        A terminal gets so many columns of a line, those that it has if None is said.
        """
        lines = pretty(value, only_ascii=self.only_ascii)
        for line in lines[: self.most]:
            if not self.terminal:
                self.line(line)
                continue
            shown = self.shortened(line.encode(), columns or self.width)
            member = _MEMBER.fullmatch(shown)
            if member:
                indent, key, text = member.groups()
                self._print(Text.assemble(indent, (key, "cyan"), text))
            else:
                self._print(Text(shown))
        return self.most is not None and len(lines) > self.most

    def line(self, line: str) -> None:
        """Write a line that is printable already."""
        sys.stdout.write(f"{line}\n")

    @property
    def width(self) -> int:
        """How many columns of the terminal a line may have."""
        return max(self._console.width - 1, 4 * NARROWEST)

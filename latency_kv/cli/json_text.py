r"""JSON text: values of strangers as JSON that any terminal may see.

What is not printable is escaped as JSON has it, so what a pipe gets is JSON still: one
line, or the lines of `pretty`.  Places are written as jq takes them: `.data.users[3]`,
`.data["a b"]`.

Knows JSON values, no terminal.  Start at `written`.
"""

import json
import re
from typing import Any

from latency_kv.cli.difference import Place
from latency_kv.cli.notation import Notation

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# In JSON all of these stand within strings, where json.dumps leaves most as they are.
_NOT_ASCII = re.compile(r"[^ -~]")


def written(value: Any, *, only_ascii: bool = False) -> str:
    r"""Return a value in one line of printable JSON.

    >>> print(written({"alarm": "\x9b2J\u202e", "n": [1.0, None]}))
    {"alarm": "\u009b2J\u202e", "n": [1.0, null]}
    """
    return _escaped(json.dumps(value, ensure_ascii=only_ascii))


def compact(value: Any, *, only_ascii: bool = False) -> str:
    """Return a value in one line of printable JSON, without blanks.

    >>> print(compact({"seats": [12, 13]}))
    {"seats":[12,13]}
    """
    text = json.dumps(value, ensure_ascii=only_ascii, separators=(",", ":"))
    return _escaped(text)


def pretty(value: Any, *, only_ascii: bool = False) -> list[str]:
    """Return the lines of a value, its members indented."""
    text = json.dumps(value, ensure_ascii=only_ascii, indent=2)
    return [_escaped(line) for line in text.split("\n")]


def place_text(place: Place, *, only_ascii: bool = False) -> str:
    """Return the way to a value, as jq takes it.

    >>> print(place_text(("data", "seat 12", 3, "taken")), place_text(()))
    .data["seat 12"][3].taken .
    """
    parts = []
    for step in place:
        if isinstance(step, str) and _IDENTIFIER.fullmatch(step):
            parts.append(f".{step}")
        else:
            parts.append(f"[{written(step, only_ascii=only_ascii)}]")
    text = "".join(parts)
    return text if text.startswith(".") else f".{text}"


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return _NOT_ASCII.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return char if char.isprintable() else json.dumps(char)[1:-1]


# What is written already; a terminal may have cut it within a character.
WRITTEN = Notation(lambda data: data.decode("utf-8", "ignore"), str.encode)

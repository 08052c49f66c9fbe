"""Disk: what lies in a state directory, read as any other program would.

Without the package that wrote it: a document is a file of JSON.  Start at `files_in`.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

# Enough to see where a damaged file breaks off.
_END = 40


class File(NamedTuple):
    """A file of a plugin's, and what is in it."""

    name: str
    content: bytes
    version: int | None  # None where it is no JSON any more
    text: str


def files_in(state_dir: Path) -> list[File]:
    """Return each plugin's document, then what was set aside, then its backups."""
    paths = [path for path in state_dir.iterdir() if path.is_file()]
    # NAME.json, NAME.corrupt-1.json, NAME.backup.1.json
    paths.sort(
        key=lambda path: (path.name.split(".")[0], len(path.suffixes), path.name)
    )
    return [_file(path) for path in paths]


def document(path: Path) -> Any:
    """Return the whole document in a file: version, data and metadata."""
    return json.loads(path.read_bytes())


def _file(path: Path) -> File:
    content = path.read_bytes()
    try:
        found = json.loads(content)
    except ValueError:
        end = content.decode(errors="replace")[-_END:]
        return File(path.name, content, None, f"breaks off after ...{end!r}")
    return File(path.name, content, found["version"], json.dumps(found["data"]))

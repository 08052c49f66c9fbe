"""Hooks: what mkdocs has to be told of pages that are read in the repository too.

    index.md                      README.md, moved into docs/
    reference/command-line.md     each command's --help, as it is printed
    a link to a file elsewhere    its name alone: the site has no such file

Start at `on_files`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files

from latency_kv.__main__ import main

ROOT = Path(__file__).parents[2]
COMMANDS = "<!-- each command's --help -->"
APPS = ("snapshot", "state", "store", "facets", "bench")
COLUMNS = 88

# [text](target), and ![text](target) for a picture.
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)

log = get_plugin_logger("hooks")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make README the first page."""
    text = moved((ROOT / "README.md").read_text(), Path("."), Path("docs"))
    files.append(File.generated(config, "index.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **others: Any) -> str:
    """Write what a page leaves to the build, and mend its links."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, "\n".join(helps()))
    folder = Path("docs", page.file.src_uri).parent
    parts = FENCED.split(markdown)
    parts[::2] = [LINK.sub(lambda m: _within(m, folder), part) for part in parts[::2]]
    return "".join(parts)


def moved(markdown: str, before: Path, after: Path) -> str:
    """Let the links of a page lead where they led, from another folder."""

    def link(match: re.Match[str]) -> str:
        target = os.path.relpath(before / match[3], after)
        return f"{match[1]}[{match[2]}]({target}{match[4] or ''})"

    parts = FENCED.split(markdown)
    parts[::2] = [LINK.sub(link, part) for part in parts[::2]]
    return "".join(parts)


def _within(match: re.Match[str], folder: Path) -> str:
    """Take the link from what is not in docs/, and is there."""
    target = os.path.normpath(folder / match[3])
    if target == "README.md":
        back = os.path.relpath("docs/index.md", folder)
        return f"{match[1]}[{match[2]}]({back}{match[4] or ''})"
    if target.startswith("docs/"):
        return match[0]
    if not (ROOT / target).exists():
        log.warning(f"{folder}: there is no {target}")
    is_code = match[2].startswith("`")
    return match[2] if is_code else f'<span title="{target}">{match[2]}</span>'


def helps() -> Iterator[str]:
    """Yield each command's help, below a heading."""
    yield f"```text\n{_help()}```\n"
    for app in APPS:
        yield f"## {app}\n\n```text\n{_help(app)}```\n"
        if app == "bench":
            continue
        module = import_module(f"latency_kv.cli.{app}")
        names = [command.name for command in module.app.registered_commands]
        if len(names) > 1:
            for command in module.app.registered_commands:
                name = command.name or command.callback.__name__
                yield f"### {app} {name}\n\n```text\n{_help(app, name)}```\n"


def _help(*command: str) -> str:
    output = StringIO()
    settings = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1", "TERM": "dumb"}
    with patch.dict(os.environ, settings), redirect_stdout(output):
        try:
            main([*command, "--help"])
        except SystemExit:
            pass
    return output.getvalue()

"""Lint: ruff and cython-lint have nothing to say, and every file says what it is."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fresh import TESTS

ROOT = TESTS.parent
FOLDERS = ["latency_kv", "tests", "bench", "examples", "docs"]
SOURCES = sorted(
    path
    for folder in FOLDERS
    for suffix in ("py", "pyx", "pxd")
    for path in (ROOT / folder).rglob(f"*.{suffix}")
    if "build" not in path.parts
)

# cython-lint looks for pycodestyle beside the interpreter, which need not be on PATH.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

# Cython's own directives may stand above the docstring.
DIRECTIVES = re.compile(r"(?:# cython:.*\n)*")


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "--exclude=*.md", "."],
        ["cython_lint.cython_lint", "latency_kv", "examples"],
    ],
    ids=["ruff check", "ruff format", "cython-lint"],
)
def test_linter_is_silent(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_ascii_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    if not text:
        return
    if path.suffix == ".py":
        assert ast.get_docstring(ast.parse(text)), "no module docstring"
    else:
        assert DIRECTIVES.sub("", text, 1).startswith('"""'), "no module docstring"

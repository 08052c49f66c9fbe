"""Variants: the same tests against builds in which everything happens early.

The tiny build has pages, nodes and slabs of a few entries and a hash whose secret is
known, so splits, merges, copies and crafted keys come every few operations. It is built
when it is older than its sources. Start at `test_tests_pass_with_tiny_pages`.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from fresh import TESTS
from latency_kv.core.reader import BUILD as NAME_OF_BUILD

ROOT = TESTS.parent
SOURCES = [
    ROOT / "setup.py",
    *(ROOT / "latency_kv").rglob("*.py"),
    *(ROOT / "latency_kv").rglob("*.pyx"),
    *(ROOT / "latency_kv").rglob("*.pxd"),
]
BUILD = ROOT / "build"
# Another interpreter's build may lie beside this one's.
COMPILED = f"*{sysconfig.get_config_var('EXT_SUFFIX')}"

# Everything that looks at contents; what looks at figures knows the shipped build alone.
FILES = [
    "model",
    "stateful",
    "scans",
    "writes",
    "snapshots",
    "reentrancy",
    "threads",
    "nomemory",
    "crafted_keys",
    "images",
    "image_reads",
    "encoding",
    "restoring",
    "overlap",
]
pytestmark = pytest.mark.skipif(
    NAME_OF_BUILD != "release", reason="runs within a variant already"
)


def built(variant: str) -> Path:
    """The folder of a variant's build, made if it is not there or not current."""
    folder = BUILD / variant
    compiled = [path.stat().st_mtime for path in folder.rglob(COMPILED)]
    if not compiled or min(compiled) < max(path.stat().st_mtime for path in SOURCES):
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext"],
            cwd=ROOT,
            env={**os.environ, "LATENCY_KV_VARIANT": variant},
            check=True,
        )
        for path in folder.rglob(COMPILED):
            path.touch()
    return folder


def run_within(variant: str) -> None:
    files = [str(TESTS / "core" / f"test_{name}.py") for name in FILES]
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    paths = os.pathsep.join([str(built(variant)), str(TESTS)])
    done = subprocess.run(
        [*command, *files],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "LATENCY_KV_SECRET_IS_KNOWN": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{variant}:\n{done.stdout}{done.stderr}"


def test_tests_pass_with_tiny_pages() -> None:
    run_within("tiny")


def test_tests_pass_without_vector_instructions() -> None:
    """Pages of the shipped size, under a known secret."""
    run_within("seeded+portable")

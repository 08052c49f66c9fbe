"""Types: both checkers are silent, infer what they should, and the stubs are true."""

import subprocess
import sys
from pathlib import Path

import pytest

from checkers import Checker, differences, mypy, pyright
from fresh import TESTS, run_fresh

ROOT = TESTS.parent
PACKAGE = ROOT / "latency_kv"

# The operator of the bench is compiled where a row asks for it.
COMPILED = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in PACKAGE.rglob("*.pyx")
    if path.parent != PACKAGE / "bench"
)

# What Cython gives every module for cimport; no stub has it.
CYTHON_OWN = r"latency_kv\.core\.\w+\.__pyx_capi__"

# A method from 3.12 on; before, only C sees that a class has a buffer.
BUFFER = r"latency_kv\.core\.\w+\.\w+\.__buffer__"


def test_package_is_strictly_typed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "latency_kv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_is_silent() -> None:
    remarks = [str(remark) for remark in pyright([PACKAGE])]
    assert not remarks, "\n".join(remarks)


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_checker_infers_what_the_comments_say(checker: Checker) -> None:
    found = differences(sorted((TESTS / "inferred").glob("*.py")), checker)
    assert not found, "\n".join(found)


def test_stubs_agree_with_the_compiled_modules(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text(f"{CYTHON_OWN}\n{BUFFER}\n")
    options = ["--concise", "--ignore-unused-allowlist", f"--allowlist={allowed}"]
    options += [f"--mypy-config-file={ROOT / 'pyproject.toml'}"]
    run_fresh("-m", "mypy.stubtest", *options, *COMPILED)

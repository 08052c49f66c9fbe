"""Types: the package is strict, and the stubs of the compiled modules tell the truth."""

import subprocess
import sys
from pathlib import Path

from fresh import TESTS, run_fresh

ROOT = TESTS.parent
COMPILED = sorted(
    f"latency_kv.core.{path.stem}" for path in (ROOT / "latency_kv/core").glob("*.pyx")
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


def test_stubs_agree_with_the_compiled_modules(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text(f"{CYTHON_OWN}\n{BUFFER}\n")
    options = ["--concise", "--ignore-unused-allowlist", f"--allowlist={allowed}"]
    run_fresh("-m", "mypy.stubtest", *options, *COMPILED)

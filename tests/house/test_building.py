"""Building: what is told where the sources are not compiled, or cannot be."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fresh import TESTS

ROOT = TESTS.parent

# setup.py as a build runs it, with one module of C instead of its own.
BUILD = """
import runpy, sys
import Cython.Build, setuptools
def cythonize(*arguments, **options):
    return [setuptools.Extension("seats", ["seats.c"])]
Cython.Build.cythonize = cythonize
sys.argv = ["setup.py", "build_ext"]
runpy.run_path({path!r}, run_name="__main__")
"""


def imported(sources: Path) -> str:
    """Import the package from its sources, and return what that says; it has to fail."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import latency_kv"],
        cwd=sources,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The front door and the core's, as a clone has them before it is compiled."""
    (tmp_path / "latency_kv" / "core").mkdir(parents=True)
    for name in ("__init__.py", "core/__init__.py"):
        shutil.copy(ROOT / "latency_kv" / name, tmp_path / "latency_kv" / name)
    return tmp_path


def test_sources_that_are_not_compiled_say_so(sources: Path) -> None:
    *_, last = imported(sources).splitlines()
    assert last == (
        "ImportError: latency_kv is imported from its sources in "
        f"{sources / 'latency_kv'}, which are not compiled for this Python: start "
        "Python in another folder, or run `pip install -e .` beside them"
    )


def test_error_of_sources_that_are_not_compiled_is_alone(sources: Path) -> None:
    assert imported(sources).count("Traceback") == 1


def test_other_module_that_is_missing_is_told_as_it_is(sources: Path) -> None:
    (sources / "latency_kv" / "core" / "snapshot.py").write_text("import nosuch\n")
    *_, last = imported(sources).splitlines()
    assert last == "ModuleNotFoundError: No module named 'nosuch'"


def test_missing_compiler_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    monkeypatch.setenv("CC", "nosuchcc")
    monkeypatch.delenv("LATENCY_KV_VARIANT", raising=False)
    (tmp_path / "seats.c").touch()
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(path=str(ROOT / "setup.py"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last.startswith("a C compiler is needed, and there is no nosuchcc: ")

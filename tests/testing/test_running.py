"""Running: a contract as its users meet it, in a project of their own.

Start at `test_failing_rule_is_explained`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fresh import TESTS, run_fresh
from latency_kv import testing

PROVIDER = """
import pytest
from latency_kv.testing import StateStoreContract


class Notes:
    def __init__(self):
        self.notes = {}

    async def get(self, key, default=None, /):
        return self.notes.get(key, default)

    async def set(self, key, value, /):
        self.notes[key] = value

    async def delete(self, key, /):
        return self.notes.pop(key, self) is not self

    async def has(self, key, /):
        return key in self.notes

    async def keys(self, prefix=""):
        return [key for key in self.notes if key.startswith(prefix)]


class TestNotes(StateStoreContract):
    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"

    @pytest.fixture
    async def provider(self):
        yield Notes()
"""


def run_tests(folder: Path, source: str, *options: str) -> tuple[int, str]:
    """Run a file of tests in a project of its own; its exit and its output."""
    folder.joinpath("test_notes.py").write_text(source)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--color=no",
            *options,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package as this process has it, and none of its own settings."""
    root = Path(testing.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    tmp_path.joinpath("pytest.ini").write_text("[pytest]\n")


def test_failing_rule_is_explained(tmp_path: Path) -> None:
    """The rule's name, and what was compared; once, for the backend that was chosen."""
    code, output = run_tests(tmp_path, PROVIDER)
    assert code == pytest.ExitCode.TESTS_FAILED, output
    assert "3 failed, 15 passed, 23 skipped" in output
    assert "TestNotes::test_what_get_returns_is_not_shared" in output
    assert "assert {'inner': [1, 2]} == {'inner': [1]}" in output
    assert "trio" not in output


def test_provider_that_keeps_the_contract_passes(tmp_path: Path) -> None:
    kept = PROVIDER.replace("= value", "= copy.deepcopy(value)").replace(
        "self.notes.get(key, default)",
        "copy.deepcopy(self.notes[key]) if key in self.notes else default",
    )
    code, output = run_tests(tmp_path, f"import copy\n{kept}")
    assert code == pytest.ExitCode.OK, output


def test_provider_of_the_page_keeps_its_contract(tmp_path: Path) -> None:
    page = (TESTS.parent / "docs/write-a-provider.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    code, output = run_tests(tmp_path, "\n".join(blocks))
    assert code == pytest.ExitCode.OK, output
    assert " passed" in output


def test_contract_says_what_has_to_be_overridden(tmp_path: Path) -> None:
    names = [name for name in testing.__all__ if name.endswith("Contract")]
    source = "\n".join(f"class Test{name}(testing.{name}): pass" for name in names)
    source = f"from latency_kv import testing\n{source}\n"
    code, output = run_tests(tmp_path, source, "-k", "test_provider_is")
    assert code == pytest.ExitCode.TESTS_FAILED, output
    assert " passed" not in output
    for name in names:
        assert f"Test{name} has to override `provider`" in output


def test_missing_pytest_is_told() -> None:
    run_fresh(
        "-c",
        "import sys; sys.modules['pytest'] = None\n"
        "try:\n    import latency_kv.testing\n"
        "except ImportError as error:\n"
        "    assert \"pip install 'latency-kv[testing]'\" in str(error)\n"
        "else:\n    raise AssertionError('it was imported')",
    )

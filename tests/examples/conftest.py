"""What the tests of the examples share: sources on the path, the operator, the flights.

Start at `compiled`.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

sys.path.insert(0, str(EXAMPLES))

from flights.data import Flight, FlightsMissingError, flights_path, read_flights


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Build flights.compiled outside the package, as users build their operators."""
    build = tmp_path_factory.mktemp("flights")
    done = subprocess.run(
        [
            *(sys.executable, "setup.py", "build", "--force"),
            *("--build-base", build / "base", "--build-lib", build / "library"),
        ],
        check=False,
        cwd=EXAMPLES / "flights",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (build / "library" / "flights").glob("compiled*.so")
    spec = importlib.util.spec_from_file_location("flights.compiled", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def built(compiled: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process, and those that a test starts, import the built operator."""
    assert compiled.__file__ is not None
    monkeypatch.setitem(sys.modules, "flights.compiled", compiled)
    monkeypatch.syspath_prepend(Path(compiled.__file__).parents[1])


@pytest.fixture(scope="session")
def path() -> Path:
    try:
        return flights_path()
    except FlightsMissingError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def flights(path: Path) -> list[Flight]:
    return read_flights(path)

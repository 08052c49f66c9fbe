"""Consumer: an operator compiled outside the package, against the installed package.

What an author does: install, `cimport latency_kv`, compile with `get_include()`, run. The
package is built from a copy of its sources, as from a clone, and installed into a
folder of its own; LATENCY_KV_WHEEL names a wheel to take instead. Start at `OPERATOR`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fresh import TESTS

ROOT = TESTS.parent
PIP = ["-m", "pip", "--quiet"]
ALONE = ["--no-deps", "--no-index"]
SHIPPED = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "latency_kv"]

OPERATOR = '''
"""Counts events in windows: every call that a header of the package offers."""

from latency_kv cimport Cursor, InMemoryStore, StateSnapshot, cursor_next


cdef class Counter:
    cdef readonly InMemoryStore store

    def __init__(self, InMemoryStore store):
        self.store = store

    def count(self, bytes key):
        cdef const char* value
        cdef Py_ssize_t size = 0
        cdef const char* data = key
        cdef Py_ssize_t length = len(key)
        cdef bint known
        cdef char total
        with nogil:
            known = self.store.c_contains(data, length)
            value = self.store.find(data, length, &size)
            total = value[0] + 1 if value != NULL else 1
        assert known == (value != NULL)
        assert not known or size == 1
        self.store.c_put(data, length, &total, 1)
        return total

    def forget(self, bytes key):
        return self.store.c_delete(key, len(key))

    def prune(self, bytes stop):
        return self.store.c_delete_range(NULL, 0, stop, len(stop))

    def prefix(self, bytes prefix, bint reverse):
        cdef Cursor cursor
        entries = []
        self.store.open_prefix(&cursor, prefix, len(prefix), reverse)
        try:
            while cursor_next(&cursor):
                key = cursor.key[:cursor.key_size]
                entries.append((key, cursor.value[:cursor.value_size]))
                self.store.c_delete(key, len(key))
        finally:
            self.store.close_cursor(&cursor)
        return entries

    def total(self, bytes start, bytes stop):
        cdef Cursor cursor
        cdef Py_ssize_t total = 0
        self.store.open_range(&cursor, start, len(start), stop, len(stop))
        try:
            with nogil:
                while cursor_next(&cursor):
                    total += cursor.value[0]
        finally:
            self.store.close_cursor(&cursor)
        return total


def read(StateSnapshot snapshot, bytes key):
    cdef Py_ssize_t size = 0
    cdef const char* value = snapshot.find(key, len(key), &size)
    return None if value == NULL else value[:size]


def read_many(StateSnapshot snapshot, bytes keys, Py_ssize_t key_size):
    cdef const char* values[100]
    cdef Py_ssize_t sizes[100]
    cdef Py_ssize_t count = len(keys) // key_size, found_count
    cdef const char* data = keys
    assert count <= 100
    with nogil:
        found_count = snapshot.find_many(data, key_size, count, values, sizes)
    found = [
        None if values[row] == NULL else values[row][:sizes[row]] for row in range(count)
    ]
    return found, found_count


def oversized(InMemoryStore store):
    store.c_put("key", 70_000, "", 0)
'''

PROGRAM = """
import sys
import threading
import time

from latency_kv import InMemoryStore, StateSnapshot
from operator_of_mine import Counter, oversized, read, read_many

many = InMemoryStore({b"%03d" % n: b"v" * n for n in range(0, 100, 2)})
expected = [b"v" * n if n % 2 == 0 else None for n in range(100)]
asked = b"".join(b"%03d" % n for n in range(100))
for snapshot in (many.snapshot(), StateSnapshot.from_bytes(many.snapshot().to_bytes())):
    assert read_many(snapshot, asked, 3) == (expected, 50)
    assert read_many(snapshot, asked[:96], 3) == (expected[:32], 16)
    assert read_many(snapshot, b"", 3) == ([], 0)

store = InMemoryStore()
counter = Counter(store)
for number in range(1_000):
    assert counter.count(b"a/%03d" % (number % 100)) == number // 100 + 1
assert len(store) == 100
snapshot = store.snapshot()
assert counter.total(b"a/000", b"a/010") == 100
assert counter.forget(b"a/099") == 1
assert counter.forget(b"a/099") == 0
assert counter.prune(b"a/050") == 50
assert list(store) == [b"a/%03d" % number for number in range(50, 99)]
entries = list(store.items())
assert counter.prefix(b"a/0", True) == entries[::-1]
assert store.is_empty()
store.check()
assert read(snapshot, b"a/099") == b"\\x0a"
assert read(snapshot, b"b") is None
try:
    oversized(store)
except ValueError:
    pass
else:
    raise AssertionError("a key of 70,000 bytes was put")
assert store.stats().open_scans == 0

# Stepped without the GIL, beside a writer, who has it only then and when it is asked for.
many = Counter(InMemoryStore({b"%06d" % n: bytes([1]) for n in range(200_000)}))
written, stop = 0, threading.Event()

def write():
    global written
    while not stop.is_set():
        for _ in range(20):
            many.store.put(b"%06d" % (199_999 - written), bytes([2]))
            many.store.delete(b"1%05d" % written)
            many.store.put(b"1%05d" % written, bytes([1]))
            written += 1
        time.sleep(0)

sys.setswitchinterval(1000)
writer = threading.Thread(target=write, daemon=True)
writer.start()
overlapped = 0
while overlapped < 1_000:
    before = written
    assert many.total(b"", b"~") == 200_000 + before
    overlapped += written - before
stop.set()
writer.join()
"""

SETUP = """
import latency_kv
from Cython.Build import cythonize
from setuptools import Extension, setup

include = latency_kv.get_include()
assert type(include) is str
extension = Extension("operator_of_mine", ["operator_of_mine.pyx"], [include])
setup(ext_modules=cythonize([extension], include_path=[include], language_level=3))
"""


def run(command: list[str], folder: Path, site: Path | None = None) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment.pop("PYTHONPATH", None)
    environment.pop("LATENCY_KV_VARIANT", None)
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed in it, from a wheel."""
    folder = tmp_path_factory.mktemp("installed")
    site = folder / "site"
    given = os.environ.get("LATENCY_KV_WHEEL")
    wheel = Path(given) if given else built_wheel(folder)
    run([*PIP, "install", *ALONE, "--target", str(site), str(wheel)], folder)
    return site


def built_wheel(folder: Path) -> Path:
    source, wheels = folder / "source", folder / "wheels"
    source.mkdir()
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    run([*PIP, "wheel", *ALONE, "--no-build-isolation", "-w", str(wheels), "."], source)
    return next(wheels.glob("*.whl"))


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "__init__.pxd",
        "core/__init__.pxd",
        "core/store.pxd",
        "core/store.pyi",
        "core/cursor.pxd",
    ],
)
def test_wheel_ships_what_operators_compile_against(site: Path, name: str) -> None:
    assert (site / "latency_kv" / name).exists()


def test_wheel_ships_no_sources_of_the_build(site: Path) -> None:
    files = {path.suffix for path in (site / "latency_kv").rglob("*") if path.is_file()}
    assert ".c" not in files
    assert not (site / "tests").exists()


def build(folder: Path, site: Path) -> None:
    (folder / "operator_of_mine.pyx").write_text(OPERATOR)
    (folder / "setup.py").write_text(SETUP)
    run(["setup.py", "-q", "build_ext", "--inplace"], folder, site)


def test_operator_compiled_elsewhere_runs(site: Path, tmp_path: Path) -> None:
    build(tmp_path, site)
    (tmp_path / "program.py").write_text(PROGRAM)
    run(["-W", "error", "program.py"], tmp_path, site)


def test_operator_compiled_against_another_layout_is_refused(
    site: Path, tmp_path: Path
) -> None:
    other, folder = tmp_path / "other", tmp_path / "operator"
    folder.mkdir()
    shutil.copytree(site, other)
    header = other / "latency_kv/core/reader.pxd"
    header.write_text(re.sub(r"\blayout_\d+", "layout_0", header.read_text()))
    build(folder, other)
    with pytest.raises(AssertionError, match=r"ImportError.*layout_0"):
        run(["-c", "import operator_of_mine"], folder, site)

"""Sanitize: the engine's tests under the sanitizers of the C compiler.

    python -P tests/sanitize.py [variant ...]

Under AddressSanitizer and UndefinedBehaviorSanitizer all of tests/core runs, with all of
Python on the system's allocator, so that no pool hides an overrun; the arena poisons the
blocks that it has back.  Under ThreadSanitizer run the tests in which threads overlap.
A report makes the status 99.
"""

import os
import subprocess
import sys

from core.test_variants import BUILD, built
from fresh import TESTS

# Ordinary sizes, and those at which everything splits early.
VARIANTS = ["address", "tiny+address", "thread", "tiny+thread"]

# Figures of memory mean nothing here, and a consumer is built without the sanitizers.
LEFT_OUT = ["leaks", "consumer", "variants"]

# What a race needs: threads that are inside the engine at the same time.
OVERLAPPING = ["overlap", "threads"]


def library(name: str) -> str:
    """The path of one of gcc's runtime libraries."""
    asked = ["gcc", f"-print-file-name={name}"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True)
    return said.stdout.strip()


def under_address() -> tuple[dict[str, str], list[str]]:
    """The environment and the tests for a build with AddressSanitizer."""
    ignored = [f"--ignore={TESTS}/core/test_{name}.py" for name in LEFT_OUT]
    settings = {
        "PYTHONMALLOC": "malloc",
        # Leaks are the slopes' matter: Python itself leaves much behind at its end.
        "ASAN_OPTIONS": "detect_leaks=0:exitcode=99:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
        "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
    }
    return settings, [*ignored, str(TESTS / "core")]


def under_thread() -> tuple[dict[str, str], list[str]]:
    """The same for ThreadSanitizer, whose reports are seen without pytest's capture."""
    settings = {
        "TSAN_OPTIONS": "exitcode=99",
        "LD_PRELOAD": library("libtsan.so"),
    }
    return settings, ["-s", *(f"{TESTS}/core/test_{name}.py" for name in OVERLAPPING)]


def sanitize(variant: str) -> int:
    """Run the tests within a variant and return pytest's status, or a sanitizer's."""
    print(f"{variant}: building", flush=True)
    folder = built(variant)
    settings, tests = (under_thread if "thread" in variant else under_address)()
    settings["PYTHONPATH"] = os.pathsep.join([str(folder), str(TESTS)])
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *tests],
        cwd=BUILD.parent,
        env={**os.environ, **settings},
        check=False,
    ).returncode


if __name__ == "__main__":
    failed = [variant for variant in sys.argv[1:] or VARIANTS if sanitize(variant)]
    sys.exit(f"reports or failures in: {', '.join(failed)}" if failed else 0)

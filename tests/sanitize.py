"""Sanitize: the engine's tests under AddressSanitizer and UndefinedBehaviorSanitizer.

    python -P tests/sanitize.py [variant ...]

Builds each variant with the sanitizers compiled in and runs tests/core within it, all of
Python on the system's allocator, so that no pool hides an overrun; the arena poisons the
blocks that it has back.  A report ends the run with status 99.
"""

import os
import subprocess
import sys

from core.test_variants import BUILD, built
from fresh import TESTS

# Ordinary sizes, and those at which everything splits early.
VARIANTS = ["address", "tiny+address"]

# Figures of memory mean nothing here, and a consumer is built without the sanitizers.
LEFT_OUT = ["leaks", "consumer", "variants"]


def library(name: str) -> str:
    """The path of one of gcc's runtime libraries."""
    asked = ["gcc", f"-print-file-name={name}"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True)
    return said.stdout.strip()


def sanitize(variant: str) -> int:
    """Run the tests within a variant and return pytest's status, or a sanitizer's."""
    print(f"{variant}: building", flush=True)
    folder = built(variant)
    ignored = [f"--ignore={TESTS}/core/test_{name}.py" for name in LEFT_OUT]
    settings = {
        "PYTHONPATH": os.pathsep.join([str(folder), str(TESTS)]),
        "PYTHONMALLOC": "malloc",
        # Leaks are the slopes' matter: Python itself leaves much behind at its end.
        "ASAN_OPTIONS": "detect_leaks=0:exitcode=99:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
        "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
    }
    command = [sys.executable, "-P", "-m", "pytest", *ignored, str(TESTS / "core")]
    return subprocess.run(
        command, cwd=BUILD.parent, env={**os.environ, **settings}, check=False
    ).returncode


if __name__ == "__main__":
    failed = [variant for variant in sys.argv[1:] or VARIANTS if sanitize(variant)]
    sys.exit(f"reports or failures in: {', '.join(failed)}" if failed else 0)

"""Fresh: run a function of the tests in an interpreter of its own.

For tests that break or measure the whole process: failing allocators, leak slopes. The
child sees the same `latency_kv` as its parent and nothing of the parent's state. Start
at `run_fresh`.
"""

import os
import subprocess
import sys
from pathlib import Path

import latency_kv

TESTS = Path(__file__).parent
PACKAGE_PARENT = Path(latency_kv.__file__).parents[1]

# Long enough for a sweep under a sanitizer, short enough to notice a hang.
TIMEOUT_S = 1_200


def run_fresh(*command: str) -> str:
    """Run `python *command`; its output, AssertionError with all of it if it failed."""
    paths = os.pathsep.join([str(PACKAGE_PARENT), str(TESTS)])
    done = subprocess.run(
        [sys.executable, "-P", "-X", "faulthandler", "-W", "error", *command],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"exit {done.returncode}: {command}\n{output}"
    return output


def call_fresh(function: str, *arguments: str) -> str:
    """Call `module:name` with texts for its arguments."""
    module, name = function.split(":")
    program = f"import sys; from {module} import {name}; {name}(*sys.argv[1:])"
    return run_fresh("-c", program, *arguments)

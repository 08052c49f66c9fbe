"""Children: fresh processes that find this package, installed or not."""

import os
import subprocess
import sys
from pathlib import Path

import latency_kv

_HOME = str(Path(latency_kv.__file__).parents[1])


def environment(**folders: str) -> dict[str, str]:
    """Return this process's environment with folders put before what it lists.

    PYTHONPATH begins with the folder of this package.
    """
    before = {"PYTHONPATH": _HOME, **folders}
    lists = {
        name: os.pathsep.join(filter(None, [folder, os.environ.get(name)]))
        for name, folder in before.items()
    }
    return os.environ | lists


def output(*arguments: str) -> str:
    """Run this Python with these arguments and return what it prints."""
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout

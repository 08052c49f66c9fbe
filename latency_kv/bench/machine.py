"""Machine: what the figures were measured on, and whether they may be told at all."""

import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from latency_kv.bench.timing import overheads
from latency_kv.core.reader import BUILD

_CPUINFO = Path("/proc/cpuinfo")
_PEERS = ("BTrees", "sortedcontainers", "lmdb", "rocksdict", "redis", "Cython")


def objection(build: str = BUILD) -> str | None:
    """Return why figures of this process would mislead, or None."""
    if build != "release":
        return f"latency_kv is the {build!r} build: figures are for the release build"
    if sysconfig.get_config_var("Py_DEBUG") or hasattr(sys, "gettotalrefcount"):
        return "this Python is a debug build"
    if sys.flags.dev_mode or os.environ.get("PYTHONMALLOC", "") not in ("", "pymalloc"):
        return "this Python checks its memory: unset PYTHONDEVMODE and PYTHONMALLOC"
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return "a tracer or a profiler is on"
    return None


def describe() -> dict[str, str]:
    """Return the machine, the interpreter, the peers and what a clock costs."""
    flags = sysconfig.get_config_var("CFLAGS") or "unknown"
    costs = ", ".join(f"{name} {cost:.0f} ns" for name, cost in overheads().items())
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": _load(),
        "python": f"{platform.python_version()} ({platform.python_compiler()})",
        "flags": " ".join(flags.split()),
        "latency_kv": f"{installed('latency_kv', 'unknown')}, {BUILD} build",
        "peers": ", ".join(
            [
                *(f"{name} {installed(name)}" for name in _PEERS),
                f"sqlite {sqlite3.sqlite_version}",
                _said("redis-server", "Redis server v="),
                _said("rustc", "rustc "),
            ]
        ),
        "overhead": f"{costs}; on both sides alike, not subtracted",
    }


def _processor() -> str:
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _load() -> str:
    """Return the load average: another busy process is in every figure."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def _said(program: str, before: str) -> str:
    """Return the program with the version that it tells, without all the rest."""
    path = shutil.which(program)
    if path is None:
        return f"{program} not installed"
    said = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=False
    )
    version = said.stdout.removeprefix(before).split()
    return f"{program} {version[0] if version else 'unknown'}"


def installed(name: str, otherwise: str = "not installed") -> str:
    """Return a package's version, or what to say without it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return otherwise

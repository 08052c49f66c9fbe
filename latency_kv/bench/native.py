"""Native: the Cython operator and the Rust reference, built when a row asks for them.

    operator.pyx    an operator as a user writes it: cimports the store, calls find
    reference.rs    std's HashMap with FxHash

Both ship as sources and are compiled outside the package against the installed headers,
so what they show is what a user gets.  Results stay in the user's cache, one folder for
each combination of source, engine and tool.  Where a tool is missing, ImportError says
which.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

from latency_kv import get_include
from latency_kv.bench.children import environment
from latency_kv.core import store as core
from latency_kv.core.reader import BUILD

_HERE = Path(__file__).parent


@cache
def operator() -> Any:
    """Return the compiled operator module."""
    if BUILD != "release":
        # Its header rooms have sizes of their own, which the operator would not share.
        raise ImportError(f"an operator for the {BUILD!r} build is not made")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise ImportError(f"the C compiler {compiler} is not installed")
    if find_spec("Cython") is None:
        raise ImportError("Cython is not installed: pip install 'latency-kv[bench]'")
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace"]
    binary = _built(_HERE / "operator.pyx", command, Path(core.__file__))
    loader = ExtensionFileLoader("operator", str(binary))
    spec = spec_from_loader("operator", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@cache
def reference() -> Any:
    """Return the compiled reference, its functions declared."""
    rustc = shutil.which("rustc")
    if rustc is None:
        raise ImportError(
            "rustc is not installed: install Rust from your system's packages"
        )
    command = [rustc, "-O", "--edition=2021", "--crate-type=cdylib", "-oreference.so"]
    library = ctypes.CDLL(str(_built(_HERE / "reference.rs", command, Path(rustc))))
    pointer, block, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    keys, values = (block, size), (block, size)
    functions = {
        "new": (pointer, [*keys, *values, size]),
        "put_all": (None, [pointer, *keys, *values, size, size, pointer]),
        "find_all": (size, [pointer, *keys, size, size, ctypes.c_bool, pointer]),
        "delete_all": (size, [pointer, *keys, size, pointer]),
        "get": (size, [pointer, *keys, pointer, size]),
        "len": (size, [pointer]),
        "free": (None, [pointer]),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, f"map_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def _built(source: Path, command: list[str], beside: Path) -> Path:
    """Return the shared object made from a source; a change of `beside` makes another.

    It is built in a folder of its own and published last, so a build that is broken off
    leaves nothing behind.
    """
    folder = _folder(source, command, beside)
    binary = folder / f"{source.stem}.so"
    if binary.exists():
        return binary
    with tempfile.TemporaryDirectory(dir=folder) as work:
        shutil.copy(source, work)
        done = subprocess.run(
            [*command, source.name],
            cwd=work,
            env=environment(CPATH=get_include()),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            log = folder / "build.log"
            log.write_text(done.stdout, encoding="utf-8")
            raise ImportError(f"{source.name} could not be built: see {log}")
        (product,) = Path(work).glob("*.so")
        return product.replace(binary)


def _folder(source: Path, command: list[str], beside: Path) -> Path:
    """Return the cache's folder for this source, these tools and the file beside it."""
    stamp = beside.stat()
    facts = [*command, sys.version, str(beside), stamp.st_mtime_ns, stamp.st_size]
    digest = hashlib.sha256(source.read_bytes() + repr(facts).encode()).hexdigest()
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache_home, "latency_kv", "bench", digest[:16])
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        hint = f"cannot build {source.name} in {folder}: set XDG_CACHE_HOME"
        raise ImportError(hint) from error
    return folder

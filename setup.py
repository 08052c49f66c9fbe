"""Builds the compiled modules; what else the package is stands in pyproject.toml.

LATENCY_KV_VARIANT names a build for tests, into build/<variant>/, to be run with that
folder first on PYTHONPATH.  Parts are joined by '+':

    tiny         pages, nodes and slabs of a few entries, so that everything splits early
    seeded       the secrets of the hash are known (tiny has that too)
    portable     no SSE2 and no NEON
    address      AddressSanitizer and UndefinedBehaviorSanitizer
    thread       ThreadSanitizer
    fuzz         AddressSanitizer and libFuzzer's coverage; CC has to be clang

None of it is in the package that is shipped.

The package index has README without the files that it links to: `description` fits it.
"""

import os
import re
import shutil
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

VARIANT = os.environ.get("LATENCY_KV_VARIANT", "")
PARTS = {
    "tiny": {
        "CHUNKS": "2",
        "CHUNK_SLOTS": "2",
        "PAGE_CAPACITY": "3",
        "SEGMENT_BITS": "5",
        "NODE_CAPACITY": "8",
        "SLAB_BITS": "12",
        "SLABS_PER_REGION": "2",
        "DEPTH_SLACK": "14",  # pages of three entries are uneven by nature
        "SEEDED": "1",
    },
    "seeded": {"SEEDED": "1"},
    "portable": {"PORTABLE": "1"},
    "address": {},
    "thread": {},
    "fuzz": {},
}
FAST = [
    "-O3",
    "-fno-strict-aliasing",
    # gcc's own limits leave hash, probe and allocation as calls: 7 to 20 % more
    # instructions for a get, a put or a delete.  clang takes no notice of them.
    "--param=max-inline-insns-single=1000",
    "--param=inline-unit-growth=200",
    "--param=large-function-growth=1000",
]
SANITIZERS = {
    "address": [
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined",
        "-fno-wrapv",
    ],
    "thread": ["-fsanitize=thread"],
    "fuzz": ["-fsanitize=address,fuzzer-no-link"],
}
COMPILED = ("core.reader", "core.snapshot", "core.store", "plugins.object_state")

# Of these modules alone: header rooms compiled into an operator follow its own build.
DIRECTIVES = {
    "language_level": 3,
    "cdivision": True,  # every divisor in the core is known not to be zero
    "binding": False,  # a method call from Python then costs 10 ns instead of 13
    "embedsignature": True,  # so that inspect.signature works even then
    "embedsignature.format": "clinic",
    "auto_pickle": False,  # what holds memory by pointer cannot be pickled
    "autotestdict": False,  # no copy of the doctests in the modules
    "freethreading_compatible": False,  # counts change under the GIL
}


def chosen_parts() -> list[str]:
    parts = [part for part in VARIANT.split("+") if part]
    for part in parts:
        if part not in PARTS:
            known = ", ".join(PARTS)
            raise SystemExit(f"LATENCY_KV_VARIANT: no part {part!r}; there are {known}")
    return parts


def extensions(parts: list[str]) -> list[Extension]:
    compile_args = [] if sys.platform == "win32" else FAST
    link_args: list[str] = []
    macros: dict[str, str] = {}
    for part in parts:
        macros |= {f"LATENCY_KV_{name}": value for name, value in PARTS[part].items()}
        if part in SANITIZERS:
            compile_args = ["-O1", "-g", "-fno-omit-frame-pointer"]
            compile_args += ["-fno-strict-aliasing", *SANITIZERS[part]]
            link_args = SANITIZERS[part][:1]
    if parts:
        macros["LATENCY_KV_BUILD"] = f'"{VARIANT}"'
    return [
        Extension(
            f"latency_kv.{name}",
            [f"latency_kv/{name.replace('.', '/')}.pyx"],
            define_macros=list(macros.items()),
            extra_compile_args=compile_args,
            extra_link_args=link_args,
        )
        for name in COMPILED
    ]


def description() -> str:
    """README for a place where nothing lies beside it.

    Links into the project become their text, and its pictures go; code stays as it is.
    """
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    parts = re.split(r"(^```.*?^```$)", readme, flags=re.MULTILINE | re.DOTALL)
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"!\[[^]]*\]\((?!\w+:)[^)]*\)\n*", "", parts[place])
        parts[place] = re.sub(r"\[([^]]*)\]\((?!\w+:|#)[^)]*\)", r"\1", parts[place])
    return "".join(parts)


class BuildVariant(build_ext):
    """A variant's folder is a package that can be imported: Python files included.

    Without a compiler there is one line.
    """

    def run(self) -> None:
        if VARIANT:
            self.run_command("build_py")
        super().run()

    def build_extensions(self) -> None:
        # Of MSVC, which has no such attribute, setuptools tells itself.
        command = getattr(self.compiler, "compiler_so", [""])[0]
        if command and shutil.which(command) is None:
            raise SystemExit(
                f"a C compiler is needed, and there is no {command}: install one, as in "
                "apt-get install gcc python3-dev, or name yours in CC"
            )
        super().build_extensions()


parts = chosen_parts()
folder = f"build/{VARIANT}"
setup(
    long_description=description(),
    long_description_content_type="text/markdown",
    ext_modules=cythonize(
        extensions(parts),
        build_dir=f"build/cython-{VARIANT}" if VARIANT else "build/cython",
        emit_linenums=bool(parts),
        compiler_directives=DIRECTIVES,
    ),
    cmdclass={"build_ext": BuildVariant},
    options={"build": {"build_lib": folder, "build_temp": f"build/temp-{VARIANT}"}}
    if VARIANT
    else {},
)

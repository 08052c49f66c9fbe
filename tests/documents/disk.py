"""Disk: what a store asks of os, in whatever thread: watched, refused, or held up.

    watched    each call is told to a hook first, which may raise or wait
    refused    the calls that fit raise an error instead
    Gate       a hook that waits until it may go on

Knows nothing of the package. Start at `watched`.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import anyio

PATIENCE_S = 60

WATCHED = ["open", "write", "fsync", "replace", "rename", "link", "unlink", "remove"]


class Ask(NamedTuple):
    """One call: its name, the file that it is about, and where a rename leads."""

    name: str
    path: Path
    target: str

    @property
    def is_rename(self) -> bool:
        return self.name in ("rename", "replace")

    @property
    def is_directory_sync(self) -> bool:
        return self.name == "fsync" and self.path.is_dir()


Hook: TypeAlias = Callable[[Ask], object]


def _path_of(given: Any) -> Path:
    """A descriptor's path, or the path that was given."""
    if isinstance(given, int):
        return Path(os.path.realpath(f"/proc/self/fd/{given}"))
    return Path(os.fsdecode(given))


@contextmanager
def watched(folder: Path, hook: Hook) -> Iterator[None]:
    """Tell the hook of each call that is about the folder or what is in it."""
    real = {name: getattr(os, name) for name in WATCHED}

    def wrapped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            path = _path_of(arguments[0])
            if path == folder or folder in path.parents:
                is_pair = name in ("replace", "rename", "link")
                hook(Ask(name, path, Path(arguments[1]).name if is_pair else ""))
            return function(*arguments, **options)

        return wrapper

    for name, function in real.items():
        setattr(os, name, wrapped(name, function))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


@contextmanager
def refused(
    folder: Path, fits: Callable[[Ask], bool], code: int = errno.EIO
) -> Iterator[None]:
    """Fail the calls that fit."""

    def refuse(ask: Ask) -> None:
        if fits(ask):
            raise OSError(code, os.strerror(code), str(ask.path))

    with watched(folder, refuse):
        yield


class Gate:
    """A hook that holds up the first call that fits until it may go on."""

    def __init__(self, fits: Callable[[Ask], bool]) -> None:
        self.fits = fits
        self.begun = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, ask: Ask) -> None:
        if not self.begun.is_set() and self.fits(ask):
            self.begun.set()
            assert self.may_go_on.wait(PATIENCE_S)

    async def wait_begun(self) -> None:
        with anyio.fail_after(PATIENCE_S):
            while not self.begun.is_set():
                await anyio.sleep(0.001)

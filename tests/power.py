"""Power: a file system of its own whose power is cut at random moments.

An image file with ext4 is mounted by loop; FS_IOC_SHUTDOWN stops it as a power cut
does, with nothing more written, and mounting it again replays its journal. Needs root
and loop devices. Start at `PowerDisk`; `tiny_disk` is one that fills up instead.
"""

import contextlib
import fcntl
import functools
import os
import resource
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Protocol, Self

from kills import Acknowledge, Child, quick_folder

# How often the power is cut in a test.
SMALL_CUTS, FULL_CUTS = 30, 5_000

# More than enough to lose something where nothing is synced.
CARELESS_CUTS = 20

IMAGE_SIZE = 32 << 20
PAGE_SIZE = resource.getpagesize()

# include/uapi/linux/fs.h: nothing that is in memory only reaches the disk, the journal
# neither.
FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)

MOUNTS = ("data=ordered", "data=writeback")

# How long a writer lives: a write takes about a millisecond here.
LONGEST_LIFE_S = 0.02

# Each such cut comes after the first write, however slow the disk is: a cut before it
# proves nothing.
WAITED_FOR = 3

# An unmounting that comes too early is tried again.
UNMOUNTS = 200
PAUSE_S = 0.005


class PowerDisk:
    """An ext4 file system in a file, mounted at `folder`; a context manager.

    With `data=writeback` a file's bytes and its names reach the disk in any order.
    """

    def __init__(
        self, options: str = "data=ordered", *, size: int = IMAGE_SIZE
    ) -> None:
        self.options = options
        self.size = size

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        scratch = self._stack.enter_context(quick_folder())
        self.image = scratch / "image"
        self.folder = scratch / "mounted"
        self.folder.mkdir()
        with self.image.open("wb") as file:
            file.truncate(self.size)
        _run("mkfs.ext4", "-q", "-F", str(self.image))
        try:
            self.mount()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.unmount()
        finally:
            self._stack.close()

    def mount(self) -> None:
        _run("mount", "-o", f"loop,{self.options}", str(self.image), str(self.folder))

    def unmount(self) -> None:
        """Unmount when nobody uses it any more, and at last whoever does."""
        for _ in range(UNMOUNTS):
            command = ["umount", str(self.folder)]
            done = subprocess.run(command, capture_output=True, check=False)
            if done.returncode == 0:
                return
            time.sleep(PAUSE_S)
        _run("umount", "--lazy", str(self.folder))
        raise AssertionError(done.stderr.decode())

    def cut(self) -> None:
        """Cut the power: what uses the file system gets EIO from now on."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def tiny_disk(page_count: int, file_count: int) -> Iterator[Path]:
    """A file system in memory with room for so many pages, and files and folders."""
    with quick_folder() as folder:
        options = f"size={page_count * PAGE_SIZE},nr_inodes={file_count + 1}"
        _run("mount", "-t", "tmpfs", "-o", options, "tiny", str(folder))
        try:
            yield folder
        finally:
            _run("umount", "--lazy", str(folder))


@functools.cache
def what_is_missing() -> str:
    """Why there can be no PowerDisk here; empty if there can."""
    missing = [t for t in ("mkfs.ext4", "mount", "umount") if not shutil.which(t)]
    if missing:
        return f"no {', '.join(missing)}"
    if os.geteuid() != 0:
        return "not root"
    try:
        with PowerDisk() as disk:
            disk.cut()
    except (AssertionError, OSError) as error:
        return f"no loop mounts here: {error}"
    return ""


@functools.cache
def what_a_tiny_disk_misses() -> str:
    """Why there can be no tiny_disk here; empty if there can."""
    if os.geteuid() != 0:
        return "not root"
    try:
        with tiny_disk(page_count=1, file_count=1):
            pass
    except (AssertionError, OSError) as error:
        return f"no mounts here: {error}"
    return ""


def cut_often(
    disk: PowerDisk,
    write: Callable[[Acknowledge], None],
    check: Callable[[list[int]], None],
    cuts: int,
    seed: int,
) -> int:
    """Cut the power under a forked writer, `cuts` times; how much was acknowledged.

    The writer does not return, and ignores the errors that a cut gives it. check is
    called after each cut, with the file system mounted again and what was acknowledged.
    """
    random = Random(seed)
    count = 0
    for number in range(cuts):
        child = Child(write)
        if number % WAITED_FOR == 0:
            child.wait_for_word()
        time.sleep(random.uniform(0, LONGEST_LIFE_S))
        disk.cut()
        acknowledged = child.kill()
        count += len(acknowledged)
        disk.unmount()
        disk.mount()
        try:
            check(acknowledged)
        except BaseException:
            print(f"after cut {number}, acknowledged {acknowledged}")
            raise
    return count


class Checked(Protocol):
    """A folder that a writer writes to, and what was acknowledged there."""

    def check(self, acknowledged: list[list[int]], /) -> object:
        """Raise AssertionError if what is there is not what was acknowledged."""

    def check_next_write(self) -> object:
        """Write once more, and check again."""


def cut_on_each_mount(
    cuts: int,
    seed: int,
    write: Callable[[Path, Acknowledge], None],
    checked: Callable[[Path], Checked],
) -> None:
    """Cut the power of writers to a folder, half of them with each way of mounting."""
    for mount in MOUNTS:
        with PowerDisk(mount) as disk:
            folder = disk.folder / "state"
            all_lives = checked(folder)
            written = cut_often(
                disk,
                functools.partial(write, folder),
                functools.partial(_check_one, all_lives),
                cuts // len(MOUNTS),
                seed,
            )
            assert written, "every cut came before anything was acknowledged"
            all_lives.check_next_write()
            print(f"{mount}: {written} writes acknowledged")


def _check_one(checked: Checked, acknowledged: list[int]) -> None:
    checked.check([acknowledged])


def cut_and_lose(
    cuts: int,
    seed: int,
    write: Callable[[Path, Acknowledge], None],
    check: Callable[[Path, list[int]], None],
) -> None:
    """Cut the power of writers that do it wrong: it has to be noticed."""
    losses = 0

    def count(acknowledged: list[int]) -> None:
        nonlocal losses
        try:
            check(folder, acknowledged)
        except (AssertionError, ValueError):
            losses += 1

    with PowerDisk() as disk:
        folder = disk.folder / "state"
        cut_often(disk, functools.partial(write, folder), count, cuts, seed)
    print(f"{losses} of {cuts} cuts lost what was acknowledged")
    assert losses, "no cut lost anything: these cuts prove nothing"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"

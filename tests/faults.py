"""Faults: what code asks of the file system, recorded, refused, or cut off by a crash.

    recorded      the calls of os below a folder; `before` and `after` may raise
    Fault         such a hook, which fails one call of them, or all from one on
    failing_on    such a hook, which fails what is asked of one file
    size_limit    a disk that is full after so many bytes of a file
    crash_states  every state of the folder that a crash of what was recorded may leave
    kill_states   those of them that the end of a process alone leaves
    lay_out       such a state as files, for what is tested to read
    WRONG         protocols that anyone's checks have to notice

The crash is stricter than any file system's. Without a sync a file's bytes may be as
before, or only some of them, or zeroes; of what happened to a folder's names since its
last sync, any part may be there and any part not. Only a rename is whole.

Knows no file's content and nothing of the package. Start at `recorded`.
"""

import errno
import fcntl
import os
import resource
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

# What a system may answer to any call.
CODES = [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR]

# What the model of a crash understands, and what it may ignore.
CHANGES = {"open", "write", "fsync", "replace", "rename", "link", "unlink", "remove"}
CHANGES |= {"mkdir", "rmdir"}
LOOKS = {"close", "read", "stat", "lstat", "fstat", "scandir", "listdir", "fchmod"}
LOOKS |= {"flock"}

# What it would have to learn first.
UNKNOWN = {"truncate", "ftruncate", "pwrite", "writev", "pwritev", "symlink"}
UNKNOWN |= {"sendfile", "copy_file_range", "posix_fallocate", "fdatasync"}

# The first argument of these is a descriptor.
BY_DESCRIPTOR = {"write", "fsync", "close", "read", "fstat", "fchmod", "flock"}
BY_DESCRIPTOR |= {"ftruncate", "pwrite", "writev", "pwritev", "sendfile"}
BY_DESCRIPTOR |= {"copy_file_range", "posix_fallocate", "fdatasync"}

_KNOWN = sorted(CHANGES | LOOKS | UNKNOWN)

# Each unsynced name doubles the states: more than these are a mistake in a test.
MOST_PENDING = 14


@dataclass(frozen=True, slots=True)
class Call:
    """One call; paths are relative to the folder, which is "."."""

    name: str
    path: str
    target: str = ""
    data: bytes = b""
    flags: int = 0
    # The number of the `open` that a descriptor is from.
    opened: int = -1


Hook: TypeAlias = Callable[[int, Call], None]
"""(how many calls there were before, this call) -> nothing, or an exception."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What was in a folder, and the calls that changed it, in order.

    A wrong protocol is the trace of a right one with calls left out or moved.
    """

    files: dict[str, bytes]
    folders: frozenset[str]
    calls: list[Call] = field(default_factory=list)
    # Names of one file have one number.
    inodes: dict[str, int] = field(default_factory=dict)

    def acknowledge(self) -> None:
        """Mark that somebody was told that what was written is durable."""
        self.calls.append(Call("acknowledge", "."))

    def without(self, is_left_out: Callable[[Call], bool]) -> "Trace":
        return replace(self, calls=[c for c in self.calls if not is_left_out(c)])

    def moved(self, is_moved: Callable[[Call], bool], after: str) -> "Trace":
        """Put those calls right behind the last call of the name `after`."""
        moved = [call for call in self.calls if is_moved(call)]
        others = [call for call in self.calls if not is_moved(call)]
        last = max(n for n, call in enumerate(others) if call.name == after)
        return replace(self, calls=[*others[: last + 1], *moved, *others[last + 1 :]])

    def changed(self, of: Callable[[Call], list[Call]]) -> "Trace":
        """Put in each call's place the calls that are made of it."""
        return replace(self, calls=[new for call in self.calls for new in of(call)])


def is_file_sync(call: Call) -> bool:
    return call.name == "fsync" and call.path != "."


def is_folder_sync(call: Call) -> bool:
    return call.name == "fsync" and call.path == "."


WRONG: dict[str, Callable[[Trace], Trace]] = {
    "no sync of the file": lambda trace: trace.without(is_file_sync),
    "no sync of the folder": lambda trace: trace.without(is_folder_sync),
    "rename before the sync": lambda trace: trace.moved(is_file_sync, after="replace"),
    "told before the sync": lambda trace: trace.moved(
        lambda call: call.name == "acknowledge", after="replace"
    ),
}
"""Wrong protocols, whatever it is that is staged, renamed and acknowledged."""


class Fault:
    """A hook that fails the call with this number, and remembers which it was.

    With goes_on every later call fails too, as on a disk that is gone.
    """

    def __init__(
        self, number: int, error: BaseException, *, goes_on: bool = False
    ) -> None:
        self.number = number
        self.error = error
        self.goes_on = goes_on
        self.failed: Call | None = None

    def __call__(self, number: int, call: Call) -> None:
        if number == self.number or (self.goes_on and number > self.number):
            self.failed = self.failed or call
            raise self.error


def failing_on(path: Path, name: str, code: int) -> Hook:
    """A hook that fails each such call of this file, right in the recorded folder."""

    def fail(number: int, call: Call) -> None:
        if (call.path, call.name) == (path.name, name):
            has_path = call.opened < 0 or name == "open"
            raise OSError(code, os.strerror(code), str(path) if has_path else None)

    return fail


@contextmanager
def size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes: EFBIG, not ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def open_descriptors() -> int:
    """How many this process has; 0 where the system does not tell."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def contents(root: Path) -> dict[str, bytes]:
    """The regular files below a folder, by their path in it."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@contextmanager
def recorded(
    root: Path,
    *,
    before: Hook | None = None,
    after: Hook | None = None,
    piece_size: int | None = None,
) -> Iterator[Trace]:
    """Record what this thread asks of os below root; calls that raise are left out.

    before and after are called with each call, those that raise too, and what they
    raise is what the call raises; a descriptor is closed all the same, as Linux does.
    What they do themselves is not recorded. No write takes more than piece_size bytes.
    """
    folders = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_dir()}
    files = contents(root)
    inodes = {name: (root / name).stat().st_ino for name in files}
    trace = Trace(files, frozenset({".", *folders}), inodes=inodes)
    recorder = _Recorder(root, trace, before, after, piece_size)
    places = [(fcntl if name == "flock" else os, name) for name in _KNOWN]
    real = [(place, name, getattr(place, name)) for place, name in places]
    for place, name, function in real:
        setattr(place, name, recorder.wrapped(name, function))
    try:
        yield trace
    finally:
        for place, name, function in real:
            setattr(place, name, function)


class _Recorder:
    """What stands in for the functions of os."""

    def __init__(
        self,
        root: Path,
        trace: Trace,
        before: Hook | None,
        after: Hook | None,
        piece_size: int | None,
    ) -> None:
        self.root = os.path.realpath(root)
        self.trace = trace
        self.before = before
        self.after = after
        self.piece_size = piece_size
        self.thread = threading.get_ident()
        self.count = 0
        self.open_count = 0
        self.in_hook = False
        # Of each open descriptor, its path and which `open` it is from.
        self.opened: dict[int, tuple[str, int]] = {}

    def wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            if self.in_hook or threading.get_ident() != self.thread:
                return real(*arguments, **options)
            # Giving a lock up is not refused: it would be given up at the end anyway.
            if name == "flock" and arguments[1] & fcntl.LOCK_UN:
                return real(*arguments, **options)
            call = self.call_of(name, arguments, options)
            if call is None:
                return real(*arguments, **options)
            assert name not in UNKNOWN, f"the model of a crash does not know {call}"
            if name == "write":
                arguments = (arguments[0], call.data)
            try:
                self.run_hook(self.before, call)
            except BaseException:
                if name == "close":
                    real(*arguments)
                    del self.opened[arguments[0]]
                raise
            finally:
                self.count += 1
            try:
                result = real(*arguments, **options)
            except OSError:
                self.run_hook(self.after, call)
                raise
            if name == "open":
                self.opened[result] = call.path, call.opened
                self.open_count += 1
            elif name == "close":
                del self.opened[arguments[0]]
            elif name == "write":
                call = replace(call, data=call.data[:result])
            if name in CHANGES:
                self.trace.calls.append(call)
            try:
                self.run_hook(self.after, call)
            except BaseException:
                # Nobody has it; a descriptor's number may come again.
                if name == "open":
                    del self.opened[result]
                    self.in_hook = True
                    os.close(result)
                    self.in_hook = False
                elif name == "scandir":
                    result.close()
                raise
            return result

        return wrapper

    def run_hook(self, hook: Hook | None, call: Call) -> None:
        if hook is None:
            return
        self.in_hook = True
        try:
            number = self.count if hook is self.before else self.count - 1
            hook(number, call)
        finally:
            self.in_hook = False

    def call_of(
        self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Call | None:
        """The call to record; None if it is not below the folder."""
        if name in BY_DESCRIPTOR:
            if arguments[0] not in self.opened:
                return None
            path, opened = self.opened[arguments[0]]
            data = b""
            if name == "write":
                data = bytes(memoryview(arguments[1])[: self.piece_size])
            return Call(name, path, data=data, opened=opened)
        paths = [self.relative(given) for given in arguments[:2]]
        if not paths or paths[0] is None:
            return None
        assert not {"dir_fd", "src_dir_fd", "dst_dir_fd"} & set(options)
        if name == "open":
            return Call(name, paths[0], flags=arguments[1], opened=self.open_count)
        if name in ("replace", "rename", "link"):
            assert paths[1] is not None, "what leaves the folder is not recorded"
            return Call(name, paths[0], paths[1])
        return Call(name, paths[0])

    def relative(self, given: Any) -> str | None:
        if not isinstance(given, str | os.PathLike):
            return None
        path = os.path.abspath(os.fspath(given))
        if path == self.root:
            return "."
        inner = path.removeprefix(self.root + os.sep)
        return None if inner == path else inner


class State(NamedTuple):
    """What a crash left, how many acknowledgements there were, and after which call.

    twins are names of one file, where it has several.
    """

    files: dict[str, bytes]
    folders: frozenset[str]
    twins: frozenset[frozenset[str]]
    acknowledged: int
    last_call: Call | None


def crash_states(trace: Trace) -> Iterator[State]:
    """Every state that a crash before, between or after the calls may leave, once."""
    seen = set()
    for disk, acknowledged, call in _steps(trace):
        for files, folders, twins in disk.survivors():
            key = frozenset(files.items()), folders, twins, acknowledged
            if key not in seen:
                seen.add(key)
                yield State(files, folders, twins, acknowledged, call)


def kill_states(trace: Trace) -> Iterator[State]:
    """The state before and after each call: all that was asked for has happened."""
    for disk, acknowledged, call in _steps(trace):
        yield State(*disk.visible(), acknowledged, call)


def lay_out(state: State, folder: Path) -> None:
    """Write the state's folders and files into an empty folder."""
    for inner in sorted(state.folders):
        (folder / inner).mkdir(exist_ok=True)
    for name, data in state.files.items():
        (folder / name).write_bytes(data)
    for twins in state.twins:
        first, *others = sorted(twins)
        for other in others:
            (folder / other).unlink()
            (folder / other).hardlink_to(folder / first)


def _steps(trace: Trace) -> Iterator[tuple["_Disk", int, Call | None]]:
    """The disk before the first call and after each, with the acknowledgements."""
    disk = _Disk(trace)
    acknowledged = 0
    for call in [None, *trace.calls]:
        if call is not None and call.name == "acknowledge":
            acknowledged += 1
        elif call is not None:
            disk.apply(call)
        yield disk, acknowledged, call


class _File:
    """A file, whatever its names: the bytes there are, and those on disk."""

    def __init__(self, data: bytes, is_folder: bool = False) -> None:
        self.data = data
        self.synced = data
        self.is_folder = is_folder

    def write(self, start: int, data: bytes) -> None:
        padded = self.data[:start].ljust(start, b"\0")
        self.data = padded + data + self.data[start + len(data) :]

    def survivors(self) -> set[bytes]:
        """What a crash may leave of the bytes."""
        data, half = self.data, len(self.data) // 2
        if data == self.synced:
            return {data}
        cut = {data[:half], data[:-1], self.synced[:half]}
        zeroed = {
            bytes(len(data)),
            bytes(half) + data[half:],
            data[:half] + bytes(len(data) - half),
        }
        return {self.synced, data, *cut, *zeroed}


class _Change(NamedTuple):
    """A change of a folder's names that is not synced yet."""

    folder: str
    removed: str | None
    added: str | None
    file: _File


_Folder: TypeAlias = tuple[dict[str, bytes], frozenset[str], frozenset[frozenset[str]]]
"""Files, folders, and which names are of one file."""


class _Disk:
    """The names and files of a folder: as a process sees them, and as a disk has them."""

    def __init__(self, trace: Trace) -> None:
        files = {inode: _File(trace.files[n]) for n, inode in trace.inodes.items()}
        self.names = {name: files[inode] for name, inode in trace.inodes.items()}
        self.names |= {name: _File(b"", is_folder=True) for name in trace.folders}
        self.synced = dict(self.names)
        self.pending: list[_Change] = []
        # By the number of their `open`: the file, and where the next write goes.
        self.opened: dict[int, tuple[_File, int]] = {}

    def apply(self, call: Call) -> None:
        match call.name:
            case "open":
                if call.path not in self.names:
                    self.change(None, call.path, _File(b""))
                file = self.names[call.path]
                if call.flags & os.O_TRUNC:
                    file.data = b""
                assert not call.flags & os.O_APPEND
                self.opened[call.opened] = file, 0
            case "write":
                file, start = self.opened[call.opened]
                file.write(start, call.data)
                self.opened[call.opened] = file, start + len(call.data)
            case "fsync":
                file, _ = self.opened[call.opened]
                if file.is_folder:
                    self.sync_folder(call.path)
                else:
                    file.synced = file.data
            case "replace" | "rename":
                # Two names of one file stay both, says POSIX.
                if self.names[call.path] is not self.names.get(call.target):
                    self.change(call.path, call.target, self.names[call.path])
            case "link":
                self.change(None, call.target, self.names[call.path])
            case "unlink" | "remove" | "rmdir":
                self.change(call.path, None, self.names[call.path])
            case "mkdir":
                self.change(None, call.path, _File(b"", is_folder=True))
            case _:
                raise AssertionError(f"no such call: {call}")

    def change(self, removed: str | None, added: str | None, file: _File) -> None:
        folders = {os.path.dirname(name) or "." for name in (removed, added) if name}
        assert len(folders) == 1, "a rename from folder to folder is not modelled"
        change = _Change(folders.pop(), removed, added, file)
        self.pending.append(change)
        assert len(self.pending) <= MOST_PENDING, self.pending
        _make(change, self.names)

    def sync_folder(self, path: str) -> None:
        for change in self.pending:
            if change.folder == path:
                _make(change, self.synced)
        self.pending = [change for change in self.pending if change.folder != path]

    def visible(self) -> _Folder:
        """What a process sees."""
        files, folders = _split(self.names)
        return (
            {name: file.data for name, file in files.items()},
            folders,
            _twins(files),
        )

    def survivors(self) -> Iterator[_Folder]:
        """What a crash now may leave."""
        for is_made in product([False, True], repeat=len(self.pending)):
            names = dict(self.synced)
            for change, made in zip(self.pending, is_made, strict=True):
                if made:
                    _make(change, names)
            files, folders = _split(names)
            twins = _twins(files)
            # Two names of one file have the same bytes.
            unique = list({id(file): file for file in files.values()}.values())
            for chosen in product(*[file.survivors() for file in unique]):
                bytes_of = {id(f): data for f, data in zip(unique, chosen, strict=True)}
                files_left = {name: bytes_of[id(f)] for name, f in files.items()}
                yield files_left, folders, twins


def _make(change: _Change, names: dict[str, _File]) -> None:
    if change.removed is not None:
        names.pop(change.removed, None)
    if change.added is not None:
        names[change.added] = change.file


def _split(names: dict[str, _File]) -> tuple[dict[str, _File], frozenset[str]]:
    """The files and the folders; nothing of what is in a folder that is not there."""
    folders = {name for name, file in names.items() if file.is_folder}
    lost = {name for name in names if not _parents(name) <= folders}
    files = {
        name: file
        for name, file in names.items()
        if not file.is_folder and name not in lost
    }
    return files, frozenset(folders - lost)


def _twins(files: dict[str, _File]) -> frozenset[frozenset[str]]:
    names_of = defaultdict(set)
    for name, file in files.items():
        names_of[id(file)].add(name)
    return frozenset(frozenset(names) for names in names_of.values() if len(names) > 1)


def _parents(name: str) -> set[str]:
    return {str(parent) for parent in Path(name).parents}

"""Engines: every engine that Python calls, with the phrases that its users write.

A phrase is the code of one operation; timing.py compiles it into a loop for this engine
alone.  It acts on `target` and has the names of `NAMES`; a scan says USE where it has an
entry.  The same phrase, asked for answers, is what the results are checked by.

Engines that write transactions keep one open, sync nothing, and live in memory where
the machine has a file system for that.  What an engine cannot do raises no error here:
table.py does not ask it.  Start at `Engine`.
"""

from __future__ import annotations

import os
import pickle
import re
import sqlite3
import tempfile
import threading
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from shutil import rmtree
from time import perf_counter_ns
from typing import Any, ClassVar, TypeAlias

from latency_kv.bench.peers import required
from latency_kv.bench.timing import answers_loop, spans_loop, timed_loop
from latency_kv.bench.workloads.content import MANY, Block, Shape, batches
from latency_kv.checkpoints.directory import CheckpointDirectory
from latency_kv.core.snapshot import StateSnapshot
from latency_kv.core.store import InMemoryStore

__all__ = [
    "MIXED_READS",
    "NAMES",
    "BTree",
    "Dict",
    "Engine",
    "Lmdb",
    "Ours",
    "PythonEngine",
    "RocksDb",
    "SortedDictionary",
    "Spans",
    "Sqlite",
    "WrongAnswerError",
    "phrase_of",
]

Spans: TypeAlias = "array[int]"
"""The ns of each call, in their order."""

MIXED_READS = ("first", "second", "third", "fourth", "fifth", "sixth")

NAMES = {
    "get": "key",
    "put": "key, value",
    "delete": "key",
    "multiget": "keys",
    "prefixscan": "start, stop",
    "rangescan": "start",
    "mixed": f"{', '.join(MIXED_READS)}, over, value, other, fresh, new, gone",
}
"""operation -> the names that its phrase may use."""

_LMDB_SLACK = 64 << 20


class WrongAnswerError(Exception):
    """An engine did not do what it was asked."""


class Engine(ABC):
    """One store of one engine, empty when it is made.

    name: what the report calls it.
    pace: one of so many calls is made, so that a slow engine's turn ends too.
    fill_pace: how much slower a new store is made than one in memory.
    is_counted: whether it knows how many entries it has; else `len` walks them all.
    """

    name: ClassVar[str]
    language: ClassVar[str] = "Python"
    pace: ClassVar[int] = 1
    fill_pace: ClassVar[int] = 1
    is_counted: ClassVar[bool] = True
    note: ClassVar[str] = ""

    target: Any

    def __init__(self, shape: Shape, folder: Path) -> None:
        """Make an empty store for such entries; its files, if any, go into folder."""

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.target)

    @abstractmethod
    def run(self, operation: str, *blocks: Block, spans: Spans | None = None) -> int:
        """Do an operation for every piece and return the ns it took.

        With spans, the ns of each call go there, by the wall clock.
        """

    @abstractmethod
    def answers(self, operation: str, *blocks: Block, of: Any = None) -> list[Any]:
        """Do an operation for every piece, untimed, and return what it answers.

        of: another target than the engine's own, such as a snapshot.
        """

    def fill(self, keys: Block, values: Block) -> int:
        """Put all entries and return the ns it took."""
        return self.run("put", keys, values)

    def settle(self) -> None:
        """Make what was written what a snapshot sees."""

    def close(self) -> None:
        """Let go of everything."""
        self.target = None


@cache
def _loop(kind: type[PythonEngine], operation: str, use: str) -> Callable[..., Any]:
    """Compile an engine's phrase: into a `timed` loop, one of `spans`, or `answers`."""
    phrase, names = phrase_of(kind, operation), NAMES[operation]
    if use == "answers":
        if operation in ("get", "multiget"):
            return answers_loop(kind.name, names, f"out({phrase})")
        if operation.endswith("scan"):
            collected = re.sub(r"\bUSE\b", "entries.append((key, value))", phrase)
            phrase = f"entries = []\n{collected}\nout(entries)"
        return answers_loop(kind.name, names, phrase)
    phrase = re.sub(r"\bUSE\b", "pass", phrase)
    if use == "timed":
        return timed_loop(kind.name, names, phrase)
    return spans_loop(kind.name, names, phrase, perf_counter_ns)


def phrase_of(kind: type[PythonEngine], operation: str) -> str:
    """Return an engine's phrase; the mixed one is made of the others."""
    if operation != "mixed":
        return kind.phrases[operation]
    get, put, delete = (kind.phrases[name] for name in ("get", "put", "delete"))
    steps = [(get, name, "") for name in MIXED_READS]
    steps[3:3] = [(put, "over", "value"), (put, "fresh", "new")]
    steps += [(put, "other", "value"), (delete, "gone", "")]
    return "\n".join(
        re.sub(r"\bkey\b", key, re.sub(r"\bvalue\b", value, phrase))
        for phrase, key, value in steps
    )


class PythonEngine(Engine):
    """An engine whose loops are compiled from its phrases."""

    phrases: ClassVar[dict[str, str]]

    def run(self, operation: str, *blocks: Block, spans: Spans | None = None) -> int:
        """Do an operation for every piece and return the ns it took."""
        supply = _supply(operation, blocks)
        if spans is None:
            spent: int = _loop(type(self), operation, "timed")(self.target, supply)
            return spent
        before = len(spans)
        _loop(type(self), operation, "spans")(self.target, supply, spans.append)
        return sum(spans[before:])

    def answers(self, operation: str, *blocks: Block, of: Any = None) -> list[Any]:
        """Do an operation for every piece, untimed, and return what it answers."""
        found: list[Any] = []
        target = self.target if of is None else of
        run = _loop(type(self), operation, "answers")
        run(target, _supply(operation, blocks), found.append)
        return found


def _supply(operation: str, blocks: tuple[Block, ...]) -> Iterator[Any]:
    """Cut what a loop goes through, a batch at a time."""
    if operation == "multiget":
        for keys in blocks:
            for start in range(0, keys.count, MANY):
                yield [keys.cut(start, start + MANY)]
    elif len(blocks) == 1:
        for lists in batches(*blocks):
            yield from lists
    else:
        yield from batches(*blocks)


class Ours(PythonEngine):
    """InMemoryStore, called from Python."""

    name = "latency_kv"
    phrases: ClassVar = {
        "get": "target.get(key)",
        "put": "target.put(key, value)",
        "delete": "target.delete(key)",
        "multiget": "target.get_many(keys)",
        "prefixscan": "for key, value in target.prefix_scan(start): USE",
        "rangescan": f"for key, value in target.range_scan(start, limit={MANY}): USE",
    }

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.target = InMemoryStore()

    def snapshot(self) -> Any:
        """Return what a later change does not change."""
        return self.target.snapshot()

    def encode(self) -> bytes:
        """Return everything as bytes."""
        image: bytes = self.target.snapshot().to_bytes()
        return image

    def decode(self, image: bytes) -> Any:
        """Return a new store of such bytes."""
        return InMemoryStore.from_snapshot(StateSnapshot.from_bytes(image))

    def checkpoint(self, folder: Path) -> Callable[[], bool]:
        """Begin to write everything durably; the answer says whether it is written."""
        writer = CheckpointDirectory(folder, keep=1).background()
        future = writer.submit(self.target.snapshot())

        def is_done() -> bool:
            if future.done():
                future.result()
                writer.close()
                return True
            return False

        return is_done

    def recovered(self, folder: Path) -> Any:
        """Return what a checkpoint holds, to be asked as a target."""
        return CheckpointDirectory(folder).latest()


class Dict(PythonEngine):
    """The dict; its image is a pickle."""

    name = "dict"
    phrases: ClassVar = {
        "get": "target.get(key)",
        "put": "target[key] = value",
        "delete": "del target[key]",
        "multiget": "[target.get(key) for key in keys]",
    }

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.target = {}

    def snapshot(self) -> Any:
        """Return a copy."""
        return self.target.copy()

    def encode(self) -> bytes:
        """Pickle everything."""
        return pickle.dumps(self.target, pickle.HIGHEST_PROTOCOL)

    def decode(self, image: bytes) -> Any:
        """Unpickle everything."""
        return pickle.loads(image)

    def checkpoint(self, folder: Path) -> Callable[[], bool]:
        """Copy here, pickle and sync in a thread."""
        copied = self.target.copy()

        def write() -> None:
            with open(folder / "new", "wb") as file:
                pickle.dump(copied, file, pickle.HIGHEST_PROTOCOL)
                file.flush()
                os.fsync(file.fileno())
            os.replace(folder / "new", folder / "pickle")

        return _in_thread(write)

    def recovered(self, folder: Path) -> Any:
        """Unpickle the checkpoint."""
        return pickle.loads((folder / "pickle").read_bytes())


class SortedDictionary(Dict):
    """sortedcontainers.SortedDict."""

    name = "SortedDict"
    _by_key = "for key in {}:\n    value = target[key]\n    USE"
    phrases: ClassVar = {
        **Dict.phrases,
        "prefixscan": _by_key.format("target.irange(start, stop, (True, False))"),
        "rangescan": _by_key.format(f"islice(target.irange(start), {MANY})"),
    }

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.target = required("sortedcontainers").SortedDict()


class BTree(PythonEngine):
    """An OOBTree of BTrees."""

    name = "BTrees"
    phrases: ClassVar = {
        **Dict.phrases,
        "prefixscan": (
            "for key, value in target.iteritems(start, stop, False, True): USE"
        ),
        "rangescan": (
            f"for key, value in islice(target.iteritems(start), {MANY}): USE"
        ),
    }

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.target = required("BTrees.OOBTree").OOBTree()

    def snapshot(self) -> Any:
        """Return a copy."""
        return type(self.target)(self.target)


class Lmdb(PythonEngine):
    """LMDB: one write transaction is open, for reading too; nothing is synced."""

    name = "LMDB"
    fill_pace = 10
    _until = "for key, value in {}:\n    if key >= stop:\n        break\n    USE"
    phrases: ClassVar = {
        "get": "target.get(key)",
        "put": "target.put(key, value)",
        "delete": "target.delete(key)",
        "multiget": "[target.get(key) for key in keys]",
        "prefixscan": (
            f"cursor = target.cursor()\ncursor.set_range(start)\n"
            f"{_until.format('cursor')}"
        ),
        "rangescan": (
            "cursor = target.cursor()\ncursor.set_range(start)\n"
            f"for key, value in islice(cursor, {MANY}): USE"
        ),
    }

    def __init__(self, shape: Shape, folder: Path) -> None:
        lmdb = required("lmdb")
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        # Large values stand in pages of their own.  Four times, since what is replaced
        # is free again only once no transaction sees it.
        entry = 3 * (shape.key_bytes + shape.value_bytes) + 100
        entry += 8_192 if shape.value_bytes > 1_024 else 0
        self._environment = lmdb.open(
            str(self._folder),
            map_size=_LMDB_SLACK + 4 * shape.entries * entry,
            sync=False,
            metasync=False,
        )
        self.target = self._environment.begin(write=True)

    def __len__(self) -> int:
        entries: int = self.target.stat()["entries"]
        return entries

    def settle(self) -> None:
        """Commit."""
        self.target.commit()
        self.target = self._environment.begin(write=True)

    def snapshot(self) -> Any:
        """Commit, and return a read transaction."""
        self.target.commit()
        taken = self._environment.begin()
        self.target = self._environment.begin(write=True)
        return taken

    def checkpoint(self, folder: Path) -> Callable[[], bool]:
        """Commit, and let LMDB copy itself in a thread, without its free pages."""
        self.settle()
        return _in_thread(lambda: self._environment.copy(str(folder), compact=True))

    def recovered(self, folder: Path) -> Any:
        """Return a read transaction on the copy."""
        return required("lmdb").open(str(folder), readonly=True).begin()

    def close(self) -> None:
        """Forget what is not committed, and the files."""
        self.target.abort()
        self._environment.close()
        rmtree(self._folder)


class RocksDb(PythonEngine):
    """RocksDB by rocksdict: raw bytes, without a log."""

    name = "RocksDB"
    pace = 4
    fill_pace = 20
    is_counted = False  # but for an estimate
    _until = "for key, value in {}:\n    if key >= stop:\n        break\n    USE"
    phrases: ClassVar = {
        "get": "target.get(key)",
        "put": "target[key] = value",
        "delete": "del target[key]",
        "multiget": "target.get(keys)",
        "prefixscan": _until.format("target.items(from_key=start)"),
        "rangescan": (
            f"for key, value in islice(target.items(from_key=start), {MANY}): USE"
        ),
    }

    def __init__(self, shape: Shape, folder: Path) -> None:
        rocksdict = required("rocksdict")
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self.target = self._opened(self._folder)
        options = rocksdict.WriteOptions()
        options.disable_wal = True
        self.target.set_write_options(options)

    @staticmethod
    def _opened(folder: Path) -> Any:
        rocksdict = required("rocksdict")
        return rocksdict.Rdict(str(folder), rocksdict.Options(raw_mode=True))

    def __len__(self) -> int:
        return sum(1 for _ in self.target.keys())  # noqa: SIM118, a dict it is not

    def snapshot(self) -> Any:
        """Return a snapshot."""
        return _Subscripted(self.target.snapshot())

    def checkpoint(self, folder: Path) -> Callable[[], bool]:
        """Write what is in memory, and link the files, in a thread."""
        checkpoint = required("rocksdict").Checkpoint(self.target)
        return _in_thread(lambda: checkpoint.create_checkpoint(str(folder / "state")))

    def recovered(self, folder: Path) -> Any:
        """Open the checkpoint."""
        return self._opened(folder / "state")

    def close(self) -> None:
        """Close it, and remove its files."""
        self.target.close()
        rmtree(self._folder)


class _Subscripted:
    """A snapshot that is asked by its key alone."""

    def __init__(self, taken: Any) -> None:
        self._taken = taken

    def get(self, key: bytes) -> bytes:
        value: bytes = self._taken[key]
        return value


class Sqlite(PythonEngine):
    """sqlite3 in memory: a table without row ids, each statement by itself."""

    name = "sqlite3"
    pace = 2
    _select = "SELECT k, v FROM entries WHERE k >= ?"
    phrases: ClassVar = {
        "get": (
            "(target.execute('SELECT v FROM entries WHERE k = ?', (key,))"
            ".fetchone() or (None,))[0]"
        ),
        "put": "target.execute('REPLACE INTO entries VALUES (?, ?)', (key, value))",
        "delete": "target.execute('DELETE FROM entries WHERE k = ?', (key,))",
        "prefixscan": (
            f"for key, value in target.execute('{_select} AND k < ? ORDER BY k', "
            "(start, stop)): USE"
        ),
        "rangescan": (
            f"for key, value in target.execute('{_select} ORDER BY k LIMIT {MANY}', "
            "(start,)): USE"
        ),
    }

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.target = sqlite3.connect(":memory:", isolation_level=None)
        self.target.execute(
            "CREATE TABLE entries (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID"
        )

    def __len__(self) -> int:
        count: int = self.target.execute("SELECT count(*) FROM entries").fetchone()[0]
        return count

    def encode(self) -> bytes:
        """Serialize the database."""
        image: bytes = self.target.serialize()
        return image

    def decode(self, image: bytes) -> Any:
        """Deserialize it into a new one."""
        other = sqlite3.connect(":memory:", isolation_level=None)
        other.deserialize(image)
        return other

    def close(self) -> None:
        """Close it."""
        self.target.close()


def _in_thread(work: Callable[[], object]) -> Callable[[], bool]:
    """Start work, and return what says whether it is done; it raises what work did."""
    failures: list[Exception] = []

    def guarded() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001, told to whoever asks
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()

    def is_done() -> bool:
        if thread.is_alive():
            return False
        thread.join()
        for failure in failures:
            raise failure
        return True

    return is_done

"""Outside: workloads for which no store is filled: saving documents, and importing."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

import anyio

from latency_kv.bench.children import output
from latency_kv.bench.goals.documents import write_by_hand
from latency_kv.bench.peers import required
from latency_kv.bench.workloads.content import Lap
from latency_kv.bench.workloads.engines import Spans, WrongAnswerError
from latency_kv.documents.store import FileSystemStateStore

__all__ = ["IMPORTS", "documents", "importing"]

IMPORTS = {
    "latency_kv": "from latency_kv import InMemoryStore",
    "SortedDict": "from sortedcontainers import SortedDict",
    "BTrees": "from BTrees.OOBTree import OOBTree",
    "LMDB": "import lmdb",
    "RocksDB": "import rocksdict",
    "sqlite3": "import sqlite3",
    "Redis": "import redis",
}

_IMPORT = """
from time import perf_counter_ns
begin = perf_counter_ns()
{}
print(perf_counter_ns() - begin)
"""

_MOST_SAVES = 20
"""Of a turn: a disk's moods differ from one to the next."""

_CALLS_A_SAVE = 500

_PLUGIN = "plugin"

_numbers = count()


def importing(engine: str, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Import an engine once; the process tells what it took."""
    statement = IMPORTS[engine]
    # Here too, since the process would end with a traceback where it is not installed.
    required(statement.split()[1])
    span = int(output("-c", _IMPORT.format(statement)))
    if spans is not None:
        spans.append(span)
    return 1, span


def documents(engine: str, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Save documents of about the size of a value, one after another, to the disk."""
    saves = max(1, min(_MOST_SAVES, lap.calls // _CALLS_A_SAVE))
    text = "x" * lap.content.shape.value_bytes
    with TemporaryDirectory(dir=".") as name:
        taken = _ENGINES[engine](Path(name), text, saves)
    if spans is not None:
        spans.extend(taken)
    return saves, sum(taken)


def _ours(folder: Path, text: str, saves: int) -> list[int]:
    async def main() -> list[int]:
        taken = []
        data: dict[str, Any] = {}
        async with FileSystemStateStore(state_dir=folder, max_backups=0) as store:
            # The first operation makes the thread.
            await store.exists(_PLUGIN)
            for _ in range(saves):
                data = {"number": next(_numbers), "text": text}
                begin = perf_counter_ns()
                await store.save(_PLUGIN, data)
                taken.append(perf_counter_ns() - begin)
            stored = await store.load(_PLUGIN)
            if stored is None or stored.data != data:
                raise WrongAnswerError("another document than was saved")
        return taken

    return anyio.run(main)


def _by_hand(folder: Path, text: str, saves: int) -> list[int]:
    taken = []
    for _ in range(saves):
        data = {"number": next(_numbers), "text": text}
        begin = perf_counter_ns()
        written = json.dumps({"version": 1, "data": data}, indent=2)
        write_by_hand(folder, written.encode())
        taken.append(perf_counter_ns() - begin)
    return taken


_ENGINES: dict[str, Callable[[Path, str, int], list[int]]] = {
    "latency_kv": _ours,
    "by-hand": _by_hand,
}

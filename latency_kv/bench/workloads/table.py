"""Table: every workload, under the field's name: what it does, and who is asked.

A turn does the workload once on one engine and returns how many operations it were and
the ns they took; with `spans`, the ns of each go there too.  It checks what it did, and
leaves the store with the keys that it found.

Scans come last: a store of ours that was never scanned keeps no order, and the workloads
before show it so.  An engine that cannot do a workload does not stand in its list;
whoever stands there owes a figure.  Start at `WORKLOADS`.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any, TypeAlias

from latency_kv.bench.workloads import outside
from latency_kv.bench.workloads.compiled import FxHashMap, OursCompiled
from latency_kv.bench.workloads.content import MANY, WINDOW, Block, Lap
from latency_kv.bench.workloads.engines import (
    MIXED_READS,
    BTree,
    Dict,
    Engine,
    Lmdb,
    Ours,
    RocksDb,
    SortedDictionary,
    Spans,
    Sqlite,
    WrongAnswerError,
)
from latency_kv.bench.workloads.redis_server import Redis
from latency_kv.bench.workloads.seat import Seat

__all__ = ["ENGINES", "IMAGES_LEAST", "REPEATS_MOST", "WORKLOADS", "Workload"]

ENGINES: dict[str, type[Engine]] = {
    kind.name: kind
    for kind in (
        Ours,
        OursCompiled,
        Dict,
        SortedDictionary,
        BTree,
        Lmdb,
        RocksDb,
        Sqlite,
        Redis,
        FxHashMap,
    )
}

_OURS = ("latency_kv", "latency_kv-cython")
_SORTED = ("SortedDict", "BTrees", "LMDB", "RocksDB", "sqlite3")
_POINTS = (*_OURS, "dict", *_SORTED, "Redis", "Rust-FxHash")
_PYTHON = ("latency_kv", "dict", *_SORTED)

REPEATS_MOST = 20
"""How often a small store is gone through in one turn, to tell the time."""

_REPEATED_BYTES = 64 << 20

IMAGES_LEAST = 3

_Turn: TypeAlias = "Callable[[Seat, Lap, Spans | None], tuple[int, int]]"
_OutsideTurn: TypeAlias = "Callable[[str, Lap, Spans | None], tuple[int, int]]"


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload, and the engines that owe a figure for it.

    operation: what one of them is.
    whole: a turn goes through the whole store, so there is one a process.
    pauses: what the longest calls are told over, "entries" or "s"; empty for nothing.
    outside: takes the place of `turn` where no store is filled.
    """

    name: str
    title: str
    operation: str
    turn: _Turn | None
    engines: tuple[str, ...]
    whole: bool = False
    pauses: str = ""
    outside: _OutsideTurn | None = None


def _repeats(lap: Lap, each: int, cost: int = 1) -> int:
    """How often what takes `each` entries is done in one turn."""
    _, key_bytes, value_bytes = lap.content.shape
    weight = each * (key_bytes + value_bytes)
    most = min(REPEATS_MOST // cost, lap.calls // each, _REPEATED_BYTES // weight)
    return max(1, most)


def _fill(
    seat: Seat,
    lap: Lap,
    keys: Block,
    spans: Spans | None,
    *,
    keep: bool,
    pace: int | None = None,
) -> tuple[int, int]:
    """Fill new stores; a small one often enough to tell the time."""
    values, count = seat.content.values, seat.content.shape.entries
    times = 1 if spans is not None else _repeats(lap, count, seat.kind.fill_pace)
    spent = 0
    for number in range(times):
        engine = seat.empty()
        try:
            if spans is None:
                spent += engine.fill(keys, values)
            else:
                spent += _fill_timed(engine, keys, values, spans, pace or engine.pace)
            if len(engine) != count:
                raise WrongAnswerError(f"{len(engine)} of {count} entries are there")
            _check_filled(engine, keys, values)
        except BaseException:
            engine.close()
            raise
        if keep and number == times - 1:
            seat.keep(engine)
            seat.check()
        else:
            engine.close()
    return times * count if spans is None else len(spans), spent


def _fill_timed(
    engine: Engine, keys: Block, values: Block, spans: Spans, pace: int
) -> int:
    """Time each put by itself; of a slow engine those of the last part."""
    timed = max(1, keys.count // pace)
    if timed == keys.count:
        return engine.run("put", keys, values, spans=spans)
    early = keys.count - timed
    engine.fill(keys.first(early), values.first(early))
    late = Seat.block(keys.cut(early)), Seat.block(values.cut(early))
    return engine.run("put", *late, spans=spans)


def _check_filled(engine: Engine, keys: Block, values: Block) -> None:
    last = max(0, keys.count - MANY)
    some = Seat.block(keys.cut(last))
    if engine.answers("get", some) != values.cut(last):
        raise WrongAnswerError("get: other values than were put")


def _fillseq(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Put all entries in the order of their keys."""
    return _fill(seat, lap, lap.content.in_order, spans, keep=False)


def _fillrandom(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Put all entries in random order; the other workloads go on with this store."""
    return _fill(seat, lap, lap.content.keys, spans, keep=spans is None)


def _growth(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Grow from nothing, each put timed by itself."""
    return _fill(seat, lap, lap.content.keys, spans, keep=False, pace=1)


def _paced(block: Block, seat: Seat) -> Block:
    return block.first(max(1, block.count // seat.kind.pace))


def _overwrite(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Overwrite entries at random."""
    keys = _paced(lap.picked, seat)
    spent = seat.put(keys, lap.values, spans)
    seat.check()
    return keys.count, spent


def _reading(stream: Callable[[Lap], Block]) -> _Turn:
    def read(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
        keys = _paced(stream(lap), seat)
        spent = seat.engine.run("get", keys, spans=spans)
        seat.check()
        return keys.count, spent

    return read


def _readmissing(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Get keys that are not there."""
    keys = _paced(lap.absent, seat)
    spent = seat.engine.run("get", keys, spans=spans)
    seat.check_absent(keys)
    return keys.count, spent


def _multiget(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Get batches of random keys."""
    keys = _paced(lap.picked, seat)
    spent = seat.engine.run("multiget", keys, spans=spans)
    seat.check_many()
    return -(-keys.count // MANY), spent


def _scanning(operation: str) -> _Turn:
    def scan(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
        if operation == "prefixscan":
            blocks = [_paced(lap.starts, seat), _paced(lap.stops, seat)]
        else:
            blocks = [_paced(lap.picked.first(lap.scans), seat)]
        seat.check_scans(operation)
        spent = seat.engine.run(operation, *blocks, spans=spans)
        return blocks[0].count, spent

    return scan


def _deleterandom(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Delete entries at random, and put them back outside of the timed part."""
    keys, entries = _paced(lap.distinct, seat), lap.content.shape.entries
    turns = 1 if spans is not None else _repeats(lap, seat.kind.pace * keys.count)
    spent = 0
    for _ in range(turns):
        spent += seat.engine.run("delete", keys, spans=spans)
        seat.expect(entries - keys.count)
        seat.check_absent(keys)
        seat.put(keys, lap.values)
    seat.check()
    return turns * keys.count, spent


def _mixed(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Six reads, two overwrites, a new key and a deletion, again and again.

    What is deleted is a new key of WINDOW steps ago, so the store keeps its size.
    """
    steps = max(1, lap.calls // 10 // seat.kind.pace)
    picked, values = lap.picked.cut(), lap.values.first(steps)
    columns = [picked[number::10] for number in range(len(MIXED_READS) + 2)]
    *reads, over, other = (Seat.block(column).first(steps) for column in columns)
    new = lap.absent.first(WINDOW + steps)
    early, news = new.first(WINDOW), Seat.block(new.cut(WINDOW))
    seat.engine.run("put", early, lap.values.first(WINDOW))
    writes = (over, values, other, news, values, new.first(steps))
    spent = seat.engine.run("mixed", *reads, *writes, spans=spans)
    for keys in zip(over.cut(), other.cut(), values.cut(), strict=True):
        seat.hold(keys[0], keys[2])
        seat.hold(keys[1], keys[2])
    seat.check_absent(new.first(steps))
    seat.engine.run("delete", Seat.block(new.cut(steps)))
    seat.check()
    return steps, spent


def _snapshot(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Overwrite at random; a snapshot is taken after a quarter, dropped after three.

    Taking and dropping it are calls like the puts.
    """
    engine: Any = seat.engine
    keys = _paced(lap.picked, seat)
    quarter = max(1, keys.count // 4)
    spent = seat.put(keys.first(quarter), lap.values, spans)
    under = Seat.block(keys.cut(quarter, 3 * quarter))
    before = engine.answers("get", under.first(MANY))
    engine.settle()
    taken, span = _timed(engine.snapshot, spans)
    spent += span + seat.put(under, lap.values, spans)
    if engine.answers("get", under.first(MANY), of=taken) != before:
        raise WrongAnswerError("a snapshot that changes")
    drop = [taken]
    del taken
    spent += _timed(drop.clear, spans)[1]
    spent += seat.put(Seat.block(keys.cut(3 * quarter)), lap.values, spans)
    seat.check()
    return keys.count + 2, spent


def _timed(call: Callable[[], Any], spans: Spans | None) -> tuple[Any, int]:
    begin = perf_counter_ns()
    result = call()
    span = perf_counter_ns() - begin
    if spans is not None:
        spans.append(span)
    return result, span


def _images(lap: Lap, spans: Spans | None) -> int:
    """How many images of a small store tell the time, and a middle one."""
    least = 1 if spans is None else IMAGES_LEAST
    return max(least, _repeats(lap, lap.content.shape.entries))


def _encode(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Make bytes of everything; a store of ours sorts for that."""
    engine: Any = seat.engine
    spent, images, image = 0, _images(lap, spans), b""
    for _ in range(images):
        image, span = _timed(engine.encode, spans)
        spent += span
    seat.check(of=engine.decode(image))
    return images, spent


def _restore(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Make a store of such bytes."""
    engine: Any = seat.engine
    image = engine.encode()
    spent, images, other = 0, _images(lap, spans), None
    for _ in range(images):
        other, span = _timed(lambda: engine.decode(image), spans)
        spent += span
    seat.check(of=other)
    return images, spent


def _checkpoint(seat: Seat, lap: Lap, spans: Spans | None) -> tuple[int, int]:
    """Overwrite at random while a checkpoint is written in the background.

    Beginning it is a call like the puts, and first.  There are as many puts as in other
    turns, or more, until the checkpoint is on the disk.
    """
    engine: Any = seat.engine
    keys, count = _paced(lap.picked, seat), 1
    least, some = keys.count, keys.first(MANY)
    before = engine.answers("get", some)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        is_done, spent = _timed(lambda: engine.checkpoint(folder), spans)
        at, step = 0, max(1, keys.count // 100)
        is_written = False
        while not is_written or count <= least:
            is_written = is_written or is_done()
            next_keys = Seat.block(keys.cut(at, at + step))
            spent += seat.put(next_keys, lap.values, spans)
            count += next_keys.count
            at = at + step if at + 2 * step <= keys.count else 0
        found = engine.recovered(folder)
        if engine.answers("get", some, of=found) != before:
            raise WrongAnswerError("a checkpoint of something else")
        if hasattr(found, "close"):
            found.close()
        del found
        gc.collect()
    seat.check()
    return count, spent


WORKLOADS = (
    Workload(
        "fillseq",
        "put all entries in key order",
        "a put",
        _fillseq,
        _POINTS,
        whole=True,
    ),
    Workload(
        "fillrandom",
        "put all entries in random order",
        "a put",
        _fillrandom,
        _POINTS,
        whole=True,
    ),
    Workload(
        "growth",
        "grow from nothing, each put timed by itself",
        "a put",
        _growth,
        tuple(name for name in _POINTS if name != "Redis"),
        whole=True,
        pauses="entries",
    ),
    Workload(
        "readrandom",
        "get random keys",
        "a get",
        _reading(lambda lap: lap.picked),
        _POINTS,
    ),
    Workload(
        "readmissing", "get keys that are not there", "a get", _readmissing, _POINTS
    ),
    Workload(
        "readhot",
        "get random keys of a hundredth of all",
        "a get",
        _reading(lambda lap: lap.hot),
        _POINTS,
    ),
    Workload(
        "readzipf",
        "get keys by Zipf's law, exponent 0.99",
        "a get",
        _reading(lambda lap: lap.zipf),
        _POINTS,
    ),
    Workload(
        "multiget",
        "get 100 random keys at once",
        "100 gets",
        _multiget,
        ("latency_kv", "dict", "SortedDict", "LMDB", "RocksDB", "Redis"),
    ),
    Workload("overwrite", "overwrite random entries", "a put", _overwrite, _POINTS),
    Workload(
        "deleterandom", "delete random entries", "a deletion", _deleterandom, _POINTS
    ),
    Workload(
        "mixed",
        "6 gets, 2 overwrites, a new key, a deletion",
        "10 calls",
        _mixed,
        (*_PYTHON, "Redis"),
    ),
    Workload(
        "snapshot",
        "overwrite while a snapshot is taken, held and dropped",
        "a put",
        _snapshot,
        (*_OURS, "dict", "SortedDict", "BTrees", "LMDB", "RocksDB"),
        pauses="s",
    ),
    Workload(
        "encode",
        "make bytes of the whole store",
        "an image",
        _encode,
        ("latency_kv", "dict", "SortedDict", "sqlite3"),
        whole=True,
    ),
    Workload(
        "restore",
        "make a store of such bytes",
        "an image",
        _restore,
        ("latency_kv", "dict", "SortedDict", "sqlite3"),
        whole=True,
    ),
    Workload(
        "checkpoint",
        "overwrite while a checkpoint is written to disk",
        "a put",
        _checkpoint,
        ("latency_kv", "dict", "LMDB", "RocksDB"),
        pauses="s",
    ),
    Workload(
        "prefixscan",
        "scan the 100 entries of a random prefix",
        "a scan",
        _scanning("prefixscan"),
        (*_OURS, *_SORTED),
    ),
    Workload(
        "rangescan",
        "scan 100 entries from a random key on",
        "a scan",
        _scanning("rangescan"),
        (*_OURS, *_SORTED),
    ),
    Workload(
        "documents",
        "save a document durably",
        "a save",
        None,
        ("latency_kv", "by-hand"),
        outside=outside.documents,
    ),
    Workload(
        "import",
        "import it in a fresh process",
        "an import",
        None,
        tuple(outside.IMPORTS),
        outside=outside.importing,
    ),
)

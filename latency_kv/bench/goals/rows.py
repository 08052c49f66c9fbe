"""Rows: everything that is measured, against whom, and what has to be reached.

This table is the page to read: a row names what it does, the function that measures it
and one case for each size and peer, with the most that its ratio, or our own figure,
may be.  A row without either is there for context.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace

from latency_kv.bench.children import output
from latency_kv.bench.figures import (
    MICROSECOND,
    MILLISECOND,
    Case,
    Figure,
    Pair,
    Plan,
    Row,
    judge,
)
from latency_kv.bench.goals import (
    documents,
    finds,
    footprint,
    images,
    pauses,
    plugin_states,
    points,
    scans,
)

_K = 1_000
_M = 1_000_000

_TARGET = 500.0
"""What a get of a hot key may take, in ns."""

_HOT = (100, _K, 10 * _K, 100 * _K)

ROWS = (
    Row(
        "get-fresh",
        "get, fresh keys",
        points.get_fresh,
        (
            Case(_K, "dict", goal=0.65),
            Case(100 * _K, "dict", goal=0.45),
            Case(_M, "dict", goal=0.35),
        ),
    ),
    Row(
        "get-same",
        "get, the same key objects",
        points.get_same,
        (Case(_K, "dict", goal=1.3), Case(100 * _K, "dict", goal=0.85)),
    ),
    Row(
        "get-idle",
        "get, the same key objects",
        points.get_idle,
        (Case(_K, "a method that does nothing", goal=2.2),),
    ),
    Row(
        "find",
        "find from Cython",
        finds.find,
        (
            Case(_K, "Rust HashMap + FxHash", goal=0.85),
            Case(100 * _K, "Rust HashMap + FxHash", goal=0.7),
            Case(_M, "Rust HashMap + FxHash", goal=0.35),
        ),
    ),
    Row(
        "find-read",
        "find from Cython, the value looked into",
        finds.find_read,
        (
            Case(_K, "Rust HashMap + FxHash"),
            Case(100 * _K, "Rust HashMap + FxHash"),
            Case(_M, "Rust HashMap + FxHash"),
        ),
    ),
    Row(
        "get-many",
        "get_many of 1,000 random keys, a key",
        points.get_many,
        (Case(_M, "dict", goal=0.15),),
    ),
    Row(
        "get-array",
        "get_array of 1,000 random keys, a key",
        points.get_array,
        (Case(_M, "dict"),),
    ),
    Row(
        "find-many",
        "find_many of 500 random keys from Cython, a key",
        finds.find_many,
        (
            Case(100 * _K, "Rust HashMap + FxHash"),
            Case(_M, "Rust HashMap + FxHash"),
        ),
    ),
    Row(
        "put-array",
        "put_array into an empty store, an entry",
        points.put_array,
        (Case(300 * _K, "dict"),),
    ),
    Row(
        "put-new",
        "put, fresh keys, new",
        points.put_new,
        (Case(300 * _K, "dict", goal=0.7),),
    ),
    Row(
        "put-over",
        "put, fresh keys, overwriting",
        points.put_over,
        (Case(300 * _K, "dict", goal=0.4),),
    ),
    Row(
        "memory",
        "memory of an entry, without an index",
        footprint.memory,
        (Case(_M, "dict", goal=0.45),),
        unit="bytes",
    ),
    Row(
        "memory-index",
        "memory of an entry, with an index",
        footprint.memory_with_index,
        (Case(_M, "dict", goal=0.6),),
        unit="bytes",
    ),
    Row(
        "longest-put",
        "longest put while growing from 0 (CPU time)",
        pauses.longest_put,
        (Case(2 * _M, "dict", goal=0.01, limit=200 * MICROSECOND),),
    ),
    Row(
        "prefix-scan",
        "prefix scan of 100, random prefixes, an entry",
        scans.prefix_scan,
        (Case(_M, "BTrees", goal=0.45), Case(_M, "SortedDict", goal=0.15)),
    ),
    Row(
        "same-prefix",
        "prefix scan of 100, the same prefix, an entry",
        scans.same_prefix,
        (Case(_M, "BTrees", goal=1.1),),
    ),
    Row(
        "walk",
        "full ordered iteration, an entry",
        scans.walk,
        (Case(_M, "BTrees", goal=0.6),),
    ),
    Row(
        "put-scan",
        "put, then scan 10",
        scans.put_and_scan,
        (Case(_M, "SortedDict", goal=0.2),),
    ),
    # The tree of a large store is a few levels deeper, and nothing else may grow.
    Row(
        "open-scan",
        "open a scan of everything, take one entry",
        scans.open_scan,
        (Case(_M, "the same at 10 entries", goal=2.0),),
    ),
    Row(
        "snapshot",
        "snapshot(), pause",
        pauses.snapshot,
        (Case(_M, "dict.copy()", goal=0.002),),
    ),
    Row(
        "held-p999",
        "put under a snapshot, p99.9 (CPU time)",
        pauses.held_p999,
        (Case(_M, "", limit=10 * MICROSECOND),),
    ),
    Row(
        "held-longest",
        "put under a snapshot, longest (CPU time)",
        pauses.held_longest,
        (Case(_M, "without a snapshot", goal=2.0),),
    ),
    Row(
        "drop-snapshot",
        "drop it after 200,000 overwrites, pause",
        pauses.drop_snapshot,
        (Case(_M, "", limit=MILLISECOND),),
    ),
    Row(
        "encode",
        "encode an image, without an index",
        images.encode,
        (Case(_M, "pickle.dumps(dict)", goal=0.5),),
    ),
    Row(
        "encode-index",
        "encode an image, with an index",
        images.encode_indexed,
        (Case(_M, "pickle.dumps(dict)", goal=0.12),),
    ),
    Row(
        "put-beside",
        "put while another thread encodes an image",
        images.put_beside,
        (Case(_M, "while none does", goal=2.0),),
    ),
    Row(
        "restore",
        "restore from an image",
        images.restore,
        (Case(_M, "pickle.loads", goal=0.3),),
    ),
    Row(
        "restore-index",
        "restore from an image, ordered=True",
        images.restore_indexed,
        (Case(_M, "pickle.loads"),),
    ),
    Row(
        "save",
        "save a document of 10 members, no backups",
        documents.save,
        (Case(10, "write, fsync, rename, fsync by hand", goal=1.5),),
    ),
    Row(
        "save-backups",
        "save a document of 10 members, 3 backups",
        documents.save_with_backups,
        (Case(10, "the same system calls by hand", goal=1.5),),
    ),
    Row(
        "backups",
        "save a document of 10 members, 3 backups",
        documents.backups,
        (Case(10, "without backups"),),
    ),
    Row(
        "save-memory",
        "save a document of 10 members in memory",
        documents.save_in_memory,
        (Case(10, "write, fsync, rename, fsync by hand"),),
    ),
    Row(
        "events",
        "save in memory, a listener to all events",
        documents.events,
        (Case(10, "without a listener"),),
    ),
    Row(
        "load",
        "load a document of 10 members",
        documents.load,
        (Case(10, "read and json.loads by hand"),),
    ),
    Row(
        "save-plugins",
        "save 1,000 plugins' documents at once, each",
        documents.side_by_side,
        (Case(_K, "one after another"),),
    ),
    Row(
        "state-get",
        "get of a plugin's object",
        plugin_states.get,
        (Case(_K, "dict", goal=2.0),),
    ),
    Row(
        "state-set",
        "set of a plugin's object, overwriting",
        plugin_states.put,
        (Case(_K, "dict"),),
    ),
    Row(
        "stored-get",
        "get of a plugin's stored number",
        plugin_states.stored_get,
        (Case(_K, "dict and msgspec by hand"),),
    ),
    Row(
        "stored-set",
        "set of a plugin's stored number, overwriting",
        plugin_states.stored_set,
        (Case(_K, "dict and msgspec by hand"),),
    ),
    Row(
        "import",
        "import latency_kv's store",
        footprint.importing,
        (Case(0, "", limit=60 * MILLISECOND),),
    ),
    Row(
        "get-hot",
        "get from Python, one hot key",
        points.get_hot,
        tuple(Case(size, "dict", limit=_TARGET) for size in _HOT),
    ),
    Row(
        "find-hot",
        "find from Cython, one hot key",
        finds.find_hot,
        tuple(Case(size, "Rust HashMap + FxHash", limit=_TARGET) for size in _HOT),
    ),
    Row(
        "lmdb-get",
        "get, fresh keys",
        points.get_fresh,
        (Case(_M, "LMDB"),),
    ),
    Row(
        "lmdb-scan",
        "prefix scan of 100, random prefixes, an entry",
        scans.prefix_scan,
        (Case(_M, "LMDB"),),
    ),
)


def chosen(names: Sequence[str]) -> tuple[Row, ...]:
    """Return the rows of these names, all for none; raise ValueError on a wrong one."""
    known = [row.name for row in ROWS]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise ValueError(f"no row {', '.join(wrong)}; there are {', '.join(known)}")
    return tuple(row for row in ROWS if not names or row.name in names)


def measure(
    rows: Sequence[Row], plan: Plan, announce: Callable[[int, int, str], None]
) -> Iterator[Figure]:
    """Measure row by row; what cannot be measured here is a figure that says why.

    `announce` hears of each case before it starts: how many are done, of how many.
    """
    work = [(row, case) for row in rows for case in _distinct(row.cases, plan)]
    for done, (row, case) in enumerate(work):
        announce(done, len(work), row.name)
        yield _measured(row, case, plan)


def _distinct(cases: Sequence[Case], plan: Plan) -> list[Case]:
    """Return the cases that a plan's largest store leaves apart."""
    first: dict[tuple[int, str], Case] = {}
    for case in cases:
        first.setdefault((plan.size(case.size), case.peer), case)
    return list(first.values())


def _measured(row: Row, case: Case, plan: Plan) -> Figure:
    if plan.processes == 1:
        return judge(row, case, plan, pair_of(row, case, plan))
    task = json.dumps([row.name, asdict(case), asdict(replace(plan, processes=1))])
    told = [
        json.loads(output("-m", "latency_kv.bench.goals.worker", task))
        for _ in range(plan.processes)
    ]
    return judge(row, case, plan, Pair.pooled([Pair(**each) for each in told]))


def pair_of(row: Row, case: Case, plan: Plan) -> Pair:
    """Measure a case in this process; what is missing for it is its note."""
    try:
        return row.measure(plan.size(case.size), case.peer, plan)
    except ImportError as error:
        return Pair(None, None, str(error))

"""Peers: the engines that are compared, and how each one says get, put and scan.

An engine is a constructor and a handful of phrases, the code that its users write; the
loops of timing.py are compiled from them.  A peer that is not installed raises
ImportError with what to install.
"""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from latency_kv.bench.figures import Pair
from latency_kv.bench.timing import duel
from latency_kv.core.store import InMemoryStore

Pairs = Iterable[tuple[bytes, bytes]]

_LMDB_BYTES = 1 << 32
"""Address space that LMDB may map: far above the largest row, and costs nothing."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine: `make(pairs)` fills a new one, the phrases act on `target`.

    Phrases name what their loop provides: key and value; start and stop of a group of
    keys.  An engine without a phrase is never asked for that row.
    """

    name: str
    make: Callable[[Pairs], Any]
    get: str = "target.get(key)"
    put: str = "target[key] = value"
    scan: str = ""
    walk: str = ""
    near: str = ""


def peer(name: str) -> Engine:
    """Return the engine of that name."""
    return _ENGINES[name]


def versus(
    side: Callable[[Engine], Callable[[], float]],
    peer_name: str,
    rounds: int,
    *,
    warm: bool = True,
) -> Pair:
    """Let the store and the peer take turns at what `side` prepares for each."""
    return duel(side(STORE), side(peer(peer_name)), rounds, warm=warm)


def required(module: str, extra: str = "bench") -> Any:
    """Import a peer; ImportError says what to install."""
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        hint = f"{package} is not installed: pip install 'latency-kv[{extra}]'"
        raise ImportError(hint) from error


def _sorted_dict(pairs: Pairs) -> Any:
    return required("sortedcontainers").SortedDict(pairs)


def _btree(pairs: Pairs) -> Any:
    tree = required("BTrees.OOBTree").OOBTree()
    for key, value in pairs:
        tree[key] = value
    return tree


def _lmdb(pairs: Pairs) -> Any:
    """Return a read transaction over a file that has no name left: it goes with it."""
    lmdb = required("lmdb")
    with tempfile.TemporaryDirectory() as folder:
        environment = lmdb.open(folder, map_size=_LMDB_BYTES, sync=False, lock=False)
        with environment.begin(write=True) as transaction:
            transaction.cursor().putmulti(sorted(pairs), append=True)
        return environment.begin()


STORE = Engine(
    "latency_kv",
    InMemoryStore,
    put="target.put(key, value)",
    scan="for key, value in target.prefix_scan(start): pass",
    walk="for key, value in target.prefix_scan(): pass",
    near="for near, value in target.range_scan(start, limit=10): pass",
)

_ENGINES = {
    engine.name: engine
    for engine in (
        STORE,
        Engine("dict", dict),
        Engine(
            "BTrees",
            _btree,
            scan="for key, value in target.iteritems(start, stop, False, True): pass",
            walk="for key, value in target.iteritems(): pass",
            near="for near, value in islice(target.iteritems(start), 10): pass",
        ),
        Engine(
            "SortedDict",
            _sorted_dict,
            scan="for key in target.irange(start, stop, (True, False)): target[key]",
            walk="for key, value in target.items(): pass",
            near="for near in islice(target.irange(start), 10): target[near]",
        ),
        Engine(
            "LMDB",
            _lmdb,
            scan="""
                cursor = target.cursor()
                cursor.set_range(start)
                for key, value in cursor:
                    if key >= stop:
                        break
                """,
        ),
    )
}

"""Counted: the operations whose instructions are counted, each done twice.

    python counted.py FOLDER SECRET [NAME ...]

instructions.py runs this under callgrind; FOLDER has counted_loops.pyx, compiled.
Every operation is prepared, then done n times and 2n times, each between two marks:
what the second took more is n operations and nothing else.  So that two runs count the
same, keys are seeded, and so are the secrets of the hash.  Prints the facts of this
process, and the work between marks in its order.  Start with `OPERATIONS`.
"""

import gc
import json
import os
import platform
import random
import re
import sys
import sysconfig
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

FOLDER, SECRET, *NAMES = sys.argv[1:]

# Before the import: with it the package draws its secrets.
os.urandom = random.Random(int(SECRET)).randbytes

from latency_kv import InMemoryStore
from latency_kv.core import store as core

sys.path.insert(0, FOLDER)
loops: Any = import_module("counted_loops")

SIZE = 16
"""Bytes of a key, and of a value."""

ENTRIES = 10_000
FILL = 2_000
"""Entries that a new store takes: pages split in waves, and this is a few of them."""

BATCH = 1_000

TRIES = 3
"""The allocator of small objects has bad moments, at which each call changes its pools;
a few objects more, and it has another."""

STRAY = 7
"""Objects that are left behind by each try."""

_COMPILER = re.compile(rb"GCC: \([^)\0]*\) [^\0]+|clang version [^\0]+")
_CODE_OPTION = re.compile(r"(?<!\S)-[fmO][^\s/]*(?!\S)")

Pairs = list[tuple[bytes, bytes]]
Work = Callable[[], object]

_alive: list[object] = []
"""Nothing is freed: no operation finds what another one left."""


class Operation(NamedTuple):
    """`prepare(count)` returns what does the operation so often."""

    name: str
    prepare: Callable[[int], Work]
    calls: int = FILL


@cache
def block(seed: int) -> bytes:
    """Random keys, or values, one behind the other."""
    return random.Random(seed).randbytes(ENTRIES * SIZE)


def cut(seed: int, count: int) -> list[bytes]:
    """Return the first keys of a block as new objects."""
    return [block(seed)[at : at + SIZE] for at in range(0, count * SIZE, SIZE)]


def pairs(values: int, count: int) -> Pairs:
    return list(zip(cut(1, count), cut(values, count), strict=True))


def filled() -> InMemoryStore:
    """A store of its own, for what writes."""
    store = InMemoryStore(pairs(2, ENTRIES))
    _alive.append(store)
    return store


@cache
def kept() -> InMemoryStore:
    """The store of all that only reads; it has its index."""
    store = InMemoryStore(pairs(2, ENTRIES), ordered=True)
    store.check()
    return store


def empty(count: int, *, ordered: bool = False) -> list[InMemoryStore]:
    """As many stores as take so many entries."""
    stores = [InMemoryStore(ordered=ordered) for _ in range(count // FILL)]
    _alive.extend(stores)
    return stores


# A loop for each call: an interpreter specialises them where they stand.


def get_of_dict(target: dict[bytes, bytes], keys: list[bytes]) -> None:
    for key in keys:
        target.get(key)


def get(store: InMemoryStore, keys: list[bytes]) -> None:
    for key in keys:
        store.get(key)


def get_many(store: InMemoryStore, keys: list[bytes]) -> None:
    for start in range(0, len(keys), BATCH):
        store.get_many(keys[start : start + BATCH])


def put(stores: list[InMemoryStore], pairs: Pairs) -> None:
    for store in stores:
        for key, value in pairs:
            store[key] = value


def delete(store: InMemoryStore, keys: list[bytes]) -> None:
    for key in keys:
        store.delete(key)


def scan(store: InMemoryStore, count: int) -> None:
    for _key, _value in store.prefix_scan(limit=count):
        pass


def snapshot(store: InMemoryStore, count: int) -> None:
    for _ in range(count):
        store.snapshot()


def put_beside_snapshot(store: InMemoryStore, pairs: Pairs) -> None:
    for key, value in pairs:
        _alive.append(store.snapshot())
        store[key] = value


def put_all(stores: list[InMemoryStore], values: bytes, count: int) -> None:
    for store in stores:
        loops.put_all(store, block(1)[: count * SIZE], values)


def of_c(loop: Callable[..., object], seed: int, store: Callable[[], Any]) -> Any:
    return lambda n: partial(loop, store(), block(seed)[: n * SIZE])


OPERATIONS = (
    # What the interpreter takes: nothing in it is ours.
    Operation(
        "dict.get", lambda n: partial(get_of_dict, dict(pairs(2, ENTRIES)), cut(1, n))
    ),
    Operation("find, hit", of_c(loops.find_all, 1, kept)),
    Operation("find, miss", of_c(loops.find_all, 3, kept)),
    Operation("c_put, new", lambda n: partial(put_all, empty(n), block(2), FILL)),
    Operation("c_put, over", lambda n: partial(put_all, [filled()], block(3), n)),
    Operation("c_delete", of_c(loops.delete_all, 1, filled)),
    Operation("cursor_next", lambda n: partial(loops.scan_all, kept(), n)),
    Operation("get, hit", lambda n: partial(get, kept(), cut(1, n))),
    Operation("get, miss", lambda n: partial(get, kept(), cut(3, n))),
    Operation("get_many, a key", lambda n: partial(get_many, kept(), cut(1, n))),
    Operation("put, new", lambda n: partial(put, empty(n), pairs(2, FILL))),
    Operation(
        "put, new, with an index",
        lambda n: partial(put, empty(n, ordered=True), pairs(2, FILL)),
    ),
    Operation("put, over", lambda n: partial(put, [filled()], pairs(3, n))),
    Operation("delete", lambda n: partial(delete, filled(), cut(1, n))),
    Operation("scan, an entry", lambda n: partial(scan, kept(), n)),
    Operation("snapshot", lambda n: partial(snapshot, kept(), n), 200),
    Operation(
        "snapshot, then put over",
        lambda n: partial(put_beside_snapshot, filled(), pairs(3, n)),
        200,
    ),
)


def facts() -> dict[str, str]:
    """Return what the counts depend on, apart from the sources."""
    binary = Path(core.__file__).read_bytes()
    compilers = sorted({found.decode() for found in _COMPILER.findall(binary)})
    options = _CODE_OPTION.findall(sysconfig.get_config_var("CFLAGS") or "")
    return {
        "architecture": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libc": " ".join(platform.libc_ver()),
        "compiler": ", ".join(compilers) or "unknown",
        "options": " ".join(options),
        "cython": version("Cython"),
    }


def main() -> None:
    known = [operation.name for operation in OPERATIONS]
    if unknown := set(NAMES) - {*known}:
        sys.exit(f"no operation {', '.join(unknown)}: there are {'; '.join(known)}")
    gc.disable()
    done = []
    for name, prepare, calls in OPERATIONS:
        if NAMES and name not in NAMES:
            continue
        # An interpreter that specialises has done so after this.
        prepare(calls)()
        for _ in range(TRIES):
            for times in (1, 2):
                work = prepare(times * calls)
                loops.mark()
                work()
                loops.mark()
                done.append([name, times * calls])
            _alive.append([bytes(SIZE) + b"." for _ in range(STRAY)])
    print(json.dumps({"facts": facts(), "work": done}))


if __name__ == "__main__":
    main()

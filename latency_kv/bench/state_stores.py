"""State stores: each provider beside the bare client of its engine, over URLs.

    python -m latency_kv.bench.state_stores memory: lmdb:state redis://localhost

Sets, gets and listings a second, when 1, 32 and 128 tasks make them.  Both sides have
the same keys of 16 bytes in the same order at random, values of 100 bytes of JSON, as
many connections, and take turns round by round in one event loop, garbage collector on;
a figure is the median of its rounds.  Sets go over values that are there.  A listing
has 100 keys of the store's.

Both work in namespaces that nobody else has, which are empty at the end.  What the
server does is in both figures: on one machine with it, it hides some of the overhead.

Ends with 0 when every URL was measured, whatever the verdicts; with 1 when one was not,
or this build must not be measured; with 2 for wrong options.  Start at `measured`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import SplitResult

from latency_kv.bench import machine
from latency_kv.bench.bare_clients import Bare, BareClient, OwnBare, bare_client
from latency_kv.bench.progress import Progress
from latency_kv.bench.report import number
from latency_kv.documents.store import FileSystemStateStore
from latency_kv.facets.stores import BatchStateStore, OpenedStateStore, StateStore
from latency_kv.providers.file import FileStateStore
from latency_kv.providers.state_keys import redacted_url, url_parts
from latency_kv.providers.state_stores import open_state_store

__all__ = ["FULL", "QUICK", "Counts", "StoreFigure", "main", "measured"]

GOAL = 1.3
"""How much longer than the bare client's a provider's get or set may take."""

GROUP = 100
"""Keys that have a prefix in common."""

CONNECTIONS = 32

TASKS = (1, 32, 128)

# Schemes whose provider has a pool of connections.
_POOLED = {
    "postgresql",
    "postgres",
    "redis",
    "rediss",
    "redis-cluster",
    "rediss-cluster",
}

# Schemes that are followed by a path.
_OF_FOLDERS = {"file", "lmdb"}

_CLIENTS = ("redis", "hiredis", "asyncpg", "lmdb")

_NAMESPACE = "bench"

_KEY_SIZE = 16
_VALUE_SIZE = 100

_EPILOG = """\
Keys are put into namespaces that nobody else has, and deleted at the end.

examples:
  %(prog)s memory: file:/tmp/x lmdb:/tmp/y --quick
  %(prog)s redis://localhost
  %(prog)s postgresql://me@localhost/db
  %(prog)s redis-cluster://localhost:7000 --json stores.json

Clients: pip install 'latency-kv[lmdb,postgres,redis]'.
"""

# How many are stored or deleted at once, apart from what is measured.
_AT_ONCE = 1_000
_DELETERS = 64

FEW = 16
"""Calls that tell how many fill a round; or one for each task."""

PROBES = 2
"""How often that is found out: the first calls also pay for the connections."""

# Values that are looked at after a round of sets.
_CHECKED = 5


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is measured.

    entries: of a store, in groups; document_entries: where each write writes them all.
    round_s: what a round takes on the slower side, in seconds, about.
    """

    entries: int
    document_entries: int
    rounds: int
    round_s: float
    tasks: tuple[int, ...] = TASKS


FULL = Counts(entries=20_000, document_entries=1_000, rounds=9, round_s=0.3)
QUICK = Counts(entries=2_000, document_entries=200, rounds=3, round_s=0.05)


@dataclass(frozen=True, slots=True)
class StoreFigure:
    """One operation of one store by so many tasks; calls a second, medians of rounds.

    theirs is None where there is no bare client; ratio is ours / theirs of a call's time.
    A spread is what lies between the fastest and the slowest round, as a share.
    cpu_ratio is that of the processor's time that this process takes for a call, threads
    and all: what other processes are up to, the server too, is not in it.
    """

    store: str
    engine: str
    operation: str
    tasks: int
    entries: int
    calls: int
    ours: float
    ours_spread: float
    theirs: float | None
    theirs_spread: float | None
    ratio: float | None
    cpu_ratio: float | None
    reached: bool | None


async def measured(
    url: str, counts: Counts, connections: int, show: Callable[[int, str], None]
) -> AsyncGenerator[StoreFigure, None]:
    """Measure a store beside its bare client; show is told what comes now."""
    done = 0
    parts = url_parts(url)
    size = counts.document_entries if parts.scheme == "file" else counts.entries
    keys = _keys(size)
    name = _name(parts)
    options = {"pool_size": connections} if parts.scheme in _POOLED else {}
    mark = secrets.token_hex(4)
    namespaces = [f"{_NAMESPACE}-{mark}", f"{_NAMESPACE}-{mark}-bare"]
    async with AsyncExitStack() as stack:
        bare: Bare | None
        try:
            opening = bare_client(parts, namespaces, connections)
        except LookupError:
            bare = None
        else:
            show(done, "opening the bare client")
            bare = await stack.enter_async_context(opening)
        show(done, "filling")
        ours = await stack.enter_async_context(
            _filled(url, namespaces[0], keys, options)
        )
        if isinstance(bare, OwnBare):
            await bare.fill({key: _value(key, 0) for key in keys})
        elif bare is not None:
            await stack.enter_async_context(_filled(url, namespaces[1], keys, options))
        engine = f"no bare client of {parts.scheme}:" if bare is None else bare.engine
        sides: list[Any] = [ours]
        sides += [] if bare is None else [bare]
        for operation, run in _OPERATIONS.items():
            for tasks in counts.tasks:
                show(done, f"{operation}, {tasks} tasks")
                calls, races = await _race(sides, run, keys, tasks, counts)
                mine, mine_spread, mine_cpu = _summary(races[0])
                other, other_spread, other_cpu = (
                    (None, None, None) if bare is None else _summary(races[1])
                )
                ratio = mine / other if other else None
                has_goal = ratio is not None and operation in _WITH_GOAL
                done += 1
                yield StoreFigure(
                    store=name,
                    engine=engine,
                    operation=operation,
                    tasks=tasks,
                    entries=size,
                    calls=calls,
                    ours=calls / mine,
                    ours_spread=mine_spread,
                    theirs=calls / other if other else None,
                    theirs_spread=other_spread,
                    ratio=ratio,
                    cpu_ratio=mine_cpu / other_cpu if other_cpu else None,
                    reached=ratio <= GOAL if ratio and has_goal else None,
                )
        show(done, "emptying")


class _Span(NamedTuple):
    """What a round took, in seconds: by the clock, and of the processor."""

    wall: float
    cpu: float


_Calls: TypeAlias = Iterator[tuple[str, dict[str, Any]]]

_Run: TypeAlias = Callable[[Any, _Calls], Coroutine[Any, Any, None]]


async def _set(side: BareClient, calls: _Calls) -> None:
    for key, value in calls:
        await side.set(key, value)


async def _get(side: BareClient, calls: _Calls) -> None:
    for key, _ in calls:
        value = await side.get(key)
        # It has its key in it, so a wrong value is not taken for this one.
        if value is None or value["key"] != key:
            raise RuntimeError(f"{key!r} was stored, and not found")


async def _list(side: BareClient, calls: _Calls) -> None:
    for key, _ in calls:
        if len(await side.keys(_prefix(key))) != GROUP:
            raise RuntimeError(f"{_prefix(key)!r} has not {GROUP} keys")


_OPERATIONS: dict[str, _Run] = {"set": _set, "get": _get, "list": _list}

_WITH_GOAL = ("set", "get")


async def _race(
    sides: Sequence[Any],
    run: _Run,
    keys: Sequence[str],
    tasks: int,
    counts: Counts,
) -> tuple[int, list[list[_Span]]]:
    """Return the calls of a round, and each side's rounds.

    The order flips with every round; a first one is not counted.  What a few calls take
    the slower side says how many a round has.
    """
    chance = random.Random(tasks)
    calls = min(len(keys), max(FEW, tasks))
    for _ in range(PROBES):
        few = chance.sample(keys, calls)
        walls = [(await _round(side, run, few, tasks, 0)).wall for side in sides]
        fitting = int(calls * counts.round_s / max(walls))
        calls = min(len(keys), max(tasks, fitting))
    races: list[list[_Span]] = [[] for _ in sides]
    for turn in range(counts.rounds + 1):
        asked = chance.sample(keys, calls)
        order = range(len(sides)) if turn % 2 else reversed(range(len(sides)))
        for index in order:
            span = await _round(sides[index], run, asked, tasks, turn)
            if turn:
                races[index].append(span)
            if run is _set:
                await _checked(sides[index], asked, turn)
    return calls, races


async def _round(
    side: Any, run: _Run, keys: Iterable[str], tasks: int, turn: int
) -> _Span:
    """Let so many tasks make a call for each key, who comes first the next one."""
    calls = iter([(key, _value(key, turn)) for key in keys])
    begin, cpu_begin = perf_counter(), process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(run(side, calls))
    span = _Span(perf_counter() - begin, process_time() - cpu_begin)
    if next(calls, None) is not None:
        raise RuntimeError("some calls were not made")
    return span


async def _checked(side: BareClient, keys: Sequence[str], turn: int) -> None:
    """Look whether a round of sets stored anything."""
    for key in islice(keys, _CHECKED):
        if await side.get(key) != _value(key, turn):
            raise RuntimeError(f"{key!r} was set, and has another value")


def _summary(spans: Sequence[_Span]) -> tuple[float, float, float]:
    """Return the median, the spread, and the median of the processor's time."""
    walls = [span.wall for span in spans]
    middle = median(walls)
    return middle, (max(walls) - min(walls)) / middle, median(s.cpu for s in spans)


def _keys(size: int) -> list[str]:
    """Return keys of 16 bytes, distinct, at random, in groups with a prefix."""
    chance = random.Random(16)
    digits = _KEY_SIZE - len(_prefix(" " * _KEY_SIZE))
    return [
        f"{place // GROUP:03d}:{rest:0{digits}x}"
        for place, rest in enumerate(chance.sample(range(16**digits), size))
    ]


def _prefix(key: str) -> str:
    return key[:4]


def _value(key: str, turn: int) -> dict[str, Any]:
    """Return a value whose JSON, without blanks, has 100 bytes."""
    bare = {"key": key, "note": "", "sold": True, "turn": 100 + turn}
    return bare | {"note": "x" * (_VALUE_SIZE - _BARE_SIZE)}


# Of a value without its note.
_BARE_SIZE = len('{"key":"","note":"","sold":true,"turn":100}') + _KEY_SIZE


@asynccontextmanager
async def _filled(
    url: str, namespace: str, keys: Sequence[str], options: Mapping[str, Any]
) -> AsyncIterator[OpenedStateStore]:
    """Open a store with all keys in it; it is empty when it is closed."""
    async with open_state_store(url, namespace=namespace, **options) as store:
        try:
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                await _fill(store, {key: _value(key, 0) for key in part})
            yield store
        finally:
            await _empty(store, namespace)


async def _fill(store: StateStore, values: Mapping[str, Any]) -> None:
    """Store these, at once where it can."""
    if isinstance(store, BatchStateStore):
        await store.set_many(values)
        return
    for key, value in values.items():
        await store.set(key, value)


async def _empty(store: OpenedStateStore, namespace: str) -> None:
    """Delete what is in the namespace."""
    if isinstance(store, FileStateStore):
        # All at once, and the document too.
        folder = store.documents_dir
        async with FileSystemStateStore(state_dir=folder, max_backups=0) as documents:
            await documents.clear(namespace)
        return
    left = iter(await store.keys())

    async def delete() -> None:
        for key in left:
            await store.delete(key)

    async with asyncio.TaskGroup() as group:
        for _ in range(_DELETERS):
            group.create_task(delete())


_COLUMNS = (
    "{operation:<5} {tasks:>4} tasks {ours:>10} {ours_spread:>5} "
    "{theirs:>10} {theirs_spread:>5} {ratio:>6} {cpu_ratio:>6}  {verdict}"
)


def _heading(facts: Mapping[str, str]) -> str:
    names = _COLUMNS.format(
        operation="",
        tasks="",
        ours="provider/s",
        ours_spread="+-",
        theirs="bare/s",
        theirs_spread="+-",
        ratio="ratio",
        cpu_ratio="cpu",
        verdict=f"goal {GOAL}",
    )
    return "\n".join([*(f"{name:<11} {fact}" for name, fact in facts.items()), names])


def _line(figure: StoreFigure) -> str:
    verdicts = {True: "reached", False: "NOT REACHED", None: "context"}
    return _COLUMNS.format(
        operation=figure.operation,
        tasks=figure.tasks,
        ours=_rate(figure.ours),
        ours_spread=_share(figure.ours_spread),
        theirs=_rate(figure.theirs),
        theirs_spread=_share(figure.theirs_spread),
        ratio=_ratio(figure.ratio),
        cpu_ratio=_ratio(figure.cpu_ratio),
        verdict=verdicts[figure.reached],
    ).rstrip()


def _name(url: SplitResult) -> str:
    """Return what a URL is called; without a host, its rest may be a password too."""
    if not url.netloc and url.scheme not in _OF_FOLDERS:
        return f"{url.scheme}:"
    return redacted_url(url, "").partition("?")[0]


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:,.0f}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else number(ratio)


def _facts(connections: int) -> dict[str, str]:
    """Return the machine, and the clients in place of the engine's peers."""
    facts = machine.describe()
    facts["peers"] = ", ".join(f"{name} {machine.installed(name)}" for name in _CLIENTS)
    facts["connections"] = f"{connections}, of both sides"
    return facts


async def _report(
    urls: Sequence[str], counts: Counts, connections: int, progress: Progress
) -> tuple[list[StoreFigure], dict[str, str]]:
    """Print the figures as they come; return them, and what went wrong by URL."""
    figures: list[StoreFigure] = []
    troubles: dict[str, str] = {}
    steps = len(_OPERATIONS) * len(counts.tasks)
    for place, url in enumerate(urls):
        # Never as it was given: it may have a password.
        name = f"URL {place + 1}"
        before = len(figures)
        try:
            name = _name(url_parts(url))
            show = partial(_shown, progress, place * steps, len(urls) * steps, name)
            async with aclosing(measured(url, counts, connections, show)) as measuring:
                async for figure in measuring:
                    progress.clear()
                    if len(figures) == before:
                        print(f"\n{name}  {figure.engine}, {figure.entries} keys")
                    print(_line(figure), flush=True)
                    figures.append(figure)
        except Exception as error:  # noqa: BLE001 - it is told, and the others go on
            trouble = _first(error)
            troubles[name] = f"{type(trouble).__name__}: {trouble}"
            progress.clear()
            print(f"\n{name}  NOT MEASURED: {troubles[name]}", flush=True)
    progress.clear()
    return figures, troubles


def _shown(
    progress: Progress, before: int, total: int, name: str, done: int, what: str
) -> None:
    progress.show(before + done, total, f"{name}: {what}")


def _first(error: BaseException) -> BaseException:
    """Return one of those that a group is of."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench and return the status to exit with."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for place, url in enumerate(options.urls):
        try:
            _refuse_wrong(url)
        except ValueError as error:
            # The URL is not shown: it may have a password.
            parser.error(f"URL {place + 1}: {error}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
    objection = machine.objection()
    if objection:
        print(f"no figures: {objection}", file=sys.stderr)
        return 1
    facts = _facts(options.connections)
    print(_heading(facts), flush=True)
    counts = QUICK if options.quick else FULL
    figures, troubles = asyncio.run(
        _report(options.urls, counts, options.connections, Progress())
    )
    judged = [figure.reached for figure in figures if figure.reached is not None]
    if judged:
        print(f"\n{sum(judged)} of {len(judged)} goals reached")
    if options.json:
        content = {
            "machine": facts,
            "stores": [asdict(figure) for figure in figures],
            "troubles": troubles,
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 1 if troubles else 0


def _refuse_wrong(url: str) -> None:
    """Raise ValueError for a URL that no store has; nothing is opened."""
    with suppress(ImportError):  # told of this URL alone, when its turn comes
        open_state_store(url, namespace=_NAMESPACE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m latency_kv.bench.state_stores",
        description="Measure state stores beside the bare clients of their engines, "
        "about a minute\nfor each URL.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "urls", nargs="+", metavar="URL", help="a store to measure, such as file:/tmp/x"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small stores, few calls: seconds a URL"
    )
    parser.add_argument(
        "--connections",
        type=_count,
        default=CONNECTIONS,
        metavar="N",
        help="how many connections the provider and the bare client each have to a "
        f"server; {CONNECTIONS}",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="PATH",
        help="write all figures, for latency_kv.bench.reports",
    )
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


if __name__ == "__main__":
    raise SystemExit(main())

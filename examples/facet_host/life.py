"""Life: a host in a process of its own, from the newest checkpoint to its end.

    python -m facet_host.life FOLDER --stop 27 --backend asyncio

goes on from the newest checkpoint in FOLDER, or begins if there is none, and hears
flights up to the 27th of the evening, with a checkpoint after every tenth and after the
last of all.  Then it waits until its standard input ends, or it is killed.  What it
does it reports on standard output, a line of JSON each.

Knows nothing of kills.  Start at `live`; lives.py starts lives and ends them.
"""

import logging
import sys
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import msgspec

from facet_host.evening import read_evening
from facet_host.host import Host
from latency_kv import CheckpointDirectory, InMemoryStore
from latency_kv.facets.stores import ReadableByteState
from latency_kv.providers import StandardLogger

CHECKPOINT_EVERY = 10

# Where plugins write, and where the package does: the bus of handlers that failed.
_LOGGER = logging.getLogger("facet_host")
_PACKAGE = logging.getLogger("latency_kv")


class Began(msgspec.Struct, tag=True):
    """The plugins are loaded: in this order, on this state, after so many flights."""

    loaded: list[str]
    position: int
    state: str


class Said(msgspec.Struct, tag=True):
    """A line of the log, and the flight that it was said at, by its place."""

    flight: int
    time: str
    level: int
    message: str
    context: dict[str, Any]


class Kept(msgspec.Struct, tag=True):
    """A checkpoint is durable, of the state after so many flights."""

    generation: int
    position: int
    state: str


class Reached(msgspec.Struct, tag=True):
    """This life has heard its flights: from here on it waits."""

    position: int


Report: TypeAlias = Began | Said | Kept | Reached


def digest(state: ReadableByteState) -> str:
    """Return what is equal for equal entries, of a store or of a snapshot."""
    entries = sha256()
    for entry in state.prefix_scan(b""):
        entries.update(repr(entry).encode())
    return entries.hexdigest()


def restored_store(directory: CheckpointDirectory) -> InMemoryStore:
    """Return a store with the newest checkpoint, an empty one if there is none."""
    snapshot = directory.latest()
    if snapshot is None:
        return InMemoryStore()
    return InMemoryStore.from_snapshot(snapshot)


async def live(
    folder: Path,
    stop: int,
    report: Callable[[Report], object],
    wait: Callable[[], Awaitable[object]],
) -> None:
    """Hear the flights up to `stop`, and wait."""
    directory = CheckpointDirectory(folder)
    with _reporting(report) as reporter:
        store = restored_store(directory)
        host = reporter.host = Host(store, StandardLogger(_LOGGER))
        evening = read_evening()
        async with host.running():
            report(Began([*host.plugins.loaded], host.position, digest(store)))
            for flight in evening[host.position : stop]:
                await host.hear(flight)
                if host.position % CHECKPOINT_EVERY == 0 or flight is evening[-1]:
                    snapshot = store.snapshot()
                    info = await directory.write_async(snapshot)
                    report(Kept(info.generation, host.position, digest(snapshot)))
            report(Reached(host.position))
            await wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Live as the command line says."""
    parser = ArgumentParser("python -m facet_host.life", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stop", type=int, required=True)
    parser.add_argument("--backend", required=True)
    options = parser.parse_args(arguments)
    anyio.run(
        live,
        options.folder,
        options.stop,
        _write,
        partial(anyio.to_thread.run_sync, sys.stdin.read),
        backend=options.backend,
    )


class _Reporter(logging.Handler):
    """Reports what is logged, with the flight that the host is hearing."""

    def __init__(self, report: Callable[[Report], object]) -> None:
        super().__init__()
        self.host: Host | None = None
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        flight, time = 0, ""
        if self.host is not None:
            flight, time = self.host.position + 1, f"{self.host.now:%H:%M}"
        context = getattr(record, "context", {})
        message = record.getMessage()
        self._report(Said(flight, time, record.levelno, message, context))


@contextmanager
def _reporting(report: Callable[[Report], object]) -> Iterator[_Reporter]:
    """Report what plugins log, and what the package does, until the block ends."""
    reporter = _Reporter(report)
    for logger in (_LOGGER, _PACKAGE):
        logger.addHandler(reporter)
    _LOGGER.setLevel(logging.DEBUG)
    try:
        yield reporter
    finally:
        for logger in (_LOGGER, _PACKAGE):
            logger.removeHandler(reporter)


def _write(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

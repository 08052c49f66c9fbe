"""Lives: starts a host in a process of its own, listens to it, and ends it.

A process that is killed gets no chance to save, to close or to say goodbye; what it has
written stays with the system.  Knows nothing of what a host does.  Start at `lived`.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from facet_host.life import Began, Kept, Reached, Report, Said

# Longer than any line of a report.
_LINE_SIZE = 1 << 20

_report_of = msgspec.json.Decoder(Report).decode


class LifeError(Exception):
    """A host that ended before anybody ended it."""


@dataclass(frozen=True, slots=True)
class Life:
    """What one host reported, and how its process ended: below 0, by that signal."""

    began: Began
    said: list[Said]
    kept: list[Kept]
    reached: int
    exit_status: int


async def lived(folder: Path, stop: int, backend: str, *, kill: bool) -> Life:
    """Let a host hear the flights up to `stop`; then kill it, or let it end.

    The process sees the modules that we see.  Raises LifeError if it ends by itself;
    why, it has told on our standard error.
    """
    command = [sys.executable, "-P", "-B", "-m", "facet_host.life", str(folder)]
    command += ["--stop", str(stop), "--backend", backend]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    reports: list[Report] = []
    async with await anyio.open_process(
        command, env=environment, stdin=PIPE, stdout=PIPE, stderr=None
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = BufferedByteReceiveStream(process.stdout)
        report: Report | None = None
        try:
            while not isinstance(report, Reached):
                report = _report_of(await lines.receive_until(b"\n", _LINE_SIZE))
                reports.append(report)
        except (anyio.EndOfStream, anyio.IncompleteRead):
            raise LifeError(_ended(await process.wait())) from None
        if kill:
            process.kill()
        else:
            await process.stdin.aclose()
        exit_status = await process.wait()
    if exit_status and not kill:
        raise LifeError(_ended(exit_status))
    return Life(
        next(each for each in reports if isinstance(each, Began)),
        [each for each in reports if isinstance(each, Said)],
        [each for each in reports if isinstance(each, Kept)],
        report.position,
        exit_status,
    )


def _ended(exit_status: int) -> str:
    return f"a host ended by itself, with exit status {exit_status}"

"""BackgroundWriter: a thread that writes checkpoints while the operator goes on.

    operator      submit          submit          submit
                  |               |               |
    waiting       -- A            ---- B ===      ---- C --      B gives way to C
    writing          ====== A ==================            ====== C ======

One snapshot is being written and one waits, at most: a writer that falls behind drops
what is in between and says so, instead of queueing without bound.

Knows no file: it is given the function that writes, and one that refuses at once.
Start at `BackgroundWriter.submit`.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from types import TracebackType
from typing import Any, Self

from latency_kv.checkpoints.records import CheckpointInfo
from latency_kv.core.snapshot import StateSnapshot

__all__ = ["BackgroundWriter"]

_logger = logging.getLogger("latency_kv.checkpoints")


class BackgroundWriter:
    """Writes the snapshots that it is handed, in one thread of its own.

    submit(snapshot)   hand over a snapshot; a Future of its CheckpointInfo
    close()            wait for what was handed over; leaving a `with` does it
    superseded         how many gave way to a newer one before they were begun

    Made by `CheckpointDirectory.background`.  Futures are of concurrent.futures:
    asyncio.wrap_future makes them awaitable.  No snapshot is kept once it was written,
    or its future cancelled.  A failure is logged when it happens.

    The thread stays in the process that made it: after a fork, the child makes a writer
    of its own.

    >>> from tempfile import TemporaryDirectory
    >>> from latency_kv import CheckpointDirectory, InMemoryStore
    >>> store = InMemoryStore({b"JFK": b"12"})
    >>> with TemporaryDirectory() as folder:
    ...     with CheckpointDirectory(folder).background() as writer:
    ...         future = writer.submit(store.snapshot())
    ...         store.put(b"JFK", b"13")
    ...     future.result().generation
    1
    """

    __slots__ = (
        "_check",
        "_guard",
        "_is_busy",
        "_is_closed",
        "_last",
        "_pool",
        "_process",
        "_unsaid",
        "_waiting",
        "_write",
        "superseded",
    )

    def __init__(
        self,
        write: Callable[[StateSnapshot], CheckpointInfo],
        check: Callable[[StateSnapshot], object] | None = None,
    ) -> None:
        self.superseded = 0
        self._write = write
        self._check = check
        self._guard = Lock()
        self._waiting: _Outcome | None = None
        self._is_busy = False
        self._is_closed = False
        self._last: _Outcome | None = None
        self._unsaid = 0
        self._process = os.getpid()
        self._pool = ThreadPoolExecutor(1, "latency_kv.checkpoints")
        # The thread starts now, so that no submit has to wait for it.
        self._pool.submit(int)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception:
            # It was logged, and does not hide what ended the block.
            if error is None:
                raise

    def submit(self, snapshot: StateSnapshot) -> Future[CheckpointInfo]:
        """Hand over a snapshot to be written next, and return the future of its write.

        Never waits for a write: a snapshot that still waits gives way to this one, and
        its future is cancelled.  TypeError for what is no snapshot; RuntimeError once the
        writer is closed, and in a forked child.
        """
        if self._check is not None:
            self._check(snapshot)
        if os.getpid() != self._process:
            raise RuntimeError("this writer's thread is in the process that forked")
        outcome = _Outcome(snapshot)
        with self._guard:
            if self._is_closed:
                raise RuntimeError("the writer is closed")
            if not self._is_busy:
                self._pool.submit(self._run)
                self._is_busy = True
            older, self._waiting = self._waiting, outcome
            if older is not None and not older.cancelled():
                self.superseded += 1
                self._unsaid += 1
        if older is not None:
            # Without the guard, since this calls what was hung on the future.
            older.cancel()
            older.set_running_or_notify_cancel()
        return outcome

    def close(self) -> None:
        """Wait until all that was handed over is written, and end the thread.

        Raises the error of the last write if it failed and nobody has asked its future.
        Closing again does nothing, nor does closing in a forked child.
        """
        if os.getpid() != self._process:
            return
        with self._guard:
            self._is_closed = True
        self._pool.shutdown()
        last, self._last = self._last, None
        if last is not None and not last.is_fetched:
            last.result()

    def _run(self) -> None:
        """Write what waits, until nothing does; in the writer's thread."""
        while True:
            with self._guard:
                outcome, self._waiting = self._waiting, None
                self._is_busy = outcome is not None
                unsaid, self._unsaid = self._unsaid, 0
            if outcome is None:
                return
            if unsaid:
                given_way = f"{unsaid} snapshots gave way to newer ones"
                if unsaid == 1:
                    given_way = "1 snapshot gave way to a newer one"
                _logger.warning("the writer falls behind: %s", given_way)
            if outcome.set_running_or_notify_cancel():
                self._last = outcome
                self._settle(outcome)

    def _settle(self, outcome: _Outcome) -> None:
        snapshot, outcome.snapshot = outcome.snapshot, None
        try:
            written = self._write(snapshot)
        except BaseException as error:  # noqa: BLE001 - the future raises it
            snapshot = None
            _forget_locals(error)
            outcome.set_exception(error)
            _logger.error("a checkpoint was not written: %s", error)
        else:
            snapshot = None
            outcome.set_result(written)


class _Outcome(Future[CheckpointInfo]):
    """The future of one write, and until that begins its snapshot."""

    def __init__(self, snapshot: StateSnapshot) -> None:
        super().__init__()
        # None once it is taken or cancelled.
        self.snapshot: Any = snapshot
        self.is_fetched = False

    def cancel(self) -> bool:
        is_cancelled = super().cancel()
        if is_cancelled:
            self.snapshot = None
        return is_cancelled

    def result(self, timeout: float | None = None) -> CheckpointInfo:
        self.exception(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        error = super().exception(timeout)
        self.is_fetched = True
        return error


def _forget_locals(error: BaseException) -> None:
    """Clear the frames that an error came through: they hold the snapshot."""
    chain: list[BaseException | None] = [error]
    seen: set[int] = set()
    while chain:
        link = chain.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            traceback.clear_frames(link.__traceback__)
            chain += [link.__cause__, link.__context__]

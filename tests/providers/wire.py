"""Wire: a connection to a server that fails when a test says so.

    refuse      the next connections are closed as soon as they are there
    cut         the next request is lost, and the connection with it
    deafen      the next request arrives, and its answer is lost with the connection
    hang        the next request is lost, and the connection stays

A request is whatever the client sends at once. `passed` counts those that arrived.

Knows TCP, no protocol, and asyncio only. Start at `Wire`.
"""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self, TypeAlias

from servers import HOST

Fault: TypeAlias = Literal["cut", "deafen", "hang"]

_SIZE = 1 << 16


class Wire:
    """A port of this machine that leads to another one; an async context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.passed = 0
        self.refused = 0
        self.connected = 0
        self.refuse = 0
        self.next: Fault | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def url(self, url: str) -> str:
        """The URL of the server, by way of this."""
        return url.replace(f":{self._target}", f":{self.port}")

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self.refuse:
            self.refuse -= 1
            self.refused += 1
            writer.transport.abort()
            return
        self.connected += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        theirs, ours = await asyncio.open_connection(HOST, self._target)
        is_deaf = False

        async def requests() -> None:
            nonlocal is_deaf
            while request := await reader.read(_SIZE):
                fault, self.next = self.next, None
                if fault == "cut":
                    return
                if fault == "hang":
                    continue
                is_deaf = fault == "deafen"
                self.passed += 1
                ours.write(request)

        async def answers() -> None:
            while (answer := await theirs.read(_SIZE)) and not is_deaf:
                writer.write(answer)

        ways = {asyncio.ensure_future(way()) for way in (requests, answers)}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # First: whoever ends this task meanwhile ends the wait.
            ours.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            # What they raised is over with the connection.
            for way in ways:
                way.cancelled() or way.exception()

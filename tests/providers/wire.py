"""Wire: a connection to a server that fails when a test says so.

    refuse      the next connections are closed as soon as they are there
    reset       the connections that are there end as those of a machine that crashed
    cut         the next request is lost, and the connection with it
    deafen      the next request arrives, and its answer is lost with the connection
    hang        the next request is lost, and the connection stays
    mute        the next request arrives, and only what is said at once comes back
    lie         the next answer is another one, to what has `lie_about` in it

A request is whatever the client sends at once. `passed` counts those that arrived. What
is set as `always` happens to all of them.

Knows TCP, no protocol, and asyncio only. Start at `Wire`.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self, TypeAlias

from servers import HOST

Fault: TypeAlias = Literal["cut", "deafen", "hang", "mute"]

_SIZE = 1 << 16

# Closed at once, and whatever is on its way forgotten.
_NO_LINGER = struct.pack("ii", 1, 0)


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
        self.always: Fault | None = None
        self.lie: bytes | None = None
        self.lie_about = b""
        self._writers: set[asyncio.StreamWriter] = set()

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

    def reset(self) -> None:
        """End all connections that are there, without a goodbye."""
        for writer in self._writers:
            ours = writer.get_extra_info("socket")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()

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
        self._writers.add(writer)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)
            self._writers.discard(writer)

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        theirs, ours = await asyncio.open_connection(HOST, self._target)
        is_deaf = is_mute = False
        lie: bytes | None = None

        async def requests() -> None:
            nonlocal is_deaf, is_mute, lie
            while request := await reader.read(_SIZE):
                fault, self.next = self.next or self.always, None
                if fault == "cut":
                    return
                if fault == "hang":
                    continue
                is_deaf, is_mute = fault == "deafen", fault == "mute"
                self.passed += 1
                if self.lie is not None and self.lie_about in request:
                    lie, self.lie = self.lie, None
                ours.write(request)

        async def answers() -> None:
            nonlocal lie
            while (answer := await theirs.read(_SIZE)) and not is_deaf:
                writer.write(answer if lie is None else lie)
                lie = None
                while is_mute and await theirs.read(_SIZE):
                    pass

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

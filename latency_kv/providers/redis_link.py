"""Link: the connections to one server, which send commands and wait for the answers.

    exchange     [command, ...]  ->  [answer, ...]
    Unsent       it surely reached nobody: there was no connection to send it by
    Lost         it was sent, and the answer did not come: nobody knows

A server's refusal is an answer, so an exception among the answers and not a raised one.
Nothing is repeated here.  A connection is one task's for as long as its exchange takes,
and one whose answers were not all read is closed.

Uses the connections of redis-py, not its clients and pools: those try again what may
have been applied, and hold a connection for good whose task was cancelled in between.

Knows no script and no key.  Start at `RedisLink.exchange`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, unquote

from redis.asyncio import Connection, SSLConnection
from redis.exceptions import NoScriptError, RedisError, ResponseError

from latency_kv.providers.redis_scripts import Command, whole
from latency_kv.providers.state_keys import flag

__all__ = [
    "LINK_OPTIONS",
    "POOL_SIZE",
    "TIMEOUT_S",
    "LinkError",
    "LinkOptions",
    "Lost",
    "RedisLink",
    "Unsent",
    "link_options",
]

TIMEOUT_S: Final = 5.0
POOL_SIZE: Final = 32

LINK_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "timeout": float,
    "pool_size": int,
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_check_hostname": flag,
}
"""What a URL may have behind its `?`; the files are paths."""

# What an exchange may raise, besides being cancelled.  AttributeError: a connection of
# redis-py's that was closed from elsewhere has no writer any more; RuntimeError: nor has
# one that another event loop closed.
_FAILURES: Final = (OSError, EOFError, RedisError, AttributeError, RuntimeError)

# WAIT answers at once where the replicas are there; else nobody may care.
_NO_WAIT_S: Final = 0.1

_ASKING_ANSWER: Final = b"OK"

# To close a connection takes no longer; a server that hangs may not even do that.
_CLOSING_S: Final = 1.0

# Where the environment may have them.
_FILES: Final = {
    "ssl_ca_certs": "LATENCY_KV_REDIS_CA_CERTS",
    "ssl_certfile": "LATENCY_KV_REDIS_CERTFILE",
    "ssl_keyfile": "LATENCY_KV_REDIS_KEYFILE",
}


class LinkError(Exception):
    """An exchange without answers; cause is the client's exception."""

    def __init__(self, reason: str, cause: BaseException | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


class Unsent(LinkError):
    """There was no connection: nothing was sent.

    cause is the server's refusal where it let nobody in.
    """


class Lost(LinkError):
    """It was sent, some of it or all, and not all of it was answered."""


class LinkOptions(NamedTuple):
    """What the links to all servers of a URL have in common."""

    timeout: float
    """In seconds, for an exchange as a whole."""

    pool_size: int
    """How many connections a link has at most."""

    settings: dict[str, Any]
    """Of redis-py's Connection.  Has the password: shown to nobody."""


def link_options(
    url: SplitResult,
    options: Mapping[str, Any],
    timeout: float | None,
    pool_size: int | None,
) -> LinkOptions:
    """Return what a URL, its options (LINK_OPTIONS) and the environment say.

    timeout and pool_size are the caller's, and win.
    """
    given = {**options}
    if timeout is not None:
        given["timeout"] = timeout
    if pool_size is not None:
        given["pool_size"] = pool_size
    seconds: float = given.get("timeout", TIMEOUT_S)
    size: int = given.get("pool_size", POOL_SIZE)
    if not (isfinite(seconds) and seconds > 0):
        raise ValueError(f"timeout is above 0 seconds, not {seconds}")
    if size < 1:
        raise ValueError(f"pool_size is at least 1, not {size}")
    name, _, password = url.netloc.rpartition("@")[0].partition(":")
    settings: dict[str, Any] = {
        "username": unquote(name) or os.environ.get("LATENCY_KV_REDIS_USERNAME"),
        "password": unquote(password) or os.environ.get("LATENCY_KV_REDIS_PASSWORD"),
    }
    if url.scheme.startswith("rediss"):
        settings["ssl_check_hostname"] = options.get("ssl_check_hostname", True)
        for file, variable in _FILES.items():
            settings[file] = options.get(file) or os.environ.get(variable)
    elif any(name.startswith("ssl_") for name in options):
        raise ValueError(
            f"{url.scheme}: is not encrypted, and knows no ssl_ options; rediss does"
        )
    return LinkOptions(seconds, size, settings)


class RedisLink:
    """The connections to the server at host and port.

    Belongs to one event loop of asyncio's.
    """

    def __init__(self, host: str, port: int, options: LinkOptions) -> None:
        self.host = host
        self.port = port
        self._settings = {
            "host": host,
            "port": port,
            **options.settings,
            # The second protocol sends nothing that was not asked for.
            "protocol": 2,
            "driver_info": None,
            # There is one timeout, around each exchange as a whole.
            "socket_timeout": None,
            "socket_connect_timeout": None,
        }
        self._places = asyncio.Semaphore(options.pool_size)
        self._idle: list[Any] = []
        self._tls_context: Any = None
        self._closed = False

    def __repr__(self) -> str:
        return f"RedisLink({self.host!r}, {self.port})"

    async def exchange(
        self, commands: Sequence[Command], timeout: float, wait: float = 0.0
    ) -> list[Any]:
        """Send the commands at once, and return the answer to each.

        timeout is for everything, a free connection too.  With `wait` the last command
        is a WAIT, whose answer may take that many seconds more; it is None where nothing
        before it changed anything and it does not come at once.

        Where the server does not know a script, all are sent again with its text: a
        script must be the only one, or all must be such that they may be made twice.

        An answer is bytes, int, None, a list of these, or a ResponseError.  Raises Unsent
        and Lost.
        """
        answers = await self._exchanged(commands, timeout, wait)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            commands = [whole(command) for command in commands]
            answers = await self._exchanged(commands, timeout, wait)
        return answers

    async def aclose(self) -> None:
        """Close the connections that nobody uses, and each other one after its use."""
        self._closed = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    while self._idle:
                        await self._idle.pop().disconnect()
        finally:
            # Those that this one was not given the time for.
            while self._idle:
                await self._idle.pop().disconnect(nowait=True)

    async def _exchanged(
        self, commands: Sequence[Command], timeout: float, wait: float
    ) -> list[Any]:
        is_sent = False
        try:
            async with asyncio.timeout(timeout) as scope, self._places:
                connection = self._idle.pop() if self._idle else self._made()
                is_whole = False
                try:
                    await _connect(connection)
                    is_sent = True
                    await _send(connection, commands)
                    answers: list[Any] = []
                    if wait:
                        await _read(connection, len(commands) - 1, answers)
                        scope.reschedule(None)
                        is_whole = await _read_confirmation(connection, answers, wait)
                    else:
                        await _read(connection, len(commands), answers)
                        is_whole = True
                finally:
                    if self._closed or not is_whole:
                        await connection.disconnect(nowait=True)
                    if not self._closed:
                        self._idle.append(connection)
                return answers
        except _FAILURES as error:
            raise _link_error(error, timeout, is_sent=is_sent) from error

    def _made(self) -> Any:
        if self._closed:
            raise ConnectionError("it is closed")
        if "ssl_check_hostname" not in self._settings:
            return Connection(**self._settings)
        connection = SSLConnection(**self._settings)
        # Shared: to read the certificates takes as long as many connections do.
        self._tls_context = self._tls_context or connection.ssl_context
        connection.ssl_context = self._tls_context
        return connection


async def _connect(connection: Any) -> None:
    """Make sure that the server listens, lets us in and is ready."""
    if connection.is_connected:
        # Nothing is to be read from one that is alive: it ended, or says goodbye.
        if not await connection.can_read():
            return
        await connection.disconnect(nowait=True)
    await connection.connect()
    await connection.send_command(b"PING", check_health=False)
    await connection.read_response()


async def _send(connection: Any, commands: Sequence[Command]) -> None:
    if len(commands) == 1:
        packed = connection.pack_command(*commands[0])
    else:
        packed = connection.pack_commands(commands)
    await connection.send_packed_command(packed, check_health=False)


async def _read(connection: Any, count: int, answers: list[Any]) -> None:
    """Read until there are so many answers."""
    while len(answers) < count:
        try:
            answers.append(await connection.read_response(disable_decoding=True))
        except ResponseError as refusal:
            answers.append(refusal)
        except RedisError as refusal:
            if refusal.status_code is None:
                raise
            # The server's own word, to each of them, though the client raises it as a
            # connection's failure, and has closed this one.
            answers += [refusal] * (count - len(answers))


async def _read_confirmation(connection: Any, answers: list[Any], wait: float) -> bool:
    """Read the answer to WAIT, or put None there; whether it was read.

    Where nothing was changed, nobody waits for the replicas to hear of it: WAIT waits for
    all that came before it, from whomever.
    """
    is_changed = any(
        answer and answer != _ASKING_ANSWER and not isinstance(answer, RedisError)
        for answer in answers
    )
    try:
        async with asyncio.timeout(wait if is_changed else min(wait, _NO_WAIT_S)):
            await _read(connection, len(answers) + 1, answers)
    except TimeoutError:
        if is_changed:
            raise
        answers.append(None)
        return False
    return True


def _link_error(error: BaseException, timeout: float, *, is_sent: bool) -> LinkError:
    """Return what a failure of a connection means."""
    text = str(error)
    if isinstance(error, AttributeError):
        text = "it was closed"
    if is_sent and type(error) is TimeoutError:
        return Lost(f"no answer came within {timeout:g} s", error)
    if is_sent:
        return Lost(f"the connection was lost before the answer: {text}", error)
    if type(error) is TimeoutError:
        text = f"none was free or made within {timeout:g} s"
    return Unsent(f"there is no connection: {text}", error)

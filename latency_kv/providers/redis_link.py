"""Link: the connections to one server, which send commands and wait for the answers.

    exchange     [command, ...]  ->  [answer, ...]
    Unsent       it surely reached nobody: there was no connection to send it by
    Lost         it was sent, and no answer to it came: nobody knows

A server's refusal is an answer, so an exception among the answers and not a raised one.
Nothing is repeated here.  A connection is one task's for as long as its exchange takes.
One whose answers were not all read is cut off: what was given up, and is not under way
yet, is not sent any more.

Uses the connections of redis-py, not its clients and pools: those try again what may
have been applied, and hold a connection for good whose task was cancelled in between.

Knows no script and no key.  Start at `RedisLink.exchange`.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
from asyncio import get_running_loop
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, unquote

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError, ResponseError

from latency_kv.providers.redis_scripts import Command, is_answer, is_script, whole
from latency_kv.providers.state_keys import flag

__all__ = [
    "LINK_OPTIONS",
    "POOL_SIZE",
    "TIMEOUT_S",
    "Address",
    "Hopeless",
    "LinkError",
    "LinkOptions",
    "Lost",
    "RedisLink",
    "Unsent",
    "addresses",
    "link_options",
    "quoted",
]

TIMEOUT_S: Final = 5.0
POOL_SIZE: Final = 32

_PORT: Final = 6379
_LAST_PORT: Final = 65_535

LINK_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "timeout": float,
    "pool_size": int,
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_check_hostname": flag,
}
"""What a URL may have behind its `?`; the files are paths."""

_PLACE: Final = re.compile(
    r"(?!$)(?:\[(?P<address>[^]]+)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]{0,5}))?"
)

# What an exchange may raise, besides being cancelled.  AttributeError: a connection of
# redis-py's that was closed from elsewhere has no writer any more; RuntimeError: nor has
# one that another event loop closed.  ValueError: redis-py cannot read what came.
_FAILURES: Final = (
    *(OSError, EOFError, RedisError),
    *(AttributeError, RuntimeError, ValueError),
)

# WAIT answers at once where the replicas are there; else nobody may care.
_NO_WAIT_S: Final = 0.1

_ASKING_ANSWER: Final = b"OK"

# Of a socket that is closed: the system forgets what it has not sent.
_NO_LINGER: Final = struct.pack("ii", 1, 0)

# What OpenSSL calls a failure that comes again.
_TLS_MISTAKES: Final = (
    *("CERTIFICATE_VERIFY_FAILED", "CERTIFICATE_REQUIRED", "WRONG_VERSION_NUMBER"),
    *("ALERT_UNKNOWN_CA", "ALERT_HANDSHAKE_FAILURE"),
)

# As much of a text that is not ours as a message has.
_SHOWN_SIZE: Final = 300

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


class Hopeless(Unsent):
    """There will be no connection later either: its certificates are wrong, say."""


class Lost(LinkError):
    """It was sent, some of it or all, and not all of it was answered."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class LinkOptions(NamedTuple):
    """What the links to all servers of a URL have in common."""

    timeout: float
    """In seconds, for an exchange as a whole."""

    pool_size: int
    """How many connections a link has at most."""

    settings: dict[str, Any]
    """Of redis-py's Connection.  Has the password: shown to nobody."""

    tls: Any
    """What SSLConnection calls its ssl_context, None where nothing is encrypted.

    Shared: to read the certificates takes as long as many connections do.
    """

    def __repr__(self) -> str:
        return f"LinkOptions(timeout={self.timeout}, pool_size={self.pool_size})"


def addresses(url: SplitResult) -> list[Address]:
    """Return the servers that a URL names; ValueError for what is no HOST:PORT.

    >>> from urllib.parse import urlsplit
    >>> addresses(urlsplit("redis-cluster://me:secret@10.0.0.1:7000,[::1]"))
    [Address(host='10.0.0.1', port=7000), Address(host='::1', port=6379)]
    """
    places = url.netloc.rpartition("@")[2]
    found: list[Address] = []
    for place in places.split(",") if places else [":"]:
        match = _PLACE.fullmatch(place)
        port = int(match["port"] or _PORT) if match else 0
        if match is None or not 0 < port <= _LAST_PORT:
            raise ValueError(
                "the URL has a server that is no HOST:PORT; an IPv6 address stands in "
                "brackets: [::1]:6379"
            )
        host = match["address"] or unquote(match["name"]) or "localhost"
        found.append(Address(host, port))
    return found


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
    tls = None
    if url.scheme.startswith("rediss"):
        settings["ssl_check_hostname"] = options.get("ssl_check_hostname", True)
        for file, variable in _FILES.items():
            settings[file] = options.get(file) or os.environ.get(variable)
        if settings["ssl_keyfile"] and not settings["ssl_certfile"]:
            raise ValueError("ssl_keyfile is the key of ssl_certfile, which is missing")
        tls = SSLConnection(**settings).ssl_context
    elif any(name.startswith("ssl_") for name in options):
        raise ValueError(
            f"{url.scheme}: is not encrypted, and knows no ssl_ options; rediss does"
        )
    return LinkOptions(seconds, size, settings, tls)


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
        self._tls = options.tls
        self._places = asyncio.Semaphore(options.pool_size)
        self._idle: list[Any] = []
        self._closed = False

    def __repr__(self) -> str:
        return f"RedisLink({self.host!r}, {self.port})"

    async def exchange(
        self, commands: Sequence[Command], timeout: float, wait: float = 0.0
    ) -> list[Any]:
        """Send the commands at once, and return the answer to each.

        timeout is for everything, a free connection too.  With `wait`, which is longer,
        the last command is a WAIT, whose answer may come so many seconds from now; it is
        None where nothing before it changed anything and it does not come at once.

        Where the server does not know a script, all are sent again with its text: a
        script must be the only one, or all must be such that they may be made twice.

        An answer is what is_answer says of its command, or a RedisError.  Raises Unsent
        and Lost.
        """
        limits = _Limits(timeout, wait)
        answers = await self._exchanged(commands, limits)
        if not any(isinstance(answer, NoScriptError) for answer in answers):
            return answers
        try:
            return await self._exchanged(
                [whole(command) for command in commands], limits
            )
        except Unsent as error:
            if not any(
                is_script(command) and not isinstance(answer, RedisError)
                for command, answer in zip(commands, answers, strict=True)
            ):
                raise
            # The first time, some were applied.
            raise Lost(error.reason, error.cause) from error

    async def aclose(self) -> None:
        """Close the connections that nobody uses, and each other one after its use.

        Waits for nobody, so it comes to its end where its caller is cancelled, too.
        """
        self._closed = True
        while self._idle:
            await self._idle.pop().disconnect()

    async def _exchanged(
        self, commands: Sequence[Command], limits: _Limits
    ) -> list[Any]:
        is_sent = False
        try:
            async with asyncio.timeout_at(limits.end) as scope, self._places:
                connection = self._idle.pop() if self._idle else self._made()
                is_whole = False
                try:
                    await _connect(connection)
                    is_sent = True
                    await _send(connection, commands)
                    answers: list[Any] = []
                    if limits.last_end < limits.end:
                        await _read(connection, commands, answers)
                        is_whole = True
                    else:
                        await _read(connection, commands[:-1], answers)
                        scope.reschedule(None)
                        is_whole = await _read_confirmation(
                            connection, commands[-1], answers, limits.last_end
                        )
                finally:
                    if self._closed or not is_whole:
                        await connection.disconnect()
                    if not self._closed:
                        self._idle.append(connection)
                return answers
        except _FAILURES as error:
            raise _link_error(error, limits.seconds, is_sent=is_sent) from error

    def _made(self) -> Any:
        if self._closed:
            raise ConnectionError("it is closed")
        if self._tls is None:
            return _Connection(**self._settings)
        try:
            self._tls.get()
        except OSError as error:
            raise Hopeless(
                "there is no connection: the files of ssl_ca_certs, ssl_certfile and "
                f"ssl_keyfile cannot be used: {error.strerror}",
                error,
            ) from error
        connection = _SSLConnection(**self._settings)
        connection.ssl_context = self._tls
        return connection


class _Abrupt(AbstractConnection):
    """A connection that is closed at once, and forgets what it has not sent.

    Else a server that hangs would keep the socket, and later take for a new request
    what its caller has long given up.
    """

    async def disconnect(self, *arguments: Any, **options: Any) -> None:
        """Close it, and wait for nobody, whatever the arguments."""
        writer = self._writer
        if writer is not None:
            raw = writer.get_extra_info("socket")
            if raw is not None:
                # Unless it is closed already.
                with suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()
        await super().disconnect(nowait=True)


class _Connection(_Abrupt, Connection):
    """Of TCP alone."""


class _SSLConnection(_Abrupt, SSLConnection):
    """With TLS."""


class _Limits:
    """How long an exchange may take, by the loop's clock."""

    __slots__ = ("end", "last_end", "seconds")

    def __init__(self, timeout: float, wait: float) -> None:
        now = get_running_loop().time()
        self.seconds = timeout
        self.end = now + timeout
        self.last_end = now + wait
        """Of the answer to WAIT; before `end` where none is sent."""


async def _connect(connection: Any) -> None:
    """Make sure that the server listens, lets us in and is ready."""
    if connection.is_connected:
        # Nothing is to be read from one that is alive: it ended, or says goodbye.  One
        # that was broken off says nothing, but its writer knows.
        if not (connection._writer.is_closing() or await connection.can_read()):
            return
        await connection.disconnect()
    await connection.connect()
    await connection.send_command(b"PING", check_health=False)
    await connection.read_response()


async def _send(connection: Any, commands: Sequence[Command]) -> None:
    if len(commands) == 1:
        packed = connection.pack_command(*commands[0])
    else:
        packed = connection.pack_commands(commands)
    await connection.send_packed_command(packed, check_health=False)


async def _read(
    connection: Any, commands: Sequence[Command], answers: list[Any]
) -> None:
    """Add the answer to each command."""
    for command in commands:
        try:
            answer = await connection.read_response(
                disable_decoding=True, disconnect_on_error=False
            )
        except RedisError as refusal:
            # Some of the server's words the client takes for a connection's failure; its
            # own have no code.
            if not isinstance(refusal, ResponseError) and refusal.status_code is None:
                raise
            answers.append(refusal)
        else:
            if not is_answer(command, answer):
                raise ValueError(f"of another kind than {command[0].decode()}'s")
            answers.append(answer)


async def _read_confirmation(
    connection: Any, command: Command, answers: list[Any], end: float
) -> bool:
    """Read the answer to WAIT, or put None there; whether it was read.

    Where nothing was changed, nobody waits for the replicas to hear of it: WAIT waits for
    all that came before it, from whomever.
    """
    is_changed = any(
        answer and answer != _ASKING_ANSWER and not isinstance(answer, RedisError)
        for answer in answers
    )
    if not is_changed:
        end = min(end, get_running_loop().time() + _NO_WAIT_S)
    try:
        async with asyncio.timeout_at(end):
            await _read(connection, [command], answers)
    except TimeoutError as error:
        if is_changed:
            raise Lost(
                "whether replicas have it was not told in time", error
            ) from error
        answers.append(None)
        return False
    return True


def _link_error(error: BaseException, timeout: float, *, is_sent: bool) -> LinkError:
    """Return what a failure of a connection means."""
    text = quoted(str(error))
    if isinstance(error, AttributeError):
        text = "it was closed"
    if is_sent and type(error) is TimeoutError:
        return Lost(f"no answer came within {timeout:g} s", error)
    if is_sent and isinstance(error, ValueError):
        return Lost(f"what came is no answer: {text}", error)
    if is_sent:
        return Lost(f"the connection was lost before the answer: {text}", error)
    if type(error) is TimeoutError:
        text = f"none was free or made within {timeout:g} s"
    is_mistake = any(mistake in text for mistake in _TLS_MISTAKES)
    kind = Hopeless if is_mistake else Unsent
    return kind(f"there is no connection: {text}", error)


def quoted(text: str) -> str:
    """Return a text that is not ours for a message: not too long, and printable."""
    text = text[:_SHOWN_SIZE] + "..." * (len(text) > _SHOWN_SIZE)
    return text if text.isprintable() else ascii(text)[1:-1]

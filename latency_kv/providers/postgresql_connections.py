"""PostgreSQL connections: statements run through a pool, and what their failures mean.

    there was no connection                  nothing was sent          repeated
    the server answered with an error        nothing was applied       repeated if a rival's
    the connection or the answer was lost    nobody knows              a read is repeated

Each statement is a transaction of its own, so an error that the server tells of means
that nothing of it was applied.  A write that was sent and not answered is never sent
again: OutcomeUnknownError.

No message has a password in it.  Knows asyncpg, and no table.  Start at
`PostgresqlConnections.run`.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import SplitResult, unquote, urlencode

import asyncpg

from latency_kv.errors import (
    OutcomeUnknownError,
    StateError,
    StateReadError,
    StateWriteError,
)
from latency_kv.providers.back_off import BackOff
from latency_kv.providers.places import Places

__all__ = ["CLIENT_OPTIONS", "PostgresqlConnections"]

Act: TypeAlias = Callable[[Any], Awaitable[Any]]

CLIENT_OPTIONS: Final = (
    *("host", "port", "user", "password", "passfile", "service"),
    *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"),
    *("sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
    *("target_session_attrs", "application_name", "krbsrvname", "gsslib"),
)
"""What a URL may have for the client, by libpq's names."""

# How often what may pass is repeated, with pauses of 0.05 to 1 s: a server that starts
# anew needs about as long.
_MOST_AGAIN = 5

# Of the timeout: the server gives a statement up before the client does, since its word
# says that nothing was applied.
_SERVER_SHARE = 0.9

# A firewall may have forgotten one that was not used for longer.
_LONGEST_UNUSED_S = 300.0

# What another transaction did to this one: serialization failure, deadlock.
_RIVALS = frozenset({"40001", "40P01"})

# Of a server that stops, crashed, starts, or has too many connections now.
_PASSING = frozenset({"57P01", "57P02", "57P03", "53300"})

# Of a connection, not of a statement; and where the server itself does not know.
_OF_CONNECTIONS = "08"
_NOT_KNOWN = "40003"

# By SQLSTATE, or its class.
_ADVICE = {
    "28": "look at the user and the password: the URL's, PGUSER's and PGPASSWORD's",
    "3D000": "create the database, or correct the path of the URL",
    "25006": "it only reads: if it is a standby, name the primary in the URL",
    "42501": "grant the user what it lacks, or let its owner make the table",
    "42P01": "the table was dropped: close the store, and open it again",
    "42P10": "the table needs a primary key of namespace and key",
    "53100": "make room on its disk",
    "53300": "lower pool_size, or raise its max_connections",
    "54": "store less under one key",
    "57014": "raise timeout, or look who holds the lock that it waited for",
}

_ERRNOS = {"28": errno.EACCES, "25006": errno.EROFS, "53100": errno.ENOSPC}


class PostgresqlConnections:
    """A pool of connections to one database, which makes them as they are needed.

    store is the URL for messages.  prepare is run once, on a connection, before anything
    else.  timeout, in seconds, is that of a connection to be had, and again that of an
    answer.  Belongs to the event loop that it is first used on, and that is asyncio's.
    """

    def __init__(
        self,
        url: SplitResult,
        options: dict[str, str],
        *,
        store: str,
        prepare: Act,
        timeout: float,
        pool_size: int,
    ) -> None:
        self._store = store
        self._prepare = prepare
        self._timeout = timeout
        server_timeout_ms = max(1, int(timeout * _SERVER_SHARE * 1_000))
        self._arguments: dict[str, Any] = {
            **_address(url, options),
            "timeout": timeout,
            "command_timeout": timeout,
            "server_settings": {"statement_timeout": str(server_timeout_ms)},
        }
        self._places = Places(pool_size, timeout)
        self._loop: asyncio.AbstractEventLoop | None = None
        # Those that nobody uses and since when, the latest last.
        self._unused: deque[tuple[float, Any]] = deque()
        self._opening: asyncio.Task[StateReadError | None] | None = None
        self._connecting: set[asyncio.Task[Any]] = set()
        self._is_prepared = False
        self._closed = False
        self._ended = False
        self._running_count = 0
        self._idle: asyncio.Event | None = None

    def demand_open(self) -> None:
        """Raise RuntimeError if it was closed, or is used where it cannot be."""
        if self._closed:
            raise RuntimeError(f"the store at {self._store} is closed")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                f"{self._store}: the client of PostgreSQL runs on asyncio only"
            ) from None
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError(f"{self._store} belongs to another event loop")

    async def open(self) -> None:
        """Connect and prepare, if that was not done; StateReadError if it cannot be."""
        self.demand_open()
        self._running_count += 1
        try:
            await self._prepared(None, is_write=False)
        finally:
            self._note_end()

    @contextmanager
    def running(self) -> Iterator[None]:
        """What takes several steps: `close` waits for it."""
        self.demand_open()
        self._running_count += 1
        try:
            yield
        finally:
            self._note_end()

    async def run(
        self,
        act: Act,
        key: str | None = None,
        *,
        is_write: bool = False,
        is_step: bool = False,
    ) -> Any:
        """Return what `act` returns of a connection; it makes one statement.

        A step of what is `running` already is done though `close` was called.  Raises
        StateReadError for a read, and for a write StateWriteError if it was not applied
        and OutcomeUnknownError if nobody knows.
        """
        if not is_step:
            self.demand_open()
        self._running_count += 1
        try:
            if not self._is_prepared:
                await self._prepared(key, is_write=is_write)
            return await self._repeated(act, key, is_write=is_write)
        finally:
            self._note_end()

    async def close(self) -> None:
        """Wait for what runs, then close the connections; nothing runs afterwards."""
        if self._closed:
            return
        if self._loop is not None:
            self.demand_open()
        self._closed = True
        try:
            while self._running_count:
                self._idle = asyncio.Event()
                await self._idle.wait()
            with suppress(Exception):
                async with asyncio.timeout(self._timeout):
                    await self._let_all_go()
        finally:
            if self._opening is not None:
                self._opening.cancel()
            # Nobody waits any more, and what still runs lets go of its own.
            self._ended = True
            if self._unused:
                while self._unused:
                    self._unused.pop()[1].terminate()
                # What is aborted is closed by the loop, at its next turn.
                await asyncio.sleep(0)

    def _note_end(self) -> None:
        """Note that one runs no more, which `close` waits for."""
        self._running_count -= 1
        if self._idle is not None and not self._running_count:
            self._idle.set()

    async def _prepared(self, key: str | None, *, is_write: bool) -> None:
        """Wait for the opening that there is, or begin one; raise as of the key."""
        if self._is_prepared:
            return
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        failed = await asyncio.shield(self._opening)
        if failed is not None:
            kind = StateWriteError if is_write else StateReadError
            error = kind(None, failed.reason, key=key, store=self._store)
            error.errno = failed.errno
            raise error from failed.__cause__

    async def _let_all_go(self) -> None:
        if self._opening is not None:
            # Of those who were cancelled.
            await asyncio.wait([self._opening])
        if self._connecting:
            await asyncio.wait(self._connecting)

    async def _connect(self) -> Any:
        """Connect, to the end even where whoever asked for it is cancelled.

        The client, cancelled while it agrees on TLS, leaves errors that nobody awaits.
        """
        connecting = asyncio.create_task(asyncpg.connect(**self._arguments))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_terminate)
            raise

    async def _open(self) -> StateReadError | None:
        """Return what went wrong, for as many as wait to raise it."""
        try:
            await self._repeated(self._prepare, None, is_write=False)
        except StateReadError as error:
            return error
        else:
            self._is_prepared = True
            return None
        finally:
            self._opening = None

    async def _repeated(self, act: Act, key: str | None, *, is_write: bool) -> Any:
        back_off: BackOff | None = None
        while True:
            connection = None
            try:
                connection = await self._acquired()
                return await act(connection)
            except StateError:
                raise
            except Exception as error:
                failure = self._failure(error, was_sent=connection is not None)
                if failure.is_lost and connection is not None:
                    # It may hang, or bring an answer that nobody waits for.
                    connection.terminate()
                told = self._told(failure, key, is_write=is_write)
                if not failure.may_pass or isinstance(told, OutcomeUnknownError):
                    raise told from error
                told.__cause__ = error
            finally:
                if connection is not None:
                    self._release(connection)
            back_off = back_off or BackOff(self._timeout, _MOST_AGAIN)
            if not await back_off.again():
                raise told

    async def _acquired(self) -> Any:
        """Return a connection of one's own, when a place is free; TimeoutError if late."""
        await self._places.take()
        try:
            while self._unused:
                _, connection = self._unused.pop()
                if not connection.is_closed():
                    return connection
            return await self._connect()
        except BaseException:
            self._places.leave()
            raise

    def _release(self, connection: Any) -> None:
        """Let others use a connection.

        The client waits for the end of what was cancelled before it sends anything.
        """
        now = time.monotonic()
        self._unused.append((now, connection))
        while self._ended and self._unused:
            self._unused.pop()[1].terminate()
        while self._unused and now - self._unused[0][0] > _LONGEST_UNUSED_S:
            self._unused.popleft()[1].terminate()
        self._places.leave()

    def _failure(self, error: Exception, *, was_sent: bool) -> _Failure:
        """Tell what an exception of the client means."""
        code = getattr(error, "sqlstate", None) or ""
        text = str(error.args[0]) if error.args else type(error).__name__
        if isinstance(error, OSError) and not isinstance(error, TimeoutError):
            text = str(error)
        if not was_sent:
            if isinstance(error, TimeoutError):
                text = f"none was free or made within timeout={self._timeout:g} s"
            may_pass = code in _PASSING or code.startswith(_OF_CONNECTIONS)
            if isinstance(error, OSError):
                may_pass = not isinstance(error, TimeoutError | ssl.SSLError)
            return _Failure(f"there is no connection: {text}", code, may_pass)
        if isinstance(error, asyncpg.InterfaceError):
            # The client's own word, before it sends anything.
            return _Failure(f"the connection was closed: {text}", code, True)
        is_answer = isinstance(error, asyncpg.PostgresError) and not (
            code.startswith(_OF_CONNECTIONS)
            or code == _NOT_KNOWN
            or getattr(error, "severity_en", None) in ("FATAL", "PANIC")
        )
        if is_answer:
            return _Failure(f"the server says: {text}", code, code in _RIVALS)
        if isinstance(error, TimeoutError):
            text = f"no answer came within timeout={self._timeout:g} s"
            return _Failure(text, code, False, is_lost=True)
        text = f"the connection was lost before the answer: {text}"
        return _Failure(text, code, True, is_lost=True)

    def _told(
        self, failure: _Failure, key: str | None, *, is_write: bool
    ) -> StateError:
        """Return the exception of a failure, with what to do."""
        kind: type[StateReadError | StateWriteError | OutcomeUnknownError]
        kind = StateWriteError if is_write else StateReadError
        reason = failure.reason
        if advice := _of(_ADVICE, failure.code):
            reason = f"{reason}; {advice}"
        if is_write and failure.is_lost:
            kind = OutcomeUnknownError
            reason = (
                f"{reason}; it may have been applied, once: read before writing again"
            )
        error = kind(None, reason, key=key, store=self._store)
        error.errno = _of(_ERRNOS, failure.code)
        return error


class _Failure(NamedTuple):
    """What a failure means: whether it may go away, and whether the answer is lost."""

    reason: str
    code: str
    may_pass: bool
    is_lost: bool = False


def _of(table: dict[str, Any], code: str) -> Any:
    return table.get(code, table.get(code[:2]))


def _terminate(connecting: asyncio.Task[Any]) -> None:
    """End the connection that a task made, if it made one."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().terminate()


def _address(url: SplitResult, options: dict[str, str]) -> dict[str, Any]:
    """Return where to connect to, and as whom, in the client's words.

    Apart, so that nobody else takes the URL to pieces and shows them.
    """
    user, _, hosts = url.netloc.rpartition("@")
    name, _, password = user.partition(":")
    address: dict[str, Any] = {
        "user": unquote(name) or None,
        "password": unquote(password) or None,
        "database": unquote(url.path).removeprefix("/") or None,
    }
    if hosts:
        pairs = [_host_and_port(place) for place in hosts.split(",")]
        address["host"] = [host for host, _ in pairs]
        if any(port for _, port in pairs):
            address["port"] = [port or 5432 for _, port in pairs]
    if options:
        address["dsn"] = f"postgresql://?{urlencode(options)}"
    return address


def _host_and_port(place: str) -> tuple[str, int | None]:
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = place.partition(":")
    return unquote(host), int(port) if port else None

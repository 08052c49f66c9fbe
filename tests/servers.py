"""Servers: redis-server and PostgreSQL on loopback, in temporary folders, for tests.

    RedisServer         one redis-server, with options of its own
    RedisCluster        six of them, three masters with a replica each
    PostgresqlServer    one PostgreSQL with a password

Each is a context manager whose server runs inside the block; `stop`, `kill` (-9),
`start`, `pause` and `resume` do what they say, on the same port and folder. As root the
servers run as an unprivileged user. A block that raises prints the end of the log.

Where the machine has no such server the test that asks for one is skipped, and told how
to install it; with LATENCY_KV_SERVERS=1, which .ci/run sets, it fails.

Nothing stays: what a test process leaves behind when it is killed, servers and folders,
is cleared away by its warden, a process that waits for the end of its input.

Knows no client library and nothing of the package. Start at `Server`.
"""

import atexit
import contextlib
import functools
import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self

HOST = "127.0.0.1"

# A node of a cluster also listens at its port + 10000: both below the ports that the
# system gives to clients.
BUS_OFFSET = 10_000
LOWEST_PORT, HIGHEST_PORT = 11_000, 22_000

# Whom the servers run as where the tests are root: PostgreSQL refuses root.
USER = "nobody"

PATIENCE_S = 60.0
PAUSE_S = 0.01

# Another process may take a port between the look and its use.
STARTS = 5

# How much of a log is shown, of one server and of each node of a cluster.
LOG_LINES, NODE_LOG_LINES = 40, 8

# Of every skip for want of a server.
MISSING = "here to test with:"

REDIS_OPTIONS = {"save": "", "appendonly": "no", "daemonize": "no"}

# A dead master is found within seconds, and a full node refuses instead of forgetting.
CLUSTER_OPTIONS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": "2000",
    "appendonly": "yes",
    "repl-diskless-sync-delay": "0",
    "maxmemory-policy": "noeviction",
}
MASTERS, NODES = 3, 6

# What directives call them, and options of redis-cli without the blanks; and their files.
CERTIFICATES = {"ca-cert": "ca.pem", "cert": "pem", "key": "key"}
TLS_OPTIONS = {"tls-cluster": "yes", "tls-replication": "yes"}

POSTGRESQL_USER = "tester"
POSTGRESQL_PASSWORD = "hunter2"
POSTGRESQL_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "16MB",
}


class Server(ABC):
    """One server process; a context manager that starts it and clears it away.

    folder is where it keeps its files: one that is given stays, another is temporary.
    """

    name: ClassVar[str]
    """What messages call it."""

    programs: ClassVar[tuple[str, ...]]
    """What has to be on the machine."""

    installation: ClassVar[str]
    """What brings them there."""

    end_signal: ClassVar[signal.Signals]
    """What ends it at once and leaves nothing behind."""

    stop_signal: ClassVar[signal.Signals]
    """What ends it in good order."""

    def __init__(self, *, folder: Path | None = None) -> None:
        self._given = folder
        self._stack = contextlib.ExitStack()
        self.process: subprocess.Popen[bytes] | None = None
        self.is_paused = False
        self.port = 0

    def __enter__(self) -> Self:
        demand(type(self))
        with contextlib.ExitStack() as stack:
            self.folder = self._given or stack.enter_context(_temporary_folder())
            _hand_over(self.folder)
            stack.callback(self._end)
            self.prepare()
            self._start_anywhere()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            print(f"--- log of {self!r}\n{self.log()}")
        self._stack.close()

    def __repr__(self) -> str:
        return f"{self.name} at {HOST}:{self.port}"

    @property
    @abstractmethod
    def url(self) -> str:
        """What `open_state_store` takes, without a namespace."""

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self!r} does not run"
        return self.process.pid

    @property
    def log_path(self) -> Path:
        return self.folder / "log"

    def log(self, lines: int = LOG_LINES) -> str:
        """The end of what it logged."""
        if not self.log_path.exists():
            return "(nothing)"
        text = self.log_path.read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def start(self) -> None:
        """Start it again, on the port and the files that it had; it is ready then."""
        assert self.process is None, f"{self!r} runs"
        assert self.launch(), f"{self!r} did not start:\n{self.log()}"

    def stop(self) -> None:
        """End it in good order, and wait for its end."""
        self.resume()
        self._finish(self.stop_signal)

    def kill(self) -> None:
        """End it by kill -9, with the processes that it started, and wait."""
        children = _children(self.pid)
        self._finish(signal.SIGKILL)
        for child in children:
            _signal(child, signal.SIGKILL)
        _wait(lambda: not any(map(runs, children)), "its processes to end")

    def pause(self) -> None:
        """Let it hang: connections stay, and nobody answers; no call of it is under way."""
        processes = self.pid, *_children(self.pid)
        for process in processes:
            _signal(process, signal.SIGSTOP)
        _wait(lambda: all(map(_hangs, processes)), f"{self!r} to hang")
        self.is_paused = True

    def resume(self) -> None:
        """Let it go on after a pause."""
        for process in (self.pid, *_children(self.pid)):
            _signal(process, signal.SIGCONT)
        self.is_paused = False

    def launch(self) -> bool:
        """Start the process and wait until it is ready; False if it ended instead."""
        with self.log_path.open("ab") as log:
            self.process = _run_as_user(self.command(), self.folder, log)
        _warden().watch(self.process.pid, self.end_signal)
        _wait(lambda: self._ended() or self.is_ready(), f"{self!r} to be ready")
        return not self._ended()

    def prepare(self) -> None:
        """Make in `folder` what has to be there before the first start."""

    def clear(self) -> None:
        """Clear away what a kill -9 left outside `folder`."""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it on `port` and `folder`, in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the process that runs takes requests."""

    def _start_anywhere(self) -> None:
        for _ in range(STARTS):
            self.port = free_port()
            if self.launch():
                return
            self._finish(signal.SIGKILL)
        raise AssertionError(f"{self.name} did not start:\n{self.log()}")

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def _finish(self, number: signal.Signals) -> None:
        process = self.pid
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(PATIENCE_S)
        self.process = None
        self.is_paused = False
        _warden().forget(process)

    def _end(self) -> None:
        if self.process is not None:
            self.resume()
            self._finish(self.end_signal)
        self.clear()


class RedisServer(Server):
    """A redis-server; options are directives of its configuration.

    Without one of its own nothing is written to a disk, and `stop` forgets everything.
    certificates is a folder with ca.pem, pem and key: then it knows nothing but TLS.
    """

    name = "redis-server"
    programs = "redis-server", "redis-cli"
    installation = "apt-get install redis-server"
    end_signal = signal.SIGKILL
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        options: dict[str, str] | None = None,
        *,
        folder: Path | None = None,
        certificates: Path | None = None,
    ) -> None:
        super().__init__(folder=folder)
        self.options = {**REDIS_OPTIONS, **(options or {})}
        self.certificates = certificates

    @property
    def url(self) -> str:
        password = self.options.get("requirepass")
        secret = f":{password}@" if password else ""
        return f"redis{'s' * bool(self.certificates)}://{secret}{HOST}:{self.port}"

    def command(self) -> list[str]:
        options = {"bind": HOST, "port": str(self.port), "dir": str(self.folder)}
        if self.certificates:
            options |= {"port": "0", "tls-port": str(self.port)} | {
                f"tls-{name}-file": str(self.certificates / file)
                for name, file in CERTIFICATES.items()
            }
        options |= self.options
        return [
            _program("redis-server"),
            *(part for name in options for part in (f"--{name}", options[name])),
        ]

    def is_ready(self) -> bool:
        """Whether it answers, has read its files, and is not another one's."""
        answer = _said(self, "info")
        return f"process_id:{self.pid}\r\n" in answer and "loading:0\r\n" in answer

    def cli(self, *command: str) -> str:
        """What redis-cli prints for a command; AssertionError for an error."""
        password = self.options.get("requirepass")
        tls = ["--tls"] if self.certificates else []
        for name, file in CERTIFICATES.items() if self.certificates else ():
            tls += [f"--{name.replace('-', '')}", f"{self.certificates}/{file}"]
        done = subprocess.run(
            ["redis-cli", "-e", "-h", HOST, "-p", str(self.port), *tls, *command],
            env={**os.environ, **({"REDISCLI_AUTH": password} if password else {})},
            capture_output=True,
            check=False,
        )
        output = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == 0, f"{self!r}: {command}: {output}"
        return output


class RedisCluster:
    """Six redis-servers, three masters with a replica each; a context manager.

    `nodes` are handles of their own: whoever kills one starts it again.  With
    certificates they speak TLS to each other, too.
    """

    def __init__(
        self,
        options: dict[str, str] | None = None,
        *,
        certificates: Path | None = None,
    ) -> None:
        options = (
            CLUSTER_OPTIONS | (TLS_OPTIONS if certificates else {}) | (options or {})
        )
        self.nodes = [
            RedisServer(options, certificates=certificates) for _ in range(NODES)
        ]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        demand(RedisServer)
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self._join()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            print(f"--- logs of {self!r}\n{self.log()}")
        self._stack.close()

    def __repr__(self) -> str:
        return f"a cluster of {self.nodes}"

    @property
    def url(self) -> str:
        """What `open_state_store` takes, without a namespace."""
        scheme, _, rest = self.nodes[0].url.partition("://")
        secret = rest.rpartition("@")[0]
        nodes = ",".join(map(_address, self.nodes))
        return f"{scheme}-cluster://{secret}{'@' * bool(secret)}{nodes}"

    def log(self) -> str:
        """The end of what each node logged."""
        logs = {node: node.log(NODE_LOG_LINES) for node in self.nodes}
        return "\n".join(f"--- {node!r}\n{log}" for node, log in logs.items())

    def masters(self) -> list[RedisServer]:
        """The nodes that answer, and that they are masters."""
        return [node for node in self._running() if "role:master" in _role(node)]

    def replica_of(self, master: RedisServer) -> RedisServer:
        """A node that copies from the master."""
        copies = f"master_port:{master.port}\r\n"
        return next(node for node in self._running() if copies in _role(node))

    def wait_until_healthy(self) -> None:
        """Wait until each slot has a master, and each replica follows one."""
        _wait(self._is_healthy, f"{self!r} to be healthy")

    def _join(self) -> None:
        """Make a cluster of the nodes."""
        self.nodes[0].cli(
            *("--cluster", "create", *map(_address, self.nodes)),
            *("--cluster-replicas", str(NODES // MASTERS - 1), "--cluster-yes"),
        )
        self.wait_until_healthy()

    def _is_healthy(self) -> bool:
        nodes = self.nodes
        return (
            all("cluster_state:ok" in _said(node, "cluster", "info") for node in nodes)
            and len(self.masters()) == MASTERS
            and not any("master_link_status:down" in _role(node) for node in nodes)
        )

    def _running(self) -> list[RedisServer]:
        """The nodes that answer."""
        return [node for node in self.nodes if node.process and not node.is_paused]


class PostgresqlServer(Server):
    """A PostgreSQL; options are settings of its configuration.

    It does not wait for the disk, unless options say `fsync` on.
    """

    name = "PostgreSQL"
    programs = "initdb", "postgres"
    installation = "apt-get install postgresql"
    end_signal = signal.SIGQUIT
    stop_signal = signal.SIGINT

    def __init__(
        self, options: dict[str, str] | None = None, *, folder: Path | None = None
    ) -> None:
        super().__init__(folder=folder)
        self.options = {**POSTGRESQL_OPTIONS, "fsync": "off", **(options or {})}

    @property
    def url(self) -> str:
        secret = f"{POSTGRESQL_USER}:{POSTGRESQL_PASSWORD}"
        return f"postgresql://{secret}@{HOST}:{self.port}/postgres"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def prepare(self) -> None:
        if self.data.exists():
            return
        secret = self.folder / "secret"
        secret.write_text(POSTGRESQL_PASSWORD)
        _hand_over(secret)
        command = [
            *(_program("initdb"), "--pgdata", str(self.data)),
            *("--username", POSTGRESQL_USER, "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
            *("--wal-segsize", "1"),
            *(["--no-sync"] if self.options["fsync"] == "off" else []),
        ]
        with self.log_path.open("ab") as log:
            code = _run_as_user(command, self.folder, log).wait(PATIENCE_S)
        assert code == 0, self.log()

    def command(self) -> list[str]:
        options = {"port": str(self.port), **self.options}
        return [
            *(_program("postgres"), "-D", str(self.data)),
            *(part for name in options for part in ("-c", f"{name}={options[name]}")),
        ]

    def is_ready(self) -> bool:
        """Whether its lock file says so, and is this process's."""
        try:
            lines = self._lock_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        # Process, folder, start, port, sockets, address, shared memory, status.
        return len(lines) > 7 and lines[0] == str(self.pid) and "ready" in lines[7]

    def clear(self) -> None:
        """Remove the block of shared memory that a kill -9 leaves in the system."""
        with contextlib.suppress(FileNotFoundError, IndexError):
            _, block = self._lock_file.read_text().splitlines()[6].split()
            subprocess.run(["ipcrm", "-m", block], capture_output=True, check=False)

    @property
    def _lock_file(self) -> Path:
        return self.data / "postmaster.pid"


@functools.cache
def what_is_missing(kind: type[Server]) -> str:
    """Why there can be no such server here, and what helps; empty if there can."""
    if all(map(_program, kind.programs)):
        return ""
    return f"no {kind.name} {MISSING} {kind.installation}"


def demand(kind: type[Server]) -> None:
    """Skip the test where there is no such server; fail it where there has to be one."""
    # The warden, which runs this file, needs no pytest.
    import pytest

    if reason := what_is_missing(kind):
        if os.environ.get("LATENCY_KV_SERVERS") == "1":
            pytest.fail(f"LATENCY_KV_SERVERS=1, but {reason}", pytrace=False)
        pytest.skip(reason)


def free_port() -> int:
    """A port that nobody listens at, nor at the one of a cluster's bus beside it."""
    while True:
        port = random.SystemRandom().randint(LOWEST_PORT, HIGHEST_PORT)
        with contextlib.ExitStack() as stack:
            try:
                for number in (port, port + BUS_OFFSET):
                    socket_of_ours = stack.enter_context(socket.socket())
                    socket_of_ours.bind((HOST, number))
            except OSError:
                continue
        return port


class Warden:
    """A process that ends servers and removes folders when this process is no more."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        atexit.register(self._process.communicate)

    def watch(self, what: int | Path, number: int = 0) -> None:
        """End this process by this signal, or remove this folder, unless told not to."""
        self._tell(f"watch {number} {what}")

    def forget(self, what: int | Path) -> None:
        self._tell(f"forget 0 {what}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


def guard() -> None:
    """What the warden does: note what it reads, and act on it at the end of it."""
    watched: dict[str, int] = {}
    for line in sys.stdin:
        verb, number, what = line.rstrip("\n").split(" ", 2)
        if verb == "watch":
            watched[what] = int(number)
        else:
            watched.pop(what, None)
    servers = [int(what) for what in watched if what.isdecimal()]
    for server in servers:
        for process in (server, *_children(server)):
            _signal(process, signal.SIGCONT)
        _signal(server, watched[str(server)])
    for _ in range(int(PATIENCE_S / PAUSE_S)):
        if not any(map(runs, servers)):
            break
        time.sleep(PAUSE_S)
    for what in watched:
        if not what.isdecimal():
            shutil.rmtree(what, ignore_errors=True)


@functools.cache
def _warden() -> Warden:
    return Warden()


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = tempfile.mkdtemp(prefix="latency-kv-server-")
    _warden().watch(Path(folder))
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)
        _warden().forget(Path(folder))


def _run_as_user(
    command: list[str], folder: Path, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a command that a root would start as somebody else."""
    user = _unprivileged()
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )


def _hand_over(path: Path) -> None:
    """Let the server write what a root made."""
    if user := _unprivileged():
        os.chown(path, user.pw_uid, user.pw_gid)


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom servers run as; None for whoever runs the tests."""
    return None if os.geteuid() else pwd.getpwnam(USER)


@functools.cache
def _program(name: str) -> str:
    """Where a program is, empty if nowhere; Debian hides those of PostgreSQL."""
    hidden = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    newest = max(hidden, key=lambda path: int(path.split("/")[4]), default="")
    return shutil.which(name) or newest


def _address(node: RedisServer) -> str:
    return f"{HOST}:{node.port}"


def _role(node: RedisServer) -> str:
    return _said(node, "info", "replication")


def _said(node: RedisServer, *command: str) -> str:
    """What a node answers; nothing where it ends, or reads its files."""
    try:
        return node.cli(*command)
    except AssertionError:
        return ""


def _children(process: int) -> list[int]:
    """The processes that this one started and that have not ended."""
    return [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if _status(path) == ("runs", process)
    ]


def runs(process: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    return _status(Path(f"/proc/{process}"))[0] == "runs"


def _hangs(process: int) -> bool:
    """Whether all threads of a process are stopped, or it has ended."""
    tasks = Path(f"/proc/{process}/task").glob("*")
    return all(_state(path)[0] in "TtZX" for path in tasks)


def _status(path: Path) -> tuple[str, int]:
    """Whether a process runs, and who started it."""
    state, parent = _state(path)
    return "ended" if state in "ZX" else "runs", parent


def _state(path: Path) -> tuple[str, int]:
    """The letter of what a process does, X where there is none, and who started it."""
    try:
        # The name, in parentheses, may hold any character.
        state, parent, *_ = (path / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    return state, int(parent)


def _signal(process: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _wait(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s for {what}"
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    guard()

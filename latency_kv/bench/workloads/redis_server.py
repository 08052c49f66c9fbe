"""Redis: a server of its own on a unix socket in a temporary folder, and its client.

One server a process, ended with it; every store begins by flushing it.  A fill goes by
pipelines, as users load it; what is asked call by call goes and comes call by call.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from time import monotonic, perf_counter_ns, sleep
from typing import Any, ClassVar

from latency_kv.bench.peers import required
from latency_kv.bench.workloads.content import Block, Shape, batches
from latency_kv.bench.workloads.engines import PythonEngine

__all__ = ["Redis"]

_PATIENCE_S = 30.0


class Redis(PythonEngine):
    """redis-server on this machine, by redis-py."""

    name = "Redis"
    pace = 20
    note = "filled by pipelines of 128"
    phrases: ClassVar = {
        "get": "target.get(key)",
        "put": "target.set(key, value)",
        "delete": "target.delete(key)",
        "multiget": "target.mget(keys)",
    }

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.target = _client()
        self.target.flushall()

    def __len__(self) -> int:
        count: int = self.target.dbsize()
        return count

    def fill(self, keys: Block, values: Block) -> int:
        """Put all entries, a pipeline at a time."""
        spent = 0
        for some_keys, some_values in batches(keys, values):
            begin = perf_counter_ns()
            pipeline = self.target.pipeline(transaction=False)
            for key, value in zip(some_keys, some_values, strict=True):
                pipeline.set(key, value)
            pipeline.execute()
            spent += perf_counter_ns() - begin
        return spent

    def memory(self) -> int:
        """Return the server's resident bytes."""
        resident: int = self.target.info("memory")["used_memory_rss"]
        return resident


@cache
def _client() -> Any:
    """Start the server of this process, and return a client."""
    redis = required("redis")
    program = shutil.which("redis-server")
    if program is None:
        raise ImportError(
            "redis-server is not installed: install Redis from your system's packages"
        )
    folder = tempfile.mkdtemp(prefix="latency-kv-redis-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    socket = str(Path(folder, "socket"))
    options = {"port": "0", "unixsocket": socket, "dir": folder, "save": ""}
    options |= {"appendonly": "no", "daemonize": "no"}
    process = subprocess.Popen(
        [
            program,
            *(part for name, value in options.items() for part in (f"--{name}", value)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = redis.Redis(unix_socket_path=socket)
    atexit.register(_end, process, client)
    _wait_until_ready(process, client, redis.exceptions.ConnectionError)
    return client


def _wait_until_ready(
    process: subprocess.Popen[bytes], client: Any, refused: type[Exception]
) -> None:
    deadline = monotonic() + _PATIENCE_S
    while True:
        try:
            client.ping()
        except refused:
            if process.poll() is not None or monotonic() > deadline:
                raise RuntimeError("redis-server did not start") from None
            sleep(0.01)
        else:
            return


def _end(process: subprocess.Popen[bytes], client: Any) -> None:
    client.close()
    process.terminate()
    process.wait(_PATIENCE_S)

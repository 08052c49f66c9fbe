"""Servers: they come back after a kill, and none outlives who started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import servers
from fresh import TESTS
from servers import PATIENCE_S, PostgresqlServer, RedisServer, Server, runs

SERVERS: list[Callable[[], Server]] = [RedisServer, PostgresqlServer]

ABANDONED = """
import os, signal, sys
import servers
with getattr(servers, sys.argv[1])() as server:
    print(server.pid, server.folder, flush=True)
    if sys.argv[2] == "paused":
        server.pause()
    signal.pause()
"""

by_server = pytest.mark.parametrize("kind", SERVERS)


@by_server
def test_killed_server_is_there_again(kind: Callable[[], Server]) -> None:
    with kind() as server:
        first, port = server.pid, server.port
        server.kill()
        assert not runs(first)
        server.start()
        assert (server.pid != first, server.port) == (True, port)
        server.stop()
        server.start()


def test_redis_keeps_what_it_syncs() -> None:
    with RedisServer({"appendonly": "yes", "appendfsync": "always"}) as server:
        server.cli("set", "key", "value")
        server.kill()
        server.start()
        assert server.cli("get", "key") == "value\n"


@by_server
@pytest.mark.parametrize("how", ["running", "paused"])
def test_killed_process_leaves_nothing(kind: type[Server], how: str) -> None:
    servers.demand(kind)
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", ABANDONED, kind.__name__, how],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        pid, folder = process.stdout.readline().split()
        assert runs(int(pid))
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while runs(int(pid)) or Path(folder).exists():
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.01)


def test_server_that_is_left_leaves_nothing() -> None:
    with PostgresqlServer() as server:
        pid, folder = server.pid, server.folder
    assert not runs(pid)
    assert not folder.exists()


@pytest.mark.parametrize("needed", [False, True])
def test_missing_server_is_told(needed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENCY_KV_SERVERS", "1" if needed else "0")
    monkeypatch.setattr(RedisServer, "programs", ("redis-server-of-nobody",))
    told = pytest.fail.Exception if needed else pytest.skip.Exception
    servers.what_is_missing.cache_clear()
    try:
        with pytest.raises(told, match="apt-get install redis-server"), RedisServer():
            pass
    finally:
        servers.what_is_missing.cache_clear()

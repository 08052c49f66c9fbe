"""What the tests of providers share: servers on loopback, one of each a worker.

They are started when a test first asks for one, and are gone when pytest ends. A test
that stops, fills or configures a server starts one of its own, by servers.py; so nobody
finds another's keys, each test takes a namespace of its own. The clients of Redis and of
PostgreSQL know asyncio only: what asks for a server does not run on trio.

Start at `redis_server`.
"""

import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from latency_kv.providers import back_off
from servers import HOST, PostgresqlServer, RedisCluster, RedisServer

# Its asserts are tests', and say what they compare.
pytest.register_assert_rewrite("providers.store_checks")

SERVERS = {"redis_server", "redis_cluster", "postgresql_server"}


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A redis-server that every test of this worker shares."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Six redis-servers, three of them masters, that every test of this worker shares."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL that every test of this worker shares."""
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(scope="session")
def certificates() -> Iterator[Path]:
    """A folder with an authority, a certificate of its own for loopback, and a rival."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def openssl(*arguments: str) -> None:
            command = ["openssl", *arguments]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)

        curve = "ec_paramgen_curve:prime256v1"
        new_key = "-newkey", "ec", "-pkeyopt", curve, "-nodes", "-keyout"
        for ca in ("ca", "rival"):
            subject = "-subj", f"/CN={ca}", "-addext", "keyUsage=critical,keyCertSign"
            out = "-days", "2", "-out", f"{ca}.pem"
            openssl("req", "-x509", *new_key, f"{ca}.key", *subject, *out)
        openssl("req", *new_key, "key", "-subj", "/CN=server", "-out", "request")
        (folder / "names").write_text(
            f"subjectAltName=IP:{HOST}\nauthorityKeyIdentifier=keyid\n"
        )
        signing = "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"
        signed = "-extfile", "names", "-days", "2", "-out", "pem"
        openssl("x509", "-req", "-in", "request", *signing, *signed)
        # The server may be somebody else.
        folder.chmod(0o755)
        for path in folder.iterdir():
            path.chmod(0o644)
        yield folder


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries again does so at once, and as often as usual."""
    monkeypatch.setattr(back_off, "_FIRST_S", 0.001)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what would ask for a server on trio."""
    left_out = [item for item in items if _is_on_trio(item) and _asked_for(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the servers that a failing test used."""
    report = yield
    if report.failed:
        values = getattr(item, "funcargs", {})
        for name in _asked_for(item) & values.keys():
            report.sections.append((f"log of {name}", values[name].log()))
    return report


def _asked_for(item: pytest.Item) -> set[str]:
    """The fixtures that are servers and that a test needs, itself or by another."""
    return SERVERS & set(getattr(item, "fixturenames", ()))


def _is_on_trio(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    backend = call.params.get("anyio_backend") if call else None
    return backend == "trio" or isinstance(backend, tuple) and backend[0] == "trio"

"""Scenes: what the tests of the document store set up, and look at afterwards.

    document       the bytes of a document, as the format's description has them
    put            a file of one's own in the store's folder
    files          the folder's files, for "nothing was changed"
    Witness        an emitter that keeps what it hears
    occupied       a plugin with an update under way
    one_by_one     calls made in this order and no other
    held           a plugin's lock in another writer's hands

Knows names and format from their description, and nothing of the package that makes
them. Start at `Witness`.
"""

import fcntl
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

from latency_kv import FileSystemStateStore
from latency_kv.documents.events import StateErrorEvent, StateEvent

# A test that waits longer than this hangs.
PATIENCE_S = 60

WRITTEN = "2024-01-01T00:00:00.000Z"

E = TypeVar("E", bound=StateEvent)


def document(
    data: Any, version: Any = 1, plugin_name: str = "clock", **fields: Any
) -> bytes:
    """A document's bytes; fields come on top, or in another's place."""
    metadata = {"lastModified": WRITTEN, "pluginName": plugin_name}
    whole = {"version": version, "data": data, "metadata": metadata} | fields
    return json.dumps(whole).encode()


def put(store: FileSystemStateStore, name: str, content: bytes) -> Path:
    """Put a new file into the store's folder, by hand; links to an old one keep it."""
    path = store.state_dir / name
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def data_in(store: FileSystemStateStore, name: str = "clock.json") -> Any:
    return json.loads((store.state_dir / name).read_bytes())["data"]


def files(folder: Path) -> dict[str, bytes]:
    """The files right in a folder, links told from what they lead to."""
    return {
        path.name: os.readlink(path).encode() if path.is_symlink() else _content(path)
        for path in sorted(folder.iterdir())
        if path.name != ".locks"
    }


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b"no regular file"


class Witness:
    """An emitter that keeps what it hears, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, StateEvent]] = []

    def emit(self, event: str, payload: StateEvent, /) -> None:
        self.heard.append((event, payload))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    @property
    def payloads(self) -> list[StateEvent]:
        return [payload for _, payload in self.heard]

    def forget(self) -> None:
        self.heard.clear()

    def only(self, kind: type[E]) -> E:
        """The one event of its kind."""
        (payload,) = (p for p in self.payloads if isinstance(p, kind))
        return payload

    def saw_error(self, operation: str, error: BaseException) -> bool:
        """Whether all that was heard is that this operation failed with this error."""
        (payload,) = self.payloads
        assert isinstance(payload, StateErrorEvent)
        assert self.names == ["state.error"]
        assert payload.plugin_name == "clock"
        return payload.operation == operation and payload.error is error

    async def wait_for(self, name: str, count: int = 1) -> None:
        with anyio.fail_after(PATIENCE_S):
            while self.names.count(name) < count:
                await anyio.sleep(0.001)


@asynccontextmanager
async def occupied(
    store: FileSystemStateStore, plugin_name: str = "clock"
) -> AsyncIterator[None]:
    """Keep a plugin's queue waiting until the block ends; it saves "occupied"."""
    begun, may_end = anyio.Event(), anyio.Event()

    async def wait(data: Any) -> str:
        begun.set()
        await may_end.wait()
        return "occupied"

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(store.update, plugin_name, wait)
            await begun.wait()
            yield
            may_end.set()


async def one_by_one(
    group: TaskGroup, *calls: Callable[[], Coroutine[Any, Any, object]]
) -> None:
    """Start a task for each call, the next one when those before have been made."""
    for call in calls:
        group.start_soon(call)
        await anyio.wait_all_tasks_blocked()


@contextmanager
def held(folder: Path, stem: str = "clock") -> Iterator[None]:
    """Hold a plugin's lock, as a writer in another process would."""
    path = folder / ".locks" / f"{stem}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)

"""Actors: tasks that use a document store at random, and are cancelled at random.

    MemoryFiles     what stands in for the disk
    WatchedFiles    files that are watched, fail now and then, and are locked by others
    Listener        is told the events, and now and then fails or wants to be awaited
    Scene           one schedule: a store, its actors, and how it comes to its end

A scene runs on any loop; where that is asyncio, tasks are cancelled in its own way too.
Everything is chosen by one Random. Start at `Scene.run`.
"""

import asyncio
import contextlib
import errno
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import anyio
import trio

from documents.history import Call, Document, FunctionError, History, State, updated
from latency_kv.documents import store as documents_store
from latency_kv.documents.backups import backup_file
from latency_kv.documents.events import StateEvent
from latency_kv.documents.files import Cleared, DocumentFiles, Written
from latency_kv.documents.store import FileSystemStateStore
from latency_kv.errors import (
    LockTimeoutError,
    OutcomeUnknownError,
    StateError,
    StateReadError,
    StateWriteError,
)
from latency_kv.facets.stores import StateData, StateMetadata

T = TypeVar("T")

NAMES = ["alarm", "clock", "zones"]

# How often each is called, of all calls.
METHODS = Counter(
    save=5,
    load=3,
    update=5,
    clear=2,
    restore=2,
    migrate=2,
    save_later=5,
    flush=1,
    exists=1,
    list_backups=1,
    validate=1,
)
MOST_ACTORS = 4
MOST_CALLS = 6
MOST_BACKUPS = 3
HIGHEST_VERSION = 6

# How a scene ends: the store is closed when all have ended; while they go on; while its
# body is cancelled, by a scope or by asyncio; or there is no `async with` at all.
# "abandoned" is no choice of chance: see `Scene._abandon`.
ENDS = ["patient", "patient", "early", "cancelled", "natively", "bare"]

# In virtual seconds, of which a callback takes a thousandth: a time in which others
# take some steps, and one in which operations end.
SHORT_S = 0.02
LONG_S = 0.3

# About as long as an operation takes; others hold a lock for less and for more.
LOCK_TIMEOUT_S = 0.2
LONGEST_LOCKED_S = 0.4

FAULT_RATE = 0.06

# Any folder that there is: in-memory files have none of their own.
SOME_FOLDER = Path(__file__).parent


class MemoryFiles(DocumentFiles):
    """The files of a folder, as the model has them."""

    def __init__(self, max_backups: int) -> None:
        super().__init__(SOME_FOLDER, max_backups=max_backups)
        self.states: dict[str, State] = {}
        self.held: set[str] = set()

    def open(self) -> None:
        pass

    @contextlib.contextmanager
    def hold(self, plugin_name: str) -> Iterator[None]:
        if plugin_name in self.held:
            raise LockTimeoutError(plugin_name, 0)
        self.held.add(plugin_name)
        try:
            yield
        finally:
            self.held.remove(plugin_name)

    def read(self, plugin_name: str) -> StateData[Any] | None:
        document = self._now(plugin_name).document
        return None if document is None else _state_data(plugin_name, document)

    def exists(self, plugin_name: str) -> bool:
        return self._now(plugin_name).document is not None

    def backups(self, plugin_name: str) -> list[Path]:
        count = len(self._now(plugin_name).backups)
        names = [backup_file(plugin_name, index + 1) for index in range(count)]
        return [self.directory / name for name in names]

    def write(self, plugin_name: str, data: Any, version: int | None) -> Written:
        kept = self._now(plugin_name).kept_version(version)
        return self._put(plugin_name, (kept, tuple(data)))

    def restore(self, plugin_name: str, index: int) -> Written:
        backups = self._now(plugin_name).backups
        if index > len(backups):
            raise StateReadError(plugin_name, f"there is no backup {index}")
        return self._put(plugin_name, backups[index - 1])

    def clear(self, plugin_name: str) -> Cleared:
        state = self._now(plugin_name)
        if state.document is None:
            return Cleared(existed=False, backup=None, corrupt=None)
        self.states[plugin_name] = state.replaced(None, self.max_backups)
        backup = self._newest(plugin_name) if self.max_backups else None
        return Cleared(existed=True, backup=backup, corrupt=None)

    def _now(self, plugin_name: str) -> State:
        return self.states.get(plugin_name, State())

    def _newest(self, plugin_name: str) -> Path:
        return self.directory / backup_file(plugin_name, 1)

    def _put(self, plugin_name: str, document: Document) -> Written:
        old = self._now(plugin_name)
        self.states[plugin_name] = old.replaced(document, self.max_backups)
        is_backed_up = old.document is not None and self.max_backups
        backup = self._newest(plugin_name) if is_backed_up else None
        state = _state_data(plugin_name, document)
        return Written(state, len(document[1]), backup, None)


class WatchedFiles(DocumentFiles):
    """Files whose every use is noted, refused while others hold a lock, or fails.

    touch is told the plugin before anything is done for it; is_locked tells whether
    another process holds its lock.
    """

    def __init__(
        self,
        inner: DocumentFiles,
        history: History,
        chance: random.Random,
        *,
        fault_rate: float,
        touch: Callable[[str], None],
        is_locked: Callable[[str], bool],
    ) -> None:
        super().__init__(inner.directory, max_backups=inner.max_backups)
        self.inner = inner
        self.history = history
        self.chance = chance
        self.fault_rate = fault_rate
        self.touch = touch
        self.is_locked = is_locked
        self.held: Counter[str] = Counter()
        self.busy: set[str] = set()

    def open(self) -> None:
        self.inner.open()

    @contextlib.contextmanager
    def hold(self, plugin_name: str) -> Iterator[None]:
        if self.is_locked(plugin_name):
            raise LockTimeoutError(plugin_name, 0)
        self._fail_at_times("hold", plugin_name)
        with self.inner.hold(plugin_name):
            self.held[plugin_name] += 1
            try:
                yield
            finally:
                self.held[plugin_name] -= 1

    def read(self, plugin_name: str) -> StateData[Any] | None:
        with self._used("read", plugin_name, StateReadError):
            return self.inner.read(plugin_name)

    def exists(self, plugin_name: str) -> bool:
        with self._used("exists", plugin_name, StateReadError):
            return self.inner.exists(plugin_name)

    def backups(self, plugin_name: str) -> list[Path]:
        with self._used("backups", plugin_name, StateReadError):
            return self.inner.backups(plugin_name)

    def write(self, plugin_name: str, data: Any, version: int | None) -> Written:
        with self._used("write", plugin_name, StateWriteError, is_change=True):
            written = self.inner.write(plugin_name, data, version)
            self._changed("write", plugin_name, _document(written.state))
            return written

    def restore(self, plugin_name: str, index: int) -> Written:
        with self._used("restore", plugin_name, StateWriteError, is_change=True):
            written = self.inner.restore(plugin_name, index)
            self._changed("restore", plugin_name, _document(written.state))
            return written

    def clear(self, plugin_name: str) -> Cleared:
        with self._used("clear", plugin_name, StateWriteError, is_change=True):
            cleared = self.inner.clear(plugin_name)
            if cleared.existed:
                self._changed("clear", plugin_name, None)
            return cleared

    def _changed(self, kind: str, plugin_name: str, document: Document | None) -> None:
        """Note a change, of which nobody may know whether it lasts."""
        error = None
        if self.chance.random() < self.fault_rate:
            error = OutcomeUnknownError(plugin_name, "the folder could not be synced")
        self.history.effect(plugin_name, kind, document, error)
        if error is not None:
            raise error

    @contextlib.contextmanager
    def _used(
        self,
        kind: str,
        plugin_name: str,
        error: type[StateReadError | StateWriteError],
        *,
        is_change: bool = False,
    ) -> Iterator[None]:
        if is_change and self.held[plugin_name] != 1:
            complaint = f"{kind} of {plugin_name} with {self.held[plugin_name]} holds"
            self.history.complaints.append(complaint)
        self._fail_at_times(kind, plugin_name, error)
        if plugin_name in self.busy:
            self.history.complaints.append(f"{kind} of {plugin_name} amid another")
        self.busy.add(plugin_name)
        try:
            yield
        finally:
            self.busy.discard(plugin_name)

    def _fail_at_times(
        self,
        kind: str,
        plugin_name: str,
        error: type[StateReadError | StateWriteError] | None = None,
    ) -> None:
        self.touch(plugin_name)
        if self.chance.random() >= self.fault_rate:
            return
        cause = OSError(errno.EIO, "a disk that fails now and then")
        failure: Exception = cause
        if error is not None:
            failure = error(plugin_name, f"{kind} failed", self.directory)
            failure.__cause__ = cause
        self.history.effect(plugin_name, kind, None, failure)
        raise failure


class Listener:
    """Is told events; it raises at some, and returns what has to be awaited at others.

    slow_count is how many of these were not awaited to their end.
    """

    def __init__(
        self,
        history: History,
        chance: random.Random,
        unit_s: float,
        *,
        is_asyncio: bool,
    ) -> None:
        self.history = history
        self.chance = chance
        self.unit_s = unit_s
        self.is_asyncio = is_asyncio
        self.raise_rate = chance.choice([0, 0.2])
        self.slow_rate = 0.0
        self.slow_count = 0

    def emit(self, event: str, payload: StateEvent, /) -> object:
        if self.is_asyncio:
            # Raises in a thread.
            asyncio.get_running_loop()
        self.history.tell(event, payload)
        if self.chance.random() < self.raise_rate:
            raise ValueError("a listener that fails now and then")
        if self.chance.random() < self.slow_rate:
            self.slow_count += 1
            return self._slow()
        return None

    async def _slow(self) -> None:
        await anyio.sleep(self.chance.uniform(0, SHORT_S) * self.unit_s)
        # Not in a finally: a listener that is cut off has not heard all.
        self.slow_count -= 1


class Scene:
    """One schedule: what there is, and who does what to it, and how it ends.

    touch is told by the files whom they are used for; unit_s is a virtual second.
    """

    def __init__(
        self,
        chance: random.Random,
        *,
        folder: Path | None = None,
        touch: Callable[[str], None] = lambda name: None,
        backend: str = "asyncio",
        end: str = "",
        unit_s: float = 1.0,
    ) -> None:
        self.chance = chance
        self.unit_s = unit_s
        self.is_asyncio = backend == "asyncio"
        self.end = end or chance.choice(ENDS)
        if self.end == "natively" and not self.is_asyncio:
            self.end = "cancelled"
        # With tasks of asyncio's own, which no scope cancels, or in a task group.
        is_scoped = self.end == "cancelled" or not self.is_asyncio
        self.is_raw = not is_scoped and self.chosen(0.5)
        self.cancel_rate = chance.choice([0, 0.3, 0.7])
        self.names = NAMES[: chance.randint(1, len(NAMES))]
        # Keeps its lock, or stays in its function, until the others have ended.
        is_stuck = len(self.names) > 1 and self.end != "abandoned" and self.chosen(0.15)
        self.stuck = self.names[0] if is_stuck else ""
        self.is_stuck_inside = self.chosen(0.5)
        self.others = 0
        self.locks = {name: self._locked_spans() for name in self.names}
        max_backups = chance.randint(0, MOST_BACKUPS)
        self.history = History(self.names, max_backups)
        self.listener = Listener(
            self.history, chance, unit_s, is_asyncio=self.is_asyncio
        )
        if self.end != "abandoned" and self.chosen(0.2):
            self.listener.slow_rate = 0.3
            self.history.is_told_late = True
        self.files = WatchedFiles(
            MemoryFiles(max_backups)
            if folder is None
            else DocumentFiles(folder, max_backups=max_backups, durable=False),
            self.history,
            chance,
            fault_rate=FAULT_RATE if self.chosen(0.5) else 0,
            touch=touch,
            is_locked=self._is_locked,
        )
        with patch.object(documents_store, "DocumentFiles", lambda *a, **o: self.files):
            self.store = FileSystemStateStore(
                self.listener,
                state_dir=self.files.directory,
                max_backups=max_backups,
                lock_timeout=-1 if self.stuck else LOCK_TIMEOUT_S * unit_s,
            )
        # Documents of calls that were made, which are the caller's to change.
        self.handed: list[list[int]] = []

    def __str__(self) -> str:
        kind = "tasks of asyncio's" if self.is_raw else "a task group"
        stuck = f", {self.stuck} stuck" if self.stuck else ""
        late = ", slow listeners" if self.history.is_told_late else ""
        return f"{self.end}, {kind}{stuck}{late}"

    def chosen(self, rate: float) -> bool:
        return self.chance.random() < rate

    async def run(self) -> None:
        """Play it to its end; the history is then to be checked."""
        self.history.start(_clock(self.is_asyncio))
        if self.end == "bare":
            await self._act()
        elif self.end == "patient":
            await self._open_around(self._act)
        elif self.end == "early":
            async with anyio.create_task_group() as group:

                async def body() -> None:
                    group.start_soon(self._act)
                    await self._pause(LONG_S)

                await self._open_around(body)
        elif self.end == "cancelled":
            with anyio.move_on_after(self._span(2 * LONG_S)):
                await self._open_around(self._act)
        elif self.end == "abandoned":
            await self._abandon()
        else:
            await self._cancel_natively()
        if self.history.closed:
            await self._call(self._chosen_call(self.names))
        complaints = self.history.complaints
        if self.listener.slow_count:
            complaints.append(f"{self.listener.slow_count} listeners were cut off")
        if +self.files.held:
            complaints.append(f"locks are still held: {+self.files.held}")

    async def _open_around(self, body: Callable[[], Awaitable[None]]) -> None:
        is_open = False
        try:
            async with self.store:
                is_open = True
                try:
                    await body()
                    self.history.is_whole = True
                finally:
                    self.history.closing = self.history.moment()
                    self.history.hurried = self.history.hurried or self.history.closing
        except (StateError, ExceptionGroup) as error:
            self.history.closing_error = error
        except BaseException:
            # Closing was cancelled, and raises that.
            self.history.is_whole = False
            raise
        finally:
            if is_open:
                self.history.closed = self.history.moment()

    async def _cancel_natively(self) -> None:
        """Cancel the task that has the store open, some times and then no more."""
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(self._open_around(self._act))
        times = sorted(self._span(2 * LONG_S) for _ in range(self.chance.randint(1, 3)))
        timers = [loop.call_later(time, task.cancel) for time in times]
        await asyncio.wait([task])
        for timer in timers:
            timer.cancel()
        if not task.cancelled():
            task.result()

    async def _abandon(self) -> None:
        """End as asyncio.run does once its coroutine has returned: cancel all tasks."""
        acting: list[asyncio.Task[None]] = []

        async def body() -> None:
            acting.append(asyncio.ensure_future(self._act()))
            await self._pause(2 * LONG_S)

        is_early = self.chosen(0.3)
        work = asyncio.ensure_future(self._open_around(body if is_early else self._act))
        await self._pause(2 * LONG_S)
        if self.chosen(0.5):
            # Amid closing.
            while not self.history.closing and not work.done():
                await self._pause(SHORT_S)
            await self._pause(self.chance.choice([0, SHORT_S, LONG_S]))
        self.history.hurried = self.history.hurried or self.history.moment()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not work.cancelled():
            work.result()

    async def _act(self) -> None:
        """All actors, each a task."""
        parts: list[list[str]] = [
            self.names for _ in range(self.chance.randint(1, MOST_ACTORS))
        ]
        if self.stuck:
            parts = [self.names[1:] for _ in parts] + [[self.stuck]]
        self.others = len(parts) - 1
        if self.is_raw:
            tasks = [asyncio.ensure_future(self._actor(names)) for names in parts]
            for task in tasks[: self.others]:
                task.add_done_callback(self._end_other)
            # With the exceptions as results, it also waits for those it cancels.
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
            return

        async def other(names: list[str]) -> None:
            try:
                await self._actor(names)
            finally:
                self._end_other()

        async with anyio.create_task_group() as group:
            for names in parts[: self.others]:
                group.start_soon(other, names)
            group.start_soon(self._actor, parts[-1])

    def _end_other(self, task: Any = None) -> None:
        self.others -= 1

    async def _actor(self, names: list[str]) -> None:
        try:
            for _ in range(self.chance.randint(1, MOST_CALLS)):
                await self._pause(self.chance.choice([0, SHORT_S, LONG_S]))
                for document in self.handed:
                    document.append(-1)
                self.handed.clear()
                await self._call(self._chosen_call(names))
        except BaseException:
            # A last word of one that is cancelled, which takes no wait.
            if self.end != "bare" and self.chosen(0.3):
                await self._perform(self._later_call(self.chance.choice(names)))
            raise

    async def _pause(self, longest: float) -> None:
        await anyio.sleep(self._span(longest) if longest else 0)

    def _span(self, longest: float) -> float:
        return self.chance.uniform(0, longest) * self.unit_s

    def _locked_spans(self) -> list[tuple[float, float]]:
        """When another process holds the plugin's lock."""
        spans = []
        for _ in range(self.chance.choice([0, 0, 0, 2])):
            start = self._span(2 * LONG_S)
            spans.append((start, start + self._span(LONGEST_LOCKED_S)))
        return spans

    def _is_locked(self, name: str) -> bool:
        if name == self.stuck:
            return not self.is_stuck_inside and bool(self.others)
        now = self.history.now()
        return any(start <= now < end for start, end in self.locks[name])

    def _chosen_call(self, names: list[str]) -> Call:
        methods = METHODS.copy()
        if self.end == "bare":
            del methods["save_later"], methods["flush"]
        if self.stuck:
            # It waits for all plugins.
            del methods["flush"]
        (method,) = self.chance.choices(list(methods), list(methods.values()))
        call = Call(self.history.number(), self.chance.choice(names), method)
        if method in ("save", "update", "save_later", "migrate"):
            is_given = method == "migrate" or self.chosen(0.3)
            call.version = self.chance.randint(0, HIGHEST_VERSION) if is_given else None
        call.index = self.chance.randint(1, MOST_BACKUPS)
        call.fails = self.chosen(0.1)
        call.delay = self._span(self.chance.choice([SHORT_S, LONG_S, 10.0]))
        call.max_delay = call.delay if self.chosen(0.2) else 10.0 * self.unit_s
        return call

    def _later_call(self, name: str) -> Call:
        delay = self._span(LONG_S)
        number = self.history.number()
        return Call(number, name, "save_later", delay=delay, max_delay=delay)

    # One call.

    async def _call(self, call: Call) -> None:
        """Make a call, and perhaps end the wait for it."""
        kinds = ["scope", "fail_after", *["native", "timeout"] * self.is_asyncio]
        cancel = self.chance.choice(kinds) if self.chosen(self.cancel_rate) else ""
        seconds = self._span(self.chance.choice([SHORT_S, LONG_S]))
        if cancel == "scope":
            with anyio.move_on_after(seconds):
                await self._perform(call)
        elif cancel == "fail_after":
            with contextlib.suppress(TimeoutError), anyio.fail_after(seconds):
                await self._perform(call)
        elif cancel == "timeout":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._perform(call)
        elif cancel == "native":
            await self._perform_cancelled(call, seconds)
        else:
            await self._perform(call)

    async def _perform_cancelled(self, call: Call, seconds: float) -> None:
        """Have asyncio cancel this task itself, perhaps more than once."""
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        loop = asyncio.get_running_loop()
        count = 0
        timers: list[asyncio.TimerHandle] = []

        def cancel() -> None:
            nonlocal count
            count += 1
            task.cancel()
            if self.chosen(0.3):
                timers.append(loop.call_later(self._span(SHORT_S), cancel))

        timers.append(loop.call_later(seconds, cancel))
        try:
            await self._perform(call)
        except asyncio.CancelledError:
            if not count:
                raise
        else:
            if count and call.outcome == "returned":
                self.history.complaints.append(f"a cancellation was lost in {call}")
        finally:
            timers[-1].cancel()
            for _ in range(count):
                task.uncancel()
        if task.cancelling() > before:
            raise asyncio.CancelledError

    async def _perform(self, call: Call) -> None:
        self.history.begin(call)
        try:
            result = await self._operation(call)
        except Exception as error:  # noqa: BLE001 - the history judges it
            self.history.end(call, "raised", error=error)
        except BaseException:
            self.history.end(call, "cancelled")
            raise
        else:
            self.history.end(call, "returned", result)

    async def _operation(self, call: Call) -> Any:
        store, name = self.store, call.plugin_name
        if call.method in ("save", "save_later"):
            document = [call.number]
            self.handed.append(document)
            if call.method == "save":
                await store.save(name, document, version=call.version)
                return None
            delays = {"delay": call.delay, "max_delay": call.max_delay}
            await store.save_later(name, document, call.version, **delays)
            return None
        if call.method == "update":
            return await store.update(name, self._updater(call), version=call.version)
        if call.method == "migrate":
            steps = {
                version: self._step(call, version)
                for version in range(1, HIGHEST_VERSION + 1)
            }
            await store.migrate(name, call.version or 0, steps)
            return None
        if call.method == "validate":
            return await store.validate(name, self._validator(call))
        if call.method == "load":
            state = await store.load(name, recover=self.chosen(0.3))
            return None if state is None else _document(state)
        if call.method == "list_backups":
            return len(await store.list_backups(name))
        if call.method == "restore":
            await store.restore(name, call.index)
            return None
        if call.method == "flush":
            await store.flush()
            return None
        return await getattr(store, call.method)(name)

    def _function(self, call: Call, change: Callable[[Any], T]) -> Callable[[Any], Any]:
        """A function for an operation: it may raise, and may have to be awaited."""

        def checked(data: Any) -> T:
            if call.fails:
                raise FunctionError(call.number)
            return change(data)

        async def slow(data: Any) -> T:
            await self._pause(SHORT_S)
            return checked(data)

        return self.chance.choice([checked, slow])

    def _step(self, call: Call, version: int) -> Callable[[Any, int], Any]:
        step = self._function(call, lambda data: updated(data, -version))
        return lambda data, old_version: step(data)

    def _validator(self, call: Call) -> Callable[[Any], Any]:
        return self._function(call, lambda data: True)

    def _updater(self, call: Call) -> Callable[[Any], Any]:
        times = 0

        def change(data: list[int] | None) -> list[int]:
            nonlocal times
            times += 1
            if times > 1:
                self.history.complaints.append(f"{times} times the function of {call}")
            return updated(data, call.number)

        async def busy(data: list[int] | None) -> list[int]:
            await self._inside(call)
            return change(data)

        is_busy = self.chosen(0.3) or (call.plugin_name == self.stuck)
        return busy if is_busy and not call.fails else self._function(call, change)

    async def _inside(self, call: Call) -> None:
        """What an update's function may try while it has the plugin for itself."""
        if call.plugin_name == self.stuck and self.is_stuck_inside:
            while self.others:
                await self._pause(LONG_S)
        if self.end != "bare" and self.chosen(0.3):
            await self._perform(self._later_call(call.plugin_name))
        if self.chosen(0.3):
            again = self._chosen_call([call.plugin_name])
            if again.method not in ("save_later", "flush"):
                again.is_inside = True
                await self._perform(again)
        # Always the names behind it: two that wait for one another are the user's.
        behind = self.names[self.names.index(call.plugin_name) + 1 :]
        if behind and self.chosen(0.3):
            other = self._chosen_call(behind)
            if other.method != "flush":
                await self._perform(other)
        await self._pause(SHORT_S)


def _clock(is_asyncio: bool) -> Callable[[], float]:
    """The loop's time, in any thread."""
    if is_asyncio:
        return asyncio.get_running_loop().time
    return trio.lowlevel.current_clock().current_time


def _state_data(plugin_name: str, document: Document) -> StateData[Any]:
    metadata = StateMetadata(datetime.now(UTC), plugin_name)
    return StateData(document[0], list(document[1]), metadata)


def _document(state: StateData[Any]) -> Document:
    return state.version, tuple(state.data)

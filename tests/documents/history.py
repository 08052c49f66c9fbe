"""History: what was called, done to the files and told, and whether that may be.

    History.begin, end    an operation is called, and returns, raises or is cancelled
    History.effect        a change of a document, or a call of the files that failed
    History.tell          an event
    check                 AssertionError unless all of it keeps the promises

The promises, for each plugin by itself: the operations happened one after the other in
the order of their calls, each once, as on the model `State`; one that was cancelled, as
a whole or not at all; each change was told after it was made, once, in order, before
the call returned; what `save_later` took was written once, not before it was due unless
something asked for it. After the store was closed nothing happened any more.

A cancelled call leaves open what happened, so `check` searches for one explanation of
all that was seen. Documents are lists of the numbers of the calls that made them.

Knows no loop, and of the store only its words. Start at `check`.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

from latency_kv.documents.events import StateErrorEvent, StateEvent
from latency_kv.errors import (
    LockTimeoutError,
    OutcomeUnknownError,
    StateMigrationError,
    StateReadError,
    StateValidationError,
)

Document: TypeAlias = tuple[int, tuple[int, ...]]
"""(version, the numbers of the calls that made it)"""

Outcome: TypeAlias = Literal["running", "returned", "raised", "cancelled"]

# Of a document's calls; what an update adds to.
LONGEST_TRACE = 4

# A virtual clock adds up many steps.
ROUNDING_S = 1e-6

# What its function raises, of whatever method.
FUNCTIONS = {"update", "migrate", "validate"}


_Change: TypeAlias = tuple[str, Document | None] | None
"""(what the files were asked for, the document that is there now)"""


class State(NamedTuple):
    """The model of a plugin's files."""

    document: Document | None = None
    backups: tuple[Document, ...] = ()

    def replaced(self, document: Document | None, max_backups: int) -> "State":
        """Put a document in the place of this one, which becomes the newest backup."""
        if self.document is None:
            return State(document, self.backups)
        backups = (self.document, *self.backups)
        return State(document, backups[:max_backups])

    def kept_version(self, version: int | None) -> int:
        if version is not None:
            return version
        return 1 if self.document is None else self.document[0]


def updated(trace: list[int] | None, number: int) -> list[int]:
    """What an update's function makes of a document."""
    return [*(trace or []), number][-LONGEST_TRACE:]


def leaves(error: BaseException | None) -> list[BaseException]:
    """The errors that a group is made of, or the only one."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [] if error is None else [error]


class FunctionError(Exception):
    """What a function that was handed to an operation raises."""


@dataclass(eq=False)
class Call:
    """One operation, from its call to its end."""

    number: int
    plugin_name: str
    method: str
    version: int | None = None
    index: int = 1
    # Of update's, migrate's and validate's function, or a migration from here on.
    fails: bool = False
    # From inside the function of another on the same plugin.
    is_inside: bool = False
    delay: float = 0.0
    max_delay: float = 0.0
    # When it was called and when it ended, by the order of all things and by the clock.
    at: int = 0
    time: float = 0.0
    ended: int = 0
    outcome: Outcome = "running"
    result: Any = None
    error: BaseException | None = None

    def __str__(self) -> str:
        end = self.outcome if self.error is None else f"raised {self.error!r}"
        what = f"{self.method}({self.plugin_name!r}"
        if self.version is not None:
            what += f", version={self.version}"
        if self.method == "restore":
            what += f", {self.index}"
        if self.fails:
            what += ", its function raises"
        result = f" {self.result!r}" if self.outcome == "returned" else ""
        return f"{self.number}: {what}) {end}{result} at {self.ended}"


@dataclass(frozen=True)
class Effect:
    """A change of a document, with an error if it may not last; or only an error."""

    at: int
    time: float
    kind: str
    document: Document | None
    error: Exception | None

    @property
    def is_change(self) -> bool:
        return self.error is None or isinstance(self.error, OutcomeUnknownError)


@dataclass(frozen=True)
class Told:
    """An event."""

    at: int
    payload: StateEvent


@dataclass
class Plugin:
    """All that was seen of one plugin, in order."""

    calls: list[Call] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)


class History:
    """What was seen of one store."""

    def __init__(self, plugin_names: list[str], max_backups: int) -> None:
        self.max_backups = max_backups
        self.plugins = {name: Plugin() for name in plugin_names}
        self.complaints: list[str] = []
        # When closing began and when it was over; 0 is never.
        self.closing = 0
        self.closed = 0
        # From when on nothing that waits has to be waited for.
        self.hurried = 0
        # Listeners that an operation awaits keep the news of others waiting.
        self.is_told_late = False
        # Whether the body came to its own end, and what closing raised.
        self.is_whole = False
        self.closing_error: BaseException | None = None
        self._clock: Callable[[], float] = float
        self._started = 0.0
        self._moments = itertools.count(1)
        self._numbers = itertools.count(1)

    def start(self, clock: Callable[[], float]) -> None:
        """Take what this clock tells now for the beginning."""
        self._clock = clock
        self._started = clock()

    def now(self) -> float:
        return self._clock() - self._started

    def moment(self) -> int:
        return next(self._moments)

    def number(self) -> int:
        return next(self._numbers)

    def begin(self, call: Call) -> None:
        """Note a call, right before it is made; flush is a call to every plugin."""
        call.at, call.time = self.moment(), self.now()
        for name, plugin in self.plugins.items():
            if call.method == "flush" or call.plugin_name == name:
                plugin.calls.append(call)

    def end(
        self,
        call: Call,
        outcome: Outcome,
        result: Any = None,
        error: BaseException | None = None,
    ) -> None:
        call.ended = self.moment()
        call.outcome, call.result, call.error = outcome, result, error

    def effect(
        self,
        plugin_name: str,
        kind: str,
        document: Document | None,
        error: Exception | None = None,
    ) -> None:
        effect = Effect(self.moment(), self.now(), kind, document, error)
        self.plugins[plugin_name].effects.append(effect)

    def tell(self, name: str, payload: StateEvent) -> None:
        if name != payload.type:
            self.complaints.append(f"{payload} was told as {name}")
        self.plugins[payload.plugin_name].told.append(Told(self.moment(), payload))

    def __str__(self) -> str:
        lines = []
        for name, plugin in self.plugins.items():
            rows = [(call.at, f"call {call}") for call in plugin.calls]
            rows += [(effect.at, f"  {effect}") for effect in plugin.effects]
            rows += [(told.at, f"    {told.payload}") for told in plugin.told]
            lines += [f"{name}:", *(f"{at:6} {row}" for at, row in sorted(rows))]
        if self.closing:
            lines += [f"closing at {self.closing}, closed at {self.closed}"]
        return "\n".join(lines)


def check(history: History) -> dict[str, State]:
    """Raise AssertionError for the first promise that was not kept.

    Returns what has to be in each plugin's files now.
    """
    states = {}
    assert not history.complaints, history.complaints
    for name, plugin in history.plugins.items():
        for call in plugin.calls:
            assert call.outcome != "running", f"{call} never ended"
        if history.closed:
            _check_closed(history, plugin)
        found = _Search(history, plugin)
        end = found.end()
        assert end is not None, f"{name}: {found.report()}"
        states[name] = end.state
    return states


def _check_closed(history: History, plugin: Plugin) -> None:
    for effect in plugin.effects:
        assert effect.at < history.closed, f"{effect} after closing"
    for told in plugin.told:
        assert told.at < history.closed, f"{told} after closing"
    for call in plugin.calls:
        if call.at > history.closed and call.outcome != "cancelled":
            assert _is_refused(history, call), f"{call} was called after closing"


def _is_refused(history: History, call: Call) -> bool:
    """Whether it was called too late, and told so."""
    is_late = history.closing and call.at > history.closing
    return bool(is_late) and type(call.error) is RuntimeError


class _Waiting(NamedTuple):
    """What save_later has waiting: the last call, and what it has from those before."""

    call: Call
    latest: float
    version: int | None


class _Point(NamedTuple):
    """How far the calls, the effects and the events are explained."""

    call: int = 0
    effect: int = 0
    told: int = 0
    state: State = State()
    waiting: _Waiting | None = None
    # When the last of these was saved or failed, and with what error.
    saved: int = 0
    saved_error: Exception | None = None


class _News(NamedTuple):
    """An event that has to come: its name, and some of its fields."""

    name: str
    fields: Mapping[str, Any] = MappingProxyType({})


class _Search:
    """Looks for one way in which all that was seen of a plugin may have come about."""

    def __init__(self, history: History, plugin: Plugin) -> None:
        self.history = history
        self.plugin = plugin
        self.furthest = _Point()

    def end(self) -> _Point | None:
        """Where all is explained, in one way of possibly many."""
        plugin = self.plugin
        points, seen = [_Point()], {_Point()}
        while points:
            point = points.pop()
            self.furthest = max(self.furthest, point, key=lambda p: p[:3])
            if (
                point.call == len(plugin.calls)
                and point.effect == len(plugin.effects)
                and point.told == len(plugin.told)
                and point.waiting is None
                and self.is_raised_at_closing(point)
            ):
                return point
            fresh = [after for after in self.after(point) if after not in seen]
            seen.update(fresh)
            points += fresh
        return None

    def report(self) -> str:
        """The first things that have no explanation."""
        point, plugin = self.furthest, self.plugin
        calls = [str(call) for call in plugin.calls[point.call :][:1]]
        effects = [str(effect) for effect in plugin.effects[point.effect :][:1]]
        told = [str(told) for told in plugin.told[point.told :][:1]]
        return (
            f"no order of the calls explains what was seen; at {point.state}, "
            f"waiting {point.waiting}: {calls or 'no call'}, "
            f"{effects or 'no effect'}, {told or 'no event'}"
        )

    def after(self, point: _Point) -> Iterator[_Point]:
        """What may have come next."""
        if point.waiting is not None:
            yield from self.after_waiting(point, point.waiting)
        if point.call == len(self.plugin.calls):
            return
        call = self.plugin.calls[point.call]
        skipped = point._replace(call=point.call + 1)
        if _is_refused(self.history, call):
            yield skipped
        elif call.is_inside:
            if type(call.error) is RuntimeError:
                yield skipped
        elif call.method == "save_later":
            if call.outcome == "returned":
                yield skipped._replace(waiting=self.waiting_for(call, point.waiting))
        elif call.method == "flush":
            if call.outcome == "cancelled" or self.is_flushed(point, call):
                yield skipped
        else:
            if call.outcome == "cancelled":
                yield skipped
            if point.waiting is None:
                for after in self.after_call(point, call, call.method, call.version):
                    yield after._replace(call=point.call + 1)

    def waiting_for(self, call: Call, before: _Waiting | None) -> _Waiting:
        if before is None:
            return _Waiting(call, call.time + call.max_delay, call.version)
        version = before.version if call.version is None else call.version
        return _Waiting(call, before.latest, version)

    def after_waiting(self, point: _Point, waiting: _Waiting) -> Iterator[_Point]:
        call = waiting.call
        for after in self.after_call(point, call, "save", waiting.version):
            told = self.plugin.told[after.told - 1]
            saved = told.at
            if after.effect > point.effect:
                effect = self.plugin.effects[point.effect]
                if not self.is_due(waiting, effect):
                    continue
                saved = effect.at
            elif self.history.is_told_late:
                saved = point.saved
            error = getattr(told.payload, "error", None)
            yield after._replace(waiting=None, saved=saved, saved_error=error)

    def is_flushed(self, point: _Point, call: Call) -> bool:
        """Whether all that waited was written, and flush raised what was not."""
        if point.waiting is not None or point.saved > call.ended:
            return False
        if point.saved_error is None or point.saved < call.at:
            return True
        return point.saved_error in leaves(call.error)

    def is_raised_at_closing(self, point: _Point) -> bool:
        if not self.history.is_whole or point.saved < self.history.closing:
            return True
        errors = leaves(self.history.closing_error)
        return point.saved_error is None or point.saved_error in errors

    def is_due(self, waiting: _Waiting, effect: Effect) -> bool:
        call = waiting.call
        due = min(call.time + call.delay, waiting.latest)
        if effect.time >= due - ROUNDING_S:
            return True
        if 0 < self.history.hurried < effect.at:
            return True
        return any(
            other.method != "save_later" and call.at < other.at < effect.at
            for other in self.plugin.calls
        )

    def after_call(
        self, point: _Point, call: Call, method: str, version: int | None
    ) -> Iterator[_Point]:
        """The call's turn, in all ways that fit with what its caller got."""
        made = self.made(point.state, call, method, version)
        is_open = call.outcome == "cancelled" or call.method == "save_later"
        if is_open or call.outcome == "raised":
            yield from self.failed(point, call, method, made)
        if is_open or call.outcome == "returned":
            yield from self.done(point, call, method, made)

    def failed(
        self, point: _Point, call: Call, method: str, made: _Change
    ) -> Iterator[_Point]:
        """It ended in an error, which was told; a change with one was made."""
        told = self.next_told(point)
        if told is None or not isinstance(told.payload, StateErrorEvent):
            return
        error = told.payload.error
        if told.payload.operation != method or not self.is_heard(told, call, call.at):
            return
        if call.outcome == "raised" and error is not call.error:
            return
        after = point._replace(told=point.told + 1)
        effect = self.next_effect(point)
        errors = [error] if error.__cause__ is None else [error, error.__cause__]
        if effect is not None and effect.error in errors:
            if not self.is_in_time(effect, call) or told.at < effect.at:
                return
            after = after._replace(effect=point.effect + 1)
            if effect.is_change:
                if (effect.kind, effect.document) != made:
                    return
                state = point.state.replaced(effect.document, self.history.max_backups)
                after = after._replace(state=state)
            yield after
        elif self.may_fail(point.state, call, method, error):
            yield after

    def may_fail(self, state: State, call: Call, method: str, error: Exception) -> bool:
        """Whether the error is what comes of the document, a function or a lock."""
        if isinstance(error.__cause__, LockTimeoutError):
            return True
        if method == "restore":
            return isinstance(error, StateReadError) and call.index > len(state.backups)
        if not self.function_fails(state, call, method):
            return False
        if method == "update":
            return isinstance(error, FunctionError)
        kind = StateMigrationError if method == "migrate" else StateValidationError
        return type(error) is kind and isinstance(error.__cause__, FunctionError)

    def function_fails(self, state: State, call: Call, method: str) -> bool:
        if not call.fails or method not in FUNCTIONS:
            return False
        if method == "update":
            return True
        if state.document is None:
            return False
        return method == "validate" or state.document[0] < (call.version or 0)

    def done(
        self, point: _Point, call: Call, method: str, made: _Change
    ) -> Iterator[_Point]:
        """It was done: its change was made, then its events were told."""
        state = point.state
        if self.function_fails(state, call, method):
            return
        if method == "restore" and made is None:
            return
        is_returned = call.outcome == "returned" and method == call.method
        if is_returned and call.result != self.result(state, call, method):
            return
        after, changed_at = point, call.at
        if made is not None:
            effect = self.next_effect(point)
            if (
                effect is None
                or effect.error is not None
                or (effect.kind, effect.document) != made
                or not self.is_in_time(effect, call)
            ):
                return
            changed_at = effect.at
            state = state.replaced(effect.document, self.history.max_backups)
            after = after._replace(effect=point.effect + 1, state=state)
        for news in self.news(point.state, call, method, made):
            told = self.next_told(after)
            if (
                told is None
                or told.payload.type != news.name
                or any(
                    getattr(told.payload, name) != value
                    for name, value in news.fields.items()
                )
                or not self.is_heard(told, call, changed_at)
            ):
                return
            after = after._replace(told=after.told + 1)
        yield after

    def made(
        self, state: State, call: Call, method: str, version: int | None
    ) -> _Change:
        """The change that it makes of this state, if any."""
        old = state.document
        if method == "save":
            return "write", (state.kept_version(version), (call.number,))
        if method == "update":
            trace = updated(None if old is None else list(old[1]), call.number)
            return "write", (state.kept_version(version), tuple(trace))
        if method == "clear" and old is not None:
            return "clear", None
        if method == "restore" and call.index <= len(state.backups):
            return "restore", state.backups[call.index - 1]
        if method == "migrate" and old is not None and old[0] < (version or 0):
            trace = list(old[1])
            for step in range(old[0] + 1, (version or 0) + 1):
                trace = updated(trace, -step)
            return "write", (version or 0, tuple(trace))
        return None

    def news(
        self, state: State, call: Call, method: str, made: _Change
    ) -> Iterator[_News]:
        """What has to be told, in this order."""
        old = state.document
        if method == "load" and old is not None:
            yield _News("state.loaded", {"version": old[0]})
        if made is None:
            return
        kind, new = made
        if old is not None and self.history.max_backups:
            yield _News("state.backup.created")
        if kind == "clear":
            yield _News("state.cleared")
        elif kind == "restore":
            yield _News("state.restored", {"backup_index": call.index})
        elif new is not None:
            yield _News("state.saved", {"version": new[0]})
            if method == "migrate" and old is not None:
                versions = {"from_version": old[0], "to_version": new[0]}
                yield _News("state.migrated", versions)

    def result(self, state: State, call: Call, method: str) -> Any:
        """What its caller gets, in the words of this module."""
        if method == "load":
            return state.document
        if method == "exists":
            return state.document is not None
        if method == "list_backups":
            return len(state.backups)
        if method == "validate":
            return True
        if method == "update":
            old = state.document
            return updated(None if old is None else list(old[1]), call.number)
        return None

    def next_effect(self, point: _Point) -> Effect | None:
        effects = self.plugin.effects
        return effects[point.effect] if point.effect < len(effects) else None

    def next_told(self, point: _Point) -> Told | None:
        told = self.plugin.told
        return told[point.told] if point.told < len(told) else None

    def is_in_time(self, effect: Effect, call: Call) -> bool:
        """After its call, and before its caller hears of its end."""
        if call.outcome == "cancelled" or call.method == "save_later":
            return effect.at > call.at
        return call.at < effect.at < call.ended

    def is_heard(self, told: Told, call: Call, since: int) -> bool:
        """After the change, and before its caller hears of its end."""
        is_open = call.outcome == "cancelled" or call.method == "save_later"
        is_early = told.at < call.ended or self.history.is_told_late
        return told.at > since and (is_open or is_early)

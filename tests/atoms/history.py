"""History: what was called, run, cleaned up and seen, and whether that may be.

    Run                   one run of a factory, and its value; or a value set from outside
    History.begin, end    a call of the scope begins, and returns, raises or is cancelled
    History.mark          an atom is invalidated
    check                 AssertionError unless all of it keeps the promises

The promises, for each atom by itself:

    1. One run at a time, and none before all clean-ups of the one before have run.
    2. Clean-ups run once each, the last one first, one at a time, after their factory.
    3. A call gets the value of a run that was current at some moment of the call, or
       what a run, or a clean-up, raised in it.
    4. Nothing runs, and nothing is cleaned up, that nobody gave a cause for.
    5. Who releases, sets, flushes or disposes finds it done when the call is over, and
       dispose lets a value go before those that its factory was handed.
    6. No error of a clean-up is lost, unless the call that ran it was cancelled.
    7. Data lasts from run to run, and no longer than to a release.
    8. Circles and loops are told only where there are some.

1, 2 and 7 are noted as complaints at the moment they are broken, by actors.py; the
others are judged when all is over. Knows no loop. Start at `check`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from atoms.scenes import leaves
from latency_kv.errors import CircularDependencyError, InvalidationLoopError

Outcome: TypeAlias = Literal["running", "returned", "raised", "cancelled"]

# Of what never happened.
NEVER = 1 << 60


class FactoryError(Exception):
    """What a factory raises now and then."""


class CleanUpError(Exception):
    """What a clean-up raises now and then."""


@dataclass(eq=False)
class Run:
    """One run of an atom's factory, which is its own value; times are moments."""

    name: str
    number: int
    begun: int
    # From when on its deps may have been resolved, which is as good as a run.
    since: int
    ended: int = 0
    error: BaseException | None = None
    is_set: bool = False
    # Whether it had any clean-up, by which it can be seen when its value goes.
    is_watched: bool = False
    # What its factory was handed, or resolved.
    used: list["Run"] = field(default_factory=list)
    # Clean-ups that are still to run, the next one last; and the one that is running.
    pending: list[int] = field(default_factory=list)
    cleaning: int = 0
    # When the first clean-up began, and the last one until now ended.
    gone: int = NEVER
    cleaned: int = 0

    def __repr__(self) -> str:
        return f"{self.name}{self.number}"

    @property
    def is_value(self) -> bool:
        return self.ended > 0 and self.error is None

    @property
    def is_clean(self) -> bool:
        return not self.pending and not self.cleaning


@dataclass(eq=False)
class Call:
    """One call, from its beginning to its end."""

    number: int
    method: str
    name: str
    at: int
    inside: Run | None = None
    ended: int = NEVER
    outcome: Outcome = "running"
    result: Any = None
    error: BaseException | None = None

    def __str__(self) -> str:
        what = f"{self.number}: {self.method}({self.name})"
        inside = f" in {self.inside}" if self.inside else ""
        end = {"returned": f"-> {self.result!r}", "raised": f"raised {self.error!r}"}
        outcome = end.get(self.outcome, self.outcome)
        return f"{self.at:5} {what}{inside} {outcome} at {self.ended}"

    def covers(self, moment: int) -> bool:
        return self.at < moment < self.ended

    def meets(self, begun: int, ended: int) -> bool:
        """Whether some of it was between these two moments."""
        return self.at < ended and self.ended > begun

    @property
    def is_over(self) -> bool:
        return self.outcome in ("returned", "raised")


class History:
    """What was seen of one scope."""

    def __init__(self) -> None:
        self.runs: dict[str, list[Run]] = {}
        self.calls: list[Call] = []
        self.marks: dict[str, list[int]] = {}
        # Which atom's factory or clean-up invalidated which other one.
        self.marked_by: set[tuple[str, str]] = set()
        # Which atom depends on which, or may resolve it.
        self.edges: set[tuple[str, str]] = set()
        self.is_circular = False
        # What clean-ups and factories raised, and when.
        self.raised: dict[BaseException, int] = {}
        # When the scope began to be disposed of.
        self.disposing = NEVER
        self.complaints: list[str] = []
        self.lines: list[str] = []
        self._moments = itertools.count(1)
        self._numbers = itertools.count(1)

    def __str__(self) -> str:
        return "\n".join([*self.lines, *map(str, self.calls), *self.complaints])

    def moment(self) -> int:
        return next(self._moments)

    def number(self) -> int:
        return next(self._numbers)

    def note(self, what: str) -> int:
        """A line of what happened, and its moment."""
        moment = self.moment()
        self.lines.append(f"{moment:5} {what}")
        return moment

    def complain(self, what: str) -> None:
        self.complaints.append(f"at {self.moment()}: {what}")

    def begin(self, method: str, name: str = "", inside: Run | None = None) -> Call:
        call = Call(self.number(), method, name, self.moment(), inside)
        self.calls.append(call)
        if method == "dispose":
            self.disposing = min(self.disposing, call.at)
        return call

    def end(
        self,
        call: Call,
        outcome: Outcome,
        result: Any = None,
        error: BaseException | None = None,
    ) -> None:
        call.ended, call.outcome = self.moment(), outcome
        call.result, call.error = result, error

    def mark(self, name: str, by: Run | None = None) -> None:
        moment = self.note(f"invalidate {name}" + (f" by {by}" if by else ""))
        self.marks.setdefault(name, []).append(moment)
        if by is not None:
            self.marked_by.add((by.name, name))

    def of(self, name: str) -> list[Run]:
        return self.runs.setdefault(name, [])

    def oldest_open(self) -> int:
        """When the oldest call began that may have set off what happens now."""
        return min((call.at for call in self.calls if call.ended == NEVER), default=0)

    def calls_of(self, name: str, *methods: str) -> Iterator[Call]:
        """The calls of these methods that concern this atom."""
        for call in self.calls:
            if call.method in methods and call.name in (name, ""):
                yield call


def check(history: History) -> None:
    """AssertionError, with what is wrong, unless the promises were kept."""
    wrong = [*history.complaints, *_wrong(history)]
    assert not wrong, "\n".join(wrong)


def _wrong(history: History) -> Iterator[str]:
    for call in history.calls:
        if call.method in ("resolve", "dep") and call.outcome == "returned":
            yield from _wrong_value(history, call)
        for leaf in leaves(call.error):
            if not _may_raise(history, call, leaf):
                yield f"{call} may not raise {leaf!r}"
        if call.is_over:
            yield from _not_done(history, call)
    for runs in history.runs.values():
        for run in runs:
            yield from _without_cause(history, run)
            yield from _too_early(history, run)
            if not run.is_clean:
                yield f"{run} is left with {run.pending} and {run.cleaning}"
            if not run.ended:
                yield f"{run} has no end"
    for error, moment in history.raised.items():
        if isinstance(error, CleanUpError) and not _is_told(history, error, moment):
            yield f"{error!r} at {moment} is lost"


def _wrong_value(history: History, call: Call) -> Iterator[str]:
    run = call.result
    if not isinstance(run, Run) or run.name != call.name or run.error is not None:
        yield f"{call} is no value of it"
        return
    if run.begun > call.ended:
        yield f"{call} is from after the call"
    over, why = min(_overs(history, run), default=(NEVER, ""))
    if over < call.at:
        yield f"{call} is of before the call: {why} at {over}"


def _overs(history: History, run: Run) -> Iterator[tuple[int, str]]:
    """When, and why, a value surely was current no more."""
    yield run.gone, "cleaned up"
    for other in history.of(run.name):
        if other is not run and not other.is_set and other.begun > run.ended:
            yield other.begun, f"{other} begun"
    for call in history.calls_of(run.name, "set", "release"):
        is_done = call.outcome == "returned" or call.method == "release"
        if call.is_over and is_done and call.at > run.ended:
            yield call.ended, str(call)
    # While it is being set nobody can tell which came first.
    first = run.ended if run.is_set else run.begun
    for mark in history.marks.get(run.name, []):
        if mark > first and not _is_in_loop(history, run.name, mark):
            yield max(mark, run.ended), "invalidated"


def _is_in_loop(history: History, name: str, mark: int) -> bool:
    """Whether the mark was made in a flush that then told a loop that ends in it."""
    for call in history.calls_of(name, "flush"):
        for leaf in leaves(call.error):
            is_loop = isinstance(leaf, InvalidationLoopError) and leaf.path[-1] == name
            if is_loop and call.covers(mark):
                return True
        # One that was cancelled may have met a loop that nobody is told of.
        if call.outcome == "cancelled" and call.covers(mark) and _may_loop(history):
            return True
    return False


def _may_loop(history: History) -> bool:
    """Whether factories have invalidated one another in a ring."""
    return any(first == last for first, last in _closed(_set_off(history)))


def _set_off(history: History) -> set[tuple[str, str]]:
    """Which atom was invalidated by which, or by one that ran on behalf of it."""
    behalf = _closed(history.edges) | {(name, name) for name in history.runs}
    return {(a, d) for a, b in behalf for c, d in history.marked_by if b == c}


def _closed(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """With each way through several of them."""
    closed = set(pairs)
    while more := {(a, d) for a, b in closed for c, d in closed if b == c} - closed:
        closed |= more
    return closed


def _may_raise(history: History, call: Call, leaf: BaseException) -> bool:
    if isinstance(leaf, CircularDependencyError):
        pairs = set(itertools.pairwise(leaf.path))
        is_round = len(leaf.path) > 1 and leaf.path[0] == leaf.path[-1]
        return history.is_circular and is_round and pairs <= history.edges
    if isinstance(leaf, InvalidationLoopError):
        pairs = set(itertools.pairwise(leaf.path))
        is_round = leaf.path[-1] in leaf.path[:-1]
        return call.method == "flush" and is_round and pairs <= _set_off(history)
    if leaf in history.raised:
        return call in _who_may_be_told(history, leaf)
    return type(leaf) is RuntimeError and history.disposing < call.ended


def _who_may_be_told(history: History, leaf: BaseException) -> set[Call]:
    """The calls in which it was raised, and those that came to wait for one of these."""
    moment = history.raised[leaf]
    may_pass_on = [
        call
        for call in history.calls
        if leaf in leaves(call.error) or call.outcome == "cancelled"
    ]
    told = {call for call in may_pass_on if call.covers(moment)}
    while (
        more := {
            call
            for call in may_pass_on
            if any(call.meets(other.at, other.ended) for other in told)
        }
        - told
    ):
        told |= more
    return told


def _not_done(history: History, call: Call) -> Iterator[str]:
    """What a call that is over should have cleaned up."""
    if any(type(leaf) is RuntimeError for leaf in leaves(call.error)):
        return
    for run in itertools.chain(*history.runs.values()):
        # Whoever is told that it failed.
        own = [leaf for leaf in leaves(call.error) if isinstance(leaf, FactoryError)]
        if any(str(leaf) == str(run) for leaf in own):
            yield from _not_clean(run, call)
    if call.method in ("release", "set"):
        for run in history.of(call.name):
            if run.ended < call.at:
                yield from _not_clean(run, call)
    if call.method == "dispose":
        for name in history.runs:
            for run in history.of(name):
                yield from _not_clean(run, call)
    if call.method == "flush":
        for name, marks in history.marks.items():
            for mark in marks:
                if mark < call.at and not _is_in_loop(history, name, mark):
                    yield from _not_flushed(history, call, name, mark)


def _not_clean(run: Run, call: Call) -> Iterator[str]:
    if run.is_watched and (run.gone > call.ended or run.cleaned > call.ended):
        yield f"{run} is not clean after {call}"


def _too_early(history: History, run: Run) -> Iterator[str]:
    """What was disposed of although a value that was made of it was still there."""
    disposes = [call for call in history.calls if call.method == "dispose"]
    if not run.is_value or any(call.outcome == "cancelled" for call in disposes):
        return
    for used in run.used:
        both = [each for each in (run, used) if history.disposing < each.gone < NEVER]
        if len(both) < 2 or run.cleaned < used.gone:
            continue
        is_marked = any(
            used.since < mark < used.gone for mark in history.marks.get(used.name, [])
        )
        if not is_marked and not any(
            call.ended > history.disposing
            for name in (run.name, used.name)
            for call in history.calls_of(name, "set", "release")
        ):
            yield f"{used} is disposed of before {run}, which was made of it"


def _not_flushed(history: History, call: Call, name: str, mark: int) -> Iterator[str]:
    for run in history.of(name):
        is_marked = run.is_value and run.ended < mark < run.gone
        if not is_marked or not run.is_watched:
            continue
        if any(
            other.meets(run.ended, call.ended)
            for other in history.calls_of(name, "set", "release", "dispose")
        ):
            continue
        if run.gone > call.ended or run.cleaned > call.ended:
            yield f"{run} was invalidated at {mark}, and is there after {call}"


def _without_cause(history: History, run: Run) -> Iterator[str]:
    """A value that went, or a factory that ran, although nobody wanted it to."""
    marks = history.marks.get(run.name, [])
    if run.is_value and run.gone != NEVER:
        is_marked = any(run.since < mark < run.gone for mark in marks)
        if not is_marked and not any(
            call.meets(run.since, run.gone)
            for call in history.calls_of(run.name, "set", "release", "dispose")
        ):
            yield f"{run} was cleaned up without a cause"
    if run.is_set:
        return
    earlier = [
        other
        for other in history.of(run.name)
        if other.is_value and other.ended < run.begun
    ]
    if not earlier:
        return
    last = max(earlier, key=lambda other: other.ended)
    if any(last.since < mark < run.begun for mark in marks):
        return
    for call in history.calls_of(run.name, "release", "set"):
        is_cause = call.method == "release" or call.outcome != "returned"
        if is_cause and call.meets(last.since, run.begun):
            return
    yield f"{run} began although {last} was there"


def _is_told(history: History, error: CleanUpError, moment: int) -> bool:
    around = [call for call in history.calls if call.covers(moment)]
    return any(
        call.outcome == "cancelled" or error in leaves(call.error) for call in around
    )

"""Timing: loops with code of their own, and sides that take turns.

Three rules live here, so that no row can break them:

    * Every engine gets a loop compiled for it alone.  An interpreter that specialises
      call sites must not meet two types at one.
    * Keys are made outside the timed part, in small batches just before their use.
    * Two sides run in turn within one run, and a figure is the median of its rounds.

A timed loop counts its own turn (`OVERHEAD` in the report) on both sides alike; nothing
is subtracted.  Knows no engine: a loop is handed its call as text.
"""

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from statistics import median
from time import perf_counter_ns, thread_time_ns
from typing import Any

from latency_kv.bench.figures import Pair

_BATCHED = """
def run(target, batches):
    total = 0
    for batch in batches:
        begin = clock()
        for {turn}:
            CALL
        total += clock() - begin
    return total
"""

_SINGLE = """
def run(target, batches, record):
    for batch in batches:
        for {turn}:
            begin = clock()
            CALL
            record(clock() - begin)
"""

_ANSWERS = """
def run(target, batches, out):
    for batch in batches:
        for {turn}:
            CALL
"""

_PLAIN = """
def run(target, batch):
    for {turn}:
        CALL
"""


def plain_loop(engine: str, names: str, call: str) -> Callable[..., None]:
    """Compile a loop over one batch that leaves the clock to its caller."""
    return _compiled(_PLAIN, engine, names, call, perf_counter_ns)


def timed_loop(engine: str, names: str, call: str) -> Callable[..., int]:
    """Compile a loop whose result is the ns spent in `call`, wall clock.

    A batch is a list for one name, and a tuple of lists of one length for several.
    """
    return _compiled(_BATCHED, engine, names, call, perf_counter_ns)


def spans_loop(
    engine: str,
    names: str,
    call: str,
    clock: Callable[[], int] = thread_time_ns,
) -> Callable[..., None]:
    """Compile a loop that records what every single call takes, in ns.

    By default CPU time of this thread: a pause of the machine's is not the engine's.
    """
    return _compiled(_SINGLE, engine, names, call, clock)


def answers_loop(engine: str, names: str, call: str) -> Callable[..., None]:
    """Compile a loop without a clock; `call` hands what it gets to `out`."""
    return _compiled(_ANSWERS, engine, names, call, perf_counter_ns)


def _compiled(
    template: str, engine: str, names: str, call: str, clock: Callable[[], int]
) -> Callable[..., Any]:
    lists = "zip(*batch)" if "," in names else "batch"
    source = re.sub(
        "^( *)CALL$",
        lambda place: textwrap.indent(textwrap.dedent(call).strip(), place[1]),
        template.format(turn=f"{names} in {lists}"),
        flags=re.MULTILINE,
    )
    namespace: dict[str, Any] = {"clock": clock, "islice": islice}
    # The source is a template of this file around a call that the bench spells out.
    exec(compile(source, f"<the loop of {engine}>", "exec"), namespace)  # noqa: S102
    run: Callable[..., Any] = namespace["run"]
    return run


def race(
    sides: Sequence[Callable[[], float]], rounds: int, *, warm: bool = True
) -> list[float]:
    """Run the sides in turn and return the median of each; see `taken_in_turn`."""
    return [median(side) for side in taken_in_turn(sides, rounds, warm=warm)]


def taken_in_turn(
    sides: Sequence[Callable[[], float]], rounds: int, *, warm: bool = True
) -> list[list[float]]:
    """Run the sides in turn and return all that each one took.

    The order flips with every round, and a first round is not counted if `warm`: it
    pays for what is specialised, built or faulted in once.
    """
    spans: list[list[float]] = [[] for _ in sides]
    for number in range(-1 if warm else 0, rounds):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for index in order:
            span = sides[index]()
            if number >= 0:
                spans[index].append(span)
    return spans


def duel(
    ours: Callable[[], float],
    theirs: Callable[[], float],
    rounds: int,
    *,
    warm: bool = True,
) -> Pair:
    """Race two sides; the spread is that of the ratios of the rounds."""
    sides = taken_in_turn([ours, theirs], rounds, warm=warm)
    ratios = [one / other for one, other in zip(*sides, strict=True) if other]
    return Pair(median(sides[0]), median(sides[1]), ratios=[ratios])


def percentile(spans: Iterable[int], share: float) -> int:
    """Return the smallest span that `share` of all spans do not exceed."""
    ranked = sorted(spans)
    return ranked[min(int(share * len(ranked)), len(ranked) - 1)]


def overheads() -> dict[str, float]:
    """Measure what the loops and the clocks themselves cost, in ns."""
    turns = 100_000
    empty = timed_loop("nothing", "key", "pass")
    (turn,) = race([lambda: empty(None, [[b""] * turns]) / turns], 5)
    costs = {"a turn of the loop": turn}
    for clock in (perf_counter_ns, thread_time_ns):
        read = timed_loop(clock.__name__, "key", "target()")
        (cost,) = race([partial(read, clock, [[b""] * turns])], 5)
        costs[f"{clock.__name__}()"] = cost / turns - turn
    return costs

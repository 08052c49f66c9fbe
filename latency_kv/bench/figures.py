"""Figures: what a row asks for, what a measurement gives, and the verdict on both."""

from collections.abc import Callable
from dataclasses import dataclass

MICROSECOND = 1_000.0
MILLISECOND = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    most: entries of the largest store.
    calls: timed calls of a round; few, so that most rounds of a busy machine are left
        alone, and their median tells of the engine.
    rounds: of `calls` each.
    passes: rounds of a measurement that goes through a whole store.
    """

    most: int
    calls: int
    rounds: int
    passes: int

    def size(self, size: int) -> int:
        """Return the size at which a case of this size is measured."""
        return min(size, self.most)


FULL = Plan(most=2_000_000, calls=50_000, rounds=15, passes=5)
QUICK = Plan(most=100_000, calls=20_000, rounds=9, passes=3)


@dataclass(frozen=True, slots=True)
class Pair:
    """One measurement: our figure, the peer's, and a remark; None is not measured.

    `spread` is that of the ratios of its rounds: see `timing.spread`.
    """

    ours: float | None
    theirs: float | None = None
    note: str = ""
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One size of a row, its peer, and what has to be reached there.

    `goal` bounds the ratio to the peer, `limit` our own figure; with neither, the case
    is there for context.  A size of 0 means that no store is filled.
    """

    size: int
    peer: str
    goal: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is measured, by `measure(case's size, peer, plan)`."""

    name: str
    title: str
    measure: Callable[[int, str, Plan], Pair]
    cases: tuple[Case, ...]
    unit: str = "ns"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report."""

    row: str
    title: str
    unit: str
    size: int
    peer: str
    ours: float | None
    theirs: float | None
    ratio: float | None
    goal: float | None
    limit: float | None
    reached: bool | None
    note: str
    spread: float | None = None


def judge(row: Row, case: Case, plan: Plan, pair: Pair) -> Figure:
    """Hold a measurement against its goals.

    A goal is for one size: at a smaller one there is no verdict.
    """
    ratio = pair.ours / pair.theirs if pair.ours and pair.theirs else None
    bounds = [(ratio, case.goal), (pair.ours, case.limit)]
    held = [value is not None and value <= most for value, most in bounds if most]
    size = plan.size(case.size)
    judged = size == case.size and pair.ours is not None and bool(held)
    return Figure(
        row=row.name,
        title=row.title,
        unit=row.unit,
        size=size,
        peer=case.peer,
        ours=pair.ours,
        theirs=pair.theirs,
        ratio=ratio,
        goal=case.goal,
        limit=case.limit,
        reached=all(held) if judged else None,
        note=pair.note,
        spread=pair.spread,
    )

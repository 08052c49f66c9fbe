"""Figures: what a row asks for, what a measurement gives, and the verdict on both."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import comb
from statistics import median

MICROSECOND = 1_000.0
MILLISECOND = 1_000_000.0

WIDE = 0.5
"""The spread beyond which a figure says little."""

_DOUBT = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    most: entries of the largest store.
    calls: timed calls of a round; few, so that most rounds of a busy machine are left
        alone, and their median tells of the engine.
    rounds: of `calls` each, in one process.
    passes: rounds of a measurement that goes through a whole store.
    processes: fresh ones for each case, which have addresses and hash secrets of their
        own; a single one is this process.
    """

    most: int
    calls: int
    rounds: int
    passes: int
    processes: int = 1

    def size(self, size: int) -> int:
        """Return the size at which a case of this size is measured."""
        return min(size, self.most)


FULL = Plan(most=2_000_000, calls=50_000, rounds=5, passes=3, processes=3)
QUICK = Plan(most=100_000, calls=20_000, rounds=9, passes=3)


@dataclass(frozen=True, slots=True)
class Pair:
    """One measurement: our figure, the peer's, and a remark; None is not measured.

    `ratios` are those of its rounds, where both sides were measured in each: a list for
    each process.
    """

    ours: float | None
    theirs: float | None = None
    note: str = ""
    ratios: Sequence[Sequence[float]] = ()

    @classmethod
    def pooled(cls, pairs: Sequence["Pair"]) -> "Pair":
        """Return one of what several processes measured: medians, and all ratios."""
        ours = [pair.ours for pair in pairs if pair.ours is not None]
        theirs = [pair.theirs for pair in pairs if pair.theirs is not None]
        return cls(
            median(ours) if ours else None,
            median(theirs) if theirs else None,
            pairs[0].note,
            [
                rounds
                for pair in pairs
                for rounds in pair.ratios or [pair.own_ratio()]
                if rounds
            ],
        )

    def own_ratio(self) -> list[float]:
        """Return the ratio of the figures, if there are two."""
        return [self.ours / self.theirs] if self.ours and self.theirs else []


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
    ratio = next(iter(pair.own_ratio()), None)
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
        spread=spread(pair.ratios),
    )


def spread(processes: Iterable[Sequence[float]]) -> float | None:
    """Return how wide the place is where the median lies, as a share of the median.

    It reaches from one round to another, chosen such that the median of all that could
    be measured is between them with 95 per cent (a confidence interval by order
    statistics; of eight rounds or fewer the outermost), and to the median of every
    process, whose addresses and secrets its rounds share.
    """
    groups = [rounds for rounds in processes if rounds]
    ranked = sorted(chain.from_iterable(groups))
    if len(ranked) < 2 or not median(ranked):
        return None
    cut = _beyond(len(ranked))
    medians = [median(rounds) for rounds in groups]
    low = min(ranked[cut], *medians)
    high = max(ranked[-1 - cut], *medians)
    return (high - low) / median(ranked)


def _beyond(rounds: int) -> int:
    """Return how many at each end the median is beyond with 5 per cent at most."""
    chance, cut = 2.0 / 2**rounds, 0
    while chance <= _DOUBT:
        cut += 1
        chance += 2.0 * comb(rounds, cut) / 2**rounds
    return max(0, cut - 1)

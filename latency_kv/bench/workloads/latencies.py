"""Latencies: the ns of many calls as percentiles, a histogram and the pauses in them.

Buckets are log-spaced, eight an octave: a bound is at most 9 per cent above the calls
that it counts.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import ceil, log2

__all__ = [
    "SLICES",
    "bounded",
    "bucket",
    "histogram",
    "percentiles",
    "slices",
    "upper_bound",
]

BUCKETS_AN_OCTAVE = 8

SLICES = 500
"""How many points the pauses of one workload have, at most."""

_ROUNDING = 1e-9

SHARES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def bucket(span: int) -> int:
    """Return the bucket of a span: its upper bound is 2 ** (bucket / 8)."""
    return ceil(log2(max(span, 1)) * BUCKETS_AN_OCTAVE)


def upper_bound(number: int) -> float:
    """Return the longest span of a bucket, in ns."""
    bound: float = 2 ** (number / BUCKETS_AN_OCTAVE)
    return bound


def histogram(spans: Sequence[int]) -> Counter[int]:
    """Count the calls of each bucket."""
    counts: Counter[int] = Counter()
    for span, count in Counter(spans).items():
        counts[bucket(span)] += count
    return counts


def bounded(counts: Mapping[int, int]) -> list[tuple[float, int]]:
    """Return (upper bound in ns, calls) for each bucket that has calls, rising."""
    return [(round(upper_bound(n), 1), counts[n]) for n in sorted(counts)]


def percentiles(spans: Sequence[int]) -> dict[str, int | None]:
    """Return the spans that these shares of all do not exceed, and the longest.

    None where there are too few calls for one of them to be beyond the share.
    """
    ranked = sorted(spans)
    count = len(ranked)
    found: dict[str, int | None] = {"max": ranked[-1]}
    for name, share in SHARES.items():
        place = int(share * count)
        found[name] = ranked[place] if count * (1 - share) >= 1 - _ROUNDING else None
    return found


def slices(spans: Sequence[int], unit: str) -> list[tuple[float, int]]:
    """Return the longest call of each slice, by its place: a call's number, or seconds.

    Seconds are those spent in calls; what the bench does between them is left out.
    """
    step = max(1, -(-len(spans) // SLICES))
    if unit == "entries":
        return [
            (start + step, max(spans[start : start + step]))
            for start in range(0, len(spans), step)
        ]
    ends = list(accumulate(spans))
    width = max(1, -(-ends[-1] // SLICES))
    points = []
    start = 0
    for end in range(width, ends[-1] + width, width):
        stop = bisect_left(ends, end, start)
        stop = min(stop + 1, len(spans))
        if stop > start:
            points.append((ends[stop - 1] / 1e9, max(spans[start:stop])))
        start = stop
    return points

"""Comparison: two snapshots side by side in key order, and what differs.

Knows the reads of snapshots, no terminal.  Start at `Comparison`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from latency_kv import StateSnapshot
from latency_kv.cli.survey import PROGRESS_STEP


class Change(NamedTuple):
    """An entry that differs: old is None where it was added, new where removed."""

    key: bytes
    old: bytes | None
    new: bytes | None

    @property
    def kind(self) -> str:
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "changed"


class Comparison:
    """The changes that lead from old to new; counts of all kinds once it has ended.

    Neither is loaded: a step holds one entry of each.

    >>> from latency_kv import InMemoryStore
    >>> old = InMemoryStore({b"a": b"1", b"b": b"2"}).snapshot()
    >>> new = InMemoryStore({b"a": b"1", b"b": b"3"}).snapshot()
    >>> comparison = Comparison(old, new, lambda done: None)
    >>> list(comparison)
    [Change(key=b'b', old=b'2', new=b'3')]
    >>> comparison.same, comparison.changed, comparison.differences
    (1, 1, 1)
    """

    def __init__(
        self,
        old: StateSnapshot,
        new: StateSnapshot,
        progress: Callable[[int], None],
    ) -> None:
        self._old = old
        self._new = new
        self._progress = progress
        self.added = 0
        self.removed = 0
        self.changed = 0
        self.same = 0

    @property
    def differences(self) -> int:
        return self.added + self.removed + self.changed

    @property
    def done(self) -> int:
        """How many entries of both have been met."""
        return self.added + self.removed + 2 * (self.changed + self.same)

    def __iter__(self) -> Iterator[Change]:
        old, new = self._old.range_scan(), self._new.range_scan()
        left, right = next(old, None), next(new, None)
        steps = 0
        while left or right:
            steps += 1
            if not steps % PROGRESS_STEP:
                self._progress(self.done)
            if right is None or (left is not None and left[0] < right[0]):
                assert left is not None
                self.removed += 1
                yield Change(left[0], left[1], None)
                left = next(old, None)
            elif left is None or right[0] < left[0]:
                self.added += 1
                yield Change(right[0], None, right[1])
                right = next(new, None)
            else:
                if left[1] == right[1]:
                    self.same += 1
                else:
                    self.changed += 1
                    yield Change(left[0], left[1], right[1])
                left, right = next(old, None), next(new, None)

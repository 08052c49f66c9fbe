"""Difference: what leads from one JSON value to another, place by place.

    objects   key by key; their order is no difference
    lists     elements that are in both, once in each, stay paired wherever they moved
              to in the same order; between them the ends that are alike, then by index
    all else  the same type and the same value: 1, 1.0 and true are three

Knows JSON values, no file and no terminal.  Start at `differences`.
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a value, as jq's getpath takes them."""


class Difference(NamedTuple):
    """A value that differs: old is None where it was added, new where removed.

    A removed element of a list is told by the index that it had, every other one by
    the index that it has.
    """

    kind: Literal["added", "removed", "changed"]
    place: Place
    old: Any
    new: Any


def differences(old: Any, new: Any, place: Place = ()) -> Iterator[Difference]:
    """Yield what leads from old to new, in old's order, what was added last.

    >>> for found in differences({"a": [1, 2, 3], "b": 0}, {"a": [2, 3, 4], "b": 0}):
    ...     print(*found)
    removed ('a', 0) 1 None
    added ('a', 2) None 4
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            if key in new:
                yield from differences(value, new[key], (*place, key))
            else:
                yield Difference("removed", (*place, key), value, None)
        for key, value in new.items():
            if key not in old:
                yield Difference("added", (*place, key), None, value)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _of_lists(old, new, place)
    elif not _same(old, new):
        yield Difference("changed", place, old, new)


def _of_lists(old: list[Any], new: list[Any], place: Place) -> Iterator[Difference]:
    begin, old_end, new_end = _trimmed(old, new, 0, len(old), 0, len(new))
    i = j = begin
    anchors = _anchors(old[i:old_end], new[j:new_end])
    for old_anchor, new_anchor in [*anchors, (old_end - begin, new_end - begin)]:
        old_stop, new_stop = begin + old_anchor, begin + new_anchor
        yield from _of_gap(old, new, place, i, old_stop, j, new_stop)
        i, j = old_stop + 1, new_stop + 1


def _of_gap(
    old: list[Any],
    new: list[Any],
    place: Place,
    i: int,
    old_stop: int,
    j: int,
    new_stop: int,
) -> Iterator[Difference]:
    """The differences of old[i:old_stop] and new[j:new_stop]."""
    same, old_stop, new_stop = _trimmed(old, new, i, old_stop, j, new_stop)
    i, j = i + same, j + same
    while i < old_stop and j < new_stop:
        yield from differences(old[i], new[j], (*place, j))
        i, j = i + 1, j + 1
    for index in range(i, old_stop):
        yield Difference("removed", (*place, index), old[index], None)
    for index in range(j, new_stop):
        yield Difference("added", (*place, index), None, new[index])


def _trimmed(
    old: list[Any], new: list[Any], i: int, old_stop: int, j: int, new_stop: int
) -> tuple[int, int, int]:
    """How many elements are the same at the begin, and where the same end starts."""
    same = 0
    most = min(old_stop - i, new_stop - j)
    while same < most and _same(old[i + same], new[j + same]):
        same += 1
    while (
        i + same < old_stop
        and j + same < new_stop
        and _same(old[old_stop - 1], new[new_stop - 1])
    ):
        old_stop, new_stop = old_stop - 1, new_stop - 1
    return same, old_stop, new_stop


def _anchors(old: list[Any], new: list[Any]) -> list[tuple[int, int]]:
    """The most elements that are once in each list and in the same order in both.

    The longest ascending run of their places, found as in patience sorting: O(n log n),
    where comparing all with all would take hours for a long list.
    """
    if not old or not new:
        return []
    old_tokens, new_tokens = list(map(_token, old)), list(map(_token, new))
    old_counts, new_counts = Counter(old_tokens), Counter(new_tokens)
    new_places = {token: j for j, token in enumerate(new_tokens)}
    pairs: list[tuple[int, int]] = []
    before: list[int] = []
    # Of all runs of a length, the one that ends lowest: where, and with which pair.
    lowest: list[int] = []
    ends: list[int] = []
    for i, token in enumerate(old_tokens):
        if old_counts[token] != 1 or new_counts[token] != 1:
            continue
        j = new_places[token]
        length = bisect_left(lowest, j)
        before.append(ends[length - 1] if length else -1)
        lowest[length : length + 1] = [j]
        ends[length : length + 1] = [len(pairs)]
        pairs.append((i, j))
    found = []
    last = ends[-1] if ends else -1
    while last >= 0:
        found.append(pairs[last])
        last = before[last]
    return found[::-1]


def _same(old: Any, new: Any) -> bool:
    if type(old) is not type(new) or old != new:
        return False
    # Python has 1 == 1.0 == True within them, and 0.0 == -0.0.
    return not isinstance(old, dict | list | float) or _token(old) == _token(new)


def _token(value: Any) -> str:
    """A text for each value, another one for another value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)

"""Difference: what it lists leads from the old value to the new one, and is no more."""

import json
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_kv.cli.difference import Difference, differences
from latency_kv.cli.json_text import place_text, pretty, written

# Few different ones, so that lists share elements and repeat them.
SCALARS = st.sampled_from([None, True, False, 0, 1, 2, 0.0, -0.0, 1.0, "", "a", "b"])
VALUES = st.recursive(
    SCALARS,
    lambda values: (
        st.lists(values, max_size=6)
        | st.dictionaries(st.sampled_from("abcd"), values, max_size=4)
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Whether two are one JSON value, with 1, 1.0 and true for three."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def led(old: Any, found: list[Difference], depth: int = 0) -> Any:
    """What old becomes by what was found, places taken as they are meant."""
    if not found:
        return old
    if any(len(each.place) == depth for each in found):
        (only,) = found
        assert only.kind == "changed" and same(only.old, old)
        return only.new
    ends = [each for each in found if len(each.place) == depth + 1]
    removed = [each for each in ends if each.kind == "removed"]
    added = [each for each in ends if each.kind == "added"]
    rest = [each for each in found if each not in removed and each not in added]
    for each in removed:
        assert same(each.old, old[each.place[-1]])
    gone = {each.place[-1] for each in removed}
    if isinstance(old, dict):
        new: Any = {key: value for key, value in old.items() if key not in gone}
        new |= {each.place[-1]: each.new for each in added}
    else:
        new = [value for place, value in enumerate(old) if place not in gone]
        for each in sorted(added, key=lambda each: each.place):
            new.insert(each.place[-1], each.new)
    rest.sort(key=lambda each: str(each.place[depth]))
    for step, group in groupby(rest, key=lambda each: each.place[depth]):
        new[step] = led(new[step], list(group), depth + 1)
    return new


@given(VALUES, VALUES)
def test_differences_lead_from_old_to_new(old: Any, new: Any) -> None:
    found = list(differences(old, new))
    assert bool(found) is not same(old, new)
    assert same(led(old, found), new)


@given(VALUES)
def test_equal_values_have_none(value: Any) -> None:
    assert not list(differences(value, json.loads(json.dumps(value))))


def shown(old: Any, new: Any) -> list[str]:
    return [
        f"{kind[0]} {place_text(place)} {written(before)} {written(after)}"
        for kind, place, before, after in differences(old, new)
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1}, {"a": True}, ["c .a 1 true"]),
        ({"a": 1}, {"a": 1.0}, ["c .a 1 1.0"]),
        ([[1]], [[1.0]], ["c .[0][0] 1 1.0"]),
        ({"a": None}, {}, ["r .a null null"]),
        ({}, {"a": None}, ["a .a null null"]),
        ({"a": {}}, {"a": []}, ["c .a {} []"]),
        (1, [1], ["c . 1 [1]"]),
        ([1, 2, 3], [1, 2, 3, 4], ["a .[3] null 4"]),
        ([1, 2, 3], [0, 1, 2, 3], ["a .[0] null 0"]),
        ([1, 2, 3], [2, 3, 4], ["r .[0] 1 null", "a .[2] null 4"]),
        ([1, 1, 1], [1, 1], ["r .[2] 1 null"]),
        ([{"a": 1, "b": 2}], [0, {"b": 2, "a": 1}], ["a .[0] null 0"]),
        ([{"n": 1}, 7, 8], [{"n": 2}, 7, 8], ["c .[0].n 1 2"]),
        ([7, {"n": 1}], [6, 7, {"n": 2}], ["a .[0] null 6", "c .[2].n 1 2"]),
    ],
)
def test_lists_of_what_changed_are_short(
    old: Any, new: Any, expected: list[str]
) -> None:
    assert shown(old, new) == expected


def test_ring_of_many_that_moved_on_is_two_differences() -> None:
    old = [{"at": number} for number in range(20_000)]
    new = [*old[1:], {"at": -1}]
    assert [each.kind for each in differences(old, new)] == ["removed", "added"]
    assert len(list(differences(old, old[::-1]))) >= len(old)


def test_values_as_deep_as_a_document_may_be() -> None:
    def nested(value: Any) -> Any:
        for _ in range(50):
            value = {"k": [value]}
        return value

    (found,) = differences(nested(1), nested(2))
    assert found.place == ("k", 0) * 50


# Text

HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=10,
)


@given(HOSTILE, st.booleans())
def test_written_values_are_printable_and_the_same_json(
    value: Any, only_ascii: bool
) -> None:
    text = written(value, only_ascii=only_ascii)
    assert text.isprintable() and json.loads(text) == value
    lines = pretty(value, only_ascii=only_ascii)
    assert all(map(str.isprintable, lines)) and json.loads("\n".join(lines)) == value
    assert not only_ascii or text.isascii()


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ((), "."),
        ((0,), ".[0]"),
        (("a b",), '.["a b"]'),
        (("data", "", 3, "x_1", "1x"), '.data[""][3].x_1["1x"]'),
        (("\x1b[2J\u202e\U000e0001",), r'.["\u001b[2J\u202e\udb40\udc01"]'),
    ],
)
def test_places_are_as_jq_takes_them(place: tuple[str | int, ...], text: str) -> None:
    assert place_text(place) == text

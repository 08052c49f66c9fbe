"""Detached: what may be stored is copied as it is; the rest is refused, with its place.

Start at `test_what_json_has_no_word_for_is_refused`.
"""

import sys
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from documents.reading import check_return, state_of
from documents.values import MOST_DEPTH, check_sound, same
from latency_kv.documents.document import MAX_DEPTH, detached
from latency_kv.errors import StateWriteError

# The halves of a character outside the first plane, as UTF-16 has them.
HIGH, LOW = "\ud83d", "\ude00"

Point = namedtuple("Point", "x y")


@dataclass
class Theme:
    name: str


class Level(IntEnum):
    HIGH = 3


class Colour(StrEnum):
    RED = "red"


class Mixed(str, Enum):
    RED = "red"


class Text(str):
    """A str that would rather be another one."""

    __slots__ = ("__dict__",)

    def __str__(self) -> str:
        return "another"

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class Whole(int):
    def __int__(self) -> int:
        return 99

    def __repr__(self) -> str:
        return "ninety-nine"


class Real(float):
    def __float__(self) -> float:
        return 9.9

    def __repr__(self) -> str:
        return "nan"


class Values(list[Any]):
    pass


@pytest.fixture
def digits_limit() -> Iterator[None]:
    limit = sys.get_int_max_str_digits()
    yield
    sys.set_int_max_str_digits(limit)


def refusal(data: Any) -> str:
    """The reason for which data is not stored."""
    with pytest.raises(StateWriteError) as caught:
        detached(data, "clock")
    error = caught.value
    assert (error.plugin_name, error.path) == ("clock", None)
    assert len(error.reason) < 2_000
    return error.reason


def test_copy_shares_nothing_that_changes() -> None:
    data: dict[str, Any] = {"a": [{"b": [1]}], "c": {"d": {}}}
    copy = detached(data, "clock")
    data["a"][0]["b"].append(2)
    data["c"]["d"]["e"] = 1
    data["f"] = 1
    assert copy == {"a": [{"b": [1]}], "c": {"d": {}}}


def test_value_that_is_there_twice_is_copied_twice() -> None:
    shared = [1]
    copy = detached({"a": shared, "b": shared}, "clock")
    assert copy["a"] is not copy["b"]


def test_data_that_changes_meanwhile_is_copied_as_it_was() -> None:
    class Meddler(dict[str, Any]):
        def items(self) -> Any:
            data.clear()
            values.clear()
            return super().items()

    data: dict[str, Any] = {"a": Meddler(x=1), "b": 2, "c": [3]}
    values: list[Any] = [Meddler(y=1), 2, [3]]
    kept = dict(data)
    assert detached(data, "clock") == {"a": {"x": 1}, "b": 2, "c": [3]}
    data |= kept
    values += [Meddler(y=1), 2, [3]]
    assert detached(values, "clock") == [{"y": 1}, 2, [3]]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (OrderedDict(a=1, b=2), {"a": 1, "b": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (Values([1, Values()]), [1, []]),
        (Level.HIGH, 3),
        (Colour.RED, "red"),
        (Mixed.RED, "red"),
        (Text("x"), "x"),
        (Text("\xe9"), "\xe9"),
        (Whole(3), 3),
        (Whole(-(10**1000)), -(10**1000)),
        (Real(1.5), 1.5),
        (np.float64(-0.0), -0.0),
        (np.str_("x"), "x"),
        ({Colour.RED: 1, Text("a"): 2, "b": 3}, {"red": 1, "a": 2, "b": 3}),
        ({"b": 1, Text("a"): 2}, {"b": 1, "a": 2}),
    ],
)
def test_subclasses_are_taken_as_what_they_are_based_on(given: Any, plain: Any) -> None:
    assert same(detached(given, "clock"), plain)
    copy = detached([{"k": given}], "clock")
    check_sound(state_of(copy))
    assert same(copy, [{"k": plain}])


def test_ordered_dict_keeps_its_own_order() -> None:
    ordered = OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    assert list(detached(ordered, "clock")) == ["b", "a"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ((1, 2), "a tuple"),
        (Point(1, 2), "a Point"),
        ({1}, "a set"),
        (frozenset(), "a frozenset"),
        (b"x", "a bytes"),
        (bytearray(), "a bytearray"),
        (memoryview(b""), "a memoryview"),
        (range(2), "a range"),
        ({}.keys(), "a dict_keys"),
        (iter([]), "a list_iterator"),
        (1j, "a complex"),
        (Decimal(1), "a Decimal"),
        (Fraction(1), "a Fraction"),
        (datetime(2024, 1, 1), "a datetime"),
        (Theme("dark"), "a Theme"),
        (Theme, "a type"),
        (object(), "an object"),
        (Ellipsis, "an ellipsis"),
        (Path("a"), f"a {type(Path('a')).__name__}"),
        (print, "a builtin_function_or_method"),
        (np.int64(1), "an int64"),
        (np.bool_(True), "a bool"),
        (np.float32(1), "a float32"),
        (np.array([1]), "a ndarray"),
    ],
)
def test_what_json_has_no_word_for_is_refused(value: Any, kind: str) -> None:
    assert refusal(value).startswith(f"data: {kind}")
    assert "JSON has dict with str keys, list, str, int" in refusal(value)
    place = f"data['users'][1]['a b']: {kind}"
    assert refusal({"users": [0, {"x": 1, "a b": value}]}).startswith(place)


@pytest.mark.parametrize("kind", [str, int, float, dict, list])
def test_what_says_that_it_is_something_else_is_refused(kind: type) -> None:
    mock = Mock(spec=kind)
    assert isinstance(mock, kind)
    assert refusal([mock]).startswith("data[0]: a Mock is no JSON value")
    assert refusal({mock: 1}).startswith("data: the key ")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_floats_without_a_number_are_refused(number: float) -> None:
    for value in (number, np.float64(number), Real(number)):
        assert refusal([0.5, value]) == f"data[1]: JSON has no {number}"


@pytest.mark.parametrize("key", [1, None, True, 1.5, b"a", (1,), Level.HIGH, Theme])
def test_keys_that_are_no_str_are_refused(key: Any) -> None:
    assert refusal({"a": {"b": 1, key: 2}}).startswith("data['a']: the key ")
    assert "nothing is converted" in refusal({key: 1})


def test_keys_that_are_the_same_as_plain_str_are_refused() -> None:
    for keys in ([Text("a"), "a"], ["a", Text("a")], [Text("a"), Text("a")]):
        assert "two of its keys are the same" in refusal([dict.fromkeys(keys)])


@pytest.mark.parametrize(
    "text",
    [HIGH, LOW, f"a{HIGH}", LOW + HIGH, HIGH + LOW, f"\xe9{LOW}"],
)
def test_lone_surrogates_are_refused(text: str) -> None:
    assert refusal(["\xe9", text]).startswith("data[1]: the str ")
    assert refusal([Text(text)]).startswith("data[0]: the str ")
    assert refusal({"a": {"\xe9": 1, text: 1}}).startswith("data['a']: the key ")
    assert refusal({Text(text): 1}).startswith("data: the key ")
    assert all("has a lone surrogate" in refusal(data) for data in ([text], {text: 1}))
    refusal({text: 1}).encode()


def test_surrogates_of_two_keys_are_no_pair() -> None:
    refusal({HIGH: 1, LOW: 2})


@pytest.mark.parametrize("wrapped", [lambda value: [value], lambda value: {"a": value}])
def test_depth_has_a_limit(wrapped: Any) -> None:
    data: Any = 1
    for _ in range(MAX_DEPTH):
        data = wrapped(data)
    for pretty_print in (True, False):
        check_return(data, pretty_print=pretty_print)
    reason = refusal(wrapped(data))
    assert "it is deeper than 100 lists and dicts" in reason
    assert MAX_DEPTH == MOST_DEPTH


def test_depth_counts_subclasses() -> None:
    data: Any = []
    for _ in range(MAX_DEPTH):
        data = Values([OrderedDict(a=data)])
    assert "deeper" in refusal(data)


def test_circles_are_refused() -> None:
    values: list[Any] = [1]
    values.append(values)
    assert refusal(values).startswith(f"data{'[1]' * 12}...: it is deeper")
    names: dict[str, Any] = {}
    names["a"] = {"b": [names]}
    assert "or has itself in it" in refusal(names)


def test_values_in_messages_are_cut_short() -> None:
    long = "x" * 1_000_000
    assert refusal({long: {1}}).startswith("data['xxxx")
    refusal({(long,): 1})
    refusal({10**10_000: 1})
    refusal({(10**10_000,): 1})
    refusal([long + "\ud800"])


def test_ints_beyond_the_limit_of_digits_are_refused(digits_limit: None) -> None:
    for limit in (640, 4_300, 10_000):
        sys.set_int_max_str_digits(limit)
        most = 10**limit - 1
        check_return([most, -most], pretty_print=True)
        for beyond in (most + 1, -most - 1, 10**20_000, Whole(most + 1)):
            reason = refusal({"a": beyond})
            assert reason.startswith(f"data['a']: an int of more than {limit} digits")
            assert "PYTHONINTMAXSTRDIGITS" in reason


def test_ints_of_any_size_are_stored_without_a_limit(digits_limit: None) -> None:
    sys.set_int_max_str_digits(0)
    check_return([10**20_000, -(10**20_000)], pretty_print=False)

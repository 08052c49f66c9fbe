"""JSON values: exact on their way to bytes and back, one form for each, nothing else.

What `detached` copies and refuses is in documents/test_detached.py, which asks it through
a document. Start at `test_value_comes_back_equal_and_of_its_type`.
"""

import json
import math
import sys
from collections import OrderedDict
from collections.abc import Iterator
from enum import IntEnum
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from documents.values import check_value, nested, value_of
from fresh import run_fresh
from latency_kv.errors import JsonValueError
from latency_kv.json_values import (
    MAX_DEPTH,
    decode_value,
    detached_value,
    encode_value,
    parsed_json,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.lists(inside) | st.dictionaries(TEXTS, inside),
    max_leaves=20,
)
# Few and alike, so that two of them are often equal, or nearly.
ALIKE = st.recursive(
    st.sampled_from([None, False, True, 0, 1, 0.0, -0.0, 1.0, "", "0", "null"]),
    lambda inside: (
        st.lists(inside, max_size=2)
        | st.dictionaries(st.sampled_from(["", "a", "b"]), inside, max_size=2)
    ),
    max_leaves=4,
)


class Level(IntEnum):
    HIGH = 3


class Text(str):
    def __str__(self) -> str:
        return "another"


@pytest.fixture
def digits_limit() -> Iterator[None]:
    limit = sys.get_int_max_str_digits()
    yield
    sys.set_int_max_str_digits(limit)


def exact(value: Any) -> Any:
    """The value with its types, signs of zero too, and its dicts without an order."""
    if isinstance(value, dict):
        return "dict", frozenset((key, exact(inside)) for key, inside in value.items())
    if isinstance(value, list):
        return "list", tuple(exact(inside) for inside in value)
    return type(value).__name__, repr(value)


def reason_of(raw: bytes) -> str:
    """Why these bytes are no value."""
    with pytest.raises(JsonValueError) as caught:
        decode_value(raw)
    assert str(caught.value) == caught.value.reason
    assert len(caught.value.reason) < 2_000
    return caught.value.reason


@given(VALUES)
def test_value_comes_back_equal_and_of_its_type(value: Any) -> None:
    raw = encode_value(value)
    again = decode_value(raw)
    assert exact(again) == exact(value)
    check_value(again)
    assert encode_value(again) == raw


def test_hard_values_come_back_equal_and_of_their_type(seed: int, full: bool) -> None:
    random = Random(seed)
    for _ in range(20_000 if full else 500):
        value = value_of(random)
        if random.random() < 0.1:
            value = nested(random, random.randint(1, MAX_DEPTH - 10), value)
        try:
            raw = encode_value(value)
        except JsonValueError as error:
            # An int at the limit of Python's digits, or what got too deep.
            assert "deeper" in error.reason or "digits" in error.reason
        else:
            assert exact(decode_value(raw)) == exact(value)


@given(ALIKE, ALIKE)
@example(1, True)
@example(1, 1.0)
@example(0.0, -0.0)
@example([0], [False])
@example({"a": 1, "b": 2}, {"b": 2, "a": 1})
def test_bytes_are_equal_if_and_only_if_the_values_are(one: Any, other: Any) -> None:
    assert (encode_value(one) == encode_value(other)) == (exact(one) == exact(other))


@given(VALUES)
def test_bytes_are_json_without_blanks(value: Any) -> None:
    raw = encode_value(value)
    assert exact(json.loads(raw)) == exact(value)
    compact = json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    ).encode("utf-8")
    # Floats have another form where either has an exponent.
    assert raw == compact or b"e" in raw + compact


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (None, b"null"),
        (True, b"true"),
        (1, b"1"),
        (1.0, b"1.0"),
        (-0.0, b"-0.0"),
        (1e22, b"1e22"),
        (1e-7, b"1e-7"),
        (2**64 + 1, b"18446744073709551617"),
        ("\xe9\U0001f600", b'"\xc3\xa9\xf0\x9f\x98\x80"'),
        ('"\\/\x00\x1f\x7f\u2028', b'"\\"\\\\/\\u0000\\u001f\x7f\xe2\x80\xa8"'),
        ([], b"[]"),
        ({}, b"{}"),
        (
            {"b": 1, "a": [1, 2], "\U0001f600": 3, "\uffff": 4, "": 5},
            b'{"":5,"a":[1,2],"b":1,"\xef\xbf\xbf":4,"\xf0\x9f\x98\x80":3}',
        ),
    ],
)
def test_form_is_the_one_that_is_promised(value: Any, raw: bytes) -> None:
    """Stored bytes outlive a release: the form never changes."""
    assert encode_value(value) == raw
    assert exact(decode_value(raw)) == exact(value)


def test_subclasses_have_the_bytes_of_what_they_are_based_on() -> None:
    ordered = OrderedDict(b=Level.HIGH, a=Text("x"))
    assert encode_value(ordered) == encode_value({"a": "x", "b": 3})
    assert encode_value({Text("a"): 1}) == b'{"a":1}'


def test_form_is_the_same_whatever_the_order_of_hashes() -> None:
    program = """
from latency_kv.json_values import encode_value
print(encode_value({key: 1 for key in {"a", "b", "c", "d", "e", "f"}}))
"""
    assert run_fresh("-c", program) == run_fresh("-c", program)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "value: JSON has no nan"),
        ([1, -math.inf], "value[1]: JSON has no -inf"),
        (
            {"a": {"b": (1,)}},
            "value['a']['b']: a tuple is no JSON value: make it a list; JSON has dict",
        ),
        ([{1}], "value[0]: a set is no JSON value: make it a list; JSON has dict"),
        (b"x", "value: a bytes is no JSON value; JSON has dict with str keys, list"),
        ({1: 1}, "value: the key 1 is an int"),
        ({"a": [{None: 1}]}, "value['a'][0]: the key None is a NoneType"),
        (["\ud800"], "value[0]: the str '\\ud800' has a lone surrogate"),
        ({"\udfff": 1}, "value: the key '\\udfff' has a lone surrogate"),
    ],
)
def test_what_is_refused_is_told_with_its_place(value: Any, reason: str) -> None:
    for function in (detached_value, encode_value):
        with pytest.raises(JsonValueError) as caught:
            function(value)
        assert caught.value.reason.startswith(reason)
    with pytest.raises(JsonValueError, match="^theirs"):
        detached_value(value, "theirs")


def test_copy_shares_nothing() -> None:
    value: dict[str, Any] = {"a": [1]}
    copy = detached_value(value)
    value["a"].append(2)
    assert copy == {"a": [1]}


def test_depth_has_a_limit_both_ways() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode_value(encode_value(value)) == value
    for wrapped in ([value], {"a": value}):
        with pytest.raises(JsonValueError, match="it is deeper than 100 lists"):
            encode_value(wrapped)
    assert "it is deeper than 100" in reason_of(b"[" * 101 + b"1" + b"]" * 101)
    assert "deeper" in reason_of(b'{"a":' * 101 + b"1" + b"}" * 101)
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(JsonValueError, match="or has itself in it"):
        encode_value(circle)


def test_ints_have_as_many_digits_as_python_reads(digits_limit: None) -> None:
    most = 10**4_300 - 1
    assert decode_value(encode_value([most, -most])) == [most, -most]
    with pytest.raises(JsonValueError, match=r"value\[0\]: an int of more than 4300"):
        encode_value([most + 1])
    assert "value: an int of more than 4300 digits" in reason_of(b"1" * 4_301)
    sys.set_int_max_str_digits(0)
    assert decode_value(encode_value(10**20_000)) == 10**20_000


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is empty"),
        (b" ", "it is no JSON: Expecting value (line 1, column 2)"),
        (b"nul", "it is no JSON"),
        (b"nullx", "it is no JSON: Extra data"),
        (b"1 2", "it is no JSON: Extra data"),
        (b"01", "it is no JSON"),
        (b"1.", "it is no JSON"),
        (b"+1", "it is no JSON"),
        (b"'a'", "it is no JSON"),
        (b'"a', "it is no JSON"),
        (b'"\n"', "it is no JSON"),
        (b'"\\x41"', "it is no JSON"),
        (b"[1,]", "it is no JSON"),
        (b"[1", "it is no JSON"),
        (b'{"a":1,}', "it is no JSON"),
        (b"{1:1}", "it is no JSON"),
        (b"\x00", "it is no JSON"),
        (b"1\x00", "it is no JSON"),
        (b"\xff", "it is no UTF-8 from byte 0 on"),
        (b'"\xed\xa0\x80"', "it is no UTF-8 from byte 1 on"),
        (b'"\xc0\x80"', "it is no UTF-8 from byte 1 on"),
        (b"\xef\xbb\xbf1", "it begins with a byte order mark"),
        ("1".encode("utf-16"), "it is no UTF-8"),
        (b"NaN", "value: JSON has no nan"),
        (b"[Infinity]", "value[0]: JSON has no inf"),
        (b"-Infinity", "value: JSON has no -inf"),
        (b'{"a":[1e999]}', "value['a'][0]: JSON has no inf"),
        (b'"\\ud800"', "value: the str"),
        (b'{"\\udfff":1}', "value: the key"),
        (b'{"a":1,"a":1}', "an object has the key 'a' more than once"),
        (b'[{"b":1,"\\u0062":2}]', "an object has the key 'b' more than once"),
        (b"[" * 100_000, "it is "),
        (b'{"a":' * 100_000, "it is "),
    ],
)
def test_bytes_that_are_no_value_are_refused(raw: bytes, reason: str) -> None:
    assert reason_of(raw).startswith(reason)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b' { "b" : 1 ,\n"a":[ ] } ', {"b": 1, "a": []}),
        (b'"\\ud83d\\ude00\\u0041\\/"', "\U0001f600A/"),
        (b"1E2", 100.0),
        (b"-0", 0),
        (b"1e-999", 0.0),
    ],
)
def test_json_that_others_wrote_is_read(raw: bytes, value: Any) -> None:
    assert exact(decode_value(raw)) == exact(value)


@given(st.binary(max_size=30))
def test_no_bytes_do_anything_else(raw: bytes) -> None:
    check_outcome(raw)


@given(st.text(alphabet='[]{}:,"\\u0d8e1-.aEnlt \n', max_size=30))
def test_no_text_that_is_nearly_json_does_anything_else(text: str) -> None:
    check_outcome(text.encode())


@given(VALUES, st.data())
def test_no_damage_does_anything_else(value: Any, data: st.DataObject) -> None:
    raw = bytearray(encode_value(value))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    check_outcome(bytes(raw))
    check_outcome(bytes(raw[:place]))


def decode_carefully(raw: bytes) -> Any:
    value, repeated = parsed_json(raw)
    if repeated:
        raise JsonValueError("a key comes twice")
    return detached_value(value)


def check_outcome(raw: bytes) -> None:
    """Assert that bytes are a value that has bytes of its own, or are refused.

    And that the quick way through small texts lets nothing else pass than the careful.
    """
    try:
        value = decode_value(raw)
    except JsonValueError:
        with pytest.raises(JsonValueError):
            decode_carefully(raw)
        return
    check_value(value)
    assert exact(decode_carefully(raw)) == exact(value)
    assert exact(decode_value(encode_value(value))) == exact(value)

"""Crafted documents: what somebody thought out is refused for what it is.

Depth, digits, keys twice, numbers that are none, halves of characters, dates, and later
formats, which are no damage. Start at `test_reason_tells_what_is_wrong`.
"""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from documents.reading import PATH, check_outcome, refusal
from documents.values import MODIFIED, PLUGIN_NAME, check_sound, written
from latency_kv import StateData
from latency_kv.documents.document import MAX_DEPTH, decode
from latency_kv.errors import StateFormatError, StateParseError


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is empty"),
        (b"\n", "it is no JSON: Expecting value [(]line 2, column 1[)]"),
        (bytes(4_096), "it is no JSON: Expecting value [(]line 1, column 1[)]"),
        (b'{"version": 1,\n "data" 2}', "it is no JSON: .* [(]line 2, column 9[)]"),
        (b"[]", "it is a list, and a document is a JSON object"),
        (b"null", "it is a NoneType, and a document"),
        (b'"clock"', "it is a str, and a document"),
        (b"12", "it is an int, and a document"),
        (b"{}", "it has no field 'data', 'metadata', 'version'"),
        (written() + b"x", "it is no JSON: Extra data"),
        (written() + b"\0", "it is no JSON: Extra data"),
        (written() * 2, "it is no JSON: Extra data"),
        (written() + b"\n\n}", "it is no JSON: Extra data [(]line 3, column 1[)]"),
        (written()[:40], "it is no JSON: "),
        (written(data="'a'"), "it is no JSON: "),
        (written(data="[1,]"), "it is no JSON: "),
        (written(data='"\n"'), "it is no JSON: Invalid control character"),
        (written(data="01"), "it is no JSON: "),
        (written(data="+1"), "it is no JSON: "),
        (written(data=".5"), "it is no JSON: "),
        (written(data="0x10"), "it is no JSON: "),
        (written(data="\u0661"), "it is no JSON: "),
        (written().replace(b" ", b"\xc2\xa0"), "it is no JSON: "),
        (
            written(data='"\xe9"').decode().encode("latin-1"),
            "it is no UTF-8 from byte 24 on",
        ),
        (written(data='"\ud800"'), "it is no UTF-8 from byte 24 on"),
        (b"\xef\xbb\xbf" + written(), "it begins with a byte order mark"),
        (written().decode().encode("utf-16"), "it is no UTF-8"),
        (written().decode().encode("utf-16-le"), "it is no (UTF-8|JSON)"),
        (written().decode().encode("utf-32"), "it is no UTF-8"),
        (written(version="-1"), "its version is -1, and not an int from 0"),
        (written(version="true"), "its version is True, and not an int"),
        (written(version="1.0"), "its version is 1.0, and not an int"),
        (written(version='"1"'), "its version is '1', and not an int"),
        (written(version="null"), "its version is None, and not an int"),
        (written(version="9" * 10**6), "its version is 9"),
        (written(more='"extra": 1, '), "it has a field that nobody knows: 'extra'"),
        (written(modified='1, "x": 1'), "metadata has a field that nobody knows: 'x'"),
        (written().replace(b'"data"', b'"Data"'), "it has no field 'data'"),
        (written().replace(b"lastM", b"lastm"), "metadata has no field 'lastModified'"),
        (
            b'{"version":1,"data":1,"metadata":[]}',
            "its metadata are a list, and not an",
        ),
        (
            b'{"version":1,"data":1,"metadata":{}}',
            "metadata has no field 'lastModified'",
        ),
        (written(name='"other"'), "it is of plugin 'other', not of 'cl\xf6ck'"),
        (written(name='"CL\xd6CK"'), "it is of plugin 'CL\xd6CK', not of 'cl\xf6ck'"),
        (written(name='"clo\u0308ck"'), "it is of plugin 'clo\u0308ck', not of"),
        (written(name="null"), "it is of plugin None, not of"),
        (written(name='"\\ud800"'), r"it is of plugin '\\ud800', not of"),
        (written(name=f'"{"x" * 10**6}"'), "it is of plugin 'xxx"),
    ],
)
def test_reason_tells_what_is_wrong(raw: bytes, reason: str) -> None:
    assert re.match(reason, refusal(raw))


@pytest.mark.parametrize(
    "modified",
    [
        *("null", "0", "[]", "{}", "true", '""', '"now"', '"2024"', '"2024-01-01"'),
        *('"2024-01-01T00:00:00"', '"2024-01-01T00:00:00.000"', '"2024-01-01Z"'),
        *('"2024-01-01 00:00:00Z"', '"20240101T000000Z"', '"2024-W01-1T00:00:00Z"'),
        *('"2024-13-01T00:00:00Z"', '"2023-02-29T00:00:00Z"', '"2024-01-01T25:00:00Z"'),
        *('"2024-01-01T00:00:60Z"', '"2024-01-01T00:00:00+24:00"', '"0000-01-01T00Z"'),
        *('"2024-01-01T00:00:00z"', '"2024-01-01T00:00:00Z "', '"2024-01-01T00:00Z"'),
        *('"\u0662024-01-01T00:00:00Z"', '"2024-01-01\\ud80000:00:00Z"'),
        *('"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"'),
        *('"2024-01-01T00:00:00.1234567890Z"', '"2024-01-01T00:00:00.Z"', '"\\ud800"'),
    ],
)
def test_time_without_a_date_or_a_zone_is_refused(modified: str) -> None:
    reason = refusal(written(modified=modified))
    assert re.match("its lastModified is .*, and not an ISO date with a time", reason)


def around(depth: int, text: str) -> str:
    """Lists and dicts in turn, so many, around a text."""
    pairs = [("[", "]"), ('{"a": ', "}")]
    for number in range(depth):
        start, end = pairs[number % 2]
        text = start + text + end
    return text


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":', '["]",', "[[], "])
@pytest.mark.parametrize("before", [b"", written()[:-1] + b', "more": ', b'{"data": '])
def test_a_million_brackets_are_refused(opening: str, before: bytes) -> None:
    assert "deeper than 100" in refusal(before + opening.encode() * 10**6)


def test_depth_is_refused_wherever_it_is() -> None:
    deep = 10**6
    brackets = "[" * deep + "]" * deep
    for raw in (
        brackets.encode(),
        written(data=brackets),
        written(version=brackets),
        written(modified=brackets),
        written(name=brackets),
        written(more=f'"more": {brackets}, '),
        written(more=f'"format": {brackets}, '),
    ):
        assert "deeper than 100" in refusal(raw)


def test_depth_is_refused_from_the_first_that_is_too_deep() -> None:
    assert check_outcome(written(data=around(MAX_DEPTH, "1")))
    for depth in (MAX_DEPTH + 1, MAX_DEPTH + 2, 500, 2_000, 10_000):
        reason = refusal(written(data=around(depth, "1")))
        assert "it is deeper than 100 lists and dicts" in reason


def test_brackets_in_a_str_are_no_depth() -> None:
    text = f'"{"[{" * 10**6} \\" {"[" * 10**6}"'
    assert check_outcome(written(data=f"[{text}, {{{text}: 1}}]"))


def test_many_siblings_are_no_depth() -> None:
    assert check_outcome(written(data=f"[{'[], {}, ' * 10**4}[]]"))


def test_caller_that_is_deep_in_the_stack_is_no_damage() -> None:
    text = f'"{"[{" * 200} \\" {"[" * 200}"'
    raw = written(data=around(MAX_DEPTH - 2, f"[{text}, {'[], ' * 200}1]"))
    assert check_outcome(raw)

    def deeper(calls: int) -> StateData[Any]:
        if calls:
            return deeper(calls - 1)
        return decode(raw, PLUGIN_NAME, PATH)

    outcomes = set()
    for calls in range(0, sys.getrecursionlimit() + 10, 7):
        try:
            check_sound(deeper(calls))
            outcomes.add("read")
        except RecursionError:
            outcomes.add("no room")
    assert outcomes == {"read", "no room"}


@pytest.mark.parametrize("sign", ["", "-"])
def test_an_int_of_a_million_digits_is_refused_where_it_is(sign: str) -> None:
    digits = sign + "9" * 10**6
    for size in (4_301, 5_000, 10**6):
        reason = refusal(written(data=f'{{"a": [0, {digits[: size + 1]}]}}'))
        assert reason.startswith("data['a'][1]: an int of more than 4300 digits")
        assert "PYTHONINTMAXSTRDIGITS" in reason
    assert refusal(written(data=f'"\\ud800", "data": {digits}'))
    assert refusal(written(version=digits))
    assert refusal(written(modified=digits))
    assert refusal(written(name=digits))
    assert check_outcome(written(data=f'"{digits}"'))
    assert check_outcome(written(data=f"0.{'1' * 10**6}"))


def test_ints_up_to_the_limit_of_digits_are_read() -> None:
    assert check_outcome(written(data=f"[{'9' * 4_300}, -{'9' * 4_300}]"))


def test_keys_that_are_there_twice_are_named_at_any_depth() -> None:
    for depth in range(MAX_DEPTH - 1):
        for twice in (
            '{"b": 1, "k": 1, "k": 1}',
            '{"k": 1, "b": {}, "\\u006b": 2}',
            '{"k": {"k": []}, "k": 1}',
        ):
            reason = refusal(written(data=around(depth, twice)))
            assert reason == "an object has the key 'k' more than once"


def test_fields_that_are_there_twice_are_named() -> None:
    for field, value in (("version", "1"), ("data", "1"), ("format", "1")):
        more = f'"{field}": {value}, ' * 2
        reason = refusal(written(more=more))
        assert reason == f"an object has the key '{field}' more than once"
    for field, value in (("pluginName", PLUGIN_NAME), ("lastModified", MODIFIED)):
        reason = refusal(written(name=f'"{PLUGIN_NAME}", "{field}": "{value}"'))
        assert reason == f"an object has the key '{field}' more than once"


def test_many_keys_with_the_last_one_twice_are_refused_soon() -> None:
    keys = ", ".join(f'"{number}": 0' for number in range(300_000))
    reason = refusal(written(data=f'{{{keys}, "299999": 0}}'))
    assert reason == "an object has the key '299999' more than once"


def test_a_key_may_be_in_different_objects() -> None:
    assert check_outcome(written(data='[{"k": {"k": 1}}, {"k": 1, "K": 1, "k ": 1}]'))


@pytest.mark.parametrize(
    ("number", "told"),
    [
        *(("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf")),
        *(("1e999", "inf"), ("-1e999", "-inf"), ("1.8e308", "inf"), ("1E+400", "inf")),
        (f"{'9' * 309}.0", "inf"),
    ],
)
def test_numbers_that_are_none_are_refused_where_they_are(
    number: str, told: str
) -> None:
    reason = refusal(written(data=f'[0, {{"a": {number}}}]'))
    assert reason == f"data[1]['a']: JSON has no {told}"
    assert refusal(written(data=number)) == f"data: JSON has no {told}"
    for raw in (
        written(version=number),
        written(modified=number),
        written(name=number),
        written(more=f'"format": {number}, '),
        written(more=f'"more": {number}, '),
    ):
        assert refusal(raw)


@pytest.mark.parametrize(
    "number", ["nan", "inf", "-NaN", "+Infinity", "infinity", "NAN", "Nan", "1e", "--1"]
)
def test_words_that_are_no_numbers_are_refused(number: str) -> None:
    assert refusal(written(data=number)).startswith("it is no JSON")


@pytest.mark.parametrize(
    "half", ["\\ud800", "\\uDFFF", "\\ude00\\ud83d", "a\\ud83d", "\\ud83d\\\\ude00"]
)
def test_halves_of_characters_are_refused_where_they_are(half: str) -> None:
    reason = refusal(written(data=f'[0, {{"a": "{half}"}}]'))
    assert reason.startswith("data[1]['a']: the str ")
    reason = refusal(written(data=f'[0, {{"a": 1, "{half}": 1}}]'))
    assert reason.startswith("data[1]: the key ")
    for raw in (
        written(name=f'"{half}"'),
        written(modified=f'"{half}"'),
        written(more=f'"{half}": 1, '),
        written(more=f'"format": "{half}", '),
    ):
        assert refusal(raw)


@pytest.mark.parametrize(
    "raw_half", [b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80"]
)
def test_halves_of_characters_as_bytes_are_refused(raw_half: bytes) -> None:
    for raw in (
        written(data='"HALF"'),
        written(data='{"HALF": 1}'),
        written(name='"HALF"'),
        written(more='"HALF": 1, '),
        written(more='"format": 2, "HALF": 1, '),
        written() + b"HALF",
    ):
        reason = refusal(raw.replace(b"HALF", raw_half))
        assert reason.startswith(f"it is no UTF-8 from byte {raw.index(b'HALF')} on")


# Later formats


@pytest.mark.parametrize(
    "raw",
    [
        b'{"format": 2}',
        b'{"format": 2, "anything": ["else"]}',
        written(more='"format": 2, '),
        written(more=f'"format": {"9" * 5_000}, '),
        written(more='"format": 3, ', name='"other"'),
        written(more='"format": 3, ', version="-1"),
        written(more='"format": 3, ', modified="null"),
        written(more='"format": 3, "more": 1, '),
        written(more='"format": 3, ', data="NaN"),
        written(more='"format": 3, ', data="1e999"),
        written(more='"format": 3, ', data='"\\ud800"'),
        written(more='"format": 3, ', data='{"a": 1, "a": 2}'),
        written(more='"format": 3, ', data=around(300, "1")),
        written(more='"format": 3, ', data="9" * 5_000),
        written(more='"format": 1, "format": 3, '),
        written(name=f'"{PLUGIN_NAME}"}}, "format": 2, "more": {{"a": 1'),
    ],
)
def test_later_format_is_told_before_anything_else_is_judged(raw: bytes) -> None:
    with pytest.raises(StateFormatError) as caught:
        decode(raw, PLUGIN_NAME, PATH)
    assert (caught.value.plugin_name, caught.value.path) == (PLUGIN_NAME, PATH)
    assert caught.value.text == raw.decode()
    assert re.match(
        "it has format [239].*, and this release knows 1", caught.value.reason
    )


@pytest.mark.parametrize(
    "number", ["0", "-1", "true", "false", "null", "2.0", "1.0", '"2"', "[2]", "-9e99"]
)
def test_format_that_is_no_int_from_1_is_refused(number: str) -> None:
    reason = refusal(written(more=f'"format": {number}, '))
    assert re.match("its format is .*, and not an int from 1", reason)


def test_format_anywhere_else_is_no_format() -> None:
    assert check_outcome(written(data='{"format": 2}'))
    assert refusal(written(name=f'"{PLUGIN_NAME}", "format": 2')) == (
        "metadata has a field that nobody knows: 'format'"
    )
    assert refusal(b'[{"format": 2}]').startswith("it is a list")


@pytest.mark.parametrize("path", [None, PATH])
def test_error_carries_the_text_with_other_bytes_escaped(path: Path | None) -> None:
    with pytest.raises(StateParseError) as caught:
        decode(b"caf\xc3\xa9 \xff\x00{", PLUGIN_NAME, path)
    assert caught.value.path == path
    assert caught.value.text == "caf\xe9 \\xff\0{"
    assert str(caught.value).endswith(")") == (path is not None)

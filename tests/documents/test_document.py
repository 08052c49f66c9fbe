"""Document: what is stored comes back, equal and of equal types, in the bytes agreed.

What may be stored is in test_detached.py, what bytes that are no document get in
test_document_damage.py. Start at `test_documents_at_random_come_back`.
"""

import sys
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.reading import STORED, check_return, state_of
from documents.values import (
    PLUGIN_NAME,
    SURROGATES,
    check_sound,
    nested,
    same,
    value_of,
    written,
)
from latency_kv import StateData
from latency_kv.documents import document
from latency_kv.documents.document import (
    MAX_DEPTH,
    MAX_SIZE,
    checked_version,
    decode,
    encode,
)
from latency_kv.errors import StateParseError, StateWriteError
from latency_kv.facets.stores import StateMetadata

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


class Level(IntEnum):
    HIGH = 3


def test_documents_at_random_come_back(seed: int, full: bool) -> None:
    random = Random(seed)
    for number in range(100_000 if full else 3_000):
        data = value_of(random)
        if number % 10 == 0:
            data = nested(random, random.randint(1, MAX_DEPTH - 10), data)
        check_return(data, pretty_print=bool(number & 1))


@given(JSON, st.booleans())
def test_documents_of_hypothesis_come_back(data: Any, pretty_print: bool) -> None:
    check_return(data, pretty_print=pretty_print)


@pytest.mark.parametrize("pretty_print", [True, False])
def test_every_character_comes_back(pretty_print: bool) -> None:
    codes = [code for code in range(sys.maxunicode + 1) if code not in SURROGATES]
    text = "".join(map(chr, codes))
    rows = [text[start : start + 4_096] for start in range(0, len(text), 4_096)]
    check_return([text, {row: row for row in rows}], pretty_print=pretty_print)


@pytest.mark.parametrize("pretty_print", [True, False])
@pytest.mark.parametrize(
    "data", [None, False, True, 0, 0.0, -0.0, "", [], {}, {"": ""}]
)
def test_falsy_data_is_data(data: Any, pretty_print: bool) -> None:
    check_return(data, pretty_print=pretty_print)


def test_bytes_of_a_pretty_document() -> None:
    modified = datetime(2024, 2, 3, 4, 5, 6, 789_999, timezone(timedelta(hours=2)))
    state = StateData(
        2, {"k\xe9y": [1, {"a": None}], "e": {}}, StateMetadata(modified, "a/b")
    )
    assert encode(state, pretty_print=True).decode() == (
        "{\n"
        '  "version": 2,\n'
        '  "data": {\n'
        '    "k\xe9y": [\n'
        "      1,\n"
        "      {\n"
        '        "a": null\n'
        "      }\n"
        "    ],\n"
        '    "e": {}\n'
        "  },\n"
        '  "metadata": {\n'
        '    "lastModified": "2024-02-03T02:05:06.789Z",\n'
        '    "pluginName": "a/b"\n'
        "  }\n"
        "}\n"
    )


def test_bytes_of_a_compact_document() -> None:
    raw = encode(state_of(["\xe9", 1.0, True]), pretty_print=False)
    assert raw.decode() == (
        '{"version":1,"data":["\xe9",1.0,true],"metadata":'
        '{"lastModified":"2024-01-01T00:00:00.000Z","pluginName":"cl\xf6ck"}}\n'
    )


def test_time_is_kept_to_the_millisecond() -> None:
    modified = datetime(1, 2, 3, 4, 5, 6, 987_654, UTC)
    state = StateData(0, None, StateMetadata(modified, PLUGIN_NAME))
    raw = encode(state, pretty_print=False)
    assert b'"0001-02-03T04:05:06.987Z"' in raw
    assert decode(raw, PLUGIN_NAME, None).metadata.last_modified == datetime(
        1, 2, 3, 4, 5, 6, 987_000, UTC
    )


@pytest.mark.parametrize("version", [0, 1, 2**70, Level.HIGH])
def test_version_is_an_int_from_0(version: int) -> None:
    assert checked_version(version) == version
    assert type(checked_version(version)) is int
    raw = encode(state_of(None, checked_version(version)), pretty_print=True)
    assert decode(raw, PLUGIN_NAME, None).version == version


@pytest.mark.parametrize("version", [True, False, 1.0, "1", None, np.int64(1), [1]])
def test_version_that_is_no_int_raises_type_error(version: Any) -> None:
    with pytest.raises(TypeError, match="a version is an int, not "):
        checked_version(version)


def test_version_out_of_range_raises_value_error() -> None:
    for version in (-1, -(10**5_000), 10**5_000):
        with pytest.raises(ValueError, match="a version "):
            checked_version(version)


@pytest.mark.parametrize("pretty_print", [True, False])
def test_size_has_a_limit(monkeypatch: pytest.MonkeyPatch, pretty_print: bool) -> None:
    # In bytes: the character has two.
    state = state_of("\xe9" * 1_000)
    raw = encode(state, pretty_print=pretty_print)
    monkeypatch.setattr(document, "MAX_SIZE", len(raw))
    assert encode(state, pretty_print=pretty_print) == raw
    assert decode(raw, PLUGIN_NAME, None) == state
    monkeypatch.setattr(document, "MAX_SIZE", len(raw) - 1)
    with pytest.raises(StateWriteError, match=f"has {len(raw)} bytes, and at most"):
        encode(state, pretty_print=pretty_print)
    with pytest.raises(StateParseError, match=f"has {len(raw)} bytes, and at most"):
        decode(raw, PLUGIN_NAME, None)
    assert MAX_SIZE == 256 * 2**20


@pytest.mark.parametrize(
    ("modified", "expected"),
    [
        ("2024-01-01T00:00:00.000Z", STORED),
        ("2024-01-01T00:00:00Z", STORED),
        ("2024-01-01T02:00:00+02:00", STORED),
        ("2023-12-31T14:30:00.000000-09:30", STORED),
        ("2024-01-01T00:00:00.5Z", STORED + timedelta(seconds=0.5)),
        ("2024-01-01T00:00:00.123456789Z", STORED + timedelta(microseconds=123_456)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)),
    ],
)
def test_time_with_any_zone_is_read(modified: str, expected: datetime) -> None:
    state = decode(written(modified=f'"{modified}"'), PLUGIN_NAME, None)
    assert state.metadata.last_modified == expected
    check_sound(state)


def test_layout_and_escapes_are_free() -> None:
    text = (
        ' \r\n\t{"metadata" :{"pluginName":"cl\\u00F6ck","lastModified":'
        '"2024-01-01T00:00:00Z"},"data":["\\ud83d\\ude00", 1E2, -0, 1e-999],'
        '"format":1,"version":7}\n\n '
    )
    state = decode(text.encode(), PLUGIN_NAME, None)
    assert same(state, state_of(["\U0001f600", 100.0, 0, 0.0], 7))


def test_format_of_today_is_read() -> None:
    state = decode(written(more='"format": 1, '), PLUGIN_NAME, None)
    assert same(state, state_of(1))

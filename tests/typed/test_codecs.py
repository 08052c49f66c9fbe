"""Codecs: what is encoded decodes as its type, and what is not of the type raises.

Each codec keeps the two steps apart: a type that it cannot make is refused by
`decoder`, bytes that are no such value by what `decoder` returns.
"""

import math
import struct
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_kv.typed.codecs import (
    Codec,
    JsonCodec,
    MsgpackCodec,
    RawCodec,
    StructCodec,
)

INT64 = st.integers(-1 << 63, (1 << 63) - 1)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | INT64
    | st.text()
    | st.floats(allow_nan=False, width=64),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)
SCHEMA_CODECS: list[Codec] = [MsgpackCodec(), JsonCodec()]


@dataclass
class Delay:
    route: str
    minutes: float


class Window(NamedTuple):
    start: int
    mean: float


def decoded(codec: Codec, data: bytes, type: Any) -> Any:
    return codec.decoder(type)(data)


@pytest.mark.parametrize("codec", [*SCHEMA_CODECS, RawCodec(), StructCodec("<q")])
def test_every_codec_is_a_codec(codec: Codec) -> None:
    assert isinstance(codec, Codec)


@given(PLAIN)
def test_msgpack_plain_values_come_back(value: Any) -> None:
    codec = MsgpackCodec()
    assert decoded(codec, codec.encode(value), Any) == value


@pytest.mark.parametrize("codec", SCHEMA_CODECS)
@pytest.mark.parametrize(
    ("value", "type"),
    [
        (Delay("JFK-LAX", 4.5), Delay),
        (Window(3600, 0.5), Window),
        ({"a": [1, 2]}, dict[str, list[int]]),
        ((1, "a"), tuple[int, str]),
        (b"\0\xff", bytes),
        (None, int | None),
        (-7, int),
    ],
)
def test_value_comes_back_as_its_type(codec: Codec, value: Any, type: Any) -> None:
    assert decoded(codec, codec.encode(value), type) == value


@pytest.mark.parametrize("codec", SCHEMA_CODECS)
@pytest.mark.parametrize(
    ("value", "type"),
    [
        ("7", int),
        (1.5, int),
        ({"route": "JFK-LAX"}, Delay),
        (-1, Annotated[int, msgspec.Meta(ge=0)]),
        (None, int),
    ],
)
def test_value_of_another_type_raises(codec: Codec, value: Any, type: Any) -> None:
    decode = codec.decoder(type)
    with pytest.raises(msgspec.ValidationError):
        decode(codec.encode(value))


@pytest.mark.parametrize("codec", SCHEMA_CODECS)
@pytest.mark.parametrize("type", [5, "int", 1.0])
def test_type_that_cannot_be_made_is_refused_at_once(codec: Codec, type: Any) -> None:
    with pytest.raises(TypeError):
        codec.decoder(type)


@given(st.binary())
def test_any_bytes_decode_or_raise_one_of_two_errors(data: bytes) -> None:
    for codec in SCHEMA_CODECS:
        for type in (Any, Delay, list[int]):
            decode = codec.decoder(type)
            try:
                decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                pass


def test_json_is_json_and_has_no_nan() -> None:
    codec = JsonCodec()
    assert codec.encode(Delay("JFK-LAX", 4.5)) == b'{"route":"JFK-LAX","minutes":4.5}'
    with pytest.raises(msgspec.ValidationError):
        decoded(codec, codec.encode(math.nan), float)


@given(INT64)
def test_struct_single_number_is_that_number(number: int) -> None:
    codec = StructCodec("<q")
    data = codec.encode(number)
    assert data == number.to_bytes(8, "little", signed=True)
    assert decoded(codec, data, int) == decoded(codec, data, Any) == number


@given(INT64, st.floats(allow_nan=False))
def test_struct_several_numbers_are_a_tuple(start: int, mean: float) -> None:
    codec = StructCodec(">qd")
    data = codec.encode((start, mean))
    assert data == struct.pack(">qd", start, mean)
    assert codec.encode(Window(start, mean)) == data
    for type in (Any, tuple, tuple[int, float], Window):
        assert decoded(codec, data, type) == (start, mean)
    assert decoded(codec, data, Window).mean == mean


def test_struct_decoding_of_another_type_or_width_raises() -> None:
    codec = StructCodec("<q")
    with pytest.raises(msgspec.ValidationError):
        decoded(codec, bytes(8), str)
    assert decoded(codec, bytes(8), float) == 0.0
    for width in (0, 7, 9):
        with pytest.raises(struct.error):
            decoded(codec, bytes(width), int)
    with pytest.raises(TypeError):
        codec.decoder(5)


@pytest.mark.parametrize(
    ("layout", "value"),
    [
        ("<q", 1 << 63),
        ("<q", "7"),
        ("<q", None),
        ("<f", 1e300),
        ("<qd", (1,)),
        ("<qd", (1, 2.0, 3)),
    ],
)
def test_struct_value_that_does_not_fit_raises(layout: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"does not fit layout '{layout}'"):
        StructCodec(layout).encode(value)


@pytest.mark.parametrize("layout", ["q", "@q", "=q", "", "<", "<4x", "<8s", "<p", "<y"])
def test_struct_layout_that_does_not_travel_is_refused(layout: str) -> None:
    with pytest.raises(ValueError, match="layout"):
        StructCodec(layout)


def test_raw_bytes_pass_without_a_copy() -> None:
    codec = RawCodec()
    value = b"\0" * 4096
    assert codec.encode(value) is value
    assert decoded(codec, value, bytes) is decoded(codec, value, Any) is value
    assert codec.encode(bytearray(b"ab")) == codec.encode(memoryview(b"ab")) == b"ab"
    assert decoded(codec, b"ab", bytearray) == bytearray(b"ab")
    assert decoded(codec, value, memoryview).obj is value


@pytest.mark.parametrize("value", ["a", 5, None, [1]])
def test_raw_takes_buffers_only(value: Any) -> None:
    with pytest.raises(TypeError):
        RawCodec().encode(value)
    with pytest.raises(TypeError, match="RawCodec makes bytes"):
        RawCodec().decoder(str)

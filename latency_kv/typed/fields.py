"""Fields: the forms of a key's values in bytes whose order is the values' order.

    uintN        big-endian
    intN         big-endian, sign bit flipped, so that negative ones come first
    float64      IEEE 754, big-endian, sign bit flipped, all bits if negative
    str bytes    UTF-8 or bytes, with 00 as 01 01 and 01 as 01 02, then 00

A string ends with a byte lower than any that it can hold, so "a" comes before "ab", and
the fields that follow decide only between equal ones.

Each value has one form: NaN, which has no place in an order, is refused, and -0.0 takes
the form of 0.0, its equal.  Reading refuses every other form with ValueError.

Knows fields, not keys: `keys` puts them together.  Start at `FIXED`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from operator import index
from struct import Struct
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "FIXED",
    "NUL",
    "SCOPE",
    "STRINGS",
    "TAKEN",
    "Field",
    "FixedField",
    "StringField",
]

Field: TypeAlias = Literal[
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float64",
    "str",
    "bytes",
]
"""What a field of a key can be."""


class FixedField(NamedTuple):
    """A field that is one unsigned number of a Struct."""

    code: str
    to_number: str
    from_number: str


class StringField(NamedTuple):
    """A field that ends with a NUL; the reader gets what stands before it."""

    to_bytes: str
    from_bytes: str


def _signed(code: str, bits: int) -> FixedField:
    """Move the integers of so many bits up by half their range: the lowest is 0."""
    half = 1 << bits - 1
    return FixedField(code, f"index({{0}}) + {half}", f"{{0}} - {half}")


# Expressions over SCOPE, {0} being the value: written into the code of a layout they
# cost no call.  index() takes no float, and makes int of numpy's integers, which would
# wrap around.
FIXED: dict[str, FixedField] = {
    "uint8": FixedField("B", "index({0})", "{0}"),
    "uint16": FixedField("H", "index({0})", "{0}"),
    "uint32": FixedField("I", "index({0})", "{0}"),
    "uint64": FixedField("Q", "index({0})", "{0}"),
    "int8": _signed("B", 8),
    "int16": _signed("H", 16),
    "int32": _signed("I", 32),
    "int64": _signed("Q", 64),
    "float64": FixedField("Q", "float_to_bits({0})", "float_from_bits({0})"),
}
STRINGS: dict[str, StringField] = {
    "str": StringField(
        r"""({0} + "\0" if "\0" not in {0} and "\1" not in {0}"""
        r""" else escaped({0})).encode()""",
        "(unescaped({0}) if 1 in {0} else {0}).decode()",
    ),
    "bytes": StringField(
        "bytes_to_bytes({0})",
        "(unescaped({0}) if 1 in {0} else {0})",
    ),
}

NUL = b"\0"
_SIGN = 1 << 63
_DOUBLE = Struct(">d")
_SIGNED = Struct(">q")
# The number just below that of 0.0, where -0.0 would be if it had a form of its own.
_NEGATIVE_ZERO = _SIGN - 1


def _float_to_bits(value: float) -> int:
    # Adding 0.0 makes -0.0 its equal, changes nothing else, and refuses str.
    value = value + 0.0
    if isnan(value):
        raise ValueError("NaN has no place in the order of float64")
    bits: int = _SIGNED.unpack(_DOUBLE.pack(value))[0]
    return bits + _SIGN if bits >= 0 else ~bits


def _float_from_bits(number: int) -> float:
    bits = number - _SIGN if number >= _SIGN else ~number
    value: float = _DOUBLE.unpack(_SIGNED.pack(bits))[0]
    if isnan(value) or number == _NEGATIVE_ZERO:
        raise ValueError(f"{value} is never packed as a float64")
    return value


def _escaped(value: str) -> str:
    return value.replace("\1", "\1\2").replace("\0", "\1\1") + "\0"


def _bytes_to_bytes(value: Buffer) -> bytes:
    data = value if isinstance(value, bytes) else memoryview(value).tobytes()
    if 0 in data or 1 in data:
        data = data.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")
    return data + NUL


def _unescaped(data: bytes) -> bytes:
    value = data.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1")
    if _bytes_to_bytes(value)[:-1] != data:
        raise ValueError("0x01 stands before neither 0x01 nor 0x02")
    return value


SCOPE: dict[str, Any] = {
    "NUL": NUL,
    "index": index,
    "float_to_bits": _float_to_bits,
    "float_from_bits": _float_from_bits,
    "bytes_to_bytes": _bytes_to_bytes,
    "escaped": _escaped,
    "unescaped": _unescaped,
}
"""What the names in the expressions of the fields mean."""


def _text(value: str) -> str:
    return "" + value


TAKEN: dict[str, tuple[str, Callable[[Any], object]]] = {
    **dict.fromkeys(FIXED, ("int", index)),
    "float64": ("float", _float_to_bits),
    "str": ("str", _text),
    "bytes": ("bytes", memoryview),
}
"""What a field takes, and a function that raises TypeError for anything else."""

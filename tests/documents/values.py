"""Values: JSON values at random, and documents written by hand.

    value_of     any JSON value, with what is hard to write more often than not
    written      the text of a document, each field as it is given
    same         whether two values are equal, in types and order too
    check_sound  that a document is all that a document has to be

Knows the format from its page, not from the package. Start at `value_of`.
"""

import math
import struct
from datetime import datetime, timedelta
from random import Random
from typing import Any

from latency_kv import StateData

PLUGIN_NAME = "cl\xf6ck"
MODIFIED = "2024-01-01T00:00:00.000Z"
MOST_DEPTH = 100

SCALARS: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, 0.1, -1e22, 1e16, 1.5e300),
    *(5e-324, -5e-324, 2.2250738585072014e-308, 2.225073858507201e-308),
    *(1.7976931348623157e308, -1.7976931348623157e308, 1e-7, 123456789.123456789),
    *(2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**100),
    *(10**639, 10**640, 10**4300 - 1, -(10**4300) + 1),
    *("", "a", '"', "\\", "/", "\\u0041", "\0", "\n\r\t\b\f", "\x1f\x7f\x80\x9f"),
    *(
        "\u2028\u2029",
        "\ufeff",
        "\ufffe\uffff",
        "\ud7ff\ue000",
        "e\u0301",
        "\U0001f600",
    ),
    *("NaN", "null", "1e999", "[[[[", "}}}}", '{"version": 1}', "\U0010ffff"),
]

SURROGATES = range(0xD800, 0xE000)


def character(random: Random) -> str:
    """Any character, of all 17 planes alike, or one of ASCII."""
    if random.random() < 0.5:
        return chr(random.randrange(128))
    code = random.randrange(17) << 16 | random.randrange(1 << 16)
    return chr(code) if code not in SURROGATES else "\ue000"


def text_of(random: Random) -> str:
    return "".join(character(random) for _ in range(random.randrange(8)))


def float_of(random: Random) -> float:
    """Any finite float, all exponents alike."""
    (number,) = struct.unpack("<d", random.randbytes(8))
    return number if math.isfinite(number) else -0.0


def value_of(random: Random, room: int = 30) -> Any:
    """A value of at most about so many values."""
    kind = random.randrange(10)
    if room > 1 and kind >= 6:
        count = random.randrange(6)
        inside = [value_of(random, room // (count + 1)) for _ in range(count)]
        if kind < 8:
            return inside
        return {text_of(random): value for value in inside}
    if kind == 0:
        return random.randint(-(1 << random.randrange(300)), 1 << random.randrange(300))
    if kind == 1:
        return float_of(random)
    if kind == 2:
        return text_of(random)
    return random.choice(SCALARS)


def nested(random: Random, depth: int, inside: Any) -> Any:
    """Lists and dicts around a value, so many of them."""
    for _ in range(depth):
        inside = random.choice(([inside], {text_of(random): inside}, [0, inside, ""]))
    return inside


def written(
    data: str = "1",
    version: str = "1",
    modified: str = f'"{MODIFIED}"',
    name: str = f'"{PLUGIN_NAME}"',
    more: str = "",
) -> bytes:
    """A document as text; `more` comes first, before the version."""
    metadata = f'{{"lastModified": {modified}, "pluginName": {name}}}'
    fields = f'"version": {version}, "data": {data}, "metadata": {metadata}'
    return f"{{{more}{fields}}}".encode("utf-8", "surrogatepass")


def same(one: Any, other: Any) -> bool:
    """Tell -0.0 from 0.0, 1 from 1.0 and True, and one order of keys from another."""
    return repr(one) == repr(other)


def check_sound(state: StateData[Any]) -> None:
    """Assert what holds for whatever `decode` returns."""
    assert type(state) is StateData
    assert type(state.version) is int
    assert state.version >= 0
    assert type(state.metadata.last_modified) is datetime
    assert state.metadata.last_modified.utcoffset() == timedelta(0)
    assert state.metadata.plugin_name == PLUGIN_NAME
    check_value(state.data)


def check_value(value: Any, depth: int = 0) -> None:
    kind = type(value)
    if kind is dict or kind is list:
        assert depth < MOST_DEPTH
        for inside in value.values() if kind is dict else value:
            check_value(inside, depth + 1)
        if kind is dict:
            assert all(type(key) is str and key.encode() is not None for key in value)
    elif kind is str:
        value.encode()
    elif kind is float:
        assert math.isfinite(value)
    else:
        assert kind in (int, bool, type(None))

"""Document damage: any bytes at all are a sound document or a StateParseError.

Every length and every changed byte of a few documents, then corruptions at random that
know what JSON is made of. What was thought out is in test_crafted_documents.py. Start at
`test_every_changed_byte_is_read_or_refused`.
"""

from random import Random
from typing import Any

import pytest

from core.damage import mangled
from documents.reading import check_outcome, outcome, state_of
from documents.values import MODIFIED, value_of, written
from latency_kv.documents.document import encode

CORRUPTIONS = 100_000

DATA: list[Any] = [
    {"user": "J\xf6rg", "on": True, "off": [None, False], "n": {"a": {}, "b": [[]]}},
    [0, -1, 12345678901234567890, 0.5, -0.0, 1e300, 5e-324],
    ["\U0001f600\u2028", '"\\\n\0', "", {"": ""}],
    0,
]
BASES = [
    encode(state_of(data, number), pretty_print=bool(number & 1))
    for number, data in enumerate(DATA)
] + [written(more='"format": 1, ')]

# What JSON is made of, and what it is not.
TOKENS = [
    *("{", "}", "[", "]", ",", ":", '"', "\\", "[[", "]]", "{}", "[]", '""', "\\u"),
    *("NaN", "Infinity", "-Infinity", "null", "true", "false", "nul", "-", "+", "."),
    *("0", "1", "-1", "01", "1.", "1e", "1e999", "-1e999", "1.5"),
    *("9" * 30, "9" * 5_000, "[" * 200, "//", "/* */", "#", "'"),
    *("\\ud800", "\\udc00", '"\\ud83d"', '"\\ude00":', "\\u0000", "\\x", "\\n", "\n"),
    *('"format": 1,', '"format": 2,', '"version": 1,', '"data": 1,', '"a": 1, "a": 2'),
    *('"version"', '"metadata"', '"pluginName"', '"clock"', MODIFIED, " ", "\t", "\0"),
    *("\ufeff", "\xa0", "\u2028", "\U0001f600"),
]
RAW_TOKENS = [
    *(token.encode() for token in TOKENS),
    *(b"\xff", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb"),
]


@pytest.mark.parametrize("base", BASES)
def test_every_length_is_read_or_refused(base: bytes) -> None:
    whole = base.rstrip()
    for size in range(len(base)):
        assert check_outcome(base[:size]) == (size >= len(whole))
    assert check_outcome(base)


@pytest.mark.parametrize("base", BASES)
def test_every_changed_byte_is_read_or_refused(base: bytes) -> None:
    read = 0
    for place in range(len(base)):
        before, after = base[:place], base[place + 1 :]
        for byte in range(256):
            if byte != base[place]:
                read += check_outcome(before + bytes([byte]) + after)
    # A digit of the date or the data may be another.
    assert read > 9


@pytest.mark.parametrize("base", BASES)
def test_every_missing_byte_is_read_or_refused(base: bytes) -> None:
    for place in range(len(base)):
        check_outcome(base[:place] + base[place + 1 :])
        check_outcome(base[:place] + base[place : place + 1] + base[place:])


def spliced(random: Random, raw: bytes) -> bytes:
    """Put tokens in, or in the place of others."""
    for _ in range(random.randint(1, 3)):
        start = random.randrange(len(raw) + 1)
        stop = start + random.choice((0, 0, 1, 2, 5))
        raw = raw[:start] + random.choice(RAW_TOKENS) + raw[stop:]
    return raw


def test_corruptions_at_random_are_read_or_refused(seed: int, full: bool) -> None:
    random = Random(seed)
    read = 0
    for number in range(CORRUPTIONS * (20 if full else 1)):
        if number % 10 == 0:
            state = state_of(value_of(random, 10), number)
            base = encode(state, pretty_print=random.random() < 0.5)
        else:
            base = random.choice(BASES)
        damage = random.choice((mangled, spliced, spliced))
        read += check_outcome(damage(random, base))
    assert read > CORRUPTIONS // 100


def test_noise_is_refused(seed: int) -> None:
    random = Random(seed)
    for _ in range(10_000):
        assert outcome(random.randbytes(random.randrange(100))) is None
        tokens = random.choices(RAW_TOKENS, k=random.randrange(10))
        assert outcome(b"".join(tokens)) is None

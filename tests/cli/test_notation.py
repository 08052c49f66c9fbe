"""Notation: whatever bytes there are, one printable line, and the same bytes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_kv.cli.notation import ASCII_TEXT, BASE64, HEX, TEXT, Notation, printable

# Bytes as they come, and what other people's text is full of.
TEXTS = st.text(st.characters(codec="utf-8")).map(str.encode)
HOSTILE = st.one_of(st.binary(), TEXTS, st.just(b"\xc2\x9b2J\xe2\x80\xae\x1b]0;x\x07"))

ALL = pytest.mark.parametrize("notation", [TEXT, ASCII_TEXT, HEX, BASE64])


@ALL
@given(data=HOSTILE)
def test_any_bytes_become_one_printable_line_and_come_back(
    notation: Notation, data: bytes
) -> None:
    text = notation.write(data)
    assert text.isprintable()
    assert notation.read(text) == data
    assert notation is TEXT or text.isascii()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"seat:12A", "seat:12A"),
        ("caf\u00e9".encode(), "caf\u00e9"),
        (b"caf\xc3", r"caf\xc3"),
        (b"\x00\t\n\r\\\x7f", r"\x00\t\n\r\\\x7f"),
        (b"\x1b[2J", r"\x1b[2J"),
        ("\u009b\u202e\u2028\ufeff".encode(), None),
        (b"\xed\xb2\x80", r"\xed\xb2\x80"),
    ],
)
def test_text_is_what_can_be_read_and_escapes_for_the_rest(
    data: bytes, text: str | None
) -> None:
    expected = "".join(f"\\x{byte:02x}" for byte in data) if text is None else text
    assert TEXT.write(data) == expected


def test_text_from_a_shell_that_is_not_utf8_is_its_bytes() -> None:
    argument = b"\xffkey".decode("utf-8", "surrogateescape")
    assert TEXT.read(argument) == b"\xffkey"


@pytest.mark.parametrize("text", ["\\", "a\\b", r"\x1", r"\xgg", "\\\u00e9"])
def test_backslash_that_begins_no_escape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no escape; there are"):
        TEXT.read(text)


@pytest.mark.parametrize(("notation", "text"), [(HEX, "abc"), (BASE64, "a-_=")])
def test_other_notations_refuse_what_they_do_not_write(
    notation: Notation, text: str
) -> None:
    with pytest.raises(ValueError):
        notation.read(text)


@given(st.text())
def test_message_is_printable_whatever_path_is_in_it(message: str) -> None:
    assert printable(message).isprintable()

r"""Notation: bytes of strangers as text that any terminal may see, and back.

    TEXT     printable UTF-8 as it is, everything else as \xNN, a backslash as \\
    HEX      two digits a byte
    BASE64   as in RFC 4648

What `write` gives is printable and one line, whatever the bytes are, and `read` takes it
back: a key can be copied from one command's output into the next one's arguments.

Knows bytes and text, no terminal and no snapshot.  Start at `Notation`.
"""

import base64
import re
from collections.abc import Callable
from typing import NamedTuple

# Characters with names of their own, as C and Python write them.
_NAMED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MEANT = {named.encode(): char.encode() for char, named in _NAMED.items()}
_ESCAPE = re.compile(rb"\\(?:x[0-9a-fA-F]{2}|.?)", re.DOTALL)

# The bytes that are not UTF-8, as the error handler surrogateescape has them.
_STRAY = range(0xDC80, 0xDD00)


class Notation(NamedTuple):
    """One way to write bytes; `read` raises ValueError for what it cannot have written."""

    write: Callable[[bytes], str]
    read: Callable[[str], bytes]


class _Escapes(dict[str, str]):
    """What is written of each character, found out when it is first met."""

    def __init__(self, named: dict[str, str], *, only_ascii: bool) -> None:
        super().__init__(named)
        self._only_ascii = only_ascii

    def __missing__(self, char: str) -> str:
        code = ord(char)
        if code in _STRAY:
            written = f"\\x{code - _STRAY.start + 0x80:02x}"
        elif not char.isprintable() or (self._only_ascii and not char.isascii()):
            encoded = char.encode("utf-8", "surrogatepass")
            written = "".join(f"\\x{byte:02x}" for byte in encoded)
        else:
            written = char
        self[char] = written
        return written

    def write(self, text: str) -> str:
        # Most text stays as it is, and this is ten times as fast.
        if (
            text.isprintable()
            and (text.isascii() or not self._only_ascii)
            and not ("\\" in text and "\\" in self)
        ):
            return text
        return "".join(map(self.__getitem__, text))


_UNICODE = _Escapes(_NAMED, only_ascii=False)
_ASCII = _Escapes(_NAMED, only_ascii=True)

# Messages and paths keep their backslashes: they are read, not copied.
_MESSAGE = _Escapes({}, only_ascii=False)


def printable(message: str) -> str:
    r"""Return a message without what a terminal would obey.

    >>> printable("no such file: \x1b[2J")
    'no such file: \\x1b[2J'
    """
    return _MESSAGE.write(message)


def _write_text(data: bytes) -> str:
    return _UNICODE.write(data.decode("utf-8", "surrogateescape"))


def _write_ascii(data: bytes) -> str:
    return _ASCII.write(data.decode("utf-8", "surrogateescape"))


def _read_text(text: str) -> bytes:
    return _ESCAPE.sub(_meant, text.encode("utf-8", "surrogateescape"))


def _meant(match: re.Match[bytes]) -> bytes:
    escape = match[0]
    if len(escape) > len(rb"\n"):
        return bytes.fromhex(escape[2:].decode())
    if escape not in _MEANT:
        known = ", ".join([r"\xNN", *_NAMED.values()])
        raise ValueError(f"{_write_ascii(escape)[1:]} is no escape; there are {known}")
    return _MEANT[escape]


def _read_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError("it is no hex, two digits a byte") from None


def _write_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"it is no base64: {error}") from None


TEXT = Notation(_write_text, _read_text)
ASCII_TEXT = Notation(_write_ascii, _read_text)
HEX = Notation(bytes.hex, _read_hex)
BASE64 = Notation(_write_base64, _read_base64)

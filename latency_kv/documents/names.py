"""Names: a plugin's name as the stem of its file names, one to one, on any file system.

    clock            clock                     [a-z0-9-] stay as they are
    Clock            _43lock                   anything else: its UTF-8 bytes, in hex
    a/b              a_2fb
    con              _63on                     but a name that Windows gives a device
    (a long one)     its_20beginning__SHA256   as much as fits, then a hash in base32

A stem has neither capitals nor anything that Unicode could normalise, so no file system
takes two names for one file.  `__` occurs in hashed stems only.

Knows no folder and no extension.  Start at `stem_of`.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode

__all__ = ["name_of", "stem_of"]

_MAX_NAME_LENGTH = 120

# A file name may have 255 bytes; what comes around a stem takes less than the rest.
_MAX_STEM_LENGTH = 150

_PLAIN = re.compile(r"[a-z0-9-]+")
_ESCAPED = re.compile(r"(?:[a-z0-9-]|_[0-9a-f]{2})+")
_BEFORE_HASH = "__"

# What stands for each byte.
_ESCAPES = [
    char if _PLAIN.fullmatch(char) else f"_{ord(char):02x}"
    for char in map(chr, range(256))
]

# Windows opens a device under these names, whatever their extension.
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in range(10)]
)


def stem_of(plugin_name: str) -> str:
    """Return the stem of a plugin's file names: at most 150 characters of [a-z0-9_-].

    ValueError for a name that is empty, longer than 120 characters or no Unicode text.

    >>> stem_of("Clock 2")
    '_43lock_202'
    """
    if not isinstance(plugin_name, str):
        kind = type(plugin_name).__name__
        raise TypeError(f"a plugin's name is a str, not {kind}")
    plugin_name = str.__str__(plugin_name)
    if not plugin_name:
        raise ValueError("a plugin's name has at least one character")
    if len(plugin_name) > _MAX_NAME_LENGTH:
        raise ValueError(
            f"a plugin's name has at most {_MAX_NAME_LENGTH} characters, "
            f"not {len(plugin_name)}"
        )
    if _PLAIN.fullmatch(plugin_name):
        if plugin_name in _DEVICES:
            return f"_{ord(plugin_name[0]):02x}{plugin_name[1:]}"
        return plugin_name
    try:
        text = plugin_name.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"a plugin's name has no lone surrogates: {plugin_name!r}"
        ) from None
    stem = _escaped(text)
    if len(stem) <= _MAX_STEM_LENGTH:
        return stem
    digest = b32encode(hashlib.sha256(text).digest()).decode().rstrip("=").lower()
    tail = _BEFORE_HASH + digest
    # As many whole characters as fit: the beginning tells a reader whose it is.
    beginning = ""
    for char in plugin_name:
        longer = beginning + _escaped(char.encode())
        if len(longer) + len(tail) > _MAX_STEM_LENGTH:
            break
        beginning = longer
    return beginning + tail


def name_of(stem: str) -> str | None:
    """Return the name that has this stem; None if it is hashed, or no name has it.

    >>> name_of("_43lock_202")
    'Clock 2'
    """
    if not _ESCAPED.fullmatch(stem):
        return None
    try:
        name = bytes.fromhex(
            "".join(
                part[1:] if part[0] == "_" else part.encode().hex()
                for part in re.findall("_..|[^_]", stem)
            )
        ).decode()
        # Escapes that were not needed, and names that are too long, are nobody's.
        return name if stem_of(name) == stem else None
    except ValueError:
        return None


def _escaped(text: bytes) -> str:
    return "".join([_ESCAPES[byte] for byte in text])
